//! Work and flows grow with what is local, not with the cloud.
#![expect(clippy::unwrap_used, reason = "clippy.toml allows it in tests, but does not know helpers as such")]

use benches::cloud::{Cloud, Family, Spread, chassis_id};
use controller::model::{Change, Object, ObjectId, ObjectKey, Record, Revision};

/// How many flows one port more puts on each of two hosts, and how many go when it goes.
fn one_port(cloud: Cloud) -> Vec<(usize, usize)> {
    let mut compiler = cloud.compiler(2);
    let port = cloud.port(cloud.ports);
    let id = ObjectId::Port(port.id.clone());
    for chassis in 0..2 {
        // Plugged in beforehand, as a VM's is.
        let mut local = compiler.local(&chassis_id(chassis)).unwrap().clone();
        if port.chassis == Some(chassis_id(chassis)) {
            local.ports.insert(port.id.clone(), packet::OfPort(0x00ff_0000));
        }
        compiler.set_local(&chassis_id(chassis), local);
    }
    assert!(compiler.poll().is_empty(), "a port that is in no network makes flows");
    let put =
        Record { key: ObjectKey(cloud.ports + 1), revision: Revision(1 << 40), spec: Object::Port(port) };
    compiler.apply(&[Change::Put(put)]);
    let came = compiler.poll();
    compiler.apply(&[Change::Delete(id)]);
    let went = compiler.poll();
    assert_eq!(came.len(), 2, "both hosts have ports of its network");
    came.iter()
        .zip(&went)
        .map(|((_, put), (_, gone))| (put.put_flows.len(), gone.delete_flows.len()))
        .collect()
}

#[test]
fn one_port_is_as_much_work_in_every_cloud() {
    for family in [Family::V4, Family::V6, Family::Dual] {
        let deltas = [1_000, 10_000, 100_000].map(|ports| one_port(Cloud { family, ..Cloud::new(2, ports) }));
        let [small, middle, large] = &deltas;
        assert!(small.iter().all(|(put, gone)| *put > 0 && *gone > 0), "{family:?}: {small:?}");
        assert_eq!(small, middle, "{family:?}: 1,000 and 10,000 ports");
        assert_eq!(small, large, "{family:?}: 1,000 and 100,000 ports");
    }
}

#[test]
fn flows_of_a_host_do_not_grow_with_the_cloud() {
    let flows = |chassis| {
        // 100 ports a host: whole tenants of it.
        let cloud = Cloud { spread: Spread::Packed, ..Cloud::new(chassis, chassis * 100) };
        cloud.compiler(1).desired(&chassis_id(0)).unwrap().flow_count()
    };
    let alone = flows(1);
    assert!(alone > 100);
    assert_eq!(flows(10), flows(100));
    assert!(flows(100) <= alone + 10, "{} against {alone} alone", flows(100));
}
