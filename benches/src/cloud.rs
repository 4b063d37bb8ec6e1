//! Made-up clouds of any size.

use controller::{
    compile::{Compiler, LocalSwitch, TunnelType},
    model::{
        Change, Chassis, ChassisId, FixedIp, Network, Object, ObjectKey, Port, PortId, Record, Revision,
        Router, RouterInterface, Segment, Subnet, SubnetId,
    },
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use packet::{MacAddr, OfPort, Vni};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Which addresses ports have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// One IPv4 address.
    V4,
    /// One IPv6 address.
    V6,
    /// One of each.
    Dual,
}

/// On which hosts the ports of a tenant are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// On all: ports are dealt out to the hosts in turn, so every host meets every tenant.
    Everywhere,
    /// On few: hosts are filled one after the other.
    Packed,
}

/// A cloud of tenants with two VXLAN networks and one router each; ports have port security.
#[derive(Debug, Clone, Copy)]
pub struct Cloud {
    /// How many hosts.
    pub chassis: u32,
    /// How many ports in all.
    pub ports: u32,
    /// How many ports a network has; a tenant has twice as many.
    pub ports_per_network: u32,
    /// Which addresses they have.
    pub family: Family,
    /// Where they are.
    pub spread: Spread,
}

impl Cloud {
    /// Tenants of 100 ports with IPv4, on all hosts.
    pub const fn new(chassis: u32, ports: u32) -> Self {
        Self { chassis, ports, ports_per_network: 50, family: Family::V4, spread: Spread::Everywhere }
    }

    /// Every object, in order of reference.
    pub fn objects(self) -> Vec<Object> {
        let mut objects: Vec<Object> = (0..self.chassis).map(chassis).collect();
        for network in 0..self.networks() {
            objects.push(net(network));
            objects.extend(self.blocks(network).map(|block| subnet(network, block)));
        }
        objects.extend((0..self.networks().div_ceil(2)).map(|tenant| self.router(tenant)));
        objects.extend((0..self.ports).map(|index| Object::Port(self.port(index))));
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

    /// The port of an index; beyond [`Self::ports`] one that is not in [`Self::objects`], on a network that is.
    pub fn port(self, index: u32) -> Port {
        let network = index / self.ports_per_network % self.networks();
        let host = 10 + index % self.ports_per_network + index / self.ports * self.ports_per_network;
        let fixed_ip = |block: IpNet| FixedIp { subnet: subnet_id(network, block), ip: address(block, host) };
        Port {
            id: port_id(index),
            network: id("net", network),
            mac: MacAddr::from_u64(0x0200_0000_0000 | u64::from(index)),
            fixed_ips: self.blocks(network).map(fixed_ip).collect(),
            chassis: Some(chassis_id(self.host_of(index))),
            allowed_address_pairs: vec![],
            port_security: true,
            security_groups: vec![],
            dhcp_options: vec![],
        }
    }

    /// The number of the host that a port is on.
    pub const fn host_of(self, index: u32) -> u32 {
        match self.spread {
            Spread::Everywhere => index % self.chassis,
            Spread::Packed => index % self.ports / self.ports.div_ceil(self.chassis),
        }
    }

    /// The ports on a host.
    pub fn ports_on(self, chassis: u32) -> impl Iterator<Item = PortId> {
        (0..self.ports).filter(move |index| self.host_of(*index) == chassis).map(port_id)
    }

    /// Ports beyond [`Self::ports`], on networks that all of the first `hosts` have, as evenly as can be.
    pub fn more_ports(self, count: u32, hosts: u32) -> impl Iterator<Item = Port> {
        let on_host = |chassis, network| {
            let first = network * self.ports_per_network;
            (first..first + self.ports_per_network).any(|index| self.host_of(index) == chassis)
        };
        let common: Vec<u32> =
            (0..self.networks()).filter(|network| (0..hosts).all(|host| on_host(host, *network))).collect();
        // One more port for each network, then the next for each.
        let of = move |turn: u32| {
            let first = self.ports + turn;
            common.clone().into_iter().map(move |network| first + network * self.ports_per_network)
        };
        (0..self.ports_per_network).flat_map(of).take(count as usize).map(move |index| self.port(index))
    }

    /// The switch of a host with all its ports plugged in.
    pub fn switch(self, chassis: u32) -> LocalSwitch {
        LocalSwitch {
            ports: self.ports_on(chassis).zip(10..).map(|(port, ofport)| (port, OfPort(ofport))).collect(),
            tunnels: BTreeMap::from([(TunnelType::Vxlan, OfPort(1))]),
            ..LocalSwitch::default()
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

    const fn networks(self) -> u32 {
        self.ports.div_ceil(self.ports_per_network)
    }

    /// A tenant's networks are 10.0.0.0/16 and 10.1.0.0/16, and 2001:db8::/64 and 2001:db8:0:1::/64: tenants overlap.
    fn blocks(self, network: u32) -> impl Iterator<Item = IpNet> {
        let v4 = Ipv4Net::new_assert(Ipv4Addr::from_bits(0x0a00_0000 | (network % 2) << 16), 16);
        let v6 = Ipv6Net::new_assert(
            Ipv6Addr::from_bits(0x2001_0db8_u128 << 96 | u128::from(network % 2) << 64),
            64,
        );
        let v4 = (self.family != Family::V6).then_some(IpNet::V4(v4));
        let v6 = (self.family != Family::V4).then_some(IpNet::V6(v6));
        v4.into_iter().chain(v6)
    }

    fn router(self, tenant: u32) -> Object {
        let own = [2 * tenant, 2 * tenant + 1].into_iter().filter(|network| *network < self.networks());
        let subnets =
            own.flat_map(|network| self.blocks(network).map(move |block| subnet_id(network, block)));
        let interface = |subnet| RouterInterface { subnet, ip: None, mac: None };
        Object::Router(Router {
            id: id("router", tenant),
            interfaces: subnets.map(interface).collect(),
            routes: vec![],
            gateway: None,
        })
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

fn subnet(network: u32, block: IpNet) -> Object {
    Object::Subnet(Subnet {
        id: subnet_id(network, block),
        network: id("net", network),
        cidr: block,
        gateway_ip: Some(address(block, 1)),
        dhcp: None,
    })
}

fn subnet_id(network: u32, block: IpNet) -> SubnetId {
    id(if block.addr().is_ipv4() { "subnet" } else { "subnet6" }, network)
}

/// The address of a number in a block.
fn address(block: IpNet, host: u32) -> IpAddr {
    match block {
        IpNet::V4(block) => Ipv4Addr::from_bits(block.addr().to_bits() + host).into(),
        IpNet::V6(block) => Ipv6Addr::from_bits(block.addr().to_bits() + u128::from(host)).into(),
    }
}
