//! The virtual coprocessor as a process of its own: served over its socket, killed, reset, disturbed.
#![allow(clippy::unwrap_used)] // a failed unwrap fails the test

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use metrology_link::host::{HostEnd, Received};
use metrology_link::payload::{Billing, Hello, HistoryKind, HistoryRecord, ResetCause};
use metrology_link::stream::PageReader;
use metrology_link::{PAGE, Page};
use metrology_sim::{FaultRates, MeterType, Scenario, VirtualOptions};
use serde_json::Value;

/// Generous: only a broken coprocessor takes so long.
const PATIENCE: Duration = Duration::from_secs(60);
const CHILD: &str = "METROLOGY_SIM_TEST_CHILD";
/// 2025-10-15T15:59:30Z.
const START: i64 = 1_760_543_970_000_000;

/// Not a test by itself: the process that the other tests start and kill. `METROLOGY_SIM_TEST_CHILD` = folder, speed,
/// scenario, faults.
#[test]
fn child_process() {
    let Ok(arguments) = std::env::var(CHILD) else { return };
    let mut parts = arguments.split('|');
    let mut next = || parts.next().unwrap().to_owned();
    let dir = PathBuf::from(next());
    let options = VirtualOptions {
        socket: dir.join("link"),
        control: Some(dir.join("control")),
        nv: dir.join("nv"),
        meter_type: MeterType::ThreePhase,
        speed: next().parse().unwrap(),
        scenario: Scenario::load(&next()).unwrap(),
        faults: FaultRates::parse(&next()).unwrap(),
        waveform: None,
        seed: 1,
        start: Some(START),
    };
    metrology_sim::run(options, &AtomicBool::new(false)).unwrap();
}

struct Process(Child);

impl Process {
    fn start(dir: &Path, speed: &str, scenario: &str, faults: &str) -> Process {
        let arguments = format!("{}|{speed}|{scenario}|{faults}", dir.display());
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_process", "--test-threads=1"])
            .env(CHILD, arguments)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Process(child)
    }
}

impl Drop for Process {
    /// SIGKILL.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn connect(path: &Path) -> UnixStream {
    let begun = Instant::now();
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return stream,
            Err(e) => assert!(begun.elapsed() < PATIENCE, "{}: {e}", path.display()),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What registerd does, in short: one page out, one page in, again after 20 ms of nothing.
struct Host {
    end: HostEnd,
    path: PathBuf,
    stream: UnixStream,
    reader: PageReader,
    hello: Option<Hello>,
    billing: Option<Billing>,
    records: Vec<HistoryRecord>,
    events: u64,
}

impl Host {
    fn new(dir: &Path) -> Host {
        let path = dir.join("link");
        let mut end = HostEnd::new();
        end.resume(0, 1);
        let stream = connect(&path);
        Host {
            end,
            stream,
            path,
            reader: PageReader::new(),
            hello: None,
            billing: None,
            records: Vec::new(),
            events: 0,
        }
    }

    fn reconnect(&mut self) {
        self.stream = connect(&self.path);
        self.reader.reset();
    }

    fn exchange(&mut self) {
        // Drain what came late.
        self.stream.set_nonblocking(true).unwrap();
        let mut chunk = [0; 4 * PAGE];
        while matches!(self.stream.read(&mut chunk), Ok(n) if n > 0) {}
        self.reader.reset();
        self.stream.set_nonblocking(false).unwrap();
        self.stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut page: Page = [0; PAGE];
        self.end.emit(&mut page);
        if self.stream.write_all(&page).is_err() {
            return;
        }
        let Some(answer) = self.read_page() else { return };
        let Ok(received) = self.end.receive(&answer) else { return };
        match received {
            Received::Hello(hello) => self.hello = Some(hello),
            Received::Billing(billing) => self.billing = Some(billing),
            Received::Event(event) => {
                self.events += 1;
                self.end.ack_event(event.seq);
            }
            Received::History(record) => {
                self.end.ack_history(record.seq);
                self.records.push(record);
            }
            _ => {}
        }
    }

    fn read_page(&mut self) -> Option<Page> {
        let mut chunk = [0; PAGE];
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(200) {
            let n = self.stream.read(&mut chunk).ok().filter(|n| *n > 0)?;
            if let Some(page) = self.reader.push(&mut &chunk[..n]) {
                return Some(page);
            }
        }
        None
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&Host) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            assert!(begun.elapsed() < PATIENCE, "no {what}");
            self.exchange();
        }
    }

    fn counted(&self) -> u64 {
        self.billing.as_ref().map_or(0, |b| b.snapshot.counters.total.a_plus)
    }
}

fn ask(dir: &Path, command: &str) -> Value {
    let mut stream = connect(&dir.join("control"));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    writeln!(stream, "{command}").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

#[test]
fn serves_a_host_and_keeps_its_counters_over_kill_and_restart() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), "20", "quiet", "");
    let mut host = Host::new(dir.path());
    host.until("hello", |h| h.hello.is_some());
    let first = host.hello.unwrap();
    assert!(first.memory_reset && first.boots == 1 && first.reset_cause == ResetCause::PowerOn);
    assert!((0..60_000_000).contains(&(first.rtc_us - START)));
    host.until("two minutes of history", |h| h.records.iter().filter(|r| r.kind == HistoryKind::Minute).count() >= 2);
    let before = host.counted();
    assert!(before > 3_000_000);
    drop(process);
    // 300 ms of real time are 6 s of the world.
    std::thread::sleep(Duration::from_millis(300));
    let _process = Process::start(dir.path(), "20", "quiet", "");
    host.reconnect();
    host.hello = None;
    host.until("second hello", |h| h.hello.is_some());
    let second = host.hello.unwrap();
    assert_eq!((second.boots, second.memory_reset, second.device_id), (2, false, first.device_id));
    assert_ne!(second.boot_id, first.boot_id);
    assert!(second.down_us > 6_000_000, "{}", second.down_us);
    host.billing = None;
    host.until("billing", |h| h.billing.is_some());
    assert!(host.counted() >= before, "{} after {before}", host.counted());
    host.until("boot record", |h| h.records.iter().any(|r| r.kind == HistoryKind::Boot && r.snapshot.boots == 2));
    // The history has no gap and its counters only grow.
    for pair in host.records.windows(2) {
        assert_eq!(pair[1].seq, pair[0].seq + 1);
        assert!(pair[1].snapshot.counters.total.a_plus >= pair[0].snapshot.counters.total.a_plus);
        assert!(pair[1].snapshot.t_samples >= pair[0].snapshot.t_samples);
    }
    // The true energy survived as well, and agrees but for one window per start and what is under way.
    let truth = ask(dir.path(), "truth");
    let counters = ask(dir.path(), "counters");
    let seen = truth["total"]["a_plus"].as_u64().unwrap() - truth["unmetered"]["a_plus"].as_u64().unwrap();
    let counted = counters["total"]["a_plus"].as_u64().unwrap();
    // The two answers are up to a second of the simulation apart.
    assert!(seen.abs_diff(counted) < 3450 * 30_000 && seen > before, "{seen} {counted}");
}

#[test]
fn resets_and_a_silent_link_under_faults() {
    let dir = tempfile::tempdir().unwrap();
    let _process = Process::start(dir.path(), "5", "quiet", "bits=1e-4 drop=0.1 dup=0.05 truncate=0.05");
    let mut host = Host::new(dir.path());
    host.until("hello", |h| h.hello.is_some());
    host.until("billing", |h| h.counted() > 0);
    let before = host.counted();
    assert_eq!(ask(dir.path(), "reset warm")["ok"], true);
    host.until("hello after the reset", |h| h.hello.unwrap().boots == 2);
    let hello = host.hello.unwrap();
    assert_eq!(hello.reset_cause, ResetCause::Warm);
    assert!(!hello.memory_reset && hello.down_us < 2_000_000, "{}", hello.down_us);
    host.until("growing counters", |h| h.counted() > before);
    assert_eq!(ask(dir.path(), "reset cold")["ok"], true);
    host.until("hello after the second reset", |h| h.hello.unwrap().boots == 3);
    assert_eq!(ask(dir.path(), "pause 300")["ok"], true);
    let pages = host.end.stats().pages;
    let begun = Instant::now();
    host.until("a page after the silence", |h| h.end.stats().pages > pages + 20);
    assert!(begun.elapsed() >= Duration::from_millis(150));
    let state = ask(dir.path(), "state");
    assert!(state["to_host"]["damaged"].as_u64().unwrap() > 0, "{state}");
    assert!(state["to_coprocessor"]["dropped"].as_u64().unwrap() > 0, "{state}");
    assert_eq!(state["starts"], 3);
    host.until("events", |h| h.events >= 3);
}

#[test]
fn inputs_breaker_and_refusals_by_control() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::start(dir.path(), "10", "quiet", "");
    let inputs = |bits: u64, level: bool| {
        let begun = Instant::now();
        loop {
            let got = ask(dir.path(), "counters")["inputs"].as_u64().unwrap();
            if (got & bits != 0) == level {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "inputs {got:#x}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    assert_eq!(ask(dir.path(), "input tariff 2 on")["ok"], true);
    inputs(0b010, true);
    assert_eq!(ask(dir.path(), "input tariff 2 off")["ok"], true);
    inputs(0b010, false);
    assert_eq!(ask(dir.path(), "cover terminal open")["ok"], true);
    inputs(1 << 8, true);
    assert_eq!(ask(dir.path(), "magnet on")["ok"], true);
    inputs(1 << 9, true);
    assert_eq!(ask(dir.path(), "press left 20000")["ok"], true);
    inputs(1 << 5, true);
    inputs(1 << 5, false);
    assert_eq!(ask(dir.path(), "breaker welded")["ok"], true);
    let state = ask(dir.path(), "state");
    assert_eq!((&state["breaker"]["fault"], &state["breaker"]["closed"]), (&"welded".into(), &true.into()));
    for wrong in ["magnet maybe", "press up 5", "press left x", "input tariff 4 on", "faults bits=2", "dance", "reset"]
    {
        let answer = ask(dir.path(), wrong);
        assert_eq!(answer["ok"], false, "{wrong}");
        assert!(!answer["error"].as_str().unwrap().is_empty());
    }
    let answer = ask(dir.path(), &"x".repeat(10_000));
    assert_eq!(answer["ok"], false);
    assert_eq!(ask(dir.path(), "stop")["ok"], true);
    assert!(process.0.wait().unwrap().success());
    assert!(!dir.path().join("link").exists() && !dir.path().join("control").exists());
}

#[test]
fn a_second_process_on_the_same_memory_is_refused_and_harms_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let _process = Process::start(dir.path(), "1", "quiet", "");
    let mut host = Host::new(dir.path());
    host.until("hello", |h| h.hello.is_some());
    let options = VirtualOptions {
        socket: dir.path().join("link"),
        control: None,
        nv: dir.path().join("nv"),
        meter_type: MeterType::ThreePhase,
        speed: 1.0,
        scenario: Scenario::load("quiet").unwrap(),
        faults: FaultRates::default(),
        waveform: None,
        seed: 1,
        start: None,
    };
    let refused = metrology_sim::run(options, &AtomicBool::new(false)).unwrap_err();
    assert!(refused.to_string().contains("in use by another process"), "{refused}");
    host.billing = None;
    host.until("billing", |h| h.billing.is_some());
}

#[test]
fn as_fast_as_possible_never_outruns_the_host() {
    let dir = tempfile::tempdir().unwrap();
    let _process = Process::start(dir.path(), "0", "quiet", "");
    let mut host = Host::new(dir.path());
    host.until("billing", |h| h.billing.is_some());
    let mut longest = 0;
    for _ in 0..40 {
        let before = host.billing.unwrap().snapshot.t_samples;
        std::thread::sleep(Duration::from_millis(30));
        host.exchange();
        // The page that was armed may be the one before the news: two exchanges bring the newest billing.
        host.exchange();
        longest = longest.max(host.billing.unwrap().snapshot.t_samples - before);
    }
    // Unchecked, 30 ms are at least 5 s of the world; the backlog is 2 s, and one more window may be under way.
    assert!(longest > 0 && longest <= 8000 * 5, "{longest}");
    let first = host.records.first().unwrap().seq;
    assert_eq!((first, host.end.stats().history_lost), (1, 0));
}
