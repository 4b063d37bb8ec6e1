//! The fast path beside its peers, in one run and in turns: lookups alone, and frames through real ports.
//!
//! Figures are medians; what counts are the ratios. Two hyperthreads of one core share its work: everything runs on one
//! processor, and the other should be idle.

mod frames;
mod lookups;

use anyhow::{Result, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

fn main() -> Result<()> {
    ensure!(nix::unistd::geteuid().is_root(), "eBPF needs root");
    if cfg!(debug_assertions) {
        println!("a debug build: only what the kernel does is at full speed");
    }
    let quick = std::env::args().any(|arg| arg == "--quick");
    let mut cpus = CpuSet::new();
    cpus.set(0)?;
    sched_setaffinity(Pid::from_raw(0), &cpus)?;
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    if only.as_deref() != Some("frames") {
        lookups::run(quick)?;
    }
    if only.as_deref() != Some("lookups") {
        frames::run(quick)?;
    }
    Ok(())
}

/// The middle one.
fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}
