//! The store on its writer thread: units come from the meter thread, questions from the bus.

use super::export::{ExportError, export};
use super::{MeterStore, MeterStoreError, Verification};
use meter_core::{LOGS, LoggerId, Row, Tx};
use meter_kit::store::writer::{Keeper, Trouble, trouble};
use meter_kit::wake::Wake;
use meter_model::Utc;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Rows with the sequence number to go on from (0 = the end).
pub type Page = (Vec<Row>, u64);

/// A question from the bus. Whoever asked may have gone: then the answer is dropped.
pub enum Query {
    /// Rows with `seq >= from` whose end lies in `(after, until]`, at most `limit`.
    Rows {
        /// Which logger.
        logger: LoggerId,
        /// First sequence number.
        from: u64,
        /// Rows that end at or before this are left out.
        after: Option<Utc>,
        /// Rows that end after this are left out.
        until: Option<Utc>,
        /// Rows at most.
        limit: usize,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Page, String>>,
    },
    /// All rows of a range as a sealed file.
    Export {
        /// Which logger.
        logger: LoggerId,
        /// First sequence number.
        from: u64,
        /// Last sequence number.
        to: u64,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<OwnedFd, String>>,
    },
    /// Oldest and newest rows of all loggers.
    Bounds {
        /// Where the answer goes.
        reply: oneshot::Sender<[Option<(u64, u64)>; LOGS]>,
    },
    /// Check everything.
    Verify {
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Verification, String>>,
    },
}

/// Numbers of committed units on their way back to the meter thread.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The newest one; units are committed in order, so it stands for all before it.
    newest: Arc<Mutex<u64>>,
    wake: Wake,
}

impl Committed {
    /// `wake` is what the meter thread sleeps on.
    pub fn new(wake: Wake) -> Committed {
        Committed { newest: Arc::default(), wake }
    }

    /// The newest committed unit; 0 = none yet.
    pub fn newest(&self) -> u64 {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, id: u64) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = id.max(*newest);
        drop(newest);
        self.wake.wake();
    }
}

/// See [`Keeper`].
pub struct MeterKeeper {
    store: MeterStore,
    committed: Committed,
}

impl MeterKeeper {
    /// Around an open store.
    pub fn new(store: MeterStore, committed: Committed) -> MeterKeeper {
        MeterKeeper { store, committed }
    }
}

impl Keeper for MeterKeeper {
    type Write = (u64, Tx);
    type Query = Query;

    fn commit(&mut self, writes: &[(u64, Tx)]) -> rusqlite::Result<()> {
        let units: Vec<&Tx> = writes.iter().map(|(_, tx)| tx).collect();
        match self.store.apply_all(&units) {
            Ok(()) => Ok(()),
            Err(MeterStoreError::Sqlite(e)) => Err(e),
            Err(e) => {
                // The ring has its space since it was made, so only a failing medium ends here.
                log::error!("{e}");
                Err(rusqlite::Error::SqliteFailure(
                    rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR),
                    Some(e.to_string()),
                ))
            }
        }
    }

    fn committed(&mut self, writes: Vec<(u64, Tx)>) {
        if let Some((id, _)) = writes.last() {
            self.committed.tell(*id);
        }
    }

    fn query(&mut self, query: Query) {
        // A send fails when the caller has gone; nobody misses the answer.
        match query {
            Query::Rows { logger, from, after, until, limit, reply } => {
                let page = self.page(logger, from, after, until, limit);
                let _ = reply.send(page.map_err(|e| self.failed(&e)));
            }
            Query::Export { logger, from, to, reply } => {
                let file = export(&self.store, logger, from, to);
                let _ = reply.send(file.map_err(|e| match e {
                    ExportError::Rows(e) => self.failed(&e),
                    ExportError::File(e) => e.to_string(),
                }));
            }
            Query::Bounds { reply } => {
                let _ = reply.send(LoggerId::ALL.map(|id| self.store.bounds(id)));
            }
            Query::Verify { reply } => {
                let _ = reply.send(self.store.verify().map_err(|e| match e {
                    MeterStoreError::Sqlite(e) => self.failed(&e),
                    e => e.to_string(),
                }));
            }
        }
    }

    fn suspect(&mut self) {
        self.store.database().mark_suspect();
    }
}

impl MeterKeeper {
    fn page(
        &self,
        logger: LoggerId,
        from: u64,
        after: Option<Utc>,
        until: Option<Utc>,
        limit: usize,
    ) -> rusqlite::Result<Page> {
        let mut rows = Vec::new();
        let mut next = 0;
        let last = self.store.bounds(logger).map_or(0, |(_, last)| last);
        self.store.rows(logger, from, last, |row| {
            let inside = after.is_none_or(|t| row.end > t) && until.is_none_or(|t| row.end <= t);
            if inside && rows.len() == limit {
                next = row.seq;
                return false;
            }
            if inside {
                rows.push(row);
            }
            true
        })?;
        Ok((rows, next))
    }

    /// A read that finds damage leaves the marker; the next start moves the file aside.
    fn failed(&mut self, e: &rusqlite::Error) -> String {
        log::error!("store: {e}");
        if trouble(e) == Trouble::Corrupt {
            self.suspect();
        }
        e.to_string()
    }
}
