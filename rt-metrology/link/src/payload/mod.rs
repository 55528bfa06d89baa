//! What the pages carry: plain values with their units, the same on both ends.
//!
//! Nothing here knows bytes: the layouts stand in [`crate::codec`]. A value that does not exist is absent by a flag,
//! never a zero.

mod command;
mod config;
mod control;
mod event;
mod hello;
mod stream;
mod values;

pub use command::{
    Authority, BreakerDrive, CHAIN_LOGS, ChainHead, Command, Heads, IMAGE_BLOCK, ImageBlock, LCD_BACKUP_FRAMES,
    LcdFrame, Outputs, Reply, ReplyStatus,
};
pub use config::{CHANNELS, Calibration, Channel, ChannelCalibration, Impossible, MeterConfig, Method, Topology};
pub use control::{HostControl, Ranged};
pub use event::{EventCode, EventRecord};
pub use hello::{Hello, ResetCause};
pub use stream::{STREAM_DATA, StreamChunk, StreamKind};
pub use values::{
    Billing, ClockQuality, Counters, EnergySet, Grid, HistoryKind, HistoryRecord, Inputs, PHASES, PULSE_INPUTS,
    PhaseSecond, PhaseSums, Second, Snapshot, Sums, Valid,
};
