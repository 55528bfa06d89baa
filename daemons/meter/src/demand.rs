//! Mean and peak powers: what the integration periods that ended say about power.
//!
//! A mean is the difference of a register over a period divided by the full period, so it needs no page to have come; a
//! tariff's mean is the difference of the tariff's register over the same full period. Only whole periods count: one
//! that was cut or merged (`short`, `long`) sets no mean, no peak, no daily value and does not count against the
//! threshold. A period in which the power was off for a while is whole: nothing was measured, and nothing was drawn.
//!
//! At a debiting stop each peak is added to its accumulated register, and all peaks begin at zero again.

use meter_model::{Date, Utc};

use crate::energy::{DIRECTIONS, Directions};
use crate::settings::Params;
use crate::tariff::{TARIFFS, Tariff};

/// The largest power of some time: value and end of its period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peak {
    /// Power, mW (mvar, mVA).
    pub mw: u64,
    /// The end of the period that had it; the debiting stop that began the time, while there was none.
    pub at: Utc,
}

impl Peak {
    fn offer(&mut self, mw: u64, at: Utc) {
        if mw > self.mw {
            *self = Peak { mw, at };
        }
    }
}

/// Peaks of tariffs: P+, Q+ and S+ for T1 to T8, P- and Q- for T1 and T2.
pub const TARIFF_PEAKS: usize = 3 * TARIFFS + 2 * 2;

/// Accumulated peaks: P+, P-, Q+, Q-, and P+ of T1 and T2.
pub const ACCUMULATED: usize = 6;

/// Highest and lowest mean P+ of one day of normal time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayExtremes {
    /// The day.
    pub date: Date,
    /// Highest.
    pub max: Peak,
    /// Lowest.
    pub min: Peak,
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Means of the last whole period, mW, and its end; `None` before the first.
    pub mean: Option<(Directions, Utc)>,
    /// When peaks began to be looked for: the last debiting stop.
    pub since: Utc,
    /// P+, P-, Q+, Q-, S+, S-.
    pub peaks: [Peak; DIRECTIONS],
    /// Per tariff, see [`tariff_peak`].
    pub tariff_peaks: [Peak; TARIFF_PEAKS],
    /// See [`accumulated`], mW.
    pub accumulated: [u64; ACCUMULATED],
    /// The day of the last whole period.
    pub day: Option<DayExtremes>,
    /// Whole periods whose mean P+ was above the threshold.
    pub threshold_count: u32,
}

impl Default for Demand {
    fn default() -> Demand {
        Demand {
            mean: None,
            since: Utc(0),
            peaks: [Peak::default(); DIRECTIONS],
            tariff_peaks: [Peak::default(); TARIFF_PEAKS],
            accumulated: [0; ACCUMULATED],
            day: None,
            threshold_count: 0,
        }
    }
}

/// Where the peak of a direction and tariff stands; `None` when there is no such register.
pub(crate) fn tariff_peak(direction: usize, tariff: Tariff) -> Option<usize> {
    let t = tariff.index();
    match direction {
        0 => Some(t),
        2 => Some(TARIFFS + t),
        4 => Some(2 * TARIFFS + t),
        1 if t < 2 => Some(3 * TARIFFS + t),
        3 if t < 2 => Some(3 * TARIFFS + 2 + t),
        _ => None,
    }
}

/// Where the accumulated peak of a direction (and tariff) stands; `None` when there is no such register.
pub(crate) fn accumulated(direction: usize, tariff: Option<Tariff>) -> Option<usize> {
    match (direction, tariff) {
        (0..4, None) => Some(direction),
        (0, Some(t)) if t.index() < 2 => Some(4 + t.index()),
        _ => None,
    }
}

/// A whole period that ended.
pub(crate) struct Period<'a> {
    /// Its end.
    pub end: Utc,
    /// What each direction's register advanced, mJ.
    pub total: Directions,
    /// The same per tariff.
    pub by_tariff: &'a [Directions; TARIFFS],
    pub params: &'a Params,
}

impl Demand {
    /// Takes a whole period into account.
    pub(crate) fn period(&mut self, period: &Period) {
        let seconds = u64::from(period.params.period_min) * 60;
        // mJ per second are mW; rounded half up, as every mean.
        let mean = |mj: u64| mj.saturating_add(seconds / 2) / seconds;
        let means = period.total.map(mean);
        self.mean = Some((means, period.end));
        for (peak, mw) in self.peaks.iter_mut().zip(means) {
            peak.offer(mw, period.end);
        }
        for (n, energies) in period.by_tariff.iter().enumerate() {
            let Some(tariff) = Tariff::new(n as u8 + 1) else { continue };
            for (direction, mj) in energies.iter().enumerate() {
                if let Some(peak) = tariff_peak(direction, tariff).and_then(|at| self.tariff_peaks.get_mut(at)) {
                    peak.offer(mean(*mj), period.end);
                }
            }
        }
        let [p_plus, ..] = means;
        if period.params.threshold_w > 0 && p_plus > u64::from(period.params.threshold_w) * 1000 {
            self.threshold_count = self.threshold_count.saturating_add(1);
        }
        self.of_day(Peak { mw: p_plus, at: period.end }, period.params);
    }

    /// The day ends at midnight of normal time; the period that ends there is its last.
    fn of_day(&mut self, mean: Peak, params: &Params) {
        let normal = mean.at.0.div_euclid(Utc::MINUTE) + i64::from(params.offset_min);
        let (date, _) = Date::of_minute(normal - 1);
        match &mut self.day {
            Some(day) if day.date == date => {
                day.max.offer(mean.mw, mean.at);
                if mean.mw < day.min.mw {
                    day.min = mean;
                }
            }
            day => *day = Some(DayExtremes { date, max: mean, min: mean }),
        }
    }

    /// A debiting stop: peaks go to the accumulated registers and begin anew.
    pub(crate) fn stop(&mut self, at: Utc) {
        for direction in 0..DIRECTIONS {
            if let Some(sum) = accumulated(direction, None).and_then(|n| self.accumulated.get_mut(n)) {
                *sum = sum.saturating_add(self.peaks[direction].mw);
            }
        }
        for tariff in [1, 2].into_iter().filter_map(Tariff::new) {
            let peak = tariff_peak(0, tariff).map_or(0, |n| self.tariff_peaks[n].mw);
            if let Some(sum) = accumulated(0, Some(tariff)).and_then(|n| self.accumulated.get_mut(n)) {
                *sum = sum.saturating_add(peak);
            }
        }
        let none = Peak { mw: 0, at };
        self.since = at;
        self.peaks = [none; DIRECTIONS];
        self.tariff_peaks = [none; TARIFF_PEAKS];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_register_of_the_table_has_a_place_of_its_own() {
        let mut used = [false; TARIFF_PEAKS];
        for direction in 0..DIRECTIONS {
            for tariff in (1..=8).filter_map(Tariff::new) {
                if let Some(at) = tariff_peak(direction, tariff) {
                    assert!(!std::mem::replace(&mut used[at], true), "{direction} {tariff}");
                }
            }
        }
        assert!(used.iter().all(|u| *u));
        assert_eq!(accumulated(0, Tariff::new(3)), None);
        assert_eq!(accumulated(4, None), None);
    }

    #[test]
    fn a_day_has_its_highest_and_lowest_mean_and_ends_at_midnight_of_normal_time() {
        let params = Params { offset_min: 60, period_min: 60, ..Params::default() };
        let mut demand = Demand::default();
        let mut hour = |hours: i64, mw: u64| {
            let end = Utc::from_minutes(hours * 60);
            let total = [mw * 3600, 0, 0, 0, 0, 0];
            demand.period(&Period { end, total, by_tariff: &[[0; 6]; 8], params: &params });
            demand.day.map(|d| (d.date.0, d.max.mw, d.min.mw))
        };
        // 23:00 UTC is midnight there: the last period of day 0.
        assert_eq!(hour(22, 500), Some((0, 500, 500)));
        assert_eq!(hour(23, 700), Some((0, 700, 500)));
        assert_eq!(hour(24, 600), Some((1, 600, 600)));
        assert_eq!(hour(25, 200), Some((1, 600, 200)));
    }
}
