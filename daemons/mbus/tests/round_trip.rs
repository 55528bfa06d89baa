//! What is composed decodes to what it was; what is random never panics.
#![allow(clippy::unwrap_used)] // a failed unwrap fails the test

mod common;

use mbus::compact::Formats;
use mbus::compose::{self, Protection, Wireless};
use mbus::driver::Drivers;
use mbus::frame::{Format, wireless};
use mbus::record::encode::{self, Data};
use mbus::record::{self, Coding, DateTime, Dib};
use mbus::telegram::Body;
use mbus::{Decimal, Decoder, Error, Function, Reassembler, Span, Value};
use proptest::prelude::*;

fn function() -> impl Strategy<Value = Function> {
    prop_oneof![Just(Function::Instantaneous), Just(Function::Maximum), Just(Function::Minimum), Just(Function::Error)]
}

/// A number that the coding holds. The lowest binary number stands for "no value" and is left out.
fn number() -> impl Strategy<Value = (Coding, i128)> {
    let binary = prop_oneof![Just(1u8), Just(2), Just(3), Just(4), Just(6), Just(8)].prop_flat_map(|n| {
        let limit = 1i128 << (8 * u32::from(n) - 1);
        (Just(Coding::Integer(n)), -limit + 1..limit)
    });
    let bcd = prop_oneof![Just(1u8), Just(2), Just(3), Just(4), Just(6)].prop_flat_map(|n| {
        let digits = 2 * u32::from(n);
        (Just(Coding::Bcd(n)), 1 - 10i128.pow(digits - 1)..10i128.pow(digits))
    });
    let variable = (Just(Coding::Variable), 1 - 10i128.pow(18)..10i128.pow(18));
    prop_oneof![binary, bcd, variable]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, rng_seed: proptest::test_runner::RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn numbers(
        (coding, raw) in number(), function in function(),
        storage in 0u64..1 << 41, tariff in 0u32..1 << 20, subunit in 0u16..1 << 10, exponent in 0u8..8,
    ) {
        let dib = Dib { coding, function, storage, tariff, subunit };
        let mut out = vec![];
        encode::record(&dib, &[0x10 | exponent], &Data::Integer(raw), &mut out).unwrap();
        let records = record::parse(&out, Span::new(0, out.len()));
        prop_assert_eq!(records.rest, None);
        prop_assert_eq!(records.list.len(), 1);
        let back = &records.list[0];
        prop_assert_eq!(back.dib, dib);
        prop_assert_eq!(back.number(), Some(Decimal::new(raw, i16::from(exponent) - 6)));
        prop_assert!(back.valid);
        prop_assert_eq!(back.head.end, back.data.start);
    }

    #[test]
    fn dates(year in 2000u16..2081, month in 1u8..13, day in 1u8..29, h in 0u8..24, m in 0u8..60, s in 0u8..60, kind in 0..3) {
        let (time, size, vif) = match kind {
            0 => (None, 2, 0x6C),
            1 => (Some((h, m, None)), 4, 0x6D),
            _ => (Some((h, m, Some(s))), 6, 0x6D),
        };
        let at = DateTime { date: Some((year, month, day)), time, summer: false };
        let mut out = vec![];
        encode::record(&Dib { coding: Coding::Integer(size), ..Dib::default() }, &[vif], &Data::At(at), &mut out).unwrap();
        prop_assert_eq!(&record::parse(&out, Span::new(0, out.len())).list[0].value, &Value::At(at));
    }

    #[test]
    fn texts(text in "[ -~]{0,60}") {
        let mut out = vec![];
        let dib = Dib { coding: Coding::Variable, ..Dib::default() };
        encode::record(&dib, &[0xFD, 0x0E], &Data::Text(text.clone()), &mut out).unwrap();
        prop_assert_eq!(&record::parse(&out, Span::new(0, out.len())).list[0].value, &Value::Text(text.into()));
    }

    #[test]
    fn telegrams(
        payload_size in 0usize..8, access: u8, counter in 1u32.., session in 0u32..1 << 29, communication in proptest::option::of(any::<u8>()),
        kind in 0..5, long: bool, format in 0usize..3, key: [u8; 16],
    ) {
        let payload = common::RECORDS.repeat(payload_size + 1);
        let protection = match kind {
            0 => Protection::None,
            1 => Protection::Mode5(key),
            2 => Protection::Mode7 { key, counter },
            3 => Protection::Mode10 { key, counter },
            _ => Protection::EllCtr { key, session },
        };
        let mut adapter = common::meter();
        adapter.device_type = 0x37;
        let meter = (long && kind != 4).then(common::meter);
        let address = if meter.is_some() { adapter } else { common::meter() };
        let message = Wireless { control: 0x44, address, meter, access, status: 4, communication, protection, payload: &payload };
        let frame = message.emit().unwrap();
        let format = [Format::A, Format::B, Format::Stripped][format];
        let mut air = vec![];
        wireless::emit(&frame, format, &mut air).unwrap();
        let telegram = Decoder { key: Some(key), ..Decoder::default() }.decode(&air).unwrap();
        prop_assert_eq!(telegram.records.list.len(), 4 * (payload_size + 1));
        prop_assert_eq!(telegram.address, Some(common::meter()));
        let value = telegram.records.list[0].clone();
        prop_assert_eq!(value.data.of(&telegram.bytes), &common::RECORDS[2..6]);
        prop_assert_eq!(value.number(), Some(Decimal::new(12345, 0)));
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), key: [u8; 16], plain: bool) {
        let (mut formats, drivers) = (Formats::shipped(), DRIVERS.with(std::rc::Rc::clone));
        let mut decoder = Decoder { key: Some(key), plain, formats: Some(&mut formats), ..Decoder::default() };
        if let Ok(telegram) = decoder.decode(&bytes) {
            let _ = drivers.read(&telegram, Some(&key));
        }
        let _ = Reassembler::default().push(&bytes);
        let records = record::parse(&bytes, Span::new(0, bytes.len()));
        for record in &records.list {
            prop_assert!(record.data.end as usize <= bytes.len() && record.head.start <= record.data.end);
        }
    }
}

thread_local! {
    static DRIVERS: std::rc::Rc<Drivers> = std::rc::Rc::new(Drivers::shipped().unwrap());
}

#[test]
fn mutated_telegrams_never_panic() {
    let drivers = Drivers::shipped().unwrap();
    let mut random = fastrand::Rng::with_seed(11);
    let mut seeds = vec![compose::wired(1, &common::meter(), 1, 0, &common::RECORDS).unwrap()];
    for ci in [0x72, 0x73, 0x78, 0x79, 0x7A, 0x7B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0xA0, 0xA2, 0x69, 0x70, 0x86] {
        for manufacturer in [0x2C2Du16, 0x0106, 0x5068, 0x2324, 0x4493, 0x09B4] {
            let mut frame = vec![0, 0x44];
            frame.extend(manufacturer.to_le_bytes());
            frame.extend([1, 2, 3, 4, 0x74, 0x62, ci]);
            frame.extend((0..random.usize(0..80)).map(|_| random.u8(..)));
            frame[0] = (frame.len() - 1) as u8;
            seeds.push(frame);
        }
    }
    let mut decoded = 0;
    for round in 0..60_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..random.usize(1..12) {
            let at = random.usize(11.min(bytes.len() - 1)..bytes.len());
            bytes[at] = random.u8(..);
        }
        let mut formats = Formats::shipped();
        let plain = random.bool();
        let mut decoder = Decoder { key: Some([0; 16]), plain, formats: Some(&mut formats), ..Decoder::default() };
        if let Ok(telegram) = decoder.decode(&bytes) {
            decoded += usize::from(drivers.read(&telegram, Some(&[0; 16])).is_ok());
        }
    }
    println!("60000 mutated telegrams, seed 11: {decoded} decoded, no panic");
    assert!(decoded > 1000);
}

#[test]
fn compact_frames_need_their_full_frame_once() {
    let meter = common::meter();
    let mut compact = vec![0, 0x44];
    compact.extend(meter.link_bytes());
    compact.extend([0x79]);
    compact.extend(compose::compact(&common::RECORDS).unwrap());
    compact[0] = (compact.len() - 1) as u8;
    let mut formats = Formats::default();
    let unknown = Decoder { formats: Some(&mut formats), ..Decoder::default() }.decode(&compact);
    assert!(matches!(unknown, Err(Error::UnknownFormat(_))), "{unknown:?}");
    let full = Wireless {
        control: 0x44,
        address: meter,
        meter: None,
        access: 1,
        status: 0,
        communication: None,
        protection: Protection::None,
        payload: &common::RECORDS,
    };
    let full = full.emit().unwrap();
    let full = Decoder { formats: Some(&mut formats), ..Decoder::default() }.decode(&full).unwrap();
    // Kept by the caller across a restart.
    let mut kept = formats.clone();
    let expanded = Decoder { formats: Some(&mut kept), ..Decoder::default() }.decode(&compact).unwrap();
    let values = |t: &mbus::Telegram| t.records.list.iter().map(|r| r.value.clone()).collect::<Vec<_>>();
    assert_eq!(values(&expanded), values(&full));
}

#[test]
fn fragments_become_one_message() {
    let message = Wireless {
        control: 0x44,
        address: common::meter(),
        meter: None,
        access: 1,
        status: 0,
        communication: None,
        protection: Protection::Mode7 { key: [3; 16], counter: 9 },
        payload: &common::RECORDS.repeat(4),
    };
    let whole = message.emit().unwrap();
    // L C M A, 90 AFLL FCL MCL MCR MAC, message
    let (head, afl, body) = (&whole[..11], &whole[12..27], &whole[27..]);
    let (mcl_mcr, mac) = (&afl[2..7], &afl[7..]);
    let pieces: Vec<&[u8]> = body.chunks(30).collect();
    let mut frames = vec![];
    for (n, piece) in pieces.iter().enumerate() {
        let (first, last) = (n == 0, n + 1 == pieces.len());
        let flags = u16::from(!last) << 14 | u16::from(first) << 13 | u16::from(first) << 11 | u16::from(last) << 10;
        let mut fields = (flags | (n + 1) as u16).to_le_bytes().to_vec();
        if first {
            fields.extend(mcl_mcr);
        }
        if last {
            fields.extend(mac);
        }
        let mut frame = head.to_vec();
        frame.push(fields.len() as u8);
        frame.extend(fields);
        frame.extend(*piece);
        frame[0] = (frame.len() - 1) as u8;
        frames.push(frame);
    }
    assert!(frames.len() > 2 && head[10] == 0x90);
    let mut decoder = Decoder { key: Some([3; 16]), ..Decoder::default() };
    assert!(matches!(decoder.decode(&frames[0]), Err(Error::Fragment(1))));
    let mut parts = Reassembler::default();
    for frame in &frames[..frames.len() - 1] {
        assert_eq!(parts.push(frame), Ok(None));
    }
    let joined = parts.push(&frames[frames.len() - 1]).unwrap().expect("the last one");
    let telegram = decoder.decode_message(joined).unwrap();
    assert_eq!(telegram.body, Body::Records);
    assert_eq!(telegram.records.list.len(), 16);
    // A lost fragment is noticed.
    let mut parts = Reassembler::default();
    parts.push(&frames[0]).unwrap();
    assert_eq!(parts.push(&frames[2]), Err(Error::FragmentOrder(3)));
    assert_eq!(parts.push(&frames[1]), Err(Error::FragmentOrder(2)), "what was collected is dropped");
}

#[test]
fn errors_and_alarms_are_told() {
    let mut out = vec![];
    mbus::frame::WiredFrame::Long { control: 8, address: 1, ci: 0x70, data: &[8] }.emit(&mut out).unwrap();
    assert_eq!(Decoder::default().decode(&out).unwrap().body, Body::ApplicationError(8));
    out.clear();
    mbus::frame::WiredFrame::Long { control: 8, address: 1, ci: 0x71, data: &[0x20] }.emit(&mut out).unwrap();
    assert_eq!(Decoder::default().decode(&out).unwrap().body, Body::Alarm(0x20));
}
