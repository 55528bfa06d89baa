//! Pulses of the simulated meter against its counters, and against the energy that really flowed.
#![allow(clippy::unwrap_used)] // a failed unwrap fails the test

use metrology_dsp::pulses::{OUTPUTS, Output};
use metrology_link::payload::EventCode;
use metrology_sim::{InProcess, MeterType, Scenario, WorldOptions};

/// 2026-03-02 17:30:00 UTC, a Monday evening.
const EVENING: i64 = 1_772_472_600_000_000;

fn device(meter_type: MeterType, scenario: Scenario) -> InProcess {
    InProcess::new(&WorldOptions { meter_type, scenario, waveform: None, seed: 21 }, EVENING).unwrap()
}

fn count(device: &InProcess, output: Output) -> u64 {
    device.given_pulses().counts[OUTPUTS.iter().position(|o| *o == output).unwrap()]
}

fn a_plus(device: &InProcess) -> u64 {
    device.coprocessor().unwrap().billing().snapshot.counters.total.a_plus
}

// covers: MET-046 SGF-019
#[test]
fn a_household_with_resets_gives_the_pulses_of_its_counter() {
    let mut device = device(MeterType::ThreePhase, Scenario::load("household").unwrap());
    for n in 0..30 {
        device.run(20.0 + 0.173 * f64::from(n));
        match n % 3 {
            0 => device.reset(true),
            1 => device.reset(false),
            _ => {}
        }
        device.run(1.0);
        // On their way: what two windows and the delay earn, and one that is being earned.
        let earned = a_plus(&device) / 3_600_000;
        let given = count(&device, Output::Led);
        assert!(given <= earned && earned - given <= 3, "{given} of {earned}");
        assert_eq!(count(&device, Output::S0), given);
    }
    // Against the true energy that was metered: what resets lost was lost to the counter, too.
    let truth = device.world().truth.counters().total.a_plus - device.world().truth.unmetered().a_plus;
    let given = count(&device, Output::Led);
    println!("{given} pulses, counter {:.3} Wh, truth {:.3} Wh", a_plus(&device) as f64 / 3.6e6, truth as f64 / 3.6e6);
    assert!(given > 100 && given * 3_600_000 <= truth);
}

// covers: MET-046 SGF-019
#[test]
fn behind_transformers_the_light_has_ten_thousand_and_s0_five() {
    let mut device = device(MeterType::Ct, Scenario::load("industry-ct").unwrap());
    device.run(120.0);
    let (light, s0, energy) = (count(&device, Output::Led), count(&device, Output::S0), a_plus(&device));
    assert!(light > 50 && s0 == light / 2, "{light} {s0}");
    assert!((energy / 360_000).abs_diff(light) <= 8, "{light} of {}", energy / 360_000);
}

// covers: MET-045
#[test]
fn below_160_volts_it_is_down_until_the_voltage_is_back() {
    // 65 % of 230 V is above what the supply needs, and below the presence threshold.
    let text = "name = \"low\"\n[[load]]\nkind = \"constant\"\nphases = [1, 2, 3]\nwatts = 6000.0\n\
        [[disturbance]]\nkind = \"dip\"\nat = 5.0\nduration = 10.0\npercent = 65.0\n\
        [[disturbance]]\nkind = \"dip\"\nat = 20.0\nduration = 10.0\npercent = 75.0\n\
        [[disturbance]]\nkind = \"dip\"\nat = 35.0\nduration = 0.9\npercent = 65.0\n\
        [[disturbance]]\nkind = \"dip\"\nat = 40.0\nduration = 5.0\npercent = 65.0\nphases = [1, 3]\n";
    let mut device = device(MeterType::ThreePhase, Scenario::parse(text, "low").unwrap());
    device.run(5.9);
    assert!(device.is_running());
    device.run(0.4);
    assert!(!device.is_running(), "after a second");
    device.run(8.0);
    assert!(!device.is_running(), "as long as it lasts");
    let pulses = device.given_pulses();
    device.run(1.5);
    assert!(device.is_running() && device.starts() == 2);
    let hello = device.coprocessor().unwrap().hello();
    assert_eq!(hello.boots, 2);
    let down = hello.down_us as f64 / 1e6;
    assert!((9.0..9.6).contains(&down), "{down}");
    // 75 %, less than a second, two phases only: it stays up.
    device.run(40.0);
    assert_eq!(device.starts(), 2);
    // Nothing came while it was down, and the pulses are the counter.
    assert!(pulses.counts[0] > 5);
    assert!((a_plus(&device) / 3_600_000) - count(&device, Output::Led) <= 2);
    assert_eq!(EventCode::SHUT_DOWN.name(), Some("shut-down"));
}
