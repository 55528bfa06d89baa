//! The five kinds of meter the simulator can be.

use std::str::FromStr;

use metrology_link::payload::{Channel, MeterConfig, Method, PulseConfig, Topology};

/// How the simulated meter is connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MeterType {
    /// One phase, direct: U1, I1, I_N.
    OnePhase,
    /// Three phases and neutral, direct.
    #[default]
    ThreePhase,
    /// Three wires, two elements, direct.
    Aron,
    /// Three phases and neutral behind current transformers; counts secondary energy.
    Ct,
    /// Three wires, two elements, behind current transformers.
    CtAron,
}

/// The name of a meter type is not one of `1p 3p aron ct ct-aron`: the caller's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("meter type {0:?}: expected 1p, 3p, aron, ct or ct-aron")]
pub struct UnknownMeterType(pub String);

impl FromStr for MeterType {
    type Err = UnknownMeterType;

    fn from_str(text: &str) -> Result<MeterType, UnknownMeterType> {
        Ok(match text {
            "1p" => MeterType::OnePhase,
            "3p" => MeterType::ThreePhase,
            "aron" => MeterType::Aron,
            "ct" => MeterType::Ct,
            "ct-aron" => MeterType::CtAron,
            other => return Err(UnknownMeterType(other.to_owned())),
        })
    }
}

impl std::fmt::Display for MeterType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            MeterType::OnePhase => "1p",
            MeterType::ThreePhase => "3p",
            MeterType::Aron => "aron",
            MeterType::Ct => "ct",
            MeterType::CtAron => "ct-aron",
        })
    }
}

/// Peak of a direct phase current at full scale, µA: 100 A × √2 with a crest factor reserve of √2.
const DIRECT_FULL_SCALE_UA: u32 = 200_000_000;
/// Peak of a secondary current at full scale, µA: 6 A × √2 with a reserve of √2.
const CT_FULL_SCALE_UA: u32 = 12_000_000;

impl MeterType {
    /// The connection.
    pub fn topology(self) -> Topology {
        match self {
            MeterType::OnePhase => Topology::OnePhase,
            MeterType::ThreePhase | MeterType::Ct => Topology::ThreePhase,
            MeterType::Aron | MeterType::CtAron => Topology::Aron,
        }
    }

    /// Whether currents come through transformers.
    pub fn transformers(self) -> bool {
        matches!(self, MeterType::Ct | MeterType::CtAron)
    }

    /// Channels the meter has, a bit per [`Channel`].
    pub fn channels(self) -> u8 {
        match self.topology() {
            Topology::OnePhase => Channel::U1.bit() | Channel::I1.bit() | Channel::In.bit(),
            Topology::ThreePhase => 0x7f,
            Topology::Aron => Channel::U1.bit() | Channel::U3.bit() | Channel::I1.bit() | Channel::I3.bit(),
        }
    }

    /// What the factory writes into such a meter.
    pub fn config(self) -> MeterConfig {
        let topology = self.topology();
        let full_scale = if self.transformers() { CT_FULL_SCALE_UA } else { DIRECT_FULL_SCALE_UA };
        MeterConfig {
            topology,
            method: if topology == Topology::Aron { Method::Vector } else { Method::PerPhase },
            channels: self.channels(),
            i_full_scale_ua: full_scale,
            i_n_full_scale_ua: full_scale,
            // Energy below 2.3 W (10 mA) of a phase is not registered, behind transformers below 0.6 W of secondary power.
            start_mw: if self.transformers() { 600 } else { 2_300 },
            breaker: !self.transformers(),
            pulses: if self.transformers() { PulseConfig::transformers() } else { PulseConfig::default() },
            ..MeterConfig::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_every_factory_configuration_is_possible() {
        for name in ["1p", "3p", "aron", "ct", "ct-aron"] {
            let kind: MeterType = name.parse().unwrap();
            assert_eq!(kind.to_string(), name);
            assert_eq!(kind.config().check(), Ok(()));
        }
        assert!("2p".parse::<MeterType>().is_err());
    }
}
