//! What is looked at before an image goes live: tenants stay apart, nothing loops, nothing ends in the dark.

use super::{FibImage, Verdict};
use crate::layout::{NetworkRecord, RouterPortRecord, section};
use crate::word::{Step, Target, argument, decode};
use crate::{Adjacency, AdjacencyId, NetworkKey, NextHop, Prefix, Route, Tables};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use packet::{Ends, FiveTuple, MacAddr, VrfId};

/// The least MTU that IPv4 allows: RFC 791, section 3.2.
const MIN_MTU: u16 = 68;

/// Something that must not go live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// A route leads to a network that its VRF has no port on.
    Foreign {
        /// The VRF.
        vrf: VrfId,
        /// The route's prefix.
        prefix: Prefix,
        /// The network.
        network: NetworkKey,
    },
    /// A station of one network is reached by an adjacency of another.
    ForeignStation {
        /// The station's network.
        network: NetworkKey,
        /// The station.
        mac: MacAddr,
        /// The adjacency's network.
        other: NetworkKey,
    },
    /// Packets for an address go from VRF to VRF without an end.
    Loop {
        /// Where they begin.
        vrf: VrfId,
        /// The address.
        addr: IpAddr,
    },
    /// A route leads to a neighbour that no packet can reach.
    DeadEnd {
        /// The VRF.
        vrf: VrfId,
        /// The route's prefix.
        prefix: Prefix,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign { vrf, prefix, network } => {
                write!(
                    f,
                    "route {prefix} of vrf {vrf} leads to network {}, where the vrf has no port",
                    network.0
                )
            }
            Self::ForeignStation { network, mac, other } => {
                write!(f, "station {mac} of network {} is reached as one of network {}", network.0, other.0)
            }
            Self::Loop { vrf, addr } => write!(f, "packets for {addr} in vrf {vrf} loop"),
            Self::DeadEnd { vrf, prefix } => write!(f, "route {prefix} of vrf {vrf} leads to nobody"),
        }
    }
}

/// The networks that a VRF has ports on. One without any is not described, and not judged.
type Networks = BTreeMap<u32, BTreeSet<NetworkKey>>;

impl FibImage<'_> {
    /// Looks at everything. Its time grows with the image.
    pub fn audit(&self) -> Vec<Finding> {
        let (routes, tables, networks) = (self.routes(), self.tables(), self.networks());
        let mut findings: Vec<Finding> = routes
            .iter()
            .flat_map(|route| self.audit_one(route, &networks, &|id| named(&tables, id), &tables))
            .collect();
        for route in routes.iter().filter(|route| matches!(route.next, NextHop::OtherVrf(_))) {
            findings.extend(self.audit_loop(route, &routes));
        }
        findings.extend(self.stations());
        findings
    }

    /// Looks at one route, as before or after a change of it: takes the time of one route, unless it leads to another
    /// VRF.
    pub(crate) fn audit_route(
        &self,
        route: &Route,
        adjacency: &dyn Fn(AdjacencyId) -> Option<Adjacency>,
        groups: &Tables,
    ) -> Vec<Finding> {
        let mut findings = self.audit_one(route, &self.networks(), adjacency, groups);
        if let NextHop::OtherVrf(_) = route.next {
            findings.extend(self.audit_loop(route, &self.routes()));
        }
        findings
    }

    fn audit_one(
        &self,
        route: &Route,
        networks: &Networks,
        adjacency: &dyn Fn(AdjacencyId) -> Option<Adjacency>,
        groups: &Tables,
    ) -> Vec<Finding> {
        let Route { vrf, prefix, next } = *route;
        let ids: Vec<AdjacencyId> = match next {
            NextHop::Adjacency(id) => [id].into(),
            NextHop::Ecmp(id) => {
                let group = groups.groups.get(&id);
                group.into_iter().flat_map(|group| group.members()).map(|member| member.adjacency).collect()
            }
            NextHop::Unreachable | NextHop::Blackhole | NextHop::OtherVrf(_) | NextHop::Router(_) => {
                return Vec::new();
            }
        };
        let mut findings = Vec::new();
        if ids.is_empty() {
            findings.push(Finding::DeadEnd { vrf, prefix });
        }
        let own = self.domain(vrf).and_then(|domain| networks.get(&argument(domain.0)));
        for id in ids {
            match adjacency(id) {
                Some(it) if it.dst_mac != MacAddr([0; 6]) && it.mtu >= MIN_MTU => {
                    if own.is_some_and(|own| !own.contains(&it.network)) {
                        findings.push(Finding::Foreign { vrf, prefix, network: it.network });
                    }
                }
                _ => findings.push(Finding::DeadEnd { vrf, prefix }),
            }
        }
        findings
    }

    /// What becomes of packets that this route sends to another VRF changes only where a prefix there begins or ends:
    /// looking at those addresses looks at all of them.
    fn audit_loop(&self, route: &Route, routes: &[Route]) -> Option<Finding> {
        let within = route.prefix.net();
        let inside = routes.iter().filter(|other| within.contains(&other.prefix.net()));
        let edges = inside.flat_map(|other| [Some(other.prefix.addr()), behind(other.prefix)]).flatten();
        let addrs: BTreeSet<IpAddr> =
            edges.chain([route.prefix.addr()]).filter(|addr| route.prefix.contains(*addr)).collect();
        let looping = addrs.into_iter().find(|addr| self.forward(route.vrf, &flow(*addr)) == Verdict::Loop);
        looping.map(|addr| Finding::Loop { vrf: route.vrf, addr })
    }

    fn networks(&self) -> Networks {
        let mut networks = Networks::new();
        for index in 0..self.view.part(section::ROUTER_PORTS).count {
            let Some(port) = self.record::<RouterPortRecord>(section::ROUTER_PORTS, index) else { continue };
            let network = self.record::<NetworkRecord>(section::NETWORKS, port.network.get());
            if let Some(network) = network.filter(|network| network.key.get() != 0) {
                let domain = argument(port.domain.get());
                networks.entry(domain).or_default().insert(NetworkKey(network.key.get()));
            }
        }
        networks
    }

    fn stations(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        super::decode::slots(self.view, section::STATIONS, &mut |at, word| {
            let bucket = at - at % crate::layout::UNIT;
            let key = self.view.u64(bucket + (at - bucket - crate::walk::WORDS_AT) * 2);
            let index = u32::try_from(key >> 48).unwrap_or_default();
            let network: Option<NetworkRecord> = self.record(section::NETWORKS, index);
            if let (Step::End { to: Target::Adjacency(adjacency), .. }, Some(network)) =
                (decode(word), network)
                && let Some((_, it)) = self.adjacency_at(adjacency)
                && it.network.0 != network.key.get()
            {
                let mac = MacAddr::from_u64(key & 0xffff_ffff_ffff);
                let network = NetworkKey(network.key.get());
                findings.push(Finding::ForeignStation { network, mac, other: it.network });
            }
        });
        findings
    }
}

fn named(tables: &Tables, id: AdjacencyId) -> Option<Adjacency> {
    tables.adjacencies.get(&id).copied()
}

/// The first address behind a prefix.
fn behind(prefix: Prefix) -> Option<IpAddr> {
    match prefix.net().broadcast() {
        IpAddr::V4(last) => last.to_bits().checked_add(1).map(|bits| IpAddr::V4(bits.into())),
        IpAddr::V6(last) => last.to_bits().checked_add(1).map(|bits| IpAddr::V6(bits.into())),
    }
}

fn flow(dst: IpAddr) -> FiveTuple {
    let ends = match dst {
        IpAddr::V4(dst) => Ends::V4 { src: core::net::Ipv4Addr::UNSPECIFIED, dst },
        IpAddr::V6(dst) => Ends::V6 { src: core::net::Ipv6Addr::UNSPECIFIED, dst },
    };
    FiveTuple { ends, protocol: 0, src_port: 0, dst_port: 0 }
}
