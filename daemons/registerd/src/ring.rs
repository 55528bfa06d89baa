//! `register.ring`: the settled state of the meter, once a minute, in a preallocated file of 1024-byte slots.
//!
//! SQLite is committed when a row is born (every 15 minutes); the minutes between go here, about 1 kB each to the flash
//! (`O_DIRECT | O_DSYNC`), where a SQLite commit would cost ten times that. A slot is valid by its CRC alone: a torn
//! one is skipped and the newest valid one wins, so a power cut costs at most the write it hit.
//!
//! Slot, little endian:
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | magic `MGRR` |
//! | 4..6 | u16 version = 1 |
//! | 6..8 | u16 length of the payload |
//! | 8..16 | u64 generation: grows with every write |
//! | 16..1020 | payload, then zeros |
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
/// Payload that fits into a slot.
pub const PAYLOAD_MAX: usize = SLOT - HEAD - 4;
/// Distance in slots between two successive writes. Odd, so all of the 2048 slots are used; 683 kB, so that two
/// successive states never share an erase region of 512 KiB or less.
const STRIDE: u64 = 683;
const HEAD: usize = 16;
const MAGIC: [u8; 4] = *b"MGRR";
const VERSION: u16 = 1;

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
        let found = bytes.as_deref().and_then(newest);
        let notice = match &bytes {
            Some(bytes) if bytes.len() as u64 == SLOTS * SLOT as u64 => None,
            Some(bytes) => {
                let aside = free_name(path)?;
                std::fs::rename(path, &aside)?;
                create(path, found.as_ref())?;
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
        let ring = RegisterRing { path: path.to_owned(), file, direct, sync, buffer: Box::new(Aligned([0; SLOT])) };
        Ok((ring, found, notice))
    }

    /// Reads the newest valid state of a ring without touching it; `None` when there is no file or no valid slot.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn peek(path: &Path) -> io::Result<Option<Found>> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(newest(&bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Writes one state. With [`Sync::Full`] it survives a power cut once this returns.
    ///
    /// # Errors
    /// The medium failed, or the payload is longer than [`PAYLOAD_MAX`].
    pub fn write(&mut self, generation: u64, payload: &[u8]) -> io::Result<()> {
        encode(generation, payload, &mut self.buffer.0)?;
        let at = offset(generation);
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
fn create(path: &Path, keep: Option<&Found>) -> io::Result<()> {
    let mut bytes = vec![0u8; (SLOTS as usize) * SLOT];
    if let Some(found) = keep {
        let at = offset(found.generation) as usize;
        if let Some(slot) = bytes.get_mut(at..at + SLOT).and_then(|s| <&mut [u8; SLOT]>::try_from(s).ok()) {
            encode(found.generation, &found.payload, slot)?;
        }
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut file = File::create(&new)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
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

fn offset(generation: u64) -> u64 {
    (generation % SLOTS) * STRIDE % SLOTS * SLOT as u64
}

fn encode(generation: u64, payload: &[u8], slot: &mut [u8; SLOT]) -> io::Result<()> {
    if payload.len() > PAYLOAD_MAX {
        return Err(io::Error::other(format!("{} bytes do not fit into a slot", payload.len())));
    }
    slot.fill(0);
    slot[..4].copy_from_slice(&MAGIC);
    slot[4..6].copy_from_slice(&VERSION.to_le_bytes());
    slot[6..8].copy_from_slice(&(payload.len() as u16).to_le_bytes());
    slot[8..16].copy_from_slice(&generation.to_le_bytes());
    slot[HEAD..HEAD + payload.len()].copy_from_slice(payload);
    let crc = crc32(&slot[..SLOT - 4]);
    slot[SLOT - 4..].copy_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// The newest valid slot of a file of any length.
fn newest(bytes: &[u8]) -> Option<Found> {
    bytes.chunks_exact(SLOT).filter_map(decode).max_by_key(|found| found.generation)
}

fn decode(slot: &[u8]) -> Option<Found> {
    let slot: &[u8; SLOT] = slot.try_into().ok()?;
    let length = usize::from(u16::from_le_bytes([slot[6], slot[7]]));
    let [.., a, b, c, d] = *slot;
    let whole = slot[..4] == MAGIC
        && slot[4..6] == VERSION.to_le_bytes()
        && length <= PAYLOAD_MAX
        && crc32(&slot[..SLOT - 4]) == u32::from_le_bytes([a, b, c, d]);
    let generation = slot[8..16].iter().rev().fold(0, |sum, b| sum << 8 | u64::from(*b));
    whole.then(|| Found { generation, payload: slot[HEAD..HEAD + length].to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    fn payload(generation: u64) -> Vec<u8> {
        (0..955).map(|n| (generation.wrapping_mul(31).wrapping_add(n) % 251) as u8).collect()
    }

    fn open(path: &Path) -> (RegisterRing, Option<Found>) {
        let (ring, found, notice) = RegisterRing::open(path, Sync::Full).unwrap();
        assert_eq!(notice, None);
        (ring, found)
    }

    #[test]
    fn the_newest_state_comes_back_over_a_whole_turn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("register.ring");
        let (mut ring, found) = open(&path);
        assert_eq!(found, None);
        let length = std::fs::metadata(&path).unwrap().len();
        assert_eq!(length, 2 << 20);
        for generation in 1..=SLOTS + 100 {
            ring.write(generation, &payload(generation)).unwrap();
            if generation % 500 == 1 || generation > SLOTS + 98 {
                let found = RegisterRing::peek(&path).unwrap().unwrap();
                assert_eq!(found, Found { generation, payload: payload(generation) });
            }
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), length);
        assert_eq!(open(&path).1.unwrap().generation, SLOTS + 100);
    }

    #[test]
    fn every_slot_is_used_and_neighbours_in_time_are_far_apart() {
        let offsets: std::collections::HashSet<u64> = (0..SLOTS).map(offset).collect();
        assert_eq!(offsets.len() as u64, SLOTS);
        for generation in 0..SLOTS {
            assert!(offset(generation).abs_diff(offset(generation + 1)) >= 512 << 10);
        }
    }

    /// A write torn at any 64-byte border, over an empty slot and over an old state, never wins and never hides the
    /// state before it.
    #[test]
    fn a_torn_slot_is_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("register.ring");
        for base in [5, SLOTS + 5] {
            let (mut ring, _) = open(&path);
            for generation in base - 5..base {
                ring.write(generation, &payload(generation)).unwrap();
            }
            // The victim's slot as it was, and as it would have become.
            let file = File::options().read(true).write(true).open(&path).unwrap();
            let mut old = [0; SLOT];
            file.read_exact_at(&mut old, offset(base)).unwrap();
            let mut new = [0; SLOT];
            encode(base, &payload(base), &mut new).unwrap();
            for cut in (64..SLOT).step_by(64) {
                for torn in [[&new[..cut], &old[cut..]].concat(), [&old[..cut], &new[cut..]].concat()] {
                    file.write_all_at(&torn, offset(base)).unwrap();
                    let found = open(&path).1.unwrap();
                    assert_eq!((found.generation, found.payload), (base - 1, payload(base - 1)), "cut at {cut}");
                }
            }
            file.write_all_at(&new, offset(base)).unwrap();
            assert_eq!(open(&path).1.unwrap().generation, base);
        }
    }

    #[test]
    fn a_ring_of_another_size_is_kept_aside_and_its_state_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("register.ring");
        open(&path).0.write(7, &payload(7)).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 10);
        std::fs::write(&path, &bytes).unwrap();
        let (_, found, notice) = RegisterRing::open(&path, Sync::Full).unwrap();
        assert_eq!(found.unwrap().generation, 7);
        assert!(notice.unwrap().contains("register.ring.aside-1"));
        assert_eq!(std::fs::read(dir.path().join("register.ring.aside-1")).unwrap(), bytes);
        assert_eq!(open(&path).1.unwrap().generation, 7);
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
    }
}
