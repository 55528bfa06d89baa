//! Days of the Gregorian calendar, without a time zone: integers in, integers out.

use core::fmt;
use core::str::FromStr;

/// Minutes in a day without a clock change.
pub const DAY_MINUTES: i64 = 1440;

/// A day of the (proleptic) Gregorian calendar, as days since 1970-01-01.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date(pub i32);

impl Date {
    /// The day of a year, month (1 to 12) and day (1 to 31); `None` when there is none.
    pub fn new(year: i32, month: u8, day: u8) -> Option<Date> {
        if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || day == 0 {
            return None;
        }
        // Years begin in March, so that the leap day is the last of its year; 400 of them are an era of 146 097 days.
        let y = if month <= 2 { year - 1 } else { year };
        let era = y.div_euclid(400);
        let of_era = y.rem_euclid(400);
        let of_year = (153 * ((i32::from(month) + 9) % 12) + 2) / 5 + i32::from(day) - 1;
        let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
        let date = Date(days - 719_468);
        (date.ymd() == (year, month, day)).then_some(date)
    }

    /// Year, month (1 to 12), day (1 to 31).
    pub fn ymd(self) -> (i32, u8, u8) {
        let days = i64::from(self.0) + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = era * 400 + year + i64::from(month <= 2);
        (year as i32, month as u8, day as u8)
    }

    /// Day of the week, 0 = Monday to 6 = Sunday.
    pub fn weekday(self) -> u8 {
        // 1970-01-01 was a Thursday.
        (i64::from(self.0) + 3).rem_euclid(7) as u8
    }

    /// The last Sunday of a month; `None` when there is no such month.
    pub fn last_sunday(year: i32, month: u8) -> Option<Date> {
        let first_of_next = if month == 12 { Date::new(year + 1, 1, 1) } else { Date::new(year, month + 1, 1) }?;
        let last = Date(first_of_next.0 - 1);
        Some(Date(last.0 - i32::from((last.weekday() + 1) % 7)))
    }

    /// The day in which a minute (since 1970, of any one time scale) lies, and the minute of that day.
    pub fn of_minute(minute: i64) -> (Date, u16) {
        let day = minute.div_euclid(DAY_MINUTES).clamp(i64::from(i32::MIN), i64::from(i32::MAX));
        (Date(day as i32), minute.rem_euclid(DAY_MINUTES) as u16)
    }

    /// The first minute of the day.
    pub fn minute(self) -> i64 {
        i64::from(self.0) * DAY_MINUTES
    }
}

/// `YYYY-MM-DD`.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.ymd();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// The text is no day. The caller's fault; nothing is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a day: expected YYYY-MM-DD")]
pub struct ParseDateError;

/// Reads `YYYY-MM-DD`.
impl FromStr for Date {
    type Err = ParseDateError;

    fn from_str(text: &str) -> Result<Date, ParseDateError> {
        let shape = text.len() == 10
            && text.bytes().enumerate().all(|(n, b)| if n == 4 || n == 7 { b == b'-' } else { b.is_ascii_digit() });
        if !shape {
            return Err(ParseDateError);
        }
        let part = |range: core::ops::Range<usize>| text.get(range).and_then(|t| t.parse::<u16>().ok());
        match (part(0..4), part(5..7), part(8..10)) {
            (Some(year), Some(month), Some(day)) => {
                Date::new(year.into(), month as u8, day as u8).ok_or(ParseDateError)
            }
            _ => Err(ParseDateError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    /// Every day of four centuries, against counting day by day.
    #[test]
    fn every_day_of_four_centuries_has_its_date() {
        let (mut year, mut month, mut day) = (1900, 1, 1u8);
        let mut weekday = 0; // 1900-01-01 was a Monday.
        for n in -25_567..=120_530 {
            assert_eq!(Date(n).ymd(), (year, month, day), "{n}");
            assert_eq!(Date::new(year, month, day), Some(Date(n)));
            assert_eq!(Date(n).weekday(), weekday, "{n}");
            assert_eq!(Date(n).to_string().parse(), Ok(Date(n)));
            weekday = (weekday + 1) % 7;
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1];
            day += 1;
            if day > length {
                assert_eq!(Date::new(year, month, day), None);
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
        assert_eq!(year, 2300);
    }

    #[test]
    fn last_sundays_and_minutes() {
        assert_eq!(Date::last_sunday(2026, 3), Date::new(2026, 3, 29));
        assert_eq!(Date::last_sunday(2026, 10), Date::new(2026, 10, 25));
        assert_eq!(Date::last_sunday(2028, 12), Date::new(2028, 12, 31));
        assert_eq!(Date::of_minute(-1), (Date(-1), 1439));
        assert_eq!(Date::of_minute(1440), (Date(1), 0));
        assert_eq!(Date(1).minute(), 1440);
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in ["", "2026-02-29", "2026-13-01", "2026-00-10", "2026-1-01", "26-01-01", "2026/01/01", "2026-01-0x"]
        {
            assert_eq!(text.parse::<Date>(), Err(ParseDateError), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_day_or_is_refused(text in "\\PC{0,12}") {
            let _ = text.parse::<Date>();
        }

        #[test]
        fn no_number_panics(days: i32, minute: i64) {
            let _ = (Date(days).ymd(), Date(days).weekday(), Date(days).minute(), Date::of_minute(minute));
        }
    }
}
