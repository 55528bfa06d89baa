//! The document of `metergate accuracy --json`.

use serde::Serialize;

use super::limits::BANDS;
use super::measure::Outcome;
use super::points::{Kind, Load};
use super::report::{CHANNELS, Report};

/// What `accuracy --json` prints.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    range: &'static str,
    standard: &'static str,
    reactive_standard: &'static str,
    seed: u64,
    noise_dbfs: f64,
    /// A, peak.
    full_scale: f64,
    /// Runs with noise per point.
    draws: u32,
    calibration: Vec<Channel>,
    points: Vec<Row<'a>>,
    no_load: NoLoad,
    meter_constant: MeterConstant,
    composite: Vec<Composite>,
    classes: Vec<Class>,
    /// Smallest limit over error.
    worst_margin: Option<f64>,
    /// Root of the mean square of the draws' deviations from the bias, in units of sigma.
    scatter: f64,
    /// Comparison with the program for ARM; absent when it did not run.
    arm: Option<Arm>,
    passed: bool,
}

#[derive(Debug, Serialize)]
struct Channel {
    channel: &'static str,
    built_in: BuiltIn,
    gain_q30: i32,
    offset: i32,
    phase_ns: i32,
    gain_ppb_per_k: i32,
    gain_ppt_per_k2: i32,
    offset_mcount_per_k: i32,
    phase_ps_per_k: i32,
}

#[derive(Debug, Serialize)]
struct BuiltIn {
    gain_ppm: f64,
    offset: f64,
    delay_ns: f64,
    gain_ppm_per_k: f64,
    phase_ns_per_k: f64,
    gain_ppm_per_year: f64,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    kind: &'static str,
    energy: &'static str,
    label: &'a str,
    /// A.
    i: f64,
    factor: &'static str,
    /// Hz.
    f: f64,
    /// Relative to nominal.
    u: f64,
    celsius: f64,
    /// %, without noise; absent when nothing was registered.
    bias: Option<f64>,
    /// Standard deviation of ten seconds, %.
    sigma: f64,
    /// Errors of the runs with noise, %.
    draws: &'a [f64],
    /// |bias| + 3 sigma, %.
    error: f64,
    /// ± %.
    limit: Option<f64>,
    margin: Option<f64>,
    ok: bool,
}

#[derive(Debug, Serialize)]
struct NoLoad {
    seconds: f64,
    asked: f64,
    registered_mj: f64,
    ok: bool,
}

#[derive(Debug, Serialize)]
struct MeterConstant {
    pulses: u64,
    /// What the register has earned and the output has not given yet, pulses.
    owed: f64,
    /// Test output against truth, %.
    output: f64,
    /// Register against truth, %.
    register: f64,
    ok: bool,
}

#[derive(Debug, Serialize)]
struct Composite {
    class: &'static str,
    row: &'static str,
    celsius: (f64, f64),
    /// %.
    error: f64,
    /// ± %.
    limit: f64,
}

#[derive(Debug, Serialize)]
struct Class {
    class: &'static str,
    balanced: Option<f64>,
    single: Option<f64>,
    influence: Option<f64>,
    composite: Option<f64>,
    starts: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Arm {
    runs: u32,
    windows: u64,
    different: u32,
}

impl<'a> Document<'a> {
    /// Everything of a report.
    pub fn new(report: &'a Report<'a>) -> Document<'a> {
        let laboratory = report.laboratory;
        let channels = laboratory.bench.injected.iter().zip(&laboratory.calibration.channel).zip(CHANNELS);
        let margins = report.outcomes.iter().filter_map(|o| report.margin(o));
        let (n, c) = (&report.no_load, &report.constant);
        Document {
            range: laboratory.bench.range.name(),
            standard: report.class.name(),
            reactive_standard: report.class.reactive().name(),
            seed: report.seed,
            noise_dbfs: super::bench::NOISE_DBFS,
            full_scale: laboratory.bench.range.full_scale(),
            draws: laboratory.draws,
            calibration: channels
                .map(|((injected, found), channel)| Channel {
                    channel,
                    built_in: BuiltIn {
                        gain_ppm: injected.gain_ppm,
                        offset: injected.offset,
                        delay_ns: injected.delay_ns,
                        gain_ppm_per_k: injected.drift.gain_ppm_per_k,
                        phase_ns_per_k: injected.drift.phase_ns_per_k,
                        gain_ppm_per_year: injected.drift.gain_ppm_per_year,
                    },
                    gain_q30: found.gain_q30,
                    offset: found.offset,
                    phase_ns: found.phase_ns,
                    gain_ppb_per_k: found.gain_ppb_per_k,
                    gain_ppt_per_k2: found.gain_ppt_per_k2,
                    offset_mcount_per_k: found.offset_mcount_per_k,
                    phase_ps_per_k: found.phase_ps_per_k,
                })
                .collect(),
            points: report.outcomes.iter().map(|o| row(report, o)).collect(),
            no_load: NoLoad { seconds: n.seconds, asked: n.asked, registered_mj: n.registered, ok: n.passed() },
            meter_constant: MeterConstant {
                pulses: c.pulses,
                owed: c.owed,
                output: c.output,
                register: c.register,
                ok: c.passed(),
            },
            composite: report
                .composite
                .iter()
                .map(|c| Composite {
                    class: c.class.name(),
                    row: c.row,
                    celsius: BANDS[c.band],
                    error: c.error,
                    limit: c.limit,
                })
                .collect(),
            classes: report
                .summaries()
                .into_iter()
                .map(|s| Class {
                    class: s.name,
                    balanced: s.balanced,
                    single: s.single,
                    influence: s.influence,
                    composite: s.composite,
                    starts: s.starts,
                })
                .collect(),
            worst_margin: margins.min_by(f64::total_cmp),
            scatter: report.scatter().0,
            arm: laboratory.agreement().map(|a| Arm { runs: a.runs, windows: a.windows, different: a.different }),
            passed: report.passed(),
        }
    }
}

fn row<'a>(report: &Report<'_>, o: &'a Outcome) -> Row<'a> {
    let kind = match o.point.kind {
        Kind::Balanced => "balanced",
        Kind::Single => "single",
        Kind::Influence(_) => "influence",
        Kind::Start => "start",
    };
    Row {
        kind,
        energy: if matches!(o.point.load, Load::Active(_)) { "active" } else { "reactive" },
        label: &o.point.label,
        i: o.point.amps,
        factor: o.point.load.name(),
        f: o.point.f,
        u: o.point.u,
        celsius: o.point.conditions.celsius,
        bias: o.figure.bias,
        sigma: o.figure.sigma,
        draws: &o.figure.draws,
        error: o.error(),
        limit: report.limit(o),
        margin: report.margin(o),
        ok: !report.failed(o),
    }
}
