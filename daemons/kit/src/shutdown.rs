//! When to stop: SIGTERM (systemd, the demo) or SIGINT (Ctrl-C).

use tokio::signal::unix::{SignalKind, signal};

/// Waits for the request to stop and says which signal it was.
///
/// # Errors
/// The process may not install signal handlers: a fault of the system, nothing can be served safely.
pub async fn requested() -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
