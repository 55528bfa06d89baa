//! Samples and timer ticks: when samples arrive, how many did not, and at which tick an instant on the sample clock lies.
//!
//! The timers count 32 bits and wrap after 25 s; differences are taken modulo that.

use metrology_dsp::pulses::Instant;

/// Timer ticks per second.
pub const TICKS_HZ: u32 = 170_000_000;
/// A pulse that comes too late for its instant begins so many ticks from now (20 µs), so that the timer cannot pass it
/// while it is being set.
pub const MARGIN: u32 = TICKS_HZ / 50_000;

/// Watches the data-ready edges of the converter for samples that never came.
#[derive(Clone, Copy, Debug)]
pub struct Arrivals {
    period: u32,
    last: Option<u32>,
}

impl Arrivals {
    /// At a rate, before the first edge.
    pub fn new(rate_hz: u32) -> Arrivals {
        Arrivals { period: TICKS_HZ / rate_hz.max(1), last: None }
    }

    /// An edge at `ticks`: samples that are missing before it.
    pub fn edge(&mut self, ticks: u32) -> u32 {
        let missing = self.last.map_or(0, |last| {
            let passed = ticks.wrapping_sub(last);
            // Counted already when the edge is before `last`, which silence moved on.
            if passed >= 1 << 31 { 0 } else { ((passed + self.period / 2) / self.period).saturating_sub(1) }
        });
        self.last = Some(ticks);
        missing
    }

    /// No edge until now: samples that should have come and were not told yet, once it is clear that they do not come.
    pub fn silence(&mut self, now: u32) -> u32 {
        let last = *self.last.get_or_insert(now);
        let passed = now.wrapping_sub(last);
        if passed >= 1 << 31 || passed / self.period < 16 {
            return 0;
        }
        // One less than fits: the next edge belongs to a sample that does come.
        let missing = passed / self.period - 1;
        self.last = Some(last.wrapping_add(missing * self.period));
        missing
    }
}

/// The sample clock on the timer: one sample whose tick is known, and the measured length of a sample.
#[derive(Clone, Copy, Debug)]
pub struct SampleClock {
    rate_hz: u32,
    anchor: (u64, u32),
    base: Option<(u64, u32)>,
    /// Ticks of a sample, Q16.
    period: u64,
}

impl SampleClock {
    /// At a rate, with the length that both crystals promise.
    pub fn new(rate_hz: u32) -> SampleClock {
        let rate_hz = rate_hz.max(1);
        SampleClock { rate_hz, anchor: (0, 0), base: None, period: (u64::from(TICKS_HZ) << 16) / u64::from(rate_hz) }
    }

    /// Sample number `sample` came at `ticks`. Once a second the length is measured anew; one that is off by more than
    /// 2 %, which the internal oscillator keeps too, comes from something else and is not believed.
    pub fn note(&mut self, sample: u64, ticks: u32) {
        self.anchor = (sample, ticks);
        let Some((base, base_ticks)) = self.base else {
            self.base = Some(self.anchor);
            return;
        };
        let samples = sample.wrapping_sub(base);
        if samples < u64::from(self.rate_hz) {
            return;
        }
        self.base = Some(self.anchor);
        let measured = (u64::from(ticks.wrapping_sub(base_ticks)) << 16) / samples;
        let nominal = (u64::from(TICKS_HZ) << 16) / u64::from(self.rate_hz);
        if measured.abs_diff(nominal) < nominal / 50 {
            self.period = measured;
        }
    }

    /// Tick at which an instant lies, which is near the last sample.
    pub fn tick(&self, instant: Instant) -> u32 {
        let (sample, ticks) = self.anchor;
        let samples = instant.sample.wrapping_sub(sample) as i64;
        // Two seconds at most: what is further is no pulse of this clock.
        let limit = i64::from(self.rate_hz) * 2;
        let position = (samples.clamp(-limit, limit) << 24) + i64::from(instant.fraction);
        let offset = (i128::from(position) * i128::from(self.period)) >> 40;
        ticks.wrapping_add(offset as u32)
    }
}

/// When a pulse that should begin at `wanted` can begin, now being `now`.
pub fn not_before(wanted: u32, now: u32) -> u32 {
    let earliest = now.wrapping_add(MARGIN);
    if (wanted.wrapping_sub(earliest) as i32) < 0 { earliest } else { wanted }
}

/// Ticks of a width in ms.
pub fn width(ms: u8) -> u32 {
    u32::from(ms) * (TICKS_HZ / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: u32 = 21_250;

    #[test]
    fn missing_samples_are_counted_once() {
        let mut arrivals = Arrivals::new(8000);
        let mut tick = u32::MAX - 3 * PERIOD;
        let mut next = |periods: u32| {
            tick = tick.wrapping_add(periods * PERIOD + 100);
            tick
        };
        let edges = [next(1), next(1), next(3), next(1), next(1)];
        assert_eq!(edges.map(|t| arrivals.edge(t)), [0, 0, 2, 0, 0]);
    }

    #[test]
    fn silence_and_the_edge_after_it_together_count_all() {
        let mut arrivals = Arrivals::new(8000);
        arrivals.edge(0);
        // A few samples late is no silence: the edge tells.
        assert_eq!(arrivals.silence(10 * PERIOD), 0);
        let told = arrivals.silence(100 * PERIOD + 5) + arrivals.silence(250 * PERIOD + 5);
        assert_eq!(told + arrivals.edge(251 * PERIOD), 250);
    }

    #[test]
    fn a_converter_that_never_speaks_is_missed_too() {
        let mut arrivals = Arrivals::new(8000);
        assert_eq!(arrivals.silence(7), 0);
        assert_eq!(arrivals.silence(7 + 80 * PERIOD), 79);
    }

    #[test]
    fn instants_lie_between_samples_to_a_tick() {
        let mut clock = SampleClock::new(8000);
        clock.note(1_000_000, u32::MAX - 10);
        let at = |sample, fraction| clock.tick(Instant { sample, fraction });
        assert_eq!(at(1_000_000, 0), u32::MAX - 10);
        assert_eq!(at(1_000_000, 1 << 23), PERIOD / 2 - 11);
        assert_eq!(at(1_000_080, 0), 80 * PERIOD - 11);
        assert_eq!(at(999_999, 0), u32::MAX - 10 - PERIOD);
    }

    #[test]
    fn the_length_of_a_sample_is_measured() {
        // 100 ppm between the crystals would be 1 µs, 170 ticks, after the 10 ms that a pulse is known ahead.
        let mut clock = SampleClock::new(8000);
        let tick = |sample: u64| (sample as u128 * 21_252_125 / 1000) as u32;
        for sample in 0..20_000 {
            clock.note(sample, tick(sample));
        }
        let off = clock.tick(Instant { sample: 20_079, fraction: 0 }).wrapping_sub(tick(20_079)) as i32;
        assert!(off.abs() <= 2, "{off} ticks");
        // The same without measuring, as a control.
        let mut raw = SampleClock::new(8000);
        raw.note(19_999, tick(19_999));
        let off = raw.tick(Instant { sample: 20_079, fraction: 0 }).wrapping_sub(tick(20_079)) as i32;
        assert!(off.abs() > 100, "{off} ticks");
    }

    #[test]
    fn a_length_that_no_oscillator_has_is_not_believed() {
        let mut clock = SampleClock::new(8000);
        clock.note(0, 0);
        clock.note(8000, 8000 * PERIOD + 400 * PERIOD);
        assert_eq!(clock.period, u64::from(PERIOD) << 16);
    }

    #[test]
    fn late_pulses_begin_at_once_and_none_is_passed() {
        assert_eq!(not_before(10_000, 0), 10_000);
        assert_eq!(not_before(5, 0), MARGIN);
        assert_eq!(not_before(0xFFFF_FFF0, 3), 3 + MARGIN);
        assert_eq!(not_before(2 * MARGIN, 0xFFFF_FFF0), 2 * MARGIN);
        assert_eq!(width(30), 5_100_000);
    }
}
