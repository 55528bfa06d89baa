//! The engine: one sample of every channel in, windows, seconds and counters out.

use crate::climate::{Climate, corrections};
use crate::design::{CHANNELS, F_MIN_MHZ, PHASES, POSITION_BITS, WINDOW_LIMIT, WINDOWS_PER_SECOND};
use crate::energy::{self, Cumulative};
use crate::frontend::FrontEnd;
use crate::half_cycle::{HalfCycle, HalfCycles};
use crate::plausible::still;
use crate::products::{Accumulator, Products, Samples};
use crate::pulses::{self, Line};
use crate::quantities::{Aggregate, Quantities, Scale, power_factor_ppm};
use crate::totals::{Flow, total_amounts};
use crate::tracker::{Crossing, Tracker};
use crate::{gate::Gate, validate};
use metrology_link::payload::{Calibration, Impossible, MeterConfig, Second, Suspect, Valid};

/// Boundaries that no zero crossing gives lie in the middle between two samples.
const MIDDLE: u32 = 1 << (POSITION_BITS - 1);

/// A window has closed; [`Metrology::cumulative`] and [`Metrology::window`] hold its results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowEnd {
    /// Sample clock at the end: the sample that closed the window is the first of the next one.
    pub t_samples: u64,
    /// Windows closed since the counters began, this one included.
    pub number: u64,
    /// Samples in the window.
    pub samples: u32,
    /// Holds 10 (12) whole periods of the tracked frequency, whose mean is this, µHz. `None`: a window of fixed length.
    pub f_uhz: Option<u32>,
    /// A channel was clipped: the energy of this window may be too low.
    pub clipped: bool,
    /// This window completed a second: [`Metrology::second`] is new.
    pub second: bool,
}

/// Samples to quantities and counters, for one configuration and calibration.
#[derive(Clone, Debug)]
pub struct Metrology {
    config: MeterConfig,
    scale: Scale,
    energy_scale: u64,
    front: FrontEnd,
    tracker: Tracker,
    /// Voltage channel that the tracker follows.
    reference: usize,
    accumulator: Accumulator,
    half: HalfCycles,
    half_result: Option<HalfCycle>,
    gate: Gate,
    pacer: Pacer,

    t_samples: u64,
    previous: Samples,
    /// Oscillator phase at the sample before and turns per sample, 2^-32 turn.
    previous_phase: u32,
    word: u32,
    /// Samples in the open window, where between two samples it began, and its edge there.
    samples: u32,
    begin_fraction: u32,
    begin: Products<i128>,
    /// Channels clipped in the open window, a bit each.
    clipped: u8,
    /// Samples were lost in the open window.
    lost: bool,
    climate: Climate,

    cumulative: Cumulative,
    line: Line,
    window: Second,
    aggregate: Aggregate,
    second: Second,
    /// What was wrong with the samples since the second began.
    suspect: u32,
    /// Distortions told since the second began.
    distortion: [Distortion; PHASES],
}

/// Distortions of one phase: the last, and the sums of squares over a second.
#[derive(Clone, Copy, Debug, Default)]
struct Distortion {
    last: Option<(u32, Option<u32>)>,
    windows: u64,
    u_squares: u64,
    i_windows: u64,
    i_squares: u64,
}

impl Distortion {
    fn add(&mut self, u_ppm: u32, i_ppm: Option<u32>) {
        let square = |ppm: u32| u64::from(ppm.min(DISTORTION_LIMIT_PPM)).pow(2);
        self.last = Some((u_ppm, i_ppm));
        self.windows += 1;
        self.u_squares += square(u_ppm);
        if let Some(i) = i_ppm {
            self.i_windows += 1;
            self.i_squares += square(i);
        }
    }

    /// Root of the mean square over the second, which ends.
    fn second(&mut self) -> Option<(u32, Option<u32>)> {
        let root = |squares: u64, n: u64| squares.checked_div(n).map(|mean| mean.isqrt() as u32);
        let out = root(self.u_squares, self.windows).map(|u| (u, root(self.i_squares, self.i_windows)));
        *self = Distortion { last: self.last, ..Distortion::default() };
        out
    }
}

/// Writes the distortions of the phases into shown values.
fn show_distortion(values: &mut Second, phases: [Option<(u32, Option<u32>)>; PHASES]) {
    for (k, (u, i)) in phases.into_iter().enumerate().filter_map(|(k, d)| Some((k, d?))) {
        values.valid.0 |= Valid::THD << k;
        values.phase[k].thd_u_ppm = u;
        if let Some(i) = i {
            values.valid.0 |= Valid::THD_I << k;
            values.phase[k].thd_i_ppm = i;
        }
    }
}

impl Metrology {
    /// An engine at rest, with all counters at zero.
    ///
    /// # Errors
    /// The first impossible value of the configuration or calibration.
    pub fn new(config: &MeterConfig, calibration: &Calibration) -> Result<Metrology, Impossible> {
        validate(config, calibration)?;
        Ok(Metrology::checked(config, calibration))
    }

    /// [`Metrology::new`] of values that [`validate`] found possible: without a result around it, the engine is built
    /// where it will stay.
    #[inline(never)]
    pub(crate) fn checked(config: &MeterConfig, calibration: &Calibration) -> Metrology {
        let scale = Scale::new(config, calibration);
        Metrology {
            config: *config,
            energy_scale: energy::scale(config),
            front: FrontEnd::new(config, &corrections(calibration, None, None)),
            tracker: Tracker::new(config),
            reference: (0..PHASES).find(|&k| scale.has(k)).unwrap_or(0),
            accumulator: Accumulator::default(),
            half: HalfCycles::new(config.rate_hz / (2 * u32::from(config.f_nominal))),
            half_result: None,
            gate: Gate::new(config.start_mw),
            pacer: Pacer::new(config),
            t_samples: 0,
            previous: [0; CHANNELS],
            previous_phase: 0,
            word: nominal_word(config),
            samples: 0,
            begin_fraction: MIDDLE,
            begin: Products::default(),
            clipped: 0,
            lost: false,
            climate: Climate::default(),
            cumulative: Cumulative::default(),
            line: Line::default(),
            window: Second::default(),
            aggregate: Aggregate::default(),
            second: Second::default(),
            suspect: 0,
            distortion: [Distortion::default(); PHASES],
            scale,
        }
    }

    /// Puts another configuration and calibration, which are checked, into force. Counters and clock go on.
    ///
    /// Piece by piece, as [`Metrology::checked`] makes them: a second engine would not fit on a small stack. That all pieces
    /// are named here the compiler sees to.
    #[inline(never)]
    pub(crate) fn reconfigure(&mut self, config: &MeterConfig, calibration: &Calibration) {
        let Metrology {
            config: own,
            scale,
            energy_scale,
            front,
            tracker,
            reference,
            accumulator,
            half,
            half_result,
            gate,
            pacer,
            t_samples: _,
            previous,
            previous_phase,
            word,
            samples,
            begin_fraction,
            begin,
            clipped,
            lost,
            climate,
            cumulative: _,
            line,
            window,
            aggregate,
            second,
            suspect,
            distortion,
        } = self;
        *own = *config;
        *scale = Scale::new(config, calibration);
        *energy_scale = energy::scale(config);
        *front = FrontEnd::new(config, &corrections(calibration, None, None));
        *tracker = Tracker::new(config);
        *reference = (0..PHASES).find(|&k| scale.has(k)).unwrap_or(0);
        *accumulator = Accumulator::default();
        *half = HalfCycles::new(config.rate_hz / (2 * u32::from(config.f_nominal)));
        *half_result = None;
        *gate = Gate::new(config.start_mw);
        *pacer = Pacer::new(config);
        (*previous, *previous_phase) = ([0; CHANNELS], 0);
        *word = nominal_word(config);
        (*samples, *begin_fraction, *begin) = (0, MIDDLE, Products::default());
        (*clipped, *lost, *suspect) = (0, false, 0);
        *climate = Climate::default();
        *line = Line::default();
        (*window, *second) = (Second::default(), Second::default());
        *aggregate = Aggregate::default();
        *distortion = [Distortion::default(); PHASES];
    }

    /// Goes on from stored counters.
    pub fn restore(&mut self, cumulative: &Cumulative) {
        self.cumulative = *cumulative;
    }

    /// Everything cumulative, at the end of the last closed window.
    pub fn cumulative(&self) -> &Cumulative {
        &self.cumulative
    }

    /// Where in the last closed window its energy lies.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// Sets the sample clock: the number of the next sample.
    pub fn set_clock(&mut self, t_samples: u64) {
        self.t_samples = t_samples;
    }

    /// The sample clock: samples taken so far.
    pub fn t_samples(&self) -> u64 {
        self.t_samples
    }

    /// The last complete second; its `number` is 0 until there is one.
    pub fn second(&self) -> &Second {
        &self.second
    }

    /// The values of the last window, in the same form. `number` is that of the window since the counters began.
    pub fn window(&self) -> &Second {
        &self.window
    }

    /// The RMS values of the last cycle, once per half-cycle.
    #[inline]
    pub fn half_cycle(&mut self) -> Option<HalfCycle> {
        // Nearly always there is none; then nothing is moved.
        if self.half_result.is_none() { None } else { self.half_result.take() }
    }

    /// The corrected samples that the last [`Metrology::push`] summed: those of `BASE_DELAY` samples before.
    pub fn samples(&self) -> &[i32; CHANNELS] {
        &self.previous
    }

    /// Adds the distortion of one spectrum, ppm, per phase. It comes from outside because it is no part of what is
    /// billed; it is told with the window and the second that are open now, and the cumulative sums count it once.
    /// A phase without a voltage distortion is absent; so is a current without one.
    pub fn distortion(&mut self, phase: usize, thd_u_ppm: u32, thd_i_ppm: Option<u32>) {
        if let (Some(open), Some(sum)) = (self.distortion.get_mut(phase), self.cumulative.sums.phase.get_mut(phase)) {
            open.add(thd_u_ppm, thd_i_ppm);
            sum.thd_windows += 1;
            sum.thd_u_ppm = sum.thd_u_ppm.saturating_add(u64::from(thd_u_ppm));
            if let Some(thd_i_ppm) = thd_i_ppm {
                sum.thd_i_windows += 1;
                sum.thd_i_ppm = sum.thd_i_ppm.saturating_add(u64::from(thd_i_ppm));
            }
        }
    }

    /// Follows the temperature of the front end (millidegrees Celsius) and the age of the calibration (at µs since 1970
    /// UTC), as far as they are known: to be called once a second, behind the window that completed it. The corrections
    /// change with the next sample. `calibration` is the one the engine was made with.
    pub fn climate(&mut self, calibration: &Calibration, temperature_mdeg: Option<i32>, utc_us: Option<i64>) {
        let temperature = self.climate.follow(temperature_mdeg);
        if calibration.moves() {
            self.front.correct(&corrections(calibration, temperature, utc_us));
        }
    }

    /// `n` samples never arrived. Their time passes and is told; nothing is counted for them. The open window is marked
    /// and no longer lies between zero crossings, and the tracker begins anew: the phase behind the gap is not known to a
    /// fraction of a sample.
    pub fn lost(&mut self, n: u32) {
        if n == 0 {
            return;
        }
        self.lost = true;
        self.cumulative.lost_samples = self.cumulative.lost_samples.saturating_add(u64::from(n));
        self.t_samples += u64::from(n);
        self.previous_phase = self.previous_phase.wrapping_add(self.word.wrapping_mul(n));
        self.tracker.reset();
        self.pacer.unalign();
        self.accumulator.carry();
        self.accumulator.half = [0; CHANNELS];
        self.half.restart();
    }

    /// Takes one count of every channel (order of `metrology_link::payload::Channel`; missing channels are ignored).
    /// Gives the window that this sample closed.
    #[inline]
    pub fn push(&mut self, counts: &[i32; CHANNELS]) -> Option<WindowEnd> {
        let (y, clipped) = self.front.push(counts);
        let crossing = self.tracker.push(y[self.reference]);
        let phase = self.previous_phase.wrapping_add(self.word);
        self.follow_half_cycle(crossing, &y, phase);
        let boundary = self.pacer.step(self.samples, crossing, &self.tracker);
        let ended = boundary.map(|boundary| self.close(boundary, &y, phase));
        self.clipped |= clipped;
        let phase = self.previous_phase.wrapping_add(self.word);
        self.accumulator.add(&y, phase);
        self.half.sample();
        self.previous = y;
        self.previous_phase = phase;
        self.samples += 1;
        self.t_samples += 1;
        ended
    }

    /// Closes the open window early, for a power failure. `None` when it holds no sample.
    pub fn finish(&mut self) -> Option<WindowEnd> {
        if self.samples == 0 {
            return None;
        }
        self.pacer.unalign();
        let y = self.previous;
        let phase = self.previous_phase.wrapping_add(self.word);
        Some(self.close(Boundary { fraction: MIDDLE, cycles: None }, &y, phase))
    }

    fn follow_half_cycle(&mut self, crossing: Option<Crossing>, y: &Samples, phase: u32) {
        let (fraction, rising) = match crossing {
            Some(c) if self.tracker.locked() && !self.tracker.settling() => (c.fraction, Some(c.rising)),
            _ if (!self.tracker.locked() || self.tracker.settling()) && self.half.full() => (MIDDLE, None),
            _ => return,
        };
        self.accumulator.carry();
        let edge = self.edge(fraction, self.previous_phase, y, phase).square;
        let sums = core::mem::take(&mut self.accumulator.half);
        if let Some(mut result) = self.half.end(&sums, edge, fraction, rising, &self.scale) {
            result.t_samples = self.t_samples;
            self.half_result = Some(result);
            if !self.tracker.locked() || self.tracker.settling() {
                let [u1, u2, u3, ..] = result.rms;
                self.choose_reference([u1, u2, u3]);
            }
        }
    }

    fn edge(&self, fraction: u32, before: u32, y: &Samples, now: u32) -> Products<i128> {
        Products::edge(fraction, &Products::of(&self.previous, before), &Products::of(y, now))
    }

    /// Ends the window between the sample before and `y`, and begins the next one there.
    fn close(&mut self, boundary: Boundary, y: &Samples, phase: u32) -> WindowEnd {
        let fraction = boundary.fraction;
        let end = self.edge(fraction, self.previous_phase, y, phase);
        self.accumulator.carry();
        let sums = core::mem::take(&mut self.accumulator.window);
        let length = (u64::from(self.samples) << POSITION_BITS) + u64::from(fraction) - u64::from(self.begin_fraction);
        let between = sums.between(&self.begin, &end);
        let mut quantities = Quantities::new(&between, length, self.word, boundary.cycles, &self.scale);
        if self.tracker.take_disturbed() {
            // Whole periods perhaps, but not of one frequency.
            quantities.f_uhz = None;
        }
        let registered = self.register(&mut quantities, &sums);
        let edges = |at: &Products<i128>| pulses::edges(self.config.method, &registered, &at.power);
        self.line = Line {
            t_samples: self.t_samples,
            samples: self.samples,
            begin_fraction: self.begin_fraction,
            end_fraction: fraction,
            edges: core::array::from_fn(|k| [edges(&self.begin)[k], edges(&end)[k]]),
        };
        let suspect = self.suspect(&quantities, &sums);
        let ended = self.publish(&mut quantities, suspect);

        // The next window: its oscillator turns as this window did (or the last period), from phase zero at its begin.
        if let Some(cycles) = boundary.cycles {
            self.word = ((u64::from(cycles) << (32 + POSITION_BITS)) / length) as u32;
        } else if self.tracker.locked() {
            self.word = ((1 << (32 + POSITION_BITS)) / self.tracker.period().max(1)) as u32;
        }
        let rest = u64::from((1 << POSITION_BITS) - fraction);
        let phase = ((rest * u64::from(self.word)) >> POSITION_BITS) as u32;
        self.previous_phase = phase.wrapping_sub(self.word);
        self.begin = self.edge(fraction, self.previous_phase, y, phase);
        self.begin_fraction = fraction;
        self.samples = 0;
        (self.clipped, self.lost) = (0, false);
        self.choose_reference(core::array::from_fn(|k| self.scale.rms(k, quantities.square[k])));
        ended
    }

    /// Adds the window to the counters. Active energy is the plain sum over its samples, so that nothing is lost or
    /// counted twice between windows; reactive and apparent energy are the window's power times its samples.
    fn register(&mut self, quantities: &mut Quantities, sums: &Products<i128>) -> [Option<Flow>; PHASES] {
        let samples = i128::from(self.samples);
        let mut registered = [None; PHASES];
        for (k, registered) in registered.iter_mut().enumerate() {
            let Some(flow) = quantities.flow[k] else { continue };
            let p_mw = self.scale.milliwatts(flow.p).unsigned_abs();
            let s_mva = self.scale.milliwatts(flow.s as i128).unsigned_abs();
            quantities.registering[k] = self.gate.step(k, p_mw.max(s_mva));
            if quantities.registering[k] {
                let energy = Flow {
                    p: sums.power[k],
                    // From Q8; at most 2^65 · 2^14 before.
                    q: (flow.q * samples) >> 8,
                    s: (flow.s * samples as u128) >> 8,
                };
                self.cumulative.add_phase(k, &energy.amounts(), self.energy_scale);
                *registered = Some(energy);
            }
        }
        self.cumulative.add_total(&total_amounts(self.config.method, &registered), self.energy_scale);
        registered
    }

    /// What is wrong with the samples of the window, as bits of [`Suspect`].
    fn suspect(&self, quantities: &Quantities, sums: &Products<i128>) -> u32 {
        let mut suspect = u32::from(self.clipped) * Suspect::CLIPPED;
        // A window that a power failure cut short may be too short to see a channel move.
        if self.samples >= self.config.rate_hz / STILL_PER_SECOND {
            suspect |= still(sums, self.samples, self.scale.channels(), |k| self.front.zero(k));
        }
        let marks = [
            (quantities.swapped(&self.scale), Suspect::SWAPPED),
            (quantities.symmetry.reversed == Some(true), Suspect::REVERSED),
            (self.lost, Suspect::LOST),
        ];
        marks.iter().filter(|(set, _)| *set).fold(suspect, |mask, (_, bit)| mask | bit)
    }

    /// Sums for means, the window's and the second's values.
    fn publish(&mut self, quantities: &mut Quantities, suspect: u32) -> WindowEnd {
        let untracked = self.tracker.take_good() == 0 && quantities.f_uhz.is_none();
        let signal = u64::from(self.config.u_nominal_mv) * SIGNAL_PERCENT / 100;
        quantities.out_of_range =
            untracked && (0..PHASES).any(|k| u64::from(self.scale.rms(k, quantities.square[k])) >= signal);
        let mut alone = Aggregate::default();
        alone.add(quantities, &self.scale);
        self.window = alone.values(&self.scale);
        show_distortion(&mut self.window, self.distortion.each_mut().map(|d| d.last.take()));
        self.cumulative.windows += 1;
        self.cumulative.clipped_windows += u64::from(self.clipped != 0);
        self.cumulative.suspect_windows =
            self.cumulative.suspect_windows.saturating_add(u32::from(suspect & Suspect::ENERGY != 0));
        self.window.suspect = Suspect(suspect);
        self.suspect |= suspect;
        self.window.number = self.cumulative.windows;
        self.window.t_samples = self.t_samples;
        self.sum_window(quantities);

        self.aggregate.add(quantities, &self.scale);
        let second = self.aggregate.windows == WINDOWS_PER_SECOND;
        if second {
            let number = self.second.number + 1;
            self.second = core::mem::take(&mut self.aggregate).values(&self.scale);
            show_distortion(&mut self.second, self.distortion.each_mut().map(Distortion::second));
            (self.second.number, self.second.t_samples) = (number, self.t_samples);
            self.second.suspect = Suspect(core::mem::take(&mut self.suspect));
        }
        WindowEnd {
            t_samples: self.t_samples,
            number: self.cumulative.windows,
            samples: self.samples,
            f_uhz: quantities.f_uhz,
            clipped: self.clipped != 0,
            second,
        }
    }

    fn sum_window(&mut self, quantities: &Quantities) {
        let sums = &mut self.cumulative.sums;
        for (k, phase) in self.window.phase.iter().enumerate() {
            let sum = &mut sums.phase[k];
            if self.window.valid.phase(Valid::U, k) || self.window.valid.phase(Valid::I, k) {
                sum.windows += 1;
                sum.u_mv = sum.u_mv.saturating_add(u64::from(phase.u_mv));
                sum.i_ua = sum.i_ua.saturating_add(u64::from(phase.i_ua));
            }
            if let (true, Some(flow)) = (quantities.registering[k], &quantities.flow[k]) {
                sum.pf_windows += 1;
                sum.pf_ppm = sum.pf_ppm.saturating_add(i64::from(power_factor_ppm(flow)));
            }
        }
        if let Some(f) = quantities.f_uhz {
            sums.f_windows += 1;
            sums.f_uhz = sums.f_uhz.saturating_add(u64::from(f));
        }
    }

    /// Follows another voltage when the one followed is weak and another is clearly stronger.
    /// The window that is open lies between no crossings then.
    fn choose_reference(&mut self, rms_mv: [u32; PHASES]) {
        let rms = |k: usize| u64::from(rms_mv[k]);
        let now = rms(self.reference);
        let best = (0..PHASES).filter(|&k| self.scale.has(k)).max_by_key(|&k| rms(k)).unwrap_or(self.reference);
        let nominal = u64::from(self.config.u_nominal_mv);
        let weak = now * 100 < nominal * WEAK_PERCENT && rms(best) * 100 >= nominal * SIGNAL_PERCENT;
        // Three times as much, so that equal voltages do not take turns, not even when cycles are cut in the wrong place.
        if weak && rms(best) > now * 3 {
            self.reference = best;
            self.tracker.reset();
            self.pacer.lose();
        }
    }
}

/// A window must be at least so long (50 ms) to tell that a channel stands still.
const STILL_PER_SECOND: u32 = 20;

/// Turns of the oscillator per sample at the nominal frequency, 2^-32.
fn nominal_word(config: &MeterConfig) -> u32 {
    ((u64::from(config.f_nominal) << 32) / u64::from(config.rate_hz)) as u32
}

/// Distortions are limited to this in sums of squares, ppm: 100 times the fundamental.
const DISTORTION_LIMIT_PPM: u32 = 100_000_000;

/// Below this share of the nominal voltage there is no signal whose frequency could be out of range: twice the
/// tracker's hysteresis.
const SIGNAL_PERCENT: u64 = 2;
/// Below this share of the nominal voltage another phase may become the reference. What is left above it is ten times
/// the tracker's hysteresis, and following it disturbs less than a change of the reference.
const WEAK_PERCENT: u64 = 10;

/// Periods that a window may be longer than it should: a fall to a fifth right at its end goes on for three, and has
/// settled after two more.
const PATIENCE: u32 = 5;
/// Periods of the slowest frequency that no window is longer than: 329 ms, and 10 541 samples at 32 kS/s. Room for 15
/// periods (17 of 60 Hz) down to 45.5 Hz, and for the 300 ms of a window that waits for its frequency.
const LONGEST: u32 = 14;

/// Where a window ends.
#[derive(Clone, Copy, Debug)]
struct Boundary {
    /// Position after the sample before, Q24.
    fraction: u32,
    /// Periods in the window when it began and ends at a zero crossing.
    cycles: Option<u32>,
}

/// Decides where windows end: after 10 (12) periods of a locked frequency, else after 200 ms.
#[derive(Clone, Debug)]
struct Pacer {
    /// Periods of a window.
    target: u32,
    /// Samples of a window of fixed length.
    fixed: u32,
    /// No window is longer, whatever the tracker says.
    longest: u32,
    /// Periods since the window began at a crossing; `None` when it did not.
    cycles: Option<u32>,
    /// The frequency was lost in this window, which waits for its return.
    waiting: bool,
}

impl Pacer {
    fn new(config: &MeterConfig) -> Pacer {
        let target = u32::from(config.f_nominal) / WINDOWS_PER_SECOND;
        let longest = (u64::from(LONGEST) * u64::from(config.rate_hz) * 1000 / u64::from(F_MIN_MHZ)) as u32;
        Pacer {
            target,
            fixed: config.rate_hz / WINDOWS_PER_SECOND,
            longest: longest.min(WINDOW_LIMIT),
            cycles: None,
            waiting: false,
        }
    }

    /// The reference is another one: the window may wait for its frequency.
    fn lose(&mut self) {
        self.waiting |= self.cycles.take().is_some();
    }

    /// Forgets that the window began at a crossing.
    fn unalign(&mut self) {
        (self.cycles, self.waiting) = (None, false);
    }

    #[inline]
    fn step(&mut self, samples: u32, crossing: Option<Crossing>, tracker: &Tracker) -> Option<Boundary> {
        let boundary = self.boundary(samples, crossing, tracker);
        if boundary.is_some() {
            self.waiting = false;
        }
        boundary
    }

    #[inline]
    fn boundary(&mut self, samples: u32, crossing: Option<Crossing>, tracker: &Tracker) -> Option<Boundary> {
        if !tracker.locked() {
            self.waiting |= self.cycles.take().is_some();
        } else if let Some(Crossing { rising: true, fraction }) = crossing {
            match &mut self.cycles {
                Some(cycles) => {
                    *cycles += 1;
                    // A jump is left to settle: then it spoils this window and not the next one too.
                    let settled = !tracker.settling() || *cycles >= self.target + PATIENCE;
                    if *cycles >= self.target && settled {
                        let cycles = self.cycles.replace(0);
                        return Some(Boundary { fraction, cycles });
                    }
                }
                // Of the crossings around the end of a fixed window one lies in its last tenth or after it.
                None if samples >= self.fixed / 10 * 9 && !tracker.settling() => {
                    self.cycles = Some(0);
                    return Some(Boundary { fraction, cycles: None });
                }
                None => {}
            }
        }
        let limit = match (tracker.locked(), self.waiting) {
            (true, _) => self.longest,
            // Half a window more: five periods, in which a tracker that found the frequency again has locked.
            (false, true) => self.fixed / 2 * 3,
            (false, false) => self.fixed,
        };
        (samples >= limit).then(|| {
            self.cycles = None;
            Boundary { fraction: MIDDLE, cycles: None }
        })
    }
}
