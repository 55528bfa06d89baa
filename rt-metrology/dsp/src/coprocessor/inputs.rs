//! Debouncing of the digital inputs.

use metrology_link::payload::Inputs;

/// Polls per second. 1 ms is the resolution of the debounce time.
pub(super) const POLLS_PER_SECOND: u32 = 1000;

/// An input changes when it has differed from the known state at `limit` polls in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Debounce {
    state: u32,
    /// Polls for which each bit has differed.
    differs: [u16; 32],
    limit: u16,
}

impl Debounce {
    /// Takes `state` as known. A change must last `debounce_ms`.
    pub fn new(state: Inputs, debounce_ms: u16) -> Debounce {
        Debounce { state: state.0, differs: [0; 32], limit: debounce_ms.max(1) }
    }

    /// The debounced state.
    pub fn state(&self) -> Inputs {
        Inputs(self.state)
    }

    /// Another debounce time from now on.
    pub fn set_limit(&mut self, debounce_ms: u16) {
        self.limit = debounce_ms.max(1);
    }

    /// Takes the levels of one poll, and gives the bits that changed.
    pub fn poll(&mut self, levels: Inputs) -> u32 {
        let differing = levels.0 ^ self.state;
        if differing == 0 {
            self.differs = [0; 32];
            return 0;
        }
        let mut changed = 0;
        for (bit, count) in self.differs.iter_mut().enumerate() {
            *count = if differing >> bit & 1 != 0 { *count + 1 } else { 0 };
            if *count >= self.limit {
                *count = 0;
                changed |= 1 << bit;
            }
        }
        self.state ^= changed;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounce_shorter_than_the_limit_is_nothing() {
        let mut d = Debounce::new(Inputs(0), 5);
        for _ in 0..4 {
            assert_eq!(d.poll(Inputs(1)), 0);
        }
        assert_eq!(d.poll(Inputs(0)), 0);
        for _ in 0..4 {
            assert_eq!(d.poll(Inputs(1)), 0);
        }
        assert_eq!(d.poll(Inputs(1)), 1);
        assert_eq!(d.state(), Inputs(1));
    }

    #[test]
    fn bits_are_counted_apart() {
        let mut d = Debounce::new(Inputs(0), 3);
        assert_eq!(d.poll(Inputs(0b01)), 0);
        assert_eq!(d.poll(Inputs(0b11)), 0);
        assert_eq!(d.poll(Inputs(0b11)), 0b01);
        assert_eq!(d.poll(Inputs(0b11)), 0b10);
    }
}
