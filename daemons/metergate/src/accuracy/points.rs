//! The points of the table: what is fed, and which limit it is held to.

use super::bench::Conditions;
use super::classes::{Class, Group, Influence, Reactive};
use super::influences;
use super::range::Range;
use super::signal::{Partial, Signal};

/// Nominal voltage, V.
pub const U_N: f64 = 230.0;
/// Frequencies beside the reference, Hz. 60 Hz uses the 60 Hz configuration.
const FREQUENCIES: [f64; 5] = [47.5, 49.0, 51.0, 52.5, 60.0];
/// Voltages beside the reference, relative to nominal.
const VOLTAGES: [f64; 2] = [0.8, 1.15];

/// Power factors of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pf {
    /// 1.
    One,
    /// 0.5 inductive.
    HalfInductive,
    /// 0.8 capacitive.
    Capacitive,
    /// 0.25 inductive.
    QuarterInductive,
    /// −1: export.
    Export,
}

impl Pf {
    /// In the order of the table.
    pub const ALL: [Pf; 5] = [Pf::One, Pf::HalfInductive, Pf::Capacitive, Pf::QuarterInductive, Pf::Export];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Pf::One => "1",
            Pf::HalfInductive => "0.5i",
            Pf::Capacitive => "0.8c",
            Pf::QuarterInductive => "0.25i",
            Pf::Export => "-1",
        }
    }

    /// Angle by which the current lags, radians.
    pub fn lag(self) -> f64 {
        match self {
            Pf::One => 0.0,
            Pf::HalfInductive => 0.5_f64.acos(),
            Pf::Capacitive => -0.8_f64.acos(),
            Pf::QuarterInductive => 0.25_f64.acos(),
            Pf::Export => std::f64::consts::PI,
        }
    }

    /// Its row in the tables of limits.
    pub fn group(self) -> Group {
        match self {
            Pf::One | Pf::Export => Group::Unity,
            Pf::HalfInductive => Group::Half,
            Pf::Capacitive => Group::Capacitive,
            Pf::QuarterInductive => Group::Quarter,
        }
    }
}

/// Reactive load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sine {
    /// Its row in the tables of limits: sin φ = 1, 0.5 or 0.25.
    pub group: Group,
    /// Capacitive.
    pub capacitive: bool,
}

impl Sine {
    /// Inductive loads, then capacitive ones.
    pub const ALL: [Sine; 6] = [
        Sine { group: Group::Unity, capacitive: false },
        Sine { group: Group::Half, capacitive: false },
        Sine { group: Group::Quarter, capacitive: false },
        Sine { group: Group::Unity, capacitive: true },
        Sine { group: Group::Half, capacitive: true },
        Sine { group: Group::Quarter, capacitive: true },
    ];

    fn name(self) -> &'static str {
        match (self.group, self.capacitive) {
            (Group::Unity, false) => "sin 1",
            (Group::Half, false) => "sin 0.5",
            (_, false) => "sin 0.25",
            (Group::Unity, true) => "sin 1 c",
            (Group::Half, true) => "sin 0.5 c",
            (_, true) => "sin 0.25 c",
        }
    }

    /// Angle by which the current lags, radians.
    pub fn lag(self) -> f64 {
        let angle = match self.group {
            Group::Unity => 1.0_f64,
            Group::Half => 0.5,
            Group::Capacitive | Group::Quarter => 0.25,
        };
        if self.capacitive { -angle.asin() } else { angle.asin() }
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Active energy.
    Active(Pf),
    /// Reactive energy.
    Reactive(Sine),
}

impl Load {
    /// Its row in the tables of limits.
    pub fn group(self) -> Group {
        match self {
            Load::Active(pf) => pf.group(),
            Load::Reactive(sine) => sine.group,
        }
    }

    /// Power factor or sin φ, as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Load::Active(pf) => pf.name(),
            Load::Reactive(sine) => sine.name(),
        }
    }

    fn lag(self) -> f64 {
        match self {
            Load::Active(pf) => pf.lag(),
            Load::Reactive(sine) => sine.lag(),
        }
    }
}

/// What kind of point it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// All phases loaded alike.
    Balanced,
    /// Current in one phase only.
    Single,
    /// Change of the error by an influence.
    Influence(Influence),
    /// At the starting current of some class: it has to register.
    Start,
}

/// One point.
#[derive(Clone, Debug)]
pub struct Point {
    /// Kind.
    pub kind: Kind,
    /// What is measured.
    pub load: Load,
    /// In words, for what the columns do not say.
    pub label: String,
    /// Current, A.
    pub amps: f64,
    /// Frequency, Hz.
    pub f: f64,
    /// Voltage relative to nominal.
    pub u: f64,
    /// What is fed.
    pub conditions: Conditions,
    /// The undisturbed conditions that an influence is compared with.
    pub reference: Option<Conditions>,
}

impl Point {
    /// A balanced point at the reference temperature.
    pub fn balanced(load: Load, amps: f64, f: f64, u: f64) -> Point {
        let conditions = Conditions::from(balanced(amps, load.lag(), f, u));
        Point { kind: Kind::Balanced, load, label: String::new(), amps, f, u, conditions, reference: None }
    }

    /// A point whose current flows in one phase, L1 to L3 as 0 to 2.
    fn single(load: Load, amps: f64, phase: usize) -> Point {
        let mut point = Point::balanced(load, amps, 50.0, 1.0);
        point.kind = Kind::Single;
        point.label = format!("current in L{} only", phase + 1);
        for (k, (_, current)) in point.conditions.signal.phase.iter_mut().enumerate() {
            if k != phase {
                current.clear();
            }
        }
        point
    }

    /// The limit of its class, ± %. Active points have none from a class of reactive energy, and the reverse.
    pub fn limit(&self, range: Range, class: Class, reactive: Reactive) -> Option<f64> {
        let (group, amps) = (self.load.group(), self.amps);
        match (self.load, self.kind) {
            (_, Kind::Start) => None,
            (Load::Active(_), Kind::Balanced) => class.balanced(range, group, amps),
            (Load::Active(_), Kind::Single) => class.single(range, group, amps),
            (Load::Active(_), Kind::Influence(influence)) => class.influence(range, influence, group, amps),
            (Load::Reactive(_), Kind::Balanced) => reactive.balanced(range, group, amps),
            (Load::Reactive(_), Kind::Single) => reactive.single(range, group, amps),
            (Load::Reactive(_), Kind::Influence(influence)) => reactive.influence(range, influence, group, amps),
        }
    }

    /// Balanced, at reference voltage, frequency and temperature.
    pub fn is_reference(&self) -> bool {
        self.kind == Kind::Balanced && self.f == 50.0 && self.u == 1.0
    }
}

/// A balanced three-phase signal.
pub fn balanced(amps: f64, lag: f64, f: f64, u: f64) -> Signal {
    let phase = (vec![Partial::sine(1, U_N * u, 0.0)], vec![Partial::sine(1, amps, lag)]);
    Signal { f, phase: [phase.clone(), phase.clone(), phase], reversed: false, bursts: false }
}

/// All points, or the subset that takes seconds: reference conditions whole, other frequencies and voltages at two
/// currents, all influences.
pub fn points(range: Range, full: bool) -> Vec<Point> {
    let mut out = Vec::new();
    let mut currents = range.currents().to_vec();
    currents.extend(range.borders());
    currents.sort_by(f64::total_cmp);
    for &amps in &currents {
        out.extend(Pf::ALL.map(|pf| Point::balanced(Load::Active(pf), amps, 50.0, 1.0)));
    }
    if full {
        for u in [1.0].into_iter().chain(VOLTAGES) {
            for f in [50.0].into_iter().chain(FREQUENCIES).filter(|&f| (f, u) != (50.0, 1.0)) {
                for amps in range.currents() {
                    out.extend(Pf::ALL.map(|pf| Point::balanced(Load::Active(pf), amps, f, u)));
                }
            }
        }
    } else {
        let others = FREQUENCIES.map(|f| (f, 1.0)).into_iter().chain(VOLTAGES.map(|u| (50.0, u)));
        for (f, u) in others {
            for amps in [range.transitional(), range.basic()] {
                let pairs = [Pf::One, Pf::HalfInductive];
                out.extend(pairs.map(|pf| Point::balanced(Load::Active(pf), amps, f, u)));
            }
        }
    }
    singles(range, &mut out);
    reactive(range, full, &mut out);
    influences::points(range, &mut out);
    starts(range, &mut out);
    out
}

fn singles(range: Range, out: &mut Vec<Point>) {
    let basic = range.basic();
    let inductive = Sine { group: Group::Unity, capacitive: false };
    let half = Sine { group: Group::Half, capacitive: false };
    for phase in 0..3 {
        for amps in [0.05 * basic, 0.1 * basic, basic, range.largest()] {
            out.push(Point::single(Load::Active(Pf::One), amps, phase));
            out.push(Point::single(Load::Active(Pf::HalfInductive), amps, phase));
        }
        for amps in [0.1 * basic, basic] {
            out.push(Point::single(Load::Reactive(inductive), amps, phase));
            out.push(Point::single(Load::Reactive(half), amps, phase));
        }
    }
}

fn reactive(range: Range, full: bool, out: &mut Vec<Point>) {
    let basic = [0.01, 0.02, 0.05, 0.1, 0.2, 1.0].map(|i| i * range.basic());
    let currents: Vec<f64> = basic.into_iter().chain([range.largest()]).collect();
    for &amps in &currents {
        out.extend(Sine::ALL.map(|sine| Point::balanced(Load::Reactive(sine), amps, 50.0, 1.0)));
    }
    let others: &[f64] = if full { &currents } else { &[] };
    for f in FREQUENCIES {
        for &amps in others.iter().chain([range.basic()].iter().filter(|_| !full)) {
            out.extend(Sine::ALL[..3].iter().map(|sine| Point::balanced(Load::Reactive(*sine), amps, f, 1.0)));
        }
    }
}

/// The starting currents of all classes, each once.
fn starts(range: Range, out: &mut Vec<Point>) {
    let unity = Load::Reactive(Sine { group: Group::Unity, capacitive: false });
    let active = Class::ALL.iter().filter_map(|class| class.start(range)).map(|amps| (Load::Active(Pf::One), amps));
    let reactive = Reactive::ALL.iter().filter_map(|class| class.start(range)).map(|amps| (unity, amps));
    for (load, amps) in active.chain(reactive) {
        let known = |point: &&Point| point.kind == Kind::Start && point.load == load;
        if !out.iter().filter(known).any(|point| super::range::same(point.amps, amps)) {
            let label = "has to start".to_owned();
            out.push(Point { kind: Kind::Start, label, ..Point::balanced(load, amps, 50.0, 1.0) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_points_are_the_whole_grid() {
        let grid = |full| {
            let points = points(Range::Direct100, full);
            let balanced = points.iter().filter(|p| p.kind == Kind::Balanced && matches!(p.load, Load::Active(_)));
            balanced.count()
        };
        assert_eq!(grid(true), (10 * 6 * 3 + 3) * 5, "with the borders of the tables");
        assert!(grid(false) < 110);
    }

    #[test]
    fn every_row_of_every_table_has_a_point_at_its_border() {
        for range in [Range::Direct60, Range::Direct100, Range::Transformer1, Range::Transformer5] {
            let points = points(range, false);
            for class in Class::ALL {
                for group in [Group::Unity, Group::Half, Group::Capacitive] {
                    let limits: Vec<f64> = points
                        .iter()
                        .filter(|p| p.is_reference() && p.load.group() == group && matches!(p.load, Load::Active(_)))
                        .filter_map(|p| p.limit(range, class, class.reactive()))
                        .collect();
                    // One point below each border sees another limit than one on it.
                    let borders = class.borders(range, group);
                    let there = |amps: &f64| {
                        let on = |p: &&Point| p.is_reference() && p.load.group() == group;
                        points.iter().filter(on).any(|p| super::super::range::same(p.amps, *amps))
                    };
                    assert!(borders.iter().all(there), "{range:?} {class:?} {group:?} {borders:?}");
                    assert!(borders.is_empty() || !limits.is_empty());
                }
            }
        }
    }

    #[test]
    fn starting_currents_stand_in_the_table_once() {
        let starts: Vec<f64> = points(Range::Transformer5, false)
            .iter()
            .filter(|p| p.kind == Kind::Start && matches!(p.load, Load::Active(_)))
            .map(|p| p.amps)
            .collect();
        assert_eq!(starts, [0.015, 0.01, 0.005]);
    }
}
