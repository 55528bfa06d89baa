//! What is told: tables for people, one document for machines ([`super::document`]).

use std::io::{self, Write};

use super::bench::{NOISE_DBFS, RATE};
use super::classes::{Class, Reactive};
use super::limits::BANDS;
use super::measure::{Agreement, COVERAGE, Laboratory, Outcome};
use super::points::{Kind, Load, Pf, Point};
use super::special::{self, Composite, Constant, NoLoad};
use crate::table::{Align, Table};

/// Everything that was found.
#[derive(Debug)]
pub struct Report<'a> {
    /// Bench and calibration.
    pub laboratory: &'a Laboratory,
    /// Class that was asked for.
    pub class: Class,
    /// Seed of the front end.
    pub seed: u64,
    /// All points.
    pub outcomes: &'a [Outcome],
    /// Voltage without current.
    pub no_load: NoLoad,
    /// Meter constant.
    pub constant: Constant,
    /// Composite errors of the directive's classes.
    pub composite: &'a [Composite],
}

/// Names of the calibrated channels.
pub const CHANNELS: [&str; 6] = ["U1", "U2", "U3", "I1", "I2", "I3"];

/// A title, and which points stand under it.
type Section = (&'static str, fn(&Point) -> bool);

/// Points that belong together, in the order in which they are shown.
const SECTIONS: [Section; 7] = [
    ("active energy, balanced", |p| p.kind == Kind::Balanced && active(p)),
    ("active energy, one phase loaded", |p| p.kind == Kind::Single && active(p)),
    ("reactive energy, balanced", |p| p.kind == Kind::Balanced && !active(p)),
    ("reactive energy, one phase loaded", |p| p.kind == Kind::Single && !active(p)),
    ("influence quantities, active energy: change of the error", |p| is_influence(p) && active(p)),
    ("influence quantities, reactive energy: change of the error", |p| is_influence(p) && !active(p)),
    ("starting currents", |p| p.kind == Kind::Start),
];

fn active(point: &Point) -> bool {
    matches!(point.load, Load::Active(_))
}

fn is_influence(point: &Point) -> bool {
    matches!(point.kind, Kind::Influence(_))
}

impl Report<'_> {
    /// The limit of the class that was asked for, ± %.
    pub fn limit(&self, outcome: &Outcome) -> Option<f64> {
        outcome.limit(&self.laboratory.bench, self.class, self.class.reactive())
    }

    /// The margin to the class that was asked for.
    pub fn margin(&self, outcome: &Outcome) -> Option<f64> {
        outcome.margin(self.limit(outcome))
    }

    /// Whether a point is outside of its limit.
    pub fn failed(&self, outcome: &Outcome) -> bool {
        let below =
            self.class.start(self.laboratory.bench.range).is_none_or(|start| outcome.point.amps < start * 0.999);
        // Finer classes have starting currents below this one's.
        let other_class = outcome.point.kind == Kind::Start && active(&outcome.point) && below;
        !other_class && self.margin(outcome).is_some_and(|margin| margin < 1.0 || margin.is_nan())
    }

    /// Composite errors of the class that was asked for.
    fn own_composite(&self) -> impl Iterator<Item = &Composite> {
        self.composite.iter().filter(|c| c.class == self.class)
    }

    /// Every point with a limit is inside of it, and ARM and host agree where both ran.
    pub fn passed(&self) -> bool {
        self.failures() == 0 && self.laboratory.agreement().is_none_or(|a| a.different == 0)
    }

    fn failures(&self) -> usize {
        self.outcomes.iter().filter(|o| self.failed(o)).count()
            + self.own_composite().filter(|c| c.error > c.limit).count()
            + usize::from(!self.no_load.passed())
            + usize::from(!self.constant.passed())
    }

    /// Why it did not pass, in a line.
    pub fn failure(&self) -> String {
        match self.laboratory.agreement() {
            Some(Agreement { runs, different, .. }) if different > 0 => {
                format!(
                    "ARM and host differ in {different} of {runs} runs; {} results outside of their limits",
                    self.failures()
                )
            }
            _ => format!("{} results are outside of their limits", self.failures()),
        }
    }

    /// Root of the mean square of the draws' deviations, in units of sigma, and their number.
    pub fn scatter(&self) -> (f64, usize) {
        let deviations: Vec<f64> = self.outcomes.iter().flat_map(Outcome::deviations).collect();
        let mean = deviations.iter().map(|d| d * d).sum::<f64>() / deviations.len() as f64;
        (mean.sqrt(), deviations.len())
    }

    /// The tables.
    ///
    /// # Errors
    /// The output is gone.
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let range = self.laboratory.bench.range;
        let (draws, scale) = (self.laboratory.draws, range.full_scale());
        writeln!(out, "{}, 230 V, four wires; simulated front end of seed {}", range.name(), self.seed)?;
        writeln!(
            out,
            "converter: 24 bit, {RATE} S/s, full scale {scale} A peak, noise {NOISE_DBFS} dB of full scale with the spectrum of \
             a sinc3 filter"
        )?;
        writeln!(
            out,
            "each point: bias with next to no noise; sigma of 10 s from {draws} runs with noise; margin = limit / (|bias| + {COVERAGE} \
             sigma)"
        )?;
        writeln!(out, "limits: {}; reactive {}\n", self.class.name(), self.class.reactive().name())?;
        self.print_calibration(out)?;
        for (title, belongs) in SECTIONS {
            writeln!(out, "\n{title}")?;
            self.points(self.outcomes.iter().filter(|o| belongs(&o.point))).write(out)?;
        }
        self.print_special(out)?;
        self.print_composite(out)?;
        self.print_classes(out)?;
        self.print_summary(out)
    }

    fn print_calibration(&self, out: &mut dyn Write) -> io::Result<()> {
        let amps = self.laboratory.bench.range.basic();
        writeln!(
            out,
            "calibration at {amps} A, PF 1 and 0.5i, at 23, -17 and 63 °C: errors built in, corrections found, what is left"
        )?;
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
            right("DRIFT ppm/K"),
            right("FOUND"),
        ]);
        let channels = self.laboratory.bench.injected.iter().zip(&self.laboratory.calibration.channel);
        for ((injected, found), name) in channels.zip(CHANNELS) {
            let gain = f64::from(found.gain_q30) / f64::from(1 << 30);
            table.row([
                name.to_owned(),
                format!("{:.1}", injected.gain_ppm),
                format!("{:.1}", (gain - 1.0) * 1e6),
                format!("{:.1}", (gain * (1.0 + injected.gain_ppm / 1e6) - 1.0) * 1e6),
                format!("{:.0}", injected.offset),
                format!("{}", found.offset),
                format!("{:.0}", injected.delay_ns),
                format!("{}", found.phase_ns),
                format!("{:.2}", injected.drift.gain_ppm_per_k),
                format!("{:.2}", f64::from(found.gain_ppb_per_k) / 1e3),
            ]);
        }
        table.write(out)
    }

    fn print_special(&self, out: &mut dyn Write) -> io::Result<()> {
        let (n, c) = (&self.no_load, &self.constant);
        let verdict = |passed: bool| if passed { "ok" } else { "OUTSIDE" };
        writeln!(
            out,
            "\nno load: 1.15 Un without current for {:.0} s (asked for: {:.0} s): {} mJ registered, a pulse is {:.0} J: {}",
            n.seconds,
            n.asked,
            n.registered,
            n.pulse / 1e3,
            verdict(n.passed())
        )?;
        writeln!(
            out,
            "meter constant: a minute at Imax: {} pulses, test output {:+.5} %, register {:+.5} %, {:.1} pulses owed: {}",
            c.pulses,
            c.output,
            c.register,
            c.owed,
            verdict(c.passed())
        )?;
        let limited = self.outcomes.iter().filter(|o| o.point.is_reference() && !o.figure.draws.is_empty());
        let ratios = limited.filter_map(|o| Some((self.limit(o)? / o.spread(), o)));
        if let Some((ratio, worst)) = ratios.min_by(|a, b| a.0.total_cmp(&b.0)) {
            writeln!(
                out,
                "repeatability: {} measurements of 10 s differ by 1/{ratio:.0} of the limit at most ({})",
                self.laboratory.draws,
                place(&worst.point)
            )?;
        }
        Ok(())
    }

    fn print_composite(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "\ncomposite error (Directive 2014/32/EU): %, of which the limit is; the worst point of each row"
        )?;
        let mut table = Table::new([("CLASS", Align::Left), ("", Align::Left)]);
        for (low, high) in BANDS {
            table.column(format!("{low}..{high} °C"), Align::Right);
        }
        for class in [Class::A, Class::B, Class::C] {
            for row in special::ROWS {
                let cells = self.composite.iter().filter(|c| c.class == class && c.row == row);
                let cells = cells.map(|c| format!("{:.3} of {} ({})", c.error, c.limit, times(c.limit / c.error)));
                let name = class.name().trim_start_matches("EN 50470-3 class ");
                table.row([name.to_owned(), row.to_owned()].into_iter().chain(cells));
            }
        }
        table.write(out)
    }

    fn print_classes(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "\nsmallest margin to every class")?;
        let right = |title| (title, Align::Right);
        let mut table = Table::new([
            ("CLASS", Align::Left),
            right("BALANCED"),
            right("ONE PHASE"),
            right("INFLUENCES"),
            right("COMPOSITE"),
            right("START"),
            ("WORST POINT", Align::Left),
        ]);
        for summary in self.summaries() {
            let cell = |margin: Option<f64>| margin.map_or("-".to_owned(), times);
            let start = match summary.starts {
                None => "-",
                Some(true) => "ok",
                Some(false) => "NO",
            };
            table.row([
                summary.name.to_owned(),
                cell(summary.balanced),
                cell(summary.single),
                cell(summary.influence),
                cell(summary.composite),
                start.to_owned(),
                summary.worst.map_or(String::new(), describe_worst),
            ]);
        }
        table.write(out)
    }

    /// The margins to every class.
    pub fn summaries(&self) -> Vec<ClassSummary<'_>> {
        let active = Class::ALL.map(|class| {
            self.summary(class.name(), class, Reactive::HalfS, true, class.start(self.laboratory.bench.range))
        });
        let reactive = Reactive::ALL
            .map(|class| self.summary(class.name(), Class::C, class, false, class.start(self.laboratory.bench.range)));
        active.into_iter().chain(reactive).collect()
    }

    fn summary(
        &self,
        name: &'static str,
        class: Class,
        reactive: Reactive,
        of_active: bool,
        start: Option<f64>,
    ) -> ClassSummary<'_> {
        let of_kind = |kind: fn(Kind) -> bool| {
            let points = self.outcomes.iter().filter(move |o| active(&o.point) == of_active && kind(o.point.kind));
            special::worst(points, &self.laboratory.bench, class, reactive)
        };
        let parts = [
            of_kind(|kind| kind == Kind::Balanced),
            of_kind(|kind| kind == Kind::Single),
            of_kind(|kind| matches!(kind, Kind::Influence(_))),
        ];
        let composites = self.composite.iter().filter(|c| of_active && c.class == class);
        let started = |amps: f64| {
            let at = |o: &&Outcome| {
                o.point.kind == Kind::Start && active(&o.point) == of_active && super::range::same(o.point.amps, amps)
            };
            self.outcomes.iter().find(at).and_then(|o| o.margin(self.limit(o))).is_some_and(|margin| margin >= 1.0)
        };
        let [balanced, single, influence] = parts.map(|part| part.map(|(margin, _)| margin));
        ClassSummary {
            name,
            balanced,
            single,
            influence,
            composite: composites.map(|c| c.limit / c.error).min_by(f64::total_cmp),
            starts: start.map(started),
            worst: parts.into_iter().flatten().min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, o)| {
                let limit = o.limit(&self.laboratory.bench, class, reactive);
                (o, limit.unwrap_or(f64::NAN))
            }),
        }
    }

    fn print_summary(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out)?;
        for end in self.ends().into_iter().flatten() {
            let (bias, sigma) = (end.figure.bias.unwrap_or(-100.0), end.figure.sigma);
            let within = |coverage: f64| bias.abs() + coverage * sigma;
            writeln!(
                out,
                "{} in 10 s: bias {bias:+.5} %, sigma {sigma:.5} %; within {:.4} % (2 sigma), {:.4} % (3 sigma){}",
                current(end.point.amps),
                within(2.0),
                within(3.0),
                longer(bias.abs(), sigma)
            )?;
        }
        let (scatter, draws) = self.scatter();
        writeln!(out, "{draws} results of 10 s scatter around their bias by {scatter:.2} sigma (1 if sigma is right)")?;
        let held = self.outcomes.iter().filter(|o| self.limit(o).is_some()).count();
        let failures = self.failures();
        writeln!(
            out,
            "{} points, {held} with a limit of {}, {failures} outside",
            self.outcomes.len(),
            self.class.name()
        )?;
        match self.laboratory.agreement() {
            None => Ok(()),
            Some(Agreement { runs, windows, different: 0 }) => {
                writeln!(out, "ARM and host agree bit for bit: {runs} runs, {windows} windows")
            }
            Some(Agreement { runs, different, .. }) => {
                writeln!(out, "ARM and host DIFFER in {different} of {runs} runs")
            }
        }
    }

    /// The smallest and the largest current of the range at PF 1, balanced, reference conditions.
    pub fn ends(&self) -> [Option<&Outcome>; 2] {
        let range = self.laboratory.bench.range;
        [range.currents()[0], range.largest()].map(|amps| {
            let unity = |o: &&Outcome| o.point.is_reference() && o.point.load == Load::Active(Pf::One);
            self.outcomes.iter().filter(unity).find(|o| super::range::same(o.point.amps, amps))
        })
    }

    fn points<'a>(&self, outcomes: impl Iterator<Item = &'a Outcome>) -> Table {
        let right = |title| (title, Align::Right);
        let mut table = Table::new([
            right("I A"),
            right("PF"),
            right("f Hz"),
            right("U/Un"),
            right("BIAS %"),
            right("SIGMA %"),
            right("LIMIT %"),
            right("MARGIN"),
            ("", Align::Left),
        ]);
        for o in outcomes {
            let note = match (self.failed(o), o.figure.bias) {
                (true, _) => format!("OUTSIDE {}", o.point.label),
                (false, None) => format!("below the starting power {}", o.point.label),
                (false, Some(_)) => o.point.label.clone(),
            };
            table.row([
                format!("{}", (o.point.amps * 1e4).round() / 1e4),
                o.point.load.name().to_owned(),
                format!("{}", o.point.f),
                format!("{}", o.point.u),
                o.figure.bias.map_or("-".to_owned(), |bias| format!("{bias:+.5}")),
                o.figure.bias.map_or("-".to_owned(), |_| format!("{:.5}", o.figure.sigma)),
                self.limit(o).map_or("-".to_owned(), |limit| format!("{}", (limit * 1e3).round() / 1e3)),
                self.margin(o).map_or("-".to_owned(), times),
                note.trim_end().to_owned(),
            ]);
        }
        table
    }
}

/// The margins to a class: the smallest of each kind of point.
#[derive(Clone, Copy, Debug)]
pub struct ClassSummary<'a> {
    /// Standard and class.
    pub name: &'static str,
    /// Balanced load.
    pub balanced: Option<f64>,
    /// One phase loaded.
    pub single: Option<f64>,
    /// Influence quantities.
    pub influence: Option<f64>,
    /// Composite error.
    pub composite: Option<f64>,
    /// Whether the meter starts at the class's starting current. `None`: the class has none for such meters.
    pub starts: Option<bool>,
    /// The point with the smallest margin (without the composite errors), and its limit.
    pub worst: Option<(&'a Outcome, f64)>,
}

fn times(margin: f64) -> String {
    if margin >= 1000.0 { ">1000x".to_owned() } else { format!("{margin:.1}x") }
}

/// How long 3 sigma need to come within 0.1 %, where ten seconds are too short.
fn longer(bias: f64, sigma: f64) -> String {
    const GOAL: f64 = 0.1;
    if bias + COVERAGE * sigma <= GOAL || bias >= GOAL {
        return String::new();
    }
    let seconds = 10.0 * (COVERAGE * sigma / (GOAL - bias)).powi(2);
    format!("; {GOAL} % with 3 sigma takes {seconds:.0} s")
}

fn current(amps: f64) -> String {
    if amps < 0.1 { format!("{} mA", (amps * 1e4).round() / 10.0) } else { format!("{} A", (amps * 1e3).round() / 1e3) }
}

/// Where a point is.
fn place(point: &Point) -> String {
    let mut out = format!("{}, {}", current(point.amps), point.load.name());
    if point.f != 50.0 {
        out += &format!(", {} Hz", point.f);
    }
    if point.u != 1.0 {
        out += &format!(", {} Un", point.u);
    }
    if !point.label.is_empty() {
        out += &format!(", {}", point.label);
    }
    out
}

fn describe_worst((outcome, limit): (&Outcome, f64)) -> String {
    let limit = (limit * 1e3).round() / 1e3;
    match outcome.figure.bias {
        Some(bias) => {
            format!("{bias:+.4} ± {:.4} of {limit} % at {}", COVERAGE * outcome.figure.sigma, place(&outcome.point))
        }
        None => format!("nothing registered at {}", place(&outcome.point)),
    }
}
