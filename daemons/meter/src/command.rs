//! What may be asked of the meter. No command sets or lowers a register; there is none to write here.

use meter_model::Utc;

use crate::register::Power;
use crate::settings::{Params, SettingsError};
use crate::tariff::{TariffError, Tariffs};

/// Longest origin kept in an audit row, bytes: a protocol, an association and a peer address fit.
const ORIGIN_MAX: usize = 96;

/// Earliest time a clock may be set to: 2020-01-01. Nothing built on this code can have been older.
const CLOCK_MIN: Utc = Utc(1_577_836_800_000_000);
/// Latest time a clock may be set to: 2100-01-01, the end of the DLMS date's certain range.
const CLOCK_MAX: Utc = Utc(4_102_444_800_000_000);

/// A command. Each that is accepted leaves one audit row per value changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Set meter time to this, as of the moment of the step. Any distance.
    ClockSet(Utc),
    /// Move meter time by this many µs, at most [`crate::SET_LIMIT_US`] in either direction.
    ClockAdjust(i64),
    /// Change parameters. The running interval is cut at the moment of a change that its row depends on.
    SetParams(Params),
    /// Put tariffs into force, at once (at the next history record) or at a minute of normal time since 1970.
    SetTariffs(Box<(Tariffs, Option<i64>)>),
    /// Debiting stop: log and begin the peaks anew.
    DebitingStop,
    /// Set the trip counter of one direction's energy to zero.
    ResetTrip(Power),
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Protocol, association or command id, peer; as told by the caller, shortened to 96 bytes for the audit row.
    pub source: String,
    /// User id of the calling process, as the bus vouches for it.
    pub uid: u32,
}

impl Origin {
    /// The words for an audit row: shortened at a character's border, control characters replaced.
    pub(crate) fn words(&self) -> String {
        let mut words = String::new();
        for c in self.source.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }) {
            if words.len() + c.len_utf8() > ORIGIN_MAX {
                break;
            }
            words.push(c);
        }
        words
    }
}

/// A command was not carried out; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The metrology has not answered yet or is silent: nobody's fault, try again.
    #[error("the metrology is not answering")]
    NotReady,
    /// The change before this one has not reached the metrology yet: try again in a second.
    #[error("an earlier change is still under way")]
    Busy,
    /// An adjustment beyond the limit: the caller's fault; a set does it.
    #[error("an adjustment moves the clock by at most 9 s; set it instead")]
    TooFar,
    /// An adjustment of a clock that was never set: the caller's fault.
    #[error("the clock is not valid: set it, it cannot be adjusted")]
    ClockInvalid,
    /// A time outside 2020 to 2099: the caller's fault.
    #[error("time outside 2020-01-01 to 2099-12-31")]
    OutOfRange,
    /// An impossible parameter: the caller's fault.
    #[error(transparent)]
    Params(#[from] SettingsError),
    /// Impossible tariffs: the caller's fault.
    #[error(transparent)]
    Tariffs(#[from] TariffError),
}

/// Whether the clock may be set to this.
pub(crate) fn check_time(utc: Utc) -> Result<(), Refused> {
    if utc < CLOCK_MIN || utc >= CLOCK_MAX { Err(Refused::OutOfRange) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_bounded_and_printable() {
        let origin = |source: &str| Origin { source: source.into(), uid: 0 }.words();
        assert_eq!(origin("dlms client 1\n10.0.0.1"), "dlms client 1\u{fffd}10.0.0.1");
        assert_eq!(origin(&"ä".repeat(100)), "ä".repeat(48));
        assert_eq!(origin(&format!("x{}", "ä".repeat(100))).len(), 95);
    }
}
