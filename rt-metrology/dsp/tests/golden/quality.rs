//! Power quality of a golden vector: what a run brought, and what it is held to.

use super::{Golden, NAMES, number};
use metrology_dsp::pq::bands::{BANDS, FIRST_HZ, WIDTH_HZ};
use metrology_dsp::pq::events::{Event, Kind};
use metrology_dsp::pq::harmonics::ORDERS;
use metrology_dsp::pq::{Done, Level, Notice, PowerQuality, Value, Window};
use metrology_dsp::{CHANNELS, Calibration, Metrology};
use metrology_link::payload::Grid;
use serde_json::Value as Json;

/// What engine and power quality made of a vector.
pub struct Vector {
    pub golden: Golden,
    pub windows: Vec<Window>,
    /// Sums of squares of lines, subgroups, groups and interharmonic subgroups, per channel, and their number.
    spectra: Vec<[[f64; ORDERS + 1]; 4]>,
    count: Vec<f64>,
    signalling: Vec<f64>,
    /// Bands from 2 to 9 kHz of U1.
    bands: Vec<[f32; BANDS]>,
    pub notices: Vec<Notice>,
}

impl Vector {
    /// Runs a vector; meter time is moved by `shift_us`. `each` sees what every sample brought.
    pub fn run(
        golden: Golden,
        signalling_hz: Option<f32>,
        shift_us: i64,
        mut each: impl FnMut(&Done, &PowerQuality, &[Notice]),
    ) -> Vector {
        let config = golden.config;
        let mut engine = Metrology::new(&config, &Calibration::default()).expect("possible configuration");
        let mut pq = PowerQuality::new();
        pq.configure(&config, &Calibration::default());
        pq.watch_signalling(signalling_hz);
        let grid = Grid {
            utc_us: golden.start_utc_us + shift_us,
            rate_q16: u64::from(config.rate_hz) << 16,
            ..Grid::default()
        };
        let (mut windows, mut notices) = (Vec::new(), Vec::new());
        let mut spectra = vec![[[0.0; ORDERS + 1]; 4]; CHANNELS];
        let mut count = vec![0.0; CHANNELS];
        let (mut signalling, mut bands) = (Vec::new(), Vec::new());
        for counts in golden.frames() {
            engine.push(&counts);
            let half = engine.half_cycle();
            let done = pq.push(engine.samples(), half.as_ref(), &grid);
            if let Some(channel) = done.channel {
                let h = pq.harmonics();
                let kinds = [h.line.map(|z| z.abs()), h.subgroup, h.group, h.inter];
                for (sums, values) in spectra[channel].iter_mut().zip(kinds) {
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum += f64::from(value).powi(2);
                    }
                }
                count[channel] += 1.0;
                signalling.extend(h.signalling.map(f64::from));
            }
            if done.bands {
                bands.extend(pq.bands().filter(|b| b.channel == 0).map(|b| b.rms));
            }
            if done.window {
                windows.push(*pq.window().expect("a window"));
            }
            let before = notices.len();
            while let Some(notice) = pq.notice() {
                notices.push(notice);
            }
            each(&done, &pq, &notices[before..]);
        }
        Vector { golden, windows, spectra, count, signalling, bands, notices }
    }

    /// The signalling voltage.
    pub fn check_signalling(&self) {
        let mean_square = self.signalling.iter().map(|v| v * v).sum::<f64>() / self.signalling.len() as f64;
        self.near("signalling", mean_square.sqrt(), &self.golden.expect["signalling_v"], "harmonic_u_v");
    }

    /// The bands from 2 to 9 kHz of U1.
    pub fn check_bands(&self) {
        assert!(self.bands.len() >= 2);
        for rms in &self.bands {
            for (band, got) in rms.iter().enumerate() {
                let centre = FIRST_HZ + band as u32 * WIDTH_HZ;
                let truth = &self.golden.expect["bands_v"][centre.to_string()];
                self.near(&format!("{centre} Hz"), f64::from(*got), truth, "harmonic_u_v");
            }
        }
    }

    /// Frequency over ten seconds.
    pub fn check_ten_seconds(&self) {
        // The first ten seconds began before the meter had a frequency; the second hold a ramp.
        let expected = self.golden.expect["f10_hz"].as_array().expect("frequencies");
        let got: Vec<f64> = self
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

    /// The ten-minute tick: windows overlap once, and what came after it is not in the interval before.
    pub fn check_tick(&self) {
        let tick = number(&self.golden.expect["tick_frames"][0]);
        let overlap = self.windows.windows(2).find(|w| w[0].interval != w[1].interval).expect("a tick");
        assert!((overlap[0].begin as f64) < tick && overlap[0].end as f64 > tick);
        let after = overlap[1].begin as f64 - tick;
        // The next crossing of the tracker: within one period.
        assert!((0.0..=self.golden.rate() / 49.5).contains(&after), "{}: {after}", self.golden.id);
        assert!(self.windows.windows(2).filter(|w| w[0].end != w[1].begin).count() == 1, "one overlap");
        let flags: Vec<_> = self.windows.iter().filter(|w| w.flagged).collect();
        let expected =
            self.golden.expect["window_flags"].as_array().expect("flags").iter().filter(|f| f.as_bool() == Some(true));
        assert!(
            flags.len().abs_diff(expected.count()) <= 1,
            "{}: windows lie elsewhere, by less than one",
            self.golden.id
        );
        let ten: Vec<_> = self
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
    }

    fn near(&self, what: &str, got: f64, truth: &Json, tolerance: &str) {
        self.golden.near(what, got, truth, tolerance);
    }

    fn tolerance(&self, name: &str) -> f64 {
        self.golden.tolerance(name)
    }

    /// Lines, subgroups, groups and interharmonic subgroups of every channel.
    pub fn check_spectra(&self) {
        let spectra = self.golden.expect["spectra"].as_object().expect("spectra");
        for (name, expected) in spectra {
            let channel = NAMES.iter().position(|n| n == name).expect("a channel");
            assert!(self.count[channel] >= 5.0, "{} {name}", self.golden.id);
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
                        self.golden.id,
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

    /// Distortions, voltages and unbalance, as means of the windows.
    pub fn check_means(&self) {
        let means = &self.golden.expect["means"];
        for k in 0..3 {
            for (name, place) in [(NAMES[k], Value::ThdU as usize + k), (NAMES[k + 3], Value::ThdI as usize + k)] {
                if let (Some(truth), Some(got)) = (means["thd"][name].as_f64(), self.mean(place)) {
                    // The model relates noise to noise where there is no current.
                    assert!(
                        (got - truth).abs() <= self.tolerance("thd"),
                        "{} THD {name}: {got} {truth}",
                        self.golden.id
                    );
                }
            }
            if let Some(truth) = means["phase"][(k + 1).to_string()]["u"].as_f64() {
                let got = self.mean(k).expect("a voltage");
                assert!((got - truth).abs() <= self.tolerance("u_v"), "{} U{}: {got} {truth}", self.golden.id, k + 1);
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
                        self.golden.id
                    );
                }
                _ => assert_eq!(got.is_some(), truth.is_some(), "{} {name}: {got:?} {truth:?}", self.golden.id),
            }
        }
    }

    /// Events that are over, by their begin.
    pub fn ended(&self) -> Vec<Event> {
        let events = self.notices.iter().filter_map(|n| match n {
            Notice::Event(e) if e.duration.is_some() => Some(*e),
            _ => None,
        });
        let mut events: Vec<_> = events.collect();
        events.sort_by_key(|e| (e.start, e.kind));
        events
    }

    /// Dips, swells and interruptions.
    pub fn check_events(&self) {
        let mut expected: Vec<&Json> = self.golden.expect["events"].as_array().expect("events").iter().collect();
        let mut got: Vec<Event> = self.ended().into_iter().filter(|e| e.kind != Kind::Rapid).collect();
        // By kind and time: two that begin together may change places.
        expected.sort_by_key(|e| e["kind"].as_str().map(str::to_owned));
        got.sort_by_key(|e| (e.kind.name(), e.start));
        assert_eq!(got.len(), expected.len(), "{}: {got:?}", self.golden.id);
        for (e, truth) in got.iter().zip(expected) {
            assert_eq!(Some(e.kind.name()), truth["kind"].as_str(), "{}", self.golden.id);
            self.near("start", e.start as f64 / self.golden.rate(), &truth["start_s"], "event_s");
            self.near(
                "duration",
                e.duration.expect("over") as f64 / self.golden.rate(),
                &truth["duration_s"],
                "event_s",
            );
            self.near("extreme", f64::from(e.extreme_mv) / 1e3, &truth["extreme_v"], "event_v");
            let channels: Vec<&str> = (0..3).filter(|k| e.channels >> k & 1 != 0).map(|k| NAMES[k]).collect();
            let names: Vec<&str> =
                truth["channels"].as_array().expect("names").iter().filter_map(Json::as_str).collect();
            assert_eq!(channels, names, "{}", self.golden.id);
        }
    }

    /// Rapid voltage changes.
    pub fn check_rapid_changes(&self) {
        let got = self.ended();
        for (k, name) in NAMES.iter().enumerate().take(3) {
            let got: Vec<_> = got.iter().filter(|e| e.kind == Kind::Rapid && e.channels == 1 << k).collect();
            let expected = self.golden.expect["rapid_changes"][name].as_array().expect("changes");
            assert_eq!(got.len(), expected.len(), "{} {name}: {got:?}", self.golden.id);
            for (e, truth) in got.iter().zip(expected) {
                self.near("start", e.start as f64 / self.golden.rate(), &truth["start_s"], "event_s");
                self.near(
                    "duration",
                    e.duration.expect("over") as f64 / self.golden.rate(),
                    &truth["duration_s"],
                    "event_s",
                );
                self.near("dUmax", f64::from(e.extreme_mv) / 1e3, &truth["du_max_v"], "event_v");
                self.near("dUss", f64::from(e.steady_mv) / 1e3, &truth["du_ss_v"], "event_v");
            }
        }
    }
}
