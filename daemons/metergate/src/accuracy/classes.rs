//! The accuracy classes and what they allow at a point. The figures stand in [`super::limits`].
//!
//! A point that a class says nothing about has no limit; none is made up for it. The limits of the intrinsic error hold
//! at reference voltage and frequency; the bench applies them unchanged at its other voltages and frequencies, where
//! the standards would allow more, so that passing here is the stronger statement.

use clap::ValueEnum;

pub use super::limits::Group;
use super::limits::{self, Base, Row, Tables};
use super::range::Range;

/// Accuracy classes of active energy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Class {
    /// EN 50470-3 (MID) class A
    #[value(name = "A", alias = "a")]
    A,
    /// EN 50470-3 (MID) class B
    #[value(name = "B", alias = "b")]
    B,
    /// EN 50470-3 (MID) class C
    #[value(name = "C", alias = "c")]
    C,
    /// IEC 62053-21 class 2
    #[value(name = "2")]
    Two,
    /// IEC 62053-21 class 1
    #[value(name = "1")]
    One,
    /// IEC 62053-21 class 0.5
    #[value(name = "0.5")]
    Half,
    /// IEC 62053-22 class 0.5S
    #[value(name = "0.5S", alias = "0.5s")]
    HalfS,
    /// IEC 62053-22 class 0.2S
    #[value(name = "0.2S", alias = "0.2", alias = "0.2s")]
    FifthS,
}

/// Accuracy classes of reactive energy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reactive {
    /// IEC 62053-23 class 3.
    Three,
    /// IEC 62053-23 class 2.
    Two,
    /// IEC 62053-24 class 1.
    One,
    /// IEC 62053-24 class 1S.
    OneS,
    /// IEC 62053-24 class 0.5S.
    HalfS,
}

/// What is disturbed at a point of the influence table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Influence {
    /// Voltage within ±10 %.
    Voltage,
    /// Voltage from −20 to +15 %.
    WideVoltage,
    /// Frequency within ±2 %.
    Frequency,
    /// Frequency from 45 to 65 Hz. No standard has a limit for it.
    WideFrequency,
    /// Temperature, so many K from the reference.
    Temperature(f64),
    /// Years of ageing. No standard has a limit for it.
    Ageing,
    /// 5th harmonic: 10 % in the voltage, 40 % in the current.
    Harmonic,
    /// Half-wave rectified current: direct component and even harmonics.
    HalfWave,
    /// Phase-fired at 90°: odd harmonics.
    PhaseFired,
    /// Two cycles on, two off: sub-harmonics.
    Bursts,
    /// Short pulses of current out of a distorted voltage. No limit at hand.
    Dimmer,
    /// Phase sequence L1 L3 L2.
    Reversed,
    /// One or two phases without voltage.
    Missing,
    /// Other voltages and currents in each phase. No standard has a limit for it.
    Unbalanced,
}

impl Class {
    /// From the coarsest of each standard to the finest.
    pub const ALL: [Class; 8] =
        [Class::A, Class::B, Class::C, Class::Two, Class::One, Class::Half, Class::HalfS, Class::FifthS];

    fn tables(self) -> &'static Tables {
        match self {
            Class::A => &limits::CLASS_A,
            Class::B => &limits::CLASS_B,
            Class::C => &limits::CLASS_C,
            Class::Two => &limits::CLASS_2,
            Class::One => &limits::CLASS_1,
            Class::Half => &limits::CLASS_05,
            Class::HalfS => &limits::CLASS_05S,
            Class::FifthS => &limits::CLASS_02S,
        }
    }

    /// Standard and class.
    pub fn name(self) -> &'static str {
        match self {
            Class::A => "EN 50470-3 class A",
            Class::B => "EN 50470-3 class B",
            Class::C => "EN 50470-3 class C",
            Class::Two => "IEC 62053-21 class 2",
            Class::One => "IEC 62053-21 class 1",
            Class::Half => "IEC 62053-21 class 0.5",
            Class::HalfS => "IEC 62053-22 class 0.5S",
            Class::FifthS => "IEC 62053-22 class 0.2S",
        }
    }

    /// The class of reactive energy that is shown with it.
    pub fn reactive(self) -> Reactive {
        match self {
            Class::A | Class::Two => Reactive::Three,
            Class::B | Class::One => Reactive::Two,
            Class::Half => Reactive::OneS,
            Class::C | Class::HalfS | Class::FifthS => Reactive::HalfS,
        }
    }

    /// Limit of the error with balanced load at `amps`, ± %.
    pub fn balanced(self, range: Range, group: Group, amps: f64) -> Option<f64> {
        self.tables().balanced(range, group, amps)
    }

    /// Limit of the error with current in one phase only, ± %.
    pub fn single(self, range: Range, group: Group, amps: f64) -> Option<f64> {
        self.tables().single(range, group, amps)
    }

    /// Limit of the change of the error by an influence at `amps`, ± %.
    pub fn influence(self, range: Range, influence: Influence, group: Group, amps: f64) -> Option<f64> {
        self.tables().influence(range, influence, group, amps)
    }

    /// Starting current, A.
    pub fn start(self, range: Range) -> Option<f64> {
        self.tables().start(range)
    }

    /// Currents at which the limits of balanced load begin and change, A, ascending. The first of EN 50470-3 is Imin.
    pub fn borders(self, range: Range, group: Group) -> Vec<f64> {
        let rows = self.tables().balanced.iter().filter(|row| row.0 == group);
        rows.map(|row| self.tables().from(range, row)).collect()
    }
}

impl Reactive {
    /// From the coarsest to the finest.
    pub const ALL: [Reactive; 5] = [Reactive::Three, Reactive::Two, Reactive::One, Reactive::OneS, Reactive::HalfS];

    fn tables(self) -> &'static Tables {
        match self {
            Reactive::Three => &limits::REACTIVE_3,
            Reactive::Two => &limits::REACTIVE_2,
            Reactive::One => &limits::REACTIVE_1,
            Reactive::OneS => &limits::REACTIVE_1S,
            Reactive::HalfS => &limits::REACTIVE_05S,
        }
    }

    /// Standard and class.
    pub fn name(self) -> &'static str {
        match self {
            Reactive::Three => "IEC 62053-23 class 3",
            Reactive::Two => "IEC 62053-23 class 2",
            Reactive::One => "IEC 62053-24 class 1",
            Reactive::OneS => "IEC 62053-24 class 1S",
            Reactive::HalfS => "IEC 62053-24 class 0.5S",
        }
    }

    /// Limit of the error with balanced load at `amps`, ± %.
    pub fn balanced(self, range: Range, group: Group, amps: f64) -> Option<f64> {
        self.tables().balanced(range, group, amps)
    }

    /// Limit of the error with current in one phase only, ± %.
    pub fn single(self, range: Range, group: Group, amps: f64) -> Option<f64> {
        self.tables().single(range, group, amps)
    }

    /// Limit of the change of the error by an influence at `amps`, ± %.
    pub fn influence(self, range: Range, influence: Influence, group: Group, amps: f64) -> Option<f64> {
        self.tables().influence(range, influence, group, amps)
    }

    /// Starting current, A.
    pub fn start(self, range: Range) -> Option<f64> {
        self.tables().start(range)
    }
}

impl Tables {
    /// Current at which a row begins, A.
    fn from(&self, range: Range, row: &Row) -> f64 {
        self.scaled(range, (row.1, row.2))
    }

    fn scaled(&self, range: Range, (direct, transformer): (f64, f64)) -> f64 {
        let base = match self.base {
            Base::Basic => range.basic(),
            Base::Transitional => range.transitional(),
        };
        base * if range.transformer() { transformer } else { direct }
    }

    fn find(&self, range: Range, rows: &'static [Row], group: Group, amps: f64) -> Option<f64> {
        // Points stand on the borders of the ranges; a border belongs to the stricter side.
        let reaches = |from: f64| amps >= from * (1.0 - 1e-9) && amps <= range.largest() * (1.0 + 1e-9);
        let fitting = rows.iter().filter(|row| row.0 == group && reaches(self.from(range, row)));
        fitting.max_by(|a, b| a.1.total_cmp(&b.1)).map(|row| row.3)
    }

    fn balanced(&self, range: Range, group: Group, amps: f64) -> Option<f64> {
        self.find(range, self.balanced, group, amps)
    }

    fn single(&self, range: Range, group: Group, amps: f64) -> Option<f64> {
        self.find(range, self.single, group, amps)
    }

    fn start(&self, range: Range) -> Option<f64> {
        let amps = self.scaled(range, self.start);
        (amps > 0.0).then_some(amps)
    }

    fn influence(&self, range: Range, influence: Influence, group: Group, amps: f64) -> Option<f64> {
        // An influence is limited where the error itself is.
        self.balanced(range, group, amps.min(range.largest()))?;
        let limits = &self.influences;
        let pair = |(unity, half)| match group {
            Group::Unity => Some(unity),
            Group::Half => Some(half),
            Group::Capacitive | Group::Quarter => None,
        };
        match influence {
            Influence::Voltage => pair(limits.voltage),
            Influence::WideVoltage => pair(limits.voltage).map(|limit| 3.0 * limit),
            Influence::Frequency => pair(limits.frequency),
            Influence::Temperature(kelvin) => pair(limits.kelvin).map(|limit| limit * kelvin.abs()),
            Influence::Harmonic => limits.harmonic,
            Influence::HalfWave => limits.half_wave.filter(|_| !range.transformer()),
            Influence::PhaseFired => limits.phase_fired,
            Influence::Bursts => limits.bursts,
            Influence::Reversed => limits.reversed,
            Influence::Missing => limits.missing,
            Influence::WideFrequency | Influence::Ageing | Influence::Dimmer | Influence::Unbalanced => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Group::{Capacitive, Half, Quarter, Unity};
    use super::*;

    const DIRECT: Range = Range::Direct100;

    #[test]
    fn limits_change_where_the_standards_say() {
        for (class, group, amps, limit) in [
            (Class::C, Unity, 0.05, None),
            (Class::C, Unity, 0.075, Some(1.0)),
            (Class::C, Unity, 0.25, Some(0.5)),
            (Class::C, Half, 0.125, None),
            (Class::C, Half, 100.0, Some(0.5)),
            (Class::C, Quarter, 5.0, None),
            (Class::C, Unity, 120.0, None),
            (Class::A, Unity, 0.125, Some(2.5)),
            (Class::B, Capacitive, 1.0, Some(1.0)),
            (Class::One, Unity, 0.25, Some(1.5)),
            (Class::One, Half, 0.5, Some(1.5)),
            (Class::One, Half, 1.0, Some(1.0)),
            (Class::Two, Capacitive, 5.0, None),
            (Class::FifthS, Unity, 0.02, None),
            (Class::FifthS, Unity, 0.05, Some(0.4)),
            (Class::FifthS, Unity, 0.25, Some(0.2)),
            (Class::FifthS, Half, 0.125, Some(0.5)),
            (Class::FifthS, Half, 1.0, Some(0.3)),
            (Class::HalfS, Half, 1.0, Some(0.6)),
        ] {
            assert_eq!(class.balanced(DIRECT, group, amps), limit, "{class:?} {group:?} {amps}");
        }
        assert_eq!(Class::C.balanced(Range::Direct60, Unity, 80.0), None);
        assert_eq!(Class::C.single(DIRECT, Unity, 5.0), Some(1.0));
        assert_eq!(Reactive::HalfS.balanced(DIRECT, Quarter, 5.0), Some(1.0));
        assert_eq!(Class::One.influence(DIRECT, Influence::HalfWave, Unity, 70.0), Some(3.0));
        assert_eq!(Class::One.influence(Range::Transformer5, Influence::HalfWave, Unity, 4.0), None);
        assert_eq!(Class::FifthS.influence(DIRECT, Influence::HalfWave, Unity, 70.0), None);
        assert_eq!(Class::One.influence(DIRECT, Influence::WideVoltage, Half, 5.0), Some(3.0));
        assert_eq!(Class::One.influence(DIRECT, Influence::Temperature(-40.0), Unity, 5.0), Some(2.0));
        assert_eq!(Class::One.influence(DIRECT, Influence::Voltage, Unity, 0.01), None);
    }

    #[test]
    fn meters_behind_transformers_have_their_own_borders_and_starting_currents() {
        let range = Range::Transformer5;
        assert_eq!(Class::One.balanced(range, Unity, 0.1), Some(1.5));
        assert_eq!(Class::One.balanced(range, Unity, 0.25), Some(1.0));
        assert_eq!(Class::C.balanced(range, Unity, 0.05), Some(1.0));
        assert_eq!(Class::C.start(range), Some(0.005));
        assert_eq!(Class::HalfS.start(Range::Transformer1), Some(0.001));
        assert_eq!(Class::C.start(DIRECT), Some(0.01));
        assert_eq!(Class::HalfS.start(DIRECT), None);
        assert_eq!(Class::B.borders(DIRECT, Unity), [0.125, 0.25]);
    }

    #[test]
    fn limits_never_grow_with_the_current_nor_with_a_better_class() {
        let currents: Vec<f64> = (0..=80).map(|n| 0.01 * 10f64.powf(f64::from(n) / 20.0)).collect();
        for group in [Unity, Half, Capacitive, Quarter] {
            for class in Class::ALL {
                let limits: Vec<f64> = currents.iter().filter_map(|&i| class.balanced(DIRECT, group, i)).collect();
                assert!(limits.is_sorted_by(|a, b| a >= b), "{class:?} {group:?} {limits:?}");
            }
            let pairs =
                [(Class::A, Class::B), (Class::B, Class::C), (Class::One, Class::Half), (Class::HalfS, Class::FifthS)];
            for (coarse, fine) in pairs {
                for &i in &currents {
                    if let (Some(a), Some(b)) = (coarse.balanced(DIRECT, group, i), fine.balanced(DIRECT, group, i)) {
                        assert!(a > b, "{coarse:?} {fine:?} {group:?} {i}");
                    }
                }
            }
        }
    }

    #[test]
    fn permissible_errors_of_the_directive_grow_with_the_band_and_the_class() {
        for class in limits::MPE.windows(2) {
            for (coarse, fine) in class[0].iter().zip(class[1]) {
                assert!((0..3).all(|row| coarse[row] > fine[row]));
            }
        }
        for bands in limits::MPE {
            assert!(bands.is_sorted_by(|a, b| (0..3).all(|row| a[row] < b[row])));
        }
    }
}
