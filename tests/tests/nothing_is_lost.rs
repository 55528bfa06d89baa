//! The promise of the whole: whatever happens between the mains and the disk, no energy and no row is lost or doubled.
//!
//! Each test lets meters live through the same eighteen simulated minutes, one undisturbed and others in trouble, and
//! compares what they leave: every register with the coprocessor's counters to the millijoule, with the simulator's
//! true energy, and every row of every logger with the undisturbed one, bit for bit, hash chain included. At the end
//! the loads go, so that all numbers stand still while they are compared.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use meter_core::Durable;
use metergate_tests::process::finish;
use metergate_tests::rig::{Rig, START, Setup, measured};
use metergate_tests::state::{Row, load_rows, rows, settled};
use metergate_tests::{SOON, binary, library, random_seed, skip, tier, wait_for};
use metrology_link::payload::{Counters, EnergySet};
use serde_json::Value;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
/// Two intervals end within, at 12:00 and 12:15.
const LOADS_GONE: i64 = START + 18 * MINUTE;
const END: i64 = START + 21 * MINUTE;
/// 21 minutes in 42 s.
const SPEED: f64 = 30.0;
/// What an idle machine does in 42 s.
const LIFE: Duration = Duration::from_secs(250);
/// 1 Wh in mJ.
const WH: u64 = 3_600_000;
/// What registerd is put through: bit errors in both directions and a page in ten lost.
const BAD_LINK: &str = "bits=1e-4,drop=0.1,dup=0.02,truncate=0.02";
const KILLS: usize = 20;

/// All four quadrants, loads that change, harmonics, a tariff input that moves, and loads that go at the end.
fn scenario() -> String {
    let loads = [
        // phases, W, power factor, more
        ("[1]", 2100, 0.9, "harmonics = [{ order = 3, percent = 12.0 }]"),
        ("[2]", 1900, 0.8, "leading = true"),
        ("[3]", -1500, 0.95, ""),
        ("[1, 2, 3]", 600, 0.97, ""),
        ("[2]", -500, 0.9, "leading = true"),
    ];
    let tariff = "[[input]]\ninput = \"tariff1\"\nat = 432.1\nduration = 245.3\n";
    world(&loads, 40, "[grid]\nu_walk_percent = 1.0\nf_walk_mhz = 30.0\n") + tariff
}

/// A scenario whose loads run until LOADS_GONE and not a moment longer.
fn world(loads: &[(&str, i32, f64, &str)], scatter: u32, grid: &str) -> String {
    // The loads run in the local hour that ends at LOADS_GONE.
    let offset_min = (60 - (LOADS_GONE / MINUTE).rem_euclid(60)).rem_euclid(60);
    let hour = ((LOADS_GONE / MINUTE + offset_min).div_euclid(60) - 1).rem_euclid(24);
    let hours: Vec<_> = (0..24).map(|h| if h == hour { "1.0" } else { "0.0" }).collect();
    let mut text = format!("name = \"reckoning\"\nutc_offset_h = {}\n", offset_min as f64 / 60.0);
    text.push_str(grid);
    for (phases, watts, pf, more) in loads {
        text.push_str(&format!(
            "[[load]]\nkind = \"profile\"\nphases = {phases}\nwatts = {watts}.0\npf = {pf}\nscatter_percent = {scatter}.0\n\
             hours = [{}]\n{more}\n",
            hours.join(", ")
        ));
    }
    text
}

/// What happens to a meter.
#[derive(Clone, Copy, Default)]
struct Trouble {
    faults: &'static str,
    /// `kill -9` of registerd so many times, at moments drawn from this seed.
    kills: Option<u64>,
    /// registerd is killed at the first time and started again at the second.
    absence: Option<(i64, i64)>,
    /// The system clock as registerd sees it: jumps through these offsets (as libfaketime writes them).
    clocks: &'static [&'static str],
}

/// What a meter leaves.
struct Life {
    load: Vec<Row>,
    /// Events of the metrology (what registerd says about itself stands in the same log above code 1000).
    events: Vec<Row>,
    settled: Durable,
    counters: Counters,
    truth: Counters,
    /// What the bus said of A+, mWh.
    a_plus_mwh: i64,
}

fn live(seed: u64, trouble: Trouble) -> Life {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("reckoning.toml");
    std::fs::write(&file, scenario()).expect("write the scenario");
    let file = file.to_string_lossy().into_owned();
    let rig = Rig::without_registerd(Setup {
        speed: SPEED,
        seed,
        scenario: &file,
        faults: trouble.faults,
        ..Setup::default()
    });
    let clock = folder.path().join("clock");
    let start = || match trouble.clocks.first() {
        Some(first) => rig.start_registerd_as(under_another_clock(&rig, &clock, first)),
        None => rig.start_registerd(),
    };
    start();
    let now = || rig.control("state")["utc_us"].as_i64().expect("the world's time");
    let until = |utc: i64| wait_for("simulated time", LIFE, || (now() >= utc).then_some(()));

    if let Some(seed) = trouble.kills {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut moments: Vec<i64> = (0..KILLS).map(|_| random.i64(START + 15 * SECOND..LOADS_GONE)).collect();
        moments.sort_unstable();
        for moment in moments {
            until(moment);
            rig.kill_registerd();
            // Sometimes at once, sometimes late: up to nine simulated seconds without anybody listening.
            std::thread::sleep(Duration::from_millis(random.u64(0..300)));
            start();
        }
    }
    if let Some((from, to)) = trouble.absence {
        until(from);
        rig.kill_registerd();
        until(to);
        start();
    }
    for (n, offset) in trouble.clocks.iter().enumerate() {
        until(START + (3 + 4 * n as i64) * MINUTE);
        std::fs::write(&clock, offset).expect("move the clock");
    }
    until(LOADS_GONE);
    rig.control("faults");
    rig.wait_meter_time(END, LIFE);
    let (_, readings) = rig.wait_readings();
    let a_plus = readings.iter().find(|r| measured(r, "1.1.1.8.0.255")).expect("A+").reading;
    assert_eq!((a_plus.scaler, a_plus.unit), (-3, 30), "A+ is in mWh");
    let counted = counters(&rig.control("counters"));
    let truth = counters(&rig.control("truth"));
    assert_eq!(counters(&rig.control("counters")), counted, "the loads are gone and a counter still moves");
    rig.stop_registerd();
    let state = rig.state();
    verify(&state);
    let events = rows(&state, "status").into_iter().filter(|r| r.values[0] < 1000).collect();
    Life {
        load: load_rows(&state),
        events,
        settled: settled(&state),
        counters: counted,
        truth,
        a_plus_mwh: a_plus.value,
    }
}

fn under_another_clock(rig: &Rig<'_>, file: &Path, offset: &str) -> Command {
    std::fs::write(file, offset).expect("set the clock");
    let mut command = rig.registerd_command();
    command.env("LD_PRELOAD", library("libfaketimeMT.so").expect("checked by the caller"));
    command.env("FAKETIME_TIMESTAMP_FILE", file).env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command
}

fn verify(state: &Path) {
    let mut command = Command::new(binary("metergate"));
    command.args(["verify", "--state"]).arg(state);
    let done = finish(command, SOON);
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
}

fn counters(answer: &Value) -> Counters {
    let number = |v: &Value| v.as_u64().unwrap_or_else(|| panic!("a number in {answer}"));
    let set = |v: &Value| EnergySet {
        a_plus: number(&v["a_plus"]),
        a_minus: number(&v["a_minus"]),
        r: [0, 1, 2, 3].map(|q| number(&v["r"][q])),
        e_plus: number(&v["e_plus"]),
        e_minus: number(&v["e_minus"]),
    };
    Counters { phase: [0, 1, 2].map(|k| set(&answer["phase"][k])), total: set(&answer["total"]) }
}

/// What must hold for every life.
fn reckon(name: &str, life: &Life) {
    assert_eq!(life.settled.counters, life.counters, "{name}: the settled counters are not the coprocessor's");
    assert_eq!(life.settled.registers, life.counters, "{name}: a register is not the coprocessor's counter");
    assert_eq!(life.a_plus_mwh as u64, life.counters.total.a_plus / (WH / 1000), "{name}: the bus tells another A+");
    for (k, (counted, truth)) in life.counters.phase.iter().zip(&life.truth.phase).enumerate() {
        near(name, &format!("L{} A+", k + 1), counted.a_plus, truth.a_plus);
        near(name, &format!("L{} A-", k + 1), counted.a_minus, truth.a_minus);
        for q in 0..4 {
            near(name, &format!("L{} R{}", k + 1, q + 1), counted.r[q], truth.r[q]);
        }
    }
    let used: u64 = life.counters.phase.iter().map(|p| p.a_plus + p.a_minus).sum();
    assert!(used > 500 * WH, "{name}: nothing flowed, so nothing was shown");
    assert!(life.counters.phase.iter().any(|p| p.a_minus > WH), "{name}: nothing was exported");

    // Intervals sum exactly to register differences: each begins where the last ended, and the values are registers.
    assert_eq!(life.load.len(), 2, "{name}: {:?}", life.load);
    for pair in life.load.windows(2) {
        assert_eq!((pair[0].seq + 1, pair[0].end), (pair[1].seq, pair[1].start), "{name}");
        assert!(pair[0].values[..10].iter().zip(&pair[1].values).all(|(a, b)| a <= b), "{name}: a register fell");
    }
    let last = life.load.last().map(|r| r.values.clone()).unwrap_or_default();
    let total = life.settled.registers.total;
    let (a, r) = (last[..2].to_vec(), last[4..8].to_vec());
    assert!(a[0] as u64 <= total.a_plus && a[1] as u64 <= total.a_minus, "{name}: the last row is above the register");
    assert!((0..4).all(|q| r[q] as u64 <= total.r[q]), "{name}: the last row is above a quadrant's register");
}

/// Within 0.1 % or 1 Wh.
fn near(name: &str, what: &str, counted: u64, truth: u64) {
    let error = counted.abs_diff(truth);
    assert!(error <= WH.max(truth / 1000), "{name}: {what} counted {counted} mJ, truth {truth} mJ, {error} off");
}

fn same_rows(name: &str, life: &Life, undisturbed: &Life) {
    assert_eq!(life.load, undisturbed.load, "{name}: a row of the load profile differs");
    let events =
        |life: &Life| -> Vec<_> { life.events.iter().map(|r| (r.start, r.end, r.status, r.values.clone())).collect() };
    assert_eq!(events(life), events(undisturbed), "{name}: an event differs");
    assert!(!life.events.is_empty(), "{name}: no event at all");
    assert_eq!(life.counters, undisturbed.counters, "{name}: the worlds were not the same");
}

/// Lives side by side, each in a thread of its own.
fn lives(seed: u64, troubles: &[Trouble]) -> Vec<Life> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = troubles.iter().map(|t| scope.spawn(move || live(seed, *t))).collect();
        let join = |t: std::thread::ScopedJoinHandle<'_, Life>| match t.join() {
            Ok(life) => life,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        threads.into_iter().map(join).collect()
    })
}

fn bad(kills: u64) -> Trouble {
    Trouble { faults: BAD_LINK, kills: Some(kills), ..Trouble::default() }
}

#[test]
fn kills_and_a_bad_link_lose_nothing() {
    let seeds: &[u64] = if tier("METERGATE_LONG") { &[1, 2, 3, 4, 5, 6, 7, 8] } else { &[1] };
    for seed in seeds {
        let [quiet, first, second] = &lives(*seed, &[Trouble::default(), bad(*seed), bad(seed + 100)])[..] else {
            unreachable!("three lives")
        };
        reckon("undisturbed", quiet);
        for (name, life) in [("first kills", first), ("second kills", second)] {
            reckon(name, life);
            same_rows(name, life, quiet);
        }
    }
}

#[test]
fn a_randomised_run_loses_nothing() {
    let runs = if tier("METERGATE_LONG") { 20 } else { 1 };
    for _ in 0..runs {
        let seed = random_seed();
        let both = lives(seed, &[Trouble::default(), bad(seed)]);
        reckon("undisturbed", &both[0]);
        reckon("disturbed", &both[1]);
        same_rows("disturbed", &both[1], &both[0]);
    }
}

#[test]
fn what_fell_into_an_absence_is_identical_to_a_live_run() {
    // Ten minutes and a half around the end of an interval and both edges of the tariff input.
    let absence = (START + 100 * SECOND, START + 730 * SECOND);
    let trouble = Trouble { absence: Some(absence), ..Trouble::default() };
    let both = lives(3, &[Trouble::default(), trouble]);
    reckon("present", &both[0]);
    reckon("absent", &both[1]);
    same_rows("absent", &both[1], &both[0]);
    let inside = |r: &Row| r.end > absence.0 && r.end < absence.1;
    assert!(both[0].load.iter().any(inside), "no interval ended in the absence: the test shows nothing");
    let edges = i64::from(metrology_link::payload::EventCode::INPUTS_CHANGED.0);
    let edges = both[0].events.iter().filter(|r| inside(r) && r.values[0] == edges).count();
    assert!(edges >= 2, "{edges} tariff edges in the absence: the test shows nothing");
}

#[test]
fn the_system_clock_changes_no_row() {
    if library("libfaketimeMT.so").is_none() {
        return skip("wrong system clocks", "libfaketime is not installed (Debian: faketime)");
    }
    let jumping = Trouble { clocks: &["+10y", "-10y", "+0", "+10y"], ..Trouble::default() };
    let late = Trouble { clocks: &["-10y"], kills: Some(9), ..Trouble::default() };
    let all = lives(4, &[Trouble::default(), jumping, late]);
    for (name, life) in [("jumping", &all[1]), ("ten years late and killed", &all[2])] {
        reckon(name, life);
        same_rows(name, life, &all[0]);
    }
}

/// Warm: memory that is not initialised is found by its CRC. Cold: only the non-volatile memory is left. Killed: the
/// process itself dies in mid-window.
#[test]
fn a_reset_of_the_coprocessor_loses_at_most_a_window_and_says_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("steady.toml");
    let watts = 3000;
    std::fs::write(&file, world(&[("[1, 2, 3]", watts, 1.0, "")], 0, "")).expect("write the scenario");
    let file = file.to_string_lossy().into_owned();
    let rig = Rig::start(Setup { speed: SPEED, seed: 5, scenario: &file, ..Setup::default() });
    rig.wait_ready();
    let boots = || rig.control("counters")["boots"].as_u64().expect("boots");
    let first = boots();
    let down_before = rig.control("counters")["down_us"].as_u64().expect("down-time");
    for (n, kind) in ["reset warm", "reset cold", "reset warm", "kill"].into_iter().enumerate() {
        rig.wait_meter_time(START + (n as i64 + 1) * 50 * SECOND, SOON);
        if kind == "kill" {
            rig.kill_coprocessor();
            rig.start_coprocessor();
        } else {
            rig.control(kind);
        }
        wait_for("the coprocessor's next boot", SOON, || {
            // A reset may begin at any moment of this.
            let counters = rig.counters_if_running()?;
            (counters["boots"].as_u64() == Some(first + n as u64 + 1)).then_some(())
        });
    }
    rig.wait_meter_time(END, LIFE);
    let answer = rig.control("counters");
    let (counted, truth) = (counters(&answer).total.a_plus, counters(&rig.control("truth")).total.a_plus);
    let down_us = answer["down_us"].as_u64().expect("down-time") - down_before;
    let (resets, window_us) = (4, 200_000);
    // W × µs = µJ. The grid is at its nominal voltage here, so the load draws its nominal power; a part in ten
    // thousand is for the front end.
    let energy_of = |us: u64| us * 3 * watts as u64 / 1000;
    let allowed = energy_of(resets * window_us + down_us) + truth / 10_000;
    let missing = truth.saturating_sub(counted);
    eprintln!("{missing} mJ of {truth} are missing after {resets} resets with {down_us} µs of down-time");
    assert!(missing <= allowed, "{missing} mJ are missing, {allowed} allowed for {down_us} µs of down-time");
    assert!(counted <= truth + truth / 10_000, "energy came from nowhere: {counted} mJ of {truth}");
    rig.stop_registerd();
    let state = rig.state();
    verify(&state);
    let settled = settled(&state);
    assert_eq!(settled.registers, settled.counters, "a reset broke the registers' tie to the counters");
    let restart = meter_model::Status::RESTART.0;
    let load = load_rows(&state);
    let marked: Vec<_> = load.iter().map(|r| r.status & restart != 0).collect();
    // The resets fell before and after 12:00; the interval after 12:15 would be unmarked, but has not ended.
    assert_eq!(marked, [true, true], "{load:?}");
    let boot = i64::from(metrology_link::payload::EventCode::BOOT.0);
    let boots = rows(&state, "status").iter().filter(|r| r.values[0] == boot).count();
    assert_eq!(boots as u64, resets + 1, "one event per start");
}
