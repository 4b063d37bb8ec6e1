//! Lookups, builds and changes of the compiled routing table, beside its peers in the same run.
//!
//! Every structure answers the same keys, in turns, and its answers are summed: structures that disagree end the run.
#![allow(clippy::cast_possible_truncation, reason = "numbers of a bench are small")]

mod bgp;
mod churn;
mod dpdk;
mod floor;
mod keys;
mod measure;
mod report;
mod rng;
mod tenants;

use clap::Parser;
use std::path::PathBuf;

/// Measures; the results go to a directory as CSV and SVG.
#[derive(Debug, Parser)]
struct Options {
    /// A directory with full2025-v4.txt.xz and full2025-v6.txt.xz; without it, tables of the same lengths are made up
    #[arg(long)]
    rib: Option<PathBuf>,
    /// Where the results go
    #[arg(long, default_value = "target/fib-bench")]
    out: PathBuf,
    /// Turns of each structure; the median counts
    #[arg(long, default_value_t = 7)]
    turns: usize,
    /// One of tenants, bgp, churn
    only: Option<String>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let wanted = |name: &str| options.only.as_deref().is_none_or(|only| only == name);
    let mut report = report::Report::new()?;
    if wanted("tenants") {
        tenants::run(options.turns, &mut report)?;
    }
    if wanted("bgp") {
        bgp::run(options.rib.as_deref(), options.turns, &mut report)?;
    }
    if wanted("churn") {
        churn::run(options.rib.as_deref(), &mut report)?;
    }
    report.write(&options.out)
}
