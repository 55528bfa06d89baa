//! Engine and power quality side by side, and all they gave.
#![allow(dead_code, reason = "each test file uses a part")]

use crate::common::Signal;
use metrology_dsp::pq::bands::Emission;
use metrology_dsp::pq::events::Event;
use metrology_dsp::pq::harmonics::Harmonics;
use metrology_dsp::pq::{Notice, PowerQuality, Value, Window};
use metrology_dsp::{CHANNELS, Calibration, MeterConfig, Metrology};
use metrology_link::payload::Grid;

/// Engine and power quality side by side, as the coprocessor runs them, and all they gave.
pub struct Meter {
    pub engine: Metrology,
    pub pq: PowerQuality,
    pub grid: Grid,
    pub windows: Vec<Window>,
    pub spectra: Vec<(usize, Harmonics)>,
    pub bands: Vec<Emission>,
    pub notices: Vec<Notice>,
    /// Largest number of samples from the end of a window to its last spectrum.
    pub slowest: u64,
}

impl Meter {
    pub fn new(config: &MeterConfig, calibration: &Calibration) -> Meter {
        let mut pq = PowerQuality::new();
        pq.configure(config, calibration);
        Meter {
            engine: Metrology::new(config, calibration).expect("possible configuration"),
            pq,
            grid: Grid { rate_q16: u64::from(config.rate_hz) << 16, utc_us: 1_767_225_600_000_000, ..Grid::default() },
            windows: Vec::new(),
            spectra: Vec::new(),
            bands: Vec::new(),
            notices: Vec::new(),
            slowest: 0,
        }
    }

    pub fn push(&mut self, counts: &[i32; CHANNELS]) {
        self.engine.push(counts);
        let half = self.engine.half_cycle();
        let done = self.pq.push(self.engine.samples(), half.as_ref(), &self.grid);
        if let Some(channel) = done.channel {
            self.spectra.push((channel, *self.pq.harmonics()));
        }
        if done.bands {
            self.bands.push(*self.pq.bands().expect("bands"));
        }
        if done.window {
            let window = *self.pq.window().expect("a window");
            self.slowest = self.slowest.max(self.engine.t_samples() - window.end);
            for k in 0..3 {
                let ppm = |thd: f32| (thd * 1e6) as u32;
                if let Some(u) = window.values[Value::ThdU as usize + k] {
                    self.engine.distortion(k, ppm(u), window.values[Value::ThdI as usize + k].map(ppm));
                }
            }
            self.windows.push(window);
        }
        while let Some(notice) = self.pq.notice() {
            self.notices.push(notice);
        }
    }

    pub fn run(&mut self, signal: &mut Signal, seconds: f64) {
        for _ in 0..(seconds * f64::from(signal.rate)) as u64 {
            let counts = signal.counts();
            self.push(&counts);
        }
    }

    pub fn ended(&self) -> Vec<Event> {
        let events = self.notices.iter().filter_map(|n| match n {
            Notice::Event(e) if e.duration.is_some() => Some(*e),
            _ => None,
        });
        events.collect()
    }

    pub fn last(&self, channel: usize) -> &Harmonics {
        &self.spectra.iter().rev().find(|s| s.0 == channel).expect("a spectrum").1
    }
}

pub fn measure(config: &MeterConfig, signal: &mut Signal, seconds: f64) -> Meter {
    let mut meter = Meter::new(config, &Calibration::default());
    meter.run(signal, seconds);
    meter
}

/// Runs 50 Hz at 8 kS/s and lets the voltages of L1 to L3 have the given shares from the given times on.
pub fn with_steps(config: &MeterConfig, steps: &[(f64, [f64; 3])], seconds: f64) -> Meter {
    let mut signal = Signal::balanced(8000, f64::from(config.f_nominal), 5.0, 0.0);
    let mut meter = Meter::new(config, &Calibration::default());
    // The generator begins 0.3 rad after a crossing: time counts from the first one.
    signal.x = 0.0;
    let mut steps = steps.iter().peekable();
    for n in 0..(seconds * 8000.0) as u64 {
        if let Some((_, shares)) = steps.next_if(|(t, _)| *t * 8000.0 <= n as f64) {
            for (k, share) in shares.iter().enumerate() {
                signal.waves[k].partials[0].1 = 230.0 * share;
            }
        }
        let counts = signal.counts();
        meter.push(&counts);
    }
    meter
}

pub fn seconds(samples: u64) -> f64 {
    samples as f64 / 8000.0
}
