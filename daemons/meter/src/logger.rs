//! Loggers as data: what each keeps, how deep, and how its rows are chained.
//!
//! Rows are keyed by a sequence number that grows by one and is never reused, whatever the clock does. Each row holds
//! the hash of the row before it, so a changed, missing or reordered row is found; the newest hash is kept in a second
//! place (the coprocessor), so cutting off the end is found too.

use meter_model::{Obis, Status, Unit, Utc};
use metrology_link::payload::{ChainHead, EventCode};
use sha2::{Digest, Sha256};

/// Stands in a column for "there was no value": no window had one.
pub const ABSENT: i64 = i64::MIN;

/// Number of loggers.
pub const LOGS: usize = 6;

/// Which logger. The number is the number of its chain in the coprocessor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum LoggerId {
    /// Load profile: registers at each end of an integration period.
    Load = 0,
    /// What happened to the meter: events of the metrology, and breaks the meter found.
    Status = 1,
    /// Who changed what.
    Audit = 2,
    /// Debiting logger 1: registers and peaks at each debiting stop.
    Debiting = 3,
    /// Debiting logger 2: registers each day, week or month.
    Debiting2 = 4,
    /// Moves of the clock.
    Clock = 5,
}

impl LoggerId {
    /// All, in the order of their numbers.
    pub const ALL: [LoggerId; LOGS] =
        [LoggerId::Load, LoggerId::Status, LoggerId::Audit, LoggerId::Debiting, LoggerId::Debiting2, LoggerId::Clock];

    /// Its place in [`LOGGERS`] and in arrays of [`Cursor`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Its specification.
    pub fn spec(self) -> &'static LoggerSpec {
        &LOGGERS[self.index()]
    }

    /// The logger of a name as on the command line.
    pub fn named(name: &str) -> Option<LoggerId> {
        LOGGERS.iter().find(|spec| spec.name == name).map(|spec| spec.id)
    }
}

/// How the integers of a column are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// As shown: `value * 10^scaler unit`.
    Plain,
    /// In millijoule (mvar·s, mVA·s), so that differences are exact. Shown with scaler -3 in Wh (varh, VAh) as
    /// `floor(stored / 3600)`; 1 Wh = 3 600 000 mJ.
    Millijoule,
}

/// One column of a logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// OBIS code; `None` for a column that is no register.
    pub obis: Option<Obis>,
    /// Short name, as in a table's head.
    pub name: &'static str,
    /// Power of ten of the shown value.
    pub scaler: i8,
    /// Unit of the shown value.
    pub unit: Unit,
    /// How the stored integer becomes the shown one.
    pub stored: Stored,
}

impl Column {
    /// The shown integer (scaler and unit of the column) of a stored one; `None` when the value is absent.
    pub fn shown(&self, stored: i64) -> Option<i64> {
        match (stored, self.stored) {
            (ABSENT, _) => None,
            (v, Stored::Plain) => Some(v),
            (v, Stored::Millijoule) => Some(v.div_euclid(crate::MILLIJOULE_PER_STEP as i64)),
        }
    }
}

/// One logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggerSpec {
    /// Which.
    pub id: LoggerId,
    /// Name on the command line and on the bus.
    pub name: &'static str,
    /// OBIS code of the profile.
    pub obis: Obis,
    /// Columns of [`Row::values`], in order.
    pub columns: &'static [Column],
    /// Whether rows carry words in [`Row::text`].
    pub text: bool,
    /// Rows kept; the oldest is overwritten.
    pub depth: u64,
}

const fn column(obis: [u8; 3], name: &'static str, scaler: i8, unit: Unit, stored: Stored) -> Column {
    let [c, d, e] = obis;
    Column { obis: Some(Obis::electricity(c, d, e)), name, scaler, unit, stored }
}

const fn energy(c: u8, name: &'static str, unit: Unit) -> Column {
    column([c, 8, 0], name, -3, unit, Stored::Millijoule)
}

const fn mean(c: u8, name: &'static str, scaler: i8, unit: Unit) -> Column {
    column([c, 25, 0], name, scaler, unit, Stored::Plain)
}

const fn number(name: &'static str) -> Column {
    Column { obis: None, name, scaler: 0, unit: Unit::Count, stored: Stored::Plain }
}

/// Cumulative energy columns of the load profile; they stand first.
pub(crate) const LOAD_ENERGIES: usize = 10;

const LOAD_COLUMNS: &[Column] = &[
    energy(1, "A+", Unit::WattHour),
    energy(2, "A-", Unit::WattHour),
    energy(3, "R+", Unit::VarHour),
    energy(4, "R-", Unit::VarHour),
    energy(5, "R1", Unit::VarHour),
    energy(6, "R2", Unit::VarHour),
    energy(7, "R3", Unit::VarHour),
    energy(8, "R4", Unit::VarHour),
    energy(9, "E+", Unit::VoltAmpereHour),
    energy(10, "E-", Unit::VoltAmpereHour),
    mean(32, "U L1 mean", -3, Unit::Volt),
    mean(52, "U L2 mean", -3, Unit::Volt),
    mean(72, "U L3 mean", -3, Unit::Volt),
    mean(31, "I L1 mean", -6, Unit::Ampere),
    mean(51, "I L2 mean", -6, Unit::Ampere),
    mean(71, "I L3 mean", -6, Unit::Ampere),
    mean(33, "PF L1 mean", -6, Unit::Count),
    mean(53, "PF L2 mean", -6, Unit::Count),
    mean(73, "PF L3 mean", -6, Unit::Count),
    mean(14, "f mean", -6, Unit::Hertz),
];

const STATUS_COLUMNS: &[Column] = &[
    number("code"),
    number("phase"),
    number("boot"),
    number("arg 0"),
    number("arg 1"),
    number("arg 2"),
    number("arg 3"),
];

const AUDIT_COLUMNS: &[Column] = &[number("code"), number("old"), number("new"), number("uid")];

const fn at(obis: [u8; 6], name: &'static str) -> Column {
    // Time stamps: µs since 1970 UTC.
    Column { obis: Some(Obis(obis)), name, scaler: -6, unit: Unit::Second, stored: Stored::Plain }
}

const fn tariff(c: u8, t: u8, name: &'static str, unit: Unit) -> Column {
    column([c, 8, t], name, -3, unit, Stored::Millijoule)
}

const fn power(c: u8, d: u8, t: u8, name: &'static str, unit: Unit) -> Column {
    column([c, d, t], name, -3, unit, Stored::Plain)
}

const fn counter(obis: [u8; 6], name: &'static str, unit: Unit) -> Column {
    Column { obis: Some(Obis(obis)), name, scaler: 0, unit, stored: Stored::Plain }
}

/// The order of the table: various, energies, powers. Time and clock quality are those of the row.
const DEBITING_COLUMNS: &[Column] = &[
    counter([0, 1, 96, 8, 0, 255], "hours", Unit::Hour),
    counter([1, 1, 0, 1, 0, 255], "debiting periods", Unit::Count),
    counter([1, 1, 96, 51, 2, 255], "threshold count", Unit::Count),
    counter([1, 1, 0, 128, 1, 255], "pulses", Unit::Count),
    counter([1, 1, 0, 4, 2, 255], "CT ratio", Unit::Count),
    energy(1, "A+", Unit::WattHour),
    energy(2, "A-", Unit::WattHour),
    energy(3, "R+", Unit::VarHour),
    energy(4, "R-", Unit::VarHour),
    energy(9, "E+", Unit::VoltAmpereHour),
    energy(10, "E-", Unit::VoltAmpereHour),
    tariff(1, 1, "A+ T1", Unit::WattHour),
    tariff(1, 2, "A+ T2", Unit::WattHour),
    tariff(1, 3, "A+ T3", Unit::WattHour),
    tariff(1, 4, "A+ T4", Unit::WattHour),
    tariff(3, 1, "R+ T1", Unit::VarHour),
    tariff(3, 2, "R+ T2", Unit::VarHour),
    tariff(3, 3, "R+ T3", Unit::VarHour),
    tariff(3, 4, "R+ T4", Unit::VarHour),
    power(1, 6, 0, "P+ max", Unit::Watt),
    at([1, 1, 1, 6, 0, 255], "P+ max at"),
    power(1, 2, 0, "P+ max acc", Unit::Watt),
    power(1, 2, 1, "P+ max acc T1", Unit::Watt),
    power(1, 2, 2, "P+ max acc T2", Unit::Watt),
    power(3, 6, 0, "Q+ max", Unit::Var),
    at([1, 1, 3, 6, 0, 255], "Q+ max at"),
    power(3, 2, 0, "Q+ max acc", Unit::Var),
    power(1, 6, 1, "P+ max T1", Unit::Watt),
    at([1, 1, 1, 6, 1, 255], "P+ max T1 at"),
    power(1, 6, 2, "P+ max T2", Unit::Watt),
    at([1, 1, 1, 6, 2, 255], "P+ max T2 at"),
    power(3, 6, 1, "Q+ max T1", Unit::Var),
    at([1, 1, 3, 6, 1, 255], "Q+ max T1 at"),
    power(3, 6, 2, "Q+ max T2", Unit::Var),
    at([1, 1, 3, 6, 2, 255], "Q+ max T2 at"),
    power(9, 6, 0, "S+ max", Unit::VoltAmpere),
    at([1, 1, 9, 6, 0, 255], "S+ max at"),
    power(10, 6, 0, "S- max", Unit::VoltAmpere),
    at([1, 1, 10, 6, 0, 255], "S- max at"),
];

const DEBITING_2_COLUMNS: &[Column] = &[
    counter([0, 1, 96, 8, 0, 255], "hours", Unit::Hour),
    energy(1, "A+", Unit::WattHour),
    energy(2, "A-", Unit::WattHour),
    energy(3, "R+", Unit::VarHour),
    energy(4, "R-", Unit::VarHour),
    tariff(1, 1, "A+ T1", Unit::WattHour),
    tariff(1, 2, "A+ T2", Unit::WattHour),
    tariff(1, 3, "A+ T3", Unit::WattHour),
    tariff(1, 4, "A+ T4", Unit::WattHour),
    tariff(2, 1, "A- T1", Unit::WattHour),
    tariff(2, 2, "A- T2", Unit::WattHour),
    tariff(2, 3, "A- T3", Unit::WattHour),
    tariff(2, 4, "A- T4", Unit::WattHour),
    tariff(3, 1, "R+ T1", Unit::VarHour),
    tariff(3, 2, "R+ T2", Unit::VarHour),
    tariff(3, 3, "R+ T3", Unit::VarHour),
    tariff(3, 4, "R+ T4", Unit::VarHour),
    tariff(4, 1, "R- T1", Unit::VarHour),
    tariff(4, 2, "R- T2", Unit::VarHour),
    tariff(4, 3, "R- T3", Unit::VarHour),
    tariff(4, 4, "R- T4", Unit::VarHour),
];

const CLOCK_COLUMNS: &[Column] = &[at([0, 1, 1, 0, 0, 255], "old"), at([0, 1, 1, 0, 0, 255], "new")];

/// All loggers. The store makes its tables from this list.
pub static LOGGERS: [LoggerSpec; LOGS] = [
    LoggerSpec {
        id: LoggerId::Load,
        name: "load",
        obis: Obis([1, 1, 99, 1, 0, 255]),
        columns: LOAD_COLUMNS,
        text: false,
        // 384 days of 15 minutes: more than a year.
        depth: 36_864,
    },
    LoggerSpec {
        id: LoggerId::Status,
        name: "status",
        obis: Obis([1, 1, 99, 98, 2, 255]),
        columns: STATUS_COLUMNS,
        text: false,
        // 11 events a day for a year.
        depth: 4096,
    },
    LoggerSpec {
        id: LoggerId::Audit,
        name: "audit",
        obis: Obis([1, 1, 99, 98, 1, 255]),
        columns: AUDIT_COLUMNS,
        text: true,
        // One change a day for 11 years. Apart from the status logger, so that no number of events pushes a change out.
        depth: 4096,
    },
    LoggerSpec {
        id: LoggerId::Debiting,
        name: "debiting",
        obis: Obis([1, 1, 98, 1, 0, 255]),
        columns: DEBITING_COLUMNS,
        text: false,
        // Three years of months.
        depth: 36,
    },
    LoggerSpec {
        id: LoggerId::Debiting2,
        name: "debiting2",
        obis: Obis([1, 1, 98, 2, 0, 255]),
        columns: DEBITING_2_COLUMNS,
        text: false,
        depth: 175,
    },
    LoggerSpec {
        id: LoggerId::Clock,
        name: "clock",
        obis: Obis([1, 1, 99, 98, 3, 255]),
        columns: CLOCK_COLUMNS,
        text: false,
        depth: 200,
    },
];

/// Codes of the status logger that the meter itself writes. Codes below 1000 are those of the metrology's events
/// ([`EventCode`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum StatusCode {
    /// First metrology of this meter. args: its boots, history records at hand.
    MetrologyAdopted = 1000,
    /// Another metrology answers. args: device id before and now (big endian). Its counters so far are not counted.
    MetrologyReplaced = 1001,
    /// The metrology's memory began anew. args: device id now, energy A+ (mJ) at the last settled record.
    MetrologyMemoryReset = 1002,
    /// A counter was lower than before without a memory reset; registers kept. args: history record.
    CountersRegressed = 1003,
    /// History records were lost; energy is exact, boundaries between were merged. args: first, last.
    HistoryLost = 1004,
    /// Events of the metrology were lost. args: first, last.
    EventsLost = 1005,
    /// The topology of the metrology is not that of the configuration. args: configured type, topology told.
    WrongTopology = 1006,
    /// A damaged database was put aside; rows up to here are in the file that was kept. args: settled history record.
    StoreReplaced = 1007,
    /// History was lost over a tariff switch: energy of the gap went to the tariff before. args: tariff before, after.
    TariffUncertain = 1008,
}

/// Codes of the audit logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum AuditCode {
    /// Meter time set. old, new: µs UTC.
    ClockSet = 1,
    /// Meter time adjusted. old, new: µs UTC.
    ClockAdjusted = 2,
    /// Integration period, minutes.
    Period = 3,
    /// Current transformer ratio.
    CtRatio = 4,
    /// Base offset, minutes.
    Offset = 5,
    /// A change of the clock did not reach the metrology and was given up. old: grid id, new: 0.
    ClockFailed = 6,
    /// A damaged database was put aside and a new one begun. old: 0, new: settled history record.
    StoreReplaced = 7,
    /// The tariff demanded.
    DemandedTariff = 8,
    /// The tariff plan followed.
    TariffPlan = 9,
    /// Tariffs accepted, waiting for their time. old, new: fingerprints of what waited and waits (0 = nothing).
    TariffsAccepted = 10,
    /// Tariffs came into force. old, new: fingerprints.
    TariffsInForce = 11,
    /// Day, interval and first month of debiting stops, as day * 10 000 + months * 100 + first.
    DebitingSchedule = 12,
    /// Cycle of debiting logger 2: 0 daily, 1 weekly, 2 monthly.
    Debiting2Cycle = 13,
    /// Debiting stops by tariff input 1: 0 off, 1 on.
    DebitingPulse = 14,
    /// Power threshold, W.
    PowerThreshold = 15,
    /// Smallest move of the clock in the clock logger, s.
    ClockFilter = 16,
    /// A debiting stop was asked for. old, new: number of debiting periods.
    DebitingStop = 17,
    /// A trip counter was set to zero. old, new: mJ at which it began to count; 18 to 23 for A+, A-, R+, R-, E+, E-.
    TripReset = 18,
}

/// The name of a code of the status or audit logger, for people; `None` for the load profile and unknown codes.
pub fn code_name(logger: LoggerId, code: i64) -> Option<&'static str> {
    match (logger, code) {
        (LoggerId::Status, 0..1000) => EventCode(u16::try_from(code).ok()?).name(),
        (LoggerId::Status, 1000) => Some("metrology-adopted"),
        (LoggerId::Status, 1001) => Some("metrology-replaced"),
        (LoggerId::Status, 1002) => Some("metrology-memory-reset"),
        (LoggerId::Status, 1003) => Some("counters-regressed"),
        (LoggerId::Status, 1004) => Some("history-lost"),
        (LoggerId::Status, 1005) => Some("events-lost"),
        (LoggerId::Status, 1006) => Some("wrong-topology"),
        (LoggerId::Status, 1007) => Some("store-replaced"),
        (LoggerId::Status, 1008) => Some("tariff-uncertain"),
        (LoggerId::Audit, 1) => Some("clock-set"),
        (LoggerId::Audit, 2) => Some("clock-adjusted"),
        (LoggerId::Audit, 3) => Some("period"),
        (LoggerId::Audit, 4) => Some("ct-ratio"),
        (LoggerId::Audit, 5) => Some("base-offset"),
        (LoggerId::Audit, 6) => Some("clock-failed"),
        (LoggerId::Audit, 7) => Some("store-replaced"),
        (LoggerId::Audit, 8) => Some("demanded-tariff"),
        (LoggerId::Audit, 9) => Some("tariff-plan"),
        (LoggerId::Audit, 10) => Some("tariffs-accepted"),
        (LoggerId::Audit, 11) => Some("tariffs-in-force"),
        (LoggerId::Audit, 12) => Some("debiting-schedule"),
        (LoggerId::Audit, 13) => Some("debiting2-cycle"),
        (LoggerId::Audit, 14) => Some("debiting-pulse"),
        (LoggerId::Audit, 15) => Some("power-threshold"),
        (LoggerId::Audit, 16) => Some("clock-filter"),
        (LoggerId::Audit, 17) => Some("debiting-stop"),
        (LoggerId::Audit, 18..=23) => Some("trip-reset"),
        _ => None,
    }
}

/// One row of a logger. Never changed once written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Grows by one, begins at 1.
    pub seq: u64,
    /// Begin of the interval; for an event its time.
    pub start: Utc,
    /// End of the interval; for an event its time.
    pub end: Utc,
    /// What happened.
    pub status: Status,
    /// As the logger's columns say; [`ABSENT`] where there was no value.
    pub values: Vec<i64>,
    /// Words of an audit row: who (the origin).
    pub text: String,
    /// Hash of the row before; [`genesis`] for the first.
    pub prev: [u8; 32],
    /// [`row_hash`] of this row.
    pub hash: [u8; 32],
}

/// What stands as `prev` in the first row of a logger: SHA-256 of `"metergate log "` and its name, so that chains of
/// two loggers never share a row.
pub fn genesis(logger: LoggerId) -> [u8; 32] {
    Sha256::new().chain_update(b"metergate log ").chain_update(logger.spec().name).finalize().into()
}

/// SHA-256 over the canonical bytes of a row: `prev`, logger u8, seq u64, start i64, end i64, status u32, number of
/// values u16, the values i64, length of the text u16, the text; integers little endian. `row.hash` is not read.
pub fn row_hash(logger: LoggerId, row: &Row) -> [u8; 32] {
    let mut bytes = Vec::with_capacity(65 + 8 * row.values.len() + row.text.len());
    bytes.extend_from_slice(&row.prev);
    bytes.push(logger as u8);
    bytes.extend_from_slice(&row.seq.to_le_bytes());
    bytes.extend_from_slice(&row.start.0.to_le_bytes());
    bytes.extend_from_slice(&row.end.0.to_le_bytes());
    bytes.extend_from_slice(&row.status.0.to_le_bytes());
    bytes.extend_from_slice(&(row.values.len() as u16).to_le_bytes());
    for v in &row.values {
        bytes.extend_from_slice(&v.to_le_bytes());
    }
    bytes.extend_from_slice(&(row.text.len() as u16).to_le_bytes());
    bytes.extend_from_slice(row.text.as_bytes());
    Sha256::digest(&bytes).into()
}

/// Where a logger stands: what its next row will be called and what it will hang on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Sequence number of the next row.
    pub next: u64,
    /// Hash of the newest row; [`genesis`] before the first.
    pub head: [u8; 32],
}

impl Cursor {
    /// An empty logger.
    pub fn new(logger: LoggerId) -> Cursor {
        Cursor { next: 1, head: genesis(logger) }
    }

    /// Numbers and chains a row.
    pub(crate) fn append(&mut self, logger: LoggerId, mut row: Row) -> Row {
        row.seq = self.next;
        row.prev = self.head;
        row.hash = row_hash(logger, &row);
        self.next = self.next.saturating_add(1);
        self.head = row.hash;
        row
    }

    /// The head as the coprocessor keeps it; seq 0 while there is no row.
    pub fn chain_head(&self, logger: LoggerId) -> ChainHead {
        ChainHead { log: logger as u8, seq: self.next.saturating_sub(1), head: self.head }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_agrees_with_the_numbers() {
        for (i, id) in LoggerId::ALL.into_iter().enumerate() {
            assert_eq!((id.index(), id.spec().id, LoggerId::named(id.spec().name)), (i, id, Some(id)));
        }
        assert_eq!(LOAD_COLUMNS.iter().filter(|c| c.stored == Stored::Millijoule).count(), LOAD_ENERGIES);
        assert_eq!(code_name(LoggerId::Status, 1), Some("boot"));
        assert_eq!(code_name(LoggerId::Status, StatusCode::WrongTopology as i64), Some("wrong-topology"));
        assert_eq!(code_name(LoggerId::Audit, AuditCode::ClockFailed as i64), Some("clock-failed"));
        assert_eq!(code_name(LoggerId::Load, 1), None);
    }

    #[test]
    fn every_field_of_a_row_is_under_the_hash() {
        let row = Row {
            seq: 7,
            start: Utc(1),
            end: Utc(2),
            status: Status(4),
            values: vec![5, 6],
            text: "who".into(),
            prev: [8; 32],
            hash: [0; 32],
        };
        let reference = row_hash(LoggerId::Load, &row);
        let changed: [fn(&mut Row); 8] = [
            |r| r.seq += 1,
            |r| r.start.0 += 1,
            |r| r.end.0 += 1,
            |r| r.status.0 ^= 1 << 31,
            |r| r.values[1] ^= 1,
            |r| r.values.truncate(1),
            |r| r.text.push('s'),
            |r| r.prev[31] ^= 1,
        ];
        for change in changed {
            let mut other = row.clone();
            change(&mut other);
            assert_ne!(row_hash(LoggerId::Load, &other), reference, "{other:?}");
        }
        assert_ne!(row_hash(LoggerId::Status, &row), reference);
        // The hash itself is not part of what is hashed.
        assert_eq!(row_hash(LoggerId::Load, &Row { hash: [1; 32], ..row }), reference);
    }

    #[test]
    fn millijoules_are_shown_in_milliwatthours_rounded_down() {
        let column = LOAD_COLUMNS[0];
        assert_eq!(column.shown(3_600_000), Some(1000));
        assert_eq!(column.shown(3_599), Some(0));
        assert_eq!(column.shown(ABSENT), None);
        assert_eq!(LOAD_COLUMNS[10].shown(230_000), Some(230_000));
    }
}
