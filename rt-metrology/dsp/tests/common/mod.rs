//! A double-precision signal generator with analytic truth. Shares nothing with the crate but the channel order.
#![allow(dead_code, reason = "each test file uses a part")]

use metrology_dsp::energy::SUB_QUANTA;
use metrology_dsp::{CHANNELS, Calibration, MeterConfig, Metrology, WindowEnd};
use metrology_link::payload::EnergySet;
use std::f64::consts::{SQRT_2, TAU};

/// One sinusoid of a channel: order, RMS value, angle in degrees.
pub type Partial = (f64, f64, f64);

/// Volts and amperes per count with the default configuration.
pub const U_LSB: f64 = 600.0 / 8_388_608.0;
pub const I_LSB: f64 = 200.0 / 8_388_608.0;

#[derive(Clone, Debug, Default)]
pub struct Wave {
    pub partials: Vec<Partial>,
    pub direct: f64,
    /// The sensor's delay, s.
    pub lag: f64,
}

impl Wave {
    pub fn sine(rms: f64, degrees: f64) -> Wave {
        Wave { partials: vec![(1.0, rms, degrees)], ..Wave::default() }
    }

    pub fn with(mut self, order: f64, rms: f64, degrees: f64) -> Wave {
        self.partials.push((order, rms, degrees));
        self
    }

    pub fn with_direct(mut self, direct: f64) -> Wave {
        self.direct = direct;
        self
    }

    pub fn lagging(mut self, lag: f64) -> Wave {
        self.lag = lag;
        self
    }

    /// Value at time `t` and angle `x` (of the fundamental, radians) with `w` rad/s.
    pub fn at(&self, x: f64, w: f64) -> f64 {
        let x = x - w * self.lag;
        self.direct
            + self
                .partials
                .iter()
                .map(|(order, rms, degrees)| SQRT_2 * rms * (order * x + degrees.to_radians()).sin())
                .sum::<f64>()
    }

    pub fn rms(&self) -> f64 {
        (self.direct.powi(2) + self.partials.iter().map(|p| p.1 * p.1).sum::<f64>()).sqrt()
    }
}

/// True active power of a voltage and a current.
pub fn active(u: &Wave, i: &Wave) -> f64 {
    let mut p = u.direct * i.direct;
    for (order, u_rms, u_deg) in &u.partials {
        for (other, i_rms, i_deg) in &i.partials {
            if order == other {
                p += u_rms * i_rms * (u_deg - i_deg).to_radians().cos();
            }
        }
    }
    p
}

/// True fundamental reactive power.
pub fn reactive(u: &Wave, i: &Wave) -> f64 {
    let (_, u_rms, u_deg) = u.partials[0];
    let (_, i_rms, i_deg) = i.partials[0];
    u_rms * i_rms * (u_deg - i_deg).to_radians().sin()
}

/// Grid and load of all channels: U1 U2 U3 I1 I2 I3 IN.
#[derive(Clone, Debug)]
pub struct Signal {
    pub rate: u32,
    pub f: f64,
    pub waves: [Wave; CHANNELS],
    /// Phase of the fundamental, radians; advanced by each sample.
    pub x: f64,
}

impl Signal {
    pub fn new(rate: u32, f: f64) -> Signal {
        Signal { rate, f, waves: Default::default(), x: 0.3 }
    }

    /// 230 V on three phases, and `i` amperes lagging by `degrees`.
    pub fn balanced(rate: u32, f: f64, i: f64, degrees: f64) -> Signal {
        let mut s = Signal::new(rate, f);
        for k in 0..3 {
            let angle = -120.0 * k as f64;
            s.waves[k] = Wave::sine(230.0, angle);
            s.waves[k + 3] = Wave::sine(i, angle - degrees);
        }
        s
    }

    /// The next counts, quantised like a converter.
    pub fn counts(&mut self) -> [i32; CHANNELS] {
        let w = TAU * self.f;
        let mut out = [0; CHANNELS];
        for (k, wave) in self.waves.iter().enumerate() {
            let lsb = if k < 3 { U_LSB } else { I_LSB };
            out[k] = (wave.at(self.x, w) / lsb).round().clamp(-8_388_608.0, 8_388_607.0) as i32;
        }
        self.x += w / f64::from(self.rate);
        out
    }

    pub fn p(&self, k: usize) -> f64 {
        active(&self.waves[k], &self.waves[k + 3])
    }

    pub fn q(&self, k: usize) -> f64 {
        reactive(&self.waves[k], &self.waves[k + 3])
    }

    pub fn s(&self, k: usize) -> f64 {
        self.waves[k].rms() * self.waves[k + 3].rms()
    }
}

pub fn config(rate_hz: u32) -> MeterConfig {
    MeterConfig { rate_hz, ..MeterConfig::default() }
}

pub fn meter(config: &MeterConfig) -> Metrology {
    Metrology::new(config, &Calibration::default()).expect("possible configuration")
}

/// Runs for `seconds`; gives the last window end.
pub fn run(meter: &mut Metrology, signal: &mut Signal, seconds: f64) -> Option<WindowEnd> {
    let mut last = None;
    for _ in 0..(seconds * f64::from(signal.rate)) as u64 {
        last = meter.push(&signal.counts()).or(last);
    }
    last
}

pub fn ppm(measured: f64, truth: f64, base: f64) -> f64 {
    (measured - truth) / base * 1e6
}

/// Sub-quanta per product with the default scales at 8 kS/s.
pub const SCALE: i128 = 600_000 * 200_000_000 * 4;

/// A set of counters as exact integers in sub-quanta: A+, A−, then the others.
pub fn sub_quanta(set: &EnergySet, remainders: &[u128; 8]) -> [u128; 8] {
    let [r1, r2, r3, r4] = set.r;
    let counters = [set.a_plus, set.a_minus, r1, r2, r3, r4, set.e_plus, set.e_minus];
    std::array::from_fn(|k| u128::from(counters[k]) * SUB_QUANTA + remainders[k])
}

/// Sums of `u·i` of every sample that an engine without corrections has summed: those of ten samples before.
#[derive(Default)]
pub struct Brute {
    waiting: std::collections::VecDeque<[i128; 3]>,
    pub sums: [i128; 3],
}

impl Brute {
    pub fn push(&mut self, counts: &[i32; CHANNELS]) {
        self.waiting.push_back(std::array::from_fn(|k| i128::from(counts[k]) * i128::from(counts[k + 3]) * 256));
        if self.waiting.len() > 10
            && let Some(products) = self.waiting.pop_front()
        {
            self.sums.iter_mut().zip(products).for_each(|(sum, product)| *sum += product);
        }
    }
}
