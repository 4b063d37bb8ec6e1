//! The fast path: XDP in front of Open vSwitch, on the same ports, answering from the same compiled routing table.
//!
//! What it does not answer, it passes on, and Open vSwitch gives the same answer. `docs/fast-path.md` is the manual.

pub mod afxdp;
pub mod attach;
mod error;
pub mod ethtool;
pub mod forward;
pub mod gate;
pub mod generator;
pub mod host;
pub mod lookup;
pub mod maps;
pub mod object;
pub mod peer;
pub mod pins;
pub mod plain;
pub mod reason;
pub mod router;
pub mod selftest;
mod tunnel;
pub mod underlay;
pub mod worker;
pub mod xsk;

pub use error::{Error, chain};
