//! The rows that matter, as the database reports them, with the columns we read as fields.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ovsdb::{MonitorTable, Row, RowUpdate, Uuid};
use packet::{IfIndex, OfPort};

use super::Interface;

/// The key in `external_ids` by which we know our rows; its value is the row's role.
pub(super) const MARK: &str = "dragonflow";
/// The key that names the physical network of a patch port.
pub(super) const PHYSICAL_NETWORK: &str = "dragonflow-physical-network";

/// The tables and columns of a database "Open_vSwitch" that we need. Statistics are not among them: they change every
/// few seconds, and would wake us for nothing.
pub(super) fn monitored() -> Vec<MonitorTable> {
    let interface =
        ["name", "type", "options", "external_ids", "ofport", "ifindex", "link_state", "mac_in_use", "error"];
    let bridge = [
        "name",
        "ports",
        "controller",
        "datapath_id",
        "datapath_type",
        "fail_mode",
        "protocols",
        "other_config",
        "external_ids",
    ];
    let controller = [
        "target",
        "max_backoff",
        "inactivity_probe",
        "connection_mode",
        "enable_async_messages",
        "controller_rate_limit",
        "controller_burst_limit",
        "is_connected",
        "external_ids",
    ];
    vec![
        MonitorTable::new("Open_vSwitch", ["bridges", "ssl", "external_ids"]),
        MonitorTable::new("Bridge", bridge),
        MonitorTable::new("Port", ["name", "interfaces", "external_ids"]),
        MonitorTable::new("Interface", interface),
        MonitorTable::new("Controller", controller),
    ]
}

/// All rows of the monitored tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Observed {
    pub(super) roots: BTreeMap<Uuid, RootRow>,
    pub(super) bridges: BTreeMap<Uuid, BridgeRow>,
    pub(super) ports: BTreeMap<Uuid, PortRow>,
    pub(super) interfaces: BTreeMap<Uuid, InterfaceRow>,
    pub(super) controllers: BTreeMap<Uuid, ControllerRow>,
}

/// The only row of the table `Open_vSwitch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RootRow {
    pub(super) external_ids: BTreeMap<String, String>,
    pub(super) has_ssl: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BridgeRow {
    pub(super) name: String,
    pub(super) ports: BTreeSet<Uuid>,
    pub(super) controllers: BTreeSet<Uuid>,
    pub(super) datapath_id: Option<String>,
    pub(super) datapath_type: String,
    pub(super) fail_mode: Option<String>,
    pub(super) protocols: BTreeSet<String>,
    pub(super) disable_in_band: Option<String>,
    pub(super) role: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PortRow {
    pub(super) name: String,
    pub(super) interfaces: BTreeSet<Uuid>,
    pub(super) role: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InterfaceRow {
    pub(super) kind: String,
    /// Those of our own ports; what options others have is no business of ours.
    pub(super) options: BTreeMap<String, String>,
    pub(super) role: Option<String>,
    pub(super) physical_network: Option<String>,
    pub(super) iface_id: Option<Arc<str>>,
    /// The rest, ready to be handed out.
    pub(super) shown: Arc<Interface>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ControllerRow {
    pub(super) target: String,
    pub(super) max_backoff: Option<i64>,
    pub(super) inactivity_probe: Option<i64>,
    pub(super) connection_mode: Option<String>,
    /// One of the columns is set that limits what the switch tells us.
    pub(super) is_limited: bool,
    /// The switch has a connection to it now.
    pub(super) is_connected: bool,
    pub(super) role: Option<String>,
}

impl Observed {
    /// Takes in what changed.
    pub(super) fn apply(&mut self, updates: &[RowUpdate]) {
        for RowUpdate { table, uuid, change } in updates {
            let row = change.row();
            match table.as_str() {
                "Open_vSwitch" => put(&mut self.roots, *uuid, row.map(RootRow::read)),
                "Bridge" => put(&mut self.bridges, *uuid, row.map(BridgeRow::read)),
                "Port" => put(&mut self.ports, *uuid, row.map(PortRow::read)),
                "Interface" => {
                    put(&mut self.interfaces, *uuid, row.map(|row| InterfaceRow::read(*uuid, row)))
                }
                "Controller" => put(&mut self.controllers, *uuid, row.map(ControllerRow::read)),
                other => tracing::debug!(table = other, "update of a table that was not asked for"),
            }
        }
    }

    /// The bridge of this name; names are unique (the schema indexes them).
    pub(super) fn bridge(&self, name: &str) -> Option<(Uuid, &BridgeRow)> {
        self.bridges.iter().find(|(_, bridge)| bridge.name == name).map(|(uuid, bridge)| (*uuid, bridge))
    }
}

fn put<T>(table: &mut BTreeMap<Uuid, T>, uuid: Uuid, row: Option<T>) {
    match row {
        Some(row) => table.insert(uuid, row),
        None => table.remove(&uuid),
    };
}

fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

fn map(row: &Row, column: &str) -> BTreeMap<String, String> {
    row.pairs(column).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn pair<'a>(row: &'a Row, column: &str, key: &str) -> Option<&'a str> {
    row.pairs(column).find(|(k, _)| *k == key).map(|(_, value)| value)
}

fn role(row: &Row) -> Option<String> {
    owned(pair(row, "external_ids", MARK))
}

impl RootRow {
    fn read(row: &Row) -> Self {
        Self { external_ids: map(row, "external_ids"), has_ssl: row.uuids("ssl").next().is_some() }
    }
}

impl BridgeRow {
    fn read(row: &Row) -> Self {
        Self {
            name: row.str("name").unwrap_or_default().to_owned(),
            ports: row.uuids("ports").collect(),
            controllers: row.uuids("controller").collect(),
            datapath_id: owned(row.str("datapath_id")),
            datapath_type: row.str("datapath_type").unwrap_or_default().to_owned(),
            fail_mode: owned(row.str("fail_mode")),
            protocols: row.strs("protocols").map(str::to_owned).collect(),
            disable_in_band: owned(pair(row, "other_config", "disable-in-band")),
            role: role(row),
        }
    }
}

impl PortRow {
    fn read(row: &Row) -> Self {
        Self {
            name: row.str("name").unwrap_or_default().to_owned(),
            interfaces: row.uuids("interfaces").collect(),
            role: role(row),
        }
    }
}

impl InterfaceRow {
    fn read(uuid: Uuid, row: &Row) -> Self {
        let shown = Interface {
            uuid,
            name: row.str("name").unwrap_or_default().to_owned(),
            ofport: row.integer("ofport").and_then(ofport),
            ifindex: row.integer("ifindex").and_then(ifindex),
            link_up: row.str("link_state").map(|state| state == "up"),
            mac_in_use: row.str("mac_in_use").and_then(|mac| mac.parse().ok()),
            attached_mac: pair(row, "external_ids", "attached-mac").and_then(|mac| mac.parse().ok()),
            error: owned(row.str("error")),
        };
        let role = role(row);
        Self {
            kind: row.str("type").unwrap_or_default().to_owned(),
            options: if role.is_some() { map(row, "options") } else { BTreeMap::new() },
            role,
            physical_network: owned(pair(row, "external_ids", PHYSICAL_NETWORK)),
            iface_id: pair(row, "external_ids", "iface-id").filter(|id| !id.is_empty()).map(Arc::from),
            shown: Arc::new(shown),
        }
    }
}

impl ControllerRow {
    fn read(row: &Row) -> Self {
        let limits = ["controller_rate_limit", "controller_burst_limit"];
        Self {
            target: row.str("target").unwrap_or_default().to_owned(),
            max_backoff: row.integer("max_backoff"),
            inactivity_probe: row.integer("inactivity_probe"),
            connection_mode: owned(row.str("connection_mode")),
            is_limited: row.boolean("enable_async_messages").is_some()
                || limits.iter().any(|column| row.integer(column).is_some()),
            is_connected: row.boolean("is_connected") == Some(true),
            role: role(row),
        }
    }
}

/// 0 is none (ovs-vswitchd.conf.db(5)).
fn ifindex(number: i64) -> Option<IfIndex> {
    u32::try_from(number).ok().filter(|index| *index != 0).map(IfIndex)
}

/// Ports are numbered as in OpenFlow 1.0 here, so the bridge's own is 0xfffe; -1 is a device that could not be opened.
fn ofport(number: i64) -> Option<OfPort> {
    /// OpenFlow 1.0's OFPP_MAX and OFPP_LOCAL.
    const MAX: u32 = 0xff00;
    const LOCAL: u32 = 0xfffe;
    match u32::try_from(number) {
        Ok(LOCAL) => Some(OfPort::LOCAL),
        Ok(port @ 1..MAX) => Some(OfPort(port)),
        Ok(_) | Err(_) => None,
    }
}
