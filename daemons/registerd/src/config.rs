//! `registerd.toml`: how the metrology is connected, what the meter is, and which bus it serves.
//!
//! Every key has a default, so an empty file is a valid one. `config/registerd.toml` shows all of them.

use meter_core::{MeterType, Params, Settings};
use meter_kit::config::{Impossible, Settings as Checked};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Name of the file inside of a configuration folder.
pub const FILE: &str = "registerd.toml";
/// Longest serial number: DLMS device ids and labels have at most 16 characters.
const SERIAL_MAX: usize = 16;
/// SPI clock: below 1 MHz a page (8192 bits) takes longer than the 20 ms of a page; the boards' limit is 25 MHz.
const SPI_HZ: std::ops::RangeInclusive<u32> = 1_000_000..=25_000_000;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[link]`
    pub link: LinkConfig,
    /// `[meter]`
    pub meter: MeterConfig,
    /// `[bus]`
    pub bus: BusConfig,
}

/// How the coprocessor is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkKind {
    /// SPI with GPIO lines: the product.
    #[default]
    Spi,
    /// A unix socket: the virtual coprocessor.
    Socket,
}

/// `[link]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkConfig {
    /// Which of the transports.
    pub kind: LinkKind,
    /// Socket: where the virtual coprocessor listens.
    pub socket: PathBuf,
    /// SPI: device file.
    pub spidev: PathBuf,
    /// SPI: clock, Hz.
    pub speed_hz: u32,
    /// GPIO chip of the lines below.
    pub gpiochip: PathBuf,
    /// Line on which the coprocessor says that a page is armed (active high).
    pub data_ready: u32,
    /// Line on which Linux says that it is about to clock a page (active high); none on boards without it.
    pub handshake: Option<u32>,
    /// Reset line of the coprocessor (active low); none on boards without it.
    pub reset: Option<u32>,
}

impl Default for LinkConfig {
    fn default() -> LinkConfig {
        LinkConfig {
            kind: LinkKind::Spi,
            socket: "/run/metergate/link".into(),
            spidev: "/dev/spidev0.0".into(),
            speed_hz: 8_000_000,
            gpiochip: "/dev/gpiochip0".into(),
            data_ready: 25,
            handshake: None,
            reset: None,
        }
    }
}

impl LinkConfig {
    /// In words, for people.
    pub fn describe(&self) -> String {
        match self.kind {
            LinkKind::Spi => format!("spi {}", self.spidev.display()),
            LinkKind::Socket => format!("socket {}", self.socket.display()),
        }
    }
}

/// `[meter]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MeterConfig {
    /// Serial number.
    pub serial: String,
    /// `1p`, `3p`, `aron`, `ct` or `ct-aron`.
    #[serde(rename = "type")]
    pub meter_type: String,
    /// Integration period of the load profile, minutes.
    pub period_min: u8,
    /// Current transformer ratio.
    pub ct_ratio: u16,
    /// Normal time minus UTC, minutes.
    pub offset_min: i16,
    /// Mean voltage below which an interval is marked, mV.
    pub u_low_mv: u32,
    /// Mean voltage above which an interval is marked, mV.
    pub u_high_mv: u32,
}

impl Default for MeterConfig {
    fn default() -> MeterConfig {
        let settings = Settings::default();
        MeterConfig {
            serial: "00000000".into(),
            meter_type: settings.meter_type.name().into(),
            period_min: settings.params.period_min,
            ct_ratio: settings.params.ct_ratio,
            offset_min: settings.params.offset_min,
            u_low_mv: settings.u_low_mv,
            u_high_mv: settings.u_high_mv,
        }
    }
}

/// `[bus]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusConfig {
    /// D-Bus address; empty = the environment's, else the system bus.
    pub address: String,
}

impl Checked for Config {
    fn check(&self) -> Result<(), Impossible> {
        let Config { link, meter, .. } = self;
        let serial_ok = !meter.serial.is_empty()
            && meter.serial.len() <= SERIAL_MAX
            && meter.serial.bytes().all(|b| b.is_ascii_alphanumeric());
        if !serial_ok {
            return Err(Impossible::new("meter.serial", "must be 1 to 16 letters and digits"));
        }
        let meter_type = self.meter_type().map_err(|e| Impossible::new("meter.type", e.to_string()))?;
        self.params().check(meter_type).map_err(|e| {
            let key = match e {
                meter_core::SettingsError::Period => "meter.period_min",
                meter_core::SettingsError::Ratio => "meter.ct_ratio",
                meter_core::SettingsError::Offset => "meter.offset_min",
                _ => "meter.type",
            };
            Impossible::new(key, e.to_string())
        })?;
        if meter.u_low_mv >= meter.u_high_mv {
            return Err(Impossible::new("meter.u_low_mv", "must be below meter.u_high_mv"));
        }
        if !SPI_HZ.contains(&link.speed_hz) {
            return Err(Impossible::new("link.speed_hz", "must be 1 to 25 MHz"));
        }
        for (key, path) in
            [("link.socket", &link.socket), ("link.spidev", &link.spidev), ("link.gpiochip", &link.gpiochip)]
        {
            if !path.is_absolute() {
                return Err(Impossible::new(key, "must be an absolute path"));
            }
        }
        let lines = [Some(link.data_ready), link.handshake, link.reset];
        for (at, line) in lines.iter().enumerate() {
            if line.is_some() && lines[..at].contains(line) {
                let key = if at == 1 { "link.handshake" } else { "link.reset" };
                return Err(Impossible::new(key, "is the line of another signal"));
            }
        }
        Ok(())
    }
}

impl Config {
    /// Reads `path`, which is the file or the folder that holds it, with its drop-ins.
    ///
    /// # Errors
    /// See [`meter_kit::config::ConfigError`].
    pub fn load(path: &Path) -> Result<Config, meter_kit::config::ConfigError> {
        let file = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
        meter_kit::config::load(&file)
    }

    /// The meter type.
    ///
    /// # Errors
    /// The text names none; [`Config::load`] has refused that already.
    pub fn meter_type(&self) -> Result<MeterType, meter_core::SettingsError> {
        self.meter.meter_type.parse()
    }

    /// The parameters that may change at run time.
    pub fn params(&self) -> Params {
        let MeterConfig { period_min, ct_ratio, offset_min, .. } = self.meter;
        Params { period_min, ct_ratio, offset_min }
    }

    /// What the meter core is told.
    ///
    /// # Errors
    /// As [`Config::meter_type`].
    pub fn settings(&self, not_legal: bool) -> Result<Settings, meter_core::SettingsError> {
        Ok(Settings {
            meter_type: self.meter_type()?,
            serial: self.meter.serial.clone(),
            params: self.params(),
            u_low_mv: self.meter.u_low_mv,
            u_high_mv: self.meter.u_high_mv,
            not_legal,
        })
    }
}

/// The part of `[meter]` that may change at run time, as it comes over the bus: absent keys stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Change {
    meter: ChangedMeter,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ChangedMeter {
    period_min: Option<u8>,
    ct_ratio: Option<u16>,
    offset_min: Option<i16>,
}

impl Checked for Change {
    /// The meter itself checks the values, for it knows its type.
    fn check(&self) -> Result<(), Impossible> {
        Ok(())
    }
}

impl Change {
    /// The parameters after the change.
    pub fn apply(&self, now: Params) -> Params {
        Params {
            period_min: self.meter.period_min.unwrap_or(now.period_min),
            ct_ratio: self.meter.ct_ratio.unwrap_or(now.ct_ratio),
            offset_min: self.meter.offset_min.unwrap_or(now.offset_min),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        meter_kit::config::parse::<Config>(Path::new("r.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_file_is_the_default_and_the_default_is_possible() {
        let config = meter_kit::config::parse::<Config>(Path::new("r.toml"), "").unwrap();
        assert_eq!(config, Config::default());
        let text = toml::to_string(&config).unwrap();
        assert_eq!(meter_kit::config::parse::<Config>(Path::new("r.toml"), &text).unwrap(), config);
    }

    #[test]
    fn the_shipped_file_shows_the_defaults() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/registerd.toml");
        assert_eq!(Config::load(&file).unwrap(), Config::default());
        let text = std::fs::read_to_string(&file).unwrap();
        for key in [
            "kind",
            "socket",
            "spidev",
            "speed_hz",
            "gpiochip",
            "data_ready",
            "handshake",
            "reset",
            "serial",
            "type",
            "period_min",
            "ct_ratio",
            "offset_min",
            "u_low_mv",
            "u_high_mv",
            "address",
        ] {
            assert!(text.contains(&format!("{key} = ")), "{key} is not shown");
        }
    }

    #[test]
    fn impossible_values_are_named() {
        for (text, wanted) in [
            ("[meter]\nserial = ''", "r.toml:2: meter.serial: must be"),
            ("[meter]\ntype = '4p'", "r.toml:2: meter.type: meter type must be one of"),
            ("[meter]\nperiod_min = 7", "r.toml:2: meter.period_min: integration period must be"),
            ("[meter]\nct_ratio = 2", "r.toml:2: meter.ct_ratio: "),
            ("[meter]\noffset_min = 1", "r.toml:2: meter.offset_min: "),
            ("[meter]\nu_low_mv = 260000", "r.toml:2: meter.u_low_mv: "),
            ("[link]\nspeed_hz = 1", "r.toml:2: link.speed_hz: "),
            ("[link]\nkind = 'serial'", "r.toml:2: unknown variant `serial`"),
            ("[link]\nsocket = 'x'", "r.toml:2: link.socket: must be an absolute path"),
            ("[link]\nreset = 25", "r.toml:2: link.reset: is the line of another signal"),
            ("[meter]\nperiod_min = 300", "r.toml:2: "),
        ] {
            assert!(error(text).starts_with(wanted), "{text}: {}", error(text));
        }
    }

    #[test]
    fn a_change_touches_what_it_names_and_nothing_sealed() {
        let parse = |text| meter_kit::config::parse::<Change>(Path::new("bus"), text);
        let change = parse("[meter]\nperiod_min = 60").unwrap();
        let now = Params::default();
        assert_eq!(change.apply(now), Params { period_min: 60, ..now });
        assert!(parse("[meter]\nserial = '1'").is_err());
        assert!(parse("[link]\nkind = 'socket'").is_err());
    }
}
