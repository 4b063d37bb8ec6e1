//! Frames we build, read by `etherparse` and by ourselves; and `etherparse`'s frames, read by ourselves.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, helpers included")]

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use packet::addr::solicited_node;
use packet::build::{self, EchoKind, Ip, Link, NdAdvert};
use packet::frame::Tag;
use packet::header::protocol;
use packet::{Ends, FiveTuple, MacAddr, ParsedPacket};
use std::net::{Ipv4Addr, Ipv6Addr};

const A: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xa]);
const B: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xb]);
const A6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 0x12, 0x3456);
const B6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 0x98, 0x7654);

/// Asserts every checksum that etherparse can see.
fn checked(frame: &[u8]) -> SlicedPacket<'_> {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let (v4, v6) = match packet.net.as_ref().unwrap() {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            assert_eq!(header.to_header().calc_header_checksum(), header.header_checksum());
            (Some((header.source(), header.destination())), None)
        }
        NetSlice::Ipv6(ip) => (None, Some((ip.header().source(), ip.header().destination()))),
        _ => (None, None),
    };
    match packet.transport.as_ref() {
        Some(TransportSlice::Udp(udp)) => {
            let header = udp.to_header();
            let sum = match (v4, v6) {
                (Some((src, dst)), _) => header.calc_checksum_ipv4_raw(src, dst, udp.payload()).unwrap(),
                (_, Some((src, dst))) => header.calc_checksum_ipv6_raw(src, dst, udp.payload()).unwrap(),
                _ => panic!("UDP over nothing"),
            };
            assert_eq!(sum, header.checksum);
        }
        Some(TransportSlice::Icmpv6(icmp)) => {
            let (src, dst) = v6.unwrap();
            assert!(icmp.is_checksum_valid(src, dst));
        }
        Some(TransportSlice::Icmpv4(icmp)) => {
            let sum = icmp.icmp_type().calc_checksum(icmp.payload());
            assert_eq!(sum, icmp.checksum());
        }
        _ => {}
    }
    packet
}

/// What a packet may be made of: family, addresses, tag, hop limit, TOS, ports (or id and sequence), payload.
type Parts = (bool, [u8; 16], [u8; 16], Option<u16>, u8, u8, (u16, u16), Vec<u8>);

fn link_and_net(parts: &Parts) -> (Link, Ip) {
    let (v6, src, dst, tci, hop_limit, tos, ..) = parts;
    let ends = if *v6 {
        Ends::V6 { src: (*src).into(), dst: (*dst).into() }
    } else {
        let v4 = |octets: &[u8; 16]| Ipv4Addr::from(*octets.first_chunk::<4>().unwrap());
        Ends::V4 { src: v4(src), dst: v4(dst) }
    };
    let tag = tci.map(|tci| Tag { tpid: 0x8100, tci });
    (Link { dst: B, src: A, tag }, Ip { ends, hop_limit: *hop_limit, tos: *tos })
}

#[test]
fn udp_and_echo_are_read_as_built() {
    bolero::check!().with_type::<Parts>().for_each(|parts| {
        let (link, net) = link_and_net(parts);
        let (.., tci, hop_limit, tos, (one, two), data) = parts;
        let frame = build::udp(&link, &net, *one, *two, data);
        let Some(TransportSlice::Udp(udp)) = checked(&frame).transport else { panic!("not UDP") };
        assert_eq!((udp.source_port(), udp.destination_port(), udp.payload()), (*one, *two, &data[..]));
        let fields = ParsedPacket::parse(&frame);
        assert_eq!((fields.eth_src, fields.eth_dst, fields.ends()), (A, B, Some(net.ends)));
        assert_eq!(fields.vlan_id(), tci.map(|tci| tci & 0xfff));
        assert_eq!((fields.ip_ttl, fields.ip_tos, fields.nw_frag), (*hop_limit, *tos, 0));
        let tuple = FiveTuple { ends: net.ends, protocol: protocol::UDP, src_port: *one, dst_port: *two };
        assert_eq!(fields.five_tuple(), Some(tuple));
        assert_eq!(frame.len() - fields.l4_offset, 8 + data.len());

        for (kind, v4, v6) in [(EchoKind::Request, 8, 128), (EchoKind::Reply, 0, 129)] {
            let frame = build::echo(&link, &net, kind, *one, *two, data);
            let want = match checked(&frame).transport.unwrap() {
                TransportSlice::Icmpv4(icmp) => (icmp.type_u8(), icmp.bytes5to8(), icmp.payload().to_vec()),
                TransportSlice::Icmpv6(icmp) => (icmp.type_u8(), icmp.bytes5to8(), icmp.payload().to_vec()),
                other => panic!("not ICMP: {other:?}"),
            };
            let words = [one.to_be_bytes(), two.to_be_bytes()].concat();
            assert_eq!(want, (if parts.0 { v6 } else { v4 }, words.try_into().unwrap(), data.clone()));
            let fields = ParsedPacket::parse(&frame);
            assert_eq!((fields.icmp_type, fields.icmp_code), (want.0, 0));
            assert_eq!((fields.tp_src, fields.tp_dst), (0, 0));
        }
    });
}

#[test]
fn tcp_of_etherparse_is_read() {
    bolero::check!().with_type::<Parts>().for_each(|(v6, src, dst, tci, hop_limit, _, (one, two), data)| {
        let start = PacketBuilder::ethernet2(A.0, B.0);
        let id = tci.map_or(0, |tci| tci & 0xfff);
        let start = start.single_vlan(id.try_into().unwrap());
        let step = if *v6 {
            start.ipv6(*src, *dst, *hop_limit)
        } else {
            start.ipv4(*src.first_chunk().unwrap(), *dst.first_chunk().unwrap(), *hop_limit)
        };
        let mut frame = Vec::new();
        step.tcp(*one, *two, 7, 512).syn().ack(9).write(&mut frame, data).unwrap();
        let fields = ParsedPacket::parse(&frame);
        assert_eq!((fields.tp_src, fields.tp_dst, fields.tcp_flags), (*one, *two, 0x12));
        assert_eq!((fields.vlan_id(), fields.ip_proto, fields.ip_ttl), (Some(id), 6, *hop_limit));
        let ends = Ends::new(
            if *v6 { (*src).into() } else { (*src.first_chunk::<4>().unwrap()).into() },
            if *v6 { (*dst).into() } else { (*dst.first_chunk::<4>().unwrap()).into() },
        );
        assert_eq!(fields.ends(), ends);
    });
}

#[test]
fn arbitrary_bytes_never_panic_and_offsets_stay_inside() {
    bolero::check!().with_type::<(bool, Vec<u8>)>().for_each(|(ip, bytes)| {
        let mut bytes = bytes.clone();
        // Half of them reach the IP parsers.
        if *ip && bytes.len() > 14 {
            let v4 = bytes[0] % 2 == 0;
            bytes[12..14].copy_from_slice(if v4 { &[0x08, 0x00] } else { &[0x86, 0xdd] });
        }
        let fields = ParsedPacket::parse(&bytes);
        assert!(fields.l3_offset <= bytes.len() && fields.l4_offset <= bytes.len());
    });
}

#[test]
fn arp_is_read_as_built() {
    let (a, b) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
    for (frame, op, dst, tha) in [
        (build::arp_request(A, a, b), 1, MacAddr::BROADCAST, MacAddr::ZERO),
        (build::arp_reply(A, a, B, b), 2, B, B),
    ] {
        let packet = checked(&frame);
        let Some(NetSlice::Arp(arp)) = packet.net else { panic!("not ARP") };
        assert_eq!(arp.operation().0, op);
        assert_eq!((arp.sender_hw_addr(), arp.sender_protocol_addr()), (&A.0[..], &a.octets()[..]));
        assert_eq!((arp.target_hw_addr(), arp.target_protocol_addr()), (&tha.0[..], &b.octets()[..]));
        let fields = ParsedPacket::parse(&frame);
        assert_eq!((fields.eth_src, fields.eth_dst, fields.arp_op), (A, dst, op));
        assert_eq!((fields.arp_spa, fields.arp_tpa, fields.arp_sha, fields.arp_tha), (a, b, A, tha));
        assert_eq!((fields.ends(), fields.five_tuple()), (None, None));
    }
}

#[test]
fn neighbour_discovery_is_read_as_built() {
    let frame = build::nd_solicit(A, A6, B6);
    let fields = ParsedPacket::parse(&frame);
    checked(&frame);
    assert_eq!(fields.eth_dst.to_string(), "33:33:ff:98:76:54");
    assert_eq!(fields.ipv6_dst, "ff02::1:ff98:7654".parse::<Ipv6Addr>().unwrap());
    assert_eq!((fields.icmp_type, fields.ip_ttl), (135, 255));
    assert_eq!((fields.nd_target, fields.nd_sll, fields.nd_tll), (B6, A, MacAddr::ZERO));

    let probe = build::nd_solicit(A, Ipv6Addr::UNSPECIFIED, A6);
    checked(&probe);
    assert_eq!(ParsedPacket::parse(&probe).nd_sll, MacAddr::ZERO);
    assert_eq!(ParsedPacket::parse(&probe).ipv6_dst, solicited_node(A6));

    let advert = NdAdvert {
        target: B6,
        mac: B,
        dst: A6,
        dst_mac: A,
        router: true,
        solicited: true,
        override_cache: false,
    };
    let frame = advert.frame();
    let Some(TransportSlice::Icmpv6(icmp)) = checked(&frame).transport else { panic!("not ICMPv6") };
    assert_eq!(icmp.bytes5to8(), [0xc0, 0, 0, 0]);
    let fields = ParsedPacket::parse(&frame);
    assert_eq!((fields.icmp_type, fields.ip_ttl, fields.eth_src, fields.eth_dst), (136, 255, B, A));
    assert_eq!((fields.nd_target, fields.nd_sll, fields.nd_tll), (B6, MacAddr::ZERO, B));
}

#[test]
fn fragments_of_one_datagram_hash_alike() {
    let ends = Ends::V4 { src: [10, 0, 0, 1].into(), dst: [10, 0, 0, 2].into() };
    let net = Ip { ends, hop_limit: 64, tos: 0 };
    let mut first = build::udp(&Link::untagged(A, B), &net, 5000, 53, &[0; 64]);
    let mut later = first.clone();
    first[20..22].copy_from_slice(&[0x20, 0]);
    later[20..22].copy_from_slice(&[0, 9]);
    let (first, later) = (ParsedPacket::parse(&first), ParsedPacket::parse(&later));
    assert_eq!((first.nw_frag, first.tp_src, first.tp_dst), (1, 5000, 53));
    assert_eq!((later.nw_frag, later.tp_src, later.tp_dst), (3, 0, 0));
    assert_eq!(first.five_tuple(), later.five_tuple());
    assert_eq!(first.five_tuple().map(|tuple| tuple.src_port), Some(0));
}
