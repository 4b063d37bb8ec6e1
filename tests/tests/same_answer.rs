//! What the fast path forwards, the switch's own flows forward the same, octet by octet, to the same place.
//!
//! Random clouds are compiled twice: to flows, run by the software switch (which `software_switch.rs` compares with Open
//! vSwitch), and to an image, from which `datapath`'s forwarder decides (which its own tests compare with the XDP program).
//! The forwarder may leave a frame to the switch whenever it likes; when it sends one on, the switch must have too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "tests stop at what should not be"
)]

use controller::{
    compile::LocalSwitch,
    model::{ChassisId, PortId},
    trace::{
        packet::Packet,
        state::{Ingress, TunnelFields},
        switch::{Choose, Sent, Switch},
    },
};
use datapath::{
    forward::{Forwarder, Outcome, Way},
    reason::Reason,
};
use fib::{Egress, Memory, Options, Tables, TunnelKind, TunnelPath, build_with};
use packet::{
    IfIndex, MacAddr, OfPort,
    build::{self, Ip, Link},
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

#[path = "../../controller/tests/flows/cloud.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests")]
mod cloud;
#[path = "../../datapath/tests/common/mod.rs"]
mod common;
#[path = "../../controller/tests/flows/scenarios.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests")]
mod scenarios;
#[path = "../../controller/tests/flows/world.rs"]
#[allow(dead_code, unreachable_pub, clippy::cast_possible_truncation, reason = "shared")]
mod world;

use cloud::{Cloud, ends, router_mac};
use common::Chance;

/// The interface of an OpenFlow port, and the underlay's.
const FIRST_INTERFACE: u32 = 5000;
const UNDERLAY: IfIndex = IfIndex(4999);
/// Most buckets of a group that are tried: the two choose by hashes of their own.
const BUCKETS: usize = 8;

/// One chassis, both ways.
struct Both<'a> {
    cloud: &'a Cloud,
    local: LocalSwitch,
    switch: Switch,
    image: Memory,
}

impl<'a> Both<'a> {
    fn new(cloud: &'a mut Cloud, id: &ChassisId) -> Self {
        let mut local = cloud.wiring(id);
        let interfaces = local.ports.iter().map(|(id, port)| (id.clone(), IfIndex(FIRST_INTERFACE + port.0)));
        local.interfaces = interfaces.collect();
        cloud.compiler.set_local(id, local.clone());
        cloud.compiler.poll();
        let desired = cloud.compiler.desired(id).unwrap();
        let switch = Switch::of(desired.flows(), desired.groups()).unwrap();
        let mut rib = cloud.compiler.rib(id).unwrap();
        add_underlay(&mut rib.tables);
        let options = Options { table_seed: 7, load: 50, ..Options::default() };
        let image = build_with(rib.routes(), &rib.tables, options).unwrap();
        Self { cloud, local, switch, image }
    }

    /// The outcome of the forwarder, after the comparison of what it sent on.
    fn compare(&self, port: OfPort, frame: &[u8]) -> Outcome {
        let mut after = frame.to_vec();
        let forwarder = Forwarder { image: self.image.image(), open: |_| true, underlay: Some(UNDERLAY) };
        let outcome = forwarder.forward(IfIndex(FIRST_INTERFACE + port.0), &mut after);
        if !outcome.reason.is_done() {
            assert_eq!(after, frame, "a frame that is left to the switch stays as it was");
            return outcome;
        }
        let same = (0..BUCKETS).any(|bucket| {
            let packet = Packet::new(frame);
            let ingress = Ingress { port, tunnel: TunnelFields::default(), packet };
            let sent = self.switch.run(ingress, Choose::Bucket(bucket)).sent;
            matches!(sent.as_slice(), [one] if self.is(one, port, outcome.way, &after))
        });
        let packet = Packet::new(frame);
        let ingress = Ingress { port, tunnel: TunnelFields::default(), packet };
        assert!(
            same,
            "in by {port}: {}\n{frame:02x?}\nforwarder {outcome:?}\n{after:02x?}\nswitch {:02x?}",
            controller::trace::summary(frame),
            self.switch
                .run(ingress, Choose::Hash)
                .sent
                .iter()
                .map(|sent| (sent.port, sent.packet.frame()))
                .collect::<Vec<_>>()
        );
        outcome
    }

    /// Is this what the forwarder sent?
    fn is(&self, sent: &Sent, from: OfPort, way: Way, frame: &[u8]) -> bool {
        match way {
            Way::Pass => false,
            Way::Back => (sent.port == OfPort::IN_PORT || sent.port == from) && sent.packet.frame() == frame,
            Way::Out(UNDERLAY) => self.is_tunnelled(sent, frame),
            Way::Out(IfIndex(index)) => {
                index == FIRST_INTERFACE + sent.port.0 && sent.packet.frame() == frame
            }
        }
    }

    /// Outer Ethernet and IPv4 headers, then VXLAN's or GRE's, then the frame.
    fn is_tunnelled(&self, sent: &Sent, frame: &[u8]) -> bool {
        let remote = IpAddr::from(<[u8; 4]>::try_from(&frame[30..34]).unwrap());
        let (head, kind) = if frame[23] == 17 { (50, "vxlan") } else { (42, "gre") };
        let id = &frame[head - 4..head];
        let id = u32::from_be_bytes(id.try_into().unwrap()) >> if kind == "vxlan" { 8 } else { 0 };
        let Some((port, _)) = self.local.tunnels.iter().find(|(_, port)| **port == sent.port) else {
            return false;
        };
        format!("{port:?}").eq_ignore_ascii_case(kind)
            && sent.tunnel.destination() == Some(remote)
            && sent.tunnel.id == u64::from(id)
            && sent.packet.frame() == frame[head..]
    }

    /// A frame that a port may send, or may not.
    fn frame(&self, chance: &mut Chance) -> (OfPort, Vec<u8>) {
        let model = self.cloud.compiler.view().model();
        let local: Vec<(&PortId, &OfPort)> = self.local.ports.iter().collect();
        let (id, ofport) = *chance.pick(&local);
        let port = &model.ports[id].spec;
        let known: Vec<IpAddr> =
            model.ports.values().flat_map(|port| port.spec.fixed_ips.iter().map(|fixed| fixed.ip)).collect();
        let gateways = model.subnets.values().filter_map(|subnet| subnet.spec.gateway_ip);
        let nobody = ["10.0.0.99", "198.51.100.1", "2001:db8::99", "fe80::1"].map(|ip| ip.parse().unwrap());
        let targets: Vec<IpAddr> = known.iter().copied().chain(gateways).chain(nobody).collect();
        let own: Vec<IpAddr> = port.fixed_ips.iter().map(|fixed| fixed.ip).collect();
        let source =
            if own.is_empty() || chance.one_in(8) { *chance.pick(&known) } else { *chance.pick(&own) };
        let same: Vec<IpAddr> = targets.into_iter().filter(|ip| ip.is_ipv4() == source.is_ipv4()).collect();
        let target = *chance.pick(&same);
        let mut frame = self.base(chance, port.mac, source, target);
        if chance.one_in(6) {
            let at = chance.below(frame.len().min(60) as u64) as usize;
            frame[at] ^= 1 << chance.below(8);
        }
        (*ofport, frame)
    }

    fn base(&self, chance: &mut Chance, mac: MacAddr, source: IpAddr, target: IpAddr) -> Vec<u8> {
        if chance.one_in(5) {
            return match (source, target) {
                (IpAddr::V4(source), IpAddr::V4(target)) => build::arp_request(mac, source, target),
                (IpAddr::V6(source), IpAddr::V6(target)) => build::nd_solicit(mac, source, target),
                _ => unreachable!("both of one family"),
            };
        }
        let model = self.cloud.compiler.view().model();
        let stations: Vec<MacAddr> = model.ports.values().map(|port| port.spec.mac).collect();
        let routers: Vec<MacAddr> = model.routers.values().map(|router| router_mac(router.key.0)).collect();
        let dst = if routers.is_empty() || chance.one_in(3) {
            *chance.pick(&stations)
        } else {
            *chance.pick(&routers)
        };
        let link = Link::untagged(if chance.one_in(16) { *chance.pick(&stations) } else { mac }, dst);
        let hop_limit = *chance.pick(&[64, 64, 64, 255, 3, 2, 1, 0]);
        let net = Ip { ends: ends(&source.to_string(), &target.to_string()), hop_limit, tos: 0x2e };
        match chance.below(4) {
            0 => build::echo(&link, &net, build::EchoKind::Request, 7, 9, b"odd"),
            1 => build::udp(&link, &net, 5, 6, &[1; 1300]),
            2 => build::ip(&link, &net, 6, &[0x50; 40]),
            _ => build::udp(&link, &net, 5, 6, b"even"),
        }
    }
}

/// What the host would add to the image: a way to every other end of a tunnel.
fn add_underlay(tables: &mut Tables) {
    let ends: Vec<(IpAddr, TunnelKind)> = tables
        .adjacencies
        .values()
        .filter_map(|adjacency| match adjacency.egress {
            Egress::Tunnel { vtep, kind, .. } => Some((vtep, kind)),
            Egress::Local { .. } | Egress::Vlan { .. } => None,
        })
        .collect();
    for key in ends {
        let path = TunnelPath {
            local: Ipv4Addr::new(192, 0, 2, 250).into(),
            udp_port: 4789,
            ifindex: UNDERLAY,
            outer_dst: MacAddr([2, 0, 0, 0, 0, 2]),
            outer_src: MacAddr([2, 0, 0, 0, 0, 1]),
        };
        tables.entry.tunnels.insert(key, path);
    }
}

/// Sends so many frames on every chassis; what became of them.
fn run(cloud: &mut Cloud, chance: &mut Chance, frames: usize) -> BTreeMap<Reason, usize> {
    let chassis: Vec<ChassisId> = cloud.compiler.view().model().chassis.keys().cloned().collect();
    let mut reasons = BTreeMap::new();
    for id in chassis {
        let both = Both::new(cloud, &id);
        let ports = &both.cloud.compiler.view().model().ports;
        if both.local.ports.is_empty() || ports.values().all(|port| port.spec.fixed_ips.is_empty()) {
            continue;
        }
        for _ in 0..frames {
            let (port, frame) = both.frame(chance);
            *reasons.entry(both.compare(port, &frame).reason).or_default() += 1;
        }
    }
    reasons
}

#[test]
fn in_small_clouds() {
    let mut chance = Chance(1);
    let mut reasons: BTreeMap<Reason, usize> = BTreeMap::new();
    let segments = [
        ("{ type: vxlan, id: 5001 }", "{ type: gre, id: 5002 }"),
        ("{ type: vlan, physical_network: physnet1, id: 100 }", "{ type: vxlan, id: 5002 }"),
    ];
    let yamls = segments.map(|(a, b)| scenarios::two_networks(a, b));
    for yaml in yamls.iter().map(String::as_str).chain([scenarios::TWO_ROUTERS]) {
        for (reason, count) in run(&mut Cloud::new(yaml), &mut chance, 4000) {
            *reasons.entry(reason).or_default() += count;
        }
    }
    println!("{reasons:?}");
    for reason in
        [Reason::Switched, Reason::Routed, Reason::AnsweredArp, Reason::AnsweredNd, Reason::AnsweredEcho]
    {
        assert!(
            reasons.get(&reason).is_some_and(|count| *count > 50),
            "hardly any {}: {reasons:?}",
            reason.name()
        );
    }
}

#[test]
fn in_random_clouds() {
    let mut chance = Chance(2);
    let mut done = 0;
    for _ in 0..common::option("WORLDS", 60) {
        let bytes: Vec<u8> = (0..400).map(|_| chance.next().to_le_bytes()[3]).collect();
        let world = world::World::new(&mut world::Choices::new(&bytes));
        let reasons = run(&mut Cloud::of(world.objects()), &mut chance, 300);
        done += reasons.iter().filter(|(reason, _)| reason.is_done()).map(|(_, count)| count).sum::<usize>();
    }
    assert!(done > 1000, "the comparison is of frames, not of silence: {done}");
}
