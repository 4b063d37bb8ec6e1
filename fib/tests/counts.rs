//! Exact counts, which need no clock: cache lines a lookup, bytes a route.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, helpers included")]

use fib::{
    Adjacency, AdjacencyId, Container as _, Egress, NetworkKey, NextHop, Options, PortKey, Prefix, Route,
    Tables, VrfId,
};
use packet::MacAddr;
use std::net::IpAddr;

/// A tenth of a large chassis: 1000 VRFs with 100 hosts and 27 subnets in the mean, each its own adjacency.
struct Tenants {
    routes: Vec<Route>,
    tables: Tables,
    hosts: Vec<(VrfId, IpAddr)>,
    subnets: Vec<(VrfId, IpAddr)>,
    defaults: Vec<(VrfId, IpAddr)>,
}

fn tenants() -> Tenants {
    let mut all = Tenants {
        routes: Vec::new(),
        tables: Tables::default(),
        hosts: Vec::new(),
        subnets: Vec::new(),
        defaults: Vec::new(),
    };
    let mut add = |routes: &mut Vec<Route>, vrf: VrfId, prefix: Prefix| {
        let id = AdjacencyId(u32::try_from(all.tables.adjacencies.len()).unwrap());
        let [_, a, b, c] = id.0.to_be_bytes();
        let adjacency = Adjacency {
            dst_mac: MacAddr([2, 0, 0, a, b, c]),
            src_mac: MacAddr([2, 0, 1, 0, 0, 0]),
            egress: Egress::Local { port: PortKey(id.0 % 500) },
            mtu: 1450,
            network: NetworkKey(1),
        };
        // Subnets lead to a neighbour that hosts have as well.
        let next = if prefix.len() == 32 || id.0 == 0 {
            all.tables.adjacencies.insert(id, adjacency);
            id
        } else {
            AdjacencyId(id.0 - 1)
        };
        routes.push(Route { vrf, prefix, next: NextHop::Adjacency(next) });
    };
    for index in 0..1000_u32 {
        let vrf = VrfId::new(u64::from(index) + 1).unwrap();
        // Sizes fall as one over the rank: the largest VRFs have thousands.
        let scaled = |count: u32| count * 130 / (index + 4);
        let (nets, hosts) = (scaled(27) + 2, scaled(100) + 10);
        for net in 0..nets {
            let addr = 0x0a00_0000 + net * 3 * 256;
            add(&mut all.routes, vrf, Prefix::new(IpAddr::V4(addr.into()), 24).unwrap());
            all.subnets.push((vrf, IpAddr::V4((addr + 255).into())));
            for host in (net..hosts).step_by(usize::try_from(nets).unwrap()).take(250) {
                let addr = addr + 1 + host / nets;
                add(&mut all.routes, vrf, Prefix::host(IpAddr::V4(addr.into())));
                all.hosts.push((vrf, IpAddr::V4(addr.into())));
            }
        }
        add(&mut all.routes, vrf, "0.0.0.0/0".parse().unwrap());
        all.defaults.push((vrf, "8.8.8.8".parse().unwrap()));
    }
    all
}

#[test]
fn lines_of_a_lookup_and_bytes_of_a_route() {
    let tenants = tenants();
    let options = Options { load: 80, spare: 0, table_seed: 1, ..Options::default() };
    let memory = fib::build_with(tenants.routes.iter().copied(), &tenants.tables, options).unwrap();
    let image = memory.image();
    let mean = |keys: &[(VrfId, IpAddr)]| {
        let lines: usize =
            keys.iter().map(|(vrf, addr)| image.lines(image.domain(*vrf).unwrap(), *addr)).sum();
        lines as f64 / keys.len() as f64
    };
    let (hosts, subnets, defaults) = (mean(&tenants.hosts), mean(&tenants.subnets), mean(&tenants.defaults));
    let mix = 0.9 * hosts + 0.08 * subnets + 0.02 * defaults;
    let bytes = (memory.units().len() * 64) as f64 / tenants.routes.len() as f64;
    println!("{} routes, {} hosts", tenants.routes.len(), tenants.hosts.len());
    println!("lines: hosts {hosts:.3}, subnets {subnets:.3}, default {defaults:.3}, mix {mix:.3}");
    println!("bytes a route: {bytes:.1}; {:?}", image.stats());
    assert!(mix <= 2.6, "{mix} lines a lookup of the mix");
    assert!(bytes <= 56.0, "{bytes} bytes a route");
}
