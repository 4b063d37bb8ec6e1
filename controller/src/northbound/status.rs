//! `/v1/status`, `/v1/trace`, `/v1/chassis/{id}/flows`, `/healthz` and `/metrics`.

use super::{
    Api, ChassisStatus, Flows, Link, Trace, TraceRequest,
    error::ApiError,
    objects::{blocking, checked, named},
    types::{ErrorBody, PendingRef, Status},
};
use crate::model::{ChassisId, Kind};
use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::header,
    response::IntoResponse,
};
use std::fmt::Write as _;

/// Pending references told of; all are counted.
const PENDING_TOLD: usize = 100;

/// How the controller and its switches are.
#[utoipa::path(get, path = "/v1/status", tag = "operation", responses((status = 200, body = Status)))]
pub(super) async fn status(State(api): State<Api>) -> Result<Json<Status>, ApiError> {
    blocking(move || Ok(Json(status_of(&api)))).await
}

fn status_of(api: &Api) -> Status {
    let pending = api.store.pending();
    let chassis = api.status.status();
    let (revision, counts) = {
        let shown = api.store.read();
        let count = |kind: Kind| (kind.plural().to_owned(), shown.model.count(kind) as u64);
        (shown.revision, Kind::ALL.into_iter().map(count).collect())
    };
    let mut problems: Vec<String> = chassis.iter().flat_map(problems_of).collect();
    match pending.len() {
        0 => {}
        1 => problems.push("1 reference points to an object that is not there".into()),
        n => problems.push(format!("{n} references point to objects that are not there")),
    }
    Status {
        version: env!("CARGO_PKG_VERSION").into(),
        healthy: problems.is_empty(),
        problems,
        uptime_s: api.started.elapsed().as_secs(),
        round: api.store.round(),
        revision,
        counts,
        pending_count: pending.len() as u64,
        pending: pending.iter().take(PENDING_TOLD).map(PendingRef::from).collect(),
        chassis,
    }
}

fn problems_of(chassis: &ChassisStatus) -> Vec<String> {
    let id = &chassis.id;
    let links = [("ovsdb", &chassis.ovsdb), ("openflow", &chassis.openflow)];
    let down = links.into_iter().filter_map(|(name, link)| match link {
        Link::Connected => None,
        Link::Disconnected { why } => Some(format!("chassis {id}: {name} not connected: {why}")),
    });
    let errors = chassis.errors.iter().map(|error| format!("chassis {id}: {error}"));
    let ports = chassis.ports_not_wired.iter().map(|p| format!("chassis {id}: port {}: {}", p.port, p.why));
    down.chain(errors).chain(ports).collect()
}

/// What becomes of a packet that a VM sends, step by step, and why.
#[utoipa::path(
    get, path = "/v1/trace", tag = "operation", params(TraceRequest),
    responses(
        (status = 200, body = Trace),
        (status = 400, description = "The port cannot send such a packet", body = ErrorBody),
        (status = 404, description = "The port is not bound to a chassis that is served here", body = ErrorBody),
        (status = 503, description = "The chassis did not answer", body = ErrorBody),
    )
)]
pub(super) async fn trace(
    State(api): State<Api>,
    query: Result<Query<TraceRequest>, QueryRejection>,
) -> Result<Json<Trace>, ApiError> {
    Ok(Json(api.explain.trace(checked(query)?).await?))
}

/// The flows and groups of a chassis.
#[utoipa::path(
    get, path = "/v1/chassis/{id}/flows", tag = "operation", params(("id" = String, Path, description = "The chassis")),
    responses(
        (status = 200, body = Flows),
        (status = 404, description = "The chassis is not served here", body = ErrorBody),
        (status = 503, description = "The chassis did not answer", body = ErrorBody),
    )
)]
pub(super) async fn flows(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Flows>, ApiError> {
    let id: ChassisId = named(path)?.parse()?;
    Ok(Json(api.explain.flows(id).await?))
}

/// Whether the controller answers at all; whether its switches do is in `/v1/status`.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200, body = String)))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Numbers for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operation", responses((status = 200, body = String)))]
pub(super) async fn metrics(State(api): State<Api>) -> Result<impl IntoResponse, ApiError> {
    let status = blocking(move || Ok(status_of(&api))).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics_of(&status)))
}

/// Samples of one metric: labels, as in `kind="port"` or empty, and value.
type Samples = Vec<(String, f64)>;

#[expect(clippy::cast_precision_loss, reason = "Prometheus has floating-point numbers only")]
fn metrics_of(status: &Status) -> String {
    let one = |value: f64| vec![(String::new(), value)];
    let each = |value: fn(&ChassisStatus) -> f64| {
        let sample = |chassis: &ChassisStatus| (format!("chassis=\"{}\"", chassis.id), value(chassis));
        status.chassis.iter().map(sample).collect::<Samples>()
    };
    let up = |link: &Link| f64::from(u8::from(*link == Link::Connected));
    let counts = status.counts.iter().map(|(kind, n)| (format!("kind=\"{kind}\""), *n as f64)).collect();
    let links = status.chassis.iter().flat_map(|c| {
        let label = |link| format!("chassis=\"{}\",link=\"{link}\"", c.id);
        [(label("ovsdb"), up(&c.ovsdb)), (label("openflow"), up(&c.openflow))]
    });
    let metrics: [(&str, &str, &str, Samples); 13] = [
        ("healthy", "gauge", "1 if nothing is wrong.", one(f64::from(u8::from(status.healthy)))),
        ("uptime_seconds", "gauge", "Time since the controller started.", one(status.uptime_s as f64)),
        ("revision", "counter", "Revision of the model.", one(status.revision.0 as f64)),
        ("objects", "gauge", "Objects in the model.", counts),
        ("pending_references", "gauge", "References that point nowhere.", one(status.pending_count as f64)),
        ("link_up", "gauge", "1 if the connection stands.", links.collect()),
        (
            "chassis_revision",
            "gauge",
            "Revision of the model that the chassis holds in full.",
            each(|c| c.revision.0 as f64),
        ),
        ("flows", "gauge", "Flows of a chassis.", each(|c| c.flows as f64)),
        ("groups", "gauge", "Groups of a chassis.", each(|c| c.groups as f64)),
        ("ports_wired", "gauge", "Bound ports whose interface is there.", each(|c| c.ports_wired as f64)),
        (
            "ports_not_wired",
            "gauge",
            "Bound ports whose interface is not there.",
            each(|c| c.ports_not_wired.len() as f64),
        ),
        ("errors", "gauge", "What else is wrong.", each(|c| c.errors.len() as f64)),
        (
            "last_reconcile_seconds",
            "gauge",
            "Duration of the last reconciliation.",
            each(|c| c.last_reconcile.as_ref().map_or(0.0, |r| r.duration_us as f64 / 1e6)),
        ),
    ];
    let mut text = String::new();
    for (name, kind, help, samples) in metrics {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP dragonflow_{name} {help}\n# TYPE dragonflow_{name} {kind}");
        for (labels, value) in samples {
            let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
            let _ = writeln!(text, "dragonflow_{name}{labels} {value}");
        }
    }
    text
}
