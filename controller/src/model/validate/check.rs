//! The rules.

use super::{
    Index, View,
    fault::{Fault, Problem, reserved},
    index::SegmentKey,
};
use crate::model::{
    Chassis, Network, Object, ObjectId, Port, Router, RouterInterface, StaticRoute, Subnet, SubnetId,
};
use ipnet::IpNet;
use packet::MacAddr;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// Most next hops of a route: what one `select` group of the pipeline holds.
const NEXT_HOPS: usize = 64;
/// Longest name of a network device in Linux (IFNAMSIZ - 1).
const DEVICE_NAME: usize = 15;

/// What is wrong with the changed objects of a view, and with those that the changes touch, in order of object.
/// `index` must be that of the view, changes included. A deletion breaks no rule: only what was put is looked at.
pub fn check(view: &View<'_>, index: &Index) -> Vec<Problem> {
    let mut touched: BTreeSet<ObjectId> = view.put().map(Object::id).collect();
    for object in view.put().filter(|object| matches!(object, Object::Subnet(_))) {
        // Addresses of ports and routers are judged by their subnet.
        touched.extend(index.referrers(&object.id()).cloned());
    }
    let problem = |object: ObjectId| {
        let faults = faults(view, index, &object);
        faults.into_iter().map(move |fault| Problem { object: object.clone(), fault })
    };
    touched.into_iter().flat_map(problem).collect()
}

fn faults(view: &View<'_>, index: &Index, me: &ObjectId) -> Vec<Fault> {
    let context = Context { view, index, me };
    let mut faults = Vec::new();
    match me {
        ObjectId::Chassis(id) => view.chassis(id).into_iter().for_each(|o| context.chassis(o, &mut faults)),
        ObjectId::Network(id) => view.network(id).into_iter().for_each(|o| context.network(o, &mut faults)),
        ObjectId::Subnet(id) => view.subnet(id).into_iter().for_each(|o| context.subnet(o, &mut faults)),
        ObjectId::Port(id) => view.port(id).into_iter().for_each(|o| context.port(o, &mut faults)),
        ObjectId::Router(id) => view.router(id).into_iter().for_each(|o| context.router(o, &mut faults)),
        // Kept for whoever makes use of them, who will know what they may be.
        ObjectId::FloatingIp(_) | ObjectId::SecurityGroup(_) | ObjectId::AddressGroup(_) => {}
    }
    faults
}

/// One object and what is around it.
struct Context<'a> {
    view: &'a View<'a>,
    index: &'a Index,
    me: &'a ObjectId,
}

impl Context<'_> {
    fn chassis(&self, chassis: &Chassis, faults: &mut Vec<Fault>) {
        for (i, ip) in chassis.encap_ips.iter().enumerate() {
            let before = chassis.encap_ips.get(..i).unwrap_or_default();
            if before.contains(ip) {
                faults.push(Fault::EncapTwice(*ip));
            } else if let Some(other) = before.iter().find(|other| other.is_ipv4() == ip.is_ipv4()) {
                faults.push(Fault::EncapFamily(*other, *ip));
            }
            let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
            if ip.is_unspecified() || ip.is_multicast() || broadcast {
                faults.push(Fault::EncapUnusable(*ip));
            }
            if let Some(other) = self.index.other_with_encap(*ip, self.me) {
                faults.push(Fault::EncapTaken { ip: *ip, other: other.clone() });
            }
        }
        let mut bridges = BTreeMap::new();
        for (physical, bridge) in &chassis.bridge_mappings {
            if !is_device_name(bridge) {
                faults.push(Fault::BridgeName { physical_network: physical.clone(), bridge: bridge.clone() });
            }
            if let Some(other) = bridges.insert(bridge, physical) {
                faults.push(Fault::BridgeTwice(other.clone(), physical.clone(), bridge.clone()));
            }
        }
    }

    fn network(&self, network: &Network, faults: &mut Vec<Fault>) {
        if let Some(mtu) = network.mtu.filter(|mtu| !(576..=9216).contains(mtu)) {
            faults.push(Fault::Mtu(mtu));
        }
        let key = SegmentKey::of(network);
        if let Some(other) = self.index.other_on_segment(&key, self.me) {
            faults.push(Fault::SegmentTaken { segment: key.to_string(), other: other.clone() });
        }
    }

    fn subnet(&self, subnet: &Subnet, faults: &mut Vec<Fault>) {
        let cidr = subnet.cidr;
        if cidr != cidr.trunc() {
            faults.push(Fault::HostBits { field: "cidr", block: cidr });
        } else if !is_for_hosts(&cidr) {
            faults.push(Fault::CidrUnusable(cidr));
        }
        if let Some(ip) = subnet.gateway_ip {
            faults.extend(router_placement("gateway_ip", ip, subnet));
        }
        let siblings = self.index.subnets_of(&subnet.network).filter(|id| **id != subnet.id);
        for sibling in siblings.filter_map(|id| self.view.subnet(id)) {
            if overlap(&cidr, &sibling.cidr) {
                faults.push(Fault::OverlapOnNetwork {
                    cidr,
                    other: sibling.id.clone(),
                    other_cidr: sibling.cidr,
                    network: subnet.network.clone(),
                });
            }
        }
    }

    fn port(&self, port: &Port, faults: &mut Vec<Fault>) {
        if !port.mac.is_unicast() {
            faults.push(Fault::MacUnusable(port.mac));
        } else if let Some(other) = self.index.other_with_mac(&port.network, port.mac, self.me) {
            faults.push(Fault::MacTaken {
                mac: port.mac,
                network: port.network.clone(),
                other: other.clone(),
            });
        }
        let mut seen = BTreeSet::new();
        for fixed in &port.fixed_ips {
            if !seen.insert(fixed.ip) {
                faults.push(Fault::FixedIpTwice(fixed.ip));
            }
            let subnet = self.view.subnet(&fixed.subnet);
            if let Some(subnet) = subnet {
                faults.extend(placement("fixed ip", fixed.ip, subnet));
            }
            if let Some(subnet) = subnet.filter(|subnet| subnet.network != port.network) {
                faults.push(Fault::SubnetElsewhere {
                    ip: fixed.ip,
                    subnet: subnet.id.clone(),
                    actual: subnet.network.clone(),
                    network: port.network.clone(),
                });
            }
            faults.extend(self.taken(fixed.ip, &fixed.subnet));
        }
        for pair in &port.allowed_address_pairs {
            if pair.ip != pair.ip.trunc() {
                faults.push(Fault::HostBits { field: "allowed_address_pairs", block: pair.ip });
            }
            if let Some(mac) = pair.mac.filter(|mac| !mac.is_unicast()) {
                faults.push(Fault::MacUnusable(mac));
            }
        }
    }

    fn router(&self, router: &Router, faults: &mut Vec<Fault>) {
        let mut legs = Vec::new();
        let mut seen = BTreeSet::new();
        for interface in &router.interfaces {
            if !seen.insert(&interface.subnet) {
                faults.push(Fault::InterfaceTwice(interface.subnet.clone()));
            }
            let subnet = self.view.subnet(&interface.subnet);
            let ip = interface.ip.or_else(|| subnet.and_then(|subnet| subnet.gateway_ip));
            faults.extend(ip.and_then(|ip| self.taken(ip, &interface.subnet)));
            if let Some(subnet) = subnet {
                match (ip, interface.ip) {
                    (None, _) => faults.push(Fault::NoInterfaceIp(subnet.id.clone())),
                    (Some(_), Some(ip)) => faults.extend(router_placement("interface ip", ip, subnet)),
                    // A wrong gateway address is the subnet's fault.
                    (Some(_), None) => {}
                }
                legs.push((subnet, ip));
            }
            faults.extend(interface.mac.and_then(|mac| self.interface_mac(interface, mac)));
        }
        faults.extend(overlap_of_legs(legs.iter().map(|(subnet, _)| *subnet)));
        let outside = router.gateway.iter().flat_map(|gateway| &gateway.fixed_ips);
        for fixed in outside.clone() {
            if let Some(subnet) = self.view.subnet(&fixed.subnet) {
                faults.extend(router_placement("gateway ip", fixed.ip, subnet));
                legs.push((subnet, Some(fixed.ip)));
            }
        }
        let complete = legs.len() == router.interfaces.len() + outside.count();
        let mut destinations = BTreeSet::new();
        for route in &router.routes {
            if !destinations.insert(route.destination) {
                faults.push(Fault::RouteTwice(route.destination));
            }
            check_route(route, &legs, complete, faults);
        }
    }

    /// Another object that has the address: one that names it, or a router that takes it as the gateway's.
    fn taken(&self, ip: IpAddr, subnet: &SubnetId) -> Option<Fault> {
        let gateway = self.view.subnet(subnet).and_then(|subnet| subnet.gateway_ip);
        let at_gateway = || self.index.other_at_gateway(subnet, self.me).filter(|_| gateway == Some(ip));
        let other = self.index.other_with_ip(subnet, ip, self.me).or_else(at_gateway)?;
        Some(Fault::IpTaken { ip, subnet: subnet.clone(), other: other.clone() })
    }

    fn interface_mac(&self, interface: &RouterInterface, mac: MacAddr) -> Option<Fault> {
        if !mac.is_unicast() {
            return Some(Fault::MacUnusable(mac));
        }
        let network = &self.view.subnet(&interface.subnet)?.network;
        let other = self.index.other_with_mac(network, mac, self.me)?;
        Some(Fault::MacTaken { mac, network: network.clone(), other: other.clone() })
    }
}

/// `complete`: every subnet of the router is there, so that a next hop that is on none of them never will be.
fn check_route(
    route: &StaticRoute,
    legs: &[(&Subnet, Option<IpAddr>)],
    complete: bool,
    faults: &mut Vec<Fault>,
) {
    let destination = route.destination;
    if destination != destination.trunc() {
        faults.push(Fault::HostBits { field: "route destination", block: destination });
    }
    let count = route.next_hops.len();
    if count == 0 {
        faults.push(Fault::NoNextHops(destination));
    } else if count > NEXT_HOPS {
        faults.push(Fault::NextHopsTooMany { destination, count });
    }
    let mut seen = BTreeSet::new();
    for &next_hop in &route.next_hops {
        let on_link = legs.iter().any(|(subnet, _)| subnet.cidr.contains(&next_hop));
        if !seen.insert(next_hop) {
            faults.push(Fault::NextHopTwice { destination, next_hop });
        } else if next_hop.is_ipv4() != destination.addr().is_ipv4() {
            faults.push(Fault::NextHopFamily { destination, next_hop });
        } else if legs.iter().any(|(_, ip)| *ip == Some(next_hop)) {
            faults.push(Fault::NextHopOwn { destination, next_hop });
        } else if complete && !on_link {
            faults.push(Fault::NextHopOffLink { destination, next_hop });
        }
    }
}

/// Sorted by first address, a block that overlaps any overlaps the one before or after it: blocks nest or are apart.
fn overlap_of_legs<'a>(subnets: impl Iterator<Item = &'a Subnet>) -> Option<Fault> {
    let mut subnets: Vec<&Subnet> = subnets.collect();
    subnets.sort_by_key(|subnet| (subnet.cidr, subnet.id.clone()));
    let apart = |pair: &&[&Subnet]| match pair {
        // Twice on one subnet is another fault.
        [a, b] => a.id != b.id && overlap(&a.cidr, &b.cidr),
        _ => false,
    };
    let [a, b] = subnets.windows(2).find(apart)? else { return None };
    Some(Fault::OverlapOnRouter {
        subnet: a.id.clone(),
        cidr: a.cidr,
        other: b.id.clone(),
        other_cidr: b.cidr,
    })
}

/// The same for a router, whose address the routers' anycast address may well be: Neutron takes it as the gateway of
/// every IPv6 subnet.
fn router_placement(field: &'static str, ip: IpAddr, subnet: &Subnet) -> Option<Fault> {
    let is_anycast = matches!(subnet.cidr, IpNet::V6(cidr) if ip == IpAddr::V6(cidr.network()));
    placement(field, ip, subnet).filter(|_| !is_anycast)
}

fn placement(field: &'static str, ip: IpAddr, subnet: &Subnet) -> Option<Fault> {
    let (id, cidr) = (subnet.id.clone(), subnet.cidr);
    if !cidr.contains(&ip) {
        return Some(Fault::Outside { field, ip, subnet: id, cidr });
    }
    reserved(&cidr, ip).map(|what| Fault::Reserved { field, ip, what, subnet: id, cidr })
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

/// Neither everything nor a block whose addresses mean something else (RFC 6890, RFC 4291).
fn is_for_hosts(cidr: &IpNet) -> bool {
    let first = cidr.network();
    let link_local = match first {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    cidr.prefix_len() > 0
        && !first.is_unspecified()
        && !first.is_loopback()
        && !first.is_multicast()
        && !link_local
}

fn is_device_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_graphic() && b != b'/';
    (1..=DEVICE_NAME).contains(&name.len()) && name != "." && name != ".." && name.bytes().all(legal)
}
