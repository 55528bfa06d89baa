//! COMTRADE records (IEEE C37.111-1991, -1999; IEC 60255-24 later editions as far as they are the same): a `.cfg` text
//! beside a `.dat`, ASCII or BINARY.
//!
//! Real records are awkward, so the reader is strict about numbers and lenient about form: text may be UTF-8 or cp1251,
//! file names match without case, empty lines are skipped, lines may lack trailing fields, the length of the data
//! decides over the count in the header, `nrates` may be 0 (then the time stamps count), a time stamp may be missing
//! (0xFFFFFFFF or an empty field: then the rate counts). Refused: BINARY32, FLOAT32, and anything where a number that
//! is needed is not there.

use std::path::{Path, PathBuf};

use super::WaveformError;

/// Analog channels a record may have. The standard allows 999 999; a megabyte of header text holds about this many.
const MAX_CHANNELS: usize = 10_000;

/// Rates that are believed, samples per second: from one a minute to what the fastest transient recorders do.
const RATES: std::ops::RangeInclusive<f64> = 0.016..=1e8;

/// One analog channel as recorded.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Analog {
    pub name: String,
    pub phase: String,
    pub unit: String,
    /// Time skew within the sample period, s.
    pub skew_s: f64,
    pub primary: f64,
    pub secondary: f64,
    /// The values are primary ones.
    pub is_primary: bool,
    pub a: f64,
    pub b: f64,
    pub samples: Vec<f64>,
}

/// A whole record.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub station: String,
    pub revision: u16,
    pub f_nominal: f64,
    pub start_us: Option<i64>,
    /// Instant of each sample from the first one, s.
    pub times: Vec<f64>,
    pub analog: Vec<Analog>,
    pub digital: usize,
    pub notes: Vec<String>,
}

struct Header {
    record: Record,
    /// (samples per second, last sample number).
    rates: Vec<(f64, usize)>,
    binary: bool,
    /// Microseconds per unit of the time stamp.
    time_factor: f64,
}

pub(super) fn load(cfg: &Path) -> Result<Record, WaveformError> {
    let text = super::text::decode(&super::read(cfg)?);
    let mut header = parse_cfg(cfg, &text)?;
    let dat = companion(cfg)?;
    let bytes = super::read(&dat)?;
    let stamps = if header.binary {
        binary(&mut header, &bytes, &dat)?
    } else {
        ascii(&mut header, &super::text::decode(&bytes), &dat)?
    };
    let announced = header.rates.last().map(|r| r.1);
    let count = stamps.len();
    if count == 0 {
        return Err(WaveformError::bad(&dat, 0, "no samples"));
    }
    if let Some(announced) = announced
        && announced != count
    {
        header.record.notes.push(format!("the header says {announced} samples, the data hold {count}"));
    }
    header.record.times = time_axis(cfg, &mut header, &stamps)?;
    Ok(header.record)
}

/// The data file: the same name with `dat` in any case.
fn companion(cfg: &Path) -> Result<PathBuf, WaveformError> {
    let dir = match cfg.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let wanted = cfg.with_extension("dat");
    let wanted = wanted.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let entries = std::fs::read_dir(dir).map_err(|source| WaveformError::Read { path: dir.to_owned(), source })?;
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().to_lowercase() == wanted)
        .map(|e| e.path())
        .collect();
    found.sort();
    found.into_iter().next().ok_or_else(|| WaveformError::NoData { cfg: cfg.to_owned() })
}

/// Lines that are not empty, with their number in the file.
struct Lines<'a> {
    path: &'a Path,
    lines: Vec<(usize, &'a str)>,
    next: usize,
}

impl<'a> Lines<'a> {
    fn fields(&mut self, what: &str) -> Result<(usize, Vec<&'a str>), WaveformError> {
        let Some((number, line)) = self.lines.get(self.next) else {
            return Err(WaveformError::bad(self.path, 0, &format!("ends before the {what}")));
        };
        self.next += 1;
        Ok((*number, line.split(',').map(str::trim).collect()))
    }

    fn number<T: std::str::FromStr>(&self, line: usize, field: Option<&&str>, what: &str) -> Result<T, WaveformError> {
        let text = field.copied().unwrap_or("");
        text.parse().map_err(|_| WaveformError::bad(self.path, line, &format!("{what}: {text:?} is not a number")))
    }
}

fn parse_cfg(path: &Path, text: &str) -> Result<Header, WaveformError> {
    let lines = text.lines().enumerate().map(|(n, l)| (n + 1, l)).filter(|(_, l)| !l.trim().is_empty()).collect();
    let mut lines = Lines { path, lines, next: 0 };
    let (_, first) = lines.fields("station line")?;
    // 1991 had no revision field.
    let revision = first.get(2).and_then(|r| r.parse().ok()).unwrap_or(1991);
    let (line, counts) = lines.fields("channel counts")?;
    let count = |field: Option<&&str>, letter: char, what: &str| -> Result<usize, WaveformError> {
        let text = field.copied().unwrap_or("").trim_end_matches([letter, letter.to_ascii_lowercase()]);
        let n: usize =
            text.parse().map_err(|_| WaveformError::bad(path, line, &format!("{what}: {text:?} is not a number")))?;
        if n > MAX_CHANNELS {
            return Err(WaveformError::bad(path, line, &format!("{what}: more than {MAX_CHANNELS}")));
        }
        Ok(n)
    };
    let analogs = count(counts.get(1), 'A', "analog channels")?;
    let digital = count(counts.get(2), 'D', "digital channels")?;
    let mut analog = Vec::with_capacity(analogs);
    for _ in 0..analogs {
        let (line, f) = lines.fields("analog channels")?;
        let a: f64 = lines.number(line, f.get(5), "multiplier")?;
        let b: f64 = lines.number(line, f.get(6), "offset")?;
        if !(a.is_finite() && b.is_finite()) {
            return Err(WaveformError::bad(path, line, "multiplier or offset is not finite"));
        }
        let optional = |k: usize| f.get(k).and_then(|t| t.parse::<f64>().ok());
        analog.push(Analog {
            name: f.get(1).unwrap_or(&"").to_string(),
            phase: f.get(2).unwrap_or(&"").to_string(),
            unit: f.get(4).unwrap_or(&"").to_string(),
            skew_s: optional(7).unwrap_or(0.0) / 1e6,
            primary: optional(10).unwrap_or(1.0),
            secondary: optional(11).unwrap_or(1.0),
            is_primary: f.get(12).is_some_and(|t| t.eq_ignore_ascii_case("p")),
            a,
            b,
            samples: Vec::new(),
        });
    }
    for _ in 0..digital {
        lines.fields("digital channels")?;
    }
    let (line, f) = lines.fields("line frequency")?;
    let f_nominal: f64 = lines.number(line, f.first(), "line frequency")?;
    let (line, f) = lines.fields("number of sample rates")?;
    let sections: usize = lines.number(line, f.first(), "number of sample rates")?;
    let mut rates = Vec::new();
    // With 0 sections there is still one line, "0,last sample".
    for _ in 0..sections.max(1) {
        let (line, f) = lines.fields("sample rates")?;
        rates.push((lines.number(line, f.first(), "sample rate")?, lines.number(line, f.get(1), "last sample")?));
    }
    if sections == 0 {
        rates.iter_mut().for_each(|r| r.0 = 0.0);
    }
    let (_, start) = lines.fields("time of the first sample")?;
    let start_us = time_of(&start, revision);
    lines.fields("time of the trigger")?;
    let (line, kind) = lines.fields("file type")?;
    let kind = kind.first().copied().unwrap_or("");
    let binary = match kind.to_ascii_uppercase().as_str() {
        "ASCII" => false,
        "BINARY" => true,
        _ => return Err(WaveformError::bad(path, line, &format!("file type {kind:?}: only ASCII and BINARY"))),
    };
    let time_factor = match lines.fields("") {
        Ok((line, f)) => lines.number(line, f.first(), "time factor")?,
        Err(_) => 1.0,
    };
    Ok(Header {
        record: Record {
            station: first.first().unwrap_or(&"").to_string(),
            revision,
            f_nominal,
            start_us,
            times: Vec::new(),
            analog,
            digital,
            notes: Vec::new(),
        },
        rates,
        binary,
        time_factor,
    })
}

/// `dd/mm/yyyy,hh:mm:ss.ssssss`; in 1991 records the month stands first. `None` when it is not a date.
fn time_of(fields: &[&str], revision: u16) -> Option<i64> {
    let mut date = fields.first()?.split('/').map(|p| p.trim().parse::<i64>().ok());
    let (first, second, year) = (date.next()??, date.next()??, date.next()??);
    let (day, month) = if revision == 1991 { (second, first) } else { (first, second) };
    let year = if year < 100 { year + if year < 70 { 2000 } else { 1900 } } else { year };
    let mut clock = fields.get(1)?.split(':');
    let (hour, minute) = (clock.next()?.trim().parse::<i64>().ok()?, clock.next()?.trim().parse::<i64>().ok()?);
    let second: f64 = clock.next()?.trim().parse().ok()?;
    let possible = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (1900..=9999).contains(&year)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0.0..61.0).contains(&second);
    if !possible {
        return None;
    }
    // Days since 1970 by the civil calendar, years beginning in March.
    let y = if month <= 2 { year - 1 } else { year };
    let m = (month + 9) % 12;
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60_000_000 + (second * 1e6).round() as i64)
}

/// Time stamp of each sample in µs, `None` where it is missing.
type Stamps = Vec<Option<f64>>;

fn binary(header: &mut Header, bytes: &[u8], path: &Path) -> Result<Stamps, WaveformError> {
    let record = &mut header.record;
    let analogs = record.analog.len();
    let size = 8 + 2 * analogs + 2 * record.digital.div_ceil(16);
    if !bytes.len().is_multiple_of(size) {
        record.notes.push(format!("{} bytes after the last whole sample are left out", bytes.len() % size));
    }
    let mut stamps = Vec::with_capacity(bytes.len() / size);
    for row in bytes.chunks_exact(size) {
        let stamp = u32::from_le_bytes([row[4], row[5], row[6], row[7]]);
        stamps.push((stamp != u32::MAX).then(|| f64::from(stamp) * header.time_factor));
        for (k, channel) in record.analog.iter_mut().enumerate() {
            let raw = i16::from_le_bytes([row[8 + 2 * k], row[9 + 2 * k]]);
            // -32768 marks a missing value; the last one stands in, so that the time axis stays whole.
            let value = match raw {
                i16::MIN => channel.samples.last().copied().unwrap_or(0.0),
                raw => f64::from(raw) * channel.a + channel.b,
            };
            channel.samples.push(value);
        }
    }
    if bytes.len() < size {
        return Err(WaveformError::bad(path, 0, "shorter than one sample"));
    }
    Ok(stamps)
}

fn ascii(header: &mut Header, text: &str, path: &Path) -> Result<Stamps, WaveformError> {
    let record = &mut header.record;
    let mut stamps = Vec::new();
    for (number, line) in text.lines().enumerate() {
        // 0x1A ends a text file of DOS times.
        let line = line.trim_matches(['\u{1a}', ' ', '\r', '\t']);
        if line.is_empty() {
            continue;
        }
        let mut fields = line.split(',').map(str::trim);
        fields.next();
        let stamp = fields.next().unwrap_or("");
        stamps.push(match stamp {
            "" => None,
            text => match text.parse::<f64>() {
                Ok(s) if s == f64::from(u32::MAX) => None,
                Ok(s) => Some(s * header.time_factor),
                Err(_) => return Err(WaveformError::bad(path, number + 1, "the time stamp is not a number")),
            },
        });
        for channel in &mut record.analog {
            let text = fields.next().unwrap_or("");
            let value = match text.parse::<f64>() {
                // 99999 marks a missing value.
                Ok(99_999.0) => channel.samples.last().copied().unwrap_or(0.0),
                Ok(raw) if raw.is_finite() => raw * channel.a + channel.b,
                _ => {
                    let what = format!("{}: {text:?} is not a number", channel.name);
                    return Err(WaveformError::bad(path, number + 1, &what));
                }
            };
            channel.samples.push(value);
        }
    }
    Ok(stamps)
}

fn time_axis(cfg: &Path, header: &mut Header, stamps: &Stamps) -> Result<Vec<f64>, WaveformError> {
    let rated = header.rates.iter().all(|r| RATES.contains(&r.0));
    if rated {
        let mut times = Vec::with_capacity(stamps.len());
        let (mut t, mut section) = (0.0, 0);
        for k in 0..stamps.len() {
            // The last section also covers what the header did not count.
            while k >= header.rates[section].1 && section + 1 < header.rates.len() {
                section += 1;
            }
            times.push(t);
            t += 1.0 / header.rates[section].0;
        }
        if header.rates.len() > 1 {
            header.record.notes.push(format!("{} sections of different sample rates", header.rates.len()));
        }
        return Ok(times);
    }
    header.record.notes.push("no sample rate in the header: the time stamps of the records count".to_owned());
    let Some(first) = stamps.first().copied().flatten() else {
        return Err(WaveformError::bad(cfg, 0, "neither a sample rate nor time stamps"));
    };
    let mut times: Vec<f64> = Vec::with_capacity(stamps.len());
    for stamp in stamps {
        let Some(stamp) = stamp else {
            return Err(WaveformError::bad(cfg, 0, "no sample rate, and a time stamp is missing"));
        };
        let t = (stamp - first) / 1e6;
        // A time that is not a number does not grow either.
        if !t.is_finite() || times.last().is_some_and(|last| t <= *last) {
            return Err(WaveformError::bad(cfg, 0, "no sample rate, and the time stamps do not grow"));
        }
        times.push(t);
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_all_revisions() {
        let t = |date, clock, revision| time_of(&[date, clock], revision);
        assert_eq!(t("22/08/2016", "16:04:22.000000", 1999), Some(1_471_881_862_000_000));
        assert_eq!(t("08/22/16", "16:04:22.5", 1991), Some(1_471_881_862_500_000));
        assert_eq!(t("01/03/2000", "00:00:00", 1999), Some(951_868_800_000_000));
        for bad in [("22/13/2016", "1:1:1"), ("x", "1:1:1"), ("22/08/2016", "25:00:00"), ("22/08", "1:1:1")] {
            assert_eq!(t(bad.0, bad.1, 1999), None, "{bad:?}");
        }
    }

    #[test]
    fn damaged_headers_are_refused_with_their_line() {
        let good = "s,d,1999\n1,1A,0D\n1,UA,A,,V,1.0,0,0,-1,1,1,1,P\n50\n1\n1000,3\n01/01/2020,00:00:00\n01/01/2020,00:00:00\nASCII\n1\n";
        assert!(parse_cfg(Path::new("x.cfg"), good).is_ok());
        for (from, to, part) in [
            ("1.0,0,0", "one,0,0", "x.cfg:3: multiplier"),
            ("1,1A,0D", "1,A,0D", "x.cfg:2: analog channels"),
            ("1,1A,0D", "1,99999A,0D", "more than"),
            ("ASCII", "FLOAT32", "file type"),
            ("1000,3", "fast,3", "sample rate"),
        ] {
            let message = parse_cfg(Path::new("x.cfg"), &good.replacen(from, to, 1)).err().unwrap().to_string();
            assert!(message.contains(part), "{message}");
        }
        for cut in 0..good.len() - 14 {
            // No prefix panics; short ones are refused.
            let _ = parse_cfg(Path::new("x.cfg"), &good[..cut]);
        }
        assert!(parse_cfg(Path::new("x.cfg"), &good[..40]).err().unwrap().to_string().contains("ends before"));
    }
}
