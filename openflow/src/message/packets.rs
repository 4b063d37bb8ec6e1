//! Packets to and from the controller, and what a switch tells unasked: OpenFlow 1.3.5, 7.3.7 and 7.4.

use crate::{action::Action, code::open_enum, flow::TableId, matching::Match};
use packet::{MacAddr, OfPort};

open_enum! {
    /// OFPR_*.
    PacketInReason(u8) {
        /// Table miss.
        NoMatch = 0,
        /// An action sent it.
        Action = 1,
        /// TTL ran out.
        InvalidTtl = 2,
    }
}

/// OFPT_PACKET_IN or NXT_PACKET_IN2.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PacketIn {
    /// Which of the two wire forms it had.
    pub format: PacketInFormatUsed,
    /// A buffer of the switch; Open vSwitch has none.
    pub buffer_id: Option<u32>,
    /// Length of the whole packet.
    pub total_len: u32,
    /// Why it came.
    pub reason: PacketInReason,
    /// From which table.
    pub table: TableId,
    /// Cookie of the flow that sent it.
    pub cookie: u64,
    /// in_port, metadata, registers, tunnel fields.
    pub matching: Match,
    /// The bytes of [`ControllerAction::userdata`](crate::action::ControllerAction::userdata).
    pub userdata: Vec<u8>,
    /// The frozen pipeline of an action with `pause`, to be sent back unread.
    pub continuation: Vec<u8>,
    /// The packet.
    pub data: Vec<u8>,
}

/// The wire form of a [`PacketIn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PacketInFormatUsed {
    /// OFPT_PACKET_IN.
    Standard,
    /// NXT_PACKET_IN2.
    Nxt2,
}

/// OFPT_PACKET_OUT.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PacketOut {
    /// A buffer of the switch instead of `data`.
    pub buffer_id: Option<u32>,
    /// Where the packet shall seem to come from: a port or `OfPort::CONTROLLER`.
    pub in_port: OfPort,
    /// What to do with it.
    pub actions: Vec<Action>,
    /// The packet.
    pub data: Vec<u8>,
}

open_enum! {
    /// OFPRR_*.
    FlowRemovedReason(u8) {
        /// Idle timeout.
        IdleTimeout = 0,
        /// Hard timeout.
        HardTimeout = 1,
        /// A flow-mod deleted it.
        Delete = 2,
        /// Its group was deleted.
        GroupDelete = 3,
        /// Its meter was deleted.
        MeterDelete = 4,
        /// Evicted by the switch.
        Eviction = 5,
    }
}

/// OFPT_FLOW_REMOVED.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlowRemoved {
    /// Its cookie.
    pub cookie: u64,
    /// Its priority.
    pub priority: u16,
    /// Why it went.
    pub reason: FlowRemovedReason,
    /// Its table.
    pub table: TableId,
    /// Seconds it lived.
    pub duration_sec: u32,
    /// Nanoseconds beyond that.
    pub duration_nsec: u32,
    /// Its idle timeout in seconds.
    pub idle_timeout: u16,
    /// Its hard timeout in seconds.
    pub hard_timeout: u16,
    /// Packets it saw.
    pub packet_count: u64,
    /// Octets it saw.
    pub byte_count: u64,
    /// What it matched.
    pub matching: Match,
}

open_enum! {
    /// OFPPR_*.
    PortChange(u8) {
        /// New port.
        Add = 0,
        /// Gone.
        Delete = 1,
        /// Something of it changed.
        Modify = 2,
    }
}

/// OFPT_PORT_STATUS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PortStatus {
    /// What happened.
    pub change: PortChange,
    /// The port as it is (or was).
    pub port: PortDesc,
}

/// A port as the switch describes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PortDesc {
    /// Its number.
    pub number: OfPort,
    /// Its address.
    pub mac: MacAddr,
    /// Its name: at most 15 octets, as of the interface.
    pub name: String,
    /// OFPPC_*: 1 = administratively down.
    pub config: u32,
    /// OFPPS_*: 1 = no link, 2 = blocked, 4 = live.
    pub state: u32,
    /// Features in use (OFPPF_*).
    pub current: u32,
    /// Features it advertises.
    pub advertised: u32,
    /// Features it could have.
    pub supported: u32,
    /// Features its peer advertises.
    pub peer: u32,
    /// Bit rate now, kbit/s.
    pub current_speed: u32,
    /// Greatest bit rate, kbit/s.
    pub max_speed: u32,
}
