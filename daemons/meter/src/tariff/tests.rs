//! Tariffs against an independent checker: civil time by `jiff`, seasons and shifts looked up in the lists that the text
//! was written from.

use super::*;
use jiff::tz::{Offset, TimeZone};
use proptest::prelude::*;
use std::fmt::Write;

const SHIPPED: &str = include_str!("../../../../config/examples/tariff.toml");

fn minute(text: &str) -> i64 {
    let stamp: jiff::Timestamp = text.parse().unwrap();
    stamp.as_second().div_euclid(60)
}

fn plan_of(text: &str) -> Tariffs {
    Tariffs::parse(text).unwrap().0
}

/// Table 10 of the tariff inputs and its inverse, bit for bit, and the modules with one port.
#[test]
fn inputs_follow_their_table() {
    let tariff = |ports, inverted, bits: u32| {
        let tariffs = Tariffs { source: Source::Inputs { ports, inverted }, ..Tariffs::default() };
        // Neither time nor other inputs matter.
        let at = |minute, noise| tariffs.at(Choice::default(), 0, Inputs(bits | noise), minute).number();
        assert_eq!(at(None, 0), at(Some(17), !0b11));
        at(None, 0)
    };
    let table = |ports, inverted| [0b00, 0b01, 0b10, 0b11].map(|bits| tariff(ports, inverted, bits));
    assert_eq!(table(Ports::Both, false), [1, 2, 3, 4]);
    assert_eq!(table(Ports::Both, true), [4, 3, 2, 1]);
    assert_eq!(table(Ports::First, false), [1, 2, 1, 2]);
    assert_eq!(table(Ports::First, true), [2, 1, 2, 1]);
    assert_eq!(table(Ports::Second, false), [1, 1, 2, 2]);
    assert_eq!(table(Ports::Second, true), [2, 2, 1, 1]);
}

#[test]
fn off_is_t1_and_on_demand_is_what_was_demanded() {
    let choice = Choice { on_demand: Tariff::new(7).unwrap(), plan: 1 };
    let at = |source| Tariffs { source, ..Tariffs::default() }.at(choice, 0, Inputs(3), Some(0)).number();
    assert_eq!((at(Source::Off), at(Source::OnDemand)), (1, 7));
    assert_eq!(Tariff::new(0), None);
    assert_eq!(Tariff::new(9), None);
    for (source, name) in Source::NAMES {
        assert_eq!((Source::named(name), source.name()), (Some(source), name));
    }
}

#[test]
fn the_shipped_example_is_taken_and_comes_back_as_text_and_bytes() {
    let (tariffs, activate) = Tariffs::parse(SHIPPED).unwrap();
    assert_eq!(activate, Some(minute("2027-01-01T00:00:00Z")));
    assert_eq!(Tariffs::parse(&tariffs.to_toml(activate)), Ok((tariffs, activate)));
    let mut bytes = Vec::new();
    tariffs.encode(&mut bytes);
    let bytes: [u8; TARIFFS_BYTES] = bytes.try_into().unwrap();
    assert_eq!(Tariffs::decode(&bytes), Some(tariffs));
    // Every key of the form is shown.
    for key in ["source", "without_time", "activate", "rule", "periods", "shifts", "exceptions", "week", "working"] {
        assert!(SHIPPED.contains(&format!("{key} = ")), "{key} is not shown");
    }
    for (at, number) in [
        ("2027-01-01T12:00:00Z", 2), // an exception day
        ("2027-01-04T16:59:00Z", 3), // winter, working, 17:59 local
        ("2027-01-04T15:59:00Z", 1),
        ("2027-01-05T04:59:00Z", 2), // before six o'clock the night goes on
        ("2027-07-05T20:00:00Z", 2), // summer, 22:00 local
        ("2027-07-05T19:59:00Z", 1),
        ("2027-07-04T10:00:00Z", 2), // a Sunday
    ] {
        assert_eq!(tariffs.at(Choice::default(), 60, Inputs(0), Some(minute(at))).number(), number, "{at}");
        let other = Choice { plan: 2, ..Choice::default() };
        assert_eq!(tariffs.at(other, 60, Inputs(0), Some(minute(at))).number(), 1, "{at}, plan 2");
    }
    // No time, no plan: the tariff for that.
    assert_eq!(tariffs.at(Choice::default(), 60, Inputs(0), None).number(), 1);
    assert_eq!(tariffs.at(Choice { plan: 3, ..Choice::default() }, 60, Inputs(0), Some(0)).number(), 1);
}

/// The hour that does not exist, and the hour that comes twice.
#[test]
fn clock_changes_move_plans_and_nothing_else() {
    let text =
        "source = 'plan'\n[daylight]\nrule = 'eu'\n[plan.1.season.1]\nworking = ['00:00 T1', '02:30 T2', '03:00 T3']\n";
    let tariffs = plan_of(text);
    let at = |text: &str| tariffs.at(Choice::default(), 60, Inputs(0), Some(minute(text))).number();
    // Spring: 01:59 CET, then 03:00 CEST. 02:30 never comes.
    assert_eq!((at("2027-03-28T00:59:00Z"), at("2027-03-28T01:00:00Z")), (1, 3));
    // Autumn: 02:30 CEST, 02:59 CEST, 02:00 CET, 02:30 CET, 03:00 CET.
    let autumn = ["00:29", "00:30", "00:59", "01:00", "01:29", "01:30", "01:59", "02:00"];
    let numbers = autumn.map(|t| at(&format!("2027-10-31T{t}:00Z")));
    assert_eq!(numbers, [1, 2, 2, 1, 1, 2, 2, 3]);
}

/// What is wrong is named by line and field, and nothing of the text is taken.
#[test]
fn impossible_tariffs_are_refused_by_line_and_field() {
    let days = |n: usize| (0..n).map(|k| format!("'{}'", Date(20_000 + k as i32))).collect::<Vec<_>>().join(", ");
    let shifts = |n: usize| (0..n).map(|k| format!("'{:02}:00 T1'", k)).collect::<Vec<_>>().join(", ");
    let seasons = |n: usize| {
        let shift = |k: usize| format!("{{ from = '{:02}-01', season = {} }}", k + 1, k % 4 + 1);
        (0..n).map(shift).collect::<Vec<_>>().join(", ")
    };
    let periods = |n: usize| {
        let period =
            |k: usize| format!("{{ begin = '20{:02}-03-01 02:00', end = '20{:02}-10-01 02:00' }}", k + 27, k + 27);
        (0..n).map(period).collect::<Vec<_>>().join(", ")
    };
    for (text, wanted) in [
        (format!("[calendar]\nexceptions = [{}]", days(201)), "line 2: calendar.exceptions[201]: at most 200"),
        (format!("[plan.1.season.1]\nworking = [{}]", shifts(11)), "line 2: plan.1.season.1.working[11]: at most 10"),
        (format!("[calendar]\nshifts = [{}]", seasons(9)), "line 2: calendar.shifts[9]: at most 8"),
        (format!("[daylight]\nrule='list'\nperiods=[{}]", periods(21)), "line 3: daylight.periods[21]: at most 20"),
        (
            "[calendar]\nshifts = [\n{ from = '04-01', season = 1 },\n{ from = '04-01', season = 2 }]".into(),
            "line 4: calendar.shifts[2]: two seasons begin on the same day",
        ),
        (
            "[calendar]\nshifts = [\n{ from = '10-01', season = 1 },\n{ from = '04-01', season = 2 }]".into(),
            "line 4: calendar.shifts[2]: begins before the season before it",
        ),
        (
            "[calendar]\nshifts = [{ from = '02-29', season = 1 }]".into(),
            "line 2: calendar.shifts[1].from: must be a day",
        ),
        (
            "[calendar]\nshifts = [{ from = '02-01', season = 5 }]".into(),
            "line 2: calendar.shifts[1].season: must be 1",
        ),
        ("[calendar]\nexceptions = ['2027-02-29']".into(), "line 2: calendar.exceptions[1]: not a day"),
        ("[calendar]\nexceptions = ['1999-12-31']".into(), "line 2: calendar.exceptions[1]: 1999-12-31 is outside"),
        ("[calendar]\nexceptions = ['2100-01-01']".into(), "line 2: calendar.exceptions[1]: 2100-01-01 is outside"),
        (
            "[calendar]\nexceptions = ['2027-01-02',\n'2027-01-01']".into(),
            "line 3: calendar.exceptions[2]: 2027-01-01 does not come after",
        ),
        ("[season.5]\nweek = []".into(), "line 1: season.5: must be numbered 1 to 4"),
        ("[season.1]\nweek = ['working']".into(), "line 2: season.1.week: must have seven days"),
        (
            "[season.1]\nweek = ['working','working','working','working','working','working','sunday']".into(),
            "line 2: season.1.week[7]: must be one of working",
        ),
        ("[plan.4.season.1]\nworking = ['00:00 T1']".into(), "line 1: plan.4: must be numbered 1 to 3"),
        ("[plan.1.season.1]\nholiday = ['00:00 T1']".into(), "line 1: plan.1.season.1.working: a season needs"),
        ("[plan.1.season.2]\nworking = ['00:00 T1']".into(), "line 1: plan.1.season: season 1 of the calendar"),
        (
            "[plan.1.season.1]\nworking = ['10:00 T1',\n'09:59 T2']".into(),
            "line 3: plan.1.season.1.working[2]: begins before",
        ),
        (
            "[plan.1.season.1]\nworking = ['10:00 T1', '10:00 T2']".into(),
            "line 2: plan.1.season.1.working[2]: two tariffs begin",
        ),
        ("[plan.1.season.1]\nworking = ['24:00 T1']".into(), "line 2: plan.1.season.1.working[1]: must be a time"),
        ("[plan.1.season.1]\nworking = ['10:00 T9']".into(), "line 2: plan.1.season.1.working[1]: must be a time"),
        ("source = 'plan'".into(), "line 1: source: a plan is to be followed"),
        ("source = 'sun'".into(), "line 1: source: must be one of off, inputs-4"),
        ("without_time = 'T0'".into(), "line 1: without_time: must be T1 to T8"),
        ("activate = '2027-01-01'".into(), "line 1: activate: must be a day and a time"),
        ("activate = '2027-01-01 24:00'".into(), "line 1: activate: the time must be"),
        ("[daylight]\nrule = 'us'".into(), "line 2: daylight.rule: must be one of none, eu, list"),
        ("[daylight]\nrule = 'list'".into(), "line 1: daylight.periods: rule \"list\" needs periods"),
        (
            "[daylight]\nrule = 'list'\nperiods = [{ begin = '2027-10-01 02:00', end = '2027-03-01 02:00' }]".into(),
            "line 3: daylight.periods[1]: ends before it begins",
        ),
        (
            "[daylight]\nrule='list'\nperiods=[{ begin = '2027-03-01 02:00', end = '2027-10-01 02:00' },\n\
             { begin = '2027-09-01 02:00', end = '2027-11-01 02:00' }]"
                .into(),
            "line 4: daylight.periods[2]: does not begin after",
        ),
        ("[calendar]\nholidays = []".into(), "line 2: tariffs: unknown field `holidays`"),
        ("source = 1".into(), "line 1: tariffs: invalid type"),
        ("source =".into(), "line 1: tariffs: "),
    ] {
        let error = Tariffs::parse(&text).unwrap_err().to_string();
        assert!(error.starts_with(wanted), "{text}\n{error}");
    }
    // At their limits the same texts are good.
    let full = format!(
        "source = 'plan'\n[daylight]\nrule = 'list'\nperiods = [{}]\n[calendar]\nexceptions = [{}]\n\
         [plan.1.season.1]\nworking = [{}]",
        periods(20),
        days(200),
        shifts(10)
    );
    let tariffs = plan_of(&full);
    assert_eq!(tariffs.calendar.exceptions().count(), 200);
    assert!(Tariffs::parse(&"#".repeat(70_000)).is_err());
}

#[test]
fn dates_more_than_twenty_years_ahead_are_refused() {
    let today: Date = "2027-06-01".parse().unwrap();
    let check = |text: &str| plan_of(text).check_horizon(today).map_err(|e| e.field);
    assert_eq!(check("[calendar]\nexceptions = ['2047-06-01']"), Ok(()));
    let error = check("[calendar]\nexceptions = ['2030-01-01', '2047-06-02']");
    assert_eq!(error, Err("calendar.exceptions[2]".into()));
    let list =
        |end| format!("[daylight]\nrule='list'\nperiods=[{{ begin = '2027-03-01 02:00', end = '{end} 02:00' }}]");
    assert_eq!(check(&list("2047-06-01")), Ok(()));
    assert_eq!(check(&list("2047-06-02")), Err("daylight.periods[1]".into()));
    let leap: Date = "2080-02-29".parse().unwrap();
    assert_eq!(plan_of("[calendar]\nexceptions = ['2099-12-31']").check_horizon(leap), Ok(()));
}

/// A world as lists, from which the text is written.
#[derive(Clone, Debug)]
struct World {
    offset_h: i8,
    eu: bool,
    shifts: Vec<(u8, u8, u8)>,
    weeks: Vec<Vec<usize>>,
    exceptions: Vec<i32>,
    days: Vec<Vec<Vec<(u16, u8)>>>,
}

const KINDS: [&str; 3] = ["working", "non-working", "holiday"];

impl World {
    fn text(&self) -> String {
        let mut text = String::from("source = 'plan'\nwithout_time = 'T8'\n");
        let _ = write!(text, "[daylight]\nrule = '{}'\n[calendar]\n", if self.eu { "eu" } else { "none" });
        let shifts = self.shifts.iter().map(|(m, d, s)| format!("{{ from = '{m:02}-{d:02}', season = {s} }}"));
        let _ = writeln!(text, "shifts = [{}]", shifts.collect::<Vec<_>>().join(", "));
        let exceptions = self.exceptions.iter().map(|d| format!("'{}'", Date(*d)));
        let _ = writeln!(text, "exceptions = [{}]", exceptions.collect::<Vec<_>>().join(", "));
        for (n, week) in self.weeks.iter().enumerate() {
            let week = week.iter().map(|k| format!("'{}'", KINDS[*k])).collect::<Vec<_>>().join(", ");
            let _ = writeln!(text, "[season.{}]\nweek = [{week}]", n + 1);
        }
        for (n, kinds) in self.days.iter().enumerate() {
            let _ = writeln!(text, "[plan.1.season.{}]", n + 1);
            for (kind, shifts) in KINDS.iter().zip(kinds).filter(|(_, shifts)| !shifts.is_empty()) {
                let shifts = shifts.iter().map(|(m, t)| format!("'{:02}:{:02} T{t}'", m / 60, m % 60));
                let _ = writeln!(text, "{kind} = [{}]", shifts.collect::<Vec<_>>().join(", "));
            }
        }
        text
    }

    /// Local time by another library.
    fn local(&self, minute: i64) -> jiff::civil::DateTime {
        let hours = self.offset_h;
        let zone = if self.eu {
            // In the European Union all zones change at 01:00 UTC.
            let (begin, end) = (1 + i32::from(hours), 2 + i32::from(hours));
            TimeZone::posix(&format!("AAA{}BBB,M3.5.0/{begin},M10.5.0/{end}", -i32::from(hours))).unwrap()
        } else {
            TimeZone::fixed(Offset::from_hours(hours).unwrap())
        };
        zone.to_datetime(jiff::Timestamp::from_second(minute * 60).unwrap())
    }

    fn day(&self, date: jiff::civil::Date) -> &[(u16, u8)] {
        let (month, day) = (date.month() as u8, date.day() as u8);
        let mut season = self.shifts.last().map_or(1, |s| s.2);
        for (m, d, s) in &self.shifts {
            if (*m, *d) <= (month, day) {
                season = *s;
            }
        }
        let season = usize::from(season) - 1;
        let epoch = jiff::civil::date(1970, 1, 1);
        let number = (date - epoch).get_days();
        let weekday = date.weekday().to_monday_zero_offset() as usize;
        let mut kind = if self.exceptions.contains(&number) { 2 } else { self.weeks[season][weekday] };
        while self.days[season][kind].is_empty() {
            kind -= 1;
        }
        &self.days[season][kind]
    }

    fn tariff(&self, minute: i64) -> u8 {
        let local = self.local(minute);
        let of_day = local.hour() as u16 * 60 + local.minute() as u16;
        let today = self.day(local.date()).iter().rfind(|(m, _)| *m <= of_day);
        let yesterday = self.day(local.date().yesterday().unwrap());
        today.or(yesterday.last()).unwrap().1
    }
}

fn day() -> impl Strategy<Value = Vec<(u16, u8)>> {
    // Many shifts in the small hours, where the clock changes.
    let minute = prop_oneof![0..1440u16, 60..240u16];
    prop::collection::btree_map(minute, 1..=8u8, 1..=10).prop_map(|m| m.into_iter().collect())
}

fn world() -> impl Strategy<Value = World> {
    let shift = (1..=12u8, 1..=28u8);
    let shifts = prop::collection::btree_map(shift, 1..=4u8, 0..=8)
        .prop_map(|m| m.into_iter().map(|((m, d), s)| (m, d, s)).collect());
    let weeks = prop::collection::vec(prop::collection::vec(0..3usize, 7), 4);
    // 2027 to 2029.
    let exceptions = prop::collection::btree_set(20_819..21_915i32, 0..=200).prop_map(|s| s.into_iter().collect());
    let maybe = || prop_oneof![day(), Just(Vec::new())];
    let days = prop::collection::vec((day(), maybe(), maybe()).prop_map(|(a, b, c)| vec![a, b, c]), 4);
    (-1..=3i8, any::<bool>(), shifts, weeks, exceptions, days).prop_map(
        |(offset_h, eu, shifts, weeks, exceptions, days)| World { offset_h, eu, shifts, weeks, exceptions, days },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Any plan, any minute of three years and every minute around the changes of the clock.
    #[test]
    fn a_plan_says_what_its_lists_say(world in world(), minutes in prop::collection::vec(29_980_800..31_557_600i64, 64)) {
        let text = world.text();
        let tariffs = plan_of(&text);
        prop_assert_eq!(Tariffs::parse(&tariffs.to_toml(None)), Ok((tariffs, None)));
        let mut bytes = Vec::new();
        tariffs.encode(&mut bytes);
        let bytes: [u8; TARIFFS_BYTES] = bytes.try_into().unwrap();
        prop_assert_eq!(Tariffs::decode(&bytes), Some(tariffs));
        let spring = minute("2028-03-25T22:00:00Z")..minute("2028-03-26T06:00:00Z");
        let autumn = minute("2028-10-28T22:00:00Z")..minute("2028-10-29T06:00:00Z");
        for m in minutes.into_iter().chain(spring).chain(autumn) {
            let offset = i16::from(world.offset_h) * 60;
            let tariff = tariffs.at(Choice::default(), offset, Inputs(0), Some(m)).number();
            prop_assert_eq!(tariff, world.tariff(m), "{}\nminute {}", text, m);
        }
    }

    /// The next switch is the first minute with another tariff, found by trying every minute.
    #[test]
    fn the_next_switch_is_the_first(world in world(), from in 29_980_800..31_000_000i64) {
        let tariffs = plan_of(&world.text());
        let offset = i16::from(world.offset_h) * 60;
        let now = world.tariff(from);
        let wanted = (from + 1..from + 3 * 1440).find(|m| world.tariff(*m) != now);
        let found = tariffs.next_switch(Choice::default(), offset, from);
        match wanted {
            Some(m) => prop_assert_eq!(found.map(|(at, t)| (at, t.number())), Some((m, world.tariff(m)))),
            None => prop_assert!(found.is_none_or(|(at, _)| at >= from + 3 * 1440)),
        }
    }

    /// Bytes from a damaged medium are refused or are a state that writes itself the same.
    #[test]
    fn any_bytes_are_safe(flips in prop::collection::vec((0..TARIFFS_BYTES, any::<u8>()), 0..6)) {
        let mut bytes = Vec::new();
        plan_of(SHIPPED).encode(&mut bytes);
        let mut bytes: [u8; TARIFFS_BYTES] = bytes.try_into().unwrap();
        flips.into_iter().for_each(|(at, value)| bytes[at] = value);
        if let Some(tariffs) = Tariffs::decode(&bytes) {
            let mut again = Vec::new();
            tariffs.encode(&mut again);
            prop_assert_eq!(&again[..], &bytes[..]);
            let _ = (tariffs.at(Choice::default(), 60, Inputs(0), Some(30_000_000)), tariffs.to_toml(None));
            let _ = tariffs.next_switch(Choice::default(), 60, 30_000_000);
        }
    }

    #[test]
    fn any_text_is_safe(text in "(source|plan|\\[calendar\\]|\\n| = |'|[0-9:. T-]|\\[|\\]){0,40}") {
        let _ = Tariffs::parse(&text);
    }
}
