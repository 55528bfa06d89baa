//! Minutes, edges, rings and events.

use super::*;
use crate::coprocessor::{EVENT_SLOTS, HISTORY_SLOTS};

fn at_minute_end(before_us: i64) -> Rig {
    let mut board = MemBoard::new();
    board.rtc.0 = NOON - before_us;
    Rig::start(board, ResetCause::PowerOn, None)
}

#[test]
fn a_minute_is_the_last_window_at_or_before_its_boundary() {
    let mut rig = at_minute_end(1_000_000);
    rig.run_ms(1700);
    let minutes = rig.of_kind(HistoryKind::Minute);
    assert_eq!(minutes.len(), 1);
    assert_eq!(minutes[0].minute, NOON / 60_000_000);
    let boundary = rig.cop.grid().sample_at(NOON);
    assert_eq!(boundary, RATE);
    let live = rig.billings();
    let expected = live.iter().rfind(|b| b.snapshot.t_samples <= boundary).unwrap();
    assert_eq!(minutes[0].snapshot, expected.snapshot, "the same as was sent live");
    assert!(live.iter().any(|b| b.snapshot.t_samples > boundary));
}

#[test]
fn the_records_are_the_same_when_linux_was_away() {
    let run = |linked: bool| {
        let mut rig = at_minute_end(600_000);
        rig.linked = linked;
        rig.run_ms(400);
        rig.cop.board_mut().inputs = 0b10;
        rig.run_ms(700);
        rig.linked = true;
        rig.run_ms(100);
        rig.history()
    };
    let (live, replayed) = (run(true), run(false));
    assert_eq!(
        live.iter().map(|r| r.kind).collect::<Vec<_>>(),
        [HistoryKind::Boot, HistoryKind::InputEdge, HistoryKind::Minute]
    );
    assert_eq!(live, replayed);
}

#[test]
fn a_grid_that_jumps_makes_up_for_the_boundary() {
    let mut rig = Rig::fresh();
    rig.run_ms(500);
    let old = *rig.cop.grid();
    let change = |rig: &mut Rig, by_us: i64, id: u32| {
        let grid = Grid { id, utc_us: old.utc_us + by_us, ..old };
        rig.seen.clear();
        assert_eq!(rig.command(Command::SetGrid(grid)).status, ReplyStatus::Done);
        rig.run_ms(50);
        rig.history()
    };
    let records = change(&mut rig, 600_000_000, 1);
    assert_eq!(records.iter().map(|r| r.kind).collect::<Vec<_>>(), [HistoryKind::GridChange, HistoryKind::Minute]);
    assert_eq!(records[0].grid.id, 1);
    let t = records[0].snapshot.t_samples;
    assert_eq!(records[0].grid.utc_us_at(t) - records[0].old_utc_us, 600_000_000);
    assert_eq!(records[1].minute, NOON / 60_000_000 + 10, "the newest of the ten, once");
    assert_eq!(records[1].snapshot, records[0].snapshot);
    let event = rig.events_of(EventCode::GRID_SET)[0];
    assert_eq!(event.args[..2], [1, 600_000_000]);
    let t = rig.cop.t_samples();
    assert_eq!(rig.cop.board().rtc.0, rig.cop.grid().utc_us_at(t), "the clock was set");

    let records = change(&mut rig, 600_000_000 - 1000, 2);
    assert_eq!(records.len(), 1, "a small step within the minute: {records:?}");
    let records = change(&mut rig, -120_000_000, 3);
    assert_eq!(records.len(), 1, "a step back stores no minute: {records:?}");
}

#[test]
fn after_a_step_back_the_minutes_come_again() {
    let mut rig = at_minute_end(500_000);
    rig.run_ms(800);
    assert_eq!(rig.of_kind(HistoryKind::Minute).len(), 1);
    let back = Grid { id: 1, utc_us: rig.cop.grid().utc_us - 800_000, ..*rig.cop.grid() };
    rig.command(Command::SetGrid(back));
    rig.run_ms(1300);
    let minutes = rig.of_kind(HistoryKind::Minute);
    assert_eq!(minutes.len(), 2);
    assert_eq!(minutes[0].minute, minutes[1].minute);
}

#[test]
fn an_impossible_grid_is_refused() {
    let mut rig = Rig::fresh();
    rig.run_ms(300);
    let before = *rig.cop.grid();
    for rate_q16 in [0, u64::MAX, (RATE << 16) / 100 * 102] {
        let reply = rig.command(Command::SetGrid(Grid { rate_q16, ..before }));
        assert_eq!(reply.status, ReplyStatus::Impossible);
    }
    assert_eq!(*rig.cop.grid(), before);
    assert_eq!(rig.events_of(EventCode::COMMAND_REFUSED).len(), 2, "the third is on its way");
    let far = [
        Grid { anchor: u64::MAX, utc_us: i64::MIN, ..before },
        Grid { utc_us: i64::MAX, ..before },
        Grid { anchor: u64::MAX, ..before },
    ];
    for grid in far {
        assert_eq!(rig.command(Command::SetGrid(grid)).status, ReplyStatus::Impossible);
    }
    rig.run_ms(300);
}

#[test]
fn an_edge_is_stored_after_the_debounce_time() {
    let mut rig = Rig::fresh();
    rig.run_ms(350);
    rig.seen.clear();
    // 15 ms are bounce, 20 ms are not.
    rig.cop.board_mut().inputs = 1;
    rig.run_ms(15);
    rig.cop.board_mut().inputs = 0;
    rig.run_ms(40);
    assert!(rig.history().is_empty() && rig.events().is_empty());
    let window = rig.cop.billing().snapshot;
    rig.cop.board_mut().inputs = 1 | Inputs::COVER_MAIN;
    rig.run_ms(25);
    let edges = rig.of_kind(HistoryKind::InputEdge);
    assert_eq!(edges.len(), 1);
    let inputs = Inputs(1 | Inputs::COVER_MAIN);
    assert_eq!(edges[0].snapshot, Snapshot { inputs, ..window }, "the last window, with the new state");
    assert_eq!(edges[0].minute, NOON / 60_000_000);
    let events = rig.events_of(EventCode::INPUTS_CHANGED);
    assert_eq!(events[0].args[..2], [i64::from(inputs.0), i64::from(inputs.0)]);
    // No tariff input: an event, no record.
    rig.cop.board_mut().inputs = 1;
    rig.run_ms(25);
    assert_eq!(rig.of_kind(HistoryKind::InputEdge).len(), 1);
    assert_eq!(rig.events_of(EventCode::INPUTS_CHANGED)[1].args[..2], [1, i64::from(Inputs::COVER_MAIN)]);
}

#[test]
fn full_rings_lose_the_oldest_and_tell() {
    let mut board = MemBoard::new();
    board.factory.debounce_ms = 1;
    let mut rig = Rig::start(board, ResetCause::PowerOn, None);
    rig.linked = false;
    for _ in 0..300 {
        rig.cop.board_mut().inputs ^= 1;
        rig.run_ms(2);
    }
    let hello = rig.cop.hello();
    assert_eq!((hello.history_last, hello.history_first), (301, 301 - HISTORY_SLOTS + 1));
    assert_eq!((hello.event_last, hello.event_first), (301, 301 - EVENT_SLOTS + 1));
    assert_eq!(hello.events_lost, 301 - EVENT_SLOTS);
    rig.linked = true;
    rig.run_ms(1500);
    let gap = rig.seen.iter().find_map(|r| match r {
        Received::EventGap { from, to, event } => Some((*from, *to, event.seq)),
        _ => None,
    });
    assert_eq!(gap, Some((1, 45, 46)));
    let lost = rig.seen.iter().find_map(|r| match r {
        Received::HistoryLost { from, to, record } => Some((*from, *to, record.seq)),
        _ => None,
    });
    assert_eq!(lost, Some((1, 45, 46)));
    assert!(rig.history().iter().map(|r| r.seq).eq(46..=301));
    assert!(rig.events().iter().map(|e| e.seq).eq(46..=301));
    // Acknowledged ones may be overwritten without a loss, also after a restart.
    let mut rig = rig.restart(ResetCause::PowerOn, false, 1_000_000);
    for _ in 0..20 {
        rig.cop.board_mut().inputs ^= 1;
        rig.run_ms(2);
    }
    assert_eq!(rig.cop.hello().events_lost, 301 - EVENT_SLOTS);
}

#[test]
fn an_acknowledgement_of_the_future_is_not_believed() {
    let mut board = MemBoard::new();
    board.factory.debounce_ms = 1;
    let mut rig = Rig::start(board, ResetCause::PowerOn, None);
    rig.run_ms(50);
    let mut down = [0; PAGE];
    rig.host.emit(&mut down);
    // `event_ack` of the control, with the page's CRC made right again.
    down[24 + 8..24 + 16].fill(0xff);
    let crc = metrology_link::page::crc32(&down[..PAGE - 4]);
    down[PAGE - 4..].copy_from_slice(&crc.to_le_bytes());
    let up = rig.cop.exchange(&down);
    rig.receive(&up);
    rig.linked = false;
    for _ in 0..300 {
        rig.cop.board_mut().inputs ^= 1;
        rig.run_ms(2);
    }
    assert_eq!(rig.cop.hello().events_lost, 300 - EVENT_SLOTS);
}

#[test]
fn a_damaged_record_is_lost_and_told() {
    let mut board = MemBoard::new();
    board.factory.debounce_ms = 1;
    let mut rig = Rig::start(board, ResetCause::PowerOn, None);
    rig.linked = false;
    for _ in 0..4 {
        rig.cop.board_mut().inputs ^= 1;
        rig.run_ms(2);
    }
    // In the counters of record 3 and the arguments of event 2.
    let nv = &mut rig.cop.board_mut().nv;
    nv[crate::coprocessor::nv::HISTORY_AT + 3 * crate::coprocessor::nv::HISTORY_SLOT + 100] ^= 1;
    nv[crate::coprocessor::nv::EVENTS_AT + 2 * crate::coprocessor::nv::EVENT_SLOT + 40] ^= 1;
    let mut rig = rig.restart(ResetCause::PowerOn, false, 1000);
    rig.linked = true;
    rig.run_ms(100);
    assert!(rig.history().iter().map(|r| r.seq).eq([1, 2, 4, 5, 6]));
    assert!(rig.events().iter().map(|e| e.seq).eq([1, 3, 4, 5, 6, 7]));
    assert_eq!(rig.host.stats().history_lost, 1);
    assert_eq!(rig.host.stats().events_lost, 1);
    assert_eq!(rig.events_of(EventCode::NV_ERROR)[0].args[0], 2);
}

#[test]
fn setting_the_clock_is_no_down_time() {
    let mut rig = Rig::fresh();
    rig.run_ms(500);
    let grid = Grid { id: 1, utc_us: rig.cop.grid().utc_us + 3_600_000_000, ..*rig.cop.grid() };
    assert_eq!(rig.command(Command::SetGrid(grid)).status, ReplyStatus::Done);
    let open = rig.cop.t_samples() - rig.cop.billing().snapshot.t_samples;
    let rig = rig.restart(ResetCause::Watchdog, false, 0);
    let open_us = open * 1_000_000 / RATE;
    assert_eq!(rig.cop.hello().down_us, open_us, "the open window, and no hour");
}

#[test]
fn clipping_is_told_once_per_burst() {
    let mut rig = Rig::fresh();
    rig.run_ms(500);
    rig.amps = 250.0;
    rig.run_ms(1000);
    rig.amps = 5.0;
    rig.run_ms(1600);
    assert_eq!(rig.events_of(EventCode::CLIPPED).len(), 1);
    assert!(rig.cop.billing().snapshot.clipped_windows >= 5);
}

#[test]
fn pulses_are_counted_over_restarts() {
    let mut rig = Rig::fresh();
    rig.cop.board_mut().pulses = [3, 0, 0, u64::MAX];
    rig.run_ms(500);
    assert_eq!(rig.cop.billing().snapshot.pulses, [3, 0, 0, u64::MAX]);
    // The board's own counters begin again.
    rig.cop.board_mut().pulses = [0; 4];
    let mut rig = rig.restart(ResetCause::PowerOn, false, 1_000_000);
    rig.cop.board_mut().pulses = [2, 1, 0, 1];
    rig.run_ms(500);
    assert_eq!(rig.cop.billing().snapshot.pulses, [5, 1, 0, 0]);
}
