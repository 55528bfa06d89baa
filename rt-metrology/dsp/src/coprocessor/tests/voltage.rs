//! Power quality through the coprocessor: distortions, voltage events, spectra.

use super::*;
use crate::pq::PowerQuality;
use std::boxed::Box;

fn rig() -> Rig {
    let board = MemBoard { power_quality: Some(Box::new(PowerQuality::new())), ..MemBoard::new() };
    Rig::start(board, ResetCause::PowerOn, None)
}

#[test]
fn a_dip_is_an_event_at_its_begin_and_at_its_end() {
    let mut rig = rig();
    rig.run_ms(1000);
    rig.volts = 161.0;
    rig.run_ms(15);
    let [began] = rig.events_of(EventCode::DIP)[..] else { panic!("told within 15 ms") };
    assert_eq!((began.args[0], began.args[2]), (0b111, -1));
    rig.run_ms(85);
    rig.volts = 230.0;
    rig.run_ms(100);
    let [_, over] = rig.events_of(EventCode::DIP)[..] else { panic!("told again when it is over") };
    assert_eq!((over.phase, over.args[0], over.args[3]), (0, 0b111, began.args[3]));
    assert!((over.args[1] - 161_000).abs() < 1000, "{over:?}");
    assert!((over.args[2] - 100_000).abs() < 21_000 && (over.args[3] - 8000).abs() < 161, "{over:?}");
    assert_eq!(rig.events_of(EventCode::SWELL).len() + rig.events_of(EventCode::INTERRUPTION).len(), 0);
}

#[test]
fn swells_interruptions_and_rapid_changes_have_their_codes() {
    let mut rig = rig();
    rig.run_ms(1500);
    rig.volts = 245.0;
    rig.run_ms(1500);
    let rapid = rig.events_of(EventCode::RAPID_VOLTAGE_CHANGE);
    assert_eq!(rapid.iter().map(|e| (e.phase, e.args[0] & 0xff)).collect::<Vec<_>>(), [(1, 1), (2, 2), (3, 4)]);
    for e in &rapid {
        assert!((e.args[1] - 15_000).abs() < 300 && (e.args[0] / 256 - 15_000).abs() < 300, "{e:?}");
    }
    rig.volts = 260.0;
    rig.run_ms(200);
    rig.volts = 2.0;
    rig.run_ms(200);
    rig.volts = 230.0;
    rig.run_ms(300);
    let ended = |code| rig.events_of(code).into_iter().filter(|e| e.args[2] >= 0).count();
    assert_eq!([EventCode::SWELL, EventCode::INTERRUPTION, EventCode::DIP].map(ended), [1, 1, 1]);
}

#[test]
fn distortion_is_told_and_counted_once_per_window() {
    let mut rig = rig();
    rig.run_ms(3100);
    let billing = *rig.billings().last().unwrap();
    assert!(billing.second.valid.phase(Valid::THD, 2) && billing.second.valid.phase(Valid::THD_I, 0));
    // Counts are truncated towards zero, which bends a sine a little.
    assert!(billing.second.phase[1].thd_u_ppm < 100, "{billing:?}");
    let windows = billing.snapshot.sums.phase[0].thd_windows;
    assert!((11..=13).contains(&windows), "{windows}");

    let mut without = Rig::fresh();
    without.run_ms(2000);
    let billing = *without.billings().last().unwrap();
    assert!(!billing.second.valid.phase(Valid::THD, 0) && billing.snapshot.sums.phase[0].thd_windows == 0);
}

#[test]
fn the_measurement_is_the_same_with_and_without_it() {
    let counters = |mut rig: Rig| {
        rig.run_ms(2000);
        rig.volts = 100.0;
        rig.run_ms(1000);
        (rig.cop.metrology().cumulative().counters, rig.cop.metrology().window().phase[0].u_mv)
    };
    assert_eq!(counters(rig()), counters(Rig::fresh()));
}

#[test]
fn spectra_are_a_stream_of_every_channel() {
    let mut rig = rig();
    rig.command(Command::Subscribe { mask: StreamKind::Spectrum.bit() });
    rig.run_ms(1200);
    let chunks: Vec<StreamChunk> = rig
        .seen
        .iter()
        .filter_map(|r| match r {
            Received::Stream { chunk, .. } if chunk.kind == StreamKind::Spectrum => Some(*chunk),
            _ => None,
        })
        .collect();
    let items: Vec<&[u8]> = chunks.iter().flat_map(|c| c.bytes().chunks_exact(412)).collect();
    let channels: Vec<u8> = items.iter().take(7).map(|item| item[0]).collect();
    assert_eq!(channels, [0, 3, 1, 4, 2, 5, 6]);
    let value = |item: &[u8], n: usize| f32::from_le_bytes(item[4 + 4 * n..8 + 4 * n].try_into().unwrap());
    assert_eq!(items[0][1], 10);
    assert!((value(items[0], 1) - 230.0).abs() < 0.01 && value(items[0], 3) < 0.01);
    assert!((value(items[1], 1) - 5.0).abs() < 0.001);
}
