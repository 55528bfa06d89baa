//! The reference oscillator: sine and cosine of a 32-bit phase, in integers.
//!
//! A quarter wave of 257 points (Q30) is computed at compile time from the Taylor series in 128-bit integers. Between
//! points the second-order expansion `sin(a+d) = sin a + d·cos a − d²/2·sin a` is used; with `|d| ≤ π/1024` what it
//! leaves out is `d³/6 ≤ 4.8e-9`, below one part in 2^27.

/// Points in a quarter wave.
const QUARTER: usize = 256;
/// Bits of phase below the table index: 32 − 2 (quadrant) − 8 (index).
const RESIDUE_BITS: u32 = 22;
/// π in Q60.
const PI_Q60: i128 = 3_622_009_729_038_561_421;

/// `sin(i · π/512)` for i = 0..=256, Q30.
static TABLE: [i32; QUARTER + 1] = quarter_wave();

/// Sine and cosine of `phase` (2^32 = one turn), both Q30.
pub fn cos_sin_q30(phase: u32) -> (i32, i32) {
    // Round to the nearest table point, so that the residue has both signs and half the magnitude.
    let rounded = phase.wrapping_add(1 << (RESIDUE_BITS - 1));
    let quadrant = rounded >> 30;
    let index = ((rounded >> RESIDUE_BITS) & 0xFF) as usize;
    let residue = (rounded & ((1 << RESIDUE_BITS) - 1)) as i32 - (1 << (RESIDUE_BITS - 1));
    let s = i64::from(TABLE[index]);
    let c = i64::from(TABLE[QUARTER - index]);
    // d in Q38 radians, |d| < 2^30: residue · 2π / 2^32 · 2^38 = residue · 128π, and 128π = 1 647 099 / 2^12.
    let d = (i64::from(residue) * 1_647_099) >> 12;
    // d² / 2 in Q38.
    let half_square = (d * d) >> 39;
    let sine = s + ((d * c - half_square * s) >> 38);
    let cosine = c - ((d * s + half_square * c) >> 38);
    let (cosine, sine) = match quadrant {
        0 => (cosine, sine),
        1 => (-sine, cosine),
        2 => (-cosine, -sine),
        _ => (sine, -cosine),
    };
    (cosine as i32, sine as i32)
}

/// The angle of the vector (`x`, `y`) in units of 2^-32 turn, as a signed phase (−2^31 is −180°). Zero for no vector.
///
/// CORDIC in vectoring mode: 30 rotations leave 2^-30 radian, and the vector is scaled to 60 bits first, so short
/// vectors lose nothing.
pub fn angle(x: i128, y: i128) -> i32 {
    let magnitude = x.unsigned_abs().max(y.unsigned_abs());
    if magnitude == 0 {
        return 0;
    }
    // Room of two bits for the gain of the rotations (1.65) and the diagonal (1.42).
    let shift = magnitude.leading_zeros() as i32 - (128 - 60);
    let scale = |v: i128| (if shift >= 0 { v << shift } else { v >> -shift }) as i64;
    let (mut x, mut y) = (scale(x), scale(y));
    let mut turned: i64 = 0;
    if x < 0 {
        (x, y) = (-x, -y);
        turned = 1 << 47;
    }
    for (k, step) in ARCTAN.iter().enumerate() {
        if y > 0 {
            (x, y) = (x + (y >> k), y - (x >> k));
            turned += step;
        } else {
            (x, y) = (x - (y >> k), y + (x >> k));
            turned -= step;
        }
    }
    ((turned + (1 << 15)) >> 16) as i32
}

/// A signed phase in millidegrees, −180 000 to 180 000.
pub fn millidegrees(phase: i32) -> i32 {
    ((i64::from(phase) * 360_000 + (1 << 31)) >> 32) as i32
}

/// `atan(2^-k)` in units of 2^-48 turn.
static ARCTAN: [i64; 30] = arctangents();

const fn quarter_wave() -> [i32; QUARTER + 1] {
    let mut table = [0; QUARTER + 1];
    let mut i = 0;
    while i <= QUARTER {
        table[i] = sine_q30(PI_Q60 * i as i128 / (2 * QUARTER as i128));
        i += 1;
    }
    table
}

/// Taylor series of the sine for 0 ≤ x ≤ π/2 (Q60): the term of order 25 is below 2^-60.
const fn sine_q30(x: i128) -> i32 {
    let square = (x * x) >> 60;
    let mut term = x;
    let mut sum = x;
    let mut n = 1;
    while n < 25 {
        term = -((term * square) >> 60) / ((n + 1) * (n + 2));
        sum += term;
        n += 2;
    }
    ((sum + (1 << 29)) >> 30) as i32
}

const fn arctangents() -> [i64; 30] {
    let mut table = [0; 30];
    table[0] = 1 << 45; // atan 1 = 1/8 turn
    let mut k = 1;
    while k < 30 {
        // atan z = z − z³/3 + z⁵/5 …; z = 2^-k ≤ 1/2, Q60. 31 terms leave (1/2)^63.
        let mut power: i128 = 1 << (60 - k);
        let mut sum: i128 = 0;
        let mut n = 1;
        while n < 63 {
            let term = power / n;
            sum += if n % 4 == 1 { term } else { -term };
            power >>= 2 * k;
            n += 2;
        }
        // radians Q60 to 2^-48 turns: × 2^48 / 2π = × 2^107 / PI_Q60 / 2^60.
        table[k] = ((sum << 47) / PI_Q60) as i64;
        k += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::f64::consts::TAU;

    #[test]
    fn sine_and_cosine_within_two_steps_of_q27() {
        let mut worst = 0.0_f64;
        for i in 0..200_000_u32 {
            let phase = i.wrapping_mul(2_654_435_761);
            let (c, s) = cos_sin_q30(phase);
            let x = f64::from(phase) / 4_294_967_296.0 * TAU;
            let scale = f64::from(1 << 30);
            worst = worst.max((f64::from(c) / scale - x.cos()).abs()).max((f64::from(s) / scale - x.sin()).abs());
        }
        assert!(worst < 8e-9, "{worst:e}");
    }

    #[test]
    fn angle_of_every_direction() {
        for i in 0..20_000_u32 {
            let phase = i.wrapping_mul(2_654_435_761);
            let x = f64::from(phase as i32) / 4_294_967_296.0 * TAU;
            for size in [40.0_f64, 1e9, 1e18, 1e30] {
                let got = angle((x.cos() * size) as i128, (x.sin() * size) as i128);
                let error = f64::from(got.wrapping_sub(phase as i32)) / 4_294_967_296.0 * TAU;
                let allowed = if size < 100.0 { 0.05 } else { 5e-9 };
                assert!(error.abs() < allowed, "{x} {size} {error:e}");
            }
        }
        assert_eq!(angle(0, 0), 0);
        assert_eq!(millidegrees(angle(0, 5)), 90_000);
        assert_eq!(millidegrees(angle(-7, 0)).abs(), 180_000);
        assert_eq!(millidegrees(angle(1, -1)), -45_000);
    }
}
