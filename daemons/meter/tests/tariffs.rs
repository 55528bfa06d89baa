//! Tariff registers through the whole core: who gets each millijoule, live and replayed.

mod common;

use common::{Device, Host, Load, MINUTE, NOON, WINDOW_US, at_noon, utc};
use meter_core::tariff::{Choice, Tariff, Tariffs};
use meter_core::{AuditCode, Command, LoggerId, Params, Refused, Settings, StatusCode};
use meter_model::{Absent, Status, Utc};
use metrology_link::payload::{ClockQuality, Inputs};

/// Another tariff each quarter of an hour after noon.
const QUARTERS: &str = "source = 'plan'\nwithout_time = 'T8'\n[plan.1.season.1]\n\
    working = ['00:00 T1', '12:15 T2', '12:30 T3', '12:45 T4', '13:00 T5', '13:07 T6']\n\
    [plan.2.season.1]\nworking = ['00:00 T7']\n";

fn tariffs(text: &str) -> Tariffs {
    Tariffs::parse(text).expect("possible").0
}

fn with(text: &str) -> (Device, Host) {
    let settings = Settings { tariffs: Some((tariffs(text), None)), ..Settings::default() };
    (Device::new(1, NOON, ClockQuality::Valid), Host::new(settings))
}

/// A+ per tariff in windows of the default load.
fn windows(host: &Host) -> [u64; 8] {
    let durable = host.committed.expect("committed");
    durable.by_tariff.map(|set| {
        assert_eq!(set[0] % Load::default().import, 0, "part of a window");
        set[0] / Load::default().import
    })
}

// covers: MET-013 TAR-001 TAR-008 TAR-011
#[test]
fn a_plan_switches_to_the_minute_and_all_energies_go_along() {
    let (mut device, mut host) = with(QUARTERS);
    device.load = Load { export: 777_003, reactive: [3001, 44_001, 12_003, 9], ..Load::default() };
    host.run_minutes(&mut device, 70);
    // 15, 15, 15, 15, 7 and 3 minutes of six windows.
    assert_eq!(windows(&host), [90, 90, 90, 90, 42, 18, 0, 0]);
    let durable = host.committed.unwrap();
    let total = durable.registers.total;
    let [r1, r2, r3, r4] = total.r;
    let totals = [total.a_plus, total.a_minus, r1 + r2, r3 + r4, total.e_plus, total.e_minus];
    for (direction, total) in totals.into_iter().enumerate() {
        assert!(total > 0);
        let sum: u64 = durable.by_tariff.iter().map(|set| set[direction]).sum();
        assert_eq!(sum, total, "direction {direction}");
        // In proportion to the minutes, for the load is constant.
        assert_eq!(durable.by_tariff[5][direction] * 420, total * 18);
    }
    assert_eq!(host.verify(), []);
}

/// Linux is away over three switches; the ring of the coprocessor tells them.
// covers: TAR-011
#[test]
fn a_switch_in_an_outage_of_linux_is_attributed_exactly() {
    let (mut live_device, mut live) = with(QUARTERS);
    let (mut device, mut host) = with(QUARTERS);
    live.run_minutes(&mut live_device, 70);
    host.run_minutes(&mut device, 10);
    for _ in 0..50 * 6 {
        device.window(WINDOW_US);
    }
    host.restart();
    host.run_minutes(&mut device, 10);
    assert_eq!(windows(&host), [90, 90, 90, 90, 42, 18, 0, 0]);
    assert_eq!(host.committed, live.committed);
}

// covers: TAR-002 TAR-003 TAR-005
#[test]
fn inputs_switch_at_their_edges() {
    for (source, wanted) in [
        ("inputs-4", [30, 6, 12, 18, 0, 0, 0, 0]),
        ("inputs-4-inverted", [18, 12, 6, 30, 0, 0, 0, 0]),
        ("input-1", [42, 24, 0, 0, 0, 0, 0, 0]),
        ("input-2-inverted", [30, 36, 0, 0, 0, 0, 0, 0]),
    ] {
        for away in [false, true] {
            let (mut device, mut host) = with(&format!("source = '{source}'"));
            host.pump(&mut device);
            for (bits, n) in [(0, 30), (0b01, 6), (0b10, 12), (0b11, 18)] {
                device.inputs(bits);
                for _ in 0..n {
                    device.window(WINDOW_US);
                    if !away {
                        host.pump(&mut device);
                    }
                }
            }
            device.inputs(0);
            host.pump(&mut device);
            assert_eq!(windows(&host), wanted, "{source}, away {away}");
        }
    }
}

// covers: TAR-007
#[test]
fn a_tariff_on_demand_begins_with_its_command_and_is_audited() {
    let (mut device, mut host) = with("source = 'on-demand'");
    host.run(&mut device, 20);
    let demand = |n| {
        Command::SetParams(Params {
            choice: Choice { on_demand: Tariff::new(n).unwrap(), plan: 1 },
            ..Params::default()
        })
    };
    assert_eq!(host.command(&mut device, demand(6)), Ok(()));
    host.run(&mut device, 30);
    assert_eq!(host.command(&mut device, demand(2)), Ok(()));
    host.run(&mut device, 16);
    assert_eq!(windows(&host), [20, 16, 0, 0, 0, 30, 0, 0]);
    let audit = host.logger(LoggerId::Audit);
    let rows: Vec<_> = audit.iter().map(|r| (r.values[0], r.values[1], r.values[2], r.text.as_str())).collect();
    let code = AuditCode::DemandedTariff as i64;
    assert_eq!(rows, [(code, 1, 6, "test peer"), (code, 6, 2, "test peer")]);
    // A tariff is no reason to cut the interval.
    host.run_minutes(&mut device, 30);
    assert!(host.load().iter().skip(1).all(|row| row.status == Status(0)));
}

/// A choice of plan works like a demand.
// covers: TAR-008
#[test]
fn another_plan_is_followed_from_its_command_on() {
    let (mut device, mut host) = with(QUARTERS);
    host.run(&mut device, 20);
    let params = Params { choice: Choice { plan: 2, ..Choice::default() }, ..Params::default() };
    assert_eq!(host.command(&mut device, Command::SetParams(params)), Ok(()));
    host.run(&mut device, 124);
    assert_eq!(windows(&host), [20, 0, 0, 0, 0, 0, 124, 0]);
    let wrong = Params { choice: Choice { plan: 4, ..Choice::default() }, ..Params::default() };
    assert!(matches!(host.command(&mut device, Command::SetParams(wrong)), Err(Refused::Params(_))));
}

/// Seasons, kinds of days, exception days and daylight saving, each reached by setting the clock.
// covers: TAR-009 TAR-010 TIM-007 TIM-009 TIM-010
#[test]
fn seasons_days_exceptions_and_local_time_decide() {
    let text = "source = 'plan'\n[daylight]\nrule = 'eu'\n[calendar]\n\
        shifts = [{ from = '04-01', season = 1 }, { from = '06-15', season = 3 }, { from = '10-01', season = 2 }]\n\
        exceptions = ['2026-05-01', '2026-12-24']\n\
        [season.1]\nweek = ['working','working','working','working','working','non-working','holiday']\n\
        [season.2]\nweek = ['working','working','working','working','working','non-working','non-working']\n\
        [plan.1.season.1]\nworking = ['06:00 T1', '22:00 T2']\nnon-working = ['00:00 T3']\nholiday = ['00:00 T4']\n\
        [plan.1.season.2]\nworking = ['00:00 T5']\nnon-working = ['00:00 T6']\n\
        [plan.1.season.3]\nworking = ['00:00 T7']\nholiday = ['00:00 T8']\n";
    let params = Params { offset_min: 60, ..Params::default() };
    let tariffs = Some((tariffs(text), None));
    let mut device = Device::new(1, NOON, ClockQuality::Valid);
    let mut host = Host::new(Settings { params, tariffs, ..Settings::default() });
    host.run_minutes(&mut device, 1);
    for (at, wanted) in [
        ("2026-03-31T20:00:00Z", 5), // season 2 goes on into the year: a Tuesday
        ("2026-03-31T22:05:00Z", 5), // 00:05 of 1 April in local time: season 1 has begun, and the tariff before goes on
        ("2026-04-01T04:01:00Z", 1), // 06:01 in summer time
        ("2026-04-01T19:58:00Z", 1),
        ("2026-04-01T20:00:00Z", 2), // 22:00
        ("2026-04-03T22:00:00Z", 3), // Saturday has begun in local time
        ("2026-04-05T12:00:00Z", 4), // a Sunday
        ("2026-05-01T12:00:00Z", 4), // an exception day on a Friday
        ("2026-06-15T12:00:00Z", 7),
        ("2026-09-30T12:00:00Z", 7),
        ("2026-10-04T12:00:00Z", 6), // a Sunday of season 2
        ("2026-12-24T12:00:00Z", 6), // an exception day of a season without holidays
        ("2026-12-31T12:00:00Z", 5),
        ("2027-01-01T12:00:00Z", 5),
    ] {
        let utc: jiff::Timestamp = at.parse().unwrap();
        assert_eq!(host.command(&mut device, Command::ClockSet(Utc(utc.as_microsecond()))), Ok(()));
        host.run_minutes(&mut device, 1);
        assert_eq!(host.committed.unwrap().tariff.number(), wanted, "{at}");
    }
    assert_eq!(host.verify(), []);
}

/// The night in which the clock goes forward: plans follow local time, rows and intervals do not know of it.
// covers: TIM-008
#[test]
fn daylight_saving_moves_plans_and_no_interval() {
    let text =
        "source = 'plan'\n[daylight]\nrule = 'eu'\n[plan.1.season.1]\nworking = ['00:00 T1', '02:30 T2', '03:15 T3']\n";
    let begin: jiff::Timestamp = "2026-03-29T00:00:00Z".parse().unwrap();
    let params = Params { offset_min: 60, ..Params::default() };
    let settings = Settings { params, tariffs: Some((tariffs(text), None)), ..Settings::default() };
    let mut device = Device::new(1, begin.as_microsecond(), ClockQuality::Valid);
    let mut host = Host::new(settings);
    host.run_minutes(&mut device, 120);
    // 01:00 to 01:59 in T1; then it is 03:00, in T2 since the half hour that did not exist; T3 from 03:15.
    assert_eq!(windows(&host)[..3], [360, 90, 270]);
    let load = host.load();
    assert_eq!(load.len(), 8);
    assert!(load.iter().all(|row| row.status == Status(0) && row.end.0 - row.start.0 == 15 * MINUTE));
    assert!(load.windows(2).all(|pair| pair[0].end == pair[1].start));
}

#[test]
fn waiting_tariffs_come_into_force_at_their_minute_and_survive_a_restart() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 5);
    let later = (tariffs(QUARTERS), Some(utc(20.0).0 / MINUTE));
    assert_eq!(host.command(&mut device, Command::SetTariffs(Box::new(later))), Ok(()));
    host.run_minutes(&mut device, 5);
    host.restart();
    host.run_minutes(&mut device, 30);
    // T1 for 20 minutes (tariffs off), then what the plan says: T2 until 12:30, T3.
    assert_eq!(windows(&host), [120, 60, 60, 0, 0, 0, 0, 0]);
    let codes: Vec<i64> = host.logger(LoggerId::Audit).iter().map(|r| r.values[0]).collect();
    assert_eq!(codes, [AuditCode::TariffsAccepted as i64, AuditCode::TariffsInForce as i64]);
    let at = host.logger(LoggerId::Audit)[1].start;
    assert_eq!(at, utc(20.0));
    assert_eq!(host.verify(), []);
}

#[test]
fn tariffs_at_once_begin_at_the_next_record_and_never_before_their_command() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 5);
    // A minute that the meter has not read yet was over when the command came.
    (0..9).for_each(|_| device.window(WINDOW_US));
    host.bill(&mut device);
    let origin = meter_core::Origin { source: "x".into(), uid: 0 };
    let now = (tariffs("source = 'inputs-4-inverted'"), None);
    host.step(&mut device, meter_core::Input::Command(Command::SetTariffs(Box::new(now)), origin));
    host.run_minutes(&mut device, 2);
    // 6.5 minutes when it was given, 8 at the last record; in force at the full minute.
    assert_eq!(windows(&host)[..4], [42, 0, 0, 6]);
}

#[test]
fn dates_beyond_twenty_years_are_refused_whole() {
    let (mut device, mut host) = with(QUARTERS);
    host.run_minutes(&mut device, 1);
    let far = |date| format!("{QUARTERS}[calendar]\nexceptions = ['{date}']");
    let command = |text: &str| Command::SetTariffs(Box::new((tariffs(text), None)));
    let before = *host.meter.durable();
    match host.command(&mut device, command(&far("2046-03-02"))) {
        Err(Refused::Tariffs(e)) => assert_eq!(e.field, "calendar.exceptions[1]"),
        other => panic!("{other:?}"),
    }
    assert_eq!(*host.meter.durable(), before);
    assert_eq!(host.command(&mut device, command(&far("2046-03-01"))), Ok(()));
}

#[test]
fn the_configuration_brings_tariffs_once() {
    let (mut device, mut host) = with(QUARTERS);
    host.run_minutes(&mut device, 1);
    // The same file again changes nothing; what a command changed stays.
    let other = Command::SetTariffs(Box::new((tariffs("source = 'on-demand'"), None)));
    assert_eq!(host.command(&mut device, other), Ok(()));
    host.run_minutes(&mut device, 2);
    host.restart();
    host.run_minutes(&mut device, 2);
    assert_eq!(host.committed.unwrap().tariffs, tariffs("source = 'on-demand'"));
    // Another file counts.
    host.settings.tariffs = Some((tariffs("source = 'input-1'"), None));
    host.restart();
    host.run_minutes(&mut device, 2);
    assert_eq!(host.committed.unwrap().tariffs, tariffs("source = 'input-1'"));
}

#[test]
fn an_outage_over_a_switch_leaves_nothing_with_the_wrong_tariff() {
    let (mut device, mut host) = with(QUARTERS);
    host.run_minutes(&mut device, 10);
    device.power_fail();
    host.pump(&mut device);
    device.reset(25 * MINUTE);
    // 12:35 now.
    host.run_minutes(&mut device, 5);
    assert_eq!(windows(&host), [60, 0, 30, 0, 0, 0, 0, 0]);
    assert!(host.logger(LoggerId::Status).iter().all(|r| r.values[0] != StatusCode::TariffUncertain as i64));
}

/// More minutes are lost than the ring has: the energy stays with the tariff before, and a row says that this is a guess.
#[test]
fn a_gap_over_a_switch_is_told() {
    let (mut device, mut host) = with(QUARTERS);
    host.run_minutes(&mut device, 10);
    for _ in 0..300 * 6 {
        device.window(WINDOW_US);
    }
    host.run_minutes(&mut device, 1);
    let status = host.logger(LoggerId::Status);
    let told: Vec<_> = status.iter().filter(|r| r.values[0] == StatusCode::TariffUncertain as i64).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].values[3..5], [1, 4], "the ring begins at 12:55");
    assert_eq!(windows(&host).iter().sum::<u64>(), 311 * 6);
    assert_eq!(host.verify(), []);
}

#[test]
fn without_a_valid_clock_no_plan_is_followed() {
    let settings = Settings { tariffs: Some((tariffs(QUARTERS), None)), ..Settings::default() };
    let mut device = Device::new(1, NOON, ClockQuality::Invalid);
    let mut host = Host::new(settings);
    host.run_minutes(&mut device, 20);
    assert_eq!(windows(&host), [0, 0, 0, 0, 0, 0, 0, 120]);
    assert_eq!(host.command(&mut device, Command::ClockSet(utc(31.0))), Ok(()));
    host.run_minutes(&mut device, 2);
    assert_eq!(windows(&host), [0, 0, 12, 0, 0, 0, 0, 120]);
}

/// What a tariff register shows never falls, at no page and at no record, while tariffs switch.
// covers: MET-013
#[test]
fn what_is_shown_never_falls() {
    let (mut device, mut host) = with(QUARTERS);
    let codes: Vec<meter_model::Obis> = (1..=8).map(|t| meter_model::Obis::electricity(1, 8, t)).collect();
    let mut shown = [0; 8];
    let mut moved = [false; 8];
    let mut look = |host: &Host, device: &Device| {
        let mut sum = 0;
        for (n, code) in codes.iter().enumerate() {
            let reading = host.meter.read(*code, Host::mono(device)).expect("there is such a register");
            if reading.absent() == Some(Absent::NotYet) {
                continue;
            }
            assert!(reading.value >= shown[n], "T{} fell from {} to {}", n + 1, shown[n], reading.value);
            moved[n] |= reading.value > shown[n] && shown[n] > 0;
            shown[n] = reading.value;
            sum += reading.value;
        }
        sum
    };
    let hello = device.hello();
    host.step(&mut device, meter_core::Input::Hello(hello));
    for _ in 0..400 {
        device.window(WINDOW_US);
        // The page before the record, as the link brings them.
        host.bill(&mut device);
        look(&host, &device);
        host.drain(&mut device);
        look(&host, &device);
        host.bill(&mut device);
        let sum = look(&host, &device);
        let total = host.meter.read(meter_model::Obis::electricity(1, 8, 0), Host::mono(&device)).unwrap().value;
        assert!((total - sum).abs() <= 8, "tariffs {sum}, total {total}");
    }
    assert_eq!(moved, [true, true, true, true, true, false, false, false]);
}

/// A reset brings back older counters than pages had shown: the energy shown stays, once, in the tariff register too.
#[test]
fn a_fall_back_of_the_metrology_shows_no_energy_twice() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 2);
    let old = device.snapshot;
    host.run(&mut device, 3);
    let read = |host: &Host, device: &Device, code: &str| {
        host.meter.read(code.parse().expect("a code"), Host::mono(device)).expect("a register").value
    };
    let shown = read(&host, &device, "1.8.1");
    assert_eq!(shown, read(&host, &device, "1.8.0"));
    device.fall_back(old, MINUTE);
    host.pump(&mut device);
    assert_eq!(read(&host, &device, "1.8.1"), shown);
    assert_eq!(read(&host, &device, "1.8.0"), shown);
    host.run(&mut device, 4);
    assert_eq!(read(&host, &device, "1.8.1"), read(&host, &device, "1.8.0"));
}

#[test]
fn an_edge_of_another_input_changes_nothing() {
    let (mut device, mut host) = with("source = 'inputs-4'");
    host.run(&mut device, 6);
    device.snapshot.inputs = Inputs(Inputs::ALARM | Inputs::COVER_MAIN | 0b100);
    host.run_minutes(&mut device, 2);
    assert_eq!(windows(&host)[..2], [18, 0]);
    assert_eq!(host.load().last().map_or(Utc(0), |r| r.end), Utc(0));
}
