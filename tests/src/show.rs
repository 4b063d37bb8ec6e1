//! Frames as text, and the difference of two.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Result, bail};
use etherparse::{ArpPacket, LinkExtSlice, LinkSlice, NetSlice, SlicedPacket, TransportSlice};

/// Fails unless `got` and `want` are the same octets; the error shows the fields and octets that differ.
///
/// # Errors
/// They differ.
pub fn expect_same_frame(got: &[u8], want: &[u8]) -> Result<()> {
    if got != want {
        bail!("frames differ (- wanted, + got):\n{}", diff(got, want));
    }
    Ok(())
}

/// The lines of both descriptions, then of both dumps; those that differ carry a sign.
fn diff(got: &[u8], want: &[u8]) -> String {
    let mut text = String::new();
    for (got, want) in [(describe(got), describe(want)), (dump(got), dump(want))] {
        let (got, want): (Vec<&str>, Vec<&str>) = (got.lines().collect(), want.lines().collect());
        for row in 0..got.len().max(want.len()) {
            match (want.get(row), got.get(row)) {
                (Some(a), Some(b)) if a == b => _ = writeln!(text, "  {a}"),
                (a, b) => {
                    a.iter().for_each(|line| _ = writeln!(text, "- {line}"));
                    b.iter().for_each(|line| _ = writeln!(text, "+ {line}"));
                }
            }
        }
    }
    text
}

/// Sixteen octets a line, with offsets.
pub fn dump(frame: &[u8]) -> String {
    let mut text = String::new();
    for (row, octets) in frame.chunks(16).enumerate() {
        let hex: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        _ = writeln!(text, "{:04x}  {}", row * 16, hex.join(" "));
    }
    text
}

/// One header a line, checksums judged.
pub fn describe(frame: &[u8]) -> String {
    let packet = match SlicedPacket::from_ethernet(frame) {
        Ok(packet) => packet,
        Err(error) => return format!("{} octets that are no packet: {error}\n", frame.len()),
    };
    let mut text = String::new();
    if let Some(LinkSlice::Ethernet2(ethernet)) = &packet.link {
        let (src, dst) = (packet::MacAddr(ethernet.source()), packet::MacAddr(ethernet.destination()));
        _ = writeln!(text, "ethernet {src} > {dst} type {:04x}", ethernet.ether_type().0);
    }
    for extension in &packet.link_exts {
        if let LinkExtSlice::Vlan(tag) = extension {
            let header = tag.to_header();
            _ = writeln!(text, "vlan {} priority {}", header.vlan_id.value(), header.pcp.value());
        }
    }
    if let Some(net) = &packet.net {
        text += &describe_net(net);
    }
    if let Some(transport) = &packet.transport {
        text += &describe_transport(transport);
    }
    text
}

fn describe_net(net: &NetSlice<'_>) -> String {
    match net {
        NetSlice::Ipv4(ip) => {
            let head = ip.header().to_header();
            let sum = judge(head.calc_header_checksum() == head.header_checksum);
            format!(
                "ipv4 {} > {} ttl {} protocol {} id {} df {} mf {} offset {} tos {} length {} checksum {sum}\n{}",
                Ipv4Addr::from(head.source),
                Ipv4Addr::from(head.destination),
                head.time_to_live,
                head.protocol.0,
                head.identification,
                head.dont_fragment,
                head.more_fragments,
                head.fragment_offset.byte_offset(),
                head.dscp.value() << 2 | head.ecn.value(),
                head.total_len,
                judge_transport(head.source.into(), head.destination.into(), ip.payload()),
            )
        }
        NetSlice::Ipv6(ip) => {
            let head = ip.header().to_header();
            format!(
                "ipv6 {} > {} hop limit {} next header {} class {} label {:05x} length {}\n{}",
                Ipv6Addr::from(head.source),
                Ipv6Addr::from(head.destination),
                head.hop_limit,
                head.next_header.0,
                head.traffic_class,
                head.flow_label.value(),
                head.payload_length,
                judge_transport(head.source.into(), head.destination.into(), ip.payload()),
            )
        }
        NetSlice::Arp(arp) => describe_arp(&arp.to_packet()),
    }
}

fn describe_arp(arp: &ArpPacket) -> String {
    match arp.try_eth_ipv4() {
        Ok(arp) => format!(
            "arp operation {} sender {} {} target {} {}\n",
            arp.operation.0,
            packet::MacAddr(arp.sender_mac),
            arp.sender_ipv4_addr(),
            packet::MacAddr(arp.target_mac),
            arp.target_ipv4_addr(),
        ),
        Err(error) => format!("arp that is not of Ethernet and IPv4: {error}\n"),
    }
}

fn describe_transport(transport: &TransportSlice<'_>) -> String {
    match transport {
        TransportSlice::Icmpv4(icmp) => {
            let (kind, code) = (icmp.type_u8(), icmp.code_u8());
            format!(
                "icmp type {kind} code {code} word {:02x?} payload {}\n",
                icmp.bytes5to8(),
                icmp.payload().len()
            )
        }
        TransportSlice::Icmpv6(icmp) => {
            let (kind, code) = (icmp.type_u8(), icmp.code_u8());
            format!(
                "icmpv6 type {kind} code {code} word {:02x?} payload {}\n",
                icmp.bytes5to8(),
                icmp.payload().len()
            )
        }
        TransportSlice::Udp(udp) => {
            format!("udp {} > {} length {}\n", udp.source_port(), udp.destination_port(), udp.length())
        }
        TransportSlice::Tcp(tcp) => format!(
            "tcp {} > {} sequence {} acknowledgment {} syn {} ack {} fin {} rst {} window {} payload {}\n",
            tcp.source_port(),
            tcp.destination_port(),
            tcp.sequence_number(),
            tcp.acknowledgment_number(),
            tcp.syn(),
            tcp.ack(),
            tcp.fin(),
            tcp.rst(),
            tcp.window_size(),
            tcp.payload().len(),
        ),
        TransportSlice::Igmp(igmp) => format!("igmp {igmp:?}\n"),
    }
}

/// A line about the checksum of what an IP packet carries; nothing where there is none to judge.
fn judge_transport(src: IpAddr, dst: IpAddr, payload: &etherparse::IpPayloadSlice<'_>) -> String {
    const ICMP: u8 = 1;
    const TCP: u8 = 6;
    const UDP: u8 = 17;
    const ICMPV6: u8 = 58;
    let protocol = payload.ip_number.0;
    let pseudo = match protocol {
        ICMP => false,
        TCP | UDP | ICMPV6 => true,
        _ => return String::new(),
    };
    if payload.fragmented {
        return String::new();
    }
    // RFC 768: an IPv4 datagram with checksum 0 has none.
    if protocol == UDP && src.is_ipv4() && payload.payload.get(6..8) == Some(&[0, 0]) {
        return "transport checksum absent\n".into();
    }
    let mut octets = Vec::new();
    if pseudo {
        for address in [src, dst] {
            match address {
                IpAddr::V4(v4) => octets.extend_from_slice(&v4.octets()),
                IpAddr::V6(v6) => octets.extend_from_slice(&v6.octets()),
            }
        }
        // RFC 793 section 3.1 and RFC 8200 section 8.1; both add the same numbers, in fields of other widths.
        let [_, _, high, low] = u32::try_from(payload.payload.len()).unwrap_or(u32::MAX).to_be_bytes();
        octets.extend_from_slice(&[high, low, 0, protocol]);
    }
    octets.extend_from_slice(payload.payload);
    format!("transport checksum {}\n", judge(ones_complement_sum(&octets) == 0xffff))
}

/// RFC 1071: a packet with its checksum in place sums up to all ones.
fn ones_complement_sum(octets: &[u8]) -> u32 {
    let words = octets.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(*high) << 8 | u32::from(*low),
        [last] => u32::from(*last) << 8,
        _ => 0,
    });
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    (folded & 0xffff) + (folded >> 16)
}

fn judge(good: bool) -> &'static str {
    if good { "good" } else { "BAD" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Path;
    use packet::MacAddr;

    fn frames() -> [Vec<u8>; 2] {
        let (a, b) = (MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
        let v4 = Path::new(a, b, "10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let v6 = Path::new(a, b, "fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
        [v4.udp(1, 2, b"odd").unwrap(), v6.echo_request(7, 8, b"payload").unwrap()]
    }

    #[test]
    fn judges_checksums() {
        for frame in frames() {
            let text = describe(&frame);
            assert!(text.contains("transport checksum good") && !text.contains("BAD"), "{text}");
            let mut broken = frame.clone();
            *broken.last_mut().unwrap() ^= 1;
            assert!(describe(&broken).contains("transport checksum BAD"));
        }
    }

    #[test]
    fn names_the_field_that_differs() {
        let [want, _] = frames();
        let mut got = want.clone();
        got[22] = 63; // The TTL, while the header checksum stays that of 64.
        let error = expect_same_frame(&got, &want).unwrap_err().to_string();
        assert!(error.contains("+ ipv4 10.0.0.1 > 10.0.0.2 ttl 63"), "{error}");
        assert!(error.contains("checksum BAD"), "{error}");
        assert!(error.contains("+ 0010  00 1f 00 00 40 00 3f 11"), "{error}");
        assert!(expect_same_frame(&want, &want).is_ok());
    }
}
