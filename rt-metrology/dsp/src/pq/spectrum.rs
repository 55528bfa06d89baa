//! The spectra of a window, channel by channel, in steps that are small enough to be done between samples.
//!
//! Order: U1, I1, U2, I2, U3, I3, IN, so that a current finds the lines of its voltage. Each channel takes
//! [`STEPS_PER_CHANNEL`] steps: eight pieces of interpolation, the passes of the transform, and the harmonics. The longest
//! step (256 points of sixteen taps) is about 20 000 operations.
//!
//! The engine's delay of a current against its voltage is an interpolation of six taps, which weakens high orders (3 % at
//! order 40 in the worst case). Its response is known, and each order is corrected by it.

use super::bands::Bands;
use super::fft::{Block, PASSES, POINTS, pass};
use super::harmonics::{HarmonicPower, Harmonics, ORDERS, signalling};
use super::math::Complex;
use super::resample::{Ring, Span, UNIT};
use super::symmetry::{Symmetry, unbalance_of_lines};
use crate::design::{CHANNELS, FULL_SCALE_BITS, PHASES, POSITION_BITS};
use metrology_link::payload::{Calibration, Channel, MeterConfig, Topology};

/// Pieces of interpolation of a channel.
const PIECES: u32 = 8;
/// Steps of a channel: its pieces, the passes, the harmonics.
pub const STEPS_PER_CHANNEL: u32 = PIECES + PASSES + 1;
/// Steps, and so samples, from the last sample of a window to its last spectrum.
pub const STEPS: u64 = (STEPS_PER_CHANNEL as u64) * CHANNELS as u64;
/// The order in which channels are taken.
const ORDER: [usize; CHANNELS] = [0, 3, 1, 4, 2, 5, 6];
/// Taps of the engine's delay interpolator.
const DELAY_TAPS: usize = 6;
/// A voltage has a distortion above this share of its nominal value.
const U_FLOOR_SHARE: f32 = 0.01;
/// A current has a distortion above this share of its full scale (2 mA of 200 A), or above the starting current.
const I_FLOOR_SHARE: f32 = 1e-5;
/// A line has a direction of power when it is above this share of the floors for distortion.
const LINE_SHARE: f32 = 0.1;

/// What the spectra of a window tell, besides the spectra.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// Fundamental phasors, RMS, V and A; angles against each other hold (calibrated lags are taken out).
    pub fundamental: [Complex; CHANNELS],
    /// Distortion by subgroups to order 40, relative to the fundamental. Absent without a fundamental to relate to.
    pub thd: [Option<f32>; CHANNELS],
    /// Directions of harmonic power, per phase with voltage and current.
    pub power: [Option<HarmonicPower>; PHASES],
    /// Symmetry of three voltages; of the three line voltages (only `u2`) with two elements. Absent for one phase.
    pub symmetry: Option<Symmetry>,
}

/// What a step brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing to do.
    Idle,
    /// Something is done, more is to do.
    Working,
    /// The harmonics of this channel are there.
    Channel(usize),
    /// The window had to be given up: its samples are not in the ring (it is too long, or the meter just began).
    Lost,
}

/// Correction of a delay interpolator.
#[derive(Clone, Copy, Debug)]
struct Delay {
    taps: [f32; DELAY_TAPS],
    /// 2^-32 samples.
    fraction: u32,
}

/// Makes spectra.
#[derive(Clone, Debug)]
pub struct Spectrum {
    block: Block,
    cycles: usize,
    topology: Topology,
    channels: u8,
    octaves: u32,
    /// V or A per unit of the ring.
    unit: [f32; CHANNELS],
    floor: [f32; CHANNELS],
    delay: [Option<Delay>; CHANNELS],
    /// By how much each channel lags the first voltage, samples at the engine's rate.
    lag: [f32; CHANNELS],
    /// Frequency of mains signalling that is watched, Hz; rate of the engine, Hz.
    signalling_hz: Option<f32>,
    rate_hz: f32,

    /// The window in work, and steps done.
    span: Option<Span>,
    step: u32,
    harmonics: Harmonics,
    voltage: [Complex; ORDERS + 1],
    summary: Summary,
}

impl Default for Spectrum {
    fn default() -> Spectrum {
        Spectrum::new()
    }
}

impl Spectrum {
    /// At rest, without channels.
    pub const fn new() -> Spectrum {
        Spectrum {
            block: [0.0; POINTS],
            cycles: 10,
            topology: Topology::ThreePhase,
            channels: 0,
            octaves: 0,
            unit: [0.0; CHANNELS],
            floor: [0.0; CHANNELS],
            delay: [None; CHANNELS],
            lag: [0.0; CHANNELS],
            signalling_hz: None,
            rate_hz: 8000.0,
            span: None,
            step: 0,
            harmonics: Harmonics::NONE,
            voltage: [Complex::ZERO; ORDERS + 1],
            summary: Summary {
                fundamental: [Complex::ZERO; CHANNELS],
                thd: [None; CHANNELS],
                power: [None; PHASES],
                symmetry: None,
            },
        }
    }

    /// Begins anew. `octaves`: by how many the ring's samples come more slowly than the engine's.
    pub fn configure(&mut self, config: &MeterConfig, calibration: &Calibration, octaves: u32) {
        (self.span, self.step) = (None, 0);
        self.cycles = usize::from(config.f_nominal) / 5;
        self.topology = config.topology;
        self.channels = crate::measured_channels(config);
        self.octaves = octaves;
        self.rate_hz = config.rate_hz as f32;
        let start_a = config.start_mw as f32 / config.u_nominal_mv as f32;
        for (k, (unit, floor)) in self.unit.iter_mut().zip(&mut self.floor).enumerate() {
            *unit = unit_of(config, k) * UNIT;
            *floor = if k < PHASES {
                config.u_nominal_mv as f32 / 1e3 * U_FLOOR_SHARE
            } else {
                let full_scale =
                    if k == Channel::In as usize { config.i_n_full_scale_ua } else { config.i_full_scale_ua };
                start_a.max(full_scale as f32 / 1e6 * I_FLOOR_SHARE)
            };
        }
        for k in 0..CHANNELS {
            let lag_ns = |channel: usize| i64::from(calibration.channel[channel].phase_ns);
            // Voltages keep their lag; a current has been moved onto its voltage.
            let voltage = if k < PHASES {
                k
            } else if k < 2 * PHASES {
                k - PHASES
            } else {
                0
            };
            let samples_q24 = |ns: i64| ((ns * i64::from(config.rate_hz)) << POSITION_BITS).div_euclid(1_000_000_000);
            self.lag[k] = samples_q24(lag_ns(voltage) - lag_ns(0)) as f32 / (1 << POSITION_BITS) as f32;
            let fraction = samples_q24(lag_ns(k) - lag_ns(voltage)) & ((1 << POSITION_BITS) - 1);
            self.delay[k] = (k >= PHASES && fraction != 0).then(|| Delay::new(fraction as u32));
        }
    }

    /// Watches mains signalling at `hz` on the voltages; `None` does not.
    pub fn watch_signalling(&mut self, hz: Option<f32>) {
        self.signalling_hz = hz;
    }

    /// Value of one corrected count of a channel, V or A.
    pub fn count_unit(&self, channel: usize) -> f32 {
        self.unit.get(channel).copied().unwrap_or(0.0) / UNIT
    }

    /// Starts with a window, unless another one is in work. True if it did.
    pub fn start(&mut self, span: &Span) -> bool {
        let free = self.span.is_none() && span.length > 0;
        if free {
            (self.span, self.step) = (Some(*span), 0);
            self.summary = Summary::default();
        }
        free
    }

    /// Hands a sample of every channel to the bands above the harmonics, which use the same block. They give way to a
    /// window that is in work. True when a measurement of theirs is complete.
    pub fn serve(&mut self, bands: &mut Bands, y: &[i32; CHANNELS]) -> bool {
        if self.busy() {
            bands.give_way();
            return false;
        }
        let channel = bands.channel().min(CHANNELS - 1);
        let (unit, delay, rate_hz) = (self.count_unit(channel), &self.delay[channel], self.rate_hz);
        let response = |hz: u32| match delay {
            None => 1.0,
            Some(delay) => delay.correction((hz as f32 / rate_hz * 4_294_967_296.0) as u32).abs(),
        };
        bands.push(y[channel], &mut self.block, unit, response)
    }

    /// Whether a window is in work.
    pub fn busy(&self) -> bool {
        self.span.is_some()
    }

    /// The harmonics that were made last.
    pub fn harmonics(&self) -> &Harmonics {
        &self.harmonics
    }

    /// The summary of the last window, complete when nothing is in work.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Does one step, if the samples it needs have come.
    pub fn step(&mut self, ring: &Ring) -> Progress {
        let Some(span) = self.span else { return Progress::Idle };
        if ring.next() <= span.last_needed() {
            return Progress::Working;
        }
        let channel = self.step / STEPS_PER_CHANNEL;
        let part = self.step % STEPS_PER_CHANNEL;
        let Some(&k) = ORDER.get(channel as usize) else {
            self.finish();
            return Progress::Working;
        };
        if self.channels & (1 << k) == 0 {
            self.step = (channel + 1) * STEPS_PER_CHANNEL;
            return Progress::Working;
        }
        if part == 0 && !ring.holds(&span, u64::from(PIECES)) {
            self.span = None;
            return Progress::Lost;
        }
        self.step += 1;
        match part {
            0..PIECES => {
                const PIECE: usize = POINTS / PIECES as usize;
                let from = part as usize * PIECE;
                ring.resample(k, &span, from, from + PIECE, &mut self.block);
            }
            PIECES.. if part < PIECES + PASSES => pass(&mut self.block, part - PIECES),
            _ => {
                self.evaluate(k, &span);
                if self.step >= STEPS_PER_CHANNEL * CHANNELS as u32 {
                    self.finish();
                }
                return Progress::Channel(k);
            }
        }
        Progress::Working
    }

    fn evaluate(&mut self, k: usize, span: &Span) {
        // Turns of the fundamental in one sample of the engine, 2^-32.
        let length = span.length << self.octaves;
        let turns = ((self.cycles as u64) << (32 + POSITION_BITS)) / length.max(1);
        let delay = self.delay[k];
        let response = |h: usize| match &delay {
            None => Complex::new(1.0, 0.0),
            Some(delay) => delay.correction((turns * h as u64) as u32),
        };
        let (cycles, unit) = (self.cycles, self.unit[k]);
        self.harmonics = Harmonics::new(&self.block, cycles, unit, response);
        if let (true, Some(hz)) = (k < PHASES, self.signalling_hz) {
            let ratio = hz * length as f32 / (1 << POSITION_BITS) as f32 / self.rate_hz / cycles as f32;
            self.harmonics.signalling = signalling(&self.block, cycles, unit, ratio);
        }
        self.summary.thd[k] = self.harmonics.thd(self.floor[k]);
        // What lags is turned forwards.
        let forwards = (self.lag[k] * turns as f32) as i64 as u32;
        self.summary.fundamental[k] = self.harmonics.line[1] * Complex::turned(forwards);
        if k < PHASES {
            self.voltage = self.harmonics.line;
        } else if k < 2 * PHASES && self.channels & (1 << (k - PHASES)) != 0 {
            let (u, i) = (self.floor[k - PHASES] * LINE_SHARE, self.floor[k] * LINE_SHARE);
            self.summary.power[k - PHASES] = Some(HarmonicPower::new(&self.voltage, &self.harmonics.line, u, i));
        }
    }

    fn finish(&mut self) {
        self.span = None;
        let [u1, u2, u3, ..] = self.summary.fundamental;
        self.summary.symmetry = match self.topology {
            Topology::ThreePhase if self.channels & 7 == 7 => Some(Symmetry::new([u1, u2, u3])),
            Topology::Aron => {
                // U12 and U32; the third line voltage closes the triangle.
                let u2 = unbalance_of_lines(u1.abs(), u3.abs(), (u3 - u1).abs());
                Some(Symmetry { u2, ..Symmetry::default() })
            }
            _ => None,
        };
    }
}

/// V or A per corrected count of a channel.
fn unit_of(config: &MeterConfig, channel: usize) -> f32 {
    const FULL_SCALE: f32 = (1 << FULL_SCALE_BITS) as f32;
    match channel {
        0..PHASES => config.u_full_scale_mv as f32 / 1e3 / FULL_SCALE,
        PHASES.. if channel < 2 * PHASES => config.i_full_scale_ua as f32 / 1e6 / FULL_SCALE,
        _ => config.i_n_full_scale_ua as f32 / 1e6 / FULL_SCALE,
    }
}

impl Delay {
    /// The engine's interpolator at `fraction` (Q24): Lagrange polynomials on the points −2 to 3.
    fn new(fraction: u32) -> Delay {
        let x = fraction as f32 / (1 << POSITION_BITS) as f32;
        let mut taps = [1.0; DELAY_TAPS];
        for (k, tap) in taps.iter_mut().enumerate() {
            for j in (0..DELAY_TAPS).filter(|&j| j != k) {
                *tap *= (x - (j as f32 - 2.0)) / (k as f32 - j as f32);
            }
        }
        Delay { taps, fraction: fraction << (32 - POSITION_BITS) }
    }

    /// What a line that turns by `turns` (2^-32) per sample has to be multiplied with.
    fn correction(&self, turns: u32) -> Complex {
        let mut response = Complex::ZERO;
        for (k, tap) in self.taps.iter().enumerate() {
            response = response
                + Complex::turned(turns.wrapping_mul(k as u32).wrapping_sub(turns.wrapping_mul(2))).scale(*tap);
        }
        // Signed: orders above half the rate do not occur.
        let ideal = (i64::from(turns as i32) * i64::from(self.fraction)) >> 32;
        let norm = response.norm().max(1e-6);
        (Complex::turned(ideal as u32) * response.conj()).scale(1.0 / norm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_response_of_the_delay_is_undone_to_order_50() {
        for fraction in [1_u32, 1 << 22, 1 << 23, 13_000_000] {
            let delay = Delay::new(fraction);
            for hz in [50.0_f64, 1250.0, 2000.0, 2500.0, 3000.0] {
                let turns = (hz / 8000.0 * 4_294_967_296.0) as u32;
                let x = core::f64::consts::TAU * hz / 8000.0;
                let (mut re, mut im) = (0.0, 0.0);
                for (k, tap) in delay.taps.iter().enumerate() {
                    re += f64::from(*tap) * (x * (k as f64 - 2.0)).cos();
                    im += f64::from(*tap) * (x * (k as f64 - 2.0)).sin();
                }
                let response = Complex::new(re as f32, im as f32) * delay.correction(turns);
                let ideal = x * f64::from(fraction) / 16_777_216.0;
                let off = (f64::from(response.re) - ideal.cos()).hypot(f64::from(response.im) - ideal.sin());
                assert!(off < 1e-5, "{fraction} {hz} {off:e}");
            }
        }
    }

    #[test]
    fn a_window_that_is_not_in_the_ring_is_given_up() {
        let (mut spectrum, mut ring) = (Spectrum::new(), Ring::new());
        spectrum.configure(&MeterConfig::default(), &Calibration::default(), 0);
        (0..10_000).for_each(|_| ring.push(&[0; CHANNELS]));
        assert_eq!(spectrum.step(&ring), Progress::Idle);
        assert!(spectrum.start(&Span { index: 10, fraction: 0, length: 1600 << 24 }));
        assert!(!spectrum.start(&Span { index: 10, fraction: 0, length: 1600 << 24 }), "one at a time");
        assert_eq!(spectrum.step(&ring), Progress::Lost);
        assert!(!spectrum.busy());
        assert!(spectrum.start(&Span { index: 9000, fraction: 0, length: 1600 << 24 }));
        assert_eq!(spectrum.step(&ring), Progress::Working, "waits for its samples");
        assert!(spectrum.busy() && spectrum.step == 0);
    }
}
