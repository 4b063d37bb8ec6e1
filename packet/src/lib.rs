//! What a packet is made of: the numbers of the field as types, header views over bytes, checksums.
//!
//! Pure and `no_std`: no clock, no socket. Everything that forwards (the controller's packet-outs, the
//! fast path, the tests) reads and writes packets through this crate, so that there is one opinion on the wire.
#![no_std]
#![warn(clippy::indexing_slicing)]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod mac;
pub mod num;

pub use mac::{MacAddr, MacParseError};
pub use num::{DatapathId, IfIndex, NumError, OfPort, VlanId, Vni, VrfId};
