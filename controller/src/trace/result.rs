//! What a trace says, for programs and for people.

use super::{
    fabric::{Door, Fate, Journey, Visit, kind_name},
    reason, show,
    summary::summary,
    switch::{Did, Effect, Step},
};
use crate::{
    compile::Compiler,
    model::{ChassisId, PortId},
    pipeline::{
        priority,
        punt::{IcmpReason, Punt},
    },
};
use openflow::{Action, Instruction};
use packet::ParsedPacket;
use serde::Serialize;
use std::fmt;

/// The answer to a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TraceResult {
    /// The packet that was sent.
    pub packet: PacketText,
    /// Every switch it met, in order.
    pub visits: Vec<VisitText>,
    /// Where it, and every copy of it, ended.
    pub ends: Vec<End>,
    /// The ends in one sentence.
    pub verdict: String,
}

/// A packet in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PacketText {
    /// As in "icmp echo request 10.0.0.2 > 10.0.1.2, ttl 64".
    pub summary: String,
    /// Source MAC.
    pub src_mac: String,
    /// Destination MAC.
    pub dst_mac: String,
    /// The tag's id, if it is tagged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// Octets of the frame.
    pub octets: usize,
}

/// A packet in one switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VisitText {
    /// Whose switch.
    pub chassis: ChassisId,
    /// How it got there.
    pub entered_by: String,
    /// The tables it met.
    pub steps: Vec<StepText>,
}

/// One table lookup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepText {
    /// The table's name.
    pub table: String,
    /// The flow that matched; `null` if none did.
    pub flow: Option<FlowText>,
    /// What it did.
    pub actions: Vec<ActionText>,
}

/// A flow that matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlowText {
    /// Its priority.
    pub priority: u16,
    /// Its match, in the words of `ovs-ofctl` and with our register fields by name.
    pub matching: String,
    /// 16 hexadecimal digits, to find it by `ovs-ofctl dump-flows br-int cookie=0x.../-1`.
    pub cookie: String,
    /// What it was made for, as in "port web-1"; "base" is what every chassis has.
    pub object: String,
    /// Another flow that the switch may take as well. There should be none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rival: Option<String>,
    /// True if no other table follows.
    pub is_end: bool,
}

/// An action and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActionText {
    /// The action.
    pub action: String,
    /// What came of it, if it does not say so itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Tables it looked up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepText>,
    /// Actions of the bucket it chose.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bucket: Vec<ActionText>,
}

/// Where a packet ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum End {
    /// At a port. If that is the port it came from, the switch answered.
    Delivered {
        /// Where the port is.
        chassis: ChassisId,
        /// The port.
        port: PortId,
        /// The packet as it arrived.
        packet: PacketText,
    },
    /// A router refused it.
    Refused {
        /// Where.
        chassis: ChassisId,
        /// Which.
        router: String,
        /// Why.
        reason: &'static str,
        /// The ICMP error that its sender gets.
        #[serde(skip_serializing_if = "Option::is_none")]
        answer: Option<PacketText>,
        /// Why its sender gets none.
        #[serde(skip_serializing_if = "Option::is_none")]
        no_answer: Option<String>,
    },
    /// Out of sight.
    Left {
        /// From where.
        chassis: ChassisId,
        /// To where.
        to: String,
    },
    /// Nowhere.
    Dropped {
        /// Where.
        chassis: ChassisId,
        /// In which table, if in one.
        #[serde(skip_serializing_if = "Option::is_none")]
        table: Option<String>,
        /// Why.
        reason: String,
    },
}

impl TraceResult {
    pub(super) fn new(compiler: &Compiler, from: &PortId, frame: &[u8], journey: &Journey) -> Self {
        let shown: Vec<&Visit> = journey.visits.iter().filter(|visit| !is_silent(journey, visit)).collect();
        let mut ends: Vec<End> = shown.iter().flat_map(|visit| ends(compiler, journey, visit)).collect();
        if let (true, Some(first)) = (journey.endless, journey.visits.first()) {
            let reason = "it goes round in circles between chassis".into();
            ends.push(End::Dropped { chassis: first.chassis.clone(), table: None, reason });
        }
        Self {
            packet: PacketText::new(frame),
            verdict: verdict(from, &ends),
            visits: shown.into_iter().map(|visit| visit_text(compiler, visit)).collect(),
            ends,
        }
    }

    /// For reading: a line a step, indented, without what changes nothing.
    pub fn lines(&self) -> Vec<String> {
        let PacketText { summary, src_mac, dst_mac, octets, .. } = &self.packet;
        let mut lines = vec![format!("{summary}; {src_mac} > {dst_mac}, {octets} octets")];
        for visit in &self.visits {
            lines.push(format!("chassis {}, in by {}", visit.chassis, visit.entered_by));
            visit.steps.iter().for_each(|step| step.lines(1, &mut lines));
        }
        lines.push(self.verdict.clone());
        lines
    }
}

impl fmt::Display for TraceResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl PacketText {
    /// Describes a frame.
    pub fn new(frame: &[u8]) -> Self {
        let parsed = ParsedPacket::parse(frame);
        Self {
            summary: summary(frame),
            src_mac: parsed.eth_src.to_string(),
            dst_mac: parsed.eth_dst.to_string(),
            vlan: parsed.vlan_id(),
            octets: frame.len(),
        }
    }
}

impl StepText {
    fn lines(&self, depth: usize, lines: &mut Vec<String>) {
        let indent = "  ".repeat(depth);
        let Some(flow) = &self.flow else {
            lines.push(format!("{indent}{}: no flow matches", self.table));
            return;
        };
        // The flow that a table has for its miss says nothing.
        if flow.priority == priority::MISS && self.actions.is_empty() {
            return;
        }
        let matching = if flow.matching.is_empty() { "anything" } else { &flow.matching };
        lines.push(format!("{indent}{}: {matching} ({})", self.table, flow.object));
        if let Some(rival) = &flow.rival {
            lines.push(format!("{indent}  ambiguous: {rival}"));
        }
        if self.actions.is_empty() && flow.is_end {
            lines.push(format!("{indent}  drop"));
        }
        action_lines(&self.actions, depth + 1, lines);
    }
}

/// Plain actions share a line; those that something came of have their own.
fn action_lines(actions: &[ActionText], depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let mut plain: Vec<&str> = Vec::new();
    for action in actions {
        if action.note.is_none() && action.steps.is_empty() && action.bucket.is_empty() {
            plain.push(&action.action);
            continue;
        }
        if !plain.is_empty() {
            lines.push(format!("{indent}{}", std::mem::take(&mut plain).join(", ")));
        }
        let note = action.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
        lines.push(format!("{indent}{}{note}", action.action));
        action_lines(&action.bucket, depth + 1, lines);
        action.steps.iter().for_each(|step| step.lines(depth + 1, lines));
    }
    if !plain.is_empty() {
        lines.push(format!("{indent}{}", plain.join(", ")));
    }
}

/// A copy that a physical network took to a chassis that did nothing with it.
fn is_silent(journey: &Journey, visit: &Visit) -> bool {
    let did_nothing = visit.run.sent.is_empty() && visit.run.punted.is_empty() && visit.run.fault.is_none();
    let taken_elsewhere =
        || journey.visits.iter().any(|other| !other.run.sent.is_empty() && is_physical(other));
    is_physical(visit) && did_nothing && taken_elsewhere()
}

const fn is_physical(visit: &Visit) -> bool {
    matches!(visit.by, Door::Physical { .. })
}

fn visit_text(compiler: &Compiler, visit: &Visit) -> VisitText {
    let entered_by = match &visit.by {
        Door::Port(port) => format!("port {port}"),
        Door::Tunnel { kind, id, from } => format!("{} {id} from chassis {from}", kind_name(*kind)),
        Door::Physical { network, from } => format!("physical network {network} from chassis {from}"),
    };
    let text = Text { compiler, visit };
    VisitText { chassis: visit.chassis.clone(), entered_by, steps: text.steps(&visit.run.steps) }
}

/// Puts what a switch did into words.
struct Text<'a> {
    compiler: &'a Compiler,
    visit: &'a Visit,
}

impl Text<'_> {
    fn steps(&self, steps: &[Step]) -> Vec<StepText> {
        steps.iter().map(|step| self.step(step)).collect()
    }

    fn step(&self, step: &Step) -> StepText {
        let view = self.compiler.view();
        let flow = step.flow.as_ref().map(|flow| FlowText {
            priority: flow.priority,
            matching: show::matching(&flow.matching),
            cookie: format!("{:016x}", flow.cookie),
            object: show::whose(view, flow.cookie),
            rival: step.rival.as_ref().map(|rival| show::flow(view, rival)),
            is_end: !flow.instructions.iter().any(|i| matches!(i, Instruction::Goto(_))),
        });
        StepText { table: show::table(step.table), flow, actions: self.actions(&step.did) }
    }

    fn actions(&self, did: &[Did]) -> Vec<ActionText> {
        did.iter().map(|did| self.action(did)).collect()
    }

    fn action(&self, did: &Did) -> ActionText {
        let (mut steps, mut bucket, mut note) = (Vec::new(), Vec::new(), None);
        match &did.effect {
            Effect::Done => {}
            Effect::Nothing(why) => note = Some((*why).to_owned()),
            Effect::Sent(at) => note = self.visit.fates.get(*at).map(|fate| self.fate(fate, *at)),
            Effect::Punted(_) => note = Some("the controller answers".to_owned()),
            Effect::Looked(looked) => steps = self.steps(looked),
            Effect::Bucket { index, of, did } => {
                note = Some(format!("bucket {} of {of} by hash; Open vSwitch may choose another", index + 1));
                bucket = self.actions(did);
            }
        }
        let action = match (&did.action, &did.effect) {
            (Action::Controller(_), _) => "controller".to_owned(),
            (Action::OutputReg { .. }, Effect::Sent(at)) => {
                let port = self.visit.run.sent.get(*at).map_or(0, |sent| sent.port.0);
                format!("output:{port}")
            }
            (action, _) => show::action(action),
        };
        ActionText { action, note, steps, bucket }
    }

    fn fate(&self, fate: &Fate, at: usize) -> String {
        match fate {
            Fate::Port(port) => format!("to port {port}"),
            Fate::Tunnel(_) | Fate::Elsewhere(_) => {
                let sent = self.visit.run.sent.get(at);
                let end = sent.and_then(|sent| sent.tunnel.destination());
                let id = sent.map_or(0, |sent| sent.tunnel.id);
                format!("tunnel {id} to {}", end.map(|ip| ip.to_string()).unwrap_or_default())
            }
            Fate::Physical(network, _) => format!("to physical network {network}"),
            Fate::Lost(loss) => loss.to_string(),
        }
    }
}

/// Where the packets of one switch ended that do not go on to another.
fn ends(compiler: &Compiler, journey: &Journey, visit: &Visit) -> Vec<End> {
    let chassis = &visit.chassis;
    let mut ends = Vec::new();
    for (fate, sent) in visit.fates.iter().zip(&visit.run.sent) {
        let frame = sent.packet.frame();
        match fate {
            Fate::Port(port) => {
                let (chassis, port) = (chassis.clone(), port.clone());
                ends.push(End::Delivered { chassis, port, packet: PacketText::new(&frame) });
            }
            Fate::Tunnel(_) => {}
            Fate::Elsewhere(to) => {
                let to = format!("chassis {to}, which this controller does not serve");
                ends.push(End::Left { chassis: chassis.clone(), to });
            }
            Fate::Physical(network, visits) => {
                let takes = |at: &usize| journey.visits.get(*at).is_some_and(|v| !v.run.sent.is_empty());
                if !visits.iter().any(takes) {
                    let to = format!("physical network {network}; no chassis of this controller takes it");
                    ends.push(End::Left { chassis: chassis.clone(), to });
                }
            }
            Fate::Lost(loss) => {
                ends.push(End::Dropped { chassis: chassis.clone(), table: None, reason: loss.to_string() });
            }
        }
    }
    for punted in &visit.run.punted {
        ends.extend(
            Punt::decode(&punted.userdata, &punted.metadata)
                .map(|punt| refused(compiler, chassis, &punt, &punted.packet.frame())),
        );
    }
    if visit.run.sent.is_empty() && visit.run.punted.is_empty() {
        let (table, reason) = reason::of_drop(compiler.view(), visit);
        ends.push(End::Dropped { chassis: chassis.clone(), table, reason });
    }
    ends
}

fn refused(compiler: &Compiler, chassis: &ChassisId, punt: &Punt, frame: &[u8]) -> End {
    let router = compiler.view().router_named(crate::model::ObjectKey(punt.vrf));
    let (answer, no_answer) = match compiler.icmp_answer(chassis, punt, frame) {
        Ok((_, frame)) => (Some(PacketText::new(&frame)), None),
        Err(why) => (None, Some(reason::with_source(&why))),
    };
    End::Refused {
        chassis: chassis.clone(),
        router: router.map_or_else(|| format!("#{}", punt.vrf), |router| router.spec.id.to_string()),
        reason: match punt.reason {
            IcmpReason::TtlExceeded => "its ttl is used up",
            IcmpReason::TooBig => "it is too big for the next network",
            IcmpReason::NoRoute => "there is no route",
            IcmpReason::NoHost => "nobody has the address",
            IcmpReason::NoPort => "it is for the router itself",
        },
        answer,
        no_answer,
    }
}

fn verdict(from: &PortId, ends: &[End]) -> String {
    let mut delivered = Vec::new();
    let mut others = Vec::new();
    for end in ends {
        match end {
            End::Delivered { port, packet, .. } if port == from => {
                others.push(format!("answered by the switch: {}", packet.summary));
            }
            End::Delivered { port, chassis, .. } => {
                delivered.push(format!("port {port} on chassis {chassis}"))
            }
            End::Refused { router, reason, answer, no_answer, .. } => {
                let told = match (answer, no_answer) {
                    (Some(answer), _) => format!("its sender is told: {}", answer.summary),
                    (None, why) => format!("nobody is told: {}", why.as_deref().unwrap_or_default()),
                };
                others.push(format!("refused by router {router}: {reason}; {told}"));
            }
            End::Left { to, .. } => others.push(format!("left to {to}")),
            End::Dropped { chassis, table: Some(table), reason } => {
                others.push(format!("dropped on chassis {chassis} in {table}: {reason}"));
            }
            End::Dropped { chassis, table: None, reason } => {
                others.push(format!("dropped on chassis {chassis}: {reason}"));
            }
        }
    }
    if !delivered.is_empty() {
        others.insert(0, format!("delivered to {}", delivered.join(", ")));
    }
    others.join("; ")
}
