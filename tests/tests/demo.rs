//! One command runs a whole meter: it gets ready, tells where it is, restarts what dies, and leaves nothing behind.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use metergate_tests::process::{Finished, Process, children_of, command_line, finish, is_alive};
use metergate_tests::rig::on_bus;
use metergate_tests::suite::bus_suite;
use metergate_tests::{SOON, binary, root, wait_for};
use rustix::process::Signal;
use serde_json::Value;

fn command(state: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(binary("metergate"));
    command.args(["demo", "--headless", "--state"]).arg(state).args(more);
    command
}

fn start(state: &Path, more: &[&str]) -> Process {
    let mut demo = Process::start(command(state, more));
    demo.expect_line("ready", Duration::from_secs(60), |l| l == "ready");
    demo
}

fn endpoints(state: &Path) -> Value {
    let text = std::fs::read_to_string(state.join("endpoints.json")).expect("endpoints.json");
    serde_json::from_str(&text).expect("JSON in endpoints.json")
}

fn bus(state: &Path) -> String {
    endpoints(state)["bus"].as_str().expect("the address of the bus").to_owned()
}

fn tool(bus: &str, args: &[&str]) -> Finished {
    let mut command = Command::new(binary("metergate"));
    command.args(args).env("METERGATE_BUS", bus);
    finish(command, SOON)
}

fn read_json(bus: &str, obis: &str) -> Value {
    let done = tool(bus, &["read", "--json", obis]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let all: Value = serde_json::from_str(&done.out).expect("one JSON document");
    all.as_array().and_then(|a| a.first()).cloned().expect("one reading")
}

/// The children of a demo, by the word that says what each is.
fn child(demo: &Process, what: &str) -> u32 {
    let all = children_of(demo.pid());
    let found = all.iter().find(|pid| command_line(**pid).split(' ').nth(1) == Some(what));
    *found.unwrap_or_else(|| panic!("no {what} among {:?}", all.iter().map(|p| command_line(*p)).collect::<Vec<_>>()))
}

#[test]
fn it_gets_ready_answers_and_stops_cleanly() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = folder.path().join("house");
    let mut demo = start(&state, &["--speed", "20", "--seed", "3"]);
    assert_eq!(demo.stdout(), ["ready"], "nothing but the one word on stdout");
    let bus = bus(&state);
    let u1 = read_json(&bus, "32.7.0");
    assert_eq!(u1["obis"], "1.1.32.7.0.255");
    let volts =
        u1["value"].as_i64().expect("an integer") as f64 * 10f64.powi(u1["scaler"].as_i64().expect("a scaler") as i32);
    assert!((180.0..280.0).contains(&volts), "{u1}");
    assert!(u1["at"].as_str().is_some_and(|t| t.ends_with('Z')), "{u1}");

    let children = [child(&demo, "coprocessor"), child(&demo, "registerd")];
    assert!(demo.terminate().success(), "SIGTERM is a clean stop");
    for pid in children {
        wait_for("the children's end", SOON, || (!is_alive(pid)).then_some(()));
    }
    assert!(!state.join("endpoints.json").exists(), "endpoints.json stays only while something runs");
    let verify = finish_verify(&state);
    assert_eq!(verify.code, Some(0), "{}{}", verify.out, verify.err);
}

fn finish_verify(state: &Path) -> Finished {
    let mut command = Command::new(binary("metergate"));
    command.args(["verify", "--state"]).arg(state);
    finish(command, SOON)
}

#[test]
fn the_bus_tests_pass_on_its_private_bus() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = folder.path().join("house");
    let _demo = start(&state, &["--speed", "60", "--seed", "4"]);
    on_bus(&bus(&state), &[], bus_suite);
}

#[test]
fn a_second_demo_gets_one_line_and_the_first_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = folder.path().join("house");
    let mut first = start(&state, &[]);
    let before = endpoints(&state);
    let second = finish(command(&state, &[]), SOON);
    assert_eq!(second.code, Some(1));
    assert_eq!(second.out, "", "nothing on stdout");
    assert_eq!(second.err.lines().count(), 1, "one line: {}", second.err);
    assert!(second.err.contains("demo") && second.err.contains(&*state.to_string_lossy()), "{}", second.err);
    assert!(first.is_running());
    assert_eq!(endpoints(&state), before);
    read_json(&bus(&state), "1.8.0");
}

#[test]
fn children_die_with_their_parent() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = folder.path().join("house");
    let mut demo = start(&state, &[]);
    let children = children_of(demo.pid());
    assert!(children.len() >= 2, "coprocessor and registerd are processes of their own");
    demo.kill();
    for pid in &children {
        wait_for(&format!("the end of {}", command_line(*pid)), SOON, || (!is_alive(*pid)).then_some(()));
    }
    // And the folder is free again.
    let mut again = start(&state, &[]);
    assert!(again.terminate().success());
}

#[test]
fn what_dies_is_started_again_and_registers_only_grow() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = folder.path().join("house");
    let demo = start(&state, &["--speed", "60"]);
    let address = bus(&state);
    let energy = |what: &str| {
        wait_for(what, SOON, || {
            let done = tool(&address, &["read", "--json", "1.8.0"]);
            let all: Value = serde_json::from_str(&done.out).ok()?;
            all[0]["value"].as_i64().filter(|v| *v > 0)
        })
    };
    let mut last = energy("the first energy");
    for what in ["registerd", "coprocessor", "registerd"] {
        let pid = child(&demo, what);
        let raw = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
        rustix::process::kill_process(raw, Signal::KILL).expect("kill a child");
        wait_for("another process in its place", SOON, || {
            let now = children_of(demo.pid());
            now.iter().any(|p| *p != pid && command_line(*p).split(' ').nth(1) == Some(what)).then_some(())
        });
        let now = wait_for("growing energy", SOON, || Some(energy("energy")).filter(|e| *e > last));
        assert!(now > last, "A+ went from {last} to {now} after a kill of {what}");
        last = now;
    }
}

#[test]
fn it_runs_on_a_recorded_grid() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // 50 Hz, 230 V, 10 A in phase on L1, one second at 4 kS/s with a header line.
    let mut csv = String::from("t,U1,I1\n");
    for n in 0..4000 {
        let t = f64::from(n) / 4000.0;
        let s = (t * 50.0 * std::f64::consts::TAU).sin();
        csv.push_str(&format!("{t:.6},{:.4},{:.5}\n", s * 230.0 * 2f64.sqrt(), s * 10.0 * 2f64.sqrt()));
    }
    let record = folder.path().join("grid.csv");
    std::fs::write(&record, csv).expect("write the record");
    let state = folder.path().join("house");
    let channels = "U1=U1,I1=I1";
    let _demo = start(&state, &["--type", "1p", "--waveform", &record.to_string_lossy(), "--channels", channels]);
    let bus = bus(&state);
    let power = wait_for("2300 W", SOON, || {
        let p = read_json(&bus, "1.7.0");
        let w = p["value"].as_i64()? as f64 * 10f64.powi(p["scaler"].as_i64()? as i32);
        ((2270.0..2330.0).contains(&w)).then_some(w)
    });
    assert!(power > 0.0);
}

/// Wrong use is told in one line, before anything is started or written.
#[test]
fn what_cannot_run_is_said_in_one_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("write a file");
    let unknown = finish(command(&folder.path().join("a"), &["--scenario", "no-such-town"]), SOON);
    assert_eq!(unknown.code, Some(1), "{}", unknown.err);
    assert!(unknown.err.lines().any(|l| l.contains("no-such-town")), "{}", unknown.err);
    let not_a_folder = finish(command(&file.join("b"), &[]), SOON);
    assert_eq!((not_a_folder.code, not_a_folder.err.lines().count()), (Some(1), 1), "{}", not_a_folder.err);
    let usage = finish(command(&folder.path().join("c"), &["--type", "5p"]), SOON);
    assert_eq!(usage.code, Some(2), "{}", usage.err);
    let shipped = root().join("config/scenarios");
    assert!(std::fs::read_dir(shipped).expect("shipped scenarios").count() > 0);
}
