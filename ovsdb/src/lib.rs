//! OVSDB client (RFC 7047): what bootstrap of a chassis and discovery of its ports need.
//!
//! From the wire upwards: [`Framer`] cuts a byte stream into JSON texts, [`Session`] is the protocol without IO or
//! clock, [`Client`] puts a session on a [`Remote`]'s stream. A client belongs to one task, holds one connection and
//! dies with it; whoever owns it connects anew, at the pace of a [`Backoff`].
//!
//! ```no_run
//! # async fn example() -> Result<(), ovsdb::Error> {
//! use ovsdb::{Client, MonitorTable, Operation, Options, Remote, Row};
//!
//! let remote = Remote::Unix("/run/openvswitch/db.sock".into());
//! let mut client = Client::connect(&remote, &Options::new("Open_vSwitch")).await?;
//! let bridges = client.monitor(&[MonitorTable::new("Bridge", ["name", "ports"])]).await?;
//! client.transact(&[Operation::insert("Bridge", Row::default().with("name", "br0"))]).await?;
//! let changed_rows = client.next().await?;
//! # Ok(()) }
//! ```
#![warn(clippy::indexing_slicing)]

mod backoff;
mod client;
mod frame;
mod operation;
mod remote;
mod row;
mod session;
#[cfg(test)]
mod testing;
mod tls;
mod uuid;
mod value;

pub use backoff::Backoff;
pub use client::{Client, Error, Options};
pub use frame::{FrameError, Framer};
pub use operation::{Condition, Function, Mutation, Mutator, OpResult, Operation, TransactError};
pub use remote::{HostPort, Remote, RemoteError};
pub use row::{Change, Row, RowUpdate};
pub use session::{Event, MonitorTable, ProtocolError, RequestId, Session};
pub use tls::{TlsError, TlsFiles};
pub use uuid::{Uuid, UuidError};
pub use value::{Atom, Real, Sorted, Value, ValueError};
