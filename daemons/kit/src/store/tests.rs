use super::circular::{Circular, Stored};
use super::writer::{Keeper, Trouble, Writer, trouble};
use super::*;
use std::sync::mpsc;
use std::time::Duration;

const ID: i32 = 0x4d47_5401;
/// Far longer than anything here takes, so that a hang fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);

fn schema(migrations: &[&'static str]) -> Schema {
    Schema { application_id: ID, migrations: migrations.iter().map(|s| Migration::Sql((*s).into())).collect() }
}

fn v1() -> Schema {
    schema(&["CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER NOT NULL) STRICT;"])
}

fn open(path: &Path) -> (Database, Vec<Notice>) {
    Database::open(path, &v1(), Durability::Full).unwrap()
}

#[test]
fn the_recipe_is_in_force_and_stays_over_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    assert_eq!(open(&path).1, [Notice::Created]);
    let (db, notices) = open(&path);
    assert_eq!(notices, []);
    let text = |p: &str| db.connection().query_row(&format!("PRAGMA {p}"), (), |r| r.get::<_, String>(0)).unwrap();
    let number = |p: &str| db.connection().query_row(&format!("PRAGMA {p}"), (), |r| r.get::<_, i64>(0)).unwrap();
    assert_eq!(text("journal_mode"), "wal");
    for (pragma, value) in [
        ("page_size", 4096),
        ("synchronous", 2),
        ("wal_autocheckpoint", 64),
        ("journal_size_limit", 1 << 20),
        ("mmap_size", 0),
        ("temp_store", 2),
        ("foreign_keys", 1),
        ("trusted_schema", 0),
        ("cell_size_check", 1),
        ("busy_timeout", 5000),
        ("auto_vacuum", 0),
        ("application_id", i64::from(ID)),
        ("user_version", 1),
    ] {
        assert_eq!(number(pragma), value, "{pragma}");
    }
    assert!(rusqlite::version_number() >= SQLITE_MIN);
}

#[test]
fn a_newer_file_is_refused_and_not_one_byte_of_it_changes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let newer = schema(&["CREATE TABLE t (id INTEGER PRIMARY KEY) STRICT;", "CREATE TABLE u (id INTEGER) STRICT;"]);
    drop(Database::open(&path, &newer, Durability::Full).unwrap());
    let before = std::fs::read(&path).unwrap();
    let error = Database::open(&path, &v1(), Durability::Full).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 2, known: 1, .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn an_older_file_is_migrated_with_its_content() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    open(&path).0.connection().execute("INSERT INTO t VALUES (1, 42)", ()).unwrap();
    let v2 = schema(&[
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER NOT NULL) STRICT;",
        "ALTER TABLE t ADD COLUMN w INTEGER NOT NULL DEFAULT 7;",
    ]);
    let (db, notices) = Database::open(&path, &v2, Durability::Full).unwrap();
    assert_eq!(notices, [Notice::Migrated { from: 1, to: 2 }]);
    let row: (i64, i64) = db.connection().query_row("SELECT v, w FROM t", (), |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
    assert_eq!(row, (42, 7));
}

#[test]
fn a_failed_migration_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    drop(open(&path));
    let broken = schema(&["", "CREATE TABLE u (id INTEGER) STRICT; INSERT INTO nowhere VALUES (1);"]);
    assert!(matches!(Database::open(&path, &broken, Durability::Full), Err(StoreError::Sqlite { .. })));
    let (db, notices) = open(&path);
    assert_eq!(notices, []);
    assert!(db.connection().prepare("SELECT * FROM u").is_err());
}

#[test]
fn corrupt_files_are_kept_under_numbered_names() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let mut kept = Vec::new();
    // Garbage, an empty file, a cut header, and a database whose second page is overwritten.
    for n in 1..=4 {
        let damaged = match n {
            1 => vec![0xa5; 8192],
            2 => Vec::new(),
            3 => MAGIC.to_vec(),
            _ => {
                let mut bytes = std::fs::read(&path).unwrap();
                bytes[4096..].fill(0xee);
                bytes
            }
        };
        std::fs::write(&path, &damaged).unwrap();
        let (db, notices) = open(&path);
        let to = dir.path().join(format!("a.db.corrupt-{n}"));
        assert!(matches!(&notices[..], [Notice::MovedAside { to: t, .. }] if *t == to), "{n}: {notices:?}");
        assert_eq!(db.connection().query_row("SELECT count(*) FROM t", (), |r| r.get::<_, i64>(0)).unwrap(), 0);
        kept.push((to, damaged));
    }
    for (to, bytes) in kept {
        assert_eq!(std::fs::read(&to).unwrap(), bytes, "{}", to.display());
    }
}

#[test]
fn a_suspect_file_is_moved_aside_though_it_looks_well() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    open(&path).0.mark_suspect();
    let (_, notices) = open(&path);
    assert!(matches!(&notices[..], [Notice::MovedAside { .. }]), "{notices:?}");
    assert_eq!(open(&path).1, []);
}

#[test]
fn verification_makes_and_moves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    assert!(matches!(Database::open_existing(&path, &v1()), Err(StoreError::Missing(_))));
    std::fs::write(&path, [1; 5000]).unwrap();
    assert!(matches!(Database::open_existing(&path, &v1()), Err(StoreError::Corrupt { .. })));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_stray_log_is_not_replayed_into_a_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let (db, _) = open(&path);
    db.connection().execute("INSERT INTO t VALUES (1, 42)", ()).unwrap();
    let wal = std::fs::read(suffixed(&path, "-wal")).unwrap();
    drop(db);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(suffixed(&path, "-wal"), wal).unwrap();
    let (db, _) = open(&path);
    assert_eq!(db.connection().query_row("SELECT count(*) FROM t", (), |r| r.get::<_, i64>(0)).unwrap(), 0);
}

#[test]
fn a_circular_table_never_grows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let ring = Circular::new("ring", &["a", "b", "c"], &[("hash", 32)], 50).with_text("who", 96);
    let schema = Schema { application_id: ID, migrations: vec![Migration::Sql(ring.ddl().into())] };
    let (mut db, _) = Database::open(&path, &schema, Durability::Full).unwrap();
    let pages = |db: &Database| db.connection().query_row("PRAGMA page_count", (), |r| r.get::<_, i64>(0)).unwrap();
    let before = pages(&db);
    let values = |seq: u64| match seq % 3 {
        0 => [i64::MIN, i64::MAX, i64::MAX - seq as i64],
        1 => [0, 1, seq as i64],
        _ => [-1, 1 << 40, -(seq as i64) << 20],
    };
    let who = |seq: u64| "ä".repeat(seq as usize % 49);
    assert_eq!(ring.bounds(db.connection()).unwrap(), None);
    for seq in 1..=500u64 {
        let tx = db.connection_mut().transaction().unwrap();
        ring.put(&tx, seq, &values(seq), &[&[seq as u8; 32]], &[&who(seq)]).unwrap();
        tx.commit().unwrap();
        assert_eq!(pages(&db), before, "at row {seq}");
    }
    assert_eq!(ring.bounds(db.connection()).unwrap(), Some((451, 500)));
    assert_eq!(ring.row(db.connection(), 450).unwrap(), None);
    let expected = |seq: u64| Stored {
        seq,
        integers: values(seq).to_vec(),
        blobs: vec![vec![seq as u8; 32]],
        texts: vec![who(seq)],
    };
    assert_eq!(ring.row(db.connection(), 499).unwrap(), Some(expected(499)));
    for (from, to) in
        [(451, 500), (0, u64::MAX >> 1), (460, 470), (495, 520), (449, 451), (500, 500), (501, 540), (7, 3)]
    {
        let mut got = Vec::new();
        ring.scan(db.connection(), from, to, |row| {
            got.push(row);
            true
        })
        .unwrap();
        let wanted: Vec<_> = (from.max(451)..=to.min(500)).map(expected).collect();
        assert_eq!(got, wanted, "{from}..={to}");
    }
}

#[test]
fn a_row_is_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let ring = Circular::new("ring", &["a"], &[("hash", 4)], 5);
    let schema = Schema { application_id: ID, migrations: vec![Migration::Sql(ring.ddl().into())] };
    let (mut db, _) = Database::open(&dir.path().join("a.db"), &schema, Durability::Full).unwrap();
    let mut put = |seq, ints: &[i64], blob: &[u8]| {
        let tx = db.connection_mut().transaction().unwrap();
        ring.put(&tx, seq, ints, &[blob], &[]).and_then(|()| tx.commit())
    };
    put(7, &[1], b"abcd").unwrap();
    put(7, &[2], b"abcd").unwrap_err();
    put(2, &[3], b"abcd").unwrap_err();
    put(8, &[3], b"abc").unwrap_err();
    put(8, &[3, 4], b"abcd").unwrap_err();
    put(12, &[5], b"abcd").unwrap();
    assert_eq!(ring.bounds(db.connection()).unwrap(), Some((12, 12)));
}

/// Inserts blobs; a query raises the page limit, as somebody who frees disk space would.
struct Blobs {
    db: Database,
    done: mpsc::Sender<Vec<u32>>,
}

impl Keeper for Blobs {
    type Write = u32;
    type Query = i64;

    fn commit(&mut self, writes: &[u32]) -> rusqlite::Result<()> {
        let tx = self.db.connection_mut().transaction()?;
        for id in writes {
            tx.execute("INSERT INTO blobs VALUES (?1, zeroblob(20000))", [id])?;
        }
        tx.commit()
    }

    fn committed(&mut self, writes: Vec<u32>) {
        self.done.send(writes).unwrap();
    }

    fn query(&mut self, pages: i64) {
        self.db.connection().query_row(&format!("PRAGMA max_page_count={pages}"), (), |_| Ok(())).unwrap();
    }

    fn suspect(&mut self) {}
}

#[test]
fn a_full_disk_keeps_the_work_in_order_and_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let schema = schema(&["CREATE TABLE blobs (id INTEGER PRIMARY KEY, b BLOB NOT NULL) STRICT;"]);
    let (db, _) = Database::open(&path, &schema, Durability::Full).unwrap();
    let (done, receive) = mpsc::channel();
    let writer = Writer::spawn("store", Blobs { db, done }).unwrap();
    let handle = writer.handle();
    handle.query(4).unwrap();
    for id in 1..=writer::WRITES_MAX as u32 {
        handle.write(id).unwrap();
    }
    assert_eq!(handle.try_write(1000), Err(1000));
    let began = std::time::Instant::now();
    while handle.health().trouble() != Some(Trouble::Full) {
        assert!(began.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(receive.try_recv().is_err());
    handle.query(100_000).unwrap();
    let mut got = Vec::new();
    while got.len() < writer::WRITES_MAX {
        got.extend(receive.recv_timeout(PATIENCE).unwrap());
    }
    assert_eq!(got, (1..=writer::WRITES_MAX as u32).collect::<Vec<_>>());
    assert_eq!((handle.health().trouble(), handle.health().waiting()), (None, 0));
    assert!(handle.health().retries() > 0);
    handle.write(1000).unwrap();
    writer.stop();
    assert_eq!(receive.recv().unwrap(), [1000]);
    assert_eq!(handle.write(1001), Err(1001));
    let db = Database::open_existing(&path, &schema).unwrap();
    let count = |sql| db.connection().query_row(sql, (), |r| r.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM blobs"), writer::WRITES_MAX as i64 + 1);
}

#[test]
fn troubles_are_told_apart() {
    use rusqlite::ffi::*;
    let of = |code| trouble(&rusqlite::Error::SqliteFailure(Error::new(code), None));
    for (code, wanted) in [
        (SQLITE_FULL, Trouble::Full),
        (SQLITE_IOERR_SHMSIZE, Trouble::Full),
        (SQLITE_BUSY, Trouble::Busy),
        (SQLITE_IOERR_FSYNC, Trouble::Io),
        (SQLITE_IOERR_WRITE, Trouble::Io),
        (SQLITE_CORRUPT, Trouble::Corrupt),
        (SQLITE_NOTADB, Trouble::Corrupt),
        (SQLITE_CONSTRAINT, Trouble::Fault),
    ] {
        assert_eq!(of(code), wanted, "{code}");
    }
    assert_eq!(trouble(&rusqlite::Error::InvalidQuery), Trouble::Fault);
}

/// The other half of the next test: commits numbers until it is killed and tells each on stdout once it is safe.
#[test]
fn child_that_commits_until_killed() {
    let Ok(path) = std::env::var("KIT_STORE_CHILD") else { return };
    let (db, _) = open(Path::new(&path));
    for n in 0..1_000_000i64 {
        db.connection().execute("INSERT INTO t VALUES (?1, ?1)", [n]).unwrap();
        println!("committed {n}");
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    use std::io::{BufRead, BufReader};
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let path = dir.path().join(format!("{round}.db"));
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::child_that_commits_until_killed", "--nocapture"])
            .env("KIT_STORE_CHILD", &path)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = -1;
        for line in lines.map_while(Result::ok) {
            let Some(n) = line.strip_prefix("committed ") else { continue };
            acknowledged = n.parse::<i64>().unwrap();
            if acknowledged == 40 + round * 17 {
                // SIGKILL. Lines already in the pipe still count.
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged >= 40, "the child never got going");
        let (db, notices) = open(&path);
        assert_eq!(notices, []);
        let last: i64 = db.connection().query_row("SELECT max(id) FROM t", (), |r| r.get(0)).unwrap();
        assert!(last >= acknowledged, "acknowledged {acknowledged}, found {last}");
        assert_eq!(db.integrity_check().unwrap(), Vec::<String>::new());
    }
}
