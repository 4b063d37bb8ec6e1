//! The mutable routing table of all VRFs.

use crate::{BuildError, Memory, NextHop, Prefix, Route, Tables, build};
use alloc::collections::BTreeMap;
use core::net::IpAddr;
use ipnet::IpNet;
use packet::VrfId;
use prefix_trie::joint::JointPrefixMap;

/// All routes, by VRF and prefix, and what they lead to. A trie for each VRF and family.
#[derive(Debug, Clone, Default)]
pub struct Rib {
    /// Never with an empty trie, so that a VRF without routes is gone.
    vrfs: BTreeMap<VrfId, JointPrefixMap<IpNet, NextHop>>,
    /// What next hops refer to. May lack what a route names until the image is built.
    pub tables: Tables,
}

impl Rib {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// A table without routes.
    pub fn with_tables(tables: Tables) -> Self {
        Self { vrfs: BTreeMap::new(), tables }
    }

    /// Adds or replaces a route; gives the next hop it had.
    pub fn insert(&mut self, route: Route) -> Option<NextHop> {
        self.vrfs.entry(route.vrf).or_default().insert(route.prefix.net(), route.next)
    }

    /// Removes a route; gives the next hop it had.
    pub fn remove(&mut self, vrf: VrfId, prefix: Prefix) -> Option<NextHop> {
        let routes = self.vrfs.get_mut(&vrf)?;
        let old = routes.remove(&prefix.net());
        if routes.is_empty() {
            self.vrfs.remove(&vrf);
        }
        old
    }

    /// The next hop of exactly this prefix.
    pub fn get(&self, vrf: VrfId, prefix: Prefix) -> Option<NextHop> {
        self.vrfs.get(&vrf)?.get(&prefix.net()).copied()
    }

    /// The route with the longest prefix that contains `addr`.
    pub fn lookup(&self, vrf: VrfId, addr: IpAddr) -> Option<Route> {
        let (net, next) = self.vrfs.get(&vrf)?.get_lpm(&IpNet::from(addr))?;
        Some(Route { vrf, prefix: net.into(), next: *next })
    }

    /// All routes, ordered by VRF and prefix.
    pub fn routes(&self) -> impl Iterator<Item = Route> {
        self.vrfs.iter().flat_map(|(vrf, routes)| {
            routes.iter().map(|(net, next)| Route { vrf: *vrf, prefix: net.into(), next: *next })
        })
    }

    /// The VRFs that have routes, ascending.
    pub fn vrfs(&self) -> impl Iterator<Item = VrfId> {
        self.vrfs.keys().copied()
    }

    /// Number of routes.
    pub fn len(&self) -> usize {
        self.vrfs.values().map(JointPrefixMap::len).sum()
    }

    /// True without routes.
    pub fn is_empty(&self) -> bool {
        self.vrfs.is_empty()
    }

    /// Compiles everything: see [`build`].
    ///
    /// # Errors
    /// [`BuildError`] if a route names what the tables do not have.
    pub fn image(&self, epoch: u64, hash_seed: u64) -> Result<Memory, BuildError> {
        build(self.routes(), &self.tables, epoch, hash_seed)
    }
}
