//! Tables of fixed depth: row `seq` lives in slot `seq % depth` and replaces what was there.
//!
//! All slots exist from the start, filled with the widest values, because SQLite stores small integers in fewer
//! bytes: so the file never grows, and a commit changes no file metadata. `seq` is a row's identity; a row is
//! written once and only a newer one may replace it.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params_from_iter, types::ToSqlOutput, types::Value};

/// Marks an empty slot and pre-fills integers: the widest encoding there is.
const WIDEST: i64 = i64::MIN;

/// A table of integers, of blobs with fixed length and of texts with a largest length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circular {
    table: String,
    integers: Vec<String>,
    blobs: Vec<(String, usize)>,
    texts: Vec<(String, usize)>,
    depth: u64,
}

/// One row as it comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Identity.
    pub seq: u64,
    /// Integers in the order of the definition.
    pub integers: Vec<i64>,
    /// Blobs in the order of the definition.
    pub blobs: Vec<Vec<u8>>,
    /// Texts in the order of the definition.
    pub texts: Vec<String>,
}

impl Circular {
    /// A definition. Names must be plain SQL identifiers: they come from constants, never from outside.
    pub fn new(table: &str, integers: &[&str], blobs: &[(&str, usize)], depth: u64) -> Circular {
        Circular {
            table: table.into(),
            integers: integers.iter().map(|s| (*s).to_owned()).collect(),
            blobs: blobs.iter().map(|(n, l)| ((*n).to_owned(), *l)).collect(),
            texts: Vec::new(),
            // A ring of nothing would divide by zero; one slot is the smallest ring.
            depth: depth.max(1),
        }
    }

    /// Adds a text of at most `max` bytes.
    pub fn with_text(mut self, name: &str, max: usize) -> Circular {
        self.texts.push((name.into(), max));
        self
    }

    /// Rows kept at most.
    pub fn depth(&self) -> u64 {
        self.depth
    }

    /// Whether rows carry a text.
    pub fn has_text(&self) -> bool {
        !self.texts.is_empty()
    }

    /// Statements that make and fill the table, for a migration.
    pub fn ddl(&self) -> String {
        let Circular { table, depth, .. } = self;
        let mut columns = String::new();
        let mut values = String::new();
        for name in &self.integers {
            columns += &format!(", \"{name}\" INTEGER NOT NULL");
            values += &format!(", {WIDEST}");
        }
        for (name, length) in &self.blobs {
            columns += &format!(", \"{name}\" BLOB NOT NULL CHECK(length(\"{name}\") = {length})");
            values += &format!(", zeroblob({length})");
        }
        for (name, max) in &self.texts {
            columns += &format!(", \"{name}\" TEXT NOT NULL CHECK(octet_length(\"{name}\") <= {max})");
            values += &format!(", printf('%.*c', {max}, ' ')");
        }
        format!(
            "CREATE TABLE \"{table}\" (slot INTEGER PRIMARY KEY, seq INTEGER NOT NULL{columns}) STRICT;\n\
             WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {depth})\n\
             INSERT INTO \"{table}\" SELECT i, {WIDEST}{values} FROM n;\n"
        )
    }

    /// Writes row `seq` into its slot.
    ///
    /// # Errors
    /// SQLite's own; [`rusqlite::Error::StatementChangedRows`] when the slot holds this row or a newer one, or the
    /// numbers of values do not fit the definition ([`rusqlite::Error::InvalidParameterCount`]).
    pub fn put(
        &self,
        tx: &Transaction<'_>,
        seq: u64,
        integers: &[i64],
        blobs: &[&[u8]],
        texts: &[&str],
    ) -> rusqlite::Result<()> {
        let wanted = [self.integers.len(), self.blobs.len(), self.texts.len()];
        let given = [integers.len(), blobs.len(), texts.len()];
        if given != wanted {
            return Err(rusqlite::Error::InvalidParameterCount(given.iter().sum(), wanted.iter().sum()));
        }
        let mut sql = format!("UPDATE \"{}\" SET seq = ?2", self.table);
        for (n, name) in self.names().enumerate() {
            sql += &format!(", \"{name}\" = ?{}", n + 3);
        }
        sql += " WHERE slot = ?1 AND seq < ?2";
        let slot = (seq % self.depth) as i64;
        let values = [slot, seq as i64].into_iter().chain(integers.iter().copied()).map(ToSqlOutput::from);
        let blobs = blobs.iter().map(|b| ToSqlOutput::Borrowed((*b).into()));
        let texts = texts.iter().map(|t| ToSqlOutput::Borrowed((*t).into()));
        let changed = tx.prepare_cached(&sql)?.execute(params_from_iter(values.chain(blobs).chain(texts)))?;
        if changed == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(changed)) }
    }

    /// Oldest and newest row; `None` when the table is empty.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn bounds(&self, db: &Connection) -> rusqlite::Result<Option<(u64, u64)>> {
        let sql = format!("SELECT min(seq), max(seq) FROM \"{}\" WHERE seq >= 0", self.table);
        let found: (Option<i64>, Option<i64>) = db.query_row(&sql, (), |r| Ok((r.get(0)?, r.get(1)?)))?;
        Ok(match found {
            (Some(first), Some(last)) => Some((first as u64, last as u64)),
            _ => None,
        })
    }

    /// Row `seq`, `None` when it was replaced or never written.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn row(&self, db: &Connection, seq: u64) -> rusqlite::Result<Option<Stored>> {
        let sql = format!("{} WHERE slot = ?1 AND seq = ?2", self.select());
        db.prepare_cached(&sql)?.query_row([(seq % self.depth) as i64, seq as i64], |r| self.stored(r)).optional()
    }

    /// Calls `each` for the rows `from ..= to` that exist, oldest first, until it returns false. Rows come one by
    /// one: memory does not grow with the range.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn scan(
        &self,
        db: &Connection,
        from: u64,
        to: u64,
        mut each: impl FnMut(Stored) -> bool,
    ) -> rusqlite::Result<()> {
        let mut to = to.min(i64::MAX as u64);
        if to.saturating_sub(from) >= self.depth {
            // More than a turn: only the newest row tells which turn the slots are in.
            let Some((_, newest)) = self.bounds(db)? else { return Ok(()) };
            to = to.min(newest);
        }
        let from = from.max((to + 1).saturating_sub(self.depth));
        if from > to {
            return Ok(());
        }
        let (first, last) = (from % self.depth, to % self.depth);
        // The range is at most one turn: one stretch of slots, or two when it passes the end.
        let stretches =
            if first <= last { [Some((first, last)), None] } else { [Some((first, self.depth - 1)), Some((0, last))] };
        let sql = format!("{} WHERE slot BETWEEN ?1 AND ?2 AND seq BETWEEN ?3 AND ?4 ORDER BY slot", self.select());
        let mut statement = db.prepare_cached(&sql)?;
        for (a, b) in stretches.into_iter().flatten() {
            let mut rows = statement.query([a as i64, b as i64, from as i64, to as i64])?;
            while let Some(row) = rows.next()? {
                if !each(self.stored(row)?) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.integers.iter().chain(self.blobs.iter().chain(&self.texts).map(|(name, _)| name))
    }

    fn select(&self) -> String {
        let columns: String = self.names().map(|n| format!(", \"{n}\"")).collect();
        format!("SELECT seq{columns} FROM \"{}\"", self.table)
    }

    fn stored(&self, row: &Row<'_>) -> rusqlite::Result<Stored> {
        let integers = (0..self.integers.len()).map(|n| row.get(n + 1)).collect::<rusqlite::Result<_>>()?;
        let first_blob = 1 + self.integers.len();
        let blobs = (0..self.blobs.len()).map(|n| row.get(n + first_blob)).collect::<rusqlite::Result<_>>()?;
        let first_text = first_blob + self.blobs.len();
        let texts = (0..self.texts.len()).map(|n| row.get(n + first_text)).collect::<rusqlite::Result<_>>()?;
        Ok(Stored { seq: row.get::<_, i64>(0)? as u64, integers, blobs, texts })
    }
}

/// Content of whole tables as one digest-ready byte stream, for comparing two databases: rows in slot order, every
/// value with its type. Independent of page layout.
///
/// # Errors
/// SQLite's own.
pub fn logical_content(db: &Connection, table: &str, mut sink: impl FnMut(&[u8])) -> rusqlite::Result<()> {
    let mut statement = db.prepare(&format!("SELECT * FROM \"{table}\" ORDER BY rowid"))?;
    let columns = statement.column_count();
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        for n in 0..columns {
            match row.get::<_, Value>(n)? {
                Value::Null => sink(b"n"),
                Value::Integer(i) => {
                    sink(b"i");
                    sink(&i.to_le_bytes());
                }
                Value::Real(r) => {
                    sink(b"r");
                    sink(&r.to_bits().to_le_bytes());
                }
                Value::Text(t) => length_then(t.as_bytes(), b"t", &mut sink),
                Value::Blob(b) => length_then(&b, b"b", &mut sink),
            }
        }
    }
    Ok(())
}

fn length_then(bytes: &[u8], kind: &[u8], sink: &mut impl FnMut(&[u8])) {
    sink(kind);
    sink(&(bytes.len() as u64).to_le_bytes());
    sink(bytes);
}
