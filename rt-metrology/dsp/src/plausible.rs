//! What samples can tell about their own wiring: order and balance of the voltages, currents at the wrong voltage, and
//! channels that do not move. Nothing here changes what is counted; it only marks windows.
//!
//! **Swapped** (a current measured with another phase's voltage). In four wires the fundamental current of a load lies
//! near its own voltage, and 120 degrees off at another's. A window is marked when all three phases register and their
//! angles, each within 25 degrees, are +120, −120 and 0 in any order (two currents exchanged), or all +120, or all −120
//! (all three moved on by one). The last two look like three phases that export at a power factor of −0.5; a plant that
//! does so is marked wrongly, and is worth a look. With two elements exchanged currents stand square on their
//! voltages, +90 and −90 degrees, and the powers cancel. One or two registering phases prove nothing.
//!
//! **Reversed**: the component that rotates L1, L3, L2 is larger than the other by at least a twentieth of the largest
//! voltage, with at least two voltages present.
//!
//! **Stuck, missing**: `n·Σy² = (Σy)²` over the samples of a window holds for a constant and for nothing else (Cauchy
//! and Schwarz), so the sums that exist anyway tell it exactly. A converter of 24 bits that is alive never repeats one
//! code for a window: its own noise moves it. A channel that does is *missing* when the code is zero and *stuck* when
//! not, if at least one other channel moves.

use crate::design::{CHANNELS, PHASES};
use crate::products::Products;
use crate::wide;
use metrology_link::payload::{Suspect, Topology};

/// 25 degrees in 2^-32 turns.
const TOLERANCE: u32 = 298_261_617;
/// A third of a turn.
const THIRD: u32 = 1_431_655_765;
/// A voltage counts as present above a fifth of the largest.
const PRESENT: i128 = 5;
/// One rotation must prevail over the other by a twentieth of the largest voltage.
const PREVAILING: u128 = 20;
/// √3 in Q30.
const ROOT_3_Q30: i128 = 1_859_775_393;

/// What the fundamental voltages of a window tell; absent where it means nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Symmetry {
    /// The voltages rotate L1, L3, L2.
    pub reversed: Option<bool>,
    /// Weaker to stronger rotating component, ppm: the unbalance `u2` of IEC 61000-4-30 in either rotation.
    pub u2_ppm: Option<u32>,
    /// Zero component to the stronger rotating one, ppm. Absent with two elements, which see no neutral.
    pub u0_ppm: Option<u32>,
}

impl Symmetry {
    /// From phasors (at most 2^55) of the voltages in `channels`; below `least` there is no voltage.
    pub fn new(topology: Topology, u: [(i64, i64); PHASES], channels: u8, least: i64) -> Symmetry {
        let wide = |(re, im): (i64, i64)| (i128::from(re), i128::from(im));
        let [u1, u2, u3] = u.map(wide);
        let (all, line) = match topology {
            Topology::OnePhase => return Symmetry::default(),
            // U12, U23 = −U32, U31 = U32 − U12.
            Topology::Aron => ([u1, (-u3.0, -u3.1), (u3.0 - u1.0, u3.1 - u1.1)], true),
            Topology::ThreePhase => ([u1, u2, u3], false),
        };
        let square = |(re, im): (i128, i128)| re * re + im * im;
        let largest = all.iter().map(|&v| square(v)).fold(0, i128::max);
        if largest < i128::from(least) * i128::from(least) {
            return Symmetry::default();
        }
        if all.iter().filter(|&&v| square(v) * PRESENT * PRESENT > largest).count() < 2 {
            return Symmetry::default();
        }
        // Six times the components: a = −1/2 + j√3/2 and its conjugate leave (2·U1 − U2 − U3) ± j√3·(U2 − U3).
        let [a, b, c] = all;
        let even = (2 * a.0 - b.0 - c.0, 2 * a.1 - b.1 - c.1);
        let odd = |x: i128, y: i128| ((x - y) * ROOT_3_Q30) >> 30;
        let odd = (odd(b.0, c.0), odd(b.1, c.1));
        let size = |re: i128, im: i128| wide::root((re * re + im * im) as u128);
        let forward = size(even.0 - odd.1, even.1 + odd.0);
        let backward = size(even.0 + odd.1, even.1 - odd.0);
        let zero = size(2 * (a.0 + b.0 + c.0), 2 * (a.1 + b.1 + c.1));
        if forward.abs_diff(backward) * PREVAILING < 6 * wide::root(largest as u128) {
            return Symmetry::default();
        }
        let stronger = forward.max(backward);
        let ppm = |part: u128| Some(u32::try_from((part * 1_000_000 + stronger / 2) / stronger).unwrap_or(u32::MAX));
        let complete = line || channels & 0b111 == 0b111;
        Symmetry {
            reversed: Some(backward > forward),
            u2_ppm: if complete { ppm(forward.min(backward)) } else { None },
            u0_ppm: if complete && !line { ppm(zero) } else { None },
        }
    }
}

/// Whether the angles by which the currents lag their voltages (2^-32 turns; `None`: not registering) look like
/// exchanged currents.
pub fn swapped(topology: Topology, lags: [Option<i32>; PHASES]) -> bool {
    let near = |lag: i32, at: u32| lag.wrapping_sub(at as i32).unsigned_abs() <= TOLERANCE;
    match (topology, lags) {
        (Topology::ThreePhase, [Some(a), Some(b), Some(c)]) => {
            let third = |lag: i32| [0, THIRD, THIRD.wrapping_neg()].iter().position(|&at| near(lag, at));
            match (third(a), third(b), third(c)) {
                (Some(a), Some(b), Some(c)) => {
                    let all_moved = a == b && b == c && a != 0;
                    let all_different = a != b && b != c && a != c;
                    all_moved || all_different
                }
                _ => false,
            }
        }
        (Topology::Aron, [Some(a), _, Some(c)]) => {
            const SQUARE: u32 = 1 << 30;
            (near(a, SQUARE) && near(c, SQUARE.wrapping_neg())) || (near(a, SQUARE.wrapping_neg()) && near(c, SQUARE))
        }
        _ => false,
    }
}

/// Channels of `channels` that gave one value in all of the `samples` samples of a window, as bits of [`Suspect`].
/// `zero` is what a channel gives whose count is zero.
pub fn still(sums: &Products<i128>, samples: u32, channels: u8, zero: impl Fn(usize) -> i32) -> u32 {
    let measured = |k: &usize| channels & (1 << k) != 0;
    // Σy² ≤ 2^70, (Σy)² ≤ 2^84.
    let n = i128::from(samples);
    // A constant count gives two neighbouring corrected samples in turn (rounding is carried on): a variance of 1/4 at most.
    // One count more or less, once in a window, is about as much.
    let constant = |k: usize| (sums.square[k] * n - sums.plain[k] * sums.plain[k]) * 4 <= n * n;
    if (0..CHANNELS).filter(measured).all(constant) {
        return 0;
    }
    (0..CHANNELS).filter(measured).filter(|&k| constant(k)).fold(0, |mask, k| {
        let missing = (sums.plain[k] - n * i128::from(zero(k))).abs() <= n;
        mask | if missing { Suspect::MISSING } else { Suspect::STUCK } << k
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phasor(rms: f64, degrees: f64) -> (i64, i64) {
        let size = rms * 1e13;
        ((size * degrees.to_radians().cos()) as i64, (size * degrees.to_radians().sin()) as i64)
    }

    fn of(u: [(f64, f64); 3]) -> Symmetry {
        let phasors = u.map(|(rms, degrees)| phasor(rms, degrees));
        Symmetry::new(Topology::ThreePhase, phasors, 0x7f, 4 * 10_i64.pow(13))
    }

    fn turns(degrees: f64) -> Option<i32> {
        Some((degrees / 360.0 * 4_294_967_296.0) as i64 as i32)
    }

    #[test]
    fn unbalance_of_known_phasors() {
        let even = of([(230.0, 0.0), (230.0, -120.0), (230.0, 120.0)]);
        assert_eq!(even, Symmetry { reversed: Some(false), u2_ppm: Some(0), u0_ppm: Some(0) });
        // 73, 80, 87 % of 230 V: 5.051815 % each by the definition.
        let s = of([(167.9, 0.0), (184.0, -120.0), (200.1, 120.0)]);
        assert_eq!((s.u2_ppm, s.u0_ppm), (Some(50_518), Some(50_518)));
        let s = of([(230.0, 0.0), (207.0, -122.0), (241.5, 117.0)]);
        assert_eq!((s.u2_ppm, s.u0_ppm), (Some(29_205), Some(60_505)));
        let s = of([(230.0, 0.0), (207.0, 122.0), (241.5, -117.0)]);
        assert_eq!((s.reversed, s.u2_ppm), (Some(true), Some(29_205)), "the same, rotating backwards");
    }

    #[test]
    fn two_elements_see_the_same_unbalance() {
        let u = [phasor(230.0, 0.0), phasor(207.0, -122.0), phasor(241.5, 117.0)];
        let minus = |a: (i64, i64), b: (i64, i64)| (a.0 - b.0, a.1 - b.1);
        let s = Symmetry::new(Topology::Aron, [minus(u[0], u[1]), (0, 0), minus(u[2], u[1])], 0b0101101, 1);
        // u2 of the line voltages is that of the phase voltages: the zero component is not in either.
        assert_eq!(s, Symmetry { reversed: Some(false), u2_ppm: Some(29_205), u0_ppm: None });
        let s = Symmetry::new(Topology::Aron, [minus(u[0], u[2]), (0, 0), minus(u[1], u[2])], 0b0101101, 1);
        assert_eq!(s.reversed, Some(true));
    }

    #[test]
    fn rotation_needs_two_voltages_and_a_clear_answer() {
        assert_eq!(of([(230.0, 0.0), (0.0, 0.0), (230.0, 120.0)]).reversed, Some(false));
        for nothing in [
            [(230.0, 0.0), (0.0, 0.0), (0.0, 0.0)],
            [(230.0, 0.0), (230.0, 0.0), (230.0, 0.0)],
            [(3.0, 0.0), (3.0, -120.0), (3.0, 120.0)],
        ] {
            assert_eq!(of(nothing), Symmetry::default());
        }
    }

    #[test]
    fn currents_at_the_wrong_voltage() {
        let four = |a, b, c| swapped(Topology::ThreePhase, [turns(a), turns(b), turns(c)]);
        assert!(four(10.0, 130.0, -110.0) && four(120.0, 0.0, -120.0), "two exchanged");
        assert!(four(120.0, 110.0, 140.0) && four(-120.0, -100.0, -120.0), "all moved on");
        // Loads: resistive, inductive, capacitive, one phase exporting, all exporting, one phase at −120 alone.
        for load in [(0.0, 0.0, 0.0), (60.0, 30.0, -30.0), (180.0, 0.0, 0.0), (180.0, 170.0, -170.0), (0.0, 0.0, 120.0)]
        {
            assert!(!four(load.0, load.1, load.2), "{load:?}");
        }
        assert!(!swapped(Topology::ThreePhase, [turns(120.0), None, turns(-120.0)]), "two phases prove nothing");
        let two = |a, c| swapped(Topology::Aron, [turns(a), None, turns(c)]);
        assert!(two(90.0, -90.0) && two(-80.0, 100.0));
        // PF 1, 0.5, 0.25 inductive, one load between the outer lines, export.
        for load in [(30.0, -30.0), (90.0, 30.0), (105.5, 45.5), (60.0, -60.0), (-150.0, 150.0)] {
            assert!(!two(load.0, load.1), "{load:?}");
        }
    }
}
