//! The world before the converter: a circuit or a recorded waveform, in simulated time, with its true energy.

use std::path::Path;

use metrology_link::payload::{CHANNELS, Calibration, Channel, MeterConfig, Topology};

use crate::SimError;
use crate::afe::FrontEnd;
use crate::grid::{Circuit, ElementPower, LANES, Oscillators, Span};
use crate::meter_type::MeterType;
use crate::scenario::Scenario;
use crate::truth::Truth;
use crate::waveform::{Loop, Player, Waveform, WaveformSource};

/// Longest span of a recorded waveform, s: as long as a cycle of the circuit.
const RECORD_SPAN_S: f64 = 0.02;
/// Reserve of the current range above the peak of a record.
const RECORD_RESERVE: f64 = 1.25;

/// What the world delivers next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stretch {
    pub samples: u32,
    /// Highest voltage relative to nominal.
    pub supply: f64,
}

#[allow(clippy::large_enum_variant)] // one per world
enum Source {
    Circuit { circuit: Circuit, bank: Oscillators, orders: Vec<u8> },
    Record { player: Player, buffer: Vec<[f64; CHANNELS]>, next: usize, mask: u8 },
}

/// See the module.
pub struct World {
    source: Source,
    front_end: FrontEnd,
    config: MeterConfig,
    rate: f64,
    /// UTC at the first sample of this run, µs.
    begin_us: i64,
    /// UTC at which the world began, µs.
    origin_us: i64,
    samples: u64,
    /// The true energy so far.
    pub truth: Truth,
}

/// What kind of world to build.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// Kind of meter.
    pub meter_type: MeterType,
    /// The scenario; with a waveform only its front end, supply and inputs count.
    pub scenario: Scenario,
    /// A recorded grid in place of the scenario's.
    pub waveform: Option<WaveformSource>,
    /// Seed of everything random.
    pub seed: u64,
}

impl World {
    /// Builds a world that begins now, at `utc_us`.
    ///
    /// # Errors
    /// [`SimError::Waveform`], or [`SimError::Unfit`] when the record lacks what the meter type cannot do without.
    pub fn new(options: &WorldOptions, utc_us: i64) -> Result<World, SimError> {
        let scenario = &options.scenario;
        let mut config = options.meter_type.config();
        config.u_nominal_mv = (scenario.grid.u_nominal * 1000.0).round() as u32;
        config.f_nominal = if scenario.grid.f_nominal > 55.0 { 60 } else { 50 };
        let rate = f64::from(config.rate_hz) * (1.0 + scenario.front_end.clock_ppm / 1e6);
        let mut truth = Truth::default();
        let source = match &options.waveform {
            None => {
                let ratio = if options.meter_type.transformers() { scenario.ct_ratio } else { 1.0 };
                let circuit = Circuit::new(scenario, config.topology, options.seed, ratio);
                Source::Circuit { orders: circuit.orders().to_vec(), circuit, bank: Oscillators::default() }
            }
            Some(source) => {
                let record = Waveform::load(&source.path, &source.options)?;
                fit(&mut config, &record, options.meter_type, &source.path)?;
                truth.without_reactive();
                let player = record.player(rate, record.to_meter(), Loop::WholeCycles);
                Source::Record { player, buffer: Vec::new(), next: 0, mask: config.channels }
            }
        };
        let mut spec = scenario.front_end.clone();
        if options.waveform.is_some() {
            // Delays are applied to phasors; a record has samples.
            spec.phase_ns = 0.0;
        }
        let front_end = FrontEnd::new(&spec, &config, options.seed);
        Ok(World { source, front_end, config, rate, begin_us: utc_us, origin_us: utc_us, samples: 0, truth })
    }

    /// The configuration a factory would write into the meter of this world.
    pub fn config(&self) -> &MeterConfig {
        &self.config
    }

    /// The calibration a factory would write; the default when the scenario says it did not.
    pub fn calibration(&self, scenario: &Scenario) -> Calibration {
        if scenario.front_end.calibrated { self.front_end.calibration() } else { Calibration::default() }
    }

    /// Continues a world that began earlier.
    pub fn set_origin(&mut self, origin_us: i64) {
        self.origin_us = origin_us;
    }

    /// When the world began, µs.
    pub fn origin_us(&self) -> i64 {
        self.origin_us
    }

    /// True UTC of the next sample, µs.
    pub fn utc_us(&self) -> i64 {
        self.begin_us + (self.samples as f64 / self.rate * 1e6).round() as i64
    }

    /// Seconds since the world began.
    pub fn elapsed_s(&self) -> f64 {
        (self.begin_us - self.origin_us) as f64 / 1e6 + self.samples as f64 / self.rate
    }

    /// True samples per second.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Begins the next stretch and books its true energy. All its samples must be taken (or skipped) next.
    pub(crate) fn begin(&mut self, most: u32, closed: bool, metering: bool) -> Stretch {
        let (t, utc) = (self.elapsed_s(), self.utc_us() as f64 / 1e6);
        let (power, stretch) = match &mut self.source {
            Source::Circuit { circuit, bank, orders } => {
                let span: Span = circuit.span(t, utc, self.rate, most, closed);
                if metering {
                    bank.begin(&span, orders, self.front_end.delay(), self.front_end.gain());
                }
                (span.power, Stretch { samples: span.samples, supply: span.supply })
            }
            Source::Record { player, buffer, next, mask } => {
                let samples = ((RECORD_SPAN_S * self.rate) as u32).clamp(1, most.max(1));
                buffer.clear();
                *next = 0;
                for _ in 0..samples {
                    // A looped player never ends.
                    let mut x = player.next_sample().unwrap_or_default();
                    if !closed {
                        x[3..].fill(0.0);
                    }
                    for (c, v) in x.iter_mut().enumerate() {
                        if *mask & (1 << c) == 0 {
                            *v = 0.0;
                        }
                    }
                    buffer.push(x);
                }
                let (power, u) = measure(buffer);
                let nominal = f64::from(self.config.u_nominal_mv) / 1000.0;
                (power, Stretch { samples, supply: u / nominal })
            }
        };
        let seconds = f64::from(stretch.samples) / self.rate;
        self.truth.add(&power, seconds, self.config.topology, self.config.method, metering);
        self.samples += u64::from(stretch.samples);
        stretch
    }

    /// The next sample of the stretch, as counts.
    #[inline]
    pub(crate) fn sample(&mut self) -> [i32; CHANNELS] {
        match &mut self.source {
            Source::Circuit { bank, .. } => {
                let scaled: [f64; LANES] = bank.sample();
                self.front_end.convert(&scaled)
            }
            Source::Record { buffer, next, .. } => {
                let x = buffer.get(*next).copied().unwrap_or_default();
                *next += 1;
                self.front_end.sample(&x)
            }
        }
    }
}

/// Mean powers of a piece of samples, and its highest RMS voltage. Reactive power is not known from samples alone
/// (see [`Truth::without_reactive`]).
fn measure(buffer: &[[f64; CHANNELS]]) -> ([ElementPower; 3], f64) {
    let n = buffer.len().max(1) as f64;
    let mut highest = 0.0f64;
    let power = std::array::from_fn(|k| {
        let (mut p, mut u2, mut i2) = (0.0, 0.0, 0.0);
        for x in buffer {
            p += x[k] * x[3 + k];
            u2 += x[k] * x[k];
            i2 += x[3 + k] * x[3 + k];
        }
        highest = highest.max((u2 / n).sqrt());
        ElementPower { p: p / n, q: 0.0, s: (u2 * i2).sqrt() / n }
    });
    (power, highest)
}

/// Adapts the configuration to what a record holds.
fn fit(config: &mut MeterConfig, record: &Waveform, kind: MeterType, path: &Path) -> Result<(), SimError> {
    let unfit = |reason: String| SimError::Unfit { path: path.to_owned(), reason };
    let mask = record.mask();
    let needed = match config.topology {
        Topology::OnePhase => Channel::U1.bit() | Channel::I1.bit(),
        Topology::ThreePhase => Channel::U1.bit(),
        Topology::Aron => Channel::U1.bit() | Channel::U3.bit() | Channel::I1.bit() | Channel::I3.bit(),
    };
    if mask & needed != needed {
        let names = ["U1", "U2", "U3", "I1", "I2", "I3", "IN"];
        let missing: Vec<&str> = (0..CHANNELS).filter(|c| needed & !mask & (1 << c) != 0).map(|c| names[c]).collect();
        let reason =
            format!("a meter of type {kind} needs {}: name it with --channels, or use --type 3p", missing.join(", "));
        return Err(unfit(reason));
    }
    config.channels &= mask;
    let (u_factor, i_factor) = record.to_meter();
    let (u_peak, i_peak) = record.peaks();
    let at_least = |floor: u32, value: f64, ceiling: u32, what: &str| -> Result<u32, SimError> {
        if value > f64::from(ceiling) {
            return Err(unfit(format!(
                "{what} of the record are too large for the converter; give --u-scale or --i-scale"
            )));
        }
        Ok(floor.max(value.ceil() as u32))
    };
    config.u_full_scale_mv =
        at_least(config.u_full_scale_mv, u_peak * u_factor * RECORD_RESERVE * 1e3, 2_000_000, "voltages")?;
    config.i_full_scale_ua =
        at_least(config.i_full_scale_ua, i_peak * i_factor * RECORD_RESERVE * 1e6, 4_000_000_000, "currents")?;
    config.i_n_full_scale_ua = config.i_n_full_scale_ua.max(config.i_full_scale_ua);
    if record.f_nominal().is_some_and(|f| f > 55.0) {
        config.f_nominal = 60;
    }
    Ok(())
}
