//! What registerd keeps: `meter.db` with the rows and the settled state, and `register.ring` with the settled state of
//! each minute between them.
//!
//! One [`MeterStore::apply`] is one unit: rows and state in one SQLite transaction (only when there are rows), then the
//! ring. So the ring is never ahead of the rows: whichever of the two holds the newer state, no row is missing that
//! this state knows of. [`MeterStore::open`] takes the newer one by its generation, a number that grows with every
//! unit.

use crate::ring::{Found, RegisterRing, Sync, pieces};
use meter_core::{Durable, Finding, LOGGERS, LOGS, LoggerId, Row, Tx, Verifier};
use meter_kit::store::circular::{Circular, Stored, logical_content};
use meter_kit::store::{Database, Durability, Migration, Notice, Schema, StoreError};
use meter_model::{Status, Utc};
use rusqlite::Transaction;
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};

mod export;
mod keeper;
#[cfg(test)]
mod tests;

pub use keeper::{Committed, MeterKeeper, Page, Query};

/// Folder of registerd inside of the state folder.
pub const FOLDER: &str = "meter";
/// The database.
pub const DATABASE: &str = "meter.db";
/// The register ring.
pub const RING: &str = "register.ring";
/// "MGM1": tells the meter database from any other SQLite file.
const APPLICATION_ID: i32 = 0x4d47_4d31;
/// Longest text of a row in bytes: the meter core shortens origins to 96.
pub const TEXT_MAX: usize = 96;

/// Why the store cannot be used or did not take a unit.
#[derive(Debug, thiserror::Error)]
pub enum MeterStoreError {
    /// The database; see [`StoreError`].
    #[error(transparent)]
    Database(#[from] StoreError),
    /// The database refused a statement; nothing of the unit is in it.
    #[error("database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The register ring's medium failed.
    #[error("{}: {source}", file.display())]
    Ring {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The newest stored state is of a newer program, or damaged in a way its check did not find. Nothing was changed:
    /// starting without it would let registers go back.
    #[error("{}: {source}", file.display())]
    State {
        /// Where it stands.
        file: PathBuf,
        /// What is wrong.
        source: meter_core::DurableError,
    },
}

/// The open store.
pub struct MeterStore {
    database: Database,
    ring: RegisterRing,
    ring_path: PathBuf,
    tables: [Circular; LOGS],
    bounds: [Option<(u64, u64)>; LOGS],
    generation: u64,
    durability: Durability,
    /// State that the ring does not have yet (only without durability).
    unsaved: Option<Vec<u8>>,
    /// The state as the database has it: only pieces that differ are written.
    in_database: Vec<u8>,
}

/// What [`MeterStore::open`] found.
pub struct Opened {
    /// The store.
    pub store: MeterStore,
    /// The newest settled state; `None` at the very first start.
    pub durable: Option<Durable>,
    /// A damaged database was put aside, and this one begun anew.
    pub replaced: bool,
    /// What a person should know, one line each.
    pub notices: Vec<String>,
}

/// Result of a check of everything stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// What was checked, one line each.
    pub checks: Vec<String>,
    /// What is wrong, one line each.
    pub findings: Vec<String>,
}

impl Verification {
    /// Whether nothing is wrong.
    pub fn ok(&self) -> bool {
        self.findings.is_empty()
    }
}

impl MeterStore {
    /// Opens or makes the store in `state` (its [`FOLDER`] is made). The caller holds the lock on that folder.
    ///
    /// # Errors
    /// See [`MeterStoreError`].
    pub fn open(state: &Path, durability: Durability) -> Result<Opened, MeterStoreError> {
        let folder = state.join(FOLDER);
        std::fs::create_dir_all(&folder).map_err(|source| StoreError::File { file: folder.clone(), source })?;
        let (database, notices) = Database::open(&folder.join(DATABASE), &schema(), durability)?;
        let replaced = notices.iter().any(|n| matches!(n, Notice::MovedAside { .. }));
        let mut notices: Vec<String> =
            notices.iter().filter(|n| **n != Notice::Created).map(ToString::to_string).collect();
        let ring_path = folder.join(RING);
        let sync = if durability == Durability::Full { Sync::Full } else { Sync::Off };
        let (ring, in_ring, notice) = RegisterRing::open(&ring_path, sync)
            .map_err(|source| MeterStoreError::Ring { file: ring_path.clone(), source })?;
        notices.extend(notice);
        let tables = tables();
        let mut bounds = [None; LOGS];
        for (bound, table) in bounds.iter_mut().zip(&tables) {
            *bound = table.bounds(database.connection())?;
        }
        let in_database = state_in(&database)?;
        let generation = [&in_database, &in_ring].iter().filter_map(|f| f.as_ref().map(|f| f.generation)).max();
        let (_, mut durable) = choose(&database, &ring_path, in_database.clone(), in_ring)?;
        let mut store = MeterStore {
            database,
            ring,
            ring_path,
            tables,
            bounds,
            generation: generation.unwrap_or(0),
            durability,
            unsaved: None,
            in_database: in_database.as_ref().map_or(Vec::new(), |found| found.payload.clone()),
        };
        if let Some(behind) = durable.as_ref().and_then(|d| store.rows_beyond(d)) {
            // Somebody exchanged one of the two files. Rows are never written twice, so their state counts.
            notices.push(format!("{behind}; going on from the database"));
            durable = choose(&store.database, &store.ring_path, in_database, None)?.1;
            if let Some(durable) = &durable {
                store.generation += 1;
                store.save(store.generation, &durable.encode())?;
            }
        }
        for id in LoggerId::ALL {
            let stored = store.bounds(id).map_or(0, |(_, last)| last);
            let known = durable.map_or(0, |d| d.cursors[id.index()].next.saturating_sub(1));
            if stored != known {
                notices.push(format!("{}: newest row is {stored}, the settled state knows {known}", id.spec().name));
            }
        }
        Ok(Opened { store, durable, replaced, notices })
    }

    /// Makes one unit durable.
    ///
    /// # Errors
    /// After one of the database nothing of the unit is visible and the same call may be repeated; which errors allow
    /// that, [`meter_kit::store::writer`] says. After one of the ring the process must end: its medium has failed.
    pub fn apply(&mut self, tx: &Tx) -> Result<(), MeterStoreError> {
        self.apply_all(&[tx])
    }

    /// Makes several units durable at once.
    ///
    /// # Errors
    /// As [`MeterStore::apply`].
    pub fn apply_all(&mut self, txs: &[&Tx]) -> Result<(), MeterStoreError> {
        let Some(last) = txs.last() else { return Ok(()) };
        let generation = self.generation + 1;
        let state = last.durable.encode();
        let rows: Vec<&(LoggerId, Row)> = txs.iter().flat_map(|tx| &tx.rows).collect();
        if !rows.is_empty() {
            let transaction = self.database.connection_mut().transaction()?;
            for (id, row) in &rows {
                put(&self.tables[id.index()], &transaction, row)?;
            }
            put_state(&transaction, generation, &state, &self.in_database)?;
            transaction.commit()?;
            self.in_database.clone_from(&state);
            for (id, row) in &rows {
                let bound = &mut self.bounds[id.index()];
                let oldest = (row.seq + 1).saturating_sub(id.spec().depth).max(1);
                *bound = Some((bound.map_or(row.seq, |(first, _)| first.max(oldest)), row.seq));
            }
        }
        if self.durability == Durability::Off {
            self.generation = generation;
            self.unsaved = Some(state);
            return Ok(());
        }
        self.save(generation, &state)?;
        self.generation = generation;
        Ok(())
    }

    /// Writes what only memory has to the ring: for the end of a run without durability.
    ///
    /// # Errors
    /// The ring's medium failed.
    pub fn flush(&mut self) -> Result<(), MeterStoreError> {
        match self.unsaved.take() {
            Some(state) => self.save(self.generation, &state),
            None => Ok(()),
        }
    }

    /// Oldest and newest row of a logger, `None` while it is empty.
    pub fn bounds(&self, id: LoggerId) -> Option<(u64, u64)> {
        self.bounds[id.index()]
    }

    /// Calls `each` with the rows `from ..= to` that exist, oldest first, until it returns false.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn rows(&self, id: LoggerId, from: u64, to: u64, mut each: impl FnMut(Row) -> bool) -> rusqlite::Result<()> {
        self.tables[id.index()].scan(self.database.connection(), from, to, |stored| each(row(stored)))
    }

    /// The newest stored state.
    ///
    /// # Errors
    /// SQLite or the ring cannot be read.
    pub fn durable(&self) -> Result<Option<Durable>, MeterStoreError> {
        let in_ring = RegisterRing::peek(&self.ring_path)
            .map_err(|source| MeterStoreError::Ring { file: self.ring_path.clone(), source })?;
        Ok(choose(&self.database, &self.ring_path, state_in(&self.database)?, in_ring)?.1)
    }

    /// Checks database, chains, sums and state.
    ///
    /// # Errors
    /// The database or the ring cannot be read at all.
    pub fn verify(&self) -> Result<Verification, MeterStoreError> {
        check(&self.database, &self.tables, self.durable()?)
    }

    /// SHA-256 over all rows and the settled state: equal for two stores with the same content.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn content_hash(&self) -> Result<[u8; 32], MeterStoreError> {
        let mut hash = Sha256::new();
        for spec in &LOGGERS {
            logical_content(self.database.connection(), &table_name(spec.name), |bytes| hash.update(bytes))?;
        }
        if let Some(durable) = self.durable()? {
            hash.update(durable.encode());
        }
        Ok(hash.finalize().into())
    }

    /// The database, for tests and figures.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Says so when a logger holds rows that `durable` does not know of.
    fn rows_beyond(&self, durable: &Durable) -> Option<String> {
        LoggerId::ALL.into_iter().find_map(|id| {
            let (_, last) = self.bounds(id)?;
            let next = durable.cursors[id.index()].next;
            (last >= next).then(|| format!("{} row {last} is newer than the register ring", id.spec().name))
        })
    }

    fn save(&mut self, generation: u64, state: &[u8]) -> Result<(), MeterStoreError> {
        self.ring
            .write(generation, state)
            .map_err(|source| MeterStoreError::Ring { file: self.ring_path.clone(), source })
    }
}

/// Checks the store of a stopped meter without making or moving anything.
///
/// # Errors
/// There is none, or it cannot be read at all. A damaged file is a finding, not an error.
pub fn verify_stopped(state: &Path) -> Result<Verification, MeterStoreError> {
    let folder = state.join(FOLDER);
    let database = match Database::open_existing(&folder.join(DATABASE), &schema()) {
        Err(StoreError::Corrupt { file, reason }) => {
            let findings = vec![format!("{}: corrupt database: {reason}", file.display())];
            return Ok(Verification { checks: Vec::new(), findings });
        }
        other => other?,
    };
    let ring_path = folder.join(RING);
    let in_ring =
        RegisterRing::peek(&ring_path).map_err(|source| MeterStoreError::Ring { file: ring_path.clone(), source })?;
    let (_, durable) = choose(&database, &ring_path, state_in(&database)?, in_ring)?;
    check(&database, &tables(), durable)
}

fn check(
    database: &Database,
    tables: &[Circular; LOGS],
    durable: Option<Durable>,
) -> Result<Verification, MeterStoreError> {
    let mut result = Verification::default();
    let findings = database.integrity_check()?;
    result.checks.push("database: integrity check".into());
    result.findings.extend(findings.into_iter().map(|f| format!("database: {f}")));
    let Some(durable) = durable else {
        result.checks.push("no settled state yet".into());
        return Ok(result);
    };
    for id in LoggerId::ALL {
        let mut verifier = Verifier::new(id);
        let mut rows = 0u64;
        tables[id.index()].scan(database.connection(), 1, i64::MAX as u64, |stored| {
            rows += 1;
            verifier.row(&row(stored));
            true
        })?;
        let findings: Vec<Finding> = verifier.finish(&durable);
        let sums = if id == LoggerId::Load { ", interval sums equal to registers" } else { "" };
        if findings.is_empty() {
            result.checks.push(format!("{}: {rows} rows, chain whole{sums}", id.spec().name));
        }
        result.findings.extend(findings.iter().map(ToString::to_string));
    }
    result.checks.push(format!("settled state: history record {}", durable.seq));
    Ok(result)
}

/// The newer of the two states.
fn choose(
    database: &Database,
    ring: &Path,
    in_database: Option<Found>,
    in_ring: Option<Found>,
) -> Result<(Option<Found>, Option<Durable>), MeterStoreError> {
    let (newest, file) = match (in_database, in_ring) {
        // Equal generations hold the same state.
        (Some(d), Some(r)) if r.generation > d.generation => (Some(r), ring),
        (None, Some(r)) => (Some(r), ring),
        (d, _) => (d, database.path()),
    };
    let durable = match &newest {
        Some(found) => Some(
            Durable::decode(&found.payload)
                .map_err(|source| MeterStoreError::State { file: file.to_owned(), source })?,
        ),
        None => None,
    };
    Ok((newest, durable))
}

/// The state stands in pieces, as in the ring: the first with the generation, the others in a table of their own.
fn state_in(database: &Database) -> Result<Option<Found>, MeterStoreError> {
    let (generation, mut payload): (i64, Vec<u8>) =
        database
            .connection()
            .query_row("SELECT generation, durable FROM state WHERE id = 0", (), |r| Ok((r.get(0)?, r.get(1)?)))?;
    let mut statement = database.connection().prepare("SELECT piece FROM state_piece ORDER BY id")?;
    for piece in statement.query_map((), |r| r.get::<_, Vec<u8>>(0))? {
        payload.extend(piece?);
    }
    Ok((generation > 0).then_some(Found { generation: generation as u64, payload }))
}

/// Writes those pieces of the state that differ from what the database has.
fn put_state(tx: &Transaction<'_>, generation: u64, state: &[u8], stored: &[u8]) -> rusqlite::Result<()> {
    let first = pieces(state).next().unwrap_or_default();
    tx.prepare_cached("UPDATE state SET generation = ?1, durable = ?2 WHERE id = 0")?
        .execute((generation as i64, first))?;
    let fresh = stored.is_empty();
    let mut stored = pieces(stored).skip(1);
    for (n, piece) in pieces(state).enumerate().skip(1) {
        if stored.next() != Some(piece) {
            tx.prepare_cached("INSERT OR REPLACE INTO state_piece VALUES (?1, ?2)")?.execute((n as i64, piece))?;
        }
    }
    if fresh || stored.next().is_some() {
        // Pieces of a longer state, or those that the schema filled the table with.
        let last = pieces(state).count() as i64 - 1;
        tx.execute("DELETE FROM state_piece WHERE id > ?1", [last])?;
    }
    Ok(())
}

/// The tables, one per logger: `log_load` and so on.
fn tables() -> [Circular; LOGS] {
    LoggerId::ALL.map(|id| {
        let spec = id.spec();
        // Columns by position: a new display name is no new schema.
        let values: Vec<String> = (0..spec.columns.len()).map(|n| format!("v{n}")).collect();
        let mut integers = vec!["start", "end", "status"];
        integers.extend(values.iter().map(String::as_str));
        let table = Circular::new(&table_name(spec.name), &integers, &[("prev", 32), ("hash", 32)], spec.depth);
        if spec.text { table.with_text("text", TEXT_MAX) } else { table }
    })
}

fn table_name(logger: &str) -> String {
    format!("log_{logger}")
}

/// The schema, one file per version; a released file never changes.
fn schema() -> Schema {
    let sql = |text: &'static str| Migration::Sql(text.into());
    Schema {
        application_id: APPLICATION_ID,
        migrations: vec![sql(include_str!("v1.sql")), sql(include_str!("v2.sql"))],
    }
}

fn put(table: &Circular, tx: &Transaction<'_>, row: &Row) -> rusqlite::Result<()> {
    let mut integers = vec![row.start.0, row.end.0, i64::from(row.status.0)];
    integers.extend_from_slice(&row.values);
    let texts = [row.text.as_str()];
    let texts = if table.has_text() { &texts[..] } else { &[] };
    table.put(tx, row.seq, &integers, &[&row.prev, &row.hash], texts)
}

/// Total: content that the table's own checks exclude reads as zeros, and then fails its hash.
fn row(stored: Stored) -> Row {
    let mut integers = stored.integers.into_iter();
    let mut next = || integers.next().unwrap_or_default();
    let (start, end, status) = (Utc(next()), Utc(next()), Status(next() as u32));
    let mut blobs = stored.blobs.into_iter().map(|b| b.try_into().unwrap_or([0; 32]));
    let mut hash = || blobs.next().unwrap_or([0; 32]);
    Row {
        seq: stored.seq,
        start,
        end,
        status,
        prev: hash(),
        hash: hash(),
        values: integers.collect(),
        text: stored.texts.into_iter().next().unwrap_or_default(),
    }
}
