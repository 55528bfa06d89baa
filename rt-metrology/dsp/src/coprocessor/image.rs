//! Reception of a firmware image: in order, hashed on the way, staged behind the records in non-volatile memory.
//!
//! Whether a staged image may run is not decided here: the boot loader verifies its signature.

use metrology_link::payload::{ImageBlock, ReplyStatus};
use sha2::{Digest, Sha256};

use super::{Board, NV_BYTES};

/// A transfer in progress. It does not survive a reset: the next block is refused and offset 0 is asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Staging {
    id: u32,
    total: u32,
    next: u32,
    hash: Sha256,
}

/// How a block ended.
pub(super) struct Staged {
    pub status: ReplyStatus,
    /// SHA-256 of all bytes so far.
    pub hash: [u8; 32],
    /// Next wanted offset, or the room when the image is too large.
    pub detail: u32,
    pub complete: bool,
}

impl Staging {
    /// Takes one block.
    pub fn block<B: Board>(&mut self, board: &mut B, block: &ImageBlock) -> Staged {
        let room = board.nv_size().saturating_sub(NV_BYTES).min(u32::MAX as usize) as u32;
        if block.total > room {
            return self.refuse(ReplyStatus::TooLarge, room);
        }
        if block.offset == 0 {
            *self = Staging { id: block.id, total: block.total, ..Staging::default() };
        }
        let bytes = block.bytes();
        let expected = block.id == self.id && block.total == self.total && block.offset == self.next;
        if !expected {
            let wanted = if block.id == self.id { self.next } else { 0 };
            return self.refuse(ReplyStatus::OutOfOrder, wanted);
        }
        if bytes.is_empty() || bytes.len() as u32 > self.total - self.next {
            return self.refuse(ReplyStatus::Impossible, self.next);
        }
        board.nv_write(NV_BYTES + self.next as usize, bytes);
        self.hash.update(bytes);
        self.next += bytes.len() as u32;
        Staged {
            status: ReplyStatus::Done,
            hash: self.hash.clone().finalize().into(),
            detail: self.next,
            complete: self.next == self.total,
        }
    }

    fn refuse(&self, status: ReplyStatus, detail: u32) -> Staged {
        Staged { status, hash: [0; 32], detail, complete: false }
    }
}
