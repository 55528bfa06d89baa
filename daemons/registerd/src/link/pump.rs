//! How a transport is used: when to exchange, what a bad page leads to, and what silence leads to.
//!
//! * A page is exchanged when the transport says that one is armed.
//! * A bad page is simply followed by the next exchange; the protocol repeats what matters. After [`BAD_RUN`] bad ones in a
//!   row the receiver is resynchronised, each time again.
//! * No good page for [`SILENCE_US`]: the link is lost, and the ladder begins: reopen, then the reset line, then the reset line
//!   again after pauses that double up to [`LADDER_PAUSE_MAX_US`]. The first good page ends it.

use super::{Link, Ready, Recovery};
use meter_model::Mono;
use metrology_link::{PAGE, Page, PageError};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Bad pages in a row that lead to a resynchronisation: one is an accident of the wire, three are a shift.
pub const BAD_RUN: u32 = 3;
/// Without a good page for so long the link is lost: ten windows of 200 ms, and less than the 5 s after which values
/// are stale.
pub const SILENCE_US: u64 = 2_000_000;
/// Pause between the first steps of the ladder: a coprocessor needs less than a second from reset to its first page.
pub const LADDER_PAUSE_US: u64 = 3_000_000;
/// Longest pause. A coprocessor that is dead stays dead; ten minutes keep the reset line from wearing out a supply.
pub const LADDER_PAUSE_MAX_US: u64 = 600_000_000;
/// Longest sleep of a turn, so that commands, time and silence are looked after.
const TURN: Duration = Duration::from_millis(250);

/// What the shell should know about a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A good page came.
    Good,
    /// A page came and was bad, or none came in time.
    Bad,
    /// Nothing was exchanged.
    Nothing,
    /// The link has just been lost.
    Lost,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PumpStats {
    /// Exchanges tried.
    pub exchanges: u64,
    /// Exchanges that brought no complete page.
    pub missing: u64,
    /// Pages whose content was refused.
    pub bad: u64,
    /// Resynchronisations after bad pages.
    pub resyncs: u64,
    /// Times the link was lost.
    pub lost: u64,
    /// Times the device or connection was reopened by the ladder.
    pub reopens: u64,
    /// Times the reset line was pulled.
    pub resets: u64,
    /// Longest time that a page was armed before its exchange, µs; 0 where edges carry no time stamps.
    pub slowest_us: u64,
}

/// Both ends of an exchange, as the meter sees them.
pub trait Ends {
    /// Makes the page to send.
    fn page_out(&mut self, page: &mut Page);

    /// Takes the page that came.
    ///
    /// # Errors
    /// It is no page.
    fn page_in(&mut self, page: &Page) -> Result<(), PageError>;
}

/// A transport with the rules above.
pub struct Pump<L> {
    link: L,
    tx: Page,
    rx: Page,
    bad_run: u32,
    last_good: Mono,
    /// Steps of the ladder taken; 0 = the link works.
    rung: u32,
    next_rung: Mono,
    stats: PumpStats,
    last_error: Option<String>,
}

impl<L: Link> Pump<L> {
    /// Starts as if a page had just come, so that a coprocessor gets its time to answer.
    pub fn new(link: L, now: Mono) -> Pump<L> {
        Pump {
            link,
            tx: [0; PAGE],
            rx: [0; PAGE],
            bad_run: 0,
            last_good: now,
            rung: 0,
            next_rung: now,
            stats: PumpStats::default(),
            last_error: None,
        }
    }

    /// Counts.
    pub fn stats(&self) -> &PumpStats {
        &self.stats
    }

    /// Whether the link is lost and being recovered.
    pub fn is_lost(&self) -> bool {
        self.rung > 0
    }

    /// Microseconds since the last good page.
    pub fn silent_us(&self, now: Mono) -> u64 {
        now.since(self.last_good)
    }

    /// Why the last exchange failed, in words; `None` since the last good one.
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// One turn: sleep until there is something to do, at most a quarter of a second, and do it. `clock` gives the
    /// time after the sleep.
    pub fn turn(&mut self, clock: impl Fn() -> Mono, wake: BorrowedFd<'_>, ends: &mut impl Ends) -> News {
        let news = match self.link.wait(wake, TURN) {
            Ready::Page => self.exchange(&clock, ends),
            Ready::Woken | Ready::Timeout => News::Nothing,
        };
        if news != News::Good && self.climb(clock()) { News::Lost } else { news }
    }

    fn exchange(&mut self, clock: &impl Fn() -> Mono, ends: &mut impl Ends) -> News {
        self.stats.exchanges += 1;
        ends.page_out(&mut self.tx);
        let transferred = self.link.transfer(&self.tx, &mut self.rx);
        if let Some(armed) = self.link.armed_for() {
            self.stats.slowest_us = self.stats.slowest_us.max(u64::try_from(armed.as_micros()).unwrap_or(u64::MAX));
        }
        let result = match transferred {
            Ok(()) => ends.page_in(&self.rx).map_err(|e| {
                self.stats.bad += 1;
                e.to_string()
            }),
            Err(e) => {
                self.stats.missing += 1;
                Err(e.to_string())
            }
        };
        match result {
            Ok(()) => {
                self.bad_run = 0;
                self.rung = 0;
                self.last_good = clock();
                self.last_error = None;
                News::Good
            }
            Err(error) => {
                self.last_error = Some(error);
                self.bad_run += 1;
                if self.bad_run.is_multiple_of(BAD_RUN) {
                    self.stats.resyncs += 1;
                    self.recover(Recovery::Resync);
                }
                News::Bad
            }
        }
    }

    /// The ladder. True when the link is lost just now.
    fn climb(&mut self, now: Mono) -> bool {
        if now.since(self.last_good) < SILENCE_US || (self.rung > 0 && now < self.next_rung) {
            return false;
        }
        let first = self.rung == 0;
        let how = if first { Recovery::Reopen } else { Recovery::Reset };
        match how {
            Recovery::Reopen => {
                self.stats.lost += 1;
                self.stats.reopens += 1;
            }
            _ => self.stats.resets += 1,
        }
        self.recover(how);
        let pause = LADDER_PAUSE_US.saturating_mul(1 << self.rung.min(20)).min(LADDER_PAUSE_MAX_US);
        self.next_rung = Mono(now.0.saturating_add(pause));
        self.rung = self.rung.saturating_add(1);
        first
    }

    fn recover(&mut self, how: Recovery) {
        if let Err(e) = self.link.recover(how) {
            self.last_error = Some(e.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use meter_kit::wake::Wake;
    use std::cell::Cell;
    use std::os::fd::AsFd;

    /// A wire under control: gives the scripted results, writes down recoveries, and lets time pass with each wait.
    struct Fake<'a> {
        clock: &'a Cell<u64>,
        step_us: u64,
        /// `None` = silence: not even a page to exchange.
        answer: Box<dyn FnMut(u64) -> Option<Result<u8, LinkError>> + 'a>,
        recoveries: &'a Cell<Vec<(u64, Recovery)>>,
        n: u64,
        pending: Option<Result<u8, LinkError>>,
    }

    use super::super::LinkError;

    impl Link for Fake<'_> {
        fn wait(&mut self, _: BorrowedFd<'_>, _: Duration) -> Ready {
            self.clock.set(self.clock.get() + self.step_us);
            self.pending = (self.answer)(self.n);
            self.n += 1;
            if self.pending.is_some() { Ready::Page } else { Ready::Timeout }
        }
        fn transfer(&mut self, _: &Page, rx: &mut Page) -> Result<(), LinkError> {
            rx.fill(self.pending.take().unwrap()?);
            Ok(())
        }
        fn recover(&mut self, how: Recovery) -> Result<(), LinkError> {
            let mut all = self.recoveries.take();
            all.push((self.clock.get(), how));
            self.recoveries.set(all);
            Ok(())
        }
    }

    /// Takes pages of ones as good.
    struct Taker;
    impl Ends for Taker {
        fn page_out(&mut self, page: &mut Page) {
            page.fill(7);
        }
        fn page_in(&mut self, page: &Page) -> Result<(), PageError> {
            if page[0] == 1 { Ok(()) } else { Err(PageError::Crc) }
        }
    }

    /// Runs `turns` and gives the news, the recoveries and the counts.
    fn run(
        turns: usize,
        step_us: u64,
        answer: impl FnMut(u64) -> Option<Result<u8, LinkError>>,
    ) -> (Vec<News>, Vec<(u64, Recovery)>, PumpStats) {
        let (clock, recoveries) = (Cell::new(0), Cell::new(Vec::new()));
        let fake =
            Fake { clock: &clock, step_us, answer: Box::new(answer), recoveries: &recoveries, n: 0, pending: None };
        let mut pump = Pump::new(fake, Mono(0));
        let wake = Wake::new().unwrap();
        let news = (0..turns).map(|_| pump.turn(|| Mono(clock.get()), wake.as_fd(), &mut Taker)).collect();
        let stats = *pump.stats();
        drop(pump);
        (news, recoveries.take(), stats)
    }

    #[test]
    fn good_pages_need_no_recovery() {
        let (news, recoveries, stats) = run(1000, 200_000, |_| Some(Ok(1)));
        assert!(news.iter().all(|n| *n == News::Good));
        assert_eq!(recoveries, []);
        assert_eq!(stats, PumpStats { exchanges: 1000, ..PumpStats::default() });
    }

    #[test]
    fn every_third_bad_page_in_a_row_resynchronises() {
        // Bad, bad, good: never three. Then eight bad ones, garbage and time-outs mixed.
        let (news, recoveries, stats) = run(14, 1000, |n| {
            Some(match n {
                0 | 1 | 3 | 4 | 6 | 8 | 10 | 12 => Ok(0),
                7 | 9 | 11 => Err(LinkError::Timeout),
                _ => Ok(1),
            })
        });
        assert_eq!(news.iter().filter(|n| **n == News::Good).count(), 3);
        assert_eq!(recoveries.iter().map(|(_, r)| *r).collect::<Vec<_>>(), [Recovery::Resync; 2]);
        assert_eq!((stats.bad, stats.missing, stats.resyncs, stats.lost), (8, 3, 2, 0));
    }

    #[test]
    fn silence_climbs_the_ladder_with_growing_pauses_and_one_good_page_ends_it() {
        // Nothing for 20 minutes, then one good page, then nothing again.
        let quiet = 20 * 60 * 10;
        let (news, recoveries, stats) = run(quiet + 40, 100_000, |n| (n == quiet as u64).then_some(Ok(1)));
        let at = |s: f64| (s * 1e6) as u64;
        let seconds = [2.0, 5.0, 11.0, 23.0, 47.0, 95.0, 191.0, 383.0, 767.0];
        let wanted: Vec<_> = seconds
            .into_iter()
            .map(|s| (at(s), if s == 2.0 { Recovery::Reopen } else { Recovery::Reset }))
            .chain([(at(1200.1 + 2.0), Recovery::Reopen)])
            .collect();
        assert_eq!(recoveries, wanted);
        assert_eq!(news.iter().filter(|n| **n == News::Lost).count(), 2);
        assert_eq!((stats.lost, stats.reopens, stats.resets), (2, 2, 8));
    }

    #[test]
    fn pauses_stay_below_their_limit() {
        let (_, recoveries, _) = run(20_000, 1_000_000, |_| None);
        let pauses: Vec<u64> = recoveries.windows(2).map(|w| w[1].0 - w[0].0).collect();
        assert_eq!(pauses.iter().max(), Some(&LADDER_PAUSE_MAX_US));
        assert_eq!(pauses.last(), Some(&LADDER_PAUSE_MAX_US));
    }

    #[test]
    fn endless_garbage_counts_as_silence() {
        let (news, recoveries, _) = run(100, 100_000, |_| Some(Ok(0)));
        assert_eq!(news.iter().filter(|n| **n == News::Lost).count(), 1);
        assert!(recoveries.iter().any(|(_, r)| *r == Recovery::Reset));
    }
}
