//! Measures what the Neutron add-on promises, on a real Neutron with real Open vSwitch. Times mean something only on a
//! machine that has nothing else to do; the build's profile matters little, since Python's share is the greater one.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use lab::{
    Cloud, Vm,
    cloud::PATIENCE,
    neutron::{self, Neutron},
    wait_for,
};
use serde_json::{Value, json};

/// Measures the Neutron add-on.
#[derive(Parser)]
struct Options {
    /// Changes whose way to the first packet is measured; 0 leaves that out.
    #[arg(long, default_value_t = 60)]
    changes: u32,
    /// Ports that are made while the controller is dead; 0 leaves that out.
    #[arg(long, default_value_t = 2000)]
    ports: usize,
    /// Times that the outage is repeated.
    #[arg(long, default_value_t = 3)]
    outages: u32,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let (mut cloud, mut neutron) = neutron::cloud("nbars")?;
    if options.changes > 0 {
        first_packets(&cloud, &mut neutron, options.changes)?;
    }
    if options.ports > 0 {
        outages(&mut cloud, &mut neutron, options.ports, options.outages)?;
    }
    cloud.lab().quiet();
    drop(neutron);
    Ok(())
}

/// A port is set up and down again by the API, while a VM behind a router on another host sends to it.
fn first_packets(cloud: &Cloud, neutron: &mut Neutron, changes: u32) -> Result<()> {
    let router = neutron.create("create_router", json!({"name": "r"}))?;
    let mut vms: Vec<Vm> = Vec::new();
    for (number, host) in [(1, "hv1"), (2, "hv2")] {
        let network = neutron.create("create_network", json!({"name": host}))?;
        let cidr = format!("10.0.{number}.0/24");
        let subnet = json!({"network_id": network, "ip_version": 4, "cidr": cidr});
        let subnet = neutron.create("create_subnet", subnet)?;
        neutron.sdk("add_interface_to_router", json!({"router": router, "subnet_id": subnet}))?;
        let port = neutron.create("create_port", json!({"network_id": network, "binding_host_id": host}))?;
        vms.push(neutron.boot(cloud.lab(), cloud.host(host)?, host, &port)?);
    }
    let [one, two] = vms.as_slice() else { bail!("two VMs") };
    let (ip, port) = (two.v4()?, two.spec().port_id.clone());
    wait_for("the first answer", PATIENCE, || Ok(one.ping(ip, 1)?.all()))?;
    let stream = one.pinger(ip, Duration::from_millis(1))?;
    let nic = two.nic()?;
    let (mut from_call, mut from_answer) = (Vec::new(), Vec::new());
    for _ in 0..changes {
        neutron.sdk("update_port", json!({"port": port, "admin_state_up": false}))?;
        let silent = || Ok(nic.recv(Duration::from_millis(50))?.is_none());
        wait_for("silence", PATIENCE, silent)?;
        let called = Instant::now();
        neutron.sdk("update_port", json!({"port": port, "admin_state_up": true}))?;
        let answered = Instant::now();
        // The socket keeps frames: one that came before the answer is found at once, and counts as 0.
        ensure!(nic.recv(PATIENCE)?.is_some(), "no packet after {PATIENCE:?}");
        from_call.push(called.elapsed());
        from_answer.push(answered.elapsed());
    }
    stream.stop()?;
    show("API call to first packet", &mut from_call);
    show("API answer to first packet", &mut from_answer);
    Ok(())
}

/// Ports are made in bulk while the controller is dead; the clock runs from its first answer until it has them all.
fn outages(cloud: &mut Cloud, neutron: &mut Neutron, ports: usize, repetitions: u32) -> Result<()> {
    const BULK: usize = 100;
    let (mut counted, mut equal) = (Vec::new(), Vec::new());
    for number in 0..repetitions {
        let network = neutron.create("create_network", json!({"name": format!("bulk-{number}")}))?;
        let subnet =
            json!({"network_id": network, "ip_version": 4, "cidr": format!("10.{}.0.0/16", 10 + number)});
        neutron.create("create_subnet", subnet)?;
        neutron.wait_equal()?;
        let before = count_ports(cloud)?;
        cloud.kill_controller()?;
        let begin = Instant::now();
        for _ in 0..ports / BULK {
            let port = json!({"network_id": network, "admin_state_up": true, "binding:host_id": "hv1"});
            neutron.ask(json!({"do": "post", "path": "/ports", "body": {"ports": vec![port; BULK]}}))?;
        }
        println!("{ports} ports made in bulks of {BULK} in {:.1} s", begin.elapsed().as_secs_f64());
        cloud.start_controller()?;
        let back = Instant::now();
        wait_for("all ports", Duration::from_secs(60), || Ok(count_ports(cloud)? >= before + ports))?;
        counted.push(back.elapsed());
        wait_for("an empty journal", PATIENCE, || Ok(neutron.ask(json!({"do": "journal"}))? == 0))?;
        equal.push(back.elapsed());
        neutron.wait_equal()?;
        ensure!(count_ports(cloud)? == before + ports, "not as many ports as were made");
    }
    show("controller's return until it has all ports", &mut counted);
    show("controller's return until the journal is empty", &mut equal);
    Ok(())
}

fn count_ports(cloud: &Cloud) -> Result<usize> {
    let status = cloud.dragonflow(&["status", "-o", "json"])?;
    let status: Value = serde_json::from_slice(&status.stdout).context("read the status")?;
    Ok(status["counts"]["ports"].as_u64().context("no count of ports")?.try_into()?)
}

fn show(what: &str, times: &mut [Duration]) {
    times.sort();
    let quantile = |part: usize| {
        let index = (times.len() * part).div_ceil(100).saturating_sub(1);
        times.get(index).copied().unwrap_or_default().as_secs_f64() * 1000.0
    };
    let (p50, p99, max) = (quantile(50), quantile(99), quantile(100));
    println!("{what}: p50 {p50:.0} ms, p99 {p99:.0} ms, worst {max:.0} ms, of {}", times.len());
}
