use super::*;
use meter_core::{Meter, Params};
use std::collections::BTreeMap;

/// The schema files are what the loggers ask for. When this fails because a logger changed, add a migration; a released
/// file stays.
#[test]
fn the_schema_fits_the_loggers() {
    let ddl = |tables: &[Circular]| -> String { tables.iter().map(Circular::ddl).collect() };
    let all = tables();
    let first = String::from(
        "CREATE TABLE state (id INTEGER PRIMARY KEY CHECK(id = 0), generation INTEGER NOT NULL, \
         durable BLOB NOT NULL) STRICT;\nINSERT INTO state VALUES (0, -9223372036854775808, zeroblob(1024));\n",
    );
    assert_eq!(include_str!("v1.sql"), first + &ddl(&all[..3]));
    // As many pieces as a state has, so that the file never grows.
    let second = String::from(
        "CREATE TABLE state_piece (id INTEGER PRIMARY KEY, piece BLOB NOT NULL) STRICT;\n\
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6)\n\
         INSERT INTO state_piece SELECT i, zeroblob(988) FROM n;\n",
    );
    assert_eq!(pieces(&Durable::new(false, Params::default()).encode()).count(), 1 + 6);
    assert_eq!(include_str!("v2.sql"), second + &ddl(&all[3..]));
}

/// What a row's transaction changes of the state: the first piece and those that differ.
#[test]
fn pieces_of_the_state_that_did_not_change_are_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).store;
    let mut life = Life::new(None);
    store.apply(&life.row(LoggerId::Load)).unwrap();
    let changes = |store: &mut MeterStore, life: &mut Life| {
        let before = store.database().connection().total_changes();
        store.apply(&life.row(LoggerId::Load)).unwrap();
        store.database().connection().total_changes() - before
    };
    // The row, the first piece, and the piece with the cursors.
    assert_eq!(changes(&mut store, &mut life), 3);
    life.durable.params.period_min = 30;
    assert_eq!(changes(&mut store, &mut life), 4);
    drop(store);
    // As it was, without the ring.
    std::fs::remove_file(dir.path().join(FOLDER).join(RING)).unwrap();
    assert_eq!(open(dir.path()).durable, Some(life.durable));
}

/// A life without a coprocessor: rows chained by hand, the settled record counting up.
struct Life {
    durable: Durable,
}

impl Life {
    fn new(durable: Option<Durable>) -> Life {
        Life { durable: durable.unwrap_or_else(|| Durable::new(false, Params::default())) }
    }

    fn minute(&mut self) -> Tx {
        self.durable.seq += 1;
        Tx { durable: self.durable, rows: Vec::new(), event_ack: None, heads: Vec::new() }
    }

    fn row(&mut self, id: LoggerId) -> Tx {
        let cursor = &mut self.durable.cursors[id.index()];
        let seq = cursor.next;
        let mut row = Row {
            seq,
            start: Utc(seq as i64 * 900_000_000),
            end: Utc((seq as i64 + 1) * 900_000_000),
            status: Status(u32::MAX),
            values: (0..id.spec().columns.len()).map(|_| 0).collect(),
            text: if id.spec().text { "wer".into() } else { String::new() },
            prev: cursor.head,
            hash: [0; 32],
        };
        row.hash = meter_core::row_hash(id, &row);
        (cursor.next, cursor.head) = (seq + 1, row.hash);
        Tx { rows: vec![(id, row)], ..self.minute() }
    }
}

fn open(dir: &Path) -> Opened {
    MeterStore::open(dir, Durability::Full).unwrap()
}

fn all(store: &MeterStore, id: LoggerId) -> Vec<Row> {
    let mut rows = Vec::new();
    store
        .rows(id, 1, u64::MAX, |row| {
            rows.push(row);
            true
        })
        .unwrap();
    rows
}

#[test]
fn rows_and_state_come_back_and_verify() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { mut store, durable, notices, .. } = open(dir.path());
    assert_eq!((durable, notices), (None, vec![]));
    let mut life = Life::new(None);
    let mut written: BTreeMap<usize, Vec<Row>> = BTreeMap::new();
    for n in 0..48 {
        let tx = match LoggerId::ALL.get(n % 8) {
            Some(id) => life.row(*id),
            None => life.minute(),
        };
        store.apply(&tx).unwrap();
        tx.rows.into_iter().for_each(|(id, row)| written.entry(id.index()).or_default().push(row));
    }
    for _ in 0..2 {
        for id in LoggerId::ALL {
            assert_eq!(all(&store, id), written[&id.index()]);
            assert_eq!(store.bounds(id), Some((1, 6)));
        }
        assert_eq!(store.durable().unwrap(), Some(life.durable));
        let verification = store.verify().unwrap();
        assert_eq!(verification.findings, Vec::<String>::new());
        drop(store);
        assert_eq!(verify_stopped(dir.path()).unwrap(), verification);
        let opened = open(dir.path());
        assert_eq!((opened.durable, opened.notices), (Some(life.durable), vec![]));
        store = opened.store;
    }
}

#[test]
fn the_newer_of_database_and_ring_wins_both_ways() {
    let dir = tempfile::tempdir().unwrap();
    let ring = dir.path().join(FOLDER).join(RING);
    let mut store = open(dir.path()).store;
    let mut life = Life::new(None);
    store.apply(&life.row(LoggerId::Load)).unwrap();
    // Ring newer: a minute after the row.
    store.apply(&life.minute()).unwrap();
    drop(store);
    let Opened { mut store, durable, .. } = open(dir.path());
    assert_eq!(durable, Some(life.durable));
    // Database newer: the process died between the commit and the ring.
    let before = std::fs::read(&ring).unwrap();
    store.apply(&life.row(LoggerId::Load)).unwrap();
    drop(store);
    std::fs::write(&ring, before).unwrap();
    let Opened { mut store, durable, notices, .. } = open(dir.path());
    assert_eq!((durable, notices), (Some(life.durable), vec![]));
    store.apply(&life.row(LoggerId::Load)).unwrap();
    drop(store);
    // No ring at all: the database's state, and a new ring.
    std::fs::remove_file(&ring).unwrap();
    let Opened { mut store, durable, notices, .. } = open(dir.path());
    assert_eq!((durable, notices), (Some(life.durable), vec![]));
    store.apply(&life.minute()).unwrap();
    drop(store);
    assert_eq!(open(dir.path()).durable, Some(life.durable));
}

#[test]
fn after_a_corrupt_database_the_ring_carries_on() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join(FOLDER);
    let mut store = open(dir.path()).store;
    let mut life = Life::new(None);
    for _ in 0..3 {
        store.apply(&life.row(LoggerId::Load)).unwrap();
    }
    drop(store);
    let garbage = vec![0x11; 100_000];
    std::fs::write(folder.join(DATABASE), &garbage).unwrap();
    assert!(!verify_stopped(dir.path()).unwrap().ok());
    let Opened { mut store, durable, notices, .. } = open(dir.path());
    assert_eq!(durable, Some(life.durable));
    assert!(notices[0].contains("meter.db.corrupt-1"), "{notices:?}");
    assert_eq!(std::fs::read(folder.join("meter.db.corrupt-1")).unwrap(), garbage);
    store.apply(&life.row(LoggerId::Load)).unwrap();
    assert_eq!(store.bounds(LoggerId::Load), Some((4, 4)));
    assert_eq!(store.verify().unwrap().findings, Vec::<String>::new());
    drop(store);
    assert_eq!(open(dir.path()).durable, Some(life.durable));
}

#[test]
fn an_exchanged_ring_never_leads_to_rows_written_twice() {
    let dir = tempfile::tempdir().unwrap();
    let ring = dir.path().join(FOLDER).join(RING);
    let mut store = open(dir.path()).store;
    let mut life = Life::new(None);
    store.apply(&life.row(LoggerId::Load)).unwrap();
    let old = life.durable.encode();
    store.apply(&life.row(LoggerId::Load)).unwrap();
    drop(store);
    let (mut file, _, _) = RegisterRing::open(&ring, Sync::Full).unwrap();
    file.write(1_000_000, &old).unwrap();
    drop(file);
    let Opened { mut store, durable, notices, .. } = open(dir.path());
    assert_eq!(durable, Some(life.durable));
    assert!(notices[0].contains("load row 2 is newer than the register ring"), "{notices:?}");
    store.apply(&life.row(LoggerId::Load)).unwrap();
    drop(store);
    let opened = open(dir.path());
    assert_eq!((opened.durable, opened.notices), (Some(life.durable), vec![]));
}

#[test]
fn a_flipped_bit_in_a_row_is_found_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).store;
    let mut life = Life::new(None);
    let units: Vec<Tx> = (0..20).map(|_| life.row(LoggerId::Load)).collect();
    store.apply_all(&units.iter().collect::<Vec<_>>()).unwrap();
    store.database().connection().execute("UPDATE log_load SET v11 = v11 | 1 WHERE seq = 13", ()).unwrap();
    let findings = store.verify().unwrap().findings;
    assert!(findings.iter().any(|f| f.starts_with("load row 13: content does not match")), "{findings:?}");
}

#[test]
fn a_state_that_cannot_be_read_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let ring = dir.path().join(FOLDER).join(RING);
    drop(open(dir.path()));
    let (mut file, _, _) = RegisterRing::open(&ring, Sync::Full).unwrap();
    file.write(5, &[9; 955]).unwrap();
    let error = MeterStore::open(dir.path(), Durability::Full).err().unwrap().to_string();
    assert!(error.contains("settled state has version 9"), "{error}");
}

#[test]
fn without_durability_the_state_is_saved_at_the_end_and_the_content_is_the_same() {
    let run = |durability| {
        let dir = tempfile::tempdir().unwrap();
        let mut store = MeterStore::open(dir.path(), durability).unwrap().store;
        let mut life = Life::new(None);
        for _ in 0..3 {
            store.apply(&life.row(LoggerId::Load)).unwrap();
            store.apply(&life.minute()).unwrap();
        }
        store.flush().unwrap();
        let hash = store.content_hash().unwrap();
        drop(store);
        let opened = open(dir.path());
        assert_eq!(opened.durable, Some(life.durable));
        assert_eq!(opened.store.content_hash().unwrap(), hash);
        hash
    };
    assert_eq!(run(Durability::Full), run(Durability::Off));
}

#[test]
fn the_database_does_not_grow_when_the_loggers_turn() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = MeterStore::open(dir.path(), Durability::Off).unwrap().store;
    let pages = |store: &MeterStore| {
        store.database().connection().query_row("PRAGMA page_count", (), |r| r.get::<_, i64>(0)).unwrap()
    };
    let before = pages(&store);
    let mut life = Life::new(None);
    // The audit log is the shallow one with texts; a turn and a bit.
    for _ in 0..45 {
        let units: Vec<Tx> = (0..100).map(|_| life.row(LoggerId::Audit)).collect();
        store.apply_all(&units.iter().collect::<Vec<_>>()).unwrap();
    }
    assert_eq!(pages(&store), before);
    assert_eq!(store.bounds(LoggerId::Audit), Some((405, 4500)));
    assert_eq!(all(&store, LoggerId::Audit).len(), 4096);
}

#[test]
fn a_stored_state_starts_a_meter() {
    let durable = Life::new(None).durable;
    assert!(Meter::new(meter_core::Settings::default(), Some(durable)).is_ok());
}
