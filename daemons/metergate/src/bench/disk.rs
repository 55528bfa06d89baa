//! What a day of metering writes to disk.

use std::fs;
use std::path::Path;

use anyhow::Context;
use meter_kit::store::Durability;
use metrology_sim::Scenario;
use metrology_sim::pages::LifeOptions;
use serde_json::{Value, json};

use crate::coprocessor::MeterType;
use crate::simulate::House;
use crate::times;

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
    let result = measure(&state, &options);
    // A folder that cannot be removed is a nuisance, not a wrong figure.
    let _ = fs::remove_dir_all(&state);
    let (made, lived, rows) = result?;
    Ok(json!({
        "bench": "disk-day",
        "method": "1440 minutes of a three-phase household through core and store, synchronous=FULL and the register \
                   ring; /proc/self/io; to_disk is 0 on a file system in memory",
        "folder": base,
        "rows": rows,
        "bytes_written": lived.written,
        "bytes_to_disk": lived.to_disk,
        "writes": lived.calls,
        "making_the_files": { "bytes_written": made.written, "bytes_to_disk": made.to_disk },
    }))
}

/// What the making of the files and the day itself wrote, and how many rows came of it.
fn measure(state: &Path, options: &LifeOptions) -> anyhow::Result<(Io, Io, u64)> {
    let begin = Io::now()?;
    let mut house = House::open(state, options, MeterType::ThreePhase, 15, Durability::Full)?;
    let open = Io::now()?;
    house.live(u64::from(options.days))?;
    let end = Io::now()?;
    Ok((open.since(&begin), end.since(&open), house.rows()))
}

/// What this process has written so far.
struct Io {
    written: u64,
    to_disk: u64,
    calls: u64,
}

impl Io {
    fn since(&self, before: &Io) -> Io {
        Io {
            written: self.written.saturating_sub(before.written),
            to_disk: self.to_disk.saturating_sub(before.to_disk),
            calls: self.calls.saturating_sub(before.calls),
        }
    }

    fn now() -> anyhow::Result<Io> {
        let text = fs::read_to_string("/proc/self/io").context("/proc/self/io")?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.and_then(|value| value.parse().ok()).with_context(|| format!("/proc/self/io has no {name}"))
        };
        Ok(Io { written: field("wchar")?, to_disk: field("write_bytes")?, calls: field("syscw")? })
    }
}
