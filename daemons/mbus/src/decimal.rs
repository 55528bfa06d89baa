//! Exact decimals: an integer times a power of ten.
//!
//! Everything a meter sends is an integer with a scale, or a binary float, which is an exact decimal too. Nothing here
//! rounds but [`Decimal::divided`], whose name says so, and floats whose last digits lie below 10^-44.

use std::cmp::Ordering;
use std::fmt;

/// `mantissa` x 10^`exponent`.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    mantissa: i128,
    exponent: i16,
}

/// The largest power of ten an `i128` holds.
const MAX_POWER: u32 = 38;

impl Decimal {
    /// Nothing at all.
    pub const ZERO: Self = Self::new(0, 0);

    /// `mantissa` x 10^`exponent`.
    pub const fn new(mantissa: i128, exponent: i16) -> Self {
        Self { mantissa, exponent }
    }

    /// The integer in front of the power of ten.
    pub const fn mantissa(self) -> i128 {
        self.mantissa
    }

    /// The power of ten.
    pub const fn exponent(self) -> i16 {
        self.exponent
    }

    /// This x 10^`by`: exact.
    #[must_use]
    pub const fn scaled(self, by: i16) -> Self {
        Self { mantissa: self.mantissa, exponent: self.exponent.saturating_add(by) }
    }

    /// The exact value of a float; `None` for infinities and not-a-number.
    pub fn from_f32(value: f32) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        let bits = value.to_bits();
        let biased = ((bits >> 23) & 0xFF) as i32;
        let fraction = i128::from(bits & 0x7F_FFFF);
        let (mut m, mut e) = if biased == 0 { (fraction, -149) } else { (fraction | 0x80_0000, biased - 150) };
        if m == 0 {
            return Some(Self::ZERO);
        }
        let zeros = m.trailing_zeros() as i32;
        m >>= zeros;
        e += zeros;
        let sign = if value < 0.0 { -1 } else { 1 };
        if e >= 0 {
            // At most 2^24 x 2^104: the largest float is below 2^128, which only just does not fit.
            let Some(m) = 1i128.checked_shl(e as u32).filter(|p| *p > 0).and_then(|p| m.checked_mul(p)) else {
                return Some(Self::new(sign * (m << (e - 10)), 3).times_1024_by_1000());
            };
            return Some(Self::new(sign * m, 0));
        }
        // 2^-k = 5^k x 10^-k
        let mut exponent = 0i16;
        for _ in 0..-e {
            match m.checked_mul(5) {
                Some(next) => {
                    m = next;
                    exponent -= 1;
                }
                // Below 10^-37 or so: halve instead, and let the last digit round.
                None => m = (m + 1) >> 1,
            }
        }
        Some(Self::new(sign * m, exponent).trimmed())
    }

    /// Only for the floats above 1.7e38: 1024 / 1000 on the mantissa, rounded in its 38th digit.
    fn times_1024_by_1000(self) -> Self {
        let whole = self.mantissa / 1000 * 1024;
        Self::new(whole + self.mantissa % 1000 * 1024 / 1000, self.exponent)
    }

    /// Without zeros at the end of the fraction.
    #[must_use]
    pub fn trimmed(mut self) -> Self {
        while self.exponent < 0 && self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.exponent += 1;
        }
        self
    }

    /// Sum, `None` where it has more than 38 digits.
    pub fn plus(self, other: Self) -> Option<Self> {
        let (a, b, exponent) = self.aligned(other)?;
        Some(Self::new(a.checked_add(b)?, exponent))
    }

    /// Difference, `None` where it has more than 38 digits.
    pub fn minus(self, other: Self) -> Option<Self> {
        self.plus(Self::new(other.mantissa.checked_neg()?, other.exponent))
    }

    /// Product with an integer, `None` where it has more than 38 digits.
    pub fn times(self, factor: i128) -> Option<Self> {
        Some(Self::new(self.mantissa.checked_mul(factor)?, self.exponent))
    }

    /// Quotient, rounded half away from zero to `places` decimal places; `None` by zero or with more than 38 digits.
    pub fn divided(self, by: i128, places: u8) -> Option<Self> {
        let shift = i32::from(self.exponent) + i32::from(places);
        let (mut n, mut d) = (self.mantissa, by);
        let power = 10i128.checked_pow(shift.unsigned_abs())?;
        if shift >= 0 {
            n = n.checked_mul(power)?;
        } else {
            d = d.checked_mul(power)?;
        }
        let (quotient, rest) = (n.checked_div(d)?, n.checked_rem(d)?);
        let up = rest.unsigned_abs() >= d.unsigned_abs().div_ceil(2);
        let sign = if (n < 0) == (d < 0) { 1 } else { -1 };
        Some(Self::new(if up { quotient + sign } else { quotient }, -i16::from(places)))
    }

    /// Rounded half away from zero to `places` decimal places.
    pub fn rounded(self, places: u8) -> Self {
        if self.exponent >= -i16::from(places) { self } else { self.divided(1, places).unwrap_or(Self::ZERO) }
    }

    /// Reads plain decimals and those with an exponent: `-12.50`, `1e-3`.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, power) = match text.split_once(['e', 'E']) {
            Some((number, power)) => (number, power.parse::<i16>().ok()?),
            None => (text, 0),
        };
        let (negative, digits) = match number.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, number),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut mantissa = 0i128;
        for c in whole.chars().chain(fraction.chars()) {
            mantissa = mantissa.checked_mul(10)?.checked_add(i128::from(c.to_digit(10)?))?;
        }
        let places = i16::try_from(fraction.len()).ok()?;
        Some(Self::new(if negative { -mantissa } else { mantissa }, power.checked_sub(places)?))
    }

    /// Both mantissas at the smaller of the two exponents.
    fn aligned(self, other: Self) -> Option<(i128, i128, i16)> {
        let exponent = self.exponent.min(other.exponent);
        let lift = |d: Self| {
            if d.mantissa == 0 {
                return Some(0);
            }
            d.mantissa.checked_mul(10i128.checked_pow((i32::from(d.exponent) - i32::from(exponent)).unsigned_abs())?)
        };
        Some((lift(self)?, lift(other)?, exponent))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        if let Some((a, b, _)) = self.aligned(*other) {
            return a.cmp(&b);
        }
        // Too far apart for one scale: sign first, then the place of the first digit.
        let place = |d: &Self| i32::from(d.exponent) + d.mantissa.unsigned_abs().checked_ilog10().unwrap_or(0) as i32;
        match (self.mantissa.signum(), other.mantissa.signum()) {
            (a, b) if a != b => a.cmp(&b),
            (-1, _) => place(other).cmp(&place(self)),
            _ => place(self).cmp(&place(other)),
        }
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        Self::new(i128::from(value), 0)
    }
}

impl fmt::Display for Decimal {
    /// Plain digits, never an exponent; as many decimal places as the scale has.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mantissa < 0 {
            f.write_str("-")?;
        }
        let digits = self.mantissa.unsigned_abs();
        if self.exponent >= 0 {
            write!(f, "{digits}")?;
            if digits != 0 {
                (0..self.exponent).try_for_each(|_| f.write_str("0"))?;
            }
            return Ok(());
        }
        let places = self.exponent.unsigned_abs();
        match u32::from(places) {
            0..=MAX_POWER => {
                let unit = 10u128.pow(u32::from(places));
                write!(f, "{}.{:0width$}", digits / unit, digits % unit, width = usize::from(places))
            }
            _ => write!(f, "0.{digits:0width$}", width = usize::from(places)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_plain_digits() {
        assert_eq!(Decimal::new(-5, -3).to_string(), "-0.005");
        assert_eq!(Decimal::new(12, 3).to_string(), "12000");
        assert_eq!(Decimal::new(0, 3).to_string(), "0");
        assert_eq!(Decimal::new(6_842_784, -3).to_string(), "6842.784");
        assert_eq!(Decimal::new(7, -40).to_string().len(), 42);
    }

    #[test]
    fn floats_are_exact() {
        let text = |f: f32| Decimal::from_f32(f).unwrap().to_string();
        assert_eq!(text(0.5), "0.5");
        assert_eq!(text(-4096.5), "-4096.5");
        assert_eq!(text(0.1), "0.100000001490116119384765625");
        assert_eq!(text(16_777_216.0), "16777216");
        assert_eq!(Decimal::from_f32(f32::NAN), None);
        assert_eq!(Decimal::from_f32(f32::INFINITY), None);
        assert!(text(f32::MAX).starts_with("3402823466"), "{}", text(f32::MAX));
        assert!(text(f32::MIN_POSITIVE).starts_with("0.000000000000000000000000000000000000011754"));
        assert!(Decimal::from_f32(1e-45).is_some());
    }

    #[test]
    fn compares_and_divides() {
        assert_eq!(Decimal::new(10, -1), Decimal::new(1, 0));
        assert!(Decimal::new(1, 300) > Decimal::new(5, 0) && Decimal::new(-1, 300) < Decimal::new(-5, -300));
        assert_eq!(Decimal::new(2605, 6).divided(3_600_000, 6).unwrap().to_string(), "723.611111");
        assert_eq!(Decimal::new(-5, -1).divided(1, 0), Some(Decimal::new(-1, 0)));
        assert_eq!(Decimal::new(1, 0).divided(0, 0), None);
        assert_eq!(Decimal::parse("-12.50"), Some(Decimal::new(-125, -1)));
        assert_eq!(Decimal::parse("1e-3"), Some(Decimal::new(1, -3)));
        assert_eq!(Decimal::parse("x"), None);
    }
}
