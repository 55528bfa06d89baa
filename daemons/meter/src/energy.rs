//! Arithmetic on sets of cumulative energies: u64, exact, never backwards.

use metrology_link::payload::{Counters, EnergySet};

/// Values in one [`EnergySet`].
pub(crate) const SET: usize = 8;

/// The values of a set in storage order: A+, A-, R1 to R4, E+, E-.
pub(crate) fn values(set: &EnergySet) -> [u64; SET] {
    let [r1, r2, r3, r4] = set.r;
    [set.a_plus, set.a_minus, r1, r2, r3, r4, set.e_plus, set.e_minus]
}

/// The inverse of [`values`].
pub(crate) fn from_values([a_plus, a_minus, r1, r2, r3, r4, e_plus, e_minus]: [u64; SET]) -> EnergySet {
    EnergySet { a_plus, a_minus, r: [r1, r2, r3, r4], e_plus, e_minus }
}

/// One value for each direction that has tariffs, means and peaks: A+, A-, R+, R-, E+, E-; mJ (mvar·s, mVA·s).
pub type Directions = [u64; DIRECTIONS];

/// Values in [`Directions`].
pub const DIRECTIONS: usize = 6;

/// The directions of a set: R+ = R1 + R2, R- = R3 + R4.
pub(crate) fn directions(set: &EnergySet) -> Directions {
    let [r1, r2, r3, r4] = set.r;
    [set.a_plus, set.a_minus, r1.saturating_add(r2), r3.saturating_add(r4), set.e_plus, set.e_minus]
}

/// Adds `to - from` to each value.
pub(crate) fn advance(sums: &mut Directions, from: &Directions, to: &Directions) {
    for ((sum, from), to) in sums.iter_mut().zip(from).zip(to) {
        *sum = sum.saturating_add(to.saturating_sub(*from));
    }
}

/// The four sets: L1, L2, L3, total.
pub(crate) fn sets(counters: &Counters) -> [&EnergySet; 4] {
    let [l1, l2, l3] = &counters.phase;
    [l1, l2, l3, &counters.total]
}

fn sets_mut(counters: &mut Counters) -> [&mut EnergySet; 4] {
    let [l1, l2, l3] = &mut counters.phase;
    [l1, l2, l3, &mut counters.total]
}

/// Adds `(to - from) * ratio` to each value of `registers`. A value of `to` below `from` adds nothing; the answer
/// tells whether there was one. Saturating: at u64::MAX a register stops rather than wraps (4200 years at 69 kW).
pub(crate) fn accrue_set(registers: &mut EnergySet, from: &EnergySet, to: &EnergySet, ratio: u16) -> bool {
    let mut sums = values(registers);
    let mut regressed = false;
    for ((sum, from), to) in sums.iter_mut().zip(values(from)).zip(values(to)) {
        regressed |= to < from;
        *sum = sum.saturating_add(to.saturating_sub(from).saturating_mul(u64::from(ratio)));
    }
    *registers = from_values(sums);
    regressed
}

/// [`accrue_set`] for all phases and the total.
pub(crate) fn accrue(registers: &mut Counters, from: &Counters, to: &Counters, ratio: u16) -> bool {
    let mut regressed = false;
    for ((sums, from), to) in sets_mut(registers).into_iter().zip(sets(from)).zip(sets(to)) {
        regressed |= accrue_set(sums, from, to, ratio);
    }
    regressed
}

/// The larger of each pair of values.
pub(crate) fn max(a: &Counters, b: &Counters) -> Counters {
    let mut out = *a;
    for (out, b) in sets_mut(&mut out).into_iter().zip(sets(b)) {
        let mut larger = values(out);
        for (x, y) in larger.iter_mut().zip(values(b)) {
            *x = (*x).max(y);
        }
        *out = from_values(larger);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_exact_and_never_negative() {
        let from = EnergySet { a_plus: 10, r: [1, 2, 3, 4], ..EnergySet::default() };
        let to = EnergySet { a_plus: 17, r: [1, 3, 3, 2], ..EnergySet::default() };
        let mut register = EnergySet { a_plus: 100, r: [0, 0, 0, 50], ..EnergySet::default() };
        assert!(accrue_set(&mut register, &from, &to, 3), "R4 fell");
        assert_eq!(register, EnergySet { a_plus: 121, r: [0, 3, 0, 50], ..EnergySet::default() });
        assert!(!accrue_set(&mut register, &to, &to, 3));
        let full = EnergySet { a_plus: u64::MAX, ..EnergySet::default() };
        assert!(!accrue_set(&mut register, &EnergySet::default(), &full, 600));
        assert_eq!(register.a_plus, u64::MAX);
    }
}
