//! What an orchestrator that mirrors its own database needs: batches of which one bad object spoils nothing, epochs that
//! fence off a writer that was replaced, and a digest to compare everything at little cost.

use super::{
    Api,
    error::ApiError,
    objects::{bad_json, blocking, checked, object_of, spec},
    types::{BatchAnswer, BatchRequest, Digest, ErrorBody, Hello, ObjectRef, Refused},
};
use crate::{
    model::{
        Kind, Object, ObjectId,
        validate::{Problem, references},
    },
    store::{Dangling, Effect, Op, Outcome, Store, StoreError, Transaction},
};
use axum::{
    Json,
    body::Bytes,
    extract::{
        Query, State,
        rejection::{BytesRejection, QueryRejection},
    },
};
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};
use utoipa::IntoParams;

/// Octets of SHA-256 that a digest shows: enough for what only chance could make equal.
const DIGEST_OCTETS: usize = 16;

/// Of what to make a digest.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct DigestQuery {
    /// Plurals of kinds with commas between; without it every kind.
    kinds: Option<String>,
}

/// Who this is: to be asked before writing, and to notice a restart.
#[utoipa::path(get, path = "/v1/hello", tag = "mirror", responses((status = 200, body = Hello)))]
pub(super) async fn hello(State(api): State<Api>) -> Result<Json<Hello>, ApiError> {
    blocking(move || {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let (epoch, revision) = (api.store.epoch(), api.store.read().revision);
        Ok(Json(Hello { version, instance: api.instance(), epoch, revision }))
    })
    .await
}

/// Makes objects so, and others not be. References to what is not there are accepted, and what a rule forbids is
/// refused by itself: everything else is done. The same batch again changes nothing.
#[utoipa::path(
    post, path = "/v1/batch", tag = "mirror", request_body = BatchRequest,
    responses(
        (status = 200, description = "Done, but for what `refused` names", body = BatchAnswer),
        (status = 400, description = "Not JSON, an unknown field, or an object twice", body = ErrorBody),
        (status = 412, description = "A writer with a greater epoch was here: nothing was done", body = ErrorBody),
        (status = 507, description = "The disk is full; nothing was done", body = ErrorBody),
    )
)]
pub(super) async fn batch(
    State(api): State<Api>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<BatchAnswer>, ApiError> {
    let body = body?;
    blocking(move || {
        let request: BatchRequest =
            serde_json::from_slice(&body).map_err(|error| bad_json(format!("not a batch: {error}")))?;
        let epoch = request.epoch;
        let (mut ops, mut refused) = read(request)?;
        let outcome = commit_what_may_be(&api.store, &mut ops, &mut refused, epoch)?;
        Ok(Json(answer(&api, &outcome, epoch, refused)))
    })
    .await
}

/// A hash of every object: of the JSON that the API shows of it, keys in order, without spaces.
#[utoipa::path(
    get, path = "/v1/digest", tag = "mirror", params(DigestQuery),
    responses(
        (status = 200, description = "The digest", body = Digest),
        (status = 404, description = "There is no such kind", body = ErrorBody),
    )
)]
pub(super) async fn digest(
    State(api): State<Api>,
    query: Result<Query<DigestQuery>, QueryRejection>,
) -> Result<Json<Digest>, ApiError> {
    let query = checked(query)?;
    let kinds = match &query.kinds {
        None => Kind::ALL.to_vec(),
        Some(names) => names.split(',').map(super::error::kind_of).collect::<Result<_, _>>()?,
    };
    blocking(move || {
        let epoch = api.store.epoch();
        // Copied under the lock, hashed outside of it.
        let (revision, objects) = {
            let shown = api.store.read();
            let of = |kind: &Kind| (*kind, shown.model.objects(*kind).map(|r| r.spec).collect::<Vec<_>>());
            (shown.revision, kinds.iter().map(of).collect::<Vec<_>>())
        };
        let hashed = |object: &Object| (object.id().as_str().to_owned(), hash(object));
        let kinds = objects
            .into_iter()
            .map(|(kind, objects)| (kind.plural().to_owned(), objects.iter().map(hashed).collect()));
        Ok(Json(Digest { instance: api.instance(), epoch, revision, kinds: kinds.collect() }))
    })
    .await
}

type Ops = BTreeMap<ObjectId, Op>;

/// What is asked; objects that cannot be read are refused at once.
fn read(request: BatchRequest) -> Result<(Ops, Vec<Refused>), ApiError> {
    let (mut ops, mut refused) = (Ops::new(), Vec::new());
    for put in request.put {
        let name = put.spec.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        match object_of(put.kind, put.spec) {
            Ok(object) => add(&mut ops, Op::Put(object))?,
            Err(error) => {
                let object = ObjectRef { kind: put.kind, id: name };
                refused.push(Refused { object, error: error.to_string() });
            }
        }
    }
    for object in request.delete {
        add(&mut ops, Op::Delete(ObjectId::new(object.kind, &object.id)?))?;
    }
    Ok((ops, refused))
}

fn add(ops: &mut Ops, op: Op) -> Result<(), ApiError> {
    let id = op.id();
    match ops.insert(id.clone(), op) {
        Some(_) => Err(StoreError::Twice(id).into()),
        None => Ok(()),
    }
}

/// Takes out what breaks a rule until the rest does not. Every attempt takes out one op at least, and mostly all that
/// are at fault: their number is small.
fn commit_what_may_be(
    store: &Store,
    ops: &mut Ops,
    refused: &mut Vec<Refused>,
    epoch: u64,
) -> Result<Outcome, StoreError> {
    loop {
        let transaction = Transaction {
            ops: ops.values().cloned().collect(),
            epoch: Some(epoch),
            dangling: Dangling::Allow,
            ..Transaction::default()
        };
        match store.commit(transaction) {
            Err(StoreError::Invalid(problems)) => refuse(store, ops, refused, &problems),
            done => return done,
        }
    }
}

fn refuse(store: &Store, ops: &mut Ops, refused: &mut Vec<Refused>, problems: &[Problem]) {
    let mut culprits: BTreeMap<ObjectId, &Problem> = BTreeMap::new();
    for problem in problems {
        for culprit in culprits_of(store, ops, problem) {
            culprits.entry(culprit).or_insert(problem);
        }
    }
    // What refers to another culprit may be right without that: it is judged again.
    let names_another = |id: &ObjectId| match ops.get(id) {
        Some(Op::Put(object)) => references(object).iter().any(|target| culprits.contains_key(target)),
        _ => false,
    };
    let first: BTreeSet<ObjectId> = culprits.keys().filter(|id| !names_another(id)).cloned().collect();
    for (id, problem) in culprits {
        if first.is_empty() || first.contains(&id) {
            ops.remove(&id);
            refused.push(Refused { object: (&id).into(), error: problem.to_string() });
        }
    }
}

/// The object at fault if it was put; else it was there already, and what it refers to was put: as when a subnet
/// shrinks under its ports.
fn culprits_of(store: &Store, ops: &Ops, problem: &Problem) -> BTreeSet<ObjectId> {
    let is_put = |id: &ObjectId| matches!(ops.get(id), Some(Op::Put(_)));
    if is_put(&problem.object) {
        return BTreeSet::from([problem.object.clone()]);
    }
    let object = store.read().model.get(&problem.object);
    let beneath: BTreeSet<ObjectId> =
        object.iter().flat_map(|record| references(&record.spec)).filter(is_put).collect();
    if beneath.is_empty() { ops.keys().filter(|id| is_put(id)).cloned().collect() } else { beneath }
}

fn answer(api: &Api, outcome: &Outcome, epoch: u64, refused: Vec<Refused>) -> BatchAnswer {
    let count = |is: fn(&Effect) -> bool| outcome.effects.values().filter(|effect| is(effect)).count() as u64;
    BatchAnswer {
        instance: api.instance(),
        epoch,
        revision: outcome.revision,
        created: count(|effect| matches!(effect, Effect::Created(_))),
        changed: count(|effect| matches!(effect, Effect::Changed { .. })),
        deleted: count(|effect| matches!(effect, Effect::Deleted(_))),
        unchanged: count(|effect| matches!(effect, Effect::Unchanged | Effect::Absent)),
        refused,
    }
}

/// The first half of SHA-256 over the canonical JSON, in hexadecimal digits.
fn hash(object: &Object) -> String {
    let mut text = String::new();
    canonical(&spec(object), &mut text);
    let sum = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let mut hex = String::with_capacity(2 * DIGEST_OCTETS);
    for octet in sum.as_ref().iter().take(DIGEST_OCTETS) {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{octet:02x}");
    }
    hex
}

/// JSON with keys in order of their code points and no spaces.
fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (i, item) in items.iter().enumerate() {
                text.push_str(if i > 0 { "," } else { "" });
                canonical(item, text);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            text.push('{');
            for (i, (key, value)) in sorted.into_iter().enumerate() {
                text.push_str(if i > 0 { "," } else { "" });
                let _ = write!(text, "{}:", Value::from(key.as_str()));
                canonical(value, text);
            }
            text.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let _ = write!(text, "{value}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Revision, store::MemoryBackend};
    use serde_json::json;

    fn store() -> Store {
        Store::open(MemoryBackend::new(100)).unwrap()
    }

    fn send(
        store: &Store,
        epoch: u64,
        put: &[(&str, Value)],
        delete: &[(&str, &str)],
    ) -> Result<(Outcome, Vec<String>), StoreError> {
        let put: Vec<_> = put.iter().map(|(kind, spec)| json!({"kind": kind, "spec": spec})).collect();
        let delete: Vec<_> = delete.iter().map(|(kind, id)| json!({"kind": kind, "id": id})).collect();
        let request = json!({"epoch": epoch, "put": put, "delete": delete});
        let (mut ops, mut refused) = read(serde_json::from_value(request).unwrap()).unwrap();
        let outcome = commit_what_may_be(store, &mut ops, &mut refused, epoch)?;
        Ok((outcome, refused.iter().map(|r| format!("{}: {}", r.object, r.error)).collect()))
    }

    fn port(id: &str, ip: &str) -> (&'static str, Value) {
        let mac = format!(
            "02:00:00:00:00:{:02x}",
            id.bytes().fold(0_u8, |a, b| a.wrapping_mul(31).wrapping_add(b))
        );
        let fixed = json!([{"subnet": "s", "ip": ip}]);
        ("port", json!({"id": id, "network": "n", "mac": mac, "fixed_ips": fixed}))
    }

    fn subnet(cidr: &str) -> (&'static str, Value) {
        ("subnet", json!({"id": "s", "network": "n", "cidr": cidr}))
    }

    #[test]
    fn what_is_bad_spoils_nothing_else() {
        let store = store();
        let bad = ("port", json!({"id": "bad", "network": "n", "mac": "no"}));
        let objects = [port("a", "10.0.0.5"), port("b", "10.0.9.5"), subnet("10.0.0.0/24"), bad];
        let (outcome, refused) = send(&store, 1, &objects, &[("router", "none")]).unwrap();
        assert_eq!(outcome.revision, Revision(2));
        assert_eq!(refused.len(), 2, "{refused:?}");
        assert!(refused[0].starts_with("port bad: \"no\" is no MAC"), "{refused:?}");
        assert!(refused[1].starts_with("port b: port b: fixed ip 10.0.9.5 is outside"), "{refused:?}");
        // The same again changes nothing, and the network may still be missing.
        let (outcome, _) = send(&store, 1, &objects, &[]).unwrap();
        assert_eq!(outcome.revision, Revision(2));
    }

    #[test]
    fn a_subnet_that_leaves_its_ports_outside_is_refused() {
        let store = store();
        send(&store, 1, &[port("a", "10.0.0.200"), subnet("10.0.0.0/24")], &[]).unwrap();
        let (outcome, refused) =
            send(&store, 1, &[subnet("10.0.0.0/25"), port("c", "10.0.0.3")], &[]).unwrap();
        assert_eq!(outcome.revision, Revision(3));
        assert!(refused[0].starts_with("subnet s: port a: fixed ip"), "{refused:?}");
    }

    #[test]
    fn what_refers_to_something_bad_waits_for_it() {
        let store = store();
        let bad =
            ("subnet", json!({"id": "s", "network": "n", "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.0"}));
        let router = ("router", json!({"id": "r", "interfaces": [{"subnet": "s", "ip": "10.0.0.0"}]}));
        let (outcome, refused) = send(&store, 1, &[bad, router], &[]).unwrap();
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert_eq!(outcome.pending.len(), 1, "{outcome:?}");
    }

    #[test]
    fn a_replaced_writer_is_refused_also_after_a_restart() {
        let backend = tempfile::tempdir().unwrap();
        let path = backend.path().join("store");
        let open = || Store::open(crate::store::DiskBackend::open(&path, 10).unwrap()).unwrap();
        let store = open();
        send(&store, 7, &[], &[]).unwrap();
        let old = send(&store, 6, &[subnet("10.0.0.0/24")], &[]);
        assert!(matches!(old, Err(StoreError::OldEpoch { given: 6, current: 7 })), "{old:?}");
        drop(store);
        let store = open();
        assert_eq!(store.epoch(), 7);
        assert!(send(&store, 6, &[], &[]).is_err());
        assert_eq!(store.read().revision, Revision(0));
        send(&store, 8, &[subnet("10.0.0.0/24")], &[]).unwrap();
        assert_eq!(store.epoch(), 8);
    }

    /// The same text and hash are in the tests of neutron/: both sides must agree.
    #[test]
    fn canonical_text_and_hash() {
        let value = json!({"b": [1, {"z": "\u{e4}\"\n", "a": true}], "a": null});
        let mut text = String::new();
        canonical(&value, &mut text);
        assert_eq!(text, "{\"a\":null,\"b\":[1,{\"a\":true,\"z\":\"\u{e4}\\\"\\n\"}]}");
        let group = json!({"id": "g", "addresses": ["10.0.0.0/8", "2001:db8::1/128"]});
        let object = object_of(Kind::AddressGroup, group).unwrap();
        assert_eq!(hash(&object), "5b01c6d6b73a070384dd2c594316cd33");
    }
}
