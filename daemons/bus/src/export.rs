//! Layout of an exported logger: a header, then rows of fixed width, so that a reader can map the file and index it.
//!
//! All numbers little-endian.
//!
//! | header, bytes | what |
//! |---|---|
//! | 0..8 | magic `MGROWS1\0` |
//! | 8..12 | u32 columns per row |
//! | 12..16 | u32 bytes per row |
//! | 16..24 | u64 number of rows |
//! | 24..28 | u32 bytes of text per row |
//! | 28..32 | zero |
//!
//! | row, bytes | what |
//! |---|---|
//! | 0..8 | u64 seq |
//! | 8..16 | i64 start, µs UTC |
//! | 16..24 | i64 end, µs UTC |
//! | 24..28 | u32 status bits |
//! | 28..32 | zero |
//! | 32..64 | hash of the previous row |
//! | 64..96 | hash of this row |
//! | 96.. | one i64 per column as stored, `i64::MIN` where there is no value |
//! | then | text, UTF-8, padded with zero bytes |

/// First bytes of an export.
pub const EXPORT_MAGIC: [u8; 8] = *b"MGROWS1\0";
/// Bytes of the header.
pub const HEADER_BYTES: usize = 32;
/// Bytes of a row before its values.
pub const ROW_FIXED_BYTES: usize = 96;

/// The header of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportHeader {
    /// Values per row.
    pub columns: u32,
    /// Bytes of text per row.
    pub text_bytes: u32,
    /// Number of rows.
    pub rows: u64,
}

/// One exported row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportRow {
    /// Identity of the row.
    pub seq: u64,
    /// Begin of the interval, µs UTC.
    pub start: i64,
    /// End of the interval, µs UTC.
    pub end: i64,
    /// Status bits.
    pub status: u32,
    /// Hash of the previous row.
    pub prev: [u8; 32],
    /// Hash of this row.
    pub hash: [u8; 32],
    /// One stored value per column.
    pub values: Vec<i64>,
    /// Words of the row; bytes that are no UTF-8 read as replacement characters.
    pub text: String,
}

/// The bytes are no export of this format: the sender's fault, or the file was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// Too short for a header, or another magic.
    #[error("not a logger export (magic MGROWS1 expected)")]
    NotAnExport,
    /// Row width and number of columns disagree, or the length does not match the number of rows.
    #[error("logger export with inconsistent lengths")]
    Inconsistent,
}

impl ExportHeader {
    /// Bytes of one row.
    pub fn row_bytes(&self) -> usize {
        ROW_FIXED_BYTES + 8 * self.columns as usize + self.text_bytes as usize
    }

    /// The header as bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&EXPORT_MAGIC);
        out[8..12].copy_from_slice(&self.columns.to_le_bytes());
        out[12..16].copy_from_slice(&(self.row_bytes() as u32).to_le_bytes());
        out[16..24].copy_from_slice(&self.rows.to_le_bytes());
        out[24..28].copy_from_slice(&self.text_bytes.to_le_bytes());
        out
    }

    /// Reads header and rows of a whole export.
    ///
    /// # Errors
    /// See [`ExportError`]; trailing bytes are an error as well.
    pub fn decode(bytes: &[u8]) -> Result<(ExportHeader, Vec<ExportRow>), ExportError> {
        let (head, body) = bytes.split_at_checked(HEADER_BYTES).ok_or(ExportError::NotAnExport)?;
        if head[..8] != EXPORT_MAGIC {
            return Err(ExportError::NotAnExport);
        }
        let header = ExportHeader { columns: u32_at(head, 8), rows: u64_at(head, 16), text_bytes: u32_at(head, 24) };
        let width = u64::from(header.columns) * 8 + ROW_FIXED_BYTES as u64 + u64::from(header.text_bytes);
        let length = header.rows.checked_mul(width).ok_or(ExportError::Inconsistent)?;
        if u64::from(u32_at(head, 12)) != width || length != body.len() as u64 {
            return Err(ExportError::Inconsistent);
        }
        let rows = body.chunks_exact(width as usize).map(|row| ExportRow::decode(&header, row)).collect();
        Ok((header, rows))
    }
}

impl ExportRow {
    /// Appends the row's bytes; text beyond `header.text_bytes` is cut, values beyond its columns as well.
    pub fn encode(&self, header: &ExportHeader, out: &mut Vec<u8>) {
        let end = out.len() + header.row_bytes();
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&self.start.to_le_bytes());
        out.extend_from_slice(&self.end.to_le_bytes());
        out.extend_from_slice(&self.status.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.prev);
        out.extend_from_slice(&self.hash);
        for n in 0..header.columns as usize {
            out.extend_from_slice(&self.values.get(n).copied().unwrap_or(i64::MIN).to_le_bytes());
        }
        out.extend_from_slice(self.text.as_bytes());
        out.resize(end, 0);
    }

    /// `bytes` has the length that the header promised.
    fn decode(header: &ExportHeader, bytes: &[u8]) -> ExportRow {
        let (values, text) = bytes[ROW_FIXED_BYTES..].split_at(8 * header.columns as usize);
        let text = text.split(|b| *b == 0).next().unwrap_or_default();
        let hash = |at: usize| {
            let mut out = [0; 32];
            out.copy_from_slice(&bytes[at..at + 32]);
            out
        };
        ExportRow {
            seq: u64_at(bytes, 0),
            start: u64_at(bytes, 8) as i64,
            end: u64_at(bytes, 16) as i64,
            status: u32_at(bytes, 24),
            prev: hash(32),
            hash: hash(64),
            values: values.chunks_exact(8).map(|c| u64_at(c, 0) as i64).collect(),
            text: String::from_utf8_lossy(text).into_owned(),
        }
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |sum, b| sum << 8 | u64::from(*b))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |sum, b| sum << 8 | u32::from(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (ExportHeader, Vec<ExportRow>, Vec<u8>) {
        let row = |seq| ExportRow {
            seq,
            start: -1,
            end: 1_795_000_000_000_000,
            status: 0x8000_0001,
            prev: [1; 32],
            hash: [2; 32],
            values: vec![i64::MIN, 0, i64::MAX],
            text: "wer".into(),
        };
        let header = ExportHeader { columns: 3, rows: 2, text_bytes: 8 };
        let rows = vec![row(7), row(8)];
        let mut bytes = header.encode().to_vec();
        rows.iter().for_each(|r| r.encode(&header, &mut bytes));
        (header, rows, bytes)
    }

    #[test]
    fn comes_back_as_it_went() {
        let (header, rows, bytes) = sample();
        assert_eq!(ExportHeader::decode(&bytes), Ok((header, rows)));
    }

    #[test]
    fn every_cut_and_every_wrong_length_is_refused() {
        let (_, _, bytes) = sample();
        for cut in 0..bytes.len() {
            assert!(ExportHeader::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for (at, value) in [(0, 0), (8, 4), (12, 0), (16, 3), (23, 0xff), (24, 0)] {
            let mut wrong = bytes.clone();
            wrong[at] = value;
            assert!(ExportHeader::decode(&wrong).is_err(), "byte {at}");
        }
    }
}
