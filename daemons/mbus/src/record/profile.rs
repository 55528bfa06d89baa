//! Compact profiles, EN 13757-3, annex F: many equally spaced values in one record.
//!
//! The record has a VIFE that says so (13 inverse, 1E with register, 1F), and its data begins with spacing control and
//! spacing value. The storage number names the base: a record of the same quantity and storage has the base value, one
//! with a date and the same storage the base time. Each element becomes a record of its own behind the others, with
//! the storage number that it would have, and a date beside it where the base has one.

use super::{DateTime, Quantity, Reading, Record, Value, integer, vif};
use crate::{Decimal, Span};

/// VIFEs of the three kinds.
const INVERSE: u16 = 0x13;
const WITH_REGISTER: u16 = 0x1E;
const PLAIN: u16 = 0x1F;

/// Most elements of one profile: the data of the longest telegram in bytes.
const MAX_ELEMENTS: usize = 255;

/// How an element becomes a value (bits 7 and 6 of spacing control).
#[derive(Clone, Copy, PartialEq)]
enum Increments {
    /// Elements are values.
    Absolute,
    /// Not signed, each adds.
    Up,
    /// Not signed, each subtracts.
    Down,
    /// Signed.
    Signed,
}

/// Distance of two elements.
#[derive(Clone, Copy)]
enum Spacing {
    Seconds(i64),
    Months(i64),
    HalfMonth,
    Unknown,
}

impl Spacing {
    fn new(unit: u8, value: u8) -> Self {
        let n = i64::from(value);
        match (unit, value) {
            // 254 of the day unit is a month, 253 half a month (annex F, table F.3).
            (3, 254) => Self::Months(1),
            (3, 253) => Self::HalfMonth,
            (3, 251..=252) | (_, 0) => Self::Unknown,
            (0, _) => Self::Seconds(n),
            (1, _) => Self::Seconds(n * 60),
            (2, _) => Self::Seconds(n * 3600),
            _ => Self::Seconds(n * 86_400),
        }
    }

    fn step(self, base: DateTime, steps: i64) -> Option<DateTime> {
        match self {
            Self::Seconds(s) => base.plus_seconds(s.checked_mul(steps)?),
            Self::Months(m) => base.plus_months(m.checked_mul(steps)?),
            // Two steps are a month; half of one is to the 15th and to the last of the month.
            Self::HalfMonth => {
                let (year, month, day) = base.date?;
                let half = i64::from(day > 15) + steps;
                let first = DateTime { date: Some((year, month, 1)), ..base }.plus_months(half.div_euclid(2))?;
                let (year, month, _) = first.date?;
                let day = if half.rem_euclid(2) == 0 { 15 } else { super::date::days_in(year, month) };
                Some(DateTime { date: Some((year, month, day)), ..base })
            }
            Self::Unknown => None,
        }
    }
}

/// Takes the profiles of `list` apart; their elements are appended.
pub(crate) fn expand(telegram: &[u8], list: &mut Vec<Record>) {
    let own = list.len();
    for index in 0..own {
        let codes = &list[index].vib.qualifiers;
        let Some(kind) = [INVERSE, WITH_REGISTER, PLAIN].into_iter().find(|kind| codes.has(*kind)) else { continue };
        let elements = elements(telegram, &list[index], kind, &list[..own]);
        list.extend(elements);
    }
}

fn elements(telegram: &[u8], profile: &Record, kind: u16, list: &[Record]) -> Vec<Record> {
    // LVAR, spacing control, spacing value.
    let data = profile.data.of(telegram);
    let [_, control, spacing, series @ ..] = data else { return vec![] };
    let size = match control & 0x0F {
        n @ 1..=4 => usize::from(n),
        6 => 6,
        7 => 8,
        // BCD of 1 to 4 and 6 bytes.
        n @ 9..=0x0C => usize::from(n - 8),
        0x0E => 6,
        _ => return vec![],
    };
    let is_bcd = control & 0x08 != 0;
    let increments = match control >> 6 {
        0 => Increments::Absolute,
        1 => Increments::Up,
        2 => Increments::Down,
        _ => Increments::Signed,
    };
    let spacing = Spacing::new(control >> 4 & 3, *spacing);
    let qualifiers = profile.vib.qualifiers.without(kind);
    let same = |r: &&Record| {
        (r.dib.storage, r.dib.tariff, r.dib.subunit) == (profile.dib.storage, profile.dib.tariff, profile.dib.subunit)
    };
    let base = list.iter().filter(same).find(|r| {
        (r.vib.table, r.vib.code, r.vib.qualifiers) == (profile.vib.table, profile.vib.code, qualifiers)
            && r.dib.function == profile.dib.function
    });
    let time = |r: &&Record| r.dib.storage == profile.dib.storage && r.quantity() == Quantity::TimePoint;
    let base_time = list.iter().find(time).and_then(|r| if let Value::At(at) = r.value { Some(at) } else { None });
    let (direction, first) = if kind == INVERSE { (-1, 1) } else { (1, i64::from(kind != WITH_REGISTER)) };
    let mut sum = base.and_then(Record::number);
    let mut out = vec![];
    let start = profile.data.end as usize - series.len();
    for (n, bytes) in series.chunks_exact(size).take(MAX_ELEMENTS).enumerate() {
        let unsigned = matches!(increments, Increments::Up | Increments::Down);
        let (raw, invalid) = if is_bcd {
            super::bcd(bytes).map_or((0, true), |raw| (raw, false))
        } else {
            let (raw, lowest) = integer(bytes, unsigned);
            (raw, lowest || (unsigned && bytes.iter().all(|b| *b == 0xFF)))
        };
        let meaning = profile.vib.meaning;
        let mut record = Record {
            head: profile.head,
            data: Span::new(start + n * size, start + (n + 1) * size),
            dib: profile.dib,
            vib: vif::Vib { qualifiers, ..profile.vib.clone() },
            value: Value::Empty,
            valid: !invalid,
        };
        let steps = first + n as i64;
        record.dib.storage = profile.dib.storage.saturating_add(steps.unsigned_abs());
        let scaled = match record.scale(Decimal::new(raw, 0)) {
            Some(Value::Number(number)) if meaning.reading == Reading::Number => Some(number),
            _ => None,
        };
        let number = match increments {
            Increments::Absolute => scaled,
            // A gap in a chain of increments leaves all behind it without a value.
            _ if invalid => {
                sum = None;
                scaled
            }
            Increments::Up | Increments::Signed | Increments::Down => {
                let back = (increments == Increments::Down) != (direction < 0);
                sum = sum.zip(scaled).and_then(|(s, d)| if back { s.minus(d) } else { s.plus(d) });
                sum
            }
        };
        if let Some(number) = number {
            record.value = Value::Number(number);
        } else {
            record.valid = false;
        }
        if let Some(at) = base_time.and_then(|at| spacing.step(at, direction * steps)) {
            let meaning = vif::Meaning { quantity: Quantity::TimePoint, ..vif::Meaning::default() };
            let vib = Vib0 { meaning, ..Vib0::default() };
            let time = Record { vib, value: Value::At(at), valid: true, ..record.clone() };
            out.push(record);
            out.push(time);
        } else {
            out.push(record);
        }
    }
    out
}

use vif::Vib as Vib0;
