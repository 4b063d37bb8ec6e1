//! Changes in place while readers look up: how long each takes.

use crate::bgp;
use crate::measure::quantile;
use crate::report::Report;
use crate::rng::Rng;
use crate::tenants::Tenants;
use anyhow::{Context as _, Result};
use fib::{Memory, NextHop, Options, Prefix, Route, Writer};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

const CHANGES: usize = 200_000;
/// 192 MiB.
const UNITS: usize = 3 << 20;

pub(crate) fn run(dir: Option<&Path>, report: &mut Report) -> Result<()> {
    let tenants = Tenants::new()?;
    let memory = Memory::new(UNITS);
    let mut writer = Writer::new(&memory, tenants.routes.clone(), &tenants.tables, Options::default())?;
    let mut rng = Rng::new(7);
    // Hosts that come and go: half of the changes remove one, half add it again.
    let mut gone: Vec<usize> = Vec::new();
    let hosts = |rng: &mut Rng, writer: &mut Writer<&Memory>| {
        let again = gone.len() > 1000 || (!gone.is_empty() && rng.below(2) == 0);
        let index =
            if again { gone.swap_remove(rng.below(gone.len())) } else { rng.below(tenants.hosts.len()) };
        let Some((vrf, addr)) = tenants.hosts.get(index).copied() else { return Ok(()) };
        let prefix = Prefix::host(Ipv4Addr::from_bits(addr).into());
        if again {
            let next = NextHop::Adjacency(fib::AdjacencyId(u32::try_from(index).unwrap_or_default()));
            return writer.insert(Route { vrf, prefix, next });
        }
        if writer.remove(vrf, prefix)? {
            gone.push(index);
        }
        Ok(())
    };
    let rows = changes("host route at 1 M routes", CHANGES, &mut writer, &mut rng, hosts)?;
    report.figures("churn with a reader", "us", rows);

    let nets = tenants.routes.iter().filter(|route| route.prefix.len() == 24).copied();
    // VRFs of about a thousand prefixes: the twelve largest have more, the next ones are taken.
    let mut counts = std::collections::BTreeMap::<_, Vec<Route>>::new();
    nets.for_each(|route| counts.entry(route.vrf).or_default().push(route));
    let thousand: Vec<Route> =
        counts.into_values().filter(|routes| (600..1500).contains(&routes.len())).flatten().collect();
    anyhow::ensure!(!thousand.is_empty(), "no vrf has a thousand prefixes");
    let subnets = |rng: &mut Rng, writer: &mut Writer<&Memory>| {
        let route = thousand[rng.below(thousand.len())];
        if writer.remove(route.vrf, route.prefix)? { Ok(()) } else { writer.insert(route) }
    };
    let rows = changes("subnet in a VRF of 1 k prefixes", CHANGES / 40, &mut writer, &mut rng, subnets)?;
    report.figures("churn with a reader: subnets", "us", rows);
    drop(writer);

    for v6 in [false, true] {
        let table = bgp::table(dir, v6)?;
        let routes = bgp::routes(&table, v6)?;
        let memory = Memory::new(UNITS);
        let mut writer = Writer::new(&memory, routes.clone(), &bgp::tables(), Options::default())?;
        let prefixes = |rng: &mut Rng, writer: &mut Writer<&Memory>| {
            let route = routes[rng.below(routes.len())];
            if writer.remove(route.vrf, route.prefix)? { Ok(()) } else { writer.insert(route) }
        };
        let name = if v6 { "prefix of the IPv6 table" } else { "prefix of the IPv4 table" };
        let rows = changes(name, CHANGES / 40, &mut writer, &mut rng, prefixes)?;
        report.figures(&format!("churn with a reader: {name}"), "us", rows);
    }
    Ok(())
}

/// Times changes one by one while a reader looks up all the time; microseconds.
fn changes<'a>(
    name: &str,
    count: usize,
    writer: &mut Writer<&'a Memory>,
    rng: &mut Rng,
    mut change: impl FnMut(&mut Rng, &mut Writer<&'a Memory>) -> Result<(), fib::BuildError>,
) -> Result<Vec<(String, f64)>> {
    let (stop, epoch, lookups) = (AtomicBool::new(false), AtomicU64::new(u64::MAX), AtomicU64::new(0));
    let mut took = Vec::with_capacity(count);
    let memory: &'a Memory = writer.container();
    let result: Result<()> = std::thread::scope(|scope| {
        scope.spawn(|| {
            let image = memory.image();
            let domains: Vec<_> = image.vrfs().into_iter().filter_map(|vrf| image.domain(vrf)).collect();
            let (mut rng, mut words) = (Rng::new(8), [0; fib::BURST]);
            while !stop.load(Ordering::Relaxed) {
                epoch.store(image.epoch(), Ordering::SeqCst);
                let keys = [(); fib::BURST]
                    .map(|()| (domains[rng.below(domains.len())], 0x0a00_0000 | rng.next32() >> 8));
                image.burst4(&keys, &mut words);
                lookups.fetch_add(u64::from(words[0] != 1) * fib::BURST as u64, Ordering::Relaxed);
            }
        });
        let outcome = (0..count).try_for_each(|_| {
            let start = Instant::now();
            change(rng, writer)?;
            took.push(start.elapsed().as_nanos() as f64 / 1000.0);
            let seen = epoch.load(Ordering::SeqCst);
            if seen != u64::MAX {
                writer.quiesced(seen);
            }
            Ok::<(), fib::BuildError>(())
        });
        stop.store(true, Ordering::Relaxed);
        outcome.context("a change")?;
        Ok(())
    });
    result?;
    let most = took.iter().copied().fold(0.0, f64::max);
    let length = quantile(&mut took, 0.5);
    let (stop, pauses) = (AtomicBool::new(false), took.len());
    let paused = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        let pause = |_| {
            let start = Instant::now();
            loop {
                let micros = start.elapsed().as_nanos() as f64 / 1000.0;
                if micros >= length {
                    return micros;
                }
            }
        };
        let most = (0..pauses).map(pause).fold(0.0, f64::max);
        stop.store(true, Ordering::Relaxed);
        most
    });
    println!("  {} lookups meanwhile", lookups.load(Ordering::Relaxed));
    Ok(vec![
        (format!("fib: {name}, p50"), quantile(&mut took, 0.5)),
        (format!("fib: {name}, p99"), quantile(&mut took, 0.99)),
        (format!("fib: {name}, max"), most),
        // What the machine itself adds, with both processors at work: a loop until the clock has gone on so far.
        ("machine: as many waits of p50, max".into(), paused),
    ])
}
