//! A meter life without samples: what the coprocessor would tell, straight from the load model.
//!
//! [`Life`] integrates the circuit's powers over each minute (and up to each edge within it) in integers and yields the
//! values that pages carry, in the order a connected registerd would see them. [`PageDevice`] puts them behind the real
//! device end of the link, for those who want pages. Everything is a function of the options; nothing looks at a clock.
//!
//! Kept as in the coprocessor: counters grow over starts, the sample clock counts down-time, sequence numbers have no
//! gaps, a start's record stands for the minutes that passed in the dark, a grid change that jumps over a minute stores
//! that minute. Left out: voltage events shorter than a minute, and windows (a snapshot lies exactly on its boundary).

mod device;

use std::collections::VecDeque;

pub use device::PageDevice;

use metrology_link::codec::{Wire, encode};
use metrology_link::payload::{
    Billing, Calibration, ClockQuality, Counters, EnergySet, EventCode, EventRecord, Grid, Hello, HistoryKind,
    HistoryRecord, Inputs, MeterConfig, Method, PULSE_INPUTS, ResetCause, Second, Snapshot, Sums, Topology, Valid,
};
use sha2::{Digest, Sha256};

use crate::board::{input_bit, pulse_index};
use crate::grid::{Circuit, ElementPower, next_edge, running};
use crate::meter_type::MeterType;
use crate::noise;
use crate::scenario::{DisturbanceKind, Scenario};

/// Samples per second of the simulated coprocessor.
const RATE: u64 = 8000;
/// Samples per window at 50 Hz.
const WINDOW: u64 = RATE / 5;
/// One minute, µs.
const MINUTE_US: i64 = 60_000_000;
/// Records and events the rings hold, as in the coprocessor.
const RING: usize = 256;
/// Fault levels 0 to 3.
pub const MAX_FAULTS: u8 = 3;

/// Faults per year at each level: outages, resets, clock changes, absences of the host beyond the ring.
const PER_YEAR: [[f64; 4]; 4] =
    [[0.0; 4], [12.0, 12.0, 12.0, 0.0], [120.0, 120.0, 52.0, 4.0], [1200.0, 1200.0, 365.0, 24.0]];

/// What life to lead.
#[derive(Clone, Debug)]
pub struct LifeOptions {
    /// Kind of meter.
    pub meter_type: MeterType,
    /// Grid, loads and inputs.
    pub scenario: Scenario,
    /// Seed of everything random.
    pub seed: u64,
    /// UTC at which it begins, µs since 1970.
    pub start_us: i64,
    /// How long it lasts, days of 24 hours.
    pub days: u32,
    /// 0 = none, 1 = a few a month, 2 = some a day, 3 = many a day; more counts as 3.
    pub faults: u8,
}

/// What a host would get, in order.
// One is alive at a time; boxing would cost an allocation for each of a million records.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// The coprocessor started.
    Hello(Hello),
    /// State of the counters: once an hour and at the end.
    Billing(Billing),
    /// A record of the minute ring.
    History(HistoryRecord),
    /// The host was away for so long that these records were overwritten.
    HistoryLost {
        /// First lost.
        from: u64,
        /// Last lost.
        to: u64,
    },
    /// An event.
    Event(EventRecord),
}

/// A fault, at a second since the start.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Outage { seconds: f64 },
    Reset,
    Clock { step_us: i64 },
    HostAway { seconds: f64 },
}

/// What comes next on the sample clock.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    Minute,
    Edge,
    Outage { end: u64 },
    Fault(Fault),
    End,
}

/// See the module. An iterator of [`Item`].
#[derive(Clone, Debug)]
pub struct Life {
    circuit: Circuit,
    scenario: Scenario,
    config: MeterConfig,
    config_hash: [u8; 32],
    seed: u64,
    start_us: i64,
    end: u64,
    faults: VecDeque<(u64, Fault)>,
    t: u64,
    grid: Grid,
    next_minute: i64,
    /// µJ and the like: exact, so that any split of an interval sums to the same.
    phase: [Micro; 3],
    total: Micro,
    sums: Sums,
    window_samples: u64,
    windows: u64,
    inputs: u32,
    second: Second,
    boots: u32,
    boot_id: u32,
    cause: ResetCause,
    down_boot_us: u64,
    down_us: u64,
    history_last: u64,
    event_last: u64,
    out: VecDeque<Item>,
    /// While the host is away: until when, and what waits.
    away: Option<(u64, VecDeque<Item>)>,
    next_billing: u64,
    finished: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Micro {
    a: [u128; 2],
    r: [u128; 4],
    e: [u128; 2],
}

/// Power of one phase or of the total, mW, mvar, mVA.
#[derive(Clone, Copy, Debug, Default)]
struct Milli {
    p: i64,
    q: i64,
    s: i64,
}

impl Micro {
    /// Adds a power for a time in samples (8 per millisecond: mW × samples / 8 = µJ, kept in eighths).
    fn add(&mut self, m: Milli, samples: u64) {
        let eighths = |x: i64| u128::from(x.unsigned_abs()) * u128::from(samples);
        let export = usize::from(m.p < 0);
        self.a[export] += eighths(m.p);
        self.e[export] += eighths(m.s);
        let quadrant = match (m.p >= 0, m.q >= 0) {
            (true, true) => 0,
            (false, true) => 1,
            (false, false) => 2,
            (true, false) => 3,
        };
        self.r[quadrant] += eighths(m.q);
    }

    fn set(&self) -> EnergySet {
        let milli = |x: u128| u64::try_from(x / u128::from(RATE)).unwrap_or(u64::MAX);
        EnergySet {
            a_plus: milli(self.a[0]),
            a_minus: milli(self.a[1]),
            r: self.r.map(milli),
            e_plus: milli(self.e[0]),
            e_minus: milli(self.e[1]),
        }
    }
}

impl Life {
    /// Begins a life.
    pub fn new(options: &LifeOptions) -> Life {
        let config = options.meter_type.config();
        let ratio = if options.meter_type.transformers() { options.scenario.ct_ratio } else { 1.0 };
        let mut scenario = options.scenario.clone();
        let mut for_circuit = scenario.clone();
        // A minute has one power, so what is shorter than a minute is left out, and outages of the whole supply are
        // down-time instead.
        for_circuit.disturbances.retain(|d| d.duration >= 60.0 && !is_blackout(d, config.topology));
        let hold_up = scenario.supply.hold_up_ms / 1e3;
        scenario.disturbances.retain(|d| is_blackout(d, config.topology) && d.duration > hold_up);
        let mut bytes = vec![0; MeterConfig::LEN + Calibration::LEN];
        let n = encode(&config, &mut bytes);
        encode(&Calibration::default(), &mut bytes[n..]);
        let grid =
            Grid { id: 0, anchor: 0, utc_us: options.start_us, rate_q16: RATE << 16, quality: ClockQuality::Valid };
        let mut life = Life {
            circuit: Circuit::new(&for_circuit, config.topology, options.seed, ratio),
            scenario,
            config,
            config_hash: Sha256::digest(&bytes).into(),
            seed: options.seed,
            start_us: options.start_us,
            end: u64::from(options.days) * 86_400 * RATE,
            faults: plan(options),
            t: 0,
            grid,
            next_minute: minute(&grid, 0) + 1,
            phase: [Micro::default(); 3],
            total: Micro::default(),
            sums: Sums::default(),
            window_samples: 0,
            windows: 0,
            inputs: 0,
            second: Second::default(),
            boots: 0,
            boot_id: 0,
            cause: ResetCause::PowerOn,
            down_boot_us: 0,
            down_us: 0,
            history_last: 0,
            event_last: 0,
            out: VecDeque::new(),
            away: None,
            next_billing: 3600 * RATE,
            finished: false,
        };
        life.boot(ResetCause::PowerOn, 0);
        life
    }

    /// The configuration of the simulated coprocessor.
    pub fn config(&self) -> &MeterConfig {
        &self.config
    }

    /// Part of the life that is over, 0 to 1.
    pub fn progress(&self) -> f64 {
        if self.end == 0 { 1.0 } else { self.t as f64 / self.end as f64 }
    }

    /// The counters as they stand: what the registers must come to.
    pub fn counters(&self) -> Counters {
        Counters { phase: std::array::from_fn(|k| self.phase[k].set()), total: self.total.set() }
    }

    /// Identity, as of now.
    pub fn hello(&self) -> Hello {
        let first = |last: u64| if last == 0 { 0 } else { last.saturating_sub(RING as u64 - 1).max(1) };
        Hello {
            protocol: metrology_link::PROTOCOL,
            boot_id: self.boot_id,
            device_id: noise::mix(self.seed ^ 0xD1CE).to_le_bytes(),
            firmware_id: Sha256::digest(concat!("load model ", env!("CARGO_PKG_VERSION")).as_bytes()).into(),
            firmware_version: 1 << 8,
            topology: self.config.topology,
            method: self.config.method,
            rate_hz: self.config.rate_hz,
            f_nominal: self.config.f_nominal,
            channels: self.config.channels,
            grid: self.grid,
            rtc_us: self.grid.utc_us_at(self.t),
            rtc_quality: ClockQuality::Valid,
            config_hash: self.config_hash,
            boots: self.boots,
            reset_cause: self.cause,
            down_us: self.down_boot_us,
            history_first: first(self.history_last),
            history_last: self.history_last,
            event_first: first(self.event_last),
            event_last: self.event_last,
            events_lost: 0,
            report_first: 0,
            report_last: 0,
            reports_lost: 0,
            memory_reset: self.boots == 1,
            last_cmd: 0,
        }
    }

    /// Cumulative and last values, as of now.
    pub fn billing(&self) -> Billing {
        Billing {
            snapshot: self.snapshot(),
            second: self.second,
            history_last: self.history_last,
            event_last: self.event_last,
            grid: self.grid,
        }
    }

    fn snapshot(&self) -> Snapshot {
        let mut hash = [0; 8];
        hash.copy_from_slice(&self.config_hash[..8]);
        Snapshot {
            t_samples: self.t,
            window: self.windows,
            counters: self.counters(),
            sums: self.sums,
            inputs: Inputs(self.inputs),
            pulses: self.pulses(),
            boots: self.boots,
            down_us: self.down_us,
            clipped_windows: 0,
            lost_samples: 0,
            suspect_windows: 0,
            config_hash: hash,
        }
    }

    /// Seconds since the beginning.
    fn seconds(&self) -> f64 {
        self.t as f64 / RATE as f64
    }

    fn pulses(&self) -> [u64; PULSE_INPUTS] {
        let t = self.seconds() + 1e-6;
        let mut counts = [0; PULSE_INPUTS];
        for input in self.scenario.inputs.iter().filter(|i| t >= i.at) {
            if let Some(k) = pulse_index(input.input) {
                counts[k] += 1 + input.every.map_or(0, |period| ((t - input.at) / period) as u64);
            }
        }
        counts
    }

    fn levels(&self) -> u32 {
        // The tolerance of `next_edge`: an edge that was reached counts as passed, whatever rounding says.
        let t = self.seconds() + 1e-6;
        let active = self.scenario.inputs.iter().filter(|i| running(i.at, i.every, i.duration, t));
        let mut bits = active.filter_map(|i| input_bit(i.input)).fold(0, |bits, bit| bits | bit);
        if self.config.breaker {
            bits |= Inputs::BREAKER_CLOSED;
        }
        bits
    }

    fn emit(&mut self, item: Item) {
        let Some((_, waiting)) = &mut self.away else {
            self.out.push_back(item);
            return;
        };
        match &item {
            // A host that comes back gets the newest hello only, and first.
            Item::Hello(_) => {
                waiting.retain(|i| !matches!(i, Item::Hello(_)));
                waiting.push_front(item);
            }
            Item::Billing(_) => {}
            _ => waiting.push_back(item),
        }
    }

    fn history(&mut self, kind: HistoryKind, minute: i64, old_utc_us: i64) {
        self.history_last += 1;
        let record = HistoryRecord {
            seq: self.history_last,
            kind,
            minute,
            grid: self.grid,
            old_utc_us,
            snapshot: self.snapshot(),
        };
        self.emit(Item::History(record));
    }

    fn event(&mut self, code: EventCode, args: [i64; 4]) {
        self.event_last += 1;
        let utc_us = self.grid.utc_us_at(self.t);
        let record = EventRecord {
            seq: self.event_last,
            boot_id: self.boot_id,
            t_samples: self.t,
            utc_us,
            code,
            phase: 0,
            args,
        };
        self.emit(Item::Event(record));
    }

    /// A start, after `down` samples in the dark.
    fn boot(&mut self, cause: ResetCause, down: u64) {
        self.t += down;
        self.boots += 1;
        self.boot_id = (noise::mix(self.seed ^ u64::from(self.boots)) as u32).max(1);
        self.cause = cause;
        self.down_boot_us = down * 1_000_000 / RATE;
        self.down_us += self.down_boot_us;
        self.inputs = self.levels();
        self.window_samples = 0;
        self.next_minute = minute(&self.grid, self.t) + 1;
        self.history(HistoryKind::Boot, minute(&self.grid, self.t), 0);
        let args = [i64::from(self.boots), cause as i64, self.down_boot_us.cast_signed(), i64::from(self.boots == 1)];
        self.event(EventCode::BOOT, args);
        // The hello tells the ranges with the record of the start in them, and arrives before the records.
        let hello = Item::Hello(self.hello());
        match &mut self.away {
            None => {
                let at = self.out.len() - 2;
                self.out.insert(at, hello);
            }
            Some(_) => self.emit(hello),
        }
    }

    fn upcoming(&self) -> (u64, Next) {
        let mut best = (self.end.max(self.t), Next::End);
        let mut offer = |at: u64, what: Next| {
            // The last minute of the life is complete: its record belongs to it.
            let last_minute = at == best.0 && (best.1, what) == (Next::End, Next::Minute);
            if at < best.0 || last_minute {
                best = (at.max(self.t), what);
            }
        };
        let t = self.seconds();
        let sample = |seconds: f64| if seconds.is_finite() { (seconds * RATE as f64).ceil() as u64 } else { u64::MAX };
        for d in &self.scenario.disturbances {
            // One that began in the dark is over; the next one counts.
            let begins = next_start(d.at, d.every, t);
            let end = begins + d.duration + self.scenario.supply.boot_ms / 1e3;
            offer(sample(begins), Next::Outage { end: sample(end) });
        }
        if let Some((at, fault)) = self.faults.front() {
            offer(*at, Next::Fault(*fault));
        }
        for input in self.scenario.inputs.iter().filter(|i| pulse_index(i.input).is_none()) {
            offer(sample(next_edge(input.at, input.every, input.duration.unwrap_or(f64::INFINITY), t)), Next::Edge);
        }
        offer(self.grid.sample_at(self.next_minute * MINUTE_US), Next::Minute);
        best
    }

    /// Lives on to the next thing that happens.
    fn advance(&mut self) {
        let (at, what) = self.upcoming();
        self.integrate(at - self.t);
        self.t = at;
        match what {
            Next::Minute => {
                let minute = self.next_minute;
                self.next_minute += 1;
                self.history(HistoryKind::Minute, minute, 0);
            }
            Next::Edge => self.edge(),
            Next::Outage { end } => self.outage(end),
            Next::Fault(fault) => {
                self.faults.pop_front();
                self.fault(fault);
            }
            Next::End => self.finished = true,
        }
        if self.away.as_ref().is_some_and(|(until, _)| self.finished || self.t >= *until) {
            self.come_back();
        }
        if self.t >= self.next_billing || self.finished {
            self.next_billing = self.t + 3600 * RATE;
            self.emit(Item::Billing(self.billing()));
        }
    }

    fn edge(&mut self) {
        let levels = self.levels();
        let changed = levels ^ self.inputs;
        self.inputs = levels;
        if changed & Inputs::TARIFF != 0 {
            self.history(HistoryKind::InputEdge, minute(&self.grid, self.t), 0);
        }
        if changed != 0 {
            self.event(EventCode::INPUTS_CHANGED, [i64::from(levels), i64::from(changed), 0, 0]);
        }
    }

    fn outage(&mut self, end: u64) {
        self.inputs |= Inputs::POWER_FAIL;
        self.history(HistoryKind::PowerFail, minute(&self.grid, self.t), 0);
        self.event(EventCode::POWER_FAIL, [0; 4]);
        let end = end.min(self.end).max(self.t + 1);
        self.boot(ResetCause::PowerOn, end - self.t);
        // What should have happened in the dark did not.
        while self.faults.front().is_some_and(|(at, _)| *at <= self.t) {
            self.faults.pop_front();
        }
    }

    fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::Outage { seconds } => self.outage(self.t + (seconds * RATE as f64) as u64),
            // 40 ms of start and the window that was open, as the virtual coprocessor has it.
            Fault::Reset => self.boot(ResetCause::Watchdog, RATE * 24 / 100),
            Fault::Clock { step_us } => {
                let utc_us = self.grid.utc_us_at(self.t) + step_us;
                let id = self.grid.id + 1;
                self.change_grid(Grid { id, anchor: self.t, utc_us, ..self.grid });
            }
            Fault::HostAway { seconds } => {
                let until = self.t + (seconds * RATE as f64) as u64;
                self.away.get_or_insert((until, VecDeque::new()));
            }
        }
    }

    /// Another grid comes into force, as on registerd's command.
    fn change_grid(&mut self, grid: Grid) {
        let old = std::mem::replace(&mut self.grid, grid);
        let (old_utc, new_utc) = (old.utc_us_at(self.t), grid.utc_us_at(self.t));
        let (before, after) = (minute(&old, self.t), minute(&grid, self.t));
        self.next_minute = after + 1;
        self.history(HistoryKind::GridChange, after, old_utc);
        if after > before {
            self.history(HistoryKind::Minute, after, 0);
        }
        let args = [i64::from(grid.id), new_utc - old_utc, grid.rate_q16.cast_signed(), 0];
        self.event(EventCode::GRID_SET, args);
    }

    fn come_back(&mut self) {
        let Some((_, waiting)) = self.away.take() else { return };
        let records = waiting.iter().filter(|i| matches!(i, Item::History(_))).count();
        let mut lost = records.saturating_sub(RING);
        let mut gap: Option<(u64, u64)> = None;
        for item in waiting {
            match item {
                Item::History(record) if lost > 0 => {
                    lost -= 1;
                    gap = Some((gap.map_or(record.seq, |g| g.0), record.seq));
                }
                item => {
                    if let (Item::History(_), Some((from, to))) = (&item, gap.take_if(|_| lost == 0)) {
                        self.out.push_back(Item::HistoryLost { from, to });
                    }
                    self.out.push_back(item);
                }
            }
        }
    }

    /// Adds `samples` of the power at their middle.
    fn integrate(&mut self, samples: u64) {
        if samples == 0 {
            return;
        }
        let t = (self.t + samples / 2) as f64 / RATE as f64;
        let utc = self.start_us as f64 / 1e6 + t;
        let span = self.circuit.span(t, utc, RATE as f64, 1, true);
        let power = span.power.map(milli);
        let mut total = Milli::default();
        for (k, m) in power.iter().enumerate() {
            let counts = m.p.unsigned_abs() >= u64::from(self.config.start_mw)
                || m.q.unsigned_abs() >= u64::from(self.config.start_mw);
            if !counts {
                continue;
            }
            self.phase[k].add(*m, samples);
            if self.config.method == Method::PerPhase {
                self.total.add(*m, samples);
            }
            total = Milli { p: total.p + m.p, q: total.q + m.q, s: total.s + m.s };
        }
        if self.config.method == Method::Vector {
            total.s = ((total.p as f64).powi(2) + (total.q as f64).powi(2)).sqrt().round() as i64;
            self.total.add(total, samples);
        }
        self.window_samples += samples;
        let windows = self.window_samples / WINDOW;
        self.window_samples %= WINDOW;
        self.windows += windows;
        self.means(&span.amplitude[0], span.f, &power, total, windows);
    }

    /// Sums for means, and the one-second values.
    #[allow(clippy::needless_range_loop)] // k names the phase in several arrays
    fn means(&mut self, first: &[crate::load::Complex], f: f64, power: &[Milli; 3], total: Milli, windows: u64) {
        let rms = |k: usize, unit: f64| {
            (first.get(k).map_or(0.0, |c| c.length()) / std::f64::consts::SQRT_2 * unit).round() as u64
        };
        let mut valid = Valid::F;
        for k in 0..3 {
            if self.config.channels & (1 << k) == 0 {
                continue;
            }
            let m = power[k];
            let (u_mv, i_ua) = (rms(k, 1e3), rms(3 + k, 1e6));
            let sums = &mut self.sums.phase[k];
            sums.windows += windows;
            sums.u_mv += u_mv * windows;
            sums.i_ua += i_ua * windows;
            let phase = &mut self.second.phase[k];
            phase.u_mv = u_mv as u32;
            phase.i_ua = i_ua as u32;
            (phase.p_mw, phase.q_mvar, phase.s_mva) = (m.p as i32, m.q as i32, m.s as u32);
            valid |= (Valid::U | Valid::I) << k;
            if m.s >= i64::from(self.config.start_mw) {
                phase.pf_ppm = (m.p * 1_000_000 / m.s) as i32;
                sums.pf_windows += windows;
                sums.pf_ppm += i64::from(phase.pf_ppm) * windows.cast_signed();
                valid |= Valid::PF << k;
            }
        }
        let f_uhz = (f * 1e6).round() as u64;
        self.sums.f_windows += windows;
        self.sums.f_uhz += f_uhz * windows;
        self.second.number = self.t / RATE + 1;
        self.second.t_samples = self.t;
        (self.second.p_mw, self.second.q_mvar, self.second.s_mva) = (total.p, total.q, total.s.unsigned_abs());
        if total.s > 0 {
            self.second.pf_ppm = (total.p * 1_000_000 / total.s) as i32;
            valid |= Valid::PF_TOTAL;
        }
        self.second.f_uhz = f_uhz as u32;
        self.second.valid = Valid(valid);
    }
}

impl Iterator for Life {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.out.pop_front() {
                return Some(item);
            }
            if self.finished {
                return None;
            }
            self.advance();
        }
    }
}

fn minute(grid: &Grid, t: u64) -> i64 {
    grid.utc_us_at(t).div_euclid(MINUTE_US)
}

fn milli(e: ElementPower) -> Milli {
    let round = |x: f64| (x * 1e3).round() as i64;
    // Rounding must not make the apparent power smaller than the active.
    Milli { p: round(e.p), q: round(e.q), s: round(e.s).max(round(e.p).abs()) }
}

/// Whether all voltages of the meter are gone.
fn is_blackout(d: &crate::scenario::Disturbance, topology: Topology) -> bool {
    let needed: &[u8] = if topology == Topology::OnePhase { &[1] } else { &[1, 2, 3] };
    d.kind == DisturbanceKind::Outage && needed.iter().all(|p| d.phases.contains(p))
}

/// The next beginning at or after `t` (with a µs of tolerance), infinite when there is none.
fn next_start(at: f64, every: Option<f64>, t: f64) -> f64 {
    if t <= at + 1e-6 {
        return at;
    }
    every.map_or(f64::INFINITY, |period| at + ((t - at - 1e-6) / period).ceil() * period)
}

/// Draws all faults of a life: for each kind, four chances a day.
fn plan(options: &LifeOptions) -> VecDeque<(u64, Fault)> {
    let rates = PER_YEAR[usize::from(options.faults.min(MAX_FAULTS))];
    let mut faults = Vec::new();
    for (kind, per_year) in rates.into_iter().enumerate() {
        let chance = per_year / 365.0 / 4.0;
        for slot in 0..i64::from(options.days) * 4 {
            let draw = |n: u64| noise::unit(options.seed, 700 + 10 * kind as u64 + n, slot);
            if draw(0) >= chance {
                continue;
            }
            let at = ((slot as f64 + draw(1)) * 21_600.0 * RATE as f64) as u64;
            // From 2 s to 3 h and from 2 h to 15 h, evenly over the logarithm.
            let spread = |shortest: f64, longest: f64| shortest * (longest / shortest).powf(draw(2));
            faults.push((
                at,
                match kind {
                    0 => Fault::Outage { seconds: spread(2.0, 10_800.0) },
                    1 => Fault::Reset,
                    2 => Fault::Clock { step_us: ((draw(2) - 0.5) * 40e6) as i64 },
                    _ => Fault::HostAway { seconds: spread(7_200.0, 54_000.0) },
                },
            ));
        }
    }
    faults.sort_by_key(|(at, _)| *at);
    faults.into()
}

#[cfg(test)]
mod tests;
