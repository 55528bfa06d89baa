//! What the pages carry: plain values with their units, the same on both ends.
//!
//! Nothing here knows bytes: the layouts stand in [`crate::codec`]. A value that does not exist is absent by a flag,
//! never a zero.

mod command;
mod config;
mod control;
mod event;
mod hello;
mod pulses;
mod report;
mod stream;
mod values;

pub use command::{
    Authority, BreakerDrive, CHAIN_LOGS, ChainHead, Command, Heads, IMAGE_BLOCK, ImageBlock, LCD_BACKUP_FRAMES,
    LcdFrame, Outputs, Reply, ReplyStatus,
};
pub use config::{
    CALIBRATION_CONTEXT, CHANNELS, Calibration, Channel, ChannelCalibration, Impossible, MeterConfig, Method,
    SignedCalibration, Topology,
};
pub use control::{HostControl, Ranged};
pub use event::{EventCode, EventRecord};
pub use hello::{Hello, ResetCause};
pub use pulses::{
    LED_LIMIT, LED_PERIOD_MS, LED_U_PERCENT, LED_WIDTH_MS, LedMode, MODULE_LIMIT, MODULE_OUTPUTS, ModuleEnergy,
    ModuleOutput, PulseConfig, max_current_ma,
};
pub use report::{
    HARMONIC_ORDERS, HarmonicChannel, HarmonicReport, INTERVAL_VALUES, Interval, OCCURRENCES, REPORT_DATA, ReportFlags,
    ReportKind, ReportRecord, TEN_SECONDS, WAVE_CHANNELS, WAVE_SAMPLES, WAVE_SCALE_BITS, WavePiece,
};
pub use stream::{STREAM_DATA, StreamChunk, StreamKind};
pub use values::{
    Billing, ClockQuality, Counters, Direction, EnergySet, Grid, HistoryKind, HistoryRecord, Inputs, PHASES,
    PULSE_INPUTS, PhaseSecond, PhaseSums, Second, Snapshot, Sums, Suspect, Valid,
};
