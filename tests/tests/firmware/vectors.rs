//! The ARM program against the golden vectors of the reference model, within the limits that the host build is held to
//! (`rt-metrology/dsp/tests/golden`, the very same code).
//!
//! Energies and values are compared as the program wrote them. Of power quality it writes text, exact to the last bit: that
//! must be the text of the run on the host to the letter, whose values are then held against the model.

#[path = "../../../rt-metrology/dsp/tests/golden/mod.rs"]
mod golden;

use crate::arm;
use crate::bits::say;
use golden::metering::{self, Windows};
use golden::quality::Vector;
use golden::{Golden, number};
use metergate_tests::skip;
use metrology_dsp::pq::Value;
use metrology_dsp::{CHANNELS, Cumulative};
use metrology_link::codec::{Wire, decode};
use metrology_link::payload::{Calibration, MeterConfig, Second};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The program and a folder to work in, or tells why not.
fn prepared(test: &str) -> Option<(PathBuf, TempDir)> {
    if let Err(reason) = golden::folder() {
        skip(test, &reason);
        return None;
    }
    Some((arm::program(test)?, tempfile::tempdir().unwrap()))
}

fn load(id: &str) -> Golden {
    Golden::load(id).unwrap_or_else(|reason| panic!("{id}: {reason}"))
}

/// The samples in whole blocks: the last of them is repeated, for the program drops what is left over.
fn samples(golden: &Golden) -> Vec<[i32; CHANNELS]> {
    let mut samples: Vec<_> = golden.frames().collect();
    let last = *samples.last().unwrap();
    samples.resize(samples.len().next_multiple_of(arm::BLOCK), last);
    samples
}

fn metered(program: &Path, dir: &Path, config: &MeterConfig, samples: &[[i32; CHANNELS]]) -> Windows {
    arm::write(dir, config, &Calibration::default(), samples);
    let (bytes, _) = arm::run(program, dir, "vector", &[], false);
    bytes
        .chunks_exact(Cumulative::BYTES + Second::LEN)
        .map(|window| {
            let (cumulative, values) = window.split_at(Cumulative::BYTES);
            (Cumulative::from_bytes(cumulative).unwrap(), decode(values).unwrap())
        })
        .collect()
}

#[test]
fn golden_energies_and_values_on_arm() {
    let Some((program, dir)) = prepared("golden_energies_and_values_on_arm") else { return };
    let mut runs = 0;
    for id in metering::STEADY {
        let golden = load(id);
        let samples = samples(&golden);
        for (method, config) in metering::methods(&golden) {
            metering::check(&golden, method, &metered(&program, dir.path(), &config, &samples));
            runs += 1;
        }
    }
    eprintln!("{} vectors, {runs} runs", metering::STEADY.len());
}

/// The control: another method, a wrong expectation and a wrong sample are noticed.
#[test]
fn golden_differences_of_energies_on_arm_are_noticed() {
    let Some((program, dir)) = prepared("golden_differences_of_energies_on_arm_are_noticed") else { return };
    let mut golden = load("methods-plus3-plus2-minus1");
    let mut counts = samples(&golden);
    let methods = metering::methods(&golden);
    let windows = metered(&program, dir.path(), &methods[1].1, &counts);
    let fails = |golden: &Golden, method: &str, windows: &Windows| {
        catch_unwind(AssertUnwindSafe(|| metering::check(golden, method, windows))).is_err()
    };
    assert!(!fails(&golden, "2", &windows));
    assert!(fails(&golden, "1", &windows) && fails(&golden, "3", &windows), "another method");
    let value = golden.expect.pointer_mut("/mean_power_by_method/2/total/a_plus").unwrap();
    *value = (number(value) * 1.000_02).into();
    assert!(fails(&golden, "2", &windows), "20 ppm");
    let golden = load("methods-plus3-plus2-minus1");
    for frame in &mut counts {
        frame[3] += frame[3] / 40_000; // 25 ppm of a current
    }
    assert!(fails(&golden, "2", &metered(&program, dir.path(), &methods[1].1, &counts)), "wrong samples");
}

/// What the program writes of the samples.
fn watched(program: &Path, dir: &Path, golden: &Golden, signalling_hz: Option<f32>) -> String {
    arm::write(dir, &golden.config, &Calibration::default(), &samples(golden));
    let start = golden.start_utc_us.to_string();
    let tenths = signalling_hz.map(|hz| ((hz * 10.0).round() as i64).to_string());
    let words: Vec<&str> = [Some(&start), tenths.as_ref()].into_iter().flatten().map(String::as_str).collect();
    String::from_utf8(arm::run(program, dir, "quality", &words, false).0).unwrap()
}

/// Runs a vector on the host and on ARM; both must say the same.
fn replayed(program: &Path, dir: &Path, id: &str, signalling_hz: Option<f32>) -> Vector {
    let golden = load(id);
    assert_eq!(golden.frames().count() % arm::BLOCK, 0, "{id}: the program would see other samples");
    let arm = watched(program, dir, &golden, signalling_hz);
    let mut host = String::new();
    let vector = Vector::run(golden, signalling_hz, 0, |done, quality, notices| say(&mut host, done, quality, notices));
    for (line, (arm, host)) in arm.lines().zip(host.lines()).enumerate() {
        assert_eq!(arm, host, "{id}, line {line}");
    }
    assert_eq!(arm.len(), host.len(), "{id}");
    vector
}

#[test]
fn golden_spectra_and_unbalance_on_arm() {
    let Some((program, dir)) = prepared("golden_spectra_and_unbalance_on_arm") else { return };
    let run = |id, hz| replayed(&program, dir.path(), id, hz);
    for id in ["harmonics-en50160", "harmonics-en50160-49.3Hz", "interharmonics", "phase-fired"] {
        let vector = run(id, None);
        vector.check_spectra();
        vector.check_means();
    }
    for id in ["unbalance-73-80-87", "unbalance-angles", "phase-loss-L2", "neutral-displaced-60V", "rate-32000"] {
        run(id, None).check_means();
    }
    run("signalling-316.7Hz", Some(316.7)).check_signalling();
    run("bands-2-9-kHz", None).check_bands();
}

#[test]
fn golden_events_frequency_and_ticks_on_arm() {
    let Some((program, dir)) = prepared("golden_events_frequency_and_ticks_on_arm") else { return };
    let run = |id| replayed(&program, dir.path(), id, None);
    for id in [
        "dip-70-10cycles",
        "dip-70-45deg-1.5cycles",
        "dip-polyphase-staggered",
        "dip-hysteresis-hold",
        "swell-115",
        "interruption-3-phases",
        "interruption-2-phases",
    ] {
        run(id).check_events();
    }
    for id in ["rvc-6-percent", "rvc-becomes-dip"] {
        let vector = run(id);
        vector.check_events();
        vector.check_rapid_changes();
    }
    run("frequency-10s").check_ten_seconds();
    run("aggregation-tick").check_tick();
}

/// The control: another sample changes what ARM says, and a wrong expectation or value is noticed.
#[test]
fn golden_differences_of_quality_on_arm_are_noticed() {
    let Some((program, dir)) = prepared("golden_differences_of_quality_on_arm_are_noticed") else { return };
    let mut vector = replayed(&program, dir.path(), "unbalance-angles", None);
    let said = watched(&program, dir.path(), &vector.golden, None);
    let mut other = load("unbalance-angles");
    other.start_utc_us += 599_000_000; // a ten-minute tick falls into the record
    assert!(said != watched(&program, dir.path(), &other, None), "another time");
    let mut counts = samples(&vector.golden);
    counts[5000][1] += 100_000; // 7 V: power quality keeps 12 bits of a sample
    arm::write(dir.path(), &vector.golden.config, &Calibration::default(), &counts);
    let start = vector.golden.start_utc_us.to_string();
    let changed = arm::run(&program, dir.path(), "quality", &[&start], false).0;
    assert!(said.as_bytes() != changed, "another sample");

    let fails = |vector: &Vector| catch_unwind(AssertUnwindSafe(|| vector.check_means())).is_err();
    assert!(!fails(&vector));
    let truth = vector.golden.expect.clone();
    let value = vector.golden.expect.pointer_mut("/means/u2").unwrap();
    *value = (number(value) * 1.01).into();
    assert!(fails(&vector), "a wrong expectation");
    vector.golden.expect = truth;
    vector.windows[0].values[Value::U as usize + 1] = Some(230.0);
    assert!(fails(&vector), "a wrong value");
}
