//! The coprocessor's program on QEMU's `mps2-an386`: the real Cortex-M4F code of `metrology-dsp` and
//! `metrology-link`, with files and a UART where a board has a front end and SPI.
//!
//! ```text
//! qemu-system-arm -M mps2-an386 -nographic -kernel qemu-an386 \
//!     -semihosting-config enable=on,target=native,arg=vector,arg=IN,arg=OUT
//! ```
//!
//! `vector IN OUT` runs the samples of a file through the engine and writes what each window left, for comparison
//! with a run of the same code on the host ([`vector`]). `live IN MEMORY [FACTORY]` is the whole coprocessor: samples
//! and the host's pages from a pipe, its own pages out over UART 0, non-volatile memory in a file ([`live`]).
#![no_std]
#![no_main]

mod live;
mod semihost;
mod stack;
mod structures;
mod uart;
mod vector;

use cortex_m_rt::entry;
use cortex_m_semihosting::heprintln;

/// Three paths of the host and the name of the mode.
const ARGUMENTS_BYTES: usize = 512;

#[entry]
fn main() -> ! {
    let mut buffer = [0; ARGUMENTS_BYTES];
    let done = match semihost::arguments::<4>(&mut buffer) {
        Some([b"vector\0", input, output, _]) => vector::run(input, output),
        Some([b"live\0", input, memory, factory]) => live::run(input, memory, factory),
        _ => Err("usage: vector IN OUT, or live IN MEMORY [FACTORY]"),
    };
    if let Err(reason) = done {
        heprintln!("qemu-an386: {}", reason);
    }
    let (used, room) = stack::high_water();
    heprintln!("qemu-an386: stack {} of {} bytes", used, room);
    semihost::exit(done.is_ok())
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    heprintln!("{}", info);
    semihost::exit(false)
}
