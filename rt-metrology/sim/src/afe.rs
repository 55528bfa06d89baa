//! The analog front end: volts and amperes to 24-bit counts, with the errors of real parts.
//!
//! counts = quantise(gain × delayed(x) + offset + noise), clipped at ±(2^23 - 1). Gain, offset and delay of a channel
//! are drawn from the seed; [`FrontEnd::calibration`] is what a perfect laboratory would write against them. On request
//! they move with temperature and age ([`Drift`]), and the noise has the spectrum that a sinc³ decimation filter gives
//! it ([`FrontEnd::set_noise`]).

use metrology_link::payload::{CHANNELS, Calibration, ChannelCalibration, MeterConfig};

use crate::noise::{self, Gauss};
use crate::scenario::FrontEndSpec;

/// Largest count of a 24-bit converter.
pub const CLIP: f64 = 8_388_607.0;

/// Temperature at which a front end has the errors that were drawn for it, °C.
pub const REFERENCE_CELSIUS: f64 = 23.0;

/// Weights of three successive white samples that make noise with the spectrum of a sinc³ filter, and keep its power.
///
/// White noise ahead of the filter comes out with the autocorrelation 66 : 26 : 1 at distances of 0, 1 and 2 output
/// samples (a quintic B-spline at whole numbers). The moving average with the same autocorrelation has these weights.
/// Near zero frequency the density is 120/66 of that of white noise of the same power (2.6 dB more): what counts for
/// energy, since a product with a sine of 50 Hz picks out the noise at 50 Hz.
const SINC3: [f64; 3] = [0.903_615, 0.428_018, 0.016_768];

/// How far gain, offset and delay of the channels move; each channel's own share is drawn from the seed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Drift {
    /// Spread of the gain's temperature coefficient, ppm/K: divider or burden, and the converter's reference.
    pub gain_ppm_per_k: f64,
    /// Spread of its curvature, ppm/K²: what a linear correction cannot take out.
    pub gain_ppm_per_k2: f64,
    /// Spread of the offset's temperature coefficient, counts/K.
    pub offset_per_k: f64,
    /// Spread of the temperature coefficient of the current channels' delay, ns/K.
    pub phase_ns_per_k: f64,
    /// Spread of the gain's ageing, ppm per year.
    pub gain_ppm_per_year: f64,
}

/// A channel at the reference temperature, when it was new, and how it moves.
#[derive(Clone, Copy, Debug, Default)]
struct Origin {
    gain: f64,
    offset: f64,
    delay: f64,
    drift: Drift,
}

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
    origin: [Origin; CHANNELS],
    /// White samples before, for noise with the spectrum of a sinc³ filter.
    shaped: Option<[[f64; 2]; CHANNELS]>,
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
            origin: [Origin::default(); CHANNELS],
            shaped: None,
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
            fe.origin[c] =
                Origin { gain: fe.gain[c], offset: fe.offset[c], delay: fe.delay[c], drift: Drift::default() };
        }
        fe
    }

    /// Lets the channels drift; their shares follow from the seed. Nothing moves until [`FrontEnd::set_climate`].
    pub fn set_drift(&mut self, spread: &Drift, seed: u64) {
        for (c, origin) in self.origin.iter_mut().enumerate() {
            let draw = |what: u64| noise::signed(seed, 510 + what, c as i64);
            origin.drift = Drift {
                gain_ppm_per_k: draw(0) * spread.gain_ppm_per_k,
                gain_ppm_per_k2: draw(1) * spread.gain_ppm_per_k2,
                offset_per_k: draw(2) * spread.offset_per_k,
                phase_ns_per_k: if c >= 3 { draw(3) * spread.phase_ns_per_k } else { 0.0 },
                gain_ppm_per_year: draw(4) * spread.gain_ppm_per_year,
            };
        }
    }

    /// What was drawn for each channel.
    pub fn drift(&self) -> [Drift; CHANNELS] {
        self.origin.map(|origin| origin.drift)
    }

    /// Brings the front end to a temperature, °C, and an age, years.
    pub fn set_climate(&mut self, celsius: f64, years: f64) {
        let kelvin = celsius - REFERENCE_CELSIUS;
        for (c, Origin { gain, offset, delay, drift }) in self.origin.into_iter().enumerate() {
            let ppm = kelvin * (drift.gain_ppm_per_k + kelvin * drift.gain_ppm_per_k2);
            self.gain[c] = gain * (1.0 + (ppm + years * drift.gain_ppm_per_year) / 1e6);
            self.offset[c] = offset + kelvin * drift.offset_per_k;
            self.delay[c] = delay + kelvin * drift.phase_ns_per_k / 1e9;
        }
    }

    /// Noise of so many counts RMS from a sequence of its own, with the spectrum that a sinc³ filter leaves.
    pub fn set_noise(&mut self, counts: f64, seed: u64) {
        self.noise = counts;
        self.random = Gauss::new(seed);
        self.shaped = Some([[0.0; 2]; CHANNELS]);
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
            ..ChannelCalibration::default()
        });
        Calibration { channel, ident: 1, ..Calibration::default() }
    }

    /// Signals that are already multiplied by [`FrontEnd::gain`] to counts; channels that do not exist read zero.
    #[inline]
    pub fn convert(&mut self, scaled: &[f64]) -> [i32; CHANNELS] {
        let mut counts = [0; CHANNELS];
        for (c, count) in counts.iter_mut().enumerate() {
            if !self.present[c] {
                continue;
            }
            let mut noise = self.random.draw();
            if let Some(before) = &mut self.shaped {
                let [one, two] = before[c];
                before[c] = [noise, one];
                noise = SINC3[0] * noise + SINC3[1] * one + SINC3[2] * two;
            }
            let x = scaled[c] + self.offset[c] + self.noise * noise;
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
    fn shaped_noise_keeps_its_power_and_has_the_autocorrelation_of_a_sinc3_filter() {
        let mut fe = ideal();
        fe.set_noise(1000.0, 5);
        let x: Vec<f64> = (0..200_000).map(|_| f64::from(fe.convert(&[0.0; 7])[3])).collect();
        let correlation =
            |lag: usize| x.iter().zip(&x[lag..]).map(|(a, b)| a * b).sum::<f64>() / (x.len() - lag) as f64 / 1e6;
        for (lag, expected) in [(0, 1.0), (1, 26.0 / 66.0), (2, 1.0 / 66.0), (3, 0.0)] {
            assert!((correlation(lag) - expected).abs() < 0.012, "{lag} {}", correlation(lag));
        }
    }

    #[test]
    fn channels_drift_with_temperature_and_age_and_come_back() {
        let mut fe = FrontEnd::new(&FrontEndSpec::default(), &MeterConfig::default(), 3);
        let spread = Drift {
            gain_ppm_per_k: 25.0,
            gain_ppm_per_k2: 0.05,
            offset_per_k: 1.0,
            phase_ns_per_k: 10.0,
            gain_ppm_per_year: 20.0,
        };
        fe.set_drift(&spread, 3);
        let new = (*fe.gain(), *fe.delay());
        fe.set_climate(63.0, 10.0);
        for (c, drift) in fe.drift().iter().enumerate() {
            assert!(drift.gain_ppm_per_k.abs() <= 25.0 && drift.gain_ppm_per_year.abs() <= 20.0);
            let ppm = 40.0 * drift.gain_ppm_per_k + 1600.0 * drift.gain_ppm_per_k2 + 10.0 * drift.gain_ppm_per_year;
            assert!(((fe.gain()[c] / new.0[c] - 1.0) * 1e6 - ppm).abs() < 1e-6);
            assert!((fe.delay()[c] - new.1[c] - 40e-9 * drift.phase_ns_per_k).abs() < 1e-15);
        }
        assert_eq!(fe.delay()[..3], new.1[..3], "voltages have no lag of their own");
        assert_ne!(fe.gain()[3], new.0[3]);
        fe.set_climate(REFERENCE_CELSIUS, 0.0);
        assert_eq!((*fe.gain(), *fe.delay()), new);
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
