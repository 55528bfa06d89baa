//! The calendar: which season a day belongs to, and which kind of day it is.

use meter_model::Date;

use super::EPOCH_2000;

/// Seasons that a calendar may have.
pub const SEASONS: usize = 4;
/// Changes of season in a year.
pub const SEASON_SHIFTS_MAX: usize = 8;
/// Exception days.
pub const EXCEPTIONS_MAX: usize = 200;

/// The kind of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DayType {
    /// A working day.
    #[default]
    Working,
    /// A day of the weekend.
    NonWorking,
    /// A holiday; also what every exception day is.
    Holiday,
}

impl DayType {
    /// All kinds with their names in the configuration, in the order of [`DayType::index`].
    pub const NAMES: [(DayType, &'static str); 3] =
        [(DayType::Working, "working"), (DayType::NonWorking, "non-working"), (DayType::Holiday, "holiday")];

    /// Its place in arrays.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES[self.index()].1
    }
}

/// A season begins, every year anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeasonShift {
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month.
    pub day: u8,
    /// Season, 1 to 4.
    pub season: u8,
}

/// A calendar. The default has one season with seven working days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// Ascending by month and day; the first `shift_count` are used.
    pub(super) shifts: [SeasonShift; SEASON_SHIFTS_MAX],
    pub(super) shift_count: u8,
    /// Monday to Sunday per season.
    pub(super) weeks: [[DayType; 7]; SEASONS],
    /// Days since 2000-01-01, ascending; the first `exception_count` are used.
    pub(super) exceptions: [u16; EXCEPTIONS_MAX],
    pub(super) exception_count: u8,
}

impl Default for Calendar {
    fn default() -> Calendar {
        Calendar {
            shifts: [SeasonShift::default(); SEASON_SHIFTS_MAX],
            shift_count: 0,
            weeks: [[DayType::Working; 7]; SEASONS],
            exceptions: [0; EXCEPTIONS_MAX],
            exception_count: 0,
        }
    }
}

impl Calendar {
    /// Changes of season, in the order of the year.
    pub fn shifts(&self) -> &[SeasonShift] {
        self.shifts.get(..usize::from(self.shift_count)).unwrap_or_default()
    }

    /// The week of a season (1 to 4), Monday first.
    pub fn week(&self, season: u8) -> &[DayType; 7] {
        self.weeks.get(usize::from(season).wrapping_sub(1)).unwrap_or(&self.weeks[0])
    }

    /// The exception days, ascending.
    pub fn exceptions(&self) -> impl Iterator<Item = Date> + '_ {
        self.stored_exceptions().iter().map(|n| Date(EPOCH_2000.0 + i32::from(*n)))
    }

    fn stored_exceptions(&self) -> &[u16] {
        self.exceptions.get(..usize::from(self.exception_count)).unwrap_or_default()
    }

    /// Season (1 to 4) and kind of a local day. Before the first change of a year the last one of the year before goes
    /// on; without changes it is season 1 all year.
    pub fn day(&self, date: Date) -> (u8, DayType) {
        let (_, month, day) = date.ymd();
        let shifts = self.shifts();
        let begun = shifts.iter().rev().find(|s| (s.month, s.day) <= (month, day));
        let season = begun.or(shifts.last()).map_or(1, |s| s.season);
        let number = u16::try_from(date.0.saturating_sub(EPOCH_2000.0));
        if number.is_ok_and(|n| self.stored_exceptions().binary_search(&n).is_ok()) {
            return (season, DayType::Holiday);
        }
        (season, self.week(season)[usize::from(date.weekday())])
    }
}
