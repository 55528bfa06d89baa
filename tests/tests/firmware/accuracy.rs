//! The error of the digital path on the ARM program: energies that it counted against analytic truth, over 10 000:1 in
//! current and 45 to 65 Hz.
//!
//! Signals have neither noise nor an error of a front end that its calibration does not know: gain errors, offsets and
//! lags stand in the samples, and their corrections in the calibration, so that all of the path works. They are quantised
//! to 24 bits of the default full scale (600 V, 200 A peak), where 10 mA are 593 steps peak. To keep the steps from adding up in a sine
//! that does not move, a dither of one step, evenly spread, is added before: it makes an ideal converter's mean right,
//! and leaves noise, which time averages. What the samples themselves are off by is computed beside the meter, in double
//! precision, and shown as `steps`; `path` is the rest.
//!
//! L1 carries power factor 1, L2 0.5 inductive, L3 sin φ 0.25; each run has all three. Energies are read with their
//! remainders, so the shown unit of a millijoule plays no part.

use crate::arm;
use crate::signal::{FULL_SCALE, Sample};
use metrology_dsp::energy::SUB_QUANTA;
use metrology_dsp::{CHANNELS, Cumulative};
use metrology_link::codec::{Wire, decode};
use metrology_link::payload::{Calibration, MeterConfig, Second};
use std::f64::consts::{PI, SQRT_2, TAU};
use std::path::Path;

const RATE: f64 = 8000.0;
const VOLTS: f64 = 230.0;
/// Samples of the front end's delay: a window's samples are those of so much before.
const DELAY: u64 = 10;
/// Windows left out at the begin: the tracker has to lock.
const SKIPPED: usize = 10;
/// Seed of the dither.
const SEED: u64 = 20_261_121;
/// What of an error may be the path's own, ppm: interpolation and rounding.
const PATH_PPM: f64 = 0.5;

/// What each phase carries: its lag in radians, what is held against what, and the limit in ppm.
fn loads() -> [(f64, &'static str, f64); 3] {
    [(0.0, "P at PF 1", 5.0), (PI / 3.0, "P at PF 0.5", 10.0), (0.25_f64.asin(), "Q at sin 0.25", 10.0)]
}

#[test]
fn the_digital_path_errs_by_5_ppm_at_most_over_10_000_to_1_and_45_to_65_hz() {
    let Some(program) = arm::program("the_digital_path_errs_by_5_ppm_at_most_over_10_000_to_1_and_45_to_65_hz") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    eprintln!("seed {SEED}; errors in ppm: whole = path + steps");
    eprintln!("      A    Hz     s   P at PF 1           P at PF 0.5         Q at sin 0.25");
    let mut worst = [0.0_f64; 3];
    // Time makes the dither's noise small: 3900 ppm of Q at 10 mA in one sample are 2.5 in 300 s.
    for (amps, seconds, frequencies) in [
        (0.01, 300, &[45.0, 50.0, 65.0][..]),
        (0.1, 20, &[45.0, 49.7, 55.0, 60.0, 65.0]),
        (1.0, 10, &[45.0, 49.7, 55.0, 60.0, 65.0]),
        (10.0, 10, &[45.0, 50.3, 55.0, 60.0, 65.0]),
        (100.0, 10, &[45.0, 50.0, 55.0, 60.0, 65.0]),
    ] {
        for &hz in frequencies {
            let errors = measure(&program, dir.path(), amps, hz, seconds);
            let columns = errors.map(|(whole, steps)| format!("{whole:6.2} ={:6.2} +{steps:6.2}", whole - steps));
            eprintln!("{amps:7.2} {hz:5.1} {seconds:5}   {}", columns.join("   "));
            for (k, (whole, steps)) in errors.into_iter().enumerate() {
                let (_, what, limit) = loads()[k];
                assert!(whole.abs() <= limit, "{what}, {amps} A, {hz} Hz: {whole} ppm");
                assert!(
                    (whole - steps).abs() <= PATH_PPM,
                    "{what}, {amps} A, {hz} Hz: {} ppm of the path",
                    whole - steps
                );
                worst[k] = worst[k].max(whole.abs());
            }
        }
    }
    for ((_, what, limit), worst) in loads().into_iter().zip(worst) {
        eprintln!("{what}: {worst:.2} ppm at most, limit {limit}");
    }
}

/// (whole error, what of it the samples have) of each phase, ppm.
fn measure(program: &Path, dir: &Path, amps: f64, hz: f64, seconds: usize) -> [(f64, f64); 3] {
    let config = MeterConfig { start_mw: 100, ..MeterConfig::default() };
    let (samples, ideal) = signal(amps, hz, seconds * RATE as usize);
    arm::write(dir, &config, &calibration(), &samples);
    let (bytes, _) = arm::run(program, dir, "vector", &[], false);
    let windows: Vec<(Cumulative, u64)> = bytes
        .chunks_exact(Cumulative::BYTES + Second::LEN)
        .map(|w| {
            let (cumulative, values) = w.split_at(Cumulative::BYTES);
            let values: Second = decode(values).unwrap();
            (Cumulative::from_bytes(cumulative).unwrap(), values.t_samples)
        })
        .collect();
    let (first, last) = (&windows[SKIPPED], windows.last().unwrap());
    let counted = (first.1 - DELAY) as usize..(last.1 - DELAY) as usize;
    std::array::from_fn(|k| {
        let (lag, _, _) = loads()[k];
        // Import, and inductive while importing.
        let counter = if k == 2 { 2 } else { 0 };
        let grown = energy(&last.0, k, counter) - energy(&first.0, k, counter);
        let range = counted.clone();
        let truth = if k == 2 {
            VOLTS * amps * lag.sin() * range.len() as f64
        } else {
            ideal[range.clone()].iter().map(|p| p[k].0 * p[k].1).sum::<f64>()
        } / RATE;
        // What the quantised current brings into the product with the voltage, or with the voltage a quarter later.
        let angle = |n: usize| TAU * (hz * n as f64 / RATE - k as f64 / 3.0);
        let steps: f64 = range
            .map(|n| {
                let u = if k == 2 { -VOLTS * SQRT_2 * angle(n).cos() } else { ideal[n][k].0 };
                u * ideal[n][k].2
            })
            .sum::<f64>()
            / RATE;
        ((grown / 1000.0 / truth - 1.0) * 1e6, steps / truth * 1e6)
    })
}

/// A counter with its remainder, in mJ.
fn energy(cumulative: &Cumulative, phase: usize, counter: usize) -> f64 {
    let set = &cumulative.counters.phase[phase];
    let counters = [set.a_plus, set.a_minus, set.r[0], set.r[1], set.r[2], set.r[3], set.e_plus, set.e_minus];
    counters[counter] as f64 + cumulative.phase_remainders[phase][counter] as f64 / SUB_QUANTA as f64
}

/// Gain of each channel's front end, its offset in counts, and its lag in ns.
const GAINS: [f64; CHANNELS] = [1.004, 0.997, 1.0, 0.991, 1.006, 1.002, 1.0];
const OFFSETS: [i32; CHANNELS] = [120, -300, 0, 41, -77, 5, 0];
const LAGS: [i32; CHANNELS] = [0, 300, 0, 4_321, -2_345, 60_000, 0];

/// What undoes them.
fn calibration() -> Calibration {
    let mut calibration = Calibration::default();
    for (k, channel) in calibration.channel.iter_mut().enumerate() {
        channel.gain_q30 = (f64::from(1 << 30) / GAINS[k]).round() as i32;
        channel.offset = -OFFSETS[k];
        channel.phase_ns = LAGS[k];
    }
    calibration
}

/// Counts, and of each phase the ideal voltage and current (as the channel's corrected sample stands for them) and by how
/// much quantisation changes the current, in V and A.
type Ideal = [(f64, f64, f64); 3];

fn signal(amps: f64, hz: f64, n: usize) -> (Vec<Sample>, Vec<Ideal>) {
    let mut dither = fastrand::Rng::with_seed(SEED);
    let mut samples = Vec::with_capacity(n);
    let mut ideal = Vec::with_capacity(n);
    for i in 0..n {
        let mut counts = [0; CHANNELS];
        let mut values = Ideal::default();
        for (k, (lag, _, _)) in loads().into_iter().enumerate() {
            let angle = TAU * (hz * i as f64 / RATE - k as f64 / 3.0);
            // The whole phase lags by the voltage channel's own lag, which moves no power.
            let late = |channel: usize| TAU * hz * f64::from(LAGS[channel]) * 1e-9;
            let mut count = |channel: usize, value: f64, full: f64| {
                let steps = value / full * 8_388_608.0 * GAINS[channel] + f64::from(OFFSETS[channel]);
                counts[channel] = (steps + dither.f64() - 0.5).round() as i32;
                (f64::from(counts[channel]) - steps) / GAINS[channel] * full / 8_388_608.0
            };
            let (u, i) = (VOLTS * SQRT_2, amps * SQRT_2);
            count(k, u * (angle - late(k)).sin(), FULL_SCALE.0);
            let off = count(k + 3, i * (angle - lag - late(k + 3)).sin(), FULL_SCALE.1);
            values[k] = (u * (angle - late(k)).sin(), i * (angle - lag - late(k)).sin(), off);
        }
        samples.push(counts);
        ideal.push(values);
    }
    (samples, ideal)
}
