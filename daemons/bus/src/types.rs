//! Values as they cross the bus.

use meter_model::{Obis, Reading, Status, Unit, Utc};
use serde::{Deserialize, Serialize};
use zbus::wire::Type;

/// A [`Reading`] on the bus: `(xnytu)`. `value * 10^scaler unit` at a point of meter time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[zbus(crate = "zbus::wire")]
pub struct BusReading {
    /// The integer. Meaningless when `status` says [`Status::NO_VALUE`].
    pub value: i64,
    /// Power of ten (-128 to 127; 16 bit because D-Bus has no signed byte).
    pub scaler: i16,
    /// DLMS unit code, see [`Unit::from_code`].
    pub unit: u8,
    /// Meter time, µs since 1970 UTC.
    pub usec: u64,
    /// [`Status`] bits.
    pub status: u32,
}

impl From<Reading> for BusReading {
    /// A time before 1970 (a meter that was never set) becomes 0.
    fn from(r: Reading) -> BusReading {
        BusReading {
            value: r.value,
            scaler: i16::from(r.scaler),
            unit: r.unit.code(),
            usec: u64::try_from(r.at.0).unwrap_or(0),
            status: r.status.0,
        }
    }
}

impl BusReading {
    /// The reading in the meter's own words; `None` when scaler, unit or time are none of this meter's.
    pub fn reading(&self) -> Option<Reading> {
        Some(Reading {
            value: self.value,
            scaler: i8::try_from(self.scaler).ok()?,
            unit: Unit::from_code(self.unit)?,
            at: Utc(i64::try_from(self.usec).ok()?),
            status: Status(self.status),
        })
    }
}

/// A reading with the code of its register: `(s(xnytu))`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[zbus(crate = "zbus::wire")]
pub struct NamedReading {
    /// OBIS code `A.B.C.D.E.F`.
    pub obis: String,
    /// Its value.
    pub reading: BusReading,
}

impl NamedReading {
    /// From the model's types.
    pub fn new(obis: Obis, reading: Reading) -> NamedReading {
        NamedReading { obis: obis.to_string(), reading: reading.into() }
    }
}

/// What a register is: `(sssny)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[zbus(crate = "zbus::wire")]
pub struct RegisterInfo {
    /// OBIS code `A.B.C.D.E.F`.
    pub obis: String,
    /// Name for people.
    pub name: String,
    /// Symbol of the quantity (`A+`, `U1`).
    pub symbol: String,
    /// Power of ten of its values.
    pub scaler: i16,
    /// DLMS unit code.
    pub unit: u8,
}

/// What a logger is and what it holds: `(ssuttt)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[zbus(crate = "zbus::wire")]
pub struct ProfileInfo {
    /// Name used in calls (`load`, `status`).
    pub name: String,
    /// OBIS code `A.B.C.D.E.F`.
    pub obis: String,
    /// Integration period in minutes; 0 for loggers of events.
    pub period_min: u32,
    /// Rows kept at most; the oldest is overwritten.
    pub depth: u64,
    /// Oldest row's sequence number; 0 with `last_seq` 0 when the logger is empty.
    pub first_seq: u64,
    /// Newest row's sequence number (they begin at 1).
    pub last_seq: u64,
}

/// One column of a logger: `(ssnyu)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[zbus(crate = "zbus::wire")]
pub struct ColumnInfo {
    /// OBIS code `A.B.C.D.E.F`; empty for a column that is no register.
    pub obis: String,
    /// Name for people.
    pub name: String,
    /// Power of ten of a shown value.
    pub scaler: i16,
    /// DLMS unit code of a shown value.
    pub unit: u8,
    /// Rows carry the integer as it is stored (energy in mJ, so that differences are exact and hashes can be
    /// checked); shown value = floor(stored / divisor). At least 1.
    pub divisor: u32,
}

impl ColumnInfo {
    /// The shown integer (with scaler and unit of the column) of a stored one; `None` when there is no value.
    pub fn shown(&self, stored: i64) -> Option<i64> {
        (stored != i64::MIN).then(|| stored.div_euclid(i64::from(self.divisor.max(1))))
    }
}

/// One logger row: `(tttuaxsay)`. A row never changes once it exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[zbus(crate = "zbus::wire")]
pub struct BusRow {
    /// Identity of the row: grows by one.
    pub seq: u64,
    /// Begin of the interval in meter time, µs since 1970 UTC (of an event: its time).
    pub start: u64,
    /// End of the interval.
    pub end: u64,
    /// [`Status`] bits of the whole row.
    pub status: u32,
    /// One stored value per column (see [`ColumnInfo::shown`]), `i64::MIN` where there is none.
    pub values: Vec<i64>,
    /// Words of an audit row (who asked); empty in other loggers.
    pub text: String,
    /// SHA-256 over the previous row's hash and this row's content.
    pub hash: Vec<u8>,
}

/// One line of the health report: `(sss)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[zbus(crate = "zbus::wire")]
pub struct HealthItem {
    /// What it is about (`link`, `store`, `ring`, `clock`, …). The set may grow.
    pub name: String,
    /// One of [`level::OK`], [`level::WARNING`], [`level::FAULT`].
    pub level: String,
    /// One sentence with the figures.
    pub detail: String,
}

/// Levels of a [`HealthItem`].
pub mod level {
    /// Works.
    pub const OK: &str = "ok";
    /// Works with a restriction that a person should know.
    pub const WARNING: &str = "warning";
    /// Does not work; metering goes on where it can.
    pub const FAULT: &str = "fault";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_the_documented_ones() {
        assert_eq!(BusReading::SIGNATURE.to_string(), "(xnytu)");
        assert_eq!(NamedReading::SIGNATURE.to_string(), "(s(xnytu))");
        assert_eq!(RegisterInfo::SIGNATURE.to_string(), "(sssny)");
        assert_eq!(ProfileInfo::SIGNATURE.to_string(), "(ssuttt)");
        assert_eq!(ColumnInfo::SIGNATURE.to_string(), "(ssnyu)");
        assert_eq!(BusRow::SIGNATURE.to_string(), "(tttuaxsay)");
        assert_eq!(HealthItem::SIGNATURE.to_string(), "(sss)");
    }

    #[test]
    fn a_column_shows_what_it_stores_rounded_down() {
        let column = |divisor| ColumnInfo { obis: String::new(), name: String::new(), scaler: -3, unit: 30, divisor };
        assert_eq!(column(3600).shown(7199), Some(1));
        assert_eq!(column(3600).shown(-1), Some(-1));
        assert_eq!(column(0).shown(5), Some(5));
        assert_eq!(column(1).shown(i64::MIN), None);
    }

    #[test]
    fn a_reading_survives_the_bus_and_strangers_are_refused() {
        let reading = Reading {
            value: -5,
            scaler: -3,
            unit: Unit::WattHour,
            at: Utc(1_795_000_000_000_000),
            status: Status::CLOCK_INVALID,
        };
        let wire = BusReading::from(reading);
        assert_eq!(wire.reading(), Some(reading));
        assert_eq!(BusReading { unit: 200, ..wire }.reading(), None);
        assert_eq!(BusReading { scaler: 128, ..wire }.reading(), None);
        assert_eq!(BusReading { usec: u64::MAX, ..wire }.reading(), None);
    }
}
