//! Means, peaks, daily values, debiting stops, hour counters and the clock logger through the whole core.

mod common;

use common::{Device, Host, Load, MINUTE, NOON, at_noon, utc};
use meter_core::tariff::Tariffs;
use meter_core::{
    AuditCode, Column, Command, Cycle, LoggerId, MeterType, Params, Power, Refused, Row, Schedule, Settings,
};
use meter_model::{Absent, Obis, Reading, Status, Utc};
use metrology_link::payload::ClockQuality;

/// Load of `watts` in windows of 10 s.
fn watts(watts: u64) -> Load {
    Load { import: watts * 10_000, ..Load::default() }
}

fn host(params: Params) -> (Device, Host) {
    (Device::new(1, NOON, ClockQuality::Valid), Host::new(Settings { params, ..Settings::default() }))
}

fn read(host: &Host, device: &Device, code: &str) -> Reading {
    host.meter.read(code.parse().expect("a code"), Host::mono(device)).expect("a register")
}

/// A column of a row by its name.
fn value(logger: LoggerId, row: &Row, name: &str) -> i64 {
    let at = logger.spec().columns.iter().position(|c: &Column| c.name == name);
    row.values[at.unwrap_or_else(|| panic!("no column {name}"))]
}

/// Ten hours from noon is 22:00; the next midnight is two hours on.
fn to_midnight(device: &mut Device, host: &mut Host) {
    let left = (utc(12.0 * 60.0).0 - device.utc()) / MINUTE;
    host.run_minutes(device, left as u32);
}

// covers: MET-024 MET-027
#[test]
fn a_mean_is_the_energy_over_the_period_and_the_largest_is_the_peak_with_its_end() {
    let (mut device, mut host) = at_noon();
    host.pump(&mut device);
    assert_eq!(read(&host, &device, "1.25.0").absent(), Some(Absent::NotYet));
    assert_eq!(read(&host, &device, "1.6.0").absent(), Some(Absent::NotYet));
    for (power, mean, peak, at) in [(1000, 1000, 1000, 15.0), (3000, 3000, 3000, 30.0), (2000, 2000, 3000, 30.0)] {
        device.load = watts(power);
        host.run_minutes(&mut device, 15);
        let mean_now = read(&host, &device, "1.25.0");
        assert_eq!(mean_now.value, mean * 1000, "mW");
        let peak_now = read(&host, &device, "1.6.0");
        assert_eq!((peak_now.value, peak_now.at), (peak * 1000, utc(at)));
    }
    // A direction without energy has a peak of nothing.
    assert_eq!(read(&host, &device, "2.6.0").value, 0);
    // Half the energy in half of the period is half the mean over the full period, by tariff too.
    assert_eq!(read(&host, &device, "1.6.1").value, 3_000_000);
    assert_eq!(read(&host, &device, "1.6.2").value, 0);
}

/// A period that was cut or merged says nothing about power.
// covers: MET-027
#[test]
fn a_short_or_merged_period_sets_no_peak() {
    let (mut device, mut host) = at_noon();
    device.load = watts(500);
    host.run_minutes(&mut device, 15);
    device.load = watts(9000);
    // Ended by a set clock after 5 minutes, begun anew in the middle of the next.
    host.run_minutes(&mut device, 5);
    assert_eq!(host.command(&mut device, Command::ClockSet(utc(50.0))), Ok(()));
    host.run_minutes(&mut device, 10);
    assert_eq!(host.load().iter().filter(|r| r.status.has(Status::SHORT)).count(), 2);
    assert_eq!(read(&host, &device, "1.6.0").value, 500_000);
    // Merged over an outage.
    host.run_minutes(&mut device, 5);
    device.reset(40 * MINUTE);
    host.pump(&mut device);
    assert!(host.load().iter().any(|r| r.status.has(Status::LONG)));
    assert_eq!(read(&host, &device, "1.6.0").value, 500_000);
    // The whole periods after that count.
    device.load = watts(600);
    host.run_minutes(&mut device, 30);
    assert_eq!(read(&host, &device, "1.6.0").value, 600_000);
}

// covers: MET-028
#[test]
fn a_peak_of_a_tariff_is_its_energy_over_the_full_period() {
    let text = "source = 'plan'\n[plan.1.season.1]\nworking = ['00:00 T1', '12:05 T2']\n";
    let tariffs = Some((Tariffs::parse(text).unwrap().0, None));
    let mut device = Device::new(1, NOON, ClockQuality::Valid);
    let mut host = Host::new(Settings { tariffs, ..Settings::default() });
    device.load = Load { export: 30_000_000, reactive: [6_000_000, 0, 3_000_000, 0], ..watts(3000) };
    host.run_minutes(&mut device, 15);
    // 5 of 15 minutes in T1, 10 in T2; 3 kW import, 3 kW export, 600 var each way.
    for (code, wanted) in [
        ("1.6.0", 3000),
        ("1.6.1", 1000),
        ("1.6.2", 2000),
        ("1.6.3", 0),
        ("2.6.1", 1000),
        ("2.6.2", 2000),
        ("3.6.1", 200),
        ("3.6.2", 400),
        ("4.6.1", 100),
        ("4.6.2", 200),
    ] {
        assert_eq!(read(&host, &device, code).value, wanted * 1000, "{code}");
    }
    assert_eq!(host.meter.read(Obis::electricity(2, 6, 3), Host::mono(&device)), None);
}

// covers: MET-029 MET-030 LOG-010 LOG-011 LOG-012 LOG-013 LOG-015 LOG-016 LOG-017
#[test]
fn an_automatic_stop_logs_and_lets_the_peaks_begin_anew() {
    let (mut device, mut host) =
        host(Params { debiting: Schedule { day: 2, months: 3, first: 3 }, ..Params::default() });
    device.load = watts(1000);
    host.run_minutes(&mut device, 60);
    device.load = watts(4000);
    to_midnight(&mut device, &mut host);
    // The stop of 2 March: the period that ends with it is in it.
    let rows = host.logger(LoggerId::Debiting);
    assert_eq!(rows.len(), 1);
    let of = |name| value(LoggerId::Debiting, &rows[0], name);
    assert_eq!((rows[0].start, rows[0].end, rows[0].status), (utc(720.0), utc(720.0), Status(0)));
    assert_eq!((of("hours"), of("debiting periods"), of("CT ratio")), (12, 1, 1));
    let registers = host.committed.unwrap().registers.total;
    assert_eq!((of("A+"), of("A+ T1")), (registers.a_plus as i64, registers.a_plus as i64));
    assert_eq!((of("R+"), of("E+")), ((registers.r[0] + registers.r[1]) as i64, registers.e_plus as i64));
    assert_eq!((of("P+ max"), of("P+ max at")), (4_000_000, utc(75.0).0));
    assert_eq!((of("P+ max T1"), of("P+ max T2"), of("S- max")), (4_000_000, 0, 0));
    assert_eq!((of("P+ max acc"), of("P+ max acc T1"), of("P+ max acc T2")), (4_000_000, 4_000_000, 0));
    let peak = read(&host, &device, "1.6.0");
    assert_eq!((peak.value, peak.at), (0, utc(720.0)));
    device.load = watts(2000);
    host.run_minutes(&mut device, 15);
    assert_eq!(read(&host, &device, "1.6.0").value, 2_000_000);
    assert_eq!(read(&host, &device, "1.2.0").value, 4_000_000);
    assert_eq!(read(&host, &device, "0.1.0").value, 1);
    // None on 2 April; the next is on 2 June.
    let next = host.committed.unwrap().debiting_next.unwrap();
    assert_eq!(meter_model::Date::of_minute(next).0.to_string(), "2026-06-02");
    assert_eq!(host.verify(), []);
}

// covers: LOG-014
#[test]
fn a_stop_on_command_or_by_a_pulse_comes_once_and_is_exact() {
    let (mut device, mut host) = host(Params { debiting_pulse: true, ..Params::default() });
    device.load = watts(1000);
    host.run_minutes(&mut device, 20);
    device.window(3_000_000);
    host.pump(&mut device);
    let counted = device.snapshot.counters.total.a_plus as i64;
    assert_eq!(host.command(&mut device, Command::DebitingStop), Ok(()));
    host.run_minutes(&mut device, 20);
    device.inputs(1);
    host.run_minutes(&mut device, 1);
    device.inputs(0);
    host.run_minutes(&mut device, 1);
    let rows = host.logger(LoggerId::Debiting);
    assert_eq!(rows.iter().map(|r| value(LoggerId::Debiting, r, "debiting periods")).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(value(LoggerId::Debiting, &rows[0], "A+"), counted, "to the window of the command");
    assert_eq!(value(LoggerId::Debiting, &rows[1], "P+ max acc"), 2_000_000, "1 kW in each of the two");
    let audit = host.logger(LoggerId::Audit);
    assert_eq!(audit.iter().map(|r| r.values[0]).collect::<Vec<_>>(), [AuditCode::DebitingStop as i64]);
    // A stop cuts no interval.
    assert!(host.load().iter().skip(1).all(|r| r.status == Status(0)));
    // A command that the coprocessor never hears of is still carried out.
    device.deaf = true;
    assert_eq!(host.command(&mut device, Command::DebitingStop), Ok(()));
    assert_eq!(host.command(&mut device, Command::DebitingStop), Err(Refused::Busy));
    host.restart();
    host.run_minutes(&mut device, 10);
    assert_eq!(host.logger(LoggerId::Debiting).len(), 3);
}

#[test]
fn no_automatic_stop_without_a_schedule() {
    let (mut device, mut host) =
        host(Params { debiting: Schedule { day: 2, months: 0, first: 1 }, ..Params::default() });
    to_midnight(&mut device, &mut host);
    host.run_minutes(&mut device, 5);
    assert_eq!(host.logger(LoggerId::Debiting), []);
}

// covers: LOG-018
#[test]
fn logger_2_has_a_row_each_day_also_over_an_outage() {
    let (mut device, mut host) = host(Params::default());
    to_midnight(&mut device, &mut host);
    let registers = host.committed.unwrap().registers.total;
    let rows = host.logger(LoggerId::Debiting2);
    assert_eq!(rows.len(), 1);
    let of = |name| value(LoggerId::Debiting2, &rows[0], name);
    assert_eq!((rows[0].end, of("hours"), of("A+")), (utc(720.0), 12, registers.a_plus as i64));
    assert_eq!((of("A+ T1"), of("R- T4")), (registers.a_plus as i64, 0));
    // Off for two and a half days: one row, when power is back, and then again at midnight.
    device.reset(3600 * MINUTE);
    host.run_minutes(&mut device, 13 * 60);
    let ends: Vec<Utc> = host.logger(LoggerId::Debiting2).iter().map(|r| r.end).collect();
    assert_eq!(ends, [utc(720.0), utc(720.0 + 3600.0), utc(720.0 + 4320.0)]);
    let weekly = Params { debiting_2: Cycle::Weekly, ..Params::default() };
    assert_eq!(host.command(&mut device, Command::SetParams(weekly)), Ok(()));
    host.run_minutes(&mut device, 2);
    let next = host.committed.unwrap().debiting_2_next.unwrap();
    assert_eq!(meter_model::Date::of_minute(next).0.weekday(), 0);
}

/// The clock may jump as it likes: a stop comes when its time is passed, once; a clock that was wrong all along, or that
/// is set back, makes no stop.
#[test]
fn stops_and_the_clock() {
    let rows = |host: &Host| (host.logger(LoggerId::Debiting).len(), host.logger(LoggerId::Debiting2).len());
    let (mut device, mut host) =
        host(Params { debiting: Schedule { day: 2, ..Schedule::default() }, ..Params::default() });
    host.run_minutes(&mut device, 10);
    assert_eq!(host.command(&mut device, Command::ClockSet(utc(720.0 + 5.0))), Ok(()));
    host.run_minutes(&mut device, 10);
    assert_eq!(rows(&host), (1, 1), "set forward over midnight");
    assert_eq!(host.command(&mut device, Command::ClockSet(utc(700.0))), Ok(()));
    host.run_minutes(&mut device, 10);
    assert_eq!(rows(&host), (1, 1), "set back");
    host.run_minutes(&mut device, 20);
    assert_eq!(rows(&host), (2, 2), "midnight comes again");
    let mut device = Device::new(1, 0, ClockQuality::Invalid);
    let mut host = Host::new(Settings::default());
    host.run_minutes(&mut device, 30);
    assert_eq!(host.command(&mut device, Command::ClockSet(utc(0.0))), Ok(()));
    host.run_minutes(&mut device, 30);
    assert_eq!(rows(&host), (0, 0), "first set");
}

// covers: MET-031
#[test]
fn a_day_has_its_highest_and_lowest_mean_with_their_times() {
    let (mut device, mut host) = host(Params { period_min: 60, ..Params::default() });
    assert_eq!(host.settings.params.period_min, 60);
    host.pump(&mut device);
    assert_eq!(read(&host, &device, "1.16.0").absent(), Some(Absent::NotYet));
    for power in [1000, 5000, 300, 2000] {
        device.load = watts(power);
        host.run_minutes(&mut device, 60);
    }
    let (max, min) = (read(&host, &device, "1.16.0"), read(&host, &device, "1.13.0"));
    assert_eq!((max.value, max.at, min.value, min.at), (5_000_000, utc(120.0), 300_000, utc(180.0)));
    to_midnight(&mut device, &mut host);
    assert_eq!(read(&host, &device, "1.16.0").value, 5_000_000, "the day that ends at midnight");
    host.run_minutes(&mut device, 60);
    assert_eq!(read(&host, &device, "1.16.0").value, 2_000_000);
}

// covers: MET-032
#[test]
fn periods_above_the_threshold_are_counted() {
    let (mut device, mut host) = host(Params { threshold_w: 2500, ..Params::default() });
    for power in [2500, 2501, 9000, 100] {
        device.load = watts(power);
        host.run_minutes(&mut device, 15);
    }
    assert_eq!(read(&host, &device, "96.51.1").value, 2500);
    assert_eq!(read(&host, &device, "96.51.2").value, 2, "at the threshold is not above it");
}

// covers: TIM-005
#[test]
fn hours_are_counted_while_there_is_power_and_per_tariff() {
    let text = "source = 'plan'\n[plan.1.season.1]\nworking = ['00:00 T1', '14:00 T2']\n";
    let tariffs = Some((Tariffs::parse(text).unwrap().0, None));
    let mut device = Device::new(1, NOON, ClockQuality::Valid);
    let mut host = Host::new(Settings { tariffs, ..Settings::default() });
    host.run_minutes(&mut device, 60);
    device.reset(90 * MINUTE);
    host.run_minutes(&mut device, 125);
    // 1 h, off until 14:30, then 2 h 05 min. Time is not billed energy: the clock was moved and the hours do not care.
    let hours = |code: &str| read(&host, &device, code).value;
    assert_eq!((hours("0.1.96.8.0.255"), hours("0.1.96.8.1.255"), hours("0.1.96.8.2.255")), (3, 1, 2));
    let durable = host.committed.unwrap();
    assert_eq!(durable.metered_us, 185 * MINUTE as u64);
    assert_eq!(durable.metered_by_tariff.iter().sum::<u64>(), durable.metered_us);
}

// covers: TIM-012 LOG-029
#[test]
fn moves_of_the_clock_are_logged_unless_they_are_too_small() {
    let (mut device, mut host) = host(Params { clock_filter_s: 7, ..Params::default() });
    host.run_minutes(&mut device, 5);
    for us in [6_999_999, -7_000_000, 8_000_000] {
        assert_eq!(host.command(&mut device, Command::ClockAdjust(us)), Ok(()));
        host.run_minutes(&mut device, 1);
    }
    assert_eq!(host.command(&mut device, Command::ClockSet(utc(60.0))), Ok(()));
    host.run_minutes(&mut device, 1);
    let rows = host.logger(LoggerId::Clock);
    let moves: Vec<i64> = rows.iter().map(|r| r.values[1] - r.values[0]).collect();
    assert_eq!(moves[..2], [-7_000_000, 8_000_000]);
    assert_eq!((rows.len(), rows[2].values[1], rows[2].end), (3, utc(60.0).0, utc(60.0)));
    assert_eq!(
        rows.iter().map(|r| r.status).collect::<Vec<_>>(),
        [Status::CLOCK_ADJUSTED, Status::CLOCK_ADJUSTED, Status::CLOCK_SET]
    );
    // The audit log has all of them.
    assert_eq!(host.logger(LoggerId::Audit).len(), 4);
}

#[test]
fn a_trip_counter_begins_at_its_reset_and_no_other_register_moves() {
    let (mut device, mut host) = at_noon();
    device.load = watts(3_600);
    host.run_minutes(&mut device, 10);
    assert_eq!(read(&host, &device, "1.128.0").value, read(&host, &device, "1.8.0").value);
    let before = host.committed.unwrap().registers;
    assert_eq!(host.command(&mut device, Command::ResetTrip(Power::ActiveImport)), Ok(()));
    assert_eq!(read(&host, &device, "1.128.0").value, 0);
    assert_eq!(host.committed.unwrap().registers, before);
    host.restart();
    host.run_minutes(&mut device, 10);
    assert_eq!(read(&host, &device, "1.128.0").value, 600_000, "600 Wh");
    assert_ne!(read(&host, &device, "3.128.0").value, 0);
    let audit = host.logger(LoggerId::Audit);
    assert_eq!(audit[0].values[..2], [AuditCode::TripReset as i64, 0]);
}

// covers: MET-014 MET-015
#[test]
fn sum_and_net_of_both_directions() {
    let (mut device, mut host) = at_noon();
    device.load = Load { export: 72_000_001, ..watts(3_600) };
    host.run_minutes(&mut device, 10);
    let of = |code| read(&host, &device, code).value;
    assert_eq!(of("15.8.0"), (60 * 108_000_001) / 3600);
    assert_eq!(of("16.8.0"), (-60i64 * 36_000_001).div_euclid(3600), "it runs backwards");
    assert_eq!(of("16.7.0"), -1_500);
}

// covers: MET-041
#[test]
fn a_ct_meter_has_primary_and_secondary_tariffs() {
    let params = Params { ct_ratio: 40, ..Params::default() };
    let settings = Settings { meter_type: MeterType::Ct, params, ..Settings::default() };
    let mut device = Device::new(1, NOON, ClockQuality::Valid);
    let mut host = Host::new(settings);
    host.run_minutes(&mut device, 10);
    assert_eq!(host.command(&mut device, Command::SetParams(Params { ct_ratio: 100, ..params })), Ok(()));
    host.run_minutes(&mut device, 10);
    let durable = host.committed.unwrap();
    let each = Load::default().import;
    assert_eq!(durable.by_tariff[0][0], each * 60 * 140);
    assert_eq!(durable.secondary_by_tariff[0][0], each * 120);
    let (primary, secondary) = (read(&host, &device, "1.8.1").value, read(&host, &device, "1.2.1.8.1.255").value);
    assert_eq!((primary, secondary), ((each * 60 * 140 / 3600) as i64, (each * 120 / 3600) as i64));
    // Peaks are primary values: energy over time, at the ratio in force.
    assert_eq!(read(&host, &device, "1.25.0").absent(), Some(Absent::NotYet), "the change cut the period");
    assert_eq!(host.verify(), []);
}
