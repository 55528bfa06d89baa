//! The open interval of the load profile, and the row it becomes.

use meter_model::{Status, Utc};
use metrology_link::payload::{Counters, PHASES, Sums};

use crate::energy::Directions;
use crate::logger::{ABSENT, LOAD_ENERGIES, Row};
use crate::settings::{Params, Settings};
use crate::tariff::TARIFFS;
use crate::{SET_LIMIT_US, energy};

/// Cumulative sums for means of one phase. Counts are the low 32 bits (27 years of windows); only differences count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhaseMeanSums {
    /// Windows in `u_mv` and `i_ua`.
    pub windows: u32,
    /// Sum of RMS voltage, mV.
    pub u_mv: u64,
    /// Sum of RMS current, µA.
    pub i_ua: u64,
    /// Windows with a power factor.
    pub pf_windows: u32,
    /// Sum of the signed power factor, ppm.
    pub pf_ppm: i64,
}

/// Cumulative sums for means, as far as the load profile needs them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeanSums {
    /// L1 to L3.
    pub phase: [PhaseMeanSums; PHASES],
    /// Windows with a tracked frequency.
    pub f_windows: u32,
    /// Sum of frequency, µHz.
    pub f_uhz: u64,
}

impl From<&Sums> for MeanSums {
    fn from(sums: &Sums) -> MeanSums {
        let phase = sums.phase.each_ref().map(|p| PhaseMeanSums {
            windows: p.windows as u32,
            u_mv: p.u_mv,
            i_ua: p.i_ua,
            pf_windows: p.pf_windows as u32,
            pf_ppm: p.pf_ppm,
        });
        MeanSums { phase, f_windows: sums.f_windows as u32, f_uhz: sums.f_uhz }
    }
}

impl MeanSums {
    /// Whether a count of `now` is behind this one: the sums began anew.
    pub(crate) fn is_ahead_of(&self, now: &MeanSums) -> bool {
        let behind = |from: u32, to: u32| to.wrapping_sub(from) > u32::MAX / 2;
        behind(self.f_windows, now.f_windows)
            || self
                .phase
                .iter()
                .zip(&now.phase)
                .any(|(a, b)| behind(a.windows, b.windows) || behind(a.pf_windows, b.pf_windows))
    }
}

/// Mean of `sum` over `n` windows, rounded half up; [`ABSENT`] without windows.
fn mean(sum: i64, n: u32, factor: u16) -> i64 {
    if n == 0 {
        return ABSENT;
    }
    let (sum, n) = (i128::from(sum) * i128::from(factor), i128::from(n));
    i64::try_from((2 * sum + n).div_euclid(2 * n)).unwrap_or(i64::MAX)
}

/// The interval that is being filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Its begin in meter time.
    pub start: Utc,
    /// Sample clock at its begin.
    pub start_t: u64,
    /// The minute (UTC since 1970) at or after which it closes.
    pub boundary: i64,
    /// What has happened in it so far.
    pub status: Status,
    /// Sums at its begin.
    pub sums: MeanSums,
    /// Registers at its begin, mJ.
    pub total: Directions,
    /// Registers per tariff at its begin, mJ.
    pub by_tariff: [Directions; TARIFFS],
}

impl Interval {
    /// What is stored while no interval is open.
    pub(crate) const NONE: Interval = Interval {
        start: Utc(0),
        start_t: 0,
        boundary: 0,
        status: Status(0),
        sums: MeanSums {
            phase: [PhaseMeanSums { windows: 0, u_mv: 0, i_ua: 0, pf_windows: 0, pf_ppm: 0 }; PHASES],
            f_windows: 0,
            f_uhz: 0,
        },
        total: [0; energy::DIRECTIONS],
        by_tariff: [[0; energy::DIRECTIONS]; TARIFFS],
    };

    /// The row of this interval when it ends at `end` with these registers and sums, not yet chained.
    ///
    /// Its length against the period gives `short` and `long`: a difference up to [`SET_LIMIT_US`] is what
    /// adjustments may do, and they have their own bit.
    pub(crate) fn row(
        &self,
        end: Utc,
        registers: &Counters,
        sums: &MeanSums,
        params: &Params,
        settings: &Settings,
    ) -> Row {
        // An adjustment backwards may leave the clock before the begin; a row never ends before it began.
        let end = end.max(self.start);
        let mut status = self.status;
        let excess = end.0.saturating_sub(self.start.0).saturating_sub(params.period_us());
        if excess > SET_LIMIT_US {
            status |= Status::LONG;
        }
        if excess < -SET_LIMIT_US {
            status |= Status::SHORT;
        }
        let mut values = load_energies(registers).to_vec();
        let mut u = [ABSENT; PHASES];
        let mut i = [ABSENT; PHASES];
        let mut pf = [ABSENT; PHASES];
        for k in 0..PHASES {
            let (from, to) = (&self.sums.phase[k], &sums.phase[k]);
            let windows = to.windows.wrapping_sub(from.windows);
            u[k] = mean(to.u_mv.wrapping_sub(from.u_mv) as i64, windows, 1);
            i[k] = mean(to.i_ua.wrapping_sub(from.i_ua) as i64, windows, params.ct_ratio);
            let pf_windows = to.pf_windows.wrapping_sub(from.pf_windows);
            pf[k] = mean(to.pf_ppm.wrapping_sub(from.pf_ppm), pf_windows, 1);
            if u[k] != ABSENT && u[k] < i64::from(settings.u_low_mv) {
                status |= Status::UNDER_VOLTAGE;
            }
            if u[k] != ABSENT && u[k] > i64::from(settings.u_high_mv) {
                status |= Status::OVER_VOLTAGE;
            }
        }
        let f =
            mean(sums.f_uhz.wrapping_sub(self.sums.f_uhz) as i64, sums.f_windows.wrapping_sub(self.sums.f_windows), 1);
        values.extend(u.into_iter().chain(i).chain(pf).chain([f]));
        if settings.not_legal {
            status |= Status::NOT_LEGAL;
        }
        Row { start: self.start, end, status, values, ..Row::default() }
    }
}

/// The cumulative columns of the load profile, mJ: A+, A-, R+, R-, R1 to R4, E+, E-.
pub(crate) fn load_energies(registers: &Counters) -> [i64; LOAD_ENERGIES] {
    let [a_plus, a_minus, r1, r2, r3, r4, e_plus, e_minus] = energy::values(&registers.total);
    [a_plus, a_minus, r1.saturating_add(r2), r3.saturating_add(r4), r1, r2, r3, r4, e_plus, e_minus].map(stored)
}

/// A register as a column stores it. i64 millijoules last 115 years at 2.5 MW.
fn stored(v: u64) -> i64 {
    i64::try_from(v).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_round_half_up_and_have_no_value_without_windows() {
        assert_eq!(mean(10, 4, 1), 3); // 2.5
        assert_eq!(mean(-10, 4, 1), -2); // -2.5
        assert_eq!(mean(9, 4, 1), 2);
        assert_eq!(mean(7, 2, 100), 350);
        assert_eq!(mean(7, 0, 1), ABSENT);
        assert_eq!(mean(i64::MAX, 1, 600), i64::MAX);
    }

    #[test]
    fn sums_that_began_anew_are_seen_and_counts_may_wrap() {
        let at = |windows: u64| MeanSums::from(&Sums { f_windows: windows, ..Sums::default() });
        assert!(at(100).is_ahead_of(&at(3)));
        assert!(!at(100).is_ahead_of(&at(100)));
        assert!(!at(u64::from(u32::MAX)).is_ahead_of(&at(u64::from(u32::MAX) + 5)));
    }
}
