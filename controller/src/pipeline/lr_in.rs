//! Logical routers: who enters, what they answer themselves, where the rest goes.

use super::{
    Fact, Sink, Table,
    base::{ipv4, ipv6},
    ls_in::mac_bits,
    priority,
    punt::IcmpReason,
    register::{self, Source},
};
use ipnet::IpNet;
use openflow::{Action, Bucket, Field, Group, GroupId, GroupType, Match, SubField};
use packet::{
    MacAddr, OfPort,
    header::{icmp_type, protocol},
};
use std::net::IpAddr;

/// TTL or hop limit of packets that a router sends itself (RFC 1700, "IP time to live").
const OWN_TTL: u8 = 64;

/// The rewrite that takes a packet from a router onto the network of its next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Adjacency {
    /// Key of the network it leaves by.
    pub net: u32,
    /// The router's MAC there.
    pub src_mac: MacAddr,
    /// The next hop's MAC.
    pub dst_mac: MacAddr,
    /// If the next hop is a router: its VRF. The packet enters it without leaving the pipeline.
    pub vrf: Option<u32>,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// To one next hop.
    Adjacency(Adjacency),
    /// To one of several.
    Group(GroupId),
    /// Nowhere, and the sender is told why.
    Refuse(IcmpReason),
}

fn in_vrf(matching: Match, vrf: u32) -> Match {
    register::VRF.is(matching, vrf)
}

fn to(ip: IpAddr) -> Match {
    match ip {
        IpAddr::V4(ip) => ipv4().with(Field::Ipv4Dst, ip),
        IpAddr::V6(ip) => ipv6().with(Field::Ipv6Dst, ip),
    }
}

/// Packets of this chassis for the router's MAC on a network enter it.
pub fn admit(sink: &mut Sink, net: u32, mac: MacAddr, vrf: u32) {
    sink.facts.push(Fact::Door { net, mac, vrf });
    let matching = register::NET.is(Match::new().with(Field::EthDst, mac), net);
    let matching = register::SOURCE.is(matching, Source::Local as u32);
    let actions = vec![register::VRF.load(vrf), register::ROUTED.load(1)];
    sink.flow(Table::LrInAdmission, priority::EXACT, matching, actions, Some(Table::LrInIpInput));
}

/// The router answers echo requests for an address of its own, from wherever they come, and refuses what else is
/// sent to it.
pub fn own_address(sink: &mut Sink, vrf: u32, ip: IpAddr) {
    sink.facts.push(Fact::Own { vrf, ip });
    let copy = |src, dst| Action::Move { src, dst };
    let (echo, source, destination, kind, reply, swap) = match ip {
        IpAddr::V4(_) => {
            let echo =
                to(ip).with(Field::IpProto, protocol::ICMP).with(Field::Icmpv4Type, icmp_type::ECHO_REQUEST);
            (echo, Field::Ipv4Src, Field::Ipv4Dst, Field::Icmpv4Type, icmp_type::ECHO_REPLY, register::SWAP)
        }
        IpAddr::V6(_) => {
            let echo = to(ip)
                .with(Field::IpProto, protocol::ICMPV6)
                .with(Field::Icmpv6Type, icmp_type::V6_ECHO_REQUEST);
            (
                echo,
                Field::Ipv6Src,
                Field::Ipv6Dst,
                Field::Icmpv6Type,
                icmp_type::V6_ECHO_REPLY,
                register::SWAP6,
            )
        }
    };
    let echo = in_vrf(echo, vrf);
    let mut answer = vec![
        copy(SubField::whole(destination), swap),
        copy(SubField::whole(source), SubField::whole(destination)),
        copy(swap, SubField::whole(source)),
        Action::set(kind, reply),
    ];
    // The MACs of an echo that came by another router are those between the two: its answer takes the way back by the
    // routes, the first of which will take one from the TTL.
    let mut routed = answer.clone();
    routed.push(Action::SetTtl(OWN_TTL + 1));
    let by_router = register::VIA_ROUTER.is(echo.clone(), 1);
    sink.flow(Table::LrInIpInput, priority::GUARD + 1, by_router, routed, Some(Table::LrInIpRouting));
    answer.extend([
        copy(mac_bits(Field::EthDst), register::SWAP_MAC),
        copy(mac_bits(Field::EthSrc), mac_bits(Field::EthDst)),
        copy(register::SWAP_MAC, mac_bits(Field::EthSrc)),
        Action::SetTtl(OWN_TTL),
        Action::output(OfPort::IN_PORT),
    ]);
    sink.flow(Table::LrInIpInput, priority::GUARD, echo, answer, None);
    refuse(sink, Table::LrInIpInput, priority::EXACT, in_vrf(to(ip), vrf), IcmpReason::NoPort);
}

/// A route of a VRF: the longest prefix wins.
pub fn route(sink: &mut Sink, vrf: u32, prefix: IpNet, target: &Target) {
    sink.routes.push((vrf, prefix, target.clone()));
    let (addr, mask) = (prefix.network(), prefix.netmask());
    let matching = match prefix {
        IpNet::V4(_) => ipv4().with_masked(Field::Ipv4Dst, addr, mask),
        IpNet::V6(_) => ipv6().with_masked(Field::Ipv6Dst, addr, mask),
    };
    let (table, rank) = (Table::LrInIpRouting, priority::route(prefix.prefix_len()));
    let matching = in_vrf(matching, vrf);
    match target {
        Target::Refuse(reason) => refuse(sink, table, rank, matching, *reason),
        Target::Group(group) => sink.flow(table, rank, matching, vec![Action::Group(*group)], None),
        Target::Adjacency(adjacency) => {
            let mut actions = rewrite(adjacency);
            match adjacency.vrf {
                // A table may be looked up again, but goto cannot go back.
                Some(_) => {
                    actions.push(Action::resubmit(Table::LrInIpInput.id()));
                    sink.flow(table, rank, matching, actions, None);
                }
                None => sink.flow(table, rank, matching, actions, Some(Table::LrInChkPktLen)),
            }
        }
    }
}

/// A group that spreads traffic over next hops by its hash.
pub fn ecmp(sink: &mut Sink, id: GroupId, hops: &[Adjacency]) {
    sink.next_hops.push((id, hops.to_vec()));
    let bucket = |hop: &Adjacency| {
        let mut actions = rewrite(hop);
        let next = if hop.vrf.is_some() { Table::LrInIpInput } else { Table::LrInChkPktLen };
        actions.push(Action::resubmit(next.id()));
        Bucket { weight: 1, actions }
    };
    sink.groups.push(Group { id, kind: GroupType::Select, buckets: hops.iter().map(bucket).collect() });
}

fn rewrite(to: &Adjacency) -> Vec<Action> {
    let mut actions = vec![
        Action::DecTtl,
        Action::set(Field::EthSrc, to.src_mac),
        Action::set(Field::EthDst, to.dst_mac),
        register::NET.load(to.net),
    ];
    if let Some(vrf) = to.vrf {
        // The next router sees the packet come in on the network between the two.
        let via = register::VIA_ROUTER.load(1);
        actions.extend([register::NET_IN.load(to.net), register::VRF.load(vrf), via]);
    }
    actions
}

/// Packets that a router would put on this network must not be longer than its MTU.
pub fn check_length(sink: &mut Sink, vrf: u32, net: u32, mtu: u16) {
    const ETHERNET_HEADER: u16 = 14;
    let matching = in_vrf(register::NET.is(Match::new(), net), vrf);
    let check =
        Action::CheckPktLarger { len: mtu.saturating_add(ETHERNET_HEADER), dst: register::TOO_BIG.at };
    sink.flow(Table::LrInChkPktLen, priority::CLASS, matching, vec![check], Some(Table::LrInLargerPkts));
}

/// The packet goes no further, and its sender is told why.
pub fn refuse(sink: &mut Sink, table: Table, rank: u16, matching: Match, reason: IcmpReason) {
    let actions = vec![register::ICMP_REASON.load(reason as u32)];
    sink.flow(table, rank, matching, actions, Some(Table::LrOutIcmpError));
}
