//! `metergate accuracy`: how exactly this meter measures, by a test bench in software.
//!
//! A front end with errors that follow from a seed is calibrated the way a laboratory would ([`calibrate`]), then
//! measured at the points of the type tests ([`points`], [`influences`], [`special`]) against exact signals
//! ([`signal`]). Each point shows its bias, the standard deviation of ten seconds with the converter's noise
//! ([`measure`]), the limit of the class ([`classes`]) and the margin. What is measured is the legal counter, to its
//! last remainder, on this machine or by the program for ARM ([`qemu`]). The page for people is `README.md` here.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::cli;

mod bench;
mod calibrate;
mod classes;
mod document;
mod influences;
mod limits;
mod measure;
mod plot;
mod points;
mod qemu;
mod range;
mod report;
mod signal;
mod special;
#[cfg(test)]
mod tests;

use bench::Bench;
use classes::Class;
use document::Document;
use measure::Laboratory;
use range::Range;
use report::Report;

const EXAMPLES: &str = "\
Examples:
  metergate accuracy                                  the quick table, MID class C
  metergate accuracy --class 0.2S --svg error.svg     another class, and a picture
  metergate accuracy --range '5(6)' --class 0.5S      a meter behind transformers
  metergate accuracy --points full --json             every point, for machines
  metergate accuracy --board qemu                     counted by the program for ARM, compared bit by bit

The error of a point is its bias without noise and three standard deviations of a measurement of ten seconds with the
noise of the converter. Influence rows show the change of the error against the undisturbed point, as the standards
limit it. A point that the class has no limit for is shown without one. The table near the end has the margins to all
classes. The exit code is 1 when something is outside of a limit of the class that was asked for.";

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
    /// Whose limits decide
    #[arg(long, value_enum, default_value = "C")]
    class: Class,
    /// Current range of the meter
    #[arg(long, value_enum, default_value = "5(100)")]
    range: Range,
    /// Chooses the errors and the noise of the front end
    #[arg(long, default_value = "1")]
    seed: u64,
    /// Runs of ten seconds with noise for each point
    #[arg(long, default_value = "4", value_parser = clap::value_parser!(u32).range(1..=1000))]
    draws: u32,
    /// Threads
    #[arg(long, default_value = "2", value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: u8,
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
    let full = args.points == Points::Full;
    let threads = usize::from(args.threads);
    let bench = Bench::new(args.range, args.seed);
    let calibration = calibrate::calibrate(&bench, args.seed)?;
    let laboratory = Laboratory::new(bench, calibration, board, args.seed, args.draws);
    let outcomes = laboratory.measure_all(&points::points(args.range, full), threads)?;
    let report = Report {
        laboratory: &laboratory,
        class: args.class,
        seed: args.seed,
        outcomes: &outcomes,
        no_load: special::no_load(&laboratory, full)?,
        constant: special::constant(&laboratory)?,
        composite: &special::composite(&laboratory, &outcomes, threads)?,
    };
    if let Some(path) = &args.svg {
        fs::write(path, plot::svg(&outcomes, args.range, args.class)).with_context(|| path.display().to_string())?;
    }
    if args.json {
        cli::print_json(&Document::new(&report))?;
    } else {
        let mut out = io::BufWriter::new(io::stdout().lock());
        report.print(&mut out)?;
        out.flush()?;
    }
    anyhow::ensure!(report.passed(), "{}", report.failure());
    Ok(ExitCode::SUCCESS)
}
