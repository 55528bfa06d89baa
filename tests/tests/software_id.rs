//! The software id: the legal binary depends on legal crates and on nothing else, and what it depends on is frozen.
//!
//! The id is the SHA-256 of `registerd` as built by `cargo build -p registerd --locked --release` (here its bytes are
//! compared, which is the same question). A change to the simulator, the operator's tool or the tests must leave every
//! byte as it is; a change to the meter must not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use metergate_tests::process::finish;
use metergate_tests::rig::{Rig, START, Setup, under};
use metergate_tests::{SOON, binary, has_program, root, skip, tier};

/// A cold build of all dependencies on two slow cores.
const BUILD: Duration = Duration::from_secs(1200);
/// The closure is frozen for the machine that CI builds for; others differ by a crate or two of their system layer.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The legal crates on Linux (ARCHITECTURE.md, "The legal line").
const LEGAL: [&str; 6] = ["meter-bus", "meter-core", "meter-kit", "meter-model", "metrology-link", "registerd"];

fn cargo(tree: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // The runner's own settings would leak into the build: flags of a coverage run, for one.
    for (key, _) in std::env::vars_os() {
        let key = key.to_string_lossy().into_owned();
        if ["CARGO", "RUST", "NEXTEST"].iter().any(|p| key.starts_with(p))
            && key != "CARGO_HOME"
            && key != "RUSTUP_HOME"
        {
            command.env_remove(key);
        }
    }
    command.current_dir(tree).args(args);
    command
}

/// Name and version of every crate in the legal binary.
fn closure() -> Vec<String> {
    let args = ["tree", "-p", "registerd", "-e", "normal", "--locked", "--prefix", "none", "--target", TARGET];
    let done = finish(cargo(&root(), &args), Duration::from_secs(120));
    assert_eq!(done.code, Some(0), "cargo tree: {}", done.err);
    let name_and_version = |line: &str| {
        let mut words = line.split_whitespace();
        Some(format!("{} {}", words.next()?, words.next()?.trim_start_matches('v')))
    };
    let lines: BTreeSet<_> = done.out.lines().filter_map(name_and_version).collect();
    lines.into_iter().collect()
}

/// To accept a change: `METERGATE_BLESS=1 cargo test -p metergate-tests --test software_id`, and review the diff.
#[test]
fn the_dependencies_of_the_legal_binary_are_frozen() {
    let path = root().join("config/legal.lock");
    let closure = closure();
    let text = format!(
        "# Every crate in the legal binary `registerd` ({TARGET}), with its version: {} of ours, {} of others.\n\
         # A test fails when it differs; a change here is a change of legally relevant software.\n{}\n",
        LEGAL.len(),
        closure.len() - LEGAL.len(),
        closure.join("\n")
    );
    if tier("METERGATE_BLESS") {
        std::fs::write(&path, &text).expect("write config/legal.lock");
    }
    let locked = std::fs::read_to_string(&path).unwrap_or_default();
    let lines = |text: &str| text.lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect::<BTreeSet<_>>();
    let (locked, now) = (lines(&locked), lines(&text));
    let gone: Vec<_> = locked.difference(&now).collect();
    let new: Vec<_> = now.difference(&locked).collect();
    assert!(gone.is_empty() && new.is_empty(), "config/legal.lock is out of date\ngone: {gone:?}\nnew: {new:?}");
    // What the simulator, the tool or a daemon brings along must never slip in.
    for ours in closure.iter().filter_map(|l| l.strip_suffix(env!("CARGO_PKG_VERSION"))) {
        let ours = ours.trim();
        let is_member = ["meter", "metro", "registerd"].iter().any(|p| ours.starts_with(p));
        assert!(!is_member || LEGAL.contains(&ours), "{ours} is not a legal crate");
    }
    for one in LEGAL {
        assert!(closure.iter().any(|l| l.starts_with(&format!("{one} "))), "{one} is missing");
    }
}

/// SQLite writes half the bytes with fdatasync; the flag for it is lost silently by a build from the wrong folder.
/// Folders, and files that are being made, take the full sync: their names and sizes are new.
#[test]
fn commits_use_fdatasync_only() {
    if !has_program("strace") {
        return skip("fdatasync", "strace is not installed");
    }
    let rig = Rig::without_registerd(Setup { speed: 60.0, ..Setup::default() });
    let trace = tempfile::NamedTempFile::new().expect("a temporary file");
    let output = trace.path().to_string_lossy().into_owned();
    let args = ["-f", "-qq", "-y", "-e", "trace=fsync,fdatasync,sync_file_range,sync", "-o", &output];
    rig.start_registerd_as(under("strace", &args, &rig.registerd_command()));
    // Two intervals end.
    rig.wait_meter_time(START + 18 * 60_000_000, SOON * 2);
    rig.terminate_traced_registerd();
    let text = std::fs::read_to_string(trace.path()).expect("the trace");
    let on_database = |call: &str| {
        let lines = text.lines().filter(|l| l.contains(&format!(" {call}(")) && l.contains("/meter.db"));
        lines.filter(|l| !l.contains("meter.db.new")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(on_database("fdatasync").len() >= 2, "no commit was synced: {text}");
    let wrong = on_database("fsync");
    assert!(wrong.is_empty(), "built without HAVE_FDATASYNC (build from the repository root): {wrong:?}");
}

/// A copy of everything that a build reads, with its times.
fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("make a folder of the copy");
    for entry in std::fs::read_dir(from).expect("read a folder of the tree").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        // Build output, the repository's own memory, and what a demo left.
        if ["target", ".git", "state"].iter().any(|n| name == *n) {
            continue;
        }
        let kind = entry.file_type().expect("its kind");
        if kind.is_dir() {
            copy_tree(&path, &to.join(name));
        } else if kind.is_file() {
            std::fs::copy(&path, to.join(name)).expect("copy a file");
        }
    }
}

struct Build {
    tree: PathBuf,
    target: PathBuf,
}

impl Build {
    /// The bytes of the legal binary as built from the tree now; linked anew each time, so that equal bytes mean an
    /// equal build and not a build that did not happen.
    fn registerd(&self) -> Vec<u8> {
        let main = self.tree.join("daemons/registerd/src/main.rs");
        let text = std::fs::read(&main).expect("registerd's main");
        // A later time stamp makes cargo compile it again.
        std::thread::sleep(Duration::from_millis(20));
        std::fs::write(&main, text).expect("touch registerd's main");
        let mut command = cargo(&self.tree, &["build", "-p", "registerd", "--locked", "--release"]);
        command.env("CARGO_TARGET_DIR", &self.target);
        let done = finish(command, BUILD);
        assert_eq!(done.code, Some(0), "the build failed: {}", done.err);
        assert!(done.err.contains("Compiling registerd"), "nothing was built: {}", done.err);
        std::fs::read(self.target.join("release/registerd")).expect("the legal binary")
    }

    fn edit(&self, file: &str, edit: impl FnOnce(String) -> String) {
        let path = self.tree.join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{file}: {e}"));
        std::fs::write(&path, edit(text)).expect("edit the copy");
    }
}

#[test]
fn only_legal_code_changes_the_legal_binary() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let build = Build { tree: folder.path().join("tree"), target: folder.path().join("target") };
    copy_tree(&root(), &build.tree);
    // What the release build left for the crates of others is good here as well, and saves minutes.
    let release = binary("registerd").parent().map(Path::to_owned).unwrap_or_default();
    if release.ends_with("release") {
        std::fs::create_dir_all(build.target.join("release")).expect("make the target folder");
        for part in [".fingerprint", "build", "deps"] {
            let mut command = Command::new("cp");
            command.arg("-a").arg(release.join(part)).arg(build.target.join("release"));
            assert_eq!(finish(command, BUILD).code, Some(0), "cannot copy {part}");
        }
    }

    let first = build.registerd();
    assert!(build.registerd() == first, "the same sources gave another binary: the build is not reproducible");

    let harmless = "\n/// Added by a test.\npub fn added_by_a_test() -> u32 {\n    4711\n}\n";
    for file in ["rt-metrology/sim/src/lib.rs", "daemons/metergate/src/main.rs", "tests/src/lib.rs"] {
        build.edit(file, |text| text + harmless);
    }
    build.edit("config/registerd.toml", |text| text + "\n# A comment more.\n");
    assert!(build.registerd() == first, "a change outside of the legal crates changed the software id");

    // The control: one text of the meter's behaviour.
    let changed = change_meter(&build);
    assert!(build.registerd() != first, "a change of the meter did not change the software id: {changed}");
}

/// Changes a text that is part of the meter's behaviour: the name of the load profile's first column.
fn change_meter(build: &Build) -> String {
    let folder = build.tree.join("daemons/meter/src");
    for entry in std::fs::read_dir(&folder).expect("the meter's sources").flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        if let Some(at) = code.find("\"load\"") {
            let changed = format!("{}\"lood\"{}", &text[..at], &text[at + 6..]);
            std::fs::write(entry.path(), changed).expect("change the meter");
            return entry.path().display().to_string();
        }
    }
    panic!("the meter names no load profile any more: change this test with it");
}
