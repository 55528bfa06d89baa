//! Samples of a file ([`samples`](crate::samples)) through the measurement, results to a file, for comparison with the
//! same code on the host.
//!
//! `vector`: the engine alone; out comes, for each window and little-endian:
//!
//! | bytes | |
//! |---|---|
//! | `Cumulative::to_bytes` | [`Cumulative::BYTES`] |
//! | layout of the window's `Second` | [`Second::LEN`](Wire::LEN) |
//!
//! `quality`: the engine with the watch of power quality; out come lines of text, the `Debug` form of what each sample
//! brought: harmonics with their channel, windows, notices. Numbers in it are exact.

use core::fmt::{self, Write};

use crate::memory;
use crate::samples::Samples;
use crate::semihost::{File, Mode};
use metrology_dsp::{Cumulative, Metrology};
use metrology_link::codec::{Wire, encode};
use metrology_link::payload::{Grid, Second};

/// What the engine says of a head that it refuses.
const IMPOSSIBLE: &str = "impossible configuration or calibration";
const UNWRITTEN: &str = "cannot write the results";

/// Runs the whole file through the engine.
///
/// # Errors
/// In words: a file that cannot be opened or written, a head without meaning, a configuration that is impossible.
#[inline(never)] // its frame is large, and the other modes have no use for it
pub fn engine(input: &[u8], output: &[u8]) -> Result<(), &'static str> {
    let input = Samples::open(input)?;
    let output = File::open(output, Mode::Create).ok_or("cannot create the results")?;
    let mut metrology = Metrology::new(&input.config, &input.calibration).map_err(|_| IMPOSSIBLE)?;
    let mut result = [0; Cumulative::BYTES + Second::LEN];
    input.each(|counts| {
        if metrology.push(counts).is_some() {
            let (cumulative, window) = result.split_at_mut(Cumulative::BYTES);
            cumulative.copy_from_slice(&metrology.cumulative().to_bytes());
            encode(metrology.window(), window);
            if !output.write_all(&result) {
                return Err(UNWRITTEN);
            }
        }
        Ok(())
    })
}

/// Runs the whole file through the engine and the watch of power quality. Meter time begins at 0 with the first sample.
///
/// # Errors
/// See [`engine`].
#[inline(never)] // as above
pub fn quality(input: &[u8], output: &[u8]) -> Result<(), &'static str> {
    let input = Samples::open(input)?;
    let mut output = Text(File::open(output, Mode::Create).ok_or("cannot create the results")?);
    let mut metrology = Metrology::new(&input.config, &input.calibration).map_err(|_| IMPOSSIBLE)?;
    let quality = memory::power_quality();
    quality.configure(&input.config, &input.calibration);
    let grid = Grid { rate_q16: u64::from(input.config.rate_hz) << 16, ..Grid::default() };
    input.each(|counts| {
        metrology.push(counts);
        let half = metrology.half_cycle();
        let done = quality.push(metrology.samples(), half.as_ref(), &grid);
        let mut lines = || {
            if let Some(channel) = done.channel {
                writeln!(output, "{channel} {:?}", quality.harmonics())?;
            }
            if done.window {
                writeln!(output, "{:?}", quality.window())?;
            }
            if done.notices {
                while let Some(notice) = quality.notice() {
                    writeln!(output, "{notice:?}")?;
                }
            }
            Ok(())
        };
        lines().map_err(|fmt::Error| UNWRITTEN)
    })
}

struct Text(File);

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.write_all(text.as_bytes()) { Ok(()) } else { Err(fmt::Error) }
    }
}
