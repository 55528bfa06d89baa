//! How fast pages are checked and decoded.

use std::hint::black_box;
use std::time::{Duration, Instant};

use metrology_link::PAGE;
use metrology_link::codec::decode_page;
use metrology_link::page::{Class, Header, build};
use metrology_link::payload::Billing;
use serde_json::{Value, json};

/// Pages between two looks at the clock.
const BATCH: u64 = 1_000;

/// Billing pages, the ones that come all the time: CRC check and full decoding.
pub fn parse(seconds: u64) -> Value {
    let header = Header { class: Class::Billing, flags: 0, boot_id: 7, seq: 1, t_samples: 123_456 };
    let mut page = [0; PAGE];
    build(&mut page, &header, &Billing::default());
    let limit = Duration::from_secs(seconds);
    let started = Instant::now();
    let mut pages = 0;
    let mut good = 0;
    while started.elapsed() < limit {
        for _ in 0..BATCH {
            good += u64::from(decode_page(black_box(&page)).is_ok());
        }
        pages += BATCH;
    }
    let taken = started.elapsed().as_secs_f64();
    json!({
        "bench": "link-parse",
        "method": "billing pages in memory, CRC and all fields, one thread",
        "seconds": taken,
        "pages": pages,
        "good": good,
        "pages_per_s": (pages as f64 / taken).round() as u64,
        "ns_per_page": (taken * 1e9 / pages as f64).round() as u64,
    })
}
