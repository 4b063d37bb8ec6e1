//! When nobody looks at what was given up any more.

use crate::FibImage;
use alloc::boxed::Box;
use core::sync::atomic::{AtomicU64, Ordering, fence};

/// What each reader is looking at: the generation at which its lookups began.
///
/// A reader calls [`Readers::begin`] before a burst and [`Readers::end`] after it; the writer gives what
/// [`Readers::oldest`] says to [`crate::Writer::quiesced`]. (Readers in the kernel have RCU's grace periods instead.)
#[derive(Debug)]
pub struct Readers(Box<[AtomicU64]>);

pub(crate) const IDLE: u64 = u64::MAX;

impl Readers {
    /// For this many readers, numbered from 0.
    pub fn new(readers: usize) -> Self {
        Self((0..readers).map(|_| AtomicU64::new(IDLE)).collect())
    }

    /// A reader begins. The fence keeps its lookups behind: a writer that does not see this reader yet has done
    /// everything before, and the reader sees it.
    pub fn begin(&self, reader: usize, image: FibImage<'_>) {
        if let Some(slot) = self.0.get(reader) {
            begin(slot, image);
        }
    }

    /// A reader ends.
    pub fn end(&self, reader: usize) {
        if let Some(slot) = self.0.get(reader) {
            end(slot);
        }
    }

    /// The generation before which no lookup under way began; `epoch` is the writer's.
    pub fn oldest(&self, epoch: u64) -> u64 {
        oldest(self.0.iter(), epoch)
    }
}

/// A reader's place: an atomic number, of the processor or of the tests' model of one.
pub(crate) trait Place {
    fn load(&self, order: Ordering) -> u64;
    fn store(&self, value: u64, order: Ordering);
    fn fence(order: Ordering);
}

impl Place for AtomicU64 {
    fn load(&self, order: Ordering) -> u64 {
        self.load(order)
    }

    fn store(&self, value: u64, order: Ordering) {
        self.store(value, order);
    }

    fn fence(order: Ordering) {
        fence(order);
    }
}

pub(crate) fn begin<P: Place>(place: &P, image: FibImage<'_>) {
    place.store(image.epoch(), Ordering::SeqCst);
    P::fence(Ordering::SeqCst);
}

pub(crate) fn end(place: &impl Place) {
    place.store(IDLE, Ordering::Release);
}

pub(crate) fn oldest<'a, P: Place + 'a>(places: impl Iterator<Item = &'a P>, epoch: u64) -> u64 {
    P::fence(Ordering::SeqCst);
    places.map(|place| place.load(Ordering::SeqCst)).fold(epoch, u64::min)
}
