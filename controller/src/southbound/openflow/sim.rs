//! A switch in memory that speaks OpenFlow on a stream and behaves as Open vSwitch does: for tests of everything above
//! the socket. With [`Faults`] it is the one nobody wants to have.

use super::{Session, SessionEnd, Stream, open};
use openflow::{
    Action, Config, Flow, Group, GroupId, GroupType, Instruction, Match, Message, MeterId, TableId, Xid,
    message::{
        BundleAdd, BundleControl, BundleControlKind, BundleFlags, Capabilities, ErrorMessage, Features,
        FlowFlags, FlowMod, FlowModCommand, FlowStats, FlowUpdate, GroupMod, GroupModCommand, Header, Hello,
        Meter, MeterMod, MeterModCommand, MonitoredFlow, MultipartReply, MultipartRequest, PacketOut, Role,
        RoleChange, RoleStatus, frame_len,
    },
};
use packet::DatapathId;
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
};

/// Flows of one part of a dump.
const PART: usize = 50;

/// What makes a flow this one.
type Key = (TableId, u16, Match);

/// Whether a flow is refused.
pub(crate) type Refuse = Box<dyn FnMut(&Flow) -> Option<Stage> + Send>;

/// What goes wrong.
#[derive(Default)]
pub(crate) struct Faults {
    /// Flows that are refused, and when.
    pub(crate) refuse: Option<Refuse>,
    /// The connection closes after so many further messages.
    pub(crate) close_after: Option<usize>,
    /// Every message takes so long.
    pub(crate) delay: Duration,
}

/// When a flow is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// When it is added to a bundle, which stays open.
    Add,
    /// When the bundle is committed, which undoes all of it.
    Commit,
}

/// The tables, which can be copied so that a bundle is all or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tables {
    pub(crate) flows: BTreeMap<Key, Flow>,
    pub(crate) groups: BTreeMap<u32, Group>,
}

#[derive(Default)]
struct State {
    tables: Tables,
    meters: BTreeMap<u32, Meter>,
    generation: Option<u64>,
    faults: Faults,
    /// Connections by number; the master among them, and those with a flow monitor.
    outputs: HashMap<usize, mpsc::UnboundedSender<(Xid, Message)>>,
    master: Option<usize>,
    watchers: Vec<usize>,
    connections: usize,
    packets_out: Vec<PacketOut>,
    commits: usize,
}

/// A switch. Clones are the same one.
#[derive(Clone)]
pub(crate) struct SimSwitch {
    datapath: DatapathId,
    state: Arc<Mutex<State>>,
}

/// One connection's own state.
struct Connection {
    number: usize,
    bundles: HashMap<u32, Vec<(Xid, Message)>>,
}

impl SimSwitch {
    pub(crate) fn new(datapath: u64) -> Self {
        Self { datapath: DatapathId(datapath), state: Arc::default() }
    }

    /// Connects and shakes hands.
    pub(crate) async fn connect(&self) -> Result<Session, SessionEnd> {
        open(self.stream(), "sim", Config::default()).await
    }

    /// The controller's end of a new connection.
    pub(crate) fn stream(&self) -> Box<dyn Stream> {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(self.clone().serve(theirs));
        Box::new(ours)
    }

    pub(crate) fn tables(&self) -> Tables {
        self.lock().tables.clone()
    }

    pub(crate) fn packets_out(&self) -> Vec<PacketOut> {
        self.lock().packets_out.clone()
    }

    /// How many bundles were committed.
    pub(crate) fn commits(&self) -> usize {
        self.lock().commits
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// Everything is forgotten and every connection closed, as when the process is killed and started again.
    pub(crate) fn restart(&self) {
        let mut state = self.lock();
        *state = State {
            connections: state.connections,
            faults: std::mem::take(&mut state.faults),
            ..State::default()
        };
    }

    /// Somebody else changes flows; watchers are told, unless `quiet`, as if the news were lost.
    pub(crate) fn meddle(&self, change: impl FnOnce(&mut Tables), quiet: bool) {
        let mut state = self.lock();
        let before = state.tables.clone();
        change(&mut state.tables);
        if !quiet {
            state.tell_watchers(&before, None);
        }
    }

    /// A packet for the controller.
    pub(crate) fn send(&self, message: &Message) {
        for output in self.lock().outputs.values() {
            // The connection may be closing.
            let _ = output.send((Xid(0), message.clone()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn serve(self, mut stream: DuplexStream) {
        let (output, mut unasked) = mpsc::unbounded_channel();
        let number = {
            let mut state = self.lock();
            state.connections += 1;
            let number = state.connections;
            state.outputs.insert(number, output);
            number
        };
        let mut connection = Connection { number, bundles: HashMap::new() };
        let mut out = Vec::new();
        // The highest version it speaks, as Open vSwitch does with 1.0, 1.3 and 1.4.
        Message::Hello(Hello { version: 5, bitmap: Some(0x32) }).encode(Xid(1), &mut out).unwrap();
        let mut input = Vec::new();
        loop {
            if !out.is_empty() && stream.write_all(&std::mem::take(&mut out)).await.is_err() {
                break;
            }
            tokio::select! {
                read = stream.read_buf(&mut input) => if read.unwrap_or(0) == 0 { break },
                told = unasked.recv() => match told {
                    Some((xid, message)) => message.encode(xid, &mut out).unwrap(),
                    // The switch was restarted.
                    None => break,
                },
            }
            let mut open = true;
            while let Some(len) = frame_len(&input).filter(|len| open && *len <= input.len()) {
                let frame: Vec<u8> = input.drain(..len).collect();
                let delay = self.lock().faults.delay;
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                open = self.handle(&mut connection, &frame, &mut out);
            }
            if !open {
                break;
            }
        }
        let mut state = self.lock();
        state.outputs.remove(&number);
        state.watchers.retain(|watcher| *watcher != number);
        state.master = state.master.filter(|master| *master != number);
    }

    /// Answers one message; false closes the connection.
    fn handle(&self, connection: &mut Connection, frame: &[u8], out: &mut Vec<u8>) -> bool {
        let mut state = self.lock();
        if let Some(left) = &mut state.faults.close_after {
            match left.checked_sub(1) {
                Some(rest) => *left = rest,
                None => {
                    state.faults.close_after = None;
                    return false;
                }
            }
        }
        let mut reply = |xid: Xid, message: Message| message.encode(xid, out).unwrap();
        let (xid, message) = match Message::decode(frame) {
            Ok(decoded) => decoded,
            Err(_) => {
                let header = Header::decode(frame).unwrap();
                reply(header.xid, refusal(1, 6, frame));
                return true;
            }
        };
        let is_write =
            matches!(message, Message::BundleControl(_) | Message::BundleAdd(_) | Message::MeterMod(_));
        if is_write && state.master.is_some_and(|master| master != connection.number) {
            reply(xid, refusal(1, 10, frame));
            return true;
        }
        match message {
            Message::EchoRequest(data) => reply(xid, Message::EchoReply(data)),
            Message::FeaturesRequest => reply(xid, Message::FeaturesReply(self.features())),
            Message::BarrierRequest => reply(xid, Message::BarrierReply),
            Message::RoleRequest(change) => reply(xid, state.change_role(connection.number, change, frame)),
            Message::MultipartRequest(request) => {
                for message in state.multipart(connection.number, &request) {
                    reply(xid, message);
                }
            }
            Message::MeterMod(change) => {
                if let Some(error) = state.change_meter(change, frame) {
                    reply(xid, error);
                }
            }
            Message::BundleControl(control) => state.control(connection, xid, control, frame, &mut reply),
            Message::BundleAdd(add) => {
                if let Some(error) = state.add(connection, xid, add, frame) {
                    reply(xid, error);
                }
            }
            Message::PacketOut(packet) => state.packets_out.push(packet),
            _ => {}
        }
        true
    }

    const fn features(&self) -> Features {
        Features {
            datapath_id: self.datapath,
            n_buffers: 0,
            n_tables: 254,
            auxiliary_id: 0,
            capabilities: Capabilities::FLOW_STATS,
            reserved: 0,
        }
    }
}

impl State {
    /// OpenFlow 1.3.5, 6.3.6.
    fn change_role(&mut self, connection: usize, change: RoleChange, frame: &[u8]) -> Message {
        match change.role {
            Role::Master => {
                let is_stale =
                    self.generation.is_some_and(|own| change.generation_id.wrapping_sub(own) >> 63 == 1);
                if is_stale {
                    return refusal(11, 0, frame);
                }
                self.generation = Some(change.generation_id);
                if let Some(loser) = self.master.replace(connection).filter(|loser| *loser != connection) {
                    let status =
                        RoleStatus { role: Role::Slave, reason: 0, generation_id: change.generation_id };
                    if let Some(output) = self.outputs.get(&loser) {
                        let _ = output.send((Xid(0), Message::RoleStatus(status)));
                    }
                }
                Message::RoleReply(change)
            }
            role => {
                let generation_id = self.generation.unwrap_or(u64::MAX);
                Message::RoleReply(RoleChange { role, generation_id })
            }
        }
    }

    fn multipart(&mut self, connection: usize, request: &MultipartRequest) -> Vec<Message> {
        let one = |body| vec![Message::MultipartReply { more: false, body }];
        match request {
            MultipartRequest::Flow(_) => {
                let flows: Vec<_> = self.tables.flows.values().map(stats).collect();
                let mut parts: Vec<_> = flows
                    .chunks(PART)
                    .map(|part| Message::MultipartReply {
                        more: true,
                        body: MultipartReply::Flow(part.to_vec()),
                    })
                    .collect();
                parts.extend(one(MultipartReply::Flow(Vec::new())));
                parts
            }
            MultipartRequest::GroupDesc => {
                one(MultipartReply::GroupDesc(self.tables.groups.values().cloned().collect()))
            }
            MultipartRequest::MeterConfig(_) => {
                one(MultipartReply::MeterConfig(self.meters.values().cloned().collect()))
            }
            MultipartRequest::FlowMonitor(_) => {
                self.watchers.push(connection);
                one(MultipartReply::FlowMonitor(Vec::new()))
            }
            other => panic!("the simulated switch was asked for {other:?}"),
        }
    }

    fn change_meter(&mut self, change: MeterMod, frame: &[u8]) -> Option<Message> {
        let MeterMod { command, meter } = change;
        let MeterId(id) = meter.id;
        match (command, self.meters.contains_key(&id)) {
            (MeterModCommand::Add, true) => Some(refusal(12, 1, frame)),
            (MeterModCommand::Modify, false) => Some(refusal(12, 3, frame)),
            (MeterModCommand::Delete, _) => {
                self.meters.remove(&id);
                None
            }
            _ => {
                self.meters.insert(id, meter);
                None
            }
        }
    }

    fn control(
        &mut self,
        connection: &mut Connection,
        xid: Xid,
        control: BundleControl,
        frame: &[u8],
        reply: &mut impl FnMut(Xid, Message),
    ) {
        let id = control.id;
        let done = |kind| Message::BundleControl(BundleControl { id, kind, flags: BundleFlags::default() });
        match control.kind {
            BundleControlKind::OpenRequest => match connection.bundles.insert(id, Vec::new()) {
                // "a second OPEN of an id: BAD_ID and the bundle is gone"
                Some(_) => {
                    connection.bundles.remove(&id);
                    reply(xid, onf_refusal(2301, frame));
                }
                None => reply(xid, done(BundleControlKind::OpenReply)),
            },
            BundleControlKind::CommitRequest => {
                let changes = connection.bundles.remove(&id).unwrap_or_default();
                match self.commit(connection.number, xid, changes) {
                    Ok(()) => reply(xid, done(BundleControlKind::CommitReply)),
                    Err((culprit, (kind, code))) => {
                        reply(culprit, refusal(kind, code, &[]));
                        reply(xid, onf_refusal(2313, frame));
                    }
                }
            }
            BundleControlKind::DiscardRequest => {
                connection.bundles.remove(&id);
                reply(xid, done(BundleControlKind::DiscardReply));
            }
            other => panic!("the simulated switch got {other:?}"),
        }
    }

    fn add(
        &mut self,
        connection: &mut Connection,
        xid: Xid,
        add: BundleAdd,
        frame: &[u8],
    ) -> Option<Message> {
        if let Message::FlowMod(FlowMod { command: FlowModCommand::Add, flow, .. }) = &*add.message
            && self.refuses(flow, Stage::Add)
        {
            return Some(refusal(4, 9, frame));
        }
        // An addition to a bundle that was never opened opens it.
        connection.bundles.entry(add.id).or_default().push((xid, *add.message));
        None
    }

    fn refuses(&mut self, flow: &Flow, stage: Stage) -> bool {
        self.faults.refuse.as_mut().is_some_and(|refuse| refuse(flow) == Some(stage))
    }

    /// All of them, or none.
    fn commit(
        &mut self,
        connection: usize,
        commit: Xid,
        changes: Vec<(Xid, Message)>,
    ) -> Result<(), (Xid, (u16, u16))> {
        let mut tables = self.tables.clone();
        for (xid, change) in changes {
            let refuses = matches!(&change, Message::FlowMod(change)
                if change.command == FlowModCommand::Add && self.refuses(&change.flow, Stage::Commit));
            let failed = if refuses { Err((5, 1)) } else { tables.apply(&change) };
            failed.map_err(|error| (xid, error))?;
        }
        let before = std::mem::replace(&mut self.tables, tables);
        self.commits += 1;
        self.tell_watchers(&before, Some((connection, commit)));
        Ok(())
    }

    /// Tells the watchers what changed; who did it hears only that something did.
    fn tell_watchers(&self, before: &Tables, by: Option<(usize, Xid)>) {
        let was = |flow: &Flow| before.flows.get(&key(flow));
        let monitored = |flow: &Flow| MonitoredFlow { flow: flow.clone(), idle_timeout: 0, hard_timeout: 0 };
        let mut updates: Vec<_> = self
            .tables
            .flows
            .values()
            .filter(|flow| was(flow) != Some(flow))
            .map(|flow| match was(flow) {
                Some(_) => FlowUpdate::Modified(monitored(flow)),
                None => FlowUpdate::Added(monitored(flow)),
            })
            .collect();
        let gone = before.flows.values().filter(|flow| !self.tables.flows.contains_key(&key(flow)));
        updates.extend(gone.map(|flow| FlowUpdate::Removed { flow: monitored(flow), reason: 2 }));
        for watcher in &self.watchers {
            let own = by.filter(|(connection, _)| connection == watcher);
            let all = own.map_or_else(|| updates.clone(), |(_, xid)| vec![FlowUpdate::Abbreviated(xid.0)]);
            for some in all.chunks(PART) {
                let body = MultipartReply::FlowMonitor(some.to_vec());
                if let Some(output) = self.outputs.get(watcher) {
                    let _ = output.send((Xid(0), Message::MultipartReply { more: false, body }));
                }
            }
        }
    }
}

impl Tables {
    /// One change; the kind and code of the error if it cannot be.
    pub(crate) fn apply(&mut self, change: &Message) -> Result<(), (u16, u16)> {
        match change {
            Message::FlowMod(FlowMod { command: FlowModCommand::Add, flow, .. }) => {
                if groups_of(flow).any(|group| !self.groups.contains_key(&group.0)) {
                    return Err((2, 9));
                }
                self.flows.insert(key(flow), flow.clone());
            }
            Message::FlowMod(FlowMod { command: FlowModCommand::DeleteStrict, flow, .. }) => {
                self.flows.remove(&key(flow));
            }
            Message::GroupMod(GroupMod { command: GroupModCommand::AddOrModify, group }) => {
                self.groups.insert(group.id.0, group.clone());
            }
            Message::GroupMod(GroupMod { command: GroupModCommand::Delete, group }) => {
                self.groups.remove(&group.id.0);
                self.flows.retain(|_, flow| groups_of(flow).all(|used| used != group.id));
            }
            other => panic!("the simulated switch cannot do {other:?}"),
        }
        Ok(())
    }
}

fn key(flow: &Flow) -> Key {
    (flow.table, flow.priority, flow.matching.clone())
}

fn groups_of(flow: &Flow) -> impl Iterator<Item = GroupId> {
    let actions = flow.instructions.iter().flat_map(|instruction| match instruction {
        Instruction::Apply(actions) | Instruction::Write(actions) => actions.as_slice(),
        _ => &[],
    });
    actions.filter_map(|action| match action {
        Action::Group(id) => Some(*id),
        _ => None,
    })
}

fn stats(flow: &Flow) -> FlowStats {
    FlowStats {
        flow: flow.clone(),
        duration_sec: 0,
        duration_nsec: 0,
        idle_timeout: 0,
        hard_timeout: 0,
        flags: FlowFlags::NONE,
        packet_count: 0,
        byte_count: 0,
    }
}

fn refusal(kind: u16, code: u16, frame: &[u8]) -> Message {
    Message::Error(ErrorMessage { kind, code, experimenter: None, data: frame.to_vec() })
}

fn onf_refusal(code: u16, frame: &[u8]) -> Message {
    Message::Error(ErrorMessage { kind: 0xffff, code, experimenter: Some(0x4f4e_4600), data: frame.to_vec() })
}

/// A group with one bucket, for tests.
pub(crate) fn group(id: u32) -> Group {
    Group { id: GroupId(id), kind: GroupType::All, buckets: Vec::new() }
}

impl fmt::Debug for SimSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimSwitch").field(&self.datapath).finish()
    }
}
