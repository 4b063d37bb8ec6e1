//! A cloud without a switch: the compiler for several chassis, and the software switch in each.

use controller::{
    compile::{Compiler, Delta, LocalSwitch, TunnelType},
    model::{Change, ChassisId, Kind, Object, ObjectKey, PortId, Record, Revision},
    trace::{
        fabric::{Fabric, Journey},
        switch::Choose,
    },
};
use packet::{Ends, MacAddr, OfPort, build};
use std::{collections::BTreeMap, net::IpAddr};

pub use controller::model::topology::Topology;

/// Where tunnel ports stand on every switch.
pub const TUNNELS: [(TunnelType, OfPort); 3] =
    [(TunnelType::Vxlan, OfPort(1001)), (TunnelType::Gre, OfPort(1002)), (TunnelType::Geneve, OfPort(1003))];
/// The first patch port.
pub const FIRST_PATCH: u32 = 2001;

/// Chassis that are all served by one compiler, with every bound port plugged in.
#[derive(Debug)]
pub struct Cloud {
    pub compiler: Compiler,
    keys: BTreeMap<Kind, u32>,
}

impl Cloud {
    /// Reads a topology and wires everything.
    pub fn new(yaml: &str) -> Self {
        Self::of(Topology::from_yaml(yaml).unwrap().objects())
    }

    /// The same from objects.
    pub fn of(objects: impl IntoIterator<Item = Object>) -> Self {
        let mut cloud = Self { compiler: Compiler::new(1), keys: BTreeMap::new() };
        cloud.put(objects);
        cloud.wire();
        cloud.compiler.poll();
        cloud
    }

    /// Puts objects into the model, each with the next free key of its kind or the key it has.
    pub fn put(&mut self, objects: impl IntoIterator<Item = Object>) {
        for object in objects {
            let known = self.compiler.view().model().get(&object.id()).map(|record| record.key);
            let key = known.unwrap_or_else(|| {
                let last = self.keys.entry(object.kind()).or_default();
                *last += 1;
                ObjectKey(*last)
            });
            if let Object::Chassis(chassis) = &object {
                self.compiler.add_chassis(chassis.id.clone());
            }
            self.compiler.apply(&[Change::Put(Record { key, revision: Revision(1), spec: object })]);
        }
    }

    /// Plugs every bound port in, numbered in order of id from 1 on each chassis, and gives every chassis its tunnels
    /// and patches.
    pub fn wire(&mut self) {
        let chassis: Vec<ChassisId> = self.compiler.view().model().chassis.keys().cloned().collect();
        for id in chassis {
            let local = self.wiring(&id);
            self.compiler.set_local(&id, local);
        }
    }

    /// What a fully wired chassis has.
    pub fn wiring(&self, id: &ChassisId) -> LocalSwitch {
        let view = self.compiler.view();
        let record = &view.model().chassis[id].spec;
        let ports = view.ports_at(id).map(|port| port.spec.id.clone()).zip((1..).map(OfPort));
        let patches = record.bridge_mappings.keys().cloned().zip((FIRST_PATCH..).map(OfPort));
        LocalSwitch {
            ports: ports.collect(),
            tunnels: if record.encap_ips.is_empty() { BTreeMap::new() } else { TUNNELS.into() },
            patches: patches.collect(),
            ..LocalSwitch::default()
        }
    }

    /// Compiles what changed.
    pub fn poll(&mut self) -> Vec<(ChassisId, Delta)> {
        self.compiler.poll()
    }

    pub fn flow_count(&self, chassis: &str) -> usize {
        self.compiler.desired(&chassis.parse().unwrap()).unwrap().flow_count()
    }

    /// The way of a frame from a port.
    pub fn send(&self, from: &str, frame: &[u8]) -> Journey {
        self.send_by(from, frame, Choose::Hash)
    }

    pub fn send_by(&self, from: &str, frame: &[u8], choose: Choose) -> Journey {
        let from: PortId = from.parse().unwrap();
        let journey =
            Fabric::new(&self.compiler).send(&from, frame, choose).unwrap().expect("the port is plugged in");
        assert!(!journey.endless, "a packet went round in circles");
        journey
    }

    /// Who gets a frame, with the frame as it arrives, in order of name.
    pub fn deliver(&self, from: &str, frame: &[u8]) -> Vec<(String, Vec<u8>)> {
        let journey = self.send(from, frame);
        let mut got: Vec<_> =
            journey.delivered().map(|(port, packet)| (port.to_string(), packet.frame())).collect();
        got.sort();
        got
    }

    /// The names of who gets a frame; twice if two copies arrive.
    pub fn reaches(&self, from: &str, frame: &[u8]) -> Vec<String> {
        self.deliver(from, frame).into_iter().map(|(port, _)| port).collect()
    }

    /// The MAC of a port.
    pub fn mac(&self, port: &str) -> MacAddr {
        self.compiler.view().model().ports[&port.parse::<PortId>().unwrap()].spec.mac
    }
}

/// The two ends of a packet.
pub fn ends(src: &str, dst: &str) -> Ends {
    let [src, dst]: [IpAddr; 2] = [src, dst].map(|ip| ip.parse().unwrap());
    Ends::new(src, dst).unwrap()
}

/// An echo request with 56 octets of data.
pub fn ping(src_mac: MacAddr, dst_mac: MacAddr, src: &str, dst: &str, ttl: u8) -> Vec<u8> {
    let link = build::Link::untagged(src_mac, dst_mac);
    let net = build::Ip { ends: ends(src, dst), hop_limit: ttl, tos: 0 };
    build::echo(&link, &net, build::EchoKind::Request, 1, 1, &[0; 56])
}

/// The MAC that a router has where it was given none.
pub fn router_mac(key: u32) -> MacAddr {
    controller::pipeline::macs::router(ObjectKey(key))
}
