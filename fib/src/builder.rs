//! Routes in, image out. Equal input gives equal bytes, whatever the order of the routes.

use crate::layout1::{
    self as layout, AdjacencyRecord, GroupRecord, Header, MAGIC, MemberRecord, NONE, Route4, Route6,
    SECTIONS, Section, VERSION, VrfRecord, egress, next,
};
use crate::{Adjacency, AdjacencyId, EcmpGroup, Egress, GroupId, NextHop, Prefix, Route, Tables};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;
use packet::VrfId;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{Immutable, IntoBytes};

/// Why routes do not make an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A route or group names an adjacency that the tables do not have.
    #[error("no adjacency {}", .0.0)]
    NoAdjacency(AdjacencyId),
    /// A route names a group that the tables do not have.
    #[error("no ecmp group {}", .0.0)]
    NoGroup(GroupId),
    /// A group has no members.
    #[error("ecmp group {} has no members", .0.0)]
    EmptyGroup(GroupId),
    /// Two routes for one prefix.
    #[error("vrf {vrf} has two routes for {prefix}")]
    Duplicate {
        /// The VRF.
        vrf: VrfId,
        /// The prefix.
        prefix: Prefix,
    },
    /// An id or an index beyond the format's range.
    #[error("{what} {value} does not fit the image")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// The number.
        value: usize,
    },
}

/// Compiles an image: `docs/fib-format.md`. `epoch` is the writer's generation, `hash_seed` goes into
/// [`crate::hash::flow_hash`].
///
/// # Errors
/// [`BuildError`] if routes and tables contradict each other or are too many.
pub fn build(
    routes: impl IntoIterator<Item = Route>,
    tables: &Tables,
    epoch: u64,
    hash_seed: u64,
) -> Result<Vec<u8>, BuildError> {
    let mut image = Builder::default();
    image.tables(tables)?;
    let mut routes: Vec<Route> = routes.into_iter().collect();
    routes.sort_unstable_by_key(|route| (route.vrf, route.prefix));
    for routes in routes.chunk_by(|a, b| a.vrf == b.vrf) {
        image.vrf(routes)?;
    }
    image.finish(epoch, hash_seed)
}

#[derive(Default)]
struct Builder {
    adjacency_index: BTreeMap<AdjacencyId, u32>,
    group_index: BTreeMap<GroupId, u32>,
    vrfs: Vec<VrfRecord>,
    v4: Vec<Route4>,
    v6: Vec<Route6>,
    adjacencies: Vec<AdjacencyRecord>,
    groups: Vec<GroupRecord>,
    members: Vec<MemberRecord>,
}

impl Builder {
    fn tables(&mut self, tables: &Tables) -> Result<(), BuildError> {
        for (index, (id, adjacency)) in tables.adjacencies.iter().enumerate() {
            self.adjacency_index.insert(*id, argument("adjacency index", index)?);
            self.adjacencies.push(adjacency_record(id30("adjacency id", id.0)?, adjacency));
        }
        for (index, (id, group)) in tables.groups.iter().enumerate() {
            self.group_index.insert(*id, argument("group index", index)?);
            self.group(*id, group)?;
        }
        Ok(())
    }

    fn group(&mut self, id: GroupId, group: &EcmpGroup) -> Result<(), BuildError> {
        let (first, count) = (self.members.len(), group.members().len());
        if count == 0 {
            return Err(BuildError::EmptyGroup(id));
        }
        self.groups.push(GroupRecord {
            id: id30("group id", id.0)?.into(),
            first: number("member", first)?,
            count: number("member", count)?,
        });
        for member in group.members() {
            let adjacency = self.adjacency(member.adjacency)?.into();
            self.members.push(MemberRecord { key: member.key.into(), adjacency });
        }
        Ok(())
    }

    /// Adds all routes of one VRF, which are in order.
    fn vrf(&mut self, routes: &[Route]) -> Result<(), BuildError> {
        let Some(Route { vrf, .. }) = routes.first() else { return Ok(()) };
        let (v4_first, v6_first) = (self.v4.len(), self.v6.len());
        // The prefixes that contain the current one, outermost first, each with its index in its family.
        let mut open: Vec<(Prefix, u32)> = Vec::new();
        let mut last = None;
        for route in routes {
            if last.replace(route.prefix) == Some(route.prefix) {
                return Err(BuildError::Duplicate { vrf: *vrf, prefix: route.prefix });
            }
            let addr = route.prefix.addr();
            while open.pop_if(|(outer, _)| !outer.contains(addr)).is_some() {}
            let parent = open.last().map_or(NONE, |(_, index)| *index).into();
            let (len, next, reserved) = (route.prefix.len(), self.next(route.next)?.into(), [0; 3]);
            let index = match addr {
                IpAddr::V4(addr) => {
                    self.v4.push(Route4 { addr: addr.to_bits().into(), parent, next, len, reserved });
                    self.v4.len() - 1 - v4_first
                }
                IpAddr::V6(addr) => {
                    self.v6.push(Route6 { addr: addr.to_bits().into(), parent, next, len, reserved });
                    self.v6.len() - 1 - v6_first
                }
            };
            open.push((route.prefix, number("route", index)?.get()));
        }
        self.vrfs.push(VrfRecord {
            vrf: vrf.get().into(),
            v4_first: number("route", v4_first)?,
            v4_count: number("route", self.v4.len() - v4_first)?,
            v6_first: number("route", v6_first)?,
            v6_count: number("route", self.v6.len() - v6_first)?,
        });
        Ok(())
    }

    fn adjacency(&self, id: AdjacencyId) -> Result<u32, BuildError> {
        self.adjacency_index.get(&id).copied().ok_or(BuildError::NoAdjacency(id))
    }

    fn next(&self, next: NextHop) -> Result<u32, BuildError> {
        let (kind, argument) = match next {
            NextHop::Adjacency(id) => (next::ADJACENCY, self.adjacency(id)?),
            NextHop::Ecmp(id) => {
                (next::ECMP, self.group_index.get(&id).copied().ok_or(BuildError::NoGroup(id))?)
            }
            NextHop::Blackhole => (next::DROP, next::BLACKHOLE),
            NextHop::Unreachable => (next::DROP, next::UNREACHABLE),
            NextHop::OtherVrf(vrf) => (next::OTHER_VRF, vrf.get()),
        };
        Ok(kind << next::ARGUMENT_BITS | argument)
    }

    fn finish(self, epoch: u64, hash_seed: u64) -> Result<Vec<u8>, BuildError> {
        let mut body = Vec::new();
        let sections = [
            section(&mut body, &self.vrfs)?,
            section(&mut body, &self.v4)?,
            section(&mut body, &self.v6)?,
            section(&mut body, &self.adjacencies)?,
            section(&mut body, &self.groups)?,
            section(&mut body, &self.members)?,
        ];
        let total_len = size_of::<Header>() + body.len();
        let header = Header {
            magic: MAGIC,
            version: VERSION.into(),
            header_len: layout::HEADER_LEN.into(),
            section_count: number("section", SECTIONS)?,
            total_len: U64::from(u64::from(number("image of bytes", total_len)?)),
            checksum: 0.into(),
            epoch: epoch.into(),
            hash_seed: hash_seed.into(),
            sections,
        };
        let mut image = [header.as_bytes(), &body].concat();
        layout::seal(&mut image);
        Ok(image)
    }
}

fn section<T: IntoBytes + Immutable>(body: &mut Vec<u8>, records: &[T]) -> Result<Section, BuildError> {
    let offset = number("image of bytes", size_of::<Header>() + body.len())?;
    body.extend_from_slice(records.as_bytes());
    Ok(Section { offset, count: number("record", records.len())? })
}

fn adjacency_record(id: u32, adjacency: &Adjacency) -> AdjacencyRecord {
    let mut record = AdjacencyRecord {
        id: id.into(),
        mtu: adjacency.mtu.into(),
        egress: egress::LOCAL,
        tunnel: 0,
        dst_mac: adjacency.dst_mac.0,
        src_mac: adjacency.src_mac.0,
        port: 0.into(),
        segment: 0.into(),
        network: adjacency.network.0.into(),
        vtep: [0; 16],
    };
    match adjacency.egress {
        Egress::Local { port } => record.port = port.0.into(),
        Egress::Tunnel { vtep, kind, vni } => {
            record.egress = egress::TUNNEL;
            record.tunnel = kind as u8;
            record.segment = vni.get().into();
            record.vtep = match vtep {
                IpAddr::V4(addr) => addr.to_ipv6_mapped().octets(),
                IpAddr::V6(addr) => addr.octets(),
            };
        }
        Egress::Vlan { uplink, vlan } => {
            record.egress = egress::VLAN;
            record.port = uplink.0.into();
            record.segment = vlan.map_or(0, |vlan| vlan.get().into()).into();
        }
    }
    record
}

fn id30(what: &'static str, id: u32) -> Result<u32, BuildError> {
    let fits = id < 1 << next::ARGUMENT_BITS;
    fits.then_some(id).ok_or(BuildError::TooLarge { what, value: id as usize })
}

fn argument(what: &'static str, index: usize) -> Result<u32, BuildError> {
    id30(what, number(what, index)?.get())
}

fn number(what: &'static str, value: usize) -> Result<U32, BuildError> {
    u32::try_from(value).map(U32::from).map_err(|_| BuildError::TooLarge { what, value })
}
