//! What becomes of a packet, and why: the tables of every chassis run in software.
//!
//! [`switch`] is Open vSwitch for one packet, [`fabric`] joins the switches of a controller, [`trace`] asks them what
//! becomes of the packet that a VM would send. What runs are the flows that the compiler wants, decoded from the bytes
//! that are sent to the switch, so a trace needs no switch, and tests need none either.

mod bits;
pub mod fabric;
pub mod packet;
mod reason;
mod request;
mod result;
pub mod show;
pub mod state;
mod summary;
pub mod switch;

pub use request::{Protocol, TraceError, TraceRequest};
pub use result::{ActionText, End, FlowText, PacketText, StepText, TraceResult, VisitText};
pub use summary::summary;

use crate::compile::Compiler;
use fabric::Fabric;
use switch::Choose;

/// Follows the packet that a VM behind a port would send, from its chassis on until it is delivered, refused or
/// dropped. Nothing is sent: the tables are those that the chassis shall have as of the last poll.
///
/// # Errors
/// [`TraceError`] if there is no such packet.
pub fn trace(compiler: &Compiler, request: &TraceRequest) -> Result<TraceResult, TraceError> {
    let frame = request.frame(compiler)?;
    let journey = Fabric::new(compiler).send(&request.from, &frame, Choose::Hash)?;
    let journey = journey.ok_or_else(|| TraceError::NoPort(request.from.clone()))?;
    Ok(TraceResult::new(compiler, &request.from, &frame, &journey))
}
