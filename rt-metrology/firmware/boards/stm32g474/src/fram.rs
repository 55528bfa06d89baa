//! The FRAM at SPI3, 21.25 MHz, polled: a byte takes 64 cycles, less than an interrupt would. Untested on hardware.

use stm32g4::stm32g474::SPI3;
use stm32g474_logic::fram_frames as frames;

use crate::pins;

/// Looks at an SPI that does not move: nothing but a fault of the part, and the watchdog shall not be what finds it.
const PATIENCE: u32 = 10_000;

/// The memory.
pub struct Fram {
    spi: SPI3,
}

impl Fram {
    /// Sets the SPI up: mode 0, master, bytes.
    pub fn new(spi: SPI3) -> Fram {
        spi.cr1().write(|w| w.mstr().master().br().div8().ssm().enabled().ssi().slave_not_selected());
        spi.cr2().write(|w| w.ds().eight_bit().frxth().quarter());
        spi.cr1().modify(|_, w| w.spe().enabled());
        Fram { spi }
    }

    /// Reads. What lies outside, and what a memory that does not answer should have given, is zero.
    pub fn read(&self, at: usize, out: &mut [u8]) {
        let length = frames::inside(at, out.len()).unwrap_or(0);
        let (inside, outside) = out.split_at_mut(length);
        outside.fill(0);
        if inside.is_empty() {
            return;
        }
        self.frame(|spi| {
            spi.send(&frames::read(at));
            inside.iter_mut().for_each(|byte| *byte = spi.byte(0));
        });
    }

    /// Writes, in order.
    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        for (head, piece) in frames::writes(at, bytes) {
            self.frame(|spi| spi.send(&frames::WRITE_ENABLE));
            self.frame(|spi| {
                spi.send(&head);
                spi.send(piece);
            });
        }
    }

    /// One select.
    fn frame(&self, transfer: impl FnOnce(&Fram)) {
        pins::fram_select(true);
        transfer(self);
        pins::fram_select(false);
        // The select line must be high for 40 ns between two commands.
        cortex_m::asm::delay(10);
    }

    fn send(&self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
    }

    fn byte(&self, byte: u8) -> u8 {
        self.spi.dr8().write(|w| w.dr().set(byte));
        for _ in 0..PATIENCE {
            if self.spi.sr().read().rxne().is_not_empty() {
                return self.spi.dr8().read().dr().bits();
            }
        }
        0
    }
}
