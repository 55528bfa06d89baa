//! Intervals, harmonics and counters as reports; the ring they are kept in.

use super::*;
use crate::coprocessor::REPORT_SLOTS;
use crate::coprocessor::report_ring::ReportHead;
use crate::pq::Value;

const TEN_MINUTES_US: i64 = 600_000_000;

fn at(before_tick_us: i64) -> MemBoard {
    MemBoard { rtc: (NOON + TEN_MINUTES_US - before_tick_us, ClockQuality::Valid), ..MemBoard::new() }
}

fn value(interval: &Interval, place: Value, k: usize) -> Option<f64> {
    let place = place as usize + k;
    (interval.valid >> place & 1 != 0).then(|| f64::from(interval.values[place]) / 1e6)
}

fn near(a: f64, b: f64, within: f64) -> bool {
    (a - b).abs() <= within
}

#[test]
fn ten_minutes_are_reported_whole_with_frequency_flicker_and_harmonics() {
    let mut rig = Rig::watching(at(8_000_000));
    rig.run_ms(8_000);
    // A dip in the middle flags the interval.
    rig.run_ms(300_000);
    assert_eq!(rig.reports().len(), 2, "what was begun before the tick");
    rig.volts = 150.0;
    rig.run_ms(100);
    rig.volts = 230.0;
    rig.run_ms(300_900);
    let [begun, whole] = rig.reports_of(ReportKind::TEN_MINUTES)[..] else { panic!("two ticks") };
    assert!(begun.flags.has(ReportFlags::INCOMPLETE) && !begun.flags.has(ReportFlags::FLAGGED));
    assert_eq!((begun.utc_us, whole.utc_us), (NOON, NOON + TEN_MINUTES_US));
    assert_eq!(whole.flags, ReportFlags(ReportFlags::FLAGGED));
    assert_eq!((whole.end - whole.begin, whole.end), (600 * RATE, rig.cop.grid().sample_at(NOON + 2 * TEN_MINUTES_US)));
    let body = whole.interval().unwrap();
    assert_eq!(body.parts, 3000);
    // 500 of 600 000 ms at 150 V: 1 - (80/230)(1+150/230)/2 · 1e-1/600 of the square.
    let dipped = f64::sqrt((230.0_f64.powi(2) * 599.9 + 150.0_f64.powi(2) * 0.1) / 600.0);
    assert!(near(value(&body, Value::U, 1).unwrap(), dipped, 0.003), "{:?} {dipped}", value(&body, Value::U, 1));
    assert!(near(value(&body, Value::I, 2).unwrap(), 5.0, 1e-3));
    assert!(value(&body, Value::U2, 0).unwrap() < 1e-3 && value(&body, Value::ThdU, 0).unwrap() < 1e-2);
    assert!(body.f_uhz[..30].iter().chain(&body.f_uhz[32..]).all(|f| f.abs_diff(50_000_000) < 100), "{:?}", body.f_uhz);
    assert_eq!(body.flicker_valid, 0b111);
    assert!((1_000_000..10_000_000).contains(&body.flicker[0]), "a dip of a third is seen: {:?}", body.flicker);
    assert_eq!((body.occurrences[16], body.occurrences[3]), (1, 1), "one dip, one interval that counts");
    let [begun, whole] = rig.reports_of(ReportKind::HARMONICS_TEN_MINUTES)[..] else { panic!("two ticks") };
    assert!(begun.flags.has(ReportFlags::INCOMPLETE));
    assert_eq!(whole.flags, ReportFlags(ReportFlags::FLAGGED));
    let body = whole.harmonics().unwrap();
    assert_eq!((body.channels, body.utc(&whole)), (0x7f, NOON + TEN_MINUTES_US));
    assert!((2990..=3000).contains(&body.parts), "{}", body.parts);
    assert!(near(f64::from(body.channel[2].fundamental) / 1e6, dipped, 0.02), "{}", body.channel[2].fundamental);
    assert!(body.channel[2].subgroup(5).unwrap() < 100_000);
}

trait Utc {
    fn utc(&self, record: &ReportRecord) -> i64;
}

impl Utc for HarmonicReport {
    fn utc(&self, record: &ReportRecord) -> i64 {
        record.utc_us
    }
}

#[test]
fn two_hours_begun_late_are_reported_as_incomplete() {
    let mut board = MemBoard::new();
    board.rtc.0 = NOON - 4_000_000;
    let mut rig = Rig::watching(board);
    rig.run_ms(4_900);
    let kinds: Vec<_> = rig.reports().iter().map(|r| r.kind).collect();
    for kind in [
        ReportKind::TEN_MINUTES,
        ReportKind::TWO_HOURS,
        ReportKind::HARMONICS_TEN_MINUTES,
        ReportKind::HARMONICS_TWO_HOURS,
    ] {
        assert_eq!(kinds.iter().filter(|k| **k == kind).count(), 1, "{kinds:?}");
    }
    for report in rig.reports() {
        assert!(report.flags.has(ReportFlags::INCOMPLETE) && !report.flags.has(ReportFlags::CLOCK), "{report:?}");
    }
    let two = rig.reports_of(ReportKind::TWO_HOURS)[0];
    assert_eq!((two.utc_us, two.interval().unwrap().parts), (NOON - 7_200_000_000, 1));
    let harmonics = rig.reports_of(ReportKind::HARMONICS_TWO_HOURS)[0].harmonics().unwrap();
    assert_eq!(harmonics.parts, 1);
    assert!(near(f64::from(harmonics.channel[0].fundamental), 230e6, 3e5));
}

#[test]
fn a_reset_leaves_the_interval_incomplete_and_the_numbers_and_counters_go_on() {
    let mut rig = Rig::watching(at(6_000_000));
    rig.run_ms(1000);
    rig.volts = 100.0;
    rig.run_ms(200);
    rig.volts = 230.0;
    rig.run_ms(800);
    let waveforms = rig.reports().len() as u64;
    assert!(waveforms > 20, "a dip has a waveform");
    assert_eq!(rig.cop.hello().report_last, waveforms);
    let mut rig = rig.restart(ResetCause::Warm, true, 500_000);
    assert_eq!((rig.cop.hello().report_last, rig.cop.hello().reports_lost), (waveforms, 0));
    rig.seen.clear();
    rig.run_ms(4_500);
    let report = rig.reports_of(ReportKind::TEN_MINUTES)[0];
    assert!(report.seq > waveforms && report.flags.has(ReportFlags::INCOMPLETE));
    let body = report.interval().unwrap();
    assert!((10..18).contains(&body.parts), "only what this boot measured: {}", body.parts);
    assert_eq!(body.occurrences[16], 1, "the dip before the reset");
    assert!(rig.reports().iter().map(|r| r.seq).eq(waveforms + 1..=rig.cop.hello().report_last), "each once, in order");
}

#[test]
fn a_clock_that_is_set_makes_the_interval_incomplete_and_a_discipline_does_not() {
    let run = |moved_us: i64| {
        let mut board = MemBoard::new();
        board.rtc.0 = NOON + 300_000_000;
        let mut rig = Rig::watching(board);
        rig.run_ms(500);
        // As if the interval had begun before the meter was looked at.
        rig.cop.app.reports.whole_from = i64::MIN;
        let old = *rig.cop.grid();
        let grid = Grid { id: 1, utc_us: old.utc_us + moved_us, ..old };
        assert_eq!(rig.command(Command::SetGrid(grid)).status, ReplyStatus::Done);
        (rig.cop.app.reports.whole_from, rig.cop.app.reports.broken)
    };
    let interval = NOON / TEN_MINUTES_US;
    assert_eq!(run(100_000), (i64::MIN, None));
    assert_eq!(run(200_000), (interval + 1, Some(interval)));
    assert_eq!(run(-400_000_000), (interval, Some(interval)), "back into the interval before");
}

#[test]
fn a_full_ring_loses_the_oldest_and_tells() {
    let mut rig = Rig::fresh();
    let head = ReportHead { boot_id: 7, kind: ReportKind(99), flags: ReportFlags(0), begin: 1, end: 2, utc_us: 3 };
    for n in 0..REPORT_SLOTS as u32 + 10 {
        rig.cop.app.report(&head, &n);
    }
    let hello = rig.cop.hello();
    assert_eq!((hello.report_first, hello.report_last, hello.reports_lost), (11, REPORT_SLOTS + 10, 10));
    rig.run_ms(1500);
    let gap = rig.seen.iter().find_map(|r| match r {
        Received::ReportGap { from, to, report } => Some((*from, *to, report.seq)),
        _ => None,
    });
    assert_eq!(gap, Some((1, 10, 11)));
    let reports = rig.reports();
    assert!(reports.iter().map(|r| r.seq).eq(11..=REPORT_SLOTS + 10));
    assert!(reports.iter().all(|r| r.bytes() == (r.seq as u32 - 1).to_le_bytes() && r.kind == ReportKind(99)));
    // What is acknowledged may be overwritten, also after a restart.
    let mut rig = rig.restart(ResetCause::PowerOn, false, 1_000_000);
    for n in 0..20_u32 {
        rig.cop.app.report(&head, &n);
    }
    assert_eq!(rig.cop.hello().reports_lost, 10);
}

#[test]
fn a_report_torn_at_any_byte_is_not_there_and_its_number_comes_again() {
    let mut rig = Rig::fresh();
    let head = ReportHead { boot_id: 7, kind: ReportKind(9), flags: ReportFlags(0), begin: 1, end: 2, utc_us: 3 };
    rig.cop.app.report(&head, &[1_u8; 100]);
    rig.cop.board_mut().writes.clear();
    rig.cop.app.report(&head, &[2_u8; 100]);
    let (at, bytes) = rig.cop.board().writes[0].clone();
    let mut board = rig.cop.into_board();
    board.nv[at..at + bytes.len()].fill(0);
    for n in 0..bytes.len() {
        let cop = Coprocessor::start(board.clone(), ResetCause::PowerOn, None);
        assert_eq!(cop.hello().report_last, 1, "{n} of {} bytes", bytes.len());
        board.nv[at + n] = bytes[n];
    }
    let cop = Coprocessor::start(board, ResetCause::PowerOn, None);
    assert_eq!(cop.hello().report_last, 2);
}
