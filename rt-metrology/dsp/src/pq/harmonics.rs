//! Harmonics and interharmonics of one window (IEC 61000-4-7).
//!
//! A window holds 10 periods (12 at 60 Hz) exactly, so bin `k` of its spectrum stands at `k/10` (`k/12`) of the
//! fundamental, about 5 Hz apart, and order `h` is bin `10 h` (`12 h`) without leakage. For each order up to 50:
//!
//! * the line itself, as a phasor;
//! * the subgroup, line and both neighbours: what IEC 61000-4-30 5.8 asks for, and what distortion is made of;
//! * the group, everything to half-way to the next orders, half of the power of a bin in the middle;
//! * the centred interharmonic subgroup above it, all bins between two orders but those next to either (5.9).
//!
//! All are RMS values. Values exist for whole windows only.

use super::fft::{Block, POINTS, bin};
use super::math::{Complex, sqrt};

/// Highest order.
pub const ORDERS: usize = 50;
/// Highest order in a distortion (IEC 61000-4-30 5.8).
pub const THD_ORDERS: usize = 40;
/// Bytes of a [`Harmonics`], a test holds it to this.
pub const HARMONICS_BYTES: usize = 8 * (ORDERS + 1) + 3 * 4 * (ORDERS + 1) + 20;

const SQRT_2: f32 = core::f32::consts::SQRT_2;

/// The spectrum of one channel, in its unit (V or A). Index 0 is unused but for the interharmonics below the fundamental.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Harmonics {
    /// Periods of the fundamental in the window, 10 or 12.
    pub cycles: usize,
    /// Direct component.
    pub dc: f32,
    /// Phasors of the lines, RMS, referred to the window's begin.
    pub line: [Complex; ORDERS + 1],
    /// Subgroups.
    pub subgroup: [f32; ORDERS + 1],
    /// Groups.
    pub group: [f32; ORDERS + 1],
    /// Centred interharmonic subgroups between this order and the next.
    pub inter: [f32; ORDERS + 1],
    /// Mains signalling voltage, when it is watched (see [`signalling`]).
    pub signalling: Option<f32>,
}

impl Harmonics {
    /// No spectrum.
    pub const NONE: Harmonics = Harmonics {
        cycles: 0,
        dc: 0.0,
        line: [Complex::ZERO; ORDERS + 1],
        subgroup: [0.0; ORDERS + 1],
        group: [0.0; ORDERS + 1],
        inter: [0.0; ORDERS + 1],
        signalling: None,
    };

    /// From a transformed window of `cycles` periods. `unit` is the value of one unit of its points; `response` the
    /// factor by which each order is to be corrected.
    pub fn new(x: &Block, cycles: usize, unit: f32, response: impl Fn(usize) -> Complex) -> Harmonics {
        let mut out = Harmonics { cycles, dc: bin(x, 0).re * unit / POINTS as f32, ..Harmonics::NONE };
        let scale = unit * SQRT_2 / POINTS as f32;
        let power = |k: usize| bin(x, k).norm();
        let half = cycles / 2;
        let mut inter = band(2, cycles - 1, &power);
        for h in 1..=ORDERS {
            let k = h * cycles;
            let correction = response(h);
            let gain = scale * correction.abs();
            out.inter[h - 1] = sqrt(inter) * gain;
            out.line[h] = (bin(x, k) * correction).scale(scale);
            let close = band(k - 1, k + 2, &power);
            out.subgroup[h] = sqrt(close) * gain;
            let edges = (power(k - half) + power(k + half)) / 2.0;
            let wide = band(k - half + 1, k - 1, &power) + close + band(k + 2, k + half, &power);
            out.group[h] = sqrt(wide + edges) * gain;
            inter = band(k + 2, k + cycles - 1, &power);
            out.inter[h] = sqrt(inter) * gain;
        }
        out
    }

    /// Total distortion by subgroups (THDS of IEC 61000-4-7), orders 2 to 40, relative to the fundamental.
    /// `None` when the fundamental is below `floor`: a ratio to nothing says nothing.
    pub fn thd(&self, floor: f32) -> Option<f32> {
        distortion(&self.subgroup, floor)
    }

    /// Total distortion by groups (THDG of IEC 61000-4-7).
    pub fn thd_groups(&self, floor: f32) -> Option<f32> {
        distortion(&self.group, floor)
    }

    /// Total distortion by lines (THD of IEC 61000-4-7).
    pub fn thd_lines(&self, floor: f32) -> Option<f32> {
        distortion(&self.line.map(Complex::abs), floor)
    }
}

/// Power of the bins `from` to `to`, the latter not included.
fn band(from: usize, to: usize, power: &impl Fn(usize) -> f32) -> f32 {
    (from..to).map(power).sum()
}

fn distortion(values: &[f32; ORDERS + 1], floor: f32) -> Option<f32> {
    let fundamental = values[1];
    let others: f32 = values[2..=THD_ORDERS].iter().map(|v| v * v).sum();
    (fundamental > 0.0 && fundamental >= floor).then(|| sqrt(others) / fundamental)
}

/// Mains signalling voltage (IEC 61000-4-30 5.10): root of the squares of the four bins nearest to `ratio` times the
/// fundamental, of a transformed window. `None` beyond the spectrum.
pub fn signalling(x: &Block, cycles: usize, unit: f32, ratio: f32) -> Option<f32> {
    let below = (ratio * cycles as f32) as usize;
    let inside = below >= 1 && below + 2 < POINTS / 2;
    inside.then(|| sqrt(band(below - 1, below + 3, &|k| bin(x, k).norm())) * unit * SQRT_2 / POINTS as f32)
}

/// Which way the power of each order flows, in one phase.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HarmonicPower {
    /// Orders (a bit each) whose power flows from the grid into the installation.
    pub imported: u64,
    /// Orders whose power flows back into the grid: the installation is their source.
    pub exported: u64,
    /// Fundamental active power, W.
    pub fundamental: f32,
    /// Sum of the active powers of orders 2 to 50, W.
    pub harmonics: f32,
}

impl HarmonicPower {
    /// From the lines of a voltage and its current. An order whose voltage and current are not both above `u_floor` and
    /// `i_floor` (RMS), or whose power is below 1 % of its apparent power, has no direction.
    pub fn new(u: &[Complex; ORDERS + 1], i: &[Complex; ORDERS + 1], u_floor: f32, i_floor: f32) -> HarmonicPower {
        let mut out = HarmonicPower::default();
        for h in 1..=ORDERS {
            let (u, i) = (u[h], i[h]);
            let p = (u * i.conj()).re;
            if h == 1 {
                out.fundamental = p;
            } else {
                out.harmonics += p;
            }
            let seen = u.norm() >= u_floor * u_floor && i.norm() >= i_floor * i_floor;
            if !seen || p * p < 1e-4 * u.norm() * i.norm() {
                continue;
            }
            if p > 0.0 {
                out.imported |= 1 << h;
            } else {
                out.exported |= 1 << h;
            }
        }
        out
    }
}

const _: () = assert!(ORDERS * 12 + 12 < POINTS / 2, "the last interharmonic subgroup lies inside the spectrum");

#[cfg(test)]
mod tests {
    use super::super::fft::{PASSES, pass};
    use super::*;
    use core::f64::consts::TAU;

    /// Lines at `bin` (not necessarily whole) of RMS value 1 each.
    fn spectrum(cycles: usize, lines: &[(f64, f64)]) -> Harmonics {
        let mut x = [0.0; POINTS];
        for (n, x) in x.iter_mut().enumerate() {
            let t = n as f64 / POINTS as f64;
            *x = lines.iter().map(|(k, rms)| rms * f64::sqrt(2.0) * (TAU * k * t + 0.3).sin()).sum::<f64>() as f32;
        }
        for number in 0..PASSES {
            pass(&mut x, number);
        }
        Harmonics::new(&x, cycles, 1.0, |_| Complex::new(1.0, 0.0))
    }

    fn near(a: f32, b: f64) -> bool {
        (f64::from(a) - b).abs() < 2e-5
    }

    #[test]
    fn iec_61000_4_7_5_5_1_a_subgroup_is_the_line_and_its_neighbours() {
        for cycles in [10, 12] {
            let c = cycles as f64;
            let h = spectrum(
                cycles,
                &[(c, 1.0), (5.0 * c - 1.0, 0.3), (5.0 * c, 0.4), (5.0 * c + 1.0, 1.2), (5.0 * c + 2.0, 9.0)],
            );
            assert!(near(h.subgroup[1], 1.0) && near(h.subgroup[5], 1.3), "{}", h.subgroup[5]);
            assert!(near(h.line[5].abs(), 0.4));
            assert!(near(h.subgroup[4], 0.0) && near(h.subgroup[6], 0.0));
        }
    }

    #[test]
    fn iec_61000_4_7_5_5_1_a_group_shares_the_bin_in_the_middle() {
        for cycles in [10, 12] {
            let (c, half) = (cycles as f64, cycles as f64 / 2.0);
            let h = spectrum(cycles, &[(7.0 * c + half, 1.0), (7.0 * c - half + 1.0, 0.5)]);
            assert!(near(h.group[7], f64::sqrt(0.5 + 0.25)), "{cycles} {}", h.group[7]);
            assert!(near(h.group[8], f64::sqrt(0.5)) && near(h.group[6], 0.0));
        }
    }

    #[test]
    fn iec_61000_4_7_annex_a_interharmonics_leave_out_the_neighbours() {
        for cycles in [10, 12] {
            let c = cycles as f64;
            let inside = [(3.0 * c + 2.0, 0.6), (4.0 * c - 2.0, 0.8)];
            let outside = [(3.0 * c + 1.0, 5.0), (4.0 * c - 1.0, 5.0), (2.0, 0.7), (1.0, 3.0), (51.0 * c - 2.0, 0.2)];
            let lines: std::vec::Vec<_> = inside.into_iter().chain(outside).collect();
            let h = spectrum(cycles, &lines);
            assert!(near(h.inter[3], 1.0), "{}", h.inter[3]);
            assert!(near(h.inter[0], 0.7) && near(h.inter[2], 0.0) && near(h.inter[4], 0.0) && near(h.inter[50], 0.2));
        }
    }

    #[test]
    fn iec_61000_4_7_3_3_distortions_end_at_order_40() {
        let h = spectrum(10, &[(10.0, 10.0), (20.0, 0.3), (400.0, 0.4), (410.0, 5.0), (31.0, 1.2), (45.0, 0.0)]);
        assert!(near(h.thd_lines(0.0).unwrap(), 0.05));
        assert!(near(h.thd(0.0).unwrap(), 0.13));
        assert!(near(h.thd_groups(0.0).unwrap(), 0.13));
        assert_eq!(h.thd(10.1), None, "fundamental below the floor");
        assert_eq!(spectrum(10, &[]).thd(0.0), None);
    }

    #[test]
    fn iec_61000_4_30_5_10_signalling_takes_four_bins() {
        let mut x = [0.0; POINTS];
        let wave = |k: f64, t: f64| f64::sqrt(2.0) * (TAU * k * t).sin();
        for (n, x) in x.iter_mut().enumerate() {
            let t = n as f64 / POINTS as f64;
            *x = [61.0, 62.0, 63.0, 64.0].iter().map(|&k| wave(k, t)).sum::<f64>() as f32;
        }
        (0..PASSES).for_each(|number| pass(&mut x, number));
        // 312.7 Hz at 50 Hz lies between bins 62 and 63.
        assert!(near(signalling(&x, 10, 1.0, 6.254).unwrap(), 2.0));
        assert!(near(signalling(&x, 10, 1.0, 6.154).unwrap(), f64::sqrt(3.0)));
        assert_eq!(signalling(&x, 10, 1.0, 103.0), None);
        assert_eq!(signalling(&x, 10, 1.0, 0.0), None);
    }

    #[test]
    fn the_sign_of_harmonic_power_tells_the_source() {
        let mut u = [Complex::ZERO; ORDERS + 1];
        let mut i = u;
        (u[1], i[1]) = (Complex::new(230.0, 0.0), Complex::new(8.0, -6.0));
        (u[5], i[5]) = (Complex::new(4.0, 0.0), Complex::new(-0.5, 0.5));
        (u[7], i[7]) = (Complex::new(0.0, 3.0), Complex::new(0.1, 0.2));
        (u[11], i[11]) = (Complex::new(1.0, 0.0), Complex::new(0.0, 1.0));
        (u[13], i[13]) = (Complex::new(0.001, 0.0), Complex::new(1.0, 0.0));
        let p = HarmonicPower::new(&u, &i, 0.01, 0.01);
        assert_eq!((p.imported, p.exported), (1 << 1 | 1 << 7, 1 << 5));
        assert!((p.fundamental - 1840.0).abs() < 1e-3 && (p.harmonics - (-2.0 + 0.6 + 0.001)).abs() < 1e-5);
    }

    #[test]
    fn size() {
        assert!(size_of::<Harmonics>() <= HARMONICS_BYTES, "{}", size_of::<Harmonics>());
    }
}
