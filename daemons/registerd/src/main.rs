//! The legal service. All of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    registerd::cli::main(std::env::args_os().skip(1))
}
