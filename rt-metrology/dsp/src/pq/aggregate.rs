//! Aggregation over time (IEC 61000-4-30 4.4, 4.5, 4.7): 150/180 cycles, ten minutes, two hours.
//!
//! A value of an interval is the root of the mean of the squares of what it is made of. Ten minutes are made of the
//! windows that began in them, by meter time; two hours of their twelve ten-minute values. 150/180-cycle intervals are
//! fifteen windows, begin anew at each ten-minute tick, and the one that is under way then is completed with the
//! windows that follow (overlap 2). What has a flagged part is flagged. Values that were absent do not count: a mean
//! is that of the parts that had one, and is absent when none had.

use super::math::sqrt;

/// Windows in a 150/180-cycle interval.
pub const SHORT_WINDOWS: u32 = 15;
/// Ten-minute values in two hours.
pub const TWO_HOURS: i64 = 12;

/// Bytes of one [`Mean`] of `n` values: sum (f64) and count (u16) of each, and the state.
pub const fn mean_bytes(n: usize) -> usize {
    10 * n + 16
}

/// Sums of squares of `N` values.
#[derive(Clone, Copy, Debug)]
pub struct Mean<const N: usize> {
    squares: [f64; N],
    /// Ten minutes have at most 3450 windows (69 Hz).
    counts: [u16; N],
    parts: u32,
    flagged: bool,
}

impl<const N: usize> Default for Mean<N> {
    fn default() -> Mean<N> {
        Mean::new()
    }
}

impl<const N: usize> Mean<N> {
    /// Nothing.
    pub const fn new() -> Mean<N> {
        Mean { squares: [0.0; N], counts: [0; N], parts: 0, flagged: false }
    }

    /// Adds a part.
    pub fn add(&mut self, values: &[Option<f32>; N], flagged: bool) {
        self.parts += 1;
        self.flagged |= flagged;
        for ((sum, count), value) in self.squares.iter_mut().zip(&mut self.counts).zip(values) {
            // A clock that stands still or is set back makes an interval longer: it goes on without more values.
            if let (Some(value), Some(more)) = (*value, count.checked_add(1)) {
                // Double precision: 3000 windows of single precision would cost 1e-4.
                *sum += f64::from(value) * f64::from(value);
                *count = more;
            }
        }
    }

    /// Parts so far.
    pub fn parts(&self) -> u32 {
        self.parts
    }

    /// What it is, numbered `interval`; and begins anew.
    pub fn take(&mut self, interval: i64) -> Aggregate<N> {
        let mut out = Aggregate { interval, values: [None; N], parts: self.parts, flagged: self.flagged };
        for (value, (sum, &count)) in out.values.iter_mut().zip(self.squares.iter().zip(&self.counts)) {
            *value = (count > 0).then(|| sqrt((sum / f64::from(count)) as f32));
        }
        *self = Mean::new();
        out
    }
}

/// Values of an interval that is over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aggregate<const N: usize> {
    /// Number of the ten-minute (two-hour) interval of meter time since 1970; of a 150/180-cycle interval: of the ten
    /// minutes in which it began.
    pub interval: i64,
    /// Roots of means of squares, absent where no part had a value.
    pub values: [Option<f32>; N],
    /// Windows (ten-minute values) it is made of.
    pub parts: u32,
    /// A part was flagged: there was a dip, swell or interruption.
    pub flagged: bool,
}

/// What a window completed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Completed<const N: usize> {
    /// 150/180-cycle intervals; two when an overlapping one ended with its successor.
    pub short: [Option<Aggregate<N>>; 2],
    /// The ten minutes before.
    pub ten_minutes: Option<Aggregate<N>>,
    /// The two hours before.
    pub two_hours: Option<Aggregate<N>>,
}

/// All three levels of aggregation of `N` values.
#[derive(Clone, Debug)]
pub struct Aggregator<const N: usize> {
    /// The interval that is under way before and since the last tick.
    short: [(Mean<N>, i64); 2],
    ten: Mean<N>,
    two: Mean<N>,
    interval: Option<i64>,
}

impl<const N: usize> Default for Aggregator<N> {
    fn default() -> Aggregator<N> {
        Aggregator::new()
    }
}

impl<const N: usize> Aggregator<N> {
    /// Nothing.
    pub const fn new() -> Aggregator<N> {
        Aggregator { short: [(Mean::new(), 0); 2], ten: Mean::new(), two: Mean::new(), interval: None }
    }

    /// Begins anew.
    pub fn restart(&mut self) {
        *self = Aggregator::new();
    }

    /// Adds a window that began in ten-minute interval number `interval`. Windows come in the order of their begins.
    pub fn add(&mut self, interval: i64, values: &[Option<f32>; N], flagged: bool) -> Completed<N> {
        let mut out = Completed { short: [None; 2], ten_minutes: None, two_hours: None };
        if self.interval != Some(interval) {
            if let Some(before) = self.interval {
                let ten = self.ten.take(before);
                self.two.add(&ten.values, ten.flagged);
                let two = before.div_euclid(TWO_HOURS);
                if interval.div_euclid(TWO_HOURS) != two {
                    out.two_hours = Some(self.two.take(two));
                }
                out.ten_minutes = Some(ten);
            }
            self.interval = Some(interval);
            // What is pending is completed beside the new one. An older overlap that is still pending (the clock was
            // set twice within three seconds) is given up.
            let [old, new] = &mut self.short;
            if new.0.parts() > 0 {
                *old = core::mem::replace(new, (Mean::new(), interval));
            }
            new.1 = interval;
        }
        self.ten.add(values, flagged);
        let [old, new] = &mut self.short;
        if old.0.parts() > 0 {
            old.0.add(values, flagged);
        }
        new.0.add(values, flagged);
        for ((mean, began), out) in self.short.iter_mut().zip(&mut out.short) {
            if mean.parts() >= SHORT_WINDOWS {
                *out = Some(mean.take(*began));
                *began = interval;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn feed(windows: &[(i64, f32, bool)]) -> Vec<Completed<1>> {
        let mut a = Aggregator::<1>::new();
        windows.iter().map(|&(interval, v, flagged)| a.add(interval, &[Some(v)], flagged)).collect()
    }

    #[test]
    fn iec_61000_4_30_4_5_an_aggregate_is_the_root_of_the_mean_square() {
        let done = feed(&(0..15).map(|n| (0, if n < 5 { 200.0 } else { 230.0 }, false)).collect::<Vec<_>>());
        let short = done[14].short[1].unwrap();
        let truth = f64::sqrt((5.0 * 200.0_f64.powi(2) + 10.0 * 230.0_f64.powi(2)) / 15.0);
        assert!((f64::from(short.values[0].unwrap()) - truth).abs() < 1e-4);
        assert!(done[..14].iter().all(|c| c.short == [None; 2]) && short.parts == 15);
    }

    #[test]
    fn iec_61000_4_30_4_5_2_at_the_tick_150_cycles_begin_anew_and_the_old_ones_are_completed() {
        // Four windows after a complete interval comes the tick; the old interval takes eleven more.
        let windows: Vec<_> = (0..40).map(|n| (i64::from(n >= 19), n as f32, false)).collect();
        let done = feed(&windows);
        let ended: Vec<_> = done
            .iter()
            .enumerate()
            .flat_map(|(n, c)| c.short.iter().flatten().map(move |a| (n, a.interval, a.parts)))
            .collect();
        assert_eq!(ended, [(14, 0, 15), (29, 0, 15), (33, 1, 15)]);
        let mean = |from: i32| f64::sqrt((from..from + 15).map(|n| f64::from(n * n)).sum::<f64>() / 15.0);
        let value = |n: usize, k: usize| f64::from(done[n].short[k].unwrap().values[0].unwrap());
        assert!((value(29, 0) - mean(15)).abs() < 1e-5 && (value(33, 1) - mean(19)).abs() < 1e-5);
    }

    #[test]
    fn iec_61000_4_30_4_5_3_ten_minutes_hold_the_windows_that_began_in_them() {
        let windows: Vec<_> = (0..3001).map(|n| (i64::from(n >= 3000), 230.0 + (n % 7) as f32, n == 1234)).collect();
        let done = feed(&windows);
        let ten = done[3000].ten_minutes.unwrap();
        assert_eq!((ten.interval, ten.parts, ten.flagged), (0, 3000, true));
        let truth = f64::sqrt(windows[..3000].iter().map(|w| f64::from(w.1).powi(2)).sum::<f64>() / 3000.0);
        assert!((f64::from(ten.values[0].unwrap()) - truth).abs() < 5e-5);
        assert!(done[..3000].iter().all(|c| c.ten_minutes.is_none()));
    }

    #[test]
    fn iec_61000_4_30_4_5_4_two_hours_are_twelve_ten_minute_values() {
        // Begins in the middle of two hours (interval 6 of 12): a short one first, then a whole one.
        let windows: Vec<_> = (6..25).map(|k| (k, if k == 13 { 0.0 } else { 230.0 }, k == 20)).collect();
        let done = feed(&windows);
        let two: Vec<_> = done.iter().filter_map(|c| c.two_hours).collect();
        assert_eq!(
            two.iter().map(|t| (t.interval, t.parts, t.flagged)).collect::<Vec<_>>(),
            [(0, 6, false), (1, 12, true)]
        );
        assert!((two[1].values[0].unwrap() - 230.0 * f32::sqrt(11.0 / 12.0)).abs() < 1e-3);
    }

    #[test]
    fn iec_61000_4_30_4_7_a_flagged_part_flags_the_whole() {
        let flags = |flagged: usize| {
            let done = feed(&(0..15).map(|n| (0, 1.0, n == flagged)).collect::<Vec<_>>());
            done[14].short[1].unwrap().flagged
        };
        assert!(flags(0) && flags(14) && !flags(99));
    }

    #[test]
    fn absent_values_do_not_count_and_size() {
        let mut mean = Mean::<2>::new();
        mean.add(&[None, Some(3.0)], false);
        mean.add(&[None, None], false);
        let out = mean.take(7);
        assert_eq!((out.values, out.parts, out.interval), ([None, Some(3.0)], 2, 7));
        assert!(size_of::<Mean<15>>() <= mean_bytes(15));
    }
}
