//! OFPT_FLOW_MOD, OFPT_GROUP_MOD and OFPT_METER_MOD: OpenFlow 1.3.5, 7.3.4.

use crate::{
    code::{bit_set, open_enum},
    codec::{
        group::{put_group, put_optional, read_group, read_optional},
        instruction::{put_instructions, read_instructions},
        oxm::{put_match, read_match},
    },
    flow::{Flow, Group, GroupId, MeterId, TableId},
    wire::{DecodeError, EncodeError, Put, Reader},
};
use packet::OfPort;

open_enum! {
    /// OFPFC_*.
    FlowModCommand(u8) {
        /// A new flow; replaces one with equal table, priority and match.
        Add = 0,
        /// New instructions for all flows within the match.
        Modify = 1,
        /// New instructions for the flow with just this match and priority.
        ModifyStrict = 2,
        /// Delete all flows within the match.
        Delete = 3,
        /// Delete the flow with just this match and priority.
        DeleteStrict = 4,
    }
}

bit_set! {
    /// OFPFF_*.
    FlowFlags(u16) {
        /// Tell when the flow goes.
        SEND_FLOW_REM = 0x1,
        /// Refuse an overlap at the same priority.
        CHECK_OVERLAP = 0x2,
        /// Start counters again.
        RESET_COUNTS = 0x4,
        /// Do not count packets.
        NO_PKT_COUNTS = 0x8,
        /// Do not count bytes.
        NO_BYT_COUNTS = 0x10,
    }
}

/// OFPT_FLOW_MOD.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlowMod {
    /// What to do. The table of a deletion may be 255 = all.
    pub command: FlowModCommand,
    /// Of modifications and deletions: the bits of the cookie that a flow must share.
    pub cookie_mask: u64,
    /// Seconds without a packet after which the flow goes; 0 = never.
    pub idle_timeout: u16,
    /// Seconds after which the flow goes; 0 = never.
    pub hard_timeout: u16,
    /// A buffered packet to run through the flow; Open vSwitch has none.
    pub buffer_id: Option<u32>,
    /// Of deletions: only flows that send to this port; `OfPort::ANY` = no such limit.
    pub out_port: OfPort,
    /// Of deletions: only flows that use this group.
    pub out_group: Option<GroupId>,
    /// Options.
    pub flags: FlowFlags,
    /// Table, priority, cookie, match and instructions.
    pub flow: Flow,
}

open_enum! {
    /// OFPGC_*.
    GroupModCommand(u16) {
        /// A new group.
        Add = 0,
        /// New type and buckets.
        Modify = 1,
        /// Delete it; id 0xfffffffc = all.
        Delete = 2,
        /// Open vSwitch: add, or modify where it exists (NXT; not in bundles of other switches).
        AddOrModify = 0x8000,
    }
}

/// OFPT_GROUP_MOD.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupMod {
    /// What to do.
    pub command: GroupModCommand,
    /// The group.
    pub group: Group,
}

open_enum! {
    /// OFPMC_*.
    MeterModCommand(u16) {
        /// A new meter.
        Add = 0,
        /// New flags and bands.
        Modify = 1,
        /// Delete it; id 0xffffffff = all.
        Delete = 2,
    }
}

bit_set! {
    /// OFPMF_*.
    MeterFlags(u16) {
        /// Rates are in kilobits a second.
        KBPS = 0x1,
        /// Rates are in packets a second.
        PKTPS = 0x2,
        /// Burst sizes count.
        BURST = 0x4,
        /// Keep statistics.
        STATS = 0x8,
    }
}

/// One limit of a meter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MeterBand {
    /// OFPMBT_DROP: drop what is above the rate.
    Drop {
        /// In the unit of the meter's flags.
        rate: u32,
        /// In kilobits or packets.
        burst: u32,
    },
    /// OFPMBT_DSCP_REMARK: raise the drop precedence of what is above the rate.
    DscpRemark {
        /// In the unit of the meter's flags.
        rate: u32,
        /// In kilobits or packets.
        burst: u32,
        /// By how much.
        prec_level: u8,
    },
    /// A band this crate does not interpret: its whole bytes, type and length included.
    Unknown(Vec<u8>),
}

/// A meter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Meter {
    /// Its number.
    pub id: MeterId,
    /// Units.
    pub flags: MeterFlags,
    /// Its limits.
    pub bands: Vec<MeterBand>,
}

/// OFPT_METER_MOD.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MeterMod {
    /// What to do.
    pub command: MeterModCommand,
    /// The meter.
    pub meter: Meter,
}

/// OFP_NO_BUFFER.
const NO_BUFFER: u32 = 0xffff_ffff;

/// A buffer as OpenFlow writes an optional one.
pub(super) fn put_buffer(buffer: Option<u32>, out: &mut Vec<u8>) {
    out.put_u32(buffer.unwrap_or(NO_BUFFER));
}

pub(super) fn read_buffer(r: &mut Reader<'_>) -> Result<Option<u32>, DecodeError> {
    r.u32("buffer").map(|buffer| (buffer != NO_BUFFER).then_some(buffer))
}

/// All of a flow-mod but the flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) command: FlowModCommand,
    pub(super) cookie_mask: u64,
    pub(super) idle_timeout: u16,
    pub(super) hard_timeout: u16,
    pub(super) buffer_id: Option<u32>,
    pub(super) out_port: OfPort,
    pub(super) out_group: Option<GroupId>,
    pub(super) flags: FlowFlags,
}

impl Terms {
    /// For ever, and for every port and group.
    pub(super) const fn plain(command: FlowModCommand, flags: FlowFlags) -> Self {
        Self {
            command,
            cookie_mask: 0,
            idle_timeout: 0,
            hard_timeout: 0,
            buffer_id: None,
            out_port: OfPort::ANY,
            out_group: None,
            flags,
        }
    }

    /// Appends the body of a flow-mod.
    pub(super) fn put(&self, flow: &Flow, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.put_u64(flow.cookie);
        out.put_u64(self.cookie_mask);
        out.put_u8(flow.table.0);
        out.put_u8(self.command.into());
        out.put_u16(self.idle_timeout);
        out.put_u16(self.hard_timeout);
        out.put_u16(flow.priority);
        put_buffer(self.buffer_id, out);
        out.put_u32(self.out_port.0);
        put_optional(self.out_group, out);
        out.put_u16(self.flags.0);
        out.put_zeros(2);
        put_match(&flow.matching, out)?;
        put_instructions(&flow.instructions, out)
    }
}

impl FlowMod {
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let Self {
            command,
            cookie_mask,
            idle_timeout,
            hard_timeout,
            buffer_id,
            out_port,
            out_group,
            flags,
            ..
        } = *self;
        let terms =
            Terms { command, cookie_mask, idle_timeout, hard_timeout, buffer_id, out_port, out_group, flags };
        terms.put(&self.flow, out)
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "flow-mod";
        let cookie = r.u64(WHAT)?;
        let cookie_mask = r.u64(WHAT)?;
        let table = TableId(r.u8(WHAT)?);
        let command = r.u8(WHAT)?.into();
        let [idle_timeout, hard_timeout, priority] = [r.u16(WHAT)?, r.u16(WHAT)?, r.u16(WHAT)?];
        let buffer_id = read_buffer(r)?;
        let out_port = OfPort(r.u32(WHAT)?);
        let out_group = read_optional(r)?;
        let flags = FlowFlags(r.u16(WHAT)?);
        r.skip(WHAT, 2)?;
        let matching = read_match(r)?;
        let instructions = read_instructions(r.take_rest())?;
        let flow = Flow { table, priority, cookie, matching, instructions };
        Ok(Self {
            command,
            cookie_mask,
            idle_timeout,
            hard_timeout,
            buffer_id,
            out_port,
            out_group,
            flags,
            flow,
        })
    }
}

/// Appends the body of a group-mod.
pub(super) fn put_group_mod(
    command: GroupModCommand,
    group: &Group,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    out.put_u16(command.into());
    put_group(group, out)
}

impl GroupMod {
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_group_mod(self.command, &self.group, out)
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { command: r.u16("group-mod")?.into(), group: read_group(r)? })
    }
}

// OFPMBT_*.
const BAND_DROP: u16 = 1;
const BAND_DSCP_REMARK: u16 = 2;

impl MeterBand {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let (kind, rate, burst, prec_level) = match *self {
            Self::Drop { rate, burst } => (BAND_DROP, rate, burst, 0),
            Self::DscpRemark { rate, burst, prec_level } => (BAND_DSCP_REMARK, rate, burst, prec_level),
            Self::Unknown(ref bytes) => return crate::codec::action::put_raw("meter band", bytes, out),
        };
        out.put_u16(kind);
        out.put_u16(16);
        out.put_u32(rate);
        out.put_u32(burst);
        out.put_u8(prec_level);
        out.put_zeros(3);
        Ok(())
    }

    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        const WHAT: &str = "meter band";
        let mut r = Reader::new(bytes);
        let kind = r.u16(WHAT)?;
        r.skip(WHAT, 2)?;
        if !matches!(kind, BAND_DROP | BAND_DSCP_REMARK) {
            return Ok(Self::Unknown(bytes.to_vec()));
        }
        if bytes.len() != 16 {
            return Err(DecodeError::BadLength { what: WHAT, len: bytes.len() });
        }
        let (rate, burst) = (r.u32(WHAT)?, r.u32(WHAT)?);
        let prec_level = r.u8(WHAT)?;
        Ok(if kind == BAND_DROP {
            Self::Drop { rate, burst }
        } else {
            Self::DscpRemark { rate, burst, prec_level }
        })
    }
}

impl Meter {
    /// Appends flags, id and bands, as they stand in meter-mod and meter-config.
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.put_u16(self.flags.0);
        out.put_u32(self.id.0);
        self.bands.iter().try_for_each(|band| band.put(out))
    }

    /// Reads flags, id and bands to the end of the reader.
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = MeterFlags(r.u16("meter")?);
        let id = MeterId(r.u32("meter")?);
        let mut bands = Vec::new();
        while !r.is_empty() {
            bands.push(MeterBand::read(r.element("meter band", 2, 8, 8)?)?);
        }
        Ok(Self { id, flags, bands })
    }
}

impl MeterMod {
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.put_u16(self.command.into());
        self.meter.put(out)
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { command: r.u16("meter-mod")?.into(), meter: Meter::read(r)? })
    }
}
