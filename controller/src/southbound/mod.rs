//! The switches: OpenFlow for what they forward, OVSDB for what they are.

pub mod openflow;
pub mod ovsdb;
