//! A private message bus inside the demo's process: nothing to install, gone with the demo.

use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::sync::oneshot;

/// The bus listens within milliseconds; this only bounds the wait when the machine is very busy.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A bus that runs.
pub struct PrivateBus {
    /// Its D-Bus address.
    pub address: String,
    /// Resolves with the reason should the bus end.
    pub ended: oneshot::Receiver<String>,
}

/// Starts a bus that listens on the socket `path`.
///
/// # Errors
/// The socket cannot be made.
pub fn start(path: &Path) -> anyhow::Result<PrivateBus> {
    let wanted = zbus::Address::from(zbus::address::Transport::Unix(zbus::address::transport::Unix::new(
        zbus::address::transport::UnixSocket::File(path.to_owned()),
    )))
    .to_string();
    let (ready, is_ready) = mpsc::channel();
    let (end, ended) = oneshot::channel();
    thread::Builder::new().name("bus".into()).spawn(move || {
        zruntime::block_on(async move {
            let mut bus = match busd::bus::Bus::for_address(Some(&wanted)).await {
                Ok(bus) => bus,
                // The receiver waits for exactly this message.
                Err(error) => return drop(ready.send(Err(anyhow!("{error:#}")))),
            };
            let _ = ready.send(Ok(bus.address().to_string()));
            let reason = match bus.run().await {
                Ok(()) => "the bus ended".to_owned(),
                Err(error) => format!("the bus ended: {error:#}"),
            };
            let _ = end.send(reason);
        });
    })?;
    let address = is_ready.recv_timeout(START_TIMEOUT).context("the private bus does not start")?;
    Ok(PrivateBus { address: address.context("cannot start the private bus")?, ended })
}
