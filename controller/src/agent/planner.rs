//! The planner: the one task that owns the compiler, and tells every chassis what to change.
//!
//! It answers in the order in which it is asked, and every answer to one chassis goes through one queue. So a plan is
//! never applied before a plan that it was made after, and plans need no locks.

use super::{
    ChassisConfig,
    apply::Refused,
    flows::due,
    images::Images,
    status::{Board, Status, Wiring},
};
use crate::{
    compile::{self, Compiler, Desired, LocalSwitch, TunnelType},
    model::{Change, ChassisId, Kind, Model, Object, ObjectId, PortId, Record, Revision},
    pipeline::punt::Punt,
    reconcile::{Op, Plan, Touched, diff, repair},
    southbound::{
        fastpath::Publisher,
        openflow::{Dump, Switch},
        ovsdb::{self, ChassisPorts, ControllerTarget, Wanted},
    },
    store::{Event, Snapshot, Subscription},
    trace::show,
};
use openflow::message::PacketOut;
use packet::OfPort;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};

/// Changes that are compiled together when they have piled up.
const MAX_BACKLOG: usize = 10_000;
/// Counting for the status takes at most one part in so many of the planner's time,
const COUNT_SHARE: u32 = 20;
/// and waits until what changed is with the switches.
const COUNT_DELAY: Duration = Duration::from_millis(10);
/// The same for images of the fast path: until they are there, the switch forwards what they lack.
const IMAGE_SHARE: u32 = 4;

/// What the planner is asked.
pub(super) enum Ask {
    /// These are the ports of a chassis now.
    Ports { chassis: ChassisId, ports: Arc<ChassisPorts> },
    /// What has to be done to a switch that holds this?
    Compare { chassis: ChassisId, dump: Dump, why: Why, session: u64, since: Instant },
    /// What has to be done to these flows, which somebody touched?
    Repair { chassis: ChassisId, touched: Touched, session: u64, since: Instant },
    /// Tell the sender of a packet why it cannot go on.
    Answer { chassis: ChassisId, punt: Punt, frame: Vec<u8>, switch: Switch },
    /// A switch refused some of what it was told by so many plans, which are done with when that is known.
    Refused { chassis: ChassisId, refused: Vec<Refused>, plans: usize },
    /// Something about the state of the compiler.
    Query(Box<dyn FnOnce(&Compiler) + Send>),
}

/// Why a switch is told something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// What it shall hold has changed.
    Change,
    /// It has connected, and was compared with what it shall hold.
    Connect,
    /// The same in passing, because it is time or because something is unclear.
    Audit,
    /// Somebody touched its flows.
    Repair,
}

/// What a chassis shall do next.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) why: Why,
    /// The session whose dump or events led to this; changes are for any.
    pub(super) session: Option<u64>,
    pub(super) plan: Plan,
    /// When it became known that there is something to do.
    pub(super) since: Instant,
}

pub(super) struct Planner {
    compiler: Compiler,
    /// The last change of the model that is compiled.
    revision: Revision,
    served: BTreeMap<ChassisId, Served>,
    board: Arc<Board>,
    /// Ports of the model that changed since the last count.
    touched: BTreeSet<PortId>,
    /// When to count next, if something changed since the last time.
    count_at: Option<Instant>,
    /// Not before this.
    count_earliest: Instant,
    images: Images,
}

/// One chassis, seen from the planner.
struct Served {
    work: mpsc::UnboundedSender<Work>,
    wanted: watch::Sender<Arc<Wanted>>,
    ports: Arc<ChassisPorts>,
    /// As of the last count; `None` when the ports of the switch are others since.
    wiring: Option<Wiring>,
}

impl Planner {
    pub(super) fn new(round: u16, chassis: &[ChassisConfig], snapshot: Snapshot, board: Arc<Board>) -> Self {
        let mut compiler = Compiler::new(round);
        for chassis in chassis {
            compiler.add_chassis(chassis.id.clone());
        }
        let revision = snapshot.revision;
        compiler.apply(&differences(&Model::default(), snapshot.model));
        Self {
            compiler,
            revision,
            served: BTreeMap::new(),
            board,
            touched: BTreeSet::new(),
            count_at: None,
            count_earliest: Instant::now(),
            images: Images::new(round),
        }
    }

    /// From now on `work` gets the plans for a chassis; what comes back says what its database shall hold.
    pub(super) fn serve(
        &mut self,
        chassis: &ChassisConfig,
        work: mpsc::UnboundedSender<Work>,
    ) -> watch::Receiver<Arc<Wanted>> {
        let base = Wanted {
            bridge: chassis.bridge.clone(),
            datapath_type: chassis.datapath_type.clone(),
            controller: ControllerTarget::new(chassis.target.clone()),
            ..Wanted::default()
        };
        let (wanted, receiver) = watch::channel(Arc::new(refine(&base, &self.compiler, &chassis.id)));
        self.served.insert(chassis.id.clone(), Served { work, wanted, ports: Arc::default(), wiring: None });
        receiver
    }

    /// From now on the images of a chassis go to a publisher.
    pub(super) fn publish_to(
        &mut self,
        chassis: &ChassisId,
        publisher: Box<dyn Publisher>,
        tasks: &mut JoinSet<()>,
    ) {
        self.images.serve(chassis.clone(), publisher, tasks);
        self.images.touch(chassis);
    }

    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Ask>, mut changes: Subscription) {
        self.publish(Instant::now());
        let mut next_image = Instant::now();
        loop {
            let count_at = self.count_at;
            tokio::select! {
                event = changes.next() => match event {
                    Some(event) => self.follow(event, &mut changes),
                    // The store was shut down: the end of the process.
                    None => return,
                },
                ask = asks.recv() => match ask {
                    Some(ask) => self.answer(ask),
                    None => return,
                },
                () = due(count_at) => {
                    let begin = Instant::now();
                    self.count();
                    self.count_earliest = Instant::now() + begin.elapsed() * COUNT_SHARE;
                }
                () = tokio::time::sleep_until(next_image), if self.images.are_stale() => {
                    let begin = Instant::now();
                    self.images.make(&self.compiler);
                    next_image = Instant::now() + begin.elapsed() * IMAGE_SHARE;
                }
            }
        }
    }

    /// Takes in a transaction of the store, and those behind it if there are some already.
    fn follow(&mut self, event: Event, changes: &mut Subscription) {
        let since = Instant::now();
        let mut taken = self.take(event);
        while taken < MAX_BACKLOG {
            match changes.try_next() {
                Some(event) => taken += self.take(event),
                None => break,
            }
        }
        self.publish(since);
    }

    fn take(&mut self, event: Event) -> usize {
        match event {
            Event::Batch(batch) => self.apply(batch.revision, &batch.changes),
            Event::Resync(snapshot) => {
                let changes = differences(self.compiler.view().model(), snapshot.model);
                self.apply(snapshot.revision, &changes)
            }
        }
    }

    fn apply(&mut self, revision: Revision, changes: &[Change]) -> usize {
        self.revision = revision;
        self.compiler.apply(changes);
        self.touched.extend(changes.iter().filter_map(|change| match change.id() {
            ObjectId::Port(id) => Some(id),
            _ => None,
        }));
        changes.len()
    }

    /// Compiles what changed, and tells whom it concerns.
    fn publish(&mut self, since: Instant) {
        for (chassis, delta) in self.compiler.poll() {
            self.images.touch(&chassis);
            self.send(&chassis, Work { why: Why::Change, session: None, plan: delta.into(), since });
        }
        for (chassis, served) in &self.served {
            served.wanted.send_if_modified(|wanted| {
                let now = refine(wanted, &self.compiler, chassis);
                let differs = now != **wanted;
                if differs {
                    *wanted = Arc::new(now);
                }
                differs
            });
        }
        let earliest = self.count_earliest.max(Instant::now() + COUNT_DELAY);
        self.count_at.get_or_insert(earliest);
    }

    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Ports { chassis, ports } => {
                let since = Instant::now();
                let local = local_switch(&ports);
                if self.compiler.local(&chassis).is_some_and(|old| old.interfaces != local.interfaces) {
                    self.images.touch(&chassis);
                }
                self.compiler.set_local(&chassis, local);
                if let Some(served) = self.served.get_mut(&chassis) {
                    served.ports = ports;
                    served.wiring = None;
                }
                self.publish(since);
            }
            Ask::Compare { chassis, dump, why, session, since } => {
                let Some(desired) = self.compiler.desired(&chassis) else { return };
                let plan = compare(desired, &dump);
                self.send(&chassis, Work { why, session: Some(session), plan, since });
            }
            Ask::Repair { chassis, touched, session, since } => {
                let Some(desired) = self.compiler.desired(&chassis) else { return };
                let plan = repair(desired.flows(), &touched);
                self.send(&chassis, Work { why: Why::Repair, session: Some(session), plan, since });
            }
            Ask::Answer { chassis, punt, frame, switch } => {
                self.answer_packet(&chassis, &punt, &frame, &switch)
            }
            Ask::Refused { chassis, refused, plans } => self.note_refused(&chassis, &refused, plans),
            Ask::Query(query) => query(&self.compiler),
        }
    }

    fn send(&self, chassis: &ChassisId, work: Work) {
        if let Some(served) = self.served.get(chassis) {
            self.board.update(chassis, Status::send);
            // Its receiver goes only when the whole agent stops.
            let _ = served.work.send(work);
        }
    }

    fn answer_packet(&self, chassis: &ChassisId, punt: &Punt, frame: &[u8], switch: &Switch) {
        match self.compiler.icmp_answer(chassis, punt, frame) {
            Ok((port, data)) => {
                let actions = vec![openflow::Action::output(port)];
                let packet = PacketOut { buffer_id: None, in_port: OfPort::CONTROLLER, actions, data };
                if !switch.packet_out(packet) {
                    tracing::debug!(%chassis, "icmp error dropped: the session is busy");
                }
            }
            Err(err) => tracing::debug!(%chassis, ?punt, %err, "packet gets no icmp error"),
        }
    }

    /// Names what a switch refused, in the log and in the status. An empty list takes back what was said before.
    fn note_refused(&self, chassis: &ChassisId, refused: &[Refused], plans: usize) {
        let view = self.compiler.view();
        let name = |refused: &Refused| {
            let Refused { what, why } = refused;
            match what {
                Op::PutFlow(flow) => {
                    let text = match flow.raw().decode() {
                        Ok(decoded) => show::flow(view, &decoded),
                        Err(err) => format!("a flow that cannot be shown ({err})"),
                    };
                    format!("{}: the switch refused {text}: {why}", show::whose(view, flow.cookie()))
                }
                Op::PutGroup(group) => format!("the switch refused {}: {why}", show::group(group)),
                Op::DeleteFlow(key) => {
                    let table = show::table(key.table);
                    format!(
                        "the switch refused to delete a flow of table {table}, priority {}: {why}",
                        key.priority
                    )
                }
                Op::DeleteGroup(id) => format!("the switch refused to delete group {}: {why}", id.0),
            }
        };
        let texts: BTreeSet<String> = refused.iter().map(name).collect();
        self.board.update(chassis, |status| {
            for text in texts.iter().filter(|text| !status.refused.contains(text)) {
                tracing::warn!(%chassis, "{text}");
            }
            status.refused = texts.into_iter().collect();
            status.settle(plans);
        });
    }

    /// Brings counts in the status up to date.
    fn count(&mut self) {
        self.count_at = None;
        let touched = std::mem::take(&mut self.touched);
        let view = self.compiler.view();
        for (chassis, served) in &mut self.served {
            let Some(desired) = self.compiler.desired(chassis) else { continue };
            let (flows, groups) = (desired.flow_count(), desired.group_count());
            let wiring = match &mut served.wiring {
                Some(wiring) => {
                    wiring.follow(view, chassis, &served.ports, touched.iter());
                    wiring.clone()
                }
                none => none.insert(Wiring::of(view, chassis, &served.ports)).clone(),
            };
            let absent = absent(&self.compiler.wanted(chassis), self.compiler.local(chassis));
            self.board.update(chassis, |status| {
                status.absent = absent;
                status.flows = flows;
                status.groups = groups;
                status.count(self.revision, wiring);
            });
        }
        self.board.set_revision(self.revision);
    }
}

fn compare(desired: &Desired, dump: &Dump) -> Plan {
    diff(desired.flows(), desired.groups(), &desired.meters, dump.flows(), &dump.observed)
}

/// The steps from one model to another.
fn differences(old: &Model, new: Model) -> Vec<Change> {
    let mut changes = Vec::new();
    for kind in Kind::ALL.into_iter().rev() {
        let gone = old.objects(kind).map(|record| record.spec.id()).filter(|id| new.get(id).is_none());
        changes.extend(gone.map(Change::Delete));
    }
    let differs = |record: &Record<Object>| {
        let id: ObjectId = record.spec.id();
        old.get(&id).as_ref() != Some(record)
    };
    for kind in Kind::ALL {
        changes.extend(new.objects(kind).filter(differs).map(Change::Put));
    }
    changes
}

/// What the model adds to the wishes of the configuration.
fn refine(base: &Wanted, compiler: &Compiler, chassis: &ChassisId) -> Wanted {
    let wanted = compiler.wanted(chassis);
    Wanted {
        encap_ip: wanted.local_ip,
        tunnels: wanted.tunnels.into_iter().map(tunnel_of_ovsdb).collect(),
        provider_bridges: wanted
            .bridge_mappings
            .into_iter()
            .map(|(network, bridge)| (String::from(network), bridge))
            .collect(),
        ..base.clone()
    }
}

/// The ports to other chassis and to physical networks that are not there yet, in words.
fn absent(wanted: &compile::Wanted, local: Option<&LocalSwitch>) -> Vec<String> {
    let Some(local) = local else { return Vec::new() };
    let tunnels = wanted.tunnels.iter().filter(|tunnel| !local.tunnels.contains_key(tunnel));
    let tunnels =
        tunnels.map(|tunnel| format!("the {tunnel:?} tunnel port has no number yet").to_lowercase());
    let patches = wanted.bridge_mappings.keys().filter(|network| !local.patches.contains_key(*network));
    tunnels.chain(patches.map(|network| format!("the patch port to {network} has no number yet"))).collect()
}

/// Ports with a number, which is what flows can name.
fn local_switch(ports: &ChassisPorts) -> LocalSwitch {
    LocalSwitch {
        // An id that no port can have is of somebody else.
        ports: ports.interfaces.iter().filter_map(|(id, i)| Some((id.parse().ok()?, i.ofport?))).collect(),
        interfaces: ports
            .interfaces
            .iter()
            .filter_map(|(id, i)| Some((id.parse().ok()?, i.ifindex?)))
            .collect(),
        tunnels: ports
            .tunnels
            .iter()
            .filter_map(|(t, i)| Some((tunnel_of_compiler(*t), i.ofport?)))
            .collect(),
        patches: ports.patches.iter().filter_map(|(n, i)| Some((n.parse().ok()?, i.ofport?))).collect(),
    }
}

const fn tunnel_of_ovsdb(tunnel: TunnelType) -> ovsdb::TunnelType {
    match tunnel {
        TunnelType::Vxlan => ovsdb::TunnelType::Vxlan,
        TunnelType::Gre => ovsdb::TunnelType::Gre,
        TunnelType::Geneve => ovsdb::TunnelType::Geneve,
    }
}

const fn tunnel_of_compiler(tunnel: ovsdb::TunnelType) -> TunnelType {
    match tunnel {
        ovsdb::TunnelType::Vxlan => TunnelType::Vxlan,
        ovsdb::TunnelType::Gre => TunnelType::Gre,
        ovsdb::TunnelType::Geneve => TunnelType::Geneve,
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ports { .. } => "Ports",
            Self::Compare { .. } => "Compare",
            Self::Repair { .. } => "Repair",
            Self::Answer { .. } => "Answer",
            Self::Refused { .. } => "Refused",
            Self::Query(_) => "Query",
        })
    }
}
