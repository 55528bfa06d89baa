//! The command line as people and scripts meet it: help texts, exit codes, and one-line errors.

#![allow(clippy::unwrap_used)] // a failed unwrap fails the test

#[cfg(feature = "lab")]
use std::path::Path;
use std::process::{Command, Output};

fn metergate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_metergate"))
        .args(args)
        .env_remove("METERGATE_BUS")
        .env("METERGATE_LOG", "off")
        .output()
        .unwrap()
}

fn stdout(args: &[&str]) -> String {
    let output = metergate(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Exit code and the one line on stderr of a call that must fail with nothing on stdout.
fn failure(args: &[&str]) -> (i32, String) {
    let output = metergate(args);
    assert!(output.stdout.is_empty(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
#[cfg(feature = "demo")]
fn help_of_the_tool() {
    insta::assert_snapshot!(stdout(&["--help"]), @r"
    Electricity meter: the operator's tool

    Usage: metergate <COMMAND>

    Commands:
      demo         Run a whole meter on this machine: bus, virtual coprocessor, registerd, live view
      read         Print register values with unit and time
      profile      Print the rows of a logger (load profile, audit log, ...)
      top          Watch the meter live in the terminal
      clock        Show, set or adjust meter time
      verify       Check what a meter keeps: database, hash chains, interval sums, register ring
      config       Check configuration files
      muc          M-Bus meters of the house: decode their telegrams
      accuracy     Measure how exactly this meter measures: errors, limits of a class, margins
      replay       Run a recorded waveform through the measurement, print its quantities and events
      simulate     Live a meter's life at full speed, the same for the same seed
      link         Look into captured pages of the metrology link
      bench        Measure one figure of this build, print it as JSON
      coprocessor  Run the virtual coprocessor in the foreground
      registerd    Run the legal service in the foreground (on a product it is a binary of its own)

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Examples:
      metergate demo                                 a whole meter on this machine, with a live view
      METERGATE_BUS=unix:path=... metergate read     its registers (the demo prints the address)
      metergate profile load --last 4 --csv          the last hour of the load profile
      metergate verify --state DIR                   check a stopped meter's memory

    Exit codes: 0 success, 1 failure (one line on stderr says why), 2 wrong usage.
    ");
}

#[test]
#[cfg(feature = "demo")]
fn help_of_the_demo() {
    insta::assert_snapshot!(stdout(&["demo", "--help"]), @r"
    Run a whole meter on this machine: bus, virtual coprocessor, registerd, live view

    Usage: metergate demo [OPTIONS]

    Options:
          --state <DIR>               Folder for everything the meter keeps; it goes on where it stopped [default: a temporary one, removed at the end]
          --headless                  No live view: run until SIGTERM or Ctrl-C
          --capture <FILE>            Write every page of the metrology link to this file, for metergate link dump
          --qemu[=<ELF>]              The coprocessor is its real Cortex-M4F program under qemu-system-arm (--qemu=ELF: another build). It has no control socket
          --type <TYPE>               Meter type: one or three phases, three wires (aron), or behind current transformers (ct) [default: 3p] [possible values: 1p, 3p, aron, ct, ct-aron]
          --scenario <NAME|FILE>      Simulated grid and house: a built-in name (household, solar, ev, industry-ct, disturbed, quiet) or a TOML file [default: household, on CT types industry-ct]
          --waveform <FILE>           Recorded grid: COMTRADE .cfg (its .dat beside it) or .csv, looped at whole cycles
          --channels <ROLE=NAME,...>  Which channel of the record is which input, for example U1=UA,I1=IA [default: by phase and unit, or by name]
          --columns <ROLES>           CSV: the role of each column by position, for example u,i or -,u1,i1
          --rate <HZ>                 Samples per second, where the file does not say (CSV) or says it wrongly
          --u-scale <FACTOR>          Volts per unit of the record's voltages [default: as the record says; a meter that it is played to sees its nominal voltage as 230 V]
          --i-scale <FACTOR>          Amperes per unit of the record's currents [default: as the record says]
          --speed <N>                 Simulated seconds per second; 0 is as fast as possible [default: 1]
          --seed <S>                  Seed of everything that looks random [default: 1]
      -h, --help                      Print help

    Examples:
      metergate demo                                  live view; q or Ctrl-C ends it
      metergate demo --headless --state /tmp/house    until SIGTERM, and keep what the meter measured
      metergate demo --type 1p --scenario ev          a one-phase house with a car
      metergate demo --waveform fault.cfg             on a recorded grid (COMTRADE or CSV)
      metergate demo --qemu                           with the coprocessor's real ARM program, emulated

    While it runs, DIR/endpoints.json has the address of the bus:
      export METERGATE_BUS=unix:path=/tmp/house/run/bus
      metergate read
    The demo's rows carry the status not-legal: they are not for billing.
    ");
}

#[test]
fn help_of_read() {
    insta::assert_snapshot!(stdout(&["read", "--help"]), @r"
    Print register values with unit and time

    Usage: metergate read [OPTIONS] [OBIS]...

    Arguments:
      [OBIS]...  OBIS codes: C.D.E, A.B.C.D.E.F or A-B:C.D.E*F [default: all registers]

    Options:
          --json           One JSON document: a list of {obis, name, value, scaler, unit, at, status}
          --bus <ADDRESS>  D-Bus address of the meter's bus, for example unix:path=/run/meter/bus [default: the system bus] [env: METERGATE_BUS]
      -h, --help           Print help

    Examples:
      metergate read                        all registers
      metergate read 1.8.0 2.8.0            energy import and export
      metergate read --json 1-1:32.7.0      voltage L1 for a program

    The time is meter time, UTC. A register without a value shows the reason in its place; it is never zero instead.
    ");
}

#[test]
fn help_of_profile() {
    insta::assert_snapshot!(stdout(&["profile", "--help"]), @r"
    Print the rows of a logger (load profile, audit log, ...)

    Usage: metergate profile [OPTIONS] <NAME>

    Arguments:
      <NAME>  Which logger, for example load or audit (a wrong name lists those that the meter has)

    Options:
          --from <TIME>         Rows that end after this time
          --to <TIME>           Rows that end at or before this time
          --last <N>            The newest N rows
          --columns <NAME,...>  Only these columns, by name or OBIS code [default: all]
          --json                One JSON document: {name, obis, period_min, columns, rows}
          --csv                 Comma-separated values with a header line
          --bus <ADDRESS>       D-Bus address of the meter's bus, for example unix:path=/run/meter/bus [default: the system bus] [env: METERGATE_BUS]
      -h, --help                Print help

    Examples:
      metergate profile load --last 4                                  the last four intervals
      metergate profile load --from 2026-01-01 --to 2026-02-01 --csv   January, for a spreadsheet
      metergate profile load --last 96 --columns A+,A-,32.25.0        a day, three columns
      metergate profile audit --json                                   who changed what

    Rows are chosen by the end of their interval: --from T takes rows that end after T, --to T rows that end at or before T.
    Times are ISO 8601; without an offset they are UTC. A value that does not exist is - in the table, empty in CSV and null
    in JSON.
    ");
}

#[test]
#[cfg(feature = "lab")]
fn help_of_simulate() {
    insta::assert_snapshot!(stdout(&["simulate", "--help"]), @r"
    Live a meter's life at full speed, the same for the same seed

    Usage: metergate simulate [OPTIONS] --state <DIR> --from <DATE> --days <N> --seed <S>

    Options:
          --state <DIR>           Folder for the meter's life; must not hold one yet
          --from <DATE>           Begin, ISO 8601; without an offset it is UTC
          --days <N>              Length, days of 24 hours
          --seed <S>              Seed of everything that looks random
          --faults <LEVEL>        Outages, resets and clock changes: 0 none, 1 a few a month, 2 some a day, 3 many a day [default: 0]
          --durable               Wait for the disk at every commit, as a product does
          --type <TYPE>           Meter type [default: 3p] [possible values: 1p, 3p, aron, ct, ct-aron]
          --scenario <NAME|FILE>  House: a built-in name or a TOML file [default: household, on CT types industry-ct]
          --period <MIN>          Integration period of the load profile, minutes [default: 15] [possible values: 15, 30, 60]
          --json                  One JSON document: {state, days, rows, seconds, content_hash, ...}
      -h, --help                  Print help

    Examples:
      metergate simulate --state year --from 2026-01-01 --days 365 --seed 7
      metergate verify --state year
      metergate simulate --state rough --from 2026-01-01 --days 30 --seed 7 --faults 2 --json

    The same options give the same content: the printed content hash is over all rows and the settled registers. Without
    --durable the disk is not waited for, as nothing is lost that cannot be simulated again; with it, every minute is made
    durable as on a product, which is what its figure is for.
    ");
}

#[test]
#[cfg(feature = "lab")]
fn help_of_replay() {
    insta::assert_snapshot!(stdout(&["replay", "--help"]), @r"
    Run a recorded waveform through the measurement, print its quantities and events

    Usage: metergate replay [OPTIONS] <FILE>

    Arguments:
      <FILE>  COMTRADE .cfg, or CSV

    Options:
          --channels <ROLE=NAME,...>  Which channel of the record is which input, for example U1=UA,I1=IA [default: by phase and unit, or by name]
          --columns <ROLES>           CSV: the role of each column by position, for example u,i or -,u1,i1
          --rate <HZ>                 Samples per second, where the file does not say (CSV) or says it wrongly
          --u-scale <FACTOR>          Volts per unit of the record's voltages [default: as the record says; a meter that it is played to sees its nominal voltage as 230 V]
          --i-scale <FACTOR>          Amperes per unit of the record's currents [default: as the record says]
          --windows                   Also the values of each 200 ms window
          --json                      One JSON document: {rate, samples, f, phases, windows, events, ...}
      -h, --help                      Print help

    Examples:
      metergate replay fault.cfg                                        COMTRADE, its .dat beside it
      metergate replay fault.cfg --channels U1=UA,I1=IA --json
      metergate replay load.csv --rate 30000 --columns u,i --u-scale 0.0156 --i-scale 0.00061

    A CSV file has a header line and a row per sample; a time column gives the rate if --rate does not. --columns gives the
    role of each column by position: u (u1), u2, u3, i (i1), i2, i3, in, or - to skip it. --u-scale and --i-scale are volts
    and amperes per unit of the file.

    Quantities: u, i true RMS (V, A), p (W), q of the fundamental (var), s = u*i (VA), pf = p/s, over the whole record; f is
    the mean over the windows in which a frequency was tracked. Windows are 10 cycles at 50 Hz, 12 at 60 Hz. Dips and swells
    carry their cell of EN 50160 (residual voltage and length); channels that are clipped, stand still (stuck) or give nothing
    (missing) and currents that belong to other phases are said for the windows concerned.
    ");
}

#[test]
fn help_of_verify() {
    insta::assert_snapshot!(stdout(&["verify", "--help"]), @r"
    Check what a meter keeps: database, hash chains, interval sums, register ring

    Usage: metergate verify [OPTIONS]

    Options:
          --state <DIR>    State folder of a stopped meter [default: the running meter, over the bus]
          --json           One JSON document: {ok, checks, findings}
          --bus <ADDRESS>  D-Bus address of the meter's bus, for example unix:path=/run/meter/bus [default: the system bus] [env: METERGATE_BUS]
      -h, --help           Print help

    Examples:
      metergate verify --state /var/lib/metergate    a stopped meter's folder
      metergate verify                               the running meter, over the bus

    Checked are the database itself, the hash chain of every logger against its rows and against the chain's stored head,
    that intervals sum exactly to the registers, and the register ring. Nothing is changed. Exit code 1 when anything is
    wrong; each finding names the logger and the row.
    ");
}

/// Every command has examples or says what it is for; none is left with a bare usage line.
#[test]
fn every_command_has_a_help_text() {
    let commands: &[&[&str]] = &[&["read"], &["profile"], &["top"], &["clock"], &["verify"], &["config", "check"]];
    for command in commands {
        let text = stdout(&[command, &["--help"][..]].concat());
        assert!(text.contains("Example") && text.contains("metergate "), "{command:?}: {text}");
    }
}

#[test]
fn wrong_usage_is_code_2() {
    let wrong: &[&[&str]] = &[
        &[],
        &["nonsense"],
        &["read", "1.8"],
        &["read", "1.8.999"],
        &["profile"],
        &["profile", "load", "--last", "0"],
        &["profile", "load", "--last", "3", "--from", "2026-01-01"],
        &["profile", "load", "--json", "--csv"],
        &["profile", "load", "--from", "yesterday"],
        &["clock", "adjust", "fast"],
        &["clock", "set", "noon"],
        // No terminal.
        &["top"],
    ];
    for args in wrong {
        let (code, message) = failure(args);
        assert_eq!(code, 2, "{args:?}: {message}");
        assert!(!message.is_empty());
    }
}

#[test]
#[cfg(feature = "lab")]
fn wrong_usage_of_the_laboratory_is_code_2() {
    let wrong: &[&[&str]] = &[
        &["demo", "--type", "4p"],
        &["demo", "--speed", "-1"],
        &["demo", "--scenario", "ev", "--waveform", "x.cfg"],
        &["demo", "--seed", "x"],
        &["simulate", "--state", "x"],
        &["simulate", "--state", "x", "--from", "2026-01-01", "--days", "0", "--seed", "1"],
        &["replay"],
        &["replay", "x.csv", "--rate", "0"],
        &["bench", "nonsense"],
        &["coprocessor", "--socket", "x", "--nv", "y", "--faults", "bits=2"],
    ];
    for args in wrong {
        let (code, message) = failure(args);
        assert_eq!(code, 2, "{args:?}: {message}");
    }
}

#[test]
fn a_bus_that_is_not_there_is_one_line_and_code_1() {
    for args in [&["read"][..], &["profile", "load"], &["clock"], &["verify"]] {
        let bus = "unix:path=/nonexistent/bus";
        let (code, message) = failure(&[args, &["--bus", bus]].concat());
        assert_eq!((code, message.lines().count()), (1, 1), "{message}");
        assert!(message.starts_with(&format!("metergate: cannot connect to the bus at {bus}: ")), "{message}");
    }
}

#[test]
#[cfg(feature = "lab")]
fn a_wrong_file_is_one_line_and_code_1() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("bad.toml"), "name = \"x\"\n\n[grid]\nvolts = 3\n").unwrap();
    std::fs::write(path("empty.csv"), "").unwrap();
    std::fs::write(path("link.pcap"), "nothing").unwrap();
    std::fs::write(path("file"), "").unwrap();
    let state = path("file/state");
    let cases: &[(&[&str], &str)] = &[
        (&["demo", "--headless", "--scenario", &path("bad.toml")], "unknown field `volts`"),
        (&["demo", "--headless", "--scenario", "nowhere"], "no scenario \"nowhere\""),
        (&["demo", "--headless", "--waveform", &path("none.cfg")], "none.cfg"),
        (&["demo", "--headless", "--state", &state], "cannot make the state folder"),
        (&["replay", &path("empty.csv")], "empty"),
        (&["replay", &path("none.csv")], "No such file"),
        (&["link", "dump", &path("link.pcap")], "not a capture of link pages"),
        (&["verify", "--state", &path("none")], "no meter in"),
        (&["config", "check", &path("none")], "cannot read"),
        (&["config", "check", &path("")], "no registerd.toml"),
    ];
    for (args, reason) in cases {
        let (code, message) = failure(args);
        assert_eq!((code, message.lines().count()), (1, 1), "{args:?}: {message}");
        assert!(message.starts_with("metergate: ") && message.contains(reason), "{args:?}: {message}");
    }
    assert!(!Path::new(&path("none")).exists(), "a look must not make anything");
}

#[test]
#[cfg(feature = "lab")]
fn config_check_names_file_line_and_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::create_dir(path("scenarios")).unwrap();
    std::fs::write(path("registerd.toml"), "[meter]\nperiod_min = 20\n").unwrap();
    std::fs::write(path("scenarios/a.toml"), "name = \"a\"\n").unwrap();
    std::fs::write(path("scenarios/b.toml"), "name = \"b\"\n\n[grid]\nvolts = 3\n").unwrap();
    let output = metergate(&["config", "check", &dir.path().display().to_string()]);
    let text = String::from_utf8(output.stdout).unwrap().replace(&format!("{}/", dir.path().display()), "");
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(text, @r"
    WRONG   registerd.toml:2: meter.period_min: integration period must be 15, 30 or 60 minutes
    ok      scenarios/a.toml
    WRONG   scenarios/b.toml:4: unknown field `volts`, expected one of `u_nominal`, `f_nominal`, `u_offset_percent`, `u_walk_percent`, `u_walk_s`, `f_walk_mhz`, `f_walk_s`, `f_offset_mhz`, `source_ohms`, `harmonics`
    ");

    let output = metergate(&["config", "check", "--json", &dir.path().display().to_string()]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["ok"], false);
    assert_eq!(document["files"].as_array().map(Vec::len), Some(3));
    assert_eq!(document["files"][1]["ok"], true);
}

#[test]
#[cfg(feature = "lab")]
fn the_shipped_configuration_is_right() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let text = stdout(&["config", "check", &config.display().to_string()]);
    assert!(text.lines().count() > 5 && text.lines().all(|line| line.starts_with("ok ")), "{text}");
}

/// `rate`, `samples`, `f`, `phases` with these keys, `windows` and `events`: other programs read them.
#[test]
#[cfg(feature = "lab")]
fn replay_json_has_its_documented_form() {
    use std::fmt::Write;

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.csv");
    let mut text = "t,volts,amps\n".to_owned();
    for n in 0..8000 {
        let t = f64::from(n) / 8000.0;
        let angle = std::f64::consts::TAU * 50.0 * t;
        // Counts: 0.1 V and 1 mA each.
        writeln!(text, "{t},{:.1},{:.1}", 3252.7 * angle.sin(), 7071.1 * angle.cos()).unwrap();
    }
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let args = ["replay", &file, "--json", "--columns", "-,u,i", "--u-scale", "0.1", "--i-scale", "0.001"];
    let document: serde_json::Value = serde_json::from_str(&stdout(&args)).unwrap();
    let keys: Vec<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
    for key in ["rate", "samples", "f", "phases", "windows", "events"] {
        assert!(keys.contains(&key), "{keys:?}");
    }
    let near = |value: &serde_json::Value, expected: f64, tolerance: f64| {
        let value = value.as_f64().unwrap();
        assert!((value - expected).abs() <= tolerance, "{value} is not {expected}");
    };
    near(&document["rate"], 8000.0, 0.01);
    assert_eq!(document["samples"], 8000);
    near(&document["f"], 50.0, 0.005);
    let phases = document["phases"].as_array().unwrap();
    assert_eq!(phases.len(), 3);
    near(&phases[0]["u"], 230.0, 0.2);
    near(&phases[0]["i"], 5.0, 0.005);
    near(&phases[0]["p"], 0.0, 2.0);
    // The current leads: capacitive.
    near(&phases[0]["q"], -1150.0, 3.0);
    near(&phases[0]["s"], 1150.0, 2.0);
    near(&phases[0]["pf"], 0.0, 0.002);
    for key in ["u", "i", "p", "q", "s", "pf", "thd_u", "thd_i"] {
        assert!(phases[1].as_object().unwrap().contains_key(key) && phases[1][key].is_null(), "{key}");
    }
    assert_eq!(document["events"].as_array().map(Vec::len), Some(0));
    assert!(document["windows"].as_array().unwrap().len() >= 4);
    // The same columns by name.
    let named = ["replay", &file, "--json", "--channels", "U1=volts,i1=AMPS", "--u-scale", "0.1", "--i-scale", "0.001"];
    let named: serde_json::Value = serde_json::from_str(&stdout(&named)).unwrap();
    assert_eq!(named, document);
}
