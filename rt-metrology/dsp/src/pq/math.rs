//! The little mathematics that a target without a mathematical library needs: roots, complex numbers, and constant
//! functions for tables that are made at compile time.
//!
//! Sine and cosine at run time come from the engine's oscillator ([`crate::nco`]).

use crate::nco::cos_sin_q30;
use core::ops::{Add, Mul, Sub};

/// π.
pub const PI: f64 = core::f64::consts::PI;

/// A complex number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Complex {
    /// Real part.
    pub re: f32,
    /// Imaginary part.
    pub im: f32,
}

impl Complex {
    /// Nothing.
    pub const ZERO: Complex = Complex { re: 0.0, im: 0.0 };

    /// From its parts.
    pub const fn new(re: f32, im: f32) -> Complex {
        Complex { re, im }
    }

    /// `e^(2πj·turns)`; `turns` in units of 2^-32.
    pub fn turned(turns: u32) -> Complex {
        const ONE: f32 = 1.0 / (1 << 30) as f32;
        let (cosine, sine) = cos_sin_q30(turns);
        Complex { re: cosine as f32 * ONE, im: sine as f32 * ONE }
    }

    /// Square of the magnitude.
    pub fn norm(self) -> f32 {
        self.re * self.re + self.im * self.im
    }

    /// Magnitude.
    pub fn abs(self) -> f32 {
        sqrt(self.norm())
    }

    /// Complex conjugate.
    pub fn conj(self) -> Complex {
        Complex { re: self.re, im: -self.im }
    }

    /// A multiple.
    pub fn scale(self, factor: f32) -> Complex {
        Complex { re: self.re * factor, im: self.im * factor }
    }
}

impl Add for Complex {
    type Output = Complex;

    #[inline]
    fn add(self, other: Complex) -> Complex {
        Complex { re: self.re + other.re, im: self.im + other.im }
    }
}

impl Sub for Complex {
    type Output = Complex;

    #[inline]
    fn sub(self, other: Complex) -> Complex {
        Complex { re: self.re - other.re, im: self.im - other.im }
    }
}

impl Mul for Complex {
    type Output = Complex;

    #[inline]
    fn mul(self, other: Complex) -> Complex {
        Complex { re: self.re * other.re - self.im * other.im, im: self.re * other.im + self.im * other.re }
    }
}

/// Square root; zero for what has none.
pub fn sqrt(x: f32) -> f32 {
    if !x.is_normal() || x < 0.0 {
        return 0.0;
    }
    // Halving the exponent is right to 3.5 %; each of Newton's steps squares the error and halves it: 6e-4, 2e-7, 2e-14.
    let mut root = f32::from_bits((x.to_bits() >> 1) + 0x1FBD_1DF5);
    for _ in 0..3 {
        root = 0.5 * (root + x / root);
    }
    root
}

/// Cube root of a number that is not negative.
pub fn cbrt(x: f32) -> f32 {
    if !x.is_normal() || x < 0.0 {
        return 0.0;
    }
    // A third of the exponent is right to 5 %; Newton's steps leave 3e-3, 7e-6, 5e-11.
    let mut root = f32::from_bits(x.to_bits() / 3 + 0x2A51_4067);
    for _ in 0..4 {
        root = (2.0 * root + x / (root * root)) / 3.0;
    }
    root
}

/// Sine for tables; |x| ≤ 2π.
pub const fn const_sin(x: f64) -> f64 {
    // Reduced to half a turn, where the term of order 33 is below 1e-20.
    let x = if x > PI {
        x - 2.0 * PI
    } else if x < -PI {
        x + 2.0 * PI
    } else {
        x
    };
    let square = x * x;
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while n < 33.0 {
        term = -term * square / ((n + 1.0) * (n + 2.0));
        sum += term;
        n += 2.0;
    }
    sum
}

/// Cosine for tables; |x| ≤ 2π.
pub const fn const_cos(x: f64) -> f64 {
    const_sin(if x > PI { x - 1.5 * PI } else { x + 0.5 * PI })
}

/// Square root for tables.
pub const fn const_sqrt(x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let mut root = if x > 1.0 { x } else { 1.0 };
    let mut n = 0;
    // Tables ask for numbers between 1e-6 and 1e6: ten halvings and six steps of Newton.
    while n < 24 {
        root = 0.5 * (root + x / root);
        n += 1;
    }
    root
}

/// Modified Bessel function of order zero, for Kaiser's window; |x| ≤ 12.
pub const fn const_bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
    while k < 32.0 {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}

/// Kaiser's window at `x` (−1 to 1) of its half width, times `I0(beta)`: tables are scaled as a whole.
pub const fn const_kaiser(x: f64, beta: f64) -> f64 {
    if x <= -1.0 || x >= 1.0 {
        return 0.0;
    }
    const_bessel_i0(beta * const_sqrt(1.0 - x * x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_right_to_the_last_bits() {
        for n in -60..60 {
            for mantissa in [1.0_f32, 1.3, 1.77, 1.999] {
                let x = mantissa * 2.0_f32.powi(n);
                assert!((sqrt(x) / x.sqrt() - 1.0).abs() < 2e-7, "{x}");
                assert!((cbrt(x) / x.cbrt() - 1.0).abs() < 3e-7, "{x}");
            }
        }
        assert_eq!((sqrt(0.0), sqrt(-1.0), sqrt(f32::NAN), sqrt(f32::INFINITY)), (0.0, 0.0, 0.0, 0.0));
        assert_eq!((cbrt(0.0), cbrt(-1.0)), (0.0, 0.0));
    }

    #[test]
    fn constant_functions_agree_with_the_library() {
        for n in -60..=60 {
            let x = f64::from(n) * PI / 30.0;
            assert!((const_sin(x) - x.sin()).abs() < 1e-14, "{x}");
            assert!((const_cos(x) - x.cos()).abs() < 1e-14, "{x}");
        }
        for x in [1e-6, 0.3, 1.0, 2.0, 1e6] {
            assert!((const_sqrt(x) / f64::sqrt(x) - 1.0).abs() < 1e-14, "{x}");
        }
        // I0(9) from tables.
        assert!((const_bessel_i0(9.0) - 1_093.588_354_5).abs() < 1e-6);
        assert_eq!((const_kaiser(0.0, 9.0), const_kaiser(1.0, 9.0)), (const_bessel_i0(9.0), 0.0));
    }

    #[test]
    fn turned_runs_against_the_clock() {
        let eighth = Complex::turned(1 << 29);
        assert!((eighth.re - 0.707_106_77).abs() < 1e-7 && (eighth.im - 0.707_106_77).abs() < 1e-7);
        let square = eighth * eighth;
        assert!(square.re.abs() < 1e-6 && (square.im - 1.0).abs() < 1e-6);
        assert!(((square * square.conj()).re - square.norm()).abs() < 1e-6);
    }
}
