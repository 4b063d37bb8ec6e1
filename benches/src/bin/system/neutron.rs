//! What the Neutron add-on promises, on a real Neutron with MariaDB, and real Open vSwitch.

use crate::{Options, rig::ms};
use anyhow::{Context as _, Result, bail, ensure};
use benches::{
    report::{Report, Section},
    samples::Samples,
};
use lab::{
    Cloud, Vm,
    cloud::PATIENCE,
    neutron::{self, Neutron},
    wait_for,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Ports in one request.
const BULK: usize = 100;

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut report = Report::new("neutron", options.quick);
    let (cloud, mut neutron) = neutron::cloud("bneutron")?;
    first_packets(options, &mut report, &cloud, &mut neutron)?;
    close(&cloud, neutron);
    overhead(options, &mut report)?;
    println!("report in {}", report.finish(&options.runs)?.display());
    Ok(())
}

pub(crate) fn run_outage(options: &Options) -> Result<()> {
    let mut report = Report::new("neutron-outage", options.quick);
    let (mut cloud, mut neutron) = neutron::cloud("bneutron")?;
    outages(options, &mut report, &mut cloud, &mut neutron)?;
    close(&cloud, neutron);
    println!("report in {}", report.finish(&options.runs)?.display());
    Ok(())
}

fn close(cloud: &Cloud, neutron: Neutron) {
    // What its processes said while they died is of no interest.
    cloud.lab().quiet();
    drop(neutron);
}

/// A port is set down and up again by the API, while a VM behind a router on another host sends to it.
fn first_packets(options: &Options, report: &mut Report, cloud: &Cloud, neutron: &mut Neutron) -> Result<()> {
    let changes = options.pick(80, 10);
    let router = neutron.create("create_router", json!({"name": "r"}))?;
    let mut vms: Vec<Vm> = Vec::new();
    for (number, name, host) in [(1, "one", "hv1"), (2, "two", "hv2")] {
        let network = neutron.create("create_network", json!({"name": name}))?;
        let cidr = format!("10.0.{number}.0/24");
        let subnet = json!({"network_id": network, "ip_version": 4, "cidr": cidr});
        let subnet = neutron.create("create_subnet", subnet)?;
        neutron.sdk("add_interface_to_router", json!({"router": router, "subnet_id": subnet}))?;
        let port = neutron.create("create_port", json!({"network_id": network, "binding_host_id": host}))?;
        vms.push(neutron.boot(cloud.lab(), cloud.host(host)?, name, &port)?);
    }
    let [one, two] = vms.as_slice() else { bail!("two VMs") };
    let (ip, port) = (two.v4()?, two.spec().port_id.clone());
    wait_for("the first answer", PATIENCE, || Ok(one.ping(ip, 1)?.all()))?;
    let stream = one.pinger(ip, Duration::from_millis(1))?;
    let nic = two.nic()?;
    let mut found = [const { Vec::new() }; 3];
    for _ in 0..changes {
        neutron.sdk("update_port", json!({"port": port, "admin_state_up": false}))?;
        let silent = || Ok(nic.recv(Duration::from_millis(50))?.is_none());
        wait_for("silence", PATIENCE, silent)?;
        let called = Instant::now();
        neutron.sdk("update_port", json!({"port": port, "admin_state_up": true}))?;
        let answered = Instant::now();
        // The socket keeps frames: one that came before the answer is found at once, and counts as 0.
        ensure!(nic.recv(PATIENCE)?.is_some(), "no packet after {PATIENCE:?}");
        for (all, time) in found.iter_mut().zip([called.elapsed(), answered - called, answered.elapsed()]) {
            all.push(ms(time));
        }
    }
    stream.stop()?;
    let [packet, answer, rest] = found.map(|times| times.into_iter().collect::<Samples>());
    let mut section = Section::new(
        "change in Neutron to first packet",
        "ms",
        format!(
            "{changes} times a port is set administratively down and up again by openstacksdk. A VM in another subnet \
             on another host pings it every ms, across a router; the clock runs from the call that sets it up until \
             the VM behind the port sees a frame. Two API processes, one worker with the default poll_interval of 0.1 s."
        ),
    );
    report.bar("API call to first packet, p50", packet.quantile(0.5), 300.0, "ms");
    report.bar("API call to first packet, p99", packet.quantile(0.99), 1000.0, "ms");
    section.row("API call to first packet", packet);
    section.row("API call to its answer", answer);
    section.row("answer to first packet", rest);
    report.section(section);
    Ok(())
}

/// API calls with our driver and with Neutron's `logger`, by `overhead.py`.
fn overhead(options: &Options, report: &mut Report) -> Result<()> {
    let rounds = options.pick(60, 10);
    let directory = std::env::temp_dir().join(format!("dragonflow-overhead-{}", std::process::id()));
    let mut command = Command::new(neutron::venv()?.join("bin/python"));
    command.args(["-m", "networking_dragonflow.tests.cloud.overhead"]).arg(&directory);
    command.arg(rounds.to_string()).arg(neutron::cache()).stderr(Stdio::inherit());
    let output = command.output().context("run overhead.py");
    // Databases; nothing in them is wanted.
    let _ = std::fs::remove_dir_all(&directory);
    let output = output?;
    ensure!(output.status.success(), "overhead.py ended with {}", output.status);
    let times: BTreeMap<String, [Vec<f64>; 2]> =
        serde_json::from_slice(&output.stdout).context("read its times")?;
    let mut sums = [0.0; 2];
    for (call, times) in times {
        let samples = times.map(|times| times.into_iter().map(|time| time * 1000.0).collect::<Samples>());
        for (sum, samples) in sums.iter_mut().zip(&samples) {
            *sum += samples.median();
        }
        let note = format!(
            "{rounds} calls to each of two Neutrons in turns, each with its own MariaDB; no controller runs."
        );
        let mut section = Section::new(call, "ms", note).compared_with("logger");
        for (name, samples) in ["logger", "dragonflow"].into_iter().zip(samples) {
            section.row(name, samples);
        }
        report.section(section);
    }
    let [logger, ours] = sums;
    report.bar("API calls with our driver: sum of medians, of that with logger", ours / logger, 1.05, "");
    Ok(())
}

/// Ports are made in bulk while the controller is dead; the clock runs from its return until it equals Neutron.
fn outages(options: &Options, report: &mut Report, cloud: &mut Cloud, neutron: &mut Neutron) -> Result<()> {
    let (rounds, ports) = (options.pick(3, 1), options.pick(2000, 300));
    let mut found = [const { Vec::new() }; 3];
    for number in 0..rounds {
        let network = neutron.create("create_network", json!({"name": format!("bulk-{number}")}))?;
        let cidr = format!("10.{}.0.0/16", 10 + number);
        neutron.create("create_subnet", json!({"network_id": network, "ip_version": 4, "cidr": cidr}))?;
        neutron.wait_equal()?;
        let before = count_ports(cloud)?;
        cloud.kill_controller()?;
        make_ports(neutron, &network, ports)?;
        let started = Instant::now();
        cloud.start_controller()?;
        let back = Instant::now();
        wait_for("all ports", Duration::from_secs(60), || Ok(count_ports(cloud)? >= before + ports))?;
        let counted = back.elapsed();
        wait_for("an empty journal", PATIENCE, || Ok(neutron.ask(json!({"do": "journal"}))? == 0))?;
        let equal = back.elapsed();
        // By everything, not by what was counted.
        neutron.wait_equal()?;
        ensure!(count_ports(cloud)? == before + ports, "not as many ports as were made");
        for (all, time) in found.iter_mut().zip([back - started, counted, equal]) {
            all.push(ms(time));
        }
    }
    let [start, counted, equal] = found.map(|times| times.into_iter().collect::<Samples>());
    let mut section = Section::new(
        format!("{ports} ports made while the controller is dead"),
        "ms",
        format!(
            "{rounds} times the controller is killed, {ports} ports are made in bulks of {BULK} and bound to a host, and \
             the controller is started again with its store. The clock runs from its first answer. Equal: it has all \
             ports and Neutron's journal is empty; afterwards `dragonflow-neutron-sync --check` compares everything."
        ),
    );
    report.bar("return of the controller until it equals Neutron, worst", equal.quantile(1.0), 5000.0, "ms");
    section.row("start of its process to its first answer", start);
    section.row("first answer to all ports", counted);
    section.row("first answer to an empty journal", equal);
    report.section(section);
    Ok(())
}

fn make_ports(neutron: &mut Neutron, network: &str, ports: usize) -> Result<()> {
    let begin = Instant::now();
    let port = json!({"network_id": network, "binding:host_id": "hv1"});
    let bodies = vec![json!({"ports": vec![port; BULK]}); ports / BULK];
    neutron.ask(json!({"do": "post_all", "path": "/ports", "bodies": bodies}))?;
    println!("{ports} ports made in {:.1} s", begin.elapsed().as_secs_f64());
    Ok(())
}

fn count_ports(cloud: &Cloud) -> Result<usize> {
    let status = cloud.dragonflow(&["status", "-o", "json"])?;
    let status: Value = serde_json::from_slice(&status.stdout).context("read the status")?;
    Ok(status["counts"]["ports"].as_u64().context("no count of ports")?.try_into()?)
}
