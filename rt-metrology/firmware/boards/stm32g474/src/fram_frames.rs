//! Commands of a serial FRAM (or MRAM with the same commands) of 1 MB.
//!
//! Such a memory takes writes of any length. They are cut at blocks all the same, so that parts with pages do as well, and
//! so that a loss of power that cuts the select line short leaves one block unfinished. Each write must be enabled anew.

/// Bytes of the memory.
pub const SIZE: usize = 1 << 20;
/// Bytes that are written with one command; writes do not cross its multiples.
pub const BLOCK: usize = 256;

/// The command that must come before each write, in a frame of its own.
pub const WRITE_ENABLE: [u8; 1] = [0x06];
const READ: u8 = 0x03;
const WRITE: u8 = 0x02;

/// Head of a read from address `at`; data follow until the select line rises.
pub fn read(at: usize) -> [u8; 4] {
    head(READ, at)
}

/// Pieces of a write: where each goes, its head, its bytes. What lies outside of the memory is left out.
pub fn writes(at: usize, bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = inside(at, bytes.len()).and_then(|n| bytes.get(..n)).unwrap_or(&[]);
    let mut at = at;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, tail) = rest.split_at(rest.len().min(BLOCK - at % BLOCK));
        let head = head(WRITE, at);
        at += piece.len();
        rest = tail;
        Some((head, piece))
    })
}

/// How many of `length` bytes from `at` on the memory has; `None` when none.
pub fn inside(at: usize, length: usize) -> Option<usize> {
    SIZE.checked_sub(at).filter(|room| *room > 0).map(|room| room.min(length))
}

fn head(command: u8, at: usize) -> [u8; 4] {
    let [_, a, b, c] = (at as u32).to_be_bytes();
    [command, a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrology_dsp::coprocessor::NV_BYTES;
    use std::{vec, vec::Vec};

    /// A memory that obeys: it takes a write when it was enabled, and disables it afterwards.
    struct Part {
        bytes: Vec<u8>,
        enabled: bool,
    }

    impl Part {
        fn frame(&mut self, frame: &[u8]) {
            match frame {
                [0x06] => self.enabled = true,
                [0x02, a, b, c, data @ ..] if core::mem::take(&mut self.enabled) => {
                    let at = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
                    for (k, byte) in data.iter().enumerate() {
                        // A part with pages wraps in them.
                        self.bytes[at / BLOCK * BLOCK + (at + k) % BLOCK] = *byte;
                    }
                }
                _ => {}
            }
        }
    }

    fn write(part: &mut Part, at: usize, bytes: &[u8], enable: bool) {
        for (head, piece) in writes(at, bytes) {
            if enable {
                part.frame(&WRITE_ENABLE);
            }
            part.frame(&[&head[..], piece].concat());
        }
    }

    #[test]
    fn writes_arrive_across_blocks() {
        let bytes: Vec<u8> = (0..1024_u32).map(|k| (k * 7 % 251) as u8).collect();
        for at in [0, 1, 255, 256, 0x0F_FBFE, 0x01_0080] {
            let mut part = Part { bytes: vec![0xAA; SIZE], enabled: false };
            write(&mut part, at, &bytes, true);
            let end = (at + bytes.len()).min(SIZE);
            assert_eq!(part.bytes[at..end], bytes[..end - at], "{at}");
            assert!(part.bytes[..at].iter().chain(&part.bytes[end..]).all(|b| *b == 0xAA), "{at}");
        }
    }

    #[test]
    fn a_write_that_is_not_enabled_is_none() {
        let mut part = Part { bytes: vec![0xAA; SIZE], enabled: false };
        write(&mut part, 0, &[1, 2, 3], false);
        assert!(part.bytes.iter().all(|b| *b == 0xAA));
    }

    #[test]
    fn nothing_outside_is_written_or_read() {
        assert_eq!(writes(SIZE, &[1]).count(), 0);
        assert_eq!(writes(usize::MAX, &[1]).count(), 0);
        assert_eq!(writes(SIZE - 1, &[1, 2]).map(|(_, piece)| piece.len()).sum::<usize>(), 1);
        assert_eq!((inside(SIZE - 1, 5), inside(SIZE, 5)), (Some(1), None));
        assert_eq!(read(0x01_2345), [0x03, 0x01, 0x23, 0x45]);
    }

    #[test]
    fn all_records_and_an_image_of_all_flash_have_room() {
        const { assert!(SIZE >= NV_BYTES + 512 * 1024) };
    }
}
