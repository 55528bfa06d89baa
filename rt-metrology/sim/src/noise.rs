//! Deterministic randomness.
//!
//! Two kinds: values that are a pure function of (seed, what, when), so that a restarted simulation continues the same
//! world; and a sequence for sample noise, where only the distribution matters.

/// One step of SplitMix64: a good 64-bit mixing function.
pub fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A value in 0 ≤ x < 1 that depends on all three arguments.
pub fn unit(seed: u64, what: u64, when: i64) -> f64 {
    let bits = mix(mix(seed ^ mix(what)) ^ when.cast_unsigned());
    (bits >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// A value in -1 ≤ x < 1.
pub fn signed(seed: u64, what: u64, when: i64) -> f64 {
    unit(seed, what, when) * 2.0 - 1.0
}

/// Smooth noise in -1 to 1: random knots every `period` seconds, joined by lines.
pub fn walk(seed: u64, what: u64, t: f64, period: f64) -> f64 {
    let x = t / period;
    let knot = x.floor();
    let (a, b) = (signed(seed, what, knot as i64), signed(seed, what, knot as i64 + 1));
    a + (b - a) * (x - knot)
}

/// A sequence of approximately normal numbers, cheap enough for seven channels at every sample.
#[derive(Clone, Debug)]
pub struct Gauss(u64);

impl Gauss {
    /// A sequence that depends on the seed only.
    pub fn new(seed: u64) -> Gauss {
        // Xorshift must not start at zero.
        Gauss(mix(seed) | 1)
    }

    /// Mean 0, standard deviation 1, within ±3.47: the sum of four uniform 16-bit numbers.
    #[inline]
    pub fn draw(&mut self) -> f64 {
        let mut x = self.0;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0 = x;
        let sum = (x & 0xFFFF) + ((x >> 16) & 0xFFFF) + ((x >> 32) & 0xFFFF) + (x >> 48);
        // Four uniform numbers of variance 65536²/12 each: standard deviation 65536/√3.
        (sum as f64 - 131_070.0) * (1.0 / 37_837.227)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauss_has_mean_zero_and_deviation_one() {
        let mut g = Gauss::new(7);
        let n = 200_000;
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..n {
            let x = g.draw();
            sum += x;
            squares += x * x;
        }
        assert!((sum / f64::from(n)).abs() < 0.01);
        assert!((squares / f64::from(n) - 1.0).abs() < 0.01);
    }

    #[test]
    fn values_depend_on_every_argument_and_repeat() {
        assert_eq!(unit(1, 2, 3), unit(1, 2, 3));
        for other in [unit(2, 2, 3), unit(1, 3, 3), unit(1, 2, 4), unit(1, 2, -3)] {
            assert_ne!(unit(1, 2, 3), other);
        }
        let a = walk(1, 1, 10.0, 5.0);
        assert!((walk(1, 1, 10.0 + 1e-9, 5.0) - a).abs() < 1e-6);
        assert!(a.abs() <= 1.0);
    }
}
