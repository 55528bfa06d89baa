//! `metergate read`: register values as they stand in the meter.

use std::collections::HashMap;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use meter_bus::{BusReading, NamedReading, RegisterProxy};
use meter_model::Obis;

use crate::bus;
use crate::cli::{self, BusArgs};
use crate::format::{Entry, absent, status_words, value_and_unit};
use crate::table::{Align, Table};
use crate::times;

const EXAMPLES: &str = "\
Examples:
  metergate read                        all registers
  metergate read 1.8.0 2.8.0            energy import and export
  metergate read --json 1-1:32.7.0      voltage L1 for a program

The time is meter time, UTC. A register without a value shows the reason in its place; it is never zero instead.";

/// The register that holds meter time.
const CLOCK: &str = "0.1.1.0.0.255";

/// Arguments of `read`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReadArgs {
    /// OBIS codes: C.D.E, A.B.C.D.E.F or A-B:C.D.E*F [default: all registers]
    #[arg(value_name = "OBIS")]
    obis: Vec<Obis>,
    /// One JSON document: a list of {obis, name, value, scaler, unit, at, status}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bus: BusArgs,
}

/// Reads and prints.
pub async fn run(args: ReadArgs) -> anyhow::Result<ExitCode> {
    let connection = bus::meter(&args.bus).await?;
    let proxy = bus::plain(RegisterProxy::new(&connection)).await?;
    let codes: Vec<String> = args.obis.iter().map(Obis::to_string).collect();
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    let readings = bus::call(proxy.read(&codes)).await?;
    let names: HashMap<String, String> =
        bus::call(proxy.list()).await?.into_iter().map(|info| (info.obis, info.name)).collect();
    if args.json {
        let entries: Vec<Entry> = readings.iter().map(|r| Entry::new(name_of(&names, r), r)).collect();
        cli::print_json(&entries)?;
    } else {
        print_table(&names, &readings, &mut io::stdout().lock())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn name_of(names: &HashMap<String, String>, reading: &NamedReading) -> String {
    names.get(&reading.obis).cloned().unwrap_or_default()
}

fn print_table(names: &HashMap<String, String>, readings: &[NamedReading], out: &mut dyn Write) -> anyhow::Result<()> {
    let mut table = Table::new([
        ("OBIS", Align::Left),
        ("REGISTER", Align::Left),
        ("VALUE", Align::Right),
        ("UNIT", Align::Left),
        ("TIME", Align::Left),
        ("STATUS", Align::Left),
    ]);
    for named in readings {
        let reading = &named.reading;
        let (value, unit) = match named.obis.as_str() {
            CLOCK if absent(reading.status).is_none() => (clock_text(reading), String::new()),
            _ => value_and_unit(reading),
        };
        let time = match reading.usec {
            0 => "-".to_owned(),
            usec => times::iso_seconds(usec),
        };
        table.row([named.obis.clone(), name_of(names, named), value, unit, time, status_words(reading.status)]);
    }
    Ok(table.write(out)?)
}

/// Microseconds since 1970 are nothing that people read.
fn clock_text(reading: &BusReading) -> String {
    u64::try_from(reading.value).ok().and_then(times::iso).unwrap_or_else(|| reading.value.to_string())
}

#[cfg(test)]
mod tests {
    use meter_model::{Absent, Reading, Status, Unit, Utc};

    use super::*;

    #[test]
    fn a_table_for_people() {
        let at = Utc(1_769_860_800_200_000);
        let energy = Reading { value: 123_456_789, scaler: -3, unit: Unit::WattHour, at, status: Status::NOT_LEGAL };
        let voltage = Reading { value: 230_123, scaler: -3, unit: Unit::Volt, at, status: Status::default() };
        let readings = [
            ("1.1.1.8.0.255", energy),
            ("1.1.32.7.0.255", voltage),
            (CLOCK, Reading { value: at.0, scaler: -6, unit: Unit::Second, at, status: Status::default() }),
            ("1.1.52.7.0.255", Reading::none(Absent::NoChannel, -3, Unit::Volt, at)),
        ]
        .map(|(obis, reading)| NamedReading { obis: obis.into(), reading: BusReading::from(reading) });
        let names = [("1.1.1.8.0.255", "Active energy import"), ("1.1.32.7.0.255", "Voltage L1")];
        let names = names.map(|(obis, name)| (obis.to_owned(), name.to_owned())).into();
        let mut out = Vec::new();
        print_table(&names, &readings, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        OBIS            REGISTER                               VALUE  UNIT  TIME                  STATUS
        1.1.1.8.0.255   Active energy import              123.456789  kWh   2026-01-31T12:00:00Z  not-legal
        1.1.32.7.0.255  Voltage L1                           230.123  V     2026-01-31T12:00:00Z
        0.1.1.0.0.255                         2026-01-31T12:00:00.2Z        2026-01-31T12:00:00Z
        1.1.52.7.0.255                               no such channel        2026-01-31T12:00:00Z
        ");
    }
}
