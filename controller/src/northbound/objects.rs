//! `/v1/{KIND}`, as in `/v1/ports`: list, get, put, delete; and the batches `apply` and `delete`.

use super::{
    Api,
    diff::fields,
    error::{ApiError, kind_of},
    types::{DeleteRequest, Difference, Fate, Listed, ObjectChange, PendingRef, Written},
};
use crate::{
    model::{IdError, Kind, Model, Object, ObjectId, Record, Table, topology::Topology},
    store::{Dangling, Effect, Op, Outcome, Transaction},
};
use axum::{
    Json,
    body::Bytes,
    extract::{
        Path, Query, State,
        rejection::{BytesRejection, PathRejection, QueryRejection},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use std::{error::Error as _, ops::Bound, str::FromStr};
use utoipa::IntoParams;

/// Which part of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// At most so many.
    limit: Option<usize>,
    /// Only ids after this one.
    after: Option<String>,
}

/// How to delete.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteQuery {
    /// `allow`: delete although others refer to it; they wait for it to come back.
    #[param(value_type = Option<String>)]
    dangling: Option<AllowDangling>,
    /// Only say what would happen.
    dry_run: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AllowDangling {
    Allow,
}

/// How to apply.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct ApplyQuery {
    /// Only say what would happen.
    dry_run: bool,
    /// Refuse objects that refer to what is not there.
    strict: bool,
    /// Delete every object that is not in the topology.
    prune: bool,
}

pub(super) async fn list(
    State(api): State<Api>,
    kind: Result<Path<String>, PathRejection>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let kind = kind_of(&named(kind)?)?;
    let query = checked(query)?;
    blocking(move || list_kind(&api, kind, &query)).await
}

fn list_kind(api: &Api, kind: Kind, query: &ListQuery) -> Result<Response, ApiError> {
    match kind {
        Kind::Chassis => list_table(api, query, |model| &model.chassis),
        Kind::Network => list_table(api, query, |model| &model.networks),
        Kind::Subnet => list_table(api, query, |model| &model.subnets),
        Kind::Port => list_table(api, query, |model| &model.ports),
        Kind::Router => list_table(api, query, |model| &model.routers),
        Kind::FloatingIp => list_table(api, query, |model| &model.floating_ips),
        Kind::SecurityGroup => list_table(api, query, |model| &model.security_groups),
        Kind::AddressGroup => list_table(api, query, |model| &model.address_groups),
    }
}

fn list_table<K, T>(
    api: &Api,
    query: &ListQuery,
    table: fn(&Model) -> &Table<K, T>,
) -> Result<Response, ApiError>
where
    K: Ord + Clone + FromStr<Err = IdError> + ToString,
    T: Clone + Serialize,
{
    let from =
        query.after.as_deref().map(str::parse::<K>).transpose()?.map_or(Bound::Unbounded, Bound::Excluded);
    let limit = query.limit.unwrap_or(usize::MAX);
    // Copied under the lock, written as text outside of it.
    let listed = {
        let shown = api.store.read();
        let mut rest = table(&shown.model).range((from, Bound::Unbounded));
        let page: Vec<(&K, &Record<T>)> = rest.by_ref().take(limit).collect();
        let next = page.last().filter(|_| rest.next().is_some()).map(|(id, _)| id.to_string());
        let items = page.into_iter().map(|(_, record)| record.clone()).collect();
        Listed { revision: shown.revision, items, next }
    };
    Ok(Json(listed).into_response())
}

pub(super) async fn get(
    State(api): State<Api>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Record<serde_json::Value>>, ApiError> {
    let (kind, id) = named(path)?;
    let id = ObjectId::new(kind_of(&kind)?, &id)?;
    let record = api.store.read().model.get(&id).ok_or_else(|| ApiError::no_such(&id))?;
    Ok(Json(record.map(|object| spec(&object))))
}

pub(super) async fn put(
    State(api): State<Api>,
    path: Result<Path<(String, String)>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let (kind, id) = named(path)?;
    let id = ObjectId::new(kind_of(&kind)?, &id)?;
    let object = parse_object(&id, &body?)?;
    let outcome = commit(api, Transaction::put([object])).await?;
    let result = match outcome.effects.get(&id) {
        Some(Effect::Created(_)) => Fate::Created,
        Some(Effect::Changed { .. }) => Fate::Changed,
        _ => Fate::Unchanged,
    };
    let status = if result == Fate::Created { StatusCode::CREATED } else { StatusCode::OK };
    let pending = outcome.pending.iter().map(PendingRef::from).collect();
    Ok((status, Json(Written { revision: outcome.revision, result, pending })).into_response())
}

pub(super) async fn delete(
    State(api): State<Api>,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<DeleteQuery>, QueryRejection>,
) -> Result<Json<Written>, ApiError> {
    let (kind, id) = named(path)?;
    let id = ObjectId::new(kind_of(&kind)?, &id)?;
    let query = checked(query)?;
    let transaction = Transaction { dry_run: query.dry_run, ..Transaction::delete([id.clone()]) };
    let outcome = commit(api, Transaction { dangling: query.dangling(), ..transaction }).await?;
    match outcome.effects.get(&id) {
        Some(Effect::Deleted(_)) => {
            Ok(Json(Written { revision: outcome.revision, result: Fate::Deleted, pending: Vec::new() }))
        }
        _ => Err(ApiError::no_such(&id)),
    }
}

/// Makes the model as the topology says: creates, changes and, with `prune`, deletes, in one transaction.
#[utoipa::path(
    post, path = "/v1/apply", tag = "batches", params(ApplyQuery), request_body = Topology,
    responses(
        (status = 200, description = "Done, or with dry_run what would be done", body = Difference),
        (status = 400, description = "Not JSON, an unknown field, a bad value, or an id twice", body = super::types::ErrorBody),
        (status = 409, description = "prune would delete what others refer to", body = super::types::ErrorBody),
        (status = 422, description = "The model would break a rule, or with strict a reference would dangle", body = super::types::ErrorBody),
    )
)]
pub(super) async fn apply(
    State(api): State<Api>,
    query: Result<Query<ApplyQuery>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let (query, body) = (checked(query)?, body?);
    blocking(move || {
        let topology = Topology::from_json(&body).map_err(|error| {
            ApiError::bad_request(
                format!("not a topology: {error}"),
                "send JSON as described in /v1/openapi.json",
            )
        })?;
        let outcome = api.store.commit(Transaction {
            ops: topology.objects().map(Op::Put).collect(),
            prune: query.prune,
            epoch: None,
            dangling: if query.strict { Dangling::Refuse } else { Dangling::Arriving },
            dry_run: query.dry_run,
        })?;
        Ok(Json(difference(outcome, query.dry_run)).into_response())
    })
    .await
}

/// Deletes objects, in one transaction.
#[utoipa::path(
    post, path = "/v1/delete", tag = "batches", params(DeleteQuery), request_body = DeleteRequest,
    responses(
        (status = 200, description = "Gone, or with dry_run what would go", body = Difference),
        (status = 400, description = "Not JSON, or an id twice", body = super::types::ErrorBody),
        (status = 409, description = "Others refer to one of them", body = super::types::ErrorBody),
    )
)]
pub(super) async fn delete_batch(
    State(api): State<Api>,
    query: Result<Query<DeleteQuery>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let (query, body) = (checked(query)?, body?);
    blocking(move || {
        let request: DeleteRequest = serde_json::from_slice(&body)
            .map_err(|error| bad_json(format!("not a list of objects: {error}")))?;
        let ids = request.objects.iter().map(|object| ObjectId::new(object.kind, &object.id));
        let transaction = Transaction::delete(ids.collect::<Result<Vec<_>, _>>()?);
        let dangling = query.dangling();
        let outcome = api.store.commit(Transaction { dangling, dry_run: query.dry_run, ..transaction })?;
        Ok(Json(difference(outcome, query.dry_run)).into_response())
    })
    .await
}

impl DeleteQuery {
    const fn dangling(&self) -> Dangling {
        match self.dangling {
            Some(AllowDangling::Allow) => Dangling::Allow,
            None => Dangling::Arriving,
        }
    }
}

fn difference(outcome: Outcome, dry_run: bool) -> Difference {
    let mut difference = Difference {
        revision: outcome.revision,
        dry_run,
        created: Vec::new(),
        changed: Vec::new(),
        deleted: Vec::new(),
        unchanged: 0,
        absent: Vec::new(),
        pending: outcome.pending.iter().map(PendingRef::from).collect(),
    };
    for (id, effect) in &outcome.effects {
        match effect {
            Effect::Created(_) => difference.created.push(id.into()),
            Effect::Changed { before, after } => {
                let fields = fields(&spec(before), &spec(after));
                difference.changed.push(ObjectChange { object: id.into(), fields });
            }
            Effect::Deleted(_) => difference.deleted.push(id.into()),
            Effect::Unchanged => difference.unchanged += 1,
            Effect::Absent => difference.absent.push(id.into()),
        }
    }
    difference
}

/// The object as the API shows it: its kind is said elsewhere.
pub(super) fn spec(object: &Object) -> serde_json::Value {
    let json = match object {
        Object::Chassis(o) => serde_json::to_value(o),
        Object::Network(o) => serde_json::to_value(o),
        Object::Subnet(o) => serde_json::to_value(o),
        Object::Port(o) => serde_json::to_value(o),
        Object::Router(o) => serde_json::to_value(o),
        Object::FloatingIp(o) => serde_json::to_value(o),
        Object::SecurityGroup(o) => serde_json::to_value(o),
        Object::AddressGroup(o) => serde_json::to_value(o),
    };
    // Objects have text keys and finite numbers: serde_json takes them all.
    json.unwrap_or_default()
}

/// A body may leave out the id, which the path has.
fn parse_object(id: &ObjectId, body: &[u8]) -> Result<Object, ApiError> {
    let fields = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body);
    let mut fields = fields.map_err(|error| bad_json(format!("{id}: {error}")).of(id))?;
    let said = fields.entry("id").or_insert_with(|| id.as_str().into());
    if said.as_str() != Some(id.as_str()) {
        let error = format!("{id}: the body has id {said}");
        return Err(
            ApiError::bad_request(error, "write the same id in path and body, or none in the body").of(id)
        );
    }
    let object = object_of(id.kind(), serde_json::Value::Object(fields));
    object.map_err(|error| bad_json(format!("{id}: {error}")).of(id))
}

/// An object from what the API shows of it.
pub(super) fn object_of(kind: Kind, spec: serde_json::Value) -> Result<Object, serde_json::Error> {
    match kind {
        Kind::Chassis => serde_json::from_value(spec).map(Object::Chassis),
        Kind::Network => serde_json::from_value(spec).map(Object::Network),
        Kind::Subnet => serde_json::from_value(spec).map(Object::Subnet),
        Kind::Port => serde_json::from_value(spec).map(Object::Port),
        Kind::Router => serde_json::from_value(spec).map(Object::Router),
        Kind::FloatingIp => serde_json::from_value(spec).map(Object::FloatingIp),
        Kind::SecurityGroup => serde_json::from_value(spec).map(Object::SecurityGroup),
        Kind::AddressGroup => serde_json::from_value(spec).map(Object::AddressGroup),
    }
}

pub(super) fn bad_json(error: impl ToString) -> ApiError {
    ApiError::bad_request(error, "send JSON as described in /v1/openapi.json")
}

impl From<BytesRejection> for ApiError {
    fn from(rejection: BytesRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text(), "send a smaller body, complete")
    }
}

pub(super) fn checked<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, ApiError> {
    let hint = "parameters are described in /v1/openapi.json";
    query.map(|Query(query)| query).map_err(|rejection| {
        // Its own text is for programmers.
        let why = rejection.source().map_or_else(|| rejection.body_text(), ToString::to_string);
        ApiError::bad_request(format!("bad query: {why}"), hint)
    })
}

/// What the path names; octets that are no text name nothing.
pub(super) fn named<T>(path: Result<Path<T>, PathRejection>) -> Result<T, ApiError> {
    let hint = "paths are described in /v1/openapi.json";
    path.map(|Path(named)| named)
        .map_err(|_| ApiError::bad_request("the path is not UTF-8 when its escapes are resolved", hint))
}

async fn commit(api: Api, transaction: Transaction) -> Result<Outcome, ApiError> {
    blocking(move || Ok(api.store.commit(transaction)?)).await
}

/// Runs what waits for the disk, or computes for long, where it does not hold up others.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        let hint = "this is a defect of the controller: please report it with the log";
        Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error, hint))
    })
}
