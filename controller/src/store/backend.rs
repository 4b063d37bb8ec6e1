//! What a store is kept in.

use crate::model::{Change, Kind, Model, Revision};
use std::{collections::BTreeMap, fmt, path::PathBuf};

/// Keeps the model over restarts. Every implementation is run by the same tests.
///
/// Calls of [`Backend::commit`] and [`Backend::recover`] never overlap; [`Backend::history`] may run beside them.
/// All of them block.
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// Everything acknowledged so far, and a new round. Called once, at start.
    ///
    /// # Errors
    /// [`BackendError`] if it cannot be read or the new round not be written.
    fn load(&self) -> Result<Loaded, BackendError>;

    /// Writes a transaction, all of it or nothing; on return it survives kill -9 and power loss.
    ///
    /// # Errors
    /// [`BackendError`]: the transaction is lost, or (if the failure came late) not: [`Backend::recover`] tells.
    fn commit(&self, write: &Write<'_>) -> Result<(), BackendError>;

    /// After a failed commit: makes the backend usable again and says up to which revision it holds changes.
    ///
    /// # Errors
    /// [`BackendError`] if it still cannot be used; to be tried again later.
    fn recover(&self) -> Result<Revision, BackendError>;

    /// The changes after `since`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`BackendError`] if they cannot be read.
    fn history(&self, since: Revision, limit: usize) -> Result<History, BackendError>;
}

/// What a backend holds.
#[derive(Debug, Default)]
pub struct Loaded {
    /// All objects.
    pub model: Model,
    /// The last change.
    pub revision: Revision,
    /// The last key given in each kind; absent if none was.
    pub keys: BTreeMap<Kind, u32>,
    /// The greatest epoch of a writer; 0 if none had one.
    pub epoch: u64,
    /// How many times the store was opened, 1 to 65535, then 1 again. Flows of an earlier round are told apart by it.
    pub round: u16,
}

/// A transaction to write.
#[derive(Debug)]
pub struct Write<'a> {
    /// The revision before it; change `i` has revision `after + 1 + i`.
    pub after: Revision,
    /// The changes, in order; a put carries its own revision.
    pub changes: &'a [Change],
    /// The last key given in each kind, after it.
    pub keys: &'a BTreeMap<Kind, u32>,
    /// The greatest epoch of a writer, after it.
    pub epoch: u64,
}

/// An answer to "what changed since?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum History {
    /// This, each with its revision.
    Changes(Vec<(Revision, Change)>),
    /// Nobody knows any more: the log begins after this revision.
    Compacted(Revision),
}

/// Why a backend failed. Whatever happened, nothing was acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The file is open elsewhere.
    #[error("store {0} is in use by another process")]
    InUse(PathBuf),
    /// The file, or its directory, cannot be created or read.
    #[error("cannot open store {path}")]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The disk is full, or a quota or limit on file size reached.
    #[error("no space left for store {0}")]
    Full(PathBuf),
    /// Another failure to read or write.
    #[error("cannot read or write store {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file holds what this version does not understand.
    #[error("store {path} holds {what}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What, naming the entry.
        what: String,
    },
}
