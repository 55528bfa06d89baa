//! Files of samples, as all modes but the live one take them.
//!
//! | bytes | |
//! |---|---|
//! | magic `MGVEC\0\0\1` | 8 |
//! | length and layout of `MeterConfig` (`metrology_link::codec`) | 2 + n |
//! | length and layout of `Calibration` | 2 + n |
//! | records: seven counts as i32, in the order of the channels | 28 each |
//!
//! All little-endian.

use crate::semihost::{File, Mode};
use crate::structures;
use metrology_dsp::CHANNELS;
use metrology_link::payload::{Calibration, MeterConfig};

const MAGIC: &[u8; 8] = b"MGVEC\0\0\x01";
const RECORD_BYTES: usize = CHANNELS * 4;
/// Records read at once: a call of the host costs far less than the work on so many.
const RECORDS: usize = 20;

/// An open file of samples, after its head.
pub struct Samples {
    file: File,
    /// What the head says.
    pub config: MeterConfig,
    /// See `config`.
    pub calibration: Calibration,
}

impl Samples {
    /// Opens the file and reads its head.
    ///
    /// # Errors
    /// In words: no such file, or it begins with something else.
    pub fn open(name: &[u8]) -> Result<Samples, &'static str> {
        let file = File::open(name, Mode::Read).ok_or("cannot open the samples")?;
        let mut magic = [0; MAGIC.len()];
        if !file.read_exact(&mut magic) || &magic != MAGIC {
            return Err("not a file of samples");
        }
        let (config, calibration) = structures::read(&file)?;
        Ok(Samples { file, config, calibration })
    }

    /// Gives all records to `each`, until that fails. A last block of records that is not full is dropped.
    ///
    /// # Errors
    /// What `each` says.
    pub fn each(&self, each: impl FnMut(&[i32; CHANNELS]) -> Result<(), &'static str>) -> Result<(), &'static str> {
        take(&self.file, usize::MAX, each).map(|_| ())
    }
}

/// Gives the next `count` records of an open file to `each`, in blocks. False when the file ended before.
///
/// # Errors
/// What `each` says.
pub fn take(
    file: &File,
    count: usize,
    mut each: impl FnMut(&[i32; CHANNELS]) -> Result<(), &'static str>,
) -> Result<bool, &'static str> {
    let mut bytes = [0; RECORDS * RECORD_BYTES];
    let mut left = count;
    while left > 0 {
        let some = left.min(RECORDS);
        let block = &mut bytes[..some * RECORD_BYTES];
        if !file.read_exact(block) {
            return Ok(false);
        }
        for record in block.chunks_exact(RECORD_BYTES) {
            let mut counts = [0; CHANNELS];
            for (count, bytes) in counts.iter_mut().zip(record.chunks_exact(4)) {
                *count = i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
            each(&counts)?;
        }
        left -= some;
    }
    Ok(true)
}
