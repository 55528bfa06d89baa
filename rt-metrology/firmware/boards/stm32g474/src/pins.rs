//! Pins: what they are, inputs, relays, breaker coils, lights. Untested on hardware.
//!
//! | pin | use |
//! |---|---|
//! | PA0 | data-ready of the converter: EXTI0 and capture of TIM5 |
//! | PA3 | reset of the converter, low |
//! | PA4 to PA7 | SPI1, master: select, clock, in, out of the converter |
//! | PA15, PB3, PB10, PB11 | TIM2 channels 1 to 4: light, S0, module outputs 1 and 2 |
//! | PB7 | supply before the regulator, divided, for the PVD |
//! | PB12 to PB15 | SPI2, slave: select, clock, out, in of the link to Linux |
//! | PC6, PC7 | handshake from Linux, data-ready to Linux |
//! | PC9 to PC12 | SPI3, master: select, clock, in, out of the FRAM |
//! | PC14, PC15; PF0, PF1 | crystals of 32 768 Hz and 24 MHz |
//! | PD0 to PD15 | inputs, in the order of the bits of `Inputs`; PD12 is not used |
//! | PE0, PE1 | load relays 1 and 2 |
//! | PE2, PE3 | coils of the breaker: open, close |
//! | PE4, PE5 | light of the display; a light that blinks while samples come |
//! | PE8 to PE11 | pulse inputs 1 to 4 |
//!
//! Outputs are high when active and have pull-downs on the board, so a processor in reset drives nothing.

use crate::field::Put;
use metrology_link::payload::{BreakerDrive, Inputs, Outputs, PULSE_INPUTS};
use stm32g4::stm32g474::{GPIOA, GPIOB, GPIOC, GPIOD, GPIOE, SYSCFG, TIM7};

/// How long a coil is driven, ms: a latching breaker moves in 20, and stands 200.
const COIL_MS: u16 = 100;
/// Inputs whose pin is low while they are active, by a contact to ground.
const LOW_ACTIVE: u32 = Inputs::BUTTON_LEFT | Inputs::BUTTON_RIGHT;
/// Read from the pins; the supply's state comes from the PVD.
const FROM_PINS: u32 = 0xFFFF & !Inputs::POWER_FAIL;

const RELAY_1: u8 = 0;
const RELAY_2: u8 = 1;
const COIL_OPEN: u8 = 2;
const COIL_CLOSE: u8 = 3;
const BACKLIGHT: u8 = 4;
const ALIVE: u8 = 5;

/// Puts a pin of a port to an alternate function, at the speed that SPI wants.
macro_rules! alternate {
    ($port:expr, $afr:ident, $pin:expr, $function:expr) => {
        $port.$afr().modify(|_, w| w.afr($pin % 8).set($function));
        $port.ospeedr().modify(|_, w| w.ospeedr($pin).high_speed());
        $port.moder().modify(|_, w| w.moder($pin).alternate());
    };
}

/// Puts a pin to an output.
macro_rules! output {
    ($port:expr, $pin:expr) => {
        $port.moder().modify(|_, w| w.moder($pin).output());
    };
}

/// Puts a pin to an input, with a pull-up or without.
macro_rules! input {
    ($port:expr, $pin:expr, $pull:ident) => {
        $port.pupdr().modify(|_, w| w.pupdr($pin).$pull());
        $port.moder().modify(|_, w| w.moder($pin).input());
    };
}

/// Writes a pin: one write, which touches no other pin, so interrupts and the main loop do not disturb each other.
macro_rules! drive {
    ($port:ident, $pin:expr, $high:expr) => {{
        // SAFETY: BSRR takes single writes for single pins and keeps nothing; no other register of the port is used.
        let port = unsafe { $port::steal() };
        let pin: u8 = $pin;
        port.bsrr().write(|w| if $high { w.bs(pin).set_bit() } else { w.br(pin).set_bit() });
    }};
}

/// Reads a port's pins.
macro_rules! levels {
    ($port:ident) => {{
        // SAFETY: IDR is read-only; no other register of the port is used.
        let port = unsafe { $port::steal() };
        port.idr().read().bits()
    }};
}

/// Sets all pins up. Outputs come up inactive.
pub fn set_up(a: &GPIOA, b: &GPIOB, c: &GPIOC, d: &GPIOD, e: &GPIOE, syscfg: &SYSCFG) {
    adc_select(false);
    adc_reset(true);
    fram_select(false);
    data_ready(false);
    all_off();
    // TIM5 sees the edge by the alternate function, EXTI by the input that every mode leaves on.
    alternate!(a, afrl, 0, 2);
    output!(a, 3);
    output!(a, 4);
    for pin in 5..8 {
        alternate!(a, afrl, pin, 5);
    }
    alternate!(a, afrh, 15, 1);
    alternate!(b, afrl, 3, 1);
    alternate!(b, afrh, 10, 1);
    alternate!(b, afrh, 11, 1);
    for pin in 12..16 {
        alternate!(b, afrh, pin, 5);
    }
    // A host that is not there selects nobody.
    b.pupdr().modify(|_, w| w.pupdr(12).pull_up());
    c.pupdr().modify(|_, w| w.pupdr(6).pull_down());
    c.moder().modify(|_, w| w.moder(6).input());
    output!(c, 7);
    output!(c, 9);
    for pin in 10..13 {
        alternate!(c, afrh, pin, 6);
    }
    for pin in 0..16 {
        input!(d, pin, floating);
    }
    for pin in [5, 6] {
        input!(d, pin, pull_up);
    }
    for pin in RELAY_1..=ALIVE {
        output!(e, pin);
    }
    for pin in 8..12 {
        input!(e, pin, floating);
    }
    // EXTI0 from port A, EXTI12 from port B.
    syscfg.exticr1().modify(|_, w| w.exti0().put(0));
    syscfg.exticr4().modify(|_, w| w.exti12().put(1));
}

/// Everything that moves or lights: off. Relays and breaker stay where their springs and magnets hold them.
pub fn all_off() {
    for pin in RELAY_1..=ALIVE {
        drive!(GPIOE, pin, false);
    }
}

/// Selects the converter.
pub fn adc_select(selected: bool) {
    drive!(GPIOA, 4, !selected);
}

/// Releases the converter's reset, or holds it.
pub fn adc_reset(released: bool) {
    drive!(GPIOA, 3, released);
}

/// Selects the FRAM.
pub fn fram_select(selected: bool) {
    drive!(GPIOC, 9, !selected);
}

/// Level of data-ready to Linux.
pub fn data_ready(high: bool) {
    drive!(GPIOC, 7, high);
}

/// Linux announces or does no transfer: handshake is low, select is high.
pub fn link_quiet() -> bool {
    levels!(GPIOC) & 1 << 6 == 0 && levels!(GPIOB) & 1 << 12 != 0
}

/// Levels of the inputs.
pub fn inputs() -> Inputs {
    Inputs((levels!(GPIOD) ^ LOW_ACTIVE) & FROM_PINS)
}

/// Levels of the pulse inputs.
pub fn pulse_inputs() -> [bool; PULSE_INPUTS] {
    let levels = levels!(GPIOE);
    core::array::from_fn(|k| levels & 1 << (8 + k) != 0)
}

/// The light of the display.
pub fn backlight(lit: bool) {
    drive!(GPIOE, BACKLIGHT, lit);
}

/// The light that tells that samples come.
pub fn alive(lit: bool) {
    drive!(GPIOE, ALIVE, lit);
}

/// The timer that ends a coil's pulse, whatever the program does: 10 kHz, once.
pub fn set_up_coils(timer: &TIM7) {
    timer.psc().write(|w| w.psc().set(16_999));
    timer.arr().write(|w| w.arr().set((COIL_MS * 10).into()));
    timer.cr1().write(|w| w.opm().set_bit().urs().set_bit());
    // Loads the prescaler.
    timer.egr().write(|w| w.ug().set_bit());
    timer.sr().write(|w| w.uif().clear_bit());
    timer.dier().write(|w| w.uie().set_bit());
}

/// Drives relays, light and a coil.
pub fn outputs(outputs: &Outputs) {
    drive!(GPIOE, RELAY_1, outputs.relays & 1 != 0);
    drive!(GPIOE, RELAY_2, outputs.relays & 2 != 0);
    backlight(outputs.backlight);
    let coil = match outputs.breaker {
        BreakerDrive::Keep => return,
        BreakerDrive::Open => COIL_OPEN,
        BreakerDrive::Close => COIL_CLOSE,
    };
    // SAFETY: TIM7 is used by this function and its interrupt; the critical section keeps them apart.
    let timer = unsafe { TIM7::steal() };
    critical_section::with(|_| {
        // Never both: two coils against each other.
        drive!(GPIOE, COIL_OPEN, coil == COIL_OPEN);
        drive!(GPIOE, COIL_CLOSE, coil == COIL_CLOSE);
        timer.cnt().reset();
        timer.cr1().modify(|_, w| w.cen().set_bit());
    });
}

/// The time of a coil is over.
pub fn coils_interrupt() {
    // SAFETY: as in `outputs`; this interrupt does not come within its critical section.
    let timer = unsafe { TIM7::steal() };
    timer.sr().write(|w| w.uif().clear_bit());
    drive!(GPIOE, COIL_OPEN, false);
    drive!(GPIOE, COIL_CLOSE, false);
}
