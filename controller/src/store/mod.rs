//! Where the model lives between restarts, and from where its changes go out.
//!
//! A [`Transaction`] is checked against the model as it would be after it, written with one fsync, and only then
//! shown: to readers ([`Store::read`]) and to the watch history ([`Store::history`]). What a [`Backend`] acknowledged
//! survives kill -9 and power loss; what it refused (a full disk, say) leaves the running state as it was.
//!
//! Subscribers inside the process ([`Store::subscribe`]) hear of a transaction while it is being written, so that
//! switches learn of it during the fsync and not after it. If it cannot be written they get the model as it is; and if
//! the process dies before it is written, the next start compares every switch with what was kept.
//!
//! ```text
//! let (snapshot, mut changes) = store.subscribe();
//! start_from(snapshot);
//! while let Some(event) = changes.next().await {
//!     match event {
//!         Event::Batch(batch) => follow(&batch.changes),
//!         Event::Resync(snapshot) => start_from(snapshot),
//!     }
//! }
//! ```

mod backend;
mod disk;
mod keys;
mod memory;
mod subscribe;
#[cfg(test)]
mod tests;
mod transaction;

pub use backend::{Backend, BackendError, History, Loaded, Write};
pub use disk::DiskBackend;
pub use memory::MemoryBackend;
pub use subscribe::{Batch, Event, Snapshot, Subscription};
pub use transaction::{Dangling, Effect, Op, Outcome, StoreError, Transaction};

use crate::model::{
    Change, ObjectId, Record, Revision,
    validate::{Index, Pending},
};
use keys::Keys;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
};
use subscribe::News;
use tokio::sync::{broadcast, watch};

/// Transactions a subscriber may lag behind before it gets a new snapshot instead.
const LAG: usize = 4096;

/// The model, kept. Clones are handles to the same store.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    backend: Box<dyn Backend>,
    round: u16,
    /// Held for a whole transaction; everything below is only changed under it.
    writer: Mutex<Writer>,
    shown: RwLock<Snapshot>,
    news: broadcast::Sender<News>,
    revision: watch::Sender<Revision>,
}

#[derive(Debug)]
struct Writer {
    keys: Keys,
    index: Index,
    /// The greatest epoch so far: who writes with a smaller one has been replaced.
    epoch: u64,
    /// A commit failed and the backend has not recovered since.
    broken: bool,
}

impl Store {
    /// Starts from what the backend holds. Blocks.
    ///
    /// # Errors
    /// [`BackendError`] if it cannot be read.
    pub fn open(backend: impl Backend) -> Result<Self, BackendError> {
        let Loaded { model, revision, keys, epoch, round } = backend.load()?;
        Ok(Self(Arc::new(Inner {
            backend: Box::new(backend),
            round,
            writer: Mutex::new(Writer {
                keys: Keys::new(keys, &model),
                index: Index::new(&model),
                epoch,
                broken: false,
            }),
            shown: RwLock::new(Snapshot { revision, model }),
            news: broadcast::Sender::new(LAG),
            revision: watch::Sender::new(revision),
        })))
    }

    /// How many times this store was opened, 1 to 65535 and then 1 again; what cookies carry.
    pub fn round(&self) -> u16 {
        self.0.round
    }

    /// The greatest epoch that a writer had; 0 if none had one. Waits for a commit under way.
    pub fn epoch(&self) -> u64 {
        self.writer().epoch
    }

    /// The model as it is, for as long as the guard lives: keep it short, a commit waits for it.
    pub fn read(&self) -> RwLockReadGuard<'_, Snapshot> {
        self.0.shown.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The model as it is, and all changes from there on. Waits for a commit under way.
    pub fn subscribe(&self) -> (Snapshot, Subscription) {
        // News are sent under the writer's lock: none can fall between the snapshot and the subscription.
        let _writer = self.writer();
        let receiver = self.0.news.subscribe();
        (self.read().clone(), Subscription::new(self.clone(), receiver))
    }

    /// Follows the revision only; to be used with [`Store::history`].
    pub fn revisions(&self) -> watch::Receiver<Revision> {
        self.0.revision.subscribe()
    }

    /// The changes after `since`, oldest first, at most `limit`. Blocks.
    ///
    /// # Errors
    /// [`BackendError`] if they cannot be read.
    pub fn history(&self, since: Revision, limit: usize) -> Result<History, BackendError> {
        self.0.backend.history(since, limit)
    }

    /// Every reference that points nowhere. Waits for a commit under way.
    pub fn pending(&self) -> Vec<Pending> {
        let writer = self.writer();
        let shown = self.read();
        writer.index.pending(|id| shown.model.has(id))
    }

    /// Does a transaction, all of it or nothing. Blocks for about one fsync.
    ///
    /// # Errors
    /// [`StoreError`] says what was wrong with which object, or why it could not be written.
    pub fn commit(&self, transaction: Transaction) -> Result<Outcome, StoreError> {
        let mut writer = self.writer();
        if writer.broken {
            self.recover(&mut writer)?;
        }
        let (dry_run, dangling) = (transaction.dry_run, transaction.dangling);
        let current = writer.epoch;
        let epoch = transaction.epoch.unwrap_or(current);
        if epoch < current {
            return Err(StoreError::OldEpoch { given: epoch, current });
        }
        let shown = self.read();
        let (after, effects) = (shown.revision, transaction::plan(&shown.model, transaction)?);
        writer.index(&effects);
        let judged = transaction::judge(&shown.model, &writer.index, &effects, dangling);
        drop(shown);
        let idle = dry_run || (epoch == current && !effects.values().any(Effect::is_change));
        let pending = match judged {
            Ok(pending) if !idle => pending,
            judged => {
                writer.unindex(&effects);
                return judged.map(|pending| Outcome { revision: after, effects, pending });
            }
        };
        match self.write(&mut writer, after, &effects, epoch) {
            Ok(revision) => Ok(Outcome { revision, effects, pending }),
            Err(error) => {
                writer.keys.roll_back();
                writer.unindex(&effects);
                if writer.broken {
                    // Best now, while the cause is known; else the next commit tries again.
                    let _ = self.recover(&mut writer);
                }
                Err(error)
            }
        }
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(
        &self,
        writer: &mut Writer,
        after: Revision,
        effects: &BTreeMap<ObjectId, Effect>,
        epoch: u64,
    ) -> Result<Revision, StoreError> {
        let changes: Arc<[Change]> = self.number(&mut writer.keys, after, effects)?.into();
        let revision = Revision(after.0 + changes.len() as u64);
        if !changes.is_empty() {
            self.tell(News::Batch(Batch { revision, changes: changes.clone() }));
        }
        let write = Write { after, changes: &changes, keys: writer.keys.last(), epoch };
        writer.broken = true;
        if let Err(error) = self.0.backend.commit(&write) {
            if !changes.is_empty() {
                self.tell(News::TakenBack);
            }
            return Err(error.into());
        }
        writer.broken = false;
        writer.epoch = epoch;
        if !changes.is_empty() {
            self.show(writer, revision, &changes);
        }
        Ok(revision)
    }

    fn tell(&self, news: News) {
        // Nobody listening is no error.
        let _ = self.0.news.send(news);
    }

    /// Effects as changes with keys and revisions: first what comes, each after what it refers to, then what goes,
    /// in the opposite order.
    fn number(
        &self,
        keys: &mut Keys,
        after: Revision,
        effects: &BTreeMap<ObjectId, Effect>,
    ) -> Result<Vec<Change>, StoreError> {
        let shown = self.read();
        let mut changes = Vec::new();
        let mut revision = after;
        for (id, effect) in effects {
            if let (before, Some(object)) = effect.objects() {
                revision.0 += 1;
                let known = before.and_then(|_| shown.model.get(id)).map(|record| record.key);
                let key =
                    known.or_else(|| keys.give(id.kind())).ok_or_else(|| StoreError::NoKey(id.clone()))?;
                changes.push(Change::Put(Record { key, revision, spec: object.clone() }));
            }
        }
        let gone = effects.iter().rev().filter(|(_, effect)| matches!(effect, Effect::Deleted(_)));
        changes.extend(gone.map(|(id, _)| Change::Delete(id.clone())));
        Ok(changes)
    }

    /// Makes committed changes seen.
    fn show(&self, writer: &mut Writer, revision: Revision, changes: &[Change]) {
        let mut shown = self.0.shown.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            let old = shown.model.apply(change.clone());
            match (change, old) {
                (Change::Put(record), _) => writer.keys.take(record.spec.kind(), record.key),
                (Change::Delete(id), Some(old)) => writer.keys.free(id.kind(), old.key),
                (Change::Delete(_), None) => {}
            }
        }
        writer.keys.settle();
        shown.revision = revision;
        self.0.revision.send_replace(revision);
    }

    /// After a failed commit: a backend may have kept what it reported as failed; then it is shown.
    fn recover(&self, writer: &mut Writer) -> Result<(), BackendError> {
        let kept = self.0.backend.recover()?;
        let since = self.read().revision;
        if kept > since
            && let History::Changes(changes) = self.0.backend.history(since, usize::MAX)?
        {
            let changes: Vec<Change> = changes.into_iter().map(|(_, change)| change).collect();
            self.show(writer, kept, &changes);
            self.tell(News::Batch(Batch { revision: kept, changes: changes.into() }));
            writer.index = Index::new(&self.read().model);
        }
        writer.broken = false;
        Ok(())
    }
}

impl Writer {
    fn index(&mut self, effects: &BTreeMap<ObjectId, Effect>) {
        for (before, after) in effects.values().map(Effect::objects) {
            before.into_iter().for_each(|object| self.index.remove(object));
            after.into_iter().for_each(|object| self.index.add(object));
        }
    }

    fn unindex(&mut self, effects: &BTreeMap<ObjectId, Effect>) {
        for (before, after) in effects.values().map(Effect::objects) {
            after.into_iter().for_each(|object| self.index.remove(object));
            before.into_iter().for_each(|object| self.index.add(object));
        }
    }
}
