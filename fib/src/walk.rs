//! The walk from a domain and an address to a word, one cache line at a time, so that a burst can overlap many.
//!
//! The const parameter `M` seeds a mistake for the tests of the tests (`tests/mutants.rs`); 0 is none.

use crate::hash;
use crate::layout::{CHUNK_UNITS, MAX_UNITS, PREFIXES_ONLY, UNIT, USED, section, word};
use crate::memory::{Isa, Line, Portable, View};
use crate::word::{kind, levels, offset};

/// Bytes of the header before the sections.
const SECTIONS_AT: usize = core::mem::offset_of!(crate::layout::Header, sections);
const FLOW_SEED_AT: usize = core::mem::offset_of!(crate::layout::Header, flow_seed);
const TABLE_SEED_AT: usize = core::mem::offset_of!(crate::layout::Header, table_seed);
const EPOCH_AT: usize = core::mem::offset_of!(crate::layout::Header, epoch);

/// Words and overflow count of a bucket.
pub(crate) const WORDS_AT: usize = core::mem::offset_of!(crate::layout::Bucket, words);
pub(crate) const OVERFLOW_AT: usize = core::mem::offset_of!(crate::layout::Bucket, overflow);
pub(crate) const TAGS6_AT: usize = core::mem::offset_of!(crate::layout::Bucket6, tags);
pub(crate) const WORDS6_AT: usize = core::mem::offset_of!(crate::layout::Bucket6, words);
pub(crate) const OVERFLOW6_AT: usize = core::mem::offset_of!(crate::layout::Bucket6, overflow);

/// A part of the image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// First byte.
    pub(crate) at: usize,
    /// Number of records.
    pub(crate) count: u32,
}

impl Part {
    /// The byte offset of a record; `None` beyond the last.
    #[inline(always)]
    pub(crate) const fn record(self, index: u32, size: usize) -> Option<usize> {
        if index < self.count { Some(self.at + index as usize * size) } else { None }
    }
}

impl View<'_> {
    #[inline(always)]
    pub(crate) fn part(self, section: usize) -> Part {
        let word = self.u64(SECTIONS_AT + section * 8);
        let [a, b, c, d, count @ ..] = word.to_le_bytes();
        let offset = u32::from_le_bytes([a, b, c, d]) & (MAX_UNITS - 1);
        Part { at: offset as usize * UNIT, count: u32::from_le_bytes(count) }
    }

    pub(crate) fn flow_seed(self) -> u64 {
        self.u64(FLOW_SEED_AT)
    }

    #[inline(always)]
    pub(crate) fn table_seed(self) -> u64 {
        self.u64(TABLE_SEED_AT)
    }

    pub(crate) fn epoch(self) -> u64 {
        self.u64(EPOCH_AT)
    }
}

/// An address, its first bits uppermost: IPv4 fills the upper half of `hi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) hi: u64,
    pub(crate) lo: u64,
    pub(crate) v6: bool,
}

impl Key {
    #[inline(always)]
    pub(crate) fn new(addr: core::net::IpAddr) -> Self {
        match addr {
            core::net::IpAddr::V4(addr) => Self::v4(addr.to_bits()),
            core::net::IpAddr::V6(addr) => Self::v6(addr.to_bits()),
        }
    }

    #[inline(always)]
    pub(crate) const fn v4(addr: u32) -> Self {
        Self { hi: (addr as u64) << 32, lo: 0, v6: false }
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    pub(crate) const fn v6(addr: u128) -> Self {
        Self { hi: (addr >> 64) as u64, lo: addr as u64, v6: true }
    }
}

impl Key {
    /// 32 bits of it, from one on; zeros behind its end.
    #[inline(always)]
    pub(crate) const fn bits(self, from: u32) -> u32 {
        let rest = match from {
            0 => self.hi,
            1..64 => self.hi << from | self.lo >> (64 - from),
            64..128 => self.lo << (from - 64),
            _ => 0,
        };
        (rest >> 32) as u32
    }
}

/// The key of an IPv4 host's slot.
#[inline(always)]
pub(crate) const fn host4_key(domain: u32, hi: u64) -> u64 {
    let addr = (hi >> 32) as u32;
    (domain as u64) << 40 | (addr as u64) << 8 | USED as u64
}

/// The tag of an IPv6 host's slot.
#[inline(always)]
pub(crate) const fn host6_tag(domain: u32) -> u32 {
    domain << 8 | USED
}

/// The byte offset of a hash's home bucket.
#[inline(always)]
pub(crate) const fn home(part: Part, hash: u64) -> usize {
    part.at + hash::home(hash, part.count) as usize * UNIT
}

/// The byte offset of a hash's other bucket.
#[inline(always)]
pub(crate) const fn other(part: Part, hash: u64) -> usize {
    part.at + hash::other(hash, part.count) as usize * UNIT
}

/// The byte offsets of a hash's two buckets.
#[inline(always)]
pub(crate) const fn homes(part: Part, hash: u64) -> (usize, usize) {
    (home(part, hash), other(part, hash))
}

/// The hash of a host.
#[inline(always)]
pub(crate) const fn host_hash(domain: u32, key: Key, seed: u64) -> u64 {
    if key.v6 {
        hash::of_host6(host6_tag(domain), key.hi, key.lo, seed)
    } else {
        hash::of_key(host4_key(domain, key.hi), seed)
    }
}

/// The slot of an IPv6 host in a bucket, 2 if it is in none.
#[inline(always)]
fn slot6_in(line: Line<'_>, tag: u32, key: Key) -> usize {
    (0..2).fold(2, |hit, slot| {
        // The tag first: it publishes the address.
        let tag = line.u32(8 + slot) == tag;
        let (hi, lo) = (line.u64(slot * 2) == key.hi, line.u64(slot * 2 + 1) == key.lo);
        if tag & hi & lo { slot } else { hit }
    })
}

/// The slot of a key in a bucket.
#[inline(always)]
pub(crate) fn slot(view: View<'_>, bucket: usize, key: u64) -> Option<usize> {
    let slot = Portable::place_of(view.line(bucket)?, key);
    (slot < 5).then_some(slot)
}

/// The slot of an IPv6 host in a bucket.
#[inline(always)]
pub(crate) fn slot6(view: View<'_>, bucket: usize, tag: u32, key: Key) -> Option<usize> {
    let slot = slot6_in(view.line(bucket)?, tag, key);
    (slot < 2).then_some(slot)
}

/// The word of a host in a bucket; 0 if it is not there.
#[inline(always)]
pub(crate) fn word_of<I: Isa>(view: View<'_>, bucket: usize, domain: u32, key: Key) -> u32 {
    let Some(line) = view.line(bucket) else { return 0 };
    let (slot, slots, words_at) = if key.v6 {
        (slot6_in(line, host6_tag(domain), key), 2, WORDS6_AT)
    } else {
        (I::place_of(line, host4_key(domain, key.hi)), 5, WORDS_AT)
    };
    let word = line.u32(words_at / 4 + slot);
    if slot < slots { word } else { 0 }
}

/// The word of a key in an exact-match section; 0 if it has none.
pub(crate) fn exact(view: View<'_>, section: usize, key: u64) -> u32 {
    exact_mutant::<0>(view, section, key)
}

#[inline(always)]
fn exact_mutant<const M: u8>(view: View<'_>, section: usize, key: u64) -> u32 {
    let (home, other) = homes(view.part(section), hash::of_key(key, view.table_seed()));
    if let Some(slot) = slot(view, home, key) {
        return view.u32(home + WORDS_AT + slot_of::<M>(slot) * 4);
    }
    if M == 1 || view.u32(home + OVERFLOW_AT) == 0 {
        return 0;
    }
    slot(view, other, key).map_or(0, |slot| view.u32(other + WORDS_AT + slot * 4))
}

#[inline(always)]
const fn slot_of<const M: u8>(slot: usize) -> usize {
    if M == 2 { (slot + 1) % 5 } else { slot }
}

/// The word of a host; 0 if it is in no bucket.
#[inline(always)]
pub(crate) fn host<const M: u8>(view: View<'_>, domain: u32, key: Key) -> u32 {
    let domain = if M == 3 { 1 } else { domain };
    if !key.v6 {
        return exact_mutant::<M>(view, section::HOSTS4, host4_key(domain, key.hi));
    }
    let tag = host6_tag(domain);
    let (home, other) = homes(view.part(section::HOSTS6), host_hash(domain, key, view.table_seed()));
    if let Some(slot) = slot6(view, home, tag, key) {
        return view.u32(home + WORDS6_AT + slot * 4);
    }
    if M == 1 || view.u32(home + OVERFLOW6_AT) == 0 {
        return 0;
    }
    slot6(view, other, tag, key).map_or(0, |slot| view.u32(other + WORDS6_AT + slot * 4))
}

/// Root and default of a domain for a family: the byte offset of the first; the other follows.
#[inline(always)]
pub(crate) fn roots<const M: u8>(view: View<'_>, domain: u32, v6: bool) -> Option<usize> {
    let family = if v6 != (M == 4) { 8 } else { 0 };
    Some(view.part(section::DOMAINS).record(domain & !PREFIXES_ONLY, 32)? + family)
}

/// Most lines a walk may touch: five trees of five levels, and a wide table.
pub(crate) const MAX_STEPS: u32 = 32;

/// A walk under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor {
    /// The line to read next.
    pub(crate) at: usize,
    /// The rest of the address.
    hi: u64,
    lo: u64,
    /// What to make of the line: levels of the tree left, or one of the two below.
    phase: u32,
}

/// The line has the Runs of the slot in `lo`'s place.
const RUNS: u32 = 16;
/// The line has the answer.
const ANSWER: u32 = 17;

/// The entry of a wide table's directory; `hi` begins with the address.
#[inline(always)]
pub(crate) fn directory_entry(view: View<'_>, directory: usize, hi: u64) -> u32 {
    view.u32(directory + (hi >> 54) as usize * 4)
}

/// The byte offset of the Runs of an address in a chunk.
#[inline(always)]
pub(crate) const fn runs_at(chunk: usize, hi: u64) -> usize {
    chunk + (hi >> 46 & 0xff) as usize * 16
}

/// The byte offset of the word of an address in a chunk, by the Runs.
#[inline(always)]
pub(crate) fn answer_at<I: Isa, const M: u8>(view: View<'_>, chunk: usize, hi: u64) -> usize {
    let [starts, base] = view.numbers(runs_at(chunk, hi));
    let slot = hi >> 40 & 0x3f;
    // The bits from 0 to slot, and no others.
    let upto = starts << (63 - slot);
    let behind = if M == 7 { I::ones(upto << 1) + 1 } else { I::ones(upto) };
    let words = chunk + CHUNK_UNITS as usize * UNIT;
    words.wrapping_add((base & 0xffff_ffff) as usize * 4).wrapping_add(behind as usize * 4).wrapping_sub(4)
}

/// The byte offset of the child, of an inner node, that a key is in.
#[inline(always)]
pub(crate) fn child_at<I: Isa, const M: u8>(view: View<'_>, node: usize, key: u32) -> usize {
    let Some(line) = view.line(node) else { return node };
    let key = if M == 8 { key.saturating_sub(1) } else { key };
    let (behind, children) = (I::not_above::<15>(line, key), line.u32(15));
    let child = if M == 9 { behind } else { behind.min(children >> 28) };
    ((children & (MAX_UNITS - 1)) + child) as usize * UNIT
}

/// The word, of a leaf, of the interval that a key is in.
#[inline(always)]
pub(crate) fn leaf_word<I: Isa, const M: u8>(view: View<'_>, leaf: usize, key: u32) -> u32 {
    let Some(line) = view.line(leaf) else { return 0 };
    let key = if M == 10 { key.saturating_sub(1) } else { key };
    line.u32(8 + I::not_above::<7>(line, key) as usize)
}

impl Cursor {
    #[inline(always)]
    pub(crate) const fn new(key: Key) -> Self {
        Self { at: 0, hi: key.hi, lo: key.lo, phase: 0 }
    }

    /// Follows a word. `Some` if it ends the walk; otherwise [`Self::step`] is next.
    #[inline(always)]
    pub(crate) fn follow<const M: u8>(&mut self, view: View<'_>, word: u32) -> Option<u32> {
        match kind(word) {
            word::TREE => {
                self.at = offset(word);
                self.phase = levels(word);
                None
            }
            word::WIDE => self.directory::<M>(view, offset(word)),
            word::CHUNK => Some(0),
            _ => Some(word),
        }
    }

    #[inline(always)]
    fn directory<const M: u8>(&mut self, view: View<'_>, directory: usize) -> Option<u32> {
        let entry = directory_entry(view, directory, self.hi);
        if kind(entry) == word::CHUNK {
            self.at = runs_at(offset(entry), self.hi);
            self.phase = RUNS;
            return None;
        }
        if M == 5 {
            return Some(0);
        }
        self.take24();
        self.follow_end::<M>(view, entry)
    }

    /// As [`Self::follow`], within a wide table: no wide table stands in another.
    #[inline(always)]
    fn follow_end<const M: u8>(&mut self, view: View<'_>, word: u32) -> Option<u32> {
        if kind(word) == word::WIDE { Some(0) } else { self.follow::<M>(view, word) }
    }

    /// What the next line is, in words.
    pub(crate) const fn what(&self) -> &'static str {
        match self.phase {
            RUNS => "runs of a chunk",
            ANSWER => "word of a chunk",
            1 => "leaf",
            _ => "inner node",
        }
    }

    #[inline(always)]
    const fn take24(&mut self) {
        self.hi = self.hi << 24 | self.lo >> 40;
        self.lo <<= 24;
    }

    #[inline(always)]
    const fn take32<const M: u8>(&mut self) {
        self.hi = if M == 6 { self.hi << 32 } else { self.hi << 32 | self.lo >> 32 };
        self.lo <<= 32;
    }

    /// Reads one line. `Some` if that ends the walk.
    #[inline(always)]
    pub(crate) fn step<I: Isa, const M: u8>(&mut self, view: View<'_>) -> Option<u32> {
        match self.phase {
            RUNS => {
                self.runs::<I, M>(view);
                None
            }
            ANSWER => {
                let word = view.u32(self.at);
                self.take24();
                self.follow_end::<M>(view, word)
            }
            0 => Some(0),
            1 => {
                let word = leaf_word::<I, M>(view, self.at, self.key());
                self.take32::<M>();
                self.follow_end::<M>(view, word)
            }
            _ => {
                self.at = child_at::<I, M>(view, self.at, self.key());
                self.phase -= 1;
                None
            }
        }
    }

    #[inline(always)]
    fn runs<I: Isa, const M: u8>(&mut self, view: View<'_>) {
        let chunk = self.at.wrapping_sub(runs_at(0, self.hi));
        self.at = answer_at::<I, M>(view, chunk, self.hi);
        self.phase = ANSWER;
    }

    /// The next 32 bits.
    #[inline(always)]
    const fn key(&self) -> u32 {
        (self.hi >> 32) as u32
    }
}

/// Looks an address up: the word of the longest prefix, 0 if there is none.
pub(crate) fn lookup<I: Isa, const M: u8>(view: View<'_>, domain: u32, key: Key) -> u32 {
    if domain & PREFIXES_ONLY == 0 {
        let word = host::<M>(view, domain, key);
        if word != 0 {
            return word;
        }
    }
    let Some(root) = roots::<M>(view, domain, key.v6) else { return 0 };
    match below::<I, M>(view, root, key) {
        word if word != 0 && M != 13 => word,
        _ if M == 12 => 0,
        _ => view.u32(root + 4),
    }
}

/// What a root says of an address, the default route left out.
#[inline(always)]
fn below<I: Isa, const M: u8>(view: View<'_>, root: usize, key: Key) -> u32 {
    let mut cursor = Cursor::new(key);
    let mut end = cursor.follow::<M>(view, view.u32(root));
    for _ in 0..if M == 11 { 2 } else { MAX_STEPS } {
        if end.is_some() {
            break;
        }
        end = cursor.step::<I, M>(view);
    }
    end.unwrap_or_default()
}

/// The same, for a decoder.
pub(crate) fn below_default(view: View<'_>, root: usize, key: Key) -> u32 {
    below::<Portable, 0>(view, root, key)
}
