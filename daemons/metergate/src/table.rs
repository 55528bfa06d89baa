//! Plain tables for people: columns padded to their widest cell, numbers to the right, words to the left.
//!
//! Width counts characters, not bytes, so that "µ" and "−" do not shift a column.

use std::io::{self, Write};

/// How the cells of a column stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table that is being filled.
#[derive(Debug, Default)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column titles.
    pub fn new<const N: usize>(columns: [(&str, Align); N]) -> Table {
        Table { columns: columns.map(|(title, align)| (title.to_owned(), align)).to_vec(), rows: Vec::new() }
    }

    /// One more column at the right end, before the first row.
    pub fn column(&mut self, title: impl Into<String>, align: Align) {
        self.columns.push((title.into(), align));
    }

    /// One more row. Missing cells are empty; cells beyond the last column are dropped.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().take(self.columns.len()).collect());
    }

    /// Writes the titles and the rows, each line without trailing blanks.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let widths: Vec<usize> = self.columns.iter().enumerate().map(|(k, (title, _))| self.width(k, title)).collect();
        self.line(out, &widths, self.columns.iter().map(|(title, _)| title.as_str()))?;
        self.rows.iter().try_for_each(|row| self.line(out, &widths, row.iter().map(String::as_str)))
    }

    fn width(&self, column: usize, title: &str) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(title.chars().count())
    }

    fn line<'a>(&self, out: &mut dyn Write, widths: &[usize], cells: impl Iterator<Item = &'a str>) -> io::Result<()> {
        let mut text = String::new();
        for ((cell, width), (_, align)) in cells.zip(widths).zip(&self.columns) {
            let width = *width;
            match align {
                Align::Left => text.push_str(&format!("{cell:<width$}")),
                Align::Right => text.push_str(&format!("{cell:>width$}")),
            }
            text.push_str("  ");
        }
        writeln!(out, "{}", text.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_right_and_words_left() {
        let mut table = Table::new([("NAME", Align::Left), ("VALUE", Align::Right), ("UNIT", Align::Left)]);
        table.row(["Voltage L1".into(), "230.1".into(), "V".into()]);
        table.row(["Current µ".into(), "12".into()]);
        table.row(["P".into(), "-1234.5".into(), "W".into(), "dropped".into()]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        NAME          VALUE  UNIT
        Voltage L1    230.1  V
        Current µ        12
        P           -1234.5  W
        ");
    }
}
