//! The shipped units: accepted without a word by systemd, and as tight as promised.

use std::path::Path;
use std::process::Command;

use metergate_tests::process::{Finished, finish};
use metergate_tests::{SOON, has_program, root, skip};

/// Exposure in tenths that a legal unit may have.
const LEGAL_LIMIT: &str = "10";
/// What networked units may have (none shipped yet; every other service falls under this).
const NETWORK_LIMIT: &str = "15";

fn files(suffix: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join("systemd")).expect("the systemd folder");
    let names = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.filter(|n| n.ends_with(suffix)).collect();
    names.sort();
    names
}

fn analyze(args: &[&str]) -> Finished {
    let mut command = Command::new("systemd-analyze");
    // Messages in English, no pager.
    command.env("LC_ALL", "C").env("SYSTEMD_PAGER", "").args(args);
    finish(command, SOON)
}

/// A root folder with the units as installed, systemd's own units, and programs where the units expect them.
fn installed(edit: impl Fn(&str, String) -> String) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let units = folder.path().join("usr/lib/systemd/system");
    std::fs::create_dir_all(&units).expect("make the unit folder");
    let base = ["/usr/lib/systemd/system", "/lib/systemd/system"].into_iter().find(|d| Path::new(d).is_dir());
    for entry in std::fs::read_dir(base.expect("systemd's own units")).expect("read them").flatten() {
        if entry.path().is_file() {
            std::fs::copy(entry.path(), units.join(entry.file_name())).expect("copy a unit");
        }
    }
    for name in files(".service").into_iter().chain(files(".target")) {
        let text = std::fs::read_to_string(root().join("systemd").join(&name)).expect("read a unit");
        for line in text.lines().filter_map(|l| l.strip_prefix("ExecStart=")) {
            let program =
                folder.path().join(line.split_whitespace().next().unwrap_or_default().trim_start_matches('/'));
            std::fs::create_dir_all(program.parent().expect("a folder")).expect("make it");
            // Only its presence and mode are looked at.
            std::fs::copy("/bin/true", program).expect("put a program there");
        }
        std::fs::write(units.join(&name), edit(&name, text)).expect("install a unit");
    }
    folder
}

fn verify(folder: &Path) -> String {
    let names: Vec<_> = files(".service").into_iter().chain(files(".target")).collect();
    let root = format!("--root={}", folder.display());
    let mut args = vec!["verify", "--man=no", &root];
    args.extend(names.iter().map(String::as_str));
    let done = analyze(&args);
    // It exits 0 on unknown keys and bad values: any output is a fault.
    format!("{}{}{}", done.out, done.err, if done.code == Some(0) { "" } else { "exit code not 0" })
}

#[test]
fn systemd_reads_every_unit_without_a_word() {
    if !has_program("systemd-analyze") {
        return skip("units", "systemd-analyze is not installed (Debian: systemd)");
    }
    assert!(files(".service").contains(&"metergate-registerd.service".to_owned()));
    let said = verify(installed(|_, text| text).path());
    assert_eq!(said, "");
    // Controls: the same check does see an unknown key and a value that cannot be.
    let said = verify(installed(|_, text| text.replace("ProtectHome=", "ProtectHoem=")).path());
    assert!(said.contains("ProtectHoem"), "an unknown key went unseen: {said}");
    let said = verify(installed(|_, text| text.replace("UMask=0027", "UMask=099")).path());
    assert!(said.contains("099"), "a bad value went unseen: {said}");
}

#[test]
fn every_unit_is_as_tight_as_promised() {
    if !has_program("systemd-analyze") {
        return skip("units", "systemd-analyze is not installed (Debian: systemd)");
    }
    let exposure = |path: &Path, limit: &str| {
        let path = path.to_string_lossy().into_owned();
        analyze(&["security", "--offline=yes", "--no-pager", &format!("--threshold={limit}"), &path])
    };
    for name in files(".service") {
        let limit = if name == "metergate-registerd.service" { LEGAL_LIMIT } else { NETWORK_LIMIT };
        let done = exposure(&root().join("systemd").join(&name), limit);
        let verdict = done.out.lines().last().unwrap_or_default();
        assert_eq!(done.code, Some(0), "{name} is above {limit} tenths: {verdict}\n{}", done.err);
    }
    // Control: the threshold does refuse a unit that gives up its sandbox.
    let text = std::fs::read_to_string(root().join("systemd/metergate-registerd.service")).expect("read the unit");
    let loose = tempfile::tempdir().expect("a temporary folder");
    let path = loose.path().join("metergate-registerd.service");
    let cut = text.replace("PrivateNetwork=yes\n", "").replace("SystemCallFilter=", "#").replace("CapabilityB", "#");
    std::fs::write(&path, cut).expect("write the loose unit");
    assert_ne!(exposure(&path, LEGAL_LIMIT).code, Some(0), "a unit without a sandbox passed");
}

/// The unit's state folder is the only place that the service can write, and it must be the one it is told to use.
#[test]
fn the_state_folder_of_the_unit_is_the_one_of_the_command_line() {
    let text = std::fs::read_to_string(root().join("systemd/metergate-registerd.service")).expect("read the unit");
    let value = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)).unwrap_or_default().to_owned();
    let state = value("ExecStart=").split("--state ").nth(1).unwrap_or_default().trim().to_owned();
    assert_eq!(format!("/var/lib/{}", value("StateDirectory=")), format!("{state}/meter"));
    let config = value("ExecStart=").split("--config ").nth(1).unwrap_or_default().split(' ').next().map(str::to_owned);
    assert_eq!(config.as_deref(), Some("/etc/metergate/registerd.toml"));
    assert!(root().join("config/registerd.toml").is_file(), "the configuration that the unit names is not shipped");
}
