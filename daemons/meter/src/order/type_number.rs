//! The type number: 18 characters in groups, `684-11-31B-N24-3111-123`.
//!
//! `68 X1 - X2 X3 - X4 X5 X6 - X7 X8 X9 - X10 X11 X12 X13 - X14 X15 X16`

use core::fmt;
use core::str::FromStr;

use super::tables::{Code, TYPE_CODES};
use super::{Family, OrderError, find};
use crate::settings::MeterType;

/// Fields with a table: X1 to X13.
const FIELDS: usize = 13;
/// Characters without dashes.
const LENGTH: usize = 18;
/// Where dashes stand, counted in characters.
const DASHES: [usize; 5] = [3, 5, 8, 11, 15];

/// A type number whose every code exists for its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeNumber {
    family: Family,
    codes: [&'static Code; FIELDS],
    country: [char; 3],
}

impl TypeNumber {
    /// The family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The codes X1 to X13.
    pub fn codes(&self) -> &[&'static Code] {
        &self.codes
    }

    /// The value of X1 to X13; empty for any other number.
    pub fn value(&self, field: u8) -> &'static str {
        self.codes.iter().find(|c| c.field == field).map_or("", |c| c.value)
    }

    /// Variant 2: has encryption, last gasp, differences in the load profile, and its long sets.
    pub fn is_variant_2(&self) -> bool {
        self.value(8) == "2"
    }

    /// How such a meter is connected.
    pub fn meter_type(&self) -> MeterType {
        match (self.family, self.value(4)) {
            (Family::OnePhase, _) => MeterType::OnePhase,
            (Family::ThreePhase, "2") => MeterType::Aron,
            (Family::ThreePhase, _) => MeterType::ThreePhase,
            (Family::Ct, "2") => MeterType::CtAron,
            (Family::Ct, _) => MeterType::Ct,
        }
    }
}

/// Reads a type number with all its dashes or with none.
impl FromStr for TypeNumber {
    type Err = OrderError;

    fn from_str(text: &str) -> Result<TypeNumber, OrderError> {
        let shape = || OrderError::new("type number", "must have 18 letters and digits, like 684-11-31B-N24-3111-123");
        let dashes: Vec<usize> = text.char_indices().filter(|(_, c)| *c == '-').map(|(at, _)| at).collect();
        let wanted: Vec<usize> = DASHES.iter().enumerate().map(|(n, at)| at + n).collect();
        let plain: Vec<char> = text.chars().filter(|c| *c != '-').collect();
        let good = plain.len() == LENGTH && plain.iter().all(char::is_ascii_alphanumeric);
        if !good || !(dashes.is_empty() || dashes == wanted) {
            return Err(shape());
        }
        let ['6', '8', x1, rest @ ..] = plain.as_slice() else {
            return Err(OrderError::new("type number", "must begin with 68"));
        };
        let family = Family::CODES.iter().find(|(_, code)| code.chars().eq([*x1])).map(|(family, _)| *family);
        let family = family.ok_or_else(|| OrderError::new("X1", "must be 4, 5 or 6"))?;
        let mut codes = [&TYPE_CODES[0]; FIELDS];
        for (n, code) in codes.iter_mut().enumerate() {
            let value = if n == 0 { *x1 } else { *rest.get(n - 1).ok_or_else(shape)? };
            let mut buffer = [0; 4];
            *code = find(TYPE_CODES, 'X', n as u8 + 1, value.encode_utf8(&mut buffer), family)?;
        }
        let [.., a, b, c] = *rest else { return Err(shape()) };
        Ok(TypeNumber { family, codes, country: [a, b, c] })
    }
}

/// With dashes.
impl fmt::Display for TypeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codes = self.codes.iter().flat_map(|c| c.value.chars());
        for (n, c) in ['6', '8'].into_iter().chain(codes).chain(self.country).enumerate() {
            if DASHES.contains(&n) {
                f.write_str("-")?;
            }
            write!(f, "{c}")?;
        }
        Ok(())
    }
}
