//! One pulse output: what its counter has earned, what it has given, and when the next pulse begins.

use super::line::{FINE, Line, Slope, Totals};
use super::{Instant, Kept, Overload};

/// Millijoules in a kilowatt-hour.
const KILOWATT_HOUR: u128 = 3_600_000_000;
/// Instants known ahead. The fastest output gives 25 pulses a second, and a pulse waits for [`super::DELAY_MS`] and
/// up to a window: 0.55 s. More than these are overload: they follow without an instant of their own.
const PLANNED: usize = 16;
/// Pulses that wait at most; what comes on top is dropped, and told. Four hours at an overload of 10 % of 6 Hz.
pub const OWED_LIMIT: i64 = 10_000;
/// An output with so many pulses waiting is behind: two seconds of the fastest output.
const BEHIND: i64 = 50;
/// A start may find the output ahead of the counters by the pulses of the windows that a reset lost.
const AHEAD_LIMIT: i64 = 64;

/// What an output tells, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tuning {
    /// Counters whose sum it tells, a bit each: A+, A−, R1 to R4.
    pub source: u8,
    /// Pulses per kWh.
    pub per_kwh: u32,
    /// Width, ms.
    pub width_ms: u8,
    /// Shortest time between two begins, samples.
    pub period: u64,
}

impl Tuning {
    /// Pulses that the counters are worth since they began: those that are whole.
    fn earned(&self, totals: &Totals) -> i64 {
        let pulses = totals.millijoules(self.source) * u128::from(self.per_kwh) / KILOWATT_HOUR;
        i64::try_from(pulses).unwrap_or(i64::MAX)
    }

    /// Energy at which pulse `index` is earned, fine steps.
    fn threshold(&self, index: i64) -> i128 {
        let kilowatt_hour = KILOWATT_HOUR as i128 * i128::from(FINE);
        i128::from(index) * kilowatt_hour / i128::from(self.per_kwh.max(1))
    }
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Generator {
    pub tuning: Tuning,
    /// Pulses the counters were worth at the end of the last window, and pulses begun. The difference is owed; it is
    /// negative when a reset lost energy that was told already, and then nothing comes until the counter is there again.
    earned: i64,
    begun: i64,
    /// The counters then, fine steps.
    fine: u128,
    /// Instants of the oldest pulses that are owed.
    planned: [Instant; PLANNED],
    first: usize,
    count: usize,
    /// Handed to the board, not begun yet.
    armed: Option<Instant>,
    /// Begin of the last pulse, or the start.
    last: Instant,
    behind: bool,
    dropped: u64,
}

impl Generator {
    /// Goes on from what was kept; without it from the counters as they are.
    pub fn start(tuning: Tuning, t: u64, totals: &Totals, kept: Option<&Kept>) -> Generator {
        let mut generator = Generator {
            tuning,
            earned: 0,
            begun: 0,
            fine: 0,
            planned: [Instant::default(); PLANNED],
            first: 0,
            count: 0,
            armed: None,
            last: Instant { sample: t, fraction: 0 },
            behind: false,
            dropped: 0,
        };
        // What it owes refers to what it told then.
        let owed = kept.map_or(0, |kept| {
            let then = Tuning { source: kept.source, per_kwh: kept.per_kwh, ..tuning };
            then.earned(totals).saturating_sub(kept.begun)
        });
        // Another memory, or another meter's: nothing is owed.
        let same = kept.is_some_and(|kept| (kept.source, kept.per_kwh) == (tuning.source, tuning.per_kwh));
        let least = if same { -AHEAD_LIMIT } else { 0 };
        generator.anew(totals, if (least..=OWED_LIMIT).contains(&owed) { owed } else { 0 });
        generator
    }

    fn anew(&mut self, totals: &Totals, owed: i64) {
        self.earned = self.tuning.earned(totals);
        self.begun = self.earned.saturating_sub(owed);
        self.fine = totals.fine(self.tuning.source);
        self.count = 0;
    }

    /// Tells something else from now on. What is owed is still given, as soon as may be.
    pub fn retune(&mut self, tuning: Tuning, totals: &Totals) {
        if tuning != self.tuning {
            let owed = self.owed().max(0);
            self.tuning = tuning;
            self.anew(totals, owed);
        }
    }

    pub fn kept(&self) -> Kept {
        Kept { begun: self.begun, source: self.tuning.source, per_kwh: self.tuning.per_kwh }
    }

    /// Pulses earned and not begun.
    pub fn owed(&self) -> i64 {
        self.earned.saturating_sub(self.begun)
    }

    /// Number of the pulse that is armed or comes next.
    pub fn index(&self) -> i64 {
        self.begun.saturating_add(1)
    }

    /// A window has closed: plans the pulses it earned, `delay` samples later. True when it had energy.
    pub fn window(&mut self, line: &Line, slope: &Slope, totals: &Totals, delay: u64) -> bool {
        let before = core::mem::replace(&mut self.fine, totals.fine(self.tuning.source));
        let earned = self.tuning.earned(totals);
        let from = core::mem::replace(&mut self.earned, earned);
        for index in (from + 1..=earned).take(PLANNED) {
            // An instant belongs to its pulse: none behind one that waits without.
            if self.count == PLANNED || index - 1 - self.begun != self.waiting() {
                break;
            }
            let distance = self.tuning.threshold(index).saturating_sub_unsigned(before);
            let at = slope.instant(line, self.tuning.source, distance);
            let slot = (self.first + self.count) % PLANNED;
            if let Some(place) = self.planned.get_mut(slot) {
                *place = Instant::new(line.t_samples + delay, at);
                self.count += 1;
            }
        }
        self.fine != before
    }

    /// Pulses with an instant.
    fn waiting(&self) -> i64 {
        self.count as i64 + i64::from(self.armed.is_some())
    }

    /// Drops what is too much, and tells that the output is behind, that it begins to drop, and that it has caught up.
    pub fn overload(&mut self) -> Option<Overload> {
        let excess = self.owed() - OWED_LIMIT;
        let first_drop = excess > 0 && self.dropped == 0;
        if excess > 0 {
            self.begun += excess;
            self.dropped += excess as u64;
            self.count = 0;
        }
        let owed = self.owed();
        let caught_up = self.behind && owed <= self.waiting();
        let news = first_drop || caught_up || (!self.behind && owed >= BEHIND);
        self.behind = (self.behind || owed >= BEHIND) && !caught_up;
        let told = Overload { owed: owed.max(0) as u64, dropped: self.dropped };
        if caught_up {
            self.dropped = 0;
        }
        news.then_some(told)
    }

    /// Not before this: the last pulse and its pause.
    fn earliest(&self) -> Instant {
        Instant { sample: self.last.sample + self.tuning.period, ..self.last }
    }

    fn next_planned(&self) -> Option<Instant> {
        (self.count != 0).then(|| self.planned.get(self.first).copied()).flatten()
    }

    /// Sample clock at which [`Generator::step`] has something to do.
    pub fn due(&self, lead: u64) -> u64 {
        match self.armed {
            Some(begin) => begin.sample + 1,
            None if self.owed() > 0 => {
                self.next_planned().unwrap_or_default().max(self.earliest()).sample.saturating_sub(lead)
            }
            None => u64::MAX,
        }
    }

    /// At sample clock `t`: whether the armed pulse has begun by now, and the next one when it is time to arm it.
    pub fn step(&mut self, t: u64, lead: u64) -> (bool, Option<Instant>) {
        let begun = self.armed.filter(|begin| t > begin.sample);
        if let Some(begin) = begun {
            (self.armed, self.last) = (None, begin);
            self.begun += 1;
        }
        if self.armed.is_none() && self.owed() > 0 && t >= self.due(lead) {
            // Never in the past; without an instant, as soon as the board is sure to manage.
            let soonest = Instant { sample: t + if self.count == 0 { lead } else { 2 }, fraction: 0 };
            let begin = self.next_planned().unwrap_or_default().max(self.earliest()).max(soonest);
            if self.count != 0 {
                self.first = (self.first + 1) % PLANNED;
                self.count -= 1;
            }
            self.armed = Some(begin);
            return (begun.is_some(), self.armed);
        }
        (begun.is_some(), None)
    }
}
