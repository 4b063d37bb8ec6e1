//! Exact-match sections: adding and removing keys in place.

use super::{Retired, Writer};
use crate::hash;
use crate::layout::section;
use crate::memory::Container;
use crate::walk::{
    Key, OVERFLOW_AT, OVERFLOW6_AT, TAGS6_AT, WORDS_AT, WORDS6_AT, homes, host4_key, host6_tag, slot, slot6,
};

/// A key of an exact-match section.
#[derive(Debug, Clone, Copy)]
pub(super) enum Exact {
    /// Section and key.
    Plain(usize, u64),
    /// An IPv6 host: its tag and address.
    Host6(u32, Key),
}

/// What became of a key to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    /// It had a slot; this is the word it had.
    Replaced(u32),
    /// It has one now.
    Placed,
    /// Its buckets have no free slot.
    NoRoom,
}

impl Exact {
    pub(super) const fn host(domain: u32, key: Key) -> Self {
        if key.v6 {
            Self::Host6(host6_tag(domain), key)
        } else {
            Self::Plain(section::HOSTS4, host4_key(domain, key.hi))
        }
    }

    const fn slots(self) -> usize {
        if let Self::Host6(..) = self { 2 } else { 5 }
    }

    const fn overflow_at(self) -> usize {
        if let Self::Host6(..) = self { OVERFLOW6_AT } else { OVERFLOW_AT }
    }
}

impl<C: Container> Writer<C> {
    /// The byte offsets of a key's buckets, home first.
    fn buckets(&self, key: Exact) -> (usize, usize) {
        let (view, seed) = (self.view(), self.view().table_seed());
        match key {
            Exact::Plain(section, key) => homes(view.part(section), hash::of_key(key, seed)),
            Exact::Host6(tag, key) => {
                homes(view.part(section::HOSTS6), hash::of_host6(tag, key.hi, key.lo, seed))
            }
        }
    }

    /// The byte offset of the slot's word, in a bucket.
    fn word_in(&self, bucket: usize, key: Exact) -> Option<usize> {
        match key {
            Exact::Plain(_, key) => Some(bucket + WORDS_AT + slot(self.view(), bucket, key)? * 4),
            Exact::Host6(tag, key) => Some(bucket + WORDS6_AT + slot6(self.view(), bucket, tag, key)? * 4),
        }
    }

    /// Replaces the word of a key, or adds the key where there is room.
    pub(super) fn add_exact(&mut self, key: Exact, word: u32) -> Added {
        let (home, other) = self.buckets(key);
        let view = self.view();
        let known = self.word_in(home, key).or_else(|| self.word_in(other, key));
        if let Some(at) = known {
            let old = view.u32(at);
            view.store32(at, word);
            return Added::Replaced(old);
        }
        self.place(home, other, key, word)
    }

    /// Adds a key that has no slot yet.
    pub(super) fn add_new(&self, key: Exact, word: u32) -> Added {
        let (home, other) = self.buckets(key);
        self.place(home, other, key, word)
    }

    /// Asks for the home of a key.
    pub(super) fn prefetch_home(&self, key: Exact) {
        self.view().prefetch(self.buckets(key).0);
    }

    /// Adds a key that has no slot yet to its home alone.
    pub(super) fn add_home(&self, key: Exact, word: u32) -> Added {
        let (home, _) = self.buckets(key);
        if self.fill(home, key, word) { Added::Placed } else { Added::NoRoom }
    }

    fn place(&self, home: usize, other: usize, key: Exact, word: u32) -> Added {
        if self.fill(home, key, word) {
            return Added::Placed;
        }
        if home != other && self.fill(other, key, word) {
            self.count_overflow(key, 1);
            return Added::Placed;
        }
        Added::NoRoom
    }

    /// Writes a key into a free slot of a bucket; false if there is none.
    fn fill(&self, bucket: usize, key: Exact, word: u32) -> bool {
        let free = (0..key.slots()).find(|slot| self.is_free(bucket, key, *slot));
        free.inspect(|slot| self.write_slot(bucket, key, *slot, word)).is_some()
    }

    /// True if key and word of a slot are 0: the word of a removed key stays until its slot may be used again.
    fn is_free(&self, bucket: usize, like: Exact, slot: usize) -> bool {
        let view = self.view();
        match like {
            Exact::Plain(..) => {
                view.u64(bucket + slot * 8) == 0 && view.u32(bucket + WORDS_AT + slot * 4) == 0
            }
            Exact::Host6(..) => {
                view.u32(bucket + TAGS6_AT + slot * 4) == 0 && view.u32(bucket + WORDS6_AT + slot * 4) == 0
            }
        }
    }

    /// Writes a slot: the word first, then the key, which publishes it.
    fn write_slot(&self, bucket: usize, key: Exact, slot: usize, word: u32) {
        let view = self.view();
        match key {
            Exact::Plain(_, key) => {
                view.store32(bucket + WORDS_AT + slot * 4, word);
                view.store64(bucket + slot * 8, key);
            }
            Exact::Host6(tag, key) => {
                view.store64(bucket + slot * 16, key.hi);
                view.store64(bucket + slot * 16 + 8, key.lo);
                view.store32(bucket + WORDS6_AT + slot * 4, word);
                view.store32(bucket + TAGS6_AT + slot * 4, tag);
            }
        }
    }

    /// The key and word in a slot that is in use.
    fn read_slot(&self, bucket: usize, like: Exact, slot: usize) -> (Exact, u32) {
        let view = self.view();
        match like {
            Exact::Plain(section, _) => {
                let key = Exact::Plain(section, view.u64(bucket + slot * 8));
                (key, view.u32(bucket + WORDS_AT + slot * 4))
            }
            Exact::Host6(..) => {
                let (hi, lo) = (view.u64(bucket + slot * 16), view.u64(bucket + slot * 16 + 8));
                let tag = view.u32(bucket + TAGS6_AT + slot * 4);
                (Exact::Host6(tag, Key { hi, lo, v6: true }), view.u32(bucket + WORDS6_AT + slot * 4))
            }
        }
    }

    /// Adds a key whose buckets are full, by moving one of those there to its other bucket. Before there are readers:
    /// they would not find it meanwhile.
    pub(super) fn add_by_moving(&self, key: Exact, word: u32) -> Added {
        let (home, other) = self.buckets(key);
        for bucket in [home, other] {
            for slot in 0..key.slots() {
                let (moved, its) = self.read_slot(bucket, key, slot);
                let (from, to) = self.buckets(moved);
                if from == bucket && to != bucket && self.fill(to, moved, its) {
                    self.count_overflow(moved, 1);
                    self.write_slot(bucket, key, slot, word);
                    if bucket != home {
                        self.count_overflow(key, 1);
                    }
                    return Added::Placed;
                }
            }
        }
        Added::NoRoom
    }

    /// Removes a key; gives the word it had.
    pub(super) fn remove_exact(&mut self, key: Exact) -> Option<u32> {
        let (home, other) = self.buckets(key);
        let in_home = self.word_in(home, key);
        let (bucket, at) = match in_home {
            Some(at) => (home, at),
            None => (other, self.word_in(other, key)?),
        };
        let view = self.view();
        let word = view.u32(at);
        match key {
            Exact::Plain(..) => view.store64(bucket + (at - bucket - WORDS_AT) * 2, 0),
            Exact::Host6(..) => view.store32(bucket + TAGS6_AT + (at - bucket - WORDS6_AT), 0),
        }
        if in_home.is_none() {
            self.count_overflow(key, -1);
        }
        self.retire(Retired::Word(at));
        Some(word)
    }

    /// Counts keys whose home is this key's, and that are elsewhere.
    pub(super) fn count_overflow(&self, key: Exact, by: i32) {
        let at = self.buckets(key).0 + key.overflow_at();
        let count = self.view().u32(at).saturating_add_signed(by);
        self.view().store32(at, count);
    }
}
