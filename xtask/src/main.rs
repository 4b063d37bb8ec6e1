//! `cargo xtask`: the only entry point, the same for people and CI.

fn main() {}
