//! Events of a record: those of the DSP (dip, swell, interruption, rapid voltage change), and conditions of the windows
//! (channels that are clipped, stand still or are dead; exchanged currents, reversed rotation, a frequency outside of the
//! tracker's range).

use metrology_dsp::MeterConfig;
use metrology_dsp::pq::events as pq;
use serde::Serialize;

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// Begin, s from the first sample.
    pub at: f64,
    /// s.
    pub duration: f64,
    /// `dip`, `swell`, `interruption`, `rapid-voltage-change`, `frequency-out-of-range`, `currents-swapped`,
    /// `reversed-sequence`; of a channel `clipped`, `stuck` or `missing`.
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
    /// The cell of EN 50160's tables of dips and swells, such as D4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cell: Option<&'static str>,
    /// The channel that a condition of one concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<&'static str>,
}

impl Event {
    /// From an event of the DSP: `seconds` gives the time of a number of samples, `volts` what a millivolt stands for.
    /// `None` for one that is under way.
    pub fn of_voltage(
        event: &pq::Event,
        config: &MeterConfig,
        seconds: impl Fn(u64) -> f64,
        volts: f64,
    ) -> Option<Event> {
        let phases: Vec<u8> = (1..=3).filter(|phase| event.channels >> (phase - 1) & 1 != 0).collect();
        Some(Event {
            at: seconds(event.start),
            duration: seconds(event.duration?),
            kind: event.kind.name(),
            phase: <[u8; 1]>::try_from(&phases[..]).ok().map(|[one]| one),
            phases,
            value: Some(f64::from(event.extreme_mv) * volts),
            cell: event.cell(config.u_nominal_mv, config.rate_hz),
            channel: None,
        })
    }
}

/// Joins neighbouring windows of one condition into one event.
#[derive(Debug)]
pub struct Condition {
    kind: &'static str,
    channel: Option<&'static str>,
    since: Option<f64>,
}

impl Condition {
    /// Nothing so far.
    pub fn new(kind: &'static str) -> Condition {
        Condition { kind, channel: None, since: None }
    }

    /// Nothing so far, of one channel.
    pub fn of_channel(kind: &'static str, channel: &'static str) -> Condition {
        Condition { channel: Some(channel), ..Condition::new(kind) }
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
        let (kind, channel) = (self.kind, self.channel);
        Some(Event { at, duration: t - at, kind, phase: None, phases: Vec::new(), value: None, cell: None, channel })
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
        let config = MeterConfig::default();
        let of = |event| Event::of_voltage(&event, &config, |n| n as f64 / 8000.0, 0.5);
        let event = of(dip).unwrap();
        assert_eq!((event.at, event.duration, event.kind, event.value), (1.0, 0.2, "dip", Some(57_500.0)));
        assert_eq!((event.phase, event.phases, event.cell), (None, vec![2, 3], Some("C1")));
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
