//! Who may calibrate, and what a calibration's coefficients do.

use ed25519_dalek::{Signer, SigningKey};
use metrology_link::payload::*;

use super::{MemBoard, NOON, Rig, laboratory, sign};
use crate::coprocessor::nv;

fn calibration(ident: u32) -> Calibration {
    let mut calibration =
        Calibration { ident, device_id: *b"mem-0001", date_us: NOON, reference_mdeg: 21_500, ..Calibration::default() };
    calibration.channel[0].gain_q30 = (1 << 30) / 100 * 99;
    calibration
}

fn write(rig: &mut Rig, signed: SignedCalibration) -> (ReplyStatus, u32) {
    let reply = rig.command(Command::WriteCalibration(signed, Authority::SealOpen));
    (reply.status, reply.detail)
}

#[test]
fn only_the_laboratorys_word_about_this_device_calibrates() {
    let mut rig = Rig::fresh();
    rig.run_ms(300);
    let hash = rig.cop.hello().config_hash;
    let good = sign(calibration(7));
    let unsigned = SignedCalibration { signature: [0; 64], ..good };
    let mut changed = good;
    changed.calibration.channel[3].gain_q30 += 1;
    let mut flipped = good;
    flipped.signature[63] ^= 1;
    let other_device = sign(Calibration { device_id: *b"mem-0002", ..calibration(7) });
    let stranger = SigningKey::from_bytes(&[9; 32]);
    let strange = SignedCalibration { signature: stranger.sign(&good.calibration.signed_bytes()).to_bytes(), ..good };
    // Signed, but as something else than a calibration.
    let bare = laboratory().sign(&good.calibration.signed_bytes()[CALIBRATION_CONTEXT.len()..]).to_bytes();
    let bare = SignedCalibration { signature: bare, ..good };
    let signature = Impossible::Signature as u32;
    let cases = [
        (unsigned, signature),
        (changed, signature),
        (flipped, signature),
        (strange, signature),
        (bare, signature),
        (other_device, Impossible::Device as u32),
    ];
    for (record, reason) in cases {
        assert_eq!(write(&mut rig, record), (ReplyStatus::NotAuthorised, reason));
        assert_eq!((rig.cop.hello().config_hash, *rig.cop.calibration()), (hash, Calibration::default()));
        rig.run_ms(20);
        assert_eq!(rig.events_of(EventCode::CALIBRATION_REFUSED).last().unwrap().args, [i64::from(reason), 7, 0, 0]);
    }
    assert_eq!(rig.events_of(EventCode::CALIBRATION_REFUSED).len(), cases.len());
    let closed = rig.command(Command::WriteCalibration(good, Authority::Sealed));
    assert_eq!((closed.status, closed.detail), (ReplyStatus::NotAuthorised, 0), "the seal is asked first");
    // The control: the same record as it was signed.
    assert_eq!(write(&mut rig, good), (ReplyStatus::Done, 0));
    assert_eq!(*rig.cop.calibration(), good.calibration);
    assert_ne!(rig.cop.hello().config_hash, hash);
}

#[test]
fn a_board_that_knows_no_laboratory_refuses_all() {
    let mut rig = Rig::start(MemBoard { laboratory: None, ..MemBoard::new() }, ResetCause::PowerOn, None);
    rig.run_ms(100);
    let refused = write(&mut rig, sign(calibration(7)));
    assert_eq!(refused, (ReplyStatus::NotAuthorised, Impossible::Signature as u32));
}

#[test]
fn an_impossible_calibration_is_refused_however_well_it_is_signed() {
    let mut rig = Rig::fresh();
    rig.run_ms(100);
    let mut bad = calibration(8);
    bad.channel[6].phase_ns = 200_000;
    assert_eq!(write(&mut rig, sign(bad)), (ReplyStatus::Impossible, Impossible::Phase as u32));
    let mut bad = calibration(8);
    bad.channel[2].gain_ppb_per_k = 300_000;
    assert_eq!(write(&mut rig, sign(bad)), (ReplyStatus::Impossible, Impossible::Coefficient as u32));
    assert_eq!(*rig.cop.calibration(), Calibration::default());
}

#[test]
fn a_signed_calibration_survives_a_start_and_a_forged_memory_does_not() {
    let mut rig = Rig::fresh();
    rig.run_ms(100);
    assert_eq!(write(&mut rig, sign(calibration(7))).0, ReplyStatus::Done);
    let mut rig = rig.restart(ResetCause::PowerOn, false, 1000);
    assert_eq!(*rig.cop.calibration(), calibration(7));
    rig.run_ms(300);
    assert_eq!(rig.events_of(EventCode::CALIBRATION_REFUSED), []);

    // Another gain in the memory, with a check sum that fits.
    let mut forged = calibration(7);
    forged.channel[3].gain_q30 -= 1000;
    let record = SignedCalibration { calibration: forged, ..sign(calibration(7)) };
    let mut board = rig.cop.into_board();
    let mut pair = nv::Pair::new(nv::CONFIG_AT, nv::CONFIG_SLOT);
    let config = board.factory;
    pair.load(&board, &mut 0).unwrap();
    pair.save(&mut board, |w| {
        use metrology_link::codec::Wire;
        config.put(w);
        record.put(w);
    });
    let mut rig = Rig::start(board, ResetCause::PowerOn, None);
    assert_eq!(*rig.cop.calibration(), Calibration::default(), "what the factory left");
    rig.run_ms(300);
    let told = rig.events_of(EventCode::CALIBRATION_REFUSED);
    assert_eq!(told.last().unwrap().args, [Impossible::Signature as i64, 7, 1, 0]);
}

#[test]
fn a_configuration_keeps_the_calibration_in_force() {
    let mut rig = Rig::fresh();
    rig.run_ms(100);
    let config = MeterConfig { start_mw: 600, ..MeterConfig::default() };
    assert_eq!(rig.command(Command::WriteConfig(config, Authority::SealOpen)).status, ReplyStatus::Done);
    assert_eq!(*rig.cop.calibration(), Calibration::default(), "the factory's has no signature, and needs none");
    assert_eq!(write(&mut rig, sign(calibration(7))).0, ReplyStatus::Done);
    assert_eq!(
        rig.command(Command::WriteConfig(MeterConfig::default(), Authority::SealOpen)).status,
        ReplyStatus::Done
    );
    let rig = rig.restart(ResetCause::PowerOn, false, 1000);
    assert_eq!((rig.cop.calibration().ident, rig.cop.config().start_mw), (7, 2300));
}

#[test]
fn corrections_follow_the_temperature_between_windows() {
    let mut rig = Rig::fresh();
    rig.run_ms(100);
    let mut calibration = calibration(9);
    calibration.channel[0] = ChannelCalibration { gain_ppb_per_k: 100_000, ..ChannelCalibration::default() };
    assert_eq!(write(&mut rig, sign(calibration)).0, ReplyStatus::Done);
    rig.run_ms(3000);
    let before = rig.cop.metrology().window().phase[0].u_mv;
    assert!(before.abs_diff(230_000) < 5, "{before}");
    // 40 K more: the channel's gain has risen by 4000 ppm, so what it counts is too much by that.
    rig.cop.board_mut().temperature = Some(61_500);
    let mut values = std::vec::Vec::new();
    for _ in 0..60 {
        rig.run_ms(1000);
        values.push(rig.cop.metrology().second().phase[0].u_mv);
    }
    let expected = 230_000.0 / 1.004;
    assert!((f64::from(*values.last().unwrap()) - expected).abs() < 5.0, "{values:?}");
    assert!(values.windows(2).all(|pair| pair[1] <= pair[0]), "without overshoot: {values:?}");
    assert_eq!(
        rig.cop.metrology().second().phase[1].u_mv.abs_diff(230_000) / 5,
        0,
        "only the channel with a coefficient"
    );
    // A sensor that falls silent leaves the correction as it was.
    rig.cop.board_mut().temperature = None;
    rig.run_ms(3000);
    assert!((f64::from(rig.cop.metrology().second().phase[0].u_mv) - expected).abs() < 5.0);
}
