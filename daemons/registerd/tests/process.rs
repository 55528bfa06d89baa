//! The binary as a process: how it starts, refuses, stops and restarts.

#![allow(clippy::unwrap_used)] // a test may fail by panicking, in its helpers too

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Far longer than a start takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn registerd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_registerd"));
    command.env_remove("NOTIFY_SOCKET").env_remove("METERGATE_BUS").stderr(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// A configuration whose coprocessor never answers.
fn config(dir: &Path, text: &str) -> PathBuf {
    let file = dir.join("registerd.toml");
    let link = format!("[link]\nkind = 'socket'\nsocket = '{}'\n", dir.join("link").display());
    std::fs::write(&file, link + text).unwrap();
    file
}

fn private_bus() -> String {
    let (tx, rx) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        zruntime::block_on(async move {
            let at = format!("unix:tmpdir={}", std::env::temp_dir().display());
            let mut bus = busd::bus::Bus::for_address(Some(&at)).await.unwrap();
            tx.send(bus.address().to_string()).unwrap();
            bus.run().await.unwrap();
        });
    });
    rx.recv_timeout(PATIENCE).unwrap()
}

struct Running(Child);

impl Running {
    fn start(config: &Path, state: &Path, bus: &str) -> Running {
        let mut command = registerd();
        command.stderr(Stdio::null()).stdout(Stdio::null());
        Running(command.arg("--config").arg(config).arg("--state").arg(state).args(["--bus", bus]).spawn().unwrap())
    }

    fn signal(&mut self, signal: rustix::process::Signal) -> std::process::ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).unwrap();
        let began = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "does not stop");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks for health until the service answers.
fn until_serving(bus: &str) -> Vec<meter_bus::HealthItem> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let connection = meter_bus::connect(Some(bus)).await.unwrap();
        let bus = zbus::fdo::DBusProxy::new(&connection).await.unwrap();
        let name: zbus::names::BusName<'_> = meter_bus::SERVICE.try_into().unwrap();
        let began = Instant::now();
        while !tokio::time::timeout(PATIENCE, bus.name_has_owner(name.clone())).await.unwrap().unwrap() {
            assert!(began.elapsed() < PATIENCE, "never took its name");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let health = meter_bus::HealthProxy::new(&connection).await.unwrap();
        tokio::time::timeout(PATIENCE, health.state()).await.unwrap().unwrap()
    })
}

/// Runs to its end, which must come by itself.
fn output(command: &mut Command) -> Output {
    let mut child = command.spawn().unwrap();
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    child.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
    child.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
    Output { status, stdout, stderr }
}

/// The line on stderr that says why; there must be just one that is no log record.
fn refusal(config: &Path, state: &Path, bus: &str) -> String {
    let output = output(registerd().arg("--config").arg(config).arg("--state").arg(state).args(["--bus", bus]));
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    let last = text.lines().last().unwrap().to_owned();
    assert!(
        text.lines().rev().skip(1).all(|l| l.starts_with("registerd: info: ") || l.starts_with("registerd: warn: "))
    );
    last
}

#[test]
fn serves_without_a_coprocessor_keeps_its_folder_to_itself_and_stops_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let (config, state, bus) = (config(dir.path(), ""), dir.path().join("state"), private_bus());
    let mut first = Running::start(&config, &state, &bus);
    let health = until_serving(&bus);
    let level = |name: &str| health.iter().find(|i| i.name == name).unwrap().level.clone();
    assert_eq!(level("store"), "ok");
    assert_ne!(level("link"), "ok");

    let second = refusal(&config, &state, &bus);
    assert!(second.contains(&format!("is in use by process {}", first.0.id())), "{second}");
    // Another state folder, but the name is taken.
    let third = refusal(&config, &dir.path().join("other"), &bus);
    assert!(third.contains("cannot serve the bus"), "{third}");
    until_serving(&bus);

    assert!(first.signal(rustix::process::Signal::TERM).success());
    let verify = output(registerd().arg("verify").arg("--state").arg(&state));
    assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stdout));
    // A clean stop leaves no log to recover.
    assert!(!state.join("meter/meter.db-wal").exists());
}

#[test]
fn starts_again_after_kill_9_at_any_moment_of_its_start() {
    let dir = tempfile::tempdir().unwrap();
    let (config, state, bus) = (config(dir.path(), ""), dir.path().join("state"), private_bus());
    for round in 0..12u64 {
        let mut process = Running::start(&config, &state, &bus);
        std::thread::sleep(Duration::from_millis(round * 17));
        process.signal(rustix::process::Signal::KILL);
    }
    let mut last = Running::start(&config, &state, &bus);
    until_serving(&bus);
    assert!(last.signal(rustix::process::Signal::TERM).success());
    let aside: Vec<_> = std::fs::read_dir(state.join("meter"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.contains("corrupt") || n.contains("aside"))
        .collect();
    assert_eq!(aside, Vec::<String>::new());
}

#[test]
fn bad_input_gets_one_clear_line_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let no_bus = "unix:path=/nonexistent/bus";
    let file = |text| config(dir.path(), text);
    for (text, wanted) in [
        ("[meter]\nperiods = 3\n", "registerd.toml:5: unknown field `periods`"),
        ("[meter]\nperiod_min = 'x'\n", "registerd.toml:5: invalid type"),
        ("[meter]\nperiod_min = 20\n", "registerd.toml:5: meter.period_min: integration period must be 15, 30 or 60"),
    ] {
        let line = refusal(&file(text), &state, no_bus);
        assert!(line.contains(wanted), "{line}");
        assert!(!state.exists());
    }
    let good = file("");
    let blocked = dir.path().join("blocked");
    std::fs::write(&blocked, "").unwrap();
    let line = refusal(&good, &blocked, no_bus);
    assert!(line.contains("is not writable"), "{line}");
    let line = refusal(&good, &state, no_bus);
    assert!(line.contains("cannot serve the bus"), "{line}");

    let usage = output(registerd().arg("--nonsense"));
    assert_eq!(usage.status.code(), Some(2));
    let version = output(registerd().arg("--version"));
    assert!(String::from_utf8(version.stdout).unwrap().starts_with("registerd 0.1.0 "));
}
