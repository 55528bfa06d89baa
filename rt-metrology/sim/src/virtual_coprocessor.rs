//! The virtual coprocessor as a process: [`InProcess`] behind a unix socket, paced by the clock, with a control socket.
//!
//! One thread, one loop: step the world as far as the pace allows, answer the host, answer the controls, sleep in
//! `poll`. The host's side of the socket is the stop-and-wait framing of [`metrology_link::stream`]; faults are injected
//! between socket and coprocessor, each direction by its own seeded injector. Metering goes on whether a host is
//! connected or not, and while the link is silent.
//!
//! **Pace.** At speed N, simulated time follows real time times N; at speed 0 it runs as fast as it can. Faster than
//! real time, an attached host that still exchanges pages is never outrun by more than [`BACKLOG_S`]. A host that is
//! silent for [`HOST_SILENCE`] or gone does not hold anything up.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use metrology_link::stream::{DOORBELL, PAGE_TIMEOUT_MS, PageReader};
use metrology_link::{PAGE, Page};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::SimError;
use crate::bench::InProcess;
use crate::control::{Control, Verdict};
use crate::fault::{FaultInjector, FaultRates};
use crate::meter_type::MeterType;
use crate::scenario::Scenario;
use crate::waveform::WaveformSource;
use crate::world::WorldOptions;

/// Simulated time an attached host may be behind, s. Ten windows: far below the two hours of the history ring, enough
/// that the host's round trip does not slow the simulation.
pub const BACKLOG_S: f64 = 2.0;
/// A host that sends nothing for so long no longer holds up the simulation. registerd exchanges at least once a second.
pub const HOST_SILENCE: Duration = Duration::from_secs(2);
/// Exchanges after which a host that never drains everything has earned the next step: more than the 12 commands, one
/// billing page and the few records that a window can bring.
const EXCHANGES_PER_STEP: u32 = 64;
/// Longest sleep: how fast the stop flag is seen.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);
/// Faster than real time, a delay (a suspended process) above this is forgotten instead of made up for.
const FORGET_DELAY: Duration = Duration::from_secs(1);
/// Steps between two looks at the sockets. At 60 µs a step, a host waits 0.5 ms at most.
const STEPS_PER_TURN: u32 = 8;
/// Bytes read from the host at once: the stop-and-wait host has one page under way, a faulty one a few.
const READ_CHUNK: usize = 4 * PAGE;

/// How to run a virtual coprocessor.
#[derive(Clone, Debug)]
pub struct VirtualOptions {
    /// Unix socket on which the host is served. A stale one is replaced.
    pub socket: PathBuf,
    /// Unix socket for control commands (see the crate's page), if any.
    pub control: Option<PathBuf>,
    /// Memory file; created when it is not there.
    pub nv: PathBuf,
    /// Kind of meter.
    pub meter_type: MeterType,
    /// What happens.
    pub scenario: Scenario,
    /// A recorded grid in place of the scenario's.
    pub waveform: Option<WaveformSource>,
    /// Simulated seconds per second; 0 = as fast as possible.
    pub speed: f64,
    /// Seed of everything random.
    pub seed: u64,
    /// UTC at which a new world begins, µs; absent: now. An existing memory file knows its own time.
    pub start: Option<i64>,
    /// Faults of the link, both directions.
    pub faults: FaultRates,
}

/// Runs until `stop` is set, the control command `stop` comes, or an error ends it. The sockets are removed at the end.
///
/// # Errors
/// See [`SimError`]. A running coprocessor only fails when its memory file does or polling does.
pub fn run(options: VirtualOptions, stop: &AtomicBool) -> Result<(), SimError> {
    if !(options.speed.is_finite() && options.speed >= 0.0) {
        return Err(SimError::Option(format!("speed {} is not a number from 0 up", options.speed)));
    }
    let pace = if options.speed > 0.0 { options.speed } else { 1.0 };
    let world = WorldOptions {
        meter_type: options.meter_type,
        scenario: options.scenario.clone(),
        waveform: options.waveform.clone(),
        seed: options.seed,
    };
    // The memory file's lock comes first: whoever holds it owns the sockets too.
    let device = InProcess::with_file(&world, &options.nv, options.start, pace)?;
    let host = Socket::listen(&options.socket)?;
    let control = options.control.as_deref().map(Socket::listen).transpose()?;
    let mut server = Server {
        device,
        host,
        connection: None,
        link: Link {
            inbound: FaultInjector::new(options.faults, options.seed ^ 0x1B),
            outbound: FaultInjector::new(options.faults, options.seed ^ 0x0B),
            silent_until: None,
            exchanges: 0,
        },
        control: Control::new(control),
        pacer: Pacer::new(options.speed),
        nv: options.nv,
    };
    server.run(stop)
}

/// A listening socket that is removed with its owner.
#[derive(Debug)]
pub(crate) struct Socket {
    pub listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    pub(crate) fn listen(path: &Path) -> Result<Socket, SimError> {
        let fail = |source| SimError::Socket { path: path.to_owned(), source };
        use std::os::unix::fs::FileTypeExt;
        if std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket()) {
            // A socket nobody listens on is left over from a killed process.
            if UnixStream::connect(path).is_ok() {
                return Err(fail(io::Error::new(io::ErrorKind::AddrInUse, "another process listens on it")));
            }
            std::fs::remove_file(path).map_err(fail)?;
        }
        let listener = UnixListener::bind(path).map_err(fail)?;
        listener.set_nonblocking(true).map_err(fail)?;
        Ok(Socket { listener, path: path.to_owned() })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Gone already is as good; anything else shows at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The faulty wire.
#[derive(Debug)]
pub(crate) struct Link {
    pub inbound: FaultInjector,
    pub outbound: FaultInjector,
    /// Nothing passes until then.
    pub silent_until: Option<Instant>,
    /// Exchanges so far.
    pub exchanges: u64,
}

impl Link {
    fn silent(&mut self) -> bool {
        if self.silent_until.is_some_and(|until| Instant::now() >= until) {
            self.silent_until = None;
        }
        self.silent_until.is_some()
    }
}

/// The host that is connected.
#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    reader: PageReader,
    partial_since: Option<Instant>,
    heard: Instant,
    /// The doorbell was rung for the page that is armed.
    rung: bool,
    /// Bytes the socket has not taken yet. At most two pages and a doorbell: nothing is read while it is not empty.
    out: Vec<u8>,
}

/// Relates simulated to real time.
#[derive(Debug)]
struct Pacer {
    speed: f64,
    since: Instant,
    sim_since: f64,
    /// Simulated time at which the host had everything.
    drained_at: f64,
    exchanges: u32,
}

enum Pace {
    Step,
    Wait(Duration),
}

impl Pacer {
    fn new(speed: f64) -> Pacer {
        Pacer { speed, since: Instant::now(), sim_since: 0.0, drained_at: 0.0, exchanges: 0 }
    }

    /// `now` in simulated seconds of this run; `waiting` = an attached host still exchanges pages.
    fn next(&mut self, now: f64, waiting: bool) -> Pace {
        let faster = self.speed == 0.0 || self.speed > 1.0;
        if faster && waiting && now - self.drained_at >= BACKLOG_S && self.exchanges < EXCHANGES_PER_STEP {
            self.anchor(now);
            return Pace::Wait(LONGEST_SLEEP);
        }
        if self.speed == 0.0 {
            return Pace::Step;
        }
        let target = self.sim_since + self.since.elapsed().as_secs_f64() * self.speed;
        if now >= target {
            return Pace::Wait(Duration::from_secs_f64(((now - target) / self.speed).min(1.0)));
        }
        if faster && Duration::from_secs_f64((target - now) / self.speed) > FORGET_DELAY {
            self.anchor(now);
        }
        Pace::Step
    }

    fn anchor(&mut self, now: f64) {
        self.since = Instant::now();
        self.sim_since = now;
    }
}

struct Server {
    device: InProcess,
    host: Socket,
    connection: Option<Connection>,
    link: Link,
    control: Control,
    pacer: Pacer,
    nv: PathBuf,
}

impl Server {
    fn run(&mut self, stop: &AtomicBool) -> Result<(), SimError> {
        let begun = self.device.world().utc_us();
        let most = (self.device.world().rate() / 100.0) as u32;
        while !stop.load(Ordering::Relaxed) {
            let mut sleep = Duration::ZERO;
            for _ in 0..STEPS_PER_TURN {
                let now = (self.device.world().utc_us() - begun) as f64 / 1e6;
                let waiting = self.connection.as_ref().is_some_and(|c| c.heard.elapsed() < HOST_SILENCE);
                match self.pacer.next(now, waiting) {
                    Pace::Step => {
                        // Real time goes in steps of 10 ms, so that a window is not seen 20 ms late.
                        self.device.step(if self.pacer.speed == 1.0 { most } else { 2 * most });
                        self.pacer.exchanges = 0;
                        if !self.device.data_ready() {
                            self.pacer.drained_at = now;
                        }
                    }
                    Pace::Wait(time) => {
                        sleep = time.min(LONGEST_SLEEP);
                        break;
                    }
                }
                self.ring();
            }
            self.wait(sleep)?;
            self.serve_host();
            if self.control.serve(&mut self.device, &mut self.link) == Verdict::Stop {
                break;
            }
            let now = (self.device.world().utc_us() - begun) as f64 / 1e6;
            if !self.device.data_ready() {
                self.pacer.drained_at = now;
            }
            if let Some(source) = self.device.hardware().borrow_mut().nv.take_error() {
                return Err(SimError::MemoryWrite { path: self.nv.clone(), source });
            }
        }
        self.device.store();
        Ok(())
    }

    /// Sleeps until a socket has something to say.
    fn wait(&self, time: Duration) -> Result<(), SimError> {
        let mut fds = vec![PollFd::new(&self.host.listener, PollFlags::IN)];
        if let Some(c) = &self.connection {
            let wanted = if c.out.is_empty() { PollFlags::IN } else { PollFlags::OUT };
            fds.push(PollFd::new(&c.stream, wanted));
        }
        self.control.poll_fds(&mut fds);
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(time.subsec_nanos()) };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(SimError::Socket { path: self.host.path.clone(), source: e.into() }),
        }
    }

    fn serve_host(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && self.serve(&mut connection)
        {
            self.connection = Some(connection);
        }
        // A connection that ended above makes room for the next one at once.
        while let Ok((stream, _)) = self.host.listener.accept() {
            if self.connection.is_some() || stream.set_nonblocking(true).is_err() {
                // One host at a time: the second is hung up on.
                continue;
            }
            self.connection = Some(Connection {
                stream,
                reader: PageReader::new(),
                partial_since: None,
                heard: Instant::now(),
                rung: false,
                out: Vec::new(),
            });
            log::debug!("host connected");
        }
        self.ring();
    }

    /// Serves the host; false when it is gone.
    fn serve(&mut self, c: &mut Connection) -> bool {
        if !c.flush() {
            return false;
        }
        let mut chunk = [0; READ_CHUNK];
        while c.out.is_empty() {
            let n = match c.stream.read(&mut chunk) {
                Ok(0) => return false,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return false,
            };
            c.heard = Instant::now();
            let mut bytes = &chunk[..n];
            while !bytes.is_empty() {
                let Some(page) = c.reader.push(&mut bytes) else { break };
                if !self.link.silent() {
                    self.exchange(c, &page);
                }
            }
            if !c.flush() {
                return false;
            }
        }
        // A page that does not end belongs to nothing: begin anew.
        let timeout = Duration::from_millis(PAGE_TIMEOUT_MS);
        match (c.reader.is_partial(), c.partial_since) {
            (false, _) => c.partial_since = None,
            (true, None) => c.partial_since = Some(Instant::now()),
            (true, Some(since)) if since.elapsed() > timeout => {
                c.reader.reset();
                c.partial_since = None;
            }
            (true, Some(_)) => {}
        }
        true
    }

    /// One page from the host, through both directions of the faulty wire.
    fn exchange(&mut self, c: &mut Connection, page: &Page) {
        let delivery = self.link.inbound.pass(page);
        for piece in delivery.pieces() {
            // The beginning of a page is given up by the coprocessor after its timeout: it answers nothing.
            let Ok(whole) = Page::try_from(piece) else { continue };
            let Some(answer) = self.device.exchange(&whole) else { continue };
            self.link.exchanges += 1;
            self.pacer.exchanges += 1;
            for piece in self.link.outbound.pass(&answer).pieces() {
                c.out.extend_from_slice(piece);
            }
        }
        // The line fell with the exchange; it rises again when another page is armed.
        c.rung = false;
    }

    /// Rings when a page is armed and the host has not been told.
    fn ring(&mut self) {
        let ready = self.device.data_ready();
        let Some(c) = &mut self.connection else { return };
        if !ready {
            c.rung = false;
        } else if !c.rung && c.out.is_empty() && !self.link.silent() {
            c.out.push(DOORBELL);
            c.rung = true;
            // A host that is gone is noticed by the next read.
            c.flush();
        }
    }
}

impl Connection {
    /// Writes what the socket takes; false when the host is gone.
    fn flush(&mut self) -> bool {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(0) => return false,
                Ok(n) => {
                    self.out.drain(..n);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return true,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}
