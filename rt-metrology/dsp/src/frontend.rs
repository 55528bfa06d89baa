//! From converter counts to corrected, time-aligned samples.
//!
//! Per channel: `y = (count + offset) · gain` in Q24.4, then a delay. Voltages are delayed by [`BASE_DELAY`] whole
//! samples; a current is delayed by that less its calibrated lag behind its voltage, through a six-tap Lagrange
//! interpolator (0.1 ppm of gain at 50 Hz and 8 kS/s, −0.24 % at the 25th harmonic in the worst case of half a
//! sample, nothing at all without correction, when it passes samples through bit by bit).
//!
//! Keeps: every channel is corrected by constants that a calibration fixed; nothing adapts, and no direct component
//! is removed. Refuses nothing: a count or a corrected sample beyond its range is limited and reported as clipped.

use crate::design::{
    BASE_DELAY, CHANNELS, COUNT_LIMIT, DELAY_LINE, FRACTION_BITS, PHASES, POSITION_BITS, SAMPLE_LIMIT,
};
use metrology_link::payload::{Calibration, Channel, MeterConfig};

/// Taps of the interpolator.
const TAPS: usize = 6;
/// Index mask of the delay line.
const MASK: usize = DELAY_LINE - 1;

/// Corrections and delay lines of all channels.
#[derive(Clone, Debug)]
pub struct FrontEnd {
    channels: [Line; CHANNELS],
    /// Where the newest sample stands in each line.
    head: usize,
    /// A clipped count still stands in a delay line for so many samples.
    clip_hold: u32,
}

/// One channel.
#[derive(Clone, Copy, Debug)]
struct Line {
    present: bool,
    offset: i32,
    gain_q30: i32,
    /// How many samples back the interpolator's newest tap lies.
    newest: usize,
    /// Coefficients from the oldest tap to the newest, Q30; `None` passes tap 2 (the position itself) through.
    taps: Option<[i32; TAPS]>,
    history: [i32; DELAY_LINE],
}

impl FrontEnd {
    /// Sets up the corrections. `config` and `calibration` have been checked.
    pub fn new(config: &MeterConfig, calibration: &Calibration) -> FrontEnd {
        let mut channels = [Line {
            present: false,
            offset: 0,
            gain_q30: 0,
            newest: BASE_DELAY as usize - 3,
            taps: None,
            history: [0; DELAY_LINE],
        }; CHANNELS];
        let mask = crate::measured_channels(config);
        for (k, line) in channels.iter_mut().enumerate() {
            let own = &calibration.channel[k];
            line.present = mask & (1 << k) != 0;
            line.offset = own.offset;
            line.gain_q30 = own.gain_q30;
            if k >= PHASES {
                // Each current is aligned to the voltage of its phase; the neutral current to that of phase 1.
                let voltage = if k < 2 * PHASES { k - PHASES } else { Channel::U1 as usize };
                let lag_ns = own.phase_ns - calibration.channel[voltage].phase_ns;
                line.advance(lag_ns, config.rate_hz);
            }
        }
        FrontEnd { channels, head: 0, clip_hold: 0 }
    }

    /// Takes one count of every channel and returns the corrected samples of [`BASE_DELAY`] samples ago, and whether
    /// a clipped one is among those they are made of. Missing channels are zero.
    #[inline]
    pub fn push(&mut self, counts: &[i32; CHANNELS]) -> ([i32; CHANNELS], bool) {
        self.head = (self.head + 1) & MASK;
        let mut out = [0; CHANNELS];
        let mut clipped = false;
        for ((line, &count), y) in self.channels.iter_mut().zip(counts).zip(&mut out) {
            if line.present {
                // Both ends of the converter's range: beyond them the true value is not known.
                clipped |= !(1 - COUNT_LIMIT..COUNT_LIMIT - 1).contains(&count);
                clipped |= line.correct(self.head, count);
                *y = line.delayed(self.head);
            }
        }
        if clipped {
            self.clip_hold = DELAY_LINE as u32;
        }
        let marked = self.clip_hold > 0;
        self.clip_hold = self.clip_hold.saturating_sub(1);
        (out, marked)
    }
}

impl Line {
    /// Aims the interpolator `lag_ns` later than [`BASE_DELAY`] samples ago.
    fn advance(&mut self, lag_ns: i32, rate_hz: u32) {
        // Samples in Q24: |lag| ≤ 200 µs, so the product stays below 2^18 · 2^15 · 2^24 = 2^57.
        let advance = ((i64::from(lag_ns) * i64::from(rate_hz)) << POSITION_BITS).div_euclid(1_000_000_000);
        let whole = advance >> POSITION_BITS;
        let fraction = advance - (whole << POSITION_BITS);
        self.newest = (i64::from(BASE_DELAY) - whole - 3) as usize;
        self.taps = (fraction != 0).then(|| lagrange_q30(fraction));
    }

    /// Puts the corrected count into the line; true if it had to be limited.
    #[inline]
    fn correct(&mut self, head: usize, count: i32) -> bool {
        const SHIFT: u32 = 30 - FRACTION_BITS;
        let count = count.clamp(-COUNT_LIMIT, COUNT_LIMIT - 1);
        let y = (i64::from(count + self.offset) * i64::from(self.gain_q30) + (1 << (SHIFT - 1))) >> SHIFT;
        let limited = y.clamp(-i64::from(SAMPLE_LIMIT), i64::from(SAMPLE_LIMIT));
        self.history[head] = limited as i32;
        limited != y
    }

    /// The sample at the aimed position.
    #[inline]
    fn delayed(&self, head: usize) -> i32 {
        let oldest = head.wrapping_sub(self.newest + TAPS - 1);
        let Some(taps) = &self.taps else {
            return self.history[oldest.wrapping_add(2) & MASK];
        };
        let mut sum: i64 = 1 << 29;
        for (k, &tap) in taps.iter().enumerate() {
            // |Σ| ≤ 1.4 · 2^30 · 2^28 < 2^59.
            sum += i64::from(tap) * i64::from(self.history[oldest.wrapping_add(k) & MASK]);
        }
        (sum >> 30).clamp(-i64::from(SAMPLE_LIMIT), i64::from(SAMPLE_LIMIT)) as i32
    }
}

/// Lagrange polynomials of order 5 on the points −2, −1, 0, 1, 2, 3 at `fraction` (Q24, 0 to 1), in Q30. Their sum is
/// exactly 1, so a direct component passes unchanged.
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
    use core::f64::consts::TAU;

    fn config(rate_hz: u32) -> MeterConfig {
        MeterConfig { rate_hz, ..MeterConfig::default() }
    }

    #[test]
    fn without_correction_samples_pass_bit_by_bit() {
        let mut front = FrontEnd::new(&config(8000), &Calibration::default());
        for n in 0..100 {
            let (y, clipped) = front.push(&[n; CHANNELS]);
            assert!(!clipped);
            assert_eq!(y, [(n - BASE_DELAY as i32).max(0) << FRACTION_BITS; CHANNELS]);
        }
    }

    #[test]
    fn a_lagging_current_is_advanced_to_a_tenth_of_a_nanosecond() {
        for (rate, lag_ns) in [(8000, 100_000), (8000, -37_123), (16_000, 61_000), (32_000, -100_000), (32_000, 15)] {
            let mut calibration = Calibration::default();
            calibration.channel[3].phase_ns = lag_ns;
            calibration.channel[0].phase_ns = -lag_ns;
            let mut front = FrontEnd::new(&config(rate), &calibration);
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
        let mut front = FrontEnd::new(&config(8000), &Calibration::default());
        let mut counts = [0; CHANNELS];
        counts[2] = COUNT_LIMIT - 1;
        assert!(front.push(&counts).1);
        let marked = (0..100).filter(|_| front.push(&[0; CHANNELS]).1).count();
        assert_eq!(marked, DELAY_LINE - 1);
        counts[2] = i32::MIN;
        assert!(front.push(&counts).1);
    }
}
