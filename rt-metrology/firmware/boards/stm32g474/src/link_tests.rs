//! The link as this board runs it: a page must be armed before the host's is known.

use crate::slave::{Edge, Slave, carry};
use metrology_dsp::CHANNELS;
use metrology_dsp::coprocessor::{Board, Coprocessor, NV_BYTES};
use metrology_link::host::{HostEnd, Received};
use metrology_link::payload::{
    ClockQuality, Command, Inputs, LcdFrame, Outputs, PULSE_INPUTS, ReplyStatus, ResetCause, StreamKind,
};
use metrology_link::{PAGE, Page};
use std::{vec, vec::Vec};

const RATE: u64 = 8000;

struct Memory {
    nv: Vec<u8>,
    utc_us: i64,
    inputs: u32,
    resets: u32,
}

impl Board for Memory {
    fn nv_size(&self) -> usize {
        self.nv.len()
    }
    fn nv_read(&self, at: usize, out: &mut [u8]) {
        out.copy_from_slice(&self.nv[at..at + out.len()]);
    }
    fn nv_write(&mut self, at: usize, bytes: &[u8]) {
        self.nv[at..at + bytes.len()].copy_from_slice(bytes);
    }
    fn rtc(&self) -> (i64, ClockQuality) {
        (self.utc_us, ClockQuality::Valid)
    }
    fn set_rtc(&mut self, utc_us: i64, _quality: ClockQuality) {
        self.utc_us = utc_us;
    }
    fn inputs(&mut self) -> Inputs {
        Inputs(self.inputs)
    }
    fn pulses(&mut self) -> [u64; PULSE_INPUTS] {
        [0; PULSE_INPUTS]
    }
    fn set_outputs(&mut self, _outputs: &Outputs) {}
    fn lcd(&mut self, _frame: &LcdFrame) {}
    fn temperature_mdeg(&self) -> Option<i32> {
        None
    }
    fn firmware_id(&self) -> [u8; 32] {
        [1; 32]
    }
    fn device_id(&self) -> [u8; 8] {
        [2; 8]
    }
    fn reset(&mut self, _warm: bool) {
        self.resets += 1;
    }
}

/// Board, wire and host.
struct Rig {
    coprocessor: Coprocessor<Memory>,
    slave: Slave,
    sent: Page,
    received: Page,
    host: HostEnd,
    seen: Vec<Received>,
    samples: u64,
    /// Every so manieth transfer ends early; 0 = none.
    cut_each: u64,
    transfers: u64,
}

impl Rig {
    fn new() -> Rig {
        let board = Memory { nv: vec![0; NV_BYTES], utc_us: 1_750_000_000_000_000, inputs: 0, resets: 0 };
        let coprocessor = Coprocessor::start(board, ResetCause::PowerOn, None);
        let (sent, received) = ([0; PAGE], [0; PAGE]);
        let (slave, host) = (Slave::new(), HostEnd::new());
        let mut rig =
            Rig { coprocessor, slave, sent, received, host, seen: Vec::new(), samples: 0, cut_each: 0, transfers: 0 };
        rig.carry();
        rig
    }

    fn carry(&mut self) {
        let news = carry(&mut self.coprocessor, &mut self.received);
        core::mem::swap(&mut self.sent, &mut self.received);
        self.slave.arm(news);
    }

    /// One turn of the main loop.
    fn turn(&mut self) {
        let came = self.slave.state() == crate::slave::State::Received;
        if self.slave.take(true, self.coprocessor.data_ready()) {
            if !came {
                self.received.fill(0);
            }
            self.carry();
        }
    }

    /// What the host does when data-ready is high or it has something to say.
    fn transfer(&mut self) {
        self.transfers += 1;
        let mut page = [0; PAGE];
        self.host.emit(&mut page);
        if self.cut_each != 0 && self.transfers.is_multiple_of(self.cut_each) {
            let mut half = self.sent;
            half[PAGE / 2..].fill(0);
            assert!(self.host.receive(&half).is_err());
            assert_eq!(self.slave.select_rose(PAGE / 2), Edge::Rearm);
            return;
        }
        let received = self.host.receive(&self.sent).unwrap();
        self.received = page;
        assert_eq!(self.slave.select_rose(PAGE), Edge::Page);
        match &received {
            Received::Event(event) => self.host.ack_event(event.seq),
            Received::History(record) => self.host.ack_history(record.seq),
            Received::Report(report) => self.host.ack_report(report.seq),
            _ => {}
        }
        self.seen.push(received);
    }

    fn run_ms(&mut self, ms: u64) {
        for _ in 0..ms * RATE / 1000 {
            self.samples += 1;
            let angle = self.samples as f64 / 160.0 * core::f64::consts::TAU;
            let mut counts = [0; CHANNELS];
            for (k, count) in counts.iter_mut().enumerate() {
                *count = ((angle - k as f64 * 2.1).sin() * 3e6) as i32;
            }
            self.coprocessor.board_mut().utc_us += 125;
            self.coprocessor.sample(&counts);
            self.turn();
            if self.samples.is_multiple_of(8) && (self.slave.data_ready() || self.host.pending() != 0) {
                self.transfer();
            }
        }
    }

    /// Events seen, as they came.
    fn events(&self) -> Vec<u64> {
        let seq = |r: &Received| match r {
            Received::Event(event) => Some(event.seq),
            _ => None,
        };
        self.seen.iter().filter_map(seq).collect()
    }
}

#[test]
fn every_event_reply_and_chunk_crosses_in_order() {
    for cut_each in [0, 7] {
        let mut rig = Rig { cut_each, ..Rig::new() };
        rig.run_ms(500);
        let mask = StreamKind::Raw.bit() | StreamKind::HalfCycleRms.bit();
        for k in 0..10_u32 {
            let command = if k == 0 { Command::Subscribe { mask } } else { Command::SetOutputs(Outputs::default()) };
            let id = rig.host.submit(command).unwrap();
            let before = rig.seen.len();
            rig.coprocessor.board_mut().inputs ^= Inputs::COVER_MAIN;
            rig.run_ms(30);
            let reply = rig.seen[before..].iter().find_map(|r| match r {
                Received::Reply(reply) => Some(*reply),
                _ => None,
            });
            assert_eq!(reply.map(|r| (r.cmd_id, r.status)), Some((id, ReplyStatus::Done)), "within 30 ms");
            rig.run_ms(300);
        }
        let events = rig.events();
        let range = rig.coprocessor.hello().event_last;
        assert_eq!(events, (1..=range).collect::<Vec<u64>>());
        assert!(range >= 10, "{range} events");
        let stats = rig.host.stats();
        if cut_each == 0 {
            assert_eq!((stats.seq_gaps, stats.crc_errors, stats.bad_pages), (0, 0, 0), "{stats:?}");
        }
        // A transfer that was cut is done again with the same page.
        assert_eq!(stats.stream_lost, [0; StreamKind::COUNT], "{stats:?}");
        let billing = rig.seen.iter().filter(|r| matches!(r, Received::Billing(_))).count();
        assert!(billing >= 12, "{billing} of 19 windows");
        assert!(rig.seen.iter().filter(|r| matches!(r, Received::Stream { .. })).count() > 50);
    }
}

#[test]
fn a_reset_waits_for_the_page_with_its_reply() {
    let mut rig = Rig::new();
    rig.run_ms(300);
    let id = rig.host.submit(Command::Reset { warm: true }).unwrap();
    for _ in 0..100 {
        rig.run_ms(1);
        if rig.coprocessor.board().resets > 0 {
            break;
        }
    }
    assert_eq!(rig.coprocessor.board().resets, 1);
    // What the board fetches now, before it restarts, is the reply.
    let replied = |r: &Received| matches!(r, Received::Reply(reply) if reply.cmd_id == id);
    if !rig.seen.iter().any(replied) {
        assert!(rig.slave.data_ready());
        rig.transfer();
    }
    assert!(rig.seen.iter().any(replied));
}
