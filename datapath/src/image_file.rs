//! The image as its writer leaves it: a file that is replaced by renaming, never written in place.

use std::fs;
use std::path::Path;

use crate::Error;

/// Reads a whole image.
///
/// # Errors
/// There is none.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(Error::io(format!("read the image {}", path.display())))
}

/// Room for an image to grow: the program is loaded for a size, and a greater image needs a new program.
pub const fn room_for(len: usize) -> usize {
    let double = len.saturating_mul(2);
    if double < 1 << 20 { 1 << 20 } else { double }
}
