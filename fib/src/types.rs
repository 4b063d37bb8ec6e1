//! What a route leads to.

use crate::{Entry, Prefix, RouterPortId};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;
use packet::{MacAddr, VlanId, Vni, VrfId};

/// Names an [`Adjacency`]. Small numbers are cheaper: below 2^24.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdjacencyId(pub u32);

/// Names an [`EcmpGroup`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

/// Names a port of the chassis, whatever its OpenFlow number or interface index is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortKey(pub u32);

/// Names a network (an L2 broadcast domain) on the chassis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkKey(pub u32);

/// Where a route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// One neighbour.
    Adjacency(AdjacencyId),
    /// One neighbour of several, chosen by the packet's flow.
    Ecmp(GroupId),
    /// Nowhere, and the sender is told by ICMP.
    Unreachable,
    /// Nowhere, silently.
    Blackhole,
    /// Looked up again in another VRF.
    OtherVrf(VrfId),
    /// The router itself: an address of one of its ports.
    Router(RouterPortId),
}

/// One route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Route {
    /// Where it holds.
    pub vrf: VrfId,
    /// For which destinations.
    pub prefix: Prefix,
    /// Where it leads.
    pub next: NextHop,
}

/// Everything a packet for one neighbour needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Adjacency {
    /// The neighbour's MAC address.
    pub dst_mac: MacAddr,
    /// The router's MAC address towards it.
    pub src_mac: MacAddr,
    /// How it leaves the chassis.
    pub egress: Egress,
    /// Longest IP packet the way takes, in bytes.
    pub mtu: u16,
    /// The network the neighbour is on.
    pub network: NetworkKey,
}

/// How a packet leaves the chassis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Egress {
    /// By a port of the chassis, as it is.
    Local {
        /// The port.
        port: PortKey,
    },
    /// Encapsulated, to another chassis.
    Tunnel {
        /// The other chassis; IPv4 also if given as IPv4-mapped IPv6.
        vtep: IpAddr,
        /// The encapsulation.
        kind: TunnelKind,
        /// The overlay segment.
        vni: Vni,
    },
    /// By a physical network.
    Vlan {
        /// The port of the provider bridge.
        uplink: PortKey,
        /// The tag; `None` for a flat network.
        vlan: Option<VlanId>,
    },
}

/// Encapsulations. The numbers are those of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TunnelKind {
    /// RFC 7348.
    Vxlan = 1,
    /// RFC 8926.
    Geneve = 2,
    /// RFC 2784 with the key of RFC 2890.
    Gre = 3,
}

/// Neighbours of equal cost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EcmpGroup {
    /// At least one, ordered by key without duplicates: what [`EcmpGroup::new`] makes.
    members: Vec<Member>,
}

/// One neighbour of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// What the choice goes by. The same next hop has the same key on every chassis and after every restart, so that
    /// a flow keeps its way; say, a hash of its address.
    pub key: u32,
    /// The neighbour.
    pub adjacency: AdjacencyId,
}

impl EcmpGroup {
    /// Orders the members by key; of two with one key the first stays. The order given does not matter to the choice.
    pub fn new(members: impl IntoIterator<Item = Member>) -> Self {
        let mut members: Vec<Member> = members.into_iter().collect();
        members.sort_by_key(|member| member.key);
        members.dedup_by_key(|member| member.key);
        Self { members }
    }

    /// The members, ordered by key.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member for a flow: see [`crate::hash`]. `None` without members.
    pub fn choose(&self, flow_hash: u32) -> Option<Member> {
        let index = crate::hash::choose(flow_hash, self.members.iter().map(|member| member.key))?;
        self.members.get(index).copied()
    }
}

/// What next hops refer to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tables {
    /// All neighbours.
    pub adjacencies: BTreeMap<AdjacencyId, Adjacency>,
    /// All groups; their members are in `adjacencies`.
    pub groups: BTreeMap<GroupId, EcmpGroup>,
    /// What a packet needs before its route.
    pub entry: Entry,
}
