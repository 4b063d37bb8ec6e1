//! The fast path before a real Open vSwitch: who reaches whom stays the same, with and without it.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{
    Cloud, Hypervisor,
    cloud::{PATIENCE, beside},
    run,
    topologies::{overlay, two_tenants},
    wait_for,
};

const RED: [&str; 4] = ["web-1", "web-2", "db-1", "db-2"];

/// Pins of a hypervisor: in the lab's folder, so that they go with it.
fn pins(cloud: &Cloud) -> PathBuf {
    cloud.lab().dir().join("bpf")
}

fn datapath(cloud: &Cloud, host: &Hypervisor, args: &[&str]) -> Result<String> {
    let pins = pins(cloud);
    host.netns()
        .within(|| run(Command::new(beside("dragonflow-datapath")?).arg("--pins").arg(pins).args(args)))
}

/// Frames that ended for a reason, as `status` says.
fn counted(cloud: &Cloud, host: &Hypervisor, reason: &str) -> Result<u64> {
    let status = datapath(cloud, host, &["status"])?;
    let line = status.lines().find_map(|line| line.strip_prefix(reason));
    Ok(line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0))
}

fn image(cloud: &Cloud, chassis: &str) -> Result<PathBuf> {
    let path = cloud.image(chassis);
    wait_for("an image with all ports", PATIENCE, || {
        Ok(fs::metadata(&path).is_ok_and(|file| file.len() > 0))
    })?;
    Ok(path)
}

fn reach(cloud: &Cloud, from: &str, to: &str) -> Result<()> {
    for ip in [cloud.vm(to)?.v4()?, cloud.vm(to)?.v6()?] {
        let report = cloud.vm(from)?.ping(ip, 3)?;
        ensure!(report.all(), "{from} does not reach {to} at {ip}: {report:?}");
    }
    Ok(())
}

#[test]
fn xdp_carries_east_west_traffic_and_leaves_without_a_trace() -> Result<()> {
    let cloud =
        Cloud::start("fast", two_tenants(overlay("vxlan", 7), overlay("vxlan", 8), overlay("vxlan", 9)))?;
    let (host, other) = (cloud.host("hv1")?.clone(), cloud.host("hv2")?);
    // The kernel of a host whose tunnels it carries knows its neighbours; here Open vSwitch does that by itself.
    let (vtep, mac) = (other.vtep4(), other.underlay_mac());
    host.netns().ip(&format!("neigh replace {vtep} lladdr {mac} dev br-phys"))?;
    let image = image(&cloud, "hv1")?;
    let path = image.display().to_string();
    let pinger = cloud.vm("web-1")?.pinger(cloud.vm("db-1")?.v4()?, Duration::from_millis(2))?;
    let started = datapath(&cloud, &host, &["run", "--once", "--underlay", "tun0", "--image", &path])?;
    ensure!(started.lines().count() >= 3, "not every port is there:\n{started}");
    // The program that attached it has ended: nothing but the kernel carries these.
    for from in RED {
        for to in RED.iter().filter(|to| **to != from) {
            reach(&cloud, from, to)?;
        }
    }
    ensure!(cloud.vm("blue-1")?.ping(cloud.vm("db-2")?.v4()?, 1)?.none(), "tenants see each other");
    for reason in ["routed", "delivered", "answered_arp", "answered_nd"] {
        ensure!(counted(&cloud, &host, reason)? > 0, "nothing was {reason} by XDP");
    }
    let (web, db) = (cloud.vm("web-1")?, cloud.vm("db-1")?);
    let routed = counted(&cloud, &host, "routed")?;
    let rate = web.iperf(db, db.v4()?, Duration::from_secs(1))?;
    ensure!(
        rate > 1e6 && counted(&cloud, &host, "routed")? > routed + 100,
        "TCP went another way: {rate} bit/s"
    );
    // A new start takes over from the one before, and the end gives all back to the switch.
    datapath(&cloud, &host, &["run", "--once", "--underlay", "tun0", "--image", &path])?;
    reach(&cloud, "web-1", "db-1")?;
    datapath(&cloud, &host, &["detach", "--all"])?;
    reach(&cloud, "web-1", "db-1")?;
    ensure!(fs::read_dir(pins(&cloud))?.next().is_none(), "something stays behind");
    pinger.stop()?.expect_no_loss().context("while the fast path came and went")
}
