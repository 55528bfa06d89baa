//! `metergate demo`: the whole meter on this machine.
//!
//! A private bus in this process, and as children, each its own process of this same binary: the virtual coprocessor and
//! registerd, over the link and through the store that a product uses. The children are started again when they die; they
//! die with the demo. When registerd answers with measured values the demo writes `endpoints.json` and prints `ready`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use meter_bus::SnapshotProxy;
use meter_model::{Absent, Unit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::cli::{self, BusArgs};
use crate::coprocessor::GridArgs;
use crate::format::absent;
use crate::{bus as meter, top};

mod bus;
mod child;
mod log;
pub mod registerd;
mod state;

pub use state::temporary_dir;

use child::{News, Plan};
use log::Log;
use state::{Endpoints, State};

/// The first second of measured values comes after a second; everything else takes some hundred milliseconds. A machine
/// that needs longer than this is not going to answer.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// An answer takes a millisecond; one that does not come in this time was lost with its sender.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
/// How often the demo asks whether there are values.
const READY_POLL: Duration = Duration::from_millis(20);

const EXAMPLES: &str = "\
Examples:
  metergate demo                                  live view; q or Ctrl-C ends it
  metergate demo --headless --state /tmp/house    until SIGTERM, and keep what the meter measured
  metergate demo --type 1p --scenario ev          a one-phase house with a car
  metergate demo --waveform fault.cfg             on a recorded grid (COMTRADE or CSV)
  metergate demo --qemu                           with the coprocessor's real ARM program, emulated

While it runs, DIR/endpoints.json has the address of the bus:
  export METERGATE_BUS=unix:path=/tmp/house/run/bus
  metergate read
The demo's rows carry the status not-legal: they are not for billing.";

/// Arguments of `demo`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoArgs {
    /// Folder for everything the meter keeps; it goes on where it stopped [default: a temporary one, removed at the end]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// No live view: run until SIGTERM or Ctrl-C
    #[arg(long)]
    headless: bool,
    /// Write every page of the metrology link to this file, for metergate link dump
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
    /// The coprocessor is its real Cortex-M4F program under qemu-system-arm (--qemu=ELF: another build). It has no
    /// control socket
    #[arg(long, value_name = "ELF", num_args = 0..=1, require_equals = true, default_missing_value = FIRMWARE)]
    qemu: Option<PathBuf>,
    #[command(flatten)]
    grid: GridArgs,
}

/// Where a build of the firmware's folder leaves the program, from the root of the repository.
const FIRMWARE: &str = "rt-metrology/firmware/target/thumbv7em-none-eabihf/release/qemu-an386";

/// Runs the demo until it is told to stop.
pub fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    args.grid.check()?;
    let state = State::take(args.state.as_deref())?;
    cli::block_on(House::run(args, state))
}

/// What runs.
struct House {
    state: State,
    log: Arc<Log>,
    endpoints: Endpoints,
    children: Vec<Watched>,
    news: mpsc::UnboundedReceiver<News>,
    ready: bool,
}

struct Watched {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl House {
    async fn run(args: DemoArgs, state: State) -> anyhow::Result<ExitCode> {
        let started = Instant::now();
        let mut signals = Signals::new()?;
        let live = !args.headless && io::stdout().is_terminal();
        let log = if live { Log::to_file(&state.dir.join("demo.log"))? } else { Log::to_stderr() };
        let mut private = bus::start(&state.run.join("bus"))?;
        announce(&state, &private.address)?;

        let mut house = House::start(&args, state, private.address.clone(), Arc::new(log))?;
        let result = tokio::select! {
            result = house.until_ready(started) => result.map(|()| true),
            () = signals.any() => Ok(false),
            reason = &mut private.ended => Err(anyhow::anyhow!(reason.unwrap_or_else(|_| "the bus ended".into()))),
        };
        let result = match result {
            Ok(true) => house.live(live, &mut signals, &mut private).await,
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        house.stop().await;
        result.map(|()| ExitCode::SUCCESS)
    }

    fn start(args: &DemoArgs, state: State, bus: String, log: Arc<Log>) -> anyhow::Result<House> {
        let link = state.run.join("link");
        let control = state.run.join("control");
        registerd::write_config(&state.dir.join("conf"), &link, &args.grid)?;
        let mut coprocessor: Vec<OsString> = vec!["coprocessor".into(), "--socket".into(), link.into()];
        let control = match &args.qemu {
            None => {
                coprocessor.extend(["--control".into(), control.clone().into()]);
                coprocessor.extend(["--nv".into(), state.dir.join("coprocessor.nv").into()]);
                Some(control)
            }
            // Another memory: the virtual coprocessor's file also holds its world.
            Some(program) => {
                coprocessor.extend(["--qemu".into(), program.into()]);
                coprocessor.extend(["--nv".into(), state.dir.join("qemu.nv").into()]);
                None
            }
        };
        coprocessor.extend(args.grid.to_args());
        let mut registerd: Vec<OsString> = vec!["registerd".into(), "--config".into(), state.dir.join("conf").into()];
        registerd.extend(["--state".into(), state.dir.clone().into(), "--bus".into(), bus.clone().into()]);
        if let Some(file) = &args.capture {
            registerd.extend(["--capture".into(), file.into()]);
        }
        let (report, news) = mpsc::unbounded_channel();
        let plans = [Plan { name: "coprocessor", args: coprocessor }, Plan { name: "registerd", args: registerd }];
        let children = plans.map(|plan| {
            let (stop, stopped) = watch::channel(false);
            let task = tokio::spawn(child::supervise(plan, Arc::clone(&log), report.clone(), stopped));
            Watched { stop, task }
        });
        let pids = BTreeMap::from([("demo", std::process::id())]);
        let endpoints = Endpoints { bus, control, pids };
        Ok(House { state, log, endpoints, children: children.into(), news, ready: false })
    }

    /// Waits until registerd answers with measured values; then the world may know.
    async fn until_ready(&mut self, started: Instant) -> anyhow::Result<()> {
        let address = BusArgs { bus: Some(self.endpoints.bus.clone()) };
        let waiting = tokio::time::timeout(READY_TIMEOUT, measured(&address));
        tokio::pin!(waiting);
        loop {
            tokio::select! {
                result = &mut waiting => {
                    result.with_context(|| format!("no measured values within {} s", READY_TIMEOUT.as_secs()))??;
                    break;
                }
                news = self.news.recv() => self.hear(news)?,
            }
        }
        // What was said until now belongs into the file.
        while let Ok(news) = self.news.try_recv() {
            self.hear(Some(news))?;
        }
        self.ready = true;
        self.state.write_endpoints(&self.endpoints)?;
        let mut out = io::stdout().lock();
        writeln!(out, "ready")?;
        out.flush()?;
        self.log.line("demo", &format!("ready after {} ms", started.elapsed().as_millis()));
        Ok(())
    }

    /// Runs until somebody says stop.
    async fn live(&mut self, view: bool, signals: &mut Signals, private: &mut bus::PrivateBus) -> anyhow::Result<()> {
        let address = BusArgs { bus: Some(self.endpoints.bus.clone()) };
        let view = async {
            match view {
                true => top::view(&address).await,
                false => std::future::pending().await,
            }
        };
        tokio::pin!(view);
        loop {
            tokio::select! {
                result = &mut view => return result,
                () = signals.any() => return Ok(()),
                reason = &mut private.ended => bail!(reason.unwrap_or_else(|_| "the bus ended".into())),
                news = self.news.recv() => self.hear(news)?,
            }
        }
    }

    /// Keeps `endpoints.json` true, and tells a person what died.
    fn hear(&mut self, news: Option<News>) -> anyhow::Result<()> {
        match news {
            Some(News::Started(name, pid)) => {
                self.endpoints.pids.insert(name, pid);
                if self.ready {
                    self.state.write_endpoints(&self.endpoints)?;
                }
            }
            Some(News::Died { name, status, last_words }) => {
                let text = child::describe(name, status, &last_words);
                // A child that gives up by itself at the start (a scenario that cannot be read, a folder that cannot be
                // written) will do so again; one that was killed will not.
                if !self.ready && status.code().is_some() {
                    bail!(text);
                }
                self.log.line("demo", &format!("{text}; starting it again"));
            }
            // A machine that is short of processes may have some in a moment.
            Some(News::Failed(name, error)) if self.ready => {
                self.log.line("demo", &format!("cannot start {name}: {error}"));
            }
            Some(News::Failed(name, error)) => bail!("cannot start {name}: {error}"),
            None => bail!("the supervisors ended"),
        }
        Ok(())
    }

    /// registerd first: it commits what it has while the coprocessor still answers.
    async fn stop(&mut self) {
        for child in self.children.iter_mut().rev() {
            child.stop.send_replace(true);
            // A supervisor that panicked has dropped its child, which kills it.
            let _ = (&mut child.task).await;
        }
    }
}

/// What a person wants to know while waiting, on stderr.
fn announce(state: &State, address: &str) -> io::Result<()> {
    let mut text = format!("state {}", state.dir.display());
    if state.temporary {
        text.push_str(" (temporary, removed at the end; --state DIR keeps it)");
    }
    // Writing to a String cannot fail.
    let _ = write!(text, "\nbus   {address}\n");
    io::stderr().write_all(text.as_bytes())
}

/// Returns when registerd answers with a measured voltage.
async fn measured(address: &BusArgs) -> anyhow::Result<()> {
    let connection = meter::connect(address).await?;
    let bus = meter::plain(zbus::fdo::DBusProxy::new(&connection)).await?;
    let proxy = meter::plain(SnapshotProxy::new(&connection)).await?;
    while !(meter::has_meter(&bus).await? && has_voltage(&proxy).await) {
        tokio::time::sleep(READY_POLL).await;
    }
    Ok(())
}

/// Whether there is a voltage, or a reason other than "not yet" why there is none. No answer is "not yet": the service
/// is about to appear, or was just killed.
async fn has_voltage(proxy: &SnapshotProxy<'_>) -> bool {
    let Ok(Ok((_, readings))) = tokio::time::timeout(ANSWER_TIMEOUT, proxy.last()).await else { return false };
    let is_voltage = |unit| Unit::from_code(unit) == Some(Unit::Volt);
    let waiting = |status| matches!(absent(status), Some(Absent::NotYet | Absent::Stale));
    readings.iter().any(|r| is_voltage(r.reading.unit) && !waiting(r.reading.status))
}

/// What ends the demo: Ctrl-C, `kill`, or the terminal going away.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
