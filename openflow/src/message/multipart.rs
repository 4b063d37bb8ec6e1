//! Multipart requests and replies: OpenFlow 1.3.5, 7.3.5.

use super::{
    FlowFlags, Meter, PortDesc,
    monitor::{FlowMonitorRequest, FlowUpdate},
};
use crate::{
    flow::{Flow, Group, GroupId, MeterId, TableId},
    matching::Match,
};
use packet::OfPort;

/// Which flows a request is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlowFilter {
    /// One table, or 255 = all.
    pub table: TableId,
    /// Only flows that send to this port; `OfPort::ANY` = all.
    pub out_port: OfPort,
    /// Only flows that use this group.
    pub out_group: Option<GroupId>,
    /// With `cookie_mask`: only flows whose cookie has these bits.
    pub cookie: u64,
    /// Which bits of the cookie count; 0 = none.
    pub cookie_mask: u64,
    /// Only flows within this match.
    pub matching: Match,
}

/// The body of OFPT_MULTIPART_REQUEST.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MultipartRequest {
    /// Description of the switch.
    Desc,
    /// Flows.
    Flow(FlowFilter),
    /// Counters of flows together.
    Aggregate(FlowFilter),
    /// Counters of tables.
    Table,
    /// Counters of a port; `OfPort::ANY` = all.
    PortStats(OfPort),
    /// Counters of a group; `None` = all.
    GroupStats(Option<GroupId>),
    /// All groups.
    GroupDesc,
    /// Counters of a meter; `None` = all.
    MeterStats(Option<MeterId>),
    /// A meter; `None` = all.
    MeterConfig(Option<MeterId>),
    /// What meters the switch can do.
    MeterFeatures,
    /// All ports.
    PortDesc,
    /// ONF 1870: report changes of flows from now on.
    FlowMonitor(Vec<FlowMonitorRequest>),
    /// Anything else.
    Unknown {
        /// OFPMP_*.
        kind: u16,
        /// What follows the eight bytes of the multipart header.
        body: Vec<u8>,
    },
}

/// The body of OFPT_MULTIPART_REPLY: one part, or all parts joined.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MultipartReply {
    /// Description of the switch.
    Desc(SwitchDesc),
    /// Flows.
    Flow(Vec<FlowStats>),
    /// Counters of flows together.
    Aggregate(AggregateStats),
    /// Counters of tables.
    Table(Vec<TableStats>),
    /// Counters of ports.
    PortStats(Vec<PortStats>),
    /// Counters of groups.
    GroupStats(Vec<GroupStats>),
    /// Groups.
    GroupDesc(Vec<Group>),
    /// Counters of meters.
    MeterStats(Vec<MeterStats>),
    /// Meters.
    MeterConfig(Vec<Meter>),
    /// What meters the switch can do.
    MeterFeatures(MeterFeatures),
    /// Ports.
    PortDesc(Vec<PortDesc>),
    /// ONF 1870: changes of flows.
    FlowMonitor(Vec<FlowUpdate>),
    /// Anything else.
    Unknown {
        /// OFPMP_*.
        kind: u16,
        /// What follows the eight bytes of the multipart header.
        body: Vec<u8>,
    },
}

/// OFPMP_DESC.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SwitchDesc {
    /// Who made it.
    pub manufacturer: String,
    /// Hardware.
    pub hardware: String,
    /// Software and version.
    pub software: String,
    /// Serial number.
    pub serial: String,
    /// Name given by its owner.
    pub datapath: String,
}

/// One flow of OFPMP_FLOW.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlowStats {
    /// The flow itself, equal to what was sent.
    pub flow: Flow,
    /// Seconds it has lived.
    pub duration_sec: u32,
    /// Nanoseconds beyond that.
    pub duration_nsec: u32,
    /// Its idle timeout in seconds.
    pub idle_timeout: u16,
    /// Its hard timeout in seconds.
    pub hard_timeout: u16,
    /// Its flags.
    pub flags: FlowFlags,
    /// Packets it saw.
    pub packet_count: u64,
    /// Octets it saw.
    pub byte_count: u64,
}

/// OFPMP_AGGREGATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AggregateStats {
    /// Packets.
    pub packet_count: u64,
    /// Octets.
    pub byte_count: u64,
    /// Flows.
    pub flow_count: u32,
}

/// One table of OFPMP_TABLE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TableStats {
    /// Which table.
    pub table: TableId,
    /// Flows in it.
    pub active_count: u32,
    /// Packets looked up.
    pub lookup_count: u64,
    /// Packets that hit.
    pub matched_count: u64,
}

/// One port of OFPMP_PORT_STATS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortStats {
    /// Which port.
    pub port: OfPort,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Octets received.
    pub rx_bytes: u64,
    /// Octets sent.
    pub tx_bytes: u64,
    /// Dropped on receipt.
    pub rx_dropped: u64,
    /// Dropped on sending.
    pub tx_dropped: u64,
    /// Receive errors.
    pub rx_errors: u64,
    /// Send errors.
    pub tx_errors: u64,
    /// Frame alignment errors.
    pub rx_frame_err: u64,
    /// Overruns.
    pub rx_over_err: u64,
    /// CRC errors.
    pub rx_crc_err: u64,
    /// Collisions.
    pub collisions: u64,
    /// Seconds the port has existed.
    pub duration_sec: u32,
    /// Nanoseconds beyond that.
    pub duration_nsec: u32,
}

/// One group of OFPMP_GROUP.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupStats {
    /// Which group.
    pub group: GroupId,
    /// How many flows and groups use it.
    pub ref_count: u32,
    /// Packets.
    pub packet_count: u64,
    /// Octets.
    pub byte_count: u64,
    /// Seconds it has existed.
    pub duration_sec: u32,
    /// Nanoseconds beyond that.
    pub duration_nsec: u32,
    /// (packets, octets) of each bucket.
    pub buckets: Vec<(u64, u64)>,
}

/// One meter of OFPMP_METER.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MeterStats {
    /// Which meter.
    pub meter: MeterId,
    /// How many flows use it.
    pub flow_count: u32,
    /// Packets that came to it.
    pub packet_in_count: u64,
    /// Octets that came to it.
    pub byte_in_count: u64,
    /// Seconds it has existed.
    pub duration_sec: u32,
    /// Nanoseconds beyond that.
    pub duration_nsec: u32,
    /// (packets, octets) above the rate of each band.
    pub bands: Vec<(u64, u64)>,
}

/// OFPMP_METER_FEATURES.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MeterFeatures {
    /// How many meters there may be; 0 = meters do not work on this datapath.
    pub max_meters: u32,
    /// Bit n = band type n.
    pub band_types: u32,
    /// OFPMF_* bits.
    pub capabilities: u32,
    /// Bands a meter may have.
    pub max_bands: u8,
    /// Colours.
    pub max_color: u8,
}
