//! The registration threshold of each phase.
//!
//! A phase begins to register when the larger of |P| and S of a window reaches 15/16 of the configured power, so that
//! a load of exactly the starting power counts in spite of noise and calibration (together well below 6 %), and stops
//! below 3/4 of it. A window registers whole or not at all.

use crate::design::PHASES;

/// Which phases register.
#[derive(Clone, Debug)]
pub struct Gate {
    on_mw: u64,
    off_mw: u64,
    open: [bool; PHASES],
}

impl Gate {
    /// All phases below the threshold.
    pub fn new(start_mw: u32) -> Gate {
        let start = u64::from(start_mw);
        Gate { on_mw: start * 15 / 16, off_mw: start * 3 / 4, open: [false; PHASES] }
    }

    /// Whether `phase` registers the window whose larger power is `power_mw`.
    pub fn step(&mut self, phase: usize, power_mw: u64) -> bool {
        let threshold = if self.open[phase] { self.off_mw } else { self.on_mw };
        self.open[phase] = power_mw >= threshold;
        self.open[phase]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_at_the_threshold_and_stops_below_three_quarters() {
        let mut gate = Gate::new(1600);
        let steps = [(1499, false), (1500, true), (1200, true), (1199, false), (1499, false)];
        for (power, expected) in steps {
            assert_eq!(gate.step(1, power), expected, "{power}");
        }
        assert!(!gate.step(0, 1499), "phases are independent");
        assert!(Gate::new(0).step(0, 0));
    }
}
