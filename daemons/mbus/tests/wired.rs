//! The open wired frames against the normalised reading of another decoder: every number, as a decimal.
#![allow(clippy::unwrap_used)] // a failed unwrap fails the test

mod common;

use std::fs;

use mbus::bytes::from_hex;
use mbus::record::{Quantity, Unit};
use mbus::{Decimal, Decoder, Function, Record, Value};

/// Text of an element.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let start = xml.find(&format!("<{name}>"))? + name.len() + 2;
    Some(&xml[start..start + xml[start..].find("</")?])
}

/// Our number in the SI unit of the other reading.
fn si(record: &Record, unit: &str) -> Option<Decimal> {
    let number = record.number()?;
    Some(match (record.unit(), unit) {
        (Unit::KilowattHour | Unit::Kilowatt | Unit::KilovarHour | Unit::Kilovar | Unit::KilovoltampereHour, _) => {
            number.scaled(3)
        }
        (Unit::Megajoule | Unit::MegajoulePerHour, _) => number.scaled(6),
        (Unit::Gigajoule, _) => number.scaled(9),
        (Unit::Minute, "s") => number.times(60)?,
        (Unit::Hour, "s") => number.times(3600)?,
        (Unit::Day, "s") => number.times(86_400)?,
        _ => number,
    })
}

#[test]
fn every_value_of_the_open_frames() {
    let Some(folder) = common::data("mbus/frames") else { return };
    let mut frames = 0;
    let (mut numbers, mut dates, mut missed) = (0, 0, vec![]);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "hex")) {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let bytes = from_hex(&fs::read_to_string(file).unwrap()).unwrap();
        let telegram = Decoder::default().decode(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(telegram.records.rest, None, "{name}");
        frames += 1;
        let xml = String::from_utf8_lossy(&fs::read(file.with_extension("norm.xml")).unwrap()).into_owned();
        let address = telegram.address.unwrap();
        if let Some(letters) = element(&xml, "Manufacturer") {
            assert_eq!(address.manufacturer.to_string(), letters, "{name}");
        }
        assert_eq!(
            address.id_text().trim_start_matches('0'),
            element(&xml, "Id").unwrap().trim_start_matches('0'),
            "{name}"
        );
        assert_eq!(telegram.access().unwrap().to_string(), element(&xml, "AccessNumber").unwrap(), "{name}");
        let expected: Vec<&str> = xml.split("<DataRecord").skip(1).collect();
        let mut more = false;
        let mut records = telegram.records.list.iter().filter(|r| !r.head.is_empty());
        for entry in expected {
            let function = element(entry, "Function").unwrap_or_default();
            if function.starts_with("More records") {
                more = true;
                continue;
            }
            if function.starts_with("Manufacturer specific") {
                continue;
            }
            let record = records.next().unwrap_or_else(|| panic!("{name}: a record is missing"));
            let word = match record.dib.function {
                Function::Instantaneous => "Instantaneous",
                Function::Maximum => "Maximum",
                Function::Minimum => "Minimum",
                Function::Error => "Value during error",
            };
            assert!(function.starts_with(word), "{name}: {function}");
            assert_eq!(record.dib.storage.to_string(), element(entry, "StorageNumber").unwrap_or("0"), "{name}");
            if let Some(tariff) = element(entry, "Tariff") {
                assert_eq!(record.dib.tariff.to_string(), tariff, "{name}");
            }
            if let Some(device) = element(entry, "Device") {
                assert_eq!(record.dib.subunit.to_string(), device, "{name}");
            }
            let (value, unit) = (element(entry, "Value").unwrap_or(""), element(entry, "Unit").unwrap_or(""));
            let right = match &record.value {
                Value::Number(_) => {
                    numbers += 1;
                    let ours = si(record, unit).map(|n| n.rounded(6));
                    Decimal::parse(value).is_some() && ours == Decimal::parse(value)
                }
                Value::At(at) => {
                    dates += 1;
                    let theirs = value.trim_end_matches('Z');
                    theirs.starts_with(&at.to_string())
                }
                Value::Text(text) if record.quantity() == Quantity::FabricationNumber => {
                    numbers += 1;
                    let digits = text.trim_start_matches('0');
                    value.trim_end_matches('0').trim_end_matches('.').starts_with(digits.trim_end_matches('0'))
                        || !digits.bytes().all(|b| b.is_ascii_digit())
                        || digits.is_empty()
                        || i64::from_str_radix(digits, 16).is_ok_and(|n| value.starts_with(&n.to_string()))
                }
                Value::Text(_) | Value::Bytes => true,
                // Invalid here: dates that are unset, digits that are none.
                Value::Empty => !record.valid || value.is_empty(),
            };
            if !right {
                missed.push(format!(
                    "{name}: {:?} {:?} {} {:?}, theirs {value} {unit}",
                    record.quantity(),
                    record.value,
                    record.unit().word(),
                    record.vib.qualifiers.codes()
                ));
            }
        }
        assert_eq!(telegram.records.more, more, "{name}");
    }
    println!("{frames} frames, {numbers} numbers, {dates} dates");
    assert_eq!(frames, 38);
    assert!(missed.is_empty(), "{missed:#?}");
}
