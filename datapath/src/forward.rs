//! The decision, pure: a frame and an image in, what becomes of it out. The same as `bpf/router.bpf.c`, step by step;
//! `tests/equivalence.rs` holds the two together.
//!
//! It never drops: a frame is sent on, or Open vSwitch decides.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fib::hash::flow_hash;
use fib::layout::{
    AdjacencyRecord, EgressRecord, NetworkRecord, PREFIXES_ONLY, PortRecord, RouterPortRecord, egress, flag,
    ingress, section, word,
};
use fib::{DomainNumber, FibImage};
use packet::checksum::{update, update_bytes};
use packet::header::{
    ArpHeader, EthernetHeader, Ipv4Header, Ipv6Header, NdLinkAddr, ethertype, icmp_type, protocol,
};
use packet::{IfIndex, MacAddr, ParsedPacket};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::reason::Reason;
use crate::{tunnel, underlay};

/// TTL of what a router sends itself.
const OWN_TTL: u8 = 64;
/// How many VRFs one frame may be looked up in.
const MAX_VRFS: u8 = 4;
/// What every network carries: `controller/src/model/validate`.
const LEAST_MTU: u16 = 576;
const IP_AT: usize = EthernetHeader::LEN;

/// Where a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To Open vSwitch, unchanged.
    Pass,
    /// Back by the port it came in by.
    Back,
    /// Out by another port.
    Out(IfIndex),
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Why.
    pub reason: Reason,
    /// Where it goes.
    pub way: Way,
    /// The id of the adjacency that it goes by.
    pub entry: Option<u32>,
}

impl Outcome {
    const fn back(reason: Reason) -> Self {
        Self { reason, way: Way::Back, entry: None }
    }
}

/// A frame in memory of any kind.
pub trait Buffer {
    /// The frame.
    fn bytes(&self) -> &[u8];

    /// The frame, to be changed in place.
    fn bytes_mut(&mut self) -> &mut [u8];

    /// How many bytes may be added.
    fn room(&self) -> usize;

    /// Adds bytes before the frame; no more than there is room for.
    fn put_before(&mut self, bytes: &[u8]);

    /// Takes bytes off the frame's beginning; no more than it has.
    fn cut_before(&mut self, count: usize);
}

impl Buffer for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }

    fn room(&self) -> usize {
        usize::MAX
    }

    fn put_before(&mut self, bytes: &[u8]) {
        self.splice(..0, bytes.iter().copied());
    }

    fn cut_before(&mut self, count: usize) {
        self.drain(..count);
    }
}

impl<B: Buffer> Buffer for &mut B {
    fn bytes(&self) -> &[u8] {
        (**self).bytes()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        (**self).bytes_mut()
    }

    fn room(&self) -> usize {
        (**self).room()
    }

    fn put_before(&mut self, bytes: &[u8]) {
        (**self).put_before(bytes);
    }

    fn cut_before(&mut self, count: usize) {
        (**self).cut_before(count);
    }
}

/// What decides: an image, and which interfaces take frames.
#[derive(Debug, Clone, Copy)]
pub struct Forwarder<'a, F> {
    /// The image.
    pub image: FibImage<'a>,
    /// True for interfaces that frames may be sent to.
    pub open: F,
    /// The interface that tunnels go by, if the image leaves it to the host.
    pub underlay: Option<IfIndex>,
}

/// What is known of a frame.
#[derive(Debug, Clone, Copy)]
struct Known {
    ingress: IfIndex,
    network: u32,
    /// Domain of allowed sources; 0: all.
    secured: u32,
}

/// What is known of an IP packet.
#[derive(Debug, Clone, Copy)]
struct Packet {
    src: IpAddr,
    dst: IpAddr,
    protocol: u8,
    ttl: u8,
    upper: usize,
    upper_len: usize,
    /// Of the frame behind its Ethernet header: what Open vSwitch compares with the MTU.
    len: usize,
}

/// The way out of the chassis, known to be open.
#[derive(Debug)]
struct Exit {
    index: IfIndex,
    /// What goes before the frame.
    outer: Option<Vec<u8>>,
}

impl Exit {
    fn send(self, adjacency: &AdjacencyRecord, reason: Reason, frame: &mut impl Buffer) -> Outcome {
        if let Some(outer) = self.outer {
            frame.put_before(&outer);
        }
        Outcome { reason, way: Way::Out(self.index), entry: Some(adjacency.id.get()) }
    }
}

/// A neighbour solicitation with exactly one option, or the advertisement that it becomes (RFC 4861, 4.3 and 4.4).
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
struct NdMessage {
    kind: u8,
    code: u8,
    checksum: [u8; 2],
    flags: [u8; 4],
    target: [u8; 16],
    option: NdLinkAddr,
}

impl<F: Fn(IfIndex) -> bool> Forwarder<'_, F> {
    /// Decides about a frame that came in by an interface, and changes it if it is sent on.
    pub fn forward(&self, ingress: IfIndex, frame: &mut impl Buffer) -> Outcome {
        self.decide(ingress, frame).unwrap_or_else(|reason| Outcome { reason, way: Way::Pass, entry: None })
    }

    fn decide(&self, index: IfIndex, frame: &mut impl Buffer) -> Result<Outcome, Reason> {
        let port = if Some(index) == self.underlay { underlay::INTERFACE } else { index };
        let key = ingress::IFINDEX << ingress::KIND_SHIFT | u64::from(port.0);
        let port_index = self.image.exact(section::INGRESS, key);
        let port: PortRecord = self.record(section::PORTS, port_index).ok_or(Reason::NotAPort)?;
        if port.flags.get() & (flag::SLOW | flag::UPLINK) == flag::UPLINK {
            return self.arrive_by_underlay(index, port.domain.get(), frame);
        }
        let network = port.network.get();
        let record: NetworkRecord = self.record(section::NETWORKS, network).ok_or(Reason::Slow)?;
        if port.flags.get() & flag::SLOW != 0 || record.flags.get() & flag::SLOW != 0 {
            return Err(Reason::Slow);
        }
        let (eth, _) = EthernetHeader::read_from_prefix(frame.bytes()).map_err(|_| Reason::CutOff)?;
        let mut secured = 0;
        if port.flags.get() & flag::SECURED != 0 {
            secured = self.image.exact(section::BINDINGS, u64::from(port_index) << 48 | eth.src.to_u64());
            if secured == 0 {
                return Err(Reason::Spoofed);
            }
        }
        self.arrive_by_port(Known { ingress: index, network, secured }, &eth, frame)
    }

    fn arrive_by_port(
        &self,
        known: Known,
        eth: &EthernetHeader,
        frame: &mut impl Buffer,
    ) -> Result<Outcome, Reason> {
        let packet = match eth.ethertype.get() {
            ethertype::ARP => return self.answer_arp(known, eth, frame.bytes_mut()),
            ethertype::IPV4 => parse4(frame.bytes())?,
            ethertype::IPV6 => parse6(frame.bytes())?,
            ethertype::VLAN | ethertype::QINQ => return Err(Reason::Tagged),
            _ => return Err(Reason::OtherProtocol),
        };
        if !self.allowed(known, packet.src) {
            return Err(Reason::Spoofed);
        }
        if packet.src.is_ipv6() && packet.protocol == protocol::ICMPV6 {
            let kind = frame.bytes().get(packet.upper..packet.upper + 4).and_then(|icmp| icmp.first());
            // Router and neighbour discovery: RFC 4861, 4.1 to 4.5.
            if (133..=137).contains(kind.ok_or(Reason::CutOff)?) {
                return self.answer_nd(known, eth, &packet, frame.bytes_mut());
            }
        }
        if eth.dst.is_multicast() {
            return Err(Reason::GroupAddress);
        }
        self.by_station(known, eth, &packet, frame)
    }

    /// By MAC: to a station as it is, or into a router.
    fn by_station(
        &self,
        known: Known,
        eth: &EthernetHeader,
        packet: &Packet,
        frame: &mut impl Buffer,
    ) -> Result<Outcome, Reason> {
        let found = self.image.exact(section::STATIONS, u64::from(known.network) << 48 | eth.dst.to_u64());
        match kind(found) {
            word::ROUTER => {
                let door: RouterPortRecord =
                    self.record(section::ROUTER_PORTS, argument(found)).ok_or(Reason::Slow)?;
                if door.flags.get() & flag::SLOW != 0 {
                    return Err(Reason::Slow);
                }
                self.route(known, door.domain.get(), eth, packet, frame)
            }
            word::ADJACENCY => {
                let adjacency = self.adjacency(argument(found)).ok_or(Reason::UnknownStation)?;
                let way = self.way(known.ingress, &adjacency, Reason::Switched, frame)?;
                Ok(way.send(&adjacency, Reason::Switched, frame))
            }
            _ => Err(Reason::UnknownStation),
        }
    }

    fn route(
        &self,
        known: Known,
        mut domain: u32,
        eth: &EthernetHeader,
        packet: &Packet,
        frame: &mut impl Buffer,
    ) -> Result<Outcome, Reason> {
        if stays_on_link(packet.src, true) || stays_on_link(packet.dst, false) {
            return Err(Reason::Scope);
        }
        let mut hops = 1;
        let found = loop {
            let found = self.image.lookup_word(DomainNumber(domain), packet.dst);
            if kind(found) == word::ROUTER {
                // What is for the router itself has no next hop: its TTL does not matter.
                return if hops == 1 {
                    answer_echo(eth, packet, frame.bytes_mut())
                } else {
                    Err(Reason::ToRouter)
                };
            }
            if packet.ttl <= hops {
                return Err(Reason::Ttl);
            }
            if kind(found) != word::OTHER {
                break found;
            }
            if hops == MAX_VRFS {
                return Err(Reason::Loop);
            }
            (domain, hops) = (argument(found), hops + 1);
        };
        let adjacency = self.next_hop(found, frame.bytes())?;
        // The networks between routers are not in the image; none has a smaller MTU than this.
        let mtu = if hops > 1 { LEAST_MTU } else { adjacency.mtu.get() };
        if packet.len > usize::from(mtu) {
            return Err(Reason::TooBig);
        }
        let way = self.way(known.ingress, &adjacency, Reason::Routed, frame)?;
        rewrite(&adjacency, packet, hops, frame.bytes_mut());
        Ok(way.send(&adjacency, Reason::Routed, frame))
    }

    /// The adjacency that the word at a lookup's end leads to.
    fn next_hop(&self, found: u32, frame: &[u8]) -> Result<AdjacencyRecord, Reason> {
        let index = match kind(found) {
            word::ADJACENCY => argument(found),
            word::GROUP => {
                let flow = ParsedPacket::parse(frame).five_tuple().ok_or(Reason::NoRoute)?;
                self.image.member(argument(found), &flow).ok_or(Reason::NoRoute)?
            }
            word::SPECIAL if argument(found) == word::UNREACHABLE => return Err(Reason::Refused),
            word::SPECIAL if argument(found) == word::BLACKHOLE => return Err(Reason::Blackhole),
            _ => return Err(Reason::NoRoute),
        };
        self.adjacency(index).ok_or(Reason::NoRoute)
    }

    /// Finds the way out, and asks before the frame is changed: what cannot be sent must pass as it was.
    fn way(
        &self,
        ingress: IfIndex,
        adjacency: &AdjacencyRecord,
        reason: Reason,
        frame: &impl Buffer,
    ) -> Result<Exit, Reason> {
        let way: EgressRecord =
            self.record(section::EGRESSES, adjacency.egress.get()).ok_or(Reason::NoEgress)?;
        let index = IfIndex(way.ifindex.get());
        if way.flags.get() & flag::SLOW != 0 || index.0 == 0 {
            return Err(Reason::NoEgress);
        }
        let outer = match way.kind {
            egress::LOCAL => None,
            egress::TUNNEL if reason != Reason::Delivered => {
                let flow = ParsedPacket::parse(frame.bytes()).five_tuple().ok_or(Reason::NoEgress)?;
                let hash = flow_hash(&flow, self.image.hash_seed());
                let outer = tunnel::outer(&way, adjacency.segment.get(), hash, frame.bytes().len())?;
                Some(outer).filter(|outer| outer.len() <= frame.room()).ok_or(Reason::NoRoom).map(Some)?
            }
            _ => return Err(Reason::NoEgress),
        };
        // Open vSwitch does not send a frame back to where it came from, unless a router turned it round.
        if outer.is_none() && reason == Reason::Switched && index == ingress {
            return Err(Reason::Back);
        }
        if !(self.open)(index) {
            return Err(Reason::NoEgress);
        }
        Ok(Exit { index, outer })
    }

    /// A tunnel's frame goes to a local port; it was checked, and routed if need be, where it came in.
    fn arrive_by_underlay(
        &self,
        ingress: IfIndex,
        ends: u32,
        frame: &mut impl Buffer,
    ) -> Result<Outcome, Reason> {
        let arrival = tunnel::parse(frame.bytes()).ok_or(Reason::NotOurs)?;
        let word = self.image.lookup_word(DomainNumber(ends | PREFIXES_ONLY), arrival.end.into());
        if ends == 0 || kind(word) != word::SPECIAL || argument(word) != word::ALLOW {
            return Err(Reason::NotOurs);
        }
        let key = ingress::TUNNEL << ingress::KIND_SHIFT
            | u64::from(arrival.kind) << 24
            | u64::from(arrival.segment);
        let network = self.image.exact(section::INGRESS, key);
        if network == 0 {
            return Err(Reason::NotOurs);
        }
        let record: NetworkRecord = self.record(section::NETWORKS, network).ok_or(Reason::Slow)?;
        if record.flags.get() & flag::SLOW != 0 {
            return Err(Reason::Slow);
        }
        let inner = frame.bytes().get(arrival.outer_len..).unwrap_or_default();
        let (eth, _) = EthernetHeader::read_from_prefix(inner).map_err(|_| Reason::CutOff)?;
        let found = self.image.exact(section::STATIONS, u64::from(network) << 48 | eth.dst.to_u64());
        let adjacency = Some(found).filter(|found| kind(*found) == word::ADJACENCY);
        let adjacency =
            adjacency.and_then(|found| self.adjacency(argument(found))).ok_or(Reason::UnknownStation)?;
        let way = self.way(ingress, &adjacency, Reason::Delivered, frame)?;
        frame.cut_before(arrival.outer_len);
        Ok(way.send(&adjacency, Reason::Delivered, frame))
    }

    fn answer_arp(&self, known: Known, eth: &EthernetHeader, frame: &mut [u8]) -> Result<Outcome, Reason> {
        let (head, body) = frame.split_at_mut_checked(IP_AT).ok_or(Reason::CutOff)?;
        let (arp, _) = ArpHeader::mut_from_prefix(body).map_err(|_| Reason::CutOff)?;
        if !arp.is_ipv4_over_ethernet() || arp.op.get() != ArpHeader::REQUEST {
            return Err(Reason::OtherProtocol);
        }
        let target = Ipv4Addr::from(arp.tpa);
        // What a port may claim that may claim anything, nobody knows; and of others, only what comes from themselves: a
        // probe for a second owner (RFC 5227, 2.1.1) and an announcement shall all hear.
        if known.secured == 0 {
            return Err(Reason::UnknownTarget);
        }
        if arp.sha != eth.src || !self.allowed(known, Ipv4Addr::from(arp.spa).into()) {
            return Err(Reason::Spoofed);
        }
        if self.allowed(known, target.into()) {
            return Err(Reason::UnknownTarget);
        }
        let (mac, _) = self.owner(known, target.into()).ok_or(Reason::UnknownTarget)?;
        write_macs(head, eth.src, mac);
        arp.op = ArpHeader::REPLY.into();
        arp.tha = arp.sha;
        arp.sha = mac;
        core::mem::swap(&mut arp.spa, &mut arp.tpa);
        Ok(Outcome::back(Reason::AnsweredArp))
    }

    /// A solicitation with the sender's address as its only option; others are rare, and pass.
    fn answer_nd(
        &self,
        known: Known,
        eth: &EthernetHeader,
        packet: &Packet,
        frame: &mut [u8],
    ) -> Result<Outcome, Reason> {
        let (head, body) = frame.split_at_mut_checked(IP_AT).ok_or(Reason::Discovery)?;
        let (ip, body) = Ipv6Header::mut_from_prefix(body).map_err(|_| Reason::Discovery)?;
        let (nd, _) = NdMessage::mut_from_prefix(body).map_err(|_| Reason::Discovery)?;
        let usual = nd.kind == icmp_type::ND_SOLICIT
            && nd.code == 0
            && (nd.option.kind, nd.option.len) == (NdLinkAddr::SOURCE, 1)
            && nd.option.mac != MacAddr::ZERO;
        if packet.upper_len != size_of::<NdMessage>() || !usual {
            return Err(Reason::Discovery);
        }
        if known.secured != 0 && nd.option.mac != eth.src {
            return Err(Reason::Spoofed);
        }
        let (mac, router) =
            self.owner(known, Ipv6Addr::from(nd.target).into()).ok_or(Reason::UnknownTarget)?;
        let (old_nd, old_ends) = (*nd, [ip.src, ip.dst]);
        write_macs(head, eth.src, mac);
        (ip.dst, ip.src) = (ip.src, nd.target);
        nd.kind = icmp_type::ND_ADVERT;
        nd.flags = [if router { 0xe0 } else { 0x60 }, 0, 0, 0];
        nd.option = NdLinkAddr { kind: NdLinkAddr::TARGET, len: 1, mac };
        let sum =
            update_bytes(u16::from_be_bytes(nd.checksum), old_ends.as_bytes(), [ip.src, ip.dst].as_bytes());
        let rest = |nd: &NdMessage| NdMessage { checksum: [0; 2], ..*nd };
        nd.checksum = update_bytes(sum, rest(&old_nd).as_bytes(), rest(nd).as_bytes()).to_be_bytes();
        Ok(Outcome::back(Reason::AnsweredNd))
    }

    /// Who has an address of the network: its MAC, and whether it is a router; `None` if the one who asks has it.
    fn owner(&self, known: Known, target: IpAddr) -> Option<(MacAddr, bool)> {
        let network: NetworkRecord = self.record(section::NETWORKS, known.network)?;
        let domain = Some(network.domain.get()).filter(|domain| *domain != 0)?;
        let found = self.image.lookup_word(DomainNumber(domain), target);
        match kind(found) {
            word::ROUTER => {
                let port: RouterPortRecord = self.record(section::ROUTER_PORTS, argument(found))?;
                Some((MacAddr(port.mac), true))
            }
            word::ADJACENCY => {
                let adjacency = self.adjacency(argument(found))?;
                let way: EgressRecord = self.record(section::EGRESSES, adjacency.egress.get())?;
                let own = way.kind == egress::LOCAL && way.ifindex.get() == known.ingress.0;
                (!own).then_some((MacAddr(adjacency.dst_mac), false))
            }
            _ => None,
        }
    }

    /// May the port send from this address?
    fn allowed(&self, known: Known, source: IpAddr) -> bool {
        if known.secured == 0 {
            return true;
        }
        // None of these are in buckets.
        let found = self.image.lookup_word(DomainNumber(known.secured | PREFIXES_ONLY), source);
        kind(found) == word::SPECIAL && argument(found) == word::ALLOW
    }

    fn adjacency(&self, index: u32) -> Option<AdjacencyRecord> {
        self.record(section::ADJACENCIES, index)
    }

    fn record<T: FromBytes + Immutable>(&self, section: usize, index: u32) -> Option<T> {
        self.image.record_at(section, index)
    }
}

/// An IPv4 header and its lengths.
fn parse4(frame: &[u8]) -> Result<Packet, Reason> {
    let bytes = frame.get(IP_AT..).unwrap_or_default();
    let (ip, _) = Ipv4Header::ref_from_prefix(bytes).map_err(|_| Reason::CutOff)?;
    let (header, len) = (ip.header_len(), usize::from(ip.total_len.get()));
    if ip.version() != 4 || header < Ipv4Header::LEN || len < header || len > bytes.len() {
        return Err(Reason::Malformed);
    }
    if ip.flags_offset.get() & (Ipv4Header::MORE_FRAGMENTS | Ipv4Header::OFFSET_MASK) != 0 {
        return Err(Reason::Fragment);
    }
    Ok(Packet {
        src: ip.source().into(),
        dst: ip.destination().into(),
        protocol: ip.protocol,
        ttl: ip.ttl,
        upper: IP_AT + header,
        upper_len: len - header,
        len: bytes.len(),
    })
}

/// An IPv6 header and its lengths.
fn parse6(frame: &[u8]) -> Result<Packet, Reason> {
    let bytes = frame.get(IP_AT..).unwrap_or_default();
    let (ip, rest) = Ipv6Header::ref_from_prefix(bytes).map_err(|_| Reason::CutOff)?;
    let upper_len = usize::from(ip.payload_len.get());
    if ip.version() != 6 || upper_len > rest.len() {
        return Err(Reason::Malformed);
    }
    if matches!(
        ip.next_header,
        protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::FRAGMENT
            | protocol::AH
            | protocol::DESTINATION_OPTIONS
    ) {
        return Err(Reason::Extension);
    }
    Ok(Packet {
        src: ip.source().into(),
        dst: ip.destination().into(),
        protocol: ip.next_header,
        ttl: ip.hop_limit,
        upper: IP_AT + Ipv6Header::LEN,
        upper_len,
        len: bytes.len(),
    })
}

/// Addresses that no router passes on: `controller/src/pipeline/base.rs`.
fn stays_on_link(address: IpAddr, is_source: bool) -> bool {
    match address {
        IpAddr::V4(address) => address.to_bits() >> 29 == 7 || address.is_loopback(),
        IpAddr::V6(address) => address.is_unicast_link_local() || (!is_source && address.is_multicast()),
    }
}

/// The router itself is asked: an echo turns round, anything else is not for the fast path.
fn answer_echo(eth: &EthernetHeader, packet: &Packet, frame: &mut [u8]) -> Result<Outcome, Reason> {
    let v6 = packet.dst.is_ipv6();
    let (icmp, request, reply) = if v6 {
        (protocol::ICMPV6, icmp_type::V6_ECHO_REQUEST, icmp_type::V6_ECHO_REPLY)
    } else {
        (protocol::ICMP, icmp_type::ECHO_REQUEST, icmp_type::ECHO_REPLY)
    };
    if packet.protocol != icmp || packet.upper_len < 8 {
        return Err(Reason::ToRouter);
    }
    let message = frame.get_mut(packet.upper..).and_then(|upper| upper.first_chunk_mut::<8>());
    let [kind, code, sum_high, sum_low, ..] = message.ok_or(Reason::ToRouter)?;
    if *kind != request {
        return Err(Reason::ToRouter);
    }
    let sum = u16::from_be_bytes([*sum_high, *sum_low]);
    let sum = update(sum, u16::from_be_bytes([request, *code]), u16::from_be_bytes([reply, *code]));
    *kind = reply;
    [*sum_high, *sum_low] = sum.to_be_bytes();
    let (head, body) = frame.split_at_mut_checked(IP_AT).ok_or(Reason::CutOff)?;
    write_macs(head, eth.src, eth.dst);
    if v6 {
        let (ip, _) = Ipv6Header::mut_from_prefix(body).map_err(|_| Reason::CutOff)?;
        core::mem::swap(&mut ip.src, &mut ip.dst);
        ip.hop_limit = OWN_TTL;
    } else {
        let (ip, _) = Ipv4Header::mut_from_prefix(body).map_err(|_| Reason::CutOff)?;
        core::mem::swap(&mut ip.src, &mut ip.dst);
        set_ttl(ip, OWN_TTL);
    }
    Ok(Outcome::back(Reason::AnsweredEcho))
}

/// Takes `hops` from the TTL and writes the MACs of the adjacency.
fn rewrite(adjacency: &AdjacencyRecord, packet: &Packet, hops: u8, frame: &mut [u8]) {
    let Some((head, body)) = frame.split_at_mut_checked(IP_AT) else { return };
    write_macs(head, MacAddr(adjacency.dst_mac), MacAddr(adjacency.src_mac));
    let ttl = packet.ttl - hops;
    if packet.dst.is_ipv6() {
        if let Ok((ip, _)) = Ipv6Header::mut_from_prefix(body) {
            ip.hop_limit = ttl;
        }
    } else if let Ok((ip, _)) = Ipv4Header::mut_from_prefix(body) {
        set_ttl(ip, ttl);
    }
}

fn set_ttl(ip: &mut Ipv4Header, ttl: u8) {
    let words = |ttl| u16::from_be_bytes([ttl, ip.protocol]);
    ip.checksum = update(ip.checksum.get(), words(ip.ttl), words(ttl)).into();
    ip.ttl = ttl;
}

fn write_macs(head: &mut [u8], dst: MacAddr, src: MacAddr) {
    if let Ok((eth, _)) = EthernetHeader::mut_from_prefix(head) {
        (eth.dst, eth.src) = (dst, src);
    }
}

const fn kind(found: u32) -> u32 {
    found >> word::KIND_SHIFT
}

const fn argument(found: u32) -> u32 {
    found & word::ARGUMENT_MASK
}
