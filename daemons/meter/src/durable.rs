//! The settled state: everything the meter must find again after a power cut.
//!
//! Layout, little endian, fixed length, every value in its place (the store adds its own numbers and CRCs). What changes
//! with every record comes first and fits into one slot of the register ring ([`Durable::FAST`] bytes); then what
//! changes with an interval, with a tariff switch, and with the configuration. The registers of the tariff in force
//! stand in the first part and are zero in the table of all tariffs, so that a minute changes the first part only.
//!
//! | bytes | what |
//! |---|---|
//! | 1, 1 | version = 2; flags: 0 = CT, 1 = interval open, 2 = change pending, 3 = it has parameters, 4 = it is a debiting stop, 5 = tariffs wait, 6 = means, 7 = a day |
//! | 8, 8, 8, 1, 4 | history record, sample clock, meter time µs, its quality, grid id |
//! | 4, 8, 8, 4, 8, 8, 4 | boots, down-time µs, clipped and suspect windows, lost samples, configuration hash, inputs |
//! | 8, 4 | next event; interval status |
//! | 4 × 64 | counters of the metrology at the settled record: L1, L2, L3, total |
//! | 4 × 64 | registers (primary on CT meters) |
//! | 64 | secondary total registers (CT), else zero |
//! | 1, 48, 48 | tariff in force, its registers, its secondary registers: A+, A-, R+, R-, E+, E- |
//! | 8, 8 | metered time µs: all, in the tariff in force |
//! | 4 × 8, 4 × 8 | pulse registers, pulse counters of the metrology |
//! | | *here ends the first part, filled with zeros to 844 bytes* |
//! | 6 × 40 | per logger: next row u64, head 32 |
//! | 8, 8, 8 | interval: start, start on the sample clock, boundary minute |
//! | 3 × 32, 12 | sums at its start: windows u32, U u64, I u64, PF windows u32, PF i64; f windows u32, f u64 |
//! | 48, 8 × 48 | registers at its start: total, per tariff |
//! | 56, 8, 6 × 16 | means and their end; peaks since; peaks: mW, time |
//! | 28 × 16, 48 | peaks per tariff; accumulated peaks |
//! | 4, 32, 4 | day of the daily values; highest, lowest; threshold counter |
//! | 4, 8, 8 | debiting periods; next stop, next row of logger 2 (minutes of normal time, `i64::MAX` = none) |
//! | 8 × 48, 8 × 48, 8 × 8 | registers, secondary registers and metered time per tariff |
//! | 8, 4, 6 × 8 | device id, boot id; trip counters' begin |
//! | 17, 17 | parameters as configured, in force |
//! | 29, 17 | pending grid: id u32, anchor u64, utc i64, rate u64, quality u8; pending parameters |
//! | 8 | fingerprint of the tariffs as configured |
//! | 1339 | tariffs in force |
//! | 8, 8, 1339 | tariffs that wait: from this sample, from this minute of normal time, what |

use meter_model::{ClockQuality, Date, Status, Utc};
use metrology_link::payload::{Counters, EnergySet, Grid, Inputs, PULSE_INPUTS};

use crate::debiting::{Cycle, Schedule};
use crate::demand::{ACCUMULATED, DayExtremes, Demand, Peak, TARIFF_PEAKS};
use crate::energy::{self, DIRECTIONS, Directions};
use crate::interval::{Interval, MeanSums, PhaseMeanSums};
use crate::logger::{Cursor, LOGS, LoggerId};
use crate::settings::{MeterType, Params};
use crate::tariff::{Choice, TARIFFS, TARIFFS_BYTES, Tariff, Tariffs};

const VERSION: u8 = 2;

/// Tariffs that are accepted and wait for their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passive {
    /// Not before this sample: records that were stored before the tariffs were accepted stay with the tariffs before.
    pub after_t: u64,
    /// Not before this minute of normal time (since 1970); `i64::MIN` = at once.
    pub minute: i64,
    /// The tariffs.
    pub tariffs: Tariffs,
}

/// A change on its way to the coprocessor. It comes into force at the first history record under its grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The grid that carries it. For a change of parameters only the number is new, the line is the old one.
    pub grid: Grid,
    /// Parameters that come into force with it.
    pub params: Option<Params>,
    /// A debiting stop comes with it.
    pub debiting_stop: bool,
}

/// The settled state. It advances at history records only; see the crate's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durable {
    /// Whether registers are primary values behind current transformers.
    pub ct: bool,
    /// The coprocessor the counters are of.
    pub device_id: [u8; 8],
    /// Its boot; 0 = no coprocessor has been met.
    pub boot_id: u32,
    /// The settled history record; 0 = none.
    pub seq: u64,
    /// Its sample clock.
    pub t_samples: u64,
    /// Its meter time.
    pub utc: Utc,
    /// The quality of that.
    pub quality: ClockQuality,
    /// The grid in force then.
    pub grid_id: u32,
    /// Starts of the coprocessor.
    pub boots: u32,
    /// Its time without metering, µs.
    pub down_us: u64,
    /// Its windows with clipped samples.
    pub clipped: u64,
    /// Its windows with suspect samples.
    pub suspect: u32,
    /// Its lost samples.
    pub lost: u64,
    /// Hash of its configuration and calibration.
    pub config_hash: [u8; 8],
    /// The next event wanted.
    pub event_next: u64,
    /// Parameters as the configuration last said.
    pub configured: Params,
    /// Parameters in force.
    pub params: Params,
    /// A change on its way.
    pub pending: Option<Pending>,
    /// The open interval, `None` before the first record and after a change of coprocessor.
    pub interval: Option<Interval>,
    /// Status that the next interval begins with while none is open.
    pub carry: Status,
    /// Where each logger stands.
    pub cursors: [Cursor; LOGS],
    /// The coprocessor's counters at the settled record, mJ.
    pub counters: Counters,
    /// The registers, mJ: primary values on CT meters.
    pub registers: Counters,
    /// The secondary total registers of a CT meter, mJ; zero on direct meters.
    pub secondary: EnergySet,
    /// The tariff in force since the settled record.
    pub tariff: Tariff,
    /// Inputs at the settled record.
    pub inputs: Inputs,
    /// Registers per tariff, mJ (primary on CT meters). Their sum is the total's advance since the first record.
    pub by_tariff: [Directions; TARIFFS],
    /// Secondary registers per tariff of a CT meter, mJ; zero on direct meters.
    pub secondary_by_tariff: [Directions; TARIFFS],
    /// Metered time, µs.
    pub metered_us: u64,
    /// Metered time per tariff, µs.
    pub metered_by_tariff: [u64; TARIFFS],
    /// Pulse registers.
    pub pulses: [u64; PULSE_INPUTS],
    /// The coprocessor's pulse counters at the settled record.
    pub pulse_counters: [u64; PULSE_INPUTS],
    /// Means and peaks.
    pub demand: Demand,
    /// Debiting stops so far.
    pub debiting_periods: u32,
    /// The next automatic debiting stop, minutes of normal time; `None` = none, or not known yet.
    pub debiting_next: Option<i64>,
    /// The next row of debiting logger 2; `None` = not known yet.
    pub debiting_2_next: Option<i64>,
    /// Where each trip counter began, mJ: A+, A-, R+, R-, E+, E-.
    pub trip: Directions,
    /// Fingerprint of the tariffs as the configuration last said; 0 = it said none.
    pub configured_tariffs: u64,
    /// Tariffs in force.
    pub tariffs: Tariffs,
    /// Tariffs that wait.
    pub passive: Option<Passive>,
}

/// Stored bytes are no settled state. The store's fault (a damaged slot) or a downgrade; the meter does not use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurableError {
    /// Written by a newer or unknown version.
    #[error("settled state has version {0}, this software reads {VERSION}")]
    Version(u8),
    /// Wrong length.
    #[error("settled state has {0} bytes instead of {len}", len = Durable::BYTES)]
    Length(usize),
    /// A field holds what the encoder never writes.
    #[error("settled state holds an impossible value in {0}")]
    Impossible(&'static str),
}

impl Durable {
    /// Length of the first part: what the head slot of the register ring takes.
    pub const FAST: usize = 844;
    /// Encoded length.
    pub const BYTES: usize = Self::FAST
        + LOGS * 40
        + 24
        + 108
        + (TARIFFS + 1) * SET
        + (SET + 8 + 8)
        + 16 * (DIRECTIONS + TARIFF_PEAKS)
        + 8 * ACCUMULATED
        + 40
        + 20
        + 2 * TARIFFS * SET
        + 8 * TARIFFS
        + 12
        + SET
        + 2 * PARAMS
        + 29
        + PARAMS
        + 8
        + TARIFFS_BYTES
        + 16
        + TARIFFS_BYTES;

    /// The state of a meter that has met no coprocessor.
    pub fn new(ct: bool, params: Params) -> Durable {
        Durable {
            ct,
            device_id: [0; 8],
            boot_id: 0,
            seq: 0,
            t_samples: 0,
            utc: Utc(0),
            quality: ClockQuality::Invalid,
            grid_id: 0,
            boots: 0,
            down_us: 0,
            clipped: 0,
            suspect: 0,
            lost: 0,
            config_hash: [0; 8],
            event_next: 1,
            configured: params,
            params,
            pending: None,
            interval: None,
            carry: Status(0),
            cursors: LoggerId::ALL.map(Cursor::new),
            counters: Counters::default(),
            registers: Counters::default(),
            secondary: EnergySet::default(),
            tariff: Tariff::FIRST,
            inputs: Inputs::default(),
            by_tariff: [Directions::default(); TARIFFS],
            secondary_by_tariff: [Directions::default(); TARIFFS],
            metered_us: 0,
            metered_by_tariff: [0; TARIFFS],
            pulses: [0; PULSE_INPUTS],
            pulse_counters: [0; PULSE_INPUTS],
            demand: Demand::default(),
            debiting_periods: 0,
            debiting_next: None,
            debiting_2_next: None,
            trip: Directions::default(),
            configured_tariffs: 0,
            tariffs: Tariffs::default(),
            passive: None,
        }
    }

    /// The bytes, [`Durable::BYTES`] of them.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer(Vec::with_capacity(Durable::BYTES));
        self.encode_fast(&mut w);
        w.0.resize(Durable::FAST, 0);
        for cursor in &self.cursors {
            w.u64(cursor.next);
            w.bytes(&cursor.head);
        }
        w.interval(&self.interval.unwrap_or(Interval::NONE));
        w.demand(&self.demand);
        w.u32(self.debiting_periods);
        w.i64(self.debiting_next.unwrap_or(i64::MAX));
        w.i64(self.debiting_2_next.unwrap_or(i64::MAX));
        let others = |n: &usize| *n != self.tariff.index();
        for table in [&self.by_tariff, &self.secondary_by_tariff] {
            for n in 0..TARIFFS {
                w.directions(Some(n).filter(others).map_or(&[0; DIRECTIONS], |n| &table[n]));
            }
        }
        for n in 0..TARIFFS {
            w.u64(Some(n).filter(others).map_or(0, |n| self.metered_by_tariff[n]));
        }
        w.bytes(&self.device_id);
        w.u32(self.boot_id);
        w.directions(&self.trip);
        w.params(&self.configured);
        w.params(&self.params);
        let none = Pending { grid: Grid::default(), params: None, debiting_stop: false };
        let pending = self.pending.unwrap_or(none);
        w.u32(pending.grid.id);
        w.u64(pending.grid.anchor);
        w.i64(pending.grid.utc_us);
        w.u64(pending.grid.rate_q16);
        w.u8(pending.grid.quality as u8);
        w.params(&pending.params.unwrap_or_default());
        w.u64(self.configured_tariffs);
        self.tariffs.encode(&mut w.0);
        let passive = self.passive.unwrap_or(Passive { after_t: 0, minute: 0, tariffs: Tariffs::default() });
        w.u64(passive.after_t);
        w.i64(passive.minute);
        passive.tariffs.encode(&mut w.0);
        w.0
    }

    fn encode_fast(&self, w: &mut Writer) {
        let flags = [
            self.ct,
            self.interval.is_some(),
            self.pending.is_some(),
            self.pending.is_some_and(|p| p.params.is_some()),
            self.pending.is_some_and(|p| p.debiting_stop),
            self.passive.is_some(),
            self.demand.mean.is_some(),
            self.demand.day.is_some(),
        ];
        w.u8(VERSION);
        w.u8(flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag)));
        w.u64(self.seq);
        w.u64(self.t_samples);
        w.i64(self.utc.0);
        w.u8(self.quality as u8);
        w.u32(self.grid_id);
        w.u32(self.boots);
        w.u64(self.down_us);
        w.u64(self.clipped);
        w.u32(self.suspect);
        w.u64(self.lost);
        w.bytes(&self.config_hash);
        w.u32(self.inputs.0);
        w.u64(self.event_next);
        w.u32(self.interval.map_or(self.carry, |i| i.status).0);
        let sets = energy::sets(&self.counters).into_iter().chain(energy::sets(&self.registers));
        for value in sets.chain([&self.secondary]).flat_map(energy::values) {
            w.u64(value);
        }
        let t = self.tariff.index();
        w.u8(t as u8);
        w.directions(&self.by_tariff[t]);
        w.directions(&self.secondary_by_tariff[t]);
        w.u64(self.metered_us);
        w.u64(self.metered_by_tariff[t]);
        self.pulses.iter().chain(&self.pulse_counters).for_each(|v| w.u64(*v));
    }

    /// The inverse of [`Durable::encode`].
    ///
    /// # Errors
    /// See [`DurableError`]; any bytes are safe to try.
    pub fn decode(bytes: &[u8]) -> Result<Durable, DurableError> {
        match bytes.first() {
            Some(&VERSION) if bytes.len() == Durable::BYTES => {}
            Some(&version) if version != VERSION => return Err(DurableError::Version(version)),
            _ => return Err(DurableError::Length(bytes.len())),
        }
        let (fast, slow) = bytes.split_at(Durable::FAST);
        let r = &mut Reader(fast.get(1..).unwrap_or_default());
        let flags = r.u8();
        let [ct, open, pending, with_params, with_stop, waits, means, day] =
            [0, 1, 2, 3, 4, 5, 6, 7].map(|bit| flags >> bit & 1 == 1);
        // Struct fields are evaluated in the order written: the order of the layout.
        let mut d = Durable {
            seq: r.u64(),
            t_samples: r.u64(),
            utc: Utc(r.i64()),
            quality: quality(r.u8())?,
            grid_id: r.u32(),
            boots: r.u32(),
            down_us: r.u64(),
            clipped: r.u64(),
            suspect: r.u32(),
            lost: r.u64(),
            config_hash: r.array(),
            inputs: Inputs(r.u32()),
            event_next: r.u64(),
            carry: Status(r.u32()),
            counters: r.counters(),
            registers: r.counters(),
            secondary: r.set(),
            ..Durable::new(ct, Params::default())
        };
        d.tariff = r.u8().checked_add(1).and_then(Tariff::new).ok_or(DurableError::Impossible("tariff"))?;
        let (in_force, secondary_in_force) = (r.directions(), r.directions());
        d.metered_us = r.u64();
        let metered_in_force = r.u64();
        d.pulses = r.u64s();
        d.pulse_counters = r.u64s();
        if r.0.iter().any(|b| *b != 0) {
            return Err(DurableError::Impossible("filling"));
        }

        let r = &mut Reader(slow);
        for cursor in &mut d.cursors {
            *cursor = Cursor { next: r.u64(), head: r.array() };
        }
        let interval = Interval { status: d.carry, ..r.interval() };
        d.interval = open.then_some(interval);
        d.carry = if open { Status(0) } else { d.carry };
        d.demand = r.demand(means, day);
        d.debiting_periods = r.u32();
        d.debiting_next = r.minute();
        d.debiting_2_next = r.minute();
        d.by_tariff = [(); TARIFFS].map(|()| r.directions());
        d.secondary_by_tariff = [(); TARIFFS].map(|()| r.directions());
        d.metered_by_tariff = r.u64s();
        let t = d.tariff.index();
        let others_only = d.by_tariff[t] == [0; DIRECTIONS] && d.secondary_by_tariff[t] == [0; DIRECTIONS];
        if !others_only || d.metered_by_tariff[t] != 0 {
            return Err(DurableError::Impossible("tariff registers"));
        }
        d.by_tariff[t] = in_force;
        d.secondary_by_tariff[t] = secondary_in_force;
        d.metered_by_tariff[t] = metered_in_force;
        d.device_id = r.array();
        d.boot_id = r.u32();
        d.trip = r.directions();
        d.configured = r.params()?;
        d.params = r.params()?;
        let grid = Grid {
            id: r.u32(),
            anchor: r.u64(),
            utc_us: r.i64(),
            rate_q16: r.u64(),
            quality: link_quality(quality(r.u8())?),
        };
        let params = r.params()?;
        let change = Pending { grid, params: with_params.then_some(params), debiting_stop: with_stop };
        d.pending = pending.then_some(change);
        d.configured_tariffs = r.u64();
        d.tariffs = r.tariffs()?;
        let passive = Passive { after_t: r.u64(), minute: r.i64(), tariffs: r.tariffs()? };
        d.passive = waits.then_some(passive);

        let pending = d.pending.and_then(|p| p.params);
        let mut params = [d.params, d.configured].into_iter().chain(pending);
        let meter_type = if ct { MeterType::Ct } else { MeterType::ThreePhase };
        if params.any(|p| p.check(meter_type).is_err()) {
            return Err(DurableError::Impossible("parameters"));
        }
        if d.event_next == 0 || d.cursors.iter().any(|c| c.next == 0) {
            return Err(DurableError::Impossible("cursors"));
        }
        Ok(d)
    }
}

/// Bytes of [`Directions`].
const SET: usize = 8 * DIRECTIONS;
/// Bytes of parameters.
const PARAMS: usize = 17;

fn quality(code: u8) -> Result<ClockQuality, DurableError> {
    match code {
        0 => Ok(ClockQuality::Invalid),
        1 => Ok(ClockQuality::Holdover),
        2 => Ok(ClockQuality::Valid),
        _ => Err(DurableError::Impossible("clock quality")),
    }
}

fn link_quality(q: ClockQuality) -> metrology_link::payload::ClockQuality {
    use metrology_link::payload::ClockQuality as Link;
    match q {
        ClockQuality::Invalid => Link::Invalid,
        ClockQuality::Holdover => Link::Holdover,
        ClockQuality::Valid => Link::Valid,
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
    fn u8(&mut self, v: u8) {
        self.0.push(v);
    }
    fn u32(&mut self, v: u32) {
        self.bytes(&v.to_le_bytes());
    }
    fn u64(&mut self, v: u64) {
        self.bytes(&v.to_le_bytes());
    }
    fn i64(&mut self, v: i64) {
        self.bytes(&v.to_le_bytes());
    }
    fn params(&mut self, p: &Params) {
        self.u8(p.period_min);
        self.bytes(&p.ct_ratio.to_le_bytes());
        self.bytes(&p.offset_min.to_le_bytes());
        self.u8(p.choice.on_demand.number());
        self.u8(p.choice.plan);
        self.bytes(&[p.debiting.day, p.debiting.months, p.debiting.first]);
        self.u8(p.debiting_2 as u8);
        self.u8(p.debiting_pulse.into());
        self.u32(p.threshold_w);
        self.u8(p.clock_filter_s);
    }
    fn directions(&mut self, values: &Directions) {
        values.iter().for_each(|v| self.u64(*v));
    }
    fn interval(&mut self, interval: &Interval) {
        self.i64(interval.start.0);
        self.u64(interval.start_t);
        self.i64(interval.boundary);
        for p in &interval.sums.phase {
            self.u32(p.windows);
            self.u64(p.u_mv);
            self.u64(p.i_ua);
            self.u32(p.pf_windows);
            self.i64(p.pf_ppm);
        }
        self.u32(interval.sums.f_windows);
        self.u64(interval.sums.f_uhz);
        self.directions(&interval.total);
        interval.by_tariff.iter().for_each(|set| self.directions(set));
    }
    fn peak(&mut self, peak: &Peak) {
        self.u64(peak.mw);
        self.i64(peak.at.0);
    }
    fn demand(&mut self, demand: &Demand) {
        let (means, end) = demand.mean.unwrap_or_default();
        self.directions(&means);
        self.i64(end.0);
        self.i64(demand.since.0);
        demand.peaks.iter().chain(&demand.tariff_peaks).for_each(|p| self.peak(p));
        demand.accumulated.iter().for_each(|v| self.u64(*v));
        let none = DayExtremes { date: Date(0), max: Peak::default(), min: Peak::default() };
        let day = demand.day.unwrap_or(none);
        self.u32(day.date.0 as u32);
        self.peak(&day.max);
        self.peak(&day.min);
        self.u32(demand.threshold_count);
    }
}

/// Reads forward and gives zeros past the end; the length is checked before it is made.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk::<N>() {
            Some((head, rest)) => {
                self.0 = rest;
                *head
            }
            None => [0; N],
        }
    }
    fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.array())
    }
    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }
    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }
    fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.array())
    }
    fn u64s<const N: usize>(&mut self) -> [u64; N] {
        [(); N].map(|()| self.u64())
    }
    fn directions(&mut self) -> Directions {
        self.u64s()
    }
    /// `i64::MAX` stands for none.
    fn minute(&mut self) -> Option<i64> {
        Some(self.i64()).filter(|m| *m != i64::MAX)
    }
    fn params(&mut self) -> Result<Params, DurableError> {
        let impossible = DurableError::Impossible("parameters");
        Ok(Params {
            period_min: self.u8(),
            ct_ratio: u16::from_le_bytes(self.array()),
            offset_min: i16::from_le_bytes(self.array()),
            choice: Choice { on_demand: Tariff::new(self.u8()).ok_or(impossible)?, plan: self.u8() },
            debiting: Schedule { day: self.u8(), months: self.u8(), first: self.u8() },
            debiting_2: Cycle::NAMES.get(usize::from(self.u8())).ok_or(impossible)?.0,
            debiting_pulse: match self.u8() {
                0 => false,
                1 => true,
                _ => return Err(impossible),
            },
            threshold_w: self.u32(),
            clock_filter_s: self.u8(),
        })
    }
    /// Without its status.
    fn interval(&mut self) -> Interval {
        Interval {
            start: Utc(self.i64()),
            start_t: self.u64(),
            boundary: self.i64(),
            status: Status(0),
            sums: self.sums(),
            total: self.directions(),
            by_tariff: [(); TARIFFS].map(|()| self.directions()),
        }
    }
    fn peak(&mut self) -> Peak {
        Peak { mw: self.u64(), at: Utc(self.i64()) }
    }
    fn demand(&mut self, means: bool, day: bool) -> Demand {
        let mean = (self.directions(), Utc(self.i64()));
        let since = Utc(self.i64());
        let peaks = [(); DIRECTIONS].map(|()| self.peak());
        let tariff_peaks = [(); TARIFF_PEAKS].map(|()| self.peak());
        let accumulated = self.u64s();
        let extremes = DayExtremes { date: Date(self.u32() as i32), max: self.peak(), min: self.peak() };
        Demand {
            mean: means.then_some(mean),
            since,
            peaks,
            tariff_peaks,
            accumulated,
            day: day.then_some(extremes),
            threshold_count: self.u32(),
        }
    }
    fn tariffs(&mut self) -> Result<Tariffs, DurableError> {
        Tariffs::decode(&self.array()).ok_or(DurableError::Impossible("tariffs"))
    }
    fn sums(&mut self) -> MeanSums {
        let phase = [(); 3].map(|()| PhaseMeanSums {
            windows: self.u32(),
            u_mv: self.u64(),
            i_ua: self.u64(),
            pf_windows: self.u32(),
            pf_ppm: self.i64(),
        });
        MeanSums { phase, f_windows: self.u32(), f_uhz: self.u64() }
    }
    fn set(&mut self) -> EnergySet {
        energy::from_values([(); energy::SET].map(|()| self.u64()))
    }
    fn counters(&mut self) -> Counters {
        Counters { phase: [self.set(), self.set(), self.set()], total: self.set() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A state in which every field has another value.
    fn example(ct: bool) -> Durable {
        let tariff = |n| Tariff::new(n).expect("1 to 8");
        let set = |n: u64| energy::from_values([n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, u64::MAX - n]);
        let sums = |n: u32| PhaseMeanSums {
            windows: n,
            u_mv: 1 << 40 | u64::from(n),
            i_ua: u64::MAX - u64::from(n),
            pf_windows: n + 1,
            pf_ppm: -i64::from(n),
        };
        let grid = Grid {
            id: 77,
            anchor: 1 << 50,
            utc_us: -5,
            rate_q16: 8000 << 16,
            quality: metrology_link::payload::ClockQuality::Holdover,
        };
        let ratio = if ct { 600 } else { 1 };
        let params = Params {
            period_min: 30,
            ct_ratio: ratio,
            offset_min: -660,
            choice: Choice { on_demand: tariff(7), plan: 3 },
            debiting: Schedule { day: 28, months: 6, first: 2 },
            debiting_2: Cycle::Monthly,
            debiting_pulse: true,
            threshold_w: 12_345,
            clock_filter_s: 7,
        };
        let by_tariff = |n: u64| [0, 1, 2, 3, 4, 5, 6, 7].map(|t| [0, 1, 2, 3, 4, 5].map(|k| n + 10 * t + k));
        let peak = |n: u64| Peak { mw: n, at: Utc(-(n as i64)) };
        let text = include_str!("../../../config/examples/tariff.toml");
        let tariffs = Tariffs::parse(text).expect("the shipped example is possible").0;
        Durable {
            device_id: *b"metrolog",
            boot_id: 3,
            seq: 4,
            t_samples: 5,
            utc: Utc(-6),
            quality: ClockQuality::Valid,
            grid_id: 7,
            boots: 8,
            down_us: 9,
            clipped: 10,
            suspect: 110,
            lost: 111,
            config_hash: [11; 8],
            event_next: 12,
            configured: Params { period_min: 60, ..params },
            pending: Some(Pending { grid, params: Some(params), debiting_stop: true }),
            interval: Some(Interval {
                start: Utc(13),
                start_t: 14,
                boundary: -15,
                status: Status(0x8000_8001),
                sums: MeanSums { phase: [sums(16), sums(17), sums(18)], f_windows: 19, f_uhz: 20 },
                total: [1001, 1002, 1003, 1004, 1005, 1006],
                by_tariff: by_tariff(1100),
            }),
            tariff: tariff(5),
            inputs: Inputs(0x8001),
            by_tariff: by_tariff(1200),
            secondary_by_tariff: by_tariff(1300),
            metered_us: 1400,
            metered_by_tariff: [1401, 1402, 1403, 1404, 1405, 1406, 1407, 1408],
            pulses: [1409, 1410, 1411, 1412],
            pulse_counters: [1413, 1414, 1415, 1416],
            demand: Demand {
                mean: Some(([1417, 1418, 1419, 1420, 1421, 1422], Utc(1423))),
                since: Utc(1424),
                peaks: [1425, 1426, 1427, 1428, 1429, 1430].map(peak),
                tariff_peaks: std::array::from_fn(|n| peak(1500 + n as u64)),
                accumulated: [1601, 1602, 1603, 1604, 1605, 1606],
                day: Some(DayExtremes { date: Date(-1607), max: peak(1608), min: peak(1609) }),
                threshold_count: 1610,
            },
            debiting_periods: 1611,
            debiting_next: Some(1612),
            debiting_2_next: Some(-1613),
            trip: [1614, 1615, 1616, 1617, 1618, 1619],
            configured_tariffs: 1620,
            tariffs,
            passive: Some(Passive {
                after_t: 1621,
                minute: i64::MIN,
                tariffs: Tariffs { without_time: tariff(3), ..tariffs },
            }),
            cursors: [21, 22, 23, 24, 25, 26].map(|n| Cursor { next: n, head: [n as u8; 32] }),
            counters: Counters { phase: [set(100), set(200), set(300)], total: set(400) },
            registers: Counters { phase: [set(500), set(600), set(700)], total: set(800) },
            secondary: set(900),
            ..Durable::new(ct, params)
        }
    }

    #[test]
    fn a_state_comes_back_as_it_went() {
        for ct in [false, true] {
            let full = example(ct);
            let no_params = full.pending.map(|p| Pending { params: None, ..p });
            for state in [
                full,
                Durable { pending: None, ..full },
                Durable { pending: no_params, ..full },
                Durable { interval: None, carry: Status::DISCONTINUITY, ..full },
                Durable { passive: None, debiting_next: None, debiting_2_next: None, ..full },
                Durable { demand: Demand { mean: None, day: None, ..full.demand }, ..full },
                Durable::new(ct, full.params),
            ] {
                let bytes = state.encode();
                assert_eq!(bytes.len(), Durable::BYTES);
                assert_eq!(Durable::decode(&bytes), Ok(state));
            }
        }
    }

    #[test]
    fn other_versions_lengths_and_impossible_values_are_refused() {
        let good = example(false).encode();
        let with = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            Durable::decode(&bytes)
        };
        assert_eq!(with(0, 1), Err(DurableError::Version(1)));
        assert_eq!(Durable::decode(&good[..good.len() - 1]), Err(DurableError::Length(good.len() - 1)));
        assert_eq!(Durable::decode(&[]), Err(DurableError::Length(0)));
        assert_eq!(with(26, 3), Err(DurableError::Impossible("clock quality")));
        assert_eq!(with(75, 0), Err(DurableError::Impossible("cursors")));
        assert_eq!(with(663, 8), Err(DurableError::Impossible("tariff")));
        // Another tariff in force than the one whose registers stand in the first part.
        assert_eq!(with(663, 0), Err(DurableError::Impossible("tariff registers")));
        assert_eq!(with(Durable::FAST - 1, 1), Err(DurableError::Impossible("filling")));
        let last = Durable::BYTES - 1;
        assert_eq!(with(last, 0), Err(DurableError::Impossible("tariffs")));
        let at = good.windows(5).position(|w| w == [30, 1, 0, 0x6c, 0xfd]).expect("parameters in force");
        assert_eq!(with(at, 20), Err(DurableError::Impossible("parameters")));
        assert_eq!(with(at + 5, 9), Err(DurableError::Impossible("parameters")));
        assert_eq!(with(at + 6, 0), Err(DurableError::Impossible("parameters")));
    }

    /// A minute in which only energy, time and pulses went on changes nothing beyond the first part.
    #[test]
    fn what_a_minute_changes_stands_in_the_first_part() {
        let before = example(true);
        let mut after = before;
        after.seq += 1;
        after.t_samples += 480_000;
        after.utc.0 += 60_000_000;
        after.counters.total.a_plus += 1000;
        after.registers.phase[2].e_plus += 40_000;
        after.secondary.a_plus += 1000;
        after.by_tariff[4][0] += 40_000;
        after.secondary_by_tariff[4][0] += 1000;
        after.metered_us += 60_000_000;
        after.metered_by_tariff[4] += 60_000_000;
        after.pulses[0] += 1;
        after.pulse_counters[0] += 1;
        after.event_next += 1;
        let (before, after) = (before.encode(), after.encode());
        assert_ne!(before[..Durable::FAST], after[..Durable::FAST]);
        assert_eq!(before[Durable::FAST..], after[Durable::FAST..]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_safe_and_what_decodes_encodes_the_same(
            flips in proptest::collection::vec((0..Durable::BYTES, any::<u8>()), 0..20),
            ct: bool,
        ) {
            let mut bytes = example(ct).encode();
            for (at, value) in flips {
                bytes[at] = value;
            }
            if let Ok(state) = Durable::decode(&bytes) {
                prop_assert_eq!(Durable::decode(&state.encode()), Ok(state));
            }
        }
    }
}
