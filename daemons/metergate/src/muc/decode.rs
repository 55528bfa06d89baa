//! `metergate muc decode`: telegrams on stdin to values on stdout.

use std::fs;
use std::io::{self, BufRead, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use mbus::bytes::from_hex;
use mbus::compact::Formats;
use mbus::driver::{Driver, Drivers, Meaning, Reading};
use mbus::security::Key;
use mbus::{Decoder, Telegram, Value};
use serde::{Deserialize, Serialize};

use crate::cli::Usage;
use crate::table::{Align, Table};

const EXAMPLES: &str = "\
Examples:
  echo 2E44A511...2606 | metergate muc decode
  metergate muc decode --key 00112233445566778899AABBCCDDEEFF < telegrams.hex
  metergate muc decode --jsonl < telegrams.jsonl

A line holds one telegram in hex digits: wired (68 L L 68 ... 16) or wireless, with or without the CRCs of frame
formats A and B. With --jsonl a line holds an object with `hex` and, where needed, `key`, `prior` (telegrams to feed
first) and `plain` (the payload is stored in clear under a header that declares encryption).

Formats of compact frames are learnt from the full frames of the same run.";

/// Arguments of `muc decode`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DecodeArgs {
    /// AES-128 key of the meter, 32 hex digits
    #[arg(long, value_name = "HEX", conflicts_with = "jsonl")]
    key: Option<String>,
    /// Objects in, one object out per line
    #[arg(long)]
    jsonl: bool,
    /// The payload is stored in clear under a header that declares encryption
    #[arg(long, conflicts_with = "jsonl")]
    plain: bool,
    /// More drivers (TOML files); one of the same name replaces the shipped one
    #[arg(long, value_name = "DIR")]
    drivers: Option<PathBuf>,
}

/// A line of `--jsonl`.
#[derive(Debug, Deserialize)]
struct Input {
    hex: String,
    key: Option<String>,
    #[serde(default)]
    prior: Vec<String>,
    #[serde(default)]
    plain: bool,
}

/// What `--jsonl` prints for a line.
#[derive(Debug, Default, Serialize)]
struct Output {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manufacturer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    medium: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    security: Option<String>,
    driver: Option<String>,
    values: Vec<Row>,
}

#[derive(Clone, Debug, Serialize)]
struct Row {
    name: String,
    value: Option<String>,
    unit: Option<String>,
    function: &'static str,
    storage: u64,
    tariff: u32,
    subunit: u16,
    /// The meter marks the value as invalid.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    invalid: bool,
    /// Where the value stands in the telegram (after decryption, without link layer CRCs): first byte, one past the last.
    bytes: [u32; 2],
}

/// Decodes all lines.
pub fn run(args: &DecodeArgs) -> anyhow::Result<ExitCode> {
    let mut reader = TelegramReader { drivers: drivers(args.drivers.as_deref())?, formats: Formats::shipped() };
    let key = args.key.as_deref().map(key).transpose().map_err(|error| Usage(format!("--key: {error}")))?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut failed = 0u64;
    for (number, line) in io::stdin().lock().lines().enumerate() {
        let line = line.context("cannot read stdin")?;
        if line.trim().is_empty() {
            continue;
        }
        if args.jsonl {
            let output = reader
                .object(&line)
                .unwrap_or_else(|error| Output { error: Some(crate::one_line(&error)), ..Output::default() });
            serde_json::to_writer(&mut out, &output).map_err(io::Error::from)?;
            writeln!(out)?;
        } else {
            match reader.telegram(&line, key, args.plain) {
                Ok((telegram, meaning)) => print(&mut out, &output(&telegram, &meaning))?,
                Err(error) => {
                    failed += 1;
                    out.flush()?;
                    eprintln!("metergate: line {}: {}", number + 1, crate::one_line(&error));
                }
            }
        }
    }
    out.flush()?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The shipped drivers and those of a folder.
fn drivers(folder: Option<&Path>) -> anyhow::Result<Drivers> {
    let mut drivers = Drivers::shipped()?;
    let Some(folder) = folder else { return Ok(drivers) };
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|e| Ok(e?.path())).collect::<io::Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    files.sort();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        drivers.add(Driver::parse(&file.display().to_string(), &text)?);
    }
    Ok(drivers)
}

fn key(hex: &str) -> anyhow::Result<Key> {
    let bytes = from_hex(hex)?;
    match <Key>::try_from(&bytes[..]) {
        Ok(key) => Ok(key),
        Err(_) => bail!("a key has 32 hex digits, this has {}", bytes.len() * 2),
    }
}

/// What is known from one telegram to the next.
struct TelegramReader {
    drivers: Drivers,
    formats: Formats,
}

impl TelegramReader {
    fn telegram(&mut self, hex: &str, key: Option<Key>, plain: bool) -> anyhow::Result<(Telegram, Meaning)> {
        let bytes = from_hex(hex)?;
        // With a key, a telegram in clear is a forged one, or somebody else's.
        let protected = key.is_some() && !plain;
        let mut decoder = Decoder { key, plain, protected, formats: Some(&mut self.formats), ..Decoder::default() };
        let telegram = decoder.decode(&bytes)?;
        let meaning = self.drivers.read(&telegram, key.as_ref())?;
        Ok((telegram, meaning))
    }

    fn object(&mut self, line: &str) -> anyhow::Result<Output> {
        let input: Input = serde_json::from_str(line).context("not an object with `hex`")?;
        let key = input.key.as_deref().filter(|k| !matches!(*k, "" | "NOKEY")).map(key).transpose()?;
        let mut earlier: Vec<Row> = vec![];
        for prior in &input.prior {
            // A telegram that came before and could not be read has taught nothing.
            if let Ok((_, meaning)) = self.telegram(prior, key, input.plain)
                && meaning.merge
            {
                earlier = merged(rows(&meaning.readings), earlier);
            }
        }
        let (telegram, meaning) = self.telegram(&input.hex, key, input.plain)?;
        let mut output = output(&telegram, &meaning);
        if meaning.merge {
            output.values = merged(output.values, earlier);
        }
        Ok(output)
    }
}

/// `newer`, and those of `earlier` that it does not name.
fn merged(mut newer: Vec<Row>, earlier: Vec<Row>) -> Vec<Row> {
    let known = newer.len();
    for row in earlier {
        let same = |r: &Row| (&r.name, &r.unit) == (&row.name, &row.unit);
        if !newer[..known].iter().any(same) {
            newer.push(row);
        }
    }
    newer
}

fn output(telegram: &Telegram, meaning: &Meaning) -> Output {
    let security = if meaning.opened { "manufacturer's own, opened".to_owned() } else { telegram.security.words() };
    Output {
        ok: true,
        error: None,
        manufacturer: telegram.address.map(|a| a.manufacturer.to_string()),
        id: telegram.address.map(|a| a.id_text()),
        version: telegram.address.map(|a| a.version),
        medium: Some(meaning.medium.clone()),
        security: Some(security),
        driver: meaning.driver.clone(),
        values: rows(&meaning.readings),
    }
}

fn rows(readings: &[Reading]) -> Vec<Row> {
    readings
        .iter()
        .map(|reading| Row {
            name: reading.name.clone(),
            value: match &reading.value {
                Value::Number(number) => Some(number.to_string()),
                Value::At(at) => Some(at.to_string()),
                Value::Text(text) => Some(text.to_string()),
                Value::Bytes => reading.hex.clone(),
                Value::Empty => None,
            },
            unit: (!reading.unit.is_empty()).then(|| reading.unit.clone()),
            function: reading.function.word(),
            storage: reading.storage,
            tariff: reading.tariff,
            subunit: reading.subunit,
            invalid: !reading.valid,
            bytes: [reading.data.start, reading.data.end],
        })
        .collect()
}

/// For people.
fn print(out: &mut dyn Write, output: &Output) -> io::Result<()> {
    let text = |field: &Option<String>| field.clone().unwrap_or_else(|| "-".to_owned());
    let version = output.version.map_or_else(|| "-".to_owned(), |v| format!("{v:02X}"));
    writeln!(
        out,
        "{} {} version {version}, {}; security: {}; driver: {}",
        text(&output.manufacturer),
        text(&output.id),
        text(&output.medium),
        text(&output.security),
        text(&output.driver)
    )?;
    let mut table =
        Table::new([("NAME", Align::Left), ("VALUE", Align::Right), ("UNIT", Align::Left), ("KIND", Align::Left)]);
    for row in &output.values {
        let mut kind = vec![];
        if row.function != "instantaneous" {
            kind.push(row.function.to_owned());
        }
        for (label, number) in
            [("storage", row.storage), ("tariff", u64::from(row.tariff)), ("subunit", u64::from(row.subunit))]
        {
            if number != 0 {
                kind.push(format!("{label} {number}"));
            }
        }
        if row.invalid {
            kind.push("invalid".to_owned());
        }
        let cells = [row.name.clone(), text(&row.value), row.unit.clone().unwrap_or_default(), kind.join(", ")];
        table.row(cells);
    }
    table.write(out)
}
