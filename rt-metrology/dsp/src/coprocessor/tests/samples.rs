//! What is told about samples that cannot be right, and about those that never came.

use super::*;

#[test]
fn a_channel_that_stands_still_is_told_when_it_begins_and_when_it_is_over() {
    let mut rig = Rig::fresh();
    rig.run_ms(3000);
    assert_eq!(rig.events_of(EventCode::SUSPECT_SAMPLES), [], "the control: nothing is wrong");
    assert_eq!(rig.cop.billing().snapshot.suspect_windows, 0);
    rig.spoil = |counts| counts[4] = 1234;
    rig.run_ms(3000);
    rig.spoil = |_| {};
    rig.run_ms(3000);
    let told: Vec<[i64; 2]> =
        rig.events_of(EventCode::SUSPECT_SAMPLES).iter().map(|e| [e.args[0], e.args[1]]).collect();
    let stuck = i64::from(Suspect::STUCK << 4);
    assert_eq!(told, [[stuck, stuck], [0, stuck]]);
    let marked = rig.cop.billing().snapshot.suspect_windows;
    assert!((13..=15).contains(&marked), "3 s, less the windows in which it began and ended: {marked}");
    assert_eq!(rig.cop.billing().second.suspect, Suspect(0));
    // It survives a reset, as the counters do.
    let rig = rig.restart(ResetCause::PowerOn, false, 1000);
    assert_eq!(rig.cop.billing().snapshot.suspect_windows, marked);
}

#[test]
fn lost_samples_are_told_once_per_burst_and_their_time_passes() {
    let mut rig = Rig::fresh();
    rig.run_ms(3000);
    let (t, before) = (rig.cop.t_samples(), rig.cop.billing().snapshot);
    for _ in 0..5 {
        rig.cop.samples_lost(80);
        rig.cop.board_mut().rtc.0 += 10_000;
        rig.run_ms(200);
    }
    assert_eq!(rig.cop.t_samples(), t + 5 * (80 + RATE / 5));
    rig.run_ms(2000);
    let told = rig.events_of(EventCode::SAMPLES_LOST);
    assert_eq!(told.len(), 1, "{told:?}");
    let after = rig.cop.billing().snapshot;
    assert_eq!((before.lost_samples, after.lost_samples), (0, 400));
    assert_eq!(after.down_us, before.down_us, "it was not down");
    // 3.45 kW in all samples that came, and nothing for those that did not.
    let samples = after.t_samples - before.t_samples - 400;
    let joules = (after.counters.total.a_plus - before.counters.total.a_plus) as f64 / 1e3;
    let truth = 3450.0 * samples as f64 / RATE as f64;
    assert!((joules / truth - 1.0).abs() < 2e-4, "{joules} {truth}");
    let rig = rig.restart(ResetCause::PowerOn, false, 1000);
    assert_eq!(rig.cop.billing().snapshot.lost_samples, 400);
}

#[test]
fn raw_samples_around_a_gap_are_in_different_chunks() {
    let mut rig = Rig::fresh();
    rig.run_ms(500);
    let mask = StreamKind::Raw.bit();
    assert_eq!(rig.command(Command::Subscribe { mask }).status, ReplyStatus::Done);
    rig.run_ms(50);
    rig.cop.samples_lost(1000);
    rig.run_ms(50);
    let chunks: Vec<StreamChunk> = rig
        .seen
        .iter()
        .filter_map(|r| if let Received::Stream { chunk, .. } = r { Some(*chunk) } else { None })
        .collect();
    let jumps: Vec<u64> = chunks
        .windows(2)
        .filter(|pair| pair[1].first == pair[0].first + u64::from(pair[0].count))
        .map(|pair| pair[1].t_samples - pair[0].t_samples - u64::from(pair[0].count))
        .filter(|&jump| jump != 0)
        .collect();
    assert_eq!(jumps, [1000]);
}

// covers: MET-053
#[test]
fn a_magnet_is_told_and_counts_nothing() {
    let energy = |magnet: bool| {
        let mut rig = Rig::fresh();
        rig.run_ms(1000);
        if magnet {
            rig.cop.board_mut().inputs |= Inputs::MAGNET;
        }
        rig.run_ms(3000);
        (rig.cop.billing().snapshot.counters, rig.events_of(EventCode::INPUTS_CHANGED).len())
    };
    let (with, without) = (energy(true), energy(false));
    assert_eq!(with.0, without.0);
    assert_eq!((with.1, without.1), (1, 0));
}
