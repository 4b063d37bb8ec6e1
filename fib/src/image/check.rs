//! The loader: bytes of unknown origin in, a checked image or the first thing wrong out.
//!
//! What passes leads nowhere outside: every word is of a known kind and within its section, every unit of the pool is
//! part of one thing only, so that decoding ends. A walker does not rely on it, since bytes may change afterwards.

use super::FibImage;
use super::decode::{Visitor, visit};
use crate::layout::{
    HEADER_LEN, Header, MAGIC, MAX_UNITS, SEALED, SECTION_SLOTS, UNIT, VERSION, checksum, section, word as w,
};
use crate::memory::View;
use crate::walk::Part;
use crate::word::Step;
use crate::word::Target;
use crate::writer::{MAX_MEMBERS, RECORD_SIZE, group_units};
use alloc::vec::Vec;
use zerocopy::{FromBytes, IntoBytes};

/// Why bytes are no image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The bytes do not begin at a multiple of 8.
    #[error("the bytes of the fib image are not aligned to 8")]
    Unaligned,
    /// Fewer bytes than a header.
    #[error("{0} bytes are too few for a fib image")]
    TooShort(usize),
    /// The first bytes are not those of an image.
    #[error("no fib image: it begins with {0:02x?}")]
    Magic([u8; 8]),
    /// Written in another layout.
    #[error("fib image has version {0}: want {VERSION}")]
    Version(u16),
    /// A size in the header is not the one of this version, or not that of the bytes.
    #[error("{what} of the fib image is {says}: want {want}")]
    Size {
        /// The field.
        what: &'static str,
        /// What it says.
        says: u64,
        /// What it should.
        want: u64,
    },
    /// The bytes changed since they were sealed.
    #[error("checksum of {what} of the fib image is {says:#018x}: want {want:#018x}")]
    Checksum {
        /// The header or a section.
        what: &'static str,
        /// What the header says.
        says: u64,
        /// What the bytes have.
        want: u64,
    },
    /// A section overlaps the one before, exceeds the image, or has fewer records than it must.
    #[error("section {0} of the fib image is out of place")]
    Section(usize),
    /// A word or record leads to what does not exist or is part of something else.
    #[error("the fib image leads nowhere at byte {0}")]
    Dangling(usize),
}

pub(crate) fn load(view: View<'_>) -> Result<FibImage<'_>, LoadError> {
    let header = header(view)?;
    sections(view)?;
    if header.flags.get() & SEALED != 0 {
        checksums(view, &header)?;
    }
    let image = FibImage::of(view);
    let mut claims = Claims { image, taken: alloc::vec![0; view.len() / UNIT / 64 + 1], wrong: None };
    visit(image, &mut claims);
    claims.groups();
    claims.records();
    match claims.wrong {
        None => Ok(image),
        Some(at) => Err(LoadError::Dangling(at)),
    }
}

fn header(view: View<'_>) -> Result<Header, LoadError> {
    if view.len() < size_of::<Header>() || !view.len().is_multiple_of(UNIT) {
        return Err(LoadError::TooShort(view.len()));
    }
    let bytes: [u8; size_of::<Header>()] = view.read(0);
    let header = Header::read_from_bytes(&bytes).map_err(|_| LoadError::TooShort(view.len()))?;
    if header.magic != MAGIC {
        return Err(LoadError::Magic(header.magic));
    }
    if header.version.get() != VERSION {
        return Err(LoadError::Version(header.version.get()));
    }
    size("header size", header.header_len.get(), HEADER_LEN)?;
    size("section count", header.section_count.get(), section::COUNT)?;
    size("size in units", header.units.get(), view.len() / UNIT)?;
    if header.units.get() >= MAX_UNITS {
        return Err(LoadError::Size {
            what: "size in units",
            says: header.units.get().into(),
            want: MAX_UNITS.into(),
        });
    }
    if header.flags.get() & !SEALED != 0 {
        return Err(LoadError::Size { what: "flags", says: header.flags.get().into(), want: SEALED.into() });
    }
    Ok(header)
}

fn size(what: &'static str, says: impl TryInto<u64>, want: impl TryInto<u64>) -> Result<(), LoadError> {
    let (says, want) = (says.try_into().unwrap_or(u64::MAX), want.try_into().unwrap_or(u64::MAX));
    if says == want { Ok(()) } else { Err(LoadError::Size { what, says, want }) }
}

/// Sections do not overlap, whatever their order: one that has grown is behind the others.
fn sections(view: View<'_>) -> Result<(), LoadError> {
    let mut spans = Vec::new();
    for (index, record) in RECORD_SIZE.iter().enumerate() {
        let part = view.part(index);
        let len = (part.count as usize).saturating_mul(*record);
        let end = part.at.saturating_add(len);
        let least = if index <= section::DOMAINS { 1 } else { 0 };
        if part.at < size_of::<Header>() || end > view.len() || part.count < least {
            return Err(LoadError::Section(index));
        }
        spans.push((part.at, end, index));
    }
    spans.sort_unstable();
    let pairs = spans.iter().zip(spans.iter().skip(1));
    let overlap = pairs.filter(|((_, end, before), (start, _, index))| {
        // Tables that grew live in the pool.
        end > start && *before != section::POOL && *index != section::POOL
    });
    match overlap.map(|(_, (_, _, index))| *index).next() {
        Some(index) => Err(LoadError::Section(index)),
        None => Ok(()),
    }
}

fn checksums(view: View<'_>, header: &Header) -> Result<(), LoadError> {
    let (says, want) = (header.checksum.get(), header_sum(header));
    if says != want {
        return Err(LoadError::Checksum { what: "the header", says, want });
    }
    for (index, says) in header.checksums.iter().map(|sum| sum.get()).enumerate() {
        let want = if index < section::COUNT { section_sum(view, index) } else { 0 };
        if says != want {
            return Err(LoadError::Checksum { what: "a section", says, want });
        }
    }
    Ok(())
}

fn header_sum(header: &Header) -> u64 {
    checksum(Header { checksum: 0.into(), ..*header }.as_bytes())
}

fn section_sum(view: View<'_>, index: usize) -> u64 {
    let part = view.part(index);
    let record = RECORD_SIZE.get(index).copied().unwrap_or(UNIT);
    view.checksum(part.at, (part.count as usize).saturating_mul(record).next_multiple_of(UNIT))
}

/// Writes all checksums and the flag that they hold. For writers and tests.
pub(crate) fn seal(view: View<'_>) {
    let flags = core::mem::offset_of!(Header, flags);
    view.store32(flags, SEALED);
    let sums = core::mem::offset_of!(Header, checksums);
    for index in 0..SECTION_SLOTS {
        let sum = if index < section::COUNT { section_sum(view, index) } else { 0 };
        view.store64(sums + index * 8, sum);
    }
    let bytes: [u8; size_of::<Header>()] = view.read(0);
    if let Ok(header) = Header::read_from_bytes(&bytes) {
        view.store64(core::mem::offset_of!(Header, checksum), header_sum(&header));
    }
}

/// Follows everything once, and notes who has which unit.
struct Claims<'a> {
    image: FibImage<'a>,
    /// A bit for each unit.
    taken: Vec<u64>,
    wrong: Option<usize>,
}

impl Claims<'_> {
    fn fail(&mut self, at: usize) {
        self.wrong.get_or_insert(at);
    }

    fn groups(&mut self) {
        let view = self.image.view;
        let part = view.part(section::GROUPS);
        for index in 0..part.count {
            let Some(at) = part.record(index, 4) else { return };
            let offset = view.u32(at);
            if offset == 0 {
                continue;
            }
            let group = (offset & w::OFFSET_MASK) as usize * UNIT;
            let count = view.u32(group + 4);
            let wrong = offset & !w::OFFSET_MASK != 0 || count == 0 || count > MAX_MEMBERS;
            if wrong || !self.units(group, group_units(count)) {
                return self.fail(at);
            }
            let adjacencies = view.part(section::ADJACENCIES).count;
            let ordered = (1..count as usize).all(|i| view.u32(group + i * 8) < view.u32(group + 8 + i * 8));
            let known = (0..count as usize).all(|i| view.u32(group + 12 + i * 8) < adjacencies);
            if !ordered || !known {
                return self.fail(group);
            }
        }
    }

    /// Indices in records.
    fn records(&mut self) {
        for (section, size, field, to) in [
            (section::ADJACENCIES, 32, 16, section::EGRESSES),
            (section::PORTS, 32, 12, section::NETWORKS),
            (section::PORTS, 32, 16, section::DOMAINS),
            (section::NETWORKS, 32, 4, section::DOMAINS),
            (section::ROUTER_PORTS, 32, 8, section::NETWORKS),
            (section::ROUTER_PORTS, 32, 12, section::DOMAINS),
        ] {
            let (view, limit) = (self.image.view, self.image.view.part(to).count);
            let part: Part = view.part(section);
            for at in (0..part.count).filter_map(|index| part.record(index, size)) {
                let index = view.u32(at + field) & !crate::layout::PREFIXES_ONLY;
                // What is free or has none says 0, which need not exist.
                if index != 0 && index >= limit {
                    self.fail(at);
                }
            }
        }
    }
}

impl Visitor for Claims<'_> {
    fn units(&mut self, at: usize, units: u32) -> bool {
        let (first, inside) = (at / UNIT, at.saturating_add(units as usize * UNIT) <= self.image.view.len());
        if !inside || at < size_of::<Header>() {
            self.fail(at);
            return false;
        }
        for unit in first..first + units as usize {
            let Some(word) = self.taken.get_mut(unit / 64) else { return false };
            let bit = 1 << (unit % 64);
            if *word & bit != 0 {
                self.fail(at);
                return false;
            }
            *word |= bit;
        }
        true
    }

    fn word(&mut self, at: usize, word: u32) {
        let part = |section: usize| self.image.view.part(section).count;
        let fits = match crate::word::decode(word) {
            Step::End { to, .. } => match to {
                Target::Adjacency(index) => index < part(section::ADJACENCIES),
                Target::Group(index) => index < part(section::GROUPS),
                Target::Other(index) => index < part(section::DOMAINS),
                Target::Router(index) => index < part(section::ROUTER_PORTS),
                Target::Special(code) => (w::BLACKHOLE..=w::ALLOW).contains(&code),
            },
            Step::None | Step::Tree { .. } | Step::Wide { .. } => true,
            Step::Chunk { .. } => false,
        };
        if !fits {
            self.fail(at);
        }
    }

    fn broken(&mut self, at: usize) {
        self.fail(at);
    }

    fn stopped(&self) -> bool {
        self.wrong.is_some()
    }
}
