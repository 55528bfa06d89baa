//! The real Cortex-M4F program in QEMU gives the same bytes as the host build of the same engine.
//!
//! The samples go through a file (semihosting); what each window left, counters with their remainders and all
//! measured values, is compared byte for byte. A control with one changed sample must differ.
//!
//! The whole coprocessor in the same program answers a host: hello, billing that grows as the signal says, and counters
//! that are still there after QEMU was killed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use metergate_tests::skip;
use metrology_dsp::coprocessor::NV_BYTES;
use metrology_dsp::{CHANNELS, Cumulative, Metrology};
use metrology_link::codec::{Wire, encode};
use metrology_link::host::{HostEnd, Received};
use metrology_link::payload::{Billing, Calibration, Hello, MeterConfig, Second};
use metrology_link::stream::PageReader;
use metrology_link::{PAGE, Page};
use std::f64::consts::TAU;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const RECORDS_PER_READ: usize = 160;

#[test]
fn the_arm_program_counts_bit_for_bit_like_the_host() {
    let Some(program) = build("the_arm_program_counts_bit_for_bit_like_the_host") else { return };
    let dir = tempfile::tempdir().unwrap();
    let samples = signal(8 * RECORDS_PER_READ * 50);
    let host = on_host(&samples);
    assert!(host.len() > 30 * (Cumulative::BYTES + Second::LEN), "8 s hold some 40 windows");
    assert!(on_arm(&program, dir.path(), &samples) == host, "ARM and host differ");

    let mut other = samples;
    other[4000][3] += 1000;
    assert!(on_arm(&program, dir.path(), &other) != host, "one changed sample went unnoticed");
}

/// Three phases at 49.7 Hz with harmonics, a lagging, an exporting and a small load, in counts.
fn signal(n: usize) -> Vec<[i32; CHANNELS]> {
    (0..n)
        .map(|i| {
            let t = i as f64 / 8000.0;
            let mut out = [0; CHANNELS];
            for (k, (amps, lag)) in [(40.0, 1.0), (12.0, 3.4), (0.05, 0.2)].into_iter().enumerate() {
                let a = TAU * (49.7 * t - k as f64 / 3.0);
                let u = 325.0 * a.sin() + 16.0 * (5.0 * a).sin();
                let i = amps * (a - lag).sin() + amps * 0.3 * (3.0 * a).sin();
                out[k] = (u / 600.0 * 8_388_608.0) as i32;
                out[3 + k] = (i / 200.0 * 8_388_608.0) as i32;
            }
            out
        })
        .collect()
}

fn calibration() -> Calibration {
    let mut calibration = Calibration::default();
    for (channel, c) in calibration.channel.iter_mut().enumerate() {
        c.gain_q30 += 1_000_000 * channel as i32;
        c.offset = 37 - 11 * channel as i32;
    }
    calibration.channel[3].phase_ns = 4_321;
    calibration
}

fn on_host(samples: &[[i32; CHANNELS]]) -> Vec<u8> {
    let mut metrology = Metrology::new(&MeterConfig::default(), &calibration()).unwrap();
    let mut out = Vec::new();
    for counts in samples {
        if metrology.push(counts).is_some() {
            out.extend(metrology.cumulative().to_bytes());
            let mut window = [0; Second::LEN];
            encode(metrology.window(), &mut window);
            out.extend(window);
        }
    }
    out
}

fn on_arm(program: &Path, dir: &Path, samples: &[[i32; CHANNELS]]) -> Vec<u8> {
    let (input, output) = (dir.join("in"), dir.join("out"));
    let mut bytes = b"MGVEC\0\0\x01".to_vec();
    structure(&MeterConfig::default(), &mut bytes);
    structure(&calibration(), &mut bytes);
    bytes.extend(samples.iter().flatten().flat_map(|c| c.to_le_bytes()));
    fs::write(&input, bytes).unwrap();
    let done = Command::new("timeout")
        .args(["120", "qemu-system-arm", "-M", "mps2-an386", "-display", "none", "-monitor", "none", "-serial", "none"])
        .arg("-semihosting-config")
        .arg(format!("enable=on,target=native,arg=vector,arg={},arg={}", input.display(), output.display()))
        .arg("-kernel")
        .arg(program)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(done.status.success(), "QEMU: {done:?}");
    fs::read(&output).unwrap()
}

fn structure<T: Wire>(value: &T, out: &mut Vec<u8>) {
    let mut bytes = [0; 512];
    let n = encode(value, &mut bytes);
    assert_ne!(n, 0);
    out.extend((n as u16).to_le_bytes());
    out.extend(&bytes[..n]);
}

/// Builds the board's program, or tells why not.
fn build(test: &str) -> Option<PathBuf> {
    if Command::new("qemu-system-arm").arg("--version").output().is_err() {
        skip(test, "qemu-system-arm is not installed");
        return None;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rt-metrology/firmware");
    // From its own folder: the target stands in its .cargo/config.toml. No settings of the surrounding cargo.
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--release", "--locked"]).current_dir(&folder);
    for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("CARGO_")) {
        if name != "CARGO_HOME" {
            cargo.env_remove(name);
        }
    }
    let built = cargo.output().unwrap();
    let message = String::from_utf8_lossy(&built.stderr);
    if !built.status.success() && message.contains("may not be installed") {
        skip(test, "the target thumbv7em-none-eabihf is not installed (rustup target add thumbv7em-none-eabihf)");
        return None;
    }
    assert!(built.status.success(), "{message}");
    let program = folder.join("target/thumbv7em-none-eabihf/release/qemu-an386");
    let head = fs::read(&program).unwrap();
    // An ELF for machine 40 (Arm), not for the host: a wrong folder would have built that without a word.
    assert_eq!((&head[..4], head[18]), (&b"\x7fELF"[..], 40));
    Some(program)
}

/// The whole coprocessor as an ARM program: it says hello, counts what the signal says, and keeps its counters in its
/// memory file when it is killed.
#[test]
fn the_arm_coprocessor_serves_a_host_and_keeps_its_counters_when_killed() {
    let Some(program) = build("the_arm_coprocessor_serves_a_host_and_keeps_its_counters_when_killed") else { return };
    let dir = tempfile::tempdir().unwrap();
    let memory = dir.path().join("memory");
    fs::write(&memory, vec![0; NV_BYTES]).unwrap();

    let mut board = Board::start(&program, &memory);
    let first = board.meet();
    assert!(first.memory_reset, "an empty memory is told");
    assert_eq!((first.boots, first.rate_hz), (1, 8000));
    let early = board.run_until(|b| b.snapshot.window >= 5);
    let late = board.run_until(|b| b.snapshot.window >= 30);
    let counted = |b: &Billing| b.snapshot.counters.phase[0].a_plus;
    let seconds = (late.snapshot.t_samples - early.snapshot.t_samples) as f64 / 8000.0;
    // 325 V and 40 A peak lagging by 1 rad at 49.7 Hz; the harmonics meet no partner of their order.
    let expected = 325.0 * 40.0 / 2.0 * 1f64.cos() * seconds * 1000.0;
    let grown = (counted(&late) - counted(&early)) as f64;
    assert!((grown / expected - 1.0).abs() < 0.02, "{grown} mJ in {seconds} s, expected {expected}");
    drop(board);

    let mut board = Board::start(&program, &memory);
    let second = board.meet();
    assert!(!second.memory_reset);
    assert_eq!((second.boots, second.device_id), (2, first.device_id));
    assert_ne!(second.boot_id, first.boot_id);
    let after = board.run_until(|b| b.snapshot.window > late.snapshot.window);
    let lead = (counted(&after) - counted(&late)) as f64;
    // No window is lost or counted twice, but for those that closed after the last look.
    assert!(lead > 0.0 && lead < 2.0 * expected, "{lead} mJ over the kill");
    assert!(after.snapshot.t_samples > late.snapshot.t_samples, "the sample clock goes on");
}

/// Real time for an answer: a thousand times what it takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// Exchanges for anything that a test waits for: 20 ms of signal go by with each, so this is 20 s of it.
const EXCHANGES: usize = 1000;
/// Samples of a frame, and frames between two pages.
const FRAME: usize = 40;
const FRAMES: usize = 4;
/// Time of the board's clock before the first sample, µs.
const BEGIN_US: i64 = 1_800_000_000_000_000;

/// QEMU with the program in its live mode; this is its front end and its host.
struct Board {
    child: Child,
    input: ChildStdin,
    pages: Receiver<Page>,
    end: HostEnd,
    signal: Vec<[i32; CHANNELS]>,
    sent: usize,
}

impl Board {
    fn start(program: &Path, memory: &Path) -> Board {
        let mut child = Command::new("timeout")
            .args(["-k", "1", "120", "qemu-system-arm", "-M", "mps2-an386", "-display", "none", "-monitor", "none"])
            .args(["-chardev", "file,id=link,path=/dev/stdout", "-serial", "chardev:link", "-semihosting-config"])
            .arg(format!("enable=on,target=native,arg=live,arg=/dev/stdin,arg={}", memory.display()))
            .arg("-kernel")
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, pages) = channel();
        // Ends with QEMU.
        std::thread::spawn(move || {
            let (mut reader, mut bytes) = (PageReader::new(), [0; PAGE]);
            while let Ok(n @ 1..) = output.read(&mut bytes) {
                let mut rest = &bytes[..n];
                while let (false, Some(page)) = (rest.is_empty(), reader.push(&mut rest)) {
                    let _ = sender.send(page);
                }
            }
        });
        // Whole cycles, so that it can be repeated: 497 of them.
        Board { child, input, pages, end: HostEnd::new(), signal: signal(80_000), sent: 0 }
    }

    /// Some signal and one exchange.
    fn exchange(&mut self) -> Received {
        let mut out = Vec::new();
        for _ in 0..FRAMES {
            let utc = BEGIN_US + ((self.sent + FRAME) * 125) as i64;
            out.extend([1, 2]);
            out.extend((FRAME as u16).to_le_bytes());
            out.extend([0; 4]);
            out.extend(utc.to_le_bytes());
            let at = self.sent % self.signal.len();
            out.extend(self.signal[at..at + FRAME].iter().flatten().flat_map(|c| c.to_le_bytes()));
            self.sent += FRAME;
        }
        let mut page = [0; PAGE];
        self.end.emit(&mut page);
        out.push(2);
        out.extend([0; 15]);
        out.extend(page);
        self.input.write_all(&out).unwrap();
        let answer = self.pages.recv_timeout(PATIENCE).expect("no page from the program");
        self.end.receive(&answer).unwrap()
    }

    fn meet(&mut self) -> Hello {
        for _ in 0..EXCHANGES {
            if let Received::Hello(hello) = self.exchange() {
                return hello;
            }
        }
        panic!("no hello");
    }

    fn run_until(&mut self, done: impl Fn(&Billing) -> bool) -> Billing {
        for _ in 0..EXCHANGES {
            if let Received::Billing(billing) = self.exchange()
                && done(&billing)
            {
                return billing;
            }
        }
        panic!("the windows do not come");
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // `timeout` leads a process group, with QEMU in it: both go at once, as when power fails.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
        // Its output ends with it; then nobody writes the memory file any more.
        while self.pages.recv_timeout(PATIENCE).is_ok() {}
    }
}
