//! A [`Life`] behind the device's end of the link, for those who want pages.

use std::collections::VecDeque;

use metrology_link::codec::Writer;
use metrology_link::device::{DeviceEnd, Source};
use metrology_link::page::Class;
use metrology_link::payload::{
    Billing, CHAIN_LOGS, ChainHead, Command, EventRecord, Heads, Hello, HistoryRecord, Reply, ReplyStatus, StreamChunk,
};
use metrology_link::{PAGE, Page};

use super::{Fault, Item, Life, LifeOptions, RING};

/// A [`Life`] behind the device's end of the link: it is moved on by [`PageDevice::advance`] and answers pages.
pub struct PageDevice {
    life: Life,
    end: DeviceEnd,
    hello: Hello,
    billing: Billing,
    history: VecDeque<HistoryRecord>,
    events: VecDeque<EventRecord>,
    heads: Heads,
    armed: Page,
    armed_class: Class,
}

/// What the device's end reads from.
struct Held<'a> {
    hello: &'a Hello,
    billing: &'a Billing,
    history: &'a VecDeque<HistoryRecord>,
    events: &'a VecDeque<EventRecord>,
    heads: &'a Heads,
}

impl Source for Held<'_> {
    fn hello(&self) -> Hello {
        let (history_first, history_last) = self.history_range();
        let (event_first, event_last) = self.event_range();
        Hello { history_first, history_last, event_first, event_last, ..*self.hello }
    }

    fn billing(&self) -> Billing {
        *self.billing
    }

    fn event_range(&self) -> (u64, u64) {
        (self.events.front().map_or(0, |e| e.seq), self.events.back().map_or(0, |e| e.seq))
    }

    fn event(&self, seq: u64) -> Option<EventRecord> {
        let index = seq.checked_sub(self.events.front()?.seq)?;
        self.events.get(usize::try_from(index).ok()?).copied()
    }

    fn history_range(&self) -> (u64, u64) {
        (self.history.front().map_or(0, |r| r.seq), self.history.back().map_or(0, |r| r.seq))
    }

    fn history(&self, seq: u64) -> Option<HistoryRecord> {
        let index = seq.checked_sub(self.history.front()?.seq)?;
        self.history.get(usize::try_from(index).ok()?).copied()
    }

    fn report_range(&self) -> (u64, u64) {
        (0, 0)
    }

    fn report(&self, _: u64, _: &mut Writer<'_>) -> bool {
        false
    }

    fn heads(&self) -> Heads {
        *self.heads
    }

    fn stream_ready(&self) -> bool {
        false
    }

    fn stream(&mut self) -> Option<StreamChunk> {
        None
    }
}

impl PageDevice {
    /// A device at the beginning of its life. Its host may be away as long as it likes: absences planned by the fault
    /// level do not apply here.
    pub fn new(options: &LifeOptions) -> PageDevice {
        let mut life = Life::new(options);
        life.faults.retain(|(_, fault)| !matches!(fault, Fault::HostAway { .. }));
        let mut device = PageDevice {
            end: DeviceEnd::new(life.boot_id),
            hello: life.hello(),
            billing: life.billing(),
            life,
            history: VecDeque::with_capacity(RING),
            events: VecDeque::with_capacity(RING),
            heads: std::array::from_fn(|log| ChainHead { log: log as u8, ..ChainHead::default() }),
            armed: [0; PAGE],
            armed_class: Class::Idle,
        };
        device.arm();
        device
    }

    /// Lives on to the next item; false when the life is over.
    pub fn advance(&mut self) -> bool {
        let Some(item) = self.life.next() else { return false };
        match item {
            Item::Hello(hello) => {
                if hello.boot_id != self.end.boot_id() {
                    let mut end = DeviceEnd::new(hello.boot_id);
                    end.restore(*self.end.last_reply(), self.end.event_ack(), self.end.report_ack());
                    self.end = end;
                }
                self.hello = hello;
            }
            Item::Billing(billing) => {
                self.billing = billing;
                self.end.window_closed();
            }
            Item::History(record) => keep(&mut self.history, record),
            Item::Event(event) => keep(&mut self.events, event),
            Item::HistoryLost { .. } => {}
        }
        if self.armed_class == Class::Idle || matches!(item, Item::Hello(_)) {
            self.arm();
        }
        true
    }

    /// Whether a page that says something is armed.
    pub fn data_ready(&self) -> bool {
        self.armed_class != Class::Idle
    }

    /// One exchange, as with the coprocessor. Of the commands, the grid and chain heads are carried out; the others do
    /// not exist here (`NotFitted`).
    pub fn exchange(&mut self, host: &Page) -> Page {
        let out = self.armed;
        if let Ok(Some((cmd_id, command))) = self.end.receive(host) {
            let mut status = ReplyStatus::Done;
            match command {
                Command::SetGrid(grid) if grid.rate_q16 != 0 => self.life.change_grid(grid),
                Command::StoreHead(head) if usize::from(head.log) < CHAIN_LOGS => {
                    self.heads[usize::from(head.log)] = head;
                }
                Command::ReadHeads => {}
                _ => status = ReplyStatus::NotFitted,
            }
            self.end.reply(Reply { cmd_id, status, ..Reply::default() });
        }
        self.arm();
        out
    }

    /// The life behind it.
    pub fn life(&self) -> &Life {
        &self.life
    }

    fn arm(&mut self) {
        let t = self.life.t;
        let mut held = Held {
            hello: &self.hello,
            billing: &self.billing,
            history: &self.history,
            events: &self.events,
            heads: &self.heads,
        };
        self.armed_class = self.end.emit(&mut held, t, &mut self.armed);
    }
}

fn keep<T>(ring: &mut VecDeque<T>, item: T) {
    if ring.len() == RING {
        ring.pop_front();
    }
    ring.push_back(item);
}

#[cfg(test)]
mod tests {
    use metrology_link::host::{HostEnd, Received};

    use super::*;
    use crate::Scenario;
    use crate::meter_type::MeterType;

    #[test]
    fn a_host_that_exchanges_often_enough_gets_every_record_and_event() {
        let options = LifeOptions {
            meter_type: MeterType::ThreePhase,
            scenario: Scenario::load("disturbed").unwrap(),
            seed: 1,
            start_us: 1_760_544_000_000_000,
            days: 1,
            faults: 2,
        };
        let mut device = PageDevice::new(&options);
        let mut host = HostEnd::new();
        host.resume(0, 1);
        let (mut page, mut next_record, mut next_event, mut last) = ([0; PAGE], 1, 1, None);
        let (mut hellos, mut alive) = (0, true);
        while alive || device.data_ready() {
            alive = device.advance();
            for _ in 0..4 {
                host.emit(&mut page);
                let answer = device.exchange(&page);
                match host.receive(&answer).unwrap() {
                    Received::Hello(_) => hellos += 1,
                    Received::History(record) => {
                        assert_eq!(record.seq, next_record);
                        next_record += 1;
                        host.ack_history(record.seq);
                    }
                    Received::Event(event) => {
                        assert_eq!(event.seq, next_event);
                        next_event += 1;
                        host.ack_event(event.seq);
                    }
                    Received::Billing(billing) => last = Some(billing),
                    Received::Idle | Received::Repeat => {}
                    other => unreachable!("{other:?}"),
                }
            }
        }
        let life = device.life();
        assert_eq!(next_record - 1, life.billing().history_last);
        assert_eq!(next_event - 1, life.billing().event_last);
        assert_eq!(hellos, life.hello().boots);
        assert_eq!(last.unwrap().snapshot.counters, life.counters());
    }
}
