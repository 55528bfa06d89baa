//! `metergate clock`: meter time over the bus. A change is a proposal that the meter audits and may refuse.

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use meter_bus::ClockProxy;
use serde::Serialize;

use crate::cli::{self, BusArgs};
use crate::{bus, times};

const EXAMPLES: &str = "\
Examples:
  metergate clock                                  what time the meter has
  metergate clock set 2026-01-31T12:00:00Z
  metergate clock adjust -1.5s                     1.5 s back
  metergate clock adjust 200ms --origin order-4711

A change that the meter accepts is in its audit log, with the origin and the caller's user, and in force with the next
page from the metrology, within a second.";

/// Arguments of `clock`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ClockArgs {
    #[command(subcommand)]
    command: Option<ClockCommand>,
    /// One JSON document: {at, quality}, or {accepted} of a change
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    bus: BusArgs,
}

#[derive(Debug, Subcommand)]
enum ClockCommand {
    /// Set meter time (a jump: intervals are marked)
    Set {
        /// The new time, ISO 8601; without an offset it is UTC
        #[arg(value_parser = times::parse, allow_hyphen_values = true)]
        time: i64,
        #[command(flatten)]
        origin: OriginArgs,
    },
    /// Shift meter time
    Adjust {
        /// By how much, for example +1.5s, -200ms or 90us
        #[arg(value_parser = times::parse_delta, allow_hyphen_values = true)]
        offset: i64,
        #[command(flatten)]
        origin: OriginArgs,
    },
}

#[derive(Debug, Args)]
struct OriginArgs {
    /// What stands in the audit log as the origin of the change
    #[arg(long, value_name = "TEXT", default_value = "cli")]
    origin: String,
}

/// What `clock --json` prints.
#[derive(Debug, Serialize)]
struct Now {
    at: Option<String>,
    quality: &'static str,
}

/// What `clock set --json` and `clock adjust --json` print.
#[derive(Debug, Serialize)]
struct Accepted {
    accepted: bool,
}

/// Does what was asked.
pub async fn run(args: ClockArgs) -> anyhow::Result<ExitCode> {
    let connection = bus::meter(&args.bus).await?;
    let proxy = bus::plain(ClockProxy::new(&connection)).await?;
    match &args.command {
        None => return show(&proxy, args.json).await,
        Some(ClockCommand::Set { time, origin }) => {
            let Ok(usec) = u64::try_from(*time) else { bail!(cli::Usage("meter time begins in 1970".into())) };
            bus::call(proxy.set(usec, &origin.origin)).await?;
        }
        Some(ClockCommand::Adjust { offset, origin }) => {
            bus::call(proxy.adjust(*offset, &origin.origin)).await?;
        }
    }
    // The clock itself stands in the coprocessor; it follows with the next page. Asked now, it might still say the old
    // time, so it is not asked.
    if args.json {
        cli::print_json(&Accepted { accepted: true })?;
    } else {
        println!("accepted");
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(proxy: &ClockProxy<'_>, json: bool) -> anyhow::Result<ExitCode> {
    let (usec, quality) = bus::call(proxy.now()).await?;
    let now = Now { at: times::iso(usec), quality: quality_words(quality) };
    if json {
        cli::print_json(&now)?;
    } else {
        println!("{} ({})", now.at.as_deref().unwrap_or("-"), now.quality);
    }
    Ok(ExitCode::SUCCESS)
}

/// The quality code of the bus in words.
pub fn quality_words(code: u8) -> &'static str {
    match code {
        0 => "invalid",
        1 => "holdover",
        2 => "valid",
        _ => "unknown quality",
    }
}
