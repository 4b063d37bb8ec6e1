//! `GET /v1/states`: what is really there, by a cursor and a long poll.
//!
//! A port is up once its switch has acknowledged a state of the model that has the port and in which its interface was
//! there; it stays up until its interface goes or it is bound elsewhere. What a switch that is not connected does is not
//! known: then nothing is said of its ports, and what was said before stays.

use super::{
    Api,
    error::ApiError,
    objects::{blocking, checked},
    sources::Wired,
    types::{ChassisState, PortState, RouterState, States},
};
use crate::{
    model::{ChassisId, Model, PortId, Revision, RouterId},
    store::Store,
};
use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use utoipa::IntoParams;

/// Longest wait for news, seconds.
const MAX_TIMEOUT: u64 = 60;
/// Changes are gathered for so long.
const GATHER: Duration = Duration::from_millis(10);
/// Looking takes at most one part in so many of the time.
const SHARE: u32 = 10;

/// Since when, and how long to wait for news.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct StatesQuery {
    /// The cursor of the last answer; without it, everything at once.
    since: Option<u64>,
    /// The instance of the last answer: if it is another now, everything at once.
    instance: Option<String>,
    /// Seconds to wait for news, 0 to 60; 0 without it.
    #[param(maximum = 60)]
    timeout: u64,
}

/// What is really there. With `since` the answer waits until there is something new, or `timeout` is over.
#[utoipa::path(
    get, path = "/v1/states", tag = "mirror", params(StatesQuery),
    responses(
        (status = 200, body = States),
        (status = 400, description = "A bad parameter", body = super::types::ErrorBody),
    )
)]
pub(super) async fn states(
    State(api): State<Api>,
    query: Result<Query<StatesQuery>, QueryRejection>,
) -> Result<Json<States>, ApiError> {
    let query = checked(query)?;
    if query.timeout > MAX_TIMEOUT {
        let error = format!("timeout {} is out of range: want 0 to {MAX_TIMEOUT}", query.timeout);
        return Err(ApiError::bad_request(error, "ask again when the time is over"));
    }
    let instance = api.instance();
    let is_ours = query.instance.as_ref().is_none_or(|theirs| *theirs == instance);
    let until = Instant::now() + Duration::from_secs(query.timeout);
    let mut stop = api.stop.clone();
    let mut news = News { revisions: api.store.revisions(), changes: api.status.changes() };
    loop {
        let begin = Instant::now();
        let cursor = look(&api, news.stamp()).await?;
        let since = query.since.filter(|since| is_ours && *since <= cursor);
        if since != Some(cursor) {
            return Ok(Json(api.known.tell(instance, since)));
        }
        let pause = GATHER.max(begin.elapsed() * SHARE);
        let is_over = tokio::select! {
            is_over = news.wait() => is_over,
            () = sleep_until(until) => true,
            // Its result holds a lock.
            stopped = stop.wait_for(|stop| *stop) => { drop(stopped); true }
        };
        if is_over {
            return Ok(Json(api.known.tell(instance, since)));
        }
        sleep(pause).await;
    }
}

/// Brings what is known up to date, for somebody who asks: while nobody does, it costs nothing.
async fn look(api: &Api, stamp: Stamp) -> Result<u64, ApiError> {
    let api = api.clone();
    // Waits for a commit under way.
    blocking(move || Ok(api.known.look(stamp, &api.store, || api.status.wired()))).await
}

/// Tells when there may be something new.
struct News {
    revisions: watch::Receiver<Revision>,
    changes: watch::Receiver<u64>,
}

/// As of when something was looked at.
type Stamp = (Revision, u64);

impl News {
    /// Marks everything up to now as seen. To be called before looking: what changes from then on is news.
    fn stamp(&mut self) -> Stamp {
        (*self.revisions.borrow_and_update(), *self.changes.borrow_and_update())
    }

    /// Waits for news; true if there will be none.
    async fn wait(&mut self) -> bool {
        tokio::select! {
            changed = self.revisions.changed() => changed.is_err(),
            // A source that serves no chassis is gone at once.
            Ok(()) = self.changes.changed() => false,
        }
    }
}

/// What was found out, and when.
#[derive(Debug)]
pub(super) struct Known(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// What was looked at last.
    seen: Option<Stamp>,
    cursor: u64,
    chassis: BTreeMap<ChassisId, Told<ChassisState>>,
    ports: BTreeMap<PortId, Told<PortState>>,
    routers: BTreeMap<RouterId, Told<RouterState>>,
}

/// A state and the cursor at which it became so.
#[derive(Debug)]
struct Told<T> {
    at: u64,
    state: T,
}

impl Known {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::default()))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, instance: String, since: Option<u64>) -> States {
        let table = self.table();
        States {
            instance,
            cursor: table.cursor,
            full: since.is_none(),
            chassis: newer(&table.chassis, since),
            ports: newer(&table.ports, since),
            routers: newer(&table.routers, since),
        }
    }

    /// Compares everything with what was told, unless that was done since, and returns the cursor.
    ///
    /// What is compared is fetched under the lock: of several who ask, none puts back what another saw later.
    fn look(&self, stamp: Stamp, store: &Store, wired: impl FnOnce() -> BTreeMap<ChassisId, Wired>) -> u64 {
        let mut table = self.table();
        if table.seen.replace(stamp) != Some(stamp) {
            table.cursor += 1;
            // Before the model: what is said to be applied is never newer than what it is compared with.
            let wired = wired();
            let changed = table.look(&store.read().model, &wired);
            table.cursor -= u64::from(!changed);
        }
        table.cursor
    }
}

fn newer<K, T: Clone>(all: &BTreeMap<K, Told<T>>, since: Option<u64>) -> Vec<T> {
    let newer = all.values().filter(|told| since.is_none_or(|since| told.at > since));
    newer.map(|told| told.state.clone()).collect()
}

impl Table {
    /// True if something is otherwise than it was told.
    fn look(&mut self, model: &Model, wired: &BTreeMap<ChassisId, Wired>) -> bool {
        let at = self.cursor;
        let mut changed = false;
        for (id, wired) in wired {
            let state = chassis_state(model, id, wired);
            changed |= note(&mut self.chassis, id, state, at, |a, b| a == b);
        }
        self.ports.retain(|id, told| {
            model.ports.get(id).is_some_and(|port| port.spec.chassis.as_ref() == Some(&told.state.chassis))
        });
        for (id, port) in &model.ports {
            let Some(chassis) = &port.spec.chassis else { continue };
            let was_up = self.ports.get(id).is_some_and(|told| told.state.up);
            let Some(up) = wired.get(chassis).and_then(|w| is_up(w, id, port.revision, was_up)) else {
                continue;
            };
            let state = PortState { id: id.clone(), chassis: chassis.clone(), up };
            changed |= note(&mut self.ports, id, state, at, |a, b| a == b);
        }
        self.routers.retain(|id, _| model.routers.contains_key(id));
        for (id, router) in &model.routers {
            // A switch that is away is no reason to say that a router is not there: it will be told.
            let mut asked = wired.values().filter(|wired| wired.alive);
            if asked.all(|wired| wired.applied.is_some_and(|applied| applied >= router.revision)) {
                let subnets = router.spec.interfaces.iter().map(|interface| interface.subnet.clone());
                let state = RouterState { id: id.clone(), subnets: subnets.collect() };
                changed |= note(&mut self.routers, id, state, at, |a, b| a == b);
            }
        }
        changed
    }
}

fn note<K: Ord + Clone, T>(
    all: &mut BTreeMap<K, Told<T>>,
    id: &K,
    state: T,
    at: u64,
    same: fn(&T, &T) -> bool,
) -> bool {
    if all.get(id).is_some_and(|told| same(&told.state, &state)) {
        return false;
    }
    all.insert(id.clone(), Told { at, state });
    true
}

/// `None` while it is not known.
fn is_up(wired: &Wired, id: &PortId, revision: Revision, was_up: bool) -> Option<bool> {
    let applied = wired.applied?;
    if wired.missing.contains(id) {
        return Some(false);
    }
    (was_up || applied >= revision).then_some(true)
}

fn chassis_state(model: &Model, id: &ChassisId, wired: &Wired) -> ChassisState {
    let record = model.chassis.get(id);
    ChassisState {
        id: id.clone(),
        alive: wired.alive && record.is_some(),
        tunnels: record.is_some_and(|record| !record.spec.encap_ips.is_empty()),
        bridge_mappings: record.map(|record| record.spec.bridge_mappings.clone()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::topology::Topology,
        store::{MemoryBackend, Op, Transaction},
    };
    use serde_json::json;

    fn put(store: &Store, topology: serde_json::Value) {
        let topology: Topology = serde_json::from_value(topology).unwrap();
        store
            .commit(Transaction { ops: topology.objects().map(Op::Put).collect(), ..Transaction::default() })
            .unwrap();
    }

    fn wired(applied: Option<u64>, missing: &[&str]) -> BTreeMap<ChassisId, Wired> {
        let missing = missing.iter().map(|id| id.parse().unwrap()).collect();
        let wired = Wired { alive: applied.is_some(), applied: applied.map(Revision), missing };
        BTreeMap::from([("hv1".parse().unwrap(), wired)])
    }

    /// Looks at something that is news in any case.
    fn see(known: &Known, store: &Store, wired: &BTreeMap<ChassisId, Wired>) {
        let turn = known.table().seen.map_or(0, |(_, turn)| turn + 1);
        known.look((Revision(0), turn), store, || wired.clone());
    }

    fn port(chassis: &str, mac: &str) -> serde_json::Value {
        json!({"id": "p", "network": "n", "mac": mac, "chassis": chassis})
    }

    fn told(known: &Known, since: u64) -> Vec<String> {
        let states = known.tell("x".into(), Some(since));
        let ports = states.ports.iter().map(|port| format!("port {}", port.up));
        let routers = states.routers.iter().map(|router| format!("router {}", router.subnets.len()));
        let chassis = states.chassis.iter().map(|chassis| format!("chassis {}", chassis.alive));
        chassis.chain(ports).chain(routers).collect()
    }

    #[test]
    fn ports_are_up_when_the_switch_has_them() {
        let store = Store::open(MemoryBackend::new(10)).unwrap();
        put(&store, json!({"chassis": [{"id": "hv1"}]}));
        put(&store, json!({"ports": [port("hv1", "02:00:00:00:00:01")]}));
        let known = Known::new();
        // Nothing is known of a chassis that is not connected.
        see(&known, &store, &wired(None, &[]));
        assert_eq!(told(&known, 0), ["chassis false"]);
        see(&known, &store, &wired(Some(1), &[]));
        assert_eq!(told(&known, 1), ["chassis true"]);
        see(&known, &store, &wired(Some(2), &["p"]));
        assert_eq!(told(&known, 2), ["port false"]);
        see(&known, &store, &wired(Some(2), &[]));
        assert_eq!(told(&known, 3), ["port true"]);
        // A change that is still on its way takes nothing away, nor does a lost connection.
        put(&store, json!({"ports": [port("hv1", "02:00:00:00:00:02")]}));
        see(&known, &store, &wired(Some(2), &[]));
        assert_eq!(told(&known, 4), Vec::<String>::new());
        see(&known, &store, &wired(None, &[]));
        assert_eq!(told(&known, 4), ["chassis false"]);
        assert_eq!(known.tell("x".into(), None).ports.len(), 1);
        // Bound elsewhere it is unknown until that chassis tells.
        put(&store, json!({"ports": [port("hv2", "02:00:00:00:00:02")]}));
        see(&known, &store, &wired(Some(4), &[]));
        assert!(known.tell("x".into(), None).ports.is_empty());
    }

    #[test]
    fn interfaces_are_up_when_every_switch_knows_the_router() {
        let store = Store::open(MemoryBackend::new(10)).unwrap();
        put(&store, json!({"routers": [{"id": "r", "interfaces": [{"subnet": "s"}]}]}));
        let known = Known::new();
        see(&known, &store, &wired(Some(0), &[]));
        assert_eq!(told(&known, 0), ["chassis false"]);
        see(&known, &store, &wired(Some(1), &[]));
        assert_eq!(told(&known, 1), ["router 1"]);
        put(&store, json!({"routers": [{"id": "r", "interfaces": [{"subnet": "s"}, {"subnet": "t"}]}]}));
        see(&known, &store, &wired(Some(1), &[]));
        assert_eq!(told(&known, 2), Vec::<String>::new());
        see(&known, &store, &wired(Some(2), &[]));
        assert_eq!(told(&known, 2), ["router 2"]);
    }
}
