//! How readings, units and status bits look, for people and for machines. Integer arithmetic only: what is printed is
//! what is stored.

use meter_bus::{BusReading, ColumnInfo, NamedReading};
use meter_model::{Absent, Reading, Status, Unit, Utc};
use serde::Serialize;

use crate::times;

/// A reading with the names of its register: what `read --json` prints, one object each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// OBIS code, `A.B.C.D.E.F`.
    pub obis: String,
    /// What it is, in words.
    pub name: String,
    /// The integer, `null` when there is no value.
    pub value: Option<i64>,
    /// Power of ten.
    pub scaler: i16,
    /// Symbol of the unit, empty for a plain number.
    pub unit: String,
    /// Meter time of the measurement, ISO 8601 UTC, `null` when there was none.
    pub at: Option<String>,
    /// Status bits.
    pub status: u32,
    /// Why there is no value; not printed when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent: Option<&'static str>,
}

impl Entry {
    /// From a reading and the name of its register.
    pub fn new(name: String, named: &NamedReading) -> Entry {
        let reading = &named.reading;
        let absent = absent(reading.status);
        Entry {
            obis: named.obis.clone(),
            name,
            value: absent.is_none().then_some(reading.value),
            scaler: reading.scaler,
            unit: unit_symbol(reading.unit),
            at: Some(reading.usec).filter(|usec| *usec != 0).and_then(times::iso),
            status: reading.status,
            absent: absent.map(Absent::words),
        }
    }
}

/// Why a reading with this status has no value.
pub fn absent(status: u32) -> Option<Absent> {
    Reading { value: 0, scaler: 0, unit: Unit::Count, at: Utc(0), status: Status(status) }.absent()
}

/// The symbol of a DLMS unit code. A code that only a newer meter knows stands as its number.
pub fn unit_symbol(code: u8) -> String {
    Unit::from_code(code).map_or_else(|| format!("unit-{code}"), |unit| unit.symbol().to_owned())
}

/// `value * 10^scaler` in full, without rounding: `decimal(-1230, -2)` is `-12.30`.
pub fn decimal(value: i64, scaler: i16) -> String {
    // No quantity of a meter needs more digits than an i64 has; what does is shown as it came.
    if scaler.unsigned_abs() > 19 {
        return format!("{value}e{scaler}");
    }
    let places = usize::from(scaler.unsigned_abs());
    if scaler >= 0 {
        return format!("{value}{}", "0".repeat(if value == 0 { 0 } else { places }));
    }
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    format!("{}{whole}.{fraction}", if value < 0 { "-" } else { "" })
}

/// The value with its unit for people, energies in their kilo-unit: (`1.234`, `kWh`), (`230.1`, `V`). A reading
/// without a value gives its reason and no unit.
pub fn value_and_unit(reading: &BusReading) -> (String, String) {
    match absent(reading.status) {
        Some(reason) => (reason.words().to_owned(), String::new()),
        None => scaled(reading.value, reading.scaler, reading.unit),
    }
}

/// An integer of a column or register for people; see [`value_and_unit`].
pub fn scaled(value: i64, scaler: i16, unit: u8) -> (String, String) {
    let shift = kilo(unit);
    let prefix = if shift == 0 { "" } else { "k" };
    (decimal(value, scaler.saturating_sub(shift)), format!("{prefix}{}", unit_symbol(unit)))
}

/// The power of ten by which people read this unit: 3 for energies, else 0.
pub fn kilo(unit: u8) -> i16 {
    match Unit::from_code(unit) {
        Some(Unit::WattHour | Unit::VarHour | Unit::VoltAmpereHour) => 3,
        _ => 0,
    }
}

/// The names of the bits that are set, without "no-value" (its reason stands where the value would).
pub fn status_words(status: u32) -> String {
    let status = Status(status);
    let set = Status::NAMES.iter().filter(|(bit, _)| *bit != Status::NO_VALUE && status.has(*bit));
    set.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
}

/// A row of a logger of events: what happened by name, then what is not zero.
pub fn event_words(logger: &str, columns: &[ColumnInfo], values: &[i64]) -> String {
    let mut words = Vec::new();
    for (column, value) in columns.iter().zip(values) {
        if column.name == "code" {
            words.push(code_name(logger, *value).unwrap_or_else(|| format!("code {value}")));
        } else if !matches!(*value, 0 | i64::MIN) {
            words.push(format!("{}={}", column.name.replace(' ', "-"), decimal(*value, column.scaler)));
        }
    }
    words.join(" ")
}

/// The name of a code. A product build of this tool does not contain the meter's tables and shows numbers.
pub fn code_name(logger: &str, code: i64) -> Option<String> {
    #[cfg(feature = "lab")]
    let name = meter_core::LoggerId::named(logger).and_then(|id| meter_core::code_name(id, code)).map(str::to_owned);
    #[cfg(not(feature = "lab"))]
    let name = {
        let _ = (logger, code);
        None
    };
    name
}

/// Bytes as lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        for (value, scaler, text) in [
            (0, 0, "0"),
            (0, 3, "0"),
            (12, 3, "12000"),
            (-1230, -2, "-12.30"),
            (5, -3, "0.005"),
            (-5, -3, "-0.005"),
            (i64::MIN, -6, "-9223372036854.775808"),
            (7, 300, "7e300"),
        ] {
            assert_eq!(decimal(value, scaler), text);
        }
    }

    #[test]
    fn energies_are_read_in_kilo_units_and_absence_by_its_reason() {
        let reading = BusReading { value: 1234, scaler: 0, unit: Unit::WattHour.code(), usec: 1, status: 0 };
        assert_eq!(value_and_unit(&reading), ("1.234".into(), "kWh".into()));
        let none = Reading::none(Absent::NoChannel, -3, Unit::Volt, Utc(1));
        assert_eq!(value_and_unit(&none.into()), ("no such channel".into(), String::new()));
        assert_eq!(status_words((Status::SHORT | Status::RESTART | Status::NO_VALUE).0), "short restart");
        assert_eq!(unit_symbol(200), "unit-200");
    }

    /// The form that other programs rely on: these keys, integers as integers, time as text.
    #[test]
    fn json_of_a_reading() {
        let at = Utc(1_769_860_800_000_000);
        let some = Reading { value: 2301, scaler: -1, unit: Unit::Volt, at, status: Status::CLOCK_HOLDOVER };
        let none = Reading::none(Absent::NotYet, -1, Unit::Volt, Utc(0));
        let entries = [("1.1.32.7.0.255", "Voltage L1", some), ("1.1.52.7.0.255", "Voltage L2", none)]
            .map(|(obis, name, r)| Entry::new(name.into(), &NamedReading { obis: obis.into(), reading: r.into() }));
        insta::assert_snapshot!(serde_json::to_string_pretty(&entries).unwrap(), @r#"
        [
          {
            "obis": "1.1.32.7.0.255",
            "name": "Voltage L1",
            "value": 2301,
            "scaler": -1,
            "unit": "V",
            "at": "2026-01-31T12:00:00Z",
            "status": 4096
          },
          {
            "obis": "1.1.52.7.0.255",
            "name": "Voltage L2",
            "value": null,
            "scaler": -1,
            "unit": "V",
            "at": null,
            "status": 2164260864,
            "absent": "not measured yet"
          }
        ]
        "#);
    }
}
