//! What a packet needs before its route, from the very facts that flows are made of.

use super::{chassis::Chassis, routes::Table};
use crate::{
    model::{Network, Record},
    pipeline::{Fact, lr_in},
};
use fib::{
    Egress, Entry, Neighbour, NetworkKey, NextHop, Port, PortKey, Prefix, Route, RouterPort, RouterPortId,
    Segment, TunnelKind, TunnelPath,
};
use packet::{IfIndex, MacAddr, OfPort, VrfId};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// What stands for the underlay's interface; and its port, whose key no object of the model has.
const UNDERLAY: IfIndex = IfIndex(u32::MAX);
const UNDERLAY_PORT: PortKey = PortKey(u32::MAX);
/// RFC 7348, section 5.
const VXLAN_PORT: u16 = 4789;

/// Where routers are on networks: by network, MAC and VRF.
type Doors = BTreeMap<(u32, MacAddr, u32), RouterPortId>;

impl Table<'_> {
    /// Adds everything but routes to the tables, and the routers' own addresses to the routes.
    pub(super) fn enter(&mut self, facts: &[Fact]) {
        self.networks();
        let doors = self.router_ports(facts);
        for fact in facts {
            match *fact {
                Fact::Port { port, net, mac } => self.port(port, net, mac),
                Fact::Source { port, mac, ip } => self.source(port, mac, ip),
                Fact::Answer { net, ip, mac, router } => {
                    let neighbour = if router {
                        doors
                            .iter()
                            .find(|((on, at, _), _)| (*on, *at) == (net, mac))
                            .map(|(_, id)| Neighbour::Router(*id))
                    } else {
                        self.station(net, mac).map(Neighbour::Station)
                    };
                    if let Some(neighbour) = neighbour {
                        self.entry().neighbours.insert((NetworkKey(net), ip), neighbour);
                    }
                }
                Fact::Station { net, mac } => {
                    if let Some(adjacency) = self.station(net, mac) {
                        self.entry().stations.insert((NetworkKey(net), mac), adjacency);
                    }
                }
                Fact::Own { vrf, ip } => {
                    let door = doors.iter().find(|((_, _, of), _)| *of == vrf);
                    if let (Some((_, id)), Ok(vrf)) = (door, VrfId::new(vrf.into())) {
                        self.rib.insert(Route { vrf, prefix: Prefix::host(ip), next: NextHop::Router(*id) });
                    }
                }
                // Made above, all at once; and below, when it is known who has what.
                Fact::Door { .. } | Fact::Announce { .. } => {}
            }
        }
        for fact in facts {
            if let Fact::Announce { port, ip } = *fact {
                self.announce(port, ip);
            }
        }
        // Last: what uses them is known now.
        self.tunnel_ends();
    }

    fn entry(&mut self) -> &mut Entry {
        &mut self.rib.tables.entry
    }

    fn networks(&mut self) {
        let view = self.view;
        let here = self.chassis.slice.networks.keys();
        for network in here.filter_map(|id| view.model().networks.get(id)) {
            let key = NetworkKey(network.key.0);
            let record = fib::Network { mtu: network.spec.mtu(), slow: false };
            self.entry().networks.insert(key, record);
            if let Some(segment) = tunnel_segment(network, self.chassis) {
                self.entry().segments.insert(segment, key);
            }
        }
    }

    fn tunnel_ends(&mut self) {
        let Some(own) = self.view.model().chassis.get(&self.chassis.id) else { return };
        let ends = &own.spec.encap_ips;
        let used = self.rib.tables.adjacencies.values().filter_map(|adjacency| match adjacency.egress {
            Egress::Tunnel { vtep, kind, .. } => Some((vtep, kind)),
            Egress::Local { .. } | Egress::Vlan { .. } => None,
        });
        let ways: BTreeSet<(IpAddr, TunnelKind)> = used.collect();
        for (vtep, kind) in ways {
            let Some(local) = ends.iter().copied().find(|end| end.is_ipv4() == vtep.is_ipv4()) else {
                continue;
            };
            let udp_port = if kind == TunnelKind::Vxlan { VXLAN_PORT } else { 0 };
            // By which interface and to which MAC, only the host knows.
            let (ifindex, outer_dst, outer_src) = (IfIndex(0), MacAddr::ZERO, MacAddr::ZERO);
            let path = TunnelPath { local, udp_port, ifindex, outer_dst, outer_src };
            self.entry().tunnels.insert((vtep, kind), path);
        }
        if !ends.is_empty() {
            self.entry().tunnel_ends.extend(ends.iter().copied());
            let port = Port { ifindex: Some(UNDERLAY), ..Port::default() };
            self.entry().ports.insert(UNDERLAY_PORT, port);
        }
    }

    /// Each router once for each network and MAC; slow where no packet of this chassis may enter it.
    fn router_ports(&mut self, facts: &[Fact]) -> Doors {
        let view = self.view;
        let open: BTreeSet<(u32, MacAddr, u32)> = facts
            .iter()
            .filter_map(|fact| match *fact {
                Fact::Door { net, mac, vrf } => Some((net, mac, vrf)),
                Fact::Port { .. }
                | Fact::Source { .. }
                | Fact::Answer { .. }
                | Fact::Announce { .. }
                | Fact::Station { .. }
                | Fact::Own { .. } => None,
            })
            .collect();
        let mut doors = Doors::new();
        for router in self.chassis.slice.routers.iter().filter_map(|id| view.model().routers.get(id)) {
            for leg in view.legs(router) {
                let next = RouterPortId(u32::try_from(doors.len()).unwrap_or(u32::MAX));
                let key = (leg.network.key.0, leg.mac, router.key.0);
                let Ok(vrf) = VrfId::new(router.key.0.into()) else { continue };
                let known = self.entry().networks.contains_key(&NetworkKey(key.0));
                if !known || doors.contains_key(&key) {
                    continue;
                }
                let network = NetworkKey(key.0);
                let mtu = leg.network.spec.mtu();
                let port = RouterPort { mac: leg.mac, network, vrf, mtu, slow: !open.contains(&key) };
                self.entry().router_ports.insert(next, port);
                doors.insert(key, next);
            }
        }
        doors
    }

    /// The port of an OpenFlow number, by the key of its object.
    fn key_of(&self, port: OfPort) -> Option<(PortKey, &crate::model::PortId)> {
        let id = self.chassis.plugged.get(&port)?;
        Some((PortKey(self.view.model().ports.get(id)?.key.0), id))
    }

    fn port(&mut self, port: OfPort, net: u32, mac: Option<MacAddr>) {
        let Some((key, id)) = self.key_of(port) else { return };
        let record = Port {
            ifindex: self.chassis.local.interfaces.get(id).copied(),
            ofport: Some(port),
            network: Some(NetworkKey(net)),
            secured: mac.is_some(),
            slow: false,
        };
        self.entry().ports.insert(key, record);
        // A MAC without any address is let in all the same; what it sends is checked by the switch.
        if let Some(mac) = mac {
            self.entry().bindings.entry((key, mac)).or_default();
        }
    }

    /// An address that a port claims which is not the one that has it: who asks for it is not answered here, since the
    /// question may be an announcement.
    fn announce(&mut self, port: OfPort, ip: IpAddr) {
        let Some((key, id)) = self.key_of(port) else { return };
        let network = self
            .view
            .model()
            .ports
            .get(id)
            .and_then(|port| self.view.model().networks.get(&port.spec.network));
        let Some(network) = network.map(|network| NetworkKey(network.key.0)) else { return };
        let tables = &mut self.rib.tables;
        let Some(neighbour) = tables.entry.neighbours.get(&(network, ip)) else { return };
        let is_own = match neighbour {
            Neighbour::Station(id) => {
                tables.adjacencies.get(id).is_some_and(|way| way.egress == Egress::Local { port: key })
            }
            Neighbour::Router(_) => false,
        };
        if !is_own {
            tables.entry.neighbours.remove(&(network, ip));
        }
    }

    fn source(&mut self, port: OfPort, mac: MacAddr, ip: ipnet::IpNet) {
        let Some((key, _)) = self.key_of(port) else { return };
        self.entry().bindings.entry((key, mac)).or_default().push(Prefix::from(ip));
    }

    /// The way of frames to a MAC on a network, as they are.
    fn station(&mut self, net: u32, mac: MacAddr) -> Option<fib::AdjacencyId> {
        let way = lr_in::Adjacency { net, src_mac: MacAddr::ZERO, dst_mac: mac, vrf: None };
        match self.next_hop(&way) {
            NextHop::Adjacency(id) => Some(id),
            NextHop::Ecmp(_)
            | NextHop::Unreachable
            | NextHop::Blackhole
            | NextHop::OtherVrf(_)
            | NextHop::Router(_) => None,
        }
    }
}

/// How frames of a network come from other chassis.
fn tunnel_segment(network: &Record<Network>, chassis: &Chassis) -> Option<Segment> {
    let kind = super::chassis::TunnelType::of(&network.spec.segment)?;
    chassis.local.tunnels.get(&kind)?;
    Some(Segment::Tunnel { kind: kind.into(), vni: network.spec.segment.vni()? })
}
