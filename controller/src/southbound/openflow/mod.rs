//! OpenFlow sessions with real switches: the sockets, tasks and clocks around the machines of the `openflow` crate.
//!
//! [`Listener`] or [`DialAddr`] gives a stream, [`open`] makes a [`Session`] of it, and [`Switch`] is what the rest of
//! the controller holds: it reads everything, applies a [`Plan`](crate::reconcile::Plan) as one bundle, and sends
//! packets. Requests are written as they come; nothing waits for the answer to the one before.

mod bundle;
mod endpoint;
mod session;
#[cfg(test)]
pub(crate) mod sim;
mod switch;
#[cfg(test)]
mod tests;
mod tls;

pub use endpoint::{AddrError, DEFAULT_PORT, DialAddr, Incoming, ListenAddr, ListenError, Listener, Stream};
pub use session::{Session, SessionEnd, open};
pub use switch::{ApplyError, Dump, Refusal, RefusalReason, RefusedMeter, Switch, SwitchError, SwitchEvent};
pub use tls::{TlsError, TlsFiles, client_config, server_config};
