//! `metergate muc`: the meters of the house, read by radio and by wire.

use std::process::ExitCode;

use clap::{Args, Subcommand};

mod decode;

/// Arguments of `muc`.
#[derive(Debug, Args)]
pub struct MucArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Decode M-Bus telegrams from stdin to values, without a running meter
    Decode(decode::DecodeArgs),
}

/// Does what was asked.
pub fn run(args: MucArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Decode(args) => decode::run(&args),
    }
}
