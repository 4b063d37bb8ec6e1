//! Routes and tables for property tests.

use bolero::TypeGenerator;
use fib::{
    Adjacency, AdjacencyId, EcmpGroup, Egress, GroupId, Member, NetworkKey, NextHop, PortKey, Prefix, Route,
    Tables, TunnelKind, VrfId,
};
use packet::{MacAddr, VlanId, Vni};
use std::net::{IpAddr, Ipv6Addr};

/// A route to be, in a crowded universe: few VRFs and few address bits, so that prefixes nest and repeat.
#[derive(Debug, Clone, Copy, TypeGenerator)]
pub struct AnyRoute {
    pub vrf: u8,
    pub place: AnyAddr,
    pub len: u8,
    pub next: u8,
}

/// An address of the universe.
#[derive(Debug, Clone, Copy, TypeGenerator)]
pub struct AnyAddr {
    pub v6: bool,
    /// Every bit of the address is one of these bits, so lengths all over the address tell routes apart.
    pub bits: u8,
}

impl AnyAddr {
    pub fn addr(self) -> IpAddr {
        let b = self.bits;
        if self.v6 {
            IpAddr::V6(Ipv6Addr::from([
                b & 1,
                0,
                b & 2,
                0,
                0,
                0,
                0,
                b & 4,
                b & 8,
                0,
                0,
                0,
                0,
                b & 0xf0,
                0,
                b,
            ]))
        } else {
            IpAddr::from([b & 0x83, b & 0x0c, 0, b])
        }
    }
}

pub fn vrf(index: u8) -> VrfId {
    VrfId::new(u64::from(index % 3) * 7 + 1).unwrap()
}

impl AnyRoute {
    pub fn route(self) -> Route {
        let addr = self.place.addr();
        let bits = if addr.is_ipv6() { 128 } else { 32 };
        // A quarter are host routes, a few are defaults.
        let len = match self.len {
            0..64 => bits,
            64..72 => 0,
            _ => self.len % (bits + 1),
        };
        let next = match self.next % 8 {
            0..3 => NextHop::Adjacency(AdjacencyId(u32::from(self.next % 6) * 1000)),
            3 | 4 => NextHop::Ecmp(GroupId(u32::from(self.next % 3))),
            5 => NextHop::Unreachable,
            6 => NextHop::Blackhole,
            _ => NextHop::OtherVrf(vrf(self.next)),
        };
        let net = ipnet::IpNet::new(addr, len).unwrap();
        Route { vrf: vrf(self.vrf), prefix: Prefix::from(net), next }
    }
}

fn adjacency(id: u8) -> Adjacency {
    let egress = match id % 6 {
        0 => Egress::Local { port: PortKey(7) },
        1 => Egress::Tunnel {
            vtep: [192, 0, 2, id].into(),
            kind: TunnelKind::Vxlan,
            vni: Vni::new(0xff_ffff).unwrap(),
        },
        2 => Egress::Tunnel {
            vtep: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, id.into()).into(),
            kind: TunnelKind::Geneve,
            vni: Vni::MIN,
        },
        3 => Egress::Tunnel { vtep: [192, 0, 2, id].into(), kind: TunnelKind::Gre, vni: Vni::MAX },
        4 => Egress::Vlan { uplink: PortKey(9), vlan: Some(VlanId::MAX) },
        _ => Egress::Vlan { uplink: PortKey(9), vlan: None },
    };
    Adjacency {
        dst_mac: MacAddr([2, 0, 0, 0, 0, id]),
        src_mac: MacAddr([2, 0, 0, 0, 1, id]),
        egress,
        mtu: 1400 + u16::from(id),
        network: NetworkKey(u32::from(id) << 20),
    }
}

/// What every `AnyRoute` refers to.
pub fn tables() -> Tables {
    let member = |key: u32| Member { key: key * 77, adjacency: AdjacencyId(key * 1000) };
    Tables {
        adjacencies: (0..6).map(|id| (AdjacencyId(u32::from(id) * 1000), adjacency(id))).collect(),
        groups: (0..3).map(|id| (GroupId(id), EcmpGroup::new((0..id * 2 + 1).map(member)))).collect(),
    }
}
