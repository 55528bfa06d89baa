//! The current ranges of the meters: what the limits are fractions of, and how the front end is set up for them.

use clap::ValueEnum;
use metrology_link::payload::MeterConfig;
use metrology_sim::meter_type::MeterType;

/// A current range, written as on the meter's plate.
///
/// For direct meters the first figure is taken as the transitional current Itr = 0.25 A and the second as the basic
/// current Ib = 5 A. Plates are also read as Imin-Iref(Imax), which gives Itr = 0.5 A; the reading used here has the
/// tighter limits at every current. For meters behind transformers the plate is Imin-In(Imax), with Itr = In/20.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Range {
    /// 0.25-5(60) A, direct
    #[value(name = "5(60)")]
    Direct60,
    /// 0.25-5(80) A, direct
    #[value(name = "5(80)")]
    Direct80,
    /// 0.25-5(100) A, direct
    #[value(name = "5(100)")]
    Direct100,
    /// 0.01-1(6) A, behind transformers
    #[value(name = "1(6)")]
    Transformer1,
    /// 0.05-5(6) A, behind transformers
    #[value(name = "5(6)")]
    Transformer5,
}

impl Range {
    /// As on the plate.
    pub fn name(self) -> &'static str {
        match self {
            Range::Direct60 => "0.25-5(60) A",
            Range::Direct80 => "0.25-5(80) A",
            Range::Direct100 => "0.25-5(100) A",
            Range::Transformer1 => "0.01-1(6) A",
            Range::Transformer5 => "0.05-5(6) A",
        }
    }

    /// Whether the current comes through transformers.
    pub fn transformer(self) -> bool {
        matches!(self, Range::Transformer1 | Range::Transformer5)
    }

    /// Basic current Ib, or rated current In, A. Calibration takes place here.
    pub fn basic(self) -> f64 {
        if self == Range::Transformer1 { 1.0 } else { 5.0 }
    }

    /// Transitional current Itr, A.
    pub fn transitional(self) -> f64 {
        self.basic() / 20.0
    }

    /// Largest current with a limit, A.
    pub fn largest(self) -> f64 {
        match self {
            Range::Direct60 => 60.0,
            Range::Direct80 => 80.0,
            Range::Direct100 => 100.0,
            Range::Transformer1 | Range::Transformer5 => 6.0,
        }
    }

    /// The meter as the simulator knows it. The direct meters differ in their terminals, not in their front end.
    fn meter_type(self) -> MeterType {
        if self.transformer() { MeterType::Ct } else { MeterType::ThreePhase }
    }

    /// Peak current at the end of the converter's range, A.
    pub fn full_scale(self) -> f64 {
        f64::from(self.meter_type().config().i_full_scale_ua) / 1e6
    }

    /// Pulses per kWh of the meter's light.
    pub fn constant(self) -> f64 {
        f64::from(self.meter_type().config().pulses.led_per_kwh)
    }

    /// Currents of the table, A: from the starting current to 1.2 Imax.
    pub fn currents(self) -> [f64; 10] {
        let (basic, largest) = (self.basic(), self.largest());
        match self {
            Range::Direct60 | Range::Direct80 | Range::Direct100 => {
                [0.01, 0.02, 0.05, 0.125, 0.25, 1.0, 5.0, largest / 2.0, largest, largest * 1.2]
            }
            Range::Transformer1 | Range::Transformer5 => {
                [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 1.0, largest / basic, largest * 1.2 / basic]
                    .map(|i| i * basic)
            }
        }
    }

    /// Further currents at which a limit of some class begins or changes, A.
    pub fn borders(self) -> Vec<f64> {
        let transitional = [0.2, 0.3, 0.4, 0.5, 1.0].map(|i| i * self.transitional());
        let basic = [0.01, 0.02, 0.05, 0.1, 0.2].map(|i| i * self.basic());
        let mut out: Vec<f64> = transitional.into_iter().chain(basic).collect();
        let known = self.currents();
        out.sort_by(f64::total_cmp);
        out.dedup_by(|a, b| same(*a, *b));
        out.retain(|border| *border >= known[0] && !known.iter().any(|i| same(*i, *border)));
        out
    }

    /// Configuration of such a meter at a frequency.
    pub fn config(self, f: f64) -> MeterConfig {
        MeterConfig {
            rate_hz: super::bench::RATE,
            f_nominal: if f > 55.0 { 60 } else { 50 },
            // The neutral is not measured: no energy depends on it.
            channels: 0x3f,
            // A meter of 1 A has to start at 1 mA, 0.23 W of a phase (class C: 0.02 Itr); half of that is registered.
            start_mw: if self == Range::Transformer1 { 115 } else { self.meter_type().config().start_mw },
            ..self.meter_type().config()
        }
    }
}

/// Currents that are meant to be equal.
pub fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_has_a_possible_configuration_and_room_for_its_largest_current() {
        for range in Range::value_variants() {
            range.config(50.0).check().unwrap();
            let largest = range.currents()[9] * std::f64::consts::SQRT_2;
            assert!(largest * 1.02 < range.full_scale(), "{range:?}");
            assert!(range.currents().is_sorted());
        }
        assert_eq!(Range::Direct100.borders(), [0.075, 0.1, 0.5]);
    }
}
