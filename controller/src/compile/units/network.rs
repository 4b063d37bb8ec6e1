//! A network on a chassis: how frames come in from other chassis, and how copies go to everybody.

use crate::{
    compile::{
        chassis::{Chassis, TunnelType},
        slice::Presence,
        view::View,
    },
    model::{Network, NetworkId, ObjectKey, Record, Segment},
    pipeline::{
        Sink, UnitId,
        ls_in::{self, Flood, Tunnel},
        ls_out, macs,
    },
};
use openflow::Action;
use packet::{MacAddr, OfPort, VlanId};
use std::collections::BTreeSet;

pub(super) fn compile(view: &View, chassis: &Chassis, key: ObjectKey, id: &NetworkId, sink: &mut Sink) {
    let Some((network, presence)) = present(view, chassis, key, id) else { return };
    let net = network.key.0;
    let physical = physical(chassis, &network.spec.segment);
    if let (Some((patch, _)), Some(own)) = (physical, view.chassis_key(&chassis.id)) {
        let (_, vlan) = physical.unwrap_or((patch, None));
        ls_out::provider(sink, net, patch, vlan, macs::chassis(own));
    }
    if presence == Presence::Local {
        if let (Some(tunnel), Some(vni)) = (tunnel_port(chassis, &network.spec), network.spec.segment.vni()) {
            ls_in::admit_tunnel(sink, tunnel, vni, net);
        }
        if let Some((patch, vlan)) = physical {
            ls_in::admit_provider(sink, patch, vlan, net, only_router_mac(view, id));
        }
    }
    let slices: BTreeSet<u16> = tunnel_slices(view, chassis, network);
    let flood = Flood {
        ports: chassis.floods.get(id).map(|slices| slices.keys().copied().collect()).unwrap_or_default(),
        tunnels: slices.into_iter().collect(),
        vni: network.spec.segment.vni(),
        provider: physical.is_some(),
        unknown_unicast: view.has_open_ports(id),
    };
    ls_in::flood(sink, net, &flood);
}

pub(super) fn flood_ports(view: &View, chassis: &Chassis, unit: UnitId, id: &NetworkId, sink: &mut Sink) {
    let Some((network, _)) = present(view, chassis, unit.object, id) else { return };
    let ports = chassis.floods.get(id).and_then(|slices| slices.get(&unit.part));
    if let Some(ports) = ports.filter(|ports| !ports.is_empty()) {
        let copies = ports.iter().map(|port| Action::output(*port)).collect();
        ls_out::slice(sink, network.key.0, unit.part.into(), copies);
    }
}

pub(super) fn flood_tunnels(view: &View, chassis: &Chassis, unit: UnitId, id: &NetworkId, sink: &mut Sink) {
    let Some((network, _)) = present(view, chassis, unit.object, id) else { return };
    let remotes = remotes(view, chassis, network).filter(|(slice, _)| *slice == unit.part);
    let copies: Vec<Action> = remotes.flat_map(|(_, tunnel)| tunnel.send()).collect();
    if !copies.is_empty() {
        ls_out::slice(sink, network.key.0, ls_out::TUNNEL_SLICE | u32::from(unit.part), copies);
    }
}

/// The network, if it is the one that the unit was made for and the chassis must know it.
pub(super) fn present<'a>(
    view: &'a View,
    chassis: &Chassis,
    key: ObjectKey,
    id: &NetworkId,
) -> Option<(&'a Record<Network>, Presence)> {
    let network = view.model().networks.get(id).filter(|network| network.key == key)?;
    Some((network, *chassis.slice.networks.get(id)?))
}

/// The slices that the tunnels of a network fall into.
pub(super) fn tunnel_slices(view: &View, chassis: &Chassis, network: &Record<Network>) -> BTreeSet<u16> {
    remotes(view, chassis, network).map(|(slice, _)| slice).collect()
}

/// The slice of a flood that the tunnel to a chassis belongs to: by the chassis' key.
pub(in crate::compile) fn tunnel_slice(key: ObjectKey) -> u16 {
    u16::try_from(key.0 / ls_out::SLICE_SIZE).unwrap_or(u16::MAX)
}

/// The other chassis that have ports of a network, with the way to each.
fn remotes<'a>(
    view: &'a View,
    chassis: &'a Chassis,
    network: &'a Record<Network>,
) -> impl Iterator<Item = (u16, Tunnel)> + 'a {
    let others = view.chassis_of(&network.spec.id).filter(|other| **other != chassis.id);
    others.filter_map(|other| {
        Some((tunnel_slice(view.chassis_key(other)?), tunnel_to(view, chassis, network, other)?))
    })
}

/// The way to another chassis for frames of a network.
pub(super) fn tunnel_to(
    view: &View,
    chassis: &Chassis,
    network: &Record<Network>,
    other: &crate::model::ChassisId,
) -> Option<Tunnel> {
    Some(Tunnel {
        port: tunnel_port(chassis, &network.spec)?,
        vni: network.spec.segment.vni()?,
        vtep: chassis.vtep(view, other)?,
    })
}

fn tunnel_port(chassis: &Chassis, network: &Network) -> Option<OfPort> {
    chassis.local.tunnels.get(&TunnelType::of(&network.segment)?).copied()
}

/// The patch port to the physical network, and the tag there.
fn physical(chassis: &Chassis, segment: &Segment) -> Option<(OfPort, Option<VlanId>)> {
    let patch = *chassis.local.patches.get(segment.physical_network()?)?;
    match segment {
        Segment::Vlan { id, .. } => Some((patch, Some(*id))),
        Segment::Flat { .. } => Some((patch, None)),
        Segment::Vxlan { .. } | Segment::Gre { .. } | Segment::Geneve { .. } => None,
    }
}

/// The MAC of the routers on a network, if it is one.
fn only_router_mac(view: &View, id: &NetworkId) -> Option<MacAddr> {
    let legs = view.routers_on(id).flat_map(|router| view.legs(router));
    let macs: BTreeSet<MacAddr> = legs.filter(|leg| leg.network.spec.id == *id).map(|leg| leg.mac).collect();
    macs.first().copied().filter(|_| macs.len() == 1)
}
