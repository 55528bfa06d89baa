//! The points of the table: what is fed, and which limit it is held to.

use std::f64::consts::SQRT_2;

use super::classes::{Class, Group, I_B, I_MAX, Influence};
use super::signal::{Partial, Signal, shaped};

/// Nominal voltage, V.
pub const U_N: f64 = 230.0;
/// Currents, A: 10 000:1 and beyond Imax.
const CURRENTS: [f64; 10] = [0.01, 0.02, 0.05, 0.125, 0.25, 1.0, 5.0, 50.0, 100.0, 120.0];
/// Frequencies beside the reference, Hz. 60 Hz uses the 60 Hz configuration.
const FREQUENCIES: [f64; 5] = [47.5, 49.0, 51.0, 52.5, 60.0];
/// Currents at which `quick` looks at other frequencies and voltages, A.
const QUICK_CURRENTS: [f64; 2] = [0.25, 5.0];

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

/// What kind of point it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Active energy, balanced.
    Active(Pf),
    /// Active energy with current in one phase, L1 to L3 as 0 to 2.
    Single(Pf, usize),
    /// Reactive energy at a sin φ.
    Reactive(Group),
    /// Change of the active error by an influence.
    Influence(Influence, Reference),
}

/// The undisturbed point that an influence is compared with: balanced, PF 1, current in mA (whole, to be comparable).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference(pub u32);

/// One point.
#[derive(Clone, Debug)]
pub struct Point {
    /// Kind.
    pub kind: Kind,
    /// In words, for what the columns do not say.
    pub label: String,
    /// Current, A.
    pub amps: f64,
    /// Frequency, Hz.
    pub f: f64,
    /// Voltage relative to nominal.
    pub u: f64,
    /// What is fed.
    pub signal: Signal,
}

impl Point {
    /// The limit of its class, ± %.
    pub fn limit(&self, class: Class) -> Option<f64> {
        match self.kind {
            Kind::Active(pf) => class.balanced(pf.group(), self.amps),
            Kind::Single(pf, _) => class.single(pf.group(), self.amps),
            Kind::Reactive(group) => class.reactive(group, self.amps),
            Kind::Influence(influence, _) => class.influence(influence),
        }
    }

    /// Power factor, or sin φ of a reactive point.
    pub fn factor(&self) -> &'static str {
        match self.kind {
            Kind::Active(pf) | Kind::Single(pf, _) => pf.name(),
            Kind::Reactive(Group::Unity) => "sin 1",
            Kind::Reactive(Group::Half) => "sin 0.5",
            Kind::Reactive(_) => "sin 0.25",
            Kind::Influence(..) => "1",
        }
    }
}

/// A balanced three-phase signal.
pub fn balanced(amps: f64, lag: f64, f: f64, u: f64) -> Signal {
    let phase = (vec![Partial::sine(1, U_N * u, 0.0)], vec![Partial::sine(1, amps, lag)]);
    Signal { f, phase: [phase.clone(), phase.clone(), phase], reversed: false, bursts: false }
}

/// A point at PF 1, 50 Hz and nominal voltage.
pub fn reference(Reference(milliamps): Reference) -> Point {
    active(f64::from(milliamps) / 1e3, Pf::One, 50.0, 1.0)
}

fn active(amps: f64, pf: Pf, f: f64, u: f64) -> Point {
    Point { kind: Kind::Active(pf), label: String::new(), amps, f, u, signal: balanced(amps, pf.lag(), f, u) }
}

/// All points, or the subset that takes seconds: reference conditions whole, other frequencies and voltages at two
/// currents, all influences.
pub fn points(full: bool) -> Vec<Point> {
    let mut out = Vec::new();
    for amps in CURRENTS {
        out.extend(Pf::ALL.map(|pf| active(amps, pf, 50.0, 1.0)));
    }
    if full {
        for u in [0.8, 1.0, 1.15] {
            for f in [50.0].into_iter().chain(FREQUENCIES).filter(|&f| (f, u) != (50.0, 1.0)) {
                for amps in CURRENTS {
                    out.extend(Pf::ALL.map(|pf| active(amps, pf, f, u)));
                }
            }
        }
    } else {
        let others = FREQUENCIES.map(|f| (f, 1.0)).into_iter().chain([(50.0, 0.8), (50.0, 1.15)]);
        for (f, u) in others {
            for amps in QUICK_CURRENTS {
                out.extend([Pf::One, Pf::HalfInductive].map(|pf| active(amps, pf, f, u)));
            }
        }
    }
    singles(&mut out);
    reactive(full, &mut out);
    influences(&mut out);
    out
}

fn singles(out: &mut Vec<Point>) {
    for phase in 0..3 {
        for (amps, pf) in [(0.25, Pf::One), (I_B, Pf::One), (I_B, Pf::HalfInductive), (I_MAX, Pf::One)] {
            let mut point = active(amps, pf, 50.0, 1.0);
            point.kind = Kind::Single(pf, phase);
            point.label = format!("current in L{} only", phase + 1);
            for (_, i) in point.signal.phase.iter_mut().enumerate().filter(|(k, _)| *k != phase).map(|(_, p)| p) {
                i.clear();
            }
            out.push(point);
        }
    }
}

fn reactive(full: bool, out: &mut Vec<Point>) {
    let frequencies: &[f64] = if full { &[50.0, 47.5, 49.0, 51.0, 52.5, 60.0] } else { &[50.0, 49.0, 51.0] };
    for &f in frequencies {
        for amps in [0.05, 0.25, 1.0, I_B, I_MAX] {
            for (group, sin) in [(Group::Unity, 1.0_f64), (Group::Half, 0.5), (Group::Quarter, 0.25)] {
                let signal = balanced(amps, sin.asin(), f, 1.0);
                out.push(Point { kind: Kind::Reactive(group), label: "reactive".to_owned(), amps, f, u: 1.0, signal });
            }
        }
    }
}

/// What the standards name, at their currents. Each stands beside an undisturbed point of about the same power.
fn influences(out: &mut Vec<Point>) {
    let mut add = |influence: Influence, label: &str, amps: f64, change: &dyn Fn(&mut Signal)| {
        let mut point = active(amps, Pf::One, 50.0, 1.0);
        change(&mut point.signal);
        point.kind = Kind::Influence(influence, Reference((amps * 1e3).round() as u32));
        point.label = label.to_owned();
        out.push(point);
    };
    let all = |signal: &mut Signal, current: &[Partial]| {
        signal.phase.iter_mut().for_each(|(_, i)| i.splice(.., current.iter().copied()).for_each(drop));
    };
    add(Influence::Harmonic, "5th harmonic: U 10 %, I 40 %", 0.5 * I_MAX, &|signal| {
        for (u, i) in &mut signal.phase {
            u.push(Partial::sine(5, 0.1 * U_N, 0.0));
            i.push(Partial::sine(5, 0.4 * 0.5 * I_MAX, 0.0));
        }
    });
    // Half of a sine of Imax has an RMS value of Imax/√2.
    let half = shaped(I_MAX, |x| f64::from(u8::from(x.sin() > 0.0)));
    add(Influence::HalfWave, "half-wave, direct component", I_MAX / SQRT_2, &|signal| all(signal, &half));
    let fired = shaped(I_B, |x| f64::from(u8::from(x.tan() < 0.0)));
    add(Influence::PhaseFired, "phase-fired at 90 degrees", I_B / SQRT_2, &|signal| all(signal, &fired));
    add(Influence::Bursts, "bursts, 2 cycles on, 2 off", I_B, &|signal| signal.bursts = true);
    add(Influence::Reversed, "sequence L1 L3 L2", 0.1 * I_B, &|signal| signal.reversed = true);
    add(Influence::Missing, "L2 without voltage", I_B, &|signal| signal.phase[1].0.clear());
    add(Influence::Missing, "L1 without voltage", I_B, &|signal| signal.phase[0].0.clear());
    add(Influence::Missing, "L1 and L2 without voltage", I_B, &|signal| {
        signal.phase[0].0.clear();
        signal.phase[1].0.clear();
    });
    add(Influence::Unbalanced, "U 0.9 1 1.1, I 1 0.5 0.2", I_B, &|signal| {
        for ((u, i), (volts, amps)) in signal.phase.iter_mut().zip([(0.9, 1.0), (1.0, 0.5), (1.1, 0.2)]) {
            *u = vec![Partial::sine(1, U_N * volts, 0.0)];
            *i = vec![Partial::sine(1, I_B * amps, 0.0)];
        }
    });
}
