//! When debiting stops come: on a day of the month in some months (logger 1), each day, week or month (logger 2). Both
//! at midnight of normal time, which is an end of every integration period, so that the last period before a stop is in
//! the peaks that it logs.

use meter_model::{DAY_MINUTES, Date};

use crate::settings::SettingsError;

/// Automatic debiting stops: every `months` months, counted from `first`, on `day`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Day of the month, 1 to 28: a day that every month has.
    pub day: u8,
    /// Every 1, 2, 3, 6 or 12 months; 0 = none, stops come from outside.
    pub months: u8,
    /// The first month of the year that has one, 1 to `months` (1 with `months` 0).
    pub first: u8,
}

impl Default for Schedule {
    /// The first of every month.
    fn default() -> Schedule {
        Schedule { day: 1, months: 1, first: 1 }
    }
}

impl Schedule {
    /// Whether the values are possible.
    ///
    /// # Errors
    /// [`SettingsError::Debiting`].
    pub fn check(&self) -> Result<(), SettingsError> {
        let day = (1..=28).contains(&self.day);
        let first = (1..=self.months.max(1)).contains(&self.first);
        if day && first && matches!(self.months, 0 | 1 | 2 | 3 | 6 | 12) {
            Ok(())
        } else {
            Err(SettingsError::Debiting)
        }
    }

    /// The first stop after `minute`; both in minutes of normal time since 1970. `None` without automatic stops.
    pub fn after(&self, minute: i64) -> Option<i64> {
        if self.months == 0 {
            return None;
        }
        let (year, month, _) = Date::of_minute(minute).0.ymd();
        // The stop of this month may have passed; the next month that has one is at most twelve on.
        (0..=12).find_map(|n| {
            let months = i32::from(month) - 1 + n;
            let (year, month) = (year + months / 12, (months % 12) as u8 + 1);
            let due = (i32::from(month) - i32::from(self.first)).rem_euclid(i32::from(self.months)) == 0;
            let at = Date::new(year, month, self.day)?.minute();
            (due && at > minute).then_some(at)
        })
    }
}

/// How often debiting logger 2 writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cycle {
    /// At each midnight.
    #[default]
    Daily,
    /// At the begin of each Monday.
    Weekly,
    /// At the begin of each month.
    Monthly,
}

impl Cycle {
    /// All cycles with their names in the configuration.
    pub const NAMES: [(Cycle, &'static str); 3] =
        [(Cycle::Daily, "daily"), (Cycle::Weekly, "weekly"), (Cycle::Monthly, "monthly")];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize].1
    }

    /// The cycle of a name.
    pub fn named(name: &str) -> Option<Cycle> {
        Self::NAMES.iter().find(|(_, n)| *n == name).map(|(c, _)| *c)
    }

    /// The first row after `minute`; both in minutes of normal time since 1970.
    pub fn after(self, minute: i64) -> i64 {
        let (date, _) = Date::of_minute(minute);
        match self {
            Cycle::Daily => date.minute() + DAY_MINUTES,
            Cycle::Weekly => date.minute() + (7 - i64::from(date.weekday())) * DAY_MINUTES,
            // A schedule with a stop each month always has a next one.
            Cycle::Monthly => Schedule::default().after(minute).unwrap_or(i64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dates(schedule: Schedule, from: &str, n: usize) -> Vec<String> {
        let mut at = from.parse::<Date>().unwrap().minute();
        let step = |_| {
            at = schedule.after(at).unwrap();
            Date::of_minute(at).0.to_string()
        };
        (0..n).map(step).collect()
    }

    #[test]
    fn stops_come_on_their_day_in_their_months() {
        let schedule = |day, months, first| Schedule { day, months, first };
        assert_eq!(dates(schedule(1, 1, 1), "2026-12-31", 2), ["2027-01-01", "2027-02-01"]);
        assert_eq!(dates(schedule(28, 1, 1), "2027-01-28", 2), ["2027-02-28", "2027-03-28"], "not on the day itself");
        assert_eq!(dates(schedule(5, 2, 2), "2026-11-20", 3), ["2026-12-05", "2027-02-05", "2027-04-05"]);
        assert_eq!(dates(schedule(1, 3, 3), "2026-11-20", 3), ["2026-12-01", "2027-03-01", "2027-06-01"]);
        assert_eq!(dates(schedule(1, 6, 6), "2026-11-20", 3), ["2026-12-01", "2027-06-01", "2027-12-01"]);
        assert_eq!(dates(schedule(9, 12, 11), "2026-11-20", 2), ["2027-11-09", "2028-11-09"]);
        assert_eq!(schedule(1, 0, 1).after(0), None);
        for bad in [(0, 1, 1), (29, 1, 1), (1, 4, 1), (1, 2, 3), (1, 2, 0), (1, 0, 2), (1, 24, 1)] {
            assert_eq!(schedule(bad.0, bad.1, bad.2).check(), Err(SettingsError::Debiting), "{bad:?}");
        }
    }

    #[test]
    fn logger_2_has_days_weeks_and_months() {
        let after = |cycle: Cycle, from: &str, minutes| {
            let (date, of_day) = Date::of_minute(cycle.after(from.parse::<Date>().unwrap().minute() + minutes));
            assert_eq!(of_day, 0);
            date.to_string()
        };
        // 2026-11-23 is a Monday.
        assert_eq!(after(Cycle::Daily, "2026-11-22", 1439), "2026-11-23");
        assert_eq!(after(Cycle::Weekly, "2026-11-22", 1439), "2026-11-23");
        assert_eq!(after(Cycle::Weekly, "2026-11-23", 0), "2026-11-30");
        assert_eq!(after(Cycle::Monthly, "2026-11-01", 0), "2026-12-01");
        for (cycle, name) in Cycle::NAMES {
            assert_eq!((cycle.name(), Cycle::named(name)), (name, Some(cycle)));
        }
    }
}
