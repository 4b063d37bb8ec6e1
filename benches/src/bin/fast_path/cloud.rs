//! A whole cloud: frames from VM to VM through Open vSwitch with our flows, and through the fast path before it.
//!
//! The generator sends as fast as it can, on one processor. Open vSwitch's userspace datapath has the other one to itself;
//! XDP runs where the generator does. What counts is how many frames arrive.

use std::fs::File;
use std::time::Duration;

use anyhow::{Context as _, Result};
use benches::report::{Report, Section};
use benches::samples::Samples;
use datapath::generator::{Generator, Peer, Stream};
use lab::topologies::{RED_ROUTER, overlay, two_tenants};
use lab::{Cloud, Netns, Vm};
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, setns};
use nix::unistd::Pid;
use packet::build::{self, Ip, Link};
use packet::{Ends, IfIndex, MacAddr};
use serde_json::{Value, json};

use crate::Options;

/// Sends, gets frames by way of a router, and gets frames of its own network: all on one host.
const FROM: &str = "web-1";
const ROUTED: &str = "db-1";
const SWITCHED: &str = "web-3";

/// Frames that arrived, in Mpps, and round-trip times in microseconds.
#[derive(Debug, Default)]
struct Mode {
    routed: Samples,
    switched: Samples,
    routed_trips: Samples,
    switched_trips: Samples,
}

pub(crate) fn run(options: &Options, report: &mut Report) -> Result<()> {
    let cloud = Cloud::start("bench", topology())?;
    let host = cloud.vm(FROM)?.host().context("the sender has a host")?;
    // Or the veth would not take what the generator redirects to its other end.
    host.netns().exec("ethtool", &["-K", &cloud.vm(FROM)?.tap(), "gro", "on"])?;
    let (mut ovs, mut xdp) = (Mode::default(), Mode::default());
    for _ in 0..options.pick(5, 2) {
        measure(options, &cloud, &mut ovs)?;
        cloud.start_fast_path(host.name())?;
        measure(options, &cloud, &mut xdp)?;
        cloud.datapath(host.name(), &["detach", "--all"])?;
    }
    cloud.lab().quiet();
    bars(report, &ovs, &xdp);
    let note = "One flow of 60-byte frames, sent as fast as the generator can; generator and sink included.";
    let mut rates = Section::new("From VM to VM on one host: what arrives", "Mpps", note);
    let mut trips = Section::new("The same, round trips of ping", "us", "64 bytes, one at a time.");
    for (name, mode) in [("Open vSwitch, netdev, our flows", ovs), ("XDP", xdp)] {
        rates.row(format!("{name}: to another network"), mode.routed);
        rates.row(format!("{name}: same network"), mode.switched);
        trips.row(format!("{name}: to another network"), mode.routed_trips);
        trips.row(format!("{name}: same network"), mode.switched_trips);
    }
    report.section(rates);
    report.section(trips);
    Ok(())
}

fn bars(report: &mut Report, ovs: &Mode, xdp: &Mode) {
    let share = ovs.routed.median() / xdp.routed.median();
    report.bar("Open vSwitch's share of the rate of XDP, generator included", share, 1.0 / 5.0, "x");
    let tax = xdp.switched.median() / xdp.routed.median();
    report.bar("XDP between VMs: rate switched against routed", tax, 1.05, "x");
    let tax = xdp.routed_trips.median() / xdp.switched_trips.median();
    report.bar("XDP between VMs: round trip routed against switched", tax, 1.05, "x");
}

/// Two tenants, and one VM more of the sender's network on its host.
fn topology() -> Value {
    let mut all = two_tenants(overlay("vxlan", 7), overlay("vxlan", 8), overlay("vxlan", 9));
    if let Some(ports) = all.get_mut("ports").and_then(Value::as_array_mut) {
        ports.push(json!({
            "id": SWITCHED, "network": "web", "chassis": "hv1", "mac": "02:00:00:00:00:13",
            "fixed_ips": [{"subnet": "web-v4", "ip": "10.0.1.13"}, {"subnet": "web-v6", "ip": "2001:db8:1::13"}],
        }));
    }
    all
}

fn measure(options: &Options, cloud: &Cloud, mode: &mut Mode) -> Result<()> {
    let from = cloud.vm(FROM)?;
    let (routed, switched) = (cloud.vm(ROUTED)?, cloud.vm(SWITCHED)?);
    for (to, mac, rates, trips) in [
        (routed, RED_ROUTER.parse()?, &mut mode.routed, &mut mode.routed_trips),
        (switched, switched.mac(), &mut mode.switched, &mut mode.switched_trips),
    ] {
        let home = File::open("/proc/thread-self/ns/net").context("open the namespace")?;
        let rate = rate(from, to, mac, options.pick(1_000_000, 200_000));
        // Or this process would end with the lab, as all do that are in its namespaces.
        setns(home, CloneFlags::CLONE_NEWNET).context("go home")?;
        rates.push(rate?);
        let count = options.pick("400", "100");
        let report = from.ping_with(to.v4()?, &["-c", count, "-i", "0.002", "-W", "1"])?;
        report.rtts.iter().map(Duration::as_secs_f64).for_each(|trip| trips.push(trip * 1e6));
    }
    Ok(())
}

/// Millions of frames a second that arrive.
fn rate(from: &Vm, to: &Vm, mac: MacAddr, frames: u32) -> Result<f64> {
    let (std::net::IpAddr::V4(src), std::net::IpAddr::V4(dst)) = (from.v4()?, to.v4()?) else {
        anyhow::bail!("the addresses are not IPv4");
    };
    let net = Ip { ends: Ends::V4 { src, dst }, hop_limit: 64, tos: 0 };
    let frame = build::udp(&Link::untagged(from.mac(), mac), &net, 4000, 5000, &[0; 18]);
    enter(from.netns())?;
    let mut generator = Generator::load(&Stream { frame, destinations: (dst, 0) })?;
    generator.wire(IfIndex(0), eth0()?)?;
    enter(to.netns())?;
    let sink = generator.attach(Peer::Absorb, eth0()?)?;
    enter(from.netns())?;
    let all = sched_getaffinity(Pid::from_raw(0))?;
    let mut one = CpuSet::new();
    one.set(0)?;
    sched_setaffinity(Pid::from_raw(0), &one)?;
    generator.send(frames / 10)?;
    let sent = generator.send(frames);
    sched_setaffinity(Pid::from_raw(0), &all)?;
    let (elapsed, arrived) = sent?;
    drop(sink);
    Ok(arrived as f64 / elapsed.as_secs_f64() / 1e6)
}

fn eth0() -> Result<IfIndex> {
    Ok(IfIndex(if_nametoindex("eth0")?))
}

/// What this thread opens from now on is in another namespace.
fn enter(netns: &Netns) -> Result<()> {
    let path = format!("/run/netns/{}", netns.name());
    let file = File::open(&path).with_context(|| format!("open {path}"))?;
    setns(file, CloneFlags::CLONE_NEWNET).with_context(|| format!("enter {path}"))
}
