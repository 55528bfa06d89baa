//! From an interrupt's number to its work, and the priorities.
//!
//! The vectors are those of `cortex-m-rt` without a device: all interrupts go to one handler. A device's own table would be
//! linked into the program of the other board too, when cargo builds both at once and unites their features.

use cortex_m::peripheral::scb::SystemHandler;
use cortex_m::peripheral::{NVIC, SCB};
use cortex_m_rt::{ExceptionFrame, exception};
use stm32g4::stm32g474::Interrupt;

use crate::{adc, meter, page_slave, pins, power, pulse_timers};

/// See the table in `main.rs`.
const PRIORITIES: [(Interrupt, u8); 6] = [
    (Interrupt::PVD_PVM, 0),
    (Interrupt::EXTI0, 1),
    (Interrupt::DMA1_CH1, 1),
    (Interrupt::TIM2, 2),
    (Interrupt::TIM7, 2),
    (Interrupt::EXTI15_10, 3),
];
const SYSTICK: u8 = 15;
/// The part has the upper four bits of a priority.
const SHIFT: u8 = 4;

/// Sets priorities and lets interrupts in. Everything that they use is set up.
pub fn enable(nvic: &mut NVIC, scb: &mut SCB) {
    for (interrupt, priority) in PRIORITIES {
        // SAFETY: no code masks by priority (BASEPRI); critical sections stop all interrupts, so no priority breaks one.
        unsafe {
            nvic.set_priority(interrupt, priority << SHIFT);
            NVIC::unmask(interrupt);
        }
    }
    // SAFETY: as above.
    unsafe { scb.set_priority(SystemHandler::SysTick, SYSTICK << SHIFT) };
}

/// A fault of the program.
// SAFETY: `cortex-m-rt` wants the word because a fault may come at any time; this drives pins and restarts.
#[exception]
unsafe fn HardFault(_: &ExceptionFrame) -> ! {
    pins::all_off();
    SCB::sys_reset()
}

#[exception]
fn SysTick() {
    meter::tick();
}

// SAFETY: `cortex-m-rt` wants the word because a default handler may be called for anything; this one calls safe code.
#[exception]
unsafe fn DefaultHandler(number: i16) {
    const PVD: i16 = Interrupt::PVD_PVM as i16;
    const DATA_READY: i16 = Interrupt::EXTI0 as i16;
    const FRAME: i16 = Interrupt::DMA1_CH1 as i16;
    const PULSES: i16 = Interrupt::TIM2 as i16;
    const COILS: i16 = Interrupt::TIM7 as i16;
    const SELECT: i16 = Interrupt::EXTI15_10 as i16;
    match number {
        PVD => power::interrupt(),
        DATA_READY => adc::data_ready(),
        FRAME => adc::frame(),
        PULSES => pulse_timers::interrupt(),
        COILS => pins::coils_interrupt(),
        SELECT => page_slave::select_rose(),
        // Nothing else is let in. A crystal that fails comes as an NMI, and there is no measuring without it.
        _ => SCB::sys_reset(),
    }
}
