//! A real Neutron, the real controller, real Open vSwitch: what openstacksdk asks for is what packets do.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use lab::{
    Cloud, Vm,
    cloud::PATIENCE,
    neutron::{Neutron, cloud},
    wait_for,
};
use serde_json::{Value, json};

/// Two networks, dual stack, and a router between them.
struct Tenant {
    networks: [String; 2],
    subnets: Vec<String>,
    router: String,
}

impl Tenant {
    fn create(neutron: &mut Neutron) -> Result<Self> {
        let router = neutron.create("create_router", json!({"name": "red"}))?;
        let mut subnets = Vec::new();
        let mut network = |number: u8| -> Result<String> {
            let id =
                neutron.create("create_network", json!({"name": format!("net-{number}"), "mtu": 1400}))?;
            for (version, cidr) in
                [(4, format!("10.0.{number}.0/24")), (6, format!("2001:db8:{number}::/64"))]
            {
                let subnet = json!({"network_id": id, "ip_version": version, "cidr": cidr});
                let subnet = neutron.create("create_subnet", subnet)?;
                neutron.sdk("add_interface_to_router", json!({"router": router, "subnet_id": subnet}))?;
                subnets.push(subnet);
            }
            Ok(id)
        };
        let networks = [network(1)?, network(2)?];
        Ok(Self { networks, subnets, router })
    }

    /// A port on a host, and the VM behind it.
    fn boot(
        &self,
        cloud: &Cloud,
        neutron: &mut Neutron,
        network: usize,
        host: &str,
        name: &str,
    ) -> Result<Vm> {
        let network = self.networks.get(network).context("two networks")?;
        let port = json!({"network_id": network, "binding_host_id": host, "name": name});
        let port = neutron.create("create_port", port)?;
        ensure!(neutron.port_status(&port)? == "DOWN", "a port is active before it is plugged in");
        let vm = neutron.boot(cloud.lab(), cloud.host(host)?, name, &port)?;
        neutron.wait_port(&port, "ACTIVE")?;
        Ok(vm)
    }
}

fn reach(from: &Vm, to: &Vm) -> Result<()> {
    for ip in [to.v4()?, to.v6()?] {
        let what = format!("answer for {} from {ip}", from.name());
        wait_for(&what, PATIENCE, || Ok(from.ping(ip, 1)?.all()))?;
    }
    Ok(())
}

fn wait_silence(from: &Vm, ip: IpAddr) -> Result<()> {
    wait_for("silence", PATIENCE, || Ok(from.ping(ip, 1)?.none())).map(drop)
}

#[test]
fn a_router_from_the_sdk_carries_packets() -> Result<()> {
    let (cloud, mut neutron) = cloud("nsdk")?;
    let tenant = Tenant::create(&mut neutron)?;
    let one = tenant.boot(&cloud, &mut neutron, 0, "hv1", "one")?;
    let two = tenant.boot(&cloud, &mut neutron, 1, "hv2", "two")?;
    reach(&one, &two)?;
    neutron.wait_equal()?;

    let interfaces = json!({"device_id": tenant.router, "device_owner": "network:router_interface"});
    wait_for("active router interfaces", PATIENCE, || {
        let ports = neutron.sdk("ports", interfaces.clone())?;
        let ports = ports.as_array().context("no ports")?;
        ensure!(ports.len() == 4, "{} router interfaces", ports.len());
        Ok(ports.iter().all(|port| port["status"] == "ACTIVE"))
    })?;

    // Unplugged is down, plugged in again is active.
    two.detach()?;
    neutron.wait_port(&two.spec().port_id, "DOWN")?;
    two.attach(cloud.host("hv2")?)?;
    neutron.wait_port(&two.spec().port_id, "ACTIVE")?;
    reach(&one, &two)?;

    // A port is bound only where a chassis is.
    let elsewhere = json!({"network_id": tenant.networks[0], "binding_host_id": "hv9"});
    let elsewhere = neutron.sdk("create_port", elsewhere)?;
    ensure!(elsewhere["binding_vif_type"] == "binding_failed", "{elsewhere}");

    for subnet in &tenant.subnets {
        neutron.sdk("remove_interface_from_router", json!({"router": tenant.router, "subnet_id": subnet}))?;
    }
    neutron.sdk("delete_router", json!({"router": tenant.router}))?;
    wait_silence(&one, two.v4()?)?;
    wait_silence(&one, two.v6()?)?;
    for network in &tenant.networks {
        let ports = neutron.sdk("ports", json!({"network_id": network}))?;
        for port in ports.as_array().into_iter().flatten() {
            neutron.sdk("delete_port", json!({"port": port["id"]}))?;
        }
        neutron.sdk("delete_network", json!({"network": network}))?;
    }
    neutron.wait_equal()?;
    let left: Value = serde_json::from_str(&cloud.dragonflow_ok(&["get", "all", "-o", "json"])?)?;
    for kind in ["networks", "subnets", "ports", "routers"] {
        ensure!(left[kind]["items"].as_array().is_some_and(Vec::is_empty), "{kind} are left: {}", left[kind]);
    }
    Ok(())
}
