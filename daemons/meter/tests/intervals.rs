//! What each event does to the rows of the load profile, and to their status.

mod common;

use common::{Device, Host, Load, MINUTE, NONE, NOON, at_noon, utc};
use meter_core::{AuditCode, Command, LoggerId, Params, Settings};
use meter_model::{Status, Utc};
use metrology_link::payload;

#[test]
fn quiet_intervals_have_no_status_and_sum_to_the_registers() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 60);
    assert_eq!(host.table(), [(0., 15., NONE), (15., 30., NONE), (30., 45., NONE), (45., 60., NONE)]);
    let load = host.load();
    let durable = host.committed.unwrap();
    assert_eq!(durable.registers, device.snapshot.counters);
    assert_eq!(load[3].values[0] as u64, device.snapshot.counters.total.a_plus);
    // 90 windows of 10 s in a quarter of an hour.
    let energy: Vec<i64> = load.windows(2).map(|w| w[1].values[0] - w[0].values[0]).collect();
    assert_eq!(energy, [90 * 12_345_677; 3]);
    assert_eq!(load[0].values[0], 90 * 12_345_677);
    let r = &load[0].values[2..8];
    assert_eq!(r, [90 * 1_001, 90 * 17, 90 * 1_001, 0, 0, 90 * 17]);
    assert_eq!(
        &load[0].values[10..19],
        [230_000, 230_000, 230_000, 5_000_001, 5_000_001, 5_000_001, 950_001, 950_001, 950_001]
    );
    assert!((50_000_002..=50_000_004).contains(&load[0].values[19]));
    assert_eq!(host.verify(), []);
}

#[test]
fn the_first_row_after_a_start_in_mid_interval_is_short() {
    let mut device = Device::new(1, NOON + 7 * MINUTE, payload::ClockQuality::Valid);
    let mut host = Host::new(Settings::default());
    host.run_minutes(&mut device, 23);
    assert_eq!(host.table(), [(7., 15., Status::SHORT), (15., 30., NONE)]);
}

/// Up to 9 s is what an adjustment may do.
#[test]
fn a_length_within_the_limit_of_an_adjustment_is_the_period() {
    for (late_us, status) in [(9_000_000, NONE), (9_000_001, Status::SHORT)] {
        let mut device = Device::new(1, NOON + late_us, payload::ClockQuality::Valid);
        let mut host = Host::new(Settings::default());
        host.run_minutes(&mut device, 15);
        assert_eq!(host.load()[0].status, status);
    }
}

#[test]
fn boundaries_follow_the_period_and_the_base_offset() {
    let params = Params { period_min: 60, offset_min: 330, ..Params::default() };
    let mut device = Device::new(1, NOON + 30 * MINUTE, payload::ClockQuality::Valid);
    let mut host = Host::new(Settings { params, ..Settings::default() });
    host.run_minutes(&mut device, 120);
    assert_eq!(host.table(), [(30., 90., NONE), (90., 150., NONE)]);
}

#[test]
fn an_outage_inside_an_interval_marks_it() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 3);
    device.power_fail();
    device.reset(5 * MINUTE);
    host.run_minutes(&mut device, 30);
    let outage = Status::OUTAGE | Status::RESTART;
    assert_eq!(host.table(), [(0., 15., outage), (15., 30., NONE)]);
    assert_eq!(host.verify(), []);
}

#[test]
fn a_warm_restart_without_down_time_is_no_outage() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 3);
    device.reset(0);
    host.run_minutes(&mut device, 12);
    assert_eq!(host.table(), [(0., 15., Status::RESTART)]);
}

#[test]
fn an_outage_over_boundaries_merges_them() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 10);
    device.power_fail();
    device.reset(40 * MINUTE);
    host.run_minutes(&mut device, 25);
    let merged = Status::OUTAGE | Status::RESTART | Status::LONG;
    assert_eq!(host.table(), [(0., 50., merged), (50., 60., Status::SHORT), (60., 75., NONE)]);
    assert_eq!(host.verify(), []);
}

/// 12:44:56: the start closes what was missed, and the boundary follows before a window has been measured.
#[test]
fn a_boundary_right_after_a_start_leaves_no_gap() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 10);
    device.reset(34 * MINUTE + 56_000_000);
    host.run(&mut device, 1);
    host.run_minutes(&mut device, 20);
    let load = host.load();
    let begin = NOON + 44 * MINUTE + 56_000_000;
    assert_eq!((load[0].start, load[0].end), (utc(0.), Utc(begin)));
    assert_eq!((load[1].start, load[1].end, load[1].status), (Utc(begin), utc(60.), NONE));
    assert_eq!(host.verify(), []);
}

#[test]
fn a_clock_set_forward_over_a_boundary_cuts_the_interval() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 20);
    assert_eq!(host.command(&mut device, Command::ClockSet(utc(62.))), Ok(()));
    host.run_minutes(&mut device, 28);
    let cut = Status::SHORT | Status::CLOCK_SET;
    assert_eq!(host.table(), [(0., 15., NONE), (15., 20., cut), (62., 75., cut), (75., 90., NONE)]);
    let audit = host.logger(LoggerId::Audit);
    assert_eq!(audit.len(), 1);
    assert_eq!(audit[0].values, [AuditCode::ClockSet as i64, utc(20.).0, utc(62.).0, 42]);
    assert_eq!((audit[0].text.as_str(), audit[0].start), ("test peer", utc(20.)));
    assert_eq!(host.verify(), []);
}

#[test]
fn a_clock_set_back_over_a_boundary_repeats_times_but_no_number() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 20);
    assert_eq!(host.command(&mut device, Command::ClockSet(utc(10.))), Ok(()));
    host.run_minutes(&mut device, 20);
    let cut = Status::SHORT | Status::CLOCK_SET;
    assert_eq!(host.table(), [(0., 15., NONE), (15., 20., cut), (10., 15., cut), (15., 30., NONE)]);
    assert_eq!(host.load().iter().map(|r| r.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let energy: Vec<i64> = host.load().windows(2).map(|w| w[1].values[0] - w[0].values[0]).collect();
    assert_eq!(energy, [30 * 12_345_677, 30 * 12_345_677, 90 * 12_345_677]);
    assert_eq!(host.verify(), []);
}

#[test]
fn ten_years_either_way_change_no_row_that_is_written() {
    for years in [-5, 10] {
        let (mut device, mut host) = at_noon();
        host.run_minutes(&mut device, 20);
        let before = host.load();
        let far = NOON + years * 365 * 24 * 60 * MINUTE;
        assert_eq!(host.command(&mut device, Command::ClockSet(Utc(far))), Ok(()));
        host.run_minutes(&mut device, 15);
        assert_eq!(host.load()[..before.len()], before);
        let rows = &host.load()[1..];
        assert_eq!((rows[0].start, rows[0].end), (utc(15.), utc(20.)));
        assert_eq!((rows[1].start, rows[1].end), (Utc(far), Utc(far + 15 * MINUTE)));
        assert_eq!(rows[1].status, Status::CLOCK_SET);
        assert_eq!(host.verify(), []);
    }
}

#[test]
fn a_small_adjustment_marks_the_interval_and_moves_its_boundary() {
    for delta in [9_000_000, -9_000_000, 1_000] {
        let (mut device, mut host) = at_noon();
        host.run_minutes(&mut device, 20);
        assert_eq!(host.command(&mut device, Command::ClockAdjust(delta)), Ok(()));
        host.run_minutes(&mut device, 26);
        let table = [(0., 15., NONE), (15., 30., Status::CLOCK_ADJUSTED), (30., 45., NONE)];
        assert_eq!(host.table(), table, "{delta}");
        assert_eq!(host.logger(LoggerId::Audit)[0].values, [2, utc(20.).0, utc(20.).0 + delta, 42]);
        assert_eq!(host.verify(), []);
    }
}

#[test]
fn a_set_by_little_is_an_adjustment() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 5);
    assert_eq!(host.command(&mut device, Command::ClockSet(Utc(utc(5.).0 + 8_999_000))), Ok(()));
    host.run_minutes(&mut device, 10);
    assert_eq!(host.table(), [(0., 15., Status::CLOCK_ADJUSTED)]);
}

#[test]
fn an_adjustment_over_a_boundary_closes_it_once() {
    // Forward: 12:14:55 + 8 s.
    let (mut device, mut host) = at_noon();
    host.run(&mut device, 89);
    device.window(5_000_000);
    host.pump(&mut device);
    assert_eq!(host.command(&mut device, Command::ClockAdjust(8_000_000)), Ok(()));
    host.run_minutes(&mut device, 15);
    assert_eq!(host.table(), [(0., 15., Status::CLOCK_ADJUSTED), (15., 30., NONE)]);
    assert_eq!(host.verify(), []);

    // Backwards: 12:15:03 - 8 s. The minute 12:15 comes a second time and closes nothing.
    let (mut device, mut host) = at_noon();
    host.run(&mut device, 90);
    device.window(3_000_000);
    host.pump(&mut device);
    assert_eq!(host.command(&mut device, Command::ClockAdjust(-8_000_000)), Ok(()));
    host.run_minutes(&mut device, 16);
    assert_eq!(host.table(), [(0., 15., NONE), (15., 30., Status::CLOCK_ADJUSTED)]);
    assert_eq!(host.verify(), []);
}

#[test]
fn a_cut_right_after_an_adjustment_backwards_ends_no_row_before_its_begin() {
    let (mut device, mut host) = at_noon();
    host.run(&mut device, 90);
    device.window(3_000_000);
    host.pump(&mut device);
    assert_eq!(host.command(&mut device, Command::ClockAdjust(-8_000_000)), Ok(()));
    device.window(1_000_000);
    device.reconfigure();
    for _ in 0..10 {
        device.window(1_000_000);
        host.pump(&mut device);
    }
    host.run_minutes(&mut device, 16);
    let changed = Status::CONFIG_CHANGED;
    assert_eq!(
        host.table(),
        [(0., 15., NONE), (15., 15., changed | Status::SHORT | Status::CLOCK_ADJUSTED), (15., 30., changed)]
    );
    assert_eq!(host.verify(), []);
}

#[test]
fn the_quality_of_the_clock_is_in_the_status() {
    for (quality, bit) in [
        (payload::ClockQuality::Invalid, Status::CLOCK_INVALID),
        (payload::ClockQuality::Holdover, Status::CLOCK_HOLDOVER),
    ] {
        let mut device = Device::new(1, NOON, quality);
        let mut host = Host::new(Settings::default());
        host.run_minutes(&mut device, 20);
        assert_eq!(host.command(&mut device, Command::ClockSet(utc(40.))), Ok(()));
        host.run_minutes(&mut device, 20);
        let cut = Status::SHORT | Status::CLOCK_SET;
        assert_eq!(host.table(), [(0., 15., bit), (15., 20., bit | cut), (40., 45., cut), (45., 60., NONE)]);
    }
}

#[test]
fn overload_marks_the_interval() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 16);
    device.overload();
    host.run_minutes(&mut device, 29);
    assert_eq!(host.table(), [(0., 15., NONE), (15., 30., Status::OVERLOAD), (30., 45., NONE)]);
}

#[test]
fn suspect_and_lost_samples_mark_the_interval() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 16);
    device.suspect();
    host.run_minutes(&mut device, 30);
    device.lose_samples();
    host.run_minutes(&mut device, 29);
    let expected = [(0., 15., NONE), (15., 30., Status::SUSPECT), (30., 45., NONE), (45., 60., Status::SUSPECT)];
    assert_eq!(host.table()[..4], expected);
}

#[test]
fn mean_voltage_outside_the_limits_marks_the_interval() {
    for (u_mv, bit) in [
        (206_999, Status::UNDER_VOLTAGE),
        (207_000, NONE),
        (253_000, NONE),
        (253_001, Status::OVER_VOLTAGE),
        (0, Status::UNDER_VOLTAGE),
    ] {
        let (mut device, mut host) = at_noon();
        device.load = Load { u_mv, ..Load::default() };
        host.run_minutes(&mut device, 15);
        assert_eq!(host.table(), [(0., 15., bit)], "{u_mv}");
    }
}

#[test]
fn a_change_of_configuration_or_calibration_cuts_the_interval() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 4);
    device.reconfigure();
    host.run_minutes(&mut device, 26);
    let cut = Status::SHORT | Status::CONFIG_CHANGED;
    assert_eq!(host.table(), [(0., 4., cut), (4., 15., cut), (15., 30., NONE)]);
}
