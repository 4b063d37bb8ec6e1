//! Packets to and from the controller, and what a switch tells unasked: OpenFlow 1.3.5, 7.3.7 and 7.4.

use super::flow_mod::{put_buffer, read_buffer};
use crate::{
    action::Action,
    code::open_enum,
    codec::{
        action::{put_actions, put_property, read_actions, read_property},
        oxm::{put_fields, put_match, read_fields, read_match},
    },
    flow::TableId,
    matching::Match,
    wire::{DecodeError, EncodeError, Put, Reader},
};
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
    /// Cookie of the flow that sent it; all ones where no flow did.
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

// NXPINT_*, the properties of NXT_PACKET_IN2.
const PROP_PACKET: u16 = 0;
const PROP_FULL_LEN: u16 = 1;
const PROP_BUFFER_ID: u16 = 2;
const PROP_TABLE_ID: u16 = 3;
const PROP_COOKIE: u16 = 4;
const PROP_REASON: u16 = 5;
const PROP_METADATA: u16 = 6;
const PROP_USERDATA: u16 = 7;
const PROP_CONTINUATION: u16 = 8;

/// The cookie of a packet that no flow sent.
const NO_COOKIE: u64 = u64::MAX;

impl PacketIn {
    /// Appends the body of OFPT_PACKET_IN.
    pub(super) fn put_standard(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_buffer(self.buffer_id, out);
        let total = u16::try_from(self.total_len)
            .map_err(|_| EncodeError::BadValue { what: "length of packet", value: self.total_len.into() })?;
        out.put_u16(total);
        out.put_u8(self.reason.into());
        out.put_u8(self.table.0);
        out.put_u64(self.cookie);
        put_match(&self.matching, out)?;
        out.put_zeros(2);
        out.put_bytes(&self.data);
        Ok(())
    }

    pub(super) fn read_standard(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "packet-in";
        let buffer_id = read_buffer(r)?;
        let total_len = r.u16(WHAT)?.into();
        let reason = r.u8(WHAT)?.into();
        let table = TableId(r.u8(WHAT)?);
        let cookie = r.u64(WHAT)?;
        let matching = read_match(r)?;
        r.skip(WHAT, 2)?;
        Ok(Self {
            format: PacketInFormatUsed::Standard,
            buffer_id,
            total_len,
            reason,
            table,
            cookie,
            matching,
            userdata: Vec::new(),
            continuation: Vec::new(),
            data: r.take_rest().rest().to_vec(),
        })
    }

    /// Appends the properties of NXT_PACKET_IN2, in the order of Open vSwitch.
    pub(super) fn put_nxt2(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_property(PROP_PACKET, &self.data, out)?;
        if self.data.len() != self.total_len as usize {
            put_property(PROP_FULL_LEN, &self.total_len.to_be_bytes(), out)?;
        }
        if let Some(buffer) = self.buffer_id {
            put_property(PROP_BUFFER_ID, &buffer.to_be_bytes(), out)?;
        }
        put_property(PROP_TABLE_ID, &[self.table.0], out)?;
        if self.cookie != NO_COOKIE {
            let mut value = [0; 12];
            value[4..].copy_from_slice(&self.cookie.to_be_bytes());
            put_property(PROP_COOKIE, &value, out)?;
        }
        put_property(PROP_REASON, &[self.reason.into()], out)?;
        let mut fields = Vec::new();
        put_fields(&self.matching, &mut fields)?;
        put_property(PROP_METADATA, &fields, out)?;
        if !self.continuation.is_empty() {
            put_property(PROP_CONTINUATION, &self.continuation, out)?;
        }
        if !self.userdata.is_empty() {
            put_property(PROP_USERDATA, &self.userdata, out)?;
        }
        Ok(())
    }

    pub(super) fn read_nxt2(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut packet = Self {
            format: PacketInFormatUsed::Nxt2,
            buffer_id: None,
            total_len: 0,
            reason: PacketInReason::NoMatch,
            table: TableId(0),
            cookie: NO_COOKIE,
            matching: Match::new(),
            userdata: Vec::new(),
            continuation: Vec::new(),
            data: Vec::new(),
        };
        let mut full_len = None;
        while !r.is_empty() {
            let (kind, value) = read_property(r)?;
            let mut value = Reader::new(value);
            match kind {
                PROP_PACKET => packet.data = value.rest().to_vec(),
                PROP_FULL_LEN => full_len = Some(value.u32("length of packet")?),
                PROP_BUFFER_ID => packet.buffer_id = Some(value.u32("buffer")?),
                PROP_TABLE_ID => packet.table = TableId(value.u8("table")?),
                PROP_COOKIE => {
                    value.skip("cookie", 4)?;
                    packet.cookie = value.u64("cookie")?;
                }
                PROP_REASON => packet.reason = value.u8("reason")?.into(),
                PROP_METADATA => packet.matching = read_fields(value.rest())?,
                PROP_USERDATA => packet.userdata = value.rest().to_vec(),
                PROP_CONTINUATION => packet.continuation = value.rest().to_vec(),
                // A later Open vSwitch may say more.
                _ => {}
            }
        }
        let len = u32::try_from(packet.data.len()).unwrap_or(u32::MAX);
        packet.total_len = full_len.unwrap_or(len);
        Ok(packet)
    }
}

impl PacketOut {
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_buffer(self.buffer_id, out);
        out.put_u32(self.in_port.0);
        let at = out.len();
        out.put_zeros(8);
        let start = out.len();
        put_actions(&self.actions, out)?;
        let len = out.len() - start;
        out.set_u16("actions of packet-out", at, len)?;
        out.put_bytes(&self.data);
        Ok(())
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "packet-out";
        let buffer_id = read_buffer(r)?;
        let in_port = OfPort(r.u32(WHAT)?);
        let len = usize::from(r.u16(WHAT)?);
        r.skip(WHAT, 6)?;
        let actions = read_actions(Reader::new(r.take("actions of packet-out", len)?))?;
        Ok(Self { buffer_id, in_port, actions, data: r.take_rest().rest().to_vec() })
    }
}

impl FlowRemoved {
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.put_u64(self.cookie);
        out.put_u16(self.priority);
        out.put_u8(self.reason.into());
        out.put_u8(self.table.0);
        out.put_u32(self.duration_sec);
        out.put_u32(self.duration_nsec);
        out.put_u16(self.idle_timeout);
        out.put_u16(self.hard_timeout);
        out.put_u64(self.packet_count);
        out.put_u64(self.byte_count);
        put_match(&self.matching, out)
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "flow-removed";
        Ok(Self {
            cookie: r.u64(WHAT)?,
            priority: r.u16(WHAT)?,
            reason: r.u8(WHAT)?.into(),
            table: TableId(r.u8(WHAT)?),
            duration_sec: r.u32(WHAT)?,
            duration_nsec: r.u32(WHAT)?,
            idle_timeout: r.u16(WHAT)?,
            hard_timeout: r.u16(WHAT)?,
            packet_count: r.u64(WHAT)?,
            byte_count: r.u64(WHAT)?,
            matching: read_match(r)?,
        })
    }
}

impl PortStatus {
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.put_u8(self.change.into());
        out.put_zeros(7);
        self.port.put(out)
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let change = r.u8("port-status")?.into();
        r.skip("port-status", 7)?;
        Ok(Self { change, port: PortDesc::read(r)? })
    }
}

impl PortDesc {
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.put_u32(self.number.0);
        out.put_zeros(4);
        out.put_bytes(&self.mac.0);
        out.put_zeros(2);
        out.put_text("name of port", &self.name, 16)?;
        let Self { config, state, current, advertised, supported, peer, current_speed, max_speed, .. } =
            *self;
        for word in [config, state, current, advertised, supported, peer, current_speed, max_speed] {
            out.put_u32(word);
        }
        Ok(())
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "port";
        let number = OfPort(r.u32(WHAT)?);
        r.skip(WHAT, 4)?;
        let mac = MacAddr(r.array(WHAT)?);
        r.skip(WHAT, 2)?;
        Ok(Self {
            number,
            mac,
            name: r.text(WHAT, 16)?,
            config: r.u32(WHAT)?,
            state: r.u32(WHAT)?,
            current: r.u32(WHAT)?,
            advertised: r.u32(WHAT)?,
            supported: r.u32(WHAT)?,
            peer: r.u32(WHAT)?,
            current_speed: r.u32(WHAT)?,
            max_speed: r.u32(WHAT)?,
        })
    }
}
