//! What others may read of the watch: the newest samples, and which window a spectrum belongs to.

use super::PowerQuality;
use crate::design::BASE_DELAY;

impl PowerQuality {
    /// The corrected samples that are kept, by their numbers: the oldest, and the one that comes next. Numbers grow by
    /// one; a sample is taken each 2^[`PowerQuality::kept_octaves`] ticks of the sample clock.
    pub fn kept(&self) -> (u64, u64) {
        let next = self.ring.next();
        (next.saturating_sub(super::resample::RING as u64), next)
    }

    /// See [`PowerQuality::kept`].
    pub fn kept_octaves(&self) -> u32 {
        self.decimator.octaves()
    }

    /// A kept sample of a channel, in the code of sixteen bits that pieces of waveforms carry; 0 for one that is not kept.
    pub fn kept_code(&self, channel: usize, number: u64) -> u16 {
        let (oldest, next) = self.kept();
        if (oldest..next).contains(&number) { self.ring.code(channel, number) } else { 0 }
    }

    /// The number of the sample that was taken at the terminals at the sample clock `t`.
    pub fn kept_at(&self, t: u64) -> u64 {
        let since = (t + u64::from(BASE_DELAY)).saturating_sub(self.clock);
        (since >> self.decimator.octaves()) + self.decimator.delay()
    }

    /// The sample clock at which a sample was taken at the terminals.
    pub fn kept_clock(&self, number: u64) -> u64 {
        let since = number.saturating_sub(self.decimator.delay()) << self.decimator.octaves();
        (self.clock + since).saturating_sub(u64::from(BASE_DELAY))
    }

    /// The ten-minute interval of the window whose spectra are being made, or were made last.
    pub fn spectrum_interval(&self) -> Option<i64> {
        let in_work = self.waiting.iter().flatten().find(|w| w.in_work).or(self.waiting[0].as_ref());
        in_work.map(|w| w.closed.interval).or(self.window.as_ref().map(|w| w.interval))
    }

    /// Where a rapid voltage change that is under way began, sample clock; the earliest of all channels.
    pub fn rapid_under_way(&self) -> Option<u64> {
        self.rapid.iter().filter_map(super::rapid::Rapid::under_way).min()
    }
}

#[cfg(test)]
mod tests {
    use super::super::resample::RING;
    use super::*;
    use crate::{CHANNELS, Calibration, MeterConfig, Metrology};
    use metrology_link::payload::{Grid, WAVE_SCALE_BITS, WavePiece};

    #[test]
    fn kept_samples_have_the_value_and_the_time_of_the_terminals() {
        for rate_hz in [8000_u32, 16_000, 32_000] {
            let config = MeterConfig { rate_hz, ..MeterConfig::default() };
            let mut engine = Metrology::new(&config, &Calibration::default()).unwrap();
            let mut pq = PowerQuality::new();
            pq.configure(&config, &Calibration::default());
            let grid = Grid { rate_q16: u64::from(rate_hz) << 16, ..Grid::default() };
            // A clock that did not begin at zero.
            engine.set_clock(1_000_000);
            let wave = |t: u64| {
                let turns = 50.0 * (t - 1_000_000) as f64 / f64::from(rate_hz);
                f64::sin(core::f64::consts::TAU * turns)
            };
            for t in 1_000_000..1_000_000 + u64::from(rate_hz) {
                let count = (wave(t) * 4e6).round() as i32;
                engine.push(&[count; CHANNELS]);
                let half = engine.half_cycle();
                pq.push(engine.samples(), half.as_ref(), &grid);
            }
            let (oldest, next) = pq.kept();
            assert_eq!(next - oldest, RING as u64);
            let step = 1 << pq.kept_octaves();
            for number in oldest..next {
                let t = pq.kept_clock(number);
                assert_eq!(pq.kept_at(t), number);
                let value = f64::from(WavePiece::number(pq.kept_code(3, number)));
                let truth = wave(t) * 4e6 / 8_388_608.0 * f64::from(1 << WAVE_SCALE_BITS);
                // The clock names a sample within one tick: 0.04 of the amplitude at 8 kS/s.
                let off = (value - truth).abs() / (4e6 * 2.0);
                assert!(off < 0.042, "{rate_hz} Hz, {number}: {value} {truth}");
            }
            let late = f64::from(rate_hz) - (pq.kept_clock(next - 1) - 1_000_000) as f64;
            assert!(late < f64::from(step) * 30.0 + 12.0, "{late} ticks behind");
            assert_eq!((pq.kept_code(0, oldest - 1), pq.kept_code(0, next)), (0, 0));
        }
    }
}
