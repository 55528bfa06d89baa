//! What is wrong from outside: each fault gets one clear line, changes nothing it should not, and metering goes on.

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use meter_bus::{HealthProxy, level};
use meter_core::StatusCode;
use metergate_tests::process::{Finished, finish};
use metergate_tests::rig::{Rig, START, Setup, measured, under};
use metergate_tests::state::{database, load_rows, open, ring, rows, settled};
use metergate_tests::{SOON, binary, is_root, skip, wait_for};

/// Fast enough that an interval ends within two seconds of the start.
const SPEED: f64 = 60.0;
const MINUTE: i64 = 60_000_000;

fn fast<'a>() -> Setup<'a> {
    Setup { speed: SPEED, ..Setup::default() }
}

/// Runs registerd, which must refuse to start: exit code 1 and one line on stderr.
fn refused(rig: &Rig<'_>) -> String {
    let done = finish(rig.registerd_command(), SOON);
    one_line(&done)
}

fn one_line(done: &Finished) -> String {
    assert_eq!(done.code, Some(1), "{}", done.err);
    let lines: Vec<_> = done.err.lines().filter(|l| !l.trim().is_empty()).collect();
    assert_eq!(lines.len(), 1, "one line: {}", done.err);
    lines[0].to_owned()
}

fn verify(state: &Path) -> Finished {
    let mut command = Command::new(binary("metergate"));
    command.args(["verify", "--state"]).arg(state);
    finish(command, SOON)
}

#[test]
fn a_wrong_configuration_is_named_with_file_line_and_reason() {
    let rig = Rig::without_registerd(fast());
    let good = rig.default_config();
    let cases = [
        (format!("{good}tarif = 1\n"), "tarif"),
        (good.replace("period_min = 15", "period_min = \"15\""), "string \"15\""),
        (good.replace("period_min = 15", "period_min = 20"), "period_min"),
        (good.replace("type = \"3p\"", "type = \"5p\""), "type"),
        (good.replace("kind = \"socket\"", "kind = \"serial\""), "serial"),
        (good.replace("[meter]", "[meter"), ""),
    ];
    for (text, word) in cases {
        std::fs::write(rig.config(), &text).expect("write the configuration");
        let from_registerd = refused(&rig);
        assert!(from_registerd.contains("registerd.toml:") && from_registerd.contains(word), "{from_registerd}");
        let mut check = Command::new(binary("metergate"));
        check.args(["config", "check"]).arg(rig.config().parent().expect("its folder"));
        let done = finish(check, SOON);
        assert_eq!(done.code, Some(1), "config check passed: {text}");
        assert!(format!("{}{}", done.out, done.err).contains(word), "{}{}", done.out, done.err);
        assert!(!database(&rig.state()).exists(), "a refused start has made a database");
    }
    std::fs::write(rig.config(), &good).expect("write the configuration");
    rig.start_registerd();
    rig.wait_ready();
}

#[test]
fn a_state_folder_that_cannot_be_used_is_said_in_one_line() {
    let rig = Rig::without_registerd(fast());
    std::fs::remove_dir(rig.state()).expect("remove the folder");
    std::fs::write(rig.state(), "in the way").expect("put a file there");
    let line = refused(&rig);
    assert!(line.contains(&*rig.state().to_string_lossy()), "{line}");
    assert_eq!(std::fs::read_to_string(rig.state()).expect("the file"), "in the way");
}

#[test]
fn a_second_registerd_on_a_state_harms_nothing() {
    let rig = Rig::start(fast());
    rig.wait_ready();
    let line = refused(&rig);
    assert!(line.contains("in use"), "{line}");
    assert!(rig.registerd_runs());
    let (before, _) = rig.wait_ready();
    rig.wait_meter_time(before as i64 + MINUTE, SOON);
    rig.stop_registerd();
    assert_eq!(verify(&rig.state()).code, Some(0));
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_untouched() {
    let rig = Rig::start(fast());
    rig.wait_meter_time(START + 3 * MINUTE, SOON);
    rig.stop_registerd();
    open(&rig.state()).pragma_update(None, "user_version", 99).expect("a version from the future");
    let before = std::fs::read(database(&rig.state())).expect("the database");
    let line = refused(&rig);
    assert!(line.contains("version 99") && line.contains("meter.db"), "{line}");
    assert!(std::fs::read(database(&rig.state())).expect("the database") == before, "it was changed");
}

/// Damages the file in a way and returns what it was before.
fn damage(path: &Path, how: &str) -> Vec<u8> {
    let before = std::fs::read(path).expect("the database");
    let mut file = std::fs::OpenOptions::new().write(true).open(path).expect("open it");
    match how {
        "header" => {
            file.write_all(b"not a database at all, sorry").expect("overwrite the header");
        }
        "page" => {
            // A page that every start reads: the first of the load profile's tree.
            let db = rusqlite::Connection::open(path).expect("open it");
            let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'log_load'";
            let page: u64 = db.query_row(sql, (), |r| r.get::<_, i64>(0)).expect("its root") as u64;
            drop(db);
            file.seek(SeekFrom::Start((page - 1) * 4096)).expect("seek");
            file.write_all(&[0xA5; 4096]).expect("overwrite a page");
        }
        _ => file.set_len(before.len() as u64 / 2).expect("cut it"),
    }
    before
}

#[test]
fn a_damaged_database_is_moved_aside_and_metering_goes_on() {
    for how in ["header", "page", "cut"] {
        let rig = Rig::start(fast());
        rig.wait_meter_time(START + 5 * MINUTE, SOON);
        rig.stop_registerd();
        let last = settled(&rig.state());
        assert!(!load_rows(&rig.state()).is_empty());
        damage(&database(&rig.state()), how);
        let damaged = std::fs::read(database(&rig.state())).expect("the damaged file");

        rig.start_registerd();
        let (after, _) = rig.wait_ready();
        rig.wait_meter_time(after as i64 + 16 * MINUTE, 3 * SOON);
        let said = rig.stop_registerd();
        assert!(said.iter().any(|l| l.contains("corrupt")), "{how}: nobody was told\n{}", said.join("\n"));
        let aside = std::fs::read_dir(rig.state().join("meter")).expect("the folder").flatten();
        let aside: Vec<PathBuf> =
            aside.map(|e| e.path()).filter(|p| p.to_string_lossy().ends_with("meter.db.corrupt-1")).collect();
        assert_eq!(aside.len(), 1, "{how}: it was not kept");
        assert!(std::fs::read(&aside[0]).expect("it") == damaged, "{how}: it was not kept as it was");
        // The registers come from the ring and went on; new rows are there.
        let now = settled(&rig.state());
        assert!(
            now.seq > last.seq && now.registers.total.a_plus >= last.registers.total.a_plus,
            "{how}: registers fell"
        );
        assert_eq!(now.registers, now.counters, "{how}: registers and metrology disagree");
        assert!(!load_rows(&rig.state()).is_empty(), "{how}: no rows after it");
        // Both logs say so, and everything that is there hangs together again.
        let code = i64::from(StatusCode::StoreReplaced as u16);
        assert!(rows(&rig.state(), "status").iter().any(|r| r.values[0] == code), "{how}: the status log is silent");
        assert!(!rows(&rig.state(), "audit").is_empty(), "{how}: the audit log is silent");
        let checked = verify(&rig.state());
        assert_eq!(checked.code, Some(0), "{how}: {}{}", checked.out, checked.err);
    }
}

#[test]
fn a_lost_ring_costs_nothing_that_the_database_has() {
    let rig = Rig::start(fast());
    rig.wait_meter_time(START + 20 * MINUTE, 3 * SOON);
    rig.stop_registerd();
    let rows_before = load_rows(&rig.state());
    std::fs::write(ring(&rig.state()), vec![0xFF; 4096]).expect("destroy the ring");
    rig.start_registerd();
    let (after, _) = rig.wait_ready();
    rig.wait_meter_time(after as i64 + 16 * MINUTE, 3 * SOON);
    rig.stop_registerd();
    let now = load_rows(&rig.state());
    assert!(now.len() > rows_before.len() && now[..rows_before.len()] == rows_before[..], "rows changed");
    let settled = settled(&rig.state());
    assert_eq!(settled.registers, settled.counters, "the metrology's ring has replayed what was between");
    assert_eq!(verify(&rig.state()).code, Some(0));
}

/// Unmounts when dropped.
struct Small(PathBuf);

impl Small {
    /// A file system of `mib` MiB at `path`; `None` where that is not allowed.
    fn mount(path: &Path, mib: u32) -> Option<Small> {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"]).arg(path);
        (finish(command, SOON).code == Some(0)).then(|| Small(path.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let mut command = Command::new("umount");
        command.arg("-l").arg(&self.0);
        let _ = command.status();
    }
}

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    if !is_root() {
        return skip("disk full", "needs root, to mount a small file system");
    }
    let rig = Rig::without_registerd(fast());
    let Some(small) = Small::mount(&rig.state(), 64) else {
        return skip("disk full", "mounting a tmpfs is not allowed here");
    };
    rig.start_registerd();
    rig.wait_meter_time(START + 3 * MINUTE, SOON);
    let junk = rig.state().join("junk");
    let mut file = std::fs::File::create(&junk).expect("a file to fill the disk with");
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    let full_from = rig.wait_ready().0 as i64;
    // Three intervals end on the full disk. The registers go on in the meantime.
    rig.wait_meter_time(full_from + 46 * MINUTE, 5 * SOON);
    assert!(rig.registerd_runs(), "a full disk stopped the meter:\n{}", rig.registerd_said().join("\n"));
    let health = rig.on_bus(async |bus| Ok(HealthProxy::new(&bus).await?.state().await?));
    assert!(health.iter().any(|i| i.level != level::OK), "nothing is said of the full disk: {health:?}");
    std::fs::remove_file(junk).expect("make room");
    let free_from = rig.wait_ready().0 as i64;
    rig.wait_meter_time(free_from + 31 * MINUTE, 5 * SOON);
    let said = rig.stop_registerd();
    assert!(said.iter().any(|l| l.contains("full")), "{}", said.join("\n"));
    let rows = load_rows(&rig.state());
    let ends: Vec<_> = rows.iter().map(|r| (r.seq, r.end)).collect();
    for pair in rows.windows(2) {
        assert_eq!((pair[1].seq, pair[1].start), (pair[0].seq + 1, pair[0].end), "a gap: {ends:?}");
        assert_eq!(pair[1].end - pair[1].start, 15 * MINUTE, "an interval was merged: {ends:?}");
    }
    assert!(rows.last().is_some_and(|r| r.end > free_from), "nothing was written after there was room: {ends:?}");
    assert_eq!(verify(&rig.state()).code, Some(0));
    drop(rig);
    drop(small);
}

/// SQLite ends a process' trust in a medium at the first failed sync; the next start must find all that was acknowledged.
#[test]
fn a_failing_sync_ends_the_process_and_loses_nothing() {
    if !metergate_tests::has_program("strace") {
        return skip("failing sync", "strace is not installed");
    }
    let rig = Rig::without_registerd(fast());
    // The first syncs belong to the making of the database.
    let args = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=4+"];
    rig.start_registerd_as(under("strace", &args, &rig.registerd_command()));
    wait_for("the end of the process", Duration::from_secs(60), || (!rig.registerd_runs()).then_some(()));
    rig.start_registerd();
    let (after, _) = rig.wait_ready();
    rig.wait_meter_time(after as i64 + 16 * MINUTE, 3 * SOON);
    rig.stop_registerd();
    let settled = settled(&rig.state());
    assert_eq!(settled.registers, settled.counters);
    assert_eq!(verify(&rig.state()).code, Some(0));
    assert!(load_rows(&rig.state()).windows(2).all(|p| p[1].start == p[0].end));
}

/// The coprocessor's memory is gone: registers never fall, and the break is there to be read.
#[test]
fn a_coprocessor_without_its_memory_is_bridged_and_said() {
    let rig = Rig::start(fast());
    rig.wait_meter_time(START + 4 * MINUTE, SOON);
    let before = rig.wait_ready().1;
    rig.kill_coprocessor();
    std::fs::remove_file(rig.nv()).expect("lose the memory");
    rig.start_coprocessor();
    let energy = |readings: &[meter_bus::NamedReading]| {
        readings.iter().find(|r| measured(r, "1.1.1.8.0.255")).map(|r| r.reading.value)
    };
    let old = energy(&before).expect("energy before");
    wait_for("growing energy", SOON, || rig.snapshot().and_then(|(_, r)| energy(&r)).filter(|e| *e > old));
    let until = rig.wait_ready().0 as i64 + 16 * MINUTE;
    rig.wait_meter_time(until, 3 * SOON);
    rig.stop_registerd();
    let load = load_rows(&rig.state());
    let discontinuity = meter_model::Status::DISCONTINUITY.0;
    assert!(load.iter().any(|r| r.status & discontinuity != 0), "no row is marked: {load:?}");
    assert!(load.windows(2).all(|p| p[0].values[0] <= p[1].values[0]), "a register fell");
    assert!(rows(&rig.state(), "status").iter().any(|r| r.values[0] >= 1000), "no row tells of the break");
    assert_eq!(verify(&rig.state()).code, Some(0));
}
