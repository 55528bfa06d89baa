//! The form in which people write tariffs: a TOML text, taken whole or refused whole with line and field.
//!
//! ```toml
//! source = "plan"
//! [daylight]
//! rule = "eu"
//! [calendar]
//! shifts = [{ from = "04-01", season = 1 }, { from = "10-01", season = 2 }]
//! exceptions = ["2027-12-24"]
//! [season.1]
//! week = ["working", "working", "working", "working", "working", "non-working", "non-working"]
//! [plan.1.season.1]
//! working = ["06:00 T2", "22:00 T1"]
//! non-working = ["00:00 T1"]
//! ```
//!
//! `config/examples/tariff.toml` shows every key. Refused are: unknown keys and names, more than 4 seasons, 3 plans, 8 changes of
//! season, 10 shifts in a day, 200 exception days or 20 daylight saving periods; changes, shifts, days or periods that
//! are not ascending or meet each other; dates that do not exist, or lie before 2000 or after 2099; a plan without a
//! day for a season that the calendar has; a plan to be followed that is not there.

use std::collections::BTreeMap;

use meter_model::{DAY_MINUTES, Date};
use serde::{Deserialize, Serialize};

use super::calendar::{Calendar, DayType, EXCEPTIONS_MAX, SEASON_SHIFTS_MAX, SEASONS, SeasonShift};
use super::daylight::{DAYLIGHT_YEARS, Daylight, Rule};
use super::plan::{DAY_SHIFTS_MAX, DayPlan, DayShift, PLANS, Plan};
use super::{DAY, EPOCH_2000, LAST_DAY, Source, Tariff, Tariffs};

/// Longest text taken, bytes: three full plans with all exception days are about 10 kB.
const TEXT_MAX: usize = 64 * 1024;

/// Tariffs are impossible. The writer's fault; nothing is changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{field}: {reason}", line.map(|n| format!("line {n}: ")).unwrap_or_default())]
pub struct TariffError {
    /// Line of the text, from 1; `None` when it did not come from one.
    pub line: Option<usize>,
    /// The field: keys with dots, places in lists in brackets, counted from 1.
    pub field: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl TariffError {
    pub(crate) fn new(field: impl Into<String>, reason: impl Into<String>) -> TariffError {
        TariffError { line: None, field: field.into(), reason: reason.into() }
    }
}

type Checked<T> = Result<T, TariffError>;

fn wrong<T>(field: impl Into<String>, reason: impl Into<String>) -> Checked<T> {
    Err(TariffError::new(field, reason))
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    source: Option<String>,
    without_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    activate: Option<String>,
    daylight: DaylightFile,
    calendar: CalendarFile,
    season: BTreeMap<String, SeasonFile>,
    plan: BTreeMap<String, PlanFile>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct DaylightFile {
    rule: Option<String>,
    periods: Vec<PeriodFile>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct PeriodFile {
    begin: String,
    end: String,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct CalendarFile {
    shifts: Vec<ShiftFile>,
    exceptions: Vec<String>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ShiftFile {
    from: String,
    season: i64,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SeasonFile {
    week: Vec<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct PlanFile {
    season: BTreeMap<String, DaysFile>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct DaysFile {
    working: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    non_working: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    holiday: Vec<String>,
}

impl Tariffs {
    /// Reads a text. The second value is its `activate`: when the tariffs are to come into force, in minutes of normal
    /// time since 1970; `None` = at once.
    ///
    /// # Errors
    /// The first thing that is wrong, with line and field.
    pub fn parse(text: &str) -> Result<(Tariffs, Option<i64>), TariffError> {
        if text.len() > TEXT_MAX {
            return wrong("tariffs", format!("{} bytes of text; at most {TEXT_MAX}", text.len()));
        }
        let file: File = toml::from_str(text).map_err(|e| TariffError {
            line: Some(e.span().map_or(1, |span| line_at(text, span.start))),
            field: "tariffs".into(),
            reason: e.message().split_whitespace().collect::<Vec<_>>().join(" "),
        })?;
        checked(&file).map_err(|e| TariffError { line: line_of(text, &e.field), ..e })
    }

    /// The text that [`Tariffs::parse`] reads these tariffs from.
    pub fn to_toml(&self, activate: Option<i64>) -> String {
        // Maps and lists of text always can be written.
        toml::to_string(&written(self, activate)).unwrap_or_default()
    }
}

fn checked(file: &File) -> Checked<(Tariffs, Option<i64>)> {
    let source = match &file.source {
        None => Source::Off,
        Some(name) => Source::named(name).map_or_else(
            || wrong("source", format!("must be one of {}", names(Source::NAMES.iter().map(|n| n.1)))),
            Ok,
        )?,
    };
    let without_time = match &file.without_time {
        None => Tariff::FIRST,
        Some(text) => text.parse().map_err(|e: &str| TariffError::new("without_time", e))?,
    };
    let activate = file.activate.as_deref().map(|text| moment("activate", text)).transpose()?;
    let daylight = daylight(&file.daylight)?;
    let calendar = calendar(&file.calendar, &file.season)?;
    let mut plans = [None; PLANS];
    for (key, plan_file) in &file.plan {
        let field = format!("plan.{key}");
        let number = number(&field, key, PLANS)?;
        plans[number - 1] = Some(plan(&field, plan_file, &calendar)?);
    }
    if source == Source::Plan && plans.iter().all(Option::is_none) {
        return wrong("source", "a plan is to be followed and there is none");
    }
    Ok((Tariffs { source, without_time, daylight, calendar, plans }, activate))
}

fn daylight(file: &DaylightFile) -> Checked<Daylight> {
    let rule = match &file.rule {
        None => Rule::None,
        Some(name) => Rule::NAMES.iter().find(|(_, n)| n == name).map(|(r, _)| *r).map_or_else(
            || wrong("daylight.rule", format!("must be one of {}", names(Rule::NAMES.iter().map(|n| n.1)))),
            Ok,
        )?,
    };
    let mut daylight = Daylight { rule, ..Daylight::default() };
    if (rule == Rule::List) == file.periods.is_empty() {
        return wrong("daylight.periods", "rule \"list\" needs periods, and only that rule has them");
    }
    bounded("daylight.periods", file.periods.len(), DAYLIGHT_YEARS, "periods")?;
    for (n, period) in file.periods.iter().enumerate() {
        let field = format!("daylight.periods[{}]", n + 1);
        let begin = moment(&format!("{field}.begin"), &period.begin)?;
        let end = moment(&format!("{field}.end"), &period.end)?;
        if begin >= end {
            return wrong(field, "ends before it begins");
        }
        if daylight.periods().last().is_some_and(|(_, before)| begin <= *before) {
            return wrong(field, "does not begin after the period before it");
        }
        daylight.periods[n] = (begin, end);
        daylight.count += 1;
    }
    Ok(daylight)
}

fn calendar(file: &CalendarFile, seasons: &BTreeMap<String, SeasonFile>) -> Checked<Calendar> {
    let mut calendar = Calendar::default();
    bounded("calendar.shifts", file.shifts.len(), SEASON_SHIFTS_MAX, "changes of season in a year")?;
    for (n, shift) in file.shifts.iter().enumerate() {
        let field = format!("calendar.shifts[{}]", n + 1);
        let (month, day) = month_day(&format!("{field}.from"), &shift.from)?;
        let season = u8::try_from(shift.season).ok().filter(|s| (1..=SEASONS as u8).contains(s));
        let Some(season) = season else {
            return wrong(format!("{field}.season"), format!("must be 1 to {SEASONS}"));
        };
        match calendar.shifts().last() {
            Some(before) if (before.month, before.day) == (month, day) => {
                return wrong(field, "two seasons begin on the same day");
            }
            Some(before) if (before.month, before.day) > (month, day) => {
                return wrong(field, "begins before the season before it: write them in the order of the year");
            }
            _ => {}
        }
        calendar.shifts[n] = SeasonShift { month, day, season };
        calendar.shift_count += 1;
    }
    for (key, season) in seasons {
        let field = format!("season.{key}");
        let number = number(&field, key, SEASONS)?;
        if season.week.len() != 7 {
            return wrong(format!("{field}.week"), "must have seven days, Monday first");
        }
        for (n, name) in season.week.iter().enumerate() {
            let kind = DayType::NAMES.iter().find(|(_, known)| known == name);
            let Some((kind, _)) = kind else {
                let known = names(DayType::NAMES.iter().map(|n| n.1));
                return wrong(format!("{field}.week[{}]", n + 1), format!("must be one of {known}"));
            };
            calendar.weeks[number - 1][n] = *kind;
        }
    }
    bounded("calendar.exceptions", file.exceptions.len(), EXCEPTIONS_MAX, "exception days")?;
    for (n, text) in file.exceptions.iter().enumerate() {
        let field = format!("calendar.exceptions[{}]", n + 1);
        let date = date(&field, text)?;
        if calendar.exceptions().last().is_some_and(|before| date <= before) {
            return wrong(field, format!("{date} does not come after the day before it in the list"));
        }
        // Inside of 2000 to 2099: fits.
        calendar.exceptions[n] = (date.0 - EPOCH_2000.0) as u16;
        calendar.exception_count += 1;
    }
    Ok(calendar)
}

fn plan(field: &str, file: &PlanFile, calendar: &Calendar) -> Checked<Plan> {
    let mut plan = Plan::default();
    for (key, days) in &file.season {
        let field = format!("{field}.season.{key}");
        let number = number(&field, key, SEASONS)?;
        let kinds = [("working", &days.working), ("non-working", &days.non_working), ("holiday", &days.holiday)];
        for (kind, (name, texts)) in kinds.into_iter().enumerate() {
            plan.days[number - 1][kind] = day(&format!("{field}.{name}"), texts)?;
        }
        if days.working.is_empty() {
            return wrong(format!("{field}.working"), "a season needs at least this kind of day");
        }
    }
    let used: Vec<u8> = calendar.shifts().iter().map(|s| s.season).collect();
    let needed = if used.is_empty() { &[1][..] } else { &used };
    if let Some(season) = needed.iter().find(|season| !plan.has_season(**season)) {
        return wrong(format!("{field}.season"), format!("season {season} of the calendar is missing"));
    }
    Ok(plan)
}

fn day(field: &str, texts: &[String]) -> Checked<DayPlan> {
    bounded(field, texts.len(), DAY_SHIFTS_MAX, "shifts in a day")?;
    let mut shifts: Vec<DayShift> = Vec::new();
    for (n, text) in texts.iter().enumerate() {
        let field = format!("{field}[{}]", n + 1);
        let parts = text.split_once(' ').map(|(time, tariff)| (clock(time), tariff.parse()));
        let Some((Some(minute), Ok(tariff))) = parts else {
            return wrong(field, "must be a time and a tariff, like \"06:30 T2\"");
        };
        match shifts.last() {
            Some(before) if minute == before.minute => return wrong(field, "two tariffs begin at the same minute"),
            Some(before) if minute < before.minute => {
                return wrong(field, "begins before the shift before it: write them in the order of the day");
            }
            _ => {}
        }
        shifts.push(DayShift { minute, tariff });
    }
    DayPlan::new(&shifts).map_or_else(|| wrong(field, "is no day"), Ok)
}

fn bounded(field: &str, count: usize, max: usize, what: &str) -> Checked<()> {
    // The first that is too many is the one to name.
    if count > max { wrong(format!("{field}[{}]", max + 1), format!("at most {max} {what}")) } else { Ok(()) }
}

fn number(field: &str, key: &str, max: usize) -> Checked<usize> {
    match key.parse::<usize>() {
        Ok(n) if (1..=max).contains(&n) && key.len() == 1 => Ok(n),
        _ => wrong(field, format!("must be numbered 1 to {max}")),
    }
}

fn date(field: &str, text: &str) -> Checked<Date> {
    let date: Date = text.parse().map_err(|e: meter_model::ParseDateError| TariffError::new(field, e.to_string()))?;
    if date < EPOCH_2000 || date > LAST_DAY {
        return wrong(field, format!("{date} is outside 2000-01-01 to 2099-12-31"));
    }
    Ok(date)
}

/// `YYYY-MM-DD HH:MM` in normal time, as minutes since 1970.
fn moment(field: &str, text: &str) -> Checked<i64> {
    let Some((day, time)) = text.split_once(' ') else {
        return wrong(field, "must be a day and a time of normal time, like \"2027-03-28 02:00\"");
    };
    let day = date(field, day)?;
    let minute = clock(time).map_or_else(|| wrong(field, "the time must be 00:00 to 23:59"), Ok)?;
    Ok(day.minute() + i64::from(minute))
}

/// `HH:MM` as the minute of a day.
fn clock(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two = |t: &str| (t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.parse::<u16>().ok())?;
    let (hour, minute) = (two(hour)?, two(minute)?);
    let of_day = hour * 60 + minute;
    (minute < 60 && of_day < DAY).then_some(of_day)
}

/// `MM-DD`, a day that every year has.
fn month_day(field: &str, text: &str) -> Checked<(u8, u8)> {
    // 2001 is no leap year.
    match format!("2001-{text}").parse::<Date>() {
        Ok(date) => Ok((date.ymd().1, date.ymd().2)),
        Err(_) => wrong(field, "must be a day that every year has, MM-DD"),
    }
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

fn line_at(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|b| *b == b'\n').count()
}

/// The line of a field, or of the innermost table around it that the text has.
fn line_of(text: &str, field: &str) -> Option<usize> {
    let document = toml::de::DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut line = None;
    for part in field.split('.') {
        let (key, place) = match part.split_once('[') {
            Some((key, place)) => (key, place.strip_suffix(']').and_then(|n| n.parse::<usize>().ok())),
            None => (part, None),
        };
        let Some((name, value)) = table.iter().find(|(name, _)| name.get_ref().as_ref() == key) else { break };
        line = Some(line_at(text, name.span().start));
        let mut value = value;
        if let Some(entry) = place.and_then(|n| value.get_ref().as_array()?.get(n.checked_sub(1)?)) {
            line = Some(line_at(text, entry.span().start));
            value = entry;
        }
        let Some(inner) = value.get_ref().as_table() else { break };
        table = inner;
    }
    line
}

fn written(tariffs: &Tariffs, activate: Option<i64>) -> File {
    let moment = |minute: i64| {
        let (date, of_day) = Date::of_minute(minute);
        format!("{date} {:02}:{:02}", of_day / 60, of_day % 60)
    };
    let day = |day: &DayPlan| -> Vec<String> {
        day.shifts().iter().map(|s| format!("{:02}:{:02} {}", s.minute / 60, s.minute % 60, s.tariff)).collect()
    };
    let Tariffs { source, without_time, daylight, calendar, plans } = tariffs;
    let periods = daylight.periods().iter().map(|(begin, end)| PeriodFile { begin: moment(*begin), end: moment(*end) });
    let shifts = calendar.shifts().iter();
    let week = |season: u8| calendar.week(season).iter().map(|kind| kind.name().to_owned()).collect();
    let days =
        |days: &[DayPlan; 3]| DaysFile { working: day(&days[0]), non_working: day(&days[1]), holiday: day(&days[2]) };
    let seasons = |plan: &Plan| {
        let used = (1..=SEASONS as u8).filter(|n| plan.has_season(*n));
        used.map(|n| (n.to_string(), days(&plan.days[usize::from(n) - 1]))).collect()
    };
    let plans = plans.iter().enumerate().filter_map(|(n, plan)| Some((n + 1, plan.as_ref()?)));
    debug_assert_eq!(DAY_MINUTES, i64::from(DAY));
    File {
        source: Some(source.name().into()),
        without_time: Some(without_time.to_string()),
        activate: activate.map(moment),
        daylight: DaylightFile { rule: Some(daylight.rule.name().into()), periods: periods.collect() },
        calendar: CalendarFile {
            shifts: shifts
                .map(|s| ShiftFile { from: format!("{:02}-{:02}", s.month, s.day), season: s.season.into() })
                .collect(),
            exceptions: calendar.exceptions().map(|date| date.to_string()).collect(),
        },
        season: (1..=SEASONS as u8).map(|n| (n.to_string(), SeasonFile { week: week(n) })).collect(),
        plan: plans.map(|(n, plan)| (n.to_string(), PlanFile { season: seasons(plan) })).collect(),
    }
}
