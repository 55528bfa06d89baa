//! `metergate profile`: the rows of a logger, page by page over the bus.
//!
//! Rows never change once they exist, so reading in pages gives the same rows as reading at once. A row is named by its
//! sequence number; times are only for looking.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use meter_bus::{BusRow, ColumnInfo, ProfileInfo, ProfileProxy, ROWS_MAX};
use meter_model::Obis;
use serde::Serialize;
use zbus::Connection;

use crate::cli::{self, BusArgs};
use crate::format::{code_name, decimal, hex, kilo, scaled, status_words, unit_symbol};
use crate::progress::Progress;
use crate::table::{Align, Table};
use crate::{bus, times};

const EXAMPLES: &str = "\
Examples:
  metergate profile load --last 4                                  the last four intervals
  metergate profile load --from 2026-01-01 --to 2026-02-01 --csv   January, for a spreadsheet
  metergate profile load --last 96 --columns A+,A-,32.25.0        a day, three columns
  metergate profile audit --json                                   who changed what

Rows are chosen by the end of their interval: --from T takes rows that end after T, --to T rows that end at or before T.
Times are ISO 8601; without an offset they are UTC. A value that does not exist is - in the table, empty in CSV and null
in JSON.";

/// Name of the column that says what happened, in loggers of events.
const CODE: &str = "code";

/// Arguments of `profile`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ProfileArgs {
    /// Which logger, for example load or audit (a wrong name lists those that the meter has)
    #[arg(value_name = "NAME")]
    name: String,
    /// Rows that end after this time
    #[arg(long, value_name = "TIME", value_parser = times::parse)]
    from: Option<i64>,
    /// Rows that end at or before this time
    #[arg(long, value_name = "TIME", value_parser = times::parse)]
    to: Option<i64>,
    /// The newest N rows
    #[arg(long, value_name = "N", conflicts_with_all = ["from", "to"], value_parser = clap::value_parser!(u64).range(1..))]
    last: Option<u64>,
    /// Only these columns, by name or OBIS code [default: all]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    columns: Vec<String>,
    /// One JSON document: {name, obis, period_min, columns, rows}
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Comma-separated values with a header line
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    bus: BusArgs,
}

/// Reads and prints.
pub async fn run(args: ProfileArgs) -> anyhow::Result<ExitCode> {
    let connection = bus::meter(&args.bus).await?;
    let mut logger = Logger::open(&connection, &args.name).await?;
    let chosen = choose(&logger.columns, &args.columns)?;
    let range = match args.last {
        Some(n) => Range { seq: logger.info.last_seq.saturating_sub(n - 1).max(logger.info.first_seq), from: 0, to: 0 },
        None => Range { seq: 0, from: bus_time(args.from), to: bus_time(args.to) },
    };
    // 0 means "open" on the bus; an upper end before 1970 asks for nothing.
    let rows = match args.to {
        Some(to) if to <= 0 => Vec::new(),
        _ => logger.rows(&range).await?,
    };
    let rows: Vec<BusRow> = rows.into_iter().map(|row| narrowed(row, &chosen)).collect();
    logger.columns = chosen.iter().filter_map(|k| logger.columns.get(*k).cloned()).collect();
    let mut out = io::stdout().lock();
    match (args.json, args.csv) {
        (true, _) => {
            drop(out);
            cli::print_json(&logger.document(&rows))?;
        }
        (_, true) => print_csv(&logger.columns, &rows, &mut out)?,
        _ => print_table(&args.name, &logger.columns, &rows, &mut out)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The places of the columns that were named, in the order asked; all without names.
fn choose(columns: &[ColumnInfo], names: &[String]) -> anyhow::Result<Vec<usize>> {
    if names.is_empty() {
        return Ok((0..columns.len()).collect());
    }
    let place = |name: &String| {
        let name = name.trim();
        let code = name.parse::<Obis>().map(|code| code.to_string());
        let found = columns.iter().position(|c| {
            c.name.eq_ignore_ascii_case(name) || (!c.obis.is_empty() && code.as_ref().is_ok_and(|code| *code == c.obis))
        });
        found.with_context(|| {
            let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
            format!("no column \"{name}\"; there are: {}", names.join(", "))
        })
    };
    names.iter().map(place).collect()
}

/// The row with these columns only.
fn narrowed(row: BusRow, chosen: &[usize]) -> BusRow {
    // A row that is shorter than its columns has no value there.
    let values = chosen.iter().map(|k| row.values.get(*k).copied().unwrap_or(i64::MIN)).collect();
    BusRow { values, ..row }
}

fn bus_time(time: Option<i64>) -> u64 {
    time.and_then(|usec| u64::try_from(usec).ok()).unwrap_or(0)
}

/// Which rows.
#[derive(Debug)]
pub struct Range {
    /// From this sequence number.
    pub seq: u64,
    /// Ending after this time, µs UTC; 0 = open.
    pub from: u64,
    /// Ending at or before this time; 0 = open.
    pub to: u64,
}

/// A logger of a running meter.
pub struct Logger<'a> {
    proxy: ProfileProxy<'a>,
    /// What it is and what it holds.
    pub info: ProfileInfo,
    /// Its columns.
    pub columns: Vec<ColumnInfo>,
}

impl<'a> Logger<'a> {
    /// Finds the logger by name.
    ///
    /// # Errors
    /// The meter has none of this name; the error lists those it has.
    pub async fn open(connection: &Connection, name: &str) -> anyhow::Result<Logger<'a>> {
        let proxy = bus::plain(ProfileProxy::new(connection)).await?;
        let list = bus::call(proxy.list()).await?;
        let Some(info) = list.iter().find(|info| info.name == name).cloned() else {
            let names: Vec<&str> = list.iter().map(|info| info.name.as_str()).collect();
            bail!("this meter has no logger \"{name}\"; it has: {}", names.join(", "));
        };
        let columns = bus::call(proxy.columns(name)).await?;
        Ok(Logger { proxy, info, columns })
    }

    /// The rows of a range, oldest first.
    pub async fn rows(&self, range: &Range) -> anyhow::Result<Vec<BusRow>> {
        let mut progress = Progress::new("rows");
        let mut rows: Vec<BusRow> = Vec::new();
        let mut next = range.seq;
        loop {
            let page = self.proxy.read_rows(&self.info.name, next, range.from, range.to, ROWS_MAX);
            let (page, continue_at) = bus::call(page).await?;
            rows.extend(page);
            // A cursor that does not advance would read for ever: the service is at fault, what is read stands.
            if continue_at <= next {
                return Ok(rows);
            }
            next = continue_at;
            progress.set(rows.len() as u64, self.info.last_seq.saturating_sub(self.info.first_seq) + 1);
        }
    }

    fn document<'r>(&'r self, rows: &'r [BusRow]) -> Document<'r> {
        Document {
            name: &self.info.name,
            obis: &self.info.obis,
            period_min: self.info.period_min,
            columns: self.columns.iter().map(Column::new).collect(),
            rows: rows.iter().map(|row| Row::new(&self.info.name, &self.columns, row)).collect(),
        }
    }
}

/// What `profile --json` prints.
#[derive(Debug, Serialize)]
struct Document<'a> {
    name: &'a str,
    obis: &'a str,
    period_min: u32,
    columns: Vec<Column<'a>>,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Column<'a> {
    obis: &'a str,
    name: &'a str,
    scaler: i16,
    unit: String,
}

impl<'a> Column<'a> {
    fn new(info: &'a ColumnInfo) -> Column<'a> {
        Column { obis: &info.obis, name: &info.name, scaler: info.scaler, unit: unit_symbol(info.unit) }
    }
}

#[derive(Debug, Serialize)]
struct Row {
    seq: u64,
    start: Option<String>,
    end: Option<String>,
    status: u32,
    /// `value * 10^scaler unit` of the column.
    values: Vec<Option<i64>>,
    /// What happened, where this tool knows the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    hash: String,
}

impl Row {
    fn new(logger: &str, columns: &[ColumnInfo], row: &BusRow) -> Row {
        Row {
            seq: row.seq,
            start: times::iso(row.start),
            end: times::iso(row.end),
            status: row.status,
            values: shown(columns, row).map(|(_, value)| value).collect(),
            event: event(logger, columns, row),
            text: row.text.clone(),
            hash: hex(&row.hash),
        }
    }
}

/// Each column with its value in the column's scaler and unit.
fn shown<'r>(columns: &'r [ColumnInfo], row: &'r BusRow) -> impl Iterator<Item = (&'r ColumnInfo, Option<i64>)> {
    columns.iter().zip(&row.values).map(|(column, stored)| (column, column.shown(*stored)))
}

/// What happened, by name; `None` in loggers of values and for codes that this tool does not know.
fn event(logger: &str, columns: &[ColumnInfo], row: &BusRow) -> Option<String> {
    let (_, code) = shown(columns, row).find(|(column, _)| column.name == CODE)?;
    code_name(logger, code?)
}

fn print_csv(columns: &[ColumnInfo], rows: &[BusRow], out: &mut dyn Write) -> io::Result<()> {
    write!(out, "seq,start,end,status")?;
    for column in columns {
        let unit = unit_symbol(column.unit);
        let title = [column.obis.as_str(), column.name.as_str(), unit.as_str()].join(" ");
        write!(out, ",{}", csv_field(title.trim()))?;
    }
    writeln!(out, ",text")?;
    for row in rows {
        let time = |usec| times::iso(usec).unwrap_or_default();
        write!(out, "{},{},{},{}", row.seq, time(row.start), time(row.end), row.status)?;
        for (column, value) in shown(columns, row) {
            let text = value.map(|value| decimal(value, column.scaler));
            write!(out, ",{}", text.unwrap_or_default())?;
        }
        writeln!(out, ",{}", csv_field(&row.text))?;
    }
    out.flush()
}

/// RFC 4180: a field with a comma, a quote or a line end is quoted.
fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

fn print_table(logger: &str, columns: &[ColumnInfo], rows: &[BusRow], out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new([("SEQ", Align::Right), ("START", Align::Left), ("END", Align::Left)]);
    for column in columns {
        let prefix = if kilo(column.unit) == 0 { "" } else { "k" };
        let title = format!("{} {prefix}{}", column.name, unit_symbol(column.unit));
        table.column(title.trim_end(), if column.name == CODE { Align::Left } else { Align::Right });
    }
    table.column("STATUS", Align::Left);
    let text = rows.iter().any(|row| !row.text.is_empty());
    if text {
        table.column("TEXT", Align::Left);
    }
    for row in rows {
        let mut cells = vec![row.seq.to_string(), times::iso_seconds(row.start), times::iso_seconds(row.end)];
        cells.extend(shown(columns, row).map(|(column, value)| match value {
            None => "-".to_owned(),
            Some(code) if column.name == CODE => code_name(logger, code).unwrap_or_else(|| code.to_string()),
            Some(value) => scaled(value, column.scaler, column.unit).0,
        }));
        cells.push(status_words(row.status));
        cells.push(row.text.clone());
        table.row(cells);
    }
    table.write(out)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use meter_model::{Status, Unit};

    use super::*;

    fn sample() -> (Vec<ColumnInfo>, Vec<BusRow>) {
        let column = |obis: &str, name: &str, scaler, unit: Unit, divisor| ColumnInfo {
            obis: obis.into(),
            name: name.into(),
            scaler,
            unit: unit.code(),
            divisor,
        };
        let columns = vec![
            column("1.1.1.8.0.255", "A+", -3, Unit::WattHour, 3600),
            column("1.1.32.25.0.255", "U L1, mean", -3, Unit::Volt, 1),
        ];
        let row = |seq: u64, status, values| BusRow {
            seq,
            start: 1_769_860_800_000_000 + (seq - 1) * 900_000_000,
            end: 1_769_860_800_000_000 + seq * 900_000_000,
            status,
            values,
            text: String::new(),
            hash: vec![0xab, seq as u8],
        };
        let rows =
            vec![row(1, 0, vec![900_450_000, 230_012]), row(2, Status::RESTART.0, vec![4_500_450_000, i64::MIN])];
        (columns, rows)
    }

    #[test]
    fn a_table_for_people() {
        let (columns, rows) = sample();
        let mut out = Vec::new();
        print_table("load", &columns, &rows, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        SEQ  START                 END                     A+ kWh  U L1, mean V  STATUS
          1  2026-01-31T12:00:00Z  2026-01-31T12:15:00Z  0.250125       230.012
          2  2026-01-31T12:15:00Z  2026-01-31T12:30:00Z  1.250125             -  restart
        ");
    }

    #[test]
    fn columns_are_chosen_by_name_or_code() {
        let (columns, rows) = sample();
        let chosen = |names: &[&str]| choose(&columns, &names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        assert_eq!(chosen(&[]).unwrap(), [0, 1]);
        assert_eq!(chosen(&["1.1.32.25.0.255", " a+"]).unwrap(), [1, 0]);
        assert_eq!(narrowed(rows[0].clone(), &[1]).values, [230_012]);
        let error = chosen(&["B+"]).unwrap_err().to_string();
        assert_eq!(error, "no column \"B+\"; there are: A+, U L1, mean");
    }

    #[test]
    fn csv_for_a_spreadsheet() {
        let (columns, rows) = sample();
        let mut out = Vec::new();
        print_csv(&columns, &rows, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
        seq,start,end,status,1.1.1.8.0.255 A+ Wh,"1.1.32.25.0.255 U L1, mean V",text
        1,2026-01-31T12:00:00Z,2026-01-31T12:15:00Z,0,250.125,230.012,
        2,2026-01-31T12:15:00Z,2026-01-31T12:30:00Z,128,1250.125,,
        "#);
    }

    #[test]
    fn json_for_a_program() {
        let (columns, rows) = sample();
        let document = Document {
            name: "load",
            obis: "1.1.99.1.0.255",
            period_min: 15,
            columns: columns.iter().map(Column::new).collect(),
            rows: rows.iter().map(|row| Row::new("load", &columns, row)).collect(),
        };
        insta::assert_snapshot!(serde_json::to_string(&document).unwrap(), @r#"{"name":"load","obis":"1.1.99.1.0.255","period_min":15,"columns":[{"obis":"1.1.1.8.0.255","name":"A+","scaler":-3,"unit":"Wh"},{"obis":"1.1.32.25.0.255","name":"U L1, mean","scaler":-3,"unit":"V"}],"rows":[{"seq":1,"start":"2026-01-31T12:00:00Z","end":"2026-01-31T12:15:00Z","status":0,"values":[250125,230012],"hash":"ab01"},{"seq":2,"start":"2026-01-31T12:15:00Z","end":"2026-01-31T12:30:00Z","status":128,"values":[1250125,null],"hash":"ab02"}]}"#);
    }

    /// A build with the meter's tables names the event; one without shows the number.
    #[test]
    fn rows_of_events_say_what_happened_and_who_asked() {
        let column = |name: &str| ColumnInfo {
            obis: String::new(),
            name: name.into(),
            scaler: 0,
            unit: Unit::Count.code(),
            divisor: 1,
        };
        let columns = vec![column("code"), column("old"), column("new")];
        let at = 1_769_860_800_000_000;
        let row = BusRow {
            seq: 3,
            start: at,
            end: at,
            status: Status::CLOCK_SET.0,
            values: vec![999, 1, 2],
            text: "cli, desk 3".into(),
            hash: vec![1],
        };
        let mut out = Vec::new();
        print_table("audit", &columns, std::slice::from_ref(&row), &mut out).unwrap();
        print_csv(&columns, std::slice::from_ref(&row), &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
        SEQ  START                 END                   code  old  new  STATUS     TEXT
          3  2026-01-31T12:00:00Z  2026-01-31T12:00:00Z  999     1    2  clock-set  cli, desk 3
        seq,start,end,status,code,old,new,text
        3,2026-01-31T12:00:00Z,2026-01-31T12:00:00Z,8,999,1,2,"cli, desk 3"
        "#);
        #[cfg(feature = "lab")]
        {
            let row = BusRow { values: vec![1, 1, 2], ..row };
            assert_eq!(event("audit", &columns, &row).as_deref(), Some("clock-set"));
        }
    }
}
