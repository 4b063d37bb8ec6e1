//! The compiled routing table: all routes of a chassis in, one position-independent byte image out.
//!
//! [`Rib`] is the mutable table, [`build`] compiles its routes into an image, [`Writer`] changes one in place while others
//! read it, [`FibImage`] checks, walks and reads back one, and [`naive`] is the linear model they are proven against. `docs/fib-format.md` is the layout, byte by byte.
#![no_std]
#![warn(clippy::indexing_slicing)]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

mod entry;
mod grace;
pub mod hash;
mod image;
#[cfg(test)]
mod interleave;
pub mod layout;
#[cfg(feature = "std")]
mod mapped;
mod memory;
pub mod naive;
mod prefix;
#[cfg(feature = "std")]
mod rib;
mod types;
mod walk;
mod word;
mod writer;

pub use entry::{Entry, Neighbour, Network, Port, RouterPort, RouterPortId, Segment, TunnelPath};
pub use grace::Readers;
pub use image::{
    Adjacencies, BURST, DomainNumber, Explanation, FibImage, Finding, Found, LoadError, Stats, Verdict,
};
#[cfg(feature = "std")]
pub use mapped::{Mapped, MappedImage};
pub use memory::{Container, Memory, Unit};
pub use packet::VrfId;
pub use prefix::{Prefix, PrefixError};
#[cfg(feature = "std")]
pub use rib::Rib;
pub use types::{
    Adjacency, AdjacencyId, EcmpGroup, Egress, GroupId, Member, NetworkKey, NextHop, PortKey, Route, Tables,
    TunnelKind,
};
pub use writer::{BuildError, Options, Writer, build, build_with};
