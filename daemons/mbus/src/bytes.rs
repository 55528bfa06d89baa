//! Reading untrusted bytes: a cursor that cannot run past its end, hex digits, and the CRC of EN 13757-4.

use crate::Error;

/// CRC-16 of EN 13757-4: polynomial 3D65, start 0, inverted at the end.
static CRC: crc::Crc<u16, crc::Table<16>> = crc::Crc::<u16, crc::Table<16>>::new(&crc::CRC_16_EN_13757);

/// The CRC of link layer blocks, ELL payloads and compact frames.
pub fn crc16(bytes: &[u8]) -> u16 {
    CRC.checksum(bytes)
}

/// A position in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    pub(crate) at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at: at.min(bytes.len()) }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], Error> {
        let end = self.at.checked_add(n).ok_or(Error::Truncated { at: self.at })?;
        let taken = self.bytes.get(self.at..end).ok_or(Error::Truncated { at: self.at })?;
        self.at = end;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        let byte = *self.bytes.get(self.at).ok_or(Error::Truncated { at: self.at })?;
        self.at += 1;
        Ok(byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array()?))
    }
}

/// Bytes of a line of hex digits. Blanks, `_`, `|` and a leading `0x` or `b` are allowed; an odd number of digits is not.
///
/// # Errors
/// [`Error::Hex`]: something else than hex digits, or a digit is missing.
pub fn from_hex(text: &str) -> Result<Vec<u8>, Error> {
    let text = text.trim();
    let text = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut high = None;
    for c in text.chars() {
        if c.is_whitespace() || matches!(c, '_' | '|') {
            continue;
        }
        let digit = c.to_digit(16).ok_or(Error::Hex("not a hex digit"))? as u8;
        match high.take() {
            None => high = Some(digit << 4),
            Some(h) => out.push(h | digit),
        }
    }
    if high.is_some() {
        return Err(Error::Hex("odd number of hex digits"));
    }
    Ok(out)
}

/// Upper-case hex digits.
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|d| char::from(DIGITS[usize::from(d)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_of_the_standard() {
        // The catalogue's check value of CRC-16/EN-13757.
        assert_eq!(crc16(b"123456789"), 0xC2B7);
        // The format of a heat meter's compact frame, as its signature.
        assert_eq!(crc16(&[0x04, 0x04, 0x04, 0x84, 0x3C, 0x04, 0x2B, 0x04, 0xAB, 0x3C]), 0x8C13);
    }

    #[test]
    fn hex() {
        assert_eq!(from_hex(" 68 0b|0B_68\n").unwrap(), [0x68, 0x0B, 0x0B, 0x68]);
        assert!(from_hex("123").is_err() && from_hex("zz").is_err());
        assert_eq!(to_hex(&[0x0A, 0xF5]), "0AF5");
    }
}
