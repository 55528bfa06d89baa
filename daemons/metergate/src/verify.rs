//! `metergate verify`: is what the meter keeps whole?
//!
//! On a stopped meter it opens the state folder itself and takes the meter's lock while it looks; on a running one it
//! asks registerd over the bus, which checks the same.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use meter_bus::HealthProxy;
use serde::Serialize;

use crate::bus;
use crate::cli::{self, BusArgs};

const EXAMPLES: &str = "\
Examples:
  metergate verify --state /var/lib/metergate    a stopped meter's folder
  metergate verify                               the running meter, over the bus

Checked are the database itself, the hash chain of every logger against its rows and against the chain's stored head,
that intervals sum exactly to the registers, and the register ring. Nothing is changed. Exit code 1 when anything is
wrong; each finding names the logger and the row.";

/// Arguments of `verify`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct VerifyArgs {
    /// State folder of a stopped meter [default: the running meter, over the bus]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// One JSON document: {ok, checks, findings}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bus: BusArgs,
}

/// What was looked at and what was found.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether all is well.
    pub ok: bool,
    /// What was checked, one line each.
    pub checks: Vec<String>,
    /// What is wrong, one line each.
    pub findings: Vec<String>,
}

/// Checks and prints.
pub fn run(args: VerifyArgs) -> anyhow::Result<ExitCode> {
    let report = match &args.state {
        Some(dir) => stopped(dir)?,
        None => cli::block_on(running(&args.bus))?,
    };
    if args.json {
        cli::print_json(&report)?;
    } else {
        print_text(&report, &mut io::stdout().lock())?;
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn running(args: &BusArgs) -> anyhow::Result<Report> {
    let connection = bus::meter(args).await?;
    let proxy = bus::plain(HealthProxy::new(&connection)).await?;
    let (ok, lines) = bus::call(proxy.verify()).await?;
    Ok(match ok {
        true => Report { ok, checks: lines, findings: Vec::new() },
        false => Report { ok, checks: Vec::new(), findings: lines },
    })
}

#[cfg(feature = "lab")]
fn stopped(dir: &Path) -> anyhow::Result<Report> {
    use registerd::store::{DATABASE, FOLDER};

    // Looking must not make a state where there is none.
    let database = dir.join(FOLDER).join(DATABASE);
    anyhow::ensure!(database.exists(), "no meter in {}: there is no {}", dir.display(), database.display());
    let _lock = meter_kit::lock::StateLock::acquire(&dir.join(FOLDER))?;
    let registerd::store::Verification { checks, findings } = registerd::store::verify_stopped(dir)?;
    Ok(Report { ok: findings.is_empty(), checks, findings })
}

#[cfg(not(feature = "lab"))]
fn stopped(dir: &Path) -> anyhow::Result<Report> {
    anyhow::bail!(
        "this build of metergate does not open a meter's memory: use registerd verify --state {}",
        dir.display()
    )
}

fn print_text(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for line in &report.checks {
        writeln!(out, "  {line}")?;
    }
    for line in &report.findings {
        writeln!(out, "! {line}")?;
    }
    match (report.ok, report.findings.len()) {
        (true, _) => writeln!(out, "ok"),
        (false, n) => writeln!(out, "FAILED: {n} finding{}", if n == 1 { "" } else { "s" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_stand_out() {
        let report = Report {
            ok: false,
            checks: vec!["load: 35040 rows, chain whole".into()],
            findings: vec!["audit row 3: content does not match its hash".into()],
        };
        let mut out = Vec::new();
        print_text(&report, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
          load: 35040 rows, chain whole
        ! audit row 3: content does not match its hash
        FAILED: 1 finding
        ");
    }
}
