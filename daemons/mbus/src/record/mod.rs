//! Records of the variable data structure, EN 13757-3, clause 6: DIF, DIFE, VIF, VIFE and data to exact values.
//!
//! A record that cannot be read ends the list, since nothing says where the next one begins; those before it stand.
//! Codes without a meaning do not end anything: their value is kept as a number.

pub mod date;
pub mod dif;
pub mod encode;
pub mod profile;
pub mod vif;

use crate::bytes::{Cursor, to_hex};
use crate::{Decimal, Error, Span};

pub use date::DateTime;
pub use dif::{Coding, Dib, Function};
pub use vif::{Quantity, Reading, Unit, Vib};

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing: no data, or data that is no value.
    Empty,
    /// A number in the unit of the record.
    Number(Decimal),
    /// Date, date and time, or time of day; local time of the meter.
    At(DateTime),
    /// Text, or digits whose leading zeros matter.
    Text(Box<str>),
    /// Bytes as sent: see the record's `data`.
    Bytes,
}

/// One value of a telegram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where DIF to VIFE stand in the telegram (empty for compact frames: their format has them).
    pub head: Span,
    /// Where the data stands.
    pub data: Span,
    /// Coding, function, storage, tariff, subunit.
    pub dib: Dib,
    /// Quantity, unit, qualifiers.
    pub vib: Vib,
    /// The value.
    pub value: Value,
    /// `false`: the meter marks the value as invalid, or it is no value of its type.
    pub valid: bool,
}

/// Outcome of reading a payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// In the order sent, compact profiles taken apart.
    pub list: Vec<Record>,
    /// The meter has more: ask again (DIF 1F).
    pub more: bool,
    /// Where and why reading ended before the end.
    pub rest: Option<(Span, Error)>,
}

/// DIFs that are no record.
pub(crate) mod special {
    pub const MANUFACTURER: u8 = 0x0F;
    pub const MANUFACTURER_MORE: u8 = 0x1F;
    pub const FILLER: u8 = 0x2F;
    pub const GLOBAL_READOUT: u8 = 0x7F;
}

/// Reads `span` of a telegram in clear.
pub fn parse(telegram: &[u8], span: Span) -> Records {
    let end = (span.end as usize).min(telegram.len());
    let mut cursor = Cursor::new(&telegram[..end], span.start as usize);
    let mut out = Records { list: Vec::with_capacity(16), ..Records::default() };
    while !cursor.is_empty() {
        let start = cursor.at;
        match telegram[start] {
            special::FILLER | special::GLOBAL_READOUT => cursor.at += 1,
            dif @ (special::MANUFACTURER | special::MANUFACTURER_MORE) => {
                out.more = dif == special::MANUFACTURER_MORE;
                if start + 1 < end {
                    out.list.push(manufacturer_data(Span::new(start, start + 1), Span::new(start + 1, end)));
                }
                break;
            }
            _ => match next(&mut cursor) {
                Ok(record) => out.list.push(record),
                Err(why) => {
                    out.rest = Some((Span::new(start, end), why));
                    break;
                }
            },
        }
    }
    profile::expand(telegram, &mut out.list);
    out
}

pub(crate) fn manufacturer_data(head: Span, data: Span) -> Record {
    let meaning = vif::Meaning { quantity: Quantity::ManufacturerData, ..vif::Meaning::default() };
    let vib = Vib { meaning, ..Vib::default() };
    Record { head, data, dib: Dib::default(), vib, value: Value::Bytes, valid: true }
}

fn next(cursor: &mut Cursor<'_>) -> Result<Record, Error> {
    let start = cursor.at;
    let dif = cursor.u8()?;
    let (dib, vib) = head(dif, cursor)?;
    let head = Span::new(start, cursor.at);
    value(cursor, head, dib, vib)
}

/// DIFEs and VIB behind a DIF.
pub(crate) fn head(dif: u8, cursor: &mut Cursor<'_>) -> Result<(Dib, Vib), Error> {
    Ok((Dib::parse(dif, cursor)?, Vib::parse(cursor)?))
}

/// The data of a record whose head is known.
pub(crate) fn value(cursor: &mut Cursor<'_>, head: Span, dib: Dib, vib: Vib) -> Result<Record, Error> {
    let start = cursor.at;
    let mut record = Record { head, data: Span::default(), dib, vib, value: Value::Empty, valid: true };
    match dib.coding.size() {
        Some(size) => {
            let bytes = cursor.take(size)?;
            record.fixed(bytes);
        }
        None => {
            let length = cursor.u8()?;
            record.variable(length, cursor)?;
        }
    }
    record.data = Span::new(start, cursor.at);
    record.valid &= !record.vib.qualifiers.record_error();
    Ok(record)
}

impl Record {
    /// Quantity.
    pub fn quantity(&self) -> Quantity {
        self.vib.meaning.quantity
    }

    /// Unit; see also `vib.per` and `vib.text`.
    pub fn unit(&self) -> Unit {
        self.vib.meaning.unit
    }

    /// The number, if it is one.
    pub fn number(&self) -> Option<Decimal> {
        match self.value {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    fn fixed(&mut self, bytes: &[u8]) {
        let outcome = match (self.dib.coding, self.vib.meaning.reading) {
            (Coding::None | Coding::Selection, _) => None,
            (Coding::Integer(_), Reading::Time) => match *bytes {
                [a, b] => date::type_g([a, b]).map(Value::At),
                [a, b, c] => date::type_j([a, b, c]).map(Value::At),
                [a, b, c, d] => date::type_f([a, b, c, d]).map(Value::At),
                [a, b, c, d, e, f] => date::type_i([a, b, c, d, e, f]).map(Value::At),
                _ => Some(Value::Bytes),
            },
            (Coding::Integer(_) | Coding::Bcd(_), Reading::Digits) => Some(Value::Text(digits(bytes))),
            (Coding::Integer(_), reading) => {
                let (raw, lowest) = integer(bytes, reading == Reading::Bits);
                self.valid = !lowest;
                self.scale(Decimal::new(raw, 0))
            }
            (Coding::Real, _) => {
                let bits = u32::from_le_bytes(bytes.try_into().unwrap_or_default());
                Decimal::from_f32(f32::from_bits(bits)).and_then(|real| self.scale(real))
            }
            (Coding::Bcd(_), _) => bcd(bytes).and_then(|raw| self.scale(Decimal::new(raw, 0))),
            (Coding::Variable, _) => None,
        };
        match outcome {
            Some(value) => self.value = value,
            None => self.valid = self.dib.coding.size() == Some(0),
        }
    }

    /// Variable length, table 5: `length` says what it is.
    fn variable(&mut self, length: u8, cursor: &mut Cursor<'_>) -> Result<(), Error> {
        let n = usize::from(length);
        let outcome = match length {
            0x00..=0xBF => {
                let bytes = cursor.take(n)?;
                // Manufacturers put binary blocks into text; profiles are binary too.
                let printable = bytes.iter().all(|b| (0x20..0x7F).contains(b) || *b >= 0xA0);
                Some(if printable { Value::Text(latin1_reversed(bytes).into()) } else { Value::Bytes })
            }
            0xC0..=0xC9 => bcd_digits(cursor.take(n - 0xC0)?).and_then(|raw| self.scale(Decimal::new(raw, 0))),
            0xD0..=0xD9 => bcd_digits(cursor.take(n - 0xD0)?).and_then(|raw| self.scale(Decimal::new(-raw, 0))),
            0xE0..=0xEF => {
                let bytes = cursor.take(n - 0xE0)?;
                if bytes.len() > 8 {
                    Some(Value::Bytes)
                } else {
                    let (raw, lowest) = integer(bytes, self.vib.meaning.reading == Reading::Bits);
                    self.valid = !lowest;
                    self.scale(Decimal::new(raw, 0))
                }
            }
            0xF0..=0xF4 => cursor.take(4 * (n - 0xEC)).map(|_| Some(Value::Bytes))?,
            0xF5 => cursor.take(48).map(|_| Some(Value::Bytes))?,
            0xF6 => cursor.take(64).map(|_| Some(Value::Bytes))?,
            _ => return Err(Error::Value("LVAR")),
        };
        match outcome {
            Some(value) => self.value = value,
            None => self.valid = false,
        }
        Ok(())
    }

    /// Factor, power of ten and offset of the VIB.
    pub(crate) fn scale(&self, raw: Decimal) -> Option<Value> {
        let meaning = &self.vib.meaning;
        let scaled = match meaning.factor {
            0 | 1 => raw,
            factor => raw.times(i128::from(factor))?,
        };
        let scaled = scaled.scaled(meaning.exponent);
        let value = match self.vib.offset {
            Some(offset) => scaled.plus(offset)?,
            None => scaled,
        };
        Some(Value::Number(value))
    }
}

/// A little-endian integer of at most 8 bytes, and whether it is the lowest one of its size, which type B keeps for
/// "no value".
fn integer(bytes: &[u8], unsigned: bool) -> (i128, bool) {
    let mut wide = [0; 8];
    let n = bytes.len().min(8);
    wide[..n].copy_from_slice(&bytes[..n]);
    let raw = u64::from_le_bytes(wide);
    if unsigned || n == 0 {
        return (i128::from(raw), false);
    }
    let shift = 64 - 8 * n as u32;
    let signed = ((raw << shift) as i64) >> shift;
    (i128::from(signed), n > 1 && raw == 1 << (8 * n - 1))
}

/// Type A: digits, a leading F for minus. `None` for any other hex digit.
pub(crate) fn bcd(bytes: &[u8]) -> Option<i128> {
    let (last, rest) = bytes.split_last()?;
    if last >> 4 == 0x0F {
        let rest = bcd_digits(rest)?;
        let high = last & 0x0F;
        return (high <= 9).then(|| -(i128::from(high) * 100i128.pow((bytes.len() - 1) as u32) + rest));
    }
    bcd_digits(bytes)
}

fn bcd_digits(bytes: &[u8]) -> Option<i128> {
    bytes.iter().rev().try_fold(0i128, |sum, b| {
        let (high, low) = (b >> 4, b & 0x0F);
        (high <= 9 && low <= 9).then(|| sum * 100 + i128::from(high * 10 + low))
    })
}

/// Least significant byte last, as printed.
fn digits(bytes: &[u8]) -> Box<str> {
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    to_hex(&reversed).into()
}

/// ISO 8859-1, last character first.
pub(crate) fn latin1_reversed(bytes: &[u8]) -> String {
    bytes.iter().rev().map(|b| char::from(*b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::from_hex;

    fn records(hex: &str) -> Vec<(String, Quantity, &'static str)> {
        let bytes = from_hex(hex).unwrap();
        let records = parse(&bytes, Span::new(0, bytes.len()));
        assert_eq!(records.rest, None, "{hex}");
        records.list.iter().map(|r| (text(&r.value), r.quantity(), r.unit().word())).collect()
    }

    fn text(value: &Value) -> String {
        match value {
            Value::Number(n) => n.to_string(),
            Value::At(at) => at.to_string(),
            Value::Text(text) => text.to_string(),
            Value::Bytes => "bytes".into(),
            Value::Empty => "-".into(),
        }
    }

    fn one(hex: &str) -> (String, Quantity, &'static str) {
        let mut list = records(hex);
        assert_eq!(list.len(), 1, "{hex}");
        list.remove(0)
    }

    #[test]
    fn the_kinds_of_data() {
        assert_eq!(one("0C9327 44270000".replace(' ', "").as_str()).0, "2.744");
        assert_eq!(one("0413FFFFFFFF").0, "-0.001");
        assert_eq!(one("0B3B0200F0").0, "-0.002");
        assert_eq!(one("0C13FEFEFEFE").0, "-");
        assert_eq!(one("0512000000C0").0, "-0.0002");
        assert_eq!(one("426CBF28"), ("2021-08-31".into(), Quantity::TimePoint, ""));
        assert_eq!(one("0C7875376800").0, "00683775");
        assert_eq!(one("0DFD0E0541424344 45".replace(' ', "").as_str()).0, "EDCBA");
        assert_eq!(one("0D13C3785634").0, "345.678");
        assert_eq!(one("0D13D3785634").0, "-345.678");
        assert_eq!(one("0D13E2FFFF").0, "-0.001");
        assert_eq!(one("02FD1780FF").0, "65408");
        assert_eq!(one("0142FF"), ("-0.00060".into(), Quantity::VolumeFlow, "m3/h"));
    }

    #[test]
    fn numbers_of_the_dib() {
        let bytes = from_hex("C48140130100 0000".replace(' ', "").as_str()).unwrap();
        let records = parse(&bytes, Span::new(0, bytes.len())).list;
        assert_eq!((records[0].dib.storage, records[0].dib.tariff, records[0].dib.subunit), (3, 0, 2));
        assert_eq!(records[0].head, Span::new(0, 4));
        assert_eq!(records[0].data, Span::new(4, 8));
    }

    #[test]
    fn plain_text_units_in_both_orders() {
        let bytes =
            from_hex("02FC0374252E3C 1027 02FC3C0374252E 1027 027C03207325 1027".replace(' ', "").as_str()).unwrap();
        let records = parse(&bytes, Span::new(0, bytes.len())).list;
        assert_eq!(records.len(), 3);
        assert_eq!(records[0].vib.text.as_deref(), Some(".%t"));
        assert!(records[0].vib.qualifiers.backward() && records[1].vib.qualifiers.backward());
        assert_eq!(records[1].vib.text.as_deref(), Some(".%t"));
        assert_eq!(text(&records[2].value), "10000");
    }

    #[test]
    fn a_bad_record_keeps_those_before_it() {
        let bytes = from_hex("041301000000 0413FF").unwrap();
        let records = parse(&bytes, Span::new(0, bytes.len()));
        assert_eq!(records.list.len(), 1);
        assert_eq!(records.rest, Some((Span::new(6, 9), Error::Truncated { at: 8 })));
    }

    #[test]
    fn the_lowest_integer_is_no_value() {
        let bytes = from_hex("041300000080").unwrap();
        let record = &parse(&bytes, Span::new(0, bytes.len())).list[0];
        assert_eq!((text(&record.value).as_str(), record.valid), ("-2147483.648", false));
    }
}
