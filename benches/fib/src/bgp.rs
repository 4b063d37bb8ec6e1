//! One VRF with a full BGP table. Next hops are 4096, by a hash of the prefix.

use crate::dpdk;
use crate::floor::Floor;
use crate::keys::{Draw, KEYS};
use crate::measure::{Measured, Subject, in_turns, must_agree};
use crate::report::Report;
use crate::rng::Rng;
use anyhow::{Context as _, Result, ensure};
use fib::{
    Adjacency, AdjacencyId, BURST, Container as _, DomainNumber, Egress, FibImage, NetworkKey, NextHop,
    Options, PortKey, Prefix, Route, Tables, VrfId,
};
use ip_network_table_deps_treebitmap as treebitmap;
use packet::MacAddr;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::Command;

const NEXT_HOPS: u32 = 4096;

/// A line of a table; IPv4 addresses fill the upper 32 bits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) addr: u128,
    pub(crate) len: u8,
    pub(crate) next: u32,
}

impl Line {
    fn new(addr: u128, len: u8) -> Self {
        let mut rng = Rng::new((addr >> 64) as u64 ^ addr as u64 ^ u64::from(len));
        Self { addr, len, next: rng.next32() % NEXT_HOPS + 1 }
    }

    pub(crate) fn prefix(&self, v6: bool) -> Result<Prefix> {
        Ok(Prefix::new(address(self.addr, v6), self.len)?)
    }
}

fn address(addr: u128, v6: bool) -> IpAddr {
    if v6 { Ipv6Addr::from_bits(addr).into() } else { Ipv4Addr::from_bits((addr >> 96) as u32).into() }
}

/// The table of a directory, or one that was made up.
pub(crate) fn table(dir: Option<&Path>, v6: bool) -> Result<Vec<Line>> {
    let Some(dir) = dir else { return Ok(made_up(v6)) };
    let file = dir.join(if v6 { "full2025-v6.txt.xz" } else { "full2025-v4.txt.xz" });
    let output = Command::new("xz").arg("-dc").arg(&file).output().context("start xz")?;
    ensure!(output.status.success(), "xz cannot read {}", file.display());
    let lines = std::str::from_utf8(&output.stdout)?.lines().map(|line| {
        let prefix: Prefix = line.parse().with_context(|| format!("prefix {line}"))?;
        Ok(Line::new(bits(prefix.addr()), prefix.len()))
    });
    lines.collect()
}

fn bits(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(addr) => u128::from(addr.to_bits()) << 96,
        IpAddr::V6(addr) => addr.to_bits(),
    }
}

/// Lengths, in prefixes of 1000, as real tables have them; neighbours come in clusters.
fn made_up(v6: bool) -> Vec<Line> {
    const V4: [(u8, u32); 14] = [
        (8, 1),
        (11, 1),
        (12, 1),
        (13, 1),
        (14, 2),
        (15, 2),
        (16, 14),
        (17, 8),
        (18, 14),
        (19, 26),
        (20, 46),
        (21, 52),
        (22, 122),
        (24, 710),
    ];
    const V6: [(u8, u32); 10] = [
        (20, 1),
        (24, 2),
        (28, 10),
        (29, 30),
        (32, 130),
        (36, 50),
        (40, 100),
        (44, 110),
        (46, 40),
        (48, 527),
    ];
    let (lengths, count) = if v6 { (&V6[..], 160_000) } else { (&V4[..], 900_000) };
    let (mut rng, mut lines) = (Rng::new(4), BTreeMap::new());
    let mut base: u128 = 0;
    while lines.len() < count {
        let mut pick = rng.next32() % 1000;
        let chosen = lengths.iter().find(|(_, share)| {
            let hit = pick < *share;
            pick = pick.saturating_sub(*share);
            hit
        });
        let len = chosen.map_or(24, |(len, _)| *len);
        if rng.below(8) == 0 {
            let random = u128::from(rng.next()) << 64;
            base = if v6 { 0x2 << 124 | random >> 3 } else { random % (0xdf << 120) + (1 << 120) };
        }
        base = base.wrapping_add(1 << (128 - u32::from(len)));
        let addr = base & !(u128::MAX >> len);
        lines.insert((addr, len), Line::new(addr, len));
    }
    lines.into_values().collect()
}

pub(crate) fn tables() -> Tables {
    let mut tables = Tables::default();
    for id in 0..=NEXT_HOPS {
        let [_, _, c, d] = id.to_be_bytes();
        let adjacency = Adjacency {
            dst_mac: MacAddr([2, 0, 0, 0, c, d]),
            src_mac: MacAddr([2, 0, 0, 1, 0, 0]),
            egress: Egress::Local { port: PortKey(1) },
            mtu: 1500,
            network: NetworkKey(1),
        };
        tables.adjacencies.insert(AdjacencyId(id), adjacency);
    }
    tables
}

pub(crate) fn vrf() -> Result<VrfId> {
    VrfId::new(1).context("vrf id")
}

pub(crate) fn routes(table: &[Line], v6: bool) -> Result<Vec<Route>> {
    let vrf = vrf()?;
    let route = |line: &Line| {
        Ok(Route { vrf, prefix: line.prefix(v6)?, next: NextHop::Adjacency(AdjacencyId(line.next)) })
    };
    table.iter().map(route).collect()
}

/// Addresses inside prefixes: a prefix is drawn, then its host bits.
pub(crate) fn keys(table: &[Line], draw: &Draw) -> Vec<u128> {
    let mut rng = Rng::new(5);
    let key = |_| {
        let line = table[draw.item(table.len(), &mut rng)];
        let random = u128::from(rng.next()) << 64 | u128::from(rng.next());
        line.addr | if line.len < 128 { random & (u128::MAX >> line.len) } else { 0 }
    };
    (0..KEYS).map(key).collect()
}

pub(crate) fn run(dir: Option<&Path>, turns: usize, report: &mut Report) -> Result<()> {
    for v6 in [false, true] {
        let table = table(dir, v6)?;
        let routes = routes(&table, v6)?;
        let start = std::time::Instant::now();
        let options = Options { spare: 0, ..Options::default() };
        let memory = fib::build_with(routes, &tables(), options)?;
        let built = start.elapsed().as_secs_f64() * 1000.0;
        let family = if v6 { "IPv6" } else { "IPv4" };
        report.figures(
            &format!("BGP {family}: image"),
            "",
            vec![
                ("prefixes".into(), table.len() as f64),
                ("fib: build, ms".into(), built),
                ("fib: MB".into(), (memory.units().len() * 64) as f64 / 1e6),
            ],
        );
        let image = memory.image();
        let domain = image.domain(vrf()?).context("domain")?;
        let draws = [("uniform", Draw::Uniform), ("Zipf", Draw::zipf(table.len(), &mut Rng::new(6)))];
        for (name, draw) in &draws {
            let keys = keys(&table, draw);
            let mut found = ours(image, domain, v6, &table, &keys, turns)?;
            found.extend(dpdk::run(v6, &table, &keys, turns)?);
            must_agree(family, &found)?;
            // The Runs and words of all chunks, which is most of the image.
            let floor = Floor::new(&[memory.units().len() * 32, memory.units().len() * 32]);
            found.extend(in_turns(turns, KEYS, vec![floor.subject("memory: 2 lines")]));
            report.lookups(&format!("BGP {family}: keys in prefixes, {name}"), &found);
        }
    }
    Ok(())
}

fn ours(
    image: FibImage<'_>,
    domain: DomainNumber,
    v6: bool,
    table: &[Line],
    keys: &[u128],
    turns: usize,
) -> Result<Vec<Measured>> {
    let argument = |word: u32| u64::from(word & fib::layout::word::ARGUMENT_MASK);
    let keys4: Vec<u32> = keys.iter().map(|key| (key >> 96) as u32).collect();
    let with4: Vec<(DomainNumber, u32)> = keys4.iter().map(|key| (domain, *key)).collect();
    let with6: Vec<(DomainNumber, u128)> = keys.iter().map(|key| (domain, *key)).collect();
    let bursts = || {
        let (mut sum, mut words) = (0, [0; BURST]);
        if v6 {
            for keys in with6.chunks(BURST) {
                image.burst6(keys, &mut words);
                sum += words.iter().take(keys.len()).map(|word| argument(*word)).sum::<u64>();
            }
        } else {
            for keys in with4.chunks(BURST) {
                image.burst4(keys, &mut words);
                sum += words.iter().take(keys.len()).map(|word| argument(*word)).sum::<u64>();
            }
        }
        sum
    };
    let scalar =
        || keys.iter().map(|key| argument(image.lookup_word(domain, address(*key, v6)))).sum::<u64>();
    let mut trie4 = prefix_trie::PrefixMap::<ipnet::Ipv4Net, u32>::new();
    let mut trie6 = prefix_trie::PrefixMap::<ipnet::Ipv6Net, u32>::new();
    let mut bitmap4 = treebitmap::IpLookupTable::<Ipv4Addr, u32>::new();
    let mut bitmap6 = treebitmap::IpLookupTable::<Ipv6Addr, u32>::new();
    for line in table {
        match line.prefix(v6)?.net() {
            ipnet::IpNet::V4(net) => {
                trie4.insert(net, line.next);
                bitmap4.insert(net.addr(), line.len.into(), line.next);
            }
            ipnet::IpNet::V6(net) => {
                trie6.insert(net, line.next);
                bitmap6.insert(net.addr(), line.len.into(), line.next);
            }
        }
    }
    let in_trie = || {
        keys.iter()
            .map(|key| match address(*key, v6) {
                IpAddr::V4(addr) => trie4.get_lpm(&addr.into()).map_or(0, |(_, next)| u64::from(*next)),
                IpAddr::V6(addr) => trie6.get_lpm(&addr.into()).map_or(0, |(_, next)| u64::from(*next)),
            })
            .sum::<u64>()
    };
    let in_bitmap = || {
        keys.iter()
            .map(|key| match address(*key, v6) {
                IpAddr::V4(addr) => bitmap4.longest_match(addr).map_or(0, |(_, _, next)| u64::from(*next)),
                IpAddr::V6(addr) => bitmap6.longest_match(addr).map_or(0, |(_, _, next)| u64::from(*next)),
            })
            .sum::<u64>()
    };
    Ok(in_turns(
        turns,
        KEYS,
        vec![
            Subject::new("fib burst 32", bursts),
            Subject::new("fib scalar", scalar),
            Subject::new("prefix-trie", in_trie),
            Subject::new("treebitmap", in_bitmap),
        ],
    ))
}
