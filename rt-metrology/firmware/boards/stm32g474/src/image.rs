//! The running image, its hash, and the number of the part.

use core::ptr::addr_of;

use sha2::{Digest, Sha256};

unsafe extern "C" {
    /// Begin of the statics' initial values in the code memory, and begin and end of the statics. Placed by the linker.
    static __sidata: u32;
    static __sdata: u32;
    static __edata: u32;
}

const FLASH: usize = 0x0800_0000;
/// Unique number of the part, 96 bits (RM0440, 48.1).
const UNIQUE: usize = 0x1FFF_7590;
/// One-time programmable memory (RM0440, 3.3.1).
const ONCE: usize = 0x1FFF_7000;

/// SHA-256 of everything that is loaded: vectors, code, constants and initial values, as `objcopy -O binary` gives them.
pub fn hash() -> [u8; 32] {
    let statics = addr_of!(__edata) as usize - addr_of!(__sdata) as usize;
    let length = addr_of!(__sidata) as usize + statics - FLASH;
    // SAFETY: flash, which the linker has filled so far; nothing writes to it.
    let image = unsafe { core::slice::from_raw_parts(FLASH as *const u8, length) };
    Sha256::digest(image).into()
}

/// The part's 96 bits, hashed to the 64 that the link has room for.
pub fn device_id() -> [u8; 8] {
    // SAFETY: 12 bytes of the system memory, which are there in every part and never change.
    let unique = unsafe { core::slice::from_raw_parts(UNIQUE as *const u8, 12) };
    let hash = Sha256::digest(unique);
    let mut out = [0; 8];
    out.copy_from_slice(&hash[..8]);
    out
}

/// The laboratory's key, in the memory that can be written once; none while that is blank.
pub fn laboratory_key() -> Option<[u8; 32]> {
    // SAFETY: 32 bytes of memory that is in every part and that this program does not write.
    let key = unsafe { (ONCE as *const [u8; 32]).read_volatile() };
    (key != [0xFF; 32]).then_some(key)
}
