//! Reading registers: values, units, and the reasons why there is none.

mod common;

use common::{Device, Host, NONE, NOON, WINDOW_US, at_noon, utc};
use meter_core::{Input, Notice, Settings};
use meter_model::{Absent, ClockQuality, Mono, Obis, Status, Unit};
use metrology_link::payload;

#[test]
fn values_are_absent_for_a_reason() {
    let (mut device, mut host) = at_noon();
    let read = |host: &Host, code: &str, now: Mono| host.meter.read(code.parse().unwrap(), now);
    let reason = |host: &Host, code: &str, now: Mono| read(host, code, now).unwrap().absent();
    let start = Host::mono(&device);
    assert_eq!(reason(&host, "1.8.0", start), Some(Absent::NotYet));
    assert!(host.meter.settled().iter().all(|(_, r)| r.absent() == Some(Absent::NotYet)));
    host.run_minutes(&mut device, 2);
    let now = Host::mono(&device);
    let energy = read(&host, "1.8.0", now).unwrap();
    assert_eq!(energy.value as u64, device.snapshot.counters.total.a_plus / 3600);
    assert_eq!((energy.scaler, energy.unit, energy.at, energy.status), (-3, Unit::WattHour, utc(2.), NONE));
    assert_eq!(read(&host, "32.7.0", now).unwrap().value, 231_000);
    assert_eq!(read(&host, "2.7.0", now).unwrap().value, 1_500, "P-");
    assert_eq!(read(&host, "1.7.0", now).unwrap().value, 0, "P+");
    assert_eq!((read(&host, "9.7.0", now).unwrap().value, read(&host, "10.7.0", now).unwrap().value), (0, 1_700));
    assert_eq!((read(&host, "3.7.0", now).unwrap().value, read(&host, "4.7.0", now).unwrap().value), (700, 0));
    assert_eq!(read(&host, "14.7.0", now).unwrap().value, 50_010_000);
    assert_eq!(read(&host, "0.1.1.0.0.255", Mono(now.0 + 7)).unwrap().value, utc(2.).0 + 7);
    assert_eq!(read(&host, "1.2.1.8.0.255", now), None, "a direct meter has no secondary registers");
    assert_eq!(read(&host, "99.99.99", now), None);
    // Silent for more than 5 s.
    let late = Mono(now.0 + meter_core::STALE_US + 1);
    assert_eq!(reason(&host, "1.8.0", late), Some(Absent::Stale));
    assert_eq!(reason(&host, "32.7.0", late), Some(Absent::Stale));
    assert_eq!(host.meter.now(late).quality, ClockQuality::Holdover);
    let (_, settled) = host.meter.settled().into_iter().find(|(o, _)| *o == Obis::electricity(1, 8, 0)).unwrap();
    assert_eq!((settled.value, settled.at, settled.status), (energy.value, utc(2.), NONE));
    device.true_us += 6_000_000;
    assert_eq!(host.step(&mut device, Input::Tick).notices, [Notice::Silent]);
    assert_eq!(host.step(&mut device, Input::Tick).notices, []);
    assert_eq!(host.bill(&mut device).notices, [Notice::Answering]);
    host.step(&mut device, Input::LinkLost);
    assert_eq!(reason(&host, "1.8.0", Host::mono(&device)), Some(Absent::Stale));
}

#[test]
fn channels_and_conditions_decide_what_exists() {
    use metrology_link::payload::Valid;
    let (mut device, mut host) = at_noon();
    device.window(WINDOW_US);
    let mut hello = device.hello();
    hello.channels = 0b101_1111; // no I3, no I_N... bit 5 = I3 is clear, bit 6 = I_N is set
    host.step(&mut device, Input::Hello(hello));
    let mut billing = device.billing();
    let off = Valid::I << 2 | Valid::PF | Valid::F | Valid::PF_TOTAL | Valid::I_N;
    billing.second.valid = Valid(0x1ffff & !off & !Valid::F_OUT_OF_RANGE);
    let reason = |host: &Host, code: &str| {
        host.meter
            .read(code.parse().unwrap(), Host::mono(&Device::new(1, 0, payload::ClockQuality::Valid)))
            .unwrap()
            .absent()
    };
    host.step(&mut device, Input::Billing(billing));
    for (code, expected) in [
        ("71.7.0", Some(Absent::NoChannel)),
        ("61.7.0", Some(Absent::NoChannel)),
        ("61.8.0", Some(Absent::NoChannel)),
        ("73.7.0", Some(Absent::NoChannel)),
        ("72.7.0", None),
        ("33.7.0", Some(Absent::Undefined)),
        ("53.7.0", None),
        ("13.7.0", Some(Absent::Undefined)),
        ("14.7.0", Some(Absent::Undefined)),
        ("91.7.0", Some(Absent::NoChannel)),
        ("41.8.0", None),
        ("1.8.0", None),
    ] {
        assert_eq!(reason(&host, code), expected, "{code}");
    }
    billing.second.valid.0 |= Valid::F_OUT_OF_RANGE;
    host.step(&mut device, Input::Billing(billing));
    assert_eq!(reason(&host, "14.7.0"), Some(Absent::OutOfRange));
    billing.second.number = 0;
    host.step(&mut device, Input::Billing(billing));
    assert_eq!((reason(&host, "1.7.0"), reason(&host, "1.8.0")), (Some(Absent::NotYet), None));
}

#[test]
fn a_snapshot_is_due_once_per_new_second() {
    let (mut device, mut host) = at_noon();
    host.pump(&mut device);
    assert!(!host.bill(&mut device).snapshot);
    device.window(WINDOW_US);
    assert!(host.bill(&mut device).snapshot);
}

#[test]
fn not_legal_marks_every_row_and_reading() {
    let mut device = Device::new(1, NOON, payload::ClockQuality::Valid);
    let mut host = Host::new(Settings { not_legal: true, ..Settings::default() });
    host.run_minutes(&mut device, 15);
    assert!(host.rows.iter().all(|(_, r)| r.status.has(Status::NOT_LEGAL)));
    let readings = host.meter.readings(Host::mono(&device));
    assert!(readings.iter().all(|(_, r)| r.absent().is_some() || r.status.has(Status::NOT_LEGAL)));
    assert_eq!(host.verify(), []);
}

/// What is stored carries the time of the window it is of, and the quality of the clock then.
#[test]
fn settled_registers_tell_their_own_time() {
    let mut device = Device::new(1, NOON + 3_000_000, payload::ClockQuality::Invalid);
    let mut host = Host::new(Settings::default());
    host.run(&mut device, 6);
    let (_, settled) = host.meter.settled()[0];
    // The last window that ended before 12:01 ended at 12:00:53.
    assert_eq!(settled.at.0, NOON + 53_000_000);
    assert_eq!(settled.status, Status::CLOCK_INVALID);
    assert_eq!(settled.value as u64, 5 * device.load.import / 3600);
}
