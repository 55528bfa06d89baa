//! Waveforms around events.

use super::*;
use crate::design::BASE_DELAY;

/// The pieces of each waveform, by its first piece.
fn waveforms(rig: &Rig) -> Vec<Vec<(ReportRecord, WavePiece)>> {
    let mut all: Vec<Vec<(ReportRecord, WavePiece)>> = Vec::new();
    for record in rig.reports_of(ReportKind::WAVEFORM) {
        let piece = record.wave().unwrap();
        if piece.piece == 0 {
            all.push(Vec::new());
        }
        all.last_mut().unwrap().push((record, piece));
    }
    all
}

/// Pieces follow each other without a gap, only the last one says so, and all belong together; a number that was not
/// known at the begin comes later. Gives begin and end.
fn whole(pieces: &[(ReportRecord, WavePiece)]) -> (u64, u64) {
    for (n, (record, piece)) in pieces.iter().enumerate() {
        assert_eq!(usize::from(piece.piece), n);
        assert_eq!(record.flags.has(ReportFlags::LAST), n + 1 == pieces.len(), "piece {n}");
        assert!(!record.flags.has(ReportFlags::INCOMPLETE));
        assert!(n == 0 || [0, piece.event].contains(&pieces[n - 1].1.event));
        assert_eq!(piece.trigger, pieces[0].1.trigger);
        assert_eq!(record.end - record.begin, u64::from(piece.count) * u64::from(piece.step));
        assert!(n == 0 || pieces[n - 1].0.end == record.begin, "without a gap");
    }
    (pieces[0].0.begin, pieces[pieces.len() - 1].0.end)
}

#[test]
fn a_dip_has_ten_cycles_before_it_and_ten_after_it() {
    let mut rig = Rig::watching(MemBoard::new());
    rig.run_ms(1000);
    rig.volts = 161.0;
    rig.run_ms(60);
    rig.volts = 230.0;
    rig.run_ms(500);
    let all = waveforms(&rig);
    assert_eq!(all.len(), 1, "begin and end in one");
    let (begin, end) = whole(&all[0]);
    let [began, over] = rig.events_of(EventCode::DIP)[..] else { panic!("begin and end") };
    let first = &all[0][0].1;
    assert_eq!((first.event, first.trigger as i64), (began.seq, began.args[3]));
    let cycle = RATE / 50;
    assert!(began.args[3] as u64 - begin >= 10 * cycle, "{} samples before", began.args[3] as u64 - begin);
    let over_at = (over.args[3] + over.args[2] * RATE as i64 / 1_000_000) as u64;
    assert!(end - over_at >= 10 * cycle && end - begin >= 23 * cycle, "{} after", end - over_at);
    assert_eq!((first.channels, first.count), (0b11_1111, 75));
    // Each sample of each channel is what stood at the terminals then.
    let mut worst = (0.0_f64, 0.0_f64);
    for (record, piece) in &all[0] {
        for n in 0..usize::from(piece.count) {
            let t = record.begin + n as u64;
            let rms = if (8000..8000 + 480).contains(&t) { 161.0 } else { 230.0 };
            let angle = (t % cycle) as f64 / cycle as f64 * std::f64::consts::TAU;
            for k in 0..6 {
                let shifted = (angle - (k % 3) as f64 * std::f64::consts::TAU / 3.0).sin() * std::f64::consts::SQRT_2;
                let value = piece.value(k, n).unwrap() as f64 / 1e6;
                // Samples beside a step belong to either side, by the naming of sample clocks.
                if t.abs_diff(8000) > 2 && t.abs_diff(8480) > 2 {
                    let off = if k < 3 { value - shifted * rms } else { value - shifted * 5.0 };
                    let worst = if k < 3 { &mut worst.0 } else { &mut worst.1 };
                    *worst = worst.max(off.abs());
                }
            }
        }
    }
    // The code rounds by 2^-12; one tick of the clock would be 0.04 of the amplitude.
    std::println!("worst sample: {:.3} V, {:.4} A; engine delay {BASE_DELAY} samples taken out", worst.0, worst.1);
    assert!(worst.0 < 0.1 && worst.1 < 0.003, "{worst:?}");
}

#[test]
fn a_swell_and_the_end_of_a_long_dip_have_their_own() {
    let mut rig = Rig::watching(MemBoard::new());
    rig.run_ms(1000);
    rig.volts = 120.0;
    rig.run_ms(2000);
    rig.volts = 230.0;
    rig.run_ms(1000);
    rig.volts = 265.0;
    rig.run_ms(1000);
    let all = waveforms(&rig);
    let ranges: Vec<_> = all.iter().map(|w| whole(w)).collect();
    let events: Vec<u64> = all.iter().map(|w| w[w.len() - 1].1.event).collect();
    let dips = rig.events_of(EventCode::DIP);
    let swells = rig.events_of(EventCode::SWELL);
    assert_eq!(events, [dips[0].seq, dips[1].seq, swells[0].seq]);
    // Around the begin, around the end, around the begin.
    let near = |(begin, end): (u64, u64), t: u64| begin + 1600 <= t && t + 1600 <= end;
    assert!(near(ranges[0], 8000) && near(ranges[1], 24_000) && near(ranges[2], 32_000), "{ranges:?}");
}

#[test]
fn a_rapid_change_is_captured_when_it_begins_and_found_by_its_begin() {
    let mut rig = Rig::watching(MemBoard::new());
    rig.run_ms(2000);
    rig.volts = 215.0;
    rig.run_ms(2000);
    let event = rig.events_of(EventCode::RAPID_VOLTAGE_CHANGE)[0];
    let all = waveforms(&rig);
    assert_eq!(all.len(), 1);
    let (begin, end) = whole(&all[0]);
    assert_eq!((all[0][0].1.event, all[0][0].1.trigger as i64), (0, event.args[3]));
    assert!(begin + 1600 <= 16_000 && 16_000 + 1600 <= end);
}

#[test]
fn what_linux_has_not_got_is_not_overwritten_by_waveforms() {
    let mut rig = Rig::watching(MemBoard::new());
    rig.linked = false;
    rig.run_ms(1000);
    for _ in 0..10 {
        rig.volts = 100.0;
        rig.run_ms(100);
        rig.volts = 230.0;
        rig.run_ms(900);
    }
    let hello = rig.cop.hello();
    assert!(hello.report_last <= 160 && hello.reports_lost == 0, "{}", hello.report_last);
    assert!(hello.report_last > 96);
    let refused = rig.cop.app.reports.waveforms_refused;
    assert!(refused >= 12, "begin and end of the dips without: {refused}");
    rig.linked = true;
    rig.run_ms(1000);
    let all = waveforms(&rig);
    for pieces in &all {
        whole(pieces);
    }
    assert!((2..=4).contains(&all.len()), "{}", all.len());
    // Now there is room again.
    rig.volts = 100.0;
    rig.run_ms(500);
    assert_eq!(waveforms(&rig).len(), all.len() + 1);
    assert_eq!(rig.cop.app.reports.waveforms_refused, refused);
}

#[test]
fn two_elements_have_four_channels() {
    let mut board = MemBoard::new();
    board.factory = MeterConfig { topology: Topology::Aron, method: Method::Vector, ..board.factory };
    let mut rig = Rig::watching(board);
    rig.run_ms(1000);
    rig.volts = 100.0;
    rig.run_ms(1000);
    let all = waveforms(&rig);
    whole(&all[0]);
    let piece = &all[0][0].1;
    assert_eq!((piece.channels, piece.count), (0b10_1101, 112));
    assert!(piece.value(1, 0).is_none() && piece.value(5, 111).is_some() && piece.value(5, 112).is_none());
}
