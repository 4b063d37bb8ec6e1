//! What the switch answers itself, octet by octet, and what it hands to the controller.

use crate::{
    cloud::{Cloud, ends, ping, router_mac},
    scenarios,
};
use controller::{
    compile::NoAnswer,
    pipeline::{
        ls_in::link_local,
        punt::{IcmpReason, Punt},
    },
    trace::{summary, switch::Choose},
};
use packet::{
    Ends, MacAddr, ParsedPacket,
    build::{self, EchoKind, Ip, Link, NdAdvert},
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn v4(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// The one frame that comes back to the port that asked.
fn answer(cloud: &Cloud, from: &str, frame: &[u8]) -> Vec<u8> {
    let got = cloud.deliver(from, frame);
    let [(port, answer)] = got.as_slice() else { panic!("{} answers: {got:?}", got.len()) };
    assert_eq!(port, from);
    answer.clone()
}

#[test]
fn arp_is_answered_for_gateway_and_ports_near_and_far() {
    let cloud = Cloud::new(scenarios::ROUTED);
    let (mac, ip) = (cloud.mac("web-1"), v4("10.0.0.11"));
    for (target, owner) in [("10.0.0.1", router_mac(1)), ("10.0.0.12", cloud.mac("web-2"))] {
        let want = build::arp_reply(owner, v4(target), mac, ip);
        assert_eq!(answer(&cloud, "web-1", &build::arp_request(mac, ip, v4(target))), want);
    }
    // A probe (RFC 5227, 2.1.1) for an address that somebody has is answered too: that is what it asks.
    let probe = build::arp_request(mac, Ipv4Addr::UNSPECIFIED, v4("10.0.0.12"));
    let want = build::arp_reply(cloud.mac("web-2"), v4("10.0.0.12"), mac, Ipv4Addr::UNSPECIFIED);
    assert_eq!(answer(&cloud, "web-1", &probe), want);
}

#[test]
fn arp_for_an_unknown_address_or_ones_own_goes_to_everybody() {
    let cloud = Cloud::new(scenarios::ROUTED);
    for target in ["10.0.0.77", "10.0.0.11"] {
        let asks = build::arp_request(cloud.mac("web-1"), v4("10.0.0.11"), v4(target));
        assert_eq!(cloud.deliver("web-1", &asks), [("web-2".to_owned(), asks)]);
    }
}

#[test]
fn solicitations_are_answered_for_gateway_and_ports_near_and_far() {
    let cloud = Cloud::new(scenarios::ROUTED);
    let (mac, ip) = (cloud.mac("web-1"), v6("2001:db8:0::11"));
    let targets = [
        (v6("2001:db8:0::1"), router_mac(1), true),
        (link_local(router_mac(1)), router_mac(1), true),
        (v6("2001:db8:0::12"), cloud.mac("web-2"), false),
        (link_local(cloud.mac("web-2")), cloud.mac("web-2"), false),
    ];
    for (target, owner, router) in targets {
        for source in [ip, link_local(mac)] {
            let want = NdAdvert {
                target,
                mac: owner,
                dst: source,
                dst_mac: mac,
                router,
                solicited: true,
                override_cache: true,
            };
            assert_eq!(
                answer(&cloud, "web-1", &build::nd_solicit(mac, source, target)),
                want.frame(),
                "{target}"
            );
        }
    }
}

#[test]
fn duplicate_address_detection_is_left_to_the_owner() {
    let cloud = Cloud::new(scenarios::ROUTED);
    let asks = build::nd_solicit(cloud.mac("web-1"), Ipv6Addr::UNSPECIFIED, v6("2001:db8:0::12"));
    assert_eq!(cloud.deliver("web-1", &asks), [("web-2".to_owned(), asks)]);
}

fn echo(kind: EchoKind, macs: (MacAddr, MacAddr), ends: Ends, ttl: u8) -> Vec<u8> {
    build::echo(
        &Link::untagged(macs.0, macs.1),
        &Ip { ends, hop_limit: ttl, tos: 0 },
        kind,
        7,
        9,
        b"some data",
    )
}

#[test]
fn a_router_answers_echo_on_each_of_its_addresses() {
    let cloud = Cloud::new(scenarios::ROUTED);
    let (mac, door) = (cloud.mac("web-1"), router_mac(1));
    let router_link_local = link_local(door).to_string();
    let own_link_local = link_local(mac).to_string();
    let pairs = [
        ("10.0.0.11", "10.0.0.1"),
        ("10.0.0.11", "10.0.1.1"),
        ("2001:db8:0::11", "2001:db8:0::1"),
        ("2001:db8:0::11", "2001:db8:1::1"),
        (own_link_local.as_str(), router_link_local.as_str()),
    ];
    for (own, router) in pairs {
        // A host's own address, unlike a host behind it, may be asked with a TTL of 1 (RFC 1812, 5.3.1).
        for ttl in [64, 1] {
            let asks = echo(EchoKind::Request, (mac, door), ends(own, router), ttl);
            let want = echo(EchoKind::Reply, (door, mac), ends(router, own), 64);
            assert_eq!(answer(&cloud, "web-1", &asks), want, "{own} > {router}");
        }
    }
}

#[test]
fn a_router_behind_another_answers_by_its_routes() {
    let cloud = Cloud::new(scenarios::TWO_ROUTERS);
    let asks =
        echo(EchoKind::Request, (cloud.mac("web-1"), router_mac(1)), ends("10.0.0.11", "10.0.2.1"), 64);
    let want = echo(EchoKind::Reply, (router_mac(1), cloud.mac("web-1")), ends("10.0.2.1", "10.0.0.11"), 63);
    assert_eq!(answer(&cloud, "web-1", &asks), want);
}

/// The packets-in of a frame, and the ICMP errors that follow.
fn refused(cloud: &Cloud, from: &str, frame: &[u8]) -> Vec<(Punt, Result<String, NoAnswer>)> {
    let journey = cloud.send_by(from, frame, Choose::Hash);
    assert_eq!(journey.delivered().count(), 0, "what is refused is not delivered");
    let mut refused = Vec::new();
    for visit in &journey.visits {
        for punted in &visit.run.punted {
            let punt = Punt::decode(&punted.userdata, &punted.metadata).unwrap();
            assert_eq!(punted.meter.map(|meter| meter.0), Some(punt.in_port % 64 + 1));
            let answer = cloud.compiler.icmp_answer(&visit.chassis, &punt, &punted.packet.frame());
            refused.push((
                punt,
                answer.map(|(port, frame)| {
                    assert_eq!(port.0, punt.in_port);
                    let parsed = ParsedPacket::parse(&frame);
                    assert_eq!((parsed.eth_dst, parsed.eth_src), (cloud.mac(from), router_mac(1)));
                    summary(&frame)
                }),
            ));
        }
    }
    refused
}

#[test]
fn each_reason_reaches_the_controller_with_what_it_needs() {
    let cloud = Cloud::new(&scenarios::ROUTED.replace("id: 5002 }", "id: 5002 }, mtu: 1300"));
    let mac = cloud.mac("web-1");
    let big = |src: &str, dst: &str| {
        let net = Ip { ends: ends(src, dst), hop_limit: 64, tos: 0 };
        build::udp(&Link::untagged(mac, router_mac(1)), &net, 1, 2, &[0; 1400])
    };
    let small = |src: &str, dst: &str, ttl| ping(mac, router_mac(1), src, dst, ttl);
    let (v4, v6) = ("10.0.0.11", "2001:db8:0::11");
    let cases = [
        (
            small(v4, "10.0.1.12", 1),
            IcmpReason::TtlExceeded,
            0,
            "icmp time exceeded 10.0.0.1 > 10.0.0.11, ttl 64",
        ),
        (
            small(v4, "10.0.1.12", 0),
            IcmpReason::TtlExceeded,
            0,
            "icmp time exceeded 10.0.0.1 > 10.0.0.11, ttl 64",
        ),
        (
            small(v4, "10.0.1.99", 64),
            IcmpReason::NoHost,
            0,
            "icmp host unreachable 10.0.0.1 > 10.0.0.11, ttl 64",
        ),
        (
            small(v4, "192.0.2.9", 64),
            IcmpReason::NoRoute,
            0,
            "icmp net unreachable 10.0.0.1 > 10.0.0.11, ttl 64",
        ),
        (big(v4, "10.0.1.1"), IcmpReason::NoPort, 0, "icmp port unreachable 10.0.0.1 > 10.0.0.11, ttl 64"),
        (
            big(v4, "10.0.1.12"),
            IcmpReason::TooBig,
            2,
            "icmp fragmentation needed 10.0.0.1 > 10.0.0.11, ttl 64",
        ),
        (small(v6, "2001:db8:1::12", 1), IcmpReason::TtlExceeded, 0, "icmpv6 time exceeded"),
        (small(v6, "2001:db8:1::99", 64), IcmpReason::NoHost, 0, "icmpv6 address unreachable"),
        (small(v6, "2001:db8:9::9", 64), IcmpReason::NoRoute, 0, "icmpv6 no route to destination"),
        (big(v6, "2001:db8:1::1"), IcmpReason::NoPort, 0, "icmpv6 port unreachable"),
        (big(v6, "2001:db8:1::12"), IcmpReason::TooBig, 2, "icmpv6 packet too big"),
    ];
    for (frame, reason, net_out, text) in cases {
        let what = summary(&frame);
        let text = match text.split_once(" 10.") {
            Some(_) => text.to_owned(),
            None => format!("{text} 2001:db8::1 > 2001:db8::11, ttl 64"),
        };
        let got = refused(&cloud, "web-1", &frame);
        let [(punt, answer)] = got.as_slice() else { panic!("{what}: {got:?}") };
        assert_eq!((punt.reason, answer), (reason, &Ok(text)), "{what}");
        // web-1 is port 2 of hv1, web network 1, r1 router 1.
        assert_eq!((punt.in_port, punt.net_in, punt.vrf), (2, 1, 1), "{what}");
        if net_out != 0 {
            assert_eq!(punt.net_out, net_out, "{what}");
        }
    }
}

#[test]
fn a_packet_of_just_the_mtu_passes_and_one_octet_more_does_not() {
    let cloud = Cloud::new(&scenarios::ROUTED.replace("id: 5002 }", "id: 5002 }, mtu: 1300"));
    let sized = |octets: usize| {
        let net = Ip { ends: ends("10.0.0.11", "10.0.1.12"), hop_limit: 64, tos: 0 };
        build::udp(&Link::untagged(cloud.mac("web-1"), router_mac(1)), &net, 1, 2, &vec![0; octets - 28])
    };
    assert_eq!(cloud.reaches("web-1", &sized(1300)), ["db-2"]);
    let got = refused(&cloud, "web-1", &sized(1301));
    assert!(matches!(got.as_slice(), [(punt, Ok(_))] if punt.reason == IcmpReason::TooBig), "{got:?}");
}

#[test]
fn the_second_router_refuses_in_its_own_name() {
    let cloud = Cloud::new(scenarios::TWO_ROUTERS);
    let frame = ping(cloud.mac("web-1"), router_mac(1), "10.0.0.11", "10.0.2.11", 2);
    let got = refused(&cloud, "web-1", &frame);
    let [(punt, answer)] = got.as_slice() else { panic!("{got:?}") };
    // It sees the packet come in on the network between the two, where it has 10.0.1.2.
    assert_eq!((punt.reason, punt.vrf, punt.net_in), (IcmpReason::TtlExceeded, 2, 2));
    assert_eq!(answer.as_deref(), Ok("icmp time exceeded 10.0.1.2 > 10.0.0.11, ttl 64"));
}

/// RFC 1812, 4.3.2.7 and RFC 4443, 2.4 (e): the switch does not even ask.
#[test]
fn no_error_about_an_error_or_a_later_fragment() {
    let cloud = Cloud::new(scenarios::ROUTED);
    let link = Link::untagged(cloud.mac("web-1"), router_mac(1));
    for (src, dst, kind) in [("10.0.0.11", "10.0.1.99", 3), ("2001:db8:0::11", "2001:db8:1::99", 1)] {
        let net = Ip { ends: ends(src, dst), hop_limit: 64, tos: 0 };
        assert_eq!(refused(&cloud, "web-1", &build::icmp(&link, &net, kind, 0, [0; 4], &[0; 40])), []);
    }
    let net = Ip { ends: ends("10.0.0.11", "10.0.1.99"), hop_limit: 64, tos: 0 };
    let mut frame = build::udp(&link, &net, 1, 2, &[0; 64]);
    // Offset 8 octets; the header's checksum is not looked at.
    (frame[20], frame[21]) = (0, 1);
    assert_eq!(refused(&cloud, "web-1", &frame), []);
}

/// RFC 4291, 2.5.6 and RFC 1812, 5.2.2: what stays on its link, a router drops.
#[test]
fn addresses_of_the_link_do_not_pass() {
    let cloud = Cloud::new(scenarios::ROUTED);
    let mac = cloud.mac("web-1");
    let own = link_local(mac).to_string();
    let packets = [
        (own.as_str(), "2001:db8:1::12"),
        ("2001:db8:0::11", "fe80::99"),
        ("2001:db8:0::11", "ff0e::1"),
        ("10.0.0.11", "224.0.0.5"),
        ("10.0.0.11", "127.0.0.1"),
    ];
    for (src, dst) in packets {
        let frame = ping(mac, router_mac(1), src, dst, 64);
        assert_eq!(refused(&cloud, "web-1", &frame), [], "{src} > {dst}");
    }
    assert_eq!(IpAddr::from(link_local(mac)).to_string(), "fe80::ff:fe00:11");
}
