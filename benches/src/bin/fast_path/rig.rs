//! Two pairs of veths with a router between them, in a network namespace of their own; and an image for it.
//!
//! Frames are made behind `in1`, come in by `in0`, leave by `out0` and end behind `out1`: all in one softirq chain.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use datapath::generator::Stream;
use datapath::underlay;
use fib::{
    Adjacency, AdjacencyId, Egress, Memory, Neighbour, Network, NetworkKey, NextHop, Options, Port, PortKey,
    Prefix, Route, RouterPort, RouterPortId, Segment, Tables, TunnelKind, TunnelPath, VrfId, build_with,
};
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, unshare};
use packet::build::{self, Ip, Link};
use packet::{Ends, IfIndex, MacAddr, Vni};

/// Who sends, and who gets all frames.
pub(crate) const SENDER: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const NEXT: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const SENDER_IP: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// On the sender's network.
const STATION_IP: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
/// Behind the router: to the kernel, one route; and a route for each.
pub(crate) const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 0);
pub(crate) const FIRST_HOST: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 0);
/// How many destinations there are at most.
pub(crate) const HOSTS: u32 = 100_000;
/// On another chassis.
const FAR_IP: Ipv4Addr = Ipv4Addr::new(12, 0, 0, 1);
const HERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const VNI: u32 = 7;
const VXLAN_PORT: u16 = 4789;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// To a station of the same network.
    Switched,
    /// Through a router, to so many destinations from the first on.
    Routed(Ipv4Addr, u32),
    /// Through a router to another chassis, by VXLAN.
    Packed,
    /// From another chassis, by VXLAN.
    Unpacked,
    /// A question for an address; the answer goes back.
    Arp,
}

/// in0 is the router's side of one pair, out0 of the other.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) in0: IfIndex,
    pub(crate) in1: IfIndex,
    pub(crate) out0: IfIndex,
    pub(crate) out1: IfIndex,
    router: MacAddr,
}

impl Rig {
    pub(crate) fn new() -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET).context("make a namespace")?;
        for key in ["all", "default"] {
            // Nobody speaks but the generator.
            set(&format!("ipv6/conf/{key}/disable_ipv6"), "1")?;
        }
        ip("link add in0 type veth peer name in1")?;
        ip("link add out0 type veth peer name out1")?;
        for name in ["in0", "in1", "out0", "out1"] {
            ip(&format!("link set {name} up"))?;
            let done = Command::new("ethtool").args(["-K", name, "gro", "on"]).status()?;
            ensure!(done.success(), "ethtool failed");
        }
        kernel_router()?;
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

    pub(crate) fn stream(&self, family: Family) -> Stream {
        let routed = |dst| udp(self.router, dst);
        let (frame, destinations) = match family {
            Family::Switched => (udp(NEXT, STATION_IP), (STATION_IP, 1)),
            Family::Routed(first, count) => (routed(first), (first, count)),
            Family::Packed => (routed(FAR_IP), (FAR_IP, 1)),
            Family::Unpacked => (unpacked(), (HERE, 0)),
            Family::Arp => {
                let mut frame = build::arp_request(SENDER, SENDER_IP, STATION_IP);
                frame.resize(60, 0);
                (frame, (STATION_IP, 0))
            }
        };
        Stream { frame, destinations }
    }

    /// The image of a chassis with so many destinations behind its router.
    pub(crate) fn image(&self, destinations: u32) -> Result<Memory> {
        let mut tables = Tables::default();
        let network = NetworkKey(1);
        let vrf = VrfId::new(1)?;
        self.entry(&mut tables, network, vrf)?;
        let mut routes = Vec::new();
        let mut add = |id: u32, ip: Ipv4Addr, egress: Egress| {
            let adjacency = Adjacency { dst_mac: NEXT, src_mac: self.router, egress, mtu: 1500, network };
            tables.adjacencies.insert(AdjacencyId(id), adjacency);
            routes.push(Route {
                vrf,
                prefix: Prefix::host(ip.into()),
                next: NextHop::Adjacency(AdjacencyId(id)),
            });
        };
        let local = Egress::Local { port: PortKey(2) };
        let far = Egress::Tunnel { vtep: THERE.into(), kind: TunnelKind::Vxlan, vni: Vni::new(VNI.into())? };
        add(0, STATION_IP, local);
        add(1, FAR_IP, far);
        for id in 0..destinations {
            add(id + 2, Ipv4Addr::from_bits(FIRST.to_bits() + id), local);
        }
        let options = Options { table_seed: 99, ..Options::default() };
        build_with(routes, &tables, options).context("build the image")
    }

    /// Ports with port security, as every tenant has it; a router; the underlay, which is whatever the host says.
    fn entry(&self, tables: &mut Tables, network: NetworkKey, vrf: VrfId) -> Result<()> {
        let entry = &mut tables.entry;
        entry.networks.insert(network, Network { mtu: 1500, slow: false });
        for (key, index) in [(1, self.in0), (2, self.out0)] {
            let port =
                Port { ifindex: Some(index), network: Some(network), secured: key == 1, ..Port::default() };
            entry.ports.insert(PortKey(key), port);
        }
        entry.ports.insert(PortKey(3), Port { ifindex: Some(underlay::INTERFACE), ..Port::default() });
        entry.bindings.insert((PortKey(1), SENDER), vec![Prefix::host(SENDER_IP.into())]);
        let door = RouterPort { mac: self.router, network, vrf, mtu: 1500, slow: false };
        entry.router_ports.insert(RouterPortId(0), door);
        entry.stations.insert((network, NEXT), AdjacencyId(0));
        entry.neighbours.insert((network, IpAddr::from(STATION_IP)), Neighbour::Station(AdjacencyId(0)));
        let segment = Segment::Tunnel { kind: TunnelKind::Vxlan, vni: Vni::new(VNI.into())? };
        entry.segments.insert(segment, network);
        entry.tunnel_ends.insert(HERE.into());
        let path = TunnelPath {
            local: HERE.into(),
            udp_port: VXLAN_PORT,
            ifindex: self.out0,
            outer_dst: NEXT,
            outer_src: self.router,
        };
        entry.tunnels.insert((THERE.into(), TunnelKind::Vxlan), path);
        Ok(())
    }
}

/// 60 bytes from the sender.
fn udp(to: MacAddr, dst: Ipv4Addr) -> Vec<u8> {
    let net = Ip { ends: Ends::V4 { src: SENDER_IP, dst }, hop_limit: 64, tos: 0 };
    build::udp(&Link::untagged(SENDER, to), &net, 4000, 5000, &[0; 18])
}

/// A frame for the station, as another chassis sends it.
fn unpacked() -> Vec<u8> {
    let net = Ip { ends: Ends::V4 { src: THERE, dst: HERE }, hop_limit: 64, tos: 0 };
    let mut data = [0x0800_0000, VNI << 8].map(u32::to_be_bytes).concat();
    data.extend_from_slice(&udp(NEXT, STATION_IP));
    let mut frame = build::udp(&Link::untagged(NEXT, SENDER), &net, 40_000, VXLAN_PORT, &data);
    // No checksum, as RFC 7348 wants it over IPv4: octets 40 and 41.
    if let Some(sum) = frame.get_mut(40..42) {
        sum.fill(0);
    }
    frame
}

/// The kernel as a router: one route for the first destinations, the least that it can have to look at; and one for each
/// of the others.
fn kernel_router() -> Result<()> {
    ip("addr add 198.18.0.254/24 dev in0")?;
    ip("addr add 198.19.0.254/24 dev out0")?;
    ip(&format!("neigh replace 198.19.0.1 lladdr {NEXT} dev out0 nud permanent"))?;
    ip(&format!("route add {FIRST}/8 via 198.19.0.1 dev out0"))?;
    let mut routes = String::new();
    for host in 0..HOSTS {
        let host = Ipv4Addr::from_bits(FIRST_HOST.to_bits() + host);
        let _ = writeln!(routes, "route add {host}/32 via 198.19.0.1 dev out0");
    }
    let mut batch = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn()?;
    std::io::Write::write_all(&mut batch.stdin.take().context("standard input of ip")?, routes.as_bytes())?;
    ensure!(batch.wait()?.success(), "ip -batch failed");
    for key in ["ipv4/ip_forward", "ipv4/conf/in0/forwarding"] {
        set(key, "1")?;
    }
    for key in ["ipv4/conf/all/rp_filter", "ipv4/conf/in0/rp_filter"] {
        set(key, "0")?;
    }
    Ok(())
}

fn set(key: &str, value: &str) -> Result<()> {
    // /proc/sys/net shows the namespace of the thread that opens it.
    fs::write(format!("/proc/sys/net/{key}"), value).with_context(|| format!("set net/{key}"))
}

fn ip(words: &str) -> Result<()> {
    let done = Command::new("ip").args(words.split(' ')).status().context("start ip")?;
    ensure!(done.success(), "ip {words} failed");
    Ok(())
}
