//! registerd on the bus: the objects, and what they are made of.
//!
//! Nothing is computed here: values come from what the meter thread published last, rows from the store's thread,
//! commands go to the meter thread and are answered once they are durable. Every request is bounded.

use crate::config::Config;
use crate::identity::Identity;
use crate::live::{Live, Request, Requests};
use crate::store::{MeterKeeper, Query};
use meter_bus::{Error, ORIGIN_MAX, PATH, ROOT, SERVICE};
use meter_core::{Command, Origin, Refused};
use meter_kit::store::writer::Handle;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use zbus::Connection;
use zbus::fdo::{DBusProxy, ObjectManager};
use zbus::message::Header;

mod health;
mod objects;
#[cfg(test)]
mod tests;

use objects::{Clock, EventLog, Health, IdentityObject, Profile, Register, Snapshot};

/// Published values older than this are no answer: the meter thread, which publishes each second, is stuck.
const LIVE_MAX: Duration = Duration::from_secs(5);
/// How long a command may take until it is durable. A commit takes milliseconds; a disk that is full is told at once.
const COMMAND_MAX: Duration = Duration::from_secs(20);
/// How long the store may take to answer. Below the callers' own limit.
const QUERY_MAX: Duration = Duration::from_secs(50);
/// Signals per second at most, when meter time runs faster than real time.
const SIGNAL_PAUSE: Duration = Duration::from_millis(20);

/// What all objects share.
pub struct Context {
    /// What the meter thread publishes.
    pub live: watch::Receiver<Arc<Live>>,
    /// The way to the meter thread.
    pub requests: Requests,
    /// The way to the store's thread.
    pub store: Handle<MeterKeeper>,
    /// This program.
    pub identity: Identity,
    /// Configuration as read at the start.
    pub config: Config,
}

impl Context {
    /// The newest published values.
    fn live(&self) -> Result<Arc<Live>, Error> {
        let live = self.live.borrow().clone();
        if live.at.elapsed() > LIVE_MAX {
            return Err(Error::NotReady("the meter thread is not answering".into()));
        }
        Ok(live)
    }

    /// Asks the store's thread.
    async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Query) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.store.query(make(reply)).map_err(|_| Error::Storage("the store is busy".into()))?;
        match tokio::time::timeout(QUERY_MAX, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            _ => Err(Error::Storage("the store does not answer".into())),
        }
    }

    /// Has a command carried out on behalf of a caller.
    async fn command(
        &self,
        command: Command,
        origin: String,
        connection: &Connection,
        header: &Header<'_>,
    ) -> Result<(), Error> {
        if origin.is_empty() || origin.len() > ORIGIN_MAX {
            return Err(Error::InvalidArgument(format!("origin must have 1 to {ORIGIN_MAX} bytes")));
        }
        if self.store.health().trouble().is_some() {
            return Err(Error::Storage("the store cannot write at the moment: nothing was changed".into()));
        }
        let uid = caller(connection, header).await?;
        let (reply, answer) = oneshot::channel();
        if !self.requests.send(Request { command, origin: Origin { source: origin, uid }, reply }) {
            return Err(Error::NotReady("too many commands are waiting".into()));
        }
        match tokio::time::timeout(COMMAND_MAX, answer).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(refused))) => Err(refusal(&refused)),
            _ => Err(Error::Storage("the command is not durable yet; the audit log will tell".into())),
        }
    }
}

/// The uid that the bus vouches for.
async fn caller(connection: &Connection, header: &Header<'_>) -> Result<u32, Error> {
    let unknown = || Error::NotAuthorised("the bus does not tell who is calling".into());
    let sender = header.sender().ok_or_else(unknown)?.to_owned();
    let credentials =
        DBusProxy::new(connection).await?.get_connection_credentials(sender.into()).await.map_err(|_| unknown())?;
    credentials.unix_user_id().ok_or_else(unknown)
}

fn refusal(refused: &Refused) -> Error {
    let words = refused.to_string();
    match refused {
        Refused::NotReady => Error::NotReady(words),
        Refused::Busy | Refused::ClockInvalid => Error::Refused(words),
        Refused::TooFar | Refused::OutOfRange | Refused::Params(_) | Refused::Tariffs(_) => {
            Error::InvalidArgument(words)
        }
    }
}

/// Puts the objects on the bus and takes the name.
///
/// # Errors
/// The bus is not there, or refuses the name (another registerd has it, or the policy says no).
pub async fn serve(address: Option<&str>, context: &Arc<Context>) -> zbus::Result<Connection> {
    let c = || context.clone();
    meter_bus::builder(address)
        .serve_at(ROOT, ObjectManager)
        .serve_at(PATH, IdentityObject(c()))
        .serve_at(PATH, Register(c()))
        .serve_at(PATH, Snapshot(c()))
        .serve_at(PATH, Profile(c()))
        .serve_at(PATH, EventLog(c()))
        .serve_at(PATH, Clock(c()))
        .serve_at(PATH, objects::Config(c()))
        .serve_at(PATH, Health(c()))
        .replace_existing_names(false)
        .allow_name_replacements(false)
        .name(SERVICE)
        .build()
        .await
}

/// Sends the snapshot signal and property changes until the connection ends.
///
/// # Errors
/// The connection ended.
pub async fn announce(connection: &Connection, context: &Context) -> zbus::Result<()> {
    let server = connection.object_server();
    let snapshot = server.interface::<_, Snapshot>(PATH).await?;
    let identity = server.interface::<_, IdentityObject>(PATH).await?;
    let mut live = context.live.clone();
    let (mut second, mut hello) = (0, None);
    loop {
        let now = live.borrow_and_update().clone();
        if now.hello != hello {
            hello = now.hello;
            let (object, emitter) = (identity.get().await, identity.signal_emitter());
            object.firmware_id_changed(emitter).await?;
            object.firmware_version_changed(emitter).await?;
            object.device_id_changed(emitter).await?;
        }
        if now.second != second {
            second = now.second;
            objects::SnapshotSignals::snapshot(&snapshot, objects::usec(now.wall.utc), objects::named(&now.readings))
                .await?;
        }
        tokio::time::sleep(SIGNAL_PAUSE).await;
        if live.changed().await.is_err() {
            return Err(zbus::Error::Failure("the meter thread has ended".into()));
        }
    }
}
