//! Layouts of payloads that follow no standard: fields at fixed places, behind tags, or in bits; descrambled first
//! where the manufacturer scrambles.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::rules::{Change, Driver, fill};
use super::{Meaning, Reading};
use crate::record::date;
use crate::record::{DateTime, Function, Quantity, Value};
use crate::security::{self, Key};
use crate::telegram::{Body, Link, Telegram};
use crate::{Decimal, Error, Mode, Span};

/// A layout.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Layout {
    /// Where the payload is: `payload` (behind the header), `block` (behind DIF 0F), `record` (data of a
    /// manufacturer-specific record, with `vif`).
    of: String,
    /// VIFE codes of the record, hex, behind FF.
    vif: Option<String>,
    /// CIs that it applies to; none: any.
    ci: Vec<String>,
    /// Shortest payload.
    min: usize,
    /// Conditions on the payload before descrambling.
    when: Vec<When>,
    /// Named way to make it readable: `prios`, `aes-cbc`.
    transform: Option<String>,
    /// Keys of the transform.
    keys: Vec<String>,
    /// What the first bytes have to be after the transform.
    check: Option<String>,
    /// Tagged part: where it begins, and the length of the data of each tag.
    tags_at: Option<usize>,
    tags: BTreeMap<String, usize>,
    /// Parts that are there when a bit of a byte says so, in their order.
    parts: Option<Parts>,
    /// What is readable now are records.
    records: bool,
    field: Vec<Place>,
}

/// Parts of changing presence.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Parts {
    /// The byte with the bits.
    flags: i64,
    /// Where the first part begins.
    at: usize,
    /// Bit (hex), name, length.
    list: Vec<(String, String, usize)>,
}

/// A condition on a byte.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct When {
    at: i64,
    /// Of the frame as sent, not of the payload.
    frame: bool,
    mask: Option<u8>,
    is: Vec<u8>,
    not: Vec<u8>,
}

/// A field.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Place {
    name: String,
    /// First byte; from the end when negative; behind the tag where there is one.
    at: i64,
    /// Of the frame as sent, not of the payload: for header bytes.
    frame: bool,
    len: usize,
    /// `uint`, `int`, `uint-be`, `bcd`, `bcd-be`, `g`, `f`, `hex`, `text`, `text-reversed`, `ymd` (bits), ...
    coding: String,
    /// Bits of year, month, day of a date: lowest and number each. No bits of a year: see `after`.
    date: Option<[[u32; 2]; 3]>,
    /// Name of an earlier date; the year is such that this is the first after it.
    after: Option<String>,
    /// Byte of the payload with a VIF that gives unit and scale.
    vif_at: Option<i64>,
    /// Name of the part it is in.
    part: Option<String>,
    unit: String,
    #[serde(flatten)]
    change: Change,
    function: Option<String>,
    storage: u64,
    tariff: u32,
    tag: Option<String>,
    when: Vec<When>,
    /// So many of them, this many bytes apart.
    count: Option<usize>,
    step: i64,
}

impl Layout {
    /// What can be seen without a telegram.
    pub(super) fn check(&self) -> Result<(), String> {
        for hex in self.ci.iter().chain(self.tags.keys()) {
            u8::from_str_radix(hex, 16).map_err(|_| format!("`{hex}` is no hex byte"))?;
        }
        for key in self.keys.iter().chain(&self.check).chain(&self.vif) {
            crate::bytes::from_hex(key).map_err(|e| format!("`{key}`: {e}"))?;
        }
        match self.of.as_str() {
            "payload" | "block" | "record" => {}
            other => return Err(format!("layout of `{other}`: payload, block or record")),
        }
        match self.transform.as_deref() {
            None | Some("prios" | "aes-cbc") => {}
            Some(other) => return Err(format!("`{other}` is no transform")),
        }
        for place in &self.field {
            let known = [
                "uint",
                "int",
                "uint-be",
                "int-be",
                "bcd",
                "bcd-be",
                "g",
                "f",
                "hex",
                "text",
                "text-reversed",
                "date",
                "ymd-bcd",
                "dmy-bcd",
            ];
            if !known.contains(&place.coding.as_str()) {
                return Err(format!("field `{}`: `{}` is no coding", place.name, place.coding));
            }
            if place.tag.as_ref().is_some_and(|tag| !self.tags.contains_key(tag)) {
                return Err(format!("field `{}`: its tag has no length", place.name));
            }
        }
        Ok(())
    }

    fn payload(&self, telegram: &Telegram) -> Option<Span> {
        let ci = |hex: &String| u8::from_str_radix(hex, 16) == Ok(telegram.ci);
        if !self.ci.is_empty() && !self.ci.iter().any(ci) {
            return None;
        }
        let records = &telegram.records.list;
        let span = match self.of.as_str() {
            "payload" => telegram.payload,
            "block" => records.iter().find(|r| r.quantity() == Quantity::ManufacturerData)?.data,
            _ => {
                let codes = crate::bytes::from_hex(self.vif.as_deref().unwrap_or_default()).ok()?;
                let fits = |r: &&crate::Record| {
                    r.quantity() == Quantity::ManufacturerSpecific
                        && r.vib.qualifiers.codes().iter().map(|c| *c as u8 & 0x7F).eq(codes.iter().copied())
                };
                records.iter().find(fits)?.data
            }
        };
        let bytes = span.of(&telegram.bytes);
        (bytes.len() >= self.min && self.when.iter().all(|w| w.holds(bytes, &telegram.bytes))).then_some(span)
    }
}

impl When {
    fn holds(&self, bytes: &[u8], frame: &[u8]) -> bool {
        let bytes = if self.frame { frame } else { bytes };
        let Some(byte) = index(self.at, bytes.len()).and_then(|at| bytes.get(at)) else { return false };
        let byte = byte & self.mask.unwrap_or(0xFF);
        (self.is.is_empty() || self.is.contains(&byte)) && !self.not.contains(&byte)
    }
}

fn index(at: i64, length: usize) -> Option<usize> {
    if at >= 0 { usize::try_from(at).ok() } else { length.checked_sub(usize::try_from(-at).ok()?) }
}

/// Reads all layouts of a driver that fit. `covered` gets the data of records that need no name of their own.
pub(super) fn read(
    driver: &Driver,
    telegram: &Telegram,
    key: Option<&Key>,
    out: &mut Meaning,
    flags: &mut Vec<String>,
    covered: &mut Vec<Span>,
    replaced: &mut Option<Telegram>,
) -> Result<(), Error> {
    let mut read_one = false;
    for layout in &driver.layouts {
        let Some(span) = layout.payload(telegram) else { continue };
        let sent = span.of(&telegram.bytes);
        let clear = match layout.transform.as_deref() {
            Some("prios") => Some(prios(layout, telegram)?),
            Some(_) => Some(aes_cbc(telegram, sent, key)?),
            None => None,
        };
        if let (Some(clear), Some(check)) = (&clear, &layout.check)
            && !crate::bytes::from_hex(check).is_ok_and(|check| clear.starts_with(&check))
        {
            return Err(Error::WrongKey(Mode::Manufacturer));
        }
        out.opened |= clear.is_some();
        read_one = true;
        let bytes = clear.as_deref().unwrap_or(sent);
        let tagged = layout.tagged(bytes);
        let parts = layout.parts(bytes);
        if layout.of == "payload" {
            covered.extend(telegram.records.list.iter().map(|r| r.data));
        }
        if layout.records {
            let mut inner = telegram.clone();
            inner.bytes.truncate(span.start as usize);
            inner.bytes.extend(bytes);
            inner.records = crate::record::parse(&inner.bytes, Span::new(span.start as usize, inner.bytes.len()));
            *replaced = Some(inner);
        }
        for place in &layout.field {
            let source = if place.frame { &telegram.bytes[..] } else { bytes };
            let base = match &place.tag {
                Some(tag) => match tagged.iter().find(|(t, _)| u8::from_str_radix(tag, 16) == Ok(*t)) {
                    Some((_, at)) => *at as i64,
                    None => continue,
                },
                None => match &place.part {
                    Some(part) => match parts.iter().find(|(name, _)| name == part) {
                        Some((_, at)) => *at as i64,
                        None => continue,
                    },
                    None => 0,
                },
            };
            if !place.when.iter().all(|w| w.holds(source, &telegram.bytes)) {
                continue;
            }
            for n in 0..place.count.unwrap_or(1) as i64 {
                let at = base + place.at + n * place.step;
                let origin = if place.frame || clear.is_some() { 0 } else { span.start as usize };
                if let Some(mut reading) = place.read(source, at, n, &out.readings) {
                    reading.data = if clear.is_some() && !place.frame {
                        span
                    } else {
                        Span::new(reading.data.start as usize + origin, reading.data.end as usize + origin)
                    };
                    place.change.apply(&mut reading, flags);
                    out.readings.push(reading);
                }
            }
        }
        covered.push(span);
    }
    // A payload under the manufacturer's own CI that no layout fits says nothing, and that should be said.
    if telegram.body == Body::Manufacturer && !read_one && !driver.layouts.is_empty() {
        flags.push("PAYLOAD_NOT_UNDERSTOOD".to_owned());
    }
    Ok(())
}

impl Layout {
    /// Where each part begins that is there.
    fn parts(&self, bytes: &[u8]) -> Vec<(String, usize)> {
        let mut out = vec![];
        let Some(parts) = &self.parts else { return out };
        let flags = index(parts.flags, bytes.len()).and_then(|at| bytes.get(at)).copied().unwrap_or(0);
        let mut at = parts.at;
        for (bit, name, length) in &parts.list {
            if u8::from_str_radix(bit, 16).is_ok_and(|bit| flags & bit != 0) {
                out.push((name.clone(), at));
                at += length;
            }
        }
        out
    }

    /// Where the data of each tag begins. An unknown tag ends the search: its length is not known.
    fn tagged(&self, bytes: &[u8]) -> Vec<(u8, usize)> {
        let mut out = vec![];
        let Some(mut at) = self.tags_at else { return out };
        while let Some(tag) = bytes.get(at) {
            let Some(length) = self.tags.get(&format!("{tag:02X}")) else { break };
            out.push((*tag, at + 1));
            at += 1 + length;
        }
        out
    }
}

impl Place {
    fn read(&self, source: &[u8], at: i64, n: i64, known: &[Reading]) -> Option<Reading> {
        let start = index(at, source.len())?;
        let bytes = source.get(start..start.checked_add(self.len)?)?;
        let mut valid = true;
        let value = match self.coding.as_str() {
            "uint" | "uint-be" | "int" | "int-be" => {
                let mut raw = number(bytes, self.coding.ends_with("be"));
                if self.coding.starts_with('i') && !bytes.is_empty() && bytes.len() <= 8 {
                    let shift = 64 - 8 * bytes.len() as u32;
                    raw = i128::from(((raw as u64) << shift) as i64 >> shift);
                }
                Value::Number(Decimal::new(raw, 0))
            }
            "bcd" | "bcd-be" => {
                let mut digits = bytes.to_vec();
                if self.coding == "bcd-be" {
                    digits.reverse();
                }
                match crate::record::bcd(&digits) {
                    Some(raw) => Value::Number(Decimal::new(raw, 0)),
                    None => Value::Empty,
                }
            }
            "g" => bytes.try_into().ok().and_then(date::type_g).map_or(Value::Empty, Value::At),
            "f" => bytes.try_into().ok().and_then(date::type_f).map_or(Value::Empty, Value::At),
            "date" => {
                let raw = number(bytes, false);
                let part = |[low, count]: [u32; 2]| raw.checked_shr(low).unwrap_or(0) & mask(count);
                let [year, month, day] = self.date?;
                let (mut y, m, d) = (2000 + part(year) as u16, part(month) as u8, part(day) as u8);
                if let Some(name) = &self.after {
                    let before = known.iter().find(|r| r.name == *name);
                    let Some(Value::At(DateTime { date: Some(before), .. })) = before.map(|r| &r.value) else {
                        return None;
                    };
                    y = before.0 + u16::from((m, d) <= (before.1, before.2));
                }
                if (1..=12).contains(&m) && (1..=31).contains(&d) {
                    Value::At(DateTime::day(y, m, d))
                } else {
                    Value::Empty
                }
            }
            "ymd-bcd" | "dmy-bcd" => {
                let part = |n: usize| crate::record::bcd(bytes.get(n..=n).unwrap_or_default()).unwrap_or(0) as u8;
                let (y, d) = if self.coding.starts_with('y') { (part(0), part(2)) } else { (part(2), part(0)) };
                let m = part(1);
                if (1..=12).contains(&m) && (1..=31).contains(&d) {
                    Value::At(DateTime::day(2000 + u16::from(y), m, d))
                } else {
                    Value::Empty
                }
            }
            "text" => Value::Text(bytes.iter().map(|b| char::from(*b)).collect::<String>().into()),
            "text-reversed" => Value::Text(crate::record::latin1_reversed(bytes).into()),
            _ => {
                let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
                Value::Text(crate::bytes::to_hex(&reversed).into())
            }
        };
        valid &= value != Value::Empty;
        let mut unit = self.unit.clone();
        let mut value = value;
        if let Some(at) = self.vif_at {
            let meaning = crate::record::vif::primary(*source.get(index(at, source.len())?)? & 0x7F);
            unit = meaning.unit.word().to_owned();
            if let Value::Number(number) = value {
                value = Value::Number(number.scaled(meaning.exponent));
            }
        }
        let function = match self.function.as_deref() {
            Some("maximum") => Function::Maximum,
            Some("minimum") => Function::Minimum,
            Some("error") => Function::Error,
            _ => Function::Instantaneous,
        };
        let storage = self.storage + n as u64;
        Some(Reading {
            name: fill(&self.name, storage, self.tariff, 0, n),
            value,
            hex: None,
            unit,
            function,
            storage,
            tariff: self.tariff,
            subunit: 0,
            valid,
            data: Span::new(start, start + self.len),
        })
    }
}

fn mask(count: u32) -> i128 {
    1i128.checked_shl(count.min(64)).unwrap_or(0) - 1
}

/// At most eight bytes.
fn number(bytes: &[u8], big_endian: bool) -> i128 {
    let mut raw = 0u64;
    let add = |raw: u64, b: &u8| raw << 8 | u64::from(*b);
    raw = if big_endian { bytes.iter().fold(raw, add) } else { bytes.iter().rev().fold(raw, add) };
    i128::from(raw)
}

/// A shift register over address and header, started with one of the keys; the first byte tells the right one.
fn prios(layout: &Layout, telegram: &Telegram) -> Result<Vec<u8>, Error> {
    let frame = &telegram.bytes;
    let word = |at: usize| {
        frame.get(at..at + 4).map(|b| b.iter().fold(0u32, |w, b| w << 8 | u32::from(*b))).ok_or(Error::Truncated { at })
    };
    let scrambled = frame.get(15..).ok_or(Error::Truncated { at: 15 })?;
    let check = layout.check.as_deref().and_then(|c| crate::bytes::from_hex(c).ok()).unwrap_or_default();
    let fits = |clear: &[u8]| match layout.records {
        // Records that read to the end, as nothing scrambled does.
        true => {
            let records = crate::record::parse(clear, Span::new(0, clear.len()));
            records.rest.is_none() && records.list.len() > 1
        }
        false => clear.starts_with(&check),
    };
    for key in &layout.keys {
        let Ok(key) = crate::bytes::from_hex(key) else { continue };
        let half = |range: std::ops::Range<usize>| {
            key.get(range).unwrap_or_default().iter().fold(0u32, |w, b| w << 8 | u32::from(*b))
        };
        let mut register = half(0..4) ^ half(4..8) ^ word(2)? ^ word(6)? ^ word(10)?;
        let clear: Vec<u8> = scrambled
            .iter()
            .map(|byte| {
                for _ in 0..8 {
                    let bit = (register >> 1 ^ register >> 2 ^ register >> 11 ^ register >> 31) & 1;
                    register = register << 1 | bit;
                }
                byte ^ register as u8
            })
            .collect();
        if fits(&clear) {
            return Ok(clear);
        }
    }
    Err(Error::WrongKey(Mode::Manufacturer))
}

/// AES-CBC behind a prefix of two bytes; the chain starts with the link address and the first byte of the prefix.
fn aes_cbc(telegram: &Telegram, sent: &[u8], key: Option<&Key>) -> Result<Vec<u8>, Error> {
    let key = key.ok_or(Error::NoKey(Mode::Manufacturer))?;
    let Link::Wireless { address, .. } = telegram.link else { return Err(Error::Value("wired payload")) };
    let (prefix, rest) = sent.split_at_checked(2).ok_or(Error::Truncated { at: telegram.bytes.len() })?;
    let mut iv = [0; 16];
    iv[..8].copy_from_slice(&address.link_bytes());
    for (place, byte) in iv[8..].iter_mut().zip(prefix.iter().take(1).cycle()) {
        *place = *byte;
    }
    let mut clear = sent.to_vec();
    clear[2..].copy_from_slice(rest);
    security::cbc_decrypt(key, &iv, &mut clear[2..]);
    Ok(clear)
}
