//! What the agent says of its chassis, put together from what its tasks know.

use crate::{
    compile::View,
    model::{ChassisId, PortId, Revision},
    northbound::{ChassisStatus, Link, NotWired, Reconciled},
    southbound::ovsdb::ChassisPorts,
};
use packet::DatapathId;
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// The state of every chassis. Each task writes its own parts.
#[derive(Debug)]
pub(super) struct Board {
    chassis: Mutex<BTreeMap<ChassisId, Status>>,
    /// The last change of the model that the counts are of.
    revision: AtomicU64,
}

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
    /// How many plans the switch has not answered yet.
    pub(super) pending: usize,
    /// Tunnel and patch ports that are not there yet.
    pub(super) absent: Vec<String>,
    /// What the database's task warns of.
    pub(super) warnings: Vec<String>,
    /// What the switch refuses to hold.
    pub(super) refused: Vec<String>,
    /// What else keeps the switch from being as it shall be.
    pub(super) trouble: Option<String>,
}

/// Which bound ports are there.
#[derive(Debug, Default)]
pub(super) struct Wiring {
    wired: usize,
    missing: Vec<NotWired>,
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
        Self { chassis: Mutex::new(chassis.map(begin).collect()), revision: AtomicU64::new(0) }
    }

    pub(super) fn update(&self, chassis: &ChassisId, change: impl FnOnce(&mut Status)) {
        if let Some(status) = self.lock().get_mut(chassis) {
            change(status);
        }
    }

    pub(super) fn set_revision(&self, revision: Revision) {
        self.revision.store(revision.0, Ordering::Release);
    }

    /// The state of every chassis, for a model that is at `newest`.
    pub(super) fn show(&self, newest: Revision) -> Vec<ChassisStatus> {
        let known = self.revision.load(Ordering::Acquire);
        let behind = (known < newest.0)
            .then(|| format!("changes up to revision {} are still to be compiled, {known} is", newest.0));
        let show = |(id, status): (&ChassisId, &Status)| {
            let mut shown = status.show(id);
            shown.errors.extend(behind.clone());
            shown
        };
        self.lock().iter().map(show).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ChassisId, Status>> {
        self.chassis.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Status {
    fn show(&self, id: &ChassisId) -> ChassisStatus {
        let pending =
            (self.pending > 0).then(|| format!("{} changes are on their way to the switch", self.pending));
        let all =
            [&self.warnings[..], &self.refused, &self.absent, self.trouble.as_slice(), pending.as_slice()];
        ChassisStatus {
            id: id.clone(),
            ovsdb: link(self.ovsdb_trouble.as_ref()),
            openflow: link(self.openflow_trouble.as_ref()),
            datapath_id: self.datapath_id,
            flows: self.flows as u64,
            groups: self.groups as u64,
            ports_wired: self.wiring.wired as u64,
            ports_not_wired: self.wiring.missing.clone(),
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
    pub(super) fn of(view: &View, chassis: &ChassisId, ports: &ChassisPorts) -> Self {
        let mut wiring = Self::default();
        for port in view.ports_at(chassis) {
            match missing(&port.spec.id, ports) {
                None => wiring.wired += 1,
                Some(why) => wiring.missing.push(NotWired { port: port.spec.id.clone(), why }),
            }
        }
        wiring
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
