//! One process per state folder: a lock that ends with its process, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Name of the lock file inside of the state folder.
pub const LOCK_FILE: &str = "lock";

/// Why the state folder cannot be used. The daemon ends with this one line and touches nothing.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The administrator's fault: the folder cannot be made or written.
    #[error("state folder {} is not writable: {source}", dir.display())]
    NotWritable {
        /// The folder.
        dir: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Another process of the same service works there.
    #[error("state folder {} is in use by process {owner}", dir.display())]
    InUse {
        /// The folder.
        dir: PathBuf,
        /// Its process id as it wrote it down, else "unknown".
        owner: String,
    },
}

/// Held for as long as the process works in the folder.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Makes `dir` when it is missing, and locks it.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn acquire(dir: &Path) -> Result<StateLock, LockError> {
        let not_writable = |source| LockError::NotWritable { dir: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(not_writable)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(dir.join(LOCK_FILE))
            .map_err(not_writable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                // Only decoration of the error message.
                let _ = file.take(20).read_to_string(&mut owner);
                let owner = if owner.trim().is_empty() { "unknown".into() } else { owner.trim().to_owned() };
                return Err(LockError::InUse { dir: dir.to_owned(), owner });
            }
            Err(TryLockError::Error(e)) => return Err(not_writable(e)),
        }
        // The number only serves the message above: a full disk must not keep the meter from starting.
        let _ = file.set_len(0);
        let _ = file.rewind();
        let _ = writeln!(file, "{}", std::process::id());
        Ok(StateLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateLock::acquire(dir.path()).unwrap();
        let second = StateLock::acquire(dir.path()).unwrap_err().to_string();
        assert!(second.contains(&format!("in use by process {}", std::process::id())), "{second}");
        drop(first);
        StateLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state");
        std::fs::write(&file, "").unwrap();
        let error = StateLock::acquire(&file).unwrap_err().to_string();
        assert!(error.contains("not writable"), "{error}");
    }
}
