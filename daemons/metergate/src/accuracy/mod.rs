//! `metergate accuracy`: how exactly this meter measures, by a test bench in software.
//!
//! A front end with errors that follow from a seed is calibrated the way a laboratory would ([`calibrate`]), then
//! measured at the points of the type tests ([`points`]) against exact signals ([`signal`]). Each point shows its bias,
//! the error of ten seconds with the converter's noise, the limit of the class ([`classes`]) and the margin. What is
//! measured is the legal counter, to its last remainder, on this machine or by the program for ARM ([`qemu`]).

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::cli;
use crate::progress::Progress;

mod bench;
mod calibrate;
mod classes;
mod measure;
mod plot;
mod points;
mod qemu;
mod report;
mod signal;

use bench::Bench;
use classes::Class;
use measure::{Laboratory, Outcome};
use report::Report;

const EXAMPLES: &str = "\
Examples:
  metergate accuracy                                  the quick table, MID class C
  metergate accuracy --class 0.2S --svg error.svg     another class, and a picture
  metergate accuracy --points full --json             every point, for machines
  metergate accuracy --board qemu                     counted by the program for ARM, compared bit by bit

Influence rows show the change of the error against the undisturbed point, as the standards limit it. A point that the
class has no limit for is shown without one. The exit code is 1 when a point is outside of its limit.";

/// Arguments of `accuracy`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AccuracyArgs {
    /// What counts: this machine, or the coprocessor's program for ARM in QEMU
    #[arg(long, value_enum, default_value = "host")]
    board: BoardName,
    /// How many points
    #[arg(long, value_enum, default_value = "quick")]
    points: Points,
    /// Whose limits
    #[arg(long, value_enum, default_value = "C")]
    class: Class,
    /// Chooses the errors and the noise of the front end
    #[arg(long, default_value = "1")]
    seed: u64,
    /// The program for ARM
    #[arg(long, value_name = "PATH", default_value = ELF)]
    elf: PathBuf,
    /// Writes error against current as a picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Where `cargo build --release` leaves the program, seen from the project's root.
const ELF: &str = "rt-metrology/firmware/target/thumbv7em-none-eabihf/release/qemu-an386";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BoardName {
    /// The engine, built for this machine
    Host,
    /// The engine in the coprocessor's program for ARM, on a simulated Cortex-M4F
    Qemu,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Points {
    /// Reference conditions whole, the rest at a few currents
    Quick,
    /// All combinations
    Full,
}

/// Measures and prints.
pub fn run(args: AccuracyArgs) -> anyhow::Result<ExitCode> {
    let board = match args.board {
        BoardName::Host => None,
        BoardName::Qemu => Some(qemu::Board::new(&args.elf)?),
    };
    let compares = board.is_some();
    let mut bench = Bench::new(args.seed);
    let injected = bench.injected;
    let calibration = calibrate::calibrate(&mut bench)?;
    let mut laboratory = Laboratory::new(bench, calibration, board);
    let outcomes = measure_all(&mut laboratory, args.points == Points::Full, args.class)?;
    let report = Report {
        class: args.class,
        seed: args.seed,
        injected: &injected,
        calibration: &calibration,
        outcomes: &outcomes,
        agreement: compares.then(|| laboratory.agreement()),
    };
    if let Some(path) = &args.svg {
        fs::write(path, plot::svg(&outcomes, args.class)).with_context(|| path.display().to_string())?;
    }
    if args.json {
        cli::print_json(&report.document())?;
    } else {
        let mut out = io::BufWriter::new(io::stdout().lock());
        report.print(&mut out)?;
        out.flush()?;
    }
    anyhow::ensure!(report.passed(), "{}", report.failure());
    Ok(ExitCode::SUCCESS)
}

fn measure_all(laboratory: &mut Laboratory, full: bool, class: Class) -> anyhow::Result<Vec<Outcome>> {
    let points = points::points(full);
    let total = points.len() as u64;
    let mut progress = Progress::new("points");
    let mut outcomes = Vec::with_capacity(points.len());
    for (n, point) in points.into_iter().enumerate() {
        progress.set(n as u64, total);
        outcomes.push(laboratory.measure(point, class)?);
    }
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrology_link::payload::Calibration;
    use points::Kind;

    fn laboratory(seed: u64, calibrated: bool) -> Laboratory {
        let mut bench = Bench::new(seed);
        let found = calibrate::calibrate(&mut bench).unwrap();
        Laboratory::new(bench, if calibrated { found } else { Calibration::default() }, None)
    }

    #[test]
    fn a_calibrated_meter_keeps_every_limit_three_times_over() {
        let mut laboratory = laboratory(1, true);
        let outcomes = measure_all(&mut laboratory, false, Class::C).unwrap();
        assert!(outcomes.iter().filter(|o| o.limit.is_some()).count() > 80);
        for o in &outcomes {
            let error = o.error.unwrap_or(-100.0);
            // The limits of the other classes hold for the same errors.
            for class in [Class::A, Class::B, Class::C, Class::Two, Class::One, Class::Half, Class::Fifth] {
                if let Some(limit) = o.point.limit(class).filter(|_| o.point.amps >= 0.05) {
                    assert!(error.abs() * 3.0 <= limit, "{class:?} {:?} {error}", o.point);
                }
            }
            assert!(!o.failed());
            // 10 000 : 1 at PF 1: noise of ten seconds is 0.032 % for three phases at 10 mA.
            if matches!(o.point.kind, Kind::Active(points::Pf::One)) && o.point.u >= 1.0 {
                assert!(error.abs() < 0.1 && o.bias.unwrap().abs() < 0.02, "{:?} {error} {:?}", o.point, o.bias);
            }
        }
    }

    #[test]
    fn an_uncalibrated_meter_fails() {
        let mut laboratory = laboratory(1, false);
        let outcomes: Vec<Outcome> = points::points(false)
            .into_iter()
            .filter(|point| point.amps == 5.0 && point.f == 50.0 && matches!(point.kind, Kind::Single(..)))
            .map(|point| laboratory.measure(point, Class::Fifth).unwrap())
            .collect();
        assert_eq!(outcomes.len(), 6);
        assert!(outcomes.iter().filter(|o| o.failed()).count() >= 2, "{outcomes:?}");
    }

    #[test]
    fn full_points_are_the_whole_grid() {
        let active = |full| points::points(full).iter().filter(|p| matches!(p.kind, Kind::Active(_))).count();
        assert_eq!(active(true), 10 * 5 * 6 * 3);
        assert!(active(false) < 100);
    }
}
