//! The file: two circular tables, one for intervals and one for pieces of waveforms, and the place that was reached.
//!
//! Two tables, so that a stormy week of waveforms does not push out the intervals of a month. Rows are numbered here,
//! by table; the coprocessor's own number stands in a column.

use meter_kit::store::circular::{Circular, Stored};
use meter_kit::store::{Database, Durability, Migration, Notice, Schema, StoreError};
use metrology_link::payload::{REPORT_DATA, ReportFlags, ReportKind, ReportRecord};
use rusqlite::OptionalExtension;
use std::path::Path;

/// The database.
pub const DATABASE: &str = "telemetry.db";
/// "MGT1": tells the telemetry database from any other SQLite file.
const APPLICATION_ID: i32 = 0x4d47_5431;
/// Intervals kept: 26 in two hours, so these are 26 days; 9 MB.
const INTERVALS: u64 = 8192;
/// Pieces of waveforms kept: 50 make one of six channels, so these are 80 waveforms; 4.5 MB.
const PIECES: u64 = 4096;

/// How far the reports of a coprocessor are committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Whose numbers they are.
    pub device_id: [u8; 8],
    /// Newest committed report.
    pub report: u64,
    /// Reports that were overwritten before they came, over all devices.
    pub lost: u64,
}

/// A report on its way into the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrived {
    /// Number of the opening it was asked for under; after another one it is asked for again.
    pub opened: u64,
    /// Whose it is.
    pub device_id: [u8; 8],
    /// Reports lost right before it.
    pub lost: u64,
    /// The report.
    pub record: ReportRecord,
}

/// Which reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Everything but waveforms.
    Intervals,
    /// Pieces of waveforms.
    Waveforms,
}

impl Table {
    fn of(kind: ReportKind) -> Table {
        if kind == ReportKind::WAVEFORM { Table::Waveforms } else { Table::Intervals }
    }

    fn circular(self) -> Circular {
        let (name, depth) = match self {
            Table::Intervals => ("interval", INTERVALS),
            Table::Waveforms => ("waveform", PIECES),
        };
        let integers = ["report", "boot", "kind", "flags", "begin", "end", "utc_us", "length"];
        Circular::new(name, &integers, &[("body", REPORT_DATA)], depth)
    }
}

/// The open file.
#[derive(Debug)]
pub struct Telemetry {
    database: Database,
    intervals: Circular,
    waveforms: Circular,
    /// Next row of either table.
    next: [u64; 2],
    place: Option<Place>,
}

impl Telemetry {
    /// Opens or makes the file in registerd's folder, whose lock the caller holds. A damaged one is moved aside.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open(folder: &Path) -> Result<(Telemetry, Vec<Notice>), StoreError> {
        let (database, notices) = Database::open(&folder.join(DATABASE), &schema(), Durability::Full)?;
        Ok((Telemetry::around(database)?, notices))
    }

    /// Opens the file of a stopped service without making or moving anything.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open_existing(folder: &Path) -> Result<Telemetry, StoreError> {
        Telemetry::around(Database::open_existing(&folder.join(DATABASE), &schema())?)
    }

    fn around(database: Database) -> Result<Telemetry, StoreError> {
        let (intervals, waveforms) = (Table::Intervals.circular(), Table::Waveforms.circular());
        let read = || -> rusqlite::Result<_> {
            let db = database.connection();
            let next = |table: &Circular| Ok::<_, rusqlite::Error>(table.bounds(db)?.map_or(1, |(_, last)| last + 1));
            let place = db
                .query_row("SELECT device, report, lost FROM place WHERE id = 0", (), |row| {
                    let (device, report, lost): ([u8; 8], i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                    Ok(Place { device_id: device, report: report as u64, lost: lost as u64 })
                })
                .optional()?;
            Ok(([next(&intervals)?, next(&waveforms)?], place))
        };
        let (next, place) = read().map_err(|source| StoreError::Sqlite { file: database.path().to_owned(), source })?;
        Ok(Telemetry { database, intervals, waveforms, next, place })
    }

    /// What is committed; `None` before the first report.
    pub fn place(&self) -> Option<Place> {
        self.place
    }

    /// Commits reports in one transaction, in order.
    ///
    /// # Errors
    /// SQLite's own; nothing of them is visible then.
    pub fn store(&mut self, reports: &[Arrived]) -> rusqlite::Result<()> {
        let (mut next, mut place) = (self.next, self.place.unwrap_or_default());
        let transaction = self.database.connection_mut().transaction()?;
        for Arrived { device_id, lost, record, .. } in reports {
            let table = Table::of(record.kind);
            let circular = if table == Table::Waveforms { &self.waveforms } else { &self.intervals };
            let number = &mut next[table as usize];
            let integers = [
                record.seq as i64,
                i64::from(record.boot_id),
                i64::from(record.kind.0),
                i64::from(record.flags.0),
                record.begin as i64,
                record.end as i64,
                record.utc_us,
                i64::from(record.len),
            ];
            circular.put(&transaction, *number, &integers, &[&record.data], &[])?;
            *number += 1;
            place = Place { device_id: *device_id, report: record.seq, lost: place.lost.saturating_add(*lost) };
        }
        transaction
            .prepare_cached("INSERT OR REPLACE INTO place (id, device, report, lost) VALUES (0, ?1, ?2, ?3)")?
            .execute((place.device_id, place.report as i64, place.lost as i64))?;
        transaction.commit()?;
        (self.next, self.place) = (next, Some(place));
        Ok(())
    }

    /// Calls `each` with the reports of a table that are kept, oldest first, with their row numbers, until it returns
    /// false.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn reports(&self, table: Table, mut each: impl FnMut(u64, ReportRecord) -> bool) -> rusqlite::Result<()> {
        let circular = if table == Table::Waveforms { &self.waveforms } else { &self.intervals };
        circular.scan(self.database.connection(), 1, i64::MAX as u64, |stored| {
            let row = stored.seq;
            record(&stored).is_none_or(|record| each(row, record))
        })
    }

    /// The database, for the marker after damage, for tests and for figures.
    pub fn database(&self) -> &Database {
        &self.database
    }
}

/// A row as it came; `None` when somebody else wrote it.
fn record(stored: &Stored) -> Option<ReportRecord> {
    let [report, boot, kind, flags, begin, end, utc_us, length] = stored.integers[..] else { return None };
    Some(ReportRecord {
        seq: report as u64,
        boot_id: boot as u32,
        kind: ReportKind(u8::try_from(kind).ok()?),
        flags: ReportFlags(u16::try_from(flags).ok()?),
        begin: begin as u64,
        end: end as u64,
        utc_us,
        len: u16::try_from(length).ok().filter(|len| usize::from(*len) <= REPORT_DATA)?,
        data: stored.blobs.first()?.as_slice().try_into().ok()?,
    })
}

fn schema() -> Schema {
    let place = "CREATE TABLE place (id INTEGER PRIMARY KEY CHECK(id = 0), device BLOB NOT NULL CHECK(length(device) = 8), \
                 report INTEGER NOT NULL, lost INTEGER NOT NULL) STRICT;";
    let tables = [Table::Intervals, Table::Waveforms].map(|table| table.circular().ddl()).concat();
    Schema { application_id: APPLICATION_ID, migrations: vec![Migration::Sql((tables + place).into())] }
}
