//! One SQLite file per daemon, with one writer, made for flash and for power cuts.
//!
//! * WAL + synchronous=FULL: an acknowledged commit survives a cut. SQLite older than 3.51.3 (WAL-reset bug) is
//!   refused, and so is a `journal_mode` that does not stick.
//! * The file is made complete beside its place and renamed into it: a kill while it is made leaves nothing half.
//! * A file of a newer version is refused and left untouched. A corrupt one is renamed aside (`NAME.corrupt-1` and
//!   so on), never deleted, and a new one takes its place; the caller gets a [`Notice`] and rebuilds what it can.
//! * Migrations run on `PRAGMA user_version`, one transaction each.
//! * An I/O error aborts the process (never retry a failed sync), a full disk keeps the work and waits:
//!   see [`writer`].

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};

pub mod circular;
pub mod writer;

#[cfg(test)]
mod tests;

/// First SQLite without the WAL-reset bug.
const SQLITE_MIN: i32 = 3_051_003;
/// Begin of every SQLite file.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Suffix of the marker that a running writer leaves when SQLite reported corruption: the next start moves the file
/// aside even when its quick check passes, so that a daemon cannot restart into the same error for ever.
const SUSPECT_SUFFIX: &str = ".suspect";

/// One step from a schema version to the next.
pub enum Migration {
    /// SQL statements (`include_str!`, or generated once from a table of constants).
    Sql(Cow<'static, str>),
    /// A conversion that SQL alone cannot say.
    Code(fn(&Transaction<'_>) -> rusqlite::Result<()>),
}

/// What a database must look like.
pub struct Schema {
    /// `PRAGMA application_id`: tells this file from every other SQLite file.
    pub application_id: i32,
    /// Version n is what the first n migrations make of an empty file. Released ones never change.
    pub migrations: Vec<Migration>,
}

impl Schema {
    /// The version that this program writes.
    pub fn version(&self) -> i32 {
        self.migrations.len() as i32
    }
}

/// How much a commit must survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A power cut right after it: the only choice for a meter.
    Full,
    /// Nothing: for simulations whose file is thrown away or made again.
    Off,
}

/// Something that a person should know about how the file was opened. Belongs into the log and the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// There was no file; a new one was made.
    Created,
    /// The file was corrupt, is kept under another name, and a new one was made.
    MovedAside {
        /// Where the old file is.
        to: PathBuf,
        /// What SQLite said.
        reason: String,
    },
    /// The schema was brought to this program's version.
    Migrated {
        /// Version found.
        from: i32,
        /// Version now.
        to: i32,
    },
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Notice::Created => write!(f, "a new database was made"),
            Notice::MovedAside { to, reason } => {
                write!(f, "the database was corrupt ({reason}), is kept as {}, and a new one was made", to.display())
            }
            Notice::Migrated { from, to } => write!(f, "the database was migrated from version {from} to {to}"),
        }
    }
}

/// Why there is no database. The daemon ends with this one line.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The build's fault: it links an SQLite with a known corruption bug.
    #[error("SQLite {0} is older than 3.51.3 and may corrupt its file: refused")]
    OldSqlite(&'static str),
    /// The administrator's fault: an older program on a newer file. The file was not touched.
    #[error("{} is of version {found}, this program knows versions up to {known}: refused and left untouched", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: i32,
        /// Ours.
        known: i32,
    },
    /// No file where one must be (only from [`Database::open_existing`]).
    #[error("{}: no database there", .0.display())]
    Missing(PathBuf),
    /// The file is corrupt (only from [`Database::open_existing`]; [`Database::open`] moves it aside).
    #[error("{}: corrupt database: {reason}", file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// What SQLite said.
        reason: String,
    },
    /// The file system's fault: permissions, disk full, I/O error.
    #[error("{}: {source}", file.display())]
    File {
        /// What was touched.
        file: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// SQLite refuses for another reason; the message is its own.
    #[error("{}: {source}", file.display())]
    Sqlite {
        /// The file.
        file: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A pragma of the recipe did not take: the file system cannot do WAL, for one.
    #[error("{}: PRAGMA {pragma} is \"{found}\" where \"{wanted}\" is needed", file.display())]
    Pragma {
        /// The file.
        file: PathBuf,
        /// Which.
        pragma: &'static str,
        /// What it is.
        found: String,
        /// What it must be.
        wanted: String,
    },
}

/// An open database: the recipe applied, the schema at this program's version, `quick_check` passed.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
    path: PathBuf,
}

impl Database {
    /// Opens `path`, makes it when it is missing, moves it aside when it is corrupt.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open(path: &Path, schema: &Schema, durability: Durability) -> Result<(Database, Vec<Notice>), StoreError> {
        check_sqlite()?;
        let mut notices = Vec::new();
        let suspect = suffixed(path, SUSPECT_SUFFIX);
        if exists(path)? && exists(&suspect)? {
            let to = move_aside(path)?;
            notices.push(Notice::MovedAside { to, reason: "reported corrupt while in use".into() });
        }
        if exists(&suspect)? {
            std::fs::remove_file(&suspect).map_err(|e| file_error(&suspect, e))?;
        }
        if !exists(path)? {
            create(path, schema)?;
            if notices.is_empty() {
                notices.push(Notice::Created);
            }
        }
        match Self::open_as_is(path, schema, durability) {
            Err(StoreError::Corrupt { reason, .. }) => {
                let to = move_aside(path)?;
                notices.push(Notice::MovedAside { to, reason });
                create(path, schema)?;
                let (database, _) = Self::open_as_is(path, schema, durability)?;
                Ok((database, notices))
            }
            Err(e) => Err(e),
            Ok((database, migrated)) => {
                notices.extend(migrated);
                Ok((database, notices))
            }
        }
    }

    /// Opens a file that must exist and be whole: for verification of a stopped state. Moves and makes nothing, but
    /// brings an older schema to this version and takes over what the write-ahead log holds.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open_existing(path: &Path, schema: &Schema) -> Result<Database, StoreError> {
        check_sqlite()?;
        if !exists(path)? {
            return Err(StoreError::Missing(path.to_owned()));
        }
        Self::open_as_is(path, schema, Durability::Full).map(|(database, _)| database)
    }

    /// The connection, for reading and for transactions of the owner.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The connection for a transaction.
    pub fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The full `integrity_check`: findings, empty when all is well.
    ///
    /// # Errors
    /// SQLite cannot even look; corruption that stops the check is one as well.
    pub fn integrity_check(&self) -> rusqlite::Result<Vec<String>> {
        check(&self.connection, "integrity_check")
    }

    /// Leaves the marker that makes the next [`Database::open`] move the file aside.
    pub fn mark_suspect(&self) {
        let marker = suffixed(&self.path, SUSPECT_SUFFIX);
        if let Err(e) = File::create(&marker).and_then(|f| f.sync_all()) {
            log::error!("{}: {e}", marker.display());
        }
    }

    fn open_as_is(
        path: &Path,
        schema: &Schema,
        durability: Durability,
    ) -> Result<(Database, Option<Notice>), StoreError> {
        let error = |e| sqlite_error(path, e);
        refuse_newer_by_header(path, schema)?;
        let mut connection =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
                .map_err(error)?;
        let id: i32 = connection.query_row("PRAGMA application_id", (), |r| r.get(0)).map_err(error)?;
        let found: i32 = connection.query_row("PRAGMA user_version", (), |r| r.get(0)).map_err(error)?;
        if id != schema.application_id {
            let reason = format!("application id {id:#x} where {:#x} is expected", schema.application_id);
            return Err(StoreError::Corrupt { file: path.to_owned(), reason });
        }
        if found > schema.version() {
            // Known only from the write-ahead log: closing must not carry it into the file.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(error)?;
            return Err(StoreError::Newer { file: path.to_owned(), found, known: schema.version() });
        }
        apply_recipe(path, &connection, durability)?;
        let findings = check(&connection, "quick_check").map_err(error)?;
        if let Some(first) = findings.into_iter().next() {
            return Err(StoreError::Corrupt { file: path.to_owned(), reason: first });
        }
        migrate(&mut connection, schema, found).map_err(error)?;
        let notice = (found < schema.version()).then_some(Notice::Migrated { from: found, to: schema.version() });
        Ok((Database { connection, path: path.to_owned() }, notice))
    }
}

/// The settings of every connection; one recipe for all daemons.
fn apply_recipe(path: &Path, connection: &Connection, durability: Durability) -> Result<(), StoreError> {
    let synchronous = match durability {
        Durability::Full => 2,
        Durability::Off => 0,
    };
    // (pragma, value, answer that must stand afterwards)
    let recipe: [(&'static str, &str, String); 10] = [
        ("journal_mode", "WAL", "wal".into()),
        ("synchronous", if synchronous == 2 { "FULL" } else { "OFF" }, synchronous.to_string()),
        // 64 pages = 256 KiB: the log is reused and stays small, a checkpoint writes each hot page once.
        ("wal_autocheckpoint", "64", "64".into()),
        // Above the size that the log ever reaches: it is never truncated, so commits change no file metadata.
        ("journal_size_limit", "1048576", "1048576".into()),
        ("mmap_size", "0", "0".into()),
        ("temp_store", "MEMORY", "2".into()),
        ("foreign_keys", "ON", "1".into()),
        ("trusted_schema", "OFF", "0".into()),
        ("cell_size_check", "ON", "1".into()),
        ("busy_timeout", "5000", "5000".into()),
    ];
    for (pragma, value, wanted) in recipe {
        let error = |e| sqlite_error(path, e);
        connection.pragma_update_and_check(None, pragma, value, |_| Ok(())).or_else(no_rows).map_err(error)?;
        let found = connection
            .query_row(&format!("PRAGMA {pragma}"), (), |r| r.get::<_, rusqlite::types::Value>(0))
            .map_err(error)?;
        let found = match found {
            rusqlite::types::Value::Integer(i) => i.to_string(),
            rusqlite::types::Value::Text(t) => t,
            other => format!("{other:?}"),
        };
        if found != wanted {
            return Err(StoreError::Pragma { file: path.to_owned(), pragma, found, wanted });
        }
    }
    Ok(())
}

/// Most pragmas answer an assignment with nothing.
fn no_rows(e: rusqlite::Error) -> rusqlite::Result<()> {
    match e {
        rusqlite::Error::QueryReturnedNoRows => Ok(()),
        e => Err(e),
    }
}

fn migrate(connection: &mut Connection, schema: &Schema, found: i32) -> rusqlite::Result<()> {
    for (at, migration) in schema.migrations.iter().enumerate().skip(found.max(0) as usize) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match migration {
            Migration::Sql(sql) => transaction.execute_batch(sql)?,
            Migration::Code(code) => code(&transaction)?,
        }
        transaction.pragma_update(None, "user_version", at as i32 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Makes the file beside its place without a journal (nobody reads it before it is complete), syncs it, renames it.
fn create(path: &Path, schema: &Schema) -> Result<(), StoreError> {
    // A log without its file would be replayed into the new one.
    for stray in [suffixed(path, "-wal"), suffixed(path, "-shm"), suffixed(path, "-journal")] {
        if exists(&stray)? {
            let to = free_name(path)?;
            std::fs::rename(&stray, &to).map_err(|e| file_error(&stray, e))?;
        }
    }
    let new = suffixed(path, ".new");
    match std::fs::remove_file(&new) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(file_error(&new, e)),
        _ => {}
    }
    let build = || -> rusqlite::Result<()> {
        let mut connection = Connection::open(&new)?;
        connection.execute_batch(
            "PRAGMA page_size=4096; PRAGMA auto_vacuum=NONE; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;",
        )?;
        connection.pragma_update(None, "application_id", schema.application_id)?;
        migrate(&mut connection, schema, 0)?;
        connection.close().map_err(|(_, e)| e)
    };
    build().map_err(|e| sqlite_error(&new, e))?;
    File::open(&new).and_then(|f| f.sync_all()).map_err(|e| file_error(&new, e))?;
    std::fs::rename(&new, path).map_err(|e| file_error(path, e))?;
    sync_folder(path)
}

/// Renames the file and its companions to the first free `NAME.corrupt-N`.
fn move_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let to = free_name(path)?;
    for companion in ["", "-wal", "-shm"] {
        let from = suffixed(path, companion);
        match std::fs::rename(&from, suffixed(&to, companion)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(file_error(&from, e)),
            _ => {}
        }
    }
    sync_folder(path)?;
    Ok(to)
}

fn free_name(path: &Path) -> Result<PathBuf, StoreError> {
    // A thousand corruptions are not a case that a better name would help.
    for number in 1..1000 {
        let name = suffixed(path, &format!(".corrupt-{number}"));
        if !exists(&name)? && !exists(&suffixed(&name, "-wal"))? {
            return Ok(name);
        }
    }
    Err(file_error(path, std::io::Error::other("999 corrupt copies beside it: remove some")))
}

/// The newer-version check that needs no SQLite and so cannot change the file. Only for files that are ours beyond
/// doubt: in a corrupt header the version means nothing.
fn refuse_newer_by_header(path: &Path, schema: &Schema) -> Result<(), StoreError> {
    use std::io::Read;
    let mut header = [0u8; 100];
    let mut file = File::open(path).map_err(|e| file_error(path, e))?;
    if file.read_exact(&mut header).is_err() {
        return Err(StoreError::Corrupt { file: path.to_owned(), reason: "shorter than an SQLite header".into() });
    }
    let number = |at: usize| i32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (found, id) = (number(60), number(68));
    if &header[..16] == MAGIC && id == schema.application_id && found > schema.version() {
        return Err(StoreError::Newer { file: path.to_owned(), found, known: schema.version() });
    }
    Ok(())
}

fn check(connection: &Connection, pragma: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(&format!("PRAGMA {pragma}"))?;
    let lines = statement.query_map((), |r| r.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(lines.into_iter().filter(|l| l != "ok").collect())
}

fn check_sqlite() -> Result<(), StoreError> {
    if rusqlite::version_number() < SQLITE_MIN { Err(StoreError::OldSqlite(rusqlite::version())) } else { Ok(()) }
}

fn sqlite_error(path: &Path, source: rusqlite::Error) -> StoreError {
    match writer::trouble(&source) {
        writer::Trouble::Corrupt => StoreError::Corrupt { file: path.to_owned(), reason: source.to_string() },
        _ => StoreError::Sqlite { file: path.to_owned(), source },
    }
}

fn file_error(file: &Path, source: std::io::Error) -> StoreError {
    StoreError::File { file: file.to_owned(), source }
}

fn exists(path: &Path) -> Result<bool, StoreError> {
    path.try_exists().map_err(|e| file_error(path, e))
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes renames in the folder of `path` survive a power cut.
fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let folder = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| file_error(folder, e))
}
