//! Who has what, and who refers to whom.

use super::Pending;
use crate::model::{
    Kind, Model, Network, NetworkId, Object, ObjectId, PhysicalNetwork, Port, Router, Segment, SubnetId,
};
use packet::{MacAddr, VlanId, Vni};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

/// What tells networks apart on the wire; two networks must not share one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SegmentKey {
    Overlay(&'static str, Vni),
    Physical(PhysicalNetwork, Option<VlanId>),
}

impl SegmentKey {
    pub(super) fn of(network: &Network) -> Self {
        match &network.segment {
            Segment::Vxlan { id } | Segment::Gre { id } | Segment::Geneve { id } => {
                Self::Overlay(network.segment.type_name(), *id)
            }
            Segment::Vlan { physical_network, id } => Self::Physical(physical_network.clone(), Some(*id)),
            Segment::Flat { physical_network } => Self::Physical(physical_network.clone(), None),
        }
    }
}

impl fmt::Display for SegmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlay(kind, id) => write!(f, "{kind} {id}"),
            Self::Physical(physical, Some(id)) => write!(f, "vlan {id} on {physical}"),
            Self::Physical(physical, None) => write!(f, "flat on {physical}"),
        }
    }
}

/// Who has what in a set of objects. Adding and removing objects in any order leads to the same index as building
/// it from those that remain; adding or removing one costs O(log n) for each of its fields.
///
/// It also indexes what breaks the rules (two ports with one address): [`super::check`] finds it there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    segments: Owners<SegmentKey>,
    encap_ips: Owners<IpAddr>,
    port_macs: Owners<(NetworkId, MacAddr)>,
    router_macs: Owners<(SubnetId, MacAddr)>,
    /// Addresses that objects name: fixed IPs, and interfaces with an address of their own.
    addresses: Owners<(SubnetId, IpAddr)>,
    /// Routers that take the gateway address of a subnet.
    at_gateway: Owners<SubnetId>,
    referrers: BTreeMap<ObjectId, BTreeSet<ObjectId>>,
}

impl Index {
    /// The index of all objects of a model.
    pub fn new(model: &Model) -> Self {
        let mut index = Self::default();
        for record in Kind::ALL.into_iter().flat_map(|kind| model.objects(kind)) {
            index.add(&record.spec);
        }
        index
    }

    /// An object came; if it was there before it must have been [removed](Self::remove) as it was.
    pub fn add(&mut self, object: &Object) {
        self.update(object, true);
    }

    /// An object, given as it was, went.
    pub fn remove(&mut self, object: &Object) {
        self.update(object, false);
    }

    /// Who refers to an object, by kind and id.
    pub fn referrers(&self, id: &ObjectId) -> impl DoubleEndedIterator<Item = &ObjectId> + use<'_> {
        self.referrers.get(id).into_iter().flatten()
    }

    /// Every reference to an object for which `exists` is false, in order of the object that waits.
    pub fn pending(&self, exists: impl Fn(&ObjectId) -> bool) -> Vec<Pending> {
        let missing = self.referrers.iter().filter(|(id, _)| !exists(id));
        let mut pending: Vec<Pending> = missing
            .flat_map(|(id, referrers)| {
                referrers.iter().map(|object| Pending::new(object.clone(), id.clone()))
            })
            .collect();
        pending.sort();
        pending
    }

    fn update(&mut self, object: &Object, add: bool) {
        let id = object.id();
        for target in references(object) {
            if add {
                self.referrers.entry(target).or_default().insert(id.clone());
            } else if let Some(referrers) = self.referrers.get_mut(&target) {
                referrers.remove(&id);
                if referrers.is_empty() {
                    self.referrers.remove(&target);
                }
            }
        }
        match object {
            Object::Chassis(chassis) => {
                for ip in &chassis.encap_ips {
                    self.encap_ips.set(*ip, &id, add);
                }
            }
            Object::Network(network) => self.segments.set(SegmentKey::of(network), &id, add),
            Object::Subnet(_)
            | Object::FloatingIp(_)
            | Object::SecurityGroup(_)
            | Object::AddressGroup(_) => {}
            Object::Port(port) => self.update_port(port, &id, add),
            Object::Router(router) => self.update_router(router, &id, add),
        }
    }

    fn update_port(&mut self, port: &Port, id: &ObjectId, add: bool) {
        self.port_macs.set((port.network.clone(), port.mac), id, add);
        for fixed in &port.fixed_ips {
            self.addresses.set((fixed.subnet.clone(), fixed.ip), id, add);
        }
    }

    fn update_router(&mut self, router: &Router, id: &ObjectId, add: bool) {
        for interface in &router.interfaces {
            match interface.ip {
                Some(ip) => self.addresses.set((interface.subnet.clone(), ip), id, add),
                None => self.at_gateway.set(interface.subnet.clone(), id, add),
            }
            if let Some(mac) = interface.mac {
                self.router_macs.set((interface.subnet.clone(), mac), id, add);
            }
        }
    }
}

/// Questions of [`super::check`]; "another" is another than `me`.
impl Index {
    pub(super) fn other_on_segment(&self, segment: &SegmentKey, me: &ObjectId) -> Option<&ObjectId> {
        self.segments.other(segment, me)
    }

    pub(super) fn other_with_encap(&self, ip: IpAddr, me: &ObjectId) -> Option<&ObjectId> {
        self.encap_ips.other(&ip, me)
    }

    /// Another port or router with a MAC on a network.
    pub(super) fn other_with_mac(
        &self,
        network: &NetworkId,
        mac: MacAddr,
        me: &ObjectId,
    ) -> Option<&ObjectId> {
        let on_routers =
            || self.subnets_of(network).find_map(|s| self.router_macs.other(&(s.clone(), mac), me));
        self.port_macs.other(&(network.clone(), mac), me).or_else(on_routers)
    }

    /// Another port or router that names an address of a subnet.
    pub(super) fn other_with_ip(&self, subnet: &SubnetId, ip: IpAddr, me: &ObjectId) -> Option<&ObjectId> {
        self.addresses.other(&(subnet.clone(), ip), me)
    }

    /// Another router that takes the gateway address of a subnet.
    pub(super) fn other_at_gateway(&self, subnet: &SubnetId, me: &ObjectId) -> Option<&ObjectId> {
        self.at_gateway.other(subnet, me)
    }

    pub(super) fn subnets_of(&self, network: &NetworkId) -> impl Iterator<Item = &SubnetId> + use<'_> {
        // Subnets are the first kind that can refer to a network.
        self.referrers(&ObjectId::Network(network.clone())).map_while(|id| match id {
            ObjectId::Subnet(id) => Some(id),
            _ => None,
        })
    }
}

/// What an object refers to; a target may come more than once.
pub fn references(object: &Object) -> Vec<ObjectId> {
    match object {
        Object::Chassis(_) | Object::Network(_) | Object::AddressGroup(_) => Vec::new(),
        Object::Subnet(subnet) => vec![ObjectId::Network(subnet.network.clone())],
        Object::Port(port) => {
            let chassis = port.chassis.iter().cloned().map(ObjectId::Chassis);
            let subnets = port.fixed_ips.iter().map(|fixed| ObjectId::Subnet(fixed.subnet.clone()));
            let groups = port.security_groups.iter().cloned().map(ObjectId::SecurityGroup);
            chassis.chain([ObjectId::Network(port.network.clone())]).chain(subnets).chain(groups).collect()
        }
        Object::Router(router) => {
            let legs = router.interfaces.iter().map(|interface| ObjectId::Subnet(interface.subnet.clone()));
            let outside = router.gateway.iter().flat_map(|gateway| {
                let subnets = gateway.fixed_ips.iter().map(|fixed| ObjectId::Subnet(fixed.subnet.clone()));
                std::iter::once(ObjectId::Network(gateway.network.clone())).chain(subnets)
            });
            legs.chain(outside).collect()
        }
        Object::FloatingIp(floating) => {
            let router = floating.router.iter().cloned().map(ObjectId::Router);
            let port = floating.port.iter().cloned().map(ObjectId::Port);
            router.chain(port).chain([ObjectId::Network(floating.network.clone())]).collect()
        }
        Object::SecurityGroup(group) => {
            let named = group.rules.iter().flat_map(|rule| {
                let groups = rule.remote_group.iter().cloned().map(ObjectId::SecurityGroup);
                groups.chain(rule.remote_address_group.iter().cloned().map(ObjectId::AddressGroup))
            });
            // A group may name itself, which is no reason to keep it.
            named.filter(|target| *target != ObjectId::SecurityGroup(group.id.clone())).collect()
        }
    }
}

/// Key -> the objects that have it: one, unless a rule is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owners<K>(BTreeMap<K, Few>);

/// A set that costs no allocation for the one member it has nearly always.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Few {
    One(ObjectId),
    More(BTreeSet<ObjectId>),
}

impl<K> Default for Owners<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Owners<K> {
    fn set(&mut self, key: K, owner: &ObjectId, present: bool) {
        if present {
            self.0.entry(key).and_modify(|few| few.add(owner)).or_insert_with(|| Few::One(owner.clone()));
        } else if let Some(few) = self.0.get_mut(&key)
            && few.remove(owner)
        {
            self.0.remove(&key);
        }
    }

    fn other(&self, key: &K, me: &ObjectId) -> Option<&ObjectId> {
        match self.0.get(key)? {
            Few::One(owner) => Some(owner).filter(|owner| *owner != me),
            Few::More(owners) => owners.iter().find(|owner| *owner != me),
        }
    }
}

impl Few {
    fn add(&mut self, owner: &ObjectId) {
        match self {
            Self::One(one) if one == owner => {}
            Self::One(one) => *self = Self::More(BTreeSet::from([one.clone(), owner.clone()])),
            Self::More(owners) => {
                owners.insert(owner.clone());
            }
        }
    }

    /// True if none is left.
    fn remove(&mut self, owner: &ObjectId) -> bool {
        match self {
            Self::One(one) => one == owner,
            Self::More(owners) => {
                owners.remove(owner);
                if owners.len() == 1
                    && let Some(last) = owners.pop_first()
                {
                    *self = Self::One(last);
                }
                false
            }
        }
    }
}
