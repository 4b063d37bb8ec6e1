//! A real Neutron, the real controller, real Open vSwitch: what openstacksdk asks for is what packets do.

use std::net::IpAddr;

use anyhow::{Context as _, Result, bail, ensure};
use lab::{
    Cloud, Vm,
    cloud::PATIENCE,
    neutron::{Neutron, cloud, cloud_with, hosts},
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
    for token in [json!(null), json!("a-token-that-is-none-0000")] {
        let status = neutron.ask(json!({"do": "controller_status", "token": token}))?;
        ensure!(status == 401, "the controller answers {status} to token {token}");
    }
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

    carried(&cloud, &mut neutron, &tenant, &one.spec().port_id)?;

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
    for kind in ["networks", "subnets", "ports", "routers", "floating_ips", "address_groups"] {
        ensure!(left[kind]["items"].as_array().is_some_and(Vec::is_empty), "{kind} are left: {}", left[kind]);
    }
    Ok(())
}

/// What is not forwarded yet is in the model all the same, and goes again.
fn carried(cloud: &Cloud, neutron: &mut Neutron, tenant: &Tenant, port: &str) -> Result<()> {
    let outside = json!({"name": "outside", "is_router_external": true});
    let outside = neutron.create("create_network", outside)?;
    let subnet =
        json!({"network_id": outside, "ip_version": 4, "cidr": "203.0.113.0/24", "enable_dhcp": false});
    let subnet = neutron.create("create_subnet", subnet)?;
    let gateway = json!({"network_id": outside, "enable_snat": false});
    neutron.sdk("update_router", json!({"router": tenant.router, "external_gateway_info": gateway}))?;
    let floating = json!({"floating_network_id": outside, "port_id": port});
    let floating = neutron.sdk("create_ip", floating)?;
    ensure!(floating["status"] == "DOWN", "{floating}");
    let group = neutron.create("create_security_group", json!({"name": "web"}))?;
    let addresses = neutron
        .create("create_address_group", json!({"name": "friends", "addresses": ["198.51.100.0/24"]}))?;
    let rule = json!({
        "security_group_id": group, "direction": "ingress", "ether_type": "IPv4", "protocol": "tcp",
        "port_range_min": 80, "port_range_max": 81, "remote_address_group_id": addresses,
    });
    let rule = neutron.create("create_security_group_rule", rule)?;
    neutron.sdk(
        "update_port",
        json!({
            "port": port, "security_groups": [group],
            "extra_dhcp_opts": [{"opt_name": "interface-mtu", "opt_value": "1300", "ip_version": 4}],
        }),
    )?;
    neutron.wait_equal()?;

    let spec = |kind: &str, id: &str| -> Result<Value> {
        let mut known: Value = serde_json::from_str(&cloud.dragonflow_ok(&["get", kind, id, "-o", "json"])?)?;
        Ok(known["spec"].take())
    };
    let router = spec("routers", &tenant.router)?;
    ensure!(router["gateway"]["network"] == *outside && router["gateway"]["snat"] == false, "{router}");
    let known = spec("floating_ips", floating["id"].as_str().context("no id")?)?;
    ensure!(known["ip"] == floating["floating_ip_address"] && known["port"] == *port, "{known}");
    let known = spec("security_groups", &group)?;
    let with_addresses = |rule: &Value| rule["remote_address_group"] == *addresses && rule["port_max"] == 81;
    ensure!(known["rules"].as_array().is_some_and(|rules| rules.iter().any(with_addresses)), "{known}");
    let known = spec("address_groups", &addresses)?;
    ensure!(known["addresses"] == json!(["198.51.100.0/24"]), "{known}");
    let known = spec("ports", port)?;
    ensure!(known["security_groups"] == json!([group]), "{known}");
    ensure!(known["dhcp_options"][0]["value"] == "1300", "{known}");

    neutron.sdk("delete_ip", json!({"floating_ip": floating["id"]}))?;
    neutron.sdk("update_router", json!({"router": tenant.router, "external_gateway_info": {}}))?;
    neutron.sdk("delete_subnet", json!({"subnet": subnet}))?;
    neutron.sdk("delete_network", json!({"network": outside}))?;
    neutron.sdk("update_port", json!({"port": port, "security_groups": []}))?;
    neutron.sdk("delete_security_group_rule", json!({"security_group_rule": rule}))?;
    neutron.sdk("delete_security_group", json!({"security_group": group}))?;
    neutron.sdk("delete_address_group", json!({"address_group": addresses}))?;
    Ok(())
}

/// What changes while something is dead: a new VM in place of an old one, an extra route, an address pair, a network
/// that comes and goes. Returns the new VM.
fn change(cloud: &Cloud, neutron: &mut Neutron, tenant: &Tenant, old: &Vm, name: &str) -> Result<Vm> {
    let network = &tenant.networks[1];
    let port = json!({"network_id": network, "binding_host_id": "hv1", "name": name});
    let port = neutron.create("create_port", port)?;
    old.detach()?;
    neutron.sdk("delete_port", json!({"port": old.spec().port_id}))?;
    let vm = neutron.boot(cloud.lab(), cloud.host("hv1")?, name, &port)?;
    let hop = vm.v4()?.to_string();
    let route = json!({"routes": [{"destination": format!("172.16.{}.0/24", name.len()), "nexthop": hop}]});
    neutron.sdk("update_router", json!({"router": tenant.router, "routes": route["routes"]}))?;
    let pairs = json!([{"ip_address": "10.0.2.250"}]);
    neutron.sdk("update_port", json!({"port": port, "allowed_address_pairs": pairs}))?;
    let passing = neutron.create("create_network", json!({"name": "passing"}))?;
    let subnet = json!({"network_id": passing, "ip_version": 4, "cidr": "10.0.3.0/24"});
    neutron.create("create_subnet", subnet)?;
    neutron.sdk("delete_network", json!({"network": passing}))?;
    neutron.create("create_security_group", json!({"name": name}))?;
    Ok(vm)
}

/// Everything is as Neutron says, also to packets.
fn healed(neutron: &mut Neutron, from: &Vm, to: &Vm) -> Result<()> {
    neutron.wait_port(&to.spec().port_id, "ACTIVE")?;
    neutron.wait_equal()?;
    reach(from, to)
}

fn leader(neutron: &mut Neutron) -> Result<(u64, u64)> {
    let mut found = (0, 0);
    wait_for("a leading worker", PATIENCE, || {
        let leader = neutron.ask(json!({"do": "leader"}))?;
        found = (leader["pid"].as_u64().unwrap_or(0), leader["epoch"].as_u64().unwrap_or(0));
        Ok(found.0 != 0)
    })?;
    Ok(found)
}

#[test]
fn what_changes_while_something_is_dead_arrives() -> Result<()> {
    let (mut cloud, mut neutron) = cloud("nkill")?;
    let tenant = Tenant::create(&mut neutron)?;
    let fixed = tenant.boot(&cloud, &mut neutron, 0, "hv2", "fixed")?;
    let mut vm = tenant.boot(&cloud, &mut neutron, 1, "hv1", "a")?;
    healed(&mut neutron, &fixed, &vm).context("at first")?;

    // The controller; and with it everything that it knew of.
    cloud.kill_controller()?;
    vm = change(&cloud, &mut neutron, &tenant, &vm, "bb")?;
    std::fs::remove_file(cloud.lab().dir().join("store/store.redb"))?;
    cloud.start_controller()?;
    cloud.apply_own()?;
    healed(&mut neutron, &fixed, &vm).context("after an empty controller came back")?;

    // The controller alone.
    cloud.kill_controller()?;
    vm = change(&cloud, &mut neutron, &tenant, &vm, "ccc")?;
    cloud.start_controller()?;
    healed(&mut neutron, &fixed, &vm).context("after the controller came back")?;

    // Every process of the API, in the midst of a request.
    neutron.ask(json!({"do": "kill_api_while_busy"}))?;
    neutron.ask(json!({"do": "start_api"}))?;
    vm = change(&cloud, &mut neutron, &tenant, &vm, "dddd")?;
    healed(&mut neutron, &fixed, &vm).context("after the API came back")?;

    // The leading worker, with another in wait.
    neutron.ask(json!({"do": "start_worker", "name": "b"}))?;
    let (first, epoch) = leader(&mut neutron)?;
    wait_for("a second worker", PATIENCE, || Ok(neutron.ask(json!({"do": "standby"}))? == true))?;
    neutron.ask(json!({"do": "signal", "pid": first, "name": "SIGKILL"}))?;
    vm = change(&cloud, &mut neutron, &tenant, &vm, "eeeee")?;
    healed(&mut neutron, &fixed, &vm).context("after the leading worker died")?;
    let (second, later) = leader(&mut neutron)?;
    ensure!(second != first && later > epoch, "worker {second}, epoch {later}; before {first}, {epoch}");

    // The leading worker stands still; when it goes on, another leads, and what it still says is refused or no news.
    wait_for("a second worker", PATIENCE, || Ok(neutron.ask(json!({"do": "standby"}))? == true))?;
    neutron.ask(json!({"do": "signal", "pid": second, "name": "SIGSTOP"}))?;
    vm = change(&cloud, &mut neutron, &tenant, &vm, "gggggg")?;
    healed(&mut neutron, &fixed, &vm).context("while a worker stood still")?;
    let (third, last) = leader(&mut neutron)?;
    ensure!(third != second && last == later + 1, "worker {third}, epoch {last}; before {second}, {later}");
    neutron.ask(json!({"do": "signal", "pid": second, "name": "SIGCONT"}))?;
    vm = change(&cloud, &mut neutron, &tenant, &vm, "hhhhhhh")?;
    healed(&mut neutron, &fixed, &vm).context("after it went on")?;
    ensure!(leader(&mut neutron)? == (third, last), "two workers lead in turns");

    // The database.
    neutron.ask(json!({"do": "kill_database"}))?;
    neutron.ask(json!({"do": "start_database"}))?;
    vm = change(&cloud, &mut neutron, &tenant, &vm, "ffffff")?;
    healed(&mut neutron, &fixed, &vm).context("after the database came back")?;
    Ok(())
}

/// The steps of docs/neutron.md, "Migrate from ML2/OVS with L3 agents", and those back; of ML2/OVS there is what it leaves
/// in Neutron's database.
#[test]
fn a_cloud_of_ml2_ovs_is_taken_over_and_given_back() -> Result<()> {
    let (cloud, controller) = hosts("nmove")?;
    let mut neutron = Neutron::prepare(&cloud, &controller, "")?;
    let configure = |neutron: &mut Neutron, drivers: &str, services: &str| {
        neutron.ask(json!({"do": "configure", "drivers": drivers, "services": services}))
    };
    configure(&mut neutron, "openvswitch", "router")?;
    for host in ["hv1", "hv2"] {
        neutron.ask(json!({"do": "add_ovs_agent", "host": host}))?;
    }
    neutron.ask(json!({"do": "start_api"}))?;
    let tenant = Tenant::create(&mut neutron)?;
    let mut ports = Vec::new();
    for (network, host) in tenant.networks.iter().zip(["hv1", "hv2"]) {
        let port = json!({"network_id": network, "binding_host_id": host});
        let port = neutron.sdk("create_port", port)?;
        ensure!(port["binding_vif_details"]["bound_drivers"]["0"] == "openvswitch", "{port}");
        ports.push(port["id"].as_str().context("no id")?.to_owned());
    }

    neutron.ask(json!({"do": "kill_api"}))?;
    configure(&mut neutron, "dragonflow", "dragonflow_router")?;
    neutron.ask(json!({"do": "start_api"}))?;
    neutron.ask(json!({"do": "start_worker", "name": "a"}))?;
    neutron.wait_chassis(2)?;
    neutron.wait_equal()?;
    let [one, two] = ports.as_slice() else { bail!("two ports") };
    let first = neutron.boot(cloud.lab(), cloud.host("hv1")?, "one", one)?;
    let second = neutron.boot(cloud.lab(), cloud.host("hv2")?, "two", two)?;
    for port in [one, two] {
        neutron.wait_port(port, "ACTIVE")?;
    }
    reach(&first, &second)?;
    let new = tenant.boot(&cloud, &mut neutron, 0, "hv2", "new")?;
    reach(&new, &second)?;

    neutron.ask(json!({"do": "kill_worker", "name": "a"}))?;
    neutron.ask(json!({"do": "kill_api"}))?;
    configure(&mut neutron, "openvswitch", "router")?;
    neutron.ask(json!({"do": "start_api"}))?;
    let interfaces = json!({"device_id": tenant.router, "device_owner": "network:router_interface"});
    let interfaces = neutron.sdk("ports", interfaces)?;
    ensure!(interfaces.as_array().is_some_and(|ports| ports.len() == 4), "{interfaces}");
    for port in [one, two, &new.spec().port_id] {
        ensure!(neutron.sdk("get_port", json!({"port": port}))?["binding_vif_type"] == "ovs", "{port}");
    }
    let port = json!({"network_id": tenant.networks[0], "binding_host_id": "hv1"});
    let port = neutron.sdk("create_port", port)?;
    ensure!(port["binding_vif_details"]["bound_drivers"]["0"] == "openvswitch", "{port}");
    Ok(())
}

/// Somebody writes to the controller behind Neutron's back.
#[test]
fn what_others_changed_is_repaired() -> Result<()> {
    let (cloud, mut neutron) = cloud("nrepair")?;
    let tenant = Tenant::create(&mut neutron)?;
    neutron.wait_equal()?;
    cloud.dragonflow_ok(&["delete", "router", &tenant.router])?;
    // What is in it goes on referring to it.
    cloud.dragonflow_ok(&["delete", "network", &tenant.networks[0], "--dangling"])?;
    let surplus = cloud.lab().dir().join("surplus.json");
    std::fs::write(
        &surplus,
        json!({"networks": [{"id": "stray", "segment": {"type": "gre", "id": 77}}]}).to_string(),
    )?;
    cloud.dragonflow_ok(&["apply", "-f", &surplus.display().to_string()])?;
    let (status, text) = neutron.sync("--check")?;
    ensure!(
        status == 1
            && text.contains("missing: router")
            && text.contains("missing: network")
            && text.contains("too many: network stray"),
        "{text}"
    );
    // A transaction that stays open, as in an API call that takes long, holds nobody up.
    neutron.ask(json!({"do": "begin_row"}))?;
    let networks = vec![json!({"name": "many"}); 30];
    neutron.ask(json!({"do": "post", "path": "/networks", "body": {"networks": networks}}))?;
    wait_for("an empty journal", PATIENCE, || Ok(neutron.ask(json!({"do": "journal"}))? == 0))?;
    neutron.ask(json!({"do": "end_row"}))?;
    wait_for("an empty journal", PATIENCE, || Ok(neutron.ask(json!({"do": "journal"}))? == 0))?;
    let (status, text) = neutron.sync("--repair")?;
    ensure!(status == 0 && text.lines().any(|line| line == "repaired"), "{status}: {text}");
    ensure!(neutron.sync("--check")?.0 == 0, "a repair that is none");
    Ok(())
}

/// More changes than fit into one batch, all of them while the controller is dead. Two thousand ports with batches of
/// the default size take Neutron minutes: `cargo xtask bench neutron-outage` makes those.
#[test]
fn ports_in_bulk() -> Result<()> {
    const PORTS: usize = 200;
    let (mut cloud, mut neutron) = cloud_with("nbulk", "batch_size = 50")?;
    let network = neutron.create("create_network", json!({"name": "bulk"}))?;
    let subnet = json!({"network_id": network, "ip_version": 4, "cidr": "10.16.0.0/16"});
    neutron.create("create_subnet", subnet)?;
    neutron.wait_equal()?;
    cloud.kill_controller()?;
    let port = json!({"network_id": network, "binding:host_id": "hv1"});
    let bodies = vec![json!({"ports": vec![port; PORTS / 2]}); 2];
    neutron.ask(json!({"do": "post_all", "path": "/ports", "bodies": bodies}))?;
    cloud.start_controller()?;
    neutron.wait_equal()?;
    let known: Value = serde_json::from_str(&cloud.dragonflow_ok(&["get", "ports", "-o", "json"])?)?;
    let bound = |port: &&Value| port["spec"]["chassis"] == "hv1";
    let count = known["items"].as_array().map(|items| items.iter().filter(bound).count());
    ensure!(count == Some(PORTS), "{count:?} bound ports");
    Ok(())
}
