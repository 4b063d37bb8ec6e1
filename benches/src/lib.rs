//! What the benches share.

pub mod cloud;
