//! Bundles for OpenFlow 1.3 (ONF extension 230, experimenter messages 2300 and 2301).

use super::{Message, Xid};
use crate::code::{bit_set, open_enum};

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
