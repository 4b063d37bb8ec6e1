//! The routing table of a chassis, from the very routes that its flows are made of.
//!
//! Everything that forwards beside the switch answers from the image that [`fib::Rib::image`] makes of this.

use super::{
    chassis::{Chassis, TunnelType},
    compiler::Compiler,
    units,
    view::View,
};
use crate::{
    model::{ChassisId, Network, ObjectKey, Port, Record, Segment},
    pipeline::{
        Category, Cookie, Sink, UnitId,
        lr_in::{self, Target},
    },
};
use fib::{
    AdjacencyId, EcmpGroup, Egress, Member, NetworkKey, NextHop, PortKey, Prefix, Rib, Route, TunnelKind,
};
use packet::{MacAddr, VrfId};
use std::collections::HashMap;

impl Compiler {
    /// All routes of a chassis, compiled anew.
    ///
    /// A way that ends nowhere, say at a port that is bound here but not plugged in, is a black hole, as it is in
    /// the switch. VRF ids are the routers' keys, [`PortKey`] is the port's key, of an uplink its OpenFlow number.
    pub fn rib(&self, id: &ChassisId) -> Option<Rib> {
        let (view, chassis) = (self.view(), self.chassis(id)?);
        let mut sink = Sink::new(Cookie { round: 0, unit: UnitId::BASE });
        for router in chassis.slice.routers.iter().filter_map(|id| view.model().routers.get(id)) {
            let unit = UnitId::whole(Category::Router, router.key);
            units::compile(view, chassis, unit, &router.spec.id.clone().into(), &mut sink);
        }
        for port in chassis.slice.networks.keys().flat_map(|network| view.ports_on(network)) {
            let unit = UnitId::whole(Category::Port, port.key);
            units::compile(view, chassis, unit, &port.spec.id.clone().into(), &mut sink);
        }
        let networks = chassis.slice.networks.keys().filter_map(|id| view.model().networks.get(id));
        let stations = networks.flat_map(|network| {
            view.ports_on(&network.spec.id).map(move |port| ((network.key.0, port.spec.mac), port))
        });
        let stations = stations.collect();
        let mut table = Table { view, chassis, stations, rib: Rib::new(), adjacencies: HashMap::new() };
        for (group, hops) in sink.next_hops {
            table.group(fib::GroupId(group.0), &hops);
        }
        for (vrf, prefix, target) in sink.routes {
            table.route(vrf, prefix, &target);
        }
        table.enter(&sink.facts);
        Some(table.rib)
    }
}

/// A routing table in the making.
pub(super) struct Table<'a> {
    pub(super) view: &'a View,
    pub(super) chassis: &'a Chassis,
    /// The port of a MAC on a network.
    stations: HashMap<(u32, MacAddr), &'a Record<Port>>,
    pub(super) rib: Rib,
    adjacencies: HashMap<lr_in::Adjacency, NextHop>,
}

impl Table<'_> {
    fn route(&mut self, vrf: u32, prefix: ipnet::IpNet, target: &Target) {
        let (Ok(vrf), Ok(prefix)) = (VrfId::new(vrf.into()), Prefix::new(prefix.addr(), prefix.prefix_len()))
        else {
            return;
        };
        let next = match target {
            Target::Adjacency(adjacency) => self.next_hop(adjacency),
            // Of a group whose every way ends nowhere or in another router nothing is left here.
            Target::Group(group) if !self.rib.tables.groups.contains_key(&fib::GroupId(group.0)) => {
                NextHop::Blackhole
            }
            Target::Group(group) => NextHop::Ecmp(fib::GroupId(group.0)),
            Target::Refuse(_) => NextHop::Unreachable,
        };
        self.rib.insert(Route { vrf, prefix, next });
    }

    /// Members are told apart by the next hop's MAC, which is the same on every chassis and after every restart.
    fn group(&mut self, id: fib::GroupId, hops: &[lr_in::Adjacency]) {
        let members = hops.iter().filter_map(|hop| match self.next_hop(hop) {
            NextHop::Adjacency(adjacency) => {
                let [_, _, a, b, c, d] = hop.dst_mac.0;
                Some(Member { key: u32::from_be_bytes([a, b, c, d]), adjacency })
            }
            NextHop::Ecmp(_)
            | NextHop::Unreachable
            | NextHop::Blackhole
            | NextHop::OtherVrf(_)
            | NextHop::Router(_) => None,
        });
        let group = EcmpGroup::new(members.collect::<Vec<_>>());
        if !group.members().is_empty() {
            self.rib.tables.groups.insert(id, group);
        }
    }

    pub(super) fn next_hop(&mut self, to: &lr_in::Adjacency) -> NextHop {
        if let Some(known) = self.adjacencies.get(to) {
            return *known;
        }
        let next = self.resolve(to);
        self.adjacencies.insert(*to, next);
        next
    }

    fn resolve(&mut self, to: &lr_in::Adjacency) -> NextHop {
        if let Some(vrf) = to.vrf {
            return VrfId::new(vrf.into()).map_or(NextHop::Blackhole, NextHop::OtherVrf);
        }
        let network = self.view.network_named(ObjectKey(to.net));
        let Some(network) = network else { return NextHop::Blackhole };
        // A MAC that several ports share may be anywhere: the switch carries such packets to all of them, and so it shall
        // have them.
        let is_shared = !self.stations.contains_key(&(to.net, to.dst_mac));
        if is_shared {
            return NextHop::Unreachable;
        }
        let Some(egress) = self.egress(network, to.dst_mac) else { return NextHop::Blackhole };
        let id = AdjacencyId(u32::try_from(self.rib.tables.adjacencies.len()).unwrap_or(u32::MAX));
        let adjacency = fib::Adjacency {
            dst_mac: to.dst_mac,
            src_mac: to.src_mac,
            egress,
            mtu: network.spec.mtu(),
            network: NetworkKey(to.net),
        };
        self.rib.tables.adjacencies.insert(id, adjacency);
        NextHop::Adjacency(id)
    }

    /// How frames for a MAC on a network leave this chassis.
    fn egress(&self, network: &Record<Network>, mac: MacAddr) -> Option<Egress> {
        let port = *self.stations.get(&(network.key.0, mac))?;
        let binding = port.spec.chassis.as_ref()?;
        if *binding == self.chassis.id {
            return self.plugged(port);
        }
        if let (Some(kind), Some(vni)) = (TunnelType::of(&network.spec.segment), network.spec.segment.vni()) {
            let vtep = self.chassis.vtep(self.view, binding)?;
            self.chassis.local.tunnels.get(&kind)?;
            return Some(Egress::Tunnel { vtep, kind: kind.into(), vni });
        }
        self.uplink(&network.spec.segment)
    }

    fn plugged(&self, port: &Record<Port>) -> Option<Egress> {
        self.chassis.local.ports.get(&port.spec.id)?;
        Some(Egress::Local { port: PortKey(port.key.0) })
    }

    fn uplink(&self, segment: &Segment) -> Option<Egress> {
        let patch = self.chassis.local.patches.get(segment.physical_network()?)?;
        let vlan = match segment {
            Segment::Vlan { id, .. } => Some(*id),
            Segment::Flat { .. } | Segment::Vxlan { .. } | Segment::Gre { .. } | Segment::Geneve { .. } => {
                None
            }
        };
        Some(Egress::Vlan { uplink: PortKey(patch.0), vlan })
    }
}

impl From<TunnelType> for TunnelKind {
    fn from(kind: TunnelType) -> Self {
        match kind {
            TunnelType::Vxlan => Self::Vxlan,
            TunnelType::Gre => Self::Gre,
            TunnelType::Geneve => Self::Geneve,
        }
    }
}
