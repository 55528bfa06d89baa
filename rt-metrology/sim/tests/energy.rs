//! The coprocessor's counters against the simulator's true energy, over ten simulated minutes, and determinism.
#![allow(clippy::unwrap_used)] // a failed unwrap fails the test

use metrology_link::payload::{Counters, EnergySet};
use metrology_sim::{InProcess, MeterType, Scenario, WorldOptions};

/// 2025-10-15T16:00:00Z: a weekday evening, the house is busy, the sun still up in the west.
const EVENING: i64 = 1_760_544_000_000_000;
/// 2025-06-18T10:00:00Z: near noon in summer.
const NOON: i64 = 1_750_240_800_000_000;
/// One watt-hour, mJ.
const WH: u64 = 3_600_000;

fn device(kind: MeterType, scenario: &str, seed: u64, start: i64) -> InProcess {
    let options = WorldOptions { meter_type: kind, scenario: Scenario::load(scenario).unwrap(), waveform: None, seed };
    InProcess::new(&options, start).unwrap()
}

fn counters(device: &InProcess) -> Counters {
    device.coprocessor().unwrap().billing().snapshot.counters
}

fn near(what: &str, counted: u64, truth: u64) {
    // 0.1 % or 1 Wh, whichever is more.
    let limit = (truth / 1000).max(WH);
    assert!(counted.abs_diff(truth) <= limit, "{what}: counted {counted} mJ, true {truth} mJ, limit {limit}");
}

fn near_set(what: &str, counted: &EnergySet, truth: &EnergySet) {
    near(&format!("{what} A+"), counted.a_plus, truth.a_plus);
    near(&format!("{what} A-"), counted.a_minus, truth.a_minus);
    for q in 0..4 {
        near(&format!("{what} R{}", q + 1), counted.r[q], truth.r[q]);
    }
    near(&format!("{what} E+"), counted.e_plus, truth.e_plus);
    near(&format!("{what} E-"), counted.e_minus, truth.e_minus);
}

fn agrees(kind: MeterType, scenario: &str, seed: u64, start: i64) -> Counters {
    let mut device = device(kind, scenario, seed, start);
    device.run(600.0);
    let truth = &device.world().truth;
    assert_eq!(truth.unmetered(), EnergySet::default());
    let (truth, counted) = (truth.counters(), counters(&device));
    for k in 0..3 {
        near_set(&format!("{kind} {scenario} L{}", k + 1), &counted.phase[k], &truth.phase[k]);
    }
    near_set(&format!("{kind} {scenario} total"), &counted.total, &truth.total);
    counted
}

#[test]
fn three_phases_quiet() {
    let counted = agrees(MeterType::ThreePhase, "quiet", 1, EVENING);
    // 2300 W for ten minutes are 383.33 Wh, 1150 W half of it.
    near("L1", counted.phase[0].a_plus, 1_380_000_000);
    near("L2", counted.phase[1].a_plus, 690_000_000);
    near("L3", counted.phase[2].a_minus, 600_000_000);
}

#[test]
fn three_phases_household_with_front_end_errors() {
    let counted = agrees(MeterType::ThreePhase, "household", 7, EVENING);
    assert!(counted.total.a_plus > 50 * WH);
}

#[test]
fn three_phases_solar_exports() {
    let counted = agrees(MeterType::ThreePhase, "solar", 3, NOON);
    assert!(counted.total.a_minus > 100 * WH, "{counted:?}");
}

#[test]
fn one_phase_household() {
    let counted = agrees(MeterType::OnePhase, "household", 11, EVENING);
    assert!(counted.phase[0].a_plus > 10 * WH && counted.phase[1] == EnergySet::default());
}

#[test]
fn aron_household() {
    let counted = agrees(MeterType::Aron, "household", 13, EVENING);
    assert!(counted.total.a_plus > 50 * WH);
}

#[test]
fn current_transformers_industry() {
    let counted = agrees(MeterType::Ct, "industry-ct", 5, NOON);
    assert!(counted.total.a_plus > 20 * WH);
    agrees(MeterType::CtAron, "industry-ct", 5, NOON);
}

#[test]
fn the_same_seed_gives_the_same_counters_and_another_seed_others() {
    let run = |seed| {
        let mut device = device(MeterType::ThreePhase, "household", seed, EVENING);
        device.run(30.0);
        device.coprocessor().unwrap().billing()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).snapshot.counters, run(2).snapshot.counters);
}

#[test]
fn an_outage_of_all_phases_is_told_as_down_time_and_loses_nothing_else() {
    let mut device = device(MeterType::ThreePhase, "disturbed", 1, EVENING);
    // The outage is at 130 s for 12 s, the hold-up 0.5 s, the start 0.3 s after the return.
    device.run(125.0);
    assert!(device.is_running() && device.starts() == 1);
    device.run(10.0);
    assert!(!device.is_running());
    device.run(15.0);
    assert_eq!((device.is_running(), device.starts()), (true, 2));
    let billing = device.coprocessor().unwrap().billing();
    let down = billing.snapshot.down_us as f64 / 1e6;
    assert!((11.7..12.4).contains(&down), "{down}");
    assert_eq!(billing.snapshot.boots, 2);
    let (truth, counted) = (&device.world().truth, counters(&device));
    // 300 ms of 2800 W until the coprocessor measures again, and one window.
    let seen = truth.counters().total.a_plus - truth.unmetered().a_plus;
    let missing = seen - counted.total.a_plus;
    assert!(missing < seen / 1000 + 2800 * 400, "{missing} of {seen}");
    assert!(truth.unmetered().a_plus > 2000 * 200);
}

#[test]
fn resets_lose_at_most_a_window() {
    for warm in [true, false] {
        let mut device = device(MeterType::ThreePhase, "quiet", 1, EVENING);
        device.run(10.05);
        let before = counters(&device);
        device.reset(warm);
        device.run(1.0);
        assert_eq!(device.starts(), 2);
        let billing = device.coprocessor().unwrap().billing();
        assert!(billing.snapshot.counters.total.a_plus > before.total.a_plus);
        device.run(9.0);
        let (truth, counted) = (&device.world().truth, counters(&device));
        let expected = truth.counters().total.a_plus - truth.unmetered().a_plus;
        // 3450 W: one window when it started, the window that is open now.
        let limit = 3450 * 200 * 2 + expected / 1000;
        assert!(expected - counted.total.a_plus < limit, "warm {warm}: {} of {expected}", counted.total.a_plus);
        let unmetered = truth.unmetered().a_plus;
        let down = device.coprocessor().unwrap().billing().snapshot.down_us;
        // Down-time covers the lost window too, so the energy in it is at least what nobody metered.
        assert!(3450 * down / 1000 >= unmetered, "{down} µs, {unmetered} mJ");
    }
}
