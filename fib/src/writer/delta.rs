//! Changes in place. Each leaves the image as a full build would make it: the same answer for every address.
//!
//! If a change fails with [`BuildError::Full`], each address still has its answer from before or after it; a larger
//! image is to take this one's place.

use super::build::{bits, key_of};
use super::entry::group_units;
use super::table::{Added, Exact};
use super::{BuildError, NO_INDEX, Retired, Writer};
use crate::image::{Visitor, visit};
use crate::layout::{UNIT, ingress, section, word as w};
use crate::memory::{Container, View};
use crate::walk::Key;
use crate::word::{Step, Target, argument, decode, kind};
use crate::{Adjacency, AdjacencyId, EcmpGroup, Entry, Finding, GroupId, NextHop, Prefix, Route, Tables};
use alloc::vec::Vec;
use packet::VrfId;

impl<C: Container> Writer<C> {
    /// Adds or replaces a route.
    ///
    /// # Errors
    /// [`BuildError`] if it names what is not there, or the image is full.
    pub fn insert(&mut self, route: Route) -> Result<(), BuildError> {
        self.unseal();
        let index = self.domain_for(route.vrf)?;
        let (len, (key, addr)) = (route.prefix.len(), key_of(route.prefix.addr()));
        let word = self.target(route.next)?.word(len);
        if len == 0 {
            self.set_default(index, key.v6, word);
            self.default_is(index, key.v6, true);
        } else if !self.in_bucket(index, key, len) || !self.insert_host(index, key, word) {
            self.insert_prefix(index, key.v6, (addr, len), word)?;
        }
        self.done();
        Ok(())
    }

    /// Looks at a route before it goes live, or after: whether it leads out of its VRF's networks, to nobody, or round
    /// in circles.
    pub fn audit(&self, route: &Route) -> Vec<Finding> {
        let adjacency =
            |id| self.adjacency(id).ok().and_then(|index| Some(self.image().adjacency_at(index)?.1));
        let mut groups = Tables::default();
        if let NextHop::Ecmp(id) = route.next
            && let Some(index) = self.group_index.get(&id)
        {
            groups.groups.extend(self.image().group(*index));
        }
        self.image().audit_route(route, &adjacency, &groups)
    }

    /// Removes a route; false if it is not there.
    ///
    /// # Errors
    /// [`BuildError::Full`].
    pub fn remove(&mut self, vrf: VrfId, prefix: Prefix) -> Result<bool, BuildError> {
        let Some(index) = self.vrfs.get(&vrf).copied() else { return Ok(false) };
        self.unseal();
        let (len, (key, addr)) = (prefix.len(), key_of(prefix.addr()));
        let was = if len == 0 {
            let was = self.root_at(index, key.v6).is_some_and(|at| self.view().u32(at + 4) != 0);
            self.set_default(index, key.v6, 0);
            self.default_is(index, key.v6, false);
            was
        } else if self.in_bucket(index, key, len) && self.remove_exact(Exact::host(index, key)).is_some() {
            self.set_seen(index, |state| state.hosts -= 1);
            true
        } else {
            self.remove_prefix(index, key, (addr, len))?
        };
        self.done();
        Ok(was)
    }

    /// Removes a VRF with all its routes. Its domain goes too, unless a route or router port still leads there.
    ///
    /// # Errors
    /// [`BuildError::Full`].
    pub fn remove_vrf(&mut self, vrf: VrfId) -> Result<(), BuildError> {
        let Some(index) = self.vrfs.get(&vrf).copied() else { return Ok(()) };
        self.unseal();
        for (v6, key) in self.hosts_of(index) {
            self.remove_exact(Exact::host(index, key));
            debug_assert_eq!(v6, key.v6);
        }
        for v6 in [false, true] {
            self.set_default(index, v6, 0);
            self.default_is(index, v6, false);
            self.set_seen(index, |state| {
                state.hosts = 0;
                state.family(v6).prefixes.clear();
            });
            self.rebuild(index, v6, (0, 0))?;
        }
        if !self.is_named(Target::Other(index)) && !self.has_router_port(index) {
            let key = ingress::VRF << ingress::KIND_SHIFT | u64::from(vrf.get());
            self.remove_exact(Exact::Plain(section::INGRESS, key));
            self.vrfs.remove(&vrf);
            self.retire(Retired::Domain(index));
        }
        self.done();
        Ok(())
    }

    /// Adds an adjacency, or changes it wherever it is used: each lookup gives it as it was or as it is, never a
    /// mixture. A change goes through all of the image.
    ///
    /// # Errors
    /// [`BuildError::Full`].
    pub fn set_adjacency(
        &mut self,
        id: AdjacencyId,
        adjacency: &Adjacency,
        entry: &Entry,
    ) -> Result<(), BuildError> {
        if id.0 >= 1 << 24 {
            return Err(BuildError::TooLarge { what: "adjacency id", value: id.0 as usize });
        }
        let old = self.adjacency(id).ok();
        if old.is_some_and(|old| self.image().adjacency_at(old) == Some((id, *adjacency))) {
            return Ok(());
        }
        self.unseal();
        let egress = self.egress(adjacency.egress, entry)?;
        let new = self.write_adjacency(id, adjacency, egress)?;
        if let Some(old) = old {
            self.replace(old, new);
            self.retire(Retired::Adjacency(old));
        }
        self.done();
        Ok(())
    }

    /// Removes an adjacency that nothing leads to; false if something does, or it is not there.
    pub fn remove_adjacency(&mut self, id: AdjacencyId) -> bool {
        let Ok(index) = self.adjacency(id) else { return false };
        if self.is_named(Target::Adjacency(index)) || self.members().any(|at| self.view().u32(at) == index) {
            return false;
        }
        if let Some(place) = self.adjacency_index.get_mut(id.0 as usize) {
            *place = NO_INDEX;
        }
        self.retire(Retired::Adjacency(index));
        self.done();
        true
    }

    /// Adds a group or changes its members.
    ///
    /// # Errors
    /// [`BuildError`] if a member's adjacency is not there, there is none, or the image is full.
    pub fn set_group(&mut self, id: GroupId, group: &EcmpGroup) -> Result<(), BuildError> {
        self.unseal();
        let old = self.group_index.get(&id).copied().and_then(|index| self.group_place(index));
        self.write_group(id, group)?;
        if let Some((offset, units)) = old {
            self.retire(Retired::Units(offset, units));
        }
        self.done();
        Ok(())
    }

    /// Removes a group that no route leads to; false if one does, or it is not there.
    pub fn remove_group(&mut self, id: GroupId) -> bool {
        let Some(index) = self.group_index.get(&id).copied() else { return false };
        if self.is_named(Target::Group(index)) {
            return false;
        }
        self.unseal();
        if let Some((offset, units)) = self.group_place(index) {
            self.retire(Retired::Units(offset, units));
        }
        if let Some(at) = self.view().part(section::GROUPS).record(index, 4) {
            self.view().store32(at, 0);
        }
        self.group_index.remove(&id);
        self.retire(Retired::Group(index));
        self.done();
        true
    }

    fn default_is(&mut self, index: u32, v6: bool, there: bool) {
        self.set_seen(index, |state| {
            let [default4, default6] = &mut state.defaults;
            *(if v6 { default6 } else { default4 }) = there;
        });
    }

    /// True for hosts of domains that keep them in buckets, but those that found no room there.
    fn in_bucket(&mut self, index: u32, key: Key, len: u8) -> bool {
        let host = len == if key.v6 { 128 } else { 32 };
        let Some(state) = self.domains.get_mut(index as usize) else { return false };
        host && !state.prefixes_only && !state.family(key.v6).prefixes.contains_key(&(bits(key), len))
    }

    /// False if there is no room in its buckets.
    fn insert_host(&mut self, index: u32, key: Key, word: u32) -> bool {
        let exact = Exact::host(index, key);
        match self.add_exact(exact, word) {
            Added::Replaced(_) => true,
            Added::Placed => {
                self.set_seen(index, |state| state.hosts += 1);
                true
            }
            Added::NoRoom => false,
        }
    }

    fn insert_prefix(
        &mut self,
        index: u32,
        v6: bool,
        prefix: (u128, u8),
        word: u32,
    ) -> Result<(), BuildError> {
        let Some(state) = self.domains.get_mut(index as usize) else { return Ok(()) };
        let (only, old) = (state.prefixes_only, state.family(v6).prefixes.insert(prefix, word));
        self.rebuild(index, v6, prefix)?;
        let (addr, len) = prefix;
        if old.is_none() && !only && len == if v6 { 128 } else { 32 } {
            self.count_overflow(Exact::host(index, key_from(addr, v6)), 1);
        }
        Ok(())
    }

    fn remove_prefix(&mut self, index: u32, key: Key, prefix: (u128, u8)) -> Result<bool, BuildError> {
        let Some(state) = self.domains.get_mut(index as usize) else { return Ok(false) };
        let only = state.prefixes_only;
        if state.family(key.v6).prefixes.remove(&prefix).is_none() {
            return Ok(false);
        }
        self.rebuild(index, key.v6, prefix)?;
        if !only && prefix.1 == if key.v6 { 128 } else { 32 } {
            self.count_overflow(Exact::host(index, key), -1);
        }
        Ok(true)
    }

    /// The hosts of a domain that are in buckets.
    fn hosts_of(&self, index: u32) -> Vec<(bool, Key)> {
        crate::image::hosts_in(self.view())
            .filter(|(domain, _, _)| *domain == index)
            .map(|(_, key, _)| (key.v6, key))
            .collect()
    }

    fn has_router_port(&self, index: u32) -> bool {
        let (view, part) = (self.view(), self.view().part(section::ROUTER_PORTS));
        let records = (0..part.count).filter_map(|port| part.record(port, 32));
        records.take(self.router_ports.len()).any(|at| argument(view.u32(at + 12)) == index)
    }

    /// Offset and units of a group.
    fn group_place(&self, index: u32) -> Option<(u32, u32)> {
        let offset = self.view().u32(self.view().part(section::GROUPS).record(index, 4)?);
        let count = self.view().u32(offset as usize * UNIT + 4);
        (offset != 0).then(|| (offset, group_units(count)))
    }

    /// The byte offsets of all members' adjacencies.
    fn members(&self) -> impl Iterator<Item = usize> {
        let groups = self.group_index.values().filter_map(|index| self.group_place(*index));
        groups.flat_map(|(offset, _)| {
            let at = offset as usize * UNIT;
            (0..self.view().u32(at + 4) as usize).map(move |member| at + 12 + member * 8)
        })
    }

    /// True if a word leads there.
    fn is_named(&self, to: Target) -> bool {
        let mut words = Words { to: to.word(0), found: Vec::new(), view: self.view() };
        visit(self.image(), &mut words);
        !words.found.is_empty()
    }

    /// Leads all words and members of one adjacency to another.
    fn replace(&mut self, old: u32, new: u32) {
        let mut words = Words { to: Target::Adjacency(old).word(0), found: Vec::new(), view: self.view() };
        visit(self.image(), &mut words);
        let view = self.view();
        for at in words.found {
            view.store32(at, led_to(view.u32(at), new));
        }
        let members: Vec<usize> = self.members().filter(|at| view.u32(*at) == old).collect();
        for at in members {
            self.view().store32(at, new);
        }
        let is_old = |word: u32| kind(word) == w::ADJACENCY && argument(word) == old;
        for state in &mut self.domains {
            let families = [&mut state.v4, &mut state.v6];
            let words = families.into_iter().flat_map(|family| family.prefixes.values_mut());
            words.filter(|word| is_old(**word)).for_each(|word| *word = led_to(*word, new));
            for root in [&mut state.v4.root, &mut state.v6.root] {
                if is_old(*root) {
                    *root = led_to(*root, new);
                }
            }
        }
    }
}

const fn led_to(word: u32, index: u32) -> u32 {
    word & !w::ARGUMENT_MASK | index & w::ARGUMENT_MASK
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
const fn key_from(addr: u128, v6: bool) -> Key {
    Key { hi: (addr >> 64) as u64, lo: addr as u64, v6 }
}

/// Collects where words lead to a target.
struct Words<'a> {
    /// The target as a word without length.
    to: u32,
    found: Vec<usize>,
    view: View<'a>,
}

impl Visitor for Words<'_> {
    fn units(&mut self, _at: usize, _units: u32) -> bool {
        true
    }

    fn word(&mut self, at: usize, word: u32) {
        let same = kind(word) == kind(self.to) && argument(word) == argument(self.to);
        if same && matches!(decode(word), Step::End { .. }) && self.view.u32(at) == word {
            self.found.push(at);
        }
    }

    fn broken(&mut self, _at: usize) {}

    fn stopped(&self) -> bool {
        false
    }
}
