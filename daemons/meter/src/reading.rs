//! Reading registers: live values with their time, or the reason why there is none.

use meter_model::{Absent, Mono, Obis, Reading, Status, Utc};
use metrology_link::payload::{Billing, Counters, EnergySet, PhaseSecond, Valid};

use crate::demand::{Peak, accumulated, tariff_peak};
use crate::energy::{self, Directions, directions};
use crate::meter::{Meter, quality_bits};
use crate::register::{Energy, Power, REGISTERS, Register, Source, find};
use crate::tariff::TARIFFS;

/// Millijoules in one step of an energy reading: scaler -3 in Wh. 1 mWh = 3600 mJ; readings are rounded down, so
/// a reading never shows energy that was not there yet.
pub const MILLIJOULE_PER_STEP: u64 = 3600;

/// One hour, µs.
const HOUR_US: u64 = 3_600_000_000;

/// Every energy, mJ, as settled or as of one billing page.
struct Energies {
    registers: Counters,
    secondary: EnergySet,
    by_tariff: [Directions; TARIFFS],
    secondary_by_tariff: [Directions; TARIFFS],
    trip: Directions,
}

/// The registers as of one billing page.
struct Live<'a> {
    billing: &'a Billing,
    energies: Energies,
    at: Utc,
    status: Status,
}

impl Meter {
    /// All registers of this meter type, in the order of the table.
    pub fn readings(&self, now: Mono) -> Vec<(Obis, Reading)> {
        let live = self.live(now);
        let rows = REGISTERS.iter().filter(|r| r.on(self.settings().meter_type));
        rows.map(|r| (r.obis, self.reading(r, live.as_ref(), now))).collect()
    }

    /// One register; `None` when this meter type has no such register.
    pub fn read(&self, obis: Obis, now: Mono) -> Option<Reading> {
        let register = find(obis).filter(|r| r.on(self.settings().meter_type))?;
        Some(self.reading(register, self.live(now).as_ref(), now))
    }

    /// The energy registers as of the last settled record: what is stored, without what was counted since. They need
    /// no link and are never stale: the time says what they are of.
    pub fn settled(&self) -> Vec<(Obis, Reading)> {
        let d = self.durable();
        let status = quality_bits(d.quality) | self.own_status();
        let rows = REGISTERS.iter().filter(|r| r.on(self.settings().meter_type));
        let energies = self.settled_energies();
        rows.filter_map(|r| {
            let value = energies.shown(r.source)?;
            let reading = Reading { value, scaler: r.scaler, unit: r.unit, at: d.utc, status };
            Some((r.obis, if d.seq == 0 { Reading::none(Absent::NotYet, r.scaler, r.unit, d.utc) } else { reading }))
        })
        .collect()
    }

    /// The registers in force at the last billing page, mJ; `None` before the first page.
    pub fn registers(&self) -> Option<Counters> {
        self.last_billing().map(|_| self.live_registers().0)
    }

    fn own_status(&self) -> Status {
        if self.settings().not_legal { Status::NOT_LEGAL } else { Status(0) }
    }

    fn live(&self, now: Mono) -> Option<Live<'_>> {
        let billing = self.last_billing().filter(|_| !self.is_stale(now))?;
        let (registers, secondary) = self.live_registers();
        let mut energies = Energies { registers, secondary, ..self.settled_energies() };
        // Only what surely belongs to the tariff in force: what came with a page while no record was outstanding.
        if let Some(clean) = &self.clean {
            let d = self.durable();
            let t = d.tariff.index();
            let (mut total, mut set) = (d.registers.total, d.secondary);
            energy::accrue_set(&mut total, &d.counters.total, &clean.total, d.params.ct_ratio);
            energy::advance(&mut energies.by_tariff[t], &directions(&d.registers.total), &directions(&total));
            if d.ct {
                energy::accrue_set(&mut set, &d.counters.total, &clean.total, 1);
                energy::advance(&mut energies.secondary_by_tariff[t], &directions(&d.secondary), &directions(&set));
            }
        }
        let grid = &billing.grid;
        let at = Utc(grid.utc_us_at(billing.snapshot.t_samples));
        let status = quality_bits(crate::meter::quality(grid.quality)) | self.own_status();
        Some(Live { billing, energies, at, status })
    }

    fn settled_energies(&self) -> Energies {
        let d = self.durable();
        Energies {
            registers: d.registers,
            secondary: d.secondary,
            by_tariff: d.by_tariff,
            secondary_by_tariff: d.secondary_by_tariff,
            trip: d.trip,
        }
    }

    /// A value that is as of a settled record, with its own time; `None` when the source is none of these. They need no
    /// link: their time says what they are of.
    fn stored(&self, source: Source) -> Option<Result<(i64, Utc), Absent>> {
        let (d, demand) = (self.durable(), &self.durable().demand);
        let peak = |peak: Option<&Peak>| match peak {
            // Nothing to compare with yet, and no stop at which it would have become zero.
            Some(peak) if demand.mean.is_some() || demand.since != Utc(0) => Ok((as_i64(peak.mw), peak.at)),
            _ => Err(Absent::NotYet),
        };
        let now = |value: u64| if d.seq == 0 { Err(Absent::NotYet) } else { Ok((as_i64(value), d.utc)) };
        Some(match source {
            Source::Mean(power) => {
                demand.mean.map(|(means, end)| (as_i64(means[power as usize]), end)).ok_or(Absent::NotYet)
            }
            Source::Peak(power) => peak(demand.peaks.get(power as usize)),
            Source::TariffPeak(power, tariff) => {
                peak(tariff_peak(power as usize, tariff).and_then(|at| demand.tariff_peaks.get(at)))
            }
            Source::Accumulated(power, tariff) => {
                let at = accumulated(power as usize, tariff).and_then(|at| demand.accumulated.get(at));
                at.map_or(Err(Absent::NoChannel), |mw| now(*mw))
            }
            Source::DayMax => demand.day.map(|d| (as_i64(d.max.mw), d.max.at)).ok_or(Absent::NotYet),
            Source::DayMin => demand.day.map(|d| (as_i64(d.min.mw), d.min.at)).ok_or(Absent::NotYet),
            Source::Hours(None) => now(d.metered_us / HOUR_US),
            Source::Hours(Some(tariff)) => now(d.metered_by_tariff[tariff.index()] / HOUR_US),
            Source::DebitingPeriods => now(d.debiting_periods.into()),
            Source::Threshold => now(d.params.threshold_w.into()),
            Source::ThresholdCount => now(demand.threshold_count.into()),
            Source::Pulses(k) => d.pulses.get(usize::from(k)).map_or(Err(Absent::NoChannel), |n| now(*n)),
            Source::ActiveTariff => now(d.tariff.number().into()),
            _ => return None,
        })
    }

    fn reading(&self, register: &Register, live: Option<&Live>, now: Mono) -> Reading {
        let Register { scaler, unit, source, .. } = *register;
        if let Some(stored) = self.stored(source) {
            let status = quality_bits(self.durable().quality) | self.own_status();
            return match stored {
                Ok((value, at)) => Reading { value, scaler, unit, at, status },
                Err(reason) => Reading::none(reason, scaler, unit, self.durable().utc),
            };
        }
        let Some(live) = live else {
            let reason = if self.last_billing().is_some() { Absent::Stale } else { Absent::NotYet };
            return Reading::none(reason, scaler, unit, self.now(now).utc);
        };
        match self.value(source, live, now) {
            Ok(value) => Reading { value, scaler, unit, at: live.at, status: live.status },
            Err(reason) => Reading::none(reason, scaler, unit, live.at),
        }
    }

    fn value(&self, source: Source, live: &Live, now: Mono) -> Result<i64, Absent> {
        let second = &live.billing.second;
        let snapshot = &live.billing.snapshot;
        let valid = second.valid;
        let ratio = i64::from(self.durable().params.ct_ratio);
        let has =
            |flag: u32, k: u8, reason: Absent| if valid.phase(flag, usize::from(k)) { Ok(()) } else { Err(reason) };
        let phase = |k: u8| second.phase.get(usize::from(k)).ok_or(Absent::NoChannel);
        // No second has been completed since the coprocessor started: the powers are not measured yet.
        let measured = || if second.number == 0 { Err(Absent::NotYet) } else { Ok(()) };
        match source {
            Source::Energy(Some(k), _) => self.has_element(k)?,
            _ if live.energies.shown(source).is_some() => {}
            Source::Clock | Source::Boots | Source::DownTime | Source::Overloads | Source::CtRatio => {}
            _ => measured()?,
        }
        match source {
            Source::NetPower => Ok(second.p_mw.saturating_mul(ratio)),
            Source::ThdU(k) => {
                has(Valid::U, k, Absent::NoChannel)?;
                has(Valid::THD, k, Absent::Undefined)?;
                Ok(phase(k)?.thd_u_ppm.into())
            }
            Source::ThdI(k) => {
                has(Valid::I, k, Absent::NoChannel)?;
                has(Valid::THD_I, k, Absent::Undefined)?;
                Ok(phase(k)?.thd_i_ppm.into())
            }
            Source::Power(None, power) => {
                let s = i64::try_from(second.s_mva).unwrap_or(i64::MAX);
                Ok(one_way(power, second.p_mw, second.q_mvar, s).saturating_mul(ratio))
            }
            Source::Power(Some(k), power) => {
                has(Valid::U, k, Absent::NoChannel)?;
                has(Valid::I, k, Absent::NoChannel)?;
                let PhaseSecond { p_mw, q_mvar, s_mva, .. } = *phase(k)?;
                Ok(one_way(power, p_mw.into(), q_mvar.into(), s_mva.into()).saturating_mul(ratio))
            }
            Source::Voltage(k) => {
                has(Valid::U, k, Absent::NoChannel)?;
                Ok(phase(k)?.u_mv.into())
            }
            Source::Current(k) => {
                has(Valid::I, k, Absent::NoChannel)?;
                Ok(i64::from(phase(k)?.i_ua).saturating_mul(ratio))
            }
            Source::NeutralCurrent if !valid.has(Valid::I_N) => Err(Absent::NoChannel),
            Source::NeutralCurrent => Ok(i64::from(second.i_n_ua).saturating_mul(ratio)),
            Source::PowerFactor(None) if !valid.has(Valid::PF_TOTAL) => Err(Absent::Undefined),
            Source::PowerFactor(None) => Ok(second.pf_ppm.into()),
            Source::PowerFactor(Some(k)) => {
                has(Valid::U, k, Absent::NoChannel)?;
                has(Valid::I, k, Absent::NoChannel)?;
                has(Valid::PF, k, Absent::Undefined)?;
                Ok(phase(k)?.pf_ppm.into())
            }
            Source::Frequency if valid.has(Valid::F_OUT_OF_RANGE) => Err(Absent::OutOfRange),
            Source::Frequency if !valid.has(Valid::F) => Err(Absent::Undefined),
            Source::Frequency => Ok(second.f_uhz.into()),
            Source::Clock => Ok(self.now(now).utc.0),
            Source::Boots => Ok(snapshot.boots.into()),
            Source::DownTime => Ok(i64::try_from(snapshot.down_us).unwrap_or(i64::MAX)),
            Source::Overloads => Ok(i64::try_from(snapshot.clipped_windows).unwrap_or(i64::MAX)),
            Source::CtRatio => Ok(ratio),
            energy => live.energies.shown(energy).ok_or(Absent::NoChannel),
        }
    }

    /// Energy of a phase exists when both of its channels do.
    fn has_element(&self, k: u8) -> Result<(), Absent> {
        let needed = 0b1001 << k;
        let channels = self.hello().map_or(0, |h| h.channels);
        if channels & needed == needed { Ok(()) } else { Err(Absent::NoChannel) }
    }
}

impl Energies {
    /// The value of an energy register in its unit, rounded down; `None` when the source is no energy.
    fn shown(&self, source: Source) -> Option<i64> {
        let of = |set: &EnergySet, energy: Energy| match energy {
            Energy::Quadrant(q) => set.r.get(usize::from(q)).copied(),
            energy => energy.direction().map(|n| directions(set)[n]),
        };
        let [a_plus, a_minus, ..] = directions(&self.registers.total);
        let mj = match source {
            Source::Energy(None, energy) => of(&self.registers.total, energy)?,
            Source::Energy(Some(k), energy) => of(self.registers.phase.get(usize::from(k))?, energy)?,
            Source::Secondary(energy) => of(&self.secondary, energy)?,
            Source::Tariff(energy, tariff) => self.by_tariff[tariff.index()][energy.direction()?],
            Source::SecondaryTariff(energy, tariff) => self.secondary_by_tariff[tariff.index()][energy.direction()?],
            Source::Trip(power) => {
                let n = power as usize;
                directions(&self.registers.total)[n].saturating_sub(self.trip[n])
            }
            Source::Sum => a_plus.saturating_add(a_minus),
            Source::Net => {
                let net = i128::from(a_plus) - i128::from(a_minus);
                return i64::try_from(net.div_euclid(MILLIJOULE_PER_STEP.into())).ok();
            }
            _ => return None,
        };
        Some((mj / MILLIJOULE_PER_STEP) as i64)
    }
}

fn as_i64(v: u64) -> i64 {
    i64::try_from(v).unwrap_or(i64::MAX)
}

/// The part of a power that flows one way.
fn one_way(power: Power, p: i64, q: i64, s: i64) -> i64 {
    match power {
        Power::ActiveImport => p.max(0),
        Power::ActiveExport => p.saturating_neg().max(0),
        Power::ReactivePlus => q.max(0),
        Power::ReactiveMinus => q.saturating_neg().max(0),
        Power::ApparentImport => {
            if p >= 0 {
                s
            } else {
                0
            }
        }
        Power::ApparentExport => {
            if p < 0 {
                s
            } else {
                0
            }
        }
    }
}
