//! Configuration: one TOML file and its drop-ins.
//!
//! `registerd.toml` is read first, then every `registerd.toml.d/*.toml` in the order of names; a later key replaces
//! an earlier one. Unknown keys, wrong types and impossible values are errors with file and line, and nothing
//! starts with half a configuration. Settings types have a default for every key
//! (`#[serde(default, deny_unknown_fields)]`), so that each file can be checked on its own.

use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// The drop-in folder of `NAME.toml` is `NAME.toml.d`.
const DROP_IN_SUFFIX: &str = "d";
/// Files larger than this are not configuration: the longest shipped one has a few kilobytes.
const FILE_MAX: u64 = 1 << 20;

/// What a settings type knows about itself beyond its types.
pub trait Settings: DeserializeOwned {
    /// Refuses values that cannot be meant.
    ///
    /// # Errors
    /// The first impossible value, with its key as `table.key`.
    fn check(&self) -> Result<(), Impossible>;
}

/// A value of the right type that cannot be meant. The writer of the file is at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impossible {
    /// `table.key`.
    pub key: &'static str,
    /// What is wrong and what would be right, in one sentence.
    pub reason: String,
}

impl Impossible {
    /// Shorthand.
    pub fn new(key: &'static str, reason: impl Into<String>) -> Impossible {
        Impossible { key, reason: reason.into() }
    }
}

/// Why there is no configuration. The daemon does not start (or keeps what it has).
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read: missing, no permission, not a file.
    #[error("{}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The writer's fault: no TOML, an unknown key, a wrong type or an impossible value.
    #[error("{}:{line}: {reason}", file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// One sentence.
        reason: String,
    },
}

/// Reads `path` and its drop-ins.
///
/// # Errors
/// See [`ConfigError`]. A missing drop-in folder is none.
pub fn load<T: Settings>(path: &Path) -> Result<T, ConfigError> {
    let mut texts = vec![(path.to_owned(), read(path)?)];
    for file in drop_ins(path)? {
        let text = read(&file)?;
        texts.push((file, text));
    }
    merge(&texts)
}

/// Checks one text as if it stood in `file`: for settings that arrive over the bus.
///
/// # Errors
/// See [`ConfigError`].
pub fn parse<T: Settings>(file: &Path, text: &str) -> Result<T, ConfigError> {
    merge(&[(file.to_owned(), text.to_owned())])
}

fn read(file: &Path) -> Result<String, ConfigError> {
    let error = |source| ConfigError::Read { file: file.to_owned(), source };
    let length = std::fs::metadata(file).map_err(error)?.len();
    if length > FILE_MAX {
        return Err(error(std::io::Error::other("larger than 1 MiB, not a configuration file")));
    }
    std::fs::read_to_string(file).map_err(error)
}

fn drop_ins(path: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(DROP_IN_SUFFIX);
    let folder = PathBuf::from(name);
    let error = |source| ConfigError::Read { file: folder.clone(), source };
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(error(e)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.map_err(error)?.path();
        if file.extension().is_some_and(|e| e == "toml") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn merge<T: Settings>(texts: &[(PathBuf, String)]) -> Result<T, ConfigError> {
    let mut all = toml::Table::new();
    for (file, text) in texts {
        // Alone first: only then does an error know its line.
        let wrong = |e: toml::de::Error| ConfigError::Wrong {
            file: file.clone(),
            line: e.span().map_or(1, |span| line_of(text, span.start)),
            reason: one_line(e.message()),
        };
        toml::from_str::<T>(text).map_err(wrong)?;
        merge_table(&mut all, toml::from_str::<toml::Table>(text).map_err(wrong)?);
    }
    let whole = |line, reason| {
        let file = texts.first().map(|(file, _)| file.clone()).unwrap_or_default();
        ConfigError::Wrong { file, line, reason }
    };
    let settings = T::deserialize(all).map_err(|e| whole(1, one_line(e.message())))?;
    match settings.check() {
        Ok(()) => Ok(settings),
        Err(Impossible { key, reason }) => {
            let reason = format!("{key}: {reason}");
            // The last file that sets the key is the one in force; a default belongs to no line.
            let place = texts.iter().rev().find_map(|(file, text)| Some((file, line_of_key(text, key)?)));
            Err(match place {
                Some((file, line)) => ConfigError::Wrong { file: file.clone(), line, reason },
                None => whole(1, reason),
            })
        }
    }
}

fn merge_table(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge_table(old, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|b| **b == b'\n').count()
}

/// Line of `table.key` in `text`, `None` when the text does not set it.
fn line_of_key(text: &str, key: &str) -> Option<usize> {
    let document = toml::de::DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut parts = key.split('.').peekable();
    loop {
        let part = parts.next()?;
        let (name, value) = table.iter().find(|(name, _)| name.get_ref().as_ref() == part)?;
        if parts.peek().is_none() {
            return Some(line_of(text, name.span().start));
        }
        table = value.get_ref().as_table()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Sample {
        meter: Meter,
        name: String,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Meter {
        period: u32,
        serial: String,
    }

    impl Default for Meter {
        fn default() -> Meter {
            Meter { period: 15, serial: "0".into() }
        }
    }

    impl Settings for Sample {
        fn check(&self) -> Result<(), Impossible> {
            match self.meter.period {
                15 | 30 | 60 => Ok(()),
                other => Err(Impossible::new("meter.period", format!("{other} is none of 15, 30, 60"))),
            }
        }
    }

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = dir.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let path = dir.path().join("a.toml");
        (dir, path)
    }

    fn error(files: &[(&str, &str)]) -> String {
        let (dir, path) = folder(files);
        let text = load::<Sample>(&path).unwrap_err().to_string();
        text.replace(&format!("{}/", dir.path().display()), "")
    }

    #[test]
    fn later_drop_ins_win_key_by_key() {
        let (_dir, path) = folder(&[
            ("a.toml", "name = 'x'\n[meter]\nperiod = 30\nserial = '7'\n"),
            ("a.toml.d/10.toml", "[meter]\nperiod = 60\n"),
            ("a.toml.d/05.toml", "[meter]\nperiod = 15\n"),
            ("a.toml.d/readme.txt", "not configuration"),
        ]);
        let expected = Sample { name: "x".into(), meter: Meter { period: 60, serial: "7".into() } };
        assert_eq!(load::<Sample>(&path).unwrap(), expected);
    }

    #[test]
    fn errors_name_file_line_and_reason() {
        let unknown = error(&[("a.toml", "name = 'x'\n[meter]\n\nspeed = 3\n")]);
        assert!(unknown.starts_with("a.toml:4: unknown field `speed`"), "{unknown}");
        let wrong_type = error(&[("a.toml", ""), ("a.toml.d/1.toml", "[meter]\nperiod = 'x'\n")]);
        assert!(wrong_type.starts_with("a.toml.d/1.toml:2: invalid type"), "{wrong_type}");
        let syntax = error(&[("a.toml", "name = \n")]);
        assert!(syntax.starts_with("a.toml:1: "), "{syntax}");
        assert!(error(&[]).contains("No such file"));
    }

    #[test]
    fn an_impossible_value_is_found_where_it_was_set_last() {
        let files = [("a.toml", "[meter]\nperiod = 15\n"), ("a.toml.d/1.toml", "name = ''\n[meter]\nperiod = 7\n")];
        assert_eq!(error(&files), "a.toml.d/1.toml:3: meter.period: 7 is none of 15, 30, 60");
    }
}
