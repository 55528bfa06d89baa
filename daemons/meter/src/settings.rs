//! What the meter is told at its making: type, period, ratio. Parsed and checked here, believed everywhere else.

use core::fmt;
use core::str::FromStr;

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
}

impl Default for Params {
    fn default() -> Params {
        Params { period_min: 15, ct_ratio: 1, offset_min: 0 }
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
        Ok(())
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
        for (t, name) in MeterType::NAMES {
            assert_eq!(name.parse(), Ok(t));
        }
        assert_eq!("4p".parse::<MeterType>(), Err(SettingsError::Type));
    }
}
