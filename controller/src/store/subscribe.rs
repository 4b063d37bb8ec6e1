//! Following the model from inside the process: a snapshot, then every change after it, without a gap.

use super::Store;
use crate::model::{Change, Model, Revision};
use std::sync::Arc;
use tokio::sync::broadcast::{self, error::RecvError};

/// The model at a revision.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The last change in it.
    pub revision: Revision,
    /// All objects.
    pub model: Model,
}

/// The changes of one transaction, in the order in which to apply them; never empty.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The model's revision once all are applied.
    pub revision: Revision,
    /// What changed.
    pub changes: Arc<[Change]>,
}

/// What the store tells its subscribers.
#[derive(Debug, Clone)]
pub(super) enum News {
    /// A transaction that is being written.
    Batch(Batch),
    /// The last one could not be written.
    TakenBack,
}

/// What a subscriber hears.
#[derive(Debug, Clone)]
pub enum Event {
    /// The next transaction.
    Batch(Batch),
    /// The subscriber was too slow and missed some, or heard of a transaction that could not be written: forget what
    /// you know, this is the model now.
    Resync(Snapshot),
}

/// One subscriber's place in the stream of changes. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    store: Store,
    receiver: broadcast::Receiver<News>,
}

impl Subscription {
    pub(super) const fn new(store: Store, receiver: broadcast::Receiver<News>) -> Self {
        Self { store, receiver }
    }

    /// Waits for the next event; `None` once the store is shut down. Cancel safe: usable in `select!`.
    pub async fn next(&mut self) -> Option<Event> {
        match self.receiver.recv().await {
            Ok(News::Batch(batch)) => Some(Event::Batch(batch)),
            Err(RecvError::Closed) => None,
            Ok(News::TakenBack) | Err(RecvError::Lagged(_)) => Some(self.resync()),
        }
    }

    /// The next event if one is there already, to take several at once.
    pub fn try_next(&mut self) -> Option<Event> {
        match self.receiver.try_recv() {
            Ok(News::Batch(batch)) => Some(Event::Batch(batch)),
            Ok(News::TakenBack) | Err(broadcast::error::TryRecvError::Lagged(_)) => Some(self.resync()),
            Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => None,
        }
    }

    fn resync(&mut self) -> Event {
        let (snapshot, fresh) = self.store.subscribe();
        self.receiver = fresh.receiver;
        Event::Resync(snapshot)
    }
}
