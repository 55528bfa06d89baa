//! The coprocessor's end: what goes into the next page, and what the host's page means.
//!
//! Order of calls per exchange: the page made by [`DeviceEnd::emit`] goes out while the host's page comes in; then
//! [`DeviceEnd::receive`] takes the host's page (damaged or not), and `emit` arms the next one. The host wrote its page before it saw the
//! one that crossed it, so a cursor that asks for exactly the record just sent is not a complaint: the next record
//! follows at once, and a lost page costs one exchange.
//!
//! Nothing is kept for a retransmission: a page is always made anew from the [`Source`], so no queue can overflow here.

use crate::Page;
use crate::codec::{PageError, Writer, decode_host};
use crate::page::{Class, Header, View, build, build_with, crc32};
use crate::payload::{
    Billing, Command, EventRecord, Heads, Hello, HistoryRecord, HostControl, Ranged, Reply, ReplyStatus, StreamChunk,
};

/// What the coprocessor has to say. Ranges are (oldest, newest) sequence numbers, (0, 0) for an empty ring.
pub trait Source {
    /// Identity, as of now.
    fn hello(&self) -> Hello;
    /// Cumulative and last values, as of the last window.
    fn billing(&self) -> Billing;
    /// Range of the event ring.
    fn event_range(&self) -> (u64, u64);
    /// One event; `None` when its memory is unreadable or it is not in the ring.
    fn event(&self, seq: u64) -> Option<EventRecord>;
    /// Range of the history ring.
    fn history_range(&self) -> (u64, u64);
    /// One record; `None` when its memory is unreadable or it is not in the ring.
    fn history(&self, seq: u64) -> Option<HistoryRecord>;
    /// Range of the report ring.
    fn report_range(&self) -> (u64, u64);
    /// Appends one report as it is encoded; false, with nothing appended, when its memory is unreadable or it is not in
    /// the ring. Written into the page at once: a second KiB would be a sixth of a small processor's stack.
    fn report(&self, seq: u64, page: &mut Writer<'_>) -> bool;
    /// Heads of the hash chains.
    fn heads(&self) -> Heads;
    /// Whether [`Source::stream`] would give a chunk.
    fn stream_ready(&self) -> bool;
    /// The next chunk of a subscribed stream. A chunk taken is gone.
    fn stream(&mut self) -> Option<StreamChunk>;
}

/// What the page that is armed or crossing carries, as far as the cursors care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crossing {
    Other,
    Hello,
    Reply,
    Heads,
    Event(u64),
    History(u64),
    Report(u64),
}

/// The coprocessor's end of the link.
#[derive(Clone, Debug)]
pub struct DeviceEnd {
    boot_id: u32,
    seq: u32,
    /// `seq` before the page emitted last.
    seq_before: u32,
    /// The host's last good page named our boot.
    known: bool,
    hello_due: bool,
    billing_due: bool,
    heads_due: bool,
    reply_due: bool,
    last: Reply,
    stale: Option<Reply>,
    event_ack: u64,
    event_next: u64,
    history_next: u64,
    report_ack: u64,
    report_next: u64,
    permit_ms: Option<u16>,
    crossing: Crossing,
    /// The page emitted last has crossed a host page, so its sequence number is used.
    crossed: bool,
    host_page: Option<(u32, u32)>,
    bad_pages: u64,
}

impl DeviceEnd {
    /// A boot begins. `boot_id` must differ from the boots before; 0 stands for "none" and is taken as 1.
    pub fn new(boot_id: u32) -> DeviceEnd {
        DeviceEnd {
            boot_id: boot_id.max(1),
            seq: 0,
            seq_before: 0,
            known: false,
            hello_due: false,
            billing_due: false,
            heads_due: false,
            reply_due: false,
            last: Reply::default(),
            stale: None,
            event_ack: 0,
            event_next: 0,
            history_next: 0,
            report_ack: 0,
            report_next: 0,
            permit_ms: None,
            crossing: Crossing::Other,
            crossed: true,
            host_page: None,
            bad_pages: 0,
        }
    }

    /// Takes over what survived the reset: the reply to the last command, so that it is not carried out twice, and the
    /// acknowledged event and report.
    pub fn restore(&mut self, last: Reply, event_ack: u64, report_ack: u64) {
        self.last = last;
        self.event_ack = event_ack;
        self.report_ack = report_ack;
    }

    /// This boot.
    pub fn boot_id(&self) -> u32 {
        self.boot_id
    }

    /// A window closed: the next free page carries billing.
    pub fn window_closed(&mut self) {
        self.billing_due = true;
    }

    /// Newest event that the host has committed, as of the last [`DeviceEnd::emit`]. Kept over resets by the application.
    pub fn event_ack(&self) -> u64 {
        self.event_ack
    }

    /// Newest report that the host has committed, as of the last [`DeviceEnd::emit`]. Kept over resets by the application.
    pub fn report_ack(&self) -> u64 {
        self.report_ack
    }

    /// What the last good page says about closing the breaker: a permit for so many ms from that page on, `Some(0)` for
    /// none; a host that does not know this boot gives none. `None` when no new page came since the last question.
    pub fn take_permit_ms(&mut self) -> Option<u16> {
        self.permit_ms.take()
    }

    /// Reply to the last command carried out; `cmd_id` 0 = none yet. Kept over resets by the application.
    pub fn last_reply(&self) -> &Reply {
        &self.last
    }

    /// Whether the host's last good page knew this boot.
    pub fn host_knows(&self) -> bool {
        self.known
    }

    /// Host pages that were damaged or had no meaning.
    pub fn bad_pages(&self) -> u64 {
        self.bad_pages
    }

    /// Takes the host's page. Gives a command that has not been carried out yet; the caller carries it out and calls
    /// [`DeviceEnd::reply`]. A repeated command is answered from memory and not given again.
    ///
    /// # Errors
    /// Any [`PageError`]: the page is dropped, nothing changes. An unreadable command in a good page is no error here;
    /// it is answered.
    #[inline(never)] // what it decodes is gone from the stack when the command is carried out
    pub fn receive(&mut self, page: &Page) -> Result<Option<(u32, Command)>, PageError> {
        self.crossed = true;
        self.take(page).inspect_err(|_| self.bad_pages = self.bad_pages.saturating_add(1))
    }

    fn take(&mut self, page: &Page) -> Result<Option<(u32, Command)>, PageError> {
        let view = View::new(page)?;
        if view.header.class != Class::Host {
            return Err(PageError::Class(view.header.class as u8));
        }
        let (control, command) = decode_host(view.payload)?;
        // A page delivered twice must not renew the permit.
        let identity = Some((view.header.seq, crc32(view.payload)));
        let crossing = core::mem::replace(&mut self.crossing, Crossing::Other);
        if identity == self.host_page {
            return Ok(None);
        }
        self.host_page = identity;
        self.known = view.header.boot_id == self.boot_id;
        self.hello_due = control.flags & HostControl::WANT_HELLO != 0 && crossing != Crossing::Hello;
        if !self.known {
            // Its cursors may belong to another memory and its numbers to another boot.
            self.permit_ms = Some(0);
            return Ok(None);
        }
        self.permit_ms = Some(control.permit_ms);
        self.event_ack = self.event_ack.max(control.event_ack);
        self.event_next = after(control.event_next, crossing == Crossing::Event(control.event_next));
        self.history_next = after(control.history_next, crossing == Crossing::History(control.history_next));
        self.report_ack = self.report_ack.max(control.report_ack);
        self.report_next = after(control.report_next, crossing == Crossing::Report(control.report_next));
        let Some((id, command)) = command else { return Ok(None) };
        Ok(self.command(id, command, crossing))
    }

    fn command(&mut self, id: u32, command: Result<Command, PageError>, crossing: Crossing) -> Option<(u32, Command)> {
        let fresh = id == self.last.cmd_id.wrapping_add(1);
        if !fresh && id != self.last.cmd_id {
            let reply = Reply { cmd_id: id, status: ReplyStatus::Stale, hash: [0; 32], detail: self.last.cmd_id };
            self.stale = Some(reply);
            return None;
        }
        match command {
            // Heads come as a page of their own; the host repeats the command until that page has arrived.
            Ok(Command::ReadHeads) => {
                if fresh {
                    self.reply(Reply { cmd_id: id, ..Reply::default() });
                }
                self.heads_due = crossing != Crossing::Heads;
                self.reply_due = crossing != Crossing::Reply;
                None
            }
            _ if !fresh => {
                self.reply_due = crossing != Crossing::Reply;
                None
            }
            Ok(command) => Some((id, command)),
            Err(error) => {
                let status = match error {
                    PageError::Transaction => ReplyStatus::BadCrc,
                    _ => ReplyStatus::Malformed,
                };
                self.reply(Reply { cmd_id: id, status, ..Reply::default() });
                None
            }
        }
    }

    /// The command given by [`DeviceEnd::receive`] is done: remembers the reply and sends it.
    pub fn reply(&mut self, reply: Reply) {
        self.last = reply;
        self.reply_due = true;
    }

    /// Whether the next page would carry something: the level of the data-ready line.
    pub fn ready(&self, source: &impl Source) -> bool {
        !self.known
            || self.hello_due
            || self.reply_due
            || self.stale.is_some()
            || self.billing_due
            || wanted(self.event_next, source.event_range()).is_some()
            || wanted(self.history_next, source.history_range()).is_some()
            || self.heads_due
            || wanted(self.report_next, source.report_range()).is_some()
            || source.stream_ready()
    }

    /// Makes the next page and tells its class. `t_samples` is the sample clock now.
    ///
    /// An armed page may be made anew before it crosses, and keeps its sequence number; what it held must be idle,
    /// hello or billing then, since a reply, heads or a stream chunk that does not cross is lost (and repaired or counted as such).
    pub fn emit(&mut self, source: &mut impl Source, t_samples: u64, page: &mut Page) -> Class {
        self.crossing = Crossing::Other;
        // What has not happened cannot be committed: such an acknowledgement would swallow future events.
        self.event_ack = self.event_ack.min(source.event_range().1);
        self.report_ack = self.report_ack.min(source.report_range().1);
        if !core::mem::take(&mut self.crossed) {
            self.seq = self.seq_before;
        }
        self.seq_before = self.seq;
        let mut header =
            Header { class: Class::Idle, flags: 0, boot_id: self.boot_id, seq: self.seq.wrapping_add(1), t_samples };
        if !self.known || self.hello_due {
            self.hello_due = false;
            self.crossing = Crossing::Hello;
            header.class = Class::Hello;
            build(page, &header, &source.hello());
        } else if let Some(reply) = self.next_reply() {
            self.crossing = Crossing::Reply;
            header.class = Class::Reply;
            build(page, &header, &reply);
        } else if self.billing_due {
            self.billing_due = false;
            header.class = Class::Billing;
            build(page, &header, &source.billing());
        } else if let Some((seq, ranged)) = find(self.event_next, source.event_range(), |seq| source.event(seq)) {
            self.crossing = Crossing::Event(seq);
            header.class = Class::Event;
            build(page, &header, &ranged);
        } else if let Some((seq, ranged)) = find(self.history_next, source.history_range(), |seq| source.history(seq)) {
            self.crossing = Crossing::History(seq);
            header.class = Class::History;
            build(page, &header, &ranged);
        } else if self.heads_due {
            self.heads_due = false;
            self.crossing = Crossing::Heads;
            header.class = Class::Heads;
            build(page, &header, &source.heads());
        } else if let Some(seq) = build_report(self.report_next, source, &header, page) {
            self.crossing = Crossing::Report(seq);
            header.class = Class::Report;
        } else if let Some(chunk) = source.stream() {
            header.class = Class::Stream;
            build(page, &header, &chunk);
        } else {
            header.seq = self.seq;
            build_with(page, &header, |_| {});
            return Class::Idle;
        }
        self.seq = header.seq;
        header.class
    }

    fn next_reply(&mut self) -> Option<Reply> {
        if core::mem::take(&mut self.reply_due) { Some(self.last) } else { self.stale.take() }
    }
}

/// A cursor, moved past the record that was crossing when the host wrote it.
fn after(cursor: u64, crossing: bool) -> u64 {
    if crossing && cursor != 0 { cursor.saturating_add(1) } else { cursor }
}

/// The record a cursor asks for: the wanted one, or the oldest when that is gone. A cursor of 0 asks for none.
fn wanted(next: u64, (first, last): (u64, u64)) -> Option<u64> {
    let seq = next.max(first);
    (next != 0 && last != 0 && seq <= last).then_some(seq)
}

/// The first readable record from a cursor on. An unreadable one is left out by telling the next as the oldest, so that
/// the host counts it as lost.
fn find<T>(next: u64, range: (u64, u64), read: impl Fn(u64) -> Option<T>) -> Option<(u64, Ranged<T>)> {
    let start = wanted(next, range)?;
    let (seq, record) = (start..=range.1).find_map(|seq| Some((seq, read(seq)?)))?;
    let first = if seq == start { range.0 } else { seq };
    Some((seq, Ranged { first, last: range.1, record }))
}

/// [`find`] for reports, built in place. Without a readable one the page is scratch.
fn build_report(next: u64, source: &impl Source, header: &Header, page: &mut Page) -> Option<u64> {
    let (first, last) = source.report_range();
    let start = wanted(next, (first, last))?;
    let header = Header { class: Class::Report, ..*header };
    (start..=last).find(|&seq| {
        let mut readable = false;
        build_with(page, &header, |w| {
            w.u64(if seq == start { first } else { seq });
            w.u64(last);
            readable = source.report(seq, w);
        });
        readable
    })
}
