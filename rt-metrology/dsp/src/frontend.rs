//! From converter counts to corrected, time-aligned samples.
//!
//! Per channel: a delay, then `y = (count + offset) · gain` in Q24.4. Voltages are delayed by [`BASE_DELAY`] whole
//! samples; a current is delayed by that less its calibrated lag behind its voltage, through a six-tap Lagrange
//! interpolator (0.1 ppm of gain at 50 Hz and 8 kS/s, −0.24 % at the 25th harmonic in the worst case of half a
//! sample, nothing at all without correction, when it passes samples through bit by bit).
//!
//! Keeps: every channel is corrected by what a calibration fixed ([`crate::climate`] follows its coefficients, between
//! windows); nothing adapts, and no direct component is removed. The correction comes after the delay, so that a change
//! of it begins with the next sample that comes out. Refuses nothing: a count or a corrected sample beyond its range is limited and reported as clipped.

use crate::climate::Correction;
use crate::design::{
    BASE_DELAY, CHANNELS, COUNT_LIMIT, DELAY_LINE, FRACTION_BITS, LAG_LIMIT_PS, PHASES, POSITION_BITS, SAMPLE_LIMIT,
};
use metrology_link::payload::{Channel, MeterConfig};

/// Taps of the interpolator.
const TAPS: usize = 6;
/// A half in Q30, where rests begin.
const HALF: i32 = 1 << 29;
/// The bits below the point.
const REST: i32 = (1 << 30) - 1;
/// Index mask of the delay line.
const MASK: usize = DELAY_LINE - 1;

/// Corrections and delay lines of all channels.
#[derive(Clone, Debug)]
pub struct FrontEnd {
    channels: [Line; CHANNELS],
    /// Where the newest sample stands in each line.
    head: usize,
    rate_hz: u32,
    /// Channels with a clipped count that still stands in a delay line, a bit each, for so many samples.
    clipped: u8,
    clip_hold: u32,
}

/// One channel.
#[derive(Clone, Copy, Debug)]
struct Line {
    present: bool,
    /// Q24.4.
    offset: i32,
    gain_q30: i32,
    /// How many samples back the interpolator's newest tap lies.
    newest: usize,
    /// Coefficients from the oldest tap to the newest, Q30; `None` passes tap 2 (the position itself) through.
    taps: Option<[i32; TAPS]>,
    /// What rounding took from the interpolated and from the corrected sample, Q30: it goes into the next one, so that
    /// nothing of it is left at low frequencies. A sine of 600 counts whose gain is nearly one would otherwise lose or win
    /// up to 15 ppm, because its rounding repeats with it.
    rests: [i32; 2],
    /// Counts in Q24.4, twice over, so that taps stand in a row from wherever they begin.
    history: [[i32; DELAY_LINE]; 2],
}

impl FrontEnd {
    /// Sets up the channels. `config` has been checked.
    pub fn new(config: &MeterConfig, corrections: &[Correction; CHANNELS]) -> FrontEnd {
        let mut channels = [Line {
            present: false,
            offset: 0,
            gain_q30: 0,
            newest: BASE_DELAY as usize - 3,
            taps: None,
            rests: [HALF; 2],
            history: [[0; DELAY_LINE]; 2],
        }; CHANNELS];
        let mask = crate::measured_channels(config);
        for (k, line) in channels.iter_mut().enumerate() {
            line.present = mask & (1 << k) != 0;
        }
        let mut front = FrontEnd { channels, head: 0, rate_hz: config.rate_hz, clipped: 0, clip_hold: 0 };
        front.correct(corrections);
        for line in &mut front.channels {
            // What stands in the line before the first sample counts nothing, whatever the offset.
            line.history = [[-line.offset; DELAY_LINE]; 2];
        }
        front
    }

    /// Puts other corrections into force, from the next sample that comes out.
    pub fn correct(&mut self, corrections: &[Correction; CHANNELS]) {
        for (k, line) in self.channels.iter_mut().enumerate() {
            let own = &corrections[k];
            line.offset = own.offset_q4;
            line.gain_q30 = own.gain_q30;
            if k >= PHASES {
                // Each current is aligned to the voltage of its phase; the neutral current to that of phase 1.
                let voltage = if k < 2 * PHASES { k - PHASES } else { Channel::U1 as usize };
                line.advance(own.phase_ps - corrections[voltage].phase_ps, self.rate_hz);
            }
        }
    }

    /// Takes one count of every channel and returns the corrected samples of [`BASE_DELAY`] samples ago, and the
    /// channels (a bit each) with a clipped one among those they are made of. Missing channels are zero.
    #[inline(never)] // registers of its own
    pub fn push(&mut self, counts: &[i32; CHANNELS]) -> ([i32; CHANNELS], u8) {
        let head = (self.head + 1) & MASK;
        self.head = head;
        let mut out = [0; CHANNELS];
        let mut clipped = 0;
        for (k, ((line, &count), y)) in self.channels.iter_mut().zip(counts).zip(&mut out).enumerate() {
            if line.present {
                let limited;
                (*y, limited) = line.step(head, count);
                clipped |= u8::from(limited) << k;
            }
        }
        if clipped != 0 {
            self.clipped |= clipped;
            self.clip_hold = DELAY_LINE as u32;
        }
        if self.clip_hold == 0 {
            return (out, 0);
        }
        self.clip_hold -= 1;
        let marked = self.clipped;
        if self.clip_hold == 0 {
            self.clipped = 0;
        }
        (out, marked)
    }

    /// The corrected sample that a channel gives whose count is always zero; now and then it is one more or less.
    pub fn zero(&self, channel: usize) -> i32 {
        let line = &self.channels[channel];
        ((i64::from(line.offset) * i64::from(line.gain_q30) + i64::from(HALF)) >> 30) as i32
    }
}

impl Line {
    /// Aims the interpolator `lag_ps` later than [`BASE_DELAY`] samples ago.
    fn advance(&mut self, lag_ps: i32, rate_hz: u32) {
        let lag_ps = lag_ps.clamp(-LAG_LIMIT_PS, LAG_LIMIT_PS);
        // Samples in Q24.
        let advance = ((i128::from(lag_ps) * i128::from(rate_hz)) << POSITION_BITS).div_euclid(1_000_000_000_000);
        let advance = advance as i64;
        let whole = advance >> POSITION_BITS;
        let fraction = advance - (whole << POSITION_BITS);
        self.newest = (i64::from(BASE_DELAY) - whole - 3) as usize;
        self.taps = (fraction != 0).then(|| lagrange_q30(fraction));
    }

    /// Takes a count and gives the corrected sample at the aimed position, and whether either had to be limited.
    #[inline(never)] // seven times the same code, and few registers
    fn step(&mut self, head: usize, count: i32) -> (i32, bool) {
        // Both ends of the converter's range: beyond them the true value is not known.
        let beyond = !(1 - COUNT_LIMIT..COUNT_LIMIT - 1).contains(&count);
        let newest = count.clamp(-COUNT_LIMIT, COUNT_LIMIT - 1) << FRACTION_BITS;
        let [one, other] = &mut self.history;
        (one[head & MASK], other[head & MASK]) = (newest, newest);
        // Never below zero: the oldest tap lies 22 back at most.
        let oldest = (head + DELAY_LINE).wrapping_sub(self.newest + TAPS - 1);
        let samples = self.history.as_flattened().get(oldest..).and_then(|s| s.first_chunk::<TAPS>());
        let Some(samples) = samples else { return (0, true) };
        let [interpolated, scaled] = &mut self.rests;
        let position = match &self.taps {
            None => samples[2],
            Some(taps) => {
                let mut sum = i64::from(*interpolated);
                for (&tap, &sample) in taps.iter().zip(samples) {
                    // |Σ| ≤ 1.4 · 2^30 · 2^27 < 2^58.
                    sum += i64::from(tap) * i64::from(sample);
                }
                *interpolated = sum as i32 & REST;
                (sum >> 30) as i32
            }
        };
        // (1.4 · 2^27 + 2^25) · 2^31 < 2^60, and its upper 30 bits fit an i32.
        let product = i64::from(position + self.offset) * i64::from(self.gain_q30) + i64::from(*scaled);
        *scaled = product as i32 & REST;
        let y = (product >> 30) as i32;
        let limited = y.clamp(-SAMPLE_LIMIT, SAMPLE_LIMIT);
        (limited, limited != y || beyond)
    }
}

/// Lagrange polynomials of order 5 on the points −2, −1, 0, 1, 2, 3 at `fraction` (Q24, 0 to 1), in Q30. Their sum is
/// exactly 1, so a direct component passes unchanged.
#[inline(never)] // wide arithmetic, seven times
fn lagrange_q30(fraction: i64) -> [i32; TAPS] {
    let mut taps = [0; TAPS];
    let mut sum = 0;
    for (k, tap) in taps.iter_mut().enumerate() {
        let mut numerator: i128 = 1;
        let mut denominator: i128 = 1;
        for j in (0..TAPS).filter(|&j| j != k) {
            // Five factors of at most 3 in Q24: below 2^128 by far.
            numerator *= i128::from(fraction) - ((j as i128 - 2) << POSITION_BITS);
            denominator *= k as i128 - j as i128;
        }
        *tap = ((numerator / denominator) >> (5 * POSITION_BITS - 30)) as i32;
        sum += *tap;
    }
    // The tap nearest to the position is the largest; it takes the few units that rounding left.
    let nearest = if fraction < 1 << (POSITION_BITS - 1) { 2 } else { 3 };
    taps[nearest] += (1 << 30) - sum;
    taps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::climate::corrections;
    use core::f64::consts::TAU;
    use metrology_link::payload::Calibration;

    fn front(rate_hz: u32, calibration: &Calibration) -> FrontEnd {
        FrontEnd::new(&config(rate_hz), &corrections(calibration, None, None))
    }

    fn config(rate_hz: u32) -> MeterConfig {
        MeterConfig { rate_hz, ..MeterConfig::default() }
    }

    #[test]
    fn without_correction_samples_pass_bit_by_bit() {
        let mut front = front(8000, &Calibration::default());
        for n in 0..100 {
            let (y, clipped) = front.push(&[n; CHANNELS]);
            assert_eq!(clipped, 0);
            assert_eq!(y, [(n - BASE_DELAY as i32).max(0) << FRACTION_BITS; CHANNELS]);
        }
    }

    #[test]
    fn a_lagging_current_is_advanced_to_a_tenth_of_a_nanosecond() {
        for (rate, lag_ns) in [(8000, 100_000), (8000, -37_123), (16_000, 61_000), (32_000, -100_000), (32_000, 15)] {
            let mut calibration = Calibration::default();
            calibration.channel[3].phase_ns = lag_ns;
            calibration.channel[0].phase_ns = -lag_ns;
            let mut front = front(rate, &calibration);
            let w = TAU * 50.0 / f64::from(rate);
            let lag = 2.0 * f64::from(lag_ns) * 1e-9 * f64::from(rate);
            let mut worst = 0.0_f64;
            for n in 0..2000 {
                let mut counts = [0; CHANNELS];
                counts[0] = (8e6 * (w * f64::from(n)).sin()).round() as i32;
                counts[3] = (8e6 * (w * (f64::from(n) - lag)).sin()).round() as i32;
                let (y, _) = front.push(&counts);
                if n > 40 {
                    worst = worst.max(f64::from(y[0] - y[3]).abs());
                }
            }
            // Half a count of each input's rounding (through a filter with |taps| ≤ 1.4), in sixteenths; the steepest
            // slope is 8e6 · 16 · w, so 0.1 ns would be 0.6 at 8 kS/s.
            assert!(worst < 22.0, "{rate} {lag_ns} {worst}");
        }
    }

    #[test]
    fn taps_sum_to_one() {
        for fraction in [1, 12_345, 1 << 23, (1 << 24) - 1] {
            assert_eq!(lagrange_q30(fraction).iter().map(|&t| i64::from(t)).sum::<i64>(), 1 << 30);
        }
    }

    #[test]
    fn full_scale_is_marked_until_it_has_left_the_delay_line() {
        let mut front = front(8000, &Calibration::default());
        let mut counts = [0; CHANNELS];
        counts[2] = COUNT_LIMIT - 1;
        assert_eq!(front.push(&counts).1, 0b100);
        let marked = (0..100).filter(|_| front.push(&[0; CHANNELS]).1 == 0b100).count();
        assert_eq!(marked, DELAY_LINE - 1);
        (counts[2], counts[6]) = (0, i32::MIN);
        assert_eq!(front.push(&counts).1, 0b100_0000, "the other channel is forgotten");
    }
}
