//! From 16 or 32 kS/s down to the 8 kS/s that spectra are made from.
//!
//! Half-band filters (every second coefficient is zero) with Kaiser's window, one per octave. What is kept: 0 to 3 kHz,
//! order 50 at 60 Hz, within 0.015 %; order 50 at the fastest frequency tracked, 3450 Hz, within 0.3 %. What could
//! fold onto it (from 4.55 kHz on) is weakened 2000 times or more.

use super::math::{PI, const_kaiser, const_sin};
use crate::design::CHANNELS;

/// Coefficients on each side of the filter to 8 kS/s. Transition 3350 to 4650 of 16 000 Hz: Kaiser's rule gives
/// 2.285 · 2π · 0.081 · 62 + 8 = 80 dB for 4 · 16 − 1 = 63 taps.
const FINE: usize = 16;
/// Coefficients on each side of the filter from 32 to 16 kS/s. Transition 3450 to 12 550 of 32 000 Hz: 81 dB for 19.
const COARSE: usize = 5;
/// Inputs kept for each filter: powers of two that hold 63 and 19 taps.
const FINE_LINE: usize = 64;
const COARSE_LINE: usize = 32;
/// Bytes of a [`Decimator`], a test holds it to this.
pub const DECIMATOR_BYTES: usize = (FINE_LINE + COARSE_LINE) * CHANNELS * 4 + 16;

static FINE_TAPS: [f32; FINE] = half_band(7.86);
static COARSE_TAPS: [f32; COARSE] = half_band(7.86);

/// The coefficients at distance 1, 3, 5, … from the centre (which is 1/2), so that the gain at 0 Hz is exactly 1.
const fn half_band<const K: usize>(beta: f64) -> [f32; K] {
    let mut taps = [0.0; K];
    let mut sum = 0.0;
    let mut k = 0;
    while k < K {
        let x = (2 * k + 1) as f64;
        // sin(πx/2)/(πx), whose sign alternates.
        let sinc = const_sin(if k % 2 == 0 { PI / 2.0 } else { -PI / 2.0 }) / (PI * x);
        taps[k] = sinc * const_kaiser(x / (2 * K) as f64, beta);
        sum += 2.0 * taps[k];
        k += 1;
    }
    let mut out = [0.0; K];
    let mut k = 0;
    while k < K {
        out[k] = (taps[k] * 0.5 / sum) as f32;
        k += 1;
    }
    out
}

/// Samples of all channels as numbers.
pub type Frame = [f32; CHANNELS];

/// One octave.
#[derive(Clone, Debug)]
struct HalfBand<const LINE: usize> {
    line: [Frame; LINE],
    inputs: u32,
}

impl<const LINE: usize> HalfBand<LINE> {
    const fn new() -> HalfBand<LINE> {
        HalfBand { line: [[0.0; CHANNELS]; LINE], inputs: 0 }
    }

    /// Takes a sample; gives one for every second.
    #[inline]
    fn push<const K: usize>(&mut self, frame: Frame, taps: &[f32; K]) -> Option<Frame> {
        let mask = LINE - 1;
        let now = self.inputs as usize;
        self.line[now & mask] = frame;
        self.inputs = self.inputs.wrapping_add(1);
        if now & 1 == 0 {
            return None;
        }
        let centre = now.wrapping_sub(2 * K - 1);
        let mut out = self.line[centre & mask].map(|v| 0.5 * v);
        for (k, tap) in taps.iter().enumerate() {
            let (before, after) = (centre.wrapping_sub(2 * k + 1) & mask, centre.wrapping_add(2 * k + 1) & mask);
            for (c, out) in out.iter_mut().enumerate() {
                *out += tap * (self.line[before][c] + self.line[after][c]);
            }
        }
        Some(out)
    }
}

/// All octaves there are.
#[derive(Clone, Debug)]
pub struct Decimator {
    octaves: u32,
    coarse: HalfBand<COARSE_LINE>,
    fine: HalfBand<FINE_LINE>,
}

impl Default for Decimator {
    fn default() -> Decimator {
        Decimator::new()
    }
}

impl Decimator {
    /// For 8 kS/s: every sample passes.
    pub const fn new() -> Decimator {
        Decimator { octaves: 0, coarse: HalfBand::new(), fine: HalfBand::new() }
    }

    /// Begins anew, for samples that come 2^`octaves` times too often (0, 1 or 2).
    pub fn restart(&mut self, octaves: u32) {
        (self.octaves, self.coarse.inputs, self.fine.inputs) = (octaves.min(2), 0, 0);
    }

    /// Samples in for one out, as a power of two.
    pub fn octaves(&self) -> u32 {
        self.octaves
    }

    /// By how many outputs an output is late: output `m` belongs to input `(m − delay) · 2^octaves`.
    pub fn delay(&self) -> u64 {
        // An odd input n makes output (n − 1)/2 from around input n − (2K − 1): K − 1 outputs ago.
        match self.octaves {
            0 => 0,
            1 => FINE as u64 - 1,
            _ => (COARSE as u64 - 1) / 2 + FINE as u64 - 1,
        }
    }

    /// Takes a sample of all channels; gives one for every 2^octaves.
    #[inline]
    pub fn push(&mut self, frame: Frame) -> Option<Frame> {
        let frame = match self.octaves {
            0 => return Some(frame),
            1 => frame,
            _ => self.coarse.push(frame, &COARSE_TAPS)?,
        };
        self.fine.push(frame, &FINE_TAPS)
    }
}

const _: () = assert!(4 * FINE - 1 <= FINE_LINE && 4 * COARSE - 1 <= COARSE_LINE && (COARSE - 1).is_multiple_of(2));

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest deviation of a decimated sine from the same sine at 8 kS/s, of its amplitude.
    fn deviation(octaves: u32, hz: f64) -> f64 {
        let rate = 8000.0 * f64::from(1 << octaves);
        let mut decimator = Decimator::new();
        decimator.restart(octaves);
        let mut outputs = 0_u64;
        let mut worst = 0.0_f64;
        for n in 0..40_000 {
            let x = (2.0 * PI * hz * f64::from(n) / rate).sin() as f32;
            if let Some(out) = decimator.push([x; CHANNELS]) {
                let m = outputs as f64 - decimator.delay() as f64;
                outputs += 1;
                if outputs > 200 {
                    worst = worst.max((f64::from(out[3]) - (2.0 * PI * hz * m / 8000.0).sin()).abs());
                    assert_eq!(out[0], out[6]);
                }
            }
        }
        assert_eq!(outputs, 40_000 >> octaves);
        worst
    }

    #[test]
    fn the_band_of_the_harmonics_passes_in_time_and_in_size() {
        for octaves in 0..=2 {
            for hz in [50.0, 250.0, 1000.0, 2000.0, 2500.0, 3000.0] {
                assert!(deviation(octaves, hz) < 1.5e-4, "{octaves} {hz}: {:e}", deviation(octaves, hz));
            }
            assert!(deviation(octaves, 3450.0) < 3e-3, "{octaves}: {:e}", deviation(octaves, 3450.0));
        }
    }

    #[test]
    fn size() {
        assert!(size_of::<Decimator>() <= DECIMATOR_BYTES, "{}", size_of::<Decimator>());
    }

    #[test]
    fn what_would_fold_is_gone() {
        for (octaves, hz) in
            [(1, 4600.0), (1, 6000.0), (1, 7950.0), (2, 4600.0), (2, 8050.0), (2, 13_000.0), (2, 15_800.0)]
        {
            let mut decimator = Decimator::new();
            decimator.restart(octaves);
            let rate = 8000.0 * f64::from(1_u32 << octaves);
            let mut worst = 0.0_f32;
            for n in 0..20_000 {
                let x = (2.0 * PI * hz * f64::from(n) / rate).sin() as f32;
                if let Some(out) = decimator.push([x; CHANNELS])
                    && n > 2000
                {
                    worst = worst.max(out[0].abs());
                }
            }
            assert!(worst < 5e-4, "{octaves} {hz}: {worst:e}");
        }
    }
}
