//! The demo's folder: one demo at a time in it, sockets and files in their places, `endpoints.json` for everybody else.
//!
//! ```text
//! DIR/demo.lock            held while the demo or any of its children lives
//! DIR/endpoints.json       where to reach what runs; only while it runs
//! DIR/conf/registerd.toml  written at each start
//! DIR/meter/               registerd's database and register ring
//! DIR/coprocessor.nv       the virtual coprocessor's non-volatile memory
//! DIR/demo.log             what the children say while the live view owns the terminal
//! DIR/run/                 sockets: bus, link, control
//! ```

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::{FdFlags, fcntl_setfd};
use serde::Serialize;

/// How long a demo waits for the children of one that was just killed: they die within milliseconds of it.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);
/// `sun_path` of a unix socket holds 108 bytes with the closing zero; `/control` is the longest name used.
const SOCKET_DIR_MAX: usize = 107 - "/control".len();
/// Attempts to find a free name for a temporary folder: every demo that died by force leaves one name taken.
const TEMPORARY_NAMES: u32 = 1000;

/// The folder of a demo that runs. Sockets and a temporary folder go with it.
#[derive(Debug)]
pub struct State {
    /// The folder.
    pub dir: PathBuf,
    /// The folder of the sockets.
    pub run: PathBuf,
    /// Whether the folder was made for this run alone.
    pub temporary: bool,
    _lock: File,
}

/// What `endpoints.json` holds.
#[derive(Clone, Debug, Serialize)]
pub struct Endpoints {
    /// D-Bus address.
    pub bus: String,
    /// Control socket of the virtual coprocessor (laboratory).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<PathBuf>,
    /// Process ids.
    pub pids: BTreeMap<&'static str, u32>,
}

impl State {
    /// Makes or opens the folder and takes it.
    ///
    /// # Errors
    /// It cannot be made or written, or another demo runs in it. Nothing of the other demo is touched.
    pub fn take(dir: Option<&Path>) -> anyhow::Result<State> {
        let temporary = dir.is_none();
        let dir = match dir {
            Some(dir) => {
                private_dirs()
                    .create(dir)
                    .with_context(|| format!("cannot make the state folder {}", dir.display()))?;
                dir.to_owned()
            }
            None => temporary_dir("metergate-demo").context("cannot make a temporary state folder")?,
        };
        // Children and other programs need paths that hold wherever they stand.
        let dir = dir.canonicalize().with_context(|| format!("cannot use {}", dir.display()))?;
        let lock = lock(&dir)?;
        let mut state = State { run: dir.join("run"), dir, temporary, _lock: lock };
        state.prepare().with_context(|| format!("cannot prepare the state folder {}", state.dir.display()))?;
        Ok(state)
    }

    /// Clears what a demo that was killed has left, and makes the folders. Only the owner of the lock may do this.
    fn prepare(&mut self) -> io::Result<()> {
        remove(fs::remove_file(self.endpoints_path()))?;
        remove(fs::remove_dir_all(&self.run))?;
        private_dirs().create(self.dir.join("conf"))?;
        if self.run.as_os_str().len() > SOCKET_DIR_MAX {
            self.run = temporary_dir("metergate-run")?;
        } else {
            private_dirs().create(&self.run)?;
        }
        Ok(())
    }

    fn endpoints_path(&self) -> PathBuf {
        self.dir.join("endpoints.json")
    }

    /// Writes `endpoints.json` in one step: a reader sees the whole of it or none.
    pub fn write_endpoints(&self, endpoints: &Endpoints) -> anyhow::Result<()> {
        let path = self.endpoints_path();
        let new = path.with_extension("json.new");
        let text = serde_json::to_string_pretty(endpoints)? + "\n";
        fs::write(&new, text).and_then(|()| fs::rename(&new, &path)).with_context(|| format!("{}", path.display()))
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // The demo ends; what cannot be removed is at worst cleared by the next one in this folder.
        let _ = fs::remove_file(self.endpoints_path());
        let _ = fs::remove_dir_all(&self.run);
        if self.temporary {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Takes `demo.lock`. The children inherit the open file, so that it stays locked until the last of them is gone.
fn lock(dir: &Path) -> anyhow::Result<File> {
    let path = dir.join("demo.lock");
    let open = || -> io::Result<File> {
        let file = File::options().create(true).truncate(false).write(true).open(&path)?;
        fcntl_setfd(&file, FdFlags::empty())?;
        Ok(file)
    };
    let file = open().with_context(|| format!("cannot write in the state folder: {}", path.display()))?;
    let started = Instant::now();
    while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
        if started.elapsed() > LOCK_PATIENCE {
            bail!("another demo is running on {}", dir.display());
        }
        sleep(Duration::from_millis(10));
    }
    Ok(file)
}

/// Nobody but the user looks into a meter's folder.
fn private_dirs() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
}

/// A new folder for the user alone below the system's place for temporary files.
pub fn temporary_dir(name: &str) -> io::Result<PathBuf> {
    let base = std::env::temp_dir();
    let id = std::process::id();
    for n in 0..TEMPORARY_NAMES {
        let dir = base.join(format!("{name}-{id}-{n}"));
        match DirBuilder::new().mode(0o700).create(&dir) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(dir),
        }
    }
    Err(io::Error::new(ErrorKind::AlreadyExists, format!("no free name below {}", base.display())))
}

/// A removal that finds nothing has done its work.
fn remove(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_demo_at_a_time_and_the_second_harms_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let first = State::take(Some(dir.path())).unwrap();
        let endpoints = Endpoints { bus: "unix:path=x".into(), control: Some("c".into()), pids: [("demo", 1)].into() };
        first.write_endpoints(&endpoints).unwrap();
        fs::write(first.run.join("bus"), "").unwrap();
        let error = State::take(Some(dir.path())).unwrap_err().to_string();
        assert!(error.starts_with("another demo is running on "), "{error}");
        assert!(first.endpoints_path().exists() && first.run.join("bus").exists());
        drop(first);
        let second = State::take(Some(dir.path())).unwrap();
        assert!(!second.endpoints_path().exists() && second.run.exists());
    }

    #[test]
    fn a_temporary_folder_goes_with_the_demo_and_a_named_one_stays() {
        let state = State::take(None).unwrap();
        let dir = state.dir.clone();
        assert!(state.temporary && dir.exists());
        drop(state);
        assert!(!dir.exists());
        let named = tempfile::tempdir().unwrap();
        drop(State::take(Some(named.path())).unwrap());
        assert!(named.path().exists());
    }

    #[test]
    fn sockets_of_a_deep_folder_stand_elsewhere() {
        let base = tempfile::tempdir().unwrap();
        let state = State::take(Some(&base.path().join("x".repeat(120)))).unwrap();
        assert!(state.run.as_os_str().len() <= SOCKET_DIR_MAX && !state.run.starts_with(&state.dir));
        let run = state.run.clone();
        drop(state);
        assert!(!run.exists());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_one_clear_error() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("file");
        fs::write(&file, "").unwrap();
        let error = format!("{:#}", State::take(Some(&file.join("state"))).unwrap_err());
        assert!(error.contains("cannot make the state folder"), "{error}");
    }
}
