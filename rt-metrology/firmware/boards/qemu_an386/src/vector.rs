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
//! brought: harmonics with their channel, bands from 2 to 9 kHz, windows, notices. Numbers in it are exact. START is the
//! meter time of the first sample, µs since 1970 (else 0), and SIGNALLING the frequency of mains signalling to watch, tenths of a
//! hertz.

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

/// Runs the whole file through the engine and the watch of power quality. The last two words may be empty.
///
/// # Errors
/// See [`engine`].
#[inline(never)] // as above
pub fn quality(input: &[u8], output: &[u8], start: &[u8], signalling: &[u8]) -> Result<(), &'static str> {
    let input = Samples::open(input)?;
    let mut output = Text(File::open(output, Mode::Create).ok_or("cannot create the results")?);
    let mut metrology = Metrology::new(&input.config, &input.calibration).map_err(|_| IMPOSSIBLE)?;
    let quality = memory::power_quality();
    quality.configure(&input.config, &input.calibration);
    let signalling = decimal(signalling)?;
    quality.watch_signalling(signalling.map(|tenths| tenths as f32 / 10.0));
    let utc_us = decimal(start)?.unwrap_or(0);
    let grid = Grid { utc_us, rate_q16: u64::from(input.config.rate_hz) << 16, ..Grid::default() };
    input.each(|counts| {
        metrology.push(counts);
        let half = metrology.half_cycle();
        let done = quality.push(metrology.samples(), half.as_ref(), &grid);
        let mut lines = || {
            if let Some(channel) = done.channel {
                writeln!(output, "{channel} {:?}", quality.harmonics())?;
            }
            if done.bands {
                writeln!(output, "{:?}", quality.bands())?;
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

/// A word of the command line as a number; `None` when it is empty.
fn decimal(word: &[u8]) -> Result<Option<i64>, &'static str> {
    let Some((_, digits)) = word.split_last() else { return Ok(None) };
    let number = core::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    number.map(Some).ok_or("START or SIGNALLING is no number")
}

struct Text(File);

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.write_all(text.as_bytes()) { Ok(()) } else { Err(fmt::Error) }
    }
}
