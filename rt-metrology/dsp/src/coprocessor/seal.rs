//! Who may calibrate: a record comes into force only with the signature of the laboratory that the board knows, and
//! only on the device it was made for. It is verified when it is written and again at each start, so that a changed
//! memory cannot calibrate either.
//!
//! A record without signature (all zeros) in memory stands for what the board left the factory with.

use ed25519_dalek::{Signature, VerifyingKey};
use metrology_link::payload::{Impossible, SignedCalibration};

use super::Board;

/// Whether `signed` is the laboratory's word about this device.
///
/// # Errors
/// [`Impossible::Device`] and [`Impossible::Signature`]; the sender is at fault, or the memory.
#[inline(never)] // its frame holds points of the curve
pub(super) fn verify<B: Board>(board: &B, signed: &SignedCalibration) -> Result<(), Impossible> {
    if signed.calibration.device_id != board.device_id() {
        return Err(Impossible::Device);
    }
    let key = board.laboratory_key().and_then(|key| VerifyingKey::from_bytes(&key).ok());
    let key = key.ok_or(Impossible::Signature)?;
    let signature = Signature::from_bytes(&signed.signature);
    // Strict: a weak key or a second form of the same signature is refused as well.
    key.verify_strict(&signed.calibration.signed_bytes(), &signature).map_err(|_| Impossible::Signature)
}
