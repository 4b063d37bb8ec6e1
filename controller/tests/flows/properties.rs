//! What holds for every model and every order in which it becomes known.

use crate::{
    cloud::Cloud,
    reference::{Outcome, Reference},
    world::{Choices, World, tweak},
};
use controller::{
    compile::{Delta, Desired, EncodedFlow},
    model::{Change, ChassisId, Kind, NetworkId, Object, ObjectId, Port, PortId, validate},
    pipeline::UnitId,
    trace::{
        TraceError, TraceRequest,
        fabric::{Fabric, Journey},
        packet::Packet,
        state::{Ingress, TunnelFields},
        switch::{Choose, Did, Effect, Step, Switch},
    },
};
use openflow::{Group, GroupId};
use packet::{OfPort, ParsedPacket};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// How many random worlds a test makes; a fuzzer makes as many as it has time for.
const WORLDS: usize = 300;

fn cloud_of(world: &World) -> Cloud {
    Cloud::of(world.objects())
}

/// The generator makes only what the API would take, so that the other tests speak of real models.
#[test]
fn worlds_are_valid() {
    bolero::check!().with_iterations(WORLDS).for_each(|bytes: &[u8]| {
        let world = World::new(&mut Choices::new(bytes));
        let cloud = cloud_of(&world);
        let model = cloud.compiler.view().model();
        assert_eq!(faults(model), Vec::<String>::new());
        assert_eq!(validate::pending(model), Vec::new());
    });
}

fn faults(model: &controller::model::Model) -> Vec<String> {
    let objects: Vec<Object> =
        Kind::ALL.into_iter().flat_map(|kind| model.objects(kind)).map(|record| record.spec).collect();
    let all = objects.iter().map(|object| (object.id(), Some(object))).collect();
    let view = validate::View::new(model, all);
    validate::check(&view, &validate::Index::new(model))
        .iter()
        .map(|problem| format!("{problem:?}"))
        .collect()
}

/// From every port to every address that anybody has, and to some that nobody has: what the tables do is what the model
/// says, whichever next hops they choose.
#[test]
fn packets_end_where_the_model_says() {
    bolero::check!().with_iterations(WORLDS).for_each(|bytes: &[u8]| {
        let mut choices = Choices::new(bytes);
        let world = World::new(&mut choices);
        let cloud = cloud_of(&world);
        let ttl = if choices.often(7) { 64 } else { u8::try_from(choices.below(4)).unwrap() };
        let mut fabric = Fabric::new(&cloud.compiler);
        for from in world.ports.iter().filter(|port| port.chassis.is_some()) {
            for to in addresses(&world) {
                let own: Vec<IpAddr> = from.fixed_ips.iter().map(|fixed| fixed.ip).collect();
                let is_pair = from.allowed_address_pairs.iter().any(|pair| pair.ip.addr() == to);
                if own.contains(&to) || is_pair {
                    continue;
                }
                for source in own.into_iter().filter(|ip| ip.is_ipv4() == to.is_ipv4()) {
                    check_packet(&world, &cloud, &mut fabric, &from.id, source, to, ttl);
                }
            }
        }
    });
}

fn addresses(world: &World) -> BTreeSet<IpAddr> {
    let ports = world.ports.iter().flat_map(|port| port.fixed_ips.iter().map(|fixed| fixed.ip));
    let pairs =
        world.ports.iter().flat_map(|port| port.allowed_address_pairs.iter().map(|pair| pair.ip.addr()));
    let legs =
        world.routers.iter().flat_map(|router| &router.interfaces).filter_map(|leg| world.address(leg));
    let nobody = ["10.0.0.99", "10.9.0.1", "198.51.100.1", "2001:db8:0::99", "2001:db8:9::1"];
    ports.chain(pairs).chain(legs).chain(nobody.map(|ip| ip.parse().unwrap())).collect()
}

fn check_packet(
    world: &World,
    cloud: &Cloud,
    fabric: &mut Fabric<'_>,
    from: &PortId,
    source: IpAddr,
    to: IpAddr,
    ttl: u8,
) {
    let request =
        TraceRequest { source: Some(source), ttl: Some(ttl), ..TraceRequest::echo(from.clone(), to) };
    let frame = request.frame(&cloud.compiler);
    let Some(expected) = Reference::outcomes(world, world.port(from), source, to, ttl) else {
        let alone = matches!(frame, Err(TraceError::NoNeighbour { .. } | TraceError::NoGateway { .. }));
        return assert!(alone, "{from} {source} > {to}: nobody to send to, but {frame:?}");
    };
    let frame = frame.unwrap();
    for turn in 0..3 {
        let journey = fabric.send(from, &frame, Choose::Bucket(turn)).unwrap().unwrap();
        assert!(!journey.endless);
        assert_unambiguous(&journey);
        let got = outcome(world, from, &journey);
        assert!(
            expected.contains(&got),
            "{from} {source} > {to}, ttl {ttl}: got {got:?}, expected one of {expected:?}\n{world:#?}"
        );
    }
}

/// What became of a packet that must not be copied, but for a MAC that nobody is known to have on a network where some
/// port may send from any.
fn outcome(world: &World, from: &PortId, journey: &Journey) -> Outcome {
    let mut arrivals: Vec<(&PortId, ParsedPacket)> = journey.arrivals().collect();
    arrivals.retain(|(id, packet)| {
        let port = world.port(id);
        let is_for_it = packet.eth_dst == port.mac;
        assert!(
            is_for_it || is_open(world, &port.network),
            "{id} got what is for {}: {journey:#?} {world:#?}",
            packet.eth_dst
        );
        is_for_it
    });
    let mut punts = journey.visits.iter().flat_map(|visit| visit.run.punts());
    match (arrivals.as_slice(), punts.next()) {
        ([], Some(punt)) => {
            assert_eq!(punts.next(), None, "one packet, one error");
            Outcome::Refused(punt.reason)
        }
        ([(port, packet)], None) if *port == from && matches!(packet.icmp_type, 0 | 129) => {
            Outcome::Echoed { ttl: packet.ip_ttl }
        }
        ([(port, packet)], None) => {
            Outcome::Arrives { port: (*port).clone(), ttl: packet.ip_ttl, src_mac: packet.eth_src }
        }
        ([], None) => carried(world, journey),
        (several, punt) => panic!("one packet became {several:?} and {punt:?}"),
    }
}

/// A packet that nobody's own MAC is in: lost, or on its way to all who have one MAC.
fn carried(world: &World, journey: &Journey) -> Outcome {
    let has_mac = |port: &Port, mac| port.allowed_address_pairs.iter().any(|pair| pair.mac == Some(mac));
    let got: Vec<(&PortId, ParsedPacket)> =
        journey.arrivals().filter(|(id, packet)| has_mac(world.port(id), packet.eth_dst)).collect();
    match got.first() {
        Some((_, first)) => {
            let to: BTreeSet<PortId> = got.iter().map(|(id, _)| (*id).clone()).collect();
            assert_eq!(to.len(), got.len(), "one copy for each: {got:?}");
            Outcome::Carried { to, mac: first.eth_dst, ttl: first.ip_ttl }
        }
        None => Outcome::Lost,
    }
}

fn is_open(world: &World, network: &NetworkId) -> bool {
    let any_mac = |port: &Port| {
        !port.port_security
            || port.allowed_address_pairs.iter().any(|pair| pair.mac.is_some_and(|mac| mac != port.mac))
    };
    world.ports.iter().any(|port| port.network == *network && any_mac(port))
}

/// OpenFlow leaves open which of two flows of equal priority runs: there must be no such choice.
fn assert_unambiguous(journey: &Journey) {
    fn look(steps: &[Step]) {
        for step in steps {
            assert!(step.rival.is_none(), "{:?} and {:?}", step.flow, step.rival);
            step.did.iter().for_each(look_into);
        }
    }
    fn look_into(did: &Did) {
        match &did.effect {
            Effect::Looked(steps) => look(steps),
            Effect::Bucket { did, .. } => did.iter().for_each(look_into),
            Effect::Done | Effect::Nothing(_) | Effect::Sent(_) | Effect::Punted(_) => {}
        }
    }
    journey.visits.iter().for_each(|visit| look(&visit.run.steps));
}

/// A chassis' state, in a form in which equal is equal.
type Held = BTreeMap<(u8, u16, Vec<u8>), (u64, Vec<u8>)>;

fn held<'a>(flows: impl IntoIterator<Item = &'a EncodedFlow>) -> Held {
    flows.into_iter().map(entry).collect()
}

fn entry(flow: &EncodedFlow) -> ((u8, u16, Vec<u8>), (u64, Vec<u8>)) {
    let key = (flow.table().0, flow.priority(), flow.match_bytes().to_vec());
    (key, (flow.cookie(), flow.instruction_bytes().to_vec()))
}

fn units(desired: &Desired) -> BTreeMap<UnitId, (Held, Vec<Group>)> {
    let unit = |(id, unit): (UnitId, &controller::compile::Unit)| {
        let mut groups = unit.groups.to_vec();
        groups.sort_by_key(|group| group.id);
        (id, (held(&unit.flows), groups))
    };
    desired.units().map(unit).collect()
}

/// What a switch holds that was told every delta.
#[derive(Debug, Default)]
struct Follower {
    flows: Held,
    groups: BTreeMap<GroupId, Group>,
}

impl Follower {
    fn apply(&mut self, delta: &Delta) {
        self.groups.extend(delta.put_groups.iter().map(|group| (group.id, group.clone())));
        self.flows.extend(delta.put_flows.iter().map(entry));
        for flow in &delta.delete_flows {
            assert!(
                self.flows.remove(&entry(flow).0).is_some(),
                "a flow is deleted that is not there: {flow:?}"
            );
        }
        for id in &delta.delete_groups {
            assert!(self.groups.remove(id).is_some(), "a group is deleted that is not there: {id:?}");
        }
    }
}

/// A history: objects of two worlds come, change and go, switches find and lose ports, in any order.
struct History {
    cloud: Cloud,
    followers: BTreeMap<ChassisId, Follower>,
}

impl History {
    fn new() -> Self {
        Self { cloud: Cloud::of([]), followers: BTreeMap::new() }
    }

    /// Puts an object if the API would take it.
    fn put(&mut self, object: &Object) {
        let before = self.cloud.compiler.view().model().get(&object.id());
        self.cloud.put([object.clone()]);
        if !faults(self.cloud.compiler.view().model()).is_empty() {
            let undo = before.map_or_else(|| Change::Delete(object.id()), Change::Put);
            self.cloud.compiler.apply(&[undo]);
        }
    }

    /// Changes one thing of an object that is there.
    fn tweak(&mut self, world: &World, choices: &mut Choices<'_>) {
        let model = self.cloud.compiler.view().model();
        // Mostly ports, as in life.
        let kind = choices.pick(&Kind::ALL).filter(|_| choices.often(4)).unwrap_or(Kind::Port);
        let ids: Vec<ObjectId> = model.ids(kind).collect();
        let Some(record) = choices.pick(&ids).and_then(|id| model.get(&id)) else { return };
        let changed = tweak(record.spec, &world.chassis, choices);
        self.put(&changed);
    }

    fn delete(&mut self, id: ObjectId) {
        if self.cloud.compiler.view().model().has(&id) {
            self.cloud.compiler.apply(&[Change::Delete(id)]);
        }
    }

    /// Some ports of a chassis, whether bound there or not, and some tunnels and patches.
    fn rewire(&mut self, id: &ChassisId, choices: &mut Choices<'_>) {
        let Some(chassis) = self.cloud.compiler.view().model().chassis.get(id) else { return };
        let mut local =
            if chassis.spec.encap_ips.is_empty() { Default::default() } else { self.cloud.wiring(id) };
        let all: Vec<PortId> = self.cloud.compiler.view().model().ports.keys().cloned().collect();
        for (at, port) in all.into_iter().enumerate() {
            if choices.often(1) {
                // Slices of floods have 32 ports: these fall into several.
                local.ports.insert(port, OfPort(500 + 20 * u32::try_from(at).unwrap()));
            } else if choices.often(2) {
                local.ports.remove(&port);
            }
        }
        local.tunnels.retain(|_, _| choices.often(7));
        local.patches.retain(|_, _| choices.often(7));
        self.cloud.compiler.set_local(id, local);
    }

    /// Polls, and holds what came of it against compiling all anew.
    fn poll(&mut self) {
        for (chassis, delta) in self.cloud.poll() {
            self.followers.entry(chassis).or_default().apply(&delta);
        }
        let chassis: Vec<ChassisId> = self.cloud.compiler.view().model().chassis.keys().cloned().collect();
        for id in chassis {
            let desired = self.cloud.compiler.desired(&id).unwrap();
            let recomputed = self.cloud.compiler.recompute(&id);
            assert_eq!(units(desired), units(&recomputed), "increments and recompute differ on {id}");
            assert_eq!(
                held(desired.flows()).len(),
                desired.flow_count(),
                "two units have the same flow on {id}"
            );
            let follower = self.followers.entry(id).or_default();
            assert_eq!(follower.flows, held(desired.flows()), "deltas and desired differ");
            assert_eq!(follower.groups, desired.groups().map(|group| (group.id, group.clone())).collect());
        }
    }
}

#[test]
fn increments_equal_recompute_after_every_step() {
    bolero::check!().with_iterations(WORLDS).for_each(|bytes: &[u8]| {
        let mut choices = Choices::new(bytes);
        let worlds = [World::new(&mut choices), World::new(&mut choices)];
        let objects: Vec<Object> = worlds.iter().flat_map(World::objects).collect();
        let mut history = History::new();
        for object in worlds[0].objects() {
            history.put(&object);
        }
        history.cloud.wire();
        history.poll();
        for _ in 0..40 {
            match choices.below(8) {
                0 => history.put(&choices.pick(&objects).unwrap()),
                1 => history.delete(choices.pick(&objects).unwrap().id()),
                2 => {
                    let chassis = choices.pick(&worlds[0].chassis).unwrap().id;
                    history.rewire(&chassis, &mut choices);
                }
                _ => history.tweak(&worlds[0], &mut choices),
            }
            if choices.often(6) {
                history.poll();
            }
        }
        history.poll();
    });
}

/// Whatever came before: the same model, with the same keys, on the same switches gives the same flows.
#[test]
fn the_order_of_arrival_makes_no_difference() {
    bolero::check!().with_iterations(WORLDS).for_each(|bytes: &[u8]| {
        let mut choices = Choices::new(bytes);
        let world = World::new(&mut choices);
        let straight = cloud_of(&world);
        let model = straight.compiler.view().model();
        let records: Vec<_> = Kind::ALL.into_iter().flat_map(|kind| model.objects(kind)).collect();
        let mut crooked = Cloud::of([]);
        for chassis in model.chassis.keys() {
            crooked.compiler.add_chassis(chassis.clone());
        }
        let mut wiring: Vec<ChassisId> = model.chassis.keys().cloned().collect();
        let mut waiting = records.clone();
        let mut detours = 30;
        while !(waiting.is_empty() && wiring.is_empty()) {
            match choices.below(8) {
                0..=4 if !waiting.is_empty() => {
                    let record = waiting.swap_remove(choices.below(waiting.len()));
                    crooked.compiler.apply(&[Change::Put(record)]);
                }
                5 if detours > 0 => {
                    detours -= 1;
                    // It goes, and must come again.
                    let record = choices.pick(&records).unwrap();
                    crooked.compiler.apply(&[Change::Delete(record.spec.id())]);
                    waiting.retain(|other| other.spec.id() != record.spec.id());
                    waiting.push(record);
                }
                6 if !wiring.is_empty() => {
                    let chassis = wiring.swap_remove(choices.below(wiring.len()));
                    crooked.compiler.set_local(&chassis, straight.wiring(&chassis));
                }
                7 if detours > 0 => {
                    detours -= 1;
                    crooked.poll();
                }
                _ => {
                    if let Some(record) = waiting.pop() {
                        crooked.compiler.apply(&[Change::Put(record)]);
                    } else if let Some(chassis) = wiring.pop() {
                        crooked.compiler.set_local(&chassis, straight.wiring(&chassis));
                    }
                }
            }
        }
        crooked.poll();
        for chassis in model.chassis.keys() {
            let [ours, theirs] =
                [&crooked, &straight].map(|cloud| units(cloud.compiler.desired(chassis).unwrap()));
            assert_eq!(ours, theirs, "on {chassis}");
        }
    });
}

/// Any bytes, by any port, through the tables of any model: the switch ends, and nothing panics.
#[test]
fn any_packet_ends() {
    bolero::check!().with_iterations(WORLDS).for_each(|bytes: &[u8]| {
        let mut choices = Choices::new(bytes);
        let world = World::new(&mut choices);
        let cloud = cloud_of(&world);
        let desired = cloud.compiler.desired(&world.chassis[0].id).unwrap();
        let switch = Switch::of(desired.flows(), desired.groups()).unwrap();
        let len = 14 + choices.below(200);
        let mut frame: Vec<u8> = (0..len).map(|_| u8::try_from(choices.below(256)).unwrap()).collect();
        for n in 0..40 {
            let port = OfPort(match choices.below(4) {
                0 => u32::try_from(choices.below(8)).unwrap(),
                1 => 1001 + u32::try_from(choices.below(3)).unwrap(),
                _ => 2001 + u32::try_from(choices.below(2)).unwrap(),
            });
            steer(&mut frame, &mut choices, n);
            let tunnel = TunnelFields { id: 5001 + choices.below(4) as u64, ..TunnelFields::default() };
            let packet = Packet::new(&frame);
            assert_eq!(packet.frame(), frame, "a packet that nobody touched stays as it is");
            let run = switch.run(Ingress { port, tunnel, packet }, Choose::Hash);
            assert!(run.sent.iter().all(|sent| sent.packet.len() == sent.packet.frame().len()));
        }
    });
}

/// Gives random bytes a header that tables look at.
fn steer(frame: &mut [u8], choices: &mut Choices<'_>, n: usize) {
    let kinds: [[u8; 2]; 5] = [[8, 0], [0x86, 0xdd], [8, 6], [0x81, 0], [0x12, 0x34]];
    let macs: [[u8; 6]; 4] =
        [[0xff; 6], [0x0e, 0xdf, 0, 0, 0, 1], [2, 0, 0, 0, 0, 1], [0x33, 0x33, 0, 0, 0, 1]];
    if let Some(place) = frame.get_mut(..14) {
        place[..6].copy_from_slice(&macs[choices.below(4)]);
        place[6..12].copy_from_slice(&[2, 0, 0, 0, 0, u8::try_from(n % 8).unwrap()]);
        place[12..].copy_from_slice(&kinds[choices.below(5)]);
    }
}
