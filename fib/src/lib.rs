//! The compiled routing table: all routes of a chassis in, one position-independent byte image out.
//!
//! [`Rib`] is the mutable table, [`build`] compiles its routes into an image, [`FibImage`] checks and walks one, and
//! [`naive`] is the linear model both are proven against. `docs/fib-format.md` is the layout, byte by byte.
#![no_std]
#![warn(clippy::indexing_slicing)]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

mod builder;
pub mod hash;
mod image;
pub mod layout;
pub mod layout1;
pub mod naive;
mod prefix;
#[cfg(feature = "std")]
mod rib;
mod types;

pub use builder::{BuildError, build};
pub use image::{FibImage, Found, LoadError, Verdict};
pub use packet::VrfId;
pub use prefix::{Prefix, PrefixError};
#[cfg(feature = "std")]
pub use rib::Rib;
pub use types::{
    Adjacency, AdjacencyId, EcmpGroup, Egress, GroupId, Member, NetworkKey, NextHop, PortKey, Route, Tables,
    TunnelKind,
};
