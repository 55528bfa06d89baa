//! Wireless frames, EN 13757-4: formats A and B with their block CRCs, and what receivers deliver without them.
//!
//! In format A, L counts neither itself nor the CRCs: a first block of 10 bytes, then blocks of 16, each with its CRC.
//! In format B, L counts the CRCs: blocks 1 and 2 share one CRC and have 128 bytes together, the rest has its own.
//! A *stripped* frame is L and L bytes, no CRC.

use std::borrow::Cow;

use crate::Error;
use crate::bytes::crc16;

/// How the CRCs lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A CRC after 10 bytes, then one after each 16.
    A,
    /// A CRC after 126 bytes, one at the end.
    B,
    /// None: the receiver checked them and took them out.
    Stripped,
}

/// L, C, M and A: the shortest frame ends after them.
const HEADER: usize = 10;
/// Bytes of a format A block after the first.
const BLOCK: usize = 16;
/// Bytes of blocks 1 and 2 of format B before their CRC.
const FIRST_B: usize = 126;

/// Finds out the format and takes the CRCs out. The result is L and exactly L bytes.
///
/// With CRCs the frame must be whole and each CRC right; bytes after it are ignored. A frame counts as stripped when it
/// does not fit A or B. A damaged frame with CRCs is therefore taken for a stripped one whenever L bytes are there;
/// name the format where it is known ([`strip`]).
///
/// # Errors
/// [`Error::Frame`]: fewer bytes than L says.
pub fn detect(bytes: &[u8]) -> Result<(Cow<'_, [u8]>, Format), Error> {
    let length = usize::from(*bytes.first().ok_or(Error::Frame("empty"))?);
    // A stripped frame of the right length is by far the most frequent: CRCs are looked for in all others.
    if bytes.len() != length + 1
        && let Ok(stripped) = strip(bytes, Format::A)
    {
        return Ok((stripped, Format::A));
    }
    if let Ok(stripped) = strip(bytes, Format::B) {
        return Ok((stripped, Format::B));
    }
    Ok((strip(bytes, Format::Stripped)?, Format::Stripped))
}

/// Takes the CRCs of a known format out. The result is L and exactly L bytes.
///
/// # Errors
/// [`Error::Frame`] too short, [`Error::Crc`] damaged.
pub fn strip(bytes: &[u8], format: Format) -> Result<Cow<'_, [u8]>, Error> {
    let length = usize::from(*bytes.first().ok_or(Error::Frame("empty"))?);
    let short = Error::Frame("shorter than its length field says");
    if length + 1 < HEADER {
        return Err(Error::Frame("length field below 9"));
    }
    match format {
        Format::Stripped => Ok(Cow::Borrowed(bytes.get(..=length).ok_or(short)?)),
        Format::A => {
            let mut out = Vec::with_capacity(length + 1);
            let (mut at, mut left, mut block) = (0, length + 1, HEADER);
            while left > 0 {
                let n = block.min(left);
                out.extend(checked(bytes.get(at..at + n + 2).ok_or(short)?)?);
                (at, left, block) = (at + n + 2, left - n, BLOCK);
            }
            Ok(Cow::Owned(out))
        }
        Format::B => {
            let whole = bytes.get(..=length).ok_or(short)?;
            let mut out = Vec::with_capacity(length + 1);
            let (first, second) = whole.split_at(whole.len().min(FIRST_B + 2));
            if first.len() < HEADER + 2 {
                return Err(short);
            }
            out.extend(checked(first)?);
            if !second.is_empty() {
                out.extend(checked(second)?);
            }
            out[0] = (out.len() - 1) as u8;
            Ok(Cow::Owned(out))
        }
    }
}

/// Puts the CRCs in; `frame` is L and L bytes.
///
/// # Errors
/// [`Error::Frame`] when L does not fit, [`Error::Value`] when format B has no room for the CRCs.
pub fn emit(frame: &[u8], format: Format, out: &mut Vec<u8>) -> Result<(), Error> {
    if frame.len() < HEADER || usize::from(frame[0]) + 1 != frame.len() {
        return Err(Error::Frame("length field does not fit"));
    }
    let mut block = |bytes: &[u8]| {
        out.extend(bytes);
        out.extend(crc16(bytes).to_be_bytes());
    };
    match format {
        Format::Stripped => out.extend(frame),
        Format::A => {
            let (first, rest) = frame.split_at(HEADER);
            block(first);
            rest.chunks(BLOCK).for_each(block);
        }
        Format::B => {
            let crcs = if frame.len() > FIRST_B { 4 } else { 2 };
            let length =
                u8::try_from(frame.len() - 1 + crcs).map_err(|_| Error::Value("length of a format B frame"))?;
            let mut frame = frame.to_vec();
            frame[0] = length;
            let (first, second) = frame.split_at(frame.len().min(FIRST_B));
            block(first);
            if !second.is_empty() {
                block(second);
            }
        }
    }
    Ok(())
}

/// A block without its CRC.
fn checked(block: &[u8]) -> Result<&[u8], Error> {
    let (bytes, crc) = block.split_last_chunk::<2>().ok_or(Error::Frame("shorter than a CRC"))?;
    if crc16(bytes) == u16::from_be_bytes(*crc) { Ok(bytes) } else { Err(Error::Crc("link layer block")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: u8) -> Vec<u8> {
        std::iter::once(length).chain((0..length).map(|i| i.wrapping_mul(7))).collect()
    }

    #[test]
    fn both_formats_there_and_back() {
        for length in 9..=251 {
            let frame = frame(length);
            for format in [Format::A, Format::B, Format::Stripped] {
                let mut air = vec![];
                emit(&frame, format, &mut air).unwrap();
                assert_eq!(*strip(&air, format).unwrap(), frame, "{format:?} {length}");
                let (found, as_format) = detect(&air).unwrap();
                assert_eq!((&*found, as_format), (&*frame, format), "{format:?} {length}");
            }
        }
        assert!(emit(&frame(253), Format::B, &mut vec![]).is_err());
    }

    #[test]
    fn each_flip_of_a_crc_frame_is_seen() {
        for format in [Format::A, Format::B] {
            let mut air = vec![];
            emit(&frame(60), format, &mut air).unwrap();
            for bit in 8..air.len() * 8 {
                let mut damaged = air.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(strip(&damaged, format).is_err(), "{format:?} bit {bit}");
            }
        }
        assert!(detect(&[]).is_err() && detect(&[5, 1, 2]).is_err() && detect(&[200, 1, 2]).is_err());
    }
}
