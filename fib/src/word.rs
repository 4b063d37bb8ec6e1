//! Words: see [`crate::layout::word`].

use crate::layout::word::{
    ADJACENCY, ARGUMENT_MASK, CHUNK, GROUP, KIND_SHIFT, LENGTH_SHIFT, LEVELS_SHIFT, OFFSET_MASK, OTHER,
    ROUTER, SPECIAL, TREE, WIDE,
};

/// A decoded word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The word 0.
    None,
    /// The lookup ends: prefix length and target.
    End { len: u8, to: Target },
    /// A tree, its levels and the offset of its root.
    Tree { levels: u32, offset: u32 },
    /// A wide table.
    Wide { offset: u32 },
    /// A chunk.
    Chunk { offset: u32 },
}

/// Where a route leads, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Special(u32),
    Adjacency(u32),
    Group(u32),
    Other(u32),
    Router(u32),
}

impl Target {
    /// The word of a prefix of this length; of a default route, 0.
    pub(crate) const fn word(self, len: u8) -> u32 {
        let (kind, argument) = match self {
            Self::Special(code) => (SPECIAL, code),
            Self::Adjacency(index) => (ADJACENCY, index),
            Self::Group(index) => (GROUP, index),
            Self::Other(index) => (OTHER, index),
            Self::Router(index) => (ROUTER, index),
        };
        let len = len.saturating_sub(1) as u32;
        kind << KIND_SHIFT | len << LENGTH_SHIFT | argument & ARGUMENT_MASK
    }
}

pub(crate) const fn tree(levels: u32, offset: u32) -> u32 {
    TREE << KIND_SHIFT | levels << LEVELS_SHIFT | offset
}

pub(crate) const fn wide(offset: u32) -> u32 {
    WIDE << KIND_SHIFT | offset
}

pub(crate) const fn chunk(offset: u32) -> u32 {
    CHUNK << KIND_SHIFT | offset
}

#[inline(always)]
pub(crate) const fn kind(word: u32) -> u32 {
    word >> KIND_SHIFT
}

#[inline(always)]
pub(crate) const fn argument(word: u32) -> u32 {
    word & ARGUMENT_MASK
}

/// In bytes, of trees, wide tables and chunks.
#[inline(always)]
pub(crate) const fn offset(word: u32) -> usize {
    (word & OFFSET_MASK) as usize * crate::layout::UNIT
}

#[inline(always)]
pub(crate) const fn levels(word: u32) -> u32 {
    word >> LEVELS_SHIFT & 7
}

/// Sense of a word; a length is given as it is for all but default routes.
pub(crate) const fn decode(word: u32) -> Step {
    if word == 0 {
        return Step::None;
    }
    let argument = argument(word);
    let to = match kind(word) {
        SPECIAL => Target::Special(argument),
        ADJACENCY => Target::Adjacency(argument),
        GROUP => Target::Group(argument),
        OTHER => Target::Other(argument),
        ROUTER => Target::Router(argument),
        TREE => return Step::Tree { levels: levels(word), offset: word & OFFSET_MASK },
        WIDE => return Step::Wide { offset: word & OFFSET_MASK },
        _ => return Step::Chunk { offset: word & OFFSET_MASK },
    };
    let len = (word >> LENGTH_SHIFT & 0x7f) as u8 + 1;
    Step::End { len, to }
}
