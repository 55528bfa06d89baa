//! A closed window as the instants of pulses need it: where its energy lies in time.
//!
//! The counters hold plain sums of samples, while windows begin and end between samples, at equal phases of the
//! voltage. The power at such a boundary is anything from nothing to twice the mean, so the sum runs ahead of the mean
//! power or behind it by up to half a sample, and pulses timed by it would jitter by 36 µs. The integral between the
//! boundaries has no such error: its difference to the sum, the *edge*, is known at both ends.

use crate::design::{PHASES, POSITION_BITS};
use crate::energy::{COUNTERS, Cumulative};
use crate::totals::Flow;
use metrology_link::payload::{EnergySet, Method};

/// Counters that pulses can tell: A+, A−, R1 to R4.
pub(super) const TOLD: usize = COUNTERS - 2;
/// Bits of the sub-quantum that instants do without: what is left are [`FINE`] steps to a millijoule, 1e-11 of a pulse.
const FINE_BITS: u32 = 68;
/// Fine steps in a millijoule: 5^9.
pub(super) const FINE: u64 = 1_953_125;

const _: () = assert!((FINE as u128) << FINE_BITS == crate::energy::SUB_QUANTA);

/// One closed window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Sample clock at its end: the number of the first sample of the next window.
    pub t_samples: u64,
    /// Samples in it.
    pub samples: u32,
    /// Where it begins, after the last sample of the window before, Q24.
    pub begin_fraction: u32,
    /// Where it ends, after its last sample, Q24.
    pub end_fraction: u32,
    /// Edges of total A+ and A− at its begin and at its end, products of corrected samples.
    pub edges: [[i128; 2]; 2],
}

impl Line {
    /// Length, Q24 samples.
    pub(super) fn length(&self) -> i64 {
        (i64::from(self.samples) << POSITION_BITS) + i64::from(self.end_fraction) - i64::from(self.begin_fraction)
    }

    /// Begin before `t_samples`, Q24 samples: negative.
    pub(super) fn begin(&self) -> i64 {
        i64::from(self.begin_fraction) - ((i64::from(self.samples) + 1) << POSITION_BITS)
    }
}

/// The edges of the totals at one boundary, A+ and A−, from those of the phases: the same terms with the same signs as in
/// [`crate::totals`]. `registered` is what each phase added.
pub(crate) fn edges(method: Method, registered: &[Option<Flow>; PHASES], phases: &[i128; PHASES]) -> [i128; 2] {
    let (mut edges, mut sum, mut p) = ([0; 2], 0, 0);
    for (flow, edge) in registered.iter().zip(phases).filter_map(|(flow, edge)| Some((flow.as_ref()?, edge))) {
        let import = flow.p >= 0;
        (sum, p) = (sum + edge, p + flow.p);
        match method {
            Method::PerPhase => edges[usize::from(!import)] += if import { *edge } else { -edge },
            Method::Magnitude => edges[0] += if import { *edge } else { -edge },
            Method::Vector => {}
        }
    }
    if method == Method::Vector {
        edges[usize::from(p < 0)] = if p >= 0 { sum } else { -sum };
    }
    edges
}

/// The counters of the total at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Totals {
    millijoules: [u64; TOLD],
    /// The same with their remainders, in fine steps.
    fine: [u128; TOLD],
}

impl Totals {
    pub fn new(cumulative: &Cumulative) -> Totals {
        let EnergySet { a_plus, a_minus, r: [r1, r2, r3, r4], .. } = cumulative.counters.total;
        let millijoules = [a_plus, a_minus, r1, r2, r3, r4];
        let fine = core::array::from_fn(|k| {
            let rest = cumulative.total_remainders.get(k).map_or(0, |r| r >> FINE_BITS);
            millijoules.get(k).map_or(0, |mj| u128::from(*mj) * u128::from(FINE) + rest)
        });
        Totals { millijoules, fine }
    }

    /// Sum of the counters in `source`, whole millijoules.
    pub fn millijoules(&self, source: u8) -> u128 {
        chosen(source, &self.millijoules).map(u128::from).sum()
    }

    /// The same with the remainders, fine steps.
    pub fn fine(&self, source: u8) -> u128 {
        chosen(source, &self.fine).sum()
    }
}

/// The energy of one window over its time, per counter, in fine steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slope {
    /// By how much the energy at the window's begin differs from the counter before it.
    ahead: [i128; TOLD],
    /// The energy between its begin and its end.
    energy: [i128; TOLD],
}

impl Slope {
    /// From the counters before and after the window; `scale` is sub-quanta per product.
    pub fn new(line: &Line, before: &Totals, after: &Totals, scale: u64) -> Slope {
        let added: [i128; TOLD] = core::array::from_fn(|k| (after.fine[k].saturating_sub(before.fine[k])) as i128);
        let mut slope = Slope { ahead: [0; TOLD], energy: added };
        for (k, [begin, end]) in line.edges.into_iter().enumerate() {
            // At most 2^58 · 2^55.
            let fine = |edge: i128| (edge * i128::from(scale)) >> FINE_BITS;
            slope.ahead[k] = fine(begin);
            slope.energy[k] += fine(end) - fine(begin);
        }
        // Reactive energy is a power times samples: its edges are that power times the fractions.
        let samples = i128::from(line.samples.max(1)) << POSITION_BITS;
        let half = 1 << (POSITION_BITS - 1);
        let Slope { ahead, energy } = &mut slope;
        for ((ahead, energy), added) in ahead.iter_mut().zip(energy).zip(added).skip(line.edges.len()) {
            *ahead = added * (i128::from(line.begin_fraction) - half) / samples;
            *energy = added * i128::from(line.length()) / samples;
        }
        slope
    }

    /// When the energy of `source` is `distance` above the counter before the window: Q24 samples before
    /// `line.t_samples`, within the window and a sample around it.
    pub fn instant(&self, line: &Line, source: u8, distance: i128) -> i64 {
        let ahead: i128 = chosen(source, &self.ahead).sum();
        let energy: i128 = chosen(source, &self.energy).sum();
        let length = line.length();
        let slack = 1 << POSITION_BITS;
        // A window's energy is below 2^58 fine steps and its length below 2^39. Without energy no pulse falls into it,
        // but for rounding: then it is told at the end.
        let at = ((distance - ahead) * i128::from(length)).checked_div(energy).unwrap_or(i128::from(length));
        line.begin() + at.clamp(-slack, i128::from(length) + slack) as i64
    }
}

fn chosen<T: Copy>(source: u8, of: &[T; TOLD]) -> impl Iterator<Item = T> {
    of.iter().enumerate().filter(move |(k, _)| source >> k & 1 != 0).map(|(_, v)| *v)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flows(p: [i128; PHASES]) -> [Option<Flow>; PHASES] {
        p.map(|p| Some(Flow { p, ..Flow::default() }))
    }

    #[test]
    fn edges_follow_the_signs_of_the_totals() {
        let phases = flows([3, 2, -1]);
        assert_eq!(edges(Method::PerPhase, &phases, &[10, 20, -40]), [30, 40]);
        assert_eq!(edges(Method::Vector, &phases, &[10, 20, -40]), [-10, 0]);
        assert_eq!(edges(Method::Vector, &flows([-3, 0, 1]), &[10, 20, -40]), [0, 10]);
        assert_eq!(edges(Method::Magnitude, &phases, &[10, 20, -40]), [70, 0]);
        assert_eq!(edges(Method::PerPhase, &[None; PHASES], &[10, 20, -40]), [0, 0]);
    }

    #[test]
    fn instants_lie_on_the_line() {
        let mut before = Totals::new(&Cumulative::default());
        let mut after = before;
        (before.fine[0], after.fine[0]) = (100, 1100);
        let line =
            Line { t_samples: 50, samples: 20, begin_fraction: 1 << 23, end_fraction: 1 << 23, ..Line::default() };
        let slope = Slope::new(&line, &before, &after, 1);
        let at = |distance| slope.instant(&line, 1, distance) as f64 / f64::from(1 << 24);
        assert_eq!((at(0), at(500), at(1000)), (-20.5, -10.5, -0.5));
        assert_eq!((at(-900), at(9000)), (-21.5, 0.5), "a sample around it at most");
        assert_eq!(slope.instant(&line, 2, 5), -(1 << 23), "without energy: the end");
    }
}
