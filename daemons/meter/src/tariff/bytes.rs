//! The tariff configuration in the settled state: fixed length, every value in its place.
//!
//! | bytes | what |
//! |---|---|
//! | 3 | source, tariff without time, daylight saving rule |
//! | 1 + 20 × 8 | daylight saving periods: count; begin and end u32, minutes since 2000 in normal time |
//! | 1 + 8 × 3 | season changes: count; month, day, season |
//! | 4 × 7 | kind of each weekday per season |
//! | 1 + 200 × 2 | exception days: count; days since 2000 |
//! | 1 | which plans exist, bits 0 to 2 |
//! | 3 × 4 × 3 × 10 × 2 | shifts: minute << 3 \| tariff - 1; 0xffff = none |

use super::calendar::{Calendar, DayType, EXCEPTIONS_MAX, SEASON_SHIFTS_MAX, SEASONS, SeasonShift};
use super::daylight::{DAYLIGHT_YEARS, Daylight, Rule};
use super::plan::{DAY_SHIFTS_MAX, DayPlan, DayShift, PLANS, Plan};
use super::{EPOCH_2000, Source, TARIFFS, Tariff, Tariffs};

/// Encoded length.
pub const TARIFFS_BYTES: usize = 3
    + 1
    + DAYLIGHT_YEARS * 8
    + 1
    + SEASON_SHIFTS_MAX * 3
    + SEASONS * 7
    + 1
    + EXCEPTIONS_MAX * 2
    + 1
    + PLANS * SEASONS * 3 * DAY_SHIFTS_MAX * 2;

const NO_SHIFT: u16 = 0xffff;

impl Tariffs {
    /// Appends [`TARIFFS_BYTES`] bytes.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let source = Source::NAMES.iter().position(|(s, _)| *s == self.source).unwrap_or(0);
        out.extend([source as u8, self.without_time.number(), self.daylight.rule as u8, self.daylight.count]);
        for (begin, end) in self.daylight.periods {
            out.extend(since_2000(begin).to_le_bytes());
            out.extend(since_2000(end).to_le_bytes());
        }
        let calendar = &self.calendar;
        out.push(calendar.shift_count);
        out.extend(calendar.shifts.iter().flat_map(|s| [s.month, s.day, s.season]));
        out.extend(calendar.weeks.iter().flatten().map(|day| *day as u8));
        out.push(calendar.exception_count);
        out.extend(calendar.exceptions.iter().flat_map(|day| day.to_le_bytes()));
        out.push(self.plans.iter().rev().fold(0, |bits, plan| bits << 1 | u8::from(plan.is_some())));
        for day in self.plans.iter().flat_map(|plan| plan.unwrap_or_default().days).flatten() {
            for n in 0..DAY_SHIFTS_MAX {
                let code = day.shifts().get(n).map_or(NO_SHIFT, |s| s.minute << 3 | u16::from(s.tariff.0));
                out.extend(code.to_le_bytes());
            }
        }
    }

    /// The inverse of [`Tariffs::encode`]; `None` for bytes that it never writes.
    pub(crate) fn decode(bytes: &[u8; TARIFFS_BYTES]) -> Option<Tariffs> {
        let mut r = Bytes(bytes);
        let source = Source::NAMES.get(usize::from(r.u8()))?.0;
        let without_time = Tariff::new(r.u8())?;
        let rule = Rule::NAMES.get(usize::from(r.u8()))?.0;
        let mut daylight = Daylight { rule, count: r.u8(), ..Daylight::default() };
        for period in &mut daylight.periods {
            *period = (from_2000(r.u32()), from_2000(r.u32()));
        }
        // What is not used is written as the default, so that a state has one form only.
        let (used, unused) = daylight.periods.split_at_checked(daylight.count.into())?;
        let apart = used.windows(2).all(|w| w[0].1 < w[1].0) && used.iter().all(|p| p.0 < p.1);
        if !apart || unused.iter().any(|p| *p != (from_2000(0), from_2000(0))) {
            return None;
        }
        daylight.periods[usize::from(daylight.count)..].fill((0, 0));
        let calendar = r.calendar()?;
        let which = r.u8();
        if which >> PLANS != 0 {
            return None;
        }
        let mut plans = [None; PLANS];
        for (n, slot) in plans.iter_mut().enumerate() {
            let plan = r.plan()?;
            if which >> n & 1 == 1 {
                *slot = Some(plan);
            } else if plan != Plan::default() {
                return None;
            }
        }
        Some(Tariffs { source, without_time, daylight, calendar, plans })
    }
}

/// Minutes since 2000 in 32 bits; 0 stands for "unused" too.
fn since_2000(minute: i64) -> u32 {
    u32::try_from(minute.saturating_sub(EPOCH_2000.minute())).unwrap_or(0)
}

fn from_2000(minutes: u32) -> i64 {
    i64::from(minutes) + EPOCH_2000.minute()
}

/// Reads forward; the length is checked by its type.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
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
    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }
    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    fn calendar(&mut self) -> Option<Calendar> {
        let mut c = Calendar { shift_count: self.u8(), ..Calendar::default() };
        for shift in &mut c.shifts {
            *shift = SeasonShift { month: self.u8(), day: self.u8(), season: self.u8() };
        }
        for day in c.weeks.iter_mut().flatten() {
            *day = DayType::NAMES.get(usize::from(self.u8()))?.0;
        }
        c.exception_count = self.u8();
        c.exceptions = [(); EXCEPTIONS_MAX].map(|()| self.u16());
        let (shifts, no_shifts) = c.shifts.split_at_checked(c.shift_count.into())?;
        let (days, no_days) = c.exceptions.split_at_checked(c.exception_count.into())?;
        let seasons = shifts.iter().all(|s| (1..=SEASONS as u8).contains(&s.season));
        let ascending = shifts.windows(2).all(|w| (w[0].month, w[0].day) < (w[1].month, w[1].day))
            && days.windows(2).all(|w| w[0] < w[1]);
        let clean = no_shifts.iter().all(|s| *s == SeasonShift::default()) && no_days.iter().all(|d| *d == 0);
        (seasons && ascending && clean).then_some(c)
    }

    fn plan(&mut self) -> Option<Plan> {
        let mut plan = Plan::default();
        for day in plan.days.iter_mut().flatten() {
            let codes = [(); DAY_SHIFTS_MAX].map(|()| self.u16());
            let count = codes.iter().position(|code| *code == NO_SHIFT).unwrap_or(DAY_SHIFTS_MAX);
            if codes.iter().skip(count).any(|code| *code != NO_SHIFT) {
                return None;
            }
            let shift =
                |code: &u16| DayShift { minute: code >> 3, tariff: Tariff((code & (TARIFFS as u16 - 1)) as u8) };
            let shifts: Vec<DayShift> = codes.iter().take(count).map(shift).collect();
            *day = DayPlan::new(&shifts)?;
        }
        Some(plan)
    }
}
