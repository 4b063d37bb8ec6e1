//! `cargo xtask demo`: two hypervisors, two tenants, six VMs, and what they see of each other.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use lab::{Cloud, Hypervisor, cloud, remove_kept};

/// Two hypervisors as network namespaces with real Open vSwitch, and the VMs of a topology file.
#[derive(Parser)]
#[command(name = "cargo xtask demo --")]
struct Options {
    /// Leave everything running at the end, and say how to play on.
    #[arg(long)]
    keep: bool,
    /// Remove what an earlier --keep left, and end.
    #[arg(long)]
    clean: bool,
    /// Topology to build.
    #[arg(long, default_value = "examples/two-tenants.yaml")]
    topology: PathBuf,
}

/// The first word of everything the demo makes.
const PREFIX: &str = "demo";

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    for id in remove_kept(PREFIX)? {
        println!("removed {id}, kept by an earlier run");
    }
    if options.clean {
        return Ok(());
    }
    println!("building the hosts and VMs of {}", options.topology.display());
    let cloud = Cloud::build(PREFIX, cloud::read_topology(&options.topology)?)?;
    show_vms(&cloud);
    check_underlay(&cloud)?;
    if options.keep {
        cloud.lab().keep()?;
        explain_keep(&cloud);
    }
    cloud.lab().quiet();
    Ok(())
}

fn show_vms(cloud: &Cloud) {
    println!("\n{:12} {:6} {:18} addresses", "VM", "host", "MAC");
    for (id, vm) in &cloud.vms {
        let host = vm.host().map(|host| host.name().to_owned()).unwrap_or_default();
        let addresses: Vec<String> = vm.spec().addresses.iter().map(ToString::to_string).collect();
        println!("{id:12} {host:6} {:18} {}", vm.mac().to_string(), addresses.join(" "));
    }
}

/// Every host's tunnel endpoint answers every other's.
fn check_underlay(cloud: &Cloud) -> Result<()> {
    let hosts: Vec<&Hypervisor> = cloud.hosts.values().collect();
    println!();
    for (index, from) in hosts.iter().enumerate() {
        for to in hosts.iter().skip(index + 1) {
            for address in [to.vtep4().to_string(), to.vtep6().to_string()] {
                let answer =
                    from.netns().exec("ping", &["-n", "-q", "-c", "3", "-i", "0.1", "-W", "1", &address]);
                let answer = answer.with_context(|| format!("{} does not reach {address}", from.name()))?;
                let times = answer.lines().find_map(|line| line.strip_prefix("rtt min/avg/max/mdev = "));
                println!(
                    "underlay {} -> {} {address}: rtt {}",
                    from.name(),
                    to.name(),
                    times.unwrap_or("unknown")
                );
            }
        }
    }
    ensure!(!hosts.is_empty(), "the topology has no chassis");
    Ok(())
}

fn explain_keep(cloud: &Cloud) {
    println!("\nEverything stays up. To play on:");
    if let Some(vm) = cloud.vms.values().next() {
        println!("  a shell inside {}:  ip netns exec {} bash", vm.name(), vm.netns().name());
    }
    if let Some(host) = cloud.hosts.values().next() {
        let rundir = host.rundir().display();
        println!("  the switch of {}:  OVS_RUNDIR={rundir} ovs-vsctl show", host.name());
        println!("  its flows:           OVS_RUNDIR={rundir} ovs-ofctl -O OpenFlow13 dump-flows br-int");
    }
    println!("  remove it all:       cargo xtask demo --clean");
}
