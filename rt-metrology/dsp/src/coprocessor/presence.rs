//! Whether there is a voltage at all: below the threshold on all phases for more than a second the processor shuts down.
//!
//! Judged by the RMS value of each cycle, each half-cycle. With auxiliary supply the meter goes on without a voltage.

use metrology_link::payload::{EventCode, HistoryKind, Inputs, MeterConfig, PHASES};

use super::Board;
use super::app::App;
use crate::HalfCycle;

/// Time without a voltage, ms.
pub const ABSENT_MS: u64 = 1000;

/// State of the watch. Times are on the sample clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Presence {
    threshold_mv: u64,
    limit: u64,
    absent_since: Option<u64>,
    told: bool,
}

impl Presence {
    pub fn new(config: &MeterConfig) -> Presence {
        Presence {
            threshold_mv: u64::from(config.u_nominal_mv) * u64::from(config.presence_permille) / 1000,
            limit: u64::from(config.rate_hz) * ABSENT_MS / 1000,
            ..Presence::default()
        }
    }

    /// Takes the values of a cycle; the highest voltage when it is time to shut down, which is said once. `supplied`: by
    /// something else than the voltages.
    pub fn step(&mut self, cycle: &HalfCycle, supplied: bool) -> Option<u32> {
        let measured = |k: &usize| cycle.channels & (1 << k) != 0;
        let highest = (0..PHASES).filter(measured).filter_map(|k| cycle.rms.get(k).copied()).max()?;
        if supplied || u64::from(highest) >= self.threshold_mv {
            (self.absent_since, self.told) = (None, false);
            return None;
        }
        let since = *self.absent_since.get_or_insert(cycle.t_samples);
        let due = !self.told && cycle.t_samples.saturating_sub(since) > self.limit;
        self.told |= due;
        due.then_some(highest)
    }
}

impl<B: Board> App<B> {
    /// Stores everything and shuts down when the voltages have been gone for too long. A board that stays on all the
    /// same meters on.
    pub fn watch_presence(&mut self, cycle: &HalfCycle) {
        let supplied = self.board.inputs().0 & Inputs::APS != 0;
        let Some(highest) = self.presence.step(cycle, supplied) else { return };
        self.finish_window();
        self.record(HistoryKind::PowerFail);
        let threshold = self.presence.threshold_mv as i64;
        self.event(EventCode::SHUT_DOWN, 0, [i64::from(highest), threshold, 0, 0]);
        self.board.shut_down();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cycle(t_samples: u64, rms: [u32; 3]) -> HalfCycle {
        let [a, b, c] = rms;
        HalfCycle { t_samples, rms: [a, b, c, 0, 0, 0, 0], channels: 0x7f, ..HalfCycle::default() }
    }

    /// Half-cycles until the watch says so, of a second and a half.
    fn shuts_down(config: &MeterConfig, rms: [u32; 3]) -> Option<u64> {
        let mut presence = Presence::new(config);
        (0..150).map(|n| 80 * n).find(|t| presence.step(&cycle(*t, rms), false).is_some())
    }

    // covers: MET-045
    #[test]
    fn a_second_below_160_volts_on_all_phases() {
        let config = MeterConfig::default();
        // The limit is 160 V ± 5 %.
        assert_eq!(shuts_down(&config, [152_000; 3]), Some(8080), "more than a second");
        assert_eq!(shuts_down(&config, [168_000; 3]), None);
        assert_eq!(shuts_down(&config, [0, 0, 168_000]), None, "one phase is enough");
        assert_eq!(shuts_down(&MeterConfig { presence_permille: 0, ..config }, [0; 3]), None, "never");
        let half = MeterConfig { u_nominal_mv: 115_000, ..config };
        assert_eq!((shuts_down(&half, [82_000; 3]), shuts_down(&half, [76_000; 3])), (None, Some(8080)));
    }

    #[test]
    fn the_second_begins_anew_and_it_is_said_once() {
        let mut presence = Presence::new(&MeterConfig::default());
        let mut said = |from: u64, n: u64, mv| {
            (0..n).filter(|k| presence.step(&cycle(from + 80 * k, [mv; 3]), false).is_some()).count()
        };
        assert_eq!(said(0, 100, 0), 0);
        assert_eq!(said(8000, 1, 230_000), 0);
        assert_eq!(said(8080, 101, 0), 0, "one second is not more than one second");
        assert_eq!(said(8080 + 8080, 500, 0), 1);
        assert_eq!(said(100_000, 1, 230_000), 0);
        assert_eq!(said(100_080, 200, 0), 1, "and again after it was there");
        let mut presence = Presence::new(&MeterConfig::default());
        assert!((0..500).all(|k| presence.step(&cycle(80 * k, [0; 3]), true).is_none()), "auxiliary supply");
    }
}
