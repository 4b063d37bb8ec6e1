//! OVSDB client (RFC 7047): what bootstrap of a chassis and discovery of its ports need.
#![warn(clippy::indexing_slicing)]

mod uuid;

pub use uuid::{Uuid, UuidError};
