//! `cargo xtask bench`: criterion benches, then whole-system measurements by the binary of the crate `benches`.

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::setup;
use crate::shell::{self, cargo};

const SYSTEM: &str = "target/release/system";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Few repetitions: a look in less than four minutes (besides building), no result
    #[arg(long)]
    quick: bool,
    /// Also the sizes that take minutes
    #[arg(long)]
    long: bool,
    /// Only one: push, start, first-packet, restart or idle on whole systems; codec or compile by criterion
    only: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    setup::ensure_done()?;
    println!("bench: building");
    // The controller's binary is what the measurements start.
    shell::run(cargo().args(["build", "--release", "--package=controller", "--package=benches", "--bins"]))?;
    let only = options.only.as_deref();
    for bench in ["codec", "compile"] {
        if only.is_none_or(|only| only == bench) {
            shell::run(&mut criterion(bench, options.quick))?;
        }
    }
    if only.is_some_and(|only| ["codec", "compile"].contains(&only)) {
        return Ok(ExitCode::SUCCESS);
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

/// A criterion bench; its report goes below `target/criterion`.
fn criterion(bench: &str, quick: bool) -> std::process::Command {
    let mut command = cargo();
    command.args(["bench", "--package=benches", "--bench", bench, "--"]);
    if quick {
        command.arg("--quick");
    }
    command
}
