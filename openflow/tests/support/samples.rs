//! Flows and groups that between them use every field, action and instruction.

use openflow::{
    Action, Bucket, Field, FieldMatch, Flow, Group, GroupId, GroupType, Instruction, Match, MeterId,
    SubField, TableId, action::ControllerAction, matching::FieldValue,
};
use packet::{MacAddr, OfPort};
use std::net::Ipv4Addr;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

fn any() -> Match {
    Match::new()
}

fn ip() -> Match {
    any().with(Field::EthType, 0x0800u16)
}

fn ip6() -> Match {
    any().with(Field::EthType, 0x86ddu16)
}

fn arp() -> Match {
    any().with(Field::EthType, 0x0806u16)
}

fn tcp() -> Match {
    ip().with(Field::IpProto, 6u8)
}

fn udp() -> Match {
    ip().with(Field::IpProto, 17u8)
}

fn icmp() -> Match {
    ip().with(Field::IpProto, 1u8)
}

fn icmp6() -> Match {
    ip6().with(Field::IpProto, 58u8)
}

/// A neighbour solicitation.
fn ns() -> Match {
    icmp6().with(Field::Icmpv6Type, 135u8).with(Field::Icmpv6Code, 0u8)
}

/// A neighbour advertisement.
fn na() -> Match {
    icmp6().with(Field::Icmpv6Type, 136u8).with(Field::Icmpv6Code, 0u8)
}

/// Any VLAN tag.
fn vlan() -> Match {
    any().with_masked(Field::VlanVid, 0x1000u16, 0x1000u16)
}

/// Every field, exact and under masks, and prerequisites of many kinds.
pub fn matches() -> Vec<Match> {
    let prefix = |len: u32| u128::MAX << (128 - len);
    let mut matches = vec![
        any(),
        any().with(Field::InPort, OfPort(1)),
        any().with(Field::InPort, OfPort::LOCAL),
        any().with(Field::EthDst, MAC),
        any().with_masked(Field::EthDst, 1u64 << 40, 1u64 << 40),
        any().with(Field::EthSrc, MAC),
        any().with_masked(Field::EthSrc, MAC, 0xffff_ff00_0000u64),
        any().with(Field::EthType, 0x88ccu16),
        any().with(Field::VlanVid, 0u16),
        any().with(Field::VlanVid, 0x1064u16),
        vlan(),
        any().with(Field::VlanVid, 0x1064u16).with(Field::VlanPcp, 5u8),
        vlan().with(Field::VlanPcp, 5u8),
        any().with_masked(Field::VlanVid, 0x1060u16, 0x1ff0u16),
        ip().with(Field::IpDscp, 46u8),
        ip6().with(Field::IpEcn, 3u8),
        ip().with(Field::IpTtl, 1u8),
        ip6().with(Field::IpTtl, 64u8),
        ip().with(Field::IpProto, 89u8),
        ip6().with(Field::IpProto, 89u8),
        ip().with(Field::IpFrag, 0u8),
        ip().with(Field::IpFrag, 1u8),
        ip().with(Field::IpFrag, 3u8),
        ip().with_masked(Field::IpFrag, 2u8, 2u8),
        ip().with_masked(Field::IpFrag, 0u8, 2u8),
        ip6().with_masked(Field::IpFrag, 1u8, 1u8),
        ip().with(Field::Ipv4Src, Ipv4Addr::new(10, 0, 0, 1)),
        ip().with_masked(Field::Ipv4Src, 0x0a00_0000u32, 0xff00_0000u32),
        ip().with(Field::Ipv4Dst, Ipv4Addr::new(10, 0, 0, 1)),
        ip().with_masked(Field::Ipv4Dst, 0x0a00_0001u32, 0xff00_00ffu32),
        ip6().with(Field::Ipv6Src, 0x2001_0db8_u128 << 96 | 1),
        ip6().with_masked(Field::Ipv6Src, 0x2001_0db8_u128 << 96, prefix(64)),
        ip6().with(Field::Ipv6Dst, 0x2001_0db8_u128 << 96 | 1),
        ip6().with_masked(Field::Ipv6Dst, 0x2001_0db8_u128 << 96 | 1, prefix(32) | 1),
        tcp().with(Field::TcpSrc, 80u16),
        tcp().with_masked(Field::TcpDst, 0x50u16, 0xfff0u16),
        udp().with(Field::UdpSrc, 67u16),
        udp().with(Field::UdpDst, 68u16),
        ip6().with(Field::IpProto, 6u8).with(Field::TcpDst, 443u16),
        ip6().with(Field::IpProto, 17u8).with(Field::UdpDst, 547u16),
        icmp().with(Field::Icmpv4Type, 8u8),
        icmp().with(Field::Icmpv4Type, 3u8).with(Field::Icmpv4Code, 4u8),
        icmp().with(Field::Icmpv4Code, 0u8),
        icmp6().with(Field::Icmpv6Type, 128u8),
        icmp6().with(Field::Icmpv6Type, 2u8).with(Field::Icmpv6Code, 0u8),
        ns().with(Field::NdTarget, 0xfe80_u128 << 112 | 1),
        ns().with_masked(Field::NdTarget, 0xfe80_u128 << 112, prefix(64)),
        ns().with(Field::NdSll, MAC),
        ns().with_masked(Field::NdSll, 0u64, 0xffff_ffff_fff0u64),
        na().with(Field::NdTll, MAC),
        na().with(Field::NdReserved, 0x6000_0000u32),
        na().with(Field::NdOptionsType, 2u8),
        ns().with(Field::NdOptionsType, 1u8)
            .with(Field::NdReserved, 0u32)
            .with(Field::NdTarget, 7u128)
            .with(Field::NdSll, MAC),
        arp().with(Field::ArpOp, 1u16),
        arp().with(Field::ArpSpa, 0x0a00_0001u32),
        arp().with_masked(Field::ArpTpa, 0x0a00_0000u32, 0xff00_0000u32),
        arp().with(Field::ArpSha, MAC),
        arp().with(Field::ArpTha, 0u64),
        arp().with_masked(Field::ArpTha, 0u64, 1u64),
        any().with(Field::Metadata, 5u64),
        any().with_masked(Field::Metadata, 5u64, 0xffu64),
        any().with(Field::TunId, 0xff_ffffu64),
        any().with_masked(Field::TunId, 0x10u64, 0xf0u64),
        any().with(Field::TunSrc, 0x0a00_0001u32),
        any().with(Field::TunDst, 0x0a00_0001u32),
        any().with_masked(Field::TunSrc, 0x0a00_0000u32, 0xff00_0000u32),
        any().with(Field::TunIpv6Src, 1u128),
        any().with(Field::TunIpv6Dst, 2u128),
        any().with(Field::XReg(1), 0x12_3456_7890u64),
        any().with_masked(Field::XReg(2), 0x5_0000_0001u64, 0xf_0000_000fu64),
        any().with_masked(Field::XReg(2), 0x5_0000_0000u64, 0xf_0000_0000u64),
        any().with(Field::XxReg(3), 0x77u128),
        any().with(Field::XxReg(1), u128::MAX),
        everything(),
        // Fields this crate has no name for: pkt_mark, and ct_state under a mask.
        any().with(Field::Unknown(0x0001_4204), 7u32),
        any().with_masked(Field::Unknown(0x0001_d308), 0x21u32, 0x21u32),
    ];
    for n in 0..16u8 {
        matches.push(any().with(Field::Reg(n), n));
        matches.push(any().with_masked(Field::Reg(n), 0x5u32, 0xffu32));
    }
    matches
}

/// As many fields as go together.
fn everything() -> Match {
    tcp()
        .with(Field::InPort, OfPort(1))
        .with(Field::EthSrc, MAC)
        .with(Field::EthDst, MacAddr::BROADCAST)
        .with(Field::VlanVid, 0x1001u16)
        .with(Field::VlanPcp, 1u8)
        .with(Field::Ipv4Src, 1u32)
        .with(Field::Ipv4Dst, 2u32)
        .with(Field::IpDscp, 1u8)
        .with(Field::IpEcn, 1u8)
        .with(Field::IpTtl, 1u8)
        .with(Field::IpFrag, 0u8)
        .with(Field::TcpSrc, 1u16)
        .with(Field::TcpDst, 2u16)
        .with(Field::TunId, 1u64)
        .with(Field::TunSrc, 1u32)
        .with(Field::TunDst, 1u32)
        .with(Field::Reg(0), 1u32)
        .with(Field::Reg(15), 0u32)
        .with(Field::Metadata, 0u64)
}

fn masked(field: Field, value: u128, mask: u128) -> Action {
    Action::SetField(FieldMatch { field, value, mask: Some(mask) })
}

fn load(field: Field, offset: u16, bits: u16, value: u64) -> Action {
    Action::RegLoad { dst: SubField::new(field, offset, bits), value }
}

fn load_all(field: Field, value: u64) -> Action {
    Action::RegLoad { dst: SubField::whole(field), value }
}

fn copy(src: Field, dst: Field) -> Action {
    Action::Move { src: SubField::whole(src), dst: SubField::whole(dst) }
}

fn copy_low(src: Field, dst: Field, bits: u16) -> Action {
    Action::Move { src: SubField::new(src, 0, bits), dst: SubField::new(dst, 0, bits) }
}

fn controller() -> ControllerAction {
    ControllerAction {
        max_len: 0xffff,
        controller_id: 0,
        reason: 1,
        userdata: vec![],
        pause: false,
        meter: None,
    }
}

/// Every action, each with a match that allows it.
pub fn actions() -> Vec<(Match, Vec<Action>)> {
    let mut all = outputs();
    all.extend(set_fields());
    all.extend(loads_and_moves());
    all.extend(others());
    let mut all: Vec<_> = all.into_iter().map(|(matching, action)| (matching, vec![action])).collect();
    all.push((
        icmp(),
        vec![
            copy(Field::EthSrc, Field::EthDst),
            set(Field::EthSrc, MAC),
            copy(Field::Ipv4Src, Field::Ipv4Dst),
            set(Field::Ipv4Src, 5u32),
            set(Field::Icmpv4Type, 0u8),
            Action::SetTtl(255),
            Action::output(OfPort::IN_PORT),
        ],
    ));
    all.push((
        any(),
        vec![
            Action::PushVlan(0x8100),
            set(Field::VlanVid, 0x1064u16),
            Action::output(OfPort(1)),
            Action::PopVlan,
            Action::output(OfPort(2)),
        ],
    ));
    all
}

fn set(field: Field, value: impl FieldValue) -> Action {
    Action::set(field, value)
}

fn outputs() -> Vec<(Match, Action)> {
    let to = |port, max_len| (any(), Action::Output { port, max_len });
    let register = |field, offset, bits, max_len| {
        (any(), Action::OutputReg { src: SubField::new(field, offset, bits), max_len })
    };
    vec![
        to(OfPort(1), 0),
        to(OfPort(2), 77),
        to(OfPort(4000), 0),
        to(OfPort::CONTROLLER, 0xffff),
        to(OfPort::CONTROLLER, 128),
        to(OfPort::IN_PORT, 0),
        to(OfPort::LOCAL, 0),
        to(OfPort::NORMAL, 0),
        to(OfPort(0xffff_fffb), 0),
        to(OfPort(0xffff_fffc), 0),
        register(Field::Reg(3), 0, 32, 0xffff),
        register(Field::Reg(3), 16, 16, 5),
        register(Field::XReg(1), 0, 32, 0),
        register(Field::InPort, 0, 32, 0),
        (any(), Action::Group(GroupId(2))),
    ]
}

fn set_fields() -> Vec<(Match, Action)> {
    vec![
        (any(), set(Field::EthDst, MAC)),
        (any(), set(Field::EthSrc, MAC)),
        (any(), set(Field::TunId, 0xff_ffffu64)),
        (any(), set(Field::TunSrc, 1u32)),
        (any(), set(Field::TunDst, 1u32)),
        (any(), set(Field::TunIpv6Src, 1u128)),
        (any(), set(Field::TunIpv6Dst, 1u128)),
        (any(), set(Field::Metadata, 9u64)),
        (any(), set(Field::Reg(0), 9u32)),
        (any(), set(Field::Reg(15), 0u32)),
        (any(), set(Field::XReg(7), 9u64)),
        (any(), set(Field::XxReg(3), 9u128)),
        (vlan(), set(Field::VlanVid, 0x1005u16)),
        (vlan(), set(Field::VlanPcp, 5u8)),
        (ip(), set(Field::IpDscp, 5u8)),
        (ip(), set(Field::IpEcn, 1u8)),
        (ip(), set(Field::IpTtl, 5u8)),
        (ip(), set(Field::Ipv4Src, 5u32)),
        (ip(), set(Field::Ipv4Dst, 5u32)),
        (ip6(), set(Field::Ipv6Src, 5u128)),
        (ip6(), set(Field::Ipv6Dst, 5u128)),
        (tcp(), set(Field::TcpSrc, 5u16)),
        (tcp(), set(Field::TcpDst, 5u16)),
        (udp(), set(Field::UdpSrc, 5u16)),
        (udp(), set(Field::UdpDst, 5u16)),
        (icmp(), set(Field::Icmpv4Type, 0u8)),
        (icmp(), set(Field::Icmpv4Code, 0u8)),
        (icmp6(), set(Field::Icmpv6Type, 129u8)),
        (icmp6(), set(Field::Icmpv6Code, 0u8)),
        (arp(), set(Field::ArpOp, 2u16)),
        (arp(), set(Field::ArpSpa, 2u32)),
        (arp(), set(Field::ArpTpa, 2u32)),
        (arp(), set(Field::ArpSha, MAC)),
        (arp(), set(Field::ArpTha, MAC)),
        (ns(), set(Field::NdTarget, 2u128)),
        (ns(), set(Field::NdSll, MAC)),
        (na(), set(Field::NdTll, MAC)),
        (na(), set(Field::NdReserved, 0x6000_0000u32)),
        (na(), set(Field::NdOptionsType, 2u8)),
        (any(), masked(Field::EthDst, 1, 0xff)),
        (any(), masked(Field::XxReg(0), 0x5_0000_0000_0000_0001, 0xf_0000_0000_0000_000f)),
        (any(), masked(Field::Metadata, 1, 0xff)),
        (ip6(), masked(Field::Ipv6Dst, 1, 0xff)),
        (ip(), masked(Field::Ipv4Dst, 1, 0xff)),
        (any(), masked(Field::TunId, 1, 0xff)),
        (na(), masked(Field::NdReserved, 0x2000_0000, 0x2000_0000)),
        (any(), masked(Field::Reg(1), 0x505, 0xf0f)),
    ]
}

fn loads_and_moves() -> Vec<(Match, Action)> {
    vec![
        (any(), load(Field::Reg(1), 4, 4, 5)),
        (any(), load_all(Field::Reg(1), 5)),
        (any(), load(Field::Reg(9), 31, 1, 1)),
        (any(), load_all(Field::EthDst, 5)),
        (any(), load_all(Field::XReg(2), u64::MAX)),
        (any(), load(Field::XxReg(2), 64, 64, 7)),
        (any(), load(Field::XxReg(2), 60, 8, 7)),
        (any(), load_all(Field::InPort, 0)),
        (any(), load_all(Field::TunId, 7)),
        (any(), load_all(Field::Metadata, 7)),
        (ip(), load_all(Field::IpTtl, 64)),
        (ip(), load_all(Field::Ipv4Dst, 64)),
        (ip(), load_all(Field::IpDscp, 2)),
        (ip(), load_all(Field::IpEcn, 2)),
        (arp(), load_all(Field::ArpOp, 2)),
        (icmp(), load_all(Field::Icmpv4Type, 0)),
        (na(), load_all(Field::NdReserved, 0x6000_0000)),
        (na(), load_all(Field::NdOptionsType, 2)),
        (vlan(), load(Field::VlanVid, 0, 12, 2)),
        (vlan(), load_all(Field::VlanPcp, 2)),
        (any(), copy(Field::EthSrc, Field::EthDst)),
        (arp(), copy(Field::ArpSha, Field::ArpTha)),
        (arp(), copy(Field::ArpSpa, Field::ArpTpa)),
        (ip(), copy(Field::Ipv4Src, Field::Ipv4Dst)),
        (ip6(), copy(Field::Ipv6Src, Field::Ipv6Dst)),
        (ip6(), copy(Field::Ipv6Src, Field::XxReg(0))),
        (ip(), copy(Field::Ipv4Dst, Field::Reg(4))),
        (any(), copy(Field::InPort, Field::Reg(1))),
        (any(), copy(Field::TunId, Field::XReg(1))),
        (any(), copy(Field::Metadata, Field::XReg(1))),
        (any(), copy(Field::TunSrc, Field::Reg(0))),
        (any(), copy(Field::TunIpv6Src, Field::XxReg(0))),
        (ns(), copy(Field::NdTarget, Field::XxReg(1))),
        (na(), copy(Field::Reg(0), Field::NdReserved)),
        (ip(), copy_low(Field::IpTtl, Field::Reg(0), 8)),
        (ip(), copy_low(Field::IpProto, Field::Reg(0), 8)),
        (any(), copy_low(Field::EthType, Field::Reg(0), 16)),
        (vlan(), copy_low(Field::VlanVid, Field::Reg(0), 12)),
        (ns(), copy_low(Field::NdSll, Field::XxReg(0), 48)),
        (
            ip(),
            Action::Move {
                src: SubField::new(Field::Ipv4Dst, 8, 8),
                dst: SubField::new(Field::Reg(4), 3, 8),
            },
        ),
    ]
}

fn others() -> Vec<(Match, Action)> {
    let larger = |field, offset| Action::CheckPktLarger { len: 1500, dst: SubField::new(field, offset, 1) };
    let nested = Action::Clone(vec![
        Action::Clone(vec![set(Field::EthDst, MAC), Action::output(OfPort::IN_PORT)]),
        Action::output(OfPort(1)),
    ]);
    let mut others = vec![
        (any(), Action::PushVlan(0x8100)),
        (any(), Action::PushVlan(0x88a8)),
        (vlan(), Action::PopVlan),
        (ip(), Action::DecTtl),
        (ip6(), Action::DecTtl),
        (ip(), Action::SetTtl(64)),
        (any(), Action::SetQueue(3)),
        (any(), Action::resubmit(TableId(3))),
        (any(), Action::Resubmit { in_port: Some(5), table: TableId(3) }),
        (any(), Action::Resubmit { in_port: Some(0xfffe), table: TableId(255) }),
        (any(), Action::Resubmit { in_port: Some(5), table: TableId(255) }),
        (any(), Action::Resubmit { in_port: None, table: TableId(255) }),
        (any(), larger(Field::Reg(10), 0)),
        (any(), larger(Field::XxReg(1), 127)),
        (any(), Action::Clone(vec![])),
        (any(), Action::Clone(vec![Action::output(OfPort(1))])),
        (any(), nested),
        (any(), Action::StackPush(SubField::whole(Field::Reg(0)))),
        (any(), Action::StackPush(SubField::whole(Field::EthDst))),
        (any(), Action::StackPop(SubField::new(Field::Reg(1), 4, 8))),
        (any(), Action::StackPop(SubField::whole(Field::XxReg(1)))),
        (any(), Action::StackPop(SubField::whole(Field::InPort))),
    ];
    others.extend(
        [
            controller(),
            ControllerAction { max_len: 100, ..controller() },
            ControllerAction { controller_id: 5, reason: 0, userdata: vec![1, 2, 3], ..controller() },
            ControllerAction { reason: 2, userdata: (1..=13).collect(), meter: Some(7), ..controller() },
            ControllerAction { pause: true, ..controller() },
            ControllerAction { userdata: vec![9; 8], max_len: 0, ..controller() },
        ]
        .map(|action| (any(), Action::Controller(action))),
    );
    others
}

/// Every instruction, in the order in which a switch runs them.
pub fn instructions() -> Vec<Vec<Instruction>> {
    vec![
        vec![
            Instruction::Meter(MeterId(7)),
            Instruction::Apply(vec![Action::output(OfPort(1))]),
            Instruction::Clear,
            Instruction::Write(vec![
                Action::set(Field::EthDst, MAC),
                Action::Group(GroupId(1)),
                Action::output(OfPort(3)),
            ]),
            Instruction::Metadata { value: 5, mask: 0xff },
            Instruction::Goto(TableId(9)),
        ],
        vec![Instruction::Metadata { value: 5, mask: u64::MAX }],
        vec![Instruction::Metadata { value: 0x105, mask: 0xff }],
        vec![Instruction::Metadata { value: 0, mask: 0 }],
        vec![Instruction::Clear],
        vec![Instruction::Goto(TableId(253))],
        vec![Instruction::Write(vec![Action::output(OfPort(3)), Action::set(Field::EthDst, MAC)])],
        vec![Instruction::Apply(vec![Action::output(OfPort(3))]), Instruction::Goto(TableId(9))],
    ]
}

/// All of the above as flows; the cookie of each is its place.
pub fn flows() -> Vec<Flow> {
    let matches = matches().into_iter().map(|matching| (matching, vec![]));
    let actions =
        actions().into_iter().map(|(matching, actions)| (matching, vec![Instruction::Apply(actions)]));
    let instructions = instructions().into_iter().map(|instructions| (any(), instructions));
    let all = matches.chain(actions).chain(instructions);
    all.zip(0u16..)
        .map(|((matching, instructions), n)| Flow {
            table: TableId(u8::try_from(n % 5).unwrap()),
            priority: 1000 + n,
            cookie: 0xabc0_0000_0000_0000 | u64::from(n),
            matching,
            instructions,
        })
        .collect()
}

/// Every type of group. The flows above use groups 1 and 2.
pub fn groups() -> Vec<Group> {
    let group = |id, kind, buckets: Vec<(u16, Vec<Action>)>| Group {
        id: GroupId(id),
        kind,
        buckets: buckets.into_iter().map(|(weight, actions)| Bucket { weight, actions }).collect(),
    };
    let out = |port| Action::output(OfPort(port));
    vec![
        group(1, GroupType::All, vec![(0, vec![out(1)]), (0, vec![set(Field::TunId, 5u64), out(2)])]),
        group(2, GroupType::Select, vec![(1, vec![Action::resubmit(TableId(9))]), (3, vec![out(2)])]),
        group(3, GroupType::Indirect, vec![(0, vec![])]),
        group(4, GroupType::FastFailover, vec![(0, vec![out(1)]), (0, vec![Action::Group(GroupId(1))])]),
        group(6, GroupType::All, vec![]),
    ]
}
