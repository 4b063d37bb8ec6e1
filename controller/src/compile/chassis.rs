//! What a chassis is at the moment, as far as compiling depends on it.

use super::{desired::Desired, slice::Slice, view::View};
use crate::{
    model::{ChassisId, NetworkId, PhysicalNetwork, PortId, RouterId, Segment},
    pipeline::{UnitId, ls_out},
};
use packet::{IfIndex, OfPort};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

/// A kind of tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TunnelType {
    /// RFC 7348.
    Vxlan,
    /// RFC 2890.
    Gre,
    /// RFC 8926.
    Geneve,
}

/// What the switch of a chassis has, as OVSDB tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalSwitch {
    /// Logical ports that are plugged in.
    pub ports: BTreeMap<PortId, OfPort>,
    /// Of these, the kernel's index of the interface, where it is known.
    pub interfaces: BTreeMap<PortId, IfIndex>,
    /// Tunnel ports.
    pub tunnels: BTreeMap<TunnelType, OfPort>,
    /// Patch ports to the bridges of physical networks.
    pub patches: BTreeMap<PhysicalNetwork, OfPort>,
}

/// What the switch of a chassis should have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Tunnel ports.
    pub tunnels: BTreeSet<TunnelType>,
    /// Where its tunnels start, if there is one address to choose.
    pub local_ip: Option<IpAddr>,
    /// Physical network -> bridge.
    pub bridge_mappings: BTreeMap<PhysicalNetwork, String>,
}

/// One chassis that this controller serves.
#[derive(Debug)]
pub struct Chassis {
    pub(super) id: ChassisId,
    pub(super) local: LocalSwitch,
    pub(super) plugged: HashMap<OfPort, PortId>,
    pub(super) slice: Slice,
    pub(super) slice_is_stale: bool,
    pub(super) floods: HashMap<NetworkId, BTreeMap<u16, BTreeSet<OfPort>>>,
    pub(super) placed: HashMap<PortId, (NetworkId, OfPort)>,
    pub(super) dirty: BTreeMap<UnitId, Source>,
    pub(super) desired: Desired,
}

/// From what a unit is compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Base,
    Network(NetworkId),
    Port(PortId),
    Router(RouterId),
}

impl From<PortId> for Source {
    fn from(id: PortId) -> Self {
        Self::Port(id)
    }
}

impl From<RouterId> for Source {
    fn from(id: RouterId) -> Self {
        Self::Router(id)
    }
}

impl TunnelType {
    /// The tunnel of a segment, if it has one.
    pub const fn of(segment: &Segment) -> Option<Self> {
        match segment {
            Segment::Vxlan { .. } => Some(Self::Vxlan),
            Segment::Gre { .. } => Some(Self::Gre),
            Segment::Geneve { .. } => Some(Self::Geneve),
            Segment::Vlan { .. } | Segment::Flat { .. } => None,
        }
    }
}

impl Chassis {
    pub(super) fn new(id: ChassisId) -> Self {
        let dirty = BTreeMap::from([(UnitId::BASE, Source::Base)]);
        Self {
            id,
            local: LocalSwitch::default(),
            plugged: HashMap::new(),
            slice: Slice::default(),
            slice_is_stale: true,
            floods: HashMap::new(),
            placed: HashMap::new(),
            dirty,
            desired: Desired::default(),
        }
    }

    /// The slice of a flood that a port belongs to: by its number, so that it depends on nothing else.
    pub(super) fn flood_slice(port: OfPort) -> u16 {
        u16::try_from(port.0 / ls_out::SLICE_SIZE).unwrap_or(u16::MAX)
    }

    /// The address of another chassis that this one can reach: of a family that both have.
    pub(super) fn vtep(&self, view: &View, remote: &ChassisId) -> Option<IpAddr> {
        let chassis = &view.model().chassis;
        let ours = &chassis.get(&self.id)?.spec.encap_ips;
        let theirs = &chassis.get(remote)?.spec.encap_ips;
        theirs.iter().find(|ip| ours.iter().any(|own| own.is_ipv4() == ip.is_ipv4())).copied()
    }

    pub(super) fn wanted(&self, view: &View) -> Wanted {
        let Some(own) = view.model().chassis.get(&self.id) else { return Wanted::default() };
        let types = [("vxlan", TunnelType::Vxlan), ("gre", TunnelType::Gre), ("geneve", TunnelType::Geneve)];
        let in_use = types.iter().filter(|(name, _)| view.uses_segment(name)).map(|(_, tunnel)| *tunnel);
        Wanted {
            tunnels: if own.spec.encap_ips.is_empty() { BTreeSet::new() } else { in_use.collect() },
            local_ip: match own.spec.encap_ips.as_slice() {
                [only] => Some(*only),
                _ => None,
            },
            bridge_mappings: own.spec.bridge_mappings.clone(),
        }
    }
}
