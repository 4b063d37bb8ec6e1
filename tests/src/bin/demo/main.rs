//! `cargo xtask demo`: two hypervisors, two tenants, six VMs, and what they see of each other.

mod show;

use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::Result;
use clap::Parser;
use lab::{Cloud, cloud, remove_kept};

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
    step(
        "Hosts and VMs",
        &format!("of {}, each host with an Open vSwitch of its own", options.topology.display()),
    );
    let mut cloud = Cloud::build(PREFIX, cloud::read_topology(&options.topology)?)?;
    show_vms(&cloud);

    step("Controller", "starts and gets the topology");
    cloud.start_controller()?;
    let begin = Instant::now();
    print!("{}", cloud.apply()?);
    cloud.wait_healthy()?;
    println!("all wired {:.0} ms after the command began\n", begin.elapsed().as_secs_f64() * 1e3);
    print!("{}", cloud.dragonflow_ok(&["status"])?);

    step("Who reaches whom", "round-trip times in ms: the median of 5 pings");
    show::matrix(&cloud)?;
    step("Traceroute", "one router on the way, wherever the other end is");
    show::traceroute(&cloud)?;
    step("TCP", "iperf3, 2 s each, through Open vSwitch's userspace datapath");
    show::throughput(&cloud)?;
    step("Why", "what the flows do to one packet, and which objects are the cause");
    show::trace(&cloud)?;
    step(
        "Without the controller",
        "ping every 10 ms while the controller is killed with SIGKILL, and started again",
    );
    show::controller_killed(&mut cloud)?;

    step("Fast path", "XDP in front of Open vSwitch, switched on and off under a ping every 5 ms");
    show::fast_path(&cloud)?;

    if options.keep {
        cloud.lab().keep()?;
        explain_keep(&cloud);
    } else {
        println!("\nEverything is being removed. To play on: cargo xtask demo --keep");
    }
    cloud.lab().quiet();
    Ok(())
}

fn step(title: &str, what: &str) {
    println!("\n== {title}: {what}");
}

fn show_vms(cloud: &Cloud) {
    println!("{:12} {:6} {:18} addresses", "VM", "host", "MAC");
    for (id, vm) in &cloud.vms {
        let host = vm.host().map(|host| host.name().to_owned()).unwrap_or_default();
        let addresses: Vec<String> = vm.spec().addresses.iter().map(ToString::to_string).collect();
        println!("{id:12} {host:6} {:18} {}", vm.mac().to_string(), addresses.join(" "));
    }
}

fn explain_keep(cloud: &Cloud) {
    println!("\nEverything stays up. To play on:");
    println!("  the controller:      dragonflow --server {} status", cloud.api());
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
