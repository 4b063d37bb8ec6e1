//! An image as readers see it: lookups, and the forwarding decision.

mod audit;
mod burst;
mod check;
mod decode;
mod explain;
mod raw;

use crate::layout::{AdjacencyRecord, Domain, EgressRecord, egress, ingress, section, word as w};
use crate::memory::{Container, Memory, Portable, Unit, View};
use crate::walk::{self, Key};
use crate::word::{Step, Target};
use crate::{
    Adjacency, AdjacencyId, Egress, GroupId, NetworkKey, NextHop, PortKey, Prefix, Route, RouterPortId,
    TunnelKind,
};
use core::net::{IpAddr, Ipv6Addr};
use packet::{FiveTuple, MacAddr, VlanId, Vni, VrfId};
use zerocopy::{FromBytes, Immutable};

pub use audit::Finding;
pub use burst::BURST;
pub use check::LoadError;
pub(crate) use check::{load, seal};
pub(crate) use decode::{Visitor, hosts_in, visit};
pub use explain::{Explanation, Stats};

/// How many domains one packet may be looked up in: a chain of [`NextHop::OtherVrf`] ends here.
const MAX_DOMAINS: usize = 4;

/// A view of an image that somebody may be changing. Copies of it are views of the same bytes.
#[derive(Debug, Clone, Copy)]
pub struct FibImage<'a> {
    view: View<'a>,
}

/// The adjacencies of an image. Good for the lookups of one burst: a section that grows moves.
#[derive(Debug, Clone, Copy)]
pub struct Adjacencies<'a> {
    view: View<'a>,
    part: walk::Part,
}

impl Adjacencies<'_> {
    /// The bytes of the adjacency that a word names, as four numbers ([`AdjacencyRecord`], little-endian); zeros if it
    /// names none.
    #[inline(always)]
    pub fn line(&self, word: u32) -> [u64; 4] {
        if crate::word::kind(word) != w::ADJACENCY {
            return [0; 4];
        }
        match self.part.record(crate::word::argument(word), size_of::<AdjacencyRecord>()) {
            Some(at) => self.view.numbers(at),
            None => [0; 4],
        }
    }
}

/// The answer of a lookup: the route, of those that match, with the longest prefix.
pub type Found = Route;

/// Number of a domain, as the image gives it for a VRF: what a packet is looked up in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainNumber(pub u32);

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to this neighbour.
    Forward(Adjacency),
    /// It is for the router itself.
    Router(RouterPortId),
    /// No way, and the sender is told: no route, or a route that says so.
    Unreachable,
    /// Dropped silently.
    Blackhole,
    /// Looked up in four domains, one after the other, without an end.
    Loop,
}

impl<'a> FibImage<'a> {
    pub(crate) const fn of(view: View<'a>) -> Self {
        Self { view }
    }

    /// Checks all of an image: header, checksums, bounds, every reference.
    ///
    /// # Errors
    /// [`LoadError`] names the first thing wrong.
    pub fn load(bytes: &'a [u8]) -> Result<Self, LoadError> {
        load(View::of_bytes(bytes).ok_or(LoadError::Unaligned)?)
    }

    /// The same for a container, whose writer may be at work: without the checksums then.
    ///
    /// # Errors
    /// [`LoadError`] names the first thing wrong.
    pub fn open(container: &'a impl Container) -> Result<Self, LoadError> {
        load(View::new(container.units()))
    }

    /// The same for units that somebody else maps.
    ///
    /// # Errors
    /// [`LoadError`] names the first thing wrong.
    pub fn from_units(units: &'a [Unit]) -> Result<Self, LoadError> {
        load(View::new(units))
    }

    /// The writer's generation.
    pub fn epoch(&self) -> u64 {
        self.view.epoch()
    }

    /// The seed of the flow hash.
    pub fn hash_seed(&self) -> u64 {
        self.view.flow_seed()
    }

    /// The domain of a VRF; `None` for a VRF that nothing names.
    pub fn domain(&self, vrf: VrfId) -> Option<DomainNumber> {
        let key = ingress::VRF << ingress::KIND_SHIFT | u64::from(vrf.get());
        let number = walk::exact(self.view, section::INGRESS, key);
        (number != 0).then_some(DomainNumber(number))
    }

    /// The route with the longest prefix that contains `addr`.
    pub fn lookup(&self, vrf: VrfId, addr: IpAddr) -> Option<Found> {
        let domain = self.domain(vrf)?;
        self.decode_route(vrf, addr, self.lookup_word(domain, addr))
    }

    /// The word for an address in a domain: see [`crate::layout::word`]; 0 without a route.
    #[inline]
    pub fn lookup_word(&self, domain: DomainNumber, addr: IpAddr) -> u32 {
        walk::lookup::<Portable, 0>(self.view, domain.0, Key::new(addr))
    }

    /// A lookup with a mistake that the tests have to notice.
    #[doc(hidden)]
    pub fn mutant_lookup<const M: u8>(&self, domain: DomainNumber, addr: IpAddr) -> u32 {
        walk::lookup::<Portable, M>(self.view, domain.0, Key::new(addr))
    }

    /// What becomes of a packet of this flow that enters `vrf`.
    pub fn forward(&self, vrf: VrfId, flow: &FiveTuple) -> Verdict {
        self.domain(vrf).map_or(Verdict::Unreachable, |domain| self.forward_in(domain, flow))
    }

    /// What becomes of a packet of this flow in a domain.
    pub fn forward_in(&self, domain: DomainNumber, flow: &FiveTuple) -> Verdict {
        let mut domain = domain;
        for _ in 0..MAX_DOMAINS {
            let Step::End { to, .. } = crate::word::decode(self.lookup_word(domain, flow.ends.dst())) else {
                return Verdict::Unreachable;
            };
            let adjacency = match to {
                Target::Adjacency(index) => self.adjacency_at(index),
                Target::Group(index) => self.member_for(index, flow),
                Target::Other(index) => {
                    domain = DomainNumber(index);
                    continue;
                }
                Target::Router(index) => return self.router_verdict(index),
                Target::Special(w::BLACKHOLE) => return Verdict::Blackhole,
                Target::Special(_) => None,
            };
            return adjacency.map_or(Verdict::Unreachable, |(_, adjacency)| Verdict::Forward(adjacency));
        }
        Verdict::Loop
    }

    fn router_verdict(&self, index: u32) -> Verdict {
        self.router_port_id(index).map_or(Verdict::Unreachable, Verdict::Router)
    }

    /// The adjacency at an index: the argument of an adjacency's word.
    pub fn adjacency_at(&self, index: u32) -> Option<(AdjacencyId, Adjacency)> {
        let record: AdjacencyRecord = self.record(section::ADJACENCIES, index)?;
        let egress: EgressRecord = self.record(section::EGRESSES, record.egress.get())?;
        decode_adjacency(&record, &egress)
    }

    /// The adjacencies as they stand, for those who rewrite packets by the million.
    #[inline]
    pub fn adjacencies(&self) -> Adjacencies<'a> {
        Adjacencies { view: self.view, part: self.view.part(section::ADJACENCIES) }
    }

    fn router_port_id(&self, index: u32) -> Option<RouterPortId> {
        let record: crate::layout::RouterPortRecord = self.record(section::ROUTER_PORTS, index)?;
        Some(RouterPortId(record.id.get()))
    }

    /// What a word of a lookup means.
    pub fn route_of_word(&self, vrf: VrfId, addr: IpAddr, word: u32) -> Option<Route> {
        self.decode_route(vrf, addr, word)
    }

    fn decode_route(&self, vrf: VrfId, addr: IpAddr, word: u32) -> Option<Route> {
        let Step::End { len, to } = crate::word::decode(word) else { return None };
        let next = self.next_hop(to)?;
        // A word of length 1 may be a default route's: a /1 has a length field of 0, as the default has.
        let len = if len == 1 && self.is_default(vrf, addr, word) { 0 } else { len };
        let net = ipnet::IpNet::new(addr, len).ok()?;
        Some(Route { vrf, prefix: Prefix::from(net), next })
    }

    fn is_default(&self, vrf: VrfId, addr: IpAddr, word: u32) -> bool {
        let Some(domain) = self.domain(vrf) else { return false };
        let Some(root) = walk::roots::<0>(self.view, domain.0, addr.is_ipv6()) else { return false };
        let without = walk::below_default(self.view, root, Key::new(addr));
        without == 0 && self.view.u32(root + 4) == word
    }

    fn next_hop(&self, to: Target) -> Option<NextHop> {
        Some(match to {
            Target::Adjacency(index) => {
                let record: AdjacencyRecord = self.record(section::ADJACENCIES, index)?;
                NextHop::Adjacency(AdjacencyId(record.id.get()))
            }
            Target::Group(index) => NextHop::Ecmp(self.group_at(index)?.0),
            Target::Other(index) => {
                let domain: Domain = self.record(section::DOMAINS, index)?;
                NextHop::OtherVrf(VrfId::new(domain.id.get().into()).ok()?)
            }
            Target::Router(index) => NextHop::Router(self.router_port_id(index)?),
            Target::Special(w::BLACKHOLE) => NextHop::Blackhole,
            Target::Special(w::UNREACHABLE) => NextHop::Unreachable,
            Target::Special(_) => return None,
        })
    }

    /// A group's id, and where its members are: first byte and number.
    fn group_at(&self, index: u32) -> Option<(GroupId, usize, u32)> {
        let part = self.view.part(section::GROUPS);
        let offset = self.view.u32(part.record(index, 4)?);
        if offset == 0 {
            return None;
        }
        let at = (offset & w::OFFSET_MASK) as usize * crate::layout::UNIT;
        let count = self.view.u32(at + 4).min(crate::writer::MAX_MEMBERS);
        Some((GroupId(self.view.u32(at)), at + 8, count))
    }

    fn member_for(&self, group: u32, flow: &FiveTuple) -> Option<(AdjacencyId, Adjacency)> {
        self.adjacency_at(self.member(group, flow)?)
    }

    /// A record of a section; `None` beyond the last.
    fn record<T: FromBytes + Immutable>(&self, section: usize, index: u32) -> Option<T> {
        let at = self.view.part(section).record(index, size_of::<T>())?;
        let bytes: [u8; 64] = self.view.read(at);
        T::read_from_prefix(&bytes).ok().map(|(record, _)| record)
    }
}

impl Memory {
    /// The image in it, unchecked: walks stay within bounds all the same.
    pub fn image(&self) -> FibImage<'_> {
        FibImage::of(View::new(self.units()))
    }
}

fn decode_adjacency(record: &AdjacencyRecord, way: &EgressRecord) -> Option<(AdjacencyId, Adjacency)> {
    let port = PortKey(way.port.get());
    let segment = record.segment.get();
    let egress = match (way.kind, way.tunnel) {
        (egress::LOCAL, 0) => Egress::Local { port },
        (egress::TUNNEL, kind) => Egress::Tunnel {
            vtep: Ipv6Addr::from(way.remote).to_canonical(),
            kind: match kind {
                1 => TunnelKind::Vxlan,
                2 => TunnelKind::Geneve,
                3 => TunnelKind::Gre,
                _ => return None,
            },
            vni: Vni::new(segment.into()).ok()?,
        },
        (egress::VLAN, 0) if segment == 0 => Egress::Vlan { uplink: port, vlan: None },
        (egress::VLAN, 0) => Egress::Vlan { uplink: port, vlan: Some(VlanId::new(segment.into()).ok()?) },
        _ => return None,
    };
    let adjacency = Adjacency {
        dst_mac: MacAddr(record.dst_mac),
        src_mac: MacAddr(record.src_mac),
        egress,
        mtu: record.mtu.get(),
        network: NetworkKey(record.network.get()),
    };
    Some((AdjacencyId(record.id.get()), adjacency))
}
