//! What the benches share.

pub mod api;
pub mod cloud;
pub mod machine;
pub mod process;
pub mod report;
pub mod samples;
pub mod wire;
