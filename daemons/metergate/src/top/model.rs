//! What the view knows at one moment.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use meter_bus::{BusReading, HealthItem};
use meter_model::Obis;

use super::feed::{EventLine, Identity, Update};

/// Values older than this are shown as old. Two seconds: one snapshot may be late, two are not.
const STALE: Duration = Duration::from_secs(2);

/// Everything on the screen.
#[derive(Debug, Default)]
pub struct Model {
    /// Who the meter is, once known.
    pub identity: Option<Identity>,
    /// Meter time and quality code.
    pub clock: Option<(u64, u8)>,
    /// State of the parts.
    pub health: Vec<HealthItem>,
    /// Newest events, newest first.
    pub events: Vec<EventLine>,
    /// Why the meter does not answer, while it does not.
    pub silent: Option<String>,
    readings: HashMap<String, BusReading>,
    received: Option<Instant>,
}

impl Model {
    /// Takes in one thing that became known at `now`.
    pub fn take(&mut self, update: Update, now: Instant) {
        if !matches!(update, Update::Silent(_)) {
            self.silent = None;
        }
        match update {
            Update::Snapshot(readings) => {
                self.readings = readings.into_iter().map(|named| (named.obis, named.reading)).collect();
                self.received = Some(now);
            }
            Update::Identity(identity) => self.identity = Some(identity),
            Update::Clock(usec, quality) => self.clock = Some((usec, quality)),
            Update::Health(items) => self.health = items,
            Update::Events(lines) => self.events = lines,
            Update::Silent(reason) => self.silent = Some(reason),
        }
    }

    /// The reading of `1.1.c.d.e.255`, when the meter has it.
    pub fn reading(&self, c: u8, d: u8, e: u8) -> Option<&BusReading> {
        self.readings.get(&Obis::electricity(c, d, e).to_string())
    }

    /// Age of the values when they are too old to be called live; `None` while they are live.
    pub fn stale(&self, now: Instant) -> Option<Duration> {
        let age = now.saturating_duration_since(self.received?);
        (age > STALE).then_some(age)
    }

    /// Whether there are values at all.
    pub fn has_values(&self) -> bool {
        self.received.is_some()
    }
}
