//! Who may call the meter: the shipped policy on a real dbus-daemon, every role against every method.
//!
//! The roles resolve exactly as on a product (see `metergate_tests::policy`), and a control shows that a policy with
//! an unknown group would not pass unnoticed.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use metergate_tests::bus::DaemonBus;
use metergate_tests::policy::{Accounts, GROUPS, ROLES};
use metergate_tests::process::finish;
use metergate_tests::rig::{Rig, Setup};
use metergate_tests::xml::{self, Kind, Method};
use metergate_tests::{SOON, root};

const SERVICE: &str = "org.metergate.Meter1";
const OBJECT: &str = "/org/metergate/Meter1";

fn policy() -> String {
    std::fs::read_to_string(root().join("config/dbus/org.metergate.Meter1.conf")).expect("the shipped policy")
}

/// All methods of the locked interfaces, and the standard ones that every object has.
fn methods() -> Vec<Method> {
    let folder = root().join("config/dbus/interfaces");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("the locked interfaces").flatten().map(|e| e.path()).collect();
    files.sort();
    let mut all: Vec<Method> = Vec::new();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "xml")) {
        all.extend(xml::methods(&std::fs::read_to_string(file).expect("read an interface")));
    }
    assert!(all.len() > 10, "the interfaces are not locked: see tests/README.md");
    let standard = [
        ("org.freedesktop.DBus.Properties", "Get"),
        ("org.freedesktop.DBus.Properties", "GetAll"),
        ("org.freedesktop.DBus.Properties", "Set"),
        ("org.freedesktop.DBus.Introspectable", "Introspect"),
        ("org.freedesktop.DBus.Peer", "Ping"),
    ];
    let standard = standard.map(|(i, n)| Method { interface: i.into(), name: n.into(), inputs: Vec::new() });
    all.extend(standard);
    all
}

/// One `allow` or `deny` of the policy.
#[derive(Debug)]
struct Rule {
    allow: bool,
    /// `group:NAME`, `user:NAME` or `default`.
    who: String,
    own: Option<String>,
    destination: Option<String>,
    interface: Option<String>,
    member: Option<String>,
}

fn rules(text: &str) -> Vec<Rule> {
    let mut who = String::new();
    let mut rules = Vec::new();
    for tag in xml::tags(text) {
        let get = |name: &str| tag.get(name).map(str::to_owned);
        match (tag.name.as_str(), tag.kind) {
            ("policy", Kind::Open) => {
                who = match (get("group"), get("user"), get("context")) {
                    (Some(group), _, _) => format!("group:{group}"),
                    (_, Some(user), _) => format!("user:{user}"),
                    (_, _, context) => context.expect("a policy for somebody"),
                }
            }
            ("allow" | "deny", Kind::Open | Kind::Empty) => rules.push(Rule {
                allow: tag.name == "allow",
                who: who.clone(),
                own: get("own"),
                destination: get("send_destination"),
                interface: get("send_interface"),
                member: get("send_member"),
            }),
            _ => {}
        }
    }
    rules
}

/// Groups that the policy lets call each method.
fn grants(rules: &[Rule]) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut grants: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for rule in rules.iter().filter(|r| r.allow) {
        if let (Some(group), Some(interface), Some(member)) =
            (rule.who.strip_prefix("group:"), &rule.interface, &rule.member)
        {
            grants.entry((interface.clone(), member.clone())).or_default().insert(group.to_owned());
        }
    }
    grants
}

#[test]
fn no_rule_opens_more_than_it_names() {
    let rules = rules(&policy());
    let sysusers = std::fs::read_to_string(root().join("systemd/metergate.sysusers.conf")).expect("the sysusers file");
    let made: BTreeSet<_> = sysusers.lines().filter_map(|l| l.split_whitespace().nth(1)).collect();
    for rule in &rules {
        assert!(rule.own.is_some() || rule.destination.is_some(), "a rule for every service on the bus: {rule:?}");
        assert!(rule.own.is_none() || rule.own.as_deref() == Some(SERVICE), "{rule:?}");
        assert!(rule.destination.is_none() || rule.destination.as_deref() == Some(SERVICE), "{rule:?}");
        if rule.allow && rule.destination.is_some() {
            assert!(rule.interface.is_some() && rule.member.is_some(), "an allow without a member: {rule:?}");
            assert!(rule.who.starts_with("group:"), "calls are allowed by group only: {rule:?}");
            assert_ne!(
                rule.member.as_deref(),
                Some("Set").filter(|_| rule.interface.as_deref() == Some("org.freedesktop.DBus.Properties")),
                "nobody sets properties: {rule:?}"
            );
        }
        if rule.allow && rule.own.is_some() {
            assert_eq!(rule.who, "user:registerd");
        }
        if let Some(name) = rule.who.split_once(':').map(|(_, n)| n) {
            assert!(made.contains(name), "{name} is not made by the sysusers file");
        }
    }
    let denied = |f: fn(&Rule) -> bool| rules.iter().any(|r| !r.allow && r.who == "default" && f(r));
    assert!(denied(|r| r.own.is_some()) && denied(|r| r.destination.is_some()), "the default is not deny");
}

/// A method that is added to an interface and to no group, or a changing one that readers may call, is a mistake.
#[test]
fn every_method_has_the_group_that_its_effect_asks_for() {
    let grants = grants(&rules(&policy()));
    let methods = methods();
    for method in methods.iter().filter(|m| m.interface.starts_with(SERVICE)) {
        let key = (method.interface.clone(), method.name.clone());
        let groups = grants.get(&key).unwrap_or_else(|| panic!("no group may call {key:?}"));
        let changes = method.inputs.iter().any(|i| i == "origin");
        assert_eq!(groups.contains("metergate-read"), !changes, "{key:?} changes something: {changes}");
        assert_eq!(groups.len(), 1, "{key:?} is granted twice");
    }
    for (interface, member) in grants.keys().filter(|(i, _)| i.starts_with(SERVICE)) {
        assert!(methods.iter().any(|m| (&m.interface, &m.name) == (interface, member)), "{interface}.{member} is gone");
    }
}

/// What a call without arguments came to: the bus refused it, or it reached the service (whatever that said).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Denied,
    Reached,
}

fn call(accounts: &Accounts, bus: &str, user: &str, method: &Method, args: &[&str]) -> (Outcome, String) {
    let mut command: Command = accounts.command(user, "busctl");
    command.arg(format!("--address={bus}")).args(["--timeout=20", "call", SERVICE, OBJECT]);
    command.args([&method.interface, &method.name]).args(args);
    let done = finish(command, SOON);
    let text = format!("{}{}", done.out, done.err);
    // The service itself never answers with this error name; only the bus does.
    let denied = done.code != Some(0)
        && (text.contains("Access denied") || text.contains("AccessDenied") || text.contains("rejected send message"));
    (if denied { Outcome::Denied } else { Outcome::Reached }, text)
}

fn method(interface: &str, name: &str) -> Method {
    Method { interface: format!("{SERVICE}.{interface}"), name: name.into(), inputs: Vec::new() }
}

#[test]
fn every_role_reaches_exactly_what_its_groups_grant() {
    let Some(accounts) = Accounts::create("policy: every role against every method") else { return };
    let bus = DaemonBus::with_policy(&policy(), &accounts);
    let rig = Rig::start(Setup { accounts: Some(&accounts), bus: Some(&bus), ..Setup::default() });
    rig.wait_ready();
    let grants = grants(&rules(&policy()));
    let (mut allowed, mut denied) = (BTreeMap::<&str, u32>::new(), BTreeMap::<&str, u32>::new());
    for method in methods() {
        let granted = grants.get(&(method.interface.clone(), method.name.clone())).cloned().unwrap_or_default();
        for (user, groups) in ROLES {
            let expected = if groups.iter().any(|g| granted.contains(*g)) { Outcome::Reached } else { Outcome::Denied };
            // Without arguments: a method that takes some answers "invalid arguments", which is an answer.
            let (outcome, text) = call(&accounts, &bus.address, user, &method, &[]);
            assert_eq!(outcome, expected, "{user} calls {}.{}: {text}", method.interface, method.name);
            *(if outcome == Outcome::Reached { &mut allowed } else { &mut denied }).entry(user).or_default() += 1;
        }
    }
    for (user, groups) in ROLES {
        assert!(groups.is_empty() || allowed.contains_key(user), "{user} may call nothing: the test proves nothing");
        assert!(denied.contains_key(user), "{user} is denied nothing");
    }
    assert!(!bus.complaints().iter().any(|l| l.to_lowercase().contains("unknown group")), "{:?}", bus.complaints());

    // With real arguments, as people call: a value comes back, a command is carried out.
    let (_, text) = call(&accounts, &bus.address, "mt-reader", &method("Register", "Read"), &["as", "1", "1.8.0"]);
    assert!(text.starts_with("a(s(xnytu)) 1 \"1.1.1.8.0.255\""), "{text}");
    let adjust = ["xs", "1000", "test"];
    let (outcome, text) = call(&accounts, &bus.address, "mt-operator", &method("Clock", "Adjust"), &adjust);
    assert!(outcome == Outcome::Reached && !text.contains("failed"), "{text}");
    let (outcome, _) = call(&accounts, &bus.address, "mt-reader", &method("Clock", "Adjust"), &adjust);
    assert_eq!(outcome, Outcome::Denied);
}

#[test]
fn only_registerd_may_own_the_name() {
    let Some(accounts) = Accounts::create("policy: owning the name") else { return };
    let bus = DaemonBus::with_policy(&policy(), &accounts);
    let request = |user: &str| {
        let mut command = accounts.command(user, "busctl");
        command.arg(format!("--address={}", bus.address)).args([
            "call",
            "org.freedesktop.DBus",
            "/org/freedesktop/DBus",
        ]);
        command.args(["org.freedesktop.DBus", "RequestName", "su", SERVICE, "4"]);
        finish(command, SOON)
    };
    assert_eq!(request("registerd").code, Some(0), "registerd cannot own its name");
    for (user, _) in ROLES {
        let done = request(user);
        assert_ne!(done.code, Some(0), "{user} took the meter's name");
        assert!(done.err.contains("Access denied"), "{user}: {}", done.err);
    }
}

/// The control: dbus-daemon drops rules for a group that it cannot resolve, and then denials mean nothing. With the
/// groups resolved, the one allowed call of every role above would fail if that had happened.
#[test]
fn a_policy_with_an_unknown_group_denies_the_allowed_call() {
    let Some(accounts) = Accounts::create("policy: control with an unknown group") else { return };
    let read = method("Register", "List");
    let run = |policy: &str| {
        let bus = DaemonBus::with_policy(policy, &accounts);
        // The name must have an owner: the daemon looks at the rules only then.
        let rig = Rig::start(Setup { accounts: Some(&accounts), bus: Some(&bus), ..Setup::default() });
        rig.wait_name();
        call(&accounts, &bus.address, "mt-reader", &read, &[])
    };
    let (outcome, text) = run(&policy());
    assert_eq!(outcome, Outcome::Reached, "{text}");
    assert!(GROUPS.iter().all(|g| policy().contains(g)));
    let (outcome, text) = run(&policy().replace("group=\"metergate-read\"", "group=\"metergate-reed\""));
    assert_eq!(outcome, Outcome::Denied, "a misspelt group went unnoticed: {text}");
}
