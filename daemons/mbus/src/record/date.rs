//! Dates and times of EN 13757-3, annex A: types F, G, I and J, in the meter's local time.

use std::fmt;

/// A point in meter time, as exact as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DateTime {
    /// Year, month 1-12, day 1-31; `None` for a time of day (type J).
    pub date: Option<(u16, u8, u8)>,
    /// Hour, minute, second; seconds where the type has them.
    pub time: Option<(u8, u8, Option<u8>)>,
    /// Summer time is in force, as the meter says.
    pub summer: bool,
}

impl DateTime {
    /// A day.
    pub const fn day(year: u16, month: u8, day: u8) -> Self {
        Self { date: Some((year, month, day)), time: None, summer: false }
    }

    /// The first of the month, `months` earlier (`day` true: days earlier would need a calendar; see `profile`).
    pub(crate) fn plus_months(self, months: i64) -> Option<Self> {
        let (year, month, day) = self.date?;
        let count = i64::from(year) * 12 + i64::from(month) - 1 + months;
        let (year, month) = (u16::try_from(count.div_euclid(12)).ok()?, (count.rem_euclid(12) + 1) as u8);
        // The last of a month stays the last of the month.
        let last = days_in(self.date?.0, self.date?.1) == day;
        let day = if last { days_in(year, month) } else { day.min(days_in(year, month)) };
        Some(Self { date: Some((year, month, day)), ..self })
    }

    /// Seconds later, across days.
    pub(crate) fn plus_seconds(self, seconds: i64) -> Option<Self> {
        let (year, month, day) = self.date?;
        let (hour, minute, second) = self.time.unwrap_or((0, 0, None));
        let of_day = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second.unwrap_or(0));
        let total = day_number(year, month, day).checked_mul(86_400)?.checked_add(of_day)?.checked_add(seconds)?;
        let date = date_of(total.div_euclid(86_400))?;
        let rest = total.rem_euclid(86_400);
        let clock = ((rest / 3600) as u8, (rest / 60 % 60) as u8, second.map(|_| (rest % 60) as u8));
        let time = self.time.map(|_| clock).or((rest != 0).then_some((clock.0, clock.1, None)));
        Some(Self { date: Some(date), time, summer: self.summer })
    }
}

impl fmt::Display for DateTime {
    /// ISO 8601 without an offset: the meter's local time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((year, month, day)) = self.date {
            write!(f, "{year:04}-{month:02}-{day:02}")?;
        }
        if let Some((hour, minute, second)) = self.time {
            let t = if self.date.is_some() { "T" } else { "" };
            write!(f, "{t}{hour:02}:{minute:02}")?;
            if let Some(second) = second {
                write!(f, ":{second:02}")?;
            }
        }
        Ok(())
    }
}

/// Days of a month in the Gregorian calendar.
pub(super) fn days_in(year: u16, month: u8) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01.
fn day_number(year: u16, month: u8, day: u8) -> i64 {
    // Years that begin in March: the leap day is the last one.
    let y = i64::from(year) - i64::from(month <= 2);
    let (era, m) = (y.div_euclid(400), (i64::from(month) + 9) % 12);
    let of_era = y.rem_euclid(400) * 365 + y.rem_euclid(400) / 4 - y.rem_euclid(400) / 100;
    era * 146_097 + of_era + (153 * m + 2) / 5 + i64::from(day) - 1 - 719_468
}

/// The inverse of [`day_number`].
fn date_of(days: i64) -> Option<(u16, u8, u8)> {
    let z = days + 719_468;
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let m = (5 * day_of_year + 2) / 153;
    let (day, month) = ((day_of_year - (153 * m + 2) / 5 + 1) as u8, (if m < 10 { m + 3 } else { m - 9 }) as u8);
    Some((u16::try_from(era * 400 + year_of_era + i64::from(month <= 2)).ok()?, month, day))
}

/// Whether these are a date that exists.
fn date(year: u16, month: u8, day: u8) -> Option<(u16, u8, u8)> {
    ((1..=12).contains(&month) && day >= 1 && day <= days_in(year, month)).then_some((year, month, day))
}

/// Day and month bytes, the same in types F, G and I. The year has seven bits; 81 to 99 are of the last century
/// (annex A), all others count from 2000, also those above 99 that stand for "no date" in some meters.
fn calendar(low: u8, high: u8) -> (u16, u8, u8) {
    let year = u16::from(low >> 5 | (high & 0xF0) >> 1);
    (if (81..=99).contains(&year) { 1900 + year } else { 2000 + year }, high & 0x0F, low & 0x1F)
}

/// Type G, two bytes: a day. `None` when unset or impossible.
pub fn type_g(bytes: [u8; 2]) -> Option<DateTime> {
    let (year, month, day) = calendar(bytes[0], bytes[1]);
    Some(DateTime { date: Some(date(year, month, day)?), time: None, summer: false })
}

/// Type F, four bytes: a minute. `None` when marked invalid (bit 7 of the first byte), unset or impossible.
pub fn type_f(bytes: [u8; 4]) -> Option<DateTime> {
    let [minute, hour, low, high] = bytes;
    let (mut year, month, day) = calendar(low, high);
    let century = hour >> 5 & 3;
    if century != 0 && year < 2100 {
        year = 1900 + 100 * u16::from(century) + year % 100;
    }
    let date = date(year, month, day)?;
    let (summer, minute_value, hour) = (hour & 0x80 != 0, minute & 0x3F, hour & 0x1F);
    (minute & 0x80 == 0 && minute_value < 60 && hour < 24).then_some(DateTime {
        date: Some(date),
        time: Some((hour, minute_value, None)),
        summer,
    })
}

/// Type I, six bytes: a second. `None` when marked invalid (bit 7 of the second byte), unset or impossible.
pub fn type_i(bytes: [u8; 6]) -> Option<DateTime> {
    let [second, minute, hour, low, high, _week] = bytes;
    let (year, month, day) = calendar(low, high);
    let date = date(year, month, day)?;
    let (summer, s, m, h) = (second & 0x80 != 0, second & 0x3F, minute & 0x3F, hour & 0x1F);
    (minute & 0x80 == 0 && s < 60 && m < 60 && h < 24).then_some(DateTime {
        date: Some(date),
        time: Some((h, m, Some(s))),
        summer,
    })
}

/// Type J, three bytes: a time of day. `None` when unset or impossible.
pub fn type_j(bytes: [u8; 3]) -> Option<DateTime> {
    let [s, m, h] = [bytes[0] & 0x3F, bytes[1] & 0x3F, bytes[2] & 0x1F];
    (s < 60 && m < 60 && h < 24).then_some(DateTime { date: None, time: Some((h, m, Some(s))), summer: false })
}

/// The bytes of a date or time: type G, F, I or J by what it has. `None` where the year does not fit.
pub fn emit(at: &DateTime) -> Option<Vec<u8>> {
    let date_bytes = |(year, month, day): (u16, u8, u8)| {
        let year = u8::try_from(year.checked_sub(2000)?).ok().filter(|y| *y < 81)?;
        Some([day | (year & 7) << 5, month | (year & 0x78) << 1])
    };
    let summer = if at.summer { 0x80 } else { 0 };
    Some(match (at.date, at.time) {
        (Some(date), None) => date_bytes(date)?.to_vec(),
        (Some(date), Some((hour, minute, None))) => {
            let [low, high] = date_bytes(date)?;
            vec![minute, hour | summer, low, high]
        }
        (Some(date), Some((hour, minute, Some(second)))) => {
            let [low, high] = date_bytes(date)?;
            vec![second | summer, minute, hour, low, high, 0]
        }
        (None, Some((hour, minute, second))) => vec![second.unwrap_or(0), minute, hour],
        (None, None) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(at: Option<DateTime>) -> String {
        at.map_or_else(|| "-".into(), |at| at.to_string())
    }

    #[test]
    fn dates_of_real_telegrams() {
        assert_eq!(text(type_f([0x3B, 0x37, 0xDF, 0x2C])), "2022-12-31T23:59");
        assert_eq!(text(type_g([0xBF, 0x28])), "2021-08-31");
        assert_eq!(text(type_i([0x2C, 0x1A, 0xA1, 0xD5, 0x21, 0x00])), "2022-01-21T01:26:44");
        assert_eq!(text(type_j([1, 2, 3])), "03:02:01");
    }

    #[test]
    fn unset_and_impossible() {
        for g in [[0, 0], [0xFF, 0xFF], [0x1F, 0x02], [0x01, 0x0D], [0x3D, 0x12]] {
            assert_eq!(type_g(g), None, "{g:02X?}");
        }
        assert_eq!(type_f([0x80, 0, 0x01, 0x01]), None, "marked invalid");
        assert_eq!(type_f([60, 0, 0x01, 0x01]), None);
        assert_eq!(type_i([0, 0x80, 0, 0x01, 0x01, 0]), None, "marked invalid");
        assert_eq!(type_j([0, 0, 24]), None);
    }

    #[test]
    fn there_and_back_and_calendar() {
        for days in (0..45_000).step_by(17) {
            let (y, m, d) = date_of(days).unwrap();
            assert_eq!(day_number(y, m, d), days);
        }
        let at = DateTime { date: Some((2024, 2, 29)), time: Some((23, 59, Some(58))), summer: true };
        assert_eq!(type_i(emit(&at).unwrap().try_into().unwrap()), Some(at));
        assert_eq!(text(at.plus_seconds(2)), "2024-03-01T00:00:00");
        assert_eq!(text(DateTime::day(2023, 12, 31).plus_months(-1)), "2023-11-30");
        assert_eq!(text(DateTime::day(2023, 12, 15).plus_months(-13)), "2022-11-15");
    }
}
