//! The meter: one step per input.
//!
//! The settled state ([`Durable`]) advances at history records only, in their order, so that an interval closed live
//! and one replayed after an absence take the same path and come out the same to the last bit. What was counted since
//! the settled record is added on reading and never stored.

use meter_model::{ClockQuality, Date, Mono, Status, Utc, Wall};
use metrology_link::PROTOCOL;
use metrology_link::payload::{
    self, Billing, Counters, EnergySet, EventRecord, Grid, Hello, HistoryKind, HistoryRecord,
};

use crate::command::{Command, Origin, Refused, check_time};
use crate::demand::Period;
use crate::durable::{Durable, Passive, Pending};
use crate::effects::{Effects, Input, Notice, Resume, Tx};
use crate::interval::{Interval, MeanSums};
use crate::logger::{AuditCode, LoggerId, Row, StatusCode};
use crate::settings::{Params, Settings, SettingsError};
use crate::settle::fingerprint;
use crate::tariff::TARIFFS;
use crate::{SET_LIMIT_US, energy};

/// A billing page older than this is not "now": 25 windows of 200 ms, more than a resync of the link and a warm
/// restart of the coprocessor take.
pub const STALE_US: u64 = 5_000_000;

/// A grid that is not in force after so long is sent again. The link retries each page within milliseconds; only a
/// restart on either side loses the command.
pub const PENDING_RETRY_US: u64 = 2_000_000;

/// So many times is a grid sent before the change is given up: 20 s, beyond any restart of the coprocessor.
pub const PENDING_TRIES: u32 = 10;

/// Two times computed from two lines on the sample clock may differ by their roundings; less than this is no
/// adjustment, µs.
const LINE_NOISE_US: i64 = 10;

/// When the record of a grid change itself was lost, the old time is extrapolated from the record before, with the
/// new rate: over the four hours of the ring two rates 60 ppm apart differ by this; less is then no adjustment, µs.
const LOST_CHANGE_NOISE_US: i64 = 1_000_000;

/// The last page of a boot that ended before its energy was settled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unsettled {
    pub(crate) boots: u32,
    pub(crate) counters: Counters,
}

/// The meter. Everything it must remember over a power cut is in its [`Durable`]; the rest is learnt from the link.
#[derive(Clone, Debug)]
pub struct Meter {
    pub(crate) settings: Settings,
    pub(crate) durable: Durable,
    /// The coprocessor that was accepted.
    pub(crate) hello: Option<Hello>,
    /// Another coprocessor's counters are to be learnt from its first billing page.
    pub(crate) foreign: bool,
    /// Its last billing page and when it came.
    pub(crate) last: Option<(Billing, Mono)>,
    pub(crate) unsettled: Option<Unsettled>,
    /// Counters of the last page that came while no record was outstanding: what they have more than the settled record
    /// belongs to the tariff in force.
    pub(crate) clean: Option<Counters>,
    silent: bool,
    /// When and how often the pending grid was sent in this process.
    sent: (Mono, u32),
    /// The configuration differs from the one the state was started with.
    reconfigure: bool,
}

/// What a step has collected so far.
#[derive(Default)]
pub(crate) struct Work {
    pub(crate) effects: Effects,
    pub(crate) rows: Vec<(LoggerId, Row)>,
    pub(crate) persist: bool,
    pub(crate) event_ack: Option<u64>,
}

impl Meter {
    /// A meter from its settings and, except at its very first start, its settled state.
    ///
    /// # Errors
    /// Impossible settings, or a state that belongs to a meter of another kind. Nothing is changed.
    pub fn new(settings: Settings, durable: Option<Durable>) -> Result<Meter, SettingsError> {
        settings.params.check(settings.meter_type)?;
        let durable = durable.unwrap_or_else(|| first(&settings));
        if durable.ct != settings.meter_type.is_ct() {
            return Err(SettingsError::OtherKind);
        }
        let tariffs = configured_tariffs(&settings);
        let reconfigure = durable.configured != settings.params || durable.configured_tariffs != tariffs;
        Ok(Meter {
            settings,
            durable,
            hello: None,
            foreign: false,
            last: None,
            unsettled: None,
            clean: None,
            silent: false,
            sent: (Mono(0), 0),
            reconfigure,
        })
    }

    /// Takes one input and says what to do about it. Never fails: what cannot be believed is ignored or bridged, with
    /// a status and a row.
    pub fn step(&mut self, now: Mono, input: Input) -> Effects {
        let mut work = Work::default();
        match input {
            Input::Hello(hello) => self.on_hello(hello, &mut work),
            Input::Billing(billing) => self.on_billing(billing, now, &mut work),
            Input::History(record) => self.on_history(&record, &mut work),
            Input::HistoryLost { from, to } => self.on_history_lost(from, to, &mut work),
            Input::Event(event) => self.on_event(&event, &mut work),
            Input::EventsLost { from, to } => self.on_events_lost(from, to, &mut work),
            Input::LinkLost => self.on_silence(&mut work),
            Input::Command(command, origin) => {
                work.effects.answer = Some(self.on_command(command, &origin, now, &mut work));
            }
            Input::StoreReplaced => {
                self.note(StatusCode::StoreReplaced, [as_i64(self.durable.seq), 0, 0, 0], &mut work);
                let origin = Origin { source: "store".into(), uid: 0 };
                let at = Wall { utc: self.durable.utc, quality: self.durable.quality };
                self.audit(AuditCode::StoreReplaced as i64, 0, as_i64(self.durable.seq), &origin, at, &mut work);
            }
            Input::Tick => {
                if self.last.is_some() && self.is_stale(now) {
                    self.on_silence(&mut work);
                }
                self.chase_pending(now, &mut work);
            }
        }
        self.finish(work)
    }

    /// The settled state.
    pub fn durable(&self) -> &Durable {
        &self.durable
    }

    /// The settings the meter was made with. Parameters in force are in [`Durable::params`].
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The coprocessor that is believed, `None` before its hello.
    pub fn hello(&self) -> Option<&Hello> {
        self.hello.as_ref()
    }

    /// Where the link should go on; for the start of the link, before the first hello.
    pub fn resume(&self) -> Resume {
        Resume {
            event_ack: self.durable.event_next.saturating_sub(1),
            history_next: self.durable.seq.saturating_add(1),
        }
    }

    /// Meter time. Its quality is at best holdover while the coprocessor is silent; invalid before its first page.
    pub fn now(&self, now: Mono) -> Wall {
        match &self.last {
            None => Wall { utc: self.durable.utc, quality: ClockQuality::Invalid },
            Some((billing, at)) => {
                let us = billing.grid.utc_us_at(billing.snapshot.t_samples);
                let since = i64::try_from(now.since(*at)).unwrap_or(i64::MAX);
                let best = if self.is_stale(now) { ClockQuality::Holdover } else { ClockQuality::Valid };
                Wall { utc: Utc(us.saturating_add(since)), quality: quality(billing.grid.quality).min(best) }
            }
        }
    }

    /// Whether live values are too old to be given, or have never come.
    pub fn is_stale(&self, now: Mono) -> bool {
        self.last.as_ref().is_none_or(|(_, at)| self.silent || now.since(*at) > STALE_US)
    }

    /// The last billing page.
    pub fn last_billing(&self) -> Option<&Billing> {
        self.last.as_ref().map(|(billing, _)| billing)
    }

    /// Registers and secondary registers as of the last billing page: settled plus counted since. They never fall: a
    /// page older than the settled record adds nothing.
    pub(crate) fn live_registers(&self) -> (Counters, EnergySet) {
        let d = &self.durable;
        let (mut registers, mut secondary) = (d.registers, d.secondary);
        if let Some(latest) = self.latest_counters() {
            energy::accrue(&mut registers, &d.counters, &latest, d.params.ct_ratio);
            if d.ct {
                energy::accrue_set(&mut secondary, &d.counters.total, &latest.total, 1);
            }
        }
        (registers, secondary)
    }

    /// The highest counters seen since the settled record.
    pub(crate) fn latest_counters(&self) -> Option<Counters> {
        match (&self.last, &self.unsettled) {
            (Some((b, _)), Some(u)) => Some(energy::max(&b.snapshot.counters, &u.counters)),
            (Some((b, _)), None) => Some(b.snapshot.counters),
            (None, Some(u)) => Some(u.counters),
            (None, None) => None,
        }
    }

    fn finish(&mut self, mut work: Work) -> Effects {
        if work.persist || !work.rows.is_empty() {
            let mut touched = [false; crate::LOGS];
            for (logger, _) in &work.rows {
                touched[logger.index()] = true;
            }
            let heads = LoggerId::ALL
                .into_iter()
                .filter(|logger| touched[logger.index()])
                .map(|logger| self.durable.cursors[logger.index()].chain_head(logger))
                .collect();
            let tx = Tx { durable: self.durable, rows: work.rows, event_ack: work.event_ack, heads };
            work.effects.persist = Some(Box::new(tx));
        }
        work.effects
    }

    pub(crate) fn append(&mut self, logger: LoggerId, mut row: Row, work: &mut Work) {
        if self.settings.not_legal {
            row.status |= Status::NOT_LEGAL;
        }
        let row = self.durable.cursors[logger.index()].append(logger, row);
        work.rows.push((logger, row));
    }

    /// A row of the status logger that the meter itself writes, at the settled time.
    pub(crate) fn note(&mut self, code: StatusCode, args: [i64; 4], work: &mut Work) {
        let [a, b, c, d] = args;
        let at = self.durable.utc;
        let values = vec![code as i64, 0, i64::from(self.durable.boot_id), a, b, c, d];
        let status = quality_bits(self.durable.quality);
        self.append(LoggerId::Status, Row { start: at, end: at, status, values, ..Row::default() }, work);
    }

    pub(crate) fn audit(&mut self, code: i64, old: i64, new: i64, origin: &Origin, at: Wall, work: &mut Work) {
        let values = vec![code, old, new, i64::from(origin.uid)];
        let status = quality_bits(at.quality);
        let row = Row { start: at.utc, end: at.utc, status, values, text: origin.words(), ..Row::default() };
        self.append(LoggerId::Audit, row, work);
    }

    fn on_hello(&mut self, hello: Hello, work: &mut Work) {
        if hello.protocol != PROTOCOL {
            self.hello = None;
            work.effects.notices.push(Notice::WrongProtocol { theirs: hello.protocol });
            return;
        }
        self.meet(hello, work);
        work.effects.resume = Some(self.resume());
    }

    fn on_billing(&mut self, billing: Billing, now: Mono, work: &mut Work) {
        if self.hello.is_none() {
            return;
        }
        if self.foreign {
            self.replace(&billing, work);
            work.effects.resume = Some(self.resume());
        }
        if std::mem::take(&mut self.silent) {
            work.effects.notices.push(Notice::Answering);
        }
        let second = billing.second.number;
        work.effects.snapshot = self.last.as_ref().is_none_or(|(last, _)| last.second.number != second);
        self.last = Some((billing, now));
        if billing.history_last <= self.durable.seq {
            self.clean = Some(billing.snapshot.counters);
        }
        if self.reconfigure && self.durable.pending.is_none() {
            self.reconfigure = false;
            let origin = Origin { source: "configuration".into(), uid: 0 };
            if std::mem::replace(&mut self.durable.configured, self.settings.params) != self.settings.params {
                self.change_params(self.settings.params, &origin, now, work);
            }
            let tariffs = configured_tariffs(&self.settings);
            if std::mem::replace(&mut self.durable.configured_tariffs, tariffs) != tariffs
                && let Some(setting) = self.settings.tariffs
            {
                self.accept_tariffs(&setting, &origin, self.now(now), work);
            }
            work.persist = true;
        }
        self.chase_pending(now, work);
    }

    fn on_silence(&mut self, work: &mut Work) {
        if self.last.is_some() && !std::mem::replace(&mut self.silent, true) {
            work.effects.notices.push(Notice::Silent);
        }
    }

    fn on_history_lost(&mut self, from: u64, to: u64, work: &mut Work) {
        let from = from.max(self.durable.seq.saturating_add(1));
        if self.hello.is_none() || self.foreign || to < from {
            return;
        }
        self.durable.seq = to;
        self.note(StatusCode::HistoryLost, [as_i64(from), as_i64(to), 0, 0], work);
        work.effects.notices.push(Notice::HistoryLost { from, to });
    }

    /// Settles one record: energy, then what happened, then the interval.
    fn on_history(&mut self, record: &HistoryRecord, work: &mut Work) {
        if self.hello.is_none() || self.foreign || record.seq <= self.durable.seq {
            return;
        }
        if record.seq > self.durable.seq.saturating_add(1) {
            self.on_history_lost(self.durable.seq + 1, record.seq - 1, work);
        }
        let snapshot = &record.snapshot;
        work.persist = true;
        if snapshot.t_samples < self.durable.t_samples {
            // The sample clock goes back in one case only: a start with empty memory.
            if record.kind != HistoryKind::Boot {
                self.durable.seq = record.seq;
                return;
            }
            let seen = self.unsettled.take().map(|u| u.counters);
            self.memory_began_anew(snapshot.counters, snapshot.pulses, seen, work);
        }
        let regressed = self.settle_energy(record);
        let sums = MeanSums::from(&snapshot.sums);
        let happened = self.happened(record, regressed, &sums);
        let time = self.time_of(record);
        let metered = self.settle_counters(record);
        let old_params = self.durable.params;
        let asked = self.take_pending(record);
        self.settle_interval(record, happened, &time, &sums, &old_params, work);
        self.settle_debiting(record, &time, asked, work);
        self.settle_clock(record, &time, work);
        self.settle_tariff(record, &time, metered, work);

        let d = &mut self.durable;
        d.seq = record.seq;
        d.t_samples = snapshot.t_samples;
        d.utc = Utc(record.grid.utc_us_at(snapshot.t_samples));
        d.quality = quality(record.grid.quality);
        d.grid_id = record.grid.id;
        d.boots = snapshot.boots;
        d.down_us = snapshot.down_us;
        d.clipped = snapshot.clipped_windows;
        d.suspect = snapshot.suspect_windows;
        d.lost = snapshot.lost_samples;
        d.config_hash = snapshot.config_hash;
        if regressed {
            self.note(StatusCode::CountersRegressed, [as_i64(record.seq), 0, 0, 0], work);
            work.effects.notices.push(Notice::Regressed);
        }
    }

    /// Moves the registers to the record's counters. True when a counter had fallen.
    fn settle_energy(&mut self, record: &HistoryRecord) -> bool {
        let snapshot = &record.snapshot;
        let mut to = snapshot.counters;
        if self.unsettled.is_some_and(|u| snapshot.boots > u.boots)
            && let Some(unsettled) = self.unsettled.take()
        {
            // Pages of the boot before showed more than its memory kept: that energy was measured and shown.
            to = energy::max(&to, &unsettled.counters);
        }
        let regressed = self.accrue(&to) || to != snapshot.counters;
        self.durable.counters = snapshot.counters;
        // It is in the registers now: no page that came without a record outstanding is newer than the next record.
        self.clean = None;
        regressed
    }

    /// What happened between the settled record and this one.
    fn happened(&mut self, record: &HistoryRecord, regressed: bool, sums: &MeanSums) -> Status {
        let (d, s) = (&mut self.durable, &record.snapshot);
        let mut status = Status(0);
        for (yes, bit) in [
            (s.boots != d.boots, Status::RESTART),
            (s.down_us != d.down_us, Status::OUTAGE),
            (s.clipped_windows != d.clipped, Status::OVERLOAD),
            (s.suspect_windows != d.suspect || s.lost_samples != d.lost, Status::SUSPECT),
            (s.config_hash != d.config_hash, Status::CONFIG_CHANGED),
            (regressed, Status::DISCONTINUITY),
        ] {
            if yes {
                status |= bit;
            }
        }
        if let Some(interval) = &mut d.interval
            && interval.sums.is_ahead_of(sums)
        {
            // Means then cover what was measured since.
            interval.sums = *sums;
            status |= Status::DISCONTINUITY;
        }
        status
    }

    fn time_of(&self, record: &HistoryRecord) -> RecordTime {
        let d = &self.durable;
        let at = match record.kind {
            HistoryKind::Minute => Utc::from_minutes(record.minute),
            _ => Utc(record.grid.utc_us_at(record.snapshot.t_samples)),
        };
        let (old, noise) = if record.kind == HistoryKind::GridChange {
            (Utc(record.old_utc_us), LINE_NOISE_US)
        } else if record.grid.id != d.grid_id {
            let old_line = Grid { anchor: d.t_samples, utc_us: d.utc.0, ..record.grid };
            (Utc(old_line.utc_us_at(record.snapshot.t_samples)), LOST_CHANGE_NOISE_US)
        } else {
            (at, 0)
        };
        let moved = at.0.saturating_sub(old.0).saturating_abs();
        RecordTime { at, old, set: moved > SET_LIMIT_US, adjusted: moved <= SET_LIMIT_US && moved > noise }
    }

    /// Closes the open interval when the record says so, and opens the next.
    fn settle_interval(
        &mut self,
        record: &HistoryRecord,
        happened: Status,
        time: &RecordTime,
        sums: &MeanSums,
        old_params: &Params,
        work: &mut Work,
    ) {
        let t = record.snapshot.t_samples;
        let quality = quality_bits(quality(record.grid.quality));
        let mut cause = Status(0);
        if self.durable.params.cuts(old_params) || happened.has(Status::CONFIG_CHANGED) {
            cause |= Status::CONFIG_CHANGED;
        }
        if time.set {
            cause |= Status::CLOCK_SET;
        }
        let params = self.durable.params;
        let Some(mut interval) = self.durable.interval else {
            let status = std::mem::take(&mut self.durable.carry) | quality;
            let boundary = params.boundary_after(time.at.0.div_euclid(Utc::MINUTE));
            self.open_interval(Interval {
                start: time.at,
                start_t: t,
                boundary,
                status,
                sums: *sums,
                ..Interval::NONE
            });
            return;
        };
        interval.status |= happened | cause | quality;
        if time.adjusted {
            interval.status |= Status::CLOCK_ADJUSTED;
        }
        let crossed = time.reaches(record, Utc::from_minutes(interval.boundary));
        if cause == Status(0) && !crossed {
            self.durable.interval = Some(interval);
            return;
        }
        let end = if time.set { time.old } else { time.at };
        let mut opening = cause | quality;
        // An adjustment backwards over the begin must not bring the boundary back that was already closed.
        let mut start = time.at.max(interval.start);
        if t > interval.start_t {
            let row = interval.row(end, &self.durable.registers, sums, old_params, &self.settings);
            self.period_ended(&interval, &row, old_params);
            self.append(LoggerId::Load, row, work);
        } else {
            // Two cuts within one window: nothing was measured in between, so there is no row; what happened is told
            // by the next, which begins where this one did.
            opening |= interval.status;
            start = interval.start;
        }
        if time.set {
            start = time.at;
        }
        let minute = time.at.max(start).0.div_euclid(Utc::MINUTE);
        let boundary = params.boundary_after(minute);
        self.open_interval(Interval { start, start_t: t, boundary, status: opening, sums: *sums, ..Interval::NONE });
    }

    /// Opens an interval at the settled registers.
    fn open_interval(&mut self, interval: Interval) {
        let d = &mut self.durable;
        let total = energy::directions(&d.registers.total);
        d.interval = Some(Interval { total, by_tariff: d.by_tariff, ..interval });
    }

    /// Hands a whole period to the means and peaks.
    fn period_ended(&mut self, interval: &Interval, row: &Row, params: &Params) {
        if row.status.0 & (Status::SHORT | Status::LONG).0 != 0 {
            return;
        }
        let d = &mut self.durable;
        let mut total = [0; energy::DIRECTIONS];
        energy::advance(&mut total, &interval.total, &energy::directions(&d.registers.total));
        let mut by_tariff = [[0; energy::DIRECTIONS]; TARIFFS];
        for (n, sums) in by_tariff.iter_mut().enumerate() {
            energy::advance(sums, &interval.by_tariff[n], &d.by_tariff[n]);
        }
        d.demand.period(&Period { end: row.end, total, by_tariff: &by_tariff, params });
    }

    /// Puts a pending change into force when the record is under its grid. True when it asks for a debiting stop.
    fn take_pending(&mut self, record: &HistoryRecord) -> bool {
        let Some(pending) = self.durable.pending.filter(|p| record.grid.id >= p.grid.id) else { return false };
        let d = &mut self.durable;
        d.pending = None;
        let new = pending.params.unwrap_or(d.params);
        let old = std::mem::replace(&mut d.params, new);
        // Another schedule, or other midnights: the next stops are looked for anew.
        if (old.debiting, old.offset_min) != (d.params.debiting, d.params.offset_min) {
            d.debiting_next = None;
        }
        if (old.debiting_2, old.offset_min) != (d.params.debiting_2, d.params.offset_min) {
            d.debiting_2_next = None;
        }
        pending.debiting_stop
    }

    fn on_event(&mut self, event: &EventRecord, work: &mut Work) {
        if self.hello.is_none() || self.foreign || event.seq < self.durable.event_next {
            return;
        }
        if event.seq > self.durable.event_next {
            self.on_events_lost(self.durable.event_next, event.seq - 1, work);
        }
        self.durable.event_next = event.seq.saturating_add(1);
        let at = Utc(event.utc_us);
        let [a, b, c, d] = event.args;
        let values = vec![event.code.0.into(), event.phase.into(), event.boot_id.into(), a, b, c, d];
        self.append(LoggerId::Status, Row { start: at, end: at, values, ..Row::default() }, work);
        work.event_ack = Some(event.seq);
    }

    fn on_events_lost(&mut self, from: u64, to: u64, work: &mut Work) {
        let from = from.max(self.durable.event_next);
        if self.hello.is_none() || self.foreign || to < from {
            return;
        }
        self.durable.event_next = to.saturating_add(1);
        self.note(StatusCode::EventsLost, [as_i64(from), as_i64(to), 0, 0], work);
        work.effects.notices.push(Notice::EventsLost { from, to });
        work.event_ack = Some(to);
    }

    fn on_command(&mut self, command: Command, origin: &Origin, now: Mono, work: &mut Work) -> Result<(), Refused> {
        if let Command::SetParams(params) = command {
            params.check(self.settings.meter_type)?;
        }
        let Some((billing, at)) = self.last.as_ref().filter(|_| !self.is_stale(now) && !self.foreign) else {
            return Err(Refused::NotReady);
        };
        if self.durable.pending.is_some() {
            return Err(Refused::Busy);
        }
        let wall = self.now(now);
        let grid = billing.grid;
        match command {
            Command::SetParams(params) => {
                self.change_params(params, origin, now, work);
                Ok(())
            }
            Command::SetTariffs(setting) => {
                if wall.quality != ClockQuality::Invalid {
                    let normal = self.durable.params.normal(wall.utc.0.div_euclid(Utc::MINUTE));
                    setting.0.check_horizon(Date::of_minute(normal).0)?;
                }
                self.accept_tariffs(&setting, origin, wall, work);
                Ok(())
            }
            Command::DebitingStop => {
                let n = i64::from(self.durable.debiting_periods);
                self.audit(AuditCode::DebitingStop as i64, n, n + 1, origin, wall, work);
                self.send_grid(Pending { grid, params: None, debiting_stop: true }, now, work);
                Ok(())
            }
            Command::ResetTrip(direction) => {
                let n = direction as usize;
                let begin = energy::directions(&self.live_registers().0.total)[n];
                let old = std::mem::replace(&mut self.durable.trip[n], begin);
                let code = AuditCode::TripReset as i64 + n as i64;
                self.audit(code, as_i64(old), as_i64(begin), origin, wall, work);
                Ok(())
            }
            Command::ClockSet(utc) => {
                check_time(utc)?;
                // The sample that is being taken now: the last window's end plus what has passed since.
                let ticks = u128::from(now.since(*at)) * u128::from(grid.rate_q16) / 65_536_000_000;
                let anchor = billing.snapshot.t_samples.saturating_add(u64::try_from(ticks).unwrap_or(u64::MAX));
                let line = Grid { anchor, utc_us: utc.0, quality: payload::ClockQuality::Valid, ..grid };
                self.audit(AuditCode::ClockSet as i64, wall.utc.0, utc.0, origin, wall, work);
                self.send_grid(Pending { grid: line, params: None, debiting_stop: false }, now, work);
                Ok(())
            }
            Command::ClockAdjust(delta) => {
                if delta.saturating_abs() > SET_LIMIT_US {
                    return Err(Refused::TooFar);
                }
                if wall.quality == ClockQuality::Invalid {
                    return Err(Refused::ClockInvalid);
                }
                let new = wall.utc.0.saturating_add(delta);
                check_time(Utc(new))?;
                let utc_us = grid.utc_us.saturating_add(delta);
                let line = Grid { utc_us, quality: payload::ClockQuality::Valid, ..grid };
                self.audit(AuditCode::ClockAdjusted as i64, wall.utc.0, new, origin, wall, work);
                self.send_grid(Pending { grid: line, params: None, debiting_stop: false }, now, work);
                Ok(())
            }
        }
    }

    /// Begins a change of parameters: one audit row per value, and a grid on the old line, whose only purpose is the
    /// history record at which the change comes into force.
    fn change_params(&mut self, params: Params, origin: &Origin, now: Mono, work: &mut Work) {
        let old = self.durable.params;
        let wall = self.now(now);
        for ((code, old), (_, new)) in old.audited().into_iter().zip(params.audited()) {
            if old != new {
                self.audit(code as i64, old, new, origin, wall, work);
            }
        }
        if old != params
            && let Some((billing, _)) = &self.last
        {
            let grid = billing.grid;
            self.send_grid(Pending { grid, params: Some(params), debiting_stop: false }, now, work);
        }
    }

    /// Sends a change on its way, under the next number.
    fn send_grid(&mut self, pending: Pending, now: Mono, work: &mut Work) {
        let in_force = self.last_billing().map_or(0, |b| b.grid.id).max(self.durable.grid_id);
        let grid = Grid { id: in_force.saturating_add(1), ..pending.grid };
        self.durable.pending = Some(Pending { grid, ..pending });
        self.sent = (now, 1);
        work.persist = true;
        work.effects.link.push(payload::Command::SetGrid(grid));
    }

    /// Sends a pending grid again that did not arrive, and gives it up when it never does.
    fn chase_pending(&mut self, now: Mono, work: &mut Work) {
        let Some(pending) = self.durable.pending else { return };
        let Some((billing, _)) = &self.last else { return };
        let (at, tries) = self.sent;
        if billing.grid.id >= pending.grid.id || self.is_stale(now) || (tries > 0 && now.since(at) < PENDING_RETRY_US) {
            return;
        }
        if tries < PENDING_TRIES {
            self.sent = (now, tries + 1);
            work.effects.link.push(payload::Command::SetGrid(pending.grid));
            if tries > 0 {
                work.effects.notices.push(Notice::GridRetry);
            }
            return;
        }
        self.give_up_pending(self.now(now), work);
    }

    /// Drops a clock change with an audit row. Parameters and debiting stops come all the same, at the next record.
    pub(crate) fn give_up_pending(&mut self, at: Wall, work: &mut Work) {
        let Some(pending) = &mut self.durable.pending else { return };
        if pending.params.is_some() || pending.debiting_stop {
            pending.grid.id = 0;
        } else {
            let id = i64::from(pending.grid.id);
            self.durable.pending = None;
            let origin = Origin { source: "metrology".into(), uid: 0 };
            self.audit(AuditCode::ClockFailed as i64, id, 0, &origin, at, work);
        }
        work.persist = true;
        work.effects.notices.push(Notice::GridGivenUp);
    }
}

/// The times of one record.
pub(crate) struct RecordTime {
    /// Meter time of the record, by the grid now in force.
    pub(crate) at: Utc,
    /// The same by the grid before.
    pub(crate) old: Utc,
    /// They differ by more than an adjustment may.
    pub(crate) set: bool,
    /// They differ, by less.
    pub(crate) adjusted: bool,
}

impl RecordTime {
    /// Whether a boundary on a minute is reached by this record.
    pub(crate) fn reaches(&self, record: &HistoryRecord, boundary: Utc) -> bool {
        match record.kind {
            HistoryKind::Minute => Utc::from_minutes(record.minute) >= boundary,
            // The record of a minute that an adjustment jumped over follows.
            HistoryKind::GridChange => self.set && self.at > boundary,
            // At the boundary itself its own record follows.
            _ => self.at > boundary,
        }
    }
}

/// The state of a meter at its very first start.
fn first(settings: &Settings) -> Durable {
    let mut durable = Durable::new(settings.meter_type.is_ct(), settings.params);
    durable.configured_tariffs = configured_tariffs(settings);
    match settings.tariffs {
        Some((tariffs, None)) => durable.tariffs = tariffs,
        Some((tariffs, Some(minute))) => durable.passive = Some(Passive { after_t: 0, minute, tariffs }),
        None => {}
    }
    durable
}

/// What tells the configured tariffs from others; 0 when none are configured.
fn configured_tariffs(settings: &Settings) -> u64 {
    settings.tariffs.as_ref().map_or(0, |(tariffs, minute)| fingerprint(tariffs, *minute))
}

fn as_i64(v: u64) -> i64 {
    i64::try_from(v).unwrap_or(i64::MAX)
}

/// The link's quality in the meter's words.
pub(crate) fn quality(q: payload::ClockQuality) -> ClockQuality {
    match q {
        payload::ClockQuality::Invalid => ClockQuality::Invalid,
        payload::ClockQuality::Holdover => ClockQuality::Holdover,
        payload::ClockQuality::Valid => ClockQuality::Valid,
    }
}

/// The status bits of a clock quality.
pub(crate) fn quality_bits(q: ClockQuality) -> Status {
    match q {
        ClockQuality::Invalid => Status::CLOCK_INVALID,
        ClockQuality::Holdover => Status::CLOCK_HOLDOVER,
        ClockQuality::Valid => Status(0),
    }
}
