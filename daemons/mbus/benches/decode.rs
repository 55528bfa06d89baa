//! Telegrams per second, one thread: `cargo bench -p mbus`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mbus::compose::{Protection, Wireless};
use mbus::driver::Drivers;
use mbus::security::Key;
use mbus::{Address, Decoder, Manufacturer};

const KEY: Key = *b"sixteen byte key";

/// Eleven records, as a water meter sends: volume, date, flow, temperatures, history.
const RECORDS: &[u8] = &[
    0x0C, 0x13, 0x67, 0x45, 0x23, 0x01, 0x04, 0x6D, 0x37, 0x14, 0xC3, 0x2C, 0x4C, 0x13, 0x07, 0x92, 0x05, 0x00, 0x42,
    0x6C, 0xBF, 0x2C, 0x02, 0x3B, 0x11, 0x00, 0x02, 0x5A, 0x68, 0x00, 0x84, 0x01, 0x13, 0x02, 0x00, 0x02, 0x00, 0xC4,
    0x01, 0x13, 0x02, 0x00, 0x01, 0x00, 0x84, 0x02, 0x13, 0x02, 0x00, 0x00, 0x00, 0x02, 0xFD, 0x74, 0x87, 0x13, 0x02,
    0xFD, 0x17, 0x00, 0x00,
];

fn telegram(protection: Protection) -> Vec<u8> {
    let address =
        Address { manufacturer: Manufacturer::parse("MGT").unwrap(), id: [1, 2, 3, 4], version: 1, device_type: 7 };
    let message = Wireless {
        control: 0x44,
        address,
        meter: None,
        access: 0x2A,
        status: 0,
        communication: Some(0x20),
        protection,
        payload: RECORDS,
    };
    message.emit().unwrap()
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(1));
    for (name, protection) in [
        ("plain", Protection::None),
        ("mode 5", Protection::Mode5(KEY)),
        ("mode 7", Protection::Mode7 { key: KEY, counter: 1 }),
        ("mode 10", Protection::Mode10 { key: KEY, counter: 1 }),
        ("ell-ctr", Protection::EllCtr { key: KEY, session: 1 }),
    ] {
        let bytes = telegram(protection);
        group.bench_function(name, |b| {
            b.iter(|| {
                let telegram = Decoder { key: Some(KEY), ..Decoder::default() }.decode(black_box(&bytes)).unwrap();
                assert_eq!(telegram.records.list.len(), 11);
                telegram
            });
        });
    }
    let drivers = Drivers::shipped().unwrap();
    let telegram = Decoder::default().decode(&telegram(Protection::None)).unwrap();
    group.bench_function("names", |b| b.iter(|| drivers.read(black_box(&telegram), None).unwrap()));
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
