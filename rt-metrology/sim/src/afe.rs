//! The analog front end: volts and amperes to 24-bit counts, with the errors of real parts.
//!
//! counts = quantise(gain × delayed(x) + offset + noise), clipped at ±(2^23 - 1). Gain, offset and delay of a channel
//! are drawn from the seed; [`FrontEnd::calibration`] is what a perfect laboratory would write against them.

use metrology_link::payload::{CHANNELS, Calibration, ChannelCalibration, MeterConfig};

use crate::noise::{self, Gauss};
use crate::scenario::FrontEndSpec;

/// Largest count of a 24-bit converter.
pub const CLIP: f64 = 8_388_607.0;

/// See the module.
#[derive(Clone, Debug)]
pub struct FrontEnd {
    /// Counts per volt or ampere, with the gain error.
    gain: [f64; CHANNELS],
    /// Offset in counts.
    offset: [f64; CHANNELS],
    /// Lag in seconds.
    delay: [f64; CHANNELS],
    /// Gain error as a factor.
    error: [f64; CHANNELS],
    noise: f64,
    present: [bool; CHANNELS],
    random: Gauss,
}

impl FrontEnd {
    /// A front end for a configuration (full scales and channels).
    pub fn new(spec: &FrontEndSpec, config: &MeterConfig, seed: u64) -> FrontEnd {
        let mut fe = FrontEnd {
            gain: [0.0; CHANNELS],
            offset: [0.0; CHANNELS],
            delay: [0.0; CHANNELS],
            error: [1.0; CHANNELS],
            noise: spec.noise_counts,
            present: std::array::from_fn(|c| config.channels & (1 << c) != 0),
            random: Gauss::new(seed ^ 0xAFE),
        };
        for c in 0..CHANNELS {
            let full_scale = match c {
                0..3 => f64::from(config.u_full_scale_mv) / 1e3,
                3..6 => f64::from(config.i_full_scale_ua) / 1e6,
                _ => f64::from(config.i_n_full_scale_ua) / 1e6,
            };
            let draw = |what: u64| noise::signed(seed, 500 + what, c as i64);
            fe.error[c] = 1.0 + draw(0) * spec.gain_ppm / 1e6;
            fe.gain[c] = 8_388_608.0 / full_scale * fe.error[c];
            fe.offset[c] = (draw(1) * spec.offset_counts).round();
            if c >= 3 {
                fe.delay[c] = (draw(2) * spec.phase_ns).round() / 1e9;
            }
        }
        fe
    }

    /// Lag of each channel, s.
    pub fn delay(&self) -> &[f64; CHANNELS] {
        &self.delay
    }

    /// Counts per volt or ampere of each channel.
    pub fn gain(&self) -> &[f64; CHANNELS] {
        &self.gain
    }

    /// What takes the errors out again, to the resolution of the calibration record.
    pub fn calibration(&self) -> Calibration {
        let channel = std::array::from_fn(|c| ChannelCalibration {
            gain_q30: (f64::from(1 << 30) / self.error[c]).round() as i32,
            offset: -self.offset[c] as i32,
            phase_ns: (self.delay[c] * 1e9).round() as i32,
        });
        Calibration { channel, ident: 1 }
    }

    /// Signals that are already multiplied by [`FrontEnd::gain`] to counts; channels that do not exist read zero.
    #[inline]
    pub fn convert(&mut self, scaled: &[f64]) -> [i32; CHANNELS] {
        let mut counts = [0; CHANNELS];
        for (c, count) in counts.iter_mut().enumerate() {
            if !self.present[c] {
                continue;
            }
            let x = scaled[c] + self.offset[c] + self.noise * self.random.draw();
            // Shifted above zero, so that the cast, which truncates, rounds to the nearest.
            let shifted = x.clamp(-CLIP, CLIP) + (CLIP + 1.5);
            *count = shifted as i32 - 8_388_608;
        }
        counts
    }

    /// Physical values to counts.
    pub fn sample(&mut self, physical: &[f64]) -> [i32; CHANNELS] {
        let scaled: [f64; CHANNELS] = std::array::from_fn(|c| physical[c] * self.gain[c]);
        self.convert(&scaled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ideal() -> FrontEnd {
        let spec = FrontEndSpec { noise_counts: 0.0, ..FrontEndSpec::default() };
        FrontEnd::new(&spec, &MeterConfig::default(), 1)
    }

    #[test]
    fn full_scale_is_two_to_the_23_and_more_is_clipped() {
        let mut fe = ideal();
        let half = [300.0, -300.0, 600.0, 100.0, -100.0, 1e9, f64::NEG_INFINITY];
        assert_eq!(fe.sample(&half), [4_194_304, -4_194_304, 8_388_607, 4_194_304, -4_194_304, 8_388_607, -8_388_607]);
    }

    #[test]
    fn rounding_is_to_the_nearest_count() {
        let mut fe = ideal();
        for (x, count) in [(0.4, 0), (0.6, 1), (-0.4, 0), (-0.6, -1), (1000.49, 1000), (-1000.49, -1000)] {
            assert_eq!(fe.convert(&[x; 7])[0], count, "{x}");
        }
    }

    #[test]
    fn errors_stay_in_their_spread_and_the_calibration_undoes_them() {
        let spec = FrontEndSpec { gain_ppm: 5000.0, offset_counts: 500.0, phase_ns: 800.0, ..FrontEndSpec::default() };
        let fe = FrontEnd::new(&spec, &MeterConfig::default(), 42);
        let calibration = fe.calibration();
        assert_eq!(calibration.check(), Ok(()));
        for c in 0..CHANNELS {
            assert!((fe.error[c] - 1.0).abs() <= 0.005 && fe.offset[c].abs() <= 500.0 && fe.delay[c].abs() <= 8e-7);
            let product = fe.error[c] * f64::from(calibration.channel[c].gain_q30) / f64::from(1 << 30);
            assert!((product - 1.0).abs() < 2e-9);
            assert_eq!(calibration.channel[c].offset, -(fe.offset[c] as i32));
        }
        assert_ne!(fe.error[0], fe.error[1]);
        assert_ne!(fe.delay[3], fe.delay[4]);
        assert_eq!(fe.error, FrontEnd::new(&spec, &MeterConfig::default(), 42).error);
    }

    #[test]
    fn a_missing_channel_reads_nothing() {
        let config = MeterConfig { channels: 0b0001001, ..MeterConfig::default() };
        let mut fe = FrontEnd::new(&FrontEndSpec::default(), &config, 1);
        let counts = fe.sample(&[100.0; 7]);
        assert!(counts[0] != 0 && counts[3] != 0);
        assert_eq!([counts[1], counts[2], counts[4], counts[5], counts[6]], [0; 5]);
    }
}
