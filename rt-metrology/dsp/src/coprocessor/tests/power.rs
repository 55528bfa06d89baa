//! Starts, resets, power cuts.

use std::collections::BTreeSet;
use std::vec::Vec;

use super::*;

#[test]
fn the_first_start_tells_that_the_memory_was_empty() {
    let mut rig = Rig::fresh();
    rig.run_ms(300);
    let hello = rig.hellos()[0];
    assert!(hello.memory_reset);
    assert_eq!((hello.boots, hello.down_us, hello.reset_cause), (1, 0, ResetCause::PowerOn));
    assert_eq!((hello.history_first, hello.history_last, hello.event_last), (1, 1, 1));
    let grid = Grid { id: 0, anchor: 0, utc_us: NOON, rate_q16: RATE << 16, quality: ClockQuality::Valid };
    assert_eq!(hello.grid, grid);
    assert_eq!(rig.events()[0].code, EventCode::BOOT);
    assert_eq!(rig.events()[0].args, [1, 1, 0, 1]);
    assert_eq!(rig.history()[0].kind, HistoryKind::Boot);
    assert_eq!(rig.billings()[0].second.temperature_mdeg, 21_500);
}

#[test]
fn a_hello_that_waits_is_kept_fresh() {
    let mut rig = Rig::fresh();
    rig.linked = false;
    rig.run_ms(2000);
    rig.exchange();
    let age = rig.cop.board().rtc.0 - rig.hellos()[0].rtc_us;
    assert!((0..210_000).contains(&age), "{age} µs old");
    assert_eq!(rig.host.stats().seq_gaps, 0);
}

/// Runs, resets in the midst of a window, and compares.
fn reset(keep_ram: bool, spoil_nv: bool) {
    let mut rig = Rig::fresh();
    rig.run_ms(1530);
    let before = rig.cop.billing().snapshot;
    let (t, boot) = (rig.cop.t_samples(), rig.cop.hello().boot_id);
    assert!(before.counters.total.a_plus > 3_000_000, "1.4 s at 3.45 kW");
    let lost_samples = t - before.t_samples;
    assert!(lost_samples < RATE / 4, "at most a window is open");
    if spoil_nv {
        // Both slots of the cumulative record are lost; the memory that a reset leaves alone has it.
        rig.cop.board_mut().nv[..2048].fill(0xA5);
    }
    rig.seen.clear();
    let mut rig = rig.restart(ResetCause::Warm, keep_ram, 700_000);
    let hello = rig.cop.hello();
    assert!(!hello.memory_reset);
    assert_ne!(hello.boot_id, boot);
    // The open window and the pause are dark, and both are told.
    let dark_us = 700_000 + lost_samples as i64 * 1_000_000 / RATE as i64;
    assert_eq!(hello.down_us as i64, dark_us);
    assert_eq!(rig.cop.t_samples(), t + 700 * RATE / 1000, "the sample clock went on");
    let after = rig.cop.billing().snapshot;
    assert_eq!((after.counters, after.sums, after.window), (before.counters, before.sums, before.window));
    assert_eq!((after.boots, after.down_us), (2, dark_us as u64));
    rig.run_ms(600);
    let boot_record = rig.of_kind(HistoryKind::Boot)[0];
    assert_eq!(boot_record.snapshot.down_us, dark_us as u64);
    assert_eq!(boot_record.snapshot.counters, before.counters);
    let t = rig.cop.t_samples();
    assert_eq!(rig.cop.grid().utc_us_at(t), rig.cop.board().rtc.0, "meter time went on, too");
    assert!(rig.cop.billing().snapshot.counters.total.a_plus > before.counters.total.a_plus);
}

#[test]
fn a_warm_reset_goes_on_from_memory() {
    reset(true, true);
}

#[test]
fn a_cold_reset_goes_on_from_the_slots() {
    reset(false, false);
}

#[test]
fn without_both_everything_begins_at_zero_and_says_so() {
    let mut rig = Rig::fresh();
    rig.run_ms(1000);
    let history_last = rig.cop.hello().history_last;
    rig.cop.board_mut().nv[..2048].fill(0xA5);
    let mut rig = rig.restart(ResetCause::PowerOn, false, 1_000_000);
    let hello = rig.cop.hello();
    assert!(hello.memory_reset);
    assert_eq!(hello.boots, 2, "known from the other record");
    assert_eq!(rig.cop.billing().snapshot.counters, Counters::default());
    assert_eq!(hello.history_last, history_last + 1, "the rings go on");
    rig.run_ms(100);
    assert_eq!(rig.events_of(EventCode::NV_ERROR)[0].args[0], 2);
}

#[test]
fn a_damaged_image_in_memory_is_not_used() {
    let mut rig = Rig::fresh();
    rig.run_ms(1000);
    let before = rig.cop.billing().snapshot;
    let mut no_init = rig.cop.no_init();
    no_init.slot[300] ^= 4;
    let cop = Coprocessor::start(rig.cop.into_board(), ResetCause::Warm, Some(&no_init));
    assert_eq!(cop.billing().snapshot.counters, before.counters);
}

#[test]
fn without_a_clock_the_time_is_not_believed() {
    let mut rig = Rig::fresh();
    rig.run_ms(1000);
    let last = rig.cop.billing().snapshot.t_samples;
    rig.cop.board_mut().rtc = (0, ClockQuality::Invalid);
    let rig = rig.restart(ResetCause::PowerOn, false, 0);
    assert_eq!(rig.cop.t_samples(), last, "never back");
    assert_eq!(rig.cop.grid().quality, ClockQuality::Invalid);
    assert_eq!(rig.cop.hello().down_us, 0);
}

#[test]
fn a_clock_that_went_back_gives_no_negative_pause() {
    let mut rig = Rig::fresh();
    rig.run_ms(1000);
    let last = rig.cop.billing().snapshot.t_samples;
    let rig = rig.restart(ResetCause::PowerOn, false, -3_600_000_000);
    assert_eq!((rig.cop.t_samples(), rig.cop.hello().down_us), (last, 0));
}

#[test]
fn power_fail_closes_the_window_and_is_recorded() {
    let mut rig = Rig::fresh();
    rig.run_ms(1050);
    let before = rig.cop.billing().snapshot;
    rig.cop.board_mut().inputs |= Inputs::POWER_FAIL;
    rig.run_ms(2);
    let saved = rig.cop.billing().snapshot;
    assert!(saved.counters.total.a_plus > before.counters.total.a_plus, "the open window is in");
    assert_eq!(saved.window, before.window + 1);
    let mut rig = rig.restart(ResetCause::PowerOn, false, 60_000_000);
    assert_eq!(rig.cop.billing().snapshot.counters, saved.counters);
    rig.run_ms(300);
    assert_eq!(
        rig.of_kind(HistoryKind::PowerFail).len(),
        1,
        "a restart that finds it failing tells it once more later"
    );
    rig.cop.board_mut().inputs &= !Inputs::POWER_FAIL;
    rig.run_ms(300);
    assert_eq!(rig.events_of(EventCode::POWER_RETURN).len(), 1);
}

/// What a start from this memory finds: counters, window, newest records, grid id.
fn found(board: &MemBoard) -> (u64, u64, u64, u64, u32) {
    let cop = Coprocessor::start(board.clone(), ResetCause::PowerOn, None);
    let (hello, snapshot) = (cop.hello(), cop.billing().snapshot);
    assert!(!hello.memory_reset);
    // Less the records of this very start, which are a boot and perhaps a memory error.
    let new_events = 1 + u64::from(cop.app.event_ack < 1_000_000 && nv_errors(&cop) != 0);
    (
        snapshot.counters.total.a_plus,
        snapshot.window,
        hello.history_last - 1,
        hello.event_last - new_events,
        cop.grid().id,
    )
}

fn nv_errors(cop: &Coprocessor<MemBoard>) -> usize {
    use metrology_link::device::Source;
    let last = cop.app.event_range().1;
    usize::from(cop.app.event(last).unwrap().code == EventCode::NV_ERROR)
}

#[test]
fn a_write_torn_at_any_byte_leaves_the_state_before_it() {
    let mut board = MemBoard::new();
    board.rtc.0 = NOON - 700_000;
    let mut rig = Rig::start(board, ResetCause::PowerOn, None);
    rig.run_ms(450);
    let mut at_start = rig.cop.board().clone();
    at_start.writes.clear();
    rig.cop.board_mut().writes.clear();
    // Some windows, a minute, an edge with its event, and a grid.
    rig.run_ms(300);
    rig.cop.board_mut().inputs ^= 1;
    rig.run_ms(60);
    let grid = Grid { id: 9, ..*rig.cop.grid() };
    assert_eq!(rig.command(Command::SetGrid(grid)).status, ReplyStatus::Done);
    rig.run_ms(250);
    let writes = rig.cop.board().writes.clone();
    let bytes: usize = writes.iter().map(|(_, b)| b.len()).sum();
    assert!((6000..20_000).contains(&bytes), "{bytes} bytes in {} writes", writes.len());

    let mut board = at_start;
    let mut last = found(&board);
    let (first, mut windows) = (last, BTreeSet::from([last.1]));
    for (at, bytes) in &writes {
        for (n, byte) in bytes.iter().enumerate() {
            let changed = board.nv[at + n] != *byte;
            board.nv[at + n] = *byte;
            // Each byte of the cumulative slots, every fifth of the others and the last ones of all; a byte that was
            // there already changes nothing.
            let looked_at = *at < 2048 && n % 3 == 0 || n % 7 == 0 || n + 6 > bytes.len();
            if !changed || !looked_at {
                continue;
            }
            let now = found(&board);
            let ok = now.0 >= last.0 && now.1 >= last.1 && now.2 >= last.2 && now.3 >= last.3 && now.4 >= last.4;
            assert!(ok, "went back at byte {n} of the write at {at}: {last:?} to {now:?}");
            assert!(now.1 <= last.1 + 1 && now.2 <= last.2 + 1 && now.3 <= last.3 + 1);
            if n + 6 <= bytes.len() && *at < 2048 {
                assert_eq!(now, last, "byte {n} of {}: the slot before is in force", bytes.len());
            }
            last = now;
            windows.insert(now.1);
        }
        last = found(&board);
    }
    assert_eq!(last.4, 9);
    assert!(last.1 >= first.1 + 3 && last.2 >= first.2 + 3 && last.3 >= first.3 + 2, "{first:?} to {last:?}");
    assert_eq!(windows.len() as u64, last.1 - first.1 + 1, "every window was found, none skipped");
}

#[test]
fn a_torn_write_is_survived_by_the_next_start_too() {
    // The newest image is in memory only, the slot it was written to is torn, and the next write is torn as well.
    let mut rig = Rig::fresh();
    rig.run_ms(900);
    let newest = rig.cop.billing().snapshot;
    let no_init = rig.cop.no_init();
    let (at, _) = *rig.cop.board().writes.iter().rfind(|(at, _)| *at < 2048).map(|w| (w.0, ())).as_ref().unwrap();
    let mut board = rig.cop.into_board();
    board.nv[at + 100] ^= 1;
    let older_slot: Vec<u8> = board.nv[1024 - at..2048 - at].to_vec();
    board.writes.clear();
    let cop = Coprocessor::start(board, ResetCause::Warm, Some(&no_init));
    assert_eq!(cop.billing().snapshot.counters, newest.counters);
    let first_write = cop.board().writes.iter().find(|(at, _)| *at < 2048).unwrap().0;
    assert_eq!(first_write, at, "written over the torn slot, not over the last good one");
    assert_eq!(cop.board().nv[1024 - at..2048 - at], older_slot[..]);
}
