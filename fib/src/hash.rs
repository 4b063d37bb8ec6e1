//! The flow hash and the choice of an ECMP member: the same answer for both directions, on every chassis, in every
//! walker.
//!
//! All arithmetic is on unsigned 64-bit integers modulo 2^64, so that C and eBPF do the same:
//!
//! - `mix(x)` is the finalizer of MurmurHash3 (`fmix64`): a bijection on 64 bits.
//! - `end(addr, port)` for IPv4 is `mix(addr ^ seed ^ port << 48)`; for IPv6
//!   `mix(mix(high ^ seed) ^ low ^ port << 48)`, where `high` and `low` are the address's halves as big-endian numbers.
//! - `flow_hash` is the upper half of `mix(end(src, src_port) + end(dst, dst_port) + protocol)`. The sum is what makes
//!   both directions equal.
//! - The member chosen is the one with the highest `mix(flow_hash << 32 | key)` (rendezvous hashing, Thaler and
//!   Ravishankar, IEEE/ACM ToN 6(1), 1998): when a member goes, only its flows move, evenly to the others; when one
//!   comes, it takes an equal share from each. Scores of different keys differ, since `mix` is a bijection.

use core::net::IpAddr;
use packet::{Ends, FiveTuple};

/// The seed of deployments that set none.
pub const DEFAULT_SEED: u64 = 0x6472_6167_6f6e_666c;

/// The hash of a flow; equal for a packet and its answer.
pub fn flow_hash(flow: &FiveTuple, seed: u64) -> u32 {
    let (src, dst) = ends(&flow.ends);
    let sum = end(src, flow.src_port, seed)
        .wrapping_add(end(dst, flow.dst_port, seed))
        .wrapping_add(flow.protocol.into());
    let [upper @ .., _, _, _, _] = mix(sum).to_be_bytes();
    u32::from_be_bytes(upper)
}

/// The index of the key with the highest score; `None` without keys.
pub fn choose(flow_hash: u32, keys: impl Iterator<Item = u32>) -> Option<usize> {
    let scored =
        keys.enumerate().map(|(index, key)| (mix(u64::from(flow_hash) << 32 | u64::from(key)), index));
    scored.max_by_key(|(score, _)| *score).map(|(_, index)| index)
}

fn ends(ends: &Ends) -> (IpAddr, IpAddr) {
    (ends.src(), ends.dst())
}

fn end(addr: IpAddr, port: u16, seed: u64) -> u64 {
    let port = u64::from(port) << 48;
    match addr {
        IpAddr::V4(addr) => mix(u64::from(addr.to_bits()) ^ seed ^ port),
        IpAddr::V6(addr) => {
            let [a, b, c, d, e, f, g, h, low @ ..] = addr.octets();
            let high = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            mix(mix(high ^ seed) ^ u64::from_be_bytes(low) ^ port)
        }
    }
}

pub(crate) const fn mix(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ x >> 33
}

/// The home bucket of a hash.
#[inline(always)]
pub(crate) const fn home(hash: u64, count: u32) -> u32 {
    scale(hash >> 32, count)
}

/// The other bucket of a hash: not the home, unless there is but one bucket.
#[inline(always)]
pub(crate) const fn other(hash: u64, count: u32) -> u32 {
    let (home, other) = (home(hash, count), scale(hash & 0xffff_ffff, count));
    if home != other {
        return other;
    }
    if home + 1 == count { 0 } else { home + 1 }
}

/// A half of a hash as a number below `count`.
#[inline(always)]
const fn scale(half: u64, count: u32) -> u32 {
    ((half * count as u64) >> 32) as u32
}

/// The bucket hash of a 64-bit key.
#[inline(always)]
pub(crate) const fn of_key(key: u64, seed: u64) -> u64 {
    mix(key ^ seed)
}

/// The bucket hash of an IPv6 host.
#[inline(always)]
pub(crate) const fn of_host6(tag: u32, upper: u64, lower: u64, seed: u64) -> u64 {
    mix(mix(mix(tag as u64 ^ seed) ^ upper) ^ lower)
}
