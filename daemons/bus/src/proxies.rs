//! Client proxies. All of them default to [`SERVICE`](crate::SERVICE) and [`PATH`](crate::PATH):
//! `RegisterProxy::new(&connection).await?`.

use crate::{BusRow, ColumnInfo, Error, HealthItem, NamedReading, ProfileInfo, RegisterInfo};
use zbus::wire::OwnedFd;

/// Who the meter is.
#[zbus::proxy(
    interface = "org.metergate.Meter1.Identity",
    default_service = "org.metergate.Meter1",
    default_path = "/org/metergate/Meter1"
)]
pub trait Identity {
    /// Serial number of the meter.
    #[zbus(property(emits_changed_signal = "const"))]
    fn serial(&self) -> zbus::Result<String>;
    /// Meter type (`1p`, `3p`, `aron`, `ct`, `ct-aron`).
    #[zbus(property(emits_changed_signal = "const"))]
    fn meter_type(&self) -> zbus::Result<String>;
    /// Software id: SHA-256 of the running binary, hex.
    #[zbus(property(emits_changed_signal = "const"))]
    fn software_id(&self) -> zbus::Result<String>;
    /// Version of the software, for people.
    #[zbus(property(emits_changed_signal = "const"))]
    fn software_version(&self) -> zbus::Result<String>;
    /// Whether this is the legal binary on its own, and not a demonstration build: those rows are not for billing.
    #[zbus(property(emits_changed_signal = "const"))]
    fn legal(&self) -> zbus::Result<bool>;
    /// SHA-256 of the coprocessor's firmware, hex; empty until it said hello.
    #[zbus(property)]
    fn firmware_id(&self) -> zbus::Result<String>;
    /// Version number of the coprocessor's firmware; 0 until it said hello.
    #[zbus(property)]
    fn firmware_version(&self) -> zbus::Result<u32>;
    /// Identity of the coprocessor, hex; empty until it said hello.
    #[zbus(property)]
    fn device_id(&self) -> zbus::Result<String>;
    /// Name of the serving process.
    #[zbus(property(emits_changed_signal = "const"))]
    fn process_name(&self) -> zbus::Result<String>;
    /// How the metrology is connected, in words (`socket /run/...`, `spi /dev/spidev0.0`).
    #[zbus(property(emits_changed_signal = "const"))]
    fn connection_to_metrology(&self) -> zbus::Result<String>;
}

/// Register values on request.
#[zbus::proxy(
    interface = "org.metergate.Meter1.Register",
    default_service = "org.metergate.Meter1",
    default_path = "/org/metergate/Meter1"
)]
pub trait Register {
    /// Values of the registers named by OBIS code, in the order asked; no codes = all registers.
    fn read(&self, obis: &[&str]) -> Result<Vec<NamedReading>, Error>;
    /// All registers of this meter.
    fn list(&self) -> Result<Vec<RegisterInfo>, Error>;
}

/// All register values once per second of meter time.
#[zbus::proxy(
    interface = "org.metergate.Meter1.Snapshot",
    default_service = "org.metergate.Meter1",
    default_path = "/org/metergate/Meter1"
)]
pub trait Snapshot {
    /// The newest values with their meter time (µs).
    fn last(&self) -> Result<(u64, Vec<NamedReading>), Error>;
    /// Sent once per second of meter time, at most 50 times per real second when meter time runs faster.
    #[zbus(signal)]
    fn snapshot(&self, usec: u64, readings: Vec<NamedReading>) -> zbus::Result<()>;
}

/// Logger rows.
#[zbus::proxy(
    interface = "org.metergate.Meter1.Profile",
    default_service = "org.metergate.Meter1",
    default_path = "/org/metergate/Meter1"
)]
pub trait Profile {
    /// The loggers.
    fn list(&self) -> Result<Vec<ProfileInfo>, Error>;
    /// Columns of one logger.
    fn columns(&self, name: &str) -> Result<Vec<ColumnInfo>, Error>;
    /// Rows with `seq >= from_seq` whose interval ends in `(from_usec, to_usec]` (0 = open on that side), oldest
    /// first, at most `limit` (1 to [`ROWS_MAX`](crate::ROWS_MAX)). Second result: the sequence number to go on from, 0 at the end.
    fn read_rows(
        &self,
        name: &str,
        from_seq: u64,
        from_usec: u64,
        to_usec: u64,
        limit: u32,
    ) -> Result<(Vec<BusRow>, u64), Error>;
    /// All rows with `from_seq <= seq <= to_seq` (0 = newest) as a sealed memfd, see [`ExportHeader`](crate::ExportHeader).
    fn export(&self, name: &str, from_seq: u64, to_seq: u64) -> Result<OwnedFd, Error>;
}

/// The audit log.
#[zbus::proxy(
    interface = "org.metergate.Meter1.EventLog",
    default_service = "org.metergate.Meter1",
    default_path = "/org/metergate/Meter1"
)]
pub trait EventLog {
    /// Rows with `seq >= from_seq`, oldest first, at most `limit` (1 to [`ROWS_MAX`](crate::ROWS_MAX)); columns as in
    /// `Profile.Columns("audit")`. Second result: the sequence number to go on from, 0 at the end.
    fn read(&self, from_seq: u64, limit: u32) -> Result<(Vec<BusRow>, u64), Error>;
}

/// Meter time.
#[zbus::proxy(
    interface = "org.metergate.Meter1.Clock",
    default_service = "org.metergate.Meter1",
    default_path = "/org/metergate/Meter1"
)]
pub trait Clock {
    /// Meter time (µs since 1970 UTC) and its quality: 0 invalid, 1 holdover, 2 valid.
    fn now(&self) -> Result<(u64, u8), Error>;
    /// Sets meter time (a jump; audited).
    fn set(&self, usec: u64, origin: &str) -> Result<(), Error>;
    /// Shifts meter time by `delta_usec` (audited).
    fn adjust(&self, delta_usec: i64, origin: &str) -> Result<(), Error>;
}

/// Sealed configuration.
#[zbus::proxy(
    interface = "org.metergate.Meter1.Config",
    default_service = "org.metergate.Meter1",
    default_path = "/org/metergate/Meter1"
)]
pub trait Config {
    /// The configuration in force, as TOML. `Get` because D-Bus has no bare verb for it.
    #[zbus(name = "Get")]
    fn current(&self) -> Result<String, Error>;
    /// Checks and applies settings of the `[meter]`, `[tariff]` and `[debiting]` tables that may change at run time, or
    /// tariffs: the text of a `tariff.toml` as the one key `tariffs`. All or nothing, audited.
    fn apply(&self, toml: &str, origin: &str) -> Result<(), Error>;
}

/// State of the service.
#[zbus::proxy(
    interface = "org.metergate.Meter1.Health",
    default_service = "org.metergate.Meter1",
    default_path = "/org/metergate/Meter1"
)]
pub trait Health {
    /// One line per part.
    fn state(&self) -> Result<Vec<HealthItem>, Error>;
    /// Checks the database and all hash chains: whether all is well, and one line per finding or check.
    fn verify(&self) -> Result<(bool, Vec<String>), Error>;
}
