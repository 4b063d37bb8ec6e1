//! Whole-system measurements on real Open vSwitch: every promise of the project that is a number.

mod push;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

/// Measures Dragonflow and its peers side by side; run by `cargo xtask bench`.
#[derive(Debug, Parser)]
#[command(name = "system")]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    what: Option<What>,
}

/// What is common to all measurements.
#[derive(Debug, Clone, Args)]
struct Options {
    /// Few repetitions and small sizes: a look, no result
    #[arg(long, global = true)]
    quick: bool,
    /// Also the sizes that take minutes
    #[arg(long, global = true)]
    long: bool,
    /// Where reports go
    #[arg(long, global = true, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/runs"), hide_default_value = true)]
    runs: PathBuf,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Flows into a switch: our driver, raw octets, ovs-ofctl
    Push,
}

impl Options {
    /// Chooses by `--quick`.
    fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    if cfg!(debug_assertions) {
        bail!("this is a debug build, whose times mean nothing: use `cargo xtask bench`");
    }
    match cli.what {
        Some(What::Push) => push::run(&cli.options),
        None => push::run(&cli.options),
    }
}
