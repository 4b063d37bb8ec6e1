//! The objects, as a topology file and the API spell them.

use super::{
    dhcp::{DhcpOption, SubnetDhcp},
    edge::{ExternalGateway, FloatingIp},
    ids::{
        ChassisId, Kind, NetworkId, ObjectId, PhysicalNetwork, PortId, RouterId, SecurityGroupId, SubnetId,
    },
    security::{AddressGroup, SecurityGroup},
    text::{self, address_or_block},
};
use ipnet::IpNet;
use packet::{MacAddr, VlanId, Vni};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::IpAddr};

/// A host with an Open vSwitch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Chassis {
    /// Its name; the controller that serves it is started with the same.
    pub id: ChassisId,
    /// Where tunnels to it end (VTEP): at most one address a family; the first is preferred.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "text::many")]
    #[schema(value_type = Vec<String>, example = json!(["192.0.2.1", "2001:db8::1"]))]
    pub encap_ips: Vec<IpAddr>,
    /// Physical network -> provider bridge on this host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, String>)]
    pub bridge_mappings: BTreeMap<PhysicalNetwork, String>,
}

/// How a network is told apart on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Segment {
    /// RFC 7348.
    Vxlan {
        /// 24 bits.
        #[schema(value_type = u32, minimum = 1, maximum = 16777215)]
        id: Vni,
    },
    /// RFC 2890 key with transparent Ethernet bridging; 24 bits as all overlays here.
    Gre {
        /// 24 bits.
        #[schema(value_type = u32, minimum = 1, maximum = 16777215)]
        id: Vni,
    },
    /// RFC 8926.
    Geneve {
        /// 24 bits.
        #[schema(value_type = u32, minimum = 1, maximum = 16777215)]
        id: Vni,
    },
    /// An 802.1Q tag on a physical network.
    Vlan {
        /// Which physical network.
        physical_network: PhysicalNetwork,
        /// The tag.
        #[schema(value_type = u16, minimum = 1, maximum = 4094)]
        id: VlanId,
    },
    /// Untagged on a physical network.
    Flat {
        /// Which physical network.
        physical_network: PhysicalNetwork,
    },
}

/// An L2 broadcast domain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Its name.
    pub id: NetworkId,
    /// How it is told apart on the wire.
    pub segment: Segment,
    /// Greatest IP packet, octets, 576 to 9216; without it what the segment leaves of 1500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 576, maximum = 9216)]
    pub mtu: Option<u16>,
}

/// A block of addresses on a network.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Subnet {
    /// Its name.
    pub id: SubnetId,
    /// The network it is on.
    pub network: NetworkId,
    /// Its addresses; host bits must be zero.
    #[schema(value_type = String, example = "10.0.1.0/24")]
    #[serde(deserialize_with = "text::one")]
    pub cidr: IpNet,
    /// The address that a router attached without an address of its own takes.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text::maybe")]
    #[schema(value_type = Option<String>, example = "10.0.1.1")]
    pub gateway_ip: Option<IpAddr>,
    /// What its hosts learn by DHCP and router advertisements; without it nothing. Kept, not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dhcp: Option<SubnetDhcp>,
}

/// An address of a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FixedIp {
    /// The subnet it is of.
    pub subnet: SubnetId,
    /// The address, inside the subnet.
    #[schema(value_type = String, example = "10.0.1.11")]
    #[serde(deserialize_with = "text::one")]
    pub ip: IpAddr,
}

/// What else a port may send from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressPair {
    /// An address or a block of them.
    #[serde(with = "address_or_block")]
    #[schema(value_type = String, example = "10.0.1.0/24")]
    pub ip: IpNet,
    /// With this MAC; without one the port's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "02:00:00:00:00:01")]
    pub mac: Option<MacAddr>,
}

/// A logical port: where a VM or container is plugged in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Its name, and the `external_ids:iface-id` of its interface.
    pub id: PortId,
    /// The network it is on.
    pub network: NetworkId,
    /// Its unicast MAC, unique on its network.
    #[schema(value_type = String, example = "02:00:00:00:00:01")]
    pub mac: MacAddr,
    /// Its addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixed_ips: Vec<FixedIp>,
    /// The host it is bound to; unbound ports are known to nobody's switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chassis: Option<ChassisId>,
    /// What else it may send from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_address_pairs: Vec<AddressPair>,
    /// Whether it may send only from its own addresses.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub port_security: bool,
    /// The groups whose rules hold for it. Kept, not enforced yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<SecurityGroupId>,
    /// What it learns by DHCP beyond its subnets' options. Kept, not served yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dhcp_options: Vec<DhcpOption>,
}

/// A router's leg on a subnet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RouterInterface {
    /// The subnet; a router has at most one interface on it.
    pub subnet: SubnetId,
    /// Its address; without one the subnet's `gateway_ip`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text::maybe")]
    #[schema(value_type = Option<String>, example = "10.0.1.1")]
    pub ip: Option<IpAddr>,
    /// Its MAC; without one derived from router and network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "02:00:00:00:01:01")]
    pub mac: Option<MacAddr>,
}

/// A route an operator wrote.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StaticRoute {
    /// Where to; host bits must be zero.
    #[schema(value_type = String, example = "172.16.0.0/12")]
    #[serde(deserialize_with = "text::one")]
    pub destination: IpNet,
    /// Addresses on attached subnets; several share the traffic (ECMP).
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 64)]
    #[serde(deserialize_with = "text::many")]
    pub next_hops: Vec<IpAddr>,
}

/// A logical router, present on every chassis that needs it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Router {
    /// Its name.
    pub id: RouterId,
    /// Its legs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<RouterInterface>,
    /// Its extra routes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<StaticRoute>,
    /// Its leg outside. Kept, not forwarded by yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<ExternalGateway>,
}

/// Any of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", content = "spec", rename_all = "snake_case")]
pub enum Object {
    /// A host.
    Chassis(Chassis),
    /// A broadcast domain.
    Network(Network),
    /// A block of addresses.
    Subnet(Subnet),
    /// A port.
    Port(Port),
    /// A router.
    Router(Router),
    /// A floating IP.
    FloatingIp(FloatingIp),
    /// A security group.
    SecurityGroup(SecurityGroup),
    /// An address group.
    AddressGroup(AddressGroup),
}

impl Object {
    /// Its name.
    pub fn id(&self) -> ObjectId {
        match self {
            Self::Chassis(o) => ObjectId::Chassis(o.id.clone()),
            Self::Network(o) => ObjectId::Network(o.id.clone()),
            Self::Subnet(o) => ObjectId::Subnet(o.id.clone()),
            Self::Port(o) => ObjectId::Port(o.id.clone()),
            Self::Router(o) => ObjectId::Router(o.id.clone()),
            Self::FloatingIp(o) => ObjectId::FloatingIp(o.id.clone()),
            Self::SecurityGroup(o) => ObjectId::SecurityGroup(o.id.clone()),
            Self::AddressGroup(o) => ObjectId::AddressGroup(o.id.clone()),
        }
    }

    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Chassis(_) => Kind::Chassis,
            Self::Network(_) => Kind::Network,
            Self::Subnet(_) => Kind::Subnet,
            Self::Port(_) => Kind::Port,
            Self::Router(_) => Kind::Router,
            Self::FloatingIp(_) => Kind::FloatingIp,
            Self::SecurityGroup(_) => Kind::SecurityGroup,
            Self::AddressGroup(_) => Kind::AddressGroup,
        }
    }
}

impl Segment {
    /// "vxlan", "gre", "geneve", "vlan" or "flat".
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Vxlan { .. } => "vxlan",
            Self::Gre { .. } => "gre",
            Self::Geneve { .. } => "geneve",
            Self::Vlan { .. } => "vlan",
            Self::Flat { .. } => "flat",
        }
    }

    /// The overlay id, if tunnelled.
    pub const fn vni(&self) -> Option<Vni> {
        match self {
            Self::Vxlan { id } | Self::Gre { id } | Self::Geneve { id } => Some(*id),
            Self::Vlan { .. } | Self::Flat { .. } => None,
        }
    }

    /// The physical network, if not tunnelled.
    pub const fn physical_network(&self) -> Option<&PhysicalNetwork> {
        match self {
            Self::Vlan { physical_network, .. } | Self::Flat { physical_network } => Some(physical_network),
            Self::Vxlan { .. } | Self::Gre { .. } | Self::Geneve { .. } => None,
        }
    }
}

impl Network {
    /// The greatest IP packet in octets: as configured, or what the segment leaves of an underlay of 1500 over
    /// IPv4 (as Neutron computes: outer IP 20, UDP 8 or GRE 8, header 8 or with Geneve options 16, inner Ethernet 14).
    pub fn mtu(&self) -> u16 {
        self.mtu.unwrap_or(match self.segment {
            Segment::Vxlan { .. } => 1450,
            Segment::Gre { .. } => 1458,
            Segment::Geneve { .. } => 1442,
            Segment::Vlan { .. } | Segment::Flat { .. } => 1500,
        })
    }
}

pub(super) const fn yes() -> bool {
    true
}

pub(super) const fn is_yes(value: &bool) -> bool {
    *value
}
