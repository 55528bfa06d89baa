//! Tariff plans: what a day of each kind looks like in each season.

use super::calendar::{DayType, SEASONS};
use super::{DAY, Tariff};

/// Plans that a meter holds.
pub const PLANS: usize = 3;
/// Shifts in a day.
pub const DAY_SHIFTS_MAX: usize = 10;

/// A tariff begins at a minute of the local day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayShift {
    /// Minute of the local day, 0 to 1439.
    pub minute: u16,
    /// The tariff.
    pub tariff: Tariff,
}

/// The shifts of one kind of day, ascending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayPlan {
    shifts: [DayShift; DAY_SHIFTS_MAX],
    count: u8,
}

impl DayPlan {
    /// A day from its shifts; `None` when there are more than ten, or they are not ascending or not inside of a day.
    pub fn new(shifts: &[DayShift]) -> Option<DayPlan> {
        let inside = shifts.iter().all(|s| s.minute < DAY);
        let ascending = shifts.windows(2).all(|w| w[0].minute < w[1].minute);
        let mut plan = DayPlan { count: u8::try_from(shifts.len()).ok()?, ..DayPlan::default() };
        plan.shifts.get_mut(..shifts.len())?.copy_from_slice(shifts);
        (inside && ascending).then_some(plan)
    }

    /// The shifts.
    pub fn shifts(&self) -> &[DayShift] {
        self.shifts.get(..usize::from(self.count)).unwrap_or_default()
    }

    /// The tariff that began at or before a minute of the day.
    pub(super) fn at(&self, minute: u16) -> Option<Tariff> {
        self.shifts().iter().rev().find(|s| s.minute <= minute).map(|s| s.tariff)
    }

    /// The tariff of the end of the day.
    pub(super) fn last(&self) -> Option<Tariff> {
        self.shifts().last().map(|s| s.tariff)
    }
}

/// One plan: a day of each kind for each season. A kind that a season does not have is the kind before it (holiday,
/// non-working, working); a season that the plan does not have is its season 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub(super) days: [[DayPlan; DayType::NAMES.len()]; SEASONS],
}

impl Plan {
    /// The day of a kind in a season (1 to 4).
    pub fn day(&self, season: u8, day_type: DayType) -> &DayPlan {
        let exists = |season: &&[DayPlan; 3]| !season[DayType::Working.index()].shifts().is_empty();
        let season = self.days.get(usize::from(season).wrapping_sub(1)).filter(exists).unwrap_or(&self.days[0]);
        let mut kinds = season[..=day_type.index()].iter().rev();
        kinds.find(|day| !day.shifts().is_empty()).unwrap_or(&season[0])
    }

    /// Whether the plan has a season of its own for this number (1 to 4).
    pub fn has_season(&self, season: u8) -> bool {
        let days = self.days.get(usize::from(season).wrapping_sub(1));
        days.is_some_and(|days| !days[DayType::Working.index()].shifts().is_empty())
    }
}
