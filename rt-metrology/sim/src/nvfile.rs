//! Non-volatile memory in a file, and the real-time clock's battery.
//!
//! The file is `[world page | coprocessor memory]`. Every write is one `pwrite`, so what was written survives a
//! `kill -9` at any moment (the page cache is the kernel's); it is not synced, since a virtual coprocessor need not
//! survive a crash of the machine. The world page keeps what surrounds the coprocessor: the clock's anchor, the breaker's
//! position, the true energy. It has a CRC; an unreadable one is like an empty battery: time invalid, truth begins anew.
//!
//! The clock runs on while the process is down, on `CLOCK_BOOTTIME`, which no one can set: moving the system clock by
//! years changes nothing. Only after a reboot of the machine (another boot id) does the wall clock bridge the gap.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use metrology_link::page::crc32;
use metrology_link::payload::ClockQuality;
use rustix::fs::FlockOperation;
use rustix::time::{ClockId, clock_gettime};

use crate::truth::Truth;

/// Size of the world page: one page of the page cache, so that a write of it is never half done by a killed process.
const WORLD_PAGE: usize = 4096;
const MAGIC: &[u8; 8] = b"MGNV\x00\x01\r\n";

/// Why the memory file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NvError {
    /// The file cannot be opened, sized or locked: permissions, disk full.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// Another process uses it.
    #[error("{0}: in use by another process")]
    Busy(String),
    /// The file is something else; it is left untouched.
    #[error("{0}: not a memory file of a virtual coprocessor; it is left as it is")]
    Foreign(String),
}

/// What the world page keeps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorldRecord {
    /// True UTC of the simulated world, µs.
    pub utc_us: i64,
    /// UTC at which the world began, µs: scenario times count from here.
    pub origin_us: i64,
    /// The real-time clock minus true UTC, µs.
    pub rtc_offset_us: i64,
    /// Its quality.
    pub rtc_quality: ClockQuality,
    /// Breaker contact.
    pub breaker_closed: bool,
    /// The true energy.
    pub truth: Truth,
}

/// Memory in a file or, for tests in one process, in RAM only.
#[derive(Debug)]
pub struct NvMemory {
    file: Option<File>,
    memory: Vec<u8>,
    boot: u64,
    /// The last failed write, told once by [`NvMemory::take_error`].
    error: Option<io::Error>,
}

fn micros(clock: ClockId) -> i64 {
    let t = clock_gettime(clock);
    t.tv_sec * 1_000_000 + t.tv_nsec / 1000
}

/// The machine's wall clock, µs since 1970. Only the virtual battery and a world without a stated start look at it.
pub fn wall_us() -> i64 {
    micros(ClockId::Realtime)
}

/// A number that differs from boot to boot of the machine; 0 when the system does not tell.
fn boot_number() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let crc = u64::from(crc32(text.trim().as_bytes()));
    let reverse: Vec<u8> = text.trim().bytes().rev().collect();
    crc << 32 | u64::from(crc32(&reverse))
}

impl NvMemory {
    /// Memory without a file, empty.
    pub fn in_ram(size: usize) -> NvMemory {
        NvMemory { file: None, memory: vec![0; size], boot: 0, error: None }
    }

    /// Opens or creates the file, with `size` bytes for the coprocessor, and locks it.
    ///
    /// # Errors
    /// See [`NvError`]. A foreign or busy file is not changed.
    pub fn open(path: &Path, size: usize) -> Result<NvMemory, NvError> {
        let name = path.display().to_string();
        let fail = |source| NvError::Io { path: name.clone(), source };
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(fail)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|e| match e {
            rustix::io::Errno::WOULDBLOCK => NvError::Busy(name.clone()),
            other => fail(other.into()),
        })?;
        let length = file.metadata().map_err(fail)?.len();
        let mut memory = vec![0; size];
        if length > 0 {
            let mut magic = [0; 8];
            if file.read_exact_at(&mut magic, 0).is_err() || &magic != MAGIC {
                return Err(NvError::Foreign(name));
            }
            // A shorter file is from an older size; the rest of the memory is empty.
            let mut at = 0;
            while at < size {
                match file.read_at(&mut memory[at..], (WORLD_PAGE + at) as u64) {
                    Ok(0) => break,
                    Ok(n) => at += n,
                    Err(e) => return Err(fail(e)),
                }
            }
        } else {
            file.write_all_at(MAGIC, 0).map_err(fail)?;
        }
        file.set_len((WORLD_PAGE + size).max(usize::try_from(length).unwrap_or(0)) as u64).map_err(fail)?;
        Ok(NvMemory { file: Some(file), memory, boot: boot_number(), error: None })
    }

    /// Bytes for the coprocessor.
    pub fn size(&self) -> usize {
        self.memory.len()
    }

    /// Reads; bytes outside read as zero.
    pub fn read(&self, at: usize, out: &mut [u8]) {
        out.fill(0);
        let from = at.min(self.memory.len());
        let n = out.len().min(self.memory.len() - from);
        out[..n].copy_from_slice(&self.memory[from..from + n]);
    }

    /// Writes; bytes outside are dropped. A failed write of the file is kept for [`NvMemory::take_error`].
    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        let from = at.min(self.memory.len());
        let n = bytes.len().min(self.memory.len() - from);
        self.memory[from..from + n].copy_from_slice(&bytes[..n]);
        self.write_file(WORLD_PAGE + from, n, bytes);
    }

    fn write_file(&mut self, at: usize, n: usize, bytes: &[u8]) {
        if let Some(file) = &self.file
            && let Err(e) = file.write_all_at(&bytes[..n], at as u64)
        {
            self.error.get_or_insert(e);
        }
    }

    /// The first failed write since the last call: the memory file can no longer be trusted.
    pub fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    /// Stores the world page, with the machine's clocks as anchor of the battery.
    pub fn store_world(&mut self, world: &WorldRecord) {
        if self.file.is_none() {
            return;
        }
        let mut page = Vec::with_capacity(64 + Truth::BYTES + 12);
        page.extend_from_slice(MAGIC);
        for n in [
            world.utc_us,
            world.origin_us,
            world.rtc_offset_us,
            micros(ClockId::Boottime),
            wall_us(),
            self.boot.cast_signed(),
        ] {
            page.extend_from_slice(&n.to_le_bytes());
        }
        page.push(world.rtc_quality as u8);
        page.push(u8::from(world.breaker_closed));
        page.extend_from_slice(&world.truth.to_bytes());
        let crc = crc32(&page);
        page.extend_from_slice(&crc.to_le_bytes());
        self.write_file(0, page.len(), &page);
    }

    /// What was stored, and the real time that has passed since, µs. `None`: a new or unreadable world page.
    pub fn load_world(&self) -> Option<(WorldRecord, i64)> {
        const LENGTH: usize = 8 + 6 * 8 + 2 + Truth::BYTES;
        let mut page = [0; LENGTH + 4];
        self.file.as_ref()?.read_exact_at(&mut page, 0).ok()?;
        let (body, crc) = page.split_last_chunk::<4>()?;
        if crc32(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let number = |k: usize| -> i64 {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&body[8 + 8 * k..16 + 8 * k]);
            i64::from_le_bytes(bytes)
        };
        let record = WorldRecord {
            utc_us: number(0),
            origin_us: number(1),
            rtc_offset_us: number(2),
            rtc_quality: match body[56] {
                2 => ClockQuality::Valid,
                1 => ClockQuality::Holdover,
                _ => ClockQuality::Invalid,
            },
            breaker_closed: body[57] != 0,
            truth: Truth::from_bytes(&body[58..])?,
        };
        let same_boot = self.boot != 0 && number(5) == self.boot.cast_signed();
        let passed = if same_boot { micros(ClockId::Boottime) - number(3) } else { wall_us() - number(4) };
        Some((record, passed.max(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nv");
        let mut nv = NvMemory::open(&path, 10_000).unwrap();
        assert!(nv.load_world().is_none());
        nv.write(9_998, &[1, 2, 3, 4]);
        nv.write(0, b"abc");
        let world = WorldRecord {
            utc_us: 1_750_000_000_000_000,
            origin_us: -5,
            rtc_offset_us: 12,
            rtc_quality: ClockQuality::Valid,
            breaker_closed: true,
            truth: Truth::default(),
        };
        nv.store_world(&world);
        assert!(matches!(NvMemory::open(&path, 10_000), Err(NvError::Busy(_))));
        drop(nv);
        let nv = NvMemory::open(&path, 20_000).unwrap();
        let mut out = [9; 4];
        nv.read(9_998, &mut out);
        assert_eq!(out, [1, 2, 0, 0]);
        nv.read(0, &mut out);
        assert_eq!(&out, b"abc\0");
        nv.read(19_999, &mut out);
        assert_eq!(out, [0; 4]);
        let (loaded, passed) = nv.load_world().unwrap();
        assert_eq!(loaded, world);
        assert!((0..60_000_000).contains(&passed));
        assert!(nv.error.is_none());
    }

    #[test]
    fn the_battery_ignores_the_wall_clock_within_one_boot_of_the_machine() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nv");
        let mut nv = NvMemory::open(&path, 100).unwrap();
        nv.store_world(&WorldRecord::default());
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let forge = |k: u64, value: i64| {
            file.write_all_at(&value.to_le_bytes(), 8 + 8 * k).unwrap();
            let mut body = vec![0; 58 + Truth::BYTES];
            file.read_exact_at(&mut body, 0).unwrap();
            file.write_all_at(&crc32(&body).to_le_bytes(), body.len() as u64).unwrap();
        };
        // The wall clock stood ten years later when the page was written, as if it had been set back since.
        forge(4, wall_us() + 10 * 365 * 86_400 * 1_000_000);
        assert!((0..60_000_000).contains(&nv.load_world().unwrap().1));
        // From another boot, the wall clock counts: an hour ago.
        forge(4, wall_us() - 3_600_000_000);
        forge(5, 1);
        assert!((3_600_000_000..3_700_000_000).contains(&nv.load_world().unwrap().1));
        // Damage is noticed.
        file.write_all_at(&[0xFF], 20).unwrap();
        assert!(nv.load_world().is_none());
    }

    #[test]
    fn a_foreign_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("letter.txt");
        std::fs::write(&path, "Dear Sir,").unwrap();
        assert!(matches!(NvMemory::open(&path, 100), Err(NvError::Foreign(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "Dear Sir,");
        assert!(matches!(NvMemory::open(dir.path(), 100), Err(NvError::Io { .. })));
    }
}
