//! The independent watchdog: 2 s from the internal 32 kHz. Once begun it cannot be stopped. Untested on hardware.

use stm32g4::stm32g474::IWDG;

/// Divider by 32, then so many: 2 s, within 10 % of the oscillator. The start, which reads the memory, takes a quarter.
const RELOAD: u16 = 2000;

/// The watchdog. Its owner feeds it when work was done, and not by an interrupt.
pub struct Watchdog {
    iwdg: IWDG,
}

impl Watchdog {
    /// Starts it.
    pub fn start(iwdg: IWDG) -> Watchdog {
        iwdg.kr().write(|w| w.key().start());
        iwdg.kr().write(|w| w.key().unlock());
        iwdg.pr().write(|w| w.pr().divide_by32());
        iwdg.rlr().write(|w| w.rl().set(RELOAD));
        while iwdg.sr().read().pvu().bit_is_set() || iwdg.sr().read().rvu().bit_is_set() {}
        let watchdog = Watchdog { iwdg };
        watchdog.feed();
        watchdog
    }

    /// Another 2 s.
    pub fn feed(&self) {
        self.iwdg.kr().write(|w| w.key().feed());
    }
}
