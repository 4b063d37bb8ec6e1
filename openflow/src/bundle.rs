//! One ONF bundle, from OPEN to the answer to its COMMIT, on top of a [`Connection`].
//!
//! Open vSwitch keeps a bundle open although it refused an addition, and a COMMIT then applies the rest: half an
//! update in a bundle called atomic. So a barrier stands before the COMMIT, and any error before it means DISCARD.

use crate::{
    connection::{Connection, Event},
    flow::{Flow, Group},
    message::{
        BundleControl, BundleControlKind, BundleFlags, ErrorMessage, FlowFlags, FlowModCommand,
        GroupModCommand, Message, Xid, encode_bundle_add, encode_bundle_add_flow, encode_group_mod,
    },
    wire::EncodeError,
};

/// One change of a bundle. A bundle cannot hold changes of meters.
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
    /// Changes that the switch refused: those that failed at ADD, or the one that failed at COMMIT. Never empty.
    #[error("switch refused {} of the bundle's changes{}", .0.len(), first(.0))]
    Refused(Vec<Refusal>),
    /// The bundle itself was refused (opened twice, timed out, bundles unknown).
    #[error("switch refused the bundle: {0}")]
    Failed(ErrorMessage),
}

fn first(refusals: &[Refusal]) -> String {
    refusals
        .first()
        .map_or_else(String::new, |refusal| format!(", first change {}: {}", refusal.index, refusal.error))
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
    /// Xid of OPEN; those of the additions follow it one by one.
    open: Xid,
    /// How many additions.
    count: usize,
    phase: Phase,
    refusals: Vec<Refusal>,
    /// What befell the bundle as a whole.
    failure: Option<ErrorMessage>,
}

/// Whose answer is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Barrier(Xid),
    Commit(Xid),
    Discard(Xid),
}

impl Phase {
    const fn xid(self) -> Xid {
        match self {
            Self::Barrier(xid) | Self::Commit(xid) | Self::Discard(xid) => xid,
        }
    }
}

/// Octets of a usual addition, to ask for memory once.
const USUAL_ADD: usize = 192;

/// All or nothing, and in order.
const FLAGS: BundleFlags = BundleFlags::ATOMIC.union(BundleFlags::ORDERED);

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
        let before = connection.output().len();
        let open = control(connection, id, BundleControlKind::OpenRequest);
        let changes = changes.into_iter();
        connection.output().reserve(changes.size_hint().0.saturating_mul(USUAL_ADD));
        let mut count = 0;
        for change in changes {
            let xid = connection.next_xid();
            if let Err(error) = change.put(xid, id, connection.output()) {
                connection.output().truncate(before);
                return Err((count, error));
            }
            count += 1;
        }
        let barrier = put(connection, &Message::BarrierRequest);
        Ok(Self { id, open, count, phase: Phase::Barrier(barrier), refusals: Vec::new(), failure: None })
    }

    /// Looks at an event of the connection; give it every [`Event::Reply`] and [`Event::Error`] whose xid it
    /// [owns](Self::owns). Queues COMMIT or DISCARD when their time has come. `Some` = the bundle is done.
    pub fn handle_event(
        &mut self,
        connection: &mut Connection,
        event: &Event,
    ) -> Option<Result<(), BundleError>> {
        match event {
            Event::Error { xid, error } => self.note(*xid, error),
            Event::Reply { .. } => {}
            _ => return None,
        }
        let (Event::Reply { xid, .. } | Event::Error { xid, .. }) = event else { return None };
        if *xid != self.phase.xid() {
            return None;
        }
        let failed = self.failure.is_some() || !self.refusals.is_empty();
        match self.phase {
            Phase::Barrier(_) if failed => {
                self.phase = Phase::Discard(control(connection, self.id, BundleControlKind::DiscardRequest));
                None
            }
            Phase::Barrier(_) => {
                self.phase = Phase::Commit(control(connection, self.id, BundleControlKind::CommitRequest));
                None
            }
            Phase::Commit(_) | Phase::Discard(_) => Some(self.verdict()),
        }
    }

    /// True if the xid is of a message of this bundle.
    pub fn owns(&self, xid: Xid) -> bool {
        xid == self.open || xid == self.phase.xid() || self.index(xid).is_some()
    }

    /// Remembers an error of one of the messages.
    fn note(&mut self, xid: Xid, error: &ErrorMessage) {
        if let Some(index) = self.index(xid) {
            self.refusals.push(Refusal { index, error: error.clone() });
        } else if self.owns(xid) && self.failure.is_none() && !matches!(self.phase, Phase::Discard(_)) {
            // An error of OPEN also comes when the bundle is too slow for the switch.
            self.failure = Some(error.clone());
        }
    }

    fn verdict(&mut self) -> Result<(), BundleError> {
        let refusals = std::mem::take(&mut self.refusals);
        match self.failure.take() {
            _ if !refusals.is_empty() => Err(BundleError::Refused(refusals)),
            Some(error) => Err(BundleError::Failed(error)),
            None => Ok(()),
        }
    }

    /// The place of an addition in the list of changes.
    fn index(&self, xid: Xid) -> Option<usize> {
        // Xids count up from OPEN's and leave out 0, which is nobody's, where they wrap.
        if xid.0 == 0 {
            return None;
        }
        let wrapped = xid.0 < self.open.0;
        let distance = xid.0.wrapping_sub(self.open.0).checked_sub(1 + u32::from(wrapped))?;
        usize::try_from(distance).ok().filter(|index| *index < self.count)
    }
}

impl Change<'_> {
    fn put(self, xid: Xid, bundle: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Self::Flow { command, flags, flow } => {
                encode_bundle_add_flow(xid, bundle, FLAGS, command, flags, flow, out)
            }
            Self::Group { command, group } => {
                encode_bundle_add(xid, bundle, FLAGS, out, |out| encode_group_mod(xid, command, group, out))
            }
        }
    }
}

fn control(connection: &mut Connection, id: u32, kind: BundleControlKind) -> Xid {
    put(connection, &Message::BundleControl(BundleControl { id, kind, flags: FLAGS }))
}

/// Queues a message that always has an encoding.
fn put(connection: &mut Connection, message: &Message) -> Xid {
    let xid = connection.next_xid();
    let encoded = message.encode(xid, connection.output());
    debug_assert_eq!(encoded, Ok(()));
    xid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_from_xids_also_where_they_wrap() {
        let bundle = Bundle {
            id: 1,
            open: Xid(u32::MAX - 1),
            count: 3,
            phase: Phase::Barrier(Xid(3)),
            refusals: Vec::new(),
            failure: None,
        };
        // 0 is left out.
        let places = [u32::MAX - 1, u32::MAX, 0, 1, 2, 3].map(|xid| bundle.index(Xid(xid)));
        assert_eq!(places, [None, Some(0), None, Some(1), Some(2), None]);
    }
}
