//! Power cuts at any moment: what the meter acknowledged is on the disk, whatever its cache forgets.
//!
//! The real registerd runs on ext4 on a disk whose cache forgets (`metergate_tests::power_loss`), with commands coming
//! in as fast as it answers. While it runs, cuts are taken at random moments: each gives what the disk would hold, which
//! is mounted beside the running meter (the journal is replayed) and checked. Every fiftieth cut is carried out: the
//! meter starts again on what it left, and is cut in its recovery too. At the end its registers are the coprocessor's
//! counters, as if nothing had happened.
//!
//! The rig is proved by controls: the same disk below a database in modes that promise less loses rows.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use meter_bus::{ClockProxy, HealthProxy, ProfileProxy};
use meter_core::{LOGGERS, LoggerSpec};
use metergate_tests::power_loss::impossible;
use metergate_tests::power_loss::medium::Survivors;
use metergate_tests::power_loss::mounted::{CutDisk, empty};
use metergate_tests::rig::{Rig, Setup, on_bus};
use metergate_tests::state::{rows, settled};
use metergate_tests::{SOON, library, random_seed, skip, tier, wait_for};
use registerd::store::verify_stopped;

/// Holds the circular tables, the ring and a journal, with a third of it free.
const DISK: usize = 40 << 20;
/// Cuts of `tests/run` (a third of a second each) and of the long tier; METERGATE_CUTS asks for another number.
const CUTS: u64 = 300;
const CUTS_LONG: u64 = 10_000;
/// Cuts per life; the last is carried out.
const LIFE: u64 = 50;
/// Of these, so many fall into the start.
const AT_START: u64 = 8;

/// What somebody has been told, per logger: the newest row.
type Acknowledged = BTreeMap<String, u64>;

#[test]
fn what_was_acknowledged_survives_every_cut() {
    if let Some(reason) = impossible() {
        return skip("what_was_acknowledged_survives_every_cut", reason);
    }
    let asked = std::env::var("METERGATE_CUTS").ok().and_then(|n| n.parse().ok());
    let cuts = asked.unwrap_or(if tier("METERGATE_LONG") { CUTS_LONG } else { CUTS });
    let seed = random_seed();
    let folder = tempfile::tempdir().expect("a temporary folder");
    // A minute a second: the register ring is written as often, the load profile every fifteen.
    let rig = Rig::without_registerd(Setup { speed: 60.0, seed, ..Setup::default() });
    let mut image = empty(DISK).expect("make a file system");
    let told = Mutex::new(Acknowledged::new());
    let mut tally = Tally::default();
    for life in 0..cuts.div_ceil(LIFE) {
        let disk = CutDisk::mount(image, folder.path()).expect("mount the disk after the cut");
        rig.start_registerd_as(registerd_on(&rig, disk.path()));
        let mut random = fastrand::Rng::with_seed(seed ^ (life + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        // Nothing new can be promised before it answers; what was promised must be there in the middle of recovery.
        let before = lock(&told).clone();
        for _ in 0..AT_START {
            std::thread::sleep(Duration::from_micros(random.u64(0..30_000)));
            tally.judge(&disk, random.u64(..), &before, seed);
        }
        rig.wait_name();
        let done = AtomicBool::new(false);
        let bus = rig.bus().to_owned();
        let cut = std::thread::scope(|scope| {
            let commands = scope.spawn(|| keep_commanding(&bus, &told, &done));
            for _ in AT_START..LIFE - 1 {
                std::thread::sleep(Duration::from_micros(random.u64(0..20_000)));
                let promised = lock(&told).clone();
                tally.judge(&disk, random.u64(..), &promised, seed);
                assert!(!commands.is_finished(), "nobody commands any more");
            }
            // Power goes everywhere at once: nothing may be acknowledged to the coprocessor between the cut and the kill.
            rig.freeze_registerd();
            let promised = lock(&told).clone();
            let cut = tally.judge(&disk, random.u64(..), &promised, seed);
            rig.kill_registerd();
            done.store(true, Ordering::Relaxed);
            commands.join().expect("commands");
            cut
        });
        image = cut;
        drop(disk);
        eprintln!("{tally}");
    }
    let disk = CutDisk::mount(image, folder.path()).expect("mount the disk after the last cut");
    rig.start_registerd_as(registerd_on(&rig, disk.path()));
    rig.wait_ready();
    let (well, lines) = rig.on_bus(async |bus| Ok(HealthProxy::new(&bus).await?.verify().await?));
    assert!(well, "{lines:?}");
    assert!(lines.iter().any(|l| l.contains("heads kept in the coprocessor compared")), "{lines:?}");
    rig.stop_registerd();
    let state = disk.path().join("state");
    let left = settled(&state);
    assert_eq!(left.registers, left.counters, "a register is not the coprocessor's counter");
    assert!(left.registers.total.a_plus > 0, "nothing was metered");
    let verification = verify_stopped(&state).expect("verify");
    assert!(verification.ok(), "{:?}", verification.findings);
    assert!(tally.acknowledged > cuts / 10, "hardly anything was acknowledged between the cuts: {tally}");
    println!("{tally}");
}

/// How the cuts went.
#[derive(Default)]
struct Tally {
    cuts: u64,
    how: [u64; 4],
    /// Rows acknowledged from one cut to the next, summed.
    acknowledged: u64,
    rows: u64,
    /// The settled record that is durable for certain, of cuts that let nothing through.
    settled: u64,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [nothing, prefix, subset, torn] = self.how;
        write!(
            f,
            "{} cuts ({nothing} without the cache, {prefix} with a part in order, {subset} with any part, {torn} torn): 0 \
             acknowledged rows lost of {}, 0 corrupt databases, settled record {}",
            self.cuts, self.acknowledged, self.settled
        )
    }
}

impl Tally {
    /// Takes a cut and checks what it leaves against what was `promised` before it.
    fn judge(&mut self, disk: &CutDisk, seed: u64, promised: &Acknowledged, run: u64) -> Vec<u8> {
        let (image, how) = disk.medium().cut(seed);
        self.cuts += 1;
        self.how[how as usize] += 1;
        let name = format!("cut {} ({how:?}) of METERGATE_SEED={run}", self.cuts);
        let left = disk.look_at(&image).unwrap_or_else(|e| panic!("{name}: {e:#}"));
        let state = left.path().join("state");
        if promised.is_empty() && !state.join("meter/meter.db").exists() {
            // Cut before the database was complete: nothing was promised yet.
            return image;
        }
        let verification = verify_stopped(&state).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(verification.ok(), "{name}: {:?}", verification.findings);
        let found = newest_rows(left.path());
        for (logger, newest) in promised {
            let found = found.get(logger).copied().unwrap_or(0);
            assert!(
                found >= *newest,
                "{name}: {logger} row {newest} was acknowledged, {found} is the newest on the disk"
            );
        }
        let total: u64 = promised.values().sum();
        self.acknowledged += total.saturating_sub(self.rows);
        self.rows = self.rows.max(total);
        if !promised.is_empty() {
            let record = settled(&state).seq;
            assert!(record >= self.settled, "{name}: the registers went back from record {} to {record}", self.settled);
            if how == Survivors::Nothing {
                self.settled = record;
            }
        }
        image
    }
}

/// The newest row of each logger below a mounted disk, counted without gaps from the oldest.
fn newest_rows(mounted: &Path) -> Acknowledged {
    let state = mounted.join("state");
    LOGGERS
        .iter()
        .map(|LoggerSpec { name: logger, .. }| {
            let rows = rows(&state, logger);
            for pair in rows.windows(2) {
                assert_eq!(pair[0].seq + 1, pair[1].seq, "{logger}: a row is missing");
            }
            ((*logger).to_owned(), rows.last().map_or(0, |r| r.seq))
        })
        .collect()
}

/// registerd with its state on the disk.
fn registerd_on(rig: &Rig<'_>, disk: &Path) -> Command {
    let state = disk.join("state");
    std::fs::create_dir_all(&state).expect("make the state folder");
    let mut command = Command::new(metergate_tests::binary("registerd"));
    command.arg("--config").arg(rig.config()).arg("--state").arg(state);
    command.env(meter_bus::BUS_ENV, rig.bus());
    command
}

/// Gives commands without a pause, and notes what every answer and every visible row promises.
fn keep_commanding(bus: &str, told: &Mutex<Acknowledged>, done: &AtomicBool) {
    on_bus(bus, &[], async |bus| {
        let (clock, profile) = (ClockProxy::new(&bus).await?, ProfileProxy::new(&bus).await?);
        let mut forward = true;
        while !done.load(Ordering::Relaxed) {
            // Back and forth, so that meter time stays where it is. A meter that dies does not answer.
            let delta = if forward { 2_000 } else { -2_000 };
            forward = !forward;
            let _ = tokio::time::timeout(SOON, clock.adjust(delta, "power loss test")).await;
            let Ok(Ok(list)) = tokio::time::timeout(SOON, profile.list()).await else {
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            };
            let newest = list.into_iter().filter(|p| p.last_seq > 0).map(|p| (p.name, p.last_seq));
            lock(told).extend(newest);
        }
        Ok(())
    });
}

fn lock<T>(value: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A database that is written as fast as it goes, one row a commit, in one of SQLite's modes; cuts of which, and how many
/// of them lost a row whose commit had returned.
fn cuts_that_lose(journal: &str, synchronous: &str, cuts: u64, enough: u64) -> u64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let disk = CutDisk::mount(empty(16 << 20).expect("make a file system"), folder.path()).expect("mount");
    let (committed, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let file = "rows.db";
    let mut random = fastrand::Rng::with_seed(7);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let db = rusqlite::Connection::open(disk.path().join(file)).expect("open");
            db.execute_batch(&format!(
                "PRAGMA journal_mode={journal}; PRAGMA synchronous={synchronous}; PRAGMA wal_autocheckpoint=64;
                 CREATE TABLE row (seq INTEGER PRIMARY KEY, content BLOB);"
            ))
            .expect("set up");
            let mut insert = db.prepare("INSERT INTO row VALUES (?1, randomblob(60))").expect("prepare");
            while !done.load(Ordering::Relaxed) {
                let next = committed.load(Ordering::Relaxed) + 1;
                insert.execute([next as i64]).expect("commit");
                committed.store(next, Ordering::Release);
            }
        });
        wait_for("the first rows", SOON, || (committed.load(Ordering::Acquire) > 20).then_some(()));
        let mut lost = 0;
        for _ in 0..cuts {
            std::thread::sleep(Duration::from_micros(random.u64(0..3_000)));
            let promised = committed.load(Ordering::Acquire);
            let (image, _) = disk.medium().cut(random.u64(..));
            let left = disk.look_at(&image).expect("mount what is left");
            let newest = rusqlite::Connection::open(left.path().join(file))
                .and_then(|db| db.query_row("SELECT ifnull(max(seq), 0) FROM row", (), |r| r.get::<_, i64>(0)));
            lost += u64::from(newest.is_ok_and(|n| (n as u64) < promised));
            if lost == enough || writer.is_finished() {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
        lost
    })
}

#[test]
fn the_rig_finds_what_weaker_modes_lose() {
    if let Some(reason) = impossible() {
        return skip("the_rig_finds_what_weaker_modes_lose", reason);
    }
    assert_eq!(cuts_that_lose("WAL", "FULL", 100, 1), 0, "the mode that the meter uses");
    assert!(cuts_that_lose("WAL", "NORMAL", 100, 3) > 0, "synchronous=NORMAL lost nothing: the rig is broken");
    assert!(cuts_that_lose("DELETE", "FULL", 600, 1) > 0, "a rollback journal lost nothing: the rig is broken");
}

#[test]
fn a_meter_whose_flushes_do_nothing_loses_rows() {
    let name = "a_meter_whose_flushes_do_nothing_loses_rows";
    if let Some(reason) = impossible() {
        return skip(name, reason);
    }
    let Some(no_flush) = library("libeatmydata.so") else {
        return skip(name, "libeatmydata is not installed (Debian: libeatmydata1)");
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rig = Rig::without_registerd(Setup { speed: 60.0, ..Setup::default() });
    let disk = CutDisk::mount(empty(DISK).expect("make a file system"), folder.path()).expect("mount");
    let mut command = registerd_on(&rig, disk.path());
    command.env("LD_PRELOAD", no_flush);
    rig.start_registerd_as(command);
    rig.wait_name();
    let (told, done) = (Mutex::new(Acknowledged::new()), AtomicBool::new(false));
    let bus = rig.bus().to_owned();
    let lost = std::thread::scope(|scope| {
        let commands = scope.spawn(|| keep_commanding(&bus, &told, &done));
        let lost = (0..100).any(|seed| {
            std::thread::sleep(Duration::from_millis(20));
            let promised = lock(&told).clone();
            let (image, _) = disk.medium().cut(seed);
            let Ok(left) = disk.look_at(&image) else { return true };
            // Whatever is wrong with what is left: here it must be.
            let intact = std::panic::catch_unwind(|| {
                let found = newest_rows(left.path());
                promised.iter().all(|(logger, newest)| found.get(logger).is_some_and(|found| found >= newest))
            });
            !intact.unwrap_or(false)
        });
        done.store(true, Ordering::Relaxed);
        commands.join().expect("commands");
        lost
    });
    assert!(lost, "a hundred cuts without a single flush lost nothing: the rig is broken");
    rig.kill_registerd();
}
