//! Frequency over ten seconds (IEC 61000-4-30 5.1): whole periods in a 10 s interval of meter time, divided by their
//! duration on the disciplined sample clock.

use crate::design::POSITION_BITS;
use metrology_link::payload::Grid;

/// Length of an interval, µs.
const INTERVAL_US: i64 = 10_000_000;

/// Frequency of one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenSeconds {
    /// Begin of the interval, µs since 1970 UTC.
    pub utc_us: i64,
    /// Frequency, µHz. Absent when the frequency was not tracked all the time.
    pub f_uhz: Option<u32>,
}

/// Counts periods.
#[derive(Clone, Debug, Default)]
pub struct Counter {
    /// Number of the interval that is under way.
    interval: Option<i64>,
    /// Whole from its begin: the first interval after a start is not.
    whole: bool,
    /// Position of the first crossing in it (sample, Q24 fraction), and of the last.
    first: Option<(u64, u32)>,
    last: (u64, u32),
    periods: u32,
    broken: bool,
}

impl Counter {
    /// Nothing seen.
    pub const fn new() -> Counter {
        Counter { interval: None, whole: false, first: None, last: (0, 0), periods: 0, broken: false }
    }

    /// Begins anew.
    pub fn restart(&mut self) {
        *self = Counter::new();
    }

    /// The end of a half-cycle at a position of the sample clock. `rising`: at a crossing that begins a period;
    /// `tracked`: the half-cycle lies between crossings of a tracked frequency. Gives the interval that is over.
    pub fn step(&mut self, at: (u64, u32), rising: bool, tracked: bool, grid: &Grid) -> Option<TenSeconds> {
        let interval = grid.utc_us_at(at.0).div_euclid(INTERVAL_US);
        let mut over = None;
        if self.interval != Some(interval) {
            if let Some(number) = self.interval.filter(|_| self.whole) {
                over = Some(TenSeconds { utc_us: number.saturating_mul(INTERVAL_US), f_uhz: self.value(grid) });
            }
            self.whole = self.interval.is_some_and(|last| last.checked_add(1) == Some(interval));
            (self.interval, self.first, self.periods, self.broken) = (Some(interval), None, 0, false);
        }
        self.broken |= !tracked;
        if rising && tracked {
            match self.first {
                None => self.first = Some(at),
                Some(_) => self.periods += 1,
            }
            self.last = at;
        }
        over
    }

    fn value(&self, grid: &Grid) -> Option<u32> {
        let first = self.first.filter(|_| !self.broken && self.periods > 0)?;
        let q24 = |(index, fraction): (u64, u32)| (u128::from(index) << POSITION_BITS) + u128::from(fraction);
        let length = q24(self.last).checked_sub(q24(first)).filter(|length| *length > 0)?;
        // periods · rate (Q16) · 10^6 · 2^8 makes µHz over a length in Q24: 690 · 2^31 · 2^20 · 2^8 < 2^69.
        let numerator = (u128::from(self.periods) * u128::from(grid.rate_q16) * 1_000_000) << (POSITION_BITS - 16);
        u32::try_from((numerator + length / 2) / length).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn run(rate_q16: u64, f: impl Fn(f64) -> Option<f64>, seconds: f64) -> Vec<TenSeconds> {
        // Meter time begins 3 s before a full ten seconds.
        let grid = Grid { utc_us: 1_000_000_007_000_000, rate_q16, ..Grid::default() };
        let mut counter = Counter::new();
        let mut out = Vec::new();
        let (mut t, mut rising) = (0.3, false);
        while t < seconds {
            let hz = f(t);
            t += 0.5 / hz.unwrap_or(50.0);
            rising = !rising;
            let position = t * rate_q16 as f64 / 65_536.0;
            let fraction = (position.fract() * 16_777_216.0) as u32;
            out.extend(counter.step((position as u64, fraction), rising, hz.is_some(), &grid));
        }
        out
    }

    #[test]
    fn iec_61000_4_30_5_1_whole_periods_by_their_duration() {
        for hz in [42.6, 49.87, 50.0, 60.0, 68.0] {
            let values = run(8000 << 16, |_| Some(hz), 35.0);
            assert_eq!(values.len(), 3, "the first interval was not whole, and begins 3 s after the start");
            for (n, value) in values.iter().enumerate() {
                assert_eq!(value.utc_us, 1_000_000_010_000_000 + 10_000_000 * n as i64);
                assert!((f64::from(value.f_uhz.unwrap()) / 1e6 - hz).abs() < 1e-6, "{hz} {value:?}");
            }
        }
    }

    #[test]
    fn iec_61000_4_30_5_1_the_disciplined_clock_counts() {
        // The crystal is 100 ppm fast and the grid knows.
        let values = run((8000 << 16) + 52_429, |_| Some(50.0), 25.0);
        assert!((f64::from(values[0].f_uhz.unwrap()) / 1e6 - 50.0).abs() < 2e-6, "{values:?}");
    }

    #[test]
    fn iec_61000_4_30_5_1_2_an_untracked_part_leaves_no_value() {
        let values = run(8000 << 16, |t| (!(15.0..15.1).contains(&t)).then_some(50.0), 40.0);
        assert_eq!(values.iter().map(|v| v.f_uhz.is_some()).collect::<Vec<_>>(), [true, false, true]);
    }
}
