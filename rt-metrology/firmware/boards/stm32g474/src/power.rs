//! The supply: a comparator on it before the regulator (PVD with its external input, PB7), and why the processor started.
//! Untested on hardware.

use core::sync::atomic::{AtomicBool, Ordering};

use metrology_link::payload::ResetCause;
use stm32g4::stm32g474::{EXTI, PWR, RCC};

use crate::field::Put;
use crate::pins;

static FAILING: AtomicBool = AtomicBool::new(false);

/// The comparator's input is PB7 against the reference (1.2 V).
const EXTERNAL: u8 = 7;

/// Switches the comparator on, with interrupts at both edges.
pub fn set_up(pwr: &PWR, exti: &EXTI) {
    pwr.cr2().modify(|_, w| w.pvdls().put(EXTERNAL).pvde().set_bit());
    exti.rtsr1().modify(|_, w| w.rt16().set_bit());
    exti.ftsr1().modify(|_, w| w.ft16().set_bit());
    exti.imr1().modify(|_, w| w.im16().set_bit());
    FAILING.store(low(), Ordering::Relaxed);
}

/// The supply is failing: the reserve is being used.
pub fn failing() -> bool {
    FAILING.load(Ordering::Relaxed)
}

/// The supply fell below its limit, or is back. What must be stored is stored by the application, which finds the
/// flag in its inputs; it stores all counters at every window anyway.
pub fn interrupt() {
    // SAFETY: PR1 takes single writes for single lines and keeps the others.
    let exti = unsafe { EXTI::steal() };
    exti.pr1().write(|w| w.pif16().clear_bit_by_one());
    let failing = low();
    FAILING.store(failing, Ordering::Relaxed);
    if failing {
        pins::backlight(false);
    }
}

/// The comparator now.
fn low() -> bool {
    // SAFETY: a read-only register.
    let pwr = unsafe { PWR::steal() };
    pwr.sr2().read().pvdo().bit_is_set()
}

/// Why the processor started, by the flags of the hardware, which this clears. `requested` is what the program left.
pub fn cause(rcc: &RCC, requested: bool) -> ResetCause {
    let flags = rcc.csr().read();
    rcc.csr().modify(|_, w| w.rmvf().set_bit());
    if flags.borrstf().bit_is_set() {
        ResetCause::PowerOn
    } else if flags.iwdgrstf().bit_is_set() || flags.wwdgrstf().bit_is_set() {
        ResetCause::Watchdog
    } else if requested {
        ResetCause::Requested
    } else if flags.sftrstf().bit_is_set() || flags.pinrstf().bit_is_set() {
        ResetCause::Warm
    } else {
        ResetCause::Unknown
    }
}
