//! A coprocessor as small as one can be, and a host that drives the meter with it. What the real one does with
//! samples is a counter here; ring, grid, boots and numbering follow the link's documentation.

#![allow(dead_code)] // Each test file uses its part.

use std::collections::VecDeque;

use meter_core::{Command, Durable, Effects, Input, LoggerId, Meter, Notice, Origin, Refused, Row, Settings, Verifier};
use meter_model::{Mono, Status, Utc};
use metrology_link::PROTOCOL;
use metrology_link::payload::{
    self, Billing, ClockQuality, EnergySet, EventCode, EventRecord, Grid, Hello, HistoryKind, HistoryRecord, Inputs,
    Second, Snapshot, Topology, Valid,
};

pub const RATE: u64 = 8000;
/// 10 s windows keep a simulated day short; nothing in the meter knows the length of a window.
pub const WINDOW_US: i64 = 10_000_000;
pub const MINUTE: i64 = 60_000_000;
/// Depth of the history ring, as in the coprocessor.
const RING: usize = 256;

/// 2026-03-01 12:00 UTC.
pub const NOON: i64 = 1_772_366_400_000_000;

/// Energy of one window, mJ.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub import: u64,
    pub export: u64,
    pub reactive: [u64; 4],
    pub u_mv: u64,
    pub i_ua: u64,
}

impl Default for Load {
    fn default() -> Load {
        Load { import: 12_345_677, export: 0, reactive: [1_001, 0, 0, 17], u_mv: 230_000, i_ua: 5_000_001 }
    }
}

#[derive(Clone, Debug)]
pub struct Device {
    pub id: [u8; 8],
    pub boot_id: u32,
    pub memory_reset: bool,
    pub snapshot: Snapshot,
    pub grid: Grid,
    pub topology: Topology,
    pub ring: VecDeque<HistoryRecord>,
    pub seq: u64,
    pub events: VecDeque<EventRecord>,
    pub event_seq: u64,
    pub load: Load,
    minute: i64,
    /// True time that has passed since the world began, µs.
    pub true_us: i64,
    /// Commands seen.
    pub grids: Vec<Grid>,
    /// The link swallows commands.
    pub deaf: bool,
    /// Every window: its end in meter time, inputs during it, A+ of it, and what the test says is in force.
    pub windows: Vec<(i64, u32, u64, Tag)>,
    /// What the test says is in force.
    pub tag: Tag,
}

/// What a test knows about a window besides what was measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tag {
    /// Current transformer ratio.
    pub ratio: u64,
    /// Tariff demanded.
    pub demanded: u8,
}

impl Device {
    pub fn new(id: u8, utc_us: i64, quality: ClockQuality) -> Device {
        let grid = Grid { id: 0, anchor: 0, utc_us, rate_q16: RATE << 16, quality };
        let mut device = Device {
            id: [id; 8],
            boot_id: u32::from(id) * 1000,
            memory_reset: true,
            snapshot: Snapshot::default(),
            grid,
            topology: Topology::ThreePhase,
            ring: VecDeque::new(),
            seq: 0,
            events: VecDeque::new(),
            event_seq: 0,
            load: Load::default(),
            minute: utc_us.div_euclid(MINUTE),
            true_us: 0,
            grids: Vec::new(),
            deaf: false,
            windows: Vec::new(),
            tag: Tag { ratio: 1, demanded: 1 },
        };
        device.start();
        device
    }

    pub fn utc(&self) -> i64 {
        self.grid.utc_us_at(self.snapshot.t_samples)
    }

    fn start(&mut self) {
        self.boot_id += 1;
        self.snapshot.boots += 1;
        self.minute = self.utc().div_euclid(MINUTE);
        self.record(HistoryKind::Boot, self.snapshot, 0);
        self.event(EventCode::BOOT, [self.snapshot.boots.into(), 0, 0, 0]);
    }

    fn record(&mut self, kind: HistoryKind, snapshot: Snapshot, old_utc_us: i64) {
        self.seq += 1;
        let minute = if kind == HistoryKind::Minute { self.minute } else { self.utc().div_euclid(MINUTE) };
        self.ring.push_back(HistoryRecord { seq: self.seq, kind, minute, grid: self.grid, old_utc_us, snapshot });
        if self.ring.len() > RING {
            self.ring.pop_front();
        }
    }

    pub fn event(&mut self, code: EventCode, args: [i64; 4]) {
        self.event_seq += 1;
        let (t_samples, utc_us) = (self.snapshot.t_samples, self.utc());
        self.events.push_back(EventRecord {
            seq: self.event_seq,
            boot_id: self.boot_id,
            t_samples,
            utc_us,
            code,
            phase: 0,
            args,
        });
    }

    /// One window of `us`.
    pub fn window(&mut self, us: i64) {
        let before = self.snapshot;
        let s = &mut self.snapshot;
        s.t_samples += us as u64 * RATE / 1_000_000;
        s.window += 1;
        let load = self.load;
        let part = |set: &mut EnergySet, k: u64| {
            set.a_plus += load.import / 3 + k;
            set.a_minus += load.export / 3;
            for (r, add) in set.r.iter_mut().zip(load.reactive) {
                *r += add / 3;
            }
            set.e_plus += (load.import + load.reactive[0]) / 3;
            set.e_minus += load.export / 3;
        };
        for (k, set) in s.counters.phase.iter_mut().enumerate() {
            part(set, k as u64);
        }
        let total = &mut s.counters.total;
        total.a_plus += load.import;
        total.a_minus += load.export;
        for (r, add) in total.r.iter_mut().zip(load.reactive) {
            *r += add;
        }
        total.e_plus += load.import + load.reactive[0];
        total.e_minus += load.export;
        for p in &mut s.sums.phase {
            p.windows += 1;
            p.u_mv += load.u_mv;
            p.i_ua += load.i_ua;
            p.pf_windows += 1;
            p.pf_ppm += 950_001;
        }
        s.sums.f_windows += 1;
        s.sums.f_uhz += 50_000_000 + s.window % 7;
        self.true_us += us;
        let now = self.utc();
        self.windows.push((now, self.snapshot.inputs.0, load.import, self.tag));
        let minute = now.div_euclid(MINUTE);
        if minute > self.minute {
            self.minute = minute;
            // The last window that ended at or before the minute.
            let at = if now == minute * MINUTE { self.snapshot } else { before };
            self.record(HistoryKind::Minute, at, 0);
        }
    }

    /// A tariff input changes.
    pub fn edge(&mut self) {
        self.snapshot.inputs = Inputs(self.snapshot.inputs.0 ^ 1);
        self.record(HistoryKind::InputEdge, self.snapshot, 0);
    }

    /// The tariff inputs have this state from now on.
    pub fn inputs(&mut self, bits: u32) {
        self.snapshot.inputs = Inputs(bits);
        self.record(HistoryKind::InputEdge, self.snapshot, 0);
    }

    pub fn overload(&mut self) {
        self.snapshot.clipped_windows += 1;
    }

    pub fn suspect(&mut self) {
        self.snapshot.suspect_windows += 1;
    }

    pub fn lose_samples(&mut self) {
        self.snapshot.lost_samples += 3;
    }

    pub fn reconfigure(&mut self) {
        self.snapshot.config_hash[0] = self.snapshot.config_hash[0].wrapping_add(1);
        self.record(HistoryKind::ConfigChange, self.snapshot, 0);
    }

    pub fn power_fail(&mut self) {
        self.record(HistoryKind::PowerFail, self.snapshot, 0);
    }

    /// Off for `down_us`, then on again; the memory holds.
    pub fn reset(&mut self, down_us: i64) {
        self.memory_reset = false;
        self.true_us += down_us;
        self.snapshot.down_us += down_us as u64;
        self.snapshot.t_samples += down_us as u64 * RATE / 1_000_000;
        self.start();
    }

    /// A reset after which the memory holds an older window.
    pub fn fall_back(&mut self, to: Snapshot, down_us: i64) {
        let t_samples = self.snapshot.t_samples;
        self.snapshot = Snapshot { t_samples, ..to };
        self.reset(down_us);
    }

    /// A reset after which the memory is empty.
    pub fn lose_memory(&mut self, down_us: i64) {
        let utc_us = self.utc() + down_us;
        self.true_us += down_us;
        let grid = Grid { id: 0, anchor: 0, utc_us, ..self.grid };
        let (id, boot_id, true_us) = (self.id, self.boot_id, self.true_us);
        *self = Device { id, true_us, grid, ..Device::new(id[0], utc_us, self.grid.quality) };
        self.boot_id = boot_id + 1;
    }

    /// A reset after which the cumulative values are lost and everything else is there.
    pub fn lose_counters(&mut self) {
        let (boots, utc_us) = (self.snapshot.boots, self.utc());
        self.snapshot = Snapshot { boots, ..Snapshot::default() };
        self.grid = Grid { id: 0, anchor: 0, utc_us, ..self.grid };
        self.start();
        self.memory_reset = true;
    }

    pub fn set_grid(&mut self, grid: Grid) {
        self.grids.push(grid);
        if self.deaf {
            return;
        }
        let old = self.utc();
        self.grid = grid;
        self.record(HistoryKind::GridChange, self.snapshot, old);
        self.minute = self.utc().div_euclid(MINUTE);
        if self.minute > old.div_euclid(MINUTE) {
            // The boundary that was jumped over; the newest when there are several.
            self.record(HistoryKind::Minute, self.snapshot, 0);
        }
    }

    pub fn hello(&self) -> Hello {
        Hello {
            protocol: PROTOCOL,
            boot_id: self.boot_id,
            device_id: self.id,
            topology: self.topology,
            channels: 0x7f,
            grid: self.grid,
            boots: self.snapshot.boots,
            history_first: self.ring.front().map_or(0, |r| r.seq),
            history_last: self.seq,
            event_first: self.events.front().map_or(0, |e| e.seq),
            event_last: self.event_seq,
            memory_reset: self.memory_reset,
            ..Hello::default()
        }
    }

    pub fn billing(&self) -> Billing {
        let mut second = Second {
            number: self.snapshot.window,
            valid: Valid(0x1ffff & !Valid::F_OUT_OF_RANGE),
            ..Second::default()
        };
        second.p_mw = -1_500;
        second.q_mvar = 700;
        second.s_mva = 1_700;
        second.f_uhz = 50_010_000;
        second.phase[0].u_mv = 231_000;
        Billing { snapshot: self.snapshot, second, history_last: self.seq, event_last: self.event_seq, grid: self.grid }
    }
}

/// The meter with its store (what was committed) and the link.
pub struct Host {
    pub meter: Meter,
    pub settings: Settings,
    pub committed: Option<Durable>,
    pub rows: Vec<(LoggerId, Row)>,
    pub notices: Vec<Notice>,
    pub heads: Vec<payload::ChainHead>,
    boot_seen: u32,
}

impl Host {
    pub fn new(settings: Settings) -> Host {
        let meter = Meter::new(settings.clone(), None).expect("settings are possible");
        Host {
            meter,
            settings,
            committed: None,
            rows: Vec::new(),
            notices: Vec::new(),
            heads: Vec::new(),
            boot_seen: 0,
        }
    }

    /// kill -9 and start: only what was committed is there.
    pub fn restart(&mut self) {
        // Through the bytes, as the store would.
        let durable = self.committed.map(|d| Durable::decode(&d.encode()).expect("what was encoded decodes"));
        self.meter = Meter::new(self.settings.clone(), durable).expect("settings are possible");
        self.boot_seen = 0;
    }

    pub fn mono(device: &Device) -> Mono {
        Mono(device.true_us as u64)
    }

    pub fn step(&mut self, device: &mut Device, input: Input) -> Effects {
        let effects = self.meter.step(Host::mono(device), input);
        self.commit(device, &effects);
        effects
    }

    fn commit(&mut self, device: &mut Device, effects: &Effects) {
        if let Some(tx) = &effects.persist {
            for (logger, row) in &tx.rows {
                let before = self.rows.iter().rev().find(|(l, _)| l == logger).map_or(0, |(_, r)| r.seq);
                assert_eq!(row.seq, before + 1, "{logger:?}");
                self.rows.push((*logger, row.clone()));
            }
            if let Some(before) = &self.committed {
                assert!(meter_core::registers_monotone(before, &tx.durable), "a register fell");
            }
            self.committed = Some(tx.durable);
            self.heads.extend(&tx.heads);
            if let Some(ack) = tx.event_ack {
                device.events.retain(|e| e.seq > ack);
            }
        }
        self.notices.extend(&effects.notices);
        for command in &effects.link {
            match command {
                payload::Command::SetGrid(grid) => device.set_grid(*grid),
                other => panic!("unexpected command {other:?}"),
            }
        }
    }

    /// Brings the meter up to date: hello, billing, events, history, as the link would.
    pub fn pump(&mut self, device: &mut Device) {
        if self.boot_seen != device.boot_id {
            self.boot_seen = device.boot_id;
            let hello = device.hello();
            self.step(device, Input::Hello(hello));
        }
        self.bill(device);
        self.drain(device);
    }

    /// One billing page.
    pub fn bill(&mut self, device: &mut Device) -> Effects {
        let billing = device.billing();
        self.step(device, Input::Billing(billing))
    }

    pub fn drain(&mut self, device: &mut Device) {
        while let Some(event) = device.events.front().copied() {
            self.step(device, Input::Event(event));
            assert_ne!(device.events.front(), Some(&event), "an event is never acknowledged");
        }
        while let Some(record) = self.next_record(device) {
            let wanted = self.meter.resume().history_next;
            if record.seq > wanted {
                self.step(device, Input::HistoryLost { from: wanted, to: record.seq - 1 });
            }
            self.step(device, Input::History(record));
            assert!(self.meter.resume().history_next > wanted, "a record is never taken");
        }
    }

    pub fn next_record(&self, device: &Device) -> Option<HistoryRecord> {
        let wanted = self.meter.resume().history_next;
        device.ring.iter().find(|r| r.seq >= wanted).copied()
    }

    pub fn run(&mut self, device: &mut Device, windows: u32) {
        for _ in 0..windows {
            device.window(WINDOW_US);
            self.pump(device);
        }
    }

    pub fn run_minutes(&mut self, device: &mut Device, minutes: u32) {
        self.run(device, minutes * (MINUTE / WINDOW_US) as u32);
    }

    pub fn command(&mut self, device: &mut Device, command: Command) -> Result<(), Refused> {
        let origin = Origin { source: "test peer".into(), uid: 42 };
        let effects = self.step(device, Input::Command(command, origin));
        self.pump(device);
        effects.answer.expect("a command is answered")
    }

    pub fn logger(&self, logger: LoggerId) -> Vec<Row> {
        self.rows.iter().filter(|(l, _)| *l == logger).map(|(_, r)| r.clone()).collect()
    }

    pub fn load(&self) -> Vec<Row> {
        self.logger(LoggerId::Load)
    }

    /// (start, end, status) of the load profile in minutes since noon, for tables.
    pub fn table(&self) -> Vec<(f64, f64, Status)> {
        let minutes = |t: Utc| (t.0 - NOON) as f64 / MINUTE as f64;
        self.load().iter().map(|r| (minutes(r.start), minutes(r.end), r.status)).collect()
    }

    /// Everything the verifier can say.
    pub fn verify(&self) -> Vec<meter_core::Finding> {
        let durable = self.committed.expect("something was committed");
        let check = |logger| {
            let mut verifier = Verifier::new(logger);
            self.logger(logger).iter().for_each(|row| verifier.row(row));
            verifier.finish(&durable)
        };
        LoggerId::ALL.into_iter().flat_map(check).collect()
    }
}

pub const NONE: Status = Status(0);

/// A fresh direct three-phase meter and its coprocessor at [`NOON`], clock valid.
pub fn at_noon() -> (Device, Host) {
    (Device::new(1, NOON, ClockQuality::Valid), Host::new(Settings::default()))
}

/// So many minutes after noon.
pub fn utc(minutes: f64) -> Utc {
    Utc(NOON + (minutes * MINUTE as f64) as i64)
}
