//! `metergate clock`: meter time over the bus. A change is a proposal that the meter audits and may refuse.

use std::process::ExitCode;
use std::time::{Duration, Instant};

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

Every change is written to the audit log with its origin and the caller's user.";

/// The command travels to the coprocessor with the next page, within a second; a lost page costs one more.
const IN_FORCE_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause between two looks at the clock.
const IN_FORCE_POLL: Duration = Duration::from_millis(50);
/// The meter's clock and this machine's may differ by this much while one waits, µs: a faster simulation, a busy machine.
const TOLERANCE_US: i64 = 1_000_000;

/// Arguments of `clock`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ClockArgs {
    #[command(subcommand)]
    command: Option<ClockCommand>,
    /// One JSON document: {at, quality}
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

/// Does what was asked; every form ends with the meter's time on stdout.
pub async fn run(args: ClockArgs) -> anyhow::Result<ExitCode> {
    let connection = bus::meter(&args.bus).await?;
    let proxy = bus::plain(ClockProxy::new(&connection)).await?;
    match &args.command {
        None => {}
        Some(ClockCommand::Set { time, origin }) => {
            let Ok(usec) = u64::try_from(*time) else { bail!(cli::Usage("meter time begins in 1970".into())) };
            let (before, at) = (bus::call(proxy.now()).await?.0, Instant::now());
            bus::call(proxy.set(usec, &origin.origin)).await?;
            in_force(&proxy, at, before, usec.cast_signed() - before.cast_signed()).await?;
        }
        Some(ClockCommand::Adjust { offset, origin }) => {
            let (before, at) = (bus::call(proxy.now()).await?.0, Instant::now());
            bus::call(proxy.adjust(*offset, &origin.origin)).await?;
            in_force(&proxy, at, before, *offset).await?;
        }
    }
    let (usec, quality) = bus::call(proxy.now()).await?;
    let now = Now { at: times::iso(usec), quality: quality_words(quality) };
    if args.json {
        cli::print_json(&now)?;
    } else {
        println!("{} ({})", now.at.as_deref().unwrap_or("-"), now.quality);
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits until a change that was accepted has reached the coprocessor, whose clock it is: meter time, which was `before`
/// at the instant `at`, has then moved by about `change` more than time itself.
async fn in_force(proxy: &ClockProxy<'_>, at: Instant, before: u64, change: i64) -> anyhow::Result<()> {
    let limit = at + IN_FORCE_TIMEOUT;
    while Instant::now() < limit {
        let (now, _) = bus::call(proxy.now()).await?;
        let passed = i64::try_from(at.elapsed().as_micros())?;
        let moved = now.cast_signed() - before.cast_signed() - passed;
        // More than half of the way cannot be an accident of timing, unless the change is as small as that.
        if (moved - change).abs() <= (change.abs() / 2).min(TOLERANCE_US) {
            return Ok(());
        }
        tokio::time::sleep(IN_FORCE_POLL).await;
    }
    eprintln!("metergate: accepted, but not in force yet");
    Ok(())
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
