//! What every long-running command does first.

use anyhow::Context;

/// Set by the demo for its children: its process id.
pub const PARENT_ENV: &str = "METERGATE_PARENT";

/// Starts logging, and ties the process to the demo when it is one of its children.
///
/// # Errors
/// The demo that started this process is gone already.
pub fn begin(name: &str) -> anyhow::Result<()> {
    meter_kit::logging::init(name);
    if let Ok(parent) = std::env::var(PARENT_ENV) {
        let parent = parent.parse().with_context(|| format!("{PARENT_ENV} is no process id"))?;
        meter_kit::parent::die_with_parent(parent)?;
    }
    Ok(())
}
