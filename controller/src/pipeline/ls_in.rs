//! The ingress of logical switches: whose packet it is, may it be sent, who answers, where its MAC is.

use super::{
    Fact, Sink, Table,
    base::{GROUP_BIT, arp, arp_op, icmpv6, ipv4, ipv6},
    macs, priority,
    register::{self, Source},
};
use ipnet::IpNet;
use openflow::{Action, Field, Match, SubField};
use packet::{MacAddr, OfPort, VlanId, Vni, header::icmp_type};
use std::net::{IpAddr, Ipv6Addr};

/// A frame with no 802.1Q tag.
fn untagged() -> Match {
    Match::new().with(Field::VlanVid, 0_u16)
}

fn enter(source: Source, net: u32) -> Vec<Action> {
    vec![register::SOURCE.load(source as u32), register::NET_IN.load(net), register::NET.load(net)]
}

/// A port of this chassis sends from a MAC of its own (`None`: from any, if its security is off).
pub fn admit_port(sink: &mut Sink, port: OfPort, mac: Option<MacAddr>, net: u32) {
    sink.facts.push(Fact::Port { port, net, mac });
    let mut actions = enter(Source::Local, net);
    actions.push(register::IN_PORT.load(port.0));
    let matching = untagged().with(Field::InPort, port);
    match mac {
        Some(mac) => {
            let matching = matching.with(Field::EthSrc, mac);
            sink.flow(Table::LsInAdmission, priority::EXACT, matching, actions, Some(Table::LsInPortSecIp));
        }
        None => {
            sink.flow(Table::LsInAdmission, priority::CLASS, matching, actions, Some(Table::LsInArpNdRsp))
        }
    }
}

/// A tunnel of this chassis delivers a frame of a network. It was checked, and if need be routed, where it came in.
pub fn admit_tunnel(sink: &mut Sink, tunnel: OfPort, vni: Vni, net: u32) {
    let matching = Match::new().with(Field::InPort, tunnel).with(Field::TunId, u64::from(vni));
    sink.flow(
        Table::LsInAdmission,
        priority::EXACT,
        matching,
        enter(Source::Tunnel, net),
        Some(Table::LsInL2Lkup),
    );
}

/// A physical network delivers a frame, tagged with `vlan` or untagged.
///
/// Another chassis that routed the frame put its own MAC in place of the router's, see
/// [`ls_out::provider`](super::ls_out::provider). If the network has one router MAC, `router_mac`, it is put back.
pub fn admit_provider(
    sink: &mut Sink,
    patch: OfPort,
    vlan: Option<VlanId>,
    net: u32,
    router_mac: Option<MacAddr>,
) {
    let mut actions = enter(Source::Provider, net);
    let matching = match vlan {
        Some(vlan) => {
            actions.insert(0, Action::PopVlan);
            Match::new().with(Field::VlanVid, 0x1000 | vlan.get())
        }
        None => untagged(),
    };
    let matching = matching.with(Field::InPort, patch);
    if let Some(mac) = router_mac {
        let (prefix, mask) = macs::CHASSIS_BLOCK;
        let from_chassis = matching.clone().with_masked(Field::EthSrc, prefix, mask);
        let mut restore = actions.clone();
        restore.push(Action::set(Field::EthSrc, mac));
        sink.flow(Table::LsInAdmission, priority::EXACT + 1, from_chassis, restore, Some(Table::LsInL2Lkup));
    }
    sink.flow(Table::LsInAdmission, priority::EXACT, matching, actions, Some(Table::LsInL2Lkup));
}

/// A port may send IP and ARP, or IPv6, from `ip`; `mac` is compared too where the port has several.
pub fn allow_address(sink: &mut Sink, port: OfPort, mac: MacAddr, several_macs: bool, ip: IpNet) {
    sink.facts.push(Fact::Source { port, mac, ip });
    let from = |matching: Match| {
        let matching = matching.with(Field::InPort, port);
        if several_macs { matching.with(Field::EthSrc, mac) } else { matching }
    };
    let (addr, mask) = (ip.network(), ip.netmask());
    let ip_sec = Table::LsInPortSecIp;
    match ip {
        IpNet::V4(_) => {
            let matching = from(ipv4()).with_masked(Field::Ipv4Src, addr, mask);
            sink.flow(ip_sec, priority::EXACT, matching, vec![], Some(Table::LsInArpNdRsp));
            let matching = from(arp()).with(Field::ArpSha, mac).with_masked(Field::ArpSpa, addr, mask);
            sink.flow(ip_sec, priority::EXACT, matching, vec![], Some(Table::LsInArpNdRsp));
        }
        IpNet::V6(_) => {
            let matching = from(ipv6()).with_masked(Field::Ipv6Src, addr, mask);
            sink.flow(ip_sec, priority::EXACT, matching, vec![], Some(Table::LsInPortSecNd));
            // An advertisement names an address of the port and, if any, the port's MAC (RFC 4861, 4.4).
            for tll in [mac, MacAddr::ZERO] {
                let matching = from(icmpv6(icmp_type::ND_ADVERT));
                let matching = matching.with_masked(Field::NdTarget, addr, mask).with(Field::NdTll, tll);
                sink.flow(Table::LsInPortSecNd, priority::EXACT, matching, vec![], Some(Table::LsInArpNdRsp));
            }
        }
    }
}

/// A port's solicitations carry its own MAC as their source link-layer address.
pub fn allow_solicitation(sink: &mut Sink, port: OfPort, mac: MacAddr) {
    let matching = icmpv6(icmp_type::ND_SOLICIT).with(Field::InPort, port).with(Field::NdSll, mac);
    sink.flow(Table::LsInPortSecNd, priority::EXACT, matching, vec![], Some(Table::LsInArpNdRsp));
}

/// Who has `ip` on the network is told `mac`, without asking anybody.
pub fn answer(sink: &mut Sink, net: u32, ip: IpAddr, mac: MacAddr, router: bool) {
    sink.facts.push(Fact::Answer { net, ip, mac, router });
    let mut actions = vec![Action::RegLoad { dst: register::ANSWER_MAC, value: mac.to_u64() }];
    let matching = match ip {
        IpAddr::V4(ip) => arp().with(Field::ArpOp, arp_op::REQUEST).with(Field::ArpTpa, ip),
        IpAddr::V6(ip) => {
            if router {
                actions.push(register::ND_ROUTER.load(1));
            }
            icmpv6(icmp_type::ND_SOLICIT).with(Field::NdTarget, ip)
        }
    };
    let matching = register::NET.is(matching, net);
    sink.flow(Table::LsInArpNdRsp, priority::EXACT, matching, actions, Some(Table::LsOutArpNdRsp));
}

/// A port that asks for its own IPv4 address announces it or looks for a second owner (RFC 5227): no answer from
/// us, but everybody shall hear it. For IPv6 duplicate address detection is let through for all alike.
pub fn let_announce(sink: &mut Sink, port: OfPort, ip: IpAddr) {
    sink.facts.push(Fact::Announce { port, ip });
    let IpAddr::V4(ip) = ip else { return };
    let matching = arp().with(Field::InPort, port).with(Field::ArpTpa, ip);
    sink.flow(Table::LsInArpNdRsp, priority::GUARD, matching, vec![], Some(Table::LrInAdmission));
}

/// A MAC on a network is behind a port of this chassis.
pub fn deliver(sink: &mut Sink, net: u32, mac: MacAddr, port: OfPort) {
    sink.facts.push(Fact::Station { net, mac });
    let matching = register::NET.is(Match::new().with(Field::EthDst, mac), net);
    let actions = vec![register::OUT_PORT.load(port.0)];
    sink.flow(Table::LsInL2Lkup, priority::EXACT, matching, actions, Some(Table::LsOutPort));
}

/// A MAC on a network is behind another chassis. Only for packets of this chassis: a frame that came by a tunnel
/// never leaves by one, since it has no TTL that would end a loop.
pub fn tunnel(sink: &mut Sink, net: u32, mac: MacAddr, to: Tunnel) {
    sink.facts.push(Fact::Station { net, mac });
    let matching = register::SOURCE.is(Match::new().with(Field::EthDst, mac), Source::Local as u32);
    let matching = register::NET.is(matching, net);
    let mut actions = vec![to.key()];
    actions.extend(to.send());
    sink.flow(Table::LsInL2Lkup, priority::EXACT, matching, actions, None);
}

/// The way to another chassis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tunnel {
    /// The tunnel port.
    pub port: OfPort,
    /// The network's id on the wire.
    pub vni: Vni,
    /// The other end.
    pub vtep: IpAddr,
}

impl Tunnel {
    /// Writes the network's id.
    pub fn key(self) -> Action {
        Action::set(Field::TunId, u64::from(self.vni))
    }

    /// Sends to the other end.
    pub fn send(self) -> [Action; 2] {
        let to = match self.vtep {
            IpAddr::V4(ip) => Action::set(Field::TunDst, ip),
            IpAddr::V6(ip) => Action::set(Field::TunIpv6Dst, ip),
        };
        [to, Action::output(self.port)]
    }
}

/// How a network reaches everybody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flood {
    /// Slices of local ports that exist.
    pub ports: Vec<u16>,
    /// Slices of tunnels that exist.
    pub tunnels: Vec<u16>,
    /// The id that copies into tunnels carry.
    pub vni: Option<Vni>,
    /// Whether the network has a physical side.
    pub provider: bool,
    /// Whether frames for a MAC that nobody knows go to everybody: some port may send from any.
    pub unknown_unicast: bool,
}

/// Copies to everybody on a network, once a slice, so that no flow grows with the number of ports.
pub fn flood(sink: &mut Sink, net: u32, flood: &Flood) {
    let copy = |slice: u32| [register::SLICE.load(slice), Action::resubmit(Table::LsOutFlood.id())];
    let local: Vec<Action> = flood.ports.iter().flat_map(|slice| copy((*slice).into())).collect();
    let mut everywhere = local.clone();
    if let Some(vni) = flood.vni.filter(|_| !flood.tunnels.is_empty()) {
        everywhere.push(Action::set(Field::TunId, u64::from(vni)));
        everywhere.extend(
            flood.tunnels.iter().flat_map(|slice| copy(super::ls_out::TUNNEL_SLICE | u32::from(*slice))),
        );
    }
    let next = flood.provider.then_some(Table::LsOutProvider);
    let from_here = |matching| register::SOURCE.is(register::NET.is(matching, net), Source::Local as u32);
    let group = || Match::new().with_masked(Field::EthDst, GROUP_BIT, GROUP_BIT);
    let table = Table::LsInL2Lkup;
    sink.flow(table, priority::CLASS + 1, from_here(group()), everywhere.clone(), next);
    sink.flow(table, priority::CLASS, register::NET.is(group(), net), local.clone(), None);
    if flood.unknown_unicast {
        sink.flow(table, priority::REST + 1, from_here(Match::new()), everywhere, next);
        sink.flow(table, priority::REST, register::NET.is(Match::new(), net), local, None);
    } else if flood.provider {
        sink.flow(table, priority::REST, from_here(Match::new()), vec![], next);
    }
}

/// The link-local address that a host forms from its MAC (RFC 4291, appendix A).
pub fn link_local(mac: MacAddr) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0.map(u16::from);
    Ipv6Addr::new(0xfe80, 0, 0, 0, (a ^ 2) << 8 | b, c << 8 | 0xff, 0xfe00 | d, e << 8 | f)
}

/// All 48 bits of a field with a MAC.
pub(super) const fn mac_bits(field: Field) -> SubField {
    SubField::new(field, 0, 48)
}
