//! A store that forgets: for tests and for `dragonflow controller --store memory`.

use super::backend::{Backend, BackendError, History, Loaded, Write};
use crate::model::{Change, Kind, Model, Revision};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Keeps everything in memory.
#[derive(Debug)]
pub struct MemoryBackend {
    keep: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    model: Model,
    revision: Revision,
    log: VecDeque<Change>,
    keys: BTreeMap<Kind, u32>,
    round: u16,
    epoch: u64,
}

impl MemoryBackend {
    /// An empty one whose history reaches back `keep` changes.
    pub fn new(keep: usize) -> Self {
        Self { keep, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for MemoryBackend {
    fn load(&self) -> Result<Loaded, BackendError> {
        let mut state = self.state();
        state.round = next_round(state.round);
        Ok(Loaded {
            model: state.model.clone(),
            revision: state.revision,
            keys: state.keys.clone(),
            round: state.round,
            epoch: state.epoch,
        })
    }

    fn commit(&self, write: &Write<'_>) -> Result<(), BackendError> {
        let mut state = self.state();
        for change in write.changes {
            state.revision.0 += 1;
            state.model.apply(change.clone());
            state.log.push_back(change.clone());
        }
        while state.log.len() > self.keep {
            state.log.pop_front();
        }
        state.keys.clone_from(write.keys);
        state.epoch = write.epoch;
        Ok(())
    }

    fn recover(&self) -> Result<Revision, BackendError> {
        Ok(self.state().revision)
    }

    fn history(&self, since: Revision, limit: usize) -> Result<History, BackendError> {
        let state = self.state();
        let oldest = state.revision.0 - state.log.len() as u64;
        let Some(skip) = since.0.checked_sub(oldest) else {
            return Ok(History::Compacted(Revision(oldest)));
        };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let numbered = (oldest + 1..).map(Revision).zip(state.log.iter().cloned());
        Ok(History::Changes(numbered.skip(skip).take(limit).collect()))
    }
}

/// The round after this one; 0 is "never opened".
pub(super) const fn next_round(round: u16) -> u16 {
    match round.checked_add(1) {
        Some(next) => next,
        None => 1,
    }
}
