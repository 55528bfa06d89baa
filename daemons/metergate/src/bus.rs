//! The way to a running meter, and errors from there in one line.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, anyhow};
use meter_bus::{Error as BusError, SERVICE};
use zbus::Connection;

use crate::cli::BusArgs;

/// A bus on the same machine answers in milliseconds; after this time a person wants to hear that it does not.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects to the bus that was named, and makes sure that there is a meter on it.
///
/// # Errors
/// There is no such bus, or no registerd on it and none that the bus could start.
pub async fn meter(args: &BusArgs) -> anyhow::Result<Connection> {
    let connection = connect(args).await?;
    let bus = plain(zbus::fdo::DBusProxy::new(&connection)).await?;
    // Not every bus answers a call to a name that nobody owns, and waiting for the time-out helps nobody.
    let known = has_meter(&bus).await?
        || bus.list_activatable_names().await.is_ok_and(|names| names.iter().any(|name| **name == *SERVICE));
    anyhow::ensure!(known, "no meter on this bus: registerd is not running there");
    Ok(connection)
}

/// Whether registerd is on the bus now.
pub async fn has_meter(bus: &zbus::fdo::DBusProxy<'_>) -> anyhow::Result<bool> {
    let owned = tokio::time::timeout(CONNECT_TIMEOUT, bus.name_has_owner(SERVICE.try_into()?));
    Ok(owned.await.context("the bus does not answer")??)
}

/// Connects to the bus that was named.
pub async fn connect(args: &BusArgs) -> anyhow::Result<Connection> {
    let name = args.bus.as_deref().filter(|address| !address.is_empty());
    let what = || match name {
        Some(address) => format!("cannot connect to the bus at {address}"),
        None => "cannot connect to the system bus (name another with --bus or METERGATE_BUS)".to_owned(),
    };
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, meter_bus::connect(name));
    match connecting.await {
        Ok(Ok(connection)) => Ok(connection),
        // Its chain of causes repeats itself; the first says all.
        Ok(Err(error)) => Err(anyhow!("{error}")).with_context(what),
        Err(_) => Err(anyhow!("no answer within {} s", CONNECT_TIMEOUT.as_secs())).with_context(what),
    }
}

/// Waits for a call's answer and says in one line why there is none.
pub async fn call<T>(answer: impl Future<Output = Result<T, BusError>>) -> anyhow::Result<T> {
    answer.await.map_err(explain)
}

/// [`call`] for properties and for the making of proxies, which fail with the library's error.
pub async fn plain<T>(answer: impl Future<Output = zbus::Result<T>>) -> anyhow::Result<T> {
    answer.await.map_err(|error| explain(BusError::ZBus(error)))
}

/// The error in the words of somebody who wants to read a meter.
fn explain(error: BusError) -> anyhow::Error {
    if let BusError::ZBus(inner) = &error {
        match bus_error_name(inner).as_deref() {
            Some("org.freedesktop.DBus.Error.ServiceUnknown" | "org.freedesktop.DBus.Error.NameHasNoOwner") => {
                return anyhow!("no meter on this bus: registerd is not running there");
            }
            Some("org.freedesktop.DBus.Error.AccessDenied") => {
                return anyhow!("denied by the bus policy: your user is not in a group that may do this");
            }
            _ => {}
        }
    }
    anyhow!("{}", error.message())
}

fn bus_error_name(error: &zbus::Error) -> Option<String> {
    match error {
        zbus::Error::MethodError(name, _, _) => Some(name.to_string()),
        zbus::Error::FDO(fdo) => Some(zbus::DBusError::name(fdo.as_ref()).to_string()),
        _ => None,
    }
}
