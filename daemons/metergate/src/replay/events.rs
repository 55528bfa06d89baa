//! Events of a record: those of the DSP (dip, swell, interruption, rapid voltage change), and conditions of the windows
//! (clipping, frequency outside of the tracker's range).

use metrology_dsp::pq::events as pq;
use serde::Serialize;

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// Begin, s from the first sample.
    pub at: f64,
    /// s.
    pub duration: f64,
    /// `dip`, `swell`, `interruption`, `rapid-voltage-change`, `clipped` or `frequency-out-of-range`.
    pub kind: &'static str,
    /// The phase, 1 to 3, when there is only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<u8>,
    /// The phases that took part; empty for what concerns no phase.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<u8>,
    /// The deepest (highest) voltage, of a rapid change its size, V.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

impl Event {
    /// From an event of the DSP: `seconds` gives the time of a number of samples, `volts` what a millivolt stands for.
    /// `None` for one that is under way.
    pub fn of_voltage(event: &pq::Event, seconds: impl Fn(u64) -> f64, volts: f64) -> Option<Event> {
        let phases: Vec<u8> = (1..=3).filter(|phase| event.channels >> (phase - 1) & 1 != 0).collect();
        Some(Event {
            at: seconds(event.start),
            duration: seconds(event.duration?),
            kind: event.kind.name(),
            phase: <[u8; 1]>::try_from(&phases[..]).ok().map(|[one]| one),
            phases,
            value: Some(f64::from(event.extreme_mv) * volts),
        })
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
        Some(Event { at, duration: t - at, kind: self.kind, phase: None, phases: Vec::new(), value: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voltage_event_keeps_its_phases_and_gets_the_units_of_the_record() {
        let dip = pq::Event {
            kind: pq::Kind::Dip,
            channels: 0b110,
            start: 8000,
            duration: Some(1600),
            extreme_mv: 115_000,
            steady_mv: 0,
        };
        let of = |event| Event::of_voltage(&event, |n| n as f64 / 8000.0, 0.5);
        let event = of(dip).unwrap();
        assert_eq!((event.at, event.duration, event.kind, event.value), (1.0, 0.2, "dip", Some(57_500.0)));
        assert_eq!((event.phase, event.phases), (None, vec![2, 3]));
        let one = of(pq::Event { channels: 0b100, kind: pq::Kind::Rapid, ..dip }).unwrap();
        assert_eq!((one.phase, one.phases, one.kind), (Some(3), vec![3], "rapid-voltage-change"));
        assert_eq!(of(pq::Event { duration: None, ..dip }), None);
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
