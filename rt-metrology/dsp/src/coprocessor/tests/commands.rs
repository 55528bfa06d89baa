//! Transactions, outputs, images, streams, resets.

use metrology_link::page;
use sha2::{Digest, Sha256};

use super::*;

#[test]
fn a_configuration_comes_into_force_with_its_hash() {
    let mut rig = Rig::fresh();
    rig.run_ms(500);
    let before = rig.cop.hello();
    let counters = rig.cop.billing().snapshot.counters;
    let config = MeterConfig { start_mw: 5000, ..MeterConfig::default() };

    let refused = rig.command(Command::WriteConfig(config, Authority::Sealed));
    assert_eq!((refused.status, refused.hash), (ReplyStatus::NotAuthorised, before.config_hash));
    let impossible = MeterConfig { rate_hz: 9000, ..config };
    let refused = rig.command(Command::WriteConfig(impossible, Authority::SealOpen));
    assert_eq!((refused.status, refused.detail), (ReplyStatus::Impossible, Impossible::Rate as u32));
    assert_eq!(rig.cop.hello().config_hash, before.config_hash, "a refused one changes nothing");
    assert!(rig.of_kind(HistoryKind::ConfigChange).is_empty());

    let done = rig.command(Command::WriteConfig(config, Authority::SealOpen));
    assert_eq!(done.status, ReplyStatus::Done);
    assert_ne!(done.hash, before.config_hash);
    assert_eq!(done.hash, rig.cop.hello().config_hash);
    rig.run_ms(500);
    let records = rig.of_kind(HistoryKind::ConfigChange);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].snapshot.config_hash, done.hash[..8]);
    assert!(rig.cop.billing().snapshot.counters.total.a_plus > counters.total.a_plus, "the counters went on");
    let hash = i64::from_be_bytes(done.hash[..8].try_into().unwrap());
    assert_eq!(rig.events_of(EventCode::CONFIG_WRITTEN)[0].args[0], hash);

    let again = rig.command(Command::WriteConfig(config, Authority::SealOpen));
    assert_eq!((again.status, again.hash), (ReplyStatus::Done, done.hash));
    rig.run_ms(50);
    assert_eq!(rig.of_kind(HistoryKind::ConfigChange).len(), 1, "the same again is no change");
    let rig = rig.restart(ResetCause::PowerOn, false, 1000);
    assert_eq!(rig.cop.hello().config_hash, done.hash);
    assert_eq!(rig.cop.config(), &config);
}

#[test]
fn a_calibration_changes_what_is_counted() {
    let mut rig = Rig::fresh();
    rig.run_ms(1500);
    let u_before = rig.cop.metrology().window().phase[0].u_mv;
    let mut calibration = Calibration { ident: 7, device_id: *b"mem-0001", ..Calibration::default() };
    calibration.channel[0].gain_q30 = (1 << 30) / 100 * 99;
    let reply = rig.command(Command::WriteCalibration(sign(calibration), Authority::SealOpen));
    assert_eq!(reply.status, ReplyStatus::Done);
    rig.run_ms(1500);
    let u = rig.cop.metrology().window().phase[0].u_mv;
    assert!(u.abs_diff(u_before / 100 * 99) < 50, "{u_before} to {u} mV");
    assert_eq!(rig.events_of(EventCode::CALIBRATION_WRITTEN)[0].args[1], 7);
    calibration.channel[6].phase_ns = 200_000;
    let refused = rig.command(Command::WriteCalibration(sign(calibration), Authority::SealOpen));
    assert_eq!((refused.status, refused.detail), (ReplyStatus::Impossible, Impossible::Phase as u32));
    assert_eq!(rig.cop.calibration().channel[6].phase_ns, 0);
}

#[test]
fn another_rate_keeps_the_time() {
    let mut rig = Rig::fresh();
    rig.run_ms(500);
    let config = MeterConfig { rate_hz: 16_000, ..MeterConfig::default() };
    assert_eq!(rig.command(Command::WriteConfig(config, Authority::SealOpen)).status, ReplyStatus::Done);
    let grid = *rig.cop.grid();
    assert_eq!(grid.rate_q16, 16_000 << 16);
    let t = rig.cop.t_samples();
    assert!((rig.cop.board().rtc.0 - grid.utc_us_at(t)).abs() < 20_000, "the samples since then count at the new rate");
}

#[test]
fn a_transaction_damaged_before_it_became_a_page_is_refused() {
    let mut rig = Rig::fresh();
    rig.run_ms(300);
    let before = rig.cop.hello().config_hash;
    let config = MeterConfig { start_mw: 9000, ..MeterConfig::default() };
    let id = rig.host.submit(Command::WriteConfig(config, Authority::SealOpen)).unwrap();
    let mut down = [0; PAGE];
    rig.host.emit(&mut down);
    // Inside of the configuration, with the page's own CRC made right again.
    down[24 + <HostControl as metrology_link::codec::Wire>::LEN + 4 + 2 + 10] ^= 1;
    let crc = page::crc32(&down[..PAGE - 4]);
    down[PAGE - 4..].copy_from_slice(&crc.to_le_bytes());
    let up = rig.cop.exchange(&down);
    rig.receive(&up);
    let up = rig.cop.exchange(&[0; PAGE]);
    rig.receive(&up);
    let Some(Received::Reply(reply)) = rig.seen.last() else { panic!("{:?}", rig.seen.last()) };
    assert_eq!((reply.cmd_id, reply.status), (id, ReplyStatus::BadCrc));
    assert_eq!(rig.cop.hello().config_hash, before);
}

fn with_breaker() -> Rig {
    let mut board = MemBoard::new();
    board.factory = MeterConfig { breaker: true, trip_mv: 285_000, trip_ms: 1000, ..MeterConfig::default() };
    board.inputs = Inputs::BREAKER_CLOSED;
    Rig::start(board, ResetCause::PowerOn, None)
}

fn drive(breaker: BreakerDrive) -> Command {
    Command::SetOutputs(Outputs { breaker, relays: 0b10, backlight: true })
}

#[test]
fn the_breaker_is_guarded() {
    let mut rig = with_breaker();
    rig.run_ms(300);
    let operations = |rig: &Rig| rig.cop.board().outputs.iter().filter(|o| o.breaker != BreakerDrive::Keep).count();
    assert_eq!(rig.command(drive(BreakerDrive::Open)).status, ReplyStatus::Done);
    assert_eq!(rig.cop.board().inputs & Inputs::BREAKER_CLOSED, 0);
    let soon = rig.command(drive(BreakerDrive::Close));
    assert_eq!(soon.status, ReplyStatus::TooSoon);
    assert!((4900..=5000).contains(&soon.detail), "{}", soon.detail);
    assert_eq!(operations(&rig), 1);
    // The interval holds over a restart.
    let mut rig = rig.restart(ResetCause::Warm, true, 1_000_000);
    rig.run_ms(100);
    assert_eq!(rig.command(drive(BreakerDrive::Close)).status, ReplyStatus::TooSoon);
    rig.run_ms(4500);
    assert_eq!(rig.command(drive(BreakerDrive::Close)).status, ReplyStatus::NoPermit);
    rig.host.set_permit(300);
    assert_eq!(rig.command(drive(BreakerDrive::Close)).status, ReplyStatus::Done);
    assert_eq!(operations(&rig), 2);
    rig.run_ms(700);
    assert_eq!(rig.events_of(EventCode::BREAKER_OPENED).len(), 1);
    assert_eq!(rig.events_of(EventCode::BREAKER_CLOSED).len(), 1);
    assert_eq!(rig.events_of(EventCode::BREAKER_REFUSED).len(), 3);
    assert!(rig.events_of(EventCode::BREAKER_FEEDBACK_WRONG).is_empty());
    let kept = rig.cop.board().outputs.last().unwrap();
    assert_eq!((kept.relays, kept.backlight), (0b10, true));
    let rig = rig.restart(ResetCause::Warm, true, 0);
    let kept = rig.cop.board().outputs.last().unwrap();
    assert_eq!((kept.breaker, kept.relays), (BreakerDrive::Keep, 0b10), "a start drives relays, never the breaker");
}

#[test]
fn a_stuck_contact_is_told() {
    let mut rig = with_breaker();
    rig.cop.board_mut().follows = false;
    rig.run_ms(300);
    assert_eq!(rig.command(drive(BreakerDrive::Open)).status, ReplyStatus::Done);
    rig.run_ms(400);
    assert!(rig.events_of(EventCode::BREAKER_FEEDBACK_WRONG).is_empty(), "it has 500 ms");
    rig.run_ms(150);
    assert_eq!(rig.events_of(EventCode::BREAKER_FEEDBACK_WRONG)[0].args[..2], [0, 1]);
}

#[test]
fn overvoltage_opens_without_linux() {
    let mut rig = with_breaker();
    rig.run_ms(1000);
    rig.linked = false;
    rig.volts = 290.0;
    rig.run_ms(900);
    assert_ne!(rig.cop.board().inputs & Inputs::BREAKER_CLOSED, 0, "not yet");
    rig.run_ms(600);
    assert_eq!(rig.cop.board().inputs & Inputs::BREAKER_CLOSED, 0);
    rig.linked = true;
    rig.run_ms(100);
    let trip = rig.events_of(EventCode::OVERVOLTAGE_TRIP)[0];
    assert!((1..=3).contains(&trip.phase) && (285_000..295_000).contains(&trip.args[0]), "{trip:?}");
    assert_eq!(rig.events_of(EventCode::BREAKER_OPENED)[0].args[0], 1);
}

fn block(id: u32, image: &[u8], offset: usize, len: usize) -> ImageBlock {
    let mut data = [0; IMAGE_BLOCK];
    data[..len].copy_from_slice(&image[offset..offset + len]);
    ImageBlock { id, total: image.len() as u32, offset: offset as u32, len: len as u16, data }
}

#[test]
fn an_image_is_staged_in_order() {
    let mut rig = Rig::fresh();
    rig.run_ms(100);
    let image: Vec<u8> = (0..1100u32).map(|n| (n * 7 % 251) as u8).collect();
    let send = |rig: &mut Rig, b: ImageBlock| rig.command(Command::Image(b));
    let early = send(&mut rig, block(5, &image, 512, 512));
    assert_eq!((early.status, early.detail), (ReplyStatus::OutOfOrder, 0));
    let first = send(&mut rig, block(5, &image, 0, 512));
    assert_eq!((first.status, first.detail), (ReplyStatus::Done, 512));
    assert_eq!(first.hash, <[u8; 32]>::from(Sha256::digest(&image[..512])));
    let skipped = send(&mut rig, block(5, &image, 1024, 76));
    assert_eq!((skipped.status, skipped.detail), (ReplyStatus::OutOfOrder, 512));
    let other = send(&mut rig, block(6, &image, 512, 512));
    assert_eq!((other.status, other.detail), (ReplyStatus::OutOfOrder, 0));
    assert_eq!(send(&mut rig, block(5, &image, 512, 512)).detail, 1024);
    let mut long = block(5, &image, 1024, 76);
    long.len = 77;
    assert_eq!(send(&mut rig, long).status, ReplyStatus::Impossible);
    let last = send(&mut rig, block(5, &image, 1024, 76));
    assert_eq!((last.status, last.detail), (ReplyStatus::Done, 1100));
    assert_eq!(last.hash, <[u8; 32]>::from(Sha256::digest(&image)));
    assert_eq!(rig.cop.board().nv[NV_BYTES..NV_BYTES + 1100], image[..]);
    rig.run_ms(20);
    assert_eq!(rig.events_of(EventCode::IMAGE_STAGED)[0].args[..2], [5, 1100]);
    let huge = ImageBlock { total: IMAGE_ROOM as u32 + 1, ..block(7, &image, 0, 512) };
    let refused = send(&mut rig, huge);
    assert_eq!((refused.status, refused.detail), (ReplyStatus::TooLarge, IMAGE_ROOM as u32));
}

#[test]
fn a_command_is_not_carried_out_again_after_a_reset() {
    let mut rig = Rig::fresh();
    rig.run_ms(100);
    rig.linked = false;
    let frame = LcdFrame { value: *b"       12.34", ..LcdFrame::default() };
    let id = rig.host.submit(Command::Lcd(frame)).unwrap();
    let mut down = [0; PAGE];
    rig.host.emit(&mut down);
    rig.cop.exchange(&down);
    assert_eq!(rig.cop.board().frames, [frame]);
    // The reply dies with the boot.
    let mut rig = rig.restart(ResetCause::Watchdog, false, 10_000);
    rig.linked = true;
    rig.run_ms(50);
    let replies = |r: &&Received| matches!(r, Received::Reply(r) if r.cmd_id == id && r.status == ReplyStatus::Done);
    assert_eq!(rig.seen.iter().filter(replies).count(), 1);
    assert_eq!(rig.cop.board().frames.len(), 1);
}

#[test]
fn a_reset_is_answered_first() {
    let mut rig = Rig::fresh();
    rig.run_ms(1100);
    let before = rig.cop.billing().snapshot.window;
    assert_eq!(rig.command(Command::Reset { warm: true }).status, ReplyStatus::Done);
    assert_eq!(rig.cop.board().resets, [true]);
    assert!(rig.cop.billing().snapshot.window > before, "the open window was closed");
    let mut rig = rig.restart(ResetCause::Requested, true, 5000);
    rig.run_ms(100);
    assert_eq!(rig.cop.board().resets.len(), 1);
    assert_eq!(rig.hellos().last().unwrap().reset_cause, ResetCause::Requested);
}

#[test]
fn heads_survive() {
    let mut rig = Rig::fresh();
    rig.run_ms(50);
    for seq in 1..=3 {
        let head = ChainHead { log: 15, seq, head: [seq as u8; 32] };
        let reply = rig.command(Command::StoreHead(head));
        assert_eq!((reply.status, reply.hash), (ReplyStatus::Done, head.head));
    }
    let wrong = ChainHead { log: 16, ..ChainHead::default() };
    assert_eq!(rig.command(Command::StoreHead(wrong)).status, ReplyStatus::Impossible);
    let mut rig = rig.restart(ResetCause::PowerOn, false, 1000);
    rig.run_ms(50);
    assert_eq!(rig.command(Command::ReadHeads).status, ReplyStatus::Done);
    let heads = rig.seen.iter().find_map(|r| if let Received::Heads(h) = r { Some(*h) } else { None }).unwrap();
    assert_eq!(heads[15], ChainHead { log: 15, seq: 3, head: [3; 32] });
    assert_eq!(heads[4], ChainHead { log: 4, ..ChainHead::default() });
}

#[test]
fn streams_flow_and_losses_are_counted() {
    let mut rig = Rig::fresh();
    rig.run_ms(500);
    let mask = StreamKind::Raw.bit() | StreamKind::HalfCycleRms.bit() | StreamKind::Window200ms.bit();
    rig.command(Command::Subscribe { mask });
    rig.seen.clear();
    rig.run_ms(1000);
    let items = |rig: &Rig, kind| {
        let counts = rig.seen.iter().filter_map(|r| match r {
            Received::Stream { lost, chunk } if chunk.kind == kind => Some((u64::from(chunk.count), *lost)),
            _ => None,
        });
        counts.fold((0, 0), |sum, c| (sum.0 + c.0, sum.1 + c.1))
    };
    let (raw, lost) = items(&rig, StreamKind::Raw);
    assert!(raw > RATE - 100 && lost == 0, "{raw} {lost}");
    let (halves, lost) = items(&rig, StreamKind::HalfCycleRms);
    assert!((75..=100).contains(&halves) && lost == 0, "{halves} {lost}");
    let (windows, lost) = items(&rig, StreamKind::Window200ms);
    assert!((4..=5).contains(&windows) && lost == 0, "{windows} {lost}");
    let u = rig.seen.iter().find_map(|r| match r {
        Received::Stream { chunk, .. } if chunk.kind == StreamKind::HalfCycleRms => {
            Some(u32::from_le_bytes(chunk.bytes()[..4].try_into().unwrap()))
        }
        _ => None,
    });
    assert!(u.unwrap().abs_diff(230_000) < 500, "{u:?}");
    // Linux is away for 300 ms: what did not fit is counted.
    rig.linked = false;
    rig.run_ms(300);
    rig.linked = true;
    rig.run_ms(50);
    let (_, lost) = items(&rig, StreamKind::Raw);
    assert!((2000..2500).contains(&lost), "{lost} of 2400");
}

#[test]
fn the_back_up_list_is_shown_when_linux_is_silent() {
    let mut rig = Rig::fresh();
    rig.run_ms(50);
    for slot in 1..=2 {
        let frame = LcdFrame { slot, symbols: u64::from(slot), ..LcdFrame::default() };
        assert_eq!(rig.command(Command::Lcd(frame)).status, ReplyStatus::Done);
    }
    let wrong = LcdFrame { slot: 9, ..LcdFrame::default() };
    assert_eq!(rig.command(Command::Lcd(wrong)).status, ReplyStatus::Impossible);
    let press = |rig: &mut Rig| {
        rig.cop.board_mut().inputs |= Inputs::BUTTON_LEFT;
        rig.run_ms(250);
        rig.cop.board_mut().inputs &= !Inputs::BUTTON_LEFT;
        rig.run_ms(250);
    };
    press(&mut rig);
    assert!(rig.cop.board().frames.is_empty(), "Linux shows something itself");
    rig.linked = false;
    rig.run_ms(10_500);
    for _ in 0..3 {
        press(&mut rig);
    }
    let shown: Vec<u64> = rig.cop.board().frames.iter().map(|f| f.symbols).collect();
    assert_eq!(shown, [1, 2, 1]);
}
