//! Keeps the flows of one switch as the planner says, over one session after the other.

use super::{
    apply::{Applied, apply},
    planner::{Ask, Why, Work},
    status::Board,
};
use crate::{
    model::ChassisId,
    northbound::Reconciled,
    pipeline::punt::Punt,
    reconcile::{Plan, Touched},
    southbound::openflow::{ApplyError, Dump, Session, Switch, SwitchError, SwitchEvent},
};
use futures::future::BoxFuture;
use openflow::message::{PacketIn, Role};
use std::{
    sync::{Arc, RwLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

/// Events about touched flows are gathered for so long before they are answered.
const GATHER: Duration = Duration::from_millis(50);
/// Pause before a session is tried that lost the role of master: two controllers of one switch shall not wrestle.
const AFTER_DEFEAT: Duration = Duration::from_secs(15);
/// Pauses between attempts to make a switch take what it refused.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// How long a switch may take to tell what it holds, or to apply a plan. 100,000 flows take about a second.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) struct FlowsTask {
    pub(super) chassis: ChassisId,
    pub(super) sessions: mpsc::Receiver<Session>,
    pub(super) work: mpsc::UnboundedReceiver<Work>,
    /// True once the planner knows the ports of this chassis.
    pub(super) ready: watch::Receiver<bool>,
    pub(super) asks: mpsc::Sender<Ask>,
    pub(super) board: Arc<Board>,
    pub(super) current: Current,
    pub(super) audit_interval: Duration,
}

/// The switch of a chassis while it is connected, for those who want to ask it something.
#[derive(Debug, Clone, Default)]
pub(super) struct Current(Arc<RwLock<Option<Switch>>>);

impl Current {
    pub(super) fn get(&self) -> Option<Switch> {
        self.0.read().ok()?.clone()
    }

    fn set(&self, switch: Option<Switch>) {
        if let Ok(mut current) = self.0.write() {
            *current = switch;
        }
    }
}

/// Why a session is given up.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error(transparent)]
    Switch(#[from] SwitchError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("another controller became master of the switch; if that was not intended, stop it")]
    Defeated,
    #[error("the session ended")]
    Events,
    #[error("the agent stops")]
    Stopped,
}

impl FlowsTask {
    pub(super) async fn run(mut self) {
        let mut number = 0;
        let mut not_before = Instant::now();
        let mut next = None;
        loop {
            let session = match next.take() {
                Some(session) => session,
                None => match self.next_session().await {
                    Some(session) => session,
                    None => return,
                },
            };
            number += 1;
            let mut serving = Serving {
                chassis: &self.chassis,
                asks: &self.asks,
                board: &self.board,
                current: &self.current,
                work: &mut self.work,
                ready: &mut self.ready,
                audit_interval: self.audit_interval,
                number,
                not_before,
            };
            let end = tokio::select! {
                end = serve(&mut serving, session) => end,
                newer = self.sessions.recv() => {
                    tracing::info!(chassis = %self.chassis, "the switch connected anew");
                    next = newer;
                    continue;
                }
            };
            if matches!(end, End::Defeated | End::Apply(ApplyError::NotMaster)) {
                not_before = Instant::now() + AFTER_DEFEAT;
            }
            tracing::warn!(chassis = %self.chassis, "switch disconnected: {end}");
            self.current.set(None);
            self.board.update(&self.chassis, |status| status.openflow_trouble = Some(end.to_string()));
        }
    }

    /// The next session; what is planned meanwhile is for nobody.
    async fn next_session(&mut self) -> Option<Session> {
        loop {
            tokio::select! {
                session = self.sessions.recv() => return session,
                work = self.work.recv() => {
                    drop(work?);
                    self.board.update(&self.chassis, |status| status.pending = 0);
                }
            }
        }
    }
}

/// What a session needs from its task.
struct Serving<'a> {
    chassis: &'a ChassisId,
    asks: &'a mpsc::Sender<Ask>,
    board: &'a Board,
    current: &'a Current,
    work: &'a mut mpsc::UnboundedReceiver<Work>,
    ready: &'a mut watch::Receiver<bool>,
    audit_interval: Duration,
    number: u64,
    not_before: Instant,
}

/// One session from its claim to its end.
async fn serve(task: &mut Serving<'_>, session: Session) -> End {
    match Serve::begin(task, session).await {
        Ok(mut serve) => loop {
            if let Err(end) = serve.step().await {
                return end;
            }
        },
        Err(end) => end,
    }
}

/// A session that is ours.
struct Serve<'a, 'b> {
    task: &'a mut Serving<'b>,
    session: Session,
    /// The plan of the first comparison has come; what was planned before is for an earlier session, or in it.
    in_step: bool,
    /// A plan on its way to the switch.
    applying: Option<BoxFuture<'static, Result<Done, ApplyError>>>,
    /// A dump on its way from the switch.
    dumping: Option<BoxFuture<'static, Result<(Dump, Instant), SwitchError>>>,
    touched: Touched,
    repair_at: Option<Instant>,
    audit_at: Instant,
    retry: Duration,
    /// The switch refused something.
    refused: bool,
}

/// A plan that was applied.
struct Done {
    applied: Applied,
    /// How many plans it was made of.
    plans: usize,
    kinds: Vec<Why>,
    since: Instant,
}

impl<'a, 'b> Serve<'a, 'b> {
    async fn begin(task: &'a mut Serving<'b>, session: Session) -> Result<Self, End> {
        let since = Instant::now();
        let (chassis, switch) = (task.chassis, &session.switch);
        tracing::info!(%chassis, peer = %switch.peer, datapath = %switch.features.datapath_id, "switch connected");
        // What is not known cannot be told from what shall not be: so first the ports.
        tokio::select! {
            ready = async {
                sleep_until(task.not_before).await;
                task.ready.wait_for(|ready| *ready).await.map(drop)
            } => ready.map_err(|_| End::Stopped)?,
            // Plans need a comparison before them, which there will be.
            () = async { while task.work.recv().await.is_some() {} } => return Err(End::Stopped),
        }
        task.board.update(chassis, |status| status.pending = 0);
        switch.claim(generation()).await?;
        switch.monitor_flows().await?;
        task.current.set(Some(switch.clone()));
        let being_compared = "connected; being compared with what it shall hold".to_owned();
        task.board.update(chassis, |status| status.openflow_trouble = Some(being_compared));
        let dumping = dump(switch.clone(), since);
        Ok(Self {
            audit_at: since + task.audit_interval,
            task,
            session,
            in_step: false,
            applying: None,
            dumping: Some(dumping),
            touched: Touched::default(),
            repair_at: None,
            retry: RETRY_MIN,
            refused: false,
        })
    }

    /// Waits for whatever is next, and sees to it.
    async fn step(&mut self) -> Result<(), End> {
        tokio::select! {
            event = self.session.events.recv() => self.handle(event.ok_or(End::Events)?).await,
            done = finished(&mut self.applying) => {
                self.applying = None;
                self.finish(done?).await
            }
            dump = finished(&mut self.dumping) => {
                self.dumping = None;
                let (dump, since) = dump?;
                let why = if self.in_step { Why::Audit } else { Why::Connect };
                let chassis = self.task.chassis.clone();
                ask(self.task.asks, Ask::Compare { chassis, dump, why, session: self.task.number, since }).await
            }
            work = self.task.work.recv(), if self.applying.is_none() => {
                self.take(work.ok_or(End::Stopped)?);
                Ok(())
            }
            () = due(self.repair_at) => {
                self.repair_at = None;
                let touched = std::mem::take(&mut self.touched);
                let (chassis, since) = (self.task.chassis.clone(), Instant::now());
                ask(self.task.asks, Ask::Repair { chassis, touched, session: self.task.number, since }).await
            }
            () = sleep_until(self.audit_at) => {
                self.audit();
                Ok(())
            }
        }
    }

    async fn handle(&mut self, event: SwitchEvent) -> Result<(), End> {
        match event {
            SwitchEvent::PacketIn(packet) => self.punt(packet),
            SwitchEvent::Flows(updates) => {
                // Every event is to be noted, also after one that says nothing.
                let unclear = updates.iter().filter(|update| !self.touched.note(update)).count();
                if unclear > 0 {
                    self.audit();
                }
                if !self.touched.is_empty() && self.repair_at.is_none() {
                    self.repair_at = Some(Instant::now() + GATHER);
                }
            }
            SwitchEvent::FlowsLost => self.audit(),
            SwitchEvent::Port(port) => tracing::debug!(chassis = %self.task.chassis, ?port, "port changed"),
            SwitchEvent::Role(Role::Master | Role::Equal) => {}
            SwitchEvent::Role(_) => return Err(End::Defeated),
        }
        Ok(())
    }

    /// A packet that is due an ICMP error. The planner may be busy: it is a packet, it may be dropped.
    fn punt(&self, packet: PacketIn) {
        let Some(punt) = Punt::decode(&packet.userdata, &packet.matching) else { return };
        let (chassis, switch) = (self.task.chassis.clone(), self.session.switch.clone());
        if self.task.asks.try_send(Ask::Answer { chassis, punt, frame: packet.data, switch }).is_err() {
            tracing::debug!(chassis = %self.task.chassis, "packet dropped: the planner is busy");
        }
    }

    /// Compares everything, unless that is under way.
    fn audit(&mut self) {
        self.audit_at = Instant::now() + self.task.audit_interval;
        if self.dumping.is_none() {
            self.dumping = Some(dump(self.session.switch.clone(), Instant::now()));
        }
    }

    /// Takes a plan from the queue, with those behind it: while one is applied others pile up.
    fn take(&mut self, first: Work) {
        let mut plan = Plan::default();
        let (mut kinds, mut since) = (Vec::new(), first.since);
        let mut plans = 0;
        let mut next = Some(first);
        while let Some(work) = next {
            plans += 1;
            if self.concerns_us(&work) {
                since = since.min(work.since);
                kinds.push(work.why);
                plan.append(work.plan);
            }
            next = self.task.work.try_recv().ok();
        }
        if !kinds.is_empty() {
            let switch = self.session.switch.clone();
            self.applying = Some(Box::pin(async move {
                let applied = tokio::time::timeout(PATIENCE, apply(&switch, plan)).await;
                let applied = applied.map_err(|_| SwitchError::NoAnswer { what: "in time to a plan" })??;
                Ok(Done { applied, plans, kinds, since })
            }));
        } else {
            self.settle(plans);
        }
    }

    /// So many plans are done with.
    fn settle(&self, plans: usize) {
        self.task.board.update(self.task.chassis, |status| status.settle(plans));
    }

    fn concerns_us(&mut self, work: &Work) -> bool {
        let is_ours = work.session == Some(self.task.number);
        if is_ours && work.why == Why::Connect {
            self.in_step = true;
        }
        self.in_step && (is_ours || work.session.is_none())
    }

    async fn finish(&mut self, done: Done) -> Result<(), End> {
        let Done { applied: Applied { adds, deletes, refused }, plans, kinds, since } = done;
        let took = since.elapsed();
        let chassis = self.task.chassis;
        for why in kinds.iter().filter(|why| **why != Why::Change) {
            let ms = took.as_millis();
            match why {
                Why::Connect => tracing::info!(%chassis, adds, deletes, ms, "reconciled"),
                Why::Audit if adds + deletes > 0 => {
                    tracing::info!(%chassis, adds, deletes, ms, "audit repaired")
                }
                Why::Repair if adds + deletes > 0 => {
                    tracing::info!(%chassis, adds, deletes, ms, "drift repaired")
                }
                Why::Change | Why::Audit | Why::Repair => {}
            }
        }
        self.task.board.update(chassis, |status| {
            status.last_reconcile = Some(Reconciled {
                at_unix_ms: unix_time().as_millis().try_into().unwrap_or(u64::MAX),
                adds: adds as u64,
                deletes: deletes as u64,
                duration_us: took.as_micros().try_into().unwrap_or(u64::MAX),
            });
        });
        if kinds.contains(&Why::Connect) {
            self.task.board.update(chassis, |status| status.openflow_trouble = None);
        }
        let compared = kinds.iter().any(|why| matches!(why, Why::Connect | Why::Audit));
        if !refused.is_empty() {
            self.refused = true;
            self.audit_at = Instant::now() + self.retry;
            self.retry = (self.retry * 2).min(RETRY_MAX);
            ask(self.task.asks, Ask::Refused { chassis: chassis.clone(), refused, plans }).await?;
        } else if compared && self.refused {
            // Everything was compared, and all of it is there now.
            self.refused = false;
            self.retry = RETRY_MIN;
            ask(self.task.asks, Ask::Refused { chassis: chassis.clone(), refused, plans }).await?;
        } else {
            self.settle(plans);
        }
        Ok(())
    }
}

async fn ask(asks: &mpsc::Sender<Ask>, ask: Ask) -> Result<(), End> {
    asks.send(ask).await.map_err(|_| End::Stopped)
}

fn dump(switch: Switch, since: Instant) -> BoxFuture<'static, Result<(Dump, Instant), SwitchError>> {
    Box::pin(async move {
        let dump = tokio::time::timeout(PATIENCE, switch.dump()).await;
        let dump = dump.map_err(|_| SwitchError::NoAnswer { what: "in time for what it holds" })??;
        Ok((dump, since))
    })
}

/// The result of a future that may not be there.
async fn finished<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

pub(super) async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// A generation that lies before none of an earlier start: a claim finds out if the clock went back.
fn generation() -> u64 {
    unix_time().as_micros().try_into().unwrap_or(u64::MAX)
}

fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
