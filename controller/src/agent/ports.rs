//! Follows what OVSDB says of one chassis.

use super::{planner::Ask, status::Board, switchboard::Call};
use crate::{
    model::ChassisId,
    southbound::{
        openflow::Session,
        ovsdb::{ChassisPorts, OvsdbState},
    },
};
use packet::DatapathId;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

pub(super) struct PortsTask {
    pub(super) chassis: ChassisId,
    pub(super) bridge: String,
    pub(super) state: watch::Receiver<OvsdbState>,
    pub(super) asks: mpsc::Sender<Ask>,
    pub(super) calls: mpsc::Sender<Call>,
    /// Where the sessions of its switch go.
    pub(super) sessions: mpsc::Sender<Session>,
    /// True once the planner was told of the ports.
    pub(super) ready: watch::Sender<bool>,
    pub(super) board: Arc<Board>,
}

impl PortsTask {
    pub(super) async fn run(mut self) {
        let mut told: Option<Arc<ChassisPorts>> = None;
        let mut datapath = None;
        loop {
            let state = self.state.borrow_and_update().clone();
            self.show(&state);
            // Before the bridge is there it has no ports, and to know of none is not to know that there are none.
            if let Some(now) = state.ports.datapath_id {
                if told.as_ref() != Some(&state.ports) {
                    let ask = Ask::Ports { chassis: self.chassis.clone(), ports: Arc::clone(&state.ports) };
                    if self.asks.send(ask).await.is_err() {
                        return;
                    }
                    told = Some(state.ports);
                    self.ready.send_replace(true);
                }
                if datapath.replace(now) != Some(now) {
                    self.meet(now).await;
                }
            }
            if self.state.changed().await.is_err() {
                return;
            }
        }
    }

    /// Tells the switchboard which switch is ours.
    async fn meet(&self, datapath: DatapathId) {
        tracing::info!(chassis = %self.chassis, %datapath, bridge = self.bridge, "bootstrapped");
        let (chassis, sessions) = (self.chassis.clone(), self.sessions.clone());
        // Nobody listens only when everything stops.
        let _ = self.calls.send(Call::Known { chassis, datapath, sessions }).await;
    }

    fn show(&self, state: &OvsdbState) {
        self.board.update(&self.chassis, |status| {
            let away = || state.error.clone().unwrap_or_else(|| "not connected yet".into());
            status.ovsdb_trouble = (!state.connected).then(away);
            status.datapath_id = state.ports.datapath_id;
            status.warnings = state.warnings.iter().map(ToString::to_string).collect();
            if state.connected {
                status.warnings.extend(state.error.clone());
            }
        });
    }
}
