//! The real Cortex-M4F program in QEMU gives the same bytes as the host build of the same engine.
//!
//! The samples go through a file (semihosting); what each window left, counters with their remainders and all
//! measured values, is compared byte for byte. A control with one changed sample must differ.

use metergate_tests::skip;
use metrology_dsp::{CHANNELS, Cumulative, Metrology};
use metrology_link::codec::{Wire, encode};
use metrology_link::payload::{Calibration, MeterConfig, Second};
use std::f64::consts::TAU;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const NAME: &str = "the_arm_program_counts_bit_for_bit_like_the_host";
const RECORDS_PER_READ: usize = 160;

#[test]
fn the_arm_program_counts_bit_for_bit_like_the_host() {
    let Some(program) = build() else { return };
    let dir = tempfile::tempdir().unwrap();
    let samples = signal(8 * RECORDS_PER_READ * 50);
    let host = on_host(&samples);
    assert!(host.len() > 30 * (Cumulative::BYTES + Second::LEN), "8 s hold some 40 windows");
    assert!(on_arm(&program, dir.path(), &samples) == host, "ARM and host differ");

    let mut other = samples;
    other[4000][3] += 1000;
    assert!(on_arm(&program, dir.path(), &other) != host, "one changed sample went unnoticed");
}

/// Three phases at 49.7 Hz with harmonics, a lagging, an exporting and a small load, in counts.
fn signal(n: usize) -> Vec<[i32; CHANNELS]> {
    (0..n)
        .map(|i| {
            let t = i as f64 / 8000.0;
            let mut out = [0; CHANNELS];
            for (k, (amps, lag)) in [(40.0, 1.0), (12.0, 3.4), (0.05, 0.2)].into_iter().enumerate() {
                let a = TAU * (49.7 * t - k as f64 / 3.0);
                let u = 325.0 * a.sin() + 16.0 * (5.0 * a).sin();
                let i = amps * (a - lag).sin() + amps * 0.3 * (3.0 * a).sin();
                out[k] = (u / 600.0 * 8_388_608.0) as i32;
                out[3 + k] = (i / 200.0 * 8_388_608.0) as i32;
            }
            out
        })
        .collect()
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

fn on_host(samples: &[[i32; CHANNELS]]) -> Vec<u8> {
    let mut metrology = Metrology::new(&MeterConfig::default(), &calibration()).unwrap();
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

fn on_arm(program: &Path, dir: &Path, samples: &[[i32; CHANNELS]]) -> Vec<u8> {
    let (input, output) = (dir.join("in"), dir.join("out"));
    let mut bytes = b"MGVEC\0\0\x01".to_vec();
    structure(&MeterConfig::default(), &mut bytes);
    structure(&calibration(), &mut bytes);
    bytes.extend(samples.iter().flatten().flat_map(|c| c.to_le_bytes()));
    fs::write(&input, bytes).unwrap();
    let done = Command::new("timeout")
        .args(["120", "qemu-system-arm", "-M", "mps2-an386", "-display", "none", "-monitor", "none", "-serial", "none"])
        .arg("-semihosting-config")
        .arg(format!("enable=on,target=native,arg=vector,arg={},arg={}", input.display(), output.display()))
        .arg("-kernel")
        .arg(program)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(done.status.success(), "QEMU: {done:?}");
    fs::read(&output).unwrap()
}

fn structure<T: Wire>(value: &T, out: &mut Vec<u8>) {
    let mut bytes = [0; 512];
    let n = encode(value, &mut bytes);
    assert_ne!(n, 0);
    out.extend((n as u16).to_le_bytes());
    out.extend(&bytes[..n]);
}

/// Builds the board's program, or tells why not.
fn build() -> Option<PathBuf> {
    if Command::new("qemu-system-arm").arg("--version").output().is_err() {
        skip(NAME, "qemu-system-arm is not installed");
        return None;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rt-metrology/firmware");
    // From its own folder: the target stands in its .cargo/config.toml. No settings of the surrounding cargo.
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--release", "--locked"]).current_dir(&folder);
    for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("CARGO_")) {
        if name != "CARGO_HOME" {
            cargo.env_remove(name);
        }
    }
    let built = cargo.output().unwrap();
    let message = String::from_utf8_lossy(&built.stderr);
    if !built.status.success() && message.contains("may not be installed") {
        skip(NAME, "the target thumbv7em-none-eabihf is not installed (rustup target add thumbv7em-none-eabihf)");
        return None;
    }
    assert!(built.status.success(), "{message}");
    let program = folder.join("target/thumbv7em-none-eabihf/release/qemu-an386");
    let head = fs::read(&program).unwrap();
    // An ELF for machine 40 (Arm), not for the host: a wrong folder would have built that without a word.
    assert_eq!((&head[..4], head[18]), (&b"\x7fELF"[..], 40));
    Some(program)
}
