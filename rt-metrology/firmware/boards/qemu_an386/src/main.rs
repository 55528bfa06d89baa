//! The coprocessor's program on QEMU's `mps2-an386`: the real Cortex-M4F code of `metrology-dsp` and
//! `metrology-link`, with files and a UART where a board has a front end and SPI.
//!
//! ```text
//! qemu-system-arm -M mps2-an386 -nographic -kernel qemu-an386 \
//!     -semihosting-config enable=on,target=native,arg=vector,arg=IN,arg=OUT
//! ```
//!
//! `vector IN OUT` and `quality IN OUT [START [SIGNALLING]]` run the samples of a file through the engine, without and with the watch of power
//! quality, and write what came of it, for comparison with the same code on the host ([`vector`]). `count IN OUT WHAT`
//! counts the instructions of each sample ([`count`]). `live IN MEMORY [FACTORY]` is the whole coprocessor: samples and
//! the host's pages from a pipe, its own pages out over UART 0, non-volatile memory in a file ([`live`]).
#![no_std]
#![no_main]

mod count;
mod image;
mod live;
mod memory;
mod samples;
mod semihost;
mod stack;
mod structures;
mod ticks;
mod uart;
mod vector;

use cortex_m_rt::entry;
use cortex_m_semihosting::heprintln;

/// Three paths of the host and the name of the mode.
const ARGUMENTS_BYTES: usize = 512;

#[entry]
fn main() -> ! {
    let mut buffer = [0; ARGUMENTS_BYTES];
    let done = match semihost::arguments::<5>(&mut buffer) {
        Some([b"vector\0", input, output, ..]) => vector::engine(input, output),
        Some([b"quality\0", input, output, start, signalling]) => vector::quality(input, output, start, signalling),
        Some([b"count\0", input, output, what, _]) => count::run(input, output, what),
        Some([b"live\0", input, memory, factory, _]) => live::run(input, memory, factory),
        _ => Err(
            "usage: vector IN OUT, quality IN OUT [START [SIGNALLING]], count IN OUT WHAT, or live IN MEMORY [FACTORY]",
        ),
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
