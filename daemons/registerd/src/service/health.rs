//! The health report: one line per part, with the figures a person asks for.

use super::{Context, LIVE_MAX};
use crate::live::Live;
use meter_bus::{HealthItem, level};
use meter_kit::store::writer::Trouble;
use meter_model::ClockQuality;

pub(super) fn report(context: &Context) -> Vec<HealthItem> {
    let live = context.live.borrow().clone();
    let item = |name: &str, level: &str, detail: String| HealthItem { name: name.into(), level: level.into(), detail };
    let (link_level, link) = link(&live);
    let (store_level, store) = store(context);
    let (clock_level, clock) = match live.wall.quality {
        ClockQuality::Valid => (level::OK, "valid"),
        ClockQuality::Holdover => (level::WARNING, "running without reference"),
        ClockQuality::Invalid => (level::WARNING, "invalid: rows are marked"),
    };
    let (heads_level, heads) = match &live.heads {
        None => (level::WARNING, "not compared yet".into()),
        Some(f) if f.is_empty() => (level::OK, "agree with the coprocessor's".into()),
        Some(f) => (level::FAULT, f.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
    };
    let (telemetry_level, telemetry) = telemetry(&live);
    let age = live.at.elapsed();
    let meter_level = if age > LIVE_MAX { level::FAULT } else { level::OK };
    let software = if context.identity.legal {
        (level::OK, format!("legal binary {}", context.identity.software_id))
    } else {
        (level::WARNING, format!("demonstration build {}: not for billing", context.identity.software_id))
    };
    vec![
        item("link", link_level, link),
        item("meter", meter_level, format!("values published {} ms ago", age.as_millis())),
        item("store", store_level, store),
        item("telemetry", telemetry_level, telemetry),
        item("clock", clock_level, clock.into()),
        item("chains", heads_level, heads),
        item("software", software.0, software.1),
    ]
}

/// Expendable, so nothing here is a fault of the meter.
fn telemetry(live: &Live) -> (&'static str, String) {
    let state = &live.telemetry;
    let place = state.place.unwrap_or_default();
    let detail = format!("{} reports committed, newest {}, {} lost", state.committed, place.report, place.lost);
    match (&state.trouble, state.open) {
        (Some(trouble), _) => (level::WARNING, format!("{trouble}; the coprocessor keeps what comes; {detail}")),
        (None, false) => (level::WARNING, "not open yet".into()),
        (None, true) => (level::OK, detail),
    }
}

fn link(live: &Live) -> (&'static str, String) {
    let Live { pump, stats, .. } = live;
    let counts = format!(
        "{} exchanges, {} missing, {} bad pages, {} resyncs, {} reopens, {} resets, slowest page {} us, {} boots, \
         {} events lost, {} history records lost",
        pump.exchanges,
        pump.missing,
        pump.bad,
        pump.resyncs,
        pump.reopens,
        pump.resets,
        pump.slowest_us,
        stats.boots,
        stats.events_lost,
        stats.history_lost
    );
    let error = live.link_error.as_deref().unwrap_or("no page armed");
    let silent = live.silent_us / 1000;
    match (live.link_lost, &live.hello) {
        (true, _) => (level::FAULT, format!("silent for {silent} ms ({error}); {counts}")),
        (false, None) => (level::WARNING, format!("no hello yet; {counts}")),
        (false, Some(_)) => (level::OK, format!("last good page {silent} ms ago; {counts}")),
    }
}

fn store(context: &Context) -> (&'static str, String) {
    let health = context.store.health();
    let counts =
        format!("{} units waiting, {} commits, {} retries", health.waiting(), health.commits(), health.retries());
    match health.trouble() {
        Some(Trouble::Full) => {
            (level::FAULT, format!("disk full: units are kept in memory and nothing is acknowledged; {counts}"))
        }
        Some(_) => (level::FAULT, format!("database locked by another process; {counts}")),
        None if health.progress().stuck() => (level::FAULT, format!("a commit hangs; {counts}")),
        None => (level::OK, counts),
    }
}
