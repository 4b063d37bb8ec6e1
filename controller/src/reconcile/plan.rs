//! What to do, in an order in which nothing is missed on the way.

use crate::compile::{Delta, EncodedFlow, Meter};
use openflow::{
    Group, GroupId, MeterId, TableId,
    message::{MeterBand, MeterFlags, MeterMod, MeterModCommand},
    raw::RawFlow,
};

/// What makes a flow this one and no other of its switch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// Where it stands.
    pub table: TableId,
    /// Higher wins.
    pub priority: u16,
    /// Its match: type, length, fields and padding (OpenFlow 1.3.5, 7.2.3.1).
    pub matching: Box<[u8]>,
}

/// One change of a switch. Each can be repeated without harm.
#[derive(Debug, Clone)]
pub enum Op {
    /// The group shall be there, with these buckets.
    PutGroup(Group),
    /// The flow shall be there, and replaces one with its key.
    PutFlow(EncodedFlow),
    /// The flow shall not be there.
    DeleteFlow(FlowKey),
    /// The group shall not be there, and with it go the flows that use it.
    DeleteGroup(GroupId),
}

/// Changes of a switch in the order in which to make them.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Meters to add or change, before anything uses them. They cannot be part of a bundle.
    pub put_meters: Vec<MeterMod>,
    /// Flows and groups: one ordered, atomic bundle if it is not huge.
    pub ops: Vec<Op>,
    /// Meters to delete when nothing uses them any more.
    pub delete_meters: Vec<MeterId>,
}

impl FlowKey {
    /// As [`EncodedFlow::key`].
    pub(super) fn as_tuple(&self) -> (TableId, u16, &[u8]) {
        (self.table, self.priority, &self.matching)
    }

    /// The flow as bytes, without instructions.
    pub fn raw(&self) -> RawFlow<'_> {
        RawFlow {
            table: self.table,
            priority: self.priority,
            cookie: 0,
            matching: &self.matching,
            instructions: &[],
        }
    }
}

impl From<&EncodedFlow> for FlowKey {
    fn from(flow: &EncodedFlow) -> Self {
        let (table, priority, matching) = flow.key();
        Self { table, priority, matching: matching.into() }
    }
}

impl From<&RawFlow<'_>> for FlowKey {
    fn from(flow: &RawFlow<'_>) -> Self {
        Self { table: flow.table, priority: flow.priority, matching: flow.matching.into() }
    }
}

impl Op {
    /// True for steps that take something away.
    pub const fn is_delete(&self) -> bool {
        matches!(self, Self::DeleteFlow(_) | Self::DeleteGroup(_))
    }
}

impl Plan {
    /// A plan of flows and groups, put into order: groups come before the flows that use them and go after them, and
    /// what is new stands before what is old goes.
    pub(super) fn ordered(
        put_groups: impl IntoIterator<Item = Group>,
        put_flows: impl IntoIterator<Item = EncodedFlow>,
        delete_flows: impl IntoIterator<Item = FlowKey>,
        delete_groups: impl IntoIterator<Item = GroupId>,
    ) -> Self {
        let ops = put_groups
            .into_iter()
            .map(Op::PutGroup)
            .chain(put_flows.into_iter().map(Op::PutFlow))
            .chain(delete_flows.into_iter().map(Op::DeleteFlow))
            .chain(delete_groups.into_iter().map(Op::DeleteGroup))
            .collect();
        Self { put_meters: Vec::new(), ops, delete_meters: Vec::new() }
    }

    /// True if the switch is as it shall be.
    pub fn is_empty(&self) -> bool {
        self.put_meters.is_empty() && self.ops.is_empty() && self.delete_meters.is_empty()
    }

    /// How many things are added or changed, and how many deleted.
    pub fn counts(&self) -> (usize, usize) {
        let deletes = self.ops.iter().filter(|op| op.is_delete()).count();
        (self.put_meters.len() + self.ops.len() - deletes, self.delete_meters.len() + deletes)
    }

    /// This plan and, after it, a later one.
    pub fn append(&mut self, mut later: Self) {
        self.put_meters.append(&mut later.put_meters);
        self.ops.append(&mut later.ops);
        self.delete_meters.append(&mut later.delete_meters);
    }
}

impl From<Delta> for Plan {
    fn from(delta: Delta) -> Self {
        let delete_flows = delta.delete_flows.iter().map(FlowKey::from);
        Self::ordered(delta.put_groups, delta.put_flows, delete_flows, delta.delete_groups)
    }
}

impl Meter {
    /// The message that makes it.
    pub(super) fn to_mod(self, command: MeterModCommand) -> MeterMod {
        MeterMod { command, meter: self.to_openflow() }
    }

    /// As the switch has it.
    pub(super) fn to_openflow(self) -> openflow::message::Meter {
        openflow::message::Meter {
            id: self.id,
            flags: MeterFlags::PKTPS | MeterFlags::BURST,
            bands: vec![MeterBand::Drop { rate: self.rate, burst: self.burst }],
        }
    }
}
