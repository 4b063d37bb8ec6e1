//! OpenFlow 1.3 and the Nicira and ONF extensions that Open vSwitch speaks, without IO.
//!
//! [`field`], [`matching`], [`action`] and [`flow`] are the vocabulary in which a pipeline is written; the codec
//! turns it into the bytes of the wire and back.
#![warn(clippy::indexing_slicing)]

pub mod action;
pub mod bundle;
mod code;
mod codec;
pub mod connection;
pub mod field;
pub mod flow;
pub mod matching;
pub mod message;
pub mod raw;
mod text;
pub mod wire;

pub use action::{Action, SubField};
pub use bundle::{Bundle, BundleError, Change};
pub use connection::{CloseReason, Config, Connection, Event};
pub use field::Field;
pub use flow::{Bucket, Flow, Group, GroupId, GroupType, Instruction, MeterId, TableId};
pub use matching::{FieldMatch, Match};
pub use message::{Message, Xid};
pub use text::{TableNames, WithNames};
pub use wire::{DecodeError, EncodeError};
