//! Fixed data structure (CI 73, 77 in wired meters; EN 13757-3, annex I): two counters, one unit each.

use crate::bytes::Cursor;
use crate::record::vif::{Meaning, Quantity, Reading, Unit};
use crate::record::{Coding, Dib, Record, Records, Value, Vib, bcd};
use crate::{Decimal, Error, Span};

/// What the 16 bytes say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// Identification number, least significant byte first.
    pub id: [u8; 4],
    /// Access number.
    pub access: u8,
    /// Status: bit 0 counters are binary, bit 1 counters are of the fixed date; the others as in [`crate::status`].
    pub status: u8,
    /// Device type as in long headers.
    pub device_type: u8,
    /// The two counters.
    pub records: Records,
}

/// Reads the structure behind the CI at `at`.
///
/// # Errors
/// [`Error::Truncated`].
pub fn parse(telegram: &[u8], span: Span) -> Result<Fixed, Error> {
    let end = (span.end as usize).min(telegram.len());
    let mut cursor = Cursor::new(&telegram[..end], span.start as usize);
    let id = cursor.array()?;
    let [access, status, unit1, unit2] = cursor.array()?;
    let (binary, stored) = (status & 1 != 0, status & 2 != 0);
    let mut records = Records::default();
    for (n, unit) in [unit1 & 0x3F, unit2 & 0x3F].into_iter().enumerate() {
        let start = cursor.at;
        let bytes: [u8; 4] = cursor.array()?;
        // 3E: the unit of the first counter, a historic value.
        let historic = unit == 0x3E;
        let meaning = meaning(if historic { unit1 & 0x3F } else { unit });
        let raw = if binary { Some(i128::from(u32::from_le_bytes(bytes))) } else { bcd(&bytes) };
        let mut record = Record {
            head: Span::new(span.start as usize + 6 + n, span.start as usize + 7 + n),
            data: Span::new(start, start + 4),
            dib: Dib {
                coding: if binary { Coding::Integer(4) } else { Coding::Bcd(4) },
                storage: u64::from(stored || historic),
                subunit: u16::from(n == 1 && !historic),
                ..Dib::default()
            },
            vib: Vib { meaning, ..Vib::default() },
            value: Value::Empty,
            valid: true,
        };
        match raw.and_then(|raw| record.scale(Decimal::new(raw, 0))) {
            Some(value) => record.value = value,
            None => record.valid = false,
        }
        records.list.push(record);
    }
    Ok(Fixed { id, access, status, device_type: device_type(unit1 >> 6 | unit2 >> 6 << 2), records })
}

/// Units in steps of ten.
fn meaning(unit: u8) -> Meaning {
    use {Quantity as Q, Unit as U};
    let steps = |first: u8, quantity, symbol, exponent: i16| Meaning {
        quantity,
        unit: symbol,
        factor: 1,
        exponent: exponent + i16::from(unit - first),
        reading: Reading::Number,
    };
    match unit {
        0x02..=0x0A => steps(0x02, Q::Energy, U::KilowattHour, -3),
        0x0B..=0x13 => steps(0x0B, Q::Energy, U::Megajoule, -3),
        0x14..=0x1C => steps(0x14, Q::Power, U::Kilowatt, -3),
        0x1D..=0x25 => steps(0x1D, Q::Power, U::MegajoulePerHour, -3),
        0x26..=0x2E => steps(0x26, Q::Volume, U::CubicMetre, -6),
        0x2F..=0x37 => steps(0x2F, Q::VolumeFlow, U::CubicMetrePerHour, -6),
        0x38 => Meaning {
            quantity: Q::ExternalTemperature,
            unit: U::Celsius,
            factor: 1,
            exponent: -3,
            ..Meaning::default()
        },
        0x39 => Meaning { quantity: Q::HeatCostAllocation, unit: U::Hca, factor: 1, ..Meaning::default() },
        0x3F => Meaning { quantity: Q::Dimensionless, factor: 1, ..Meaning::default() },
        _ => Meaning { quantity: Q::Reserved, factor: 1, ..Meaning::default() },
    }
}

/// The four-bit medium as a device type.
fn device_type(medium: u8) -> u8 {
    match medium {
        0x0..=0x8 => medium,
        // Gas, heat, water and so on in the second mode.
        0xA => 0x03,
        0xB => 0x04,
        0xC => 0x06,
        0xD => 0x07,
        0xE => 0x08,
        _ => 0x0F,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::from_hex;

    #[test]
    fn the_standards_example() {
        // Annex I: water, both counters in litres, the second one of the fixed date.
        let bytes = from_hex("78563412 0A 00 E9 7E 01000000 35010000").unwrap();
        let fixed = parse(&bytes, Span::new(0, bytes.len())).unwrap();
        assert_eq!((fixed.id, fixed.access, fixed.device_type), ([0x78, 0x56, 0x34, 0x12], 0x0A, 7));
        let [now, then] = &fixed.records.list[..] else { panic!() };
        assert_eq!(now.number(), Some(Decimal::new(1, -3)));
        assert_eq!(then.number(), Some(Decimal::new(135, -3)));
        assert_eq!((now.dib.storage, then.dib.storage), (0, 1));
        assert!(parse(&bytes[..15], Span::new(0, 15)).is_err());
    }
}
