//! Prefixes to trees and wide tables.

use super::{Retired, Writer};
use crate::layout::{CHUNK_RUNS, CHUNK_UNITS, Inner, Leaf, Runs, UNIT, WIDE_DIRECTORY, word as w};
use crate::memory::Container;
use crate::word::{Step, chunk, decode, kind, levels, offset, tree, wide};
use crate::{BuildError, memory::View};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

/// Address, its first bits uppermost, and length, to word. Without the default route.
pub(super) type Prefixes = BTreeMap<(u128, u8), u32>;

/// From this many prefixes on, a family of a domain is a wide table: a tree is smaller, but a change rebuilds it.
pub(super) const WIDE_FROM: usize = 8192;

/// A wide table's slots in a chunk.
const SLOTS: usize = CHUNK_RUNS * 64;
const DIRECTORY_UNITS: u32 = 64;
const _: () = assert!(WIDE_DIRECTORY * 4 == DIRECTORY_UNITS as usize * UNIT, "a whole number of units");

#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub(super) addr: u128,
    pub(super) len: u8,
    pub(super) word: u32,
}

impl Item {
    pub(super) fn of((key, word): (&(u128, u8), &u32)) -> Self {
        Self { addr: key.0, len: key.1, word: *word }
    }
}

/// `bits` bits of an address from bit `from` on; at most 32, zero behind its end.
const fn part(addr: u128, from: u32, bits: u32) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "at most 32 bits are left")]
    if from >= 128 { 0 } else { (addr << from >> (128 - bits)) as u32 }
}

/// The last address of a prefix.
pub(super) const fn last(addr: u128, len: u8) -> u128 {
    if len >= 128 { addr } else { addr | u128::MAX >> len }
}

/// A step function under construction: first keys and words.
#[derive(Debug)]
struct Steps {
    steps: Vec<(u32, u32)>,
    /// Ends, inclusive, and words of the ranges that are open, outermost first. The first never closes.
    open: Vec<(u32, u32)>,
}

impl Steps {
    fn new(word: u32, last: u32, room: usize) -> Self {
        let mut steps = Vec::with_capacity(room * 2 + 1);
        steps.push((0, word));
        Self { steps, open: alloc::vec![(last, word)] }
    }

    fn emit(&mut self, key: u32, word: u32) {
        if self.steps.pop_if(|(last, _)| *last == key).is_some() && self.steps.is_empty() {
            return self.steps.push((key, word));
        }
        if self.steps.last().is_none_or(|(_, before)| *before != word) {
            self.steps.push((key, word));
        }
    }

    /// Ends all ranges that end before a key; gives the word of the innermost one left.
    fn close(&mut self, key: u32) -> u32 {
        while let Some((end, _)) = self.open.pop_if(|(end, _)| *end < key) {
            let word = self.top();
            self.emit(end.wrapping_add(1), word);
        }
        self.top()
    }

    fn top(&self) -> u32 {
        self.open.last().map_or(0, |(_, word)| *word)
    }

    /// Begins a prefix's range. It is a step of its own even where the prefix before has the same word, so that each
    /// can be read back.
    fn range(&mut self, first: u32, end: u32, word: u32) {
        self.steps.pop_if(|(last, _)| *last == first);
        self.steps.push((first, word));
        self.open.push((end, word));
    }

    fn finish(mut self) -> Vec<(u32, u32)> {
        while self.open.len() > 1
            && let Some((end, _)) = self.open.pop()
        {
            let (word, limit) = (self.top(), self.open.first().map_or(0, |(last, _)| *last));
            if end < limit {
                self.emit(end + 1, word);
            }
        }
        self.steps
    }
}

impl<C: Container> Writer<C> {
    /// The step function of `bits` bits from bit `from` on. All items have the bits before in common, are longer than
    /// them, and are in order. Trees of longer prefixes are built on the way.
    fn steps(
        &mut self,
        items: &[Item],
        inherited: u32,
        from: u32,
        bits: u32,
    ) -> Result<Vec<(u32, u32)>, BuildError> {
        let all = u32::MAX >> (32 - bits);
        let mut steps = Steps::new(inherited, all, items.len());
        let mut rest = items;
        while let [item, others @ ..] = rest {
            let key = part(item.addr, from, bits);
            let outer = steps.close(key);
            let longer = u32::from(item.len).saturating_sub(from + bits);
            if longer == 0 {
                let host_bits = from + bits - u32::from(item.len);
                let hosts = if host_bits >= 32 { all } else { (1 << host_bits) - 1 };
                steps.range(key, key | hosts, item.word);
                rest = others;
                continue;
            }
            let same = |other: &&Item| part(other.addr, from, bits) == key;
            let (group, others) = rest.split_at(rest.iter().take_while(same).count());
            let word = self.tree(group, outer, from + bits)?;
            steps.range(key, key, word);
            rest = others;
        }
        Ok(steps.finish())
    }

    /// The word of a tree of these prefixes; what no prefix covers has the inherited word.
    pub(super) fn tree(&mut self, items: &[Item], inherited: u32, from: u32) -> Result<u32, BuildError> {
        let steps = self.steps(items, inherited, from, 32)?;
        match steps.as_slice() {
            [(_, only)] => Ok(*only),
            steps => self.write_tree(steps),
        }
    }

    fn write_tree(&mut self, steps: &[(u32, u32)]) -> Result<u32, BuildError> {
        // Nodes by level, leaves first; then their first keys.
        let mut firsts: Vec<Vec<u32>> = alloc::vec![steps.chunks(8).filter_map(first).collect()];
        while let Some(below) = firsts.last()
            && below.len() > 1
        {
            let above = below.chunks(16).filter_map(|keys| keys.first().copied()).collect();
            firsts.push(above);
        }
        let units = count("tree node", firsts.iter().map(Vec::len).sum())?;
        let levels = count("tree level", firsts.len())?;
        if levels > w::MAX_LEVELS {
            return Err(BuildError::TooLarge { what: "tree of intervals", value: steps.len() });
        }
        let root = self.take(units)?;
        let (view, mut at) = (self.view(), root);
        for (below, nodes) in firsts.windows(2).rev().filter_map(|pair| pair.split_first()) {
            let Some(nodes) = nodes.first() else { continue };
            let mut child = at + count("tree node", nodes.len())?;
            for children in below.chunks(16) {
                view.write(at as usize * UNIT, inner(children, child).as_bytes());
                child += count("tree node", children.len())?;
                at += 1;
            }
        }
        for steps in steps.chunks(8) {
            view.write(at as usize * UNIT, leaf(steps).as_bytes());
            at += 1;
        }
        Ok(tree(levels, root))
    }

    /// The word of a wide table of these prefixes. `old` is the table so far, and `block` the prefix that changed;
    /// without an old table, everything is new. The old parts are retired.
    pub(super) fn wide(
        &mut self,
        prefixes: &Prefixes,
        old: u32,
        block: (u128, u8),
    ) -> Result<u32, BuildError> {
        let (root, (addr, len)) = match decode(old) {
            Step::Wide { .. } => (old, block),
            _ => (wide(self.take_zeroed(DIRECTORY_UNITS)?), (0, 0)),
        };
        let len = len.min(24);
        let addr = addr & !(u128::MAX >> len);
        let (first, end) = (part(addr, 0, 10), part(last(addr, len), 0, 10));
        for index in first..=end {
            let entry = offset(root) + index as usize * 4;
            let (addr, len) = if len >= 10 { (addr, len) } else { (u128::from(index) << 118, 10) };
            let before = self.view().u32(entry);
            let after = self.chunk(prefixes, before, (addr, len))?;
            if before != after {
                self.view().store32(entry, after);
                self.retire_chunk(before);
            }
        }
        if kind(old) != w::WIDE {
            self.retire_root(old);
        }
        Ok(root)
    }

    /// The chunk for a directory's entry after a change in `block`, of at least 10 bits and at most 24.
    fn chunk(&mut self, prefixes: &Prefixes, old: u32, block: (u128, u8)) -> Result<u32, BuildError> {
        let (addr, len) = block;
        let items: Vec<Item> = prefixes.range((addr, len)..=(last(addr, len), 128)).map(Item::of).collect();
        let inherited = covering(prefixes, block);
        if items.is_empty() && len == 10 && kind(old) != w::CHUNK {
            return Ok(inherited);
        }
        // The whole 24 bits are the keys, of which the block is a part.
        let steps = self.steps(&items, inherited, 0, 24)?;
        let mut slots = expand(self.view(), old);
        let block = part(addr, 10, 14) as usize..=part(last(addr, len), 10, 14) as usize;
        let (from, base) = (part(addr, 0, 24), part(addr, 0, 10) << 14);
        let mut dropped: Vec<u32> = Vec::new();
        for slot in slots.get_mut(block.clone()).unwrap_or_default() {
            if kind(*slot) == w::TREE && dropped.last() != Some(slot) {
                dropped.push(*slot);
            }
        }
        let end = *block.end();
        for (index, (key, word)) in steps.iter().enumerate() {
            let start = ((*key).max(from) - base) as usize;
            let stop = steps.get(index + 1).map_or(end + 1, |(next, _)| (next.saturating_sub(base)) as usize);
            let stop = stop.min(end + 1);
            slots.get_mut(start..stop.max(start)).unwrap_or_default().fill(*word);
        }
        if slots.iter().all(|slot| Some(slot) == slots.first())
            && slots.first().is_some_and(|s| kind(*s) != w::TREE)
        {
            dropped.into_iter().for_each(|tree| self.retire_root(tree));
            return Ok(slots.first().copied().unwrap_or_default());
        }
        let word = self.write_chunk(&slots)?;
        dropped.into_iter().for_each(|tree| self.retire_root(tree));
        Ok(word)
    }

    fn write_chunk(&mut self, slots: &[u32]) -> Result<u32, BuildError> {
        let mut words: Vec<U32> = Vec::with_capacity(SLOTS / 8);
        let mut runs = Vec::with_capacity(CHUNK_RUNS);
        for slots in slots.chunks(64) {
            let base = count("word of a chunk", words.len())?;
            let (mut starts, mut before) = (0, None);
            for (slot, word) in slots.iter().enumerate() {
                if before.replace(*word) != Some(*word) {
                    starts |= 1 << slot;
                    words.push((*word).into());
                }
            }
            runs.push(Runs { starts: u64::into(starts), base: base.into(), reserved: [0; 4] });
        }
        let units = CHUNK_UNITS + count("word of a chunk", words.len().div_ceil(16))?;
        let at = self.take(units)?;
        self.view().write(at as usize * UNIT, runs.as_bytes());
        self.view().write((at + CHUNK_UNITS) as usize * UNIT, words.as_bytes());
        Ok(chunk(at))
    }

    /// A tree or wide table that no new lookup reaches any more, with all below it.
    pub(super) fn retire_root(&mut self, root: u32) {
        match decode(root) {
            Step::Tree { offset, .. } => {
                let mut words = Vec::new();
                let units = tree_words(self.view(), root, &mut words);
                words.retain(|word| kind(*word) == w::TREE);
                words.into_iter().for_each(|tree| self.retire_root(tree));
                self.retire(Retired::Units(offset, units));
            }
            Step::Wide { offset: at } => {
                for index in 0..WIDE_DIRECTORY {
                    let entry = self.view().u32(offset(root) + index * 4);
                    let trees = expand(self.view(), entry).into_iter().filter(|word| kind(*word) == w::TREE);
                    let trees: Vec<u32> = trees.collect();
                    trees.into_iter().for_each(|tree| self.retire_root(tree));
                    self.retire_chunk(entry);
                }
                self.retire(Retired::Units(at, DIRECTORY_UNITS));
            }
            Step::None | Step::End { .. } | Step::Chunk { .. } => {}
        }
    }

    /// A chunk, without the trees below it.
    fn retire_chunk(&mut self, entry: u32) {
        if let Step::Chunk { offset: at } = decode(entry) {
            let words = chunk_words(self.view(), offset(entry));
            self.retire(Retired::Units(at, CHUNK_UNITS + words.div_ceil(16)));
        }
    }
}

/// The word of the longest prefix that contains a block and is shorter; 0 without.
fn covering(prefixes: &Prefixes, (addr, len): (u128, u8)) -> u32 {
    let shorter = (1..len).rev().map(|len| (addr & !(u128::MAX >> len), len));
    shorter.filter_map(|key| prefixes.get(&key)).next().copied().unwrap_or_default()
}

/// The words of a directory's entry, slot by slot.
fn expand(view: View<'_>, entry: u32) -> Vec<u32> {
    if kind(entry) != w::CHUNK {
        return alloc::vec![entry; SLOTS];
    }
    let (at, mut slots) = (offset(entry), Vec::with_capacity(SLOTS));
    let words = at + CHUNK_UNITS as usize * UNIT;
    for index in 0..CHUNK_RUNS {
        let (starts, base) = (view.u64(at + index * 16), view.u32(at + index * 16 + 8) as usize);
        let (mut word, mut next) = (0, base);
        for slot in 0..64 {
            if starts >> slot & 1 == 1 {
                word = view.u32(words.wrapping_add(next.wrapping_mul(4)));
                next = next.wrapping_add(1);
            }
            slots.push(word);
        }
    }
    slots
}

/// How many words a chunk has.
pub(crate) fn chunk_words(view: View<'_>, at: usize) -> u32 {
    let last = at + (CHUNK_RUNS - 1) * 16;
    view.u32(last + 8).saturating_add(view.u64(last).count_ones())
}

/// The words of a tree's leaves, in order; gives how many units the tree has.
pub(super) fn tree_words(view: View<'_>, root: u32, words: &mut Vec<u32>) -> u32 {
    let mut nodes = alloc::vec![offset(root)];
    let mut units = 0;
    for level in (1..=levels(root)).rev() {
        units += u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        if level == 1 {
            break;
        }
        let children = |at: &usize| {
            let children = view.u32(at + 60);
            (0..=children >> 28).map(move |child| ((children & w::OFFSET_MASK) + child) as usize * UNIT)
        };
        nodes = nodes.iter().flat_map(children).collect();
    }
    for at in nodes {
        let count = view.u32(at + 28).min(8) as usize;
        words.extend((0..count).map(|index| view.u32(at + 32 + index * 4)));
    }
    units
}

fn first(steps: &[(u32, u32)]) -> Option<u32> {
    steps.first().map(|(key, _)| *key)
}

fn inner(first_keys: &[u32], child: u32) -> Inner {
    let mut starts = [U32::from(u32::MAX); 15];
    starts.iter_mut().zip(first_keys.iter().skip(1)).for_each(|(to, key)| *to = (*key).into());
    let last = u32::try_from(first_keys.len().saturating_sub(1)).unwrap_or_default();
    Inner { starts, children: (last << 28 | child).into() }
}

fn leaf(steps: &[(u32, u32)]) -> Leaf {
    let last = steps.last().map_or(0, |(_, word)| *word);
    let (mut starts, mut words) = ([U32::from(u32::MAX); 7], [U32::from(last); 8]);
    starts.iter_mut().zip(steps.iter().skip(1)).for_each(|(to, (key, _))| *to = (*key).into());
    words.iter_mut().zip(steps).for_each(|(to, (_, word))| *to = (*word).into());
    Leaf { starts, count: u32::try_from(steps.len()).unwrap_or_default().into(), words }
}

pub(super) fn count(what: &'static str, value: usize) -> Result<u32, BuildError> {
    u32::try_from(value).map_err(|_| BuildError::TooLarge { what, value })
}
