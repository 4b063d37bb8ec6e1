//! Bootstrap of one chassis through its OVSDB, and discovery of the ports on it.
//!
//! What goes in is a [`Wanted`], what comes out is an [`OvsdbState`]; both travel in a `tokio::sync::watch`, so the
//! reader always sees the newest and is never behind. A reader that wants single changes keeps the last
//! [`ChassisPorts`] it acted on and asks [`ChassisPorts::events_since`].
//!
//! Nothing is ever changed that is not ours. Rows that we create carry `external_ids:dragonflow=<role>`; other rows
//! are read only, but for the columns of the integration bridge that [`Wanted`] names.

mod link;
mod observed;
mod plan;
mod ports;
mod task;
#[cfg(test)]
mod tests;
mod wanted;

use std::{collections::BTreeMap, sync::Arc};

use ovsdb::Uuid;
use packet::{DatapathId, IfIndex, MacAddr, OfPort};

pub use link::{OvsdbLink, RealLink};
pub use task::run;
pub use wanted::{ControllerTarget, TunnelType, Wanted, WantedError};

/// The newest known state of the chassis and of the connection to its database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OvsdbState {
    /// The database answers now. When false, `ports` is what was known last: a database that is away is no reason to
    /// withdraw a port.
    pub connected: bool,
    /// The database holds everything that was wanted last. (That `ovs-vswitchd` has acted on it shows in the ofports.)
    pub applied: bool,
    /// The ports of the chassis.
    pub ports: Arc<ChassisPorts>,
    /// What an operator should look into, in a fixed order without duplicates.
    pub warnings: Vec<Warning>,
    /// Why the database cannot be read or written, while that is so; names the remote and says what to do.
    pub error: Option<String>,
}

/// The integration bridge with the ports that matter to us. Interfaces on other bridges never appear.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChassisPorts {
    /// `Open_vSwitch.external_ids`, "system-id" among them; only ever read.
    pub external_ids: BTreeMap<String, String>,
    /// The integration bridge as OpenFlow knows it; `None` until `ovs-vswitchd` has made it.
    pub datapath_id: Option<DatapathId>,
    /// Interfaces that carry `external_ids:iface-id`, by that id.
    pub interfaces: BTreeMap<Arc<str>, Arc<Interface>>,
    /// Our tunnel ports.
    pub tunnels: BTreeMap<TunnelType, Arc<Interface>>,
    /// Our ends, on the integration bridge, of the patches to the bridges of physical networks, by physical network.
    pub patches: BTreeMap<String, Arc<Interface>>,
}

/// One interface on the integration bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The row in the table `Interface`.
    pub uuid: Uuid,
    /// The name of the device.
    pub name: String,
    /// The port number; `None` before `ovs-vswitchd` has given one and when it could not open the device (see `error`).
    pub ofport: Option<OfPort>,
    /// The kernel's index of the device; `None` while unknown, and for devices of the switch alone.
    pub ifindex: Option<IfIndex>,
    /// Carrier; `None` while unknown.
    pub link_up: Option<bool>,
    /// The address of the device itself. For a tap that is not the address of the VM behind it.
    pub mac_in_use: Option<MacAddr>,
    /// `external_ids:attached-mac`: the address of the VM behind the device, where the one who plugged it said so.
    pub attached_mac: Option<MacAddr>,
    /// Why `ovs-vswitchd` could not set up the device, as in "could not open network device tap0 (No such device)".
    pub error: Option<String>,
}

/// One difference between two [`ChassisPorts`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OvsdbEvent {
    /// The integration bridge is new, another one, or gone. Other events about its ports come as usual.
    Datapath {
        /// Before.
        old: Option<DatapathId>,
        /// Now.
        new: Option<DatapathId>,
    },
    /// `Open_vSwitch.external_ids` changed.
    ExternalIds(BTreeMap<String, String>),
    /// The interface of a logical port appeared (`old` is `None`), changed or went (`new` is `None`).
    Interface {
        /// `external_ids:iface-id`.
        iface_id: Arc<str>,
        /// Before.
        old: Option<Arc<Interface>>,
        /// Now.
        new: Option<Arc<Interface>>,
    },
    /// The same for a tunnel port.
    Tunnel {
        /// Which.
        tunnel: TunnelType,
        /// Before.
        old: Option<Arc<Interface>>,
        /// Now.
        new: Option<Arc<Interface>>,
    },
    /// The same for a patch port.
    Patch {
        /// The physical network.
        physical_network: String,
        /// Before.
        old: Option<Arc<Interface>>,
        /// Now.
        new: Option<Arc<Interface>>,
    },
}

/// Something on the chassis that an operator should look into. The text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Warning {
    /// Somebody else's controller is configured on the integration bridge.
    #[error(
        "bridge {bridge} also has the controller {target}, which is not ours: two controllers undo each other's flows; \
         stop what set it and run: ovs-vsctl remove bridge {bridge} controller {uuid}"
    )]
    ForeignController {
        /// The integration bridge.
        bridge: String,
        /// Its other target.
        target: String,
        /// The row of the table `Controller`.
        uuid: Uuid,
    },
    /// A port that we need exists, but we did not create it.
    #[error(
        "port {name} exists and is not ours (no external_ids:dragonflow): left alone, so {needed_for} does not work; \
         if nothing needs it run: ovs-vsctl del-port {name}"
    )]
    NameTaken {
        /// The name of the port or interface.
        name: String,
        /// What we need the name for.
        needed_for: String,
    },
    /// More than one interface carries the same `external_ids:iface-id`.
    #[error(
        "interfaces {} all claim iface-id {iface_id}: using {chosen}; remove external_ids:iface-id from the others",
        .others.join(", ")
    )]
    DuplicateIfaceId {
        /// The id.
        iface_id: String,
        /// The interface that counts.
        chosen: String,
        /// Those that do not.
        others: Vec<String>,
    },
    /// `ovs-vswitchd` could not set up an interface that matters to us.
    #[error("interface {interface}: {error}")]
    InterfaceError {
        /// The name of the interface.
        interface: String,
        /// The column `error`.
        error: String,
    },
    /// A bridge that leads to a physical network has another kind of datapath than the integration bridge.
    #[error(
        "bridge {bridge} has datapath_type {found:?} but the integration bridge has {expected:?}: patch ports between \
         them carry nothing; run: ovs-vsctl set bridge {bridge} datapath_type={expected}"
    )]
    DatapathTypeMismatch {
        /// The provider bridge.
        bridge: String,
        /// Its type.
        found: String,
        /// The type of the integration bridge.
        expected: String,
    },
    /// The controller target is `ssl:`, but the switch has no keys.
    #[error(
        "target {target} needs TLS but Open vSwitch has no keys; run: ovs-vsctl set-ssl KEY CERTIFICATE CA"
    )]
    NoSslConfiguration {
        /// The target.
        target: String,
    },
    /// The bridge is in the database, but nobody has made it.
    #[error("bridge {bridge} has no datapath id: is ovs-vswitchd running?")]
    NoDatapath {
        /// The integration bridge.
        bridge: String,
    },
}

impl ChassisPorts {
    /// What changed from `old` to `self`: first the bridge, then tunnels and patches, then interfaces, each by key.
    pub fn events_since(&self, old: &Self) -> Vec<OvsdbEvent> {
        let mut events = Vec::new();
        if self.external_ids != old.external_ids {
            events.push(OvsdbEvent::ExternalIds(self.external_ids.clone()));
        }
        if self.datapath_id != old.datapath_id {
            events.push(OvsdbEvent::Datapath { old: old.datapath_id, new: self.datapath_id });
        }
        for_each_change(&old.tunnels, &self.tunnels, |&tunnel, old, new| {
            events.push(OvsdbEvent::Tunnel { tunnel, old, new });
        });
        for_each_change(&old.patches, &self.patches, |physical_network, old, new| {
            events.push(OvsdbEvent::Patch { physical_network: physical_network.clone(), old, new });
        });
        for_each_change(&old.interfaces, &self.interfaces, |iface_id, old, new| {
            events.push(OvsdbEvent::Interface { iface_id: Arc::clone(iface_id), old, new });
        });
        events
    }
}

fn for_each_change<K: Ord>(
    old: &BTreeMap<K, Arc<Interface>>,
    new: &BTreeMap<K, Arc<Interface>>,
    mut change: impl FnMut(&K, Option<Arc<Interface>>, Option<Arc<Interface>>),
) {
    for (key, was) in old {
        match new.get(key) {
            Some(is) if Arc::ptr_eq(was, is) || was == is => {}
            is => change(key, Some(Arc::clone(was)), is.cloned()),
        }
    }
    for (key, is) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
        change(key, None, Some(Arc::clone(is)));
    }
}
