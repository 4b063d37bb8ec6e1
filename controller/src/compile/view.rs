//! The model, and the answers to what compiling asks of it.

use crate::{
    model::{
        Change, ChassisId, Kind, Model, Network, NetworkId, Object, ObjectId, ObjectKey, Port, PortId,
        Record, Router, RouterId, Subnet, SubnetId,
    },
    pipeline::macs,
};
use ipnet::IpNet;
use packet::MacAddr;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
    net::IpAddr,
};

/// The model with its indexes.
#[derive(Debug, Default)]
pub struct View {
    model: Model,
    ports_on: Index<NetworkId, PortId>,
    ports_at: Index<ChassisId, PortId>,
    bound: HashMap<NetworkId, BTreeMap<ChassisId, usize>>,
    networks_at: HashMap<ChassisId, BTreeMap<NetworkId, usize>>,
    subnets_on: Index<NetworkId, SubnetId>,
    routers_on: Index<SubnetId, RouterId>,
    claims: Index<(NetworkId, IpAddr), Claim>,
    open_ports: HashMap<NetworkId, usize>,
    segments: HashMap<&'static str, usize>,
    names: HashMap<(Kind, ObjectKey), ObjectId>,
}

type Index<K, V> = HashMap<K, BTreeSet<V>>;

/// A port that has an address: as its own, or (which counts less) as an address pair.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    is_pair: bool,
    port: PortId,
}

/// Where frames for an address go.
#[derive(Debug, Clone, Copy)]
pub struct Station<'a> {
    /// The port that has the address, or one of those that share it.
    pub port: &'a Record<Port>,
    /// The MAC of the address.
    pub mac: MacAddr,
}

/// A router's interface with everything resolved.
#[derive(Debug, Clone)]
pub struct Leg<'a> {
    /// The subnet it is on.
    pub cidr: IpNet,
    /// The network that the subnet is on.
    pub network: &'a Record<Network>,
    /// The router's address there.
    pub ip: IpAddr,
    /// The router's MAC there.
    pub mac: MacAddr,
}

impl View {
    /// The model.
    pub const fn model(&self) -> &Model {
        &self.model
    }

    /// Moves one step on; what the object was before is returned.
    pub fn apply(&mut self, change: Change) -> Option<Record<Object>> {
        let id = change.id();
        let old = self.model.apply(change);
        if let Some(record) = &old {
            self.names.remove(&(record.spec.kind(), record.key));
            self.index(&record.spec, false);
        }
        if let Some(record) = self.model.get(&id) {
            self.names.insert((record.spec.kind(), record.key), id);
            self.index(&record.spec, true);
        }
        old
    }

    fn index(&mut self, object: &Object, add: bool) {
        match object {
            Object::Chassis(_)
            | Object::FloatingIp(_)
            | Object::SecurityGroup(_)
            | Object::AddressGroup(_) => {}
            Object::Network(network) => count(&mut self.segments, &network.segment.type_name(), add),
            Object::Subnet(subnet) => keep(&mut self.subnets_on, &subnet.network, &subnet.id, add),
            Object::Router(router) => {
                for interface in &router.interfaces {
                    keep(&mut self.routers_on, &interface.subnet, &router.id, add);
                }
            }
            Object::Port(port) => self.index_port(port, add),
        }
    }

    fn index_port(&mut self, port: &Port, add: bool) {
        keep(&mut self.ports_on, &port.network, &port.id, add);
        if let Some(chassis) = &port.chassis {
            keep(&mut self.ports_at, chassis, &port.id, add);
            count_in(&mut self.bound, &port.network, chassis, add);
            count_in(&mut self.networks_at, chassis, &port.network, add);
        }
        for (ip, is_pair) in claimed(port) {
            keep(
                &mut self.claims,
                &(port.network.clone(), ip),
                &Claim { is_pair, port: port.id.clone() },
                add,
            );
        }
        if sends_from_anything(port) {
            count(&mut self.open_ports, &port.network, add);
        }
    }

    /// The ports of a network.
    pub fn ports_on(&self, network: &NetworkId) -> impl Iterator<Item = &Record<Port>> {
        self.ports_on.get(network).into_iter().flatten().filter_map(|id| self.model.ports.get(id))
    }

    /// The ports bound to a chassis.
    pub fn ports_at(&self, chassis: &ChassisId) -> impl Iterator<Item = &Record<Port>> {
        self.ports_at.get(chassis).into_iter().flatten().filter_map(|id| self.model.ports.get(id))
    }

    /// How many these are.
    pub fn port_count_at(&self, chassis: &ChassisId) -> usize {
        self.ports_at.get(chassis).map_or(0, BTreeSet::len)
    }

    /// The chassis that have ports of a network, in order.
    pub fn chassis_of(&self, network: &NetworkId) -> impl Iterator<Item = &ChassisId> {
        self.bound.get(network).into_iter().flat_map(BTreeMap::keys)
    }

    /// The networks that have ports on a chassis, in order.
    pub fn networks_at(&self, chassis: &ChassisId) -> impl Iterator<Item = &NetworkId> {
        self.networks_at.get(chassis).into_iter().flat_map(BTreeMap::keys)
    }

    /// How many ports of a network are bound to a chassis.
    pub fn count_at(&self, chassis: &ChassisId, network: &NetworkId) -> usize {
        self.networks_at.get(chassis).and_then(|networks| networks.get(network)).copied().unwrap_or(0)
    }

    /// The subnets of a network.
    pub fn subnets_on(&self, network: &NetworkId) -> impl Iterator<Item = &Record<Subnet>> {
        self.subnets_on.get(network).into_iter().flatten().filter_map(|id| self.model.subnets.get(id))
    }

    /// The routers with an interface on a subnet.
    pub fn routers_on_subnet(&self, subnet: &SubnetId) -> impl Iterator<Item = &Record<Router>> {
        self.routers_on.get(subnet).into_iter().flatten().filter_map(|id| self.model.routers.get(id))
    }

    /// The routers with an interface on any subnet of a network, each once, in order.
    pub fn routers_on(&self, network: &NetworkId) -> impl Iterator<Item = &Record<Router>> {
        let ids: BTreeSet<&RouterId> = self
            .subnets_on(network)
            .filter_map(|subnet| self.routers_on.get(&subnet.spec.id))
            .flatten()
            .collect();
        ids.into_iter().filter_map(|id| self.model.routers.get(id))
    }

    /// Whether some port of a network may send from MACs that nobody knows.
    pub fn has_open_ports(&self, network: &NetworkId) -> bool {
        self.open_ports.contains_key(network)
    }

    /// Whether any network is of a type of segment.
    pub fn uses_segment(&self, type_name: &'static str) -> bool {
        self.segments.contains_key(type_name)
    }

    /// Whose address it is: of the port that has it as its own, or else of the only one that has it as an address pair.
    ///
    /// Of several ports that share an address pair only they know who uses it at the moment. If all of them have it with
    /// the same MAC, as a virtual router has one (RFC 9568, 7.3), frames for that MAC find the one that does; otherwise
    /// the address leads nowhere.
    pub fn station(&self, network: &NetworkId, ip: IpAddr) -> Option<Station<'_>> {
        let claims = self.claims.get(&(network.clone(), ip))?;
        let first = claims.first()?;
        if !first.is_pair || claims.len() == 1 {
            let port = self.model.ports.get(&first.port)?;
            return Some(Station { port, mac: port.spec.mac });
        }
        let sharers = || claims.iter().filter_map(|claim| self.model.ports.get(&claim.port));
        let is_common =
            |mac: &MacAddr| sharers().all(|port| pair_macs(&port.spec, ip).any(|other| other == *mac));
        let mac = pair_macs(&self.model.ports.get(&first.port)?.spec, ip).find(is_common)?;
        let port = sharers().find(|port| port.spec.chassis.is_some()).or_else(|| sharers().next())?;
        Some(Station { port, mac })
    }

    /// All ports that claim an address, in whichever way.
    pub fn claimants(&self, network: &NetworkId, ip: IpAddr) -> impl Iterator<Item = &PortId> {
        self.claims.get(&(network.clone(), ip)).into_iter().flatten().map(|claim| &claim.port)
    }

    /// The interfaces of a router whose subnet, network and address are known.
    pub fn legs<'a>(&'a self, router: &'a Record<Router>) -> impl Iterator<Item = Leg<'a>> {
        router.spec.interfaces.iter().filter_map(|interface| {
            let subnet = &self.model.subnets.get(&interface.subnet)?.spec;
            Some(Leg {
                cidr: subnet.cidr,
                network: self.model.networks.get(&subnet.network)?,
                ip: interface.ip.or(subnet.gateway_ip)?,
                mac: interface.mac.unwrap_or_else(|| macs::router(router.key)),
            })
        })
    }

    /// The object that a key stands for.
    pub fn named(&self, kind: Kind, key: ObjectKey) -> Option<&ObjectId> {
        self.names.get(&(kind, key))
    }

    /// The network of a key.
    pub fn network_named(&self, key: ObjectKey) -> Option<&Record<Network>> {
        let ObjectId::Network(id) = self.named(Kind::Network, key)? else { return None };
        self.model.networks.get(id)
    }

    /// The router of a key, which is its VRF.
    pub fn router_named(&self, key: ObjectKey) -> Option<&Record<Router>> {
        let ObjectId::Router(id) = self.named(Kind::Router, key)? else { return None };
        self.model.routers.get(id)
    }

    /// The key of a chassis.
    pub fn chassis_key(&self, chassis: &ChassisId) -> Option<ObjectKey> {
        self.model.chassis.get(chassis).map(|record| record.key)
    }
}

/// The addresses that belong to a port, each once: its own, and address pairs that are single addresses.
pub(super) fn claimed(port: &Port) -> impl Iterator<Item = (IpAddr, bool)> {
    let own = port.fixed_ips.iter().map(|fixed| (fixed.ip, false));
    let pairs = &port.allowed_address_pairs;
    // With several MACs an address is there several times.
    let is_first = |at: usize, ip: IpNet| pairs.iter().take(at).all(|earlier| earlier.ip != ip);
    let of_pairs = pairs
        .iter()
        .enumerate()
        .filter(move |(at, pair)| pair.ip.prefix_len() == pair.ip.max_prefix_len() && is_first(*at, pair.ip));
    let of_pairs = of_pairs.map(|(_, pair)| (pair.ip.addr(), true));
    own.chain(of_pairs.filter(|(ip, _)| port.fixed_ips.iter().all(|fixed| fixed.ip != *ip)))
}

/// The MACs other than its own with which a port may use an address.
fn pair_macs(port: &Port, ip: IpAddr) -> impl Iterator<Item = MacAddr> {
    let of_ip = port.allowed_address_pairs.iter().filter(move |pair| pair.ip == IpNet::from(ip));
    of_ip.filter_map(|pair| pair.mac).filter(|mac| *mac != port.mac)
}

fn sends_from_anything(port: &Port) -> bool {
    !port.port_security
        || port.allowed_address_pairs.iter().any(|pair| pair.mac.is_some_and(|mac| mac != port.mac))
}

fn keep<K: Hash + Eq + Clone, V: Ord + Clone>(index: &mut Index<K, V>, key: &K, value: &V, add: bool) {
    if add {
        index.entry(key.clone()).or_default().insert(value.clone());
    } else if let Some(set) = index.get_mut(key) {
        set.remove(value);
        if set.is_empty() {
            index.remove(key);
        }
    }
}

fn count<K: Hash + Eq + Clone>(counts: &mut HashMap<K, usize>, key: &K, add: bool) {
    if add {
        *counts.entry(key.clone()).or_default() += 1;
    } else if let Some(n) = counts.get_mut(key) {
        *n -= 1;
        if *n == 0 {
            counts.remove(key);
        }
    }
}

fn count_in<K: Hash + Eq + Clone, V: Ord + Clone>(
    index: &mut HashMap<K, BTreeMap<V, usize>>,
    key: &K,
    value: &V,
    add: bool,
) {
    let counts = index.entry(key.clone()).or_default();
    if add {
        *counts.entry(value.clone()).or_default() += 1;
    } else if let Some(n) = counts.get_mut(value) {
        *n -= 1;
        if *n == 0 {
            counts.remove(value);
        }
    }
    if counts.is_empty() {
        index.remove(key);
    }
}
