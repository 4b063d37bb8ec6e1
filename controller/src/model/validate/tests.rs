//! One case a rule, and the index held against itself.

use super::*;
use crate::model::{Change, ObjectKey, Record, Revision, generate::Step};

/// A sound world: two chassis, one network of each sort, router `r` on three subnets.
const WORLD: &str = r#"[
  {"kind": "chassis", "spec": {"id": "hv1", "encap_ips": ["192.0.2.1", "2001:db8:ffff::1"]}},
  {"kind": "chassis", "spec": {"id": "hv2", "encap_ips": ["192.0.2.2"], "bridge_mappings": {"phys": "br-ex"}}},
  {"kind": "network", "spec": {"id": "web", "segment": {"type": "vxlan", "id": 1}}},
  {"kind": "network", "spec": {"id": "db", "segment": {"type": "vlan", "physical_network": "phys", "id": 7}}},
  {"kind": "subnet", "spec": {"id": "web4", "network": "web", "cidr": "10.0.1.0/24", "gateway_ip": "10.0.1.1"}},
  {"kind": "subnet", "spec": {"id": "web6", "network": "web", "cidr": "2001:db8:1::/64", "gateway_ip": "2001:db8:1::1"}},
  {"kind": "subnet", "spec": {"id": "db4", "network": "db", "cidr": "10.0.2.0/24"}},
  {"kind": "port", "spec": {"id": "web-1", "network": "web", "mac": "02:00:00:00:00:01", "chassis": "hv1",
    "fixed_ips": [{"subnet": "web4", "ip": "10.0.1.11"}, {"subnet": "web6", "ip": "2001:db8:1::11"}]}},
  {"kind": "router", "spec": {"id": "r", "routes": [{"destination": "172.16.0.0/12", "next_hops": ["10.0.2.9"]}],
    "interfaces": [{"subnet": "web4"}, {"subnet": "web6"}, {"subnet": "db4", "ip": "10.0.2.1", "mac": "02:00:00:00:01:01"}]}}
]"#;

fn objects(json: &str) -> Vec<Object> {
    serde_json::from_str(json).unwrap()
}

fn model_of(objects: &[Object]) -> Model {
    let mut model = Model::default();
    for object in objects {
        model.apply(Change::Put(Record { key: ObjectKey(1), revision: Revision(1), spec: object.clone() }));
    }
    model
}

/// Problems of putting `changes` (an object deleted is `None`) on a model, by increments.
fn judge(model: &Model, index: &mut Index, changes: &BTreeMap<ObjectId, Option<Object>>) -> Vec<Problem> {
    for (id, after) in changes {
        model.get(id).iter().for_each(|record| index.remove(&record.spec));
        after.iter().for_each(|object| index.add(object));
    }
    let changed = changes.iter().map(|(id, object)| (id.clone(), object.as_ref())).collect();
    check(&View::new(model, changed), index)
}

/// Problems of a whole model, from scratch.
fn judge_all(model: &Model) -> Vec<Problem> {
    let all: Vec<Object> =
        Kind::ALL.into_iter().flat_map(|kind| model.objects(kind)).map(|r| r.spec).collect();
    let changed = all.iter().map(|object| (object.id(), Some(object))).collect();
    check(&View::new(&Model::default(), changed), &Index::new(model))
}

/// What is said when an object is put into the sound world, one line a problem.
#[track_caller]
fn refuses(kind: &str, spec: &str, want: &[&str]) {
    let model = model_of(&objects(WORLD));
    let object: Object = serde_json::from_str(&format!(r#"{{"kind": "{kind}", "spec": {spec}}}"#)).unwrap();
    let problems = judge(&model, &mut Index::new(&model), &BTreeMap::from([(object.id(), Some(object))]));
    let got: Vec<String> = problems.iter().map(|p| format!("{p}; {}", p.fault.hint())).collect();
    assert_eq!(got, want);
}

#[test]
fn a_sound_world_is_sound() {
    let model = model_of(&objects(WORLD));
    assert_eq!(judge_all(&model), []);
    assert_eq!(pending(&model), []);
}

#[test]
fn chassis() {
    refuses(
        "chassis",
        r#"{"id": "hv3", "encap_ips": ["192.0.2.2", "192.0.2.3", "192.0.2.3", "0.0.0.0"],
            "bridge_mappings": {"a": "br/x", "b": "br-ex", "c": "br-ex"}}"#,
        &[
            "chassis hv3: encap ip 192.0.2.2 belongs to chassis hv2; give each chassis its own address, or change chassis hv2 first",
            "chassis hv3: encap_ips has two addresses of one family, 192.0.2.2 and 192.0.2.3; keep at most one IPv4 and one IPv6 address",
            "chassis hv3: encap_ips names 192.0.2.3 more than once; name each address once",
            "chassis hv3: encap_ips has two addresses of one family, 192.0.2.2 and 0.0.0.0; keep at most one IPv4 and one IPv6 address",
            "chassis hv3: encap ip 0.0.0.0 cannot be the address of a host; give the address at which other hosts reach this one",
            r#"chassis hv3: bridge_mappings maps a to "br/x", which cannot be the name of a bridge; use 1 to 15 printable characters without spaces and slashes"#,
            "chassis hv3: bridge_mappings maps both b and c to bridge br-ex; give each physical network a bridge of its own",
        ],
    );
}

#[test]
fn networks() {
    refuses(
        "network",
        r#"{"id": "n", "segment": {"type": "vxlan", "id": 1}, "mtu": 500}"#,
        &[
            "network n: mtu 500 is out of range: want 576 to 9216; choose an mtu in the range, or leave it out for the segment's default",
            "network n: segment vxlan 1 belongs to network web; choose another id, or delete network web first",
        ],
    );
    refuses("network", r#"{"id": "n", "segment": {"type": "gre", "id": 1}}"#, &[]);
    refuses(
        "network",
        r#"{"id": "n", "segment": {"type": "vlan", "physical_network": "phys", "id": 7}}"#,
        &[
            "network n: segment vlan 7 on phys belongs to network db; choose another id, or delete network db first",
        ],
    );
    refuses("network", r#"{"id": "n", "segment": {"type": "flat", "physical_network": "phys"}}"#, &[]);
}

#[test]
fn subnets() {
    refuses(
        "subnet",
        r#"{"id": "s", "network": "web", "cidr": "10.0.1.129/25", "gateway_ip": "10.0.1.1"}"#,
        &[
            "subnet s: cidr 10.0.1.129/25 has host bits set; write 10.0.1.128/25",
            "subnet s: gateway_ip 10.0.1.1 is outside 10.0.1.129/25 of subnet s; choose an address between 10.0.1.129 and 10.0.1.254",
            "subnet s: cidr 10.0.1.129/25 overlaps 10.0.1.0/24 of subnet web4 on the same network web; choose a block that does not overlap",
        ],
    );
    refuses(
        "subnet",
        r#"{"id": "s", "network": "db", "cidr": "fe80::/64"}"#,
        &[
            "subnet s: cidr fe80::/64 is not for unicast addresses of hosts; choose a unicast block, not link-local, loopback or everything",
        ],
    );
    refuses(
        "subnet",
        r#"{"id": "s", "network": "db", "cidr": "10.0.1.0/24", "gateway_ip": "10.0.1.1"}"#,
        &[],
    );
}

#[test]
fn a_subnet_that_moves_is_judged_with_its_ports_and_routers() {
    refuses(
        "subnet",
        r#"{"id": "web4", "network": "web", "cidr": "10.0.2.0/25"}"#,
        &[
            "port web-1: fixed ip 10.0.1.11 is outside 10.0.2.0/25 of subnet web4; choose an address between 10.0.2.1 and 10.0.2.126",
            "router r: the interface on subnet web4 has no ip, and the subnet no gateway_ip; give the interface an ip, or subnet web4 a gateway_ip",
            "router r: interfaces on subnet db4 (10.0.2.0/24) and subnet web4 (10.0.2.0/25) overlap; attach only one of them, or renumber one",
        ],
    );
}

#[test]
fn ports() {
    refuses(
        "port",
        r#"{"id": "p", "network": "web", "mac": "02:00:00:00:00:01", "fixed_ips": [
            {"subnet": "web4", "ip": "10.0.1.11"}, {"subnet": "web4", "ip": "10.0.1.255"},
            {"subnet": "web4", "ip": "10.0.1.1"}, {"subnet": "web6", "ip": "2001:db8:1::"},
            {"subnet": "db4", "ip": "10.0.2.1"}, {"subnet": "db4", "ip": "10.0.3.1"}, {"subnet": "web4", "ip": "10.0.1.11"}]}"#,
        &[
            "port p: mac 02:00:00:00:00:01 belongs to port web-1 on the same network web; choose another mac",
            "port p: ip 10.0.1.11 belongs to port web-1 on the same subnet web4; choose a free address, or change port web-1 first",
            "port p: fixed ip 10.0.1.255 is the broadcast address of 10.0.1.0/24 of subnet web4; choose an address between 10.0.1.1 and 10.0.1.254",
            "port p: ip 10.0.1.1 belongs to router r on the same subnet web4; choose a free address, or change router r first",
            "port p: fixed ip 2001:db8:1:: is the routers' anycast address of 2001:db8:1::/64 of subnet web6; choose an address between 2001:db8:1::1 and 2001:db8:1:0:ffff:ffff:ffff:ffff",
            "port p: fixed ip 10.0.2.1 is of subnet db4, which is on network db, not on the port's network web; take an address of a subnet of network web",
            "port p: ip 10.0.2.1 belongs to router r on the same subnet db4; choose a free address, or change router r first",
            "port p: fixed ip 10.0.3.1 is outside 10.0.2.0/24 of subnet db4; choose an address between 10.0.2.1 and 10.0.2.254",
            "port p: fixed ip 10.0.3.1 is of subnet db4, which is on network db, not on the port's network web; take an address of a subnet of network web",
            "port p: fixed ip 10.0.1.11 is named more than once; name each address once",
            "port p: ip 10.0.1.11 belongs to port web-1 on the same subnet web4; choose a free address, or change port web-1 first",
        ],
    );
    refuses(
        "port",
        r#"{"id": "p", "network": "db", "mac": "02:00:00:00:01:01"}"#,
        &["port p: mac 02:00:00:00:01:01 belongs to router r on the same network db; choose another mac"],
    );
    refuses(
        "port",
        r#"{"id": "p", "network": "db", "mac": "03:00:00:00:00:01", "allowed_address_pairs": [{"ip": "10.9.0.1/24"}]}"#,
        &[
            "port p: mac 03:00:00:00:00:01 is not the unicast address of a station; clear the group bit, the lowest of the first octet, as in 02:00:00:00:00:01",
            "port p: allowed_address_pairs 10.9.0.1/24 has host bits set; write 10.9.0.0/24",
        ],
    );
    refuses("port", r#"{"id": "p", "network": "db", "mac": "02:00:00:00:00:01"}"#, &[]);
}

#[test]
fn routers() {
    refuses(
        "router",
        r#"{"id": "r2", "interfaces": [{"subnet": "web4"}, {"subnet": "web4", "ip": "10.0.1.11"}, {"subnet": "db4"},
            {"subnet": "web6", "ip": "2001:db8:2::1", "mac": "02:00:00:00:00:01"}]}"#,
        &[
            "router r2: ip 10.0.1.1 belongs to router r on the same subnet web4; choose a free address, or change router r first",
            "router r2: more than one interface on subnet web4; keep one of them",
            "router r2: ip 10.0.1.11 belongs to port web-1 on the same subnet web4; choose a free address, or change port web-1 first",
            "router r2: the interface on subnet db4 has no ip, and the subnet no gateway_ip; give the interface an ip, or subnet db4 a gateway_ip",
            "router r2: interface ip 2001:db8:2::1 is outside 2001:db8:1::/64 of subnet web6; choose an address between 2001:db8:1::1 and 2001:db8:1:0:ffff:ffff:ffff:ffff",
            "router r2: mac 02:00:00:00:00:01 belongs to port web-1 on the same network web; choose another mac",
        ],
    );
}

#[test]
fn routes() {
    refuses(
        "router",
        r#"{"id": "r2", "interfaces": [{"subnet": "web4", "ip": "10.0.1.2"}], "routes": [
            {"destination": "10.1.2.3/8", "next_hops": []},
            {"destination": "10.9.0.0/16", "next_hops": ["10.0.1.9", "10.0.1.9", "10.0.2.9", "10.0.1.2", "2001:db8:1::9"]},
            {"destination": "10.9.0.0/16", "next_hops": ["10.0.1.8"]}]}"#,
        &[
            "router r2: route destination 10.1.2.3/8 has host bits set; write 10.0.0.0/8",
            "router r2: the route to 10.1.2.3/8 has no next hops; name at least one next hop, or leave the route out",
            "router r2: the route to 10.9.0.0/16 names next hop 10.0.1.9 more than once; name each next hop once",
            "router r2: next hop 10.0.2.9 of the route to 10.9.0.0/16 is on no subnet attached to the router; attach the router to the subnet of the next hop, or choose another",
            "router r2: next hop 10.0.1.2 of the route to 10.9.0.0/16 is the router's own address; name the address of another machine",
            "router r2: next hop 2001:db8:1::9 of the route to 10.9.0.0/16 is of the other family; name addresses of the family of 10.9.0.0/16",
            "router r2: more than one route to 10.9.0.0/16; put all next hops into one route",
        ],
    );
    let hops: Vec<String> = (1..=65).map(|i| format!("\"10.0.1.{}\"", i + 20)).collect();
    let spec = |n: usize| {
        format!(
            r#"{{"id": "r2", "interfaces": [{{"subnet": "web4", "ip": "10.0.1.2"}}],
                "routes": [{{"destination": "10.9.0.0/16", "next_hops": [{}]}}]}}"#,
            hops[..n].join(",")
        )
    };
    refuses("router", &spec(64), &[]);
    refuses(
        "router",
        &spec(65),
        &["router r2: the route to 10.9.0.0/16 has 65 next hops: at most 64 are possible; keep at most 64"],
    );
    // A subnet that is not there yet may hold the next hop.
    refuses(
        "router",
        r#"{"id": "r2", "interfaces": [{"subnet": "later"}], "routes": [{"destination": "10.9.0.0/16", "next_hops": ["10.7.0.1"]}]}"#,
        &[],
    );
}

#[test]
fn what_waits_is_told() {
    let mut all = objects(WORLD);
    all.retain(|object| !matches!(object.id().as_str(), "hv1" | "web" | "web4"));
    let told: Vec<String> = pending(&model_of(&all)).iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "subnet web6 waits for network web (network)",
            "port web-1 waits for chassis hv1 (chassis)",
            "port web-1 waits for network web (network)",
            "port web-1 waits for subnet web4 (fixed_ips)",
            "router r waits for subnet web4 (interfaces)",
        ]
    );
}

/// Any history: what increments accept and refuse is what a look at the whole accepts and refuses, and the index kept
/// by increments is the index of what there is.
#[test]
fn increments_judge_as_the_whole_does() {
    let (mut accepted, mut refused) = (0, 0);
    bolero::check!().with_type::<Vec<Vec<Step>>>().for_each(|history| {
        let mut model = Model::default();
        let mut index = Index::default();
        for steps in history {
            let changes: BTreeMap<_, _> = steps.iter().map(|step| (step.id(), step.object())).collect();
            let before = index.clone();
            let problems = judge(&model, &mut index, &changes);
            let mut next = model.clone();
            for (id, object) in changes {
                next.apply(match object {
                    Some(spec) => Change::Put(Record { key: ObjectKey(1), revision: Revision(1), spec }),
                    None => Change::Delete(id),
                });
            }
            assert_eq!(index, Index::new(&next));
            let whole = judge_all(&next);
            assert_eq!(problems.is_empty(), whole.is_empty(), "{problems:?} or {whole:?}");
            if problems.is_empty() {
                accepted += 1;
                model = next;
            } else {
                assert!(problems.iter().all(|problem| whole.contains(problem)), "{problems:?} in {whole:?}");
                refused += 1;
                index = before;
            }
        }
    });
    assert!(
        accepted > 100 && refused > 100,
        "{accepted} accepted, {refused} refused: the generator is lopsided"
    );
}
