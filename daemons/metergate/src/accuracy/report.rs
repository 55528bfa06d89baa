//! What is told: tables for people, one document for machines.

use std::io::{self, Write};

use metrology_link::payload::Calibration;
use serde::Serialize;

use super::bench::Injected;
use super::classes::Class;
use super::measure::{Agreement, Outcome};
use super::points::Kind;
use crate::table::{Align, Table};

/// Everything that was found.
#[derive(Debug)]
pub struct Report<'a> {
    /// Class that was asked for.
    pub class: Class,
    /// Seed of the front end.
    pub seed: u64,
    /// What was built into the front end.
    pub injected: &'a [Injected; 6],
    /// What calibration found.
    pub calibration: &'a Calibration,
    /// All points.
    pub outcomes: &'a [Outcome],
    /// Comparison with ARM, when there was one.
    pub agreement: Option<Agreement>,
}

const CHANNELS: [&str; 6] = ["U1", "U2", "U3", "I1", "I2", "I3"];

/// A title, and which points stand under it.
type Section = (&'static str, fn(Kind) -> bool);

/// Points that belong together, in the order in which they are shown.
const SECTIONS: [Section; 4] = [
    ("active energy, balanced", |kind| matches!(kind, Kind::Active(_))),
    ("active energy, one phase loaded", |kind| matches!(kind, Kind::Single(..))),
    ("reactive energy", |kind| matches!(kind, Kind::Reactive(_))),
    ("influence quantities: change of the error", |kind| matches!(kind, Kind::Influence(..))),
];

impl Report<'_> {
    /// Every point with a limit is inside of it, and ARM and host agree where both ran.
    pub fn passed(&self) -> bool {
        !self.outcomes.iter().any(Outcome::failed) && self.agreement.is_none_or(|a| a.different == 0)
    }

    /// Why it did not pass, in a line.
    pub fn failure(&self) -> String {
        let failed = self.outcomes.iter().filter(|o| o.failed()).count();
        match self.agreement {
            Some(Agreement { runs, different, .. }) if different > 0 => {
                format!("ARM and host differ in {different} of {runs} runs; {failed} points outside of their limits")
            }
            _ => format!("{failed} of {} points are outside of their limits", self.outcomes.len()),
        }
    }

    /// The tables.
    ///
    /// # Errors
    /// The output is gone.
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let (active, reactive) = self.class.names();
        writeln!(out, "0.25-5(100) A, 230 V, four wires; front end of seed {}; 10 s of signal per point", self.seed)?;
        writeln!(out, "limits: {active}; reactive {reactive}\n")?;
        self.print_calibration(out)?;
        for (title, belongs) in SECTIONS {
            let rows = self.outcomes.iter().filter(|o| belongs(o.point.kind));
            writeln!(out, "\n{title}")?;
            points(rows).write(out)?;
        }
        writeln!(out)?;
        self.print_summary(out)
    }

    fn print_calibration(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "calibration at 5 A, PF 1 and 0.5i: errors built in, corrections found, what is left")?;
        let right = |title| (title, Align::Right);
        let mut table = Table::new([
            ("CHANNEL", Align::Left),
            right("GAIN ppm"),
            right("FOUND"),
            right("LEFT"),
            right("OFFSET counts"),
            right("FOUND"),
            right("LAG ns"),
            right("FOUND"),
        ]);
        for (c, (injected, found)) in self.injected.iter().zip(&self.calibration.channel).enumerate() {
            let gain = f64::from(found.gain_q30) / f64::from(1 << 30);
            table.row([
                CHANNELS[c].to_owned(),
                format!("{:.1}", injected.gain_ppm),
                format!("{:.1}", (gain - 1.0) * 1e6),
                format!("{:.1}", (gain * (1.0 + injected.gain_ppm / 1e6) - 1.0) * 1e6),
                format!("{:.0}", injected.offset),
                format!("{}", found.offset),
                format!("{:.0}", injected.delay_ns),
                format!("{}", found.phase_ns),
            ]);
        }
        table.write(out)
    }

    fn print_summary(&self, out: &mut dyn Write) -> io::Result<()> {
        for (title, belongs) in SECTIONS {
            if let Some(worst) = self.worst(belongs) {
                let margin = worst.margin().map_or(String::new(), times);
                writeln!(out, "worst margin, {title}: {margin} ({})", describe(worst))?;
            }
        }
        let failed = self.outcomes.iter().filter(|o| o.failed()).count();
        let held = self.outcomes.iter().filter(|o| o.limit.is_some()).count();
        writeln!(out, "{} points, {held} with a limit, {failed} outside", self.outcomes.len())?;
        match self.agreement {
            None => Ok(()),
            Some(Agreement { runs, windows, different: 0 }) => {
                writeln!(out, "ARM and host agree bit for bit: {runs} runs, {windows} windows")
            }
            Some(Agreement { runs, different, .. }) => {
                writeln!(out, "ARM and host DIFFER in {different} of {runs} runs")
            }
        }
    }

    fn worst(&self, belongs: fn(Kind) -> bool) -> Option<&Outcome> {
        let margin = |o: &&Outcome| o.margin().unwrap_or(f64::INFINITY);
        let held = self.outcomes.iter().filter(|o| belongs(o.point.kind) && o.limit.is_some());
        held.min_by(|a, b| margin(a).total_cmp(&margin(b)))
    }

    /// The document of `--json`.
    pub fn document(&self) -> impl Serialize + '_ {
        let (standard, reactive_standard) = self.class.names();
        let channels = self.injected.iter().zip(&self.calibration.channel).zip(CHANNELS);
        let margins = self.outcomes.iter().filter_map(Outcome::margin);
        Document {
            standard,
            reactive_standard,
            seed: self.seed,
            calibration: channels
                .map(|((injected, found), channel)| Channel {
                    channel,
                    built_in: BuiltIn {
                        gain_ppm: injected.gain_ppm,
                        offset: injected.offset,
                        delay_ns: injected.delay_ns,
                    },
                    gain_q30: found.gain_q30,
                    offset: found.offset,
                    phase_ns: found.phase_ns,
                })
                .collect(),
            points: self.outcomes.iter().map(row).collect(),
            worst_margin: margins.min_by(f64::total_cmp),
            arm: self.agreement.map(|a| Arm { runs: a.runs, windows: a.windows, different: a.different }),
            passed: self.passed(),
        }
    }
}

fn points<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Table {
    let right = |title| (title, Align::Right);
    let mut table = Table::new([
        right("I A"),
        right("PF"),
        right("f Hz"),
        right("U/Un"),
        right("BIAS %"),
        right("ERROR %"),
        right("LIMIT %"),
        right("MARGIN"),
        ("", Align::Left),
    ]);
    let percent = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:+.4}"));
    for o in outcomes {
        let note = match (o.failed(), o.error) {
            (true, _) => format!("OUTSIDE {}", o.point.label),
            (false, None) => format!("below the starting power {}", o.point.label),
            (false, Some(_)) => o.point.label.clone(),
        };
        table.row([
            format!("{}", (o.point.amps * 1e3).round() / 1e3),
            o.point.factor().to_owned(),
            format!("{}", o.point.f),
            format!("{}", o.point.u),
            percent(o.bias),
            percent(o.error),
            o.limit.map_or("-".to_owned(), |limit| format!("{limit}")),
            o.margin().map_or("-".to_owned(), times),
            note.trim_end().to_owned(),
        ]);
    }
    table
}

fn times(margin: f64) -> String {
    if margin >= 1000.0 { ">1000x".to_owned() } else { format!("{margin:.1}x") }
}

fn describe(o: &Outcome) -> String {
    let error = o.error.map_or("nothing registered".to_owned(), |e| format!("{e:+.4} %"));
    let limit = o.limit.map_or(String::new(), |limit| format!(" of ±{limit} %"));
    let p = &o.point;
    let label = if p.label.is_empty() { String::new() } else { format!(", {}", p.label) };
    format!("{error}{limit} at {:.3} A, {}, {} Hz, {} Un{label}", p.amps, p.factor(), p.f, p.u)
}

fn row(o: &Outcome) -> Row<'_> {
    let kind = match o.point.kind {
        Kind::Active(_) => "active",
        Kind::Single(..) => "single",
        Kind::Reactive(_) => "reactive",
        Kind::Influence(..) => "influence",
    };
    Row {
        kind,
        label: &o.point.label,
        i: o.point.amps,
        factor: o.point.factor(),
        f: o.point.f,
        u: o.point.u,
        error: o.error,
        bias: o.bias,
        limit: o.limit,
        margin: o.margin(),
        ok: !o.failed(),
    }
}

/// What `accuracy --json` prints.
#[derive(Serialize)]
struct Document<'a> {
    standard: &'static str,
    reactive_standard: &'static str,
    seed: u64,
    calibration: Vec<Channel>,
    points: Vec<Row<'a>>,
    /// Smallest limit over error.
    worst_margin: Option<f64>,
    /// Comparison with the program for ARM; absent when it did not run.
    arm: Option<Arm>,
    passed: bool,
}

#[derive(Serialize)]
struct Channel {
    channel: &'static str,
    built_in: BuiltIn,
    gain_q30: i32,
    offset: i32,
    phase_ns: i32,
}

#[derive(Serialize)]
struct BuiltIn {
    gain_ppm: f64,
    offset: f64,
    delay_ns: f64,
}

#[derive(Serialize)]
struct Row<'a> {
    kind: &'static str,
    label: &'a str,
    /// A.
    i: f64,
    factor: &'static str,
    /// Hz.
    f: f64,
    /// Relative to nominal.
    u: f64,
    /// %, with noise; absent when nothing was registered.
    error: Option<f64>,
    /// %, without noise.
    bias: Option<f64>,
    /// ± %.
    limit: Option<f64>,
    margin: Option<f64>,
    ok: bool,
}

#[derive(Serialize)]
struct Arm {
    runs: u32,
    windows: u64,
    different: u32,
}
