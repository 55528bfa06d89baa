//! The four shipped COMTRADE records: each loads with the traits its README tells, and plays through the coprocessor.
#![allow(clippy::unwrap_used)] // a failed unwrap fails the test

use std::path::PathBuf;

use metrology_link::payload::Valid;
use metrology_sim::waveform::{Loop, Role};
use metrology_sim::{InProcess, LoadOptions, MeterType, Scenario, SimError, Waveform, WaveformSource, WorldOptions};

/// The folder with the records, `None` (with a word) where the workspace stands alone.
fn records() -> Option<PathBuf> {
    let shared = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/comtrade");
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/comtrade");
    let found = [shared, here].into_iter().find(|p| p.is_dir());
    if found.is_none() {
        println!("skipped: no ../shared/data/comtrade beside the workspace");
    }
    found
}

fn role(name: &str) -> Role {
    Role::parse(name).unwrap()
}

/// RMS of samples `from` to `to` seconds.
fn rms(w: &Waveform, name: &str, from: f64, to: f64) -> f64 {
    let samples = w.samples(role(name)).unwrap();
    let chosen: Vec<f64> =
        w.times().iter().zip(samples).filter(|(t, _)| (from..to).contains(*t)).map(|(_, x)| *x).collect();
    (chosen.iter().map(|x| x * x).sum::<f64>() / chosen.len() as f64).sqrt()
}

fn near(value: f64, expected: f64, percent: f64) {
    assert!((value / expected - 1.0).abs() * 100.0 < percent, "{value}, expected {expected} ± {percent} %");
}

#[test]
fn record_1_earth_faults_ascii_with_empty_lines_and_83_rates() {
    let Some(dir) = records() else { return };
    let w = Waveform::load(&dir.join("1.cfg"), &LoadOptions::default()).unwrap();
    assert_eq!((w.len(), w.channels().len(), w.mask()), (5316, 4, 0b0000111));
    assert!(w.station().starts_with("11") && w.notes().iter().any(|n| n.contains("83 sections")), "{:?}", w.notes());
    near(w.duration_s(), 2.21, 0.5);
    near(w.rate_hz(), 2403.0, 0.3);
    near(w.nominal_v(), 57.735, 0.01);
    // 2017-05-25T08:13:16.587Z by the recorder's clock.
    assert_eq!(w.start_us(), Some(1_495_699_996_587_000));
    for u in ["u1", "u2", "u3"] {
        near(rms(&w, u, 0.0, 0.08), 58.6, 2.0);
    }
    let lowest =
        (0..140).map(|k| rms(&w, "u2", 0.08 + f64::from(k) * 0.01, 0.10 + f64::from(k) * 0.01)).fold(99.0, f64::min);
    let highest =
        (0..140).map(|k| rms(&w, "u3", 0.08 + f64::from(k) * 0.01, 0.10 + f64::from(k) * 0.01)).fold(0.0, f64::max);
    near(lowest, 36.0, 6.0);
    near(highest, 81.0, 4.0);
    assert!(w.samples(role("i1")).is_none());
    near(w.to_meter().0, 230.0 / 57.735, 0.01);
}

#[test]
fn record_2_power_swing_binary_cyrillic_skewed() {
    let Some(dir) = records() else { return };
    let w = Waveform::load(&dir.join("2.cfg"), &LoadOptions::default()).unwrap();
    assert_eq!((w.len(), w.channels().len(), w.mask()), (19_680, 55, 0x7f));
    assert!(w.notes().iter().any(|n| n.contains("19679")), "{:?}", w.notes());
    near(w.duration_s(), 16.4, 0.1);
    near(w.nominal_v(), 63_509.0, 0.1);
    assert_eq!(w.start_us(), Some(1_471_881_862_000_000));
    assert_eq!(w.channels()[0].name, "Ua_1СШ-110_ТН_110кВ");
    assert_eq!(w.channels()[0].role.map(Role::index), Some(0));
    // The battery and the second bus section are not used; the first bay's currents are.
    assert_eq!(w.channels()[8].role, None);
    assert_eq!(w.channels()[11].name, "Ia_2СШ-110_ВЛ_ВЛ1");
    assert_eq!(w.channels()[11].role.map(Role::index), Some(3));
    near(rms(&w, "u1", 0.0, 0.04), 55_000.0, 4.0);
    let minimum =
        (0..60).map(|k| rms(&w, "u1", 1.3 + f64::from(k) * 0.01, 1.32 + f64::from(k) * 0.01)).fold(1e9, f64::min);
    assert!((2500.0..4000.0).contains(&minimum), "{minimum}");
    let chosen = LoadOptions {
        channels: Some("U1=Ua_2СШ-110_ТН_110кВ, I1=ia_110квт_овм".into()),
        ..LoadOptions::default()
    };
    let refused = Waveform::load(&dir.join("2.cfg"), &chosen).unwrap_err().to_string();
    assert!(refused.contains("no channel \"ia_110квт_овм\""), "{refused}");
    let chosen = LoadOptions {
        channels: Some("U1=Ua_2СШ-110_ТН_110кВ,I1=ia_110кв_овм".into()),
        ..LoadOptions::default()
    };
    let w = Waveform::load(&dir.join("2.cfg"), &chosen).unwrap();
    assert_eq!(w.mask(), 0b0001001);
    assert_eq!(w.channels()[4].role.map(Role::index), Some(0));
}

#[test]
fn record_3_phase_loss_without_a_rate() {
    let Some(dir) = records() else { return };
    let w = Waveform::load(&dir.join("3.cfg"), &LoadOptions::default()).unwrap();
    assert_eq!((w.len(), w.channels().len(), w.mask()), (1360, 24, 0x7f));
    near(w.duration_s(), 1.70, 0.2);
    near(w.rate_hz(), 800.6, 0.2);
    near(w.nominal_v(), 57.8, 0.1);
    assert_eq!(w.start_us(), Some(1_333_694_579_391_076));
    near(rms(&w, "u2", 0.0, 0.4), 58.9, 1.5);
    assert!(rms(&w, "u2", 0.56, 0.72) < 3.0);
    near(rms(&w, "u1", 0.0, 0.9), 58.9, 2.0);
    assert!(rms(&w, "u1", 1.1, 1.6) < 6.0);
    // The dead end of the record is part of the loop.
    let (begin, end) = w.player(8000.0, (1.0, 1.0), Loop::WholeCycles).loop_s().unwrap();
    assert!(begin < 0.03 && end > 1.66, "{begin} {end}");
}

#[test]
fn record_4_runs_away_in_frequency_and_names_lines() {
    let Some(dir) = records() else { return };
    let w = Waveform::load(&dir.join("4.CFG"), &LoadOptions::default()).unwrap();
    // U21 and U32 as an Aron meter has them, and three currents.
    assert_eq!((w.len(), w.channels().len(), w.mask()), (2400, 6, 0b0111101));
    near(w.duration_s(), 4.0, 0.1);
    near(w.nominal_v(), 3000.0, 0.1);
    near(rms(&w, "u1", 0.0, 0.7), 3450.0, 5.0);
    near(rms(&w, "u3", 3.9, 4.0), 690.0, 5.0);
    assert_eq!(w.start_us(), Some(1_417_676_508_813_000));
    // By lower-case name too.
    let linked = tempfile::tempdir().unwrap();
    std::fs::copy(dir.join("4.CFG"), linked.path().join("rec.cfg")).unwrap();
    std::fs::copy(dir.join("4.DAT"), linked.path().join("Rec.DAT")).unwrap();
    let again = Waveform::load(&linked.path().join("rec.cfg"), &LoadOptions::default()).unwrap();
    assert_eq!(again.samples(role("u1")), w.samples(role("u1")));
}

fn play(record: &str, kind: MeterType) -> Option<InProcess> {
    let waveform = WaveformSource { path: records()?.join(record), options: LoadOptions::default() };
    let scenario = Scenario::load("quiet").unwrap();
    let options = WorldOptions { meter_type: kind, scenario, waveform: Some(waveform), seed: 1 };
    Some(InProcess::new(&options, 1_760_544_000_000_000).unwrap())
}

#[test]
fn a_meter_on_record_1_sees_230_volts_50_hertz_and_no_current() {
    let Some(mut device) = play("1.cfg", MeterType::ThreePhase) else { return };
    let mut longest = 0;
    for _ in 0..40 {
        device.run(0.2);
        let second = device.coprocessor().unwrap().billing().second;
        if second.number == 0 || !second.valid.has(Valid::F) {
            continue;
        }
        longest += 1;
        // Bursts of earth faults move the phase, so single seconds are off; the record itself is at 49.9 to 50.2 Hz.
        assert!((49_000_000..51_000_000).contains(&second.f_uhz), "{}", second.f_uhz);
        assert!(second.valid.phase(Valid::U, 0) && !second.valid.phase(Valid::I, 0), "a missing current is absent");
        near(f64::from(second.phase[0].u_mv) / 1e3, 233.0, 25.0);
    }
    assert!(longest > 10);
    let counters = device.coprocessor().unwrap().billing().snapshot.counters;
    assert_eq!(counters.total.a_plus, 0);
}

#[test]
fn a_meter_on_record_4_says_that_the_frequency_is_out_of_range() {
    let Some(mut device) = play("4.CFG", MeterType::Aron) else { return };
    device.run(3.9);
    let second = device.coprocessor().unwrap().billing().second;
    assert!(second.number >= 3 && second.valid.has(Valid::F_OUT_OF_RANGE), "{second:?}");
    assert!(!second.valid.has(Valid::F), "{second:?}");
}

#[test]
fn a_meter_on_record_2_counts_what_the_samples_carry() {
    let Some(mut device) = play("2.cfg", MeterType::ThreePhase) else { return };
    device.run(60.0);
    let truth = device.world().truth.counters();
    assert!(!device.world().truth.has_reactive());
    let counted = device.coprocessor().unwrap().billing().snapshot.counters;
    let (net_true, net) = (
        truth.total.a_plus as f64 - truth.total.a_minus as f64,
        counted.total.a_plus as f64 - counted.total.a_minus as f64,
    );
    // Power swings through zero within a window and is small beside the apparent power, so the balance compares
    // against that; what the recorder's own offsets carry is not counted, and the last window is still open.
    let apparent = (truth.total.e_plus + truth.total.e_minus) as f64;
    assert!(apparent > 0.0 && (net - net_true).abs() < apparent * 0.005, "{net} {net_true} of {apparent}");
    assert!(device.is_running());
}

#[test]
fn a_record_without_currents_does_not_fit_a_one_phase_meter() {
    let Some(dir) = records() else { return };
    let waveform = WaveformSource { path: dir.join("1.cfg"), options: LoadOptions::default() };
    let scenario = Scenario::load("quiet").unwrap();
    let options = WorldOptions { meter_type: MeterType::OnePhase, scenario, waveform: Some(waveform), seed: 1 };
    let refused = InProcess::new(&options, 0).err().unwrap();
    assert!(matches!(&refused, SimError::Unfit { .. }) && refused.to_string().contains("I1"), "{refused}");
}

#[test]
fn csv_by_name_by_column_and_refusals() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.csv");
    let mut text = String::from("time,Va,junk,Ia\n");
    for k in 0..400 {
        let x = std::f64::consts::TAU * f64::from(k) / 40.0;
        text += &format!("{},{},x,{}\n", f64::from(k) * 0.0005, (1000.0 * x.sin()).round(), (200.0 * x.sin()).round());
    }
    std::fs::write(&path, &text).unwrap();
    let by_name = Waveform::load(&path, &LoadOptions::default()).unwrap();
    assert_eq!(by_name.mask(), 0b0001001);
    near(by_name.rate_hz(), 2000.0, 1e-6);
    let options = LoadOptions {
        columns: Some("-,u,-,i".into()),
        rate: Some(2000.0),
        u_scale: Some(0.325),
        i_scale: Some(0.01),
        ..LoadOptions::default()
    };
    let w = Waveform::load(&path, &options).unwrap();
    near(rms(&w, "u1", 0.0, 0.2), 325.0 / 2f64.sqrt(), 0.1);
    near(rms(&w, "i1", 0.0, 0.2), 2.0 / 2f64.sqrt(), 1.0);
    assert_eq!(w.to_meter(), (1.0, 1.0));
    for (columns, part) in [("-,u,u", "twice"), ("u9", "expected"), ("-,-,u", "not a number"), ("u,i,-,-,-", "has 4")] {
        let options = LoadOptions { columns: Some(columns.into()), ..options.clone() };
        let message = Waveform::load(&path, &options).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    std::fs::write(&path, "1,2\n3,4\n").unwrap();
    assert!(Waveform::load(&path, &options).unwrap_err().to_string().contains("must name"));
    let no_rate = LoadOptions { columns: Some("u,i".into()), ..LoadOptions::default() };
    std::fs::write(&path, "a,b\n3,4\n").unwrap();
    assert!(Waveform::load(&path, &no_rate).unwrap_err().to_string().contains("--rate"));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

    /// Whatever the two files hold, loading and playing them ends with a value or an error, never a panic.
    #[test]
    fn damaged_records_never_panic(
        cut in 0usize..400, at in 0usize..400, byte in 0u8..=255, data in proptest::collection::vec(0u8..=255, 0..400),
        binary in proptest::bool::ANY, sections in 0usize..3,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let kind = if binary { "BINARY" } else { "ASCII" };
        let rates = if sections == 2 { "1000,2\n900,9" } else { "1000,9" };
        let mut cfg = format!(
            "s,d,1999\n3,2A,1D\n1,UA,A,,V,1.0,0,0,-1,1,1,1,P\n2,IA,A,,A,1.0,0,5,-1,1,1,1,P\n1,X,,,0\n50\n{sections}\n{rates}\n\
             01/01/2020,00:00:00\n01/01/2020,00:00:00\n{kind}\n1\n"
        ).into_bytes();
        if at < cfg.len() {
            cfg[at] = byte;
        }
        if cut % 4 == 0 {
            cfg.truncate(cut);
        }
        std::fs::write(dir.path().join("r.cfg"), cfg).unwrap();
        std::fs::write(dir.path().join("r.dat"), data).unwrap();
        if let Ok(w) = Waveform::load(&dir.path().join("r.cfg"), &LoadOptions::default()) {
            for mode in [Loop::Once, Loop::WholeCycles] {
                let mut player = w.player(8000.0, w.to_meter(), mode);
                for _ in 0..200 {
                    if let Some(x) = player.next_sample() {
                        assert!(x.iter().all(|v| v.is_finite()));
                    }
                }
            }
        }
    }
}
