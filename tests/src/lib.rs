//! The lab: hosts made of network namespaces, each with its own Open vSwitch.
//!
//! ```text
//!   vm eth0 ── veth ── [br-int]  hypervisor  [br-phys] ── veth ── ┐
//!                         patch/tunnel       VTEP addresses       ├─ bridge "tun"  fabric namespace
//!   vm eth0 ── veth ── [br-int]  hypervisor  [br-phys] ── veth ── ┘
//!                                            [br-ex]   ── veth ──── bridge "ex"    (VLAN, flat networks)
//! ```
//!
//! A [`Lab`] owns everything; dropping it, a panic, a signal or `kill -9` of its owner all end in the same
//! clean-up script, run by a guardian process that waits for the owner's end of a pipe to close.
//! Everything is synchronous: system tests, the demo and the benches share this crate.

mod cleanup;
pub mod cloud;
mod command;
pub mod frame;
mod hypervisor;
mod lab;
mod netns;
pub mod neutron;
mod nic;
mod ovs;
mod ping;
pub mod pki;
mod ports;
mod process;
pub mod show;
pub mod topologies;
mod traffic;
mod vm;
mod wait;

pub use cleanup::{remove_kept, sweep};
pub use cloud::Cloud;
pub use command::run;
pub use hypervisor::Hypervisor;
pub use lab::{Lab, LabOptions};
pub use netns::Netns;
pub use nic::{Captured, Direction, Nic};
pub use ovs::Daemon;
pub use ping::{PingReport, Pinger, PingerReport};
pub use process::Process;
pub use traffic::Probe;
pub use vm::{Vm, VmSpec};
pub use wait::wait_for;
