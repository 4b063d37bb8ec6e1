//! The same image, the same keys: the walker in eBPF gives the words that the walker in Rust gives.
//!
//! `DIFFERENTIAL_KEYS=100000000 cargo test -p datapath --release --test lookup` is the long run.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that panics has failed; numbers are small"
)]

mod common;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, ensure};
use common::{Chance, option};
use datapath::lookup::{KEYS, Key, Lookup, Peers, Walker};
use datapath::maps::ImageMap;
use fib::{
    Adjacency, AdjacencyId, DomainNumber, Egress, NetworkKey, NextHop, Options, PortKey, Prefix, Route,
    Tables, VrfId, build_with,
};
use packet::MacAddr;

const ADJACENCIES: u64 = 500;

fn tables() -> Tables {
    let adjacency = |id: u32| {
        let mac = |last| {
            MacAddr([2, 0, 0, u8::try_from(id >> 8 & 0xff).unwrap(), u8::try_from(id & 0xff).unwrap(), last])
        };
        Adjacency {
            dst_mac: mac(1),
            src_mac: mac(2),
            egress: Egress::Local { port: PortKey(id) },
            mtu: 1500,
            network: NetworkKey(1),
        }
    };
    let ids = 0..u32::try_from(ADJACENCIES).unwrap();
    Tables { adjacencies: ids.map(|id| (AdjacencyId(id), adjacency(id))).collect(), ..Tables::default() }
}

/// An address that has a chance to meet others: of few networks, in all VRFs the same.
fn address(chance: &mut Chance) -> IpAddr {
    if chance.one_in(2) {
        let base = [0x0a00_0000, 0xc0a8_0000, 0x0a01_0000, 0][chance.below(4) as usize];
        let bits = [8, 16, 24, 32][chance.below(4) as usize];
        Ipv4Addr::from_bits(base ^ u32::try_from(chance.below(1 << bits)).unwrap()).into()
    } else {
        let base = [0xfd00_u128 << 112, 0x2001_0db8_u128 << 96, 0][chance.below(3) as usize];
        let bits = [8, 32, 64, 127][chance.below(4) as usize];
        Ipv6Addr::from_bits(base ^ (chance.u128() & ((1 << bits) - 1))).into()
    }
}

fn prefix(chance: &mut Chance) -> Prefix {
    let addr = address(chance);
    let most = if addr.is_ipv4() { 32 } else { 128 };
    let len = if chance.one_in(2) { most } else { u8::try_from(chance.below(u64::from(most) + 1)).unwrap() };
    Prefix::from(ipnet::IpNet::new(addr, len).unwrap())
}

/// Few VRFs with many routes, so that trees grow to all their levels, and many with few.
fn routes(chance: &mut Chance, count: u64) -> Vec<Route> {
    let mut all = BTreeMap::new();
    for _ in 0..count {
        let vrf = if chance.one_in(2) { 1 + chance.below(3) } else { 1 + chance.below(500) };
        let vrf = VrfId::new(vrf).unwrap();
        let next = match chance.below(12) {
            0 => NextHop::Unreachable,
            1 => NextHop::Blackhole,
            2 => NextHop::OtherVrf(VrfId::new(1 + chance.below(500)).unwrap()),
            _ => NextHop::Adjacency(AdjacencyId(u32::try_from(chance.below(ADJACENCIES)).unwrap())),
        };
        all.insert((vrf, prefix(chance)), next);
    }
    all.into_iter().map(|((vrf, prefix), next)| Route { vrf, prefix, next }).collect()
}

/// Addresses of routes, beside them, and anywhere.
fn keys(chance: &mut Chance, routes: &[Route]) -> Vec<(VrfId, IpAddr)> {
    let one = |_| {
        let route = chance.pick(routes);
        let addr = match (chance.below(4), route.prefix.addr()) {
            (0, _) => address(chance),
            (1, addr) => addr,
            (2, IpAddr::V4(addr)) => Ipv4Addr::from_bits(addr.to_bits().wrapping_sub(1)).into(),
            (2, IpAddr::V6(addr)) => Ipv6Addr::from_bits(addr.to_bits().wrapping_sub(1)).into(),
            (_, IpAddr::V4(addr)) => {
                let host = chance.next() & (u64::from(u32::MAX) >> route.prefix.len());
                Ipv4Addr::from_bits(addr.to_bits() | u32::try_from(host).unwrap()).into()
            }
            (_, IpAddr::V6(addr)) => {
                let mask = u128::MAX.checked_shr(route.prefix.len().into()).unwrap_or(0);
                Ipv6Addr::from_bits(addr.to_bits() | chance.u128() & mask).into()
            }
        };
        (if chance.one_in(8) { chance.pick(routes).vrf } else { route.vrf }, addr)
    };
    (0..KEYS).map(one).collect()
}

fn key_of(domain: DomainNumber, addr: IpAddr) -> Key {
    match addr {
        IpAddr::V4(addr) => Key { upper: u64::from(addr.to_bits()) << 32, lower: 0, vrf: domain.0, v6: 0 },
        IpAddr::V6(addr) => {
            let [upper, lower] = [addr.to_bits() >> 64, addr.to_bits() & u128::from(u64::MAX)];
            let half = |half| u64::try_from(half).unwrap();
            Key { upper: half(upper), lower: half(lower), vrf: domain.0, v6: 1 }
        }
    }
}

#[test]
fn ebpf_gives_the_words_that_rust_gives() -> Result<()> {
    let total = option("DIFFERENTIAL_KEYS", 1_000_000).div_ceil(KEYS as u64);
    let mut chance = Chance(option("SEED", 1));
    let (mut compared, mut ended) = (0_u64, [0_u64; 8]);
    // A new table now and then; most of the time goes into building them.
    for round in 0..total.div_ceil(8) {
        // Some with few routes, some with a VRF that is wide.
        let routes = routes(&mut chance, [2_000, 60_000, 200][(round % 3) as usize]);
        let options = Options { table_seed: chance.next(), load: 60, ..Options::default() };
        let mut image = build_with(routes.iter().copied(), &tables(), options).context("build")?;
        let map = ImageMap::create(image.bytes().len())?;
        map.write(image.bytes())?;
        let mut lookup = Lookup::load(&map, Peers::default())?;
        for _ in 0..8.min(total - round * 8) {
            let keys = keys(&mut chance, &routes);
            let image = image.image();
            let domains =
                keys.iter().map(|(vrf, addr)| (image.domain(*vrf).unwrap_or(DomainNumber(0)), *addr));
            let domains: Vec<_> = domains.collect();
            lookup
                .set_keys(&domains.iter().map(|(domain, addr)| key_of(*domain, *addr)).collect::<Vec<_>>())?;
            lookup.run(Walker::Image, 1)?;
            for ((answer, (domain, addr)), (vrf, _)) in lookup.answers()?.iter().zip(&domains).zip(&keys) {
                let word = image.lookup_word(*domain, *addr);
                ensure!(
                    answer.word == word,
                    "vrf {vrf} address {addr}: eBPF says {:#x}, Rust {word:#x} (seed {}, round {round})",
                    answer.word,
                    option("SEED", 1)
                );
                ended[(word >> 29) as usize] += 1;
                compared += 1;
            }
        }
    }
    // A comparison of misses alone would prove nothing.
    let [special, adjacency, _, other, ..] = ended;
    ensure!([special, adjacency, other].iter().all(|count| *count > compared / 100), "one-sided: {ended:?}");
    println!("{compared} keys, by kind {ended:?}");
    Ok(())
}

#[test]
fn the_verifier_finds_the_programs_short() -> Result<()> {
    let map = ImageMap::create(1)?;
    let router = datapath::router::Router::load(&map)?.verified_instructions()?;
    // Exact on this kernel; the bound is for others. At 1,000,000 the kernel refuses.
    ensure!(router < 120_000, "the verifier looks at {router} instructions of the router");
    println!("router: {router} instructions verified");
    Ok(())
}
