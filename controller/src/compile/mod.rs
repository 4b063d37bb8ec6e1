//! From the model to what one chassis must hold.
//!
//! [`View`] is the model with the questions that compiling asks of it answered by indexes. A [`Unit`] is compiled by a
//! function of the view, the chassis and nothing else (`units/`), so that it does not matter in which order things
//! became known. [`Compiler`] keeps the result of every unit and knows which units a change may touch; compiling all
//! of them again gives the same ([`Compiler::recompute`]), which is tested for every order of arrival.

mod answer;
mod chassis;
mod compiler;
mod desired;
mod entry;
mod routes;
mod slice;
mod units;
mod view;

pub use answer::NoAnswer;
pub use chassis::{Chassis, LocalSwitch, TunnelType, Wanted};
pub use compiler::Compiler;
pub use desired::{Delta, Desired, EncodedFlow, Meter, Unit};
pub use slice::{Presence, Slice};
pub use view::{Leg, View};
