//! All match fields of a packet, extracted once: the fields our pipeline matches, with Open vSwitch's semantics.

use crate::MacAddr;
use crate::addr::Ends;
use crate::frame::{Frame, Ipv4Packet, Ipv6Packet};
use crate::header::{
    ArpHeader, Fragment, IcmpHeader, NdLinkAddr, TcpHeader, UdpHeader, ethertype, icmp_type, protocol,
};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zerocopy::FromBytes;
use zerocopy::network_endian::U16;

/// The match fields of one packet, in host byte order, as Open vSwitch's `struct flow` holds them.
///
/// A field the packet does not have is zero; prerequisites (`eth_type`, `ip_proto`, ...) tell the difference, as in
/// OpenFlow 1.3.5, section 7.2.3.8. A header that is cut off or contradicts itself leaves the fields of its layer and
/// above at zero; nothing is refused. Later fragments have no transport fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ParsedPacket {
    /// Destination MAC address.
    pub eth_dst: MacAddr,
    /// Source MAC address.
    pub eth_src: MacAddr,
    /// EtherType behind the tag; [`ethertype::NONE`] for 802.2 frames.
    pub eth_type: u16,
    /// The tag's control field with bit 0x1000 set, 0 if there is no tag: Open vSwitch's `vlan_tci`.
    pub vlan_tci: u16,
    /// ARP opcode; 0 if above 255, as in Open vSwitch.
    pub arp_op: u16,
    /// ARP sender and target protocol address.
    pub arp_spa: Ipv4Addr,
    /// ARP target protocol address.
    pub arp_tpa: Ipv4Addr,
    /// ARP sender hardware address.
    pub arp_sha: MacAddr,
    /// ARP target hardware address.
    pub arp_tha: MacAddr,
    /// IPv4 source address.
    pub ipv4_src: Ipv4Addr,
    /// IPv4 destination address.
    pub ipv4_dst: Ipv4Addr,
    /// IPv6 source address.
    pub ipv6_src: Ipv6Addr,
    /// IPv6 destination address.
    pub ipv6_dst: Ipv6Addr,
    /// IPv6 flow label, 20 bits.
    pub ipv6_label: u32,
    /// Protocol behind all extension headers; 44 for a later IPv6 fragment.
    pub ip_proto: u8,
    /// TOS or traffic class: 6 bits DSCP, 2 bits ECN.
    pub ip_tos: u8,
    /// TTL or hop limit.
    pub ip_ttl: u8,
    /// Open vSwitch's `nw_frag` bits: 0 whole, 1 first fragment, 3 later fragment.
    pub nw_frag: u8,
    /// Source port of TCP, UDP or SCTP.
    pub tp_src: u16,
    /// Destination port of TCP, UDP or SCTP.
    pub tp_dst: u16,
    /// The 12 flag bits of TCP.
    pub tcp_flags: u16,
    /// Type of ICMP (over IPv4) or ICMPv6 (over IPv6).
    pub icmp_type: u8,
    /// Code of ICMP or ICMPv6.
    pub icmp_code: u8,
    /// Target of a neighbour solicitation or advertisement.
    pub nd_target: Ipv6Addr,
    /// Source link-layer address option of neighbour discovery.
    pub nd_sll: MacAddr,
    /// Target link-layer address option of neighbour discovery.
    pub nd_tll: MacAddr,
    /// Where the network header begins in the frame; 0 if the frame has no whole Ethernet header.
    pub l3_offset: usize,
    /// Where the transport header (or what a later fragment has there) begins in the frame; 0 if there is none.
    pub l4_offset: usize,
}

/// What identifies a transport flow, for hashing. Fragments have ports 0, the first too, so that one datagram takes
/// one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FiveTuple {
    /// The two addresses.
    pub ends: Ends,
    /// IP protocol behind all extension headers.
    pub protocol: u8,
    /// Source port of TCP, UDP or SCTP, else 0.
    pub src_port: u16,
    /// Destination port of TCP, UDP or SCTP, else 0.
    pub dst_port: u16,
}

impl Default for ParsedPacket {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl ParsedPacket {
    /// What a frame without an Ethernet header gives: every field zero.
    pub const EMPTY: Self = Self {
        eth_dst: MacAddr::ZERO,
        eth_src: MacAddr::ZERO,
        eth_type: 0,
        vlan_tci: 0,
        arp_op: 0,
        arp_spa: Ipv4Addr::UNSPECIFIED,
        arp_tpa: Ipv4Addr::UNSPECIFIED,
        arp_sha: MacAddr::ZERO,
        arp_tha: MacAddr::ZERO,
        ipv4_src: Ipv4Addr::UNSPECIFIED,
        ipv4_dst: Ipv4Addr::UNSPECIFIED,
        ipv6_src: Ipv6Addr::UNSPECIFIED,
        ipv6_dst: Ipv6Addr::UNSPECIFIED,
        ipv6_label: 0,
        ip_proto: 0,
        ip_tos: 0,
        ip_ttl: 0,
        nw_frag: 0,
        tp_src: 0,
        tp_dst: 0,
        tcp_flags: 0,
        icmp_type: 0,
        icmp_code: 0,
        nd_target: Ipv6Addr::UNSPECIFIED,
        nd_sll: MacAddr::ZERO,
        nd_tll: MacAddr::ZERO,
        l3_offset: 0,
        l4_offset: 0,
    };

    /// Extracts the fields of a frame (without FCS). Never fails: see the type for what damaged frames give.
    pub fn parse(bytes: &[u8]) -> Self {
        let Ok(frame) = Frame::parse(bytes) else { return Self::EMPTY };
        let mut fields = Self {
            eth_dst: frame.dst,
            eth_src: frame.src,
            eth_type: frame.ethertype,
            vlan_tci: frame.tag.map_or(0, |tag| tag.tci | 0x1000),
            l3_offset: frame.payload_offset,
            ..Self::EMPTY
        };
        match frame.ethertype {
            ethertype::IPV4 => fields.ipv4(frame.payload),
            ethertype::IPV6 => fields.ipv6(frame.payload),
            ethertype::ARP | ethertype::RARP => fields.arp(frame.payload),
            _ => {}
        }
        fields
    }

    /// The VLAN id if the frame is tagged; 0 for a priority tag.
    pub fn vlan_id(&self) -> Option<u16> {
        (self.vlan_tci != 0).then_some(self.vlan_tci & 0xfff)
    }

    /// True for IPv4 and IPv6 with a consistent header.
    pub fn is_ip(&self) -> bool {
        self.l4_offset != 0
    }

    /// Both addresses, if this is IP with a consistent header.
    pub fn ends(&self) -> Option<Ends> {
        match self.eth_type {
            ethertype::IPV4 if self.is_ip() => Some(Ends::V4 { src: self.ipv4_src, dst: self.ipv4_dst }),
            ethertype::IPV6 if self.is_ip() => Some(Ends::V6 { src: self.ipv6_src, dst: self.ipv6_dst }),
            _ => None,
        }
    }

    /// Destination address, if this is IP with a consistent header.
    pub fn ip_dst(&self) -> Option<IpAddr> {
        self.ends().map(|ends| ends.dst())
    }

    /// What identifies the packet's flow, if this is IP with a consistent header.
    pub fn five_tuple(&self) -> Option<FiveTuple> {
        let (src_port, dst_port) = if self.nw_frag == 0 { (self.tp_src, self.tp_dst) } else { (0, 0) };
        Some(FiveTuple { ends: self.ends()?, protocol: self.ip_proto, src_port, dst_port })
    }

    fn arp(&mut self, bytes: &[u8]) {
        let Ok((arp, _)) = ArpHeader::ref_from_prefix(bytes) else { return };
        if !arp.is_ipv4_over_ethernet() {
            return;
        }
        self.arp_op = if arp.op.get() <= 0xff { arp.op.get() } else { 0 };
        (self.arp_spa, self.arp_tpa) = (arp.spa.into(), arp.tpa.into());
        (self.arp_sha, self.arp_tha) = (arp.sha, arp.tha);
    }

    fn ipv4(&mut self, bytes: &[u8]) {
        let Ok(packet) = Ipv4Packet::parse(bytes) else { return };
        let header = packet.header;
        (self.ipv4_src, self.ipv4_dst) = (header.source(), header.destination());
        (self.ip_proto, self.ip_tos, self.ip_ttl) = (header.protocol, header.tos, header.ttl);
        self.l4_offset = self.l3_offset + header.header_len();
        self.transport(header.fragment(), packet.payload);
    }

    fn ipv6(&mut self, bytes: &[u8]) {
        let Ok(packet) = Ipv6Packet::parse(bytes) else { return };
        let header = packet.header;
        (self.ipv6_src, self.ipv6_dst) = (header.source(), header.destination());
        // With a cut-off extension header Open vSwitch keeps the addresses and drops the rest.
        let Ok(upper) = packet.upper_layer() else { return };
        self.ipv6_label = header.flow_label();
        (self.ip_proto, self.ip_tos, self.ip_ttl) =
            (upper.protocol, header.traffic_class(), header.hop_limit);
        self.l4_offset = self.l3_offset + packet.bytes.len() - upper.payload.len();
        self.transport(upper.fragment, upper.payload);
    }

    fn transport(&mut self, fragment: Fragment, bytes: &[u8]) {
        self.nw_frag = fragment as u8;
        if fragment == Fragment::Later {
            return;
        }
        match (self.ip_proto, self.eth_type) {
            (protocol::TCP, _) => {
                // A header length that contradicts the packet voids the header, as in Open vSwitch.
                if let Ok((tcp, _)) = TcpHeader::ref_from_prefix(bytes)
                    && (TcpHeader::LEN..=bytes.len()).contains(&tcp.header_len())
                {
                    self.ports(tcp.src_port, tcp.dst_port);
                    self.tcp_flags = tcp.offset_flags.get() & 0xfff;
                }
            }
            (protocol::UDP, _) => {
                if let Ok((udp, _)) = UdpHeader::ref_from_prefix(bytes) {
                    self.ports(udp.src_port, udp.dst_port);
                }
            }
            // SCTP's common header is 12 bytes with the ports where UDP has them (RFC 9260, section 3.1).
            (protocol::SCTP, _) if bytes.len() >= 12 => {
                if let Ok((ports, _)) = UdpHeader::ref_from_prefix(bytes) {
                    self.ports(ports.src_port, ports.dst_port);
                }
            }
            (protocol::ICMP, ethertype::IPV4) => _ = self.icmp(bytes),
            (protocol::ICMPV6, ethertype::IPV6) => {
                if let Some(body) = self.icmp(bytes)
                    && matches!(self.icmp_type, icmp_type::ND_SOLICIT | icmp_type::ND_ADVERT)
                    && self.icmp_code == 0
                {
                    self.neighbour(body);
                }
            }
            _ => {}
        }
    }

    fn ports(&mut self, src: U16, dst: U16) {
        (self.tp_src, self.tp_dst) = (src.get(), dst.get());
    }

    fn icmp<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (icmp, body) = IcmpHeader::ref_from_prefix(bytes).ok()?;
        (self.icmp_type, self.icmp_code) = (icmp.kind, icmp.code);
        Some(body)
    }

    /// The target and the options of a solicitation or advertisement. As Open vSwitch: options end at one that does
    /// not fit, and an address given twice voids them all, the target too.
    fn neighbour(&mut self, body: &[u8]) {
        let Some((target, mut options)) = body.split_first_chunk::<16>() else { return };
        let (mut sll, mut tll) = (MacAddr::ZERO, MacAddr::ZERO);
        while let Ok((option, _)) = NdLinkAddr::ref_from_prefix(options) {
            let Some(rest) = options.get(usize::from(option.len) * 8..) else { break };
            let slot = match (option.kind, option.len) {
                (_, 0) => break,
                (NdLinkAddr::SOURCE, 1) => Some(&mut sll),
                (NdLinkAddr::TARGET, 1) => Some(&mut tll),
                _ => None,
            };
            if let Some(slot) = slot {
                if *slot != MacAddr::ZERO {
                    return;
                }
                *slot = option.mac;
            }
            options = rest;
        }
        self.nd_target = Ipv6Addr::from(*target);
        (self.nd_sll, self.nd_tll) = (sll, tll);
    }
}
