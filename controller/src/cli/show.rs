//! Objects as rows of a table.

use crate::model::{
    AddressGroup, Chassis, FloatingIp, Kind, Network, Port, Record, Router, SecurityGroup, Segment, Subnet,
};
use serde::{Serialize, de::DeserializeOwned};

/// An object that can be shown.
pub(super) trait Show: Serialize + DeserializeOwned {
    const KIND: Kind;
    /// Headers of the columns.
    const COLUMNS: &'static [&'static str];
    /// Headers of the columns that only `-o wide` shows.
    const WIDE: &'static [&'static str];

    /// A cell for each of both.
    fn cells(&self) -> Vec<String>;
}

/// The header of a table of `T`.
pub(super) fn header<T: Show>(wide: bool) -> Vec<&'static str> {
    let more: &[&str] = if wide { &["KEY", "REVISION"] } else { &[] };
    let columns = if wide { T::WIDE } else { &[] };
    T::COLUMNS.iter().chain(columns).chain(more).copied().collect()
}

/// A row of a table of `T`.
pub(super) fn row<T: Show>(record: &Record<T>, wide: bool) -> Vec<String> {
    let mut cells = record.spec.cells();
    if wide {
        cells.extend([record.key.0.to_string(), record.revision.0.to_string()]);
    } else {
        cells.truncate(T::COLUMNS.len());
    }
    cells
}

impl Show for Chassis {
    const KIND: Kind = Kind::Chassis;
    const COLUMNS: &'static [&'static str] = &["ID", "ENCAP IPS", "BRIDGES"];
    const WIDE: &'static [&'static str] = &[];

    fn cells(&self) -> Vec<String> {
        let bridges = self.bridge_mappings.iter().map(|(physical, bridge)| format!("{physical}:{bridge}"));
        vec![self.id.to_string(), join(&self.encap_ips), join(bridges)]
    }
}

impl Show for Network {
    const KIND: Kind = Kind::Network;
    const COLUMNS: &'static [&'static str] = &["ID", "SEGMENT", "MTU"];
    const WIDE: &'static [&'static str] = &[];

    fn cells(&self) -> Vec<String> {
        let segment = match &self.segment {
            Segment::Vlan { physical_network, id } => format!("vlan {id} on {physical_network}"),
            Segment::Flat { physical_network } => format!("flat on {physical_network}"),
            tunnel => tunnel.vni().map_or_else(String::new, |id| format!("{} {id}", tunnel.type_name())),
        };
        vec![self.id.to_string(), segment, self.mtu().to_string()]
    }
}

impl Show for Subnet {
    const KIND: Kind = Kind::Subnet;
    const COLUMNS: &'static [&'static str] = &["ID", "NETWORK", "CIDR", "GATEWAY"];
    const WIDE: &'static [&'static str] = &[];

    fn cells(&self) -> Vec<String> {
        vec![self.id.to_string(), self.network.to_string(), self.cidr.to_string(), join(self.gateway_ip)]
    }
}

impl Show for Port {
    const KIND: Kind = Kind::Port;
    const COLUMNS: &'static [&'static str] = &["ID", "NETWORK", "MAC", "ADDRESSES", "CHASSIS"];
    const WIDE: &'static [&'static str] = &["SECURITY", "ADDRESS PAIRS"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.network.to_string(),
            self.mac.to_string(),
            join(self.fixed_ips.iter().map(|fixed| fixed.ip)),
            join(&self.chassis),
            if self.port_security { "on" } else { "off" }.to_owned(),
            join(self.allowed_address_pairs.iter().map(|pair| match pair.mac {
                Some(mac) => format!("{}/{mac}", pair.ip),
                None => pair.ip.to_string(),
            })),
        ]
    }
}

impl Show for Router {
    const KIND: Kind = Kind::Router;
    const COLUMNS: &'static [&'static str] = &["ID", "SUBNETS", "ROUTES"];
    const WIDE: &'static [&'static str] = &["INTERFACE IPS"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            join(self.interfaces.iter().map(|interface| &interface.subnet)),
            join(self.routes.iter().map(|route| match route.next_hops.as_slice() {
                [one] => format!("{} via {one}", route.destination),
                many => format!("{} via {} hops", route.destination, many.len()),
            })),
            join(self.interfaces.iter().map(|interface| {
                interface.ip.map_or_else(|| format!("gateway of {}", interface.subnet), |ip| ip.to_string())
            })),
        ]
    }
}

impl Show for FloatingIp {
    const KIND: Kind = Kind::FloatingIp;
    const COLUMNS: &'static [&'static str] = &["ID", "NETWORK", "IP", "PORT", "FIXED IP"];
    const WIDE: &'static [&'static str] = &["ROUTER"];

    fn cells(&self) -> Vec<String> {
        let Self { id, network, ip, router, port, fixed_ip } = self;
        vec![id.to_string(), network.to_string(), ip.to_string(), join(port), join(fixed_ip), join(router)]
    }
}

impl Show for SecurityGroup {
    const KIND: Kind = Kind::SecurityGroup;
    const COLUMNS: &'static [&'static str] = &["ID", "RULES"];
    const WIDE: &'static [&'static str] = &["STATEFUL"];

    fn cells(&self) -> Vec<String> {
        let stateful = if self.stateful { "yes" } else { "no" };
        vec![self.id.to_string(), self.rules.len().to_string(), stateful.to_owned()]
    }
}

impl Show for AddressGroup {
    const KIND: Kind = Kind::AddressGroup;
    const COLUMNS: &'static [&'static str] = &["ID", "ADDRESSES"];
    const WIDE: &'static [&'static str] = &[];

    fn cells(&self) -> Vec<String> {
        vec![self.id.to_string(), join(&self.addresses)]
    }
}

fn join<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
