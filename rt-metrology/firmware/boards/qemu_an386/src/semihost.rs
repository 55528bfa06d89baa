//! Files of the machine that runs QEMU, by Arm semihosting (operations of "Semihosting for AArch32 and AArch64").
//!
//! The one place of this board that leaves Rust's rules: each operation takes a block of words whose layout the
//! specification fixes, and the blocks here live on the stack for the duration of the call.

use cortex_m_semihosting::{debug, nr, syscall};

/// How a file is opened.
#[derive(Clone, Copy)]
pub enum Mode {
    /// Read an existing file or pipe.
    Read = nr::open::R_BINARY as isize,
    /// Write a new file.
    Create = nr::open::W_TRUNC_BINARY as isize,
    /// Read and write an existing file.
    Update = nr::open::RW_BINARY as isize,
}

/// An open file. Never closed: the program ends with QEMU.
pub struct File {
    handle: usize,
}

impl File {
    /// Opens `name`, which must end with a zero byte. `None` when the host refuses.
    pub fn open(name: &[u8], mode: Mode) -> Option<File> {
        let length = name.iter().position(|b| *b == 0)?;
        let block = [name.as_ptr() as usize, mode as usize, length];
        // SAFETY: OPEN takes {pointer to a zero-ended name, mode, length}; all three outlive the call.
        let handle = unsafe { syscall(nr::OPEN, &block) };
        (handle as isize >= 0).then_some(File { handle })
    }

    /// Fills `out`, waiting for a pipe's writer. False at the end of the file.
    pub fn read_exact(&self, out: &mut [u8]) -> bool {
        let mut at = 0;
        while let Some(rest) = out.get_mut(at..).filter(|r| !r.is_empty()) {
            let wanted = rest.len();
            let block = [self.handle, rest.as_mut_ptr() as usize, wanted];
            // SAFETY: READ takes {handle, pointer, length} and writes at most `length` bytes to `rest`.
            let left = unsafe { syscall(nr::READ, &block) };
            if left >= wanted {
                return false;
            }
            at += wanted - left;
        }
        true
    }

    /// Writes all of `bytes`; false when the host could not.
    pub fn write_all(&self, bytes: &[u8]) -> bool {
        let block = [self.handle, bytes.as_ptr() as usize, bytes.len()];
        // SAFETY: WRITE takes {handle, pointer, length} and reads `length` bytes.
        unsafe { syscall(nr::WRITE, &block) == 0 }
    }

    /// The next operation begins at byte `at`; false for what is no file (a pipe).
    pub fn seek(&self, at: usize) -> bool {
        let block = [self.handle, at];
        // SAFETY: SEEK takes {handle, absolute position}.
        unsafe { syscall(nr::SEEK, &block) == 0 }
    }

    /// Length in bytes; 0 when there is none.
    pub fn length(&self) -> usize {
        let block = [self.handle];
        // SAFETY: FLEN takes {handle}.
        let length = unsafe { syscall(nr::FLEN, &block) };
        if (length as isize) < 0 { 0 } else { length }
    }
}

/// The words given to QEMU's `-semihosting-config arg=…`, split at blanks, each ended by a zero byte, in `buffer`.
/// `None` when they do not fit.
pub fn arguments<const N: usize>(buffer: &mut [u8]) -> Option<[&[u8]; N]> {
    let block = [buffer.as_mut_ptr() as usize, buffer.len()];
    // SAFETY: GET_CMDLINE takes {buffer, its size} and writes both: a zero-ended text and its length.
    let failed = unsafe { syscall(nr::GET_CMDLINE, &block) } != 0;
    // QEMU changed the second word behind the compiler's back.
    // SAFETY: `block` is a live, aligned local array.
    let length = unsafe { core::ptr::read_volatile(&block[1]) };
    if failed || length >= buffer.len() {
        return None;
    }
    let text = &mut buffer[..=length];
    text[length] = 0;
    for byte in text.iter_mut().filter(|b| **b == b' ') {
        *byte = 0;
    }
    let mut words = text.split_inclusive(|b| *b == 0).filter(|w| w.len() > 1);
    let mut out: [&[u8]; N] = [&[]; N];
    for slot in &mut out {
        *slot = words.next().unwrap_or(&[]);
    }
    Some(out)
}

/// Ends QEMU: exit status 0 or 1.
pub fn exit(ok: bool) -> ! {
    debug::exit(if ok { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    loop {
        cortex_m::asm::wfi();
    }
}
