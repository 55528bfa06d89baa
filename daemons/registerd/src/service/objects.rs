//! The interfaces, as thin as the bus allows. Their meaning is documented at the proxies in `meter_bus`.

use super::Context;
use super::health;
use crate::config::Change;
use crate::engine::hex;
use crate::store::Query;
use meter_bus::{BusRow, ColumnInfo, Error, HealthItem, NamedReading, ProfileInfo, READ_MAX, ROWS_MAX, RegisterInfo};
use meter_core::{Command, LOGGERS, LoggerId, MILLIJOULE_PER_STEP, REGISTERS, Row, Stored, find};
use meter_model::{ClockQuality, Obis, Reading, Utc};
use std::path::Path;
use std::sync::Arc;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::wire::OwnedFd;
use zbus::{Connection, interface};

/// Times before 1970 (a meter that was never set) are 0 on the bus.
pub(super) fn usec(utc: Utc) -> u64 {
    u64::try_from(utc.0).unwrap_or(0)
}

pub(super) fn named(readings: &[(Obis, Reading)]) -> Vec<NamedReading> {
    readings.iter().map(|(obis, reading)| NamedReading::new(*obis, *reading)).collect()
}

fn logger(name: &str) -> Result<LoggerId, Error> {
    LoggerId::named(name).ok_or_else(|| {
        let names: Vec<&str> = LOGGERS.iter().map(|l| l.name).collect();
        Error::NoSuchProfile(format!("no logger of this name; there are: {}", names.join(", ")))
    })
}

fn checked(limit: u32) -> Result<usize, Error> {
    match limit {
        1..=ROWS_MAX => Ok(limit as usize),
        _ => Err(Error::InvalidArgument(format!("limit must be 1 to {ROWS_MAX}"))),
    }
}

fn bus_row(row: Row) -> BusRow {
    BusRow {
        seq: row.seq,
        start: usec(row.start),
        end: usec(row.end),
        status: row.status.0,
        values: row.values,
        text: row.text,
        hash: row.hash.to_vec(),
    }
}

/// 0 stands for "open on that side".
fn bound(usec: u64) -> Result<Option<Utc>, Error> {
    if usec == 0 {
        return Ok(None);
    }
    i64::try_from(usec).map(|us| Some(Utc(us))).map_err(|_| Error::InvalidArgument("time out of range".into()))
}

async fn rows(
    context: &Context,
    logger: LoggerId,
    from: u64,
    (after, until): (Option<Utc>, Option<Utc>),
    limit: usize,
) -> Result<(Vec<BusRow>, u64), Error> {
    let answer = context.ask(|reply| Query::Rows { logger, from, after, until, limit, reply }).await?;
    let (rows, next) = answer.map_err(Error::Storage)?;
    Ok((rows.into_iter().map(bus_row).collect(), next))
}

pub(super) struct IdentityObject(pub Arc<Context>);

#[interface(name = "org.metergate.Meter1.Identity")]
impl IdentityObject {
    #[zbus(property(emits_changed_signal = "const"))]
    fn serial(&self) -> String {
        self.0.config.meter.serial.clone()
    }
    #[zbus(property(emits_changed_signal = "const"))]
    fn meter_type(&self) -> String {
        self.0.config.meter.meter_type.clone()
    }
    #[zbus(property(emits_changed_signal = "const"))]
    fn software_id(&self) -> String {
        self.0.identity.software_id.clone()
    }
    #[zbus(property(emits_changed_signal = "const"))]
    fn software_version(&self) -> String {
        self.0.identity.version.into()
    }
    #[zbus(property(emits_changed_signal = "const"))]
    fn legal(&self) -> bool {
        self.0.identity.legal
    }
    #[zbus(property)]
    fn firmware_id(&self) -> String {
        self.0.live.borrow().hello.map(|h| hex(&h.firmware_id)).unwrap_or_default()
    }
    #[zbus(property)]
    fn firmware_version(&self) -> u32 {
        self.0.live.borrow().hello.map_or(0, |h| h.firmware_version)
    }
    #[zbus(property)]
    fn device_id(&self) -> String {
        self.0.live.borrow().hello.map(|h| hex(&h.device_id)).unwrap_or_default()
    }
    #[zbus(property(emits_changed_signal = "const"))]
    fn process_name(&self) -> String {
        "registerd".into()
    }
    #[zbus(property(emits_changed_signal = "const"))]
    fn connection_to_metrology(&self) -> String {
        self.0.config.link.describe()
    }
}

pub(super) struct Register(pub Arc<Context>);

#[interface(name = "org.metergate.Meter1.Register")]
impl Register {
    fn read(&self, obis: Vec<String>) -> Result<Vec<NamedReading>, Error> {
        let live = self.0.live()?;
        if obis.is_empty() {
            return Ok(named(&live.readings));
        }
        if obis.len() > READ_MAX {
            return Err(Error::InvalidArgument(format!("at most {READ_MAX} codes at once")));
        }
        let read = |text: &String| {
            let code: Obis = text.parse().map_err(|e| Error::InvalidArgument(format!("{text:?}: {e}")))?;
            let reading = live.readings.iter().find(|(o, _)| *o == code);
            let (obis, reading) =
                reading.ok_or_else(|| Error::NoSuchRegister(format!("this meter has no register {code}")))?;
            Ok(NamedReading::new(*obis, *reading))
        };
        obis.iter().map(read).collect()
    }

    fn list(&self) -> Result<Vec<RegisterInfo>, Error> {
        let live = self.0.live()?;
        let info = |obis: Obis| {
            find(obis).map(|r| RegisterInfo {
                obis: obis.to_string(),
                name: r.name.into(),
                symbol: r.symbol.into(),
                scaler: i16::from(r.scaler),
                unit: r.unit.code(),
            })
        };
        Ok(REGISTERS
            .iter()
            .filter(|r| live.readings.iter().any(|(o, _)| *o == r.obis))
            .filter_map(|r| info(r.obis))
            .collect())
    }
}

pub(super) struct Snapshot(pub Arc<Context>);

#[interface(name = "org.metergate.Meter1.Snapshot")]
impl Snapshot {
    fn last(&self) -> Result<(u64, Vec<NamedReading>), Error> {
        let live = self.0.live()?;
        if live.second == 0 {
            return Err(Error::NotReady("no values from the metrology yet".into()));
        }
        Ok((usec(live.wall.utc), named(&live.readings)))
    }

    #[zbus(signal)]
    async fn snapshot(emitter: &SignalEmitter<'_>, usec: u64, readings: Vec<NamedReading>) -> zbus::Result<()>;
}

pub(super) struct Profile(pub Arc<Context>);

#[interface(name = "org.metergate.Meter1.Profile")]
impl Profile {
    async fn list(&self) -> Result<Vec<ProfileInfo>, Error> {
        let bounds = self.0.ask(|reply| Query::Bounds { reply }).await?;
        let period = self.0.live()?.params.period_min;
        let info = |id: LoggerId| {
            let (first_seq, last_seq) = bounds[id.index()].unwrap_or((0, 0));
            ProfileInfo {
                name: id.spec().name.into(),
                obis: id.spec().obis.to_string(),
                period_min: if id == LoggerId::Load { u32::from(period) } else { 0 },
                depth: id.spec().depth,
                first_seq,
                last_seq,
            }
        };
        Ok(LoggerId::ALL.into_iter().map(info).collect())
    }

    fn columns(&self, name: &str) -> Result<Vec<ColumnInfo>, Error> {
        let column = |c: &meter_core::Column| ColumnInfo {
            obis: c.obis.map(|o| o.to_string()).unwrap_or_default(),
            name: c.name.into(),
            scaler: i16::from(c.scaler),
            unit: c.unit.code(),
            divisor: match c.stored {
                Stored::Plain => 1,
                Stored::Millijoule => MILLIJOULE_PER_STEP as u32,
            },
        };
        Ok(logger(name)?.spec().columns.iter().map(column).collect())
    }

    async fn read_rows(
        &self,
        name: &str,
        from_seq: u64,
        from_usec: u64,
        to_usec: u64,
        limit: u32,
    ) -> Result<(Vec<BusRow>, u64), Error> {
        let range = (bound(from_usec)?, bound(to_usec)?);
        rows(&self.0, logger(name)?, from_seq, range, checked(limit)?).await
    }

    async fn export(&self, name: &str, from_seq: u64, to_seq: u64) -> Result<OwnedFd, Error> {
        let logger = logger(name)?;
        let to = if to_seq == 0 { i64::MAX as u64 } else { to_seq };
        let answer = self.0.ask(|reply| Query::Export { logger, from: from_seq, to, reply }).await?;
        answer.map(OwnedFd::from).map_err(Error::Storage)
    }
}

pub(super) struct EventLog(pub Arc<Context>);

#[interface(name = "org.metergate.Meter1.EventLog")]
impl EventLog {
    async fn read(&self, from_seq: u64, limit: u32) -> Result<(Vec<BusRow>, u64), Error> {
        rows(&self.0, LoggerId::Audit, from_seq, (None, None), checked(limit)?).await
    }
}

pub(super) struct Clock(pub Arc<Context>);

#[interface(name = "org.metergate.Meter1.Clock")]
impl Clock {
    fn now(&self) -> Result<(u64, u8), Error> {
        let live = self.0.live()?;
        let since = i64::try_from(live.at.elapsed().as_micros()).unwrap_or(i64::MAX);
        let quality = match live.wall.quality {
            ClockQuality::Invalid => 0,
            ClockQuality::Holdover => 1,
            ClockQuality::Valid => 2,
        };
        Ok((usec(Utc(live.wall.utc.0.saturating_add(since))), quality))
    }

    async fn set(
        &self,
        usec: u64,
        origin: String,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let utc = bound(usec)?.ok_or_else(|| Error::InvalidArgument("time out of range".into()))?;
        self.0.command(Command::ClockSet(utc), origin, connection, &header).await
    }

    async fn adjust(
        &self,
        delta_usec: i64,
        origin: String,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        self.0.command(Command::ClockAdjust(delta_usec), origin, connection, &header).await
    }
}

pub(super) struct Config(pub Arc<Context>);

#[interface(name = "org.metergate.Meter1.Config")]
impl Config {
    #[zbus(name = "Get")]
    fn current(&self) -> Result<String, Error> {
        let mut config = self.0.config.clone();
        let params = self.0.live()?.params;
        config.show(&params);
        toml::to_string(&config).map_err(|e| Error::Storage(e.to_string()))
    }

    async fn apply(
        &self,
        toml: &str,
        origin: String,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let change: Change =
            meter_kit::config::parse(Path::new("toml"), toml).map_err(|e| Error::InvalidArgument(e.to_string()))?;
        let command = change.command(self.0.live()?.params);
        let command = command.map_err(|e| Error::InvalidArgument(format!("tariffs: {e}")))?;
        self.0.command(command, origin, connection, &header).await
    }
}

pub(super) struct Health(pub Arc<Context>);

#[interface(name = "org.metergate.Meter1.Health")]
impl Health {
    fn state(&self) -> Vec<HealthItem> {
        health::report(&self.0)
    }

    async fn verify(&self) -> Result<(bool, Vec<String>), Error> {
        let answer = self.0.ask(|reply| Query::Verify { reply }).await?;
        let mut verification = answer.map_err(Error::Storage)?;
        match &self.0.live()?.heads {
            Some(findings) => {
                verification.findings.extend(findings.iter().map(ToString::to_string));
                verification.checks.push("heads kept in the coprocessor compared at its last hello".into());
            }
            None => verification.checks.push("heads kept in the coprocessor not compared: it has not answered".into()),
        }
        let ok = verification.ok();
        Ok((ok, if ok { verification.checks } else { verification.findings }))
    }
}
