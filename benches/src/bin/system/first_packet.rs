//! From an API call to the first packet that is forwarded because of it.

use crate::{
    Options,
    rig::{Rig, ms, sleep_until},
};
use anyhow::{Context as _, Result, anyhow};
use benches::{
    cloud::{Cloud, chassis_id},
    report::{Report, Section},
    samples::Samples,
    wire::Wire,
};
use controller::model::Port;
use lab::{Nic, frame::Path as Way};
use openflow::{
    Field, Flow, Match, TableId, Xid,
    message::{FlowFlags, FlowModCommand, encode_flow_mod},
};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread::{scope, sleep},
    time::{Duration, Instant},
};

/// Time between two packets of the sender.
const INTERVAL: Duration = Duration::from_micros(100);
/// Without a packet for so long none is forwarded.
const SILENCE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(10);

/// A cloud, and what is promised of it.
struct Case {
    name: &'static str,
    cloud: Cloud,
    bars: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut report = Report::new("first-packet", options.quick);
    let changes = options.pick(300, 100);
    let case = |name, cloud, bars| Case { name, cloud, bars };
    let mut cases = vec![
        case("1,000 ports in the model, 100 a host", Cloud::new(10, 1_000), true),
        case("10,000 ports in the model, 100 a host", Cloud::new(100, 10_000), true),
        case("1,000 ports, all on the two hosts", Cloud::new(2, 1_000), false),
        case("10,000 ports, all on the two hosts", Cloud::new(2, 10_000), false),
    ];
    if options.long {
        cases.push(case("100,000 ports in the model, 100 a host", Cloud::new(1_000, 100_000), true));
    }
    for Case { name, cloud, bars } in cases {
        let found = measure(cloud, changes).with_context(|| name.to_owned())?;
        let mut section = Section::new(
            name,
            "ms",
            format!(
                "{changes} times a port is put by the API and deleted again. It is plugged in on one of two hosts; a VM \
                 of another subnet on the other host sends to it every 100 us (UDP, 64 octets, VXLAN between the hosts), \
                 and the clock stops when the VM behind the port sees the first frame. Stored: the API's answer, after \
                 the fsync. Floor: without a controller, one flow that drops the same packets is deleted by one \
                 pre-encoded message: no controller can be faster on this switch, whose own work for any change of \
                 a flow grows with its ports."
            ),
        );
        let (median, p99) = (found.forwarded.median(), found.forwarded.quantile(0.99));
        section.row("API call to first packet", found.forwarded);
        section.row("API call to its answer: stored", found.stored);
        section.row("answer to first packet", found.rest);
        section.row("floor: one flow-mod to first packet", found.floor);
        report.section(section);
        if bars {
            report.bar(format!("{name}: API call to first packet, p50"), median, 5.0, "ms");
            report.bar(format!("{name}: API call to first packet, p99"), p99, 20.0, "ms");
        }
    }
    println!("report in {}", report.finish(&options.runs)?.display());
    Ok(())
}

#[derive(Default)]
struct Found {
    forwarded: Samples,
    stored: Samples,
    rest: Samples,
    floor: Samples,
}

fn measure(cloud: Cloud, changes: u32) -> Result<Found> {
    let ports = cloud.ports;
    // Of the first tenant's two networks.
    let from = Port { chassis: Some(chassis_id(1)), ..cloud.port(ports) };
    let to = Port { chassis: Some(chassis_id(0)), ..cloud.port(ports + cloud.ports_per_network) };
    let mut rig = Rig::new("bfirst", cloud, 2, std::slice::from_ref(&from))?;
    let sender = rig.vm("from", &from, 1, true)?.nic()?;
    let receiver = rig.vm("to", &to, 0, true)?.nic()?;
    let way = rig.way(&from, &to)?;
    rig.start_controller()?;
    rig.wait_healthy()?;
    rig.settle()?;

    let stop = AtomicBool::new(false);
    let found = scope(|scope| {
        let blaster = scope.spawn(|| blast(&sender, &way, &stop));
        let mut found = changes_of(&rig, &to, &receiver, changes);
        if let Ok(found) = &mut found {
            found.floor = floor(&mut rig, &to, &receiver, changes)?;
        }
        stop.store(true, Ordering::Relaxed);
        blaster.join().map_err(|_| anyhow!("the sender panicked"))??;
        found
    })?;
    rig.done();
    Ok(found)
}

/// What the switch itself takes: with the port in place and no controller, a flow that drops its packets goes.
fn floor(rig: &mut Rig, port: &Port, receiver: &Nic, changes: u32) -> Result<Samples> {
    rig.api()?.put_port(port)?;
    receiver.recv_where(PATIENCE, |frame| is_ours(frame, port))?.context("the port is not reached")?;
    rig.wait_healthy()?;
    rig.kill_controller()?;
    let mut wire = Wire::open(rig.host(0)?)?;
    let mut samples = Samples::default();
    for nth in 0..changes {
        wire.write(&drop_flow(port, FlowModCommand::Add)?)?;
        while receiver.recv_where(SILENCE, |frame| is_ours(frame, port))?.is_some() {}
        sleep(Duration::from_micros(u64::from(nth) * 7_919 % 10_000));
        let delete = drop_flow(port, FlowModCommand::DeleteStrict)?;
        let start = Instant::now();
        wire.write(&delete)?;
        receiver.recv_where(PATIENCE, |frame| is_ours(frame, port))?.context("no packet after the flow")?;
        samples.push(ms(start.elapsed()));
    }
    Ok(samples)
}

/// A flow before all others, with no action.
fn drop_flow(port: &Port, command: FlowModCommand) -> Result<Vec<u8>> {
    let flow = Flow {
        table: TableId(0),
        priority: u16::MAX,
        cookie: 0,
        matching: Match::default().with(Field::EthDst, port.mac),
        instructions: Vec::new(),
    };
    let mut bytes = Vec::new();
    encode_flow_mod(Xid(1), command, FlowFlags::default(), &flow, &mut bytes)?;
    Ok(bytes)
}

fn changes_of(rig: &Rig, port: &Port, receiver: &Nic, changes: u32) -> Result<Found> {
    let mut api = rig.api()?;
    let mut found = Found::default();
    let mut forwarded = || -> Result<(Duration, Duration)> {
        scope(|scope| {
            let waiting = scope.spawn(|| -> Result<Instant> {
                let frame = receiver.recv_where(PATIENCE, |frame| is_ours(frame, port))?;
                frame
                    .map(|_| Instant::now())
                    .with_context(|| format!("no packet {PATIENCE:?} after the call"))
            });
            let start = Instant::now();
            api.put_port(port)?;
            let stored = start.elapsed();
            let first = waiting.join().map_err(|_| anyhow!("the receiver panicked"))??;
            Ok((first - start, stored))
        })
    };
    for nth in 0..=changes {
        let (first, stored) = forwarded()?;
        // The first change warms caches up.
        if nth > 0 {
            found.forwarded.push(ms(first));
            found.stored.push(ms(stored));
            found.rest.push((ms(first) - ms(stored)).max(0.0));
        }
        rig.api()?.delete_port(port)?;
        while receiver.recv_where(SILENCE, |frame| is_ours(frame, port))?.is_some() {}
        // Not in step with anything else.
        sleep(Duration::from_micros(u64::from(nth) * 7_919 % 10_000));
    }
    Ok(found)
}

fn is_ours(frame: &[u8], port: &Port) -> bool {
    frame.starts_with(&port.mac.0)
}

/// Sends until it is stopped.
pub(crate) fn blast(nic: &Nic, way: &Way, stop: &AtomicBool) -> Result<()> {
    let frame = way.udp(4242, 4242, &[0; 22])?;
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        nic.send(&frame)?;
        next += INTERVAL;
        sleep_until(next);
        // A sender that was held up does not catch up in a burst.
        next = next.max(Instant::now() - INTERVAL);
    }
    Ok(())
}
