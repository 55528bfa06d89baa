//! Dips, swells and interruptions from the RMS values of each half-cycle (IEC 61000-4-30 5.4, 5.5).
//!
//! All measured voltages together make one event (polyphase rules): a dip or swell begins when *any* channel is beyond
//! its threshold and ends when *all* are back inside by the hysteresis; an interruption begins when *all* are below
//! its threshold and ends when *any* is above it by the hysteresis. The three kinds are followed independently, so a
//! deep dip holds the interruption that is its core. Times are those of the begin of the one-cycle value that told.
//!
//! It refuses nothing: values are what they are. The first half-cycles after a start are passed over, since their
//! cycle began before the meter did.

use metrology_link::payload::MeterConfig;

/// Voltage channels.
pub const VOLTAGES: usize = 3;
/// Cycles after a start that are not looked at: the first holds samples from before it. Until the tracker has locked they
/// have nominal length, which costs 1 % of accuracy at 1 % off the nominal frequency; to be blind would cost more.
pub const WARM_UP: u32 = 2;
/// Bits of the voltage channels in a channel mask.
pub(super) const VOLTAGE_MASK: u8 = (1 << VOLTAGES) - 1;

/// Thresholds in parts per thousand of the nominal (declared) voltage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Dips begin below.
    pub dip: u32,
    /// Swells begin above.
    pub swell: u32,
    /// Interruptions begin below.
    pub interruption: u32,
    /// Values must come back by so much.
    pub hysteresis: u32,
    /// Rapid changes begin beyond.
    pub rapid: u32,
    /// Hysteresis of rapid changes, in parts per thousand of their threshold.
    pub rapid_hysteresis: u32,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds::USUAL
    }
}

impl Thresholds {
    /// What the standards suggest: 90, 110, 5 and 2 %; rapid changes of 5 % with a hysteresis of half of that.
    pub const USUAL: Thresholds =
        Thresholds { dip: 900, swell: 1100, interruption: 50, hysteresis: 20, rapid: 50, rapid_hysteresis: 500 };
}

/// What happened to the voltage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Voltage dip.
    Dip,
    /// Voltage swell.
    Swell,
    /// Voltage interruption.
    Interruption,
    /// Rapid voltage change (of one channel, see [`super::rapid`]).
    Rapid,
}

/// An event, under way or over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it is.
    pub kind: Kind,
    /// Voltage channels that took part, a bit each.
    pub channels: u8,
    /// Sample clock at its begin.
    pub start: u64,
    /// Samples it lasted; `None` while it is under way.
    pub duration: Option<u64>,
    /// Residual voltage of a dip or interruption, highest of a swell, largest change (dUmax) of a rapid change, mV.
    pub extreme_mv: u32,
    /// Difference of the steady voltages after and before (dUss) of a rapid change, mV; else 0.
    pub steady_mv: u32,
}

impl Event {
    /// The cell of EN 50160's tables that an event which is over counts in: `A1` to `X5` for a dip by its residual voltage
    /// (90, 80, 70, 40, 5 %) and its length (200 ms, 500 ms, 1 s, 5 s, 60 s), `S1` to `T3` for a swell (from 120 %; below)
    /// by its length (500 ms, 5 s, 60 s). None for what lasts longer, and for other kinds.
    pub fn cell(&self, nominal_mv: u32, rate_hz: u32) -> Option<&'static str> {
        const DIPS: [[&str; 5]; 5] = [
            ["A1", "A2", "A3", "A4", "A5"],
            ["B1", "B2", "B3", "B4", "B5"],
            ["C1", "C2", "C3", "C4", "C5"],
            ["D1", "D2", "D3", "D4", "D5"],
            ["X1", "X2", "X3", "X4", "X5"],
        ];
        const SWELLS: [[&str; 3]; 2] = [["S1", "S2", "S3"], ["T1", "T2", "T3"]];
        let ms = self.duration?.saturating_mul(1000) / u64::from(rate_hz.max(1));
        let percent = u64::from(self.extreme_mv) * 100;
        let at_least = |limit: u64| percent >= limit * u64::from(nominal_mv);
        let place = |limits: &[u64]| limits.iter().position(|limit| ms <= *limit);
        match self.kind {
            Kind::Dip => {
                let row = [80, 70, 40, 5].iter().position(|limit| at_least(*limit)).unwrap_or(4);
                DIPS[row].get(place(&[200, 500, 1000, 5000, 60_000])?).copied()
            }
            Kind::Swell => SWELLS[usize::from(!at_least(120))].get(place(&[500, 5000, 60_000])?).copied(),
            _ => None,
        }
    }
}

/// Follows one kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    kind: Kind,
    /// Beyond this it begins, and back inside this it ends, mV.
    begin_mv: u32,
    end_mv: u32,
    open: Option<Event>,
}

impl Watch {
    pub(super) const fn new(kind: Kind) -> Watch {
        Watch { kind, begin_mv: 0, end_mv: 0, open: None }
    }

    pub(super) fn set(&mut self, begin_mv: u32, end_mv: u32) {
        (self.begin_mv, self.end_mv, self.open) = (begin_mv, end_mv, None);
    }

    /// A value of all channels in `mask`. Gives what began or ended.
    pub(super) fn step(&mut self, start: u64, rms: &[u32; VOLTAGES], mask: u8) -> Option<Event> {
        let (mut beyond, mut back) = (0, 0);
        let (mut lowest, mut highest) = (u32::MAX, 0);
        for (k, &u) in rms.iter().enumerate().filter(|(k, _)| mask >> k & 1 != 0) {
            let (is_beyond, is_back) = match self.kind {
                Kind::Swell => (u > self.begin_mv, u <= self.end_mv),
                _ => (u < self.begin_mv, u >= self.end_mv),
            };
            beyond |= u8::from(is_beyond) << k;
            back |= u8::from(is_back) << k;
            (lowest, highest) = (lowest.min(u), highest.max(u));
        }
        let (begins, ends) = match self.kind {
            Kind::Interruption => (beyond == mask, back != 0),
            _ => (beyond != 0, back == mask),
        };
        let Some(open) = &mut self.open else {
            if begins {
                let extreme_mv = if self.kind == Kind::Swell { highest } else { lowest };
                let event =
                    Event { kind: self.kind, channels: beyond, start, duration: None, extreme_mv, steady_mv: 0 };
                self.open = Some(event);
            }
            return self.open;
        };
        if ends {
            let over = Event { duration: Some(start.saturating_sub(open.start)), ..*open };
            self.open = None;
            return Some(over);
        }
        open.channels |= beyond;
        open.extreme_mv = match self.kind {
            Kind::Swell => open.extreme_mv.max(highest),
            _ => open.extreme_mv.min(lowest),
        };
        None
    }
}

/// Follows all kinds.
#[derive(Clone, Debug)]
pub struct Events {
    watches: [Watch; 3],
    passed: u32,
    disturbances: Disturbances,
}

impl Default for Events {
    fn default() -> Events {
        Events::new()
    }
}

impl Events {
    /// Nothing seen, no thresholds.
    pub const fn new() -> Events {
        Events {
            watches: [Watch::new(Kind::Dip), Watch::new(Kind::Swell), Watch::new(Kind::Interruption)],
            passed: 0,
            disturbances: Disturbances::new(),
        }
    }

    /// Begins anew.
    pub fn configure(&mut self, config: &MeterConfig, thresholds: &Thresholds) {
        let mv = |permille: u32| (u64::from(config.u_nominal_mv) * u64::from(permille) / 1000) as u32;
        let t = thresholds;
        let [dip, swell, interruption] = &mut self.watches;
        dip.set(mv(t.dip), mv(t.dip + t.hysteresis));
        swell.set(mv(t.swell), mv(t.swell.saturating_sub(t.hysteresis)));
        interruption.set(mv(t.interruption), mv(t.interruption + t.hysteresis));
        (self.passed, self.disturbances) = (0, Disturbances::new());
    }

    /// Takes the RMS values (mV) of a cycle that began at `start` (sample clock), of the channels in `mask`; `tell` gets
    /// every event that begins and every one that ends. False while the start is passed over.
    pub fn step(&mut self, start: u64, rms_mv: &[u32; VOLTAGES], mask: u8, mut tell: impl FnMut(Event)) -> bool {
        let mask = mask & VOLTAGE_MASK;
        if self.passed < WARM_UP || mask == 0 {
            self.passed += u32::from(self.passed < WARM_UP);
            return false;
        }
        for watch in &mut self.watches {
            if let Some(event) = watch.step(start, rms_mv, mask) {
                self.disturbances.note(&event);
                tell(event);
            }
        }
        true
    }

    /// Whether an event of any kind lies in the time from `begin` to `end`.
    pub fn disturbed(&self, begin: u64, end: u64) -> bool {
        self.disturbances.overlap(begin, end)
    }

    /// Whether one is under way.
    pub fn under_way(&self) -> bool {
        self.watches.iter().any(|w| w.open.is_some())
    }

    /// The events that are under way, ended at `end` because nothing is known after it.
    pub fn close(&mut self, end: u64, mut tell: impl FnMut(Event)) {
        for watch in &mut self.watches {
            if let Some(open) = watch.open.take() {
                let event = Event { duration: Some(end.saturating_sub(open.start)), ..open };
                self.disturbances.note(&event);
                tell(event);
            }
        }
    }
}

/// Events remembered for flagging. Windows ask about the last 0.3 s; an event lasts a half-cycle or more, so three kinds
/// could make more, but beyond eight the two oldest are joined, which flags too much and never too little.
const REMEMBERED: usize = 8;

/// The times of the last events.
#[derive(Clone, Copy, Debug)]
struct Disturbances {
    /// Kind, begin and end; `u64::MAX` while under way. The oldest first.
    times: [(Kind, u64, u64); REMEMBERED],
    len: usize,
}

impl Disturbances {
    const fn new() -> Disturbances {
        Disturbances { times: [(Kind::Dip, 0, 0); REMEMBERED], len: 0 }
    }

    fn note(&mut self, event: &Event) {
        let end = event.duration.map_or(u64::MAX, |d| event.start.saturating_add(d));
        let known = self.times[..self.len].iter_mut().find(|(kind, begin, end)| {
            (*kind, *begin) == (event.kind, event.start) || (*kind == event.kind && *end == u64::MAX)
        });
        if let Some((_, _, known)) = known {
            *known = end;
            return;
        }
        if self.len == REMEMBERED {
            let [first, second] = [self.times[0], self.times[1]];
            self.times[1] = (second.0, first.1.min(second.1), first.2.max(second.2));
            self.times.rotate_left(1);
            self.len -= 1;
        }
        self.times[self.len] = (event.kind, event.start, end);
        self.len += 1;
    }

    fn overlap(&self, begin: u64, end: u64) -> bool {
        self.times[..self.len].iter().any(|&(_, from, to)| begin < to && end > from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Steps of 80 samples; values in volts with 100 V nominal. Gives (kind, channels, start step, steps, extreme V).
    fn run(steps: &[[f64; 3]], mask: u8) -> Vec<(Kind, u8, u64, Option<u64>, f64)> {
        let mut events = Events::new();
        events.configure(&MeterConfig { u_nominal_mv: 100_000, ..MeterConfig::default() }, &Thresholds::USUAL);
        let quiet = [[100.0; 3]; WARM_UP as usize];
        let mut out = Vec::new();
        for (n, u) in quiet.iter().chain(steps).enumerate() {
            let n = n as u64;
            events.step(80 * n, &u.map(|u| (u * 1000.0) as u32), mask, |e| {
                out.push((
                    e.kind,
                    e.channels,
                    e.start / 80 - u64::from(WARM_UP),
                    e.duration.map(|d| d / 80),
                    f64::from(e.extreme_mv) / 1000.0,
                ));
            });
        }
        out
    }

    fn ended(steps: &[[f64; 3]], mask: u8) -> Vec<(Kind, u8, u64, Option<u64>, f64)> {
        run(steps, mask).into_iter().filter(|e| e.3.is_some()).collect()
    }

    fn one(steps: &[f64]) -> Vec<(Kind, u8, u64, Option<u64>, f64)> {
        let steps: Vec<_> = steps.iter().map(|&u| [u, 0.0, 0.0]).collect();
        ended(&steps, 1)
    }

    #[test]
    fn iec_61000_4_30_5_4_2_a_dip_begins_below_and_ends_at_threshold_plus_hysteresis() {
        assert_eq!(one(&[90.0, 91.0, 100.0]), [], "at the threshold there is none");
        assert_eq!(one(&[89.9, 70.0, 91.9, 92.0]), [(Kind::Dip, 1, 0, Some(3), 70.0)]);
        assert_eq!(one(&[89.0, 91.0, 89.0, 92.0]), [(Kind::Dip, 1, 0, Some(3), 89.0)], "inside the hysteresis");
        assert_eq!(
            one(&[89.0, 92.0, 88.0, 92.0]),
            [(Kind::Dip, 1, 0, Some(1), 89.0), (Kind::Dip, 1, 2, Some(1), 88.0)]
        );
    }

    #[test]
    fn iec_61000_4_30_5_4_3_a_swell_begins_above_and_ends_at_threshold_minus_hysteresis() {
        assert_eq!(one(&[110.0, 100.0]), []);
        assert_eq!(one(&[110.1, 125.0, 108.1, 108.0]), [(Kind::Swell, 1, 0, Some(3), 125.0)]);
    }

    #[test]
    fn iec_61000_4_30_5_4_1_a_polyphase_dip_lasts_from_the_first_to_the_last_channel() {
        let steps = [[60.0, 100.0, 100.0], [60.0, 50.0, 100.0], [100.0, 50.0, 100.0], [100.0, 100.0, 80.0], [100.0; 3]];
        assert_eq!(ended(&steps, 7), [(Kind::Dip, 7, 0, Some(4), 50.0)]);
        // Back inside the threshold but not beyond the hysteresis: the event goes on for the next channel.
        let steps = [[60.0, 100.0, 100.0], [91.0, 100.0, 100.0], [100.0, 85.0, 100.0], [100.0; 3]];
        assert_eq!(ended(&steps, 7), [(Kind::Dip, 3, 0, Some(3), 60.0)]);
    }

    #[test]
    fn iec_61000_4_30_5_5_1_an_interruption_needs_all_channels_and_ends_with_any() {
        let two = [[0.0, 0.0, 100.0], [100.0; 3]];
        assert_eq!(ended(&two, 7), [(Kind::Dip, 3, 0, Some(1), 0.0)]);
        let all = [[50.0; 3], [4.9; 3], [6.9, 4.0, 4.0], [7.0, 4.0, 4.0], [100.0; 3]];
        assert_eq!(
            ended(&all, 7),
            [(Kind::Interruption, 7, 1, Some(2), 4.0), (Kind::Dip, 7, 0, Some(4), 4.0)],
            "an interruption is the core of a dip"
        );
        assert_eq!(ended(&[[100.0, 4.0, 3.0], [100.0; 3]], 1), [], "missing channels do not count");
    }

    #[test]
    fn en_50160_cells_by_depth_and_length() {
        let cell = |kind, percent: u32, ms: u64| {
            let duration = Some(ms * 8);
            let event = Event { kind, channels: 1, start: 0, duration, extreme_mv: percent * 2300, steady_mv: 0 };
            event.cell(230_000, 8000)
        };
        let dips =
            [(85, 10, "A1"), (80, 200, "A1"), (79, 201, "B2"), (70, 500, "B2"), (69, 1000, "C3"), (40, 1001, "C4")];
        let deep = [(39, 5000, "D4"), (5, 5001, "D5"), (4, 60_000, "X5"), (0, 100, "X1")];
        for (percent, ms, name) in dips.into_iter().chain(deep) {
            assert_eq!(cell(Kind::Dip, percent, ms), Some(name), "{percent} % for {ms} ms");
        }
        for (percent, ms, name) in [(120, 500, "S1"), (119, 501, "T2"), (130, 60_000, "S3"), (111, 10, "T1")] {
            assert_eq!(cell(Kind::Swell, percent, ms), Some(name), "{percent} % for {ms} ms");
        }
        assert_eq!((cell(Kind::Dip, 50, 60_001), cell(Kind::Swell, 120, 60_001)), (None, None));
        assert_eq!((cell(Kind::Interruption, 1, 500), cell(Kind::Rapid, 6, 0)), (None, None));
        let open = Event { kind: Kind::Dip, channels: 1, start: 0, duration: None, extreme_mv: 0, steady_mv: 0 };
        assert_eq!(open.cell(230_000, 8000), None);
    }

    #[test]
    fn begins_are_told_at_once() {
        let told = run(&[[80.0, 100.0, 100.0], [70.0, 100.0, 100.0], [100.0; 3]], 7);
        assert_eq!(told, [(Kind::Dip, 1, 0, None, 80.0), (Kind::Dip, 1, 0, Some(2), 70.0)]);
    }

    #[test]
    fn iec_61000_4_30_4_7_flags_reach_exactly_over_the_event() {
        let mut d = Disturbances::new();
        let event =
            |start, duration| Event { kind: Kind::Dip, channels: 1, start, duration, extreme_mv: 0, steady_mv: 0 };
        d.note(&event(1000, None));
        assert!(d.overlap(900, 1001) && d.overlap(5000, 6000) && !d.overlap(900, 1000));
        d.note(&event(1000, Some(80)));
        assert!(d.overlap(1079, 2000) && !d.overlap(1080, 2000) && d.len == 1);
        for n in 0..20 {
            d.note(&event(2000 + 100 * n, Some(50)));
        }
        assert!(d.len == REMEMBERED && d.overlap(1000, 1010) && d.overlap(3900, 3910) && !d.overlap(3950, 4000));
    }
}
