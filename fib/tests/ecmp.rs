//! The flow hash and the choice of a member: equal both ways, even, and steady when members come and go.
#![allow(clippy::unwrap_used, reason = "tests, helpers included")]

use bolero::TypeGenerator;
use fib::hash::{DEFAULT_SEED, choose, flow_hash};
use fib::{AdjacencyId, EcmpGroup, Member};
use packet::{Ends, FiveTuple};
use std::net::{Ipv4Addr, Ipv6Addr};

#[derive(Debug, Clone, Copy, TypeGenerator)]
struct AnyFlow {
    v6: bool,
    src: [u8; 16],
    dst: [u8; 16],
    protocol: u8,
    ports: (u16, u16),
}

impl AnyFlow {
    fn flow(self) -> FiveTuple {
        let v4 = |octets: [u8; 16]| Ipv4Addr::from(*octets.first_chunk::<4>().unwrap());
        let ends = if self.v6 {
            Ends::V6 { src: self.src.into(), dst: self.dst.into() }
        } else {
            Ends::V4 { src: v4(self.src), dst: v4(self.dst) }
        };
        FiveTuple { ends, protocol: self.protocol, src_port: self.ports.0, dst_port: self.ports.1 }
    }
}

fn reversed(flow: FiveTuple) -> FiveTuple {
    let FiveTuple { ends, protocol, src_port, dst_port } = flow;
    FiveTuple { ends: ends.reversed(), protocol, src_port: dst_port, dst_port: src_port }
}

#[test]
fn both_directions_hash_alike() {
    bolero::check!().with_type::<(AnyFlow, u64)>().for_each(|(flow, seed)| {
        let flow = flow.flow();
        assert_eq!(flow_hash(&flow, *seed), flow_hash(&reversed(flow), *seed));
    });
}

fn group(keys: &[u32]) -> EcmpGroup {
    EcmpGroup::new(keys.iter().map(|key| Member { key: *key, adjacency: AdjacencyId(*key) }))
}

#[test]
fn only_flows_of_the_changed_member_move() {
    bolero::check!().with_type::<(Vec<u32>, u32, u32)>().for_each(|(keys, extra, hash)| {
        let with = group(&[&keys[..], &[*extra]].concat());
        let without: Vec<u32> = keys.iter().copied().filter(|key| key != extra).collect();
        let (before, after) = (group(&without).choose(*hash), with.choose(*hash).unwrap());
        // One direction of time is a member that comes, the other one that goes.
        assert!(after.key == *extra || Some(after) == before);
        let backwards = EcmpGroup::new(with.members().iter().rev().copied());
        assert_eq!(backwards, with, "the order given matters");
    });
}

/// Flows of one client to one server, which differ in their source port only, and clients of one subnet.
fn similar_flows(v6: bool) -> impl Iterator<Item = FiveTuple> {
    (0..20_000_u16).map(move |index| {
        let [host, _] = (index % 50).to_le_bytes();
        let ends = if v6 {
            let addr = |net, host: u8| Ipv6Addr::new(0xfd00, 0, 0, net, 0, 0, 0, host.into());
            Ends::V6 { src: addr(1, host), dst: addr(2, 1) }
        } else {
            Ends::V4 { src: [10, 0, 1, host].into(), dst: [10, 0, 2, 1].into() }
        };
        FiveTuple { ends, protocol: 6, src_port: 32_768 + index / 50, dst_port: 443 }
    })
}

#[test]
fn members_share_similar_flows_evenly() {
    for v6 in [false, true] {
        for count in [2_u32, 3, 7, 16] {
            let group = group(&(0..count).collect::<Vec<_>>());
            let mut shares = vec![0_u32; usize::try_from(count).unwrap()];
            for flow in similar_flows(v6) {
                let member = group.choose(flow_hash(&flow, DEFAULT_SEED)).unwrap();
                shares[usize::try_from(member.key).unwrap()] += 1;
            }
            let fair = f64::from(20_000 / count);
            // Five standard deviations of a fair draw; the flows are fixed, so this does not vary from run to run.
            let slack = 5.0 * fair.sqrt();
            assert!(shares.iter().all(|share| (f64::from(*share) - fair).abs() < slack), "{shares:?}");
        }
    }
}

/// Numbers for walkers in other languages, worked out from the formulas of the module in another language.
#[test]
fn test_vectors_hold() {
    let v4 = FiveTuple {
        ends: Ends::V4 { src: [10, 0, 0, 1].into(), dst: [10, 0, 1, 2].into() },
        protocol: 17,
        src_port: 5000,
        dst_port: 53,
    };
    let v6 = FiveTuple {
        ends: Ends::V6 {
            src: Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 0, 1),
            dst: Ipv6Addr::new(0xfd00, 0, 0, 2, 0, 0, 0, 2),
        },
        ..v4
    };
    assert_eq!(flow_hash(&v4, DEFAULT_SEED), 0x6020_6efb);
    assert_eq!(flow_hash(&v6, DEFAULT_SEED), 0x1246_07e1);
    assert_eq!(choose(0x1234_5678, [11, 22, 33, 44].into_iter()), Some(1));
    assert_eq!(choose(0x1234_5678, core::iter::empty()), None);
}
