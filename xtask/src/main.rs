//! `cargo xtask`: the only entry point, the same for people and CI.

mod bench;
mod demo;
mod deps;
mod setup;
mod shell;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Set up a machine, run the tests, the demo, the measurements")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what tests and demo need (apt); says so when there is nothing to do
    Setup(setup::Options),
    /// Two hosts, two tenants, real Open vSwitch: who reaches whom
    Demo(demo::Options),
    /// Everything CI runs
    Test(test::Options),
    /// Check which crate may know which
    Deps,
    /// Whole-system measurements
    Bench(bench::Options),
}

fn main() -> ExitCode {
    match run(&Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> Result<ExitCode> {
    // Cargo runs us in the caller's directory; paths below are those of the repository.
    std::env::set_current_dir(shell::root()?)?;
    match task {
        Task::Setup(options) => setup::run(options).map(|()| ExitCode::SUCCESS),
        Task::Demo(options) => demo::run(options),
        Task::Test(options) => test::run(options),
        Task::Deps => deps::run().map(|()| ExitCode::SUCCESS),
        Task::Bench(options) => bench::run(options),
    }
}
