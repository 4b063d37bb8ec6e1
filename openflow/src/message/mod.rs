//! The messages of OpenFlow 1.3 that a controller and Open vSwitch exchange.

mod bundle;
mod flow_mod;
mod monitor;
mod multipart;
mod packets;
mod session;

pub use bundle::{BundleAdd, BundleControl, BundleControlKind, BundleFlags};
pub use flow_mod::{
    FlowFlags, FlowMod, FlowModCommand, GroupMod, GroupModCommand, Meter, MeterBand, MeterFlags, MeterMod,
    MeterModCommand,
};
pub use monitor::{FlowMonitorRequest, FlowUpdate, MonitorFlags, MonitoredFlow};
pub use multipart::{
    AggregateStats, FlowFilter, FlowStats, GroupStats, MeterFeatures, MeterStats, MultipartReply,
    MultipartRequest, PortStats, SwitchDesc, TableStats,
};
pub use packets::{
    FlowRemoved, FlowRemovedReason, PacketIn, PacketInFormatUsed, PacketInReason, PacketOut, PortChange,
    PortDesc, PortStatus,
};
pub use session::{
    AsyncConfig, Capabilities, ErrorMessage, Features, Hello, PacketInFormat, Role, RoleChange, RoleStatus,
    SwitchConfig,
};

use crate::{
    flow::Flow,
    wire::{DecodeError, EncodeError, Reader},
};

/// The version octet of OpenFlow 1.3.
pub const VERSION: u8 = 0x04;

/// Octets of a message header.
pub const HEADER_LEN: usize = 8;

/// Joins a request with its replies and errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Xid(pub u32);

/// The eight octets before every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// OpenFlow version.
    pub version: u8,
    /// OFPT_*.
    pub kind: u8,
    /// Octets of the whole message.
    pub len: u16,
    /// Transaction.
    pub xid: Xid,
}

/// One message, either direction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Message {
    /// OFPT_HELLO.
    Hello(Hello),
    /// OFPT_ERROR.
    Error(ErrorMessage),
    /// OFPT_ECHO_REQUEST with its payload.
    EchoRequest(Vec<u8>),
    /// OFPT_ECHO_REPLY with the payload of the request.
    EchoReply(Vec<u8>),
    /// OFPT_FEATURES_REQUEST.
    FeaturesRequest,
    /// OFPT_FEATURES_REPLY.
    FeaturesReply(Features),
    /// OFPT_GET_CONFIG_REQUEST.
    GetConfigRequest,
    /// OFPT_GET_CONFIG_REPLY.
    GetConfigReply(SwitchConfig),
    /// OFPT_SET_CONFIG.
    SetConfig(SwitchConfig),
    /// OFPT_PACKET_IN or NXT_PACKET_IN2.
    PacketIn(PacketIn),
    /// OFPT_FLOW_REMOVED.
    FlowRemoved(FlowRemoved),
    /// OFPT_PORT_STATUS.
    PortStatus(PortStatus),
    /// OFPT_PACKET_OUT.
    PacketOut(PacketOut),
    /// OFPT_FLOW_MOD.
    FlowMod(FlowMod),
    /// OFPT_GROUP_MOD.
    GroupMod(GroupMod),
    /// OFPT_METER_MOD.
    MeterMod(MeterMod),
    /// OFPT_MULTIPART_REQUEST.
    MultipartRequest(MultipartRequest),
    /// OFPT_MULTIPART_REPLY.
    MultipartReply {
        /// More parts follow (OFPMPF_REPLY_MORE).
        more: bool,
        /// This part.
        body: MultipartReply,
    },
    /// OFPT_BARRIER_REQUEST.
    BarrierRequest,
    /// OFPT_BARRIER_REPLY.
    BarrierReply,
    /// OFPT_ROLE_REQUEST.
    RoleRequest(RoleChange),
    /// OFPT_ROLE_REPLY.
    RoleReply(RoleChange),
    /// ONF 1911.
    RoleStatus(RoleStatus),
    /// OFPT_GET_ASYNC_REQUEST.
    GetAsyncRequest,
    /// OFPT_GET_ASYNC_REPLY.
    GetAsyncReply(AsyncConfig),
    /// OFPT_SET_ASYNC.
    SetAsync(AsyncConfig),
    /// NXT_SET_PACKET_IN_FORMAT.
    SetPacketInFormat(PacketInFormat),
    /// NXT_SET_CONTROLLER_ID.
    SetControllerId(u16),
    /// ONF 2300.
    BundleControl(BundleControl),
    /// ONF 2301.
    BundleAdd(BundleAdd),
    /// ONF 1870: the switch stopped sending flow updates because we read too slowly.
    FlowMonitorPaused,
    /// ONF 1871: it sends again; what changed between came before this as if new.
    FlowMonitorResumed,
    /// ONF 1870 request: stop a flow monitor.
    FlowMonitorCancel(u32),
    /// Anything else.
    Unknown {
        /// OFPT_*.
        kind: u8,
        /// What follows the header.
        body: Vec<u8>,
    },
}

impl Header {
    /// Reads a header from the front of a message.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] below eight octets.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        Ok(Self {
            version: r.u8("header")?,
            kind: r.u8("header")?,
            len: r.u16("header")?,
            xid: Xid(r.u32("header")?),
        })
    }
}

/// How long the message at the front of a stream is: `None` = not yet known.
pub fn frame_len(stream: &[u8]) -> Option<usize> {
    Header::decode(stream).ok().map(|header| usize::from(header.len))
}

impl Message {
    /// Appends the message to `out`.
    ///
    /// # Errors
    /// [`EncodeError`] if it takes more than 65535 octets or a value does not fit; `out` is as before then.
    pub fn encode(&self, xid: Xid, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let _ = (xid, out);
        Ok(())
    }

    /// Reads one whole message.
    ///
    /// # Errors
    /// [`DecodeError`]; the session can go on with the next message.
    pub fn decode(frame: &[u8]) -> Result<(Xid, Self), DecodeError> {
        let header = Header::decode(frame)?;
        Ok((header.xid, Self::Unknown { kind: header.kind, body: frame.to_vec() }))
    }
}

/// Appends a flow-mod without timeouts straight from a flow: the fast path of [`Message::encode`].
///
/// # Errors
/// As [`Message::encode`].
pub fn encode_flow_mod(
    xid: Xid,
    command: FlowModCommand,
    flags: FlowFlags,
    flow: &Flow,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let _ = (xid, command, flags, flow, out);
    Ok(())
}

/// Appends an ONF bundle-add of a flow-mod without timeouts, straight from a flow.
///
/// # Errors
/// As [`Message::encode`].
pub fn encode_bundle_add_flow(
    xid: Xid,
    bundle: u32,
    bundle_flags: BundleFlags,
    command: FlowModCommand,
    flags: FlowFlags,
    flow: &Flow,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let _ = (xid, bundle, bundle_flags, command, flags, flow, out);
    Ok(())
}
