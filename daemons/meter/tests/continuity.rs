//! Absences, lost records, other coprocessors: registers never fall and no energy is counted twice.

mod common;

use common::{Device, MINUTE, NONE, NOON, WINDOW_US, at_noon};
use meter_core::{ABSENT, AuditCode, Command, Input, LoggerId, Notice, Params, StatusCode, check_heads};
use meter_model::{Status, Utc};
use metrology_link::payload::{self, Counters, EventCode, Topology};

#[test]
fn lost_history_merges_intervals_and_loses_no_energy() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 5);
    // Longer than the ring: 256 records hold 4 h 16 min.
    for _ in 0..6 * 60 * 6 {
        device.window(WINDOW_US);
    }
    host.restart();
    host.run_minutes(&mut device, 10);
    let table = host.table();
    // The first record kept is that of 13:45 + ...: merged up to there, then quarter by quarter.
    assert_eq!(table[0].2, Status::LONG);
    assert!(table[0].1 > 100. && table[1..].iter().all(|row| row.2 == NONE || row.2 == Status::SHORT));
    let lost = host.logger(LoggerId::Status).into_iter().find(|r| r.values[0] == StatusCode::HistoryLost as i64);
    assert!(lost.is_some());
    assert_eq!(host.committed.unwrap().registers, device.snapshot.counters);
    assert_eq!(host.verify(), []);
}

#[test]
fn a_clock_set_whose_record_was_lost_still_cuts() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 5);
    // Programmed, but the record is lost with the ring.
    let grid = payload::Grid { id: 1, utc_us: device.grid.utc_us + 3600 * 1_000_000, ..device.grid };
    device.set_grid(grid);
    device.ring.clear();
    host.run_minutes(&mut device, 20);
    let table = host.table();
    assert!(table[0].2.has(Status::CLOCK_SET | Status::SHORT) && table[1].2.has(Status::CLOCK_SET), "{table:?}");
    assert!(table[0].1 < 7. && table[1].0 > 64., "{table:?}");
    assert_eq!(host.verify(), []);
}

/// The same ten minutes, with registerd alive and away: a boundary and two tariff edges fall into them.
#[test]
fn ten_minutes_of_absence_change_no_bit() {
    let world = |away: bool| {
        let (mut device, mut host) = at_noon();
        host.run_minutes(&mut device, 11);
        for window in 0..60 {
            device.window(WINDOW_US);
            if window == 13 || window == 29 {
                device.edge();
            }
            if !away {
                host.pump(&mut device);
            }
        }
        if away {
            host.restart();
        }
        host.run_minutes(&mut device, 30);
        assert_eq!(host.verify(), []);
        (host.load(), host.committed)
    };
    let (live, replayed) = (world(false), world(true));
    assert_eq!(live.0.len(), 3);
    assert_eq!(live, replayed);
}

#[test]
fn another_coprocessor_goes_on_where_the_registers_were() {
    let (mut old, mut host) = at_noon();
    host.run_minutes(&mut old, 5);
    old.window(WINDOW_US);
    host.pump(&mut old); // seen, not settled
    let seen = old.snapshot.counters.total.a_plus;
    // The new one was used elsewhere: a year of energy and a full ring.
    let mut new = Device::new(9, NOON + 6 * MINUTE, payload::ClockQuality::Valid);
    new.snapshot.counters.total.a_plus = 1 << 50;
    for _ in 0..500 {
        new.window(WINDOW_US);
    }
    new.memory_reset = false;
    new.true_us += old.true_us;
    let elsewhere = new.snapshot.counters.total.a_plus;
    host.pump(&mut new);
    assert!(host.notices.contains(&Notice::Replaced));
    host.run_minutes(&mut new, 40);
    let counted = new.snapshot.counters.total.a_plus - elsewhere;
    assert_eq!(host.meter.registers().unwrap().total.a_plus, seen + counted);
    let rows = host.load();
    assert!(rows[0].status.has(Status::DISCONTINUITY | Status::SHORT) && rows[1].status.has(Status::DISCONTINUITY));
    assert_eq!(rows[0].values[0] as u64, seen);
    assert_eq!(rows[0].values[10], ABSENT, "the sums at the end of that row are not known");
    assert!(!rows[2].status.has(Status::DISCONTINUITY));
    let note = host.logger(LoggerId::Status).into_iter().find(|r| r.values[0] == StatusCode::MetrologyReplaced as i64);
    assert_eq!(note.unwrap().values[3..5], [i64::from_be_bytes([1; 8]), i64::from_be_bytes([9; 8])]);
    assert_eq!(host.verify(), []);
}

#[test]
fn a_coprocessor_with_lost_memory_is_counted_from_zero() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 5);
    device.window(WINDOW_US);
    host.pump(&mut device);
    let seen = device.snapshot.counters.total.a_plus;
    device.lose_memory(3_000_000);
    // It counts before registerd hears of it; that energy is ours too.
    for _ in 0..7 {
        device.window(WINDOW_US);
    }
    host.run_minutes(&mut device, 20);
    assert_eq!(host.meter.registers().unwrap().total.a_plus, seen + device.snapshot.counters.total.a_plus);
    assert!(host.load()[0].status.has(Status::DISCONTINUITY));
    assert_eq!(host.notices.iter().filter(|n| **n == Notice::MemoryReset).count(), 1);
    // A restart of registerd in the same boot hears the same hello and does not count again.
    host.restart();
    host.run_minutes(&mut device, 1);
    assert_eq!(host.meter.registers().unwrap().total.a_plus, seen + device.snapshot.counters.total.a_plus);
    assert_eq!(host.notices.iter().filter(|n| **n == Notice::MemoryReset).count(), 1);
    assert_eq!(host.verify(), []);
}

#[test]
fn a_memory_reset_that_no_hello_told_is_found_by_boots_and_history() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 5);
    device.reset(0);
    host.run_minutes(&mut device, 5);
    let settled = host.committed.unwrap().registers.total.a_plus;
    device.lose_memory(1_000_000);
    device.memory_reset = false;
    host.restart();
    host.run_minutes(&mut device, 2);
    assert_eq!(host.meter.registers().unwrap().total.a_plus, settled + device.snapshot.counters.total.a_plus);
    assert_eq!(host.verify(), []);
}

#[test]
fn registers_keep_what_was_shown_when_memory_falls_back_a_window() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 5);
    device.window(WINDOW_US);
    let kept = device.snapshot;
    device.window(WINDOW_US);
    host.pump(&mut device);
    let shown = host.meter.registers().unwrap();
    assert_eq!(shown, device.snapshot.counters);
    device.fall_back(kept, 2_000_000);
    host.pump(&mut device);
    assert_eq!(host.meter.registers().unwrap(), shown);
    let base = device.snapshot.counters.total.a_plus;
    host.run_minutes(&mut device, 10);
    let counted = device.snapshot.counters.total.a_plus - base;
    assert_eq!(host.meter.registers().unwrap().total.a_plus, shown.total.a_plus + counted);
    let row = &host.load()[0];
    assert!(row.status.has(Status::DISCONTINUITY | Status::RESTART), "{row:?}");
    assert!(host.notices.contains(&Notice::Regressed));
    assert_eq!(host.verify(), []);
}

/// Pages were seen, the history behind them not yet, and then the coprocessor restarts: nothing is counted twice.
#[test]
fn pages_that_ran_ahead_of_the_history_are_counted_once() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 5);
    for _ in 0..20 {
        device.window(WINDOW_US);
        host.bill(&mut device);
    }
    device.reset(2_000_000);
    host.pump(&mut device);
    assert_eq!(host.committed.unwrap().registers, device.snapshot.counters);
    device.reset(2_000_000);
    host.run_minutes(&mut device, 10);
    assert_eq!(host.meter.registers(), Some(device.snapshot.counters));
    assert!(!host.load()[0].status.has(Status::DISCONTINUITY));
}

#[test]
fn means_cover_what_was_measured_when_sums_fall_behind_the_begin() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 10);
    let kept = device.snapshot;
    host.run_minutes(&mut device, 20);
    device.fall_back(kept, 2_000_000);
    host.run_minutes(&mut device, 15);
    let row = &host.load()[2];
    assert!(row.status.has(Status::DISCONTINUITY));
    assert_eq!((row.values[10], row.values[13], row.values[16]), (230_000, 5_000_001, 950_001));
}

#[test]
fn a_record_or_page_said_again_changes_nothing() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 5);
    let (durable, record) = (*host.meter.durable(), *device.ring.back().unwrap());
    assert_eq!(host.step(&mut device, Input::History(record)), Default::default());
    assert_eq!(host.bill(&mut device), Default::default());
    assert_eq!(*host.meter.durable(), durable);
}

#[test]
fn counters_that_fall_within_a_boot_lower_no_register() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 5);
    let settled = host.committed.unwrap().registers;
    device.snapshot.counters = Counters::default();
    host.run_minutes(&mut device, 10);
    let now = host.committed.unwrap().registers;
    assert!(now.total.a_plus > settled.total.a_plus);
    assert!(now.total.a_plus <= settled.total.a_plus + device.snapshot.counters.total.a_plus, "counted twice");
    assert!(host.load()[0].status.has(Status::DISCONTINUITY));
}

#[test]
fn a_ring_numbered_anew_counts_nothing_twice() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 30);
    let rows = host.load();
    // Only the ring was unreadable: it starts again at 1, with the last minutes still in it.
    let last: Vec<_> = device.ring.iter().rev().take(3).rev().copied().collect();
    device.reset(0);
    let boot = *device.ring.back().unwrap();
    device.ring.clear();
    device.seq = 0;
    for mut record in last.into_iter().chain([boot]) {
        device.seq += 1;
        record.seq = device.seq;
        device.ring.push_back(record);
    }
    host.run_minutes(&mut device, 15);
    assert_eq!(host.load()[..rows.len()], rows);
    assert_eq!(host.committed.unwrap().registers, device.snapshot.counters);
    assert_eq!(host.verify(), []);
}

#[test]
fn events_become_rows_once_and_gaps_are_told() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 1);
    device.event(EventCode::DIP, [100, 200, 0, 0]);
    let dip = *device.events.back().unwrap();
    host.pump(&mut device);
    host.step(&mut device, Input::Event(dip)); // again
    device.event(EventCode::SWELL, [0; 4]);
    device.events.clear();
    device.event(EventCode::CLIPPED, [1, 0, 0, 0]);
    host.pump(&mut device);
    let codes: Vec<i64> = host.logger(LoggerId::Status).iter().map(|r| r.values[0]).collect();
    assert_eq!(codes, [StatusCode::MetrologyAdopted as i64, 1, 14, StatusCode::EventsLost as i64, 5]);
    let rows = host.logger(LoggerId::Status);
    assert_eq!(rows[2].values, [14, 0, 1001, 100, 200, 0, 0]);
    assert_eq!((rows[2].start, rows[2].end), (Utc(dip.utc_us), Utc(dip.utc_us)));
    assert_eq!(host.meter.resume().event_ack, 4);
    assert!(device.events.is_empty());
}

#[test]
fn nothing_is_believed_before_the_hello_or_of_another_protocol() {
    let (mut device, mut host) = at_noon();
    device.window(WINDOW_US);
    let record = *device.ring.front().unwrap();
    assert_eq!(host.bill(&mut device), Default::default());
    assert_eq!(host.step(&mut device, Input::History(record)), Default::default());
    let hello = payload::Hello { protocol: 99, ..device.hello() };
    assert_eq!(host.step(&mut device, Input::Hello(hello)).notices, [Notice::WrongProtocol { theirs: 99 }]);
    assert_eq!(host.bill(&mut device), Default::default());
    assert!(host.committed.is_none() && host.meter.registers().is_none());
}

#[test]
fn a_topology_that_does_not_fit_is_told_once_and_metered() {
    let (mut device, mut host) = at_noon();
    device.topology = Topology::Aron;
    host.run_minutes(&mut device, 15);
    assert_eq!(host.notices.iter().filter(|n| **n == Notice::WrongTopology).count(), 1);
    assert_eq!(host.load().len(), 1);
}

#[test]
fn heads_follow_the_rows_and_tell_a_truncated_store() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 30);
    let durable = host.committed.unwrap();
    assert_eq!(host.heads.iter().filter(|h| h.log == 0).map(|h| h.seq).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(host.heads.iter().rfind(|h| h.log == 0).unwrap().head, host.load()[1].hash);
    let mut heads = [payload::ChainHead::default(); payload::CHAIN_LOGS];
    for (i, head) in heads.iter_mut().enumerate() {
        head.log = i as u8;
    }
    assert_eq!(check_heads(&durable, &heads), [], "nothing stored yet");
    heads[0] = durable.cursors[0].chain_head(LoggerId::Load);
    assert_eq!(check_heads(&durable, &heads), []);
    heads[0].seq += 1;
    assert_eq!(check_heads(&durable, &heads).len(), 1);
    heads[0].seq -= 1;
    heads[0].head[0] ^= 1;
    assert_eq!(
        check_heads(&durable, &heads)[0].to_string(),
        "load row 2: differs from the head kept in the coprocessor"
    );
    heads[0].seq -= 1;
    assert_eq!(check_heads(&durable, &heads), [], "a head that is behind is normal");
}

/// The history ring survives, so records of both lives are replayed through one another's counters.
#[test]
fn lost_counters_in_a_ring_that_survived_are_counted_once() {
    for (away, registerd) in [(0, "alive"), (7, "away"), (300, "away for longer than the ring holds")] {
        let (mut device, mut host) = at_noon();
        host.run_minutes(&mut device, 20);
        // Seen or not, not settled.
        device.window(WINDOW_US);
        if away == 0 {
            host.pump(&mut device);
        }
        let old = device.snapshot.counters.total.a_plus;
        device.lose_counters();
        for _ in 0..away * 6 {
            device.window(WINDOW_US);
        }
        if away > 0 {
            host.restart();
        }
        host.run_minutes(&mut device, 40);
        let kept = host.meter.registers().unwrap().total.a_plus - device.snapshot.counters.total.a_plus;
        // What no page and no record ever told is lost: here the one window before the reset.
        let unseen = if away == 0 { 0 } else { device.load.import };
        assert_eq!(kept, old - unseen, "registerd {registerd}");
        assert_eq!(host.notices.iter().filter(|n| **n == Notice::MemoryReset).count(), 1, "registerd {registerd}");
        let load = host.load();
        assert!(load[1].status.has(Status::DISCONTINUITY) && load[2].status.has(Status::DISCONTINUITY));
        host.restart();
        host.run_minutes(&mut device, 1);
        assert_eq!(host.meter.registers().unwrap().total.a_plus, kept + device.snapshot.counters.total.a_plus);
        assert_eq!(host.verify(), [], "registerd {registerd}");
    }
}

/// Minutes that registerd had not seen before the counters were lost are in the ring, and are counted.
#[test]
fn minutes_before_the_loss_are_settled_from_the_ring() {
    let (mut device, mut host) = at_noon();
    host.run_minutes(&mut device, 10);
    for _ in 0..10 * 6 {
        device.window(WINDOW_US);
    }
    let old = device.snapshot.counters.total.a_plus;
    device.lose_counters();
    for _ in 0..10 * 6 {
        device.window(WINDOW_US);
    }
    host.restart();
    host.pump(&mut device);
    assert_eq!(host.meter.registers().unwrap().total.a_plus, old + device.snapshot.counters.total.a_plus);
    let cut = Status::DISCONTINUITY | Status::SHORT;
    assert_eq!(host.table(), [(0., 15., NONE), (15., 20., cut), (20., 30., cut)]);
    assert_eq!(host.verify(), []);
}

/// First contact with a coprocessor whose ring tells of a memory reset: its records are taken in their order.
#[test]
fn a_first_contact_survives_a_reset_inside_the_ring() {
    let (mut device, mut host) = at_noon();
    for _ in 0..60 {
        device.window(WINDOW_US);
    }
    let settled = device.ring.back().unwrap().snapshot.counters.total.a_plus;
    device.lose_counters();
    device.memory_reset = false;
    host.run_minutes(&mut device, 40);
    assert_eq!(host.meter.registers().unwrap().total.a_plus, settled + device.snapshot.counters.total.a_plus);
    assert_eq!(host.verify(), []);
}

/// A wiped memory that restarted once more, found after longer than the ring holds: no hello and no record tells.
#[test]
fn a_wiped_memory_is_known_by_its_starts() {
    for (before, away, rows) in [(400, 300, 26 + 16), (10, 20, 1), (10, 300, 1)] {
        let (mut device, mut host) = at_noon();
        device.reset(0);
        device.reset(0);
        host.run_minutes(&mut device, before);
        let settled = host.committed.unwrap().registers.total.a_plus;
        device.lose_memory(1_000_000);
        device.reset(0);
        for _ in 0..away * 6 {
            device.window(WINDOW_US);
        }
        host.restart();
        host.run_minutes(&mut device, 2);
        let expected = settled + device.snapshot.counters.total.a_plus;
        assert_eq!(host.meter.registers().unwrap().total.a_plus, expected, "{before} {away}");
        // Where the ring is clearly the new life's, its minutes make rows; else they are merged.
        assert!(host.load().len() >= rows, "{before} {away}: {} rows", host.load().len());
        assert_eq!(host.verify(), []);
    }
}

/// Its first boot is the only one, so the count of starts tells nothing.
#[test]
fn a_memory_wiped_in_its_first_boot_is_counted_once() {
    for away in [0, 20] {
        let (mut device, mut host) = at_noon();
        host.run_minutes(&mut device, 10);
        let settled = host.committed.unwrap().registers.total.a_plus;
        device.lose_memory(1_000_000);
        for _ in 0..away * 6 {
            device.window(WINDOW_US);
        }
        host.restart();
        host.run_minutes(&mut device, 2);
        assert_eq!(host.meter.registers().unwrap().total.a_plus, settled + device.snapshot.counters.total.a_plus);
        host.restart();
        host.run_minutes(&mut device, 2);
        assert_eq!(host.meter.registers().unwrap().total.a_plus, settled + device.snapshot.counters.total.a_plus);
        assert_eq!(host.verify(), []);
    }
}

/// A spare part with empty memory has counted nothing elsewhere.
#[test]
fn another_coprocessor_with_empty_memory_is_counted_from_zero() {
    let (mut old, mut host) = at_noon();
    host.run_minutes(&mut old, 15);
    let settled = host.committed.unwrap().registers.total.a_plus;
    let mut new = Device::new(2, NOON + 16 * MINUTE, payload::ClockQuality::Valid);
    for _ in 0..9 {
        new.window(WINDOW_US);
    }
    new.true_us += old.true_us;
    host.run_minutes(&mut new, 30);
    assert_eq!(host.meter.registers().unwrap().total.a_plus, settled + new.snapshot.counters.total.a_plus);
    // The change fell on a boundary: the interval that had just begun held nothing and left no row.
    let table = host.table();
    assert_eq!((table[0], table[1].0 >= 16.), ((0., 15., NONE), true), "{table:?}");
    assert_eq!(host.verify(), []);
}

/// A change on its way when the coprocessor is replaced: parameters are in force at once, a clock line means nothing
/// on another sample clock.
#[test]
fn a_change_under_way_does_not_hang_on_the_old_coprocessor() {
    let thirty = Params { period_min: 30, ..Params::default() };
    for command in [Command::SetParams(thirty), Command::ClockSet(Utc(NOON + 90 * MINUTE))] {
        let (mut old, mut host) = at_noon();
        host.run_minutes(&mut old, 5);
        old.deaf = true;
        assert_eq!(host.command(&mut old, command.clone()), Ok(()));
        let mut new = Device::new(2, NOON + 5 * MINUTE, payload::ClockQuality::Valid);
        new.memory_reset = false;
        new.true_us += old.true_us;
        host.run_minutes(&mut new, 60);
        let durable = host.committed.unwrap();
        assert_eq!(durable.pending, None);
        assert_eq!(new.grids, []);
        let failed = host.logger(LoggerId::Audit).iter().any(|r| r.values[0] == AuditCode::ClockFailed as i64);
        match command {
            Command::SetParams(params) => assert_eq!((durable.params, failed), (params, false)),
            _ => assert_eq!((durable.params, failed), (Params::default(), true)),
        }
        assert_eq!(host.verify(), []);
    }
}

#[test]
fn events_numbered_anew_are_taken_from_their_start() {
    let (mut device, mut host) = at_noon();
    for _ in 0..5 {
        device.event(EventCode::DIP, [0; 4]);
    }
    host.run_minutes(&mut device, 1);
    device.events.clear();
    device.event_seq = 0;
    device.reset(0);
    host.run_minutes(&mut device, 1);
    let boots = host.logger(LoggerId::Status).iter().filter(|r| r.values[0] == i64::from(EventCode::BOOT.0)).count();
    assert_eq!((boots, host.meter.resume().event_ack), (2, 1));
}
