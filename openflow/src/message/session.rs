//! Messages that open, keep and configure a session: OpenFlow 1.3.5, 7.1, 7.3.1, 7.3.2, 7.3.9, 7.3.10, 7.5.

use crate::code::{bit_set, open_enum};
use packet::DatapathId;

/// OFPT_HELLO: the versions a side speaks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hello {
    /// Version of the message's own header: the highest the sender speaks.
    pub version: u8,
    /// The version bitmap, bit n = version n, if there was one.
    pub bitmap: Option<u32>,
}

/// OFPT_FEATURES_REPLY.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Features {
    /// Which switch this is.
    pub datapath_id: DatapathId,
    /// How many packets it can buffer; Open vSwitch: 0.
    pub n_buffers: u32,
    /// How many tables it has.
    pub n_tables: u8,
    /// 0 = main connection.
    pub auxiliary_id: u8,
    /// OFPC_* bits.
    pub capabilities: u32,
    /// Reserved word, kept.
    pub reserved: u32,
}

/// OFPT_SET_CONFIG and OFPT_GET_CONFIG_REPLY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SwitchConfig {
    /// OFPC_FRAG_*: 0 = handle fragments as any packet.
    pub flags: u16,
    /// Octets of a packet that a packet-in of a table miss carries; 0xffff = all.
    pub miss_send_len: u16,
}

open_enum! {
    /// What a controller may do on a switch (OFPCR_ROLE_*).
    Role(u32) {
        /// Only asks which role it has.
        NoChange = 0,
        /// Full access, not exclusive.
        Equal = 1,
        /// Full access; every other master becomes a slave.
        Master = 2,
        /// Read only.
        Slave = 3,
    }
}

/// OFPT_ROLE_REQUEST and OFPT_ROLE_REPLY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RoleChange {
    /// The role.
    pub role: Role,
    /// Guards against late requests of an old master: must not go backwards.
    pub generation_id: u64,
}

/// ONF experimenter message 1911: the switch changed our role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RoleStatus {
    /// The role we have now.
    pub role: Role,
    /// Why (OFPCRR_*): 0 another master, 1 configuration, 2 experimenter.
    pub reason: u8,
    /// The generation id of the change; all ones when none is known.
    pub generation_id: u64,
}

/// OFPT_SET_ASYNC and OFPT_GET_ASYNC_REPLY: bit n of a mask lets reason n through; `[0]` as master or equal,
/// `[1]` as slave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AsyncConfig {
    /// Bits of [`PacketInReason`](super::PacketInReason).
    pub packet_in: [u32; 2],
    /// Bits of [`PortChange`](super::PortChange).
    pub port_status: [u32; 2],
    /// Bits of [`FlowRemovedReason`](super::FlowRemovedReason).
    pub flow_removed: [u32; 2],
}

open_enum! {
    /// NXT_SET_PACKET_IN_FORMAT: what a packet-in looks like.
    PacketInFormat(u32) {
        /// OFPT_PACKET_IN.
        Standard = 0,
        /// NXT_PACKET_IN.
        Nxm = 1,
        /// NXT_PACKET_IN2: with userdata and continuation.
        Nxt2 = 2,
    }
}

bit_set! {
    /// OFPC_*: what a switch can do.
    Capabilities(u32) {
        /// Flow statistics.
        FLOW_STATS = 0x1,
        /// Table statistics.
        TABLE_STATS = 0x2,
        /// Port statistics.
        PORT_STATS = 0x4,
        /// Group statistics.
        GROUP_STATS = 0x8,
        /// Reassembles IP fragments.
        IP_REASM = 0x20,
        /// Queue statistics.
        QUEUE_STATS = 0x40,
        /// Blocks looping ports by itself.
        PORT_BLOCKED = 0x100,
    }
}

/// An OFPT_ERROR, of the specification or of an experimenter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ErrorMessage {
    /// OFPET_*: what kind of request failed; 0xffff = experimenter.
    pub kind: u16,
    /// The code within the kind; of an experimenter error its type.
    pub code: u16,
    /// Whose error it is where `kind` is 0xffff.
    pub experimenter: Option<u32>,
    /// The message that failed (Open vSwitch sends it whole), or a text where the hello failed.
    pub data: Vec<u8>,
}

impl std::fmt::Display for ErrorMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "error type {} code {}", self.kind, self.code)
    }
}
