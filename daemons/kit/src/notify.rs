//! What systemd is told: ready, stopping, and a watchdog that is fed only while work really advances.
//!
//! Without a notification socket all of this does nothing, which is what a run from a shell wants.

use sd_notify::NotifyState;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Says that the daemon serves: database migrated, bus name owned.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Says that the daemon is about to end cleanly.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// One line for `systemctl status`.
pub fn status(text: &str) {
    send(&[NotifyState::Status(text)]);
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        log::warn!("systemd was not told: {e}");
    }
}

/// One activity that must not stand still. Marked by the thread that does the work, read by the watchdog.
#[derive(Debug)]
pub struct Progress {
    name: &'static str,
    may_pause: Duration,
    began: Instant,
    /// Milliseconds after `began`.
    last: AtomicU64,
}

impl Progress {
    /// An activity that is stuck when it was not marked for `may_pause`. Counts as marked now.
    pub fn new(name: &'static str, may_pause: Duration) -> Arc<Progress> {
        Arc::new(Progress { name, may_pause, began: Instant::now(), last: AtomicU64::new(0) })
    }

    /// Work advanced.
    pub fn mark(&self) {
        // u64 milliseconds outlast every process.
        self.last.store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Time since the last mark.
    pub fn age(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }

    /// What it is called in a report.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it stood still for too long.
    pub fn stuck(&self) -> bool {
        self.age() > self.may_pause
    }
}

/// Feeds the watchdog at a quarter of its period while nothing is stuck. Returns at once when systemd has no
/// watchdog for this unit; else never.
pub async fn feed_watchdog(parts: Vec<Arc<Progress>>) {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    // A quarter: two feeds may be late before systemd acts.
    let mut tick = tokio::time::interval((period / 4).max(Duration::from_millis(10)));
    loop {
        tick.tick().await;
        match parts.iter().find(|p| p.stuck()) {
            None => send(&[NotifyState::Watchdog]),
            Some(part) => log::error!("watchdog not fed: {} stands still since {:?}", part.name(), part.age()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unmarked_activity_is_stuck_and_a_marked_one_is_not() {
        let hasty = Progress::new("work", Duration::ZERO);
        std::thread::sleep(Duration::from_millis(5));
        assert!(hasty.stuck());
        let patient = Progress::new("work", Duration::from_secs(3600));
        patient.mark();
        assert!(!patient.stuck());
    }
}
