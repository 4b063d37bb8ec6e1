//! Where routers meet networks that are not ours: external gateways and floating IPs. Kept for whoever forwards by them.

use super::{
    ids::{FloatingIpId, NetworkId, PortId, RouterId},
    objects::{FixedIp, is_yes, yes},
    text,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A router's leg on an external network.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalGateway {
    /// The external network.
    pub network: NetworkId,
    /// The router's addresses there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixed_ips: Vec<FixedIp>,
    /// Whether ports without a floating IP leave by the router's address.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub snat: bool,
}

/// An address outside that stands for a port inside.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FloatingIp {
    /// Its name.
    pub id: FloatingIpId,
    /// The external network that it is of.
    pub network: NetworkId,
    /// The address outside.
    #[schema(value_type = String, example = "203.0.113.7")]
    #[serde(deserialize_with = "text::one")]
    pub ip: IpAddr,
    /// The router that translates; without one it stands for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router: Option<RouterId>,
    /// The port inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PortId>,
    /// Which of the port's addresses.
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text::maybe")]
    pub fixed_ip: Option<IpAddr>,
}
