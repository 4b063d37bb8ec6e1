//! What a chassis shall hold, unit by unit, and how that changes.

use crate::pipeline::{Cookie, UnitId};
use openflow::{
    EncodeError, Flow, Group, GroupId, MeterId, TableId, Xid,
    message::{FlowFlags, FlowModCommand, encode_flow_mod},
    raw::RawFlow,
};
use std::{
    collections::{HashMap, HashSet},
    fmt,
    hash::{Hash, Hasher},
    ops::Range,
};

/// A flow as bytes: cookie, table and priority, then match and instructions as the wire has them
/// (OpenFlow 1.3.5, 7.2.3 and 7.2.4).
///
/// Kept so because it is small, compares with what a switch reads back, and is sent by copying.
#[derive(Clone)]
pub struct EncodedFlow(Box<[u8]>);

const COOKIE: Range<usize> = 0..8;
const TABLE: usize = 8;
const PRIORITY: Range<usize> = 9..11;
const MATCH: usize = 11;

impl EncodedFlow {
    /// Encodes a flow.
    ///
    /// # Errors
    /// If it does not fit into a message.
    pub fn new(flow: &Flow) -> Result<Self, EncodeError> {
        /// Where the match of an OFPT_FLOW_MOD begins (7.3.4.1).
        const FLOW_MOD: usize = 48;
        let mut message = Vec::with_capacity(256);
        encode_flow_mod(Xid(0), FlowModCommand::Add, FlowFlags::default(), flow, &mut message)?;
        let body = message.get(FLOW_MOD..).unwrap_or_default();
        let mut bytes = Vec::with_capacity(MATCH + body.len());
        bytes.extend(flow.cookie.to_be_bytes());
        bytes.push(flow.table.0);
        bytes.extend(flow.priority.to_be_bytes());
        bytes.extend(body);
        Ok(Self(bytes.into()))
    }

    /// The flow as the wire has it.
    pub fn raw(&self) -> RawFlow<'_> {
        RawFlow {
            table: self.table(),
            priority: self.priority(),
            cookie: self.cookie(),
            matching: self.match_bytes(),
            instructions: self.instruction_bytes(),
        }
    }

    /// The flow's table.
    pub fn table(&self) -> TableId {
        TableId(self.0.get(TABLE).copied().unwrap_or_default())
    }

    /// The flow's priority.
    pub fn priority(&self) -> u16 {
        self.part(PRIORITY).try_into().map_or(0, u16::from_be_bytes)
    }

    /// The flow's cookie.
    pub fn cookie(&self) -> u64 {
        self.part(COOKIE).try_into().map_or(0, u64::from_be_bytes)
    }

    /// The match: type, length, OXM fields and padding.
    pub fn match_bytes(&self) -> &[u8] {
        self.part(MATCH..self.instructions_at())
    }

    /// The instructions.
    pub fn instruction_bytes(&self) -> &[u8] {
        self.part(self.instructions_at()..self.0.len())
    }

    /// What makes it this flow and no other of the switch.
    pub fn key(&self) -> (TableId, u16, &[u8]) {
        (self.table(), self.priority(), self.match_bytes())
    }

    /// True if a switch that holds `other` need not be told of this one: the round alone makes no difference.
    pub fn same_as(&self, other: &Self) -> bool {
        self.key() == other.key()
            && self.instruction_bytes() == other.instruction_bytes()
            && self.cookie() & Cookie::UNIT_MASK == other.cookie() & Cookie::UNIT_MASK
    }

    fn instructions_at(&self) -> usize {
        let length = self.part(MATCH + 2..MATCH + 4).try_into().map_or(0, u16::from_be_bytes);
        // The length leaves out the padding to 8 octets (7.2.3.1).
        MATCH + usize::from(length).next_multiple_of(8)
    }

    fn part(&self, range: Range<usize>) -> &[u8] {
        self.0.get(range).unwrap_or_default()
    }
}

impl fmt::Debug for EncodedFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (table, priority, matching) = self.key();
        f.debug_struct("EncodedFlow")
            .field("table", &table.0)
            .field("priority", &priority)
            .field("match", &matching)
            .finish_non_exhaustive()
    }
}

/// A flow by its key, for sets.
struct ByKey<'a>(&'a EncodedFlow);

impl PartialEq for ByKey<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.key() == other.0.key()
    }
}

impl Eq for ByKey<'_> {}

impl Hash for ByKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key().hash(state);
    }
}

/// A meter with one drop band that counts packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meter {
    /// Its number.
    pub id: MeterId,
    /// Packets a second.
    pub rate: u32,
    /// Packets at once.
    pub burst: u32,
}

/// What one unit holds.
#[derive(Debug, Clone, Default)]
pub struct Unit {
    /// Flows, in the order in which they were compiled.
    pub flows: Box<[EncodedFlow]>,
    /// Groups.
    pub groups: Box<[Group]>,
}

/// What a chassis shall hold.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    units: HashMap<UnitId, Unit>,
    flow_count: usize,
    group_count: usize,
    /// Meters, which are the same all the time.
    pub meters: Vec<Meter>,
}

/// How to come from one [`Desired`] to a later one. Groups come first and go last.
#[derive(Debug, Clone, Default)]
pub struct Delta {
    /// Groups that are new or other than before.
    pub put_groups: Vec<Group>,
    /// Flows that are new or other than before; adding one replaces what has its key.
    pub put_flows: Vec<EncodedFlow>,
    /// Flows that go.
    pub delete_flows: Vec<EncodedFlow>,
    /// Groups that go.
    pub delete_groups: Vec<GroupId>,
}

impl Desired {
    /// A unit, if it holds anything.
    pub fn unit(&self, id: UnitId) -> Option<&Unit> {
        self.units.get(&id)
    }

    /// Every unit that holds anything, in no order.
    pub fn units(&self) -> impl Iterator<Item = (UnitId, &Unit)> {
        self.units.iter().map(|(id, unit)| (*id, unit))
    }

    /// Every flow, in no order.
    pub fn flows(&self) -> impl Iterator<Item = &EncodedFlow> {
        self.units.values().flat_map(|unit| &unit.flows)
    }

    /// Every group, in no order.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.units.values().flat_map(|unit| &unit.groups)
    }

    /// How many flows there are.
    pub const fn flow_count(&self) -> usize {
        self.flow_count
    }

    /// How many groups there are.
    pub const fn group_count(&self) -> usize {
        self.group_count
    }

    /// Replaces a unit and notes what that changes. An empty unit goes.
    pub(super) fn replace(&mut self, id: UnitId, new: Unit, delta: &mut Delta) {
        let old = self.units.get(&id).map_or(&[][..], |unit| &unit.flows);
        let put: Vec<_> = {
            let known: HashMap<ByKey<'_>, &EncodedFlow> =
                old.iter().map(|flow| (ByKey(flow), flow)).collect();
            let is_known = |flow: &&EncodedFlow| known.get(&ByKey(flow)).is_some_and(|old| flow.same_as(old));
            new.flows.iter().filter(|flow| !is_known(flow)).cloned().collect()
        };
        let stays: HashSet<ByKey<'_>> = new.flows.iter().map(ByKey).collect();
        delta.delete_flows.extend(old.iter().filter(|flow| !stays.contains(&ByKey(flow))).cloned());
        delta.put_flows.extend(put);

        let old = self.units.get(&id).map_or(&[][..], |unit| &unit.groups);
        delta.put_groups.extend(new.groups.iter().filter(|group| !old.contains(group)).cloned());
        let gone = old.iter().filter(|group| new.groups.iter().all(|stays| stays.id != group.id));
        delta.delete_groups.extend(gone.map(|group| group.id));

        self.flow_count += new.flows.len();
        self.group_count += new.groups.len();
        let old = if new.flows.is_empty() && new.groups.is_empty() {
            self.units.remove(&id)
        } else {
            self.units.insert(id, new)
        };
        if let Some(old) = old {
            self.flow_count -= old.flows.len();
            self.group_count -= old.groups.len();
        }
    }
}

impl Delta {
    /// True if nothing changes.
    pub fn is_empty(&self) -> bool {
        self.put_groups.is_empty()
            && self.put_flows.is_empty()
            && self.delete_flows.is_empty()
            && self.delete_groups.is_empty()
    }

    /// A flow that one unit gave up and another took over stays.
    pub(super) fn settle(&mut self) {
        let taken: HashSet<ByKey<'_>> = self.put_flows.iter().map(ByKey).collect();
        let gone = |flow: &EncodedFlow| !taken.contains(&ByKey(flow));
        self.delete_flows = std::mem::take(&mut self.delete_flows).into_iter().filter(gone).collect();
    }
}
