//! The whole coprocessor: samples and the host's pages from a pipe, pages out over the UART, memory in a file.
//!
//! Into the pipe its writer puts frames, all numbers little-endian:
//!
//! | frame | bytes |
//! |---|---|
//! | kind: 1 samples, 2 a page of the host | 1 |
//! | quality of the clock (`ClockQuality`; not for pages) | 1 |
//! | number of samples (not for pages) | 2 |
//! | levels of the inputs (`Inputs`; not for pages) | 4 |
//! | time of the board's clock after the samples, µs since 1970 UTC (not for pages) | 8 |
//! | samples: seven counts as i32 each; page: 1024 bytes | |
//!
//! The samples are the program's time, so the writer paces it: 5 ms at a time give a host its answer within the 20 ms
//! that it waits. Out of the UART come the bytes of `metrology_link::stream`: doorbells and pages.
//!
//! Host pages come by the pipe and not by the UART's receiver for two reasons that lie in QEMU: a semihosting call that
//! waits for a pipe stops the thread that would feed the receiver, and that thread feeds it one byte per wake-up, which
//! on a busy machine makes a page take longer than a host waits. Transmitting needs no other thread.
//!
//! The memory file must have [`NV_BYTES`] at least; its maker makes it. A killed QEMU loses nothing that was written.
//! The factory's file holds configuration and calibration ([`structures`]). Outputs and display do not exist here.

use core::mem::MaybeUninit;
use core::ptr::{addr_of, addr_of_mut};

use crate::semihost::{File, Mode};
use crate::structures;
use crate::uart::Uart;
use crate::{image, memory, samples};
use cortex_m::peripheral::SCB;
use metrology_dsp::coprocessor::{Board, Coprocessor, NV_BYTES};
use metrology_dsp::pq::PowerQuality;
use metrology_link::PAGE;
use metrology_link::payload::{
    Calibration, ClockQuality, Inputs, LcdFrame, MeterConfig, Outputs, PULSE_INPUTS, ResetCause,
};
use metrology_link::stream::DOORBELL;

const HEAD_BYTES: usize = 16;
const KIND_SAMPLES: u8 = 1;
const KIND_PAGE: u8 = 2;

/// Written before a reset that the program asks for; QEMU's memory is zero when it starts, and is left by a reset.
const REQUESTED: u32 = 0x5245_5345;

/// Public key of the laboratory that simulated meters believe; the secret one is in `metrology_sim::laboratory`, so that
/// anybody can calibrate an emulation. A test signs with that and is believed.
const LABORATORY: [u8; 32] = [
    0x2a, 0xd1, 0x2a, 0x67, 0x15, 0x90, 0x29, 0xf9, 0x52, 0xf9, 0xe7, 0xe2, 0x4c, 0xd9, 0x26, 0x82, 0xf2, 0x67, 0x40,
    0x2a, 0x94, 0xc9, 0xa5, 0x1d, 0xd5, 0xbd, 0xa5, 0x81, 0x14, 0x10, 0x32, 0xb8,
];

/// [`REQUESTED`], or anything.
#[unsafe(link_section = ".uninit.cause")]
static mut CAUSE: MaybeUninit<u32> = MaybeUninit::uninit();

/// Runs until the pipe's writer closes it. Paths end with a zero byte; without a factory's file the defaults hold.
///
/// # Errors
/// In words: a file that cannot be opened or is too short, a frame that is none.
#[inline(never)] // its frame is large, and the other mode has no use for it
pub fn run(input: &[u8], memory: &[u8], factory: &[u8]) -> Result<(), &'static str> {
    let memory = File::open(memory, Mode::Update).ok_or("cannot open the memory file")?;
    let size = memory.length();
    if size < NV_BYTES {
        return Err("the memory file is too short");
    }
    let factory = match factory {
        [] => (MeterConfig::default(), Calibration::default()),
        name => structures::read(&File::open(name, Mode::Read).ok_or("cannot open the factory's file")?)?,
    };
    let input = Input { file: File::open(input, Mode::Read).ok_or("cannot open the pipe of samples")? };
    let mut uart = Uart::new();
    // The first frame tells the time, which the start needs: its samples are the first ones.
    let Some(mut head) = input.head() else { return Ok(()) };
    let board = QemuBoard {
        memory,
        size,
        utc_us: head.utc_us,
        offset_us: 0,
        quality: head.quality,
        inputs: head.inputs,
        factory,
        power_quality: memory::power_quality(),
        image: image::hash(),
    };
    // Here and not in a static, and in two steps: it is built in place, 20 KiB have no room twice.
    let mut coprocessor = Coprocessor::at_rest(board, take_cause());
    coprocessor.begin(None);
    let mut rung = false;
    loop {
        match head.kind {
            KIND_SAMPLES => {
                let board = coprocessor.board_mut();
                board.utc_us = head.utc_us;
                board.inputs = head.inputs;
                if !block(&input, head.count, &mut coprocessor) {
                    return Ok(());
                }
            }
            KIND_PAGE => {
                if !exchange(&input, &mut coprocessor, &mut uart) {
                    return Ok(());
                }
                // The level falls with an exchange; what is armed now is news.
                rung = false;
            }
            _ => return Err("a frame of an unknown kind"),
        }
        let ready = coprocessor.data_ready();
        if ready && !rung {
            uart.write(&[DOORBELL]);
        }
        rung = ready;
        let Some(next) = input.head() else { return Ok(()) };
        head = next;
    }
}

/// The samples of a frame. False at the end of the pipe.
#[inline(never)] // its buffer is gone when pages are exchanged
fn block(input: &Input, count: usize, coprocessor: &mut Coprocessor<QemuBoard>) -> bool {
    let taken = samples::take(&input.file, count, |counts| {
        coprocessor.sample(counts);
        Ok(())
    });
    taken == Ok(true)
}

/// One exchange with the page that follows in the pipe. False at its end.
#[inline(never)] // its buffer is gone when samples are taken
fn exchange(input: &Input, coprocessor: &mut Coprocessor<QemuBoard>, uart: &mut Uart) -> bool {
    let mut page = [0; PAGE];
    if !input.file.read_exact(&mut page) {
        return false;
    }
    coprocessor.exchange_in_place(&mut page);
    uart.write(&page);
    true
}

/// Why this start: asked for by the program itself, or QEMU's.
fn take_cause() -> ResetCause {
    // SAFETY: one thread, no interrupts; every bit pattern is a u32, and QEMU's memory is never without one.
    let cause = unsafe { addr_of!(CAUSE).cast::<u32>().read_volatile() };
    set_cause(0);
    if cause == REQUESTED { ResetCause::Requested } else { ResetCause::PowerOn }
}

fn set_cause(cause: u32) {
    // SAFETY: as in `take_cause`.
    unsafe { addr_of_mut!(CAUSE).cast::<u32>().write_volatile(cause) };
}

struct Input {
    file: File,
}

struct Head {
    kind: u8,
    count: usize,
    quality: ClockQuality,
    inputs: Inputs,
    utc_us: i64,
}

impl Input {
    /// The next frame's head; `None` at the end of the pipe.
    fn head(&self) -> Option<Head> {
        let mut bytes = [0; HEAD_BYTES];
        if !self.file.read_exact(&mut bytes) {
            return None;
        }
        let [kind, quality, c0, c1, i0, i1, i2, i3, utc @ ..] = bytes;
        Some(Head {
            kind,
            count: usize::from(u16::from_le_bytes([c0, c1])),
            quality: match quality {
                2 => ClockQuality::Valid,
                1 => ClockQuality::Holdover,
                _ => ClockQuality::Invalid,
            },
            inputs: Inputs(u32::from_le_bytes([i0, i1, i2, i3])),
            utc_us: i64::from_le_bytes(utc),
        })
    }
}

struct QemuBoard {
    memory: File,
    size: usize,
    /// Time by the last frame.
    utc_us: i64,
    /// What the meter set, minus that. Lives until QEMU ends.
    offset_us: i64,
    quality: ClockQuality,
    inputs: Inputs,
    factory: (MeterConfig, Calibration),
    power_quality: &'static mut PowerQuality,
    /// Hash of the running program.
    image: [u8; 32],
}

impl Board for QemuBoard {
    fn nv_size(&self) -> usize {
        self.size
    }

    fn nv_read(&self, at: usize, out: &mut [u8]) {
        if !(self.memory.seek(at) && self.memory.read_exact(out)) {
            out.fill(0);
        }
    }

    fn nv_write(&mut self, at: usize, bytes: &[u8]) {
        // A failed write shows at the next start, as a worn memory does: the other slot is older and valid.
        let _ = self.memory.seek(at) && self.memory.write_all(bytes);
    }

    fn rtc(&self) -> (i64, ClockQuality) {
        (self.utc_us.saturating_add(self.offset_us), self.quality)
    }

    fn set_rtc(&mut self, utc_us: i64, quality: ClockQuality) {
        self.offset_us = utc_us.saturating_sub(self.utc_us);
        self.quality = quality;
    }

    fn inputs(&mut self) -> Inputs {
        self.inputs
    }

    fn pulses(&mut self) -> [u64; PULSE_INPUTS] {
        [0; PULSE_INPUTS]
    }

    fn set_outputs(&mut self, _outputs: &Outputs) {}

    fn lcd(&mut self, _frame: &LcdFrame) {}

    fn temperature_mdeg(&self) -> Option<i32> {
        None
    }

    fn firmware_id(&self) -> [u8; 32] {
        self.image
    }

    fn device_id(&self) -> [u8; 8] {
        *b"QEMU0386"
    }

    fn laboratory_key(&self) -> Option<[u8; 32]> {
        Some(LABORATORY)
    }

    fn factory(&self) -> (MeterConfig, Calibration) {
        self.factory
    }

    fn with_power_quality<R>(&mut self, f: impl FnOnce(&mut PowerQuality) -> R) -> Option<R> {
        Some(f(self.power_quality))
    }

    fn reset(&mut self, _warm: bool) {
        set_cause(REQUESTED);
        SCB::sys_reset()
    }
}
