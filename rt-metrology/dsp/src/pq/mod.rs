//! Power quality: IEC 61000-4-30 class S with the numerics of class A, IEC 61000-4-7, IEC 61000-4-15.
//!
//! [`PowerQuality`] runs beside the engine. It takes the engine's corrected samples and half-cycles and gives events,
//! spectra, windows and aggregates. Nothing here is on the way of a counter: numbers are single precision.
//!
//! ```text
//! corrected samples ──► decimate ──► resample (ring) ──► fft ──► harmonics ──► symmetry
//!        │                                │ window                    │ THD, u2, u0, lines
//!        ├──► flicker (block 2 …)         │                           ▼
//! half-cycles ──► windows ────────────────┴────────────────► window ──► aggregate: 150 cycles, 10 min, 2 h
//!        ├──► flywheel ──► events (dip, swell, interruption) ──► flags ─┘
//!        │        └──────► rapid (per voltage)
//!        └──► frequency (10 s)
//! ```
//!
//! Work is spread: a sample costs a bounded number of operations (see [`spectrum`]), and the results of a window are
//! there within two half-cycles of its end, when it is known whether an event touched it.
//!
//! | file | clause |
//! |---|---|
//! | `windows.rs`, `aggregate.rs` | 4-30 4.4 basic windows, 4.5 aggregation and resynchronisation, 4.7 flagging |
//! | `mod.rs` | 4-30 5.2 voltage, 5.12 under- and overdeviation, 5.13 current |
//! | `frequency.rs` | 4-30 5.1 |
//! | `flicker.rs` | 4-30 5.3, 4-15 |
//! | `flywheel.rs`, `events.rs`, `rapid.rs` | 4-30 3.22 Urms(1/2), 5.4 dips and swells, 5.5 interruptions, 5.11 rapid voltage changes |
//! | `symmetry.rs` | 4-30 5.7 |
//! | `harmonics.rs` | 4-30 5.8 harmonics, 5.9 interharmonics, 5.10 signalling; 4-7 |
//! | `bands.rs` | 4-7 annex B: 2 to 9 kHz in bands of 200 Hz, at 32 kS/s |
//! | `counters.rs` | EN 50160: how often a limit was passed |
//!
//! It keeps: every voltage event is told at its begin and at its end; what cannot be computed is absent. It refuses
//! windows without a tracked frequency (no spectrum, RMS only) and windows longer than the ring.

pub mod aggregate;
pub mod bands;
pub mod counters;
pub mod decimate;
pub mod events;
pub mod fft;
pub mod flicker;
pub mod flywheel;
pub mod frequency;
pub mod harmonics;
mod kept;
pub mod math;
pub mod rapid;
pub mod resample;
pub mod spectrum;
pub mod symmetry;
pub mod windows;

use crate::design::{BASE_DELAY, CHANNELS, PHASES, POSITION_BITS};
use crate::half_cycle::HalfCycle;
use aggregate::{Aggregate, Aggregator, mean_bytes};
use bands::{BANDS_BYTES, Bands, Emission};
use counters::{Counters, Counting, Limits};
use decimate::Decimator;
use events::{Event, Events, Kind, Thresholds, VOLTAGE_MASK, VOLTAGES};
use flicker::{FLICKER_BYTES, Flicker, Lamp};
use flywheel::{Cycle, Flywheel};
use frequency::{Counter, TenSeconds};
use harmonics::{HARMONICS_BYTES, Harmonics};
use metrology_link::payload::{Calibration, Grid, MeterConfig};
use rapid::{RAPID_BYTES, Rapid};
use resample::{RING_BYTES, Ring};
use spectrum::{Progress, Spectrum, Summary};
use windows::{Closed, Windows};

/// Values of a window that are aggregated.
pub const VALUES: usize = 21;
/// The values of a window or an interval; see [`Value`] for their places.
pub type Values = [Option<f32>; VALUES];

/// Places in [`Values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Value {
    /// RMS voltage of L1, V; L2 and L3 follow.
    U = 0,
    /// RMS current of L1, A; L2, L3 and the neutral follow.
    I = 3,
    /// Negative to positive sequence.
    U2 = 7,
    /// Zero to positive sequence.
    U0 = 8,
    /// Distortion of the voltage of L1; L2 and L3 follow.
    ThdU = 9,
    /// Distortion of the current of L1; L2 and L3 follow.
    ThdI = 12,
    /// RMS voltage of L1, at most the declared one, V: the underdeviation ([`deviation`]) of what is aggregated of it. L2
    /// and L3 follow.
    Under = 15,
    /// RMS voltage of L1, at least the declared one, V: the overdeviation. L2 and L3 follow.
    Over = 18,
}

/// Under- or overdeviation (IEC 61000-4-30 5.12) of an aggregated [`Value::Under`] or [`Value::Over`], of the declared
/// voltage; both are positive or zero.
pub fn deviation(value: f32, declared: f32) -> f32 {
    let off = (value - declared) / declared;
    if off < 0.0 { -off } else { off }
}

/// Ten-minute intervals in the two hours of a long-term flicker severity.
const LONG_FLICKER: i64 = 12;
/// Length of a ten-minute interval, µs.
const TEN_MINUTES_US: i64 = 600_000_000;
/// Windows that have ended and wait for their spectrum and for the events around their end: one, and another one that
/// a ten-minute tick overtook and that ends a cycle later.
const WAITING: usize = 2;
/// Half-cycles after a start in which no window begins: far more than the tracker's filter (80 ms) needs until a window
/// of its crossings is right to 1e-5.
const START_HALVES: u32 = 40;
/// Half-cycles after its end until it is known whether an event touched a window: events are stamped with the begin of
/// the cycle that told.
const SETTLED_HALVES: u32 = 2;
/// Notices that one half-cycle can bring: three kinds of events, a rapid change of each voltage, frequency, two kinds of
/// flicker, and four aggregates make 13. They are to be fetched after each sample; sixteen leave some air.
pub const NOTICES: usize = 16;
/// Bytes of a notice that may be there: the largest is an aggregate. A test holds it to this.
const NOTICE_BYTES: usize = 8 * VALUES + 56;

/// Bytes of all of it, of the coprocessor's 96 KiB: ring, transform, harmonics with the lines of a voltage, flicker,
/// rapid changes, decimation, bands, aggregates, notices, and 2 KiB for everything else. A test holds it to this.
pub const STATE_BYTES: usize = RING_BYTES
    + fft::BLOCK_BYTES
    + 2 * HARMONICS_BYTES
    + VOLTAGES * (FLICKER_BYTES + RAPID_BYTES)
    + decimate::DECIMATOR_BYTES
    + BANDS_BYTES
    + 4 * (mean_bytes(VALUES) + 8)
    + NOTICES * NOTICE_BYTES
    + 2048;

/// Level of aggregation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// 150 or 180 cycles, 3 s.
    Short,
    /// Ten minutes.
    TenMinutes,
    /// Two hours.
    TwoHours,
}

/// Something happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Notice {
    /// A voltage event began or ended.
    Event(Event),
    /// Frequency over ten seconds.
    Frequency(TenSeconds),
    /// An aggregation interval is over.
    Aggregate(Level, Aggregate<VALUES>),
    /// Short-term flicker severity Pst.
    Flicker {
        /// Ten-minute interval of meter time since 1970.
        interval: i64,
        /// Per voltage; absent for an interval that was not whole.
        pst: [Option<f32>; VOLTAGES],
        /// A dip, swell or interruption touched the interval.
        flagged: bool,
    },
    /// Long-term flicker severity Plt.
    LongFlicker {
        /// Two-hour interval of meter time since 1970.
        interval: i64,
        /// Per voltage; absent when one of the twelve is.
        plt: [Option<f32>; VOLTAGES],
        /// One of the twelve was flagged.
        flagged: bool,
    },
}

/// A measuring window of 10/12 cycles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Sample clock at begin and end.
    pub begin: u64,
    /// See `begin`.
    pub end: u64,
    /// Ten-minute interval of meter time (since 1970) in which it began.
    pub interval: i64,
    /// A dip, swell or interruption touched it.
    pub flagged: bool,
    /// Its values.
    pub values: Values,
    /// What its spectra tell; absent without a tracked frequency.
    pub summary: Option<Summary>,
}

/// What a sample brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The harmonics of this channel are in [`PowerQuality::harmonics`] until the next sample.
    pub channel: Option<usize>,
    /// [`PowerQuality::window`] is new.
    pub window: bool,
    /// [`PowerQuality::bands`] is new.
    pub bands: bool,
    /// Notices wait in [`PowerQuality::notice`].
    pub notices: bool,
}

/// A window that waits.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    closed: Closed,
    halves: u32,
    /// Its spectrum is in work; else what came of it.
    in_work: bool,
    summary: Option<Summary>,
}

/// Everything about power quality, for one configuration.
#[derive(Clone, Debug)]
pub struct PowerQuality {
    ring: Ring,
    decimator: Decimator,
    spectrum: Spectrum,
    bands: Bands,
    windows: Windows,
    waiting: [Option<Waiting>; WAITING],
    window: Option<Window>,
    flywheel: Flywheel,
    events: Events,
    rapid: [Rapid; VOLTAGES],
    flicker: [Flicker; VOLTAGES],
    flicker_interval: Option<i64>,
    flicker_flagged: bool,
    /// Sum of cubes, number of values and flags of the two hours under way.
    long_flicker: [(f32, u8); VOLTAGES],
    long_flagged: bool,
    frequency: Counter,
    counting: Counting,
    aggregator: Aggregator<VALUES>,
    notices: [Option<Notice>; NOTICES],
    notices_lost: u32,
    channels: u8,
    /// Declared voltage, V.
    declared: f32,
    half_cycles_per_second: u32,
    /// Half-cycles until windows begin.
    start_halves: u32,
    /// Samples taken, and the sample clock when there were none.
    taken: u64,
    clock: u64,
}

impl Default for PowerQuality {
    fn default() -> PowerQuality {
        PowerQuality::new()
    }
}

impl PowerQuality {
    /// At rest: [`PowerQuality::configure`] comes before the first sample. A constant, so that a target can place it in
    /// its memory without a copy on the stack.
    pub const fn new() -> PowerQuality {
        PowerQuality {
            ring: Ring::new(),
            decimator: Decimator::new(),
            spectrum: Spectrum::new(),
            bands: Bands::new(),
            windows: Windows::new(),
            waiting: [None; WAITING],
            window: None,
            flywheel: Flywheel::new(),
            events: Events::new(),
            rapid: [const { Rapid::new() }; VOLTAGES],
            flicker: [const { Flicker::new() }; VOLTAGES],
            flicker_interval: None,
            flicker_flagged: false,
            long_flicker: [(0.0, 0); VOLTAGES],
            long_flagged: false,
            frequency: Counter::new(),
            counting: Counting::new(),
            aggregator: Aggregator::new(),
            notices: [None; NOTICES],
            notices_lost: 0,
            channels: 0,
            declared: 230.0,
            half_cycles_per_second: 100,
            start_halves: START_HALVES,
            taken: 0,
            clock: 0,
        }
    }

    /// Begins anew for a configuration and calibration that have been checked, with the usual thresholds. The
    /// occurrence counters go on.
    pub fn configure(&mut self, config: &MeterConfig, calibration: &Calibration) {
        self.configure_with(config, calibration, &Thresholds::USUAL, &Limits::USUAL);
    }

    /// See [`PowerQuality::configure`]; with other thresholds of events and other limits of the counters.
    pub fn configure_with(
        &mut self,
        config: &MeterConfig,
        calibration: &Calibration,
        thresholds: &Thresholds,
        limits: &Limits,
    ) {
        let octaves = (config.rate_hz / 8000).max(1).ilog2();
        self.ring.clear();
        self.decimator.restart(octaves);
        self.spectrum.configure(config, calibration, octaves);
        self.windows.restart(u32::from(config.f_nominal) / 5);
        self.flywheel.restart(config.rate_hz, config.f_nominal);
        self.events.configure(config, thresholds);
        let lamp = if config.u_nominal_mv < LAMP_LIMIT_MV { Lamp::V120 } else { Lamp::V230 };
        for (rapid, flicker) in self.rapid.iter_mut().zip(&mut self.flicker) {
            rapid.configure(config, thresholds);
            flicker.restart(lamp, config.rate_hz);
        }
        (self.flicker_interval, self.flicker_flagged) = (None, false);
        (self.long_flicker, self.long_flagged) = ([(0.0, 0); VOLTAGES], false);
        self.frequency.restart();
        self.counting.configure(config, limits);
        self.aggregator.restart();
        (self.waiting, self.window, self.notices) = ([None; WAITING], None, [None; NOTICES]);
        self.channels = crate::measured_channels(config);
        self.declared = config.u_nominal_mv as f32 / 1e3;
        self.bands.configure(config.rate_hz, self.channels);
        self.half_cycles_per_second = 2 * u32::from(config.f_nominal);
        (self.start_halves, self.taken, self.clock) = (START_HALVES, 0, 0);
    }

    /// Watches mains signalling at `hz`, see [`Harmonics::signalling`].
    pub fn watch_signalling(&mut self, hz: Option<f32>) {
        self.spectrum.watch_signalling(hz);
    }

    /// Takes the corrected samples of the engine's last step ([`crate::Metrology::samples`]) and the half-cycle that it
    /// ended. `grid` is meter time.
    #[inline(never)] // its stack is not needed while a window closes
    pub fn push(&mut self, y: &[i32; CHANNELS], half: Option<&HalfCycle>, grid: &Grid) -> Done {
        let mut done = Done::default();
        if let Some(half) = half {
            self.half_cycle(half, grid);
        }
        let [u1, u2, u3, ..] = *y;
        if let Some(cycle) = self.flywheel.push(&[u1, u2, u3]) {
            self.voltages(&cycle);
        }
        self.taken += 1;
        for (k, flicker) in self.flicker.iter_mut().enumerate() {
            if self.channels & (1 << k) != 0 {
                flicker.push(y[k]);
            }
        }
        let kept = if self.decimator.octaves() == 0 {
            self.ring.push(y);
            true
        } else if let Some(frame) = self.decimator.push(y.map(|y| y as f32)) {
            // Rounds towards zero, by less than a quarter of the converter's step.
            self.ring.push(&frame.map(|v| v as i32));
            true
        } else {
            false
        };
        if kept {
            match self.spectrum.step(&self.ring) {
                Progress::Channel(k) => done.channel = Some(k),
                Progress::Lost => self.spectrum_over(None),
                Progress::Idle | Progress::Working => {}
            }
            if !self.spectrum.busy() && self.waiting.iter().flatten().any(|w| w.in_work) {
                self.spectrum_over(Some(*self.spectrum.summary()));
            }
        }
        if self.bands.running() {
            done.bands = self.spectrum.serve(&mut self.bands, y);
        }
        done.window = self.finish_window();
        done.notices = self.notices[0].is_some();
        done
    }

    /// Whatever was in work is over, with this result.
    fn spectrum_over(&mut self, summary: Option<Summary>) {
        for waiting in self.waiting.iter_mut().flatten().filter(|w| w.in_work) {
            (waiting.in_work, waiting.summary) = (false, summary);
        }
    }

    /// The occurrence counters.
    pub fn counters(&self) -> &Counters {
        self.counting.counters()
    }

    /// Goes on from stored occurrence counters.
    pub fn restore_counters(&mut self, counters: &Counters) {
        self.counting.restore(counters);
    }

    /// The harmonics that were made last.
    pub fn harmonics(&self) -> &Harmonics {
        self.spectrum.harmonics()
    }

    /// The bands from 2 to 9 kHz that were measured last; channels take turns. `None` before the first, and at rates that
    /// do not reach them.
    pub fn bands(&self) -> Option<&Emission> {
        self.bands.last()
    }

    /// The last complete window.
    pub fn window(&self) -> Option<&Window> {
        self.window.as_ref()
    }

    /// The oldest notice that was not fetched.
    pub fn notice(&mut self) -> Option<Notice> {
        let first = self.notices[0].take();
        self.notices.rotate_left(1);
        first
    }

    /// Notices that nobody fetched in time.
    pub fn notices_lost(&self) -> u32 {
        self.notices_lost
    }

    /// Ends the voltage events that are under way at the sample clock `end`: nothing is known after it.
    pub fn close(&mut self, end: u64) {
        let notices = &mut self.notices;
        let lost = &mut self.notices_lost;
        let counting = &mut self.counting;
        self.events.close(end.saturating_sub(u64::from(BASE_DELAY)), |event| {
            counting.event(&event);
            tell(notices, lost, Notice::Event(event));
        });
    }

    fn half_cycle(&mut self, half: &HalfCycle, grid: &Grid) {
        let values = &half.half;
        self.clock = half.t_samples.saturating_sub(self.taken);
        // The engine's delay is taken off: times are those of the terminals.
        let t = half.t_samples.saturating_sub(u64::from(BASE_DELAY));
        self.flywheel.crossing(values);
        for (k, flicker) in self.flicker.iter_mut().enumerate() {
            if self.channels & (1 << k) != 0 {
                flicker.half_cycle(values.square[k], self.half_cycles_per_second);
            }
        }
        self.flicker_interval(grid.utc_us_at(t).div_euclid(TEN_MINUTES_US));
        let (notices, lost) = (&mut self.notices, &mut self.notices_lost);
        // The boundary lies between the sample before the one that is being taken and this one.
        let position = (t.saturating_sub(1), values.fraction);
        if let Some(f) = self.frequency.step(position, values.rising, values.synchronous, grid) {
            self.counting.frequency(&f);
            tell(notices, lost, Notice::Frequency(f));
        }
        for waiting in self.waiting.iter_mut().flatten() {
            waiting.halves += 1;
        }
        if self.start_halves > 0 {
            self.start_halves -= 1;
            return;
        }
        let Some(before) = self.taken.checked_sub(1) else { return };
        let octaves = self.decimator.octaves();
        let rest = ((before & ((1 << octaves) - 1)) << POSITION_BITS) + u64::from(values.fraction);
        let place = ((before >> octaves) + self.decimator.delay(), (rest >> octaves) as u32);
        if let Some(closed) = self.windows.step(t, place, octaves, half, grid) {
            let in_work = closed.whole && self.spectrum.start(&closed.span);
            let waiting = Waiting { closed, halves: 0, in_work, summary: None };
            if let Some(free) = self.waiting.iter_mut().find(|w| w.is_none()) {
                *free = Some(waiting);
            }
        }
    }

    fn voltages(&mut self, cycle: &Cycle) {
        let start = (self.clock + self.taken).saturating_sub(u64::from(BASE_DELAY) + cycle.age);
        let unit = self.spectrum.count_unit(0) * flywheel::UNIT * 1000.0;
        let rms_mv = cycle.rms.map(|rms| (rms * unit + 0.5) as u32);
        let (notices, lost) = (&mut self.notices, &mut self.notices_lost);
        let mut any = false;
        let counting = &mut self.counting;
        let watched = self.events.step(start, &rms_mv, self.channels, |event| {
            any = true;
            counting.event(&event);
            tell(notices, lost, Notice::Event(event));
        });
        self.flicker_flagged |= any || self.events.under_way();
        if !watched {
            return;
        }
        counting.cycle(start, &rms_mv, self.channels & VOLTAGE_MASK);
        for (k, rapid) in self.rapid.iter_mut().enumerate() {
            if self.channels & (1 << k) != 0
                && let Some(event) = rapid.step(1 << k, start, rms_mv[k])
            {
                counting.event(&event);
                tell(notices, lost, Notice::Event(event));
            }
        }
    }

    /// Flicker severities at each ten-minute tick.
    fn flicker_interval(&mut self, now: i64) {
        let Some(interval) = self.flicker_interval.replace(now).filter(|before| *before != now) else { return };
        let mut pst = [None; VOLTAGES];
        for (k, (pst, flicker)) in pst.iter_mut().zip(&mut self.flicker).enumerate() {
            if self.channels & (1 << k) != 0 {
                *pst = flicker.pst();
            }
            if let Some(p) = *pst {
                let (cubes, count) = &mut self.long_flicker[k];
                (*cubes, *count) = (*cubes + p * p * p, count.saturating_add(1));
            }
        }
        let flagged = core::mem::replace(&mut self.flicker_flagged, self.events.under_way());
        self.long_flagged |= flagged;
        tell(&mut self.notices, &mut self.notices_lost, Notice::Flicker { interval, pst, flagged });
        let two_hours = interval.div_euclid(LONG_FLICKER);
        if now.div_euclid(LONG_FLICKER) != two_hours {
            let sums = core::mem::replace(&mut self.long_flicker, [(0.0, 0); VOLTAGES]);
            let flagged = core::mem::replace(&mut self.long_flagged, false);
            let plt = sums.map(|(cubes, count)| {
                (i64::from(count) == LONG_FLICKER).then(|| math::cbrt(cubes / LONG_FLICKER as f32))
            });
            let notice = Notice::LongFlicker { interval: two_hours, plt, flagged };
            tell(&mut self.notices, &mut self.notices_lost, notice);
        }
    }

    /// Completes the oldest window that has waited long enough. True if it did.
    fn finish_window(&mut self) -> bool {
        let ready = |w: &Waiting| !w.in_work && w.halves >= SETTLED_HALVES;
        let Some(waiting) = self.waiting[0].take_if(|w| ready(w)) else { return false };
        self.waiting.rotate_left(1);
        let closed = &waiting.closed;
        let flagged = self.events.disturbed(closed.begin, closed.end);
        let mut values = [None; VALUES];
        for (k, rms) in closed.rms.iter().enumerate().filter(|(k, _)| self.channels & (1 << k) != 0) {
            values[Value::U as usize + k] = Some(rms * self.spectrum.count_unit(k));
        }
        for k in 0..PHASES {
            values[Value::Under as usize + k] = values[Value::U as usize + k].map(|u| u.min(self.declared));
            values[Value::Over as usize + k] = values[Value::U as usize + k].map(|u| u.max(self.declared));
        }
        if let Some(summary) = &waiting.summary {
            for k in 0..PHASES {
                values[Value::ThdU as usize + k] = summary.thd[k];
                values[Value::ThdI as usize + k] = summary.thd[k + PHASES];
            }
            values[Value::U2 as usize] = summary.symmetry.and_then(|s| s.u2);
            values[Value::U0 as usize] = summary.symmetry.and_then(|s| s.u0);
        }
        let done = self.aggregator.add(closed.interval, &values, flagged);
        if let Some(ten) = &done.ten_minutes {
            self.counting.ten_minutes(ten);
        }
        let levels = [
            (Level::Short, done.short[0]),
            (Level::Short, done.short[1]),
            (Level::TenMinutes, done.ten_minutes),
            (Level::TwoHours, done.two_hours),
        ];
        for (level, aggregate) in levels {
            if let Some(aggregate) = aggregate {
                tell(&mut self.notices, &mut self.notices_lost, Notice::Aggregate(level, aggregate));
            }
        }
        self.window = Some(Window {
            begin: closed.begin,
            end: closed.end,
            interval: closed.interval,
            flagged,
            values,
            summary: waiting.summary,
        });
        true
    }
}

/// Nominal voltages below this are those of the 120 V lamp, mV.
const LAMP_LIMIT_MV: u32 = 160_000;

/// Appends a notice; with no room the oldest goes, and is counted.
fn tell(notices: &mut [Option<Notice>; NOTICES], lost: &mut u32, notice: Notice) {
    if let Some(free) = notices.iter_mut().find(|n| n.is_none()) {
        *free = Some(notice);
        return;
    }
    *lost = lost.saturating_add(1);
    notices.rotate_left(1);
    if let Some(last) = notices.last_mut() {
        *last = Some(notice);
    }
}

impl Kind {
    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Dip => "dip",
            Kind::Swell => "swell",
            Kind::Interruption => "interruption",
            Kind::Rapid => "rapid-voltage-change",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_fits_beside_the_rest_of_the_coprocessor() {
        // What a 64-bit host adds in padding is below the 2 KiB of air, so the bound holds on both.
        std::eprintln!("{} of {STATE_BYTES} bytes", size_of::<PowerQuality>());
        assert!(size_of::<PowerQuality>() <= STATE_BYTES, "{} of {STATE_BYTES}", size_of::<PowerQuality>());
        const { assert!(STATE_BYTES <= 76 * 1024) };
        assert!(size_of::<Option<Notice>>() <= NOTICE_BYTES);
    }

    #[test]
    fn iec_61000_4_15_5_7_3_long_term_severity_needs_twelve_intervals_of_two_hours() {
        let mut pq = PowerQuality::new();
        pq.configure(&MeterConfig::default(), &Calibration::default());
        // Begins in the last quarter of two hours. L2 lacks one of the twelve that follow.
        let mut told = std::vec::Vec::new();
        for interval in 9..=25 {
            pq.flicker_interval(interval);
            pq.flicker_flagged = interval == 14;
            for (k, flicker) in pq.flicker.iter_mut().enumerate() {
                if (interval, k) != (20, 1) {
                    flicker.fill(if interval == 15 { 8.0 } else { 1.0 });
                }
            }
            told.extend(core::iter::from_fn(|| pq.notice()));
        }
        let short: std::vec::Vec<_> = told
            .iter()
            .filter_map(|n| match n {
                Notice::Flicker { interval, pst, flagged } => Some((*interval, *pst, *flagged)),
                _ => None,
            })
            .collect();
        assert_eq!(short.iter().map(|s| s.0).collect::<std::vec::Vec<_>>(), (9..25).collect::<std::vec::Vec<_>>());
        assert!(short.iter().all(|s| s.2 == (s.0 == 14) && s.1[1].is_some() == (s.0 != 20)));
        let (steady, strong) = (short[0].1[0].unwrap(), short[6].1[0].unwrap());
        let long: std::vec::Vec<_> = told.iter().filter(|n| matches!(n, Notice::LongFlicker { .. })).collect();
        let Notice::LongFlicker { interval: 1, plt: [Some(first), None, Some(third)], flagged: true } = long[1] else {
            panic!("{long:?}")
        };
        let cubic = math::cbrt((11.0 * steady.powi(3) + strong.powi(3)) / 12.0);
        assert!((first - cubic).abs() < 1e-3 && first == third && long.len() == 2, "{long:?}");
        assert!(matches!(long[0], Notice::LongFlicker { interval: 0, plt: [None, None, None], flagged: false }));
    }

    #[test]
    fn notices_come_in_order_and_the_oldest_goes_first() {
        let mut pq = PowerQuality::new();
        for n in 0..NOTICES as i64 + 3 {
            let notice = Notice::Frequency(TenSeconds { utc_us: n, f_uhz: None });
            tell(&mut pq.notices, &mut pq.notices_lost, notice);
        }
        assert_eq!(pq.notices_lost(), 3);
        for n in 3..NOTICES as i64 + 3 {
            assert!(matches!(pq.notice(), Some(Notice::Frequency(f)) if f.utc_us == n));
        }
        assert_eq!(pq.notice(), None);
    }
}
