//! The command line: what can be asked, and who answers it.
//!
//! Each command's arguments stand in its own module, next to what it does with them; this page has the list, the
//! help texts that all share, and the way out.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use crate::{clock, config, muc, profile, read, top, verify};

/// A wrong use of the tool that `clap` cannot see by itself: exit code 2.
#[derive(Debug)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

const ABOUT: &str = "Electricity meter: the operator's tool";

#[cfg(feature = "demo")]
const EXAMPLES: &str = "\
Examples:
  metergate demo                                 a whole meter on this machine, with a live view
  METERGATE_BUS=unix:path=... metergate read     its registers (the demo prints the address)
  metergate profile load --last 4 --csv          the last hour of the load profile
  metergate verify --state DIR                   check a stopped meter's memory

Exit codes: 0 success, 1 failure (one line on stderr says why), 2 wrong usage.";

#[cfg(not(feature = "demo"))]
const EXAMPLES: &str = "\
Examples:
  metergate read 1.8.0 2.8.0                     energy import and export
  metergate profile load --last 4 --csv          the last hour of the load profile
  metergate top                                  live values

Exit codes: 0 success, 1 failure (one line on stderr says why), 2 wrong usage.";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "metergate", version, about = ABOUT, after_help = EXAMPLES, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a whole meter on this machine: bus, virtual coprocessor, registerd, live view
    #[cfg(feature = "demo")]
    Demo(crate::demo::DemoArgs),
    /// Print register values with unit and time
    Read(read::ReadArgs),
    /// Print the rows of a logger (load profile, audit log, ...)
    Profile(profile::ProfileArgs),
    /// Watch the meter live in the terminal
    Top(top::TopArgs),
    /// Show, set or adjust meter time
    Clock(clock::ClockArgs),
    /// Check what a meter keeps: database, hash chains, interval sums, register ring
    Verify(verify::VerifyArgs),
    /// Check configuration files
    Config(config::ConfigArgs),
    /// M-Bus meters of the house: decode their telegrams
    Muc(muc::MucArgs),
    /// Measure how exactly this meter measures: errors, limits of a class, margins
    #[cfg(feature = "lab")]
    Accuracy(crate::accuracy::AccuracyArgs),
    /// Run a recorded waveform through the measurement, print its quantities and events
    #[cfg(feature = "lab")]
    Replay(crate::replay::ReplayArgs),
    /// Live a meter's life at full speed, the same for the same seed
    #[cfg(feature = "lab")]
    Simulate(crate::simulate::SimulateArgs),
    /// Look into captured pages of the metrology link
    #[cfg(feature = "lab")]
    Link(crate::link::LinkArgs),
    /// Measure one figure of this build, print it as JSON
    #[cfg(feature = "lab")]
    Bench(crate::bench::BenchArgs),
    /// Run the virtual coprocessor in the foreground
    #[cfg(feature = "lab")]
    Coprocessor(crate::coprocessor::CoprocessorArgs),
    /// Run the legal service in the foreground (on a product it is a binary of its own)
    #[cfg(feature = "demo")]
    Registerd(crate::demo::registerd::RegisterdArgs),
}

impl Cli {
    /// Does what was asked.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            #[cfg(feature = "demo")]
            Command::Demo(args) => crate::demo::run(args),
            Command::Read(args) => block_on(read::run(args)),
            Command::Profile(args) => block_on(profile::run(args)),
            Command::Top(args) => block_on(top::run(args)),
            Command::Clock(args) => block_on(clock::run(args)),
            Command::Verify(args) => verify::run(args),
            Command::Config(args) => config::run(args),
            Command::Muc(args) => muc::run(args),
            #[cfg(feature = "lab")]
            Command::Accuracy(args) => crate::accuracy::run(args),
            #[cfg(feature = "lab")]
            Command::Replay(args) => crate::replay::run(args),
            #[cfg(feature = "lab")]
            Command::Simulate(args) => crate::simulate::run(args),
            #[cfg(feature = "lab")]
            Command::Link(args) => crate::link::run(args),
            #[cfg(feature = "lab")]
            Command::Bench(args) => crate::bench::run(args),
            #[cfg(feature = "lab")]
            Command::Coprocessor(args) => crate::coprocessor::run(args),
            #[cfg(feature = "demo")]
            Command::Registerd(args) => crate::demo::registerd::run(args),
        }
    }
}

/// Runs a command that talks to the bus. One thread is enough for a tool, and it dies with the command.
pub fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the event loop")?.block_on(work)
}

/// Which bus a command talks to.
#[derive(Clone, Debug, Args)]
pub struct BusArgs {
    /// D-Bus address of the meter's bus, for example unix:path=/run/meter/bus [default: the system bus]
    #[arg(long, env = meter_bus::BUS_ENV, value_name = "ADDRESS", hide_env_values = true, global = true)]
    pub bus: Option<String>,
}

/// Prints one JSON document and its line end on stdout.
pub fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if io::stdout().is_terminal() {
        serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
    } else {
        serde_json::to_writer(&mut out, value).map_err(io::Error::from)?;
    }
    writeln!(out)?;
    Ok(out.flush()?)
}
