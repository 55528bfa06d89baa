//! Wired frames, EN 13757-2 (IEC 60870-5-2, format class FT 1.2): acknowledgement, short, control and long.
//!
//! [`WiredFrame::parse`] takes the bytes that arrived so far and says how many more it needs, so that a master or a
//! slave can call it after each byte. It never looks past the end of the first frame.

use crate::Error;

/// Start of a long or control frame.
const LONG: u8 = 0x68;
/// Start of a short frame.
const SHORT: u8 = 0x10;
/// End of all but the acknowledgement.
const STOP: u8 = 0x16;
/// The acknowledgement.
const ACK: u8 = 0xE5;
/// Most bytes behind the control information field: L is 255 at most and counts C, A and CI.
pub const MAX_DATA: usize = 252;

/// Control field values (EN 13757-2, table 1). FCB is bit 5, FCV bit 4 of a request; ACD bit 5, DFC bit 4 of an answer.
pub mod control {
    /// Reset of the link, answered by an acknowledgement.
    pub const SND_NKE: u8 = 0x40;
    /// Data to the slave, answered by an acknowledgement.
    pub const SND_UD: u8 = 0x53;
    /// Asks for data of class 2 (values).
    pub const REQ_UD2: u8 = 0x5B;
    /// Asks for data of class 1 (alarms).
    pub const REQ_UD1: u8 = 0x5A;
    /// The slave's data.
    pub const RSP_UD: u8 = 0x08;
    /// Frame count bit: toggles after each good answer.
    pub const FCB: u8 = 0x20;
    /// The frame count bit counts.
    pub const FCV: u8 = 0x10;
}

/// Addresses with a meaning of their own.
pub mod address {
    /// A slave without an address yet.
    pub const UNCONFIGURED: u8 = 0;
    /// The slaves selected by secondary address.
    pub const SELECTED: u8 = 253;
    /// All slaves, each answers: for a bus with one slave.
    pub const ALL_ANSWER: u8 = 254;
    /// All slaves, none answers.
    pub const ALL_SILENT: u8 = 255;
}

/// A wired frame; `data` borrows from the bytes it was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WiredFrame<'a> {
    /// `E5`.
    Ack,
    /// `10 C A CS 16`.
    Short {
        /// Control field.
        control: u8,
        /// Address field.
        address: u8,
    },
    /// `68 L L 68 C A CI data CS 16`; a control frame has no data.
    Long {
        /// Control field.
        control: u8,
        /// Address field.
        address: u8,
        /// Control information field.
        ci: u8,
        /// What follows it.
        data: &'a [u8],
    },
}

/// Why bytes are not a whole frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WiredError {
    /// So far so good: at least this many bytes more.
    Incomplete(usize),
    /// Not a frame. Drop a byte and try again.
    Bad(Error),
}

impl From<WiredError> for Error {
    fn from(error: WiredError) -> Self {
        match error {
            WiredError::Incomplete(_) => Self::Frame("wired frame is cut off"),
            WiredError::Bad(error) => error,
        }
    }
}

impl<'a> WiredFrame<'a> {
    /// The first frame of `bytes` and its length.
    ///
    /// # Errors
    /// [`WiredError`]: bytes are missing, or these can never become a frame.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, usize), WiredError> {
        let missing = |n: usize| if bytes.len() < n { Err(WiredError::Incomplete(n - bytes.len())) } else { Ok(()) };
        let bad = |why| Err(WiredError::Bad(Error::Frame(why)));
        missing(1)?;
        match bytes[0] {
            ACK => Ok((Self::Ack, 1)),
            SHORT => {
                missing(5)?;
                if bytes[4] != STOP {
                    return bad("short frame does not end in 16");
                }
                checksum(&bytes[1..3], bytes[3])?;
                Ok((Self::Short { control: bytes[1], address: bytes[2] }, 5))
            }
            LONG => {
                missing(4)?;
                let length = usize::from(bytes[1]);
                if bytes[1] != bytes[2] || bytes[3] != LONG {
                    return bad("long frame: the two lengths or starts differ");
                }
                if length < 3 {
                    return bad("long frame: length below 3");
                }
                missing(length + 6)?;
                if bytes[length + 5] != STOP {
                    return bad("long frame does not end in 16");
                }
                checksum(&bytes[4..length + 4], bytes[length + 4])?;
                let (control, address, ci) = (bytes[4], bytes[5], bytes[6]);
                Ok((Self::Long { control, address, ci, data: &bytes[7..length + 4] }, length + 6))
            }
            _ => bad("no start of a wired frame"),
        }
    }

    /// Appends the frame.
    ///
    /// # Errors
    /// [`Error::Value`]: more than [`MAX_DATA`] bytes of data.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        match *self {
            Self::Ack => out.push(ACK),
            Self::Short { control, address } => {
                out.extend([SHORT, control, address, control.wrapping_add(address), STOP]);
            }
            Self::Long { control, address, ci, data } => {
                if data.len() > MAX_DATA {
                    return Err(Error::Value("length of a wired frame"));
                }
                let length = (data.len() + 3) as u8;
                out.extend([LONG, length, length, LONG]);
                let start = out.len();
                out.extend([control, address, ci]);
                out.extend(data);
                let sum = sum(&out[start..]);
                out.extend([sum, STOP]);
            }
        }
        Ok(())
    }
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, b| sum.wrapping_add(*b))
}

fn checksum(bytes: &[u8], found: u8) -> Result<(), WiredError> {
    let computed = sum(bytes);
    if computed == found { Ok(()) } else { Err(WiredError::Bad(Error::Checksum { found, computed })) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SELECT: [u8; 17] =
        [0x68, 0x0B, 0x0B, 0x68, 0x53, 0xFD, 0x52, 0x78, 0x56, 0x34, 0x12, 0xFF, 0xFF, 0xFF, 0xFF, 0xB2, 0x16];

    #[test]
    fn deconstruct_and_construct() {
        let (frame, length) = WiredFrame::parse(&SELECT).unwrap();
        assert_eq!(length, SELECT.len());
        let WiredFrame::Long { control, address, ci, data } = frame else { panic!("{frame:?}") };
        assert_eq!((control, address, ci, data.len()), (control::SND_UD, address::SELECTED, 0x52, 8));
        let mut out = vec![];
        frame.emit(&mut out).unwrap();
        assert_eq!(out, SELECT);
        out.clear();
        WiredFrame::Short { control: 0x40, address: 1 }.emit(&mut out).unwrap();
        assert_eq!(out, [0x10, 0x40, 0x01, 0x41, 0x16]);
        assert_eq!(WiredFrame::parse(&[0xE5, 0x10]), Ok((WiredFrame::Ack, 1)));
    }

    #[test]
    fn each_prefix_is_incomplete_and_each_flip_is_bad() {
        for n in 0..SELECT.len() {
            assert!(matches!(WiredFrame::parse(&SELECT[..n]), Err(WiredError::Incomplete(_))), "{n}");
        }
        for bit in 0..SELECT.len() * 8 {
            let mut damaged = SELECT;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(WiredFrame::parse(&damaged).is_err(), "bit {bit}");
        }
        assert!(matches!(WiredFrame::parse(&[0x00]), Err(WiredError::Bad(_))));
        let long = [0; MAX_DATA + 1];
        assert!(WiredFrame::Long { control: 8, address: 1, ci: 0x72, data: &long }.emit(&mut vec![]).is_err());
    }
}
