//! Which units a change may touch, and keeping their results.

use super::{
    chassis::{Chassis, LocalSwitch, Source, Wanted},
    desired::{Delta, Desired, EncodedFlow, Meter, Unit},
    slice::{Presence, Slice},
    units::{self, tunnel_slice},
    view::{View, claimed},
};
use crate::{
    model::{
        Change, ChassisId, NetworkId, Object, ObjectId, ObjectKey, Port, PortId, Record, Router, RouterId,
    },
    pipeline::{Category, Cookie, Sink, UnitId, punt},
};
use ipnet::IpNet;
use openflow::MeterId;
use packet::OfPort;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// Compiles for every chassis that a controller serves.
#[derive(Debug)]
pub struct Compiler {
    round: u16,
    view: View,
    chassis: BTreeMap<ChassisId, Chassis>,
}

impl Compiler {
    /// Knows nothing yet. `round` goes into the cookies.
    pub fn new(round: u16) -> Self {
        Self { round, view: View::default(), chassis: BTreeMap::new() }
    }

    /// The model as far as it was told.
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// Serves a chassis from now on.
    pub fn add_chassis(&mut self, id: ChassisId) {
        self.chassis.entry(id.clone()).or_insert_with(|| {
            let mut chassis = Chassis::new(id);
            chassis.desired.meters = meters();
            chassis
        });
    }

    pub(super) fn chassis(&self, id: &ChassisId) -> Option<&Chassis> {
        self.chassis.get(id)
    }

    /// What a chassis shall hold, as of the last [`Self::poll`].
    pub fn desired(&self, id: &ChassisId) -> Option<&Desired> {
        self.chassis.get(id).map(|chassis| &chassis.desired)
    }

    /// What the switch of a chassis shall have.
    pub fn wanted(&self, id: &ChassisId) -> Wanted {
        self.chassis.get(id).map(|chassis| chassis.wanted(&self.view)).unwrap_or_default()
    }

    /// The state of a chassis' switch that flows were compiled for.
    pub fn local(&self, id: &ChassisId) -> Option<&LocalSwitch> {
        self.chassis.get(id).map(|chassis| &chassis.local)
    }

    /// The logical port behind a port of a chassis' switch.
    pub fn port_at(&self, id: &ChassisId, ofport: OfPort) -> Option<&Record<Port>> {
        let port = self.chassis.get(id)?.plugged.get(&ofport)?;
        self.view.model().ports.get(port)
    }

    /// Moves the model on.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            let id = change.id();
            let before = self.view.model().get(&id);
            let after = match change {
                Change::Put(record) => Some(record.clone()),
                Change::Delete(_) => None,
            };
            let with_ports = moves_host_routes(before.as_ref(), after.as_ref());
            // What depended on the object as it was, and what depends on it as it is.
            if let Some(record) = &before {
                self.touch(record, with_ports);
            }
            self.view.apply(change.clone());
            if let Some(record) = &after {
                self.touch(record, with_ports);
            }
            if let ObjectId::Port(id) = &id {
                for chassis in self.chassis.values_mut() {
                    chassis.replace_floods(&self.view, std::slice::from_ref(id));
                }
            }
        }
    }

    /// Marks every unit that looks at an object; of a router the host routes only if `with_ports`.
    fn touch(&mut self, record: &Record<Object>, with_ports: bool) {
        for chassis in self.chassis.values_mut() {
            let mut touch = Touch { view: &self.view, chassis };
            match &record.spec {
                Object::Chassis(object) => touch.chassis(&object.id, record.key),
                Object::Network(object) => touch.network(&object.id, record.key),
                Object::Subnet(object) => touch.subnet(&object.network),
                Object::Port(object) => touch.port(object, record.key),
                Object::Router(object) => touch.router(object, record.key, with_ports),
                // Nothing is made of them yet.
                Object::FloatingIp(_) | Object::SecurityGroup(_) | Object::AddressGroup(_) => {}
            }
        }
    }

    /// Takes over what OVSDB says of a chassis' switch.
    pub fn set_local(&mut self, id: &ChassisId, local: LocalSwitch) {
        let Some(chassis) = self.chassis.get_mut(id) else { return };
        chassis.plugged = local.ports.iter().map(|(id, ofport)| (*ofport, id.clone())).collect();
        let old = std::mem::replace(&mut chassis.local, local);
        let (before, after) = (&old.ports, &chassis.local.ports);
        let moved: Vec<PortId> = before
            .iter()
            .filter(|(id, ofport)| after.get(*id) != Some(ofport))
            .map(|(id, _)| id.clone())
            .chain(after.keys().filter(|id| !before.contains_key(*id)).cloned())
            .collect();
        chassis.replace_floods(&self.view, &moved);
        for port in moved {
            if let Some(record) = self.view.model().ports.get(&port) {
                chassis.mark(UnitId::whole(Category::Port, record.key), Source::Port(port));
            }
        }
        if old.tunnels != chassis.local.tunnels || old.patches != chassis.local.patches {
            chassis.mark_all(&self.view);
        }
    }

    /// Compiles what was marked; says what changed for whom.
    pub fn poll(&mut self) -> Vec<(ChassisId, Delta)> {
        let mut deltas = Vec::new();
        for (id, chassis) in &mut self.chassis {
            chassis.follow_slice(&self.view);
            if chassis.dirty.is_empty() {
                continue;
            }
            let mut delta = Delta::default();
            for (unit, source) in std::mem::take(&mut chassis.dirty) {
                let compiled = compile_unit(&self.view, chassis, self.round, unit, &source);
                chassis.desired.replace(unit, compiled, &mut delta);
            }
            delta.settle();
            if !delta.is_empty() {
                deltas.push((id.clone(), delta));
            }
        }
        deltas
    }

    /// Compiles everything anew for a chassis: the truth that [`Self::poll`] must agree with.
    pub fn recompute(&self, id: &ChassisId) -> Desired {
        let mut fresh = Chassis::new(id.clone());
        if let Some(chassis) = self.chassis.get(id) {
            fresh.local = chassis.local.clone();
            fresh.desired.meters.clone_from(&chassis.desired.meters);
        }
        let plugged: Vec<PortId> = fresh.local.ports.keys().cloned().collect();
        fresh.replace_floods(&self.view, &plugged);
        fresh.slice = Slice::of(&self.view, id);
        fresh.mark_all(&self.view);
        for (unit, source) in std::mem::take(&mut fresh.dirty) {
            let compiled = compile_unit(&self.view, &fresh, self.round, unit, &source);
            fresh.desired.replace(unit, compiled, &mut Delta::default());
        }
        fresh.desired
    }
}

/// Whether a change can move host routes of ports: not if a router keeps its interfaces, its key and those routes
/// that beat an attached subnet (a default route never does).
fn moves_host_routes(before: Option<&Record<Object>>, after: Option<&Record<Object>>) -> bool {
    let (Some(before), Some(after)) = (before, after) else { return true };
    let (Object::Router(old), Object::Router(new)) = (&before.spec, &after.spec) else { return true };
    let longer = |router: &Router| -> BTreeSet<IpNet> {
        router.routes.iter().map(|route| route.destination).filter(|to| to.prefix_len() > 0).collect()
    };
    before.key != after.key || old.interfaces != new.interfaces || longer(old) != longer(new)
}

fn compile_unit(view: &View, chassis: &Chassis, round: u16, id: UnitId, source: &Source) -> Unit {
    let mut sink = Sink::new(Cookie { round, unit: id });
    units::compile(view, chassis, id, source, &mut sink);
    // A flow that does not fit into 64 KiB cannot be made by the pipeline: its longest, a flood over slices, would
    // need 1,600 slices of 32 ports on one chassis.
    let flows = sink.flows.iter().filter_map(|flow| EncodedFlow::new(flow).ok()).collect();
    Unit { flows, groups: sink.groups.into() }
}

fn meters() -> Vec<Meter> {
    (1..=punt::METERS)
        .map(|id| Meter { id: MeterId(id), rate: punt::METER_RATE, burst: punt::METER_BURST })
        .collect()
}

impl Chassis {
    fn mark(&mut self, unit: UnitId, source: Source) {
        self.dirty.insert(unit, source);
    }

    /// Compares the slice with what it should be and marks what came and went.
    fn follow_slice(&mut self, view: &View) {
        if !std::mem::take(&mut self.slice_is_stale) {
            return;
        }
        let new = Slice::of(view, &self.id);
        let old = std::mem::replace(&mut self.slice, new.clone());
        let networks: BTreeSet<&NetworkId> = old.networks.keys().chain(new.networks.keys()).collect();
        for network in networks.into_iter().filter(|id| old.networks.get(*id) != new.networks.get(*id)) {
            self.mark_network(view, network);
        }
        for router in old.routers.symmetric_difference(&new.routers) {
            self.mark_router(view, router);
        }
    }

    /// A network with its floods and ports, and the routers on it.
    fn mark_network(&mut self, view: &View, id: &NetworkId) {
        if let Some(network) = view.model().networks.get(id) {
            self.mark_floods(view, id, network.key);
        }
        for port in view.ports_on(id) {
            self.mark(UnitId::whole(Category::Port, port.key), Source::Port(port.spec.id.clone()));
        }
        for router in view.routers_on(id) {
            self.mark(UnitId::whole(Category::Router, router.key), Source::Router(router.spec.id.clone()));
        }
    }

    /// A router, and the ports on its networks, whose host routes are in it.
    fn mark_router(&mut self, view: &View, id: &RouterId) {
        let Some(router) = view.model().routers.get(id) else { return };
        self.mark(UnitId::whole(Category::Router, router.key), Source::Router(id.clone()));
        let networks: BTreeSet<&NetworkId> = view.legs(router).map(|leg| &leg.network.spec.id).collect();
        for port in networks.into_iter().flat_map(|network| view.ports_on(network)) {
            self.mark(UnitId::whole(Category::Port, port.key), Source::Port(port.spec.id.clone()));
        }
    }

    /// A network and every slice of its floods that may exist.
    fn mark_floods(&mut self, view: &View, id: &NetworkId, key: ObjectKey) {
        self.mark(UnitId::whole(Category::Network, key), Source::Network(id.clone()));
        let ports: Vec<u16> = self.floods.get(id).map(|f| f.keys().copied().collect()).unwrap_or_default();
        let tunnels = view.chassis_of(id).filter_map(|other| view.chassis_key(other)).map(tunnel_slice);
        let slices = ports.into_iter().map(|part| (Category::FloodPorts, part));
        for (category, part) in slices.chain(tunnels.map(|part| (Category::FloodTunnels, part))) {
            self.mark(UnitId { category, part, object: key }, Source::Network(id.clone()));
        }
    }

    /// Everything that is or may be.
    fn mark_all(&mut self, view: &View) {
        self.mark(UnitId::BASE, Source::Base);
        let networks: Vec<NetworkId> = self.slice.networks.keys().cloned().collect();
        for network in &networks {
            self.mark_network(view, network);
        }
        let routers: Vec<RouterId> = self.slice.routers.iter().cloned().collect();
        for router in &routers {
            self.mark_router(view, router);
        }
    }

    /// Puts ports into the slices of their networks' floods where they belong now. All leave before any enters: a number
    /// may go from one to another.
    fn replace_floods(&mut self, view: &View, ports: &[PortId]) {
        let moved: Vec<(&PortId, Option<(NetworkId, OfPort)>)> = ports
            .iter()
            .map(|id| (id, self.place(view, id)))
            .filter(|(id, place)| self.placed.get(*id) != place.as_ref())
            .collect();
        for (id, _) in &moved {
            if let Some((network, ofport)) = self.placed.remove(*id) {
                let slice = Self::flood_slice(ofport);
                if let Some(slices) = self.floods.get_mut(&network) {
                    if let Some(ports) = slices.get_mut(&slice) {
                        ports.remove(&ofport);
                    }
                    slices.retain(|_, ports| !ports.is_empty());
                }
                self.mark_flood_slice(view, &network, slice);
            }
        }
        for (id, place) in moved {
            if let Some((network, ofport)) = place {
                let slice = Self::flood_slice(ofport);
                self.floods.entry(network.clone()).or_default().entry(slice).or_default().insert(ofport);
                self.mark_flood_slice(view, &network, slice);
                self.placed.insert(id.clone(), (network, ofport));
            }
        }
    }

    /// The network that a port is plugged into here, and where.
    fn place(&self, view: &View, id: &PortId) -> Option<(NetworkId, OfPort)> {
        let port = view.model().ports.get(id).filter(|port| port.spec.chassis.as_ref() == Some(&self.id))?;
        Some((port.spec.network.clone(), *self.local.ports.get(id)?))
    }

    fn mark_flood_slice(&mut self, view: &View, id: &NetworkId, part: u16) {
        if let Some(network) = view.model().networks.get(id) {
            self.mark(UnitId::whole(Category::Network, network.key), Source::Network(id.clone()));
            let unit = UnitId { category: Category::FloodPorts, part, object: network.key };
            self.mark(unit, Source::Network(id.clone()));
        }
    }
}

/// Who looks at an object. Called with the object as it was, while the view still has it, and as it is.
struct Touch<'a> {
    view: &'a View,
    chassis: &'a mut Chassis,
}

impl Touch<'_> {
    fn chassis(&mut self, id: &ChassisId, key: ObjectKey) {
        if *id == self.chassis.id {
            self.chassis.slice_is_stale = true;
            return self.chassis.mark_all(self.view);
        }
        for port in self.view.ports_at(id) {
            self.chassis.mark(UnitId::whole(Category::Port, port.key), Source::Port(port.spec.id.clone()));
        }
        for network in self.view.networks_at(id) {
            self.tunnels_of(network, key);
        }
    }

    /// The tunnels of a network to a chassis.
    fn tunnels_of(&mut self, network: &NetworkId, chassis: ObjectKey) {
        if let Some(record) = self.view.model().networks.get(network) {
            self.chassis.mark(UnitId::whole(Category::Network, record.key), Source::Network(network.clone()));
            let unit =
                UnitId { category: Category::FloodTunnels, part: tunnel_slice(chassis), object: record.key };
            self.chassis.mark(unit, Source::Network(network.clone()));
        }
    }

    fn network(&mut self, id: &NetworkId, key: ObjectKey) {
        // Its floods by the key it has here: a network that was deleted and made anew has another.
        self.chassis.mark_floods(self.view, id, key);
        self.subnet(id);
    }

    /// A subnet ties routers to a network.
    fn subnet(&mut self, network: &NetworkId) {
        self.chassis.slice_is_stale = true;
        self.chassis.mark_network(self.view, network);
        let routers: Vec<&Record<Router>> = self.view.routers_on(network).collect();
        for router in routers {
            self.router(&router.spec, router.key, true);
        }
    }

    fn port(&mut self, port: &Port, key: ObjectKey) {
        self.chassis.mark(UnitId::whole(Category::Port, key), Source::Port(port.id.clone()));
        let ips: Vec<IpAddr> = claimed(port).map(|(ip, _)| ip).collect();
        for id in ips.iter().flat_map(|ip| self.view.claimants(&port.network, *ip)) {
            if let Some(other) = self.view.model().ports.get(id) {
                self.chassis.mark(UnitId::whole(Category::Port, other.key), Source::Port(id.clone()));
            }
        }
        self.users_of_next_hops(&port.network, &ips, None);
        // A port that may send from any MAC opens its network to unknown unicast, bound or not.
        if let Some(network) = self.view.model().networks.get(&port.network) {
            self.chassis
                .mark(UnitId::whole(Category::Network, network.key), Source::Network(port.network.clone()));
        }
        let Some(binding) = &port.chassis else { return };
        if *binding == self.chassis.id {
            // The first port of a network to come, or the last to go, moves the slice.
            let is_known = self.chassis.slice.networks.get(&port.network) == Some(&Presence::Local);
            let is_only = self.view.count_at(binding, &port.network) <= 1;
            self.chassis.slice_is_stale |= !is_known || is_only;
        }
        if let Some(other) = self.view.chassis_key(binding) {
            self.tunnels_of(&port.network, other);
        }
    }

    fn router(&mut self, router: &Router, key: ObjectKey, with_ports: bool) {
        self.chassis.slice_is_stale = true;
        self.chassis.mark(UnitId::whole(Category::Router, key), Source::Router(router.id.clone()));
        if with_ports {
            self.chassis.mark_router(self.view, &router.id);
        }
        let record = Record { key, revision: Default::default(), spec: router.clone() };
        let doors: Vec<(NetworkId, IpAddr)> =
            self.view.legs(&record).map(|leg| (leg.network.spec.id.clone(), leg.ip)).collect();
        for (network, ip) in doors {
            if let Some(record) = self.view.model().networks.get(&network) {
                self.chassis
                    .mark(UnitId::whole(Category::Network, record.key), Source::Network(network.clone()));
            }
            self.users_of_next_hops(&network, &[ip], Some(&router.id));
        }
    }

    /// Routers on a network that have one of these addresses as a next hop.
    fn users_of_next_hops(&mut self, network: &NetworkId, ips: &[IpAddr], but: Option<&RouterId>) {
        for user in self.view.routers_on(network).filter(|user| Some(&user.spec.id) != but) {
            if user.spec.routes.iter().flat_map(|route| &route.next_hops).any(|hop| ips.contains(hop)) {
                self.chassis
                    .mark(UnitId::whole(Category::Router, user.key), Source::Router(user.spec.id.clone()));
            }
        }
    }
}
