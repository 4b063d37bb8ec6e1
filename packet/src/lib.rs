//! What a packet is made of: the numbers of the field as types, header views over bytes, checksums.
//!
//! Pure and `no_std`: no clock, no socket. Everything that forwards (the controller's packet-outs, the
//! fast path, the tests) reads and writes packets through this crate, so that there is one opinion on the wire.
#![no_std]
#![warn(clippy::indexing_slicing)]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod addr;
pub mod build;
pub mod checksum;
pub mod frame;
pub mod header;
pub mod icmp_error;
pub mod mac;
pub mod num;
pub mod parsed;

pub use addr::Ends;
pub use icmp_error::{IcmpError, Reason, Suppressed};
pub use mac::{MacAddr, MacParseError};
pub use num::{DatapathId, IfIndex, NumError, OfPort, VlanId, Vni, VrfId};
pub use parsed::{FiveTuple, ParsedPacket};
