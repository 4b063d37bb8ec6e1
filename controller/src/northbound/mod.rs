//! What operators and orchestrators talk to: a REST API on a unix socket and, if wanted, TCP.
//!
//! Every error is JSON, `{error, object, hint}`. The unix socket's permissions guard it; over TCP it asks for a token
//! if it has some. Without tokens TCP is for loopback, and requests that a browser makes for a foreign page are refused.

mod auth;
#[expect(unused_qualifications, reason = "utoipa writes them")]
mod batch;
mod diff;
mod error;
mod guard;
mod listen;
#[expect(unused_qualifications, reason = "utoipa writes them")]
mod objects;
mod openapi;
mod sources;
#[expect(unused_qualifications, reason = "utoipa writes them")]
mod states;
mod status;
#[cfg(test)]
mod tests;
mod tls;
mod types;
#[expect(unused_qualifications, reason = "utoipa writes them")]
mod watch;

pub use auth::{TokenError, Tokens};
pub use listen::{ListenError, Listeners};
pub use openapi::document;
pub use sources::{
    ChassisStatus, ExplainError, ExplainSource, Flows, Link, NotWired, Reconciled, ServesNone, StatusSource,
    Trace, TraceProtocol, TraceRequest, Wired,
};
pub use tls::ServerTls;
pub use types::{
    BatchAnswer, BatchObject, BatchRequest, ChassisState, DeleteRequest, Difference, Digest, ErrorBody, Fate,
    FieldChange, Hello, Listed, ObjectChange, ObjectRef, PendingRef, PortState, Refused, RouterState, States,
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
use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::{BuildHasher, Hasher},
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};
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
    /// Another one after every start.
    instance: Arc<str>,
    known: Arc<states::Known>,
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
        let (instance, known) = (random_id().into(), states::Known::new());
        Self { store, status, explain, started: Instant::now(), instance, known, stop }
    }

    fn instance(&self) -> String {
        self.instance.as_ref().to_owned()
    }

    /// `tokens`: who asks must show one of them.
    fn router(self, tokens: Option<Arc<Tokens>>) -> Router {
        let batches = Router::new()
            .route("/v1/apply", post(objects::apply))
            .route("/v1/delete", post(objects::delete_batch))
            .route("/v1/batch", post(batch::batch))
            .layer(DefaultBodyLimit::max(BATCH_LIMIT));
        let router = Router::new()
            .route("/v1/{kind}", get(objects::list))
            .route("/v1/{kind}/{id}", get(objects::get).put(objects::put).delete(objects::delete))
            .route("/v1/watch", get(watch::watch))
            .route("/v1/hello", get(batch::hello))
            .route("/v1/digest", get(batch::digest))
            .route("/v1/states", get(states::states))
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
            .with_state(self);
        match tokens {
            // A browser has no token, whatever page it shows.
            Some(tokens) => router.layer(middleware::from_fn_with_state(tokens, auth::ask_for_token)),
            None => router.layer(middleware::from_fn(guard::refuse_browsers)),
        }
    }
}

/// 64 random bits, as the standard library has them for its maps, and the time.
fn random_id() -> String {
    let random = RandomState::new().build_hasher().finish();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{random:016x}", now.as_millis())
}

/// An error and what caused it, on one line.
pub fn with_sources(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
