//! Tariff by mains inputs: 230 V on the module's port 1 and port 2.
//!
//! | port 1 | port 2 | both ports | inverted | port 1 alone | port 2 alone |
//! |---|---|---|---|---|---|
//! | 0 | 0 | T1 | T4 | T1 | T1 |
//! | 230 V | 0 | T2 | T3 | T2 | T1 |
//! | 0 | 230 V | T3 | T2 | T1 | T2 |
//! | 230 V | 230 V | T4 | T1 | T2 | T2 |
//!
//! A single port inverted gives T2 without and T1 with voltage. The ports are the link's tariff inputs 1 and 2.

use metrology_link::payload::Inputs;

use super::Tariff;

/// Which ports carry tariff inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Port 1: two tariffs.
    First,
    /// Port 2: two tariffs.
    Second,
    /// Both: four tariffs.
    Both,
}

/// The tariff of the state of the inputs.
pub(super) fn tariff(ports: Ports, inverted: bool, inputs: Inputs) -> Tariff {
    let port_1 = (inputs.0 & 1) as u8;
    let port_2 = (inputs.0 >> 1 & 1) as u8;
    let (state, last) = match ports {
        Ports::First => (port_1, 1),
        Ports::Second => (port_2, 1),
        Ports::Both => (port_1 | port_2 << 1, 3),
    };
    Tariff(if inverted { last - state } else { state })
}
