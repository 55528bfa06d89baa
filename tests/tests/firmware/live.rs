//! The whole coprocessor as an ARM program, and the host on the other end of its link.

use crate::arm;
use crate::signal::{self, Sample};
use metrology_dsp::coprocessor::NV_BYTES;
use metrology_link::host::{HostEnd, Received};
use metrology_link::payload::{
    Authority, Billing, Calibration, Command as Order, Hello, MeterConfig, ReplyStatus, SignedCalibration,
};
use metrology_link::stream::PageReader;
use metrology_link::{PAGE, Page};
use metrology_sim::laboratory::sign;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Statics and the stack at its highest, in each mode, stay within the RAM of the real part. The live run has a start
/// with empty and with filled memory, dips, all streams, writes of configuration, and of a calibration with a false and with
/// the laboratory's signature: the second start verifies that once more.
#[test]
fn the_program_runs_in_96_kib_of_ram() {
    let Some(program) = arm::program("the_program_runs_in_96_kib_of_ram") else { return };
    let sizes = arm::sizes(&program);
    eprintln!("flash {} bytes, statics {} bytes (link map)", sizes.flash, sizes.statics);
    let total = |mode: &str, stack: usize| {
        let total = sizes.statics + stack;
        eprintln!("{mode}: stack {stack} bytes, RAM {total} of {} bytes", arm::RAM);
        assert!(total < arm::RAM, "{mode}: {total} bytes");
    };
    let dir = tempfile::tempdir().unwrap();
    for rate_hz in [8000, 32_000] {
        let config = MeterConfig { rate_hz, ..MeterConfig::default() };
        let samples = signal::three_phases(f64::from(rate_hz), rate_hz as usize * 2);
        arm::write(dir.path(), &config, &Calibration::default(), &samples);
        for mode in ["vector", "quality"] {
            total(mode, arm::run(&program, dir.path(), mode, &[], false).1);
        }
    }
    let memory = dir.path().join("memory");
    fs::write(&memory, vec![0; NV_BYTES + 4096]).unwrap();
    for start in 0..2 {
        let mut board = Board::start(&program, &memory);
        board.dips = true;
        let device_id = board.meet().device_id;
        board.end.resume(0, 1);
        let calibration = Calibration { ident: 5 + start, device_id, ..Calibration::default() };
        let signed = sign(&calibration);
        let forged = SignedCalibration { calibration: Calibration { ident: 9, ..calibration }, ..signed };
        let config = MeterConfig { start_mw: 3000, ..MeterConfig::default() };
        for (order, status) in [
            (Order::Subscribe { mask: 0xFF }, ReplyStatus::Done),
            (Order::WriteConfig(config, Authority::SealOpen), ReplyStatus::Done),
            (Order::WriteCalibration(forged, Authority::SealOpen), ReplyStatus::NotAuthorised),
            (Order::WriteCalibration(signed, Authority::SealOpen), ReplyStatus::Done),
            (Order::WriteConfig(MeterConfig::default(), Authority::SealOpen), ReplyStatus::Done),
            (Order::ReadHeads, ReplyStatus::Done),
        ] {
            board.end.submit(order).unwrap();
            let mut answers = Vec::new();
            for _ in 0..100 {
                if let Received::Reply(reply) = board.exchange() {
                    answers.push(reply.status);
                }
            }
            assert_eq!(answers, [status], "{order:?}");
        }
        assert_eq!(board.end.pending(), 0, "all was answered");
        total("live", board.finish());
    }
}

/// The whole coprocessor as an ARM program: it says hello, counts what the signal says, and keeps its counters in its
/// memory file when it is killed.
#[test]
fn the_arm_coprocessor_serves_a_host_and_keeps_its_counters_when_killed() {
    let Some(program) = arm::program("the_arm_coprocessor_serves_a_host_and_keeps_its_counters_when_killed") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let memory = dir.path().join("memory");
    fs::write(&memory, vec![0; NV_BYTES]).unwrap();

    let mut board = Board::start(&program, &memory);
    let first = board.meet();
    assert!(first.memory_reset, "an empty memory is told");
    assert_eq!((first.boots, first.rate_hz), (1, 8000));
    let image: [u8; 32] = Sha256::digest(arm::loaded(&program)).into();
    assert_eq!(first.firmware_id, image, "the program names itself by its hash");
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
    /// There until the end.
    input: Option<ChildStdin>,
    pages: Receiver<Page>,
    end: HostEnd,
    signal: Vec<Sample>,
    sent: usize,
    /// The voltages fall by half for one second of four.
    dips: bool,
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
            .stderr(Stdio::piped())
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
        let signal = signal::three_phases(8000.0, 80_000);
        Board { child, input: Some(input), pages, end: HostEnd::new(), signal, sent: 0, dips: false }
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
            let dip = self.dips && self.sent / 8000 % 4 == 3;
            for sample in &self.signal[at..at + FRAME] {
                for (k, count) in sample.iter().enumerate() {
                    let count = if dip && k < 3 { count / 2 } else { *count };
                    out.extend(count.to_le_bytes());
                }
            }
            self.sent += FRAME;
        }
        let mut page = [0; PAGE];
        self.end.emit(&mut page);
        out.push(2);
        out.extend([0; 15]);
        out.extend(page);
        self.input.as_mut().unwrap().write_all(&out).unwrap();
        let answer = self.pages.recv_timeout(PATIENCE).expect("no page from the program");
        self.end.receive(&answer).unwrap()
    }

    /// Ends the signal, and gives what the program says of its stack.
    fn finish(mut self) -> usize {
        self.input = None;
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        arm::stack(&said)
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
