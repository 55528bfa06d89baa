//! How the view looks. Fits 80 columns by 24 rows; a larger terminal shows more events.

use std::time::Instant;

use meter_bus::{BusReading, HealthItem, level};
use meter_model::Absent;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::model::Model;
use crate::clock::quality_words;
use crate::format::{absent, decimal, scaled, unit_symbol};
use crate::times;

/// Width of the first column of a table.
const LABEL: usize = 10;
/// Width of a column of numbers: `-99999999.999` with a gap.
const NUMBER: usize = 15;

/// One row of the table of present values: a label and the groups C of the codes of L1, L2, L3 and the total.
struct Quantity {
    label: &'static str,
    codes: [Option<u8>; 4],
    /// Powers have a register for each direction, the next code; the one not flowing is zero. They are shown as one
    /// number: import minus export, and the sum of the apparent ones. 0 = one register only.
    opposite: i64,
}

const fn quantity(label: &'static str, codes: [u8; 4], opposite: i64) -> Quantity {
    let mut some = [None; 4];
    let mut k = 0;
    while k < 4 {
        // 0 is no code of these tables: the meter has no such quantity.
        some[k] = if codes[k] == 0 { None } else { Some(codes[k]) };
        k += 1;
    }
    Quantity { label, codes: some, opposite }
}

const NOW: [Quantity; 7] = [
    quantity("U", [32, 52, 72, 0], 0),
    quantity("I", [31, 51, 71, 91], 0),
    quantity("P", [21, 41, 61, 1], -1),
    quantity("Q", [23, 43, 63, 3], -1),
    quantity("S", [29, 49, 69, 9], 1),
    quantity("PF", [33, 53, 73, 13], 0),
    quantity("f", [0, 0, 0, 14], 0),
];

/// The rows of the table of energies: a label, and group C of L1, L2, L3 and the total.
const ENERGY: [(&str, [u8; 4]); 4] =
    [("A+", [21, 41, 61, 1]), ("A-", [22, 42, 62, 2]), ("R+", [23, 43, 63, 3]), ("R-", [24, 44, 64, 4])];

/// Names of health items that the screen treats on their own.
const LINK: &str = "link";
const SOFTWARE: &str = "software";
/// Parts in trouble that are listed at most, so that 24 rows hold the values as well.
const TROUBLE_LINES: usize = 4;

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, model: &Model, now: Instant) {
    let rows = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(2 + NOW.len() as u16),
        Constraint::Length(2 + ENERGY.len() as u16),
        Constraint::Length(1 + health_lines(model).len() as u16),
        Constraint::Min(2),
        Constraint::Length(1),
    ])
    .split(frame.area());
    let sections = [
        vec![title(model, rows[0].width)],
        present(model, now, rows[1].width),
        energy(model, rows[2].width),
        health(model, rows[3].width),
        events(model, rows[4]),
        vec![Line::styled("q quits", Style::new().add_modifier(Modifier::DIM))],
    ];
    for (lines, area) in sections.into_iter().zip(rows.iter()) {
        frame.render_widget(Paragraph::new(lines), *area);
    }
}

fn title(model: &Model, width: u16) -> Line<'static> {
    let left = match &model.identity {
        Some(id) => {
            let legal = if id.legal { "" } else { "  NOT LEGAL" };
            format!("metergate  {}  {}{legal}", id.serial, id.meter_type)
        }
        None => "metergate".to_owned(),
    };
    let right = match model.clock {
        Some((usec, quality)) => format!("{} ({})", times::iso_seconds(usec), quality_words(quality)),
        None => String::new(),
    };
    let gap = usize::from(width).saturating_sub(left.chars().count() + right.chars().count()).max(1);
    Line::styled(format!("{left}{}{right}", " ".repeat(gap)), Style::new().add_modifier(Modifier::BOLD))
}

/// A section's first line: its name in a rule.
fn rule(name: &str, note: Option<String>, width: u16) -> Line<'static> {
    let name = format!("── {name} ");
    let note = note.map(|note| format!(" {note} ")).unwrap_or_default();
    let fill = usize::from(width).saturating_sub(name.chars().count() + note.chars().count());
    Line::from(vec![
        Span::styled(format!("{name}{}", "─".repeat(fill)), Style::new().fg(Color::DarkGray)),
        Span::styled(note, Style::new().fg(Color::Yellow)),
    ])
}

fn heading(columns: [&str; 4]) -> Line<'static> {
    let mut text = " ".repeat(LABEL);
    columns.iter().for_each(|column| text.push_str(&format!("{column:>NUMBER$}")));
    Line::styled(text, Style::new().add_modifier(Modifier::DIM))
}

fn present(model: &Model, now: Instant, width: u16) -> Vec<Line<'static>> {
    let note = match (model.has_values(), model.stale(now)) {
        (false, _) => Some("waiting for values".to_owned()),
        (true, Some(age)) => Some(format!("values are {} s old", age.as_secs())),
        (true, None) => None,
    };
    let style = if note.is_some() { Style::new().add_modifier(Modifier::DIM) } else { Style::new() };
    let mut lines = vec![rule("Now", note, width), heading(["L1", "L2", "L3", "total"])];
    lines.extend(NOW.iter().map(|quantity| {
        let cells = [0, 1, 2, 3].map(|k| value_now(model, quantity, k));
        let unit = cells.iter().flatten().find_map(|r| Some(unit_symbol(r.unit)).filter(|unit| !unit.is_empty()));
        let mut text = format!("{:<LABEL$}", format!("{} {}", quantity.label, unit.unwrap_or_default()));
        for (k, cell) in cells.iter().enumerate() {
            // The current beside those of the phases is no total: it is the neutral's.
            let mark = if quantity.label == "I" && k == 3 && cell.is_some() { "N " } else { "" };
            text.push_str(&format!("{:>NUMBER$}", format!("{mark}{}", cell_text(cell.as_ref(), false))));
        }
        Line::styled(text, style)
    }));
    lines
}

fn value_now(model: &Model, quantity: &Quantity, k: usize) -> Option<BusReading> {
    let code = quantity.codes[k]?;
    let reading = *model.reading(code, 7, 0)?;
    match model.reading(code + 1, 7, 0) {
        Some(opposite) if quantity.opposite != 0 && absent(opposite.status).is_none() => {
            let value = reading.value.saturating_add(opposite.value.saturating_mul(quantity.opposite));
            Some(BusReading { value, ..reading })
        }
        _ => Some(reading),
    }
}

fn energy(model: &Model, width: u16) -> Vec<Line<'static>> {
    let mut lines = vec![rule("Energy", None, width), heading(["L1", "L2", "L3", "total"])];
    lines.extend(ENERGY.iter().map(|(label, codes)| {
        let cells = codes.map(|c| model.reading(c, 8, 0));
        let unit = cells.iter().flatten().next().map(|r| scaled(0, 0, r.unit).1).unwrap_or_default();
        let mut text = format!("{:<LABEL$}", format!("{label} {unit}"));
        for cell in cells {
            text.push_str(&format!("{:>NUMBER$}", cell_text(cell, true)));
        }
        Line::raw(text)
    }));
    lines
}

/// A value as the tables show it; an absent one by a word that fits.
fn cell_text(reading: Option<&BusReading>, kilo: bool) -> String {
    let Some(reading) = reading else { return String::new() };
    match absent(reading.status) {
        Some(Absent::NotYet) => "waiting".to_owned(),
        Some(Absent::Stale) => "silent".to_owned(),
        Some(Absent::NoChannel) => "none".to_owned(),
        Some(Absent::Undefined) => "no load".to_owned(),
        Some(Absent::OutOfRange) => "out of range".to_owned(),
        None if kilo => scaled(reading.value, reading.scaler, reading.unit).0,
        None => decimal(reading.value, reading.scaler),
    }
}

fn health(model: &Model, width: u16) -> Vec<Line<'static>> {
    let mut lines = vec![rule("Health", model.silent.clone(), width)];
    lines.extend(health_lines(model));
    lines
}

/// What needs attention first, then the link with its figures, then what is well in one line.
fn health_lines(model: &Model) -> Vec<Line<'static>> {
    // Of a demonstration build the title says so.
    let legal = model.identity.as_ref().is_none_or(|id| id.legal);
    let items = || model.health.iter().filter(|item| legal || item.name != SOFTWARE);
    let mut lines: Vec<Line<'static>> =
        items().filter(|item| item.level != level::OK).take(TROUBLE_LINES).map(health_line).collect();
    lines.extend(items().find(|item| item.name == LINK && item.level == level::OK).map(health_line));
    let well: Vec<&str> =
        items().filter(|item| item.level == level::OK && item.name != LINK).map(|item| item.name.as_str()).collect();
    if !well.is_empty() {
        lines.push(Line::from(vec![
            Span::raw(format!("{:<LABEL$}", "")),
            Span::styled(format!("{:<9}", level::OK), Style::new().fg(Color::Green)),
            Span::raw(well.join(", ")),
        ]));
    }
    if lines.is_empty() {
        lines.push(Line::raw(""));
    }
    lines
}

fn health_line(item: &HealthItem) -> Line<'static> {
    let color = match item.level.as_str() {
        level::OK => Color::Green,
        level::WARNING => Color::Yellow,
        _ => Color::Red,
    };
    Line::from(vec![
        Span::raw(format!("{:<LABEL$}", item.name)),
        Span::styled(format!("{:<9}", item.level), Style::new().fg(color)),
        Span::raw(item.detail.clone()),
    ])
}

/// The newest events first, as many as fit.
fn events(model: &Model, area: Rect) -> Vec<Line<'static>> {
    let mut lines = vec![rule("Events", None, area.width)];
    let room = usize::from(area.height).saturating_sub(1);
    lines.extend(model.events.iter().take(room).map(|event| {
        Line::raw(format!("{}  {:<6} {:>5}  {}", times::iso_seconds(event.usec), event.logger, event.seq, event.words))
    }));
    lines
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use meter_bus::NamedReading;
    use meter_model::{Obis, Reading, Status, Unit, Utc};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::top::feed::{EventLine, Identity, Update};

    const NOON: i64 = 1_769_860_800_000_000;

    fn reading(c: u8, d: u8, value: i64, scaler: i8, unit: Unit) -> NamedReading {
        let reading = Reading { value, scaler, unit, at: Utc(NOON), status: Status::default() };
        NamedReading::new(Obis::electricity(c, d, 0), reading)
    }

    fn screen(model: &Model, now: Instant) -> String {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| draw(frame, model, now)).unwrap();
        let lines = terminal.backend().to_string();
        lines.lines().map(|line| line.trim_matches('"').trim_end()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn everything_fits_into_80_by_24() {
        let mut model = Model::default();
        let now = Instant::now();
        let absent = NamedReading::new(
            Obis::electricity(33, 7, 0),
            Reading::none(Absent::Undefined, -6, Unit::Count, Utc(NOON)),
        );
        let values = vec![
            reading(32, 7, 230_123, -3, Unit::Volt),
            reading(52, 7, 229_876, -3, Unit::Volt),
            reading(31, 7, 1_234_567, -6, Unit::Ampere),
            reading(91, 7, 12_345, -6, Unit::Ampere),
            reading(21, 7, 0, -3, Unit::Watt),
            reading(22, 7, 284_000, -3, Unit::Watt),
            reading(1, 7, 1_500, -3, Unit::Watt),
            reading(2, 7, 0, -3, Unit::Watt),
            reading(29, 7, 0, -3, Unit::VoltAmpere),
            reading(30, 7, 285_000, -3, Unit::VoltAmpere),
            reading(14, 7, 50_012_345, -6, Unit::Hertz),
            reading(1, 8, 123_456_789, -3, Unit::WattHour),
            reading(21, 8, 23_456_789, -3, Unit::WattHour),
            absent,
        ];
        model.take(Update::Snapshot(values), now);
        model.take(Update::Clock(NOON as u64, 2), now);
        let identity = Identity { serial: "12345678".into(), meter_type: "3p".into(), legal: false };
        model.take(Update::Identity(identity), now);
        let item = |name: &str, level: &str, detail: &str| HealthItem {
            name: name.into(),
            level: level.into(),
            detail: detail.into(),
        };
        model.take(
            Update::Health(vec![
                item("link", "ok", "45 exchanges, 0 bad pages"),
                item("store", "warning", "slow"),
                item("clock", "ok", "valid"),
                item("chains", "ok", "agree"),
                item("software", "warning", "demonstration build"),
            ]),
            now,
        );
        let event = EventLine { usec: NOON as u64, logger: "status", seq: 7, words: "boot boot=3".into() };
        model.take(Update::Events(vec![event]), now);
        insta::assert_snapshot!(screen(&model, now), @r"
        metergate  12345678  3p  NOT LEGAL                  2026-01-31T12:00:00Z (valid)
        ── Now ─────────────────────────────────────────────────────────────────────────
                               L1             L2             L3          total
        U V               230.123        229.876
        I A              1.234567                                   N 0.012345
        P W              -284.000                                        1.500
        Q
        S VA              285.000
        PF                no load
        f Hz                                                         50.012345
        ── Energy ──────────────────────────────────────────────────────────────────────
                               L1             L2             L3          total
        A+ kWh          23.456789                                   123.456789
        A-
        R+
        R-
        ── Health ──────────────────────────────────────────────────────────────────────
        store     warning  slow
        link      ok       45 exchanges, 0 bad pages
                  ok       clock, chains
        ── Events ──────────────────────────────────────────────────────────────────────
        2026-01-31T12:00:00Z  status     7  boot boot=3

        q quits
        ");
        // The same screen five seconds later, and the meter does not answer.
        let later = now + Duration::from_secs(5);
        model.take(Update::Silent("no answer from the meter".into()), later);
        let text = screen(&model, later);
        assert!(text.contains("values are 5 s old") && text.contains("no answer from the meter"), "{text}");
    }

    #[test]
    fn a_meter_without_values_yet() {
        insta::assert_snapshot!(screen(&Model::default(), Instant::now()), @r"
        metergate
        ── Now ───────────────────────────────────────────────────── waiting for values
                               L1             L2             L3          total
        U
        I
        P
        Q
        S
        PF
        f
        ── Energy ──────────────────────────────────────────────────────────────────────
                               L1             L2             L3          total
        A+
        A-
        R+
        R-
        ── Health ──────────────────────────────────────────────────────────────────────

        ── Events ──────────────────────────────────────────────────────────────────────




        q quits
        ");
    }
}
