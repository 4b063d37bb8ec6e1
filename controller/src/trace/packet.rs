//! A packet inside the software switch: its fields as Open vSwitch sees them, over the bytes that it came as.

use super::bits;
use openflow::Field;
use packet::{
    MacAddr, ParsedPacket,
    checksum::{update_bytes, update_udp},
    frame::{Frame, Tag},
    header::{ethertype, icmp_type, protocol},
};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Where the two addresses of an Ethernet header end.
const MACS: usize = 12;
/// Open vSwitch's `FLOW_MAX_VLAN_HEADERS`.
const MAX_TAGS: usize = 2;

/// A packet and what was written to its fields so far. The bytes follow when it leaves, as in Open vSwitch, where
/// field writes are "committed" by the next output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The frame from its type or length field on, as it came.
    rest: Vec<u8>,
    /// Where network and transport header begin in `rest`; `None` if there is none that holds together.
    l3: Option<usize>,
    l4: Option<usize>,
    tags: Vec<Tag>,
    came: Fields,
    now: Fields,
}

/// The fields of [`ParsedPacket`] (its tag and offsets aside), and those of neighbour discovery that it lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fields {
    parsed: ParsedPacket,
    nd_reserved: u32,
    nd_option: u8,
}

impl Packet {
    /// Takes a frame (without FCS) apart; of damaged ones as many fields are there as Open vSwitch would find. What is
    /// shorter than an Ethernet header is filled up with zeros.
    pub fn new(frame: &[u8]) -> Self {
        let mut padded = [0; MACS + 2];
        let frame = match padded.get_mut(..frame.len()) {
            Some(start) => {
                start.copy_from_slice(frame);
                &padded
            }
            None => frame,
        };
        let parsed = ParsedPacket::parse(frame);
        let tag = Frame::parse(frame).ok().and_then(|frame| frame.tag);
        let start = MACS + if tag.is_some() { 4 } else { 0 };
        let within = |offset: usize| offset.checked_sub(start).filter(|_| offset != 0);
        let rest = frame.get(start..).unwrap_or_default().to_vec();
        let (l3, l4) = (within(parsed.l3_offset), within(parsed.l4_offset));
        let mut came = Fields { parsed, nd_reserved: 0, nd_option: 0 };
        if came.is_nd() {
            let message = l4.and_then(|at| rest.get(at..)).unwrap_or_default();
            came.nd_reserved = read_u32(message, 4);
            came.nd_option = first_option(message);
        }
        Self { rest, l3, l4, tags: tag.into_iter().collect(), came, now: came }
    }

    /// The bytes with everything that was written, checksums brought up to date.
    pub fn frame(&self) -> Vec<u8> {
        let fields = &self.now.parsed;
        let mut frame = [fields.eth_dst.0, fields.eth_src.0].concat();
        for tag in &self.tags {
            frame.extend(tag.tpid.to_be_bytes());
            frame.extend(tag.tci.to_be_bytes());
        }
        let mut rest = self.rest.clone();
        self.commit(&mut rest);
        frame.extend(rest);
        frame
    }

    /// Octets of the frame, as `check_pkt_larger` counts.
    pub fn len(&self) -> usize {
        MACS + 4 * self.tags.len() + self.rest.len()
    }

    /// True for a frame without a single octet behind its addresses.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The packet as it is now, in the form that the `packet` room gives.
    pub fn parsed(&self) -> ParsedPacket {
        let tci = self.tags.first().map_or(0, |tag| tag.tci | 0x1000);
        ParsedPacket { vlan_tci: tci, ..self.now.parsed }
    }

    /// Pushes a tag with id 0.
    pub fn push_vlan(&mut self, tpid: u16) {
        self.tags.insert(0, Tag { tpid, tci: 0 });
        self.tags.truncate(MAX_TAGS);
    }

    /// Pops the outermost tag, if there is one.
    pub fn pop_vlan(&mut self) {
        if !self.tags.is_empty() {
            self.tags.remove(0);
        }
    }

    /// Whether the packet has a field: the prerequisites of `ovs-fields(7)`.
    pub fn has(&self, field: Field) -> bool {
        use Field::*;
        let p = &self.now.parsed;
        let ip = |proto: u8| self.is_ip() && p.ip_proto == proto && !self.is_later_fragment();
        match field {
            VlanPcp => !self.tags.is_empty(),
            Ipv4Src | Ipv4Dst => p.eth_type == ethertype::IPV4,
            Ipv6Src | Ipv6Dst => p.eth_type == ethertype::IPV6,
            IpFrag | IpDscp | IpEcn | IpTtl | IpProto => self.is_ip(),
            TcpSrc | TcpDst => ip(protocol::TCP),
            UdpSrc | UdpDst => ip(protocol::UDP),
            Icmpv4Type | Icmpv4Code => p.eth_type == ethertype::IPV4 && ip(protocol::ICMP),
            Icmpv6Type | Icmpv6Code => p.eth_type == ethertype::IPV6 && ip(protocol::ICMPV6),
            NdReserved | NdTarget | NdOptionsType => self.now.is_nd(),
            NdSll => self.now.is_nd() && p.icmp_type == icmp_type::ND_SOLICIT,
            NdTll => self.now.is_nd() && p.icmp_type == icmp_type::ND_ADVERT,
            ArpOp | ArpSpa | ArpTpa | ArpSha | ArpTha => {
                matches!(p.eth_type, ethertype::ARP | ethertype::RARP)
            }
            _ => true,
        }
    }

    /// A field's value; zero if the packet does not have it. Fields that are not of the packet are zero too.
    pub fn get(&self, field: Field) -> u128 {
        use Field::*;
        let p = &self.now.parsed;
        match field {
            EthSrc => mac_bits(p.eth_src),
            EthDst => mac_bits(p.eth_dst),
            EthType => p.eth_type.into(),
            VlanVid => self.tags.first().map_or(0, |tag| tag.tci & 0xfff | 0x1000).into(),
            VlanPcp => self.tags.first().map_or(0, |tag| tag.tci >> 13).into(),
            Ipv4Src => p.ipv4_src.to_bits().into(),
            Ipv4Dst => p.ipv4_dst.to_bits().into(),
            Ipv6Src => p.ipv6_src.to_bits(),
            Ipv6Dst => p.ipv6_dst.to_bits(),
            IpFrag => p.nw_frag.into(),
            IpDscp => (p.ip_tos >> 2).into(),
            IpEcn => (p.ip_tos & 3).into(),
            IpTtl => p.ip_ttl.into(),
            IpProto => p.ip_proto.into(),
            TcpSrc | UdpSrc => p.tp_src.into(),
            TcpDst | UdpDst => p.tp_dst.into(),
            Icmpv4Type | Icmpv6Type => p.icmp_type.into(),
            Icmpv4Code | Icmpv6Code => p.icmp_code.into(),
            NdReserved => self.now.nd_reserved.into(),
            NdOptionsType => self.now.nd_option.into(),
            NdTarget => p.nd_target.to_bits(),
            NdSll => mac_bits(p.nd_sll),
            NdTll => mac_bits(p.nd_tll),
            ArpOp => p.arp_op.into(),
            ArpSpa => p.arp_spa.to_bits().into(),
            ArpTpa => p.arp_tpa.to_bits().into(),
            ArpSha => mac_bits(p.arp_sha),
            ArpTha => mac_bits(p.arp_tha),
            _ => 0,
        }
    }

    /// Writes a field that the packet [has](Self::has). What cannot be written in a packet stays.
    pub fn set(&mut self, field: Field, value: u128) {
        use Field::*;
        let p = &mut self.now.parsed;
        match field {
            EthSrc => p.eth_src = mac(value),
            EthDst => p.eth_dst = mac(value),
            VlanVid | VlanPcp => self.set_tag(field, bits::low(value)),
            Ipv4Src => p.ipv4_src = Ipv4Addr::from_bits(bits::low(value)),
            Ipv4Dst => p.ipv4_dst = Ipv4Addr::from_bits(bits::low(value)),
            Ipv6Src => p.ipv6_src = Ipv6Addr::from_bits(value),
            Ipv6Dst => p.ipv6_dst = Ipv6Addr::from_bits(value),
            IpDscp => p.ip_tos = p.ip_tos & 3 | bits::low::<u8>(value) << 2,
            IpEcn => p.ip_tos = p.ip_tos & !3 | bits::low::<u8>(value) & 3,
            IpTtl => p.ip_ttl = bits::low(value),
            TcpSrc | UdpSrc => p.tp_src = bits::low(value),
            TcpDst | UdpDst => p.tp_dst = bits::low(value),
            Icmpv4Type | Icmpv6Type => p.icmp_type = bits::low(value),
            Icmpv4Code | Icmpv6Code => p.icmp_code = bits::low(value),
            NdReserved => self.now.nd_reserved = bits::low(value),
            NdOptionsType => self.now.nd_option = bits::low(value),
            NdTarget => p.nd_target = Ipv6Addr::from_bits(value),
            NdSll => p.nd_sll = mac(value),
            NdTll => p.nd_tll = mac(value),
            ArpOp => p.arp_op = bits::low(value),
            ArpSpa => p.arp_spa = Ipv4Addr::from_bits(bits::low(value)),
            ArpTpa => p.arp_tpa = Ipv4Addr::from_bits(bits::low(value)),
            ArpSha => p.arp_sha = mac(value),
            ArpTha => p.arp_tha = mac(value),
            _ => {}
        }
    }

    fn set_tag(&mut self, field: Field, value: u16) {
        let Some(tag) = self.tags.first_mut() else { return };
        match field {
            Field::VlanPcp => tag.tci = tag.tci & 0x1fff | value << 13,
            _ => tag.tci = tag.tci & 0xf000 | value & 0xfff,
        }
    }

    fn is_ip(&self) -> bool {
        matches!(self.now.parsed.eth_type, ethertype::IPV4 | ethertype::IPV6)
    }

    fn is_later_fragment(&self) -> bool {
        self.now.parsed.nw_frag & 2 != 0
    }

    /// Brings the bytes behind the addresses and tags up to date.
    fn commit(&self, rest: &mut [u8]) {
        let (Some(l3), now) = (self.l3, &self.now.parsed) else { return };
        match now.eth_type {
            ethertype::ARP | ethertype::RARP => self.commit_arp(rest.get_mut(l3..).unwrap_or_default()),
            ethertype::IPV4 | ethertype::IPV6 => {
                let Some(l4) = self.l4 else { return };
                let (network, transport) = rest.split_at_mut_checked(l4).unwrap_or_default();
                let network = network.get_mut(l3..).unwrap_or_default();
                let place = self.transport_checksum();
                self.commit_ip(network, transport, place);
                self.commit_transport(transport, place);
            }
            _ => {}
        }
    }

    fn commit_arp(&self, arp: &mut [u8]) {
        let (came, now) = (&self.came.parsed, &self.now.parsed);
        // RARP and damaged packets have no fields, and nothing was written to them.
        if came == now {
            return;
        }
        write(arp, 6, &now.arp_op.to_be_bytes());
        write(arp, 8, &now.arp_sha.0);
        write(arp, 14, &now.arp_spa.octets());
        write(arp, 18, &now.arp_tha.0);
        write(arp, 24, &now.arp_tpa.octets());
    }

    fn commit_ip(&self, ip: &mut [u8], transport: &mut [u8], place: Option<Checksum>) {
        let now = &self.now.parsed;
        let mut moved = Vec::new();
        if now.eth_type == ethertype::IPV4 {
            let (version, proto) = (byte(ip, 0), byte(ip, 9));
            let own = Some(Checksum { at: 10, may_be_absent: false });
            patch_in(ip, 0, &[version, now.ip_tos], own);
            patch_in(ip, 8, &[now.ip_ttl, proto], own);
            for (at, addr) in [(12, now.ipv4_src), (16, now.ipv4_dst)] {
                moved.push((ip.get(at..at + 4).unwrap_or_default().to_vec(), addr.octets().to_vec()));
                patch_in(ip, at, &addr.octets(), own);
            }
        } else {
            let word = read_u32(ip, 0) & !(0xff << 20) | u32::from(now.ip_tos) << 20;
            write(ip, 0, &word.to_be_bytes());
            write(ip, 7, &[now.ip_ttl]);
            for (at, addr) in [(8, now.ipv6_src), (24, now.ipv6_dst)] {
                moved.push((ip.get(at..at + 16).unwrap_or_default().to_vec(), addr.octets().to_vec()));
                write(ip, at, &addr.octets());
            }
        }
        // The addresses are part of the pseudo-header; ICMP over IPv4 has none.
        let is_covered = now.ip_proto != protocol::ICMP;
        if let Some(place) = place.filter(|_| is_covered) {
            for (old, new) in &moved {
                place.update(transport, old, new);
            }
        }
    }

    fn commit_transport(&self, transport: &mut [u8], place: Option<Checksum>) {
        // A header that did not hold together gave no fields: it is left alone unless something was written.
        if self.came == self.now || place.is_none() {
            return;
        }
        let (came, now) = (&self.came.parsed, &self.now.parsed);
        match now.ip_proto {
            protocol::TCP | protocol::UDP if (came.tp_src, came.tp_dst) != (now.tp_src, now.tp_dst) => {
                patch_in(transport, 0, &now.tp_src.to_be_bytes(), place);
                patch_in(transport, 2, &now.tp_dst.to_be_bytes(), place);
            }
            protocol::ICMP | protocol::ICMPV6 => {
                patch_in(transport, 0, &[now.icmp_type, now.icmp_code], place);
                if self.came.is_nd() {
                    self.commit_neighbour(transport, place);
                }
            }
            _ => {}
        }
    }

    /// Open vSwitch writes the flags and the type of the first option, then each option by its type.
    fn commit_neighbour(&self, message: &mut [u8], place: Option<Checksum>) {
        const OPTIONS: usize = 24;
        let Fields { parsed: now, nd_reserved, nd_option } = &self.now;
        let came = &self.came.parsed;
        patch_in(message, 4, &nd_reserved.to_be_bytes(), place);
        if now.nd_target != came.nd_target {
            patch_in(message, 8, &now.nd_target.octets(), place);
        }
        if *nd_option != self.came.nd_option {
            let len = byte(message, OPTIONS + 1);
            patch_in(message, OPTIONS, &[*nd_option, len], place);
        }
        let mut at = OPTIONS;
        while let len @ 1.. = usize::from(byte(message, at + 1)) * 8 {
            match (byte(message, at), len) {
                (1, 8) if now.nd_sll != came.nd_sll => patch_in(message, at + 2, &now.nd_sll.0, place),
                (2, 8) if now.nd_tll != came.nd_tll => patch_in(message, at + 2, &now.nd_tll.0, place),
                _ => {}
            }
            at += len;
        }
    }

    /// Where the transport header keeps a checksum, if it has a whole header of a kind whose fields may be written.
    fn transport_checksum(&self) -> Option<Checksum> {
        let p = &self.now.parsed;
        if self.is_later_fragment() {
            return None;
        }
        let (at, may_be_absent, header) = match (p.ip_proto, p.eth_type) {
            (protocol::TCP, _) => (16, false, 20),
            (protocol::UDP, kind) => (6, kind == ethertype::IPV4, 8),
            (protocol::ICMP, ethertype::IPV4) | (protocol::ICMPV6, ethertype::IPV6) => (2, false, 8),
            _ => return None,
        };
        let have = self.rest.len().checked_sub(self.l4?)?;
        (have >= header).then_some(Checksum { at, may_be_absent })
    }
}

impl Fields {
    /// A neighbour solicitation or advertisement; Open vSwitch wants its code to be 0.
    fn is_nd(&self) -> bool {
        let p = &self.parsed;
        p.eth_type == ethertype::IPV6
            && p.ip_proto == protocol::ICMPV6
            && p.nw_frag & 2 == 0
            && p.icmp_code == 0
            && matches!(p.icmp_type, icmp_type::ND_SOLICIT | icmp_type::ND_ADVERT)
    }
}

/// Where a checksum stands in its header.
#[derive(Debug, Clone, Copy)]
struct Checksum {
    at: usize,
    /// Zero says that there is none (UDP over IPv4).
    may_be_absent: bool,
}

impl Checksum {
    fn update(self, header: &mut [u8], old: &[u8], new: &[u8]) {
        let sum = u16::from_be_bytes([byte(header, self.at), byte(header, self.at + 1)]);
        let sum = if self.may_be_absent { update_udp(sum, old, new) } else { update_bytes(sum, old, new) };
        write(header, self.at, &sum.to_be_bytes());
    }
}

/// Writes bytes at an even offset, and what that does to the checksum.
fn patch_in(header: &mut [u8], at: usize, new: &[u8], checksum: Option<Checksum>) {
    let Some(old) = header.get(at..at + new.len()).map(<[u8]>::to_vec) else { return };
    if old == new {
        return;
    }
    write(header, at, new);
    if let Some(checksum) = checksum {
        checksum.update(header, &old, new);
    }
}

fn write(bytes: &mut [u8], at: usize, new: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + new.len()) {
        place.copy_from_slice(new);
    }
}

fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_be_bytes(*word))
}

/// The type of the first link-layer option, by which Open vSwitch calls them all.
fn first_option(message: &[u8]) -> u8 {
    let mut options = message.get(24..).unwrap_or_default();
    while let [kind, len @ 1..=255, ..] = *options {
        let Some(rest) = options.get(usize::from(len) * 8..) else { break };
        if len == 1 && matches!(kind, 1 | 2) {
            return kind;
        }
        options = rest;
    }
    0
}

fn mac_bits(mac: MacAddr) -> u128 {
    mac.to_u64().into()
}

fn mac(value: u128) -> MacAddr {
    MacAddr::from_u64(bits::low(value))
}
