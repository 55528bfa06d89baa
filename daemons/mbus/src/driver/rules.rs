//! The driver file, and its rules for records.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::Deserialize;

use super::{Reading, qualifier_words};
use crate::record::vif::Quantity;
use crate::record::{Function, Record, Value};
use crate::{Address, Decimal, Manufacturer};

/// Why a driver file cannot be used: its writer's fault. Says the file and, where it can, the line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {why}")]
pub struct RuleError {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub why: String,
}

/// A driver.
#[derive(Clone, Debug)]
pub struct Driver {
    /// Name, unique.
    pub name: String,
    /// The meters it is for.
    pub meters: Vec<Meter>,
    /// Values of earlier telegrams stay valid.
    pub merge: bool,
    /// Words for bits of the status byte.
    pub status: Vec<(u8, String)>,
    pub(super) media: BTreeMap<u8, String>,
    pub(super) medium: Option<String>,
    pub(super) fields: Vec<Field>,
    pub(super) layouts: Vec<super::layout::Layout>,
    pub(super) derived: Vec<Derived>,
}

/// A kind of meter; what is `None` may be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meter {
    /// Manufacturer.
    pub manufacturer: Manufacturer,
    /// Version.
    pub version: Option<u8>,
    /// Device type.
    pub device_type: Option<u8>,
    /// First CI of the payload.
    pub ci: Option<u8>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    /// What the driver is for, in a line.
    #[serde(default)]
    #[allow(dead_code, reason = "for people")]
    about: String,
    #[serde(default)]
    meters: Vec<String>,
    #[serde(default)]
    merge: bool,
    medium: Option<String>,
    #[serde(default)]
    media: BTreeMap<String, String>,
    #[serde(default)]
    status: BTreeMap<String, String>,
    #[serde(default)]
    field: Vec<Field>,
    #[serde(default)]
    layout: Vec<super::layout::Layout>,
    #[serde(default)]
    derived: Vec<Derived>,
}

/// A rule for records.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Field {
    /// Name; `{storage}`, `{tariff}`, `{subunit}` and `{storage-7}` are replaced.
    name: String,
    /// Quantity word; absent for any.
    is: Option<String>,
    /// Storage number or range of them; absent: 0.
    storage: Option<Numbers>,
    tariff: Option<Numbers>,
    subunit: Option<Numbers>,
    /// `instantaneous` when absent, `any`.
    function: Option<String>,
    /// Qualifier words that it has, no others; `any` for any.
    with: Vec<String>,
    /// VIF code in its table.
    code: Option<u8>,
    /// Unit in place of the one of the VIF.
    unit: Option<String>,
    /// What is done with the number.
    #[serde(flatten)]
    pub(super) change: Change,
}

/// What is done with a number before it is shown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Change {
    /// Times ten to this power.
    scale: i16,
    /// Times this.
    factor: Option<i64>,
    /// Divided by this, exact where that has an end, else rounded to six places.
    divide: Option<i64>,
    /// Plus this.
    plus: Option<i64>,
    /// Raw numbers that are no values.
    invalid: Vec<i64>,
    /// Words for bits; they also go into `status` when `to_status`.
    flags: BTreeMap<String, String>,
    /// Words for numbers.
    map: BTreeMap<String, String>,
    /// Flags go into the status.
    to_status: bool,
    /// Shown as hex digits of so many bytes.
    hex: Option<u8>,
    /// Only these bits of a whole number: lowest and number of them.
    bits: Option<[u32; 2]>,
    /// More bits, to put above those.
    high: Option<[u32; 2]>,
    /// Numbers for whole numbers: raw to decimal.
    table: BTreeMap<String, String>,
}

/// A value that follows from others of the same telegram.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Derived {
    pub(super) name: String,
    /// `sum`, `difference`, `root-sum-square`.
    op: String,
    of: Vec<String>,
    unit: String,
}

impl Derived {
    /// `None` when a part is missing.
    pub(super) fn value(&self, readings: &[Reading]) -> Option<(Decimal, String)> {
        let number = |name: &String| {
            let reading = readings.iter().find(|r| r.name == *name && r.valid)?;
            if let Value::Number(number) = reading.value { Some(number) } else { None }
        };
        let parts: Option<Vec<Decimal>> = self.of.iter().map(number).collect();
        let parts = parts?;
        let (first, rest) = parts.split_first()?;
        let value = match self.op.as_str() {
            "difference" => rest.iter().try_fold(*first, |d, n| d.minus(*n))?,
            "root-sum-square" => root_sum_square(&parts)?,
            _ => rest.iter().try_fold(*first, |d, n| d.plus(*n))?,
        };
        Some((value, self.unit.clone()))
    }
}

/// Six decimal places.
fn root_sum_square(parts: &[Decimal]) -> Option<Decimal> {
    let mut sum = Decimal::ZERO;
    for part in parts {
        let square = Decimal::new(part.mantissa().checked_mul(part.mantissa())?, part.exponent().checked_mul(2)?);
        sum = sum.plus(square)?;
    }
    let scaled = sum.divided(1, 14)?;
    let root = i128::try_from(scaled.mantissa().unsigned_abs().isqrt()).ok()?;
    Some(Decimal::new(root, -7).rounded(6).trimmed())
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Numbers {
    One(u64),
    Range([u64; 2]),
    Word(#[allow(dead_code, reason = "only `any` is a word")] String),
}

impl Numbers {
    fn range(&self) -> RangeInclusive<u64> {
        match self {
            Self::One(n) => *n..=*n,
            Self::Range([a, b]) => *a..=*b,
            Self::Word(_) => 0..=u64::MAX,
        }
    }
}

impl Driver {
    /// Reads a driver file; `file` is for messages.
    ///
    /// # Errors
    /// [`RuleError`].
    pub fn parse(file: &str, text: &str) -> Result<Self, RuleError> {
        let wrong = |why: String| RuleError { file: file.to_owned(), why };
        let raw: File = toml::from_str(text).map_err(|error| wrong(error.to_string().trim().replace('\n', " ")))?;
        let meters = raw.meters.iter().map(|m| meter(m).ok_or_else(|| wrong(format!("`{m}` names no meter"))));
        let byte = |text: &String| u8::from_str_radix(text, 16).map_err(|_| wrong(format!("`{text}` is no hex byte")));
        let status = raw.status.iter().map(|(bit, word)| Ok((byte(bit)?, word.clone())));
        let media = raw.media.iter().map(|(code, word)| Ok((byte(code)?, word.clone())));
        for field in &raw.field {
            if let Some(is) = &field.is
                && Quantity::from_word(is).is_none()
            {
                return Err(wrong(format!("field `{}`: `{is}` is no quantity", field.name)));
            }
        }
        for layout in &raw.layout {
            layout.check().map_err(&wrong)?;
        }
        Ok(Self {
            meters: meters.collect::<Result<_, _>>()?,
            status: status.collect::<Result<_, _>>()?,
            media: media.collect::<Result<_, _>>()?,
            medium: raw.medium,
            name: raw.name,
            merge: raw.merge,
            fields: raw.field,
            layouts: raw.layout,
            derived: raw.derived,
        })
    }

    /// How narrowly the driver fits a meter; `None`: not at all.
    pub(super) fn fit(&self, address: &Address, ci: u8) -> Option<u8> {
        let fits = |rule: Option<u8>, value| rule.is_none_or(|r| r == value);
        self.meters
            .iter()
            .filter(|m| {
                m.manufacturer == address.manufacturer.plain()
                    && fits(m.version, address.version)
                    && fits(m.device_type, address.device_type)
                    && fits(m.ci, ci)
            })
            .map(|m| {
                u8::from(m.ci.is_some()) * 4 + u8::from(m.version.is_some()) * 2 + u8::from(m.device_type.is_some())
            })
            .max()
    }

    pub(super) fn medium_of(&self, device_type: u8) -> Option<&str> {
        self.media.get(&device_type).or(self.medium.as_ref()).map(String::as_str)
    }

    /// All rules that fit: a record with several things in its bits has several.
    pub(super) fn rules<'a>(&'a self, record: &'a Record) -> impl Iterator<Item = &'a Field> {
        let mut words = None;
        self.fields.iter().filter(move |field| field.fits(record, &mut words))
    }
}

/// `KAM 1C 04`, `APA * 07`, `TCH * * A0`: manufacturer, version, type and CI.
fn meter(text: &str) -> Option<Meter> {
    let mut parts = text.split_whitespace();
    let manufacturer = Manufacturer::parse(parts.next()?)?;
    let mut byte = || match parts.next() {
        None | Some("*") => Some(None),
        Some(hex) => u8::from_str_radix(hex, 16).ok().map(Some),
    };
    Some(Meter { manufacturer, version: byte()?, device_type: byte()?, ci: byte()? })
}

impl Field {
    fn fits(&self, record: &Record, words: &mut Option<Vec<String>>) -> bool {
        let dib = &record.dib;
        let within = |rule: &Option<Numbers>, n: u64| rule.as_ref().map_or(n == 0, |r| r.range().contains(&n));
        if self.is.as_deref().is_some_and(|is| is != record.quantity().word())
            || self.code.is_some_and(|code| code != record.vib.code)
            || !within(&self.storage, dib.storage)
            || !within(&self.tariff, u64::from(dib.tariff))
            || !within(&self.subunit, u64::from(dib.subunit))
        {
            return false;
        }
        let function = match self.function.as_deref() {
            Some("any") => true,
            Some(word) => word == dib.function.word(),
            None => dib.function == Function::Instantaneous,
        };
        if !function {
            return false;
        }
        if self.with.iter().any(|w| w == "any") {
            return true;
        }
        let words = words.get_or_insert_with(|| qualifier_words(record));
        words.len() == self.with.len() && words.iter().all(|w| self.with.contains(w))
    }

    pub(super) fn apply(&self, record: &Record, reading: &mut Reading, flags: &mut Vec<String>) {
        reading.name = fill(&self.name, record.dib.storage, record.dib.tariff, record.dib.subunit, 0);
        if let Some(unit) = &self.unit {
            reading.unit.clone_from(unit);
        }
        self.change.apply(reading, flags);
    }
}

/// Puts numbers into a name: `{storage}`, `{storage-7}`, `{n+1}`.
pub(super) fn fill(name: &str, storage: u64, tariff: u32, subunit: u16, n: i64) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((inside, behind)) = after.split_once('}') else { break };
        let (word, shift) = match inside.find(['+', '-']) {
            Some(at) => (&inside[..at], inside[at..].parse::<i64>().unwrap_or(0)),
            None => (inside, 0),
        };
        let number = match word {
            "storage" => i64::try_from(storage).unwrap_or(i64::MAX),
            "tariff" => i64::from(tariff),
            "subunit" => i64::from(subunit),
            // Storage numbers come in pairs of the middle and the end of a month.
            "half" => i64::try_from(storage / 2).unwrap_or(i64::MAX),
            "odd" => 2 * n + 1,
            "even" => 2 * n + 2,
            _ => n,
        };
        out.push_str(&number.saturating_add(shift).to_string());
        rest = behind;
    }
    out.push_str(rest);
    out
}

impl Change {
    pub(super) fn apply(&self, reading: &mut Reading, flags: &mut Vec<String>) {
        let Value::Number(number) = reading.value else { return };
        let whole = (number.exponent() >= 0).then(|| i64::try_from(number.mantissa()).ok()).flatten();
        let mut number = number;
        if let (Some(raw), Some(bits)) = (whole, self.bits) {
            let part = |[low, count]: [u32; 2]| {
                let mask = 1i128.checked_shl(count.min(64)).unwrap_or(0) - 1;
                i128::from(raw as u64).checked_shr(low).unwrap_or(0) & mask
            };
            let high = self.high.map_or(0, |high| part(high).checked_shl(bits[1]).unwrap_or(0));
            number = Decimal::new(part(bits) | high, 0);
        }
        let whole = (number.exponent() >= 0).then(|| i64::try_from(number.mantissa()).ok()).flatten();
        if let Some(raw) = whole {
            if let Some(decimal) = self.table.get(&raw.to_string()).and_then(|text| Decimal::parse(text)) {
                reading.value = Value::Number(decimal);
                return;
            }
            if self.invalid.contains(&raw) {
                reading.valid = false;
                reading.value = Value::Empty;
                return;
            }
            if !self.flags.is_empty() {
                let words = self.words(raw);
                if self.to_status {
                    flags.extend(words.iter().cloned());
                }
                let text = if words.is_empty() { "OK".to_owned() } else { words.join(" ") };
                reading.value = Value::Text(text.into());
                return;
            }
            if !self.map.is_empty() {
                let text = self.map.get(&raw.to_string()).cloned().unwrap_or_else(|| format!("UNKNOWN_{raw:X}"));
                if self.to_status && text != "OK" {
                    flags.push(text.clone());
                }
                reading.value = Value::Text(text.into());
                return;
            }
            if let Some(bytes) = self.hex {
                let width = usize::from(bytes) * 2;
                reading.value = Value::Text(format!("{raw:0width$X}").into());
                return;
            }
        }
        reading.value = self.number(number).map_or(Value::Empty, Value::Number);
    }

    fn words(&self, raw: i64) -> Vec<String> {
        let mut left = raw;
        let mut out = vec![];
        for (mask, word) in &self.flags {
            let mask = i64::from_str_radix(mask, 16).unwrap_or(0);
            if mask != 0 && raw & mask != 0 {
                out.push(word.clone());
                left &= !mask;
            }
        }
        if left != 0 {
            out.push(format!("UNKNOWN_{left:X}"));
        }
        out
    }

    fn number(&self, raw: Decimal) -> Option<Decimal> {
        let mut number = raw;
        if let Some(factor) = self.factor {
            number = number.times(i128::from(factor))?;
        }
        if let Some(by) = self.divide {
            let exact = by.unsigned_abs().is_power_of_two();
            let places = if exact { (by.unsigned_abs().trailing_zeros() as u8).saturating_add(3) } else { 6 };
            number = number.divided(i128::from(by), places)?.trimmed();
        }
        number = number.scaled(self.scale);
        match self.plus {
            Some(plus) => number.plus(Decimal::from(plus)),
            None => Some(number),
        }
    }
}
