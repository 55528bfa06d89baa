//! `metergate config decode`: the ordering model in words.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use meter_core::Params;
use meter_core::order::{Code, SoftwareCodes, TypeNumber};
use serde::Serialize;

use crate::cli;

const EXAMPLES: &str = "\
Examples:
  metergate config decode 684-11-31B-N24-3111-123
  metergate config decode 684-11-31B-N24-3111-123 Z3=02 Z4=3 Z6=01 Z7=01 Z11=01 Z13=001

Codes that do not exist for the family, or that contradict each other, are refused with their field.";

/// Arguments of `config decode`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DecodeArgs {
    /// Type number, 18 characters with or without dashes
    #[arg(value_name = "TYPE")]
    type_number: String,
    /// Software codes
    #[arg(value_name = "Zn=CODE")]
    codes: Vec<String>,
    /// One JSON document: {type, meter_type, fields: [{field, value, meaning}], config}
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Field {
    field: String,
    value: &'static str,
    meaning: &'static str,
}

/// What was decoded.
#[derive(Debug, Serialize)]
struct Document {
    #[serde(rename = "type")]
    type_number: String,
    meter_type: &'static str,
    fields: Vec<Field>,
    /// The keys of registerd.toml and tariff.toml that the codes set.
    config: Vec<String>,
}

/// Decodes and prints.
pub fn run(args: &DecodeArgs) -> anyhow::Result<ExitCode> {
    let document = decode(&args.type_number, &args.codes.join(" "))?;
    if args.json {
        cli::print_json(&document)?;
    } else {
        print_text(&document, &mut io::stdout().lock())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn decode(type_number: &str, codes: &str) -> anyhow::Result<Document> {
    let number: TypeNumber = type_number.parse()?;
    let codes = SoftwareCodes::parse(number, codes)?;
    let field = |letter: char| {
        move |c: &'static Code| Field { field: format!("{letter}{}", c.field), value: c.value, meaning: c.meaning }
    };
    let fields = number.codes().iter().copied().map(field('X')).chain(codes.codes().map(field('Z'))).collect();
    let c = codes.configuration();
    let params = c.params(Params::default());
    let mut config = vec![format!("meter.type = {:?}", number.meter_type().name())];
    let mut set = |is_set: bool, line: String| {
        if is_set {
            config.push(line);
        }
    };
    set(c.period_min.is_some(), format!("meter.period_min = {}", params.period_min));
    set(c.ct_ratio.is_some(), format!("meter.ct_ratio = {}", params.ct_ratio));
    set(c.offset_min.is_some(), format!("meter.offset_min = {}", params.offset_min));
    set(c.debiting.is_some(), format!("debiting.day = {}", params.debiting.day));
    set(c.debiting.is_some(), format!("debiting.months = {}", params.debiting.months));
    set(c.debiting.is_some(), format!("debiting.first = {}", params.debiting.first));
    set(c.debiting_pulse, "debiting.pulse = true".into());
    set(c.debiting_2.is_some(), format!("debiting.logger_2 = {:?}", params.debiting_2.name()));
    set(c.source.is_some(), format!("source = {:?}", c.source.unwrap_or_default().name()));
    set(c.daylight.is_some(), format!("daylight.rule = {:?}", c.daylight.unwrap_or_default().name()));
    Ok(Document { type_number: number.to_string(), meter_type: number.meter_type().name(), fields, config })
}

fn print_text(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", document.type_number)?;
    for Field { field, value, meaning } in &document.fields {
        writeln!(out, "{field:<4} {value:<4} {meaning}")?;
    }
    writeln!(out, "configuration:")?;
    document.config.iter().try_for_each(|line| writeln!(out, "  {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_words_and_keys() {
        let document = decode("6851131BD240111123", "Z4=3 Z21=040 Z13=002").unwrap();
        let mut out = Vec::new();
        print_text(&document, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
        685-11-31B-D24-0111-123
        X1   5    CT meter
        X2   1    First platform generation of the type number
        X3   1    Standard housing
        X4   3    3 measuring systems
        X5   1    0.01-1(6) A
        X6   B    MID class B
        X7   D    Generation D
        X8   2    Variant 2
        X9   4    A+/A-/R+/R-
        X10  0    No breaker
        X11  1    Radio
        X12  1    Supercap and battery
        X13  1    S0 output
        Z4   3    30 min
        Z13  002  Register control
        Z21  040  200 A / 5 A or 40 A / 1 A
        configuration:
          meter.type = "ct"
          meter.period_min = 30
          meter.ct_ratio = 40
          source = "on-demand"
        "#);
        let error = decode("685-11-31B-D24-0111-123", "Z4=1").unwrap_err().to_string();
        assert!(error.starts_with("Z4: "), "{error}");
    }
}
