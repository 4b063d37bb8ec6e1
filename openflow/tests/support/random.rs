//! Structured values from arbitrary bytes: the same function for random tests and for fuzzers.

use openflow::{
    Action, Bucket, Field, FieldMatch, Flow, Group, GroupId, GroupType, Instruction, Match, Message, MeterId,
    SubField, TableId, Xid, action::ControllerAction, message::*,
};
use packet::{DatapathId, MacAddr, OfPort};

/// Takes values from bytes; after their end everything is zero.
pub struct Random<'a>(&'a [u8]);

/// Fields without a number.
const PLAIN: [Field; 41] = [
    Field::InPort,
    Field::EthSrc,
    Field::EthDst,
    Field::EthType,
    Field::VlanVid,
    Field::VlanPcp,
    Field::Ipv4Src,
    Field::Ipv4Dst,
    Field::Ipv6Src,
    Field::Ipv6Dst,
    Field::IpFrag,
    Field::IpDscp,
    Field::IpEcn,
    Field::IpTtl,
    Field::IpProto,
    Field::TcpSrc,
    Field::TcpDst,
    Field::UdpSrc,
    Field::UdpDst,
    Field::Icmpv4Type,
    Field::Icmpv4Code,
    Field::Icmpv6Type,
    Field::Icmpv6Code,
    Field::NdReserved,
    Field::NdTarget,
    Field::NdOptionsType,
    Field::NdSll,
    Field::NdTll,
    Field::ArpOp,
    Field::ArpSpa,
    Field::ArpTpa,
    Field::ArpSha,
    Field::ArpTha,
    Field::TunId,
    Field::TunSrc,
    Field::TunDst,
    Field::TunIpv6Src,
    Field::TunIpv6Dst,
    Field::Metadata,
    Field::Reg(0),
    Field::Reg(15),
];

impl<'a> Random<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.u8())
    }

    pub fn u8(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    fn u128(&mut self) -> u128 {
        u128::from_be_bytes(self.array())
    }

    fn bool(&mut self) -> bool {
        self.u8() & 1 != 0
    }

    /// Less than `end`.
    fn below(&mut self, end: usize) -> usize {
        usize::from(self.u8()) % end
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(20)).map(|_| self.u8()).collect()
    }

    fn text(&mut self, max: usize) -> String {
        (0..self.below(max)).map(|_| char::from(b'a' + self.u8() % 26)).collect()
    }

    fn list<T>(&mut self, max: usize, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(max)).map(|_| item(self)).collect()
    }

    fn option<T>(&mut self, some: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.bool() { Some(some(self)) } else { None }
    }

    fn field(&mut self) -> Field {
        match self.below(4) {
            0 => Field::Reg(self.u8() % 16),
            1 => Field::XReg(self.u8() % 8),
            2 => Field::XxReg(self.u8() % 4),
            _ => PLAIN[self.below(PLAIN.len())],
        }
    }

    /// At most `max` bits of a field.
    fn sub_field(&mut self, max: u16) -> SubField {
        let field = self.field();
        let width = SubField::whole(field).bits;
        let bits = self.u16() % width.min(max) + 1;
        SubField::new(field, self.u16() % (width - bits + 1), bits)
    }

    fn matching(&mut self) -> Match {
        let mut matching = Match::new();
        for _ in 0..self.below(8) {
            let field = self.field();
            let (value, mask) = (self.u128() & field.full_mask(), self.u128() & field.full_mask());
            matching = if self.bool() {
                matching.with(field, value)
            } else {
                matching.with_masked(field, value, mask)
            };
        }
        if self.bool() {
            // A class that nobody uses, two octets.
            matching = matching.with(Field::Unknown(0x5555_0002), self.u16());
        }
        matching
    }

    fn set_field(&mut self) -> Action {
        let field = self.field();
        let full = field.full_mask();
        let (value, mask) = (self.u128() & full, self.u128() & full);
        match self.option(|_| mask) {
            Some(mask) => Action::SetField(FieldMatch { field, value: value & mask, mask: Some(mask) }),
            None => Action::SetField(FieldMatch { field, value, mask: None }),
        }
    }

    fn action(&mut self, depth: usize) -> Action {
        match self.below(20) {
            0 => Action::Output { port: OfPort(self.u32()), max_len: self.u16() },
            1 => Action::OutputReg { src: self.sub_field(64), max_len: self.u16() },
            2 => Action::Group(GroupId(self.u32())),
            3 | 4 => self.set_field(),
            5 => {
                let dst = self.sub_field(64);
                Action::RegLoad { dst, value: self.u64() >> (64 - dst.bits) }
            }
            6 => {
                let (mut src, mut dst) = (self.sub_field(128), self.sub_field(128));
                let bits = src.bits.min(dst.bits);
                (src.bits, dst.bits) = (bits, bits);
                Action::Move { src, dst }
            }
            7 => Action::PushVlan(self.u16()),
            8 => Action::PopVlan,
            9 => Action::DecTtl,
            10 => Action::SetTtl(self.u8()),
            11 => Action::SetQueue(self.u32()),
            12 => Action::Resubmit {
                in_port: self.option(|r| r.u16()).filter(|port| *port != 0xfff8),
                table: TableId(self.u8()),
            },
            13 => Action::CheckPktLarger { len: self.u16(), dst: self.sub_field(1) },
            14 => Action::Controller(ControllerAction {
                max_len: self.u16(),
                controller_id: self.u16(),
                reason: self.u8(),
                userdata: self.bytes(),
                pause: self.bool(),
                meter: self.option(|r| r.u32().max(1)),
            }),
            15 if depth < 16 => Action::Clone(self.list(4, |r| r.action(depth + 1))),
            16 => Action::StackPush(self.sub_field(128)),
            17 => Action::StackPop(self.sub_field(128)),
            // OFPAT_COPY_TTL_OUT, which this crate has no name for.
            _ => Action::Unknown(vec![0, 11, 0, 8, 0, 0, 0, 0]),
        }
    }

    fn actions(&mut self) -> Vec<Action> {
        self.list(5, |r| r.action(0))
    }

    fn instruction(&mut self) -> Instruction {
        match self.below(7) {
            0 => Instruction::Meter(MeterId(self.u32())),
            1 => Instruction::Apply(self.actions()),
            2 => Instruction::Clear,
            3 => Instruction::Write(self.actions()),
            4 => Instruction::Metadata { value: self.u64(), mask: self.u64() },
            5 => Instruction::Goto(TableId(self.u8())),
            _ => Instruction::Unknown(vec![0xff, 0xff, 0, 8, 1, 2, 3, 4]),
        }
    }

    pub fn flow(&mut self) -> Flow {
        Flow {
            table: TableId(self.u8()),
            priority: self.u16(),
            cookie: self.u64(),
            matching: self.matching(),
            instructions: self.list(4, Self::instruction),
        }
    }

    fn group(&mut self) -> Group {
        let kinds = [GroupType::All, GroupType::Select, GroupType::Indirect, GroupType::FastFailover];
        Group {
            id: GroupId(self.u32()),
            kind: kinds[self.below(4)],
            buckets: self.list(4, |r| Bucket { weight: r.u16(), actions: r.actions() }),
        }
    }

    fn optional_group(&mut self) -> Option<GroupId> {
        self.option(|r| GroupId(r.u32() >> 1))
    }

    fn meter(&mut self) -> Meter {
        Meter {
            id: MeterId(self.u32()),
            flags: MeterFlags(self.u16()),
            bands: self.list(3, |r| match r.below(3) {
                0 => MeterBand::Drop { rate: r.u32(), burst: r.u32() },
                1 => MeterBand::DscpRemark { rate: r.u32(), burst: r.u32(), prec_level: r.u8() },
                _ => MeterBand::Unknown(vec![0xff, 0xff, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
            }),
        }
    }

    fn port(&mut self) -> PortDesc {
        PortDesc {
            number: OfPort(self.u32()),
            mac: MacAddr(self.array()),
            name: self.text(16),
            config: self.u32(),
            state: self.u32(),
            current: self.u32(),
            advertised: self.u32(),
            supported: self.u32(),
            peer: self.u32(),
            current_speed: self.u32(),
            max_speed: self.u32(),
        }
    }

    fn flow_mod(&mut self) -> FlowMod {
        FlowMod {
            command: self.u8().into(),
            cookie_mask: self.u64(),
            idle_timeout: self.u16(),
            hard_timeout: self.u16(),
            buffer_id: self.option(|r| r.u32() >> 1),
            out_port: OfPort(self.u32()),
            out_group: self.optional_group(),
            flags: FlowFlags(self.u16()),
            flow: self.flow(),
        }
    }

    fn filter(&mut self) -> FlowFilter {
        FlowFilter {
            table: TableId(self.u8()),
            out_port: OfPort(self.u32()),
            out_group: self.optional_group(),
            cookie: self.u64(),
            cookie_mask: self.u64(),
            matching: self.matching(),
        }
    }

    fn packet_in(&mut self) -> PacketIn {
        let nxt2 = self.bool();
        let data = self.bytes();
        PacketIn {
            format: if nxt2 { PacketInFormatUsed::Nxt2 } else { PacketInFormatUsed::Standard },
            buffer_id: self.option(|r| r.u32() >> 1),
            total_len: self.u16().into(),
            reason: self.u8().into(),
            table: TableId(self.u8()),
            cookie: self.u64(),
            matching: self.matching(),
            userdata: if nxt2 { self.bytes() } else { vec![] },
            continuation: if nxt2 { self.bytes() } else { vec![] },
            data,
        }
    }

    fn request(&mut self) -> MultipartRequest {
        match self.below(13) {
            0 => MultipartRequest::Desc,
            1 => MultipartRequest::Flow(self.filter()),
            2 => MultipartRequest::Aggregate(self.filter()),
            3 => MultipartRequest::Table,
            4 => MultipartRequest::PortStats(OfPort(self.u32())),
            5 => MultipartRequest::GroupStats(self.optional_group()),
            6 => MultipartRequest::GroupDesc,
            7 => MultipartRequest::MeterStats(self.option(|r| MeterId(r.u32() >> 1))),
            8 => MultipartRequest::MeterConfig(self.option(|r| MeterId(r.u32() >> 1))),
            9 => MultipartRequest::MeterFeatures,
            10 => MultipartRequest::PortDesc,
            11 => MultipartRequest::FlowMonitor(self.list(3, |r| FlowMonitorRequest {
                id: r.u32(),
                flags: MonitorFlags(r.u16()),
                out_port: OfPort(r.u32()),
                table: TableId(r.u8()),
                matching: r.matching(),
            })),
            _ => MultipartRequest::Unknown { kind: 77, body: self.bytes() },
        }
    }

    fn update(&mut self) -> FlowUpdate {
        let flow =
            |r: &mut Self| MonitoredFlow { flow: r.flow(), idle_timeout: r.u16(), hard_timeout: r.u16() };
        match self.below(5) {
            0 => FlowUpdate::Added(flow(self)),
            1 => FlowUpdate::Modified(flow(self)),
            2 => FlowUpdate::Removed { flow: flow(self), reason: self.u16() },
            3 => FlowUpdate::Abbreviated(self.u32()),
            _ => FlowUpdate::Unknown(vec![0, 8, 0, 99, 1, 2, 3, 4]),
        }
    }

    fn flow_stats(&mut self) -> FlowStats {
        FlowStats {
            flow: self.flow(),
            duration_sec: self.u32(),
            duration_nsec: self.u32(),
            idle_timeout: self.u16(),
            hard_timeout: self.u16(),
            flags: FlowFlags(self.u16()),
            packet_count: self.u64(),
            byte_count: self.u64(),
        }
    }

    fn port_stats(&mut self) -> PortStats {
        PortStats {
            port: OfPort(self.u32()),
            rx_packets: self.u64(),
            tx_packets: self.u64(),
            rx_bytes: self.u64(),
            tx_bytes: self.u64(),
            rx_dropped: self.u64(),
            tx_dropped: self.u64(),
            rx_errors: self.u64(),
            tx_errors: self.u64(),
            rx_frame_err: self.u64(),
            rx_over_err: self.u64(),
            rx_crc_err: self.u64(),
            collisions: self.u64(),
            duration_sec: self.u32(),
            duration_nsec: self.u32(),
        }
    }

    fn reply(&mut self) -> MultipartReply {
        match self.below(13) {
            0 => MultipartReply::Desc(SwitchDesc {
                manufacturer: self.text(255),
                hardware: self.text(255),
                software: self.text(255),
                serial: self.text(32),
                datapath: self.text(255),
            }),
            1 => MultipartReply::Flow(self.list(4, Self::flow_stats)),
            2 => MultipartReply::Aggregate(AggregateStats {
                packet_count: self.u64(),
                byte_count: self.u64(),
                flow_count: self.u32(),
            }),
            3 => MultipartReply::Table(self.list(4, |r| TableStats {
                table: TableId(r.u8()),
                active_count: r.u32(),
                lookup_count: r.u64(),
                matched_count: r.u64(),
            })),
            4 => MultipartReply::PortStats(self.list(3, Self::port_stats)),
            5 => MultipartReply::GroupStats(self.list(3, |r| GroupStats {
                group: GroupId(r.u32()),
                ref_count: r.u32(),
                packet_count: r.u64(),
                byte_count: r.u64(),
                duration_sec: r.u32(),
                duration_nsec: r.u32(),
                buckets: r.list(3, |r| (r.u64(), r.u64())),
            })),
            6 => MultipartReply::GroupDesc(self.list(4, Self::group)),
            7 => MultipartReply::MeterStats(self.list(3, |r| MeterStats {
                meter: MeterId(r.u32()),
                flow_count: r.u32(),
                packet_in_count: r.u64(),
                byte_in_count: r.u64(),
                duration_sec: r.u32(),
                duration_nsec: r.u32(),
                bands: r.list(3, |r| (r.u64(), r.u64())),
            })),
            8 => MultipartReply::MeterConfig(self.list(4, Self::meter)),
            9 => MultipartReply::MeterFeatures(MeterFeatures {
                max_meters: self.u32(),
                band_types: self.u32(),
                capabilities: self.u32(),
                max_bands: self.u8(),
                max_color: self.u8(),
            }),
            10 => MultipartReply::PortDesc(self.list(4, Self::port)),
            11 => MultipartReply::FlowMonitor(self.list(4, Self::update)),
            _ => MultipartReply::Unknown { kind: 77, body: self.bytes() },
        }
    }

    /// Any message.
    pub fn message(&mut self) -> Message {
        let role = |r: &mut Self| RoleChange { role: r.u32().into(), generation_id: r.u64() };
        let config = |r: &mut Self| SwitchConfig { flags: r.u16(), miss_send_len: r.u16() };
        let listen = |r: &mut Self| AsyncConfig {
            packet_in: [r.u32(), r.u32()],
            port_status: [r.u32(), r.u32()],
            flow_removed: [r.u32(), r.u32()],
        };
        match self.below(36) {
            0 => Message::Hello(Hello { version: self.u8(), bitmap: self.option(|r| r.u32()) }),
            1 => self.error(),
            2 => Message::EchoRequest(self.bytes()),
            3 => Message::EchoReply(self.bytes()),
            4 => Message::FeaturesRequest,
            5 => Message::FeaturesReply(Features {
                datapath_id: DatapathId(self.u64()),
                n_buffers: self.u32(),
                n_tables: self.u8(),
                auxiliary_id: self.u8(),
                capabilities: Capabilities(self.u32()),
                reserved: self.u32(),
            }),
            6 => Message::GetConfigRequest,
            7 => Message::GetConfigReply(config(self)),
            8 => Message::SetConfig(config(self)),
            9 | 10 => Message::PacketIn(self.packet_in()),
            11 => Message::FlowRemoved(FlowRemoved {
                cookie: self.u64(),
                priority: self.u16(),
                reason: self.u8().into(),
                table: TableId(self.u8()),
                duration_sec: self.u32(),
                duration_nsec: self.u32(),
                idle_timeout: self.u16(),
                hard_timeout: self.u16(),
                packet_count: self.u64(),
                byte_count: self.u64(),
                matching: self.matching(),
            }),
            12 => Message::PortStatus(PortStatus { change: self.u8().into(), port: self.port() }),
            13 => Message::PacketOut(PacketOut {
                buffer_id: self.option(|r| r.u32() >> 1),
                in_port: OfPort(self.u32()),
                actions: self.actions(),
                data: self.bytes(),
            }),
            14 | 15 => Message::FlowMod(self.flow_mod()),
            16 => Message::GroupMod(GroupMod { command: self.u16().into(), group: self.group() }),
            17 => Message::MeterMod(MeterMod { command: self.u16().into(), meter: self.meter() }),
            18 | 19 => Message::MultipartRequest(self.request()),
            20..=24 => Message::MultipartReply { more: self.bool(), body: self.reply() },
            25 => Message::BarrierRequest,
            26 => Message::BarrierReply,
            27 => Message::RoleRequest(role(self)),
            28 => Message::RoleReply(role(self)),
            29 => Message::RoleStatus(RoleStatus {
                role: self.u32().into(),
                reason: self.u8(),
                generation_id: self.u64(),
            }),
            30 => [Message::GetAsyncRequest, Message::FlowMonitorPaused, Message::FlowMonitorResumed]
                [self.below(3)]
            .clone(),
            31 => Message::GetAsyncReply(listen(self)),
            32 => Message::SetAsync(listen(self)),
            33 => match self.below(3) {
                0 => Message::SetPacketInFormat(self.u32().into()),
                1 => Message::SetControllerId(self.u16()),
                _ => Message::FlowMonitorCancel(self.u32()),
            },
            34 => self.bundle(),
            _ => Message::Unknown { kind: 77, body: self.bytes() },
        }
    }

    fn error(&mut self) -> Message {
        let experimenter = self.option(|r| r.u32());
        let kind = if experimenter.is_some() { 0xffff } else { self.u16() >> 1 };
        Message::Error(ErrorMessage { kind, code: self.u16(), experimenter, data: self.bytes() })
    }

    fn bundle(&mut self) -> Message {
        let (id, flags) = (self.u32(), BundleFlags(self.u16()));
        if self.bool() {
            return Message::BundleControl(BundleControl { id, kind: self.u16().into(), flags });
        }
        let message = Message::FlowMod(self.flow_mod());
        Message::BundleAdd(BundleAdd { id, flags, xid: Xid(self.u32()), message: Box::new(message) })
    }
}
