//! Routes in, image out; then changes in place, while others read it.

mod build;
mod delta;
mod entry;
mod pool;
mod prefixes;
mod table;

use crate::layout::{self, MAX_UNITS, UNIT, section, word as w};
use crate::memory::{Container, Memory, View};
use crate::word::Target;
use crate::{
    AdjacencyId, Egress, FibImage, GroupId, NetworkKey, NextHop, Prefix, Route, RouterPortId, Tables,
};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use hashbrown::HashMap;
use packet::VrfId;
use pool::{Pool, Slots};
use prefixes::Prefixes;

pub(crate) use build::RECORD_SIZE;
pub(crate) use entry::{MAX_MEMBERS, group_units};
pub(crate) use prefixes::chunk_words;

/// Why routes do not make an image, or a change does not go into one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A route, group or station names an adjacency that the tables do not have.
    #[error("no adjacency {}", .0.0)]
    NoAdjacency(AdjacencyId),
    /// A route names a group that the tables do not have.
    #[error("no ecmp group {}", .0.0)]
    NoGroup(GroupId),
    /// A route or neighbour names a router port that the tables do not have.
    #[error("no router port {}", .0.0)]
    NoRouterPort(RouterPortId),
    /// Something names a port or network that the tables do not have.
    #[error("no {what} {key}")]
    NoKey {
        /// What it is.
        what: &'static str,
        /// Its key.
        key: u32,
    },
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
    /// A number beyond the format's range.
    #[error("{what} {value} does not fit the image")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// The number.
        value: usize,
    },
    /// No room left: build a larger image, and let it take this one's place.
    #[error("the image has no room for another {0}")]
    Full(&'static str),
}

/// How an image is built.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The writer's generation to begin with.
    pub epoch: u64,
    /// Seed of the flow hash: the same on all chassis.
    pub flow_seed: u64,
    /// Seed of the bucket hash: secret, another for each image.
    pub table_seed: u64,
    /// How full buckets are, in percent of their slots; 1 to 95.
    pub load: u32,
    /// Room for changes, in percent of what is there: records and units.
    pub spare: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { epoch: 0, flow_seed: crate::hash::DEFAULT_SEED, table_seed: 0, load: 75, spare: 25 }
    }
}

/// Something that readers may still use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retired {
    /// Offset and length.
    Units(u32, u32),
    Adjacency(u32),
    Group(u32),
    Domain(u32),
    /// The byte offset of a slot's word: a removed key's word stays until its slot may be used again.
    Word(usize),
}

/// A domain as its writer knows it: what is in trees and wide tables, that is, all but hosts in buckets.
#[derive(Debug, Default)]
struct Family {
    prefixes: Prefixes,
    root: u32,
}

#[derive(Debug, Default)]
struct DomainState {
    v4: Family,
    v6: Family,
    /// No host of it is in a bucket.
    prefixes_only: bool,
    /// Number of its hosts that are in buckets.
    hosts: usize,
    /// Whether it has default routes: IPv4, IPv6.
    defaults: [bool; 2],
}

impl DomainState {
    const fn family(&mut self, v6: bool) -> &mut Family {
        if v6 { &mut self.v6 } else { &mut self.v4 }
    }
}

/// Builds an image in a container, and changes it. There is one writer of an image; readers go on meanwhile.
///
/// What a change gave up is used again only after [`Writer::quiesced`].
#[derive(Debug)]
pub struct Writer<C> {
    memory: C,
    pool: Pool,
    retired: Vec<(u64, Retired)>,
    epoch: u64,
    vrfs: BTreeMap<VrfId, u32>,
    domains: Vec<DomainState>,
    free_domains: Slots,
    /// Index by id; [`NO_INDEX`] for none.
    adjacency_index: Vec<u32>,
    free_adjacencies: Slots,
    egress_index: HashMap<EgressKey, u32>,
    free_egresses: Slots,
    group_index: BTreeMap<GroupId, u32>,
    free_groups: Slots,
    router_ports: BTreeMap<RouterPortId, u32>,
    network_domains: BTreeMap<NetworkKey, u32>,
}

const NO_INDEX: u32 = u32::MAX;

/// What two adjacencies have to share to share an egress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum EgressKey {
    Local(u32),
    Tunnel(core::net::IpAddr, crate::TunnelKind),
    Vlan(u32),
}

impl From<Egress> for EgressKey {
    fn from(egress: Egress) -> Self {
        match egress {
            Egress::Local { port } => Self::Local(port.0),
            Egress::Tunnel { vtep, kind, .. } => Self::Tunnel(vtep.to_canonical(), kind),
            Egress::Vlan { uplink, .. } => Self::Vlan(uplink.0),
        }
    }
}

impl<C: Container> Writer<C> {
    /// The image, for readers.
    pub fn image(&self) -> FibImage<'_> {
        FibImage::of(self.view())
    }

    /// The container.
    pub const fn container(&self) -> &C {
        &self.memory
    }

    /// The generation: counts up with each change.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Says that every lookup that began before the generation was `epoch` has ended: what was given up until then may
    /// be used again.
    pub fn quiesced(&mut self, epoch: u64) {
        let free = self.retired.partition_point(|(at, _)| *at < epoch);
        let freed: Vec<Retired> = self.retired.drain(..free).map(|(_, retired)| retired).collect();
        for retired in freed {
            match retired {
                Retired::Units(offset, len) => self.pool.give(offset, len),
                Retired::Adjacency(index) => self.free_adjacencies.give(index),
                Retired::Group(index) => self.free_groups.give(index),
                Retired::Domain(index) => self.free_domains.give(index),
                Retired::Word(at) => self.view().store32(at, 0),
            }
        }
    }

    /// Number of units in use, spare records included.
    pub fn units(&self) -> u32 {
        self.pool.end - self.pool.free()
    }

    /// Writes the checksums: the image can be loaded as a whole from now on, until the next change.
    pub fn seal(&mut self) {
        crate::image::seal(self.view());
    }

    fn view(&self) -> View<'_> {
        View::new(self.memory.units())
    }

    fn retire(&mut self, what: Retired) {
        if let Retired::Adjacency(index) = what
            && let Some(at) = self.view().part(section::ADJACENCIES).record(index, 32)
        {
            // The last two octets of a MAC address, and the mark that it is in use.
            self.view().store32(at + 12, self.view().u32(at + 12) & 0xffff);
        }
        self.retired.push((self.epoch, what));
    }

    /// The end of a change.
    fn done(&mut self) {
        self.pool_grown();
        self.epoch += 1;
        self.view().store64(core::mem::offset_of!(layout::Header, epoch), self.epoch);
    }

    /// The beginning of a change.
    fn unseal(&mut self) {
        self.view().store32(core::mem::offset_of!(layout::Header, flags), 0);
    }

    /// Takes units of the pool.
    fn take(&mut self, units: u32) -> Result<u32, BuildError> {
        let limit = |memory: &C| u32::try_from(memory.units().len()).unwrap_or(MAX_UNITS).min(MAX_UNITS);
        if let Some(offset) = self.pool.take(units, limit(&self.memory)) {
            return Ok(offset);
        }
        let want = self.pool.end as usize + units as usize;
        let (ample, most) = (want + want / 2 + 64, MAX_UNITS as usize - 1);
        if !self.memory.grow(ample.min(most)) {
            return Err(BuildError::Full("unit of the pool"));
        }
        self.tell_size();
        self.pool.take(units, limit(&self.memory)).ok_or(BuildError::Full("unit of the pool"))
    }

    /// The same, zeroed.
    fn take_zeroed(&mut self, units: u32) -> Result<u32, BuildError> {
        let offset = self.take(units)?;
        self.view().write(offset as usize * UNIT, &alloc::vec![0; units as usize * UNIT]);
        Ok(offset)
    }

    fn adjacency(&self, id: AdjacencyId) -> Result<u32, BuildError> {
        let index = self.adjacency_index.get(id.0 as usize).copied();
        index.filter(|index| *index != NO_INDEX).ok_or(BuildError::NoAdjacency(id))
    }

    fn router_port(&self, id: RouterPortId) -> Result<u32, BuildError> {
        self.router_ports.get(&id).copied().ok_or(BuildError::NoRouterPort(id))
    }

    fn target(&mut self, next: NextHop) -> Result<Target, BuildError> {
        Ok(match next {
            NextHop::Adjacency(id) => Target::Adjacency(self.adjacency(id)?),
            NextHop::Ecmp(id) => {
                Target::Group(self.group_index.get(&id).copied().ok_or(BuildError::NoGroup(id))?)
            }
            NextHop::Blackhole => Target::Special(w::BLACKHOLE),
            NextHop::Unreachable => Target::Special(w::UNREACHABLE),
            NextHop::OtherVrf(vrf) => Target::Other(self.domain_for(vrf)?),
            NextHop::Router(id) => Target::Router(self.router_port(id)?),
        })
    }

    fn set_seen(&mut self, domain: u32, change: impl FnOnce(&mut DomainState)) {
        if let Some(state) = self.domains.get_mut(domain as usize) {
            change(state);
        }
    }
}

/// Compiles an image of exactly the size it needs. Equal routes and tables give equal bytes, in whatever order they
/// come. `epoch` is the writer's generation, `flow_seed` goes into [`crate::hash::flow_hash`].
///
/// # Errors
/// [`BuildError`] if routes and tables contradict each other or are too many.
pub fn build(
    routes: impl IntoIterator<Item = Route>,
    tables: &Tables,
    epoch: u64,
    flow_seed: u64,
) -> Result<Memory, BuildError> {
    let options = Options { epoch, flow_seed, spare: 0, ..Options::default() };
    build_with(routes, tables, options)
}

/// The same with all options.
///
/// # Errors
/// As [`build`].
pub fn build_with(
    routes: impl IntoIterator<Item = Route>,
    tables: &Tables,
    options: Options,
) -> Result<Memory, BuildError> {
    let mut writer = Writer::new(Memory::default(), routes, tables, options)?;
    let spare = u64::from(writer.pool.end) * u64::from(options.spare) / 100;
    let units = writer.pool.end as usize + usize::try_from(spare).unwrap_or_default();
    writer.memory.grow(units.min(MAX_UNITS as usize - 1));
    writer.memory.truncate(units);
    writer.tell_size();
    writer.seal();
    Ok(writer.memory)
}
