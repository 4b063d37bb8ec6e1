//! What requests and answers look like, for the server, the command line and the OpenAPI document alike.

use super::ChassisStatus;
use crate::model::{
    ChassisId, Kind, ObjectId, ObjectKey, PhysicalNetwork, PortId, Record, Revision, RouterId, SubnetId,
    validate::Pending,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The name of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: Kind,
    /// Its id within the kind.
    pub id: String,
}

impl From<&ObjectId> for ObjectRef {
    fn from(id: &ObjectId) -> Self {
        Self { kind: id.kind(), id: id.as_str().to_owned() }
    }
}

impl std::fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.id)
    }
}

/// Objects of a kind, in order of id.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Listed<T> {
    /// The model's revision; `GET /v1/watch?since=` it to hear of everything later.
    pub revision: Revision,
    /// The objects.
    pub items: Vec<Record<T>>,
    /// If `limit` cut the list short: ask again with `after` this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It was not there before.
    Created,
    /// It was otherwise.
    Changed,
    /// It was so already.
    Unchanged,
    /// It is gone.
    Deleted,
}

/// The answer to a `PUT` or `DELETE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Written {
    /// The model's revision after it.
    pub revision: Revision,
    /// What became of the object.
    pub result: Fate,
    /// What the object refers to but is not there yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<PendingRef>,
}

/// A field that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldChange {
    /// Which, as in `segment.id`.
    pub field: String,
    /// What it was; null if it was not there.
    #[schema(value_type = Object)]
    pub before: serde_json::Value,
    /// What it is; null if it is not there.
    #[schema(value_type = Object)]
    pub after: serde_json::Value,
}

/// An object that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObjectChange {
    /// Which.
    #[serde(flatten)]
    pub object: ObjectRef,
    /// How.
    pub fields: Vec<FieldChange>,
}

/// The difference that an apply or a delete made, or would make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// The model's revision after it.
    pub revision: Revision,
    /// True if nothing was done.
    pub dry_run: bool,
    /// Objects that were not there before.
    pub created: Vec<ObjectRef>,
    /// Objects that were otherwise.
    pub changed: Vec<ObjectChange>,
    /// Objects that are gone.
    pub deleted: Vec<ObjectRef>,
    /// How many were so already.
    pub unchanged: u64,
    /// Objects that were to be deleted but are not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<ObjectRef>,
    /// References of these objects that point nowhere yet.
    pub pending: Vec<PendingRef>,
}

/// Objects to delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteRequest {
    /// Their names; one that is not there is no error.
    pub objects: Vec<ObjectRef>,
}

/// Who a controller is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hello {
    /// Of the controller.
    pub version: String,
    /// Another one after every start of the controller.
    pub instance: String,
    /// The greatest epoch that a writer had; 0 if none had one.
    pub epoch: u64,
    /// The model's revision.
    pub revision: Revision,
}

/// Objects that shall be so, and others that shall not be.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    /// The writer's epoch: refused if a writer with a greater one was here.
    pub epoch: u64,
    /// In any order, each object at most once.
    #[serde(default)]
    pub put: Vec<BatchObject>,
    /// One that is not there is no error.
    #[serde(default)]
    pub delete: Vec<ObjectRef>,
}

/// An object of a batch.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchObject {
    /// Its kind.
    pub kind: Kind,
    /// The object with its id, as the schema of its kind says.
    #[schema(value_type = Object)]
    pub spec: serde_json::Value,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchAnswer {
    /// As of [`Hello`].
    pub instance: String,
    /// The writer's.
    pub epoch: u64,
    /// The model's revision after it.
    pub revision: Revision,
    /// How many were not there before.
    pub created: u64,
    /// How many were otherwise.
    pub changed: u64,
    /// How many are gone.
    pub deleted: u64,
    /// How many were so already.
    pub unchanged: u64,
    /// What was not done.
    pub refused: Vec<Refused>,
}

/// An object of a batch that is as it was before, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refused {
    /// Which.
    #[serde(flatten)]
    pub object: ObjectRef,
    /// Why, naming object and value.
    pub error: String,
}

/// A hash of every object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Digest {
    /// As of [`Hello`].
    pub instance: String,
    /// As of [`Hello`].
    pub epoch: u64,
    /// The model's revision.
    pub revision: Revision,
    /// Plural of the kind -> id -> the first 16 octets of the SHA-256 of its JSON, 32 hexadecimal digits.
    pub kinds: BTreeMap<String, BTreeMap<String, String>>,
}

/// What is really there, as of a cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct States {
    /// As of [`Hello`]; cursors of another one mean nothing.
    pub instance: String,
    /// To be given with the next question.
    pub cursor: u64,
    /// True if this is everything, false if it is what changed since the cursor that was given.
    pub full: bool,
    /// Chassis.
    pub chassis: Vec<ChassisState>,
    /// Bound ports of which something is known.
    pub ports: Vec<PortState>,
    /// Routers.
    pub routers: Vec<RouterState>,
}

/// Whether a chassis can carry ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChassisState {
    /// Which.
    pub id: ChassisId,
    /// Its switch and its database are connected, and it is in the model.
    pub alive: bool,
    /// Whether it has an address for tunnels.
    pub tunnels: bool,
    /// The physical networks that it reaches -> by which bridge.
    #[schema(value_type = BTreeMap<String, String>)]
    pub bridge_mappings: BTreeMap<PhysicalNetwork, String>,
}

/// Whether a port is wired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortState {
    /// Which.
    pub id: PortId,
    /// Where it is bound.
    pub chassis: ChassisId,
    /// Its interface is there, and the switch has everything for it.
    pub up: bool,
}

/// How far a router is programmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RouterState {
    /// Which.
    pub id: RouterId,
    /// The subnets of its interfaces that every connected switch knows of.
    pub subnets: Vec<SubnetId>,
}

/// A line of `GET /v1/watch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum WatchLine {
    /// An object came or changed.
    Put {
        /// Of this change: to go on after it, ask with `since` this.
        revision: Revision,
        /// Its kind.
        kind: Kind,
        /// Its id.
        id: String,
        /// Its key.
        key: ObjectKey,
        /// How it is.
        #[schema(value_type = Object)]
        spec: serde_json::Value,
    },
    /// An object went.
    Delete {
        /// Of this change.
        revision: Revision,
        /// Its kind.
        kind: Kind,
        /// Its id.
        id: String,
    },
    /// Nothing happened for a while; the connection stands.
    Heartbeat {
        /// Everything up to this was told.
        revision: Revision,
    },
    /// The stream ends: the reader was so slow that what comes next is forgotten.
    Gone {
        /// Why.
        error: String,
        /// What to do.
        hint: String,
    },
}

/// A reference that points nowhere (yet).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PendingRef {
    /// Who waits.
    pub object: ObjectRef,
    /// By which field.
    pub field: String,
    /// For whom.
    pub missing: ObjectRef,
}

impl From<&Pending> for PendingRef {
    fn from(pending: &Pending) -> Self {
        Self {
            object: (&pending.object).into(),
            field: pending.field.to_owned(),
            missing: (&pending.missing).into(),
        }
    }
}

impl std::fmt::Display for PendingRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} waits for {} ({})", self.object, self.missing, self.field)
    }
}

/// How the controller and its switches are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Of the controller.
    pub version: String,
    /// True if `problems` is empty.
    pub healthy: bool,
    /// What is wrong, one sentence each.
    pub problems: Vec<String>,
    /// Seconds since the controller started.
    pub uptime_s: u64,
    /// How many times the store was opened (16 bits); flows carry it in their cookies.
    pub round: u16,
    /// The model's revision.
    pub revision: Revision,
    /// How many objects there are, by plural of their kind.
    pub counts: BTreeMap<String, u64>,
    /// How many references point nowhere.
    pub pending_count: u64,
    /// The first hundred of them.
    pub pending: Vec<PendingRef>,
    /// Every chassis this controller serves.
    pub chassis: Vec<ChassisStatus>,
}

/// The body of every answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What is wrong, naming object and value.
    pub error: String,
    /// The object at fault, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectRef>,
    /// What to do about it.
    pub hint: String,
    /// If more than one thing is wrong: all of them, the first included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub problems: Vec<ErrorBody>,
}
