//! Who reaches whom, byte by byte.

use crate::{
    cloud::{Cloud, ping, router_mac},
    scenarios::{self, two_networks},
};
use controller::{
    pipeline::punt::IcmpReason,
    trace::{TraceRequest, switch::Choose},
};
use std::net::IpAddr;

const SEGMENTS: [&str; 5] = [
    "{ type: vxlan, id: ID }",
    "{ type: gre, id: ID }",
    "{ type: geneve, id: ID }",
    "{ type: vlan, physical_network: physnet1, id: ID }",
    "{ type: flat, physical_network: PHYSNET }",
];

/// A segment with numbers of its own.
fn segment(kind: usize, n: usize) -> String {
    SEGMENTS[kind].replace("ID", &(500 + n).to_string()).replace("PHYSNET", &format!("physnet{}", n + 1))
}

/// Every address that the ports of a cloud have, with the port.
fn addresses(cloud: &Cloud) -> Vec<(String, IpAddr)> {
    let ports = cloud.compiler.view().model().ports.values();
    ports
        .flat_map(|port| port.spec.fixed_ips.iter().map(|fixed| (port.spec.id.to_string(), fixed.ip)))
        .collect()
}

/// A ping of every port to every address of another one arrives there, only there, once, and as it should be.
fn assert_full_reach(cloud: &Cloud) {
    let all = addresses(cloud);
    for (from, source) in &all {
        for (to, destination) in all.iter().filter(|(to, ip)| to != from && ip.is_ipv4() == source.is_ipv4())
        {
            let request = TraceRequest {
                source: Some(*source),
                ..TraceRequest::echo(from.parse().unwrap(), *destination)
            };
            let sent = request.frame(&cloud.compiler).unwrap();
            let (src, dst) = (source.to_string(), destination.to_string());
            let same_network = from[..3] == to[..3];
            let (gateway, ttl) = if same_network { (cloud.mac(from), 64) } else { (router_mac(1), 63) };
            let want = ping(gateway, cloud.mac(to), &src, &dst, ttl);
            assert_eq!(cloud.deliver(from, &sent), [(to.clone(), want)], "{from} {src} > {to} {dst}");
        }
    }
}

#[test]
fn every_pair_of_segment_types_is_routed() {
    for a in 0..SEGMENTS.len() {
        for b in 0..SEGMENTS.len() {
            assert_full_reach(&Cloud::new(&two_networks(&segment(a, 1), &segment(b, 2))));
        }
    }
}

#[test]
fn tunnels_over_ipv6_are_as_good() {
    let yaml = two_networks(&segment(0, 1), &segment(1, 2));
    let yaml = yaml
        .replace("[192.0.2.1]", "['2001:db8:ff::1']")
        .replace("[192.0.2.2]", "['2001:db8:ff::2', 192.0.2.2]");
    assert_full_reach(&Cloud::new(&yaml));
}

#[test]
fn tenants_with_equal_addresses_never_meet() {
    let red = two_networks(&segment(0, 1), &segment(3, 2));
    let mut cloud = Cloud::new(&red);
    // The same again: other names and segments; addresses and MACs are equal.
    let blue = two_networks(&segment(0, 3), &segment(3, 4));
    let blue = ["web", "dba"].iter().fold(blue, |yaml, name| yaml.replace(name, &format!("{name}blue")));
    let blue = crate::cloud::Topology::from_yaml(&blue.replace("r1", "r2")).unwrap();
    cloud.put(blue.objects());
    cloud.wire();
    cloud.poll();
    let all = addresses(&cloud);
    for (from, source) in &all {
        for (_, destination) in all.iter().filter(|(_, ip)| ip.is_ipv4() == source.is_ipv4() && ip != source)
        {
            let request = TraceRequest {
                source: Some(*source),
                ..TraceRequest::echo(from.parse().unwrap(), *destination)
            };
            let got = cloud.reaches(from, &request.frame(&cloud.compiler).unwrap());
            let is_blue = |name: &str| name.contains("blue");
            assert_eq!(got.len(), 1, "{from} > {destination}: {got:?}");
            assert!(got.iter().all(|to| is_blue(to) == is_blue(from)), "{from} > {destination}: {got:?}");
        }
    }
}

#[test]
fn a_port_of_another_network_is_not_reached_by_its_mac() {
    let cloud = Cloud::new(scenarios::ROUTED);
    let frame = ping(cloud.mac("web-1"), cloud.mac("db-2"), "10.0.0.11", "10.0.1.12", 64);
    assert_eq!(cloud.reaches("web-1", &frame), [""; 0]);
}

#[test]
fn a_port_without_a_chassis_is_an_address_that_nobody_has() {
    let cloud = Cloud::new(&scenarios::ROUTED.replacen("    chassis: hv2\n", "", 1));
    let frame = ping(cloud.mac("db-1"), router_mac(1), "10.0.1.11", "10.0.0.12", 64);
    let journey = cloud.send("db-1", &frame);
    assert_eq!(journey.delivered().count(), 0);
    let punts: Vec<_> = journey.visits.iter().flat_map(|visit| visit.run.punts()).collect();
    assert!(matches!(punts.as_slice(), [punt] if punt.reason == IcmpReason::NoHost), "{punts:?}");
    // Nobody answers for it on the link either.
    let who_has = packet::build::arp_request(
        cloud.mac("web-1"),
        "10.0.0.11".parse().unwrap(),
        "10.0.0.12".parse().unwrap(),
    );
    assert_eq!(cloud.reaches("web-1", &who_has), [""; 0]);
}

/// What is far away costs nothing: another tenant on other chassis, and more ports of it here and there.
#[test]
fn flows_do_not_grow_with_the_cloud() {
    let mut cloud = Cloud::new(scenarios::ROUTED);
    let (hv1, hv2) = (cloud.flow_count("hv1"), cloud.flow_count("hv2"));
    let mut yaml = String::from(
        "chassis: [{ id: hv3, encap_ips: [192.0.2.3] }, { id: hv4, encap_ips: [192.0.2.4] }]
networks: [{ id: far, segment: { type: vxlan, id: 9001 } }]
subnets: [{ id: far-v4, network: far, cidr: 10.0.0.0/16, gateway_ip: 10.0.0.1 }]
routers: [{ id: far-r, interfaces: [{ subnet: far-v4 }] }]
ports:\n",
    );
    for n in 0..200 {
        let (chassis, a, b) = (3 + n % 2, n / 100, 10 + n % 100);
        yaml.push_str(&format!(
            "  - {{ id: far-{n}, network: far, mac: '02:00:00:01:{a:02}:{b:02x}', chassis: hv{chassis}, \
             fixed_ips: [{{ subnet: far-v4, ip: 10.0.{a}.{b} }}] }}\n"
        ));
    }
    cloud.put(crate::cloud::Topology::from_yaml(&yaml).unwrap().objects());
    cloud.wire();
    let touched = cloud.poll();
    assert!(touched.iter().all(|(chassis, _)| matches!(chassis.as_str(), "hv3" | "hv4")), "{touched:?}");
    assert_eq!((cloud.flow_count("hv1"), cloud.flow_count("hv2")), (hv1, hv2));
    assert!(cloud.flow_count("hv3") > 200);
}

/// A port moves to another chassis: everybody finds it there, and nothing of it stays behind.
#[test]
fn a_port_that_moves_is_found_again() {
    let mut cloud = Cloud::new(scenarios::ROUTED);
    let topology = scenarios::ROUTED.replacen("chassis: hv2", "chassis: hv1", 1);
    cloud.put(crate::cloud::Topology::from_yaml(&topology).unwrap().objects());
    cloud.wire();
    cloud.poll();
    assert_full_reach_of_tables(&cloud);
    let fresh = Cloud::new(&topology);
    for chassis in ["hv1", "hv2"] {
        assert_eq!(cloud.flow_count(chassis), fresh.flow_count(chassis));
    }
}

fn assert_full_reach_of_tables(cloud: &Cloud) {
    for from in ["web-1", "db-1", "db-2"] {
        let request = TraceRequest::echo(from.parse().unwrap(), "10.0.0.12".parse().unwrap());
        let frame = request.frame(&cloud.compiler).unwrap();
        let journey = cloud.send_by(from, &frame, Choose::Hash);
        let got: Vec<_> = journey.delivered().map(|(port, _)| port.to_string()).collect();
        assert_eq!(got, ["web-2"], "from {from}");
        assert_eq!(journey.visits.last().unwrap().chassis.as_str(), "hv1");
    }
}
