//! The breaker guard: what may be done to the contact, whoever asks.
//!
//! - Two operations are at least [`MIN_INTERVAL_MS`] apart, over resets too: the drive's capacitor must recharge.
//! - Closing needs a permit that is live at that moment; registerd renews it with every page, so a dead or stuck Linux
//!   cannot close.
//! - Above the configured voltage for the configured time the contact is opened without asking anybody.
//! - [`FEEDBACK_MS`] after an operation the measured contact is compared: stuck and welded contacts are told.

use metrology_link::payload::{BreakerDrive, MeterConfig, PHASES, ReplyStatus};

/// Least time between two operations (seed: 5 s).
pub const MIN_INTERVAL_MS: u64 = 5_000;
/// The contact must have followed by then: 50 ms of drive, 20 ms of bounce, and reserve for a weak spring.
pub const FEEDBACK_MS: u64 = 500;

/// What the guard found due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Open now: overvoltage on `phase` (1 to 3).
    Trip { phase: u8, u_mv: u64, for_ms: u64 },
    /// Compare the feedback with what was commanded.
    Check { closed: bool },
}

/// State of the guard. Times are on the sample clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Guard {
    rate_hz: u64,
    fitted: bool,
    trip_mv: u64,
    trip_ms: u64,
    /// Last operation, kept over resets; 0 = none ever.
    pub last_operation: u64,
    permit_until: u64,
    check: Option<(u64, bool)>,
    /// Since when each phase has been above the limit.
    above_since: [Option<u64>; PHASES],
}

impl Guard {
    pub fn new(config: &MeterConfig, last_operation: u64) -> Guard {
        let mut guard = Guard { last_operation, ..Guard::default() };
        guard.configure(config);
        guard
    }

    pub fn configure(&mut self, config: &MeterConfig) {
        self.rate_hz = u64::from(config.rate_hz);
        self.fitted = config.breaker;
        self.trip_mv = u64::from(config.trip_mv);
        self.trip_ms = u64::from(config.trip_ms);
        self.above_since = [None; PHASES];
    }

    fn samples(&self, ms: u64) -> u64 {
        ms * self.rate_hz / 1000
    }

    /// A host page came: closing is permitted for `ms` from `t` on, 0 = not.
    pub fn permit(&mut self, t: u64, ms: u16) {
        self.permit_until = if ms == 0 { 0 } else { t + self.samples(u64::from(ms)) };
    }

    /// Milliseconds until the next operation may be done.
    fn wait_ms(&self, t: u64) -> u32 {
        let free = self.last_operation + self.samples(MIN_INTERVAL_MS);
        if self.last_operation == 0 { 0 } else { (free.saturating_sub(t) * 1000).div_ceil(self.rate_hz) as u32 }
    }

    /// Whether an operation may be done now; notes it as done.
    ///
    /// # Errors
    /// The reply's status and detail.
    pub fn operate(&mut self, t: u64, drive: BreakerDrive) -> Result<(), (ReplyStatus, u32)> {
        if drive == BreakerDrive::Keep {
            return Ok(());
        }
        if !self.fitted {
            return Err((ReplyStatus::NotFitted, 0));
        }
        let wait = self.wait_ms(t);
        if wait != 0 {
            return Err((ReplyStatus::TooSoon, wait));
        }
        if drive == BreakerDrive::Close && t >= self.permit_until {
            return Err((ReplyStatus::NoPermit, 0));
        }
        self.last_operation = t.max(1);
        self.check = Some((t + self.samples(FEEDBACK_MS), drive == BreakerDrive::Close));
        Ok(())
    }

    /// A window closed: `u_mv` are its RMS voltages, `None` where there is no channel. `closed` is the contact as
    /// measured: an open one is not tripped again.
    pub fn window(&mut self, t: u64, window_ms: u64, u_mv: &[Option<u64>; PHASES], closed: bool) -> Option<Due> {
        if !self.fitted || self.trip_mv == 0 {
            return None;
        }
        let mut trip = None;
        for (k, (u, since)) in u_mv.iter().zip(&mut self.above_since).enumerate() {
            let Some(u) = u.filter(|u| *u > self.trip_mv) else {
                *since = None;
                continue;
            };
            let start = *since.get_or_insert(t.saturating_sub(window_ms * self.rate_hz / 1000));
            let for_ms = t.saturating_sub(start) * 1000 / self.rate_hz.max(1);
            if for_ms >= self.trip_ms && trip.is_none() {
                trip = Some(Due::Trip { phase: k as u8 + 1, u_mv: u, for_ms });
            }
        }
        // Within the 5 s the voltage stays noted and the contact opens as soon as it may.
        trip.filter(|_| closed && self.wait_ms(t) == 0)
    }

    /// Whether the feedback is to be compared now.
    pub fn poll(&mut self, t: u64) -> Option<Due> {
        let (_, closed) = self.check.filter(|(due, _)| t >= *due)?;
        self.check = None;
        Some(Due::Check { closed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u64 = 8000;

    fn guard() -> Guard {
        let config = MeterConfig { breaker: true, trip_mv: 285_000, trip_ms: 1000, ..MeterConfig::default() };
        Guard::new(&config, 0)
    }

    #[test]
    fn closing_needs_a_live_permit() {
        let mut g = guard();
        assert_eq!(g.operate(10, BreakerDrive::Close), Err((ReplyStatus::NoPermit, 0)));
        g.permit(10, 100);
        assert_eq!(g.operate(10 + RATE / 10, BreakerDrive::Close), Err((ReplyStatus::NoPermit, 0)), "expired");
        g.permit(10, 100);
        assert_eq!(g.operate(9 + RATE / 10, BreakerDrive::Close), Ok(()));
        g.permit(10, 100);
        g.permit(11, 0);
        assert_eq!(g.operate(20 * RATE, BreakerDrive::Close), Err((ReplyStatus::NoPermit, 0)), "taken away");
    }

    #[test]
    fn operations_are_five_seconds_apart() {
        let mut g = guard();
        assert_eq!(g.operate(RATE, BreakerDrive::Open), Ok(()));
        assert_eq!(g.operate(2 * RATE, BreakerDrive::Open), Err((ReplyStatus::TooSoon, 4000)));
        assert_eq!(g.operate(6 * RATE - 1, BreakerDrive::Open), Err((ReplyStatus::TooSoon, 1)));
        assert_eq!(g.operate(6 * RATE, BreakerDrive::Open), Ok(()));
        assert_eq!(
            Guard::new(&MeterConfig { breaker: true, ..MeterConfig::default() }, 6 * RATE).wait_ms(7 * RATE),
            4000
        );
    }

    #[test]
    fn no_breaker_no_operation() {
        let mut g = Guard::new(&MeterConfig::default(), 0);
        assert_eq!(g.operate(5, BreakerDrive::Open), Err((ReplyStatus::NotFitted, 0)));
        assert_eq!(g.operate(5, BreakerDrive::Keep), Ok(()));
    }

    #[test]
    fn trips_after_the_time_and_not_before() {
        let mut g = guard();
        let high = [Some(230_000), Some(290_000), None];
        let window = RATE / 5;
        for n in 1..=4 {
            assert_eq!(g.window(n * window, 200, &high, true), None, "window {n}");
        }
        // Back to normal for one window: the time begins again.
        assert_eq!(g.window(5 * window, 200, &[Some(230_000); 3], true), None);
        for n in 6..=9 {
            assert_eq!(g.window(n * window, 200, &high, true), None, "window {n}");
        }
        let trip = Due::Trip { phase: 2, u_mv: 290_000, for_ms: 1000 };
        assert_eq!(g.window(10 * window, 200, &high, false), None, "open already");
        let mut armed = g;
        assert_eq!(armed.window(10 * window, 200, &high, true), Some(trip));
        g.last_operation = 9 * window;
        assert_eq!(g.window(10 * window, 200, &high, true), None, "too soon after an operation");
        assert!(g.window(9 * window + 5 * RATE, 200, &high, true).is_some(), "as soon as it may");
    }

    #[test]
    fn feedback_is_asked_for_once() {
        let mut g = guard();
        assert_eq!(g.operate(100, BreakerDrive::Open), Ok(()));
        assert_eq!(g.poll(100 + RATE / 2 - 1), None);
        assert_eq!(g.poll(100 + RATE / 2), Some(Due::Check { closed: false }));
        assert_eq!(g.poll(100 + RATE), None);
    }
}
