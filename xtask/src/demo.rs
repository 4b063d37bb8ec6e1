//! `cargo xtask demo`: builds everything, then runs the lab's binary of that name.

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::setup;
use crate::shell::{self, cargo};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Passed on to the demo: see `cargo xtask demo -- --help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    setup::ensure_done()?;
    println!("demo: building");
    shell::run(cargo().args([
        "build",
        "--package",
        "controller",
        "--package",
        "datapath",
        "--package",
        "lab",
        "--bins",
    ]))?;
    let mut demo = shell::as_root("target/debug/demo")?;
    let status = demo.args(&options.args).status().context("start the demo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
