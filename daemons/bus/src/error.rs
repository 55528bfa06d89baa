//! Errors of the interface, by name on the bus (`org.metergate.Meter1.Error.NotReady` and so on).

/// Why a call to the meter failed. Nothing is changed by a call that fails.
#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.metergate.Meter1.Error")]
pub enum Error {
    /// The bus, the connection or the service is at fault: not running, no answer in time, access denied by the bus
    /// policy.
    #[zbus(error)]
    ZBus(zbus::Error),
    /// Nobody's fault: registerd has no value yet (no page from the metrology since its start). Ask again later.
    NotReady(String),
    /// The caller's fault: the meter has no register with this code.
    NoSuchRegister(String),
    /// The caller's fault: the meter has no logger with this name.
    NoSuchProfile(String),
    /// The caller's fault: an argument cannot be read, is out of range or too long.
    InvalidArgument(String),
    /// The meter understood and says no: the state or a sealed setting forbids it.
    Refused(String),
    /// The store's fault: the database does not answer or the disk is full.
    Storage(String),
    /// The caller's fault: its uid has no grant for this method.
    NotAuthorised(String),
}

impl Error {
    /// The sentence that came with the error, without the error's bus name.
    pub fn message(&self) -> String {
        match self {
            Error::ZBus(e) => e.to_string(),
            Error::NotReady(m)
            | Error::NoSuchRegister(m)
            | Error::NoSuchProfile(m)
            | Error::InvalidArgument(m)
            | Error::Refused(m)
            | Error::Storage(m)
            | Error::NotAuthorised(m) => m.clone(),
        }
    }
}
