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

/// The targets by name, as in `tests/fuzz/fuzz_targets` and `tests/fuzz/corpus`.
pub const TARGETS: [(&str, fn(&[u8])); 4] =
    [("page", page), ("stream", stream), ("scenario", scenario), ("durable", durable)];

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
