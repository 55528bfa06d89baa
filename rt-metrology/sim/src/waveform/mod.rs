//! Recorded waveforms: COMTRADE (`.cfg` with `.dat`) and CSV, mapped to the meter's channels.
//!
//! Channels are chosen by phase and unit, or by name (`U1=Ua,I1=Ia`). Line-to-line voltages stand in only where no phase
//! voltage is found, as an Aron meter connects them (U12 to U1, U32 to U3, with their sign). What is not recorded is
//! absent: its bit is missing in [`Waveform::mask`], and it is never zero. A record without any voltage is refused.

mod comtrade;
mod csv;
mod player;
mod text;

use std::path::{Path, PathBuf};

pub use player::{Loop, Player};

use metrology_link::payload::{CHANNELS, Channel};

/// Nominal voltage of the meter that a record is scaled to, V.
pub const METER_NOMINAL_V: f64 = 230.0;
/// Largest file that is read. Record 2 of the shipped examples is 2.6 MB; 256 MB are ten minutes of seven channels at
/// 32 kS/s in ASCII.
const MAX_FILE: u64 = 256 * 1024 * 1024;

/// Why a waveform was refused.
#[derive(Debug, thiserror::Error)]
pub enum WaveformError {
    /// The file cannot be read: the caller's path or permissions.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The content is damaged or of a kind that is not supported: the file's fault.
    #[error("{}{}: {reason}", path.display(), if *line == 0 { String::new() } else { format!(":{line}") })]
    Bad {
        /// The file.
        path: PathBuf,
        /// Line, 0 when none.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// There is no data file beside the header.
    #[error("{}: no .dat file of the same name beside it", cfg.display())]
    NoData {
        /// The header.
        cfg: PathBuf,
    },
    /// No voltage channel was found: name them with `--channels` or `--columns`.
    #[error("{}: no voltage channel found; name the channels (--channels U1=NAME,... or --columns u1,i1,...)", path.display())]
    NoChannels {
        /// The file.
        path: PathBuf,
    },
    /// An option makes no sense: the caller's fault.
    #[error("{0}")]
    Option(String),
}

impl WaveformError {
    fn bad(path: &Path, line: usize, reason: &str) -> WaveformError {
        WaveformError::Bad { path: path.to_owned(), line, reason: reason.to_owned() }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, WaveformError> {
    let fail = |source| WaveformError::Read { path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(fail)?.len();
    if size > MAX_FILE {
        return Err(WaveformError::bad(path, 0, &format!("{size} bytes; the limit is {MAX_FILE}")));
    }
    std::fs::read(path).map_err(fail)
}

/// Which channel of the meter a recorded channel feeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role(pub Channel);

impl Role {
    /// Index in arrays of channels.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// Whether it is a voltage.
    pub fn is_voltage(self) -> bool {
        self.index() < 3
    }

    fn from_index(k: usize) -> Option<Role> {
        use Channel::{I1, I2, I3, In, U1, U2, U3};
        [U1, U2, U3, I1, I2, I3, In].get(k).map(|c| Role(*c))
    }

    /// From `u u1 u2 u3 i i1 i2 i3 in`, any case; `u` and `i` are `u1` and `i1`.
    ///
    /// # Errors
    /// [`WaveformError::Option`] for anything else.
    pub fn parse(text: &str) -> Result<Role, WaveformError> {
        const NAMES: [&str; CHANNELS] = ["u1", "u2", "u3", "i1", "i2", "i3", "in"];
        let lower = text.trim().to_ascii_lowercase();
        let name = match lower.as_str() {
            "u" => "u1",
            "i" => "i1",
            other => other,
        };
        NAMES.iter().position(|n| *n == name).and_then(Role::from_index).ok_or_else(|| {
            WaveformError::Option(format!("channel {text:?}: expected u, i, u1, u2, u3, i1, i2, i3 or in"))
        })
    }

    /// By name, phase and unit of a record. `None`: not a phase voltage or current.
    fn from_name(name: &str, phase: &str, unit: &str) -> Option<Role> {
        match Place::of(name, phase, unit)? {
            (true, Place::Phase(k)) => Role::from_index(k),
            (false, Place::Phase(k)) => Role::from_index(3 + k),
            (false, Place::Neutral) => Some(Role(Channel::In)),
            _ => None,
        }
    }

    /// Line-to-line voltages as the elements of an Aron meter; `true` = with inverted sign.
    fn from_line(name: &str, phase: &str, unit: &str) -> Option<(Role, bool)> {
        let (true, Place::Line(from, to)) = Place::of(name, phase, unit)? else {
            return None;
        };
        Some(match (from, to) {
            (0, 1) => (Role(Channel::U1), false),
            (1, 0) => (Role(Channel::U1), true),
            (2, 1) => (Role(Channel::U3), false),
            (1, 2) => (Role(Channel::U3), true),
            (2, 0) => (Role(Channel::U2), false),
            _ => (Role(Channel::U2), true),
        })
    }
}

/// Where a channel hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Phase(usize),
    Line(usize, usize),
    Neutral,
}

impl Place {
    /// Whether it is a voltage, and its place: the letter in the phase field, else the name, else a digit in the
    /// phase field (some recorders put a channel number there).
    fn of(name: &str, phase: &str, unit: &str) -> Option<(bool, Place)> {
        let name = name.trim().to_ascii_uppercase();
        let by_name = match name.chars().next() {
            Some('U' | 'V' | 'E') => Some(true),
            Some('I') => Some(false),
            _ => None,
        };
        let voltage = match unit.trim().to_ascii_uppercase().as_str() {
            "V" | "KV" | "MV" => true,
            "A" | "KA" | "MA" => false,
            "" => by_name?,
            _ => return None,
        };
        let phase = phase.trim().to_ascii_uppercase();
        let digit = matches!(phase.as_str(), "1" | "2" | "3");
        if !digit && let Some(place) = Place::of_token(&phase) {
            return Some((voltage, place));
        }
        if by_name == Some(voltage) {
            let token: String = name.chars().skip(1).take_while(|c| c.is_ascii_alphanumeric()).collect();
            if let Some(place) = Place::of_token(&token) {
                return Some((voltage, place));
            }
        }
        if digit { Place::of_token(&phase).map(|p| (voltage, p)) } else { None }
    }

    fn of_token(token: &str) -> Option<Place> {
        let conductors: Vec<usize> = token
            .chars()
            .filter(|c| !matches!(c, 'L' | '-'))
            .map(|c| match c {
                'A' | 'R' | '1' => 0,
                'B' | 'S' | '2' => 1,
                'C' | 'T' | '3' => 2,
                'N' | 'G' => 3,
                _ => 9,
            })
            .collect();
        match conductors[..] {
            [k @ 0..=2] | [k @ 0..=2, 3] => Some(Place::Phase(k)),
            [from @ 0..=2, to @ 0..=2] if from != to => Some(Place::Line(from, to)),
            [3] => Some(Place::Neutral),
            _ => None,
        }
    }
}

/// How to read a waveform file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadOptions {
    /// `U1=NAME,I1=NAME,...` (`--channels`): name or `#number` of the recorded channel or column for each role. Only
    /// these are used then.
    pub channels: Option<String>,
    /// Roles by position (`--columns`, CSV): `u,i` or `u1,i1,…`, `-` skips a column.
    pub columns: Option<String>,
    /// Samples per second (`--rate`): needed for CSV without a time column; overrides what a COMTRADE header says.
    pub rate: Option<f64>,
    /// Volts per unit of the recorded voltages (`--u-scale`). Absent: as the record says.
    pub u_scale: Option<f64>,
    /// Amperes per unit of the recorded currents (`--i-scale`).
    pub i_scale: Option<f64>,
}

/// A waveform file to play, and how to read it.
#[derive(Clone, Debug, PartialEq)]
pub struct WaveformSource {
    /// `.cfg` (COMTRADE) or anything else (CSV).
    pub path: PathBuf,
    /// How to read it.
    pub options: LoadOptions,
}

/// A recorded channel as the file names it.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelInfo {
    /// Name.
    pub name: String,
    /// Phase field.
    pub phase: String,
    /// Unit as recorded.
    pub unit: String,
    /// What it feeds; `None` = not used.
    pub role: Option<Role>,
}

/// One channel of the meter.
#[derive(Clone, Debug, PartialEq)]
struct Track {
    /// V or A.
    samples: Vec<f64>,
    /// Its instants lie so much after the common time axis, s.
    skew_s: f64,
}

/// A loaded record.
#[derive(Clone, Debug, PartialEq)]
pub struct Waveform {
    station: String,
    start_us: Option<i64>,
    f_nominal: Option<f64>,
    times: Vec<f64>,
    channels: Vec<ChannelInfo>,
    tracks: [Option<Track>; CHANNELS],
    nominal_v: f64,
    /// Factors that bring the record to the meter: 230 V and secondary amperes.
    to_meter: (f64, f64),
    notes: Vec<String>,
}

impl Waveform {
    /// Loads a record. The extension `cfg` (any case) means COMTRADE, everything else CSV.
    ///
    /// # Errors
    /// See [`WaveformError`].
    pub fn load(path: &Path, options: &LoadOptions) -> Result<Waveform, WaveformError> {
        for (what, value) in [("--rate", options.rate), ("--u-scale", options.u_scale), ("--i-scale", options.i_scale)]
        {
            if value.is_some_and(|v| !(v.is_finite() && v > 0.0)) {
                return Err(WaveformError::Option(format!("{what} must be a positive number")));
            }
        }
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("cfg")) {
            Waveform::from_comtrade(path, options)
        } else {
            Waveform::from_csv(path, options)
        }
    }

    fn from_comtrade(path: &Path, options: &LoadOptions) -> Result<Waveform, WaveformError> {
        if options.columns.is_some() {
            return Err(WaveformError::Option(
                "--columns is for CSV; COMTRADE takes --channels U1=NAME,...".to_owned(),
            ));
        }
        let mut record = comtrade::load(path)?;
        if let Some(rate) = options.rate {
            record.times = (0..record.times.len()).map(|k| k as f64 / rate).collect();
        }
        let chosen = choose(path, &record, options)?;
        let mut channels: Vec<ChannelInfo> = record
            .analog
            .iter()
            .map(|a| ChannelInfo { name: a.name.clone(), phase: a.phase.clone(), unit: a.unit.clone(), role: None })
            .collect();
        let mut tracks: [Option<Track>; CHANNELS] = Default::default();
        let mut first = (None, None);
        for (role, k, inverted) in chosen {
            let analog = &record.analog[k];
            let unit = match analog.unit.to_ascii_uppercase().as_str() {
                "KV" | "KA" => 1e3,
                "MV" | "MA" if analog.unit.starts_with('m') => 1e-3,
                "MV" | "MA" => 1e6,
                _ => 1.0,
            };
            let own = if role.is_voltage() { options.u_scale } else { options.i_scale };
            let factor = own.unwrap_or(unit) * if inverted { -1.0 } else { 1.0 };
            let samples = analog.samples.iter().map(|x| x * factor).collect();
            tracks[role.index()] = Some(Track { samples, skew_s: analog.skew_s });
            channels[k].role = Some(role);
            if role.is_voltage() {
                let place = Place::of(&analog.name, &analog.phase, &analog.unit);
                first.0.get_or_insert((k, matches!(place, Some((_, Place::Line(..))))));
            } else {
                first.1.get_or_insert(k);
            }
        }
        let Some((voltage, line)) = first.0 else {
            return Err(WaveformError::NoChannels { path: path.to_owned() });
        };
        let mut waveform = Waveform {
            station: record.station,
            start_us: record.start_us,
            f_nominal: (record.f_nominal > 0.0).then_some(record.f_nominal),
            times: record.times,
            channels,
            tracks,
            nominal_v: METER_NOMINAL_V,
            to_meter: (1.0, 1.0),
            notes: record.notes,
        };
        let analog = &record.analog[voltage];
        waveform.nominal_v =
            by_ratio(analog, line).unwrap_or_else(|| waveform.typical_nominal(if line { 1.0 } else { 3f64.sqrt() }));
        waveform.notes.push(format!("nominal voltage {:.1} V", waveform.nominal_v));
        if options.u_scale.is_none() {
            waveform.to_meter.0 = METER_NOMINAL_V / waveform.nominal_v;
        }
        if let (None, Some(k)) = (options.i_scale, first.1) {
            let analog = &record.analog[k];
            let ratio = analog.primary / analog.secondary;
            if analog.is_primary && ratio.is_finite() && ratio > 1.0 {
                waveform.to_meter.1 = 1.0 / ratio;
                waveform.notes.push(format!("primary currents: the meter sees them through transformers {ratio:.0}:1"));
            }
        }
        Ok(waveform)
    }

    fn from_csv(path: &Path, options: &LoadOptions) -> Result<Waveform, WaveformError> {
        let table = csv::load(path, options)?;
        let period = options.rate.map(|r| 1.0 / r).or(table.period_s).ok_or_else(|| {
            WaveformError::Option(format!("{}: no time column: give --rate SAMPLES_PER_SECOND", path.display()))
        })?;
        let mut tracks: [Option<Track>; CHANNELS] = Default::default();
        let mut channels = Vec::new();
        for (name, role, mut samples) in table.columns {
            let scale = if role.is_voltage() { options.u_scale } else { options.i_scale }.unwrap_or(1.0);
            samples.iter_mut().for_each(|x| *x *= scale);
            tracks[role.index()] = Some(Track { samples, skew_s: 0.0 });
            let unit = if role.is_voltage() { "V" } else { "A" };
            channels.push(ChannelInfo { name, phase: String::new(), unit: unit.to_owned(), role: Some(role) });
        }
        if tracks[..3].iter().all(Option::is_none) {
            return Err(WaveformError::NoChannels { path: path.to_owned() });
        }
        let mut waveform = Waveform {
            station: String::new(),
            start_us: None,
            f_nominal: None,
            times: (0..table.rows).map(|k| k as f64 * period).collect(),
            channels,
            tracks,
            nominal_v: METER_NOMINAL_V,
            to_meter: (1.0, 1.0),
            notes: Vec::new(),
        };
        waveform.nominal_v = waveform.typical_nominal(1.0);
        if options.u_scale.is_none() {
            waveform.to_meter.0 = METER_NOMINAL_V / waveform.nominal_v;
        }
        Ok(waveform)
    }

    /// Guesses the nominal voltage: the usual value (divided by `root`) nearest to the median RMS over 20 ms pieces.
    fn typical_nominal(&self, root: f64) -> f64 {
        const LOW: [f64; 5] = [57.735, 63.509, 115.0, 120.0, 230.0];
        const LINE: [f64; 19] = [
            100.0, 110.0, 190.0, 208.0, 400.0, 690.0, 3000.0, 3300.0, 6000.0, 6600.0, 10_000.0, 11_000.0, 15_000.0,
            20_000.0, 22_000.0, 35_000.0, 110_000.0, 220_000.0, 400_000.0,
        ];
        let Some(track) = self.tracks[..3].iter().flatten().next() else {
            return METER_NOMINAL_V;
        };
        let piece = ((0.02 * self.rate_hz()).round() as usize).max(2);
        let mut rms: Vec<f64> = track
            .samples
            .chunks_exact(piece)
            .map(|c| (c.iter().map(|x| x * x).sum::<f64>() / piece as f64).sqrt())
            .collect();
        rms.sort_by(f64::total_cmp);
        let Some(median) = rms.get(rms.len() / 2).copied().filter(|m| *m > 0.0) else {
            return METER_NOMINAL_V;
        };
        let usual = LOW.into_iter().chain(LINE.into_iter().map(|u| u / root));
        let far = |u: f64| (u / median).ln().abs();
        usual.fold(METER_NOMINAL_V, |best, u| if far(u) < far(best) { u } else { best })
    }

    /// Name of the station, empty for CSV.
    pub fn station(&self) -> &str {
        &self.station
    }

    /// Recorded channels, with the role of those in use.
    pub fn channels(&self) -> &[ChannelInfo] {
        &self.channels
    }

    /// Channels that exist, bit per [`Channel`].
    pub fn mask(&self) -> u8 {
        self.tracks.iter().enumerate().filter(|(_, t)| t.is_some()).fold(0, |mask, (k, _)| mask | 1 << k)
    }

    /// Mean samples per second.
    pub fn rate_hz(&self) -> f64 {
        let steps = self.times.len().saturating_sub(1).max(1) as f64;
        let span = self.times.last().copied().unwrap_or(0.0);
        if span > 0.0 { steps / span } else { 1.0 }
    }

    /// From the first sample to one period after the last, s.
    pub fn duration_s(&self) -> f64 {
        self.times.len() as f64 / self.rate_hz()
    }

    /// Samples per channel.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Never true for a loaded record.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Instant of the first sample, µs since 1970 by the recorder's clock; `None` when it has no date.
    pub fn start_us(&self) -> Option<i64> {
        self.start_us
    }

    /// Nominal frequency as the record states it, Hz.
    pub fn f_nominal(&self) -> Option<f64> {
        self.f_nominal
    }

    /// Nominal voltage, V: from the transformer ratio where it is plausible, else the usual value nearest to the record.
    pub fn nominal_v(&self) -> f64 {
        self.nominal_v
    }

    /// Instants from the first sample, s.
    pub fn times(&self) -> &[f64] {
        &self.times
    }

    /// Recorded values of one channel, V or A; `None`: not recorded.
    pub fn samples(&self, role: Role) -> Option<&[f64]> {
        self.tracks[role.index()].as_ref().map(|t| &t.samples[..])
    }

    /// Factors for voltage and current that bring the record to a 230 V meter: 1 where `--u-scale` or `--i-scale` was
    /// given.
    pub fn to_meter(&self) -> (f64, f64) {
        self.to_meter
    }

    /// Largest absolute value of voltages and of currents (0 when there are none), V and A as recorded.
    pub fn peaks(&self) -> (f64, f64) {
        let peak = |tracks: &[Option<Track>]| {
            tracks.iter().flatten().flat_map(|t| &t.samples).fold(0.0f64, |peak, x| peak.max(x.abs()))
        };
        (peak(&self.tracks[..3]), peak(&self.tracks[3..]))
    }

    /// What was unusual about the record, a line each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The record as physical samples at another rate; `factors` multiply voltages and currents (1, 1 = as recorded,
    /// [`Waveform::to_meter`] = at the meter).
    pub fn player(&self, rate_hz: f64, factors: (f64, f64), mode: Loop) -> Player {
        Player::new(self, rate_hz, factors, mode)
    }
}

/// Nominal voltage from the ratio fields: a secondary of 50 to 130 V is a voltage, not a ratio's denominator.
fn by_ratio(analog: &comtrade::Analog, line: bool) -> Option<f64> {
    if !(50.0..=130.0).contains(&analog.secondary) || !(1.0..=1e7).contains(&analog.primary) {
        return None;
    }
    let unit = if analog.unit.eq_ignore_ascii_case("kv") { 1e3 } else { 1.0 };
    let stated = if analog.is_primary { analog.primary * unit } else { analog.secondary };
    // 90 V and more is line to line; a phase voltage is a √3 below.
    let stated_line = analog.secondary >= 90.0;
    Some(match (stated_line, line) {
        (true, false) => stated / 3f64.sqrt(),
        (false, true) => stated * 3f64.sqrt(),
        _ => stated,
    })
}

/// Reads `--channels`: for each role the index of the recorded channel, by name (any case) or `#number`.
fn by_names(path: &Path, names: &[&str], list: &str) -> Result<Vec<(Role, usize)>, WaveformError> {
    let mut chosen: Vec<(Role, usize)> = Vec::new();
    for part in list.split(',').filter(|p| !p.trim().is_empty()) {
        let (role, name) = part
            .split_once('=')
            .ok_or_else(|| WaveformError::Option(format!("--channels: {part:?} is not ROLE=NAME")))?;
        let role = Role::parse(role)?;
        let name = name.trim();
        let by_number = name.strip_prefix('#').and_then(|n| n.parse::<usize>().ok()?.checked_sub(1));
        let found = names
            .iter()
            .position(|n| *n == name)
            .or_else(|| names.iter().position(|n| n.to_lowercase() == name.to_lowercase()))
            .or(by_number.filter(|k| *k < names.len()));
        let Some(k) = found else {
            let some: Vec<&str> = names.iter().copied().take(12).collect();
            let text = format!("{}: no channel {name:?}; it has {}, ...", path.display(), some.join(", "));
            return Err(WaveformError::Option(text));
        };
        if chosen.iter().any(|c| c.0 == role) {
            return Err(WaveformError::Option(format!("--channels: {part} is the second for its role")));
        }
        chosen.push((role, k));
    }
    Ok(chosen)
}

/// Which recorded channel feeds which role, and whether its sign is turned.
fn choose(
    path: &Path,
    record: &comtrade::Record,
    options: &LoadOptions,
) -> Result<Vec<(Role, usize, bool)>, WaveformError> {
    let mut chosen: Vec<(Role, usize, bool)> = Vec::new();
    if let Some(list) = &options.channels {
        let names: Vec<&str> = record.analog.iter().map(|a| a.name.as_str()).collect();
        return Ok(by_names(path, &names, list)?.into_iter().map(|(role, k)| (role, k, false)).collect());
    }
    for (k, a) in record.analog.iter().enumerate() {
        if let Some(role) = Role::from_name(&a.name, &a.phase, &a.unit)
            && !chosen.iter().any(|c| c.0 == role)
        {
            chosen.push((role, k, false));
        }
    }
    if !chosen.iter().any(|c| c.0.is_voltage()) {
        for (k, a) in record.analog.iter().enumerate() {
            if let Some((role, inverted)) = Role::from_line(&a.name, &a.phase, &a.unit)
                && !chosen.iter().any(|c| c.0 == role)
            {
                chosen.push((role, k, inverted));
            }
        }
    }
    if chosen.iter().any(|c| c.0.is_voltage()) {
        Ok(chosen)
    } else {
        Err(WaveformError::NoChannels { path: path.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str, phase: &str, unit: &str) -> Option<usize> {
        Role::from_name(name, phase, unit).map(Role::index)
    }

    #[test]
    fn roles_by_phase_and_unit() {
        for (name, phase, unit, expected) in [
            ("UA", "", "V", Some(0)),
            ("Uc_1СШ-110_ТН_110кВ", "C", "kV", Some(2)),
            ("3Uo_1СШ-110_ТН_110кВ", "N", "kV", None),
            ("F2-IB", "B", "A", Some(4)),
            ("F4-IG", "G", "A", Some(6)),
            ("F8-VN", "N", "V", None),
            ("I3", "9", "A", Some(5)),
            ("U21", "0", "V", None),
            ("Vo", "6", "V", None),
            ("SRC 1  Vag Mag", "_", "kV", None),
            ("SRC 1  Vag Angle", "_", "deg", None),
            ("VL2-N", "", "V", Some(1)),
            ("whatever", "2", "A", Some(4)),
            ("3U0", "", "V", None),
        ] {
            assert_eq!(role(name, phase, unit), expected, "{name}");
        }
        let line = |name, phase| Role::from_line(name, phase, "V").map(|(r, i)| (r.index(), i));
        assert_eq!(line("U21", "0"), Some((0, true)));
        assert_eq!(line("U32", "1"), Some((2, false)));
        assert_eq!(line("x", "CA"), Some((1, false)));
        assert_eq!(line("UA", ""), None);
    }

    #[test]
    fn option_texts() {
        assert_eq!(Role::parse(" U ").unwrap().index(), 0);
        assert_eq!(Role::parse("iN").unwrap().index(), 6);
        assert!(Role::parse("u4").is_err());
    }
}
