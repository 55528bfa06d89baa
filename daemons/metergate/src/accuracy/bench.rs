//! The test bench: a source of exact signals, a front end with errors, and the meter's own engine.
//!
//! Each measurement lets the engine settle for a second and then counts energy for ten, between two ends of windows;
//! the truth is summed over the same samples.

use metrology_dsp::design::BASE_DELAY;
use metrology_dsp::energy::{SUB_QUANTA, SetRemainders};
use metrology_dsp::{CHANNELS, Cumulative, Impossible, Metrology};
use metrology_link::codec::{Wire, encode};
use metrology_link::payload::{Calibration, EnergySet, MeterConfig, Second};
use metrology_sim::afe::{Drift, FrontEnd, REFERENCE_CELSIUS};
use metrology_sim::scenario::FrontEndSpec;

use super::range::Range;
use super::signal::{Generator, Signal, sinc3};

/// Samples per second.
pub const RATE: u32 = 8000;
/// Time to settle: filters, frequency, registration threshold.
const SETTLE: u64 = RATE as u64;
/// Measuring time: 10 s.
const MEASURE: u64 = 10 * RATE as u64;
/// Samples fed: both times, two windows of the longest kind (10 cycles at 45 Hz, or 200 ms without a frequency), in
/// whole blocks of 160 as the program for ARM reads them.
const SAMPLES: u64 = 580 * 160;
const _: () = assert!(SAMPLES >= SETTLE + MEASURE + 2 * 1800);

/// Spread of the front end's errors: gains of 2 %, offsets of 0.006 %, current sensors 5 µs late or early.
const SPEC: FrontEndSpec = FrontEndSpec {
    gain_ppm: 20_000.0,
    offset_counts: 500.0,
    phase_ns: 5000.0,
    noise_counts: 0.0,
    clock_ppm: 0.0,
    rtc_ppm: 0.0,
    calibrated: false,
};
/// Spread of what temperature and age do: resistors and burdens of 15 ppm/K with a reference of 10 ppm/K, bent by
/// 0.05 ppm/K² (80 ppm at 40 K), transformers whose angle moves by 10 ns/K, and 20 ppm a year.
const DRIFT: Drift = Drift {
    gain_ppm_per_k: 25.0,
    gain_ppm_per_k2: 0.05,
    offset_per_k: 1.0,
    phase_ns_per_k: 10.0,
    gain_ppm_per_year: 20.0,
};
/// A year of 365.25 days, µs.
const YEAR_US: f64 = 31_557_600e6;
/// Noise of the converter, dB of a full-scale sine: an ADS131M08 at gain 1 has a dynamic range of 102 dB at 4 kS/s, and
/// 3 dB less at 8 kS/s.
pub const NOISE_DBFS: f64 = -99.0;
/// Noise of a run that shows the bias, counts RMS. Without any, the steps of the converter would repeat in every cycle
/// and add up (0.04 % at 10 mA and PF 0.25), which no real converter is quiet enough for. One count does away with
/// that, and adds a sixtieth of the real noise.
const DITHER_COUNTS: f64 = 1.0;

/// Counters and shown values at the end of one window, as bytes.
pub const WINDOW_BYTES: usize = Cumulative::BYTES + Second::LEN;

/// RMS of the noise, counts: 66.6.
pub fn noise_counts() -> f64 {
    f64::from(1 << 23) / std::f64::consts::SQRT_2 * 10f64.powf(NOISE_DBFS / 20.0)
}

/// What is fed and how the meter stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditions {
    /// Voltages and currents.
    pub signal: Signal,
    /// Temperature, °C.
    pub celsius: f64,
    /// Age, years.
    pub years: f64,
}

impl Conditions {
    /// At the temperature and on the day of the calibration, where coefficients have no part.
    pub fn at_rest(&self) -> bool {
        self.celsius == REFERENCE_CELSIUS && self.years == 0.0
    }
}

impl From<Signal> for Conditions {
    /// A new meter at the reference temperature.
    fn from(signal: Signal) -> Conditions {
        Conditions { signal, celsius: REFERENCE_CELSIUS, years: 0.0 }
    }
}

/// What the engine left at the end of each window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Sample clock at the ends of the windows.
    pub at: Vec<u64>,
    /// [`WINDOW_BYTES`] for each.
    pub bytes: Vec<u8>,
}

/// Energies over some time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Energies {
    /// Active of all phases, import less export, mJ.
    pub active: f64,
    /// Active of each phase, mJ.
    pub phase: [f64; 3],
    /// Reactive of the fundamental, inductive less capacitive as seen from the import side, mvar·s.
    pub reactive: f64,
}

/// What was counted in a window of the measuring time, and what should have been.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Window {
    /// By the meter.
    pub counted: Energies,
    /// At its terminals.
    pub truth: Energies,
}

/// A front end whose errors follow from a seed.
#[derive(Clone, Debug)]
pub struct Bench {
    /// The meter's current range.
    pub range: Range,
    front: FrontEnd,
    /// What calibration should find.
    pub injected: [Injected; 6],
}

/// Errors of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Injected {
    /// Gain error at 50 Hz, the converter's filter included, ppm.
    pub gain_ppm: f64,
    /// Offset, counts.
    pub offset: f64,
    /// Delay, ns.
    pub delay_ns: f64,
    /// How they move.
    pub drift: Drift,
}

impl Bench {
    /// A front end whose errors follow from the seed.
    pub fn new(range: Range, seed: u64) -> Bench {
        let config = range.config(50.0);
        let mut front = FrontEnd::new(&SPEC, &config, seed);
        front.set_drift(&DRIFT, seed);
        let ideal = FrontEnd::new(&FrontEndSpec { noise_counts: 0.0, ..FrontEndSpec::default() }, &config, seed);
        let exact = front.calibration();
        let injected = std::array::from_fn(|c| Injected {
            gain_ppm: (front.gain()[c] / ideal.gain()[c] * sinc3(50.0 / f64::from(RATE)) - 1.0) * 1e6,
            offset: -f64::from(exact.channel[c].offset),
            delay_ns: front.delay()[c] * 1e9,
            drift: front.drift()[c],
        });
        Bench { range, front, injected }
    }

    /// A generator of the signal as the converter sees it, and the front end under these conditions.
    pub fn source(&self, conditions: &Conditions) -> (Generator, FrontEnd) {
        let mut front = self.front.clone();
        front.set_climate(conditions.celsius, conditions.years);
        (Generator::new(&conditions.signal, f64::from(RATE), front.delay(), sinc3), front)
    }

    /// Generates the signal once, for several measurements of it.
    pub fn prepare(&self, conditions: &Conditions) -> Prepared {
        let (mut generator, front) = self.source(conditions);
        let mut sensed = Vec::with_capacity(SAMPLES as usize);
        let mut joules = Vec::with_capacity(SAMPLES as usize);
        let mut sum = [0.0; 3];
        for _ in 0..SAMPLES {
            let sample = generator.sample();
            sensed.push(sample.sensed);
            joules.push(sum);
            sum.iter_mut().zip(sample.power).for_each(|(sum, p)| *sum += p / f64::from(RATE));
        }
        Prepared { front, sensed, joules, reactive_var: conditions.signal.reactive() }
    }
}

/// A signal, ready to be converted.
#[derive(Clone, Debug)]
pub struct Prepared {
    front: FrontEnd,
    sensed: Vec<[f64; CHANNELS]>,
    /// Energy of each phase at the terminals before each sample, J.
    joules: Vec<[f64; 3]>,
    reactive_var: f64,
}

impl Prepared {
    /// Counts of the converter, with noise from a sequence of its own, or with next to none.
    pub fn counts(&self, noise: Option<u64>) -> Vec<[i32; CHANNELS]> {
        let mut front = self.front.clone();
        front.set_noise(noise.map_or(DITHER_COUNTS, |_| noise_counts()), noise.unwrap_or(0));
        self.sensed.iter().map(|sensed| front.sample(sensed)).collect()
    }

    /// The windows of the measuring time. `None`: the trace is too short.
    pub fn windows(&self, trace: &Trace) -> Option<Vec<Window>> {
        let (first, last) = trace.span()?;
        let ends = (first..=last).map(|end| trace.counters(end)).collect::<Option<Vec<_>>>()?;
        let windows = (first..last).zip(ends.windows(2)).map(|(end, counters)| {
            Some(Window {
                counted: counted(&counters[0], &counters[1]),
                truth: self.truth(trace.at[end], trace.at[end + 1])?,
            })
        });
        windows.collect()
    }

    /// What should have been counted between two ends of windows.
    fn truth(&self, from: u64, to: u64) -> Option<Energies> {
        // The engine counts a sample when it leaves the delay line.
        let before = |end: u64| self.joules.get((end as usize).saturating_sub(BASE_DELAY as usize));
        let (a, b) = (before(from)?, before(to)?);
        let phase: [f64; 3] = std::array::from_fn(|k| (b[k] - a[k]) * 1e3);
        let seconds = (to - from) as f64 / f64::from(RATE);
        Some(Energies { active: phase.iter().sum(), phase, reactive: self.reactive_var * seconds * 1e3 })
    }
}

/// Runs the engine on this machine; `conditions` are what its thermometer and its clock tell it.
///
/// # Errors
/// An impossible calibration.
pub fn on_host(
    config: &MeterConfig,
    calibration: &Calibration,
    conditions: Option<&Conditions>,
    counts: &[[i32; CHANNELS]],
) -> Result<Trace, Impossible> {
    let mut metrology = Metrology::new(config, calibration)?;
    if let Some(conditions) = conditions {
        let now = calibration.date_us + (conditions.years * YEAR_US) as i64;
        metrology.climate(calibration, Some((conditions.celsius * 1e3) as i32), Some(now));
    }
    let mut trace = Trace::default();
    let mut window = [0; Second::LEN];
    for counts in counts {
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
}

/// What was counted between two states of the counters.
pub fn counted(a: &Cumulative, b: &Cumulative) -> Energies {
    let total = |c: &Cumulative| energies(&c.counters.total, &c.total_remainders);
    let ((active, reactive), (active0, reactive0)) = (total(b), total(a));
    let of = |c: &Cumulative, k: usize| energies(&c.counters.phase[k], &c.phase_remainders[k]).0;
    let phase = std::array::from_fn(|k| of(b, k) - of(a, k));
    Energies { active: active - active0, phase, reactive: reactive - reactive0 }
}

/// Signed active and reactive energy of a set, to the last sub-quantum that a double holds.
fn energies(set: &EnergySet, remainders: &SetRemainders) -> (f64, f64) {
    let rest = |n: usize| remainders[n] as f64 / SUB_QUANTA as f64;
    let active = set.a_plus as f64 - set.a_minus as f64 + rest(0) - rest(1);
    let [r1, r2, r3, r4] = set.r.map(|r| r as f64);
    (active, r1 + r2 - r3 - r4 + rest(2) + rest(3) - rest(4) - rest(5))
}

/// Sum of windows.
pub fn sum(windows: &[Window]) -> Window {
    let mut out = Window::default();
    for window in windows {
        for (sum, part) in [(&mut out.counted, &window.counted), (&mut out.truth, &window.truth)] {
            sum.active += part.active;
            sum.reactive += part.reactive;
            sum.phase.iter_mut().zip(part.phase).for_each(|(sum, part)| *sum += part);
        }
    }
    out
}
