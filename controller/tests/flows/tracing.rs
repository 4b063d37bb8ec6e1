//! `dragonflow trace`: what it says, and what it says when it cannot.

use crate::{cloud::Cloud, scenarios};
use controller::trace::{End, Protocol, TraceRequest, TraceResult, trace};

fn ask(cloud: &Cloud, from: &str, to: &str, change: impl FnOnce(&mut TraceRequest)) -> TraceResult {
    let mut request = TraceRequest::echo(from.parse().unwrap(), to.parse().unwrap());
    change(&mut request);
    trace(&cloud.compiler, &request).unwrap()
}

#[test]
fn routed_to_another_chassis() {
    let result = ask(&Cloud::new(scenarios::ROUTED), "web-1", "10.0.1.12", |request| {
        request.protocol = Protocol::Tcp;
        request.destination_port = Some(5432);
    });
    insta::assert_snapshot!(result);
    let [End::Delivered { chassis, port, packet }] = result.ends.as_slice() else { panic!("{result:?}") };
    assert_eq!((chassis.as_str(), port.as_str()), ("hv2", "db-2"));
    assert_eq!(packet.summary, "tcp 10.0.0.11.49152 > 10.0.1.12.5432, ttl 63");
}

#[test]
fn flooded_over_chassis() {
    insta::assert_snapshot!(ask(&Cloud::new(scenarios::SINGLE), "web-1", "10.0.0.77", |request| {
        request.protocol = Protocol::Arp;
    }));
}

#[test]
fn through_a_group_and_a_second_router() {
    insta::assert_snapshot!(ask(&Cloud::new(scenarios::ECMP), "web-1", "198.51.100.7", |_| {}));
    insta::assert_snapshot!(ask(&Cloud::new(scenarios::TWO_ROUTERS), "web-1", "10.0.2.11", |_| {}));
}

#[test]
fn over_a_physical_network() {
    let yaml = scenarios::two_networks(
        "{ type: vlan, physical_network: physnet1, id: 100 }",
        "{ type: vxlan, id: 5002 }",
    );
    insta::assert_snapshot!(ask(&Cloud::new(&yaml), "dba-1", "10.0.0.12", |_| {}));
}

/// Every way not to arrive, in one sentence each.
#[test]
fn verdicts() {
    let cloud = Cloud::new(&scenarios::ROUTED.replace("id: 5002 }", "id: 5002 }, mtu: 1300"));
    let verdicts = [
        ask(&cloud, "web-1", "10.0.0.1", |_| {}),
        ask(&cloud, "web-1", "10.0.0.12", |request| request.protocol = Protocol::Arp),
        ask(&cloud, "web-1", "10.0.1.12", |request| request.ttl = Some(1)),
        ask(&cloud, "web-1", "10.0.1.12", |request| request.size = Some(1400)),
        ask(&cloud, "web-1", "10.0.1.99", |_| {}),
        ask(&cloud, "web-1", "2001:db8:9::9", |_| {}),
        ask(&cloud, "web-1", "10.0.1.1", |request| request.protocol = Protocol::Udp),
        ask(&cloud, "web-1", "10.0.0.12", |request| request.source = Some("10.0.0.99".parse().unwrap())),
        ask(&cloud, "web-1", "10.0.0.12", |request| {
            request.source_mac = Some("02:00:00:00:00:99".parse().unwrap())
        }),
        ask(&cloud, "web-1", "10.0.0.12", |request| request.mac = Some("02:00:00:00:00:99".parse().unwrap())),
        ask(&cloud, "web-1", "224.0.0.1", |request| request.mac = Some(crate::cloud::router_mac(1))),
    ];
    let text: Vec<String> = verdicts
        .into_iter()
        .map(|result| format!("{}\n  {}", result.packet.summary, result.verdict))
        .collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn what_cannot_be_traced_says_why() {
    let mut cloud = Cloud::new(&scenarios::ROUTED.replacen("    chassis: hv2\n", "", 1));
    let mut local = cloud.wiring(&"hv2".parse().unwrap());
    local.ports.clear();
    cloud.compiler.set_local(&"hv2".parse().unwrap(), local);
    let stranger = crate::cloud::Topology::from_yaml("
networks: [{ id: lone, segment: { type: vxlan, id: 9 } }]
subnets: [{ id: lone-v4, network: lone, cidr: 10.5.0.0/24, gateway_ip: 10.5.0.1 }]
ports:
  - { id: lone-1, network: lone, mac: '02:00:00:00:05:11', fixed_ips: [{ subnet: lone-v4, ip: 10.5.0.11 }], chassis: hv1 }
  - { id: away-1, network: lone, mac: '02:00:00:00:05:12', chassis: hv9 }
");
    cloud.put(stranger.unwrap().objects());
    cloud.wire();
    let mut local = cloud.wiring(&"hv2".parse().unwrap());
    local.ports.clear();
    cloud.compiler.set_local(&"hv2".parse().unwrap(), local);
    cloud.poll();
    let mut texts = Vec::new();
    let mut fail = |from: &str, to: &str, source: Option<&str>| {
        let mut request = TraceRequest::echo(from.parse().unwrap(), to.parse().unwrap());
        request.source = source.map(|ip| ip.parse().unwrap());
        texts.push(trace(&cloud.compiler, &request).unwrap_err().to_string());
    };
    fail("nobody", "10.0.0.1", None);
    fail("web-2", "10.0.0.1", None);
    fail("away-1", "10.0.0.1", None);
    fail("db-2", "10.0.0.1", None);
    fail("lone-1", "2001:db8::1", None);
    fail("lone-1", "10.0.0.1", Some("2001:db8::9"));
    fail("lone-1", "10.0.0.1", Some("192.0.2.200"));
    fail("lone-1", "10.5.0.9", None);
    fail("lone-1", "10.6.0.9", None);
    insta::assert_snapshot!(texts.join("\n"));
}

/// What programs read.
#[test]
fn json() {
    let result = ask(&Cloud::new(scenarios::SINGLE), "web-1", "10.0.0.12", |_| {});
    insta::assert_snapshot!(serde_json::to_string_pretty(&result).unwrap());
}
