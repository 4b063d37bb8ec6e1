//! Model in, packets out: the compiled flows of whole clouds, run in the software switch. No Open vSwitch, no root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests stop at what should not be"
)]

mod cloud;
mod properties;
mod reference;
mod scenarios;
mod tracing;
mod world;
