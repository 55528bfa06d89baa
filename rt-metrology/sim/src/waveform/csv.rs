//! CSV with one header line: a column per channel, a row per sample.
//!
//! The separator is found in the header (tab, semicolon or comma). With semicolons or tabs a decimal comma is understood.
//! Roles come from `--channels` by name, from `--columns` by position, or from the header's names.

use std::path::Path;

use super::{LoadOptions, Role, WaveformError};

/// A table: name and role of each column that is used, and its values.
#[derive(Debug)]
pub(super) struct Table {
    pub columns: Vec<(String, Role, Vec<f64>)>,
    /// From a time column, s per sample; the mean over the file.
    pub period_s: Option<f64>,
    pub rows: usize,
}

pub(super) fn load(path: &Path, options: &LoadOptions) -> Result<Table, WaveformError> {
    let text = super::text::decode(&super::read(path)?);
    let mut lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
    let (_, header) = lines.next().ok_or_else(|| WaveformError::bad(path, 0, "empty"))?;
    let separator = ['\t', ';', ','].into_iter().find(|s| header.contains(*s)).unwrap_or(',');
    let names: Vec<&str> = header.split(separator).map(|n| n.trim().trim_matches('"')).collect();
    if names.iter().all(|n| n.parse::<f64>().is_ok()) {
        return Err(WaveformError::bad(path, 1, "the first line must name the columns"));
    }
    let roles = roles(path, &names, options)?;
    let time = names.iter().position(|n| is_time(n)).filter(|k| roles.get(*k).copied().flatten().is_none());
    let mut columns: Vec<(usize, String, Role, Vec<f64>)> = roles
        .iter()
        .enumerate()
        .filter_map(|(k, role)| role.map(|r| (k, names.get(k).unwrap_or(&"").to_string(), r, Vec::new())))
        .collect();
    if columns.is_empty() {
        return Err(WaveformError::NoChannels { path: path.to_owned() });
    }
    let (mut first_time, mut last_time, mut rows) = (None, None, 0usize);
    for (number, line) in lines {
        let fields: Vec<&str> = line.split(separator).map(|f| f.trim().trim_matches('"')).collect();
        let value = |k: usize, name: &str| -> Result<f64, WaveformError> {
            let text = fields.get(k).copied().unwrap_or("");
            let parsed = if separator == ',' { text.parse() } else { text.replace(',', ".").parse() };
            parsed.ok().filter(|v: &f64| v.is_finite()).ok_or_else(|| {
                WaveformError::bad(path, number + 1, &format!("column {name:?}: {text:?} is not a number"))
            })
        };
        for (k, name, _, samples) in &mut columns {
            samples.push(value(*k, name)?);
        }
        if let Some(k) = time
            && let Ok(t) = value(k, "time")
        {
            first_time.get_or_insert(t);
            last_time = Some(t);
        }
        rows += 1;
    }
    if rows == 0 {
        return Err(WaveformError::bad(path, 0, "no samples"));
    }
    let period_s = match (first_time, last_time) {
        (Some(first), Some(last)) if rows > 1 && last > first => Some((last - first) / (rows - 1) as f64),
        _ => None,
    };
    Ok(Table { columns: columns.into_iter().map(|(_, n, r, s)| (n, r, s)).collect(), period_s, rows })
}

fn is_time(name: &str) -> bool {
    matches!(name.to_ascii_lowercase().as_str(), "t" | "time" | "time_s" | "t_s" | "time (s)" | "time[s]" | "seconds")
}

/// One role (or none) per column.
fn roles(path: &Path, names: &[&str], options: &LoadOptions) -> Result<Vec<Option<Role>>, WaveformError> {
    if let Some(list) = &options.channels {
        let mut roles = vec![None; names.len()];
        for (role, k) in super::by_names(path, names, list)? {
            roles[k] = Some(role);
        }
        return Ok(roles);
    }
    let Some(given) = &options.columns else {
        return Ok(names.iter().map(|n| Role::parse(n).ok().or_else(|| Role::from_name(n, "", ""))).collect());
    };
    let mut roles = Vec::new();
    for part in given.split(',').map(str::trim) {
        let role = match part {
            "-" | "" => None,
            text => Some(Role::parse(text)?),
        };
        if role.is_some() && roles.contains(&role) {
            return Err(WaveformError::Option(format!("--columns: {part} twice")));
        }
        roles.push(role);
    }
    if roles.len() > names.len() {
        return Err(WaveformError::bad(
            path,
            1,
            &format!("--columns names {} columns, the file has {}", roles.len(), names.len()),
        ));
    }
    Ok(roles)
}
