//! The true energy, from the circuit's phasors: no sample, no measuring code, no shared arithmetic with the dsp.
//!
//! Kept in nanojoules as integers, so that a year of cycles adds no rounding worth a millijoule. The signs and quadrants
//! are those of each cycle.

use metrology_link::payload::{Counters, EnergySet, Method, Topology};

use crate::grid::ElementPower;

/// Accumulated truth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    phase: [Nano; 3],
    total: Nano,
    /// The part of `total` that flowed while no coprocessor was running.
    unmetered: Nano,
    seconds_ns: i128,
    reactive_unknown: bool,
}

/// One set in nano-units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Nano {
    a: [i128; 2],
    r: [i128; 4],
    e: [i128; 2],
}

impl Nano {
    fn add(&mut self, power: ElementPower, seconds: f64) {
        let nano = |x: f64| (x.abs() * seconds * 1e9).round() as i128;
        let export = usize::from(power.p < 0.0);
        self.a[export] += nano(power.p);
        self.e[export] += nano(power.s);
        let quadrant = match (power.p >= 0.0, power.q >= 0.0) {
            (true, true) => 0,
            (false, true) => 1,
            (false, false) => 2,
            (true, false) => 3,
        };
        self.r[quadrant] += nano(power.q);
    }

    fn set(&self) -> EnergySet {
        let milli = |x: i128| u64::try_from(x / 1_000_000).unwrap_or(u64::MAX);
        EnergySet {
            a_plus: milli(self.a[0]),
            a_minus: milli(self.a[1]),
            r: self.r.map(milli),
            e_plus: milli(self.e[0]),
            e_minus: milli(self.e[1]),
        }
    }

    fn numbers(&self) -> [i128; 8] {
        [self.a[0], self.a[1], self.r[0], self.r[1], self.r[2], self.r[3], self.e[0], self.e[1]]
    }

    fn from_numbers(n: &[i128]) -> Option<Nano> {
        let n: [i128; 8] = n.try_into().ok()?;
        Some(Nano { a: [n[0], n[1]], r: [n[2], n[3], n[4], n[5]], e: [n[6], n[7]] })
    }
}

impl Truth {
    /// Adds `seconds` of constant powers. `metering` = a coprocessor is running.
    pub fn add(&mut self, power: &[ElementPower; 3], seconds: f64, topology: Topology, method: Method, metering: bool) {
        for (k, p) in power.iter().enumerate() {
            self.phase[k].add(*p, seconds);
        }
        let before = self.total;
        for part in totals(power, topology, method) {
            self.total.add(part, seconds);
        }
        if !metering {
            let (now, then) = (self.total.numbers(), before.numbers());
            let mut sum = self.unmetered.numbers();
            sum.iter_mut().enumerate().for_each(|(k, s)| *s += now[k] - then[k]);
            self.unmetered = Nano::from_numbers(&sum).unwrap_or_default();
        }
        self.seconds_ns += (seconds * 1e9).round() as i128;
    }

    /// The reactive truth is not known (a recorded waveform has samples only): R is absent, not zero.
    pub fn without_reactive(&mut self) {
        self.reactive_unknown = true;
    }

    /// Whether the quadrant energies mean anything.
    pub fn has_reactive(&self) -> bool {
        !self.reactive_unknown
    }

    /// Energies per element and total, mJ (floor).
    pub fn counters(&self) -> Counters {
        Counters { phase: std::array::from_fn(|k| self.phase[k].set()), total: self.total.set() }
    }

    /// Energy in the total that no coprocessor could see, mJ.
    pub fn unmetered(&self) -> EnergySet {
        self.unmetered.set()
    }

    /// Simulated time, s.
    pub fn seconds(&self) -> f64 {
        self.seconds_ns as f64 / 1e9
    }

    /// Fixed bytes for the memory file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let sets = self.phase.iter().chain([&self.total, &self.unmetered]);
        let numbers = sets.flat_map(Nano::numbers).chain([self.seconds_ns, i128::from(self.reactive_unknown)]);
        numbers.flat_map(i128::to_le_bytes).collect()
    }

    /// The inverse; `None` when the length is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Option<Truth> {
        let mut n = Vec::with_capacity(42);
        for chunk in bytes.chunks(16) {
            n.push(i128::from_le_bytes(chunk.try_into().ok()?));
        }
        if n.len() != Self::NUMBERS {
            return None;
        }
        Some(Truth {
            phase: [Nano::from_numbers(&n[0..8])?, Nano::from_numbers(&n[8..16])?, Nano::from_numbers(&n[16..24])?],
            total: Nano::from_numbers(&n[24..32])?,
            unmetered: Nano::from_numbers(&n[32..40])?,
            seconds_ns: n[40],
            reactive_unknown: n[41] != 0,
        })
    }

    const NUMBERS: usize = 42;
    /// Length of [`Truth::to_bytes`].
    pub const BYTES: usize = Self::NUMBERS * 16;
}

/// What the legal total counts: one or three contributions.
fn totals(power: &[ElementPower; 3], topology: Topology, method: Method) -> Vec<ElementPower> {
    let sum = |f: fn(&ElementPower) -> f64| power.iter().map(f).sum::<f64>();
    match (topology, method) {
        (Topology::OnePhase, Method::PerPhase | Method::Vector) => vec![power[0]],
        (_, Method::PerPhase) => power.to_vec(),
        (_, Method::Vector) => {
            let (p, q) = (sum(|e| e.p), sum(|e| e.q));
            vec![ElementPower { p, q, s: (p * p + q * q).sqrt() }]
        }
        (_, Method::Magnitude) => power.iter().map(|e| ElementPower { p: e.p.abs(), q: e.q.abs(), s: e.s }).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const E: [ElementPower; 3] = [
        ElementPower { p: 1000.0, q: 500.0, s: 1200.0 },
        ElementPower { p: -400.0, q: 300.0, s: 500.0 },
        ElementPower { p: 200.0, q: -100.0, s: 230.0 },
    ];

    #[test]
    fn quadrants_and_methods() {
        let mut t = Truth::default();
        t.add(&E, 10.0, Topology::ThreePhase, Method::PerPhase, true);
        let c = t.counters();
        assert_eq!(
            c.phase[0],
            EnergySet { a_plus: 10_000_000, r: [5_000_000, 0, 0, 0], e_plus: 12_000_000, ..EnergySet::default() }
        );
        assert_eq!(
            (c.phase[1].a_minus, c.phase[1].r, c.phase[1].e_minus),
            (4_000_000, [0, 3_000_000, 0, 0], 5_000_000)
        );
        assert_eq!((c.total.a_plus, c.total.a_minus), (12_000_000, 4_000_000));
        assert_eq!(c.total.r, [5_000_000, 3_000_000, 0, 1_000_000]);
        let mut t = Truth::default();
        t.add(&E, 10.0, Topology::ThreePhase, Method::Vector, true);
        assert_eq!((t.counters().total.a_plus, t.counters().total.a_minus), (8_000_000, 0));
        assert_eq!(t.counters().total.r, [7_000_000, 0, 0, 0]);
        let mut t = Truth::default();
        t.add(&E, 10.0, Topology::ThreePhase, Method::Magnitude, true);
        assert_eq!(t.counters().total.a_plus, 16_000_000);
    }

    #[test]
    fn unmetered_energy_is_kept_apart_and_bytes_round_trip() {
        let mut t = Truth::default();
        t.add(&E, 1.0, Topology::ThreePhase, Method::PerPhase, true);
        assert_eq!(t.unmetered(), EnergySet::default());
        t.add(&E, 2.0, Topology::ThreePhase, Method::PerPhase, false);
        assert_eq!((t.unmetered().a_plus, t.unmetered().a_minus), (2_400_000, 800_000));
        assert!((t.seconds() - 3.0).abs() < 1e-9);
        let bytes = t.to_bytes();
        assert_eq!(bytes.len(), Truth::BYTES);
        assert_eq!(Truth::from_bytes(&bytes), Some(t));
        assert_eq!(Truth::from_bytes(&bytes[1..]), None);
    }
}
