//! Samples for the program.

use metrology_dsp::CHANNELS;
use std::f64::consts::TAU;

pub type Sample = [i32; CHANNELS];

/// Full scale of the default configuration, V and A.
pub const FULL_SCALE: (f64, f64) = (600.0, 200.0);

/// Three phases at 49.7 Hz with harmonics, a lagging, an exporting and a small load, in counts.
pub fn three_phases(rate_hz: f64, n: usize) -> Vec<Sample> {
    (0..n)
        .map(|i| {
            let t = i as f64 / rate_hz;
            let mut out = [0; CHANNELS];
            for (k, (amps, lag)) in [(40.0, 1.0), (12.0, 3.4), (0.05, 0.2)].into_iter().enumerate() {
                let a = TAU * (49.7 * t - k as f64 / 3.0);
                let u = 325.0 * a.sin() + 16.0 * (5.0 * a).sin();
                let i = amps * (a - lag).sin() + amps * 0.3 * (3.0 * a).sin();
                out[k] = (u / FULL_SCALE.0 * 8_388_608.0) as i32;
                out[3 + k] = (i / FULL_SCALE.1 * 8_388_608.0) as i32;
                out[6] -= out[3 + k];
            }
            out
        })
        .collect()
}
