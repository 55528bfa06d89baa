//! What a history record settles besides energy and intervals: the tariff that is in force from it on, debiting stops,
//! moves of the clock. All of it depends on the record and on the settled state only, so it is the same live and replayed.
//!
//! Energy between two records belongs to the tariff in force at the first of them. Tariffs change at records only: at the
//! minutes of a plan, at the edges of inputs, at a set clock, at a start after an outage, at a change on demand; each of
//! them has a record of its own in the coprocessor's ring. When records are lost over a switch, the energy of the gap
//! stays with the tariff before, and a row of the status logger (`tariff-uncertain`) says so.

use meter_model::{ClockQuality, Status, Utc, Wall};
use metrology_link::payload::{Counters, HistoryKind, HistoryRecord};

use crate::command::Origin;
use crate::demand::accumulated;
use crate::demand::tariff_peak;
use crate::durable::Passive;
use crate::energy::{self, advance, directions};
use crate::logger::{AuditCode, LoggerId, Row, StatusCode};
use crate::meter::{Meter, RecordTime, Work, quality, quality_bits};
use crate::tariff::{Source, TARIFFS, Tariff, Tariffs};

/// Records come each minute, at windows of at most 200 ms: a longer time between two of them means that some were lost.
const GAP_US: u64 = 120_000_000;

/// One hour.
const HOUR_US: u64 = 3_600_000_000;

/// Columns of tariff registers in the debiting loggers: T1 to T4.
const DEBITED_TARIFFS: usize = 4;

impl Meter {
    /// Moves registers to the counters `to`, total, phases, secondary and tariff in force together. True when a counter
    /// had fallen.
    pub(crate) fn accrue(&mut self, to: &Counters) -> bool {
        let d = &mut self.durable;
        let t = d.tariff.index();
        let total = directions(&d.registers.total);
        let regressed = energy::accrue(&mut d.registers, &d.counters, to, d.params.ct_ratio);
        advance(&mut d.by_tariff[t], &total, &directions(&d.registers.total));
        if d.ct {
            let total = directions(&d.secondary);
            energy::accrue_set(&mut d.secondary, &d.counters.total, &to.total, 1);
            advance(&mut d.secondary_by_tariff[t], &total, &directions(&d.secondary));
        }
        regressed
    }

    /// Counts pulses and metered time up to the record. Gives the metered time since the settled record, µs.
    pub(crate) fn settle_counters(&mut self, record: &HistoryRecord) -> u64 {
        let (d, s) = (&mut self.durable, &record.snapshot);
        advance_each(&mut d.pulses, &d.pulse_counters, &s.pulses);
        d.pulse_counters = s.pulses;
        let ticks = u128::from(s.t_samples.saturating_sub(d.t_samples));
        let us = ticks * 65_536_000_000 / u128::from(record.grid.rate_q16.max(1));
        let off = s.down_us.saturating_sub(d.down_us);
        let metered = u64::try_from(us).unwrap_or(u64::MAX).saturating_sub(off);
        d.metered_us = d.metered_us.saturating_add(metered);
        let of_tariff = &mut d.metered_by_tariff[d.tariff.index()];
        *of_tariff = of_tariff.saturating_add(metered);
        metered
    }

    /// Which tariff is in force from the record on. `metered` is the time since the record before.
    pub(crate) fn settle_tariff(&mut self, record: &HistoryRecord, time: &RecordTime, metered: u64, work: &mut Work) {
        let minute = valid_minute(record, time);
        self.activate(record, minute, time, work);
        let d = &self.durable;
        let before = d.tariff;
        let now = d.tariffs.at(d.params.choice, d.params.offset_min, record.snapshot.inputs, minute);
        if metered > GAP_US && self.switched_inside(record, now, minute) {
            let args = [before.number().into(), now.number().into(), 0, 0];
            self.note(StatusCode::TariffUncertain, args, work);
        }
        self.durable.tariff = now;
        self.durable.inputs = record.snapshot.inputs;
    }

    /// Whether the tariff may have changed between the settled record and this one, in time that had no records.
    fn switched_inside(&self, record: &HistoryRecord, now: Tariff, minute: Option<i64>) -> bool {
        let d = &self.durable;
        match d.tariffs.source {
            Source::Off | Source::OnDemand => false,
            Source::Inputs { .. } => now != d.tariff && record.kind != HistoryKind::InputEdge,
            Source::Plan => {
                let from = d.utc.0.div_euclid(Utc::MINUTE);
                let next = d.tariffs.next_switch(d.params.choice, d.params.offset_min, from);
                minute.is_some_and(|minute| next.is_some_and(|(at, _)| at < minute))
            }
        }
    }

    /// Puts tariffs into force whose time has come.
    fn activate(&mut self, record: &HistoryRecord, minute: Option<i64>, time: &RecordTime, work: &mut Work) {
        let Some(passive) = self.durable.passive.filter(|p| record.snapshot.t_samples >= p.after_t) else { return };
        let due = minute.is_some_and(|m| self.durable.params.normal(m) >= passive.minute);
        if !due && passive.minute != i64::MIN {
            return;
        }
        let old = fingerprint(&self.durable.tariffs, None);
        self.durable.passive = None;
        self.durable.tariffs = passive.tariffs;
        let origin = Origin { source: "tariffs".into(), uid: 0 };
        let at = Wall { utc: time.at, quality: quality(record.grid.quality) };
        let new = fingerprint(&passive.tariffs, None);
        self.audit(AuditCode::TariffsInForce as i64, old as i64, new as i64, &origin, at, work);
    }

    /// Lets tariffs wait for their time; they replace others that wait.
    pub(crate) fn accept_tariffs(
        &mut self,
        setting: &(Tariffs, Option<i64>),
        origin: &Origin,
        at: Wall,
        work: &mut Work,
    ) {
        let (tariffs, activate) = *setting;
        let after_t = self.last_billing().map_or(self.durable.t_samples, |b| b.snapshot.t_samples);
        let old = self.durable.passive.map_or(0, |p| fingerprint(&p.tariffs, Some(p.minute)));
        let minute = activate.unwrap_or(i64::MIN);
        let new = fingerprint(&tariffs, Some(minute));
        self.durable.passive = Some(Passive { after_t, minute, tariffs });
        self.audit(AuditCode::TariffsAccepted as i64, old as i64, new as i64, origin, at, work);
        work.persist = true;
    }

    /// Debiting stops and rows of debiting logger 2 that the record brings. `asked` is a stop on command.
    pub(crate) fn settle_debiting(&mut self, record: &HistoryRecord, time: &RecordTime, asked: bool, work: &mut Work) {
        let d = &self.durable;
        let rises = record.snapshot.inputs.0 & !d.inputs.0 & 1 == 1;
        let pulse = d.params.debiting_pulse && record.kind == HistoryKind::InputEdge && rises;
        let minute = valid_minute(record, time).map(|minute| d.params.normal(minute));
        // A clock that was never right, or that was set back, makes the next stop the next one from now on.
        let was = d.params.normal(d.utc.0.div_euclid(Utc::MINUTE));
        let anew = d.quality == ClockQuality::Invalid || minute.is_some_and(|now| time.set && now < was);
        let crossed = |next: Option<i64>| {
            let next = next.filter(|_| minute.is_some() && !anew)?;
            let utc = Utc::from_minutes(next.saturating_sub(d.params.offset_min.into()));
            (time.reaches(record, utc)).then_some(())
        };
        let stop = asked || pulse || crossed(d.debiting_next).is_some();
        let second = crossed(d.debiting_2_next).is_some();
        let due_1 = anew || d.debiting_next.is_none() || crossed(d.debiting_next).is_some();
        let due_2 = anew || d.debiting_2_next.is_none() || second;
        if stop {
            self.debiting_stop(time.at, record, work);
        }
        if second {
            let row = self.debiting_2_row();
            self.append(LoggerId::Debiting2, self.snapshot_row(time.at, record, row), work);
        }
        let d = &mut self.durable;
        match minute {
            Some(minute) => {
                if due_1 {
                    d.debiting_next = d.params.debiting.after(minute);
                }
                if due_2 {
                    d.debiting_2_next = Some(d.params.debiting_2.after(minute));
                }
            }
            None => (d.debiting_next, d.debiting_2_next) = (None, None),
        }
    }

    /// Counts the period, adds to the accumulated peaks, logs, and lets the peaks begin anew.
    fn debiting_stop(&mut self, at: Utc, record: &HistoryRecord, work: &mut Work) {
        self.durable.debiting_periods = self.durable.debiting_periods.saturating_add(1);
        // The row has the peaks of the period and the accumulated registers with them.
        let (peaks, tariff_peaks) = (self.durable.demand.peaks, self.durable.demand.tariff_peaks);
        self.durable.demand.stop(at);
        let (d, demand) = (&self.durable, &self.durable.demand);
        let mut values = vec![
            as_i64(d.metered_us / HOUR_US),
            d.debiting_periods.into(),
            demand.threshold_count.into(),
            as_i64(d.pulses[0]),
            d.params.ct_ratio.into(),
        ];
        values.extend(directions(&d.registers.total).map(as_i64));
        for direction in [0, 2] {
            values.extend(d.by_tariff.iter().take(DEBITED_TARIFFS).map(|set| as_i64(set[direction])));
        }
        let acc = |direction, tariff: Option<u8>| {
            let at = accumulated(direction, tariff.and_then(Tariff::new));
            at.and_then(|n| demand.accumulated.get(n)).map_or(0, |mw| as_i64(*mw))
        };
        let peak = |direction: usize| [as_i64(peaks[direction].mw), peaks[direction].at.0];
        let of_tariff = |direction, tariff| {
            let at = Tariff::new(tariff).and_then(|t| tariff_peak(direction, t));
            at.and_then(|n| tariff_peaks.get(n)).map_or([0, 0], |p| [as_i64(p.mw), p.at.0])
        };
        values.extend(peak(0));
        values.extend([acc(0, None), acc(0, Some(1)), acc(0, Some(2))]);
        values.extend(peak(2));
        values.push(acc(2, None));
        for direction in [0, 2] {
            values.extend([1, 2].into_iter().flat_map(|t| of_tariff(direction, t)));
        }
        values.extend(peak(4).into_iter().chain(peak(5)));
        let row = self.snapshot_row(at, record, values);
        self.append(LoggerId::Debiting, row, work);
    }

    fn debiting_2_row(&self) -> Vec<i64> {
        let d = &self.durable;
        let [a_plus, a_minus, r_plus, r_minus, ..] = directions(&d.registers.total).map(as_i64);
        let mut values = vec![as_i64(d.metered_us / HOUR_US), a_plus, a_minus, r_plus, r_minus];
        for direction in 0..4 {
            values.extend(d.by_tariff.iter().take(DEBITED_TARIFFS).map(|set| as_i64(set[direction])));
        }
        values
    }

    /// A row of what registers hold at the record.
    fn snapshot_row(&self, at: Utc, record: &HistoryRecord, values: Vec<i64>) -> Row {
        Row { start: at, end: at, status: quality_bits(quality(record.grid.quality)), values, ..Row::default() }
    }

    /// A row of the clock logger for a clock that moved far enough.
    pub(crate) fn settle_clock(&mut self, record: &HistoryRecord, time: &RecordTime, work: &mut Work) {
        let moved = time.at.0.saturating_sub(time.old.0).saturating_abs();
        let least = i64::from(self.durable.params.clock_filter_s) * Utc::SECOND;
        if !(time.set || time.adjusted) || moved < least || self.durable.seq == 0 {
            return;
        }
        let how = if time.set { Status::CLOCK_SET } else { Status::CLOCK_ADJUSTED };
        let mut row = self.snapshot_row(time.at, record, vec![time.old.0, time.at.0]);
        row.status |= how;
        self.append(LoggerId::Clock, row, work);
    }
}

/// The UTC minute that a record begins; `None` while meter time is invalid.
fn valid_minute(record: &HistoryRecord, time: &RecordTime) -> Option<i64> {
    let valid = quality(record.grid.quality) != ClockQuality::Invalid;
    valid.then(|| time.at.0.div_euclid(Utc::MINUTE))
}

/// Adds `to - from` to each register; a counter that fell adds nothing.
fn advance_each<const N: usize>(registers: &mut [u64; N], from: &[u64; N], to: &[u64; N]) {
    for ((register, from), to) in registers.iter_mut().zip(from).zip(to) {
        *register = register.saturating_add(to.saturating_sub(*from));
    }
}

/// Eight bytes that tell tariffs, and the time they wait for, from others; for the audit log.
pub(crate) fn fingerprint(tariffs: &Tariffs, minute: Option<i64>) -> u64 {
    use sha2::{Digest, Sha256};
    let mut bytes = Vec::new();
    tariffs.encode(&mut bytes);
    bytes.extend(minute.unwrap_or(i64::MIN).to_le_bytes());
    let hash: [u8; 32] = Sha256::digest(&bytes).into();
    hash.first_chunk().map_or(0, |b| u64::from_be_bytes(*b))
}

fn as_i64(v: u64) -> i64 {
    i64::try_from(v).unwrap_or(i64::MAX)
}

// Four tariffs of eight fit into the debiting loggers.
const _: () = assert!(DEBITED_TARIFFS <= TARIFFS);
