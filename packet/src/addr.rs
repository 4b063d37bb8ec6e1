//! Pairs of addresses, and what RFCs forbid to answer.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Source and destination of one packet: of one family by construction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ends {
    /// IPv4.
    V4 {
        /// Source.
        src: Ipv4Addr,
        /// Destination.
        dst: Ipv4Addr,
    },
    /// IPv6.
    V6 {
        /// Source.
        src: Ipv6Addr,
        /// Destination.
        dst: Ipv6Addr,
    },
}

impl Ends {
    /// Pairs two addresses; `None` if they are of different families.
    pub const fn new(src: IpAddr, dst: IpAddr) -> Option<Self> {
        match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => Some(Self::V4 { src, dst }),
            (IpAddr::V6(src), IpAddr::V6(dst)) => Some(Self::V6 { src, dst }),
            _ => None,
        }
    }

    /// Source.
    pub const fn src(&self) -> IpAddr {
        match self {
            Self::V4 { src, .. } => IpAddr::V4(*src),
            Self::V6 { src, .. } => IpAddr::V6(*src),
        }
    }

    /// Destination.
    pub const fn dst(&self) -> IpAddr {
        match self {
            Self::V4 { dst, .. } => IpAddr::V4(*dst),
            Self::V6 { dst, .. } => IpAddr::V6(*dst),
        }
    }

    /// The way back.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::V4 { src, dst } => Self::V4 { src: dst, dst: src },
            Self::V6 { src, dst } => Self::V6 { src: dst, dst: src },
        }
    }
}

/// True if `addr` can name one host as a source: not network zero, loopback, multicast, class E or broadcast
/// (RFC 1812, section 5.3.7).
pub fn is_host_v4(addr: Ipv4Addr) -> bool {
    !matches!(addr.octets(), [0 | 127 | 224.., ..])
}

/// True if `addr` can name one host as a source: not unspecified, loopback, multicast or IPv4-mapped (RFC 4291,
/// sections 2.5.2, 2.5.3, 2.7; RFC 4443, section 2.4 (e.6)). Anycast cannot be seen from the address.
pub fn is_host_v6(addr: Ipv6Addr) -> bool {
    !(addr.is_unspecified() || addr.is_loopback() || addr.is_multicast() || addr.to_ipv4_mapped().is_some())
}

/// True if packets to `addr` are for more than one host: multicast, limited broadcast and its old form 0.0.0.0
/// (RFC 1122, section 3.2.1.3). The broadcast address of a subnet cannot be told without its mask.
pub fn is_group_v4(addr: Ipv4Addr) -> bool {
    addr.is_multicast() || addr.is_broadcast() || addr.is_unspecified()
}

/// The group that is asked for the MAC address of `addr` (RFC 4291, section 2.7.1).
pub fn solicited_node(addr: Ipv6Addr) -> Ipv6Addr {
    let [.., x, y, z] = addr.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, x, y, z])
}

/// The Ethernet group of an IPv6 multicast address (RFC 2464, section 7).
pub const fn multicast_mac(addr: Ipv6Addr) -> crate::MacAddr {
    let [.., a, b, c, d] = addr.octets();
    crate::MacAddr([0x33, 0x33, a, b, c, d])
}
