//! What is done to a packet: OpenFlow 1.3.5, 7.2.5, and the Nicira extensions of `ovs-actions(7)`.

use crate::{
    field::Field,
    flow::{GroupId, TableId},
    matching::FieldMatch,
};
use packet::OfPort;

/// Some bits of a field, as in `NXM_NX_REG0[4..7]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubField {
    /// The field.
    pub field: Field,
    /// Lowest bit, 0 = least significant.
    pub offset: u16,
    /// Number of bits, at least 1.
    pub bits: u16,
}

/// One action.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Send out of a port; `max_len` counts only for the controller (0xffff = whole packet).
    Output {
        /// Where to; also the reserved ports.
        port: OfPort,
        /// Octets of the packet that a packet-in carries.
        max_len: u16,
    },
    /// Send out of the port whose number stands in a field (NXAST_OUTPUT_REG).
    OutputReg {
        /// At least 16 bits of a field.
        src: SubField,
        /// Octets of the packet that a packet-in carries.
        max_len: u16,
    },
    /// Let a group decide.
    Group(GroupId),
    /// Write a whole field (OFPAT_SET_FIELD), or, under a mask, some bits of it (NXAST_REG_LOAD2).
    SetField(FieldMatch),
    /// Write some bits (NXAST_REG_LOAD), right-aligned value of at most 64 bits.
    RegLoad {
        /// The bits written.
        dst: SubField,
        /// What is written there, below 2 to the power of `dst.bits`.
        value: u64,
    },
    /// Copy bits between fields of the same width (NXAST_REG_MOVE).
    Move {
        /// The bits read.
        src: SubField,
        /// The bits written.
        dst: SubField,
    },
    /// Push an 802.1Q or 802.1ad tag of this Ethernet type.
    PushVlan(u16),
    /// Pop the outermost VLAN tag.
    PopVlan,
    /// Decrement TTL or hop limit (OFPAT_DEC_NW_TTL): the packet stops here if it was 0 or 1.
    DecTtl,
    /// Write TTL or hop limit (OFPAT_SET_NW_TTL).
    SetTtl(u8),
    /// Queue for later outputs (OFPAT_SET_QUEUE).
    SetQueue(u32),
    /// Look the packet up again in a table, then go on here (NXAST_RESUBMIT_TABLE). `None` = same in_port.
    Resubmit {
        /// The port to look up with; 0xfff8 (OFPP_IN_PORT) cannot be given, it is what `None` means.
        in_port: Option<u16>,
        /// The table; 255 = the one the flow stands in.
        table: TableId,
    },
    /// Set a bit if the packet is longer than `len` octets (NXAST_CHECK_PKT_LARGER).
    CheckPktLarger {
        /// Octets, from the Ethernet header on.
        len: u16,
        /// The bit.
        dst: SubField,
    },
    /// Send to the controller with userdata, under an optional meter (NXAST_CONTROLLER2).
    Controller(ControllerAction),
    /// Run the actions on a copy (NXAST_CLONE).
    Clone(Vec<Action>),
    /// Save a field on the stack (NXAST_STACK_PUSH).
    StackPush(SubField),
    /// Restore a field from the stack (NXAST_STACK_POP).
    StackPop(SubField),
    /// An action this crate does not interpret: its whole bytes, type and length included.
    Unknown(Vec<u8>),
}

/// NXAST_CONTROLLER2: a packet-in whose meaning is in its userdata.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ControllerAction {
    /// How much of the packet to send; Open vSwitch sends it whole.
    pub max_len: u16,
    /// Which controller connection; 0 = any.
    pub controller_id: u16,
    /// Reason code (OFPR_*): 0 no match, 1 action, 2 invalid TTL.
    pub reason: u8,
    /// Opaque bytes that come back in the packet-in.
    pub userdata: Vec<u8>,
    /// Freeze the pipeline and hand out a continuation.
    pub pause: bool,
    /// Meter that limits the packet-ins, not 0; Open vSwitch takes the extension property since 2.13.
    pub meter: Option<u32>,
}

impl Action {
    /// Sends out of a port proper.
    pub const fn output(port: OfPort) -> Self {
        Self::Output { port, max_len: 0 }
    }

    /// Writes a whole field.
    pub fn set(field: Field, value: impl crate::matching::FieldValue) -> Self {
        Self::SetField(FieldMatch { field, value: value.to_bits(), mask: None })
    }

    /// Continues in a table and comes back.
    pub const fn resubmit(table: TableId) -> Self {
        Self::Resubmit { in_port: None, table }
    }
}

impl SubField {
    /// The bits `offset .. offset + bits` of `field`.
    pub const fn new(field: Field, offset: u16, bits: u16) -> Self {
        Self { field, offset, bits }
    }

    /// All bits of `field`; of [`Field::VlanVid`] the 12 of the id, since actions cannot touch "tag present".
    pub const fn whole(field: Field) -> Self {
        let bits = if matches!(field, Field::VlanVid) { 12 } else { field.bits() };
        Self { field, offset: 0, bits }
    }
}
