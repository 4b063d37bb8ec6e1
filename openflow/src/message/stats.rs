//! The bodies of multipart replies, entry by entry: OpenFlow 1.3.5, 7.3.5.

use super::{
    FlowFlags, Meter,
    multipart::{
        AggregateStats, FlowStats, GroupStats, MeterFeatures, MeterStats, PortStats, SwitchDesc, TableStats,
    },
};
use crate::{
    codec::{
        group::{put_group, read_group},
        instruction::{put_instructions, read_instructions},
        oxm::{put_match, read_match},
    },
    flow::{Flow, Group, GroupId, MeterId, TableId},
    wire::{DecodeError, EncodeError, Put, Reader},
};
use packet::OfPort;

/// DESC_STR_LEN of OFPMP_DESC.
const DESC_LEN: usize = 256;
/// SERIAL_NUM_LEN of OFPMP_DESC.
const SERIAL_LEN: usize = 32;

impl SwitchDesc {
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        const WHAT: &str = "description of switch";
        out.put_text(WHAT, &self.manufacturer, DESC_LEN)?;
        out.put_text(WHAT, &self.hardware, DESC_LEN)?;
        out.put_text(WHAT, &self.software, DESC_LEN)?;
        out.put_text(WHAT, &self.serial, SERIAL_LEN)?;
        out.put_text(WHAT, &self.datapath, DESC_LEN)
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "description of switch";
        Ok(Self {
            manufacturer: r.text(WHAT, DESC_LEN)?,
            hardware: r.text(WHAT, DESC_LEN)?,
            software: r.text(WHAT, DESC_LEN)?,
            serial: r.text(WHAT, SERIAL_LEN)?,
            datapath: r.text(WHAT, DESC_LEN)?,
        })
    }
}

impl FlowStats {
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        out.put_u16(0);
        out.put_u8(self.flow.table.0);
        out.put_zeros(1);
        out.put_u32(self.duration_sec);
        out.put_u32(self.duration_nsec);
        out.put_u16(self.flow.priority);
        out.put_u16(self.idle_timeout);
        out.put_u16(self.hard_timeout);
        out.put_u16(self.flags.0);
        out.put_zeros(4);
        out.put_u64(self.flow.cookie);
        out.put_u64(self.packet_count);
        out.put_u64(self.byte_count);
        put_match(&self.flow.matching, out)?;
        put_instructions(&self.flow.instructions, out)?;
        out.patch_len("flow stats", start, 0)
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "flow stats";
        let mut r = Reader::new(r.element(WHAT, 0, 56, 8)?);
        r.skip(WHAT, 2)?;
        let table = TableId(r.u8(WHAT)?);
        r.skip(WHAT, 1)?;
        let [duration_sec, duration_nsec] = [r.u32(WHAT)?, r.u32(WHAT)?];
        let [priority, idle_timeout, hard_timeout] = [r.u16(WHAT)?, r.u16(WHAT)?, r.u16(WHAT)?];
        let flags = FlowFlags(r.u16(WHAT)?);
        r.skip(WHAT, 4)?;
        let [cookie, packet_count, byte_count] = [r.u64(WHAT)?, r.u64(WHAT)?, r.u64(WHAT)?];
        let matching = read_match(&mut r)?;
        let instructions = read_instructions(r)?;
        let flow = Flow { table, priority, cookie, matching, instructions };
        Ok(Self {
            flow,
            duration_sec,
            duration_nsec,
            idle_timeout,
            hard_timeout,
            flags,
            packet_count,
            byte_count,
        })
    }
}

impl AggregateStats {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.put_u64(self.packet_count);
        out.put_u64(self.byte_count);
        out.put_u32(self.flow_count);
        out.put_zeros(4);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "aggregate stats";
        let stats = Self { packet_count: r.u64(WHAT)?, byte_count: r.u64(WHAT)?, flow_count: r.u32(WHAT)? };
        r.skip(WHAT, 4)?;
        Ok(stats)
    }
}

impl TableStats {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.put_u8(self.table.0);
        out.put_zeros(3);
        out.put_u32(self.active_count);
        out.put_u64(self.lookup_count);
        out.put_u64(self.matched_count);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "table stats";
        let table = TableId(r.u8(WHAT)?);
        r.skip(WHAT, 3)?;
        Ok(Self {
            table,
            active_count: r.u32(WHAT)?,
            lookup_count: r.u64(WHAT)?,
            matched_count: r.u64(WHAT)?,
        })
    }
}

impl PortStats {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.put_u32(self.port.0);
        out.put_zeros(4);
        for counter in [
            self.rx_packets,
            self.tx_packets,
            self.rx_bytes,
            self.tx_bytes,
            self.rx_dropped,
            self.tx_dropped,
            self.rx_errors,
            self.tx_errors,
            self.rx_frame_err,
            self.rx_over_err,
            self.rx_crc_err,
            self.collisions,
        ] {
            out.put_u64(counter);
        }
        out.put_u32(self.duration_sec);
        out.put_u32(self.duration_nsec);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "port stats";
        let port = OfPort(r.u32(WHAT)?);
        r.skip(WHAT, 4)?;
        Ok(Self {
            port,
            rx_packets: r.u64(WHAT)?,
            tx_packets: r.u64(WHAT)?,
            rx_bytes: r.u64(WHAT)?,
            tx_bytes: r.u64(WHAT)?,
            rx_dropped: r.u64(WHAT)?,
            tx_dropped: r.u64(WHAT)?,
            rx_errors: r.u64(WHAT)?,
            tx_errors: r.u64(WHAT)?,
            rx_frame_err: r.u64(WHAT)?,
            rx_over_err: r.u64(WHAT)?,
            rx_crc_err: r.u64(WHAT)?,
            collisions: r.u64(WHAT)?,
            duration_sec: r.u32(WHAT)?,
            duration_nsec: r.u32(WHAT)?,
        })
    }
}

/// Pairs of counters to the end of an entry.
fn put_pairs(pairs: &[(u64, u64)], out: &mut Vec<u8>) {
    for (packets, bytes) in pairs {
        out.put_u64(*packets);
        out.put_u64(*bytes);
    }
}

fn read_pairs(r: &mut Reader<'_>) -> Result<Vec<(u64, u64)>, DecodeError> {
    let mut pairs = Vec::new();
    while !r.is_empty() {
        pairs.push((r.u64("counters")?, r.u64("counters")?));
    }
    Ok(pairs)
}

impl GroupStats {
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        out.put_zeros(4);
        out.put_u32(self.group.0);
        out.put_u32(self.ref_count);
        out.put_zeros(4);
        out.put_u64(self.packet_count);
        out.put_u64(self.byte_count);
        out.put_u32(self.duration_sec);
        out.put_u32(self.duration_nsec);
        put_pairs(&self.buckets, out);
        out.patch_len("group stats", start, 0)
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "group stats";
        let mut r = Reader::new(r.element(WHAT, 0, 40, 8)?);
        r.skip(WHAT, 4)?;
        let group = GroupId(r.u32(WHAT)?);
        let ref_count = r.u32(WHAT)?;
        r.skip(WHAT, 4)?;
        Ok(Self {
            group,
            ref_count,
            packet_count: r.u64(WHAT)?,
            byte_count: r.u64(WHAT)?,
            duration_sec: r.u32(WHAT)?,
            duration_nsec: r.u32(WHAT)?,
            buckets: read_pairs(&mut r)?,
        })
    }
}

/// Appends one entry of OFPMP_GROUP_DESC.
pub(super) fn put_group_desc(group: &Group, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    out.put_u16(0);
    put_group(group, out)?;
    out.patch_len("group", start, 0)
}

pub(super) fn read_group_desc(r: &mut Reader<'_>) -> Result<Group, DecodeError> {
    let mut r = Reader::new(r.element("group", 0, 8, 8)?);
    r.skip("group", 2)?;
    read_group(&mut r)
}

impl MeterStats {
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        out.put_u32(self.meter.0);
        out.put_zeros(8);
        out.put_u32(self.flow_count);
        out.put_u64(self.packet_in_count);
        out.put_u64(self.byte_in_count);
        out.put_u32(self.duration_sec);
        out.put_u32(self.duration_nsec);
        put_pairs(&self.bands, out);
        out.patch_len("meter stats", start, 4)
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "meter stats";
        let mut r = Reader::new(r.element(WHAT, 4, 40, 8)?);
        let meter = MeterId(r.u32(WHAT)?);
        r.skip(WHAT, 8)?;
        Ok(Self {
            meter,
            flow_count: r.u32(WHAT)?,
            packet_in_count: r.u64(WHAT)?,
            byte_in_count: r.u64(WHAT)?,
            duration_sec: r.u32(WHAT)?,
            duration_nsec: r.u32(WHAT)?,
            bands: read_pairs(&mut r)?,
        })
    }
}

/// Appends one entry of OFPMP_METER_CONFIG.
pub(super) fn put_meter_config(meter: &Meter, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    out.put_u16(0);
    meter.put(out)?;
    out.patch_len("meter", start, 0)
}

pub(super) fn read_meter_config(r: &mut Reader<'_>) -> Result<Meter, DecodeError> {
    let mut r = Reader::new(r.element("meter", 0, 8, 8)?);
    r.skip("meter", 2)?;
    Meter::read(&mut r)
}

impl MeterFeatures {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.put_u32(self.max_meters);
        out.put_u32(self.band_types);
        out.put_u32(self.capabilities);
        out.put_u8(self.max_bands);
        out.put_u8(self.max_color);
        out.put_zeros(2);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "meter features";
        let [max_meters, band_types, capabilities] = [r.u32(WHAT)?, r.u32(WHAT)?, r.u32(WHAT)?];
        let [max_bands, max_color, ..] = r.array::<4>(WHAT)?;
        Ok(Self { max_meters, band_types, capabilities, max_bands, max_color })
    }
}
