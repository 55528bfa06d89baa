//! Daylight saving: when local time is an hour ahead of normal time.
//!
//! Rows of loggers are in normal time and never see this; plans are in local time. In spring the local minutes 02:00 to
//! 02:59 do not exist: a shift inside of them is in force from 03:00 on. In autumn they come twice, and so does what a
//! plan says for them.

use meter_model::Date;

/// Years that a list of begin and end dates may hold.
pub const DAYLIGHT_YEARS: usize = 20;

/// Daylight saving is one hour.
const HOUR: i64 = 60;

/// Who says when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// Nobody: local time is normal time.
    #[default]
    None,
    /// The European Union: from 01:00 UTC on the last Sunday of March to 01:00 UTC on the last Sunday of October.
    Eu,
    /// A list of begins and ends.
    List,
}

impl Rule {
    /// All rules with their names in the configuration.
    pub const NAMES: [(Rule, &'static str); 3] = [(Rule::None, "none"), (Rule::Eu, "eu"), (Rule::List, "list")];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(r, _)| *r == self).map_or("", |(_, name)| name)
    }
}

/// A daylight saving plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Daylight {
    pub(super) rule: Rule,
    /// Begin and end in normal time, minutes since 1970; the first `count` are used, ascending and apart.
    pub(super) periods: [(i64, i64); DAYLIGHT_YEARS],
    pub(super) count: u8,
}

impl Daylight {
    /// The rule.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// The list: begin and end in normal time, minutes since 1970.
    pub fn periods(&self) -> &[(i64, i64)] {
        self.periods.get(..usize::from(self.count)).unwrap_or_default()
    }

    /// Minutes by which local time is ahead of normal time at a minute (UTC since 1970): 0 or 60.
    pub fn advance(&self, offset_min: i16, minute: i64) -> i64 {
        let normal = minute.saturating_add(i64::from(offset_min));
        let saving = match self.rule {
            Rule::None => false,
            Rule::Eu => {
                let (year, ..) = Date::of_minute(minute).0.ymd();
                eu(year).is_some_and(|(begin, end)| (begin..end).contains(&minute))
            }
            Rule::List => self.periods().iter().any(|(begin, end)| (*begin..*end).contains(&normal)),
        };
        if saving { HOUR } else { 0 }
    }

    /// Every begin and end that may lie near a day (UTC minutes since 1970).
    pub(super) fn jumps(&self, offset_min: i16, date: Date) -> Vec<i64> {
        match self.rule {
            Rule::None => Vec::new(),
            Rule::Eu => eu(date.ymd().0).map_or(Vec::new(), |(begin, end)| vec![begin, end]),
            Rule::List => {
                let normal = self.periods().iter().flat_map(|(begin, end)| [begin, end]);
                normal.map(|minute| minute - i64::from(offset_min)).collect()
            }
        }
    }
}

/// Begin and end of a year, UTC minutes since 1970.
fn eu(year: i32) -> Option<(i64, i64)> {
    let at = |month| Date::last_sunday(year, month).map(|date| date.minute() + HOUR);
    Some((at(3)?, at(10)?))
}
