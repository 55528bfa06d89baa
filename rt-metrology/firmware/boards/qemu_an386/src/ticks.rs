//! How many instructions a piece of work takes.
//!
//! Under QEMU's `-icount shift=0` an instruction is a nanosecond of the machine's time, whatever the host does, and
//! SysTick counts the processor's 25 MHz: a step each [`STEP`] instructions. Between two steps a loop of known length
//! counts, so that results are good to a turn of it at each end, eight instructions. Without that option the numbers are the host's speed
//! and mean nothing; [`Counter::control`] tells the difference.

use core::arch::asm;

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;

/// Instructions in a step of the timer.
const STEP: u32 = 40;
/// Instructions in one turn of the loop that looks for a step.
const TURN: u32 = 4;
/// Bits of the timer. 2^24 steps are 671 million instructions.
const MASK: u32 = 0x00FF_FFFF;

/// The only user of SysTick.
pub struct Counter {
    /// What measuring nothing gives.
    nothing: u32,
}

impl Counter {
    /// Starts the timer.
    pub fn new(mut timer: SYST) -> Counter {
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(MASK);
        timer.clear_current();
        timer.enable_counter();
        let mut counter = Counter { nothing: 0 };
        counter.nothing = counter.measure(|| {});
        counter
    }

    /// Instructions that `work` takes, at most 2^24 steps.
    #[inline(never)]
    pub fn measure(&mut self, work: impl FnOnce()) -> u32 {
        let (begin, _) = next_step();
        work();
        let (end, turns) = next_step();
        let steps = begin.wrapping_sub(end) & MASK;
        (steps * STEP).saturating_sub(turns * TURN).saturating_sub(self.nothing)
    }

    /// What [`Counter::measure`] says of a loop of `2 · turns` instructions.
    pub fn control(&mut self, turns: u32) -> u32 {
        self.measure(|| {
            // SAFETY: changes nothing but its own register and the flags.
            unsafe { asm!("2:", "subs {n}, #1", "bne 2b", n = inout(reg) turns => _) }
        })
    }
}

/// Waits for the timer's next step. Gives its value then, and how many turns of [`TURN`] instructions that took.
#[inline(always)]
fn next_step() -> (u32, u32) {
    const CURRENT: usize = 0xE000_E018;
    let (mut value, mut turns): (u32, u32);
    // SAFETY: reads SYST_CVR, which the program owns through `Counter`; reading has no effect.
    unsafe {
        asm!(
            "ldr {before}, [{register}]",
            "movs {turns}, #0",
            "2:",
            "adds {turns}, #1",
            "ldr {value}, [{register}]",
            "cmp {value}, {before}",
            "beq 2b",
            register = in(reg) CURRENT,
            before = out(reg) _,
            value = out(reg) value,
            turns = out(reg) turns,
        );
    }
    (value, turns)
}
