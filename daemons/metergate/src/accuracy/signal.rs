//! Exact test signals in double precision: sums of harmonics whose amplitudes are known, per channel.
//!
//! Each sample exists twice: what stands at the terminals, and what the converter gives, which is the same some
//! nanoseconds late and behind the converter's filter ([`sinc3`]). The energy at the terminals, summed over the samples
//! that the meter counted, is the truth.
//! Currents that a rectifier or a dimmer shapes are given by their Fourier series up to [`ORDERS`], as they look
//! behind the front end's anti-aliasing filter.

use std::f64::consts::{FRAC_PI_2, SQRT_2, TAU};

use metrology_link::payload::CHANNELS;

/// Highest order of shaped currents: at 52.5 Hz still well below half of 8 kS/s.
pub const ORDERS: u32 = 40;
/// Points of one period from which a Fourier series is taken: orders alias into it below 1e-6.
const SERIES_POINTS: u32 = 1 << 14;
/// The rotation is computed afresh after so many samples, so that its rounding stays below 1e-13.
const FRESH: u64 = 512;
/// Bursts: cycles on, and cycles until the next.
const BURST_CYCLES: (f64, f64) = (2.0, 4.0);

/// One harmonic: its peak as a phasor against cos(order · x), where the voltage of its phase is sin(x).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Partial {
    order: u32,
    re: f64,
    im: f64,
}

impl Partial {
    /// A sine wave of an order with an RMS value that lags by an angle (radians of its own period).
    pub fn sine(order: u32, rms: f64, lag: f64) -> Partial {
        let (sin, cos) = (FRAC_PI_2 + lag).sin_cos();
        Partial { order, re: SQRT_2 * rms * cos, im: -SQRT_2 * rms * sin }
    }

    /// Mean square.
    pub fn square(&self) -> f64 {
        let peak = self.re * self.re + self.im * self.im;
        if self.order == 0 { peak } else { peak / 2.0 }
    }

    fn turned(self, angle: f64) -> Partial {
        let (sin, cos) = (angle * f64::from(self.order)).sin_cos();
        Partial { order: self.order, re: self.re * cos - self.im * sin, im: self.re * sin + self.im * cos }
    }
}

/// Fourier series of a current that `shape` cuts out of a sine wave of `rms`: it gives the share (0 to 1) that flows
/// at an angle (0 to 2π).
pub fn shaped(rms: f64, shape: impl Fn(f64) -> f64) -> Vec<Partial> {
    let mut partials: Vec<Partial> = (0..=ORDERS).map(|order| Partial { order, re: 0.0, im: 0.0 }).collect();
    for n in 0..SERIES_POINTS {
        // In the middle between borders, so that an edge on a border is cut evenly.
        let x = TAU * (f64::from(n) + 0.5) / f64::from(SERIES_POINTS);
        let y = SQRT_2 * rms * x.sin() * shape(x) * 2.0 / f64::from(SERIES_POINTS);
        for p in &mut partials {
            let (sin, cos) = (x * f64::from(p.order)).sin_cos();
            p.re += y * cos;
            p.im -= y * sin;
        }
    }
    partials[0].re /= 2.0;
    partials
}

/// Gain of a sinc³ decimation filter at a frequency relative to its output rate: −193 ppm at 50 Hz of 8 kS/s, −0.48 %
/// at the 5th harmonic. Calibration at 50 Hz takes the first out; the rest is an error of the meter, since nothing
/// behind the converter undoes it.
pub fn sinc3(relative: f64) -> f64 {
    let x = std::f64::consts::PI * relative;
    if x == 0.0 { 1.0 } else { (x.sin() / x).powi(3) }
}

/// Signals of three phases.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// Frequency, Hz.
    pub f: f64,
    /// Voltage and current of each phase, as if it were L1.
    pub phase: [(Vec<Partial>, Vec<Partial>); 3],
    /// Phase sequence L1 L3 L2.
    pub reversed: bool,
    /// Currents flow in two cycles of four.
    pub bursts: bool,
}

impl Signal {
    /// Changes all voltages by a factor.
    pub fn scale_voltage(&mut self, factor: f64) {
        for partial in self.phase.iter_mut().flat_map(|(u, _)| u) {
            partial.re *= factor;
            partial.im *= factor;
        }
    }

    /// True reactive power of the fundamental, var.
    pub fn reactive(&self) -> f64 {
        let first = |partials: &[Partial]| partials.iter().find(|p| p.order == 1).copied();
        let var = |(u, i): (Partial, Partial)| (u.im * i.re - u.re * i.im) / 2.0;
        self.phase.iter().filter_map(|(u, i)| first(u).zip(first(i))).map(var).sum()
    }
}

/// One sample of all channels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// At the sensors' outputs, V and A; the neutral conductor is not measured.
    pub sensed: [f64; CHANNELS],
    /// Power of each phase at the terminals, W.
    pub power: [f64; 3],
}

/// Produces a signal sample by sample.
#[derive(Clone, Debug)]
pub struct Generator {
    turns_per_sample: f64,
    rotations: Vec<Rotation>,
    delay_turns: [f64; CHANNELS],
    bursts: bool,
    n: u64,
}

/// One order: the phasor that turns, and the amplitudes of U1..U3 I1..I3 at the terminals and behind the sensors.
#[derive(Clone, Debug)]
struct Rotation {
    order: u32,
    step: (f64, f64),
    now: (f64, f64),
    terminals: [(f64, f64); 6],
    sensed: [(f64, f64); 6],
}

impl Generator {
    /// Begins a signal at `rate` samples per second through sensors with these delays, s, and a filter with this gain
    /// at a frequency relative to the rate.
    pub fn new(signal: &Signal, rate: f64, delay: &[f64; CHANNELS], filter: fn(f64) -> f64) -> Generator {
        let mut rotations: Vec<Rotation> = Vec::new();
        for (k, (u, i)) in signal.phase.iter().enumerate() {
            let place = if signal.reversed { (3 - k) % 3 } else { k };
            let angle = -TAU * place as f64 / 3.0;
            for (channel, p) in u.iter().map(|p| (k, p)).chain(i.iter().map(|p| (3 + k, p))) {
                let at = match rotations.iter().position(|r| r.order == p.order) {
                    Some(at) => at,
                    None => {
                        let (sin, cos) = (TAU * signal.f / rate * f64::from(p.order)).sin_cos();
                        let none = [(0.0, 0.0); 6];
                        let (step, now) = ((cos, sin), (1.0, 0.0));
                        rotations.push(Rotation { order: p.order, step, now, terminals: none, sensed: none });
                        rotations.len() - 1
                    }
                };
                let terminals = p.turned(angle);
                let sensed = p.turned(angle - TAU * signal.f * delay[channel]);
                rotations[at].terminals[channel] = (terminals.re, terminals.im);
                let gain = filter(signal.f / rate * f64::from(p.order));
                rotations[at].sensed[channel] = (sensed.re * gain, sensed.im * gain);
            }
        }
        let turns_per_sample = signal.f / rate;
        Generator { turns_per_sample, rotations, delay_turns: delay.map(|d| d * signal.f), bursts: signal.bursts, n: 0 }
    }

    /// The next sample.
    pub fn sample(&mut self) -> Sample {
        let turns = self.n as f64 * self.turns_per_sample;
        let (mut terminals, mut sensed) = ([0.0; 6], [0.0; 6]);
        for r in &mut self.rotations {
            if self.n.is_multiple_of(FRESH) {
                let (sin, cos) = (TAU * (turns * f64::from(r.order)).fract()).sin_cos();
                r.now = (cos, sin);
            }
            let (re, im) = r.now;
            for c in 0..6 {
                terminals[c] += r.terminals[c].0 * re - r.terminals[c].1 * im;
                sensed[c] += r.sensed[c].0 * re - r.sensed[c].1 * im;
            }
            r.now = (re * r.step.0 - im * r.step.1, re * r.step.1 + im * r.step.0);
        }
        if self.bursts {
            for k in 0..3 {
                // Switched where the phase's own current is zero.
                let own = turns - k as f64 / 3.0;
                let flows = |turns: f64| turns.rem_euclid(BURST_CYCLES.1) < BURST_CYCLES.0;
                terminals[3 + k] *= f64::from(u8::from(flows(own)));
                sensed[3 + k] *= f64::from(u8::from(flows(own - self.delay_turns[3 + k])));
            }
        }
        self.n += 1;
        let [a, b, c, d, e, f] = sensed;
        Sample { sensed: [a, b, c, d, e, f, 0.0], power: std::array::from_fn(|k| terminals[k] * terminals[3 + k]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balanced(f: f64, lag: f64) -> Signal {
        let phase = (vec![Partial::sine(1, 230.0, 0.0)], vec![Partial::sine(1, 10.0, lag)]);
        Signal { f, phase: [phase.clone(), phase.clone(), phase], reversed: false, bursts: false }
    }

    #[test]
    fn power_and_values_are_those_of_the_formula() {
        let lag = 60f64.to_radians();
        let delay = [0.0, 0.0, 0.0, 1e-6, 2e-6, 0.0, 0.0];
        let mut generator = Generator::new(&balanced(49.7, lag), 8000.0, &delay, |_| 1.0);
        for n in 0..20_000 {
            let sample = generator.sample();
            let t = f64::from(n) / 8000.0;
            for k in 0..3 {
                let x = TAU * (49.7 * t - k as f64 / 3.0);
                let i = 10.0 * SQRT_2 * (x - lag - TAU * 49.7 * delay[3 + k]).sin();
                assert!((sample.sensed[k] - 230.0 * SQRT_2 * x.sin()).abs() < 1e-7, "{n}");
                assert!((sample.sensed[3 + k] - i).abs() < 1e-8, "{n}");
            }
            assert!((sample.power.iter().sum::<f64>() - 3450.0).abs() < 1e-6);
        }
        assert!((balanced(50.0, lag).reactive() - 6900.0 * lag.sin()).abs() < 1e-9);
    }

    #[test]
    fn the_filter_takes_away_what_its_formula_says() {
        assert_eq!(sinc3(0.0), 1.0);
        assert!((sinc3(50.0 / 8000.0) - (1.0 - 192.8e-6)).abs() < 1e-7);
        assert!((sinc3(250.0 / 8000.0) - (1.0 - 4.81e-3)).abs() < 1e-5);
        let mut generator = Generator::new(&balanced(50.0, 0.0), 8000.0, &[0.0; CHANNELS], sinc3);
        let peak = (0..160).map(|_| generator.sample().sensed[3]).fold(0.0, f64::max);
        assert!((peak / (10.0 * SQRT_2) - sinc3(1.0 / 160.0)).abs() < 1e-9);
    }

    #[test]
    fn shaped_currents_have_their_known_fundamentals() {
        let half = shaped(1.0, |x| f64::from(u8::from(x.sin() > 0.0)));
        // Half-wave: direct component peak/π, fundamental peak/2.
        assert!((half[0].re - SQRT_2 / std::f64::consts::PI).abs() < 1e-6);
        assert!((half[1].im + SQRT_2 / 2.0).abs() < 1e-6 && half[1].re.abs() < 1e-6);
        // From 90°: in-phase part half, reactive part 1/π of the peak, no even orders.
        let fired = shaped(1.0, |x| f64::from(u8::from(x.tan() < 0.0)));
        assert!((fired[1].im + SQRT_2 / 2.0).abs() < 1e-6);
        assert!((fired[1].re + SQRT_2 / std::f64::consts::PI).abs() < 1e-6);
        assert!(fired[2].re.hypot(fired[2].im) < 1e-9);
    }

    #[test]
    fn reversing_swaps_the_second_and_the_third_phase() {
        let signal = Signal { reversed: true, ..balanced(50.0, 0.0) };
        let mut forward = Generator::new(&balanced(50.0, 0.0), 8000.0, &[0.0; CHANNELS], |_| 1.0);
        let mut back = Generator::new(&signal, 8000.0, &[0.0; CHANNELS], |_| 1.0);
        for _ in 0..200 {
            let (a, b) = (forward.sample().sensed, back.sample().sensed);
            for (x, y) in [(0, 0), (1, 2), (2, 1), (4, 5)] {
                assert!((a[x] - b[y]).abs() < 1e-9);
            }
        }
    }
}
