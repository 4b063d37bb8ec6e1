//! The fast path beside its peers, in one run and in turns: lookups alone, frames through real ports, a whole cloud.
//!
//! Figures are medians; what counts are the ratios. Two hyperthreads of one core share its work: everything runs on one
//! processor, and the other should be idle.

mod cloud;
mod frames;
mod lookups;
mod rig;
mod user_space;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use benches::report::Report;
use clap::{Parser, ValueEnum};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Measures the fast path beside its peers; everything without a name. Run by `cargo xtask bench fast-path`.
#[derive(Debug, Parser)]
#[command(name = "fast-path")]
struct Options {
    /// Few repetitions and small sizes: a look, no result
    #[arg(long)]
    quick: bool,
    /// Where the report goes
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/runs"), hide_default_value = true)]
    runs: PathBuf,
    /// Only this
    only: Option<What>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Lookups in eBPF
    Lookups,
    /// Frames through veths
    Frames,
    /// AF_XDP
    UserSpace,
    /// VMs behind a real Open vSwitch
    Cloud,
}

impl Options {
    /// Chooses by `--quick`.
    fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    fn wants(&self, what: What) -> bool {
        self.only.is_none_or(|only| only == what)
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    ensure!(nix::unistd::geteuid().is_root(), "eBPF needs root");
    ensure!(
        !cfg!(debug_assertions),
        "this is a debug build, whose times mean nothing: use `cargo xtask bench`"
    );
    let mut report = Report::new("fast-path", options.quick);
    let all = sched_getaffinity(Pid::from_raw(0))?;
    let mut one = CpuSet::new();
    one.set(0)?;
    sched_setaffinity(Pid::from_raw(0), &one)?;
    if options.wants(What::Lookups) {
        lookups::run(&options, &mut report)?;
    }
    if options.wants(What::Frames) {
        frames::run(&options, &mut report)?;
    }
    if options.wants(What::UserSpace) {
        user_space::run(&options, &mut report)?;
    }
    if options.wants(What::Cloud) {
        // What is started there inherits this.
        sched_setaffinity(Pid::from_raw(0), &all)?;
        cloud::run(&options, &mut report)?;
    }
    println!("{}", report.finish(&options.runs)?.display());
    Ok(())
}
