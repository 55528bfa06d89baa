//! `metergate replay`: a recorded waveform through the measurement, to quantities and events.
//!
//! The record goes through the same fixed-point code that a meter runs. It is scaled to a comfortable place in the meter's
//! range first and the results are scaled back, so that a record of a 110 kV line and one of a charger are measured
//! equally well; the full scale follows the record. What the record does not hold is absent, not zero.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use metrology_sim::Waveform;
use serde::Serialize;

use crate::cli;
use crate::coprocessor::RecordArgs;
use crate::table::{Align, Table};

mod engine;
mod events;

use engine::{Measured, Phase};

const EXAMPLES: &str = "\
Examples:
  metergate replay fault.cfg                                        COMTRADE, its .dat beside it
  metergate replay fault.cfg --channels U1=UA,I1=IA --json
  metergate replay load.csv --rate 30000 --columns u,i --u-scale 0.0156 --i-scale 0.00061

A CSV file has a header line and a row per sample; a time column gives the rate if --rate does not. --columns gives the
role of each column by position: u (u1), u2, u3, i (i1), i2, i3, in, or - to skip it. --u-scale and --i-scale are volts
and amperes per unit of the file.

Quantities: u, i true RMS (V, A), p (W), q of the fundamental (var), s = u*i (VA), pf = p/s, over the whole record; f is
the mean over the windows in which a frequency was tracked. Windows are 10 cycles at 50 Hz, 12 at 60 Hz. Dips and swells
carry their cell of EN 50160 (residual voltage and length); channels that are clipped, stand still (stuck) or give nothing
(missing) and currents that belong to other phases are said for the windows concerned.";

/// Arguments of `replay`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReplayArgs {
    /// COMTRADE .cfg, or CSV
    file: PathBuf,
    #[command(flatten)]
    record: RecordArgs,
    /// Also the values of each 200 ms window
    #[arg(long, conflicts_with = "json")]
    windows: bool,
    /// One JSON document: {rate, samples, f, phases, windows, events, ...}
    #[arg(long)]
    json: bool,
}

/// What `replay --json` prints.
#[derive(Debug, Serialize)]
struct Document<'a> {
    /// Samples per second of the record.
    rate: f64,
    /// Samples per channel.
    samples: usize,
    /// Length, s.
    duration: f64,
    /// Nominal voltage, V: what dips and swells are measured against.
    nominal: f64,
    #[serde(flatten)]
    measured: &'a Measured,
    /// What was unusual about the record.
    notes: &'a [String],
}

/// Measures and prints.
pub fn run(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let waveform = Waveform::load(&args.file, &args.record.options())?;
    let measured = engine::measure(&waveform)?;
    if args.json {
        cli::print_json(&Document {
            rate: waveform.rate_hz(),
            samples: waveform.len(),
            duration: waveform.duration_s(),
            nominal: waveform.nominal_v(),
            measured: &measured,
            notes: waveform.notes(),
        })?;
    } else {
        let mut out = io::BufWriter::new(io::stdout().lock());
        print_text(&waveform, &measured, args.windows, &mut out)?;
        out.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print_text(waveform: &Waveform, measured: &Measured, windows: bool, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{} samples, {:.1} per second, {:.3} s; nominal {:.1} V",
        waveform.len(),
        waveform.rate_hz(),
        waveform.duration_s(),
        waveform.nominal_v()
    )?;
    for channel in waveform.channels().iter().filter(|channel| channel.role.is_some()) {
        let role = channel.role.map(|role| format!("{:?}", role.0)).unwrap_or_default();
        writeln!(out, "{role:<3} {} [{}]", channel.name, channel.unit)?;
    }
    for note in waveform.notes() {
        writeln!(out, "note: {note}")?;
    }
    match measured.f {
        Some(f) => writeln!(out, "\nf {f:.4} Hz\n")?,
        None if measured.out_of_range => writeln!(out, "\nf out of range (42.5 to 69 Hz)\n")?,
        None => writeln!(out, "\nf not measured: no steady voltage\n")?,
    }
    print_phases(&measured.phases, out)?;
    if windows {
        writeln!(out)?;
        print_windows(measured, out)?;
    }
    writeln!(out)?;
    print_events(measured, out)
}

fn print_phases(phases: &[Phase; 3], out: &mut dyn Write) -> io::Result<()> {
    let right = |title| (title, Align::Right);
    let mut table = Table::new([
        ("PHASE", Align::Left),
        right("U V"),
        right("I A"),
        right("P W"),
        right("Q var"),
        right("S VA"),
        right("PF"),
    ]);
    for (k, phase) in phases.iter().enumerate() {
        let mut row = vec![format!("L{}", k + 1)];
        row.extend(phase.values().map(|value| value.map_or("-".to_owned(), |v| format!("{v:.3}"))));
        row.push(phase.pf.map_or("-".to_owned(), |v| format!("{v:.4}")));
        table.row(row);
    }
    table.write(out)
}

fn print_windows(measured: &Measured, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new([("END s", Align::Right), ("f Hz", Align::Right)]);
    for k in 1..=3 {
        for quantity in ["U V", "I A", "P W"] {
            table.column(format!("L{k} {quantity}"), Align::Right);
        }
    }
    for window in &measured.windows {
        let mut row = vec![format!("{:.3}", window.t), window.f.map_or("-".to_owned(), |f| format!("{f:.3}"))];
        for phase in &window.phases {
            row.extend([phase.u, phase.i, phase.p].map(|value| value.map_or("-".to_owned(), |v| format!("{v:.3}"))));
        }
        table.row(row);
    }
    table.write(out)
}

fn print_events(measured: &Measured, out: &mut dyn Write) -> io::Result<()> {
    if measured.events.is_empty() {
        return writeln!(out, "no events");
    }
    let mut table = Table::new([
        ("AT s", Align::Right),
        ("DURATION s", Align::Right),
        ("EVENT", Align::Left),
        ("OF", Align::Left),
        ("VALUE", Align::Right),
        ("CELL", Align::Left),
    ]);
    for event in &measured.events {
        table.row([
            format!("{:.3}", event.at),
            format!("{:.3}", event.duration),
            event.kind.to_owned(),
            event.channel.map_or_else(|| phases(event), str::to_owned),
            event.value.map_or(String::new(), |v| format!("{v:.3} V")),
            event.cell.unwrap_or_default().to_owned(),
        ]);
    }
    table.write(out)
}

fn phases(event: &events::Event) -> String {
    event.phases.iter().map(|phase| format!("L{phase}")).collect::<Vec<_>>().join(" ")
}
