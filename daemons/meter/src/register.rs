//! The one table of registers: code, name, unit and where the value comes from. The bus, the read-out protocols, the
//! display and the documentation all read it.
//!
//! Codes as in the meter's object list: group B is 1 for registers in force (primary values behind current
//! transformers) and 2 for the secondary twins of a CT meter. The other quantities follow the pattern of
//! IEC 62056-6-1: phases at C + 20, + 40, + 60 of the total's code.

use meter_model::{Obis, Unit};

use crate::settings::MeterType;

/// Which energy of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Energy {
    /// A+, active import (Q1 + Q4).
    ActiveImport,
    /// A-, active export (Q2 + Q3).
    ActiveExport,
    /// R+ (Q1 + Q2).
    ReactivePlus,
    /// R- (Q3 + Q4).
    ReactiveMinus,
    /// Reactive energy of quadrant 1 to 4 (0 to 3).
    Quadrant(u8),
    /// E+, apparent while importing.
    ApparentImport,
    /// E-, apparent while exporting.
    ApparentExport,
}

/// Which power: one direction each, zero while the power flows the other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// P+.
    ActiveImport,
    /// P-.
    ActiveExport,
    /// Q+ (Q1 + Q2).
    ReactivePlus,
    /// Q- (Q3 + Q4).
    ReactiveMinus,
    /// S+, while P >= 0.
    ApparentImport,
    /// S-, while P < 0.
    ApparentExport,
}

/// Where the value of a register comes from. Phases are 0 to 2; `None` is the legal total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Cumulative energy in force: settled register plus what was counted since.
    Energy(Option<u8>, Energy),
    /// Secondary cumulative energy (total) of a CT meter.
    Secondary(Energy),
    /// Power over the last second.
    Power(Option<u8>, Power),
    /// RMS voltage.
    Voltage(u8),
    /// RMS current.
    Current(u8),
    /// RMS current of the neutral.
    NeutralCurrent,
    /// Power factor.
    PowerFactor(Option<u8>),
    /// Frequency.
    Frequency,
    /// Meter time, µs since 1970 UTC.
    Clock,
    /// Starts of the metrology.
    Boots,
    /// Time without metering.
    DownTime,
    /// Windows with clipped samples.
    Overloads,
    /// Current transformer ratio in force.
    CtRatio,
}

/// One register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    /// Its code.
    pub obis: Obis,
    /// Full name.
    pub name: &'static str,
    /// Short name.
    pub symbol: &'static str,
    /// Unit.
    pub unit: Unit,
    /// Power of ten.
    pub scaler: i8,
    /// Where the value comes from.
    pub source: Source,
}

impl Register {
    /// Whether a meter of this type has the register.
    pub fn on(&self, meter_type: MeterType) -> bool {
        match self.source {
            Source::Secondary(_) | Source::CtRatio => meter_type.is_ct(),
            Source::Energy(Some(k), _)
            | Source::Power(Some(k), _)
            | Source::PowerFactor(Some(k))
            | Source::Voltage(k)
            | Source::Current(k) => meter_type.has_phase(usize::from(k)),
            _ => true,
        }
    }
}

/// The register of a code, whatever the meter type.
pub fn find(obis: Obis) -> Option<&'static Register> {
    REGISTERS.iter().find(|r| r.obis == obis)
}

const fn entry(
    obis: Obis,
    name: &'static str,
    symbol: &'static str,
    unit: Unit,
    scaler: i8,
    source: Source,
) -> Register {
    Register { obis, name, symbol, unit, scaler, source }
}

/// Entries of one phase: `$c` is 20 × phase, `$k` its index.
macro_rules! phase {
    ($l:literal, $k:literal, $c:literal) => {
        [
            phase!(energy $l, $k, $c + 1, "Active positive energy", "A+", WattHour, ActiveImport),
            phase!(energy $l, $k, $c + 2, "Active negative energy", "A-", WattHour, ActiveExport),
            phase!(energy $l, $k, $c + 3, "Reactive positive energy", "R+", VarHour, ReactivePlus),
            phase!(energy $l, $k, $c + 4, "Reactive negative energy", "R-", VarHour, ReactiveMinus),
            phase!(energy $l, $k, $c + 5, "Reactive energy, quadrant 1", "R1", VarHour, Quadrant(0)),
            phase!(energy $l, $k, $c + 6, "Reactive energy, quadrant 2", "R2", VarHour, Quadrant(1)),
            phase!(energy $l, $k, $c + 7, "Reactive energy, quadrant 3", "R3", VarHour, Quadrant(2)),
            phase!(energy $l, $k, $c + 8, "Reactive energy, quadrant 4", "R4", VarHour, Quadrant(3)),
            phase!(energy $l, $k, $c + 9, "Apparent positive energy", "E+", VoltAmpereHour, ApparentImport),
            phase!(energy $l, $k, $c + 10, "Apparent negative energy", "E-", VoltAmpereHour, ApparentExport),
            phase!(power $l, $k, $c + 1, "Actual active positive power", "P+", Watt, ActiveImport),
            phase!(power $l, $k, $c + 2, "Actual active negative power", "P-", Watt, ActiveExport),
            phase!(power $l, $k, $c + 3, "Actual reactive positive power", "Q+", Var, ReactivePlus),
            phase!(power $l, $k, $c + 4, "Actual reactive negative power", "Q-", Var, ReactiveMinus),
            phase!(power $l, $k, $c + 9, "Actual apparent positive power", "S+", VoltAmpere, ApparentImport),
            phase!(power $l, $k, $c + 10, "Actual apparent negative power", "S-", VoltAmpere, ApparentExport),
            entry(Obis::electricity($c + 12, 7, 0), concat!("Actual voltage, phase ", $l), concat!("U ", $l), Unit::Volt, -3, Source::Voltage($k)),
            entry(Obis::electricity($c + 11, 7, 0), concat!("Actual current, phase ", $l), concat!("I ", $l), Unit::Ampere, -6, Source::Current($k)),
            entry(Obis::electricity($c + 13, 7, 0), concat!("Power factor, phase ", $l), concat!("PF ", $l), Unit::Count, -6, Source::PowerFactor(Some($k))),
        ]
    };
    (energy $l:literal, $k:literal, $c:expr, $name:literal, $symbol:literal, $unit:ident, $energy:expr) => {
        entry(Obis::electricity($c, 8, 0), concat!($name, ", phase ", $l), concat!($symbol, " ", $l), Unit::$unit, -3, {
            use Energy::*;
            Source::Energy(Some($k), $energy)
        })
    };
    (power $l:literal, $k:literal, $c:expr, $name:literal, $symbol:literal, $unit:ident, $power:ident) => {
        entry(Obis::electricity($c, 7, 0), concat!($name, ", phase ", $l), concat!($symbol, " ", $l), Unit::$unit, -3, Source::Power(Some($k), Power::$power))
    };
}

/// A total and, on CT meters, its secondary twin.
const fn total(c: u8, name: &'static str, symbol: &'static str, unit: Unit, energy: Energy) -> Register {
    entry(Obis::electricity(c, 8, 0), name, symbol, unit, -3, Source::Energy(None, energy))
}

const fn secondary(c: u8, name: &'static str, symbol: &'static str, unit: Unit, energy: Energy) -> Register {
    entry(Obis([1, 2, c, 8, 0, 255]), name, symbol, unit, -3, Source::Secondary(energy))
}

const fn power(c: u8, name: &'static str, symbol: &'static str, unit: Unit, power: Power) -> Register {
    entry(Obis::electricity(c, 7, 0), name, symbol, unit, -3, Source::Power(None, power))
}

const TOTALS: [Register; 26] = [
    total(1, "Active positive energy", "A+", Unit::WattHour, Energy::ActiveImport),
    total(2, "Active negative energy", "A-", Unit::WattHour, Energy::ActiveExport),
    total(3, "Reactive positive energy", "R+", Unit::VarHour, Energy::ReactivePlus),
    total(4, "Reactive negative energy", "R-", Unit::VarHour, Energy::ReactiveMinus),
    total(5, "Reactive energy, quadrant 1 (positive inductive)", "R1", Unit::VarHour, Energy::Quadrant(0)),
    total(6, "Reactive energy, quadrant 2 (positive capacitive)", "R2", Unit::VarHour, Energy::Quadrant(1)),
    total(7, "Reactive energy, quadrant 3 (negative inductive)", "R3", Unit::VarHour, Energy::Quadrant(2)),
    total(8, "Reactive energy, quadrant 4 (negative capacitive)", "R4", Unit::VarHour, Energy::Quadrant(3)),
    total(9, "Apparent positive energy", "E+", Unit::VoltAmpereHour, Energy::ApparentImport),
    total(10, "Apparent negative energy", "E-", Unit::VoltAmpereHour, Energy::ApparentExport),
    secondary(1, "Secondary active positive energy", "A+ S", Unit::WattHour, Energy::ActiveImport),
    secondary(2, "Secondary active negative energy", "A- S", Unit::WattHour, Energy::ActiveExport),
    secondary(3, "Secondary reactive positive energy", "R+ S", Unit::VarHour, Energy::ReactivePlus),
    secondary(4, "Secondary reactive negative energy", "R- S", Unit::VarHour, Energy::ReactiveMinus),
    secondary(5, "Secondary reactive energy R1", "R1 S", Unit::VarHour, Energy::Quadrant(0)),
    secondary(6, "Secondary reactive energy R2", "R2 S", Unit::VarHour, Energy::Quadrant(1)),
    secondary(7, "Secondary reactive energy R3", "R3 S", Unit::VarHour, Energy::Quadrant(2)),
    secondary(8, "Secondary reactive energy R4", "R4 S", Unit::VarHour, Energy::Quadrant(3)),
    power(1, "Actual active positive power", "P+", Unit::Watt, Power::ActiveImport),
    power(2, "Actual active negative power", "P-", Unit::Watt, Power::ActiveExport),
    power(3, "Actual reactive positive power", "Q+", Unit::Var, Power::ReactivePlus),
    power(4, "Actual reactive negative power", "Q-", Unit::Var, Power::ReactiveMinus),
    power(9, "Actual apparent positive power", "S+", Unit::VoltAmpere, Power::ApparentImport),
    power(10, "Actual apparent negative power", "S-", Unit::VoltAmpere, Power::ApparentExport),
    entry(Obis::electricity(13, 7, 0), "Power factor, total", "PF", Unit::Count, -6, Source::PowerFactor(None)),
    entry(Obis::electricity(14, 7, 0), "Frequency", "f", Unit::Hertz, -6, Source::Frequency),
];

const OTHERS: [Register; 6] = [
    entry(Obis::electricity(91, 7, 0), "Actual current, neutral", "I N", Unit::Ampere, -6, Source::NeutralCurrent),
    entry(Obis::electricity(0, 4, 2), "Current transformer ratio", "CT ratio", Unit::Count, 0, Source::CtRatio),
    entry(Obis([0, 1, 1, 0, 0, 255]), "Date and time", "RTC", Unit::Second, -6, Source::Clock),
    // The standard has no codes for these three; D = 128 and up is the manufacturer's.
    entry(Obis([0, 1, 96, 128, 0, 255]), "Starts of the metrology", "starts", Unit::Count, 0, Source::Boots),
    entry(Obis([0, 1, 96, 128, 1, 255]), "Time without metering", "down-time", Unit::Second, -6, Source::DownTime),
    entry(Obis([0, 1, 96, 128, 2, 255]), "Windows with overload", "overloads", Unit::Count, 0, Source::Overloads),
];

const L1: [Register; 19] = phase!("L1", 0, 20);
const L2: [Register; 19] = phase!("L2", 1, 40);
const L3: [Register; 19] = phase!("L3", 2, 60);
const COUNT: usize = TOTALS.len() + 3 * L1.len() + OTHERS.len();

/// All registers of all meter types, totals first; [`Register::on`] tells which a type has.
pub static REGISTERS: [Register; COUNT] = {
    let parts: [&[Register]; 5] = [&TOTALS, &L1, &L2, &L3, &OTHERS];
    let mut all = [TOTALS[0]; COUNT];
    let (mut n, mut part) = (0, 0);
    while part < parts.len() {
        let mut i = 0;
        while i < parts[part].len() {
            all[n] = parts[part][i];
            i += 1;
            n += 1;
        }
        part += 1;
    }
    all
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique_and_found() {
        let codes: HashSet<Obis> = REGISTERS.iter().map(|r| r.obis).collect();
        assert_eq!(codes.len(), REGISTERS.len());
        let symbols: HashSet<&str> = REGISTERS.iter().map(|r| r.symbol).collect();
        assert_eq!(symbols.len(), REGISTERS.len());
        assert!(REGISTERS.iter().all(|r| find(r.obis) == Some(r)));
        assert_eq!(find(Obis::electricity(200, 8, 0)), None);
    }

    /// Spot checks against the object list: code, symbol.
    #[test]
    fn codes_are_those_of_the_object_list() {
        for (code, symbol) in [
            ("1.1.1.8.0.255", "A+"),
            ("1.1.4.8.0.255", "R-"),
            ("1.1.8.8.0.255", "R4"),
            ("1.1.10.8.0.255", "E-"),
            ("1.2.7.8.0.255", "R3 S"),
            ("1.1.21.8.0.255", "A+ L1"),
            ("1.1.62.8.0.255", "A- L3"),
            ("1.1.10.7.0.255", "S-"),
            ("1.1.43.7.0.255", "Q+ L2"),
            ("1.1.70.7.0.255", "S- L3"),
            ("1.1.52.7.0.255", "U L2"),
            ("1.1.71.7.0.255", "I L3"),
            ("1.1.33.7.0.255", "PF L1"),
            ("1.1.13.7.0.255", "PF"),
            ("1.1.14.7.0.255", "f"),
            ("0.1.1.0.0.255", "RTC"),
            ("1.1.0.4.2.255", "CT ratio"),
        ] {
            assert_eq!(code.parse().ok().and_then(find).map(|r| r.symbol), Some(symbol), "{code}");
        }
    }

    #[test]
    fn a_type_has_its_own_phases_and_twins_only() {
        let count = |t: MeterType| REGISTERS.iter().filter(|r| r.on(t)).count();
        assert_eq!(count(MeterType::ThreePhase), COUNT - 9);
        assert_eq!(count(MeterType::OnePhase), COUNT - 9 - 2 * 19);
        assert_eq!(count(MeterType::Aron), COUNT - 9 - 19);
        assert_eq!(count(MeterType::Ct), COUNT);
        assert_eq!(count(MeterType::CtAron), COUNT - 19);
    }
}
