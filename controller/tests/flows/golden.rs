//! Whole flow tables as text, one a scenario, for reading in a review. `cargo insta review` takes changes over.

use crate::{cloud::Cloud, scenarios};
use controller::{
    pipeline::UnitId,
    trace::{show, switch::decode},
};

/// The tables of a chassis but for what every chassis has: by table, priority and match.
fn tables(cloud: &Cloud, chassis: &str) -> String {
    let desired = cloud.compiler.desired(&chassis.parse().unwrap()).unwrap();
    let view = cloud.compiler.view();
    let units = desired.units().filter(|(id, _)| *id != UnitId::BASE);
    let mut flows: Vec<_> =
        units.flat_map(|(_, unit)| &unit.flows).map(|flow| decode(flow).unwrap()).collect();
    flows.sort_by_key(|flow| (flow.table, std::cmp::Reverse(flow.priority), show::matching(&flow.matching)));
    let mut groups: Vec<String> = desired.groups().map(show::group).collect();
    groups.sort();
    flows.iter().map(|flow| show::flow(view, flow)).chain(groups).map(|line| line + "\n").collect()
}

fn base(cloud: &Cloud) -> String {
    let desired = cloud.compiler.desired(&"hv1".parse().unwrap()).unwrap();
    let unit = desired.unit(UnitId::BASE).unwrap();
    let mut flows: Vec<_> = unit.flows.iter().map(|flow| decode(flow).unwrap()).collect();
    flows.sort_by_key(|flow| (flow.table, std::cmp::Reverse(flow.priority), show::matching(&flow.matching)));
    // 64 flows that differ in the bucket and its meter only.
    flows.retain(|flow| {
        let text = show::matching(&flow.matching);
        !text.starts_with("meter_bucket=") || matches!(text.as_str(), "meter_bucket=0" | "meter_bucket=63")
    });
    flows.iter().map(|flow| show::flow(cloud.compiler.view(), flow) + "\n").collect()
}

#[test]
fn base_of_every_chassis() {
    insta::assert_snapshot!(base(&Cloud::new(scenarios::SINGLE)));
}

#[test]
fn single_network() {
    insta::assert_snapshot!(tables(&Cloud::new(scenarios::SINGLE), "hv1"));
}

#[test]
fn routed_two_networks() {
    insta::assert_snapshot!(tables(&Cloud::new(&only_v4(scenarios::ROUTED)), "hv1"));
}

#[test]
fn routed_two_networks_ipv6() {
    insta::assert_snapshot!(tables(&Cloud::new(&only_v6(scenarios::ROUTED)), "hv1"));
}

#[test]
fn vlan_and_vxlan() {
    let yaml = scenarios::two_networks(
        "{ type: vlan, physical_network: physnet1, id: 100 }",
        "{ type: vxlan, id: 5002 }",
    );
    insta::assert_snapshot!(tables(&Cloud::new(&only_v4(&yaml)), "hv1"));
}

#[test]
fn ecmp() {
    insta::assert_snapshot!(tables(&Cloud::new(scenarios::ECMP), "hv1"));
}

#[test]
fn port_security_off() {
    let yaml = scenarios::SINGLE.replacen("chassis: hv1 }", "chassis: hv1, port_security: false }", 1);
    insta::assert_snapshot!(tables(&Cloud::new(&yaml), "hv1"));
}

#[test]
fn another_router() {
    insta::assert_snapshot!(tables(&Cloud::new(scenarios::TWO_ROUTERS), "hv1"));
}

/// A scenario without its IPv6.
fn only_v4(yaml: &str) -> String {
    without(yaml, "v6")
}

fn only_v6(yaml: &str) -> String {
    without(yaml, "v4")
}

/// Drops subnets of a family with the addresses and interfaces on them.
fn without(yaml: &str, family: &str) -> String {
    let mut topology = crate::cloud::Topology::from_yaml(yaml).unwrap();
    topology.subnets.retain(|subnet| !subnet.id.as_str().ends_with(family));
    for port in &mut topology.ports {
        port.fixed_ips.retain(|fixed| !fixed.subnet.as_str().ends_with(family));
    }
    for router in &mut topology.routers {
        router.interfaces.retain(|interface| !interface.subnet.as_str().ends_with(family));
    }
    topology.to_yaml().unwrap()
}
