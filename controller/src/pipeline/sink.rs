//! Where flows are collected while a unit is compiled.

use super::{
    Cookie, Table,
    lr_in::{Adjacency, Target},
};
use ipnet::IpNet;
use openflow::{Action, Flow, Group, GroupId, Instruction, Match};
use packet::{MacAddr, OfPort};
use std::net::IpAddr;

/// What flows other than routes were made from: what a packet meets before its route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A port of this chassis is on a network, and sends from this MAC; from any if `None`.
    Port {
        /// The port.
        port: OfPort,
        /// Key of the network.
        net: u32,
        /// The MAC.
        mac: Option<MacAddr>,
    },
    /// A port may send from an address with a MAC.
    Source {
        /// The port.
        port: OfPort,
        /// The MAC.
        mac: MacAddr,
        /// The addresses.
        ip: IpNet,
    },
    /// Who asks for an address on a network is told a MAC.
    Answer {
        /// Key of the network.
        net: u32,
        /// The address.
        ip: IpAddr,
        /// The MAC.
        mac: MacAddr,
        /// True for an address of a router.
        router: bool,
    },
    /// A port that asks for this address announces it.
    Announce {
        /// The port.
        port: OfPort,
        /// The address.
        ip: IpAddr,
    },
    /// Frames for a MAC on a network go to where it is.
    Station {
        /// Key of the network.
        net: u32,
        /// The MAC.
        mac: MacAddr,
    },
    /// Packets for a MAC on a network enter a router.
    Door {
        /// Key of the network.
        net: u32,
        /// The MAC.
        mac: MacAddr,
        /// The router's VRF.
        vrf: u32,
    },
    /// An address is a router's own.
    Own {
        /// The router's VRF.
        vrf: u32,
        /// The address.
        ip: IpAddr,
    },
}

/// Flows and groups of one unit; each flow gets the unit's cookie.
#[derive(Debug)]
pub struct Sink {
    cookie: u64,
    /// The flows so far.
    pub flows: Vec<Flow>,
    /// The groups so far.
    pub groups: Vec<Group>,
    /// The routes that some of the flows were made from, with the VRF of each: what the FIB is built from.
    pub routes: Vec<(u32, IpNet, Target)>,
    /// The next hops that the groups were made from.
    pub next_hops: Vec<(GroupId, Vec<Adjacency>)>,
    /// What other flows were made from.
    pub facts: Vec<Fact>,
}

impl Sink {
    /// An empty one.
    pub const fn new(cookie: Cookie) -> Self {
        Self {
            cookie: cookie.to_bits(),
            flows: Vec::new(),
            groups: Vec::new(),
            routes: Vec::new(),
            next_hops: Vec::new(),
            facts: Vec::new(),
        }
    }

    /// A flow that runs `actions` and, if there is a `next`, goes on there. Without both the packet is dropped.
    pub fn flow(
        &mut self,
        table: Table,
        priority: u16,
        matching: Match,
        actions: Vec<Action>,
        next: Option<Table>,
    ) {
        debug_assert!(next.is_none_or(|next| next > table), "{table} cannot go back to {next:?}");
        let mut instructions = Vec::with_capacity(2);
        if !actions.is_empty() {
            instructions.push(Instruction::Apply(actions));
        }
        if let Some(next) = next {
            instructions.push(Instruction::Goto(next.id()));
        }
        self.raw(table, priority, matching, instructions);
    }

    /// A flow with instructions of any kind.
    pub fn raw(&mut self, table: Table, priority: u16, matching: Match, instructions: Vec<Instruction>) {
        self.flows.push(Flow { table: table.id(), priority, cookie: self.cookie, matching, instructions });
    }
}
