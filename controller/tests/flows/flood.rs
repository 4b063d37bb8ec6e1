//! Copies to everybody: to each port of the network once, to nobody else, and no further.

use crate::cloud::{Cloud, Topology};
use packet::{MacAddr, build};

const SEGMENTS: [&str; 5] = [
    "{ type: vxlan, id: 77 }",
    "{ type: gre, id: 77 }",
    "{ type: geneve, id: 77 }",
    "{ type: vlan, physical_network: physnet1, id: 77 }",
    "{ type: flat, physical_network: physnet2 }",
];

/// A network with `ports` ports over three chassis, and a second one of the same type beside it.
fn crowd(segment: &str, ports: usize, open: bool) -> Cloud {
    let other = segment.replace("77", "78").replace("physnet2", "physnet3");
    let mut yaml = String::from("chassis:\n");
    for hv in 1..=3 {
        yaml.push_str(&format!(
            "  - {{ id: hv{hv}, encap_ips: [192.0.2.{hv}], \
             bridge_mappings: {{ physnet1: br-1, physnet2: br-2, physnet3: br-3 }} }}\n"
        ));
    }
    yaml.push_str(&format!(
        "networks: [{{ id: a, segment: {segment} }}, {{ id: b, segment: {other} }}]
subnets: [{{ id: a-v4, network: a, cidr: 10.0.0.0/16 }}, {{ id: b-v4, network: b, cidr: 10.0.0.0/16 }}]
ports:\n"
    ));
    for n in 0..ports {
        for net in ["a", "b"] {
            yaml.push_str(&format!(
                "  - {{ id: {net}-{n:03}, network: {net}, mac: '02:00:00:00:0{}:{n:02x}', chassis: hv{}, \
                 fixed_ips: [{{ subnet: {net}-v4, ip: 10.0.1.{n} }}], port_security: {} }}\n",
                u8::from(net == "b"),
                1 + n % 3,
                !open,
            ));
        }
    }
    Cloud::of(Topology::from_yaml(&yaml).unwrap().objects())
}

fn others(cloud: &Cloud, from: &str) -> Vec<String> {
    let names = cloud.compiler.view().model().ports.keys().map(ToString::to_string);
    names.filter(|name| name != from && name.as_bytes()[0] == from.as_bytes()[0]).collect()
}

fn broadcast(cloud: &Cloud, from: &str) -> Vec<u8> {
    let port = &cloud.compiler.view().model().ports[&from.parse().unwrap()].spec;
    let std::net::IpAddr::V4(ip) = port.fixed_ips[0].ip else { panic!("an IPv4 port") };
    build::arp_request(port.mac, ip, "10.0.9.9".parse().unwrap())
}

#[test]
fn everybody_on_the_network_gets_one_copy() {
    for segment in SEGMENTS {
        // 200 ports a network: 134 local ports on a chassis need several slices.
        let cloud = crowd(segment, 200, false);
        for from in ["a-000", "a-101", "b-199"] {
            let frame = broadcast(&cloud, from);
            let got = cloud.deliver(from, &frame);
            assert!(got.iter().all(|(_, copy)| *copy == frame), "copies are the same, untagged");
            let names: Vec<String> = got.into_iter().map(|(name, _)| name).collect();
            assert_eq!(names, others(&cloud, from), "{segment} from {from}");
        }
    }
}

#[test]
fn a_mac_that_nobody_has_goes_to_everybody_only_where_any_may_be_sent_from() {
    for segment in SEGMENTS {
        for open in [false, true] {
            let cloud = crowd(segment, 7, open);
            let mut frame = broadcast(&cloud, "a-000");
            frame[..6].copy_from_slice(&[2, 0, 0, 0, 9, 9]);
            let want = if open { others(&cloud, "a-000") } else { Vec::new() };
            assert_eq!(cloud.reaches("a-000", &frame), want, "{segment}, open: {open}");
        }
    }
}

#[test]
fn what_came_by_a_tunnel_leaves_by_none() {
    let cloud = crowd(SEGMENTS[0], 7, true);
    for dst in [MacAddr::BROADCAST, MacAddr([2, 0, 0, 0, 9, 9])] {
        let mut frame = broadcast(&cloud, "a-000");
        frame[..6].copy_from_slice(&dst.0);
        let journey = cloud.send("a-000", &frame);
        let visited: Vec<&str> = journey.visits.iter().map(|visit| visit.chassis.as_str()).collect();
        assert_eq!(visited, ["hv1", "hv2", "hv3"]);
    }
}

/// A switch that starts again gives its numbers anew, so that one port has the number that another had.
#[test]
fn numbers_may_go_from_port_to_port() {
    let mut cloud = crowd(SEGMENTS[0], 9, false);
    let hv1 = "hv1".parse().unwrap();
    let wired = cloud.compiler.local(&hv1).unwrap().clone();
    let numbers: Vec<_> = wired.ports.values().copied().collect();
    for turn in 1..numbers.len() {
        let mut turned = wired.clone();
        for (ofport, number) in turned.ports.values_mut().zip(numbers.iter().cycle().skip(turn)) {
            *ofport = *number;
        }
        cloud.compiler.set_local(&hv1, turned);
        cloud.poll();
        for from in ["a-000", "a-001", "b-003"] {
            assert_eq!(cloud.reaches(from, &broadcast(&cloud, from)), others(&cloud, from), "turn {turn}");
        }
    }
}
