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

const IDLE: u64 = u64::MAX;

impl Readers {
    /// For this many readers, numbered from 0.
    pub fn new(readers: usize) -> Self {
        Self((0..readers).map(|_| AtomicU64::new(IDLE)).collect())
    }

    /// A reader begins. The fence keeps its lookups behind: a writer that does not see this reader yet has done
    /// everything before, and the reader sees it.
    pub fn begin(&self, reader: usize, image: FibImage<'_>) {
        if let Some(slot) = self.0.get(reader) {
            slot.store(image.epoch(), Ordering::SeqCst);
            fence(Ordering::SeqCst);
        }
    }

    /// A reader ends.
    pub fn end(&self, reader: usize) {
        if let Some(slot) = self.0.get(reader) {
            slot.store(IDLE, Ordering::Release);
        }
    }

    /// The generation before which no lookup under way began; `epoch` is the writer's.
    pub fn oldest(&self, epoch: u64) -> u64 {
        fence(Ordering::SeqCst);
        self.0.iter().map(|slot| slot.load(Ordering::SeqCst)).fold(epoch, u64::min)
    }
}
