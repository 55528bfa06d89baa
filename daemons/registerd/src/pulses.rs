//! `[pulses]` of `registerd.toml`: the pulse outputs of the coprocessor, sealed parameters.
//!
//! What is possible is decided by the coprocessor's own check ([`PulseConfig::check`]), at 230 V; here it gets the name of
//! the key and the current that would fit.

use meter_core::MeterType;
use meter_kit::config::Impossible;
use metrology_link::payload::{
    self, MODULE_OUTPUTS, ModuleEnergy, ModuleOutput, PulseConfig, Topology, max_current_ma,
};
use serde::{Deserialize, Serialize};

/// Nominal voltage of the described meters, mV.
const U_NOMINAL_MV: u32 = 230_000;

/// Energy of a module output, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Energy {
    /// No pulses.
    #[default]
    #[serde(rename = "off")]
    Off,
    /// Active import.
    #[serde(rename = "A+")]
    Import,
    /// Active export.
    #[serde(rename = "A-")]
    Export,
    /// Reactive energy of the quadrants 1 and 2.
    #[serde(rename = "R+")]
    Reactive,
}

/// `[pulses]`. Absent constants and currents are those of the meter type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PulsesConfig {
    /// Meter constant: pulses of the light per kWh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub led_per_kwh: Option<u32>,
    /// Pulses of S0 per kWh; 0 = no S0 output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s0_per_kwh: Option<u32>,
    /// Largest current that the outputs must carry, mA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub i_max_ma: Option<u32>,
    /// The light is lit, not dark, without consumption.
    pub led_rests_lit: bool,
    /// What each output of the module area tells.
    pub module: [Energy; MODULE_OUTPUTS],
    /// Pulses per kWh of each.
    pub module_per_kwh: [u16; MODULE_OUTPUTS],
    /// Width of their pulses, ms.
    pub module_width_ms: u8,
}

impl Default for PulsesConfig {
    fn default() -> PulsesConfig {
        let output = ModuleOutput::default();
        PulsesConfig {
            led_per_kwh: None,
            s0_per_kwh: None,
            i_max_ma: None,
            led_rests_lit: false,
            module: [Energy::Off; MODULE_OUTPUTS],
            module_per_kwh: [output.per_kwh; MODULE_OUTPUTS],
            module_width_ms: output.width_ms,
        }
    }
}

impl PulsesConfig {
    /// What the coprocessor of such a meter is told.
    pub fn of(&self, meter_type: MeterType) -> PulseConfig {
        let usual = if meter_type.is_ct() { PulseConfig::transformers() } else { PulseConfig::default() };
        PulseConfig {
            led_per_kwh: self.led_per_kwh.unwrap_or(usual.led_per_kwh),
            s0_per_kwh: self.s0_per_kwh.unwrap_or(usual.s0_per_kwh),
            i_max_ma: self.i_max_ma.unwrap_or(usual.i_max_ma),
            led_rests_lit: self.led_rests_lit,
            module: std::array::from_fn(|k| ModuleOutput {
                energy: match self.module[k] {
                    Energy::Off => ModuleEnergy::Off,
                    Energy::Import => ModuleEnergy::Import,
                    Energy::Export => ModuleEnergy::Export,
                    Energy::Reactive => ModuleEnergy::Reactive,
                },
                per_kwh: self.module_per_kwh[k],
                width_ms: self.module_width_ms,
            }),
        }
    }

    /// Checks the outputs of such a meter.
    ///
    /// # Errors
    /// The first impossible value, with its key.
    pub fn check(&self, meter_type: MeterType) -> Result<(), Impossible> {
        let topology = match meter_type {
            MeterType::OnePhase => Topology::OnePhase,
            MeterType::Aron | MeterType::CtAron => Topology::Aron,
            MeterType::ThreePhase | MeterType::Ct => Topology::ThreePhase,
        };
        let pulses = self.of(meter_type);
        let Err(reason) = pulses.check(topology, U_NOMINAL_MV) else { return Ok(()) };
        let carried = |per_kwh, period_ms| max_current_ma(topology, u64::from(U_NOMINAL_MV), per_kwh, period_ms);
        let amperes = |ma: u64| format!("{}.{:03} A", ma / 1000, ma % 1000);
        let wanted = amperes(pulses.i_max_ma.into());
        Err(match reason {
            payload::Impossible::ModuleRate => {
                let of_each = pulses.module.iter().filter(|m| m.energy != ModuleEnergy::Off);
                let least = of_each.map(|m| carried(m.per_kwh.into(), m.period_ms())).min().unwrap_or(0);
                let width = self.module_width_ms;
                let reason = format!(
                    "with pulses of {width} ms an output carries {} at most, and must carry {wanted} (pulses.i_max_ma)",
                    amperes(least)
                );
                Impossible::new("pulses.module_per_kwh", reason)
            }
            payload::Impossible::PulseFactor => {
                Impossible::new("pulses.module_per_kwh", "must be 1 to 1000 for each of the two outputs")
            }
            payload::Impossible::PulseWidth => Impossible::new("pulses.module_width_ms", "must be 30 or 80"),
            payload::Impossible::PulseCurrent => Impossible::new("pulses.i_max_ma", "must be 1 to 10000000"),
            payload::Impossible::LedRate => Impossible::new(
                "pulses.led_per_kwh",
                format!("is too large for {wanted} (pulses.i_max_ma): 25 pulses a second are the limit"),
            ),
            _ if self.led_per_kwh.is_none() => {
                Impossible::new("pulses.s0_per_kwh", format!("must be an integral part of {}", pulses.led_per_kwh))
            }
            _ => Impossible::new(
                "pulses.led_per_kwh",
                "must be 1 to 100000, and pulses.s0_per_kwh an integral part of it or 0",
            ),
        })
    }
}
