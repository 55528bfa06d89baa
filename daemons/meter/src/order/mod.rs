//! The ordering model: a type number (X1 to X16) says what a meter is, software codes (Z1 to Z30) how it is set up. Both
//! are read into configuration and written back; what contradicts itself is refused whole, with the field named.
//!
//! Codes that stand for functions of other parts (display, breaker, radio, read-out) are kept and written back as they
//! came; [`SoftwareCodes::configuration`] gives those that the meter core acts on.

mod software;
mod tables;
mod type_number;

pub use software::{Configuration, SOFTWARE_FIELDS, SoftwareCodes};
pub use tables::{Code, SOFTWARE_CODES, TYPE_CODES};
pub use type_number::TypeNumber;

use core::fmt;

/// A family of meters: the third digit of the type number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// 684: three-phase, direct.
    ThreePhase,
    /// 685: behind current transformers.
    Ct,
    /// 686: single-phase, direct.
    OnePhase,
}

impl Family {
    /// All with their code of X1.
    pub const CODES: [(Family, &'static str); 3] =
        [(Family::ThreePhase, "4"), (Family::Ct, "5"), (Family::OnePhase, "6")];
}

/// `684`, `685`, `686`.
impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "68{}", Self::CODES[*self as usize].1)
    }
}

/// A type number or software code is impossible. The writer's fault; nothing is taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct OrderError {
    /// `X1` to `X16`, `Z1` to `Z30`; `type number` or `codes` when it is none of them.
    pub field: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl OrderError {
    fn new(field: impl Into<String>, reason: impl Into<String>) -> OrderError {
        OrderError { field: field.into(), reason: reason.into() }
    }
}

/// The entry of a value, or an error that lists what the family knows.
fn find(
    table: &'static [Code],
    letter: char,
    field: u8,
    value: &str,
    family: Family,
) -> Result<&'static Code, OrderError> {
    let of_field = || table.iter().filter(move |c| c.field == field && c.on(family));
    of_field().find(|c| c.value == value).ok_or_else(|| {
        let known: Vec<&str> = of_field().map(|c| c.value).collect();
        let reason = match (known.as_slice(), known.len()) {
            ([], _) => format!("{family} meters have no such field"),
            (_, 0..=12) => format!("{value:?} is not a code of {family} meters; these are: {}", known.join(", ")),
            _ => format!("{value:?} is not a code of {family} meters"),
        };
        OrderError::new(format!("{letter}{field}"), reason)
    })
}

#[cfg(test)]
mod tests;
