//! The transmitter of UART 0 (CMSDK APB UART, Arm DDI 0479). The receiver stays off: see [`live`](crate::live).

use core::ptr::{read_volatile, write_volatile};

const BASE: usize = 0x4000_4000;
const DATA: *mut u32 = BASE as *mut u32;
const STATE: *mut u32 = (BASE + 0x04) as *mut u32;
const CTRL: *mut u32 = (BASE + 0x08) as *mut u32;
const BAUDDIV: *mut u32 = (BASE + 0x10) as *mut u32;

const STATE_TX_FULL: u32 = 1 << 0;
const CTRL_TX: u32 = 1 << 0;
/// The smallest divider the part allows: 25 MHz / 16.
const FASTEST: u32 = 16;
/// Looks at a transmitter that stays full before the rest is dropped: some 100 ms. QEMU's end takes 64 KB, so only a
/// reader that does not read at all gets there, and what is incomplete it drops.
const PATIENCE: u32 = 200_000;

/// The only user of the registers.
pub struct Uart {
    _one: (),
}

impl Uart {
    /// Switches the transmitter on. Call once.
    pub fn new() -> Uart {
        // SAFETY: the addresses are this board's UART 0, which nothing else in the program touches.
        unsafe {
            write_volatile(BAUDDIV, FASTEST);
            write_volatile(CTRL, CTRL_TX);
        }
        Uart { _one: () }
    }

    /// Sends, waiting while the transmitter is busy. What is not taken in time is dropped.
    pub fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let mut looks = 0;
            // SAFETY: as in `new`.
            unsafe {
                while read_volatile(STATE) & STATE_TX_FULL != 0 {
                    looks += 1;
                    if looks > PATIENCE {
                        return;
                    }
                }
                write_volatile(DATA, u32::from(*byte));
            }
        }
    }
}
