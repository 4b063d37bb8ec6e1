//! The clouds that several tests share.

use serde_json::{Value, json};

/// The MAC of the router "red" on both its networks.
pub const RED_ROUTER: &str = "0e:df:00:00:00:99";

/// Two hosts and two tenants.
///
/// Red has the networks web and db behind one router, dual stack, a VM of each on each host. Blue has one network
/// with the addresses of red's web, and a VM on each host. `web`, `db` and `blue` are the networks' segments.
pub fn two_tenants(web: Value, db: Value, blue: Value) -> Value {
    let port = |id: &str, network: &str, chassis: &str, mac: u8, v4: &str, v6: &str| {
        let subnet = |family: &str| format!("{network}-{family}");
        json!({
            "id": id, "network": network, "chassis": chassis, "mac": format!("02:00:00:00:00:{mac:02x}"),
            "fixed_ips": [{"subnet": subnet("v4"), "ip": v4}, {"subnet": subnet("v6"), "ip": v6}],
        })
    };
    let subnet = |network: &str, family: &str, cidr: &str, gateway: &str| json!({"id": format!("{network}-{family}"), "network": network, "cidr": cidr, "gateway_ip": gateway});
    let interface = |subnet: &str| json!({"subnet": subnet, "mac": RED_ROUTER});
    json!({
        "chassis": [{"id": "hv1"}, {"id": "hv2"}],
        "networks": [
            {"id": "web", "segment": web, "mtu": 1400},
            {"id": "db", "segment": db, "mtu": 1400},
            {"id": "blue", "segment": blue, "mtu": 1400},
        ],
        "subnets": [
            subnet("web", "v4", "10.0.1.0/24", "10.0.1.1"),
            subnet("web", "v6", "2001:db8:1::/64", "2001:db8:1::1"),
            subnet("db", "v4", "10.0.2.0/24", "10.0.2.1"),
            subnet("db", "v6", "2001:db8:2::/64", "2001:db8:2::1"),
            subnet("blue", "v4", "10.0.1.0/24", "10.0.1.1"),
            subnet("blue", "v6", "2001:db8:1::/64", "2001:db8:1::1"),
        ],
        "ports": [
            port("web-1", "web", "hv1", 0x11, "10.0.1.11", "2001:db8:1::11"),
            port("web-2", "web", "hv2", 0x12, "10.0.1.12", "2001:db8:1::12"),
            port("db-1", "db", "hv1", 0x21, "10.0.2.21", "2001:db8:2::21"),
            port("db-2", "db", "hv2", 0x22, "10.0.2.22", "2001:db8:2::22"),
            port("blue-1", "blue", "hv1", 0x11, "10.0.1.11", "2001:db8:1::11"),
            port("blue-2", "blue", "hv2", 0x77, "10.0.1.77", "2001:db8:1::77"),
        ],
        "routers": [{
            "id": "red",
            "interfaces": [interface("web-v4"), interface("web-v6"), interface("db-v4"), interface("db-v6")],
        }],
    })
}

/// An overlay segment.
pub fn overlay(kind: &str, id: u32) -> Value {
    json!({"type": kind, "id": id})
}

/// A VLAN of the physical network that every host reaches by its bridge `br-ex`.
pub fn vlan(id: u16) -> Value {
    json!({"type": "vlan", "physical_network": "physnet1", "id": id})
}

/// The same physical network, untagged.
pub fn flat() -> Value {
    json!({"type": "flat", "physical_network": "physnet1"})
}
