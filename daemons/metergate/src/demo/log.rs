//! Where the children's stderr goes: to the demo's own stderr, or to a file while the live view owns the terminal.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// A file that reaches this size begins anew: a demo that runs for weeks must not fill the disk. It holds some ten
/// thousand lines, the last of which are what one looks for.
const FILE_MAX: u64 = 4 << 20;
/// A longer line is cut before it is kept as somebody's last words.
const LAST_WORDS_MAX: usize = 500;

/// Lines of all children.
#[derive(Debug)]
pub struct Log {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// `None`: stderr.
    file: Option<(File, u64)>,
    last: BTreeMap<&'static str, String>,
}

impl Log {
    /// Lines go to stderr.
    pub fn to_stderr() -> Log {
        Log { inner: Mutex::new(Inner { file: None, last: BTreeMap::new() }) }
    }

    /// Lines go to a new file.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn to_file(path: &Path) -> io::Result<Log> {
        let file = File::create(path)?;
        Ok(Log { inner: Mutex::new(Inner { file: Some((file, 0)), last: BTreeMap::new() }) })
    }

    /// One line of the child `name`.
    pub fn line(&self, name: &'static str, line: &str) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.last.insert(name, line.chars().take(LAST_WORDS_MAX).collect());
        // A log that cannot be written must not stop the meter.
        let _ = inner.write(name, line);
    }

    /// The last line that the child wrote; empty when it wrote nothing.
    pub fn last_words(&self, name: &str) -> String {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.last.get(name).cloned().unwrap_or_default()
    }
}

impl Inner {
    fn write(&mut self, name: &str, line: &str) -> io::Result<()> {
        // A child's own log lines begin with its name.
        let line = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(line);
        let Some((file, length)) = &mut self.file else {
            return writeln!(io::stderr(), "{name}: {line}");
        };
        if *length > FILE_MAX {
            file.set_len(0)?;
            file.rewind()?;
            *length = 0;
        }
        *length += (name.len() + line.len() + 3) as u64;
        writeln!(file, "{name}: {line}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_stays_bounded_and_keeps_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = Log::to_file(&path).unwrap();
        let long = "x".repeat(1 << 16);
        for _ in 0..100 {
            log.line("a", &long);
        }
        log.line("a", "a: the end");
        assert!(std::fs::metadata(&path).unwrap().len() <= FILE_MAX + (1 << 17));
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("a: the end\n"));
        assert_eq!(log.last_words("a"), "a: the end");
        assert_eq!(log.last_words("b"), "");
    }
}
