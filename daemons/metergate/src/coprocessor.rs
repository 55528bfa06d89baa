//! `metergate coprocessor`: the virtual coprocessor in the foreground, and the arguments that describe its world, which
//! `demo` passes on.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, ValueEnum};
use metrology_sim::{
    FaultRates, LoadOptions, MeterType as SimType, Scenario, VirtualOptions, Waveform, WaveformSource,
};

use crate::{cli, process, times};

const EXAMPLES: &str = "\
Examples:
  metergate coprocessor --socket /tmp/link --nv /tmp/nv
  metergate coprocessor --socket /tmp/link --nv /tmp/nv --control /tmp/control --speed 60 --seed 7
  metergate coprocessor --socket /tmp/link --nv /tmp/nv --waveform fault.cfg --channels U1=UA,U2=UB,U3=UC

The control socket takes one command per line and answers in JSON: truth, counters, state, press, input, cover, magnet,
breaker, reset, faults, pause, stop.";

/// Which meter is simulated. (No documentation on the variants: it would blow up every help text.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MeterType {
    #[value(name = "1p")]
    OnePhase,
    #[value(name = "3p")]
    ThreePhase,
    #[value(name = "aron")]
    Aron,
    #[value(name = "ct")]
    Ct,
    #[value(name = "ct-aron")]
    CtAron,
}

impl MeterType {
    /// As it stands on the command line and in `registerd.toml`.
    pub fn name(self) -> &'static str {
        match self {
            MeterType::OnePhase => "1p",
            MeterType::ThreePhase => "3p",
            MeterType::Aron => "aron",
            MeterType::Ct => "ct",
            MeterType::CtAron => "ct-aron",
        }
    }

    /// Whether it stands behind current transformers.
    pub fn is_ct(self) -> bool {
        matches!(self, MeterType::Ct | MeterType::CtAron)
    }
}

/// The world of the virtual coprocessor.
#[derive(Clone, Debug, Args)]
pub struct GridArgs {
    /// Meter type: one or three phases, three wires (aron), or behind current transformers (ct)
    #[arg(long = "type", value_enum, value_name = "TYPE", default_value = "3p")]
    pub meter_type: MeterType,
    /// Simulated grid and house: a built-in name (household, solar, ev, industry-ct, disturbed, quiet) or a TOML file
    /// [default: household, on CT types industry-ct]
    #[arg(long, value_name = "NAME|FILE")]
    pub scenario: Option<String>,
    #[command(flatten)]
    pub waveform: WaveformArgs,
    /// Simulated seconds per second; 0 is as fast as possible
    #[arg(long, value_name = "N", default_value = "1", value_parser = speed)]
    pub speed: f64,
    /// Seed of everything that looks random
    #[arg(long, value_name = "S", default_value = "1")]
    pub seed: u64,
}

/// A recorded grid in place of a simulated one.
#[derive(Clone, Debug, Args)]
pub struct WaveformArgs {
    /// Recorded grid: COMTRADE .cfg (its .dat beside it) or .csv, looped at whole cycles
    #[arg(long, value_name = "FILE", conflicts_with = "scenario")]
    pub waveform: Option<PathBuf>,
    #[command(flatten)]
    pub record: RecordArgs,
}

/// How a record is read.
#[derive(Clone, Debug, Default, Args)]
pub struct RecordArgs {
    /// Which channel of the record is which input, for example U1=UA,I1=IA [default: by phase and unit, or by name]
    #[arg(long, value_name = "ROLE=NAME,...")]
    pub channels: Option<String>,
    /// CSV: the role of each column by position, for example u,i or -,u1,i1
    #[arg(long, value_name = "ROLES", allow_hyphen_values = true, conflicts_with = "channels")]
    pub columns: Option<String>,
    /// Samples per second, where the file does not say (CSV) or says it wrongly
    #[arg(long, value_name = "HZ", value_parser = positive)]
    pub rate: Option<f64>,
    /// Volts per unit of the record's voltages [default: as the record says; a meter that it is played to sees its
    /// nominal voltage as 230 V]
    #[arg(long, value_name = "FACTOR", value_parser = positive)]
    pub u_scale: Option<f64>,
    /// Amperes per unit of the record's currents [default: as the record says]
    #[arg(long, value_name = "FACTOR", value_parser = positive)]
    pub i_scale: Option<f64>,
}

impl RecordArgs {
    /// As the reader of records wants them.
    pub fn options(&self) -> LoadOptions {
        let RecordArgs { channels, columns, rate, u_scale, i_scale } = self.clone();
        LoadOptions { channels, columns, rate, u_scale, i_scale }
    }
}

/// Arguments of `coprocessor`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CoprocessorArgs {
    /// Unix socket of the link, made here
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// File that stands for the non-volatile memory
    #[arg(long, value_name = "FILE")]
    nv: PathBuf,
    /// Unix socket of the laboratory's control, made here
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// Meter time of the first start, ISO 8601 [default: the system's time]
    #[arg(long, value_name = "TIME", value_parser = times::parse)]
    start: Option<i64>,
    /// Faults on the link, both directions, from the start on: bits=1e-4,drop=0.1,dup=0.01,truncate=0.01
    #[arg(long, value_name = "SPEC", value_parser = FaultRates::parse, default_value = "", hide_default_value = true)]
    faults: FaultRates,
    /// Run the real program of the qemu_an386 board under qemu-system-arm (without --control and --faults)
    #[arg(long, value_name = "ELF", conflicts_with_all = ["control", "faults"])]
    qemu: Option<PathBuf>,
    #[command(flatten)]
    grid: GridArgs,
}

fn speed(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    // A million is a year in half a minute: no processor computes samples faster.
    if (0.0..=1e6).contains(&value) { Ok(value) } else { Err("expected 0 to 1000000".into()) }
}

/// A number above 0; for `clap`.
pub fn positive(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value.is_finite() && value > 0.0 { Ok(value) } else { Err("expected a number above 0".into()) }
}

/// Runs until it is told to stop.
pub fn run(args: CoprocessorArgs) -> anyhow::Result<ExitCode> {
    process::begin("coprocessor")?;
    let options = VirtualOptions {
        socket: args.socket,
        control: args.control,
        nv: args.nv,
        meter_type: args.grid.meter_type.simulated(),
        scenario: args.grid.scenario()?,
        waveform: args.grid.waveform.source(),
        speed: args.grid.speed,
        seed: args.grid.seed,
        start: args.start,
        faults: args.faults,
    };
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signal(Arc::clone(&stop))?;
    match &args.qemu {
        Some(program) => metrology_sim::qemu::run(options, program, &stop)?,
        None => metrology_sim::run(options, &stop)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Sets the flag at SIGTERM or SIGINT.
fn stop_on_signal(stop: Arc<AtomicBool>) -> anyhow::Result<()> {
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let waiting = async { Ok(meter_kit::shutdown::requested().await?) };
        if let Err(error) = cli::block_on(waiting) {
            log::error!("cannot wait for signals: {error}");
        }
        stop.store(true, Ordering::Relaxed);
    })?;
    Ok(())
}

impl MeterType {
    /// As the simulator names it.
    pub fn simulated(self) -> SimType {
        match self {
            MeterType::OnePhase => SimType::OnePhase,
            MeterType::ThreePhase => SimType::ThreePhase,
            MeterType::Aron => SimType::Aron,
            MeterType::Ct => SimType::Ct,
            MeterType::CtAron => SimType::CtAron,
        }
    }
}

impl WaveformArgs {
    fn source(&self) -> Option<WaveformSource> {
        self.waveform.clone().map(|path| WaveformSource { path, options: self.record.options() })
    }
}

impl GridArgs {
    /// The scenario that was named, or the one that suits.
    ///
    /// # Errors
    /// There is none of this name, or the file is wrong.
    pub fn scenario(&self) -> anyhow::Result<Scenario> {
        let suitable = match (&self.waveform.waveform, self.meter_type) {
            // A recorded grid brings its own voltages and currents.
            (Some(_), _) => "quiet",
            (None, MeterType::Ct | MeterType::CtAron) => "industry-ct",
            (None, _) => "household",
        };
        Ok(Scenario::load(self.scenario.as_deref().unwrap_or(suitable))?)
    }

    /// Whether scenario and waveform can be read: said before anything is started.
    pub fn check(&self) -> anyhow::Result<()> {
        self.scenario()?;
        if let Some(source) = self.waveform.source() {
            Waveform::load(&source.path, &source.options)?;
        }
        Ok(())
    }

    /// The same as arguments of a child.
    pub fn to_args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec!["--type".into(), self.meter_type.name().into()];
        let mut option = |name: &str, value: Option<OsString>| {
            if let Some(value) = value {
                // One word, so that a value that begins with a dash stays a value.
                let mut word = OsString::from(name);
                word.push("=");
                word.push(value);
                args.push(word);
            }
        };
        option("--scenario", self.scenario.as_ref().map(OsString::from));
        option("--waveform", self.waveform.waveform.as_ref().map(OsString::from));
        let record = &self.waveform.record;
        option("--channels", record.channels.as_ref().map(OsString::from));
        option("--columns", record.columns.as_ref().map(OsString::from));
        option("--rate", record.rate.map(|f| f.to_string().into()));
        option("--u-scale", record.u_scale.map(|f| f.to_string().into()));
        option("--i-scale", record.i_scale.map(|f| f.to_string().into()));
        option("--speed", Some(self.speed.to_string().into()));
        option("--seed", Some(self.seed.to_string().into()));
        args
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Sample {
        #[command(flatten)]
        grid: GridArgs,
    }

    #[test]
    fn arguments_for_a_child_are_read_as_they_were_given() {
        for given in [
            vec!["x"],
            vec!["x", "--type=ct-aron", "--scenario=-odd.toml", "--speed=0", "--seed=7"],
            vec!["x", "--waveform=a b.cfg", "--channels=U1=UA", "--u-scale=0.001", "--i-scale=2.5", "--speed=12.5"],
            vec!["x", "--waveform=a.csv", "--columns=-,u,i", "--rate=44100"],
        ] {
            let first = Sample::try_parse_from(given).unwrap();
            let again = std::iter::once("x".into()).chain(first.grid.to_args());
            assert_eq!(format!("{:?}", Sample::try_parse_from(again).unwrap()), format!("{first:?}"));
        }
    }

    #[test]
    fn impossible_numbers_are_wrong_usage() {
        for wrong in
            ["--speed=-1", "--speed=nan", "--speed=fast", "--u-scale=0", "--i-scale=inf", "--seed=-1", "--type=4p"]
        {
            assert!(Sample::try_parse_from(["x", wrong]).is_err(), "{wrong}");
        }
        assert!(Sample::try_parse_from(["x", "--scenario=ev", "--waveform=a.cfg"]).is_err());
    }
}
