//! `register.ring`: the settled state of the meter, once a minute, in a preallocated file of 1024-byte slots.
//!
//! SQLite is committed when a row is born (every 15 minutes); the minutes between go here, about 1 kB each to the flash
//! (`O_DIRECT | O_DSYNC`), where a SQLite commit would cost ten times that.
//!
//! A state is longer than a slot, and most of it changes seldom. So it is cut into *pieces* at fixed places. The
//! first, with what changes every minute, stands in the *head* slot of each write; another piece is written only when it
//! has changed (or when its slot would be overwritten soon), before the head that names it. A slot is valid by its CRC
//! alone, a state by its head and by the pieces that the head names with number and CRC. Whatever a power cut tears, it
//! is the write it hit: the head of that write is not there, and the state before it is whole, for slots are used in turn
//! and no piece that it names is older than half a turn.
//!
//! Slot, little endian:
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | magic `MGRR` |
//! | 4..6 | u16 version = 2 |
//! | 6..8 | u16 length of the piece in this slot |
//! | 8..16 | u64 number of the slot write: grows by one |
//! | 16 | u8 place: 0 = head, n = piece n |
//! | 17 | u8 pieces besides the head (0 in a piece) |
//! | 18..24 | zeros |
//! | 24..32 | u64 generation: grows with every state (0 in a piece) |
//! | 32.. | head: per piece its number u64 and CRC-32 u32, 12 places |
//! | ..1020 | the piece (from 32; from 176 in a head), then zeros |
//! | 1020..1024 | CRC-32 over the 1020 bytes before |

use metrology_link::page::crc32;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Bytes of a slot.
pub const SLOT: usize = 1024;
/// Slots of a ring: 2 MiB, a day and a half of minutes.
pub const SLOTS: u64 = 2048;
/// Pieces besides the head's.
const PIECES: usize = 12;
/// Bytes of a payload in the head slot: what changes with every write belongs there.
pub const FIRST: usize = SLOT - HEAD - PIECES * REF - 4;
/// Bytes of a payload in each further slot.
const PIECE: usize = SLOT - HEAD - 4;
/// Longest payload.
pub const PAYLOAD_MAX: usize = FIRST + PIECES * PIECE;
/// Distance in slots between two successive writes. Odd, so all of the 2048 slots are used; 683 kB, so that two
/// successive states never share an erase region of 512 KiB or less.
const STRIDE: u64 = 683;
const HEAD: usize = 32;
/// Number and CRC of a piece, in the head.
const REF: usize = 12;
const MAGIC: [u8; 4] = *b"MGRR";
const VERSION: u16 = 2;
/// A piece older than this many slots is written again although it has not changed: half a turn.
const AGE_MAX: u64 = SLOTS / 2;

/// Whether a write is on the medium when [`RegisterRing::write`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Yes.
    Full,
    /// No: for simulations.
    Off,
}

/// A page-aligned slot: what `O_DIRECT` asks of the memory.
#[repr(align(4096))]
struct Aligned([u8; SLOT]);

/// The open file.
pub struct RegisterRing {
    path: PathBuf,
    file: OwnedFd,
    direct: bool,
    sync: Sync,
    buffer: Box<Aligned>,
    pieces: Pieces,
}

/// What the ring holds of the newest state: numbers and contents of its pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Pieces {
    /// Number of the next slot write.
    next: u64,
    /// Pieces besides the head's, each with the number of the slot that holds it.
    kept: Vec<(u64, Vec<u8>)>,
}

/// A state found in the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its generation.
    pub generation: u64,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl RegisterRing {
    /// Opens the ring, or makes one; finds the newest valid slot. A file of another size is kept aside and replaced,
    /// its newest state taken over. The last result says so in words.
    ///
    /// # Errors
    /// The file system's. A damaged content is none.
    pub fn open(path: &Path, sync: Sync) -> io::Result<(RegisterRing, Option<Found>, Option<String>)> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => Some(bytes),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        let (found, mut pieces) = match bytes.as_deref().and_then(newest) {
            Some((found, pieces)) => (Some(found), pieces),
            None => (None, Pieces::default()),
        };
        let notice = match &bytes {
            Some(bytes) if bytes.len() as u64 == SLOTS * SLOT as u64 => None,
            Some(bytes) => {
                let aside = free_name(path)?;
                std::fs::rename(path, &aside)?;
                pieces = create(path, found.as_ref())?;
                Some(format!(
                    "the register ring had {} bytes, is kept as {}, and a new one was made",
                    bytes.len(),
                    aside.display()
                ))
            }
            None => {
                create(path, None)?;
                None
            }
        };
        let (file, direct) = open_file(path, sync, sync == Sync::Full)?;
        let ring =
            RegisterRing { path: path.to_owned(), file, direct, sync, buffer: Box::new(Aligned([0; SLOT])), pieces };
        Ok((ring, found, notice))
    }

    /// Reads the newest valid state of a ring without touching it; `None` when there is no file or no valid slot.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn peek(path: &Path) -> io::Result<Option<Found>> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(newest(&bytes).map(|(found, _)| found)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Writes one state. With [`Sync::Full`] it survives a power cut once this returns.
    ///
    /// # Errors
    /// The medium failed, or the payload is longer than [`PAYLOAD_MAX`]. The ring holds the state before, then.
    pub fn write(&mut self, generation: u64, payload: &[u8]) -> io::Result<()> {
        let (slots, pieces) = self.pieces.plan(generation, payload)?;
        for (number, slot) in &slots {
            self.buffer.0 = *slot;
            self.write_slot(offset(*number))?;
        }
        self.pieces = pieces;
        Ok(())
    }

    /// Writes the buffer. Slots reach the medium in the order of the calls.
    fn write_slot(&mut self, at: u64) -> io::Result<()> {
        match rustix::io::pwrite(&self.file, &self.buffer.0, at) {
            Err(Errno::INVAL) if self.direct => {
                // The device has blocks larger than a slot: without O_DIRECT the page cache does the rest.
                log::info!("{}: no direct writes of {SLOT} bytes here; using the page cache", self.path.display());
                (self.file, self.direct) = open_file(&self.path, self.sync, false)?;
                complete(rustix::io::pwrite(&self.file, &self.buffer.0, at)?)
            }
            written => complete(written?),
        }
    }

    /// Whether writes bypass the page cache.
    pub fn is_direct(&self) -> bool {
        self.direct
    }
}

fn complete(written: usize) -> io::Result<()> {
    if written == SLOT { Ok(()) } else { Err(io::Error::other(format!("only {written} of {SLOT} bytes written"))) }
}

/// Opens for writing, directly if wanted and possible.
fn open_file(path: &Path, sync: Sync, direct: bool) -> io::Result<(OwnedFd, bool)> {
    let mut flags = OFlags::WRONLY | OFlags::CLOEXEC;
    if sync == Sync::Full {
        flags |= OFlags::DSYNC;
    }
    if direct {
        match rustix::fs::open(path, flags | OFlags::DIRECT, Mode::empty()) {
            Ok(file) => return Ok((file, true)),
            // The file system knows no O_DIRECT.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok((rustix::fs::open(path, flags, Mode::empty())?, false))
}

/// Real zeros, not a hole: later writes then change no file metadata. Complete before it gets its name.
fn create(path: &Path, keep: Option<&Found>) -> io::Result<Pieces> {
    let mut bytes = vec![0u8; (SLOTS as usize) * SLOT];
    let mut pieces = Pieces::default();
    if let Some(found) = keep {
        let (slots, kept) = pieces.plan(found.generation, &found.payload)?;
        for (number, slot) in &slots {
            let at = offset(*number) as usize;
            bytes[at..at + SLOT].copy_from_slice(slot);
        }
        pieces = kept;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut file = File::create(&new)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok(pieces)
}

fn free_name(path: &Path) -> io::Result<PathBuf> {
    for n in 1..1000 {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".aside-{n}"));
        let name = PathBuf::from(name);
        if !name.try_exists()? {
            return Ok(name);
        }
    }
    Err(io::Error::other("999 old rings beside it: remove some"))
}

/// Cuts a payload at the places at which it is stored in pieces.
pub fn pieces(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (first, rest) = payload.split_at(payload.len().min(FIRST));
    std::iter::once(first).chain(rest.chunks(PIECE))
}

fn offset(number: u64) -> u64 {
    (number % SLOTS) * STRIDE % SLOTS * SLOT as u64
}

/// A slot with its number.
type Numbered = (u64, [u8; SLOT]);

impl Pieces {
    /// The slots to write for a state, in order, with their numbers; and what the ring holds after the last of them.
    fn plan(&self, generation: u64, payload: &[u8]) -> io::Result<(Vec<Numbered>, Pieces)> {
        if payload.len() > PAYLOAD_MAX {
            return Err(io::Error::other(format!("{} bytes do not fit into the ring", payload.len())));
        }
        let mut all = pieces(payload);
        let first = all.next().unwrap_or_default();
        let mut slots = Vec::new();
        let mut after = Pieces { next: self.next, kept: Vec::new() };
        for (n, piece) in all.enumerate() {
            let known = self.kept.get(n).filter(|(number, kept)| kept == piece && self.next - number < AGE_MAX);
            let number = match known {
                Some((number, _)) => *number,
                None => {
                    slots.push((after.next, slot(after.next, n as u8 + 1, 0, &[], piece)));
                    after.next += 1;
                    after.next - 1
                }
            };
            after.kept.push((number, piece.to_vec()));
        }
        slots.push((after.next, slot(after.next, 0, generation, &after.kept, first)));
        after.next += 1;
        Ok((slots, after))
    }
}

fn slot(number: u64, place: u8, generation: u64, refs: &[(u64, Vec<u8>)], piece: &[u8]) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    slot[..4].copy_from_slice(&MAGIC);
    slot[4..6].copy_from_slice(&VERSION.to_le_bytes());
    slot[6..8].copy_from_slice(&(piece.len() as u16).to_le_bytes());
    slot[8..16].copy_from_slice(&number.to_le_bytes());
    slot[16..18].copy_from_slice(&[place, refs.len() as u8]);
    slot[24..32].copy_from_slice(&generation.to_le_bytes());
    for (place, (number, piece)) in slot[HEAD..].chunks_exact_mut(REF).zip(refs) {
        place[..8].copy_from_slice(&number.to_le_bytes());
        place[8..].copy_from_slice(&crc32(piece).to_le_bytes());
    }
    let begin = if place == 0 { HEAD + PIECES * REF } else { HEAD };
    slot[begin..begin + piece.len()].copy_from_slice(piece);
    let crc = crc32(&slot[..SLOT - 4]);
    slot[SLOT - 4..].copy_from_slice(&crc.to_le_bytes());
    slot
}

/// A valid slot.
struct Slot<'a> {
    number: u64,
    place: u8,
    generation: u64,
    /// Number and CRC of each piece (head).
    refs: Vec<(u64, u32)>,
    piece: &'a [u8],
}

/// The newest whole state of a file of any length, and where its pieces are.
fn newest(bytes: &[u8]) -> Option<(Found, Pieces)> {
    let slots: Vec<Slot> = bytes.chunks_exact(SLOT).filter_map(decode).collect();
    let mut heads: Vec<&Slot> = slots.iter().filter(|s| s.place == 0).collect();
    heads.sort_unstable_by_key(|s| std::cmp::Reverse((s.generation, s.number)));
    heads.into_iter().find_map(|head| {
        let mut payload = head.piece.to_vec();
        let mut kept = Vec::new();
        for (n, (number, crc)) in head.refs.iter().enumerate() {
            let held = |s: &&Slot| s.number == *number && usize::from(s.place) == n + 1 && crc32(s.piece) == *crc;
            let piece = slots.iter().find(held)?.piece;
            payload.extend_from_slice(piece);
            kept.push((*number, piece.to_vec()));
        }
        // Slots of a write that never got its head are used again: no number of cuts brings them near this state.
        let pieces = Pieces { next: head.number.saturating_add(1), kept };
        Some((Found { generation: head.generation, payload }, pieces))
    })
}

fn decode(slot: &[u8]) -> Option<Slot<'_>> {
    let slot: &[u8; SLOT] = slot.try_into().ok()?;
    if slot[..4] != MAGIC || slot[4..6] != VERSION.to_le_bytes() {
        return None;
    }
    let [.., a, b, c, d] = *slot;
    let u64_at = |at: usize| slot[at..at + 8].iter().rev().fold(0, |sum, b| sum << 8 | u64::from(*b));
    let (place, count) = (slot[16], usize::from(slot[17]));
    let begin = if place == 0 { HEAD + PIECES * REF } else { HEAD };
    let length = usize::from(u16::from_le_bytes([slot[6], slot[7]]));
    let whole =
        count <= PIECES && begin + length <= SLOT - 4 && crc32(&slot[..SLOT - 4]) == u32::from_le_bytes([a, b, c, d]);
    whole.then(|| Slot {
        number: u64_at(8),
        place,
        generation: u64_at(24),
        // The CRC is the upper half of the last eight bytes.
        refs: (0..count).map(|n| HEAD + n * REF).map(|at| (u64_at(at), (u64_at(at + 4) >> 32) as u32)).collect(),
        piece: &slot[begin..begin + length],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A state of the meter's length: the first part changes every time, another now and then, the rest never.
    fn payload(generation: u64) -> Vec<u8> {
        let fast = (0..FIRST as u64).map(|n| (generation.wrapping_mul(31).wrapping_add(n) % 251) as u8);
        let slow = (0..1500u64).map(|n| ((generation / 15).wrapping_mul(17).wrapping_add(n) % 251) as u8);
        fast.chain(slow).chain((0..3000u64).map(|n| (n % 241) as u8)).collect()
    }

    fn open(path: &Path) -> (RegisterRing, Option<Found>) {
        let (ring, found, notice) = RegisterRing::open(path, Sync::Full).unwrap();
        assert_eq!(notice, None);
        (ring, found)
    }

    #[test]
    fn the_newest_state_comes_back_over_whole_turns() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("register.ring");
        let (mut ring, found) = open(&path);
        assert_eq!(found, None);
        let length = std::fs::metadata(&path).unwrap().len();
        assert_eq!(length, 2 << 20);
        for generation in 1..=2 * SLOTS + 100 {
            ring.write(generation, &payload(generation)).unwrap();
            if generation % 500 == 1 || generation > 2 * SLOTS + 98 {
                let found = RegisterRing::peek(&path).unwrap().unwrap();
                assert_eq!(found, Found { generation, payload: payload(generation) });
                // And the writer that starts from it goes on as this one would.
                let pieces = ring.pieces.clone();
                ring = open(&path).0;
                assert_eq!(ring.pieces, pieces);
            }
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), length);
        assert_eq!(open(&path).1.unwrap().generation, 2 * SLOTS + 100);
    }

    #[test]
    fn every_slot_is_used_and_neighbours_in_time_are_far_apart() {
        let offsets: std::collections::HashSet<u64> = (0..SLOTS).map(offset).collect();
        assert_eq!(offsets.len() as u64, SLOTS);
        for number in 0..SLOTS {
            assert!(offset(number).abs_diff(offset(number + 1)) >= 512 << 10);
        }
    }

    /// What a minute costs: one slot when nothing but the first piece changed.
    #[test]
    fn what_has_not_changed_is_not_written_again_until_it_grows_old() {
        let mut pieces = Pieces::default();
        let mut written = Vec::new();
        for generation in 15..15 + 1440 {
            let (slots, after) = pieces.plan(generation, &payload(generation)).unwrap();
            assert!(after.kept.iter().all(|(number, _)| after.next - number <= AGE_MAX + PIECES as u64));
            written.push(slots.len());
            pieces = after;
        }
        // 5 pieces at first; then two of them each 15 minutes; the other three once more in a day.
        assert_eq!(written[..3], [6, 1, 1]);
        let day: usize = written.iter().sum();
        assert_eq!(day, 1440 + 5 + 95 * 2 + 3);
    }

    /// A write torn at any byte of any of its slots, over an empty slot and over an old state: the state before it is
    /// found, whole, until the last byte of the head is there. The next write after that cut is good too.
    #[test]
    fn a_write_torn_at_any_byte_leaves_the_state_before() {
        for base in [30, 3 * SLOTS + 30] {
            let mut bytes = vec![0; SLOTS as usize * SLOT];
            let mut pieces = Pieces { next: base, kept: Vec::new() };
            let apply = |bytes: &mut Vec<u8>, slots: &[(u64, [u8; SLOT])]| {
                for (number, slot) in slots {
                    let at = offset(*number) as usize;
                    bytes[at..at + SLOT].copy_from_slice(slot);
                }
            };
            if base > SLOTS {
                // Old states in all places of the victim.
                let mut old = Pieces { next: base - SLOTS, kept: Vec::new() };
                for generation in base - SLOTS..base - SLOTS + 40 {
                    let (slots, after) = old.plan(generation, &payload(generation)).unwrap();
                    apply(&mut bytes, &slots);
                    old = after;
                }
            }
            for generation in base - 5..base {
                let (slots, after) = pieces.plan(generation, &payload(generation)).unwrap();
                apply(&mut bytes, &slots);
                pieces = after;
            }
            let before = Found { generation: base - 1, payload: payload(base - 1) };
            // The victim changes every piece.
            let victim: Vec<u8> = payload(base).iter().map(|b| b ^ 0x55).collect();
            let (slots, after) = pieces.plan(base, &victim).unwrap();
            assert_eq!(slots.len(), 6);
            for (number, new) in &slots {
                let at = offset(*number) as usize;
                let old = bytes[at..at + SLOT].to_vec();
                for cut in 0..SLOT {
                    bytes[at..at + cut].copy_from_slice(&new[..cut]);
                    if cut % 64 == 0 {
                        let (found, found_pieces) = newest(&bytes).unwrap();
                        assert_eq!((found, &found_pieces), (before.clone(), &pieces), "slot {number} cut at {cut}");
                    }
                    // The other half first.
                    let kept = bytes[at..at + SLOT].to_vec();
                    bytes[at..at + cut].copy_from_slice(&old[..cut]);
                    bytes[at + cut..at + SLOT].copy_from_slice(&new[cut..]);
                    // What begins as the old slot did may be whole.
                    if bytes[at..at + SLOT] != new[..] {
                        assert_eq!(newest(&bytes).unwrap().0.generation, base - 1, "slot {number} begins at {cut}");
                    }
                    bytes[at..at + SLOT].copy_from_slice(&kept);
                }
                assert_eq!(newest(&bytes).unwrap().0, before, "one byte is missing in slot {number}");
                bytes[at..at + SLOT].copy_from_slice(new);
            }
            assert_eq!(newest(&bytes).unwrap(), (Found { generation: base, payload: victim }, after));
        }
    }

    /// A head whose piece was damaged later is skipped as a whole.
    #[test]
    fn a_damaged_piece_takes_its_states_with_it() {
        let mut bytes = vec![0; SLOTS as usize * SLOT];
        let mut pieces = Pieces::default();
        let mut at_15 = 0;
        for generation in 1..=20 {
            let (slots, after) = pieces.plan(generation, &payload(generation)).unwrap();
            for (number, slot) in &slots {
                let at = offset(*number) as usize;
                bytes[at..at + SLOT].copy_from_slice(slot);
            }
            if generation == 15 {
                at_15 = offset(slots[0].0) as usize;
            }
            pieces = after;
        }
        bytes[at_15 + 100] ^= 1;
        assert_eq!(newest(&bytes).unwrap().0, Found { generation: 14, payload: payload(14) });
    }

    #[test]
    fn a_ring_of_another_size_is_kept_aside_and_its_state_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("register.ring");
        open(&path).0.write(7, &payload(7)).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 10);
        std::fs::write(&path, &bytes).unwrap();
        let (mut ring, found, notice) = RegisterRing::open(&path, Sync::Full).unwrap();
        assert_eq!(found.unwrap().generation, 7);
        assert!(notice.unwrap().contains("register.ring.aside-1"));
        assert_eq!(std::fs::read(dir.path().join("register.ring.aside-1")).unwrap(), bytes);
        assert_eq!(open(&path).1.unwrap(), Found { generation: 7, payload: payload(7) });
        ring.write(8, &payload(8)).unwrap();
        assert_eq!(open(&path).1.unwrap(), Found { generation: 8, payload: payload(8) });
    }

    #[test]
    fn garbage_holds_no_state_and_a_long_payload_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("register.ring");
        std::fs::write(&path, vec![0x5a; 2 << 20]).unwrap();
        let (mut ring, found) = open(&path);
        assert_eq!(found, None);
        assert!(ring.write(1, &[0; PAYLOAD_MAX + 1]).is_err());
        ring.write(1, &[1; PAYLOAD_MAX]).unwrap();
        assert_eq!(open(&path).1.unwrap().payload, [1; PAYLOAD_MAX]);
        for length in [0, 1, FIRST, FIRST + 1, FIRST + PIECE, FIRST + PIECE + 1] {
            ring.write(2 + length as u64, &vec![3; length]).unwrap();
            assert_eq!(open(&path).1.unwrap().payload, vec![3; length]);
        }
    }
}
