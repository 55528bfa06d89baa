//! Calibration, the way a test bench does it: two points at the reference temperature, and the same in a chamber.
//!
//! The bench knows what it feeds and reads what the meter shows. First point: nominal voltage, Ib, PF 1, 10 s. The mean
//! of the raw counts gives the offsets; the shown voltage gives the gain of each voltage channel, and the counted energy
//! that of each current channel. Second point: PF 0.5 inductive; the counted energy gives the delay of each current
//! against its voltage, since at this angle energy depends on it. Both again at two temperatures, 40 K below and above
//! the reference, give the coefficients of temperature. Age is not corrected: what a year does to a meter, no bench
//! can measure on the day of its calibration. The noise of the front end is on at every point.

use std::f64::consts::TAU;

use metrology_dsp::CHANNELS;
use metrology_link::payload::{Calibration, MeterConfig};
use metrology_sim::afe::REFERENCE_CELSIUS;

use super::bench::{self, Bench, Conditions, Prepared, RATE, Trace};
use super::points::{Pf, U_N, balanced};

/// Frequency of all points, Hz.
const F: f64 = 50.0;
/// The chamber is so much colder and warmer than the reference, K.
const KELVIN: f64 = 40.0;
/// When it takes place: the beginning of 2026.
const DATE_US: i64 = 1_767_225_600_000_000;

/// What a meter shows at the two points.
struct Found {
    /// Reading over truth of the voltage and the current of each phase.
    gain: [f64; 6],
    /// Mean of the raw counts.
    mean: [f64; 6],
    /// By how much the current of each phase lags its voltage, ns.
    late_ns: [f64; 3],
}

/// Finds the corrections of a front end; the noise follows from the seed.
///
/// # Errors
/// The engine refused a correction, or counted nothing: the front end is broken.
pub fn calibrate(bench: &Bench, seed: u64) -> anyhow::Result<Calibration> {
    let reference_mdeg = (REFERENCE_CELSIUS * 1e3) as i32;
    let mut calibration = Calibration { ident: 1, reference_mdeg, date_us: DATE_US, ..Calibration::default() };
    let found = look(bench, &calibration, REFERENCE_CELSIUS, seed ^ 0xCA10)?;
    for (c, channel) in calibration.channel.iter_mut().enumerate().take(6) {
        channel.offset = -found.mean[c].round() as i32;
        // Out of range saturates and is refused by the check of the record.
        channel.gain_q30 = (f64::from(1 << 30) / found.gain[c]).round() as i32;
        channel.phase_ns = if c < 3 { 0 } else { found.late_ns[c - 3].round() as i32 };
    }
    calibration.check()?;

    let cold = look(bench, &calibration, REFERENCE_CELSIUS - KELVIN, seed ^ 0xCA20)?;
    let warm = look(bench, &calibration, REFERENCE_CELSIUS + KELVIN, seed ^ 0xCA30)?;
    let rise = |cold: f64, warm: f64| (warm - cold) / (2.0 * KELVIN);
    for (c, channel) in calibration.channel.iter_mut().enumerate().take(6) {
        let (low, high) = (cold.gain[c] - 1.0, warm.gain[c] - 1.0);
        channel.gain_ppb_per_k = (rise(low, high) * 1e9).round() as i32;
        channel.gain_ppt_per_k2 = ((high + low) / (2.0 * KELVIN * KELVIN) * 1e12).round() as i32;
        channel.offset_mcount_per_k = (rise(cold.mean[c], warm.mean[c]) * 1e3).round() as i32;
        if c >= 3 {
            channel.phase_ps_per_k = (rise(cold.late_ns[c - 3], warm.late_ns[c - 3]) * 1e3).round() as i32;
        }
    }
    calibration.check()?;
    Ok(calibration)
}

/// Both points at a temperature. The calibration's gains and delays are in force, its offsets are not: they are found
/// anew from the same counts.
fn look(bench: &Bench, calibration: &Calibration, celsius: f64, seed: u64) -> anyhow::Result<Found> {
    let config = bench.range.config(F);
    let amps = bench.range.basic();
    let lag = Pf::HalfInductive.lag();
    let at = |lag| Conditions { celsius, ..Conditions::from(balanced(amps, lag, F, 1.0)) };

    let unity = bench.prepare(&at(Pf::One.lag()));
    let counts = unity.counts(Some(seed));
    let mean: [f64; 6] = std::array::from_fn(|c| mean(&counts, c));
    let mut level = *calibration;
    level.channel.iter_mut().zip(mean).for_each(|(channel, mean)| channel.offset = -mean.round() as i32);
    let (trace, energy) = measure(&config, &level, &unity, &counts)?;
    let mut gain = [1.0; 6];
    for k in 0..3 {
        gain[k] = shown_mv(&trace, k)? / (U_N * 1e3);
        gain[3 + k] = energy[k] / gain[k];
    }

    let half = bench.prepare(&at(lag));
    let (_, second) = measure(&config, &level, &half, &half.counts(Some(seed ^ 1)))?;
    // Counted / true = cos(φ + δ) / cos φ, where δ is the angle by which the sensor lags; the gain is that of PF 1.
    let late = |k: usize| ((second[k] / energy[k] * lag.cos()).clamp(-1.0, 1.0).acos() - lag) / (TAU * F) * 1e9;
    // At PF 1 the energy falls by the cosine of δ: 1 ppm for 4 µs.
    let mut late_ns = std::array::from_fn(late);
    for k in 0..3 {
        let cosine = (late_ns[k] * 1e-9 * TAU * F).cos();
        gain[3 + k] /= cosine;
        late_ns[k] = ((second[k] / energy[k] * cosine * lag.cos()).clamp(-1.0, 1.0).acos() - lag) / (TAU * F) * 1e9;
    }
    Ok(Found { gain, mean, late_ns })
}

/// Mean of the raw counts of a channel over ten seconds, which have whole cycles at 50 Hz.
fn mean(counts: &[[i32; CHANNELS]], channel: usize) -> f64 {
    let span = &counts[..10 * RATE as usize];
    span.iter().map(|counts| f64::from(counts[channel])).sum::<f64>() / span.len() as f64
}

/// Counted energy of each phase relative to what was fed.
fn measure(
    config: &MeterConfig,
    calibration: &Calibration,
    prepared: &Prepared,
    counts: &[[i32; CHANNELS]],
) -> anyhow::Result<(Trace, [f64; 3])> {
    // No temperature is told: what the calibration knows of it is what is looked for.
    let trace = bench::on_host(config, calibration, None, counts)?;
    let windows = prepared.windows(&trace);
    let sum = bench::sum(&windows.ok_or_else(|| anyhow::anyhow!("calibration: the meter closed no windows"))?);
    let (counted, truth) = (sum.counted.phase, sum.truth.phase);
    anyhow::ensure!(counted.iter().all(|e| *e > 0.0), "calibration: a phase counted nothing");
    Ok((trace, std::array::from_fn(|k| counted[k] / truth[k])))
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
    use super::super::range::Range;
    use super::*;

    #[test]
    fn finds_the_errors_that_were_built_in() {
        for (range, seed) in [(Range::Direct100, 1), (Range::Direct100, 77), (Range::Transformer5, 3)] {
            let bench = Bench::new(range, seed);
            let calibration = calibrate(&bench, seed).unwrap();
            for (c, (injected, found)) in bench.injected.iter().zip(&calibration.channel).enumerate() {
                let left = f64::from(found.gain_q30) / f64::from(1 << 30) * (1.0 + injected.gain_ppm / 1e6) - 1.0;
                // Noise of ten seconds at Ib is 2 ppm and 4 ns; the voltage is shown in mV.
                assert!(left.abs() < 8e-6, "{range:?} seed {seed} channel {c}: {left}");
                assert!((f64::from(found.offset) + injected.offset).abs() < 2.0, "seed {seed} channel {c}");
                assert!((f64::from(found.phase_ns) - injected.delay_ns).abs() < 20.0, "seed {seed} channel {c}");
                // The same noise over 80 K.
                let drift = &injected.drift;
                assert!((f64::from(found.gain_ppb_per_k) / 1e3 - drift.gain_ppm_per_k).abs() < 0.2, "channel {c}");
                assert!((f64::from(found.gain_ppt_per_k2) / 1e6 - drift.gain_ppm_per_k2).abs() < 0.005, "channel {c}");
                assert!((f64::from(found.offset_mcount_per_k) / 1e3 - drift.offset_per_k).abs() < 0.05, "channel {c}");
                assert!((f64::from(found.phase_ps_per_k) / 1e3 - drift.phase_ns_per_k).abs() < 0.3, "channel {c}");
            }
            assert!(bench.injected.iter().any(|i| i.gain_ppm.abs() > 1000.0), "nothing to find");
            assert!(bench.injected[3..].iter().any(|i| i.delay_ns.abs() > 100.0), "nothing to find");
        }
    }
}
