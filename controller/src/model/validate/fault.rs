//! What can be wrong with an object, and what to do about it.

use crate::model::{NetworkId, ObjectId, PhysicalNetwork, SubnetId};
use ipnet::IpNet;
use packet::MacAddr;
use std::net::IpAddr;

/// A fault and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{object}: {fault}")]
pub struct Problem {
    /// The object at fault.
    pub object: ObjectId,
    /// Its fault.
    pub fault: Fault,
}

/// Something wrong with an object; the text names the value, [`Fault::hint`] says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the text of each says what it is, its fields are the values in it")]
pub enum Fault {
    #[error("encap_ips names {0} more than once")]
    EncapTwice(IpAddr),
    #[error("encap_ips has two addresses of one family, {0} and {1}")]
    EncapFamily(IpAddr, IpAddr),
    #[error("encap ip {0} cannot be the address of a host")]
    EncapUnusable(IpAddr),
    #[error("encap ip {ip} belongs to {other}")]
    EncapTaken { ip: IpAddr, other: ObjectId },
    #[error("bridge_mappings maps {physical_network} to \"{bridge}\", which cannot be the name of a bridge")]
    BridgeName { physical_network: PhysicalNetwork, bridge: String },
    #[error("bridge_mappings maps both {0} and {1} to bridge {2}")]
    BridgeTwice(PhysicalNetwork, PhysicalNetwork, String),
    #[error("segment {segment} belongs to {other}")]
    SegmentTaken { segment: String, other: ObjectId },
    #[error("mtu {0} is out of range: want 576 to 9216")]
    Mtu(u16),
    #[error("{field} {block} has host bits set")]
    HostBits { field: &'static str, block: IpNet },
    #[error("cidr {0} is not for unicast addresses of hosts")]
    CidrUnusable(IpNet),
    #[error("cidr {cidr} overlaps {other_cidr} of subnet {other} on the same network {network}")]
    OverlapOnNetwork { cidr: IpNet, other: SubnetId, other_cidr: IpNet, network: NetworkId },
    #[error("interfaces on subnet {subnet} ({cidr}) and subnet {other} ({other_cidr}) overlap")]
    OverlapOnRouter { subnet: SubnetId, cidr: IpNet, other: SubnetId, other_cidr: IpNet },
    #[error("{field} {ip} is outside {cidr} of subnet {subnet}")]
    Outside { field: &'static str, ip: IpAddr, subnet: SubnetId, cidr: IpNet },
    #[error("{field} {ip} is the {what} address of {cidr} of subnet {subnet}")]
    Reserved { field: &'static str, ip: IpAddr, what: &'static str, subnet: SubnetId, cidr: IpNet },
    #[error("mac {0} is not the unicast address of a station")]
    MacUnusable(MacAddr),
    #[error("mac {mac} belongs to {other} on the same network {network}")]
    MacTaken { mac: MacAddr, network: NetworkId, other: ObjectId },
    #[error("fixed ip {0} is named more than once")]
    FixedIpTwice(IpAddr),
    #[error(
        "fixed ip {ip} is of subnet {subnet}, which is on network {actual}, not on the port's network {network}"
    )]
    SubnetElsewhere { ip: IpAddr, subnet: SubnetId, actual: NetworkId, network: NetworkId },
    #[error("ip {ip} belongs to {other} on the same subnet {subnet}")]
    IpTaken { ip: IpAddr, subnet: SubnetId, other: ObjectId },
    #[error("more than one interface on subnet {0}")]
    InterfaceTwice(SubnetId),
    #[error("the interface on subnet {0} has no ip, and the subnet no gateway_ip")]
    NoInterfaceIp(SubnetId),
    #[error("more than one route to {0}")]
    RouteTwice(IpNet),
    #[error("the route to {0} has no next hops")]
    NoNextHops(IpNet),
    #[error("the route to {destination} has {count} next hops: at most 64 are possible")]
    NextHopsTooMany { destination: IpNet, count: usize },
    #[error("the route to {destination} names next hop {next_hop} more than once")]
    NextHopTwice { destination: IpNet, next_hop: IpAddr },
    #[error("next hop {next_hop} of the route to {destination} is of the other family")]
    NextHopFamily { destination: IpNet, next_hop: IpAddr },
    #[error("next hop {next_hop} of the route to {destination} is on no subnet attached to the router")]
    NextHopOffLink { destination: IpNet, next_hop: IpAddr },
    #[error("next hop {next_hop} of the route to {destination} is the router's own address")]
    NextHopOwn { destination: IpNet, next_hop: IpAddr },
}

impl Fault {
    /// What to do about it, as one sentence in the imperative.
    pub fn hint(&self) -> String {
        match self {
            Self::EncapTwice(_) | Self::FixedIpTwice(_) => "name each address once".into(),
            Self::EncapFamily(..) => "keep at most one IPv4 and one IPv6 address".into(),
            Self::EncapUnusable(_) => "give the address at which other hosts reach this one".into(),
            Self::EncapTaken { other, .. } => {
                format!("give each chassis its own address, or change {other} first")
            }
            Self::BridgeName { .. } => "use 1 to 15 printable characters without spaces and slashes".into(),
            Self::BridgeTwice(..) => "give each physical network a bridge of its own".into(),
            Self::SegmentTaken { other, .. } => format!("choose another id, or delete {other} first"),
            Self::Mtu(_) => "choose an mtu in the range, or leave it out for the segment's default".into(),
            Self::HostBits { block, .. } => format!("write {}", block.trunc()),
            Self::CidrUnusable(_) => "choose a unicast block, not link-local, loopback or everything".into(),
            Self::OverlapOnNetwork { .. } => "choose a block that does not overlap".into(),
            Self::OverlapOnRouter { .. } => "attach only one of them, or renumber one".into(),
            Self::Outside { cidr, .. } | Self::Reserved { cidr, .. } => {
                format!("choose an address between {} and {}", first_host(cidr), last_host(cidr))
            }
            Self::MacUnusable(_) => {
                "clear the group bit, the lowest of the first octet, as in 02:00:00:00:00:01".into()
            }
            Self::MacTaken { .. } => "choose another mac".into(),
            Self::SubnetElsewhere { network, .. } => {
                format!("take an address of a subnet of network {network}")
            }
            Self::IpTaken { other, .. } => format!("choose a free address, or change {other} first"),
            Self::InterfaceTwice(_) => "keep one of them".into(),
            Self::NoInterfaceIp(subnet) => {
                format!("give the interface an ip, or subnet {subnet} a gateway_ip")
            }
            Self::RouteTwice(_) => "put all next hops into one route".into(),
            Self::NoNextHops(_) => "name at least one next hop, or leave the route out".into(),
            Self::NextHopsTooMany { .. } => "keep at most 64".into(),
            Self::NextHopTwice { .. } => "name each next hop once".into(),
            Self::NextHopFamily { destination, .. } => {
                format!("name addresses of the family of {destination}")
            }
            Self::NextHopOffLink { .. } => {
                "attach the router to the subnet of the next hop, or choose another".into()
            }
            Self::NextHopOwn { .. } => "name the address of another machine".into(),
        }
    }
}

/// What hosts of a block may not take: its first address (IPv4: the network; IPv6: the routers' anycast address,
/// RFC 4291, 2.6.1) and in IPv4 its last. Blocks of one and two addresses have neither (RFC 3021, RFC 6164).
pub(super) fn reserved(cidr: &IpNet, ip: IpAddr) -> Option<&'static str> {
    let small = cidr.prefix_len() + 1 >= cidr.max_prefix_len();
    match cidr {
        _ if small => None,
        IpNet::V4(v4) if ip == IpAddr::V4(v4.network()) => Some("network"),
        IpNet::V4(v4) if ip == IpAddr::V4(v4.broadcast()) => Some("broadcast"),
        IpNet::V6(v6) if ip == IpAddr::V6(v6.network()) => Some("routers' anycast"),
        IpNet::V4(_) | IpNet::V6(_) => None,
    }
}

fn first_host(cidr: &IpNet) -> IpAddr {
    match cidr.network() {
        ip if reserved(cidr, ip).is_none() => ip,
        IpAddr::V4(ip) => IpAddr::V4(ip.to_bits().wrapping_add(1).into()),
        IpAddr::V6(ip) => IpAddr::V6(ip.to_bits().wrapping_add(1).into()),
    }
}

fn last_host(cidr: &IpNet) -> IpAddr {
    match cidr.broadcast() {
        IpAddr::V4(ip) if reserved(cidr, ip.into()).is_some() => {
            IpAddr::V4(ip.to_bits().wrapping_sub(1).into())
        }
        ip => ip,
    }
}
