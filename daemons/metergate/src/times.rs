//! Times on the command line and in tables: ISO 8601, UTC, normal time (no daylight saving).
//!
//! A time without an offset is UTC, a date alone is its midnight. Anything else is refused rather than guessed.

use jiff::{Timestamp, civil, tz::Offset};

/// Microseconds since 1970 of an ISO 8601 date or time; for `clap`.
pub fn parse(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let with_offset = text.parse::<Timestamp>().ok();
    let civil = || text.parse::<civil::DateTime>().ok().and_then(|t| Offset::UTC.to_timestamp(t).ok());
    with_offset.or_else(civil).map(|t| t.as_microsecond()).ok_or_else(|| {
        "expected ISO 8601, for example 2026-01-31, 2026-01-31T12:00 or 2026-01-31T12:00:00+01:00".into()
    })
}

/// ISO 8601 UTC of microseconds since 1970 (the bus has no time before), as fine as the time is. `None` is beyond the
/// calendar.
pub fn iso(usec: u64) -> Option<String> {
    Some(Timestamp::from_microsecond(i64::try_from(usec).ok()?).ok()?.to_string())
}

/// [`iso`] cut to whole seconds for tables; a dash beyond the calendar.
pub fn iso_seconds(usec: u64) -> String {
    iso(usec - usec % 1_000_000).unwrap_or_else(|| "-".to_owned())
}

/// A signed duration such as `+1.5s`, `-200ms`, `90us` or `2m`, in microseconds; for `clap`.
pub fn parse_delta(text: &str) -> Result<i64, String> {
    let wrong = || "expected a signed duration such as +1.5s, -200ms or 90us".to_owned();
    let text = text.trim();
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, unit) = rest.split_at(digits);
    let micros: i64 = match unit {
        "us" | "µs" => 1,
        "ms" => 1_000,
        "s" | "" => 1_000_000,
        "m" | "min" => 60_000_000,
        _ => return Err(wrong()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // Nine digits of a minute are finer than a microsecond; more would only overflow.
    if whole.len() > 9 || fraction.len() > 9 || (whole.is_empty() && fraction.is_empty()) {
        return Err(wrong());
    }
    let part = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<i64>().ok() };
    let whole = part(whole).ok_or_else(wrong)?.checked_mul(micros).ok_or_else(wrong)?;
    let scale = 10_i128.pow(fraction.len() as u32);
    let fraction = i128::from(part(fraction).ok_or_else(wrong)?) * i128::from(micros) / scale;
    Ok(sign * (whole + i64::try_from(fraction).map_err(|_| wrong())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_iso_with_and_without_offset() {
        let noon = 1_769_860_800_000_000;
        assert_eq!(parse("2026-01-31T12:00:00Z"), Ok(noon));
        assert_eq!(parse("2026-01-31T13:00:00+01:00"), Ok(noon));
        assert_eq!(parse("2026-01-31T12:00"), Ok(noon));
        assert_eq!(parse("2026-01-31"), Ok(noon - 43_200_000_000));
        for text in ["", "yesterday", "31.01.2026", "2026-13-01", "12:00"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn writes_iso_utc() {
        assert_eq!(iso(1_769_860_800_000_000).as_deref(), Some("2026-01-31T12:00:00Z"));
        assert_eq!(iso(1_769_860_800_250_000).as_deref(), Some("2026-01-31T12:00:00.25Z"));
        assert_eq!(iso_seconds(1_769_860_800_250_000), "2026-01-31T12:00:00Z");
        assert_eq!(iso(u64::MAX), None);
    }

    #[test]
    fn reads_signed_durations() {
        for (text, usec) in [
            ("+1.5s", 1_500_000),
            ("-200ms", -200_000),
            ("90us", 90),
            ("3", 3_000_000),
            ("-2m", -120_000_000),
            ("-0.000001", -1),
            (".5s", 500_000),
        ] {
            assert_eq!(parse_delta(text), Ok(usec), "{text}");
        }
        for text in ["", "s", "+", "1h30", "1..5s", "1.5 days", "99999999999s", "--1s", "+-1s"] {
            assert!(parse_delta(text).is_err(), "{text}");
        }
    }
}
