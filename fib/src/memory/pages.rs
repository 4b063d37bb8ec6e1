//! Plain memory for units: anonymous pages, huge ones where the system gives them, all there from the start, so that
//! neither a lookup nor a change waits for the page table. A million hosts touch more pages of 4 KiB than a processor
//! remembers; of 2 MiB, it remembers them all.

use super::Unit;
use memmap2::{Advice, MmapMut, MmapOptions, RemapOptions};

/// Size and alignment of a huge page (x86-64, and arm64 with pages of 4 KiB).
const HUGE: usize = 2 << 20;

/// Zeroed memory.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// `None` if there are no units.
    map: Option<MmapMut>,
    /// Bytes before the first unit: what the first huge page does not cover.
    skip: usize,
    units: usize,
}

impl Pages {
    /// `None` if the system has not got so much.
    pub(super) fn new(units: usize) -> Option<Self> {
        if units == 0 {
            return Some(Self::default());
        }
        let len = units.checked_mul(size_of::<Unit>())?;
        if len < HUGE {
            return Some(Self { map: Some(MmapMut::map_anon(len).ok()?), skip: 0, units });
        }
        let len = len.checked_next_multiple_of(HUGE)?;
        let map = MmapOptions::new().len(len + HUGE).no_reserve_swap().map_anon().ok()?;
        let skip = map.as_ptr().align_offset(HUGE);
        // Both are advice: a system without huge pages has small ones, and they come when they are needed.
        let _ = map.advise_range(Advice::HugePage, skip, len);
        let _ = map.advise_range(Advice::PopulateWrite, skip, units * size_of::<Unit>());
        Some(Self { map: Some(map), skip, units })
    }

    pub(super) fn units(&self) -> &[Unit] {
        let Some(map) = &self.map else { return &[] };
        let first = map.as_ptr().wrapping_add(self.skip);
        // SAFETY: a mapping begins at a page, and is `skip` bytes and this many units long while it lives; zeros, and
        // whatever is stored, make atomic numbers.
        unsafe { core::slice::from_raw_parts(first.cast(), self.units) }
    }

    pub(super) fn truncate(&mut self, units: usize) {
        self.units = self.units.min(units);
        let len = self.skip + self.units * size_of::<Unit>();
        if let Some(map) = &mut self.map
            && len > 0
        {
            // SAFETY: it becomes shorter, where it is, and is borrowed exclusively.
            let _ = unsafe { map.remap(len, RemapOptions::new()) };
        }
    }
}
