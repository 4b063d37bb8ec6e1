//! Rib == naive model == image: every small universe, and random ones; and no bytes make the loader or a walk misstep.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, helpers included")]

#[allow(unreachable_pub, missing_docs, reason = "one of several test crates that share it")]
mod common;

use bolero::TypeGenerator;
use common::{AnyAddr, AnyRoute, tables, vrf};
use fib::naive::Model;
use fib::{BuildError, FibImage, LoadError, NextHop, Prefix, Rib, Route, Tables, Verdict, VrfId, layout1};
use packet::{Ends, FiveTuple};
use std::net::IpAddr;

#[derive(Debug, Clone, Copy, TypeGenerator)]
enum Op {
    Insert(AnyRoute),
    Remove(AnyRoute),
}

fn agree(rib: &Rib, model: &Model, image: &FibImage<'_>, addrs: impl Iterator<Item = IpAddr>) {
    for addr in addrs {
        for vrf in (0..3).map(vrf) {
            let want = model.lookup(vrf, addr);
            assert_eq!(rib.lookup(vrf, addr), want, "rib, {vrf}, {addr}");
            assert_eq!(image.lookup(vrf, addr), want, "image, {vrf}, {addr}");
        }
    }
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
        let bytes = rib.image(5, 6).unwrap();
        let image = FibImage::load(&bytes).unwrap();
        assert_eq!((image.epoch(), image.hash_seed()), (5, 6));
        assert_eq!(image.routes().collect::<Vec<_>>(), routes);
        assert_eq!(image.tables(), tables());
        // First and last address of each prefix, and its neighbours outside, besides random ones.
        let edges = routes.iter().flat_map(|route| edges(route.prefix));
        agree(&rib, &model, &image, edges.chain(addrs.iter().map(|addr| addr.addr())));
    });
}

fn edges(prefix: Prefix) -> Vec<IpAddr> {
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
            let bytes = rib.image(0, 0).unwrap();
            agree(&rib, &model, &FibImage::load(&bytes).unwrap(), addrs.iter().copied());
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
            rib.image(0, 0).unwrap()
        };
        for inserts in &orders[set.len()] {
            for removes in &orders[set.len()] {
                let (mut rib, mut model) = (Rib::new(), Model::default());
                for index in inserts {
                    rib.insert(set[*index]);
                    model.insert(set[*index]);
                }
                assert_eq!(rib.image(0, 0).unwrap(), sealed, "the image depends on the order");
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

fn image_of(routes: &[AnyRoute]) -> Vec<u8> {
    let mut rib = Rib::with_tables(tables());
    routes.iter().for_each(|route| _ = rib.insert(route.route()));
    rib.image(1, 2).unwrap()
}

fn flow(addr: IpAddr) -> FiveTuple {
    FiveTuple { ends: Ends::new(addr, addr).unwrap(), protocol: 6, src_port: 1, dst_port: 2 }
}

#[test]
fn arbitrary_and_damaged_bytes_are_refused() {
    bolero::check!().with_type::<Vec<u8>>().for_each(|bytes| assert!(FibImage::load(bytes).is_err()));
    type Case = (Vec<AnyRoute>, u32, u8, u32);
    bolero::check!().with_type::<Case>().for_each(|(routes, at, flip, keep)| {
        let good = image_of(routes);
        let mut bytes = good.clone();
        let at = usize::try_from(*at).unwrap() % bytes.len();
        bytes[at] ^= flip | 1;
        assert!(FibImage::load(&bytes).is_err(), "byte {at} changed");
        let keep = usize::try_from(*keep).unwrap() % good.len();
        assert!(FibImage::load(&good[..keep]).is_err(), "cut to {keep}");
        assert!(FibImage::load(&[&good[..], &[0]].concat()).is_err(), "one byte more");
    });
}

/// The checksum is no defence: whoever writes hostile bytes seals them. What then loads is exactly what its own routes
/// compile to, and every walk over it ends.
#[test]
fn hostile_bytes_with_a_right_checksum_are_refused_or_canonical() {
    type Case = (Vec<AnyRoute>, Vec<(u32, u8)>, Vec<AnyAddr>);
    let counts = std::sync::Mutex::new((0, 0));
    bolero::check!().with_iterations(1000).with_type::<Case>().for_each(|(routes, damage, addrs)| {
        let mut bytes = image_of(routes);
        for (at, value) in damage.iter().take(4) {
            // Half of the damage goes to headers and small numbers, where most of the sense is.
            let at = usize::try_from(*at).unwrap();
            let at = if at % 2 == 0 { at / 2 % 180 } else { at / 2 % bytes.len() };
            let Some(byte) = bytes.get_mut(at) else { continue };
            *byte = if at % 3 == 0 { *value } else { byte.wrapping_add(value % 3) };
        }
        layout1::seal(&mut bytes);
        let Ok(image) = FibImage::load(&bytes) else {
            return counts.lock().unwrap().1 += 1;
        };
        counts.lock().unwrap().0 += 1;
        let routes: Vec<Route> = image.routes().collect();
        let mut model = Model::default();
        for route in &routes {
            assert_eq!(model.insert(*route), None, "a route twice");
        }
        let again = fib::build(routes, &image.tables(), image.epoch(), image.hash_seed());
        assert_eq!(again.as_ref(), Ok(&bytes));
        for addr in addrs.iter().map(|addr| addr.addr()) {
            for vrf in (0..3).map(vrf) {
                assert_eq!(image.lookup(vrf, addr), model.lookup(vrf, addr));
                _ = image.forward(vrf, &flow(addr));
            }
        }
    });
    let (accepted, refused) = counts.into_inner().unwrap();
    assert!(accepted > 20 && refused > 20, "{accepted} accepted, {refused} refused");
}

#[test]
fn refusals_name_what_is_wrong() {
    let route = |vrf, bits| AnyRoute { vrf, place: AnyAddr { v6: false, bits }, len: 0, next: 5 };
    let good = image_of(&[route(0, 1), route(1, 1), route(1, 2)]);
    // Changes one byte (offsets as on the format's page), and tells what a right checksum leaves to find.
    let refused = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        layout1::seal(&mut bytes);
        FibImage::load(&bytes).unwrap_err()
    };
    assert!(matches!(refused(0, b'X'), LoadError::Magic(_)));
    assert!(matches!(refused(10, 97), LoadError::Size { what: "header size", says: 97, want: 96 }));
    assert!(matches!(refused(12, 5), LoadError::Size { what: "section count", says: 5, want: 6 }));
    assert!(matches!(refused(16, 0), LoadError::Size { what: "size", says, .. } if says % 256 == 0));
    assert_eq!(refused(48 + 8, 1), LoadError::Section(1), "offset of the IPv4 routes");
    assert_eq!(refused(48 + 12 + 3, 0xff), LoadError::Section(1), "number of the IPv4 routes");
    // The second VRF takes the first one's routes as well; then both end early.
    let second = VrfId::MIN.get() + 7;
    assert_eq!(refused(96 + 20 + 4, 0), LoadError::Share { what: "vrf", id: second });
    assert_eq!(refused(96 + 20 + 8, 1), LoadError::Share { what: "vrf", id: second });
    assert_eq!(refused(96 + 40 + 13, 1), LoadError::Contradiction(96 + 40 + 13), "reserved byte");
    assert_eq!(refused(96 + 40 + 4, 0), LoadError::Contradiction(96 + 40 + 4), "its own parent");

    let mut unsealed = good.clone();
    unsealed[32] ^= 1;
    assert!(matches!(FibImage::load(&unsealed), Err(LoadError::Checksum { .. })));
    let mut longer = [&good[..], &[0]].concat();
    assert!(matches!(FibImage::load(&longer), Err(LoadError::Size { what: "size", .. })));
    let len = longer.len();
    longer[16..24].copy_from_slice(&u64::try_from(len).unwrap().to_le_bytes());
    layout1::seal(&mut longer);
    assert!(matches!(FibImage::load(&longer), Err(LoadError::Size { what: "section data", .. })));
}

#[test]
fn forward_follows_groups_and_vrfs_to_an_end() {
    let routes = |nexts: &[(u8, NextHop)]| -> Vec<u8> {
        let prefix: Prefix = "0.0.0.0/0".parse().unwrap();
        let routes = nexts.iter().map(|(index, next)| Route { vrf: vrf(*index), prefix, next: *next });
        fib::build(routes, &tables(), 0, fib::hash::DEFAULT_SEED).unwrap()
    };
    let group = fib::GroupId(2);
    let bytes =
        routes(&[(0, NextHop::OtherVrf(vrf(1))), (1, NextHop::Ecmp(group)), (2, NextHop::Unreachable)]);
    let image = FibImage::load(&bytes).unwrap();
    let (flow, v6) = (flow([10, 0, 0, 1].into()), flow("fd00::1".parse().unwrap()));
    let member =
        tables().groups[&group].choose(fib::hash::flow_hash(&flow, fib::hash::DEFAULT_SEED)).unwrap();
    let adjacency = tables().adjacencies[&member.adjacency];
    assert_eq!(image.forward(vrf(0), &flow), Verdict::Forward(adjacency));
    assert_eq!(image.adjacency(member.adjacency), Some(adjacency));
    assert_eq!(image.forward(vrf(2), &flow), Verdict::Unreachable);
    assert_eq!(image.forward(vrf(0), &v6), Verdict::Unreachable, "no route of this family");

    let bytes =
        routes(&[(0, NextHop::OtherVrf(vrf(1))), (1, NextHop::OtherVrf(vrf(0))), (2, NextHop::Blackhole)]);
    let image = FibImage::load(&bytes).unwrap();
    assert_eq!(image.forward(vrf(0), &flow), Verdict::Loop);
    assert_eq!(image.forward(vrf(2), &flow), Verdict::Blackhole);
}

#[test]
fn errors_name_the_object() {
    let route = |next| Route { vrf: vrf(0), prefix: "10.0.0.0/8".parse().unwrap(), next };
    let build = |routes: &[Route], tables: Tables| fib::build(routes.iter().copied(), &tables, 0, 0);
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

    assert_eq!(FibImage::load(&[0; 95]).unwrap_err(), LoadError::TooShort(95));
    let mut newer = image_of(&[]);
    newer[8] = 2;
    assert_eq!(FibImage::load(&newer).unwrap_err().to_string(), "fib image has version 2: want 1");
    let text = "10.0.0.1/8".parse::<Prefix>().unwrap_err().to_string();
    assert_eq!(text, "10.0.0.1/8 has host bits set: want 10.0.0.0/8");
}
