//! Packets in a few words.

use packet::{
    Ends, ParsedPacket,
    header::{ethertype, icmp_type, protocol},
};

/// A packet in a few words, as in "icmp echo request 10.0.0.2 > 10.0.1.2, ttl 64".
pub fn summary(frame: &[u8]) -> String {
    let p = ParsedPacket::parse(frame);
    let ports = |name: &str, ends: Ends| {
        format!("{name} {}.{} > {}.{}, ttl {}", ends.src(), p.tp_src, ends.dst(), p.tp_dst, p.ip_ttl)
    };
    let plain =
        |name: String, ends: Ends| format!("{name} {} > {}, ttl {}", ends.src(), ends.dst(), p.ip_ttl);
    match (p.eth_type, p.arp_op, p.ends()) {
        (ethertype::ARP, 1, _) => format!("arp who has {} tell {}", p.arp_tpa, p.arp_spa),
        (ethertype::ARP, 2, _) => format!("arp {} is at {}", p.arp_spa, p.arp_sha),
        (_, _, Some(ends)) => match (p.ip_proto, p.icmp_type) {
            (protocol::TCP, _) => ports("tcp", ends),
            (protocol::UDP, _) => ports("udp", ends),
            (protocol::ICMP, kind) => plain(icmp_name(kind, p.icmp_code), ends),
            (protocol::ICMPV6, icmp_type::ND_SOLICIT) => {
                format!("neighbour solicitation for {} from {}", p.nd_target, ends.src())
            }
            (protocol::ICMPV6, icmp_type::ND_ADVERT) => {
                format!("neighbour advertisement: {} is at {}", p.nd_target, p.nd_tll)
            }
            (protocol::ICMPV6, kind) => plain(icmpv6_name(kind, p.icmp_code), ends),
            (other, _) => plain(format!("ip protocol {other}"), ends),
        },
        (other, ..) => format!("ethertype {other:#06x}"),
    }
}

/// Types and codes by the names of RFC 792.
fn icmp_name(kind: u8, code: u8) -> String {
    match (kind, code) {
        (0, _) => "icmp echo reply".into(),
        (8, _) => "icmp echo request".into(),
        (3, 0) => "icmp net unreachable".into(),
        (3, 1) => "icmp host unreachable".into(),
        (3, 3) => "icmp port unreachable".into(),
        (3, 4) => "icmp fragmentation needed".into(),
        (11, _) => "icmp time exceeded".into(),
        _ => format!("icmp type {kind} code {code}"),
    }
}

/// Types and codes by the names of RFC 4443.
fn icmpv6_name(kind: u8, code: u8) -> String {
    match (kind, code) {
        (128, _) => "icmpv6 echo request".into(),
        (129, _) => "icmpv6 echo reply".into(),
        (1, 0) => "icmpv6 no route to destination".into(),
        (1, 3) => "icmpv6 address unreachable".into(),
        (1, 4) => "icmpv6 port unreachable".into(),
        (2, _) => "icmpv6 packet too big".into(),
        (3, _) => "icmpv6 time exceeded".into(),
        _ => format!("icmpv6 type {kind} code {code}"),
    }
}
