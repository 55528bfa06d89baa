//! The electrical circuit: grid, loads and topology turned into phasors, one cycle at a time.
//!
//! Within a *span* (at most one cycle of L1) every amplitude is constant, so the true power is a sum over harmonics and
//! the samples are a sum of rotating phasors; nothing is integrated numerically. A span ends early at the edge of a
//! disturbance, so dips begin and end on their sample. The circuit keeps no state but the phase angle of the grid.

use std::f64::consts::{PI, SQRT_2, TAU};

use metrology_link::payload::{CHANNELS, Topology};

use crate::load::{Complex, Draw, LoadModel};
use crate::noise;
use crate::scenario::{Disturbance, DisturbanceKind, MAX_ORDERS, Scenario};

/// Channels padded to a power of two, so that the sum over orders runs in vector registers.
pub const LANES: usize = 8;

/// A stretch of time with constant amplitudes.
#[derive(Clone, Debug)]
pub struct Span {
    /// Samples in it, at least 1.
    pub samples: u32,
    /// Turns of the fundamental per sample.
    pub turns: f64,
    /// Turns of the fundamental at the first sample.
    pub phase: f64,
    /// Peak amplitude of each channel (V or A) by order index; channels that do not exist are zero.
    pub amplitude: [[Complex; LANES]; MAX_ORDERS],
    /// True power per element (L1 to L3; Aron: index 0 and 2).
    pub power: [ElementPower; 3],
    /// Frequency, Hz.
    pub f: f64,
    /// Highest RMS voltage of the existing channels relative to nominal: what the supply of the meter sees.
    pub supply: f64,
}

/// True powers of one measuring element.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ElementPower {
    /// Active power with all harmonics, W; positive = import.
    pub p: f64,
    /// Reactive power of the fundamental, var.
    pub q: f64,
    /// Apparent power of RMS values, VA.
    pub s: f64,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Circuit {
    scenario: Scenario,
    loads: LoadModel,
    topology: Topology,
    orders: Vec<u8>,
    seed: u64,
    /// Turns of the fundamental at the beginning of the next span, 0 to 1.
    phase: f64,
    /// Draw of the second that [`Circuit::drawn_at`] names: loads change at whole seconds.
    draw: [Draw; 3],
    drawn_at: i64,
}

/// Random streams of the grid; loads begin at 1000.
mod stream {
    pub const FREQUENCY: u64 = 1;
    pub const VOLTAGE: u64 = 10;
}

impl Circuit {
    /// A circuit for a scenario and topology; `ratio` divides the load currents.
    pub fn new(scenario: &Scenario, topology: Topology, seed: u64, ratio: f64) -> Circuit {
        Circuit {
            loads: LoadModel::new(scenario, seed, ratio),
            orders: scenario.orders(),
            scenario: scenario.clone(),
            topology,
            seed,
            phase: 0.0,
            draw: [Draw::default(); 3],
            drawn_at: i64::MIN,
        }
    }

    /// Harmonic orders of [`Span::amplitude`], the fundamental first.
    pub fn orders(&self) -> &[u8] {
        &self.orders
    }

    /// The next span. `t` = seconds since the world began, `utc` = seconds since 1970, `rate` = true samples per
    /// second, `most` = samples it may have, `closed` = the breaker passes current.
    pub fn span(&mut self, t: f64, utc: f64, rate: f64, most: u32, closed: bool) -> Span {
        let f = self.frequency(t, utc);
        let turns = f / rate;
        let to_cycle = ((1.0 - self.phase) / turns).ceil();
        let to_edge = (self.next_edge(t) - t) * rate;
        // The bound of 1 keeps time moving when an edge lies within the current sample.
        let samples = to_cycle.min(to_edge.ceil()).clamp(1.0, f64::from(most.max(1))) as u32;
        let second = utc.floor() as i64;
        if second != self.drawn_at {
            self.draw = self.loads.at(second as f64);
            self.drawn_at = second;
        }
        let mut span = Span {
            samples,
            turns,
            phase: self.phase,
            amplitude: [[Complex::default(); LANES]; MAX_ORDERS],
            power: [ElementPower::default(); 3],
            f,
            supply: 0.0,
        };
        match self.topology {
            Topology::Aron => self.three_wires(t, utc, closed, &mut span),
            Topology::OnePhase => self.four_wires(1, t, utc, closed, &mut span),
            Topology::ThreePhase => self.four_wires(3, t, utc, closed, &mut span),
        }
        self.powers(&mut span);
        self.phase = (self.phase + turns * f64::from(samples)).rem_euclid(1.0);
        // A cycle that ends by rounding just below 1 is over.
        if self.phase > 1.0 - 1e-9 {
            self.phase = 0.0;
        }
        span
    }

    fn active(&self, t: f64) -> impl Iterator<Item = &Disturbance> {
        self.scenario.disturbances.iter().filter(move |d| running(d.at, d.every, Some(d.duration), t))
    }

    fn next_edge(&self, t: f64) -> f64 {
        let edges = self.scenario.disturbances.iter().map(|d| next_edge(d.at, d.every, d.duration, t));
        edges.fold(f64::INFINITY, f64::min)
    }

    fn frequency(&self, t: f64, utc: f64) -> f64 {
        let grid = &self.scenario.grid;
        let walk = noise::walk(self.seed, stream::FREQUENCY, utc, grid.f_walk_s);
        let shift: f64 =
            self.active(t).filter(|d| d.kind == DisturbanceKind::Frequency).map(|d| d.percent / 100.0).sum();
        (grid.f_nominal * (1.0 + shift) + (grid.f_offset_mhz + walk * grid.f_walk_mhz) / 1000.0).max(5.0)
    }

    /// Source voltage of one conductor, RMS relative to nominal.
    fn level(&self, k: usize, t: f64, utc: f64) -> f64 {
        let grid = &self.scenario.grid;
        let phase = k as u8 + 1;
        let walk = noise::walk(self.seed, stream::VOLTAGE + k as u64, utc, grid.u_walk_s);
        let mut level = 1.0 + (grid.u_offset_percent[k] + walk * grid.u_walk_percent) / 100.0;
        for d in self.active(t).filter(|d| d.phases.contains(&phase)) {
            match d.kind {
                DisturbanceKind::Dip | DisturbanceKind::Swell => level *= d.percent / 100.0,
                DisturbanceKind::Outage => level = 0.0,
                DisturbanceKind::NeutralLoss | DisturbanceKind::Frequency => {}
            }
        }
        level
    }

    /// Source phasor of conductor `k` at order `h`, peak volts for an RMS `level` times `u` volts.
    fn source(&self, k: usize, h: usize, level: f64, u: f64) -> Complex {
        let order = f64::from(self.orders[h]);
        let turn = -TAU / 3.0 * k as f64;
        if h == 0 {
            return Complex::polar(level * u * SQRT_2, turn);
        }
        let mut sum = Complex::default();
        for x in self.scenario.grid.harmonics.iter().filter(|x| x.order == self.orders[h]) {
            let angle = turn * order + x.degrees.to_radians();
            sum = sum + Complex::polar(level * u * SQRT_2 * x.percent / 100.0, angle);
        }
        sum
    }

    /// Admittance of the loads of a phase at order `h`: the resistive part for every order, the reactive part for the
    /// fundamental only (a motor or capacitor behind its own filter).
    fn admittance(&self, k: usize, h: usize) -> Complex {
        let u2 = self.scenario.grid.u_nominal.powi(2);
        let d = &self.draw[k];
        Complex { re: d.p / u2, im: if h == 0 { -d.q / u2 } else { 0.0 } }
    }

    #[allow(clippy::needless_range_loop)] // k names the phase in several arrays
    fn four_wires(&self, phases: usize, t: f64, utc: f64, closed: bool, span: &mut Span) {
        let grid = &self.scenario.grid;
        let mut level = [0.0; 3];
        for (k, l) in level.iter_mut().enumerate().take(phases) {
            *l = self.level(k, t, utc);
        }
        let neutral_open = phases == 3 && closed && self.active(t).any(|d| d.kind == DisturbanceKind::NeutralLoss);
        for h in 0..self.orders.len() {
            let mut emf = [Complex::default(); 3];
            for (k, e) in emf.iter_mut().enumerate().take(phases) {
                *e = self.source(k, h, level[k], grid.u_nominal);
            }
            if neutral_open {
                let star = self.star_point(&emf, h);
                for e in &mut emf {
                    *e = *e - star;
                }
            }
            let mut neutral = Complex::default();
            for k in 0..phases {
                let y = if closed { self.admittance(k, h) } else { Complex::default() };
                let drop = Complex { re: 1.0, im: 0.0 } + y.scale(grid.source_ohms);
                let u = emf[k] / drop;
                let mut i = u * y;
                if closed {
                    // Voltage relative to nominal and direction of the phase's own fundamental.
                    let fundamental = if h == 0 { u } else { span.amplitude[0][k] };
                    i = i + self.injected(k, h, fundamental, !neutral_open);
                }
                span.amplitude[h][k] = u;
                span.amplitude[h][3 + k] = i;
                neutral = neutral - i;
            }
            if !neutral_open {
                span.amplitude[h][6] = neutral;
            }
        }
        span.supply = (0..phases).map(|k| self.relative(span.amplitude[0][k])).fold(0.0, f64::max);
    }

    fn relative(&self, u: Complex) -> f64 {
        u.length() / (self.scenario.grid.u_nominal * SQRT_2)
    }

    /// Currents that do not follow the voltage: harmonics of loads, and inverters. All need a healthy voltage; a
    /// broken neutral silences them, since their sum would have no way back.
    fn injected(&self, k: usize, h: usize, fundamental: Complex, way_back: bool) -> Complex {
        let relative = self.relative(fundamental);
        if !way_back || relative < 0.01 {
            return Complex::default();
        }
        let d = &self.draw[k];
        let direction = fundamental.scale(1.0 / fundamental.length());
        if h == 0 {
            if !(0.85..=1.15).contains(&relative) {
                return Complex::default();
            }
            // S = U I* / 2 with peak phasors: I = 2 S* / U*.
            let s = Complex { re: -d.feed_p, im: -d.feed_q };
            return s.scale(2.0) / fundamental.conj();
        }
        let mut turned = Complex { re: 1.0, im: 0.0 };
        for _ in 0..self.orders[h] {
            turned = turned * direction;
        }
        d.harmonics[h] * turned.scale(relative)
    }

    /// Millman: voltage of the floating star point.
    fn star_point(&self, emf: &[Complex; 3], h: usize) -> Complex {
        let (mut sum, mut total) = (Complex::default(), Complex::default());
        for (k, e) in emf.iter().enumerate() {
            // A millisiemens (53 W) of other things always hangs on a phase, so the star point exists.
            let y = self.admittance(k, h) + Complex { re: 0.001, im: 0.0 };
            sum = sum + *e * y;
            total = total + y;
        }
        if total.square() < 1e-12 { Complex::default() } else { sum / total }
    }

    /// Three wires: the loads of "phase" k hang between conductors k and k + 1; elements are U12 with I1, U32 with I3.
    fn three_wires(&self, t: f64, utc: f64, closed: bool, span: &mut Span) {
        let grid = &self.scenario.grid;
        let level = [self.level(0, t, utc), self.level(1, t, utc), self.level(2, t, utc)];
        let to_neutral = grid.u_nominal / 3f64.sqrt();
        for h in 0..self.orders.len() {
            let v: [Complex; 3] = std::array::from_fn(|k| self.source(k, h, level[k], to_neutral));
            let line = [v[0] - v[1], v[1] - v[2], v[2] - v[0]];
            let mut i = [Complex::default(); 3];
            if closed {
                for k in 0..3 {
                    // The angle of an injected current counts from its own line voltage's fundamental.
                    let first: [Complex; 3] = std::array::from_fn(|k| self.source(k, 0, level[k], to_neutral));
                    let fundamental = first[k] - first[(k + 1) % 3];
                    i[k] = line[k] * self.admittance(k, h) + self.injected(k, h, fundamental, true);
                }
            }
            span.amplitude[h][0] = line[0];
            span.amplitude[h][2] = v[2] - v[1];
            span.amplitude[h][3] = i[0] - i[2];
            span.amplitude[h][5] = i[2] - i[1];
        }
        span.supply = self.relative(span.amplitude[0][0]).max(self.relative(span.amplitude[0][2]));
    }

    fn powers(&self, span: &mut Span) {
        for k in 0..3 {
            let (mut p, mut u2, mut i2) = (0.0, 0.0, 0.0);
            for amplitude in span.amplitude.iter().take(self.orders.len()) {
                let (u, i) = (amplitude[k], amplitude[3 + k]);
                p += (u * i.conj()).re / 2.0;
                u2 += u.square() / 2.0;
                i2 += i.square() / 2.0;
            }
            let (u, i) = (span.amplitude[0][k], span.amplitude[0][3 + k]);
            span.power[k] = ElementPower { p, q: (u * i.conj()).im / 2.0, s: (u2 * i2).sqrt() };
        }
    }
}

/// Whether something that happens at `at`, again after every period, for `duration`, is going on at `t`.
pub(crate) fn running(at: f64, every: Option<f64>, duration: Option<f64>, t: f64) -> bool {
    if t < at {
        return false;
    }
    let since = t - at;
    let since = every.map_or(since, |period| since.rem_euclid(period));
    duration.is_none_or(|d| since < d)
}

/// The next beginning or end after `t`, infinite when there is none.
pub(crate) fn next_edge(at: f64, every: Option<f64>, duration: f64, t: f64) -> f64 {
    if t < at {
        return at;
    }
    let begun = match every {
        Some(period) => at + ((t - at) / period).floor() * period,
        None => at,
    };
    // 1 µs: an edge that was reached must not be found again through rounding.
    let later = |edge: f64| if edge > t + 1e-6 { edge } else { f64::INFINITY };
    later(begun + duration).min(every.map_or(f64::INFINITY, |period| later(begun + period)))
}

/// Turns spans into physical samples: one rotating phasor per order, all channels from it.
#[derive(Clone, Debug)]
pub struct Oscillators {
    turn: [Complex; MAX_ORDERS],
    step: [Complex; MAX_ORDERS],
    re: [[f64; LANES]; MAX_ORDERS],
    im: [[f64; LANES]; MAX_ORDERS],
    used: usize,
}

impl Default for Oscillators {
    fn default() -> Self {
        Oscillators {
            turn: [Complex::default(); MAX_ORDERS],
            step: [Complex::default(); MAX_ORDERS],
            re: [[0.0; LANES]; MAX_ORDERS],
            im: [[0.0; LANES]; MAX_ORDERS],
            used: 0,
        }
    }
}

impl Oscillators {
    /// Begins a span. `delay` is the lag of each channel in seconds, `gain` its factor. Angles are computed afresh for
    /// each span, so rounding of the rotation never lasts longer than a cycle.
    pub fn begin(&mut self, span: &Span, orders: &[u8], delay: &[f64; CHANNELS], gain: &[f64; CHANNELS]) {
        self.used = orders.len().min(MAX_ORDERS);
        for (h, &order) in orders.iter().enumerate().take(MAX_ORDERS) {
            let order = f64::from(order);
            self.turn[h] = Complex::polar(1.0, TAU * (span.phase * order).rem_euclid(1.0));
            self.step[h] = Complex::polar(1.0, TAU * span.turns * order);
            for c in 0..CHANNELS {
                let lag = Complex::polar(gain[c], -2.0 * PI * span.f * order * delay[c]);
                let a = span.amplitude[h][c] * lag;
                self.re[h][c] = a.re;
                self.im[h][c] = a.im;
            }
        }
    }

    /// The next sample: the real part of the sum of all phasors.
    #[inline]
    pub fn sample(&mut self) -> [f64; LANES] {
        let mut sum = [0.0; LANES];
        for h in 0..self.used {
            let z = self.turn[h];
            for (c, s) in sum.iter_mut().enumerate() {
                *s += self.re[h][c] * z.re - self.im[h][c] * z.im;
            }
            self.turn[h] = z * self.step[h];
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circuit(text: &str, topology: Topology) -> Circuit {
        Circuit::new(&Scenario::parse(text, "test").unwrap(), topology, 1, 1.0)
    }

    /// Runs `seconds` at 8 kS/s and returns mean of u·i per element, mean P, Q of the spans, and RMS of all channels.
    #[allow(clippy::needless_range_loop)] // k names the element in several arrays
    fn run(c: &mut Circuit, from: f64, seconds: f64) -> ([f64; 3], [ElementPower; 3], [f64; LANES]) {
        let (mut t, mut n) = (from, 0.0);
        let (mut ui, mut power, mut rms) = ([0.0; 3], [ElementPower::default(); 3], [0.0; LANES]);
        let mut bank = Oscillators::default();
        while t < from + seconds - 1e-9 {
            let span = c.span(t, t, 8000.0, 8000, true);
            bank.begin(&span, &c.orders.clone(), &[0.0; CHANNELS], &[1.0; CHANNELS]);
            for _ in 0..span.samples {
                let x = bank.sample();
                (0..3).for_each(|k| ui[k] += x[k] * x[3 + k]);
                (0..LANES).for_each(|c| rms[c] += x[c] * x[c]);
            }
            for k in 0..3 {
                power[k].p += span.power[k].p * f64::from(span.samples);
                power[k].q += span.power[k].q * f64::from(span.samples);
                power[k].s += span.power[k].s * f64::from(span.samples);
            }
            n += f64::from(span.samples);
            t += f64::from(span.samples) / 8000.0;
        }
        ui.iter_mut().for_each(|x| *x /= n);
        rms.iter_mut().for_each(|x| *x = (*x / n).sqrt());
        power.iter_mut().for_each(|p| *p = ElementPower { p: p.p / n, q: p.q / n, s: p.s / n });
        (ui, power, rms)
    }

    const HARMONIC: &str = r#"
name = "test"
[grid]
harmonics = [{ order = 3, percent = 5.0, degrees = 10.0 }, { order = 5, percent = 4.0, degrees = 200.0 }]
f_walk_mhz = 50.0
u_walk_percent = 1.0
source_ohms = 0.3
[[load]]
kind = "constant"
phases = [1, 2]
watts = 3000.0
pf = 0.7
harmonics = [{ order = 3, percent = 60.0, degrees = 100.0 }, { order = 7, percent = 20.0 }]
[[load]]
kind = "solar"
phases = [3]
peak_watts = 4000.0
"#;

    #[test]
    fn the_stated_power_is_the_mean_of_the_samples() {
        for topology in [Topology::OnePhase, Topology::ThreePhase, Topology::Aron] {
            // Noon of 1970-06-21, so that the inverter feeds.
            let (ui, power, rms) = run(&mut circuit(HARMONIC, topology), 171.0 * 86_400.0 + 43_200.0, 20.0);
            for k in 0..3 {
                assert!((ui[k] - power[k].p).abs() < 1e-4 * power[k].s.max(1.0), "{topology:?} {k} {ui:?} {power:?}");
                assert!((rms[k] * rms[3 + k] - power[k].s).abs() < 1e-3 * power[k].s.max(1.0));
            }
            assert!(power[0].p > 1000.0);
            if topology == Topology::ThreePhase {
                assert!(power[2].p < -1000.0, "{power:?}");
            }
        }
    }

    #[test]
    fn two_elements_measure_what_three_wires_carry() {
        let text = "name = \"t\"\n[[load]]\nkind = \"constant\"\nwatts = 1000.0\npf = 0.8\n\
                    [[load]]\nkind = \"constant\"\nphases = [2]\nwatts = 500.0\n";
        let (_, power, _) = run(&mut circuit(text, Topology::Aron), 0.0, 2.0);
        let (p, q) = (power[0].p + power[2].p, power[0].q + power[2].q);
        assert!((p - 3500.0).abs() < 0.01, "{power:?}");
        assert!((q - 3.0 * 750.0).abs() < 0.01, "{power:?}");
    }

    #[test]
    fn a_dip_begins_and_ends_on_its_sample() {
        let text = "name = \"t\"\n[[load]]\nkind = \"constant\"\nwatts = 1000.0\n\
                    [[disturbance]]\nkind = \"dip\"\nat = 0.1234\nduration = 0.05\npercent = 40.0\nphases = [1]\n";
        let mut c = circuit(text, Topology::ThreePhase);
        let mut low = Vec::new();
        let mut sample = 0u32;
        while sample < 8000 {
            let span = c.span(f64::from(sample) / 8000.0, 0.0, 8000.0, 8000 - sample, true);
            if span.amplitude[0][0].length() < 150.0 {
                assert!(span.amplitude[0][1].length() > 300.0);
                low.extend(sample..sample + span.samples);
            }
            sample += span.samples;
        }
        assert_eq!((low[0], low.len()), (988, 400), "0.1234 s is sample 987.2, 50 ms are 400 samples");
    }

    #[test]
    fn an_open_neutral_lifts_the_weak_phase_and_stops_the_neutral_current() {
        let text = "name = \"t\"\n[[load]]\nkind = \"constant\"\nphases = [1]\nwatts = 3000.0\n\
                    [[load]]\nkind = \"constant\"\nphases = [2, 3]\nwatts = 200.0\n\
                    [[disturbance]]\nkind = \"neutral-loss\"\nat = 0.0\nduration = 9.0\n";
        let (_, _, rms) = run(&mut circuit(text, Topology::ThreePhase), 0.0, 1.0);
        assert!(rms[0] < 100.0 && rms[1] > 300.0 && rms[2] > 300.0, "{rms:?}");
        assert!(rms[6] < 1e-9);
        let sum: f64 = rms[3..6].iter().sum();
        assert!(sum > 0.1);
    }

    #[test]
    fn an_open_breaker_stops_every_current() {
        let mut c = circuit(HARMONIC, Topology::ThreePhase);
        let span = c.span(0.0, 171.0 * 86_400.0 + 43_200.0, 8000.0, 1000, false);
        assert!(span.amplitude.iter().all(|a| a[3..].iter().all(|i| i.square() == 0.0)));
        assert!(span.supply > 0.9);
    }

    #[test]
    fn edges_are_found_once() {
        assert_eq!(next_edge(1.0, Some(10.0), 2.0, 0.0), 1.0);
        assert_eq!(next_edge(1.0, Some(10.0), 2.0, 1.0), 3.0);
        assert_eq!(next_edge(1.0, Some(10.0), 2.0, 3.0), 11.0);
        assert_eq!(next_edge(1.0, None, 2.0, 3.0), f64::INFINITY);
        assert!(running(1.0, Some(10.0), Some(2.0), 12.9) && !running(1.0, Some(10.0), Some(2.0), 13.1));
        assert!(running(1.0, None, None, 1e9));
    }
}
