//! The real coprocessor program under QEMU, in place of the virtual coprocessor: this module is its front end, its clock
//! and its wire.
//!
//! One thread, one loop. The world's samples go into QEMU's standard input in frames of 5 ms, paced by the clock; a
//! host's pages, taken from the unix socket, go the same way in between; what the program sends over its UART comes out of
//! QEMU's standard output and goes to the host as it is. The frames are described with the program (firmware, board
//! `qemu_an386`, mode `live`).
//!
//! The program's board has a memory file, a clock and the scenario's inputs. It has no breaker that moves, no pulses, no
//! faults of the link, no control socket, and its supply is a separate one: for those there is the virtual coprocessor.
//!
//! QEMU ends when its input does, so it ends with this process, however that ends.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use metrology_dsp::coprocessor::NV_BYTES;
use metrology_link::codec::{Wire, encode};
use metrology_link::payload::{ClockQuality, Inputs};
use metrology_link::stream::{DOORBELL, PAGE_TIMEOUT_MS, PageReader};
use metrology_link::{PAGE, Page};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::SimError;
use crate::bench::IMAGE_ROOM;
use crate::board::input_bit;
use crate::grid::running;
use crate::scenario::InputEvent;
use crate::virtual_coprocessor::{Socket, VirtualOptions};
use crate::world::{World, WorldOptions};

/// The emulator's program.
const QEMU: &str = "qemu-system-arm";
/// Fastest pace. The program itself does 200 times real time; a host that must get every page does not.
pub const SPEED_LIMIT: f64 = 20.0;
/// Frames per second of signal: 5 ms each.
const FRAMES_PER_SECOND: f64 = 200.0;
/// Kinds of frames.
const KIND_SAMPLES: u8 = 1;
const KIND_PAGE: u8 = 2;
/// A program that takes nothing for so long hangs.
const HANG: Duration = Duration::from_secs(10);
/// Time to end by itself after its input ended.
const END_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest sleep: how fast the stop flag is seen.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);
/// A delay above this (a suspended process, a machine that is too slow) is forgotten instead of made up for.
const FORGET_DELAY: Duration = Duration::from_secs(1);
/// Bytes for a host that does not read: more than the page under way and its doorbells is of no use to it.
const BACKLOG: usize = 4 * PAGE;

/// Runs the program under QEMU until `stop` is set or an error ends it.
///
/// # Errors
/// See [`SimError`]: options that this coprocessor does not have, files and sockets, and QEMU's end.
pub fn run(options: VirtualOptions, program: &Path, stop: &AtomicBool) -> Result<(), SimError> {
    if !(options.speed > 0.0 && options.speed <= SPEED_LIMIT) {
        return Err(SimError::Option(format!("speed {}: QEMU runs at up to {SPEED_LIMIT}", options.speed)));
    }
    if options.control.is_some() {
        return Err(SimError::Option("the coprocessor under QEMU has no control socket".into()));
    }
    if !program.is_file() {
        return Err(SimError::Qemu(format!("{}: no such program; build the firmware first", program.display())));
    }
    let world = WorldOptions {
        meter_type: options.meter_type,
        scenario: options.scenario.clone(),
        waveform: options.waveform.clone(),
        seed: options.seed,
    };
    let world = World::new(&world, options.start.unwrap_or_else(crate::nvfile::wall_us))?;
    let memory = |source| SimError::MemoryWrite { path: options.nv.clone(), source };
    let factory = prepare(&options, &world).map_err(memory)?;
    let socket = Socket::listen(&options.socket)?;
    let qemu = Qemu::start(program, &options.nv, &factory)?;
    let mut relay = Relay {
        inputs: options.scenario.inputs.clone(),
        path: options.socket,
        world,
        socket,
        qemu,
        host: None,
        begun: Instant::now(),
        sent_s: 0.0,
        speed: options.speed,
    };
    while !stop.load(Ordering::Relaxed) {
        relay.turn()?;
    }
    Ok(())
}

/// Makes the memory file and the factory's file beside it, and gives the latter's name.
fn prepare(options: &VirtualOptions, world: &World) -> io::Result<PathBuf> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(&options.nv)?;
    let size = (NV_BYTES + IMAGE_ROOM) as u64;
    if file.metadata()?.len() < size {
        file.set_len(size)?;
    }
    let mut bytes = Vec::new();
    structure(world.config(), &mut bytes);
    structure(&world.calibration(&options.scenario), &mut bytes);
    let factory = options.nv.with_extension("factory");
    fs::write(&factory, bytes)?;
    Ok(factory)
}

fn structure<T: Wire>(value: &T, out: &mut Vec<u8>) {
    let mut bytes = vec![0; T::LEN];
    let length = encode(value, &mut bytes);
    out.extend((length as u16).to_le_bytes());
    out.extend(bytes.iter().take(length));
}

struct Qemu {
    child: Child,
    /// Always there until the end.
    input: Option<ChildStdin>,
    output: ChildStdout,
    /// What the pipe has not taken yet, and since when it takes nothing.
    pending: Vec<u8>,
    stuck: Instant,
}

impl Qemu {
    fn start(program: &Path, nv: &Path, factory: &Path) -> Result<Qemu, SimError> {
        // The words of the program's command line are split at blanks, those of QEMU's at commas.
        for path in [nv, factory] {
            if path.to_string_lossy().contains([' ', ',']) {
                return Err(SimError::Qemu(format!("{}: a path with blanks or commas", path.display())));
            }
        }
        let semihosting =
            format!("enable=on,target=native,arg=live,arg=/dev/stdin,arg={},arg={}", nv.display(), factory.display());
        let mut child = Command::new(QEMU)
            .args(["-M", "mps2-an386", "-display", "none", "-monitor", "none"])
            .args(["-chardev", "file,id=link,path=/dev/stdout", "-serial", "chardev:link"])
            .args(["-semihosting-config", &semihosting, "-kernel"])
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| SimError::Qemu(format!("cannot start {QEMU}: {e}")))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(SimError::Qemu("no pipes".into()));
        };
        for pipe in [rustix::fd::AsFd::as_fd(&input), rustix::fd::AsFd::as_fd(&output)] {
            fcntl_getfl(pipe)
                .and_then(|flags| fcntl_setfl(pipe, flags | OFlags::NONBLOCK))
                .map_err(|e| SimError::Qemu(format!("pipe: {e}")))?;
        }
        Ok(Qemu { child, input: Some(input), output, pending: Vec::new(), stuck: Instant::now() })
    }

    /// Writes what the pipe takes.
    fn flush(&mut self) -> Result<(), SimError> {
        while let (false, Some(input)) = (self.pending.is_empty(), &mut self.input) {
            match input.write(&self.pending) {
                Ok(n) => {
                    self.pending.drain(..n);
                    self.stuck = Instant::now();
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if self.stuck.elapsed() > HANG {
                        return Err(SimError::Qemu("it takes no more samples".into()));
                    }
                    break;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(SimError::Qemu(format!("it ended: {e}"))),
            }
        }
        Ok(())
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.input = None;
        let since = Instant::now();
        while since.elapsed() < END_TIMEOUT {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // Whatever comes of it, there is nothing more to be done.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Host {
    stream: UnixStream,
    reader: PageReader,
    partial_since: Option<Instant>,
    out: Vec<u8>,
}

struct Relay {
    world: World,
    inputs: Vec<InputEvent>,
    path: PathBuf,
    socket: Socket,
    qemu: Qemu,
    host: Option<Host>,
    /// Real time of the first sample.
    begun: Instant,
    /// Signal sent since then, s.
    sent_s: f64,
    speed: f64,
}

impl Relay {
    fn turn(&mut self) -> Result<(), SimError> {
        let behind = self.begun.elapsed().as_secs_f64() * self.speed - self.sent_s;
        if behind > FORGET_DELAY.as_secs_f64() * self.speed {
            self.begun = Instant::now();
            self.sent_s = 0.0;
        }
        // A pipe that is full gets nothing on top.
        let mut sleep = LONGEST_SLEEP;
        if self.qemu.pending.is_empty() {
            if behind >= 0.0 {
                self.samples();
                sleep = Duration::ZERO;
            } else {
                sleep = sleep.min(Duration::from_secs_f64(-behind / self.speed));
            }
        }
        self.qemu.flush()?;
        self.wait(sleep)?;
        self.hear()?;
        self.serve();
        self.qemu.flush()
    }

    /// The next frame of samples.
    fn samples(&mut self) {
        let most = (self.world.rate() / FRAMES_PER_SECOND) as u32;
        let stretch = self.world.begin(most, true, true);
        let t = self.world.elapsed_s();
        let mut levels = Inputs::APS | if self.world.config().breaker { Inputs::BREAKER_CLOSED } else { 0 };
        for input in &self.inputs {
            if let Some(bit) = input_bit(input.input)
                && running(input.at, input.every, input.duration, t)
            {
                levels |= bit;
            }
        }
        let out = &mut self.qemu.pending;
        out.extend([KIND_SAMPLES, ClockQuality::Valid as u8]);
        out.extend((stretch.samples as u16).to_le_bytes());
        out.extend(levels.to_le_bytes());
        out.extend(self.world.utc_us().to_le_bytes());
        for _ in 0..stretch.samples {
            out.extend(self.world.sample().into_iter().flat_map(i32::to_le_bytes));
        }
        self.sent_s += f64::from(stretch.samples) / self.world.rate();
    }

    fn wait(&self, time: Duration) -> Result<(), SimError> {
        let mut fds =
            vec![PollFd::new(&self.socket.listener, PollFlags::IN), PollFd::new(&self.qemu.output, PollFlags::IN)];
        if let (false, Some(input)) = (self.qemu.pending.is_empty(), &self.qemu.input) {
            fds.push(PollFd::new(input, PollFlags::OUT));
        }
        if let Some(host) = &self.host {
            let more = if host.out.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
            fds.push(PollFd::new(&host.stream, PollFlags::IN | more));
        }
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(time.subsec_nanos()) };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(SimError::Socket { path: self.path.clone(), source: e.into() }),
        }
    }

    /// What the program said, for the host if there is one.
    fn hear(&mut self) -> Result<(), SimError> {
        let mut bytes = [0; BACKLOG];
        match self.qemu.output.read(&mut bytes) {
            Ok(0) => Err(SimError::Qemu("it ended by itself".into())),
            Ok(n) => {
                if let Some(host) = self.host.as_mut().filter(|h| h.out.len() <= BACKLOG) {
                    host.out.extend(bytes.iter().take(n));
                }
                Ok(())
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(()),
            Err(e) => Err(SimError::Qemu(format!("its output: {e}"))),
        }
    }

    fn serve(&mut self) {
        if let Some(mut host) = self.host.take()
            && host.serve(&mut self.qemu.pending)
        {
            self.host = Some(host);
        }
        while let Ok((stream, _)) = self.socket.listener.accept() {
            if self.host.is_some() || stream.set_nonblocking(true).is_err() {
                // One host at a time: the second is hung up on.
                continue;
            }
            // Whatever was armed before, nobody was told.
            self.host = Some(Host { stream, reader: PageReader::new(), partial_since: None, out: vec![DOORBELL] });
        }
    }
}

impl Host {
    /// Moves bytes both ways; false when the host is gone.
    fn serve(&mut self, to_qemu: &mut Vec<u8>) -> bool {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(0) => return false,
                Ok(n) => drop(self.out.drain(..n)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        let mut chunk = [0; BACKLOG];
        // A host whose pages the program does not take must wait: the pipe holds some 60 of them.
        while to_qemu.len() < BACKLOG {
            match self.stream.read(&mut chunk) {
                Ok(0) => return false,
                Ok(n) => {
                    let mut bytes = chunk.get(..n).unwrap_or(&[]);
                    while let (false, Some(page)) = (bytes.is_empty(), self.reader.push(&mut bytes)) {
                        page_frame(&page, to_qemu);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        // A page that does not end belongs to nothing: begin anew.
        match (self.reader.is_partial(), self.partial_since) {
            (false, _) => self.partial_since = None,
            (true, None) => self.partial_since = Some(Instant::now()),
            (true, Some(since)) if since.elapsed() > Duration::from_millis(PAGE_TIMEOUT_MS) => {
                self.reader.reset();
                self.partial_since = None;
            }
            (true, Some(_)) => {}
        }
        true
    }
}

fn page_frame(page: &Page, out: &mut Vec<u8>) {
    out.push(KIND_PAGE);
    out.extend([0; 15]);
    out.extend(page);
}
