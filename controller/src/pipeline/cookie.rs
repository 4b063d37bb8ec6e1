//! Whose flow it is: round | category | part | object.

use crate::model::ObjectKey;
use std::fmt;

/// What kind of thing a flow was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Category {
    /// The same on every chassis.
    Base = 1,
    /// A network.
    Network = 2,
    /// A slice of the local ports of a network.
    FloodPorts = 3,
    /// A slice of the tunnels of a network.
    FloodTunnels = 4,
    /// A port.
    Port = 5,
    /// A router.
    Router = 6,
}

/// The smallest set of flows that is compiled as one: what one object, or a slice of it, needs on a chassis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId {
    /// What kind of thing.
    pub category: Category,
    /// Which slice, for the flood categories; else 0.
    pub part: u16,
    /// Which object of its kind, below 2^24; 0 for [`Category::Base`].
    pub object: ObjectKey,
}

/// The 64 bits that a flow carries: 16 of the controller's round, 8 category, 16 part, 24 object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cookie {
    /// Which start of the controller wrote the flow: for people; a flow of an earlier round is as good.
    pub round: u16,
    /// What the flow was made for.
    pub unit: UnitId,
}

impl Category {
    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            1 => Self::Base,
            2 => Self::Network,
            3 => Self::FloodPorts,
            4 => Self::FloodTunnels,
            5 => Self::Port,
            6 => Self::Router,
            _ => return None,
        })
    }
}

impl UnitId {
    /// What every chassis has.
    pub const BASE: Self = Self { category: Category::Base, part: 0, object: ObjectKey(0) };

    /// The unit of a whole object.
    pub const fn whole(category: Category, object: ObjectKey) -> Self {
        Self { category, part: 0, object }
    }
}

impl Cookie {
    /// The bits of a cookie that say whose flow it is; the others are the round.
    pub const UNIT_MASK: u64 = (1 << 48) - 1;

    /// As the switch keeps it.
    pub const fn to_bits(self) -> u64 {
        (self.round as u64) << 48
            | (self.unit.category as u64) << 40
            | (self.unit.part as u64) << 24
            | (self.unit.object.0 & 0xff_ffff) as u64
    }

    /// What a cookie says, if it is one of ours.
    #[expect(clippy::cast_possible_truncation, reason = "each part is cut out by its shift")]
    pub fn from_bits(bits: u64) -> Option<Self> {
        let category = Category::from_bits((bits >> 40) as u8)?;
        let unit =
            UnitId { category, part: (bits >> 24) as u16, object: ObjectKey((bits & 0xff_ffff) as u32) };
        Some(Self { round: (bits >> 48) as u16, unit })
    }
}

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { category, part, object: ObjectKey(key) } = self;
        match category {
            Category::Base => f.write_str("base"),
            Category::Network => write!(f, "network #{key}"),
            Category::FloodPorts => write!(f, "network #{key}, ports slice {part}"),
            Category::FloodTunnels => write!(f, "network #{key}, tunnels slice {part}"),
            Category::Port => write!(f, "port #{key}"),
            Category::Router => write!(f, "router #{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_round_trip() {
        bolero::check!().with_type::<u64>().for_each(|&bits| {
            if let Some(cookie) = Cookie::from_bits(bits) {
                assert_eq!(cookie.to_bits(), bits);
            }
        });
    }
}
