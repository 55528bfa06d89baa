//! The operator's tool, the demo and the laboratory: `metergate COMMAND`.
//!
//! Exit codes: 0 success, 1 failure (one line on stderr says why), 2 wrong usage. Results go to stdout, everything
//! else to stderr. What each command does stands in its module; the command line itself stands in [`cli`].

use std::io;
use std::process::ExitCode;

use clap::Parser;

#[cfg(feature = "lab")]
mod accuracy;
#[cfg(feature = "lab")]
mod bench;
mod bus;
mod cli;
mod clock;
mod config;
#[cfg(feature = "lab")]
mod coprocessor;
#[cfg(feature = "demo")]
mod demo;
mod format;
#[cfg(feature = "lab")]
mod link;
mod muc;
#[cfg(feature = "lab")]
mod order;
#[cfg(feature = "lab")]
mod process;
mod profile;
mod progress;
mod read;
#[cfg(feature = "lab")]
mod replay;
#[cfg(feature = "lab")]
mod simulate;
mod table;
mod times;
mod top;
mod verify;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match cli.run() {
        Ok(code) => code,
        // The reader of a pipe went away (`metergate profile load | head`): it has what it wanted.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("metergate: {}", one_line(&error));
            ExitCode::from(if error.is::<cli::Usage>() { 2 } else { 1 })
        }
    }
}

/// The whole chain of causes on one line.
fn one_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe))
}
