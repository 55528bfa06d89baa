//! From window sums to quantities, and from windows to the values of a second.
//!
//! Quantities are kept as means of products of corrected samples (Q8, so one unit of a mean is 2^-8 of a squared
//! corrected count) until they are shown; only [`Aggregate::values`] rounds to mV, µA, mW.

use crate::design::{CHANNELS, FULL_SCALE_BITS, PHASES, POSITION_BITS, RATE_MAX_HZ};
use crate::nco::{angle, cos_sin_q30, millidegrees};
use crate::plausible::{Symmetry, swapped};
use crate::products::Products;
use crate::totals::{Flow, total_flow};
use crate::wide;
use metrology_link::payload::{Calibration, Channel, MeterConfig, Method, PhaseSecond, Second, Topology, Valid};

/// Bits of fraction of the means.
const MEAN_BITS: u32 = 8;

/// What turns means into shown values. Fixed by configuration and calibration.
#[derive(Clone, Debug)]
pub struct Scale {
    full_scale: [u32; CHANNELS],
    /// `U·I` of the phases, nW at full scale.
    power: u64,
    method: Method,
    topology: Topology,
    rate_hz: u32,
    channels: u8,
    /// Phasor (half an amplitude, Q28) of the voltage below which nothing is said about the voltages' order.
    least_voltage: i64,
    /// By how much each voltage lags the first by calibration, ns.
    lag_ns: [i32; PHASES],
}

impl Scale {
    /// Takes what it needs from a checked configuration and calibration.
    pub fn new(config: &MeterConfig, calibration: &Calibration) -> Scale {
        let (u, i) = (config.u_full_scale_mv, config.i_full_scale_ua);
        Scale {
            full_scale: [u, u, u, i, i, i, config.i_n_full_scale_ua],
            power: u64::from(u) * u64::from(i),
            method: config.method,
            topology: config.topology,
            least_voltage: least_voltage(config),
            rate_hz: config.rate_hz,
            channels: crate::measured_channels(config),
            lag_ns: core::array::from_fn(|k| calibration.channel[k].phase_ns - calibration.channel[0].phase_ns),
        }
    }

    /// Whether the channel is measured.
    pub fn has(&self, channel: usize) -> bool {
        self.channels & (1 << channel) != 0
    }

    /// A mean of corrected samples (Q8) in mV or µA of the channel.
    pub fn direct(&self, channel: usize, mean: i128) -> i32 {
        let value = (mean * i128::from(self.full_scale[channel])).rounded_shift(FULL_SCALE_BITS + MEAN_BITS);
        value.clamp(i128::from(i32::MIN), i128::from(i32::MAX)) as i32
    }

    /// Whether minus the sum of the phase currents is what the neutral carries, and all of them are measured.
    fn has_computed_neutral(&self) -> bool {
        self.topology == Topology::ThreePhase && (PHASES..2 * PHASES).all(|k| self.has(k))
    }

    /// Channels that are measured, a bit each.
    pub fn channels(&self) -> u8 {
        self.channels
    }

    /// Root of a mean square (Q8), in mV or µA of the channel.
    pub fn rms(&self, channel: usize, mean_square: u128) -> u32 {
        // At most 2^(64 + 40): the root has 24 bits of fraction and at most 52 bits.
        const ROOT_BITS: u32 = 24;
        let root = wide::root(mean_square << (2 * ROOT_BITS - MEAN_BITS));
        saturate((root * u128::from(self.full_scale[channel])).rounded_shift(FULL_SCALE_BITS + ROOT_BITS))
    }

    /// A mean power (Q8) in mW, mvar or mVA.
    pub fn milliwatts(&self, mean: i128) -> i64 {
        // 2^66 (three phases) · 2^53 fits; full scale is 2^54, and U·I is in nW.
        const NW_TO_MW: i128 = 1_000_000;
        let nanowatts = (mean * i128::from(self.power)).rounded_shift(2 * FULL_SCALE_BITS + MEAN_BITS);
        let half = if nanowatts < 0 { -NW_TO_MW / 2 } else { NW_TO_MW / 2 };
        wide::quotient(nanowatts + half, NW_TO_MW as u64) as i64
    }
}

/// Mean of a sum over a length in Q24 samples, as Q8.
pub fn mean_q8(sum: i128, length: u64) -> i128 {
    wide::quotient(sum << (POSITION_BITS + MEAN_BITS), length)
}

/// The quantities of one window.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantities {
    /// Length, Q24 samples.
    pub length: u64,
    /// Mean squares, Q8.
    pub square: [u128; CHANNELS],
    /// Power of the phases, Q8: true active, fundamental reactive, RMS product. `None` without voltage and current.
    pub flow: [Option<Flow>; PHASES],
    /// Fundamental active power, Q8.
    pub fundamental: [i128; PHASES],
    /// Voltage phasor times the conjugate of the first, for the angles.
    pub cross: [(i128, i128); PHASES],
    /// Frequency, µHz, when the window lies between zero crossings of the tracked frequency.
    pub f_uhz: Option<u32>,
    /// There is a voltage, and its frequency is outside the tracker's range.
    pub out_of_range: bool,
    /// Phases that register energy.
    pub registering: [bool; PHASES],
    /// Means of the samples, Q8.
    pub mean: [i128; CHANNELS],
    /// Mean square of the currents' sum, Q8.
    pub neutral: u128,
    /// What the voltages' phasors tell.
    pub symmetry: Symmetry,
}

impl Quantities {
    /// Whether the currents look as if they belonged to other phases; see [`swapped`].
    pub fn swapped(&self, scale: &Scale) -> bool {
        let lag = |k: usize| match (&self.flow[k], self.registering[k]) {
            (Some(flow), true) => Some(angle(self.fundamental[k], flow.q)),
            _ => None,
        };
        swapped(scale.topology, core::array::from_fn(lag))
    }

    /// From the sums of a window of `length` (Q24 samples) that was demodulated with `word` (2^-32 turns per sample)
    /// beginning at phase zero, and holds `cycles` whole periods if it is aligned to them.
    pub fn new(sums: &Products<i128>, length: u64, word: u32, cycles: Option<u32>, scale: &Scale) -> Quantities {
        let mut out = Quantities { length, ..Quantities::default() };
        for k in 0..CHANNELS {
            out.square[k] = mean_q8(sums.square[k], length).max(0) as u128;
            out.mean[k] = mean_q8(sums.plain[k], length);
        }
        // The sum was taken in quarters.
        out.neutral = (mean_q8(sums.neutral, length).max(0) as u128) << 4;
        let phasors = phasors(sums, length, word, cycles);
        for k in 0..PHASES {
            let (u, i) = (phasors[k], phasors[k + PHASES]);
            let (active, reactive) = conjugate_product(u, i);
            // Phasors are half an amplitude in Q28, so the power is 2·U·I*; from Q56 to Q8.
            out.fundamental[k] = active.rounded_shift(56 - MEAN_BITS - 1);
            if scale.has(k) && scale.has(k + PHASES) {
                out.flow[k] = Some(Flow {
                    p: mean_q8(sums.power[k], length),
                    q: reactive.rounded_shift(56 - MEAN_BITS - 1),
                    // √(2^56 · 2^64) in Q4: the voltage's square without its fraction keeps the product below 2^120.
                    s: wide::root((out.square[k] >> MEAN_BITS) * out.square[k + PHASES]) << (MEAN_BITS / 2),
                });
            }
            // Q56 to Q28, so that sums of five windows stay far from the end.
            let (re, im) = conjugate_product(u, phasors[0]);
            out.cross[k] = (re >> 28, im >> 28);
        }
        let voltages = core::array::from_fn(|k| {
            if scale.has(k) { advanced(phasors[k], scale.lag_ns[k], word, scale.rate_hz) } else { (0, 0) }
        });
        out.symmetry = Symmetry::new(scale.topology, voltages, scale.channels, scale.least_voltage);
        if let Some(cycles) = cycles {
            // cycles · rate / samples, in µHz; 12 · 32000 · 10^6 · 2^24 < 2^63.
            let numerator = (u64::from(cycles) * u64::from(scale.rate_hz) * 1_000_000) << POSITION_BITS;
            out.f_uhz = u32::try_from((numerator + length / 2) / length).ok();
        }
        out
    }
}

/// A phasor with the lag of its channel taken out, at `word` (2^-32 turns per sample).
fn advanced(phasor: (i64, i64), lag_ns: i32, word: u32, rate_hz: u32) -> (i64, i64) {
    // 200 000 ns · 2^15 · 2^30 < 2^63: turns in 2^-32.
    let turns = (i64::from(lag_ns) * i64::from(rate_hz) * i64::from(word >> 2) / 1_000_000_000) << 2;
    let (c, s) = cos_sin_q30(turns as u32);
    let (c, s) = (i128::from(c), i128::from(s));
    let (re, im) = (i128::from(phasor.0), i128::from(phasor.1));
    ((re * c - im * s).rounded_shift(30) as i64, (re * s + im * c).rounded_shift(30) as i64)
}

/// The phasor of 2 % of the nominal voltage.
fn least_voltage(config: &MeterConfig) -> i64 {
    let nominal = (i64::from(config.u_nominal_mv) << FULL_SCALE_BITS) / i64::from(config.u_full_scale_mv);
    // 2 % · √2 / 2 = 1/71.
    (nominal / 71) << 28
}

/// `a · conj(b)`.
fn conjugate_product(a: (i64, i64), b: (i64, i64)) -> (i128, i128) {
    let mul = |x: i64, y: i64| i128::from(x) * i128::from(y);
    (mul(a.0, b.0) + mul(a.1, b.1), mul(a.1, b.0) - mul(a.0, b.1))
}

/// The fundamental phasors of all channels (half of the amplitude, Q28), referred to the middle of the window.
///
/// The oscillator ran at the frequency of the window before. If the true one turned by δ turns more or less over the
/// window of c cycles, then, seen from the middle, demodulation gives `a·X + b·X*` with
/// `a = sin πδ / πδ` and `b = a · δ / (2c + δ)`, both real: so the real part is too large by `a + b` and the
/// imaginary by `a − b`, and dividing by them is exact for a steady signal. Without it, 10 mHz would bring 100 ppm of
/// P into Q.
fn phasors(sums: &Products<i128>, length: u64, word: u32, cycles: Option<u32>) -> [(i64, i64); CHANNELS] {
    // Turns of the oscillator over the window, Q32: 2^38 samples Q24 · 2^27 per sample = 2^65.
    let turns = ((u128::from(length) * u128::from(word)) >> POSITION_BITS) as i64;
    let middle = (turns / 2) as u32;
    let (re_gain, im_gain) = match cycles {
        Some(cycles) => mismatch_gains(turns - (i64::from(cycles) << 32), cycles),
        None => (1 << 30, 1 << 30),
    };
    let (cm, sm) = cos_sin_q30(middle);
    let (cm, sm) = (i128::from(cm), i128::from(sm));
    core::array::from_fn(|k| {
        let c = wide::quotient(sums.cosine[k] << POSITION_BITS, length);
        let s = wide::quotient(sums.sine[k] << POSITION_BITS, length);
        // (c − js) · (cos m + j sin m)
        let re = (c * cm + s * sm).rounded_shift(30);
        let im = (c * sm - s * cm).rounded_shift(30);
        ((re * re_gain).rounded_shift(30) as i64, (im * im_gain).rounded_shift(30) as i64)
    })
}

/// `1/(a + b)` and `1/(a − b)` of [`phasors`] in Q30, for `delta` in Q32 turns.
fn mismatch_gains(delta: i64, cycles: u32) -> (i128, i128) {
    const ONE: i128 = 1 << 30;
    // π² in Q30.
    const PI_SQUARED: i128 = 10_597_373_913;
    // More than a quarter of a turn cannot come from a tracked frequency; then the plain window is the better answer.
    let delta = i128::from(delta >> 2);
    if delta.abs() > ONE / 4 {
        return (ONE, ONE);
    }
    let z = (((delta * delta) >> 30) * PI_SQUARED) >> 30;
    // 1/a = 1 + z/6 + 7z²/360 + …; at a quarter turn (z = 0.62) the next term is 5e-4, at 10 mHz it is nothing.
    let inverse = ONE + z / 6 + ((z * z) >> 30) * 7 / 360;
    let ratio = (delta << 30) / (((2 * i128::from(cycles)) << 30) + delta);
    ((inverse << 30) / (ONE + ratio), (inverse << 30) / (ONE - ratio))
}

/// Quantities of several windows, each weighted by its length.
#[derive(Clone, Copy, Debug, Default)]
pub struct Aggregate {
    /// Windows in it.
    pub windows: u32,
    length: u64,
    square: [u128; CHANNELS],
    flow: [Flow; PHASES],
    fundamental: [i128; PHASES],
    cross: [(i128, i128); PHASES],
    total: Flow,
    f_uhz: u64,
    f_windows: u32,
    out_of_range: bool,
    registering: [u32; PHASES],
    mean: [i128; CHANNELS],
    neutral: u128,
    /// Sums of squares of the windows that have an unbalance, ppm², and their number.
    u2_squares: u64,
    u2_windows: u32,
    u0_squares: u64,
    u0_windows: u32,
}

impl Aggregate {
    /// Adds a window.
    pub fn add(&mut self, q: &Quantities, scale: &Scale) {
        let weight = i128::from(q.length);
        let weigh = |sum: &mut Flow, flow: &Flow| {
            sum.p += flow.p * weight;
            sum.q += flow.q * weight;
            sum.s += flow.s * u128::from(q.length);
        };
        self.windows += 1;
        self.length += q.length;
        for (sum, square) in self.square.iter_mut().zip(q.square) {
            *sum += square * u128::from(q.length);
        }
        for (sum, mean) in self.mean.iter_mut().zip(q.mean) {
            *sum += mean * weight;
        }
        self.neutral += q.neutral * u128::from(q.length);
        let square = |ppm: u32| u64::from(ppm).pow(2);
        if let Some(ppm) = q.symmetry.u2_ppm {
            self.u2_squares += square(ppm);
            self.u2_windows += 1;
        }
        if let Some(ppm) = q.symmetry.u0_ppm {
            self.u0_squares += square(ppm);
            self.u0_windows += 1;
        }
        for k in 0..PHASES {
            weigh(&mut self.flow[k], &q.flow[k].unwrap_or_default());
            self.fundamental[k] += q.fundamental[k] * weight;
            self.cross[k].0 += q.cross[k].0;
            self.cross[k].1 += q.cross[k].1;
            self.registering[k] += u32::from(q.registering[k]);
        }
        weigh(&mut self.total, &total_flow(scale.method, &q.flow));
        if let Some(f) = q.f_uhz {
            self.f_uhz += u64::from(f);
            self.f_windows += 1;
        }
        self.out_of_range |= q.out_of_range;
    }

    /// The values over all windows added; `number`, `t_samples` and temperature are for the caller to fill.
    ///
    /// The frequency is the mean of the windows that have one. A power factor exists when the phase registered in
    /// every window (the total's: when any phase did in any); the angle `phi` is zero without it.
    pub fn values(&self, scale: &Scale) -> Second {
        let mut out = Second::default();
        if self.length == 0 {
            return out;
        }
        let mut valid = 0;
        let rms = |k: usize| scale.rms(k, wide::divide(self.square[k], self.length).0);
        let mean = |sum: i128| scale.milliwatts(wide::quotient(sum, self.length));
        let direct = |k: usize| scale.direct(k, wide::quotient(self.mean[k], self.length));
        for k in 0..PHASES {
            let phase = &mut out.phase[k];
            if scale.has(k) {
                valid |= Valid::U << k;
                phase.u_mv = rms(k);
                phase.u_dc_mv = direct(k);
                phase.angle_mdeg = self.voltage_angle(k, scale);
            }
            if scale.has(k + PHASES) {
                valid |= Valid::I << k;
                phase.i_ua = rms(k + PHASES);
                phase.i_dc_ua = direct(k + PHASES);
            }
            self.fill_power(phase, k, &mean);
            if self.registering[k] == self.windows {
                valid |= Valid::PF << k;
                phase.pf_ppm = power_factor_ppm(&self.flow[k]);
                phase.phi_mdeg = millidegrees(angle(self.fundamental[k], self.flow[k].q));
            }
        }
        if scale.has(Channel::In as usize) {
            valid |= Valid::I_N;
            out.i_n_ua = rms(Channel::In as usize);
        }
        if scale.has_computed_neutral() {
            valid |= Valid::I_N_COMPUTED;
            out.i_n_computed_ua = scale.rms(Channel::I1 as usize, wide::divide(self.neutral, self.length).0);
        }
        let root = |squares: u64, windows: u32| squares.checked_div(u64::from(windows)).map(|mean| mean.isqrt() as u32);
        if let Some(ppm) = root(self.u2_squares, self.u2_windows) {
            valid |= Valid::U2;
            out.u2_ppm = ppm;
        }
        if let Some(ppm) = root(self.u0_squares, self.u0_windows) {
            valid |= Valid::U0;
            out.u0_ppm = ppm;
        }
        out.p_mw = mean(self.total.p);
        out.q_mvar = mean(self.total.q);
        out.s_mva = mean(self.total.s as i128).unsigned_abs();
        if self.registering.iter().any(|&n| n > 0) {
            valid |= Valid::PF_TOTAL;
            out.pf_ppm = power_factor_ppm(&self.total);
        }
        if self.f_windows > 0 {
            valid |= Valid::F;
            out.f_uhz = (self.f_uhz / u64::from(self.f_windows)) as u32;
        } else if self.out_of_range {
            valid |= Valid::F_OUT_OF_RANGE;
        }
        out.valid = Valid(valid);
        out
    }

    fn fill_power(&self, phase: &mut PhaseSecond, k: usize, mean: &impl Fn(i128) -> i64) {
        let limit = |v: i64| v.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
        phase.p_mw = limit(mean(self.flow[k].p));
        phase.q_mvar = limit(mean(self.flow[k].q));
        phase.s_mva = u32::try_from(mean(self.flow[k].s as i128)).unwrap_or(u32::MAX);
        phase.p1_mw = limit(mean(self.fundamental[k]));
    }

    /// Angle of voltage `k` against the first, with the calibrated lags taken out.
    fn voltage_angle(&self, k: usize, scale: &Scale) -> i32 {
        let measured = i64::from(millidegrees(angle(self.cross[k].0, self.cross[k].1)));
        let f_uhz = self.f_uhz.checked_div(u64::from(self.f_windows)).unwrap_or(0) as i64;
        // lag · f turns: ns · µHz = 1e-15; · 360 000 millidegrees. 2·10^5 · 7·10^7 · 3.6·10^5 < 2^63.
        let correction = i64::from(scale.lag_ns[k]) * f_uhz / 1_000_000 * 360_000 / 1_000_000_000;
        let turn = measured + correction;
        (match turn {
            ..=-180_001 => turn + 360_000,
            180_001.. => turn - 360_000,
            _ => turn,
        }) as i32
    }
}

/// P / S with the sign of P, ppm.
pub fn power_factor_ppm(flow: &Flow) -> i32 {
    if flow.s == 0 {
        return 0;
    }
    // Weighted by the length of a second, the sums reach 2^108; 20 bits go for the million.
    let shift = 107_u32.saturating_sub(flow.s.leading_zeros().min(flow.p.unsigned_abs().leading_zeros())).min(40);
    let (p, s) = (flow.p >> shift, (flow.s >> shift) as i128);
    (p * 1_000_000 / s.max(1)).clamp(-1_000_000, 1_000_000) as i32
}

/// Shift right, rounding to the nearest.
trait RoundedShift {
    fn rounded_shift(self, bits: u32) -> Self;
}

impl RoundedShift for i128 {
    fn rounded_shift(self, bits: u32) -> i128 {
        (self + (1 << (bits - 1))) >> bits
    }
}

impl RoundedShift for u128 {
    fn rounded_shift(self, bits: u32) -> u128 {
        (self + (1 << (bits - 1))) >> bits
    }
}

fn saturate(v: u128) -> u32 {
    u32::try_from(v).unwrap_or(u32::MAX)
}

const _: () = assert!(RATE_MAX_HZ as u64 * 12 * 1_000_000 < 1 << (63 - POSITION_BITS));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mismatch_gains_follow_the_sinc() {
        for delta in [-0.2_f64, -0.01, 0.0, 1e-6, 0.1, 0.24] {
            let (re, im) = mismatch_gains((delta * 4_294_967_296.0) as i64, 10);
            let x = core::f64::consts::PI * delta;
            let a = if x == 0.0 { 1.0 } else { x.sin() / x };
            let b = a * delta / (20.0 + delta);
            let scale = f64::from(1 << 30);
            let tolerance = 1e-7 + 0.25 * x.powi(6) / 42.0;
            assert!((re as f64 / scale - 1.0 / (a + b)).abs() < tolerance, "{delta}");
            assert!((im as f64 / scale - 1.0 / (a - b)).abs() < tolerance, "{delta}");
        }
    }

    #[test]
    fn power_factor_keeps_its_sign_at_every_size() {
        for size in [4_i128, 1 << 40, 1 << 60, 1 << 100] {
            let flow = Flow { p: -size / 2, q: 0, s: size as u128 };
            assert_eq!(power_factor_ppm(&flow), -500_000);
        }
        assert_eq!(power_factor_ppm(&Flow { p: 5, q: 0, s: 0 }), 0);
    }
}
