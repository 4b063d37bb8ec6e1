//! From what is there and what is wanted to the operations that make it so. Pure.
//!
//! All operations of a plan are one transaction, so `ovs-vswitchd` never sees a bridge with a controller that is not
//! yet `fail_mode=secure`, nor one whose controller is about to be replaced without any: going to no controller or
//! back flushes all flows (see `Planner::controller`).
//!
//! What is ours carries [`MARK`]. Other rows are never changed, but for the integration bridge's columns that
//! [`Wanted`] names, and for the row of a controller that has our very target. A plan that has been carried out plans
//! to nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ovsdb::{Atom, Condition, Mutation, Operation, Row, Uuid, Value};

use super::{
    TunnelType, Wanted, Warning,
    observed::{BridgeRow, ControllerRow, InterfaceRow, MARK, Observed, PHYSICAL_NETWORK, PortRow},
    wanted::patch_names,
};

/// Values of [`MARK`].
pub(super) mod role {
    /// The integration bridge.
    pub(in super::super) const INTEGRATION: &str = "integration";
    /// A bridge to a physical network.
    pub(in super::super) const PROVIDER: &str = "provider";
    /// One end of a patch between the two.
    pub(in super::super) const PATCH: &str = "patch";
    /// A tunnel port.
    pub(in super::super) const TUNNEL: &str = "tunnel";
    /// A controller of the integration bridge.
    pub(in super::super) const CONTROLLER: &str = "controller";
}

/// What to do, and what cannot be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// For one transaction; empty when nothing is to be done.
    pub(super) operations: Vec<Operation>,
    /// What stands in the way.
    pub(super) warnings: Vec<Warning>,
}

/// Plans the way from `observed` to `wanted`, which must be valid.
pub(super) fn plan(observed: &Observed, wanted: &Wanted) -> Plan {
    let root = observed.roots.keys().next().copied().map(Atom::Uuid);
    let mut planner =
        Planner { observed, wanted, plan: Plan::default(), kept: BTreeSet::new(), named: 0, root };
    planner.plan_all();
    planner.plan
}

struct Planner<'a> {
    observed: &'a Observed,
    wanted: &'a Wanted,
    plan: Plan,
    /// Ports of ours that stay.
    kept: BTreeSet<Uuid>,
    /// How many rows of this plan have names.
    named: usize,
    /// The only row of `Open_vSwitch`.
    root: Option<Atom>,
}

/// One port with one interface that we want to be on a bridge.
struct PortSpec {
    name: String,
    kind: &'static str,
    options: BTreeMap<&'static str, String>,
    role: &'static str,
    physical_network: Option<String>,
    needed_for: String,
}

impl<'a> Planner<'a> {
    fn plan_all(&mut self) {
        let integration = self.observed.bridge(&self.wanted.bridge);
        let at = match integration {
            Some((uuid, row)) => {
                self.adjust_integration_bridge(uuid, row);
                Some(Atom::Uuid(uuid))
            }
            None => self.create_integration_bridge(),
        };
        if let Some(at) = at {
            self.controller(&at, integration.map(|(_, row)| row));
            self.tunnels(&at);
            self.provider_bridges(&at);
            self.remove_what_is_not_wanted();
        }
        self.plan.warnings.sort();
        self.plan.warnings.dedup();
    }

    fn create_integration_bridge(&mut self) -> Option<Atom> {
        let row = Row::default()
            .with("fail_mode", "secure")
            .with("protocols", Value::set(ALL_PROTOCOLS))
            .with("other_config", Value::map([DISABLE_IN_BAND]));
        self.create_bridge(&self.wanted.bridge, row, role::INTEGRATION, "the integration bridge")
    }

    fn adjust_integration_bridge(&mut self, uuid: Uuid, bridge: &BridgeRow) {
        let mut row = Row::default();
        if bridge.fail_mode.as_deref() != Some("secure") {
            row.set("fail_mode", "secure");
        }
        if let Some(wanted) = self.wanted.datapath_type.as_deref()
            && !same_datapath_type(wanted, &bridge.datapath_type)
        {
            row.set("datapath_type", wanted);
        }
        self.update("Bridge", uuid, row);

        let mut mutations = Vec::new();
        if bridge.protocols.is_empty() {
            // Empty means all. Adding one to none would take the others from those who use them.
            mutations.push(Mutation::insert("protocols", Value::set(ALL_PROTOCOLS)));
        } else if !bridge.protocols.contains("OpenFlow13") {
            mutations.push(Mutation::insert("protocols", "OpenFlow13"));
        }
        let (key, value) = DISABLE_IN_BAND;
        if bridge.disable_in_band.as_deref() != Some(value) {
            // An insert leaves a key that is there as it is.
            mutations.push(Mutation::delete("other_config", Value::set([key])));
            mutations.push(Mutation::insert("other_config", Value::map([DISABLE_IN_BAND])));
        }
        self.mutate("Bridge", &Atom::Uuid(uuid), mutations);
    }

    /// One row with our target. It is changed in place, or added before another goes, and always within one
    /// transaction: a bridge that is without a controller for a moment loses its flows, also with fail_mode=secure.
    fn controller(&mut self, at: &Atom, bridge: Option<&BridgeRow>) {
        let target = self.wanted.controller.target.as_str();
        let there: Vec<(Uuid, &ControllerRow)> = bridge
            .iter()
            .flat_map(|bridge| &bridge.controllers)
            .filter_map(|uuid| Some((*uuid, self.observed.controllers.get(uuid)?)))
            .collect();
        let ours = |row: &ControllerRow| row.role.is_some();
        // Where somebody added our target twice: the row that needs no change, so that the next plan keeps the same one.
        let fitness =
            |row: &ControllerRow| (row.target == target, ours(row), self.controller_changes(row).is_empty());
        let kept = there
            .iter()
            .filter(|(_, row)| row.target == target || ours(row))
            .max_by_key(|(_, row)| fitness(row));

        match kept {
            Some((uuid, row)) => self.update("Controller", *uuid, self.controller_changes(row)),
            None => {
                let row = self
                    .controller_columns(false)
                    .with("external_ids", Value::map([(MARK, role::CONTROLLER)]));
                let controller = self.insert("Controller", row);
                self.mutate("Bridge", at, vec![Mutation::insert("controller", controller)]);
            }
        }
        for (uuid, row) in there.iter().filter(|(uuid, _)| kept.is_none_or(|(kept, _)| kept != uuid)) {
            if ours(row) {
                self.mutate("Bridge", at, vec![Mutation::delete("controller", *uuid)]);
            } else if row.target != target && !is_passive(&row.target) {
                let (bridge, target) = (self.wanted.bridge.clone(), row.target.clone());
                self.plan.warnings.push(Warning::ForeignController { bridge, target, uuid: *uuid });
            }
        }
        let has_keys = self.observed.roots.values().any(|root| root.has_ssl);
        if target.starts_with("ssl:") && !has_keys {
            self.plan.warnings.push(Warning::NoSslConfiguration { target: target.to_owned() });
        }
    }

    fn controller_columns(&self, is_connected: bool) -> Row {
        let wanted = &self.wanted.controller;
        Row::default()
            .with("target", wanted.target.as_str())
            .with("max_backoff", max_backoff(wanted.max_backoff_ms, is_connected))
            .with("inactivity_probe", wanted.inactivity_probe_ms)
            .with("connection_mode", "out-of-band")
    }

    fn controller_changes(&self, row: &ControllerRow) -> Row {
        let wanted = &self.wanted.controller;
        let mut changes = Row::default();
        let as_wanted = row.target == wanted.target
            && row.max_backoff == Some(max_backoff(wanted.max_backoff_ms, row.is_connected))
            && row.inactivity_probe == Some(wanted.inactivity_probe_ms.into())
            && row.connection_mode.as_deref() == Some("out-of-band");
        if !as_wanted {
            changes = self.controller_columns(row.is_connected);
        }
        if row.is_limited {
            // The rate of packet-ins is limited by meters in the pipeline, where each kind has its own.
            for column in ["enable_async_messages", "controller_rate_limit", "controller_burst_limit"] {
                changes.set(column, Value::empty());
            }
        }
        changes
    }

    fn tunnels(&mut self, at: &Atom) {
        for tunnel in &self.wanted.tunnels {
            let spec = PortSpec {
                name: tunnel.port_name().into(),
                kind: tunnel.interface_type(),
                options: tunnel_options(*tunnel, self.wanted.encap_ip),
                role: role::TUNNEL,
                physical_network: None,
                needed_for: format!("{} tunnelling", tunnel.interface_type()),
            };
            self.ensure_port(at, spec);
        }
    }

    fn provider_bridges(&mut self, integration: &Atom) {
        let existing = self.observed.bridge(&self.wanted.bridge);
        let configured = self.wanted.datapath_type.as_deref();
        let datapath_type =
            configured.or(existing.map(|(_, row)| row.datapath_type.as_str())).unwrap_or_default();
        for (network, bridge) in &self.wanted.provider_bridges {
            let Some(provider) = self.provider_bridge(network, bridge, datapath_type) else { continue };
            let (ours, peer) = patch_names(network);
            for (at, name, other) in [(integration, &ours, &peer), (&provider, &peer, &ours)] {
                let spec = PortSpec {
                    name: name.clone(),
                    kind: "patch",
                    options: BTreeMap::from([("peer", other.clone())]),
                    role: role::PATCH,
                    physical_network: Some(network.clone()),
                    needed_for: format!("physical network {network}"),
                };
                self.ensure_port(at, spec);
            }
        }
    }

    fn provider_bridge(&mut self, network: &str, name: &str, datapath_type: &str) -> Option<Atom> {
        let Some((uuid, row)) = self.observed.bridge(name) else {
            let row = Row::default().with("fail_mode", "standalone").with("datapath_type", datapath_type);
            return self.create_bridge(name, row, role::PROVIDER, &format!("physical network {network}"));
        };
        if !same_datapath_type(&row.datapath_type, datapath_type) {
            if row.role.is_some() {
                self.update("Bridge", uuid, Row::default().with("datapath_type", datapath_type));
            } else {
                let (found, expected) = (shown(&row.datapath_type), shown(datapath_type));
                self.plan.warnings.push(Warning::DatapathTypeMismatch {
                    bridge: name.into(),
                    found,
                    expected,
                });
            }
        }
        Some(Atom::Uuid(uuid))
    }

    /// `None` if the name of the bridge belongs to a port that is there already.
    fn create_bridge(&mut self, name: &str, row: Row, role: &'static str, needed_for: &str) -> Option<Atom> {
        if self.name_is_taken(name) {
            self.warn_name_taken(name, needed_for);
            return None;
        }
        let marked = |row: Row| row.with("name", name).with("external_ids", Value::map([(MARK, role)]));
        let interface = self.insert("Interface", marked(Row::default().with("type", "internal")));
        let port = self.insert("Port", marked(Row::default().with("interfaces", interface)));
        let mut row = marked(row).with("ports", port);
        if role == role::INTEGRATION {
            row.set("datapath_type", self.wanted.datapath_type.clone().unwrap_or_default());
        }
        let bridge = self.insert("Bridge", row);
        let root = self.root();
        self.mutate("Open_vSwitch", &root, vec![Mutation::insert("bridges", bridge.clone())]);
        Some(bridge)
    }

    /// The only row of `Open_vSwitch`; if missing, it is made as `ovs-vsctl init` does.
    fn root(&mut self) -> Atom {
        let there = self.root.take().unwrap_or_else(|| self.insert("Open_vSwitch", Row::default()));
        self.root.insert(there).clone()
    }

    fn ensure_port(&mut self, at: &Atom, spec: PortSpec) {
        let mut ports = self.observed.ports.iter();
        let right = |(uuid, port): &(&Uuid, &PortRow)| {
            port.name == spec.name && port.role.as_deref() == Some(spec.role) && self.is_on(at, **uuid)
        };
        let found = ports.find(right).and_then(|(uuid, port)| Some((*uuid, self.only_interface(port)?)));
        match found {
            Some((uuid, (interface, row))) => {
                self.kept.insert(uuid);
                if !spec.is_met_by(row) {
                    self.update("Interface", interface, spec.interface_row());
                }
            }
            None if self.name_is_taken(&spec.name) => self.warn_name_taken(&spec.name, &spec.needed_for),
            // If there is one on another bridge or rebuilt by hand, `remove_what_is_not_wanted` takes it away.
            None => self.create_port(at, &spec),
        }
    }

    fn create_port(&mut self, at: &Atom, spec: &PortSpec) {
        let name = spec.name.as_str();
        let interface = self.insert("Interface", spec.interface_row().with("name", name));
        let row = Row::default()
            .with("name", name)
            .with("interfaces", interface)
            .with("external_ids", spec.marks());
        let port = self.insert("Port", row);
        self.mutate("Bridge", at, vec![Mutation::insert("ports", port)]);
    }

    /// Tunnel and patch ports of ours that were not asked for, on whatever bridge they are; then bridges of ours that
    /// lead to no physical network any more. A bridge with other ports or a controller stays: somebody
    /// uses it.
    fn remove_what_is_not_wanted(&mut self) {
        let ports = self.observed.ports.iter().filter(|(uuid, port)| self.is_stale(**uuid, port));
        let stale: BTreeSet<Uuid> = ports.map(|(uuid, _)| *uuid).collect();
        for (uuid, bridge) in &self.observed.bridges {
            let gone: BTreeSet<Uuid> = stale.intersection(&bridge.ports).copied().collect();
            if !gone.is_empty() {
                self.mutate("Bridge", &Atom::Uuid(*uuid), vec![Mutation::delete("ports", Value::set(gone))]);
            }
            if self.leads_nowhere(bridge, &stale) {
                // Somebody may have put a port on it that we have not heard of. Then the transaction must fail.
                let rest = Value::set(bridge.ports.difference(&stale).copied());
                self.plan.operations.push(Operation::Wait {
                    table: "Bridge".into(),
                    conditions: vec![Condition::row(*uuid)],
                    columns: vec!["ports".into(), "controller".into()],
                    rows: vec![Row::default().with("ports", rest).with("controller", Value::empty())],
                });
                let root = self.root();
                self.mutate("Open_vSwitch", &root, vec![Mutation::delete("bridges", *uuid)]);
            }
        }
    }

    fn is_stale(&self, uuid: Uuid, port: &PortRow) -> bool {
        match port.role.as_deref() {
            Some(role::TUNNEL | role::PATCH) => !self.kept.contains(&uuid),
            // A bridge's own port that was moved to another bridge.
            Some(_) => {
                !self.observed.bridge(&port.name).is_some_and(|(_, bridge)| bridge.ports.contains(&uuid))
            }
            None => false,
        }
    }

    fn leads_nowhere(&self, bridge: &BridgeRow, stale: &BTreeSet<Uuid>) -> bool {
        let own = |port: &PortRow| port.name == bridge.name && port.role.is_some();
        let own_port = |uuid: &Uuid| self.observed.ports.get(uuid).is_some_and(own);
        bridge.role.as_deref() == Some(role::PROVIDER)
            && bridge.name != self.wanted.bridge
            && !self.wanted.provider_bridges.values().any(|name| *name == bridge.name)
            && bridge.controllers.is_empty()
            && bridge.ports.iter().all(|port| stale.contains(port) || own_port(port))
    }

    fn is_on(&self, at: &Atom, port: Uuid) -> bool {
        match at {
            Atom::Uuid(bridge) => {
                self.observed.bridges.get(bridge).is_some_and(|row| row.ports.contains(&port))
            }
            _ => false,
        }
    }

    /// The interface of a port as we make them: one, of the name of the port.
    fn only_interface(&self, port: &PortRow) -> Option<(Uuid, &'a InterfaceRow)> {
        let uuid = *port.interfaces.first()?;
        let row = self.observed.interfaces.get(&uuid)?;
        (port.interfaces.len() == 1 && row.shown.name == port.name).then_some((uuid, row))
    }

    /// Ports and interfaces each have unique names; ours that go in this very transaction do not count.
    fn name_is_taken(&self, name: &str) -> bool {
        let foreign_port = |port: &PortRow| port.name == name && port.role.is_none();
        let ours: BTreeSet<Uuid> = self
            .observed
            .ports
            .values()
            .filter(|port| port.role.is_some())
            .flat_map(|port| port.interfaces.iter().copied())
            .collect();
        let foreign_interface = self
            .observed
            .interfaces
            .iter()
            .any(|(uuid, interface)| interface.shown.name == name && !ours.contains(uuid));
        foreign_interface || self.observed.ports.values().any(foreign_port)
    }

    fn warn_name_taken(&mut self, name: &str, needed_for: &str) {
        self.plan.warnings.push(Warning::NameTaken { name: name.into(), needed_for: needed_for.into() });
    }

    /// Adds an insert, and returns the reference to its row.
    fn insert(&mut self, table: &str, row: Row) -> Atom {
        let name = format!("row{}", self.named);
        self.named += 1;
        self.plan.operations.push(Operation::insert_named(table, row, &name));
        Atom::NamedUuid(name)
    }

    fn update(&mut self, table: &str, uuid: Uuid, row: Row) {
        if !row.is_empty() {
            self.plan.operations.push(Operation::update(table, uuid, row));
        }
    }

    fn mutate(&mut self, table: &str, row: &Atom, mutations: Vec<Mutation>) {
        if !mutations.is_empty() {
            let conditions = vec![Condition::equal("_uuid", row.clone())];
            self.plan.operations.push(Operation::Mutate { table: table.into(), conditions, mutations });
        }
    }
}

impl PortSpec {
    fn marks(&self) -> Value {
        let network = self.physical_network.as_deref().map(|network| (PHYSICAL_NETWORK, network));
        Value::map([(MARK, self.role)].into_iter().chain(network))
    }

    fn is_met_by(&self, row: &InterfaceRow) -> bool {
        let options = self.options.iter().map(|(key, value)| (*key, value.as_str()));
        row.kind == self.kind
            && row.options.iter().map(|(key, value)| (key.as_str(), value.as_str())).eq(options)
            && row.role.as_deref() == Some(self.role)
            && row.physical_network == self.physical_network
    }

    fn interface_row(&self) -> Row {
        let options = self.options.iter().map(|(key, value)| (*key, value.as_str()));
        Row::default()
            .with("type", self.kind)
            .with("options", Value::map(options))
            .with("external_ids", self.marks())
    }
}

const ALL_PROTOCOLS: [&str; 6] =
    ["OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15"];

/// One millisecond more while the switch is connected. `ovs-vswitchd` (2.11 and later, seen with 3.1.0) applies the
/// column only to a controller that is connected, and only when something is reconfigured; before, and else for ever,
/// it waits up to 8 s. A value that changes with each connection is something. It counts whole seconds.
fn max_backoff(wanted_ms: u32, is_connected: bool) -> i64 {
    i64::from(wanted_ms) + i64::from(is_connected)
}

/// In-band control adds hidden flows that let any port talk to the controller's address.
const DISABLE_IN_BAND: (&str, &str) = ("disable-in-band", "true");

fn tunnel_options(tunnel: TunnelType, encap_ip: Option<IpAddr>) -> BTreeMap<&'static str, String> {
    let mut options = BTreeMap::from([("key", "flow".to_owned()), ("remote_ip", "flow".to_owned())]);
    if let Some(ip) = encap_ip {
        options.insert("local_ip", ip.to_string());
        // UDP over IPv6 without checksum needs the other side to allow it (RFC 8200, 8.1); over IPv4, RFC 7348 and
        // RFC 8926 have it zero.
        if ip.is_ipv6() && tunnel.is_udp() {
            options.insert("csum", "true".to_owned());
        }
    }
    options
}

/// "" is the same as "system".
fn same_datapath_type(a: &str, b: &str) -> bool {
    shown(a) == shown(b)
}

fn shown(datapath_type: &str) -> String {
    if datapath_type.is_empty() { "system".to_owned() } else { datapath_type.to_owned() }
}

/// A target that listens for tools such as `ovs-ofctl`; it competes with nobody.
fn is_passive(target: &str) -> bool {
    ["ptcp:", "pssl:", "punix:"].iter().any(|scheme| target.starts_with(scheme))
}
