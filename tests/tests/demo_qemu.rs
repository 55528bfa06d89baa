//! One command runs a whole meter around the coprocessor's real ARM program: measured values come from the Cortex-M4F code.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use metergate_tests::process::{Finished, Process, children_of, command_line, finish, is_alive};
use metergate_tests::{SOON, binary, skip, wait_for};
use serde_json::Value;

#[path = "firmware/arm.rs"]
#[allow(dead_code, reason = "only the program is of use here")]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
mod arm;

fn start(program: &Path, state: &Path) -> Process {
    let mut command = Command::new(binary("metergate"));
    command.args(["demo", "--headless", "--seed", "5", "--speed", "5", "--state"]).arg(state);
    command.arg(format!("--qemu={}", program.display()));
    let mut demo = Process::start(command);
    demo.expect_line("ready", Duration::from_secs(60), |l| l == "ready");
    demo
}

fn tool(bus: &str, args: &[&str]) -> Finished {
    let mut command = Command::new(binary("metergate"));
    command.args(args).env("METERGATE_BUS", bus);
    finish(command, SOON)
}

/// A reading in its unit; `None` while it is absent.
fn read(bus: &str, obis: &str) -> Option<f64> {
    let done = tool(bus, &["read", "--json", obis]);
    let all: Value = serde_json::from_str(&done.out).ok()?;
    Some(all[0]["value"].as_i64()? as f64 * 10f64.powi(all[0]["scaler"].as_i64()? as i32))
}

/// All processes below this one.
fn descendants(pid: u32) -> Vec<u32> {
    let mut all = children_of(pid);
    let mut at = 0;
    while let Some(pid) = all.get(at).copied() {
        all.extend(children_of(pid));
        at += 1;
    }
    all
}

#[test]
fn the_demo_measures_with_the_arm_program_and_stops_cleanly() {
    let name = "the_demo_measures_with_the_arm_program_and_stops_cleanly";
    let Some(program) = arm::program(name) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    if folder.path().to_string_lossy().contains([' ', ',']) {
        return skip(name, "the temporary folder has a blank or a comma, which QEMU's arguments cannot");
    }
    let state = folder.path().join("house");
    let mut demo = start(&program, &state);
    let endpoints = std::fs::read_to_string(state.join("endpoints.json")).expect("endpoints.json");
    let endpoints: Value = serde_json::from_str(&endpoints).expect("JSON in endpoints.json");
    let bus = endpoints["bus"].as_str().expect("the address of the bus").to_owned();

    let processes = descendants(demo.pid());
    let emulators = processes.iter().filter(|pid| command_line(**pid).contains("qemu-system-arm"));
    assert_eq!(emulators.count(), 1, "{:?}", processes.iter().map(|p| command_line(*p)).collect::<Vec<_>>());

    for (what, obis, range) in [
        ("U1", "32.7.0", 207.0..=253.0),
        ("U2", "52.7.0", 207.0..=253.0),
        ("U3", "72.7.0", 207.0..=253.0),
        ("f", "14.7.0", 49.5..=50.5),
    ] {
        let value = wait_for(what, SOON, || read(&bus, obis));
        assert!(range.contains(&value), "{what} is {value}");
    }
    let first = wait_for("energy", SOON, || read(&bus, "1.8.0").filter(|e| *e > 0.0));
    let later = wait_for("more energy", SOON, || read(&bus, "1.8.0").filter(|e| *e > first));
    assert!(later > first);

    assert!(demo.terminate().success(), "SIGTERM is a clean stop");
    for pid in processes {
        wait_for("the end of what it started, the emulator too", SOON, || (!is_alive(pid)).then_some(()));
    }
    assert!(!state.join("endpoints.json").exists(), "endpoints.json stays only while something runs");
    let mut verify = Command::new(binary("metergate"));
    verify.args(["verify", "--state"]).arg(&state);
    let verify = finish(verify, SOON);
    assert_eq!(verify.code, Some(0), "{}{}", verify.out, verify.err);
}
