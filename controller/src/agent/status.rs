//! What the agent says of its chassis, put together from what its tasks know.

use crate::{
    compile::View,
    model::{ChassisId, PortId, Revision},
    northbound::{ChassisStatus, Link, NotWired, Reconciled, Wired},
    southbound::ovsdb::ChassisPorts,
};
use packet::DatapathId;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// The state of every chassis. Each task writes its own parts.
#[derive(Debug)]
pub(super) struct Board {
    chassis: Mutex<BTreeMap<ChassisId, Status>>,
    /// The last change of the model that the counts are of.
    revision: AtomicU64,
    /// The last connection that came to nothing before it was known whose it is.
    failed: Mutex<Option<(Instant, String)>>,
    /// Counts the updates.
    updates: watch::Sender<u64>,
}

/// Failed connections are told of for so long; a switch tries again every second or so.
const FAILED_SHOWN: Duration = Duration::from_secs(20);

/// The parts of one chassis' status.
#[derive(Debug, Default)]
pub(super) struct Status {
    /// Why its database cannot be reached; `None` if it can.
    pub(super) ovsdb_trouble: Option<String>,
    /// Why its switch is not connected; `None` if it is.
    pub(super) openflow_trouble: Option<String>,
    pub(super) datapath_id: Option<DatapathId>,
    pub(super) flows: usize,
    pub(super) groups: usize,
    pub(super) wiring: Wiring,
    pub(super) last_reconcile: Option<Reconciled>,
    /// How many plans there were, and how many of them the switch has not answered yet.
    sent: u64,
    pub(super) pending: usize,
    /// `wiring` is not taken into `confirmed` yet.
    is_news: bool,
    /// What `wiring` is of: a revision of the model, and how many plans there were for it.
    counted: Option<(Revision, u64)>,
    /// The last such that the switch has answered all plans of.
    confirmed: Option<(Revision, BTreeSet<PortId>)>,
    /// Tunnel and patch ports that are not there yet.
    pub(super) absent: Vec<String>,
    /// What the database's task warns of.
    pub(super) warnings: Vec<String>,
    /// What the switch refuses to hold.
    pub(super) refused: Vec<String>,
    /// What else keeps the switch from being as it shall be.
    pub(super) trouble: Option<String>,
    /// The newest revision that the switch was seen to hold in full.
    held: Revision,
}

/// Which bound ports are there.
#[derive(Debug, Clone, Default)]
pub(super) struct Wiring {
    bound: usize,
    /// Those that flows cannot name, and why.
    missing: BTreeMap<PortId, String>,
}

impl Board {
    pub(super) fn new(chassis: impl Iterator<Item = ChassisId>) -> Self {
        let begin = |id| {
            let status = Status {
                ovsdb_trouble: Some("not connected yet".into()),
                openflow_trouble: Some("not connected yet".into()),
                ..Status::default()
            };
            (id, status)
        };
        Self {
            chassis: Mutex::new(chassis.map(begin).collect()),
            revision: AtomicU64::new(0),
            failed: Mutex::new(None),
            updates: watch::Sender::new(0),
        }
    }

    /// Changes with every update.
    pub(super) fn updates(&self) -> watch::Receiver<u64> {
        self.updates.subscribe()
    }

    pub(super) fn update(&self, chassis: &ChassisId, change: impl FnOnce(&mut Status)) {
        if let Some(status) = self.lock().get_mut(chassis) {
            change(status);
            status.confirm();
        }
        self.updates.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// What is really wired on every chassis.
    pub(super) fn wired(&self) -> BTreeMap<ChassisId, Wired> {
        self.lock().iter().map(|(id, status)| (id.clone(), status.wired())).collect()
    }

    /// Notes that somebody who may be a switch did not get as far as to say which.
    pub(super) fn note_failed(&self, peer: &str, why: impl fmt::Display) {
        let text = format!("a connection from {peer} failed: {why}");
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), text));
    }

    fn failed(&self) -> Option<String> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.as_ref().filter(|(at, _)| at.elapsed() < FAILED_SHOWN).map(|(_, text)| text.clone())
    }

    pub(super) fn set_revision(&self, revision: Revision) {
        self.revision.store(revision.0, Ordering::Release);
    }

    /// The state of every chassis, for a model that is at `newest`.
    pub(super) fn show(&self, newest: Revision) -> Vec<ChassisStatus> {
        let known = self.revision.load(Ordering::Acquire);
        let behind = (known < newest.0)
            .then(|| format!("changes up to revision {} are still to be compiled, {known} is", newest.0));
        let failed = self.failed();
        let show = |(id, status): (&ChassisId, &mut Status)| {
            if status.is_in_step() {
                status.held = Revision(known);
            }
            let mut shown = status.show(id);
            shown.errors.extend(behind.clone());
            if let (Link::Disconnected { why }, Some(failed)) = (&mut shown.openflow, &failed) {
                *why = format!("{why}; {failed}");
            }
            shown
        };
        self.lock().iter_mut().map(show).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ChassisId, Status>> {
        self.chassis.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Status {
    /// So many plans are done with.
    pub(super) fn settle(&mut self, plans: usize) {
        self.pending = self.pending.saturating_sub(plans);
    }

    /// Whether the switch holds everything that is compiled.
    fn is_in_step(&self) -> bool {
        let is_whole = self.refused.is_empty() && self.absent.is_empty() && self.trouble.is_none();
        self.is_alive() && is_whole && self.pending == 0
    }

    /// One more plan for the switch.
    pub(super) const fn send(&mut self) {
        self.sent += 1;
        self.pending += 1;
    }

    /// `wiring` is of this revision now.
    pub(super) fn count(&mut self, revision: Revision, wiring: Wiring) {
        self.wiring = wiring;
        self.is_news = true;
        self.counted = Some((revision, self.sent));
    }

    const fn is_alive(&self) -> bool {
        self.ovsdb_trouble.is_none() && self.openflow_trouble.is_none()
    }

    /// Plans are answered in order, so that those up to a count are done when no more are open than came after it.
    fn confirm(&mut self) {
        if !self.is_alive() {
            self.confirmed = None;
        } else if let Some((revision, sent)) = self.counted
            && self.sent - self.pending as u64 >= sent
            && self.confirmed.as_ref().is_none_or(|(before, _)| *before != revision || self.is_news)
        {
            self.is_news = false;
            self.confirmed = Some((revision, self.wiring.missing.keys().cloned().collect()));
        }
    }

    fn wired(&self) -> Wired {
        let alive = self.is_alive();
        match &self.confirmed {
            Some((revision, missing)) => Wired { alive, applied: Some(*revision), missing: missing.clone() },
            None => Wired { alive, ..Wired::default() },
        }
    }

    fn show(&self, id: &ChassisId) -> ChassisStatus {
        let pending =
            (self.pending > 0).then(|| format!("{} changes are on their way to the switch", self.pending));
        let all =
            [&self.warnings[..], &self.refused, &self.absent, self.trouble.as_slice(), pending.as_slice()];
        ChassisStatus {
            id: id.clone(),
            revision: self.held,
            ovsdb: link(self.ovsdb_trouble.as_ref()),
            openflow: link(self.openflow_trouble.as_ref()),
            datapath_id: self.datapath_id,
            flows: self.flows as u64,
            groups: self.groups as u64,
            ports_wired: (self.wiring.bound - self.wiring.missing.len()) as u64,
            ports_not_wired: self.wiring.not_wired(),
            last_reconcile: self.last_reconcile.clone(),
            errors: all.concat(),
        }
    }
}

fn link(trouble: Option<&String>) -> Link {
    match trouble {
        None => Link::Connected,
        Some(why) => Link::Disconnected { why: why.clone() },
    }
}

impl Wiring {
    /// Looks at every port of a chassis.
    pub(super) fn of(view: &View, chassis: &ChassisId, ports: &ChassisPorts) -> Self {
        let mut wiring = Self::default();
        wiring.follow(view, chassis, ports, view.ports_at(chassis).map(|port| &port.spec.id));
        wiring
    }

    /// Looks again at ports that are otherwise in the model than before.
    pub(super) fn follow<'a>(
        &mut self,
        view: &View,
        chassis: &ChassisId,
        ports: &ChassisPorts,
        touched: impl Iterator<Item = &'a PortId>,
    ) {
        for id in touched {
            let port = view.model().ports.get(id);
            let is_here = port.is_some_and(|port| port.spec.chassis.as_ref() == Some(chassis));
            match is_here.then(|| missing(id, ports)).flatten() {
                Some(why) => self.missing.insert(id.clone(), why),
                None => self.missing.remove(id),
            };
        }
        self.bound = view.port_count_at(chassis);
    }

    fn not_wired(&self) -> Vec<NotWired> {
        let one = |(port, why): (&PortId, &String)| NotWired { port: port.clone(), why: why.clone() };
        self.missing.iter().map(one).collect()
    }
}

/// Why flows cannot name a port; `None` if they can.
fn missing(port: &PortId, ports: &ChassisPorts) -> Option<String> {
    let Some(interface) = ports.interfaces.get(port.as_str()) else {
        return Some(format!("no interface with external_ids:iface-id={port} on the integration bridge"));
    };
    match (interface.ofport, &interface.error) {
        (Some(_), _) => None,
        (None, Some(error)) => Some(format!("interface {}: {error}", interface.name)),
        (None, None) => Some(format!("interface {} has no port number yet", interface.name)),
    }
}
