//! Every payload survives encoding, and no bytes whatever make the decoders panic or accept what the CRC forbids.
#![allow(clippy::unwrap_used)]

mod common;

use common::Gen;
use metrology_link::codec::{Wire, decode, decode_page, encode};
use metrology_link::device::DeviceEnd;
use metrology_link::host::HostEnd;
use metrology_link::page::{self, Class, HEADER, Header, PAYLOAD, View};
use metrology_link::payload::*;
use metrology_link::stream::PageReader;
use metrology_link::{PAGE, Page, PageError};
use proptest::prelude::*;

/// CRC-32 bit by bit, to check the table-driven one against.
fn crc32_by_bits(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 != 0 { c >> 1 ^ 0xEDB8_8320 } else { c >> 1 })
    })
}

fn crc_is_right(page: &Page) -> bool {
    page[PAGE - 4..] == crc32_by_bits(&page[..PAGE - 4]).to_le_bytes()
}

fn round_trip<T: Wire + PartialEq + core::fmt::Debug>(value: &T) {
    let mut bytes = [0; PAYLOAD];
    let len = encode(value, &mut bytes);
    assert!(len > 0 && len <= T::LEN, "{len} of {}", T::LEN);
    assert_eq!(decode::<T>(&bytes[..len]).as_ref(), Ok(value));
    assert_eq!(decode::<T>(&bytes[..len - 1]), Err(PageError::Length), "one byte less");
    assert_eq!(decode::<T>(&bytes[..len + 1]), Err(PageError::Length), "one byte more");
    assert_eq!(encode(value, &mut bytes[..len - 1]), 0, "no room");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn payloads_survive(seed: u64) {
        let mut g = Gen(seed);
        round_trip(&g.hello());
        round_trip(&g.billing());
        round_trip(&Ranged { first: g.u64(), last: g.u64(), record: g.event() });
        round_trip(&Ranged { first: g.u64(), last: g.u64(), record: g.history() });
        round_trip(&Ranged { first: g.u64(), last: g.u64(), record: g.report() });
        round_trip(&g.interval());
        round_trip(&g.harmonics());
        round_trip(&g.wave());
        let heads: Heads = core::array::from_fn(|_| g.head());
        round_trip(&heads);
        round_trip(&g.reply());
        round_trip(&g.control());
        round_trip(&g.config());
        round_trip(&g.calibration());
        // Their length stands inside, so one byte less is a length error as well.
        let chunk = g.chunk();
        round_trip(&StreamChunk { len: chunk.len.min(900), ..chunk_cut(chunk, 900) });
    }

    #[test]
    fn commands_survive(seed: u64) {
        let mut g = Gen(seed);
        let command = g.command();
        let mut bytes = [0; PAYLOAD];
        let len = encode(&command, &mut bytes);
        prop_assert!(len <= Command::LEN);
        prop_assert_eq!(decode::<Command>(&bytes[..len]), Ok(command));
    }

    #[test]
    fn arbitrary_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), PAGE)) {
        let page: Page = bytes.try_into().unwrap();
        prop_assert!(View::new(&page).is_err() || crc_is_right(&page));
        take_everywhere(&page);
    }

    #[test]
    fn arbitrary_payloads_behind_a_good_crc_do_no_harm(
        payload in proptest::collection::vec(any::<u8>(), PAYLOAD),
        class in prop_oneof![0u8..9, Just(16), any::<u8>()],
        len in prop_oneof![0u16..1100, any::<u16>()],
        boot: u32, seq: u32,
    ) {
        let page = sealed(class, len, boot, seq, &payload);
        prop_assert!(crc_is_right(&page));
        take_everywhere(&page);
    }

    #[test]
    fn damaged_pages_are_refused(seed: u64, flips in proptest::collection::btree_set(0..PAGE * 8, 1..40)) {
        let mut page = [0; PAGE];
        page::build(&mut page, &header(Class::Billing), &Gen(seed).billing());
        prop_assert!(View::new(&page).is_ok());
        for bit in &flips {
            page[bit / 8] ^= 1 << (bit % 8);
        }
        prop_assert!(!crc_is_right(&page), "40 flips that CRC-32 misses: 1 in 4e9");
        prop_assert!(matches!(View::new(&page), Err(PageError::Crc | PageError::Magic | PageError::Version(_))));
    }

    #[test]
    fn a_reader_takes_any_bytes(bytes in proptest::collection::vec(prop_oneof![Just(0x4Du8), Just(0x47), Just(0xD7), any::<u8>()], 0..5000)) {
        let mut reader = PageReader::new();
        let mut rest = &bytes[..];
        let mut pages = 0;
        while reader.push(&mut rest).is_some() {
            pages += 1;
        }
        prop_assert!(rest.is_empty() && pages <= 5000);
    }
}

fn chunk_cut(mut chunk: StreamChunk, len: u16) -> StreamChunk {
    chunk.data[usize::from(len)..].fill(0);
    chunk
}

fn header(class: Class) -> Header {
    Header { class, flags: 0, boot_id: 7, seq: 1, t_samples: 0 }
}

/// A page with any class and length but a right CRC.
fn sealed(class: u8, len: u16, boot: u32, seq: u32, payload: &[u8]) -> Page {
    let mut page = [0; PAGE];
    page[..4].copy_from_slice(&[0x4D, 0x47, 1, class]);
    page[4..6].copy_from_slice(&len.to_le_bytes());
    page[8..12].copy_from_slice(&boot.to_le_bytes());
    page[12..16].copy_from_slice(&seq.to_le_bytes());
    page[HEADER..PAGE - 4].copy_from_slice(payload);
    let crc = crc32_by_bits(&page[..PAGE - 4]);
    page[PAGE - 4..].copy_from_slice(&crc.to_le_bytes());
    page
}

/// Fresh ends, and ends in the midst of their work, take the page without a panic and go on.
fn take_everywhere(page: &Page) {
    let _ = decode_page(page);
    let _ = metrology_link::capture::summary(page);
    let _ = metrology_link::capture::details(page);
    let mut host = HostEnd::new();
    let _ = host.receive(page);
    let boot = u32::from_le_bytes(page[8..12].try_into().unwrap());
    let mut hello = [0; PAGE];
    let h = Header { class: Class::Hello, flags: 0, boot_id: boot.max(1), seq: 1, t_samples: 0 };
    page::build(&mut hello, &h, &Hello { boot_id: boot.max(1), ..Hello::default() });
    let mut host = HostEnd::new();
    host.submit(Command::ReadHeads).unwrap();
    assert!(host.receive(&hello).is_ok());
    let mut out = [0; PAGE];
    host.emit(&mut out);
    let _ = host.receive(page);
    let _ = host.receive(page);
    host.emit(&mut out);
    assert!(View::new(&out).is_ok());
    for boot in [boot, 1] {
        let mut device = DeviceEnd::new(boot);
        let _ = device.receive(page);
        let _ = device.receive(page);
    }
}

const _: () = assert!(Billing::LEN <= PAYLOAD && Heads::LEN <= PAYLOAD && StreamChunk::LEN <= PAYLOAD);
const _: () = assert!(Hello::LEN <= PAYLOAD && Ranged::<HistoryRecord>::LEN <= PAYLOAD);
const _: () = assert!(Ranged::<ReportRecord>::LEN <= PAYLOAD);
const _: () = assert!(HostControl::LEN + 4 + Command::LEN <= PAYLOAD);

#[test]
fn a_transaction_with_a_wrong_crc_is_told_from_a_malformed_one() {
    let mut bytes = [0; 200];
    let len = encode(&Command::WriteConfig(MeterConfig::default(), Authority::SealOpen), &mut bytes);
    bytes[10] ^= 1;
    assert_eq!(decode::<Command>(&bytes[..len]), Err(PageError::Transaction));
    bytes[10] ^= 1;
    bytes[1] = 9;
    assert_eq!(decode::<Command>(&bytes[..len]), Err(PageError::Value("authority")));
    bytes[0] = 77;
    assert_eq!(decode::<Command>(&bytes[..len]), Err(PageError::Value("command kind")));
}

#[test]
fn defaults_are_possible_and_each_limit_is_kept() {
    let good = MeterConfig::default();
    assert_eq!(good.check(), Ok(()));
    let bad = [
        (MeterConfig { rate_hz: 7999, ..good }, Impossible::Rate),
        (MeterConfig { f_nominal: 55, ..good }, Impossible::Frequency),
        (MeterConfig { u_nominal_mv: 9_999, ..good }, Impossible::Nominal),
        (MeterConfig { u_full_scale_mv: 220_000, ..good }, Impossible::Nominal),
        (MeterConfig { i_full_scale_ua: 0, ..good }, Impossible::FullScale),
        (MeterConfig { u_full_scale_mv: u32::MAX, ..good }, Impossible::FullScale),
        (MeterConfig { start_mw: 100_001, ..good }, Impossible::Start),
        (MeterConfig { channels: 0x80 | 0x7f, ..good }, Impossible::Channels),
        (MeterConfig { channels: 0, ..good }, Impossible::Channels),
        (MeterConfig { debounce_ms: 10_001, ..good }, Impossible::Debounce),
        (MeterConfig { topology: Topology::Aron, ..good }, Impossible::Method),
        (MeterConfig { trip_mv: 285_000, ..good }, Impossible::Trip),
        (MeterConfig { trip_mv: 200_000, breaker: true, ..good }, Impossible::Trip),
        (MeterConfig { trip_ms: 3_600_001, ..good }, Impossible::Trip),
        (MeterConfig { presence_permille: 901, ..good }, Impossible::Presence),
        (MeterConfig { pulses: PulseConfig { s0_per_kwh: 2000, ..good.pulses }, ..good }, Impossible::PulseConstant),
        (MeterConfig { pulses: PulseConfig { i_max_ma: 200_000, ..good.pulses }, ..good }, Impossible::LedRate),
    ];
    for (config, reason) in bad {
        assert_eq!(config.check(), Err(reason), "{config:?}");
    }
    assert_eq!(Calibration::default().check(), Ok(()));
    for (change, reason) in [
        (ChannelCalibration { gain_q30: (1 << 29) - 1, ..Default::default() }, Impossible::Gain),
        (ChannelCalibration { gain_q30: -(1 << 30), ..Default::default() }, Impossible::Gain),
        (ChannelCalibration { offset: -(1 << 20) - 1, ..Default::default() }, Impossible::Offset),
        (ChannelCalibration { phase_ns: 100_001, ..Default::default() }, Impossible::Phase),
        (ChannelCalibration { gain_ppb_per_k: -200_001, ..Default::default() }, Impossible::Coefficient),
        (ChannelCalibration { gain_ppt_per_k2: 1_000_001, ..Default::default() }, Impossible::Coefficient),
        (ChannelCalibration { offset_mcount_per_k: i32::MIN, ..Default::default() }, Impossible::Coefficient),
        (ChannelCalibration { phase_ps_per_k: 100_001, ..Default::default() }, Impossible::Coefficient),
        (ChannelCalibration { ageing_ppb_per_year: -1_000_001, ..Default::default() }, Impossible::Coefficient),
    ] {
        let mut calibration = Calibration::default();
        calibration.channel[6] = change;
        assert_eq!(calibration.check(), Err(reason));
    }
}
