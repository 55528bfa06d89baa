//! Figures of a running demo, its own or one that is named.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures_util::StreamExt;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::{Value, json};

use super::percentile;
use crate::cli::{self, BusArgs};
use crate::{bus, demo, top};

/// A demo that is not ready after this long will not be.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Starts of the demo for `ready`: enough for a median.
const STARTS: usize = 5;
/// How often the virtual world's clock is compared with this process's.
const COMPARE_EVERY: Duration = Duration::from_millis(50);

/// What the bench needs of `endpoints.json`.
#[derive(Debug, Deserialize)]
struct Endpoints {
    bus: String,
    control: PathBuf,
    pids: Pids,
}

#[derive(Debug, Deserialize)]
struct Pids {
    registerd: u32,
}

/// A demo for one measurement, stopped and removed afterwards.
struct OwnDemo {
    child: Child,
    state: PathBuf,
    ready_after: Duration,
}

impl OwnDemo {
    fn start() -> anyhow::Result<OwnDemo> {
        let state = demo::temporary_dir("metergate-bench")?;
        let started = Instant::now();
        let mut child = Command::new(std::env::current_exe()?)
            .args(["demo", "--headless", "--state"])
            .arg(&state)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = child.stdout.take();
        let mut own = OwnDemo { child, state, ready_after: Duration::ZERO };
        let (said, heard) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = stdout.map(BufReader::new).into_iter().flat_map(BufRead::lines);
            // The receiver is gone once it has heard enough.
            lines.map_while(Result::ok).for_each(|line| drop(said.send(line)));
        });
        let line = heard.recv_timeout(READY_TIMEOUT).context("the demo does not become ready")?;
        own.ready_after = started.elapsed();
        ensure!(line == "ready", "the demo said: {line}");
        Ok(own)
    }
}

impl Drop for OwnDemo {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // A demo that died already has nothing left to stop.
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.state);
    }
}

/// The named demo, or one of its own that lives as long as the second part of the result.
fn endpoints(state: Option<&Path>) -> anyhow::Result<(Endpoints, Option<OwnDemo>)> {
    let own = if state.is_none() { Some(OwnDemo::start()?) } else { None };
    let Some(dir) = state.or(own.as_ref().map(|own| own.state.as_path())) else { bail!("no state folder") };
    let path = dir.join("endpoints.json");
    let text = fs::read_to_string(&path).with_context(|| format!("no demo runs there: {}", path.display()))?;
    Ok((serde_json::from_str(&text).with_context(|| path.display().to_string())?, own))
}

/// Time from the start of the process to `ready`.
pub fn ready() -> anyhow::Result<Value> {
    let mut runs = Vec::new();
    for _ in 0..STARTS {
        runs.push(OwnDemo::start()?.ready_after.as_millis() as u64);
    }
    let mut sorted = runs.clone();
    sorted.sort_unstable();
    Ok(json!({
        "bench": "ready",
        "method": "start of the process to the line `ready`: measured values answered over the bus; new state each time",
        "runs_ms": runs,
        "p50_ms": percentile(&sorted, 0.5),
        "max_ms": sorted.last(),
    }))
}

/// Memory of registerd after it has worked for a while.
pub fn rss(state: Option<&Path>, pid: Option<u32>, seconds: u64) -> anyhow::Result<Value> {
    let (pid, _own) = match pid {
        Some(pid) => (pid, None),
        None => endpoints(state).map(|(endpoints, own)| (endpoints.pids.registerd, own))?,
    };
    std::thread::sleep(Duration::from_secs(seconds));
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("registerd is not running: {path}"))?;
    let field = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Ok(json!({
        "bench": "rss",
        "method": "/proc/PID/status of registerd; rss_anon is what it does not share with its file",
        "program": fs::read_link(format!("/proc/{pid}/exe")).ok(),
        "after_s": seconds,
        "rss_kb": field("VmRSS"),
        "rss_anon_kb": field("RssAnon"),
        "rss_file_kb": field("RssFile"),
        "peak_kb": field("VmHWM"),
        "threads": field("Threads"),
    }))
}

/// Time from the moment the virtual front end delivered the last sample of a second to the arrival of its snapshot signal
/// in this process.
///
/// The simulated world's time and this process's clock are compared all the while; the world is never ahead of its
/// pace, so the largest difference seen is the one without delay. The world moves in cycles of 20 ms, which is part of
/// the figure.
pub fn latency(state: Option<&Path>, seconds: u64) -> anyhow::Result<Value> {
    let (endpoints, _own) = endpoints(state)?;
    let begin = Instant::now();
    let end = begin + Duration::from_secs(seconds);
    let control = endpoints.control.clone();
    let clock = std::thread::spawn(move || world_clock(&control, begin, end));
    let arrivals = cli::block_on(arrivals(&endpoints.bus, begin, end))?;
    let Ok(ahead) = clock.join() else { bail!("the comparison of clocks failed") };
    let ahead = ahead?;
    let mut delays: Vec<u64> = arrivals
        .iter()
        .map(|(meter_us, arrived_us)| u64::try_from(arrived_us + ahead - meter_us).unwrap_or(0))
        .collect();
    delays.sort_unstable();
    ensure!(!delays.is_empty(), "no snapshot signal within {seconds} s");
    Ok(json!({
        "bench": "latency",
        "method": "last sample of a second in the virtual front end to its Snapshot signal in another process, real time",
        "signals": delays.len(),
        "p50_us": percentile(&delays, 0.5),
        "p99_us": percentile(&delays, 0.99),
        "max_us": delays.last(),
    }))
}

/// Microseconds since `begin`.
fn since(begin: Instant) -> i64 {
    i64::try_from(begin.elapsed().as_micros()).unwrap_or(i64::MAX)
}

/// (meter time, arrival since `begin`) of each snapshot until `end`, µs.
async fn arrivals(address: &str, begin: Instant, end: Instant) -> anyhow::Result<Vec<(i64, i64)>> {
    let connection = bus::connect(&BusArgs { bus: Some(address.to_owned()) }).await?;
    let mut signals = top::snapshots(&connection).await?;
    let mut all = Vec::new();
    while let Ok(Some((usec, _))) = tokio::time::timeout_at(end.into(), signals.next()).await {
        all.push((i64::try_from(usec)?, since(begin)));
    }
    Ok(all)
}

/// The largest difference between the world's time and the time since `begin`, µs.
fn world_clock(control: &Path, begin: Instant, end: Instant) -> anyhow::Result<i64> {
    let mut stream = UnixStream::connect(control).context("cannot reach the virtual coprocessor's control socket")?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut best = i64::MIN;
    while Instant::now() < end {
        stream.write_all(b"state\n")?;
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let state: Value = serde_json::from_str(&line).context("control socket")?;
        let world = state["utc_us"].as_i64().context("control socket: no utc_us")?;
        best = best.max(world - since(begin));
        std::thread::sleep(COMPARE_EVERY);
    }
    Ok(best)
}
