//! The messages of OpenFlow 1.3 that a controller and Open vSwitch exchange.

mod bundle;
mod error;
mod flow_mod;
mod monitor;
mod multipart;
mod packets;
mod session;
mod stats;

pub use bundle::{BundleAdd, BundleControl, BundleControlKind, BundleFlags};
pub use error::ErrorMessage;
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
    AsyncConfig, Capabilities, Features, Hello, PacketInFormat, Role, RoleChange, RoleStatus, SwitchConfig,
};

use crate::{
    codec::action::NICIRA,
    flow::{Flow, Group},
    wire::{DecodeError, EncodeError, Put, Reader},
};

/// The version octet of OpenFlow 1.3.
pub const VERSION: u8 = 0x04;

/// Octets of a message header.
pub const HEADER_LEN: usize = 8;

/// The Open Networking Foundation's experimenter id.
pub(crate) const ONF: u32 = 0x4f4e_4600;

/// OFPT_*.
pub(crate) mod kind {
    pub(crate) const HELLO: u8 = 0;
    pub(crate) const ERROR: u8 = 1;
    pub(crate) const ECHO_REQUEST: u8 = 2;
    pub(crate) const ECHO_REPLY: u8 = 3;
    pub(crate) const EXPERIMENTER: u8 = 4;
    pub(crate) const FEATURES_REQUEST: u8 = 5;
    pub(crate) const FEATURES_REPLY: u8 = 6;
    pub(crate) const GET_CONFIG_REQUEST: u8 = 7;
    pub(crate) const GET_CONFIG_REPLY: u8 = 8;
    pub(crate) const SET_CONFIG: u8 = 9;
    pub(crate) const PACKET_IN: u8 = 10;
    pub(crate) const FLOW_REMOVED: u8 = 11;
    pub(crate) const PORT_STATUS: u8 = 12;
    pub(crate) const PACKET_OUT: u8 = 13;
    pub(crate) const FLOW_MOD: u8 = 14;
    pub(crate) const GROUP_MOD: u8 = 15;
    pub(crate) const MULTIPART_REQUEST: u8 = 18;
    pub(crate) const MULTIPART_REPLY: u8 = 19;
    pub(crate) const BARRIER_REQUEST: u8 = 20;
    pub(crate) const BARRIER_REPLY: u8 = 21;
    pub(crate) const ROLE_REQUEST: u8 = 24;
    pub(crate) const ROLE_REPLY: u8 = 25;
    pub(crate) const GET_ASYNC_REQUEST: u8 = 26;
    pub(crate) const GET_ASYNC_REPLY: u8 = 27;
    pub(crate) const SET_ASYNC: u8 = 28;
    pub(crate) const METER_MOD: u8 = 29;
}

/// How texts name a message type.
pub(crate) fn kind_name(kind: u8) -> &'static str {
    const NAMES: [&str; 30] = [
        "hello",
        "error",
        "echo request",
        "echo reply",
        "experimenter message",
        "features request",
        "features reply",
        "get-config request",
        "get-config reply",
        "set-config",
        "packet-in",
        "flow-removed",
        "port-status",
        "packet-out",
        "flow-mod",
        "group-mod",
        "port-mod",
        "table-mod",
        "multipart request",
        "multipart reply",
        "barrier request",
        "barrier reply",
        "queue request",
        "queue reply",
        "role request",
        "role reply",
        "get-async request",
        "get-async reply",
        "set-async",
        "meter-mod",
    ];
    NAMES.get(usize::from(kind)).copied().unwrap_or("message of unknown type")
}

/// Experimenter messages: (experimenter, type).
mod exp {
    use super::{NICIRA, ONF};

    pub(super) const SET_PACKET_IN_FORMAT: (u32, u32) = (NICIRA, 16);
    pub(super) const SET_CONTROLLER_ID: (u32, u32) = (NICIRA, 20);
    pub(super) const PACKET_IN2: (u32, u32) = (NICIRA, 30);
    pub(super) const FLOW_MONITOR_CANCEL: (u32, u32) = (ONF, 1870);
    pub(super) const FLOW_MONITOR_PAUSED: (u32, u32) = (ONF, 1871);
    pub(super) const FLOW_MONITOR_RESUMED: (u32, u32) = (ONF, 1872);
    pub(super) const ROLE_STATUS: (u32, u32) = (ONF, 1911);
    pub(super) const BUNDLE_CONTROL: (u32, u32) = (ONF, 2300);
    pub(super) const BUNDLE_ADD: (u32, u32) = (ONF, 2301);
}

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
    /// ONF 1870: stop a flow monitor.
    FlowMonitorCancel(u32),
    /// ONF 1871: the switch stopped sending flow updates because we read too slowly.
    FlowMonitorPaused,
    /// ONF 1872: it sends again; what changed between came before this as if new.
    FlowMonitorResumed,
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

/// Runs `body` between a header and the patching of its length; undoes everything on an error.
fn framed(
    version: u8,
    kind: u8,
    xid: Xid,
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.len();
    out.put_u8(version);
    out.put_u8(kind);
    out.put_u16(0);
    out.put_u32(xid.0);
    let result = body(out).and_then(|()| out.patch_len("message", start, 2));
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn put_experimenter((experimenter, kind): (u32, u32), out: &mut Vec<u8>) {
    out.put_u32(experimenter);
    out.put_u32(kind);
}

impl Message {
    /// Appends the message to `out`.
    ///
    /// # Errors
    /// [`EncodeError`] if it takes more than 65535 octets or a value does not fit; `out` is as before then.
    pub fn encode(&self, xid: Xid, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let version = if let Self::Hello(hello) = self { hello.version } else { VERSION };
        framed(version, self.kind(), xid, out, |out| self.put_body(out))
    }

    /// OFPT_*.
    const fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => kind::HELLO,
            Self::Error(_) => kind::ERROR,
            Self::EchoRequest(_) => kind::ECHO_REQUEST,
            Self::EchoReply(_) => kind::ECHO_REPLY,
            Self::FeaturesRequest => kind::FEATURES_REQUEST,
            Self::FeaturesReply(_) => kind::FEATURES_REPLY,
            Self::GetConfigRequest => kind::GET_CONFIG_REQUEST,
            Self::GetConfigReply(_) => kind::GET_CONFIG_REPLY,
            Self::SetConfig(_) => kind::SET_CONFIG,
            Self::PacketIn(PacketIn { format: PacketInFormatUsed::Standard, .. }) => kind::PACKET_IN,
            Self::FlowRemoved(_) => kind::FLOW_REMOVED,
            Self::PortStatus(_) => kind::PORT_STATUS,
            Self::PacketOut(_) => kind::PACKET_OUT,
            Self::FlowMod(_) => kind::FLOW_MOD,
            Self::GroupMod(_) => kind::GROUP_MOD,
            Self::MeterMod(_) => kind::METER_MOD,
            Self::MultipartRequest(_) => kind::MULTIPART_REQUEST,
            Self::MultipartReply { .. } => kind::MULTIPART_REPLY,
            Self::BarrierRequest => kind::BARRIER_REQUEST,
            Self::BarrierReply => kind::BARRIER_REPLY,
            Self::RoleRequest(_) => kind::ROLE_REQUEST,
            Self::RoleReply(_) => kind::ROLE_REPLY,
            Self::GetAsyncRequest => kind::GET_ASYNC_REQUEST,
            Self::GetAsyncReply(_) => kind::GET_ASYNC_REPLY,
            Self::SetAsync(_) => kind::SET_ASYNC,
            Self::PacketIn(_)
            | Self::RoleStatus(_)
            | Self::SetPacketInFormat(_)
            | Self::SetControllerId(_)
            | Self::BundleControl(_)
            | Self::BundleAdd(_)
            | Self::FlowMonitorCancel(_)
            | Self::FlowMonitorPaused
            | Self::FlowMonitorResumed => kind::EXPERIMENTER,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    fn put_body(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Self::FeaturesRequest
            | Self::GetConfigRequest
            | Self::BarrierRequest
            | Self::BarrierReply
            | Self::GetAsyncRequest => {}
            Self::Hello(hello) => hello.put(out),
            Self::Error(error) => error.put(out),
            Self::EchoRequest(data) | Self::EchoReply(data) => out.put_bytes(data),
            Self::FeaturesReply(features) => features.put(out),
            Self::GetConfigReply(config) | Self::SetConfig(config) => config.put(out),
            Self::PacketIn(packet) if packet.format == PacketInFormatUsed::Standard => {
                packet.put_standard(out)?
            }
            Self::FlowRemoved(removed) => removed.put(out)?,
            Self::PortStatus(status) => status.put(out)?,
            Self::PacketOut(packet) => packet.put(out)?,
            Self::FlowMod(flow_mod) => flow_mod.put(out)?,
            Self::GroupMod(group_mod) => group_mod.put(out)?,
            Self::MeterMod(meter_mod) => meter_mod.put(out)?,
            Self::MultipartRequest(request) => request.put(out)?,
            Self::MultipartReply { more, body } => body.put(*more, out)?,
            Self::RoleRequest(role) | Self::RoleReply(role) => role.put(out),
            Self::GetAsyncReply(config) | Self::SetAsync(config) => config.put(out),
            Self::Unknown { body, .. } => out.put_bytes(body),
            experimenter => experimenter.put_experimenter_body(out)?,
        }
        Ok(())
    }

    fn put_experimenter_body(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Self::PacketIn(packet) => {
                put_experimenter(exp::PACKET_IN2, out);
                packet.put_nxt2(out)?;
            }
            Self::RoleStatus(status) => {
                put_experimenter(exp::ROLE_STATUS, out);
                status.put(out);
            }
            Self::SetPacketInFormat(format) => {
                put_experimenter(exp::SET_PACKET_IN_FORMAT, out);
                out.put_u32((*format).into());
            }
            Self::SetControllerId(id) => {
                put_experimenter(exp::SET_CONTROLLER_ID, out);
                session::put_controller_id(*id, out);
            }
            Self::BundleControl(control) => {
                put_experimenter(exp::BUNDLE_CONTROL, out);
                control.put(out);
            }
            Self::BundleAdd(add) => {
                put_experimenter(exp::BUNDLE_ADD, out);
                add.put(out)?;
            }
            Self::FlowMonitorCancel(id) => {
                put_experimenter(exp::FLOW_MONITOR_CANCEL, out);
                out.put_u32(*id);
            }
            Self::FlowMonitorPaused => put_experimenter(exp::FLOW_MONITOR_PAUSED, out),
            Self::FlowMonitorResumed => put_experimenter(exp::FLOW_MONITOR_RESUMED, out),
            // The others are OpenFlow's own and were written by the caller.
            _ => {}
        }
        Ok(())
    }

    /// Reads one whole message. What it does not know it keeps ([`Message::Unknown`]).
    ///
    /// Hello and error may have any version, since they are sent before one is agreed; the others must have 1.3.
    ///
    /// # Errors
    /// [`DecodeError`]; the session can go on with the next message.
    pub fn decode(frame: &[u8]) -> Result<(Xid, Self), DecodeError> {
        Self::decode_nested(frame, 0)
    }

    fn decode_nested(frame: &[u8], depth: usize) -> Result<(Xid, Self), DecodeError> {
        let header = Header::decode(frame)?;
        if usize::from(header.len) != frame.len() {
            return Err(DecodeError::BadLength { what: "message", len: header.len.into() });
        }
        let any_version = matches!(header.kind, kind::HELLO | kind::ERROR);
        if header.version != VERSION && !any_version {
            return Err(DecodeError::BadVersion(header.version));
        }
        let mut r = Reader::new(frame);
        r.skip("header", HEADER_LEN)?;
        let message = Self::read_body(header, &mut r, depth)?;
        if !r.is_empty() {
            return Err(DecodeError::BadLength { what: kind_name(header.kind), len: header.len.into() });
        }
        Ok((header.xid, message))
    }

    fn read_body(header: Header, r: &mut Reader<'_>, depth: usize) -> Result<Self, DecodeError> {
        let bytes = |r: &mut Reader<'_>| r.take_rest().rest().to_vec();
        Ok(match header.kind {
            kind::HELLO => Self::Hello(Hello::read(header.version, r)),
            kind::ERROR => Self::Error(ErrorMessage::read(r)?),
            kind::ECHO_REQUEST => Self::EchoRequest(bytes(r)),
            kind::ECHO_REPLY => Self::EchoReply(bytes(r)),
            kind::EXPERIMENTER => Self::read_experimenter(r, depth)?,
            kind::FEATURES_REQUEST => Self::FeaturesRequest,
            kind::FEATURES_REPLY => Self::FeaturesReply(Features::read(r)?),
            kind::GET_CONFIG_REQUEST => Self::GetConfigRequest,
            kind::GET_CONFIG_REPLY => Self::GetConfigReply(SwitchConfig::read(r)?),
            kind::SET_CONFIG => Self::SetConfig(SwitchConfig::read(r)?),
            kind::PACKET_IN => Self::PacketIn(PacketIn::read_standard(r)?),
            kind::FLOW_REMOVED => Self::FlowRemoved(FlowRemoved::read(r)?),
            kind::PORT_STATUS => Self::PortStatus(PortStatus::read(r)?),
            kind::PACKET_OUT => Self::PacketOut(PacketOut::read(r)?),
            kind::FLOW_MOD => Self::FlowMod(FlowMod::read(r)?),
            kind::GROUP_MOD => Self::GroupMod(GroupMod::read(r)?),
            kind::METER_MOD => Self::MeterMod(MeterMod::read(r)?),
            kind::MULTIPART_REQUEST => Self::MultipartRequest(MultipartRequest::read(r)?),
            kind::MULTIPART_REPLY => {
                let (more, body) = MultipartReply::read(r)?;
                Self::MultipartReply { more, body }
            }
            kind::BARRIER_REQUEST => Self::BarrierRequest,
            kind::BARRIER_REPLY => Self::BarrierReply,
            kind::ROLE_REQUEST => Self::RoleRequest(RoleChange::read(r)?),
            kind::ROLE_REPLY => Self::RoleReply(RoleChange::read(r)?),
            kind::GET_ASYNC_REQUEST => Self::GetAsyncRequest,
            kind::GET_ASYNC_REPLY => Self::GetAsyncReply(AsyncConfig::read(r)?),
            kind::SET_ASYNC => Self::SetAsync(AsyncConfig::read(r)?),
            kind => Self::Unknown { kind, body: bytes(r) },
        })
    }

    fn read_experimenter(r: &mut Reader<'_>, depth: usize) -> Result<Self, DecodeError> {
        let whole = *r;
        let id = (r.u32("experimenter message")?, r.u32("experimenter message").unwrap_or(0));
        Ok(match id {
            exp::SET_PACKET_IN_FORMAT => Self::SetPacketInFormat(r.u32("packet-in format")?.into()),
            exp::SET_CONTROLLER_ID => Self::SetControllerId(session::read_controller_id(r)?),
            exp::PACKET_IN2 => Self::PacketIn(PacketIn::read_nxt2(r)?),
            exp::ROLE_STATUS => Self::RoleStatus(RoleStatus::read(r)?),
            exp::BUNDLE_CONTROL => Self::BundleControl(BundleControl::read(r)?),
            exp::BUNDLE_ADD => Self::BundleAdd(BundleAdd::read(r, depth)?),
            exp::FLOW_MONITOR_CANCEL => Self::FlowMonitorCancel(r.u32("flow monitor")?),
            exp::FLOW_MONITOR_PAUSED => Self::FlowMonitorPaused,
            exp::FLOW_MONITOR_RESUMED => Self::FlowMonitorResumed,
            _ => {
                r.take_rest();
                Self::Unknown { kind: kind::EXPERIMENTER, body: whole.rest().to_vec() }
            }
        })
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
    framed(VERSION, kind::FLOW_MOD, xid, out, |out| flow_mod::Terms::plain(command, flags).put(flow, out))
}

/// Appends a group-mod straight from a group.
///
/// # Errors
/// As [`Message::encode`].
pub fn encode_group_mod(
    xid: Xid,
    command: GroupModCommand,
    group: &Group,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    framed(VERSION, kind::GROUP_MOD, xid, out, |out| flow_mod::put_group_mod(command, group, out))
}

/// Appends an ONF bundle-add of what `inner` appends; `inner` must use the same xid.
pub(crate) fn encode_bundle_add(
    xid: Xid,
    bundle: u32,
    bundle_flags: BundleFlags,
    out: &mut Vec<u8>,
    inner: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    framed(VERSION, kind::EXPERIMENTER, xid, out, |out| {
        put_experimenter(exp::BUNDLE_ADD, out);
        bundle::put_add(bundle, bundle_flags, out);
        inner(out)
    })
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
    encode_bundle_add(xid, bundle, bundle_flags, out, |out| encode_flow_mod(xid, command, flags, flow, out))
}
