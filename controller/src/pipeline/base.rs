//! Flows that are the same on every chassis: guards, misses, and the tails that many flows share.

use super::{
    Miss, Sink, Table, lr_in, priority,
    punt::{IcmpReason, METERS, USERDATA},
    register,
};
use openflow::{Action, Field, Instruction, Match, MeterId, SubField, action::ControllerAction};
use packet::{
    OfPort,
    header::{ethertype, icmp_type, protocol},
};
use std::net::{Ipv4Addr, Ipv6Addr};

/// ARP opcodes (RFC 826).
pub(super) mod arp_op {
    pub(crate) const REQUEST: u16 = 1;
    pub(crate) const REPLY: u16 = 2;
}

/// ICMPv6 types that only port security names (RFC 4861, 4.1 and 4.2; RFC 3810, 5.2).
const ROUTER_SOLICIT: u8 = 133;
const ROUTER_ADVERT: u8 = 134;
const MLD2_REPORT: u8 = 143;
/// The bit of an Ethernet address that says "group" (IEEE 802-2014, 8.2.2), as a 48-bit integer.
pub(super) const GROUP_BIT: u64 = 1 << 40;

/// A match on IPv4 packets.
pub(super) fn ipv4() -> Match {
    Match::new().with(Field::EthType, ethertype::IPV4)
}

/// A match on IPv6 packets.
pub(super) fn ipv6() -> Match {
    Match::new().with(Field::EthType, ethertype::IPV6)
}

/// A match on ICMPv6 messages of one type.
pub(super) fn icmpv6(kind: u8) -> Match {
    ipv6().with(Field::IpProto, protocol::ICMPV6).with(Field::Icmpv6Type, kind)
}

/// A match on ARP packets.
pub(super) fn arp() -> Match {
    Match::new().with(Field::EthType, ethertype::ARP)
}

/// Everything of [`super::UnitId::BASE`].
pub fn flows(sink: &mut Sink) {
    misses(sink);
    port_security(sink);
    answers(sink);
    router(sink);
    outputs(sink);
    icmp_errors(sink);
}

fn misses(sink: &mut Sink) {
    for &table in Table::ALL {
        if let Miss::Goto(next) = table.miss() {
            sink.flow(table, priority::MISS, Match::new(), vec![], Some(next));
        }
    }
    lr_in::refuse(sink, Table::LrInIpRouting, priority::MISS, Match::new(), IcmpReason::NoRoute);
}

/// What every port may send before it has an address: DHCP (RFC 2131, 4.1), ARP probes (RFC 5227, 2.1.1) and from
/// the unspecified IPv6 address: duplicate address detection (RFC 4862, 5.4.2), router solicitation (RFC 4861,
/// 6.3.7), and multicast listener reports (RFC 3810, 5.2.13).
fn port_security(sink: &mut Sink) {
    let (ip_sec, nd_sec) = (Table::LsInPortSecIp, Table::LsInPortSecNd);
    let dhcp =
        ipv4().with(Field::IpProto, protocol::UDP).with(Field::UdpSrc, 68_u16).with(Field::UdpDst, 67_u16);
    let dhcp = dhcp.with(Field::Ipv4Src, Ipv4Addr::UNSPECIFIED).with(Field::Ipv4Dst, Ipv4Addr::BROADCAST);
    sink.flow(ip_sec, priority::CLASS, dhcp, vec![], Some(Table::LsInArpNdRsp));
    let probe = arp().with(Field::ArpOp, arp_op::REQUEST).with(Field::ArpSpa, Ipv4Addr::UNSPECIFIED);
    sink.flow(ip_sec, priority::CLASS, probe, vec![], Some(Table::LsInArpNdRsp));
    for kind in [icmp_type::ND_SOLICIT, ROUTER_SOLICIT, MLD2_REPORT] {
        let unspecified = icmpv6(kind).with(Field::Ipv6Src, Ipv6Addr::UNSPECIFIED);
        sink.flow(ip_sec, priority::CLASS, unspecified, vec![], Some(nd_sec));
    }
    // A solicitation without a link-layer option says nothing of its sender's MAC; with one it must be the port's.
    let silent = icmpv6(icmp_type::ND_SOLICIT).with(Field::NdSll, packet::MacAddr::ZERO);
    sink.flow(nd_sec, priority::EXACT, silent, vec![], Some(Table::LsInArpNdRsp));
    for kind in [icmp_type::ND_SOLICIT, icmp_type::ND_ADVERT, ROUTER_ADVERT, icmp_type::ND_REDIRECT] {
        sink.flow(nd_sec, priority::CLASS, icmpv6(kind), vec![], None);
    }
}

/// The tails of the responders: a request becomes its answer and goes back.
fn answers(sink: &mut Sink) {
    // Duplicate address detection: its solicitation has no option that could become the answer's, so it is left to
    // the owner of the address.
    let dad = icmpv6(icmp_type::ND_SOLICIT).with(Field::NdSll, packet::MacAddr::ZERO);
    sink.flow(Table::LsInArpNdRsp, priority::GUARD, dad, vec![], Some(Table::LrInAdmission));

    let whole = SubField::whole;
    let copy = |src, dst| Action::Move { src, dst };
    let mac = |field| SubField::new(field, 0, 48);
    let arp_reply = vec![
        copy(mac(Field::EthSrc), mac(Field::EthDst)),
        copy(register::ANSWER_MAC, mac(Field::EthSrc)),
        Action::set(Field::ArpOp, arp_op::REPLY),
        copy(mac(Field::ArpSha), mac(Field::ArpTha)),
        copy(register::ANSWER_MAC, mac(Field::ArpSha)),
        copy(whole(Field::ArpTpa), register::SWAP),
        copy(whole(Field::ArpSpa), whole(Field::ArpTpa)),
        copy(register::SWAP, whole(Field::ArpSpa)),
        Action::output(OfPort::IN_PORT),
    ];
    sink.flow(Table::LsOutArpNdRsp, priority::CLASS, arp(), arp_reply, None);

    // RFC 4861, 4.4: flags Router, Solicited, Override in the highest bits of the reserved word.
    for (router, flags) in [(0, 0x6000_0000_u32), (1, 0xe000_0000)] {
        let advert = vec![
            copy(mac(Field::EthSrc), mac(Field::EthDst)),
            copy(register::ANSWER_MAC, mac(Field::EthSrc)),
            copy(whole(Field::Ipv6Src), whole(Field::Ipv6Dst)),
            copy(whole(Field::NdTarget), whole(Field::Ipv6Src)),
            Action::set(Field::Icmpv6Type, icmp_type::ND_ADVERT),
            Action::set(Field::NdReserved, flags),
            // The source link-layer option becomes the target's.
            Action::set(Field::NdOptionsType, 2_u8),
        ];
        let matching = register::ND_ROUTER.is(icmpv6(icmp_type::ND_SOLICIT), router);
        sink.flow(Table::LsOutArpNdRsp, priority::CLASS, matching, advert, Some(Table::LsOutNdAdvert));
    }
    let option = vec![copy(register::ANSWER_MAC, mac(Field::NdTll)), Action::output(OfPort::IN_PORT)];
    let advert = icmpv6(icmp_type::ND_ADVERT);
    sink.flow(Table::LsOutNdAdvert, priority::CLASS, advert, option, None);
}

fn router(sink: &mut Sink) {
    // Time to live (RFC 1812, 5.3.1): a router does not pass on a packet that came with 1 or 0.
    for family in [ipv4(), ipv6()] {
        for ttl in [0_u8, 1] {
            let spent = family.clone().with(Field::IpTtl, ttl);
            lr_in::refuse(sink, Table::LrInIpInput, priority::CLASS, spent, IcmpReason::TtlExceeded);
        }
    }
    // Link-local IPv6 and multicast stay on their link (RFC 4291, 2.5.6; RFC 1812, 5.2.2).
    let link_local = [
        ipv6().with_masked(Field::Ipv6Src, 0xfe80_u128 << 112, 0xffc0_u128 << 112),
        ipv6().with_masked(Field::Ipv6Dst, 0xfe80_u128 << 112, 0xffc0_u128 << 112),
        ipv6().with_masked(Field::Ipv6Dst, 0xff00_u128 << 112, 0xff00_u128 << 112),
        ipv4().with_masked(Field::Ipv4Dst, 0xe000_0000_u32, 0xe000_0000_u32),
        ipv4().with_masked(Field::Ipv4Src, 0xe000_0000_u32, 0xe000_0000_u32),
        ipv4().with_masked(Field::Ipv4Dst, 0x7f00_0000_u32, 0xff00_0000_u32),
        ipv4().with_masked(Field::Ipv4Src, 0x7f00_0000_u32, 0xff00_0000_u32),
    ];
    for matching in link_local {
        sink.flow(Table::LrInIpInput, priority::CLASS + 1, matching, vec![], None);
    }
    sink.flow(Table::LrInIpInput, priority::CLASS, arp(), vec![], None);
    let too_big = register::TOO_BIG.is(Match::new(), 1);
    lr_in::refuse(sink, Table::LrInLargerPkts, priority::CLASS, too_big, IcmpReason::TooBig);
}

/// Open vSwitch does not send a packet back to the port that it came from; a routed one may have to go there.
fn outputs(sink: &mut Sink) {
    let send = Action::OutputReg { src: register::OUT_PORT.at, max_len: 0 };
    let forget = Action::RegLoad { dst: SubField::new(Field::InPort, 0, 16), value: 0 };
    let routed = register::ROUTED.is(Match::new(), 1);
    sink.flow(Table::LsOutPort, priority::CLASS, routed, vec![forget, send.clone()], None);
    sink.flow(Table::LsOutPort, priority::REST, Match::new(), vec![send], None);
}

/// RFC 1812, 4.3.2.7 and RFC 4443, 2.4: no error about an error, nor about a later fragment. The controller knows
/// the other rules; these two are here so that such packets do not use up the meters.
fn icmp_errors(sink: &mut Sink) {
    let table = Table::LrOutIcmpError;
    for kind in [3_u8, 4, 5, 11, 12] {
        let error = ipv4().with(Field::IpProto, protocol::ICMP).with(Field::Icmpv4Type, kind);
        sink.flow(table, priority::GUARD, error, vec![], None);
    }
    // ICMPv6 errors have types below 128 (RFC 4443, 2.1), of which these are in use; a switch matches only whole types.
    for kind in [1_u8, 2, 3, 4] {
        sink.flow(table, priority::GUARD, icmpv6(kind), vec![], None);
    }
    for family in [ipv4(), ipv6()] {
        sink.flow(table, priority::GUARD, family.with_masked(Field::IpFrag, 2_u8, 2_u8), vec![], None);
    }
    for bucket in 0..METERS {
        let punt = Action::Controller(ControllerAction {
            max_len: 0xffff,
            controller_id: 0,
            reason: 1,
            userdata: vec![USERDATA],
            pause: false,
            meter: None,
        });
        let matching = register::METER_BUCKET.is(Match::new(), bucket);
        let instructions = vec![Instruction::Meter(MeterId(bucket + 1)), Instruction::Apply(vec![punt])];
        sink.raw(table, priority::REST, matching, instructions);
    }
}
