//! Users and groups for policy tests, resolvable exactly as on a product, without touching this machine's.
//!
//! The shipped sysusers file is applied to a copy of passwd and group by `systemd-sysusers --root`; nss_wrapper shows
//! that copy to dbus-daemon. A policy that names a group which does not resolve is dropped by dbus-daemon with a mere
//! warning, and then everything is denied: tests of denials would pass for the wrong reason.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::finish;
use crate::{SOON, has_program, is_root, library, root, skip};

/// The shipped groups.
pub const GROUPS: [&str; 3] = ["metergate-read", "metergate-operate", "metergate-seal"];

/// A test user and the groups it is in, beside its own.
pub const ROLES: [(&str, &[&str]); 5] = [
    ("mt-outsider", &[]),
    ("mt-reader", &["metergate-read"]),
    ("mt-operator", &["metergate-operate"]),
    ("mt-sealer", &["metergate-seal"]),
    ("mt-everything", &["metergate-read", "metergate-operate", "metergate-seal"]),
];

/// One user as resolved.
#[derive(Clone, Debug)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// All groups.
    pub groups: Vec<u32>,
}

/// The users and groups of one test.
pub struct Accounts {
    folder: tempfile::TempDir,
    wrapper: PathBuf,
    users: BTreeMap<String, Account>,
}

impl Accounts {
    /// Makes them, or says that `test` is skipped and why.
    ///
    /// # Panics
    /// When the shipped sysusers file is refused or lacks a user or group.
    pub fn create(test: &str) -> Option<Accounts> {
        if !is_root() {
            skip(test, "needs root, to call as other users");
            return None;
        }
        for program in ["dbus-daemon", "systemd-sysusers", "setpriv", "busctl"] {
            if !has_program(program) {
                skip(test, &format!("{program} is not installed"));
                return None;
            }
        }
        let Some(wrapper) = library("libnss_wrapper.so") else {
            skip(test, "libnss_wrapper.so is not installed (Debian: libnss-wrapper)");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        crate::bus::open_to_all(folder.path().to_owned());
        let etc = folder.path().join("etc");
        let definitions = folder.path().join("usr/lib/sysusers.d");
        std::fs::create_dir_all(&etc).expect("make etc");
        std::fs::create_dir_all(&definitions).expect("make sysusers.d");
        for name in ["passwd", "group"] {
            std::fs::copy(Path::new("/etc").join(name), etc.join(name)).expect("copy this machine's accounts");
        }
        let shipped = root().join("systemd/metergate.sysusers.conf");
        std::fs::copy(shipped, definitions.join("metergate.conf")).expect("copy the shipped sysusers file");
        let mut extra = String::new();
        for (user, groups) in ROLES {
            extra.push_str(&format!("u {user} - \"role of a test\" / /usr/sbin/nologin\n"));
            groups.iter().for_each(|g| extra.push_str(&format!("m {user} {g}\n")));
        }
        std::fs::write(definitions.join("tests.conf"), extra).expect("write the test roles");
        let mut command = Command::new("systemd-sysusers");
        command.arg(format!("--root={}", folder.path().display()));
        let done = finish(command, SOON);
        assert_eq!(done.code, Some(0), "systemd-sysusers refuses the shipped file: {}", done.err);

        let read = |name: &str| std::fs::read_to_string(etc.join(name)).expect("read what sysusers made");
        let users = resolve(&read("passwd"), &read("group"));
        for name in GROUPS.iter().chain(&["registerd"]) {
            assert!(read("group").lines().any(|l| l.split(':').next() == Some(*name)), "no group {name} was made");
        }
        assert!(users.contains_key("registerd"), "no user registerd was made");
        Some(Accounts { folder, wrapper, users })
    }

    /// A user.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn user(&self, name: &str) -> &Account {
        self.users.get(name).unwrap_or_else(|| panic!("no user {name}"))
    }

    /// Lets `command` see these users and groups.
    pub fn resolve_in(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.wrapper);
        command.env("NSS_WRAPPER_PASSWD", self.folder.path().join("etc/passwd"));
        command.env("NSS_WRAPPER_GROUP", self.folder.path().join("etc/group"));
    }

    /// A command that runs `program` as `user`, with exactly this user's groups.
    pub fn command(&self, user: &str, program: impl AsRef<Path>) -> Command {
        let account = self.user(user);
        let groups = account.groups.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &account.uid.to_string(), "--regid", &account.gid.to_string()]);
        command.args(["--groups", &groups, "--no-new-privs", "--"]).arg(program.as_ref());
        command
    }
}

fn resolve(passwd: &str, group: &str) -> BTreeMap<String, Account> {
    let mut users = BTreeMap::new();
    for line in passwd.lines() {
        let parts: Vec<_> = line.split(':').collect();
        if let [name, _, uid, gid, ..] = parts[..]
            && let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse())
        {
            users.insert(name.to_owned(), Account { uid, gid, groups: vec![gid] });
        }
    }
    for line in group.lines() {
        if let [_, _, gid, members] = line.split(':').collect::<Vec<_>>()[..]
            && let Ok(gid) = gid.parse()
        {
            for member in members.split(',') {
                if let Some(account) = users.get_mut(member) {
                    account.groups.push(gid);
                }
            }
        }
    }
    users
}
