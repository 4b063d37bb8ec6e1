//! `GET /v1/watch`: every change as a line of JSON, from any revision still known.

use super::{
    Api,
    error::ApiError,
    objects::{blocking, checked, spec},
    types::WatchLine,
};
use crate::{
    model::{Change, Revision},
    store::History,
};
use axum::{
    body::{Body, Bytes},
    extract::{Query, State, rejection::QueryRejection},
    http::header,
    response::{IntoResponse, Response},
};
use futures::stream;
use serde::Deserialize;
use std::{convert::Infallible, time::Duration};
use tokio::sync::watch::Receiver;
use utoipa::IntoParams;

/// Changes read from the store at once.
const CHUNK: usize = 1000;

/// From where to watch.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct WatchQuery {
    /// Tell everything after this revision; without it, everything from now on.
    #[param(value_type = Option<u64>)]
    since: Option<Revision>,
    /// Seconds of silence after which a heartbeat is sent, 1 to 3600; 10 without it.
    #[param(minimum = 1, maximum = 3600)]
    heartbeat: Option<u64>,
}

/// Follows the model: one JSON object a line (`WatchLine`), beginning with a heartbeat, without end.
///
/// A reader that was cut off goes on with `since` the last revision it saw.
#[utoipa::path(
    get, path = "/v1/watch", tag = "watch", params(WatchQuery),
    responses(
        (status = 200, description = "Lines of JSON", body = WatchLine, content_type = "application/x-ndjson"),
        (status = 410, description = "Changes after `since` are forgotten: list again, watch from there", body = super::types::ErrorBody),
    )
)]
pub(super) async fn watch(
    State(api): State<Api>,
    query: Result<Query<WatchQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let query = checked(query)?;
    let heartbeat = query.heartbeat.unwrap_or(10);
    if !(1..=3600).contains(&heartbeat) {
        let error = format!("heartbeat {heartbeat} is out of range: want 1 to 3600");
        return Err(ApiError::bad_request(error, "leave it out for 10 seconds"));
    }
    let revisions = api.store.revisions();
    let now = *revisions.borrow();
    let told = query.since.unwrap_or(now);
    if told > now {
        let error =
            format!("revision {} is not there yet: the store is at {}, maybe another one", told.0, now.0);
        return Err(ApiError::compacted(error));
    }
    let watcher = Watcher { api, revisions, told, heartbeat: Duration::from_secs(heartbeat), over: false };
    // Whether what comes next is still known must be said before the stream begins.
    watcher.changes().await?;
    let first = line(&WatchLine::Heartbeat { revision: told });
    let rest = stream::unfold(watcher, async |mut watcher| Some((watcher.next().await?, watcher)));
    let first = stream::once(async move { first });
    let chunks = futures::StreamExt::map(futures::StreamExt::chain(first, rest), Ok::<_, Infallible>);
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(chunks)).into_response())
}

/// One reader's place.
struct Watcher {
    api: Api,
    revisions: Receiver<Revision>,
    /// Everything up to here was sent.
    told: Revision,
    heartbeat: Duration,
    over: bool,
}

impl Watcher {
    /// The next lines; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        while !self.over {
            // Marked as seen first: a commit between here and the look at the store wakes us again.
            if *self.revisions.borrow_and_update() > self.told {
                return Some(self.lines().await);
            }
            tokio::select! {
                changed = self.revisions.changed() => self.over = changed.is_err(),
                stop = self.api.stop.wait_for(|stop| *stop) => {
                    drop(stop);
                    self.over = true;
                }
                () = tokio::time::sleep(self.heartbeat) => {
                    return Some(line(&WatchLine::Heartbeat { revision: self.told }));
                }
            }
        }
        None
    }

    async fn lines(&mut self) -> Bytes {
        match self.changes().await {
            Ok(changes) => {
                let mut lines = Vec::new();
                for (revision, change) in changes {
                    self.told = revision;
                    lines.extend_from_slice(&line(&told(revision, &change)));
                }
                lines.into()
            }
            Err(error) => {
                self.over = true;
                let body = error.body();
                line(&WatchLine::Gone { error: body.error.clone(), hint: body.hint.clone() })
            }
        }
    }

    async fn changes(&self) -> Result<Vec<(Revision, Change)>, ApiError> {
        let (api, told) = (self.api.clone(), self.told);
        match blocking(move || Ok(api.store.history(told, CHUNK)?)).await? {
            History::Changes(changes) => Ok(changes),
            History::Compacted(oldest) => Err(ApiError::compacted(format!(
                "changes after revision {} are forgotten: the history begins after {}",
                told.0, oldest.0
            ))),
        }
    }
}

fn told(revision: Revision, change: &Change) -> WatchLine {
    let id = change.id();
    let (kind, name) = (id.kind(), id.as_str().to_owned());
    match change {
        Change::Put(record) => {
            WatchLine::Put { revision, kind, id: name, key: record.key, spec: spec(&record.spec) }
        }
        Change::Delete(_) => WatchLine::Delete { revision, kind, id: name },
    }
}

fn line(line: &WatchLine) -> Bytes {
    // Text keys and whole numbers only: serde_json takes them all.
    let mut json = serde_json::to_vec(line).unwrap_or_default();
    json.push(b'\n');
    json.into()
}
