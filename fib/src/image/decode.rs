//! An image back to routes: every structure visited once.

use super::FibImage;
use crate::layout::{
    AdjacencyRecord, CHUNK_RUNS, CHUNK_UNITS, Domain, NetworkRecord, PortRecord, RouterPortRecord, UNIT,
    WIDE_DIRECTORY, domain as kinds, flag, section, word as w,
};
use crate::memory::View;
use crate::walk::{Key, TAGS6_AT, WORDS_AT, WORDS6_AT};
use crate::word::{Step, decode, kind, levels, offset};
use crate::writer::chunk_words;
use crate::{
    EcmpGroup, Entry, GroupId, Member, Network, NetworkKey, Port, PortKey, Prefix, Route, RouterPort,
    RouterPortId, Tables,
};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use packet::{IfIndex, MacAddr, OfPort, VrfId};

/// Is told of everything on the way.
pub(crate) trait Visitor {
    /// Units that a structure has for itself. False: do not look into them.
    fn units(&mut self, at: usize, units: u32) -> bool;
    /// A word, and where it stands.
    fn word(&mut self, at: usize, word: u32);
    /// A copy of a word that was visited.
    fn copy(&mut self, at: usize, word: u32) {
        self.word(at, word);
    }
    /// A structure that contradicts itself.
    fn broken(&mut self, at: usize);
    /// True: enough.
    fn stopped(&self) -> bool;
    /// A word that ends a lookup, for the addresses from this one on.
    fn range(&mut self, _first: u128, _word: u32) {}
}

/// Visits what the domains lead to, and the words of hosts and stations.
pub(crate) fn visit(image: FibImage<'_>, visitor: &mut impl Visitor) {
    let view = image.view;
    let domains = view.part(section::DOMAINS);
    for at in (0..domains.count).filter_map(|index| domains.record(index, 32)) {
        for family in [0, 8] {
            root(view, visitor, at + family);
            let default = view.u32(at + family + 4);
            visitor.word(at + family + 4, default);
            if matches!(decode(default), Step::Tree { .. } | Step::Wide { .. }) {
                visitor.broken(at);
            }
        }
        if visitor.stopped() {
            return;
        }
    }
    for section in [section::HOSTS4, section::HOSTS6, section::STATIONS] {
        slots(view, section, &mut |at, word| {
            visitor.word(at, word);
            if !matches!(decode(word), Step::End { .. }) {
                visitor.broken(at);
            }
        });
    }
}

/// Visits a root's tree or wide table.
pub(super) fn root(view: View<'_>, visitor: &mut impl Visitor, at: usize) {
    let word = view.u32(at);
    match decode(word) {
        Step::Wide { .. } => wide(view, visitor, word),
        _ => below(view, visitor, at, word, (0, 0)),
    }
}

/// The words of used slots, and where they stand.
pub(super) fn slots(view: View<'_>, section: usize, each: &mut impl FnMut(usize, u32)) {
    let part = view.part(section);
    for bucket in (0..part.count).filter_map(|index| part.record(index, UNIT)) {
        if section == section::HOSTS6 {
            let used = (0..2).filter(|slot| view.u32(bucket + TAGS6_AT + slot * 4) != 0);
            used.for_each(|slot| {
                each(bucket + WORDS6_AT + slot * 4, view.u32(bucket + WORDS6_AT + slot * 4))
            });
        } else {
            let used = (0..5).filter(|slot| view.u64(bucket + slot * 8) != 0);
            used.for_each(|slot| each(bucket + WORDS_AT + slot * 4, view.u32(bucket + WORDS_AT + slot * 4)));
        }
    }
}

/// Domain, address and word of all hosts in buckets.
pub(crate) fn hosts_in(view: View<'_>) -> impl Iterator<Item = (u32, Key, u32)> {
    let buckets = |section: usize| {
        let part = view.part(section);
        (0..part.count).filter_map(move |index| part.record(index, UNIT))
    };
    let v4 = buckets(section::HOSTS4).flat_map(move |bucket| {
        (0..5).filter_map(move |slot| {
            let [flags, addr @ .., d0, d1, d2] = view.u64(bucket + slot * 8).to_le_bytes();
            let key = Key::v4(u32::from_le_bytes(addr));
            let word = view.u32(bucket + WORDS_AT + slot * 4);
            (flags != 0).then(|| (u32::from_le_bytes([d0, d1, d2, 0]), key, word))
        })
    });
    let v6 = buckets(section::HOSTS6).flat_map(move |bucket| {
        (0..2).filter_map(move |slot| {
            let tag = view.u32(bucket + TAGS6_AT + slot * 4);
            let key =
                Key { hi: view.u64(bucket + slot * 16), lo: view.u64(bucket + slot * 16 + 8), v6: true };
            (tag != 0).then(|| (tag >> 8, key, view.u32(bucket + WORDS6_AT + slot * 4)))
        })
    });
    v4.chain(v6)
}

/// A word of the addresses from `first` on, of which `taken` bits are known.
fn below(view: View<'_>, visitor: &mut impl Visitor, at: usize, word: u32, (first, taken): (u128, u32)) {
    visitor.word(at, word);
    match decode(word) {
        Step::Tree { .. } if taken < 128 => tree(view, visitor, word, (first, taken)),
        Step::Tree { .. } | Step::Wide { .. } => visitor.broken(at),
        Step::None | Step::End { .. } | Step::Chunk { .. } => visitor.range(first, word),
    }
}

fn tree(view: View<'_>, visitor: &mut impl Visitor, word: u32, (first, taken): (u128, u32)) {
    let levels = levels(word);
    if levels == 0 || levels > w::MAX_LEVELS {
        return visitor.broken(offset(word));
    }
    // Nodes of a level with their first keys. Each is claimed once, so there are never more than units.
    let mut nodes = alloc::vec![(offset(word), 0_u32)];
    for level in (1..=levels).rev() {
        let mut next = Vec::new();
        for (at, key) in nodes {
            if visitor.stopped() || !visitor.units(at, 1) {
                return;
            }
            if level == 1 {
                leaf(view, visitor, at, key, (first, taken));
                continue;
            }
            let children = view.u32(at + 60);
            for child in 0..=children >> 28 {
                let key = if child == 0 { key } else { view.u32(at + (child as usize - 1) * 4) };
                next.push((((children & w::OFFSET_MASK) + child) as usize * UNIT, key));
            }
        }
        nodes = next;
    }
}

fn leaf(view: View<'_>, visitor: &mut impl Visitor, at: usize, key: u32, (first, taken): (u128, u32)) {
    let count = view.u32(at + 28);
    if !(1..=8).contains(&count) {
        return visitor.broken(at);
    }
    let mut before = key;
    for index in 0..count as usize {
        let start = if index == 0 { key } else { view.u32(at + (index - 1) * 4) };
        if index > 0 && start <= before {
            return visitor.broken(at);
        }
        before = start;
        let word_at = at + 32 + index * 4;
        let place = first | u128::from(start) << 96 >> taken;
        below(view, visitor, word_at, view.u32(word_at), (place, taken + 32));
    }
    // Copies of the last.
    (count as usize..8).for_each(|index| visitor.copy(at + 32 + index * 4, view.u32(at + 32 + index * 4)));
}

fn wide(view: View<'_>, visitor: &mut impl Visitor, word: u32) {
    let directory = offset(word);
    if !visitor.units(directory, 64) {
        return;
    }
    for index in 0..WIDE_DIRECTORY {
        let (at, first) = (directory + index * 4, (index as u128) << 118);
        let entry = view.u32(at);
        if kind(entry) == w::CHUNK {
            chunk(view, visitor, entry, first);
        } else {
            below(view, visitor, at, entry, (first, 24));
            others(visitor, entry, first, 1 << 14);
        }
        if visitor.stopped() {
            return;
        }
    }
}

fn chunk(view: View<'_>, visitor: &mut impl Visitor, entry: u32, first: u128) {
    let at = offset(entry);
    let words = chunk_words(view, at);
    // The least sense a chunk must have: as many words as runs, counted in order, no more than slots.
    let mut expected = 0;
    for index in 0..CHUNK_RUNS {
        let (starts, base) = (view.u64(at + index * 16), view.u32(at + index * 16 + 8));
        if base != expected || starts & 1 == 0 {
            return visitor.broken(at);
        }
        expected += starts.count_ones();
    }
    if words != expected || !visitor.units(at, CHUNK_UNITS + words.div_ceil(16)) {
        return visitor.broken(at);
    }
    let words_at = at + CHUNK_UNITS as usize * UNIT;
    for index in 0..CHUNK_RUNS {
        let (starts, base) = (view.u64(at + index * 16), view.u32(at + index * 16 + 8) as usize);
        let slots: Vec<u32> = (0..64_u32).filter(|slot| starts >> slot & 1 == 1).collect();
        let ends = slots.iter().skip(1).copied().chain([64]);
        for (run, (slot, end)) in slots.iter().zip(ends).enumerate() {
            let (word_at, len) = (words_at + (base + run) * 4, end - slot);
            let place = first | (index as u128) << 110 | u128::from(*slot) << 104;
            below(view, visitor, word_at, view.u32(word_at), (place, 24));
            others(visitor, view.u32(word_at), place, len);
        }
    }
}

/// Tells of the other prefixes of a run of slots of 24 bits: neighbours of one length that lead to the same.
fn others(visitor: &mut impl Visitor, word: u32, first: u128, slots: u32) {
    let Step::End { len: len @ 1..=24, .. } = decode(word) else { return };
    let (first, step) = ((first >> 104) as u32, 1 << (24 - len));
    let mut next = (first & !(step - 1)) + step;
    while next < first + slots {
        visitor.range(u128::from(next) << 104, word);
        next += step;
    }
}

/// Collects the prefixes of a domain's family.
struct Prefixes {
    found: BTreeMap<(u128, u8), u32>,
    v6: bool,
}

impl Visitor for Prefixes {
    fn units(&mut self, _at: usize, _units: u32) -> bool {
        true
    }
    fn word(&mut self, _at: usize, _word: u32) {}
    fn broken(&mut self, _at: usize) {}
    fn stopped(&self) -> bool {
        false
    }
    fn range(&mut self, first: u128, word: u32) {
        if let Step::End { len, .. } = decode(word) {
            let len = if self.v6 { len } else { len.min(32) };
            self.found.insert((first & !host_bits(len), len), word);
        }
    }
}

const fn host_bits(len: u8) -> u128 {
    if len >= 128 { 0 } else { u128::MAX >> len }
}

impl<'a> FibImage<'a> {
    /// The routes that packets can match, ordered by VRF and prefix. A route all of whose addresses have longer ones
    /// is not in the image; default routes always are.
    pub fn routes(&self) -> Vec<Route> {
        let mut routes = self.hosts();
        let part = self.view.part(section::DOMAINS);
        for at in (0..part.count).filter_map(|index| part.record(index, 32)) {
            let (kind, id) = (self.view.u32(at + 16), self.view.u32(at + 20));
            let (kinds::VRF, Ok(vrf)) = (kind, VrfId::new(id.into())) else { continue };
            for v6 in [false, true] {
                let mut prefixes = Prefixes { found: BTreeMap::new(), v6 };
                let family = at + if v6 { 8 } else { 0 };
                root(self.view, &mut prefixes, family);
                let found = prefixes.found.into_iter();
                routes.extend(found.filter_map(|((addr, len), word)| self.route(vrf, addr, len, v6, word)));
                routes.extend(self.route(vrf, 0, 0, v6, self.view.u32(family + 4)));
            }
        }
        routes.sort_unstable_by_key(|route| (route.vrf, route.prefix));
        routes
    }

    fn route(&self, vrf: VrfId, addr: u128, len: u8, v6: bool, word: u32) -> Option<Route> {
        let Step::End { to, .. } = decode(word) else { return None };
        Some(Route { vrf, prefix: Prefix::new(address(addr, v6), len).ok()?, next: self.next_hop(to)? })
    }

    /// Hosts in buckets.
    fn hosts(&self) -> Vec<Route> {
        let (view, part) = (self.view, self.view.part(section::DOMAINS));
        let vrf = |domain: u32| {
            let at = part.record(domain, 32)?;
            let id = (view.u32(at + 16) == kinds::VRF).then(|| view.u32(at + 20))?;
            VrfId::new(id.into()).ok()
        };
        let routes = hosts_in(view).filter_map(|(domain, key, word)| {
            let addr = u128::from(key.hi) << 64 | u128::from(key.lo);
            self.route(vrf(domain)?, addr, if key.v6 { 128 } else { 32 }, key.v6, word)
        });
        routes.collect()
    }

    /// The adjacencies and groups that routes refer to; and of what a packet needs before its route, the ports, networks
    /// and router ports.
    pub fn tables(&self) -> Tables {
        let mut tables = Tables { entry: self.entry(), ..Tables::default() };
        let groups = 0..self.view.part(section::GROUPS).count;
        tables.groups = groups.filter_map(|index| self.group(index)).collect();
        let indices = 0..self.view.part(section::ADJACENCIES).count;
        let used = |index: &u32| {
            let record: Option<AdjacencyRecord> = self.record(section::ADJACENCIES, *index);
            record.is_some_and(|record| record.used.get() == 1)
        };
        tables.adjacencies = indices.filter(used).filter_map(|index| self.adjacency_at(index)).collect();
        tables
    }

    /// Ports, networks and ports of routers.
    fn entry(&self) -> Entry {
        let mut entry = Entry::default();
        let number = |number: u32| (number != 0).then_some(number);
        let network = |index: u32| {
            let record: NetworkRecord = self.record(section::NETWORKS, index).filter(|_| index != 0)?;
            number(record.key.get()).map(NetworkKey)
        };
        for index in 1..self.view.part(section::NETWORKS).count {
            let Some((key, record)) =
                network(index).zip(self.record::<NetworkRecord>(section::NETWORKS, index))
            else {
                continue;
            };
            let slow = record.flags.get() & flag::SLOW != 0;
            entry.networks.insert(key, Network { mtu: record.mtu.get(), slow });
        }
        for index in 1..self.view.part(section::PORTS).count {
            let Some(record) = self.record::<PortRecord>(section::PORTS, index) else { continue };
            let (key, flags) = (record.key.get(), record.flags.get());
            let port = Port {
                ifindex: number(record.ifindex.get()).map(IfIndex),
                ofport: number(record.ofport.get()).map(OfPort),
                network: network(record.network.get()),
                secured: flags & flag::SECURED != 0,
                slow: flags & flag::SLOW != 0,
            };
            if key != 0 {
                entry.ports.insert(PortKey(key), port);
            }
        }
        for index in 0..self.view.part(section::ROUTER_PORTS).count {
            let Some(record) = self.record::<RouterPortRecord>(section::ROUTER_PORTS, index) else {
                continue;
            };
            let domain: Option<Domain> =
                self.record(section::DOMAINS, record.domain.get() & !crate::layout::PREFIXES_ONLY);
            let vrf = domain.and_then(|domain| VrfId::new(domain.id.get().into()).ok());
            let Some((network, vrf)) = network(record.network.get()).zip(vrf) else { continue };
            let slow = record.flags.get() & flag::SLOW != 0;
            let port = RouterPort { mac: MacAddr(record.mac), network, vrf, mtu: record.mtu.get(), slow };
            entry.router_ports.insert(RouterPortId(record.id.get()), port);
        }
        entry
    }

    /// A group with its members.
    pub(crate) fn group(&self, index: u32) -> Option<(GroupId, EcmpGroup)> {
        let (id, at, count) = self.group_at(index)?;
        let members = (0..count as usize).filter_map(|member| {
            let key = self.view.u32(at + member * 8);
            let (adjacency, _) = self.adjacency_at(self.view.u32(at + member * 8 + 4))?;
            Some(Member { key, adjacency })
        });
        Some((id, EcmpGroup::new(members)))
    }

    /// The VRFs that the image has a domain for.
    pub fn vrfs(&self) -> BTreeSet<VrfId> {
        let part = self.view.part(section::DOMAINS);
        let records = (0..part.count).filter_map(|index| part.record(index, 32));
        let vrfs = records.filter(|at| self.view.u32(at + 16) == kinds::VRF);
        vrfs.filter_map(|at| VrfId::new(self.view.u32(at + 20).into()).ok()).collect()
    }
}

pub(super) fn address(bits: u128, v6: bool) -> IpAddr {
    if v6 { Ipv6Addr::from_bits(bits).into() } else { Ipv4Addr::from_bits((bits >> 96) as u32).into() }
}
