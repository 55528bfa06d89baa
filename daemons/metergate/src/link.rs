//! `metergate link`: captured pages of the metrology link, readable.
//!
//! registerd and the virtual coprocessor write a capture when they are asked to; the file is a classic pcap, so other
//! tools list it as well.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use metrology_link::capture::{CaptureReader, Direction, Record, details, summary};
use serde::Serialize;

use crate::cli;

const EXAMPLES: &str = "\
Examples:
  metergate link dump link.pcap             one line per page
  metergate link dump link.pcap --full      every field of every page
  metergate link dump link.pcap --json      for a program

The first column is seconds since the first page. A damaged page is listed with what is wrong with it.";

/// Arguments of `link`.
#[derive(Debug, Args)]
pub struct LinkArgs {
    #[command(subcommand)]
    command: LinkCommand,
}

#[derive(Debug, Subcommand)]
enum LinkCommand {
    /// Print the pages of a capture
    #[command(after_help = EXAMPLES)]
    Dump {
        /// The capture
        file: PathBuf,
        /// Every field
        #[arg(long, conflicts_with = "json")]
        full: bool,
        /// One JSON document: a list of {t, direction, page}
        #[arg(long)]
        json: bool,
    },
}

/// A page in the JSON form.
#[derive(Debug, Serialize)]
struct Page {
    /// Seconds since the first page.
    t: f64,
    direction: &'static str,
    page: String,
}

/// Prints.
pub fn run(args: LinkArgs) -> anyhow::Result<ExitCode> {
    let LinkCommand::Dump { file, full, json } = args.command;
    let name = || file.display().to_string();
    let input = BufReader::new(File::open(&file).with_context(name)?);
    let reader = CaptureReader::new(input).with_context(name)?;
    let mut first = None;
    let timed = reader.map(|record| {
        record.map(|record| {
            let first = *first.get_or_insert(record.time_us);
            (record.time_us.saturating_sub(first) as f64 / 1e6, record)
        })
    });
    if json {
        let pages = timed.map(|record| record.map(|(t, r)| Page::new(t, &r))).collect::<Result<Vec<_>, _>>();
        cli::print_json(&pages.with_context(name)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    for record in timed {
        match record {
            Ok((t, record)) => print(t, &record, full, &mut out)?,
            Err(error) => {
                // What stands before a cut is still worth reading.
                out.flush()?;
                return Err(error).with_context(name);
            }
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

impl Page {
    fn new(t: f64, record: &Record) -> Page {
        Page { t, direction: direction(record.direction), page: summary(&record.page) }
    }
}

fn print(t: f64, record: &Record, full: bool, out: &mut dyn Write) -> io::Result<()> {
    let text = if full { details(&record.page) } else { summary(&record.page) };
    writeln!(out, "{t:>12.6}  {:<4}  {}", direction(record.direction), text.trim_end())
}

/// `up` from the coprocessor, `down` to it.
fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "up",
        Direction::Down => "down",
    }
}
