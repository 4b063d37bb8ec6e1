//! The image where eBPF programs can see it: the one value of an array that user space maps into its memory.
//!
//! The array stands in a second array with one place. Putting another array there swaps images: every packet sees the
//! old one or the new one, and the call returns when no program uses the old one any more.
#![allow(unsafe_code, reason = "the memory of a mapped eBPF array")]

use std::fmt;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType, libbpf_sys};
use nix::sys::mman::{MapFlags as Sharing, ProtFlags, mmap, munmap};

use crate::Error;

/// The greatest image: an offset in units of 64 bytes has 23 bits.
pub const MAX_SIZE: usize = 1 << 29;

/// An array that holds one image.
#[derive(Debug)]
pub struct ImageMap {
    handle: MapHandle,
    size: u32,
}

impl ImageMap {
    /// Makes an empty one (all zero, which is no image) of at least `size` bytes, in whole pages.
    ///
    /// # Errors
    /// More than [`MAX_SIZE`], no memory, or not root.
    pub fn create(size: usize) -> Result<Self, Error> {
        let pages = size.max(1).next_multiple_of(1 << 16);
        let too_big = || Error::TooBig { image: size, map: MAX_SIZE };
        if pages > MAX_SIZE {
            return Err(too_big());
        }
        let size = u32::try_from(pages).map_err(|_| too_big())?;
        let options = libbpf_sys::bpf_map_create_opts {
            sz: size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
            map_flags: libbpf_sys::BPF_F_MMAPABLE,
            ..Default::default()
        };
        let handle = MapHandle::create(MapType::Array, Some("image"), 4, size, 1, &options)
            .map_err(Error::bpf(format!("make an array of {size} bytes")))?;
        Ok(Self { handle, size })
    }

    /// The array that stands in a pinned array of arrays.
    ///
    /// # Errors
    /// Nothing is pinned there, or it holds nothing yet.
    pub fn of_pinned(images: &Path) -> Result<Self, Error> {
        let what = || format!("open the image pinned at {}", images.display());
        let outer = MapHandle::from_pinned_path(images).map_err(Error::bpf(what()))?;
        let id = outer.lookup(&0_u32.to_ne_bytes(), MapFlags::ANY).map_err(Error::bpf(what()))?;
        let id = id.as_deref().and_then(|id| id.try_into().ok()).map(u32::from_ne_bytes);
        let id = id.ok_or_else(|| Error::Io { what: what(), source: std::io::ErrorKind::NotFound.into() })?;
        let handle = MapHandle::from_map_id(id).map_err(Error::bpf(what()))?;
        let size = handle.value_size();
        Ok(Self { handle, size })
    }

    /// Bytes there are.
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// The array itself.
    pub const fn handle(&self) -> &MapHandle {
        &self.handle
    }

    /// The memory of the array.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn map(&self) -> Result<Mapping, Error> {
        Mapping::new(&self.handle, self.size)
    }

    /// Writes a whole image; for an array that no program sees yet.
    ///
    /// # Errors
    /// The image is bigger than the array.
    pub fn write(&self, image: &[u8]) -> Result<(), Error> {
        let mut memory = self.map()?;
        let map = memory.bytes().len();
        let to = memory.bytes_mut().get_mut(..image.len());
        to.ok_or(Error::TooBig { image: image.len(), map })?.copy_from_slice(image);
        Ok(())
    }

    /// Puts this array in the place that programs look at, and waits until none uses the one before.
    ///
    /// # Errors
    /// The place is for arrays of another size.
    pub fn publish(&self, images: &impl MapCore) -> Result<(), Error> {
        let fd = self.handle.as_fd().as_raw_fd().to_ne_bytes();
        images.update(&0_u32.to_ne_bytes(), &fd, MapFlags::ANY).map_err(Error::bpf("swap the image"))
    }
}

/// 64-bit numbers that an eBPF program and this process share: the start of the first value of an array that can be mapped.
#[derive(Debug)]
pub struct Words(Mapping);

impl Words {
    /// Of an array with values of at least this many numbers.
    ///
    /// # Errors
    /// It cannot be mapped, or its values are smaller.
    pub fn of(handle: &MapHandle, count: u32) -> Result<Self, Error> {
        let size = count.saturating_mul(8);
        if handle.value_size() < size {
            return Err(Error::NoPart { kind: "number", name: "map value" });
        }
        Mapping::new(handle, size).map(Self)
    }

    /// One of them; `None` beyond the last.
    pub fn word(&self, index: usize) -> Option<&AtomicU64> {
        let at = index.checked_mul(8).filter(|at| at.saturating_add(8) <= self.0.len.get())?;
        // SAFETY: the mapping begins at a page and is longer than this; it lives as long as `self`.
        let word = unsafe { self.0.start.as_ptr().byte_add(at) };
        // SAFETY: aligned as said, and everybody stores whole numbers there: the program's are one instruction each.
        Some(unsafe { AtomicU64::from_ptr(word.cast()) })
    }
}

/// The memory of an array. The array lives as long as this does, pinned or not.
pub struct Mapping {
    start: NonNull<std::ffi::c_void>,
    len: NonZeroUsize,
}

impl Mapping {
    fn new(handle: &MapHandle, size: u32) -> Result<Self, Error> {
        let what = || format!("map an array of {size} bytes");
        let len = usize::try_from(size).ok().and_then(NonZeroUsize::new);
        let len =
            len.ok_or_else(|| Error::Io { what: what(), source: std::io::ErrorKind::InvalidInput.into() })?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that exists.
        let start = unsafe { mmap(None, len, access, Sharing::MAP_SHARED, handle.as_fd(), 0) };
        let start = start.map_err(|errno| Error::Io { what: what(), source: errno.into() })?;
        Ok(Self { start, len })
    }

    /// The bytes. Whoever changes them meanwhile does so by aligned stores of whole fields, as the format demands; what
    /// is read is then an old or a new field.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is `len` bytes long and lives as long as `self`; eBPF programs only read it, and the one
        // writer of an image is the owner of `&mut self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.len.get()) }
    }

    /// The bytes, for the one writer of the image.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; eBPF programs that read meanwhile are outside of Rust's memory model, and the format's
        // rules for writers are made for them.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.len.get()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no slice of it outlives `self`.
        let _ = unsafe { munmap(self.start, self.len.get()) };
    }
}

// SAFETY: the mapping belongs to the process, not to a thread.
unsafe impl Send for Mapping {}
// SAFETY: `&Mapping` only reads.
unsafe impl Sync for Mapping {}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").field("len", &self.len).finish_non_exhaustive()
    }
}
