//! Whether a model makes sense, and which of its references point nowhere yet.
//!
//! A change is judged on the model as it would be after it, at a cost that grows with what it touches, not with the
//! model: [`Index`] knows who has which address, MAC, segment and who refers to whom, and is kept by increments.
//! A reference to an object that is not there is no fault: what cannot be judged without it is judged when it comes.

mod check;
mod fault;
mod index;
#[cfg(test)]
mod tests;

pub use check::check;
pub use fault::{Fault, Problem};
pub use index::{Index, references};

use super::{
    change::Model,
    ids::{ChassisId, Kind, NetworkId, ObjectId, PortId, RouterId, SubnetId},
    objects::{Chassis, Network, Object, Port, Router, Subnet},
};
use std::{collections::BTreeMap, fmt};

/// A model as it would be after some changes.
#[derive(Debug, Clone)]
pub struct View<'a> {
    model: &'a Model,
    changed: BTreeMap<ObjectId, Option<&'a Object>>,
}

impl<'a> View<'a> {
    /// `model` with the objects of `changed` as given there; `None` is "deleted".
    pub const fn new(model: &'a Model, changed: BTreeMap<ObjectId, Option<&'a Object>>) -> Self {
        Self { model, changed }
    }

    /// Whether there is such an object.
    pub fn has(&self, id: &ObjectId) -> bool {
        match self.changed.get(id) {
            Some(object) => object.is_some(),
            None => self.model.has(id),
        }
    }

    /// The references of one object that point nowhere.
    pub fn pending(&self, id: &ObjectId) -> Vec<Pending> {
        let beneath;
        let object = match self.changed.get(id) {
            Some(object) => *object,
            None => {
                beneath = self.model.get(id).map(|record| record.spec);
                beneath.as_ref()
            }
        };
        let mut missing = object.map(references).unwrap_or_default();
        missing.retain(|target| !self.has(target));
        missing.sort();
        missing.dedup();
        missing.into_iter().map(|target| Pending::new(id.clone(), target)).collect()
    }

    /// The objects that are new or otherwise than in the model beneath.
    pub fn put(&self) -> impl Iterator<Item = &'a Object> + '_ {
        self.changed.values().copied().flatten()
    }

    /// The names of the objects that are gone.
    pub fn deleted(&self) -> impl Iterator<Item = &ObjectId> + '_ {
        self.changed.iter().filter(|(_, object)| object.is_none()).map(|(id, _)| id)
    }
}

macro_rules! getter {
    ($name:ident, $table:ident, $id:ident, $kind:ident) => {
        fn $name(&self, id: &$id) -> Option<&'a $kind> {
            match self.changed.get(&ObjectId::$kind(id.clone())) {
                Some(Some(Object::$kind(object))) => Some(object),
                Some(_) => None,
                None => self.model.$table.get(id).map(|record| &record.spec),
            }
        }
    };
}

impl<'a> View<'a> {
    getter!(chassis, chassis, ChassisId, Chassis);
    getter!(network, networks, NetworkId, Network);
    getter!(subnet, subnets, SubnetId, Subnet);
    getter!(port, ports, PortId, Port);
    getter!(router, routers, RouterId, Router);
}

/// A reference to an object that is not there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pending {
    /// Who waits.
    pub object: ObjectId,
    /// For whom.
    pub missing: ObjectId,
    /// By which field.
    pub field: &'static str,
}

impl Pending {
    fn new(object: ObjectId, missing: ObjectId) -> Self {
        let field = match missing.kind() {
            Kind::Chassis => "chassis",
            Kind::Network => "network",
            Kind::Subnet if object.kind() == Kind::Router => "interfaces",
            Kind::Subnet => "fixed_ips",
            Kind::Port => "port",
            Kind::Router => "router",
            Kind::SecurityGroup if object.kind() == Kind::Port => "security_groups",
            Kind::SecurityGroup | Kind::AddressGroup => "rules",
            Kind::FloatingIp => "id",
        };
        Self { object, missing, field }
    }
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} waits for {} ({})", self.object, self.missing, self.field)
    }
}

/// Every reference of a model that points nowhere, in order of object.
pub fn pending(model: &Model) -> Vec<Pending> {
    Index::new(model).pending(|id| model.has(id))
}
