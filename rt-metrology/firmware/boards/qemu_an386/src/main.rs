//! The coprocessor's program on QEMU's `mps2-an386`: the real Cortex-M4F code of `metrology-dsp` and
//! `metrology-link`, with files and a UART where a board has a front end and SPI.
//!
//! ```text
//! qemu-system-arm -M mps2-an386 -nographic -kernel qemu-an386 \
//!     -semihosting-config enable=on,target=native,arg=vector,arg=IN,arg=OUT
//! ```
//!
//! `vector IN OUT` runs the samples of a file through the engine and writes what each window left, for comparison
//! with a run of the same code on the host ([`vector`]).
#![no_std]
#![no_main]

mod semihost;
mod vector;

use cortex_m_rt::entry;
use cortex_m_semihosting::hprintln;

/// Two paths of the host and the name of the mode.
const ARGUMENTS_BYTES: usize = 512;

#[entry]
fn main() -> ! {
    let mut buffer = [0; ARGUMENTS_BYTES];
    let done = match semihost::arguments(&mut buffer) {
        Some([b"vector\0", input, output]) => vector::run(input, output),
        _ => Err("usage: vector IN OUT"),
    };
    if let Err(reason) = done {
        hprintln!("qemu-an386: {}", reason);
    }
    semihost::exit(done.is_ok())
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    hprintln!("{}", info);
    semihost::exit(false)
}
