//! A meter on a bench: virtual coprocessor and registerd as processes, on a bus, in a folder of their own.
//!
//! Unlike the demo it starts nothing again by itself: the test decides who runs, who dies and when.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use meter_bus::{NamedReading, SnapshotProxy};
use serde_json::Value;

use crate::bus::{DaemonBus, open_to_all};
use crate::policy::{Accounts, GROUPS};
use crate::process::{Process, children_of};
use crate::{SOON, binary, wait_for};

/// Start of every bench's meter time unless the test says otherwise: a Tuesday in November, away from any change of
/// the hour, two minutes before a boundary of all periods. 2026-11-17T11:58:00Z.
pub const START: i64 = 1_794_916_680_000_000;

/// What stands on the bench.
#[derive(Clone)]
pub struct Setup<'a> {
    /// Users of a policy test; then registerd runs as its own user.
    pub accounts: Option<&'a Accounts>,
    /// The bus; `None` = one of its own that allows everything.
    pub bus: Option<&'a DaemonBus>,
    /// Simulated seconds per second.
    pub speed: f64,
    /// Seed of the grid and of the faults.
    pub seed: u64,
    /// Scenario, by name or as a file.
    pub scenario: &'a str,
    /// Meter time of the first start, µs UTC.
    pub start: i64,
    /// Link faults from the first page on (`bits=…,drop=…`).
    pub faults: &'a str,
    /// Meter type.
    pub meter_type: &'a str,
    /// Integration period, minutes.
    pub period_min: u32,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Setup {
            accounts: None,
            bus: None,
            speed: 10.0,
            seed: 1,
            scenario: "household",
            start: START,
            faults: "",
            meter_type: "3p",
            period_min: 15,
        }
    }
}

/// The running bench.
pub struct Rig<'a> {
    setup: Setup<'a>,
    folder: tempfile::TempDir,
    own_bus: Option<DaemonBus>,
    coprocessor: RefCell<Option<Process>>,
    registerd: RefCell<Option<Process>>,
}

impl<'a> Rig<'a> {
    /// Starts coprocessor, bus and registerd.
    pub fn start(setup: Setup<'a>) -> Rig<'a> {
        let rig = Rig::without_registerd(setup);
        rig.start_registerd();
        rig
    }

    /// Starts coprocessor and bus.
    pub fn without_registerd(setup: Setup<'a>) -> Rig<'a> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        open_to_all(folder.path().to_owned());
        let own_bus = setup.bus.is_none().then(DaemonBus::open);
        let rig = Rig { setup, folder, own_bus, coprocessor: RefCell::default(), registerd: RefCell::default() };
        std::fs::create_dir(rig.state()).expect("make the state folder");
        if let Some(accounts) = rig.setup.accounts {
            let user = accounts.user("registerd");
            std::os::unix::fs::chown(rig.state(), Some(user.uid), Some(user.gid)).expect("give the folder away");
        }
        std::fs::write(rig.config(), rig.default_config()).expect("write registerd.toml");
        rig.start_coprocessor();
        rig
    }

    /// registerd's STATE.
    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// registerd's configuration file.
    pub fn config(&self) -> PathBuf {
        self.path("registerd.toml")
    }

    /// The coprocessor's non-volatile memory.
    pub fn nv(&self) -> PathBuf {
        self.path("coprocessor.nv")
    }

    /// The bus.
    pub fn bus(&self) -> &str {
        match (&self.own_bus, self.setup.bus) {
            (Some(bus), _) | (None, Some(bus)) => &bus.address,
            (None, None) => "",
        }
    }

    /// What `registerd.toml` says at first.
    pub fn default_config(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "[link]\nkind = \"socket\"\nsocket = \"{}\"\n", self.path("link").display());
        let _ = writeln!(text, "[meter]\nserial = \"47110815\"\ntype = \"{}\"", self.setup.meter_type);
        let _ = writeln!(text, "period_min = {}", self.setup.period_min);
        text
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the coprocessor, again with the memory that it left.
    pub fn start_coprocessor(&self) {
        let mut command = Command::new(binary("metergate"));
        command.arg("coprocessor");
        command.arg("--socket").arg(self.path("link")).arg("--control").arg(self.path("control"));
        command.arg("--nv").arg(self.nv());
        command.args(["--type", self.setup.meter_type, "--scenario", self.setup.scenario]);
        command.args(["--speed", &self.setup.speed.to_string(), "--seed", &self.setup.seed.to_string()]);
        command.args(["--start", &iso(self.setup.start)]);
        if !self.setup.faults.is_empty() {
            command.args(["--faults", self.setup.faults]);
        }
        *self.coprocessor.borrow_mut() = Some(Process::start(command));
        wait_for("the coprocessor's sockets", SOON, || {
            (self.path("link").exists() && UnixStream::connect(self.path("control")).is_ok()).then_some(())
        });
        if self.setup.accounts.is_some() {
            // registerd runs as another user here; a product gives it the link by its group.
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
            std::fs::set_permissions(self.path("link"), mode).expect("open the link");
        }
    }

    /// Kills the coprocessor as a power cut would.
    pub fn kill_coprocessor(&self) {
        if let Some(mut process) = self.coprocessor.borrow_mut().take() {
            process.kill();
        }
    }

    /// The command that runs registerd here.
    pub fn registerd_command(&self) -> Command {
        let mut command = match self.setup.accounts {
            Some(accounts) => accounts.command("registerd", binary("registerd")),
            None => Command::new(binary("registerd")),
        };
        command.arg("--config").arg(self.config()).arg("--state").arg(self.state());
        command.env(meter_bus::BUS_ENV, self.bus());
        command
    }

    /// Starts registerd.
    pub fn start_registerd(&self) {
        self.start_registerd_as(self.registerd_command());
    }

    /// Starts registerd in a way of the test's own.
    pub fn start_registerd_as(&self, command: Command) {
        *self.registerd.borrow_mut() = Some(Process::start(command));
    }

    /// `kill -9` of registerd.
    pub fn kill_registerd(&self) {
        if let Some(mut process) = self.registerd.borrow_mut().take() {
            process.kill();
        }
    }

    /// Lets registerd stand still: it acknowledges nothing any more.
    pub fn freeze_registerd(&self) {
        if let Some(process) = self.registerd.borrow().as_ref() {
            process.signal(rustix::process::Signal::STOP);
        }
    }

    /// Stops registerd cleanly and returns its stderr.
    pub fn stop_registerd(&self) -> Vec<String> {
        let Some(mut process) = self.registerd.borrow_mut().take() else { return Vec::new() };
        let status = process.terminate();
        assert!(status.success(), "registerd stopped with {status}\n{}", process.stderr().join("\n"));
        process.stderr()
    }

    /// Stops a registerd that runs below another program (strace), which ends with it.
    pub fn terminate_traced_registerd(&self) {
        let Some(mut tracer) = self.registerd.borrow_mut().take() else { return };
        for pid in children_of(tracer.pid()) {
            if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
                // One that has ended already is what is wanted.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
        tracer.expect_end(SOON);
    }

    /// Whether registerd runs.
    pub fn registerd_runs(&self) -> bool {
        self.registerd.borrow_mut().as_mut().is_some_and(Process::is_running)
    }

    /// What registerd said so far.
    pub fn registerd_said(&self) -> Vec<String> {
        self.registerd.borrow().as_ref().map(Process::stderr).unwrap_or_default()
    }

    /// One command to the coprocessor's control socket.
    ///
    /// # Panics
    /// When it does not answer, or answers with an error.
    pub fn control(&self, command: &str) -> Value {
        control(&self.path("control"), command)
    }

    /// The coprocessor's counters; `None` while it is down.
    pub fn counters_if_running(&self) -> Option<Value> {
        Some(ask(&self.path("control"), "counters")).filter(|answer| answer.get("error").is_none())
    }

    /// Runs `work` with a connection to the bus, as a caller in all groups.
    pub fn on_bus<T: Send>(&self, work: impl AsyncFnOnce(zbus::Connection) -> anyhow::Result<T> + Send) -> T {
        let groups: Vec<u32> = self.setup.accounts.map(groups_of).unwrap_or_default();
        on_bus(self.bus(), &groups, work)
    }

    /// Waits until registerd owns its name.
    pub fn wait_name(&self) {
        wait_for("registerd's name on the bus", SOON, || {
            assert!(self.registerd_runs(), "registerd ended:\n{}", self.registerd_said().join("\n"));
            self.on_bus(async |bus| {
                let dbus = zbus::fdo::DBusProxy::new(&bus).await?;
                Ok(dbus.name_has_owner(meter_bus::SERVICE.try_into()?).await?)
            })
            .then_some(())
        });
    }

    /// Waits until registerd gives measured values, and returns them with their time.
    pub fn wait_ready(&self) -> (u64, Vec<NamedReading>) {
        wait_for("measured values", SOON, || {
            assert!(self.registerd_runs(), "registerd ended:\n{}", self.registerd_said().join("\n"));
            self.snapshot().filter(|(_, r)| r.iter().any(|r| measured(r, "1.1.32.7.0.255")))
        })
    }

    /// The newest values, measured or not.
    pub fn wait_readings(&self) -> (u64, Vec<NamedReading>) {
        wait_for("values", SOON, || self.snapshot())
    }

    /// The newest values; `None` while there are none.
    pub fn snapshot(&self) -> Option<(u64, Vec<NamedReading>)> {
        self.on_bus(async |bus| {
            let proxy = SnapshotProxy::new(&bus).await?;
            Ok(proxy.last().await.ok())
        })
    }

    /// Waits until meter time, as registerd tells it, has reached `usec`.
    pub fn wait_meter_time(&self, usec: i64, limit: Duration) {
        let usec = u64::try_from(usec).expect("a time after 1970");
        wait_for("meter time", limit, || self.snapshot().filter(|(t, _)| *t >= usec).map(|_| ()));
    }
}

/// `command` run by `program` (strace, for one) with `args` before it.
pub fn under(program: &str, args: &[&str], command: &Command) -> Command {
    let mut outer = Command::new(program);
    outer.args(args).arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(key, value),
            None => outer.env_remove(key),
        };
    }
    outer
}

/// One command to a coprocessor's control socket.
///
/// # Panics
/// When it does not answer within [`SOON`], or answers with an error.
pub fn control(path: &Path, command: &str) -> Value {
    let answer = ask(path, command);
    assert!(answer.get("error").is_none(), "control {command:?}: {answer}");
    answer
}

fn ask(path: &Path, command: &str) -> Value {
    let ask = || -> anyhow::Result<Value> {
        let mut stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(SOON))?;
        writeln!(stream, "{command}")?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("answer {line:?}"))
    };
    ask().unwrap_or_else(|e| panic!("control {command:?}: {e:#}"))
}

/// Whether the register `obis` is there with a value.
pub fn measured(reading: &NamedReading, obis: &str) -> bool {
    reading.obis == obis && reading.reading.reading().is_some_and(|r| r.absent().is_none())
}

/// The group ids of all three roles.
pub fn groups_of(accounts: &Accounts) -> Vec<u32> {
    let groups = accounts.user("mt-everything").groups.clone();
    assert_eq!(groups.len(), GROUPS.len() + 1);
    groups
}

/// Runs `work` with a connection to `bus`, in a thread that is in `groups` (none: as it is), bounded by twice [`SOON`].
///
/// # Panics
/// When it fails or takes too long.
pub fn on_bus<T: Send>(
    bus: &str,
    groups: &[u32],
    work: impl AsyncFnOnce(zbus::Connection) -> anyhow::Result<T> + Send,
) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if !groups.is_empty() {
                // Groups belong to the thread that connects: the bus reads them from the socket.
                let groups: Vec<_> = groups.iter().map(|g| rustix::process::Gid::from_raw(*g)).collect();
                rustix::thread::set_thread_groups(&groups).expect("join the groups");
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an event loop");
            let started = Instant::now();
            let all = async {
                let connection = meter_bus::connect(Some(bus)).await.context("connect")?;
                work(connection).await
            };
            let result = runtime.block_on(async { tokio::time::timeout(SOON * 2, all).await });
            result.unwrap_or_else(|_| panic!("no answer from the bus in {:?}", started.elapsed()))
        });
        match thread.join() {
            Ok(result) => result.unwrap_or_else(|e| panic!("on the bus: {e:#}")),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// ISO 8601 in UTC with seconds, from µs since 1970 (Howard Hinnant's days-to-civil).
pub fn iso(usec: i64) -> String {
    let seconds = usec.div_euclid(1_000_000);
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let z = days + 719_468;
    let (era, doe) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_people_read_them() {
        assert_eq!(iso(START), "2026-11-17T11:58:00Z");
        assert_eq!(iso(951_782_400_000_000), "2000-02-29T00:00:00Z");
        assert_eq!(iso(0), "1970-01-01T00:00:00Z");
    }
}
