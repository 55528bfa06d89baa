//! The real-time clock's calendar, which counts years 2000 to 2099 and a fraction of the second downwards.

/// Seconds from 1970 to 2000 UTC.
const EPOCH_2000: i64 = 946_684_800;
const DAY: i64 = 86_400;
/// Days from 2000 to 2100.
const DAYS: i64 = 36_525;
/// Steps of a second that the clock counts: `PREDIV_S + 1`.
pub const STEPS: u32 = 8192;

/// Date and time as the clock has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// Years since 2000.
    pub year: u8,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// Monday is 1.
    pub weekday: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

/// The calendar at a second since 1970 UTC; `None` outside of 2000 to 2099.
pub fn from_utc(seconds: i64) -> Option<Calendar> {
    let since = seconds.checked_sub(EPOCH_2000)?;
    let (day, in_day) = (since.div_euclid(DAY), since.rem_euclid(DAY));
    if !(0..DAYS).contains(&day) {
        return None;
    }
    // In this century every fourth year is a leap year, the first one too.
    let (four, mut rest) = (day / 1461, day % 1461);
    let mut year = four * 4;
    while rest >= year_days(year) {
        rest -= year_days(year);
        year += 1;
    }
    let mut month = 1;
    while rest >= month_days(year, month) {
        rest -= month_days(year, month);
        month += 1;
    }
    Some(Calendar {
        year: year as u8,
        month: month as u8,
        day: rest as u8 + 1,
        // 2000 began with a Saturday.
        weekday: ((day + 5) % 7) as u8 + 1,
        hour: (in_day / 3600) as u8,
        minute: (in_day / 60 % 60) as u8,
        second: (in_day % 60) as u8,
    })
}

/// Seconds since 1970 UTC; `None` for what is no date, as a clock has it that never ran.
pub fn to_utc(calendar: &Calendar) -> Option<i64> {
    let (year, month) = (i64::from(calendar.year), i64::from(calendar.month));
    if year > 99 || !(1..=12).contains(&month) || calendar.hour > 23 || calendar.minute > 59 || calendar.second > 59 {
        return None;
    }
    let day = i64::from(calendar.day);
    if !(1..=month_days(year, month)).contains(&day) {
        return None;
    }
    let before: i64 = (0..year).map(year_days).sum::<i64>() + (1..month).map(|m| month_days(year, m)).sum::<i64>();
    let seconds = i64::from(calendar.hour) * 3600 + i64::from(calendar.minute) * 60 + i64::from(calendar.second);
    Some(EPOCH_2000 + (before + day - 1) * DAY + seconds)
}

/// µs of the second that have passed when the clock's downward counter stands at `counter`.
pub fn micros(counter: u32) -> i64 {
    i64::from(STEPS - 1 - counter.min(STEPS - 1)) * 1_000_000 / i64::from(STEPS)
}

/// Moves a clock that was set to a full second on to `micros` after it: (add a second, then take away so many steps).
pub fn shift(micros: i64) -> (bool, u16) {
    let ahead = micros.clamp(0, 999_999) * i64::from(STEPS) / 1_000_000;
    if ahead == 0 { (false, 0) } else { (true, (i64::from(STEPS) - ahead) as u16) }
}

/// Tens and units, four bits each.
pub fn bcd(value: u8) -> (u8, u8) {
    (value / 10, value % 10)
}

fn year_days(year: i64) -> i64 {
    if year % 4 == 0 { 366 } else { 365 }
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_the_century_comes_back() {
        for day in 0..DAYS {
            let seconds = EPOCH_2000 + day * DAY + day % DAY;
            let calendar = from_utc(seconds).unwrap();
            assert_eq!(to_utc(&calendar), Some(seconds), "{calendar:?}");
            assert_eq!(i64::from(calendar.weekday), (day + 5) % 7 + 1);
        }
    }

    #[test]
    fn known_instants() {
        // date -u -d @1709210096, and the last second of 2099.
        let leap = Calendar { year: 24, month: 2, day: 29, weekday: 4, hour: 12, minute: 34, second: 56 };
        assert_eq!(from_utc(1_709_210_096), Some(leap));
        assert_eq!(from_utc(4_102_444_799).map(|c| (c.year, c.month, c.day)), Some((99, 12, 31)));
        assert_eq!(from_utc(4_102_444_800), None);
        assert_eq!(from_utc(946_684_799), None);
    }

    #[test]
    fn what_is_no_date_is_refused() {
        let good = from_utc(EPOCH_2000).unwrap();
        for bad in [
            Calendar { month: 0, ..good },
            Calendar { day: 0, ..good },
            Calendar { year: 1, month: 2, day: 29, ..good },
            Calendar { hour: 24, ..good },
            Calendar { year: 100, ..good },
        ] {
            assert_eq!(to_utc(&bad), None, "{bad:?}");
        }
    }

    #[test]
    fn fractions_run_downwards() {
        assert_eq!(micros(STEPS - 1), 0);
        assert_eq!(micros(0), 999_877);
        // While a shift is under way the counter can stand above its top.
        assert_eq!(micros(STEPS + 7), 0);
        assert_eq!(shift(0), (false, 0));
        assert_eq!(shift(250_000), (true, 6144));
        assert_eq!(shift(999_999), (true, 1));
        assert_eq!(bcd(59), (5, 9));
    }
}
