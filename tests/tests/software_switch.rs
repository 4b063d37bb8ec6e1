//! The software switch of `dragonflow trace` and Open vSwitch do the same to the same packets, octet by octet.
//!
//! Open vSwitch runs with its dummy datapath here: its own tables, actions and checksums, but ports that are only
//! queues, fed by `netdev-dummy/receive` and read back from capture files. It needs neither root nor namespaces.
//! Tunnel ports are plain ports here, so what arrives by tunnels and the choice within groups are not compared.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests stop at what should not be"
)]

use controller::{
    compile::LocalSwitch,
    model::ChassisId,
    pipeline::register::METER_BUCKET,
    trace::{
        packet::Packet,
        state::{Ingress, TunnelFields},
        switch::{Choose, Switch},
    },
};
use packet::{
    MacAddr, OfPort,
    build::{self, Ip, Link},
    frame::Tag,
};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

#[path = "../../controller/tests/flows/cloud.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "shared with other tests"
)]
mod cloud;
#[path = "../../controller/tests/flows/scenarios.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests")]
mod scenarios;
#[path = "../../controller/tests/flows/world.rs"]
#[allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::cast_possible_truncation, reason = "shared")]
mod world;

use cloud::{Cloud, ends, router_mac};

/// By which the end of a packet's way is known: what comes in by the first leaves by the second, after it.
const FENCE: [OfPort; 2] = [OfPort(60_000), OfPort(60_001)];

/// Frames by the port they left by.
type Out = BTreeMap<u32, Vec<Vec<u8>>>;

/// An Open vSwitch of its own, gone when dropped.
struct Dummy {
    dir: PathBuf,
    daemons: Vec<Child>,
    ports: Vec<OfPort>,
}

impl Dummy {
    fn start(name: &str, ports: Vec<OfPort>) -> Self {
        let dir = std::env::temp_dir().join(format!("df-dummy-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let mut this = Self { dir, daemons: Vec::new(), ports };
        this.run("ovsdb-tool", &["create", &this.path("db"), "/usr/share/openvswitch/vswitch.ovsschema"]);
        let remote = format!("punix:{}", this.path("db.sock"));
        this.spawn("ovsdb-server", &[&this.path("db"), "--remote", &remote], "ovsdb.ctl");
        this.wait_for("db.sock");
        this.vsctl(&["--no-wait", "init"]);
        let db = format!("unix:{}", this.path("db.sock"));
        this.spawn("ovs-vswitchd", &[&db, "--enable-dummy=override", "--disable-system"], "vswitchd.ctl");
        this.wait_for("vswitchd.ctl");
        this.make_bridge();
        this
    }

    fn make_bridge(&self) {
        let mut args: Vec<String> =
            ["add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy", "fail_mode=secure"]
                .map(str::to_owned)
                .to_vec();
        args.push("protocols=OpenFlow13".into());
        for port in self.ports.iter().chain(&FENCE) {
            let capture = format!("options:tx_pcap={}", self.path(&format!("p{port}.pcap")));
            args.extend(["--".into(), "add-port".into(), "br0".into(), format!("p{port}")]);
            args.extend([
                "--".into(),
                "set".into(),
                "interface".into(),
                format!("p{port}"),
                "type=dummy".into(),
            ]);
            args.extend([capture, format!("ofport_request={port}")]);
        }
        self.vsctl(&args.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Takes over the flows of a chassis; meters and a fence beside them.
    fn program(&self, switch: &Switch) {
        let mut text = String::new();
        for flow in switch.flows() {
            writeln!(text, "{}", flow).unwrap();
        }
        writeln!(text, "table=0,priority=65535,in_port={} actions=output:{}", FENCE[0], FENCE[1]).unwrap();
        let file = self.path("flows.txt");
        fs::write(&file, text).unwrap();
        for meter in 1..=1 << METER_BUCKET.at.bits {
            let meter = format!("meter={meter},pktps,bands=type=drop,rate=100");
            self.run("ovs-ofctl", &["-O", "OpenFlow13", "add-meter", &self.bridge(), &meter]);
        }
        self.run("ovs-ofctl", &["-O", "OpenFlow13", "--bundle", "add-flows", &self.bridge(), &file]);
    }

    /// What leaves when a frame comes in.
    fn send(&self, port: OfPort, frame: &[u8]) -> Out {
        let before = self.captured();
        let fences = before[&FENCE[1].0].len();
        self.receive(port, frame);
        self.receive(FENCE[0], &[0xfe; 60]);
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let after = self.captured();
            if after[&FENCE[1].0].len() > fences {
                let new = after.into_iter().filter(|(port, _)| *port != FENCE[1].0).map(|(port, frames)| {
                    let old = before.get(&port).map_or(0, Vec::len);
                    (port, frames[old..].to_vec())
                });
                return new.filter(|(_, frames)| !frames.is_empty()).collect();
            }
            assert!(Instant::now() < deadline, "the fence does not come through");
            sleep(Duration::from_millis(1));
        }
    }

    fn receive(&self, port: OfPort, frame: &[u8]) {
        let hex: String = frame.iter().map(|octet| format!("{octet:02x}")).collect();
        self.run(
            "ovs-appctl",
            &["-t", &self.path("vswitchd.ctl"), "netdev-dummy/receive", &format!("p{port}"), &hex],
        );
    }

    fn captured(&self) -> Out {
        let read = |port: &OfPort| {
            let bytes = fs::read(self.path(&format!("p{port}.pcap"))).unwrap_or_default();
            (port.0, frames_of(&bytes))
        };
        self.ports.iter().chain([&FENCE[1]]).map(read).collect()
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).to_str().unwrap().to_owned()
    }

    fn bridge(&self) -> String {
        format!("unix:{}", self.path("br0.mgmt"))
    }

    fn vsctl(&self, args: &[&str]) {
        let db = format!("--db=unix:{}", self.path("db.sock"));
        self.run("ovs-vsctl", &[&[db.as_str(), "--timeout=10"], args].concat());
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for variable in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR"] {
            command.env(variable, &self.dir);
        }
        command
    }

    fn run(&self, program: &str, args: &[&str]) {
        let output = self.command(program).args(args).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn spawn(&mut self, program: &str, args: &[&str], control: &str) {
        let unixctl = format!("--unixctl={}", self.path(control));
        let log = format!("--log-file={}", self.path(&format!("{program}.log")));
        let mut command = self.command(program);
        command.args(args).args([&unixctl, &log]).args(["-vconsole:off"]).stderr(Stdio::null());
        self.daemons.push(command.spawn().unwrap());
    }

    fn wait_for(&self, file: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !Path::new(&self.path(file)).exists() {
            assert!(Instant::now() < deadline, "{file} does not appear");
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Dummy {
    fn drop(&mut self) {
        for daemon in self.daemons.iter_mut().rev() {
            drop(daemon.kill());
            drop(daemon.wait());
        }
        drop(fs::remove_dir_all(&self.dir));
    }
}

/// The packets of a capture file of this machine (pcap 2.4: 24 octets, then 16 before each packet); one that is being
/// written is left out.
fn frames_of(pcap: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut rest = pcap.get(24..).unwrap_or_default();
    while let Some((header, after)) = rest.split_first_chunk::<16>() {
        let len = u32::from_ne_bytes([header[8], header[9], header[10], header[11]]) as usize;
        let Some((frame, after)) = after.split_at_checked(len) else { break };
        frames.push(frame.to_vec());
        rest = after;
    }
    frames
}

/// The same by the software switch.
fn simulate(switch: &Switch, ports: &[OfPort], port: OfPort, frame: &[u8]) -> Out {
    let ingress = Ingress { port, tunnel: TunnelFields::default(), packet: Packet::new(frame) };
    let mut out = Out::new();
    for sent in switch.run(ingress, Choose::Hash).sent {
        if ports.contains(&sent.port) {
            out.entry(sent.port.0).or_default().push(sent.packet.frame());
        }
    }
    out
}

/// Sends every frame through both, from every port.
fn compare(name: &str, cloud: &Cloud, chassis: &str) -> usize {
    let chassis: ChassisId = chassis.parse().unwrap();
    let desired = cloud.compiler.desired(&chassis).unwrap();
    // Which bucket is taken is not comparable: without groups the packet ends there in both.
    let switch = Switch::of(desired.flows().filter(|flow| !uses_group(flow)), []).unwrap();
    let local = cloud.compiler.local(&chassis).unwrap().clone();
    let mut ports: Vec<OfPort> = local.ports.values().copied().collect();
    ports.extend(local.tunnels.values());
    ports.extend(local.patches.values());
    let dummy = Dummy::start(name, ports.clone());
    dummy.program(&switch);
    let mut packets = 0;
    for (port, frame) in frames(cloud, &local) {
        let (theirs, ours) = (dummy.send(port, &frame), simulate(&switch, &ports, port, &frame));
        assert_eq!(
            theirs,
            ours,
            "{name}, in by {port}: {}\n{frame:02x?}",
            controller::trace::summary(&frame)
        );
        packets += ours.values().map(Vec::len).sum::<usize>();
    }
    packets
}

fn uses_group(flow: &controller::compile::EncodedFlow) -> bool {
    let flow = controller::trace::switch::decode(flow).unwrap();
    let has_group = |instruction: &openflow::Instruction| match instruction {
        openflow::Instruction::Apply(actions) => {
            actions.iter().any(|action| matches!(action, openflow::Action::Group(_)))
        }
        _ => false,
    };
    flow.instructions.iter().any(has_group)
}

/// Every kind of packet, from every local port and every patch, to every address that is known and to some that are not.
fn frames(cloud: &Cloud, local: &LocalSwitch) -> Vec<(OfPort, Vec<u8>)> {
    let model = cloud.compiler.view().model();
    let mut all = Vec::new();
    let known = model.ports.values().flat_map(|port| port.spec.fixed_ips.iter().map(|fixed| fixed.ip));
    let gateways = model.subnets.values().filter_map(|subnet| subnet.spec.gateway_ip);
    let nobody = ["10.0.0.99", "198.51.100.1", "2001:db8::99"].map(|ip| ip.parse().unwrap());
    let targets: Vec<IpAddr> = known.chain(gateways).chain(nobody).collect();
    let mut macs: Vec<MacAddr> = model.ports.values().map(|port| port.spec.mac).collect();
    macs.extend([router_mac(1), MacAddr::BROADCAST, MacAddr([2, 9, 9, 9, 9, 9])]);
    for (id, ofport) in &local.ports {
        let port = &model.ports[id].spec;
        for source in port.fixed_ips.iter().map(|fixed| fixed.ip) {
            for target in targets.iter().filter(|target| target.is_ipv4() == source.is_ipv4()) {
                all.extend(
                    probes(port.mac, source, *target, &macs).into_iter().map(|frame| (*ofport, frame)),
                );
            }
        }
    }
    for ofport in local.patches.values() {
        for mac in &macs {
            for src in [MacAddr([2, 7, 7, 7, 7, 7]), MacAddr([0x0e, 0xdc, 0, 0, 0, 9])] {
                for tag in
                    [None, Some(Tag { tpid: 0x8100, tci: 100 }), Some(Tag { tpid: 0x8100, tci: 0x6065 })]
                {
                    let net = Ip { ends: ends("10.0.0.50", "10.0.0.11"), hop_limit: 9, tos: 0 };
                    all.push((*ofport, build::udp(&Link { dst: *mac, src, tag }, &net, 5, 6, b"odd")));
                }
            }
        }
    }
    all
}

fn probes(mac: MacAddr, source: IpAddr, target: IpAddr, macs: &[MacAddr]) -> Vec<Vec<u8>> {
    let question = match (source, target) {
        (IpAddr::V4(source), IpAddr::V4(target)) => build::arp_request(mac, source, target),
        (IpAddr::V6(source), IpAddr::V6(target)) => build::nd_solicit(mac, source, target),
        _ => return Vec::new(),
    };
    let mut probes = vec![question];
    let ends = ends(&source.to_string(), &target.to_string());
    for (at, dst) in macs.iter().enumerate() {
        let link = Link::untagged(mac, *dst);
        let net = |hop_limit| Ip { ends, hop_limit, tos: 0x2e };
        probes.push(build::echo(&link, &net(64), build::EchoKind::Request, 7, 9, b"odd"));
        // Not every kind to every MAC, which takes long; but every kind to some.
        probes.push(match at % 4 {
            0 => build::udp(&link, &net(2), 5, 6, b"even"),
            1 => build::udp(&link, &net(1), 5, 6, b""),
            2 => build::udp(&link, &net(255), 5, 6, &[1; 1401]),
            _ => build::icmp(&link, &net(3), 3, 1, [0; 4], &[0; 28]),
        });
    }
    probes
}

#[test]
fn routed_vlan_and_vxlan() {
    let yaml = scenarios::two_networks(
        "{ type: vlan, physical_network: physnet1, id: 100 }",
        "{ type: vxlan, id: 5002 }",
    );
    let yaml = yaml.replace("id: 100 }, mtu: 1400", "id: 100 }, mtu: 1300");
    let packets = compare("mixed", &Cloud::new(&yaml), "hv1");
    assert!(packets > 100, "the comparison is of packets, not of silence: {packets}");
}

#[test]
fn flat_networks_and_a_second_router() {
    let flat = scenarios::two_networks(
        "{ type: flat, physical_network: physnet1 }",
        "{ type: vlan, physical_network: physnet2, id: 101 }",
    );
    assert!(compare("flat", &Cloud::new(&flat), "hv2") > 100);
    let packets = compare("two", &Cloud::new(scenarios::TWO_ROUTERS), "hv1");
    assert!(packets > 3, "the comparison is of packets, not of silence: {packets}");
}

#[test]
fn random_worlds() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut packets = 0;
    for n in 0..5 {
        let bytes: Vec<u8> = (0..400)
            .map(|_| {
                // xorshift64 (Marsaglia 2003): the same worlds in every run.
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                seed.to_le_bytes()[3]
            })
            .collect();
        let world = world::World::new(&mut world::Choices::new(&bytes));
        packets += compare(&format!("world{n}"), &Cloud::of(world.objects()), "hv1");
    }
    assert!(packets > 100, "the comparison is of packets, not of silence: {packets}");
}
