//! Commands down and replies up. One command is in flight; the coprocessor carries each number out once.

use super::{Grid, LedMode, MeterConfig, SignedCalibration};

/// Hash chains whose heads the coprocessor keeps.
pub const CHAIN_LOGS: usize = 16;
/// Largest piece of an image in one command, bytes. 996 bytes of payload less control, command head and block head
/// leave 929; 512 is the flash page of the boards.
pub const IMAGE_BLOCK: usize = 512;
/// Frames kept for the display while only the supply back-up feeds the meter (slots 1 to 8).
pub const LCD_BACKUP_FRAMES: u8 = 8;

/// On whose word a sealed parameter is written. registerd decides; the coprocessor keeps it out of reach of mistakes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Authority {
    /// The seal is intact: sealed parameters are refused.
    #[default]
    Sealed = 0,
    /// The seal is open, or the meter is in the factory.
    SealOpen = 1,
}

/// What to do with the breaker. It is bistable: `Keep` leaves it alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum BreakerDrive {
    /// No operation.
    #[default]
    Keep = 0,
    /// Open (always allowed, 5 s after the last operation).
    Open = 1,
    /// Close (needs a live permit, 5 s after the last operation).
    Close = 2,
}

/// Outputs to drive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// Breaker operation.
    pub breaker: BreakerDrive,
    /// Levels of load relay 1 (bit 0) and 2 (bit 1); kept until changed.
    pub relays: u8,
    /// Light of the display.
    pub backlight: bool,
}

/// Head of one hash chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainHead {
    /// Number of the log, below [`CHAIN_LOGS`].
    pub log: u8,
    /// Sequence number of its newest row; 0 = none stored.
    pub seq: u64,
    /// Hash of that row.
    pub head: [u8; 32],
}

/// All heads, by log number.
pub type Heads = [ChainHead; CHAIN_LOGS];

/// What the display shows: characters and symbols, no pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LcdFrame {
    /// 0 = show now; 1 to [`LCD_BACKUP_FRAMES`] = keep for the supply back-up list. A blank frame ends the list.
    pub slot: u8,
    /// Value as ASCII, right aligned, with its point; blank = space.
    pub value: [u8; 12],
    /// Unit as ASCII.
    pub unit: [u8; 8],
    /// Identification (OBIS) as ASCII.
    pub identification: [u8; 8],
    /// Free text as ASCII.
    pub text: [u8; 16],
    /// Symbols, a bit each. Their meaning is registerd's.
    pub symbols: u64,
}

/// A piece of a firmware image. Pieces come in order, without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageBlock {
    /// Number of the transfer. A block with another number and offset 0 begins anew.
    pub id: u32,
    /// Size of the whole image, bytes.
    pub total: u32,
    /// Where this piece belongs.
    pub offset: u32,
    /// Bytes of `data` that count.
    pub len: u16,
    /// The piece; bytes from `len` on are zero.
    pub data: [u8; IMAGE_BLOCK],
}

impl ImageBlock {
    /// The bytes that count.
    pub fn bytes(&self) -> &[u8] {
        self.data.get(..usize::from(self.len)).unwrap_or(&self.data)
    }
}

/// Host to coprocessor.
// No allocator, so the image block cannot be boxed; one command is in memory per queue slot.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Program meter time. Refused when it does not exist (rate off by more than 1 % from nominal).
    SetGrid(Grid),
    /// Write the sealed configuration. The reply echoes the hash of configuration and calibration in force.
    WriteConfig(MeterConfig, Authority),
    /// Write the calibration. Echo as for the configuration.
    WriteCalibration(SignedCalibration, Authority),
    /// Drive outputs.
    SetOutputs(Outputs),
    /// Keep the head of a chain.
    StoreHead(ChainHead),
    /// Send all heads as a page of class heads.
    ReadHeads,
    /// Show or keep a display frame.
    Lcd(LcdFrame),
    /// Send these streams (bit per `StreamKind`) and no others, each numbered from 0 again.
    Subscribe {
        /// Bit `1 << kind`.
        mask: u8,
    },
    /// A piece of an image. `detail` of the reply = next wanted offset; `hash` = SHA-256 of all bytes so far.
    Image(ImageBlock),
    /// Restart after the reply has been sent.
    Reset {
        /// Keep the memory that is not initialised.
        warm: bool,
    },
    /// What the light and S0 follow from now on, until the next command or start. No counter knows of it.
    Verify(LedMode),
}

impl Command {
    /// Number of the kind, as on the wire.
    pub fn kind(&self) -> u8 {
        match self {
            Command::SetGrid(_) => 1,
            Command::WriteConfig(..) => 2,
            Command::WriteCalibration(..) => 3,
            Command::SetOutputs(_) => 4,
            Command::StoreHead(_) => 5,
            Command::ReadHeads => 6,
            Command::Lcd(_) => 7,
            Command::Subscribe { .. } => 8,
            Command::Image(_) => 9,
            Command::Reset { .. } => 10,
            Command::Verify(_) => 11,
        }
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum ReplyStatus {
    /// Carried out.
    #[default]
    Done = 0,
    /// A value is impossible; `detail` is the reason (`Impossible` for configuration and calibration).
    Impossible = 1,
    /// The bytes of the command do not decode. Host's fault.
    Malformed = 2,
    /// The transaction's own CRC-32 is wrong. Host's fault (its memory).
    BadCrc = 3,
    /// A sealed parameter without authority.
    NotAuthorised = 4,
    /// The breaker may operate again in `detail` milliseconds.
    TooSoon = 5,
    /// No live permit to close the breaker.
    NoPermit = 6,
    /// This hardware does not have the part.
    NotFitted = 7,
    /// Image block out of order; `detail` is the wanted offset.
    OutOfOrder = 8,
    /// The image does not fit; `detail` is the room in bytes.
    TooLarge = 9,
    /// The number is neither the next nor the last one; nothing was done and `detail` is the last number. The host
    /// end numbers anew and does not show this to its caller.
    Stale = 10,
}

/// Coprocessor to host: the end of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Which command.
    pub cmd_id: u32,
    /// How it ended.
    pub status: ReplyStatus,
    /// SHA-256 of what is now in force, where it applies; else zero.
    pub hash: [u8; 32],
    /// Meaning by status and command.
    pub detail: u32,
}
