//! A disk with a volatile cache, as one file of a FUSE file system.
//!
//! Writes go to what readers see, and wait until a flush makes them durable. [`Medium::cut`] gives what a power cut at
//! this moment could leave: everything durable, and of what waits as much as the seed chooses. The running system is
//! not stopped by it, so one run gives hundreds of cuts.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context;
use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite,
    Request, TimeOrNow, WriteFlags,
};

/// What a disk writes whole or not at all.
pub const SECTOR: usize = 512;
const FILE: INodeNo = INodeNo(2);
const NAME: &str = "disk";
/// Attributes never change but for times, which nobody reads.
const TTL: Duration = Duration::from_secs(3600);

/// What happened to the medium so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Write requests.
    pub writes: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Flushes.
    pub flushes: u64,
}

/// How much of the unflushed writes a cut lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survivors {
    /// None of them.
    Nothing,
    /// The oldest ones, in their order.
    Prefix,
    /// Any of them: the cache wrote them in an order of its own.
    Subset,
    /// Any sectors of any of them.
    Torn,
}

impl Survivors {
    const ALL: [Survivors; 4] = [Survivors::Nothing, Survivors::Prefix, Survivors::Subset, Survivors::Torn];
}

/// What the disk holds.
#[derive(Default)]
struct Cells {
    /// What survives.
    durable: Vec<u8>,
    /// What readers see.
    current: Vec<u8>,
    /// Writes since the last flush, in order.
    pending: Vec<(usize, Vec<u8>)>,
    counts: Counts,
}

/// The mounted file system with its one file.
pub struct Medium {
    cells: Arc<Mutex<Cells>>,
    // Unmounted before its folder goes.
    session: Option<BackgroundSession>,
    folder: tempfile::TempDir,
}

impl Medium {
    /// Mounts a medium with this content, a whole number of sectors.
    ///
    /// # Errors
    /// FUSE cannot be used here.
    pub fn mount(content: Vec<u8>) -> anyhow::Result<Medium> {
        assert!(content.len().is_multiple_of(SECTOR) && !content.is_empty());
        let cells = Arc::new(Mutex::new(Cells { current: content.clone(), durable: content, ..Cells::default() }));
        let folder = tempfile::tempdir()?;
        let mut options = Config::default();
        options.mount_options = vec![MountOption::FSName("metergate-medium".to_owned())];
        let disk = Disk { cells: cells.clone() };
        let session = fuser::spawn_mount(disk, folder.path(), &options).context("mount a FUSE file system")?;
        Ok(Medium { cells, session: Some(session), folder })
    }

    /// The file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join(NAME)
    }

    /// What a power cut now would leave, and how it came about. The same seed chooses the same survivors of the same
    /// writes.
    pub fn cut(&self, seed: u64) -> (Vec<u8>, Survivors) {
        let cells = lock(&self.cells);
        let mut random = fastrand::Rng::with_seed(seed);
        let how = Survivors::ALL[random.usize(..Survivors::ALL.len())];
        let mut image = cells.durable.clone();
        let whole = random.usize(..=cells.pending.len());
        for (n, (at, bytes)) in cells.pending.iter().enumerate() {
            let survives = match how {
                Survivors::Nothing => false,
                Survivors::Prefix => n < whole,
                Survivors::Subset => random.bool(),
                Survivors::Torn => true,
            };
            if !survives {
                continue;
            }
            for (k, sector) in bytes.chunks(SECTOR).enumerate() {
                if how != Survivors::Torn || random.bool() {
                    let at = at + k * SECTOR;
                    image[at..at + sector.len()].copy_from_slice(sector);
                }
            }
        }
        (image, how)
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        lock(&self.cells).counts
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            // What still has it open is a test that failed already.
            let _ = session.umount_and_join();
        }
    }
}

fn lock(cells: &Mutex<Cells>) -> MutexGuard<'_, Cells> {
    cells.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes an image beside others, holes for its zeros.
///
/// # Errors
/// The file system's.
pub fn save(image: &[u8], file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt;
    const BLOCK: usize = 4096;
    let out = std::fs::File::create(file)?;
    out.set_len(image.len() as u64)?;
    for (n, block) in image.chunks(BLOCK).enumerate().filter(|(_, block)| block.iter().any(|b| *b != 0)) {
        out.write_all_at(block, (n * BLOCK) as u64)?;
    }
    Ok(())
}

/// The FUSE side.
struct Disk {
    cells: Arc<Mutex<Cells>>,
}

impl Disk {
    fn attributes(&self, inode: INodeNo) -> Option<FileAttr> {
        let (kind, perm, size) = match inode {
            INodeNo::ROOT => (FileType::Directory, 0o755, 0),
            FILE => (FileType::RegularFile, 0o600, lock(&self.cells).current.len() as u64),
            _ => return None,
        };
        Some(FileAttr {
            ino: inode,
            size,
            blocks: size.div_ceil(SECTOR as u64),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

impl Filesystem for Disk {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.attributes(FILE) {
            Some(file) if parent == INodeNo::ROOT && name == NAME => reply.entry(&TTL, &file, Generation(0)),
            _ => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(inode) {
            Some(attributes) => reply.attr(&TTL, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        inode: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<std::time::SystemTime>,
        _: Option<FileHandle>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        match self.attributes(inode) {
            Some(attributes) if size.is_none_or(|size| size == attributes.size) => reply.attr(&TTL, &attributes),
            _ => reply.error(Errno::EPERM),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // Past the page cache: nothing between the loop device and the cells.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let cells = lock(&self.cells);
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(cells.current.len());
        let to = from.saturating_add(size as usize).min(cells.current.len());
        reply.data(&cells.current[from..to]);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut cells = lock(&self.cells);
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        match at.checked_add(data.len()) {
            Some(end) if end <= cells.current.len() => {
                cells.current[at..end].copy_from_slice(data);
                cells.pending.push((at, data.to_vec()));
                cells.counts.writes += 1;
                cells.counts.bytes += data.len() as u64;
                reply.written(data.len() as u32);
            }
            _ => reply.error(Errno::ENOSPC),
        }
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let mut cells = lock(&self.cells);
        for (at, bytes) in std::mem::take(&mut cells.pending) {
            cells.durable[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        cells.counts.flushes += 1;
        reply.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{is_root, skip};
    use std::os::unix::fs::FileExt;

    #[test]
    fn only_what_was_flushed_is_certain_to_survive() {
        if !is_root() || !Path::new("/dev/fuse").exists() {
            return skip("only_what_was_flushed_is_certain_to_survive", "needs root and /dev/fuse");
        }
        let medium = Medium::mount(vec![0; 64 * SECTOR]).expect("mount");
        let file = std::fs::OpenOptions::new().write(true).open(medium.file()).expect("open the disk");
        file.write_all_at(&[1; 2 * SECTOR], 0).expect("write");
        file.sync_data().expect("flush");
        file.write_all_at(&[2; 2 * SECTOR], 0).expect("write");
        file.write_all_at(&[3; SECTOR], 5 * SECTOR as u64).expect("write");
        let mut kinds = Vec::new();
        for seed in 0..200 {
            let (image, how) = medium.cut(seed);
            assert_eq!((&image, how), (&medium.cut(seed).0, how), "the seed replays the cut");
            let first = [image[0], image[SECTOR]];
            assert!(first.iter().all(|b| [1, 2].contains(b)), "flushed bytes are old or new, never gone: {first:?}");
            match how {
                Survivors::Nothing => assert_eq!((first, image[5 * SECTOR]), ([1, 1], 0)),
                Survivors::Prefix => assert!(image[5 * SECTOR] == 0 || first == [2, 2], "not in order"),
                Survivors::Subset => assert_eq!(first[0], first[1], "torn"),
                Survivors::Torn => {}
            }
            kinds.push((how == Survivors::Torn, first, image[5 * SECTOR]));
        }
        assert!(kinds.contains(&(true, [2, 1], 0)), "torn writes do occur");
        assert!(kinds.contains(&(false, [1, 1], 3)), "a later write overtakes an earlier one");
        assert!(file.write_all_at(&[1], 64 * SECTOR as u64).is_err(), "past the end");
        assert_eq!(medium.counts().flushes, 1);
        drop(file);
    }
}
