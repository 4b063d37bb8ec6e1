//! Frames made from scratch: what the controller sends by packet-out, and what tests send.
//!
//! No padding to the Ethernet minimum: virtual links do not want it, and real ones add it themselves.

use crate::MacAddr;
use crate::addr::{Ends, multicast_mac, solicited_node};
use crate::checksum::{self, Sum};
use crate::frame::Tag;
use crate::header::{
    ArpHeader, EthernetHeader, IcmpHeader, Ipv4Header, Ipv6Header, NdLinkAddr, UdpHeader, VlanHeader,
    ethertype, icmp_type, protocol,
};
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};
use zerocopy::IntoBytes;

/// The hop limit neighbour discovery demands (RFC 4861, section 7.1).
pub const ND_HOP_LIMIT: u8 = 255;

/// The link-layer part of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Destination address.
    pub dst: MacAddr,
    /// Source address.
    pub src: MacAddr,
    /// The tag, if any.
    pub tag: Option<Tag>,
}

impl Link {
    /// An untagged link part.
    pub const fn untagged(src: MacAddr, dst: MacAddr) -> Self {
        Self { dst, src, tag: None }
    }

    fn start(&self, ethertype: u16, payload_len: usize) -> Vec<u8> {
        let mut frame = Vec::with_capacity(EthernetHeader::LEN + VlanHeader::LEN + payload_len);
        let outer = self.tag.map_or(ethertype, |tag| tag.tpid);
        let header = EthernetHeader { dst: self.dst, src: self.src, ethertype: outer.into() };
        frame.extend_from_slice(header.as_bytes());
        if let Some(tag) = self.tag {
            let vlan = VlanHeader { tci: tag.tci.into(), ethertype: ethertype.into() };
            frame.extend_from_slice(vlan.as_bytes());
        }
        frame
    }
}

/// The network part of a packet, beyond its protocol and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ip {
    /// The two addresses.
    pub ends: Ends,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// TOS or traffic class.
    pub tos: u8,
}

/// A frame that carries one IP packet: not fragmented, no options. IPv4 is sent with "don't fragment" and id 0, as
/// RFC 6864, section 4.1 allows for what is never fragmented. `payload` above 65,535 bytes less headers is cut.
pub fn ip(link: &Link, ip: &Ip, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let header_len = match ip.ends {
        Ends::V4 { .. } => Ipv4Header::LEN,
        Ends::V6 { .. } => 0,
    };
    let payload = payload.get(..usize::from(u16::MAX) - header_len).unwrap_or(payload);
    let len = length(header_len + payload.len());
    let mut frame;
    match ip.ends {
        Ends::V4 { src, dst } => {
            frame = link.start(ethertype::IPV4, usize::from(len));
            let mut header = Ipv4Header {
                version_ihl: 0x45,
                tos: ip.tos,
                total_len: len.into(),
                id: 0.into(),
                flags_offset: Ipv4Header::DONT_FRAGMENT.into(),
                ttl: ip.hop_limit,
                protocol,
                checksum: 0.into(),
                src: src.octets(),
                dst: dst.octets(),
            };
            header.checksum = checksum::internet(header.as_bytes()).into();
            frame.extend_from_slice(header.as_bytes());
        }
        Ends::V6 { src, dst } => {
            frame = link.start(ethertype::IPV6, Ipv6Header::LEN + usize::from(len));
            let header = Ipv6Header {
                version_class_label: (6 << 28 | u32::from(ip.tos) << 20).into(),
                payload_len: len.into(),
                next_header: protocol,
                hop_limit: ip.hop_limit,
                src: src.octets(),
                dst: dst.octets(),
            };
            frame.extend_from_slice(header.as_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// An ICMP or ICMPv6 message (by the family of the addresses): header with its checksum, then `body`.
pub fn icmp(link: &Link, net: &Ip, kind: u8, code: u8, rest: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut header = IcmpHeader { kind, code, checksum: 0.into(), rest };
    let len = length(IcmpHeader::LEN + body.len());
    let (protocol, sum) = match net.ends {
        Ends::V4 { .. } => (protocol::ICMP, Sum::new()),
        Ends::V6 { src, dst } => (protocol::ICMPV6, Sum::new().pseudo_v6(src, dst, protocol::ICMPV6, len)),
    };
    header.checksum = sum.bytes(header.as_bytes()).bytes(body).finish().into();
    ip(link, net, protocol, &[header.as_bytes(), body].concat())
}

/// Which half of an echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EchoKind {
    /// The question.
    Request,
    /// The answer.
    Reply,
}

/// An ICMP or ICMPv6 echo message with `data` behind identifier and sequence number.
pub fn echo(link: &Link, net: &Ip, kind: EchoKind, id: u16, seq: u16, data: &[u8]) -> Vec<u8> {
    let kind = match (net.ends, kind) {
        (Ends::V4 { .. }, EchoKind::Request) => icmp_type::ECHO_REQUEST,
        (Ends::V4 { .. }, EchoKind::Reply) => icmp_type::ECHO_REPLY,
        (Ends::V6 { .. }, EchoKind::Request) => icmp_type::V6_ECHO_REQUEST,
        (Ends::V6 { .. }, EchoKind::Reply) => icmp_type::V6_ECHO_REPLY,
    };
    let ([a, b], [c, d]) = (id.to_be_bytes(), seq.to_be_bytes());
    icmp(link, net, kind, 0, [a, b, c, d], data)
}

/// A UDP datagram with checksum.
pub fn udp(link: &Link, net: &Ip, src_port: u16, dst_port: u16, data: &[u8]) -> Vec<u8> {
    let len = length(UdpHeader::LEN + data.len());
    let sum = match net.ends {
        Ends::V4 { src, dst } => Sum::new().pseudo_v4(src, dst, protocol::UDP, len),
        Ends::V6 { src, dst } => Sum::new().pseudo_v6(src, dst, protocol::UDP, len),
    };
    let (src_port, dst_port) = (src_port.into(), dst_port.into());
    let mut header = UdpHeader { src_port, dst_port, len: len.into(), checksum: 0.into() };
    header.checksum = checksum::udp(sum.bytes(header.as_bytes()).bytes(data).finish()).into();
    ip(link, net, protocol::UDP, &[header.as_bytes(), data].concat())
}

/// An ARP request, broadcast. A `spa` of 0.0.0.0 makes it a probe (RFC 5227, section 2.1.1).
pub fn arp_request(sha: MacAddr, spa: Ipv4Addr, tpa: Ipv4Addr) -> Vec<u8> {
    arp(&Link::untagged(sha, MacAddr::BROADCAST), ArpHeader::REQUEST, (sha, spa), (MacAddr::ZERO, tpa))
}

/// An ARP reply, unicast to the asker: `(sha, spa)` answers, `(tha, tpa)` asked.
pub fn arp_reply(sha: MacAddr, spa: Ipv4Addr, tha: MacAddr, tpa: Ipv4Addr) -> Vec<u8> {
    arp(&Link::untagged(sha, tha), ArpHeader::REPLY, (sha, spa), (tha, tpa))
}

/// An ARP packet with any link part and opcode (RFC 826): gratuitous ones, and false ones for tests.
pub fn arp(link: &Link, op: u16, sender: (MacAddr, Ipv4Addr), target: (MacAddr, Ipv4Addr)) -> Vec<u8> {
    let mut frame = link.start(ethertype::ARP, ArpHeader::LEN);
    let header = ArpHeader {
        hardware: 1.into(),
        protocol: ethertype::IPV4.into(),
        hardware_len: 6,
        protocol_len: 4,
        op: op.into(),
        sha: sender.0,
        spa: sender.1.octets(),
        tha: target.0,
        tpa: target.1.octets(),
    };
    frame.extend_from_slice(header.as_bytes());
    frame
}

/// A neighbour solicitation to the target's solicited-node group (RFC 4861, sections 4.3 and 7.2.2). From the
/// unspecified address (duplicate detection, RFC 4862, section 5.4.2) it has no source address option.
pub fn nd_solicit(mac: MacAddr, src: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let dst = solicited_node(target);
    let mut body = target.octets().to_vec();
    if !src.is_unspecified() {
        body.extend_from_slice(NdLinkAddr { kind: NdLinkAddr::SOURCE, len: 1, mac }.as_bytes());
    }
    let net = Ip { ends: Ends::V6 { src, dst }, hop_limit: ND_HOP_LIMIT, tos: 0 };
    icmp(&Link::untagged(mac, multicast_mac(dst)), &net, icmp_type::ND_SOLICIT, 0, [0; 4], &body)
}

/// A neighbour advertisement (RFC 4861, section 4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NdAdvert {
    /// The address advertised, which is also the packet's source.
    pub target: Ipv6Addr,
    /// Its MAC address, which is also the frame's source.
    pub mac: MacAddr,
    /// Who is told: the asker, or all nodes (ff02::1).
    pub dst: Ipv6Addr,
    /// MAC address of who is told.
    pub dst_mac: MacAddr,
    /// The flag R: the target is a router.
    pub router: bool,
    /// The flag S: this answers a solicitation; wrong towards a group.
    pub solicited: bool,
    /// The flag O: replaces what is cached.
    pub override_cache: bool,
}

impl NdAdvert {
    /// The whole frame.
    pub fn frame(&self) -> Vec<u8> {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = flag(self.router, 0x80) | flag(self.solicited, 0x40) | flag(self.override_cache, 0x20);
        let option = NdLinkAddr { kind: NdLinkAddr::TARGET, len: 1, mac: self.mac };
        let body = [&self.target.octets(), option.as_bytes()].concat();
        let ends = Ends::V6 { src: self.target, dst: self.dst };
        let net = Ip { ends, hop_limit: ND_HOP_LIMIT, tos: 0 };
        let link = Link::untagged(self.mac, self.dst_mac);
        icmp(&link, &net, icmp_type::ND_ADVERT, 0, [flags, 0, 0, 0], &body)
    }
}

/// A length for a 16-bit field. Callers pass payloads that fit; [`ip`] cuts what does not.
fn length(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}
