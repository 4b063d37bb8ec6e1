//! What a controller costs that has nothing to do, and what one port more costs.

use crate::{
    Options,
    rig::{Rig, ms},
};
use anyhow::{Context as _, Result};
use benches::{
    cloud::{Cloud, chassis_id},
    process::{cpu_time, resident},
    report::{Report, Section},
    samples::Samples,
};
use controller::model::{Port, SecurityGroup};
use lab::wait_for;
use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// Time after which all work for one port is done.
const SETTLED: Duration = Duration::from_millis(25);
/// ovs-vswitchd writes what it finds out about its interfaces every 5 s (ovs-vswitchd.conf.db(5),
/// stats-update-interval): after two turns all of them are told, and only then there is nothing to do.
const TOLD: Duration = Duration::from_secs(11);

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut report = Report::new("idle", options.quick);
    let (pause, additions) = (options.pick(30, 10), options.pick(200, 100));
    let mut load = Section::new(
        "Idle controller: CPU",
        "% of a CPU",
        format!(
            "Over {pause} s after everything is in the switches of two hosts; the others are in the model only."
        ),
    );
    let mut memory = Section::new("Idle controller: resident memory", "MB", "VmRSS after that time.");
    let mut port = Section::new(
        "One port more: CPU of the controller",
        "ms",
        format!(
            "{additions} ports are put by the API, one after the other, 25 ms apart, on networks with ports on both \
             hosts; each is plugged in on one host beforehand. All CPU time of the controller process in those 25 ms: \
             API, store, compiling, and pushing to both switches. Before each a security group is put, which nothing \
             is compiled of: what that takes is API and store alone; the difference of the two, by turns, is compiling \
             and pushing."
        ),
    );
    let cases = [
        ("1,000 ports, all on the two hosts", Cloud::new(2, 1_000)),
        ("10,000 ports, all on the two hosts", Cloud::new(2, 10_000)),
    ];
    let long = options.long.then_some(("100,000 ports in the model, 100 a host", Cloud::new(1_000, 100_000)));
    for (name, cloud) in cases.into_iter().chain(long) {
        let found = measure(cloud, Duration::from_secs(pause), additions).context(name)?;
        if cloud.ports == 10_000 {
            report.bar("10,000 ports: idle CPU", found.idle, 1.0, "%");
            report.bar("10,000 ports: resident memory", found.memory, 100.0, "MB");
            report.bar(
                "10,000 ports: CPU for one port more, compile and push, p50",
                found.compile_and_push.median(),
                1.0,
                "ms",
            );
        }
        load.row(name, [found.idle].into_iter().collect());
        memory.row(name, [found.memory].into_iter().collect());
        port.row(format!("{name}: all"), found.additions);
        port.row(format!("{name}: API and store alone"), found.api_and_store);
        port.row(format!("{name}: compile and push"), found.compile_and_push);
    }
    for section in [load, memory, port] {
        report.section(section);
    }
    println!("report in {}", report.finish(&options.runs)?.display());
    Ok(())
}

struct Found {
    idle: f64,
    memory: f64,
    additions: Samples,
    api_and_store: Samples,
    compile_and_push: Samples,
}

fn measure(cloud: Cloud, pause: Duration, additions: u32) -> Result<Found> {
    let mut rig = Rig::new("bidle", cloud, 2, &[])?;
    // Spread over the networks, which grow by a few ports each.
    let step = cloud.ports_per_network + 1;
    let more: Vec<Port> = (0..additions)
        .map(|nth| Port { chassis: Some(chassis_id(0)), ..cloud.port(cloud.ports + nth * step) })
        .collect();
    rig.plug(0, &more)?;
    rig.start_controller()?;
    rig.wait_healthy()?;
    rig.settle()?;
    sleep(TOLD);
    rig.settle()?;

    let pid = rig.pid()?;
    let (before, start) = (cpu_time(pid)?, Instant::now());
    sleep(pause);
    let idle = (cpu_time(pid)? - before).as_secs_f64() / start.elapsed().as_secs_f64() * 100.0;
    let memory = resident(pid)? as f64 / 1e6;

    let mut api = rig.api()?;
    let (mut all, mut api_and_store, mut rest) = (Samples::default(), Samples::default(), Samples::default());
    for (nth, port) in more.iter().enumerate() {
        let group = SecurityGroup { id: format!("sg{nth}").parse()?, stateful: true, rules: Vec::new() };
        let group = spend(pid, || api.put_security_group(&group))?;
        let whole = spend(pid, || api.put_port(port))?;
        all.push(whole);
        api_and_store.push(group);
        rest.push(whole - group);
    }
    let expected = u64::from(cloud.ports / cloud.chassis + additions);
    // The status counts with a share of the time only: a moment later.
    wait_for("all ports to be wired", Duration::from_secs(10), || {
        let status = api.status()?;
        Ok(status.pointer("/chassis/0/ports_wired").and_then(serde_json::Value::as_u64) == Some(expected))
    })?;
    rig.wait_healthy()?;
    rig.done();
    Ok(Found { idle, memory, additions: all, api_and_store, compile_and_push: rest })
}

/// The CPU time that a process spends on a call and on what comes of it, ms.
fn spend(pid: i32, call: impl FnOnce() -> Result<()>) -> Result<f64> {
    let before = cpu_time(pid)?;
    call()?;
    sleep(SETTLED);
    Ok(ms(cpu_time(pid)? - before))
}
