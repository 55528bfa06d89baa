//! The one writer: a thread that owns the database, fed through a bounded queue.
//!
//! Writes are committed in the order in which they came, several in one transaction when several wait. What happens
//! when the disk does not cooperate:
//!
//! | trouble | what the writer does |
//! |---|---|
//! | disk full, file locked by a stranger | keeps the work, tells [`Health`], tries again each second; when the queue is full, [`Handle::write`] blocks and [`Handle::try_write`] gives the work back |
//! | I/O or sync error | aborts the process: after a failed sync nobody knows what is on the disk |
//! | corruption | leaves a marker, so that the next start moves the file aside, and aborts |
//! | anything else (a fault of this program) | aborts: to drop the work would be a silent loss |

use crate::notify::Progress;
use rusqlite::ffi;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Writes that wait at most. Derived for registerd: records of the link's two rings make at most 2 × 64 uncommitted
/// ones, commands are refused from 160 on; the rest is room for restarts of the coprocessor meanwhile.
pub const WRITES_MAX: usize = 256;
/// Queries that wait at most; each is one call on the bus, whose callers get "busy" beyond it.
pub const QUERIES_MAX: usize = 32;
/// Writes that share one transaction at most: 32 rows take less than a millisecond to write, and the oldest of them
/// waits no longer than that.
const BATCH_MAX: usize = 32;
/// Pause before a failed transaction is tried again. A full disk does not empty faster than a person works.
const RETRY: Duration = Duration::from_secs(1);
/// How long the thread may sleep without work before it says that it is alive.
const ALIVE: Duration = Duration::from_secs(1);
/// A commit that takes longer than this is stuck. Flash with garbage collection stalls for up to a few seconds.
const STUCK: Duration = Duration::from_secs(20);

/// What kind of trouble SQLite reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No space: passes when somebody makes some.
    Full,
    /// Somebody else holds the file: passes.
    Busy,
    /// The medium failed.
    Io,
    /// The file is damaged, or no database.
    Corrupt,
    /// A fault of this program.
    Fault,
}

/// Sorts an error of SQLite.
pub fn trouble(error: &rusqlite::Error) -> Trouble {
    let Some(code) = error.sqlite_error().map(|e| e.extended_code) else { return Trouble::Fault };
    match (code & 0xff, code) {
        // The shared-memory file of the log could not grow: the disk is full as well.
        (ffi::SQLITE_FULL, _) | (_, ffi::SQLITE_IOERR_SHMSIZE) => Trouble::Full,
        (ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED, _) => Trouble::Busy,
        (ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB, _) => Trouble::Corrupt,
        (ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN | ffi::SQLITE_READONLY | ffi::SQLITE_NOMEM, _) => Trouble::Io,
        _ => Trouble::Fault,
    }
}

/// What one daemon keeps: the database with its statements and whoever waits for answers.
pub trait Keeper: Send + 'static {
    /// One unit of work, committed whole or not at all.
    type Write: Send + 'static;
    /// A question; it carries the way back to who asked.
    type Query: Send + 'static;

    /// Commits all of `writes` in one transaction, in order. After an error nothing of it may be visible; the same
    /// writes come again.
    ///
    /// # Errors
    /// SQLite's own.
    fn commit(&mut self, writes: &[Self::Write]) -> rusqlite::Result<()>;

    /// The writes are on the disk: tell whoever waits for that.
    fn committed(&mut self, writes: Vec<Self::Write>);

    /// Answers a query.
    fn query(&mut self, query: Self::Query);

    /// The file is damaged: leave the marker for the next start.
    fn suspect(&mut self);
}

/// State of the writer, for the health report. All counters since the start.
#[derive(Debug)]
pub struct Health {
    state: AtomicU8,
    waiting: AtomicUsize,
    commits: AtomicU64,
    retries: AtomicU64,
    progress: Arc<Progress>,
}

impl Health {
    /// What the last transaction met, `None` when it went through.
    pub fn trouble(&self) -> Option<Trouble> {
        match self.state.load(Ordering::Relaxed) {
            1 => Some(Trouble::Full),
            2 => Some(Trouble::Busy),
            _ => None,
        }
    }

    /// Writes that are not committed yet.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Transactions committed.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Transactions that had to be tried again.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// For the watchdog: stuck when the thread hangs inside of SQLite or the kernel.
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }
}

struct Queue<K: Keeper> {
    writes: VecDeque<K::Write>,
    /// Taken by the thread, not committed yet; they still count against the bound.
    in_work: usize,
    queries: VecDeque<K::Query>,
    stopping: bool,
}

struct Shared<K: Keeper> {
    queue: Mutex<Queue<K>>,
    /// Signalled when work comes, when room is made, and to stop.
    changed: Condvar,
    health: Arc<Health>,
}

impl<K: Keeper> Shared<K> {
    /// A panic elsewhere does not make the queue wrong: it is changed in single steps.
    fn lock(&self) -> MutexGuard<'_, Queue<K>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where work is handed in. Clones share one queue.
pub struct Handle<K: Keeper>(Arc<Shared<K>>);

impl<K: Keeper> Clone for Handle<K> {
    fn clone(&self) -> Self {
        Handle(self.0.clone())
    }
}

impl<K: Keeper> Handle<K> {
    /// Queues a write; blocks while the queue is full (back-pressure). Gives the write back when the writer stops.
    ///
    /// # Errors
    /// The write itself, when the writer stops.
    pub fn write(&self, write: K::Write) -> Result<(), K::Write> {
        let mut queue = self.0.lock();
        while queue.writes.len() + queue.in_work >= WRITES_MAX && !queue.stopping {
            queue = self.0.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        self.push(queue, write)
    }

    /// Queues a write or gives it back when there is no room or the writer stops.
    ///
    /// # Errors
    /// The write itself.
    pub fn try_write(&self, write: K::Write) -> Result<(), K::Write> {
        let queue = self.0.lock();
        if queue.writes.len() + queue.in_work >= WRITES_MAX {
            return Err(write);
        }
        self.push(queue, write)
    }

    /// Queues a query or gives it back when there is no room or the writer stops.
    ///
    /// # Errors
    /// The query itself.
    pub fn query(&self, query: K::Query) -> Result<(), K::Query> {
        let mut queue = self.0.lock();
        if queue.stopping || queue.queries.len() >= QUERIES_MAX {
            return Err(query);
        }
        queue.queries.push_back(query);
        drop(queue);
        self.0.changed.notify_all();
        Ok(())
    }

    /// State of the writer.
    pub fn health(&self) -> &Arc<Health> {
        &self.0.health
    }

    fn push(&self, mut queue: MutexGuard<'_, Queue<K>>, write: K::Write) -> Result<(), K::Write> {
        if queue.stopping {
            return Err(write);
        }
        queue.writes.push_back(write);
        self.0.health.waiting.store(queue.writes.len() + queue.in_work, Ordering::Relaxed);
        drop(queue);
        self.0.changed.notify_all();
        Ok(())
    }
}

/// The running thread. Stops, with everything queued committed if the disk lets it, when dropped.
pub struct Writer<K: Keeper> {
    handle: Handle<K>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl<K: Keeper> Writer<K> {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system refuses another thread.
    pub fn spawn(name: &'static str, keeper: K) -> std::io::Result<Writer<K>> {
        let health = Arc::new(Health {
            state: AtomicU8::new(0),
            waiting: AtomicUsize::new(0),
            commits: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            progress: Progress::new(name, STUCK),
        });
        let queue = Queue { writes: VecDeque::new(), in_work: 0, queries: VecDeque::new(), stopping: false };
        let shared = Arc::new(Shared { queue: Mutex::new(queue), changed: Condvar::new(), health });
        let handle = Handle(shared.clone());
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || work(&shared, keeper))?;
        Ok(Writer { handle, thread: Some(thread) })
    }

    /// A handle for handing in work.
    pub fn handle(&self) -> Handle<K> {
        self.handle.clone()
    }

    /// Commits what is queued, closes the database, ends the thread.
    pub fn stop(self) {
        drop(self);
    }
}

impl<K: Keeper> Drop for Writer<K> {
    fn drop(&mut self) {
        self.handle.0.lock().stopping = true;
        self.handle.0.changed.notify_all();
        // A thread that panicked has said so already.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work<K: Keeper>(shared: &Shared<K>, mut keeper: K) {
    let mut batch: Vec<K::Write> = Vec::new();
    let mut waiting_for_space = false;
    loop {
        shared.health.progress.mark();
        let mut queue = shared.lock();
        // Nothing to do, or nothing that may be done yet: sleep, but not past the next sign of life or attempt.
        let idle = queue.queries.is_empty() && (waiting_for_space || (batch.is_empty() && queue.writes.is_empty()));
        if idle && !queue.stopping {
            let pause = if waiting_for_space { RETRY } else { ALIVE };
            let (woken, timeout) = shared.changed.wait_timeout(queue, pause).unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            if timeout.timed_out() {
                waiting_for_space = false;
            }
        }
        let queries: Vec<K::Query> = queue.queries.drain(..).collect();
        if batch.is_empty() {
            let n = queue.writes.len().min(BATCH_MAX);
            batch.extend(queue.writes.drain(..n));
            queue.in_work = batch.len();
        }
        let stopping = queue.stopping;
        drop(queue);

        for query in queries {
            keeper.query(query);
        }
        if batch.is_empty() {
            if stopping {
                return;
            }
            continue;
        }
        if waiting_for_space && !stopping {
            continue;
        }
        match keeper.commit(&batch) {
            Ok(()) => {
                shared.health.commits.fetch_add(1, Ordering::Relaxed);
                shared.health.state.store(0, Ordering::Relaxed);
                let done = std::mem::take(&mut batch);
                let mut queue = shared.lock();
                queue.in_work = 0;
                shared.health.waiting.store(queue.writes.len(), Ordering::Relaxed);
                drop(queue);
                shared.changed.notify_all();
                keeper.committed(done);
            }
            Err(e) => {
                let trouble = trouble(&e);
                let state = match trouble {
                    Trouble::Full => 1,
                    Trouble::Busy => 2,
                    Trouble::Corrupt => {
                        keeper.suspect();
                        fatal("the database is corrupt", &e)
                    }
                    Trouble::Io => fatal("the disk failed", &e),
                    Trouble::Fault => fatal("the store refused a transaction", &e),
                };
                if shared.health.state.swap(state, Ordering::Relaxed) != state {
                    log::error!("store: {e}; kept in memory and tried again every {} s", RETRY.as_secs());
                }
                shared.health.retries.fetch_add(1, Ordering::Relaxed);
                waiting_for_space = true;
                if stopping {
                    log::error!("store: stopping with {} transactions not committed", batch.len());
                    return;
                }
            }
        }
    }
}

/// Ends the process without another word to the disk. systemd starts it again; what was not acknowledged comes again.
fn fatal(what: &str, error: &dyn std::fmt::Display) -> ! {
    log::error!("store: {what}: {error}; aborting");
    log::logger().flush();
    std::process::abort()
}
