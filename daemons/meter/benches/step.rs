//! How fast the meter settles history records and takes billing pages: `cargo bench -p meter-core`.
//!
//! Prints figures and asserts nothing about time; what it asserts is that the work was done.

use std::hint::black_box;
use std::time::Instant;

use meter_core::{Input, LoggerId, Meter, Settings};
use meter_model::Mono;
use metrology_link::PROTOCOL;
use metrology_link::payload::{Billing, ClockQuality, Grid, Hello, HistoryKind, HistoryRecord, Second, Snapshot};

/// Two years of minutes.
const RECORDS: u64 = 1_051_200;
const RATE: u64 = 8000;

fn main() {
    let utc_us = 1_772_366_400_000_000;
    let grid = Grid { id: 0, anchor: 0, utc_us, rate_q16: RATE << 16, quality: ClockQuality::Valid };
    let Ok(mut meter) = Meter::new(Settings::default(), None) else { return };
    let hello =
        Hello { protocol: PROTOCOL, boot_id: 1, boots: 1, channels: 0x7f, grid, history_first: 1, ..Hello::default() };
    let _ = meter.step(Mono(0), Input::Hello(hello));

    let mut snapshot = Snapshot { boots: 1, ..Snapshot::default() };
    let mut rows = 0;
    let begin = Instant::now();
    for seq in 1..=RECORDS {
        advance(&mut snapshot);
        let minute = utc_us / 60_000_000 + seq as i64;
        let record = HistoryRecord { seq, kind: HistoryKind::Minute, minute, grid, old_utc_us: 0, snapshot };
        let effects = meter.step(Mono(seq), Input::History(record));
        let load = |tx: &meter_core::Tx| tx.rows.iter().filter(|(logger, _)| *logger == LoggerId::Load).count();
        rows += effects.persist.as_deref().map_or(0, load);
        black_box(effects);
    }
    report("history records settled", RECORDS, begin);
    assert_eq!(rows as u64, RECORDS / 15);
    assert_eq!(meter.durable().cursors[LoggerId::Load.index()].next, rows as u64 + 1);

    let begin = Instant::now();
    for number in 1..=RECORDS {
        advance(&mut snapshot);
        let second = Second { number, ..Second::default() };
        let billing = Billing { snapshot, second, history_last: RECORDS, event_last: 0, grid };
        black_box(meter.step(Mono(RECORDS + number), Input::Billing(billing)));
    }
    report("billing pages taken", RECORDS, begin);

    let (times, now) = (10_000, Mono(2 * RECORDS));
    let begin = Instant::now();
    for _ in 0..times {
        black_box(meter.readings(now));
    }
    report("readings of all registers", times, begin);

    let begin = Instant::now();
    for _ in 0..times {
        black_box(meter.durable().encode());
    }
    report("settled states encoded", times, begin);
}

fn advance(snapshot: &mut Snapshot) {
    snapshot.t_samples += 60 * RATE;
    snapshot.window += 300;
    for phase in &mut snapshot.counters.phase {
        phase.a_plus += 20_000_000;
        phase.r[0] += 3_000_000;
    }
    snapshot.counters.total.a_plus += 60_000_000;
    snapshot.counters.total.r[0] += 9_000_000;
    for phase in &mut snapshot.sums.phase {
        phase.windows += 300;
        phase.u_mv += 300 * 230_000;
    }
}

fn report(what: &str, n: u64, begin: Instant) {
    let s = begin.elapsed().as_secs_f64();
    println!("{what}: {n} in {s:.3} s, {:.0} per s", n as f64 / s);
}
