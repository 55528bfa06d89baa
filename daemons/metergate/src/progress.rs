//! Progress of long work: one line on stderr that is rewritten in place, on a terminal only. Piped, it is silent.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Often enough to look alive, seldom enough to cost nothing.
const REDRAW: Duration = Duration::from_millis(100);

/// A progress line; it vanishes when dropped.
#[derive(Debug)]
pub struct Progress {
    label: &'static str,
    shown: bool,
    terminal: bool,
    last: Instant,
}

impl Progress {
    /// A line that begins with `label`.
    pub fn new(label: &'static str) -> Progress {
        Progress { label, shown: false, terminal: stderr().is_terminal(), last: Instant::now() }
    }

    /// `done` of `total` things.
    pub fn set(&mut self, done: u64, total: u64) {
        if !self.terminal || (self.shown && self.last.elapsed() < REDRAW) {
            return;
        }
        self.last = Instant::now();
        self.shown = true;
        let percent = done.saturating_mul(100) / total.max(1);
        // Progress is a courtesy: a terminal that went away must not stop the work.
        let _ = write!(stderr(), "\r{} {done}/{total} ({percent} %)\x1b[K", self.label);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
