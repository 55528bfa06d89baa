//! A coprocessor on a board in memory, with a host end at its link.
#![allow(clippy::unwrap_used)]

mod calibration;
mod commands;
mod faults;
mod latency;
mod power;
mod pulses;
mod records;
mod reports;
mod samples;
mod voltage;
mod waveform;

use std::vec::Vec;

use ed25519_dalek::{Signer, SigningKey};
use metrology_link::host::{HostEnd, Received};
use metrology_link::payload::*;
use metrology_link::{PAGE, Page};

use super::{Board, Coprocessor, NV_BYTES, NoInit};
use crate::CHANNELS;

/// Samples per second of the default configuration.
pub const RATE: u64 = 8000;
/// Room for images behind the records.
pub const IMAGE_ROOM: usize = 4096;
/// 2026-11-20 12:00:00 UTC, µs.
pub const NOON: i64 = 1_795_176_000_000_000;

/// The key of the laboratory that the board knows.
pub fn laboratory() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// What the laboratory makes of a calibration.
pub fn sign(calibration: Calibration) -> SignedCalibration {
    SignedCalibration { calibration, signature: laboratory().sign(&calibration.signed_bytes()).to_bytes() }
}

#[derive(Clone)]
pub struct MemBoard {
    pub nv: Vec<u8>,
    /// Every write, in order.
    pub writes: Vec<(usize, Vec<u8>)>,
    pub rtc: (i64, ClockQuality),
    pub inputs: u32,
    pub pulses: [u64; PULSE_INPUTS],
    pub outputs: Vec<Outputs>,
    pub frames: Vec<LcdFrame>,
    pub resets: Vec<bool>,
    /// Pulses, levels of the resting light, and shut-downs.
    pub given: Vec<crate::pulses::Pulse>,
    pub light: Vec<bool>,
    pub shut_downs: u32,
    pub factory: MeterConfig,
    pub temperature: Option<i32>,
    pub laboratory: Option<[u8; 32]>,
    /// The contact follows the drive.
    pub follows: bool,
    /// Memory for power quality, on a board that has it.
    pub power_quality: Option<std::boxed::Box<crate::pq::PowerQuality>>,
}

impl MemBoard {
    pub fn new() -> MemBoard {
        MemBoard {
            nv: std::vec![0; NV_BYTES + IMAGE_ROOM],
            writes: Vec::new(),
            rtc: (NOON, ClockQuality::Valid),
            inputs: 0,
            pulses: [0; PULSE_INPUTS],
            outputs: Vec::new(),
            frames: Vec::new(),
            resets: Vec::new(),
            given: Vec::new(),
            light: Vec::new(),
            shut_downs: 0,
            factory: MeterConfig::default(),
            temperature: Some(21_500),
            laboratory: Some(laboratory().verifying_key().to_bytes()),
            follows: true,
            power_quality: None,
        }
    }
}

impl Board for MemBoard {
    fn nv_size(&self) -> usize {
        self.nv.len()
    }
    fn nv_read(&self, at: usize, out: &mut [u8]) {
        out.copy_from_slice(&self.nv[at..at + out.len()]);
    }
    fn nv_write(&mut self, at: usize, bytes: &[u8]) {
        self.nv[at..at + bytes.len()].copy_from_slice(bytes);
        self.writes.push((at, bytes.to_vec()));
    }
    fn rtc(&self) -> (i64, ClockQuality) {
        self.rtc
    }
    fn set_rtc(&mut self, utc_us: i64, quality: ClockQuality) {
        self.rtc = (utc_us, quality);
    }
    fn inputs(&mut self) -> Inputs {
        Inputs(self.inputs)
    }
    fn pulses(&mut self) -> [u64; PULSE_INPUTS] {
        self.pulses
    }
    fn set_outputs(&mut self, outputs: &Outputs) {
        self.outputs.push(*outputs);
        match outputs.breaker {
            BreakerDrive::Open if self.follows => self.inputs &= !Inputs::BREAKER_CLOSED,
            BreakerDrive::Close if self.follows => self.inputs |= Inputs::BREAKER_CLOSED,
            _ => {}
        }
    }
    fn lcd(&mut self, frame: &LcdFrame) {
        self.frames.push(*frame);
    }
    fn temperature_mdeg(&self) -> Option<i32> {
        self.temperature
    }
    fn laboratory_key(&self) -> Option<[u8; 32]> {
        self.laboratory
    }
    fn firmware_id(&self) -> [u8; 32] {
        [0xF1; 32]
    }
    fn device_id(&self) -> [u8; 8] {
        *b"mem-0001"
    }
    fn factory(&self) -> (MeterConfig, Calibration) {
        (self.factory, Calibration::default())
    }
    fn with_power_quality<R>(&mut self, f: impl FnOnce(&mut crate::pq::PowerQuality) -> R) -> Option<R> {
        self.power_quality.as_deref_mut().map(f)
    }
    fn pulse(&mut self, pulse: &crate::pulses::Pulse) {
        self.given.push(*pulse);
    }
    fn light_rests(&mut self, lit: bool) {
        self.light.push(lit);
    }
    fn shut_down(&mut self) {
        self.shut_downs += 1;
    }
    fn reset(&mut self, warm: bool) {
        self.resets.push(warm);
    }
}

/// The coprocessor, its samples and a host.
pub struct Rig {
    pub cop: Coprocessor<MemBoard>,
    pub host: HostEnd,
    /// Everything the host received but idle pages and repeats.
    pub seen: Vec<Received>,
    /// RMS voltage of all phases, V.
    pub volts: f64,
    /// RMS current of all phases, A.
    pub amps: f64,
    /// What happens to the counts on their way.
    pub spoil: fn(&mut [i32; CHANNELS]),
    n: u64,
    /// Exchanges happen.
    pub linked: bool,
}

impl Rig {
    pub fn start(board: MemBoard, cause: ResetCause, no_init: Option<&NoInit>) -> Rig {
        let cop = Coprocessor::start(board, cause, no_init);
        Rig { cop, host: HostEnd::new(), seen: Vec::new(), volts: 230.0, amps: 5.0, spoil: |_| {}, n: 0, linked: true }
    }

    /// A fresh one that watches power quality.
    pub fn watching(board: MemBoard) -> Rig {
        let power_quality = Some(std::boxed::Box::new(crate::pq::PowerQuality::new()));
        Rig::start(MemBoard { power_quality, ..board }, ResetCause::PowerOn, None)
    }

    pub fn fresh() -> Rig {
        Rig::start(MemBoard::new(), ResetCause::PowerOn, None)
    }

    /// Stops the processor and starts it again after `down_us`, with the same host at the other end.
    pub fn restart(mut self, cause: ResetCause, keep_ram: bool, down_us: i64) -> Rig {
        let no_init = keep_ram.then(|| self.cop.no_init());
        let mut board = self.cop.into_board();
        board.rtc.0 += down_us;
        board.writes.clear();
        self.cop = Coprocessor::start(board, cause, no_init.as_ref());
        self
    }

    /// One sample; an exchange each millisecond when something is armed or waits.
    pub fn step(&mut self) {
        let angle = (self.n % (RATE / 50)) as f64 / (RATE / 50) as f64 * std::f64::consts::TAU;
        let wave = |k: usize| (angle - k as f64 * std::f64::consts::TAU / 3.0).sin() * std::f64::consts::SQRT_2;
        let full = f64::from(1 << 23);
        let mut counts = [0; CHANNELS];
        for k in 0..3 {
            counts[k] = (wave(k) * self.volts / 600.0 * full) as i32;
            counts[3 + k] = (wave(k) * self.amps / 200.0 * full) as i32;
        }
        // A channel that is alive is never still.
        counts[6] = (self.n & 1) as i32;
        (self.spoil)(&mut counts);
        self.n += 1;
        let rtc = &mut self.cop.board_mut().rtc.0;
        *rtc += 1_000_000 / RATE as i64;
        self.cop.sample(&counts);
        if self.linked && self.n.is_multiple_of(8) && (self.cop.data_ready() || self.host.pending() != 0) {
            self.exchange();
        }
    }

    pub fn exchange(&mut self) {
        let mut down = [0; PAGE];
        self.host.emit(&mut down);
        let up = self.cop.exchange(&down);
        self.receive(&up);
    }

    pub fn receive(&mut self, up: &Page) {
        let received = self.host.receive(up).unwrap();
        match &received {
            Received::Event(e) | Received::EventGap { event: e, .. } => self.host.ack_event(e.seq),
            Received::History(r) | Received::HistoryLost { record: r, .. } => self.host.ack_history(r.seq),
            Received::Report(r) | Received::ReportGap { report: r, .. } => self.host.ack_report(r.seq),
            Received::Idle | Received::Repeat => return,
            _ => {}
        }
        self.seen.push(received);
    }

    pub fn run_ms(&mut self, ms: u64) {
        for _ in 0..ms * RATE / 1000 {
            self.step();
        }
    }

    /// Submits a command and runs until its reply is there.
    pub fn command(&mut self, command: Command) -> Reply {
        let id = self.host.submit(command).unwrap();
        for _ in 0..RATE {
            self.step();
            if let Some(Received::Reply(reply)) = self.seen.last()
                && reply.cmd_id == id
            {
                return *reply;
            }
        }
        panic!("no reply within a second");
    }

    pub fn history(&self) -> Vec<HistoryRecord> {
        let record = |r: &Received| match r {
            Received::History(r) | Received::HistoryLost { record: r, .. } => Some(*r),
            _ => None,
        };
        self.seen.iter().filter_map(record).collect()
    }

    pub fn of_kind(&self, kind: HistoryKind) -> Vec<HistoryRecord> {
        self.history().into_iter().filter(|r| r.kind == kind).collect()
    }

    pub fn events(&self) -> Vec<EventRecord> {
        let event = |r: &Received| match r {
            Received::Event(e) | Received::EventGap { event: e, .. } => Some(*e),
            _ => None,
        };
        self.seen.iter().filter_map(event).collect()
    }

    pub fn events_of(&self, code: EventCode) -> Vec<EventRecord> {
        self.events().into_iter().filter(|e| e.code == code).collect()
    }

    pub fn reports(&self) -> Vec<ReportRecord> {
        let report = |r: &Received| match r {
            Received::Report(r) | Received::ReportGap { report: r, .. } => Some(*r),
            _ => None,
        };
        self.seen.iter().filter_map(report).collect()
    }

    pub fn reports_of(&self, kind: ReportKind) -> Vec<ReportRecord> {
        self.reports().into_iter().filter(|r| r.kind == kind).collect()
    }

    pub fn billings(&self) -> Vec<Billing> {
        let billing = |r: &Received| if let Received::Billing(b) = r { Some(*b) } else { None };
        self.seen.iter().filter_map(billing).collect()
    }

    pub fn hellos(&self) -> Vec<Hello> {
        let hello = |r: &Received| if let Received::Hello(h) = r { Some(*h) } else { None };
        self.seen.iter().filter_map(hello).collect()
    }
}
