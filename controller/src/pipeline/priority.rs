//! Who wins where several flows match. One scale for all tables.

/// Filters that stand before everything else of their table.
pub const GUARD: u16 = 400;
/// One address or port.
pub const EXACT: u16 = 300;
/// A rule for a group of packets that an [`EXACT`] one refines.
pub const CLASS: u16 = 200;
/// What is left.
pub const REST: u16 = 100;
/// The flow that a table has for its miss.
pub const MISS: u16 = 0;

/// A route: the longer the prefix, the higher, and above [`MISS`].
pub const fn route(prefix_len: u8) -> u16 {
    100 + prefix_len as u16
}
