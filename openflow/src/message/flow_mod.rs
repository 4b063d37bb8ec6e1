//! OFPT_FLOW_MOD, OFPT_GROUP_MOD and OFPT_METER_MOD: OpenFlow 1.3.5, 7.3.4.

use crate::{
    code::{bit_set, open_enum},
    flow::{Flow, Group, GroupId, MeterId},
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
