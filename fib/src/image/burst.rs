//! Bursts: up to 32 lookups side by side, so that the memory works on all of them at once.
//!
//! Each pass touches one cache line of every lookup that is not done, and asks for the next one: at the end, the
//! adjacency's.
#![allow(unsafe_code, reason = "calls of functions for instructions that were found at run time")]

mod prefixes;

use super::{DomainNumber, FibImage};
use crate::layout::{PREFIXES_ONLY, UNIT, section};
use crate::memory::{Isa, Portable, View};
use crate::walk::{Key, OVERFLOW_AT, OVERFLOW6_AT, Part, home, host_hash, other, word_of};
use crate::word::argument;
use prefixes::{Walks, one_wide_table};

/// Most lookups of a burst.
pub const BURST: usize = 32;

impl FibImage<'_> {
    /// Looks up IPv4 addresses, at most [`BURST`] of them, each in its domain; words as of
    /// [`FibImage::lookup_word`]. The adjacencies that words name are on their way into the cache afterwards.
    #[inline]
    pub fn burst4(&self, keys: &[(DomainNumber, u32)], words: &mut [u32; BURST]) {
        self.run(keys, words);
    }

    /// The same for IPv6.
    #[inline]
    pub fn burst6(&self, keys: &[(DomainNumber, u128)], words: &mut [u32; BURST]) {
        self.run(keys, words);
    }

    #[inline(always)]
    fn run<A: Address>(&self, keys: &[(DomainNumber, A)], words: &mut [u32; BURST]) {
        #[cfg(all(target_arch = "x86_64", feature = "std", not(miri)))]
        if crate::memory::Avx2::is_here() {
            // SAFETY: the machine has what the function needs.
            return unsafe { with_avx2(self.view, keys, words) };
        }
        burst::<Portable, A, 0>(self.view, keys, words);
    }

    /// A burst with a mistake that the tests have to notice, or without AVX2.
    #[doc(hidden)]
    pub fn mutant_burst4<const M: u8>(&self, keys: &[(DomainNumber, u32)], words: &mut [u32; BURST]) {
        burst::<Portable, u32, M>(self.view, keys, words);
    }

    /// The same for IPv6.
    #[doc(hidden)]
    pub fn mutant_burst6<const M: u8>(&self, keys: &[(DomainNumber, u128)], words: &mut [u32; BURST]) {
        burst::<Portable, u128, M>(self.view, keys, words);
    }
}

#[cfg(all(target_arch = "x86_64", feature = "std", not(miri)))]
#[target_feature(enable = "avx2,popcnt,bmi1,bmi2,lzcnt")]
fn with_avx2<A: Address>(view: View<'_>, keys: &[(DomainNumber, A)], words: &mut [u32; BURST]) {
    burst::<crate::memory::Avx2, A, 0>(view, keys, words);
}

/// An address of one family: code for one does not ask, at every step, which it is.
trait Address: Copy {
    /// Its hosts' section.
    const HOSTS: usize;
    /// Where its buckets have their overflow count.
    const OVERFLOW_AT: usize;
    /// Any one.
    const NONE: Self;
    fn key(self) -> Key;
}

impl Address for u32 {
    const HOSTS: usize = section::HOSTS4;
    const OVERFLOW_AT: usize = OVERFLOW_AT;
    const NONE: Self = 0;

    #[inline(always)]
    fn key(self) -> Key {
        Key::v4(self)
    }
}

impl Address for u128 {
    const HOSTS: usize = section::HOSTS6;
    const OVERFLOW_AT: usize = OVERFLOW6_AT;
    const NONE: Self = 0;

    #[inline(always)]
    fn key(self) -> Key {
        Key::v6(self)
    }
}

/// The keys of a burst; those that are missing are in the domain that does not exist.
type Keys<A> = [(DomainNumber, A); BURST];

/// An item of an array, by an index that a [`Set`] gave: below 32, as the compiler sees.
#[inline(always)]
fn of<T: Copy>(items: &[T; BURST], index: usize) -> T {
    let [first, ..] = items;
    *items.get(index).unwrap_or(first)
}

#[inline(always)]
fn put<T>(items: &mut [T; BURST], index: usize, item: T) {
    if let Some(place) = items.get_mut(index) {
        *place = item;
    }
}

/// Some lookups of a burst: a bit for each. As an iterator, their indices.
#[derive(Debug, Clone, Copy, Default)]
struct Set(u32);

impl Set {
    #[inline(always)]
    fn add(&mut self, index: usize, condition: bool) {
        self.0 |= u32::from(condition) << index;
    }
}

impl Iterator for Set {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        let index = core::num::NonZero::new(self.0)?.trailing_zeros();
        self.0 &= self.0 - 1;
        Some(index as usize)
    }
}

#[inline(always)]
fn burst<I: Isa, A: Address, const M: u8>(
    view: View<'_>,
    keys: &[(DomainNumber, A)],
    words: &mut [u32; BURST],
) {
    if let Some(keys) = keys.first_chunk() {
        return whole::<I, A, M>(view, keys, words);
    }
    let mut filled = [(DomainNumber(PREFIXES_ONLY), A::NONE); BURST];
    filled.iter_mut().zip(keys).for_each(|(place, key)| *place = *key);
    whole::<I, A, M>(view, &filled, words);
}

#[inline(always)]
fn whole<I: Isa, A: Address, const M: u8>(view: View<'_>, keys: &Keys<A>, words: &mut [u32; BURST]) {
    let mut rest = Set::default();
    for (index, (domain, _)) in keys.iter().enumerate() {
        rest.add(index, domain.0 & PREFIXES_ONLY != 0);
    }
    let mut walks = Walks::new(view);
    if let Some(table) = one_wide_table::<A, M>(view, keys, rest) {
        walks.wide::<I, A, M>(table, keys, words);
    } else {
        let (mut homes, hashed) = ([0; BURST], Set(!rest.0));
        let missing = home_buckets::<I, A, M>(view, keys, hashed, &mut homes, words);
        let elsewhere = overflowing::<A, M>(view, keys, missing, &mut homes);
        // While the other buckets are on their way, those who are in none go on.
        let others = Set(rest.0 | (missing.0 & !elsewhere.0));
        walks.begin::<I, A, M>(keys, others, words);
        let late = other_buckets::<I, A, M>(view, keys, elsewhere, &homes, words);
        walks.begin::<I, A, M>(keys, late, words);
        rest.0 = others.0 | late.0;
    }
    if rest.0 != 0 {
        walks.run::<I, A, M>(keys, words);
        walks.defaults::<A, M>(keys, rest, words);
        let adjacencies = view.part(section::ADJACENCIES);
        for index in rest {
            prefetch_adjacency(view, adjacencies, of(words, index));
        }
    }
}

/// Asks for the adjacency that a word names; of other words, for what is not needed.
#[inline(always)]
fn prefetch_adjacency(view: View<'_>, adjacencies: Part, word: u32) {
    view.prefetch(adjacencies.at + argument(word) as usize * 32);
}

/// Looks for hosts in their home buckets; gives those that are not there. Most are: what becomes of the others is for
/// other passes, so that this one has no branches.
#[inline(always)]
fn home_buckets<I: Isa, A: Address, const M: u8>(
    view: View<'_>,
    keys: &Keys<A>,
    hashed: Set,
    homes: &mut [usize; BURST],
    words: &mut [u32; BURST],
) -> Set {
    let (buckets, adjacencies) = (view.part(A::HOSTS), view.part(section::ADJACENCIES));
    let (seed, mut missing) = (view.table_seed(), Set::default());
    for index in hashed {
        let (domain, addr) = of(keys, index);
        let home = home(buckets, host_hash(domain.0, addr.key(), seed));
        view.prefetch(home);
        put(homes, index, home / UNIT);
    }
    for index in hashed {
        let ((domain, addr), home) = (of(keys, index), of(homes, index) * UNIT);
        let word = word_of::<I>(view, home, domain.0, addr.key());
        prefetch_adjacency(view, adjacencies, word);
        put(words, index, word);
        missing.add(index, word == 0);
    }
    missing
}

/// Of hosts that are not in their home, gives those that may be in their other bucket, which takes the home's place.
#[inline(always)]
fn overflowing<A: Address, const M: u8>(
    view: View<'_>,
    keys: &Keys<A>,
    missing: Set,
    homes: &mut [usize; BURST],
) -> Set {
    let (buckets, domains) = (view.part(A::HOSTS), view.part(section::DOMAINS));
    let (seed, mut elsewhere) = (view.table_seed(), Set::default());
    for index in missing {
        let (domain, addr) = of(keys, index);
        view.prefetch(domains.at + domain.0 as usize * 32);
        if view.u32(of(homes, index) * UNIT + A::OVERFLOW_AT) != 0 && M != 1 {
            let other = other(buckets, host_hash(domain.0, addr.key(), seed));
            view.prefetch(other);
            put(homes, index, other / UNIT);
            elsewhere.add(index, true);
        }
    }
    elsewhere
}

/// Looks for hosts in their other buckets; gives those that are not there.
#[inline(always)]
fn other_buckets<I: Isa, A: Address, const M: u8>(
    view: View<'_>,
    keys: &Keys<A>,
    elsewhere: Set,
    others: &[usize; BURST],
    words: &mut [u32; BURST],
) -> Set {
    let (adjacencies, mut missing) = (view.part(section::ADJACENCIES), Set::default());
    for index in elsewhere {
        let ((domain, addr), other) = (of(keys, index), of(others, index) * UNIT);
        let word = word_of::<I>(view, other, domain.0, addr.key());
        prefetch_adjacency(view, adjacencies, word);
        put(words, index, word);
        missing.add(index, word == 0 || M == 16);
    }
    missing
}
