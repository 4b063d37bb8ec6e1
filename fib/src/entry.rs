//! What a packet needs before its route: how it comes in, and who is who on a network.

use crate::{AdjacencyId, NetworkKey, PortKey, Prefix, TunnelKind};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::IpAddr;
use packet::{IfIndex, MacAddr, OfPort, VlanId, Vni, VrfId};

/// Names a [`RouterPort`]; below 2^22.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterPortId(pub u32);

/// A port of the chassis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Port {
    /// Its interface, if known.
    pub ifindex: Option<IfIndex>,
    /// Its OpenFlow number, if known.
    pub ofport: Option<OfPort>,
    /// Its network; `None` for an uplink, where the segment tells the network.
    pub network: Option<NetworkKey>,
    /// Source addresses are checked against [`Entry::bindings`].
    pub secured: bool,
    /// The slow path decides everything that comes in here.
    pub slow: bool,
}

/// A network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Network {
    /// Longest IP packet, in bytes.
    pub mtu: u16,
    /// The slow path decides everything here.
    pub slow: bool,
}

/// How packets of a network come from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// From another chassis.
    Tunnel {
        /// The encapsulation.
        kind: TunnelKind,
        /// The overlay segment.
        vni: Vni,
    },
    /// From a physical network.
    Vlan {
        /// Its port.
        uplink: PortKey,
        /// The tag; `None` for a flat network.
        vlan: Option<VlanId>,
    },
}

/// A router's port on a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouterPort {
    /// Its MAC address.
    pub mac: MacAddr,
    /// Its network.
    pub network: NetworkKey,
    /// Where its packets are routed.
    pub vrf: VrfId,
    /// Longest IP packet, in bytes.
    pub mtu: u16,
    /// The slow path decides everything that is sent to it.
    pub slow: bool,
}

/// Who has an address on a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbour {
    /// A station: the adjacency's destination MAC address.
    Station(AdjacencyId),
    /// A router's port.
    Router(RouterPortId),
}

/// The way to another chassis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TunnelPath {
    /// This chassis' end.
    pub local: IpAddr,
    /// Destination UDP port; 0 for encapsulations without.
    pub udp_port: u16,
    /// Interface it leaves by.
    pub ifindex: IfIndex,
    /// MAC address of the next hop.
    pub outer_dst: MacAddr,
    /// MAC address of the interface.
    pub outer_src: MacAddr,
}

/// All of it. Whatever is left out, the slow path decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// Ports of the chassis.
    pub ports: BTreeMap<PortKey, Port>,
    /// Networks.
    pub networks: BTreeMap<NetworkKey, Network>,
    /// Which network a segment is.
    pub segments: BTreeMap<Segment, NetworkKey>,
    /// Ports of routers.
    pub router_ports: BTreeMap<RouterPortId, RouterPort>,
    /// The way of frames to a MAC address of a network.
    pub stations: BTreeMap<(NetworkKey, MacAddr), AdjacencyId>,
    /// Who answers ARP and ND.
    pub neighbours: BTreeMap<(NetworkKey, IpAddr), Neighbour>,
    /// The source addresses that a port may use with a MAC address.
    pub bindings: BTreeMap<(PortKey, MacAddr), Vec<Prefix>>,
    /// Addresses of this chassis where tunnels end.
    pub tunnel_ends: BTreeSet<IpAddr>,
    /// Ways to other chassis, by their address.
    pub tunnels: BTreeMap<(IpAddr, TunnelKind), TunnelPath>,
}
