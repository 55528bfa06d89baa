#![doc = include_str!("../README.md")]

mod command;
mod continuity;
mod debiting;
mod demand;
mod durable;
mod effects;
mod energy;
mod interval;
mod logger;
mod meter;
pub mod order;
mod reading;
mod register;
mod settings;
mod settle;
pub mod tariff;
mod verify;

pub use command::{Command, Origin, Refused};
pub use debiting::{Cycle, Schedule};
pub use demand::{ACCUMULATED, DayExtremes, Demand, Peak, TARIFF_PEAKS};
pub use durable::{Durable, DurableError, Passive, Pending};
pub use effects::{Effects, Input, Notice, Resume, Tx};
pub use energy::{DIRECTIONS, Directions};
pub use interval::{Interval, MeanSums, PhaseMeanSums};
pub use logger::{
    ABSENT, AuditCode, Column, Cursor, LOGGERS, LOGS, LoggerId, LoggerSpec, Row, StatusCode, Stored, code_name,
    genesis, row_hash,
};
pub use meter::{Meter, PENDING_RETRY_US, PENDING_TRIES, STALE_US};
pub use reading::MILLIJOULE_PER_STEP;
pub use register::{Energy, Power, REGISTERS, Register, Source, find};
pub use settings::{MeterType, Params, Settings, SettingsError};
pub use verify::{Fault, Finding, Verifier, check_heads, registers_monotone};

/// The largest change of meter time that is an adjustment, µs; a larger one is a set and cuts the interval.
/// 1 % of the shortest integration period: 9 s of 900 s.
pub const SET_LIMIT_US: i64 = 9_000_000;
