//! Fourier transform of 2048 real points, in place, in seven passes that can be spread over time.
//!
//! Neighbouring points are taken as real and imaginary part of 1024 complex numbers; these are transformed with radix 4
//! (five passes after the permutation), and [`bin`] separates the spectrum of the real points where it is asked for.
//! Single precision leaves an error of 2e-7 of the largest line in every bin.

use super::math::{Complex, PI, const_cos, const_sin};

/// Points of a transform.
///
/// A window holds ten periods at 50 Hz or twelve at 60 Hz, and order 50 lies in bin 500 or 600. 1024 points end at
/// bin 512: at 60 Hz they do not reach order 43, and at 50 Hz everything from 2.6 kHz to the end of the sampled band
/// (4 kHz) would fold onto orders 22 to 50. 2048 points end at 5.1 kHz, beyond the band, so nothing can fold.
pub const POINTS: usize = 2048;
/// Calls of [`pass`] that make a transform.
pub const PASSES: u32 = 6;

/// Room for a transform, bytes: one block of 32-bit numbers.
pub const BLOCK_BYTES: usize = 4 * POINTS;

/// Complex points.
const HALF: usize = POINTS / 2;
/// The block that is transformed in place.
pub type Block = [f32; POINTS];

/// `cos` and `−sin` of `2πk / 2048`, half a turn of them.
static TWIDDLES: [(f32, f32); HALF] = twiddles();

const fn twiddles() -> [(f32, f32); HALF] {
    let mut table = [(0.0, 0.0); HALF];
    let mut k = 0;
    while k < HALF {
        let x = PI * k as f64 / HALF as f64;
        table[k] = (const_cos(x) as f32, -const_sin(x) as f32);
        k += 1;
    }
    table
}

/// `e^(−2πjk/2048)`, for `k` below a whole turn.
#[inline]
fn twiddle(k: usize) -> Complex {
    let (re, im) = TWIDDLES[k & (HALF - 1)];
    if k & HALF != 0 { Complex::new(-re, -im) } else { Complex::new(re, im) }
}

#[inline]
fn get(x: &Block, n: usize) -> Complex {
    Complex::new(x[2 * n], x[2 * n + 1])
}

#[inline]
fn put(x: &mut Block, n: usize, z: Complex) {
    x[2 * n] = z.re;
    x[2 * n + 1] = z.im;
}

/// One pass: 0 permutes, 1 to 5 combine. After [`PASSES`] of them, in order, `x` holds the transform.
pub fn pass(x: &mut Block, number: u32) {
    match number {
        0 => permute(x),
        1..PASSES => combine(x, 1 << (2 * (number - 1))),
        _ => {}
    }
}

/// Puts every point where its digits, to base 4, read backwards.
fn permute(x: &mut Block) {
    for n in 0..HALF {
        let bits = (n as u32).reverse_bits() >> 22;
        let reversed = (((bits & 0x155) << 1) | ((bits >> 1) & 0x155)) as usize;
        if n < reversed {
            let (a, b) = (get(x, n), get(x, reversed));
            put(x, n, b);
            put(x, reversed, a);
        }
    }
}

/// Combines four transforms of `quarter` points each to one, everywhere.
fn combine(x: &mut Block, quarter: usize) {
    // Twiddles are counted in 2048ths of a turn.
    let step = HALF / (4 * quarter) * 2;
    for j in 0..quarter {
        let (w1, w2, w3) = (twiddle(j * step), twiddle(2 * j * step), twiddle(3 * j * step));
        let mut at = j;
        while at + 3 * quarter < HALF {
            let a = get(x, at);
            let b = get(x, at + quarter) * w1;
            let c = get(x, at + 2 * quarter) * w2;
            let d = get(x, at + 3 * quarter) * w3;
            let (even, odd) = (a + c, a - c);
            let (sum, difference) = (b + d, b - d);
            // Times −j.
            let turned = Complex::new(difference.im, -difference.re);
            put(x, at, even + sum);
            put(x, at + quarter, odd + turned);
            put(x, at + 2 * quarter, even - sum);
            put(x, at + 3 * quarter, odd - turned);
            at += 4 * quarter;
        }
    }
}

/// Bin `k` of the 2048 real points (not scaled), for `k` up to 1023; beyond that nothing.
pub fn bin(x: &Block, k: usize) -> Complex {
    if k >= HALF {
        return Complex::ZERO;
    }
    let here = get(x, k);
    let mirrored = get(x, (HALF - k) & (HALF - 1)).conj();
    let (even, odd) = ((here + mirrored).scale(0.5), (here - mirrored).scale(0.5));
    // even − j·W·odd
    let turned = twiddle(k) * odd;
    even + Complex::new(turned.im, -turned.re)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn transform(signal: impl Fn(usize) -> f64) -> Block {
        let mut x = [0.0; POINTS];
        for (n, x) in x.iter_mut().enumerate() {
            *x = signal(n) as f32;
        }
        for number in 0..PASSES {
            pass(&mut x, number);
        }
        x
    }

    #[test]
    fn equals_the_definition_in_double_precision() {
        // Reproducible noise: every bin is different.
        let mut state = 12_345_u32;
        let noise: Vec<f64> = (0..POINTS)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                f64::from(state as i32) / 2_147_483_648.0
            })
            .collect();
        let x = transform(|n| noise[n]);
        for k in (0..HALF).step_by(7).chain([1, 2, 511, 512, 1023]) {
            let (mut re, mut im) = (0.0, 0.0);
            for (n, v) in noise.iter().enumerate() {
                let angle = -2.0 * PI * (k * n % POINTS) as f64 / POINTS as f64;
                re += v * angle.cos();
                im += v * angle.sin();
            }
            let got = bin(&x, k);
            assert!((f64::from(got.re) - re).abs() < 2e-5 && (f64::from(got.im) - im).abs() < 2e-5, "{k}");
        }
        assert_eq!(bin(&x, HALF), Complex::ZERO);
    }

    #[test]
    fn a_strong_line_leaves_other_bins_clean() {
        let x = transform(|n| 1000.0 * (2.0 * PI * 10.0 * n as f64 / POINTS as f64 + 0.4).sin());
        let line = bin(&x, 10).abs() / HALF as f32;
        assert!((line - 1000.0).abs() < 1e-3, "{line}");
        for k in (0..HALF).filter(|&k| k != 10) {
            let rest = bin(&x, k).abs() / HALF as f32;
            assert!(rest < 2e-4, "{k} {rest}");
        }
    }
}
