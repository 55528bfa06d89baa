//! The command line of the `registerd` binary. Small on purpose: it is part of the legally relevant software.

use crate::config::Config;
use crate::daemon::{self, Options};
use crate::store::verify_stopped;
use meter_kit::lock::StateLock;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
registerd: registers and logs of the meter, on the bus org.metergate.Meter1

usage: registerd [--config FILE|DIR] [--state DIR] [--bus ADDRESS] [--capture FILE]
       registerd check-config [--config FILE|DIR]
       registerd verify [--state DIR]
       registerd --version | --help

  --config   default /etc/metergate/registerd.toml, with drop-ins in registerd.toml.d/
  --state    default /var/lib/metergate; registerd keeps its files in DIR/meter
  --bus      D-Bus address; default: the configuration, $METERGATE_BUS, the system bus
  --capture  write every page of the link to FILE, for metergate link dump
  verify     checks database, hash chains and sums of a stopped meter
";

#[derive(Debug, PartialEq, Eq)]
enum Action {
    Run,
    CheckConfig,
    Verify,
    Version,
    Help,
}

/// Runs what the arguments (without the program's name) ask for. Exit code 0 success, 1 failure, 2 wrong usage.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let (action, options) = match parse(args) {
        Ok(parsed) => parsed,
        Err(reason) => {
            eprintln!("registerd: {reason}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match perform(&action, &options) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("registerd: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(action: &Action, options: &Options) -> anyhow::Result<ExitCode> {
    match action {
        Action::Help => print!("{USAGE}"),
        Action::Version => {
            let identity = crate::identity::Identity::of_this_process(true)?;
            println!("registerd {} {}", identity.version, identity.software_id);
        }
        Action::CheckConfig => {
            Config::load(&options.config)?;
            crate::config::load_tariffs(&options.config)?;
            println!("{}: ok", options.config.display());
        }
        Action::Verify => return verify(&options.state),
        Action::Run => {
            meter_kit::logging::init("registerd");
            daemon::run(options)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(state: &Path) -> anyhow::Result<ExitCode> {
    let folder = state.join(crate::store::FOLDER);
    anyhow::ensure!(folder.is_dir(), "{}: no state of a meter", folder.display());
    let _lock = StateLock::acquire(&folder)?;
    let verification = verify_stopped(state)?;
    verification.checks.iter().for_each(|line| println!("ok       {line}"));
    verification.findings.iter().for_each(|line| println!("FINDING  {line}"));
    Ok(if verification.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn parse(args: impl IntoIterator<Item = OsString>) -> Result<(Action, Options), String> {
    let mut action = Action::Run;
    let mut options = Options {
        config: PathBuf::from("/etc/metergate/registerd.toml"),
        state: PathBuf::from("/var/lib/metergate"),
        bus: None,
        legal: true,
        capture: None,
    };
    let mut args = args.into_iter();
    let mut first = true;
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{} needs a value", arg.display()));
        match arg.to_str() {
            Some("check-config") if first => action = Action::CheckConfig,
            Some("verify") if first => action = Action::Verify,
            Some("--version" | "-V") => action = Action::Version,
            Some("--help" | "-h") => action = Action::Help,
            Some("--config") => options.config = value()?.into(),
            Some("--capture") => options.capture = Some(value()?.into()),
            Some("--state") => options.state = value()?.into(),
            Some("--bus") => {
                options.bus = Some(value()?.into_string().map_err(|_| "--bus needs a D-Bus address".to_owned())?);
            }
            _ => return Err(format!("unknown argument {}", arg.display())),
        }
        first = false;
    }
    Ok((action, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<(Action, Options), String> {
        parse(text.split_whitespace().map(OsString::from))
    }

    #[test]
    fn arguments_mean_what_the_usage_says() {
        let (action, options) = of("--config /c --state /s --bus unix:path=/b").unwrap();
        assert_eq!(action, Action::Run);
        let expected = Options {
            config: "/c".into(),
            state: "/s".into(),
            bus: Some("unix:path=/b".into()),
            legal: true,
            capture: None,
        };
        assert_eq!(options, expected);
        assert_eq!(of("--capture /p").unwrap().1.capture, Some("/p".into()));
        assert_eq!(of("verify --state /s").unwrap().0, Action::Verify);
        assert_eq!(of("check-config").unwrap().0, Action::CheckConfig);
        for wrong in ["--state", "--stat /s", "run", "--bus x verify"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
