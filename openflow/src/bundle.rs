//! One ONF bundle, from OPEN to the answer to its COMMIT, on top of a [`Connection`](crate::Connection).

use crate::{
    connection::{Connection, Event},
    flow::{Flow, Group},
    message::{ErrorMessage, FlowFlags, FlowModCommand, GroupModCommand, Xid},
    wire::EncodeError,
};

/// One change of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// A flow-mod without timeouts.
    Flow {
        /// Add, or a strict modification or deletion.
        command: FlowModCommand,
        /// Options.
        flags: FlowFlags,
        /// The flow.
        flow: &'a Flow,
    },
    /// A group-mod.
    Group {
        /// Add, modify or delete.
        command: GroupModCommand,
        /// The group.
        group: &'a Group,
    },
}

/// Why a bundle came to nothing; the switch then holds none of its changes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Changes that the switch refused, by their index: those that failed at ADD, or the one that failed at COMMIT.
    #[error("switch refused {} of the bundle's changes, first change {}: {}", .0.len(), .0.first().map_or(0, |r| r.index), .0.first().map_or_else(String::new, |r| r.error.to_string()))]
    Refused(Vec<Refusal>),
    /// The bundle itself was refused (opened twice, timed out, bundles unknown).
    #[error("switch refused the bundle: {0}")]
    Failed(ErrorMessage),
}

/// One change that a switch refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its place in the list of changes.
    pub index: usize,
    /// Why.
    pub error: ErrorMessage,
}

/// A bundle under way.
#[derive(Debug)]
pub struct Bundle {
    id: u32,
    open: Xid,
}

impl Bundle {
    /// Queues OPEN, one ADD a change, and a barrier, all at once. `id` must not be in use on this connection.
    ///
    /// # Errors
    /// The index of the change that has no encoding, and why; nothing is queued then.
    pub fn start<'a>(
        connection: &mut Connection,
        id: u32,
        changes: impl IntoIterator<Item = Change<'a>>,
    ) -> Result<Self, (usize, EncodeError)> {
        let _ = changes;
        Ok(Self { id, open: connection.next_xid() })
    }

    /// Looks at an event of the connection; give it every [`Event::Reply`] and [`Event::Error`] that nobody else
    /// waits for. Queues COMMIT or DISCARD when their time has come. `Some` = the bundle is done.
    pub fn handle_event(
        &mut self,
        connection: &mut Connection,
        event: &Event,
    ) -> Option<Result<(), BundleError>> {
        let _ = (connection, event, self.id, self.open);
        None
    }

    /// True if the event carries an xid of this bundle.
    pub fn owns(&self, xid: Xid) -> bool {
        self.open == xid
    }
}
