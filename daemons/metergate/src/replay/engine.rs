//! A record through the DSP, and the sums over the whole of it.

use metrology_dsp::design::BASE_DELAY;
use metrology_dsp::pq::{Notice, PowerQuality, Value};
use metrology_dsp::{CHANNELS, Calibration, MeterConfig, Metrology, WindowEnd};
use metrology_link::payload::{Grid, Method, PhaseSecond, Second, Suspect, Topology, Valid};
use metrology_sim::waveform::{Loop, METER_NOMINAL_V, Waveform};
use serde::Serialize;

use super::events::{Condition, Event};

/// The record's largest current is brought to this, A: a hundred million of the DSP's microamperes.
const CURRENT_PEAK: f64 = 100.0;
/// Full scale above the record's peak: a resampled wave may swing a little over its samples.
const HEADROOM: f64 = 1.25;
/// Largest voltage full scale of the DSP, V; smallest current full scale, A.
const U_FULL_SCALE_MAX: f64 = 2_000.0;
/// Bits of [`Suspect::CLIPPED`].
const CLIPPED: u32 = ((1 << CHANNELS) - 1) * Suspect::CLIPPED;
/// Marks of the wiring. Faults look like exchanged currents for a window or two; a wiring stays.
const WIRING: [(&str, u32); 2] = [("currents-swapped", Suspect::SWAPPED), ("reversed-sequence", Suspect::REVERSED)];
/// For so long must they hold, s.
const WIRING_S: f64 = 1.0;
/// Above this mean frequency the grid is one of 60 Hz, Hz.
const SIXTY: f64 = 55.0;

/// Values of one phase. Absent is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Phase {
    /// V.
    pub u: Option<f64>,
    /// A.
    pub i: Option<f64>,
    /// W.
    pub p: Option<f64>,
    /// var, fundamental.
    pub q: Option<f64>,
    /// VA.
    pub s: Option<f64>,
    /// P/S.
    pub pf: Option<f64>,
    /// Total harmonic distortion (subgroups to order 40), %; over a record the mean of the windows that have one. That of
    /// a window is the last one known at its end, about one window old. Absent without a steady frequency.
    pub thd_u: Option<f64>,
    /// %, see `thd_u`.
    pub thd_i: Option<f64>,
}

impl Phase {
    /// u, i, p, q, s.
    pub fn values(&self) -> impl Iterator<Item = Option<f64>> {
        [self.u, self.i, self.p, self.q, self.s].into_iter()
    }
}

/// One measuring window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Window {
    /// Its end, s from the first sample.
    pub t: f64,
    /// Hz.
    pub f: Option<f64>,
    /// L1 to L3.
    pub phases: [Phase; 3],
}

/// Everything about a record.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Mean frequency, Hz.
    pub f: Option<f64>,
    /// There was a voltage whose frequency lies outside of the tracker's range.
    pub out_of_range: bool,
    /// L1 to L3 over the whole record.
    pub phases: [Phase; 3],
    /// All windows.
    pub windows: Vec<Window>,
    /// All events, by their begin.
    pub events: Vec<Event>,
}

/// Runs the record through the DSP.
///
/// # Errors
/// The record has channels that no meter has (only L2 or L3).
pub fn measure(waveform: &Waveform) -> anyhow::Result<Measured> {
    let first = Run::new(waveform, 50)?.all();
    match first.f {
        Some(f) if f > SIXTY => Ok(Run::new(waveform, 60)?.all()),
        _ => Ok(first),
    }
}

/// One pass over the record.
struct Run<'a> {
    waveform: &'a Waveform,
    metrology: Metrology,
    config: MeterConfig,
    /// What voltages and currents were multiplied by.
    factors: (f64, f64),
    sums: Sums,
    windows: Vec<Window>,
    events: Vec<Event>,
    power_quality: Box<PowerQuality>,
    /// Time for the ten-minute ticks: begins with the record.
    grid: Grid,
    /// What the samples tell about themselves, with the bit of each.
    suspicions: Vec<(u32, Condition)>,
    out_of_range: Condition,
    any_out_of_range: bool,
    /// End of the last window, s.
    end: f64,
}

impl<'a> Run<'a> {
    fn new(waveform: &'a Waveform, f_nominal: u8) -> anyhow::Result<Run<'a>> {
        let (u_peak, i_peak) = waveform.peaks();
        let mut factors = (METER_NOMINAL_V / waveform.nominal_v(), 1.0);
        if u_peak * factors.0 * HEADROOM > U_FULL_SCALE_MAX {
            factors.0 = U_FULL_SCALE_MAX / HEADROOM / u_peak;
        }
        if i_peak > 0.0 {
            factors.1 = CURRENT_PEAK / i_peak;
        }
        let u_full_scale = (u_peak * factors.0).max(METER_NOMINAL_V * std::f64::consts::SQRT_2) * HEADROOM;
        let config = MeterConfig {
            topology: Topology::ThreePhase,
            method: Method::PerPhase,
            rate_hz: rate(waveform.rate_hz()),
            f_nominal,
            u_nominal_mv: (waveform.nominal_v() * factors.0 * 1e3).round().clamp(10e3, 500e3) as u32,
            u_full_scale_mv: (u_full_scale.min(U_FULL_SCALE_MAX) * 1e3) as u32,
            i_full_scale_ua: (CURRENT_PEAK * HEADROOM * 1e6) as u32,
            i_n_full_scale_ua: (CURRENT_PEAK * HEADROOM * 1e6) as u32,
            // Nothing is below the threshold: this is a measurement, not a meter.
            start_mw: 0,
            channels: waveform.mask(),
            ..MeterConfig::default()
        };
        let metrology = Metrology::new(&config, &Calibration::default())?;
        let mut power_quality = Box::new(PowerQuality::new());
        power_quality.configure(&config, &Calibration::default());
        Ok(Run {
            waveform,
            metrology,
            config,
            factors,
            sums: Sums::default(),
            windows: Vec::new(),
            events: Vec::new(),
            power_quality,
            grid: Grid { rate_q16: u64::from(config.rate_hz) << 16, ..Grid::default() },
            suspicions: suspicions(),
            out_of_range: Condition::new("frequency-out-of-range"),
            any_out_of_range: false,
            end: 0.0,
        })
    }

    fn all(mut self) -> Measured {
        let rate = f64::from(self.config.rate_hz);
        let full = f64::from(1 << 23);
        let (u, i) = (f64::from(self.config.u_full_scale_mv) / 1e3, f64::from(self.config.i_full_scale_ua) / 1e6);
        let counts = [u, u, u, i, i, i, i].map(|full_scale| full / full_scale);
        let mut player = self.waveform.player(rate, self.factors, Loop::Once);
        let push = |run: &mut Run<'_>, sample: [f64; CHANNELS]| {
            // `as` saturates: what is beyond full scale is clipped, which the DSP reports.
            let sample = std::array::from_fn(|k| (sample[k] * counts[k]).round() as i32);
            if let Some(window) = run.metrology.push(&sample) {
                run.window(&window);
            }
            run.watch();
        };
        while let Some(sample) = player.next_sample() {
            push(&mut self, sample);
        }
        // What still stands in the delay lines.
        for _ in 0..BASE_DELAY {
            push(&mut self, [0.0; CHANNELS]);
        }
        if let Some(window) = self.metrology.finish() {
            self.window(&window);
        }
        self.measured()
    }

    /// Time of a position of the sample clock, s from the record's first sample.
    fn seconds(&self, t_samples: u64) -> f64 {
        t_samples.saturating_sub(u64::from(BASE_DELAY)) as f64 / f64::from(self.config.rate_hz)
    }

    fn window(&mut self, window: &WindowEnd) {
        let values = *self.metrology.window();
        let t = self.seconds(window.t_samples);
        // The delay lines were empty at first: that part of the first window is no part of the record.
        let lead = if self.windows.is_empty() { BASE_DELAY.min(window.samples - 1) } else { 0 };
        let weight = f64::from(window.samples - lead);
        let stretch = f64::from(window.samples) / weight;
        let f = window.f_uhz.map(|f| f64::from(f) / 1e6);
        // The rest of a record is often too short to hold two zero crossings: that says nothing about its frequency.
        let whole = window.samples >= self.config.rate_hz / 10;
        let out_of_range = whole && values.valid.has(Valid::F_OUT_OF_RANGE);
        let phases = std::array::from_fn(|k| self.phase(&values, k, stretch));
        self.sums.add(&phases, f, weight);
        self.windows.push(Window { t, f, phases });
        self.any_out_of_range |= out_of_range;
        for (bit, condition) in &mut self.suspicions {
            // A short rest of a record, or its silence at the end, may stand still without being stuck.
            let holds = values.suspect.has(*bit) && (whole || *bit & CLIPPED != 0);
            self.events.extend(condition.step(self.end, holds));
        }
        self.events.extend(self.out_of_range.step(self.end, out_of_range));
        self.end = t;
    }

    fn phase(&self, values: &Second, k: usize, stretch: f64) -> Phase {
        let PhaseSecond { u_mv, i_ua, p_mw, q_mvar, thd_u_ppm, thd_i_ppm, .. } = values.phase[k];
        let (fu, fi) = self.factors;
        let u = values.valid.phase(Valid::U, k).then(|| f64::from(u_mv) / 1e3 / fu * stretch.sqrt());
        let i = values.valid.phase(Valid::I, k).then(|| f64::from(i_ua) / 1e6 / fi * stretch.sqrt());
        let power = |milli: i32| u.and(i).map(|_| f64::from(milli) / 1e3 / fu / fi * stretch);
        let thd = |valid: u32, ppm: u32| values.valid.phase(valid, k).then(|| f64::from(ppm) / 1e4);
        let (thd_u, thd_i) = (u.and(thd(Valid::THD, thd_u_ppm)), i.and(thd(Valid::THD_I, thd_i_ppm)));
        Phase { u, i, p: power(p_mw), q: power(q_mvar), thd_u, thd_i, ..Phase::default() }.completed()
    }

    /// Distortions and voltage events of the last sample.
    fn watch(&mut self) {
        let half = self.metrology.half_cycle();
        let done = self.power_quality.push(self.metrology.samples(), half.as_ref(), &self.grid);
        if let (true, Some(window)) = (done.window, self.power_quality.window()) {
            for k in 0..3 {
                let ppm = |place: Value| window.values[place as usize + k].map(|ratio| (f64::from(ratio) * 1e6) as u32);
                if let Some(u) = ppm(Value::ThdU) {
                    self.metrology.distortion(k, u, ppm(Value::ThdI));
                }
            }
        }
        if done.notices {
            self.notices();
        }
    }

    fn notices(&mut self) {
        let rate = f64::from(self.config.rate_hz);
        // Times of the watch have the delay of the DSP taken off.
        let seconds = |samples: u64| samples as f64 / rate;
        while let Some(notice) = self.power_quality.notice() {
            if let Notice::Event(event) = notice {
                self.events.extend(Event::of_voltage(&event, &self.config, seconds, 1e-3 / self.factors.0));
            }
        }
    }

    fn measured(mut self) -> Measured {
        let end = self.end;
        self.power_quality.close(self.metrology.t_samples());
        self.notices();
        for (_, condition) in &mut self.suspicions {
            self.events.extend(condition.close(end));
        }
        self.events.extend(self.out_of_range.close(end));
        self.events.retain(|event| !WIRING.iter().any(|w| w.0 == event.kind) || event.duration >= WIRING_S);
        self.events.sort_by(|a, b| a.at.total_cmp(&b.at).then(a.phases.cmp(&b.phases)));
        Measured {
            f: self.sums.f(),
            out_of_range: self.any_out_of_range,
            phases: self.sums.phases(),
            windows: self.windows,
            events: self.events,
        }
    }
}

impl Phase {
    /// With S and PF, which follow from the others.
    fn completed(self) -> Phase {
        let s = self.u.zip(self.i).map(|(u, i)| u * i);
        let pf = self.p.zip(s).filter(|(_, s)| *s > 0.0).map(|(p, s)| p / s);
        Phase { s, pf, ..self }
    }
}

/// The conditions that are watched, each with its bit.
fn suspicions() -> Vec<(u32, Condition)> {
    const NAMES: [&str; CHANNELS] = ["U1", "U2", "U3", "I1", "I2", "I3", "IN"];
    let kinds = [("clipped", Suspect::CLIPPED), ("stuck", Suspect::STUCK), ("missing", Suspect::MISSING)];
    let of_channel = |(kind, first): (&'static str, u32)| {
        NAMES.iter().enumerate().map(move |(k, name)| (first << k, Condition::of_channel(kind, name)))
    };
    let all = kinds.into_iter().flat_map(of_channel);
    all.chain(WIRING.map(|(kind, bit)| (bit, Condition::new(kind)))).collect()
}

/// The DSP's rate for a record: its own or the next higher one.
fn rate(record: f64) -> u32 {
    [8_000, 16_000, 32_000].into_iter().find(|rate| f64::from(*rate) >= record).unwrap_or(32_000)
}

/// Weighted sums over windows.
#[derive(Debug, Default)]
struct Sums {
    weight: f64,
    /// Per phase u², i², p, and how many channels had them.
    all: [[Option<f64>; 3]; 3],
    /// Fundamental reactive power: over windows that hold whole cycles, and over all.
    q_whole: [f64; 3],
    q_all: [f64; 3],
    /// Weight and frequency of the windows that hold whole cycles.
    whole: f64,
    f: f64,
    /// Per phase weight and sum of the voltage's and the current's THD.
    thd: [[(f64, f64); 2]; 3],
}

impl Sums {
    fn add(&mut self, phases: &[Phase; 3], f: Option<f64>, weight: f64) {
        self.weight += weight;
        if let Some(f) = f {
            self.whole += weight;
            self.f += f * weight;
        }
        for (k, phase) in phases.iter().enumerate() {
            let values = [phase.u.map(|u| u * u), phase.i.map(|i| i * i), phase.p];
            for (sum, value) in self.all[k].iter_mut().zip(values) {
                if let Some(value) = value {
                    *sum = Some(sum.unwrap_or(0.0) + value * weight);
                }
            }
            for (sum, thd) in self.thd[k].iter_mut().zip([phase.thd_u, phase.thd_i]) {
                if let Some(thd) = thd {
                    *sum = (sum.0 + weight, sum.1 + thd * weight);
                }
            }
            let q = phase.q.unwrap_or(0.0) * weight;
            self.q_all[k] += q;
            if f.is_some() {
                self.q_whole[k] += q;
            }
        }
    }

    fn f(&self) -> Option<f64> {
        (self.whole > 0.0).then(|| self.f / self.whole)
    }

    fn phases(&self) -> [Phase; 3] {
        std::array::from_fn(|k| {
            let [u, i, p] = self.all[k].map(|sum| sum.map(|sum| sum / self.weight));
            let q = match self.whole > 0.0 {
                true => self.q_whole[k] / self.whole,
                false => self.q_all[k] / self.weight,
            };
            let [thd_u, thd_i] = self.thd[k].map(|(weight, sum)| (weight > 0.0).then(|| sum / weight));
            let (u, i) = (u.map(f64::sqrt), i.map(f64::sqrt));
            Phase { u, i, p, q: p.map(|_| q), thd_u, thd_i, ..Phase::default() }.completed()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{SQRT_2, TAU};
    use std::fmt::Write;

    use metrology_sim::waveform::LoadOptions;

    use super::*;

    /// A CSV record of one phase: 8 A at 30 degrees lagging with a dip, at `f` Hz and `rate` samples per second.
    fn record(f: f64, rate: f64, seconds: f64, dip: std::ops::Range<f64>) -> Measured {
        let mut text = "u,i\n".to_owned();
        for n in 0..(seconds * rate) as usize {
            let t = n as f64 / rate;
            let depth = if dip.contains(&t) { 0.5 } else { 1.0 };
            let u = 230.0 * SQRT_2 * depth * (TAU * f * t).sin();
            let i = 8.0 * SQRT_2 * (TAU * f * t - TAU / 12.0).sin();
            writeln!(text, "{u:.6},{i:.6}").unwrap();
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.csv");
        std::fs::write(&path, text).unwrap();
        let options =
            LoadOptions { rate: Some(rate), u_scale: Some(1.0), i_scale: Some(1.0), ..LoadOptions::default() };
        measure(&Waveform::load(&path, &options).unwrap()).unwrap()
    }

    fn near(value: Option<f64>, expected: f64, tolerance: f64) {
        let value = value.unwrap();
        assert!((value - expected).abs() <= tolerance, "{value} is not {expected} ± {tolerance}");
    }

    #[test]
    fn quantities_of_a_known_wave_at_50_and_60_hz() {
        for (f, rate) in [(50.0, 8_000.0), (49.7, 5_000.0), (60.0, 30_000.0)] {
            let measured = record(f, rate, 2.0, 9.0..9.0);
            let phase = measured.phases[0];
            let s = 230.0 * 8.0;
            near(measured.f, f, 0.005);
            near(phase.u, 230.0, 0.1);
            near(phase.i, 8.0, 0.004);
            near(phase.p, s * (TAU / 12.0).cos(), 0.002 * s);
            near(phase.q, s * (TAU / 12.0).sin(), 0.002 * s);
            near(phase.pf, (TAU / 12.0).cos(), 0.002);
            assert_eq!((measured.phases[1], measured.phases[2]), (Phase::default(), Phase::default()));
            assert!(measured.events.is_empty() && !measured.out_of_range, "{:?}", measured.events);
            // A sine has none.
            assert!(
                phase.thd_u.is_some_and(|thd| thd < 0.01) && phase.thd_i.is_some_and(|thd| thd < 0.01),
                "{phase:?}"
            );
            // 10 cycles of 50 Hz, 12 of 60 Hz.
            assert!((9..=12).contains(&measured.windows.len()), "{}", measured.windows.len());
        }
    }

    #[test]
    fn channels_that_cannot_be_right_are_said_with_their_name() {
        let mut text = "u1,u2,u3,i1,i2,i3\n".to_owned();
        for n in 0..16_000 {
            let x = TAU * f64::from(n) / 160.0;
            let u = |k: f64| 230.0 * SQRT_2 * (x - k * TAU / 3.0).sin();
            let i = |k: f64| 8.0 * SQRT_2 * (x - k * TAU / 3.0 - 0.3).sin();
            // I1 stands still in the second half, U2 and U3 are exchanged all the time, I3 is dead.
            let stuck = if n < 8000 { i(0.0) } else { 5.0 };
            writeln!(text, "{:.5},{:.5},{:.5},{stuck:.5},{:.5},0", u(0.0), u(2.0), u(1.0), i(2.0)).unwrap();
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.csv");
        std::fs::write(&path, text).unwrap();
        let options =
            LoadOptions { rate: Some(8000.0), u_scale: Some(1.0), i_scale: Some(1.0), ..LoadOptions::default() };
        let measured = measure(&Waveform::load(&path, &options).unwrap()).unwrap();
        let told: Vec<_> =
            measured.events.iter().map(|e| (e.kind, e.channel, e.at.round(), e.duration.round())).collect();
        let expected =
            [("missing", Some("I3"), 0.0, 2.0), ("reversed-sequence", None, 0.0, 2.0), ("stuck", Some("I1"), 1.0, 1.0)];
        assert_eq!(told.len(), expected.len(), "{told:?}");
        assert!(expected.iter().all(|e| told.contains(e)), "{told:?}");
    }

    #[test]
    fn a_dip_is_an_event_and_a_strange_frequency_is_said_not_guessed() {
        let dip = record(50.0, 8_000.0, 2.0, 1.0..1.2);
        let [event] = &dip.events[..] else { panic!("{:?}", dip.events) };
        assert_eq!((event.kind, event.phase), ("dip", Some(1)));
        near(Some(event.at), 1.0, 0.03);
        near(Some(event.duration), 0.2, 0.03);
        near(event.value, 115.0, 1.0);
        let fast = record(80.0, 8_000.0, 2.0, 9.0..9.0);
        assert_eq!((fast.f, fast.out_of_range), (None, true));
        assert!(fast.events.iter().any(|event| event.kind == "frequency-out-of-range"));
        near(fast.phases[0].u, 230.0, 2.0);
    }
}
