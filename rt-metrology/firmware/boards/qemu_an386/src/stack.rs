//! How much stack was used, by the paint that the start-up code leaves.

use core::ptr::addr_of;

unsafe extern "C" {
    /// Lowest word of the stack: end of the statics. Placed by the linker.
    static _stack_end: u32;
    /// Just above the highest word.
    static _stack_start: u32;
}

/// (bytes used at most so far, bytes there are).
pub fn high_water() -> (usize, usize) {
    let (low, high) = (addr_of!(_stack_end), addr_of!(_stack_start));
    let room = high as usize - low as usize;
    let mut clean = 0;
    // SAFETY: all words between the linker's two marks are RAM; those in use change while this reads, which it ends at.
    while clean < room && unsafe { low.byte_add(clean).read_volatile() } == cortex_m_rt::STACK_PAINT_VALUE {
        clean += 4;
    }
    (room - clean, room)
}
