//! Meter-time minutes on the sample clock.
//!
//! A minute's record holds the last window that ended at or before the boundary. It is stored when the first window
//! ends at or after it, so live and replayed records are the same bytes.

use metrology_link::payload::{Grid, Snapshot};

/// One minute, µs.
const MINUTE_US: i64 = 60_000_000;

/// UTC minutes since 1970 that `grid` gives for a sample (floor).
pub(super) fn minute_of(grid: &Grid, t_samples: u64) -> i64 {
    grid.utc_us_at(t_samples).div_euclid(MINUTE_US)
}

/// The next boundary to store.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Minutes {
    next: i64,
}

impl Minutes {
    /// Counts on from a point whose own minute is dealt with: a start, whose record closes all boundaries that passed
    /// in the down-time.
    pub fn from(grid: &Grid, t_samples: u64) -> Minutes {
        Minutes { next: minute_of(grid, t_samples).saturating_add(1) }
    }

    /// Another grid, judged at the end of the last window. Gives the boundary that the change jumped over, the newest
    /// when there are several; a step back gives none, and the minutes that come again are stored again.
    pub fn change(&mut self, old: &Grid, new: &Grid, t_samples: u64) -> Option<i64> {
        let (before, after) = (minute_of(old, t_samples), minute_of(new, t_samples));
        self.next = after.saturating_add(1);
        (after > before).then_some(after)
    }

    /// The boundary that the window `last` reached, with the snapshot that belongs to it; `previous` is the window
    /// before.
    pub fn due(&mut self, grid: &Grid, previous: &Snapshot, last: &Snapshot) -> Option<(i64, Snapshot)> {
        let at = grid.sample_at(self.next.saturating_mul(MINUTE_US));
        if last.t_samples < at {
            return None;
        }
        // Windows are 200 ms, so more than one boundary in a window means a clock that jumped under us (a rate far off,
        // a window that took minutes): only the newest is stored, it stands for all.
        let newest = minute_of(grid, last.t_samples);
        let minute = core::mem::replace(&mut self.next, newest.saturating_add(1)).max(newest);
        let at = grid.sample_at(minute.saturating_mul(MINUTE_US));
        Some((minute, if last.t_samples == at { *last } else { *previous }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(utc_us: i64) -> Grid {
        Grid { id: 1, anchor: 0, utc_us, rate_q16: 8000 << 16, quality: Default::default() }
    }

    fn at(t_samples: u64) -> Snapshot {
        Snapshot { t_samples, ..Snapshot::default() }
    }

    #[test]
    fn the_last_window_at_or_before_the_boundary() {
        let grid = grid(59_000_000);
        let mut m = Minutes::from(&grid, 0);
        assert_eq!(m.due(&grid, &at(0), &at(7999)), None);
        assert_eq!(m.due(&grid, &at(7999), &at(8001)), Some((1, at(7999))));
        assert_eq!(m.due(&grid, &at(7999), &at(8001)), None);
        let mut m = Minutes::from(&grid, 0);
        assert_eq!(m.due(&grid, &at(6400), &at(8000)), Some((1, at(8000))), "exactly on it");
        assert_eq!(m.due(&grid, &at(8000), &at(8001)), None);
    }

    #[test]
    fn a_jump_over_a_boundary_is_made_up_for() {
        let (old, new) = (grid(59_900_000), grid(60_100_000));
        let mut m = Minutes::from(&old, 0);
        assert_eq!(m.change(&old, &new, 0), Some(1));
        assert_eq!(m.due(&new, &at(0), &at(8000)), None, "stored already");
        assert_eq!(m.due(&new, &at(478_000), &at(480_000)), Some((2, at(478_000))));
        assert_eq!(m.change(&new, &grid(0), 480_000), None, "a step back to minute 1");
        assert_eq!(m.due(&grid(0), &at(480_000), &at(960_000)), Some((2, at(960_000))), "minute 2 comes again");
    }
}
