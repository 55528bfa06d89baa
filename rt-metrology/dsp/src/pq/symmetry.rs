//! Symmetrical components of the fundamental (IEC 61000-4-30 5.7), rotation, and displacement of the neutral.

use super::math::{Complex, sqrt};

/// `e^(2πj/3)`.
const A: Complex = Complex::new(-0.5, 0.866_025_4);
/// The positive sequence must be so much of the largest phase for a ratio to it to mean something.
const POSITIVE_SHARE: f32 = 0.01;
/// A phase counts as present above this share of the largest.
const PRESENT_SHARE: f32 = 0.2;
/// By so much of the largest phase must one rotation prevail over the other.
const PREVAILING_SHARE: f32 = 0.05;

/// Order of the phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// L1, L2, L3.
    Forward,
    /// L1, L3, L2: two phases are exchanged.
    Reverse,
}

/// What the three fundamental phasors of a window tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Symmetry {
    /// Zero sequence, V.
    pub zero: f32,
    /// Positive sequence, V.
    pub positive: f32,
    /// Negative sequence, V.
    pub negative: f32,
    /// Negative to positive sequence. Absent where the latter is below 1 % of the largest phase.
    pub u2: Option<f32>,
    /// Zero to positive sequence.
    pub u0: Option<f32>,
    /// Order of the phases; absent with fewer than two phases or when neither order prevails.
    pub rotation: Option<Rotation>,
    /// Displacement of the neutral point: a third of the phasor sum of the phase voltages, V.
    pub displacement: f32,
}

impl Symmetry {
    /// Fortescue's components of the phasors of U1, U2, U3 (RMS, V, of one window).
    pub fn new(u: [Complex; 3]) -> Symmetry {
        let [u1, u2, u3] = u;
        let (a, aa) = (A, A.conj());
        let third = |z: Complex| z.scale(1.0 / 3.0).abs();
        let (zero, positive, negative) =
            (third(u1 + u2 + u3), third(u1 + a * u2 + aa * u3), third(u1 + aa * u2 + a * u3));
        let magnitudes = u.map(Complex::abs);
        let largest = magnitudes.iter().fold(0.0_f32, |a, &b| a.max(b));
        let meant = positive > POSITIVE_SHARE * largest;
        let present = magnitudes.iter().filter(|&&m| m > PRESENT_SHARE * largest).count();
        let prevails = (positive - negative).abs() >= PREVAILING_SHARE * largest;
        let rotation = if positive > negative { Rotation::Forward } else { Rotation::Reverse };
        Symmetry {
            zero,
            positive,
            negative,
            u2: meant.then(|| negative / positive),
            u0: meant.then(|| zero / positive),
            rotation: (largest > 0.0 && present >= 2 && prevails).then_some(rotation),
            displacement: zero,
        }
    }
}

/// Negative to positive sequence from the fundamental RMS values of the three line voltages alone (5.7.1), for a
/// meter with two elements. Absent without voltage.
pub fn unbalance_of_lines(u12: f32, u23: f32, u31: f32) -> Option<f32> {
    let squares = [u12 * u12, u23 * u23, u31 * u31];
    let sum: f32 = squares.iter().sum();
    if sum <= 0.0 {
        return None;
    }
    // 1 − 2β without the cancellation of 3 − 6β: with x, y, z as shares of the sum,
    // 3 − 6(x² + y² + z²) = 1 − 2((x−y)² + (y−z)² + (z−x)²).
    let [x, y, z] = squares.map(|s| s / sum);
    let apart = (x - y) * (x - y) + (y - z) * (y - z) + (z - x) * (z - x);
    let root = sqrt(1.0 - 2.0 * apart);
    // (1 − r)/(1 + r) with 1 − r = (1 − r²)/(1 + r).
    Some(sqrt(2.0 * apart) / (1.0 + root))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phasor(rms: f64, degrees: f64) -> Complex {
        let angle = degrees.to_radians();
        Complex::new((rms * angle.cos()) as f32, (rms * angle.sin()) as f32)
    }

    fn near(got: Option<f32>, percent: f64) {
        let got = f64::from(got.unwrap()) * 100.0;
        assert!((got - percent).abs() < 0.001, "{got} is not {percent} %");
    }

    #[test]
    fn iec_61000_4_30_5_7_1_u2_and_u0_of_known_phasors() {
        let even = Symmetry::new([phasor(230.0, 0.0), phasor(230.0, -120.0), phasor(230.0, 120.0)]);
        near(even.u2, 0.0);
        near(even.u0, 0.0);
        assert_eq!(even.rotation, Some(Rotation::Forward));
        // 73, 80, 87 % of 230 V: 5.05 % each by the definition.
        let s = Symmetry::new([phasor(167.9, 0.0), phasor(184.0, -120.0), phasor(200.1, 120.0)]);
        near(s.u2, 5.051_815);
        near(s.u0, 5.051_815);
        let s = Symmetry::new([phasor(230.0, 0.0), phasor(207.0, -122.0), phasor(241.5, 117.0)]);
        near(s.u2, 2.920_505_7);
        near(s.u0, 6.050_531_1);
        assert!((s.displacement - 13.680_93).abs() < 1e-3);
    }

    #[test]
    fn iec_61000_4_30_5_7_1_line_voltages_give_the_same_u2() {
        let u = [phasor(230.0, 0.0), phasor(207.0, -122.0), phasor(241.5, 117.0)];
        let lines = [u[0] - u[1], u[1] - u[2], u[2] - u[0]].map(Complex::abs);
        near(unbalance_of_lines(lines[0], lines[1], lines[2]), 2.920_505_7);
        near(unbalance_of_lines(400.0, 400.0, 400.0), 0.0);
        assert_eq!(unbalance_of_lines(0.0, 0.0, 0.0), None);
    }

    #[test]
    fn rotation_needs_two_phases_and_a_clear_answer() {
        let reversed = Symmetry::new([phasor(230.0, 0.0), phasor(230.0, 120.0), phasor(230.0, -120.0)]);
        assert_eq!((reversed.rotation, reversed.u2), (Some(Rotation::Reverse), None));
        let two = Symmetry::new([phasor(230.0, 0.0), Complex::ZERO, phasor(230.0, 120.0)]);
        assert_eq!(two.rotation, Some(Rotation::Forward));
        assert_eq!(Symmetry::new([Complex::ZERO, Complex::ZERO, phasor(230.0, 120.0)]).rotation, None);
        let same = Symmetry::new([phasor(230.0, 0.0); 3]);
        assert_eq!((same.rotation, same.u2), (None, None));
        assert_eq!(Symmetry::new([Complex::ZERO; 3]).rotation, None);
    }

    #[test]
    fn the_neutral_moves_by_the_mean_of_the_phases() {
        let moved = [0.0, -120.0, 120.0].map(|d| phasor(230.0, d) - Complex::new(60.0, 0.0));
        assert!((Symmetry::new(moved).displacement - 60.0).abs() < 1e-3);
    }
}
