//! The pipeline: every table, register, priority and flow that Dragonflow puts into a switch.
//!
//! Declared once: [`Table`] is the list of tables in their order with what happens on a miss, [`register`] the bits
//! that travel with a packet, [`priority`] who wins. No table or register number is written anywhere else.
//! `docs/pipeline.md` is this room in prose; a test holds the two together.
//!
//! The modules named after stages make flows from values that are resolved already. They decide nothing: which
//! flows a chassis needs is the business of [`crate::compile`].

pub mod base;
pub mod cookie;
pub mod lr_in;
pub mod ls_in;
pub mod ls_out;
pub mod macs;
pub mod priority;
pub mod punt;
pub mod register;
mod sink;
mod table;

pub use cookie::{Category, Cookie, UnitId};
pub use sink::{Fact, Sink};
pub use table::{Miss, Stage, Table};
