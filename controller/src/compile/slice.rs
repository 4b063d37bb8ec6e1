//! What part of the cloud a chassis must know: what its own ports can reach.

use super::view::View;
use crate::model::{ChassisId, NetworkId, Record, Router, RouterId};
use std::collections::{BTreeMap, BTreeSet};

/// How a network is present on a chassis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Ports of it are here.
    Local,
    /// A router leads to it.
    Reached,
}

/// The networks and routers of a chassis.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slice {
    /// The networks, each with how it is present.
    pub networks: BTreeMap<NetworkId, Presence>,
    /// The routers that local packets can enter.
    pub routers: BTreeSet<RouterId>,
}

impl Slice {
    /// Starts from the local ports: their networks, the routers attached to those, the routers that are next hops of
    /// those, and all networks of all these routers. A network that is only reached does not lead on to its other
    /// routers: a packet cannot enter them, and a network shared by all tenants would bring the whole cloud in.
    pub fn of(view: &View, chassis: &ChassisId) -> Self {
        let mut slice = Self::default();
        let mut queue: Vec<&Record<Router>> = Vec::new();
        for network in view.networks_at(chassis) {
            slice.networks.insert(network.clone(), Presence::Local);
            queue.extend(view.routers_on(network));
        }
        while let Some(router) = queue.pop() {
            if !slice.routers.insert(router.spec.id.clone()) {
                continue;
            }
            for leg in view.legs(router) {
                slice.networks.entry(leg.network.spec.id.clone()).or_insert(Presence::Reached);
            }
            queue.extend(next_routers(view, router));
        }
        slice
    }
}

/// The routers that a router has as next hops.
fn next_routers<'a>(view: &'a View, router: &'a Record<Router>) -> impl Iterator<Item = &'a Record<Router>> {
    router.spec.routes.iter().flat_map(|route| &route.next_hops).filter_map(move |hop| {
        let leg = view.legs(router).find(|leg| leg.cidr.contains(hop))?;
        let network = &leg.network.spec.id;
        view.routers_on(network).find(|other| {
            other.spec.id != router.spec.id
                && view.legs(other).any(|leg| leg.ip == *hop && leg.network.spec.id == *network)
        })
    })
}
