//! Why bytes give no values.

/// Why a telegram is refused. Each variant says whose fault it is; in no case is a part of the telegram used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The line is not hex digits. The caller's fault.
    #[error("bad hex: {0}")]
    Hex(&'static str),
    /// It ends in the middle of something. The receiver lost bytes, or the sender's length is wrong.
    #[error("truncated at byte {at}")]
    Truncated {
        /// Where the missing bytes should be.
        at: usize,
    },
    /// Neither a wired frame nor a wireless one.
    #[error("no frame: {0}")]
    Frame(&'static str),
    /// Damaged on the way: checksum of a wired frame.
    #[error("checksum is {found:02X}, computed {computed:02X}")]
    Checksum {
        /// In the frame.
        found: u8,
        /// Of the frame.
        computed: u8,
    },
    /// Damaged on the way: CRC of a wireless block, an ELL payload or a compact frame; or the wrong key.
    #[error("CRC of the {0} is wrong")]
    Crc(&'static str),
    /// A control information code that carries nothing for us.
    #[error("CI {0:02X} is not supported")]
    Ci(u8),
    /// The header says encrypted and there is no key. Ask the meter's owner for it.
    #[error("security mode {0}: no key")]
    NoKey(Mode),
    /// The payload is not what the key makes of it: wrong key, damaged, or forged.
    #[error("security mode {0}: does not decrypt with this key")]
    WrongKey(Mode),
    /// The message authentication code is not right: wrong key, damaged, or forged. Nothing was decrypted.
    #[error("message authentication code is wrong")]
    Mac,
    /// The message counter is not above the last one: an old telegram sent again.
    #[error("message counter {counter} was used before (last {last})")]
    Replay {
        /// Of this telegram.
        counter: u32,
        /// The highest accepted one.
        last: u32,
    },
    /// In clear, though this meter protects its telegrams: forged, damaged, or the wrong key was given.
    #[error("in clear, though a key is set")]
    InClear,
    /// Declared encrypted, said to be stored in clear, but it is not.
    #[error("security mode {0}: payload is not in clear")]
    NotPlain(Mode),
    /// A security mode without a recipe here.
    #[error("security mode {0} is not supported")]
    Security(Mode),
    /// A header field with a value that has no meaning.
    #[error("{0} has no meaning")]
    Value(&'static str),
    /// A part of a longer message: give it to the [`crate::Reassembler`].
    #[error("fragment {0} of a longer message")]
    Fragment(u8),
    /// A fragment that does not continue what was collected.
    #[error("fragment {0} does not follow")]
    FragmentOrder(u8),
    /// A compact frame whose format was never seen: wait for the full frame.
    #[error("compact frame of unknown format {0:04X}")]
    UnknownFormat(u16),
    /// A format whose values do not give the CRC of the full frame.
    #[error("compact frame: values do not fit format {0:04X}")]
    WrongFormat(u16),
    /// The meter says it cannot answer.
    #[error("meter reports an application error: {0}")]
    Application(&'static str),
}

/// How a telegram says that it is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Transport layer, EN 13757-7: number of the security mode.
    Tpl(u8),
    /// Extended link layer, EN 13757-4: AES-128 in counter mode.
    EllCtr,
    /// A manufacturer's own scheme.
    Manufacturer,
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tpl(mode) => write!(f, "{mode}"),
            Self::EllCtr => f.write_str("ELL-CTR"),
            Self::Manufacturer => f.write_str("manufacturer"),
        }
    }
}
