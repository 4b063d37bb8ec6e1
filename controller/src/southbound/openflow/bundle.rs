//! One ONF bundle under way: encoded as the socket takes it, committed only if the switch refused nothing.
//!
//! Open vSwitch keeps a bundle open although it refused an addition, and a commit then applies the rest. So a barrier
//! stands before the commit, and any error means discard.

use super::{ApplyError, Refusal, RefusalReason};
use crate::reconcile::{Op, Plan};
use openflow::{
    Connection, EncodeError, Event, GroupId, Message, Xid,
    message::{
        BundleAdd, BundleControl, BundleControlKind, BundleFlags, ErrorMessage, FlowModCommand, GroupMod,
        GroupModCommand,
    },
};
use std::{ops::Range, sync::Arc};

const FLAGS: BundleFlags = BundleFlags(BundleFlags::ATOMIC.0 | BundleFlags::ORDERED.0);

/// A bundle from its first byte to the switch's verdict.
#[derive(Debug)]
pub(super) struct BundleRun {
    id: u32,
    plan: Arc<Plan>,
    /// The part of the plan's ops that this bundle is.
    range: Range<usize>,
    /// Xid of the message for each op that was encoded; they ascend, but not without gaps.
    xids: Vec<Xid>,
    open: Xid,
    phase: Phase,
    refusals: Vec<Refusal>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Adding,
    Barrier(Xid),
    Committing(Xid),
    Discarding(Xid),
}

impl BundleRun {
    /// Begins: OPEN goes to `out`.
    pub(super) fn start(
        connection: &mut Connection,
        id: u32,
        plan: Arc<Plan>,
        range: Range<usize>,
        out: &mut Vec<u8>,
    ) -> Self {
        let mut run = Self {
            id,
            xids: Vec::with_capacity(range.len()),
            plan,
            range,
            open: Xid(0),
            phase: Phase::Adding,
            refusals: Vec::new(),
        };
        run.open = run.control(connection, BundleControlKind::OpenRequest, out);
        run
    }

    /// Encodes additions until `out` holds `limit` bytes, and the barrier after the last one.
    pub(super) fn fill(&mut self, connection: &mut Connection, limit: usize, out: &mut Vec<u8>) {
        while matches!(self.phase, Phase::Adding) && out.len() < limit {
            let index = self.range.start + self.xids.len();
            let xid = connection.next_xid();
            let Some(op) = self.plan.ops.get(index).filter(|_| index < self.range.end) else {
                put(&Message::BarrierRequest, xid, out);
                self.phase = Phase::Barrier(xid);
                return;
            };
            self.xids.push(xid);
            if let Err(why) = self.encode_op(op, xid, out) {
                self.refusals.push(Refusal { index, why: RefusalReason::Encode(why) });
            }
        }
    }

    fn encode_op(&self, op: &Op, xid: Xid, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let group = |command, group, out: &mut Vec<u8>| {
            let message = Box::new(Message::GroupMod(GroupMod { command, group }));
            Message::BundleAdd(BundleAdd { id: self.id, flags: FLAGS, xid, message }).encode(xid, out)
        };
        match op {
            Op::PutFlow(flow) => flow.raw().encode_bundle_add(xid, self.id, FLAGS, FlowModCommand::Add, out),
            Op::DeleteFlow(flow) => {
                flow.raw().encode_bundle_add(xid, self.id, FLAGS, FlowModCommand::DeleteStrict, out)
            }
            Op::PutGroup(put) => group(GroupModCommand::AddOrModify, put.clone(), out),
            Op::DeleteGroup(id) => group(GroupModCommand::Delete, empty_group(*id), out),
        }
    }

    /// Looks at what came from the switch; `Some` is the end of the bundle.
    pub(super) fn handle_event(
        &mut self,
        connection: &mut Connection,
        event: &Event,
        out: &mut Vec<u8>,
    ) -> Option<Result<(), ApplyError>> {
        match event {
            Event::Error { xid, error } => self.handle_error(*xid, error),
            Event::Reply { xid, .. } => match self.phase {
                Phase::Barrier(barrier) if barrier == *xid => {
                    self.phase = if self.refusals.is_empty() {
                        Phase::Committing(self.control(connection, BundleControlKind::CommitRequest, out))
                    } else {
                        Phase::Discarding(self.control(connection, BundleControlKind::DiscardRequest, out))
                    };
                    None
                }
                Phase::Committing(commit) if commit == *xid => Some(Ok(())),
                Phase::Discarding(discard) if discard == *xid => Some(Err(self.refused())),
                Phase::Adding | Phase::Barrier(_) | Phase::Committing(_) | Phase::Discarding(_) => None,
            },
            Event::Ready { .. } | Event::Message { .. } | Event::Malformed { .. } | Event::Closed { .. } => {
                None
            }
        }
    }

    fn handle_error(&mut self, xid: Xid, error: &ErrorMessage) -> Option<Result<(), ApplyError>> {
        // The switch cannot do bundles, or gave this one up because it was idle for too long.
        if xid == self.open {
            return Some(Err(failed(error)));
        }
        if let Some(index) = self.index_of(xid) {
            self.refusals.push(Refusal { index, why: RefusalReason::Switch(error.clone()) });
            return None;
        }
        match self.phase {
            // Of a failed commit the refused op comes first, under its own xid.
            Phase::Committing(commit) if commit == xid => {
                Some(Err(if self.refusals.is_empty() { failed(error) } else { self.refused() }))
            }
            // The bundle is gone already, which is what was wanted.
            Phase::Discarding(discard) if discard == xid => Some(Err(self.refused())),
            Phase::Adding | Phase::Barrier(_) | Phase::Committing(_) | Phase::Discarding(_) => None,
        }
    }

    /// True if the answer under this xid is for this bundle.
    pub(super) fn owns(&self, xid: Xid) -> bool {
        let phase = match self.phase {
            Phase::Adding => false,
            Phase::Barrier(own) | Phase::Committing(own) | Phase::Discarding(own) => own == xid,
        };
        phase || xid == self.open || self.index_of(xid).is_some()
    }

    fn refused(&mut self) -> ApplyError {
        if self.refusals.iter().any(|r| matches!(&r.why, RefusalReason::Switch(error) if is_slave(error))) {
            return ApplyError::NotMaster;
        }
        let mut refusals = std::mem::take(&mut self.refusals);
        refusals.sort_by_key(|r| r.index);
        refusals.dedup_by_key(|r| r.index);
        ApplyError::Refused(refusals)
    }

    /// Xids ascend from the OPEN's on, modulo 2^32.
    fn index_of(&self, xid: Xid) -> Option<usize> {
        let age = |x: Xid| x.0.wrapping_sub(self.open.0);
        self.xids.binary_search_by_key(&age(xid), |x| age(*x)).ok().map(|nth| self.range.start + nth)
    }

    fn control(&self, connection: &mut Connection, kind: BundleControlKind, out: &mut Vec<u8>) -> Xid {
        let xid = connection.next_xid();
        put(&Message::BundleControl(BundleControl { id: self.id, kind, flags: FLAGS }), xid, out);
        xid
    }
}

/// The fault is in the bundle as such.
fn failed(error: &ErrorMessage) -> ApplyError {
    if is_slave(error) { ApplyError::NotMaster } else { ApplyError::Bundle(error.clone()) }
}

/// OFPBRC_IS_SLAVE of OFPET_BAD_REQUEST: the fault is in our role, not in the change.
const fn is_slave(error: &ErrorMessage) -> bool {
    error.kind == 1 && error.code == 10
}

/// Encodes a message of fixed size, which cannot fail.
fn put(message: &Message, xid: Xid, out: &mut Vec<u8>) {
    let done = message.encode(xid, out);
    debug_assert_eq!(done, Ok(()));
}

/// What a deletion of a group carries.
const fn empty_group(id: GroupId) -> openflow::Group {
    openflow::Group { id, kind: openflow::GroupType::All, buckets: Vec::new() }
}
