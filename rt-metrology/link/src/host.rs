//! Linux's end: takes the coprocessor's pages apart, in order and once, and writes the host's pages.
//!
//! Kept here: the boot that the host has a hello of, the cursors of the three rings, one command in flight and a short
//! queue behind it. All of it may be lost with the process: [`HostEnd::resume`] sets the cursors from what is committed, and
//! the hello tells the rest. A record is given to the caller once per `resume`; what the caller has committed is told by
//! [`HostEnd::ack_event`], [`HostEnd::ack_history`] and [`HostEnd::ack_report`].
//!
//! When a hello shows another `device_id`, or rings that end before what was committed, the caller decides what to do
//! with its registers and calls `resume` before the next [`HostEnd::emit`]; cursors that point past the end of the
//! device's rings are moved back to their beginning here, so that a replaced coprocessor is heard in any case.

use crate::Page;
use crate::codec::{Message, PageError, decode_page, put_host};
use crate::page::{Class, Header, build_with};
use crate::payload::{
    Billing, Command, EventRecord, Heads, Hello, HistoryRecord, HostControl, Ranged, Reply, ReplyStatus, ReportRecord,
    StreamChunk, StreamKind,
};

/// Commands waiting behind the one in flight. The meter issues at most: grid, outputs, head of a chain, display frame and
/// subscription in one step, and the image transfer one block; two steps may overlap a reset of the coprocessor.
pub const COMMAND_QUEUE: usize = 12;
/// Records given to the caller but not committed, per ring; then no more are asked for. A commit takes some 10 ms, in
/// which 8 records arrive at most; 64 ride out a slow flash of 100 ms at one page per 1.5 ms.
pub const AHEAD: u64 = 64;
/// Consecutive pages with known sequence numbers or a past boot after which the other end is believed to have restarted
/// under the same numbers. Repeated pages come singly.
const STALE_LIMIT: u32 = 8;
/// Past boots whose late pages are recognised.
const PAST_BOOTS: usize = 4;

/// The command queue is full; the caller tries again after the next reply. Nothing was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{COMMAND_QUEUE} link commands are waiting already")]
pub struct QueueFull;

/// What a page from the coprocessor meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // no allocator
pub enum Received {
    /// Nothing for the caller.
    Idle,
    /// First hello of a boot, or the hello that was asked for.
    Hello(Hello),
    /// Cumulative values as of the last window.
    Billing(Billing),
    /// The next event.
    Event(EventRecord),
    /// Events `from` to `to` were overwritten before they arrived; `event` follows them.
    EventGap {
        /// First lost event.
        from: u64,
        /// Last lost event.
        to: u64,
        /// The oldest one left.
        event: EventRecord,
    },
    /// The next history record.
    History(HistoryRecord),
    /// Records `from` to `to` were overwritten before they arrived; `record` follows them.
    HistoryLost {
        /// First lost record.
        from: u64,
        /// Last lost record.
        to: u64,
        /// The oldest one left.
        record: HistoryRecord,
    },
    /// The next report.
    Report(ReportRecord),
    /// Reports `from` to `to` were overwritten before they arrived; `report` follows them.
    ReportGap {
        /// First lost report.
        from: u64,
        /// Last lost report.
        to: u64,
        /// The oldest one left.
        report: ReportRecord,
    },
    /// Heads of the hash chains, asked for by `Command::ReadHeads`.
    Heads(Heads),
    /// A command ended. `cmd_id` is what [`HostEnd::submit`] gave.
    Reply(Reply),
    /// A piece of a stream.
    Stream {
        /// Items of this stream lost before this chunk, on the link or at the source.
        lost: u64,
        /// The chunk.
        chunk: StreamChunk,
    },
    /// A page or record that was seen before.
    Repeat,
}

/// Counts since the start of this end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Pages handed to [`HostEnd::receive`].
    pub pages: u64,
    /// Pages with a wrong CRC.
    pub crc_errors: u64,
    /// Pages without magic, of a foreign version or class, or whose payload has no meaning.
    pub bad_pages: u64,
    /// Good pages after one or more bad ones.
    pub resyncs: u64,
    /// Pages the coprocessor sent and nobody saw, by their sequence numbers.
    pub seq_gaps: u64,
    /// Pages and records seen before.
    pub duplicates: u64,
    /// Records that came before their turn and will come again.
    pub out_of_order: u64,
    /// Pages of a boot without hello.
    pub unknown_boot: u64,
    /// Hellos taken.
    pub hellos: u64,
    /// Boots seen.
    pub boots: u64,
    /// Events lost in the coprocessor's ring.
    pub events_lost: u64,
    /// History records lost in the coprocessor's ring.
    pub history_lost: u64,
    /// Reports lost in the coprocessor's ring.
    pub reports_lost: u64,
    /// Stream items lost, by kind.
    pub stream_lost: [u64; StreamKind::COUNT],
    /// Commands ended by a reply.
    pub replies: u64,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    /// What the caller knows it by.
    local: u32,
    command: Command,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    pending: Pending,
    /// Number on the wire: one more than the coprocessor's last.
    wire: u32,
    heads_seen: bool,
}

/// Next expected record of one ring and what is committed of it.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    next: u64,
    acked: u64,
}

/// A record's place against the cursor.
enum Place {
    Seen,
    Next,
    /// The ring lost everything from the cursor up to this record.
    AfterLoss {
        from: u64,
        to: u64,
    },
    Early,
}

impl Cursor {
    fn at(next: u64) -> Cursor {
        let next = next.max(1);
        Cursor { next, acked: next - 1 }
    }

    fn place(&mut self, seq: u64, first: u64) -> Place {
        let from = self.next;
        if seq < from {
            return Place::Seen;
        }
        if seq > from && first != seq {
            return Place::Early;
        }
        self.next = seq.saturating_add(1);
        if seq == from { Place::Next } else { Place::AfterLoss { from, to: seq - 1 } }
    }

    fn ack(&mut self, seq: u64) {
        self.acked = self.acked.max(seq.min(self.next - 1));
    }

    /// What to ask for; 0 = nothing until the caller has committed more.
    fn wanted(&self) -> u64 {
        if self.next - 1 - self.acked >= AHEAD { 0 } else { self.next }
    }
}

/// Linux's end of the link.
#[derive(Clone, Debug)]
pub struct HostEnd {
    seq: u32,
    /// Boot that we have the hello of; 0 = none.
    boot_id: u32,
    device_id: [u8; 8],
    past_boots: [u32; PAST_BOOTS],
    /// Boot and page number of a hello that shows another memory, and waits for a second one.
    doubted: Option<(u32, u32)>,
    last_seq: Option<u32>,
    want_hello: bool,
    stale_run: u32,
    after_error: bool,
    events: Cursor,
    history: Cursor,
    reports: Cursor,
    /// No report is asked for.
    reports_held: bool,
    queue: [Option<Pending>; COMMAND_QUEUE],
    in_flight: Option<InFlight>,
    next_local: u32,
    last_cmd: u32,
    /// Wire number of our newest subscription.
    subscribed: Option<u32>,
    streams: [(u32, u64); StreamKind::COUNT],
    permit_ms: u16,
    stats: LinkStats,
}

impl Default for HostEnd {
    fn default() -> HostEnd {
        HostEnd::new()
    }
}

impl HostEnd {
    /// A fresh end that asks for a hello and for everything in the rings.
    pub fn new() -> HostEnd {
        HostEnd {
            seq: 0,
            boot_id: 0,
            device_id: [0; 8],
            past_boots: [0; PAST_BOOTS],
            doubted: None,
            last_seq: None,
            want_hello: true,
            stale_run: 0,
            after_error: false,
            events: Cursor::at(1),
            history: Cursor::at(1),
            reports: Cursor::at(1),
            reports_held: false,
            queue: [None; COMMAND_QUEUE],
            in_flight: None,
            next_local: 1,
            last_cmd: 0,
            subscribed: None,
            streams: [(0, 0); StreamKind::COUNT],
            permit_ms: 0,
            stats: LinkStats::default(),
        }
    }

    /// Sets the cursors of events and history: events up to `event_ack` are committed, `history_next` is the next record wanted.
    pub fn resume(&mut self, event_ack: u64, history_next: u64) {
        self.events = Cursor::at(event_ack.saturating_add(1));
        self.history = Cursor::at(history_next);
    }

    /// Sets the cursor of the reports: those up to `report_ack` are committed. Ends [`HostEnd::hold_reports`].
    pub fn resume_reports(&mut self, report_ack: u64) {
        self.reports = Cursor::at(report_ack.saturating_add(1));
        self.reports_held = false;
    }

    /// Asks for no reports and acknowledges none until [`HostEnd::resume_reports`]: for as long as nobody can keep them.
    pub fn hold_reports(&mut self) {
        self.reports_held = true;
    }

    /// Queues a command and gives its number. It is repeated until its [`Received::Reply`] has come, over lost pages and
    /// resets of the coprocessor.
    ///
    /// # Errors
    /// [`QueueFull`].
    pub fn submit(&mut self, command: Command) -> Result<u32, QueueFull> {
        let slot = self.queue.iter_mut().find(|slot| slot.is_none()).ok_or(QueueFull)?;
        let local = self.next_local;
        *slot = Some(Pending { local, command });
        self.next_local = self.next_local.wrapping_add(1).max(1);
        Ok(local)
    }

    /// Commands without a reply, the one in flight included.
    pub fn pending(&self) -> usize {
        self.queue.iter().flatten().count() + usize::from(self.in_flight.is_some())
    }

    /// Permit to close the breaker, ms from each page on; 0 takes it away. It goes out with every page until changed.
    pub fn set_permit(&mut self, ms: u16) {
        self.permit_ms = ms;
    }

    /// Asks for a hello with the present state; it comes as [`Received::Hello`].
    pub fn request_hello(&mut self) {
        self.want_hello = true;
    }

    /// The boot that we have the hello of.
    pub fn boot_id(&self) -> Option<u32> {
        (self.boot_id != 0).then_some(self.boot_id)
    }

    /// The event with this number and all before it are committed.
    pub fn ack_event(&mut self, seq: u64) {
        self.events.ack(seq);
    }

    /// The history record with this number and all before it are committed.
    pub fn ack_history(&mut self, seq: u64) {
        self.history.ack(seq);
    }

    /// The report with this number and all before it are committed.
    pub fn ack_report(&mut self, seq: u64) {
        self.reports.ack(seq);
    }

    /// Counts.
    pub fn stats(&self) -> &LinkStats {
        &self.stats
    }

    /// Makes the next host page.
    pub fn emit(&mut self, page: &mut Page) {
        if self.boot_id != 0 && self.in_flight.is_none() {
            self.in_flight = self.next_command();
        }
        self.seq = self.seq.wrapping_add(1);
        let control = HostControl {
            last_seq: self.last_seq.unwrap_or(0),
            permit_ms: self.permit_ms,
            flags: if self.want_hello { HostControl::WANT_HELLO } else { 0 },
            event_ack: self.events.acked,
            event_next: self.events.wanted(),
            history_next: self.history.wanted(),
            report_ack: if self.reports_held { 0 } else { self.reports.acked },
            report_next: if self.reports_held { 0 } else { self.reports.wanted() },
        };
        let header = Header { class: Class::Host, flags: 0, boot_id: self.boot_id, seq: self.seq, t_samples: 0 };
        let command = self.in_flight.as_ref().filter(|_| self.boot_id != 0);
        build_with(page, &header, |w| put_host(w, &control, command.map(|c| (c.wire, &c.pending.command))));
    }

    fn next_command(&mut self) -> Option<InFlight> {
        let pending = self.queue[0]?;
        self.queue.rotate_left(1);
        if let Some(last) = self.queue.last_mut() {
            *last = None;
        }
        let mut next = InFlight { pending, wire: 0, heads_seen: false };
        self.number(&mut next);
        Some(next)
    }

    /// Gives a command the number after the coprocessor's last.
    fn number(&mut self, command: &mut InFlight) {
        command.wire = self.last_cmd.wrapping_add(1);
        if matches!(command.pending.command, Command::Subscribe { .. }) {
            self.subscribed = Some(command.wire);
        }
    }

    /// Takes a page from the coprocessor.
    ///
    /// # Errors
    /// Any [`PageError`]: the page is counted and dropped, nothing else changes, and the next good page is understood.
    pub fn receive(&mut self, page: &Page) -> Result<Received, PageError> {
        self.stats.pages += 1;
        match decode_page(page) {
            Ok((header, _)) if header.class == Class::Host => {
                self.count_error(PageError::Class(header.class as u8));
                Err(PageError::Class(header.class as u8))
            }
            Ok((header, message)) => {
                self.stats.resyncs += u64::from(core::mem::take(&mut self.after_error));
                Ok(self.take(&header, message))
            }
            Err(error) => {
                self.count_error(error);
                Err(error)
            }
        }
    }

    fn count_error(&mut self, error: PageError) {
        self.after_error = true;
        match error {
            PageError::Crc => self.stats.crc_errors += 1,
            _ => self.stats.bad_pages += 1,
        }
    }

    fn take(&mut self, header: &Header, message: Message) -> Received {
        if header.boot_id != self.boot_id || self.boot_id == 0 {
            return self.other_boot(header, message);
        }
        let step = header.seq.wrapping_sub(self.last_seq.unwrap_or(header.seq.wrapping_sub(1))) as i32;
        if step < 0 || (step == 0 && message != Message::Idle) {
            self.stale();
            return Received::Repeat;
        }
        self.stale_run = 0;
        self.last_seq = Some(header.seq);
        // An idle page repeats a number, so it tells of lost pages only when its number is ahead.
        self.stats.seq_gaps += (step as u64).saturating_sub(u64::from(message != Message::Idle));
        match message {
            Message::Idle | Message::Host(..) => Received::Idle,
            Message::Hello(hello) => self.hello(header, hello),
            Message::Billing(billing) => Received::Billing(billing),
            Message::Event(ranged) => self.event(ranged),
            Message::History(ranged) => self.history(ranged),
            Message::Report(ranged) => self.report(ranged),
            Message::Heads(heads) => self.heads(heads),
            Message::Stream(chunk) => self.stream(chunk),
            Message::Reply(reply) => self.reply(reply),
        }
    }

    /// A page of a boot that we have no hello of: only a hello is understood, and not that of a past boot.
    fn other_boot(&mut self, header: &Header, message: Message) -> Received {
        if self.past_boots.contains(&header.boot_id) || header.boot_id == 0 {
            self.stale();
            return Received::Repeat;
        }
        self.want_hello = true;
        match message {
            // A late page of a boot before this process would look the same; it does not come twice under two numbers.
            Message::Hello(hello) if self.behind(&hello) && !self.confirmed(header) => Received::Idle,
            Message::Hello(hello) => {
                self.past_boots.rotate_right(1);
                self.past_boots[0] = self.boot_id;
                self.last_seq = Some(header.seq);
                self.stale_run = 0;
                self.hello(header, hello)
            }
            _ => {
                self.stats.unknown_boot += 1;
                Received::Idle
            }
        }
    }

    /// Whether rings end before what was taken of them: another memory, or an old page.
    fn behind(&self, hello: &Hello) -> bool {
        hello.event_last.saturating_add(1) < self.events.next
            || hello.history_last.saturating_add(1) < self.history.next
            || hello.report_last.saturating_add(1) < self.reports.next
    }

    /// Whether this is the second hello of a boot in doubt.
    fn confirmed(&mut self, header: &Header) -> bool {
        let confirmed = self.doubted.is_some_and(|(boot, seq)| boot == header.boot_id && seq != header.seq);
        self.doubted = (!confirmed).then_some((header.boot_id, header.seq));
        confirmed
    }

    /// Counts a page that is behind; many of them in a row mean that the other end has restarted under old numbers.
    fn stale(&mut self) {
        self.stats.duplicates += 1;
        self.stale_run += 1;
        if self.stale_run >= STALE_LIMIT {
            self.stale_run = 0;
            self.boot_id = 0;
            self.last_seq = None;
            self.past_boots = [0; PAST_BOOTS];
            self.want_hello = true;
        }
    }

    fn hello(&mut self, header: &Header, hello: Hello) -> Received {
        if !self.want_hello && header.boot_id == self.boot_id {
            self.stats.duplicates += 1;
            return Received::Repeat;
        }
        self.want_hello = false;
        self.stats.hellos += 1;
        if header.boot_id != self.boot_id {
            self.new_boot(header.boot_id, &hello);
        }
        Received::Hello(hello)
    }

    fn new_boot(&mut self, boot_id: u32, hello: &Hello) {
        self.stats.boots += 1;
        self.boot_id = boot_id;
        let same_device = self.device_id == hello.device_id;
        self.device_id = hello.device_id;
        self.last_cmd = hello.last_cmd;
        self.subscribed = None;
        self.streams = [(0, 0); StreamKind::COUNT];
        if let Some(mut command) = self.in_flight {
            // Carried out, and the reply lost: the same number fetches it. Else it goes out as the next one.
            let done = same_device && command.wire == hello.last_cmd;
            if !done {
                self.number(&mut command);
            }
            self.in_flight = Some(command);
        }
        if hello.event_last.saturating_add(1) < self.events.next {
            self.events = Cursor::at(hello.event_first);
        }
        if hello.history_last.saturating_add(1) < self.history.next {
            self.history = Cursor::at(hello.history_first);
        }
        if hello.report_last.saturating_add(1) < self.reports.next {
            self.reports = Cursor::at(hello.report_first);
        }
    }

    fn event(&mut self, ranged: Ranged<EventRecord>) -> Received {
        let event = ranged.record;
        match self.events.place(event.seq, ranged.first) {
            Place::Next => Received::Event(event),
            Place::AfterLoss { from, to } => {
                self.stats.events_lost = self.stats.events_lost.saturating_add(to - from + 1);
                Received::EventGap { from, to, event }
            }
            place => self.not_now(&place),
        }
    }

    fn history(&mut self, ranged: Ranged<HistoryRecord>) -> Received {
        let record = ranged.record;
        match self.history.place(record.seq, ranged.first) {
            Place::Next => Received::History(record),
            Place::AfterLoss { from, to } => {
                self.stats.history_lost = self.stats.history_lost.saturating_add(to - from + 1);
                Received::HistoryLost { from, to, record }
            }
            place => self.not_now(&place),
        }
    }

    fn report(&mut self, ranged: Ranged<ReportRecord>) -> Received {
        if self.reports_held {
            // It was on its way when they were held back; it comes again.
            return Received::Idle;
        }
        let report = ranged.record;
        match self.reports.place(report.seq, ranged.first) {
            Place::Next => Received::Report(report),
            Place::AfterLoss { from, to } => {
                self.stats.reports_lost = self.stats.reports_lost.saturating_add(to - from + 1);
                Received::ReportGap { from, to, report }
            }
            place => self.not_now(&place),
        }
    }

    fn not_now(&mut self, place: &Place) -> Received {
        if matches!(place, Place::Early) {
            self.stats.out_of_order += 1;
            return Received::Idle;
        }
        self.stats.duplicates += 1;
        Received::Repeat
    }

    fn heads(&mut self, heads: Heads) -> Received {
        match &mut self.in_flight {
            Some(InFlight { pending: Pending { command: Command::ReadHeads, .. }, heads_seen, .. }) if !*heads_seen => {
                *heads_seen = true;
                Received::Heads(heads)
            }
            _ => Received::Repeat,
        }
    }

    fn reply(&mut self, reply: Reply) -> Received {
        let Some(mut command) = self.in_flight.filter(|c| c.wire == reply.cmd_id) else {
            self.stats.duplicates += 1;
            return Received::Repeat;
        };
        if reply.status == ReplyStatus::Stale {
            self.last_cmd = reply.detail;
            self.number(&mut command);
            self.in_flight = Some(command);
            return Received::Idle;
        }
        if command.pending.command == Command::ReadHeads && !command.heads_seen {
            return Received::Idle;
        }
        self.last_cmd = command.wire;
        self.in_flight = None;
        self.stats.replies += 1;
        Received::Reply(Reply { cmd_id: command.pending.local, ..reply })
    }

    fn stream(&mut self, chunk: StreamChunk) -> Received {
        let kind = chunk.kind as usize;
        let Some((subscription, next)) = self.streams.get_mut(kind) else { return Received::Idle };
        if *subscription != chunk.subscription {
            *subscription = chunk.subscription;
            // Our own subscription counts from 0; one that a past process made counts from where we came in.
            *next = if self.subscribed == Some(chunk.subscription) { 0 } else { chunk.first };
        }
        if chunk.first < *next {
            self.stats.duplicates += 1;
            return Received::Repeat;
        }
        let lost = chunk.first - *next;
        *next = chunk.first.saturating_add(u64::from(chunk.count));
        if let Some(count) = self.stats.stream_lost.get_mut(kind) {
            *count = count.saturating_add(lost);
        }
        Received::Stream { lost, chunk }
    }
}
