//! What reading and writing OpenFlow costs, by message and by octet.
#![expect(clippy::expect_used, reason = "what a bench made itself can be read back")]

use benches::cloud::{Cloud, Family, chassis_id};
use controller::compile::EncodedFlow;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use openflow::{
    Field, Flow, Match, Message, TableId, Xid,
    message::{
        BundleFlags, FlowFlags, FlowModCommand, FlowStats, MultipartReply, PacketIn, PacketInFormatUsed,
        PacketInReason, encode_bundle_add_flow, encode_flow_mod,
    },
    raw::RawFlowPart,
};
use packet::OfPort;
use std::hint::black_box;

const BUNDLE: BundleFlags = BundleFlags(BundleFlags::ATOMIC.0 | BundleFlags::ORDERED.0);

/// The flows of a host with 200 ports, as the compiler keeps them.
fn encoded_flows() -> Vec<EncodedFlow> {
    let compiler = Cloud { family: Family::Dual, ..Cloud::new(2, 400) }.compiler(2);
    let desired = compiler.desired(&chassis_id(0)).expect("the first host is served");
    desired.flows().cloned().collect()
}

fn flows() -> Vec<Flow> {
    encoded_flows().iter().map(|flow| flow.raw().decode().expect("our own flow")).collect()
}

fn each<T>(items: &[T], mut encode: impl FnMut(&T) -> Vec<u8>) -> Vec<Vec<u8>> {
    items.iter().map(&mut encode).collect()
}

fn total(messages: &[Vec<u8>]) -> Throughput {
    let bytes = messages.iter().map(|message| message.len() as u64).sum();
    Throughput::ElementsAndBytes { elements: messages.len() as u64, bytes }
}

fn bench_decode(criterion: &mut Criterion, name: &str, messages: &[Vec<u8>]) {
    let mut group = criterion.benchmark_group("codec/decode");
    group.throughput(total(messages));
    group.bench_function(name, |bench| {
        bench.iter(|| {
            for message in messages {
                black_box(Message::decode(black_box(message)).expect("our own message"));
            }
        });
    });
    group.finish();
}

/// Encodes every item into one buffer, as a session does.
fn bench_encode<T>(
    criterion: &mut Criterion,
    name: &str,
    items: &[T],
    encode: impl Fn(&T, &mut Vec<u8>),
) -> Vec<Vec<u8>> {
    let messages = each(items, |item| {
        let mut out = Vec::new();
        encode(item, &mut out);
        out
    });
    let mut group = criterion.benchmark_group("codec/encode");
    group.throughput(total(&messages));
    let mut out = Vec::new();
    group.bench_function(name, |bench| {
        bench.iter(|| {
            out.clear();
            for item in items {
                encode(black_box(item), &mut out);
            }
            black_box(&out);
        });
    });
    group.finish();
    messages
}

fn flow_mods(criterion: &mut Criterion) {
    let encode = |flow: &Flow, out: &mut Vec<u8>| {
        encode_flow_mod(Xid(1), FlowModCommand::Add, FlowFlags::NONE, flow, out).expect("a flow that fits");
    };
    let messages = bench_encode(criterion, "flow-mod", &flows(), encode);
    bench_decode(criterion, "flow-mod", &messages);
    let raw = |flow: &EncodedFlow, out: &mut Vec<u8>| {
        flow.raw().encode_flow_mod(Xid(1), FlowModCommand::Add, out).expect("a flow that fits");
    };
    bench_encode(criterion, "flow-mod of an encoded flow", &encoded_flows(), raw);
}

fn bundle_adds(criterion: &mut Criterion) {
    let encode = |flow: &Flow, out: &mut Vec<u8>| {
        encode_bundle_add_flow(Xid(1), 1, BUNDLE, FlowModCommand::Add, FlowFlags::NONE, flow, out)
            .expect("a flow that fits");
    };
    let messages = bench_encode(criterion, "bundle-add", &flows(), encode);
    bench_decode(criterion, "bundle-add", &messages);
    let raw = |flow: &EncodedFlow, out: &mut Vec<u8>| {
        flow.raw().encode_bundle_add(Xid(1), 1, BUNDLE, FlowModCommand::Add, out).expect("a flow that fits");
    };
    bench_encode(criterion, "bundle-add of an encoded flow", &encoded_flows(), raw);
}

/// A packet that a router refused: registers, user data, 98 octets of an echo request.
fn packet_ins(criterion: &mut Criterion) {
    let packet = |n: u32| {
        let registers = (0..8).fold(Match::new(), |m, nth| m.with(Field::Reg(nth), n + u32::from(nth)));
        Message::PacketIn(PacketIn {
            format: PacketInFormatUsed::Nxt2,
            buffer_id: None,
            total_len: 98,
            reason: PacketInReason::InvalidTtl,
            table: TableId(15),
            cookie: u64::from(n) << 32,
            matching: registers.with(Field::InPort, OfPort(n + 1)).with(Field::Metadata, u64::from(n)),
            userdata: vec![7; 16],
            continuation: vec![],
            data: vec![0x5a; 98],
        })
    };
    let packets: Vec<Message> = (0..256).map(packet).collect();
    let encode = |message: &Message, out: &mut Vec<u8>| {
        message.encode(Xid(0), out).expect("a packet that fits");
    };
    let messages = bench_encode(criterion, "packet-in", &packets, encode);
    bench_decode(criterion, "packet-in", &messages);
}

/// One part of a dump of flows, as long as Open vSwitch makes them.
fn flow_stats(criterion: &mut Criterion) {
    const LONGEST: usize = 65_500;
    let stats = |flow: Flow| FlowStats {
        flow,
        duration_sec: 1,
        duration_nsec: 2,
        idle_timeout: 0,
        hard_timeout: 0,
        flags: FlowFlags::NONE,
        packet_count: 3,
        byte_count: 4,
    };
    let mut entries: Vec<FlowStats> = flows().into_iter().map(stats).collect();
    let part = loop {
        let body = MultipartReply::Flow(entries.clone());
        let mut part = Vec::new();
        match (Message::MultipartReply { more: false, body }).encode(Xid(1), &mut part) {
            Ok(()) if part.len() <= LONGEST => break part,
            _ => entries.truncate(entries.len() - entries.len().div_ceil(100)),
        }
    };
    println!("flow-stats part: {} flows, {} octets", entries.len(), part.len());
    let throughput =
        Throughput::ElementsAndBytes { elements: entries.len() as u64, bytes: part.len() as u64 };
    let mut group = criterion.benchmark_group("codec/flow-stats part of 64 KiB");
    group.throughput(throughput);
    group.bench_function("decode", |bench| {
        bench.iter(|| Message::decode(black_box(&part)).expect("our own message"));
    });
    group.bench_function("walk as octets", |bench| {
        bench.iter(|| {
            let part = RawFlowPart::of(black_box(&part)).expect("a part of flow stats");
            part.map(|entry| entry.expect("our own entry").flow.matching.len()).sum::<usize>()
        });
    });
    let message = Message::MultipartReply { more: false, body: MultipartReply::Flow(entries) };
    let mut out = Vec::new();
    group.bench_function("encode", |bench| {
        bench.iter(|| {
            out.clear();
            black_box(&message).encode(Xid(1), &mut out).expect("a part that fits");
        });
    });
    group.finish();
}

criterion_group!(benches, flow_mods, bundle_adds, packet_ins, flow_stats);
criterion_main!(benches);
