//! The set of objects, and the changes that move it on.

use super::{
    edge::FloatingIp,
    ids::{
        AddressGroupId, ChassisId, FloatingIpId, Kind, NetworkId, ObjectId, PortId, RouterId,
        SecurityGroupId, SubnetId,
    },
    objects::{Chassis, Network, Object, Port, Router, Subnet},
    security::{AddressGroup, SecurityGroup},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A small number that stands for an object in flows and cookies; unique within its kind, never 0, below 2^24
/// (it becomes a VRF id for a router). Given by the store, for the object's life.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct ObjectKey(pub u32);

/// A point in the history of the store; grows with every change.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// An object with what the store knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Record<T> {
    /// Its number.
    pub key: ObjectKey,
    /// When it last changed.
    pub revision: Revision,
    /// What the operator said.
    pub spec: T,
}

/// One step in the history of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An object came or changed.
    Put(Record<Object>),
    /// An object went.
    Delete(ObjectId),
}

impl Change {
    /// The object that changed.
    pub fn id(&self) -> ObjectId {
        match self {
            Self::Put(record) => record.spec.id(),
            Self::Delete(id) => id.clone(),
        }
    }
}

/// The objects of one kind.
pub type Table<K, T> = BTreeMap<K, Record<T>>;

/// Everything the operator wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    /// Hosts.
    pub chassis: Table<ChassisId, Chassis>,
    /// Broadcast domains.
    pub networks: Table<NetworkId, Network>,
    /// Blocks of addresses.
    pub subnets: Table<SubnetId, Subnet>,
    /// Ports.
    pub ports: Table<PortId, Port>,
    /// Routers.
    pub routers: Table<RouterId, Router>,
    /// Floating IPs.
    pub floating_ips: Table<FloatingIpId, FloatingIp>,
    /// Security groups.
    pub security_groups: Table<SecurityGroupId, SecurityGroup>,
    /// Address groups.
    pub address_groups: Table<AddressGroupId, AddressGroup>,
}

impl Model {
    /// Moves one step on; what the object was before is returned.
    pub fn apply(&mut self, change: Change) -> Option<Record<Object>> {
        match change {
            Change::Put(Record { key, revision, spec }) => match spec {
                Object::Chassis(o) => put(&mut self.chassis, o.id.clone(), key, revision, o, Object::Chassis),
                Object::Network(o) => {
                    put(&mut self.networks, o.id.clone(), key, revision, o, Object::Network)
                }
                Object::Subnet(o) => put(&mut self.subnets, o.id.clone(), key, revision, o, Object::Subnet),
                Object::Port(o) => put(&mut self.ports, o.id.clone(), key, revision, o, Object::Port),
                Object::Router(o) => put(&mut self.routers, o.id.clone(), key, revision, o, Object::Router),
                Object::FloatingIp(o) => {
                    put(&mut self.floating_ips, o.id.clone(), key, revision, o, Object::FloatingIp)
                }
                Object::SecurityGroup(o) => {
                    put(&mut self.security_groups, o.id.clone(), key, revision, o, Object::SecurityGroup)
                }
                Object::AddressGroup(o) => {
                    put(&mut self.address_groups, o.id.clone(), key, revision, o, Object::AddressGroup)
                }
            },
            Change::Delete(id) => match id {
                ObjectId::Chassis(id) => self.chassis.remove(&id).map(|r| r.map(Object::Chassis)),
                ObjectId::Network(id) => self.networks.remove(&id).map(|r| r.map(Object::Network)),
                ObjectId::Subnet(id) => self.subnets.remove(&id).map(|r| r.map(Object::Subnet)),
                ObjectId::Port(id) => self.ports.remove(&id).map(|r| r.map(Object::Port)),
                ObjectId::Router(id) => self.routers.remove(&id).map(|r| r.map(Object::Router)),
                ObjectId::FloatingIp(id) => self.floating_ips.remove(&id).map(|r| r.map(Object::FloatingIp)),
                ObjectId::SecurityGroup(id) => {
                    self.security_groups.remove(&id).map(|r| r.map(Object::SecurityGroup))
                }
                ObjectId::AddressGroup(id) => {
                    self.address_groups.remove(&id).map(|r| r.map(Object::AddressGroup))
                }
            },
        }
    }

    /// An object by name.
    pub fn get(&self, id: &ObjectId) -> Option<Record<Object>> {
        match id {
            ObjectId::Chassis(id) => self.chassis.get(id).map(|r| r.clone().map(Object::Chassis)),
            ObjectId::Network(id) => self.networks.get(id).map(|r| r.clone().map(Object::Network)),
            ObjectId::Subnet(id) => self.subnets.get(id).map(|r| r.clone().map(Object::Subnet)),
            ObjectId::Port(id) => self.ports.get(id).map(|r| r.clone().map(Object::Port)),
            ObjectId::Router(id) => self.routers.get(id).map(|r| r.clone().map(Object::Router)),
            ObjectId::FloatingIp(id) => self.floating_ips.get(id).map(|r| r.clone().map(Object::FloatingIp)),
            ObjectId::SecurityGroup(id) => {
                self.security_groups.get(id).map(|r| r.clone().map(Object::SecurityGroup))
            }
            ObjectId::AddressGroup(id) => {
                self.address_groups.get(id).map(|r| r.clone().map(Object::AddressGroup))
            }
        }
    }

    /// Whether there is such an object.
    pub fn has(&self, id: &ObjectId) -> bool {
        match id {
            ObjectId::Chassis(id) => self.chassis.contains_key(id),
            ObjectId::Network(id) => self.networks.contains_key(id),
            ObjectId::Subnet(id) => self.subnets.contains_key(id),
            ObjectId::Port(id) => self.ports.contains_key(id),
            ObjectId::Router(id) => self.routers.contains_key(id),
            ObjectId::FloatingIp(id) => self.floating_ips.contains_key(id),
            ObjectId::SecurityGroup(id) => self.security_groups.contains_key(id),
            ObjectId::AddressGroup(id) => self.address_groups.contains_key(id),
        }
    }

    /// How many objects of a kind there are.
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Chassis => self.chassis.len(),
            Kind::Network => self.networks.len(),
            Kind::Subnet => self.subnets.len(),
            Kind::Port => self.ports.len(),
            Kind::Router => self.routers.len(),
            Kind::FloatingIp => self.floating_ips.len(),
            Kind::SecurityGroup => self.security_groups.len(),
            Kind::AddressGroup => self.address_groups.len(),
        }
    }

    /// The name of every object of a kind, in order.
    pub fn ids(&self, kind: Kind) -> Box<dyn Iterator<Item = ObjectId> + '_> {
        match kind {
            Kind::Chassis => Box::new(self.chassis.keys().cloned().map(ObjectId::Chassis)),
            Kind::Network => Box::new(self.networks.keys().cloned().map(ObjectId::Network)),
            Kind::Subnet => Box::new(self.subnets.keys().cloned().map(ObjectId::Subnet)),
            Kind::Port => Box::new(self.ports.keys().cloned().map(ObjectId::Port)),
            Kind::Router => Box::new(self.routers.keys().cloned().map(ObjectId::Router)),
            Kind::FloatingIp => Box::new(self.floating_ips.keys().cloned().map(ObjectId::FloatingIp)),
            Kind::SecurityGroup => {
                Box::new(self.security_groups.keys().cloned().map(ObjectId::SecurityGroup))
            }
            Kind::AddressGroup => Box::new(self.address_groups.keys().cloned().map(ObjectId::AddressGroup)),
        }
    }

    /// Every object of a kind, in order of id.
    pub fn objects(&self, kind: Kind) -> Box<dyn Iterator<Item = Record<Object>> + '_> {
        match kind {
            Kind::Chassis => Box::new(self.chassis.values().map(|r| r.clone().map(Object::Chassis))),
            Kind::Network => Box::new(self.networks.values().map(|r| r.clone().map(Object::Network))),
            Kind::Subnet => Box::new(self.subnets.values().map(|r| r.clone().map(Object::Subnet))),
            Kind::Port => Box::new(self.ports.values().map(|r| r.clone().map(Object::Port))),
            Kind::Router => Box::new(self.routers.values().map(|r| r.clone().map(Object::Router))),
            Kind::FloatingIp => {
                Box::new(self.floating_ips.values().map(|r| r.clone().map(Object::FloatingIp)))
            }
            Kind::SecurityGroup => {
                Box::new(self.security_groups.values().map(|r| r.clone().map(Object::SecurityGroup)))
            }
            Kind::AddressGroup => {
                Box::new(self.address_groups.values().map(|r| r.clone().map(Object::AddressGroup)))
            }
        }
    }
}

impl<T> Record<T> {
    /// The same record around another view of the object.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Record<U> {
        Record { key: self.key, revision: self.revision, spec: f(self.spec) }
    }
}

fn put<K: Ord, T>(
    table: &mut Table<K, T>,
    id: K,
    key: ObjectKey,
    revision: Revision,
    spec: T,
    wrap: impl FnOnce(T) -> Object,
) -> Option<Record<Object>> {
    table.insert(id, Record { key, revision, spec }).map(|old| old.map(wrap))
}
