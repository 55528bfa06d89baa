//! The meter on the link, without I/O: pages in, pages and effects out. The daemon and the simulator run the same one.
//!
//! What it keeps is an order. A step of the meter may want something persisted; nothing else of that step leaves
//! before [`Core::committed`] says that it is durable: not the acknowledgement of an event, not the cursor of the
//! history, not the head of a hash chain, not a command to the coprocessor, not the answer to a caller. So a kill at any
//! moment loses nothing that anybody was told.
//!
//! What it refuses: commands while [`BACKLOG_MAX`] units wait for the disk. Records need no such rule, for the host end
//! asks for no more of them than it may hold uncommitted.

use crate::telemetry::{Arrived, State};
use meter_core::{
    Command, Durable, Effects, Finding, Input, Meter, Notice, Origin, Refused, Resume, Settings, SettingsError, Tx,
    check_heads,
};
use meter_model::Mono;
use metrology_link::host::{HostEnd, LinkStats, Received};
use metrology_link::payload::{CHAIN_LOGS, ChainHead, Command as LinkCommand, Hello, Reply, ReplyStatus, ReportRecord};
use metrology_link::{Page, PageError};
use std::collections::VecDeque;

/// Units waiting for the disk beyond which commands are refused. Records of the two rings make at most 128
/// ([`metrology_link::host::AHEAD`] each), boots and breaks of the numbering a few more.
pub const BACKLOG_MAX: usize = 160;
/// Commands for the coprocessor that wait for a place in the host end's own queue. A step makes at most two, and they
/// are resent by the meter when it matters; the oldest is dropped beyond this.
const LINK_WAITING_MAX: usize = 32;

/// What the shell has to do, in this order.
#[derive(Clone, Debug, PartialEq)]
// One lives at a time, in a short vector that is drained after each call.
#[allow(clippy::large_enum_variant)]
pub enum Output {
    /// Make durable, then call [`Core::committed`] with the number. Numbers grow by one; commit in order.
    Persist(u64, Tx),
    /// The end of the command with this token.
    Answer(u64, Result<(), Refused>),
    /// A new second of values: publish [`Meter::readings`].
    Snapshot,
    /// For the journal.
    Notice(Notice),
    /// The coprocessor said who it is.
    Hello(Hello),
    /// A command to the coprocessor did not end well.
    LinkRefused(Reply),
    /// The coprocessor keeps heads of hash chains that contradict the stored ones; empty when they agree.
    Heads(Vec<Finding>),
    /// Hand over to the telemetry. Not legal, and nothing waits for it but the report's own acknowledgement.
    Report(Box<Arrived>),
}

/// What waits for a commit.
#[derive(Debug, Default)]
struct Waiting {
    /// Unit whose commit releases it.
    unit: u64,
    /// Cursors belong to one numbering of the coprocessor's rings.
    epoch: u64,
    history: Option<u64>,
    event: Option<u64>,
    heads: Vec<ChainHead>,
    link: Vec<LinkCommand>,
    answer: Option<(u64, Result<(), Refused>)>,
    snapshot: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Core {
    host: HostEnd,
    meter: Meter,
    /// Newest unit handed out.
    unit: u64,
    /// Newest unit committed.
    done: u64,
    waiting: VecDeque<Waiting>,
    /// Cursors to set once everything handed out is committed. Until then no record is taken.
    resume: Option<Resume>,
    epoch: u64,
    /// Newest head per chain that the coprocessor does not have yet.
    heads: [Option<ChainHead>; CHAIN_LOGS],
    link: VecDeque<LinkCommand>,
    /// Whose reports the ring holds, and which, as of the last hello.
    device: Option<([u8; 8], u64, u64)>,
    telemetry: State,
    /// Opening of the telemetry and device that the cursor of the reports was set for.
    reports_of: Option<(u64, [u8; 8])>,
}

impl Core {
    /// From the settings and the stored state.
    ///
    /// # Errors
    /// Impossible settings, or a state of another kind of meter.
    pub fn new(settings: Settings, durable: Option<Durable>) -> Result<Core, SettingsError> {
        let meter = Meter::new(settings, durable)?;
        let mut host = HostEnd::new();
        let Resume { event_ack, history_next } = meter.resume();
        host.resume(event_ack, history_next);
        host.hold_reports();
        Ok(Core {
            host,
            meter,
            unit: 0,
            done: 0,
            waiting: VecDeque::new(),
            resume: None,
            epoch: 0,
            heads: [None; CHAIN_LOGS],
            link: VecDeque::new(),
            device: None,
            telemetry: State::default(),
            reports_of: None,
        })
    }

    /// The meter, for its readings and time.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Counts of the link.
    pub fn stats(&self) -> &LinkStats {
        self.host.stats()
    }

    /// Units handed out and not committed yet.
    pub fn backlog(&self) -> usize {
        usize::try_from(self.unit - self.done).unwrap_or(usize::MAX)
    }

    /// The next page for the coprocessor.
    pub fn page_out(&mut self, page: &mut Page) {
        while let Some(command) = self.link.pop_front() {
            if self.host.submit(command).is_err() {
                self.link.push_front(command);
                break;
            }
        }
        // Heads only when nothing else is under way: a newer head replaces an older one that still waits here.
        if self.host.pending() == 0
            && let Some(head) = self.heads.iter_mut().find_map(Option::take)
        {
            // There is room: nothing is pending.
            let _ = self.host.submit(LinkCommand::StoreHead(head));
        }
        self.host.emit(page);
    }

    /// A page from the coprocessor.
    ///
    /// # Errors
    /// It is no page; it was counted and changes nothing.
    pub fn page_in(&mut self, now: Mono, page: &Page, out: &mut Vec<Output>) -> Result<(), PageError> {
        match self.host.receive(page)? {
            Received::Idle | Received::Repeat | Received::Stream { .. } => {}
            Received::Report(record) => self.report(0, record, out),
            Received::ReportGap { from, to, report } => self.report(to - from + 1, report, out),
            Received::Hello(hello) => {
                out.push(Output::Hello(hello));
                self.device = Some((hello.device_id, hello.report_first, hello.report_last));
                self.set_report_cursor();
                self.step(now, Input::Hello(hello), Waiting::default(), out);
                self.link_command(LinkCommand::ReadHeads);
            }
            Received::Billing(billing) => self.step(now, Input::Billing(billing), Waiting::default(), out),
            Received::Reply(reply) => {
                if reply.status != ReplyStatus::Done {
                    out.push(Output::LinkRefused(reply));
                }
            }
            Received::Heads(heads) => out.push(Output::Heads(check_heads(self.meter.durable(), &heads))),
            // These come again: the cursors are about to be set anew.
            _ if self.resume.is_some() => {}
            Received::Event(event) => {
                let ack = Waiting { event: Some(event.seq), ..Waiting::default() };
                self.step(now, Input::Event(event), ack, out);
            }
            Received::EventGap { from, to, event } => {
                self.step(now, Input::EventsLost { from, to }, Waiting::default(), out);
                let ack = Waiting { event: Some(event.seq), ..Waiting::default() };
                self.step(now, Input::Event(event), ack, out);
            }
            Received::History(record) => {
                let ack = Waiting { history: Some(record.seq), ..Waiting::default() };
                self.step(now, Input::History(record), ack, out);
            }
            Received::HistoryLost { from, to, record } => {
                self.step(now, Input::HistoryLost { from, to }, Waiting::default(), out);
                let ack = Waiting { history: Some(record.seq), ..Waiting::default() };
                self.step(now, Input::History(record), ack, out);
            }
        }
        Ok(())
    }

    /// The link is silent.
    pub fn link_lost(&mut self, now: Mono, out: &mut Vec<Output>) {
        self.step(now, Input::LinkLost, Waiting::default(), out);
    }

    /// The store began anew from the state alone: leaves a row in the logs, which go on from there.
    pub fn store_replaced(&mut self, now: Mono, out: &mut Vec<Output>) {
        self.step(now, Input::StoreReplaced, Waiting::default(), out);
    }

    /// Time passed; call it about once a second.
    pub fn tick(&mut self, now: Mono, out: &mut Vec<Output>) {
        self.step(now, Input::Tick, Waiting::default(), out);
    }

    /// Somebody asks for something. [`Output::Answer`] with this token comes once it is durable, or at once when it is
    /// refused.
    pub fn command(&mut self, now: Mono, command: Command, origin: Origin, token: u64, out: &mut Vec<Output>) {
        if self.backlog() >= BACKLOG_MAX {
            out.push(Output::Answer(token, Err(Refused::Busy)));
            return;
        }
        let ack = Waiting { answer: Some((token, Err(Refused::NotReady))), ..Waiting::default() };
        self.step(now, Input::Command(command, origin), ack, out);
    }

    /// All units up to `unit` are durable: what waited for them happens now.
    pub fn committed(&mut self, unit: u64, out: &mut Vec<Output>) {
        self.done = self.done.max(unit.min(self.unit));
        while self.waiting.front().is_some_and(|w| w.unit <= self.done) {
            if let Some(waiting) = self.waiting.pop_front() {
                self.release(waiting, out);
            }
        }
        self.set_cursors();
    }

    /// How the telemetry is now: reports are asked for while there is a file, and acknowledged when they are in it.
    pub fn telemetry(&mut self, state: State) {
        if state == self.telemetry {
            return;
        }
        let opened = state.opened != self.telemetry.opened;
        self.telemetry = state;
        if opened {
            // The ranges of the last hello may be old by now.
            self.host.request_hello();
        }
        if !self.telemetry.open {
            self.host.hold_reports();
            self.reports_of = None;
        } else if let (Some((opened, device)), Some(place)) = (self.reports_of, self.telemetry.place)
            && (opened, device) == (self.telemetry.opened, place.device_id)
        {
            self.host.ack_report(place.report);
        }
    }

    /// Sets the cursor of the reports: behind what is committed of this coprocessor, or to the oldest it has.
    fn set_report_cursor(&mut self) {
        let Some((device, first, last)) = self.device.filter(|_| self.telemetry.open) else { return };
        let now = Some((self.telemetry.opened, device));
        if self.reports_of == now {
            // A memory that was lost under the same name is noticed by the host end.
            return;
        }
        self.reports_of = now;
        let committed = self.telemetry.place.filter(|p| p.device_id == device && p.report <= last);
        self.host.resume_reports(committed.map_or(first.saturating_sub(1), |place| place.report));
    }

    fn report(&mut self, lost: u64, record: ReportRecord, out: &mut Vec<Output>) {
        if let Some((opened, device_id)) = self.reports_of {
            out.push(Output::Report(Box::new(Arrived { opened, device_id, lost, record })));
        }
    }

    fn step(&mut self, now: Mono, input: Input, mut then: Waiting, out: &mut Vec<Output>) {
        let Effects { persist, link, resume, snapshot, answer, notices } = self.meter.step(now, input);
        out.extend(notices.into_iter().map(Output::Notice));
        then.epoch = self.epoch;
        then.link = link;
        then.snapshot = snapshot;
        then.answer = then.answer.map(|(token, refused)| (token, answer.unwrap_or(refused)));
        if resume.is_some() {
            self.resume = resume;
        }
        if let Some(tx) = persist {
            self.unit += 1;
            then.event = tx.event_ack.max(then.event);
            then.heads.clone_from(&tx.heads);
            then.unit = self.unit;
            out.push(Output::Persist(self.unit, *tx));
            self.waiting.push_back(then);
        } else if then.history.is_some() || then.event.is_some() {
            // The meter knew the record already; it may come from a unit that is not durable yet.
            then.unit = self.unit;
            if self.backlog() == 0 { self.release(then, out) } else { self.waiting.push_back(then) }
        } else {
            self.release(then, out);
        }
        self.set_cursors();
    }

    fn release(&mut self, waiting: Waiting, out: &mut Vec<Output>) {
        if waiting.epoch == self.epoch && self.resume.is_none() {
            if let Some(seq) = waiting.history {
                self.host.ack_history(seq);
            }
            if let Some(seq) = waiting.event {
                self.host.ack_event(seq);
            }
        }
        for head in waiting.heads {
            if let Some(slot) = self.heads.get_mut(usize::from(head.log)) {
                *slot = Some(head);
            }
        }
        waiting.link.into_iter().for_each(|command| self.link_command(command));
        if let Some((token, answer)) = waiting.answer {
            out.push(Output::Answer(token, answer));
        }
        if waiting.snapshot {
            out.push(Output::Snapshot);
        }
    }

    fn link_command(&mut self, command: LinkCommand) {
        if self.link.len() >= LINK_WAITING_MAX {
            self.link.pop_front();
        }
        self.link.push_back(command);
    }

    /// Sets the cursors that the meter asked for. They count as acknowledged, so everything must be durable first.
    fn set_cursors(&mut self) {
        if self.backlog() == 0
            && let Some(Resume { event_ack, history_next }) = self.resume.take()
        {
            self.host.resume(event_ack, history_next);
            self.epoch += 1;
        }
    }
}

#[cfg(test)]
mod tests;
