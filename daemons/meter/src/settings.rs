//! What the meter is told at its making: type, period, ratio. Parsed and checked here, believed everywhere else.

use core::fmt;
use core::str::FromStr;

use crate::debiting::{Cycle, Schedule};
use crate::logger::AuditCode;
use crate::tariff::{Choice, PLANS, Tariffs};

/// Largest current transformer ratio: 3000/5 A or 600/1 A.
const CT_RATIO_MAX: u16 = 600;

/// How the meter is connected, and whether current transformers stand before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MeterType {
    /// One phase, direct.
    OnePhase,
    /// Three phases, four wires, direct.
    #[default]
    ThreePhase,
    /// Two elements (L1 and L3), direct.
    Aron,
    /// Three phases, four wires, behind current transformers.
    Ct,
    /// Two elements behind current transformers.
    CtAron,
}

impl MeterType {
    /// All types with the names of the command line.
    pub const NAMES: [(MeterType, &'static str); 5] = [
        (MeterType::OnePhase, "1p"),
        (MeterType::ThreePhase, "3p"),
        (MeterType::Aron, "aron"),
        (MeterType::Ct, "ct"),
        (MeterType::CtAron, "ct-aron"),
    ];

    /// The name on the command line and in the configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(t, _)| *t == self).map_or("", |(_, name)| name)
    }

    /// Whether current transformers stand before the meter: then the primary value is secondary times ratio.
    pub fn is_ct(self) -> bool {
        matches!(self, MeterType::Ct | MeterType::CtAron)
    }

    /// Whether phase `k` (0 to 2) is an element of this type.
    pub fn has_phase(self, k: usize) -> bool {
        match self {
            MeterType::OnePhase => k == 0,
            MeterType::Aron | MeterType::CtAron => k == 0 || k == 2,
            MeterType::ThreePhase | MeterType::Ct => k < 3,
        }
    }
}

impl fmt::Display for MeterType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for MeterType {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<MeterType, SettingsError> {
        Self::NAMES.iter().find(|(_, name)| *name == text).map(|(t, _)| *t).ok_or(SettingsError::Type)
    }
}

/// A setting is impossible. The caller's fault (a configuration file or a command); nothing is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Unknown meter type.
    #[error("meter type must be one of 1p, 3p, aron, ct, ct-aron")]
    Type,
    /// The integration period is not 15, 30 or 60 minutes.
    #[error("integration period must be 15, 30 or 60 minutes")]
    Period,
    /// The ratio is outside 1 to 600, or not 1 on a direct meter.
    #[error("current transformer ratio must be 1 to 600, and 1 on a direct meter")]
    Ratio,
    /// The base offset is outside -11 to +12 hours, or not a multiple of 15 minutes.
    #[error("base offset must be -660 to 720 minutes in steps of 15")]
    Offset,
    /// There is no such tariff plan.
    #[error("tariff plan must be 1 to 3")]
    Plan,
    /// No such day, interval or first month of debiting stops.
    #[error("debiting stops: day 1 to 28, every 0 (none), 1, 2, 3, 6 or 12 months, first month within that interval")]
    Debiting,
    /// The stored state belongs to a direct meter and the settings to a CT meter, or the other way round. The
    /// registers mean different things, so the meter does not start on them.
    #[error("the stored registers belong to a meter of another kind (direct or CT)")]
    OtherKind,
}

/// The parameters that may change during the meter's life. Each change is audited and cuts the running interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Integration period of the load profile, minutes: 15, 30 or 60.
    pub period_min: u8,
    /// Current transformer ratio, 1 to 600; 1 on direct meters.
    pub ct_ratio: u16,
    /// Normal time minus UTC, minutes: interval boundaries lie on multiples of the period in normal time.
    pub offset_min: i16,
    /// The tariff demanded and the plan followed; which of them counts, the source of the tariffs says.
    pub choice: Choice,
    /// Automatic debiting stops.
    pub debiting: Schedule,
    /// How often debiting logger 2 writes.
    pub debiting_2: Cycle,
    /// Whether voltage coming to tariff input 1 is a debiting stop.
    pub debiting_pulse: bool,
    /// A whole period with a mean P+ above this advances the power threshold counter, W; 0 = none does.
    pub threshold_w: u32,
    /// Moves of the clock smaller than this are left out of the clock logger (never out of the audit log), s.
    pub clock_filter_s: u8,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            period_min: 15,
            ct_ratio: 1,
            offset_min: 0,
            choice: Choice::default(),
            debiting: Schedule::default(),
            debiting_2: Cycle::default(),
            debiting_pulse: false,
            threshold_w: 0,
            clock_filter_s: 0,
        }
    }
}

impl Params {
    /// Checks every value for this type of meter.
    ///
    /// # Errors
    /// The first impossible value.
    pub fn check(&self, meter_type: MeterType) -> Result<(), SettingsError> {
        if !matches!(self.period_min, 15 | 30 | 60) {
            return Err(SettingsError::Period);
        }
        let ratio_max = if meter_type.is_ct() { CT_RATIO_MAX } else { 1 };
        if self.ct_ratio == 0 || self.ct_ratio > ratio_max {
            return Err(SettingsError::Ratio);
        }
        if !(-660..=720).contains(&self.offset_min) || self.offset_min % 15 != 0 {
            return Err(SettingsError::Offset);
        }
        if !(1..=PLANS as u8).contains(&self.choice.plan) {
            return Err(SettingsError::Plan);
        }
        self.debiting.check()
    }

    /// Whether a change from `before` cuts the running interval: those parameters that its row depends on.
    pub(crate) fn cuts(&self, before: &Params) -> bool {
        (self.period_min, self.ct_ratio, self.offset_min) != (before.period_min, before.ct_ratio, before.offset_min)
    }

    /// Every value as the audit log has it.
    pub(crate) fn audited(&self) -> [(AuditCode, i64); 10] {
        let Schedule { day, months, first } = self.debiting;
        [
            (AuditCode::Period, self.period_min.into()),
            (AuditCode::CtRatio, self.ct_ratio.into()),
            (AuditCode::Offset, self.offset_min.into()),
            (AuditCode::DemandedTariff, self.choice.on_demand.number().into()),
            (AuditCode::TariffPlan, self.choice.plan.into()),
            (AuditCode::DebitingSchedule, i64::from(day) * 10_000 + i64::from(months) * 100 + i64::from(first)),
            (AuditCode::Debiting2Cycle, self.debiting_2 as i64),
            (AuditCode::DebitingPulse, self.debiting_pulse.into()),
            (AuditCode::PowerThreshold, self.threshold_w.into()),
            (AuditCode::ClockFilter, self.clock_filter_s.into()),
        ]
    }

    /// Normal time of a UTC minute, both since 1970.
    pub(crate) fn normal(&self, minute: i64) -> i64 {
        minute.saturating_add(i64::from(self.offset_min))
    }

    /// The first interval boundary after `minute` (UTC minutes since 1970).
    pub(crate) fn boundary_after(&self, minute: i64) -> i64 {
        let (period, offset) = (i64::from(self.period_min), i64::from(self.offset_min));
        let local = minute.saturating_add(offset);
        local.div_euclid(period).saturating_add(1).saturating_mul(period).saturating_sub(offset)
    }

    /// The period, µs.
    pub(crate) fn period_us(&self) -> i64 {
        i64::from(self.period_min) * meter_model::Utc::MINUTE
    }
}

/// Everything the meter is told before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Connection. Sealed: the stored state remembers whether it counts primary energy.
    pub meter_type: MeterType,
    /// Serial number, as shown.
    pub serial: String,
    /// Period, ratio and base offset as configured. When they differ from those the stored state was started with,
    /// the meter changes over, with an audit row; when they do not, what commands have changed since stays.
    pub params: Params,
    /// Tariffs as configured, and when they come into force (minutes of normal time since 1970; `None` = at once). When
    /// they differ from those the stored state was started with, the meter changes over; `None` leaves what is there.
    pub tariffs: Option<(Tariffs, Option<i64>)>,
    /// Mean voltage below which an interval is marked `under-voltage`, mV.
    pub u_low_mv: u32,
    /// Mean voltage above which an interval is marked `over-voltage`, mV.
    pub u_high_mv: u32,
    /// A demo or laboratory build: every row and reading is marked `not-legal`.
    pub not_legal: bool,
}

impl Default for Settings {
    /// Direct three-phase meter, 15 minutes, limits 230 V ± 10 %.
    fn default() -> Settings {
        Settings {
            meter_type: MeterType::ThreePhase,
            serial: String::new(),
            params: Params::default(),
            tariffs: None,
            u_low_mv: 207_000,
            u_high_mv: 253_000,
            not_legal: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_lie_on_multiples_of_the_period_in_normal_time() {
        let hour = Params { period_min: 60, offset_min: 330, ..Params::default() };
        // 05:30 ahead of UTC: the full hour of normal time is the half hour of UTC.
        assert_eq!(hour.boundary_after(0), 30);
        assert_eq!(hour.boundary_after(30), 90);
        let quarter = Params::default();
        assert_eq!(quarter.boundary_after(-1), 0);
        assert_eq!(quarter.boundary_after(0), 15);
        assert_eq!(quarter.boundary_after(14), 15);
    }

    #[test]
    fn impossible_values_are_refused_by_name() {
        let ok = Params::default();
        let check = |p: Params, t| p.check(t);
        assert_eq!(check(ok, MeterType::ThreePhase), Ok(()));
        assert_eq!(check(Params { period_min: 20, ..ok }, MeterType::ThreePhase), Err(SettingsError::Period));
        assert_eq!(check(Params { ct_ratio: 2, ..ok }, MeterType::ThreePhase), Err(SettingsError::Ratio));
        assert_eq!(check(Params { ct_ratio: 600, ..ok }, MeterType::Ct), Ok(()));
        assert_eq!(check(Params { ct_ratio: 601, ..ok }, MeterType::Ct), Err(SettingsError::Ratio));
        assert_eq!(check(Params { ct_ratio: 0, ..ok }, MeterType::Ct), Err(SettingsError::Ratio));
        assert_eq!(check(Params { offset_min: 721, ..ok }, MeterType::Ct), Err(SettingsError::Offset));
        assert_eq!(check(Params { offset_min: 7, ..ok }, MeterType::Ct), Err(SettingsError::Offset));
        let plan = |plan| Params { choice: Choice { plan, ..Choice::default() }, ..ok };
        assert_eq!(check(plan(0), MeterType::Ct), Err(SettingsError::Plan));
        assert_eq!(check(plan(4), MeterType::Ct), Err(SettingsError::Plan));
        let debiting = Schedule { day: 29, ..Schedule::default() };
        assert_eq!(check(Params { debiting, ..ok }, MeterType::Ct), Err(SettingsError::Debiting));
        for (t, name) in MeterType::NAMES {
            assert_eq!(name.parse(), Ok(t));
        }
        assert_eq!("4p".parse::<MeterType>(), Err(SettingsError::Type));
    }
}
