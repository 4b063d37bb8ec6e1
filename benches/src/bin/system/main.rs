//! Whole-system measurements on real Open vSwitch: every promise of the project that is a number.

mod first_packet;
mod idle;
mod neutron;
mod push;
mod restart;
mod rig;
mod start;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

/// Measures Dragonflow and its peers side by side; everything but Neutron without a subcommand. Run by `cargo xtask bench`.
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
    /// A controller that starts with everything in its store, beside empty switches
    Start,
    /// From an API call to the first packet that is forwarded because of it
    FirstPacket,
    /// A switch and a controller that are killed
    Restart,
    /// What a controller costs that has nothing to do, and what one port more costs
    Idle,
    /// A real Neutron: change to first packet, and API calls beside those with an in-tree driver
    Neutron,
    /// A real Neutron that changes while the controller is dead
    NeutronOutage,
}

type Measurement = fn(&Options) -> Result<()>;

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
    let all: [Measurement; 5] = [push::run, start::run, first_packet::run, restart::run, idle::run];
    let chosen: Measurement = match cli.what {
        None => return all.into_iter().try_for_each(|measure| measure(&cli.options)),
        Some(What::Push) => push::run,
        Some(What::Start) => start::run,
        Some(What::FirstPacket) => first_packet::run,
        Some(What::Restart) => restart::run,
        Some(What::Idle) => idle::run,
        Some(What::Neutron) => neutron::run,
        Some(What::NeutronOutage) => neutron::run_outage,
    };
    chosen(&cli.options)
}
