//! `metergate registerd`: the legal service's code in this binary, for the demo. On a product it is a binary of its own;
//! rows that are written here carry the status not-legal.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use crate::cli::BusArgs;
use crate::coprocessor::GridArgs;
use crate::process;

const EXAMPLES: &str = "\
Example:
  metergate registerd --config conf --state state --bus unix:path=/tmp/bus

Readings and rows are marked not-legal: only the registerd binary of a product counts for billing.";

/// Arguments of `registerd`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RegisterdArgs {
    /// Folder with registerd.toml
    #[arg(long, value_name = "CONF")]
    config: PathBuf,
    /// Folder for everything the meter keeps
    #[arg(long, value_name = "STATE")]
    state: PathBuf,
    #[command(flatten)]
    bus: BusArgs,
    /// Write every page of the link to this file, for metergate link dump
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
}

/// Runs until SIGTERM or SIGINT.
pub fn run(args: RegisterdArgs) -> anyhow::Result<ExitCode> {
    process::begin("registerd")?;
    registerd::run(&registerd::Options {
        config: args.config,
        state: args.state,
        bus: args.bus.bus,
        // This binary holds more than the legal service.
        legal: false,
        capture: args.capture,
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The configuration that the demo gives to registerd.
#[derive(Debug, Serialize)]
struct DemoConfig<'a> {
    link: Link<'a>,
    meter: Meter,
}

#[derive(Debug, Serialize)]
struct Link<'a> {
    kind: &'static str,
    socket: &'a Path,
}

#[derive(Debug, Serialize)]
struct Meter {
    serial: &'static str,
    #[serde(rename = "type")]
    meter_type: &'static str,
    ct_ratio: u16,
}

/// The demo's serial number. Eight digits as on a nameplate, and recognisable.
const SERIAL: &str = "00000001";

/// Writes `registerd.toml` into `dir`.
pub fn write_config(dir: &Path, socket: &Path, grid: &GridArgs) -> anyhow::Result<()> {
    // Loads are primary; behind transformers the meter sees them divided, and multiplies again.
    let ct_ratio = if grid.meter_type.is_ct() { grid.scenario()?.ct_ratio.round() as u16 } else { 1 };
    let config = DemoConfig {
        link: Link { kind: "socket", socket },
        meter: Meter { serial: SERIAL, meter_type: grid.meter_type.name(), ct_ratio },
    };
    let text = format!(
        "# Written by metergate demo at each start. Put changes into registerd.toml.d/*.toml.\n\n{}",
        toml::to_string(&config)?
    );
    let path = dir.join("registerd.toml");
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}
