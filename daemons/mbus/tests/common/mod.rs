//! What the tests share: where the recorded telegrams are, and a meter of our own.
#![allow(dead_code, reason = "each test uses some of it")]

use std::path::PathBuf;

use mbus::{Address, Manufacturer};

/// A folder of recorded telegrams, `None` (with a word) where the workspace stands alone.
pub fn data(folder: &str) -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let found =
        ["../shared/data", "shared/data"].map(|place| root.join(place).join(folder)).into_iter().find(|p| p.is_dir());
    if found.is_none() {
        println!("skipped: no ../shared/data/{folder} beside the workspace");
    }
    found
}

/// A meter.
pub fn meter() -> Address {
    Address {
        manufacturer: Manufacturer::parse("MGT").expect("letters"),
        id: [0x78, 0x56, 0x34, 0x12],
        version: 1,
        device_type: 4,
    }
}

/// Energy, volume, power, flow temperature of a heat meter.
pub const RECORDS: [u8; 20] = [
    0x04, 0x06, 0x39, 0x30, 0x00, 0x00, 0x04, 0x13, 0xD2, 0x04, 0x00, 0x00, 0x02, 0x2B, 0x2C, 0x01, 0x02, 0x5A, 0x9A,
    0x02,
];
