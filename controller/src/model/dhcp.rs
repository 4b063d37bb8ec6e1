//! What hosts learn of their network by DHCP and router advertisements. Kept for whoever serves it.

use super::{
    objects::{is_yes, yes},
    text,
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// How hosts of an IPv6 subnet get their addresses (RFC 4861, 4.2: the flags of a router advertisement).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ipv6Mode {
    /// From the advertised prefix (RFC 4862).
    Slaac,
    /// From DHCPv6 (RFC 8415).
    Dhcpv6Stateful,
    /// From the advertised prefix, and everything else from DHCPv6.
    Dhcpv6Stateless,
}

/// What hosts of a subnet learn.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubnetDhcp {
    /// Whether DHCP is served.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub enabled: bool,
    /// Name servers, the preferred first.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "text::many")]
    #[schema(value_type = Vec<String>)]
    pub dns_servers: Vec<IpAddr>,
    /// Routes besides the default route (RFC 3442).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_routes: Vec<HostRoute>,
    /// What router advertisements say; without it there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6_ra_mode: Option<Ipv6Mode>,
    /// Where addresses come from; without it from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6_address_mode: Option<Ipv6Mode>,
}

/// A route that hosts of a subnet shall have.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostRoute {
    /// Where to.
    #[schema(value_type = String, example = "172.16.0.0/12")]
    #[serde(deserialize_with = "text::one")]
    pub destination: IpNet,
    /// By which address.
    #[schema(value_type = String, example = "10.0.1.254")]
    #[serde(deserialize_with = "text::one")]
    pub next_hop: IpAddr,
}

/// An option for one port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DhcpOption {
    /// Its name or number, as in "bootfile-name" or "67".
    pub name: String,
    /// Its value as text.
    pub value: String,
    /// 4 or 6.
    #[schema(minimum = 4, maximum = 6)]
    pub ip_version: u8,
}
