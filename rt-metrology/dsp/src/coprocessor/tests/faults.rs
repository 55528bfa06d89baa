//! A long life of faults: pages damaged, cut, lost, doubled and late, resets of every kind, power cut in the middle of
//! a write, a host that is killed. Judged by books that the coprocessor and the host end do not keep:
//!
//! * energy: the sum of the products of what was fed in, sample by sample; each billing page that arrives must show
//!   exactly the energy of the samples it says it holds;
//! * a restart goes on from one of the last two windows of its predecessor, and what it did not take over is reported as
//!   down-time;
//! * events, reports and history records: each one that stood in the ring is committed once, in order, unchanged.
//!
//! `METERGATE_SEED=N` repeats a run, `METERGATE_LONG=1` makes 10^6 faults of 10^4.

use std::boxed::Box;
use std::collections::{BTreeMap, VecDeque};

use super::*;
use crate::design::BASE_DELAY;
use crate::pq::PowerQuality;
use metrology_link::codec::{Message, decode_page};
use metrology_link::device::Source;
use metrology_link::page::crc32;

/// Energy of one window's worth of rounding: each window rounds to the sub-quantum, sums are exact; 1 mJ is the unit.
const UNIT_MJ: f64 = 1.5;
/// The coprocessor's clocks are whole samples and whole µs: a start rounds by less than two samples.
const ROUND_US: i64 = 2 * 125;

/// splitmix64.
struct Luck(u64);

impl Luck {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// How Linux behaves.
#[derive(Clone, Copy, PartialEq)]
enum Discipline {
    /// Acknowledges what is committed.
    Sound,
    /// Control: acknowledges what it received.
    AcknowledgesEarly,
    /// Control: commits what pages carry, without asking the host end.
    CommitsTwice,
}

/// What is committed survives a kill; the rest does not.
struct Linux {
    discipline: Discipline,
    end: HostEnd,
    /// What waits for the next commit.
    events: Vec<EventRecord>,
    reports: Vec<ReportRecord>,
    history: Vec<HistoryRecord>,
    committed_events: Vec<EventRecord>,
    committed_reports: u64,
    /// CRC of each report, in order of commit.
    report_sums: Vec<(u64, u32)>,
    history_next: u64,
    history_count: u64,
    /// Cursors that a kill finds on the disk.
    event_ack: u64,
    report_ack: u64,
    lost: u64,
    last_billing: Option<Snapshot>,
    faults: Vec<std::string::String>,
}

fn sum(report: &ReportRecord) -> u32 {
    let mut bytes = [0; 1024];
    let len = metrology_link::codec::encode(report, &mut bytes);
    crc32(&bytes[..len])
}

impl Linux {
    fn new(discipline: Discipline) -> Linux {
        Linux {
            discipline,
            end: HostEnd::new(),
            events: Vec::new(),
            reports: Vec::new(),
            history: Vec::new(),
            committed_events: Vec::new(),
            committed_reports: 0,
            report_sums: Vec::new(),
            history_next: 1,
            history_count: 0,
            event_ack: 0,
            report_ack: 0,
            lost: 0,
            last_billing: None,
            faults: Vec::new(),
        }
    }

    /// Killed and started again: only cursors that are on the disk.
    fn kill(&mut self) {
        (self.events, self.reports, self.history) = Default::default();
        self.end = HostEnd::new();
        self.end.resume(self.event_ack, self.history_next);
        self.end.resume_reports(self.report_ack);
    }

    fn commit(&mut self) {
        for event in core::mem::take(&mut self.events) {
            self.event_ack = self.event_ack.max(event.seq);
            self.committed_events.push(event);
        }
        for report in core::mem::take(&mut self.reports) {
            self.report_ack = self.report_ack.max(report.seq);
            self.committed_reports += 1;
            self.report_sums.push((report.seq, sum(&report)));
        }
        for record in core::mem::take(&mut self.history) {
            self.history_next = record.seq + 1;
            self.history_count += 1;
        }
        self.end.ack_event(self.event_ack);
        self.end.ack_report(self.report_ack);
        self.end.ack_history(self.history_next - 1);
    }

    /// Takes a page; gives a billing snapshot that is new.
    fn receive(&mut self, page: &Page) -> Option<Snapshot> {
        if self.discipline == Discipline::CommitsTwice
            && let Ok((_, Message::Event(ranged))) = decode_page(page)
        {
            let _ = self.end.receive(page);
            self.events.push(ranged.record);
            return None;
        }
        match self.end.receive(page).ok()? {
            Received::Event(e) => self.events.push(e),
            Received::EventGap { from, to, event } => {
                self.lost += to - from + 1;
                self.events.push(event);
            }
            Received::Report(r) => self.reports.push(r),
            Received::ReportGap { from, to, report } => {
                self.lost += to - from + 1;
                self.reports.push(report);
            }
            Received::History(r) => self.history.push(r),
            Received::HistoryLost { from, to, record } => {
                self.lost += to - from + 1;
                self.history.push(record);
            }
            Received::Billing(billing) => return self.billing(billing.snapshot),
            _ => {}
        }
        if self.discipline == Discipline::AcknowledgesEarly {
            for event in &self.events {
                self.event_ack = self.event_ack.max(event.seq);
                self.end.ack_event(event.seq);
            }
        }
        None
    }

    fn billing(&mut self, now: Snapshot) -> Option<Snapshot> {
        if let Some(before) = &self.last_billing {
            let (a, b) = (&before.counters.total, &now.counters.total);
            let monotone = a.a_plus <= b.a_plus && a.a_minus <= b.a_minus && a.e_plus <= b.e_plus;
            let monotone = monotone && a.r.iter().zip(b.r).all(|(a, b)| *a <= b);
            let windows = before.t_samples <= now.t_samples && before.window <= now.window && before.boots <= now.boots;
            if !(monotone && windows && before.down_us <= now.down_us) {
                self.faults.push(std::format!("counters went back: {before:?} to {now:?}"));
            }
        }
        self.last_billing = Some(now);
        Some(now)
    }
}

/// Memory whose supply ends after so many bytes.
#[derive(Clone)]
struct CutBoard {
    inner: MemBoard,
    left: Option<usize>,
    dead: bool,
}

impl Board for CutBoard {
    fn nv_size(&self) -> usize {
        self.inner.nv_size()
    }
    fn nv_read(&self, at: usize, out: &mut [u8]) {
        self.inner.nv_read(at, out);
    }
    fn nv_write(&mut self, at: usize, bytes: &[u8]) {
        let n = self.left.map_or(bytes.len(), |left| left.min(bytes.len()));
        self.inner.nv[at..at + n].copy_from_slice(&bytes[..n]);
        if let Some(left) = &mut self.left {
            *left -= n;
            self.dead |= *left == 0;
        }
    }
    fn rtc(&self) -> (i64, ClockQuality) {
        self.inner.rtc()
    }
    fn set_rtc(&mut self, utc_us: i64, quality: ClockQuality) {
        self.inner.set_rtc(utc_us, quality);
    }
    fn inputs(&mut self) -> Inputs {
        Inputs(self.inner.inputs)
    }
    fn pulses(&mut self) -> [u64; PULSE_INPUTS] {
        self.inner.pulses
    }
    fn set_outputs(&mut self, _: &Outputs) {}
    fn lcd(&mut self, _: &LcdFrame) {}
    fn temperature_mdeg(&self) -> Option<i32> {
        None
    }
    fn firmware_id(&self) -> [u8; 32] {
        [1; 32]
    }
    fn device_id(&self) -> [u8; 8] {
        *b"faults01"
    }
    fn factory(&self) -> (MeterConfig, Calibration) {
        (self.inner.factory, Calibration::default())
    }
    fn with_power_quality<R>(&mut self, f: impl FnOnce(&mut PowerQuality) -> R) -> Option<R> {
        self.inner.power_quality.as_deref_mut().map(f)
    }
    fn reset(&mut self, _: bool) {}
}

/// One cycle of counts: three phases, balanced, with 5 A in phase.
fn cycle(volts: f64) -> Vec<[i32; CHANNELS]> {
    let per_cycle = (RATE / 50) as usize;
    let full = f64::from(1 << 23);
    let wave = |n: usize, k: usize| {
        let angle = n as f64 / per_cycle as f64 * std::f64::consts::TAU - k as f64 * std::f64::consts::TAU / 3.0;
        angle.sin() * std::f64::consts::SQRT_2
    };
    (0..per_cycle)
        .map(|n| {
            core::array::from_fn(|k| match k {
                0..3 => (wave(n, k) * volts / 600.0 * full) as i32,
                3..6 => (wave(n, k - 3) * 5.0 / 200.0 * full) as i32,
                _ => 0,
            })
        })
        .collect()
}

/// Power of one sample of counts, W: by the definition of full scale, and nothing of the crate.
fn watts(counts: &[i32; CHANNELS]) -> f64 {
    let full = f64::from(1 << 23);
    (0..3).map(|k| f64::from(counts[k]) * 600.0 / full * (f64::from(counts[k + 3]) * 200.0 / full)).sum()
}

/// What a window left behind.
#[derive(Clone, Copy, Debug)]
struct Mark {
    t: u64,
    a_plus: u64,
    down_us: u64,
    /// The real-time clock at its end.
    rtc_us: i64,
}

struct World {
    luck: Luck,
    cop: Option<Coprocessor<CutBoard>>,
    linux: Linux,
    normal: Vec<[i32; CHANNELS]>,
    deep: Vec<[i32; CHANNELS]>,
    n: usize,
    dip_left: u64,
    /// Energy of the samples of this boot, mJ, by their number; with what the boot began with.
    prefix: VecDeque<(u64, f64)>,
    fed: f64,
    base: Mark,
    marks: VecDeque<Mark>,
    events: BTreeMap<u64, EventRecord>,
    reports: BTreeMap<u64, u32>,
    /// Pages that come late, over resets and kills.
    late: VecDeque<Page>,
    boots: u64,
    torn: u64,
    checked_billings: u64,
    down_us: i64,
    faults: Vec<std::string::String>,
}

impl World {
    fn new(seed: u64, discipline: Discipline) -> World {
        let factory = MeterConfig { debounce_ms: 1, ..MeterConfig::default() };
        let power_quality = Some(Box::new(PowerQuality::new()));
        let inner = MemBoard { factory, power_quality, ..MemBoard::new() };
        let cop = Coprocessor::start(CutBoard { inner, left: None, dead: false }, ResetCause::PowerOn, None);
        let mut world = World {
            luck: Luck(seed),
            cop: Some(cop),
            linux: Linux::new(discipline),
            normal: cycle(230.0),
            deep: cycle(120.0),
            n: 0,
            dip_left: 0,
            prefix: VecDeque::new(),
            fed: 0.0,
            base: Mark { t: 0, a_plus: 0, down_us: 0, rtc_us: NOON },
            marks: VecDeque::new(),
            events: BTreeMap::new(),
            reports: BTreeMap::new(),
            late: VecDeque::new(),
            boots: 1,
            torn: 0,
            checked_billings: 0,
            down_us: 0,
            faults: Vec::new(),
        };
        world.begin_boot();
        world
    }

    fn cop(&mut self) -> &mut Coprocessor<CutBoard> {
        self.cop.as_mut().expect("running")
    }

    fn dead(&mut self) -> bool {
        self.cop().board().dead
    }

    fn begin_boot(&mut self) {
        let snapshot = self.cop().billing().snapshot;
        let rtc_us = self.cop().board().inner.rtc.0;
        let (t, a_plus) = (snapshot.t_samples, snapshot.counters.total.a_plus);
        self.base = Mark { t: self.cop().t_samples(), a_plus, down_us: snapshot.down_us, rtc_us };
        self.marks.clear();
        // The records of the start itself are on the memory as of this moment.
        self.marks.push_back(Mark { t, ..self.base });
        self.prefix.clear();
        self.fed = 0.0;
        self.look();
    }

    /// Writes down what is new in the rings.
    fn look(&mut self) {
        let cop = self.cop.as_mut().expect("running");
        if cop.board().dead {
            return;
        }
        let known = self.events.last_key_value().map_or(0, |(seq, _)| *seq);
        for seq in known + 1..=cop.app.event_range().1 {
            self.events.insert(seq, cop.app.event(seq).expect("just stored"));
        }
        let known = self.reports.last_key_value().map_or(0, |(seq, _)| *seq);
        for seq in known + 1..=cop.app.report_range().1 {
            let mut bytes = [0; 1024];
            let mut w = metrology_link::codec::Writer::new(&mut bytes);
            assert!(cop.app.report(seq, &mut w), "just stored");
            let len = w.written();
            self.reports.insert(seq, crc32(&bytes[..len]));
        }
        let snapshot = cop.billing().snapshot;
        if self.marks.back().is_some_and(|m| m.t != snapshot.t_samples) {
            let since = (cop.t_samples() - snapshot.t_samples) as i64 * 125;
            let rtc_us = cop.board().inner.rtc.0 - since;
            let mark = Mark {
                t: snapshot.t_samples,
                a_plus: snapshot.counters.total.a_plus,
                down_us: snapshot.down_us,
                rtc_us,
            };
            self.marks.push_back(mark);
            if self.marks.len() > 3 {
                self.marks.pop_front();
            }
        }
    }

    /// One millisecond of samples. False when the supply was cut within.
    fn live(&mut self) -> bool {
        for _ in 0..RATE / 1000 {
            let counts = if self.dip_left > 0 { self.deep[self.n] } else { self.normal[self.n] };
            self.dip_left = self.dip_left.saturating_sub(1);
            self.n = (self.n + 1) % self.normal.len();
            self.fed += watts(&counts) / RATE as f64 * 1000.0;
            let number = self.cop().t_samples() + 1;
            self.prefix.push_back((number, self.fed));
            if self.prefix.len() > 4 * RATE as usize {
                self.prefix.pop_front();
            }
            self.cop().board_mut().inner.rtc.0 += 125;
            self.cop().sample(&counts);
            if self.dead() {
                return false;
            }
            self.look();
        }
        true
    }

    /// Energy that a window that ended at `t` must show, mJ: everything fed in this boot up to the engine's delay.
    fn expected(&self, t: u64) -> Option<f64> {
        let last = t.checked_sub(u64::from(BASE_DELAY))?;
        if last <= self.base.t {
            return Some(self.base.a_plus as f64);
        }
        let (first, _) = self.prefix.front()?;
        let index = usize::try_from(last.checked_sub(*first)?).ok()?;
        Some(self.base.a_plus as f64 + self.prefix.get(index)?.1)
    }

    fn judge(&mut self, snapshot: &Snapshot) {
        // A page of a boot before is judged by what was written down then.
        if snapshot.t_samples < self.base.t {
            return;
        }
        if let Some(expected) = self.expected(snapshot.t_samples) {
            self.checked_billings += 1;
            let off = snapshot.counters.total.a_plus as f64 - expected;
            if off.abs() > UNIT_MJ {
                self.faults.push(std::format!("{off:.3} mJ off at {} ({expected:.0})", snapshot.t_samples));
            }
        }
    }

    fn hand_up(&mut self, page: &Page) {
        if let Some(snapshot) = self.linux.receive(page) {
            self.judge(&snapshot);
        }
    }

    /// One exchange; `down` and `up` are what the wire does. False when the supply was cut within.
    fn exchange(&mut self, fault: Option<Wire>) -> bool {
        let mut down = [0; PAGE];
        self.linux.end.emit(&mut down);
        if fault == Some(Wire::DropDown) {
            return true;
        }
        if let Some(Wire::FlipDown) = fault {
            self.flip(&mut down);
        }
        if let Some(Wire::CutDown) = fault {
            let from = self.luck.below(PAGE as u64) as usize;
            down[from..].fill(0xff);
        }
        let times = 1 + usize::from(fault == Some(Wire::DoubleDown));
        for _ in 0..times {
            let mut up = self.cop().exchange(&down);
            if self.dead() {
                return false;
            }
            self.look();
            match fault {
                Some(Wire::DropUp) => continue,
                Some(Wire::Late) => {
                    self.late.push_back(up);
                    continue;
                }
                Some(Wire::FlipUp) => self.flip(&mut up),
                Some(Wire::CutUp) => {
                    let from = self.luck.below(PAGE as u64) as usize;
                    up[from..].fill(0);
                }
                Some(Wire::DoubleUp) => self.hand_up(&up),
                _ => {}
            }
            self.hand_up(&up);
        }
        true
    }

    fn flip(&mut self, page: &mut Page) {
        for _ in 0..1 + self.luck.below(4) {
            let bit = self.luck.below(PAGE as u64 * 8) as usize;
            page[bit / 8] ^= 1 << (bit % 8);
        }
    }

    /// Runs for `ms`, with exchanges whenever a page is armed.
    fn run(&mut self, ms: u64) -> bool {
        for _ in 0..ms {
            if !self.live() || (self.cop().data_ready() && !self.exchange(None)) {
                return false;
            }
            if self.luck.below(3) == 0 {
                self.linux.commit();
            }
        }
        true
    }

    /// Stops the processor and starts it again.
    fn reset(&mut self, warm: bool, down_us: i64) {
        let cop = self.cop.take().expect("running");
        let no_init = warm.then(|| cop.no_init());
        let mut board = cop.into_board();
        let torn = core::mem::take(&mut board.dead);
        board.left = None;
        board.inner.rtc.0 += down_us;
        let rtc_us = board.inner.rtc.0;
        let cause = if warm { ResetCause::Warm } else { ResetCause::PowerOn };
        self.cop = Some(Coprocessor::start(board, cause, no_init.as_ref()));
        self.boots += 1;
        self.torn += u64::from(torn);
        let snapshot = self.cop().billing().snapshot;
        // It goes on from one of the windows that were there; a torn write may cost the newest.
        let newest = *self.marks.back().expect("a start leaves a mark");
        let goes_on = |mark: &&Mark| mark.a_plus == snapshot.counters.total.a_plus;
        let depth = if torn { 2 } else { 1 };
        match self.marks.iter().rev().take(depth).find(goes_on).copied() {
            Some(mark) => {
                let reported = (snapshot.down_us - mark.down_us) as i64;
                let dark = rtc_us - mark.rtc_us;
                self.down_us += reported;
                if (reported - dark).abs() > ROUND_US {
                    self.faults.push(std::format!("{dark} µs were dark, {reported} reported"));
                }
            }
            // The write that was torn may have been complete but for what does not count.
            None if torn && snapshot.counters.total.a_plus >= newest.a_plus => {}
            None => self.faults.push(std::format!("went on from {snapshot:?}, not from {:?}", self.marks)),
        }
        // What was being written when the supply was cut never was: its number comes again, or it came through.
        let boot_id = self.cop().hello().boot_id;
        let last = self.cop().app.event_range().1;
        let first_new = (1..=last).rev().take_while(|seq| self.is_of(*seq, boot_id)).last().unwrap_or(last);
        let known = self.events.last_key_value().map_or(0, |(seq, _)| *seq);
        for seq in known + 1..first_new {
            let event = self.cop().app.event(seq).expect("complete");
            self.events.insert(seq, event);
        }
        if self.events.split_off(&first_new).into_keys().next().is_some() {
            self.faults.push(std::format!("event {first_new} was there before the reset"));
        }
        self.begin_boot();
    }

    fn is_of(&mut self, seq: u64, boot_id: u32) -> bool {
        self.cop().app.event(seq).is_some_and(|e| e.boot_id == boot_id)
    }

    /// Something goes wrong.
    fn fault(&mut self) {
        let kind = self.luck.below(100);
        let wire = match kind {
            0..14 => Some(Wire::FlipUp),
            14..28 => Some(Wire::FlipDown),
            28..37 => Some(Wire::CutUp),
            37..46 => Some(Wire::CutDown),
            46..55 => Some(Wire::DropUp),
            55..64 => Some(Wire::DropDown),
            64..73 => Some(Wire::DoubleUp),
            73..82 => Some(Wire::DoubleDown),
            82..91 => Some(Wire::Late),
            _ => None,
        };
        let alive = match (wire, kind) {
            (Some(wire), _) => self.exchange(Some(wire)),
            (None, 91..94) => {
                self.linux.kill();
                true
            }
            (None, 94..96) => {
                let dark = self.luck.below(2_000_000) as i64;
                self.reset(true, dark);
                true
            }
            (None, 96) => {
                let dark = self.luck.below(100_000_000) as i64;
                self.reset(false, dark);
                true
            }
            _ => {
                // The supply is cut within the next 3000 bytes that are written: two windows, or an event.
                let left = 1 + self.luck.below(3000) as usize;
                self.cop().board_mut().left = Some(left);
                true
            }
        };
        if !alive {
            let dark = self.luck.below(5_000_000) as i64;
            self.reset(false, dark);
        }
    }

    /// Lives on to the next fault.
    fn between(&mut self) {
        match self.luck.below(12) {
            0 => self.cop().board_mut().inner.inputs ^= 1 + (self.luck.next() as u32 & 0b1001),
            1 if self.dip_left == 0 => self.dip_left = RATE / 1000 * (20 + self.luck.below(100)),
            2..4 => {
                if let Some(page) = self.late.pop_front() {
                    self.hand_up(&page);
                }
            }
            _ => {}
        }
        let ms = 1 + self.luck.below(50);
        if !self.run(ms) {
            let dark = self.luck.below(5_000_000) as i64;
            self.reset(false, dark);
        }
    }

    /// Quiet at the end: everything must have come through. All that is wrong, in words.
    fn finish(mut self) -> (Vec<std::string::String>, World) {
        self.late.clear();
        self.cop().board_mut().left = None;
        if self.dead() {
            self.reset(false, 0);
        }
        for _ in 0..2000 {
            self.run(1);
            self.linux.commit();
        }
        let mut wrong = core::mem::take(&mut self.faults);
        wrong.append(&mut self.linux.faults);
        let committed: Vec<_> = self.linux.committed_events.iter().map(|e| (e.seq, *e)).collect();
        if !committed.iter().copied().eq(self.events.iter().map(|(seq, e)| (*seq, *e))) {
            let (got, all) = (committed.len(), self.events.len());
            let doubled = committed.windows(2).filter(|w| w[1].0 <= w[0].0).count();
            wrong.push(std::format!("events: {got} committed of {all}, {doubled} not in order or twice"));
        }
        if !self.linux.report_sums.iter().copied().eq(self.reports.iter().map(|(seq, sum)| (*seq, *sum))) {
            let (got, all) = (self.linux.report_sums.len(), self.reports.len());
            wrong.push(std::format!("reports: {got} committed of {all}"));
        }
        let history = self.cop().hello().history_last;
        if self.linux.history_count != history {
            wrong.push(std::format!("history: {} committed of {history}", self.linux.history_count));
        }
        if self.linux.lost != 0 {
            wrong.push(std::format!("{} records lost", self.linux.lost));
        }
        let acknowledged = (self.cop().app.event_ack, self.cop().app.reports.ack);
        let stored = (self.cop().app.event_range().1, self.cop().app.report_range().1);
        if acknowledged != stored {
            wrong.push(std::format!("acknowledged {acknowledged:?} of {stored:?}"));
        }
        (wrong, self)
    }
}

/// What the wire does to an exchange.
#[derive(Clone, Copy, PartialEq)]
enum Wire {
    FlipUp,
    FlipDown,
    CutUp,
    CutDown,
    DropUp,
    DropDown,
    DoubleUp,
    DoubleDown,
    Late,
}

fn campaign(seed: u64, faults: u64, discipline: Discipline) -> (Vec<std::string::String>, World) {
    let mut world = World::new(seed, discipline);
    for _ in 0..faults {
        world.between();
        world.fault();
        if world.faults.len() + world.linux.faults.len() > 10 {
            break;
        }
    }
    world.finish()
}

fn seed() -> u64 {
    std::env::var("METERGATE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_121)
}

#[test]
fn no_millijoule_no_event_and_no_report_is_lost_or_doubled() {
    let (first, long) = (seed(), std::env::var("METERGATE_LONG").is_ok_and(|v| v == "1"));
    // Ten lives of a thousand faults, or of a hundred thousand.
    let each = if long { 100_000 } else { 1_000 };
    let (mut boots, mut torn, mut billings, mut events, mut reports, mut down_us) = (0, 0, 0, 0, 0, 0);
    for seed in first..first + 10 {
        std::println!("seed {seed}: {each} faults (METERGATE_SEED={seed} begins with it)");
        let (wrong, world) = campaign(seed, each, Discipline::Sound);
        assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
        boots += world.boots;
        torn += world.torn;
        billings += world.checked_billings;
        events += world.events.len();
        reports += world.linux.committed_reports;
        down_us += world.down_us;
    }
    std::println!(
        "{} faults: {boots} starts ({torn} after a torn write, {:.1} s of down-time, all reported), {billings} billing pages equal \
         to the energy fed in, {events} events and {reports} reports committed once, 0 lost, 0 doubled, 0 mJ",
        10 * each,
        down_us as f64 / 1e6
    );
    assert!(boots > 200 && torn > 100 && billings > 500 && events > 1000 && reports > 1000);
}

#[test]
fn the_books_find_a_host_that_acknowledges_early_and_one_that_commits_twice() {
    for discipline in [Discipline::AcknowledgesEarly, Discipline::CommitsTwice] {
        let (wrong, _) = campaign(seed(), 3_000, discipline);
        assert!(wrong.iter().any(|w| w.starts_with("events: ")), "{wrong:?}");
    }
}
