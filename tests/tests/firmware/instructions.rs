//! Instructions per sample and per window on the Cortex-M4F, counted by QEMU, held by a lock, and what they mean for the
//! real part.

use crate::arm;
use crate::signal;
use metergate_tests::{root, tier};
use metrology_dsp::Metrology;
use metrology_link::payload::{Calibration, ChannelCalibration, MeterConfig};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Clock of the real part, and the share of it that measuring may take.
const CLOCK_HZ: f64 = 170e6;
const SHARE: f64 = 0.35;
/// Cycles per instruction; derived in the firmware's README.
const CPI: f64 = 1.6;
/// Growth that the lock lets pass: what another build order does.
const TOLERANCE: f64 = 1.03;
/// Samples that a board has to queue: so many wait at most while the engine closes a window.
const QUEUE: f64 = 64.0;
/// What does not keep within the share yet; see the firmware's README.
const NOT_YET: [(u32, &str); 2] = [(16_000, "quality"), (32_000, "quality")];

const LOCK: &str = "rt-metrology/firmware/instructions.lock";
const HEAD: &str = "\
# Instructions of the Cortex-M4F for one sample of seven channels, counted by QEMU. Held by a test, see the README.
# rate   what      mean    worst  window   (any sample; any that closes no window; any that closes one)
";

/// One second and a half of signal, from which the first third is left out: nothing is locked yet.
const LENGTH_S: f64 = 1.5;
const SKIPPED_S: f64 = 0.5;

#[derive(Clone, Copy, Debug)]
struct Counted {
    rate_hz: u32,
    what: &'static str,
    /// Over all samples; the worst that closes no window; the worst that closes one.
    values: [f64; 3],
    /// Samples that wait at most while a longer one is worked on.
    waiting: f64,
}

/// To accept more: `METERGATE_BLESS=1 cargo test -p metergate-tests --test firmware instructions`, and review the diff.
#[test]
fn instructions_per_sample_and_window_stay_within_their_lock_and_the_real_part() {
    let Some(program) = arm::program("instructions_per_sample_and_window_stay_within_their_lock_and_the_real_part")
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut lines = String::from(HEAD);
    let mut all = Vec::new();
    for rate_hz in [8000, 16_000, 32_000] {
        for what in ["engine", "quality"] {
            let counted = count(&program, dir.path(), rate_hz, what);
            let [mean, worst, window] = counted.values;
            writeln!(lines, "{rate_hz:6}   {what:7} {mean:6.0}   {worst:6.0}  {window:6.0}").unwrap();
            let share = mean * f64::from(rate_hz) * CPI / CLOCK_HZ;
            let waiting = counted.waiting;
            eprintln!(
                "{rate_hz:6} S/s {what:7}: mean {mean:.0}, worst {worst:.0}, window {window:.0}: {:.1} M/s, {:.1} % of 170 MHz at {CPI} cycles, {waiting:.1} samples wait",
                mean * f64::from(rate_hz) / 1e6,
                share * 100.0
            );
            if !NOT_YET.contains(&(rate_hz, what)) {
                assert!(share <= SHARE, "{rate_hz} S/s, {what}: {share:.3} of the clock");
            }
            // Spectra are made in steps of up to 70 000 instructions, which a board has to do below the samples.
            assert!(what != "engine" || waiting <= QUEUE, "{rate_hz} S/s, {what}: {waiting:.1} samples wait");
            all.push(counted);
        }
    }
    let path = root().join(LOCK);
    if tier("METERGATE_BLESS") {
        fs::write(&path, &lines).unwrap();
    }
    let locked = fs::read_to_string(&path).unwrap();
    for counted in &all {
        let found = locked.lines().map(|l| l.split_whitespace().collect::<Vec<_>>());
        let line = found.into_iter().find(|w| w[..][..2] == [&counted.rate_hz.to_string()[..], counted.what]);
        let line = line.unwrap_or_else(|| panic!("{LOCK} has no line for {counted:?}"));
        for (value, locked) in counted.values.iter().zip(&line[2..]) {
            let locked: f64 = locked.parse().unwrap();
            assert!(*value <= locked * TOLERANCE, "{counted:?}: more than {TOLERANCE} times what is locked, {line:?}");
        }
    }
}

fn count(program: &Path, dir: &Path, rate_hz: u32, what: &'static str) -> Counted {
    let config = MeterConfig { rate_hz, ..MeterConfig::default() };
    // Interpolators run on all currents.
    let mut calibration = Calibration::default();
    for (k, channel) in calibration.channel.iter_mut().enumerate().skip(3) {
        *channel = ChannelCalibration { phase_ns: 10_000 + 1_000 * k as i32, ..*channel };
    }
    let rate = f64::from(rate_hz);
    let samples = signal::three_phases(rate, (LENGTH_S * rate) as usize);
    arm::write(dir, &config, &calibration, &samples);
    let (bytes, _) = arm::run(program, dir, "count", &[what], true);
    let words: Vec<u32> = bytes.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
    let (controls, counts) = words.split_at(4);
    // Loops of known length: without -icount, or with another timer, these would be anything.
    for (control, known) in controls.iter().zip([2_u32, 20, 2_000, 200_000]) {
        assert!(control.abs_diff(known) <= 8, "a loop of {known} instructions measures {control}");
    }
    assert_eq!(counts.len(), samples.len() / arm::BLOCK * arm::BLOCK);

    // Which samples close a window the same engine tells here.
    let mut metrology = Metrology::new(&config, &calibration).unwrap();
    let closes: Vec<bool> = samples.iter().map(|s| metrology.push(s).is_some()).collect();
    let skipped = (SKIPPED_S * rate) as usize;
    let counted = || counts.iter().zip(&closes).skip(skipped);
    let worst = |window: bool| counted().filter(|(_, c)| **c == window).map(|(n, _)| *n).max().unwrap();
    let mean = counted().map(|(n, _)| f64::from(*n)).sum::<f64>() / counted().count() as f64;
    // A sample's share of the clock; what takes longer makes others wait.
    let budget = CLOCK_HZ / CPI / rate;
    let mut behind = 0.0_f64;
    let mut most = 0.0_f64;
    for (n, _) in counted() {
        behind = (behind + f64::from(*n) - budget).max(0.0);
        most = most.max(behind);
    }
    Counted { rate_hz, what, values: [mean, f64::from(worst(false)), f64::from(worst(true))], waiting: most / budget }
}
