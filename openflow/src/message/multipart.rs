//! Multipart requests and replies: OpenFlow 1.3.5, 7.3.5.

use super::{
    FlowFlags, Meter, PortDesc,
    monitor::{FlowMonitorRequest, FlowUpdate},
    stats::{put_group_desc, put_meter_config, read_group_desc, read_meter_config},
};
use crate::{
    codec::{
        group::{put_optional, read_optional},
        oxm::{put_match, read_match},
    },
    flow::{Flow, Group, GroupId, MeterId, TableId},
    matching::Match,
    wire::{DecodeError, EncodeError, Put, Reader},
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

// OFPMP_*.
const DESC: u16 = 0;
const FLOW: u16 = 1;
const AGGREGATE: u16 = 2;
const TABLE: u16 = 3;
const PORT_STATS: u16 = 4;
const GROUP: u16 = 6;
const GROUP_DESC: u16 = 7;
const METER: u16 = 9;
const METER_CONFIG: u16 = 10;
const METER_FEATURES: u16 = 11;
const PORT_DESC: u16 = 13;
const EXPERIMENTER: u16 = 0xffff;

/// The experimenter type of the ONF's flow monitor.
const FLOW_MONITOR: u32 = 1870;

/// OFPG_ALL.
const GROUP_ALL: u32 = 0xffff_fffc;
/// OFPM_ALL.
const METER_ALL: u32 = 0xffff_ffff;

fn put_header(kind: u16, more: bool, out: &mut Vec<u8>) {
    out.put_u16(kind);
    out.put_u16(more.into());
    out.put_zeros(4);
}

fn put_monitor_header(out: &mut Vec<u8>) {
    out.put_u32(super::ONF);
    out.put_u32(FLOW_MONITOR);
}

/// The kind, OFPMPF_REPLY_MORE, and whether it is the ONF's flow monitor, whose header is then read too.
fn read_header(r: &mut Reader<'_>) -> Result<(u16, bool, bool), DecodeError> {
    let kind = r.u16("multipart")?;
    let more = r.u16("multipart")? & 1 != 0;
    r.skip("multipart", 4)?;
    let mut inner = *r;
    let monitor = kind == EXPERIMENTER
        && matches!(
            (inner.u32("experimenter"), inner.u32("experimenter")),
            (Ok(super::ONF), Ok(FLOW_MONITOR))
        );
    if monitor {
        *r = inner;
    }
    Ok((kind, more, monitor))
}

/// A number and four octets of padding.
fn put_padded(value: u32, out: &mut Vec<u8>) {
    out.put_u32(value);
    out.put_zeros(4);
}

fn read_padded(r: &mut Reader<'_>) -> Result<u32, DecodeError> {
    let value = r.u32("multipart request")?;
    r.skip("multipart request", 4)?;
    Ok(value)
}

impl FlowFilter {
    /// Every flow of every table.
    pub const fn all() -> Self {
        Self {
            table: TableId(255),
            out_port: OfPort::ANY,
            out_group: None,
            cookie: 0,
            cookie_mask: 0,
            matching: Match::new(),
        }
    }

    fn put(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.put_u8(self.table.0);
        out.put_zeros(3);
        out.put_u32(self.out_port.0);
        put_optional(self.out_group, out);
        out.put_zeros(4);
        out.put_u64(self.cookie);
        out.put_u64(self.cookie_mask);
        put_match(&self.matching, out)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "flow request";
        let table = TableId(r.u8(WHAT)?);
        r.skip(WHAT, 3)?;
        let out_port = OfPort(r.u32(WHAT)?);
        let out_group = read_optional(r)?;
        r.skip(WHAT, 4)?;
        let (cookie, cookie_mask) = (r.u64(WHAT)?, r.u64(WHAT)?);
        Ok(Self { table, out_port, out_group, cookie, cookie_mask, matching: read_match(r)? })
    }
}

impl MultipartRequest {
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_header(self.kind(), false, out);
        match self {
            Self::Desc | Self::Table | Self::GroupDesc | Self::MeterFeatures | Self::PortDesc => {}
            Self::Flow(filter) | Self::Aggregate(filter) => filter.put(out)?,
            Self::PortStats(port) => put_padded(port.0, out),
            Self::GroupStats(group) => put_padded(group.map_or(GROUP_ALL, |group| group.0), out),
            Self::MeterStats(meter) | Self::MeterConfig(meter) => {
                put_padded(meter.map_or(METER_ALL, |meter| meter.0), out);
            }
            Self::FlowMonitor(requests) => {
                put_monitor_header(out);
                requests.iter().try_for_each(|request| request.put(out))?;
            }
            Self::Unknown { body, .. } => out.put_bytes(body),
        }
        Ok(())
    }

    const fn kind(&self) -> u16 {
        match self {
            Self::Desc => DESC,
            Self::Flow(_) => FLOW,
            Self::Aggregate(_) => AGGREGATE,
            Self::Table => TABLE,
            Self::PortStats(_) => PORT_STATS,
            Self::GroupStats(_) => GROUP,
            Self::GroupDesc => GROUP_DESC,
            Self::MeterStats(_) => METER,
            Self::MeterConfig(_) => METER_CONFIG,
            Self::MeterFeatures => METER_FEATURES,
            Self::PortDesc => PORT_DESC,
            Self::FlowMonitor(_) => EXPERIMENTER,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (kind, _, monitor) = read_header(r)?;
        let meter =
            |r: &mut Reader<'_>| read_padded(r).map(|meter| (meter != METER_ALL).then_some(MeterId(meter)));
        Ok(match kind {
            DESC => Self::Desc,
            FLOW => Self::Flow(FlowFilter::read(r)?),
            AGGREGATE => Self::Aggregate(FlowFilter::read(r)?),
            TABLE => Self::Table,
            PORT_STATS => Self::PortStats(OfPort(read_padded(r)?)),
            GROUP => {
                let group = read_padded(r)?;
                Self::GroupStats((group != GROUP_ALL).then_some(GroupId(group)))
            }
            GROUP_DESC => Self::GroupDesc,
            METER => Self::MeterStats(meter(r)?),
            METER_CONFIG => Self::MeterConfig(meter(r)?),
            METER_FEATURES => Self::MeterFeatures,
            PORT_DESC => Self::PortDesc,
            EXPERIMENTER if monitor => Self::FlowMonitor(read_list(r, FlowMonitorRequest::read)?),
            kind => Self::Unknown { kind, body: r.take_rest().rest().to_vec() },
        })
    }
}

/// Reads to the end of the reader. `read` must consume or fail.
fn read_list<T>(
    r: &mut Reader<'_>,
    read: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut list = Vec::new();
    while !r.is_empty() {
        list.push(read(r)?);
    }
    Ok(list)
}

impl MultipartReply {
    pub(super) fn put(&self, more: bool, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_header(self.kind(), more, out);
        match self {
            Self::Desc(desc) => desc.put(out),
            Self::Flow(list) => list.iter().try_for_each(|entry| entry.put(out)),
            Self::GroupDesc(list) => list.iter().try_for_each(|group| put_group_desc(group, out)),
            Self::GroupStats(list) => list.iter().try_for_each(|entry| entry.put(out)),
            Self::MeterStats(list) => list.iter().try_for_each(|entry| entry.put(out)),
            Self::MeterConfig(list) => list.iter().try_for_each(|meter| put_meter_config(meter, out)),
            Self::PortDesc(list) => list.iter().try_for_each(|port| port.put(out)),
            Self::FlowMonitor(list) => {
                put_monitor_header(out);
                list.iter().try_for_each(|update| update.put(out))
            }
            Self::Aggregate(stats) => {
                stats.put(out);
                Ok(())
            }
            Self::Table(list) => {
                list.iter().for_each(|entry| entry.put(out));
                Ok(())
            }
            Self::PortStats(list) => {
                list.iter().for_each(|entry| entry.put(out));
                Ok(())
            }
            Self::MeterFeatures(features) => {
                features.put(out);
                Ok(())
            }
            Self::Unknown { body, .. } => {
                out.put_bytes(body);
                Ok(())
            }
        }
    }

    const fn kind(&self) -> u16 {
        match self {
            Self::Desc(_) => DESC,
            Self::Flow(_) => FLOW,
            Self::Aggregate(_) => AGGREGATE,
            Self::Table(_) => TABLE,
            Self::PortStats(_) => PORT_STATS,
            Self::GroupStats(_) => GROUP,
            Self::GroupDesc(_) => GROUP_DESC,
            Self::MeterStats(_) => METER,
            Self::MeterConfig(_) => METER_CONFIG,
            Self::MeterFeatures(_) => METER_FEATURES,
            Self::PortDesc(_) => PORT_DESC,
            Self::FlowMonitor(_) => EXPERIMENTER,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    /// The part, and whether more follow.
    pub(super) fn read(r: &mut Reader<'_>) -> Result<(bool, Self), DecodeError> {
        let (kind, more, monitor) = read_header(r)?;
        let body = match kind {
            DESC => Self::Desc(SwitchDesc::read(r)?),
            FLOW => Self::Flow(read_list(r, FlowStats::read)?),
            AGGREGATE => Self::Aggregate(AggregateStats::read(r)?),
            TABLE => Self::Table(read_list(r, TableStats::read)?),
            PORT_STATS => Self::PortStats(read_list(r, PortStats::read)?),
            GROUP => Self::GroupStats(read_list(r, GroupStats::read)?),
            GROUP_DESC => Self::GroupDesc(read_list(r, read_group_desc)?),
            METER => Self::MeterStats(read_list(r, MeterStats::read)?),
            METER_CONFIG => Self::MeterConfig(read_list(r, read_meter_config)?),
            METER_FEATURES => Self::MeterFeatures(MeterFeatures::read(r)?),
            PORT_DESC => Self::PortDesc(read_list(r, PortDesc::read)?),
            EXPERIMENTER if monitor => Self::FlowMonitor(read_list(r, FlowUpdate::read)?),
            kind => Self::Unknown { kind, body: r.take_rest().rest().to_vec() },
        };
        Ok((more, body))
    }

    /// Joins the next part to what came before.
    ///
    /// # Errors
    /// [`DecodeError::MixedParts`] if it is of another kind, or of a kind that has only one part.
    pub fn append(&mut self, part: Self) -> Result<(), DecodeError> {
        match (self, part) {
            (Self::Flow(all), Self::Flow(more)) => all.extend(more),
            (Self::Table(all), Self::Table(more)) => all.extend(more),
            (Self::PortStats(all), Self::PortStats(more)) => all.extend(more),
            (Self::GroupStats(all), Self::GroupStats(more)) => all.extend(more),
            (Self::GroupDesc(all), Self::GroupDesc(more)) => all.extend(more),
            (Self::MeterStats(all), Self::MeterStats(more)) => all.extend(more),
            (Self::MeterConfig(all), Self::MeterConfig(more)) => all.extend(more),
            (Self::PortDesc(all), Self::PortDesc(more)) => all.extend(more),
            (Self::FlowMonitor(all), Self::FlowMonitor(more)) => all.extend(more),
            (Self::Unknown { kind, body }, Self::Unknown { kind: other, body: more }) if *kind == other => {
                body.extend(more);
            }
            _ => return Err(DecodeError::MixedParts),
        }
        Ok(())
    }
}
