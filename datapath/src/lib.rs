//! The fast path: XDP in front of Open vSwitch, on the same ports, answering from the same compiled routing table.
//!
//! What it does not answer, it passes on, and Open vSwitch gives the same answer. `docs/fast-path.md` is the manual.

pub mod attach;
mod error;
pub mod lookup;
pub mod maps;
pub mod object;
pub mod plain;

pub use error::Error;
