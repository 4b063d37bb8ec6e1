//! The model that everything else must equal: a list of routes and a linear scan.

use crate::{NextHop, Prefix, Route};
use alloc::vec::Vec;
use core::net::IpAddr;
use packet::VrfId;

/// All routes, in no order, at most one for each VRF and prefix.
#[derive(Debug, Clone, Default)]
pub struct Model {
    routes: Vec<Route>,
}

impl Model {
    /// Adds or replaces; gives what was there.
    pub fn insert(&mut self, route: Route) -> Option<NextHop> {
        let old = self.remove(route.vrf, route.prefix);
        self.routes.push(route);
        old
    }

    /// Removes; gives what was there.
    pub fn remove(&mut self, vrf: VrfId, prefix: Prefix) -> Option<NextHop> {
        let index = self.routes.iter().position(|route| route.vrf == vrf && route.prefix == prefix)?;
        Some(self.routes.swap_remove(index).next)
    }

    /// The route with the longest prefix that contains `addr`.
    pub fn lookup(&self, vrf: VrfId, addr: IpAddr) -> Option<Route> {
        let matching = self.routes.iter().filter(|route| route.vrf == vrf && route.prefix.contains(addr));
        matching.max_by_key(|route| route.prefix.len()).copied()
    }

    /// All routes, ordered by VRF and prefix.
    pub fn routes(&self) -> Vec<Route> {
        let mut routes = self.routes.clone();
        routes.sort_by_key(|route| (route.vrf, route.prefix));
        routes
    }
}
