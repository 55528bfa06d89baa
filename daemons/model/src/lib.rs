//! The meter's vocabulary, shared by every crate above the link: OBIS codes, units, readings, status and time.
//!
//! No I/O, no clock, no floating point on a billing value. A reading is an integer with its scaler and unit, or a
//! named reason why there is none; it is never a zero that stands for "unknown".
#![no_std]

extern crate alloc;

mod calendar;
mod obis;
mod reading;
mod time;
mod unit;

pub use calendar::{DAY_MINUTES, Date, ParseDateError};
pub use obis::{Obis, ParseObisError};
pub use reading::{Absent, Reading, Status};
pub use time::{ClockQuality, Mono, Utc, Wall};
pub use unit::Unit;
