//! Division and square root of 128 bits for processors of 32.
//!
//! The generic routines of the compiler's library take 3400 instructions for a quotient and 2600 for a root on a
//! Cortex-M4, and a half-cycle needs 14 of the one and 7 of the other. All divisors here have 64 bits, and quotients two digits
//! of 32 bits each at a time (Knuth, The Art of Computer Programming 4.3.1, algorithm D). Results are those of `/` and
//! `isqrt`, to the last bit; the tests say so.

/// Bits of a digit.
const DIGIT: u32 = 32;
const LOW: u64 = (1 << DIGIT) - 1;

/// `n / d`, rounded towards zero. A divisor of zero gives a panic, as `/` does.
pub fn quotient(n: i128, d: u64) -> i128 {
    let q = divide(n.unsigned_abs(), d).0 as i128;
    if n < 0 { -q } else { q }
}

/// `n / d` and what remains.
pub fn divide(n: u128, d: u64) -> (u128, u64) {
    let (high, low) = ((n >> 64) as u64, n as u64);
    let (first, rest) = if high < d { (0, high) } else { (high / d, high % d) };
    if rest == 0 {
        return (u128::from(first) << 64 | u128::from(low / d), low % d);
    }
    let (second, rest) = two_digits(rest, low, d);
    (u128::from(first) << 64 | u128::from(second), rest)
}

/// `(high · 2^64 + low) / d` and what remains, for `high < d`.
fn two_digits(high: u64, low: u64, d: u64) -> (u64, u64) {
    // A divisor with its top bit set makes each estimate at most two too large.
    let shift = d.leading_zeros();
    let d = d << shift;
    let high = if shift == 0 { high } else { high << shift | low >> (64 - shift) };
    let low = low << shift;
    let (first, rest) = digit(high, low >> DIGIT, d);
    let (second, rest) = digit(rest, low & LOW, d);
    (first << DIGIT | second, rest >> shift)
}

/// One digit of the quotient `(rest · 2^32 + next) / d` and what remains, for `rest < d` and `d ≥ 2^63`.
fn digit(rest: u64, next: u64, d: u64) -> (u64, u64) {
    let (high, low) = (d >> DIGIT, d & LOW);
    let mut q = rest / high;
    let mut r = rest - q * high;
    while q > LOW || q * low > (r << DIGIT | next) {
        q -= 1;
        r += high;
        if r > LOW {
            break;
        }
    }
    (q, (rest << DIGIT | next).wrapping_sub(q.wrapping_mul(d)))
}

/// The largest integer whose square is not above `n`.
pub fn root(n: u128) -> u128 {
    if n >> 64 == 0 {
        return u128::from((n as u64).isqrt());
    }
    // With one of its top two bits set, the root of the upper half and one division give the root or one more than it
    // (P. Zimmermann, Karatsuba Square Root, 1999).
    let shift = n.leading_zeros() & !1;
    let m = n << shift;
    let (high, low) = ((m >> 64) as u64, m as u64);
    let first = high.isqrt();
    let rest = high - first * first;
    let (second, _) = divide(u128::from(rest) << DIGIT | u128::from(low >> DIGIT), 2 * first);
    let mut root = (u128::from(first) << DIGIT) + second;
    // 2^64 squared would not fit, and is too large in any case.
    if root >> 64 != 0 || root * root > m {
        root -= 1;
    }
    root >> (shift / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of all lengths, with runs of ones and zeros.
    fn numbers() -> impl Iterator<Item = u128> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u128;
        (0..60_000).map(move |i: u32| {
            state = state.wrapping_mul(0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645).wrapping_add(0x5851_F42D_4C95_7F2D);
            let mixed = state ^ state >> 61;
            let shaped = match i % 4 {
                0 => mixed,
                1 => mixed | mixed >> 1 | mixed >> 2,
                2 => mixed & mixed >> 1 & mixed >> 2,
                _ => u128::MAX - (mixed >> (64 + i % 60)),
            };
            shaped >> (i / 4 % 128)
        })
    }

    #[test]
    fn quotients_are_those_of_the_language() {
        let mut other = numbers();
        for n in numbers().skip(7) {
            let d = (other.next().expect("as many") as u64).max(1);
            assert_eq!(divide(n, d), (n / u128::from(d), (n % u128::from(d)) as u64), "{n} / {d}");
            assert_eq!(quotient(n as i128, d), n as i128 / i128::from(d), "{} / {d}", n as i128);
        }
        for (n, d) in [(0, 1), (u128::MAX, 1), (u128::MAX, u64::MAX), (u128::from(u64::MAX) << 64, u64::MAX)] {
            assert_eq!(divide(n, d).0, n / u128::from(d));
        }
        assert_eq!(quotient(i128::MIN + 1, 3), (i128::MIN + 1) / 3);
    }

    #[test]
    fn roots_are_those_of_the_language() {
        for n in numbers() {
            assert_eq!(root(n), n.isqrt(), "{n}");
            let square = n.isqrt() * n.isqrt();
            assert_eq!(
                (root(square), root(square.saturating_sub(1))),
                (square.isqrt(), square.saturating_sub(1).isqrt())
            );
        }
        assert_eq!(root(u128::MAX), u128::from(u64::MAX));
    }
}
