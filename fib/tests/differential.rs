//! Many keys, many routes: the mutable table, the scalar walk and both kinds of burst agree.
//!
//! A million keys; `DRAGONFLOW_KEYS=100000000` for a long run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, helpers included")]

#[allow(unreachable_pub, missing_docs, dead_code, reason = "one of several test crates that share it")]
mod common;

use common::{burst, mutant_burst};
use fib::{
    Adjacency, AdjacencyId, BURST, Egress, FibImage, Memory, NetworkKey, NextHop, Options, PortKey, Prefix,
    Rib, Route, Tables, VrfId, Writer,
};
use packet::MacAddr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

fn tables() -> Tables {
    let adjacency = |id: u32| Adjacency {
        dst_mac: MacAddr([2, 0, 0, 0, 0, 1]),
        src_mac: MacAddr([2, 0, 0, 0, 0, 2]),
        egress: Egress::Local { port: PortKey(id) },
        mtu: 1500,
        network: NetworkKey(id),
    };
    Tables { adjacencies: (0..200).map(|id| (AdjacencyId(id), adjacency(id))).collect(), ..Tables::default() }
}

/// Addresses of a crowded part of the space, so that prefixes nest.
fn addr(rng: &mut Rng, v6: bool, wide: bool) -> IpAddr {
    let low = rng.next();
    if v6 {
        let site = if wide { rng.below(6000) } else { rng.below(40) };
        let bits = 0x2001_u128 << 112 | u128::from(site) << 84 | u128::from(low & 0xff) << 72;
        let deep = if low >> 60 == 0 { u128::from(low >> 20 & 0xff) } else { 0 };
        IpAddr::V6(Ipv6Addr::from_bits(bits | deep))
    } else {
        let net = if wide { rng.below(60_000) } else { rng.below(300) };
        IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | u32::try_from(net << 8 | low & 0xff).unwrap()))
    }
}

fn route(rng: &mut Rng, vrfs: u64) -> Route {
    let vrf = VrfId::new(rng.below(vrfs) + 1).unwrap();
    // The first VRF has wide tables.
    let (v6, wide) = (rng.below(2) == 0, vrf == VrfId::MIN);
    let addr = addr(rng, v6, wide);
    let (bits, common) = if v6 { (128, 48 + rng.below(16)) } else { (32, 20 + rng.below(5)) };
    let len = match rng.below(10) {
        0..4 => bits,
        4 => rng.below(bits + 1),
        5 => bits - rng.below(9),
        _ => common,
    };
    let prefix = Prefix::from(ipnet::IpNet::new(addr, u8::try_from(len).unwrap()).unwrap());
    let next = NextHop::Adjacency(AdjacencyId(u32::try_from(rng.below(200)).unwrap()));
    Route { vrf, prefix, next }
}

fn compare(rib: &Rib, image: FibImage<'_>, keys: u64, vrfs: u64, rng: &mut Rng) {
    for _ in 0..keys / BURST as u64 {
        let vrf = VrfId::new(rng.below(vrfs) + 1).unwrap();
        let domain = image.domain(vrf).unwrap();
        let addrs: Vec<IpAddr> =
            (0..BURST).map(|index| addr(rng, index % 2 == 0, vrf == VrfId::MIN)).collect();
        let scalar: Vec<u32> = addrs.iter().map(|addr| image.lookup_word(domain, *addr)).collect();
        for (addr, word) in addrs.iter().zip(&scalar) {
            assert_eq!(image.route_of_word(vrf, *addr, *word), rib.lookup(vrf, *addr), "{vrf}, {addr}");
        }
        assert_eq!(burst(image, domain, &addrs), scalar, "{vrf}, {addrs:?}");
        assert_eq!(mutant_burst::<0>(image, |_| domain, &addrs), scalar, "{vrf}, {addrs:?}, portable");
    }
}

#[test]
fn a_million_keys_without_a_difference() {
    let keys = std::env::var("DRAGONFLOW_KEYS").map_or(1_000_000, |keys| keys.parse().unwrap());
    let (mut rng, vrfs) = (Rng(1), 20);
    let mut rib = Rib::with_tables(tables());
    for index in 0..90_000 {
        // Half of all routes are the first VRF's.
        let mut route = route(&mut rng, vrfs);
        if index % 2 == 0 {
            route.vrf = VrfId::MIN;
            let v6 = route.prefix.addr().is_ipv6();
            let net = ipnet::IpNet::new(addr(&mut rng, v6, true), route.prefix.len()).unwrap();
            route.prefix = Prefix::from(net);
        }
        rib.insert(route);
    }
    let options = Options { load: 90, spare: 30, table_seed: 3, ..Options::default() };
    let mut writer = Writer::new(Memory::default(), rib.routes(), &tables(), options).unwrap();
    let domain = writer.image().domain(VrfId::MIN).unwrap();
    assert_ne!(domain.0 & fib::layout::PREFIXES_ONLY, 0, "the first VRF has no wide tables");
    compare(&rib, writer.image(), keys / 2, vrfs, &mut rng);
    // Then the same of an image that was changed in place.
    for _ in 0..3000 {
        let new = route(&mut rng, vrfs);
        if rng.below(2) == 0 {
            rib.insert(new);
            writer.insert(new).unwrap();
        } else {
            let had = rib.remove(new.vrf, new.prefix).is_some();
            assert_eq!(writer.remove(new.vrf, new.prefix), Ok(had));
        }
        writer.quiesced(writer.epoch());
    }
    compare(&rib, writer.image(), keys / 2, vrfs, &mut rng);
    writer.seal();
    assert_eq!(FibImage::open(writer.container()).map(|image| image.epoch()), Ok(writer.epoch()));
}
