//! A real `dbus-daemon`, started with its own configuration, for as long as a test needs it.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::SOON;
use crate::policy::Accounts;
use crate::process::Process;

/// What `system.conf` of dbus says on every distribution: nothing may be called or owned unless a policy file says so.
const SYSTEM_DEFAULTS: &str = r#"
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Properties"/>
    <deny send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus" send_member="UpdateActivationEnvironment"/>
  </policy>"#;

/// For tests that are not about rights.
const OPEN: &str = r#"
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>"#;

/// A running `dbus-daemon`.
pub struct DaemonBus {
    /// Its address.
    pub address: String,
    process: Process,
    _folder: tempfile::TempDir,
}

impl DaemonBus {
    /// A bus that allows everything, for the current user.
    pub fn open() -> DaemonBus {
        DaemonBus::start("session", OPEN, None, None)
    }

    /// A system bus with one policy file, on which the groups and users of `accounts` exist. Needs root.
    pub fn with_policy(policy: &str, accounts: &Accounts) -> DaemonBus {
        DaemonBus::start("system", SYSTEM_DEFAULTS, Some(policy), Some(accounts))
    }

    /// What the daemon complained about (unknown groups, for one).
    pub fn complaints(&self) -> Vec<String> {
        self.process.stderr()
    }

    fn start(kind: &str, rules: &str, policy: Option<&str>, accounts: Option<&Accounts>) -> DaemonBus {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // Other uids connect to the socket inside.
        open_to_all(folder.path().to_owned());
        let mut config = String::from(concat!(
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n",
            " \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n<busconfig>\n"
        ));
        let socket = folder.path().join("bus");
        let _ = write!(config, "  <type>{kind}</type>\n  <listen>unix:path={}</listen>\n", socket.display());
        let _ = writeln!(config, "  <auth>EXTERNAL</auth>{rules}");
        if let Some(policy) = policy {
            let path = folder.path().join("policy.conf");
            std::fs::write(&path, policy).expect("write the policy");
            let _ = writeln!(config, "  <include>{}</include>", path.display());
        }
        config.push_str("</busconfig>\n");
        let path = folder.path().join("bus.conf");
        std::fs::write(&path, config).expect("write the configuration");

        let mut command = Command::new("dbus-daemon");
        command.arg(format!("--config-file={}", path.display()));
        command.args(["--nofork", "--nopidfile", "--nosyslog", "--print-address=1"]);
        if let Some(accounts) = accounts {
            accounts.resolve_in(&mut command);
        }
        let mut process = Process::start(command);
        let address = process.expect_line("the address of the bus", SOON, |l| l.starts_with("unix:"));
        DaemonBus { address, process, _folder: folder }
    }
}

/// Lets every uid enter a folder that a test made.
///
/// # Panics
/// When the folder is not ours.
pub fn open_to_all(folder: PathBuf) {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).expect("change the mode of the folder");
}
