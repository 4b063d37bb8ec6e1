//! Who wins where several flows match. One scale for all tables.

/// A priority with its name and meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rank {
    /// As in the code.
    pub name: &'static str,
    /// As in the switch: higher wins.
    pub priority: u16,
    /// For which flows.
    pub purpose: &'static str,
}

macro_rules! ranks {
    ($($(#[doc = $doc:literal])+ $rank:ident = $priority:literal;)+) => {
        $(
            $(#[doc = $doc])+
            pub const $rank: u16 = $priority;
        )+

        /// Every rank, highest first; [`route`] has its own.
        pub const ALL: &[Rank] =
            &[$(Rank { name: stringify!($rank), priority: $rank, purpose: concat!($($doc),+) }),+];
    };
}

ranks! {
    /// Filters that stand before everything else of their table.
    GUARD = 400;
    /// One address or port.
    EXACT = 300;
    /// A rule for a group of packets that an exact one refines.
    CLASS = 200;
    /// What is left.
    REST = 100;
    /// The flow that a table has for its miss.
    MISS = 0;
}

/// A route: the longer the prefix, the higher, and above [`MISS`].
pub const fn route(prefix_len: u8) -> u16 {
    100 + prefix_len as u16
}
