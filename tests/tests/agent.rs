//! The agent, in this process, and a real switch.

use std::{collections::BTreeSet, thread::sleep, time::Duration};

use anyhow::{Context, Result, ensure};
use controller::{
    agent::{AgentConfig, AgentHandle, ChassisConfig, start},
    model::Object,
    northbound::{ChassisStatus, ExplainSource, Link, StatusSource, TraceRequest},
    pipeline::Table,
    southbound::openflow::ListenAddr,
    store::{MemoryBackend, Store, Transaction},
};
use lab::{Daemon, Hypervisor, Lab, wait_for};
use tokio::runtime::Runtime;

const PATIENCE: Duration = Duration::from_secs(20);
/// The table that knows where MACs are.
const MACS: u8 = Table::LsInL2Lkup as u8;
/// The one that copies to everybody.
const FLOOD: u8 = Table::LsOutFlood as u8;

/// Two networks and a router; "a" and "b" are on hv1, "c" is elsewhere.
const CLOUD: &str = r#"[
    {"kind": "chassis", "spec": {"id": "hv1", "encap_ips": ["192.0.2.1"]}},
    {"kind": "chassis", "spec": {"id": "hv2", "encap_ips": ["192.0.2.2"]}},
    {"kind": "network", "spec": {"id": "web", "segment": {"type": "vxlan", "id": 4097}}},
    {"kind": "network", "spec": {"id": "db", "segment": {"type": "geneve", "id": 4098}}},
    {"kind": "subnet", "spec": {"id": "web4", "network": "web", "cidr": "10.0.1.0/24", "gateway_ip": "10.0.1.1"}},
    {"kind": "subnet", "spec": {"id": "db4", "network": "db", "cidr": "10.0.2.0/24", "gateway_ip": "10.0.2.1"}},
    {"kind": "port", "spec": {"id": "a", "network": "web", "mac": "02:00:00:00:01:01", "chassis": "hv1",
        "fixed_ips": [{"subnet": "web4", "ip": "10.0.1.11"}]}},
    {"kind": "port", "spec": {"id": "b", "network": "db", "mac": "02:00:00:00:02:01", "chassis": "hv1",
        "fixed_ips": [{"subnet": "db4", "ip": "10.0.2.11"}]}},
    {"kind": "port", "spec": {"id": "c", "network": "web", "mac": "02:00:00:00:01:02", "chassis": "hv2",
        "fixed_ips": [{"subnet": "web4", "ip": "10.0.1.12"}]}},
    {"kind": "router", "spec": {"id": "r", "interfaces": [{"subnet": "web4"}, {"subnet": "db4"}],
        "routes": [{"destination": "192.168.0.0/16", "next_hops": ["10.0.1.11", "10.0.1.12"]}]}}
]"#;

struct Rig {
    hypervisor: Hypervisor,
    store: Store,
    runtime: Runtime,
    _lab: Lab,
}

impl Rig {
    fn new(prefix: &str) -> Result<Self> {
        let lab = Lab::new(prefix)?;
        let hypervisor = lab.hypervisor("hv1")?;
        hypervisor.ensure_br_int()?;
        for port in ["a", "b"] {
            plug(&hypervisor, port)?;
        }
        let store = Store::open(MemoryBackend::new(1000))?;
        put(&store, CLOUD)?;
        Ok(Self { hypervisor, store, runtime: Runtime::new()?, _lab: lab })
    }

    fn start(&self) -> Result<AgentHandle> {
        let socket = self.hypervisor.rundir().join("dragonflow.sock");
        let chassis = ChassisConfig {
            id: "hv1".parse()?,
            ovsdb: ovsdb::Remote::Unix(self.hypervisor.db_sock()),
            bridge: "br-int".into(),
            datapath_type: Some("netdev".into()),
            target: format!("unix:{}", socket.display()),
            fastpath: None,
        };
        let mut config = AgentConfig::new(vec![chassis]);
        config.listen = vec![ListenAddr::Unix(socket)];
        Ok(self.runtime.block_on(start(config, &self.store))?)
    }

    /// Starts an agent and waits until the switch is as it shall be.
    fn healthy(&self) -> Result<AgentHandle> {
        let agent = self.start()?;
        self.wait_in_step(&agent)?;
        Ok(agent)
    }

    fn wait_in_step(&self, agent: &AgentHandle) -> Result<Duration> {
        wait_for("switch in step", PATIENCE, || {
            let status = status(agent)?;
            // The second tunnel, for the second network, comes a moment after the bridge.
            let is_up = status.openflow == Link::Connected && status.ovsdb == Link::Connected;
            let tunnels = self.hypervisor.ovs_vsctl(&["list-ports", "br-int"])?.matches("df-").count();
            Ok(is_up && tunnels == 2 && status.flows > 50 && self.flows()?.len() as u64 == status.flows)
        })
    }

    fn flows(&self) -> Result<BTreeSet<String>> {
        let text = self.hypervisor.ovs_ofctl(&["--no-stats", "dump-flows", "br-int"])?;
        Ok(text.lines().filter(|line| line.contains("actions=")).map(|line| line.trim().to_owned()).collect())
    }
}

fn put(store: &Store, objects: &str) -> Result<()> {
    let objects: Vec<Object> = serde_json::from_str(objects)?;
    store.commit(Transaction::put(objects))?;
    Ok(())
}

fn plug(hypervisor: &Hypervisor, port: &str) -> Result<()> {
    let iface_id = format!("external_ids:iface-id={port}");
    let name = format!("vm-{port}");
    hypervisor.ovs_vsctl(&[
        "add-port",
        "br-int",
        &name,
        "--",
        "set",
        "interface",
        &name,
        "type=internal",
        &iface_id,
    ])?;
    Ok(())
}

/// Flows without what they do.
fn matches(flows: &BTreeSet<String>) -> BTreeSet<&str> {
    flows
        .iter()
        .map(|flow| flow.split_once(" actions=").map_or(flow.as_str(), |(matching, _)| matching))
        .collect()
}

fn status(agent: &AgentHandle) -> Result<ChassisStatus> {
    agent.status().pop().context("one chassis is served")
}

#[test]
fn a_switch_becomes_what_the_model_says_and_follows_it() -> Result<()> {
    let rig = Rig::new("agmodel")?;
    let agent = rig.healthy()?;
    let first = rig.flows()?;
    let is = status(&agent)?;
    ensure!(is.ports_wired == 2 && is.ports_not_wired.is_empty() && is.errors.is_empty(), "{is:?}");
    ensure!(is.groups == 1, "{is:?}");

    // A port in the model, then its interface; then both go.
    let port = r#"[{"kind": "port", "spec": {"id": "d", "network": "web", "mac": "02:00:00:00:01:04", "chassis": "hv1",
        "fixed_ips": [{"subnet": "web4", "ip": "10.0.1.14"}]}}]"#;
    put(&rig.store, port)?;
    wait_for("word of the missing interface", PATIENCE, || {
        Ok(status(&agent)?.ports_not_wired.iter().any(|port| port.why.contains("iface-id=d")))
    })?;
    plug(&rig.hypervisor, "d")?;
    wait_for("the port", PATIENCE, || Ok(status(&agent)?.ports_wired == 3))?;
    rig.wait_in_step(&agent)?;
    ensure!(rig.flows()?.len() > first.len());
    rig.hypervisor.ovs_vsctl(&["del-port", "br-int", "vm-d"])?;
    rig.store.commit(Transaction::delete(
        ["d"].map(|id| controller::model::ObjectId::Port(id.parse().unwrap())),
    ))?;
    wait_for("the flows of before", PATIENCE, || Ok(rig.flows()? == first))?;
    Ok(())
}

#[test]
fn a_restart_changes_nothing() -> Result<()> {
    let rig = Rig::new("agstart")?;
    let agent = rig.healthy()?;
    let before = rig.flows()?;
    rig.runtime.block_on(agent.stop());
    sleep(Duration::from_millis(200));
    ensure!(rig.flows()? == before, "stopping took flows away");

    let agent = rig.start()?;
    wait_for("reconciliation", PATIENCE, || Ok(status(&agent)?.last_reconcile.is_some()))?;
    let done = status(&agent)?.last_reconcile.context("it was reconciled")?;
    ensure!((done.adds, done.deletes) == (0, 0), "{done:?}");
    ensure!(rig.flows()? == before);

    // What happened while nobody looked is put right, and only that.
    rig.runtime.block_on(agent.stop());
    rig.hypervisor.ovs_ofctl(&["del-flows", "br-int", &format!("table={MACS}")])?;
    rig.hypervisor.ovs_ofctl(&["add-flow", "br-int", "table=77,priority=3,actions=drop"])?;
    let lost = before.difference(&rig.flows()?).count() as u64;
    let agent = rig.start()?;
    wait_for("the flows of before", PATIENCE, || Ok(rig.flows()? == before))?;
    wait_for("the report", PATIENCE, || Ok(status(&agent)?.last_reconcile.is_some()))?;
    let done = status(&agent)?.last_reconcile.context("it was reconciled")?;
    ensure!((done.adds, done.deletes) == (lost, 1), "{done:?}, {lost} were lost");
    Ok(())
}

#[test]
fn what_others_do_to_flows_and_groups_is_undone() -> Result<()> {
    let rig = Rig::new("agdrift")?;
    let _agent = rig.healthy()?;
    let before = rig.flows()?;
    let groups = rig.hypervisor.ovs_ofctl(&["dump-groups", "br-int"])?;
    for meddle in [
        &["add-flow", "br-int", "table=0,priority=65535,actions=drop"][..],
        &["del-flows", "br-int", "table=6"],
        &["mod-flows", "br-int", "table=9,actions=drop"],
        &["del-flows", "br-int"],
        // With a group go the flows that use it, and of those the switch tells.
        &["del-groups", "br-int"],
    ] {
        rig.hypervisor.ovs_ofctl(meddle)?;
        wait_for("repair", PATIENCE, || Ok(rig.flows()? == before)).with_context(|| format!("{meddle:?}"))?;
    }
    wait_for("the groups", PATIENCE, || Ok(rig.hypervisor.ovs_ofctl(&["dump-groups", "br-int"])? == groups))?;
    Ok(())
}

#[test]
fn a_switch_that_was_killed_is_filled_again() -> Result<()> {
    let rig = Rig::new("agkill")?;
    let agent = rig.healthy()?;
    let before = rig.flows()?;
    rig.hypervisor.kill9(Daemon::Vswitchd)?;
    wait_for("word of it", PATIENCE, || Ok(status(&agent)?.openflow != Link::Connected))?;
    rig.hypervisor.start(Daemon::Vswitchd)?;
    // It may number its ports anew.
    wait_for("as many flows", PATIENCE, || Ok(rig.flows()?.len() == before.len()))?;
    rig.wait_in_step(&agent)?;
    Ok(())
}

#[test]
fn what_the_switch_refuses_is_named_and_does_not_stop_the_rest() -> Result<()> {
    let rig = Rig::new("agrefuse")?;
    let agent = rig.healthy()?;
    let before = rig.flows()?;
    // Not one more flow in the table of MACs.
    let full = before.iter().filter(|flow| flow.contains(&format!("table={MACS},"))).count();
    rig.hypervisor.ovs_vsctl(&[
        "--id=@full",
        "create",
        "flow_table",
        &format!("flow_limit={full}"),
        "overflow_policy=refuse",
        "--",
        "set",
        "bridge",
        "br-int",
        &format!("flow_tables:{MACS}=@full"),
    ])?;
    plug(&rig.hypervisor, "late")?;
    let port = r#"[{"kind": "port", "spec": {"id": "late", "network": "web", "mac": "02:00:00:00:01:05", "chassis": "hv1",
        "fixed_ips": [{"subnet": "web4", "ip": "10.0.1.15"}]}}]"#;
    put(&rig.store, port)?;
    wait_for("the refusal", PATIENCE, || {
        Ok(status(&agent)?
            .errors
            .iter()
            .any(|text| text.contains("port late: the switch refused table=ls_in_l2_lkup")))
    })?;
    // What copies to everybody on the network copies to the new port, too; every other flow is the very same.
    let there = rig.flows()?;
    let lost: Vec<&String> =
        before.difference(&there).filter(|flow| !flow.contains(&format!("table={FLOOD},"))).collect();
    ensure!(lost.is_empty(), "flows of others were lost: {lost:#?}");
    ensure!(matches(&before).is_subset(&matches(&there)), "flows of others were lost");

    rig.hypervisor.ovs_vsctl(&["clear", "bridge", "br-int", "flow_tables"])?;
    wait_for("all of it", PATIENCE, || Ok(status(&agent)?.errors.is_empty()))?;
    rig.wait_in_step(&agent)?;
    Ok(())
}

#[test]
fn flows_and_traces_are_explained() -> Result<()> {
    let rig = Rig::new("agtell")?;
    let agent = rig.healthy()?;
    rig.runtime.block_on(async {
        let flows = agent.flows("hv1".parse()?).await?;
        ensure!(flows.lines.iter().any(|line| line.contains("# port a packets=")), "{flows:?}");
        ensure!(agent.flows("hv9".parse()?).await.is_err());
        let request: TraceRequest = serde_json::from_str(r#"{"from": "a", "to": "10.0.2.11"}"#)?;
        let trace = agent.trace(request).await?;
        ensure!(trace.verdict.contains("port b"), "{trace:?}");
        Ok(())
    })
}
