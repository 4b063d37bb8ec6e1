//! 10,000 VRFs of tenants: hosts, subnets and a default route each, addresses overlapping.

use crate::floor::Floor;
use crate::keys::{Draw, KEYS};
use crate::measure::{Subject, in_turns, must_agree};
use crate::report::Report;
use crate::rng::Rng;
use anyhow::{Context as _, Result};
use fib::{
    Adjacency, AdjacencyId, BURST, Container as _, DomainNumber, Egress, FibImage, NetworkKey, NextHop,
    Options, PortKey, Prefix, Route, Tables, TunnelKind, VrfId,
};
use packet::{MacAddr, Vni};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

const VRFS: usize = 10_000;
const HOSTS: usize = 1_000_000;
const SUBNETS: usize = 271_000;

/// All routes, in order, and what the keys are drawn from.
#[derive(Debug)]
pub(crate) struct Tenants {
    pub(crate) routes: Vec<Route>,
    pub(crate) tables: Tables,
    pub(crate) hosts: Vec<(VrfId, u32)>,
    /// Subnets: first address; all are /24.
    subnets: Vec<(VrfId, u32)>,
}

fn vrf(index: usize) -> Result<VrfId> {
    VrfId::new(index as u64 + 1).context("vrf id")
}

fn adjacency(index: u32) -> Adjacency {
    let [a, b, c, d] = index.to_be_bytes();
    Adjacency {
        dst_mac: MacAddr([2, 0, a, b, c, d]),
        src_mac: MacAddr([2, 1, a, b, c, d]),
        egress: if index.is_multiple_of(100) {
            Egress::Local { port: PortKey(index) }
        } else {
            let [_, _, high, low] = (index % 2000).to_be_bytes();
            Egress::Tunnel { vtep: [172, 16, high, low].into(), kind: TunnelKind::Geneve, vni: Vni::MAX }
        },
        mtu: 1450,
        network: NetworkKey(index / 100),
    }
}

impl Tenants {
    /// Sizes fall with the VRF's rank; the largest has some 2 % of everything.
    pub(crate) fn new() -> Result<Self> {
        let mut rng = Rng::new(1);
        let weight = |index: usize| 1.0 / (index as f64 + 8.0).powf(0.75);
        let total: f64 = (0..VRFS).map(weight).sum();
        let (mut routes, mut hosts, mut subnets) = (Vec::new(), Vec::new(), Vec::new());
        let mut tables = Tables::default();
        for index in 0..VRFS {
            let vrf = vrf(index)?;
            let share = weight(index) / total;
            let nets = ((SUBNETS as f64 * share) as usize).max(2);
            let count = (HOSTS as f64 * share) as usize;
            // 10.0.0.0/8 for most, 192.168.0.0/16 for every fourth; subnets need not follow each other.
            let small = index % 4 == 0 && nets < 200;
            let (base, room) = if small { (0xc0a8_0000, 256) } else { (0x0a00_0000, 65_536) };
            let step = (room / nets).max(1);
            let first: Vec<u32> =
                (0..nets.min(room)).map(|net| base + ((net * step + rng.below(step)) as u32) * 256).collect();
            let from = hosts.len();
            for host in 0..count {
                let net = first.get(host % first.len()).copied().unwrap_or(base);
                // 101 is coprime to 254: no address comes twice.
                let low = (host / first.len() * 101) % 254 + 1;
                if host / first.len() < 254 {
                    hosts.push((vrf, net + low as u32));
                }
            }
            for (vrf, addr) in hosts.get(from..).unwrap_or_default() {
                let id = AdjacencyId(u32::try_from(tables.adjacencies.len())?);
                tables.adjacencies.insert(id, adjacency(id.0));
                let prefix = Prefix::host(Ipv4Addr::from_bits(*addr).into());
                routes.push(Route { vrf: *vrf, prefix, next: NextHop::Adjacency(id) });
            }
            let known = u32::try_from(tables.adjacencies.len().max(1))?;
            for net in &first {
                let prefix = Prefix::new(Ipv4Addr::from_bits(*net).into(), 24)?;
                let next = NextHop::Adjacency(AdjacencyId(rng.next32() % known));
                routes.push(Route { vrf, prefix, next });
                subnets.push((vrf, *net));
            }
            let next = NextHop::Adjacency(AdjacencyId(rng.next32() % known));
            routes.push(Route { vrf, prefix: "0.0.0.0/0".parse()?, next });
        }
        routes.sort_unstable_by_key(|route| (route.vrf, route.prefix));
        Ok(Self { routes, tables, hosts, subnets })
    }

    /// Per cent of keys that are hosts, other addresses of subnets; the rest has the default route.
    pub(crate) fn keys(
        &self,
        draw: &Draw,
        hosts: usize,
        subnets: usize,
        image: FibImage<'_>,
    ) -> Vec<(DomainNumber, u32)> {
        let mut rng = Rng::new(2);
        let domain = |vrf: VrfId| image.domain(vrf).unwrap_or(DomainNumber(0));
        let keys = (0..KEYS).map(|_| {
            let kind = rng.below(100);
            let (vrf, host) = self.hosts[draw.item(self.hosts.len(), &mut rng)];
            if kind < hosts {
                return (domain(vrf), host);
            }
            if kind < hosts + subnets {
                let (vrf, net) = self.subnets[rng.below(self.subnets.len())];
                return (domain(vrf), net + 255);
            }
            (domain(vrf), 0x0800_0000 + (rng.next32() & 0xff_ffff))
        });
        keys.collect()
    }
}

/// Looks keys up in bursts, and reads the adjacencies.
pub(crate) fn bursts(image: FibImage<'_>, keys: &[(DomainNumber, u32)]) -> u64 {
    let (mut sum, mut words) = (0_u64, [0; BURST]);
    for keys in keys.chunks(BURST) {
        image.burst4(keys, &mut words);
        let adjacencies = image.adjacencies();
        for word in words.iter().take(keys.len()) {
            sum = sum.wrapping_add(adjacencies.line(*word)[0]);
        }
    }
    sum
}

fn singles(image: FibImage<'_>, keys: &[(DomainNumber, u32)]) -> u64 {
    keys.iter().fold(0, |sum: u64, (domain, addr)| {
        let word = image.lookup_word(*domain, Ipv4Addr::from_bits(*addr).into());
        sum.wrapping_add(image.adjacencies().line(word)[0])
    })
}

pub(crate) fn run(turns: usize, report: &mut Report) -> Result<()> {
    let tenants = Tenants::new()?;
    let mut builds = Vec::new();
    let mut memory = None;
    for _ in 0..5 {
        let routes = tenants.routes.clone();
        let start = Instant::now();
        let options = Options { load: 80, spare: 0, ..Options::default() };
        memory = Some(fib::build_with(routes, &tenants.tables, options)?);
        builds.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    let memory = memory.context("built")?;
    let bytes = (memory.units().len() * 64) as f64;
    let build = crate::measure::quantile(&mut builds, 0.5);
    report.figures(
        "tenants: image",
        "",
        vec![
            ("routes".into(), tenants.routes.len() as f64),
            ("fib: full compile with checksums, ms".into(), build),
            ("fib: bytes a route, all in".into(), bytes / tenants.routes.len() as f64),
        ],
    );
    let image = memory.image();
    let mut map: hashbrown::HashMap<u64, u32, rustc_hash::FxBuildHasher> = hashbrown::HashMap::default();
    for (index, (vrf, addr)) in tenants.hosts.iter().enumerate() {
        let domain = image.domain(*vrf).context("domain")?;
        map.insert(u64::from(domain.0) << 32 | u64::from(*addr), u32::try_from(index)?);
    }
    let records: Vec<[u64; 4]> =
        (0..tenants.hosts.len()).map(|id| image.adjacencies().line(1 << 29 | id as u32)).collect();
    let draws = [("uniform", Draw::Uniform), ("Zipf", Draw::zipf(tenants.hosts.len(), &mut Rng::new(3)))];
    let floor = Floor::new(&[tenants.hosts.len() * 64 * 100 / (5 * 80), tenants.hosts.len() * 32]);
    for (name, draw) in &draws {
        let keys = tenants.keys(draw, 100, 0, image);
        let mut found = in_turns(
            turns,
            KEYS,
            vec![
                Subject::new("fib burst 32", || bursts(image, &keys)),
                Subject::new("fib scalar", || singles(image, &keys)),
                Subject::new("hashbrown FxHash", || {
                    keys.iter().fold(0, |sum: u64, (domain, addr)| {
                        let index = map.get(&(u64::from(domain.0) << 32 | u64::from(*addr)));
                        sum.wrapping_add(
                            index.and_then(|index| records.get(*index as usize)).map_or(0, |it| it[0]),
                        )
                    })
                }),
            ],
        );
        must_agree("hosts", &found)?;
        found.extend(in_turns(turns, KEYS, vec![floor.subject("memory: 2 lines")]));
        report.lookups(&format!("10k VRFs: host keys {name} + adjacency"), &found);
    }
    let tries = tries(&tenants, image)?;
    for (name, draw) in &draws {
        let keys = tenants.keys(draw, 90, 8, image);
        let mut found = in_turns(
            turns,
            KEYS,
            vec![
                Subject::new("fib burst 32", || bursts(image, &keys)),
                Subject::new("fib scalar", || singles(image, &keys)),
                Subject::new("prefix-trie by VRF", || {
                    keys.iter().fold(0, |sum: u64, (domain, addr)| {
                        let net = ipnet::Ipv4Net::from(Ipv4Addr::from_bits(*addr));
                        let id = tries.get(domain.0 as usize).and_then(|trie| trie.get_lpm(&net));
                        sum.wrapping_add(
                            id.and_then(|(_, id)| records.get(*id as usize)).map_or(0, |it| it[0]),
                        )
                    })
                }),
            ],
        );
        must_agree("mix", &found)?;
        found.extend(in_turns(turns, KEYS, vec![floor.subject("memory: 2 lines")]));
        report.lookups(&format!("10k VRFs: mix 90/8/2 {name} + adjacency"), &found);
    }
    Ok(())
}

type Trie = prefix_trie::PrefixMap<ipnet::Ipv4Net, u32>;

/// A trie for each domain, with the adjacencies' indices.
fn tries(tenants: &Tenants, image: FibImage<'_>) -> Result<Vec<Trie>> {
    let mut tries = vec![Trie::default(); VRFS + 1];
    for route in &tenants.routes {
        let (NextHop::Adjacency(id), IpAddr::V4(addr)) = (route.next, route.prefix.addr()) else { continue };
        let domain = image.domain(route.vrf).context("domain")?;
        if let Some(trie) = tries.get_mut(domain.0 as usize) {
            trie.insert(ipnet::Ipv4Net::new(addr, route.prefix.len())?, id.0);
        }
    }
    Ok(tries)
}
