//! Rapid voltage changes of one channel (IEC 61000-4-30 5.11).
//!
//! The voltage is steady while each of the values of the last second (100 half-cycles at 50 Hz, 120 at 60 Hz) lies
//! within the threshold of their mean. The value that ends the steady state begins the change; it is over when the
//! values of a whole second lie within the threshold less its hysteresis, and ended with the first of them: an abrupt
//! step lasts no time. A change that reaches a dip or swell is none, since it is told as those.

use super::events::{Event, Kind, Thresholds};
use metrology_link::payload::MeterConfig;

/// Half-cycles in a second at 60 Hz.
pub const SECOND: usize = 120;
/// Bytes of a [`Rapid`]: value and time (low half of the sample clock) of each half-cycle, and the state.
pub const RAPID_BYTES: usize = 8 * SECOND + 64;

/// Follows one channel.
#[derive(Clone, Debug)]
pub struct Rapid {
    values: [(u32, u32); SECOND],
    /// Half-cycles in a second: 100 or 120.
    count: u32,
    filled: u32,
    /// Where the oldest value stands.
    at: u32,
    limit_mv: u32,
    inner_mv: u32,
    dip_mv: u32,
    swell_mv: u32,
    /// There was a steady second since the start: a change begins from one.
    steady: bool,
    change: Option<Change>,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    start: u64,
    /// Mean of the second before, mV.
    before_mv: u32,
    lowest_mv: u32,
    highest_mv: u32,
}

impl Default for Rapid {
    fn default() -> Rapid {
        Rapid::new()
    }
}

impl Rapid {
    /// Nothing seen, no thresholds.
    pub const fn new() -> Rapid {
        Rapid {
            values: [(0, 0); SECOND],
            count: SECOND as u32,
            filled: 0,
            at: 0,
            limit_mv: 0,
            inner_mv: 0,
            dip_mv: 0,
            swell_mv: 0,
            steady: false,
            change: None,
        }
    }

    /// Begins anew.
    pub fn configure(&mut self, config: &MeterConfig, thresholds: &Thresholds) {
        let mv = |permille: u32| (u64::from(config.u_nominal_mv) * u64::from(permille) / 1000) as u32;
        self.limit_mv = mv(thresholds.rapid);
        let inner = 1000_u32.saturating_sub(thresholds.rapid_hysteresis);
        self.inner_mv = (u64::from(self.limit_mv) * u64::from(inner) / 1000) as u32;
        (self.dip_mv, self.swell_mv) = (mv(thresholds.dip), mv(thresholds.swell));
        self.count = (2 * u32::from(config.f_nominal)).min(SECOND as u32);
        (self.filled, self.at, self.steady, self.change) = (0, 0, false, None);
    }

    /// Where the change that is under way began.
    pub fn under_way(&self) -> Option<u64> {
        self.change.map(|change| change.start)
    }

    /// Mean of the last second, mV, and the largest distance from it.
    fn steadiness(&self) -> (u32, u32) {
        let values = || self.values[..self.count as usize].iter().map(|v| v.0);
        let sum: u64 = values().map(u64::from).sum();
        let mean = ((sum + u64::from(self.count / 2)) / u64::from(self.count.max(1))) as u32;
        (mean, values().map(|v| v.abs_diff(mean)).max().unwrap_or(0))
    }

    /// Takes the value of a cycle that began at `start`. Gives a change that is over.
    pub fn step(&mut self, channel: u8, start: u64, rms_mv: u32) -> Option<Event> {
        let full = self.filled >= self.count;
        let mean_before = if full { self.steadiness().0 } else { 0 };
        if let Some(slot) = self.values.get_mut(self.at as usize) {
            *slot = (rms_mv, start as u32);
        }
        self.at = (self.at + 1) % self.count;
        self.filled = (self.filled + 1).min(self.count);
        if !full {
            return None;
        }
        let (mean_mv, apart) = self.steadiness();
        let Some(change) = &mut self.change else {
            self.steady |= apart <= self.inner_mv;
            if apart > self.limit_mv && self.steady {
                self.change = Some(Change { start, before_mv: mean_before, lowest_mv: rms_mv, highest_mv: rms_mv });
            }
            return None;
        };
        change.lowest_mv = change.lowest_mv.min(rms_mv);
        change.highest_mv = change.highest_mv.max(rms_mv);
        if apart > self.inner_mv {
            return None;
        }
        let change = *change;
        self.change = None;
        if change.lowest_mv < self.dip_mv || change.highest_mv > self.swell_mv {
            return None;
        }
        // The oldest value stands where the next will be written; its time is told by its low half.
        let oldest = self.values.get(self.at as usize).map_or(0, |v| v.1);
        let age = u64::from((start as u32).wrapping_sub(oldest));
        let largest = change.lowest_mv.abs_diff(change.before_mv).max(change.highest_mv.abs_diff(change.before_mv));
        Some(Event {
            kind: Kind::Rapid,
            channels: channel,
            start: change.start,
            duration: Some(start.saturating_sub(age).saturating_sub(change.start)),
            extreme_mv: largest,
            steady_mv: mean_mv.abs_diff(change.before_mv),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// (start, steps, dUmax V, dUss V) of all changes; a value per step of 80 samples, 100 V nominal.
    fn run(values: impl IntoIterator<Item = f64>) -> Vec<(u64, u64, f64, f64)> {
        let mut rapid = Rapid::new();
        rapid.configure(&MeterConfig { u_nominal_mv: 100_000, ..MeterConfig::default() }, &Thresholds::USUAL);
        let mut out = Vec::new();
        for (n, u) in values.into_iter().enumerate() {
            if let Some(e) = rapid.step(2, 80 * n as u64, (u * 1000.0) as u32) {
                assert_eq!((e.kind, e.channels), (Kind::Rapid, 2));
                let volts = |mv: u32| f64::from(mv) / 1000.0;
                out.push((e.start / 80, e.duration.unwrap() / 80, volts(e.extreme_mv), volts(e.steady_mv)));
            }
        }
        out
    }

    fn level(u: f64, count: usize) -> impl Iterator<Item = f64> {
        std::iter::repeat_n(u, count)
    }

    #[test]
    fn iec_61000_4_30_5_11_a_step_beyond_the_threshold_is_a_change() {
        // The new value is 0.99 of the step away from the mean that includes it.
        assert_eq!(run(level(100.0, 150).chain(level(94.0, 150))), [(150, 0, 6.0, 6.0)]);
        assert_eq!(run(level(100.0, 150).chain(level(94.9, 150))), [(150, 0, 5.1, 5.1)]);
        assert_eq!(run(level(100.0, 150).chain(level(95.0, 150))), []);
        assert_eq!(run(level(100.0, 99).chain(level(94.0, 150))), [], "no steady second before it");
    }

    #[test]
    fn iec_61000_4_30_5_11_a_ladder_of_steps_is_one_change_until_a_steady_second() {
        // 6 % down in three steps of 2 %, 200 ms apart; then slowly.
        let ladder = level(100.0, 120)
            .chain(level(98.0, 20))
            .chain(level(96.0, 20))
            .chain(level(94.0, 20))
            .chain(level(92.0, 20))
            .chain(level(92.0, 200));
        let changes = run(ladder);
        assert_eq!(changes.len(), 1);
        let (start, steps, largest, steady) = changes[0];
        // The third step takes a value 5 % away from the mean of a second that is mostly at 100.
        assert!((160..=180).contains(&start) && (start..=180).contains(&(start + steps)), "{changes:?}");
        assert!((5.0..=8.0).contains(&largest) && (5.0..=8.0).contains(&steady), "{changes:?}");
        let slow = (0..2000).map(|n| 100.0 - 6.0 * f64::from(n) / 2000.0);
        assert_eq!(run(slow), [], "a ramp of 0.3 % a second");
    }

    #[test]
    fn iec_61000_4_30_5_11_the_hysteresis_is_half_of_the_threshold() {
        // After the step the voltage swings: by 2.4 % around its mean it is steady, by 2.6 % it is not.
        let swinging = |depth: f64| {
            let swing = (0..400).map(move |n| 95.0 + if n / 20 % 2 == 0 { -depth } else { depth });
            run(level(100.0, 150).chain(swing).chain(level(95.0, 30)))
        };
        let (steady, restless) = (swinging(2.4), swinging(2.6));
        // The mean of a second of the swing is not quite its middle: one of its steps may belong to the change.
        assert!(steady.len() == 1 && steady[0].1 <= 20, "{steady:?}");
        assert_eq!(restless.len(), 0, "no steady second before the end: {restless:?}");
    }

    #[test]
    fn iec_61000_4_30_5_11_a_change_that_becomes_a_dip_or_swell_is_dropped() {
        assert_eq!(run(level(100.0, 150).chain(level(89.9, 150))), []);
        assert_eq!(run(level(100.0, 150).chain(level(110.1, 150))), []);
        assert_eq!(run(level(100.0, 150).chain(level(109.0, 150))).len(), 1);
        let touching = level(100.0, 150).chain(level(80.0, 3)).chain(level(94.0, 300));
        assert_eq!(run(touching), []);
    }

    #[test]
    fn size() {
        assert!(size_of::<Rapid>() <= RAPID_BYTES, "{}", size_of::<Rapid>());
    }
}
