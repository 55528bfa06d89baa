//! Power quality against the golden vectors of the reference model (`tests/reference`).
//!
//! Samples are made on demand: `METERGATE_VECTORS` names the folder (`generate.py --out`). Without it, or without the
//! samples of a vector, a test says so and passes; `power_quality.rs` proves the main claims against analytic truth.

use metrology_dsp::pq::events::{Event, Kind};
use metrology_dsp::pq::harmonics::ORDERS;
use metrology_dsp::pq::{Level, Notice, PowerQuality, Value, Window};
use metrology_dsp::{CHANNELS, Calibration, MeterConfig, Metrology};
use metrology_link::payload::{Grid, Method, Topology};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::path::Path;

const NAMES: [&str; CHANNELS] = ["U1", "U2", "U3", "I1", "I2", "I3", "IN"];

struct Vector {
    id: &'static str,
    expect: Json,
    tolerance: Json,
    rate: f64,
    windows: Vec<Window>,
    /// Sums of squares of lines, subgroups, groups and interharmonic subgroups, per channel, and their number.
    spectra: Vec<[[f64; ORDERS + 1]; 4]>,
    count: Vec<f64>,
    signalling: Vec<f64>,
    notices: Vec<Notice>,
}

fn number(json: &Json) -> f64 {
    json.as_f64().expect("a number")
}

/// Runs a vector through engine and power quality; `None` when its samples are not there.
fn run(id: &'static str, signalling_hz: Option<f32>) -> Option<Vector> {
    run_at(id, signalling_hz, 0)
}

/// See [`run`]; meter time is moved by `shift_us`.
fn run_at(id: &'static str, signalling_hz: Option<f32>, shift_us: i64) -> Option<Vector> {
    let Some(folder) = std::env::var_os("METERGATE_VECTORS") else {
        eprintln!("{id}: skipped, METERGATE_VECTORS is not set");
        return None;
    };
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/reference/golden/{id}.json"));
    let golden: Json = serde_json::from_str(&std::fs::read_to_string(golden).expect("golden file")).expect("JSON");
    let Ok(bytes) = std::fs::read(Path::new(&folder).join(format!("{id}.i32le"))) else {
        eprintln!("{id}: skipped, its samples were not generated (tier {})", golden["tier"]);
        return None;
    };
    let hash: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hash, golden["samples"]["sha256"].as_str().expect("hash"), "{id}: other samples");

    let (samples, meter) = (&golden["samples"], &golden["meter"]);
    let list = |json: &Json| -> Vec<usize> {
        let names = json.as_array().expect("names").iter();
        names.map(|n| NAMES.iter().position(|name| Some(*name) == n.as_str()).expect("a channel")).collect()
    };
    let columns = list(&samples["frame_channels"]);
    let topology = match meter["topology"].as_str() {
        Some("one-phase") => Topology::OnePhase,
        Some("aron") => Topology::Aron,
        _ => Topology::ThreePhase,
    };
    let u32_of = |json: &Json| json.as_u64().expect("a number") as u32;
    let config = MeterConfig {
        topology,
        method: if topology == Topology::Aron { Method::Vector } else { Method::PerPhase },
        rate_hz: u32_of(&samples["rate_hz"]),
        f_nominal: u32_of(&meter["f_nominal"]) as u8,
        u_nominal_mv: u32_of(&meter["u_nominal_mv"]),
        u_full_scale_mv: u32_of(&meter["u_full_scale_mv"]),
        i_full_scale_ua: u32_of(&meter["i_full_scale_ua"]),
        i_n_full_scale_ua: u32_of(&meter["i_full_scale_ua"]),
        start_mw: u32_of(&meter["start_mw"]),
        channels: list(&meter["channels"]).iter().map(|k| 1 << k).sum(),
        ..MeterConfig::default()
    };
    let mut engine = Metrology::new(&config, &Calibration::default()).expect("possible configuration");
    let mut pq = PowerQuality::new();
    pq.configure(&config, &Calibration::default());
    pq.watch_signalling(signalling_hz);
    let grid = Grid {
        utc_us: meter["start_utc_us"].as_i64().expect("a time") + shift_us,
        rate_q16: u64::from(config.rate_hz) << 16,
        ..Grid::default()
    };
    let mut vector = Vector {
        id,
        expect: golden["expect"].clone(),
        tolerance: golden["tolerance"].clone(),
        rate: f64::from(config.rate_hz),
        windows: Vec::new(),
        spectra: vec![[[0.0; ORDERS + 1]; 4]; CHANNELS],
        count: vec![0.0; CHANNELS],
        signalling: Vec::new(),
        notices: Vec::new(),
    };
    let frame = |bytes: &[u8]| {
        let mut counts = [0; CHANNELS];
        for (k, value) in columns.iter().zip(bytes.chunks_exact(4)) {
            counts[*k] = i32::from_le_bytes(value.try_into().expect("four bytes"));
        }
        counts
    };
    for counts in bytes.chunks_exact(4 * columns.len()).map(frame) {
        engine.push(&counts);
        let half = engine.half_cycle();
        let done = pq.push(engine.samples(), half.as_ref(), &grid);
        if let Some(channel) = done.channel {
            let h = pq.harmonics();
            let kinds = [h.line.map(|z| z.abs()), h.subgroup, h.group, h.inter];
            for (sums, values) in vector.spectra[channel].iter_mut().zip(kinds) {
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum += f64::from(value).powi(2);
                }
            }
            vector.count[channel] += 1.0;
            vector.signalling.extend(h.signalling.map(f64::from));
        }
        if done.window {
            vector.windows.push(*pq.window().expect("a window"));
        }
        while let Some(notice) = pq.notice() {
            vector.notices.push(notice);
        }
    }
    Some(vector)
}

impl Vector {
    fn tolerance(&self, name: &str) -> f64 {
        number(&self.tolerance[name])
    }

    /// Lines, subgroups, groups and interharmonic subgroups of every channel.
    fn check_spectra(&self) {
        let spectra = self.expect["spectra"].as_object().expect("spectra");
        for (name, expected) in spectra {
            let channel = NAMES.iter().position(|n| n == name).expect("a channel");
            assert!(self.count[channel] >= 5.0, "{} {name}", self.id);
            let fundamental = number(&expected["line"][0]);
            let tolerance = if channel < 3 {
                self.tolerance("harmonic_u_v")
            } else {
                // The neutral current has no fundamental; a hundredth of a per cent of 10 A then.
                (self.tolerance("harmonic_i_part") * fundamental).max(0.001)
            };
            for (k, kind) in ["line", "subgroup", "group", "inter_subgroup"].iter().enumerate() {
                for (n, truth) in expected[*kind].as_array().expect("a list").iter().enumerate() {
                    let got = (self.spectra[channel][k][n + 1] / self.count[channel]).sqrt();
                    let truth = number(truth);
                    assert!(
                        (got - truth).abs() <= tolerance,
                        "{} {name} {kind} {}: {got} is not {truth} ± {tolerance}",
                        self.id,
                        n + 1
                    );
                }
            }
        }
    }

    fn mean(&self, place: usize) -> Option<f64> {
        let present: Vec<f64> = self.windows.iter().filter_map(|w| w.values[place].map(f64::from)).collect();
        (!present.is_empty()).then(|| present.iter().sum::<f64>() / present.len() as f64)
    }

    fn check_means(&self) {
        let means = &self.expect["means"];
        for k in 0..3 {
            for (name, place) in [(NAMES[k], Value::ThdU as usize + k), (NAMES[k + 3], Value::ThdI as usize + k)] {
                if let (Some(truth), Some(got)) = (means["thd"][name].as_f64(), self.mean(place)) {
                    // The model relates noise to noise where there is no current.
                    assert!((got - truth).abs() <= self.tolerance("thd"), "{} THD {name}: {got} {truth}", self.id);
                }
            }
            if let Some(truth) = means["phase"][(k + 1).to_string()]["u"].as_f64() {
                let got = self.mean(k).expect("a voltage");
                assert!((got - truth).abs() <= self.tolerance("u_v"), "{} U{}: {got} {truth}", self.id, k + 1);
            }
        }
        for (name, place) in [("u2", Value::U2), ("u0", Value::U0)] {
            let truth = means[name].as_f64();
            let got = self.mean(place as usize).map(|v| 100.0 * v);
            match (got, truth) {
                (Some(got), Some(truth)) => {
                    assert!(
                        (got - truth).abs() <= self.tolerance("unbalance_percent"),
                        "{} {name} {got} {truth}",
                        self.id
                    );
                }
                _ => assert_eq!(got.is_some(), truth.is_some(), "{} {name}: {got:?} {truth:?}", self.id),
            }
        }
    }

    fn ended(&self) -> Vec<Event> {
        let events = self.notices.iter().filter_map(|n| match n {
            Notice::Event(e) if e.duration.is_some() => Some(*e),
            _ => None,
        });
        let mut events: Vec<_> = events.collect();
        events.sort_by_key(|e| (e.start, e.kind));
        events
    }

    fn near(&self, what: &str, got: f64, truth: &Json, tolerance: &str) {
        let (truth, tolerance) = (number(truth), self.tolerance(tolerance));
        assert!((got - truth).abs() <= tolerance, "{} {what}: {got} is not {truth} ± {tolerance}", self.id);
    }

    fn check_events(&self) {
        let mut expected: Vec<&Json> = self.expect["events"].as_array().expect("events").iter().collect();
        let mut got: Vec<Event> = self.ended().into_iter().filter(|e| e.kind != Kind::Rapid).collect();
        // By kind and time: two that begin together may change places.
        expected.sort_by_key(|e| e["kind"].as_str().map(str::to_owned));
        got.sort_by_key(|e| (e.kind.name(), e.start));
        assert_eq!(got.len(), expected.len(), "{}: {got:?}", self.id);
        for (e, truth) in got.iter().zip(expected) {
            assert_eq!(Some(e.kind.name()), truth["kind"].as_str(), "{}", self.id);
            self.near("start", e.start as f64 / self.rate, &truth["start_s"], "event_s");
            self.near("duration", e.duration.expect("over") as f64 / self.rate, &truth["duration_s"], "event_s");
            self.near("extreme", f64::from(e.extreme_mv) / 1e3, &truth["extreme_v"], "event_v");
            let channels: Vec<&str> = (0..3).filter(|k| e.channels >> k & 1 != 0).map(|k| NAMES[k]).collect();
            let names: Vec<&str> =
                truth["channels"].as_array().expect("names").iter().filter_map(Json::as_str).collect();
            assert_eq!(channels, names, "{}", self.id);
        }
    }

    fn check_rapid_changes(&self) {
        let got = self.ended();
        for (k, name) in NAMES.iter().enumerate().take(3) {
            let got: Vec<_> = got.iter().filter(|e| e.kind == Kind::Rapid && e.channels == 1 << k).collect();
            let expected = self.expect["rapid_changes"][name].as_array().expect("changes");
            assert_eq!(got.len(), expected.len(), "{} {name}: {got:?}", self.id);
            for (e, truth) in got.iter().zip(expected) {
                self.near("start", e.start as f64 / self.rate, &truth["start_s"], "event_s");
                self.near("duration", e.duration.expect("over") as f64 / self.rate, &truth["duration_s"], "event_s");
                self.near("dUmax", f64::from(e.extreme_mv) / 1e3, &truth["du_max_v"], "event_v");
                self.near("dUss", f64::from(e.steady_mv) / 1e3, &truth["du_ss_v"], "event_v");
            }
        }
    }
}

#[test]
fn reference_harmonics_groups_and_interharmonics() {
    for id in ["harmonics-en50160", "harmonics-en50160-49.3Hz", "interharmonics", "phase-fired"] {
        if let Some(vector) = run(id, None) {
            vector.check_spectra();
            vector.check_means();
        }
    }
}

#[test]
fn reference_distortion_voltage_and_unbalance() {
    for id in [
        "harmonics-fifth",
        "half-wave",
        "unbalance-73-80-87",
        "unbalance-angles",
        "sequence-reversed",
        "phase-loss-L2",
        "only-L3",
        "neutral-displaced-60V",
        "frequency-47.5Hz-pf0.5i",
        "frequency-52.5Hz-pf0.5i",
        "frequency-60Hz-pf0.5i",
        "voltage-0.8Un-pf0.5i",
        "voltage-1.15Un-pf0.5i",
        "rate-16000",
        "rate-32000",
    ] {
        if let Some(vector) = run(id, None) {
            vector.check_means();
        }
    }
}

#[test]
fn reference_signalling() {
    if let Some(vector) = run("signalling-316.7Hz", Some(316.7)) {
        let mean_square = vector.signalling.iter().map(|v| v * v).sum::<f64>() / vector.signalling.len() as f64;
        vector.near("signalling", mean_square.sqrt(), &vector.expect["signalling_v"], "harmonic_u_v");
    }
}

#[test]
fn reference_dips_swells_and_interruptions() {
    for id in [
        "dip-70-10cycles",
        "dip-70-45deg-1.5cycles",
        "dip-polyphase-staggered",
        "dip-hysteresis-hold",
        "dip-hysteresis-end",
        "dip-edge-none",
        "swell-115",
        "interruption-3-phases",
        "interruption-2-phases",
    ] {
        if let Some(vector) = run(id, None) {
            vector.check_events();
        }
    }
}

#[test]
fn reference_rapid_voltage_changes() {
    for id in ["rvc-6-percent", "rvc-4-percent-none", "rvc-becomes-dip"] {
        if let Some(vector) = run(id, None) {
            vector.check_events();
            vector.check_rapid_changes();
        }
    }
}

#[test]
fn reference_ten_seconds_of_frequency() {
    for id in ["frequency-10s"] {
        if let Some(vector) = run(id, None) {
            // The first ten seconds began before the meter had a frequency; the second hold a ramp.
            let expected = vector.expect["f10_hz"].as_array().expect("frequencies");
            let got: Vec<f64> = vector
                .notices
                .iter()
                .filter_map(|n| match n {
                    Notice::Frequency(f) => f.f_uhz.map(|f| f64::from(f) / 1e6),
                    _ => None,
                })
                .collect();
            assert_eq!(got.len() + 1, expected.len(), "{got:?}");
            // 0.05 Hz/s over one delay of the tracker (8 ms) and one period: 0.5 mHz.
            assert!((got[0] - number(&expected[1])).abs() < 0.001, "{got:?}");
        }
    }
}

#[test]
fn reference_aggregation_at_the_tick_and_flags() {
    for id in ["aggregation-tick", "aggregation-flagged"] {
        let Some(vector) = run(id, None) else { continue };
        let tick = number(&vector.expect["tick_frames"][0]);
        let overlap = vector.windows.windows(2).find(|w| w[0].interval != w[1].interval).expect("a tick");
        assert!((overlap[0].begin as f64) < tick && overlap[0].end as f64 > tick);
        let after = overlap[1].begin as f64 - tick;
        // The next crossing of the tracker: within one period.
        assert!((0.0..=vector.rate / 49.5).contains(&after), "{id}: {after}");
        assert!(vector.windows.windows(2).filter(|w| w[0].end != w[1].begin).count() == 1, "one overlap");
        let flags: Vec<_> = vector.windows.iter().filter(|w| w.flagged).collect();
        let expected =
            vector.expect["window_flags"].as_array().expect("flags").iter().filter(|f| f.as_bool() == Some(true));
        assert!(flags.len().abs_diff(expected.count()) <= 1, "{id}: windows lie elsewhere, by less than one");
        let ten: Vec<_> = vector
            .notices
            .iter()
            .filter_map(|n| match n {
                Notice::Aggregate(Level::TenMinutes, a) => Some(a),
                _ => None,
            })
            .collect();
        assert_eq!((ten.len(), ten[0].flagged), (1, false), "the dip came after the tick");
        // L3 stands still; the last window before the tick runs on into the new voltages of the others.
        assert!((ten[0].values[2].expect("a voltage") - 230.0).abs() < 0.023, "{:?}", ten[0]);
        if id == "aggregation-flagged" {
            assert!(!flags.is_empty());
            vector.check_events();
        }
    }
}

#[test]
fn reference_flicker() {
    for id in ["flicker-1cpm", "flicker-2cpm", "flicker-7cpm", "flicker-39cpm", "flicker-110cpm", "flicker-1620cpm"] {
        // Ten minutes end just before the record does, after a minute of settling.
        let Some(vector) = run_at(id, None, -59_900_000) else { continue };
        let pst = vector.notices.iter().find_map(|n| match n {
            Notice::Flicker { pst, .. } => pst[0].map(f64::from),
            _ => None,
        });
        let (pst, truth) = (pst.expect("ten minutes"), number(&vector.expect["pst"]));
        eprintln!("{id}: Pst {pst:.4}, model {truth:.4}");
        assert!((pst - 1.0).abs() <= 0.01 && (pst / truth - 1.0).abs() <= vector.tolerance("pst_part"), "{id}: {pst}");
    }
}

#[test]
fn reference_records() {
    // Faults of recorders: what is found, not to the millisecond (their grids are not steady).
    for (id, least) in [("record-1", 9), ("record-2", 20), ("record-3", 1)] {
        let Some(vector) = run(id, None) else { continue };
        let expected = vector.expect["events"].as_array().expect("events").iter();
        let complete: Vec<_> =
            expected.filter(|e| e["duration_s"].is_number() && number(&e["start_s"]) > 0.25).collect();
        let got = vector.ended();
        let found = complete.iter().filter(|truth| {
            got.iter().any(|e| {
                Some(e.kind.name()) == truth["kind"].as_str()
                    && (e.start as f64 / vector.rate - number(&truth["start_s"])).abs() < 0.03
                    && (f64::from(e.extreme_mv) / 1e3 - number(&truth["extreme_v"])).abs() < 0.05 * 230.0
            })
        });
        let found = found.count();
        eprintln!("{id}: {found} of {} events of the model found, {} in all", complete.len(), got.len());
        assert!(found + 2 >= complete.len().min(least), "{id}: {found} of {}", complete.len());
    }
}
