//! Reports of the coprocessor (power quality intervals, harmonics, waveforms) in `telemetry.db`, apart from everything
//! legal: capped, circular, expendable. A damaged file is moved aside and begun anew; one that cannot be written
//! leaves the reports in the coprocessor, which keeps them until they are committed. Metering never waits for it.
//!
//! [`store`] is the file, [`keeper`] the thread that owns it. The order is the legal one all the same: first the commit,
//! then the acknowledgement.

pub mod keeper;
pub mod store;

#[cfg(test)]
mod tests;

pub use keeper::{Keeper, State};
pub use store::{Arrived, DATABASE, Place, Table, Telemetry};
