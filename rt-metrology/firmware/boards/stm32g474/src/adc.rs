//! The ADS131M08 at SPI1 with DMA: each edge of data-ready starts the transfer of one frame. Untested on hardware.
//!
//! The converter has its own crystal of 8.192 MHz, which makes the sample clock. The instant of an edge is captured by
//! TIM5, so the time that the interrupt takes to come is not in it.

use core::cell::RefCell;
use core::sync::atomic::{Ordering, compiler_fence};

use critical_section::Mutex;
use stm32g4::stm32g474::{DMA1, DMAMUX, EXTI, SPI1, TIM2, TIM5};
use stm32g474_logic::ads131m08::{self, FRAME, Fault};
use stm32g474_logic::clock::Arrivals;
use stm32g474_logic::queue::{Item, Queue};

use crate::field::Put;
use crate::pins;

/// Requests of SPI1 (RM0440, table 91).
const REQUEST_RX: u8 = 10;
const REQUEST_TX: u8 = 11;
/// Looks at an SPI that does not move.
const PATIENCE: u32 = 10_000;

static ADC: Mutex<RefCell<Option<Adc>>> = Mutex::new(RefCell::new(None));
static QUEUE: Mutex<RefCell<Queue>> = Mutex::new(RefCell::new(Queue::new()));

struct Adc {
    spi: SPI1,
    capture: TIM5,
    /// What TIM2 is ahead of TIM5.
    ahead: u32,
    received: &'static mut [u8; FRAME],
    arrivals: Arrivals,
    /// Tick of the edge whose frame is under way.
    under_way: Option<u32>,
    /// It was reset or is silent: must be set up.
    lame: bool,
}

/// Sets timer, SPI and DMA up. The converter stays as it is until [`set_rate`]. TIM2 runs.
pub fn start(spi: SPI1, capture: TIM5, mux: &DMAMUX, received: &'static mut [u8; FRAME], null: &'static [u8; FRAME]) {
    // Falling edges of TI1, no filter.
    capture.arr().write(|w| w.arr().set(u32::MAX));
    capture.ccmr1_input().write(|w| w.cc1s().ti1());
    capture.ccer().write(|w| w.cc1p().set_bit().cc1e().set_bit());
    capture.cr1().write(|w| w.cen().set_bit());
    // Mode 1, master, 21.25 MHz, bytes.
    spi.cr1().write(|w| w.mstr().master().cpha().second_edge().br().div8().ssm().enabled().ssi().slave_not_selected());
    spi.cr2().write(|w| w.ds().eight_bit().frxth().quarter());
    spi.cr1().modify(|_, w| w.spe().enabled());
    let dma = dma();
    mux.ccr(0).write(|w| w.dmareq_id().put(REQUEST_RX));
    mux.ccr(1).write(|w| w.dmareq_id().put(REQUEST_TX));
    let data = spi.dr8().as_ptr() as u32;
    dma.ch1().par().write(|w| w.pa().put(data));
    dma.ch1().mar().write(|w| w.ma().put(received.as_mut_ptr() as u32));
    dma.ch1().cr().write(|w| w.minc().set_bit().pl().very_high().tcie().set_bit());
    dma.ch2().par().write(|w| w.pa().put(data));
    dma.ch2().mar().write(|w| w.ma().put(null.as_ptr() as u32));
    dma.ch2().cr().write(|w| w.minc().set_bit().dir().set_bit().pl().very_high());
    critical_section::with(|cs| {
        // A few ticks are between the two reads, always the same.
        let ahead = now().wrapping_sub(capture.cnt().read().bits());
        let arrivals = Arrivals::new(8000);
        ADC.replace(cs, Some(Adc { spi, capture, ahead, received, arrivals, under_way: None, lame: true }));
    });
}

/// Resets the converter and sets it up for a rate. Takes half a millisecond, in which no samples come.
pub fn set_rate(rate_hz: u32) {
    exti_line(false);
    pins::adc_reset(false);
    // 2048 clocks of the converter are 250 µs.
    cortex_m::asm::delay(170 * 300);
    pins::adc_reset(true);
    cortex_m::asm::delay(170 * 10);
    critical_section::with(|cs| {
        let mut adc = ADC.borrow_ref_mut(cs);
        let Some(adc) = adc.as_mut() else { return };
        adc.abandon();
        for frame in ads131m08::set_up(rate_hz).iter().flatten() {
            adc.command(frame);
        }
        adc.arrivals = Arrivals::new(rate_hz);
        adc.lame = false;
    });
    exti_line(true);
}

/// Whether the converter must be set up again.
pub fn lame() -> bool {
    critical_section::with(|cs| ADC.borrow_ref(cs).as_ref().is_some_and(|adc| adc.lame))
}

/// What comes next from the queue.
pub fn next() -> Option<Item> {
    critical_section::with(|cs| QUEUE.borrow_ref_mut(cs).pop())
}

/// Counts the samples of a converter that is silent. To be called each millisecond.
pub fn tick() {
    critical_section::with(|cs| {
        if let Some(adc) = ADC.borrow_ref_mut(cs).as_mut() {
            let missing = adc.arrivals.silence(now());
            adc.lame |= missing > 0;
            QUEUE.borrow_ref_mut(cs).lose(missing);
        }
    });
}

/// Interrupt: data-ready fell.
pub fn data_ready() {
    // SAFETY: PR1 takes single writes for single lines and keeps the others.
    let exti = unsafe { EXTI::steal() };
    exti.pr1().write(|w| w.pif0().clear_bit_by_one());
    critical_section::with(|cs| {
        let mut adc = ADC.borrow_ref_mut(cs);
        let Some(adc) = adc.as_mut() else { return };
        let ticks = adc.capture.ccr1().read().bits().wrapping_add(adc.ahead);
        let mut missing = adc.arrivals.edge(ticks);
        // The frame before is not done: that one is lost, and where this one ends nobody could tell.
        if adc.under_way.take().is_some() {
            missing += 1;
            adc.abandon();
        }
        QUEUE.borrow_ref_mut(cs).lose(missing);
        if missing > 0 {
            // The converter keeps two samples (SBAS950, 8.5.1.9.1): after a pause the next one would be the older. Was there
            // but one, the next frame has nothing new and is lost too, which is told.
            adc.command(&[0; FRAME]);
        }
        adc.begin(ticks);
    });
}

/// Interrupt: a frame is complete.
pub fn frame() {
    dma().ifcr().write(|w| w.cgif1().set_bit().cgif2().set_bit());
    critical_section::with(|cs| {
        let mut adc = ADC.borrow_ref_mut(cs);
        let Some(adc) = adc.as_mut() else { return };
        let Some(ticks) = adc.under_way.take() else { return };
        adc.abandon();
        // The DMA wrote behind the compiler's back.
        compiler_fence(Ordering::SeqCst);
        let mut queue = QUEUE.borrow_ref_mut(cs);
        match ads131m08::decode(adc.received) {
            Ok(counts) => queue.push(&counts, ticks),
            Err(fault) => {
                queue.lose(1);
                adc.lame |= fault == Fault::Reset;
            }
        }
    });
}

impl Adc {
    fn begin(&mut self, ticks: u32) {
        self.under_way = Some(ticks);
        pins::adc_select(true);
        compiler_fence(Ordering::SeqCst);
        let dma = dma();
        for channel in [dma.ch1(), dma.ch2()] {
            channel.ndtr().write(|w| w.ndt().set(FRAME as u16));
            channel.cr().modify(|_, w| w.en().set_bit());
        }
        self.spi.cr2().modify(|_, w| w.rxdmaen().set_bit().txdmaen().set_bit());
    }

    /// Ends a transfer, complete or not, and leaves nothing in the SPI.
    fn abandon(&mut self) {
        self.under_way = None;
        self.spi.cr2().modify(|_, w| w.rxdmaen().clear_bit().txdmaen().clear_bit());
        let dma = dma();
        for channel in [dma.ch1(), dma.ch2()] {
            channel.cr().modify(|_, w| w.en().clear_bit());
        }
        // What the FIFO still holds is four bytes at most, 1.5 µs.
        let _ = (0..PATIENCE).any(|_| self.spi.sr().read().bsy().bit_is_clear());
        while self.spi.sr().read().rxne().bit_is_set() {
            let _ = self.spi.dr8().read();
        }
        pins::adc_select(false);
    }

    /// A frame without DMA.
    fn command(&mut self, frame: &[u8; FRAME]) {
        pins::adc_select(true);
        for byte in frame {
            self.spi.dr8().write(|w| w.dr().set(*byte));
            let _ = (0..PATIENCE).any(|_| self.spi.sr().read().rxne().bit_is_set());
            let _ = self.spi.dr8().read();
        }
        pins::adc_select(false);
        // Registers take over 5 µs after.
        cortex_m::asm::delay(170 * 6);
    }
}

/// The timer of pulses, which the sample clock is told by.
pub fn now() -> u32 {
    // SAFETY: the counter is only read.
    unsafe { TIM2::steal() }.cnt().read().bits()
}

fn exti_line(on: bool) {
    // SAFETY: masks are changed by the main loop alone, at the start and here.
    let exti = unsafe { EXTI::steal() };
    exti.ftsr1().modify(|_, w| w.ft0().set_bit());
    exti.pr1().write(|w| w.pif0().clear_bit_by_one());
    exti.imr1().modify(|_, w| w.im0().bit(on));
}

/// Channels 1 and 2 of the DMA, and their flags, are this module's.
fn dma() -> DMA1 {
    // SAFETY: each channel has registers of its own, and IFCR takes single writes for single flags.
    unsafe { DMA1::steal() }
}
