//! `dragonflow table`: a compiled routing table in a file, read back, compared and explained.

use super::{CliError, Done, Out, Tone, table::Table};
use fib::{FibImage, Memory, NextHop, Route, VrfId};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    net::IpAddr,
    path::{Path, PathBuf},
};

/// What to do with a table.
#[derive(Debug, clap::Subcommand)]
pub(super) enum TableCommand {
    /// Show the routes that packets can match.
    Dump {
        /// The image.
        file: PathBuf,
        /// Of this VRF only.
        #[arg(long, value_parser = vrf)]
        vrf: Option<VrfId>,
    },
    /// Show how the routes of two tables differ; exits 3 if they do.
    Diff {
        /// The image before.
        old: PathBuf,
        /// The image after.
        new: PathBuf,
    },
    /// Check that a table is whole, keeps tenants apart, and leads nowhere in circles; exits 3 if not.
    Verify {
        /// The image.
        file: PathBuf,
    },
    /// Show what a table is made of.
    Stats {
        /// The image.
        file: PathBuf,
    },
    /// Show the route of an address, and how the lookup finds it.
    Lookup {
        /// The image.
        file: PathBuf,
        /// The VRF's id.
        #[arg(value_parser = vrf)]
        vrf: VrfId,
        /// The destination.
        addr: IpAddr,
    },
}

fn vrf(text: &str) -> Result<VrfId, String> {
    let id: u64 = text.parse().map_err(|_| format!("\"{text}\" is no vrf id: want a number"))?;
    VrfId::new(id).map_err(|error| error.to_string())
}

pub(super) fn run(command: &TableCommand, out: &mut Out) -> Result<Done, CliError> {
    match command {
        TableCommand::Dump { file, vrf } => Opened::new(file)?.with(|image| dump(image, *vrf, out)),
        TableCommand::Diff { old, new } => {
            let routes = |file: &Path| Opened::new(file)?.with(|image| Ok(image.routes()));
            diff(&routes(old)?, &routes(new)?, out)
        }
        TableCommand::Verify { file } => Opened::new(file)?.with(|image| verify(image, out)),
        TableCommand::Stats { file } => Opened::new(file)?.with(|image| stats(image, out)),
        TableCommand::Lookup { file, vrf, addr } => Opened::new(file)?.with(|image| {
            let explanation = image.explain(*vrf, *addr);
            write!(out.to, "{explanation}")?;
            Ok(Done::Well)
        }),
    }
}

/// A file in memory.
struct Opened {
    name: String,
    memory: Memory,
    len: usize,
}

impl Opened {
    fn new(file: &Path) -> Result<Self, CliError> {
        let name = file.display().to_string();
        let bytes = std::fs::read(file).map_err(|source| CliError::Read { name: name.clone(), source })?;
        Ok(Self { name, memory: Memory::copy_of(&bytes), len: bytes.len() })
    }

    fn with<T>(mut self, use_it: impl FnOnce(FibImage<'_>) -> Result<T, CliError>) -> Result<T, CliError> {
        let bytes = self.memory.bytes().get(..self.len).unwrap_or_default();
        match FibImage::load(bytes) {
            Ok(image) => use_it(image),
            Err(source) => Err(CliError::Image { name: self.name, source }),
        }
    }
}

fn next(next: NextHop) -> String {
    match next {
        NextHop::Adjacency(id) => format!("adjacency {}", id.0),
        NextHop::Ecmp(id) => format!("group {}", id.0),
        NextHop::OtherVrf(vrf) => format!("vrf {vrf}"),
        NextHop::Router(id) => format!("router port {}", id.0),
        NextHop::Unreachable => "unreachable".into(),
        NextHop::Blackhole => "blackhole".into(),
    }
}

fn dump(image: FibImage<'_>, vrf: Option<VrfId>, out: &mut Out) -> Result<Done, CliError> {
    let mut table = Table::new(vec!["VRF", "PREFIX", "NEXT HOP"]);
    let routes = image.routes().into_iter().filter(|route| vrf.is_none_or(|vrf| route.vrf == vrf));
    for route in routes {
        let cells = [route.vrf.to_string(), route.prefix.to_string(), next(route.next)];
        table.row(cells.into_iter().map(Into::into).collect());
    }
    table.print(out)?;
    Ok(Done::Well)
}

fn diff(old: &[Route], new: &[Route], out: &mut Out) -> Result<Done, CliError> {
    let by_key = |routes: &[Route]| -> BTreeMap<_, NextHop> {
        routes.iter().map(|route| ((route.vrf, route.prefix), route.next)).collect()
    };
    let (old, new) = (by_key(old), by_key(new));
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let mut done = Done::Well;
    for key in keys {
        let (before, after) = (old.get(key), new.get(key));
        if before == after {
            continue;
        }
        done = Done::Degraded;
        for (sign, tone, side) in [("-", Tone::Bad, before), ("+", Tone::Good, after)] {
            if let Some(hop) = side {
                let line = format!("{sign} vrf {} {} {}", key.0, key.1, next(*hop));
                writeln!(out.to, "{}", out.paint(tone, &line))?;
            }
        }
    }
    Ok(done)
}

fn verify(image: FibImage<'_>, out: &mut Out) -> Result<Done, CliError> {
    let findings = image.audit();
    for finding in &findings {
        writeln!(out.to, "{}", out.paint(Tone::Bad, &finding.to_string()))?;
    }
    if !findings.is_empty() {
        return Ok(Done::Degraded);
    }
    let stats = image.stats();
    writeln!(
        out.to,
        "{} routes of {} vrfs: whole, apart, no loop, no dead end",
        image.routes().len(),
        stats.vrfs
    )?;
    Ok(Done::Well)
}

fn stats(image: FibImage<'_>, out: &mut Out) -> Result<Done, CliError> {
    let stats = image.stats();
    let routes = image.routes().len();
    let [hosts4, hosts6] = stats.hosts;
    let [slots4, slots6] = stats.slots;
    let [away4, away6] = stats.displaced;
    let mut table = Table::new(vec!["WHAT", "NUMBER"]);
    let mut row = |what: &str, number: String| table.row(vec![what.into(), number.into()]);
    row("bytes", stats.bytes.to_string());
    row("bytes a route", (stats.bytes / routes.max(1)).to_string());
    row("epoch", stats.epoch.to_string());
    row("vrfs", stats.vrfs.to_string());
    row("routes", routes.to_string());
    row("IPv4 hosts / slots / not at home", format!("{hosts4} / {slots4} / {away4}"));
    row("IPv6 hosts / slots / not at home", format!("{hosts6} / {slots6} / {away6}"));
    row("units of trees, wide tables, groups", stats.pool.to_string());
    row("adjacencies", stats.adjacencies.to_string());
    row("groups", stats.groups.to_string());
    row("egresses", stats.egresses.to_string());
    table.print(out)?;
    Ok(Done::Well)
}
