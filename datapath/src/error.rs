//! What can go wrong between here and the kernel.

use std::io;
use std::path::PathBuf;

use packet::IfIndex;

/// Why the fast path cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// libbpf or the kernel refused.
    #[error("cannot {what}")]
    Bpf {
        /// What was tried.
        what: String,
        /// Its words.
        #[source]
        source: libbpf_rs::Error,
    },
    /// A system call failed.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: String,
        /// The errno.
        #[source]
        source: io::Error,
    },
    /// The compiled object lacks a part; a mistake in the build.
    #[error("no {kind} \"{name}\" in the eBPF object")]
    NoPart {
        /// Map or program.
        kind: &'static str,
        /// Its name.
        name: &'static str,
    },
    /// The interface has no XDP in its driver, only the slow emulation behind it.
    #[error("interface {index} takes no XDP program in its driver")]
    NoDriverMode {
        /// The interface.
        index: IfIndex,
    },
    /// The image does not fit the map that is there.
    #[error("an image of {image} bytes does not fit a map of {map} bytes")]
    TooBig {
        /// Size of the image.
        image: usize,
        /// Size of the map.
        map: usize,
    },
    /// The image is damaged, or none.
    #[error("image {} is not usable", path.display())]
    BadImage {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        error: fib::LoadError,
    },
}

impl Error {
    pub(crate) fn bpf(what: impl Into<String>) -> impl FnOnce(libbpf_rs::Error) -> Self {
        let what = what.into();
        move |source| Self::Bpf { what, source }
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// An error and what is behind it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}
