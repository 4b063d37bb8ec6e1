//! Open vSwitch in software: one packet through tables, groups and meters.
//!
//! Follows `ofproto/ofproto-dpif-xlate.c` of Open vSwitch 3.1 in what our pipeline uses: what a resubmit or a group
//! bucket leaves behind, when an output is suppressed, which limits end a packet. Where OpenFlow and Open vSwitch
//! differ, it is Open vSwitch.

use super::{
    packet::Packet,
    state::{Ingress, State, TunnelFields},
};
use crate::{compile::EncodedFlow, pipeline::punt::Punt};
use openflow::{
    Action, DecodeError, Field, Flow, Group, GroupId, GroupType, Instruction, Match, Message, MeterId,
    TableId, Xid, message::FlowModCommand,
};
use packet::OfPort;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Greatest depth of resubmits and buckets (`MAX_DEPTH`).
const MAX_DEPTH: usize = 64;
/// Most table lookups of a packet (`MAX_RESUBMITS`).
const MAX_LOOKUPS: usize = MAX_DEPTH * MAX_DEPTH;

/// The tables and groups of one switch.
#[derive(Debug, Clone, Default)]
pub struct Switch {
    tables: BTreeMap<TableId, Vec<Arc<Flow>>>,
    groups: HashMap<GroupId, Group>,
}

/// Which bucket of a `select` group is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choose {
    /// By a hash of the packet's flow. It is not the hash of Open vSwitch, which depends on the datapath.
    #[default]
    Hash,
    /// This one, counted round and round.
    Bucket(usize),
}

/// What became of a packet.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// The tables it met.
    pub steps: Vec<Step>,
    /// What left the switch, in order. Steps refer to it by index.
    pub sent: Vec<Sent>,
    /// What went to the controller.
    pub punted: Vec<Punted>,
    /// Why everything of the packet was dropped, if it was.
    pub fault: Option<Fault>,
}

/// One table lookup.
#[derive(Debug, Clone)]
pub struct Step {
    /// In which table.
    pub table: TableId,
    /// The flow that matched; `None` is a miss, which drops.
    pub flow: Option<Arc<Flow>>,
    /// The packet when it was looked up.
    state: State,
    /// Another flow of equal priority that matches too but does something else: the switch may take either.
    pub rival: Option<Arc<Flow>>,
    /// What the flow did, in order.
    pub did: Vec<Did>,
}

/// One action and what came of it.
#[derive(Debug, Clone)]
pub struct Did {
    /// The action.
    pub action: Action,
    /// What came of it.
    pub effect: Effect,
}

/// What came of an action.
#[derive(Debug, Clone)]
pub enum Effect {
    /// What it says.
    Done,
    /// Nothing, and why.
    Nothing(&'static str),
    /// A packet left; index into [`Run::sent`].
    Sent(usize),
    /// A packet went to the controller; index into [`Run::punted`].
    Punted(usize),
    /// Tables were looked up.
    Looked(Vec<Step>),
    /// A bucket of a group ran; others it might have been.
    Bucket {
        /// Which, from 0.
        index: usize,
        /// Of how many.
        of: usize,
        /// What its actions did.
        did: Vec<Did>,
    },
}

/// A packet that left the switch.
#[derive(Debug, Clone)]
pub struct Sent {
    /// By which port.
    pub port: OfPort,
    /// Outer headers, if the port is a tunnel.
    pub tunnel: TunnelFields,
    /// The packet.
    pub packet: Packet,
}

/// A packet for the controller.
#[derive(Debug, Clone)]
pub struct Punted {
    /// The packet as it was then.
    pub packet: Packet,
    /// What the flow says.
    pub userdata: Vec<u8>,
    /// The port it came in by, and registers.
    pub metadata: Match,
    /// The meter it passed.
    pub meter: Option<MeterId>,
}

/// Why Open vSwitch gives up on a packet and drops whatever it had already sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Resubmits within resubmits.
    #[error("more than {MAX_DEPTH} resubmits within each other")]
    TooDeep,
    /// Lookups in all.
    #[error("more than {MAX_LOOKUPS} table lookups")]
    TooMany,
}

/// A flow that cannot be simulated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFlow {
    /// Its bytes do not decode.
    #[error("flow of table {table} with cookie {cookie:#018x} does not decode")]
    Decode {
        /// Its table.
        table: u8,
        /// Its cookie.
        cookie: u64,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// Its bytes are no flow.
    #[error("flow of table {table} with cookie {cookie:#018x} is too long for a message")]
    NoFlow {
        /// Its table.
        table: u8,
        /// Its cookie.
        cookie: u64,
    },
}

/// The flow in the form of the vocabulary.
///
/// # Errors
/// If its bytes are no flow.
pub fn decode(encoded: &EncodedFlow) -> Result<Flow, BadFlow> {
    let (table, cookie) = (encoded.table().0, encoded.cookie());
    let mut message = Vec::new();
    let framed = encoded.raw().encode_flow_mod(Xid(0), FlowModCommand::Add, &mut message);
    framed.map_err(|_| BadFlow::NoFlow { table, cookie })?;
    match Message::decode(&message) {
        Ok((_, Message::FlowMod(flow_mod))) => Ok(flow_mod.flow),
        Ok(_) => Err(BadFlow::NoFlow { table, cookie }),
        Err(source) => Err(BadFlow::Decode { table, cookie, source }),
    }
}

impl Switch {
    /// A switch that holds these. Of flows with one table, priority and match the last stays.
    pub fn new(flows: impl IntoIterator<Item = Flow>, groups: impl IntoIterator<Item = Group>) -> Self {
        let mut tables: BTreeMap<TableId, Vec<Arc<Flow>>> = BTreeMap::new();
        for flow in flows {
            tables.entry(flow.table).or_default().push(Arc::new(flow));
        }
        for flows in tables.values_mut() {
            flows.reverse();
            flows.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.matching.cmp(&b.matching)));
            flows.dedup_by(|later, kept| later.priority == kept.priority && later.matching == kept.matching);
        }
        Self { tables, groups: groups.into_iter().map(|group| (group.id, group)).collect() }
    }

    /// A switch that holds encoded flows.
    ///
    /// # Errors
    /// If one does not decode.
    pub fn of<'a>(
        flows: impl IntoIterator<Item = &'a EncodedFlow>,
        groups: impl IntoIterator<Item = &'a Group>,
    ) -> Result<Self, BadFlow> {
        let flows = flows.into_iter().map(decode).collect::<Result<Vec<_>, _>>()?;
        Ok(Self::new(flows, groups.into_iter().cloned()))
    }

    /// Every flow by table, highest priority first.
    pub fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.tables.values().flatten().map(AsRef::as_ref)
    }

    /// Runs a packet through, from table 0.
    pub fn run(&self, ingress: Ingress, choose: Choose) -> Run {
        let mut walk = Walk {
            switch: self,
            choose,
            state: State::new(ingress),
            table: TableId(0),
            depth: 0,
            lookups: 0,
            meter: None,
            sent: Vec::new(),
            punted: Vec::new(),
        };
        let mut steps = Vec::new();
        let fault = walk.tables(TableId(0), &mut steps).err();
        if fault.is_some() {
            walk.sent.clear();
            walk.punted.clear();
        }
        Run { steps, sent: walk.sent, punted: walk.punted, fault }
    }

    fn lookup(&self, table: TableId, state: &State) -> (Option<Arc<Flow>>, Option<Arc<Flow>>) {
        let mut matching =
            self.tables.get(&table).into_iter().flatten().filter(|flow| state.matches(&flow.matching));
        let Some(hit) = matching.next() else { return (None, None) };
        let mut rivals = matching.take_while(|flow| flow.priority == hit.priority);
        let rival = rivals.find(|flow| flow.instructions != hit.instructions);
        (Some(Arc::clone(hit)), rival.map(Arc::clone))
    }
}

impl Step {
    /// What a field was when the table was looked up.
    pub fn looked_for(&self, field: Field) -> u128 {
        self.state.get(field)
    }
}

impl Run {
    /// What the packets-in of our own pipeline say.
    pub fn punts(&self) -> impl Iterator<Item = Punt> {
        self.punted.iter().filter_map(|punted| Punt::decode(&punted.userdata, &punted.metadata))
    }
}

/// Whether the rest of an action list runs, and the goto after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    On,
    Stop,
}

struct Walk<'a> {
    switch: &'a Switch,
    choose: Choose,
    state: State,
    /// Whose flow runs.
    table: TableId,
    depth: usize,
    lookups: usize,
    meter: Option<MeterId>,
    sent: Vec<Sent>,
    punted: Vec<Punted>,
}

impl Walk<'_> {
    /// A table and those that its flows go on to.
    fn tables(&mut self, first: TableId, steps: &mut Vec<Step>) -> Result<(), Fault> {
        let mut next = Some(first);
        while let Some(table) = next.take() {
            self.may_go_on()?;
            self.lookups += 1;
            self.table = table;
            let (flow, rival) = self.switch.lookup(table, &self.state);
            let at = steps.len();
            let state = self.state.clone();
            steps.push(Step { table, flow: flow.clone(), state, rival, did: Vec::new() });
            let Some(flow) = flow else { return Ok(()) };
            let mut did = Vec::new();
            let result = self.instructions(&flow.instructions, &mut did);
            // What was done up to a fault is part of the answer.
            if let Some(step) = steps.get_mut(at) {
                step.did = did;
            }
            next = result?;
        }
        Ok(())
    }

    const fn may_go_on(&self) -> Result<(), Fault> {
        if self.depth >= MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        if self.lookups >= MAX_LOOKUPS {
            return Err(Fault::TooMany);
        }
        Ok(())
    }

    /// Runs the instructions of a flow; returns the table to go to. The action set is not simulated: nothing of ours
    /// writes to it.
    fn instructions(&mut self, all: &[Instruction], did: &mut Vec<Did>) -> Result<Option<TableId>, Fault> {
        let mut next = None;
        for instruction in all {
            match instruction {
                Instruction::Meter(meter) => self.meter = Some(*meter),
                Instruction::Apply(actions) => {
                    if self.actions(actions, did)? == Rest::Stop {
                        return Ok(None);
                    }
                }
                Instruction::Metadata { value, mask } => {
                    let old = self.state.get(Field::Metadata);
                    let (value, mask) = (u128::from(*value), u128::from(*mask));
                    self.state.set(Field::Metadata, old & !mask | value & mask);
                }
                Instruction::Goto(table) => next = Some(*table),
                Instruction::Clear | Instruction::Write(_) | Instruction::Unknown(_) => {}
            }
        }
        Ok(next)
    }

    fn actions(&mut self, actions: &[Action], did: &mut Vec<Did>) -> Result<Rest, Fault> {
        for action in actions {
            did.push(Did { action: action.clone(), effect: Effect::Done });
            let at = did.len() - 1;
            let mut effect = Effect::Done;
            let result = self.action(action, &mut effect);
            if let Some(entry) = did.get_mut(at) {
                entry.effect = effect;
            }
            if result? == Rest::Stop {
                return Ok(Rest::Stop);
            }
        }
        Ok(Rest::On)
    }

    fn action(&mut self, action: &Action, effect: &mut Effect) -> Result<Rest, Fault> {
        match action {
            Action::Output { port, .. } => *effect = self.output(*port),
            Action::OutputReg { src, .. } => {
                // Port numbers of Open vSwitch have 16 bits.
                *effect = match u16::try_from(self.state.read(*src)) {
                    Ok(port) => self.output(OfPort(port.into())),
                    Err(_) => Effect::Nothing("no such port"),
                };
            }
            Action::Group(id) => return self.group(*id, effect),
            Action::SetField(set) => {
                let mask = set.mask.unwrap_or(set.field.full_mask());
                let old = self.state.get(set.field);
                *effect = self.write(set.field, old & !mask | set.value & mask);
            }
            Action::RegLoad { dst, value } => {
                let value = super::bits::paste(self.state.get(dst.field), *dst, (*value).into());
                *effect = self.write(dst.field, value);
            }
            Action::Move { src, dst } => {
                if self.state.has(src.field) && self.state.has(dst.field) {
                    self.state.write(*dst, self.state.read(*src));
                } else {
                    *effect = Effect::Nothing("the packet lacks a field");
                }
            }
            Action::PushVlan(tpid) => self.state.packet.push_vlan(*tpid),
            Action::PopVlan => self.state.packet.pop_vlan(),
            Action::DecTtl => return Ok(self.decrement_ttl(effect)),
            Action::SetTtl(ttl) => *effect = self.write(Field::IpTtl, (*ttl).into()),
            Action::Resubmit { in_port, table } => return self.resubmit(*in_port, *table, effect),
            Action::CheckPktLarger { len, dst } => {
                let is_larger = self.state.packet.len() > usize::from(*len);
                self.state.write(*dst, is_larger.into());
            }
            Action::Controller(controller) => *effect = self.punt(&controller.userdata),
            Action::SetQueue(_) => {}
            Action::Clone(_) | Action::StackPush(_) | Action::StackPop(_) | Action::Unknown(_) => {
                *effect = Effect::Nothing("not simulated: no flow of ours has it");
            }
        }
        Ok(Rest::On)
    }

    fn write(&mut self, field: Field, value: u128) -> Effect {
        if !self.state.has(field) {
            return Effect::Nothing("the packet lacks the field");
        }
        self.state.set(field, value);
        Effect::Done
    }

    /// Open vSwitch sends back to where a packet came from only if asked for by `IN_PORT`.
    fn output(&mut self, port: OfPort) -> Effect {
        let port = match port {
            OfPort::IN_PORT => OfPort(self.state.in_port),
            OfPort::CONTROLLER => return self.punt(&[]),
            port if port.0 == self.state.in_port => return Effect::Nothing("it came from there"),
            port => port,
        };
        self.sent.push(Sent { port, tunnel: self.state.tunnel, packet: self.state.packet.clone() });
        Effect::Sent(self.sent.len() - 1)
    }

    fn punt(&mut self, userdata: &[u8]) -> Effect {
        self.punted.push(Punted {
            packet: self.state.packet.clone(),
            userdata: userdata.to_vec(),
            metadata: self.state.metadata(),
            meter: self.meter,
        });
        Effect::Punted(self.punted.len() - 1)
    }

    /// At 1 or 0 the rest of the action list, and the goto after it, are left out.
    fn decrement_ttl(&mut self, effect: &mut Effect) -> Rest {
        if !self.state.has(Field::IpTtl) {
            *effect = Effect::Nothing("the packet lacks the field");
            return Rest::On;
        }
        match self.state.get(Field::IpTtl) {
            0 | 1 => {
                *effect = Effect::Nothing("the ttl is used up: the packet ends here");
                Rest::Stop
            }
            ttl => {
                self.state.set(Field::IpTtl, ttl - 1);
                Rest::On
            }
        }
    }

    /// What the looked-up flows write stays when they return; another `in_port` holds for their lookups only. Only
    /// a resubmit that does not go forward counts as one within another.
    fn resubmit(&mut self, in_port: Option<u16>, table: TableId, effect: &mut Effect) -> Result<Rest, Fault> {
        self.may_go_on()?;
        let (old_port, old_table) = (self.state.in_port, self.table);
        if let Some(port) = in_port {
            self.state.in_port = port.into();
        }
        let deepens = usize::from(table <= old_table);
        self.depth += deepens;
        let mut steps = Vec::new();
        let result = self.tables(table, &mut steps);
        self.depth -= deepens;
        self.table = old_table;
        if in_port.is_some() {
            self.state.in_port = old_port;
        }
        *effect = Effect::Looked(steps);
        result.map(|()| Rest::On)
    }

    /// What a bucket writes is undone when it ends.
    fn group(&mut self, id: GroupId, effect: &mut Effect) -> Result<Rest, Fault> {
        self.may_go_on()?;
        let Some(group) = self.switch.groups.get(&id) else {
            *effect = Effect::Nothing("no such group: the packet ends here");
            return Ok(Rest::Stop);
        };
        let index = match group.kind {
            GroupType::Select => self.select(group),
            GroupType::Indirect | GroupType::FastFailover => Some(0),
            GroupType::All => None,
        };
        let Some((index, bucket)) = index.and_then(|index| Some((index, group.buckets.get(index)?))) else {
            *effect = Effect::Nothing("no bucket to take");
            return Ok(Rest::On);
        };
        let before = self.state.clone();
        let mut did = Vec::new();
        self.depth += 1;
        let result = self.actions(&as_action_set(&bucket.actions), &mut did);
        self.depth -= 1;
        self.state = before;
        *effect = Effect::Bucket { index, of: group.buckets.len(), did };
        result.map(|_| Rest::On)
    }

    fn select(&self, group: &Group) -> Option<usize> {
        let alive: Vec<usize> = group
            .buckets
            .iter()
            .enumerate()
            .filter(|(_, bucket)| bucket.weight > 0)
            .map(|(at, _)| at)
            .collect();
        let turn = match self.choose {
            Choose::Bucket(turn) => turn,
            Choose::Hash => flow_hash(&self.state),
        };
        alive.get(turn.checked_rem(alive.len())?).copied()
    }
}

/// The actions of a bucket in the order of an action set: `ofpacts_execute_action_set` of Open vSwitch. Of each
/// kind only the last stays, writes keep their order, and of output, resubmit and group one is last.
fn as_action_set(actions: &[Action]) -> Vec<Action> {
    let slot = |action: &Action| match action {
        Action::PopVlan => Some(0),
        Action::PushVlan(_) => Some(1),
        Action::DecTtl => Some(2),
        Action::SetQueue(_) => Some(4),
        Action::Resubmit { .. } => Some(5),
        Action::Output { .. } => Some(6),
        Action::Group(_) => Some(7),
        Action::SetField(_) | Action::RegLoad { .. } | Action::Move { .. } | Action::SetTtl(_) => Some(3),
        _ => None,
    };
    let last = |wanted: u8| actions.iter().rev().find(move |action| slot(action) == Some(wanted));
    let Some(end) = [7, 6, 5].into_iter().find_map(last) else { return Vec::new() };
    let first = [0, 1, 2].into_iter().filter_map(last);
    let writes = actions.iter().filter(|action| matches!(slot(action), Some(3 | 4)));
    first.chain(writes).chain([end]).cloned().collect()
}

/// FNV-1a over what identifies a transport flow.
fn flow_hash(state: &State) -> usize {
    let parsed = state.packet.parsed();
    let mut bytes = [parsed.eth_src.0, parsed.eth_dst.0].concat();
    if let Some(flow) = parsed.five_tuple() {
        bytes = format!("{flow:?}").into_bytes();
    }
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The low bits of FNV are its weakest.
    super::bits::low::<u32>((hash >> 32).into()) as usize
}
