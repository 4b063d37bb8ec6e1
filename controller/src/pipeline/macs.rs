//! MACs that Dragonflow makes up: locally administered (IEEE 802-2014, 8.4), told apart by their first octets.

use crate::model::ObjectKey;
use packet::MacAddr;

const CHASSIS: u64 = 0x0edc << 32;
const ROUTER: u64 = 0x0edf << 32;

/// What the MACs of all chassis have in common, and which bits that is.
pub const CHASSIS_BLOCK: (MacAddr, MacAddr) =
    (MacAddr::from_u64(CHASSIS), MacAddr::from_u64(0xffff_ff00_0000));

/// The MAC under which a chassis sends routed packets to physical networks.
pub const fn chassis(key: ObjectKey) -> MacAddr {
    MacAddr::from_u64(CHASSIS | key.0 as u64 & 0xff_ffff)
}

/// The MAC of a router on every network it is attached to, unless an interface says otherwise.
pub const fn router(key: ObjectKey) -> MacAddr {
    MacAddr::from_u64(ROUTER | key.0 as u64 & 0xff_ffff)
}
