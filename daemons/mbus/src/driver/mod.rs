//! Drivers: what a telegram says, in the words of its type of meter.
//!
//! A driver is a TOML file: which meters it is for, how it names their records, and how their own payloads are laid
//! out. Without a driver, or for records that it does not name, `generic` names them by quantity, storage, tariff,
//! subunit and function. Nothing is dropped: what a driver does not know is still a value.

mod layout;
mod rules;

use std::collections::BTreeMap;

use crate::record::vif::{self, Quantity};
use crate::record::{Function, Record, Value};
use crate::security::Key;
use crate::telegram::{Body, Telegram};
use crate::{Address, Manufacturer, Span, status};

pub use rules::{Driver, RuleError};

/// A named value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Name, without its unit.
    pub name: String,
    /// The value.
    pub value: Value,
    /// Bytes as hex where the value is bytes.
    pub hex: Option<String>,
    /// Unit, empty for none.
    pub unit: String,
    /// Function.
    pub function: Function,
    /// Storage number.
    pub storage: u64,
    /// Tariff.
    pub tariff: u32,
    /// Subunit.
    pub subunit: u16,
    /// `false`: the meter marks it as invalid.
    pub valid: bool,
    /// Where it stands in the telegram; for scrambled payloads where the scrambled bytes stand.
    pub data: Span,
}

/// What a telegram says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    /// Name of the driver.
    pub driver: Option<String>,
    /// What the meter measures, in words.
    pub medium: String,
    /// Values in the order sent, then `status`.
    pub readings: Vec<Reading>,
    /// Values of earlier telegrams stay valid beside those of this one.
    pub merge: bool,
    /// A manufacturer's own protection was opened.
    pub opened: bool,
}

/// Drivers by meter.
#[derive(Debug, Default)]
pub struct Drivers {
    list: Vec<Driver>,
    by_manufacturer: BTreeMap<Manufacturer, Vec<usize>>,
    generic: Option<Driver>,
}

include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

impl Drivers {
    /// The shipped drivers, those of `config/muc/drivers` when this was built.
    ///
    /// # Errors
    /// [`RuleError`]: a shipped file is wrong (a test keeps this from happening).
    pub fn shipped() -> Result<Self, RuleError> {
        let mut drivers = Self::default();
        for (file, text) in SHIPPED {
            drivers.add(Driver::parse(file, text)?);
        }
        Ok(drivers)
    }

    /// Adds a driver; it comes before those added earlier, one of the same name replaces the earlier one.
    pub fn add(&mut self, driver: Driver) {
        if driver.name == "generic" {
            self.generic = Some(driver);
            return;
        }
        self.list.retain(|known| known.name != driver.name);
        self.list.insert(0, driver);
        self.by_manufacturer.clear();
        for (index, driver) in self.list.iter().enumerate() {
            for meter in &driver.meters {
                let list = self.by_manufacturer.entry(meter.manufacturer).or_default();
                if list.last() != Some(&index) {
                    list.push(index);
                }
            }
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Driver> {
        self.list.iter()
    }

    /// The driver of a meter: the one whose rule is the narrowest.
    pub fn of(&self, meter: &Address, ci: u8) -> Option<&Driver> {
        let candidates = self.by_manufacturer.get(&meter.manufacturer.plain())?;
        let fitting = candidates.iter().filter_map(|index| {
            let driver = &self.list[*index];
            Some((driver.fit(meter, ci)?, driver))
        });
        fitting.max_by_key(|(fit, _)| *fit).map(|(_, driver)| driver)
    }

    /// Names all values. `key` opens payloads that a manufacturer protects in its own way.
    ///
    /// # Errors
    /// [`crate::Error`]: the payload is a manufacturer's own and cannot be opened.
    pub fn read(&self, telegram: &Telegram, key: Option<&Key>) -> Result<Meaning, crate::Error> {
        let driver = self.driver_for(telegram);
        let mut out = Meaning { driver: driver.map(|d| d.name.clone()), ..Meaning::default() };
        let device_type = telegram.address.map_or(0x0F, |a| a.device_type);
        out.medium = crate::address::device_type_words(device_type).to_owned();
        let mut flags = vec![];
        let mut covered = vec![];
        let mut replaced = None;
        if let Some(driver) = driver {
            out.merge = driver.merge;
            if let Some(medium) = driver.medium_of(device_type) {
                out.medium = medium.to_owned();
            }
            layout::read(driver, telegram, key, &mut out, &mut flags, &mut covered, &mut replaced)?;
        }
        let records = replaced.as_ref().unwrap_or(telegram);
        for record in &records.records.list {
            if replaced.is_none() && covered.contains(&record.data) {
                continue;
            }
            self.name(driver, records, record, &mut out, &mut flags);
        }
        if let Some(driver) = driver {
            for derived in &driver.derived {
                if let Some((value, unit)) = derived.value(&out.readings) {
                    out.readings.push(Reading {
                        name: derived.name.clone(),
                        unit,
                        ..empty(Value::Number(value), telegram.payload)
                    });
                }
            }
            out.readings.retain(|r| !r.name.starts_with('_'));
        }
        if let Some(status) = self.status(driver, telegram, flags) {
            out.readings.push(status);
        }
        Ok(out)
    }

    /// By the meter's own address, else by that of the radio adapter.
    fn driver_for(&self, telegram: &Telegram) -> Option<&Driver> {
        let own = telegram.address.and_then(|a| self.of(&a, telegram.ci));
        own.or_else(|| match telegram.link {
            crate::telegram::Link::Wireless { address, .. } => self.of(&address, telegram.ci),
            crate::telegram::Link::Wired { .. } => None,
        })
    }

    fn name(
        &self,
        driver: Option<&Driver>,
        telegram: &Telegram,
        record: &Record,
        out: &mut Meaning,
        flags: &mut Vec<String>,
    ) {
        let own = driver.into_iter().flat_map(|d| d.rules(record));
        let mut named = false;
        for rule in own {
            named = true;
            let mut reading = plain(telegram, record);
            rule.apply(record, &mut reading, flags);
            out.readings.push(reading);
        }
        if named {
            return;
        }
        let mut reading = plain(telegram, record);
        if let Some(rule) = self.generic.as_ref().and_then(|generic| generic.rules(record).next()) {
            rule.apply(record, &mut reading, flags);
        } else {
            reading.name = generic_name(record);
        }
        out.readings.push(reading);
    }

    fn status(&self, driver: Option<&Driver>, telegram: &Telegram, mut flags: Vec<String>) -> Option<Reading> {
        let byte = telegram.status();
        if byte.is_none() && flags.is_empty() && !matches!(telegram.body, Body::Records) {
            return None;
        }
        if let Some(byte) = byte {
            match driver.filter(|d| !d.status.is_empty()) {
                Some(driver) => {
                    flags.extend(driver.status.iter().filter(|(bit, _)| byte & bit != 0).map(|(_, word)| word.clone()));
                    flags.extend(status::words(byte & 0x1F));
                }
                None => flags.extend(status::words(byte)),
            }
        }
        flags.sort();
        flags.dedup();
        let text = if flags.is_empty() { "OK".to_owned() } else { flags.join(" ") };
        let data = telegram.tpl.map_or(Span::default(), |tpl| {
            let at = tpl.span.start as usize + if tpl.address.is_some() { 10 } else { 2 };
            Span::new(at, at + 1)
        });
        Some(Reading { name: "status".to_owned(), ..empty(Value::Text(text.into()), data) })
    }
}

/// A reading that comes from no record.
fn empty(value: Value, data: Span) -> Reading {
    Reading {
        name: String::new(),
        value,
        hex: None,
        unit: String::new(),
        function: Function::Instantaneous,
        storage: 0,
        tariff: 0,
        subunit: 0,
        valid: true,
        data,
    }
}

/// A record with its unit but without a name.
fn plain(telegram: &Telegram, record: &Record) -> Reading {
    let mut unit = match &record.vib.text {
        Some(text) => text.trim().to_owned(),
        None => record.unit().word().to_owned(),
    };
    if let Some(per) = record.vib.per {
        unit = format!("{}/{per}", if unit.is_empty() { "1" } else { &unit });
    }
    Reading {
        name: String::new(),
        value: record.value.clone(),
        hex: (record.value == Value::Bytes).then(|| crate::bytes::to_hex(record.data.of(&telegram.bytes))),
        unit,
        function: record.dib.function,
        storage: record.dib.storage,
        tariff: record.dib.tariff,
        subunit: record.dib.subunit,
        valid: record.valid,
        data: record.data,
    }
}

/// A name from what the record says of itself: `maximum_power_l1_tariff_2_storage_1`.
fn generic_name(record: &Record) -> String {
    let mut name = String::new();
    if record.dib.function != Function::Instantaneous {
        name.push_str(record.dib.function.word());
        name.push('_');
    }
    name.push_str(record.quantity().word());
    if matches!(record.quantity(), Quantity::ManufacturerSpecific | Quantity::Reserved) && record.vib.code != 0 {
        name.push_str(&format!("_{:02x}", record.vib.code));
    }
    for word in qualifier_words(record) {
        name.push('_');
        name.push_str(&word);
    }
    for (label, number) in [
        ("tariff", u64::from(record.dib.tariff)),
        ("subunit", u64::from(record.dib.subunit)),
        ("storage", record.dib.storage),
    ] {
        if number != 0 {
            name.push_str(&format!("_{label}_{number}"));
        }
    }
    name
}

/// Qualifiers that are part of what a value is: words, `m07` for manufacturer's codes, `q5A` for others.
/// Corrections of scale are none.
pub(crate) fn qualifier_words(record: &Record) -> Vec<String> {
    record
        .vib
        .qualifiers
        .codes()
        .iter()
        .filter(|code| !matches!(**code, 0x00 | 0x70..=0x7B | 0x7D))
        .map(|code| match vif::qualifier_word(*code) {
            Some(word) => word.to_owned(),
            None if code & vif::MANUFACTURER_LEVEL != 0 => format!("m{:02x}", code & 0x7F),
            None => format!("q{:02x}", code & 0x1FF),
        })
        .collect()
}
