//! An ext4 file system on a loop device, mounted for as long as its handle lives.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::medium::{Medium, save};

/// Busy devices are let go within milliseconds of the last close; a minute is for a machine that swaps.
const PATIENCE: Duration = Duration::from_secs(60);

/// A mounted file system.
pub struct Mounted {
    device: String,
    folder: tempfile::TempDir,
}

impl Mounted {
    /// Mounts the ext4 file system in `image`, which replays its journal.
    ///
    /// # Errors
    /// It cannot be mounted: after a cut, that is a finding.
    pub fn mount(image: &Path) -> anyhow::Result<Mounted> {
        let device = run(Command::new("losetup").args(["--find", "--show"]).arg(image))?;
        let mounted = Mounted { device: device.trim().to_owned(), folder: tempfile::tempdir()? };
        // The barriers of ext4 are what makes the medium flush.
        run(Command::new("mount").args(["-t", "ext4", "-o", "noatime", &mounted.device]).arg(mounted.folder.path()))?;
        mounted.is_apart()?;
        Ok(mounted)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Proves the medium: what is written here does not go to the folder's own disk.
    fn is_apart(&self) -> anyhow::Result<()> {
        use std::os::unix::fs::MetadataExt;
        let parent = self.folder.path().parent().context("a folder")?;
        if std::fs::metadata(self.folder.path())?.dev() == std::fs::metadata(parent)?.dev() {
            bail!("{} is not a file system of its own", self.folder.path().display());
        }
        Ok(())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A test that failed leaves processes with open files behind it: then it is let go with them.
        let patience = if std::thread::panicking() { Duration::ZERO } else { PATIENCE };
        let begun = Instant::now();
        while run(Command::new("umount").arg(self.folder.path())).is_err() && mounted_at(self.folder.path()) {
            if begun.elapsed() > patience {
                let _ = run(Command::new("umount").arg("--lazy").arg(self.folder.path()));
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Takes effect once nobody uses it.
        let _ = run(Command::new("losetup").args(["--detach", &self.device]));
    }
}

fn mounted_at(folder: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(1) == folder.to_str())
}

/// An empty ext4 file system of so many bytes, with a small journal.
///
/// # Errors
/// `mkfs.ext4` is missing or failed.
pub fn empty(bytes: usize) -> anyhow::Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    let image = folder.path().join("image");
    save(&vec![0; bytes], &image)?;
    run(Command::new("mkfs.ext4").args(["-q", "-m", "0", "-J", "size=4", "-E", "lazy_itable_init=0"]).arg(&image))?;
    Ok(std::fs::read(&image)?)
}

/// A running system on a medium that can be cut.
pub struct CutDisk {
    // Unmounted before the medium goes.
    mounted: Option<Mounted>,
    medium: Medium,
    spare: PathBuf,
}

impl CutDisk {
    /// Mounts this image; crash images are kept in `spare` while they are looked at.
    ///
    /// # Errors
    /// It cannot be mounted.
    pub fn mount(image: Vec<u8>, spare: &Path) -> anyhow::Result<CutDisk> {
        let medium = Medium::mount(image)?;
        let mounted = Some(Mounted::mount(&medium.file())?);
        Ok(CutDisk { mounted, medium, spare: spare.to_owned() })
    }

    /// Where the running system writes.
    pub fn path(&self) -> &Path {
        self.mounted.as_ref().map_or(Path::new(""), Mounted::path)
    }

    /// The medium.
    pub fn medium(&self) -> &Medium {
        &self.medium
    }

    /// Mounts an image that a cut left, beside the running system.
    ///
    /// # Errors
    /// It cannot be mounted.
    pub fn look_at(&self, image: &[u8]) -> anyhow::Result<Mounted> {
        let file = self.spare.join("crash");
        save(image, &file)?;
        let mounted = Mounted::mount(&file).context("mount a crash image");
        // The loop device holds it open.
        std::fs::remove_file(&file)?;
        mounted
    }
}

impl Drop for CutDisk {
    fn drop(&mut self) {
        self.mounted = None;
    }
}

fn run(command: &mut Command) -> anyhow::Result<String> {
    let done = command.output().with_context(|| format!("start {command:?}"))?;
    if !done.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
