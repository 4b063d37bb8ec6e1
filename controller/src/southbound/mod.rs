//! The switches: OpenFlow for what they forward, OVSDB for what they are, an image for the fast path before them.

pub mod fastpath;
pub mod openflow;
pub mod ovsdb;
