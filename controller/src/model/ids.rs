//! Names of objects: one type a kind, so that a port is never taken for a router.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, sync::Arc};

/// A name that cannot be an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no id: want 1 to 64 of the characters A-Z a-z 0-9 . _ -")]
pub struct IdError(pub String);

fn check(text: &str) -> Result<Arc<str>, IdError> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if text.is_empty() || text.len() > 64 || !text.bytes().all(legal) {
        return Err(IdError(text.to_owned()));
    }
    Ok(text.into())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        /// 1 to 64 of the characters `A-Z a-z 0-9 . _ -`; Neutron's UUIDs fit. Cheap to clone.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String, pattern = "^[A-Za-z0-9._-]{1,64}$")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                check(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }
    };
}

id! {
    /// A host with an Open vSwitch.
    ChassisId
}
id! {
    /// An L2 broadcast domain.
    NetworkId
}
id! {
    /// A block of addresses on a network.
    SubnetId
}
id! {
    /// A logical port; on the switch it is the interface whose `external_ids:iface-id` says so.
    PortId
}
id! {
    /// A logical router.
    RouterId
}
id! {
    /// An address outside that stands for a port inside.
    FloatingIpId
}
id! {
    /// A set of rules for the traffic of ports.
    SecurityGroupId
}
id! {
    /// A set of address blocks that rules name.
    AddressGroupId
}
id! {
    /// A network outside the overlay that a chassis reaches by a provider bridge.
    PhysicalNetwork
}

/// The kinds of objects, in the order in which references point back: a later kind refers to earlier ones (but ports
/// name security groups).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// [`ChassisId`]
    Chassis,
    /// [`NetworkId`]
    Network,
    /// [`SubnetId`]
    Subnet,
    /// [`PortId`]
    Port,
    /// [`RouterId`]
    Router,
    /// [`FloatingIpId`]
    FloatingIp,
    /// [`SecurityGroupId`]
    SecurityGroup,
    /// [`AddressGroupId`]
    AddressGroup,
}

impl Kind {
    /// Every kind, in order of reference.
    pub const ALL: [Self; 8] = [
        Self::Chassis,
        Self::Network,
        Self::Subnet,
        Self::Port,
        Self::Router,
        Self::FloatingIp,
        Self::SecurityGroup,
        Self::AddressGroup,
    ];

    /// Singular, lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chassis => "chassis",
            Self::Network => "network",
            Self::Subnet => "subnet",
            Self::Port => "port",
            Self::Router => "router",
            Self::FloatingIp => "floating_ip",
            Self::SecurityGroup => "security_group",
            Self::AddressGroup => "address_group",
        }
    }

    /// As in paths of the API and keys of a topology file.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Chassis => "chassis",
            Self::Network => "networks",
            Self::Subnet => "subnets",
            Self::Port => "ports",
            Self::Router => "routers",
            Self::FloatingIp => "floating_ips",
            Self::SecurityGroup => "security_groups",
            Self::AddressGroup => "address_groups",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name of one object of any kind; prints as "port web-1".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectId {
    /// A chassis.
    Chassis(ChassisId),
    /// A network.
    Network(NetworkId),
    /// A subnet.
    Subnet(SubnetId),
    /// A port.
    Port(PortId),
    /// A router.
    Router(RouterId),
    /// A floating IP.
    FloatingIp(FloatingIpId),
    /// A security group.
    SecurityGroup(SecurityGroupId),
    /// An address group.
    AddressGroup(AddressGroupId),
}

impl ObjectId {
    /// Makes the id of a kind from text.
    ///
    /// # Errors
    /// [`IdError`] if the text cannot be an id.
    pub fn new(kind: Kind, id: &str) -> Result<Self, IdError> {
        Ok(match kind {
            Kind::Chassis => Self::Chassis(id.parse()?),
            Kind::Network => Self::Network(id.parse()?),
            Kind::Subnet => Self::Subnet(id.parse()?),
            Kind::Port => Self::Port(id.parse()?),
            Kind::Router => Self::Router(id.parse()?),
            Kind::FloatingIp => Self::FloatingIp(id.parse()?),
            Kind::SecurityGroup => Self::SecurityGroup(id.parse()?),
            Kind::AddressGroup => Self::AddressGroup(id.parse()?),
        })
    }

    /// Which kind.
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

    /// The bare id.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Chassis(id) => id.as_str(),
            Self::Network(id) => id.as_str(),
            Self::Subnet(id) => id.as_str(),
            Self::Port(id) => id.as_str(),
            Self::Router(id) => id.as_str(),
            Self::FloatingIp(id) => id.as_str(),
            Self::SecurityGroup(id) => id.as_str(),
            Self::AddressGroup(id) => id.as_str(),
        }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.as_str())
    }
}
