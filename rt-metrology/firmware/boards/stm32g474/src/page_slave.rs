//! The link to Linux: SPI2 as slave in mode 0, one page of 1024 bytes each way by DMA. Untested on hardware.
//!
//! The hardware's select line frames a page. When it rises the SPI is reset, which alone empties its transmit FIFO, and
//! armed again. Data-ready is high while a page with news is armed. Handshake, which Linux raises before a transfer, keeps the
//! armed page from being replaced under way.

use core::cell::RefCell;
use core::sync::atomic::{Ordering, compiler_fence};

use critical_section::Mutex;
use metrology_link::{PAGE, Page};
use stm32g4::stm32g474::{DMA1, DMAMUX, EXTI, RCC, SPI2};
use stm32g474_logic::slave::{Edge, Slave};

use crate::field::Put;
use crate::pins;

/// Requests of SPI2 (RM0440, table 91).
const REQUEST_RX: u8 = 12;
const REQUEST_TX: u8 = 13;
/// Looks at a FIFO that the DMA is emptying.
const PATIENCE: u32 = 200;

static LINK: Mutex<RefCell<Option<Link>>> = Mutex::new(RefCell::new(None));

struct Link {
    spi: SPI2,
    logic: Slave,
    /// Both are here while a page is armed or has come.
    received: Option<&'static mut Page>,
    sent: Option<&'static mut Page>,
}

/// Sets the link up with one buffer; the other one comes with the first [`arm`].
pub fn start(spi: SPI2, mux: &DMAMUX, exti: &EXTI, received: &'static mut Page) {
    mux.ccr(2).write(|w| w.dmareq_id().put(REQUEST_RX));
    mux.ccr(3).write(|w| w.dmareq_id().put(REQUEST_TX));
    exti.rtsr1().modify(|_, w| w.rt12().set_bit());
    exti.imr1().modify(|_, w| w.im12().set_bit());
    critical_section::with(|cs| {
        LINK.replace(cs, Some(Link { spi, logic: Slave::new(), received: Some(received), sent: None }));
    });
}

/// Arms a page. Data-ready follows `news`.
pub fn arm(page: &'static mut Page, news: bool) {
    critical_section::with(|cs| {
        let mut link = LINK.borrow_ref_mut(cs);
        let Some(link) = link.as_mut() else { return };
        // What was sent last is what is received into next.
        if let Some(sent) = link.sent.replace(page) {
            link.received = Some(sent);
        }
        link.listen();
        link.logic.arm(news);
        pins::data_ready(link.logic.data_ready());
    });
}

/// The host's page, when one has come; or a page of zeros, which is none of the host's, when an idle page is armed that
/// `news` should take the place of. Nothing is armed until [`arm`] gives it back.
pub fn take(news: bool) -> Option<&'static mut Page> {
    critical_section::with(|cs| {
        let mut link = LINK.borrow_ref_mut(cs);
        let link = link.as_mut()?;
        let came = link.logic.state() == stm32g474_logic::slave::State::Received;
        if !link.logic.take(pins::link_quiet(), news) {
            return None;
        }
        link.stop();
        let page = link.received.take()?;
        if !came {
            page.fill(0);
        }
        Some(page)
    })
}

/// Interrupt: the select line rose.
pub fn select_rose() {
    // SAFETY: PR1 takes single writes for single lines and keeps the others.
    let exti = unsafe { EXTI::steal() };
    exti.pr1().write(|w| w.pif12().clear_bit_by_one());
    critical_section::with(|cs| {
        let mut link = LINK.borrow_ref_mut(cs);
        let Some(link) = link.as_mut() else { return };
        // The last bytes are on their way from the FIFO.
        let _ = (0..PATIENCE).any(|_| link.spi.sr().read().rxne().bit_is_clear());
        let left = usize::from(dma().ch3().ndtr().read().ndt().bits());
        match link.logic.select_rose(PAGE.saturating_sub(left)) {
            Edge::Ignore => {}
            Edge::Rearm => link.listen(),
            Edge::Page => link.stop(),
        }
        pins::data_ready(link.logic.data_ready());
    });
}

impl Link {
    /// Waits for the host's clock, from the first byte on.
    fn listen(&mut self) {
        self.stop();
        let (Some(received), Some(sent)) = (&mut self.received, &self.sent) else { return };
        let dma = dma();
        let data = self.spi.dr8().as_ptr() as u32;
        for (channel, memory) in [(dma.ch3(), received.as_mut_ptr() as u32), (dma.ch4(), sent.as_ptr() as u32)] {
            channel.par().write(|w| w.pa().put(data));
            channel.mar().write(|w| w.ma().put(memory));
            channel.ndtr().write(|w| w.ndt().set(PAGE as u16));
        }
        compiler_fence(Ordering::SeqCst);
        // The order is the manual's: receiver, channels, transmitter, SPI (RM0440, 39.5.9).
        self.spi.cr1().write(|w| w.mstr().slave());
        self.spi.cr2().write(|w| w.ds().eight_bit().frxth().quarter().rxdmaen().set_bit());
        dma.ch3().cr().write(|w| w.minc().set_bit().pl().high().en().set_bit());
        dma.ch4().cr().write(|w| w.minc().set_bit().dir().set_bit().pl().high().en().set_bit());
        self.spi.cr2().modify(|_, w| w.txdmaen().set_bit());
        self.spi.cr1().modify(|_, w| w.spe().enabled());
    }

    /// Ends what is under way and empties the FIFOs.
    fn stop(&mut self) {
        let dma = dma();
        for channel in [dma.ch3(), dma.ch4()] {
            channel.cr().modify(|_, w| w.en().clear_bit());
        }
        // SAFETY: after the start this register is used by this function alone, within critical sections.
        let rcc = unsafe { RCC::steal() };
        rcc.apb1rstr1().modify(|_, w| w.spi2rst().set_bit());
        rcc.apb1rstr1().modify(|_, w| w.spi2rst().clear_bit());
        compiler_fence(Ordering::SeqCst);
    }
}

/// Channels 3 and 4 of the DMA are this module's.
fn dma() -> DMA1 {
    // SAFETY: each channel has registers of its own; the flags of these two are not used.
    unsafe { DMA1::steal() }
}
