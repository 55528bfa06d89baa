//! The running image and its hash.

use core::ptr::addr_of;

use sha2::{Digest, Sha256};

unsafe extern "C" {
    /// Begin of the statics' initial values in the code memory, and begin and end of the statics. Placed by the linker.
    static __sidata: u32;
    static __sdata: u32;
    static __edata: u32;
}

/// The code memory begins at address 0, which no reference may have; the board shows it a second time here (QEMU,
/// `hw/arm/mps2.c`).
const MIRROR: usize = 0x0040_0000;

/// SHA-256 of everything that was loaded: vectors, code, constants and initial values, as `objcopy -O binary` gives them.
pub fn hash() -> [u8; 32] {
    let statics = addr_of!(__edata) as usize - addr_of!(__sdata) as usize;
    let length = addr_of!(__sidata) as usize + statics;
    // SAFETY: code memory of 4 MB, of which the linker has filled so much; nothing writes to it.
    let image = unsafe { core::slice::from_raw_parts(MIRROR as *const u8, length) };
    Sha256::digest(image).into()
}
