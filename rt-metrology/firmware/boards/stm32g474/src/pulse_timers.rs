//! Pulses by the compare units of TIM2, which counts 170 MHz: begin and end are the hardware's, to 6 ns. Untested on
//! hardware.
//!
//! A channel waits with "active on match" at the beginning; the interrupt of that match sets "inactive on match" at the end,
//! which is 30 ms away. Programs may be late for the end of one only, never for the beginning.

use core::cell::RefCell;

use critical_section::Mutex;
use metrology_dsp::pulses::Output;
use stm32g4::stm32g474::TIM2;
use stm32g474_logic::clock::not_before;

const OUTPUTS: usize = 4;
/// Output compare modes (RM0440, TIMx_CCMR1).
const ACTIVE_ON_MATCH: u8 = 0b001;
const INACTIVE_ON_MATCH: u8 = 0b010;
const INACTIVE: u8 = 0b100;
const ACTIVE: u8 = 0b101;

/// Ends of the pulses that have not begun.
static ENDS: Mutex<RefCell<[Option<u32>; OUTPUTS]>> = Mutex::new(RefCell::new([None; OUTPUTS]));

/// Starts the timer; all outputs are low.
pub fn start(timer: TIM2) {
    timer.arr().write(|w| w.arr().set(u32::MAX));
    for channel in 0..OUTPUTS {
        mode(&timer, channel, INACTIVE);
    }
    timer.ccer().write(|w| w.cc1e().set_bit().cc2e().set_bit().cc3e().set_bit().cc4e().set_bit());
    timer.cr1().write(|w| w.cen().set_bit());
}

/// Gives a pulse: at tick `begin`, or at once when that is over, for `width` ticks.
pub fn give(output: Output, begin: u32, width: u32) {
    let channel = output as usize;
    critical_section::with(|cs| {
        let timer = timer();
        let begin = not_before(begin, timer.cnt().read().bits());
        if let Some(end) = ENDS.borrow_ref_mut(cs).get_mut(channel) {
            *end = Some(begin.wrapping_add(width));
        }
        timer.ccr(channel).write(|w| w.ccr().set(begin));
        clear(&timer, channel);
        mode(&timer, channel, ACTIVE_ON_MATCH);
        interrupts(&timer, channel, true);
    });
}

/// The light without pulses.
pub fn light_rests(lit: bool) {
    critical_section::with(|_| mode(&timer(), Output::Led as usize, if lit { ACTIVE } else { INACTIVE }));
}

/// Interrupt: a channel has matched.
pub fn interrupt() {
    critical_section::with(|cs| {
        let timer = timer();
        let mut ends = ENDS.borrow_ref_mut(cs);
        for (channel, end) in ends.iter_mut().enumerate() {
            let flags = timer.sr().read().bits() & timer.dier().read().bits();
            if flags & 2 << channel == 0 {
                continue;
            }
            clear(&timer, channel);
            interrupts(&timer, channel, false);
            if let Some(end) = end.take() {
                timer.ccr(channel).write(|w| w.ccr().set(not_before(end, timer.cnt().read().bits())));
                mode(&timer, channel, INACTIVE_ON_MATCH);
            }
        }
    });
}

fn mode(timer: &TIM2, channel: usize, mode: u8) {
    let at = (channel % 2) as u8;
    match channel / 2 {
        0 => timer.ccmr1_output().modify(|_, w| w.ocm(at).set(mode)),
        _ => timer.ccmr2_output().modify(|_, w| w.ocm(at).set(mode)),
    };
}

fn interrupts(timer: &TIM2, channel: usize, on: bool) {
    timer.dier().modify(|_, w| w.ccie(channel as u8).bit(on));
}

/// Clears the flag of one match.
fn clear(timer: &TIM2, channel: usize) {
    // SAFETY: a flag is cleared by a zero and left by a one; reserved bits are ignored.
    timer.sr().write(|w| unsafe { w.bits(!(2 << channel)) });
}

fn timer() -> TIM2 {
    // SAFETY: after the start, registers but the counter are used here only, within critical sections.
    unsafe { TIM2::steal() }
}
