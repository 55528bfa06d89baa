//! `metergate config check`: configuration files before somebody relies on them. `metergate config decode`: what a type
//! number and software codes mean.
//!
//! What registerd refuses at its start the check refuses now, with the same words: an unknown key, a wrong type, an
//! impossible value, each with file, line and reason.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli;

/// Where a product keeps its configuration.
const DEFAULT_DIR: &str = "/etc/metergate";

const EXAMPLES: &str = "\
Examples:
  metergate config check                  what the product would start with
  metergate config check ./config         the shipped files";

/// Arguments of `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check registerd.toml with its drop-ins, tariff.toml, and scenarios/*.toml
    #[command(after_help = EXAMPLES)]
    Check {
        /// Folder with the configuration
        #[arg(value_name = "DIR", default_value = DEFAULT_DIR)]
        dir: PathBuf,
        /// One JSON document: {ok, files: [{file, ok, error}]}
        #[arg(long)]
        json: bool,
    },
    /// Say what a type number (X1 to X16) and software codes (Z1 to Z30) mean
    #[cfg(feature = "lab")]
    Decode(crate::order::DecodeArgs),
}

/// One file and what is wrong with it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Checked {
    file: PathBuf,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    ok: bool,
    files: &'a [Checked],
}

/// Does what was asked.
pub fn run(args: ConfigArgs) -> anyhow::Result<ExitCode> {
    let (dir, json) = match args.command {
        ConfigCommand::Check { dir, json } => (dir, json),
        #[cfg(feature = "lab")]
        ConfigCommand::Decode(args) => return crate::order::run(&args),
    };
    let files = check(&dir)?;
    let ok = files.iter().all(|file| file.ok);
    if json {
        cli::print_json(&Document { ok, files: &files })?;
    } else {
        print_text(&files, &mut io::stdout().lock())?;
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_text(files: &[Checked], out: &mut dyn Write) -> io::Result<()> {
    for checked in files {
        match &checked.error {
            None => writeln!(out, "ok      {}", checked.file.display())?,
            Some(error) => writeln!(out, "WRONG   {error}")?,
        }
    }
    Ok(())
}

/// Every configuration file below `dir`.
fn check(dir: &Path) -> anyhow::Result<Vec<Checked>> {
    let registerd = dir.join("registerd.toml");
    let mut files = Vec::new();
    if registerd.exists() {
        files.push(Checked::new(&registerd, check_registerd(&registerd)));
    }
    for file in scenarios(dir)? {
        let error = check_scenario(&file);
        files.push(Checked::new(&file, error));
    }
    anyhow::ensure!(!files.is_empty(), "no registerd.toml and no scenarios in {}", dir.display());
    Ok(files)
}

impl Checked {
    fn new(file: &Path, result: Result<(), String>) -> Checked {
        Checked { file: file.to_owned(), ok: result.is_ok(), error: result.err() }
    }
}

/// `scenarios/*.toml`, in the order of names.
fn scenarios(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let reading = || format!("cannot read {}", dir.display());
    fs::read_dir(dir).with_context(reading)?;
    let folder = dir.join("scenarios");
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(feature = "lab")]
fn check_scenario(file: &Path) -> Result<(), String> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
    // The parser's own error knows the line best.
    if let Err(error) = toml::from_str::<metrology_sim::scenario::Scenario>(&text) {
        let line =
            1 + text.as_bytes().iter().take(error.span().map_or(0, |span| span.start)).filter(|b| **b == b'\n').count();
        return Err(format!("{name}:{line}: {}", error.message().replace('\n', " ")));
    }
    metrology_sim::scenario::Scenario::parse(&text, &name).map(drop).map_err(|error| error.to_string())
}

#[cfg(not(feature = "lab"))]
fn check_scenario(file: &Path) -> Result<(), String> {
    Err(format!("{}: this build of metergate knows no scenarios", file.display()))
}

#[cfg(feature = "lab")]
fn check_registerd(file: &Path) -> Result<(), String> {
    registerd::config::Config::load(file).map_err(|error| error.to_string())?;
    registerd::config::load_tariffs(file).map(drop).map_err(|error| error.to_string())
}

#[cfg(not(feature = "lab"))]
fn check_registerd(file: &Path) -> Result<(), String> {
    Err(format!("{}: this build of metergate does not contain registerd: use registerd check --config", file.display()))
}
