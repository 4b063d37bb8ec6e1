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
        entry: fib::Entry::default(),
    }
}

/// First and last address of a prefix, and its neighbours outside.
pub fn edges(prefix: Prefix) -> Vec<IpAddr> {
    let net = prefix.net();
    match (net.network(), net.broadcast()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            let (first, last) = (first.to_bits(), last.to_bits());
            [first.wrapping_sub(1), first, last, last.wrapping_add(1)]
                .map(|bits| IpAddr::V4(bits.into()))
                .into()
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            let (first, last) = (first.to_bits(), last.to_bits());
            [first.wrapping_sub(1), first, last, last.wrapping_add(1)]
                .map(|bits| IpAddr::V6(bits.into()))
                .into()
        }
        _ => panic!("a prefix of two families"),
    }
}

/// The routes that some address matches: those whose addresses do not all have longer prefixes. And default routes.
pub fn visible(routes: &[Route]) -> Vec<Route> {
    let hidden = |route: &Route| {
        let others: Vec<ipnet::IpNet> =
            routes.iter().filter(|other| other.vrf == route.vrf).map(|other| other.prefix.net()).collect();
        halves(route.prefix.net()).is_some_and(|halves| halves.iter().all(|half| covered(*half, &others)))
    };
    routes.iter().filter(|route| route.prefix.len() == 0 || !hidden(route)).copied().collect()
}

fn halves(net: ipnet::IpNet) -> Option<Vec<ipnet::IpNet>> {
    net.subnets(net.prefix_len() + 1).ok().map(Iterator::collect)
}

fn covered(net: ipnet::IpNet, others: &[ipnet::IpNet]) -> bool {
    let within: Vec<ipnet::IpNet> = others.iter().filter(|other| net.contains(*other)).copied().collect();
    within.contains(&net)
        || !within.is_empty()
            && halves(net).is_some_and(|halves| halves.iter().all(|half| covered(*half, &within)))
}

/// Scalar lookups, bursts and the model agree on these addresses, in all VRFs.
pub fn agree(model: &fib::naive::Model, image: fib::FibImage<'_>, addrs: &[IpAddr]) {
    for vrf in (0..3).map(vrf) {
        let Some(domain) = image.domain(vrf) else {
            assert!(addrs.iter().all(|addr| model.lookup(vrf, *addr).is_none()), "{vrf} is not in the image");
            continue;
        };
        for addr in addrs {
            assert_eq!(image.lookup(vrf, *addr), model.lookup(vrf, *addr), "{vrf}, {addr}");
        }
        for addrs in addrs.chunks(fib::BURST) {
            let scalar: Vec<u32> = addrs.iter().map(|addr| image.lookup_word(domain, *addr)).collect();
            assert_eq!(burst(image, domain, addrs), scalar, "{vrf}, {addrs:?}");
            assert_eq!(mutant_burst::<0>(image, |_| domain, addrs), scalar, "{vrf}, {addrs:?}, portable");
        }
    }
}

/// The words of a burst with the machine's instructions; addresses of both families are parted.
pub fn burst(image: fib::FibImage<'_>, domain: fib::DomainNumber, addrs: &[IpAddr]) -> Vec<u32> {
    let burst4 = |keys: &[_], words: &mut _| image.burst4(keys, words);
    parted(|_| domain, addrs, burst4, |keys, words| image.burst6(keys, words))
}

/// The same of a mutant, or, of mutant 0, with the instructions that every machine has; each address, by its index, in
/// a domain.
pub fn mutant_burst<const M: u8>(
    image: fib::FibImage<'_>,
    domain: impl Fn(usize) -> fib::DomainNumber,
    addrs: &[IpAddr],
) -> Vec<u32> {
    let burst4 = |keys: &[_], words: &mut _| image.mutant_burst4::<M>(keys, words);
    parted(domain, addrs, burst4, |keys, words| image.mutant_burst6::<M>(keys, words))
}

fn parted(
    domain: impl Fn(usize) -> fib::DomainNumber,
    addrs: &[IpAddr],
    burst4: impl Fn(&[(fib::DomainNumber, u32)], &mut [u32; fib::BURST]),
    burst6: impl Fn(&[(fib::DomainNumber, u128)], &mut [u32; fib::BURST]),
) -> Vec<u32> {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for (index, addr) in addrs.iter().enumerate() {
        match addr {
            IpAddr::V4(addr) => v4.push((domain(index), addr.to_bits())),
            IpAddr::V6(addr) => v6.push((domain(index), addr.to_bits())),
        }
    }
    let (mut words4, mut words6) = ([7; fib::BURST], [7; fib::BURST]);
    burst4(&v4, &mut words4);
    burst6(&v6, &mut words6);
    let (mut words4, mut words6) = (words4.into_iter(), words6.into_iter());
    let word = |addr: &IpAddr| if addr.is_ipv4() { words4.next() } else { words6.next() };
    addrs.iter().map(word).map(Option::unwrap).collect()
}
