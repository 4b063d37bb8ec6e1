//! `dragonflow-datapath`: puts the fast path in front of Open vSwitch, looks after it, takes it away.
#![allow(clippy::print_stdout, reason = "a command answers on standard output")]

mod command;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use datapath::host::{Host, Settings};
use datapath::pins::{self, Pins};
use datapath::router::Probe;
use datapath::selftest::{self, Cures};
use nix::poll::PollTimeout;

use crate::command::{afxdp, changes::Changes, trace};

/// Between two looks for neighbours that are not known.
const RETRY_MS: u16 = 5000;

#[derive(Parser)]
#[command(name = "dragonflow-datapath", version, about = "The fast path: XDP in front of Open vSwitch")]
struct Options {
    /// Folder of what stays when this program ends; a bpffs is mounted there
    #[arg(long, global = true, default_value = pins::DEFAULT)]
    pins: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Attach to the ports that an image names, and follow the image
    Run {
        /// The image that the controller writes
        #[arg(long, default_value = "/run/dragonflow/fib.image")]
        image: PathBuf,
        /// The interface that tunnels to other chassis go by; without one they go by the switch
        #[arg(long)]
        underlay: Option<String>,
        /// Leave the other ends of veths alone: ports that do not fit go by the switch
        #[arg(long)]
        no_cures: bool,
        /// Take checksums of what comes in as complete where nobody can say
        #[arg(long)]
        trust_checksums: bool,
        /// Where frames are forwarded
        #[arg(long, value_enum, default_value_t = Mode::Xdp)]
        mode: Mode,
        /// AF_XDP: sleep while there is nothing to do, instead of using a processor
        #[arg(long)]
        adaptive: bool,
        /// XDP: end once everything is attached; frames go on
        #[arg(long, conflicts_with = "adaptive")]
        once: bool,
    },
    /// What is attached, and how many frames took which way
    Status,
    /// Which way an echo request takes here, and why
    Trace(trace::Question),
    /// End the fast path; Open vSwitch gets every frame
    Detach {
        /// On all interfaces; there is no other choice yet
        #[arg(long, required = true)]
        all: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// In the kernel
    Xdp,
    /// In this process, by AF_XDP
    Afxdp,
}

fn main() -> Result<()> {
    let options = Options::parse();
    match options.command {
        Command::Run { image, underlay, no_cures, trust_checksums, mode, adaptive, once } => {
            let cures = Cures { change_peer: !no_cures, trust_checksums };
            let settings = Settings { image, underlay, cures };
            match mode {
                Mode::Xdp => run(settings, &options.pins, once),
                Mode::Afxdp => {
                    ensure!(!once, "--once is for --mode xdp: AF_XDP forwards in this process");
                    afxdp::run(settings, &options.pins, adaptive)
                }
            }
        }
        Command::Status => status(&options.pins),
        Command::Trace(question) => trace::run(&question, &options.pins),
        Command::Detach { all: _ } => match Pins::open(&options.pins) {
            Some(pins) => Ok(pins.clear()?),
            None => Ok(()),
        },
    }
}

fn run(settings: Settings, folder: &Path, once: bool) -> Result<()> {
    // Before the image is read: a change meanwhile is not missed.
    let changes = Changes::of(&settings.image)?;
    // The controller may come later.
    while !once && !settings.image.exists() {
        changes.wait(PollTimeout::NONE)?;
    }
    let mut host = Host::start(settings, Pins::create(folder)?)?;
    show(&host);
    if once {
        return Ok(());
    }
    loop {
        // Nobody tells when the kernel learns of a neighbour: ask now and then, as long as one is missing.
        changes.wait(if host.unknown_ways() > 0 { RETRY_MS.into() } else { PollTimeout::NONE })?;
        match host.reload() {
            Ok(()) => show(&host),
            Err(error) => eprintln!("the image is left as it was: {}", datapath::chain(&error)),
        }
    }
}

fn show(host: &Host) {
    for report in host.reports() {
        match report {
            Ok(report) => println!("{report}"),
            Err(error) => eprintln!("{}", datapath::chain(&error)),
        }
    }
}

fn status(folder: &Path) -> Result<()> {
    if let Some(state) = afxdp::status()? {
        print!("{state}");
        return Ok(());
    }
    let Some(pins) = Pins::open(folder) else {
        println!("nothing is attached");
        return Ok(());
    };
    let probe = Probe::load()?;
    for index in pins.linked()? {
        match selftest::prepare(index, Cures::default()) {
            Ok((interface, checksums)) => {
                let state = probe.state(index)?;
                let cures = Cures { trust_checksums: true, ..Default::default() };
                println!("{}", selftest::judge(index, &interface, checksums, state, cures));
            }
            Err(error) => println!("index {index}: {}", datapath::chain(&error)),
        }
    }
    for (reason, count) in pins.counters()?.into_iter().filter(|(_, count)| *count > 0) {
        let way = if reason.is_done() { "sent on" } else { "to the switch" };
        println!("{:18} {count:12} {way}", reason.name().to_lowercase());
    }
    Ok(())
}
