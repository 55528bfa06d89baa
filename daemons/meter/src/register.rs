//! The one table of registers: code, name, unit and where the value comes from. The bus, the read-out protocols, the
//! display and the documentation all read it.
//!
//! Codes as in the meter's object list: group B is 1 for registers in force (primary values behind current
//! transformers) and 2 for the secondary twins of a CT meter. The other quantities follow the pattern of
//! IEC 62056-6-1: phases at C + 20, + 40, + 60 of the total's code.

use meter_model::{Obis, Unit};

use crate::settings::MeterType;
use crate::tariff::Tariff;

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

impl Energy {
    /// Its place among [`crate::Directions`]; quadrants have none.
    pub(crate) const fn direction(self) -> Option<usize> {
        match self {
            Energy::ActiveImport => Some(0),
            Energy::ActiveExport => Some(1),
            Energy::ReactivePlus => Some(2),
            Energy::ReactiveMinus => Some(3),
            Energy::ApparentImport => Some(4),
            Energy::ApparentExport => Some(5),
            Energy::Quadrant(_) => None,
        }
    }
}

/// Which power: one direction each, zero while the power flows the other way. The order is that of
/// [`crate::Directions`].
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
    /// Cumulative energy of a tariff.
    Tariff(Energy, Tariff),
    /// Secondary cumulative energy of a tariff on a CT meter.
    SecondaryTariff(Energy, Tariff),
    /// A+ plus A-.
    Sum,
    /// A+ minus A-; falls while energy is exported. Never legal.
    Net,
    /// P+ minus P-.
    NetPower,
    /// Energy since the trip counter was set to zero.
    Trip(Power),
    /// Mean power of the last whole integration period.
    Mean(Power),
    /// Largest mean since the last debiting stop.
    Peak(Power),
    /// The same of a tariff.
    TariffPeak(Power, Tariff),
    /// Sum of the peaks at all debiting stops.
    Accumulated(Power, Option<Tariff>),
    /// Highest mean P+ of the day of the last whole period.
    DayMax,
    /// Lowest.
    DayMin,
    /// Hours with mains, and hours in a tariff.
    Hours(Option<Tariff>),
    /// Debiting stops so far.
    DebitingPeriods,
    /// Power threshold.
    Threshold,
    /// Whole periods above it.
    ThresholdCount,
    /// Pulses counted at an input (0 to 3).
    Pulses(u8),
    /// The tariff in force.
    ActiveTariff,
    /// Total harmonic distortion of a voltage.
    ThdU(u8),
    /// Total harmonic distortion of a current.
    ThdI(u8),
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
            Source::Secondary(_) | Source::SecondaryTariff(..) | Source::CtRatio => meter_type.is_ct(),
            Source::ThdI(k) => !meter_type.is_ct() && meter_type.has_phase(usize::from(k)),
            Source::Energy(Some(k), _)
            | Source::Power(Some(k), _)
            | Source::PowerFactor(Some(k))
            | Source::Voltage(k)
            | Source::ThdU(k)
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

/// Tariff number $n: energies, secondary energies, hours, and the peaks that every tariff has.
macro_rules! of_tariff {
    ($n:literal) => {
        [
            of_tariff!(energy $n, 1, "Active positive energy", "A+", WattHour, ActiveImport),
            of_tariff!(energy $n, 2, "Active negative energy", "A-", WattHour, ActiveExport),
            of_tariff!(energy $n, 3, "Reactive positive energy", "R+", VarHour, ReactivePlus),
            of_tariff!(energy $n, 4, "Reactive negative energy", "R-", VarHour, ReactiveMinus),
            of_tariff!(energy $n, 9, "Apparent positive energy", "E+", VoltAmpereHour, ApparentImport),
            of_tariff!(energy $n, 10, "Apparent negative energy", "E-", VoltAmpereHour, ApparentExport),
            of_tariff!(secondary $n, 1, "Secondary active positive energy", "A+", WattHour, ActiveImport),
            of_tariff!(secondary $n, 2, "Secondary active negative energy", "A-", WattHour, ActiveExport),
            of_tariff!(secondary $n, 3, "Secondary reactive positive energy", "R+", VarHour, ReactivePlus),
            of_tariff!(secondary $n, 4, "Secondary reactive negative energy", "R-", VarHour, ReactiveMinus),
            of_tariff!(peak $n, 1, "Peak active positive power", "P+max", Watt, ActiveImport),
            of_tariff!(peak $n, 3, "Peak reactive positive power", "Q+max", Var, ReactivePlus),
            of_tariff!(peak $n, 9, "Peak apparent positive power", "S+max", VoltAmpere, ApparentImport),
            entry(Obis([0, 1, 96, 8, $n, 255]), concat!("Hour counter, tariff ", $n), concat!("hours T", $n), Unit::Hour, 0, Source::Hours(Some(t($n)))),
        ]
    };
    (energy $n:literal, $c:literal, $name:literal, $symbol:literal, $unit:ident, $energy:ident) => {
        entry(Obis::electricity($c, 8, $n), concat!($name, ", tariff ", $n), concat!($symbol, " T", $n), Unit::$unit, -3, Source::Tariff(Energy::$energy, t($n)))
    };
    (secondary $n:literal, $c:literal, $name:literal, $symbol:literal, $unit:ident, $energy:ident) => {
        entry(Obis([1, 2, $c, 8, $n, 255]), concat!($name, ", tariff ", $n), concat!($symbol, " S T", $n), Unit::$unit, -3, Source::SecondaryTariff(Energy::$energy, t($n)))
    };
    (peak $n:literal, $c:literal, $name:literal, $symbol:literal, $unit:ident, $power:ident) => {
        entry(Obis::electricity($c, 6, $n), concat!($name, ", tariff ", $n), concat!($symbol, " T", $n), Unit::$unit, -3, Source::TariffPeak(Power::$power, t($n)))
    };
}

const fn t(number: u8) -> Tariff {
    match Tariff::new(number) {
        Some(tariff) => tariff,
        // Evaluated by the compiler: a wrong number in the table does not build.
        None => panic!(),
    }
}

/// A register of one direction, `d` saying what is shown of it.
const fn direction(c: u8, d: u8, name: &'static str, symbol: &'static str, unit: Unit, source: Source) -> Register {
    entry(Obis::electricity(c, d, 0), name, symbol, unit, -3, source)
}

const DIRECTIONS: [Register; 36] = [
    direction(15, 8, "Active energy, numerical sum of A+ and A-", "A1234", Unit::WattHour, Source::Sum),
    direction(16, 8, "Net active energy", "A-net", Unit::WattHour, Source::Net),
    direction(16, 7, "Net active power", "P-net", Unit::Watt, Source::NetPower),
    direction(
        1,
        128,
        "Trip counter, active positive energy",
        "A+ trip",
        Unit::WattHour,
        Source::Trip(Power::ActiveImport),
    ),
    direction(
        2,
        128,
        "Trip counter, active negative energy",
        "A- trip",
        Unit::WattHour,
        Source::Trip(Power::ActiveExport),
    ),
    direction(
        3,
        128,
        "Trip counter, reactive positive energy",
        "R+ trip",
        Unit::VarHour,
        Source::Trip(Power::ReactivePlus),
    ),
    direction(
        4,
        128,
        "Trip counter, reactive negative energy",
        "R- trip",
        Unit::VarHour,
        Source::Trip(Power::ReactiveMinus),
    ),
    direction(
        9,
        128,
        "Trip counter, apparent positive energy",
        "E+ trip",
        Unit::VoltAmpereHour,
        Source::Trip(Power::ApparentImport),
    ),
    direction(
        10,
        128,
        "Trip counter, apparent negative energy",
        "E- trip",
        Unit::VoltAmpereHour,
        Source::Trip(Power::ApparentExport),
    ),
    direction(1, 25, "Mean active positive power", "P+mean", Unit::Watt, Source::Mean(Power::ActiveImport)),
    direction(2, 25, "Mean active negative power", "P-mean", Unit::Watt, Source::Mean(Power::ActiveExport)),
    direction(3, 25, "Mean reactive positive power", "Q+mean", Unit::Var, Source::Mean(Power::ReactivePlus)),
    direction(4, 25, "Mean reactive negative power", "Q-mean", Unit::Var, Source::Mean(Power::ReactiveMinus)),
    direction(9, 25, "Mean apparent positive power", "S+mean", Unit::VoltAmpere, Source::Mean(Power::ApparentImport)),
    direction(10, 25, "Mean apparent negative power", "S-mean", Unit::VoltAmpere, Source::Mean(Power::ApparentExport)),
    direction(1, 6, "Peak active positive power", "P+max", Unit::Watt, Source::Peak(Power::ActiveImport)),
    direction(2, 6, "Peak active negative power", "P-max", Unit::Watt, Source::Peak(Power::ActiveExport)),
    direction(3, 6, "Peak reactive positive power", "Q+max", Unit::Var, Source::Peak(Power::ReactivePlus)),
    direction(4, 6, "Peak reactive negative power", "Q-max", Unit::Var, Source::Peak(Power::ReactiveMinus)),
    direction(9, 6, "Peak apparent positive power", "S+max", Unit::VoltAmpere, Source::Peak(Power::ApparentImport)),
    direction(10, 6, "Peak apparent negative power", "S-max", Unit::VoltAmpere, Source::Peak(Power::ApparentExport)),
    low_peak(2, 1, "Peak active negative power, tariff 1", "P-max T1", Unit::Watt, Power::ActiveExport),
    low_peak(2, 2, "Peak active negative power, tariff 2", "P-max T2", Unit::Watt, Power::ActiveExport),
    low_peak(4, 1, "Peak reactive negative power, tariff 1", "Q-max T1", Unit::Var, Power::ReactiveMinus),
    low_peak(4, 2, "Peak reactive negative power, tariff 2", "Q-max T2", Unit::Var, Power::ReactiveMinus),
    direction(
        1,
        2,
        "Accumulated peak, active positive power",
        "P+max acc",
        Unit::Watt,
        Source::Accumulated(Power::ActiveImport, None),
    ),
    direction(
        2,
        2,
        "Accumulated peak, active negative power",
        "P-max acc",
        Unit::Watt,
        Source::Accumulated(Power::ActiveExport, None),
    ),
    direction(
        3,
        2,
        "Accumulated peak, reactive positive power",
        "Q+max acc",
        Unit::Var,
        Source::Accumulated(Power::ReactivePlus, None),
    ),
    direction(
        4,
        2,
        "Accumulated peak, reactive negative power",
        "Q-max acc",
        Unit::Var,
        Source::Accumulated(Power::ReactiveMinus, None),
    ),
    entry(
        Obis::electricity(1, 2, 1),
        "Accumulated peak, active positive power, tariff 1",
        "P+max acc T1",
        Unit::Watt,
        -3,
        Source::Accumulated(Power::ActiveImport, Some(t(1))),
    ),
    entry(
        Obis::electricity(1, 2, 2),
        "Accumulated peak, active positive power, tariff 2",
        "P+max acc T2",
        Unit::Watt,
        -3,
        Source::Accumulated(Power::ActiveImport, Some(t(2))),
    ),
    direction(1, 16, "Highest active positive power of the day", "P+ max daily", Unit::Watt, Source::DayMax),
    direction(1, 13, "Lowest active positive power of the day", "P+ min daily", Unit::Watt, Source::DayMin),
    entry(Obis::electricity(96, 51, 1), "Power threshold value", "PTH", Unit::Watt, 0, Source::Threshold),
    entry(Obis::electricity(96, 51, 2), "Power threshold counter", "PTH count", Unit::Count, 0, Source::ThresholdCount),
    entry(Obis::electricity(0, 1, 0), "Number of debiting periods", "RST", Unit::Count, 0, Source::DebitingPeriods),
];

const fn low_peak(c: u8, n: u8, name: &'static str, symbol: &'static str, unit: Unit, power: Power) -> Register {
    entry(Obis::electricity(c, 6, n), name, symbol, unit, -3, Source::TariffPeak(power, t(n)))
}

macro_rules! thd {
    ($l:literal, $k:literal, $c:literal) => {
        [
            entry(
                Obis::electricity($c + 12, 7, 124),
                concat!("Total harmonic distortion of voltage, phase ", $l),
                concat!("THDU ", $l),
                Unit::Percent,
                -4,
                Source::ThdU($k),
            ),
            entry(
                Obis::electricity($c + 11, 7, 124),
                concat!("Total harmonic distortion of current, phase ", $l),
                concat!("THDI ", $l),
                Unit::Percent,
                -4,
                Source::ThdI($k),
            ),
        ]
    };
}

const OTHERS: [Register; 9] = [
    entry(Obis([0, 1, 96, 8, 0, 255]), "Hour counter", "hours", Unit::Hour, 0, Source::Hours(None)),
    entry(Obis::electricity(0, 128, 1), "Pulse input", "pulse in", Unit::Count, 0, Source::Pulses(0)),
    // The standard's code for it; the object list has none.
    entry(Obis([0, 1, 96, 14, 0, 255]), "Active tariff", "T", Unit::Count, 0, Source::ActiveTariff),
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
const T1: [Register; 14] = of_tariff!(1);
const T2: [Register; 14] = of_tariff!(2);
const T3: [Register; 14] = of_tariff!(3);
const T4: [Register; 14] = of_tariff!(4);
const T5: [Register; 14] = of_tariff!(5);
const T6: [Register; 14] = of_tariff!(6);
const T7: [Register; 14] = of_tariff!(7);
const T8: [Register; 14] = of_tariff!(8);
const THD: [[Register; 2]; 3] = [thd!("L1", 0, 20), thd!("L2", 1, 40), thd!("L3", 2, 60)];

const PARTS: [&[Register]; 17] =
    [&TOTALS, &L1, &L2, &L3, &THD[0], &THD[1], &THD[2], &T1, &T2, &T3, &T4, &T5, &T6, &T7, &T8, &DIRECTIONS, &OTHERS];

const COUNT: usize = {
    let (mut n, mut part) = (0, 0);
    while part < PARTS.len() {
        n += PARTS[part].len();
        part += 1;
    }
    n
};

/// All registers of all meter types, totals first; [`Register::on`] tells which a type has.
pub static REGISTERS: [Register; COUNT] = {
    let mut all = [TOTALS[0]; COUNT];
    let (mut n, mut part) = (0, 0);
    while part < PARTS.len() {
        let mut i = 0;
        while i < PARTS[part].len() {
            all[n] = PARTS[part][i];
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
            ("1.1.1.8.1.255", "A+ T1"),
            ("1.1.10.8.8.255", "E- T8"),
            ("1.2.4.8.3.255", "R- S T3"),
            ("1.1.15.8.0.255", "A1234"),
            ("1.1.3.128.0.255", "R+ trip"),
            ("1.1.10.25.0.255", "S-mean"),
            ("1.1.9.6.8.255", "S+max T8"),
            ("1.1.4.6.2.255", "Q-max T2"),
            ("1.1.1.2.1.255", "P+max acc T1"),
            ("1.1.72.7.124.255", "THDU L3"),
            ("0.1.96.8.5.255", "hours T5"),
        ] {
            assert_eq!(code.parse().ok().and_then(find).map(|r| r.symbol), Some(symbol), "{code}");
        }
    }

    #[test]
    fn a_type_has_its_own_phases_and_twins_only() {
        let count = |t: MeterType| REGISTERS.iter().filter(|r| r.on(t)).count();
        // Secondary totals and tariffs and the ratio; 21 registers of a phase, THD of the current among them.
        let ct_only = 8 + 4 * 8 + 1;
        assert_eq!(count(MeterType::ThreePhase), COUNT - ct_only);
        assert_eq!(count(MeterType::OnePhase), COUNT - ct_only - 2 * 21);
        assert_eq!(count(MeterType::Aron), COUNT - ct_only - 21);
        assert_eq!(count(MeterType::Ct), COUNT - 3);
        assert_eq!(count(MeterType::CtAron), COUNT - 3 - 20);
    }

    /// The object list, when it is at hand: what it has and this table has not is of one of the named kinds.
    #[test]
    fn what_the_object_list_has_more_is_known() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/omnipower/registers.csv");
        let Ok(text) = std::fs::read_to_string(path) else {
            println!("skipped: {path} is not here");
            return;
        };
        let mut seen = 0;
        for line in text.lines().skip(1) {
            let mut fields = line.split(',');
            let (display, full) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
            let Ok(obis) = full.parse::<Obis>() else { continue };
            seen += 1;
            let Obis([_, _, c, d, e, _]) = obis;
            // Means over the analysis interval; prepayment, breaker, identities and software numbers, browsing, info
            // (texts and states of other parts); loggers.
            let elsewhere = matches!((c, d), (13 | 14 | 21..=73, 24 | 25))
                || matches!(c, 128 | 130 | 97 | 98 | 99)
                || matches!((c, d, e), (0, 0, 1..=3) | (96, 1, 0) | (0, 130, 1) | (96, 54, 1) | (0, 2, 0));
            assert!(find(obis).is_some() != elsewhere, "{display} {full}");
        }
        assert!(seen > 250, "{seen}");
    }
}
