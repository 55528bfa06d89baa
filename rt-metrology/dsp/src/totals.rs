//! Quadrants, and the total of the phases by calculation method and topology.
//!
//! | method | A | R | E | shown P, Q, S |
//! |---|---|---|---|---|
//! | 1 *per phase* | each phase in its own sign | each phase in its own quadrant | each phase in its own sign | ΣP, ΣQ, ΣS |
//! | 2 *vector* | ΣP, then sign | ΣQ, then quadrant | √((ΣP)² + (ΣQ)²), sign of ΣP | the same |
//! | 3 *magnitude* | Σ\|P\| as import | Σ\|Q\| in quadrant 1 | ΣS as import | Σ\|P\|, Σ\|Q\|, ΣS |
//!
//! Aron uses method 2 only. With a single phase, method 2 keeps that phase's own S, which holds its distortion too.
//! A phase below its registration threshold, or without a voltage or current channel, adds nothing to the counters.

use crate::design::PHASES;
use crate::energy::{Amounts, COUNTERS};
use metrology_link::payload::Method;

/// Active, reactive and apparent power or energy of one phase or of all, in any common unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Active; positive is import.
    pub p: i128,
    /// Fundamental reactive; positive is inductive while importing.
    pub q: i128,
    /// Apparent.
    pub s: u128,
}

impl Flow {
    /// The counters that this flow adds to. Zero counts as positive.
    pub fn amounts(&self) -> Amounts {
        let mut amounts = [0; COUNTERS];
        let import = self.p >= 0;
        let quadrant = match (import, self.q >= 0) {
            (true, true) => 0,
            (false, true) => 1,
            (false, false) => 2,
            (true, false) => 3,
        };
        amounts[if import { 0 } else { 1 }] = self.p.unsigned_abs();
        amounts[2 + quadrant] = self.q.unsigned_abs();
        amounts[if import { 6 } else { 7 }] = self.s;
        amounts
    }
}

/// What the total counters add for these phases (`None`: absent or not registering).
pub fn total_amounts(method: Method, phases: &[Option<Flow>; PHASES]) -> Amounts {
    match method {
        Method::PerPhase => {
            let mut sum = [0; COUNTERS];
            for flow in phases.iter().flatten() {
                for (total, amount) in sum.iter_mut().zip(flow.amounts()) {
                    *total += amount;
                }
            }
            sum
        }
        Method::Vector | Method::Magnitude => total_flow(method, phases).amounts(),
    }
}

/// The total as it is shown.
pub fn total_flow(method: Method, phases: &[Option<Flow>; PHASES]) -> Flow {
    let mut sum = Flow::default();
    for flow in phases.iter().flatten() {
        sum.s += flow.s;
        if method == Method::Magnitude {
            sum.p += flow.p.abs();
            sum.q += flow.q.abs();
        } else {
            sum.p += flow.p;
            sum.q += flow.q;
        }
    }
    if method == Method::Vector && phases.iter().flatten().count() > 1 {
        sum.s = hypotenuse(sum.p, sum.q);
    }
    sum
}

/// `√(p² + q²)`, rounded down; exact to 2^-62.
pub fn hypotenuse(p: i128, q: i128) -> u128 {
    let (p, q) = (p.unsigned_abs(), q.unsigned_abs());
    // Two squares of 63 bits and their sum fit 127 bits.
    let shift = 65_u32.saturating_sub(p.max(q).leading_zeros());
    let (p, q) = (p >> shift, q >> shift);
    crate::wide::root(p * p + q * q) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    const KW: [i128; 3] = [3, 2, -1];

    fn phases(p: [i128; 3], q: [i128; 3]) -> [Option<Flow>; PHASES] {
        core::array::from_fn(|k| Some(Flow { p: p[k], q: q[k], s: hypotenuse(p[k], q[k]) }))
    }

    #[test]
    fn methods_on_three_two_and_minus_one_kilowatt() {
        let phases = phases(KW, [0; 3]);
        assert_eq!(total_amounts(Method::PerPhase, &phases)[..2], [5, 1]);
        assert_eq!(total_amounts(Method::Vector, &phases)[..2], [4, 0]);
        assert_eq!(total_amounts(Method::Magnitude, &phases)[..2], [6, 0]);
        assert_eq!(total_flow(Method::PerPhase, &phases), Flow { p: 4, q: 0, s: 6 });
    }

    #[test]
    fn quadrants() {
        for (p, q, quadrant) in [(1, 1, 0), (-1, 1, 1), (-1, -1, 2), (1, -1, 3)] {
            let a = Flow { p, q, s: 5 }.amounts();
            let mut expected = [0; COUNTERS];
            expected[if p > 0 { 0 } else { 1 }] = 1;
            expected[2 + quadrant] = 1;
            expected[if p > 0 { 6 } else { 7 }] = 5;
            assert_eq!(a, expected);
        }
    }

    #[test]
    fn reactive_totals_by_method() {
        let phases = phases(KW, [4, -2, 1]);
        // L1 in Q1, L2 in Q4, L3 in Q2.
        assert_eq!(total_amounts(Method::PerPhase, &phases)[2..6], [4, 1, 0, 2]);
        assert_eq!(total_amounts(Method::Vector, &phases)[2..6], [3, 0, 0, 0]);
        assert_eq!(total_amounts(Method::Vector, &phases)[6..], [5, 0]);
        assert_eq!(total_amounts(Method::Magnitude, &phases)[2..6], [7, 0, 0, 0]);
    }

    #[test]
    fn absent_phases_add_nothing_and_a_single_one_keeps_its_apparent_power() {
        let one = [Some(Flow { p: 3, q: 4, s: 9 }), None, None];
        assert_eq!(total_flow(Method::Vector, &one).s, 9);
        assert_eq!(total_amounts(Method::PerPhase, &[None; PHASES]), [0; COUNTERS]);
    }

    #[test]
    fn hypotenuse_of_large_sums() {
        assert_eq!(hypotenuse(3 << 80, -4 << 80), 5 << 80);
        assert_eq!(hypotenuse(-5, 12), 13);
        assert_eq!(hypotenuse(0, 0), 0);
    }
}
