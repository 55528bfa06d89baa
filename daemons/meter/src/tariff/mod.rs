//! Tariffs: which of eight registers a kilowatt-hour belongs to, at any minute.
//!
//! Exactly one tariff is in force at any time; with tariffs switched off it is T1. Everything here is a function of
//! configuration, inputs and time: the same minute gives the same tariff live and replayed, and a switch that fell into
//! an absence of Linux is found again from the coprocessor's history records.
//!
//! | source | what decides |
//! |---|---|
//! | `off` | nothing: T1 |
//! | `inputs-…` | one or two mains inputs of the module, see [`Ports`] |
//! | `on-demand` | the last command |
//! | `plan` | one of three internal plans, in local time (normal time + daylight saving) |
//!
//! What a plan may hold and what is refused stands in [`file`], the form people write.

mod bytes;
mod calendar;
mod daylight;
mod file;
mod inputs;
mod plan;

pub use bytes::TARIFFS_BYTES;
pub use calendar::{Calendar, DayType, EXCEPTIONS_MAX, SEASON_SHIFTS_MAX, SEASONS, SeasonShift};
pub use daylight::{DAYLIGHT_YEARS, Daylight, Rule};
pub use file::TariffError;
pub use inputs::Ports;
pub use plan::{DAY_SHIFTS_MAX, DayPlan, DayShift, PLANS, Plan};

use core::fmt;
use core::str::FromStr;

use meter_model::{DAY_MINUTES, Date};
use metrology_link::payload::Inputs;

/// Number of tariffs.
pub const TARIFFS: usize = 8;

/// How far exception days and daylight saving dates may lie ahead, years.
pub const YEARS_AHEAD: i32 = 20;

/// How far [`Tariffs::next_switch`] looks: a plan repeats after a year, so a switch that is not found in this many days
/// does not come (but for exception days far ahead, which the year before their own then shows).
const LOOK_AHEAD_DAYS: i32 = 400;

/// One of the tariffs T1 to T8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tariff(u8);

impl Tariff {
    /// T1, in force when nothing else is.
    pub const FIRST: Tariff = Tariff(0);

    /// The tariff of a number, 1 to 8.
    pub const fn new(number: u8) -> Option<Tariff> {
        if number >= 1 && number <= TARIFFS as u8 { Some(Tariff(number - 1)) } else { None }
    }

    /// Its number, 1 to 8.
    pub const fn number(self) -> u8 {
        self.0 + 1
    }

    /// Its place in arrays, 0 to 7.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl Default for Tariff {
    fn default() -> Tariff {
        Tariff::FIRST
    }
}

/// `T1` to `T8`.
impl fmt::Display for Tariff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{}", self.number())
    }
}

/// Reads `T1` to `T8`.
impl FromStr for Tariff {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Tariff, &'static str> {
        let number = text.strip_prefix('T').filter(|n| n.len() == 1).and_then(|n| n.parse().ok());
        number.and_then(Tariff::new).ok_or("must be T1 to T8")
    }
}

/// What decides which tariff is in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Nothing: T1.
    #[default]
    Off,
    /// Mains inputs.
    Inputs {
        /// Which inputs.
        ports: Ports,
        /// Whether the table is read from its other end.
        inverted: bool,
    },
    /// The last command.
    OnDemand,
    /// An internal plan.
    Plan,
}

impl Source {
    /// All sources with their names in the configuration.
    pub const NAMES: [(Source, &'static str); 9] = [
        (Source::Off, "off"),
        (Source::Inputs { ports: Ports::Both, inverted: false }, "inputs-4"),
        (Source::Inputs { ports: Ports::Both, inverted: true }, "inputs-4-inverted"),
        (Source::Inputs { ports: Ports::First, inverted: false }, "input-1"),
        (Source::Inputs { ports: Ports::First, inverted: true }, "input-1-inverted"),
        (Source::Inputs { ports: Ports::Second, inverted: false }, "input-2"),
        (Source::Inputs { ports: Ports::Second, inverted: true }, "input-2-inverted"),
        (Source::OnDemand, "on-demand"),
        (Source::Plan, "plan"),
    ];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(s, _)| *s == self).map_or("", |(_, name)| name)
    }

    /// The source of a name.
    pub fn named(name: &str) -> Option<Source> {
        Self::NAMES.iter().find(|(_, n)| *n == name).map(|(s, _)| *s)
    }
}

/// What a person or a system chooses while the meter runs. Each change is audited and begins at a history record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The tariff of [`Source::OnDemand`].
    pub on_demand: Tariff,
    /// Which plan [`Source::Plan`] follows, 1 to 3.
    pub plan: u8,
}

impl Default for Choice {
    fn default() -> Choice {
        Choice { on_demand: Tariff::FIRST, plan: 1 }
    }
}

/// The tariff configuration: source, calendar, daylight saving and plans. Made by [`Tariffs::parse`] only, so a plan
/// that is here is possible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tariffs {
    /// What decides.
    pub source: Source,
    /// In force while a plan is to be followed and meter time is invalid.
    pub without_time: Tariff,
    /// When local time is an hour ahead of normal time.
    pub daylight: Daylight,
    /// Which kind of day a day is.
    pub calendar: Calendar,
    /// Plans 1 to 3.
    pub plans: [Option<Plan>; PLANS],
}

impl Tariffs {
    /// The tariff in force from `minute` (UTC since 1970) on, until something changes. `offset_min` is normal time minus
    /// UTC. Without a valid time (`minute` is `None`) a plan is not followed.
    pub fn at(&self, choice: Choice, offset_min: i16, inputs: Inputs, minute: Option<i64>) -> Tariff {
        match self.source {
            Source::Off => Tariff::FIRST,
            Source::Inputs { ports, inverted } => inputs::tariff(ports, inverted, inputs),
            Source::OnDemand => choice.on_demand,
            Source::Plan => match (minute, self.plan(choice.plan)) {
                (Some(minute), Some(plan)) => self.planned(plan, offset_min, minute),
                _ => self.without_time,
            },
        }
    }

    /// Plan 1 to 3, `None` when there is no such plan.
    pub fn plan(&self, number: u8) -> Option<&Plan> {
        self.plans.get(usize::from(number).wrapping_sub(1))?.as_ref()
    }

    /// Local time as minutes since 1970: normal time, and an hour more while daylight saving lasts.
    pub fn local(&self, offset_min: i16, minute: i64) -> i64 {
        minute.saturating_add(i64::from(offset_min)).saturating_add(self.daylight.advance(offset_min, minute))
    }

    /// What a plan says for a minute. A day's tariff holds until its next shift; before the first shift of a day the
    /// last one of the day before goes on.
    fn planned(&self, plan: &Plan, offset_min: i16, minute: i64) -> Tariff {
        let (date, of_day) = Date::of_minute(self.local(offset_min, minute));
        let day = |date: Date| {
            let (season, day_type) = self.calendar.day(date);
            plan.day(season, day_type)
        };
        let before = Date(date.0.saturating_sub(1));
        day(date).at(of_day).or_else(|| day(before).last()).unwrap_or(self.without_time)
    }

    /// The first minute after `minute` at which a plan brings another tariff, and that tariff. `None` when no plan is
    /// followed or none comes in 400 days.
    pub fn next_switch(&self, choice: Choice, offset_min: i16, minute: i64) -> Option<(i64, Tariff)> {
        let plan = self.plan(choice.plan).filter(|_| self.source == Source::Plan)?;
        let now = self.planned(plan, offset_min, minute);
        let (today, _) = Date::of_minute(self.local(offset_min, minute));
        for day in today.0.saturating_sub(1)..=today.0.saturating_add(LOOK_AHEAD_DAYS) {
            let begin = Date(day).minute();
            let found = self.candidates(plan, offset_min, Date(day)).into_iter().filter(|at| {
                *at > minute && (begin..begin + DAY_MINUTES).contains(at) && self.planned(plan, offset_min, *at) != now
            });
            if let Some(at) = found.min() {
                return Some((at, self.planned(plan, offset_min, at)));
            }
        }
        None
    }

    /// The minutes (UTC) of one UTC day, and some around it, at which a tariff may change: shifts, midnights (another
    /// day's plan) and jumps of local time. Normal time is at most 12 hours from UTC, and each local minute is one of
    /// two, so the local days beside it count too.
    fn candidates(&self, plan: &Plan, offset_min: i16, date: Date) -> Vec<i64> {
        let mut all = self.daylight.jumps(offset_min, date);
        for date in [Date(date.0 - 1), date, Date(date.0 + 1)] {
            let (season, day_type) = self.calendar.day(date);
            let shifts = plan.day(season, day_type).shifts().iter().map(|s| i64::from(s.minute));
            let local = shifts.chain([0]).map(|m| date.minute() + m - i64::from(offset_min));
            all.extend(local.flat_map(|m| [m - 60, m]));
        }
        all
    }

    /// Checks what depends on the day at which the configuration is accepted: exception days and daylight saving dates
    /// may lie at most 20 years ahead.
    ///
    /// # Errors
    /// The first date that lies too far, by its field.
    pub fn check_horizon(&self, today: Date) -> Result<(), TariffError> {
        let (year, month, day) = today.ymd();
        // 29 February has no twentieth anniversary in 2100; the day before is meant.
        let last = Date::new(year + YEARS_AHEAD, month, day).or_else(|| Date::new(year + YEARS_AHEAD, month, day - 1));
        let last = last.unwrap_or(today);
        let late = |date: Date| format!("{date} is more than {YEARS_AHEAD} years ahead of {today}");
        if let Some((n, date)) = self.calendar.exceptions().enumerate().find(|(_, date)| *date > last) {
            return Err(TariffError::new(format!("calendar.exceptions[{}]", n + 1), late(date)));
        }
        for (n, (_, end)) in self.daylight.periods().iter().enumerate() {
            let (date, _) = Date::of_minute(*end);
            if date > last {
                return Err(TariffError::new(format!("daylight.periods[{}]", n + 1), late(date)));
            }
        }
        Ok(())
    }
}

/// Days from 2000-01-01 on in 16 bits: the form in which dates are kept.
pub(crate) const EPOCH_2000: Date = Date(10_957);

/// The last day that a configuration may name: 2099-12-31, the end of the DLMS date's certain range.
pub(crate) const LAST_DAY: Date = Date(47_481);

/// Minutes of a day, for bounds.
pub(crate) const DAY: u16 = DAY_MINUTES as u16;

#[cfg(test)]
mod tests;
