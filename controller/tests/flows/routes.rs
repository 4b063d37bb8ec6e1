//! Static routes: several next hops, other routers, part of a subnet, and routes that lead nowhere.

use crate::{
    cloud::{Cloud, ends, ping, router_mac},
    scenarios,
};
use controller::{
    pipeline::punt::IcmpReason,
    trace::switch::{Choose, Fault},
};
use packet::build::{self, Ip, Link};
use std::collections::BTreeMap;

/// Where a packet of web-1 to an address ends: a port, or the reason why not.
fn end(cloud: &Cloud, to: &str, choose: Choose) -> Result<String, Option<IcmpReason>> {
    let frame = ping(cloud.mac("web-1"), router_mac(1), "10.0.0.11", to, 64);
    let journey = cloud.send_by("web-1", &frame, choose);
    let mut got = journey.delivered();
    match got.next() {
        Some((port, _)) => Ok(port.to_string()),
        None => Err(journey.visits.iter().flat_map(|visit| visit.run.punts()).map(|punt| punt.reason).next()),
    }
}

#[test]
fn several_next_hops_share_the_flows() {
    let cloud = Cloud::new(scenarios::ECMP);
    let mut shares: BTreeMap<String, usize> = BTreeMap::new();
    for port in 0..300 {
        let net = Ip { ends: ends("10.0.0.11", "198.51.100.7"), hop_limit: 64, tos: 0 };
        let link = Link::untagged(cloud.mac("web-1"), router_mac(1));
        let frame = build::udp(&link, &net, port, 53, b"question");
        let got = cloud.reaches("web-1", &frame);
        assert_eq!(got, cloud.reaches("web-1", &frame), "one flow takes one way");
        assert_eq!(got.len(), 1);
        *shares.entry(got[0].clone()).or_default() += 1;
    }
    assert_eq!(shares.keys().collect::<Vec<_>>(), ["gw-1", "gw-2", "gw-3"]);
    assert!(shares.values().all(|share| (60..=140).contains(share)), "{shares:?}");
}

#[test]
fn every_bucket_leads_to_its_next_hop() {
    let cloud = Cloud::new(scenarios::ECMP);
    let mut got: Vec<_> =
        (0..3).map(|turn| end(&cloud, "198.51.100.7", Choose::Bucket(turn)).unwrap()).collect();
    got.sort();
    assert_eq!(got, ["gw-1", "gw-2", "gw-3"]);
}

#[test]
fn a_next_hop_that_is_gone_gets_nothing() {
    let yaml = scenarios::ECMP.replacen("chassis: hv2, id: gw-2", "id: gw-2", 1);
    assert_ne!(yaml, scenarios::ECMP);
    let cloud = Cloud::new(&yaml);
    let got: Vec<_> = (0..6).map(|turn| end(&cloud, "198.51.100.7", Choose::Bucket(turn)).unwrap()).collect();
    assert_eq!(got, ["gw-1", "gw-3", "gw-1", "gw-3", "gw-1", "gw-3"]);
    // With all gone the route stands, and says so.
    let yaml = ["gw-1", "gw-2", "gw-3"].iter().fold(scenarios::ECMP.to_owned(), |yaml, gw| {
        yaml.replace(&format!("chassis: hv2, id: {gw}"), &format!("id: {gw}"))
    });
    assert_eq!(end(&Cloud::new(&yaml), "198.51.100.7", Choose::Hash), Err(Some(IcmpReason::NoHost)));
}

#[test]
fn a_route_leads_through_another_router() {
    let cloud = Cloud::new(scenarios::TWO_ROUTERS);
    let frame = ping(cloud.mac("web-1"), router_mac(1), "10.0.0.11", "10.0.2.11", 64);
    let want = ping(router_mac(2), cloud.mac("db-1"), "10.0.0.11", "10.0.2.11", 62);
    assert_eq!(cloud.deliver("web-1", &frame), [("db-1".to_owned(), want)]);
    let back = ping(cloud.mac("db-1"), router_mac(2), "10.0.2.11", "10.0.0.11", 64);
    let want = ping(router_mac(1), cloud.mac("web-1"), "10.0.2.11", "10.0.0.11", 62);
    assert_eq!(cloud.deliver("db-1", &back), [("web-1".to_owned(), want)]);
}

#[test]
fn the_longest_prefix_wins_also_within_a_subnet() {
    let cloud = Cloud::new(scenarios::OVERRIDE);
    // 10.0.1.128/25 leads to gw-1, whoever is on the link; 10.0.1.200/32 back to its subnet's other port.
    assert_eq!(end(&cloud, "10.0.1.20", Choose::Hash), Ok("db-1".into()));
    assert_eq!(end(&cloud, "10.0.1.130", Choose::Hash), Ok("gw-1".into()));
    assert_eq!(end(&cloud, "10.0.1.140", Choose::Hash), Ok("gw-1".into()));
    assert_eq!(end(&cloud, "10.0.1.200", Choose::Hash), Ok("db-1".into()));
    assert_eq!(end(&cloud, "10.0.1.99", Choose::Hash), Err(Some(IcmpReason::NoHost)));
    assert_eq!(end(&cloud, "10.0.2.1", Choose::Hash), Err(Some(IcmpReason::NoRoute)));
}

/// Two routers that are each other's default: a packet goes to and fro within the switch until its TTL, or Open
/// vSwitch's patience, ends.
#[test]
fn routers_that_point_at_each_other_end() {
    let yaml = scenarios::TWO_ROUTERS.replace("destination: 10.0.2.0/24", "destination: 0.0.0.0/0");
    let cloud = Cloud::new(&yaml);
    let send = |ttl| {
        let frame = ping(cloud.mac("web-1"), router_mac(1), "10.0.0.11", "203.0.113.1", ttl);
        cloud.send("web-1", &frame)
    };
    let journey = send(20);
    let punts: Vec<_> = journey.visits.iter().flat_map(|visit| visit.run.punts()).collect();
    assert!(matches!(punts.as_slice(), [punt] if punt.reason == IcmpReason::TtlExceeded), "{punts:?}");
    let journey = send(255);
    assert_eq!(journey.visits[0].run.fault, Some(Fault::TooDeep));
    assert_eq!(journey.delivered().count(), 0);
}
