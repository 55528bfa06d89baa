//! The ring of samples, and 2048 equidistant points of one window out of it.
//!
//! A window begins and ends between two samples. Points are interpolated with a sinc of sixteen taps under Kaiser's
//! window. Its cut-off (0.62 of the sampling rate) lies above half the rate on purpose: images of the sampled band
//! fall between 4 and 8 kHz, and 2048 points per window put those below 6.5 kHz where no order is read, so the filter has
//! 3 kHz of transition and passes 0 to 3450 Hz within 3.2e-5 with few taps.

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

/// Bytes of the ring: 24 bits each.
pub const RING_BYTES: usize = RING * CHANNELS * 3;

/// Positions between two samples at which the filter is tabulated; between them it is interpolated linearly, which
/// leaves 6e-6 (an eighth of the square of the step times the second derivative, 3.3).
const PHASES: usize = 256;
const PHASE_BITS: u32 = 8;
const BETA: f64 = 9.0;
/// Cut-off, of the sampling rate.
const CUT_OFF: f64 = 0.62;
/// Bits of a corrected sample (28 and a sign) that are dropped to fit 24.
const DROPPED_BITS: u32 = 5;
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

/// The newest samples of all channels.
#[derive(Clone, Debug)]
pub struct Ring {
    bytes: [[[u8; 3]; RING]; CHANNELS],
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
        Ring { bytes: [[[0; 3]; RING]; CHANNELS], next: 0 }
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
        const LIMIT: i32 = 1 << 23;
        let at = self.next as usize & (RING - 1);
        for (line, &y) in self.bytes.iter_mut().zip(y) {
            let rounded = (y.saturating_add(1 << (DROPPED_BITS - 1)) >> DROPPED_BITS).clamp(-LIMIT, LIMIT - 1);
            let [a, b, c, _] = rounded.to_le_bytes();
            line[at] = [a, b, c];
        }
        self.next += 1;
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
        let (Some(line), Some(out)) = (self.bytes.get(channel), out.get_mut(from..to)) else { return };
        let sample = |index: u64| {
            let [a, b, c] = line[index as usize & (RING - 1)];
            (i32::from_le_bytes([0, a, b, c]) >> 8) as f32
        };
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
            // Point by point, images above the band included.
            assert!(off < 8e-5, "{hz}: {off:e}");
        }
        assert!(deviation(50.0, 1882.0, 8.9) < 1e-5);
        assert!(deviation(69.0, 1159.4, 500.0) < 2e-5);
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
