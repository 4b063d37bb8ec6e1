//! What must not go live is found: in a whole image, and in one route.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, helpers included")]

use fib::{
    Adjacency, AdjacencyId, EcmpGroup, Egress, Entry, Finding, GroupId, Member, Memory, Network, NetworkKey,
    NextHop, Options, PortKey, Prefix, Route, RouterPort, RouterPortId, Tables, VrfId, Writer,
};
use packet::MacAddr;

fn vrf(id: u64) -> VrfId {
    VrfId::new(id).unwrap()
}

fn adjacency(network: u32, mtu: u16) -> Adjacency {
    Adjacency {
        dst_mac: MacAddr([2, 0, 0, 0, 0, 1]),
        src_mac: MacAddr([2, 0, 0, 0, 0, 2]),
        egress: Egress::Local { port: PortKey(1) },
        mtu,
        network: NetworkKey(network),
    }
}

/// Two tenants: VRF 1 on networks 1 and 2, VRF 2 on network 3. Adjacency n is on network n; 9 cannot carry IPv4.
fn tables() -> Tables {
    let router_port = |vrf_id: u64, network: u32| RouterPort {
        mac: MacAddr([2, 0, 0, 0, 1, 0]),
        network: NetworkKey(network),
        vrf: vrf(vrf_id),
        mtu: 1500,
        slow: false,
    };
    let entry = Entry {
        networks: (1..=3).map(|key| (NetworkKey(key), Network { mtu: 1500, slow: false })).collect(),
        router_ports: [(1, 1), (1, 2), (2, 3)]
            .into_iter()
            .zip(0..)
            .map(|((vrf, network), id)| (RouterPortId(id), router_port(vrf, network)))
            .collect(),
        ..Entry::default()
    };
    let mut adjacencies: std::collections::BTreeMap<AdjacencyId, Adjacency> =
        (1..=3).map(|network| (AdjacencyId(network), adjacency(network, 1500))).collect();
    adjacencies.insert(AdjacencyId(9), adjacency(1, 60));
    let member = |id| Member { key: id, adjacency: AdjacencyId(id) };
    let groups = [
        (GroupId(1), EcmpGroup::new([member(1), member(2)])),
        (GroupId(2), EcmpGroup::new([member(1), member(3)])),
    ];
    Tables { adjacencies, groups: groups.into(), entry }
}

fn route(id: u64, prefix: &str, next: NextHop) -> Route {
    Route { vrf: vrf(id), prefix: prefix.parse().unwrap(), next }
}

const fn to(id: u32) -> NextHop {
    NextHop::Adjacency(AdjacencyId(id))
}

/// What the audit finds in these routes as a whole, and in the last one alone when it is added to the others.
fn findings(routes: &[Route]) -> (Vec<Finding>, Vec<Finding>) {
    let whole = fib::build(routes.iter().copied(), &tables(), 0, 0).unwrap().image().audit();
    let (last, others) = routes.split_last().unwrap();
    let mut writer =
        Writer::new(Memory::default(), others.iter().copied(), &tables(), Options::default()).unwrap();
    writer.insert(*last).unwrap();
    (whole, writer.audit(last))
}

#[test]
fn what_is_well_has_no_findings() {
    let routes = [
        route(2, "10.0.0.0/8", to(3)),
        route(1, "10.0.0.0/24", to(1)),
        route(1, "10.0.0.7/32", to(2)),
        route(1, "::/0", NextHop::Ecmp(GroupId(1))),
        // Leads into the other VRF on purpose, and ends there.
        route(1, "10.5.0.0/16", NextHop::OtherVrf(vrf(2))),
    ];
    assert_eq!(findings(&routes), (vec![], vec![]));
}

#[test]
fn each_fault_is_found_whole_and_alone() {
    let (here, prefix) = (vrf(1), |text: &str| text.parse::<Prefix>().unwrap());
    for (text, next, want) in [
        (
            "10.0.0.7/32",
            to(3),
            Finding::Foreign { vrf: here, prefix: prefix("10.0.0.7/32"), network: NetworkKey(3) },
        ),
        (
            "10.0.0.0/9",
            to(3),
            Finding::Foreign { vrf: here, prefix: prefix("10.0.0.0/9"), network: NetworkKey(3) },
        ),
        (
            "0.0.0.0/0",
            NextHop::Ecmp(GroupId(2)),
            Finding::Foreign { vrf: here, prefix: prefix("0.0.0.0/0"), network: NetworkKey(3) },
        ),
        ("fd00::/64", to(9), Finding::DeadEnd { vrf: here, prefix: prefix("fd00::/64") }),
    ] {
        let routes = [route(1, "10.0.0.0/24", to(1)), route(1, text, next)];
        assert_eq!(findings(&routes), (vec![want], vec![want]), "{text}");
    }
}

#[test]
fn loops_are_found_where_they_are_and_only_there() {
    let other = |id| NextHop::OtherVrf(vrf(id));
    // Only 10.0.3.0/24 goes round: the rest of what VRF 1 sends to VRF 2 has a way there.
    let looping = [
        route(2, "10.0.0.0/16", to(3)),
        route(2, "10.0.3.0/24", other(1)),
        route(1, "10.0.0.0/22", other(2)),
    ];
    let (whole, alone) = findings(&looping);
    let at = |id| Finding::Loop { vrf: vrf(id), addr: "10.0.3.0".parse().unwrap() };
    assert_eq!((whole, alone), (vec![at(1), at(2)], vec![at(1)]));
    // The same with a longer way out.
    let apart = [looping[0], looping[1], looping[2], route(1, "10.0.3.0/24", to(1))];
    assert_eq!(findings(&apart), (vec![], vec![]));
}
