//! Helpers of the whole-system tests: real processes, a real bus, roles, and bounded waits.
//!
//! The tests start the binaries that ship. They are found beside the test (`target/<profile>/`), or where
//! `METERGATE_BIN` says (`tests/run` names the release build). Every wait has a bound and says what it waited for;
//! every process dies with its handle. A test that cannot run here says so through [`skip`], which `tests/run` prints.

pub mod bus;
pub mod fuzz;
pub mod policy;
pub mod power_loss;
pub mod process;
pub mod rig;
pub mod state;
pub mod suite;
pub mod xml;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest wait for something that takes milliseconds on an idle machine. Two busy cores and a debug build are a
/// hundred times slower at worst.
pub const SOON: Duration = Duration::from_secs(30);

/// The repository's root.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// A binary of the workspace.
///
/// # Panics
/// When it was not built: a test that passes without its subject would prove nothing.
pub fn binary(name: &str) -> PathBuf {
    let folder = match std::env::var_os("METERGATE_BIN") {
        Some(metergate) => PathBuf::from(metergate).parent().map(Path::to_owned),
        // target/<profile>/deps/<test>
        None => std::env::current_exe().ok().and_then(|t| Some(t.parent()?.parent()?.to_owned())),
    };
    let path = folder.unwrap_or_default().join(name);
    assert!(
        path.is_file(),
        "{} is missing: run `cargo build --workspace` with the tests' profile first",
        path.display()
    );
    path
}

/// Says loudly that the calling test did not run, and why. Callers return right after.
pub fn skip(test: &str, reason: &str) {
    let line = format!("SKIPPED: {test}: {reason}");
    eprintln!("{line}");
    // Passing tests are silent under most runners; `tests/run` collects the lines and prints them at its end.
    if let Some(path) = std::env::var_os("METERGATE_SKIPS")
        && let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(path)
    {
        let _ = writeln!(file, "{line}");
    }
}

/// Whether this tier was asked for (`METERGATE_SYSTEM`, `METERGATE_LONG`).
pub fn tier(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|v| !v.is_empty())
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether a program can be found.
pub fn has_program(name: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).is_file()))
}

/// The first shared library whose file name starts with `name`, in the usual folders.
pub fn library(name: &str) -> Option<PathBuf> {
    let arch = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let deeper = format!("{arch}/faketime");
    [arch.as_str(), deeper.as_str(), "/usr/lib64", "/usr/lib64/faketime", "/usr/lib", "/lib64"].iter().find_map(|dir| {
        let entries = std::fs::read_dir(dir).ok()?;
        let mut found: Vec<_> = entries.flatten().map(|e| e.path()).collect();
        found.sort();
        found.into_iter().find(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with(name)))
    })
}

/// Polls until `ready` gives a value.
///
/// # Panics
/// When `limit` passes first; `what` says what was missing.
pub fn wait_for<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A seed for the one randomised run, printed so that the run can be repeated with `METERGATE_SEED`.
pub fn random_seed() -> u64 {
    let given = std::env::var("METERGATE_SEED").ok().and_then(|s| s.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("seed: METERGATE_SEED={seed}");
    seed
}
