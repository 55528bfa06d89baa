//! 170 MHz from a crystal of 24 MHz; clocks of the peripherals. Untested on hardware.

use stm32g4::stm32g474::{FLASH, PWR, RCC};

/// Looks at a crystal that does not start, before the internal oscillator is taken: some 100 ms at 16 MHz.
const PATIENCE: u32 = 300_000;

/// Sets the clocks up. Runs from the internal 16 MHz when called, and goes on with it (1 %) when the crystal does not start:
/// measurement does not feel it, for samples are clocked by the converter's own crystal.
pub fn set_up(rcc: &RCC, flash: &FLASH, pwr: &PWR) {
    rcc.apb1enr1().modify(|_, w| {
        w.pwren().set_bit().rtcapben().set_bit().tim2en().set_bit().tim5en().set_bit().tim7en().set_bit();
        w.spi2en().set_bit().spi3en().set_bit()
    });
    rcc.apb2enr().modify(|_, w| w.syscfgen().set_bit().spi1en().set_bit());
    rcc.ahb1enr().modify(|_, w| w.dma1en().set_bit().dmamux1en().set_bit());
    rcc.ahb2enr().modify(|_, w| {
        w.gpioaen().set_bit().gpioben().set_bit().gpiocen().set_bit().gpioden().set_bit().gpioeen().set_bit()
    });
    rcc.cr().modify(|_, w| w.hseon().set_bit());
    let crystal = (0..PATIENCE).any(|_| rcc.cr().read().hserdy().bit_is_set());
    // 24 MHz / 6 or 16 MHz / 4, times 85, halved.
    rcc.pllcfgr().modify(|_, w| {
        let w = if crystal { w.pllsrc().hse().pllm().div6() } else { w.pllsrc().hsi16().pllm().div4() };
        w.plln().div85().pllr().div2().pllren().set_bit()
    });
    rcc.cr().modify(|_, w| w.pllon().set_bit());
    while rcc.cr().read().pllrdy().bit_is_clear() {}
    // Above 150 MHz the core's supply is boosted, and the bus runs at half speed for 1 µs on the way (RM0440, 6.1.5).
    pwr.cr5().modify(|_, w| w.r1mode().clear_bit());
    flash.acr().modify(|_, w| w.latency().wait4().prften().set_bit().icen().set_bit().dcen().set_bit());
    while !flash.acr().read().latency().is_wait4() {}
    rcc.cfgr().modify(|_, w| w.hpre().div2());
    rcc.cfgr().modify(|_, w| w.sw().pll());
    while !rcc.cfgr().read().sws().is_pll() {}
    cortex_m::asm::delay(170);
    rcc.cfgr().modify(|_, w| w.hpre().div1().ppre1().div1().ppre2().div1());
    if crystal {
        // A crystal that stops later ends in an NMI, and so in a restart.
        rcc.cr().modify(|_, w| w.csson().set_bit());
    }
}
