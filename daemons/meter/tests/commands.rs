//! Changes: who may ask for what, when it comes into force, and what it leaves behind.

mod common;

use common::{Device, Host, MINUTE, NONE, NOON, at_noon, utc};
use meter_core::{AuditCode, Command, Durable, Input, LoggerId, Meter, MeterType, Origin, Params, Refused, Settings};
use meter_model::{Status, Utc};
use metrology_link::payload;

#[test]
fn a_change_of_the_period_cuts_the_interval_and_is_audited() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 4);
    let params = Params { period_min: 30, ..Params::default() };
    assert_eq!(host.command(&mut device, Command::SetParams(params)), Ok(()));
    host.run_minutes(&mut device, 56);
    let cut = Status::SHORT | Status::CONFIG_CHANGED;
    assert_eq!(host.table(), [(0., 4., cut), (4., 30., cut), (30., 60., NONE)]);
    assert_eq!(host.logger(LoggerId::Audit).len(), 1);
    assert_eq!(host.logger(LoggerId::Audit)[0].values, [AuditCode::Period as i64, 15, 30, 42]);
    // The same again changes nothing and leaves no row.
    assert_eq!(host.command(&mut device, Command::SetParams(params)), Ok(()));
    assert_eq!((host.logger(LoggerId::Audit).len(), device.grids.len()), (1, 1));
    assert_eq!(host.verify(), []);
}

#[test]
fn the_configuration_file_wins_only_when_it_changed() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 4);
    let thirty = Params { period_min: 30, ..Params::default() };
    assert_eq!(host.command(&mut device, Command::SetParams(thirty)), Ok(()));
    host.restart();
    host.run_minutes(&mut device, 1);
    assert_eq!(host.meter.durable().params, thirty, "the file still says 15, as when the state was started");
    host.settings.params.period_min = 60;
    host.restart();
    host.run_minutes(&mut device, 1);
    assert_eq!(host.meter.durable().params.period_min, 60);
    let audit = host.logger(LoggerId::Audit);
    assert_eq!((audit[1].values[1], audit[1].values[2], audit[1].text.as_str()), (30, 60, "configuration"));
    host.restart();
    host.run_minutes(&mut device, 1);
    assert_eq!(host.logger(LoggerId::Audit).len(), 2);
    // What a command changes after that stays again.
    assert_eq!(host.command(&mut device, Command::SetParams(thirty)), Ok(()));
    host.restart();
    host.run_minutes(&mut device, 1);
    assert_eq!((host.meter.durable().params, host.logger(LoggerId::Audit).len()), (thirty, 3));
    // Each change had a grid of its own.
    assert_eq!(device.grids.iter().map(|g| g.id).collect::<Vec<_>>(), [1, 2, 3]);
}

/// The time asked for is the time of the asking, not of the last page.
#[test]
fn a_clock_set_counts_what_passed_since_the_last_page() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 1);
    device.true_us += 150_000;
    let origin = Origin { source: "x".into(), uid: 1 };
    host.step(&mut device, Input::Command(Command::ClockSet(utc(62.)), origin));
    device.true_us -= 150_000;
    assert_eq!(device.grids[0].anchor, device.snapshot.t_samples + 1_200);
    assert_eq!(device.grids[0].utc_us, utc(62.).0);
    assert_eq!(device.utc(), utc(62.).0 - 150_000);
}

fn ct_meter(ratio: u16) -> (Device, Host) {
    let params = Params { ct_ratio: ratio, ..Params::default() };
    let settings = Settings { meter_type: MeterType::Ct, params, ..Settings::default() };
    (Device::new(1, NOON, payload::ClockQuality::Valid), Host::new(settings))
}

#[test]
fn ct_primary_energy_is_each_difference_times_the_ratio_in_force() {
    let (mut device, mut host) = ct_meter(20);
    host.run_minutes(&mut device, 5);
    let secondary = device.snapshot.counters;
    let params = Params { ct_ratio: 600, ..Params::default() };
    assert_eq!(host.command(&mut device, Command::SetParams(params)), Ok(()));
    host.run_minutes(&mut device, 10);
    let after = device.snapshot.counters;
    let expected = secondary.total.a_plus * 20 + (after.total.a_plus - secondary.total.a_plus) * 600;
    let durable = host.committed.unwrap();
    assert_eq!(durable.registers.total.a_plus, expected);
    assert_eq!(durable.secondary, after.total);
    let load = host.load();
    let cut = Status::SHORT | Status::CONFIG_CHANGED;
    assert_eq!(host.table(), [(0., 5., cut), (5., 15., cut)]);
    assert_eq!(load[0].values[0] as u64, secondary.total.a_plus * 20);
    assert_eq!((load[0].values[13], load[1].values[13]), (5_000_001 * 20, 5_000_001 * 600), "mean primary current");
    let read = |code: &str| host.meter.read(code.parse().unwrap(), Host::mono(&device)).unwrap().value;
    assert_eq!(read("1.1.1.8.0.255") as u64, expected / 3600);
    assert_eq!(read("1.2.1.8.0.255") as u64, after.total.a_plus / 3600);
    assert_eq!(read("0.4.2"), 600);
    assert_eq!(read("2.7.0"), 1_500 * 600);
    assert_eq!(host.verify(), []);
}

#[test]
fn a_state_of_the_other_kind_and_impossible_settings_are_refused() {
    let direct = Durable::new(false, Params::default());
    let ct = Settings { meter_type: MeterType::Ct, ..Settings::default() };
    assert!(Meter::new(ct, Some(direct)).is_err());
    let params = Params { period_min: 7, ..Params::default() };
    assert!(Meter::new(Settings { params, ..Settings::default() }, None).is_err());
}

#[test]
fn commands_are_refused_by_name_and_change_nothing() {
    let (mut device, mut host) = at_noon();
    assert_eq!(host.command(&mut device, Command::ClockAdjust(1)), Err(Refused::NotReady));
    host.run_minutes(&mut device, 2);
    let before = host.committed;
    assert_eq!(host.command(&mut device, Command::ClockAdjust(9_000_001)), Err(Refused::TooFar));
    assert_eq!(host.command(&mut device, Command::ClockAdjust(i64::MIN)), Err(Refused::TooFar));
    assert_eq!(host.command(&mut device, Command::ClockSet(Utc(0))), Err(Refused::OutOfRange));
    assert_eq!(host.command(&mut device, Command::ClockSet(Utc(i64::MAX))), Err(Refused::OutOfRange));
    let params = Params { ct_ratio: 2, ..Params::default() };
    assert!(matches!(host.command(&mut device, Command::SetParams(params)), Err(Refused::Params(_))));
    device.true_us += 6_000_000;
    let origin = Origin { source: String::new(), uid: 0 };
    let late = host.step(&mut device, Input::Command(Command::ClockAdjust(1), origin));
    assert_eq!(late.answer, Some(Err(Refused::NotReady)));
    assert_eq!((host.committed, device.grids.len()), (before, 0));

    let mut device = Device::new(1, NOON, payload::ClockQuality::Invalid);
    let mut host = Host::new(Settings::default());
    host.run_minutes(&mut device, 1);
    assert_eq!(host.command(&mut device, Command::ClockAdjust(1)), Err(Refused::ClockInvalid));
}

#[test]
fn an_accepted_change_survives_a_crash_before_it_was_sent() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 2);
    device.deaf = true;
    let origin = || Origin { source: "x".into(), uid: 1 };
    let target = utc(62.);
    assert_eq!(host.step(&mut device, Input::Command(Command::ClockSet(target), origin())).answer, Some(Ok(())));
    let second = host.step(&mut device, Input::Command(Command::ClockSet(target), origin()));
    assert_eq!(second.answer, Some(Err(Refused::Busy)));
    device.deaf = false;
    host.restart();
    host.run_minutes(&mut device, 20);
    // The line sent again is the one accepted: what passed meanwhile is on it.
    assert_eq!(device.utc(), target.0 + 20 * MINUTE);
    assert_eq!(device.grids.len(), 2);
    assert_eq!(device.grids[0], device.grids[1]);
    assert!(host.load()[0].status.has(Status::CLOCK_SET));
    assert_eq!(host.logger(LoggerId::Audit).len(), 1);
}

#[test]
fn a_change_that_never_arrives_is_given_up_in_the_open() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 2);
    device.deaf = true;
    assert_eq!(host.command(&mut device, Command::ClockSet(utc(62.))), Ok(()));
    for _ in 0..9 {
        device.window(200_000);
        host.pump(&mut device);
    }
    assert_eq!(device.grids.len(), 1, "not sent again within 2 s");
    host.run_minutes(&mut device, 5);
    assert_eq!(device.grids.len(), meter_core::PENDING_TRIES as usize);
    assert!(host.committed.unwrap().pending.is_none());
    let audit = host.logger(LoggerId::Audit);
    assert_eq!(audit.last().unwrap().values[0], AuditCode::ClockFailed as i64);
    // Parameters need no grid to be true: they come into force at the next record.
    let params = Params { period_min: 60, ..Params::default() };
    assert_eq!(host.command(&mut device, Command::SetParams(params)), Ok(()));
    host.run_minutes(&mut device, 5);
    assert_eq!(host.committed.unwrap().params, params);
    assert_eq!(host.verify(), []);
}
