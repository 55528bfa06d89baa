//! A child process with its output: dies with its handle, and every wait on it is bounded.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Lines kept per process; a runaway log must not eat the machine, and failures are explained by the newest lines.
const LINES_MAX: usize = 20_000;

/// A running child. Killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    out: Arc<Mutex<Vec<String>>>,
    err: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts `command` with its output captured.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(mut command: Command) -> Process {
        let name = command.get_program().to_string_lossy().into_owned();
        let name = Path::new(&name).file_name().unwrap_or_default().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        let out = collect(child.stdout.take());
        let err = collect(child.stderr.take());
        Process { name, child, out, err }
    }

    /// Starts a program with arguments.
    pub fn run(program: impl AsRef<OsStr>, args: &[&str]) -> Process {
        let mut command = Command::new(program);
        command.args(args);
        Process::start(command)
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything printed on stdout so far.
    pub fn stdout(&self) -> Vec<String> {
        lock(&self.out).clone()
    }

    /// Everything printed on stderr so far.
    pub fn stderr(&self) -> Vec<String> {
        lock(&self.err).clone()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until a line of stdout satisfies `want`.
    ///
    /// # Panics
    /// When it ends or `limit` passes first; both outputs are in the message.
    pub fn expect_line(&mut self, what: &str, limit: Duration, want: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            // Asked before the lines, so that the last words of a process that just ended are still seen.
            let running = self.is_running();
            if let Some(line) = lock(&self.out).iter().find(|l| want(l)) {
                return line.clone();
            }
            assert!(running, "{} ended before {what}\n{}", self.name, self.outputs());
            assert!(start.elapsed() < limit, "{}: waited {limit:?} for {what}\n{}", self.name, self.outputs());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When `limit` passes first.
    pub fn expect_end(&mut self, limit: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                // The readers see the closed pipes a moment later.
                std::thread::sleep(Duration::from_millis(20));
                return status;
            }
            assert!(start.elapsed() < limit, "{} still runs after {limit:?}\n{}", self.name, self.outputs());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal; one that comes too late is not an error.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    /// `kill -9`, and waits for the end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.expect_end(crate::SOON)
    }

    fn outputs(&self) -> String {
        let tail = |lines: Vec<String>| lines[lines.len().saturating_sub(40)..].join("\n");
        format!("--- stdout\n{}\n--- stderr\n{}", tail(self.stdout()), tail(self.stderr()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- {} ({})\n{}", self.name, self.child.id(), self.outputs());
        }
    }
}

/// What a finished program left.
pub struct Finished {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its stdout.
    pub out: String,
    /// Its stderr.
    pub err: String,
}

/// Runs a command to its end.
///
/// # Panics
/// When it cannot be started or takes longer than `limit`.
pub fn finish(command: Command, limit: Duration) -> Finished {
    let mut process = Process::start(command);
    let status = process.expect_end(limit);
    Finished { code: status.code(), out: process.stdout().join("\n"), err: process.stderr().join("\n") }
}

/// Whether a process with this id exists and is not a zombie.
pub fn is_alive(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // "pid (name) state ...": the name may hold anything, so look behind the last parenthesis.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Ids of the direct children of a process.
pub fn children_of(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|t| std::fs::read_to_string(t.path().join("children")).ok());
    lists.flat_map(|l| l.split_whitespace().filter_map(|w| w.parse().ok()).collect::<Vec<u32>>()).collect()
}

/// The command line of a process, words separated by blanks.
pub fn command_line(pid: u32) -> String {
    std::fs::read(format!("/proc/{pid}/cmdline"))
        .map(|b| String::from_utf8_lossy(&b).replace('\0', " ").trim().to_owned())
        .unwrap_or_default()
}

fn lock<T>(value: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    if let Some(pipe) = pipe {
        std::thread::spawn(move || {
            let mut reader = BufReader::new(pipe);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(n) if n > 0) {
                let mut kept = lock(&sink);
                if kept.len() == LINES_MAX {
                    kept.drain(..LINES_MAX / 2);
                }
                kept.push(String::from_utf8_lossy(&line).trim_end().to_owned());
                line.clear();
            }
        });
    }
    lines
}
