//! Rib == naive model == image: every small universe, and random ones; and no bytes make the loader or a walk misstep.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, helpers included")]

#[allow(unreachable_pub, missing_docs, reason = "one of several test crates that share it")]
mod common;

use bolero::TypeGenerator;
use common::{AnyAddr, AnyRoute, agree, edges, tables, visible, vrf};
use fib::naive::Model;
use fib::{BuildError, FibImage, NextHop, Prefix, Rib, Route, Tables, Verdict};
use packet::{Ends, FiveTuple};
use std::net::IpAddr;

#[derive(Debug, Clone, Copy, TypeGenerator)]
enum Op {
    Insert(AnyRoute),
    Remove(AnyRoute),
}

#[test]
fn rib_model_and_image_agree_after_any_operations() {
    bolero::check!().with_type::<(Vec<Op>, Vec<AnyAddr>)>().for_each(|(ops, addrs)| {
        let (mut rib, mut model) = (Rib::with_tables(tables()), Model::default());
        for op in ops {
            match op {
                Op::Insert(route) => {
                    assert_eq!(rib.insert(route.route()), model.insert(route.route()));
                    assert_eq!(rib.get(route.route().vrf, route.route().prefix), Some(route.route().next));
                }
                Op::Remove(route) => {
                    let Route { vrf, prefix, .. } = route.route();
                    assert_eq!(rib.remove(vrf, prefix), model.remove(vrf, prefix));
                    assert_eq!(rib.get(vrf, prefix), None);
                }
            }
        }
        let routes = model.routes();
        assert_eq!((rib.routes().collect::<Vec<_>>(), rib.len()), (routes.clone(), routes.len()));
        let mut memory = rib.image(5, 6).unwrap();
        let image = FibImage::load(memory.bytes()).unwrap();
        assert_eq!((image.epoch(), image.hash_seed()), (5, 6));
        assert_eq!(image.routes(), visible(&routes));
        assert_eq!(image.tables(), tables());
        // First and last address of each prefix, and its neighbours outside, besides random ones.
        let edges = routes.iter().flat_map(|route| edges(route.prefix));
        let addrs: Vec<IpAddr> = edges.chain(addrs.iter().map(|addr| addr.addr())).collect();
        agree(&model, image, &addrs);
        for (addr, vrf) in addrs.iter().flat_map(|addr| (0..3).map(move |index| (*addr, vrf(index)))) {
            assert_eq!(rib.lookup(vrf, addr), model.lookup(vrf, addr), "rib, {vrf}, {addr}");
        }
    });
}

/// All prefixes of the last `bits` bits of an address space, and the default, as routes; the next hop tells them apart by kind.
fn universe(base: &str, bits: u8) -> Vec<Route> {
    let base: IpAddr = base.parse().unwrap();
    let full = if base.is_ipv6() { 128 } else { 32 };
    let nexts =
        [NextHop::Blackhole, NextHop::Unreachable, NextHop::OtherVrf(vrf(1)), NextHop::OtherVrf(vrf(2))];
    let all = ipnet::IpNet::new(base, full - bits).unwrap();
    let nets = (full - bits..=full).flat_map(|len| all.subnets(len).unwrap());
    let default = ipnet::IpNet::new(base, 0).unwrap();
    let prefixes = nets.chain([default]).map(Prefix::from);
    prefixes
        .zip(nexts.into_iter().cycle())
        .map(|(prefix, next)| Route { vrf: vrf(0), prefix, next })
        .collect()
}

/// Every set of up to `size` of the routes.
fn subsets(routes: &[Route], size: usize, mut each: impl FnMut(&[Route])) {
    fn grow(rest: &[Route], size: usize, chosen: &mut Vec<Route>, each: &mut impl FnMut(&[Route])) {
        each(chosen);
        if size == 0 {
            return;
        }
        for (index, route) in rest.iter().enumerate() {
            chosen.push(*route);
            grow(&rest[index + 1..], size - 1, chosen, each);
            chosen.pop();
        }
    }
    grow(routes, size, &mut Vec::new(), &mut each);
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![vec![]];
    }
    let shorter = permutations(count - 1);
    let insert = |order: &Vec<usize>, at: usize| [&order[..at], &[count - 1], &order[at..]].concat();
    shorter.iter().flat_map(|order| (0..count).map(|at| insert(order, at)).collect::<Vec<_>>()).collect()
}

#[test]
fn every_set_of_four_prefixes_in_four_bits() {
    for base in ["10.0.0.240", "255.255.255.240", "0.0.0.0", "fd00::1f0"] {
        let universe = universe(base, 4);
        let mut addrs: Vec<IpAddr> = universe.iter().flat_map(|route| edges(route.prefix)).collect();
        addrs.sort();
        addrs.dedup();
        let mut sets = 0;
        // Two VRFs: the second has the same prefixes but the first.
        subsets(&universe, if base == "10.0.0.240" { 4 } else { 3 }, |set| {
            let (mut rib, mut model) = (Rib::new(), Model::default());
            let second = set.iter().skip(1).map(|route| Route { vrf: vrf(2), ..*route });
            for route in set.iter().copied().chain(second) {
                rib.insert(route);
                model.insert(route);
            }
            agree(&model, rib.image(0, 0).unwrap().image(), &addrs);
            sets += 1;
        });
        assert!(sets > 4000, "{sets} sets");
    }
}

#[test]
fn every_order_of_insert_and_remove() {
    let universe = universe("10.0.0.8", 3);
    let orders: Vec<_> = (0..=3).map(permutations).collect();
    let addrs = || (0..10).map(|low| IpAddr::from([10, 0, 0, 7 + low]));
    subsets(&universe, 3, |set| {
        let sealed = {
            let mut rib = Rib::new();
            set.iter().for_each(|route| _ = rib.insert(*route));
            rib.image(0, 0).unwrap().bytes().to_vec()
        };
        for inserts in &orders[set.len()] {
            for removes in &orders[set.len()] {
                let (mut rib, mut model) = (Rib::new(), Model::default());
                for index in inserts {
                    rib.insert(set[*index]);
                    model.insert(set[*index]);
                }
                assert_eq!(rib.image(0, 0).unwrap().bytes(), sealed, "the image depends on the order");
                for index in removes {
                    rib.remove(set[*index].vrf, set[*index].prefix);
                    model.remove(set[*index].vrf, set[*index].prefix);
                    for addr in addrs() {
                        assert_eq!(rib.lookup(vrf(0), addr), model.lookup(vrf(0), addr));
                    }
                }
                assert!(rib.is_empty() && rib.vrfs().next().is_none());
            }
        }
    });
}

fn flow(addr: IpAddr) -> FiveTuple {
    FiveTuple { ends: Ends::new(addr, addr).unwrap(), protocol: 6, src_port: 1, dst_port: 2 }
}

#[test]
fn forward_follows_groups_and_vrfs_to_an_end() {
    let routes = |nexts: &[(u8, NextHop)]| {
        let prefix: Prefix = "0.0.0.0/0".parse().unwrap();
        let routes = nexts.iter().map(|(index, next)| Route { vrf: vrf(*index), prefix, next: *next });
        fib::build(routes, &tables(), 0, fib::hash::DEFAULT_SEED).unwrap()
    };
    let group = fib::GroupId(2);
    let bytes =
        routes(&[(0, NextHop::OtherVrf(vrf(1))), (1, NextHop::Ecmp(group)), (2, NextHop::Unreachable)]);
    let image = bytes.image();
    let (flow, v6) = (flow([10, 0, 0, 1].into()), flow("fd00::1".parse().unwrap()));
    let member =
        tables().groups[&group].choose(fib::hash::flow_hash(&flow, fib::hash::DEFAULT_SEED)).unwrap();
    let adjacency = tables().adjacencies[&member.adjacency];
    assert_eq!(image.forward(vrf(0), &flow), Verdict::Forward(adjacency));
    assert_eq!(image.tables().adjacencies.get(&member.adjacency), Some(&adjacency));
    assert_eq!(image.forward(vrf(2), &flow), Verdict::Unreachable);
    assert_eq!(image.forward(vrf(0), &v6), Verdict::Unreachable, "no route of this family");

    let bytes =
        routes(&[(0, NextHop::OtherVrf(vrf(1))), (1, NextHop::OtherVrf(vrf(0))), (2, NextHop::Blackhole)]);
    let image = bytes.image();
    assert_eq!(image.forward(vrf(0), &flow), Verdict::Loop);
    assert_eq!(image.forward(vrf(2), &flow), Verdict::Blackhole);
}

#[test]
fn errors_name_the_object() {
    let route = |next| Route { vrf: vrf(0), prefix: "10.0.0.0/8".parse().unwrap(), next };
    let build =
        |routes: &[Route], tables: Tables| fib::build(routes.iter().copied(), &tables, 0, 0).map(|_| ());
    let missing = fib::AdjacencyId(3);
    let error = build(&[route(NextHop::Adjacency(missing))], tables()).unwrap_err();
    assert_eq!((error, error.to_string()), (BuildError::NoAdjacency(missing), "no adjacency 3".into()));
    let error = build(&[route(NextHop::Ecmp(fib::GroupId(9)))], tables()).unwrap_err();
    assert_eq!(error.to_string(), "no ecmp group 9");
    let twice = [route(NextHop::Blackhole), route(NextHop::Unreachable)];
    let error = build(&twice, tables()).unwrap_err();
    assert_eq!(error.to_string(), "vrf 1 has two routes for 10.0.0.0/8");
    let mut empty = tables();
    empty.groups.insert(fib::GroupId(8), fib::EcmpGroup::default());
    assert_eq!(build(&[], empty).unwrap_err(), BuildError::EmptyGroup(fib::GroupId(8)));

    let text = "10.0.0.1/8".parse::<Prefix>().unwrap_err().to_string();
    assert_eq!(text, "10.0.0.1/8 has host bits set: want 10.0.0.0/8");
}
