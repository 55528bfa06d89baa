//! Scenarios: what the simulated grid, house and front end do, as TOML.
//!
//! A scenario is a pure description. Everything that looks random in it is drawn from a seed and the time of day, so
//! a simulation that is interrupted and started again at a later time continues exactly where the world would be.
//! Refused, each with its reason: unknown keys, numbers outside their physical range, phases other than 1 to 3, more
//! different harmonic orders than [`MAX_ORDERS`].

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Different harmonic orders a scenario may use, the fundamental included.
///
/// The oscillator bank costs 16 multiplications per order and sample; 16 orders keep a core more than 50 times faster
/// than real time at 8 kS/s, and EN 50160 names 13 orders above the fundamental that matter.
pub const MAX_ORDERS: usize = 16;

/// The scenarios that are built in, by name. The same files are shipped in `config/scenarios`.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("household", include_str!("../../../config/scenarios/household.toml")),
    ("solar", include_str!("../../../config/scenarios/solar.toml")),
    ("ev", include_str!("../../../config/scenarios/ev.toml")),
    ("industry-ct", include_str!("../../../config/scenarios/industry-ct.toml")),
    ("disturbed", include_str!("../../../config/scenarios/disturbed.toml")),
    ("quiet", include_str!("../../../config/scenarios/quiet.toml")),
];

/// Why a scenario was refused. Nothing is simulated then.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The caller named a scenario that is neither built in nor a file.
    #[error(
        "no scenario {0:?}: not a file, and the built-in ones are household, solar, ev, industry-ct, disturbed, quiet"
    )]
    Unknown(String),
    /// The file could not be read: the caller's path or permissions.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is not TOML, has an unknown key or a wrong type: the author's fault. The message names the line.
    #[error("{name}: {message}")]
    Parse {
        /// File or built-in name.
        name: String,
        /// The parser's message with line and column.
        message: String,
    },
    /// A value is outside what the model can do: the author's fault.
    #[error("{name}: {what}: {reason}")]
    Invalid {
        /// File or built-in name.
        name: String,
        /// The key.
        what: String,
        /// The limit it broke.
        reason: String,
    },
}

/// One harmonic of a voltage or a current.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Harmonic {
    /// Order, 2 to 40.
    pub order: u8,
    /// Amplitude in percent of the fundamental.
    pub percent: f64,
    /// Phase against the fundamental's own zero crossing of the same phase conductor, degrees of the harmonic.
    #[serde(default)]
    pub degrees: f64,
}

/// The supplying grid.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GridSpec {
    /// Nominal voltage, V: phase to neutral, or line to line on a three-wire (Aron) meter.
    pub u_nominal: f64,
    /// Nominal frequency, Hz.
    pub f_nominal: f64,
    /// Constant deviation of L1 to L3, percent.
    pub u_offset_percent: [f64; 3],
    /// Slow random walk of each phase voltage, percent peak.
    pub u_walk_percent: f64,
    /// Time constant of that walk, s.
    pub u_walk_s: f64,
    /// Random walk of the frequency, mHz peak.
    pub f_walk_mhz: f64,
    /// Time constant of that walk, s.
    pub f_walk_s: f64,
    /// Constant deviation of the frequency, mHz.
    pub f_offset_mhz: f64,
    /// Impedance of the supply, ohm: the load pulls its own voltage down.
    pub source_ohms: f64,
    /// Harmonics of the unloaded voltage.
    pub harmonics: Vec<Harmonic>,
}

impl Default for GridSpec {
    fn default() -> Self {
        GridSpec {
            u_nominal: 230.0,
            f_nominal: 50.0,
            u_offset_percent: [0.0; 3],
            u_walk_percent: 0.0,
            u_walk_s: 60.0,
            f_walk_mhz: 0.0,
            f_walk_s: 5.0,
            f_offset_mhz: 0.0,
            source_ohms: 0.0,
            harmonics: Vec::new(),
        }
    }
}

fn one() -> f64 {
    1.0
}

fn all_phases() -> Vec<u8> {
    vec![1, 2, 3]
}

fn flat_months() -> [f64; 12] {
    [1.0; 12]
}

/// What draws or delivers power. Powers are per listed phase and at nominal voltage; loads are admittances, so they
/// follow the voltage. Positive watts are drawn, negative ones delivered. Inductive unless `leading`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant)] // a handful of them, read once
pub enum Load {
    /// Always the same.
    Constant(ConstantLoad),
    /// A daily curve with season and scatter.
    Profile(ProfileLoad),
    /// Runs periodically: refrigerator, pump, heat pump.
    Cycle(CycleLoad),
    /// Switched on now and then: kettle, oven, washing machine.
    Appliance(ApplianceLoad),
    /// Photovoltaic inverter.
    Solar(SolarLoad),
    /// Electric car.
    Ev(EvLoad),
}

/// See [`Load::Constant`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConstantLoad {
    /// Phases it hangs on.
    #[serde(default = "all_phases")]
    pub phases: Vec<u8>,
    /// Active power, W per phase.
    pub watts: f64,
    /// |cos phi|.
    #[serde(default = "one")]
    pub pf: f64,
    /// Reactive power of its own, var per phase, in place of `pf`.
    pub vars: Option<f64>,
    /// Capacitive.
    #[serde(default)]
    pub leading: bool,
    /// Harmonics of the current.
    #[serde(default)]
    pub harmonics: Vec<Harmonic>,
}

/// See [`Load::Profile`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileLoad {
    /// Phases it hangs on.
    #[serde(default = "all_phases")]
    pub phases: Vec<u8>,
    /// Active power at factor 1, W per phase.
    pub watts: f64,
    /// Factor for each local hour of a working day.
    pub hours: [f64; 24],
    /// Factor for each local hour of Saturday and Sunday; absent: as on working days.
    pub weekend: Option<[f64; 24]>,
    /// Factor for each month.
    #[serde(default = "flat_months")]
    pub months: [f64; 12],
    /// Random scatter from quarter hour to quarter hour, percent.
    #[serde(default)]
    pub scatter_percent: f64,
    /// |cos phi|.
    #[serde(default = "one")]
    pub pf: f64,
    /// Capacitive.
    #[serde(default)]
    pub leading: bool,
    /// Harmonics of the current.
    #[serde(default)]
    pub harmonics: Vec<Harmonic>,
}

/// See [`Load::Cycle`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CycleLoad {
    /// Phases it hangs on.
    #[serde(default = "all_phases")]
    pub phases: Vec<u8>,
    /// Active power while it runs, W per phase.
    pub watts: f64,
    /// Length of a cycle, s.
    pub period_s: f64,
    /// Time on within a cycle, s.
    pub on_s: f64,
    /// Factor on the time on for each month.
    #[serde(default = "flat_months")]
    pub months: [f64; 12],
    /// |cos phi|.
    #[serde(default = "one")]
    pub pf: f64,
    /// Capacitive.
    #[serde(default)]
    pub leading: bool,
    /// Harmonics of the current.
    #[serde(default)]
    pub harmonics: Vec<Harmonic>,
}

/// See [`Load::Appliance`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplianceLoad {
    /// Phases it hangs on.
    #[serde(default = "all_phases")]
    pub phases: Vec<u8>,
    /// Active power while it runs, W per phase.
    pub watts: f64,
    /// Duration of one use, minutes, at most 60.
    pub minutes: f64,
    /// Probability of one use within each local hour.
    pub hours: [f64; 24],
    /// |cos phi|.
    #[serde(default = "one")]
    pub pf: f64,
    /// Capacitive.
    #[serde(default)]
    pub leading: bool,
    /// Harmonics of the current.
    #[serde(default)]
    pub harmonics: Vec<Harmonic>,
}

/// See [`Load::Solar`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SolarLoad {
    /// Phases it feeds.
    #[serde(default = "all_phases")]
    pub phases: Vec<u8>,
    /// Output at full sun in June, W per phase.
    pub peak_watts: f64,
    /// 0 = always clear, 1 = heavily and quickly changing clouds.
    #[serde(default)]
    pub clouds: f64,
    /// |cos phi|.
    #[serde(default = "one")]
    pub pf: f64,
    /// Capacitive.
    #[serde(default)]
    pub leading: bool,
    /// Harmonics of the current.
    #[serde(default)]
    pub harmonics: Vec<Harmonic>,
}

/// See [`Load::Ev`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvLoad {
    /// Phases it charges on.
    #[serde(default = "all_phases")]
    pub phases: Vec<u8>,
    /// Charging power, W per phase.
    pub watts: f64,
    /// Local hour at which it usually comes home.
    pub arrive_hour: f64,
    /// Scatter of the arrival, hours.
    #[serde(default = "one")]
    pub arrive_scatter_h: f64,
    /// Mean energy charged, kWh.
    pub kwh: f64,
    /// Probability that it charges on a given day.
    #[serde(default = "one")]
    pub probability: f64,
    /// |cos phi|.
    #[serde(default = "one")]
    pub pf: f64,
    /// Capacitive.
    #[serde(default)]
    pub leading: bool,
    /// Harmonics of the current.
    #[serde(default)]
    pub harmonics: Vec<Harmonic>,
}

/// What happens to the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DisturbanceKind {
    /// Voltage falls to `percent` of what it would be.
    Dip,
    /// Voltage rises to `percent` of what it would be.
    Swell,
    /// The named phases are gone.
    Outage,
    /// The neutral conductor is open: the star point floats with the loads.
    NeutralLoss,
    /// The frequency is shifted by `percent` of nominal.
    Frequency,
}

/// One disturbance, repeated if `every` is given. Times count from the beginning of the simulated world.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disturbance {
    /// What it is.
    pub kind: DisturbanceKind,
    /// First time, s.
    pub at: f64,
    /// Period, s.
    pub every: Option<f64>,
    /// Duration, s.
    pub duration: f64,
    /// Phases concerned.
    #[serde(default = "all_phases")]
    pub phases: Vec<u8>,
    /// Residual voltage (dip, swell) or shift (frequency), percent.
    #[serde(default)]
    pub percent: f64,
}

/// A virtual input of the coprocessor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(
    missing_docs,
    reason = "the names are the documentation: each is a bit of link::payload::Inputs or a pulse input"
)]
pub enum InputName {
    Tariff1,
    Tariff2,
    Tariff3,
    Alarm,
    Sync,
    ButtonLeft,
    ButtonRight,
    CoverMain,
    CoverTerminal,
    Magnet,
    LoadStatus,
    Pulse1,
    Pulse2,
    Pulse3,
    Pulse4,
}

/// One scheduled input event. A pulse input counts one at each time.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputEvent {
    /// Which input.
    pub input: InputName,
    /// First time, s since the world began.
    pub at: f64,
    /// Period, s.
    pub every: Option<f64>,
    /// How long it stays active, s; absent: for ever.
    pub duration: Option<f64>,
}

/// The analog front end and the clocks of the coprocessor. Errors are drawn per channel from the seed within ± the
/// given spread.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FrontEndSpec {
    /// Spread of the gains, ppm.
    pub gain_ppm: f64,
    /// Spread of the offsets, counts.
    pub offset_counts: f64,
    /// Spread of the current channels' delay, ns.
    pub phase_ns: f64,
    /// Noise, counts RMS. 20 counts are -109 dB of full scale.
    pub noise_counts: f64,
    /// Error of the sample clock, ppm (its own sign, no spread).
    pub clock_ppm: f64,
    /// Error of the real-time clock, ppm.
    pub rtc_ppm: f64,
    /// Whether the factory wrote the calibration that takes gain, offset and phase out again.
    pub calibrated: bool,
}

impl Default for FrontEndSpec {
    fn default() -> Self {
        FrontEndSpec {
            gain_ppm: 0.0,
            offset_counts: 0.0,
            phase_ns: 0.0,
            noise_counts: 20.0,
            clock_ppm: 0.0,
            rtc_ppm: 0.0,
            calibrated: true,
        }
    }
}

/// The coprocessor's supply.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SupplySpec {
    /// How long it runs on its reserve when all phases are gone, ms.
    pub hold_up_ms: f64,
    /// Time from returning voltage to the first sample, ms.
    pub boot_ms: f64,
}

impl Default for SupplySpec {
    fn default() -> Self {
        SupplySpec { hold_up_ms: 500.0, boot_ms: 300.0 }
    }
}

/// A whole scenario.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// One line for people.
    #[serde(default)]
    pub description: String,
    /// Hours local time is ahead of UTC: the daily curves are in local time.
    #[serde(default)]
    pub utc_offset_h: f64,
    /// Ratio of the current transformers on CT meters: the loads are primary.
    #[serde(default = "one")]
    pub ct_ratio: f64,
    /// The grid.
    #[serde(default)]
    pub grid: GridSpec,
    /// Loads and sources.
    #[serde(default, rename = "load")]
    pub loads: Vec<Load>,
    /// Disturbances.
    #[serde(default, rename = "disturbance")]
    pub disturbances: Vec<Disturbance>,
    /// Input events.
    #[serde(default, rename = "input")]
    pub inputs: Vec<InputEvent>,
    /// Analog front end.
    #[serde(default)]
    pub front_end: FrontEndSpec,
    /// Supply.
    #[serde(default)]
    pub supply: SupplySpec,
}

impl Scenario {
    /// A built-in scenario by name, or one from a file.
    ///
    /// # Errors
    /// See [`ScenarioError`].
    pub fn load(name_or_path: &str) -> Result<Scenario, ScenarioError> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
            return Scenario::parse(text, name);
        }
        let path = Path::new(name_or_path);
        if !path.exists() && !name_or_path.contains('/') && !name_or_path.ends_with(".toml") {
            return Err(ScenarioError::Unknown(name_or_path.to_owned()));
        }
        let text =
            std::fs::read_to_string(path).map_err(|source| ScenarioError::Read { path: path.to_owned(), source })?;
        Scenario::parse(&text, name_or_path)
    }

    /// From TOML text; `name` stands in error messages.
    ///
    /// # Errors
    /// [`ScenarioError::Parse`] and [`ScenarioError::Invalid`].
    pub fn parse(text: &str, name: &str) -> Result<Scenario, ScenarioError> {
        let scenario: Scenario = toml::from_str(text).map_err(|e| ScenarioError::Parse {
            name: name.to_owned(),
            message: e.to_string().trim_end().to_owned(),
        })?;
        let mut check = Check { name, orders: vec![1] };
        scenario.validate(&mut check)?;
        Ok(scenario)
    }

    fn validate(&self, check: &mut Check) -> Result<(), ScenarioError> {
        let grid = &self.grid;
        check.range("utc_offset_h", self.utc_offset_h, -14.0, 14.0)?;
        check.range("ct_ratio", self.ct_ratio, 1.0, 100_000.0)?;
        check.range("grid.u_nominal", grid.u_nominal, 50.0, 420.0)?;
        check.range("grid.f_nominal", grid.f_nominal, 45.0, 66.0)?;
        for offset in grid.u_offset_percent {
            check.range("grid.u_offset_percent", offset, -100.0, 50.0)?;
        }
        check.range("grid.u_walk_percent", grid.u_walk_percent, 0.0, 30.0)?;
        check.range("grid.u_walk_s", grid.u_walk_s, 1.0, 86_400.0)?;
        check.range("grid.f_walk_mhz", grid.f_walk_mhz, 0.0, 5000.0)?;
        check.range("grid.f_walk_s", grid.f_walk_s, 0.1, 86_400.0)?;
        check.range("grid.f_offset_mhz", grid.f_offset_mhz, -40_000.0, 60_000.0)?;
        check.range("grid.source_ohms", grid.source_ohms, 0.0, 10.0)?;
        check.harmonics("grid.harmonics", &grid.harmonics)?;
        for (k, load) in self.loads.iter().enumerate() {
            check.load(&format!("load {}", k + 1), load)?;
        }
        for (k, d) in self.disturbances.iter().enumerate() {
            let what = format!("disturbance {}", k + 1);
            check.schedule(&what, d.at, d.every)?;
            check.range(&what, d.duration, 0.0, 1e9)?;
            check.phases(&what, &d.phases)?;
            let (low, high) = match d.kind {
                DisturbanceKind::Dip => (0.0, 100.0),
                DisturbanceKind::Swell => (100.0, 200.0),
                DisturbanceKind::Frequency => (-50.0, 100.0),
                DisturbanceKind::Outage | DisturbanceKind::NeutralLoss => (0.0, 0.0),
            };
            check.range(&format!("{what}: percent"), d.percent, low, high)?;
        }
        for (k, input) in self.inputs.iter().enumerate() {
            let what = format!("input {}", k + 1);
            check.schedule(&what, input.at, input.every)?;
            check.range(&what, input.duration.unwrap_or(1.0), 0.0, 1e9)?;
        }
        let fe = &self.front_end;
        check.range("front_end.gain_ppm", fe.gain_ppm, 0.0, 400_000.0)?;
        check.range("front_end.offset_counts", fe.offset_counts, 0.0, 1_000_000.0)?;
        check.range("front_end.phase_ns", fe.phase_ns, 0.0, 90_000.0)?;
        check.range("front_end.noise_counts", fe.noise_counts, 0.0, 100_000.0)?;
        check.range("front_end.clock_ppm", fe.clock_ppm, -500.0, 500.0)?;
        check.range("front_end.rtc_ppm", fe.rtc_ppm, -500.0, 500.0)?;
        check.range("supply.hold_up_ms", self.supply.hold_up_ms, 20.0, 60_000.0)?;
        check.range("supply.boot_ms", self.supply.boot_ms, 0.0, 60_000.0)
    }

    /// All harmonic orders in use, the fundamental first, ascending.
    pub fn orders(&self) -> Vec<u8> {
        let loads = self.loads.iter().flat_map(|load| load.common().harmonics);
        let mut orders: Vec<u8> = self.grid.harmonics.iter().chain(loads).map(|h| h.order).collect();
        orders.push(1);
        orders.sort_unstable();
        orders.dedup();
        orders
    }
}

/// What all kinds of load have in common.
pub(crate) struct Common<'a> {
    pub phases: &'a [u8],
    pub watts: f64,
    pub pf: f64,
    pub leading: bool,
    pub harmonics: &'a [Harmonic],
}

impl Load {
    pub(crate) fn common(&self) -> Common<'_> {
        macro_rules! common {
            ($l:expr, $watts:expr) => {
                Common { phases: &$l.phases, watts: $watts, pf: $l.pf, leading: $l.leading, harmonics: &$l.harmonics }
            };
        }
        match self {
            Load::Constant(l) => common!(l, l.watts),
            Load::Profile(l) => common!(l, l.watts),
            Load::Cycle(l) => common!(l, l.watts),
            Load::Appliance(l) => common!(l, l.watts),
            Load::Solar(l) => common!(l, -l.peak_watts),
            Load::Ev(l) => common!(l, l.watts),
        }
    }
}

struct Check<'a> {
    name: &'a str,
    orders: Vec<u8>,
}

impl Check<'_> {
    fn refuse(&self, what: &str, reason: String) -> ScenarioError {
        ScenarioError::Invalid { name: self.name.to_owned(), what: what.to_owned(), reason }
    }

    fn range(&self, what: &str, value: f64, low: f64, high: f64) -> Result<(), ScenarioError> {
        // A NaN fails this comparison too.
        if (low..=high).contains(&value) {
            return Ok(());
        }
        Err(self.refuse(what, format!("{value} is outside {low} to {high}")))
    }

    fn phases(&self, what: &str, phases: &[u8]) -> Result<(), ScenarioError> {
        let mut seen = [false; 4];
        for &phase in phases {
            let fresh = matches!(phase, 1..=3) && !std::mem::replace(&mut seen[usize::from(phase)], true);
            if !fresh {
                return Err(self.refuse(what, format!("phases {phases:?}: each of 1, 2, 3 at most once")));
            }
        }
        if phases.is_empty() { Err(self.refuse(what, "no phase named".to_owned())) } else { Ok(()) }
    }

    fn schedule(&self, what: &str, at: f64, every: Option<f64>) -> Result<(), ScenarioError> {
        self.range(&format!("{what}: at"), at, 0.0, 1e10)?;
        // 20 ms: nothing in the model is finer than a cycle.
        self.range(&format!("{what}: every"), every.unwrap_or(1.0), 0.02, 1e10)
    }

    fn harmonics(&mut self, what: &str, harmonics: &[Harmonic]) -> Result<(), ScenarioError> {
        for h in harmonics {
            self.range(&format!("{what}: order"), f64::from(h.order), 2.0, 40.0)?;
            self.range(&format!("{what}: percent"), h.percent, 0.0, 200.0)?;
            self.range(&format!("{what}: degrees"), h.degrees, -360.0, 360.0)?;
            if !self.orders.contains(&h.order) {
                self.orders.push(h.order);
            }
        }
        if self.orders.len() > MAX_ORDERS {
            return Err(self.refuse(what, format!("more than {MAX_ORDERS} different orders, the fundamental included")));
        }
        Ok(())
    }

    fn load(&mut self, what: &str, load: &Load) -> Result<(), ScenarioError> {
        let common = load.common();
        self.phases(what, common.phases)?;
        self.range(&format!("{what}: watts"), common.watts, -1e7, 1e7)?;
        self.range(&format!("{what}: pf"), common.pf, 0.01, 1.0)?;
        self.harmonics(&format!("{what}: harmonics"), common.harmonics)?;
        match load {
            Load::Constant(l) => self.range(&format!("{what}: vars"), l.vars.unwrap_or(0.0), -1e7, 1e7)?,
            Load::Profile(l) => {
                for f in l.hours.iter().chain(l.weekend.iter().flatten()).chain(&l.months) {
                    self.range(&format!("{what}: factors"), *f, 0.0, 100.0)?;
                }
                self.range(&format!("{what}: scatter_percent"), l.scatter_percent, 0.0, 100.0)?;
            }
            Load::Cycle(l) => {
                self.range(&format!("{what}: period_s"), l.period_s, 2.0, 1e7)?;
                self.range(&format!("{what}: on_s"), l.on_s, 0.0, l.period_s)?;
                for f in &l.months {
                    self.range(&format!("{what}: months"), *f, 0.0, 100.0)?;
                }
            }
            Load::Appliance(l) => {
                self.range(&format!("{what}: minutes"), l.minutes, 0.1, 60.0)?;
                for p in &l.hours {
                    self.range(&format!("{what}: hours"), *p, 0.0, 1.0)?;
                }
            }
            Load::Solar(l) => {
                self.range(&format!("{what}: peak_watts"), l.peak_watts, 0.0, 1e7)?;
                self.range(&format!("{what}: clouds"), l.clouds, 0.0, 1.0)?;
            }
            Load::Ev(l) => {
                self.range(&format!("{what}: watts"), l.watts, 1.0, 1e6)?;
                self.range(&format!("{what}: arrive_hour"), l.arrive_hour, 0.0, 24.0)?;
                self.range(&format!("{what}: arrive_scatter_h"), l.arrive_scatter_h, 0.0, 6.0)?;
                self.range(&format!("{what}: kwh"), l.kwh, 0.0, 500.0)?;
                self.range(&format!("{what}: probability"), l.probability, 0.0, 1.0)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_scenario_loads_under_its_own_name() {
        for (name, _) in BUILT_IN {
            let scenario = Scenario::load(name).unwrap();
            assert_eq!(scenario.name, *name);
            assert!(!scenario.loads.is_empty() && !scenario.description.is_empty());
        }
    }

    #[test]
    fn unknown_keys_are_refused_with_their_line() {
        for (text, key) in [
            ("name = \"x\"\nvoltage = 1\n", "voltage"),
            ("name = \"x\"\n[grid]\nu_nominl = 1\n", "u_nominl"),
            ("name = \"x\"\n[[load]]\nkind = \"constant\"\nwatts = 1.0\nwat = 1\n", "wat"),
            ("name = \"x\"\n[[load]]\nkind = \"nuclear\"\n", "nuclear"),
        ] {
            let message = Scenario::parse(text, "f.toml").unwrap_err().to_string();
            assert!(message.starts_with("f.toml: ") && message.contains(key) && message.contains("line"), "{message}");
        }
    }

    #[test]
    fn impossible_values_are_refused_with_key_and_limit() {
        for (text, part) in [
            ("name = \"x\"\n[grid]\nu_nominal = nan\n", "grid.u_nominal"),
            ("name = \"x\"\n[[load]]\nkind = \"constant\"\nwatts = 1.0\npf = 0.0\n", "load 1: pf"),
            ("name = \"x\"\n[[load]]\nkind = \"constant\"\nwatts = 1.0\nphases = [4]\n", "phases [4]"),
            ("name = \"x\"\n[[load]]\nkind = \"constant\"\nwatts = 1.0\nphases = [1, 1]\n", "phases [1, 1]"),
            ("name = \"x\"\n[[disturbance]]\nkind = \"dip\"\nat = -1.0\nduration = 1.0\n", "disturbance 1: at"),
            ("name = \"x\"\n[grid]\nharmonics = [{ order = 41, percent = 1.0 }]\n", "order"),
        ] {
            let message = Scenario::parse(text, "f.toml").unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        assert!(matches!(Scenario::load("nowhere"), Err(ScenarioError::Unknown(_))));
        assert!(matches!(Scenario::load("no/where.toml"), Err(ScenarioError::Read { .. })));
    }
}
