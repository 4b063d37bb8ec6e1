//! Bursts: up to 32 lookups side by side, so that the memory works on all of them at once.
//!
//! Each round touches one cache line of every lookup that is not done, and asks for the next one.
#![allow(unsafe_code, reason = "calls of functions for instructions that were found at run time")]

use super::{DomainNumber, FibImage};
use crate::hash;
use crate::layout::{PREFIXES_ONLY, section, word as w};
use crate::memory::{Isa, Portable, View};
use crate::walk::{
    Cursor, Key, MAX_STEPS, OVERFLOW_AT, OVERFLOW6_AT, WORDS_AT, WORDS6_AT, answer_at, directory_entry,
    homes, host4_key, host6_tag, roots, runs_at, slot, slot6,
};
use crate::word::{argument, kind, offset};

/// Most lookups of a burst.
pub const BURST: usize = 32;

impl FibImage<'_> {
    /// Looks up IPv4 addresses, at most [`BURST`] of them, each in its domain; words as of
    /// [`FibImage::lookup_word`]. The adjacencies that words name are on their way into the cache afterwards.
    #[inline]
    pub fn burst4(&self, keys: &[(DomainNumber, u32)], words: &mut [u32; BURST]) {
        let key = |index: usize| {
            let (domain, addr) = keys.get(index).copied().unwrap_or((DomainNumber(0), 0));
            (domain.0, Key::v4(addr))
        };
        self.run(keys.len().min(BURST), key, words);
    }

    /// The same for IPv6.
    #[inline]
    pub fn burst6(&self, keys: &[(DomainNumber, u128)], words: &mut [u32; BURST]) {
        let key = |index: usize| {
            let (domain, addr) = keys.get(index).copied().unwrap_or((DomainNumber(0), 0));
            (domain.0, Key::v6(addr))
        };
        self.run(keys.len().min(BURST), key, words);
    }

    #[inline(always)]
    fn run(&self, count: usize, key: impl Fn(usize) -> (u32, Key), words: &mut [u32; BURST]) {
        #[cfg(all(target_arch = "x86_64", feature = "std", not(miri)))]
        if crate::memory::Avx2::is_here() {
            // SAFETY: the machine has what the function needs.
            return unsafe { with_avx2(self.view, count, key, words) };
        }
        burst::<Portable, 0>(self.view, count, key, words);
    }

    /// A burst with a mistake that the tests have to notice, or without AVX2.
    #[doc(hidden)]
    pub fn mutant_burst<const M: u8>(
        &self,
        keys: &[(DomainNumber, core::net::IpAddr)],
        words: &mut [u32; BURST],
    ) {
        let key = |index: usize| {
            let known = keys.get(index).map(|(domain, addr)| (domain.0, Key::new(*addr)));
            known.unwrap_or((0, Key::v4(0)))
        };
        burst::<Portable, M>(self.view, keys.len().min(BURST), key, words);
    }
}

#[cfg(all(target_arch = "x86_64", feature = "std", not(miri)))]
#[target_feature(enable = "avx2,popcnt,bmi1,bmi2,lzcnt")]
fn with_avx2(view: View<'_>, count: usize, key: impl Fn(usize) -> (u32, Key), words: &mut [u32; BURST]) {
    burst::<crate::memory::Avx2, 0>(view, count, key, words);
}

/// Which lookups are in a stage: a bit for each.
type Set = u32;

#[inline(always)]
fn each(mut set: Set, mut visit: impl FnMut(usize)) {
    while set != 0 {
        visit(set.trailing_zeros() as usize);
        set &= set - 1;
    }
}

#[inline(always)]
fn burst<I: Isa, const M: u8>(
    view: View<'_>,
    count: usize,
    key: impl Fn(usize) -> (u32, Key),
    words: &mut [u32; BURST],
) {
    let all: Set = if count == BURST { Set::MAX } else { (1 << count) - 1 };
    let rest = hosts::<M>(view, all, &key, words);
    if rest != 0 {
        prefixes::<I, M>(view, rest, &key, words);
    }
    let adjacencies = view.part(section::ADJACENCIES);
    for word in words.iter().take(count) {
        if kind(*word) == w::ADJACENCY {
            view.prefetch(adjacencies.at + argument(*word) as usize * 32);
        }
    }
}

/// Looks for hosts in buckets; gives those that are in none.
#[inline(always)]
fn hosts<const M: u8>(
    view: View<'_>,
    all: Set,
    key: &impl Fn(usize) -> (u32, Key),
    words: &mut [u32; BURST],
) -> Set {
    let (mut hashed, mut rest, mut elsewhere): (Set, Set, Set) = (0, 0, 0);
    let mut buckets = [(0, 0); BURST];
    let (hosts4, hosts6, seed) = (view.part(section::HOSTS4), view.part(section::HOSTS6), view.table_seed());
    each(all, |index| {
        let (domain, key) = key(index);
        if domain & PREFIXES_ONLY != 0 {
            rest |= 1 << index;
            return;
        }
        hashed |= 1 << index;
        let both = if key.v6 {
            homes(hosts6, hash::of_host6(host6_tag(domain), key.hi, key.lo, seed))
        } else {
            homes(hosts4, hash::of_key(host4_key(domain, key.hi), seed))
        };
        view.prefetch(both.0);
        if let Some(place) = buckets.get_mut(index) {
            *place = both;
        }
    });
    each(hashed, |index| {
        let ((domain, key), (home, other)) = (key(index), buckets.get(index).copied().unwrap_or_default());
        let (word, overflow) = probe(view, home, domain, key);
        if let Some(place) = words.get_mut(index) {
            *place = word;
        }
        if word == 0 {
            if overflow != 0 && M != 1 {
                view.prefetch(other);
                elsewhere |= 1 << index;
            } else {
                rest |= 1 << index;
            }
        }
    });
    each(elsewhere, |index| {
        let ((domain, key), (_, other)) = (key(index), buckets.get(index).copied().unwrap_or_default());
        let (word, _) = probe(view, other, domain, key);
        if let Some(place) = words.get_mut(index) {
            *place = word;
        }
        if word == 0 {
            rest |= 1 << index;
        }
    });
    rest
}

/// The word of a host in a bucket, 0 without; and the overflow count, if there is none.
#[inline(always)]
fn probe(view: View<'_>, bucket: usize, domain: u32, key: Key) -> (u32, u32) {
    if key.v6 {
        match slot6(view, bucket, host6_tag(domain), key) {
            Some(slot) => (view.u32(bucket + WORDS6_AT + slot * 4), 0),
            None => (0, view.u32(bucket + OVERFLOW6_AT)),
        }
    } else {
        match slot(view, bucket, host4_key(domain, key.hi)) {
            Some(slot) => (view.u32(bucket + WORDS_AT + slot * 4), 0),
            None => (0, view.u32(bucket + OVERFLOW_AT)),
        }
    }
}

#[inline(always)]
fn prefixes<I: Isa, const M: u8>(
    view: View<'_>,
    rest: Set,
    key: &impl Fn(usize) -> (u32, Key),
    words: &mut [u32; BURST],
) {
    let (mut known, mut active): (Set, Set) = (0, 0);
    let mut at = [0; BURST];
    each(rest, |index| {
        let (domain, key) = key(index);
        let root = roots::<M>(view, domain, key.v6);
        if let (Some(root), Some(place)) = (root, at.get_mut(index)) {
            view.prefetch(root);
            *place = root;
            known |= 1 << index;
        } else if let Some(word) = words.get_mut(index) {
            *word = 0;
        }
    });
    let mut cursors = [Cursor::IDLE; BURST];
    // Wide tables have a path of their own: three reads that depend on each other, and mostly that is all.
    let (mut wide, mut places): (Set, _) = (0, [0; BURST]);
    each(known, |index| {
        let (_, key) = key(index);
        let (Some(cursor), Some(place), Some(root), Some(word)) =
            (cursors.get_mut(index), places.get_mut(index), at.get(index), words.get_mut(index))
        else {
            return;
        };
        let root = view.u32(*root);
        if kind(root) == w::WIDE {
            let entry = directory_entry(view, offset(root), key.hi);
            if kind(entry) == w::CHUNK {
                *place = runs_at(entry, key.hi);
                view.prefetch(*place);
                wide |= 1 << index;
                return;
            }
        }
        *cursor = Cursor::new(key);
        match cursor.follow::<M>(view, root) {
            Some(end) => *word = end,
            None => {
                view.prefetch(cursor.at);
                active |= 1 << index;
            }
        }
    });
    each(wide, |index| {
        if let Some(place) = places.get_mut(index) {
            *place = answer_at::<I, M>(view, *place, key(index).1.hi);
            view.prefetch(*place);
        }
    });
    each(wide, |index| {
        let (Some(cursor), Some(place), Some(word)) =
            (cursors.get_mut(index), places.get(index), words.get_mut(index))
        else {
            return;
        };
        let answer = view.u32(*place);
        if kind(answer) < w::TREE {
            *word = answer;
            return;
        }
        let (rest, end) = Cursor::behind_wide::<M>(key(index).1, view, answer);
        match end {
            Some(end) => *word = end,
            None => {
                *cursor = rest;
                view.prefetch(cursor.at);
                active |= 1 << index;
            }
        }
    });
    for _ in 0..MAX_STEPS {
        if active == 0 {
            break;
        }
        each(active, |index| {
            let (Some(cursor), Some(word)) = (cursors.get_mut(index), words.get_mut(index)) else { return };
            match cursor.step::<I, M>(view) {
                Some(end) => {
                    *word = end;
                    active &= !(1 << index);
                }
                None => view.prefetch(cursor.at),
            }
        });
    }
    each(active, |index| {
        if let Some(word) = words.get_mut(index) {
            *word = 0;
        }
    });
    each(known, |index| {
        if let (Some(word), Some(root)) = (words.get_mut(index), at.get(index))
            && *word == 0
            && M != 12
        {
            *word = view.u32(root + 4);
        }
    });
}
