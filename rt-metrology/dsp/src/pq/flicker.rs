//! Flickermeter for one voltage (IEC 61000-4-15): the lamps of 230 V, 50 Hz and 120 V, 60 Hz.
//!
//! | block | does | here |
//! |---|---|---|
//! | 1 | relates the voltage to its slowly followed RMS value | half-cycle values, 27.3 s |
//! | 2 | squares | in integers, then 1000 values a second under a triangle |
//! | 3 | low-pass 35 Hz (42 Hz), high-pass 0.05 Hz, lamp and eye | five sections, bilinear |
//! | 4 | squares, smooths with 300 ms: Pinst | |
//! | 5 | classifies; Pst from levels exceeded for a share of ten minutes | 672 classes, 32 per octave |
//!
//! The triangle weakens what would fold onto the band (the products of harmonics around 1 kHz and its multiples) 10 000
//! times and costs 0.03 % at 8.8 Hz, which the scaling takes back. Levels are interpolated inside their class (2.2 %
//! wide), so a class adds less than 0.1 % to Pst.

use super::math::{PI, cbrt, const_cos, const_sin, const_sqrt, sqrt};

/// Values per second after block 2.
pub const RATE: u32 = 1000;
/// Classified values per second: the 300 ms of block 4 leave nothing faster than a few hertz.
pub const CLASSIFIED_RATE: u32 = 100;
/// Classes in an octave of Pinst.
const PER_OCTAVE: usize = 32;
/// Mantissa bits that number the classes of an octave.
const CLASS_BITS: u32 = 23 - PER_OCTAVE.ilog2();
/// Pinst from 2^-8 (Pst 0.045) to 2^13 (Pst 65); the standard's class F1 ends at 6400.
const LOWEST: u32 = (127 - 8) << 23;
/// Number of classes.
pub const CLASSES: usize = 21 * PER_OCTAVE;
/// Seconds after a start that are not classified: the high-pass (3.2 s) and the reference have to settle.
pub const SETTLE_S: u32 = 30;
/// Least time of a Pst, s: shorter intervals tell nothing about ten minutes.
pub const LEAST_S: u32 = 540;
/// Bytes of a [`Flicker`], a test holds it to this: classes of 16 bits and 35 numbers.
pub const FLICKER_BYTES: usize = 2 * CLASSES + 192;

/// Time constant of block 1, s.
const REFERENCE_S: f32 = 27.3;
/// Bits that a corrected sample loses before it is squared: squares of 24 bits, 32 · 32 of them, fit 64.
const DROPPED_BITS: u32 = 4;

/// The lamp that the response stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lamp {
    /// 230 V, 60 W, at 50 Hz.
    V230,
    /// 120 V, 60 W, at 60 Hz.
    V120,
}

/// Constants of blocks 3 and 4 for one lamp: k, λ, ω1 to ω4 (as frequencies, Hz), low-pass, and the sinusoidal change
/// at 8.8 Hz whose largest Pinst is 1 (table 1a).
struct Response {
    k: f64,
    lambda: f64,
    w: [f64; 4],
    low_pass: f64,
    threshold: f64,
}

const RESPONSE_230: Response =
    Response { k: 1.74802, lambda: 4.05981, w: [9.15494, 2.27979, 1.22535, 21.9], low_pass: 35.0, threshold: 0.002_50 };
const RESPONSE_120: Response = Response {
    k: 1.6357,
    lambda: 4.167_375,
    w: [9.077_169, 2.939_902, 1.394_468, 17.315_12],
    low_pass: 42.0,
    threshold: 0.003_21,
};

/// Sections of block 3: three of the low-pass, the high-pass, two of lamp and eye.
const SECTIONS: usize = 6;

/// `(b0 + b1 z⁻¹ + b2 z⁻²) / (1 + a1 z⁻¹ + a2 z⁻²)`.
#[derive(Clone, Copy, Debug)]
struct Section {
    b: [f32; 3],
    a: [f32; 2],
}

/// All coefficients of one lamp.
struct Coefficients {
    sections: [Section; SECTIONS],
    smooth: f32,
    scale: f32,
}

static V230: Coefficients = coefficients(&RESPONSE_230);
static V120: Coefficients = coefficients(&RESPONSE_120);

/// Bilinear transform of `(n0 + n1 s + n2 s²) / (d0 + d1 s + d2 s²)`, exact at `match_hz`.
const fn bilinear(n: [f64; 3], d: [f64; 3], match_hz: f64) -> ([f64; 3], [f64; 2]) {
    let half = PI * match_hz / RATE as f64;
    let c = 2.0 * PI * match_hz * const_cos(half) / const_sin(half);
    let at_one = d[0] + d[1] * c + d[2] * c * c;
    let b = [
        (n[0] + n[1] * c + n[2] * c * c) / at_one,
        2.0 * (n[0] - n[2] * c * c) / at_one,
        (n[0] - n[1] * c + n[2] * c * c) / at_one,
    ];
    let a = [2.0 * (d[0] - d[2] * c * c) / at_one, (d[0] - d[1] * c + d[2] * c * c) / at_one];
    (b, a)
}

const fn coefficients(r: &Response) -> Coefficients {
    const W: f64 = 2.0 * PI;
    let low = W * r.low_pass;
    let mut designed = [([0.0; 3], [0.0; 2]); SECTIONS];
    let mut k = 0;
    while k < 3 {
        // Butterworth: damping 2 sin((2k + 1)π/12).
        let damping = 2.0 * const_sin((2 * k + 1) as f64 * PI / 12.0);
        designed[k] = bilinear([1.0, 0.0, 0.0], [1.0, damping / low, 1.0 / (low * low)], r.low_pass);
        k += 1;
    }
    let high = 1.0 / (W * 0.05);
    designed[3] = bilinear([0.0, high, 0.0], [1.0, high, 0.0], 8.8);
    let [w1, w2, w3, w4] = [W * r.w[0], W * r.w[1], W * r.w[2], W * r.w[3]];
    designed[4] = bilinear([0.0, r.k * w1, 0.0], [w1 * w1, 2.0 * W * r.lambda, 1.0], 8.8);
    designed[5] = bilinear([1.0, 1.0 / w2, 0.0], [1.0, 1.0 / w3 + 1.0 / w4, 1.0 / (w3 * w4)], 8.8);

    // The gain at 8.8 Hz of all of it, and of the triangle of block 2 (the square of a sinc).
    let x = W * 8.8 / RATE as f64;
    let sinc = const_sin(x / 2.0) / (x / 2.0);
    let mut power = sinc * sinc * sinc * sinc;
    let mut sections = [Section { b: [0.0; 3], a: [0.0; 2] }; SECTIONS];
    let mut k = 0;
    while k < SECTIONS {
        let (b, a) = designed[k];
        power *= magnitude(b[0], b[1], b[2], x) / magnitude(1.0, a[0], a[1], x);
        sections[k] = Section { b: [b[0] as f32, b[1] as f32, b[2] as f32], a: [a[0] as f32, a[1] as f32] };
        k += 1;
    }
    // Amplitude threshold · gain; squared it is half of that with a ripple at 17.6 Hz that 300 ms leave.
    let ripple = 1.0 / const_sqrt(1.0 + (W * 17.6 * 0.3) * (W * 17.6 * 0.3));
    let largest = r.threshold * r.threshold * power / 2.0 * (1.0 + ripple);
    Coefficients { sections, smooth: (1.0 / (0.3 * RATE as f64 + 0.5)) as f32, scale: (1.0 / largest) as f32 }
}

/// `|c0 + c1 e^(−jx) + c2 e^(−2jx)|²`.
const fn magnitude(c0: f64, c1: f64, c2: f64, x: f64) -> f64 {
    let re = c0 + c1 * const_cos(x) + c2 * const_cos(2.0 * x);
    let im = c1 * const_sin(x) + c2 * const_sin(2.0 * x);
    re * re + im * im
}

/// Shares of the time, %, and what each level weighs in Pst² (IEC 61000-4-15 5.7.2, with its smoothed percentiles).
const LEVELS: [(f32, f32); 15] = [
    (0.1, 0.0314),
    (0.7, 0.0525 / 3.0),
    (1.0, 0.0525 / 3.0),
    (1.5, 0.0525 / 3.0),
    (2.2, 0.0657 / 3.0),
    (3.0, 0.0657 / 3.0),
    (4.0, 0.0657 / 3.0),
    (6.0, 0.28 / 5.0),
    (8.0, 0.28 / 5.0),
    (10.0, 0.28 / 5.0),
    (13.0, 0.28 / 5.0),
    (17.0, 0.28 / 5.0),
    (30.0, 0.08 / 3.0),
    (50.0, 0.08 / 3.0),
    (80.0, 0.08 / 3.0),
];

/// The flickermeter of one voltage.
#[derive(Clone, Debug)]
pub struct Flicker {
    lamp: Lamp,
    /// Samples per value of block 2, and those in the open one.
    ratio: u32,
    taken: u32,
    /// Weighted squares: rising side of the last value's samples, and both sides of the open one.
    risen: u64,
    rising: u64,
    falling: u64,
    /// Followed RMS value, corrected counts; 0 before the first half-cycle.
    reference: f32,
    /// Its inverse square, for squares of shortened samples.
    inverse: f32,
    state: [[f32; 2]; SECTIONS],
    smoothed: f32,
    largest: f32,
    settle: u32,
    until_class: u32,
    classified: u32,
    classes: [u16; CLASSES],
}

impl Default for Flicker {
    fn default() -> Flicker {
        Flicker::new()
    }
}

impl Flicker {
    /// Nothing seen, for 8 kS/s and 230 V.
    pub const fn new() -> Flicker {
        Flicker {
            lamp: Lamp::V230,
            ratio: 8,
            taken: 0,
            risen: 0,
            rising: 0,
            falling: 0,
            reference: 0.0,
            inverse: 0.0,
            state: [[0.0; 2]; SECTIONS],
            smoothed: 0.0,
            largest: 0.0,
            settle: SETTLE_S * RATE,
            until_class: RATE / CLASSIFIED_RATE,
            classified: 0,
            classes: [0; CLASSES],
        }
    }

    /// Begins anew, for a lamp and a rate of samples (8, 16 or 32 kS/s).
    pub fn restart(&mut self, lamp: Lamp, rate_hz: u32) {
        *self = Flicker { lamp, ratio: (rate_hz / RATE).clamp(1, 32), ..Flicker::new() };
    }

    /// The mean square of a half-cycle, corrected counts squared: block 1 follows it.
    pub fn half_cycle(&mut self, mean_square: u64, half_cycles_per_second: u32) {
        let rms = sqrt(mean_square as f32);
        if self.reference == 0.0 {
            self.reference = rms;
        } else {
            self.reference += (rms - self.reference) / (REFERENCE_S * half_cycles_per_second as f32 + 0.5);
        }
        // Without a voltage there is nothing to relate to, and no flicker.
        let square = self.reference * self.reference;
        const SHORTENED: f32 = (1 << (2 * DROPPED_BITS)) as f32;
        self.inverse = if self.reference >= 1.0 { SHORTENED / square } else { 0.0 };
    }

    /// Takes one corrected sample.
    #[inline]
    pub fn push(&mut self, y: i32) {
        let short = i64::from(y >> DROPPED_BITS);
        let square = (short * short) as u64;
        self.taken += 1;
        self.rising += square * u64::from(self.taken);
        self.falling += square * u64::from(self.ratio - self.taken);
        if self.taken >= self.ratio {
            let weighted = self.risen + self.falling;
            (self.risen, self.rising, self.falling, self.taken) = (self.rising, 0, 0, 0);
            if self.inverse > 0.0 {
                let ratio = self.ratio as f32;
                self.value(weighted as f32 / (ratio * ratio) * self.inverse - 1.0);
            }
        }
    }

    /// Blocks 3 to 5 for one value of the relative square, less 1.
    fn value(&mut self, relative: f32) {
        let coefficients = match self.lamp {
            Lamp::V230 => &V230,
            Lamp::V120 => &V120,
        };
        let mut x = relative;
        for (section, state) in coefficients.sections.iter().zip(&mut self.state) {
            let y = section.b[0] * x + state[0];
            state[0] = section.b[1] * x - section.a[0] * y + state[1];
            state[1] = section.b[2] * x - section.a[1] * y;
            x = y;
        }
        self.smoothed += (x * x - self.smoothed) * coefficients.smooth;
        if self.settle > 0 {
            self.settle -= 1;
            return;
        }
        let pinst = self.smoothed * coefficients.scale;
        self.largest = self.largest.max(pinst);
        self.until_class -= 1;
        if self.until_class == 0 {
            self.until_class = RATE / CLASSIFIED_RATE;
            // 16 bits hold 655 s; what an interval has beyond that (the clock was set back) is not classified.
            if self.classified < u32::from(u16::MAX) {
                self.classified += 1;
                if let Some(count) = self.classes.get_mut(class(pinst)) {
                    *count += 1;
                }
            }
        }
    }

    /// Largest instantaneous sensation since the last [`Flicker::pst`].
    pub fn largest(&self) -> f32 {
        self.largest
    }

    /// Ends an interval: its short-term severity, and all classes are empty again. `None` for less than
    /// [`LEAST_S`] of classified time.
    pub fn pst(&mut self) -> Option<f32> {
        let value = (self.classified >= LEAST_S * CLASSIFIED_RATE).then(|| self.severity());
        (self.classified, self.largest, self.classes) = (0, 0.0, [0; CLASSES]);
        value
    }

    /// As after ten minutes of a constant sensation.
    #[cfg(test)]
    pub(super) fn fill(&mut self, pinst: f32) {
        let count = 600 * CLASSIFIED_RATE as u16;
        (self.classified, self.classes[class(pinst)]) = (u32::from(count), count);
    }

    /// The formula of block 5 over what is classified so far.
    fn severity(&self) -> f32 {
        let mut sum = 0.0;
        let mut above = 0;
        let mut class = CLASSES;
        for (percent, weight) in LEVELS {
            let wanted = self.classified as f32 * percent / 100.0;
            while class > 0 && ((above + u32::from(self.classes[class - 1])) as f32) < wanted {
                class -= 1;
                above += u32::from(self.classes[class]);
            }
            if class == 0 {
                // Below the lowest class: no sensation.
                break;
            }
            let inside = f32::from(self.classes[class - 1]).max(1.0);
            let share = ((wanted - above as f32) / inside).clamp(0.0, 1.0);
            let (low, high) = (edge(class - 1), edge(class));
            sum += weight * (high - share * (high - low));
        }
        sqrt(sum)
    }
}

/// Class of a sensation.
fn class(pinst: f32) -> usize {
    if pinst < f32::from_bits(LOWEST) {
        return 0;
    }
    (((pinst.to_bits() - LOWEST) >> CLASS_BITS) as usize).min(CLASSES - 1)
}

/// Lower edge of a class; the lowest holds everything down to zero.
fn edge(class: usize) -> f32 {
    if class == 0 { 0.0 } else { f32::from_bits(LOWEST + ((class as u32) << CLASS_BITS)) }
}

/// Long-term severity of twelve short-term values: the cube root of the mean of the cubes.
pub fn plt(values: &[f32; 12]) -> f32 {
    cbrt(values.iter().map(|p| p * p * p).sum::<f32>() / 12.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{eprintln, vec::Vec};

    /// A voltage of `f` Hz whose amplitude follows `depth(t)` (relative change), for 30 s and ten minutes more.
    fn measure(lamp: Lamp, rate: u32, f: f64, depth: impl Fn(f64) -> f64, extra: &[(f64, f64)]) -> (f32, f32) {
        let mut flicker = Flicker::new();
        flicker.restart(lamp, rate);
        let half = rate as f64 / f / 2.0;
        let (mut sum, mut count, mut next) = (0_u64, 0_u64, half);
        let total = (f64::from(SETTLE_S) + 600.0) as u32 * rate;
        // Rotations instead of a sine per sample.
        let start = |&(hz, part): &(f64, f64)| {
            let w = 2.0 * PI * hz / f64::from(rate);
            ((1.0, 0.3), (w.cos(), w.sin()), part)
        };
        let mut tones: Vec<_> = [(f, 1.0)].iter().chain(extra).map(start).collect();
        for n in 0..total {
            let t = f64::from(n) / f64::from(rate);
            let mut wave = 0.0;
            for ((re, im), (c, s), part) in &mut tones {
                (*re, *im) = (*re * *c - *im * *s, *re * *s + *im * *c);
                wave += *im * *part;
            }
            let y = (72_000_000.0 * (1.0 + depth(t)) * wave) as i32;
            flicker.push(y);
            sum += (i64::from(y) * i64::from(y)) as u64 >> 8;
            count += 1;
            if f64::from(n) >= next {
                next += half;
                flicker.half_cycle((sum / count) << 8, (2.0 * f) as u32);
                (sum, count) = (0, 0);
            }
        }
        let largest = flicker.largest();
        (flicker.pst().expect("ten minutes"), largest)
    }

    fn rectangular(cpm: f64, percent: f64) -> impl Fn(f64) -> f64 {
        move |t| if (t * cpm / 60.0) as u64 & 1 == 0 { percent / 200.0 } else { -percent / 200.0 }
    }

    #[test]
    fn iec_61000_4_15_table_5_rectangular_changes_give_pst_1_at_230_v() {
        for (cpm, percent) in [(1.0, 2.715), (2.0, 2.191), (7.0, 1.450), (39.0, 0.894), (110.0, 0.722), (1620.0, 0.407)]
        {
            let (pst, _) = measure(Lamp::V230, 8000, 50.0, rectangular(cpm, percent), &[]);
            eprintln!("230 V, {cpm} changes a minute: Pst {pst:.4}");
            assert!((pst - 1.0).abs() < 0.01, "{cpm}: {pst}");
        }
    }

    #[test]
    fn iec_61000_4_15_table_5_rectangular_changes_give_pst_1_at_120_v() {
        for (cpm, percent) in [(1.0, 3.166), (2.0, 2.568), (7.0, 1.695), (39.0, 1.044), (110.0, 0.841), (1620.0, 0.547)]
        {
            let (pst, _) = measure(Lamp::V120, 8000, 60.0, rectangular(cpm, percent), &[]);
            eprintln!("120 V, {cpm} changes a minute: Pst {pst:.4}");
            assert!((pst - 1.0).abs() < 0.01, "{cpm}: {pst}");
        }
    }

    #[test]
    fn iec_61000_4_15_table_1_a_sinusoidal_threshold_gives_pinst_1() {
        for (lamp, f, points) in [
            (Lamp::V230, 50.0, [(0.5, 2.325), (4.0, 0.500), (8.8, 0.250), (18.0, 0.584), (25.0, 1.042)].as_slice()),
            (Lamp::V120, 60.0, [(8.8, 0.321)].as_slice()),
        ] {
            for &(hz, percent) in points {
                let wave = move |t: f64| percent / 200.0 * (2.0 * PI * hz * t).sin();
                let (_, largest) = measure(lamp, 8000, f, wave, &[]);
                eprintln!("{lamp:?} {hz} Hz: Pinst {largest:.4}");
                assert!((largest - 1.0).abs() < 0.05, "{lamp:?} {hz} {largest}");
            }
        }
    }

    #[test]
    fn severity_is_linear_in_the_change_and_the_same_at_every_rate() {
        let (once, _) = measure(Lamp::V230, 8000, 50.0, rectangular(39.0, 0.894), &[]);
        let (three, _) = measure(Lamp::V230, 16_000, 50.0, rectangular(39.0, 3.0 * 0.894), &[]);
        assert!((three / once - 3.0).abs() < 0.02, "{once} {three}");
        let (fast, _) = measure(Lamp::V230, 32_000, 50.0, rectangular(39.0, 0.894), &[]);
        assert!((fast - once).abs() < 0.003, "{once} {fast}");
    }

    #[test]
    fn a_steady_voltage_with_harmonics_does_not_flicker() {
        // 49.5 Hz: products of the 19th and 21st with the fundamental lie at 990 Hz.
        let extra = [(3.0 * 49.5, 0.05), (5.0 * 49.5, 0.06), (19.0 * 49.5, 0.015), (21.0 * 49.5, 0.015)];
        let (pst, _) = measure(Lamp::V230, 8000, 49.5, |_| 0.0, &extra);
        assert!(pst < 0.05, "{pst}");
    }

    #[test]
    fn iec_61000_4_15_5_7_3_long_term_severity_is_a_cubic_mean() {
        assert!((plt(&[0.8; 12]) - 0.8).abs() < 1e-6);
        let mut values = [0.0; 12];
        values[3] = 2.0;
        assert!((plt(&values) - 0.873_58).abs() < 1e-4);
    }

    #[test]
    fn a_short_interval_has_no_severity_and_size() {
        let mut flicker = Flicker::new();
        flicker.restart(Lamp::V230, 8000);
        assert_eq!(flicker.pst(), None);
        assert!(size_of::<Flicker>() <= FLICKER_BYTES, "{}", size_of::<Flicker>());
        assert_eq!((class(0.0), class(1e9), class(f32::from_bits(LOWEST))), (0, CLASSES - 1, 0));
        for k in 1..CLASSES {
            assert_eq!((class(edge(k)), class(edge(k) * 0.9999)), (k, k - 1));
        }
    }
}
