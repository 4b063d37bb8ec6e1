//! The agent without OVSDB, and switches in memory that misbehave.

mod order;

use super::{
    ChassisConfig,
    apply::apply,
    flows::{Current, FlowsTask},
    planner::{Ask, Planner},
    status::Board,
    switchboard::{self, Call},
};
use crate::{
    compile::{self, Compiler, EncodedFlow, LocalSwitch},
    model::{Change, ChassisId, Kind, Object},
    northbound::{ChassisStatus, Link},
    pipeline::{Category, Cookie, UnitId, punt, register},
    reconcile::{Op, Plan, diff},
    southbound::{
        openflow::{
            Session,
            sim::{Faults, SimSwitch, Stage, Tables},
        },
        ovsdb::{ChassisPorts, Interface, TunnelType},
    },
    store::{MemoryBackend, Store, Transaction},
};
use openflow::{
    Action, Field, Flow, Instruction, Match, Message, TableId,
    message::{PacketIn, PacketInFormatUsed, PacketInReason},
};
use packet::{OfPort, build};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

const PATIENCE: Duration = Duration::from_secs(20);

const CLOUD: &str = r#"[
    {"kind": "chassis", "spec": {"id": "hv1", "encap_ips": ["192.0.2.1"]}},
    {"kind": "network", "spec": {"id": "web", "segment": {"type": "vxlan", "id": 4097}}},
    {"kind": "network", "spec": {"id": "db", "segment": {"type": "vxlan", "id": 4098}}},
    {"kind": "subnet", "spec": {"id": "web4", "network": "web", "cidr": "10.0.1.0/24", "gateway_ip": "10.0.1.1"}},
    {"kind": "subnet", "spec": {"id": "db4", "network": "db", "cidr": "10.0.2.0/24", "gateway_ip": "10.0.2.1"}},
    {"kind": "port", "spec": {"id": "a", "network": "web", "mac": "02:00:00:00:01:01", "chassis": "hv1",
        "fixed_ips": [{"subnet": "web4", "ip": "10.0.1.11"}]}},
    {"kind": "port", "spec": {"id": "b", "network": "db", "mac": "02:00:00:00:02:01", "chassis": "hv1",
        "fixed_ips": [{"subnet": "db4", "ip": "10.0.2.11"}]}},
    {"kind": "router", "spec": {"id": "r", "interfaces": [{"subnet": "web4"}, {"subnet": "db4"}],
        "routes": [{"destination": "192.168.0.0/16", "next_hops": ["10.0.1.11", "10.0.2.11"]}]}}
]"#;

/// One chassis whose switch is simulated, and whose database has said that "a" is port 1 and "b" is port 2.
struct Rig {
    sim: SimSwitch,
    store: Store,
    board: Arc<Board>,
    asks: mpsc::Sender<Ask>,
    sessions: mpsc::Sender<Session>,
    ready: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

fn hv1() -> ChassisId {
    "hv1".parse().unwrap()
}

impl Rig {
    fn new() -> Self {
        Self::with(CLOUD)
    }

    fn with(objects: &str) -> Self {
        let store = Store::open(MemoryBackend::new(100)).unwrap();
        put(&store, objects);
        let board = Arc::new(Board::new([hv1()].into_iter()));
        let chassis = ChassisConfig {
            id: hv1(),
            ovsdb: "unix:/nowhere".parse().unwrap(),
            bridge: "br-int".into(),
            datapath_type: None,
            target: "unix:/nowhere".into(),
            fastpath: None,
        };
        let (snapshot, changes) = store.subscribe();
        let mut planner = Planner::new(1, std::slice::from_ref(&chassis), snapshot, Arc::clone(&board));
        let (work_tx, work) = mpsc::unbounded_channel();
        planner.serve(&chassis, work_tx);
        let (asks, asks_rx) = mpsc::channel(64);
        let (sessions, sessions_rx) = mpsc::channel(1);
        let (ready, ready_rx) = watch::channel(false);
        let flows = FlowsTask {
            chassis: hv1(),
            sessions: sessions_rx,
            work,
            ready: ready_rx,
            asks: asks.clone(),
            board: Arc::clone(&board),
            current: Current::default(),
            audit_interval: Duration::from_secs(300),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(flows.run());
        tasks.spawn(planner.run(asks_rx, changes));
        Self { sim: SimSwitch::new(1), store, board, asks, sessions, ready, _tasks: tasks }
    }

    /// The database tells of the ports.
    async fn tell_ports(&self) {
        self.asks.send(Ask::Ports { chassis: hv1(), ports: Arc::new(ports()) }).await.unwrap();
        self.ready.send_replace(true);
    }

    /// The switch connects, as often as need be.
    async fn connect(&self) {
        // A switch whose handshake fails tries again.
        let session = loop {
            if let Ok(session) = self.sim.connect().await {
                break session;
            }
        };
        self.sessions.send(session).await.unwrap();
    }

    fn status(&self) -> ChassisStatus {
        self.board.show(self.store.read().revision).pop().unwrap()
    }

    /// What is left to do, by another compiler that is told everything at once.
    async fn left(&self) -> Plan {
        let mut compiler = Compiler::new(9);
        compiler.add_chassis(hv1());
        let model = self.store.read().model.clone();
        let changes: Vec<_> =
            Kind::ALL.into_iter().flat_map(|kind| model.objects(kind)).map(Change::Put).collect();
        compiler.apply(&changes);
        let local = LocalSwitch {
            ports: [("a".parse().unwrap(), OfPort(1)), ("b".parse().unwrap(), OfPort(2))].into(),
            tunnels: [(compile::TunnelType::Vxlan, OfPort(10))].into(),
            ..LocalSwitch::default()
        };
        compiler.set_local(&hv1(), local);
        compiler.poll();
        let desired = compiler.desired(&hv1()).unwrap();
        let Ok(session) = self.sim.connect().await else { return unfinished() };
        let Ok(dump) = session.switch.dump().await else { return unfinished() };
        diff(desired.flows(), desired.groups(), &desired.meters, dump.flows(), &dump.observed)
    }

    async fn converge(&self) {
        let begin = Instant::now();
        loop {
            let left = self.left().await;
            if left.is_empty() {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "still to do: {:?} {:?}", left.counts(), self.status());
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn wait(&self, what: &str, reached: impl Fn(&ChassisStatus) -> bool) {
        let begin = Instant::now();
        while !reached(&self.status()) {
            assert!(begin.elapsed() < PATIENCE, "no {what}: {:?}", self.status());
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A plan that is not empty.
fn unfinished() -> Plan {
    Plan { delete_meters: vec![openflow::MeterId(1)], ..Plan::default() }
}

fn put(store: &Store, objects: &str) {
    let objects: Vec<Object> = serde_json::from_str(objects).unwrap();
    store.commit(Transaction::put(objects)).unwrap();
}

fn ports() -> ChassisPorts {
    let interface = |name: &str, ofport| {
        let interface = Interface {
            uuid: "00000000-0000-0000-0000-000000000001".parse().unwrap(),
            name: format!("tap-{name}"),
            ofport: Some(OfPort(ofport)),
            ifindex: None,
            link_up: Some(true),
            mac_in_use: None,
            attached_mac: None,
            error: None,
        };
        (Arc::from(name), Arc::new(interface))
    };
    let (_, tunnel) = interface("df-vxlan", 10);
    ChassisPorts {
        interfaces: [interface("a", 1), interface("b", 2)].into(),
        tunnels: [(TunnelType::Vxlan, tunnel)].into(),
        ..ChassisPorts::default()
    }
}

/// A flow of somebody else.
fn foreign(n: u32) -> Flow {
    Flow {
        table: TableId(0),
        priority: 60_000,
        cookie: 0,
        matching: Match::new().with(Field::Reg(1), n),
        instructions: vec![],
    }
}

fn insert(flow: Flow) -> impl FnOnce(&mut Tables) {
    move |tables| {
        tables.flows.insert((flow.table, flow.priority, flow.matching.clone()), flow);
    }
}

#[tokio::test]
async fn nothing_is_touched_before_the_ports_are_known_and_then_everything_is_right() {
    let rig = Rig::new();
    rig.sim.meddle(insert(foreign(1)), true);
    rig.connect().await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!((rig.sim.commits(), rig.sim.tables().flows.len()), (0, 1));
    rig.tell_ports().await;
    rig.converge().await;
    assert_eq!(rig.sim.commits(), 1, "the first plan is one bundle");
    rig.wait("connection", |status| status.openflow == Link::Connected && status.errors.is_empty()).await;

    // A change of the model is followed, and a new session finds nothing to do.
    rig.store.commit(Transaction::delete([crate::model::ObjectId::Port("b".parse().unwrap())])).unwrap();
    rig.converge().await;
    let commits = rig.sim.commits();
    rig.connect().await;
    rig.wait("second session", |s| s.last_reconcile.as_ref().is_some_and(|r| (r.adds, r.deletes) == (0, 0)))
        .await;
    assert_eq!(rig.sim.commits(), commits);
}

#[tokio::test]
async fn a_switch_that_closes_after_any_number_of_messages_is_filled_by_the_next_session() {
    let rig = Rig::new();
    rig.tell_ports().await;
    for messages in (0..200).step_by(7) {
        rig.sim.restart();
        rig.sim.set_faults(Faults { close_after: Some(messages), ..Faults::default() });
        rig.connect().await;
        // Either it came through, or the switch connects again.
        let closed = async { rig.wait("end", |status| status.openflow != Link::Connected).await };
        let _ = timeout(Duration::from_millis(20), closed).await;
        rig.sim.set_faults(Faults::default());
        rig.connect().await;
        rig.converge().await;
    }
}

#[tokio::test]
async fn what_others_do_is_undone_told_or_not() {
    let rig = Rig::new();
    rig.tell_ports().await;
    rig.connect().await;
    rig.converge().await;
    rig.wait("connection", |status| status.openflow == Link::Connected).await;

    rig.sim.meddle(insert(foreign(1)), false);
    rig.converge().await;
    rig.sim.meddle(|tables| tables.flows.retain(|(table, ..), _| table.0 % 2 == 0), false);
    rig.converge().await;
    let change = |tables: &mut Tables| {
        tables.flows.values_mut().for_each(|flow| flow.instructions.clear());
    };
    rig.sim.meddle(change, false);
    rig.converge().await;

    // With its group a flow cannot come back: only comparing everything helps.
    rig.sim.meddle(
        |tables| {
            let groups: Vec<_> = std::mem::take(&mut tables.groups).into_values().collect();
            for group in groups {
                let delete = openflow::message::GroupMod {
                    command: openflow::message::GroupModCommand::Delete,
                    group,
                };
                tables.apply(&Message::GroupMod(delete)).unwrap();
            }
        },
        false,
    );
    rig.converge().await;

    // The switch could not tell, and says so.
    rig.sim.meddle(|tables| tables.flows.clear(), true);
    rig.sim.send(&Message::FlowMonitorResumed);
    rig.converge().await;
}

#[tokio::test]
async fn what_is_refused_is_named_the_rest_is_there_and_it_is_tried_again() {
    let rig = Rig::new();
    let key = rig.store.read().model.ports[&"a".parse().unwrap()].key;
    let unit = UnitId::whole(Category::Port, key);
    for stage in [Stage::Add, Stage::Commit] {
        rig.sim.restart();
        let refuse =
            move |flow: &Flow| Cookie::from_bits(flow.cookie).filter(|c| c.unit == unit).map(|_| stage);
        rig.sim.set_faults(Faults { refuse: Some(Box::new(refuse)), ..Faults::default() });
        rig.tell_ports().await;
        rig.connect().await;
        rig.wait("refusal", |status| {
            status.errors.iter().any(|e| e.starts_with("port a: the switch refused"))
        })
        .await;
        let left = rig.left().await;
        assert!(left.put_meters.is_empty() && !left.ops.is_empty());
        for op in left.ops {
            let Op::PutFlow(flow) = op else { panic!("{op:?}") };
            assert_eq!(Cookie::from_bits(flow.cookie()).map(|cookie| cookie.unit), Some(unit));
        }
        rig.sim.set_faults(Faults::default());
        rig.converge().await;
        rig.wait("good word", |status| status.errors.is_empty()).await;
    }
}

#[tokio::test]
async fn a_packet_that_cannot_go_on_is_answered_to_its_port() {
    let rig = Rig::new();
    rig.tell_ports().await;
    rig.connect().await;
    rig.converge().await;
    let model = rig.store.read().model.clone();
    let frame = build::ip(
        &build::Link::untagged("02:00:00:00:01:01".parse().unwrap(), "02:00:00:00:00:99".parse().unwrap()),
        &build::Ip {
            ends: packet::Ends::new("10.0.1.11".parse().unwrap(), "10.0.2.11".parse().unwrap()).unwrap(),
            hop_limit: 1,
            tos: 0,
        },
        17,
        &[0; 32],
    );
    let registers = [
        (register::ICMP_REASON, punt::IcmpReason::TtlExceeded as u32),
        (register::IN_PORT, 1),
        (register::NET_IN, model.networks[&"web".parse().unwrap()].key.0),
        (register::VRF, model.routers[&"r".parse().unwrap()].key.0),
    ];
    let matching = registers.into_iter().fold(Match::new(), |all, (field, value)| field.is(all, value));
    rig.sim.send(&Message::PacketIn(PacketIn {
        format: PacketInFormatUsed::Nxt2,
        buffer_id: None,
        total_len: u32::try_from(frame.len()).unwrap(),
        reason: PacketInReason::Action,
        table: TableId(14),
        cookie: 0,
        matching,
        userdata: vec![punt::USERDATA],
        continuation: Vec::new(),
        data: frame,
    }));
    let begin = Instant::now();
    while rig.sim.packets_out().is_empty() {
        assert!(begin.elapsed() < PATIENCE, "no answer");
        sleep(Duration::from_millis(5)).await;
    }
    let answer = rig.sim.packets_out().remove(0);
    assert_eq!(answer.actions, [Action::output(OfPort(1))]);
    let answer = packet::ParsedPacket::parse(&answer.data);
    assert_eq!(answer.ip_dst(), Some("10.0.1.11".parse().unwrap()));
}

#[tokio::test]
async fn a_switch_waits_until_it_is_known_and_only_the_newest_session_stays() {
    let (calls, calls_rx) = mpsc::channel(8);
    let _board = tokio::spawn(switchboard::run(calls_rx));
    let sim = SimSwitch::new(7);
    let first = sim.connect().await.unwrap();
    let second = sim.connect().await.unwrap();
    let (first_switch, second_switch) = (first.switch.clone(), second.switch.clone());
    for session in [first, second] {
        calls.send(Call::Connected(session)).await.unwrap();
    }
    let (sessions, mut arrived) = mpsc::channel(4);
    calls.send(Call::Known { chassis: hv1(), datapath: packet::DatapathId(7), sessions }).await.unwrap();
    let got = timeout(PATIENCE, arrived.recv()).await.unwrap().unwrap();
    assert!(got.switch.is_same(&second_switch) && !got.switch.is_same(&first_switch));
    calls.send(Call::Connected(sim.connect().await.unwrap())).await.unwrap();
    assert!(timeout(PATIENCE, arrived.recv()).await.unwrap().is_some());
}

/// A flow of one of four objects.
fn flow_of(object: u8, n: u8) -> EncodedFlow {
    let unit = UnitId::whole(Category::Port, crate::model::ObjectKey(u32::from(object % 4) + 1));
    EncodedFlow::new(&Flow {
        table: TableId(1),
        priority: 1,
        cookie: Cookie { round: 1, unit }.to_bits(),
        matching: Match::new().with(Field::Reg(1), u32::from(n)).with(Field::Reg(2), u32::from(object % 4)),
        instructions: vec![Instruction::Apply(vec![Action::output(OfPort(1))])],
    })
    .unwrap()
}

#[test]
fn whatever_is_refused_the_rest_is_applied_and_each_culprit_is_named_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Flows as (object, number), and which of them are refused at which stage.
    bolero::check!().with_type::<(Vec<(u8, u8)>, BTreeMap<u8, bool>)>().with_iterations(300).for_each(
        |(flows, bad)| {
            let flows: BTreeMap<(u8, u8), EncodedFlow> =
                flows.iter().take(60).map(|(object, n)| ((object % 4, *n), flow_of(*object, *n))).collect();
            let stages: BTreeMap<u128, Stage> = bad
                .iter()
                .map(|(n, late)| (u128::from(*n), if *late { Stage::Commit } else { Stage::Add }))
                .collect();
            let culprits: BTreeSet<u8> =
                flows.keys().filter(|(_, n)| bad.contains_key(n)).map(|(object, _)| *object).collect();
            runtime.block_on(async {
                let sim = SimSwitch::new(1);
                let switch = sim.connect().await.unwrap().switch;
                switch.claim(1).await.unwrap();
                let refuse = move |flow: &Flow| {
                    let n = flow.matching.get(Field::Reg(1)).map_or(0, |field| field.value);
                    stages.get(&n).copied()
                };
                sim.set_faults(Faults { refuse: Some(Box::new(refuse)), ..Faults::default() });
                let ops = flows.values().cloned().map(Op::PutFlow).collect();
                let applied = apply(&switch, Plan { ops, ..Plan::default() }).await.unwrap();
                let there: BTreeSet<_> = sim.tables().flows.values().map(|f| f.cookie).collect();
                let wanted: BTreeMap<_, _> =
                    flows.iter().filter(|((o, _), _)| !culprits.contains(o)).collect();
                assert_eq!(sim.tables().flows.len(), wanted.len());
                assert_eq!(there, wanted.values().map(|flow| flow.cookie()).collect());
                let named: Vec<_> = applied.refused.iter().map(|refused| &refused.what).collect();
                assert!(named.iter().all(|op| matches!(op, Op::PutFlow(_))));
                let named: BTreeSet<_> = named
                    .iter()
                    .filter_map(|op| match op {
                        Op::PutFlow(flow) => Cookie::from_bits(flow.cookie()).map(|c| c.unit),
                        _ => None,
                    })
                    .collect();
                assert_eq!((named.len(), applied.refused.len()), (culprits.len(), culprits.len()));
            });
        },
    );
}
