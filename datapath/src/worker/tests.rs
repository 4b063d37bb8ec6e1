//! The worker without a kernel: rings in memory, which fill up and refuse as real ones do.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use fib::{
    Adjacency, AdjacencyId, Egress, Entry, Network, NetworkKey, NextHop, Options, Port, PortKey, Prefix,
    Route, RouterPort, RouterPortId, Tables, VrfId, build_with,
};
use packet::build::{self, Ip, Link};
use packet::{Ends, MacAddr};

use super::*;

const PORTS: u32 = 4;
const ROUTER: MacAddr = MacAddr([2, 0, 0, 0, 0, 99]);

/// Frames are numbers; their bytes are in one memory, and each is in one place, or the test ends.
#[derive(Debug, Default)]
struct InMemory {
    memory: Vec<Vec<u8>>,
    free: Vec<usize>,
    ports: Vec<OnePort>,
    /// Room of each ring for sending.
    room: usize,
    /// Of so many calls the kernel sends with one, all there is.
    every: usize,
    calls: usize,
    /// Frames with somebody else than the rings.
    given: Vec<usize>,
}

#[derive(Debug, Default)]
struct OnePort {
    incoming: VecDeque<Vec<u8>>,
    sending: VecDeque<usize>,
    sent: Vec<Vec<u8>>,
}

impl InMemory {
    fn new(frames: usize, room: usize, every: usize) -> Self {
        let ports = (0..PORTS).map(|_| OnePort::default()).collect();
        let memory = vec![Vec::new(); frames];
        Self { memory, free: (0..frames).collect(), ports, room, every, calls: 0, given: Vec::new() }
    }

    fn take_back(&mut self, frame: usize) {
        let place = self.given.iter().position(|given| *given == frame).expect("a frame that was given");
        self.given.swap_remove(place);
    }

    fn everything_is_back(&self) -> bool {
        let mut free = self.free.clone();
        free.sort_unstable();
        self.given.is_empty() && free == (0..self.memory.len()).collect::<Vec<_>>()
    }
}

impl Rings for InMemory {
    type Frame = usize;
    type View<'a> = &'a mut Vec<u8>;

    fn receive(&mut self, port: usize, burst: &mut Vec<usize>) -> Result<(), Error> {
        // Without a free frame the kernel drops; here what came waits.
        while burst.len() < BURST && !self.free.is_empty() {
            let Some(bytes) = self.ports[port].incoming.pop_front() else { break };
            let frame = self.free.pop().unwrap();
            self.memory[frame] = bytes;
            self.given.push(frame);
            burst.push(frame);
        }
        Ok(())
    }

    fn view<'a>(&'a mut self, frame: &'a mut usize) -> &'a mut Vec<u8> {
        assert!(self.given.contains(frame), "frame {frame} is in a ring");
        &mut self.memory[*frame]
    }

    fn send(&mut self, port: usize, frame: usize) -> Option<usize> {
        if self.ports[port].sending.len() == self.room {
            return Some(frame);
        }
        self.take_back(frame);
        self.ports[port].sending.push_back(frame);
        None
    }

    fn free(&mut self, frame: usize) {
        self.take_back(frame);
        self.free.push(frame);
    }

    fn flush(&mut self, port: usize) -> Result<(), Error> {
        self.calls += 1;
        if !self.calls.is_multiple_of(self.every) {
            return Ok(());
        }
        while let Some(frame) = self.ports[port].sending.pop_front() {
            let bytes = std::mem::take(&mut self.memory[frame]);
            self.ports[port].sent.push(bytes);
            self.free.push(frame);
        }
        Ok(())
    }

    fn on_their_way(&self) -> usize {
        self.ports.iter().map(|port| port.sending.len()).sum()
    }

    fn wait(&mut self, _: PollTimeout) -> Result<(), Error> {
        Ok(())
    }
}

/// By port.
type Sent = Vec<Vec<Vec<u8>>>;
/// And the port that each came in by.
type HandedOver = Vec<(IfIndex, Vec<u8>)>;

#[derive(Debug, Default)]
struct Kept(HandedOver);

impl SlowPath for Kept {
    fn hand_over(&mut self, port: IfIndex, frame: &[u8]) -> Result<(), Error> {
        self.0.push((port, frame.to_vec()));
        Ok(())
    }
}

fn station(port: u32) -> (MacAddr, Ipv4Addr) {
    let last = u8::try_from(port).unwrap();
    (MacAddr([2, 0, 0, 0, 0, last]), Ipv4Addr::new(10, 0, 0, last))
}

fn index(port: u32) -> IfIndex {
    IfIndex(100 + port)
}

/// One network and its router, a station behind each port.
fn image() -> Memory {
    let (network, vrf) = (NetworkKey(1), VrfId::MIN);
    let mut tables = Tables::default();
    let mut routes = Vec::new();
    let mut entry = Entry::default();
    entry.networks.insert(network, Network { mtu: 1500, slow: false });
    let door = RouterPort { mac: ROUTER, network, vrf, mtu: 1500, slow: false };
    entry.router_ports.insert(RouterPortId(0), door);
    for port in 0..PORTS {
        let (mac, ip) = station(port);
        let record =
            Port { ifindex: Some(index(port)), network: Some(network), secured: true, ..Port::default() };
        entry.ports.insert(PortKey(port + 1), record);
        entry.bindings.insert((PortKey(port + 1), mac), vec![Prefix::host(ip.into())]);
        let egress = Egress::Local { port: PortKey(port + 1) };
        let adjacency = Adjacency { dst_mac: mac, src_mac: ROUTER, egress, mtu: 1500, network };
        tables.adjacencies.insert(AdjacencyId(port), adjacency);
        entry.stations.insert((network, mac), AdjacencyId(port));
        let next = NextHop::Adjacency(AdjacencyId(port));
        routes.push(Route { vrf, prefix: Prefix::host(ip.into()), next });
    }
    tables.entry = entry;
    build_with(routes, &tables, Options::default()).unwrap()
}

/// A frame from a port, with a number that tells it from all others.
fn frame(number: u32, from: u32) -> Vec<u8> {
    let to = (from + 1 + number % (PORTS - 1)) % PORTS;
    let ((src_mac, src), (dst_mac, dst)) = (station(from), station(to));
    let (mac, hop_limit) = match number % 7 {
        0 => (dst_mac, 64),
        1 => (ROUTER, 1),
        2 => (MacAddr([2, 0, 0, 0, 9, 9]), 64),
        _ => (ROUTER, 64),
    };
    let net = Ip { ends: Ends::V4 { src, dst }, hop_limit, tos: 0 };
    build::udp(&Link::untagged(src_mac, mac), &net, 1000, 2000, &number.to_be_bytes())
}

/// Sends so many frames through a worker; what was sent by each port, what was handed over, and what was lost.
fn run(count: u32, rings: InMemory) -> (Sent, HandedOver, u64) {
    let mut worker = Worker::new(rings, Kept::default(), (0..PORTS).map(index).collect(), None, image());
    for number in 0..count {
        let from = number / 3 % PORTS;
        worker.rings.ports[from as usize].incoming.push_back(frame(number, from));
    }
    let mut turns = 0;
    while worker.turn().unwrap() > 0 || worker.rings().on_their_way() > 0 {
        turns += 1;
        assert!(turns < 10 * count, "it does not end");
    }
    assert!(worker.rings.everything_is_back(), "frames have gone astray");
    let counted: u64 = Reason::ALL.iter().map(|reason| worker.counters.of(*reason)).sum();
    assert_eq!(counted, u64::from(count));
    let sent = worker.rings.ports.iter().map(|port| port.sent.clone()).collect();
    (sent, worker.slow_path.0.clone(), worker.counters.lost)
}

/// What has to come out: by the decision alone, port by port.
fn expected(count: u32) -> (Sent, HandedOver) {
    let image = image();
    let forwarder = Forwarder { image: image.image(), open: |_| true, underlay: None };
    let (mut sent, mut kept) = (vec![Vec::new(); PORTS as usize], Vec::new());
    for number in 0..count {
        let from = number / 3 % PORTS;
        let mut frame = frame(number, from);
        match forwarder.forward(index(from), &mut frame).way {
            Way::Pass => kept.push((index(from), frame)),
            Way::Back => sent[from as usize].push(frame),
            Way::Out(to) => sent[(to.0 - 100) as usize].push(frame),
        }
    }
    (sent, kept)
}

fn sorted<T: Ord + Clone>(all: &[T]) -> Vec<T> {
    let mut all = all.to_vec();
    all.sort();
    all
}

#[test]
fn every_frame_goes_where_the_decision_says_and_nowhere_else() {
    let (sent, kept) = expected(1000);
    assert!(sent.iter().all(|port| port.len() > 50) && kept.len() > 50, "the frames are of one kind");
    let (ours, handed_over, lost) = run(1000, InMemory::new(256, 64, 1));
    assert_eq!(lost, 0);
    for (ours, sent) in ours.iter().zip(&sent) {
        assert_eq!(sorted(ours), sorted(sent));
    }
    assert_eq!(sorted(&handed_over), sorted(&kept));
}

#[test]
fn frames_of_one_flow_keep_their_order() {
    let (ours, ..) = run(1000, InMemory::new(256, 64, 1));
    for port in ours {
        let mut last = std::collections::BTreeMap::new();
        for frame in port {
            // The source address tells the port that it came in by, the last four bytes the order.
            let number = u32::from_be_bytes(*frame.last_chunk().unwrap());
            let before = last.insert(frame[26..30].to_vec(), number);
            assert!(before < Some(number), "{number} comes after {before:?}");
        }
    }
}

#[test]
fn a_full_ring_loses_frames_and_counts_them_but_keeps_no_memory() {
    let (sent, kept) = expected(1000);
    let (ours, handed_over, lost) = run(1000, InMemory::new(256, 2, 7));
    let left: usize = ours.iter().map(Vec::len).sum();
    assert!(lost > 0);
    assert_eq!(left + usize::try_from(lost).unwrap(), sent.iter().map(Vec::len).sum::<usize>());
    assert_eq!(sorted(&handed_over), sorted(&kept));
}

#[test]
fn few_frames_of_memory_are_enough() {
    let (sent, _) = expected(1000);
    let (ours, _, lost) = run(1000, InMemory::new(3, 64, 1));
    assert_eq!((ours.iter().map(Vec::len).sum::<usize>(), lost), (sent.iter().map(Vec::len).sum(), 0));
}
