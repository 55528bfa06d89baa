//! Pulses counted at inputs that bounce.

use metrology_link::payload::PULSE_INPUTS;

/// Looks per second at the inputs.
pub const LOOKS_HZ: u32 = 1000;
/// A level holds when so many looks in a row found it: shorter than half the shortest pulse (30 ms, DIN 43864).
const STEADY: u8 = 5;

/// Counts pulses by their beginnings.
#[derive(Clone, Copy, Debug)]
pub struct Pulses {
    high: [bool; PULSE_INPUTS],
    unlike: [u8; PULSE_INPUTS],
    counts: [u64; PULSE_INPUTS],
}

impl Pulses {
    /// Nothing counted, all inputs low.
    pub const fn new() -> Pulses {
        Pulses { high: [false; PULSE_INPUTS], unlike: [0; PULSE_INPUTS], counts: [0; PULSE_INPUTS] }
    }

    /// A look, [`LOOKS_HZ`] times a second.
    pub fn look(&mut self, levels: [bool; PULSE_INPUTS]) {
        for (k, level) in levels.into_iter().enumerate() {
            if level == self.high[k] {
                self.unlike[k] = 0;
                continue;
            }
            self.unlike[k] += 1;
            if self.unlike[k] == STEADY {
                (self.high[k], self.unlike[k]) = (level, 0);
                self.counts[k] += u64::from(level);
            }
        }
    }

    /// Pulses since the start.
    pub fn counts(&self) -> [u64; PULSE_INPUTS] {
        self.counts
    }
}

impl Default for Pulses {
    fn default() -> Pulses {
        Pulses::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pulses_count_once_and_bouncing_does_not() {
        let mut pulses = Pulses::new();
        for pulse in 0..7 {
            for ms in 0..60 {
                let bounces = ms % 30 < 4 && ms % 2 == pulse % 2;
                pulses.look([(ms < 30) != bounces, ms == 10, false, true]);
            }
        }
        assert_eq!(pulses.counts(), [7, 0, 0, 1]);
    }
}
