//! The fast path before a real Open vSwitch: who reaches whom stays the same, with and without it.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{
    Cloud, Probe,
    cloud::PATIENCE,
    topologies::{RED_ROUTER, overlay, two_tenants},
    wait_for,
};

const RED: [&str; 4] = ["web-1", "web-2", "db-1", "db-2"];

/// Frames that ended for a reason, as `status` says.
fn counted(cloud: &Cloud, chassis: &str, reason: &str) -> Result<u64> {
    let status = cloud.datapath(chassis, &["status"])?;
    let counters = status.lines().filter_map(|line| line.split_once(' '));
    let mut found = counters.filter(|(name, _)| *name == reason);
    Ok(found.find_map(|(_, rest)| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0))
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
    let segments = two_tenants(overlay("vxlan", 7), overlay("gre", 8), overlay("vxlan", 9));
    let cloud = Cloud::start("fast", segments)?;
    let pinger = cloud.vm("web-1")?.pinger(cloud.vm("db-1")?.v4()?, Duration::from_millis(5))?;
    // On one host: the other end of each tunnel is the switch, which must not see a difference. The program that attached
    // it has ended then: nothing but the kernel carries these.
    let ports = cloud.start_fast_path("hv1")?;
    ensure!(
        ports.lines().count() == 4 && !ports.contains("go by the switch"),
        "three VMs and the underlay:\n{ports}"
    );
    for from in RED {
        for to in RED.iter().filter(|to| **to != from) {
            reach(&cloud, from, to)?;
        }
    }
    ensure!(cloud.vm("blue-1")?.ping(cloud.vm("db-2")?.v4()?, 1)?.none(), "tenants see each other");
    for reason in ["switched", "routed", "delivered"] {
        ensure!(counted(&cloud, "hv1", reason)? > 0, "nothing was {reason} by XDP");
    }
    let trace = |to: &str, ttl: &str| {
        let macs = ["--from-mac", "02:00:00:00:00:11", "--to-mac", RED_ROUTER, "--ttl", ttl];
        cloud.datapath("hv1", &[&["trace", "tap-web-1", "10.0.1.11", to], &macs[..]].concat())
    };
    let (near, far, late) = (trace("10.0.2.21", "64")?, trace("10.0.2.22", "64")?, trace("10.0.2.21", "1")?);
    ensure!(near.contains("sent on, routed, out by tap-db-1, adjacency "), "{near}");
    // GRE with a key, in Ethernet and IPv4.
    ensure!(far.contains("out by tun0") && far.contains(", 42 bytes before it"), "{far}");
    ensure!(late.contains("to the switch, ttl"), "{late}");
    let (web, db) = (cloud.vm("web-1")?, cloud.vm("db-1")?);
    let routed = counted(&cloud, "hv1", "routed")?;
    let rate = web.iperf(db, db.v4()?, Duration::from_secs(1))?;
    ensure!(rate > 1e6, "{rate} bit/s");
    ensure!(counted(&cloud, "hv1", "routed")? > routed + 100, "TCP went another way");
    // A new start takes over from the one before, and the end gives all back to the switch.
    cloud.start_fast_path("hv1")?;
    reach(&cloud, "web-1", "db-1")?;
    cloud.datapath("hv1", &["detach", "--all"])?;
    reach(&cloud, "web-1", "db-1")?;
    for entry in fs::read_dir(cloud.pins("hv1"))? {
        // A bpffs has two files of its own, maps.debug and progs.debug.
        let name = entry?.file_name();
        ensure!(name.to_string_lossy().ends_with(".debug"), "{name:?} stays behind");
    }
    pinger.stop()?.expect_no_loss().context("while the fast path came and went")
}

#[test]
fn xdp_goes_on_without_its_processes() -> Result<()> {
    let segments = two_tenants(overlay("vxlan", 7), overlay("gre", 8), overlay("vxlan", 9));
    let mut cloud = Cloud::start("fastkill", segments)?;
    let pinger = cloud.vm("web-1")?.pinger(cloud.vm("db-1")?.v4()?, Duration::from_millis(2))?;
    let mut process = cloud.follow_fast_path("hv1")?;
    wait_for("pings by XDP", PATIENCE, || Ok(counted(&cloud, "hv1", "routed")? > 100))?;
    process.kill9()?;
    cloud.kill_controller()?;
    let routed = counted(&cloud, "hv1", "routed")?;
    wait_for("pings by XDP alone", PATIENCE, || Ok(counted(&cloud, "hv1", "routed")? > routed + 200))?;
    // Both come back, and take over what is there.
    cloud.start_controller()?;
    cloud.wait_healthy()?;
    let mut process = cloud.follow_fast_path("hv1")?;
    wait_for("pings by XDP again", PATIENCE, || Ok(counted(&cloud, "hv1", "routed")? > 100))?;
    process.kill9()?;
    cloud.datapath("hv1", &["detach", "--all"])?;
    reach(&cloud, "web-1", "db-1")?;
    pinger.stop()?.expect_no_loss().context("while processes were killed")
}

#[test]
fn af_xdp_carries_east_west_traffic_and_open_vswitch_goes_on_without_it() -> Result<()> {
    let segments = two_tenants(overlay("vxlan", 7), overlay("gre", 8), overlay("vxlan", 9));
    let cloud = Cloud::start("afxdp", segments)?;
    let (web, db) = (cloud.vm("web-1")?, cloud.vm("db-1")?);
    let pinger = web.pinger(db.v4()?, Duration::from_millis(5))?;
    let mut process = cloud.start_afxdp("hv1")?;
    for from in RED {
        for to in RED.iter().filter(|to| **to != from) {
            reach(&cloud, from, to)?;
        }
    }
    ensure!(cloud.vm("blue-1")?.ping(cloud.vm("db-2")?.v4()?, 1)?.none(), "tenants see each other");
    pinger.stop()?.expect_no_loss().context("while AF_XDP came")?;
    // Not beside a ping: at full speed rings are full now and then, as queues are in Open vSwitch.
    let rate = web.iperf(db, db.v4()?, Duration::from_secs(1))?;
    ensure!(rate > 1e6, "{rate} bit/s");
    let pinger = web.pinger(db.v4()?, Duration::from_millis(5))?;
    // What it does not forward itself comes to the switch all the same, as from the port: an error of the router's.
    let hops = web.traceroute(db.v4()?, Probe::Udp)?;
    ensure!(hops.len() == 2 && hops.first().is_some_and(Option::is_some), "no router on the way: {hops:?}");
    let status = cloud.datapath("hv1", &["status"])?;
    for reason in ["switched", "routed", "delivered", "ttl"] {
        ensure!(counted(&cloud, "hv1", reason)? > 0, "nothing was {reason} by AF_XDP:\n{status}");
    }
    ensure!(status.contains("copy mode"), "a veth has no other mode:\n{status}");
    let ended = process.terminate(Duration::from_secs(5))?;
    ensure!(ended.success(), "{ended}; see {}", process.log().display());
    pinger.stop()?.expect_no_loss().context("while AF_XDP went")?;

    let mut process = cloud.start_afxdp("hv1")?;
    let pinger = web.pinger(db.v4()?, Duration::from_millis(1))?;
    wait_for("pings by AF_XDP", PATIENCE, || Ok(pinger.sent() > 200))?;
    process.kill9()?;
    let killed = pinger.sent();
    wait_for("pings by the switch", PATIENCE, || Ok(pinger.sent() > killed + 300))?;
    let report = pinger.stop()?;
    // Those that were in the rings, not more than ten milliseconds of them.
    ensure!(
        report.lost.len() <= 10,
        "{} pings of one a millisecond were lost: {report:?}",
        report.lost.len()
    );
    ensure!(cloud.datapath("hv1", &["status"])?.starts_with("nothing"), "something stays behind");
    Ok(())
}
