//! OpenFlow sessions with real switches: the sockets, tasks and clocks around the machines of the `openflow` crate.

mod endpoint;
mod tls;

pub use endpoint::{AddrError, DEFAULT_PORT, DialAddr, Incoming, ListenAddr, ListenError, Listener, Stream};
pub use tls::{TlsError, TlsFiles};
