//! What decides how the coprocessor counts: topology, method, scaling and calibration.
//!
//! Both structures are sealed parameters. They are checked here, on both ends, before they can come into force: an
//! impossible value is refused with a reason, and what was in force stays in force.

use super::PulseConfig;
use crate::codec::{Wire, encode};

/// Measuring channels: U1, U2, U3, I1, I2, I3, I_N, in this order in every array and bit mask.
pub const CHANNELS: usize = 7;

/// Names of the channels, for indices and masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Channel {
    /// Voltage of phase 1 (Aron: U12).
    U1 = 0,
    /// Voltage of phase 2.
    U2 = 1,
    /// Voltage of phase 3 (Aron: U32).
    U3 = 2,
    /// Current of phase 1.
    I1 = 3,
    /// Current of phase 2.
    I2 = 4,
    /// Current of phase 3.
    I3 = 5,
    /// Neutral current.
    In = 6,
}

impl Channel {
    /// The bit of this channel in a mask.
    pub const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Largest presence threshold, ‰: the lower limit of a good grid.
const PRESENCE_LIMIT_PERMILLE: u16 = 900;

/// How the meter is connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Topology {
    /// One phase: U1, I1.
    OnePhase = 1,
    /// Two elements (Aron): U1 = U12 with I1, U3 = U32 with I3; calculation method 2.
    Aron = 2,
    /// Three phases, four wires.
    #[default]
    ThreePhase = 3,
}

/// How the legal total is formed from the phases in each window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Method {
    /// Method 1: each phase adds to the total of its own sign and quadrant.
    #[default]
    PerPhase = 1,
    /// Method 2: the signed sum of the phases, then sign and quadrant.
    Vector = 2,
    /// Method 3: sum of magnitudes, all counted as import.
    Magnitude = 3,
}

/// Sealed parameters of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterConfig {
    /// Connection.
    pub topology: Topology,
    /// Calculation method of the total.
    pub method: Method,
    /// Samples per second and channel: 8000, 16000 or 32000.
    pub rate_hz: u32,
    /// Nominal frequency: 50 or 60, Hz. A window is 10 cycles at 50 Hz and 12 at 60 Hz.
    pub f_nominal: u8,
    /// Nominal voltage, mV.
    pub u_nominal_mv: u32,
    /// Voltage (peak) at 2^23 counts, mV.
    pub u_full_scale_mv: u32,
    /// Phase current (peak) at 2^23 counts, µA.
    pub i_full_scale_ua: u32,
    /// Neutral current (peak) at 2^23 counts, µA.
    pub i_n_full_scale_ua: u32,
    /// Power below which a phase registers no energy, mW.
    pub start_mw: u32,
    /// Channels that exist, a bit per [`Channel`]. A missing channel is absent, not zero.
    pub channels: u8,
    /// An input must be stable for so long before it counts as changed, ms.
    pub debounce_ms: u16,
    /// The meter has a breaker.
    pub breaker: bool,
    /// RMS voltage above which the coprocessor opens the breaker by itself, mV; 0 = never.
    pub trip_mv: u32,
    /// For so long must the voltage be above [`MeterConfig::trip_mv`], ms.
    pub trip_ms: u32,
    /// Below this share of the nominal voltage on all phases for more than a second the processor shuts down, ‰; 0 =
    /// never.
    pub presence_permille: u16,
    /// Pulse outputs.
    pub pulses: PulseConfig,
}

impl Default for MeterConfig {
    /// Direct three-phase meter, 230 V, 50 Hz, 100 A, no breaker.
    fn default() -> MeterConfig {
        MeterConfig {
            topology: Topology::ThreePhase,
            method: Method::PerPhase,
            rate_hz: 8000,
            f_nominal: 50,
            u_nominal_mv: 230_000,
            u_full_scale_mv: 600_000,
            i_full_scale_ua: 200_000_000,
            i_n_full_scale_ua: 200_000_000,
            start_mw: 2_300,
            channels: 0x7f,
            debounce_ms: 20,
            breaker: false,
            trip_mv: 0,
            trip_ms: 1_000,
            // 160 V of 230 V.
            presence_permille: 696,
            pulses: PulseConfig::default(),
        }
    }
}

/// Why a configuration or calibration cannot come into force. The sender is at fault; nothing changes. The number is
/// the `detail` of the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(u32)]
pub enum Impossible {
    /// Sample rate not 8000, 16000 or 32000.
    #[error("sample rate is not 8000, 16000 or 32000")]
    Rate = 1,
    /// Nominal frequency not 50 or 60.
    #[error("nominal frequency is not 50 or 60 Hz")]
    Frequency = 2,
    /// Nominal voltage outside 10 to 500 V, or above the full scale.
    #[error("nominal voltage outside 10 to 500 V or above full scale")]
    Nominal = 3,
    /// Full scale outside 10 V to 2 kV or 10 mA to 4 kA peak.
    #[error("full scale outside 10 V to 2 kV or 10 mA to 4 kA")]
    FullScale = 4,
    /// Starting threshold above 100 W: it would hide real energy.
    #[error("starting threshold above 100 W")]
    Start = 5,
    /// A channel that the topology needs is missing, or a bit without a channel is set.
    #[error("channel mask does not fit the topology")]
    Channels = 6,
    /// Debounce time above 10 s.
    #[error("debounce time above 10 s")]
    Debounce = 7,
    /// Aron with another method than 2.
    #[error("Aron needs calculation method 2")]
    Method = 8,
    /// Trip below the nominal voltage, above full scale, longer than an hour, or without a breaker.
    #[error("overvoltage trip impossible")]
    Trip = 9,
    /// Gain outside 0.5 to 2.0.
    #[error("gain outside 0.5 to 2.0")]
    Gain = 10,
    /// Offset of more than 2^20 counts (12.5 % of full scale).
    #[error("offset above 2^20 counts")]
    Offset = 11,
    /// Phase shift of more than 100 µs (1.8 degrees at 50 Hz).
    #[error("phase shift above 100 µs")]
    Phase = 12,
    /// Reference temperature outside −40 to +85 °C.
    #[error("reference temperature outside -40 to +85 degrees")]
    ReferenceTemperature = 13,
    /// A coefficient beyond what a front end can have: 200 ppm/K, 1 ppm/K², 1000 counts/K, 100 ns/K, 1000 ppm a year.
    #[error("temperature or ageing coefficient out of range")]
    Coefficient = 14,
    /// The calibration was made for another device.
    #[error("calibration of another device")]
    Device = 15,
    /// The calibration is not signed by the laboratory that this meter knows, or it knows none.
    #[error("calibration not signed by the known laboratory")]
    Signature = 16,
    /// Pulse constant of the light not 1 to 100 000 imp/kWh, or that of S0 not an integral part of it.
    #[error("pulse constant of the light not 1 to 100000, or that of S0 not an integral part of it")]
    PulseConstant = 17,
    /// Largest current for the pulse outputs not 1 mA to 10 kA.
    #[error("largest current of the pulse outputs not 1 mA to 10 kA")]
    PulseCurrent = 18,
    /// Light and S0 cannot give the pulses of the largest current at 115 % of the nominal voltage, 40 ms apart.
    #[error("the pulse constant of the light is too large for the largest current")]
    LedRate = 19,
    /// Factor of a module output not 1 to 1000 imp/kWh.
    #[error("factor of a pulse output not 1 to 1000")]
    PulseFactor = 20,
    /// Width of a module output's pulses not 30 or 80 ms.
    #[error("width of a pulse output not 30 or 80 ms")]
    PulseWidth = 21,
    /// A module output cannot give the pulses of the largest current at the nominal voltage, pulse and pause of one width.
    #[error("factor and width of a pulse output cannot carry the largest current")]
    ModuleRate = 22,
    /// Presence threshold above 90 % of the nominal voltage: the meter would shut down on a good grid.
    #[error("presence threshold above 90 % of the nominal voltage")]
    Presence = 23,
}

impl MeterConfig {
    /// Checks every value.
    ///
    /// # Errors
    /// The first impossible value.
    pub fn check(&self) -> Result<(), Impossible> {
        let needed = match self.topology {
            Topology::OnePhase => Channel::U1.bit() | Channel::I1.bit(),
            Topology::Aron => Channel::U1.bit() | Channel::I1.bit() | Channel::U3.bit() | Channel::I3.bit(),
            // A recorded grid may lack a current (absent, not zero), so only the first voltage is demanded.
            Topology::ThreePhase => Channel::U1.bit(),
        };
        let scale = [self.i_full_scale_ua, self.i_n_full_scale_ua];
        let checks = [
            (matches!(self.rate_hz, 8_000 | 16_000 | 32_000), Impossible::Rate),
            (matches!(self.f_nominal, 50 | 60), Impossible::Frequency),
            ((10_000..=2_000_000).contains(&self.u_full_scale_mv), Impossible::FullScale),
            (scale.iter().all(|i| (10_000..=4_000_000_000).contains(i)), Impossible::FullScale),
            ((10_000..=500_000).contains(&self.u_nominal_mv), Impossible::Nominal),
            (self.u_nominal_mv <= self.u_full_scale_mv, Impossible::Nominal),
            (self.start_mw <= 100_000, Impossible::Start),
            (self.channels & needed == needed && self.channels < 1 << CHANNELS, Impossible::Channels),
            (self.debounce_ms <= 10_000, Impossible::Debounce),
            (self.topology != Topology::Aron || self.method == Method::Vector, Impossible::Method),
            (self.trip_mv == 0 || self.breaker, Impossible::Trip),
            (self.trip_mv == 0 || (self.u_nominal_mv..=self.u_full_scale_mv).contains(&self.trip_mv), Impossible::Trip),
            (self.trip_ms <= 3_600_000, Impossible::Trip),
            (self.presence_permille <= PRESENCE_LIMIT_PERMILLE, Impossible::Presence),
        ];
        match checks.iter().find(|(ok, _)| !ok) {
            Some((_, reason)) => Err(*reason),
            None => self.pulses.check(self.topology, self.u_nominal_mv),
        }
    }
}

/// Corrections of one channel, and how the channel moves.
///
/// The first three are what is applied. The coefficients describe the channel itself (its gain rises by so much), and
/// the coprocessor takes their effect out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelCalibration {
    /// Gain, Q30: 1 << 30 is 1.0.
    pub gain_q30: i32,
    /// Added to the raw counts before the gain.
    pub offset: i32,
    /// Delay of the channel against the others, ns; positive = the channel lags and is advanced.
    pub phase_ns: i32,
    /// Rise of the channel's gain with temperature, 10^-9 per kelvin.
    pub gain_ppb_per_k: i32,
    /// Its curvature, 10^-12 per kelvin squared.
    pub gain_ppt_per_k2: i32,
    /// Rise of the channel's offset with temperature, thousandths of a count per kelvin.
    pub offset_mcount_per_k: i32,
    /// Rise of the channel's delay with temperature, ps per kelvin.
    pub phase_ps_per_k: i32,
    /// Rise of the channel's gain with age, 10^-9 per year (of 365.25 days) since the calibration.
    pub ageing_ppb_per_year: i32,
}

impl Default for ChannelCalibration {
    fn default() -> ChannelCalibration {
        ChannelCalibration {
            gain_q30: 1 << 30,
            offset: 0,
            phase_ns: 0,
            gain_ppb_per_k: 0,
            gain_ppt_per_k2: 0,
            offset_mcount_per_k: 0,
            phase_ps_per_k: 0,
            ageing_ppb_per_year: 0,
        }
    }
}

impl ChannelCalibration {
    fn check(&self) -> Result<(), Impossible> {
        let coefficients = [
            (self.gain_ppb_per_k, 200_000),
            (self.gain_ppt_per_k2, 1_000_000),
            (self.offset_mcount_per_k, 1_000_000),
            (self.phase_ps_per_k, 100_000),
            (self.ageing_ppb_per_year, 1_000_000),
        ];
        if !(1 << 29..=i32::MAX).contains(&self.gain_q30) {
            return Err(Impossible::Gain);
        }
        if self.offset.unsigned_abs() > 1 << 20 {
            return Err(Impossible::Offset);
        }
        if self.phase_ns.unsigned_abs() > 100_000 {
            return Err(Impossible::Phase);
        }
        if coefficients.iter().any(|(value, limit)| value.unsigned_abs() > *limit) {
            return Err(Impossible::Coefficient);
        }
        Ok(())
    }
}

/// Corrections of all channels: what a laboratory signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calibration {
    /// Per channel, in the order of [`Channel`].
    pub channel: [ChannelCalibration; CHANNELS],
    /// Temperature at which it was calibrated, millidegrees Celsius.
    pub reference_mdeg: i32,
    /// When, µs since 1970 UTC; 0 = ageing is not corrected.
    pub date_us: i64,
    /// Number of the calibration, chosen by the laboratory; 0 = not calibrated.
    pub ident: u32,
    /// The device it was made for.
    pub device_id: [u8; 8],
}

impl Default for Calibration {
    /// Not calibrated.
    fn default() -> Calibration {
        Calibration {
            channel: [ChannelCalibration::default(); CHANNELS],
            reference_mdeg: 23_000,
            date_us: 0,
            ident: 0,
            device_id: [0; 8],
        }
    }
}

impl Calibration {
    /// Checks every value.
    ///
    /// # Errors
    /// The first impossible value.
    pub fn check(&self) -> Result<(), Impossible> {
        if !(-40_000..=85_000).contains(&self.reference_mdeg) {
            return Err(Impossible::ReferenceTemperature);
        }
        self.channel.iter().try_for_each(ChannelCalibration::check)
    }

    /// What is signed: [`CALIBRATION_CONTEXT`] and the bytes as they stand on the wire.
    pub fn signed_bytes(&self) -> [u8; CALIBRATION_CONTEXT.len() + Calibration::LEN] {
        let mut bytes = [0; CALIBRATION_CONTEXT.len() + Calibration::LEN];
        let (context, record) = bytes.split_at_mut(CALIBRATION_CONTEXT.len());
        context.copy_from_slice(CALIBRATION_CONTEXT);
        encode(self, record);
        bytes
    }

    /// Whether anything in it depends on temperature or age.
    pub fn moves(&self) -> bool {
        self.channel.iter().any(|c| {
            let ChannelCalibration { gain_ppb_per_k, gain_ppt_per_k2, offset_mcount_per_k, phase_ps_per_k, .. } = *c;
            [gain_ppb_per_k, gain_ppt_per_k2, offset_mcount_per_k, phase_ps_per_k, c.ageing_ppb_per_year] != [0; 5]
        })
    }
}

/// A calibration with the laboratory's signature.
///
/// Ed25519 (RFC 8032) over [`CALIBRATION_CONTEXT`] and the calibration's bytes as they stand on the wire. The
/// coprocessor verifies it when it is written and at each start; all zeros is no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedCalibration {
    /// What is signed.
    pub calibration: Calibration,
    /// The signature.
    pub signature: [u8; 64],
}

impl Default for SignedCalibration {
    fn default() -> SignedCalibration {
        SignedCalibration { calibration: Calibration::default(), signature: [0; 64] }
    }
}

/// What the signed bytes begin with, so that a signature of something else never fits a calibration.
pub const CALIBRATION_CONTEXT: &[u8; 24] = b"metergate calibration 1\0";
