//! Building test frames with etherparse, which shares no code with what is tested.
//!
//! The kernel takes frames without padding and without check sequence; so do these builders.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, bail};
use etherparse::{
    ArpEthIpv4Packet, ArpOperation, Ethernet2Header, IpHeaders, IpNumber, Ipv4Header, Ipv6FlowLabel,
    Ipv6Header, PacketBuilder, PacketBuilderStep,
};
use packet::MacAddr;

/// Who sends an IP packet to whom, and how far it may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// Ethernet source.
    pub src_mac: MacAddr,
    /// Ethernet destination.
    pub dst_mac: MacAddr,
    /// IP source.
    pub src: IpAddr,
    /// IP destination, of the same family.
    pub dst: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
}

impl Path {
    /// A path with TTL 64.
    pub fn new(src_mac: MacAddr, dst_mac: MacAddr, src: IpAddr, dst: IpAddr) -> Self {
        Self { src_mac, dst_mac, src, dst, ttl: 64 }
    }

    /// The same packet after one router: its MACs, and a TTL lower by one.
    #[must_use]
    pub fn routed(self, router_mac: MacAddr, dst_mac: MacAddr) -> Self {
        Self { src_mac: router_mac, dst_mac, ttl: self.ttl.saturating_sub(1), ..self }
    }

    /// The way of an answer, with TTL 64.
    #[must_use]
    pub fn back(self) -> Self {
        Self::new(self.dst_mac, self.src_mac, self.dst, self.src)
    }

    /// The same with another TTL.
    #[must_use]
    pub fn ttl(self, ttl: u8) -> Self {
        Self { ttl, ..self }
    }

    fn start(&self) -> Result<PacketBuilderStep<IpHeaders>> {
        let ip = match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let mut header = Ipv4Header::new(0, self.ttl, IpNumber::UDP, src.octets(), dst.octets())
                    .context("build an IPv4 header")?;
                header.dont_fragment = true;
                IpHeaders::Ipv4(header, etherparse::Ipv4Extensions::default())
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let header = Ipv6Header {
                    traffic_class: 0,
                    flow_label: Ipv6FlowLabel::ZERO,
                    payload_length: 0,
                    next_header: IpNumber::UDP,
                    hop_limit: self.ttl,
                    source: src.octets(),
                    destination: dst.octets(),
                };
                IpHeaders::Ipv6(header, etherparse::Ipv6Extensions::default())
            }
            (src, dst) => bail!("{src} and {dst} are of different families"),
        };
        Ok(PacketBuilder::ethernet2(self.src_mac.0, self.dst_mac.0).ip(ip))
    }

    /// A UDP datagram.
    ///
    /// # Errors
    /// Addresses of different families, or a payload that is too long.
    pub fn udp(&self, src_port: u16, dst_port: u16, payload: &[u8]) -> Result<Vec<u8>> {
        let mut frame = Vec::new();
        self.start()?.udp(src_port, dst_port).write_to_vec(&mut frame, payload)?;
        Ok(frame)
    }

    /// The first segment of a TCP connection.
    ///
    /// # Errors
    /// Addresses of different families.
    pub fn tcp_syn(&self, src_port: u16, dst_port: u16, sequence: u32) -> Result<Vec<u8>> {
        let mut frame = Vec::new();
        self.start()?.tcp(src_port, dst_port, sequence, 64_240).syn().write_to_vec(&mut frame, &[])?;
        Ok(frame)
    }

    /// An echo request: RFC 792, or RFC 4443 section 4.1.
    ///
    /// # Errors
    /// As [`Path::udp`].
    pub fn echo_request(&self, id: u16, sequence: u16, payload: &[u8]) -> Result<Vec<u8>> {
        self.icmp([8, 128], 0, echo_word(id, sequence), payload)
    }

    /// An echo reply: RFC 792, or RFC 4443 section 4.2.
    ///
    /// # Errors
    /// As [`Path::udp`].
    pub fn echo_reply(&self, id: u16, sequence: u16, payload: &[u8]) -> Result<Vec<u8>> {
        self.icmp([0, 129], 0, echo_word(id, sequence), payload)
    }

    /// Any ICMP message: `types` for ICMP and for ICMPv6, the code, octets 4 to 7, and the rest.
    ///
    /// # Errors
    /// As [`Path::udp`].
    pub fn icmp(&self, types: [u8; 2], code: u8, word: [u8; 4], payload: &[u8]) -> Result<Vec<u8>> {
        let mut frame = Vec::new();
        let [v4, v6] = types;
        let start = self.start()?;
        match self.src {
            IpAddr::V4(_) => start.icmpv4_raw(v4, code, word).write_to_vec(&mut frame, payload)?,
            IpAddr::V6(_) => start.icmpv6_raw(v6, code, word).write_to_vec(&mut frame, payload)?,
        }
        Ok(frame)
    }
}

fn echo_word(id: u16, sequence: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (id.to_be_bytes(), sequence.to_be_bytes());
    [a, b, c, d]
}

/// An ARP request (RFC 826), sent to all.
pub fn arp_request(mac: MacAddr, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    arp(MacAddr::BROADCAST, ArpOperation::REQUEST, (mac, sender), (MacAddr::ZERO, target))
}

/// An ARP reply (RFC 826): `sender` is at `mac`, told to `to`.
pub fn arp_reply(mac: MacAddr, sender: Ipv4Addr, to: (MacAddr, Ipv4Addr)) -> Vec<u8> {
    arp(to.0, ArpOperation::REPLY, (mac, sender), to)
}

/// A gratuitous ARP request (RFC 5227, section 3): what a VM says after it has moved.
pub fn arp_announcement(mac: MacAddr, address: Ipv4Addr) -> Vec<u8> {
    arp_request(mac, address, address)
}

fn arp(
    dst: MacAddr,
    operation: ArpOperation,
    sender: (MacAddr, Ipv4Addr),
    target: (MacAddr, Ipv4Addr),
) -> Vec<u8> {
    let body = ArpEthIpv4Packet {
        operation,
        sender_mac: sender.0.0,
        sender_ipv4: sender.1.octets(),
        target_mac: target.0.0,
        target_ipv4: target.1.octets(),
    };
    let head =
        Ethernet2Header { source: sender.0.0, destination: dst.0, ether_type: etherparse::EtherType::ARP };
    let mut frame = head.to_bytes().to_vec();
    frame.extend_from_slice(&body.to_bytes());
    frame
}

/// A neighbour solicitation with source link-layer address (RFC 4861, section 4.3), to the
/// solicited-node group of `target`, as an address resolution starts.
///
/// # Errors
/// The frame cannot be built.
pub fn neighbour_solicitation(mac: MacAddr, sender: Ipv6Addr, target: Ipv6Addr) -> Result<Vec<u8>> {
    let group = solicited_node(target);
    let path =
        Path { src_mac: mac, dst_mac: group_mac(group), src: sender.into(), dst: group.into(), ttl: 255 };
    path.icmp([0, 135], 0, [0; 4], &nd_payload(target, 1, mac))
}

/// A solicited neighbour advertisement with target link-layer address (RFC 4861, section 4.4):
/// `target` is at `mac`, told to `to`. `router` sets the R flag; the O flag is always set.
///
/// # Errors
/// The frame cannot be built.
pub fn neighbour_advertisement(
    mac: MacAddr,
    target: Ipv6Addr,
    to: (MacAddr, Ipv6Addr),
    router: bool,
) -> Result<Vec<u8>> {
    let path = Path { src_mac: mac, dst_mac: to.0, src: target.into(), dst: to.1.into(), ttl: 255 };
    let flags = if router { 0xe0 } else { 0x60 };
    path.icmp([0, 136], 0, [flags, 0, 0, 0], &nd_payload(target, 2, mac))
}

/// Target address and one link-layer address option (RFC 4861, section 4.6.1).
fn nd_payload(target: Ipv6Addr, option: u8, mac: MacAddr) -> Vec<u8> {
    let mut payload = target.octets().to_vec();
    payload.extend_from_slice(&[option, 1]);
    payload.extend_from_slice(&mac.0);
    payload
}

/// ff02::1:ffXX:XXXX (RFC 4291, section 2.7.1).
pub fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = target.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (high & 0xff), low)
}

/// 33:33 and the last 32 bits of an IPv6 group (RFC 2464, section 7).
pub fn group_mac(group: Ipv6Addr) -> MacAddr {
    let [.., a, b, c, d] = group.octets();
    MacAddr([0x33, 0x33, a, b, c, d])
}

/// The frame with an 802.1Q tag of priority 0.
///
/// # Errors
/// `frame` is shorter than two addresses.
pub fn tagged(vlan: u16, frame: &[u8]) -> Result<Vec<u8>> {
    let (macs, rest) = frame.split_at_checked(12).context("frame is shorter than two addresses")?;
    let [high, low] = vlan.to_be_bytes();
    Ok([macs, &[0x81, 0x00, high, low], rest].concat())
}

/// True for what an IPv6 host says unasked: multicast listener reports (RFC 2710, RFC 3810), router
/// solicitations, and solicitations to find duplicate addresses (RFC 4862). Exact tests let it pass.
pub fn is_ipv6_chatter(frame: &[u8]) -> bool {
    let Ok(headers) = etherparse::PacketHeaders::from_ethernet_slice(frame) else { return false };
    let Some(etherparse::NetHeaders::Ipv6(ip, _)) = headers.net else { return false };
    let Some(etherparse::TransportHeader::Icmpv6(icmp)) = headers.transport else { return false };
    match icmp.icmp_type.type_u8() {
        131 | 132 | 133 | 143 => true,
        135 => ip.source == [0; 16],
        _ => false,
    }
}
