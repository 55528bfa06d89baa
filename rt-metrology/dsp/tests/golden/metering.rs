//! The billing path and the values of a golden vector: what a run brought, and what it is held to.

use super::{Golden, number};
use metrology_dsp::energy::SUB_QUANTA;
use metrology_dsp::{Calibration, Cumulative, MeterConfig, Metrology};
use metrology_link::payload::{EnergySet, Method, Second, Suspect, Valid};
use serde_json::Value as Json;
use std::f64::consts::TAU;

/// Counters and values at the end of each window.
pub type Windows = Vec<(Cumulative, Second)>;

/// Windows left out at the begin: the tracker has to lock.
const SKIPPED: usize = 2;
/// Half a step of a shown power, W: 1 mW.
const SHOWN_W: f64 = 0.0005;

/// Vectors of a steady grid: their values and energies.
pub const STEADY: [&str; 39] = [
    "accuracy-0.01A-pf1",
    "accuracy-0.01A-pf0.5i",
    "accuracy-0.01A-pf0.8c",
    "accuracy-0.01A-pf0.25i",
    "accuracy-0.01A-pf-1",
    "accuracy-10A-pf1",
    "accuracy-10A-pf0.5i",
    "accuracy-10A-pf0.8c",
    "accuracy-10A-pf0.25i",
    "accuracy-10A-pf-1",
    "accuracy-100A-pf1",
    "accuracy-100A-pf0.5i",
    "accuracy-100A-pf0.8c",
    "accuracy-100A-pf0.25i",
    "accuracy-100A-pf-1",
    "frequency-47.5Hz-pf0.5i",
    "frequency-49Hz-pf0.5i",
    "frequency-51Hz-pf0.5i",
    "frequency-52.5Hz-pf0.5i",
    "frequency-60Hz-pf0.5i",
    "voltage-0.8Un-pf0.5i",
    "voltage-1.15Un-pf0.5i",
    "rate-16000",
    "rate-32000",
    "methods-plus3-plus2-minus1",
    "methods-four-quadrants",
    "methods-capacitive",
    "aron-pf1",
    "aron-pf0.5i",
    "aron-pf0.25i",
    "aron-pf0.5c",
    "one-phase-pf0.866i",
    "one-phase-export",
    "threshold-2.3W",
    "harmonics-en50160",
    "half-wave",
    "unbalance-73-80-87",
    "sequence-reversed",
    "neutral-current-wrong",
];

/// The calculation methods that the model tells of, each with the configuration to run it.
pub fn methods(golden: &Golden) -> Vec<(&'static str, MeterConfig)> {
    let told = golden.expect["mean_power_by_method"].as_object().expect("powers by method");
    [("1", Method::PerPhase), ("2", Method::Vector), ("3", Method::Magnitude)]
        .into_iter()
        .filter(|(name, _)| told.contains_key(*name))
        .map(|(name, method)| (name, MeterConfig { method, ..golden.config }))
        .collect()
}

/// Runs a vector through the engine.
pub fn run(golden: &Golden, config: &MeterConfig) -> Windows {
    let mut engine = Metrology::new(config, &Calibration::default()).expect("possible configuration");
    let mut windows = Windows::new();
    for counts in golden.frames() {
        if engine.push(&counts).is_some() {
            windows.push((*engine.cumulative(), *engine.window()));
        }
    }
    windows
}

/// Holds the energies against the powers of the method named, and the values against the means.
pub fn check(golden: &Golden, method: &str, windows: &Windows) {
    assert!(windows.len() >= SKIPPED + 3, "{}: {} windows", golden.id, windows.len());
    let windows = &windows[SKIPPED..];
    check_energies(golden, method, windows);
    check_values(golden, windows);
}

fn check_energies(golden: &Golden, method: &str, windows: &[(Cumulative, Second)]) {
    let (first, last) = (&windows[0], &windows[windows.len() - 1]);
    let seconds = (last.1.t_samples - first.1.t_samples) as f64 / golden.rate();
    let edges = edges(golden, windows);
    let told = &golden.expect["mean_power_by_method"][method];
    let phases = told["phase"].as_object().expect("phases");
    for (name, truth) in phases {
        let k = name.parse::<usize>().expect("a phase") - 1;
        let grown = |c: &Cumulative| energies(&c.counters.phase[k], &c.phase_remainders[k]);
        check_set(
            golden,
            &format!("L{name}"),
            (&grown(&first.0), &grown(&last.0)),
            seconds,
            edges,
            truth,
            apparent(truth),
        );
    }
    let grown = |c: &Cumulative| energies(&c.counters.total, &c.total_remainders);
    // Errors of the phases add up, whatever their signs do to the total.
    let s = phases.values().map(apparent).sum();
    let what = format!("total by method {method}");
    check_set(golden, &what, (&grown(&first.0), &grown(&last.0)), seconds, edges, &told["total"], s);
}

fn apparent(set: &Json) -> f64 {
    number(&set["e_plus"]) + number(&set["e_minus"])
}

/// By how much of S a mean over so many whole samples may be off, for a sine of the model's frequency: the power swings
/// with twice that, and where a window ends within a sample the meter takes all of it. Zero for whole cycles.
fn edge(golden: &Golden, samples: u64) -> f64 {
    let step = TAU * number(&golden.expect["means"]["f_hz"]) / golden.rate();
    let n = samples as f64;
    ((step * n).sin() / (n * step.sin())).abs()
}

/// See [`edge`]: (of the whole, of the windows' mean).
fn edges(golden: &Golden, windows: &[(Cumulative, Second)]) -> (f64, f64) {
    let ends: Vec<u64> = windows.iter().map(|(_, second)| second.t_samples).collect();
    let each = ends.windows(2).map(|w| edge(golden, w[1] - w[0])).sum::<f64>() / (ends.len() - 1) as f64;
    (edge(golden, ends[ends.len() - 1] - ends[0]), each)
}

fn check_set(
    golden: &Golden,
    what: &str,
    ends: (&[f64; 8], &[f64; 8]),
    seconds: f64,
    (whole, each): (f64, f64),
    truth: &Json,
    s: f64,
) {
    let names = ["a_plus", "a_minus", "r1", "r2", "r3", "r4", "e_plus", "e_minus"];
    let mut got: [f64; 8] = std::array::from_fn(|k| (ends.1[k] - ends.0[k]) / seconds);
    let mut truth = names.map(|name| number(&truth[name]));
    let net = truth[0] - truth[1];
    if net.abs() <= power_tolerance(golden, "active_ppm", 0.0, s) {
        // Whether nothing is imported or exported noise decides, in the model too.
        for set in [&mut got, &mut truth] {
            for (to, from) in [(2, 3), (5, 4), (6, 7)] {
                set[to] += std::mem::take(&mut set[from]);
            }
        }
    }
    let active = active_limit(net / s.max(f64::MIN_POSITIVE));
    for (k, name) in names.into_iter().enumerate() {
        let limit = if (2..6).contains(&k) { "reactive_ppm" } else { active };
        let edge = if k < 6 { whole } else { each };
        let tolerance = power_tolerance(golden, limit, truth[k], s) + edge * s;
        golden.within(&format!("{what} {name}"), got[k], truth[k], tolerance);
    }
}

fn active_limit(power_factor: f64) -> &'static str {
    if power_factor.abs() >= 0.9 { "active_ppm" } else { "active_ppm_below_pf_0.9" }
}

fn power_tolerance(golden: &Golden, limit: &str, truth: f64, s: f64) -> f64 {
    (golden.tolerance(limit) * truth.abs() + golden.tolerance("power_floor_ppm_of_s") * s) / 1e6
        + golden.tolerance("power_quantisation_w")
}

/// A+, A−, R1 to R4, E+, E− with their remainders, Ws.
fn energies(set: &EnergySet, remainders: &[u128; 8]) -> [f64; 8] {
    let [r1, r2, r3, r4] = set.r;
    let counters = [set.a_plus, set.a_minus, r1, r2, r3, r4, set.e_plus, set.e_minus];
    std::array::from_fn(|k| (counters[k] as f64 + remainders[k] as f64 / SUB_QUANTA as f64) / 1000.0)
}

fn check_values(golden: &Golden, windows: &[(Cumulative, Second)]) {
    let mean = |value: &dyn Fn(&Second) -> f64| {
        windows.iter().map(|(_, second)| value(second)).sum::<f64>() / windows.len() as f64
    };
    let has = |flag: u32| windows.iter().all(|(_, second)| second.valid.has(flag));
    let means = &golden.expect["means"];
    assert!(has(Valid::F), "{}: no frequency", golden.id);
    golden.near("f", mean(&|s| f64::from(s.f_uhz) / 1e6), &means["f_hz"], "f_hz");
    let (_, each) = edges(golden, windows);
    let current = |truth: f64| golden.tolerance("i_ppm") * truth / 1e6 + golden.tolerance("i_a");
    for (name, truth) in means["phase"].as_object().expect("phases") {
        let k = name.parse::<usize>().expect("a phase") - 1;
        let of = |name: &str| number(&truth[name]);
        let phase = |value: &dyn Fn(&metrology_link::payload::PhaseSecond) -> f64| mean(&|s| value(&s.phase[k]));
        let near = |what: &str, got: f64, truth: f64, tolerance: f64| {
            golden.within(&format!("L{name} {what}"), got, truth, tolerance);
        };
        near("U", phase(&|p| f64::from(p.u_mv) / 1e3), of("u"), golden.tolerance("u_v"));
        near("U DC", phase(&|p| f64::from(p.u_dc_mv) / 1e3), of("u_dc"), golden.tolerance("u_v"));
        near("I", phase(&|p| f64::from(p.i_ua) / 1e6), of("i"), current(of("i")));
        near("I DC", phase(&|p| f64::from(p.i_dc_ua) / 1e6), of("i_dc"), current(of("i_dc").abs()));
        // Below the starting threshold powers are shown as none; without a current there is no power factor to hold.
        if !has(Valid::PF << k) || truth["pf"].is_null() {
            continue;
        }
        let (s, pf) = (of("s"), of("pf"));
        let active = active_limit(pf);
        let power = |limit: &str, truth: f64| power_tolerance(golden, limit, truth, s) + SHOWN_W + each * s;
        near("P", phase(&|p| f64::from(p.p_mw) / 1e3), of("p"), power(active, of("p")));
        near("P1", phase(&|p| f64::from(p.p1_mw) / 1e3), of("p1"), power(active, of("p1")));
        near("Q", phase(&|p| f64::from(p.q_mvar) / 1e3), of("q1"), power("reactive_ppm", of("q1")));
        near("S", phase(&|p| f64::from(p.s_mva) / 1e3), s, power(active, s));
        // P and S are in error by so much of S each.
        let of_s = 2.0 * power(active, s) / s;
        near("PF", phase(&|p| f64::from(p.pf_ppm) / 1e6), pf, of_s);
        near_angle(golden, &format!("L{name} phi"), windows.iter().map(|(_, s)| s.phase[k].phi_mdeg), of("phi"));
        let angle = number(&means["angle"][name]);
        near_angle(golden, &format!("L{name} angle"), windows.iter().map(|(_, s)| s.phase[k].angle_mdeg), angle);
    }
    for (name, flag, value) in
        [("u2", Valid::U2, (|s| s.u2_ppm) as fn(&Second) -> u32), ("u0", Valid::U0, |s| s.u0_ppm)]
    {
        // Two elements have it from the voltages between lines.
        let lines = (name == "u2").then(|| golden.expect["u2_line_percent"].as_f64()).flatten();
        match means[name].as_f64().or(lines) {
            Some(truth) => {
                assert!(has(flag), "{} {name}", golden.id);
                let got = mean(&|s| f64::from(value(s)) / 1e4);
                golden.within(name, got, truth, golden.tolerance("unbalance_percent"));
            }
            // What is shown relates the weaker rotating component to the stronger, whichever way the voltages rotate.
            None if has(Valid::U2) && windows.iter().all(|(_, s)| s.suspect.has(Suspect::REVERSED)) => {}
            None => assert!(windows.iter().all(|(_, s)| !s.valid.has(flag)), "{} {name}: none", golden.id),
        }
    }
    for (name, flag, value) in [
        ("i_n", Valid::I_N, (|s| s.i_n_ua) as fn(&Second) -> u32),
        ("i_n_computed", Valid::I_N_COMPUTED, |s| s.i_n_computed_ua),
    ] {
        match means[name].as_f64() {
            Some(truth) => {
                assert!(has(flag), "{} {name}", golden.id);
                golden.within(name, mean(&|s| f64::from(value(s)) / 1e6), truth, current(truth));
            }
            None => assert!(windows.iter().all(|(_, s)| !s.valid.has(flag)), "{} {name}: none", golden.id),
        }
    }
}

/// The mean of angles of all windows. They are related to the model's first: at the turn they have no mean of their own.
fn near_angle(golden: &Golden, what: &str, angles: impl Iterator<Item = i32>, truth: f64) {
    let off: Vec<f64> = angles.map(|a| (f64::from(a) / 1e3 - truth + 180.0).rem_euclid(360.0) - 180.0).collect();
    let mean = off.iter().sum::<f64>() / off.len() as f64;
    golden.within(what, truth + mean, truth, golden.tolerance("angle_deg"));
}
