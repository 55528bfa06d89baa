//! What a day of metering writes to disk.

use std::fs;
use std::path::Path;

use anyhow::Context;
use meter_kit::store::Durability;
use metrology_sim::Scenario;
use metrology_sim::pages::LifeOptions;
use serde_json::{Value, json};

use crate::coprocessor::MeterType;
use crate::{simulate, times};

/// 2026-03-01, an ordinary Sunday.
const BEGIN: &str = "2026-03-01";

/// A simulated day through the real core and store with every commit waited for.
pub fn day(dir: Option<&Path>) -> anyhow::Result<Value> {
    let base = dir.map_or_else(std::env::temp_dir, Path::to_owned);
    let state = base.join(format!("metergate-disk-day-{}", std::process::id()));
    let options = LifeOptions {
        meter_type: MeterType::ThreePhase.simulated(),
        scenario: Scenario::load("household")?,
        seed: 1,
        start_us: times::parse(BEGIN).map_err(anyhow::Error::msg)?,
        days: 1,
        faults: 0,
    };
    let before = Io::now()?;
    let result = simulate::live(&state, &options, MeterType::ThreePhase, 15, Durability::Full);
    let after = Io::now()?;
    // A folder that cannot be removed is a nuisance, not a wrong figure.
    let _ = fs::remove_dir_all(&state);
    let outcome = result?;
    Ok(json!({
        "bench": "disk-day",
        "method": "1440 minutes through core and store, synchronous=FULL and the register ring; /proc/self/io before and \
                   after, making the files included; bytes_to_disk is 0 on a file system in memory",
        "folder": base,
        "rows": outcome.rows.iter().map(|(_, n)| n).sum::<u64>(),
        "bytes_written": after.written - before.written,
        "bytes_to_disk": after.to_disk - before.to_disk,
        "writes": after.calls - before.calls,
        "seconds": outcome.seconds,
    }))
}

/// What this process has written so far.
struct Io {
    written: u64,
    to_disk: u64,
    calls: u64,
}

impl Io {
    fn now() -> anyhow::Result<Io> {
        let text = fs::read_to_string("/proc/self/io").context("/proc/self/io")?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.and_then(|value| value.parse().ok()).with_context(|| format!("/proc/self/io has no {name}"))
        };
        Ok(Io { written: field("wchar")?, to_disk: field("write_bytes")?, calls: field("syscw")? })
    }
}
