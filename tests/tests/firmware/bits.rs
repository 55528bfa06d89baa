//! The same bytes on ARM and on the host: the billing path with all values, and power quality to the last bit of its
//! single precision.

use crate::arm;
use crate::signal::{self, Sample};
use metrology_dsp::pq::{Done, Notice, PowerQuality};
use metrology_dsp::{Cumulative, Metrology};
use metrology_link::codec::{Wire, encode};
use metrology_link::payload::{Calibration, Grid, MeterConfig, Second};
use std::fmt::Write;
use std::path::Path;

#[test]
fn the_arm_program_counts_bit_for_bit_like_the_host() {
    let Some(program) = arm::program("the_arm_program_counts_bit_for_bit_like_the_host") else { return };
    let dir = tempfile::tempdir().unwrap();
    for rate_hz in [8000, 32_000] {
        let config = MeterConfig { rate_hz, ..MeterConfig::default() };
        let samples = signal::three_phases(f64::from(rate_hz), rate_hz as usize * 8);
        let host = counted(&config, &samples);
        assert!(host.len() > 30 * (Cumulative::BYTES + Second::LEN), "8 s hold some 40 windows");
        assert!(on_arm(&program, dir.path(), "vector", &config, &samples) == host, "ARM and host differ");

        let mut other = samples;
        other[4000][3] += 1000;
        assert!(on_arm(&program, dir.path(), "vector", &config, &other) != host, "one changed sample went unnoticed");
    }
}

#[test]
fn the_arm_program_sees_power_quality_like_the_host() {
    let Some(program) = arm::program("the_arm_program_sees_power_quality_like_the_host") else { return };
    let dir = tempfile::tempdir().unwrap();
    for rate_hz in [8000, 32_000] {
        let config = MeterConfig { rate_hz, ..MeterConfig::default() };
        let mut samples = signal::three_phases(f64::from(rate_hz), rate_hz as usize * 4);
        // A dip of 100 ms after 2 s, to have an event.
        for sample in &mut samples[2 * rate_hz as usize..][..rate_hz as usize / 10] {
            sample[0] /= 2;
        }
        let host = watched(&config, &samples);
        for word in ["Harmonics", "Window", "Dip"] {
            assert!(host.contains(word), "{word}");
        }
        assert_eq!(host.contains("Emission"), rate_hz == 32_000, "bands from 2 to 9 kHz");
        let arm = on_arm(&program, dir.path(), "quality", &config, &samples);
        let arm = String::from_utf8(arm).unwrap();
        for (line, (arm, host)) in arm.lines().zip(host.lines()).enumerate() {
            assert_eq!(arm, host, "{rate_hz} S/s, line {line}");
        }
        assert_eq!(arm.lines().count(), host.lines().count());
    }
}

fn on_arm(program: &Path, dir: &Path, mode: &str, config: &MeterConfig, samples: &[Sample]) -> Vec<u8> {
    arm::write(dir, config, &calibration(), samples);
    arm::run(program, dir, mode, &[], false).0
}

fn calibration() -> Calibration {
    let mut calibration = Calibration::default();
    for (channel, c) in calibration.channel.iter_mut().enumerate() {
        c.gain_q30 += 1_000_000 * channel as i32;
        c.offset = 37 - 11 * channel as i32;
    }
    calibration.channel[3].phase_ns = 4_321;
    calibration
}

fn counted(config: &MeterConfig, samples: &[Sample]) -> Vec<u8> {
    let mut metrology = Metrology::new(config, &calibration()).unwrap();
    let mut out = Vec::new();
    for counts in samples {
        if metrology.push(counts).is_some() {
            out.extend(metrology.cumulative().to_bytes());
            let mut window = [0; Second::LEN];
            encode(metrology.window(), &mut window);
            out.extend(window);
        }
    }
    out
}

/// What the program's mode `quality` writes.
fn watched(config: &MeterConfig, samples: &[Sample]) -> String {
    let mut metrology = Metrology::new(config, &calibration()).unwrap();
    let mut quality = Box::new(PowerQuality::new());
    quality.configure(config, &calibration());
    let grid = Grid { rate_q16: u64::from(config.rate_hz) << 16, ..Grid::default() };
    let mut out = String::new();
    for counts in samples {
        metrology.push(counts);
        let half = metrology.half_cycle();
        let done = quality.push(metrology.samples(), half.as_ref(), &grid);
        let notices: Vec<Notice> = std::iter::from_fn(|| quality.notice()).collect();
        say(&mut out, &done, &quality, &notices);
    }
    out
}

/// Appends what the program's mode `quality` writes of a sample.
pub fn say(out: &mut String, done: &Done, quality: &PowerQuality, notices: &[Notice]) {
    if let Some(channel) = done.channel {
        writeln!(out, "{channel} {:?}", quality.harmonics()).unwrap();
    }
    if done.bands {
        writeln!(out, "{:?}", quality.bands()).unwrap();
    }
    if done.window {
        writeln!(out, "{:?}", quality.window()).unwrap();
    }
    for notice in notices {
        writeln!(out, "{notice:?}").unwrap();
    }
}
