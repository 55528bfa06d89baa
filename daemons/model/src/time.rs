//! Time: `Mono` orders what happens, `Utc` stamps what is kept. They never mix.

/// Microseconds on a monotonic clock. Only differences mean anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

impl Mono {
    /// Microseconds since `earlier`, 0 when `earlier` is later.
    pub fn since(self, earlier: Mono) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Microseconds since 1970-01-01T00:00:00 UTC (no leap seconds), as meter time says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Utc(pub i64);

impl Utc {
    /// One second in this unit.
    pub const SECOND: i64 = 1_000_000;
    /// One minute in this unit.
    pub const MINUTE: i64 = 60 * Self::SECOND;

    /// From whole minutes since 1970.
    pub fn from_minutes(minutes: i64) -> Utc {
        Utc(minutes.saturating_mul(Self::MINUTE))
    }
}

/// How far meter time can be believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClockQuality {
    /// Never set, or the back-up ran empty.
    #[default]
    Invalid,
    /// Ran without a reference for long, or on back-up.
    Holdover,
    /// Set, and inside its stated accuracy.
    Valid,
}

/// A point of meter time with the quality it had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wall {
    /// The time.
    pub utc: Utc,
    /// Its quality.
    pub quality: ClockQuality,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_differences_of_monotonic_time_mean_anything() {
        assert_eq!(Mono(5).since(Mono(3)), 2);
        assert_eq!(Mono(3).since(Mono(5)), 0);
    }

    #[test]
    fn minutes_become_microseconds_and_saturate() {
        assert_eq!(Utc::from_minutes(2), Utc(120_000_000));
        assert_eq!(Utc::from_minutes(-1), Utc(-60_000_000));
        assert_eq!(Utc::from_minutes(i64::MAX), Utc(i64::MAX));
    }

    #[test]
    fn qualities_are_ordered_from_worse_to_better() {
        assert!(ClockQuality::Invalid < ClockQuality::Holdover && ClockQuality::Holdover < ClockQuality::Valid);
        assert_eq!(Wall::default().quality, ClockQuality::Invalid);
    }
}
