//! The frequency tracker: positive and negative zero crossings of one filtered voltage.
//!
//! The filter takes the voltage of half a nominal period before from the voltage (no direct component is left, after
//! half a period and not after many), and then passes three equal poles (40 Hz) with a coefficient that is a power of
//! two: at 50 Hz it passes half of the amplitude, and the 3rd, 5th and 7th harmonic are weakened 14, 64 and 160 times
//! against it. 80 ms after any disturbance less than 10^-5 of it is left. A constant delay does no harm: windows need
//! not begin at a crossing of the voltage itself, only at equal phases.
//!
//! Keeps: a crossing counts only after the signal was clearly on the other side (hysteresis), and the tracker says
//! *locked* only after [`LOCK_PERIODS`] periods in a row between 42.5 and 69 Hz. A period that differs from the one
//! before by more than a grid's frequency can move is a jump of phase or amplitude and *disturbs* what contains it.

use crate::design::{F_MAX_MHZ, F_MIN_MHZ, FULL_SCALE_BITS, POSITION_BITS};
use metrology_link::payload::MeterConfig;

/// Good periods in a row until the tracker is believed: 80 ms at 50 Hz, in which the filter forgets what was before.
pub const LOCK_PERIODS: u32 = 4;

/// A period that differs from the one before by more than 1/128 of it is no frequency: at 50 Hz that were 20 Hz/s.
const JUMP_SHIFT: u32 = 7;
/// Periods after a jump until the crossings can be trusted: what the filter has left falls by a factor of 30 in each.
const SETTLING_PERIODS: u32 = 2;

/// Half a nominal period of 50 Hz at 8 kS/s. Higher rates keep means of two or four samples: what that folds lies at
/// 8 kHz and its multiples, which the poles weaken by 10^6.
const COMB: usize = 80;

/// Bits below a corrected sample in the filter, so that its poles (down to 2^-11) have no dead band.
const STATE_BITS: u32 = 16;

/// A zero crossing between the sample before and this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// From negative to positive.
    pub rising: bool,
    /// Position after the sample before, Q24 of a sample.
    pub fraction: u32,
}

/// Filter and crossing detector.
#[derive(Clone, Debug)]
pub struct Tracker {
    low_shift: u32,
    /// Amplitude of the filtered signal below which it counts as zero.
    hysteresis: i64,
    shortest: u64,
    longest: u64,
    /// Samples after a rising crossing at which it is missed.
    missing: u32,

    /// Half a period of the signal at 8 kS/s: `comb_length` values in turn, and the next one in the making.
    comb: [i32; COMB],
    comb_length: usize,
    comb_at: usize,
    comb_sum: i32,
    comb_filled: u32,
    octave: u32,
    poles: [i64; 3],
    /// Side on which the signal was last seen clearly.
    side: Side,
    /// Samples since the last rising crossing (from the sample before it), and its fraction.
    since: u32,
    last_fraction: u32,
    seen: bool,
    period: u64,
    good: u32,
    good_in_window: u32,
    /// Periods until a jump is forgotten.
    settling: u32,
    disturbed_in_window: bool,
}

/// Values in the comb: 80 at 50 Hz, 66 at 60 Hz.
fn comb_length(f_nominal: u8) -> usize {
    (4000 / usize::from(f_nominal).max(1)).min(COMB)
}

/// Samples by which the signal that the tracker's filter subtracts is late.
pub(crate) fn comb_samples(rate_hz: u32, f_nominal: u8) -> u32 {
    (comb_length(f_nominal) as u32) << (rate_hz / 8000).max(1).ilog2()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Unknown,
    Positive,
    Negative,
}

impl Tracker {
    /// A tracker at rest. `config` has been checked.
    pub fn new(config: &MeterConfig) -> Tracker {
        // 8, 16, 32 kS/s: 0, 1, 2.
        let octave = (config.rate_hz / 8000).ilog2();
        let period = |mhz: u32| ((u64::from(config.rate_hz) * 1000) << POSITION_BITS) / u64::from(mhz);
        // Nominal RMS voltage in corrected samples.
        let nominal = (i64::from(config.u_nominal_mv) << FULL_SCALE_BITS) / i64::from(config.u_full_scale_mv);
        Tracker {
            // Pole at 2^-5 · 8000 / 2π = 39.8 Hz.
            low_shift: 5 + octave,
            // The filter passes 0.48 · √2 of the RMS value: 1 % of the nominal voltage arrives as nominal / 145.
            hysteresis: (nominal << STATE_BITS) / 145,
            shortest: period(F_MAX_MHZ),
            longest: period(F_MIN_MHZ),
            missing: ((period(F_MIN_MHZ) * 5 / 4) >> POSITION_BITS) as u32,
            comb: [0; COMB],
            comb_length: comb_length(config.f_nominal),
            comb_at: 0,
            comb_sum: 0,
            comb_filled: 0,
            octave,
            poles: [0; 3],
            side: Side::Unknown,
            since: 0,
            last_fraction: 0,
            seen: false,
            period: 0,
            good: 0,
            good_in_window: 0,
            settling: 0,
            disturbed_in_window: false,
        }
    }

    /// Forgets the signal, for another reference.
    pub fn reset(&mut self) {
        (self.comb, self.comb_sum, self.comb_filled) = ([0; COMB], 0, 0);
        (self.poles, self.side) = ([0; 3], Side::Unknown);
        (self.since, self.seen, self.good) = (0, false, 0);
        self.disturbed_in_window = true;
    }

    /// Whether periods have been inside the range for long enough.
    pub fn locked(&self) -> bool {
        self.good >= LOCK_PERIODS
    }

    /// The last period, Q24 samples.
    pub fn period(&self) -> u64 {
        self.period
    }

    /// Periods inside the range since the last call.
    pub fn take_good(&mut self) -> u32 {
        core::mem::take(&mut self.good_in_window)
    }

    /// Whether a jump is so recent that crossings are not where they belong.
    pub fn settling(&self) -> bool {
        self.settling > 0
    }

    /// Whether there was a jump since the last call, or its traces.
    pub fn take_disturbed(&mut self) -> bool {
        let still = self.settling();
        core::mem::replace(&mut self.disturbed_in_window, still)
    }

    /// Takes one corrected sample of the reference voltage.
    #[inline(never)] // registers of its own
    pub fn push(&mut self, sample: i32) -> Option<Crossing> {
        let before = self.poles[2];
        let mut input = (i64::from(sample) - i64::from(self.half_period_before(sample))) << STATE_BITS;
        for pole in &mut self.poles {
            *pole += (input - *pole) >> self.low_shift;
            input = *pole;
        }
        let now = self.poles[2];
        self.since = self.since.saturating_add(1);
        if self.since > self.missing {
            self.good = 0;
        }
        let crossing = match self.side {
            Side::Negative if now >= 0 => Some(true),
            Side::Positive if now < 0 => Some(false),
            _ => None,
        };
        // The side is taken anew only beyond the hysteresis, and is unknown in between.
        if now > self.hysteresis {
            self.side = Side::Positive;
        } else if now < -self.hysteresis {
            self.side = Side::Negative;
        } else if crossing.is_some() {
            self.side = Side::Unknown;
        }
        let rising = crossing?;
        let fraction = interpolate(before, now);
        if rising {
            self.rising(fraction);
        }
        Some(Crossing { rising, fraction })
    }

    /// The signal half a nominal period before, and takes `sample` for half a period later.
    #[inline]
    fn half_period_before(&mut self, sample: i32) -> i32 {
        let before = self.comb[self.comb_at];
        // Four samples of 2^28.
        self.comb_sum += sample;
        self.comb_filled += 1;
        if self.comb_filled >> self.octave != 0 {
            self.comb[self.comb_at] = self.comb_sum >> self.octave;
            self.comb_at = if self.comb_at + 1 == self.comb_length { 0 } else { self.comb_at + 1 };
            (self.comb_sum, self.comb_filled) = (0, 0);
        }
        before
    }

    fn rising(&mut self, fraction: u32) {
        let period = (u64::from(self.since) << POSITION_BITS) + u64::from(fraction) - u64::from(self.last_fraction);
        if self.seen && (self.shortest..=self.longest).contains(&period) {
            if self.good > 0 && period.abs_diff(self.period) > self.period >> JUMP_SHIFT {
                self.settling = SETTLING_PERIODS;
            } else {
                self.settling = self.settling.saturating_sub(1);
            }
            self.good = self.good.saturating_add(1);
            self.good_in_window = self.good_in_window.saturating_add(1);
            self.period = period;
        } else {
            self.good = 0;
            self.settling = SETTLING_PERIODS;
        }
        self.disturbed_in_window |= self.settling();
        (self.since, self.last_fraction, self.seen) = (0, fraction, true);
    }
}

/// Where the line from `before` (not the sign of `now`) to `now` is zero, Q24 of the way.
fn interpolate(before: i64, now: i64) -> u32 {
    // Both below 2^45; eight bits are dropped to keep the shifted value below 2^63.
    let (a, b) = (before.unsigned_abs() >> 8, now.unsigned_abs() >> 8);
    match (a << POSITION_BITS).checked_div(a + b) {
        // A crossing that falls on this very sample stays just before it.
        Some(f) => f.min((1 << POSITION_BITS) - 1) as u32,
        None => 1 << (POSITION_BITS - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::f64::consts::TAU;
    use std::vec::Vec;

    fn run(rate_hz: u32, f: f64, signal: impl Fn(f64) -> f64, seconds: f64) -> (Tracker, Vec<f64>) {
        let config = MeterConfig { rate_hz, ..MeterConfig::default() };
        let mut tracker = Tracker::new(&config);
        let mut rising = Vec::new();
        for n in 0..(seconds * f64::from(rate_hz)) as u32 {
            let x = TAU * f * f64::from(n) / f64::from(rate_hz);
            if let Some(c) = tracker.push(signal(x) as i32)
                && c.rising
            {
                rising.push(f64::from(n) - 1.0 + f64::from(c.fraction) / 16_777_216.0);
            }
        }
        (tracker, rising)
    }

    #[test]
    fn periods_are_exact_under_harmonics_and_offset() {
        for rate in [8000, 16_000, 32_000] {
            for f in [42.6, 47.5, 50.0, 52.5, 60.0, 68.9] {
                let wave = |x: f64| 7e7 * (x.sin() + 0.3 * (3.0 * x).sin() + 0.2 * (5.0 * x + 1.0).cos()) + 2e6;
                let (tracker, rising) = run(rate, f, wave, 3.0);
                assert!(tracker.locked());
                let tail = &rising[rising.len() - 51..];
                let measured = 50.0 * f64::from(rate) / (tail[50] - tail[0]);
                assert!((measured / f - 1.0).abs() < 2e-7, "{rate} {f} {measured}");
            }
        }
    }

    #[test]
    fn not_locked_outside_the_range_or_without_a_signal() {
        for f in [20.0, 42.3, 69.3, 100.0, 400.0] {
            assert!(!run(8000, f, |x| 7e7 * x.sin(), 3.0).0.locked(), "{f}");
        }
        assert!(!run(8000, 50.0, |x| 3e5 * x.sin(), 3.0).0.locked(), "below 1 %");
        assert!(!run(8000, 50.0, |_| 5e7, 3.0).0.locked(), "direct voltage");
    }

    #[test]
    fn lock_is_lost_within_one_and_a_quarter_periods() {
        // The voltage stays at zero or at its peak; the filter may yet give one crossing, then 235 samples pass.
        for rest in [0, 70_000_000] {
            let (mut tracker, _) = run(8000, 50.0, |x| 7e7 * x.sin(), 1.0);
            let lost = (1..=235 + 160).find(|_| {
                tracker.push(rest);
                !tracker.locked()
            });
            assert!(lost.is_some_and(|n| n > 75), "{rest} {lost:?}");
        }
    }
}
