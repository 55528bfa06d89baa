//! A year of a meter in seconds: the same for the same seed, complete, and verifiable.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use metergate_tests::process::{Finished, finish};
use metergate_tests::state::{flip_a_byte, load_rows};
use metergate_tests::{binary, tier};
use serde_json::Value;

/// A year takes half a minute at most on an idle machine; this is a bound for a hanging one.
const YEAR: Duration = Duration::from_secs(280);

fn simulate(state: &Path, days: u32, seed: u64) -> Value {
    let mut command = Command::new(binary("metergate"));
    command.args([
        "simulate",
        "--json",
        "--from",
        "2026-01-01",
        "--days",
        &days.to_string(),
        "--seed",
        &seed.to_string(),
    ]);
    command.arg("--state").arg(state);
    let done = finish(command, YEAR);
    assert_eq!(done.code, Some(0), "{}", done.err);
    serde_json::from_str(&done.out).expect("one JSON document")
}

fn verify(state: &Path) -> Finished {
    let mut command = Command::new(binary("metergate"));
    command.args(["verify", "--state"]).arg(state);
    finish(command, YEAR)
}

/// The hash of the logical content, whatever its key is called.
fn hash(report: &Value) -> String {
    let found = report.as_object().into_iter().flatten().find(|(k, _)| k.contains("hash")).map(|(_, v)| v);
    let text = found.and_then(Value::as_str).unwrap_or_else(|| panic!("no hash in {report}"));
    assert_eq!(text.len(), 64, "{text}");
    text.to_owned()
}

#[test]
fn a_year_has_every_row_and_verifies() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let report = simulate(folder.path(), 365, 1);
    let rows = load_rows(folder.path());
    assert_eq!(rows.len(), 35_040, "{report}");
    // Each interval ends where the next begins, and no register ever goes back.
    for pair in rows.windows(2) {
        assert_eq!((pair[0].seq + 1, pair[0].end), (pair[1].seq, pair[1].start));
        assert!(pair[0].values.iter().zip(&pair[1].values).take(10).all(|(a, b)| a <= b), "{pair:?}");
    }
    let first = rows.first().expect("a row");
    let last = rows.last().expect("a row");
    assert!(last.values[0] - first.values[0] > 1_000 * 3_600_000_000, "a house that used less than 1000 kWh in a year");
    let done = verify(folder.path());
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
}

#[test]
fn the_same_seed_gives_the_same_life_and_another_seed_another() {
    let days = if tier("METERGATE_LONG") { 365 } else { 40 };
    let run = |seed| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let report = simulate(folder.path(), days, seed);
        (hash(&report), load_rows(folder.path()))
    };
    let (first, again, other) = (run(5), run(5), run(6));
    assert_eq!(first.0, again.0);
    assert!(first.1 == again.1, "the same hash over different rows");
    assert_ne!(first.0, other.0);
}

#[test]
fn a_flipped_byte_is_found_and_its_row_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    simulate(folder.path(), 10, 7);
    assert_eq!(verify(folder.path()).code, Some(0), "the control: an untouched state verifies");
    for seq in [1, 480, 960] {
        let undo = flip_a_byte(folder.path(), seq);
        let done = verify(folder.path());
        assert_eq!(done.code, Some(1), "a flipped byte in row {seq} went unseen: {}", done.out);
        let named =
            done.out.lines().chain(done.err.lines()).any(|l| l.contains("load") && l.contains(&seq.to_string()));
        assert!(named, "row {seq} is not named:\n{}\n{}", done.out, done.err);
        undo();
        assert_eq!(verify(folder.path()).code, Some(0), "the byte is back and it still fails");
    }
}

#[test]
fn a_state_that_exists_is_not_written_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    simulate(folder.path(), 2, 1);
    let before = load_rows(folder.path());
    let mut command = Command::new(binary("metergate"));
    command.args(["simulate", "--from", "2026-01-01", "--days", "2", "--seed", "2", "--state"]).arg(folder.path());
    let done = finish(command, YEAR);
    assert_eq!(done.code, Some(1), "a second life on the same state");
    assert_eq!(done.err.lines().count(), 1, "{}", done.err);
    assert!(load_rows(folder.path()) == before);
}
