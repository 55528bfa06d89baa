//! Configuration and calibration at the front of a file: for each, its length as u16 and its layout
//! (`metrology_link::codec`), little-endian.

use crate::semihost::File;
use metrology_link::codec::{Wire, decode};
use metrology_link::payload::{Calibration, MeterConfig};

/// Larger than either structure.
const STRUCTURE_BYTES: usize = 512;

/// Reads both.
///
/// # Errors
/// In words: the file ends early, or holds something else.
pub fn read(file: &File) -> Result<(MeterConfig, Calibration), &'static str> {
    Ok((structure(file)?, structure(file)?))
}

fn structure<T: Wire>(input: &File) -> Result<T, &'static str> {
    let mut length = [0; 2];
    let mut bytes = [0; STRUCTURE_BYTES];
    if !input.read_exact(&mut length) {
        return Err("the head ends early");
    }
    let bytes = bytes.get_mut(..usize::from(u16::from_le_bytes(length))).ok_or("a structure is too long")?;
    if !input.read_exact(bytes) {
        return Err("the head ends early");
    }
    decode(bytes).map_err(|_| "a structure has no meaning")
}
