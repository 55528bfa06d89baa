//! `metergate bench NAME`: one figure of this build on this machine, as one JSON document.
//!
//! A figure without its method is worth little: each document says what was measured and over how much.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::cli;

#[cfg(feature = "demo")]
mod demo;
mod disk;
mod link;

const EXAMPLES: &str = "\
Examples:
  metergate bench link-parse
  metergate bench latency --seconds 60
  metergate bench rss --state /tmp/house       of the demo that runs there
  metergate bench rss --pid $(pidof registerd)

ready, latency and rss start a demo of their own unless --state (or --pid) names one that runs. Use a release build.";

/// Arguments of `bench`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BenchArgs {
    /// What to measure
    #[arg(value_enum)]
    name: Name,
    /// How long to measure, s
    #[arg(long, default_value = "10", value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// latency, rss: folder of a demo that runs [default: one of its own]; disk-day: where to write [default: a
    /// temporary folder]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// rss: a process of its own choice, for example a product's registerd
    #[arg(long, value_name = "PID", conflicts_with = "state")]
    pid: Option<u32>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Pages of the metrology link checked and decoded per second
    LinkParse,
    /// From the last sample of a second to its signal on the bus
    #[cfg(feature = "demo")]
    Latency,
    /// Bytes written to disk in a day of the meter's life
    DiskDay,
    /// Memory of registerd
    #[cfg(feature = "demo")]
    Rss,
    /// From the start of the demo to measured values on the bus
    #[cfg(feature = "demo")]
    Ready,
}

/// Measures and prints.
pub fn run(args: BenchArgs) -> anyhow::Result<ExitCode> {
    let document: Value = match args.name {
        Name::LinkParse => link::parse(args.seconds),
        Name::DiskDay => disk::day(args.state.as_deref())?,
        #[cfg(feature = "demo")]
        Name::Latency => demo::latency(args.state.as_deref(), args.seconds)?,
        #[cfg(feature = "demo")]
        Name::Rss => demo::rss(args.state.as_deref(), args.pid, args.seconds)?,
        #[cfg(feature = "demo")]
        Name::Ready => demo::ready()?,
    };
    cli::print_json(&document)?;
    Ok(ExitCode::SUCCESS)
}

/// The value below which `share` of the sorted values lie (nearest rank); 0 without values.
#[cfg(feature = "demo")]
fn percentile(sorted: &[u64], share: f64) -> u64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}
