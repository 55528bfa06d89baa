//! Log records go to the systemd journal when it listens, else to stderr, one line each.
//!
//! Key-values of `log` macros become journal fields. Records carry no time of their own: the journal stamps them,
//! and meter time belongs to meter data only.

use log::{LevelFilter, Log, Metadata, Record};
use std::io::Write;

/// Environment variable that overrides the level: `error warn info debug trace off`.
pub const LEVEL_ENV: &str = "METERGATE_LOG";

/// Starts logging for this process. Called twice, the second call has no effect.
pub fn init(name: &str) {
    let level = std::env::var(LEVEL_ENV).ok().and_then(|l| l.parse().ok()).unwrap_or(LevelFilter::Info);
    log::set_max_level(level);
    if systemd_journal_logger::connected_to_journal()
        && let Ok(journal) = systemd_journal_logger::JournalLog::new()
        && journal.with_syslog_identifier(name.to_owned()).install().is_ok()
    {
        return;
    }
    // An error means that a logger is already there.
    let _ = log::set_boxed_logger(Box::new(Stderr { name: name.to_owned() }));
}

struct Stderr {
    name: String,
}

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // zbus and its parts report through `tracing` at info what is debug to us.
        let ours = !metadata.target().starts_with("zbus") && !metadata.target().starts_with("tracing");
        metadata.level() <= log::max_level() && (ours || metadata.level() <= log::Level::Warn)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut line = format!("{}: {}: {}", self.name, record.level().as_str().to_lowercase(), record.args());
        let mut visitor = Fields(&mut line);
        // Only a key-value that fails to print itself can fail here; the message is still worth showing.
        let _ = record.key_values().visit(&mut visitor);
        line.push('\n');
        // Nobody is left to tell when stderr is gone.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

struct Fields<'a>(&'a mut String);

impl<'kvs> log::kv::VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: log::kv::Key<'kvs>, value: log::kv::Value<'kvs>) -> Result<(), log::kv::Error> {
        use std::fmt::Write;
        write!(self.0, " {key}={value}").map_err(log::kv::Error::from)
    }
}
