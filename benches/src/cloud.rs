//! Made-up clouds of any size.

use controller::{
    compile::{Compiler, LocalSwitch, TunnelType},
    model::{
        Change, Chassis, ChassisId, FixedIp, Network, Object, ObjectKey, Port, PortId, Record, Revision, Router,
        RouterInterface, Segment, Subnet,
    },
};
use ipnet::{IpNet, Ipv4Net};
use packet::{MacAddr, OfPort, Vni};
use std::{collections::BTreeMap, net::Ipv4Addr};

/// A cloud of tenants with two VXLAN networks and one router each; ports have one IPv4 address and port security.
#[derive(Debug, Clone, Copy)]
pub struct Cloud {
    /// How many hosts.
    pub chassis: u32,
    /// How many ports in all, dealt out to the hosts in turn.
    pub ports: u32,
    /// How many ports a network has; a tenant has twice as many.
    pub ports_per_network: u32,
}

impl Cloud {
    /// Every object, in order of reference.
    pub fn objects(self) -> Vec<Object> {
        let mut objects: Vec<Object> = (0..self.chassis).map(chassis).collect();
        let networks = self.ports.div_ceil(self.ports_per_network);
        for network in 0..networks {
            objects.extend([net(network), subnet(network)]);
        }
        objects.extend((0..networks.div_ceil(2)).map(|tenant| router(tenant, networks)));
        objects.extend((0..self.ports).map(|index| self.port(index)));
        objects
    }

    /// The objects as changes, with the keys that a store would give.
    pub fn changes(self) -> Vec<Change> {
        let mut keys = BTreeMap::new();
        let mut next = |object: &Object| {
            let key = keys.entry(object.kind()).or_insert(0);
            *key += 1;
            ObjectKey(*key)
        };
        let put = |(at, spec): (usize, Object)| {
            Change::Put(Record { key: next(&spec), revision: Revision(at as u64 + 1), spec })
        };
        self.objects().into_iter().enumerate().map(put).collect()
    }

    /// The port of an index; beyond [`Self::ports`] one that is not in [`Self::objects`].
    pub fn port(self, index: u32) -> Object {
        let network = index / self.ports_per_network % self.ports.div_ceil(self.ports_per_network);
        let host = index % self.ports_per_network + index / self.ports * self.ports_per_network;
        Object::Port(Port {
            id: port_id(index),
            network: id("net", network),
            mac: MacAddr::from_u64(0x0200_0000_0000 | u64::from(index)),
            fixed_ips: vec![FixedIp {
                subnet: id("subnet", network),
                ip: Ipv4Addr::from_bits(block(network).addr().to_bits() + 10 + host).into(),
            }],
            chassis: Some(chassis_id(index % self.chassis)),
            allowed_address_pairs: vec![],
            port_security: true,
        })
    }

    /// The switch of a host with all its ports plugged in.
    pub fn switch(self, chassis: u32) -> LocalSwitch {
        let local = (0..self.ports).filter(|index| index % self.chassis == chassis);
        LocalSwitch {
            ports: local.zip(10..).map(|(index, ofport)| (port_id(index), OfPort(ofport))).collect(),
            tunnels: BTreeMap::from([(TunnelType::Vxlan, OfPort(1))]),
            patches: BTreeMap::new(),
        }
    }

    /// A compiler that serves the first `served` hosts and knows everything.
    pub fn compiler(self, served: u32) -> Compiler {
        let mut compiler = Compiler::new(1);
        for index in 0..served {
            compiler.add_chassis(chassis_id(index));
            compiler.set_local(&chassis_id(index), self.switch(index));
        }
        compiler.apply(&self.changes());
        compiler.poll();
        compiler
    }
}

/// The name of a host.
pub fn chassis_id(index: u32) -> ChassisId {
    id("hv", index)
}

/// The name of a port.
pub fn port_id(index: u32) -> PortId {
    id("port", index)
}

fn id<T: TryFrom<String>>(kind: &str, index: u32) -> T
where
    T::Error: std::fmt::Debug,
{
    T::try_from(format!("{kind}-{index}")).unwrap_or_else(|error| unreachable!("{error:?}"))
}

fn chassis(index: u32) -> Object {
    Object::Chassis(Chassis {
        id: chassis_id(index),
        encap_ips: vec![Ipv4Addr::from_bits(0xc000_0200 + index + 1).into()],
        bridge_mappings: BTreeMap::new(),
    })
}

fn net(index: u32) -> Object {
    let id = Vni::new(u64::from(index) + 1).unwrap_or(Vni::MAX);
    Object::Network(Network { id: self::id("net", index), segment: Segment::Vxlan { id }, mtu: None })
}

/// A tenant's networks are 10.0.0.0/16 and 10.1.0.0/16: tenants overlap.
fn block(network: u32) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::from_bits(0x0a00_0000 | (network % 2) << 16), 16)
}

fn subnet(network: u32) -> Object {
    let block = block(network);
    Object::Subnet(Subnet {
        id: id("subnet", network),
        network: id("net", network),
        cidr: IpNet::V4(block),
        gateway_ip: Some(Ipv4Addr::from_bits(block.addr().to_bits() + 1).into()),
    })
}

fn router(tenant: u32, networks: u32) -> Object {
    let own = [2 * tenant, 2 * tenant + 1].into_iter().filter(|network| *network < networks);
    let interface = |network| RouterInterface { subnet: id("subnet", network), ip: None, mac: None };
    Object::Router(Router { id: id("router", tenant), interfaces: own.map(interface).collect(), routes: vec![] })
}
