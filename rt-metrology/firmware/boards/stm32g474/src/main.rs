//! The coprocessor on an STM32G474 (Cortex-M4F, 170 MHz, 512 KB flash, 128 KB RAM) with an ADS131M08 front end, SPI FRAM
//! and Linux as the SPI master of its pages.
//!
//! **UNTESTED ON HARDWARE.** It builds, it fits, and what needs no hardware is tested on the host (`src/lib.rs`). No
//! board has ever run it: every register setting here is from the reference manual (RM0440) and the data sheets.
//!
//! # Priorities
//!
//! The engine, power quality and the link's pages are the main loop, which any interrupt stops. Lower numbers go first:
//!
//! | priority | interrupt | work |
//! |---|---|---|
//! | 0 | PVD | the supply fails: a flag, the light of the display off |
//! | 1 | EXTI0, DMA1 channel 1 | data-ready: starts the transfer of a frame; its end: check, decode, queue |
//! | 2 | TIM2, TIM7 | end of a pulse is set while the timer gives its beginning; breaker coils off |
//! | 3 | EXTI12 | the host's select line rises: a page is there, or is armed again |
//! | 15 | SysTick, 1 kHz | pulse inputs; a converter that is silent |
//!
//! Interrupts and the main loop share what stands in a `Mutex` of critical sections, each of some hundred cycles; the
//! instants of samples and pulses are the timers' and do not feel them.
//!
//! # Queue
//!
//! Samples wait in a queue of 64 ([`stm32g474_logic::queue`]) while the engine closes a window or a page is carried on.
//! Frames with a wrong check, frames that never came and samples without room are told to the engine as lost, in their
//! place.
#![no_std]
#![no_main]

mod adc;
mod clocks;
mod dispatch;
mod field;
mod fram;
mod image;
mod meter;
mod page_slave;
mod pins;
mod power;
mod pulse_timers;
mod rtc;
mod watchdog;

use cortex_m::peripheral::Peripherals as Core;
use cortex_m_rt::entry;
use metrology_dsp::pq::PowerQuality;
use metrology_link::{PAGE, Page};
use stm32g4::stm32g474::Peripherals;
use stm32g474_logic::ads131m08::FRAME;

#[entry]
fn main() -> ! {
    // `entry` makes references of these, once.
    static mut POWER_QUALITY: PowerQuality = PowerQuality::new();
    static mut PAGES: [Page; 2] = [[0; PAGE]; 2];
    static mut RECEIVED: [u8; FRAME] = [0; FRAME];
    let (Some(core), Some(chip)) = (Core::take(), Peripherals::take()) else { cortex_m::peripheral::SCB::sys_reset() };
    meter::run(core, chip, meter::Memory { power_quality: POWER_QUALITY, pages: PAGES.each_mut(), frame: RECEIVED })
}

/// The watchdog would end a program that stands; this is quicker. What was measured since the last window is lost and told.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    pins::all_off();
    cortex_m::peripheral::SCB::sys_reset()
}
