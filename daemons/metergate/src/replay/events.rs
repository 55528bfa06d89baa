//! Events of a record, from the RMS voltages of each half-cycle (IEC 61000-4-30: dip, swell, interruption) and from the
//! windows (clipping, frequency outside of the tracker's range).

use serde::Serialize;

/// A dip begins below this share of the nominal voltage.
const DIP: f64 = 0.90;
/// A swell begins above this share.
const SWELL: f64 = 1.10;
/// A dip that goes below this share is an interruption.
const INTERRUPTION: f64 = 0.05;
/// The voltage must come back by so much beyond the threshold before the event has ended.
const HYSTERESIS: f64 = 0.02;

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// Begin, s from the first sample.
    pub at: f64,
    /// s.
    pub duration: f64,
    /// `dip`, `swell`, `interruption`, `clipped` or `frequency-out-of-range`.
    pub kind: &'static str,
    /// 1 to 3; absent for what concerns all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<u8>,
    /// The deepest (highest) voltage, V.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

/// Follows one phase's voltage.
#[derive(Debug)]
pub struct VoltageWatch {
    phase: u8,
    nominal: f64,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    swell: bool,
    at: f64,
    extreme: f64,
}

impl VoltageWatch {
    /// For phase 1 to 3 and its nominal voltage, V.
    pub fn new(phase: u8, nominal: f64) -> VoltageWatch {
        VoltageWatch { phase, nominal, open: None }
    }

    /// The RMS voltage over the cycle that ended at `t` s. Gives an event that has ended.
    pub fn step(&mut self, t: f64, u: f64) -> Option<Event> {
        let share = u / self.nominal;
        match &mut self.open {
            None if share < DIP => self.open = Some(Open { swell: false, at: t, extreme: u }),
            None if share > SWELL => self.open = Some(Open { swell: true, at: t, extreme: u }),
            None => {}
            Some(open) if open.swell => {
                open.extreme = open.extreme.max(u);
                if share <= SWELL - HYSTERESIS {
                    return self.close(t);
                }
            }
            Some(open) => {
                open.extreme = open.extreme.min(u);
                if share >= DIP + HYSTERESIS {
                    return self.close(t);
                }
            }
        }
        None
    }

    /// The event that is still under way at the end of the record.
    pub fn close(&mut self, t: f64) -> Option<Event> {
        let Open { swell, at, extreme } = self.open.take()?;
        let kind = match swell {
            true => "swell",
            false if extreme < INTERRUPTION * self.nominal => "interruption",
            false => "dip",
        };
        Some(Event { at, duration: t - at, kind, phase: Some(self.phase), value: Some(extreme) })
    }
}

/// Joins neighbouring windows of one condition into one event.
#[derive(Debug)]
pub struct Condition {
    kind: &'static str,
    since: Option<f64>,
}

impl Condition {
    /// Nothing so far.
    pub fn new(kind: &'static str) -> Condition {
        Condition { kind, since: None }
    }

    /// A window from `begin` to `end` in which the condition holds or not. Gives an event that has ended.
    pub fn step(&mut self, begin: f64, holds: bool) -> Option<Event> {
        match (self.since, holds) {
            (None, true) => {
                self.since = Some(begin);
                None
            }
            (Some(_), false) => self.close(begin),
            _ => None,
        }
    }

    /// What is under way at `t`.
    pub fn close(&mut self, t: f64) -> Option<Event> {
        let at = self.since.take()?;
        Some(Event { at, duration: t - at, kind: self.kind, phase: None, value: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(voltages: &[f64]) -> Vec<(&'static str, usize, usize, f64)> {
        let mut watch = VoltageWatch::new(1, 100.0);
        let steps = voltages.iter().enumerate();
        let mut all: Vec<Event> = steps.filter_map(|(t, u)| watch.step(t as f64, *u)).collect();
        all.extend(watch.close(voltages.len() as f64));
        all.iter().map(|e| (e.kind, e.at as usize, e.duration as usize, e.value.unwrap())).collect()
    }

    #[test]
    fn thresholds_have_hysteresis_and_depth_decides_the_name() {
        assert_eq!(events(&[100.0, 91.0, 109.0, 90.0, 110.0]), []);
        assert_eq!(events(&[100.0, 89.0, 60.0, 91.0, 92.0, 100.0]), [("dip", 1, 3, 60.0)]);
        assert_eq!(events(&[111.0, 120.0, 109.0, 108.0]), [("swell", 0, 3, 120.0)]);
        assert_eq!(events(&[50.0, 4.0, 50.0]), [("interruption", 0, 3, 4.0)]);
        assert_eq!(events(&[80.0, 100.0, 80.0, 100.0]), [("dip", 0, 1, 80.0), ("dip", 2, 1, 80.0)]);
    }

    #[test]
    fn windows_of_one_condition_are_one_event() {
        let mut condition = Condition::new("clipped");
        let steps = [false, true, true, false, true];
        let mut ends: Vec<_> = steps.iter().enumerate().filter_map(|(t, h)| condition.step(t as f64, *h)).collect();
        ends.extend(condition.close(5.0));
        assert_eq!(ends.iter().map(|e| (e.at, e.duration)).collect::<Vec<_>>(), [(1.0, 2.0), (4.0, 1.0)]);
    }
}
