//! What operators and orchestrators talk to: a REST API on a unix socket and, if wanted, TCP.
//!
//! Every error is JSON, `{error, object, hint}`. There is no authentication: the unix socket's permissions guard it,
//! TCP is for loopback, and requests that a browser makes for a foreign page are refused.

mod diff;
mod error;
mod guard;
mod listen;
#[expect(unused_qualifications, reason = "utoipa writes them")]
mod objects;
mod openapi;
mod sources;
mod status;
#[cfg(test)]
mod tests;
mod types;
#[expect(unused_qualifications, reason = "utoipa writes them")]
mod watch;

pub use listen::{ListenError, Listeners};
pub use openapi::document;
pub use sources::{
    ChassisStatus, ExplainError, ExplainSource, Flows, Link, NotWired, Reconciled, ServesNone, StatusSource,
    Trace, TraceProtocol, TraceRequest,
};
pub use types::{
    DeleteRequest, Difference, ErrorBody, Fate, FieldChange, Listed, ObjectChange, ObjectRef, PendingRef,
    Status, WatchLine, Written,
};

use crate::store::Store;
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{StatusCode, Uri},
    middleware,
    routing::{get, post},
};
use error::ApiError;
use std::{fmt, sync::Arc, time::Instant};
use tokio::sync::watch as sync_watch;

/// Most octets of one object's body.
const OBJECT_LIMIT: usize = 1 << 20;
/// Most octets of a whole topology; 100,000 ports take about 25 MB.
const BATCH_LIMIT: usize = 128 << 20;

/// What the API answers from. Clones are handles to the same.
#[derive(Clone)]
pub struct Api {
    store: Store,
    status: Arc<dyn StatusSource>,
    explain: Arc<dyn ExplainSource>,
    started: Instant,
    /// Turns true, or is dropped, when the server shall end: streams end with it.
    stop: sync_watch::Receiver<bool>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Api {
    /// `stop` ends [`Listeners::serve`] and all streams by turning true or being dropped.
    pub fn new(
        store: Store,
        status: Arc<dyn StatusSource>,
        explain: Arc<dyn ExplainSource>,
        stop: sync_watch::Receiver<bool>,
    ) -> Self {
        Self { store, status, explain, started: Instant::now(), stop }
    }

    fn router(self) -> Router {
        let batches = Router::new()
            .route("/v1/apply", post(objects::apply))
            .route("/v1/delete", post(objects::delete_batch))
            .layer(DefaultBodyLimit::max(BATCH_LIMIT));
        Router::new()
            .route("/v1/{kind}", get(objects::list))
            .route("/v1/{kind}/{id}", get(objects::get).put(objects::put).delete(objects::delete))
            .route("/v1/watch", get(watch::watch))
            .route("/v1/status", get(status::status))
            .route("/v1/trace", get(status::trace))
            .route("/v1/chassis/{id}/flows", get(status::flows))
            .route("/v1/openapi.json", get(openapi::serve))
            .route("/healthz", get(status::healthz))
            .route("/metrics", get(status::metrics))
            .layer(DefaultBodyLimit::max(OBJECT_LIMIT))
            .merge(batches)
            .fallback(async |uri: Uri| ApiError::no_such_path(uri.path()))
            .method_not_allowed_fallback(async || {
                let hint = "methods are described in /v1/openapi.json";
                ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "the path has no such method", hint)
            })
            .layer(middleware::from_fn(guard::refuse_browsers))
            .with_state(self)
    }
}

/// An error and what caused it, on one line.
pub fn with_sources(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
