//! Emission from 2 to 9 kHz in bands of 200 Hz (IEC 61000-4-7 annex B; informative in IEC 61000-4-30), at 32 kS/s.
//!
//! A measurement is 100 ms of one channel, not synchronised to the grid, under a rectangle: bins of 10 Hz, of which the
//! band around `b` has those from `b` − 90 Hz to `b` + 100 Hz. 35 bands have the centres 2100, 2300 … 8900 Hz.
//!
//! The transform of 1024 complex points that harmonics use would end at 16 kHz with 3200 samples, so the band is cut
//! out first: a complex band-pass filter around 5500 Hz, whose taps exist for each eighth of a sample, gives 1024 points
//! in 100 ms (every 25/8 samples). What is 5.4 kHz or more from its centre is weakened 60 000 times (96 dB): the
//! fundamental, which a rectangle of 100 ms would otherwise smear over the bands, and everything that could fold. The
//! annex asks for 55 dB.
//!
//! The points go straight into the block of the harmonics' transform, which is free from 15 ms after a window's end to
//! the end of the next; should a window end earlier than that (a ten-minute tick overtook one), the measurement begins anew
//! after it. So bands cost no memory to speak of, and each channel has its turn: with seven of them each is measured
//! every 1.4 s.

use super::fft::{Block, PASSES, POINTS, pass};
use super::math::{Complex, PI, const_cos, const_kaiser, const_sin, sqrt};

/// Number of bands.
pub const BANDS: usize = 35;
/// Centre of the first band, Hz.
pub const FIRST_HZ: u32 = 2100;
/// Width of a band, Hz.
pub const WIDTH_HZ: u32 = 200;
/// The rate at which there are bands, Hz.
pub const RATE_HZ: u32 = 32_000;

/// Complex points of a measurement.
const COUNT: usize = POINTS / 2;
/// Distance of the points, eighths of a sample: 32 000 / 10 240 = 25 / 8.
const STEP: i32 = 25;
const EIGHTHS: i32 = 8;
/// Width of a bin, Hz.
const BIN_HZ: u32 = 10;
/// Kaiser's rule for 3.5 kHz of pass band and 5.4 kHz to the stop band: (96 − 8) / (2.285 · 2π · 1900 / 32 000) = 103.
const TAPS: usize = 104;
const BETA: f64 = 9.6;
/// Centre of the pass band and its cut-off (the middle of the transition), of the rate.
const CENTRE: f64 = 5500.0 / 32_000.0;
const CUT_OFF: f64 = 4450.0 / 32_000.0;
/// Samples kept: a power of two that holds the taps.
const LINE: usize = 128;
/// Bytes of [`Bands`], a test holds it to this.
pub const BANDS_BYTES: usize = 4 * (LINE + BANDS) + 64;

/// Real and imaginary part of each tap, the newest sample first; a row for each eighth of a sample that the point lies
/// before the newest sample.
static FILTER: [[(f32, f32); TAPS]; EIGHTHS as usize] = filter();

const fn filter() -> [[(f32, f32); TAPS]; EIGHTHS as usize] {
    let mut table = [[(0.0, 0.0); TAPS]; EIGHTHS as usize];
    let mut row = 0;
    while row < EIGHTHS as usize {
        let mut low = [0.0; TAPS];
        let mut sum = 0.0;
        let mut k = 0;
        while k < TAPS {
            let x = distance(k, row);
            let sinc = if x == 0.0 { 2.0 * CUT_OFF } else { const_sin(turn(CUT_OFF * x)) / (PI * x) };
            low[k] = sinc * const_kaiser(x / (TAPS / 2) as f64, BETA);
            sum += low[k];
            k += 1;
        }
        let mut k = 0;
        while k < TAPS {
            // Gain 1 in the middle of the band, for each row.
            let (tap, angle) = (low[k] / sum, turn(CENTRE * distance(k, row)));
            table[row][k] = ((tap * const_cos(angle)) as f32, (tap * const_sin(angle)) as f32);
            k += 1;
        }
        row += 1;
    }
    table
}

/// From the sample of a tap to the point, samples.
const fn distance(tap: usize, row: usize) -> f64 {
    tap as f64 - (TAPS / 2 - 1) as f64 - row as f64 / EIGHTHS as f64
}

/// An angle without its whole turns.
const fn turn(turns: f64) -> f64 {
    2.0 * PI * (turns - (turns as i64) as f64)
}

/// The bands of one measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Emission {
    /// Channel it is of.
    pub channel: usize,
    /// RMS value of each band, V or A.
    pub rms: [f32; BANDS],
}

/// Where a measurement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// None is under way.
    Idle,
    /// The filter fills with samples: so many are missing.
    Filling(u32),
    /// So many points are in the block.
    Taking(usize),
    /// So many passes of the transform are done.
    Transforming(u32),
}

/// Makes bands.
#[derive(Clone, Debug)]
pub struct Bands {
    line: [f32; LINE],
    at: usize,
    /// From the newest sample to the next point, eighths of a sample.
    due: i32,
    state: State,
    /// Channels that take turns, a bit each, and whose turn it is.
    channels: u8,
    turn: usize,
    last: Option<Emission>,
}

impl Default for Bands {
    fn default() -> Bands {
        Bands::new()
    }
}

impl Bands {
    /// At rest, without channels.
    pub const fn new() -> Bands {
        Bands { line: [0.0; LINE], at: 0, due: 0, state: State::Idle, channels: 0, turn: 0, last: None }
    }

    /// Begins anew for these channels; at other rates than [`RATE_HZ`] there is nothing to do.
    pub fn configure(&mut self, rate_hz: u32, channels: u8) {
        *self = Bands { channels: if rate_hz == RATE_HZ { channels } else { 0 }, ..Bands::new() };
    }

    /// The channel that is being measured, or that will be next.
    pub fn channel(&self) -> usize {
        self.turn
    }

    /// Whether there is anything to do at this rate.
    pub fn running(&self) -> bool {
        self.channels != 0
    }

    /// Somebody else needs the block: the measurement begins anew later.
    pub fn give_way(&mut self) {
        self.state = State::Idle;
    }

    /// The last measurement that is complete.
    pub fn last(&self) -> Option<&Emission> {
        self.last.as_ref()
    }

    /// Takes a sample (corrected counts) of [`Bands::channel`]; `block` is its own until a measurement is complete or
    /// given up. `unit` is the value of a count, `response` the factor by which a frequency (Hz) is to be corrected.
    /// True when [`Bands::last`] is new.
    pub fn push(&mut self, y: i32, block: &mut Block, unit: f32, response: impl Fn(u32) -> f32) -> bool {
        if let Some(slot) = self.line.get_mut(self.at) {
            *slot = y as f32;
        }
        self.at = (self.at + 1) & (LINE - 1);
        match self.state {
            State::Idle => {
                if self.channels >> self.turn & 1 == 0 {
                    self.next_turn();
                }
                self.state = State::Filling(TAPS as u32);
            }
            State::Filling(1) => (self.state, self.due) = (State::Taking(0), EIGHTHS),
            State::Filling(missing) => self.state = State::Filling(missing - 1),
            State::Taking(mut taken) => {
                self.due -= EIGHTHS;
                if self.due <= 0 {
                    let point = self.point(self.due.unsigned_abs() as usize);
                    if let Some([re, im]) = block.get_mut(2 * taken..2 * taken + 2) {
                        (*re, *im) = (point.re, point.im);
                    }
                    self.due += STEP;
                    taken += 1;
                }
                self.state = if taken == COUNT { State::Transforming(0) } else { State::Taking(taken) };
            }
            State::Transforming(PASSES) => {
                self.last = Some(Emission { channel: self.turn, rms: bands(block, unit, response) });
                self.state = State::Idle;
                self.next_turn();
                return true;
            }
            State::Transforming(done) => {
                pass(block, done);
                self.state = State::Transforming(done + 1);
            }
        }
        false
    }

    fn next_turn(&mut self) {
        let count = u8::BITS as usize;
        let next = (1..=count).map(|k| (self.turn + k) % count).find(|k| self.channels >> k & 1 != 0);
        self.turn = next.unwrap_or(0);
    }

    /// The point that lies so many eighths of a sample before the middle of the line.
    fn point(&self, eighths: usize) -> Complex {
        let Some(row) = FILTER.get(eighths) else { return Complex::ZERO };
        let (mut re, mut im) = (0.0, 0.0);
        for (k, (a, b)) in row.iter().enumerate() {
            let x = self.line[self.at.wrapping_sub(1 + k) & (LINE - 1)];
            re += a * x;
            im += b * x;
        }
        Complex::new(re, im)
    }
}

/// The bands of a transformed block.
fn bands(block: &Block, unit: f32, response: impl Fn(u32) -> f32) -> [f32; BANDS] {
    // A sine of RMS 1 leaves a phasor of half its amplitude, 1024 times over.
    let scale = unit * core::f32::consts::SQRT_2 / COUNT as f32;
    let mut out = [0.0; BANDS];
    for (band, centre) in out.iter_mut().zip((FIRST_HZ..).step_by(WIDTH_HZ as usize)) {
        let first = (centre - WIDTH_HZ / 2) / BIN_HZ + 1;
        let bins = first..first + WIDTH_HZ / BIN_HZ;
        let power: f32 = bins.map(|k| Complex::new(block[2 * k as usize], block[2 * k as usize + 1]).norm()).sum();
        *band = sqrt(power) * scale * response(centre);
    }
    out
}

const _: () = assert!(TAPS <= LINE && FIRST_HZ + BANDS as u32 * WIDTH_HZ < BIN_HZ * COUNT as u32);

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Measures `tones` (Hz, RMS) on channel 3 and gives the bands, with the samples it took.
    fn measure(tones: &[(f64, f64)]) -> ([f32; BANDS], u32) {
        let mut bands = Bands::new();
        bands.configure(RATE_HZ, 1 << 3);
        let mut block = [0.0; POINTS];
        for n in 0..20_000_u32 {
            let t = f64::from(n) / f64::from(RATE_HZ);
            let x: f64 =
                tones.iter().map(|(hz, rms)| rms * f64::sqrt(2.0) * (2.0 * PI * hz * t + hz / 100.0).sin()).sum();
            if bands.push((x * 1e5) as i32, &mut block, 1e-5, |_| 1.0) {
                let last = bands.last().unwrap();
                assert_eq!(last.channel, 3);
                return (last.rms, n);
            }
        }
        panic!("no measurement");
    }

    #[test]
    fn iec_61000_4_7_annex_b_a_tone_is_in_its_band_and_nowhere_else() {
        for hz in (2010..=9000).step_by(90) {
            let (rms, _) = measure(&[(f64::from(hz), 2.3)]);
            // Bins from 90 Hz below to 100 Hz above the centre.
            let own = (hz - 2010) / 200;
            for (k, got) in rms.iter().enumerate() {
                let truth = if k == own as usize { 2.3 } else { 0.0 };
                assert!((got - truth).abs() < 3e-4, "{hz} Hz in band {k}: {got}");
            }
        }
    }

    #[test]
    fn iec_61000_4_7_annex_b_bands_add_by_their_squares() {
        let (rms, samples) = measure(&[(4010.0, 0.3), (4100.0, 0.4), (4200.0, 1.2), (4210.0, 0.5)]);
        assert!((rms[10] - 1.3).abs() < 1e-4 && (rms[11] - 0.5).abs() < 1e-4, "{rms:?}");
        // 100 ms, the filter and the passes.
        assert!((3200..3400).contains(&samples), "{samples}");
    }

    #[test]
    fn iec_61000_4_7_annex_b_the_fundamental_and_what_lies_above_do_not_reach_the_bands() {
        for hz in [49.3, 50.0, 60.2] {
            let (rms, _) = measure(&[(hz, 230.0)]);
            let most = rms.iter().fold(0.0_f32, |a, &b| a.max(b));
            // The annex asks for 55 dB: 0.4 V.
            assert!(most < 0.001, "{hz}: {most}");
        }
        for hz in [11_000.0, 12_500.0, 15_900.0] {
            let (rms, _) = measure(&[(hz, 2.3)]);
            let most = rms.iter().fold(0.0_f32, |a, &b| a.max(b));
            assert!(most < 0.001, "{hz}: {most}");
        }
    }

    #[test]
    fn channels_take_turns_and_a_measurement_that_gives_way_begins_anew() {
        let mut bands = Bands::new();
        bands.configure(RATE_HZ, 0b101_0001);
        let mut block = [0.0; POINTS];
        let mut turns = Vec::new();
        for n in 0..20_000_u32 {
            // The channel says what it is by its size.
            let size = 1000.0 * (bands.channel() + 1) as f64;
            let x = size * (2.0 * PI * 3100.0 * f64::from(n) / f64::from(RATE_HZ)).sin();
            if n == 3000 {
                bands.give_way();
            }
            if bands.push(x as i32, &mut block, 1.0, |_| 1.0) {
                let last = bands.last().unwrap();
                turns.push((last.channel, n / 1000));
                let rms = f64::from(last.rms[5]) * f64::sqrt(2.0);
                assert!((rms / (1000.0 * (last.channel + 1) as f64) - 1.0).abs() < 1e-3, "{turns:?} {rms}");
            }
        }
        // The first needed 6.3 thousand samples, every other 3.3.
        assert_eq!(turns, [(0, 6), (4, 9), (6, 12), (0, 16), (4, 19)]);
        assert!(size_of::<Bands>() <= BANDS_BYTES, "{}", size_of::<Bands>());
    }

    #[test]
    fn below_32_ks_there_are_none() {
        for rate in [8000, 16_000] {
            let mut bands = Bands::new();
            bands.configure(rate, 0x7f);
            assert!(!bands.running());
        }
    }
}
