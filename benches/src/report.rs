//! What a run found: printed as it goes, and kept as Markdown and JSON.

use crate::{
    machine::{Machine, load, today},
    samples::Samples,
};
use anyhow::{Context as _, Result};
use serde::Serialize;
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// One run of one measurement.
#[derive(Debug, Serialize)]
pub struct Report {
    name: String,
    date: String,
    quick: bool,
    machine: Machine,
    load_before: f64,
    load_after: f64,
    sections: Vec<Section>,
    bars: Vec<Bar>,
}

/// Quantities that belong together.
#[derive(Debug, Serialize)]
pub struct Section {
    title: String,
    unit: &'static str,
    note: String,
    rows: Vec<Row>,
    /// The name of the row that the others are compared with.
    reference: Option<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    samples: Samples,
}

/// A promise, and what came of it.
#[derive(Debug, Serialize)]
struct Bar {
    what: String,
    limit: f64,
    unit: &'static str,
    value: f64,
    met: bool,
}

impl Section {
    /// Begins a section; `note` says how it was measured.
    pub fn new(title: impl Into<String>, unit: &'static str, note: impl Into<String>) -> Self {
        Self { title: title.into(), unit, note: note.into(), rows: Vec::new(), reference: None }
    }

    /// Gives it another title.
    #[must_use]
    pub fn titled(self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self }
    }

    /// Adds a row.
    pub fn row(&mut self, name: impl Into<String>, samples: Samples) {
        self.rows.push(Row { name: name.into(), samples });
    }

    /// Compares the medians with that of this row.
    #[must_use]
    pub fn compared_with(mut self, name: impl Into<String>) -> Self {
        self.reference = Some(name.into());
        self
    }

    /// The median of a row; NaN if there is none.
    pub fn median(&self, name: &str) -> f64 {
        self.rows.iter().find(|row| row.name == name).map_or(f64::NAN, |row| row.samples.median())
    }

    /// A table in Markdown, which also reads well on a terminal.
    fn table(&self) -> String {
        let mut head = vec![self.unit, "n", "median", "p90", "p99", "min", "max"];
        if self.reference.is_some() {
            head.push("ratio");
        }
        let mut lines = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
        for Row { name, samples } in &self.rows {
            let quantiles = [0.5, 0.9, 0.99, 0.0, 1.0].map(|share| number(samples.quantile(share)));
            let mut line = vec![name.clone(), samples.count().to_string()];
            line.extend(quantiles);
            if let Some(reference) = &self.reference {
                line.push(format!("{:.2}", samples.median() / self.median(reference)));
            }
            lines.push(line);
        }
        markdown(&lines)
    }
}

impl Report {
    /// Begins a run.
    pub fn new(name: &str, quick: bool) -> Self {
        let report = Self {
            name: name.into(),
            date: today(),
            quick,
            machine: Machine::here(),
            load_before: load(),
            load_after: f64::NAN,
            sections: Vec::new(),
            bars: Vec::new(),
        };
        println!("{name}\n  {}\n", report.machine.lines().join("\n  "));
        report
    }

    /// Adds and prints a section.
    pub fn section(&mut self, section: Section) {
        println!("{}\n\n{}", section.title, section.table());
        self.sections.push(section);
    }

    /// Compares a value with a promise.
    pub fn bar(&mut self, what: impl Into<String>, value: f64, limit: f64, unit: &'static str) {
        self.bars.push(Bar { what: what.into(), limit, unit, value, met: value <= limit });
    }

    /// Prints how the promises were kept, and writes `report.md` and `report.json` into `<runs>/<date>-<name>`.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn finish(mut self, runs: &Path) -> Result<PathBuf> {
        self.load_after = load();
        let bars = self.bars_table();
        if !bars.is_empty() {
            println!("{bars}");
        }
        let quick = if self.quick { "-quick" } else { "" };
        let folder = runs.join(format!("{}-{}{quick}", self.date, self.name));
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("write {}", path.display()))
        };
        write("report.md", self.markdown(&bars))?;
        write("report.json", serde_json::to_string(&self).context("report as JSON")? + "\n")?;
        Ok(folder)
    }

    fn bars_table(&self) -> String {
        if self.bars.is_empty() {
            return String::new();
        }
        let mut lines = vec![["bar", "limit", "measured", ""].map(str::to_owned).to_vec()];
        for Bar { what, limit, unit, value, met } in &self.bars {
            let verdict = if *met { "met" } else { "**missed**" };
            let with_unit = |value| format!("{} {unit}", number(value)).trim().to_owned();
            lines.push(vec![what.clone(), with_unit(*limit), with_unit(*value), verdict.into()]);
        }
        markdown(&lines)
    }

    fn markdown(&self, bars: &str) -> String {
        let mut text = format!("# {}, {}\n\n", self.name, self.date);
        for line in self.machine.lines() {
            let _ = writeln!(text, "- {line}");
        }
        let _ = writeln!(
            text,
            "- load of the machine {:.2} before and {:.2} after{}\n",
            self.load_before,
            self.load_after,
            if self.quick { "; a quick run, few repetitions" } else { "" }
        );
        if !bars.is_empty() {
            let _ = writeln!(text, "{bars}");
        }
        for section in &self.sections {
            let _ = writeln!(text, "## {}\n\n{}\n\n{}", section.title, section.note, section.table());
        }
        text.trim_end().to_owned() + "\n"
    }
}

/// Three significant digits, but whole numbers in full.
fn number(value: f64) -> String {
    let places = match value.abs() {
        size if value.is_nan() || size >= 100.0 || size == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.places$}")
}

/// The first line is the head; all but the first column are numbers.
fn markdown(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |line: &[String], column: usize| line.get(column).cloned().unwrap_or_default();
    let width =
        |column| lines.iter().map(|line| cell(line, column).chars().count()).max().unwrap_or(0).max(2);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (nth, line) in lines.iter().enumerate() {
        for (column, width) in widths.iter().enumerate() {
            let cell = cell(line, column);
            let _ = if column == 0 {
                write!(text, "| {cell:width$} ")
            } else {
                write!(text, "| {cell:>width$} ")
            };
        }
        text.push_str("|\n");
        if nth == 0 {
            for (column, width) in widths.iter().enumerate() {
                let dashes = "-".repeat(width + 1);
                let _ = if column == 0 { write!(text, "|:{dashes}") } else { write!(text, "|{dashes}:") };
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_markdown() {
        let mut section = Section::new("t", "ms", "").compared_with("raw");
        section.row("raw", [1.0, 2.0, 3.0].into_iter().collect());
        section.row("ours", [2.5].into_iter().collect());
        let table = section.table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0], "| ms   |  n | median |  p90 |  p99 |  min |  max | ratio |");
        assert_eq!(lines[1], "|:-----|---:|-------:|-----:|-----:|-----:|-----:|------:|");
        assert_eq!(lines[3], "| ours |  1 |   2.50 | 2.50 | 2.50 | 2.50 | 2.50 |  1.25 |");
    }

    #[test]
    fn a_missing_value_misses_its_bar() {
        let mut report = Report::new("test", true);
        report.bar("x", f64::NAN, 1.0, "s");
        report.bar("y", 1.0, 1.0, "s");
        assert_eq!(report.bars.iter().map(|bar| bar.met).collect::<Vec<_>>(), [false, true]);
    }
}
