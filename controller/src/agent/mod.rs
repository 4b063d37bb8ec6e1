//! The agent: keeps the switches of its chassis as the model says.
//!
//! ```text
//!  store ──batches──▶ planner ──plans──▶ flows task ──bundles──▶ ovs-vswitchd
//!                      ▲    │               │  ▲
//!            port maps │    └─▶ wanted      │  └─ sessions ── switchboard ◀─ listeners
//!                      │         │          └─ dumps, drift, packets ─▶ planner
//!                  ports task ◀──┴── ovsdb task ◀──▶ ovsdb-server
//! ```
//! One planner owns the [`Compiler`](crate::compile::Compiler) of all chassis; each chassis has three tasks: the one that
//! speaks OVSDB, the one that follows its ports, and the one that writes its flows. Nothing is written to a switch before
//! the model is loaded, the ports are known and the switch has told what it holds, so that a restart takes nothing
//! away. No task is ever needed to forward a packet.

mod apply;
mod explain;
mod flows;
mod images;
mod planner;
mod ports;
mod status;
mod switchboard;
#[cfg(test)]
mod tests;

use crate::{
    model::{ChassisId, Revision},
    northbound::{
        ChassisStatus, ExplainError, ExplainSource, Flows, StatusSource, Trace, TraceRequest, Wired,
    },
    southbound::{
        fastpath::ImageFile,
        openflow::{ListenAddr, ListenError, Listener, TlsFiles},
        ovsdb::{OvsdbState, RealLink},
    },
    store::Store,
};
use explain::Explainer;
use flows::Current;
use futures::future::BoxFuture;
use planner::Planner;
use status::Board;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

/// Requests that wait for the planner.
const ASKS: usize = 1024;

/// What an agent serves.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// The chassis.
    pub chassis: Vec<ChassisConfig>,
    /// Where switches may connect to.
    pub listen: Vec<ListenAddr>,
    /// Key and certificates, needed for `pssl:` among `listen` and for an `ssl:` OVSDB remote.
    pub tls: Option<TlsFiles>,
    /// Time between two comparisons of everything. Default 5 minutes.
    pub audit_interval: Duration,
}

/// One chassis and how to reach it.
#[derive(Debug, Clone)]
pub struct ChassisConfig {
    /// Its name in the model.
    pub id: ChassisId,
    /// Its database server.
    pub ovsdb: ovsdb::Remote,
    /// The integration bridge, "br-int".
    pub bridge: String,
    /// `Bridge.datapath_type`, as in "netdev"; without one that of an existing bridge stays.
    pub datapath_type: Option<String>,
    /// How the switch reaches one of [`AgentConfig::listen`], as in "unix:/run/openvswitch/dragonflow.sock".
    pub target: String,
    /// The file for the image of the fast path; `None` without one.
    pub fastpath: Option<PathBuf>,
}

/// Why an agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Two entries with one name.
    #[error("chassis {0} is configured twice: keep one")]
    Twice(ChassisId),
}

/// A running agent. Dropping it stops everything; the switches go on forwarding.
#[derive(Debug)]
pub struct AgentHandle {
    board: Arc<Board>,
    explainer: Explainer,
    listening: Vec<ListenAddr>,
    revisions: watch::Receiver<Revision>,
    tasks: JoinSet<()>,
}

impl AgentConfig {
    /// Serves these chassis, with default times and nothing to listen to.
    pub fn new(chassis: Vec<ChassisConfig>) -> Self {
        Self { chassis, listen: Vec::new(), tls: None, audit_interval: Duration::from_secs(300) }
    }
}

/// Starts serving. Returns when switches can connect; what they shall hold is compiled then.
///
/// # Errors
/// [`AgentError`] if an address cannot be listened to, or the configuration contradicts itself.
pub async fn start(config: AgentConfig, store: &Store) -> Result<AgentHandle, AgentError> {
    let mut seen = BTreeSet::new();
    if let Some(twice) = config.chassis.iter().find(|chassis| !seen.insert(&chassis.id)) {
        return Err(AgentError::Twice(twice.id.clone()));
    }
    let mut listeners = Vec::new();
    for addr in &config.listen {
        listeners.push(Listener::bind(addr, config.tls.as_ref()).await?);
    }
    let listening = listeners.iter().map(Listener::local_addr).collect();

    let board = Arc::new(Board::new(config.chassis.iter().map(|chassis| chassis.id.clone())));
    let (asks, asks_rx) = mpsc::channel(ASKS);
    let (snapshot, subscription) = store.subscribe();
    let mut planner = Planner::new(store.round(), &config.chassis, snapshot, Arc::clone(&board));
    let mut tasks = JoinSet::new();
    let mut switches = BTreeMap::new();
    let (calls, calls_rx) = mpsc::channel(ASKS);
    for chassis in &config.chassis {
        let (work_tx, work) = mpsc::unbounded_channel();
        let wanted = planner.serve(chassis, work_tx);
        if let Some(path) = &chassis.fastpath {
            planner.publish_to(&chassis.id, Box::new(ImageFile::new(path.clone())), &mut tasks);
        }
        let (state_tx, state) = watch::channel(OvsdbState::default());
        tasks.spawn(crate::southbound::ovsdb::run(
            ovsdb_link(chassis, config.tls.as_ref()),
            wanted,
            state_tx,
        ));

        let current = Current::default();
        switches.insert(chassis.id.clone(), current.clone());
        let (ready_tx, ready) = watch::channel(false);
        let (sessions_tx, sessions) = mpsc::channel(1);
        let ports = ports::PortsTask {
            chassis: chassis.id.clone(),
            bridge: chassis.bridge.clone(),
            state,
            asks: asks.clone(),
            calls: calls.clone(),
            sessions: sessions_tx,
            ready: ready_tx,
            board: Arc::clone(&board),
        };
        tasks.spawn(ports.run());
        let flows = flows::FlowsTask {
            chassis: chassis.id.clone(),
            sessions,
            work,
            ready,
            asks: asks.clone(),
            board: Arc::clone(&board),
            current: current.clone(),
            audit_interval: config.audit_interval,
        };
        tasks.spawn(flows.run());
    }
    for listener in listeners {
        tasks.spawn(switchboard::listen(listener, calls.clone(), Arc::clone(&board)));
    }
    tasks.spawn(switchboard::run(calls_rx));
    tasks.spawn(planner.run(asks_rx, subscription));
    let (explainer, revisions) = (Explainer { asks, switches }, store.revisions());
    Ok(AgentHandle { board, explainer, listening, revisions, tasks })
}

fn ovsdb_link(chassis: &ChassisConfig, tls: Option<&TlsFiles>) -> RealLink {
    let mut options = ovsdb::Options::new("Open_vSwitch");
    options.tls = tls.map(|files| ovsdb::TlsFiles {
        private_key: files.private_key.clone(),
        certificate: files.certificate.clone(),
        ca_certificate: files.ca_certificate.clone(),
    });
    RealLink::new(chassis.ovsdb.clone(), options)
}

impl AgentHandle {
    /// The addresses that switches can connect to, with the ports that the system chose.
    pub fn listening(&self) -> &[ListenAddr] {
        &self.listening
    }

    /// Stops, and returns when every task and socket is gone.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

impl StatusSource for AgentHandle {
    fn status(&self) -> Vec<ChassisStatus> {
        self.board.show(*self.revisions.borrow())
    }

    fn wired(&self) -> BTreeMap<ChassisId, Wired> {
        self.board.wired()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.board.updates()
    }
}

impl ExplainSource for AgentHandle {
    fn trace(&self, request: TraceRequest) -> BoxFuture<'_, Result<Trace, ExplainError>> {
        self.explainer.trace(request)
    }

    fn flows(&self, chassis: ChassisId) -> BoxFuture<'_, Result<Flows, ExplainError>> {
        self.explainer.flows(chassis)
    }
}
