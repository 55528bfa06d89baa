//! The ring of samples, and 2048 equidistant points of one window out of it.
//!
//! A window begins and ends between two samples. Points are interpolated with a sinc of sixteen taps under Kaiser's
//! window. Its cut-off (0.62 of the sampling rate) lies above half the rate on purpose: images of the sampled band
//! fall between 4 and 8 kHz, and 2048 points per window put those below 6.5 kHz where no order is read, so the filter has
//! 3 kHz of transition and passes 0 to 3450 Hz within 3.2e-5 with few taps.
//!
//! Samples are kept in 16 bits with a floating point of their own: sign, four bits of exponent, eleven of mantissa below
//! a leading one that is not written. A sample is right within 2^-12 of itself and small ones are exact, so that a
//! current of 10 mA beside a range of 200 A keeps its harmonics. Over a window the roundings spread: a line of the
//! spectrum is within 1.1e-5 of the channel's RMS value, a tenth of what class I leaves at the nominal voltage.

use super::fft::{Block, POINTS};
use super::math::{PI, const_kaiser, const_sin};
use crate::design::{CHANNELS, POSITION_BITS};

/// Samples kept of each channel. 10 periods at 42.5 Hz (12 at 51 Hz) are 1883 samples; the filter needs 16 more, and
/// 112 arrive while a spectrum is being made ([`super::spectrum::STEPS`]).
pub const RING: usize = 2048;
/// Taps of the interpolator.
pub const TAPS: usize = 16;
/// Taps after the position that is interpolated.
pub const AHEAD: u64 = TAPS as u64 / 2;

/// Bytes of the ring.
pub const RING_BYTES: usize = RING * CHANNELS * 2;

/// Positions between two samples at which the filter is tabulated; between them it is interpolated linearly, which
/// leaves 6e-6 (an eighth of the square of the step times the second derivative, 3.3).
const PHASES: usize = 256;
const PHASE_BITS: u32 = 8;
const BETA: f64 = 9.0;
/// Cut-off, of the sampling rate.
const CUT_OFF: f64 = 0.62;
/// Bits of a corrected sample (28 and a sign) that are dropped: 25 and a sign are what four bits of exponent reach.
const DROPPED_BITS: u32 = 3;
/// Bits of the mantissa.
const MANTISSA_BITS: u32 = 11;
/// Corrected counts in one unit of what the ring gives.
pub const UNIT: f32 = (1 << DROPPED_BITS) as f32;

static KERNEL: [[f32; TAPS]; PHASES + 1] = kernel();

const fn kernel() -> [[f32; TAPS]; PHASES + 1] {
    let mut table = [[0.0; TAPS]; PHASES + 1];
    let mut p = 0;
    while p <= PHASES {
        let mut row = [0.0; TAPS];
        let mut sum = 0.0;
        let mut k = 0;
        while k < TAPS {
            let x = k as f64 - (TAPS / 2 - 1) as f64 - p as f64 / PHASES as f64;
            // The sine's argument is within ±10π; whole turns are taken off.
            let turns = CUT_OFF * x;
            let whole = turns as i64 as f64;
            let sinc = if x == 0.0 { 2.0 * CUT_OFF } else { const_sin(2.0 * PI * (turns - whole)) / (PI * x) };
            row[k] = sinc * const_kaiser(x / (TAPS / 2) as f64, BETA);
            sum += row[k];
            k += 1;
        }
        let mut k = 0;
        while k < TAPS {
            // Gain 1 at 0 Hz at every position.
            table[p][k] = (row[k] / sum) as f32;
            k += 1;
        }
        p += 1;
    }
    table
}

/// Where a window lies in the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Sample at or before its begin.
    pub index: u64,
    /// Begin after that sample, Q24 of a sample.
    pub fraction: u32,
    /// Length, Q24 samples.
    pub length: u64,
}

impl Span {
    /// The newest sample that interpolation of the whole window needs.
    pub fn last_needed(&self) -> u64 {
        self.index + ((u64::from(self.fraction) + self.length) >> POSITION_BITS) + AHEAD
    }

    /// The oldest sample needed; `None` before the first one.
    pub fn first_needed(&self) -> Option<u64> {
        self.index.checked_sub(AHEAD - 1)
    }
}

/// A corrected sample in 16 bits.
#[inline]
fn encode(y: i32) -> u16 {
    let magnitude = (y.unsigned_abs().min(1 << 28) + (1 << (DROPPED_BITS - 1))) >> DROPPED_BITS;
    let exponent = (u32::BITS - magnitude.leading_zeros()).saturating_sub(MANTISSA_BITS);
    let code = match exponent.checked_sub(1) {
        None => magnitude,
        // Rounding up to the next power of two carries into the exponent, as it should.
        Some(shift) => {
            (exponent << MANTISSA_BITS) + ((magnitude + ((1 << shift) >> 1)) >> shift) - (1 << MANTISSA_BITS)
        }
    };
    code as u16 | if y < 0 { 1 << 15 } else { 0 }
}

/// What [`encode`] made, in [`UNIT`]s.
#[inline]
fn decode(code: u16) -> i32 {
    let (exponent, mantissa) = (u32::from(code) >> MANTISSA_BITS & 15, u32::from(code) & ((1 << MANTISSA_BITS) - 1));
    let magnitude = match exponent.checked_sub(1) {
        None => mantissa,
        Some(shift) => (mantissa | 1 << MANTISSA_BITS) << shift,
    };
    if code >> 15 != 0 { -(magnitude as i32) } else { magnitude as i32 }
}

/// The newest samples of all channels.
#[derive(Clone, Debug)]
pub struct Ring {
    codes: [[u16; RING]; CHANNELS],
    next: u64,
}

impl Default for Ring {
    fn default() -> Ring {
        Ring::new()
    }
}

impl Ring {
    /// An empty ring.
    pub const fn new() -> Ring {
        Ring { codes: [[0; RING]; CHANNELS], next: 0 }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.next = 0;
    }

    /// Number of the next sample.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Keeps one corrected sample of every channel.
    #[inline]
    pub fn push(&mut self, y: &[i32; CHANNELS]) {
        let at = self.next as usize & (RING - 1);
        for (line, &y) in self.codes.iter_mut().zip(y) {
            line[at] = encode(y);
        }
        self.next += 1;
    }

    /// The code of a sample that is in the ring.
    pub fn code(&self, channel: usize, index: u64) -> u16 {
        self.codes.get(channel).map_or(0, |line| line[index as usize & (RING - 1)])
    }

    /// Whether every sample that the window needs is in the ring, and will be until `more` others have come.
    pub fn holds(&self, span: &Span, more: u64) -> bool {
        let newest = self.next.checked_sub(1);
        match (span.first_needed(), newest) {
            (Some(first), Some(newest)) => span.last_needed() <= newest && newest + more - first < RING as u64,
            _ => false,
        }
    }

    /// Interpolates the points `from` to `to` of a window of one channel, in [`UNIT`]s.
    pub fn resample(&self, channel: usize, span: &Span, from: usize, to: usize, out: &mut Block) {
        let (Some(line), Some(out)) = (self.codes.get(channel), out.get_mut(from..to)) else { return };
        let sample = |index: u64| decode(line[index as usize & (RING - 1)]) as f32;
        let position = |j: usize| u64::from(span.fraction) + j as u64 * span.length / POINTS as u64;
        // The samples under the filter, twice over, so that every sixteen of them stand in a row somewhere.
        let mut under = [0.0; 2 * TAPS];
        let mut newest = span.index + (position(from) >> POSITION_BITS) + AHEAD;
        for index in newest.saturating_sub(TAPS as u64 - 1)..=newest {
            let slot = index as usize & (TAPS - 1);
            (under[slot], under[slot + TAPS]) = (sample(index), sample(index));
        }
        for (j, out) in (from..to).zip(out) {
            let at = position(j);
            let needed = span.index + (at >> POSITION_BITS) + AHEAD;
            while newest < needed {
                newest += 1;
                let slot = newest as usize & (TAPS - 1);
                (under[slot], under[slot + TAPS]) = (sample(newest), sample(newest));
            }
            let fraction = at as u32 & ((1 << POSITION_BITS) - 1);
            let phase = (fraction >> (POSITION_BITS - PHASE_BITS)) as usize & (PHASES - 1);
            const REST_BITS: u32 = POSITION_BITS - PHASE_BITS;
            let rest = (fraction & ((1 << REST_BITS) - 1)) as f32 / (1 << REST_BITS) as f32;
            let first = (newest as usize + 1) & (TAPS - 1);
            let (mut low, mut high) = (0.0, 0.0);
            for (x, (a, b)) in under[first..first + TAPS].iter().zip(KERNEL[phase].iter().zip(&KERNEL[phase + 1])) {
                low += a * x;
                high += b * x;
            }
            *out = low + rest * (high - low);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest deviation of an interpolated sine of 2^27 corrected counts, of its amplitude.
    fn deviation(hz: f64, length: f64, begin: f64) -> f64 {
        let mut ring = Ring::new();
        let wave = |t: f64| (2.0 * PI * hz * t / 8000.0 + 0.7).sin();
        for n in 0..2000 {
            ring.push(&[(134_217_728.0 * wave(f64::from(n))).round() as i32; CHANNELS]);
        }
        let q24 = f64::from(1 << 24);
        let span = Span { index: begin as u64, fraction: (begin.fract() * q24) as u32, length: (length * q24) as u64 };
        assert!(ring.holds(&span, 0));
        let mut out = [0.0; POINTS];
        // In unequal pieces, as nobody should notice.
        for (from, to) in [(0, 256), (256, 257), (257, 1024), (1024, POINTS)] {
            ring.resample(3, &span, from, to, &mut out);
        }
        let (begin, length) = (begin as u64 as f64 + f64::from(span.fraction) / q24, span.length as f64 / q24);
        let mut worst = 0.0_f64;
        for (j, out) in out.iter().enumerate() {
            let truth = wave(begin + j as f64 * length / POINTS as f64);
            worst = worst.max((f64::from(*out) * f64::from(UNIT) / 134_217_728.0 - truth).abs());
        }
        worst
    }

    #[test]
    fn points_between_samples_are_right_from_the_fundamental_to_order_25() {
        for hz in [42.5, 50.0, 150.0, 60.0, 250.0, 1250.0] {
            let off = deviation(hz, 1600.7, 17.3);
            // Point by point, images above the band and the rounding of each sample (2^-12 at most) included.
            assert!(off < 3e-4, "{hz}: {off:e}");
        }
        assert!(deviation(50.0, 1882.0, 8.9) < 2.5e-4);
        assert!(deviation(69.0, 1159.4, 500.0) < 2.5e-4);
    }

    #[test]
    fn sixteen_bits_hold_small_samples_exactly_and_large_ones_within_a_4096th() {
        let unit = UNIT as i32;
        for n in 0..4096 {
            assert_eq!((decode(encode(n * unit)), decode(encode(-n * unit))), (n, -n));
        }
        let mut y = 4096 * unit;
        while y < 1 << 28 {
            for y in [y, -y, (y + y / 3).min(1 << 28)] {
                let off = (i64::from(decode(encode(y))) * i64::from(unit) - i64::from(y)).abs();
                assert!(off * 4096 <= i64::from(y.abs()) + 4096 * i64::from(unit) / 2, "{y}: {off}");
            }
            y += y / 7;
        }
        // The ends of the range, and whatever is beyond.
        for y in [1 << 28, (1 << 28) - 1, i32::MAX, i32::MIN, i32::MIN + 1] {
            let end = if y < 0 { -(1 << 25) } else { 1 << 25 };
            assert_eq!(decode(encode(y)), end, "{y}");
        }
        // Rising samples give rising codes: no jump at a change of the exponent.
        let mut before = 0;
        for n in 0..1 << 16 {
            let now = decode(encode(n * 4096));
            assert!(now >= before, "{n}");
            before = now;
        }
    }

    #[test]
    fn a_span_outside_of_the_ring_is_refused() {
        let mut ring = Ring::new();
        for _ in 0..3000 {
            ring.push(&[0; CHANNELS]);
        }
        let at = |index| Span { index, fraction: 0, length: 1600 << 24 };
        assert!(ring.holds(&at(1391), 0), "its last tap is sample 2999");
        assert!(!ring.holds(&at(1392), 0), "needs a sample that has not come");
        assert!(ring.holds(&at(960), 0) && !ring.holds(&at(960), 3), "the oldest will be overwritten");
        assert!(!ring.holds(&at(3), 0), "before the first sample");
        assert_eq!(size_of::<Ring>(), RING_BYTES + 8);
    }
}
