//! Instructions of each sample of a file ([`samples`](crate::samples)), for budgets and against creeping growth.
//!
//! To be run under `-icount shift=0`, see [`ticks`](crate::ticks). Out come words (u32, little-endian): what a loop of
//! [`CONTROLS`] instructions measures, and then one for each sample.
//!
//! `engine` is `Metrology::push`; `quality` is that and the watch of power quality, whose results are fetched as the
//! application does. Meter time is set so that an interval of two hours, with all that it aggregates, ends a second
//! after the first sample.

use crate::memory;
use crate::samples::Samples;
use crate::semihost::{File, Mode};
use crate::ticks::Counter;
use core::hint::black_box;
use metrology_dsp::Metrology;
use metrology_link::payload::Grid;

/// Lengths of the loops that show whether instructions are what is counted.
const CONTROLS: [u32; 4] = [2, 20, 2_000, 200_000];
/// The time of the first sample: 1970-01-02 less a second.
const BEGIN_US: i64 = 86_400_000_000 - 1_000_000;

/// Runs the whole file; `what` is `engine` or `quality`.
///
/// # Errors
/// In words: a file that cannot be opened or written, a head without meaning, a configuration that is impossible.
#[inline(never)] // its frame is large, and the other modes have no use for it
pub fn run(input: &[u8], output: &[u8], what: &[u8]) -> Result<(), &'static str> {
    let with_quality = match what {
        b"engine\0" => false,
        b"quality\0" => true,
        _ => return Err("count what: engine or quality?"),
    };
    let timer = cortex_m::Peripherals::take().ok_or("the timer is taken")?.SYST;
    let mut counter = Counter::new(timer);
    let input = Samples::open(input)?;
    let output = File::open(output, Mode::Create).ok_or("cannot create the results")?;
    let write =
        |word: u32| if output.write_all(&word.to_le_bytes()) { Ok(()) } else { Err("cannot write the results") };
    for length in CONTROLS {
        write(counter.control(length / 2))?;
    }
    let mut metrology =
        Metrology::new(&input.config, &input.calibration).map_err(|_| "impossible configuration or calibration")?;
    let quality = memory::power_quality();
    quality.configure(&input.config, &input.calibration);
    let grid = Grid { utc_us: BEGIN_US, rate_q16: u64::from(input.config.rate_hz) << 16, ..Grid::default() };
    input.each(|counts| {
        let counts = black_box(counts);
        write(counter.measure(|| {
            let ended = metrology.push(counts);
            let half = metrology.half_cycle();
            if with_quality {
                let done = quality.push(metrology.samples(), half.as_ref(), &grid);
                if done.channel.is_some() {
                    black_box(quality.harmonics());
                }
                if done.window {
                    black_box(quality.window());
                }
                if done.notices {
                    while let Some(notice) = quality.notice() {
                        black_box(notice);
                    }
                }
            }
            // What came of it is in memory already.
            black_box((ended.is_some(), half.is_some()));
        }))
    })
}
