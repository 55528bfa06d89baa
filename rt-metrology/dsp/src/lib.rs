#![doc = include_str!("../README.md")]
#![no_std]

#[cfg(test)]
extern crate std;

pub mod climate;
pub mod coprocessor;
pub mod design;
pub mod energy;
pub mod frontend;
mod gate;
mod half_cycle;
mod metrology;
pub mod nco;
mod plausible;
pub mod pq;
mod products;
pub mod pulses;
mod quantities;
mod totals;
mod tracker;
mod wide;

pub use design::CHANNELS;
pub use energy::{Cumulative, Malformed};
pub use half_cycle::{HalfCycle, HalfValues};
pub use metrology::{Metrology, WindowEnd};
pub use metrology_link::payload::{Calibration, Impossible, MeterConfig};

use metrology_link::payload::{Channel, Topology};

/// Whether this configuration and calibration can be measured with.
///
/// # Errors
/// The first impossible value.
pub fn validate(config: &MeterConfig, calibration: &Calibration) -> Result<(), Impossible> {
    config.check()?;
    calibration.check()
}

/// Channels that are measured: those that exist and that the topology uses, a bit each.
pub fn measured_channels(config: &MeterConfig) -> u8 {
    let used = match config.topology {
        Topology::OnePhase => [Channel::U1, Channel::I1, Channel::In].map(Channel::bit).iter().sum(),
        Topology::Aron => [Channel::U1, Channel::U3, Channel::I1, Channel::I3].map(Channel::bit).iter().sum(),
        Topology::ThreePhase => (1 << CHANNELS) - 1,
    };
    config.channels & used
}
