//! Reading registers: live values with their time, or the reason why there is none.

use meter_model::{Absent, Mono, Obis, Reading, Status, Utc};
use metrology_link::payload::{Billing, Counters, EnergySet, PhaseSecond, Valid};

use crate::meter::{Meter, quality_bits};
use crate::register::{Energy, Power, REGISTERS, Register, Source, find};

/// Millijoules in one step of an energy reading: scaler -3 in Wh. 1 mWh = 3600 mJ; readings are rounded down, so
/// a reading never shows energy that was not there yet.
pub const MILLIJOULE_PER_STEP: u64 = 3600;

/// The registers as of one billing page.
struct Live<'a> {
    billing: &'a Billing,
    registers: Counters,
    secondary: EnergySet,
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
        rows.filter_map(|r| {
            let mj = stored_energy(r.source, &d.registers, &d.secondary)?;
            let value = (mj / MILLIJOULE_PER_STEP) as i64;
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
        let grid = &billing.grid;
        let at = Utc(grid.utc_us_at(billing.snapshot.t_samples));
        let status = quality_bits(crate::meter::quality(grid.quality)) | self.own_status();
        Some(Live { billing, registers, secondary, at, status })
    }

    fn reading(&self, register: &Register, live: Option<&Live>, now: Mono) -> Reading {
        let Register { scaler, unit, source, .. } = *register;
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
            Source::Energy(None, _) | Source::Secondary(_) => {}
            Source::Energy(Some(k), _) => self.has_element(k)?,
            Source::Clock | Source::Boots | Source::DownTime | Source::Overloads | Source::CtRatio => {}
            _ => measured()?,
        }
        match source {
            Source::Energy(..) | Source::Secondary(_) => {
                let mj = stored_energy(source, &live.registers, &live.secondary).ok_or(Absent::NoChannel)?;
                Ok((mj / MILLIJOULE_PER_STEP) as i64)
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
        }
    }

    /// Energy of a phase exists when both of its channels do.
    fn has_element(&self, k: u8) -> Result<(), Absent> {
        let needed = 0b1001 << k;
        let channels = self.hello().map_or(0, |h| h.channels);
        if channels & needed == needed { Ok(()) } else { Err(Absent::NoChannel) }
    }
}

/// The value of an energy register in mJ; `None` when the source is no energy.
fn stored_energy(source: Source, registers: &Counters, secondary: &EnergySet) -> Option<u64> {
    let (set, energy) = match source {
        Source::Energy(None, energy) => (&registers.total, energy),
        Source::Energy(Some(k), energy) => (registers.phase.get(usize::from(k))?, energy),
        Source::Secondary(energy) => (secondary, energy),
        _ => return None,
    };
    let [r1, r2, r3, r4] = set.r;
    Some(match energy {
        Energy::ActiveImport => set.a_plus,
        Energy::ActiveExport => set.a_minus,
        Energy::ReactivePlus => r1.saturating_add(r2),
        Energy::ReactiveMinus => r3.saturating_add(r4),
        Energy::Quadrant(q) => *set.r.get(usize::from(q))?,
        Energy::ApparentImport => set.e_plus,
        Energy::ApparentExport => set.e_minus,
    })
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
