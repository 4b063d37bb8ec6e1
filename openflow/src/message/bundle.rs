//! Bundles for OpenFlow 1.3 (ONF extension 230, experimenter messages 2300 and 2301).

use super::{Message, Xid};
use crate::{
    code::{bit_set, open_enum},
    wire::{DecodeError, EncodeError, MAX_NESTING, Put, Reader},
};

open_enum! {
    /// ONF_BCT_*.
    BundleControlKind(u16) {
        /// Begin.
        OpenRequest = 0,
        /// Begun.
        OpenReply = 1,
        /// No more additions.
        CloseRequest = 2,
        /// Closed.
        CloseReply = 3,
        /// Apply everything.
        CommitRequest = 4,
        /// Applied.
        CommitReply = 5,
        /// Forget everything.
        DiscardRequest = 6,
        /// Forgotten.
        DiscardReply = 7,
    }
}

bit_set! {
    /// ONF_BF_*.
    BundleFlags(u16) {
        /// All or nothing.
        ATOMIC = 0x1,
        /// In the order of the additions.
        ORDERED = 0x2,
    }
}

/// Experimenter message 2300.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BundleControl {
    /// Which bundle of this connection.
    pub id: u32,
    /// What to do, or what was done.
    pub kind: BundleControlKind,
    /// How; Open vSwitch replies with 0.
    pub flags: BundleFlags,
}

/// Experimenter message 2301: a message for the bundle. Both xids must be equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BundleAdd {
    /// Which bundle.
    pub id: u32,
    /// How, as when it was opened.
    pub flags: BundleFlags,
    /// The inner message's xid.
    pub xid: Xid,
    /// A flow-mod or group-mod.
    pub message: Box<Message>,
}

impl BundleControl {
    pub(super) fn put(self, out: &mut Vec<u8>) {
        out.put_u32(self.id);
        out.put_u16(self.kind.into());
        out.put_u16(self.flags.0);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "bundle control";
        let control = Self { id: r.u32(WHAT)?, kind: r.u16(WHAT)?.into(), flags: BundleFlags(r.u16(WHAT)?) };
        // Properties may follow; none is defined that matters here.
        r.take_rest();
        Ok(control)
    }
}

/// Appends what stands before the inner message of a bundle-add.
pub(super) fn put_add(id: u32, flags: BundleFlags, out: &mut Vec<u8>) {
    out.put_u32(id);
    out.put_zeros(2);
    out.put_u16(flags.0);
}

impl BundleAdd {
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_add(self.id, self.flags, out);
        self.message.encode(self.xid, out)
    }

    pub(super) fn read(r: &mut Reader<'_>, depth: usize) -> Result<Self, DecodeError> {
        const WHAT: &str = "bundle-add";
        // A bundle-add holds a message, which might again be a bundle-add.
        if depth >= MAX_NESTING {
            return Err(DecodeError::TooDeep);
        }
        let id = r.u32(WHAT)?;
        r.skip(WHAT, 2)?;
        let flags = BundleFlags(r.u16(WHAT)?);
        let inner = r.element(WHAT, 2, super::HEADER_LEN, 1)?;
        // Padding and properties may follow; none is defined that matters here.
        r.take_rest();
        let (xid, message) = Message::decode_nested(inner, depth + 1)?;
        Ok(Self { id, flags, xid, message: Box::new(message) })
    }
}
