//! The Meter1 D-Bus interface of the legal service: names, value types, proxies, errors, and how a connection is made.
//!
//! Shared by registerd, which serves it, and by everybody who calls it, so that the two never disagree. It holds no
//! behaviour. A breaking change gets a new name (`Meter2`) served in parallel; additions are free.
//!
//! Conventions: times are µs since 1970 UTC as u64 (`t`) and are *meter* time, not the system clock's; energy values
//! are integers with scaler and unit code, never floating point; a missing value is a status, never a zero; every
//! method that changes something carries `origin` (who asks, through which protocol, with which command id).

use std::time::Duration;

mod error;
mod export;
mod proxies;
mod types;

pub use error::Error;
pub use export::{EXPORT_MAGIC, ExportError, ExportHeader, ExportRow, HEADER_BYTES, ROW_FIXED_BYTES};
pub use proxies::{
    ClockProxy, ConfigProxy, EventLogProxy, HealthProxy, IdentityProxy, ProfileProxy, RegisterProxy, SnapshotProxy,
};
pub use types::{BusReading, BusRow, ColumnInfo, HealthItem, NamedReading, ProfileInfo, RegisterInfo, level};

/// Well-known bus name of registerd.
pub const SERVICE: &str = "org.metergate.Meter1";
/// The object that carries all interfaces of the meter.
pub const PATH: &str = "/org/metergate/Meter1";
/// The object that answers `org.freedesktop.DBus.ObjectManager`.
pub const ROOT: &str = "/";
/// Environment variable with the address of the bus; without it the system bus is used.
pub const BUS_ENV: &str = "METERGATE_BUS";

/// Interface names.
pub mod interface {
    /// Who the meter is: serial, software and firmware ids.
    pub const IDENTITY: &str = "org.metergate.Meter1.Identity";
    /// Register values on request.
    pub const REGISTER: &str = "org.metergate.Meter1.Register";
    /// All register values once a second.
    pub const SNAPSHOT: &str = "org.metergate.Meter1.Snapshot";
    /// Logger rows (load profile and the others).
    pub const PROFILE: &str = "org.metergate.Meter1.Profile";
    /// The audit log.
    pub const EVENT_LOG: &str = "org.metergate.Meter1.EventLog";
    /// Meter time.
    pub const CLOCK: &str = "org.metergate.Meter1.Clock";
    /// Sealed configuration.
    pub const CONFIG: &str = "org.metergate.Meter1.Config";
    /// State of the service, and verification of what it keeps.
    pub const HEALTH: &str = "org.metergate.Meter1.Health";
}

/// Rows that one [`ProfileProxy::read_rows`] or [`EventLogProxy::read`] returns at most. A load profile row is about
/// 500 bytes on the bus, so a page stays near 0.5 MB, far below the 128 MiB of a D-Bus message; more goes by
/// [`ProfileProxy::export`].
pub const ROWS_MAX: u32 = 1000;
/// Length of an `origin` in bytes at most: protocol, peer address (IPv6 with port: 47) and a command id fit.
pub const ORIGIN_MAX: usize = 200;
/// Codes in one [`RegisterProxy::read`] at most: more than the meter has registers.
pub const READ_MAX: usize = 1000;
/// A call that takes longer than this has failed. The longest, [`HealthProxy::verify`] over a full database, takes
/// seconds on a slow processor.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Connects to the bus at `address`, else to the one named by [`BUS_ENV`], else to the system bus.
///
/// # Errors
/// The address is malformed, nothing listens there, or the bus refuses the caller. Nothing is changed.
pub async fn connect(address: Option<&str>) -> zbus::Result<zbus::Connection> {
    builder(address).build().await
}

/// The connection builder behind [`connect`], for a service that adds its objects and name.
pub fn builder<'a>(address: Option<&str>) -> zbus::connection::Builder<'a> {
    let from_environment = || std::env::var(BUS_ENV).ok().filter(|a| !a.is_empty());
    let builder = match address.map(str::to_owned).or_else(from_environment) {
        Some(address) => zbus::connection::Builder::address(address.as_str()),
        None => zbus::connection::Builder::system(),
    };
    builder.method_timeout(CALL_TIMEOUT)
}
