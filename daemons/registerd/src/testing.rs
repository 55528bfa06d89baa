//! A coprocessor that does nothing but count, for the tests of this crate.

use meter_model::Utc;
use metrology_link::codec::{Wire, Writer};
use metrology_link::device::{DeviceEnd, Source};
use metrology_link::payload::*;
use metrology_link::{PAGE, PROTOCOL, Page};

const RATE: u64 = 8000;
const MINUTE: u64 = 60 * RATE;
/// 2026-11-20T12:00:00Z.
pub const BEGIN: i64 = 1_795_176_000_000_000;

/// One minute is one call.
pub struct Device {
    pub end: DeviceEnd,
    pub memory: Memory,
    armed: Page,
    pub carried_out: Vec<Command>,
}

pub struct Memory {
    pub hello: Hello,
    pub snapshot: Snapshot,
    pub history: Vec<HistoryRecord>,
    pub events: Vec<EventRecord>,
    pub reports: Vec<ReportRecord>,
    pub heads: Heads,
    second: u64,
}

impl Source for Memory {
    fn hello(&self) -> Hello {
        let (history_first, history_last) = self.history_range();
        let (event_first, event_last) = self.event_range();
        let (report_first, report_last) = self.report_range();
        Hello { history_first, history_last, event_first, event_last, report_first, report_last, ..self.hello }
    }
    fn billing(&self) -> Billing {
        Billing {
            snapshot: self.snapshot,
            second: Second { number: self.second, t_samples: self.snapshot.t_samples, ..Second::default() },
            history_last: self.history.len() as u64,
            event_last: self.events.len() as u64,
            grid: self.hello.grid,
        }
    }
    fn event_range(&self) -> (u64, u64) {
        (u64::from(!self.events.is_empty()), self.events.len() as u64)
    }
    fn event(&self, seq: u64) -> Option<EventRecord> {
        self.events.get(seq as usize - 1).copied()
    }
    fn history_range(&self) -> (u64, u64) {
        (u64::from(!self.history.is_empty()), self.history.len() as u64)
    }
    fn history(&self, seq: u64) -> Option<HistoryRecord> {
        self.history.get(seq as usize - 1).copied()
    }
    fn report_range(&self) -> (u64, u64) {
        (u64::from(!self.reports.is_empty()), self.reports.len() as u64)
    }
    fn report(&self, seq: u64, page: &mut Writer<'_>) -> bool {
        self.reports.get(seq as usize - 1).map(|report| report.put(page)).is_some()
    }
    fn heads(&self) -> Heads {
        self.heads
    }
    fn stream_ready(&self) -> bool {
        false
    }
    fn stream(&mut self) -> Option<StreamChunk> {
        None
    }
}

impl Device {
    pub fn new(id: u8) -> Device {
        let grid = Grid { id: 0, anchor: 0, utc_us: BEGIN, rate_q16: RATE << 16, quality: ClockQuality::Valid };
        let hello = Hello {
            protocol: PROTOCOL,
            boot_id: u32::from(id),
            device_id: [id; 8],
            topology: Topology::ThreePhase,
            rate_hz: RATE as u32,
            f_nominal: 50,
            channels: 0x7f,
            grid,
            boots: 1,
            ..Hello::default()
        };
        let mut device = Device {
            end: DeviceEnd::new(hello.boot_id),
            memory: Memory {
                hello,
                snapshot: Snapshot { boots: 1, ..Snapshot::default() },
                history: Vec::new(),
                events: Vec::new(),
                reports: Vec::new(),
                heads: [ChainHead::default(); CHAIN_LOGS],
                second: 0,
            },
            armed: [0; PAGE],
            carried_out: Vec::new(),
        };
        device.arm();
        device
    }

    fn arm(&mut self) {
        let t = self.memory.snapshot.t_samples;
        self.end.emit(&mut self.memory, t, &mut self.armed);
    }

    /// One minute passes: energy, a record, and an event now and then.
    pub fn minute(&mut self) {
        let m = &mut self.memory;
        m.snapshot.t_samples += MINUTE;
        m.snapshot.window += 300;
        m.snapshot.counters.total.a_plus += 1_234_567 + m.second;
        m.snapshot.counters.phase[0].a_plus += 1_234_567 + m.second;
        m.second += 60;
        let seq = m.history.len() as u64 + 1;
        let minute = m.hello.grid.utc_us_at(m.snapshot.t_samples).div_euclid(Utc::MINUTE);
        m.history.push(HistoryRecord {
            seq,
            kind: HistoryKind::Minute,
            minute,
            grid: m.hello.grid,
            old_utc_us: 0,
            snapshot: m.snapshot,
        });
        if seq.is_multiple_of(7) {
            let seq = m.events.len() as u64 + 1;
            m.events.push(EventRecord {
                seq,
                boot_id: m.hello.boot_id,
                t_samples: m.snapshot.t_samples,
                utc_us: minute * Utc::MINUTE,
                code: EventCode::INPUTS_CHANGED,
                ..EventRecord::default()
            });
        }
        self.end.window_closed();
    }

    fn set_grid(&mut self, grid: Grid) {
        let m = &mut self.memory;
        let t = m.snapshot.t_samples;
        let old_utc_us = m.hello.grid.utc_us_at(t);
        m.hello.grid = grid;
        m.history.push(HistoryRecord {
            seq: m.history.len() as u64 + 1,
            kind: HistoryKind::GridChange,
            minute: grid.utc_us_at(t).div_euclid(Utc::MINUTE),
            grid,
            old_utc_us,
            snapshot: m.snapshot,
        });
        self.end.window_closed();
    }

    pub fn exchange(&mut self, host: &Page) -> Page {
        let out = self.armed;
        if let Ok(Some((id, command))) = self.end.receive(host) {
            self.carried_out.push(command);
            if let Command::StoreHead(head) = command {
                self.memory.heads[usize::from(head.log)] = head;
            }
            if let Command::SetGrid(grid) = command {
                self.set_grid(grid);
            }
            self.end.reply(Reply { cmd_id: id, ..Reply::default() });
        }
        self.arm();
        out
    }
}
