//! A port: on its own chassis what it may send and how it is reached, on others where it is.

use super::network::{present, tunnel_to};
use crate::{
    compile::{chassis::Chassis, slice::Presence, view::View, view::claimed},
    model::{Network, ObjectKey, Port, PortId, Record, Router},
    pipeline::{
        Sink,
        lr_in::{self, Adjacency, Target},
        ls_in,
    },
};
use ipnet::IpNet;
use packet::{MacAddr, OfPort};
use std::{collections::BTreeSet, net::IpAddr};

pub(super) fn compile(view: &View, chassis: &Chassis, key: ObjectKey, id: &PortId, sink: &mut Sink) {
    let Some(record) = view.model().ports.get(id).filter(|port| port.key == key) else { return };
    let port = &record.spec;
    let Some(network) = view.model().networks.get(&port.network) else { return };
    let Some((network, presence)) = present(view, chassis, network.key, &network.spec.id) else { return };
    // Nobody can send to a port that is bound nowhere; its addresses are refused like those that nobody has.
    let Some(binding) = &port.chassis else { return };

    if *binding == chassis.id {
        if let Some(ofport) = chassis.local.ports.get(id) {
            local(sink, *ofport, port, network.key.0);
        }
    } else if let Some(tunnel) = tunnel_to(view, chassis, network, binding) {
        ls_in::tunnel(sink, network.key.0, port.mac, tunnel);
    }
    if presence == Presence::Local {
        answers(view, sink, port, network);
    }
    host_routes(view, chassis, sink, port, network);
}

/// What a port that is plugged in here may send, and that it is here.
fn local(sink: &mut Sink, ofport: OfPort, port: &Port, net: u32) {
    if port.port_security {
        security(sink, ofport, port, net);
    } else {
        ls_in::admit_port(sink, ofport, None, net);
    }
    for (ip, _) in claimed(port) {
        ls_in::let_announce(sink, ofport, ip);
    }
    ls_in::deliver(sink, net, port.mac, ofport);
}

fn security(sink: &mut Sink, ofport: OfPort, port: &Port, net: u32) {
    let pairs = port.allowed_address_pairs.iter().map(|pair| (pair.mac.unwrap_or(port.mac), pair.ip));
    let own = port.fixed_ips.iter().map(|fixed| (port.mac, IpNet::from(fixed.ip)));
    let mut allowed: BTreeSet<(MacAddr, IpNet)> = own.chain(pairs).collect();
    let macs: BTreeSet<MacAddr> = allowed.iter().map(|(mac, _)| *mac).chain([port.mac]).collect();
    let speaks_v6: BTreeSet<MacAddr> =
        allowed.iter().filter(|(_, ip)| matches!(ip, IpNet::V6(_))).map(|(mac, _)| *mac).collect();
    for mac in &speaks_v6 {
        allowed.insert((*mac, IpAddr::from(ls_in::link_local(*mac)).into()));
        ls_in::allow_solicitation(sink, ofport, *mac);
    }
    for mac in &macs {
        ls_in::admit_port(sink, ofport, Some(*mac), net);
    }
    for (mac, ip) in allowed {
        ls_in::allow_address(sink, ofport, mac, macs.len() > 1, ip);
    }
}

/// Who asks for an address of the port is told its MAC, which for a shared one is not the port's.
fn answers(view: &View, sink: &mut Sink, port: &Port, network: &Record<Network>) {
    let mut speaks_v6 = false;
    for (ip, mac) in stations(view, port) {
        speaks_v6 |= ip.is_ipv6();
        ls_in::answer(sink, network.key.0, ip, mac, false);
    }
    if speaks_v6 {
        ls_in::answer(sink, network.key.0, ls_in::link_local(port.mac).into(), port.mac, false);
    }
}

/// Every router of the chassis with an interface on a subnet of the port leads to it.
fn host_routes(view: &View, chassis: &Chassis, sink: &mut Sink, port: &Port, network: &Record<Network>) {
    for (ip, mac) in stations(view, port) {
        let subnets = view.subnets_on(&network.spec.id).filter(|subnet| subnet.spec.cidr.contains(&ip));
        for router in subnets.flat_map(|subnet| view.routers_on_subnet(&subnet.spec.id)) {
            let leg = view.legs(router).find(|leg| leg.cidr.contains(&ip) && leg.network.key == network.key);
            let Some(leg) = leg.filter(|_| chassis.slice.routers.contains(&router.spec.id)) else { continue };
            if leg.ip == ip || is_overridden(&router.spec, leg.cidr, ip) {
                continue;
            }
            let next = Adjacency { net: network.key.0, src_mac: leg.mac, dst_mac: mac, vrf: None };
            lr_in::route(sink, router.key.0, ip.into(), &Target::Adjacency(next));
        }
    }
}

/// The addresses that lead to this port, each with its MAC; of those that ports share, the ones that it stands for.
fn stations(view: &View, port: &Port) -> impl Iterator<Item = (IpAddr, MacAddr)> {
    claimed(port).filter_map(|(ip, _)| {
        let station = view.station(&port.network, ip)?;
        (station.port.spec.id == port.id).then_some((ip, station.mac))
    })
}

/// A route that an operator wrote for part of an attached subnet beats the subnet (longest prefix), so the addresses
/// in that part are not looked for on the link.
fn is_overridden(router: &Router, subnet: IpNet, ip: IpAddr) -> bool {
    let beats = |to: &IpNet| to.prefix_len() > subnet.prefix_len() && to.contains(&ip);
    router.routes.iter().any(|route| beats(&route.destination))
}
