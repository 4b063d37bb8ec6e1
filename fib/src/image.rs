//! An image, checked once, then walked without copying.

mod check;

use crate::hash;
use crate::layout1::{
    AdjacencyRecord, GroupRecord, Header, MemberRecord, NONE, Route4, Route6, VrfRecord, egress, next,
};
use crate::{
    Adjacency, AdjacencyId, EcmpGroup, Egress, GroupId, Member, NetworkKey, NextHop, PortKey, Prefix, Route,
    Tables, TunnelKind,
};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use packet::{FiveTuple, MacAddr, VlanId, Vni, VrfId};

pub use check::LoadError;

/// How many VRFs one packet may be looked up in: a chain of [`NextHop::OtherVrf`] ends here.
const MAX_VRFS: usize = 4;

/// A checked image. Copies of it are views of the same bytes.
#[derive(Debug, Clone, Copy)]
pub struct FibImage<'a> {
    header: &'a Header,
    vrfs: &'a [VrfRecord],
    v4: &'a [Route4],
    v6: &'a [Route6],
    adjacencies: &'a [AdjacencyRecord],
    groups: &'a [GroupRecord],
    members: &'a [MemberRecord],
}

/// The answer of a lookup.
pub type Found = Route;

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to this neighbour.
    Forward(Adjacency),
    /// No way, and the sender is told: no route, or a route that says so.
    Unreachable,
    /// Dropped silently.
    Blackhole,
    /// Looked up in four VRFs, one after the other, without an end.
    Loop,
}

impl<'a> FibImage<'a> {
    /// Checks all of an image: header, checksum, bounds, order, every reference. What passes is exactly what
    /// [`crate::build`] makes of the routes and tables in it.
    ///
    /// # Errors
    /// [`LoadError`] names the first thing wrong.
    pub fn load(bytes: &'a [u8]) -> Result<Self, LoadError> {
        check::load(bytes)
    }

    /// The writer's generation.
    pub fn epoch(&self) -> u64 {
        self.header.epoch.get()
    }

    /// The seed of the flow hash.
    pub fn hash_seed(&self) -> u64 {
        self.header.hash_seed.get()
    }

    /// The route with the longest prefix that contains `addr`.
    pub fn lookup(&self, vrf: VrfId, addr: IpAddr) -> Option<Found> {
        let (prefix, value) = self.find(vrf, addr)?;
        Some(Route { vrf, prefix, next: self.next_hop(value)? })
    }

    /// What becomes of a packet of this flow that enters `vrf`.
    pub fn forward(&self, vrf: VrfId, flow: &FiveTuple) -> Verdict {
        let mut vrf = vrf;
        for _ in 0..MAX_VRFS {
            let Some((_, value)) = self.find(vrf, flow.ends.dst()) else { return Verdict::Unreachable };
            let adjacency = match split(value) {
                (next::ADJACENCY, index) => self.adjacency_at(index),
                (next::ECMP, index) => self.member_for(index, flow),
                (next::OTHER_VRF, id) => match VrfId::new(id.into()) {
                    Ok(other) => {
                        vrf = other;
                        continue;
                    }
                    Err(_) => None,
                },
                (_, next::BLACKHOLE) => return Verdict::Blackhole,
                _ => None,
            };
            return adjacency.map_or(Verdict::Unreachable, |(_, adjacency)| Verdict::Forward(adjacency));
        }
        Verdict::Loop
    }

    /// The adjacency of this id.
    pub fn adjacency(&self, id: AdjacencyId) -> Option<Adjacency> {
        let index = self.adjacencies.binary_search_by_key(&id.0, |record| record.id.get()).ok()?;
        Some(self.adjacency_at(u32::try_from(index).ok()?)?.1)
    }

    /// Decodes every route, ordered by VRF and prefix.
    pub fn routes(&self) -> impl Iterator<Item = Route> {
        let image = *self;
        image.vrfs.iter().flat_map(move |record| {
            let vrf = VrfId::new(record.vrf.get().into()).ok();
            let v4 = image.routes4(record).iter().map(|route| (route.prefix(), route.next.get()));
            let v6 = image.routes6(record).iter().map(|route| (route.prefix(), route.next.get()));
            v4.chain(v6).filter_map(move |(prefix, value)| {
                Some(Route { vrf: vrf?, prefix: prefix?, next: image.next_hop(value)? })
            })
        })
    }

    /// Decodes what the routes refer to.
    pub fn tables(&self) -> Tables {
        let indices = || 0..u32::MAX;
        let adjacencies = indices().map_while(|index| self.adjacency_at(index)).collect();
        let groups = self.groups.iter().map(|group| (GroupId(group.id.get()), self.group(group))).collect();
        Tables { adjacencies, groups }
    }

    fn find(&self, vrf: VrfId, addr: IpAddr) -> Option<(Prefix, u32)> {
        let index = self.vrfs.binary_search_by_key(&vrf.get(), |record| record.vrf.get()).ok()?;
        let record = self.vrfs.get(index)?;
        match addr {
            IpAddr::V4(_) => find(self.routes4(record), addr),
            IpAddr::V6(_) => find(self.routes6(record), addr),
        }
    }

    fn routes4(&self, vrf: &VrfRecord) -> &'a [Route4] {
        slice(self.v4, vrf.v4_first.get(), vrf.v4_count.get()).unwrap_or_default()
    }

    fn routes6(&self, vrf: &VrfRecord) -> &'a [Route6] {
        slice(self.v6, vrf.v6_first.get(), vrf.v6_count.get()).unwrap_or_default()
    }

    fn next_hop(&self, value: u32) -> Option<NextHop> {
        match split(value) {
            (next::ADJACENCY, index) => Some(NextHop::Adjacency(self.adjacency_at(index)?.0)),
            (next::ECMP, index) => Some(NextHop::Ecmp(GroupId(get(self.groups, index)?.id.get()))),
            (next::DROP, next::BLACKHOLE) => Some(NextHop::Blackhole),
            (next::DROP, next::UNREACHABLE) => Some(NextHop::Unreachable),
            (next::OTHER_VRF, id) => VrfId::new(id.into()).ok().map(NextHop::OtherVrf),
            _ => None,
        }
    }

    fn member_records(&self, group: &GroupRecord) -> &'a [MemberRecord] {
        slice(self.members, group.first.get(), group.count.get()).unwrap_or_default()
    }

    fn group(&self, group: &GroupRecord) -> EcmpGroup {
        EcmpGroup::new(self.member_records(group).iter().filter_map(|member| {
            let (adjacency, _) = self.adjacency_at(member.adjacency.get())?;
            Some(Member { key: member.key.get(), adjacency })
        }))
    }

    fn member_for(&self, group: u32, flow: &FiveTuple) -> Option<(AdjacencyId, Adjacency)> {
        let members = self.member_records(get(self.groups, group)?);
        let flow_hash = hash::flow_hash(flow, self.hash_seed());
        let chosen = hash::choose(flow_hash, members.iter().map(|member| member.key.get()))?;
        self.adjacency_at(members.get(chosen)?.adjacency.get())
    }

    fn adjacency_at(&self, index: u32) -> Option<(AdjacencyId, Adjacency)> {
        decode_adjacency(get(self.adjacencies, index)?)
    }
}

/// What the two kinds of route record have in common.
trait RouteRecord {
    /// `None` for a length beyond the family.
    fn prefix(&self) -> Option<Prefix>;
    fn addr(&self) -> IpAddr;
    fn parent(&self) -> u32;
    fn value(&self) -> u32;
}

impl RouteRecord for Route4 {
    fn prefix(&self) -> Option<Prefix> {
        Prefix::new(self.addr(), self.len).ok()
    }
    fn addr(&self) -> IpAddr {
        Ipv4Addr::from_bits(self.addr.get()).into()
    }
    fn parent(&self) -> u32 {
        self.parent.get()
    }
    fn value(&self) -> u32 {
        self.next.get()
    }
}

impl RouteRecord for Route6 {
    fn prefix(&self) -> Option<Prefix> {
        Prefix::new(self.addr(), self.len).ok()
    }
    fn addr(&self) -> IpAddr {
        Ipv6Addr::from_bits(self.addr.get()).into()
    }
    fn parent(&self) -> u32 {
        self.parent.get()
    }
    fn value(&self) -> u32 {
        self.next.get()
    }
}

/// Longest match in the ordered routes of one VRF and family.
///
/// Let L be the longest prefix that contains `addr`. Every route between L and `addr` in the order begins inside L, so
/// the last route at or before `addr` is L or within L, and L is met on its way up through the parents; what is met
/// before L is longer than L and so does not contain `addr`. Each parent is shorter: at most 129 steps.
fn find<R: RouteRecord>(routes: &[R], addr: IpAddr) -> Option<(Prefix, u32)> {
    let behind = routes.partition_point(|route| route.addr() <= addr);
    let mut route = routes.get(behind.checked_sub(1)?)?;
    loop {
        let prefix = route.prefix()?;
        if prefix.contains(addr) {
            return Some((prefix, route.value()));
        }
        if route.parent() == NONE {
            return None;
        }
        route = get(routes, route.parent())?;
    }
}

fn decode_adjacency(record: &AdjacencyRecord) -> Option<(AdjacencyId, Adjacency)> {
    let port = PortKey(record.port.get());
    let segment = record.segment.get();
    let egress = match (record.egress, record.tunnel) {
        (egress::LOCAL, 0) => Egress::Local { port },
        (egress::TUNNEL, kind) => Egress::Tunnel {
            vtep: Ipv6Addr::from(record.vtep).to_canonical(),
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

/// Kind and argument of a next value.
const fn split(value: u32) -> (u32, u32) {
    (value >> next::ARGUMENT_BITS, value & ((1 << next::ARGUMENT_BITS) - 1))
}

fn get<T>(records: &[T], index: u32) -> Option<&T> {
    records.get(usize::try_from(index).ok()?)
}

fn slice<T>(records: &[T], first: u32, count: u32) -> Option<&[T]> {
    let first = usize::try_from(first).ok()?;
    records.get(first..first.checked_add(usize::try_from(count).ok()?)?)
}

/// Decodes everything; for [`check`], which compares it with the bytes.
fn decode(image: &FibImage<'_>) -> (Vec<Route>, Tables) {
    (image.routes().collect(), image.tables())
}
