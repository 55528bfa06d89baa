//! Records to bytes, for the meter as a slave and as a transmitter and for test benches.

use super::date;
use super::{Coding, DateTime, Dib};
use crate::Error;

/// Data of a record to write.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// No data.
    None,
    /// The raw integer, before the scale of the VIF: binary or BCD by the coding.
    Integer(i128),
    /// A float.
    Real(f32),
    /// Date or time: the size follows from what it has.
    At(DateTime),
    /// Text of at most 191 characters of ISO 8859-1.
    Text(String),
    /// Raw bytes as variable-length text (at most 191).
    Bytes(Vec<u8>),
}

/// Appends a record. `vib` is VIF and VIFEs as they go on the wire.
///
/// # Errors
/// [`Error::Value`]: the data does not fit the coding of `dib`.
pub fn record(dib: &Dib, vib: &[u8], data: &Data, out: &mut Vec<u8>) -> Result<(), Error> {
    let start = out.len();
    dib.emit(out)?;
    out.extend(vib);
    let written = value(dib.coding, data, out);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

fn value(coding: Coding, data: &Data, out: &mut Vec<u8>) -> Result<(), Error> {
    let misfit = Err(Error::Value("data for this coding"));
    match (coding, data) {
        (Coding::None | Coding::Selection, Data::None) => {}
        (Coding::Integer(n), Data::Integer(raw)) => {
            let bits = 8 * u32::from(n);
            // Signed and not signed integers of the size; the VIF says which it is.
            if n > 8 || *raw >= 1i128 << bits || *raw < -(1i128 << (bits - 1)) {
                return misfit;
            }
            out.extend(&raw.to_le_bytes()[..usize::from(n)]);
        }
        (Coding::Bcd(n), Data::Integer(raw)) => {
            let (digits, minus) = (2 * u32::from(n), *raw < 0);
            let magnitude = raw.unsigned_abs();
            if magnitude >= 10u128.pow(if minus { digits - 1 } else { digits }) {
                return misfit;
            }
            bcd(magnitude, usize::from(n), out);
            if let (true, Some(last)) = (minus, out.last_mut()) {
                *last |= 0xF0;
            }
        }
        (Coding::Real, Data::Real(real)) => out.extend(real.to_le_bytes()),
        (Coding::Integer(n), Data::At(at)) => match date::emit(at) {
            Some(bytes) if bytes.len() == usize::from(n) => out.extend(bytes),
            _ => return misfit,
        },
        (Coding::Variable, Data::Text(text)) => {
            let bytes: Option<Vec<u8>> = text.chars().rev().map(|c| u8::try_from(u32::from(c)).ok()).collect();
            match bytes {
                Some(bytes) if bytes.len() < 0xC0 => {
                    out.push(bytes.len() as u8);
                    out.extend(bytes);
                }
                _ => return misfit,
            }
        }
        (Coding::Variable, Data::Bytes(bytes)) if bytes.len() < 0xC0 => {
            out.push(bytes.len() as u8);
            out.extend(bytes);
        }
        (Coding::Variable, Data::Integer(raw)) => {
            let (kind, magnitude) = (if *raw < 0 { 0xD0 } else { 0xC0 }, raw.unsigned_abs());
            let bytes = (1..=9).find(|n| magnitude < 100u128.pow(*n));
            let Some(n) = bytes else { return misfit };
            out.push(kind + n as u8);
            bcd(magnitude, n as usize, out);
        }
        _ => return misfit,
    }
    Ok(())
}

fn bcd(mut magnitude: u128, bytes: usize, out: &mut Vec<u8>) {
    for _ in 0..bytes {
        let pair = (magnitude % 100) as u8;
        out.push(((pair / 10) << 4) | (pair % 10));
        magnitude /= 100;
    }
}
