//! One child of the demo: a process of this same binary, started again when it dies.
//!
//! A child that ran for a while and died (killed, crashed) starts again at once; one that keeps dying early is given more
//! and more time, so that a broken set-up does not burn the machine. What children write to stderr goes, line by line,
//! to the demo's own stderr or to a log file. The demo runs them from its main thread and children ask the kernel to be
//! killed when that thread dies (`meter_kit::parent`), so none of them outlives a `kill -9` of the demo.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};

use super::log::Log;

/// A child that lived this long was up: its death is news, not a broken set-up.
const WAS_UP: Duration = Duration::from_secs(2);
/// First pause before a child that died early starts again.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// The pause doubles up to this: soon enough for a person who mends what is wrong and watches.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Time a child has to stop cleanly: registerd commits within one second, even on a slow disk; after that, force.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The log is written within microseconds of the line; this only bounds the wait.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_millis(500);

/// What became of a child.
#[derive(Debug)]
pub enum News {
    /// It runs, with this process id.
    Started(&'static str, u32),
    /// It ended without being asked. Its last line on stderr says more.
    Died {
        /// Which one.
        name: &'static str,
        /// How.
        status: ExitStatus,
        /// What it said last.
        last_words: String,
    },
    /// It cannot be started at all.
    Failed(&'static str, io::Error),
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name in logs and in `endpoints.json`.
    pub name: &'static str,
    /// Arguments of this same binary.
    pub args: Vec<OsString>,
}

/// Runs the child until `stop` turns true; then it is stopped, and this returns.
pub async fn supervise(plan: Plan, log: Arc<Log>, news: mpsc::UnboundedSender<News>, mut stop: watch::Receiver<bool>) {
    let mut backoff = BACKOFF_FIRST;
    loop {
        if *stop.borrow() {
            return;
        }
        let started = Instant::now();
        // The receiver lives as long as the demo; a report that nobody reads any more is no loss.
        match start(&plan, &log) {
            Ok(Started { child, id, silent }) => {
                let _ = news.send(News::Started(plan.name, id));
                let Some(status) = watch_over(child, id, &mut stop).await else {
                    return;
                };
                // Its last words may still be on their way.
                let _ = tokio::time::timeout(LAST_WORDS_TIMEOUT, silent).await;
                let last_words = log.last_words(plan.name);
                let _ = news.send(News::Died { name: plan.name, status, last_words });
            }
            Err(error) => {
                let _ = news.send(News::Failed(plan.name, error));
            }
        }
        if started.elapsed() >= WAS_UP {
            backoff = BACKOFF_FIRST;
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(backoff) => backoff = (backoff * 2).min(BACKOFF_MAX),
            _ = stop.changed() => {}
        }
    }
}

struct Started {
    child: Child,
    id: u32,
    /// Resolves when all it said has been written down.
    silent: oneshot::Receiver<()>,
}

fn start(plan: &Plan, log: &Arc<Log>) -> io::Result<Started> {
    let (reader, writer) = io::pipe()?;
    let child = Command::new(std::env::current_exe()?)
        .args(&plan.args)
        .env(crate::process::PARENT_ENV, std::process::id().to_string())
        // The bus is named by argument; an address in the environment would be another bus.
        .env_remove(meter_bus::BUS_ENV)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(writer)
        // Ctrl-C reaches the demo alone, which then stops its children in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let id = child.id().ok_or_else(|| io::Error::other("ended at once"))?;
    let (name, log) = (plan.name, Arc::clone(log));
    let (end, silent) = oneshot::channel();
    std::thread::spawn(move || {
        // Ends with the child: its end of the pipe is the only one left.
        for line in BufReader::new(reader).lines().map_while(Result::ok) {
            log.line(name, &line);
        }
        // Only the news of a death waits for this.
        let _ = end.send(());
    });
    Ok(Started { child, id, silent })
}

/// The status with which the child died, or `None` after it was stopped.
async fn watch_over(mut child: Child, id: u32, stop: &mut watch::Receiver<bool>) -> Option<ExitStatus> {
    tokio::select! {
        status = child.wait() => return status.ok(),
        _ = stop.wait_for(|stop| *stop) => {}
    }
    // The id is still the child's: it has not been waited for.
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
    }
    if tokio::time::timeout(STOP_TIMEOUT, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
    None
}

/// What a death tells a person.
pub fn describe(name: &str, status: ExitStatus, last_words: &str) -> String {
    let words = last_words.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(last_words);
    match words {
        "" => format!("{name} ended ({status})"),
        words => format!("{name} ended ({status}), its last words: {words}"),
    }
}
