//! Objects for property tests, from a world so small that they collide, overlap and refer to each other often.

use super::{
    AddressPair, Chassis, FixedIp, Network, Object, ObjectId, Port, Router, RouterInterface, Segment,
    StaticRoute, Subnet,
};
use bolero::TypeGenerator;
use packet::{MacAddr, VlanId, Vni};
use std::net::IpAddr;

const BLOCKS: [&str; 8] = [
    "10.0.0.0/24",
    "10.0.1.0/24",
    "10.0.0.0/16",
    "10.0.2.1/24",
    "2001:db8:1::/64",
    "2001:db8:2::/64",
    "10.0.3.0/31",
    "0.0.0.0/0",
];
const ADDRESSES: [&str; 12] = [
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.3",
    "10.0.1.1",
    "10.0.1.2",
    "10.0.0.0",
    "10.0.0.255",
    "2001:db8:1::1",
    "2001:db8:1::2",
    "2001:db8:2::1",
    "10.0.3.0",
    "192.0.2.1",
];

/// A bias towards what is legal, so that models grow before they go wrong.
#[derive(Debug, Clone, TypeGenerator)]
pub(crate) enum Recipe {
    Chassis { id: u8, ips: Vec<u8>, bridge: u8 },
    Network { id: u8, segment: u8, number: u8, mtu: Option<u16> },
    Subnet { id: u8, network: u8, block: u8, gateway: Option<u8> },
    Port { id: u8, network: u8, mac: u8, ips: Vec<(u8, u8)>, chassis: Option<u8>, pair: Option<u8> },
    Router { id: u8, legs: Vec<(u8, Option<u8>, Option<u8>)>, routes: Vec<(u8, Vec<u8>)> },
}

/// A step of a history.
#[derive(Debug, Clone, TypeGenerator)]
pub(crate) enum Step {
    Put(Recipe),
    Delete { kind: u8, id: u8 },
}

impl Step {
    pub(crate) fn id(&self) -> ObjectId {
        match self {
            Self::Put(recipe) => recipe.object().id(),
            Self::Delete { kind, id } => {
                let kind = super::Kind::ALL[usize::from(*kind) % super::Kind::ALL.len()];
                ObjectId::new(kind, &name(*id)).unwrap()
            }
        }
    }

    pub(crate) fn object(&self) -> Option<Object> {
        match self {
            Self::Put(recipe) => Some(recipe.object()),
            Self::Delete { .. } => None,
        }
    }
}

impl Recipe {
    pub(crate) fn object(&self) -> Object {
        match self {
            Self::Chassis { id, ips, bridge } => Object::Chassis(Chassis {
                id: name(*id).parse().unwrap(),
                encap_ips: ips.iter().take(2).map(|i| address(*i)).collect(),
                bridge_mappings: [(name(*bridge).parse().unwrap(), bridge_name(*bridge))].into(),
            }),
            Self::Network { id, segment, number, mtu } => Object::Network(Network {
                id: name(*id).parse().unwrap(),
                segment: segment_of(*segment, *number),
                mtu: mtu.map(|mtu| mtu % 12_000),
            }),
            Self::Subnet { id, network, block, gateway } => Object::Subnet(Subnet {
                id: name(*id).parse().unwrap(),
                network: name(*network).parse().unwrap(),
                cidr: BLOCKS[usize::from(*block) % BLOCKS.len()].parse().unwrap(),
                gateway_ip: gateway.map(address),
                dhcp: None,
            }),
            Self::Port { id, network, mac, ips, chassis, pair } => Object::Port(Port {
                id: name(*id).parse().unwrap(),
                network: name(*network).parse().unwrap(),
                mac: mac_of(*mac),
                fixed_ips: ips
                    .iter()
                    .take(2)
                    .map(|(subnet, ip)| FixedIp { subnet: name(*subnet).parse().unwrap(), ip: address(*ip) })
                    .collect(),
                chassis: chassis.map(|id| name(id).parse().unwrap()),
                allowed_address_pairs: pair
                    .iter()
                    .map(|ip| AddressPair { ip: address(*ip).into(), mac: None })
                    .collect(),
                port_security: mac % 2 == 0,
                security_groups: Vec::new(),
                dhcp_options: Vec::new(),
            }),
            Self::Router { id, legs, routes } => Object::Router(Router {
                id: name(*id).parse().unwrap(),
                interfaces: legs
                    .iter()
                    .take(3)
                    .map(|(subnet, ip, mac)| RouterInterface {
                        subnet: name(*subnet).parse().unwrap(),
                        ip: ip.map(address),
                        mac: mac.map(mac_of),
                    })
                    .collect(),
                routes: routes
                    .iter()
                    .take(2)
                    .map(|(block, hops)| StaticRoute {
                        destination: BLOCKS[usize::from(*block) % BLOCKS.len()].parse().unwrap(),
                        next_hops: hops.iter().take(3).map(|ip| address(*ip)).collect(),
                    })
                    .collect(),
                gateway: None,
            }),
        }
    }
}

fn name(n: u8) -> String {
    format!("n{}", n % 4)
}

fn bridge_name(n: u8) -> String {
    if n == 255 { "no/bridge".into() } else { format!("br-{n}") }
}

fn address(n: u8) -> IpAddr {
    ADDRESSES[usize::from(n) % ADDRESSES.len()].parse().unwrap()
}

fn mac_of(n: u8) -> MacAddr {
    // One in 16 is the zero address.
    MacAddr([if n.is_multiple_of(16) { 0 } else { 2 }, 0, 0, 0, 0, n % 16 % 5])
}

fn segment_of(kind: u8, number: u8) -> Segment {
    let vni = Vni::new(u64::from(number) % 8 + 1).unwrap();
    let physical_network = name(number).parse().unwrap();
    match kind % 5 {
        0 => Segment::Vxlan { id: vni },
        1 => Segment::Gre { id: vni },
        2 => Segment::Geneve { id: vni },
        3 => Segment::Vlan { physical_network, id: VlanId::new(u64::from(number) / 4 % 4 + 1).unwrap() },
        _ => Segment::Flat { physical_network },
    }
}
