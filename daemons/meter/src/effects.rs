//! What goes into a step and what comes out.

use core::fmt;

use metrology_link::payload::{Billing, ChainHead, EventRecord, Hello, HistoryRecord};

use crate::command::{Command, Origin, Refused};
use crate::durable::Durable;
use crate::logger::{LoggerId, Row};

/// One thing that happened.
// One is alive at a time, on the stack: boxing the pages would cost an allocation per step and save nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The coprocessor said who it is. Nothing else of it is believed before.
    Hello(Hello),
    /// A billing page.
    Billing(Billing),
    /// A history record, in order.
    History(HistoryRecord),
    /// These history records are lost for good.
    HistoryLost {
        /// First lost.
        from: u64,
        /// Last lost.
        to: u64,
    },
    /// An event, in order.
    Event(EventRecord),
    /// These events are lost for good.
    EventsLost {
        /// First lost.
        from: u64,
        /// Last lost.
        to: u64,
    },
    /// The link is silent or was closed.
    LinkLost,
    /// Somebody asks for something. The answer is in [`Effects::answer`].
    Command(Command, Origin),
    /// A damaged store was put aside and a new one begun from the state: the rows before this are not in it.
    StoreReplaced,
    /// Time passed.
    Tick,
}

/// What must become durable, all or nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Tx {
    /// The state after it.
    pub durable: Durable,
    /// New rows, already numbered and chained.
    pub rows: Vec<(LoggerId, Row)>,
    /// Once committed, events up to this may be acknowledged to the coprocessor.
    pub event_ack: Option<u64>,
    /// Once committed, these heads go to the coprocessor (`StoreHead`).
    pub heads: Vec<ChainHead>,
}

/// Where the link should go on; for `HostEnd::resume`. Told after each hello and whenever the numbering of the
/// coprocessor began anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Highest event taken over.
    pub event_ack: u64,
    /// Next history record wanted.
    pub history_next: u64,
}

/// What a step wants done. Order: persist, then acknowledge, send, answer and signal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// To be committed before anything else of this step leaves the process. Apart from the rest, for it holds a whole
    /// state and most steps have none.
    pub persist: Option<Box<Tx>>,
    /// Commands for the coprocessor.
    pub link: Vec<metrology_link::payload::Command>,
    /// Where the link goes on, when that changed.
    pub resume: Option<Resume>,
    /// A new second of values is there: time for a snapshot signal.
    pub snapshot: bool,
    /// How a command ended. Acceptance counts once `persist` is committed.
    pub answer: Option<Result<(), Refused>>,
    /// For the journal.
    pub notices: Vec<Notice>,
}

/// Something an operator should read in the journal. The durable record, where there is one, is a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The coprocessor speaks another protocol; it is ignored.
    WrongProtocol {
        /// What it speaks.
        theirs: u8,
    },
    /// The topology of the coprocessor does not fit the meter type; metering goes on with what it measures.
    WrongTopology,
    /// First contact of this meter with a coprocessor.
    Adopted,
    /// Another coprocessor was put in; registers go on from where they were.
    Replaced,
    /// The coprocessor's memory began anew; registers go on from where they were.
    MemoryReset,
    /// A counter fell without a memory reset; registers stay.
    Regressed,
    /// History was lost: an interval may be merged.
    HistoryLost {
        /// First lost.
        from: u64,
        /// Last lost.
        to: u64,
    },
    /// Events were lost.
    EventsLost {
        /// First lost.
        from: u64,
        /// Last lost.
        to: u64,
    },
    /// The coprocessor is silent; live values are absent from now on.
    Silent,
    /// It answers again.
    Answering,
    /// A grid did not come into force in time; it is sent again.
    GridRetry,
    /// A grid never came into force; the change was given up, an audit row says so.
    GridGivenUp,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::WrongProtocol { theirs } => write!(f, "metrology speaks protocol {theirs}: ignored"),
            Notice::WrongTopology => f.write_str("metrology's topology does not fit the meter type"),
            Notice::Adopted => f.write_str("metrology adopted: first contact"),
            Notice::Replaced => f.write_str("another metrology answers: registers go on from where they were"),
            Notice::MemoryReset => f.write_str("metrology's memory began anew: registers go on from where they were"),
            Notice::Regressed => f.write_str("a metrology counter fell: registers stay"),
            Notice::HistoryLost { from, to } => write!(f, "history records {from} to {to} are lost"),
            Notice::EventsLost { from, to } => write!(f, "events {from} to {to} are lost"),
            Notice::Silent => f.write_str("metrology silent: live values are absent"),
            Notice::Answering => f.write_str("metrology answers"),
            Notice::GridRetry => f.write_str("meter time did not reach the metrology: sent again"),
            Notice::GridGivenUp => f.write_str("meter time never reached the metrology: change given up"),
        }
    }
}
