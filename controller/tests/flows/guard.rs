//! Port security: what a port may send, and what it may not.

use crate::cloud::{Cloud, ends, ping, router_mac};
use packet::{
    MacAddr,
    build::{self, Ip, Link, NdAdvert},
    frame::Tag,
};
use std::net::{Ipv4Addr, Ipv6Addr};

const GUARDED: &str = "
chassis: [{ id: hv1, encap_ips: [192.0.2.1] }]
networks: [{ id: web, segment: { type: vxlan, id: 5001 } }]
subnets:
  - { id: web-v4, network: web, cidr: 10.0.0.0/24, gateway_ip: 10.0.0.1 }
  - { id: web-v6, network: web, cidr: '2001:db8::/64', gateway_ip: '2001:db8::1' }
ports:
  - id: web-1
    network: web
    chassis: hv1
    mac: '02:00:00:00:00:11'
    fixed_ips: [{ subnet: web-v4, ip: 10.0.0.11 }, { subnet: web-v6, ip: '2001:db8::11' }]
    allowed_address_pairs:
      - { ip: 10.0.0.100 }
      - { ip: 10.0.0.101, mac: '00:00:5e:00:01:01' }
      - { ip: 10.7.0.0/16 }
      - { ip: '2001:db8:7::/48' }
  - id: web-2
    network: web
    chassis: hv1
    mac: '02:00:00:00:00:12'
    fixed_ips: [{ subnet: web-v4, ip: 10.0.0.12 }, { subnet: web-v6, ip: '2001:db8::12' }]
  - { id: open, network: web, chassis: hv1, mac: '02:00:00:00:00:13', port_security: false }
";

const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x11]);
const PEER: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x12]);
const VIRTUAL: MacAddr = MacAddr([0, 0, 0x5e, 0, 1, 1]);
const FOREIGN: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x99]);

fn v4(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// Whether anything of a frame arrives at the peer.
fn passes(cloud: &Cloud, from: &str, frame: &[u8]) -> bool {
    cloud.reaches(from, frame).iter().any(|to| to == "web-2")
}

fn announce(mac: MacAddr, claimed: MacAddr, target: &str) -> Vec<u8> {
    let advert = NdAdvert {
        target: v6(target),
        mac: claimed,
        dst: v6("ff02::1"),
        dst_mac: MacAddr([0x33, 0x33, 0, 0, 0, 1]),
        router: false,
        solicited: false,
        override_cache: true,
    };
    let mut frame = advert.frame();
    frame[6..12].copy_from_slice(&mac.0);
    frame
}

fn gratuitous(mac: MacAddr, sha: MacAddr, spa: &str) -> Vec<u8> {
    let link = Link::untagged(mac, MacAddr::BROADCAST);
    build::arp(&link, 1, (sha, v4(spa)), (MacAddr::ZERO, v4(spa)))
}

fn icmpv6(kind: u8, src: &str) -> Vec<u8> {
    let net = Ip { ends: ends(src, "ff02::1"), hop_limit: 255, tos: 0 };
    build::icmp(&Link::untagged(OWN, MacAddr([0x33, 0x33, 0, 0, 0, 1])), &net, kind, 0, [0; 4], &[0; 16])
}

#[test]
fn a_port_sends_from_its_own_addresses_and_its_pairs() {
    let cloud = Cloud::new(GUARDED);
    for (mac, src) in [
        (OWN, "10.0.0.11"),
        (OWN, "10.0.0.100"),
        (VIRTUAL, "10.0.0.101"),
        (OWN, "10.7.1.2"),
        (OWN, "2001:db8::11"),
        (OWN, "2001:db8:7::9"),
        (OWN, "fe80::ff:fe00:11"),
    ] {
        let dst = if src.contains(':') { "2001:db8::12" } else { "10.0.0.12" };
        assert!(passes(&cloud, "web-1", &ping(mac, PEER, src, dst, 64)), "{mac} {src}");
    }
    for (mac, spa) in [(OWN, "10.0.0.11"), (OWN, "10.0.0.100"), (VIRTUAL, "10.0.0.101"), (OWN, "10.7.1.2")] {
        assert!(passes(&cloud, "web-1", &gratuitous(mac, mac, spa)), "{mac} {spa}");
    }
    for target in ["2001:db8::11", "2001:db8:7::9", "fe80::ff:fe00:11"] {
        assert!(passes(&cloud, "web-1", &announce(OWN, OWN, target)), "{target}");
    }
}

#[test]
fn a_port_sends_from_no_other_address() {
    let cloud = Cloud::new(GUARDED);
    for (mac, src) in [
        (OWN, "10.0.0.12"),
        (OWN, "10.0.0.101"),
        (VIRTUAL, "10.0.0.11"),
        (VIRTUAL, "10.0.0.100"),
        (FOREIGN, "10.0.0.11"),
        (PEER, "10.0.0.12"),
        (OWN, "10.8.0.1"),
        (OWN, "0.0.0.0"),
        (OWN, "2001:db8::12"),
        (OWN, "2001:db8:8::1"),
        (OWN, "fe80::ff:fe00:12"),
        (OWN, "::"),
    ] {
        let dst = if src.contains(':') { "2001:db8::12" } else { "10.0.0.12" };
        assert_eq!(cloud.reaches("web-1", &ping(mac, PEER, src, dst, 64)), [""; 0], "{mac} {src}");
    }
}

#[test]
fn a_port_claims_no_other_address_from_its_neighbours() {
    let cloud = Cloud::new(GUARDED);
    let refused = [
        ("arp: the peer's address", gratuitous(OWN, OWN, "10.0.0.12")),
        ("arp: another sender MAC", gratuitous(OWN, FOREIGN, "10.0.0.11")),
        ("arp: a pair under the wrong MAC", gratuitous(OWN, OWN, "10.0.0.101")),
        ("arp: the gateway", gratuitous(OWN, OWN, "10.0.0.1")),
        ("advertisement: the peer's address", announce(OWN, OWN, "2001:db8::12")),
        ("advertisement: another MAC", announce(OWN, FOREIGN, "2001:db8::11")),
        ("solicitation: another MAC", {
            let mut frame = build::nd_solicit(FOREIGN, v6("2001:db8::11"), v6("2001:db8::77"));
            frame[6..12].copy_from_slice(&OWN.0);
            frame
        }),
        ("router advertisement", icmpv6(134, "fe80::ff:fe00:11")),
        ("redirect", icmpv6(137, "fe80::ff:fe00:11")),
    ];
    for (what, frame) in refused {
        assert_eq!(cloud.reaches("web-1", &frame), [""; 0], "{what}");
    }
}

#[test]
fn what_a_port_needs_before_it_has_an_address_passes() {
    let cloud = Cloud::new(GUARDED);
    let broadcast = Link::untagged(OWN, MacAddr::BROADCAST);
    let discover = |src: &str, ports: (u16, u16)| {
        let net = Ip { ends: ends(src, "255.255.255.255"), hop_limit: 64, tos: 0 };
        build::udp(&broadcast, &net, ports.0, ports.1, &[0; 244])
    };
    assert!(passes(&cloud, "web-1", &discover("0.0.0.0", (68, 67))));
    // A DHCP server needs a port without security.
    assert!(!passes(&cloud, "web-1", &discover("0.0.0.0", (67, 68))));
    let probe = build::arp_request(OWN, Ipv4Addr::UNSPECIFIED, v4("10.0.0.77"));
    assert!(passes(&cloud, "web-1", &probe));
    assert!(passes(&cloud, "web-1", &build::nd_solicit(OWN, Ipv6Addr::UNSPECIFIED, v6("2001:db8::77"))));
    assert!(passes(&cloud, "web-1", &icmpv6(133, "::")));
    assert!(passes(&cloud, "web-1", &icmpv6(143, "::")));
}

#[test]
fn a_tagged_frame_of_a_port_is_dropped() {
    let cloud = Cloud::new(GUARDED);
    for from in ["web-1", "open"] {
        let link = Link { dst: PEER, src: cloud.mac(from), tag: Some(Tag { tpid: 0x8100, tci: 100 }) };
        let net = Ip { ends: ends("10.0.0.11", "10.0.0.12"), hop_limit: 64, tos: 0 };
        assert_eq!(cloud.reaches(from, &build::udp(&link, &net, 1, 2, b"data")), [""; 0]);
    }
}

#[test]
fn a_port_without_security_sends_what_it_likes() {
    let cloud = Cloud::new(GUARDED);
    for frame in [
        ping(FOREIGN, PEER, "10.0.0.11", "10.0.0.12", 64),
        ping(OWN, PEER, "192.0.2.7", "10.0.0.12", 64),
        gratuitous(FOREIGN, FOREIGN, "10.0.0.1"),
        announce(FOREIGN, FOREIGN, "2001:db8::12"),
        icmpv6(134, "fe80::1"),
    ] {
        assert!(passes(&cloud, "open", &frame));
    }
    // But what is sent to its strange MAC finds it, since it may have any.
    let back = ping(PEER, FOREIGN, "10.0.0.12", "10.0.0.99", 64);
    assert_eq!(cloud.reaches("web-2", &back), ["open", "web-1"]);
}

#[test]
fn a_port_does_not_act_as_the_router() {
    let cloud = Cloud::new(crate::scenarios::ROUTED);
    let frame = ping(router_mac(1), cloud.mac("web-2"), "10.0.1.11", "10.0.0.12", 64);
    assert_eq!(cloud.reaches("web-1", &frame), [""; 0]);
}
