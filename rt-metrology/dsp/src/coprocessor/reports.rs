//! From what the watch of power quality found to reports: intervals, harmonics, and the counters that go with them.
//!
//! What an interval is made of before its end lives in memory only. A start, another configuration and a clock that is
//! set lose it or mix it; the interval it happened in is told as far as it goes, and marked incomplete.

use metrology_link::codec::Wire;
use metrology_link::payload::{
    CHANNELS, ClockQuality, Grid, HARMONIC_ORDERS, HarmonicReport, INTERVAL_VALUES, Interval, OCCURRENCES, PHASES,
    ReportFlags, ReportKind, TEN_SECONDS,
};

use super::app::App;
use super::report_ring::{ReportHead, ReportRing};
use super::{Board, nv};
use crate::pq::aggregate::Aggregate;
use crate::pq::counters::{Counters, LEAST_WINDOWS};
use crate::pq::events::VOLTAGES;
use crate::pq::frequency::TenSeconds;
use crate::pq::harmonics::{Harmonics, ORDERS};
use crate::pq::{Level, Notice, VALUES};

/// Length of the intervals, µs.
const TEN_SECONDS_US: i64 = 10_000_000;
const TEN_MINUTES_US: i64 = 600_000_000;
const TWO_HOURS_US: i64 = 7_200_000_000;
/// Ten-minute intervals in two hours.
const TEN_IN_TWO: i64 = TWO_HOURS_US / TEN_MINUTES_US;
/// A clock that is moved by less than a window does not make an interval incomplete: discipline is no setting.
const MOVED_US: u64 = 200_000;

const _: () = assert!(VALUES <= INTERVAL_VALUES && ORDERS == HARMONIC_ORDERS && VOLTAGES == PHASES);

/// Squares of harmonic subgroups over an interval.
#[derive(Clone, Copy, Debug)]
struct HarmonicSums {
    /// Single precision: 3000 windows cost at most 1e-4 of a value, a tenth of the least a class asks for.
    squares: [[f32; ORDERS]; CHANNELS],
    parts: [u16; CHANNELS],
    interval: i64,
    flagged: bool,
}

impl HarmonicSums {
    const NONE: HarmonicSums =
        HarmonicSums { squares: [[0.0; ORDERS]; CHANNELS], parts: [0; CHANNELS], interval: 0, flagged: false };

    fn clear(&mut self, interval: i64) {
        for line in &mut self.squares {
            line.fill(0.0);
        }
        (self.parts, self.interval, self.flagged) = ([0; CHANNELS], interval, false);
    }

    fn any(&self) -> bool {
        self.parts.iter().any(|parts| *parts != 0)
    }

    fn window(&mut self, channel: usize, harmonics: &Harmonics) {
        let (Some(line), Some(parts)) = (self.squares.get_mut(channel), self.parts.get_mut(channel)) else { return };
        for (square, value) in line.iter_mut().zip(&harmonics.subgroup[1..]) {
            *square += value * value;
        }
        *parts = parts.saturating_add(1);
    }

    /// Adds the means of `part` as one part.
    fn interval(&mut self, part: &HarmonicSums) {
        for k in (0..CHANNELS).filter(|&k| part.parts[k] != 0) {
            for (square, sum) in self.squares[k].iter_mut().zip(&part.squares[k]) {
                *square += sum / f32::from(part.parts[k]);
            }
            self.parts[k] = self.parts[k].saturating_add(1);
        }
        self.flagged |= part.flagged;
    }

    /// Root of the mean square of an order (from 1), V or A.
    fn value(&self, channel: usize, order: usize) -> f32 {
        crate::pq::math::sqrt(self.squares[channel][order - 1] / f32::from(self.parts[channel].max(1)))
    }

    fn report(&self) -> HarmonicReport {
        let mut out = HarmonicReport { parts: u32::from(*self.parts.iter().max().unwrap_or(&0)), ..Default::default() };
        for k in (0..CHANNELS).filter(|&k| self.parts[k] != 0) {
            let channel = &mut out.channel[k];
            let largest = (2..=ORDERS).map(|order| self.value(k, order)).fold(0.0, f32::max);
            out.channels |= 1 << k;
            channel.fundamental = micro(self.value(k, 1));
            channel.largest = micro(largest);
            for (order, share) in (2..=ORDERS).zip(&mut channel.share) {
                if largest > 0.0 {
                    *share = (self.value(k, order) / largest * 65_535.0 + 0.5) as u16;
                }
            }
        }
        out
    }
}

/// A value in units of 1e-6, limited.
fn micro(value: f32) -> u32 {
    (value * 1e6 + 0.5) as u32
}

/// Flicker severities that wait for the aggregate of their interval.
#[derive(Clone, Copy, Debug, Default)]
struct Severity {
    interval: Option<i64>,
    values: [Option<f32>; VOLTAGES],
    flagged: bool,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Reports {
    pub ring: ReportRing,
    /// Newest report that Linux has committed.
    pub ack: u64,
    /// Reports overwritten before that.
    pub lost: u64,
    /// Voltage events without waveform, since the memory was created.
    pub waveforms_refused: u32,
    /// Occurrence counters as stored last.
    stored: [u32; OCCURRENCES],
    /// The first ten-minute interval that can be whole, and one under way when the clock was set.
    pub whole_from: i64,
    pub broken: Option<i64>,
    two_hours_incomplete: bool,
    short: Severity,
    long: Severity,
    /// Interval and ten-second frequencies of the ten minutes under way.
    f_interval: i64,
    f_uhz: [u32; TEN_SECONDS],
    ten: HarmonicSums,
    two: HarmonicSums,
}

impl Reports {
    /// Nothing known.
    pub const NONE: Reports = Reports {
        ring: ReportRing::EMPTY,
        ack: 0,
        lost: 0,
        waveforms_refused: 0,
        stored: [0; OCCURRENCES],
        whole_from: 0,
        broken: None,
        two_hours_incomplete: false,
        short: Severity { interval: None, values: [None; VOLTAGES], flagged: false },
        long: Severity { interval: None, values: [None; VOLTAGES], flagged: false },
        f_interval: 0,
        f_uhz: [0; TEN_SECONDS],
        ten: HarmonicSums::NONE,
        two: HarmonicSums::NONE,
    };

    fn frequency(&mut self, value: &TenSeconds) {
        let interval = value.utc_us.div_euclid(TEN_MINUTES_US);
        if interval != self.f_interval {
            (self.f_interval, self.f_uhz) = (interval, [0; TEN_SECONDS]);
        }
        let place = value.utc_us.rem_euclid(TEN_MINUTES_US) / TEN_SECONDS_US;
        if let (Some(slot), Some(f)) = (self.f_uhz.get_mut(place as usize), value.f_uhz) {
            *slot = f;
        }
    }

    /// Whether a ten-minute interval is not whole.
    fn incomplete(&self, aggregate: &Aggregate<VALUES>) -> bool {
        let interval = aggregate.interval;
        interval < self.whole_from || self.broken == Some(interval) || aggregate.parts < LEAST_WINDOWS
    }
}

impl<B: Board> App<B> {
    /// Begins the watch of power quality anew, with the configuration in force; the occurrence counters go on.
    pub(super) fn watch_power_quality(&mut self) {
        let (config, calibration) = (&self.config, &self.calibration);
        let counters = counters_of(&self.reports.stored);
        self.board.with_power_quality(|pq| {
            pq.configure(config, calibration);
            pq.restore_counters(&counters);
        });
        let now = self.grid.utc_us_at(self.metrology.t_samples()).div_euclid(TEN_MINUTES_US);
        let reports = &mut self.reports;
        (reports.whole_from, reports.broken, reports.two_hours_incomplete) = (now.saturating_add(1), None, true);
        (reports.short, reports.long) = (Severity::default(), Severity::default());
        (reports.f_interval, reports.f_uhz) = (now, [0; TEN_SECONDS]);
        reports.ten.clear(now);
        reports.two.clear(now.div_euclid(TEN_IN_TWO));
        self.capture.clear();
    }

    /// The grid was changed at the sample clock `t`.
    pub(super) fn reports_clock_moved(&mut self, old: &Grid, t: u64) {
        let (before, after) = (old.utc_us_at(t), self.grid.utc_us_at(t));
        if before.abs_diff(after) >= MOVED_US {
            let reports = &mut self.reports;
            reports.broken = Some(before.div_euclid(TEN_MINUTES_US));
            reports.whole_from = after.div_euclid(TEN_MINUTES_US).saturating_add(1);
            reports.two_hours_incomplete = true;
        }
    }

    /// The harmonics of a channel are there.
    pub(super) fn reports_spectrum(&mut self, channel: usize) {
        let interval = self.board.with_power_quality(|pq| pq.spectrum_interval()).flatten();
        if let Some(interval) = interval.filter(|i| *i != self.reports.ten.interval) {
            self.harmonics_over(interval);
        }
        let ten = &mut self.reports.ten;
        self.board.with_power_quality(|pq| ten.window(channel, pq.harmonics()));
    }

    /// A window is complete.
    pub(super) fn reports_window(&mut self) {
        let window = self.board.with_power_quality(|pq| pq.window().map(|w| (w.interval, w.flagged))).flatten();
        let ten = &mut self.reports.ten;
        ten.flagged |= window.is_some_and(|(interval, flagged)| flagged && interval == ten.interval);
        self.store_occurrences();
    }

    /// What is no event.
    pub(super) fn reports_notice(&mut self, notice: &Notice) {
        let reports = &mut self.reports;
        match notice {
            Notice::Frequency(f) => reports.frequency(f),
            Notice::Flicker { interval, pst, flagged } => {
                reports.short = Severity { interval: Some(*interval), values: *pst, flagged: *flagged };
            }
            Notice::LongFlicker { interval, plt, flagged } => {
                reports.long = Severity { interval: Some(*interval), values: *plt, flagged: *flagged };
            }
            Notice::Aggregate(level, aggregate) => self.interval_over(*level, aggregate),
            Notice::Event(_) => {}
        }
    }

    #[inline(never)] // its frame holds an interval
    fn interval_over(&mut self, level: Level, aggregate: &Aggregate<VALUES>) {
        let reports = &mut self.reports;
        let (kind, severity, length, incomplete) = match level {
            // Three seconds are shown by nobody yet.
            Level::Short => return,
            Level::TenMinutes => {
                let incomplete = reports.incomplete(aggregate);
                reports.two_hours_incomplete |= incomplete;
                reports.broken = reports.broken.filter(|broken| *broken != aggregate.interval);
                (ReportKind::TEN_MINUTES, core::mem::take(&mut reports.short), TEN_MINUTES_US, incomplete)
            }
            Level::TwoHours => {
                let whole = i64::from(aggregate.parts) == TEN_IN_TWO && !reports.two_hours_incomplete;
                reports.two_hours_incomplete = false;
                (ReportKind::TWO_HOURS, core::mem::take(&mut reports.long), TWO_HOURS_US, !whole)
            }
        };
        let mut body = Interval { parts: aggregate.parts, ..Interval::default() };
        for (k, value) in aggregate.values.iter().enumerate() {
            if let (Some(value), Some(place)) = (value, body.values.get_mut(k)) {
                *place = micro(*value);
                body.valid |= 1 << k;
            }
        }
        let severity = if severity.interval == Some(aggregate.interval) { severity } else { Severity::default() };
        for (k, value) in severity.values.iter().enumerate() {
            if let Some(value) = value {
                body.flicker[k] = micro(*value);
                body.flicker_valid |= 1 << k;
            }
        }
        if level == Level::TenMinutes && reports.f_interval == aggregate.interval {
            body.f_uhz = reports.f_uhz;
        }
        body.occurrences = self.occurrences();
        let flagged = aggregate.flagged || severity.flagged;
        self.report_interval(kind, aggregate.interval, length, flagged, incomplete, &body);
        // The ten minutes have no spectrum of a later window yet: they are over all the same.
        if level == Level::TenMinutes && self.reports.ten.interval == aggregate.interval {
            self.harmonics_over(aggregate.interval.saturating_add(1));
        }
    }

    /// The harmonics of the interval under way are over; the next is `interval`.
    #[inline(never)] // its frame holds the report
    fn harmonics_over(&mut self, interval: i64) {
        let reports = &mut self.reports;
        let over = reports.ten.interval;
        let incomplete = over < reports.whole_from || reports.broken == Some(over);
        if reports.ten.any() {
            if reports.two.interval == over.div_euclid(TEN_IN_TWO) {
                reports.two.interval(&reports.ten);
            }
            let (body, flagged) = (reports.ten.report(), reports.ten.flagged);
            let kind = ReportKind::HARMONICS_TEN_MINUTES;
            let incomplete = incomplete || body.parts < LEAST_WINDOWS;
            self.report_interval(kind, over, TEN_MINUTES_US, flagged, incomplete, &body);
        }
        self.reports.ten.clear(interval);
        let two = interval.div_euclid(TEN_IN_TWO);
        if two != self.reports.two.interval {
            let (over, flagged) = (self.reports.two.interval, self.reports.two.flagged);
            let body = self.reports.two.report();
            if body.channels != 0 {
                let incomplete = i64::from(body.parts) != TEN_IN_TWO || self.reports.whole_from > over * TEN_IN_TWO;
                let kind = ReportKind::HARMONICS_TWO_HOURS;
                self.report_interval(kind, over, TWO_HOURS_US, flagged, incomplete, &body);
            }
            self.reports.two.clear(two);
        }
    }

    /// Stores the report of interval number `interval` of `length` µs.
    fn report_interval(
        &mut self,
        kind: ReportKind,
        interval: i64,
        length: i64,
        flagged: bool,
        incomplete: bool,
        body: &impl Wire,
    ) {
        let utc_us = interval.saturating_mul(length);
        let bit = |set: bool, bit: u16| if set { bit } else { 0 };
        let flags = bit(flagged, ReportFlags::FLAGGED) | bit(incomplete, ReportFlags::INCOMPLETE);
        let head = ReportHead {
            boot_id: self.boot_id,
            kind,
            flags: self.report_flags(flags),
            begin: self.grid.sample_at(utc_us),
            end: self.grid.sample_at(utc_us.saturating_add(length)),
            utc_us,
        };
        self.report(&head, body);
    }

    /// Flags of a report that is made now.
    pub(super) fn report_flags(&self, flags: u16) -> ReportFlags {
        let clock = if self.grid.quality == ClockQuality::Valid { 0 } else { ReportFlags::CLOCK };
        ReportFlags(flags | clock)
    }

    /// Stores a report.
    pub(super) fn report(&mut self, head: &ReportHead, body: &impl Wire) {
        if self.reports.ring.last() >= self.reports.ack + nv::REPORT_SLOTS {
            // The oldest goes unread; the host sees the gap in the numbers as well.
            self.reports.lost += 1;
            self.save_state();
        }
        self.reports.ring.append(&mut self.board, head, body);
        self.news = true;
    }

    /// The occurrence counters as they are told and stored.
    fn occurrences(&mut self) -> [u32; OCCURRENCES] {
        let counters = self.board.with_power_quality(|pq| *pq.counters());
        let mut out = counters.as_ref().map_or(self.reports.stored, occurrences_of);
        out[OCCURRENCES - 1] = self.reports.waveforms_refused;
        out
    }

    /// Stores the occurrence counters when they have changed.
    pub(super) fn store_occurrences(&mut self) {
        let now = self.occurrences();
        if now != self.reports.stored {
            self.reports.stored = now;
            self.occurrence_pair.save(&mut self.board, |w| now.put(w));
        }
    }

    /// Takes over the stored occurrence counters.
    pub(super) fn load_occurrences(&mut self, damaged: &mut u32) {
        let stored = self.occurrence_pair.load(&self.board, damaged);
        let stored = stored.and_then(|l| metrology_link::codec::decode::<[u32; OCCURRENCES]>(l.payload()).ok());
        self.reports.stored = stored.unwrap_or_default();
        self.reports.waveforms_refused = self.reports.stored[OCCURRENCES - 1];
    }
}

/// The places of the counters in a report; the crate `metrology-link` documents them.
fn occurrences_of(c: &Counters) -> [u32; OCCURRENCES] {
    let [u1, u2, u3] = c.thd_u;
    let [i1, i2, i3] = c.thd_i;
    let mut out = [0; OCCURRENCES];
    let places = [
        c.frequency_intervals,
        c.frequency_low,
        c.frequency_high,
        c.voltage_intervals,
        c.voltage_low,
        c.voltage_very_low,
        c.voltage_high,
        c.unbalance,
        u1,
        u2,
        u3,
        i1,
        i2,
        i3,
        c.sags,
        c.swells,
        c.dips,
        c.overvoltages,
        c.interruptions_short,
        c.interruptions_long,
        c.rapid_changes,
    ];
    for (out, count) in out.iter_mut().zip(places) {
        *out = count;
    }
    out
}

fn counters_of(places: &[u32; OCCURRENCES]) -> Counters {
    let p = places;
    Counters {
        frequency_intervals: p[0],
        frequency_low: p[1],
        frequency_high: p[2],
        voltage_intervals: p[3],
        voltage_low: p[4],
        voltage_very_low: p[5],
        voltage_high: p[6],
        unbalance: p[7],
        thd_u: [p[8], p[9], p[10]],
        thd_i: [p[11], p[12], p[13]],
        sags: p[14],
        swells: p[15],
        dips: p[16],
        overvoltages: p[17],
        interruptions_short: p[18],
        interruptions_long: p[19],
        rapid_changes: p[20],
    }
}
