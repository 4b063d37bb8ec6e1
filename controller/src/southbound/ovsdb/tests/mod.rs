//! Tests of planner and task: on a database in memory, on a real `ovsdb-server`, and on both with accidents.

mod chaos;
mod fake;
mod lab;
mod planner;
mod scenario;
#[path = "../../../../../ovsdb/tests/server/mod.rs"]
mod server;
mod suite;

use std::collections::BTreeMap;

use ovsdb::{Atom, Mutation, Operation, Row, Uuid, Value};

use super::observed::Observed;

/// What an operator or an agent does to a switch by hand, as operations on the rows that are there. `None` if the rows
/// that this needs are not there.
impl Observed {
    fn add_bridge(&self, name: &str) -> Option<Vec<Operation>> {
        let named = |row: Row| row.with("name", name);
        let root = *self.roots.keys().next()?;
        Some(vec![
            Operation::insert_named("Interface", named(Row::default().with("type", "internal")), "i"),
            Operation::insert_named("Port", named(Row::default().with("interfaces", named_row("i"))), "p"),
            Operation::insert_named("Bridge", named(Row::default().with("ports", named_row("p"))), "b"),
            Operation::mutate("Open_vSwitch", root, vec![Mutation::insert("bridges", named_row("b"))]),
        ])
    }

    fn delete_bridge(&self, name: &str) -> Option<Vec<Operation>> {
        let (uuid, _) = self.bridge(name)?;
        let root = *self.roots.keys().next()?;
        Some(vec![Operation::mutate("Open_vSwitch", root, vec![Mutation::delete("bridges", uuid)])])
    }

    fn add_port(&self, bridge: &str, name: &str, external_ids: &[(&str, &str)]) -> Option<Vec<Operation>> {
        let (bridge, _) = self.bridge(bridge)?;
        let ids = Value::map(external_ids.iter().copied());
        let interface = Row::default().with("name", name).with("external_ids", ids);
        let port = Row::default().with("name", name).with("interfaces", named_row("i"));
        Some(vec![
            Operation::insert_named("Interface", interface, "i"),
            Operation::insert_named("Port", port, "p"),
            Operation::mutate("Bridge", bridge, vec![Mutation::insert("ports", named_row("p"))]),
        ])
    }

    fn delete_port(&self, name: &str) -> Option<Vec<Operation>> {
        let (port, _) = self.port(name)?;
        let holders = self.bridges.iter().filter(|(_, bridge)| bridge.ports.contains(&port));
        Some(
            holders
                .map(|(uuid, _)| Operation::mutate("Bridge", *uuid, vec![Mutation::delete("ports", port)]))
                .collect(),
        )
    }

    fn add_controller(&self, bridge: &str, target: &str) -> Option<Vec<Operation>> {
        let (bridge, _) = self.bridge(bridge)?;
        Some(vec![
            Operation::insert_named("Controller", Row::default().with("target", target), "c"),
            Operation::mutate("Bridge", bridge, vec![Mutation::insert("controller", named_row("c"))]),
        ])
    }

    fn set_bridge(&self, name: &str, column: &str, value: impl Into<Value>) -> Option<Vec<Operation>> {
        Some(vec![Operation::update("Bridge", self.bridge(name)?.0, Row::default().with(column, value))])
    }

    fn set_interface(&self, name: &str, row: Row) -> Option<Vec<Operation>> {
        let (uuid, _) = self.interfaces.iter().find(|(_, interface)| interface.shown.name == name)?;
        Some(vec![Operation::update("Interface", *uuid, row)])
    }

    fn port(&self, name: &str) -> Option<(Uuid, &super::observed::PortRow)> {
        self.ports.iter().find(|(_, port)| port.name == name).map(|(uuid, port)| (*uuid, port))
    }

    fn options(&self, interface: &str) -> BTreeMap<&str, &str> {
        let found = self.interfaces.values().find(|row| row.shown.name == interface);
        let row = found.unwrap_or_else(|| panic!("no interface {interface}"));
        row.options.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }
}

fn named_row(name: &str) -> Atom {
    Atom::NamedUuid(name.into())
}
