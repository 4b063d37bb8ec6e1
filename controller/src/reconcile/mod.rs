//! From what a switch holds to what it shall hold, without a moment in which a flow that stays is missing.
//!
//! Pure. [`diff`] compares everything and makes a [`Plan`]; [`repair`] looks only at flows that somebody touched. A
//! plan is a list of idempotent steps, each of which makes one flow, group or meter what it shall be, so a plan made
//! from a slightly old observation does no harm as long as it is applied in turn with the changes around it.

mod diff;
mod plan;
mod repair;
#[cfg(test)]
mod tests;

pub use diff::{Observed, diff};
pub use plan::{FlowKey, Op, Plan};
pub use repair::{Touched, repair};
