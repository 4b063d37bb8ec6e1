//! Tables in plain text: columns as wide as their widest cell, two spaces between.

use super::{Out, Tone};
use std::io::{self, Write as _};

/// Rows under a header.
#[derive(Debug)]
pub(super) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// A piece of text and what it means.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    tone: Option<Tone>,
}

impl Cell {
    pub(super) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Some(tone) }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: None }
    }
}

impl Table {
    pub(super) fn new(header: Vec<&'static str>) -> Self {
        Self { header, rows: Vec::new() }
    }

    /// Missing cells are empty; an empty one shows as "-".
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    pub(super) fn print(&self, out: &mut Out) -> io::Result<()> {
        let widths: Vec<usize> = (0..self.header.len()).map(|column| self.width(column)).collect();
        let header = self.header.iter().map(|text| Cell::new(Tone::Heading, *text)).collect();
        for row in std::iter::once(&header).chain(&self.rows) {
            let mut line = String::new();
            for (i, width) in widths.iter().enumerate() {
                let cell = row.get(i).filter(|cell| !cell.text.is_empty());
                let (text, tone) = cell.map_or(("-", None), |cell| (&cell.text, cell.tone));
                // The last column needs no filling.
                let fill = if i + 1 < widths.len() { width + 2 - text.chars().count() } else { 0 };
                line += &tone.map_or_else(|| text.to_owned(), |tone| out.paint(tone, text));
                line.extend(std::iter::repeat_n(' ', fill));
            }
            writeln!(out.to, "{line}")?;
        }
        Ok(())
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count());
        cells.chain(self.header.get(column).map(|text| text.len())).chain([1]).max().unwrap_or(1)
    }
}
