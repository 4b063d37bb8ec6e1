//! One transaction: what is asked, what it comes to, and the steps from one to the other.

use super::backend::BackendError;
use crate::model::{
    Kind, Model, Object, ObjectId, Revision,
    validate::{Index, Pending, Problem, View, check},
};
use std::collections::BTreeMap;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// The object shall be so.
    Put(Object),
    /// The object shall not be.
    Delete(ObjectId),
}

impl Op {
    /// The object meant.
    pub fn id(&self) -> ObjectId {
        match self {
            Self::Put(object) => object.id(),
            Self::Delete(id) => id.clone(),
        }
    }
}

/// What to do with objects that refer to one that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dangling {
    /// An object may come before those it refers to, but not go before those that refer to it.
    #[default]
    Arriving,
    /// It may go, too: what refers to it is pending again.
    Allow,
    /// No object of the transaction may refer to one that is not there after it.
    Refuse,
}

/// What shall be done, all of it or nothing.
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    /// In any order, each object at most once.
    pub ops: Vec<Op>,
    /// Also delete every object that `ops` does not put.
    pub prune: bool,
    /// Whose it is: refused if a writer with a greater epoch was here. Without one anybody's.
    pub epoch: Option<u64>,
    /// What to do about references to nothing.
    pub dangling: Dangling,
    /// Only say what would happen.
    pub dry_run: bool,
}

impl Transaction {
    /// Puts these.
    pub fn put(objects: impl IntoIterator<Item = Object>) -> Self {
        Self { ops: objects.into_iter().map(Op::Put).collect(), ..Self::default() }
    }

    /// Deletes these.
    pub fn delete(ids: impl IntoIterator<Item = ObjectId>) -> Self {
        Self { ops: ids.into_iter().map(Op::Delete).collect(), ..Self::default() }
    }
}

/// What became of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// It was not there before.
    Created(Object),
    /// It was otherwise.
    Changed {
        /// How it was.
        before: Object,
        /// How it is.
        after: Object,
    },
    /// It was so already; it keeps its revision.
    Unchanged,
    /// It is gone.
    Deleted(Object),
    /// It was not there to be deleted.
    Absent,
}

/// What a transaction came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The model's revision after it; the same as before if nothing changed or it was only a dry run.
    pub revision: Revision,
    /// What became of each object, in order of id.
    pub effects: BTreeMap<ObjectId, Effect>,
    /// References of these objects that point nowhere (yet).
    pub pending: Vec<Pending>,
}

/// Why a transaction was not done. The model is as it was.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Objects would break rules; never empty.
    #[error("{}", list(.0))]
    Invalid(Vec<Problem>),
    /// Objects would wait for others, and [`Dangling::Refuse`] was said; never empty.
    #[error("{}", list(.0))]
    Pending(Vec<Pending>),
    /// An object is named more than once.
    #[error("{0} is named more than once in one request")]
    Twice(ObjectId),
    /// Others refer to an object to be deleted.
    #[error("{id} is in use by {}", list(.referrers))]
    InUse {
        /// What was to go.
        id: ObjectId,
        /// Who refers to it.
        referrers: Vec<ObjectId>,
    },
    /// The writer was replaced by a later one.
    #[error("epoch {given} is over: a writer of epoch {current} was here")]
    OldEpoch {
        /// The transaction's.
        given: u64,
        /// The greatest so far.
        current: u64,
    },
    /// All 2^24 - 1 keys of a kind are taken.
    #[error("no key is left for {0}: 16777215 of its kind exist")]
    NoKey(ObjectId),
    /// The store could not be written.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// "a, b, c and 7 more".
pub(super) fn list<T: std::fmt::Display>(items: &[T]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = items.iter().take(SHOWN).map(ToString::to_string).collect();
    match items.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What a transaction does to `model`, not yet numbered.
pub(super) fn plan(
    model: &Model,
    transaction: Transaction,
) -> Result<BTreeMap<ObjectId, Effect>, StoreError> {
    let mut wanted: BTreeMap<ObjectId, Option<Object>> = BTreeMap::new();
    let mut put = |id: ObjectId, object| match wanted.insert(id.clone(), object) {
        Some(_) => Err(StoreError::Twice(id)),
        None => Ok(()),
    };
    for op in transaction.ops {
        match op {
            Op::Put(object) => put(object.id(), Some(object))?,
            Op::Delete(id) => put(id, None)?,
        }
    }
    if transaction.prune {
        for id in Kind::ALL.into_iter().flat_map(|kind| model.ids(kind)) {
            wanted.entry(id).or_insert(None);
        }
    }
    let effect = |(id, after): (ObjectId, Option<Object>)| {
        let before = model.get(&id).map(|record| record.spec);
        let effect = match (before, after) {
            (None, None) => Effect::Absent,
            (None, Some(after)) => Effect::Created(after),
            (Some(before), None) => Effect::Deleted(before),
            (Some(before), Some(after)) if before == after => Effect::Unchanged,
            (Some(before), Some(after)) => Effect::Changed { before, after },
        };
        (id, effect)
    };
    Ok(wanted.into_iter().map(effect).collect())
}

/// Whether the model may be so; `index` is that of the model with the effects. If so, what waits for others.
pub(super) fn judge(
    model: &Model,
    index: &Index,
    effects: &BTreeMap<ObjectId, Effect>,
    dangling: Dangling,
) -> Result<Vec<Pending>, StoreError> {
    let changed = effects.iter().filter(|(_, effect)| effect.is_change());
    let view = View::new(model, changed.map(|(id, effect)| (id.clone(), effect.objects().1)).collect());
    let problems = check(&view, index);
    if !problems.is_empty() {
        return Err(StoreError::Invalid(problems));
    }
    for id in view.deleted().filter(|_| dangling != Dangling::Allow) {
        let referrers: Vec<ObjectId> = index.referrers(id).cloned().collect();
        if !referrers.is_empty() {
            return Err(StoreError::InUse { id: id.clone(), referrers });
        }
    }
    let pending: Vec<Pending> = effects.keys().flat_map(|id| view.pending(id)).collect();
    if dangling == Dangling::Refuse && !pending.is_empty() {
        return Err(StoreError::Pending(pending));
    }
    Ok(pending)
}

impl Effect {
    /// The object before and after; both `None` if nothing changed.
    pub const fn objects(&self) -> (Option<&Object>, Option<&Object>) {
        match self {
            Self::Created(after) => (None, Some(after)),
            Self::Changed { before, after } => (Some(before), Some(after)),
            Self::Deleted(before) => (Some(before), None),
            Self::Unchanged | Self::Absent => (None, None),
        }
    }

    /// True if the model is otherwise after it.
    pub const fn is_change(&self) -> bool {
        !matches!(self, Self::Unchanged | Self::Absent)
    }
}
