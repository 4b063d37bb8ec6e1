//! `cargo xtask bench`: whole-system measurements, run by binaries of the crate `benches`.

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::setup;
use crate::shell::{self, cargo};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Passed on to the measurements: see `cargo xtask bench -- --help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    setup::ensure_done()?;
    shell::run(cargo().args([
        "build",
        "--release",
        "--package",
        "controller",
        "--package",
        "benches",
        "--bins",
    ]))?;
    let mut command = shell::as_root("target/release/system")?;
    let status = command.args(&options.args).status().context("start target/release/system")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
