//! What the tests of the task need: a database that can fail, a chassis under test, an operator beside it.

use std::{sync::Arc, time::Duration};

use ovsdb::{Backoff, Operation, Options, Row};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use super::{
    super::{
        Interface, OvsdbLink, OvsdbState, RealLink, Wanted, observed::Observed, plan::plan, task::run_at_pace,
    },
    chaos::Chaos,
    fake::{FakeDatabase, FakeLink},
    scenario::Switch,
    server::Server,
};

/// Long enough for the slowest machine; nobody waits for it but a test that fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) trait Database {
    type Link: OvsdbLink + 'static;
    fn link(&self) -> Self::Link;
    fn stop(&mut self);
    fn restart(&mut self);
    fn set_read_only(&mut self, is_read_only: bool);
}

impl Database for FakeDatabase {
    type Link = FakeLink;

    fn link(&self) -> FakeLink {
        Self::link(self)
    }

    fn stop(&mut self) {
        self.set_down(true);
    }

    fn restart(&mut self) {
        self.set_down(false);
    }

    fn set_read_only(&mut self, is_read_only: bool) {
        Self::set_read_only(self, is_read_only);
    }
}

impl Database for Server {
    type Link = RealLink;

    fn link(&self) -> RealLink {
        RealLink::new(self.remote().parse().unwrap(), Options::new("Open_vSwitch"))
    }

    fn stop(&mut self) {
        Self::stop(self);
    }

    fn restart(&mut self) {
        Self::restart(self);
    }

    /// As a standby of a server that is not there.
    fn set_read_only(&mut self, is_read_only: bool) {
        if is_read_only {
            self.control(&["ovsdb-server/set-active-ovsdb-server", "tcp:127.0.0.1:1"]);
            self.control(&["ovsdb-server/connect-active-ovsdb-server"]);
        } else {
            self.control(&["ovsdb-server/disconnect-active-ovsdb-server"]);
        }
    }
}

/// A database, and the accidents that our way to it meets.
pub(super) struct Lab<D> {
    pub(super) database: D,
    pub(super) seed: u64,
    pub(super) accidents: u32,
}

impl<D: Database> Lab<D> {
    pub(super) fn chassis(&self, wanted: Wanted) -> Chassis {
        let link = Chaos::new(self.database.link(), self.seed, self.accidents);
        let (wanted, wanted_rx) = watch::channel(Arc::new(wanted));
        let (state_tx, state) = watch::channel(OvsdbState::default());
        let pace = Backoff::new(Duration::from_millis(1), Duration::from_millis(20));
        Chassis { wanted, state, task: tokio::spawn(run_at_pace(link, wanted_rx, state_tx, pace)) }
    }

    /// An operator's own way to the database, without accidents.
    pub(super) async fn operator(&self) -> Switch<D::Link> {
        Switch::connect(self.database.link()).await
    }
}

/// The task under test.
pub(super) struct Chassis {
    pub(super) wanted: watch::Sender<Arc<Wanted>>,
    pub(super) state: watch::Receiver<OvsdbState>,
    pub(super) task: JoinHandle<()>,
}

impl Chassis {
    pub(super) fn want(&self, change: impl FnOnce(&mut Wanted)) {
        self.wanted.send_modify(|wanted| change(Arc::make_mut(wanted)));
    }

    pub(super) async fn until(&mut self, what: &str, holds: impl FnMut(&OvsdbState) -> bool) -> OvsdbState {
        if let Ok(state) = timeout(PATIENCE, self.state.wait_for(holds)).await {
            return state.unwrap().clone();
        }
        panic!("never {what}: {:#?}", *self.state.borrow());
    }

    /// What was wanted last is there.
    pub(super) async fn until_applied(&mut self, switch: &mut Switch<impl OvsdbLink>) {
        let wanted = Arc::clone(&self.wanted.borrow());
        switch.until("applied", |observed| plan(observed, &wanted).operations.is_empty()).await;
        self.until("applied", |state| state.connected && state.applied && state.error.is_none()).await;
    }

    pub(super) async fn until_interface(
        &mut self,
        iface_id: &str,
        holds: impl Fn(Option<&Interface>) -> bool,
    ) -> OvsdbState {
        self.until(iface_id, |state| holds(state.ports.interfaces.get(iface_id).map(AsRef::as_ref))).await
    }
}

impl<L: OvsdbLink> Switch<L> {
    pub(super) async fn until(&mut self, what: &str, mut holds: impl FnMut(&Observed) -> bool) {
        while !holds(&self.observed) {
            match timeout(PATIENCE, self.link.next()).await {
                Ok(rows) => self.observed.apply(&rows.unwrap()),
                Err(_) => panic!("never {what}: {:#?}", self.observed),
            }
        }
    }

    /// Does by hand what must be possible, on what is there now.
    pub(super) async fn by_hand(&mut self, operations: impl Fn(&Observed) -> Option<Vec<Operation>>) {
        self.observed.apply(&self.link.arrived().unwrap());
        let operations = operations(&self.observed).unwrap();
        assert!(self.change(&operations).await, "{operations:?}");
    }

    pub(super) async fn init(&mut self) {
        self.by_hand(|_| Some(vec![Operation::insert("Open_vSwitch", Row::default())])).await;
    }

    /// What `ovs-vswitchd` writes about an interface.
    pub(super) async fn plays_vswitchd(&mut self, interface: &str, row: Row) {
        self.by_hand(|observed| observed.set_interface(interface, row.clone())).await;
    }
}
