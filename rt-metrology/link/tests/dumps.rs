//! One page of each class as it stands on the wire, taken apart and put together.
//!
//! The dumps were packed field by field from the tables in the README, not by this crate. `hh*n` is a byte n times;
//! between the payload and the CRC behind `|` all bytes are zero.
#![allow(clippy::unwrap_used)]

use metrology_link::codec::{Message, decode_page};
use metrology_link::host::HostEnd;
use metrology_link::page::{self, Class, Header, View};
use metrology_link::payload::*;
use metrology_link::{PAGE, Page, PageError};

const IDLE: &str = "\
    4d4701 00*5 4433221105 00*4 e718 00*5 \
    | 6fad7f08";
const HELLO: &str = "\
    4d470101d10000004433221106 00*4 e718 00*5 01443322114445564943453037000102030405060708090a0b0c0d0e0f101112 \
    131415161718191a1b1c1d1e1f000100000301401f0000327f02 00*4 6a18 00*6 30b66f054406000000401f 00*4 \
    020039f36f0544060001 aa*32 030000000140c9a203 00*4 01 00*7 0c 00*7 02 00*7 0101 00*6 01 00*7 03 00*7 08 00*7 \
    02 00*8 29000000 \
    | dd5ddc13";
const BILLING: &str = "\
    4d470102590300004433221107 00*4 e718 00*6 e718 00*5 fc03 00*6 80ee36 00*5 07 00*7 01 00*7 02 00*7 03 00*7 04 \
    00*7 207538 00*5 08 00*135 80ee36 00*5 07 00*7 01 00*7 02 00*7 03 00*7 04 00*7 207538 00*5 08 00*7 fc03 00*6 \
    40b6fb0d 00*5 d3fb2f01000000e803 00*6 80ccfdc4 ff*4 00*16 8403 00*158 fc03 00*7 3ed6df0b0000000104000005 00*23 \
    09 00*7 0300000040c9a203 00*4 02 00*7 03 00*7 040000000102030405060708cc 00*8 e718 00*5 49100100d4820300404b4c00 \
    d073eeff204e0000248e110073bff0ffc844fdff 00*12 b877eefff4ffffff5901 00*110 58474c00dc050000bc020000d073ee ff*5 \
    204e 00*6 248e11 00*5 73bff0fffbf0fa022ccfffff000040000c 00*7 0101 00*6 02 00*4 6a18 00*6 30b66f054406000000401f \
    00*4 02 \
    | 0bad264a";
const EVENT: &str = "\
    4d4701034f0000004433221108 00*4 e718 00*5 02 00*7 0101 00*6 0101 00*6 44332211ffe618 00*5 \
    8338f36f054406000200000104 00*6 ff*8 00*16 \
    | 09b48e56";
const HISTORY: &str = "\
    4d4701048a0200004433221109 00*4 e718 00*5 01 00*7 0c 00*7 0c 00*7 015084c001 00*4 02 00*4 6a18 00*6 \
    30b66f054406000000401f 00*4 02 00*9 e718 00*5 fc03 00*6 80ee36 00*5 07 00*7 01 00*7 02 00*7 03 00*7 04 00*7 \
    207538 00*5 08 00*135 80ee36 00*5 07 00*7 01 00*7 02 00*7 03 00*7 04 00*7 207538 00*5 08 00*7 fc03 00*6 40b6fb0d \
    00*5 d3fb2f01000000e803 00*6 80ccfdc4 ff*4 00*16 8403 00*158 fc03 00*7 3ed6df0b0000000104000005 00*23 09 00*7 \
    0300000040c9a203 00*4 02 00*7 03 00*7 040000000102030405060708 \
    | 63be8709";
const HEADS: &str = "\
    4d47010590020000443322110a 00*4 e718 00*6 8403 00*6 11*32 01 00*40 02 00*40 03 00*40 04 00*40 05 00*40 06 \
    00*40 07 00*40 08 00*40 09 00*40 0a 00*40 0b 00*40 0c 00*40 0d 00*40 0e 00*40 0f 00*40 \
    | ea3edd14";
const STREAM: &str = "\
    4d47010628000000443322110b000000 02e718 00*5 0309020028000000e803 00*6 01e718 00*5 \
    0c000000010000ffffff020000feffff \
    | e5c3b267";
const REPLY: &str = "\
    4d47010729000000443322110c000000 02e718 00*5 2900000005 00*32 d2040000 \
    | c978de7a";
const REPORT: &str = "\
    4d4701086e000000443322110d00000002e718 00*5 03 00*7 08 00*7 08 00*7 4433221105090018e318 00*5 70e518 00*5 \
    b850f16f0544060035000101 00*6 0ce518 00*5 2a00090601c027090000c2eb0b0100018002000088ff07ff0f01100300040005 \
    00ff7fffff \
    | cdcfc2b9";
const HOST: &str = "\
    4d47011030000000443322115a 00*11 0c000000b80b01000001 00*6 0101 00*6 0d 00*7 07 00*7 08 00*7 \
    | 14c4df99";
const HOST_CONFIG: &str = "\
    4d47011078000000443322115b 00*11 0c 00*8 01 00*6 0101 00*6 0d 00*7 07 00*7 08 00*7 \
    2a00000002010202803e00003cc0d40100c0270900001bb700001bb700e80300 002d140001f0490200d0070000 \
    bc02102700008813000070170000010264005003e8031e 7f6ab928 \
    | e9b9dac7";

fn bytes(text: &str) -> Vec<u8> {
    let byte = |s: &str| u8::from_str_radix(s, 16).unwrap();
    let pairs = |s: &str| (0..s.len()).step_by(2).map(|i| byte(&s[i..i + 2])).collect::<Vec<_>>();
    let token = |t: &str| match t.split_once('*') {
        Some((hex, n)) => vec![byte(hex); n.parse().unwrap()],
        None => pairs(t),
    };
    text.split_whitespace().flat_map(token).collect()
}

fn page(dump: &str) -> Page {
    let (front, crc) = dump.split_once('|').unwrap();
    let mut page = [0; PAGE];
    let front = bytes(front);
    page[..front.len()].copy_from_slice(&front);
    page[PAGE - 4..].copy_from_slice(&bytes(crc));
    page
}

const BOOT: u32 = 0x1122_3344;

fn header(class: Class, seq: u32, t_samples: u64) -> Header {
    Header { class, flags: 0, boot_id: BOOT, seq, t_samples }
}

fn built<T: metrology_link::codec::Wire>(header: &Header, value: &T) -> Page {
    let mut page = [0xEE; PAGE];
    page::build(&mut page, header, value);
    page
}

fn grid() -> Grid {
    Grid { id: 2, anchor: 1_600_000, utc_us: 1_763_640_000_000_000, rate_q16: 8000 << 16, quality: ClockQuality::Valid }
}

fn snapshot() -> Snapshot {
    let energy = EnergySet { a_plus: 3_600_000, a_minus: 7, r: [1, 2, 3, 4], e_plus: 3_700_000, e_minus: 8 };
    let sums = PhaseSums {
        windows: 1020,
        u_mv: 234_600_000,
        i_ua: 5_100_000_000,
        pf_windows: 1000,
        pf_ppm: -990_000_000,
        thd_i_windows: 900,
        ..PhaseSums::default()
    };
    Snapshot {
        t_samples: 1_632_000,
        window: 1020,
        counters: Counters { phase: [energy, EnergySet::default(), EnergySet::default()], total: energy },
        sums: Sums {
            phase: [sums, PhaseSums::default(), PhaseSums::default()],
            f_windows: 1020,
            f_uhz: 51_000_000_000,
        },
        inputs: Inputs(Inputs::BREAKER_CLOSED | 1),
        pulses: [5, 0, 0, 9],
        boots: 3,
        down_us: 61_000_000,
        clipped_windows: 2,
        lost_samples: 3,
        suspect_windows: 4,
        config_hash: [1, 2, 3, 4, 5, 6, 7, 8],
    }
}

fn billing() -> Billing {
    let phase = PhaseSecond {
        u_mv: 230_100,
        i_ua: 5_000_000,
        p_mw: -1_150_000,
        q_mvar: 20_000,
        s_mva: 1_150_500,
        pf_ppm: -999_565,
        phi_mdeg: -179_000,
        p1_mw: -1_149_000,
        u_dc_mv: -12,
        i_dc_ua: 345,
        ..PhaseSecond::default()
    };
    let second = Second {
        number: 204,
        t_samples: 1_632_000,
        valid: Valid(Valid::U | Valid::I | Valid::PF | Valid::F | Valid::TEMPERATURE),
        phase: [phase, PhaseSecond::default(), PhaseSecond::default()],
        i_n_ua: 0,
        i_n_computed_ua: 4_999_000,
        u2_ppm: 1500,
        u0_ppm: 700,
        p_mw: -1_150_000,
        q_mvar: 20_000,
        s_mva: 1_150_500,
        pf_ppm: -999_565,
        f_uhz: 50_000_123,
        temperature_mdeg: -12_500,
        suspect: Suspect(Suspect::REVERSED),
    };
    Billing { snapshot: snapshot(), second, history_last: 12, event_last: 257, grid: grid() }
}

/// Both directions: the dump means `message`, and `value` under `header` is the dump.
fn both<T: metrology_link::codec::Wire>(dump: &str, header: Header, value: &T, message: Message) {
    assert_eq!(decode_page(&page(dump)), Ok((header, message)));
    assert!(built(&header, value) == page(dump), "the built page differs from the dump");
}

#[test]
fn idle() {
    assert_eq!(decode_page(&page(IDLE)), Ok((header(Class::Idle, 5, 1_632_000), Message::Idle)));
}

#[test]
fn hello() {
    let hello = Hello {
        protocol: 1,
        boot_id: BOOT,
        device_id: *b"DEVICE07",
        firmware_id: core::array::from_fn(|i| i as u8),
        firmware_version: 0x0000_0100,
        topology: Topology::ThreePhase,
        method: Method::PerPhase,
        rate_hz: 8000,
        f_nominal: 50,
        channels: 0x7f,
        grid: grid(),
        rtc_us: 1_763_640_004_000_000,
        rtc_quality: ClockQuality::Holdover,
        config_hash: [0xAA; 32],
        boots: 3,
        reset_cause: ResetCause::PowerOn,
        down_us: 61_000_000,
        history_first: 1,
        history_last: 12,
        event_first: 2,
        event_last: 257,
        events_lost: 1,
        report_first: 3,
        report_last: 8,
        reports_lost: 2,
        memory_reset: false,
        last_cmd: 41,
    };
    both(HELLO, header(Class::Hello, 6, 1_632_000), &hello, Message::Hello(hello));
}

#[test]
fn billing_page() {
    both(BILLING, header(Class::Billing, 7, 1_632_000), &billing(), Message::Billing(billing()));
}

#[test]
fn event() {
    let record = EventRecord {
        seq: 257,
        boot_id: BOOT,
        t_samples: 1_631_999,
        utc_us: 1_763_640_003_999_875,
        code: EventCode::INPUTS_CHANGED,
        phase: 0,
        args: [0x401, -1, 0, 0],
    };
    let ranged = Ranged { first: 2, last: 257, record };
    both(EVENT, header(Class::Event, 8, 1_632_000), &ranged, Message::Event(ranged));
}

#[test]
fn history() {
    let record = HistoryRecord {
        seq: 12,
        kind: HistoryKind::Minute,
        minute: 29_394_000,
        grid: grid(),
        old_utc_us: 0,
        snapshot: snapshot(),
    };
    let ranged = Ranged { first: 1, last: 12, record };
    both(HISTORY, header(Class::History, 9, 1_632_000), &ranged, Message::History(ranged));
}

#[test]
fn heads() {
    let mut heads: Heads = core::array::from_fn(|log| ChainHead { log: log as u8, ..ChainHead::default() });
    heads[0] = ChainHead { log: 0, seq: 900, head: [0x11; 32] };
    both(HEADS, header(Class::Heads, 10, 1_632_000), &heads, Message::Heads(heads));
}

#[test]
fn stream() {
    let mut chunk = StreamChunk {
        kind: StreamKind::Raw,
        channels: Channel::U1.bit() | Channel::I1.bit(),
        count: 2,
        subscription: 40,
        first: 1000,
        t_samples: 1_632_001,
        len: 12,
        ..StreamChunk::default()
    };
    chunk.data[..12].copy_from_slice(&[1, 0, 0, 0xff, 0xff, 0xff, 2, 0, 0, 0xfe, 0xff, 0xff]);
    both(STREAM, header(Class::Stream, 11, 1_632_002), &chunk, Message::Stream(chunk));
}

#[test]
fn reply() {
    let reply = Reply { cmd_id: 41, status: ReplyStatus::TooSoon, hash: [0; 32], detail: 1234 };
    both(REPLY, header(Class::Reply, 12, 1_632_002), &reply, Message::Reply(reply));
}

#[test]
fn report() {
    let mut wave = WavePiece {
        event: 257,
        trigger: 1_631_500,
        piece: 42,
        channels: 0b001001,
        count: 6,
        step: 1,
        u_full_scale_mv: 600_000,
        i_full_scale_ua: 200_000_000,
        ..WavePiece::default()
    };
    wave.codes[..12].copy_from_slice(&[1, 0x8001, 2, 0x8800, 2047, 0x0fff, 0x1001, 3, 4, 5, 0x7fff, 0xffff]);
    let record = ReportRecord {
        seq: 8,
        boot_id: BOOT,
        kind: ReportKind::WAVEFORM,
        flags: ReportFlags(ReportFlags::FLAGGED | ReportFlags::LAST),
        begin: 1_631_000,
        end: 1_631_600,
        utc_us: 1_763_640_003_875_000,
        ..ReportRecord::default()
    };
    let ranged = Ranged { first: 3, last: 8, record: record.with_body(&wave) };
    both(REPORT, header(Class::Report, 13, 1_632_002), &ranged, Message::Report(ranged));
    assert_eq!(ranged.record.wave(), Some(wave));
    // 2^24 is full scale: 600 V and 200 A.
    assert_eq!(wave.value(0, 2), Some((2047 * 600_000_000) >> 24));
    assert_eq!(wave.value(0, 3), Some((2 * 2049 * 600_000_000) >> 24));
    assert_eq!(wave.value(3, 1), Some((-2048 * 200_000_000) >> 24));
    assert_eq!(wave.value(3, 2), Some((4095 * 200_000_000) >> 24));
    assert_eq!(wave.value(3, 5), Some((-(4095 << 14) * 200_000_000) >> 24));
    assert_eq!((wave.value(1, 0), wave.value(0, 6), wave.value(6, 0)), (None, None, None));
}

#[test]
fn host() {
    let control = HostControl {
        last_seq: 12,
        permit_ms: 3000,
        flags: HostControl::WANT_HELLO,
        event_ack: 256,
        event_next: 257,
        history_next: 13,
        report_ack: 7,
        report_next: 8,
    };
    let header = Header { class: Class::Host, flags: 0, boot_id: BOOT, seq: 90, t_samples: 0 };
    both(HOST, header, &control, Message::Host(control, None));
}

#[test]
fn host_with_a_configuration() {
    let config = MeterConfig {
        topology: Topology::Aron,
        method: Method::Vector,
        rate_hz: 16_000,
        f_nominal: 60,
        u_nominal_mv: 120_000,
        u_full_scale_mv: 600_000,
        i_full_scale_ua: 12_000_000,
        i_n_full_scale_ua: 12_000_000,
        start_mw: 1000,
        channels: 0x2d,
        debounce_ms: 20,
        breaker: true,
        trip_mv: 150_000,
        trip_ms: 2000,
        presence_permille: 700,
        pulses: PulseConfig {
            led_per_kwh: 10_000,
            s0_per_kwh: 5000,
            i_max_ma: 6000,
            led_rests_lit: true,
            module: [
                ModuleOutput { energy: ModuleEnergy::Export, per_kwh: 100, width_ms: 80 },
                ModuleOutput { energy: ModuleEnergy::Reactive, per_kwh: 1000, width_ms: 30 },
            ],
        },
    };
    assert_eq!(config.check(), Ok(()));
    let (header, message) = decode_page(&page(HOST_CONFIG)).unwrap();
    assert_eq!(header.seq, 91);
    let Message::Host(control, command) = message else { panic!("{message:?}") };
    assert_eq!((control.last_seq, control.history_next), (12, 13));
    assert_eq!(command, Some((42, Command::WriteConfig(config, Authority::SealOpen))));
    // What a host end writes has the same bytes from the command's kind on.
    let mut host = HostEnd::new();
    let hello = Hello { boot_id: BOOT, last_cmd: 41, ..Hello::default() };
    host.receive(&built(&self::header(Class::Hello, 1, 0), &hello)).unwrap();
    host.submit(Command::WriteConfig(config, Authority::SealOpen)).unwrap();
    let mut out = [0; PAGE];
    host.emit(&mut out);
    assert!(out[72..1020] == page(HOST_CONFIG)[72..1020]);
}

#[test]
fn malformed() {
    let good = page(REPLY);
    let error = |change: &dyn Fn(&mut Page)| {
        let mut page = good;
        change(&mut page);
        let crc = page::crc32(&page[..PAGE - 4]);
        page[PAGE - 4..].copy_from_slice(&crc.to_le_bytes());
        decode_page(&page).unwrap_err()
    };
    assert_eq!(error(&|p| p[0] = 0), PageError::Magic);
    assert_eq!(error(&|p| p[2] = 2), PageError::Version(2));
    assert_eq!(error(&|p| p[3] = 9), PageError::Class(9));
    assert_eq!(error(&|p| p[4] -= 1), PageError::Length);
    assert_eq!(error(&|p| p[4] += 1), PageError::Length);
    assert_eq!(error(&|p| p[4..6].copy_from_slice(&997u16.to_le_bytes())), PageError::Length);
    assert_eq!(error(&|p| p[28] = 11), PageError::Value("reply status"));
    let mut damaged = good;
    damaged[1019] = 1;
    assert_eq!(View::new(&damaged).unwrap_err(), PageError::Crc, "the bytes behind the payload are covered too");
}
