//! A router on a chassis: who enters it, what it answers, and every route but those to single ports.

use crate::{
    compile::{
        chassis::Chassis,
        slice::Presence,
        view::{Leg, View},
    },
    model::{ObjectKey, Record, Router, RouterId},
    pipeline::{
        Sink,
        lr_in::{self, Adjacency, Target},
        ls_in,
        punt::IcmpReason,
    },
};
use ipnet::IpNet;
use openflow::GroupId;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

pub(super) fn compile(view: &View, chassis: &Chassis, key: ObjectKey, id: &RouterId, sink: &mut Sink) {
    let Some(router) = view.model().routers.get(id).filter(|router| router.key == key) else { return };
    if !chassis.slice.routers.contains(id) {
        return;
    }
    let legs: Vec<Leg<'_>> = view.legs(router).collect();
    entrances(chassis, sink, router, &legs);
    own_addresses(sink, router, &legs);
    lengths(sink, router, &legs);
    routes(view, sink, router, &legs);
}

/// Local packets for the router's MAC enter it, and who asks for its addresses is told that MAC.
fn entrances(chassis: &Chassis, sink: &mut Sink, router: &Record<Router>, legs: &[Leg<'_>]) {
    let is_local =
        |leg: &&Leg<'_>| chassis.slice.networks.get(&leg.network.spec.id) == Some(&Presence::Local);
    let mut doors = BTreeSet::new();
    let mut answers = BTreeSet::new();
    for leg in legs.iter().filter(is_local) {
        let net = leg.network.key.0;
        doors.insert((net, leg.mac));
        answers.insert((net, leg.ip, leg.mac));
        if leg.ip.is_ipv6() {
            answers.insert((net, ls_in::link_local(leg.mac).into(), leg.mac));
        }
    }
    for (net, mac) in doors {
        lr_in::admit(sink, net, mac, router.key.0);
    }
    for (net, ip, mac) in answers {
        ls_in::answer(sink, net, ip, mac, true);
    }
}

fn own_addresses(sink: &mut Sink, router: &Record<Router>, legs: &[Leg<'_>]) {
    let link_locals = legs.iter().filter(|leg| leg.ip.is_ipv6()).map(|leg| ls_in::link_local(leg.mac).into());
    let own: BTreeSet<IpAddr> = legs.iter().map(|leg| leg.ip).chain(link_locals).collect();
    for ip in own {
        lr_in::own_address(sink, router.key.0, ip);
    }
}

/// Only where a packet can come from a network with a greater MTU must its length be looked at.
fn lengths(sink: &mut Sink, router: &Record<Router>, legs: &[Leg<'_>]) {
    let greatest = legs.iter().map(|leg| leg.network.spec.mtu()).max().unwrap_or(0);
    let smaller: BTreeMap<u32, u16> = legs
        .iter()
        .map(|leg| (leg.network.key.0, leg.network.spec.mtu()))
        .filter(|(_, mtu)| *mtu < greatest)
        .collect();
    for (net, mtu) in smaller {
        lr_in::check_length(sink, router.key.0, net, mtu);
    }
}

fn routes(view: &View, sink: &mut Sink, router: &Record<Router>, legs: &[Leg<'_>]) {
    let vrf = router.key.0;
    let attached: BTreeSet<IpNet> = legs.iter().map(|leg| leg.cidr.trunc()).collect();
    for prefix in &attached {
        lr_in::route(sink, vrf, *prefix, &Target::Refuse(IcmpReason::NoHost));
    }
    let mut groups = BTreeMap::new();
    for (prefix, hops) in static_routes(&router.spec) {
        // An attached subnet is better than a route to the same prefix.
        if attached.contains(&prefix) {
            continue;
        }
        let hops: BTreeSet<IpAddr> = hops.into_iter().collect();
        let alive: Vec<Adjacency> = hops.iter().filter_map(|hop| resolve(view, router, legs, *hop)).collect();
        let target = match alive.as_slice() {
            [] => Target::Refuse(IcmpReason::NoHost),
            [only] => Target::Adjacency(*only),
            several => group(&mut groups, router.key, several),
        };
        lr_in::route(sink, vrf, prefix, &target);
    }
    for (hops, id) in groups {
        lr_in::ecmp(sink, id, &hops);
    }
}

/// All next hops of a prefix; routes to the same prefix share it.
fn static_routes(router: &Router) -> BTreeMap<IpNet, Vec<IpAddr>> {
    let mut routes: BTreeMap<IpNet, Vec<IpAddr>> = BTreeMap::new();
    for route in &router.routes {
        routes.entry(route.destination.trunc()).or_default().extend(&route.next_hops);
    }
    routes
}

/// Routes of a router with equal next hops share a group. Groups are numbered in the order of the routes, 254 a
/// router; a route beyond that uses its first next hop.
fn group(groups: &mut BTreeMap<Vec<Adjacency>, GroupId>, router: ObjectKey, hops: &[Adjacency]) -> Target {
    let next = groups.len();
    if let Some(id) = groups.get(hops) {
        return Target::Group(*id);
    }
    match (u8::try_from(next), hops.first()) {
        (Ok(index @ 0..=253), _) => {
            let id = GroupId(router.0 << 8 | u32::from(index));
            groups.insert(hops.to_vec(), id);
            Target::Group(id)
        }
        (_, Some(first)) => Target::Adjacency(*first),
        (_, None) => Target::Refuse(IcmpReason::NoHost),
    }
}

/// The way to a next hop: a bound port, or another router, on an attached subnet.
fn resolve(view: &View, router: &Record<Router>, legs: &[Leg<'_>], hop: IpAddr) -> Option<Adjacency> {
    let leg = legs.iter().find(|leg| leg.cidr.contains(&hop))?;
    let network = leg.network;
    let via = |dst_mac, vrf| Adjacency { net: network.key.0, src_mac: leg.mac, dst_mac, vrf };
    if let Some(station) = view.station(&network.spec.id, hop) {
        return station.port.spec.chassis.is_some().then(|| via(station.mac, None));
    }
    let others = view.routers_on(&network.spec.id).filter(|other| other.spec.id != router.spec.id);
    others.into_iter().find_map(|other| {
        let door = view.legs(other).find(|leg| leg.ip == hop && leg.network.key == network.key)?;
        Some(via(door.mac, Some(other.key.0)))
    })
}
