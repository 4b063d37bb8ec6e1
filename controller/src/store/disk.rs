//! The store proper: one redb file.
//!
//! Tables: one a kind, id -> JSON of the record; `changes`, revision -> JSON of the change, the last `keep` of them;
//! `meta`, name -> number: `format`, `revision`, `round`, `epoch` and `key:KIND`, the last key given. A transaction is one redb
//! transaction in redb's default durability: checksummed pages, one fsync, then acknowledged.

use super::{
    backend::{Backend, BackendError, History, Loaded, Write},
    memory::next_round,
};
use crate::model::{Change, Kind, Model, Object, ObjectId, Record, Revision};
use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    WriteTransaction,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

/// The layout described above. A change of it is a new number and a way to read the old one.
const FORMAT: u64 = 1;
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const CHANGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("changes");
/// redb's own default is 1 GiB; the model is in memory anyway, so pages need not be.
const CACHE: usize = 8 << 20;

const fn objects(kind: Kind) -> TableDefinition<'static, &'static str, &'static [u8]> {
    TableDefinition::new(kind.plural())
}

/// Keeps the model in a file.
#[derive(Debug)]
pub struct DiskBackend {
    path: PathBuf,
    keep: u64,
    /// `None` after a failure from which redb could not be reopened yet.
    database: RwLock<Option<Database>>,
}

/// A change as the log has it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Logged {
    Put(Record<Object>),
    Delete { kind: Kind, id: String },
}

impl DiskBackend {
    /// Opens the file, or makes it, with a history that reaches back `keep` changes.
    ///
    /// # Errors
    /// [`BackendError`] if the file is in use, unreadable or no store.
    pub fn open(path: &Path, keep: u64) -> Result<Self, BackendError> {
        let backend = Self { path: path.to_owned(), keep, database: RwLock::new(None) };
        let new = !path.exists();
        let directory =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(directory).map_err(|error| backend.cannot_open(error))?;
        let database = backend.database()?;
        if new {
            // The file's name must survive a power loss, too.
            fs::File::open(directory)
                .and_then(|directory| directory.sync_all())
                .map_err(|error| backend.cannot_open(error))?;
        }
        *backend.database.write().unwrap_or_else(PoisonError::into_inner) = Some(database);
        Ok(backend)
    }

    fn database(&self) -> Result<Database, BackendError> {
        Database::builder().set_cache_size(CACHE).create(&self.path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => BackendError::InUse(self.path.clone()),
            error => match self.failure(error) {
                BackendError::Io { path, source } => BackendError::Open { path, source },
                other => other,
            },
        })
    }

    fn cannot_open(&self, error: io::Error) -> BackendError {
        BackendError::Open { path: self.path.clone(), source: error.into() }
    }

    fn failure(&self, error: impl Into<redb::Error>) -> BackendError {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match error.into() {
            redb::Error::Io(e) if matches!(e.kind(), FileTooLarge | QuotaExceeded | StorageFull) => {
                BackendError::Full(self.path.clone())
            }
            error => BackendError::Io { path: self.path.clone(), source: error.into() },
        }
    }

    fn content(&self, what: String) -> BackendError {
        BackendError::Content { path: self.path.clone(), what }
    }

    /// Runs `f` on the open database.
    fn with<T>(&self, f: impl FnOnce(&Database) -> Result<T, BackendError>) -> Result<T, BackendError> {
        match &*self.database.read().unwrap_or_else(PoisonError::into_inner) {
            Some(database) => f(database),
            None => Err(self.failure(redb::Error::PreviousIo)),
        }
    }

    fn parse<'a, T: Deserialize<'a>>(
        &self,
        what: impl FnOnce() -> String,
        json: &'a [u8],
    ) -> Result<T, BackendError> {
        serde_json::from_slice(json)
            .map_err(|error| self.content(format!("{}, which is unreadable: {error}", what())))
    }

    fn json(&self, value: &impl Serialize) -> Result<Vec<u8>, BackendError> {
        serde_json::to_vec(value).map_err(|error| self.content(format!("what cannot be written: {error}")))
    }

    /// Begins the round: from here on every table is there.
    fn begin_round(&self, database: &Database) -> Result<u16, BackendError> {
        let write = database.begin_write().map_err(|e| self.failure(e))?;
        let round = {
            let mut meta = write.open_table(META).map_err(|e| self.failure(e))?;
            let format = meta.get("format").map_err(|e| self.failure(e))?.map(|value| value.value());
            if let Some(other) = format.filter(|format| *format != FORMAT) {
                return Err(self.content(format!("format {other}, this version reads format {FORMAT}")));
            }
            let last = meta.get("round").map_err(|e| self.failure(e))?.map_or(0, |value| value.value());
            let round = next_round(u16::try_from(last).unwrap_or(u16::MAX));
            meta.insert("format", FORMAT).map_err(|e| self.failure(e))?;
            meta.insert("round", u64::from(round)).map_err(|e| self.failure(e))?;
            write.open_table(CHANGES).map_err(|e| self.failure(e))?;
            for kind in Kind::ALL {
                write.open_table(objects(kind)).map_err(|e| self.failure(e))?;
            }
            round
        };
        write.commit().map_err(|e| self.failure(e))?;
        Ok(round)
    }

    fn read_model(&self, read: &ReadTransaction) -> Result<Model, BackendError> {
        let mut model = Model::default();
        for kind in Kind::ALL {
            let table = read.open_table(objects(kind)).map_err(|e| self.failure(e))?;
            for entry in table.iter().map_err(|e| self.failure(e))? {
                let (id, json) = entry.map_err(|e| self.failure(e))?;
                let record: Record<Object> = self.parse(|| format!("{kind} {}", id.value()), json.value())?;
                model.apply(Change::Put(record));
            }
        }
        Ok(model)
    }

    fn write_changes(&self, write: &WriteTransaction, what: &Write<'_>) -> Result<(), BackendError> {
        let mut log = write.open_table(CHANGES).map_err(|e| self.failure(e))?;
        for (revision, change) in (what.after.0 + 1..).zip(what.changes) {
            let mut table = write.open_table(objects(change.id().kind())).map_err(|e| self.failure(e))?;
            let logged = match change {
                Change::Put(record) => {
                    let json = self.json(record)?;
                    table.insert(record.spec.id().as_str(), &*json).map_err(|e| self.failure(e))?;
                    Logged::Put(record.clone())
                }
                Change::Delete(id) => {
                    table.remove(id.as_str()).map_err(|e| self.failure(e))?;
                    Logged::Delete { kind: id.kind(), id: id.as_str().to_owned() }
                }
            };
            log.insert(revision, &*self.json(&logged)?).map_err(|e| self.failure(e))?;
        }
        let revision = what.after.0 + what.changes.len() as u64;
        log.retain_in(..=revision.saturating_sub(self.keep), |_, _| false).map_err(|e| self.failure(e))?;
        let mut meta = write.open_table(META).map_err(|e| self.failure(e))?;
        meta.insert("revision", revision).map_err(|e| self.failure(e))?;
        meta.insert("epoch", what.epoch).map_err(|e| self.failure(e))?;
        for (kind, key) in what.keys {
            meta.insert(&*format!("key:{kind}"), u64::from(*key)).map_err(|e| self.failure(e))?;
        }
        Ok(())
    }

    fn read_number(&self, read: &ReadTransaction, name: &str) -> Result<Option<u64>, BackendError> {
        let meta = read.open_table(META).map_err(|e| self.failure(e))?;
        Ok(meta.get(name).map_err(|e| self.failure(e))?.map(|value| value.value()))
    }
}

impl Backend for DiskBackend {
    fn load(&self) -> Result<Loaded, BackendError> {
        self.with(|database| {
            let round = self.begin_round(database)?;
            let read = database.begin_read().map_err(|e| self.failure(e))?;
            let mut keys = BTreeMap::new();
            for kind in Kind::ALL {
                if let Some(key) = self.read_number(&read, &format!("key:{kind}"))? {
                    let key =
                        u32::try_from(key).map_err(|_| self.content(format!("key {key} for {kind}")))?;
                    keys.insert(kind, key);
                }
            }
            let revision = Revision(self.read_number(&read, "revision")?.unwrap_or_default());
            let epoch = self.read_number(&read, "epoch")?.unwrap_or_default();
            Ok(Loaded { model: self.read_model(&read)?, revision, keys, epoch, round })
        })
    }

    fn commit(&self, what: &Write<'_>) -> Result<(), BackendError> {
        self.with(|database| {
            let write = database.begin_write().map_err(|e| self.failure(e))?;
            self.write_changes(&write, what)?;
            write.commit().map_err(|e| self.failure(e))
        })
    }

    /// redb refuses everything after a failed write until the file is opened anew.
    fn recover(&self) -> Result<Revision, BackendError> {
        let mut slot = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // Closed first: it holds the file's lock.
        *slot = None;
        let database = self.database()?;
        let read = database.begin_read().map_err(|e| self.failure(e))?;
        let revision = Revision(self.read_number(&read, "revision")?.unwrap_or_default());
        *slot = Some(database);
        Ok(revision)
    }

    fn history(&self, since: Revision, limit: usize) -> Result<History, BackendError> {
        self.with(|database| {
            let read = database.begin_read().map_err(|e| self.failure(e))?;
            let revision = self.read_number(&read, "revision")?.unwrap_or_default();
            let log = read.open_table(CHANGES).map_err(|e| self.failure(e))?;
            let first = log.first().map_err(|e| self.failure(e))?.map(|(revision, _)| revision.value());
            let oldest = first.map_or(revision, |first| first.saturating_sub(1));
            if since.0 < oldest {
                return Ok(History::Compacted(Revision(oldest)));
            }
            let mut changes = Vec::new();
            for entry in log.range(since.0.saturating_add(1)..).map_err(|e| self.failure(e))?.take(limit) {
                let (revision, json) = entry.map_err(|e| self.failure(e))?;
                let revision = revision.value();
                let what = || format!("change {revision}");
                let change = match self.parse(what, json.value())? {
                    Logged::Put(record) => Change::Put(record),
                    Logged::Delete { kind, id } => {
                        ObjectId::new(kind, &id).map(Change::Delete).map_err(|error| {
                            self.content(format!("change {revision}, which is unreadable: {error}"))
                        })?
                    }
                };
                changes.push((Revision(revision), change));
            }
            Ok(History::Changes(changes))
        })
    }
}
