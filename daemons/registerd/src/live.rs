//! What the meter thread publishes and what it is asked: the only two ways between it and the bus.

use crate::link::pump::PumpStats;
use crate::telemetry::State;
use meter_core::{Command, Finding, Origin, Params, Refused};
use meter_kit::wake::Wake;
use meter_model::{Obis, Reading, Wall};
use metrology_link::host::LinkStats;
use metrology_link::payload::Hello;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Instant;
use tokio::sync::oneshot;

/// Requests waiting for the meter thread at most. It looks after each page, so more than a few mean that it is stuck.
const REQUESTS_MAX: usize = 32;

/// The meter as it was a moment ago. Never changed after it is published.
#[derive(Clone, Debug)]
pub struct Live {
    /// When it was published, for its age and for the time between.
    pub at: Instant,
    /// Meter time then.
    pub wall: Wall,
    /// Grows with each second of meter time; 0 = no page since the start.
    pub second: u64,
    /// All registers.
    pub readings: Vec<(Obis, Reading)>,
    /// Parameters in force.
    pub params: Params,
    /// The coprocessor, once it said hello.
    pub hello: Option<Hello>,
    /// The link is lost and being recovered.
    pub link_lost: bool,
    /// Time since the last good page, µs.
    pub silent_us: u64,
    /// Why the last exchange failed.
    pub link_error: Option<String>,
    /// Counts of the transport.
    pub pump: PumpStats,
    /// Counts of the protocol.
    pub stats: LinkStats,
    /// Contradictions between the heads kept in the coprocessor and the rows; `None` until it was asked.
    pub heads: Option<Vec<Finding>>,
    /// The reports' store.
    pub telemetry: State,
}

/// One command with the way back.
pub struct Request {
    /// What.
    pub command: Command,
    /// Who.
    pub origin: Origin,
    /// Where the answer goes, once it is durable.
    pub reply: oneshot::Sender<Result<(), Refused>>,
}

/// The bus's end of the way to the meter thread.
#[derive(Clone)]
pub struct Requests {
    sender: SyncSender<Request>,
    wake: Wake,
}

impl Requests {
    /// Both ends. The receiver's thread sleeps on `wake`.
    pub fn new(wake: Wake) -> (Requests, Receiver<Request>) {
        let (sender, receiver) = sync_channel(REQUESTS_MAX);
        (Requests { sender, wake }, receiver)
    }

    /// Hands in a request; false when there is no room or nobody to serve it.
    pub fn send(&self, request: Request) -> bool {
        match self.sender.try_send(request) {
            Ok(()) => {
                self.wake.wake();
                true
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}
