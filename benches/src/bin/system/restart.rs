//! What is lost when the switch or the controller dies.

use crate::{
    Options,
    first_packet::blast,
    rig::{Rig, ms},
};
use anyhow::{Context as _, Result, anyhow, ensure};
use benches::{
    cloud::{Cloud, chassis_id},
    process::cpu_time,
    report::{Report, Section},
    samples::Samples,
    wire::Wire,
};
use controller::model::Port;
use lab::{Daemon, Hypervisor, Nic};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread::{scope, sleep},
    time::{Duration, Instant},
};

const LOCAL_PORTS: u32 = 1_000;
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut report = Report::new("restart", options.quick);
    switch(options, &mut report)?;
    controller(options, &mut report)?;
    println!("report in {}", report.finish(&options.runs)?.display());
    Ok(())
}

/// Two ports beside those of the cloud, in different subnets of the first tenant, both on the first host.
fn pair(cloud: Cloud) -> [Port; 2] {
    let on_first = |port| Port { chassis: Some(chassis_id(0)), ..port };
    [on_first(cloud.port(cloud.ports)), on_first(cloud.port(cloud.ports + cloud.ports_per_network))]
}

fn switch(options: &Options, report: &mut Report) -> Result<()> {
    let rounds = options.pick(7, 2);
    let cloud = Cloud::new(1, LOCAL_PORTS);
    let [from, to] = pair(cloud);
    let mut rig = Rig::new("brst", cloud, 1, &[from.clone(), to.clone()])?;
    let sender = rig.vm("from", &from, 0, true)?;
    let receiver = rig.vm("to", &to, 0, true)?;
    let (sender, receiver) = (sender.nic()?, receiver.nic()?);
    let way = rig.way(&from, &to)?;
    rig.start_controller()?;
    rig.wait_healthy()?;

    let mut found = [const { Vec::new() }; 4];
    for _ in 0..rounds {
        rig.settle()?;
        let flows = Wire::open(rig.host(0)?)?.flow_count()?;
        let stop = AtomicBool::new(false);
        let times = scope(|scope| {
            let blaster = scope.spawn(|| blast(&sender, &way, &stop));
            let times = kill_switch(rig.host(0)?, &receiver, &to, flows);
            stop.store(true, Ordering::Relaxed);
            blaster.join().map_err(|_| anyhow!("the sender panicked"))??;
            times
        })?;
        for (all, time) in found.iter_mut().zip(times) {
            all.push(time);
        }
        rig.wait_healthy()?;
    }
    let [answer, forwarding, complete, gap] = found.map(|times| times.into_iter().collect::<Samples>());
    let mut section = Section::new(
        format!("ovs-vswitchd killed and restarted with {LOCAL_PORTS} local ports"),
        "ms",
        format!(
            "{rounds} rounds. One VM sends to another across a router every 100 us. The switch answers when a new \
             OpenFlow session at its management socket gets a reply, asked for every 2 ms; it forwards when the \
             receiver sees a frame again; flows are complete when it has as many as before."
        ),
    );
    let median = forwarding.median();
    section.row("switch answers to forwarding", forwarding);
    section.row("switch answers to flows complete", complete);
    section.row("restart of the process to answer (not ours)", answer);
    section.row("last packet before to first packet after", gap);
    report.section(section);
    report.bar("switch restarted: answers to forwarding", median / 1e3, 0.3, "s");
    rig.done();
    Ok(())
}

/// Milliseconds: start to answer, answer to forwarding, answer to flows complete, gap.
fn kill_switch(host: &Hypervisor, receiver: &Nic, to: &Port, flows: u64) -> Result<[f64; 4]> {
    let is_ours = |frame: &[u8]| frame.starts_with(&to.mac.0);
    receiver.recv_where(PATIENCE, is_ours)?.context("nothing is forwarded before")?;
    host.kill9(Daemon::Vswitchd)?;
    let killed = Instant::now();
    while receiver.recv_where(Duration::from_millis(20), is_ours)?.is_some() {}
    scope(|scope| {
        let arrival = scope.spawn(|| -> Result<Instant> {
            receiver.recv_where(PATIENCE, is_ours)?.context("nothing is forwarded after the restart")?;
            Ok(Instant::now())
        });
        let answers = scope.spawn(|| first_answer(host, flows));
        let start = Instant::now();
        host.start(Daemon::Vswitchd)?;
        let (answered, complete) = answers.join().map_err(|_| anyhow!("the observer panicked"))??;
        let forwarded = arrival.join().map_err(|_| anyhow!("the receiver panicked"))??;
        Ok([
            ms(answered - start),
            ms(forwarded.saturating_duration_since(answered)),
            ms(complete - answered),
            ms(forwarded - killed),
        ])
    })
}

/// When the switch answers again, and when it has this many flows.
fn first_answer(host: &Hypervisor, flows: u64) -> Result<(Instant, Instant)> {
    let limit = Instant::now() + PATIENCE;
    let answer = loop {
        if let Ok(mut wire) = Wire::open(host)
            && wire.flow_count().is_ok()
        {
            break (wire, Instant::now());
        }
        ensure!(Instant::now() < limit, "the switch does not answer");
        sleep(Duration::from_millis(2));
    };
    let (mut wire, answered) = answer;
    while wire.flow_count()? != flows {
        ensure!(Instant::now() < limit, "the switch has not got its flows back");
        sleep(Duration::from_millis(2));
    }
    Ok((answered, Instant::now()))
}

fn controller(options: &Options, report: &mut Report) -> Result<()> {
    let rounds = options.pick(7, 2);
    let cloud = Cloud::new(1, LOCAL_PORTS);
    let [from, to] = pair(cloud);
    let mut rig = Rig::new("brst", cloud, 1, &[from.clone(), to.clone()])?;
    let vms = (rig.vm("from", &from, 0, false)?, rig.vm("to", &to, 0, false)?);
    rig.start_controller()?;
    rig.wait_healthy()?;
    let (mut lost, mut converged, mut cpu) = (Samples::default(), Samples::default(), Samples::default());
    let mut sent = 0;
    for _ in 0..rounds {
        rig.settle()?;
        let stream = vms.0.pinger(vms.1.v4()?, Duration::from_millis(1))?;
        sleep(Duration::from_millis(500));
        rig.kill_controller()?;
        sleep(Duration::from_secs(1));
        let start = Instant::now();
        rig.start_controller()?;
        rig.wait_healthy()?;
        converged.push(ms(start.elapsed()));
        cpu.push(ms(cpu_time(rig.pid()?)?));
        sleep(Duration::from_secs(1));
        let stream = stream.stop()?;
        sent += stream.sent;
        lost.push(stream.lost.len() as f64);
    }
    let worst = lost.quantile(1.0);
    let mut section = Section::new(
        format!("controller killed and restarted, {LOCAL_PORTS} local ports: packets lost"),
        "packets",
        format!("{rounds} rounds, {sent} pings across a router, 1 ms apart."),
    );
    section.row("lost", lost);
    report.section(section);
    let mut section = Section::new(
        format!("controller killed and restarted, {LOCAL_PORTS} local ports: time"),
        "ms",
        "The switch keeps its flows; the controller reads them back and finds nothing to change.",
    );
    section.row("start of the process to healthy status", converged);
    section.row("controller CPU until then", cpu);
    report.section(section);
    report.bar("controller restarted: packets lost, worst round", worst, 0.0, "");
    rig.done();
    Ok(())
}
