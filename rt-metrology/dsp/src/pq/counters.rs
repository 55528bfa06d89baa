//! Occurrence counters: how often the supply left what EN 50160 calls usual, cumulative since the meter began.
//!
//! | counter | counts | usual limit |
//! |---|---|---|
//! | `frequency_low`, `_high` | ten-second frequencies beyond | −2 %, +2 % of nominal |
//! | `voltage_low`, `_very_low`, `_high` | ten minutes in which the voltage of any phase was beyond | −10, −15, +10 % of nominal |
//! | `unbalance` | ten minutes with u2 beyond | 2 % |
//! | `thd_u`, `thd_i` | ten minutes with a distortion (subgroups to order 40) beyond, per phase | 8 % |
//! | `sags`, `swells` | falls and rises of any phase for 100 ms to 1 s, at most one of each in a second | −20, +20 % |
//! | `dips`, `overvoltages`, `interruptions_*`, `rapid_changes` | the events of IEC 61000-4-30 | [`super::events::Thresholds`] |
//!
//! Readings of this module: "beyond" is beyond, not at. A ten-minute value is the aggregate of IEC 61000-4-30 4.5, flagged
//! or not, and counts from [`LEAST_WINDOWS`] windows on. Lengths are those of the one-cycle values, renewed each
//! half-cycle, so they are within one cycle; half a cycle is granted at either end. What lasts longer than a second is
//! left to the one-second values. A counter that is full stays full.

use super::aggregate::Aggregate;
use super::events::{Event, Kind, VOLTAGES, Watch};
use super::frequency::TenSeconds;
use super::{VALUES, Value};
use crate::design::PHASES;
use metrology_link::payload::MeterConfig;

/// Windows that a ten-minute value is at least made of: ten minutes at the slowest frequency (42.5 Hz) hold 2550.
pub const LEAST_WINDOWS: u32 = 2500;
/// An interruption is short up to this, s (EN 50160: three minutes).
const SHORT_S: u64 = 180;

/// What is counted. All of it is cumulative; differences over a day, a week or a month are the reader's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Ten-second intervals that had a frequency.
    pub frequency_intervals: u32,
    /// Those below the lower limit (F1).
    pub frequency_low: u32,
    /// Those above the upper limit (F2).
    pub frequency_high: u32,
    /// Ten-minute intervals that counted.
    pub voltage_intervals: u32,
    /// Those with a voltage below the limit.
    pub voltage_low: u32,
    /// Those with a voltage below the lower limit.
    pub voltage_very_low: u32,
    /// Those with a voltage above the limit.
    pub voltage_high: u32,
    /// Those with an unbalance (u2) above the limit.
    pub unbalance: u32,
    /// Those with a voltage distortion above the limit, per phase.
    pub thd_u: [u32; PHASES],
    /// Those with a current distortion above the limit, per phase.
    pub thd_i: [u32; PHASES],
    /// Sags of 100 ms to 1 s.
    pub sags: u32,
    /// Swells of 100 ms to 1 s.
    pub swells: u32,
    /// Dips by IEC 61000-4-30, of any length.
    pub dips: u32,
    /// Swells by IEC 61000-4-30, of any length.
    pub overvoltages: u32,
    /// Interruptions of all phases by IEC 61000-4-30, up to three minutes. Those that take the meter's own supply are
    /// not seen here.
    pub interruptions_short: u32,
    /// Longer ones.
    pub interruptions_long: u32,
    /// Rapid voltage changes by IEC 61000-4-30.
    pub rapid_changes: u32,
}

/// Limits of the counters, in parts per thousand of the nominal value where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Frequency.
    pub frequency_low: u32,
    /// Frequency.
    pub frequency_high: u32,
    /// Voltage.
    pub voltage_low: u32,
    /// Voltage.
    pub voltage_very_low: u32,
    /// Voltage.
    pub voltage_high: u32,
    /// u2, parts per thousand.
    pub unbalance: u32,
    /// Distortion of a voltage, parts per thousand.
    pub thd_u: u32,
    /// Distortion of a current, parts per thousand; `None` does not count.
    pub thd_i: Option<u32>,
    /// Sags begin below, of the nominal voltage.
    pub sag: u32,
    /// Swells begin above.
    pub swell: u32,
    /// Shortest sag or swell that counts, ms.
    pub least_ms: u32,
    /// Longest.
    pub most_ms: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::USUAL
    }
}

impl Limits {
    /// Those of the table above.
    pub const USUAL: Limits = Limits {
        frequency_low: 980,
        frequency_high: 1020,
        voltage_low: 900,
        voltage_very_low: 850,
        voltage_high: 1100,
        unbalance: 20,
        thd_u: 80,
        thd_i: Some(80),
        sag: 800,
        swell: 1200,
        least_ms: 100,
        most_ms: 1000,
    };
}

/// Counts.
#[derive(Clone, Debug)]
pub struct Counting {
    counters: Counters,
    limits: Limits,
    /// Nominal frequency, µHz, and voltage, V.
    f_nominal: u64,
    u_nominal: f32,
    rate_hz: u64,
    /// Half a nominal cycle, samples.
    half: u64,
    /// Sags and swells, each with the sample clock at the end of the one that was counted last.
    watches: [(Watch, Option<u64>); 2],
}

impl Default for Counting {
    fn default() -> Counting {
        Counting::new()
    }
}

impl Counting {
    /// Nothing counted.
    pub const fn new() -> Counting {
        Counting {
            counters: Counters {
                frequency_intervals: 0,
                frequency_low: 0,
                frequency_high: 0,
                voltage_intervals: 0,
                voltage_low: 0,
                voltage_very_low: 0,
                voltage_high: 0,
                unbalance: 0,
                thd_u: [0; PHASES],
                thd_i: [0; PHASES],
                sags: 0,
                swells: 0,
                dips: 0,
                overvoltages: 0,
                interruptions_short: 0,
                interruptions_long: 0,
                rapid_changes: 0,
            },
            limits: Limits::USUAL,
            f_nominal: 50_000_000,
            u_nominal: 230.0,
            rate_hz: 8000,
            half: 80,
            watches: [(Watch::new(Kind::Dip), None), (Watch::new(Kind::Swell), None)],
        }
    }

    /// Takes another configuration; counters stay.
    pub fn configure(&mut self, config: &MeterConfig, limits: &Limits) {
        self.limits = *limits;
        self.f_nominal = u64::from(config.f_nominal) * 1_000_000;
        self.u_nominal = config.u_nominal_mv as f32 / 1e3;
        self.rate_hz = u64::from(config.rate_hz);
        self.half = self.rate_hz / (2 * u64::from(config.f_nominal.max(1)));
        let mv = |permille: u32| (u64::from(config.u_nominal_mv) * u64::from(permille) / 1000) as u32;
        let [(sag, sag_end), (swell, swell_end)] = &mut self.watches;
        sag.set(mv(limits.sag), mv(limits.sag));
        swell.set(mv(limits.swell), mv(limits.swell));
        (*sag_end, *swell_end) = (None, None);
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Goes on from stored counters.
    pub fn restore(&mut self, counters: &Counters) {
        self.counters = *counters;
    }

    /// Takes a frequency over ten seconds.
    pub fn frequency(&mut self, value: &TenSeconds) {
        let Some(f) = value.f_uhz.map(u64::from) else { return };
        let c = &mut self.counters;
        count(&mut c.frequency_intervals, true);
        count(&mut c.frequency_low, f * 1000 < self.f_nominal * u64::from(self.limits.frequency_low));
        count(&mut c.frequency_high, f * 1000 > self.f_nominal * u64::from(self.limits.frequency_high));
    }

    /// Takes a ten-minute value.
    pub fn ten_minutes(&mut self, value: &Aggregate<VALUES>) {
        if value.parts < LEAST_WINDOWS {
            return;
        }
        let (c, limits) = (&mut self.counters, &self.limits);
        let at = |place: Value, k: usize| value.values.get(place as usize + k).copied().flatten();
        let share = |permille: u32| permille as f32 / 1000.0;
        let volts = |permille: u32| self.u_nominal * share(permille);
        let any = |test: &dyn Fn(f32) -> bool| (0..PHASES).filter_map(|k| at(Value::U, k)).any(test);
        count(&mut c.voltage_intervals, any(&|_| true));
        count(&mut c.voltage_low, any(&|u| u < volts(limits.voltage_low)));
        count(&mut c.voltage_very_low, any(&|u| u < volts(limits.voltage_very_low)));
        count(&mut c.voltage_high, any(&|u| u > volts(limits.voltage_high)));
        count(&mut c.unbalance, at(Value::U2, 0).is_some_and(|u2| u2 > share(limits.unbalance)));
        for k in 0..PHASES {
            count(&mut c.thd_u[k], at(Value::ThdU, k).is_some_and(|thd| thd > share(limits.thd_u)));
            let limit = limits.thd_i.map(share);
            let beyond = at(Value::ThdI, k).zip(limit).is_some_and(|(thd, limit)| thd > limit);
            count(&mut c.thd_i[k], beyond);
        }
    }

    /// Takes an event by IEC 61000-4-30; counts it when it is over.
    pub fn event(&mut self, event: &Event) {
        let Some(duration) = event.duration else { return };
        let c = &mut self.counters;
        let counter = match event.kind {
            Kind::Dip => &mut c.dips,
            Kind::Swell => &mut c.overvoltages,
            Kind::Interruption if duration <= SHORT_S * self.rate_hz => &mut c.interruptions_short,
            Kind::Interruption => &mut c.interruptions_long,
            Kind::Rapid => &mut c.rapid_changes,
        };
        count(counter, true);
    }

    /// Takes the RMS values (mV) of a cycle that began at `start` (sample clock), of the channels in `mask`.
    pub fn cycle(&mut self, start: u64, rms_mv: &[u32; VOLTAGES], mask: u8) {
        let samples = |ms: u32| u64::from(ms) * self.rate_hz / 1000;
        let (least, most) = (samples(self.limits.least_ms).saturating_sub(self.half), samples(self.limits.most_ms));
        for (k, (watch, last)) in self.watches.iter_mut().enumerate() {
            let Some(event) = watch.step(start, rms_mv, mask) else { continue };
            let Some(duration) = event.duration else { continue };
            let fits = (least..=most + self.half).contains(&duration);
            let alone = last.is_none_or(|last| start.saturating_sub(last) >= self.rate_hz);
            if fits && alone {
                *last = Some(start);
                count(if k == 0 { &mut self.counters.sags } else { &mut self.counters.swells }, true);
            }
        }
    }
}

/// Adds one if it `happened`.
fn count(counter: &mut u32, happened: bool) {
    *counter = counter.saturating_add(u32::from(happened));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting() -> Counting {
        let mut counting = Counting::new();
        counting.configure(&MeterConfig::default(), &Limits::USUAL);
        counting
    }

    fn ten(set: &[(usize, f32)], parts: u32) -> Aggregate<VALUES> {
        let mut values = [None; VALUES];
        set.iter().for_each(|&(k, v)| values[k] = Some(v));
        Aggregate { interval: 1, values, parts, flagged: false }
    }

    #[test]
    fn ten_seconds_below_49_and_above_51_hz_count() {
        let mut c = counting();
        for f in [48_999_999, 49_000_000, 50_000_000, 51_000_000, 51_000_001, 51_500_000] {
            c.frequency(&TenSeconds { utc_us: 0, f_uhz: Some(f) });
        }
        c.frequency(&TenSeconds { utc_us: 0, f_uhz: None });
        let c = c.counters();
        assert_eq!((c.frequency_intervals, c.frequency_low, c.frequency_high), (6, 1, 2));
    }

    #[test]
    fn ten_minutes_count_once_whatever_the_number_of_phases_but_distortion_per_phase() {
        let mut c = counting();
        let (u, u2, thd_u, thd_i) = (Value::U as usize, Value::U2 as usize, Value::ThdU as usize, Value::ThdI as usize);
        c.ten_minutes(&ten(&[(u, 230.0), (u + 1, 206.0), (u + 2, 190.0), (u2, 0.021)], 3000));
        c.ten_minutes(&ten(&[(u, 253.1), (u + 1, 208.0), (u2, 0.02), (thd_u + 1, 0.081), (thd_u, 0.08)], 3000));
        c.ten_minutes(&ten(&[(u, 230.0), (thd_i + 2, 0.3), (thd_u + 1, 0.09)], 3000));
        c.ten_minutes(&ten(&[(u, 100.0), (u2, 0.5), (thd_u, 0.5)], LEAST_WINDOWS - 1));
        let c = *c.counters();
        assert_eq!((c.voltage_intervals, c.voltage_low, c.voltage_very_low, c.voltage_high), (3, 1, 1, 1));
        assert_eq!((c.unbalance, c.thd_u, c.thd_i), (1, [0, 2, 0], [0, 0, 1]));
    }

    /// Sags and swells of half-cycles of 80 samples at 8 kS/s; `shares` of 230 V with their half-cycles.
    fn sags(shares: &[(f64, u64)]) -> (u32, u32) {
        let mut c = counting();
        let mut n = 0;
        for &(share, halves) in shares {
            for _ in 0..halves {
                c.cycle(80 * n, &[230_000, (230_000.0 * share) as u32, 230_000], 7);
                n += 1;
            }
        }
        (c.counters().sags, c.counters().swells)
    }

    #[test]
    fn sags_and_swells_of_100_ms_to_a_second_count_at_most_once_a_second() {
        assert_eq!(sags(&[(1.0, 9), (0.79, 10), (1.0, 9)]), (1, 0));
        assert_eq!(sags(&[(1.0, 9), (0.81, 10), (1.0, 9)]), (0, 0), "not by a fifth");
        assert_eq!(sags(&[(1.0, 9), (0.79, 8), (1.0, 9)]), (0, 0), "too short");
        assert_eq!(sags(&[(1.0, 9), (0.5, 101), (1.0, 9)]), (1, 0));
        assert_eq!(sags(&[(1.0, 9), (0.5, 102), (1.0, 9)]), (0, 0), "too long: the one-second values have it");
        assert_eq!(sags(&[(1.21, 50), (1.0, 9), (0.5, 50), (1.0, 9)]), (1, 1));
        assert_eq!(sags(&[(0.5, 20), (1.0, 20), (0.5, 20), (1.0, 20)]), (1, 0), "0.4 s apart");
        assert_eq!(sags(&[(0.5, 20), (1.0, 80), (0.5, 20), (1.0, 20)]), (2, 0));
    }

    #[test]
    fn events_count_when_they_are_over_and_interruptions_by_their_length() {
        let mut c = counting();
        let event = |kind, duration| Event { kind, channels: 1, start: 0, duration, extreme_mv: 0, steady_mv: 0 };
        for (kind, duration) in [
            (Kind::Dip, None),
            (Kind::Dip, Some(80)),
            (Kind::Swell, Some(80)),
            (Kind::Interruption, Some(180 * 8000)),
            (Kind::Interruption, Some(180 * 8000 + 1)),
            (Kind::Rapid, Some(0)),
        ] {
            c.event(&event(kind, duration));
        }
        let n = c.counters();
        assert_eq!((n.dips, n.overvoltages, n.rapid_changes), (1, 1, 1));
        assert_eq!((n.interruptions_short, n.interruptions_long), (1, 1));
        let stored = *n;
        let mut again = counting();
        again.restore(&stored);
        assert_eq!(*again.counters(), stored);
    }
}
