//! Pulse outputs: the light of the meter, S0, and the outputs of the module area.
//!
//! Sealed parameters, as all of [`MeterConfig`](super::MeterConfig): a pulse stands for energy. Constants of meters
//! behind current transformers are secondary.

use super::{Impossible, Topology};

/// Width of the pulses of light and S0, ms.
pub const LED_WIDTH_MS: u8 = 30;
/// Shortest period of light and S0, ms. 25 Hz is what a pulse input has to count, and at 1000 imp/kWh it is 130 A in
/// three phases of 230 V; at 100 A the period is 52 ms.
pub const LED_PERIOD_MS: u8 = 40;
/// Light and S0 carry the largest current up to this share of the nominal voltage, percent.
pub const LED_U_PERCENT: u32 = 115;
/// Largest constant of light and S0, imp/kWh: a class 0.2 meter behind transformers has 10 000, portable standards 100 000.
pub const LED_LIMIT: u32 = 100_000;
/// Largest factor of a module output, imp/kWh.
pub const MODULE_LIMIT: u16 = 1000;
/// Pulse outputs of the module area: its two I/O ports.
pub const MODULE_OUTPUTS: usize = 2;
/// Largest current that may be declared, mA.
const I_MAX_LIMIT_MA: u32 = 10_000_000;
/// One kilowatt-hour in mW·ms.
const KILOWATT_HOUR: u128 = 3_600_000_000_000;

/// Energy that a module output tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum ModuleEnergy {
    /// No pulses.
    #[default]
    Off = 0,
    /// A+.
    Import = 1,
    /// A−.
    Export = 2,
    /// R+: the quadrants 1 and 2.
    Reactive = 3,
}

/// One output of the module area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleOutput {
    /// What it tells.
    pub energy: ModuleEnergy,
    /// Pulses per kWh or kvarh, 1 to [`MODULE_LIMIT`].
    pub per_kwh: u16,
    /// Width of a pulse, 30 or 80 ms. The pause is as long at least.
    pub width_ms: u8,
}

impl Default for ModuleOutput {
    /// Off; 1 imp/kWh of 30 ms when it is switched on.
    fn default() -> ModuleOutput {
        ModuleOutput { energy: ModuleEnergy::Off, per_kwh: 1, width_ms: 30 }
    }
}

impl ModuleOutput {
    /// Shortest period, ms: a pulse, and a pause as long.
    pub fn period_ms(&self) -> u32 {
        2 * u32::from(self.width_ms)
    }
}

/// What the light (and S0 with it) follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum LedMode {
    /// A+: normal operation, and what every start begins with.
    #[default]
    Import = 0,
    /// Verification of active energy: A+ or A−, by the quadrant.
    Active = 1,
    /// Verification of reactive energy: that of the quadrant.
    Reactive = 2,
}

/// All pulse outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PulseConfig {
    /// Meter constant: pulses of the light per kWh, and per kvarh in verification.
    pub led_per_kwh: u32,
    /// Pulses of S0 per kWh, in step with the light: an integral part of its constant; 0 = no S0 output.
    pub s0_per_kwh: u32,
    /// Largest current that all outputs must carry, mA: that of the meter, or of a fuse in front of it.
    pub i_max_ma: u32,
    /// The light is on, not off, as long as there is no consumption.
    pub led_rests_lit: bool,
    /// Outputs of the module area.
    pub module: [ModuleOutput; MODULE_OUTPUTS],
}

impl Default for PulseConfig {
    /// A direct meter for 100 A: 1000 imp/kWh, no module outputs, dark at rest.
    fn default() -> PulseConfig {
        PulseConfig {
            led_per_kwh: 1000,
            s0_per_kwh: 1000,
            i_max_ma: 100_000,
            led_rests_lit: false,
            module: [ModuleOutput::default(); MODULE_OUTPUTS],
        }
    }
}

impl PulseConfig {
    /// A meter behind current transformers, for 6 A: 10 000 imp/kWh at the light and 5000 at S0, secondary.
    pub fn transformers() -> PulseConfig {
        PulseConfig { led_per_kwh: 10_000, s0_per_kwh: 5_000, i_max_ma: 6_000, ..PulseConfig::default() }
    }

    /// Checks every value, and that each output can carry the largest current at the nominal voltage.
    ///
    /// # Errors
    /// The first impossible value.
    pub fn check(&self, topology: Topology, u_nominal_mv: u32) -> Result<(), Impossible> {
        let (led, s0) = (self.led_per_kwh, self.s0_per_kwh);
        if !(1..=LED_LIMIT).contains(&led) || s0 > led || (s0 != 0 && led % s0 != 0) {
            return Err(Impossible::PulseConstant);
        }
        if !(1..=I_MAX_LIMIT_MA).contains(&self.i_max_ma) {
            return Err(Impossible::PulseCurrent);
        }
        let u_led = u64::from(u_nominal_mv) * u64::from(LED_U_PERCENT) / 100;
        if u64::from(self.i_max_ma) > max_current_ma(topology, u_led, led, u32::from(LED_PERIOD_MS)) {
            return Err(Impossible::LedRate);
        }
        for output in &self.module {
            if !(1..=MODULE_LIMIT).contains(&output.per_kwh) {
                return Err(Impossible::PulseFactor);
            }
            if !matches!(output.width_ms, 30 | 80) {
                return Err(Impossible::PulseWidth);
            }
            let limit =
                max_current_ma(topology, u64::from(u_nominal_mv), u32::from(output.per_kwh), output.period_ms());
            if output.energy != ModuleEnergy::Off && u64::from(self.i_max_ma) > limit {
                return Err(Impossible::ModuleRate);
            }
        }
        Ok(())
    }
}

/// Largest current that an output can tell, mA: at this constant, with pulses `period_ms` apart, from balanced phases
/// of `u_mv`.
pub fn max_current_ma(topology: Topology, u_mv: u64, per_kwh: u32, period_ms: u32) -> u64 {
    // Phases, or √3 on two elements between the lines, in thousandths.
    let phases: u64 = match topology {
        Topology::OnePhase => 1000,
        Topology::Aron => 1732,
        Topology::ThreePhase => 3000,
    };
    // mV·mA is µW, and a thousandth is left of it: 10^6 µW·‰ to a mW.
    let per_ma = u128::from(u_mv * phases) * u128::from(per_kwh) * u128::from(period_ms);
    (KILOWATT_HOUR * 1_000_000).checked_div(per_ma).map_or(u64::MAX, |ma| u64::try_from(ma).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_currents_of_the_described_meter() {
        let ma = |per_kwh, period| max_current_ma(Topology::ThreePhase, 230_000, per_kwh, period);
        assert_eq!((ma(1000, 60) / 1000, ma(1000, 160) / 1000), (86, 32));
        assert!(ma(100, 160) > 100_000);
        assert_eq!(max_current_ma(Topology::OnePhase, 230_000, 1000, 60), 260_869);
        assert_eq!(max_current_ma(Topology::ThreePhase, 230_000, 1000, 40), 130_434);
    }
}
