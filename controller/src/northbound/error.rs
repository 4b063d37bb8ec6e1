//! Errors as clients see them: `{error, object, hint}` and a status that says whose fault it is.

use super::{ExplainError, types::ErrorBody};
use crate::{
    model::{IdError, Kind, ObjectId},
    store::{BackendError, StoreError},
};
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};

/// At most so many problems are told of one request.
const TOLD: usize = 100;

/// An answer that is an error.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    body: Box<ErrorBody>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, error: impl ToString, hint: impl ToString) -> Self {
        let body = ErrorBody {
            error: error.to_string(),
            object: None,
            hint: hint.to_string(),
            problems: Vec::new(),
        };
        Self { status, body: Box::new(body) }
    }

    pub(super) fn bad_request(error: impl ToString, hint: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, hint)
    }

    pub(super) fn of(mut self, object: &ObjectId) -> Self {
        self.body.object = Some(object.into());
        self
    }

    pub(super) fn no_such(object: &ObjectId) -> Self {
        let list = format!("the list of {} shows what there is", object.kind().plural());
        Self::new(StatusCode::NOT_FOUND, format!("there is no {object}"), list).of(object)
    }

    pub(super) fn no_such_path(path: &str) -> Self {
        let hint = "paths are described in /v1/openapi.json";
        Self::new(StatusCode::NOT_FOUND, format!("there is no \"{path}\""), hint)
    }

    pub(super) fn compacted(error: impl ToString) -> Self {
        let hint = "list the objects again, then watch since the revision of that list";
        Self::new(StatusCode::GONE, error, hint)
    }

    /// Several errors as one: the first, with all of them beside it.
    fn several(status: StatusCode, errors: impl Iterator<Item = Self>) -> Self {
        let mut bodies: Vec<ErrorBody> = errors.take(TOLD).map(|error| *error.body).collect();
        let first = bodies.first().cloned();
        if bodies.len() == 1 {
            bodies.clear();
        }
        let body = first.map(|first| ErrorBody { problems: bodies, ..first });
        body.map_or_else(
            || Self::new(status, "the request was refused", "see the controller's log"),
            |body| Self { status, body: Box::new(body) },
        )
    }

    pub(super) fn body(&self) -> &ErrorBody {
        &self.body
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            StoreError::Invalid(problems) => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                let each = |problem: &crate::model::validate::Problem| {
                    Self::new(status, problem, problem.fault.hint()).of(&problem.object)
                };
                Self::several(status, problems.iter().map(each))
            }
            StoreError::Pending(pending) => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                let each = |pending: &crate::model::validate::Pending| {
                    let hint = format!("add {}, or leave out strict to let the object wait", pending.missing);
                    Self::new(status, pending, hint).of(&pending.object)
                };
                Self::several(status, pending.iter().map(each))
            }
            StoreError::InUse { id, .. } => Self::new(
                StatusCode::CONFLICT,
                text,
                "delete those first or in the same batch, or say dangling=allow to leave them waiting for it",
            )
            .of(&id),
            StoreError::Twice(id) => Self::bad_request(text, "name each object once").of(&id),
            StoreError::OldEpoch { .. } => Self::new(
                StatusCode::PRECONDITION_FAILED,
                text,
                "stop writing; to become the writer again, write with a greater epoch than GET /v1/hello tells",
            ),
            StoreError::NoKey(id) => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, text, "delete objects of this kind").of(&id)
            }
            StoreError::Backend(error) => error.into(),
        }
    }
}

impl From<BackendError> for ApiError {
    fn from(error: BackendError) -> Self {
        let text = super::with_sources(&error);
        match error {
            BackendError::Full(_) => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                text,
                "free some space and try again; nothing was changed, and the switches go on as they are",
            ),
            _ => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                text,
                "see the controller's log; nothing was changed, and the switches go on as they are",
            ),
        }
    }
}

impl From<ExplainError> for ApiError {
    fn from(error: ExplainError) -> Self {
        let (status, hint) = match &error {
            ExplainError::NotServed(_) => {
                (StatusCode::NOT_FOUND, "the status shows which chassis are served here")
            }
            ExplainError::NoPort(_) => {
                (StatusCode::NOT_FOUND, "put the port, with a chassis that is served here")
            }
            ExplainError::BadPacket(_) => {
                (StatusCode::BAD_REQUEST, "describe a packet that the port can send")
            }
            ExplainError::Unreachable { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "the status shows how the chassis is connected")
            }
        };
        Self::new(status, error, hint)
    }
}

impl From<IdError> for ApiError {
    fn from(error: IdError) -> Self {
        Self::bad_request(error, "choose another id")
    }
}

/// A kind from the plural in a path.
pub(super) fn kind_of(plural: &str) -> Result<Kind, ApiError> {
    Kind::ALL.into_iter().find(|kind| kind.plural() == plural).ok_or_else(|| ApiError::no_such_path(plural))
}
