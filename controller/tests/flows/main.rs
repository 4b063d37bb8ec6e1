//! Model in, packets out: the compiled flows of whole clouds, run in the software switch. No Open vSwitch, no root.
#![allow(
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    clippy::cast_possible_truncation,
    clippy::type_complexity,
    reason = "a test program: its modules are for itself, and it stops where something is missing"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests stop at what should not be"
)]

mod answers;
mod cloud;
mod flood;
mod golden;
mod guard;
mod page;
mod properties;
mod reach;
mod reference;
mod routes;
mod scale;
mod scenarios;
mod shared;
mod tracing;
mod world;
