//! What a chassis holds grows with the tenants that it has, not with the cloud around it.

use crate::cloud::Cloud;
use std::{collections::BTreeSet, fmt::Write as _};

/// Tenants of two networks and a router each, of four ports: two of the first tenants' ports are on hv1, all others are
/// on one of the other chassis.
fn cloud(tenants: usize, at_hv1: usize, chassis: usize) -> Cloud {
    let (mut hosts, mut networks, mut subnets, mut ports, mut routers) = Default::default();
    let line = |text: &mut String, line: String| writeln!(text, "  - {{ {line} }}").unwrap();
    for n in 1..=chassis {
        line(&mut hosts, format!("id: hv{n}, encap_ips: [192.0.2.{n}]"));
    }
    for t in 1..=tenants {
        // Tenants know nothing of each other, so all have the same addresses.
        for (side, name) in ["a", "b"].iter().enumerate() {
            let vni = 2 * t + side;
            line(&mut networks, format!("id: net-{name}{t}, segment: {{ type: vxlan, id: {vni} }}"));
            line(
                &mut subnets,
                format!(
                    "id: sub-{name}{t}, network: net-{name}{t}, cidr: 10.0.{side}.0/24, gateway_ip: 10.0.{side}.1"
                ),
            );
            for n in 0..2 {
                let here = t <= at_hv1 && n == 0;
                let at = if here { 1 } else { 2 + t % (chassis - 1) };
                line(
                    &mut ports,
                    format!(
                        "id: p-{name}{t}-{n}, network: net-{name}{t}, chassis: hv{at}, mac: '02:00:00:00:{side:02}:{n:02}', \
                         fixed_ips: [{{ subnet: sub-{name}{t}, ip: 10.0.{side}.1{n} }}]"
                    ),
                );
            }
        }
        line(
            &mut routers,
            format!("id: r-{t}, interfaces: [{{ subnet: sub-a{t} }}, {{ subnet: sub-b{t} }}]"),
        );
    }
    Cloud::new(&format!(
        "chassis:\n{hosts}networks:\n{networks}subnets:\n{subnets}ports:\n{ports}routers:\n{routers}"
    ))
}

/// Every flow of hv1, to the last bit, and its groups.
fn held(cloud: &Cloud) -> (BTreeSet<String>, usize) {
    let desired = cloud.compiler.desired(&"hv1".parse().unwrap()).unwrap();
    (desired.flows().map(|flow| format!("{flow:?}")).collect(), desired.groups().count())
}

#[test]
fn a_chassis_does_not_know_of_tenants_elsewhere() {
    let alone = held(&cloud(3, 3, 9));
    assert!(alone.0.len() > 100, "{}", alone.0.len());
    // The same flows, octet by octet.
    assert_eq!(held(&cloud(30, 3, 9)), alone);
    assert_eq!(held(&cloud(150, 3, 9)), alone);
}

#[test]
fn each_tenant_that_comes_costs_the_same() {
    let count = |at_hv1| cloud(40, at_hv1, 9).flow_count("hv1");
    let counts = [0, 1, 2, 20, 40].map(count);
    let each = counts[2] - counts[1];
    assert!((10..200).contains(&each), "{counts:?}");
    assert_eq!([counts[3] - counts[2], counts[4] - counts[3]], [18 * each, 20 * each], "{counts:?}");
}
