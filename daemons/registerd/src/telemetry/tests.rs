use super::store::Table;
use super::*;
use crate::core::{Core, Output};
use crate::testing::Device;
use meter_core::Settings;
use meter_kit::store::Notice;
use meter_kit::wake::Wake;
use meter_model::Mono;
use metrology_link::PAGE;
use metrology_link::payload::{HarmonicReport, Interval, ReportKind, ReportRecord, WavePiece};
use std::path::Path;
use std::time::{Duration, Instant};

/// Far longer than a commit takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn report(seq: u64) -> ReportRecord {
    let record = ReportRecord { seq, boot_id: 1, utc_us: -5 * seq as i64, ..ReportRecord::default() };
    match seq % 3 {
        0 => ReportRecord { kind: ReportKind::TEN_MINUTES, ..record }
            .with_body(&Interval { parts: seq as u32, ..Interval::default() }),
        1 => ReportRecord { kind: ReportKind::HARMONICS_TWO_HOURS, ..record }.with_body(&HarmonicReport::default()),
        _ => ReportRecord { kind: ReportKind::WAVEFORM, ..record }.with_body(&WavePiece {
            event: seq,
            channels: 1,
            count: 2,
            ..WavePiece::default()
        }),
    }
}

fn arrived(seq: u64) -> Arrived {
    Arrived { opened: 1, device_id: *b"device01", lost: 0, record: report(seq) }
}

fn numbers(file: &Telemetry) -> Vec<u64> {
    let mut all = Vec::new();
    for table in [Table::Intervals, Table::Waveforms] {
        file.reports(table, |_, record| {
            assert_eq!(record, report(record.seq), "as it came");
            all.push(record.seq);
            true
        })
        .unwrap();
    }
    all.sort_unstable();
    all
}

#[test]
fn reports_and_the_place_reached_are_in_one_transaction_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut file, notices) = Telemetry::open(dir.path()).unwrap();
    assert_eq!((notices, file.place()), (vec![Notice::Created], None));
    file.store(&(1..=10).map(arrived).collect::<Vec<_>>()).unwrap();
    file.store(&[Arrived { lost: 7, ..arrived(18) }]).unwrap();
    let place = Place { device_id: *b"device01", report: 18, lost: 7 };
    assert_eq!(file.place(), Some(place));
    drop(file);
    let file = Telemetry::open_existing(dir.path()).unwrap();
    assert_eq!(file.place(), Some(place));
    assert!(numbers(&file).into_iter().eq((1..=10).chain([18])));
}

#[test]
fn the_file_does_not_grow_and_the_oldest_go() {
    let dir = tempfile::tempdir().unwrap();
    let (mut file, _) = Telemetry::open(dir.path()).unwrap();
    let size = || std::fs::metadata(dir.path().join(DATABASE)).unwrap().len();
    let before = size();
    assert!((10_000_000..20_000_000).contains(&before), "{before} bytes");
    // More waveforms than there is room for; the intervals stay.
    file.store(&[arrived(3)]).unwrap();
    let waves: Vec<_> = (1..=4200).map(|n| arrived(3 * n + 2)).collect();
    for some in waves.chunks(64) {
        file.store(some).unwrap();
    }
    let mut rows = (0, u64::MAX);
    file.reports(Table::Waveforms, |_, record| {
        rows = (rows.0 + 1, rows.1.min(record.seq));
        true
    })
    .unwrap();
    assert_eq!(rows, (4096, 3 * 105 + 2));
    let mut intervals = 0;
    file.reports(Table::Intervals, |_, _| {
        intervals += 1;
        true
    })
    .unwrap();
    assert_eq!(intervals, 1);
    drop(file);
    assert_eq!(size(), before);
}

/// A coprocessor, the core and the telemetry thread.
struct Rig {
    device: Device,
    core: Core,
    keeper: Keeper,
    now: u64,
}

impl Rig {
    fn start(device: Device, folder: &Path) -> Rig {
        let core = Core::new(Settings::default(), None).unwrap();
        Rig { device, core, keeper: Keeper::spawn(folder, Wake::new().unwrap()).unwrap(), now: 0 }
    }

    fn turn(&mut self) {
        self.core.telemetry(self.keeper.state());
        let mut page = [0; PAGE];
        self.core.page_out(&mut page);
        let answer = self.device.exchange(&page);
        self.now += 10_000;
        let mut out = Vec::new();
        self.core.page_in(Mono(self.now), &answer, &mut out).unwrap();
        for output in out {
            match output {
                Output::Report(report) => self.keeper.send(*report),
                Output::Persist(unit, _) => self.core.committed(unit, &mut Vec::new()),
                _ => {}
            }
        }
    }

    fn until(&mut self, what: &str, done: impl Fn(&Rig) -> bool) {
        let began = Instant::now();
        while !done(self) {
            assert!(began.elapsed() < PATIENCE, "{what}: {:?}", self.keeper.state());
            self.turn();
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn acked(&self) -> u64 {
        self.device.end.report_ack()
    }
}

fn device(reports: u64) -> Device {
    let mut device = Device::new(3);
    device.memory.reports = (1..=reports).map(report).collect();
    device
}

#[test]
fn nothing_is_asked_for_without_a_file_and_nothing_acknowledged_before_it_is_in_it() {
    let mut device = device(20);
    let mut core = Core::new(Settings::default(), None).unwrap();
    let mut out = Vec::new();
    let mut turns = |core: &mut Core, out: &mut Vec<Output>| {
        for n in 0..100 {
            let mut page = [0; PAGE];
            core.page_out(&mut page);
            let answer = device.exchange(&page);
            core.page_in(Mono(n), &answer, out).unwrap();
        }
        device.end.report_ack()
    };
    assert_eq!(turns(&mut core, &mut out), 0);
    let reports = |out: &[Output]| out.iter().filter(|o| matches!(o, Output::Report(_))).count();
    assert_eq!(reports(&out), 0);
    let open = State { opened: 1, open: true, ..State::default() };
    core.telemetry(open.clone());
    assert_eq!(turns(&mut core, &mut out), 0, "handed over, not committed");
    assert_eq!(reports(&out), 20);
    let place = |report| Some(Place { device_id: [3; 8], report, lost: 0 });
    core.telemetry(State { place: place(15), ..open.clone() });
    assert_eq!(turns(&mut core, &mut out), 15);
    // Another coprocessor's place acknowledges nothing.
    let stranger = Some(Place { device_id: [9; 8], report: 20, lost: 0 });
    core.telemetry(State { place: stranger, ..open.clone() });
    assert_eq!(turns(&mut core, &mut out), 15);
    // The file was closed and opened: what was not committed comes again, once.
    core.telemetry(State { open: false, ..open.clone() });
    assert_eq!((turns(&mut core, &mut out), reports(&out)), (15, 20));
    core.telemetry(State { opened: 2, place: place(15), ..open });
    turns(&mut core, &mut out);
    let again: Vec<(u64, u64)> = out[..]
        .iter()
        .filter_map(|o| if let Output::Report(a) = o { Some((a.opened, a.record.seq)) } else { None })
        .skip(20)
        .collect();
    assert!(again.into_iter().eq((16..=20).map(|seq| (2, seq))));
}

#[test]
fn reports_are_committed_once_over_restarts_of_the_service() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(device(30), dir.path());
    rig.until("the first reports", |rig| rig.acked() > 0);
    let Rig { mut device, core, keeper, .. } = rig;
    // Killed with reports under way: what the thread has commits, the rest was never acknowledged.
    drop((core, keeper));
    device.memory.reports.extend((31..=50).map(report));
    let mut rig = Rig::start(device, dir.path());
    rig.until("all reports", |rig| rig.acked() == 50);
    drop(rig);
    let file = Telemetry::open_existing(dir.path()).unwrap();
    assert!(numbers(&file).into_iter().eq(1..=50), "each once");
    assert_eq!(file.place(), Some(Place { device_id: [3; 8], report: 50, lost: 0 }));
}

#[test]
fn another_coprocessor_is_read_from_its_oldest() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(device(9), dir.path());
    rig.until("the first one's", |rig| rig.acked() == 9);
    let mut other = Device::new(4);
    other.memory.reports = (1..=12).map(report).collect();
    rig.device = other;
    rig.until("the other one's", |rig| rig.acked() == 12);
    drop(rig);
    let file = Telemetry::open_existing(dir.path()).unwrap();
    assert_eq!(numbers(&file).len(), 9 + 12);
    assert_eq!(file.place().unwrap(), Place { device_id: [4; 8], report: 12, lost: 0 });
}

#[test]
fn a_damaged_file_is_moved_aside_and_begun_anew_and_metering_does_not_notice() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(device(12), dir.path());
    rig.until("the first reports", |rig| rig.acked() == 12);
    drop(rig.keeper);
    let path = dir.path().join(DATABASE);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096..8192].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    let mut rig = Rig::start(rig.device, dir.path());
    rig.device.memory.reports.extend((13..=15).map(report));
    rig.until("the new file", |rig| rig.keeper.state().place.is_some_and(|p| p.report == 15));
    assert!(dir.path().join("telemetry.db.corrupt-1").exists(), "kept");
    drop(rig);
    // What the coprocessor still held came again.
    assert!(numbers(&Telemetry::open_existing(dir.path()).unwrap()).into_iter().eq(1..=15));
}

#[test]
fn a_folder_that_cannot_be_written_leaves_the_reports_where_they_are() {
    let dir = tempfile::tempdir().unwrap();
    // A file stands where the folder should be.
    let folder = dir.path().join("meter");
    std::fs::write(&folder, "").unwrap();
    let mut rig = Rig::start(device(5), &folder);
    rig.until("the complaint", |rig| rig.keeper.state().trouble.is_some());
    for _ in 0..200 {
        rig.turn();
    }
    let state = rig.keeper.state();
    assert_eq!((state.open, state.committed, rig.acked()), (false, 0, 0));
}
