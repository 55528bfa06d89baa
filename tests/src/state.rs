//! What a stopped meter left in its folder, read without the meter's own store code (but for the ring's slots): rows
//! straight from SQLite, in the integers that were written.

use std::path::{Path, PathBuf};

use meter_core::Durable;
use registerd::ring::RegisterRing;
use rusqlite::{Connection, OpenFlags};

/// One row of a logger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its identity.
    pub seq: u64,
    /// Begin, µs UTC.
    pub start: i64,
    /// End, µs UTC.
    pub end: i64,
    /// Status bits.
    pub status: u32,
    /// All values (energies in mJ).
    pub values: Vec<i64>,
    /// The row's hash, which binds all rows before it.
    pub hash: Vec<u8>,
}

/// The database below a STATE folder.
pub fn database(state: &Path) -> PathBuf {
    state.join("meter/meter.db")
}

/// The register ring below a STATE folder.
pub fn ring(state: &Path) -> PathBuf {
    state.join("meter/register.ring")
}

/// Opens the database of a stopped meter.
///
/// # Panics
/// When there is none.
pub fn open(state: &Path) -> Connection {
    let path = database(state);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(&path, flags).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// All rows of a logger, oldest first.
///
/// # Panics
/// When the table is not there: then the test must be changed with the schema.
pub fn rows(state: &Path, logger: &str) -> Vec<Row> {
    let db = open(state);
    let sql = format!("SELECT * FROM log_{logger} WHERE seq >= 0 ORDER BY seq");
    let mut statement = db.prepare(&sql).expect("the logger's table");
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let values: Vec<usize> = (0..names.len()).filter(|n| names[*n].starts_with('v')).collect();
    let at = |name: &str| names.iter().position(|n| n == name).unwrap_or_else(|| panic!("no column {name}"));
    let (seq, start, end, status, hash) = (at("seq"), at("start"), at("end"), at("status"), at("hash"));
    let read = |r: &rusqlite::Row<'_>| {
        Ok(Row {
            seq: r.get::<_, i64>(seq)? as u64,
            start: r.get(start)?,
            end: r.get(end)?,
            status: r.get::<_, i64>(status)? as u32,
            values: values.iter().map(|n| r.get(*n)).collect::<rusqlite::Result<_>>()?,
            hash: r.get(hash)?,
        })
    };
    let rows = statement.query_map((), read).expect("the rows");
    rows.collect::<rusqlite::Result<_>>().expect("every row")
}

/// The load profile.
pub fn load_rows(state: &Path) -> Vec<Row> {
    rows(state, "load")
}

/// The newest settled state, of database and ring.
///
/// # Panics
/// When there is none.
pub fn settled(state: &Path) -> Durable {
    let stored = "SELECT generation, durable FROM state WHERE id = 0";
    let db = open(state);
    let (generation, mut bytes): (i64, Vec<u8>) =
        db.query_row(stored, (), |r| Ok((r.get(0)?, r.get(1)?))).expect("the state in the database");
    let mut pieces = db.prepare("SELECT piece FROM state_piece ORDER BY id").expect("the state's pieces");
    let pieces = pieces.query_map((), |r| r.get::<_, Vec<u8>>(0)).expect("the state's pieces");
    pieces.for_each(|piece| bytes.extend(piece.expect("a piece")));
    let newest = match RegisterRing::peek(&ring(state)).expect("the ring") {
        Some(slot) if slot.generation > generation as u64 => slot.payload,
        _ => bytes,
    };
    Durable::decode(&newest).expect("a settled state")
}

/// Flips one bit in the first value of a row of the load profile; the result puts it back.
///
/// # Panics
/// When there is no such row.
pub fn flip_a_byte(state: &Path, seq: u64) -> impl FnOnce() + use<> {
    let set = move |state: &Path, value: i64| {
        let changed = open(state).execute("UPDATE log_load SET v0 = ?1 WHERE seq = ?2", (value, seq as i64));
        assert_eq!(changed.expect("change a row"), 1, "no row {seq}");
    };
    let value: i64 =
        open(state).query_row("SELECT v0 FROM log_load WHERE seq = ?1", [seq as i64], |r| r.get(0)).expect("the row");
    set(state, value ^ 0x100);
    let state = state.to_owned();
    move || set(&state, value)
}
