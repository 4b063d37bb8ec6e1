//! The bytes of an image as readers and the writer see them: the only room of this crate with `unsafe`.
//!
//! Every access is within bounds, aligned and atomic, so bytes may come from anywhere and change at any time.
#![allow(unsafe_code, reason = "image bytes are shared with a concurrent writer, perhaps of another process")]

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// 64 bytes of an image, aligned as one cache line.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Unit([AtomicU64; 8]);

/// Memory that holds an image: plain, a mapped file, the value of a BPF array.
pub trait Container {
    /// All of it. The same memory at each call, until [`Container::grow`].
    fn units(&self) -> &[Unit];

    /// Makes it at least this many units long, new ones zero, old ones kept, at another address perhaps. False if it
    /// cannot; then nothing changed.
    fn grow(&mut self, _units: usize) -> bool {
        false
    }
}

/// Memory that is shared with readers: it does not grow.
impl<T: Container> Container for &T {
    fn units(&self) -> &[Unit] {
        (**self).units()
    }
}

#[cfg(feature = "std")]
mod pages;
#[cfg(feature = "std")]
use pages::Pages;

/// Plain memory without a system to ask: what the allocator gives.
#[cfg(not(feature = "std"))]
#[derive(Debug, Default)]
struct Pages(alloc::vec::Vec<Unit>);

#[cfg(not(feature = "std"))]
impl Pages {
    fn new(units: usize) -> Option<Self> {
        let mut all = alloc::vec::Vec::new();
        all.try_reserve_exact(units).ok()?;
        all.resize_with(units, Unit::default);
        Some(Self(all))
    }

    fn units(&self) -> &[Unit] {
        &self.0
    }

    fn truncate(&mut self, units: usize) {
        self.0.truncate(units);
        self.0.shrink_to_fit();
    }
}

/// Plain memory.
#[derive(Debug, Default)]
pub struct Memory(Pages);

impl Memory {
    /// Zeroed memory; none if the system has not got so much, and then nothing fits.
    pub fn new(units: usize) -> Self {
        Self(Pages::new(units).unwrap_or_default())
    }

    /// A copy of bytes; the rest of the last unit is zero.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let memory = Self::new(bytes.len().div_ceil(size_of::<Unit>()));
        View::new(memory.units()).write(0, bytes);
        memory
    }

    /// The bytes; needs that nobody writes, hence `&mut`.
    pub fn bytes(&mut self) -> &[u8] {
        let units = self.0.units();
        // SAFETY: the units are initialized, have no padding, and are borrowed exclusively.
        unsafe { core::slice::from_raw_parts(units.as_ptr().cast::<u8>(), size_of_val(units)) }
    }

    pub(crate) fn truncate(&mut self, units: usize) {
        self.0.truncate(units);
    }
}

impl Container for Memory {
    fn units(&self) -> &[Unit] {
        self.0.units()
    }

    fn grow(&mut self, units: usize) -> bool {
        let old = self.0.units();
        if units <= old.len() {
            return true;
        }
        if units >= crate::layout::MAX_UNITS as usize {
            return false;
        }
        let Some(new) = Pages::new(units) else { return false };
        View::new(new.units()).copy(View::new(old));
        self.0 = new;
        true
    }
}

/// A view of an image's memory. Reads outside of it give 0, writes outside of it do nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    base: NonNull<u8>,
    /// In bytes.
    len: usize,
    life: PhantomData<&'a [Unit]>,
}

// SAFETY: all accesses through it are atomic.
unsafe impl Send for View<'_> {}
// SAFETY: as above.
unsafe impl Sync for View<'_> {}

impl<'a> View<'a> {
    pub(crate) fn new(units: &'a [Unit]) -> Self {
        Self { base: NonNull::from(units).cast(), len: size_of_val(units), life: PhantomData }
    }

    /// Of bytes that begin at an 8-byte boundary, for reading alone; `None` for others.
    pub(crate) fn of_bytes(bytes: &'a [u8]) -> Option<Self> {
        let aligned = bytes.as_ptr().addr().is_multiple_of(8);
        aligned.then_some(Self { base: NonNull::from(bytes).cast(), len: bytes.len(), life: PhantomData })
    }

    /// In bytes.
    pub(crate) const fn len(self) -> usize {
        self.len
    }

    #[inline(always)]
    const fn has(self, at: usize, size: usize) -> bool {
        at < self.len.saturating_sub(size - 1) && at.is_multiple_of(size)
    }

    /// What stands at a byte offset: a type of atomic numbers without padding, whose size is its alignment, or 64 bytes.
    #[inline(always)]
    fn cell<T>(self, at: usize) -> Option<&'a T> {
        if !self.has(at, size_of::<T>()) {
            return None;
        }
        // SAFETY: in bounds.
        let first = unsafe { self.base.add(at) };
        // SAFETY: in bounds, aligned (the base to 8 bytes, `at` to the size), alive for 'a; only accessed atomically.
        Some(unsafe { first.cast().as_ref() })
    }

    /// The number at a byte offset that is a multiple of 4.
    #[inline(always)]
    pub(crate) fn u32(self, at: usize) -> u32 {
        #[cfg(test)]
        if let Some(value) = crate::interleave::load(at, 4) {
            return u32::try_from(value).unwrap_or_default();
        }
        self.cell(at).map_or(0, |cell: &AtomicU32| u32::from_le(cell.load(Ordering::Acquire)))
    }

    /// The number at a byte offset that is a multiple of 8.
    #[inline(always)]
    pub(crate) fn u64(self, at: usize) -> u64 {
        #[cfg(test)]
        if let Some(value) = crate::interleave::load(at, 8) {
            return value;
        }
        self.cell(at).map_or(0, |cell: &AtomicU64| u64::from_le(cell.load(Ordering::Acquire)))
    }

    /// The 64 bytes at a byte offset that is a multiple of that: one check for all of its numbers.
    #[inline(always)]
    pub(crate) fn line(self, at: usize) -> Option<Line<'a>> {
        let cells = self.cell(at)?;
        Some(Line {
            cells,
            #[cfg(test)]
            at,
        })
    }

    /// `N` numbers, 2 or 4, at a byte offset that is a multiple of their size; zeros outside.
    #[inline(always)]
    pub(crate) fn numbers<const N: usize>(self, at: usize) -> [u64; N] {
        #[cfg(test)]
        if crate::interleave::load(at, 8).is_some() {
            return core::array::from_fn(|index| self.u64(at + index * 8));
        }
        match self.cell::<[AtomicU64; N]>(at) {
            Some(cells) => cells.each_ref().map(|cell| u64::from_le(cell.load(Ordering::Acquire))),
            None => [0; N],
        }
    }

    /// Publishes: what was stored before is seen by whoever sees this.
    #[inline]
    pub(crate) fn store32(self, at: usize, value: u32) {
        #[cfg(test)]
        crate::interleave::stored(at, &value.to_le_bytes());
        if let Some(cell) = self.cell::<AtomicU32>(at) {
            cell.store(value.to_le(), Ordering::Release);
        }
    }

    /// As [`Self::store32`].
    #[inline]
    pub(crate) fn store64(self, at: usize, value: u64) {
        #[cfg(test)]
        crate::interleave::stored(at, &value.to_le_bytes());
        if let Some(cell) = self.cell::<AtomicU64>(at) {
            cell.store(value.to_le(), Ordering::Release);
        }
    }

    /// Copies bytes to an offset that is a multiple of 8, where nobody reads yet.
    pub(crate) fn write(self, at: usize, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for (index, word) in words.iter().enumerate() {
            self.store64(at + index * 8, u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            self.store64(at + words.len() * 8, u64::from_le_bytes(last));
        }
    }

    /// Copies all of another view, where nobody reads yet.
    fn copy(self, from: View<'_>) {
        for at in (0..from.len).step_by(8) {
            self.store64(at, from.u64(at));
        }
    }

    /// Copies bytes from an offset that is a multiple of 8.
    pub(crate) fn read<const N: usize>(self, at: usize) -> [u8; N] {
        let mut bytes = [0; N];
        for (index, chunk) in bytes.chunks_mut(8).enumerate() {
            let word = self.u64(at + index * 8).to_le_bytes();
            chunk.iter_mut().zip(word).for_each(|(to, from)| *to = from);
        }
        bytes
    }

    /// [`crate::layout::checksum`] of a range; offset and length are multiples of 4.
    pub(crate) fn checksum(self, at: usize, len: usize) -> u64 {
        let mut sum = crate::layout::Checksum::new(len);
        let whole = len / 32 * 32;
        for stripe in (at..at + whole).step_by(32) {
            sum.stripe([0, 8, 16, 24].map(|word| self.u64(stripe + word)));
        }
        if whole < len {
            let words = [0, 8, 16, 24].map(|word| {
                let low = |from: usize| if from < len { u64::from(self.u32(at + from)) } else { 0 };
                low(whole + word) | low(whole + word + 4) << 32
            });
            sum.stripe(words);
        }
        sum.finish()
    }

    /// Asks for the cache line of a byte offset, wherever that is: the answer is never looked at.
    #[inline(always)]
    pub(crate) fn prefetch(self, at: usize) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: prefetching never faults.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(self.base.as_ptr().wrapping_add(at).cast()) }
        }
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        let _ = at;
    }
}

/// The numbers of one unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    cells: &'a [AtomicU64; 8],
    #[cfg(test)]
    at: usize,
}

impl Line<'_> {
    /// One of the eight 64-bit numbers.
    #[inline(always)]
    pub(crate) fn u64(self, index: usize) -> u64 {
        #[cfg(test)]
        if let Some(value) = crate::interleave::load(self.at + index * 8, 8) {
            return value;
        }
        self.cells.get(index).map_or(0, |cell| u64::from_le(cell.load(Ordering::Acquire)))
    }

    /// One of the sixteen 32-bit numbers; of the index, the lower four bits count.
    #[inline(always)]
    pub(crate) fn u32(self, index: usize) -> u32 {
        let index = index % 16;
        #[cfg(test)]
        if let Some(value) = crate::interleave::load(self.at + index * 4, 4) {
            return u32::try_from(value).unwrap_or_default();
        }
        let first: NonNull<AtomicU32> = NonNull::from(self.cells).cast();
        // SAFETY: one of the 16 that the unit has.
        let cell = unsafe { first.add(index) };
        // SAFETY: aligned, and alive as long as the borrowed cells; only accessed atomically.
        let cell = unsafe { cell.as_ref() };
        u32::from_le(cell.load(Ordering::Acquire))
    }
}

/// How walkers count: the instructions differ, the answers do not.
pub(crate) trait Isa: Copy {
    /// How many of the first `N` 32-bit numbers of a line are not above the key. `N` is 7 or 15.
    fn not_above<const N: usize>(line: Line<'_>, key: u32) -> u32;
    /// Which of the first five 64-bit numbers of a line is the key; 5 if none is.
    fn place_of(line: Line<'_>, key: u64) -> usize;
    /// How many bits are set.
    fn ones(bits: u64) -> u32;
}

/// What every machine has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

impl Isa for Portable {
    #[inline(always)]
    fn not_above<const N: usize>(line: Line<'_>, key: u32) -> u32 {
        (0..N).map(|index| u32::from(line.u32(index) <= key)).sum()
    }

    /// Looks at all of them: which one it is cannot be predicted, so a branch for each would cost more than the rest of
    /// the lookup.
    #[inline(always)]
    fn place_of(line: Line<'_>, key: u64) -> usize {
        (0..5).fold(5, |hit, place| if line.u64(place) == key { place } else { hit })
    }

    #[inline(always)]
    fn ones(bits: u64) -> u32 {
        bits.count_ones()
    }
}

/// AVX2 and POPCNT. Only for functions that run after [`Avx2::is_here`].
#[cfg(all(target_arch = "x86_64", feature = "std", not(miri)))]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2;

#[cfg(all(target_arch = "x86_64", feature = "std", not(miri)))]
impl Avx2 {
    pub(crate) fn is_here() -> bool {
        std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("popcnt")
    }
}

#[cfg(all(target_arch = "x86_64", feature = "std", not(miri)))]
impl Isa for Avx2 {
    #[inline(always)]
    fn not_above<const N: usize>(line: Line<'_>, key: u32) -> u32 {
        // SAFETY: the caller's machine has AVX2.
        unsafe { not_above(line, key, N) }
    }

    #[inline(always)]
    fn place_of(line: Line<'_>, key: u64) -> usize {
        // SAFETY: the caller's machine has AVX2.
        unsafe { place_of(line, key) }
    }

    #[inline(always)]
    fn ones(bits: u64) -> u32 {
        bits.count_ones()
    }
}

/// A function of its own, with its instructions named, so that it becomes part of callers with the same.
#[cfg(all(target_arch = "x86_64", feature = "std", not(miri)))]
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn not_above(line: Line<'_>, key: u32, count: usize) -> u32 {
    use core::arch::x86_64::*;
    let low: *const __m256i = line.cells.as_ptr().cast();
    // SAFETY: the first half of the line's 64 bytes. The starts of a node are written before it is published, so no
    // store races with these loads; were the bytes hostile, any answer would do.
    let first = unsafe { _mm256_loadu_si256(low) };
    let key = _mm256_set1_epi32(key.cast_signed());
    let hit = _mm256_cmpeq_epi32(_mm256_min_epu32(first, key), first);
    let mut bits = _mm256_movemask_ps(_mm256_castsi256_ps(hit)).cast_unsigned();
    if count > 8 {
        // SAFETY: the second half; as above.
        let second = unsafe { _mm256_loadu_si256(low.wrapping_add(1)) };
        let hit = _mm256_cmpeq_epi32(_mm256_min_epu32(second, key), second);
        bits |= _mm256_movemask_ps(_mm256_castsi256_ps(hit)).cast_unsigned() << 8;
    }
    (bits & ((1 << count) - 1)).count_ones()
}

/// As [`not_above`]. Keys come and go while others look, so this is no load that the compiler knows, but one by the
/// machine: as four acquiring loads of 8 bytes, each of them whole (AMD64 Architecture Programmer's Manual, volume 2,
/// 7.3.2; Intel SDM, volume 3A, 9.1.1).
#[cfg(all(target_arch = "x86_64", feature = "std", not(miri)))]
#[inline]
#[target_feature(enable = "avx2,bmi1")]
fn place_of(line: Line<'_>, key: u64) -> usize {
    let first: u32;
    // SAFETY: reads the first half of the line's 64 bytes, and changes nothing but its operands.
    unsafe {
        core::arch::asm!(
            "vmovq {wide:x}, {key}",
            "vpbroadcastq {wide:y}, {wide:x}",
            "vpcmpeqq {wide:y}, {wide:y}, ymmword ptr [{cells}]",
            "vmovmskpd {first:e}, {wide:y}",
            wide = out(ymm_reg) _,
            key = in(reg) key,
            cells = in(reg) line.cells.as_ptr(),
            first = lateout(reg) first,
            options(nostack, readonly, preserves_flags),
        );
    }
    let fifth = u32::from(line.u64(4) == key) << 4;
    (first | fifth | 1 << 5).trailing_zeros() as usize
}
