//! A reading: integer value, power of ten, unit, time and status.

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
    /// Written by a demo or laboratory build: not for billing.
    pub const NOT_LEGAL: Status = Status(1 << 15);
    /// There is no value. The reason stands in bits 24 to 27, see [`Absent`].
    pub const NO_VALUE: Status = Status(1 << 31);

    /// The named bits, for tables and documentation.
    pub const NAMES: [(Status, &'static str); 15] = [
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
        (Self::NOT_LEGAL, "not-legal"),
        (Self::NO_VALUE, "no-value"),
    ];

    /// Whether all bits of `other` are set.
    pub fn has(self, other: Status) -> bool {
        self.0 & other.0 == other.0
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

    /// The reason as status bits.
    pub fn status(self) -> Status {
        let code = Self::ALL.iter().position(|a| *a == self).unwrap_or(0) as u32 + 1;
        Status(Status::NO_VALUE.0 | code << 24)
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
            let code = (self.status.0 >> 24 & 0xf) as usize;
            *Absent::ALL.get(code.wrapping_sub(1)).unwrap_or(&Absent::NotYet)
        })
    }
}
