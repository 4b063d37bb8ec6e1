//! Giving out object keys.

use crate::model::{Kind, Model, ObjectKey};
use std::collections::{BTreeMap, BTreeSet};

/// Greatest key: keys have 24 bits.
const MAX: u32 = 0xff_ffff;

/// Which keys are taken, and which was given last in each kind.
///
/// Keys count up, so that a key freed by a deletion is not given again before 2^24 others were: what still
/// carries it somewhere in a switch has long gone by then.
#[derive(Debug)]
pub(super) struct Keys {
    last: BTreeMap<Kind, u32>,
    taken: BTreeMap<Kind, BTreeSet<u32>>,
    /// Given since [`Keys::settle`], and what `last` was then.
    given: Vec<(Kind, u32)>,
    settled: BTreeMap<Kind, u32>,
}

impl Keys {
    pub(super) fn new(last: BTreeMap<Kind, u32>, model: &Model) -> Self {
        let keys = |kind| model.objects(kind).map(|record| record.key.0).collect();
        let taken = Kind::ALL.into_iter().map(|kind| (kind, keys(kind))).collect();
        Self { settled: last.clone(), last, taken, given: Vec::new() }
    }

    /// The last key given in each kind.
    pub(super) const fn last(&self) -> &BTreeMap<Kind, u32> {
        &self.last
    }

    /// The next free key; `None` if there is none.
    pub(super) fn give(&mut self, kind: Kind) -> Option<ObjectKey> {
        let taken = self.taken.entry(kind).or_default();
        if taken.len() >= MAX as usize {
            return None;
        }
        let last = self.last.entry(kind).or_default();
        loop {
            *last = if *last >= MAX { 1 } else { *last + 1 };
            if taken.insert(*last) {
                self.given.push((kind, *last));
                return Some(ObjectKey(*last));
            }
        }
    }

    /// What was given is kept.
    pub(super) fn settle(&mut self) {
        self.given.clear();
        self.settled.clone_from(&self.last);
    }

    /// What was given since the last [`Keys::settle`] was not.
    pub(super) fn roll_back(&mut self) {
        for (kind, key) in std::mem::take(&mut self.given) {
            self.free(kind, ObjectKey(key));
        }
        self.last.clone_from(&self.settled);
    }

    /// The key's object is there; for one that comes without having been given here.
    pub(super) fn take(&mut self, kind: Kind, key: ObjectKey) {
        self.taken.entry(kind).or_default().insert(key.0);
    }

    /// The key's object is gone.
    pub(super) fn free(&mut self, kind: Kind, key: ObjectKey) {
        self.taken.entry(kind).or_default().remove(&key.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_count_up_wrap_and_skip_the_taken() {
        let mut keys = Keys::new(BTreeMap::from([(Kind::Port, MAX - 1)]), &Model::default());
        keys.take(Kind::Port, ObjectKey(1));
        assert_eq!(keys.give(Kind::Port), Some(ObjectKey(MAX)));
        assert_eq!(keys.give(Kind::Port), Some(ObjectKey(2)), "1 is taken");
        assert_eq!(keys.give(Kind::Router), Some(ObjectKey(1)), "kinds count apart");
        keys.roll_back();
        assert_eq!(keys.give(Kind::Port), Some(ObjectKey(MAX)));
        keys.settle();
        keys.roll_back();
        assert_eq!(keys.give(Kind::Port), Some(ObjectKey(2)), "what is settled stays");
    }
}
