//! The lookups of a burst that are no hosts in buckets.

use super::{Address, BURST, Keys, Set, of, put};
use crate::layout::word as w;
use crate::memory::{Isa, View};
use crate::walk::{Key, answer_at, child_at, directory_entry, leaf_word, roots, runs_at};
use crate::word::{kind, levels, offset};

/// Most trees one behind the other: the last has the last bits of an IPv6 address behind a wide table.
const MAX_TREES: u32 = 4;

/// Walks through trees: by lookup, the node to read next as a byte offset, the levels left, how many bits of the address
/// have been used, and the 32 that this tree takes.
pub(super) struct Walks<'a> {
    view: View<'a>,
    active: Set,
    nodes: [usize; BURST],
    levels: [u32; BURST],
    used: [u32; BURST],
    keys: [u32; BURST],
}

impl<'a> Walks<'a> {
    #[inline(always)]
    pub(super) fn new(view: View<'a>) -> Self {
        let none = [0; BURST];
        Self { view, active: Set::default(), nodes: [0; BURST], levels: none, used: none, keys: none }
    }

    /// Follows a word: into a tree, or to the end.
    #[inline(always)]
    fn follow(&mut self, index: usize, key: Key, used: u32, word: u32, words: &mut [u32; BURST]) {
        put(words, index, if kind(word) < w::TREE { word } else { 0 });
        if kind(word) != w::TREE {
            return;
        }
        self.view.prefetch(offset(word));
        self.active.add(index, true);
        put(&mut self.nodes, index, offset(word));
        put(&mut self.levels, index, levels(word));
        put(&mut self.used, index, used);
        put(&mut self.keys, index, key.bits(used));
    }

    /// Through all trees, level by level: first the inner nodes, then all leaves.
    #[inline(always)]
    pub(super) fn run<I: Isa, A: Address, const M: u8>(&mut self, keys: &Keys<A>, words: &mut [u32; BURST]) {
        for _ in 0..MAX_TREES {
            let leaves = core::mem::take(&mut self.active);
            if leaves.0 == 0 {
                return;
            }
            let mut inner = Set::default();
            for index in leaves {
                inner.add(index, of(&self.levels, index) > 1);
            }
            for left in 1..=w::MAX_LEVELS {
                let level = core::mem::take(&mut inner);
                for index in level {
                    let child = child_at::<I, M>(self.view, of(&self.nodes, index), of(&self.keys, index));
                    self.view.prefetch(child);
                    put(&mut self.nodes, index, child);
                    inner.add(index, of(&self.levels, index) > left + 1);
                }
                if inner.0 == 0 {
                    break;
                }
            }
            for index in leaves {
                let (node, key) = (of(&self.nodes, index), of(&self.keys, index));
                let word = leaf_word::<I, M>(self.view, node, key);
                let ((_, addr), used) = (of(keys, index), of(&self.used, index) + 32);
                // What no later tree leads to is no route but the default.
                self.follow(index, addr.key(), if M == 14 { used - 32 } else { used }, word, words);
            }
        }
    }

    /// All of a burst in one wide table.
    #[inline(always)]
    pub(super) fn wide<I: Isa, A: Address, const M: u8>(
        &mut self,
        table: usize,
        keys: &Keys<A>,
        words: &mut [u32; BURST],
    ) {
        let (view, mut entries) = (self.view, [0; BURST]);
        for ((_, addr), place) in keys.iter().zip(&mut entries) {
            let hi = addr.key().hi;
            *place = directory_entry(view, table, hi);
            view.prefetch(runs_at(offset(*place), hi));
        }
        for (index, ((_, addr), entry)) in keys.iter().zip(entries).enumerate() {
            let key = addr.key();
            let word = match kind(entry) {
                w::CHUNK => view.u32(answer_at::<I, M>(view, offset(entry), key.hi)),
                _ if M == 5 => 0,
                _ => entry,
            };
            self.follow(index, key, 24, word, words);
        }
    }

    /// Each lookup in its own domain: of a tree, its root; of a wide table, all of it.
    #[inline(always)]
    pub(super) fn begin<I: Isa, A: Address, const M: u8>(
        &mut self,
        keys: &Keys<A>,
        rest: Set,
        words: &mut [u32; BURST],
    ) {
        let view = self.view;
        let (mut wide, mut chunks) = (Set::default(), [0; BURST]);
        for index in rest {
            let (domain, addr) = of(keys, index);
            let key = addr.key();
            let root = roots::<M>(view, domain.0, key.v6).map_or(0, |root| view.u32(root));
            if kind(root) != w::WIDE {
                self.follow(index, key, 0, root, words);
                continue;
            }
            let entry = directory_entry(view, offset(root), key.hi);
            if kind(entry) == w::CHUNK {
                view.prefetch(runs_at(offset(entry), key.hi));
                put(&mut chunks, index, offset(entry));
                wide.add(index, true);
            } else {
                self.follow(index, key, 24, if M == 5 { 0 } else { entry }, words);
            }
        }
        for index in wide {
            let (_, addr) = of(keys, index);
            let answer = answer_at::<I, M>(view, of(&chunks, index), addr.key().hi);
            view.prefetch(answer);
            put(&mut chunks, index, answer);
        }
        for index in wide {
            let (_, addr) = of(keys, index);
            self.follow(index, addr.key(), 24, view.u32(of(&chunks, index)), words);
        }
    }

    /// The default routes of those that have found nothing.
    #[inline(always)]
    pub(super) fn defaults<A: Address, const M: u8>(
        &self,
        keys: &Keys<A>,
        rest: Set,
        words: &mut [u32; BURST],
    ) {
        for index in rest {
            if of(words, index) == 0 && M != 12 {
                let (domain, addr) = of(keys, index);
                let root = roots::<M>(self.view, domain.0, addr.key().v6);
                put(words, index, root.map_or(0, |root| self.view.u32(root + 4)));
            }
        }
    }
}

/// The byte offset of the wide table in which all of a burst is looked up, if that is so: then its lookups are so short
/// that the processor overlaps them by itself.
#[inline(always)]
pub(super) fn one_wide_table<A: Address, const M: u8>(
    view: View<'_>,
    keys: &Keys<A>,
    rest: Set,
) -> Option<usize> {
    let [(domain, addr), ..] = keys;
    let others = keys.iter().fold(0, |others, (other, _)| others | (other.0 ^ domain.0));
    if rest.0 != u32::MAX || others != 0 && M != 15 {
        return None;
    }
    let root = view.u32(roots::<M>(view, domain.0, addr.key().v6)?);
    (kind(root) == w::WIDE).then_some(offset(root))
}
