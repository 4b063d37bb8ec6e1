//! Images in files: shared with other processes, and still there when their writer is not.
#![allow(unsafe_code, reason = "files are mapped, and their bytes seen as units of an image")]

use crate::memory::{Container, Unit, View};
use crate::{FibImage, LoadError};
use memmap2::{Mmap, MmapAsRawDesc, MmapOptions, MmapRaw};
use std::io;

/// A file, or memfd, that holds an image and is written in place.
#[derive(Debug)]
pub struct Mapped(MmapRaw);

/// A file that holds an image, for reading.
#[derive(Debug)]
pub struct MappedImage(Mmap);

impl Mapped {
    /// Maps all of a file, or whatever else has a descriptor that can be mapped, as the value of a BPF array. It is as
    /// long as the image may become, and zero: an image that is live has another file, which takes its place by
    /// renaming.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(file: impl MmapAsRawDesc) -> io::Result<Self> {
        MmapRaw::map_raw(file).map(Self)
    }
}

impl Container for Mapped {
    fn units(&self) -> &[Unit] {
        // SAFETY: a mapping begins at a page, is this long while it lives, and any bytes make atomic numbers. Others may
        // write to it: all accesses are atomic.
        unsafe { core::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() / size_of::<Unit>()) }
    }
}

impl MappedImage {
    /// Maps a file.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(file: impl MmapAsRawDesc) -> io::Result<Self> {
        // SAFETY: the bytes may change at any time, and are read by atomic loads alone. Who cuts the file makes reads
        // fail with a signal, as with any mapping.
        unsafe { MmapOptions::new().map(file) }.map(Self)
    }

    /// Checks the image in it: see [`FibImage::open`].
    ///
    /// # Errors
    /// [`LoadError`] names the first thing wrong.
    pub fn image(&self) -> Result<FibImage<'_>, LoadError> {
        crate::image::load(View::of_bytes(&self.0).ok_or(LoadError::Unaligned)?)
    }
}
