//! What any caller may rely on, whatever bus carries it: run on the demo's private bus and on a dbus-daemon with the
//! shipped policy.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures_util::StreamExt;
use meter_bus::{
    ClockProxy, ConfigProxy, Error, EventLogProxy, ExportHeader, HealthProxy, IdentityProxy, ProfileProxy, ROWS_MAX,
    RegisterProxy, SnapshotProxy, level,
};
use zbus::Connection;

use crate::SOON;

/// An energy that every meter type counts.
const A_PLUS: &str = "1.1.1.8.0.255";

/// All of it, on a meter that measures and runs fast enough to end an interval within [`SOON`].
///
/// # Errors
/// The first promise that is not kept.
pub async fn bus_suite(bus: Connection) -> anyhow::Result<()> {
    identity(&bus).await.context("Identity")?;
    registers(&bus).await.context("Register")?;
    snapshots(&bus).await.context("Snapshot")?;
    profiles(&bus).await.context("Profile")?;
    clock(&bus).await.context("Clock")?;
    configuration(&bus).await.context("Config")?;
    health(&bus).await.context("Health")?;
    properties_are_read_only(&bus).await.context("Properties")
}

async fn identity(bus: &Connection) -> anyhow::Result<()> {
    let who = IdentityProxy::new(bus).await?;
    ensure!(!who.serial().await?.is_empty(), "no serial number");
    let id = who.software_id().await?;
    ensure!(id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()), "software id {id:?}");
    ensure!(who.firmware_id().await?.len() == 64, "no firmware id after the hello");
    ensure!(!who.software_version().await?.is_empty() && !who.process_name().await?.is_empty(), "no version");
    Ok(())
}

async fn registers(bus: &Connection) -> anyhow::Result<()> {
    let registers = RegisterProxy::new(bus).await?;
    let list = registers.list().await?;
    let codes: BTreeSet<_> = list.iter().map(|r| r.obis.as_str()).collect();
    ensure!(codes.len() == list.len(), "a code twice");
    ensure!(codes.contains(A_PLUS), "no A+ among {codes:?}");
    let all = registers.read(&[]).await?;
    ensure!(all.iter().map(|r| r.obis.as_str()).collect::<BTreeSet<_>>() == codes, "Read() and List() disagree");
    for reading in &all {
        let info = list.iter().find(|i| i.obis == reading.obis).context("its description")?;
        let r = reading.reading;
        ensure!((r.scaler, r.unit) == (info.scaler, info.unit), "{} has another scaler or unit", info.obis);
        ensure!(r.reading().is_some(), "{} is no reading of this meter: {r:?}", info.obis);
    }
    let asked = ["1.1.14.7.0.255", "1.8.0", "1-1:2.8.0"];
    let got: Vec<_> = registers.read(&asked).await?.into_iter().map(|r| r.obis).collect();
    ensure!(got == ["1.1.14.7.0.255", A_PLUS, "1.1.2.8.0.255"], "asked {asked:?}, got {got:?}");
    expect(registers.read(&["1.1.99.99.99.255"]).await, |e| matches!(e, Error::NoSuchRegister(_)), "NoSuchRegister")?;
    expect(registers.read(&["one point eight"]).await, |e| matches!(e, Error::InvalidArgument(_)), "InvalidArgument")
}

async fn snapshots(bus: &Connection) -> anyhow::Result<()> {
    let snapshots = SnapshotProxy::new(bus).await?;
    let mut signals = snapshots.receive_snapshot().await?;
    let mut last = (0, i64::MIN);
    for _ in 0..3 {
        let signal = tokio::time::timeout(SOON, signals.next()).await.context("a snapshot")?.context("the signal")?;
        let args = signal.args()?;
        let energy = args.readings.iter().find(|r| r.obis == A_PLUS).context("A+ in it")?.reading;
        ensure!(args.usec > last.0 && energy.value >= last.1, "went back from {last:?} to {} {energy:?}", args.usec);
        last = (args.usec, energy.value);
    }
    let (usec, readings) = snapshots.last().await?;
    ensure!(usec >= last.0 && readings.iter().any(|r| r.obis == A_PLUS), "Last() is older than the signal");
    Ok(())
}

async fn profiles(bus: &Connection) -> anyhow::Result<()> {
    let profiles = ProfileProxy::new(bus).await?;
    let columns = profiles.columns("load").await?;
    ensure!(columns.iter().any(|c| c.obis == A_PLUS), "no A+ in the load profile");
    // The first interval ends.
    let started = std::time::Instant::now();
    let info = loop {
        let info = profiles.list().await?.into_iter().find(|p| p.name == "load").context("no load profile")?;
        if info.last_seq > 0 {
            break info;
        }
        ensure!(started.elapsed() < SOON, "no interval ended within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let (rows, _) = profiles.read_rows("load", info.first_seq, 0, 0, ROWS_MAX).await?;
    let first = rows.first().context("no rows")?;
    ensure!(first.values.len() == columns.len() && first.hash.len() == 32 && first.end > first.start, "{first:?}");
    let (one, next) = profiles.read_rows("load", info.first_seq, 0, 0, 1).await?;
    ensure!(one == rows[..1] && (next == 0 || next == first.seq + 1), "a page of one row: next {next}");
    let (none, _) = profiles.read_rows("load", 0, first.end, first.end, ROWS_MAX).await?;
    ensure!(none.is_empty(), "(end, end] holds nothing");
    let (same, _) = profiles.read_rows("load", 0, first.end - 1, first.end, ROWS_MAX).await?;
    ensure!(same == rows[..1], "(end - 1, end] holds the row");

    let file = profiles.export("load", first.seq, first.seq).await?;
    let mut bytes = Vec::new();
    std::fs::File::from(std::os::fd::OwnedFd::from(file)).read_to_end(&mut bytes)?;
    let (header, exported) = ExportHeader::decode(&bytes)?;
    ensure!((header.columns as usize, header.rows) == (columns.len(), 1), "{header:?}");
    let same =
        exported[0].seq == first.seq && exported[0].values == first.values && exported[0].hash[..] == first.hash[..];
    ensure!(same, "export and rows disagree: {exported:?} {first:?}");

    expect(profiles.columns("lood").await, |e| matches!(e, Error::NoSuchProfile(_)), "NoSuchProfile")?;
    for limit in [0, ROWS_MAX + 1] {
        let rows = profiles.read_rows("load", 0, 0, 0, limit).await;
        expect(rows, |e| matches!(e, Error::InvalidArgument(_)), "InvalidArgument")?;
    }
    Ok(())
}

async fn clock(bus: &Connection) -> anyhow::Result<()> {
    let (clock, log) = (ClockProxy::new(bus).await?, EventLogProxy::new(bus).await?);
    let (before, quality) = clock.now().await?;
    ensure!(quality <= 2, "quality {quality}");
    expect(clock.adjust(1000, "").await, |e| matches!(e, Error::InvalidArgument(_)), "InvalidArgument, no origin")?;
    let long = "x".repeat(meter_bus::ORIGIN_MAX + 1);
    expect(clock.adjust(1000, &long).await, |e| matches!(e, Error::InvalidArgument(_)), "InvalidArgument, long")?;
    let rows_before = log.read(0, ROWS_MAX).await?.0.len();
    clock.adjust(1000, "test:suite:1").await?;
    let started = std::time::Instant::now();
    while log.read(0, ROWS_MAX).await?.0.len() == rows_before {
        ensure!(started.elapsed() < SOON, "an adjustment left no row in the audit log");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ensure!(clock.now().await?.0 >= before, "meter time went back");
    Ok(())
}

async fn configuration(bus: &Connection) -> anyhow::Result<()> {
    let config = ConfigProxy::new(bus).await?;
    let text = config.current().await?;
    ensure!(!text.trim().is_empty(), "an empty configuration");
    for wrong in ["no_such_key = 1", "[meter]\nperiod_min = 7", "[meter"] {
        if config.apply(wrong, "test:suite:2").await.is_ok() {
            bail!("{wrong:?} was accepted");
        }
    }
    ensure!(config.current().await? == text, "a refused change changed something");
    Ok(())
}

async fn health(bus: &Connection) -> anyhow::Result<()> {
    let health = HealthProxy::new(bus).await?;
    let state = health.state().await?;
    ensure!(!state.is_empty() && state.iter().all(|i| i.level != level::FAULT), "{state:?}");
    let (well, findings) = health.verify().await?;
    ensure!(well, "{findings:?}");
    Ok(())
}

async fn properties_are_read_only(bus: &Connection) -> anyhow::Result<()> {
    let body = (meter_bus::interface::IDENTITY, "Serial", zbus::wire::Variant::from("1"));
    let properties = Some("org.freedesktop.DBus.Properties");
    let set = bus.call_method(Some(meter_bus::SERVICE), meter_bus::PATH, properties, "Set", &body).await;
    ensure!(set.is_err(), "a property could be set");
    Ok(())
}

fn expect<T: std::fmt::Debug>(
    result: Result<T, Error>,
    right: impl Fn(&Error) -> bool,
    name: &str,
) -> anyhow::Result<()> {
    match result {
        Err(error) if right(&error) => Ok(()),
        other => bail!("expected {name}, got {other:?}"),
    }
}
