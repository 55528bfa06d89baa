use super::*;
use crate::testing::{BEGIN, Device};
use meter_core::{LoggerId, Row};
use meter_model::Utc;
use metrology_link::PAGE;
use metrology_link::payload::Command;
use proptest::prelude::*;

/// The host with its disk: what is in `disk` survives.
struct Host {
    core: Core,
    pending: Vec<(u64, Tx)>,
    seen: Vec<Output>,
    now: u64,
}

#[derive(Default)]
struct Disk {
    durable: Option<Durable>,
    rows: Vec<(LoggerId, Row)>,
}

impl Host {
    fn start(disk: &Disk) -> Host {
        Host { core: Core::new(Settings::default(), disk.durable).unwrap(), pending: vec![], seen: vec![], now: 0 }
    }

    fn exchange(&mut self, device: &mut Device) {
        let mut page = [0; PAGE];
        self.core.page_out(&mut page);
        let answer = device.exchange(&page);
        let mut out = Vec::new();
        self.now += 10_000;
        self.core.page_in(Mono(self.now), &answer, &mut out).unwrap();
        self.take(out);
    }

    fn take(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Persist(unit, tx) => self.pending.push((unit, tx)),
                other => self.seen.push(other),
            }
        }
    }

    /// Commits the first `n` units.
    fn commit(&mut self, disk: &mut Disk, n: usize) {
        for (unit, tx) in self.pending.drain(..n.min(self.pending.len())).collect::<Vec<_>>() {
            disk.durable = Some(tx.durable);
            disk.rows.extend(tx.rows);
            let mut out = Vec::new();
            self.core.committed(unit, &mut out);
            self.seen.extend(out);
        }
    }
}

/// Exchanges and commits for long enough to say everything: 500 records with their events and heads.
fn settle(host: &mut Host, device: &mut Device, disk: &mut Disk) {
    for _ in 0..3000 {
        host.exchange(device);
        host.commit(disk, usize::MAX);
    }
}

fn check_disk(disk: &Disk, device: &Device) {
    let durable = disk.durable.unwrap();
    assert_eq!(durable.registers.total, device.memory.snapshot.counters.total);
    assert_eq!(durable.counters, device.memory.snapshot.counters);
    for id in LoggerId::ALL {
        let rows: Vec<&Row> = disk.rows.iter().filter(|(l, _)| *l == id).map(|(_, r)| r).collect();
        let mut verifier = meter_core::Verifier::new(id);
        rows.iter().for_each(|r| verifier.row(r));
        assert_eq!(verifier.finish(&durable), []);
    }
    let events = disk.rows.iter().filter(|(l, r)| *l == LoggerId::Status && r.values[0] < 1000).count();
    assert_eq!(events, device.memory.events.len(), "each event exactly once");
}

#[test]
fn nothing_is_acknowledged_sent_or_answered_before_it_is_durable() {
    let (mut device, mut disk) = (Device::new(1), Disk::default());
    let mut host = Host::start(&disk);
    (0..30).for_each(|_| device.minute());
    for _ in 0..200 {
        host.exchange(&mut device);
    }
    // The adoption decides where the cursors stand: until it is durable no record is taken.
    assert_eq!(host.pending.len(), 1);
    host.commit(&mut disk, 1);
    for _ in 0..200 {
        host.exchange(&mut device);
    }
    // 30 records and 4 events are handed out. Without a commit the device knows of none of it.
    assert!(host.pending.len() >= 30, "{}", host.pending.len());
    assert_eq!(device.end.event_ack(), 0);
    // The head of the adoption's own row was committed above.
    let uncommitted = |c: &Command| matches!(c, Command::StoreHead(h) if h.log != LoggerId::Status as u8 || h.seq > 1);
    assert!(!device.carried_out.iter().any(uncommitted));
    let mut out = Vec::new();
    let origin = || Origin { source: "test".into(), uid: 7 };
    let set = meter_core::Command::ClockSet(Utc(BEGIN + 3_600_000_000));
    host.core.command(Mono(host.now), set, origin(), 42, &mut out);
    host.take(out);
    host.exchange(&mut device);
    assert!(!host.seen.iter().any(|o| matches!(o, Output::Answer(..))));
    assert!(!device.carried_out.iter().any(|c| matches!(c, Command::SetGrid(_))));

    settle(&mut host, &mut device, &mut disk);
    assert_eq!(device.end.event_ack(), 4);
    assert!(host.seen.contains(&Output::Answer(42, Ok(()))));
    assert!(device.carried_out.iter().any(|c| matches!(c, Command::SetGrid(_))));
    let durable = disk.durable.unwrap();
    for id in LoggerId::ALL {
        let head = durable.cursors[id.index()].chain_head(id);
        if head.seq > 0 {
            assert_eq!(device.memory.heads[id.index()], head);
        }
    }
    let audit: Vec<_> = disk.rows.iter().filter(|(l, _)| *l == LoggerId::Audit).collect();
    assert_eq!((audit.len(), audit[0].1.values[3]), (1, 7));
}

#[test]
fn a_refusal_comes_at_once_and_a_full_backlog_refuses() {
    let (mut device, mut disk) = (Device::new(1), Disk::default());
    let mut host = Host::start(&disk);
    let origin = || Origin { source: "test".into(), uid: 0 };
    let mut out = Vec::new();
    host.core.command(Mono(0), meter_core::Command::ClockAdjust(1), origin(), 1, &mut out);
    assert_eq!(out, [Output::Answer(1, Err(Refused::NotReady))]);
    settle(&mut host, &mut device, &mut disk);
    for _ in 0..400 {
        device.minute();
        (0..4).for_each(|_| host.exchange(&mut device));
    }
    // The link stops by itself: 64 records of each ring.
    assert!(host.core.backlog() < BACKLOG_MAX, "{}", host.core.backlog());
    assert!(host.core.backlog() >= 64);
    let refused = |host: &mut Host| {
        let mut out = Vec::new();
        let command = meter_core::Command::SetParams(meter_core::Params { period_min: 30, ..Default::default() });
        host.core.command(Mono(host.now), command, origin(), 2, &mut out);
        let refused = out == [Output::Answer(2, Err(Refused::Busy))];
        host.take(out);
        refused
    };
    for _ in 0..BACKLOG_MAX {
        refused(&mut host);
    }
    assert!(refused(&mut host));
    assert!(host.core.backlog() <= BACKLOG_MAX);
}

#[test]
fn another_coprocessor_is_taken_over_though_units_still_wait() {
    let (mut old, mut disk) = (Device::new(1), Disk::default());
    let mut host = Host::start(&disk);
    settle(&mut host, &mut old, &mut disk);
    (0..30).for_each(|_| old.minute());
    (0..100).for_each(|_| host.exchange(&mut old));
    assert!(host.core.backlog() > 0);
    let mut new = Device::new(2);
    (0..20).for_each(|_| new.minute());
    for _ in 0..200 {
        host.exchange(&mut new);
    }
    // Its events are not acknowledged by what was committed of the other one.
    assert_eq!(new.end.event_ack(), 0);
    let n = host.pending.len();
    host.commit(&mut disk, n - 1);
    host.exchange(&mut new);
    assert_eq!(new.end.event_ack(), 0);
    settle(&mut host, &mut new, &mut disk);
    let durable = disk.durable.unwrap();
    assert_eq!(durable.device_id, [2; 8]);
    assert_eq!(durable.counters, new.memory.snapshot.counters);
    assert_eq!(new.end.event_ack(), 2);
    assert!(host.seen.contains(&Output::Notice(Notice::Replaced)));
}

#[test]
fn heads_that_are_ahead_of_the_rows_are_reported() {
    let (mut device, mut disk) = (Device::new(1), Disk::default());
    let mut host = Host::start(&disk);
    (0..40).for_each(|_| device.minute());
    settle(&mut host, &mut device, &mut disk);
    assert!(host.seen.contains(&Output::Heads(vec![])));
    device.memory.heads[0].seq += 1;
    let mut host = Host::start(&disk);
    settle(&mut host, &mut device, &mut disk);
    let found = |o: &Output| matches!(o, Output::Heads(f) if f.len() == 1 && f[0].logger == LoggerId::Load);
    assert!(host.seen.iter().any(found), "{:?}", host.seen);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Kills at any moment between any two pages and with any number of units committed: registers equal the
    /// coprocessor's counters, chains are whole, each event is there once.
    #[test]
    fn kills_lose_nothing(lives in prop::collection::vec((0..60usize, 1..40usize, any::<u8>()), 1..12)) {
        let (mut device, mut disk) = (Device::new(1), Disk::default());
        for (minutes, exchanges, luck) in lives {
            let mut host = Host::start(&disk);
            let mut minutes = minutes;
            for n in 0..exchanges {
                if minutes > 0 && n % 2 == 0 {
                    device.minute();
                    minutes -= 1;
                }
                host.exchange(&mut device);
                host.commit(&mut disk, usize::from(luck.rotate_left(n as u32) & 3));
            }
            (0..minutes).for_each(|_| device.minute());
        }
        device.minute();
        settle(&mut Host::start(&disk), &mut device, &mut disk);
        check_disk(&disk, &device);
    }
}
