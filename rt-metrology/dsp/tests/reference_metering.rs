//! Energies by calculation method and measured values against the golden vectors of the reference model
//! (`tests/reference`). Without `METERGATE_VECTORS` a test says so and passes.

mod golden;

use golden::metering::{STEADY, check, methods, run};
use golden::{Golden, number};

fn load(id: &str) -> Option<Golden> {
    Golden::load(id).map_err(|reason| eprintln!("SKIPPED: {id}: {reason}")).ok()
}

#[test]
fn reference_energies_and_values() {
    for golden in STEADY.into_iter().filter_map(load) {
        for (method, config) in methods(&golden) {
            check(&golden, method, &run(&golden, &config));
        }
    }
}

/// The control: another method, a wrong expectation and a wrong counter are noticed.
#[test]
fn reference_differences_of_energies_are_noticed() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let Some(mut golden) = load("methods-plus3-plus2-minus1") else { return };
    let runs: Vec<_> = methods(&golden).iter().map(|(_, config)| run(&golden, config)).collect();
    let fails = |golden: &Golden, windows| catch_unwind(AssertUnwindSafe(|| check(golden, "2", windows))).is_err();
    assert!(fails(&golden, &runs[0]) && !fails(&golden, &runs[1]) && fails(&golden, &runs[2]));
    let truth = golden.expect.clone();
    for (place, by) in [
        ("/mean_power_by_method/2/total/a_plus", 1.000_02),
        ("/mean_power_by_method/2/phase/3/a_minus", 0.999_98),
        ("/means/phase/1/i", 1.000_2),
        ("/means/phase/2/u", 1.000_2),
        ("/means/f_hz", 1.000_003),
    ] {
        golden.expect = truth.clone();
        let value = golden.expect.pointer_mut(place).expect("a value");
        *value = (number(value) * by).into();
        assert!(fails(&golden, &runs[1]), "{place}");
    }
    golden.expect = truth;
    let mut windows = runs[1].clone();
    windows.last_mut().expect("a window").0.counters.total.a_plus += 1_000;
    assert!(fails(&golden, &windows), "a joule too much");
}
