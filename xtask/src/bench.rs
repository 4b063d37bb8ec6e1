//! `cargo xtask bench`: criterion benches, then whole-system measurements by the binary of the crate `benches`.

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::setup;
use crate::shell::{self, cargo};

const SYSTEM: &str = "target/release/system";
const FAST_PATH: &str = "target/release/fast-path";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Few repetitions: a look in less than four minutes (besides building), no result
    #[arg(long)]
    quick: bool,
    /// Also the sizes that take minutes
    #[arg(long)]
    long: bool,
    /// Only one: push, start, first-packet, restart or idle on whole systems; codec or compile by criterion; fib;
    /// fast-path; neutron or neutron-outage, which run only when they are named
    only: Option<String>,
    /// A directory with real routing tables (full2025-v4.txt.xz, full2025-v6.txt.xz), for fib
    #[arg(long)]
    rib: Option<std::path::PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    setup::ensure_done()?;
    let only = options.only.as_deref();
    if only.is_none_or(|only| only == "fib") {
        fib(options)?;
    }
    if only == Some("fib") {
        return Ok(ExitCode::SUCCESS);
    }
    if only.is_some_and(|only| only.starts_with("neutron")) {
        setup::neutron()?;
    }
    println!("bench: building");
    // The controller's binary is what the measurements start.
    shell::run(cargo().args([
        "build",
        "--release",
        "--package=controller",
        "--package=datapath",
        "--package=benches",
        "--bins",
    ]))?;
    for bench in ["codec", "compile"] {
        if only.is_none_or(|only| only == bench) {
            shell::run(&mut criterion(bench, options.quick))?;
        }
    }
    if only.is_some_and(|only| ["codec", "compile"].contains(&only)) {
        return Ok(ExitCode::SUCCESS);
    }
    if only.is_none_or(|only| only == "fast-path") {
        let mut fast_path = shell::as_root(FAST_PATH)?;
        if options.quick {
            fast_path.arg("--quick");
        }
        shell::run(&mut fast_path)?;
        if only.is_some() {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let mut system = shell::as_root(SYSTEM)?;
    system.args(only);
    for (flag, is_set) in [("--quick", options.quick), ("--long", options.long)] {
        if is_set {
            system.arg(flag);
        }
    }
    let status = system.status().with_context(|| format!("start {SYSTEM}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The routing table beside its peers; DPDK's among them where `dpdk-dev` is installed.
fn fib(options: &Options) -> Result<()> {
    setup::offer_dpdk()?;
    let mut command = cargo();
    command.args(["run", "--release", "--package=fib-bench", "--"]);
    // Images ask for huge pages themselves; so that the peers have them too.
    command.env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");
    if options.quick {
        command.args(["--turns", "3"]);
    }
    if let Some(rib) = &options.rib {
        command.arg("--rib").arg(rib);
    }
    shell::run(&mut command)
}

/// A criterion bench; its report goes below `target/criterion`.
fn criterion(bench: &str, quick: bool) -> std::process::Command {
    let mut command = cargo();
    command.args(["bench", "--package=benches", "--bench", bench, "--"]);
    if quick {
        command.arg("--quick");
    }
    command
}
