//! The thread that owns the file. It tells the meter thread what is committed, and whether there is a file at all.
//!
//! | trouble | what happens |
//! |---|---|
//! | disk full, file locked by a stranger | the reports at hand wait and are tried again each second |
//! | file damaged | moved aside, begun anew; what the coprocessor still holds comes again |
//! | I/O error, anything else | the file is closed and opened anew after a pause; until then no reports are asked for |
//!
//! Reports that were at hand when the file was closed are dropped: they are not acknowledged, so they come again.
//!
//! In no case does the process end, and the meter thread never waits: what may be uncommitted is bounded by the link.

use super::store::{Arrived, Place, Telemetry};
use meter_kit::store::writer::{Trouble, trouble};
use meter_kit::wake::Wake;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Reports on their way to the thread. The link gives at most [`metrology_link::host::AHEAD`] (64) that are not committed;
/// each time the file is opened they come again, while those of before may still stand in the queue for a moment.
const QUEUE: usize = 4 * 64;
/// Reports of one transaction at most.
const BATCH: usize = 64;
/// How long reports are gathered for one transaction: a waveform comes in bursts, and flash counts transactions. Half of
/// the link's 64 arrive in it.
const GATHER: Duration = Duration::from_millis(150);
/// Pause before a full disk is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Pause before a file that failed is opened again; it doubles up to [`REOPEN_MAX`].
const REOPEN: Duration = Duration::from_secs(5);
/// See [`REOPEN`].
const REOPEN_MAX: Duration = Duration::from_secs(600);

/// What the meter thread and the health report see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Grows each time the file is opened; 0 = never was.
    pub opened: u64,
    /// There is a file to write to.
    pub open: bool,
    /// What is committed in it; `None` before the first report.
    pub place: Option<Place>,
    /// Reports committed since the start.
    pub committed: u64,
    /// What is wrong, in words.
    pub trouble: Option<String>,
}

/// Both threads' end of [`State`].
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// A report did not fit into the queue: open anew, so that it comes again.
    overrun: AtomicBool,
    wake: Wake,
}

impl Shared {
    fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.wake.wake();
    }
}

/// The running thread. Ends, with what it was given committed if the disk lets it, when dropped.
#[derive(Debug)]
pub struct Keeper {
    sender: Option<SyncSender<Arrived>>,
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread; it opens the file in `folder` by itself. `wake` is what the meter thread sleeps on.
    ///
    /// # Errors
    /// The system refuses another thread.
    pub fn spawn(folder: &Path, wake: Wake) -> std::io::Result<Keeper> {
        let shared = Arc::new(Shared { state: Mutex::default(), overrun: AtomicBool::new(false), wake });
        let (sender, receiver) = sync_channel(QUEUE);
        let (folder, told) = (folder.to_owned(), shared.clone());
        let work = Work { folder, shared: told, receiver, pending: Vec::new(), opened: 0, ended: false };
        let thread = std::thread::Builder::new().name("telemetry".into()).spawn(move || work.run())?;
        Ok(Keeper { sender: Some(sender), shared, thread: Some(thread) })
    }

    /// Hands in a report. With no room in the queue, which the bounds make impossible, the file is opened anew, so that
    /// it is asked for again.
    pub fn send(&self, report: Arrived) {
        let sent = self.sender.as_ref().is_some_and(|sender| sender.try_send(report).is_ok());
        if !sent {
            self.shared.overrun.store(true, Ordering::Relaxed);
        }
    }

    /// What is committed, and how the file is.
    pub fn state(&self) -> State {
        self.shared.state()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

struct Work {
    folder: PathBuf,
    shared: Arc<Shared>,
    receiver: Receiver<Arrived>,
    /// At hand, not committed yet.
    pending: Vec<Arrived>,
    opened: u64,
    ended: bool,
}

/// Why the file was left.
enum Left {
    /// Nobody will send any more.
    Ended,
    /// It failed: open it again after a pause.
    Failed,
    /// Open it again at once: it is damaged, and marked so that it is moved aside; or the numbers have to begin anew.
    Again,
}

impl Work {
    fn run(mut self) {
        let mut pause = REOPEN;
        while !self.ended {
            match Telemetry::open(&self.folder) {
                Ok((file, notices)) => {
                    notices.iter().for_each(|notice| log::info!("telemetry: {notice}"));
                    let place = file.place();
                    self.pending.clear();
                    self.opened += 1;
                    let opened = self.opened;
                    self.shared.change(|state| {
                        (state.open, state.opened, state.place, state.trouble) = (true, opened, place, None);
                    });
                    match self.keep(file) {
                        Left::Ended => return,
                        Left::Again => {}
                        Left::Failed => {
                            pause = REOPEN;
                            self.wait(pause);
                        }
                    }
                }
                Err(e) => {
                    log::error!("telemetry: {e}; metering goes on without");
                    self.shared.change(|state| (state.open, state.trouble) = (false, Some(e.to_string())));
                    self.wait(pause);
                    pause = (2 * pause).min(REOPEN_MAX);
                }
            }
        }
    }

    /// Waits without a file. What still comes is dropped.
    fn wait(&mut self, pause: Duration) {
        let until = Instant::now() + pause;
        loop {
            match self.receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => {
                    self.ended = true;
                    return;
                }
            }
        }
    }

    /// Commits what comes until the file fails or nobody sends any more.
    fn keep(&mut self, mut file: Telemetry) -> Left {
        loop {
            if self.shared.overrun.swap(false, Ordering::Relaxed) {
                log::error!("telemetry: the queue was full");
                return Left::Again;
            }
            if self.pending.is_empty() {
                match self.receiver.recv() {
                    Ok(report) => self.take(report),
                    Err(_) => return Left::Ended,
                }
                self.gather();
                continue;
            }
            match file.store(&self.pending) {
                Ok(()) => {
                    let place = file.place();
                    let count = self.pending.len() as u64;
                    self.pending.clear();
                    self.shared.change(|state| {
                        (state.place, state.trouble) = (place, None);
                        state.committed += count;
                    });
                }
                Err(e) => match trouble(&e) {
                    Trouble::Full | Trouble::Busy => {
                        self.complain(&e, true);
                        if self.ended {
                            return Left::Ended;
                        }
                        std::thread::sleep(RETRY);
                    }
                    Trouble::Corrupt => {
                        file.database().mark_suspect();
                        self.complain(&e, false);
                        return Left::Again;
                    }
                    Trouble::Io | Trouble::Fault => {
                        self.complain(&e, false);
                        return Left::Failed;
                    }
                },
            }
        }
    }

    /// Takes what comes within [`GATHER`].
    fn gather(&mut self) {
        let until = Instant::now() + GATHER;
        while self.pending.len() < BATCH && !self.ended {
            match self.receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(report) => self.take(report),
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => self.ended = true,
            }
        }
    }

    /// What was asked for before this opening comes again.
    fn take(&mut self, report: Arrived) {
        if report.opened == self.opened {
            self.pending.push(report);
        }
    }

    fn complain(&self, error: &rusqlite::Error, open: bool) {
        let text = error.to_string();
        self.shared.change(|state| {
            if state.trouble.as_ref() != Some(&text) {
                log::error!("telemetry: {text}; metering goes on without");
            }
            (state.open, state.trouble) = (open, Some(text));
        });
    }
}
