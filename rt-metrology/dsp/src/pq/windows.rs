//! The measuring windows of power quality (IEC 61000-4-30 4.4, 4.5): 10 cycles at 50 Hz, 12 at 60 Hz, without gaps.
//!
//! They are made of the engine's half-cycles, so they begin and end at its zero crossings, at fractions of a sample.
//! At each ten-minute tick of meter time a new window begins at the next crossing; the one under way runs to its end and
//! belongs to the ten minutes before (overlap 1). They are therefore not the windows that energy is counted in.
//!
//! Without a tracked frequency a window has 20 (24) half-cycles of nominal length, and no spectrum.

use super::math::sqrt;
use super::resample::Span;
use crate::design::CHANNELS;
use crate::half_cycle::HalfCycle;
use metrology_link::payload::Grid;

/// Length of the longer aggregation interval, µs.
const TEN_MINUTES_US: i64 = 600_000_000;
/// Windows that can be open at a time: one, and another that a tick began.
const OPEN: usize = 2;

/// A place between two samples: the one before, and the way to the next, Q24.
pub type Place = (u64, u32);

/// A window that has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Closed {
    /// Sample clock at its begin and end.
    pub begin: u64,
    /// See `begin`.
    pub end: u64,
    /// Where it lies among the samples.
    pub span: Span,
    /// Ten-minute interval of meter time (since 1970) in which it began.
    pub interval: i64,
    /// RMS of each channel over the window, corrected counts; zero for channels that do not exist.
    pub rms: [f32; CHANNELS],
    /// It holds whole periods of a tracked frequency.
    pub whole: bool,
}

/// A window that is under way.
#[derive(Clone, Copy, Debug)]
struct Open {
    begin: u64,
    at: Place,
    interval: i64,
    halves: u32,
    length: u64,
    squares: [u128; CHANNELS],
    whole: bool,
}

/// Cuts windows.
#[derive(Clone, Debug, Default)]
pub struct Windows {
    /// The older first. A window that a tick overtook is not followed by another.
    open: [Option<Open>; OPEN],
    cycles: u32,
}

impl Windows {
    /// None yet.
    pub const fn new() -> Windows {
        Windows { open: [None; OPEN], cycles: 10 }
    }

    /// Begins anew, for windows of so many cycles.
    pub fn restart(&mut self, cycles: u32) {
        *self = Windows { open: [None; OPEN], cycles };
    }

    /// A half-cycle ended at the sample clock `t`, which is the place `at` (sample and fraction) among the samples that
    /// come 2^`octaves` times more slowly. Gives the window that ended with it; two never end together, since then the
    /// tick began none.
    pub fn step(&mut self, t: u64, at: Place, octaves: u32, half: &HalfCycle, grid: &Grid) -> Option<Closed> {
        let values = &half.half;
        let whole_half = values.synchronous;
        for open in self.open.iter_mut().flatten() {
            open.halves += 1;
            open.length += values.length;
            open.whole &= whole_half;
            for (sum, square) in open.squares.iter_mut().zip(values.square) {
                // At most 2^56 · 2^36, and 24 of them.
                *sum += u128::from(square) * u128::from(values.length);
            }
        }
        // Windows begin at rising crossings, or anywhere when there are none.
        if whole_half && !values.rising {
            return None;
        }
        let due = 2 * self.cycles;
        let newest = self.open.iter().rposition(Option::is_some);
        let mut closed = None;
        let mut restart = newest.is_none();
        for (k, slot) in self.open.iter_mut().enumerate() {
            if let Some(open) = slot.filter(|o| o.halves >= due) {
                closed = Some(open.close(t, due, octaves));
                *slot = None;
                restart |= Some(k) == newest;
            }
        }
        let interval = grid.utc_us_at(t).div_euclid(TEN_MINUTES_US);
        let ticked = self.open.iter().flatten().next_back().is_some_and(|open| open.interval != interval);
        if restart || ticked {
            if self.open[0].is_some() && self.open[1].is_some() {
                // The clock was set twice within a window: the oldest is given up.
                self.open[0] = None;
            }
            if self.open[0].is_none() {
                self.open.swap(0, 1);
            }
            let slot = usize::from(self.open[0].is_some());
            self.open[slot] =
                Some(Open { begin: t, at, interval, halves: 0, length: 0, squares: [0; CHANNELS], whole: true });
        }
        closed
    }
}

impl Open {
    fn close(&self, end: u64, due: u32, octaves: u32) -> Closed {
        let mut rms = [0.0; CHANNELS];
        for (rms, sum) in rms.iter_mut().zip(self.squares) {
            *rms = sqrt(sum.checked_div(u128::from(self.length)).unwrap_or(0) as f32);
        }
        Closed {
            begin: self.begin,
            end,
            span: Span { index: self.at.0, fraction: self.at.1, length: self.length >> octaves },
            interval: self.interval,
            rms,
            whole: self.whole && self.halves == due,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::half_cycle::HalfValues;
    use std::vec::Vec;

    /// Half-cycles of 80 samples; `tracked` tells which ones are. Gives begin and end in half-cycles, interval, whole.
    fn run(count: u64, tick: u64, tracked: impl Fn(u64) -> bool) -> Vec<(u64, u64, i64, bool)> {
        // The tick lies `tick` half-cycles (of 10 ms) after the start.
        let grid = Grid { utc_us: 600_000_000 - 10_000 * tick as i64, rate_q16: 8000 << 16, ..Grid::default() };
        let mut windows = Windows::new();
        let mut out = Vec::new();
        for n in 1..=count {
            let half = HalfCycle {
                half: HalfValues {
                    square: [n * n; CHANNELS],
                    length: 80 << 24,
                    fraction: 0,
                    rising: n % 2 == 0,
                    synchronous: tracked(n),
                },
                ..HalfCycle::default()
            };
            if let Some(w) = windows.step(80 * n, (40 * n, 7), 1, &half, &grid) {
                let (begin, end) = (w.begin / 80, w.end / 80);
                let squares: u64 = (begin + 1..=end).map(|n| n * n).sum();
                let rms = f64::sqrt(squares as f64 / (end - begin) as f64);
                // Mean squares are whole numbers.
                assert!((f64::from(w.rms[2]) - rms).abs() < 0.51 / rms, "{} {rms}", w.rms[2]);
                assert_eq!(w.span, Span { index: w.begin / 2, fraction: 7, length: (w.end - w.begin) << 23 });
                out.push((begin, end, w.interval, w.whole));
            }
        }
        out
    }

    #[test]
    fn iec_61000_4_30_4_4_windows_of_ten_cycles_without_gaps() {
        assert_eq!(run(63, 9999, |_| true), [(2, 22, 0, true), (22, 42, 0, true), (42, 62, 0, true)]);
    }

    #[test]
    fn iec_61000_4_30_4_5_2_at_the_tick_a_new_window_begins_and_the_old_one_runs_on() {
        let windows = run(95, 49, |_| true);
        assert_eq!(
            windows,
            [
                (2, 22, 0, true),
                (22, 42, 0, true),
                // Overlap 1: the tick at 49 is followed by a crossing at 50.
                (42, 62, 0, true),
                (50, 70, 1, true),
                (70, 90, 1, true)
            ]
        );
    }

    #[test]
    fn iec_61000_4_30_4_5_2_a_tick_at_the_end_of_a_window_makes_no_overlap() {
        assert_eq!(run(63, 42, |_| true), [(2, 22, 0, true), (22, 42, 0, true), (42, 62, 1, true)]);
        assert_eq!(run(63, 41, |_| true), [(2, 22, 0, true), (22, 42, 0, true), (42, 62, 1, true)]);
    }

    #[test]
    fn without_a_frequency_windows_go_on_and_are_not_whole() {
        let windows = run(120, 9999, |n| !(30..=51).contains(&n));
        let whole: Vec<_> = windows.iter().map(|w| w.3).collect();
        assert_eq!(windows[0], (2, 22, 0, true));
        assert_eq!(whole[1..3], [false, false]);
        assert!(windows.windows(2).all(|w| w[0].1 == w[1].0), "without gaps: {windows:?}");
        assert_eq!(windows.last().map(|w| w.3), Some(true));
    }
}
