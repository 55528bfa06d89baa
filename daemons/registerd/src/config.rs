//! `registerd.toml`: how the metrology is connected, what the meter is, and which bus it serves.
//!
//! Every key has a default, so an empty file is a valid one. `config/registerd.toml` shows all of them.

use meter_core::tariff::{Choice, Tariff, Tariffs};
use meter_core::{Command, Cycle, MeterType, Params, Schedule, Settings};
use meter_kit::config::{Impossible, Settings as Checked};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

pub use crate::pulses::{Energy, PulsesConfig};

/// Name of the file inside of a configuration folder.
pub const FILE: &str = "registerd.toml";
/// Name of the file with the tariffs, beside [`FILE`]. Without it tariffs stay as they are.
pub const TARIFF_FILE: &str = "tariff.toml";
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
    /// `[tariff]`
    pub tariff: TariffConfig,
    /// `[debiting]`
    pub debiting: DebitingConfig,
    /// `[pulses]`
    pub pulses: PulsesConfig,
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
    /// A whole period with a mean P+ above this advances the power threshold counter, W; 0 = off.
    pub power_threshold_w: u32,
    /// Moves of the clock smaller than this are left out of the clock logger, s.
    pub clock_filter_s: u8,
}

/// `[tariff]`: what may be chosen while the meter runs; the plans themselves are in [`TARIFF_FILE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TariffConfig {
    /// The tariff in force with the source `on-demand`, 1 to 8.
    pub demanded: u8,
    /// The plan followed with the source `plan`, 1 to 3.
    pub plan: u8,
}

impl Default for TariffConfig {
    fn default() -> TariffConfig {
        let choice = Choice::default();
        TariffConfig { demanded: choice.on_demand.number(), plan: choice.plan }
    }
}

/// `[debiting]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DebitingConfig {
    /// Day of the month of automatic stops, 1 to 28.
    pub day: u8,
    /// Every 1, 2, 3, 6 or 12 months; 0 = no automatic stops.
    pub months: u8,
    /// First month of the year with a stop, 1 to `months`.
    pub first: u8,
    /// Whether voltage coming to tariff input 1 is a stop.
    pub pulse: bool,
    /// Debiting logger 2: `daily`, `weekly` or `monthly`.
    pub logger_2: String,
}

impl Default for DebitingConfig {
    fn default() -> DebitingConfig {
        let Schedule { day, months, first } = Schedule::default();
        DebitingConfig { day, months, first, pulse: false, logger_2: Cycle::default().name().into() }
    }
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
            power_threshold_w: settings.params.threshold_w,
            clock_filter_s: settings.params.clock_filter_s,
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
        if Tariff::new(self.tariff.demanded).is_none() {
            return Err(Impossible::new("tariff.demanded", "must be 1 to 8"));
        }
        if Cycle::named(&self.debiting.logger_2).is_none() {
            return Err(Impossible::new("debiting.logger_2", "must be daily, weekly or monthly"));
        }
        self.params().check(meter_type).map_err(|e| {
            let key = match e {
                meter_core::SettingsError::Period => "meter.period_min",
                meter_core::SettingsError::Ratio => "meter.ct_ratio",
                meter_core::SettingsError::Offset => "meter.offset_min",
                meter_core::SettingsError::Plan => "tariff.plan",
                meter_core::SettingsError::Debiting => "debiting.day",
                _ => "meter.type",
            };
            Impossible::new(key, e.to_string())
        })?;
        self.pulses.check(meter_type)?;
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
        let MeterConfig { period_min, ct_ratio, offset_min, power_threshold_w, clock_filter_s, .. } = self.meter;
        let DebitingConfig { day, months, first, pulse, .. } = self.debiting;
        Params {
            period_min,
            ct_ratio,
            offset_min,
            // Names and numbers out of range were refused by the check; here they would be the default.
            choice: Choice { on_demand: Tariff::new(self.tariff.demanded).unwrap_or_default(), plan: self.tariff.plan },
            debiting: Schedule { day, months, first },
            debiting_2: Cycle::named(&self.debiting.logger_2).unwrap_or_default(),
            debiting_pulse: pulse,
            threshold_w: power_threshold_w,
            clock_filter_s,
        }
    }

    /// Shows the parameters that are in force instead of those of the file.
    pub fn show(&mut self, params: &Params) {
        self.meter.period_min = params.period_min;
        self.meter.ct_ratio = params.ct_ratio;
        self.meter.offset_min = params.offset_min;
        self.meter.power_threshold_w = params.threshold_w;
        self.meter.clock_filter_s = params.clock_filter_s;
        self.tariff.demanded = params.choice.on_demand.number();
        self.tariff.plan = params.choice.plan;
        let Schedule { day, months, first } = params.debiting;
        let logger_2 = params.debiting_2.name().into();
        self.debiting = DebitingConfig { day, months, first, pulse: params.debiting_pulse, logger_2 };
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
            tariffs: None,
            u_low_mv: self.meter.u_low_mv,
            u_high_mv: self.meter.u_high_mv,
            not_legal,
        })
    }
}

/// Why tariffs of a file are not taken. The daemon does not start on half a configuration.
#[derive(Debug, thiserror::Error)]
pub enum TariffFileError {
    /// It cannot be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The writer's fault.
    #[error("{}: {source}", file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// What, with line and field.
        source: meter_core::tariff::TariffError,
    },
}

/// The tariffs of the configuration at `path` (file or folder, as [`Config::load`]); `None` when there is no
/// [`TARIFF_FILE`].
///
/// # Errors
/// See [`TariffFileError`].
pub fn load_tariffs(path: &Path) -> Result<Option<(Tariffs, Option<i64>)>, TariffFileError> {
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new(".")) };
    let file = folder.join(TARIFF_FILE);
    match std::fs::read_to_string(&file) {
        Ok(text) => Tariffs::parse(&text).map(Some).map_err(|source| TariffFileError::Wrong { file, source }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TariffFileError::Read { file, source }),
    }
}

/// What may change at run time, as it comes over the bus: absent keys stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Change {
    meter: ChangedMeter,
    tariff: ChangedTariff,
    debiting: ChangedDebiting,
    /// The text of a [`TARIFF_FILE`], alone.
    tariffs: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ChangedTariff {
    demanded: Option<u8>,
    plan: Option<u8>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ChangedDebiting {
    day: Option<u8>,
    months: Option<u8>,
    first: Option<u8>,
    pulse: Option<bool>,
    logger_2: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ChangedMeter {
    period_min: Option<u8>,
    ct_ratio: Option<u16>,
    offset_min: Option<i16>,
    power_threshold_w: Option<u32>,
    clock_filter_s: Option<u8>,
}

impl Checked for Change {
    /// The meter itself checks the values, for it knows its type; names are checked here.
    fn check(&self) -> Result<(), Impossible> {
        if self.tariff.demanded.is_some_and(|n| Tariff::new(n).is_none()) {
            return Err(Impossible::new("tariff.demanded", "must be 1 to 8"));
        }
        if self.debiting.logger_2.as_deref().is_some_and(|name| Cycle::named(name).is_none()) {
            return Err(Impossible::new("debiting.logger_2", "must be daily, weekly or monthly"));
        }
        // Two commands could end half done.
        if self.tariffs.is_some() && (Change { tariffs: None, ..self.clone() }) != Change::default() {
            return Err(Impossible::new("tariffs", "are applied alone, without other keys"));
        }
        Ok(())
    }
}

impl Change {
    /// The command that carries the change out.
    ///
    /// # Errors
    /// Tariffs that are impossible, with line and field of their own text.
    pub fn command(&self, now: Params) -> Result<Command, meter_core::tariff::TariffError> {
        match &self.tariffs {
            Some(text) => Tariffs::parse(text).map(|setting| Command::SetTariffs(Box::new(setting))),
            None => Ok(Command::SetParams(self.apply(now))),
        }
    }

    /// The parameters after the change.
    pub fn apply(&self, now: Params) -> Params {
        let Change { meter, tariff, debiting, .. } = self;
        Params {
            period_min: meter.period_min.unwrap_or(now.period_min),
            ct_ratio: meter.ct_ratio.unwrap_or(now.ct_ratio),
            offset_min: meter.offset_min.unwrap_or(now.offset_min),
            choice: Choice {
                on_demand: tariff.demanded.and_then(Tariff::new).unwrap_or(now.choice.on_demand),
                plan: tariff.plan.unwrap_or(now.choice.plan),
            },
            debiting: Schedule {
                day: debiting.day.unwrap_or(now.debiting.day),
                months: debiting.months.unwrap_or(now.debiting.months),
                first: debiting.first.unwrap_or(now.debiting.first),
            },
            debiting_2: debiting.logger_2.as_deref().and_then(Cycle::named).unwrap_or(now.debiting_2),
            debiting_pulse: debiting.pulse.unwrap_or(now.debiting_pulse),
            threshold_w: meter.power_threshold_w.unwrap_or(now.threshold_w),
            clock_filter_s: meter.clock_filter_s.unwrap_or(now.clock_filter_s),
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
            "led_per_kwh",
            "s0_per_kwh",
            "i_max_ma",
            "led_rests_lit",
            "module",
            "module_per_kwh",
            "module_width_ms",
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
            ("[tariff]\ndemanded = 9", "r.toml:2: tariff.demanded: must be 1 to 8"),
            ("[tariff]\nplan = 4", "r.toml:2: tariff.plan: "),
            ("[debiting]\nday = 29", "r.toml:2: debiting.day: debiting stops: day 1 to 28"),
            ("[debiting]\nlogger_2 = 'hourly'", "r.toml:2: debiting.logger_2: must be"),
            ("[link]\nspeed_hz = 1", "r.toml:2: link.speed_hz: "),
            ("[link]\nkind = 'serial'", "r.toml:2: unknown variant `serial`"),
            ("[link]\nsocket = 'x'", "r.toml:2: link.socket: must be an absolute path"),
            ("[link]\nreset = 25", "r.toml:2: link.reset: is the line of another signal"),
            ("[meter]\nperiod_min = 300", "r.toml:2: "),
            ("[pulses]\nled_per_kwh = 0", "r.toml:2: pulses.led_per_kwh: must be 1 to 100000"),
            ("[pulses]\nled_per_kwh = 2000", "r.toml:2: pulses.led_per_kwh: is too large for 100.000 A"),
            ("[pulses]\ns0_per_kwh = 300", "r.toml:2: pulses.s0_per_kwh: must be an integral part of 1000"),
            ("[pulses]\ni_max_ma = 0", "r.toml:2: pulses.i_max_ma: must be"),
            ("[pulses]\nmodule_width_ms = 50", "r.toml:2: pulses.module_width_ms: must be 30 or 80"),
            ("[pulses]\nmodule_per_kwh = [1, 1001]", "r.toml:2: pulses.module_per_kwh: must be 1 to 1000"),
            ("[pulses]\nmodule = ['A+', 'B']", "r.toml:2: unknown variant `B`"),
        ] {
            assert!(error(text).starts_with(wanted), "{text}: {}", error(text));
        }
    }

    // covers: SGF-018
    #[test]
    fn a_pulse_output_that_cannot_carry_the_largest_current_is_refused_with_the_one_it_can() {
        let parse = |text: &str| meter_kit::config::parse::<Config>(Path::new("r.toml"), text);
        let refused = "[pulses]\nmodule = ['A+', 'off']\nmodule_per_kwh = [1000, 1]\n";
        for (width, amperes, carries) in [(30, 86, "86.956 A"), (80, 32, "32.608 A")] {
            let text = format!("{refused}module_width_ms = {width}\n");
            let wanted = format!(
                "r.toml:3: pulses.module_per_kwh: with pulses of {width} ms an output carries {carries} at most"
            );
            assert!(error(&text).starts_with(&wanted), "{}", error(&text));
            assert!(parse(&format!("{text}i_max_ma = {amperes}000")).is_ok());
            assert!(parse(&format!("{text}i_max_ma = {}000", amperes + 1)).is_err());
            // Behind transformers 6 A are the most there is.
            assert!(parse(&format!("[meter]\ntype = 'ct'\n{text}")).is_ok());
        }
        let ct = parse("[meter]\ntype = 'ct'").unwrap();
        assert_eq!(ct.pulses.of(MeterType::Ct), metrology_link::payload::PulseConfig::transformers());
    }

    #[test]
    fn tariffs_stand_in_a_file_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        assert!(load_tariffs(dir.path()).unwrap().is_none());
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/examples/tariff.toml");
        let file = dir.path().join(TARIFF_FILE);
        std::fs::copy(shipped, &file).unwrap();
        assert!(load_tariffs(dir.path()).unwrap().is_some());
        assert_eq!(load_tariffs(&dir.path().join(FILE)).unwrap(), load_tariffs(dir.path()).unwrap());
        std::fs::write(&file, "source = 'sun'").unwrap();
        let error = load_tariffs(dir.path()).unwrap_err().to_string();
        assert!(error.contains("tariff.toml: line 1: source: must be one of"), "{error}");
    }

    #[test]
    fn a_change_touches_what_it_names_and_nothing_sealed() {
        let parse = |text| meter_kit::config::parse::<Change>(Path::new("bus"), text);
        let change = parse("[meter]\nperiod_min = 60").unwrap();
        let now = Params::default();
        assert_eq!(change.apply(now), Params { period_min: 60, ..now });
        let change = parse("[tariff]\ndemanded = 3\n[debiting]\nday = 2\nlogger_2 = 'weekly'").unwrap();
        let changed = change.apply(now);
        assert_eq!(changed.choice.on_demand.number(), 3);
        assert_eq!((changed.debiting.day, changed.debiting.months), (2, now.debiting.months));
        assert_eq!(changed.debiting_2, Cycle::Weekly);
        let mut shown = Config::default();
        shown.show(&changed);
        assert_eq!(shown.params(), changed);
        assert_eq!(change.command(now), Ok(Command::SetParams(changed)));
        let text = "tariffs = \"\"\"\nsource = 'input-1'\n\"\"\"";
        let tariffs = Tariffs::parse("source = 'input-1'").unwrap();
        assert_eq!(parse(text).unwrap().command(now), Ok(Command::SetTariffs(Box::new(tariffs))));
        let wrong =
            parse("tariffs = \"\"\"\n[calendar]\nexceptions = ['x']\n\"\"\"").unwrap().command(now).unwrap_err();
        assert!(wrong.to_string().starts_with("line 2: calendar.exceptions[1]: "), "{wrong}");
        assert!(parse("tariffs = ''\n[meter]\nperiod_min = 30").is_err());
        assert!(parse("[tariff]\ndemanded = 0").is_err());
        assert!(parse("[meter]\nserial = '1'").is_err());
        assert!(parse("[link]\nkind = 'socket'").is_err());
    }
}
