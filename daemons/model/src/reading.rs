//! A reading: integer value, power of ten, unit, time and status.

use core::fmt;

use crate::{Unit, Utc};

/// Status bits of a reading, of an interval and of a logger row (in the manner of WELMEC guide 11.2): what happened
/// that a reader of the value should know. 0 means nothing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Status(pub u32);

impl Status {
    /// Part of the interval passed without voltage (outage or reset of the metrology).
    pub const OUTAGE: Status = Status(1 << 0);
    /// Shorter than the integration period.
    pub const SHORT: Status = Status(1 << 1);
    /// Longer than the integration period: boundaries were missed and merged.
    pub const LONG: Status = Status(1 << 2);
    /// The clock was set (a jump) inside the interval.
    pub const CLOCK_SET: Status = Status(1 << 3);
    /// The clock was adjusted by less than the limit for a jump.
    pub const CLOCK_ADJUSTED: Status = Status(1 << 4);
    /// Meter time was invalid.
    pub const CLOCK_INVALID: Status = Status(1 << 5);
    /// Configuration or calibration changed inside the interval.
    pub const CONFIG_CHANGED: Status = Status(1 << 6);
    /// The metrology restarted inside the interval.
    pub const RESTART: Status = Status(1 << 7);
    /// A sample was clipped: the true value is higher.
    pub const OVERLOAD: Status = Status(1 << 8);
    /// A counter continuity break was found and bridged (metrology memory lost or replaced).
    pub const DISCONTINUITY: Status = Status(1 << 9);
    /// Under-voltage inside the interval.
    pub const UNDER_VOLTAGE: Status = Status(1 << 10);
    /// Over-voltage inside the interval.
    pub const OVER_VOLTAGE: Status = Status(1 << 11);
    /// Meter time ran without reference (holdover).
    pub const CLOCK_HOLDOVER: Status = Status(1 << 12);
    /// Samples were lost, or were not plausible: a channel stuck, missing, or exchanged with another phase's.
    pub const SUSPECT: Status = Status(1 << 13);
    /// Written by a demo or laboratory build: not for billing.
    pub const NOT_LEGAL: Status = Status(1 << 15);
    /// There is no value. The reason stands in bits 24 to 27, see [`Absent`].
    pub const NO_VALUE: Status = Status(1 << 31);

    /// The named bits, for tables and documentation.
    pub const NAMES: [(Status, &'static str); 16] = [
        (Self::OUTAGE, "outage"),
        (Self::SHORT, "short"),
        (Self::LONG, "long"),
        (Self::CLOCK_SET, "clock-set"),
        (Self::CLOCK_ADJUSTED, "clock-adjusted"),
        (Self::CLOCK_INVALID, "clock-invalid"),
        (Self::CONFIG_CHANGED, "config-changed"),
        (Self::RESTART, "restart"),
        (Self::OVERLOAD, "overload"),
        (Self::DISCONTINUITY, "discontinuity"),
        (Self::UNDER_VOLTAGE, "under-voltage"),
        (Self::OVER_VOLTAGE, "over-voltage"),
        (Self::CLOCK_HOLDOVER, "clock-holdover"),
        (Self::SUSPECT, "suspect"),
        (Self::NOT_LEGAL, "not-legal"),
        (Self::NO_VALUE, "no-value"),
    ];

    /// Whether all bits of `other` are set.
    pub fn has(self, other: Status) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The names of the bits set, separated by commas; bits without a name as one hexadecimal number; `-` when none is set.
/// A reason for absence is not a bit: see [`Reading::absent`].
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = if self.has(Status::NO_VALUE) { Absent::MASK } else { 0 };
        let mut rest = self.0 & !reason;
        let mut comma = "";
        for (bit, name) in Status::NAMES.iter().filter(|(bit, _)| self.has(*bit)) {
            write!(f, "{comma}{name}")?;
            comma = ",";
            rest &= !bit.0;
        }
        match (rest, comma) {
            (0, "") => f.write_str("-"),
            (0, _) => Ok(()),
            _ => write!(f, "{comma}{rest:#x}"),
        }
    }
}

impl core::ops::BitOr for Status {
    type Output = Status;
    fn bitor(self, other: Status) -> Status {
        Status(self.0 | other.0)
    }
}

impl core::ops::BitOrAssign for Status {
    fn bitor_assign(&mut self, other: Status) {
        self.0 |= other.0;
    }
}

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Absent {
    /// No page from the metrology since the start.
    NotYet,
    /// The metrology has been silent for longer than a value may be old.
    Stale,
    /// This meter type has no such channel, or it is not connected.
    NoChannel,
    /// Not defined for the present state (power factor without load, for one).
    Undefined,
    /// Outside of the range in which it can be measured.
    OutOfRange,
}

impl Absent {
    /// All reasons, in the order of their codes (1 to 5).
    pub const ALL: [Absent; 5] =
        [Absent::NotYet, Absent::Stale, Absent::NoChannel, Absent::Undefined, Absent::OutOfRange];

    /// Where the code stands in a status.
    const SHIFT: u32 = 24;
    const MASK: u32 = 0xf << Self::SHIFT;

    /// The reason as status bits.
    pub fn status(self) -> Status {
        let code = Self::ALL.iter().position(|a| *a == self).unwrap_or(0) as u32 + 1;
        Status(Status::NO_VALUE.0 | code << Self::SHIFT)
    }

    /// Words for people.
    pub fn words(self) -> &'static str {
        match self {
            Absent::NotYet => "not measured yet",
            Absent::Stale => "metrology silent",
            Absent::NoChannel => "no such channel",
            Absent::Undefined => "undefined without load",
            Absent::OutOfRange => "out of range",
        }
    }
}

/// A value with everything one needs to understand it: `value * 10^scaler unit`, at a point of meter time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reading {
    /// The integer. Meaningless when [`Reading::absent`] gives a reason.
    pub value: i64,
    /// Power of ten.
    pub scaler: i8,
    /// Unit, with its DLMS code.
    pub unit: Unit,
    /// Meter time of the measurement.
    pub at: Utc,
    /// What a reader should know.
    pub status: Status,
}

impl Reading {
    /// A reading without a value, for a named reason.
    pub fn none(reason: Absent, scaler: i8, unit: Unit, at: Utc) -> Reading {
        Reading { value: 0, scaler, unit, at, status: reason.status() }
    }

    /// Why there is no value, or `None` when there is one. An unknown code reads as [`Absent::NotYet`].
    pub fn absent(&self) -> Option<Absent> {
        self.status.has(Status::NO_VALUE).then(|| {
            let code = ((self.status.0 & Absent::MASK) >> Absent::SHIFT) as usize;
            *Absent::ALL.get(code.wrapping_sub(1)).unwrap_or(&Absent::NotYet)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn bits_have_one_name_each_and_leave_room_for_the_reason() {
        let mut all = 0;
        for (bit, name) in Status::NAMES {
            assert_eq!(bit.0.count_ones(), 1, "{name}");
            assert_eq!(all & bit.0, 0, "{name} shares a bit");
            assert_eq!(bit.0 & Absent::MASK, 0, "{name} stands on the reason");
            all |= bit.0;
        }
    }

    #[test]
    fn a_status_reads_as_words() {
        assert_eq!(Status(0).to_string(), "-");
        assert_eq!((Status::SHORT | Status::CLOCK_SET).to_string(), "short,clock-set");
        assert_eq!(Status(1 << 20 | 1).to_string(), "outage,0x100000");
        assert_eq!(Status(1 << 20).to_string(), "0x100000");
        assert_eq!(Absent::Stale.status().to_string(), "no-value");
    }

    #[test]
    fn an_absent_reading_keeps_its_reason() {
        for reason in Absent::ALL {
            let reading = Reading::none(reason, -3, Unit::Volt, Utc(7));
            assert_eq!(reading.absent(), Some(reason));
            let marked = Reading { status: reading.status | Status::NOT_LEGAL, ..reading };
            assert_eq!(marked.absent(), Some(reason));
        }
        let present = Reading { value: 0, scaler: 0, unit: Unit::Count, at: Utc(0), status: Status::NOT_LEGAL };
        assert_eq!(present.absent(), None);
        let unknown = Reading { status: Status(Status::NO_VALUE.0 | 0xf << 24), ..present };
        assert_eq!(unknown.absent(), Some(Absent::NotYet));
    }

    proptest! {
        /// Whatever the bits, every one of them is told.
        #[test]
        fn no_bit_is_hidden(bits: u32) {
            let text = Status(bits).to_string();
            for (bit, name) in Status::NAMES {
                prop_assert_eq!(text.split(',').any(|word| word == name), bits & bit.0 != 0);
            }
        }
    }
}
