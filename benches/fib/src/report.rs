//! What a run found: printed, and kept as CSV and as plots.

use crate::measure::Measured;
use anyhow::{Context as _, Result};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Name and figure.
type Row = (String, f64);

/// One run.
#[derive(Debug)]
pub(crate) struct Report {
    machine: String,
    groups: Vec<(String, &'static str, Vec<Row>)>,
    csv: String,
}

impl Report {
    pub(crate) fn new() -> Result<Self> {
        let info = fs::read_to_string("/proc/cpuinfo").context("read /proc/cpuinfo")?;
        let model = info.lines().find(|line| line.starts_with("model name")).unwrap_or_default();
        let flags = info.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
        let vectors: Vec<&str> =
            flags.split(' ').filter(|flag| ["avx2", "avx512f", "avx512vbmi"].contains(flag)).collect();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let cpus = info.lines().filter(|line| line.starts_with("processor")).count();
        let huge = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
        let tunables = std::env::var("GLIBC_TUNABLES").unwrap_or_default();
        let machine = format!(
            "{}; {cpus} CPUs; {}; Linux {}; load at the start {}; huge pages {}; malloc {tunables}",
            model.split(':').nth(1).unwrap_or_default().trim(),
            vectors.join(" "),
            kernel.trim(),
            load.trim(),
            huge.trim(),
        );
        println!("{machine}");
        let csv = String::from("group,name,unit,median,samples\n");
        Ok(Self { machine, groups: Vec::new(), csv })
    }

    /// Lookups: nanoseconds each.
    pub(crate) fn lookups(&mut self, group: &str, found: &[Measured]) {
        let rows = found.iter().map(|found| {
            let samples: Vec<String> = found.nanos.iter().map(|nanos| format!("{nanos:.2}")).collect();
            _ = writeln!(self.csv, "{group},{},ns,{:.2},{}", found.name, found.median(), samples.join(" "));
            (found.name.clone(), found.median())
        });
        let rows = rows.collect();
        self.group(group, "ns", rows);
    }

    /// Single figures.
    pub(crate) fn figures(&mut self, group: &str, unit: &'static str, rows: Vec<(String, f64)>) {
        for (name, value) in &rows {
            _ = writeln!(self.csv, "{group},{name},{unit},{value:.3},");
        }
        self.group(group, unit, rows);
    }

    fn group(&mut self, group: &str, unit: &'static str, rows: Vec<(String, f64)>) {
        println!("\n{group} [{unit}]");
        for (name, value) in &rows {
            println!("  {name:40} {value:10.2}");
        }
        self.groups.push((group.into(), unit, rows));
    }

    pub(crate) fn write(&self, out: &Path) -> Result<()> {
        fs::create_dir_all(out).with_context(|| format!("make {}", out.display()))?;
        let files = [
            ("results.csv", self.csv.clone()),
            ("machine.txt", format!("{}\n", self.machine)),
            ("results.svg", self.svg()),
        ];
        for (name, text) in files {
            let path = out.join(name);
            fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        }
        Ok(())
    }

    /// A bar chart of each group.
    fn svg(&self) -> String {
        let (mut body, mut y) = (String::new(), 30);
        for (group, unit, rows) in &self.groups {
            _ = writeln!(body, "<text x='10' y='{y}' font-weight='bold'>{group} [{unit}]</text>");
            y += 8;
            let most = rows.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
            for (name, value) in rows {
                let width = value / most * 420.0;
                let colour = if name.starts_with("fib") { "#2a7" } else { "#89a" };
                _ = writeln!(
                    body,
                    "<text x='290' y='{0}' text-anchor='end'>{name}</text>\
                     <rect x='300' y='{1}' width='{width:.1}' height='13' fill='{colour}'/>\
                     <text x='{2:.0}' y='{0}'>{value:.2}</text>",
                    y + 12,
                    y + 1,
                    306.0 + width
                );
                y += 17;
            }
            y += 26;
        }
        format!(
            "<svg xmlns='http://www.w3.org/2000/svg' width='800' height='{y}' font-family='sans-serif' \
             font-size='12'>\n<rect width='100%' height='100%' fill='white'/>\n{body}</svg>\n"
        )
    }
}
