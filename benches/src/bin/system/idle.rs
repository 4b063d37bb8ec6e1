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
use controller::model::Port;
use lab::wait_for;
use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// Time after which all work for one port is done.
const SETTLED: Duration = Duration::from_millis(25);

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut report = Report::new("idle", options.quick);
    let (pause, additions) = (options.pick(30, 10), options.pick(200, 100));
    let mut load = Section::new(
        "Idle controller: CPU",
        "% of a CPU",
        format!("Over {pause} s after everything is in the switches of two hosts."),
    );
    let mut memory = Section::new("Idle controller: resident memory", "MB", "VmRSS after that time.");
    let mut port = Section::new(
        "One port more: CPU of the controller",
        "ms",
        format!(
            "{additions} ports are put by the API, one after the other, 25 ms apart, on networks with ports on both \
             hosts; each is plugged in on one host beforehand. All CPU time of the controller process in those 25 ms: \
             API, store, compiling, and pushing to both switches."
        ),
    );
    let long = options.long.then_some(100_000);
    for ports in [1_000, 10_000].into_iter().chain(long) {
        let name = format!("{ports} ports");
        let found = measure(ports, Duration::from_secs(pause), additions).with_context(|| name.clone())?;
        if ports == 10_000 {
            report.bar("10,000 ports: idle CPU", found.idle, 1.0, "%");
            report.bar("10,000 ports: resident memory", found.memory, 100.0, "MB");
            report.bar("10,000 ports: CPU for one port more, p50", found.additions.median(), 1.0, "ms");
        }
        load.row(name.clone(), [found.idle].into_iter().collect());
        memory.row(name.clone(), [found.memory].into_iter().collect());
        port.row(name, found.additions);
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
}

fn measure(ports: u32, pause: Duration, additions: u32) -> Result<Found> {
    let cloud = Cloud::new(2, ports);
    let mut rig = Rig::new("bidle", cloud, 2, &[])?;
    // Spread over the networks, which grow by a few ports each.
    let step = cloud.ports_per_network + 1;
    let more: Vec<Port> = (0..additions)
        .map(|nth| Port { chassis: Some(chassis_id(0)), ..cloud.port(ports + nth * step) })
        .collect();
    rig.plug(0, &more)?;
    rig.start_controller()?;
    rig.wait_healthy()?;
    rig.settle()?;

    let pid = rig.pid()?;
    let (before, start) = (cpu_time(pid)?, Instant::now());
    sleep(pause);
    let idle = (cpu_time(pid)? - before).as_secs_f64() / start.elapsed().as_secs_f64() * 100.0;
    let memory = resident(pid)? as f64 / 1e6;

    let mut api = rig.api()?;
    let mut spent = Samples::default();
    for port in &more {
        let before = cpu_time(pid)?;
        api.put_port(port)?;
        sleep(SETTLED);
        spent.push(ms(cpu_time(pid)? - before));
    }
    let expected = u64::from(ports / 2 + additions);
    // The status counts with a share of the time only: a moment later.
    wait_for("all ports to be wired", Duration::from_secs(10), || {
        let status = api.status()?;
        Ok(status.pointer("/chassis/0/ports_wired").and_then(serde_json::Value::as_u64) == Some(expected))
    })?;
    rig.wait_healthy()?;
    rig.done();
    Ok(Found { idle, memory, additions: spent })
}
