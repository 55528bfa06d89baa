//! Both ends over a link that damages, drops, repeats and cuts pages, with resets of the coprocessor and restarts of
//! Linux in between. What must hold: events and reports exactly once and in order, history complete and in order, each
//! command carried out exactly once, every lost stream item counted.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use common::Gen;
use metrology_link::codec::{self, Writer};
use metrology_link::device::{DeviceEnd, Source};
use metrology_link::host::{HostEnd, Received};
use metrology_link::payload::*;
use metrology_link::{PAGE, Page};

/// How bad the link is: bits per 10 000, and events one in so many exchanges (0 = never).
#[derive(Clone, Copy)]
struct Faults {
    bits_e4: u64,
    drop: u64,
    repeat: u64,
    late: u64,
    truncate: u64,
    reset: u64,
    restart: u64,
}

const CLEAN: Faults = Faults { bits_e4: 0, drop: 0, repeat: 0, late: 0, truncate: 0, reset: 0, restart: 0 };
const ROUGH: Faults = Faults { bits_e4: 1, drop: 10, repeat: 15, late: 40, truncate: 25, reset: 300, restart: 250 };

/// The coprocessor's application: what survives its resets.
struct Device {
    end: DeviceEnd,
    armed: Page,
    boots: u32,
    slots: u64,
    events: u64,
    history: u64,
    reports: u64,
    last_reply: Reply,
    event_ack: u64,
    report_ack: u64,
    heads: Heads,
    /// Argument of every command carried out.
    executed: Vec<u64>,
    subscription: Option<u32>,
    item: u64,
    waiting: Option<StreamChunk>,
    dropped: u64,
}

impl Device {
    fn new(slots: u64) -> Device {
        let mut device = Device {
            end: DeviceEnd::new(1000),
            armed: [0; PAGE],
            boots: 1,
            slots,
            events: 0,
            history: 0,
            reports: 0,
            last_reply: Reply::default(),
            event_ack: 0,
            report_ack: 0,
            heads: Heads::default(),
            executed: Vec::new(),
            subscription: None,
            item: 0,
            waiting: None,
            dropped: 0,
        };
        device.arm();
        device
    }

    fn reset(&mut self) {
        self.boots += 1;
        self.end = DeviceEnd::new(1000 + self.boots);
        self.end.restore(self.last_reply, self.event_ack, self.report_ack);
        self.subscription = None;
        self.waiting = None;
        self.events += 1;
        self.history += 1;
        self.arm();
    }

    /// Time passes: windows, records, stream items.
    fn live(&mut self, g: &mut Gen) {
        // Far more than life brings, but below what the rough link carries: one exchange in six succeeds both ways.
        if g.one_in(15) {
            self.end.window_closed();
        }
        self.events += u64::from(g.one_in(50));
        self.history += u64::from(g.one_in(60));
        self.reports += u64::from(g.one_in(60));
        if let Some(subscription) = self.subscription.filter(|_| g.one_in(3)) {
            let count = 1 + g.below(5) as u16;
            let chunk = StreamChunk { subscription, first: self.item, count, ..StreamChunk::default() };
            // Only one chunk waits; what comes on top is lost at the source.
            if self.waiting.is_none() {
                self.waiting = Some(chunk);
            } else {
                self.dropped += u64::from(count);
            }
            self.item += u64::from(count);
        }
    }

    fn arm(&mut self) {
        let mut page = [0; PAGE];
        let mut end = self.end.clone();
        let ready = end.ready(self);
        let class = end.emit(self, 42, &mut page);
        assert_eq!(ready, class != metrology_link::page::Class::Idle, "data-ready tells what the page carries");
        self.end = end;
        self.armed = page;
    }

    fn exchange(&mut self, host: &Page) -> Page {
        let out = self.armed;
        if let Ok(command) = self.end.receive(host) {
            if let Some((id, command)) = command {
                self.execute(id, &command);
            }
            self.last_reply = *self.end.last_reply();
            self.event_ack = self.end.event_ack();
            self.report_ack = self.end.report_ack();
        }
        self.arm();
        out
    }

    fn execute(&mut self, id: u32, command: &Command) {
        match command {
            Command::StoreHead(head) => {
                self.executed.push(head.seq);
                self.heads[0] = *head;
            }
            Command::Subscribe { .. } => {
                self.subscription = Some(id);
                self.item = 0;
                self.waiting = None;
            }
            other => panic!("not sent by this test: {other:?}"),
        }
        self.end.reply(Reply { cmd_id: id, ..Reply::default() });
    }
}

fn range(last: u64, slots: u64) -> (u64, u64) {
    if last == 0 { (0, 0) } else { (last.saturating_sub(slots - 1).max(1), last) }
}

impl Source for Device {
    fn hello(&self) -> Hello {
        let (event_first, event_last) = self.event_range();
        let (history_first, history_last) = self.history_range();
        let (report_first, report_last) = self.report_range();
        Hello {
            boot_id: self.end.boot_id(),
            boots: self.boots,
            device_id: *b"lossytst",
            event_first,
            event_last,
            history_first,
            history_last,
            report_first,
            report_last,
            last_cmd: self.last_reply.cmd_id,
            ..Hello::default()
        }
    }
    fn billing(&self) -> Billing {
        Billing { history_last: self.history, event_last: self.events, ..Billing::default() }
    }
    fn event_range(&self) -> (u64, u64) {
        range(self.events, self.slots)
    }
    fn event(&self, seq: u64) -> Option<EventRecord> {
        Some(EventRecord { seq, args: [seq as i64 * 3, 0, 0, 0], ..EventRecord::default() })
    }
    fn history_range(&self) -> (u64, u64) {
        range(self.history, self.slots)
    }
    fn history(&self, seq: u64) -> Option<HistoryRecord> {
        Some(HistoryRecord {
            seq,
            kind: HistoryKind::Minute,
            minute: seq as i64 + 7,
            grid: Grid::default(),
            old_utc_us: 0,
            snapshot: Snapshot::default(),
        })
    }
    fn report_range(&self) -> (u64, u64) {
        range(self.reports, self.slots)
    }
    fn report(&self, seq: u64, page: &mut Writer<'_>) -> bool {
        let body = HarmonicReport { parts: seq as u32 + 9, ..HarmonicReport::default() };
        let kind = ReportKind::HARMONICS_TWO_HOURS;
        codec::Wire::put(&ReportRecord { seq, kind, ..ReportRecord::default() }.with_body(&body), page);
        true
    }
    fn heads(&self) -> Heads {
        self.heads
    }
    fn stream_ready(&self) -> bool {
        self.waiting.is_some()
    }
    fn stream(&mut self) -> Option<StreamChunk> {
        self.waiting.take()
    }
}

/// Linux: what is committed survives, the rest dies with the process.
struct Linux {
    end: HostEnd,
    /// Last page written, for repeats.
    events: Vec<u64>,
    events_lost: u64,
    history: Vec<u64>,
    history_lost: u64,
    reports: Vec<u64>,
    reports_lost: u64,
    report_next: u64,
    event_next: u64,
    history_next: u64,
    /// Received, not yet committed.
    uncommitted: Vec<Received>,
    command: u64,
    outstanding: BTreeMap<u32, u64>,
    replied: Vec<u64>,
    /// Commands whose end died with a process.
    unknown: Vec<u64>,
    heads_asked: Option<u32>,
    heads_seen: bool,
    heads_answers: u64,
    stream_next: BTreeMap<u32, u64>,
    stream_got: u64,
    stream_lost: u64,
    hellos: u64,
}

impl Linux {
    fn new() -> Linux {
        Linux {
            end: HostEnd::new(),
            events: Vec::new(),
            events_lost: 0,
            history: Vec::new(),
            history_lost: 0,
            reports: Vec::new(),
            reports_lost: 0,
            report_next: 1,
            event_next: 1,
            history_next: 1,
            uncommitted: Vec::new(),
            command: 0,
            outstanding: BTreeMap::new(),
            replied: Vec::new(),
            unknown: Vec::new(),
            heads_asked: None,
            heads_seen: false,
            heads_answers: 0,
            stream_next: BTreeMap::new(),
            stream_got: 0,
            stream_lost: 0,
            hellos: 0,
        }
    }

    fn restart(&mut self) {
        self.end = HostEnd::new();
        self.end.resume(self.event_next - 1, self.history_next);
        self.end.resume_reports(self.report_next - 1);
        self.uncommitted.clear();
        self.unknown.extend(std::mem::take(&mut self.outstanding).into_values());
        self.heads_asked = None;
        self.stream_next.clear();
    }

    fn live(&mut self, g: &mut Gen) {
        if self.outstanding.len() < 4 && g.one_in(20) {
            self.command += 1;
            let head = ChainHead { log: 0, seq: self.command, head: [0; 32] };
            if let Ok(id) = self.end.submit(Command::StoreHead(head)) {
                self.outstanding.insert(id, self.command);
            }
        }
        if self.heads_asked.is_none() && g.one_in(80) {
            self.heads_asked = self.end.submit(Command::ReadHeads).ok();
            self.heads_seen = false;
        }
        // The writer commits now and then.
        if g.one_in(4) {
            self.commit();
        }
    }

    fn commit(&mut self) {
        for received in self.uncommitted.drain(..) {
            match received {
                Received::Event(e) => self.events.push(e.seq),
                Received::EventGap { from, to, event } => {
                    assert_eq!(from, self.event_next);
                    self.events_lost += to - from + 1;
                    self.events.push(event.seq);
                }
                Received::History(r) => self.history.push(r.seq),
                Received::HistoryLost { from, to, record } => {
                    assert_eq!(from, self.history_next);
                    self.history_lost += to - from + 1;
                    self.history.push(record.seq);
                }
                Received::Report(r) => self.reports.push(r.seq),
                Received::ReportGap { from, to, report } => {
                    assert_eq!(from, self.report_next);
                    self.reports_lost += to - from + 1;
                    self.reports.push(report.seq);
                }
                _ => unreachable!(),
            }
            if let Some(seq) = self.events.last() {
                self.event_next = seq + 1;
                self.end.ack_event(*seq);
            }
            if let Some(seq) = self.history.last() {
                self.history_next = seq + 1;
                self.end.ack_history(*seq);
            }
            if let Some(seq) = self.reports.last() {
                self.report_next = seq + 1;
                self.end.ack_report(*seq);
            }
        }
    }

    fn receive(&mut self, page: &Page) {
        let Ok(received) = self.end.receive(page) else { return };
        match received {
            Received::Hello(_) => {
                self.hellos += 1;
                // A subscription does not survive a boot. Old ones of this process that wait in the queue do no harm.
                let _ = self.end.submit(Command::Subscribe { mask: StreamKind::HalfCycleRms.bit() });
            }
            Received::Event(e) | Received::EventGap { event: e, .. } => {
                assert_eq!(e.args[0], e.seq as i64 * 3);
                self.uncommitted.push(received);
            }
            Received::History(r) | Received::HistoryLost { record: r, .. } => {
                assert_eq!(r.minute, r.seq as i64 + 7);
                self.uncommitted.push(received);
            }
            Received::Report(r) | Received::ReportGap { report: r, .. } => {
                assert_eq!(r.harmonics().map(|h| h.parts), Some(r.seq as u32 + 9));
                self.uncommitted.push(received);
            }
            Received::Heads(_) => self.heads_seen = true,
            Received::Reply(reply) => {
                assert_eq!(reply.status, ReplyStatus::Done);
                if let Some(argument) = self.outstanding.remove(&reply.cmd_id) {
                    self.replied.push(argument);
                }
                if self.heads_asked == Some(reply.cmd_id) {
                    assert!(self.heads_seen, "the reply to ReadHeads comes after the heads");
                    self.heads_asked = None;
                    self.heads_answers += 1;
                }
            }
            Received::Stream { lost, chunk } => {
                let first_seen = !self.stream_next.contains_key(&chunk.subscription);
                let next = self.stream_next.entry(chunk.subscription).or_default();
                if first_seen && lost == 0 {
                    // A subscription of a process before this one counts from where we came in.
                    *next = chunk.first;
                }
                assert_eq!(chunk.first, *next + lost, "every missing item is counted");
                *next = chunk.first + u64::from(chunk.count);
                self.stream_got += u64::from(chunk.count);
                self.stream_lost += lost;
            }
            Received::Idle | Received::Billing(_) | Received::Repeat => {}
        }
    }
}

struct Wire {
    faults: Faults,
    /// A device page that comes again later.
    late: Option<Page>,
}

impl Wire {
    fn damage(&self, g: &mut Gen, page: &mut Page) {
        // 8192 bits at `bits_e4` in 10 000 each: walk from hit to hit.
        if let Some(widest) = 20_000u64.checked_div(self.faults.bits_e4) {
            let mut bit = g.below(widest) as usize;
            while bit < PAGE * 8 {
                page[bit / 8] ^= 1 << (bit % 8);
                bit += 1 + g.below(widest) as usize;
            }
        }
        if hit(g, self.faults.truncate) {
            let from = g.below(PAGE as u64) as usize;
            page[from..].fill(0xff);
        }
    }
}

fn hit(g: &mut Gen, one_in: u64) -> bool {
    one_in != 0 && g.one_in(one_in)
}

/// One exchange, with everything that can go wrong.
fn exchange(g: &mut Gen, wire: &mut Wire, linux: &mut Linux, device: &mut Device) {
    let mut down = [0; PAGE];
    linux.end.emit(&mut down);
    let f = wire.faults;
    if hit(g, f.drop) {
        return;
    }
    let mut answers = Vec::new();
    for _ in 0..1 + u64::from(hit(g, f.repeat)) {
        let mut damaged = down;
        wire.damage(g, &mut damaged);
        answers.push(device.exchange(&damaged));
    }
    for up in answers {
        if hit(g, f.drop) {
            continue;
        }
        let mut damaged = up;
        wire.damage(g, &mut damaged);
        linux.receive(&damaged);
        if hit(g, f.repeat) {
            linux.receive(&damaged);
        }
        if hit(g, f.late) {
            wire.late = Some(damaged);
        }
    }
    if let Some(page) = wire.late.take_if(|_| g.one_in(20)) {
        linux.receive(&page);
    }
}

fn run(seed: u64, faults: Faults, slots: u64, exchanges: u64) -> (Linux, Device) {
    let mut g = Gen(seed);
    let (mut linux, mut device) = (Linux::new(), Device::new(slots));
    let mut wire = Wire { faults, late: None };
    for _ in 0..exchanges {
        device.live(&mut g);
        linux.live(&mut g);
        if hit(&mut g, faults.reset) {
            device.reset();
        }
        if hit(&mut g, faults.restart) {
            linux.restart();
        }
        exchange(&mut g, &mut wire, &mut linux, &mut device);
    }
    // Quiet at the end: nothing new happens, the link is clean, and everything must come through.
    wire.faults = CLEAN;
    wire.late = None;
    for _ in 0..2000 {
        exchange(&mut g, &mut wire, &mut linux, &mut device);
        linux.commit();
    }
    (linux, device)
}

fn check(seed: u64, linux: &Linux, device: &Device) {
    assert!(linux.events.iter().copied().eq(1..=device.events), "seed {seed}: events exactly once, in order");
    assert!(linux.history.iter().copied().eq(1..=device.history), "seed {seed}: history complete, in order");
    assert!(linux.reports.iter().copied().eq(1..=device.reports), "seed {seed}: reports exactly once, in order");
    assert_eq!((linux.events_lost, linux.history_lost, linux.reports_lost), (0, 0, 0), "seed {seed}");
    assert_eq!(device.event_ack, device.events, "seed {seed}: all acknowledged");
    assert_eq!(device.report_ack, device.reports, "seed {seed}: all acknowledged");

    let mut executed = device.executed.clone();
    executed.dedup();
    assert_eq!(executed.len(), device.executed.len(), "seed {seed}: a command was carried out twice");
    assert!(executed.is_sorted(), "seed {seed}: in the order of submission");
    assert!(linux.outstanding.is_empty(), "seed {seed}: a command without a reply: {:?}", linux.outstanding);
    let mut known = linux.replied.clone();
    known.extend(linux.unknown.iter().filter(|argument| executed.contains(argument)));
    known.sort_unstable();
    assert_eq!(known, executed, "seed {seed}: what was replied to was carried out, and nothing else");
    assert_eq!(linux.replied.len() + linux.unknown.len(), linux.command as usize, "seed {seed}");
}

#[test]
fn a_clean_link_loses_no_page() {
    let (linux, device) = run(1, CLEAN, 256, 5000);
    check(1, &linux, &device);
    let stats = linux.end.stats();
    assert_eq!((stats.seq_gaps, stats.crc_errors, stats.bad_pages, stats.out_of_order), (0, 0, 0, 0));
    assert_eq!((stats.boots, linux.hellos), (1, 1));
    assert!(linux.heads_answers > 10, "{}", linux.heads_answers);
    assert_eq!(linux.stream_lost, device.dropped, "lost at the source, and counted");
    assert!(linux.stream_got > 1000);
}

#[test]
fn a_rough_link_loses_nothing_either() {
    let mut hellos = 0;
    for seed in 0..12 {
        let (linux, device) = run(seed, ROUGH, 256, 4000);
        check(seed, &linux, &device);
        assert!(linux.stream_got > 0 && linux.stream_lost > 0);
        assert!(!linux.replied.is_empty() && device.boots > 2);
        hellos += linux.hellos;
    }
    assert!(hellos > 100, "resets and restarts did happen");
}

#[test]
fn each_fault_alone() {
    let one = |change: fn(&mut Faults)| {
        let mut faults = CLEAN;
        change(&mut faults);
        faults
    };
    let faults = [
        one(|f| f.bits_e4 = 1),
        one(|f| f.drop = 3),
        one(|f| f.repeat = 3),
        one(|f| f.late = 3),
        one(|f| f.truncate = 3),
        one(|f| f.reset = 20),
        one(|f| f.restart = 20),
    ];
    for (n, faults) in faults.into_iter().enumerate() {
        let seed = 100 + n as u64;
        let (linux, device) = run(seed, faults, 256, 3000);
        check(seed, &linux, &device);
    }
}

#[test]
fn what_a_small_ring_loses_is_told() {
    let rough = Faults { drop: 2, ..ROUGH };
    let mut lost = 0;
    for seed in 20..24 {
        let (linux, device) = run(seed, rough, 4, 3000);
        let delivered = linux.events.len() as u64;
        assert_eq!(delivered + linux.events_lost, device.events, "seed {seed}");
        assert_eq!(linux.history.len() as u64 + linux.history_lost, device.history, "seed {seed}");
        assert_eq!(linux.reports.len() as u64 + linux.reports_lost, device.reports, "seed {seed}");
        assert!(linux.events.is_sorted() && linux.history.is_sorted() && linux.reports.is_sorted());
        lost += linux.events_lost + linux.history_lost + linux.reports_lost;
    }
    assert!(lost > 10, "the ring was too small: {lost}");
}

#[test]
fn another_device_is_heard_from_its_beginning() {
    let mut g = Gen(5);
    let (mut linux, mut device) = (Linux::new(), Device::new(256));
    let mut wire = Wire { faults: CLEAN, late: None };
    for _ in 0..500 {
        device.live(&mut g);
        exchange(&mut g, &mut wire, &mut linux, &mut device);
        linux.commit();
    }
    assert!(linux.events.len() > 4 && linux.history.len() > 3 && linux.reports.len() > 3);
    // Its memory is gone: everything counts from 1 again, also the commands.
    linux.command += 1;
    let id = linux.end.submit(Command::StoreHead(ChainHead { log: 0, seq: 77, head: [0; 32] })).unwrap();
    linux.outstanding.insert(id, 77);
    let mut device = Device::new(256);
    device.end = DeviceEnd::new(5);
    (device.events, device.history, device.reports) = (3, 2, 1);
    device.arm();
    (linux.events, linux.history, linux.reports) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..20 {
        exchange(&mut g, &mut wire, &mut linux, &mut device);
        linux.commit();
    }
    assert_eq!((linux.events, linux.history, linux.reports), (vec![1, 2, 3], vec![1, 2], vec![1]));
    assert_eq!(device.executed, [77]);
}

#[test]
fn an_idle_link_is_idle_and_a_repeated_page_does_not_renew_the_permit() {
    let (mut linux, mut device) = (Linux::new(), Device::new(256));
    let mut g = Gen(1);
    let mut wire = Wire { faults: CLEAN, late: None };
    for _ in 0..10 {
        exchange(&mut g, &mut wire, &mut linux, &mut device);
    }
    assert!(!device.end.ready(&Device::new(256)));
    device.end.take_permit_ms();
    linux.end.set_permit(500);
    let mut page = [0; PAGE];
    linux.end.emit(&mut page);
    device.exchange(&page);
    assert_eq!(device.end.take_permit_ms(), Some(500));
    device.exchange(&page);
    assert_eq!(device.end.take_permit_ms(), None);
    let mut stranger = [0; PAGE];
    let mut other = HostEnd::new();
    other.set_permit(500);
    other.emit(&mut stranger);
    device.exchange(&stranger);
    assert_eq!(device.end.take_permit_ms(), Some(0), "a host that does not know this boot permits nothing");
}

#[test]
fn a_host_that_numbers_wrong_is_corrected() {
    let (mut linux, mut device) = (Linux::new(), Device::new(256));
    // The hello tells 3, the link's end remembers 10.
    device.last_reply = Reply { cmd_id: 3, ..Reply::default() };
    device.end.restore(Reply { cmd_id: 10, ..Reply::default() }, 0, 0);
    device.arm();
    let mut page = [0; PAGE];
    linux.end.emit(&mut page);
    linux.receive(&device.exchange(&page));
    let id = linux.end.submit(Command::StoreHead(ChainHead { log: 0, seq: 5, head: [0; 32] })).unwrap();
    linux.outstanding.insert(id, 5);
    let (mut g, mut wire) = (Gen(1), Wire { faults: CLEAN, late: None });
    for _ in 0..20 {
        exchange(&mut g, &mut wire, &mut linux, &mut device);
    }
    assert_eq!((&linux.replied, &device.executed), (&vec![5], &vec![5]));
    // 11 was the subscription that the test makes at the hello.
    assert_eq!(device.end.last_reply().cmd_id, 12);
}

#[test]
fn an_unreadable_record_is_told_as_lost() {
    struct Holes(Device);
    impl Source for Holes {
        fn hello(&self) -> Hello {
            self.0.hello()
        }
        fn billing(&self) -> Billing {
            self.0.billing()
        }
        fn event_range(&self) -> (u64, u64) {
            (1, 9)
        }
        fn event(&self, seq: u64) -> Option<EventRecord> {
            self.0.event(seq).filter(|_| !(4..=5).contains(&seq))
        }
        fn history_range(&self) -> (u64, u64) {
            (1, 3)
        }
        fn history(&self, seq: u64) -> Option<HistoryRecord> {
            self.0.history(seq).filter(|_| seq != 1)
        }
        fn report_range(&self) -> (u64, u64) {
            (2, 4)
        }
        fn report(&self, seq: u64, page: &mut Writer<'_>) -> bool {
            seq != 3 && self.0.report(seq, page)
        }
        fn heads(&self) -> Heads {
            self.0.heads()
        }
        fn stream_ready(&self) -> bool {
            false
        }
        fn stream(&mut self) -> Option<StreamChunk> {
            None
        }
    }
    let mut source = Holes(Device::new(256));
    let (mut end, mut host) = (DeviceEnd::new(9), HostEnd::new());
    let (mut up, mut down) = ([0; PAGE], [0; PAGE]);
    let mut seen = Vec::new();
    for _ in 0..30 {
        end.emit(&mut source, 0, &mut up);
        host.emit(&mut down);
        end.receive(&down).unwrap();
        match host.receive(&up).unwrap() {
            Received::Event(e) => seen.push(format!("e{}", e.seq)),
            Received::EventGap { from, to, event } => seen.push(format!("lost e{from}-{to}, e{}", event.seq)),
            Received::History(r) => seen.push(format!("h{}", r.seq)),
            Received::HistoryLost { from, to, record } => seen.push(format!("lost h{from}-{to}, h{}", record.seq)),
            Received::Report(r) => seen.push(format!("r{}", r.seq)),
            Received::ReportGap { from, to, report } => seen.push(format!("lost r{from}-{to}, r{}", report.seq)),
            _ => {}
        }
    }
    assert_eq!(
        seen,
        ["e1", "e2", "e3", "lost e4-5, e6", "e7", "e8", "e9", "lost h1-1, h2", "h3", "lost r1-1, r2", "lost r3-3, r4"]
    );
}
