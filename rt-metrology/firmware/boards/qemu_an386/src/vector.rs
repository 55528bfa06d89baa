//! Samples from a file through the engine, results to a file.
//!
//! | in | bytes |
//! |---|---|
//! | magic `MGVEC\0\0\1` | 8 |
//! | length and layout of `MeterConfig` (`metrology_link::codec`) | 2 + n |
//! | length and layout of `Calibration` | 2 + n |
//! | records: seven counts as i32, in the order of the channels | 28 each |
//!
//! | out, for each window | bytes |
//! |---|---|
//! | `Cumulative::to_bytes` | [`Cumulative::BYTES`] |
//! | layout of the window's `Second` | [`Second::LEN`](Wire::LEN) |
//!
//! All little-endian.

use crate::semihost::{File, Mode};
use crate::structures;
use metrology_dsp::{CHANNELS, Cumulative, Metrology};
use metrology_link::codec::{Wire, encode};
use metrology_link::payload::Second;

const MAGIC: &[u8; 8] = b"MGVEC\0\0\x01";
/// Records read at once: 4480 bytes of stack, and 50 host calls a second of signal.
const RECORDS: usize = 160;
const RECORD_BYTES: usize = CHANNELS * 4;

/// Runs the whole file.
///
/// # Errors
/// In words: a file that cannot be opened or written, a head without meaning, a configuration that is impossible.
#[inline(never)] // its frame is large, and the other mode has no use for it
pub fn run(input: &[u8], output: &[u8]) -> Result<(), &'static str> {
    let input = File::open(input, Mode::Read).ok_or("cannot open the samples")?;
    let output = File::open(output, Mode::Create).ok_or("cannot create the results")?;
    let mut magic = [0; MAGIC.len()];
    if !input.read_exact(&mut magic) || &magic != MAGIC {
        return Err("not a file of samples");
    }
    let (config, calibration) = structures::read(&input)?;
    let mut metrology = Metrology::new(&config, &calibration).map_err(|_| "impossible configuration or calibration")?;
    let mut result = [0; Cumulative::BYTES + Second::LEN];
    let mut records = [0; RECORDS * RECORD_BYTES];
    loop {
        // A last block that is not full is dropped: writers pad with the next sample or stop at a full block.
        if !input.read_exact(&mut records) {
            return Ok(());
        }
        for record in records.chunks_exact(RECORD_BYTES) {
            let mut counts = [0; CHANNELS];
            for (count, bytes) in counts.iter_mut().zip(record.chunks_exact(4)) {
                *count = i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
            if metrology.push(&counts).is_some() {
                let (cumulative, window) = result.split_at_mut(Cumulative::BYTES);
                cumulative.copy_from_slice(&metrology.cumulative().to_bytes());
                encode(metrology.window(), window);
                if !output.write_all(&result) {
                    return Err("cannot write the results");
                }
            }
        }
    }
}
