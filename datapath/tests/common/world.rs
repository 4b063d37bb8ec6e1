//! A small world with something of everything, and the frames that are sent in it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;

use anyhow::{Result, ensure};
use fib::{
    Adjacency, AdjacencyId, EcmpGroup, Egress, Entry, GroupId, Member, Memory, Neighbour, Network,
    NetworkKey, NextHop, Options, Port, PortKey, Prefix, Route, RouterPort, RouterPortId, Segment, Tables,
    TunnelKind, TunnelPath, VrfId, build_with,
};
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, unshare};
use packet::build::{self, EchoKind, Ip, Link};
use packet::{Ends, IfIndex, MacAddr, Vni};

use super::common::Chance;

/// Stations: port, network, last byte of MAC and addresses. Two tenants have equal addresses.
const STATIONS: [(u32, u32, u8); 8] =
    [(1, 1, 11), (2, 1, 12), (3, 2, 13), (4, 2, 14), (5, 3, 11), (6, 3, 12), (7, 1, 17), (8, 2, 18)];
/// Stations on other chassis: adjacency, network, last byte of MAC and addresses.
const REMOTE: [(u32, u32, u8); 4] = [(21, 1, 21), (22, 2, 22), (23, 3, 23), (24, 1, 24)];
/// The underlay's port; its frames are those of tunnels.
pub(crate) const UNDERLAY: u32 = 9;
/// This one's frames are left to the switch, both ways.
const SLOW: u32 = 7;
/// This one takes no redirected frames.
pub(crate) const CLOSED: u32 = 8;
/// This one may send from anything.
const OPEN: u32 = 6;

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) image: Memory,
    /// By port key, from 1.
    pub(crate) ports: Vec<IfIndex>,
}

pub(crate) fn station_mac(key: u32) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, u8::try_from(key).unwrap()])
}

pub(crate) fn router_mac(network: u32) -> MacAddr {
    MacAddr([2, 0, 0, 0xff, 0, u8::try_from(network).unwrap()])
}

fn v4(network: u32, last: u8) -> IpAddr {
    let net = if network == 3 { 1 } else { network };
    Ipv4Addr::new(10, 0, u8::try_from(net).unwrap(), last).into()
}

fn v6(network: u32, last: u8) -> IpAddr {
    let net = if network == 3 { 1 } else { network };
    Ipv6Addr::new(0xfd00, 0, 0, u16::try_from(net).unwrap(), 0, 0, 0, last.into()).into()
}

/// Enters a namespace of its own, with one interface for each port.
pub(crate) fn interfaces() -> Result<Vec<IfIndex>> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    let add = |key: u32| {
        let name = format!("port{key}");
        let peer = format!("peer{key}");
        let words = ["link", "add", &name, "type", "veth", "peer", "name", &peer];
        let done = Command::new("ip").args(words).status()?;
        ensure!(done.success(), "cannot add {name}");
        Ok(IfIndex(if_nametoindex(name.as_str())?))
    };
    (1..=UNDERLAY).map(add).collect()
}

pub(crate) fn world(ports: Vec<IfIndex>) -> Result<World> {
    let mut tables = Tables::default();
    let mut routes = Vec::new();
    for (network, mtu) in [(1, 1500), (2, 1400), (3, 1500)] {
        tables.entry.networks.insert(NetworkKey(network), Network { mtu, slow: false });
        let id = RouterPortId(network);
        let vrf = VrfId::new(if network == 3 { 2 } else { 1 })?;
        let port =
            RouterPort { mac: router_mac(network), network: NetworkKey(network), vrf, mtu, slow: false };
        tables.entry.router_ports.insert(id, port);
        for ip in [v4(network, 1), v6(network, 1)] {
            routes.push(Route { vrf, prefix: Prefix::host(ip), next: NextHop::Router(id) });
            tables.entry.neighbours.insert((NetworkKey(network), ip), Neighbour::Router(id));
            let len = if ip.is_ipv4() { 24 } else { 64 };
            let subnet = Prefix::from(ipnet::IpNet::new(ip, len)?);
            routes.push(Route { vrf, prefix: subnet, next: NextHop::Unreachable });
        }
        for (key, _, last) in STATIONS.iter().filter(|(_, on, _)| *on == network) {
            station(&mut tables, &ports, *key, network, *last, mtu);
            for ip in [v4(network, *last), v6(network, *last)] {
                let next = NextHop::Adjacency(AdjacencyId(*key));
                routes.push(Route { vrf, prefix: Prefix::host(ip), next });
            }
        }
    }
    underlay(&mut tables, &mut routes, &ports)?;
    let member = |key: u32| Member { key: key * 7919, adjacency: AdjacencyId(key) };
    tables.groups.insert(GroupId(1), EcmpGroup::new([1, 2, 3].map(member)));
    for (vrf, prefix, next) in [
        (1, "0.0.0.0/0", NextHop::Ecmp(GroupId(1))),
        (1, "::/0", NextHop::Ecmp(GroupId(1))),
        (1, "172.16.0.0/12", NextHop::OtherVrf(VrfId::new(2)?)),
        (1, "192.168.0.0/16", NextHop::Blackhole),
        // In circles.
        (1, "172.30.0.0/16", NextHop::OtherVrf(VrfId::new(3)?)),
        (3, "172.30.0.0/16", NextHop::OtherVrf(VrfId::new(1)?)),
        (2, "172.16.0.0/16", NextHop::Adjacency(AdjacencyId(5))),
        (2, "fd00:0:0:2::/64", NextHop::OtherVrf(VrfId::new(1)?)),
    ] {
        routes.push(Route { vrf: VrfId::new(vrf)?, prefix: prefix.parse()?, next });
    }
    let image = build_with(routes, &tables, Options { table_seed: 42, ..Options::default() })?;
    Ok(World { image, ports })
}

fn station(tables: &mut Tables, ports: &[IfIndex], key: u32, network: u32, last: u8, mtu: u16) {
    let Entry { ports: all, stations, neighbours, bindings, .. } = &mut tables.entry;
    let (port, id) = (PortKey(key), AdjacencyId(key));
    let record = Port {
        ifindex: ports.get(key as usize - 1).copied(),
        ofport: None,
        network: Some(NetworkKey(network)),
        secured: key != OPEN,
        slow: key == SLOW,
    };
    all.insert(port, record);
    let adjacency = Adjacency {
        dst_mac: station_mac(key),
        src_mac: router_mac(network),
        egress: Egress::Local { port },
        mtu,
        network: NetworkKey(network),
    };
    tables.adjacencies.insert(id, adjacency);
    stations.insert((NetworkKey(network), station_mac(key)), id);
    let addresses = [v4(network, last), v6(network, last)];
    for ip in addresses {
        neighbours.insert((NetworkKey(network), ip), Neighbour::Station(id));
    }
    let mut allowed: Vec<Prefix> = addresses.map(Prefix::host).into();
    if key == 2 {
        // An address pair of a whole prefix.
        allowed.push("10.9.0.0/16".parse().unwrap());
    }
    bindings.insert((port, station_mac(key)), allowed);
}

/// The other chassis: 192.0.2.2 by VXLAN, 192.0.2.3 by GRE, and 192.0.2.4, whose MAC nobody knows.
fn underlay(tables: &mut Tables, routes: &mut Vec<Route>, ports: &[IfIndex]) -> Result<()> {
    let uplink = ports.get(UNDERLAY as usize - 1).copied();
    let port = Port {
        ifindex: Some(datapath::underlay::INTERFACE),
        ofport: None,
        network: None,
        secured: false,
        slow: false,
    };
    tables.entry.ports.insert(PortKey(UNDERLAY), port);
    let local: IpAddr = Ipv4Addr::new(192, 0, 2, 1).into();
    tables.entry.tunnel_ends.insert(local);
    for (vtep, kind, udp_port) in [(2, TunnelKind::Vxlan, 4789), (3, TunnelKind::Gre, 0)] {
        let path = TunnelPath {
            local,
            udp_port,
            ifindex: uplink.unwrap(),
            outer_dst: MacAddr([2, 0, 0, 0, 1, vtep]),
            outer_src: MacAddr([2, 0, 0, 0, 1, 1]),
        };
        tables.entry.tunnels.insert((Ipv4Addr::new(192, 0, 2, vtep).into(), kind), path);
    }
    for (id, network, last) in REMOTE {
        let (vtep, kind) = match id {
            22 => (3, TunnelKind::Gre),
            24 => (4, TunnelKind::Vxlan),
            _ => (2, TunnelKind::Vxlan),
        };
        let vni = Vni::new(70_000 + u64::from(network))?;
        let adjacency = Adjacency {
            dst_mac: station_mac(id),
            src_mac: router_mac(network),
            egress: Egress::Tunnel { vtep: Ipv4Addr::new(192, 0, 2, vtep).into(), kind, vni },
            mtu: 1400,
            network: NetworkKey(network),
        };
        tables.adjacencies.insert(AdjacencyId(id), adjacency);
        tables.entry.stations.insert((NetworkKey(network), station_mac(id)), AdjacencyId(id));
        for ip in [v4(network, last), v6(network, last)] {
            tables.entry.neighbours.insert((NetworkKey(network), ip), Neighbour::Station(AdjacencyId(id)));
            let vrf = VrfId::new(if network == 3 { 2 } else { 1 })?;
            let next = NextHop::Adjacency(AdjacencyId(id));
            routes.push(Route { vrf, prefix: Prefix::host(ip), next });
        }
    }
    for network in [1, 2, 3] {
        let vni = Vni::new(70_000 + u64::from(network))?;
        let kind = if network == 2 { TunnelKind::Gre } else { TunnelKind::Vxlan };
        tables.entry.segments.insert(Segment::Tunnel { kind, vni }, NetworkKey(network));
    }
    Ok(())
}

/// A frame with the headers that another chassis puts before it.
fn tunnelled(chance: &mut Chance, frame: &[u8]) -> Vec<u8> {
    let vtep = |last| Ipv4Addr::new(192, 0, 2, last);
    let dst = if chance.one_in(16) { vtep(9) } else { vtep(1) };
    let net = Ip { ends: Ends::V4 { src: vtep(2), dst }, hop_limit: 64, tos: 0 };
    let link = Link::untagged(MacAddr([2, 0, 0, 0, 1, 2]), MacAddr([2, 0, 0, 0, 1, 1]));
    let network = 70_000 + u32::try_from(chance.below(5)).unwrap();
    if chance.one_in(2) {
        let mut data = vec![8, 0, 0, 0];
        data.extend_from_slice(&(network << 8).to_be_bytes());
        data.extend_from_slice(frame);
        let mut outer = build::udp(&link, &net, 40_000, 4789, &data);
        if !chance.one_in(16) {
            outer[40..42].fill(0);
        }
        outer
    } else {
        let mut data = vec![0x20, 0, 0x65, 0x58];
        data.extend_from_slice(&network.to_be_bytes());
        data.extend_from_slice(frame);
        build::ip(&link, &net, 47, &data)
    }
}

/// A frame, and the port (from 1) that it comes in by.
pub(crate) fn frame(chance: &mut Chance) -> (u32, Vec<u8>) {
    let (mut key, network, last) = *chance.pick(&STATIONS);
    let mut frame = base(chance, key, network, last);
    if chance.one_in(6) {
        frame[..6].copy_from_slice(&station_mac(chance.pick(&STATIONS).0).0);
        (key, frame) = (UNDERLAY, tunnelled(chance, &frame));
    }
    match chance.below(8) {
        // Broken: a byte, a few bytes, an end.
        0 => {
            let at = usize::try_from(chance.below(frame.len() as u64)).unwrap();
            frame[at] ^= 1 << chance.below(8);
        }
        1 => {
            for _ in 0..3 {
                let at = usize::try_from(chance.below(frame.len().min(60) as u64)).unwrap();
                frame[at] = u8::try_from(chance.below(256)).unwrap();
            }
        }
        2 => frame.truncate(14 + usize::try_from(chance.below(frame.len() as u64 - 13)).unwrap()),
        4 if chance.one_in(8) => _ = frame.splice(12..12, [0x81, 0, 0, 5]),
        3 => frame.resize(frame.len() + usize::try_from(chance.below(60)).unwrap(), 0x55),
        _ => {}
    }
    (key, frame)
}

fn base(chance: &mut Chance, key: u32, network: u32, last: u8) -> Vec<u8> {
    let is_v6 = chance.one_in(2);
    let ip = |network, last| if is_v6 { v6(network, last) } else { v4(network, last) };
    let other = if chance.one_in(4) { *chance.pick(&REMOTE) } else { *chance.pick(&STATIONS) };
    let src_mac = if chance.one_in(30) { station_mac(other.0) } else { station_mac(key) };
    let src = match chance.below(30) {
        0 => ip(other.1, other.2),
        1 if !is_v6 => Ipv4Addr::new(10, 9, 1, 2).into(),
        2 if is_v6 => "fe80::1".parse().unwrap(),
        _ => ip(network, last),
    };
    let dst = destination(chance, is_v6, other.1, other.2);
    match (chance.below(6), src, dst) {
        (0, IpAddr::V4(src), IpAddr::V4(dst)) => {
            let target = if chance.one_in(8) { src } else { dst };
            return build::arp_request(src_mac, src, target);
        }
        (0, IpAddr::V6(src), IpAddr::V6(dst)) => return build::nd_solicit(src_mac, src, dst),
        _ => {}
    }
    let dst_mac = match chance.below(8) {
        0 => station_mac(other.0),
        1 => station_mac(key),
        2 => *chance.pick(&[MacAddr::BROADCAST, MacAddr([2, 9, 9, 9, 9, 9]), router_mac(other.1)]),
        _ => router_mac(network),
    };
    let link = Link::untagged(src_mac, dst_mac);
    let ends = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => Ends::V4 { src, dst },
        (IpAddr::V6(src), IpAddr::V6(dst)) => Ends::V6 { src, dst },
        _ => unreachable!("both of one family"),
    };
    let ttl = if chance.one_in(4) { u8::try_from(chance.below(5)).unwrap() } else { 64 };
    let net = Ip { ends, hop_limit: ttl, tos: 0 };
    let long = if chance.one_in(8) { 1380 } else { 0 };
    let data = vec![0xab; long + usize::try_from(chance.below(100)).unwrap()];
    let port = |chance: &mut Chance| u16::try_from(chance.below(65_536)).unwrap();
    let mut frame = match chance.below(4) {
        0 => build::echo(&link, &net, EchoKind::Request, 7, 1, &data),
        1 => build::ip(&link, &net, 6, &tcp(chance, &data)),
        _ => build::udp(&link, &net, port(chance), port(chance), &data),
    };
    odd_header(chance, is_v6, &mut frame);
    frame
}

fn destination(chance: &mut Chance, is_v6: bool, network: u32, last: u8) -> IpAddr {
    if is_v6 {
        return match chance.below(10) {
            0 => v6(network, 1),
            1 => v6(network, 99),
            2 => *chance.pick(
                &["2001:db8::1", "fe80::1", "ff02::1", "fd00:0:0:3::1"].map(|text| text.parse().unwrap()),
            ),
            3 => Ipv6Addr::from_bits(0x2001_u128 << 112 | u128::from(chance.next())).into(),
            _ => v6(network, last),
        };
    }
    match chance.below(10) {
        0 => v4(network, 1),
        1 => v4(network, 99),
        2 => *chance.pick(
            &["172.16.0.9", "172.30.0.9", "172.17.0.9", "192.168.1.1", "224.0.0.1", "127.0.0.1"]
                .map(|text| text.parse().unwrap()),
        ),
        3 => Ipv4Addr::from_bits(u32::try_from(chance.below(1 << 32)).unwrap()).into(),
        _ => v4(network, last),
    }
}

fn tcp(chance: &mut Chance, data: &[u8]) -> Vec<u8> {
    let mut segment: Vec<u8> = (0..20).map(|_| u8::try_from(chance.below(256)).unwrap()).collect();
    if !chance.one_in(4) {
        segment[12] = 0x50;
    }
    segment.extend_from_slice(data);
    segment
}

/// Sometimes: options, fragments, extension headers. Checksums need not be right: no router looks at them.
fn odd_header(chance: &mut Chance, is_v6: bool, frame: &mut Vec<u8>) {
    match (chance.below(16), is_v6) {
        (0, false) => {
            frame.splice(34..34, [1_u8; 8]);
            frame[14] = 0x47;
            let len = u16::try_from(frame.len() - 14).unwrap();
            frame[16..18].copy_from_slice(&len.to_be_bytes());
        }
        (1, false) => frame[20] = 0x20,
        (2, false) => frame[21] = 5,
        (0, true) => frame[20] = *chance.pick(&[0, 43, 44, 51, 60]),
        _ => {}
    }
}
