//! What the operator wants: networks, subnets, ports, routers and the chassis they are bound to.
//!
//! Pure data. An object refers to others by id only, and a dangling reference is legal: objects arrive in any
//! order, and one that waits for another is *pending* until it comes. The store gives every object an
//! [`ObjectKey`] when it first sees it; keys are what flows and cookies carry.

mod change;
mod dhcp;
mod edge;
#[cfg(test)]
pub(crate) mod generate;
mod ids;
mod objects;
mod security;
mod text;
pub mod topology;
pub mod validate;

pub use change::{Change, Model, ObjectKey, Record, Revision, Table};
pub use dhcp::{DhcpOption, HostRoute, Ipv6Mode, SubnetDhcp};
pub use edge::{ExternalGateway, FloatingIp};
pub use ids::{
    AddressGroupId, ChassisId, FloatingIpId, IdError, Kind, NetworkId, ObjectId, PhysicalNetwork, PortId,
    RouterId, SecurityGroupId, SubnetId,
};
pub use objects::{
    AddressPair, Chassis, FixedIp, Network, Object, Port, Router, RouterInterface, Segment, StaticRoute,
    Subnet,
};
pub use security::{AddressGroup, Direction, EtherType, SecurityGroup, SecurityRule};
