//! Frames through veths, made and counted in the kernel: generator, router and sink in one chain on one processor.
//!
//! The peers: a redirect without any table (the limit), a router that asks the kernel's table from XDP, and the kernel's
//! own forwarding. What the generator takes alone is measured too, and subtracted.

use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use datapath::generator::{Generator, Peer, Stream};
use datapath::maps::ImageMap;
use datapath::router::Router;
use fib::{
    Adjacency, AdjacencyId, Egress, Network, NetworkKey, NextHop, Options, Port, PortKey, Prefix, Route,
    RouterPort, RouterPortId, Tables, VrfId, build_with,
};
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, unshare};
use packet::{IfIndex, MacAddr};

use crate::median;

const SENDER: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const NEXT: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const FIRST: u32 = 0x0a00_0000;

/// in0 is the router's side of one pair, out0 of the other.
struct Rig {
    in0: IfIndex,
    in1: IfIndex,
    out0: IfIndex,
    out1: IfIndex,
    router: MacAddr,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Generator,
    Rewrite,
    Ours(u32),
    KernelTable(u32),
    Kernel(u32),
}

pub(crate) fn run(quick: bool) -> Result<()> {
    let rig = Rig::new()?;
    let frames = if quick { 300_000 } else { 2_000_000 };
    let ways = [
        Way::Generator,
        Way::Rewrite,
        Way::Ours(1),
        Way::Ours(1_000),
        Way::Ours(100_000),
        Way::KernelTable(100_000),
        Way::Kernel(100_000),
    ];
    let mut times = ways.map(|_| Vec::new());
    for _ in 0..if quick { 3 } else { 7 } {
        for (way, times) in ways.iter().zip(&mut times) {
            times.push(rig.measure(*way, frames).with_context(|| way.name())?);
        }
    }
    let times = times.map(median);
    let [generator, limit, one, _, many, ..] = times;
    println!(
        "frames of 60 bytes through veths, one processor; ns a frame, generator ({generator:.0} ns) subtracted"
    );
    for (way, time) in ways.iter().zip(times).skip(1) {
        let net = time - generator;
        println!(
            "  {:34} {net:7.1} ns   {:5.2} Mpps with the generator   rate against the limit {:.2}, net {:.2}",
            way.name(),
            1e3 / time,
            limit / time,
            (limit - generator) / net
        );
    }
    println!("  100 k destinations against 1: {:.2}", one / many);
    Ok(())
}

impl Way {
    fn name(self) -> String {
        match self {
            Self::Generator => "generator and sink".into(),
            Self::Rewrite => "redirect without a table".into(),
            Self::Ours(n) => format!("our XDP router, {n} destinations"),
            Self::KernelTable(n) => format!("bpf_fib_lookup, {n} destinations"),
            Self::Kernel(n) => format!("kernel forwarding, {n} destinations"),
        }
    }

    const fn destinations(self) -> u32 {
        match self {
            Self::Generator | Self::Rewrite => 1,
            Self::Ours(n) | Self::KernelTable(n) | Self::Kernel(n) => n,
        }
    }
}

impl Rig {
    fn new() -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET).context("make a namespace")?;
        ip("link add in0 type veth peer name in1")?;
        ip("link add out0 type veth peer name out1")?;
        for name in ["in0", "in1", "out0", "out1"] {
            ip(&format!("link set {name} up"))?;
            let done = Command::new("ethtool").args(["-K", name, "gro", "on"]).status()?;
            ensure!(done.success(), "ethtool failed");
        }
        // The kernel as a router: one route and one neighbour, the least that it can have to look at.
        ip("addr add 198.18.0.254/24 dev in0")?;
        ip("addr add 198.19.0.254/24 dev out0")?;
        ip("route add 10.0.0.0/8 via 198.19.0.1 dev out0")?;
        ip(&format!("neigh replace 198.19.0.1 lladdr {NEXT} dev out0 nud permanent"))?;
        for key in ["ipv4/ip_forward", "ipv4/conf/in0/forwarding"] {
            fs::write(format!("/proc/sys/net/{key}"), "1").with_context(|| key.to_owned())?;
        }
        for key in ["ipv4/conf/all/rp_filter", "ipv4/conf/in0/rp_filter"] {
            fs::write(format!("/proc/sys/net/{key}"), "0").with_context(|| key.to_owned())?;
        }
        let index = |name: &str| Ok::<_, anyhow::Error>(IfIndex(if_nametoindex(name)?));
        let router = nix::ifaddrs::getifaddrs()?
            .filter(|one| one.interface_name == "in0")
            .find_map(|one| one.address?.as_link_addr()?.addr())
            .context("in0 has no MAC")?;
        Ok(Self {
            in0: index("in0")?,
            in1: index("in1")?,
            out0: index("out0")?,
            out1: index("out1")?,
            router: MacAddr(router),
        })
    }

    /// Nanoseconds a frame, generator included.
    fn measure(&self, way: Way, frames: u32) -> Result<f64> {
        let stream = Stream { src: SENDER, dst: self.router, first: FIRST, destinations: way.destinations() };
        let mut generator = Generator::load(&stream)?;
        generator.wire(IfIndex(0), self.in1)?;
        generator.wire(self.in0, self.out0)?;
        generator.wire(self.out0, self.out0)?;
        let sink = if way == Way::Generator { self.in0 } else { self.out1 };
        let sink = generator.attach(Peer::Absorb, sink)?;
        let (mut ours, mut links) = (None, Vec::new());
        match way {
            Way::Generator | Way::Kernel(_) => {}
            Way::Rewrite => links.push(generator.attach(Peer::Rewrite, self.in0)?),
            Way::KernelTable(_) => links.push(generator.attach(Peer::KernelTable, self.in0)?),
            Way::Ours(destinations) => {
                let router = self.router_for(destinations)?;
                links.push(router.attach(self.in0)?);
                ours = Some(router);
            }
        }
        // The first frames warm caches and pools.
        generator.send(frames / 10)?;
        let (elapsed, arrived) = generator.send(frames)?;
        // A few may still be on their way when the generator is done.
        let reasons = ours.as_mut().map_or_else(|| Ok(String::new()), reasons)?;
        ensure!(arrived + 1024 >= frames.into(), "{arrived} of {frames} frames arrived{reasons}");
        drop((links, sink, ours));
        Ok(elapsed.as_nanos() as f64 / f64::from(frames))
    }

    fn router_for(&self, destinations: u32) -> Result<Router> {
        let mut tables = Tables::default();
        let network = NetworkKey(1);
        let vrf = VrfId::new(1)?;
        let entry = &mut tables.entry;
        entry.networks.insert(network, Network { mtu: 1500, slow: false });
        for (key, index) in [(1, self.in0), (2, self.out0)] {
            let port =
                Port { ifindex: Some(index), network: Some(network), secured: key == 1, ..Port::default() };
            entry.ports.insert(PortKey(key), port);
        }
        // Port security is on, as it is for every tenant.
        entry.bindings.insert((PortKey(1), SENDER), vec!["198.18.0.1/32".parse()?]);
        let door = RouterPort { mac: self.router, network, vrf, mtu: 1500, slow: false };
        entry.router_ports.insert(RouterPortId(0), door);
        let mut routes = Vec::new();
        for id in 0..destinations {
            let adjacency = Adjacency {
                dst_mac: NEXT,
                src_mac: self.router,
                egress: Egress::Local { port: PortKey(2) },
                mtu: 1500,
                network,
            };
            tables.adjacencies.insert(AdjacencyId(id), adjacency);
            let prefix = Prefix::host(Ipv4Addr::from_bits(FIRST + id).into());
            routes.push(Route { vrf, prefix, next: NextHop::Adjacency(AdjacencyId(id)) });
        }
        let mut image = build_with(routes, &tables, Options { table_seed: 99, ..Options::default() })?;
        let map = ImageMap::create(image.bytes().len())?;
        map.write(image.bytes())?;
        let mut router = Router::load(&map)?;
        router.open_port(self.out0)?;
        Ok(router)
    }
}

/// How many frames ended how, for whoever wonders where they are.
fn reasons(router: &mut Router) -> Result<String> {
    let counters = router.counters()?.into_iter().filter(|(_, count)| *count > 0);
    Ok(counters.map(|(reason, count)| format!(", {count} {}", reason.name())).collect())
}

fn ip(words: &str) -> Result<()> {
    let done = Command::new("ip").args(words.split(' ')).status().context("start ip")?;
    ensure!(done.success(), "ip {words} failed");
    Ok(())
}
