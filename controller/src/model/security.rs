//! Security groups and the address groups that their rules name. Kept for whoever enforces them.

use super::{
    ids::{AddressGroupId, SecurityGroupId},
    objects::{is_yes, yes},
    text,
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Rules for the traffic of the ports that are in it: what no rule admits is dropped.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityGroup {
    /// Its name.
    pub id: SecurityGroupId,
    /// Whether answers to admitted traffic are admitted without a rule.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub stateful: bool,
    /// What is admitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<SecurityRule>,
}

/// Which way traffic goes, seen from the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To the port.
    Ingress,
    /// From the port.
    Egress,
}

/// The family of what a rule admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EtherType {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// Some traffic that is admitted: everything that agrees with all that is said.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityRule {
    /// Which way it goes.
    pub direction: Direction,
    /// Its family.
    pub ether_type: EtherType,
    /// The IP protocol, by name or number; without it any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The least destination port, or the ICMP type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_min: Option<u16>,
    /// The greatest destination port, or the ICMP code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_max: Option<u16>,
    /// The addresses of the other side.
    #[schema(value_type = Option<String>, example = "10.0.0.0/8")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text::maybe")]
    pub remote_prefix: Option<IpNet>,
    /// The group that the other side is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_group: Option<SecurityGroupId>,
    /// The address group that the other side is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_address_group: Option<AddressGroupId>,
}

/// A set of address blocks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressGroup {
    /// Its name.
    pub id: AddressGroupId,
    /// The blocks.
    #[schema(value_type = Vec<String>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "text::many")]
    pub addresses: Vec<IpNet>,
}
