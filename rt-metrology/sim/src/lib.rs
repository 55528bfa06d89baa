#![doc = include_str!("../README.md")]

pub mod afe;
pub mod bench;
pub mod board;
mod control;
pub mod fault;
pub mod grid;
pub mod laboratory;
pub mod load;
pub mod meter_type;
pub mod noise;
pub mod nvfile;
pub mod pages;
pub mod qemu;
pub mod scenario;
pub mod truth;
pub mod virtual_coprocessor;
pub mod waveform;
pub mod world;

use std::path::PathBuf;

pub use bench::InProcess;
pub use fault::{FaultInjector, FaultRates};
pub use meter_type::MeterType;
pub use scenario::Scenario;
pub use virtual_coprocessor::{VirtualOptions, run};
pub use waveform::{LoadOptions, Waveform, WaveformSource};
pub use world::{World, WorldOptions};

/// Why a simulation cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The scenario was refused: its author's fault.
    #[error(transparent)]
    Scenario(#[from] scenario::ScenarioError),
    /// The waveform was refused: the file's or the caller's fault.
    #[error(transparent)]
    Waveform(#[from] waveform::WaveformError),
    /// The record does not suit the kind of meter: the caller's choice.
    #[error("{}: {reason}", path.display())]
    Unfit {
        /// The record.
        path: PathBuf,
        /// What is missing or too large.
        reason: String,
    },
    /// The memory file cannot be used.
    #[error(transparent)]
    Memory(#[from] nvfile::NvError),
    /// A socket cannot be opened, or polling failed.
    #[error("{}: {source}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// QEMU, or the program under it: not installed, not built, or ended; its own words are on stderr.
    #[error("QEMU: {0}")]
    Qemu(String),
    /// The memory file could not be written any more: the simulated metering would be lost, so it stops.
    #[error("{}: memory file: {source}", path.display())]
    MemoryWrite {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An option makes no sense: the caller's fault.
    #[error("{0}")]
    Option(String),
}
