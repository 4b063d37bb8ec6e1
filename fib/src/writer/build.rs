//! The full build.

use super::pool::{Pool, Slots};
use super::prefixes::{Item, WIDE_FROM, count};
use super::table::{Added, Exact};
use super::{BuildError, DomainState, NO_INDEX, Options, Writer};
use crate::layout::{
    HEADER_LEN, Header, MAGIC, PREFIXES_ONLY, SECTION_SLOTS, Section, UNIT, VERSION, domain, ingress, section,
};
use crate::memory::Container;
use crate::walk::Key;
use crate::{Egress, NextHop, Prefix, Route, Tables};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::net::IpAddr;
use hashbrown::HashMap;
use packet::VrfId;
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

/// What has to be known before the first byte is written.
#[derive(Debug, Default)]
struct Plan {
    vrfs: BTreeSet<VrfId>,
    prefixes_only: BTreeSet<VrfId>,
    hosts4: usize,
    hosts6: usize,
    prefixes: usize,
    egresses: Vec<Egress>,
    /// By adjacency, in their order: the place of its egress among those. A million adjacencies have few.
    egress_of: Vec<usize>,
}

impl Plan {
    fn new(routes: &[Route], tables: &Tables) -> Result<Self, BuildError> {
        let mut plan = Self::default();
        for routes in routes.chunk_by(|a, b| a.vrf == b.vrf) {
            plan.vrf(routes)?;
        }
        let mut places = HashMap::<super::EgressKey, usize>::new();
        for egress in tables.adjacencies.values().map(|adjacency| adjacency.egress) {
            let place = *places.entry(egress.into()).or_insert_with(|| {
                plan.egresses.push(egress);
                plan.egresses.len() - 1
            });
            plan.egress_of.push(place);
        }
        let entry = &tables.entry;
        plan.vrfs.extend(entry.router_ports.values().map(|port| port.vrf));
        for (_, addr) in entry.neighbours.keys() {
            *(if addr.is_ipv6() { &mut plan.hosts6 } else { &mut plan.hosts4 }) += 1;
        }
        Ok(plan)
    }

    fn vrf(&mut self, routes: &[Route]) -> Result<(), BuildError> {
        let Some(Route { vrf, .. }) = routes.first().copied() else { return Ok(()) };
        self.vrfs.insert(vrf);
        let (mut hosts, mut prefixes) = ([0, 0], [0, 0]);
        let mut last = None;
        for route in routes {
            if last.replace(route.prefix) == Some(route.prefix) {
                return Err(BuildError::Duplicate { vrf, prefix: route.prefix });
            }
            if let NextHop::OtherVrf(other) = route.next {
                self.vrfs.insert(other);
            }
            let counts = if is_host(&route.prefix) { &mut hosts } else { &mut prefixes };
            let [v4, v6] = counts;
            *(if route.prefix.addr().is_ipv6() { v6 } else { v4 }) += 1;
        }
        let [hosts4, hosts6] = hosts;
        self.prefixes += prefixes.iter().sum::<usize>();
        if prefixes.iter().any(|count| *count >= WIDE_FROM) {
            self.prefixes_only.insert(vrf);
            self.prefixes += hosts4 + hosts6;
        } else {
            self.hosts4 += hosts4;
            self.hosts6 += hosts6;
        }
        Ok(())
    }

    /// Numbers of records by section, the pool excluded; and of those, how many are in use.
    fn sections(&self, tables: &Tables, options: &Options) -> [(usize, usize); section::POOL] {
        let entry = &tables.entry;
        let spare = |used: usize| used + used.saturating_mul(options.spare as usize) / 100;
        let buckets = |keys: usize, slots: usize, load: u32| {
            let load = load.clamp(1, 95) as usize;
            (spare(keys).saturating_mul(100).div_ceil(load * slots).max(1), keys)
        };
        let records = |used: usize| (spare(used), used);
        let numbers = entry.ports.values();
        let numbers =
            numbers.map(|port| usize::from(port.ifindex.is_some()) + usize::from(port.ofport.is_some()));
        let mut sections = [(0, 0); section::POOL];
        let domains = 1
            + self.vrfs.len()
            + entry.networks.len()
            + entry.bindings.len()
            + usize::from(!entry.tunnel_ends.is_empty());
        for (section, number) in [
            (section::HOSTS4, buckets(self.hosts4, 5, options.load)),
            (section::HOSTS6, buckets(self.hosts6, 2, options.load)),
            (
                section::INGRESS,
                buckets(numbers.sum::<usize>() + entry.segments.len() + self.vrfs.len(), 5, ENTRY_LOAD),
            ),
            (section::STATIONS, buckets(entry.stations.len() + entry.router_ports.len(), 5, ENTRY_LOAD)),
            (section::BINDINGS, buckets(entry.bindings.len(), 5, ENTRY_LOAD)),
            (section::DOMAINS, records(domains)),
            (section::ADJACENCIES, records(tables.adjacencies.len())),
            (section::GROUPS, records(tables.groups.len())),
            (section::EGRESSES, records(self.egresses.len())),
            (section::PORTS, records(entry.ports.len() + 1)),
            (section::NETWORKS, records(entry.networks.len() + 1)),
            (section::ROUTER_PORTS, records(entry.router_ports.len())),
        ] {
            if let Some(slot) = sections.get_mut(section) {
                *slot = number;
            }
        }
        sections
    }
}

/// How full, in percent, buckets of other keys than hosts are: so little that each finds room, as they have no tree to
/// fall back on. Of a hundred thousand keys, one finds none in one of a hundred images; that one needs another seed.
const ENTRY_LOAD: u32 = 15;

/// Size of a section's records, by section.
pub(crate) const RECORD_SIZE: [usize; section::COUNT] = [64, 64, 64, 64, 64, 32, 32, 4, 64, 32, 32, 32, 64];

fn is_host(prefix: &Prefix) -> bool {
    prefix.len() == if prefix.addr().is_ipv6() { 128 } else { 32 }
}

/// A host on its way into a bucket.
struct Host {
    domain: u32,
    key: Key,
    word: u32,
}

/// Hosts whose home buckets are on their way into the cache, and those that found no room there.
#[derive(Default)]
struct Hosts {
    waiting: Vec<Host>,
    homeless: Vec<Host>,
}

/// So many wait at once: as many lines as a processor fetches side by side.
const WAITING: usize = 32;

impl<C: Container> Writer<C> {
    /// Builds an image in memory that is zero.
    ///
    /// # Errors
    /// [`BuildError`] if routes and tables contradict each other or are too many, or the container cannot hold them.
    pub fn new(
        memory: C,
        routes: impl IntoIterator<Item = Route>,
        tables: &Tables,
        options: Options,
    ) -> Result<Self, BuildError> {
        let mut routes: Vec<Route> = routes.into_iter().collect();
        let key = |route: &Route| (route.vrf, route.prefix);
        if !routes.is_sorted_by_key(key) {
            routes.sort_unstable_by_key(key);
        }
        let plan = Plan::new(&routes, tables)?;
        let mut writer = Self::empty(memory, &plan, tables, &options)?;
        writer.adjacencies(&plan, tables)?;
        writer.domains(&plan, tables)?;
        writer.entry(tables)?;
        for (id, group) in &tables.groups {
            writer.write_group(*id, group)?;
        }
        let mut hosts = Hosts::default();
        writer.routes(&routes, &mut hosts)?;
        writer.neighbours(tables, &mut hosts)?;
        writer.house(hosts);
        writer.trees()?;
        writer.finish();
        Ok(writer)
    }

    fn empty(memory: C, plan: &Plan, tables: &Tables, options: &Options) -> Result<Self, BuildError> {
        let sections = plan.sections(tables, options);
        let mut header = Header {
            magic: MAGIC,
            version: VERSION.into(),
            header_len: HEADER_LEN.into(),
            flags: 0.into(),
            units: 0.into(),
            section_count: count("section", section::COUNT)?.into(),
            epoch: options.epoch.into(),
            flow_seed: options.flow_seed.into(),
            table_seed: options.table_seed.into(),
            checksum: 0.into(),
            reserved: [0; 8],
            sections: [Section { offset: 0.into(), count: 0.into() }; SECTION_SLOTS],
            checksums: [0.into(); SECTION_SLOTS],
        };
        let mut end = size_of::<Header>() / UNIT;
        for ((slot, (number, _)), size) in header.sections.iter_mut().zip(sections).zip(RECORD_SIZE) {
            let (offset, number) = (count("unit", end)?.into(), count("record", number)?);
            *slot = Section { offset, count: U32::new(number) };
            end += (number as usize * size).div_ceil(UNIT);
        }
        if let Some(pool) = header.sections.get_mut(section::POOL) {
            pool.offset = count("unit", end)?.into();
        }
        let slots = |section: usize, first: u32| -> Result<Slots, BuildError> {
            let (number, _) = sections.get(section).copied().unwrap_or_default();
            Ok(Slots::new(first, count("record", number)?.min(1 << 22)))
        };
        let mut writer = Self {
            memory,
            pool: Pool::starting_at(count("unit", end)?),
            retired: Vec::new(),
            epoch: options.epoch,
            vrfs: Default::default(),
            domains: alloc::vec![DomainState::default()],
            free_domains: slots(section::DOMAINS, 1)?,
            adjacency_index: Vec::new(),
            free_adjacencies: slots(section::ADJACENCIES, 0)?,
            egress_index: Default::default(),
            free_egresses: slots(section::EGRESSES, 0)?,
            group_index: Default::default(),
            free_groups: slots(section::GROUPS, 0)?,
            router_ports: Default::default(),
            network_domains: Default::default(),
        };
        // Most prefixes make two intervals in leaves of eight; what is missing comes when it is needed.
        let guess = end + plan.prefixes / 3 + plan.vrfs.len() * 2 + tables.groups.len();
        if writer.memory.units().len() < end && !writer.memory.grow(guess) && !writer.memory.grow(end) {
            return Err(BuildError::Full("section"));
        }
        writer.view().write(0, header.as_bytes());
        Ok(writer)
    }

    /// Domains of all VRFs.
    fn domains(&mut self, plan: &Plan, _tables: &Tables) -> Result<(), BuildError> {
        for vrf in &plan.vrfs {
            let index = self.new_domain(domain::VRF, vrf.get())?;
            let only = plan.prefixes_only.contains(vrf);
            self.set_seen(index, |state| state.prefixes_only = only);
            self.vrfs.insert(*vrf, index);
            self.name_vrf(*vrf, index)?;
        }
        Ok(())
    }

    /// Enters a VRF's domain under its id.
    pub(super) fn name_vrf(&mut self, vrf: VrfId, index: u32) -> Result<(), BuildError> {
        let key = ingress::VRF << ingress::KIND_SHIFT | u64::from(vrf.get());
        self.enter(section::INGRESS, key, self.domain_number(index))
    }

    /// A domain's number as packets are told it.
    pub(super) fn domain_number(&self, index: u32) -> u32 {
        let only = self.domains.get(index as usize).is_some_and(|state| state.prefixes_only);
        index | if only { PREFIXES_ONLY } else { 0 }
    }

    fn routes(&mut self, routes: &[Route], hosts: &mut Hosts) -> Result<(), BuildError> {
        for routes in routes.chunk_by(|a, b| a.vrf == b.vrf) {
            let vrf = routes.first().and_then(|route| self.vrfs.get(&route.vrf));
            let Some(index) = vrf.copied() else { continue };
            let mut state = self.domains.get_mut(index as usize).map(core::mem::take).unwrap_or_default();
            let (mut v4, mut v6) = (Vec::new(), Vec::new());
            for route in routes {
                let (len, key) = (route.prefix.len(), Key::new(route.prefix.addr()));
                let word = self.target(route.next)?.word(len);
                if len == 0 {
                    self.set_default(index, key.v6, word);
                    let [default4, default6] = &mut state.defaults;
                    *(if key.v6 { default6 } else { default4 }) = true;
                } else if !state.prefixes_only && is_host(&route.prefix) {
                    state.hosts += 1;
                    self.host(Host { domain: index, key, word }, hosts);
                } else {
                    (if key.v6 { &mut v6 } else { &mut v4 }).push(((bits(key), len), word));
                }
            }
            state.v4.prefixes = v4.into_iter().collect();
            state.v6.prefixes = v6.into_iter().collect();
            self.set_seen(index, |place| *place = state);
        }
        Ok(())
    }

    fn host(&self, host: Host, hosts: &mut Hosts) {
        self.prefetch_home(Exact::host(host.domain, host.key));
        hosts.waiting.push(host);
        if hosts.waiting.len() == WAITING {
            self.fill_homes(hosts);
        }
    }

    fn fill_homes(&self, hosts: &mut Hosts) {
        for host in hosts.waiting.drain(..) {
            if self.add_home(Exact::host(host.domain, host.key), host.word) == Added::NoRoom {
                hosts.homeless.push(host);
            }
        }
    }

    fn neighbours(&mut self, tables: &Tables, hosts: &mut Hosts) -> Result<(), BuildError> {
        for ((network, addr), neighbour) in &tables.entry.neighbours {
            let index = self.network_domain(*network)?;
            let word = self.neighbour(*neighbour)?.word(if addr.is_ipv6() { 128 } else { 32 });
            self.set_seen(index, |state| state.hosts += 1);
            self.host(Host { domain: index, key: Key::new(*addr), word }, hosts);
        }
        Ok(())
    }

    /// Places the rest of the hosts: in their other buckets, in slots of hosts that find room elsewhere, or in trees. A
    /// lookup of one in a tree waits for several lines, one after the other, and a burst with it.
    fn house(&mut self, mut hosts: Hosts) {
        self.fill_homes(&mut hosts);
        for Host { domain, key, word } in hosts.homeless {
            let exact = Exact::host(domain, key);
            if self.add_new(exact, word) == Added::NoRoom && self.add_by_moving(exact, word) == Added::NoRoom
            {
                self.count_overflow(exact, 1);
                self.set_seen(domain, |state| {
                    state.hosts -= 1;
                    let len = if key.v6 { 128 } else { 32 };
                    state.family(key.v6).prefixes.insert((bits(key), len), word);
                });
            }
        }
    }

    fn trees(&mut self) -> Result<(), BuildError> {
        for index in 0..self.domains.len() {
            let index = count("domain", index)?;
            for v6 in [false, true] {
                self.rebuild(index, v6, (0, 0))?;
            }
        }
        Ok(())
    }

    /// Rebuilds a family's root after a change of one prefix.
    pub(super) fn rebuild(&mut self, index: u32, v6: bool, changed: (u128, u8)) -> Result<(), BuildError> {
        let Some(state) = self.domains.get_mut(index as usize) else { return Ok(()) };
        let family = core::mem::take(state.family(v6));
        let root = self.root_for(&family, changed);
        let old = family.root;
        let new = root.as_ref().copied().unwrap_or(old);
        self.set_seen(index, |state| *state.family(v6) = super::Family { root: new, ..family });
        root?;
        if new != old {
            if let Some(at) = self.root_at(index, v6) {
                self.view().store32(at, new);
            }
            if crate::word::kind(new) != crate::layout::word::WIDE {
                self.retire_root(old);
            }
        }
        Ok(())
    }

    fn root_for(&mut self, family: &super::Family, changed: (u128, u8)) -> Result<u32, BuildError> {
        let wide = crate::word::kind(family.root) == crate::layout::word::WIDE;
        if family.prefixes.len() >= WIDE_FROM || wide && family.prefixes.len() >= WIDE_FROM / 2 {
            return self.wide(&family.prefixes, family.root, changed);
        }
        let items: Vec<Item> = family.prefixes.iter().map(Item::of).collect();
        self.tree(&items, 0, 0)
    }

    fn finish(&mut self) {
        self.pool_grown();
        self.retired.clear();
        self.tell_size();
    }

    /// Tells the image's size in the header.
    pub(super) fn tell_size(&self) {
        let units = core::mem::offset_of!(Header, units);
        self.view().store32(units, u32::try_from(self.memory.units().len()).unwrap_or(u32::MAX));
    }

    /// Tells the pool's size in the header.
    pub(super) fn pool_grown(&self) {
        let pool = self.view().part(section::POOL);
        let offset = u64::try_from(pool.at / UNIT).unwrap_or_default();
        let len = u64::from(self.pool.end).saturating_sub(offset);
        let at = core::mem::offset_of!(Header, sections) + section::POOL * 8;
        self.view().store64(at, len << 32 | offset);
    }

    fn adjacencies(&mut self, plan: &Plan, tables: &Tables) -> Result<(), BuildError> {
        let last = tables.adjacencies.keys().next_back().map_or(0, |id| id.0 as usize + 1);
        if last > 1 << 24 {
            return Err(BuildError::TooLarge { what: "adjacency id", value: last - 1 });
        }
        self.adjacency_index = alloc::vec![NO_INDEX; last];
        let indices = plan.egresses.iter().map(|egress| self.egress(*egress, &tables.entry));
        let indices = indices.collect::<Result<Vec<u32>, _>>()?;
        for ((id, adjacency), place) in tables.adjacencies.iter().zip(&plan.egress_of) {
            let egress = indices.get(*place).copied().unwrap_or_default();
            self.write_adjacency(*id, adjacency, egress)?;
        }
        Ok(())
    }
}

/// An address as the prefixes' keys have it.
pub(super) const fn bits(key: Key) -> u128 {
    (key.hi as u128) << 64 | key.lo as u128
}

/// As a lookup key.
pub(super) fn key_of(addr: IpAddr) -> (Key, u128) {
    let key = Key::new(addr);
    (key, bits(key))
}
