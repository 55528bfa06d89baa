//! After garbage, the next whole page is understood; and captures are read back as written.
#![allow(clippy::unwrap_used)]

mod common;

use common::Gen;
use metrology_link::capture::{CaptureError, CaptureReader, CaptureWriter, Direction, Record, details, summary};
use metrology_link::host::{HostEnd, Received};
use metrology_link::page::{self, Class, Header};
use metrology_link::payload::*;
use metrology_link::stream::{DOORBELL, PageReader};
use metrology_link::{PAGE, Page, PageError};

fn hello(seq: u32) -> Page {
    let mut page = [0; PAGE];
    let header = Header { class: Class::Hello, flags: 0, boot_id: 3, seq, t_samples: 1 };
    page::build(&mut page, &header, &Hello { boot_id: 3, ..Hello::default() });
    page
}

fn billing(seq: u32, window: u64) -> Page {
    let mut page = [0; PAGE];
    let header = Header { class: Class::Billing, flags: 0, boot_id: 3, seq, t_samples: 1 };
    let mut billing = Billing::default();
    billing.snapshot.window = window;
    page::build(&mut page, &header, &billing);
    page
}

fn pages(reader: &mut PageReader, mut bytes: &[u8]) -> Vec<Page> {
    std::iter::from_fn(|| reader.push(&mut bytes)).collect()
}

#[test]
fn the_page_after_a_bad_one_is_understood() {
    let mut host = HostEnd::new();
    host.receive(&hello(1)).unwrap();
    let mut g = Gen(1);
    for n in 0..100u32 {
        let garbage: Page = core::array::from_fn(|_| g.u64() as u8);
        assert!(host.receive(&garbage).is_err());
        let mut damaged = billing(2 * n + 2, 0);
        damaged[500] ^= 0x10;
        assert_eq!(host.receive(&damaged), Err(PageError::Crc));
        let received = host.receive(&billing(2 * n + 3, u64::from(n))).unwrap();
        assert!(matches!(received, Received::Billing(b) if b.snapshot.window == u64::from(n)));
    }
    let stats = host.stats();
    assert_eq!((stats.crc_errors, stats.bad_pages, stats.resyncs, stats.seq_gaps), (100, 100, 100, 100));
}

#[test]
fn a_reader_finds_the_page_behind_garbage() {
    let mut g = Gen(7);
    for round in 0..200 {
        let mut reader = PageReader::new();
        let mut bytes: Vec<u8> = (0..g.below(3000)).map(|_| g.u64() as u8).collect();
        if round % 2 == 0 {
            // A false start shortly before the page, and doorbells.
            bytes.extend([0x4D, 0x47, 1, 2, 3, DOORBELL, DOORBELL]);
        }
        bytes.extend(billing(1, round));
        // A page of garbage may be given up to twice before; what follows within one more page is whole.
        bytes.extend(billing(2, round));
        let mut found = Vec::new();
        for piece in bytes.chunks(1 + g.below(700) as usize) {
            found.extend(pages(&mut reader, piece));
        }
        let good: Vec<_> = found.iter().filter(|p| page::View::new(p).is_ok()).collect();
        assert_eq!(good, [&billing(1, round), &billing(2, round)], "round {round}");
        assert!(!reader.is_partial());
    }
}

#[test]
fn doorbells_between_pages_are_counted_and_a_partial_page_is_forgotten() {
    let mut reader = PageReader::new();
    assert!(pages(&mut reader, &[DOORBELL, DOORBELL]).is_empty());
    assert_eq!((reader.take_doorbells(), reader.take_doorbells()), (2, 0));
    assert!(pages(&mut reader, &hello(1)[..700]).is_empty());
    assert!(reader.is_partial());
    reader.reset();
    assert!(!reader.is_partial());
    assert_eq!(pages(&mut reader, &hello(2)), [hello(2)]);
    assert_eq!(reader.skipped(), 700);
    assert_eq!(reader.take_doorbells(), 0, "a doorbell value inside a page is data");
}

#[test]
fn the_first_byte_of_the_magic_may_stand_twice() {
    let mut reader = PageReader::new();
    let mut bytes = vec![0x4D, 0x4D];
    bytes.extend(hello(1));
    assert_eq!(pages(&mut reader, &bytes), [hello(1)]);
    assert_eq!(reader.skipped(), 2);
}

#[test]
fn a_capture_is_read_back() {
    let mut file = Vec::new();
    let mut writer = CaptureWriter::new(&mut file).unwrap();
    let mut broken = hello(1);
    broken[100] ^= 1;
    let records = [
        Record { time_us: 1_700_000_000_000_001, direction: Direction::Up, page: hello(1) },
        Record { time_us: 1_700_000_000_999_999, direction: Direction::Down, page: broken },
    ];
    for record in &records {
        writer.write(record).unwrap();
    }
    writer.flush().unwrap();
    assert_eq!(file.len(), 24 + 2 * (16 + 4 + 1024));
    assert_eq!(file[..24], [0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x04, 4, 0, 0, 147, 0, 0, 0]);
    let read: Result<Vec<_>, _> = CaptureReader::new(&file[..]).unwrap().collect();
    assert_eq!(read.unwrap(), records);

    let cut: Result<Vec<_>, _> = CaptureReader::new(&file[..file.len() - 1]).unwrap().collect();
    assert!(matches!(cut, Err(CaptureError::Truncated)));
    assert!(matches!(CaptureReader::new(&file[..23]), Err(CaptureError::Foreign(_))));
    let mut foreign = file.clone();
    foreign[20] = 1;
    assert!(matches!(CaptureReader::new(&foreign[..]), Err(CaptureError::Foreign(_))));
    let mut strange = file.clone();
    strange[24 + 8] = 1;
    assert!(matches!(CaptureReader::new(&strange[..]).unwrap().read(), Err(CaptureError::Foreign(_))));
    let mut strange = file;
    strange[24 + 16] = 2;
    assert!(matches!(CaptureReader::new(&strange[..]).unwrap().read(), Err(CaptureError::Foreign(_))));
}

#[test]
fn pages_are_told_in_words() {
    let mut page = billing(9, 77);
    assert!(summary(&page).starts_with("boot 00000003 seq      9 t            1 billing  window 77 A+ 0"));
    assert!(details(&page).contains("down_us: 0"));
    page[40] ^= 1;
    assert_eq!(summary(&page), "damaged: page CRC is wrong");
    assert!(details(&page).contains("\n0000  4d470102"));
    let mut host = HostEnd::new();
    host.receive(&hello(1)).unwrap();
    let block = ImageBlock { id: 1, total: 1000, offset: 512, len: 2, data: [0xAB; IMAGE_BLOCK] };
    host.submit(Command::Image(block)).unwrap();
    host.emit(&mut page);
    assert!(summary(&page).ends_with("command 1 Image 1 bytes 512+2 of 1000"), "{}", summary(&page));
    assert!(details(&page).ends_with("0000  abab\n"));
}
