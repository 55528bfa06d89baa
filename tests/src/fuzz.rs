//! What is fuzzed: every decoder that reads bytes from outside of this process. Each function takes anything and must
//! neither panic nor loop; where there is a promise beyond that, it is asserted.
//!
//! Shared by the fuzz targets (`tests/fuzz`, which include this file) and by the test that replays the corpora.

use meter_core::Durable;
use metrology_link::codec::decode_page;
use metrology_link::device::DeviceEnd;
use metrology_link::host::HostEnd;
use metrology_link::page::crc32;
use metrology_link::stream::PageReader;
use metrology_link::{PAGE, Page, capture};
use metrology_sim::scenario::Scenario;

/// Takes any bytes.
pub type Target = fn(&[u8]);

/// The targets by name, as in `tests/fuzz/fuzz_targets` and `tests/fuzz/corpus`.
pub const TARGETS: [(&str, Target); 7] = [
    ("page", page),
    ("link_page", link_page),
    ("stream", stream),
    ("capture", captured),
    ("scenario", scenario),
    ("durable", durable),
    ("telegram", telegram),
];

/// A page of either direction with a right magic, version and CRC: everything behind those checks.
pub fn page(data: &[u8]) {
    let mut page = [0; PAGE];
    let n = data.len().min(PAGE - 4);
    page[..n].copy_from_slice(&data[..n]);
    // As it came: refused by the first check that fails.
    let _ = decode_page(&page);
    page[..2].copy_from_slice(&metrology_link::page::MAGIC.to_le_bytes());
    page[2] = metrology_link::page::VERSION;
    let crc = crc32(&page[..PAGE - 4]);
    page[PAGE - 4..].copy_from_slice(&crc.to_le_bytes());
    let decoded = decode_page(&page);
    assert!(!capture::summary(&page).is_empty() && !capture::details(&page).is_empty());
    let mut device = DeviceEnd::new(7);
    let mut host = HostEnd::new();
    // The device answers a command that it cannot read, so it takes more pages than decode.
    let _ = device.receive(&page);
    assert!(host.receive(&page).is_err() || decoded.is_ok(), "the host believed what no decoder accepts");
    // Whatever was in it, the host still says something that a device can read.
    let mut answer: Page = [0; PAGE];
    host.emit(&mut answer);
    assert!(decode_page(&answer).is_ok());
}

/// A conversation that has begun: both ends know each other, and each piece of the input (direction, length, bytes) is
/// a page of the right boot with the next number. What it holds is carried out by a whole coprocessor, or believed by
/// the host. Afterwards the two still understand each other.
pub fn link_page(data: &[u8]) {
    let scenario = Scenario::load("quiet").expect("built in");
    let meter_type = metrology_sim::MeterType::default();
    let world = metrology_sim::WorldOptions { meter_type, scenario, waveform: None, seed: 1 };
    let mut device = metrology_sim::InProcess::new(&world, 1_795_176_000_000_000).expect("a plain world");
    let mut host = HostEnd::new();
    let mut down: Page = [0; PAGE];
    let exchange = |device: &mut metrology_sim::InProcess, host: &mut HostEnd, down: &mut Page| {
        host.emit(down);
        device.exchange(down).is_some_and(|up| host.receive(&up).is_ok())
    };
    for _ in 0..3 {
        exchange(&mut device, &mut host, &mut down);
    }
    let (mut rest, mut seq) = (data, 1000u32);
    // Each piece takes at least three bytes, so this ends; 64 pieces are a conversation.
    for _ in 0..64 {
        let Some(([way, low, high], more)) = rest.split_first_chunk::<3>() else { break };
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(more.len()).min(PAGE - 28);
        let (payload, more) = more.split_at(len);
        rest = more;
        seq += 1;
        let boot = host.boot_id().unwrap_or(1);
        // Classes 1 to 8: an idle page has nothing to take apart.
        let page = good_page(if way & 1 == 0 { 16 } else { 1 + (way >> 1 & 7) }, payload, boot, seq);
        if way & 1 == 0 {
            device.exchange(&page);
        } else {
            let _ = host.receive(&page);
        }
        device.step(u32::from(way >> 4) * 100);
    }
    // A reset may have been asked for: the processor is back after a while, and says so.
    let understood = (0..400).any(|_| {
        device.step(160);
        exchange(&mut device, &mut host, &mut down) && host.boot_id().is_some()
    });
    assert!(understood, "the two ends lost each other");
}

/// A page of any class with everything but its payload in order.
fn good_page(class: u8, payload: &[u8], boot: u32, seq: u32) -> Page {
    let mut page = [0; PAGE];
    page[..2].copy_from_slice(&metrology_link::page::MAGIC.to_le_bytes());
    page[2..4].copy_from_slice(&[metrology_link::page::VERSION, class]);
    page[4..6].copy_from_slice(&(payload.len() as u16).to_le_bytes());
    page[8..12].copy_from_slice(&boot.to_le_bytes());
    page[12..16].copy_from_slice(&seq.to_le_bytes());
    page[24..24 + payload.len()].copy_from_slice(payload);
    let crc = crc32(&page[..PAGE - 4]);
    page[PAGE - 4..].copy_from_slice(&crc.to_le_bytes());
    page
}

/// A capture file: what is read from it is written back byte for byte.
pub fn captured(data: &[u8]) {
    let Ok(mut reader) = capture::CaptureReader::new(data) else { return };
    let mut written = Vec::new();
    let mut writer = capture::CaptureWriter::new(&mut written).expect("memory takes everything");
    while let Ok(Some(record)) = reader.read() {
        assert!(!capture::summary(&record.page).is_empty());
        writer.write(&record).expect("memory takes everything");
    }
    assert!(written.len() <= data.len().max(24));
}

/// Bytes on a serial line or socket: garbage of any length loses at most the pages it touches.
pub fn stream(data: &[u8]) {
    let mut reader = PageReader::new();
    let mut rest = data;
    // Each page takes its bytes from the input, so this ends.
    while let Some(page) = reader.push(&mut rest) {
        let _ = decode_page(&page);
    }
    assert!(rest.is_empty(), "bytes were neither taken nor skipped");
    // The time-out that follows silence drops what is incomplete; the next page arrives whole.
    reader.reset();
    let mut good: Page = [0; PAGE];
    HostEnd::new().emit(&mut good);
    assert_eq!(reader.push(&mut &good[..]), Some(good), "no page within one page after garbage");
}

/// A scenario file.
pub fn scenario(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Scenario::parse(text, "fuzz");
    }
}

/// A slot of the register ring, or the settled state in the database.
pub fn durable(data: &[u8]) {
    if let Some(durable) = decoded(data) {
        assert_eq!(decoded(&durable.encode()), Some(durable), "what was read is not what is written");
    }
}

fn decoded(data: &[u8]) -> Option<Durable> {
    Durable::decode(data).ok()
}

/// A telegram of a sub-meter: the first byte chooses key and permission, the rest is the frame. Whatever it says, each
/// value stands within the telegram, and the payload alone is a list of records too.
pub fn telegram(data: &[u8]) {
    thread_local! {
        static DRIVERS: mbus::driver::Drivers = mbus::driver::Drivers::shipped().expect("shipped drivers");
    }
    let Some((choice, bytes)) = data.split_first() else { return };
    let key = (choice & 1 != 0).then_some([0x11; 16]);
    let mut formats = mbus::compact::Formats::shipped();
    let mut counters = std::collections::BTreeMap::new();
    let mut decoder = mbus::Decoder { key, plain: choice & 2 != 0, protected: choice & 4 != 0, ..Default::default() };
    decoder.formats = Some(&mut formats);
    decoder.counters = Some(&mut counters);
    if let Ok(telegram) = decoder.decode(bytes) {
        for record in &telegram.records.list {
            assert!(record.data.start <= record.data.end && record.data.end as usize <= telegram.bytes.len());
        }
        let _ = DRIVERS.with(|drivers| drivers.read(&telegram, key.as_ref()));
    }
    let _ = mbus::Reassembler::default().push(bytes);
    let records = mbus::record::parse(bytes, mbus::Span::new(0, bytes.len()));
    assert!(records.list.iter().all(|record| record.data.end as usize <= bytes.len()));
}
