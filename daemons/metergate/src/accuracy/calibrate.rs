//! Calibration at two points, the way a test bench does it.
//!
//! The bench knows what it feeds and reads what the meter shows. First point: nominal voltage, Ib, PF 1, 10 s. The mean
//! of the raw counts gives the offsets; the shown voltage gives the gain of each voltage channel, and the counted energy
//! that of each current channel. Second point: PF 0.5 inductive; the counted energy gives the delay of each current
//! against its voltage, since at this angle energy depends on it. The noise of the front end is on at both.

use std::f64::consts::TAU;

use metrology_link::payload::{Calibration, MeterConfig};

use super::bench::{self, Bench, Feed, Trace};
use super::classes::I_B;
use super::points::{Pf, U_N, balanced};

/// Frequency of both points, Hz.
const F: f64 = 50.0;

/// Finds the corrections of a front end.
///
/// # Errors
/// The engine refused a correction, or counted nothing: the front end is broken.
pub fn calibrate(bench: &mut Bench) -> anyhow::Result<Calibration> {
    let config = bench::config(F);
    let mut calibration = Calibration { ident: 1, ..Calibration::default() };

    let unity = bench.feed(&balanced(I_B, Pf::One.lag(), F, 1.0), true);
    for (c, channel) in calibration.channel.iter_mut().enumerate().take(6) {
        channel.offset = -unity.mean(c).round() as i32;
    }
    let (trace, energy) = measure(&config, &calibration, &unity)?;
    for (k, energy) in energy.into_iter().enumerate() {
        let u = U_N * 1e3 / shown_mv(&trace, k)?;
        calibration.channel[k].gain_q30 = gain(u);
        calibration.channel[3 + k].gain_q30 = gain(1.0 / (energy * u));
    }

    let lag = Pf::HalfInductive.lag();
    let half = bench.feed(&balanced(I_B, lag, F, 1.0), true);
    let (_, energy) = measure(&config, &calibration, &half)?;
    for (k, energy) in energy.into_iter().enumerate() {
        // Counted / true = cos(φ + δ) / cos φ, where δ is the angle by which the sensor lags.
        let late = (energy * lag.cos()).clamp(-1.0, 1.0).acos() - lag;
        calibration.channel[3 + k].phase_ns = (late / (TAU * F) * 1e9).round() as i32;
    }
    calibration.check()?;
    Ok(calibration)
}

fn gain(factor: f64) -> i32 {
    // Out of range saturates and is refused by the check of the record.
    (f64::from(1 << 30) * factor).round() as i32
}

/// Counted energy of each phase relative to what was fed.
fn measure(config: &MeterConfig, calibration: &Calibration, feed: &Feed) -> anyhow::Result<(Trace, [f64; 3])> {
    let trace = bench::on_host(config, calibration, feed)?;
    let both = trace.counted().zip(feed.truth(&trace));
    let (counted, truth) = both.ok_or_else(|| anyhow::anyhow!("calibration: the meter closed no windows"))?;
    anyhow::ensure!(counted.phase.iter().all(|e| *e > 0.0), "calibration: a phase counted nothing");
    Ok((trace, std::array::from_fn(|k| counted.phase[k] / truth.phase[k])))
}

/// Mean of the voltage shown over the measuring time, mV.
fn shown_mv(trace: &Trace, phase: usize) -> anyhow::Result<f64> {
    let ends = trace.span().and_then(|(first, last)| trace.counters(first).zip(trace.counters(last)));
    let (a, b) = ends.ok_or_else(|| anyhow::anyhow!("calibration: the meter closed no windows"))?;
    let (a, b) = (a.sums.phase[phase], b.sums.phase[phase]);
    anyhow::ensure!(b.u_mv > a.u_mv, "calibration: L{} shows no voltage", phase + 1);
    Ok((b.u_mv - a.u_mv) as f64 / (b.windows - a.windows) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_errors_that_were_built_in() {
        for seed in [1, 77] {
            let mut bench = Bench::new(seed);
            let calibration = calibrate(&mut bench).unwrap();
            for (c, (injected, found)) in bench.injected.iter().zip(&calibration.channel).enumerate() {
                let left = f64::from(found.gain_q30) / f64::from(1 << 30) * (1.0 + injected.gain_ppm / 1e6) - 1.0;
                // Noise of ten seconds at Ib is 1 ppm and 3 ns; offsets are whole counts from one second of noise.
                assert!(left.abs() < 8e-6, "seed {seed} channel {c}: {left}");
                assert!((f64::from(found.offset) + injected.offset).abs() < 5.0, "seed {seed} channel {c}");
                assert!((f64::from(found.phase_ns) - injected.delay_ns).abs() < 20.0, "seed {seed} channel {c}");
            }
            assert!(bench.injected.iter().any(|i| i.gain_ppm.abs() > 1000.0), "nothing to find");
            assert!(bench.injected[3..].iter().any(|i| i.delay_ns.abs() > 100.0), "nothing to find");
        }
    }
}
