//! Joins switches that connect with the chassis they belong to.

use super::status::Board;
use crate::{
    model::ChassisId,
    southbound::openflow::{Incoming, Listener, Session, open},
};
use openflow::Config;
use packet::DatapathId;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

/// How long a switch that is not known yet may wait: a bridge is often quicker than the news of it from its database.
const GRACE: Duration = Duration::from_secs(10);
/// Pause after the system refused to accept (no descriptors left, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that have not said who they are. More wait in the socket's queue.
const MAX_HANDSHAKES: usize = 256;

/// What a failed TLS handshake mostly is about.
const CERTIFICATES: &str =
    "`ovs-vsctl get-ssl` names the certificates there, `[tls]` of the configuration ours";

/// What the switchboard hears.
#[derive(Debug)]
pub(super) enum Call {
    /// A switch that passed its handshake.
    Connected(Session),
    /// The switch of a chassis has this id now.
    Known { chassis: ChassisId, datapath: DatapathId, sessions: mpsc::Sender<Session> },
}

/// Accepts on one address, for ever.
pub(super) async fn listen(listener: Listener, calls: mpsc::Sender<Call>, board: Arc<Board>) {
    tracing::info!(address = %listener.local_addr(), "waiting for switches");
    let mut handshakes = JoinSet::new();
    loop {
        tokio::select! {
            incoming = listener.accept(), if handshakes.len() < MAX_HANDSHAKES => match incoming {
                Ok(incoming) => {
                    handshakes.spawn(handshake(incoming, calls.clone(), Arc::clone(&board)));
                }
                Err(error) => {
                    tracing::warn!(address = %listener.local_addr(), %error, "cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = handshakes.join_next() => {}
        }
    }
}

async fn handshake(incoming: Incoming, calls: mpsc::Sender<Call>, board: Arc<Board>) {
    let peer = incoming.peer.clone();
    let stream = match incoming.open().await {
        Ok(stream) => stream,
        Err(error) => {
            board.note_failed(&peer, format!("{error} ({CERTIFICATES})"));
            return tracing::warn!(peer, %error, "connection refused before openflow");
        }
    };
    match open(stream, &peer, Config::default()).await {
        Ok(session) => {
            // Nobody listens only when everything stops.
            let _ = calls.send(Call::Connected(session)).await;
        }
        Err(end) => {
            board.note_failed(&peer, &end);
            tracing::warn!(peer, %end, "no openflow session");
        }
    }
}

/// Hands sessions over, for ever.
pub(super) async fn run(mut calls: mpsc::Receiver<Call>) {
    let mut known: HashMap<DatapathId, (ChassisId, mpsc::Sender<Session>)> = HashMap::new();
    let mut waiting: HashMap<DatapathId, (Session, Instant)> = HashMap::new();
    loop {
        let next_due = waiting.values().map(|(_, due)| *due).min();
        tokio::select! {
            call = calls.recv() => match call {
                None => return,
                Some(Call::Connected(session)) => {
                    let datapath = session.switch.features.datapath_id;
                    match known.get(&datapath) {
                        Some((_, sessions)) => hand_over(sessions, session).await,
                        None => {
                            waiting.insert(datapath, (session, Instant::now() + GRACE));
                        }
                    }
                }
                Some(Call::Known { chassis, datapath, sessions }) => {
                    known.retain(|id, (other, _)| *other != chassis || *id == datapath);
                    if let Some((session, _)) = waiting.remove(&datapath) {
                        hand_over(&sessions, session).await;
                    }
                    let before = known.insert(datapath, (chassis.clone(), sessions));
                    if let Some((other, _)) = before.filter(|(other, _)| *other != chassis) {
                        tracing::warn!(
                            %datapath, "chassis {other} and {chassis} have the same switch: configure one of them"
                        );
                    }
                }
            },
            () = sleep_until(next_due) => waiting.retain(|datapath, (session, due)| {
                let stays = *due > Instant::now();
                if !stays {
                    tracing::warn!(
                        %datapath, peer = %session.switch.peer,
                        "the switch belongs to no chassis of this controller, so it is disconnected: configure its \
                         chassis with the OVSDB of its host, or take our target off the bridge that \
                         `ovs-vsctl --columns=name find bridge datapath_id={datapath}` names"
                    );
                }
                stays
            }),
        }
    }
}

/// The newest session of a switch replaces those before it.
async fn hand_over(sessions: &mpsc::Sender<Session>, session: Session) {
    // Its receiver goes only when the whole agent stops.
    let _ = sessions.send(session).await;
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
