//! The tests of the tests: a walker with a mistake is told from the right one. Mistakes are seeded in `walk.rs`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, helpers included")]

#[allow(unreachable_pub, missing_docs, dead_code, reason = "one of several test crates that share it")]
mod common;

use common::mutant_burst;
use fib::{
    Adjacency, AdjacencyId, BURST, DomainNumber, Egress, FibImage, Memory, NetworkKey, NextHop, Options,
    PortKey, Prefix, Route, Tables, VrfId,
};
use packet::MacAddr;
use std::net::IpAddr;

/// Addresses on all of which the right walker and the model agree.
struct Universe {
    memory: Memory,
    vrfs: Vec<VrfId>,
    addrs: Vec<IpAddr>,
}

fn next(index: u32) -> NextHop {
    NextHop::Adjacency(AdjacencyId(index % 50))
}

fn tables() -> Tables {
    let mut tables = Tables::default();
    for id in 0..50 {
        let adjacency = Adjacency {
            dst_mac: MacAddr([2, 0, 0, 0, 0, id]),
            src_mac: MacAddr([2, 0, 0, 0, 1, id]),
            egress: Egress::Local { port: PortKey(id.into()) },
            mtu: 1500,
            network: NetworkKey(1),
        };
        tables.adjacencies.insert(AdjacencyId(id.into()), adjacency);
    }
    tables
}

/// Every structure in few routes: two VRFs with nearly full buckets, deep trees and defaults, two with wide tables.
fn universe() -> Universe {
    let vrfs: Vec<VrfId> = (1..=4).map(|id| VrfId::new(id).unwrap()).collect();
    let (mut routes, mut addrs) = (Vec::new(), Vec::new());
    let mut add = |vrf: VrfId, text: String, index: u32| {
        let prefix: Prefix = text.parse().unwrap();
        routes.push(Route { vrf, prefix, next: next(index) });
        addrs.push(prefix.net().network());
        addrs.push(prefix.net().broadcast());
    };
    for (vrf, offset) in [(vrfs[0], 0), (vrfs[1], 7)] {
        add(vrf, "0.0.0.0/0".into(), 49);
        add(vrf, "::/0".into(), 48);
        for index in 0..200 {
            add(vrf, format!("10.0.{}.{}/32", index / 8, index * 7 % 256), index + offset);
            add(vrf, format!("fd00:{index}::1/128"), index + offset + 3);
            add(vrf, format!("10.{}.{}.0/24", index, index * 11 % 256), index + offset + 5);
            add(vrf, format!("fd00:0:{}:{index}::/64", index % 5), index + offset + 9);
            add(vrf, format!("fd00:0:1:1:{index}::/80"), index + offset + 11);
        }
        if offset == 0 {
            add(vrf, "255.255.255.255/32".into(), 1);
        }
        add(vrf, "255.255.255.254/31".into(), 2 + offset);
        add(vrf, "255.255.255.0/25".into(), 3 + offset);
    }
    for index in 0..9000 {
        add(vrfs[2], format!("20.{}.{}.0/24", index / 256, index % 256), index * 31);
        add(vrfs[2], format!("2001:{:x}:{:x}::/48", index / 100, index % 100), index * 17);
    }
    for index in 0..9000 {
        add(vrfs[3], format!("20.{}.{}.0/24", index / 256, index % 256), index * 31 + 1);
        add(vrfs[3], format!("2001:{:x}:{:x}::/48", index / 100, index % 100), index * 17 + 1);
    }
    add(vrfs[2], "21.0.4.0/22".into(), 4);
    add(vrfs[2], "20.0.0.128/25".into(), 5);
    add(vrfs[2], "32.0.0.0/3".into(), 6);
    add(vrfs[2], "2001:5:5:5::/64".into(), 7);
    let options = Options { load: 95, spare: 0, table_seed: 77, ..Options::default() };
    let memory = fib::build_with(routes.iter().copied(), &tables(), options).unwrap();
    Universe { memory, vrfs, addrs }
}

fn right(image: FibImage<'_>, domain: DomainNumber, addrs: &[IpAddr]) -> Vec<u32> {
    addrs.iter().map(|addr| image.lookup_word(domain, *addr)).collect()
}

/// How many answers a mutant has wrong: alone, and in bursts.
fn wrong<const M: u8>(universe: &Universe) -> (usize, usize) {
    let (image, mut alone, mut in_bursts) = (universe.memory.image(), 0, 0);
    for domain in universe.vrfs.iter().filter_map(|vrf| image.domain(*vrf)) {
        for addrs in universe.addrs.chunks(BURST) {
            let right = right(image, domain, addrs);
            let words = mutant_burst::<M>(image, |_| domain, addrs);
            alone += addrs
                .iter()
                .zip(&right)
                .filter(|(addr, right)| image.mutant_lookup::<M>(domain, **addr) != **right)
                .count();
            in_bursts += words.iter().zip(&right).filter(|(word, right)| word != right).count();
        }
    }
    (alone, in_bursts)
}

macro_rules! mutants {
    ($universe:expr, $($number:literal $name:literal,)*) => {$(
        let (alone, in_bursts) = wrong::<$number>($universe);
        assert!(alone + in_bursts > 0, "mutant {}, {}, is not noticed", $number, $name);
    )*};
}

/// How many answers a mutant has wrong in bursts of two domains, one address in the one, the next in the other.
fn wrong_mixed<const M: u8>(universe: &Universe) -> usize {
    let (image, mut wrong) = (universe.memory.image(), 0);
    let domains: Vec<_> = universe.vrfs.iter().filter_map(|vrf| image.domain(*vrf)).collect();
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = universe.addrs.iter().partition(|addr| addr.is_ipv4());
    for addrs in v4.chunks(BURST).chain(v6.chunks(BURST)) {
        for (even, odd) in [(0, 2), (2, 0), (2, 3), (3, 2)] {
            let domain = |index: usize| domains[if index.is_multiple_of(2) { even } else { odd }];
            let right = addrs.iter().enumerate().map(|(index, addr)| image.lookup_word(domain(index), *addr));
            let words = mutant_burst::<M>(image, domain, addrs);
            wrong += right.zip(words).filter(|(right, word)| right != word).count();
        }
    }
    wrong
}

macro_rules! of_bursts {
    ($universe:expr, $($number:literal $name:literal,)*) => {$(
        let (_, alone) = wrong::<$number>($universe);
        let mixed = wrong_mixed::<$number>($universe);
        assert!(alone + mixed > 0, "mutant {}, {}, is not noticed", $number, $name);
    )*};
}

#[test]
fn every_mutant_is_noticed() {
    let universe = universe();
    assert_eq!(wrong::<0>(&universe), (0, 0), "no mistake, no difference");
    assert_eq!(wrong_mixed::<0>(&universe), 0, "no mistake, no difference");
    mutants! {
        &universe,
        1 "the other bucket is forgotten",
        2 "the word of the next slot",
        3 "all hosts in one domain",
        4 "families confused",
        5 "a directory's own words forgotten",
        6 "the lower half of an IPv6 address forgotten",
        7 "a run begins one slot late",
        8 "an inner start is above its key",
        9 "children are not limited",
        10 "a leaf's start is above its key",
        11 "walks end early",
        12 "the default route forgotten",
        13 "the default route always",
    }
    of_bursts! {
        &universe,
        14 "the tree behind a tree takes the bits of the first",
        15 "all of a burst in the wide table of the first",
        16 "the other bucket's hosts looked up as prefixes too",
    }
}
