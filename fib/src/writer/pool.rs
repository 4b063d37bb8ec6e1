//! The pool's free units.

use alloc::collections::{BTreeMap, BTreeSet};

/// Which units are free. Best fit; neighbours that are free become one.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// Offset to length.
    free: BTreeMap<u32, u32>,
    /// The same as length and offset.
    by_len: BTreeSet<(u32, u32)>,
    /// Units that were never used begin here.
    pub(super) end: u32,
}

impl Pool {
    pub(super) const fn starting_at(end: u32) -> Self {
        Self { free: BTreeMap::new(), by_len: BTreeSet::new(), end }
    }

    /// Takes units; `None` if neither free ones nor those up to `limit` suffice.
    pub(super) fn take(&mut self, len: u32, limit: u32) -> Option<u32> {
        if let Some((had, offset)) = self.by_len.range((len, 0)..).next().copied() {
            self.forget(offset, had);
            self.remember(offset + len, had - len);
            return Some(offset);
        }
        let offset = self.end;
        let end = offset.checked_add(len).filter(|end| *end <= limit)?;
        self.end = end;
        Some(offset)
    }

    /// Gives units back.
    pub(super) fn give(&mut self, offset: u32, len: u32) {
        let (mut offset, mut len) = (offset, len);
        if let Some((before, its)) = self.free.range(..offset).next_back().map(|(at, len)| (*at, *len))
            && before + its == offset
        {
            self.forget(before, its);
            (offset, len) = (before, its + len);
        }
        if let Some(its) = self.free.get(&(offset + len)).copied() {
            self.forget(offset + len, its);
            len += its;
        }
        if offset + len == self.end {
            self.end = offset;
        } else {
            self.remember(offset, len);
        }
    }

    /// Units in the free list.
    pub(super) fn free(&self) -> u32 {
        self.free.values().sum()
    }

    fn forget(&mut self, offset: u32, len: u32) {
        self.free.remove(&offset);
        self.by_len.remove(&(len, offset));
    }

    fn remember(&mut self, offset: u32, len: u32) {
        if len > 0 {
            self.free.insert(offset, len);
            self.by_len.insert((len, offset));
        }
    }
}

/// Records of a section that are free.
#[derive(Debug, Default)]
pub(super) struct Slots {
    free: alloc::vec::Vec<u32>,
    next: u32,
    limit: u32,
}

impl Slots {
    pub(super) const fn new(next: u32, limit: u32) -> Self {
        Self { free: alloc::vec::Vec::new(), next, limit }
    }

    pub(super) fn take(&mut self) -> Option<u32> {
        if let Some(index) = self.free.pop() {
            return Some(index);
        }
        let index = self.next;
        self.next = (index < self.limit).then(|| index + 1)?;
        Some(index)
    }

    pub(super) fn give(&mut self, index: u32) {
        self.free.push(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn no_unit_is_given_twice_and_none_is_lost() {
        bolero::check!().with_type::<Vec<(bool, u8)>>().for_each(|ops| {
            let (mut pool, mut held) = (Pool::starting_at(10), Vec::<(u32, u32)>::new());
            for (take, number) in ops {
                if *take {
                    let len = u32::from(*number % 20) + 1;
                    if let Some(offset) = pool.take(len, 200) {
                        let apart = |(at, its): &(u32, u32)| offset + len <= *at || at + its <= offset;
                        assert!(offset >= 10 && offset + len <= 200 && held.iter().all(apart));
                        held.push((offset, len));
                    }
                } else if !held.is_empty() {
                    let (offset, len) = held.swap_remove(usize::from(*number) % held.len());
                    pool.give(offset, len);
                }
                let used: u32 = held.iter().map(|(_, len)| len).sum();
                assert_eq!(used + pool.free() + 10, pool.end);
            }
            for (offset, len) in held {
                pool.give(offset, len);
            }
            assert_eq!((pool.end, pool.free()), (10, 0));
        });
    }
}
