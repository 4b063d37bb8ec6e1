//! Lookups in eBPF: our image beside the kernel's hash map and LPM trie, with the neighbour's record read.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use benches::report::{Report, Section};
use benches::samples::Samples;
use datapath::lookup::{KEYS, Key, Lookup, Peers, Walker};
use datapath::maps::ImageMap;
use fib::{
    Adjacency, AdjacencyId, Egress, FibImage, NetworkKey, NextHop, PortKey, Prefix, Route, Tables, VrfId,
    build_with,
};
use packet::MacAddr;

use crate::Options;

const OURS: &str = "our image";
const HASH: &str = "kernel hash map";

/// Tenants, each with hosts in a subnet of its own, which overlap.
const VRFS: u32 = 10_000;

struct Table {
    hosts: Vec<(VrfId, u32)>,
    adjacencies: u32,
}

pub(crate) fn run(options: &Options, report: &mut Report) -> Result<()> {
    let table = Table::new(options.pick(100, 10))?;
    let mut memory = table.image()?;
    let bytes = memory.bytes().to_vec();
    let map = ImageMap::create(bytes.len())?;
    map.write(&bytes)?;
    let count = u32::try_from(table.hosts.len())?;
    let peers = Peers { hosts: count, prefixes: count, adjacencies: table.adjacencies };
    let mut lookup = Lookup::load(&map, peers)?;
    table.fill(&mut lookup)?;
    let size = format!("{count} hosts in {VRFS} VRFs, an image of {} MiB", bytes.len() >> 20);
    let image = memory.image();
    let hosts = measure(&table, &image, &mut lookup, 0)?;
    report.bar("lookup of a host in eBPF", hosts.median(OURS), 80.0, "ns");
    report.bar("the same beside the kernel's hash map", hosts.median(OURS) / hosts.median(HASH), 0.5, "x");
    report.section(hosts.titled(format!("Lookups in eBPF: hosts; {size}")));
    let mix = measure(&table, &image, &mut lookup, 10)?;
    report
        .section(mix.titled(format!("Lookups in eBPF: 90 % hosts, 10 % other addresses of subnets; {size}")));
    Ok(())
}

/// In turns; the loop itself, with the key read and an answer written, is subtracted.
fn measure(table: &Table, image: &FibImage<'_>, lookup: &mut Lookup, subnets: u64) -> Result<Section> {
    let walkers = [(Walker::Image, OURS), (Walker::Hash, HASH), (Walker::Trie, "kernel LPM trie")];
    let mut times = [const { Samples::new() }; 3];
    for round in 0..7 {
        let (ours, peers) = table.keys(image, round, subnets)?;
        lookup.set_keys(&peers)?;
        let nothing = time(lookup, Walker::Nothing)?;
        for ((walker, _), times) in walkers.into_iter().zip(&mut times) {
            lookup.set_keys(if walker == Walker::Image { &ours } else { &peers })?;
            times.push(time(lookup, walker)? - nothing);
        }
    }
    let note = "65,536 random keys a run, the neighbour's record read; the loop around them is subtracted. The hash map \
                holds hosts alone.";
    let mut section = Section::new("", "ns a lookup", note).compared_with(HASH);
    walkers.into_iter().zip(times).for_each(|((_, name), times)| section.row(name, times));
    Ok(section)
}

fn time(lookup: &Lookup, walker: Walker) -> Result<f64> {
    Ok(lookup.run(walker, 8)?.as_nanos() as f64 / KEYS as f64)
}

impl Table {
    fn new(per_vrf: u32) -> Result<Self> {
        let mut hosts = Vec::new();
        for vrf in 1..=VRFS {
            let vrf_id = VrfId::new(vrf.into())?;
            hosts.extend((0..per_vrf).map(|host| (vrf_id, 0x0a00_0000 | (vrf % 7) << 16 | (host + 10))));
        }
        let adjacencies = u32::try_from(hosts.len())?;
        Ok(Self { hosts, adjacencies })
    }

    fn image(&self) -> Result<fib::Memory> {
        let adjacency = |id: u32| {
            let [_, a, b, c] = id.to_be_bytes();
            Adjacency {
                dst_mac: MacAddr([2, 0, 0, a, b, c]),
                src_mac: MacAddr([2, 1, 0, 0, 0, 1]),
                egress: Egress::Local { port: PortKey(id % 1000) },
                mtu: 1500,
                network: NetworkKey(1),
            }
        };
        let tables = Tables {
            adjacencies: (0..self.adjacencies).map(|id| (AdjacencyId(id), adjacency(id))).collect(),
            ..Tables::default()
        };
        let hosts = self.hosts.iter().zip(0..).map(|((vrf, addr), id)| Route {
            vrf: *vrf,
            prefix: Prefix::host(Ipv4Addr::from_bits(*addr).into()),
            next: NextHop::Adjacency(AdjacencyId(id)),
        });
        let mut subnets: Vec<Route> =
            self.hosts.iter().map(|(vrf, addr)| subnet(*vrf, *addr)).collect::<Result<_>>()?;
        subnets.dedup();
        let options = fib::Options { table_seed: 4711, spare: 0, ..fib::Options::default() };
        build_with(hosts.chain(subnets), &tables, options).context("build the image")
    }

    fn fill(&self, lookup: &mut Lookup) -> Result<()> {
        for (chunk, first) in self.hosts.chunks(KEYS).zip((0_u32..).step_by(KEYS)) {
            let values: Vec<u8> = (first..).take(chunk.len()).flat_map(u32::to_ne_bytes).collect();
            let hash = chunk.iter().flat_map(|(vrf, addr)| [vrf.get(), *addr]).flat_map(u32::to_ne_bytes);
            lookup.fill("hosts", &hash.collect::<Vec<u8>>(), &values, chunk.len())?;
            let trie = chunk.iter().flat_map(|(vrf, addr)| {
                [64_u32.to_ne_bytes(), vrf.get().to_be_bytes(), addr.to_be_bytes()].concat()
            });
            lookup.fill("prefixes", &trie.collect::<Vec<u8>>(), &values, chunk.len())?;
            let records = (first..).take(chunk.len()).flat_map(|id| [id; 8]).flat_map(u32::to_ne_bytes);
            let indices: Vec<u8> = (first..).take(chunk.len()).flat_map(u32::to_ne_bytes).collect();
            lookup.fill("adjacencies", &indices, &records.collect::<Vec<u8>>(), chunk.len())?;
        }
        Ok(())
    }

    /// Random hosts, and some addresses beside them: for our image by domain, for the peers by VRF.
    fn keys(&self, image: &FibImage<'_>, round: u64, subnets: u64) -> Result<(Vec<Key>, Vec<Key>)> {
        let (mut ours, mut peers) = (Vec::new(), Vec::new());
        let mut state = round + 1;
        for _ in 0..KEYS {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let at = usize::try_from((state >> 16) % self.hosts.len() as u64)?;
            let (vrf, mut addr) = *self.hosts.get(at).context("a host")?;
            if state >> 8 & 0xff < subnets * 256 / 100 {
                addr |= 0x8000;
            }
            let domain = image.domain(vrf).context("a domain")?;
            let key = Key { upper: u64::from(addr) << 32, lower: 0, vrf: domain.0, v6: 0 };
            ours.push(key);
            peers.push(Key { vrf: vrf.get(), ..key });
        }
        ensure!(ours.len() == KEYS);
        Ok((ours, peers))
    }
}

fn subnet(vrf: VrfId, addr: u32) -> Result<Route> {
    let net = ipnet::IpNet::new(Ipv4Addr::from_bits(addr & 0xffff_0000).into(), 16)?;
    Ok(Route { vrf, prefix: Prefix::from(net), next: NextHop::Adjacency(AdjacencyId(0)) })
}
