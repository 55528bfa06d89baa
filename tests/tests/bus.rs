//! The Meter1 interface on a real `dbus-daemon`, with and without the shipped policy, and its lock.

use metergate_tests::bus::DaemonBus;
use metergate_tests::policy::Accounts;
use metergate_tests::rig::{Rig, Setup};
use metergate_tests::suite::bus_suite;
use metergate_tests::{has_program, root, skip, tier, xml};
use zbus::fdo::IntrospectableProxy;

fn served() -> String {
    let rig = Rig::start(Setup::default());
    rig.wait_name();
    rig.on_bus(async |bus| {
        let node =
            IntrospectableProxy::builder(&bus).destination(meter_bus::SERVICE).path(meter_bus::PATH).build().await?;
        Ok(node.introspect().await?)
    })
}

/// The interface is a promise. To accept a change that keeps it:
/// `METERGATE_BLESS=1 cargo test -p metergate-tests --test bus`, and review the diff.
#[test]
fn the_served_interfaces_are_the_locked_ones() {
    if !has_program("dbus-daemon") {
        return skip("introspection", "dbus-daemon is not installed (Debian: dbus)");
    }
    let served = xml::interfaces(&served(), "org.metergate.");
    assert!(!served.is_empty(), "nothing is served");
    let folder = root().join("config/dbus/interfaces");
    let file = |name: &str| folder.join(format!("{name}.xml"));
    let text = |body: &str| {
        let head = format!("<!-- Served at {}. Locked by a test, see tests/README.md. -->", meter_bus::PATH);
        format!("{head}\n<node>\n{body}</node>\n")
    };
    if tier("METERGATE_BLESS") {
        for (name, body) in &served {
            std::fs::write(file(name), text(body)).expect("write the lock");
        }
    }
    for (name, body) in &served {
        let locked = std::fs::read_to_string(file(name)).unwrap_or_default();
        assert_eq!(locked, text(body), "{name} differs from config/dbus/interfaces");
    }
    let names: Vec<_> = served.iter().map(|(n, _)| format!("{n}.xml")).collect();
    for entry in std::fs::read_dir(folder).expect("the locks").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(names.contains(&name), "{name} is locked but no longer served");
    }
}

#[test]
fn the_bus_tests_pass_on_dbus_daemon_with_the_shipped_policy() {
    let Some(accounts) = Accounts::create("bus tests under the shipped policy") else { return };
    let policy = std::fs::read_to_string(root().join("config/dbus/org.metergate.Meter1.conf")).expect("the policy");
    let bus = DaemonBus::with_policy(&policy, &accounts);
    let setup = Setup { accounts: Some(&accounts), bus: Some(&bus), speed: 60.0, ..Setup::default() };
    let rig = Rig::start(setup);
    rig.wait_ready();
    rig.on_bus(bus_suite);
}

/// Without root the policy cannot be tried; the daemon and the interface still are.
#[test]
fn the_bus_tests_pass_on_dbus_daemon() {
    if !has_program("dbus-daemon") {
        return skip("bus tests", "dbus-daemon is not installed (Debian: dbus)");
    }
    let rig = Rig::start(Setup { speed: 60.0, ..Setup::default() });
    rig.wait_ready();
    rig.on_bus(bus_suite);
}
