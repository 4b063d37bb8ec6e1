//! An address that two ports share, as the virtual address of VRRP: who gets what is sent to it.

use crate::cloud::{Cloud, ping, router_mac};
use controller::model::{Change, Object, ObjectId, Record};
use packet::{
    MacAddr,
    build::{arp_request, nd_solicit},
};

const VIRTUAL: MacAddr = MacAddr([0, 0, 0x5e, 0, 1, 1]);
const ASKER: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x21]);

/// Two ports of a network on two chassis share `pair`; a client is on another network, a neighbour on theirs.
fn cloud(pair: &str) -> Cloud {
    let node = |n: u8| {
        format!(
            "
  - id: lb-{n}
    network: web
    chassis: hv{n}
    mac: '02:00:00:00:00:1{n}'
    fixed_ips: [{{ subnet: web-v4, ip: 10.0.0.1{n} }}, {{ subnet: web-v6, ip: '2001:db8::1{n}' }}]
    allowed_address_pairs: [{{ ip: 10.0.0.100{pair} }}, {{ ip: '2001:db8::100'{pair} }}]"
        )
    };
    Cloud::new(&format!(
        "
chassis:
  - {{ id: hv1, encap_ips: [192.0.2.1] }}
  - {{ id: hv2, encap_ips: [192.0.2.2] }}
  - {{ id: hv3, encap_ips: [192.0.2.3] }}
networks:
  - {{ id: web, segment: {{ type: vxlan, id: 5001 }} }}
  - {{ id: far, segment: {{ type: geneve, id: 5002 }} }}
subnets:
  - {{ id: web-v4, network: web, cidr: 10.0.0.0/24, gateway_ip: 10.0.0.1 }}
  - {{ id: web-v6, network: web, cidr: '2001:db8::/64', gateway_ip: '2001:db8::1' }}
  - {{ id: far-v4, network: far, cidr: 10.0.9.0/24, gateway_ip: 10.0.9.1 }}
  - {{ id: far-v6, network: far, cidr: '2001:db8:9::/64', gateway_ip: '2001:db8:9::1' }}
routers:
  - id: r
    interfaces: [{{ subnet: web-v4 }}, {{ subnet: web-v6 }}, {{ subnet: far-v4 }}, {{ subnet: far-v6 }}]
ports:{}{}
  - id: client
    network: far
    chassis: hv3
    mac: '02:00:00:00:00:20'
    fixed_ips: [{{ subnet: far-v4, ip: 10.0.9.20 }}, {{ subnet: far-v6, ip: '2001:db8:9::20' }}]
  - id: neighbour
    network: web
    chassis: hv1
    mac: '02:00:00:00:00:21'
    fixed_ips: [{{ subnet: web-v4, ip: 10.0.0.21 }}, {{ subnet: web-v6, ip: '2001:db8::21' }}]
",
        node(1),
        node(2)
    ))
}

fn routed(cloud: &Cloud, to: &str) -> Vec<String> {
    let from = if to.contains(':') { "2001:db8:9::20" } else { "10.0.9.20" };
    cloud.reaches("client", &ping(MacAddr([2, 0, 0, 0, 0, 0x20]), router_mac(1), from, to, 64))
}

#[test]
fn with_a_mac_of_its_own_it_is_routed_to_whoever_listens() {
    let cloud = cloud(", mac: '00:00:5e:00:01:01'");
    for ip in ["10.0.0.100", "2001:db8::100"] {
        // Carried to all, with a MAC that only the master takes.
        let frame = ping(
            MacAddr([2, 0, 0, 0, 0, 0x20]),
            router_mac(1),
            if ip.contains(':') { "2001:db8:9::20" } else { "10.0.9.20" },
            ip,
            64,
        );
        let got = cloud.deliver("client", &frame);
        let names: Vec<&str> = got.iter().map(|(port, _)| port.as_str()).collect();
        assert_eq!(names, ["lb-1", "lb-2", "neighbour"]);
        for (port, frame) in &got {
            assert_eq!((&frame[..6], &frame[6..12]), (&VIRTUAL.0[..], &router_mac(1).0[..]), "{port}");
        }
    }
    // Their own addresses stay their own.
    assert_eq!(routed(&cloud, "10.0.0.11"), ["lb-1"]);
}

#[test]
fn with_a_mac_of_its_own_it_is_resolved_in_the_switch() {
    let cloud = cloud(", mac: '00:00:5e:00:01:01'");
    let questions = [
        arp_request(ASKER, "10.0.0.21".parse().unwrap(), "10.0.0.100".parse().unwrap()),
        nd_solicit(ASKER, "2001:db8::21".parse().unwrap(), "2001:db8::100".parse().unwrap()),
    ];
    for question in questions {
        let got = cloud.deliver("neighbour", &question);
        let [(port, answer)] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!(port, "neighbour");
        assert!(answer.windows(6).any(|window| window == VIRTUAL.0), "{answer:02x?}");
    }
}

/// Nobody but the ports knows who has it: neighbours ask, and routers refuse.
#[test]
fn without_a_mac_neighbours_ask_and_routers_refuse() {
    let cloud = cloud("");
    let question = arp_request(ASKER, "10.0.0.21".parse().unwrap(), "10.0.0.100".parse().unwrap());
    assert_eq!(cloud.reaches("neighbour", &question), ["lb-1", "lb-2"]);
    let journey = cloud
        .send("client", &ping(MacAddr([2, 0, 0, 0, 0, 0x20]), router_mac(1), "10.0.9.20", "10.0.0.100", 64));
    assert_eq!(journey.delivered().count(), 0);
    assert_eq!(journey.visits.iter().flat_map(|visit| visit.run.punts()).count(), 1, "the sender is told");
}

/// One of the two goes: then it is the address of the other, by that port's MAC; and back.
#[test]
fn what_is_no_longer_shared_is_owned() {
    let mut cloud = cloud(", mac: '00:00:5e:00:01:01'");
    let record = cloud.compiler.view().model().get(&ObjectId::Port("lb-1".parse().unwrap())).unwrap();
    let Object::Port(mut port) = record.spec.clone() else { panic!("{record:?}") };
    port.allowed_address_pairs.clear();
    cloud.compiler.apply(&[Change::Put(Record { spec: Object::Port(port), ..record.clone() })]);
    cloud.poll();
    assert_eq!(routed(&cloud, "10.0.0.100"), ["lb-2"]);
    cloud.compiler.apply(&[Change::Put(record)]);
    cloud.poll();
    assert_eq!(routed(&cloud, "10.0.0.100"), ["lb-1", "lb-2", "neighbour"]);
}
