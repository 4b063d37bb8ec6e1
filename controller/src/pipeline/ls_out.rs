//! The egress of logical switches: copies, physical networks, ports.

use super::{Sink, Table, priority, register};
use openflow::{Action, Field, Match};
use packet::{MacAddr, OfPort, VlanId, header::ethertype};

/// How many ports or tunnels share a slice of a flood.
pub const SLICE_SIZE: u32 = 32;
/// Set in [`register::SLICE`] for a slice of tunnels.
pub const TUNNEL_SLICE: u32 = 1 << 16;

/// Copies to a slice of the ports or tunnels of a network.
pub fn slice(sink: &mut Sink, net: u32, slice: u32, copies: Vec<Action>) {
    let matching = register::SLICE.is(register::NET.is(Match::new(), net), slice);
    sink.flow(Table::LsOutFlood, priority::CLASS, matching, copies, None);
}

/// Out to a physical network by its patch port.
///
/// The same router MAC sent from every chassis would make a physical switch believe that it moves about all the
/// time. So what was routed here leaves with a MAC of this chassis, and the receiving chassis puts the router's back
/// ([`ls_in::admit_provider`](super::ls_in::admit_provider)).
pub fn provider(sink: &mut Sink, net: u32, patch: OfPort, vlan: Option<VlanId>, chassis_mac: MacAddr) {
    let mut send = Vec::new();
    if let Some(vlan) = vlan {
        send.push(Action::PushVlan(ethertype::VLAN));
        send.push(Action::set(Field::VlanVid, 0x1000 | vlan.get()));
    }
    send.push(Action::output(patch));
    let mut routed = vec![Action::set(Field::EthSrc, chassis_mac)];
    routed.extend(send.iter().cloned());
    let on_net = || register::NET.is(Match::new(), net);
    sink.flow(Table::LsOutProvider, priority::CLASS, register::ROUTED.is(on_net(), 1), routed, None);
    sink.flow(Table::LsOutProvider, priority::REST, on_net(), send, None);
}
