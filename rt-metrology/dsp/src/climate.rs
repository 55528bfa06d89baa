//! What temperature and age do to the front end, taken out again by the coefficients of the calibration.
//!
//! Once a second, at a window's end, the corrections are computed anew from the calibration as it was signed: nothing
//! accumulates, and the same temperature gives the same corrections. Integers only; a step of a gain is 2^-30.
//!
//! Without a temperature the corrections are those of the reference temperature, without a clock those of a new meter.

use crate::design::{CHANNELS, FRACTION_BITS};
use metrology_link::payload::{Calibration, ChannelCalibration};

/// Temperatures that a sensor can be believed, millidegrees: the range of the parts.
const COLDEST_MDEG: i32 = -60_000;
const HOTTEST_MDEG: i32 = 125_000;
/// Longest life, millionths of a year. What is left of a drift after 30 years is not linear any more.
const LONGEST_AGE: i64 = 30_000_000;
/// Temperature and age together never move a gain by more than 5 %, 10^-12.
const DRIFT_LIMIT: i64 = 50_000_000_000;
/// By so much of its distance the temperature in force follows the sensor, each second: the front end has its own
/// thermal mass, and a single wrong reading does little.
const FOLLOW: i32 = 4;

/// Corrections of one channel as they are in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Correction {
    /// Gain.
    pub gain_q30: i32,
    /// Added to the counts in Q24.4 before the gain.
    pub offset_q4: i32,
    /// Delay of the channel, ps.
    pub phase_ps: i32,
}

/// The corrections at a temperature (millidegrees Celsius) and a time (µs since 1970 UTC), as far as they are known.
/// `calibration` has been checked.
pub fn corrections(
    calibration: &Calibration,
    temperature_mdeg: Option<i32>,
    utc_us: Option<i64>,
) -> [Correction; CHANNELS] {
    let reference = calibration.reference_mdeg;
    let mk = temperature_mdeg.map_or(0, |t| i64::from(t.clamp(COLDEST_MDEG, HOTTEST_MDEG)) - i64::from(reference));
    let age = match utc_us {
        // 31.5576 s are a millionth of a Julian year.
        Some(now) if calibration.date_us != 0 => {
            (now.saturating_sub(calibration.date_us) / 31_557_600).clamp(0, LONGEST_AGE)
        }
        _ => 0,
    };
    calibration.channel.each_ref().map(|c| correction(c, mk, age))
}

/// At `mk` thousandths of a kelvin above the reference, `age` millionths of a year after the calibration.
fn correction(c: &ChannelCalibration, mk: i64, age: i64) -> Correction {
    // 10^-12: ppb/K · mK, 10^-12/K² · mK² / 10^6, ppb/year · 10^-6 years / 10^3.
    let drift = i64::from(c.gain_ppb_per_k) * mk
        + i64::from(c.gain_ppt_per_k2) * (mk * mk / 1000) / 1000
        + i64::from(c.ageing_ppb_per_year) * age / 1000;
    let drift = drift.clamp(-DRIFT_LIMIT, DRIFT_LIMIT);
    const ONE: i128 = 1_000_000_000_000;
    let divisor = ONE + i128::from(drift);
    let gain = (i128::from(c.gain_q30) * ONE + divisor / 2) / divisor;
    // Thousandths of a count per kelvin · mK = 10^-6 counts.
    let moved = ((i64::from(c.offset_mcount_per_k) * mk) << FRACTION_BITS) / 1_000_000;
    Correction {
        gain_q30: gain.min(i128::from(i32::MAX)) as i32,
        offset_q4: (c.offset << FRACTION_BITS) - moved as i32,
        phase_ps: c.phase_ns * 1000 + (i64::from(c.phase_ps_per_k) * mk / 1000) as i32,
    }
}

/// The temperature in force.
#[derive(Clone, Copy, Debug, Default)]
pub struct Climate {
    mdeg: Option<i32>,
}

impl Climate {
    /// Takes the reading of a second; a sensor that does not answer leaves the temperature as it was.
    pub fn follow(&mut self, reading_mdeg: Option<i32>) -> Option<i32> {
        if let Some(reading) = reading_mdeg {
            let reading = reading.clamp(COLDEST_MDEG, HOTTEST_MDEG);
            self.mdeg = Some(match self.mdeg {
                Some(mdeg) if (reading - mdeg).abs() >= FOLLOW => mdeg + (reading - mdeg) / FOLLOW,
                _ => reading,
            });
        }
        self.mdeg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR_US: i64 = 31_557_600_000_000;

    fn calibration() -> Calibration {
        let mut calibration =
            Calibration { reference_mdeg: 23_000, date_us: 1_700_000_000_000_000, ..Calibration::default() };
        calibration.channel[3] = ChannelCalibration {
            gain_q30: (1 << 30) + 1_234_567,
            offset: 17,
            phase_ns: 420,
            gain_ppb_per_k: 25_000,
            gain_ppt_per_k2: -50_000,
            offset_mcount_per_k: 1_500,
            phase_ps_per_k: -10_000,
            ageing_ppb_per_year: 20_000,
        };
        assert_eq!(calibration.check(), Ok(()));
        calibration
    }

    #[test]
    fn at_the_reference_and_new_the_corrections_are_the_record() {
        let c = calibration();
        let new = corrections(&c, Some(23_000), Some(c.date_us));
        assert_eq!(new, corrections(&c, None, None));
        assert_eq!(new[3], Correction { gain_q30: (1 << 30) + 1_234_567, offset_q4: 272, phase_ps: 420_000 });
        assert_eq!(new[0], Correction { gain_q30: 1 << 30, offset_q4: 0, phase_ps: 0 });
    }

    #[test]
    fn temperature_and_age_are_taken_out() {
        let c = calibration();
        for (celsius, years) in [(63.0, 0.0), (-25.0, 10.0), (23.0, 16.0), (70.5, 2.5)] {
            let now = c.date_us + (years * YEAR_US as f64) as i64;
            let got = corrections(&c, Some((celsius * 1000.0) as i32), Some(now));
            let k = celsius - 23.0;
            let drift = 25e-6 * k - 50_000e-12 * k * k + 20e-6 * years;
            let gain = f64::from(c.channel[3].gain_q30) / (1.0 + drift);
            assert!((f64::from(got[3].gain_q30) - gain).abs() < 1.0, "{celsius} {years}");
            assert!((f64::from(got[3].offset_q4) / 16.0 - (17.0 - 1.5 * k)).abs() < 0.07);
            assert!((f64::from(got[3].phase_ps) - (420_000.0 - 10_000.0 * k)).abs() < 1.0);
            assert_eq!(got[4].gain_q30, 1 << 30, "no coefficients, no change");
        }
    }

    #[test]
    fn what_cannot_be_believed_is_bounded() {
        let c = calibration();
        assert_eq!(corrections(&c, Some(i32::MAX), None), corrections(&c, Some(125_000), None));
        assert_eq!(corrections(&c, None, Some(0)), corrections(&c, None, None), "before it was calibrated");
        let old = corrections(&c, None, Some(c.date_us + 30 * YEAR_US));
        assert_eq!(corrections(&c, None, Some(i64::MAX)), old);
    }

    #[test]
    fn the_temperature_follows_without_a_step() {
        let mut climate = Climate::default();
        assert_eq!(climate.follow(None), None);
        assert_eq!(climate.follow(Some(20_000)), Some(20_000), "the first reading counts at once");
        let mut before = 20_000;
        for _ in 0..60 {
            let now = climate.follow(Some(30_000)).unwrap();
            assert!((before..=30_000).contains(&now) && now - before <= 2_500);
            before = now;
        }
        assert_eq!(before, 30_000, "and it arrives");
        assert_eq!(climate.follow(None), Some(30_000));
    }
}
