//! Compact frames (EN 13757-3, annex G; CI 79, 7B, 73): values without DIF and VIF.
//!
//! A compact frame names its format by signature: the CRC of all DIFs and VIFs of the full frame. Formats are learnt
//! from full frames and from format frames; the caller keeps them, so that they outlive a restart and serve all meters
//! of a type. An expanded frame must give the CRC of the full frame, which the compact one carries: a wrong format
//! cannot pass.

use std::collections::BTreeMap;

use crate::bytes::{Cursor, crc16};
use crate::record::{self, Record, Records, special};
use crate::{Error, Span};

/// Formats by signature. Two formats may have the same signature; the CRC of the full frame tells which it was.
pub trait FormatStore {
    /// The formats of this signature: all DIFs, DIFEs, VIFs and VIFEs of a full frame in their order.
    fn formats(&self, signature: u16) -> Vec<Box<[u8]>>;
    /// A full frame has this format. Called for each full frame; keep it once.
    fn learn(&mut self, signature: u16, format: &[u8]);
}

/// Formats in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Formats(BTreeMap<u16, Vec<Box<[u8]>>>);

/// Formats with the same signature: two by chance are rare already.
const MAX_PER_SIGNATURE: usize = 4;
/// Signatures in memory. A meter has one or two formats, shared by all of its type; this is for floods.
const MAX_SIGNATURES: usize = 4096;

/// The shipped formats.
const SHIPPED: &str = include_str!("../../../config/muc/formats.toml");

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    formats: Vec<String>,
}

impl Formats {
    /// The formats of `config/muc/formats.toml` when this was built.
    pub fn shipped() -> Self {
        let mut formats = Self::default();
        // A test reads the file; a wrong line in it teaches nothing.
        let file: File = toml::from_str(SHIPPED).unwrap_or(File { formats: vec![] });
        for format in file.formats.iter().filter_map(|hex| crate::bytes::from_hex(hex).ok()) {
            formats.learn(crc16(&format), &format);
        }
        formats
    }

    /// All formats, for the caller's memory.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &[u8])> {
        self.0.iter().flat_map(|(signature, formats)| formats.iter().map(|f| (*signature, &**f)))
    }
}

impl FormatStore for Formats {
    fn formats(&self, signature: u16) -> Vec<Box<[u8]>> {
        self.0.get(&signature).cloned().unwrap_or_default()
    }

    fn learn(&mut self, signature: u16, format: &[u8]) {
        if self.0.len() >= MAX_SIGNATURES && !self.0.contains_key(&signature) {
            return;
        }
        let formats = self.0.entry(signature).or_default();
        if formats.len() < MAX_PER_SIGNATURE && !formats.iter().any(|known| **known == *format) {
            formats.push(format.into());
        }
    }
}

/// The format of a full frame; `None` where it has no records.
pub fn format_of(telegram: &[u8], records: &Records) -> Option<(u16, Vec<u8>)> {
    let mut format = Vec::with_capacity(64);
    let mut last = Span::default();
    for record in &records.list {
        // Elements of a profile repeat the head of the profile.
        if record.head != last {
            format.extend(record.head.of(telegram));
        }
        last = record.head;
    }
    (!format.is_empty() && records.rest.is_none()).then(|| (crc16(&format), format))
}

/// A format frame (CI 69, 6A, 6B): length, signature, DIFs and VIFs.
///
/// # Errors
/// [`Error::Crc`]: the signature is not that of the format.
pub fn format_frame(payload: &[u8]) -> Result<(u16, &[u8]), Error> {
    for skip in [1, 0] {
        let Some((signature, format)) = payload.get(skip..).and_then(<[u8]>::split_first_chunk::<2>) else { continue };
        let signature = u16::from_le_bytes(*signature);
        // Idle fillers of encrypted frames are no part of it.
        let end = format.iter().rposition(|b| *b != special::FILLER).map_or(0, |n| n + 1);
        for format in [format, &format[..end]] {
            if crc16(format) == signature {
                return Ok((signature, format));
            }
        }
    }
    Err(Error::Crc("format frame"))
}

/// Reads a compact frame; `span` begins at the signature.
///
/// # Errors
/// [`Error::UnknownFormat`]: wait for the full frame. [`Error::WrongFormat`]: none of the known ones gives the right CRC.
pub fn expand(telegram: &[u8], span: Span, store: &dyn FormatStore) -> Result<Records, Error> {
    let end = (span.end as usize).min(telegram.len());
    let mut cursor = Cursor::new(&telegram[..end], span.start as usize);
    let (signature, crc) = (cursor.u16()?, cursor.u16()?);
    let formats = store.formats(signature);
    if formats.is_empty() {
        return Err(Error::UnknownFormat(signature));
    }
    formats.iter().find_map(|format| apply(telegram, cursor, format, crc)).ok_or(Error::WrongFormat(signature))
}

fn apply(telegram: &[u8], mut values: Cursor<'_>, format: &[u8], crc: u16) -> Option<Records> {
    let mut heads = Cursor::new(format, 0);
    let mut full = Vec::with_capacity(format.len() + 128);
    let mut out = Records::default();
    while !heads.is_empty() {
        let start = heads.at;
        let dif = heads.u8().ok()?;
        if matches!(dif, special::MANUFACTURER | special::MANUFACTURER_MORE) {
            out.more = dif == special::MANUFACTURER_MORE;
            full.push(dif);
            full.extend(values.rest());
            let data = Span::new(values.at, values.at + values.rest().len());
            values.at += values.rest().len();
            out.list.push(record::manufacturer_data(Span::default(), data));
            break;
        }
        let (dib, vib) = record::head(dif, &mut heads).ok()?;
        let record: Record = record::value(&mut values, Span::default(), dib, vib).ok()?;
        full.extend(&format[start..heads.at]);
        full.extend(record.data.of(telegram));
        out.list.push(record);
    }
    // Only fillers may be left: encrypted frames end on a block.
    let left = values.rest();
    if crc16(&full) != crc || left.iter().any(|b| *b != special::FILLER) {
        return None;
    }
    record::profile::expand(telegram, &mut out.list);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_formats_are_formats() {
        let file: File = toml::from_str(SHIPPED).unwrap();
        let formats = Formats::shipped();
        assert_eq!(formats.iter().count(), file.formats.len(), "a line is wrong or there twice");
        for (signature, format) in formats.iter() {
            let mut heads = Cursor::new(format, 0);
            while !heads.is_empty() {
                let dif = heads.u8().unwrap();
                record::head(dif, &mut heads).unwrap();
            }
            assert_eq!(crc16(format), signature);
        }
        assert!(!formats.formats(0x8C13).is_empty() && !formats.formats(0xA8ED).is_empty());
    }

    #[test]
    fn a_wrong_format_cannot_pass() {
        let mut formats = Formats::default();
        formats.learn(0x1234, &[0x04, 0x13]);
        formats.learn(0x1234, &[0x02, 0x13, 0x02, 0x2B]);
        let full = [0x02, 0x13, 0x11, 0x22, 0x02, 0x2B, 0x33, 0x44];
        let crc = crc16(&full).to_le_bytes();
        let compact = [0x34, 0x12, crc[0], crc[1], 0x11, 0x22, 0x33, 0x44];
        let records = expand(&compact, Span::new(0, 8), &formats).unwrap();
        assert_eq!(records.list.len(), 2);
        assert_eq!(records.list[1].data, Span::new(6, 8));
        for bit in 16..64 {
            let mut damaged = compact;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(expand(&damaged, Span::new(0, 8), &formats), Err(Error::WrongFormat(0x1234)), "bit {bit}");
        }
        assert_eq!(expand(&[0, 0, 0, 0], Span::new(0, 4), &formats), Err(Error::UnknownFormat(0)));
    }

    #[test]
    fn a_format_frame_teaches() {
        let format = [0x04, 0x13, 0x02, 0x2B];
        let [low, high] = crc16(&format).to_le_bytes();
        let frame = [7, low, high, 0x04, 0x13, 0x02, 0x2B, 0x2F, 0x2F];
        assert_eq!(format_frame(&frame), Ok((crc16(&format), &format[..])));
        assert!(format_frame(&[7, low, high, 0x04, 0x14]).is_err());
    }
}
