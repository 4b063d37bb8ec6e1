//! The parts of the demo: each measures something and prints it.

use std::{collections::BTreeSet, net::IpAddr, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{Cloud, Nic, Pinger, Probe, Vm};

/// Rows send, columns receive. Tenants with the same addresses cannot even name each other; that nothing of the others
/// arrives is seen by listening at every VM.
pub(crate) fn matrix(cloud: &Cloud) -> Result<()> {
    let ears: Vec<(&String, Nic)> =
        cloud.vms.iter().map(|(id, vm)| Ok((id, vm.nic()?))).collect::<Result<_>>()?;
    let width = cloud.vms.keys().map(String::len).max().unwrap_or(0).max(9);
    print!("{:width$}", "");
    for id in cloud.vms.keys() {
        print!("  {id:>width$}");
    }
    println!();
    let mut unreached = Vec::new();
    for (from, vm) in &cloud.vms {
        print!("{from:width$}");
        for (to, peer) in &cloud.vms {
            let cell = if from == to {
                "-".into()
            } else if tenant(cloud, from)? != tenant(cloud, to)? {
                "isolated".into()
            } else {
                match median_rtt(vm, peer.v4()?)? {
                    Some(rtt) => format!("{:.2} {}{}", rtt * 1e3, kind(cloud, from, to)?, host(vm, peer)),
                    None => {
                        unreached.push(format!("{from} -> {to}"));
                        "LOST".into()
                    }
                }
            };
            print!("  {cell:>width$}");
        }
        println!();
    }
    println!("s same subnet, r routed to another subnet; h same host, t through a tunnel to the other host");
    let strangers = foreign_frames(cloud, &ears)?;
    println!("frames of another tenant seen at any VM: {strangers}");
    ensure!(unreached.is_empty(), "not reached: {}", unreached.join(", "));
    ensure!(strangers == 0, "tenants are not isolated");
    Ok(())
}

/// The first word of a port's network names its tenant in the demo's topologies.
fn tenant(cloud: &Cloud, port: &str) -> Result<String> {
    let network = network(cloud, port)?;
    Ok(network.split('-').next().unwrap_or_default().to_owned())
}

fn network(cloud: &Cloud, port: &str) -> Result<String> {
    let port = cloud.object("ports", port)?;
    Ok(port["network"].as_str().context("a port has a network")?.to_owned())
}

fn kind(cloud: &Cloud, from: &str, to: &str) -> Result<char> {
    Ok(if network(cloud, from)? == network(cloud, to)? { 's' } else { 'r' })
}

fn host(from: &Vm, to: &Vm) -> char {
    let name = |vm: &Vm| vm.host().map(|host| host.name().to_owned());
    if name(from) == name(to) { 'h' } else { 't' }
}

/// In seconds; the first reply may have waited for the hosts' own neighbour discovery.
fn median_rtt(from: &Vm, to: IpAddr) -> Result<Option<f64>> {
    let report = from.ping_with(to, &["-c", "5", "-i", "0.05", "-W", "1"])?;
    let mut rtts: Vec<f64> = report.rtts.iter().map(Duration::as_secs_f64).collect();
    rtts.sort_by(f64::total_cmp);
    Ok(rtts.get(rtts.len() / 2).copied())
}

/// Frames at a VM whose Ethernet source is a VM of another tenant.
fn foreign_frames(cloud: &Cloud, ears: &[(&String, Nic)]) -> Result<usize> {
    let mut strangers = 0;
    for (id, ear) in ears {
        let own = tenant(cloud, id)?;
        let mut foreign = BTreeSet::new();
        for (other, vm) in &cloud.vms {
            if tenant(cloud, other)? != own {
                foreign.insert(vm.mac().0);
            }
        }
        let heard = ear.recv_all(Duration::from_millis(20))?;
        let is_foreign = |bytes: &[u8]| {
            bytes
                .get(6..12)
                .and_then(|mac| mac.try_into().ok())
                .is_some_and(|mac: [u8; 6]| foreign.contains(&mac))
        };
        strangers += heard.iter().filter(|frame| is_foreign(&frame.bytes)).count();
    }
    Ok(strangers)
}

/// A VM and another of its tenant, in another subnet and on another host if there is one.
fn far_pair(cloud: &Cloud) -> Result<(&Vm, &Vm)> {
    for (from, vm) in &cloud.vms {
        for (to, peer) in &cloud.vms {
            if tenant(cloud, from)? == tenant(cloud, to)?
                && kind(cloud, from, to)? == 'r'
                && host(vm, peer) == 't'
            {
                return Ok((vm, peer));
            }
        }
    }
    anyhow::bail!("the topology has no two VMs of a tenant in different subnets on different hosts")
}

pub(crate) fn traceroute(cloud: &Cloud) -> Result<()> {
    let (from, to) = far_pair(cloud)?;
    println!("{} to {} ({})", from.name(), to.name(), to.v4()?);
    for (index, hop) in from.traceroute(to.v4()?, Probe::Udp)?.iter().enumerate() {
        println!("  {} {}", index + 1, hop.map_or("*".into(), |ip| ip.to_string()));
    }
    Ok(())
}

pub(crate) fn throughput(cloud: &Cloud) -> Result<()> {
    let (from, _) = far_pair(cloud)?;
    let mut shown = BTreeSet::new();
    for (to, peer) in &cloud.vms {
        let id = &from.spec().port_id;
        if to == id || tenant(cloud, id)? != tenant(cloud, to)? {
            continue;
        }
        let (kind, place) = (kind(cloud, id, to)?, host(from, peer));
        if shown.insert((kind, place)) {
            let rate = from.iperf(peer, peer.v4()?, Duration::from_secs(2))? / 1e6;
            let how = if kind == 's' { "same subnet" } else { "routed" };
            let way = if place == 'h' { "same host" } else { "other host" };
            println!("{:12} -> {to:12} {how:12} {way:11} {rate:8.0} Mbit/s", from.name());
        }
    }
    Ok(())
}

pub(crate) fn trace(cloud: &Cloud) -> Result<()> {
    let (from, to) = far_pair(cloud)?;
    let args = ["trace", &from.spec().port_id, &to.v4()?.to_string()];
    println!("$ dragonflow {}", args.join(" "));
    print!("{}", cloud.dragonflow_ok(&args)?);
    Ok(())
}

pub(crate) fn controller_killed(cloud: &mut Cloud) -> Result<()> {
    let stream = {
        let (from, to) = far_pair(cloud)?;
        println!("{} pings {}", from.name(), to.name());
        from.pinger(to.v4()?, Duration::from_millis(10))?
    };
    thread::sleep(Duration::from_secs(1));
    cloud.kill_controller()?;
    println!("controller killed");
    thread::sleep(Duration::from_secs(2));
    cloud.start_controller()?;
    cloud.wait_healthy()?;
    println!("controller started again and in step with its switches");
    thread::sleep(Duration::from_secs(1));
    let report = stream.stop()?;
    println!("{} sent, {} lost", report.sent, report.lost.len());
    Ok(())
}

/// A VM and another of its tenant, in another subnet on the same host.
fn near_pair(cloud: &Cloud) -> Result<Option<(&Vm, &Vm)>> {
    for (from, vm) in &cloud.vms {
        for (to, peer) in &cloud.vms {
            if tenant(cloud, from)? == tenant(cloud, to)?
                && kind(cloud, from, to)? == 'r'
                && host(vm, peer) == 'h'
            {
                return Ok(Some((vm, peer)));
            }
        }
    }
    Ok(None)
}

pub(crate) fn fast_path(cloud: &Cloud) -> Result<()> {
    let Some((from, to)) = near_pair(cloud)? else {
        println!("the topology has no two VMs of a tenant in different subnets on one host");
        return Ok(());
    };
    let stream = from.pinger(to.v4()?, Duration::from_millis(5))?;
    let mut phases = Phases { stream: &stream, ends: Vec::new() };
    let on = || {
        cloud.hosts.keys().try_for_each(|chassis| {
            print!("{}", cloud.start_fast_path(chassis)?);
            Ok(())
        })
    };
    let off =
        || cloud.hosts.keys().try_for_each(|chassis| cloud.datapath(chassis, &["detach", "--all"]).map(drop));
    phases.pass("no load, on", on)?;
    phases.pass("no load, off", off)?;
    println!("{} -> {}, same host, routed, by TCP:", from.name(), to.name());
    phases.loaded("Open vSwitch", from, to, || Ok(()))?;
    phases.loaded("TCP, switched on", from, to, on)?;
    phases.loaded("XDP", from, to, || Ok(()))?;
    if let Some(host) = from.host() {
        print!("{}", cloud.datapath(host.name(), &["status"])?);
    }
    phases.loaded("TCP, switched off", from, to, off)?;
    phases.loaded("Open vSwitch again", from, to, || Ok(()))?;
    let ends = phases.ends;
    let report = stream.stop()?;
    let mut first = 0;
    println!("{:20} {:>6} {:>6}   a ping every 5 ms beside it", "", "sent", "lost");
    for (name, end) in ends {
        let lost = report.lost.iter().filter(|number| (first..end).contains(*number)).count();
        println!("{name:20} {:6} {lost:6}", end - first);
        first = end;
    }
    println!(
        "Beside TCP at full speed, Open vSwitch's queues overflow: what the switching loses is seen without load."
    );
    Ok(())
}

/// Parts of a stream of pings.
struct Phases<'a> {
    stream: &'a Pinger,
    /// Name, and the number of the first ping after it.
    ends: Vec<(&'static str, usize)>,
}

impl Phases<'_> {
    /// Something is done with half a second before and after.
    fn pass(&mut self, name: &'static str, what: impl FnOnce() -> Result<()>) -> Result<()> {
        thread::sleep(Duration::from_millis(500));
        what()?;
        thread::sleep(Duration::from_millis(500));
        self.ends.push((name, usize::try_from(self.stream.sent())?));
        Ok(())
    }

    /// The same beside TCP.
    fn loaded(
        &mut self,
        name: &'static str,
        from: &Vm,
        to: &Vm,
        what: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let address = to.v4()?;
        let rate = thread::scope(|scope| {
            let load = scope.spawn(|| from.iperf(to, address, Duration::from_secs(2)));
            self.pass(name, what)?;
            load.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        println!("{name:20} {:8.0} Mbit/s", rate / 1e6);
        if let Some((_, end)) = self.ends.last_mut() {
            *end = usize::try_from(self.stream.sent())?;
        }
        Ok(())
    }
}
