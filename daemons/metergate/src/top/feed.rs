//! Where the view's content comes from: the snapshot signal, and questions once a second, each in its own task, so that a
//! meter that does not answer never blocks the keys.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use meter_bus::{ClockProxy, HealthItem, HealthProxy, IdentityProxy, NamedReading, ProfileProxy, SnapshotProxy};
use tokio::sync::mpsc;
use zbus::Connection;

use crate::bus;
use crate::format::event_words;

/// Health, clock and events are asked for this often; values come by themselves once a second.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// An answer that takes longer is not waited for: the view shows that the meter is silent.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The newest events of each logger that are asked for; no terminal shows more.
const EVENTS_KEPT: u64 = 50;
/// The loggers whose rows are events: what happened to the meter, and who changed what.
const EVENT_LOGGERS: [&str; 2] = ["status", "audit"];
/// Updates waiting for the screen: values come at most 50 times a second and the screen takes them within 250 ms.
const UPDATES_WAITING: usize = 64;

/// One thing that became known.
pub enum Update {
    /// All values.
    Snapshot(Vec<NamedReading>),
    /// Who the meter is.
    Identity(Identity),
    /// Meter time (µs UTC) and its quality code.
    Clock(u64, u8),
    /// State of the parts.
    Health(Vec<HealthItem>),
    /// The newest events, newest first.
    Events(Vec<EventLine>),
    /// The meter does not answer; why, in one line.
    Silent(String),
}

/// Who the meter is.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Serial number.
    pub serial: String,
    /// `1p`, `3p`, ...
    pub meter_type: String,
    /// Whether the rows may be billed on.
    pub legal: bool,
}

/// One event as the screen shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventLine {
    /// Meter time, µs UTC.
    pub usec: u64,
    /// Its logger.
    pub logger: &'static str,
    /// Sequence number there.
    pub seq: u64,
    /// What happened.
    pub words: String,
}

/// Starts the tasks. They end when the receiver is dropped.
pub async fn start(connection: &Connection) -> anyhow::Result<mpsc::Receiver<Update>> {
    let (sender, receiver) = mpsc::channel(UPDATES_WAITING);
    tokio::spawn(listen(snapshots(connection).await?, sender.clone()));
    let questions = Questions::new(connection).await?;
    tokio::spawn(questions.ask_until_closed(sender));
    Ok(receiver)
}

/// The snapshot signals as meter time and values.
pub async fn snapshots(
    connection: &Connection,
) -> anyhow::Result<impl Stream<Item = (u64, Vec<NamedReading>)> + Send + Unpin + 'static> {
    let proxy = bus::plain(SnapshotProxy::new(connection)).await?;
    let signals = bus::plain(proxy.receive_snapshot()).await?;
    // A signal of another form is another service's mistake; there is nothing to show of it.
    let values = signals
        .filter_map(|signal| std::future::ready(signal.args().ok().map(|args| (args.usec, args.readings.clone()))));
    Ok(Box::pin(values))
}

async fn listen(mut stream: impl Stream<Item = (u64, Vec<NamedReading>)> + Unpin, sender: mpsc::Sender<Update>) {
    while let Some((_, readings)) = stream.next().await {
        if sender.send(Update::Snapshot(readings)).await.is_err() {
            return;
        }
    }
}

struct Questions {
    identity: IdentityProxy<'static>,
    health: HealthProxy<'static>,
    clock: ClockProxy<'static>,
    profile: ProfileProxy<'static>,
}

impl Questions {
    async fn new(connection: &Connection) -> anyhow::Result<Questions> {
        Ok(Questions {
            identity: bus::plain(IdentityProxy::new(connection)).await?,
            health: bus::plain(HealthProxy::new(connection)).await?,
            clock: bus::plain(ClockProxy::new(connection)).await?,
            profile: bus::plain(ProfileProxy::new(connection)).await?,
        })
    }

    async fn ask_until_closed(self, sender: mpsc::Sender<Update>) {
        let mut tick = tokio::time::interval(ASK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let round = tokio::time::timeout(ANSWER_TIMEOUT, self.round(&sender)).await;
            let silent = match round {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("no answer from the meter".to_owned()),
            };
            let closed = match silent {
                Some(reason) => sender.send(Update::Silent(reason)).await.is_err(),
                None => sender.is_closed(),
            };
            if closed {
                return;
            }
        }
    }

    async fn round(&self, sender: &mpsc::Sender<Update>) -> anyhow::Result<()> {
        // A closed channel is seen by the caller.
        let (usec, quality) = bus::call(self.clock.now()).await?;
        let _ = sender.send(Update::Clock(usec, quality)).await;
        let _ = sender.send(Update::Health(bus::call(self.health.state()).await?)).await;
        let identity = Identity {
            serial: bus::plain(self.identity.serial()).await?,
            meter_type: bus::plain(self.identity.meter_type()).await?,
            legal: bus::plain(self.identity.legal()).await?,
        };
        let _ = sender.send(Update::Identity(identity)).await;
        let _ = sender.send(Update::Events(self.events().await?)).await;
        Ok(())
    }

    async fn events(&self) -> anyhow::Result<Vec<EventLine>> {
        let mut lines = Vec::new();
        let list = bus::call(self.profile.list()).await?;
        for logger in EVENT_LOGGERS {
            let Some(info) = list.iter().find(|info| info.name == logger) else { continue };
            let columns = bus::call(self.profile.columns(logger)).await?;
            let from = info.last_seq.saturating_sub(EVENTS_KEPT - 1).max(1);
            let (rows, _) = bus::call(self.profile.read_rows(logger, from, 0, 0, EVENTS_KEPT as u32)).await?;
            lines.extend(rows.iter().map(|row| EventLine {
                usec: row.end,
                logger,
                seq: row.seq,
                words: event_words(logger, &columns, &row.values),
            }));
        }
        lines.sort_by_key(|line| std::cmp::Reverse((line.usec, line.seq)));
        Ok(lines)
    }
}
