//! Messages that open, keep and configure a session: OpenFlow 1.3.5, 7.1, 7.3.1, 7.3.2, 7.3.9, 7.3.10, 7.5.

use crate::{
    code::{bit_set, open_enum},
    wire::{DecodeError, Put, Reader},
};
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
    /// What it can do.
    pub capabilities: Capabilities,
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

/// OFPHET_VERSIONBITMAP.
const VERSION_BITMAP: u16 = 1;

impl Hello {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        if let Some(bitmap) = self.bitmap {
            out.put_u16(VERSION_BITMAP);
            out.put_u16(8);
            out.put_u32(bitmap);
        }
    }

    /// Reads what can be read: a hello must not fail because of elements nobody knows (OpenFlow 1.3.5, 7.5.1), and
    /// an element without a sound length ends the list.
    pub(super) fn read(version: u8, r: &mut Reader<'_>) -> Self {
        let mut bitmap = None;
        let mut rest = r.take_rest();
        while let Some((kind, mut body)) = Self::element(&mut rest) {
            if kind == VERSION_BITMAP && bitmap.is_none() {
                bitmap = body.u32("hello").ok();
            }
        }
        Self { version, bitmap }
    }

    fn element<'a>(r: &mut Reader<'a>) -> Option<(u16, Reader<'a>)> {
        let kind = r.u16("hello").ok()?;
        let len = usize::from(r.u16("hello").ok()?);
        let body = r.take("hello", len.checked_sub(4)?).ok()?;
        // The last element may come without its padding.
        let padding = (len.next_multiple_of(8) - len).min(r.len());
        r.skip("hello", padding).ok()?;
        Some((kind, Reader::new(body)))
    }

    /// The versions the sender speaks, bit n = version n. Without a bitmap every version up to the header's
    /// (OpenFlow 1.3.5, 6.3.1).
    pub fn versions(&self) -> u32 {
        self.bitmap.unwrap_or_else(|| match u32::from(self.version) {
            version @ 0..=30 => (1 << (version + 1)) - 2,
            _ => u32::MAX - 1,
        })
    }
}

impl Features {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.put_u64(self.datapath_id.0);
        out.put_u32(self.n_buffers);
        out.put_u8(self.n_tables);
        out.put_u8(self.auxiliary_id);
        out.put_zeros(2);
        out.put_u32(self.capabilities.0);
        out.put_u32(self.reserved);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "features";
        let datapath_id = DatapathId(r.u64(WHAT)?);
        let n_buffers = r.u32(WHAT)?;
        let [n_tables, auxiliary_id, ..] = r.array::<4>(WHAT)?;
        let capabilities = Capabilities(r.u32(WHAT)?);
        Ok(Self { datapath_id, n_buffers, n_tables, auxiliary_id, capabilities, reserved: r.u32(WHAT)? })
    }
}

impl SwitchConfig {
    pub(super) fn put(self, out: &mut Vec<u8>) {
        out.put_u16(self.flags);
        out.put_u16(self.miss_send_len);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { flags: r.u16("config")?, miss_send_len: r.u16("config")? })
    }
}

impl RoleChange {
    pub(super) fn put(self, out: &mut Vec<u8>) {
        out.put_u32(self.role.into());
        out.put_zeros(4);
        out.put_u64(self.generation_id);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let role = r.u32("role")?.into();
        r.skip("role", 4)?;
        Ok(Self { role, generation_id: r.u64("role")? })
    }
}

impl RoleStatus {
    pub(super) fn put(self, out: &mut Vec<u8>) {
        out.put_u32(self.role.into());
        out.put_u8(self.reason);
        out.put_zeros(3);
        out.put_u64(self.generation_id);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let role = r.u32("role-status")?.into();
        let reason = r.u8("role-status")?;
        r.skip("role-status", 3)?;
        let generation_id = r.u64("role-status")?;
        // Properties may follow; none is defined that matters here.
        r.take_rest();
        Ok(Self { role, reason, generation_id })
    }
}

impl AsyncConfig {
    pub(super) fn put(self, out: &mut Vec<u8>) {
        for mask in [self.packet_in, self.port_status, self.flow_removed].into_iter().flatten() {
            out.put_u32(mask);
        }
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut pair = || Ok([r.u32("async config")?, r.u32("async config")?]);
        Ok(Self { packet_in: pair()?, port_status: pair()?, flow_removed: pair()? })
    }
}

/// Appends NXT_SET_CONTROLLER_ID's body.
pub(super) fn put_controller_id(id: u16, out: &mut Vec<u8>) {
    out.put_zeros(6);
    out.put_u16(id);
}

pub(super) fn read_controller_id(r: &mut Reader<'_>) -> Result<u16, DecodeError> {
    r.skip("controller id", 6)?;
    r.u16("controller id")
}
