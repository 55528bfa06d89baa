//! The laboratory that simulated meters believe. Its secret key is in this file, so that anybody can calibrate a
//! simulation; a real board has the public key of a laboratory that keeps the other one.

use ed25519_dalek::{Signer, SigningKey};
use metrology_link::payload::{Calibration, SignedCalibration};

/// The secret key.
const SECRET: &[u8; 32] = b"metergate simulation laboratory\0";

/// The public key: what the simulated board knows.
pub fn public_key() -> [u8; 32] {
    SigningKey::from_bytes(SECRET).verifying_key().to_bytes()
}

/// Signs a calibration; it must name its device.
pub fn sign(calibration: &Calibration) -> SignedCalibration {
    let signature = SigningKey::from_bytes(SECRET).sign(&calibration.signed_bytes()).to_bytes();
    SignedCalibration { calibration: *calibration, signature }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use metrology_dsp::coprocessor::Board;
    use metrology_dsp::coprocessor::Coprocessor;
    use metrology_link::host::{HostEnd, Received};
    use metrology_link::payload::{Authority, Command, MeterConfig, ReplyStatus, ResetCause};

    use super::*;
    use crate::board::{Hardware, VirtualBoard};
    use crate::nvfile::NvMemory;

    #[test]
    fn a_simulated_meter_takes_its_laboratorys_calibration_and_no_changed_one() {
        let hardware = Hardware::new(NvMemory::in_ram(10), 1, (MeterConfig::default(), Calibration::default()));
        let board = VirtualBoard(Rc::new(RefCell::new(hardware)));
        let device_id = board.device_id();
        let mut coprocessor = Coprocessor::start(board, ResetCause::PowerOn, None);
        let mut host = HostEnd::new();
        let mut write = |signed| {
            let mut down = [0; metrology_link::PAGE];
            for turn in 0..20 {
                if turn == 5 {
                    host.submit(Command::WriteCalibration(signed, Authority::SealOpen)).unwrap();
                }
                host.emit(&mut down);
                if let Received::Reply(reply) = host.receive(&coprocessor.exchange(&down)).unwrap() {
                    return reply.status;
                }
            }
            panic!("no reply");
        };
        let good = sign(&Calibration { ident: 5, device_id, ..Calibration::default() });
        let mut changed = good;
        changed.calibration.channel[0].gain_q30 += 1;
        assert_eq!(write(changed), ReplyStatus::NotAuthorised);
        assert_eq!(write(good), ReplyStatus::Done);
        assert_eq!(coprocessor.calibration().ident, 5);
    }
}
