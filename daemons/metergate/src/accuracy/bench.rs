//! The test bench: a source of exact signals, a front end with errors, and the meter's own engine.
//!
//! Each measurement lets the engine settle for a second and then counts energy for ten, between two ends of windows;
//! the truth is summed over the same samples. It is made twice: without noise, which shows the bias that calibration
//! and arithmetic leave, and with it, which shows what a real ten seconds would.

use metrology_dsp::design::BASE_DELAY;
use metrology_dsp::energy::{SUB_QUANTA, SetRemainders};
use metrology_dsp::{CHANNELS, Cumulative, Impossible, Metrology};
use metrology_link::codec::{Wire, encode};
use metrology_link::payload::{Calibration, EnergySet, MeterConfig, Second};
use metrology_sim::afe::FrontEnd;
use metrology_sim::scenario::FrontEndSpec;

use super::signal::{Generator, Signal};

/// Samples per second.
pub const RATE: u32 = 8000;
/// Time to settle: filters, frequency, registration threshold.
const SETTLE: u64 = RATE as u64;
/// Measuring time: 10 s.
const MEASURE: u64 = 10 * RATE as u64;
/// Samples fed: both times, two windows of the longest kind (10 cycles at 47.5 Hz, or 200 ms without a frequency), in
/// whole blocks of 160 as the program for ARM reads them.
const SAMPLES: u64 = 580 * 160;
const _: () = assert!(SAMPLES >= SETTLE + MEASURE + 2 * 1700);

/// Spread of the front end's errors: gains of 2 %, offsets of 0.006 %, current sensors 5 µs late or early.
const GAIN_PPM: f64 = 20_000.0;
const OFFSET_COUNTS: f64 = 500.0;
const PHASE_NS: f64 = 5000.0;
/// Noise of a converter like the ADS131M08 at 8 kS/s: 99 dB below a full-scale sine wave, in counts RMS:
/// 2^23 / √2 · 10^(−99/20).
const NOISE_COUNTS: f64 = 66.6;

/// Counters and shown values at the end of one window, as bytes.
pub const WINDOW_BYTES: usize = Cumulative::BYTES + Second::LEN;

/// What the engine left at the end of each window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Sample clock at the ends of the windows.
    pub at: Vec<u64>,
    /// [`WINDOW_BYTES`] for each.
    pub bytes: Vec<u8>,
}

/// Energies over the measuring time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Energies {
    /// Active of all phases, import less export, mJ.
    pub active: f64,
    /// Active of each phase, mJ.
    pub phase: [f64; 3],
    /// Reactive of the fundamental, inductive less capacitive as seen from the import side, mvar·s.
    pub reactive: f64,
}

/// What was fed, and what should have been counted.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Counts of the converter.
    pub counts: Vec<[i32; CHANNELS]>,
    /// Energy of each phase at the terminals before each sample, J.
    joules: Vec<[f64; 3]>,
    reactive_var: f64,
}

/// A front end, twice: as it is, and without its noise.
#[derive(Clone, Debug)]
pub struct Bench {
    noisy: FrontEnd,
    quiet: FrontEnd,
    /// Gain error that was built in, ppm, offset in counts, delay in ns: what calibration should find.
    pub injected: [Injected; 6],
}

/// Errors of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Injected {
    /// Gain error, ppm.
    pub gain_ppm: f64,
    /// Offset, counts.
    pub offset: f64,
    /// Delay, ns.
    pub delay_ns: f64,
}

/// Configuration of the meter at a frequency.
pub fn config(f: f64) -> MeterConfig {
    // The neutral is not measured: no energy depends on it.
    MeterConfig { rate_hz: RATE, f_nominal: if f > 55.0 { 60 } else { 50 }, channels: 0x3f, ..MeterConfig::default() }
}

impl Bench {
    /// A front end whose errors follow from the seed.
    pub fn new(seed: u64) -> Bench {
        let noise = |noise_counts| FrontEndSpec {
            gain_ppm: GAIN_PPM,
            offset_counts: OFFSET_COUNTS,
            phase_ns: PHASE_NS,
            noise_counts,
            ..FrontEndSpec::default()
        };
        let noisy = FrontEnd::new(&noise(NOISE_COUNTS), &config(50.0), seed);
        let quiet = FrontEnd::new(&noise(0.0), &config(50.0), seed);
        let ideal = FrontEnd::new(&FrontEndSpec::default(), &config(50.0), seed);
        let exact = noisy.calibration();
        let injected = std::array::from_fn(|c| Injected {
            gain_ppm: (noisy.gain()[c] / ideal.gain()[c] - 1.0) * 1e6,
            offset: -f64::from(exact.channel[c].offset),
            delay_ns: noisy.delay()[c] * 1e9,
        });
        Bench { noisy, quiet, injected }
    }

    /// Samples of a signal. With noise, each feed has noise of its own.
    pub fn feed(&mut self, signal: &Signal, noise: bool) -> Feed {
        let front = if noise { &mut self.noisy } else { &mut self.quiet };
        let mut generator = Generator::new(signal, f64::from(RATE), front.delay());
        let mut counts = Vec::with_capacity(SAMPLES as usize);
        let mut joules = Vec::with_capacity(SAMPLES as usize);
        let mut sum = [0.0; 3];
        for _ in 0..SAMPLES {
            let sample = generator.sample();
            counts.push(front.sample(&sample.sensed));
            joules.push(sum);
            sum.iter_mut().zip(sample.power).for_each(|(sum, p)| *sum += p / f64::from(RATE));
        }
        Feed { counts, joules, reactive_var: signal.reactive() }
    }
}

/// Runs the engine on this machine.
///
/// # Errors
/// An impossible calibration.
pub fn on_host(config: &MeterConfig, calibration: &Calibration, feed: &Feed) -> Result<Trace, Impossible> {
    let mut metrology = Metrology::new(config, calibration)?;
    let mut trace = Trace::default();
    let mut window = [0; Second::LEN];
    for counts in &feed.counts {
        if let Some(end) = metrology.push(counts) {
            trace.at.push(end.t_samples);
            trace.bytes.extend(metrology.cumulative().to_bytes());
            encode(metrology.window(), &mut window);
            trace.bytes.extend(window);
        }
    }
    Ok(trace)
}

impl Trace {
    /// Ends of the first window after settling and of the first that completes the measuring time.
    pub fn span(&self) -> Option<(usize, usize)> {
        let first = self.at.iter().position(|&t| t >= SETTLE)?;
        let last = self.at.iter().position(|&t| t >= self.at[first] + MEASURE)?;
        Some((first, last))
    }

    /// Counters at the end of a window.
    pub fn counters(&self, window: usize) -> Option<Cumulative> {
        Cumulative::from_bytes(self.bytes.get(window * WINDOW_BYTES..)?.get(..Cumulative::BYTES)?).ok()
    }

    /// What was counted in the measuring time.
    pub fn counted(&self) -> Option<Energies> {
        let (first, last) = self.span()?;
        let (a, b) = (self.counters(first)?, self.counters(last)?);
        let total = |c: &Cumulative| energies(&c.counters.total, &c.total_remainders);
        let ((active, reactive), (active0, reactive0)) = (total(&b), total(&a));
        let of = |c: &Cumulative, k: usize| energies(&c.counters.phase[k], &c.phase_remainders[k]).0;
        let phase = std::array::from_fn(|k| of(&b, k) - of(&a, k));
        Some(Energies { active: active - active0, phase, reactive: reactive - reactive0 })
    }
}

/// Signed active and reactive energy of a set, to the last sub-quantum that a double holds.
pub fn energies(set: &EnergySet, remainders: &SetRemainders) -> (f64, f64) {
    let rest = |n: usize| remainders[n] as f64 / SUB_QUANTA as f64;
    let active = set.a_plus as f64 - set.a_minus as f64 + rest(0) - rest(1);
    let [r1, r2, r3, r4] = set.r.map(|r| r as f64);
    (active, r1 + r2 - r3 - r4 + rest(2) + rest(3) - rest(4) - rest(5))
}

impl Feed {
    /// What should have been counted in the measuring time of a trace.
    pub fn truth(&self, trace: &Trace) -> Option<Energies> {
        let (first, last) = trace.span()?;
        // The engine counts a sample when it leaves the delay line.
        let before = |window: usize| self.joules.get((trace.at[window] as usize).saturating_sub(BASE_DELAY as usize));
        let samples = trace.at[last] - trace.at[first];
        let seconds = samples as f64 / f64::from(RATE);
        let (a, b) = (before(first)?, before(last)?);
        let phase: [f64; 3] = std::array::from_fn(|k| (b[k] - a[k]) * 1e3);
        Some(Energies { active: phase.iter().sum(), phase, reactive: self.reactive_var * seconds * 1e3 })
    }

    /// Mean of the raw counts of a channel over the first second, which has whole cycles at 50 Hz.
    pub fn mean(&self, channel: usize) -> f64 {
        let second = self.counts.iter().take(RATE as usize);
        second.map(|counts| f64::from(counts[channel])).sum::<f64>() / f64::from(RATE)
    }
}
