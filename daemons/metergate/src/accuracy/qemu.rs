//! The same samples through the coprocessor's program for ARM, in QEMU.
//!
//! Samples go in and counters come out by files (the format stands in `boards/qemu_an386/src/vector.rs`), in a folder
//! that is removed in the end. QEMU has a time limit and never outlives this process's interest in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use metrology_dsp::CHANNELS;
use metrology_link::codec::{Wire, encode};
use metrology_link::payload::{Calibration, MeterConfig};

const PROGRAM: &str = "qemu-system-arm";
/// Eleven seconds of signal take about a tenth of a second; a busy machine gets six hundred times that.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How often an end is looked for.
const POLL: Duration = Duration::from_millis(2);
/// Machine number of Arm in an ELF head.
const ELF_ARM: u8 = 40;
/// Larger than any structure in the head of the file.
const STRUCTURE_BYTES: usize = 512;

/// The ARM board.
#[derive(Debug)]
pub struct Board {
    elf: PathBuf,
    folder: Folder,
    /// Numbers the files, since runs may overlap.
    runs: AtomicU32,
}

impl Board {
    /// A board that runs the program `elf`.
    ///
    /// # Errors
    /// QEMU is not installed; `elf` is missing or not for ARM; no temporary folder can be made.
    pub fn new(elf: &Path) -> anyhow::Result<Board> {
        let head = fs::read(elf).with_context(|| {
            let build = "build it in rt-metrology/firmware with `cargo build --release`, or name it with --elf";
            format!("{}: {build}", elf.display())
        })?;
        ensure!(head.starts_with(b"\x7fELF") && head.get(18) == Some(&ELF_ARM), "{}: not for ARM", elf.display());
        let version = Command::new(PROGRAM).arg("--version").stdin(Stdio::null()).output();
        version.with_context(|| format!("{PROGRAM} does not start; is QEMU for ARM installed?"))?;
        Ok(Board { elf: elf.canonicalize()?, folder: Folder::new()?, runs: AtomicU32::new(0) })
    }

    /// Counters and shown values at the end of each window, as the program left them.
    ///
    /// # Errors
    /// The program failed, or took longer than a minute.
    pub fn run(
        &self,
        config: &MeterConfig,
        calibration: &Calibration,
        counts: &[[i32; CHANNELS]],
    ) -> anyhow::Result<Vec<u8>> {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let (input, output, words) = (format!("i{run}"), format!("o{run}"), format!("w{run}"));
        let file = |name: &str| self.folder.0.join(name);
        let mut bytes = b"MGVEC\0\0\x01".to_vec();
        structure(config, &mut bytes);
        structure(calibration, &mut bytes);
        bytes.extend(counts.iter().flatten().flat_map(|count| count.to_le_bytes()));
        fs::write(file(&input), bytes).context("cannot write the samples for QEMU")?;
        let child = Command::new(PROGRAM)
            .args(["-M", "mps2-an386", "-display", "none", "-monitor", "none", "-serial", "none"])
            // Short names: the program gets its arguments as one line, split at blanks.
            .arg("-semihosting-config")
            .arg(format!("enable=on,target=native,arg=vector,arg={input},arg={output}"))
            .arg("-kernel")
            .arg(&self.elf)
            .current_dir(&self.folder.0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // A few lines at most; a file, so that nobody has to read them meanwhile.
            .stderr(fs::File::create(file(&words)).context("cannot write for QEMU")?)
            .spawn()
            .with_context(|| format!("{PROGRAM} does not start"))?;
        let ended = Bounded(child).wait();
        let result = ended.and_then(|()| fs::read(file(&output)).context("QEMU left no results"));
        let result = result.map_err(|error| {
            let words = fs::read(file(&words)).unwrap_or_default();
            error.context(String::from_utf8_lossy(&words).trim().to_owned())
        });
        for name in [&input, &output, &words] {
            // What stays behind goes with the folder.
            let _ = fs::remove_file(file(name));
        }
        result
    }
}

fn structure<T: Wire>(value: &T, out: &mut Vec<u8>) {
    let mut bytes = [0; STRUCTURE_BYTES];
    let length = encode(value, &mut bytes);
    out.extend((length as u16).to_le_bytes());
    out.extend(&bytes[..length]);
}

/// A child that is killed when nobody waits for it any more.
struct Bounded(Child);

impl Bounded {
    fn wait(mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < TIMEOUT {
            if let Some(status) = self.0.try_wait()? {
                ensure!(status.success(), "the program in QEMU failed ({status})");
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
        bail!("the program in QEMU did not end within {} s", TIMEOUT.as_secs())
    }
}

impl Drop for Bounded {
    fn drop(&mut self) {
        // Neither matters when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A temporary folder.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Folder> {
        let path = std::env::temp_dir().join(format!("metergate-accuracy-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| path.display().to_string())?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays for the system's own cleaning.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_and_one_for_another_machine_are_told_apart() {
        let missing = Board::new(Path::new("/nonexistent/qemu-an386")).unwrap_err();
        assert!(format!("{missing:#}").contains("--elf"), "{missing:#}");
        let own = Board::new(&std::env::current_exe().unwrap()).unwrap_err();
        assert!(format!("{own:#}").contains("not for ARM"), "{own:#}");
    }
}
