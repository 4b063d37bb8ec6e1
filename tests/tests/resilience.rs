//! What must not hurt traffic, and what must heal by itself, on real Open vSwitch.

use std::{collections::BTreeMap, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{
    Cloud, Daemon, Hypervisor,
    cloud::PATIENCE,
    topologies::{overlay, two_tenants},
    wait_for,
};
use serde_json::json;

const EVERY_10_MS: Duration = Duration::from_millis(10);

fn cloud(prefix: &str) -> Result<Cloud> {
    Cloud::start(prefix, two_tenants(overlay("vxlan", 1001), overlay("gre", 1002), overlay("vxlan", 1003)))
}

/// The flows of a host: table, match and actions, without counters, ages and the round of their cookies.
fn flows(host: &Hypervisor) -> Result<BTreeMap<String, u64>> {
    let text = host.ovs_ofctl(&["--no-stats", "dump-flows", "br-int"])?;
    let mut flows = BTreeMap::new();
    for line in text.lines().filter(|line| line.contains("actions=")) {
        let (cookie, rest) = line.trim().split_once(", ").with_context(|| format!("flow \"{line}\""))?;
        let bits = cookie.trim_start_matches("cookie=0x");
        let unit =
            u64::from_str_radix(bits, 16).with_context(|| format!("cookie \"{cookie}\""))? & ((1 << 48) - 1);
        flows.insert(rest.to_owned(), unit);
    }
    Ok(flows)
}

#[test]
fn killing_the_controller_loses_no_packet() -> Result<()> {
    let mut cloud = cloud("ckill")?;
    let (from, to) = (cloud.vm("web-1")?, cloud.vm("db-2")?);
    // Underlay neighbours are known after this.
    wait_for("the first pings", PATIENCE, || {
        Ok(from.ping(to.v4()?, 1)?.all() && from.ping(to.v6()?, 1)?.all())
    })?;
    let streams = [from.pinger(to.v4()?, EVERY_10_MS)?, from.pinger(to.v6()?, EVERY_10_MS)?];
    let before = [flows(cloud.host("hv1")?)?, flows(cloud.host("hv2")?)?];
    for _ in 0..3 {
        thread::sleep(Duration::from_secs(3));
        cloud.kill_controller()?;
        thread::sleep(Duration::from_secs(4));
        cloud.start_controller()?;
        cloud.wait_healthy()?;
    }
    thread::sleep(Duration::from_secs(8));
    for stream in streams {
        let report = stream.stop()?;
        report.expect_no_loss()?;
        ensure!(report.sent >= 2_000, "the stream was too short to show anything: {report:?}");
    }
    let after = [flows(cloud.host("hv1")?)?, flows(cloud.host("hv2")?)?];
    ensure!(before == after, "restarts changed flows");
    Ok(())
}

#[test]
fn pairs_that_never_spoke_meet_while_the_controller_is_dead() -> Result<()> {
    let mut cloud = cloud("cnew")?;
    // The tunnel's own neighbours are found by tenants of another network.
    let blue = cloud.vm("blue-1")?.ping(cloud.vm("blue-2")?.v4()?, 3)?;
    ensure!(!blue.none(), "blue: {blue:?}");
    cloud.kill_controller()?;
    for (from, to) in [("web-1", "db-2"), ("web-1", "web-2"), ("db-1", "web-2"), ("web-2", "db-2")] {
        let to = cloud.vm(to)?;
        for ip in [to.v4()?, to.v6()?] {
            let report = cloud.vm(from)?.ping(ip, 3)?;
            ensure!(report.all(), "{from} to {ip}: {report:?}");
        }
    }
    Ok(())
}

#[test]
fn a_restarted_switch_is_filled_again() -> Result<()> {
    let cloud = cloud("vswitchd")?;
    // A restarted switch may number its ports anew, so flows are only counted.
    let count = || Ok::<_, anyhow::Error>(flows(cloud.host("hv1")?)?.len());
    let before = count()?;
    for _ in 0..2 {
        cloud.host("hv1")?.kill9(Daemon::Vswitchd)?;
        cloud.host("hv1")?.start(Daemon::Vswitchd)?;
        let to = cloud.vm("db-2")?.v4()?;
        wait_for("pings after the switch's restart", PATIENCE, || Ok(cloud.vm("web-1")?.ping(to, 1)?.all()))?;
        cloud.wait_healthy()?;
        wait_for("as many flows", PATIENCE, || Ok(count()? == before))?;
    }
    Ok(())
}

/// Nothing is asked of the traffic while the database is away: ovs-vswitchd gives up its lock then, and with it the
/// polling of a userspace datapath without PMD threads. What counts is that nothing of ours is taken away or done anew.
#[test]
fn a_restarted_database_does_no_harm() -> Result<()> {
    let cloud = cloud("ovsdb")?;
    let (from, to) = (cloud.vm("web-1")?, cloud.vm("db-2")?);
    wait_for("the first ping", PATIENCE, || Ok(from.ping(to.v4()?, 1)?.all()))?;
    let host = cloud.host("hv1")?;
    let before = flows(host)?;
    for _ in 0..2 {
        host.kill9(Daemon::OvsdbServer)?;
        thread::sleep(Duration::from_secs(2));
        host.start(Daemon::OvsdbServer)?;
        cloud.wait_healthy()?;
        wait_for("pings", PATIENCE, || Ok(from.ping(to.v4()?, 1)?.all()))?;
        ensure!(flows(host)? == before, "flows changed");
    }
    Ok(())
}

#[test]
fn drift_is_repaired() -> Result<()> {
    let cloud = cloud("drift")?;
    let host = cloud.host("hv1")?;
    let before = flows(host)?;
    // Somebody's flow that would drop everything, and one of ours gone, and one changed, and a whole table.
    host.ovs_ofctl(&["add-flow", "br-int", "table=0,priority=40000,cookie=0x666,actions=drop"])?;
    wait_for("the foreign flow to go", PATIENCE, || Ok(flows(host)? == before))?;
    host.ovs_ofctl(&["del-flows", "br-int", "table=5"])?;
    wait_for("our flows to come back", PATIENCE, || Ok(flows(host)? == before))?;
    host.ovs_ofctl(&["mod-flows", "br-int", "table=9,actions=drop"])?;
    wait_for("our actions to come back", PATIENCE, || Ok(flows(host)? == before))?;
    host.ovs_ofctl(&["del-flows", "br-int"])?;
    wait_for("everything to come back", PATIENCE, || Ok(flows(host)? == before))?;
    let report = cloud.vm("web-1")?.ping(cloud.vm("db-1")?.v4()?, 3)?;
    ensure!(report.all(), "{report:?}");
    Ok(())
}

#[test]
fn a_port_moves_to_another_host() -> Result<()> {
    let mut cloud = cloud("move")?;
    for host in ["hv1", "hv2", "hv1"] {
        cloud.edit("ports", "db-2", |port| port["chassis"] = json!(host))?;
        let target = cloud.host(host)?.clone();
        cloud.vm("db-2")?.move_to(&target)?;
        cloud.apply()?;
        cloud.wait_healthy()?;
        for from in ["web-1", "web-2", "db-1"] {
            let to = cloud.vm("db-2")?;
            for ip in [to.v4()?, to.v6()?] {
                wait_for("pings after the move", PATIENCE, || Ok(cloud.vm(from)?.ping(ip, 1)?.all()))?;
            }
        }
    }
    Ok(())
}

#[test]
fn objects_come_and_go_in_any_order() -> Result<()> {
    let mut cloud = cloud("order")?;
    let before = [flows(cloud.host("hv1")?)?, flows(cloud.host("hv2")?)?];
    let whole = cloud.topology().clone();
    // Without the router nobody crosses subnets.
    cloud.dragonflow_ok(&["delete", "router", "red"])?;
    cloud.wait_healthy()?;
    let to = cloud.vm("db-1")?.v4()?;
    wait_for("routing to stop", PATIENCE, || Ok(cloud.vm("web-1")?.ping(to, 1)?.none()))?;
    ensure!(!cloud.vm("web-1")?.ping(cloud.vm("web-2")?.v4()?, 2)?.none(), "the subnet itself works");
    // A new port on the running system.
    cloud.add(
        "ports",
        json!({
            "id": "db-3", "network": "db", "chassis": "hv1", "mac": "02:00:00:00:00:23",
            "fixed_ips": [{"subnet": "db-v4", "ip": "10.0.2.23"}],
        }),
    )?;
    cloud.apply()?;
    cloud.wait_healthy()?;
    let new = cloud.vm("db-3")?.v4()?;
    wait_for("the new port", PATIENCE, || Ok(cloud.vm("web-2")?.ping(new, 1)?.all()))?;
    // And away again: the same flows as at first, but for the numbers of objects made anew.
    cloud.dragonflow_ok(&["delete", "port", "db-3"])?;
    wait_for("the port to go", PATIENCE, || Ok(cloud.vm("web-2")?.ping(new, 1)?.none()))?;
    ensure!(whole["routers"] == cloud.topology()["routers"], "the topology names the router");
    let count = |flows: &BTreeMap<String, u64>| flows.len();
    wait_for("as many flows as before", PATIENCE, || {
        Ok([flows(cloud.host("hv1")?)?, flows(cloud.host("hv2")?)?]
            .iter()
            .map(count)
            .eq(before.iter().map(count)))
    })?;
    Ok(())
}
