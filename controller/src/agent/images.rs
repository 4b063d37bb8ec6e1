//! Images for the fast path: made by the planner when there is time, written by a task of their own.

use crate::{compile::Compiler, model::ChassisId, southbound::fastpath::Publisher};
use std::{
    collections::BTreeSet,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::Arc,
};
use tokio::{sync::watch, task::JoinSet};

/// The newest image of a chassis; `None` before the first.
type Newest = watch::Sender<Option<Arc<Vec<u8>>>>;

/// The chassis whose fast path is served, and whose image is out of date.
#[derive(Debug, Default)]
pub(super) struct Images {
    served: Vec<(ChassisId, Newest)>,
    stale: BTreeSet<ChassisId>,
    epoch: u64,
}

impl Images {
    /// `round` tells the generations of this start from those of earlier ones.
    pub(super) fn new(round: u16) -> Self {
        Self { epoch: u64::from(round) << 32, ..Self::default() }
    }

    /// From now on this chassis' images go to a publisher.
    pub(super) fn serve(
        &mut self,
        chassis: ChassisId,
        publisher: Box<dyn Publisher>,
        tasks: &mut JoinSet<()>,
    ) {
        let (newest, images) = watch::channel(None);
        tasks.spawn(write(chassis.clone(), publisher, images));
        self.served.push((chassis, newest));
    }

    /// What this chassis forwards by has changed.
    pub(super) fn touch(&mut self, chassis: &ChassisId) {
        if self.served.iter().any(|(served, _)| served == chassis) {
            self.stale.insert(chassis.clone());
        }
    }

    pub(super) fn are_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Makes every image that is out of date.
    pub(super) fn make(&mut self, compiler: &Compiler) {
        for chassis in std::mem::take(&mut self.stale) {
            let Some((_, newest)) = self.served.iter().find(|(served, _)| *served == chassis) else {
                continue;
            };
            let Some(rib) = compiler.rib(&chassis) else { continue };
            self.epoch += 1;
            match build(&rib, self.epoch) {
                Ok(mut image) => _ = newest.send_replace(Some(Arc::new(image.bytes().to_vec()))),
                Err(error) => {
                    tracing::warn!(%chassis, %error, "no image for the fast path: it goes on with the last one")
                }
            }
        }
    }
}

/// With a seed of bad luck too many keys share a bucket: another will do.
fn build(rib: &fib::Rib, epoch: u64) -> Result<fib::Memory, fib::BuildError> {
    const TRIES: usize = 8;
    let attempt = || {
        let options = fib::Options { epoch, table_seed: secret(), ..fib::Options::default() };
        fib::build_with(rib.routes(), &rib.tables, options)
    };
    let mut result = attempt();
    for _ in 1..TRIES {
        if !matches!(result, Err(fib::BuildError::Full(_))) {
            break;
        }
        result = attempt();
    }
    result
}

/// A number that no tenant can know, or the buckets of an image could be filled on purpose.
fn secret() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Writes the newest image, for ever; those in between are left out.
async fn write(
    chassis: ChassisId,
    mut publisher: Box<dyn Publisher>,
    mut images: watch::Receiver<Option<Arc<Vec<u8>>>>,
) {
    while images.changed().await.is_ok() {
        let Some(image) = images.borrow_and_update().clone() else { continue };
        let written = tokio::task::spawn_blocking(move || {
            let result = publisher.publish(&image);
            (publisher, result)
        });
        let Ok((back, result)) = written.await else { return };
        publisher = back;
        if let Err(error) = result {
            tracing::warn!(%chassis, %error, "cannot write the image for the fast path");
        }
    }
}
